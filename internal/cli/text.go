package cli

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/fatih/color"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// textReport prints a check for people: the hosts that need attention, their findings, and last a
// table that is read in five seconds.
type textReport struct {
	w        io.Writer
	survival bool
	summary  bool
	// all tells to list what the baseline knows as well.
	all bool

	bold, faint, bad, warn, good, info func(a ...any) string
}

func newTextReport(w io.Writer, colour, survival, summary bool) *textReport {
	style := func(attrs ...color.Attribute) func(a ...any) string {
		c := color.New(attrs...)
		// The library looks at the process's own terminal; we were told.
		if colour {
			c.EnableColor()
		} else {
			c.DisableColor()
		}
		return c.SprintFunc()
	}
	return &textReport{
		w: w, survival: survival, summary: summary,
		bold: style(color.Bold), faint: style(color.Faint), bad: style(color.FgRed, color.Bold),
		warn: style(color.FgYellow), good: style(color.FgGreen), info: style(color.FgCyan),
	}
}

func (r *textReport) write(out CheckOutput) error {
	var b strings.Builder
	for _, h := range out.Hosts {
		if !r.summary {
			r.host(&b, h)
		}
	}
	if !r.summary && len(out.Findings) > 0 {
		r.run(&b, out.Findings)
	}
	r.table(&b, out)
	r.totals(&b, out)
	if n := out.NixFlakeCheck; n != nil {
		r.nixFlakeCheck(&b, n)
	}
	_, err := io.WriteString(r.w, b.String())
	return err
}

// nixFlakeCheck prints how nix' own check ended, and what it said where it failed.
func (r *textReport) nixFlakeCheck(b *strings.Builder, n *NixFlakeCheckOutput) {
	if n.Status == 0 {
		fmt.Fprintf(b, "\n%s %s\n", r.bold("nix flake check"), r.good("passed"))
		return
	}
	fmt.Fprintf(b, "\n%s %s with status %d\n", r.bold("nix flake check"), r.bad("failed"), n.Status)
	for line := range strings.Lines(n.Log) {
		fmt.Fprintf(b, "  %s\n", inLine(strings.TrimRight(line, "\r\n")))
	}
}

func (r *textReport) host(b *strings.Builder, h HostOutput) {
	if h.Error != nil {
		fmt.Fprintf(b, "%s %s\n", r.bold(inLine(h.Name)), r.bad("failed"))
		fmt.Fprintf(b, "  %s\n", printable(h.Error.Message))
		if h.Error.Hint != "" {
			fmt.Fprintf(b, "  %s %s\n", r.faint("hint:"), inLine(h.Error.Hint))
		}
		b.WriteByte('\n')
		return
	}
	shown := r.shown(h.Findings)
	kept := h.Root != nil && h.Root.Wiped == stateward.SurvivalNo
	if len(shown) == 0 && h.Status == stateward.StatusOK && !r.survival && !kept && len(h.Captures) == 0 {
		return
	}
	fmt.Fprintf(b, "%s\n", r.bold(inLine(h.Name)))
	if kept {
		fmt.Fprintf(b, "  the root is not wiped, so what lies on it survives a reboot: %s\n", inLine(h.Root.By))
	}
	for _, c := range h.Captures {
		fmt.Fprintf(b, "  seen on the host %s: %s in %s\n", c.age, inLine(strings.Join(slices.Concat(c.Roots, c.Pools), ", ")), inLine(c.File))
	}
	for _, d := range shown {
		r.finding(b, d)
	}
	if h.Status == stateward.StatusPartial {
		r.partial(b, h)
	}
	if r.survival {
		r.rows(b, h)
	}
	b.WriteByte('\n')
}

// shown are the findings that are listed: what is only known from the baseline is counted.
func (r *textReport) shown(findings []stateward.Diagnostic) []stateward.Diagnostic {
	var out []stateward.Diagnostic
	for _, d := range findings {
		if r.all || !d.Baseline || d.Acknowledged != "" {
			out = append(out, d)
		}
	}
	return out
}

// run prints what is said of the run as a whole.
func (r *textReport) run(b *strings.Builder, findings []stateward.Diagnostic) {
	if findings = r.shown(findings); len(findings) == 0 {
		return
	}
	fmt.Fprintf(b, "%s\n", r.bold("all hosts"))
	for _, d := range findings {
		r.finding(b, d)
	}
	b.WriteByte('\n')
}

// totals are the lines below the table: what was left out or is known, so that a short list is never taken for a
// good one.
func (r *textReport) totals(b *strings.Builder, out CheckOutput) {
	for _, line := range totals(out) {
		fmt.Fprintf(b, "%s\n", inLine(line))
	}
}

