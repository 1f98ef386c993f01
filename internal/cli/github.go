package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// The escapes of workflow commands, as actions/toolkit has them (packages/core/src/command.ts).
var (
	githubData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	githubProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

var githubCommands = map[stateward.Severity]string{
	stateward.SeverityError: "error", stateward.SeverityWarning: "warning", stateward.SeverityInfo: "notice",
}

// githubCommand is one workflow command. A property without a value is left out.
func githubCommand(command string, properties [][2]string, message string) string {
	var b strings.Builder
	b.WriteString("::" + command)
	sep := " "
	for _, p := range properties {
		if p[1] != "" {
			b.WriteString(sep + p[0] + "=" + githubProperty.Replace(visible(p[1])))
			sep = ","
		}
	}
	b.WriteString("::" + githubData.Replace(visible(message)) + "\n")
	return b.String()
}

// visible keeps a text from steering who reads the log; line ends stay, which the escapes of a command are for.
func visible(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		line, returns := strings.CutSuffix(line, "\r")
		lines[i] = inLine(line)
		if returns {
			lines[i] += "\r"
		}
	}
	return strings.Join(lines, "\n")
}

// writeGitHub prints a workflow command for each finding that counts, the gravest first since GitHub shows ten of a
// kind, and a summary.
func writeGitHub(w io.Writer, out CheckOutput, at places) error {
	type found struct {
		host string
		stateward.Diagnostic
	}
	var all []found
	for _, d := range out.Findings {
		all = append(all, found{"", d})
	}
	var b strings.Builder
	for _, h := range out.Hosts {
		if h.Error != nil {
			text := h.Error.Message
			if h.Error.Hint != "" {
				text += "\nhint: " + h.Error.Hint
			}
			// Where the file is not here, the message itself names it.
			file, ok := at.find(h.Error.File)
			line := ""
			if ok && h.Error.Line > 0 {
				line = fmt.Sprint(h.Error.Line)
			}
			b.WriteString(githubCommand("error", [][2]string{{"file", file}, {"line", line}, {"title", h.Name + " could not be evaluated"}}, text))
		}
		for _, d := range h.Findings {
			all = append(all, found{h.Name, d})
		}
	}
	slices.SortStableFunc(all, func(a, b found) int { return stateward.CompareDiagnostics(a.Diagnostic, b.Diagnostic) })
	for _, d := range all {
		if !d.Counts() {
			continue
		}
		text := d.Message
		if d.host != "" {
			text = d.host + ": " + text
		}
		file, ok := at.find(d.File)
		line := ""
		switch {
		case ok && d.Line > 0:
			line = fmt.Sprint(d.Line)
		case !ok && d.File != "":
			// On a file that is not the one, the message would lead astray.
			text += "\nin " + stateward.Origin{Option: d.Subject, File: d.File, Line: d.Line}.String()
		}
		if d.Hint != "" {
			text += "\nhint: " + d.Hint
		}
		title := d.Code
		if c, err := findCheck(d.Code); err == nil {
			title += " " + c.Title
		}
		b.WriteString(githubCommand(githubCommands[d.Severity], [][2]string{{"file", file}, {"line", line}, {"title", title}}, text))
	}
	if n := out.NixFlakeCheck; n != nil && n.Status != 0 {
		b.WriteString(githubCommand("error", [][2]string{{"title", "nix flake check failed"}}, n.Log))
	}
	// A line of a log that begins with two colons would be a command.
	for _, h := range out.Hosts {
		words := findingSummary(h)
		if h.Error != nil {
			words = "not checked"
		}
		fmt.Fprintf(&b, "stateward: %s: %s; findings: %s\n", inLine(h.Name), h.Status, words)
	}
	for _, line := range totals(out) {
		fmt.Fprintf(&b, "stateward: %s\n", inLine(line))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