func totals(out CheckOutput) []string {
	var lines []string
	if s := evaluatedWith(out.EvaluatedWith); s != "" {
		lines = append(lines, s)
	}
	if s := severities(out.Findings); s != "" {
		lines = append(lines, "all hosts: "+s)
	}
	codes := map[string]int{}
	n := 0
	add := func(excluded map[string]int) {
		for c, k := range excluded {
			codes[c] += k
			n += k
		}
	}
	add(out.Excluded)
	for _, h := range out.Hosts {
		add(h.Excluded)
	}
	if n > 0 {
		var each []string
		for _, c := range slices.Sorted(maps.Keys(codes)) {
			each = append(each, fmt.Sprintf("%s %d", c, codes[c]))
		}
		lines = append(lines, fmt.Sprintf("%s excluded by %s: %s", count(n, "finding"), out.ExcludedBy, strings.Join(each, ", ")))
	}
	if o := out.Baseline; o != nil {
		line := fmt.Sprintf("against %s: %d new, %d known", o.File, o.New, o.Known)
		if o.Gone > 0 {
			line += fmt.Sprintf(", %d gone: write the baseline anew, so that they count when they come back", o.Gone)
		}
		lines = append(lines, line)
	}
	return lines
}

// partial lists what could not be had, but for what a finding has said already.
func (r *textReport) partial(b *strings.Builder, h HostOutput) {
	var rest []string
	for _, u := range h.Unknown {
		if aggregate.NeededBy(u.Subject) == "" && !(len(h.Captures) > 0 && aggregate.NeededByCapture(u.Subject)) {
			rest = append(rest, inLine(u.String()))
		}
	}
	fmt.Fprintf(b, "  %s %s could not be evaluated or understood", r.warn("partial"), count(len(h.Unknown), "value"))
	if h.Excluded["SW603"] > 0 {
		fmt.Fprintf(b, "; %s of SW603 excluded\n", count(h.Excluded["SW603"], "finding"))
		return
	}
	if len(rest) == 0 {
		b.WriteString(", see SW603\n")
		return
	}
	b.WriteString("; no check needs these:\n")
	for _, u := range rest {
		fmt.Fprintf(b, "    %s\n", u)
	}
}

func (r *textReport) severity(s stateward.Severity) string {
	switch s {
	case stateward.SeverityError:
		return r.bad(s.String())
	case stateward.SeverityWarning:
		return r.warn(s.String())
	default:
		return r.info(s.String())
	}
}

func (r *textReport) finding(b *strings.Builder, d stateward.Diagnostic) {
	at := ""
	if d.File != "" {
		at = "  " + d.File
		if d.Line > 0 {
			at += fmt.Sprintf(":%d", d.Line)
		}
	}
	if d.Acknowledged != "" {
		fmt.Fprintf(b, "  %s %s %s %s%s\n", r.good("accepted"), d.Severity, d.Code, inLine(d.Subject), r.faint(inLine(at)))
		fmt.Fprintf(b, "    %s\n    %s %s\n", inLine(d.Message), r.faint("reason:"), inLine(d.Acknowledged))
		return
	}
	if d.Baseline {
		fmt.Fprintf(b, "  %s\n    %s\n", r.faint(inLine(fmt.Sprintf("known %s %s %s%s", d.Severity, d.Code, d.Subject, at))), r.faint(inLine(d.Message)))
		return
	}
	fmt.Fprintf(b, "  %s %s %s%s\n", r.severity(d.Severity), d.Code, inLine(d.Subject), r.faint(inLine(at)))
	fmt.Fprintf(b, "    %s\n", inLine(d.Message))
	if d.Hint != "" {
		fmt.Fprintf(b, "    %s %s\n", r.faint("hint:"), inLine(d.Hint))
	}
}

// stateWords are how the answers of the matrix read.
var stateWords = map[stateward.TierState]string{
	stateward.SurvivalYes: "survives", stateward.SurvivalNo: "lost", stateward.SurvivalUnknown: "unknown", stateward.SurvivalNotNeeded: "not needed",
}

func (r *textReport) rows(b *strings.Builder, h HostOutput) {
	if len(h.Survival) == 0 {
		b.WriteString("  no enabled service names any state\n")
		return
	}
	b.WriteString("  at a reboot:\n")
	cells := [][]string{}
	for _, row := range h.Survival {
		t := row.Tiers[stateward.TierReboot]
		path := row.Path
		if path == "" {
			path = "(unknown)"
		}
		cells = append(cells, []string{stateWords[t.State], inLine(path), inLine(row.Service), inLine(row.Origin), inLine(t.By)})
	}
	for _, line := range align(cells) {
		fmt.Fprintf(b, "    %s\n", line)
	}
	r.copies(b, h)
}

// copies says which state is in snapshots, on other disks and in other houses: one line where nothing is.
func (r *textReport) copies(b *strings.Builder, h HostOutput) {
	tiers := []stateward.Tier{stateward.TierRollback, stateward.TierDisk, stateward.TierSite}
	heads, some := []string{"snapshot", "other disk", "other house"}, false
	// Most hosts have neither of these: no column without an answer.
	for _, more := range []struct {
		tier stateward.Tier
		head string
	}{{stateward.TierRebuild, "rebuild"}, {stateward.TierPointInTime, "point in time"}} {
		if slices.ContainsFunc(h.Survival, func(row stateward.SurvivalRow) bool {
			s := row.Tiers[more.tier].State
			return s == stateward.SurvivalYes || s == stateward.SurvivalUnknown && row.Tiers[stateward.TierDisk].State != s
		}) {
			tiers, heads = append(tiers, more.tier), append(heads, more.head)
		}
	}
	cells := [][]string{append(heads, "", "")}
	for _, row := range h.Survival {
		if row.Tiers[stateward.TierReboot].State == stateward.SurvivalNotNeeded {
			continue
		}
		line := []string{}
		for _, tier := range tiers {
			t := row.Tiers[tier]
			word := cmp.Or(string(t.State), "-")
			if t.RPO != "" {
				word = t.RPO
			}
			some = some || t.State != "" && t.State != stateward.SurvivalNo
			line = append(line, word)
		}
		cells = append(cells, append(line, inLine(cmp.Or(row.Path, "(unknown)")), inLine(row.Service)))
	}
	switch {
	case len(cells) == 1:
	case !some:
		b.WriteString("  no snapshot, replication or backup job that is read covers any of it\n")
	default:
		b.WriteString("  copies, and how old the newest can be by its schedule:\n")
		for _, line := range align(cells) {
			fmt.Fprintf(b, "    %s\n", line)
		}
	}
}

// table is the summary.
func (r *textReport) table(b *strings.Builder, out CheckOutput) {
	cells := [][]string{{"HOST", "EVALUATED", "ROOT", "AFTER A REBOOT", "FINDINGS"}}
	for _, h := range out.Hosts {
		if h.Error != nil {
			cells = append(cells, []string{inLine(h.Name), string(h.Status), "-", "-", "-"})
			continue
		}
		root := map[stateward.TierState]string{stateward.SurvivalYes: "wiped", stateward.SurvivalNo: "kept"}[h.Root.Wiped]
		if root == "" {
			root = "unknown"
		}
		cells = append(cells, []string{inLine(h.Name), string(h.Status), root, survivalSummary(h.Survival), findingSummary(h)})
	}
	for i, line := range align(cells) {
		if i == 0 {
			line = r.bold(line)
		}
		fmt.Fprintln(b, line)
	}
}

func survivalSummary(rows []stateward.SurvivalRow) string {
	n := map[stateward.TierState]int{}
	for _, row := range rows {
		n[row.Tiers[stateward.TierReboot].State]++
	}
	total := len(rows) - n[stateward.SurvivalNotNeeded]
	if total == 0 {
		return "no state named"
	}
	s := fmt.Sprintf("%d of %d survive", n[stateward.SurvivalYes], total)
	if lost := n[stateward.SurvivalNo]; lost > 0 {
		s += fmt.Sprintf(", %d lost", lost)
	}
	if unknown := n[stateward.SurvivalUnknown]; unknown > 0 {
		s += fmt.Sprintf(", %d unknown", unknown)
	}
	return s
}

func findingSummary(h HostOutput) string {
	s, excluded := severities(h.Findings), 0
	for _, n := range h.Excluded {
		excluded += n
	}
	if excluded > 0 {
		if s != "" {
			s += ", "
		}
		s += fmt.Sprintf("%d excluded", excluded)
	}
	if s != "" {
		return s
	}
	if h.Status != stateward.StatusOK {
		return "none in what could be read"
	}
	return "none"
}

// severities counts findings: "2 errors, 1 accepted, 3 known"; it is empty where there are none.
func severities(findings []stateward.Diagnostic) string {
	n := map[stateward.Severity]int{}
	accepted, known := 0, 0
	for _, d := range findings {
		switch {
		case d.Acknowledged != "":
			accepted++
		case d.Baseline:
			known++
		default:
			n[d.Severity]++
		}
	}
	var parts []string
	for _, s := range []stateward.Severity{stateward.SeverityError, stateward.SeverityWarning, stateward.SeverityInfo} {
		if n[s] > 0 {
			parts = append(parts, count(n[s], s.String()))
		}
	}
	if accepted > 0 {
		parts = append(parts, fmt.Sprintf("%d accepted", accepted))
	}
	if known > 0 {
		parts = append(parts, fmt.Sprintf("%d known", known))
	}
	return strings.Join(parts, ", ")
}

func count(n int, word string) string {
	if n == 1 || word == "info" {
		return fmt.Sprintf("%d %s", n, word)
	}
	if stem, ok := strings.CutSuffix(word, "y"); ok {
		return fmt.Sprintf("%d %sies", n, stem)
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// align pads columns to one width; the last is left as it is.
func align(rows [][]string) []string {
	var width []int
	for _, row := range rows {
		for i, c := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	var out []string
	for _, row := range rows {
		var b strings.Builder
		for i, c := range row {
			b.WriteString(c)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c)+2))
			}
		}
		out = append(out, strings.TrimRight(b.String(), " "))
	}
	return out
}
