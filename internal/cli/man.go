package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newMan(env Env) *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages",
		Long: `Man writes stateward(1) and a page for each of its commands into DIR, such as share/man/man1. The pages
hang on this version of stateward only: there is no date in them.

` + exitStatus,
		Example: "  stateward man ~/.local/share/man/man1",
		Args:    cobra.ExactArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := args[0]
			if st, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					return withStatus(StatusStep, err)
				}
			} else if err == nil && !st.IsDir() {
				return withStatus(StatusStep, fmt.Errorf("%s is no folder", dir))
			}
			pages := manPages(cmd.Root())
			for _, name := range slices.Sorted(maps.Keys(pages)) {
				file := filepath.Join(dir, name)
				if err := writeFile(file, []byte(pages[name]), 0o644); err != nil {
					return withStatus(StatusStep, fmt.Errorf("cannot write the manual page: %w", err))
				}
				fmt.Fprintf(env.Stdout, "wrote %s\n", inLine(file))
			}
			return nil
		},
	}
}

// manPages are the pages of a command and of those below it, by the names of their files.
func manPages(cmd *cobra.Command) map[string]string {
	pages := map[string]string{}
	var visit func(*cobra.Command)
	visit = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" {
			return
		}
		pages[manName(c)+".1"] = manPage(c)
		for _, sub := range c.Commands() {
			visit(sub)
		}
	}
	visit(cmd)
	return pages
}

func manName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// roff writes a page in the language of man(7). Text goes through escape, so that no line is taken for a request.
type roff struct{ strings.Builder }

var roffEscapes = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "^", `\(ha`, "~", `\(ti`, "`", `\(ga`)

func (r *roff) escape(s string) string {
	s = roffEscapes.Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}

func (r *roff) request(format string, args ...any) { fmt.Fprintf(r, format+"\n", args...) }

func (r *roff) text(s string) { r.WriteString(r.escape(s) + "\n") }

// paragraphs writes a text as the commands' help has it: blank lines between paragraphs, and two blanks before what keeps
// its lines.
func (r *roff) paragraphs(s string) {
	shown := false
	show := func(on bool) {
		if on && !shown {
			r.request(".RS 4\n.nf")
		} else if !on && shown {
			r.request(".fi\n.RE")
		}
		shown = on
	}
	for n, para := range strings.Split(strings.TrimSpace(s), "\n\n") {
		show(false)
		if n > 0 {
			r.request(".PP")
		}
		for line := range strings.SplitSeq(para, "\n") {
			code, shows := strings.CutPrefix(line, "  ")
			show(shows)
			r.text(code)
		}
	}
	show(false)
}

func (r *roff) flags(fs *pflag.FlagSet) {
	fs.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		value, usage := pflag.UnquoteUsage(f)
		head := ""
		if f.Shorthand != "" {
			head = `\fB` + r.escape("-"+f.Shorthand) + `\fR, `
		}
		head += `\fB` + r.escape("--"+f.Name) + `\fR`
		if value != "" {
			head += ` \fI` + r.escape(value) + `\fR`
		}
		r.request(".TP\n%s", head)
		if d := f.DefValue; d != "" && d != "false" && d != "[]" && d != "0" && d != "0s" && !strings.Contains(usage, "default") {
			usage += fmt.Sprintf(" (default %s)", d)
		}
		r.text(usage)
	})
}

func manPage(c *cobra.Command) string {
	c.InitDefaultHelpFlag()
	r := &roff{}
	name := manName(c)
	r.request(`.\" Written by stateward man from the command itself.`)
	r.request(`.TH "%s" "1" "" "stateward" "stateward"`, r.escape(strings.ToUpper(name)))
	r.request(".SH NAME")
	r.WriteString(r.escape(name) + ` \- ` + r.escape(lowerFirst(c.Short)) + "\n")
	r.request(".SH SYNOPSIS")
	for i, use := range synopses(c) {
		if i > 0 {
			r.request(".br")
		}
		rest := strings.TrimPrefix(use, c.CommandPath())
		r.WriteString(`\fB` + r.escape(c.CommandPath()) + `\fR` + r.escape(rest) + "\n")
	}
	description, status, hasStatus := strings.Cut(cmp.Or(c.Long, c.Short+"."), "EXIT STATUS\n")
	r.request(".SH DESCRIPTION")
	r.paragraphs(description)
	if fs := c.NonInheritedFlags(); fs.HasAvailableFlags() {
		r.request(".SH OPTIONS")
		r.flags(fs)
	}
	if fs := c.InheritedFlags(); fs.HasAvailableFlags() {
		r.request(".SH OPTIONS OF EVERY COMMAND")
		r.flags(fs)
	}
	if hasStatus {
		r.request(".SH EXIT STATUS")
		r.statuses(status)
	}
	if c.Example != "" {
		r.request(".SH EXAMPLES\n.nf")
		for line := range strings.SplitSeq(c.Example, "\n") {
			r.text(strings.TrimPrefix(line, "  "))
		}
		r.request(".fi")
	}
	var also []string
	if c.HasParent() {
		also = append(also, manName(c.Parent()))
	}
	for _, sub := range c.Commands() {
		if !sub.Hidden && sub.Name() != "help" {
			also = append(also, manName(sub))
		}
	}
	if len(also) > 0 {
		r.request(".SH SEE ALSO")
		slices.Sort(also)
		for i, a := range also {
			comma := ","
			if i == len(also)-1 {
				comma = ""
			}
			r.request(`.BR %s (1)%s`, r.escape(a), comma)
		}
	}
	return r.String()
}

// statuses writes the numbers and their meanings; what is indented less is said of all of them.
func (r *roff) statuses(s string) {
	var rest []string
	for line := range strings.SplitSeq(strings.TrimRight(s, "\n"), "\n") {
		line = strings.TrimSpace(line)
		if n, meaning, ok := strings.Cut(line, "  "); ok && len(n) == 1 {
			r.request(".TP\n.B %s", n)
			r.text(meaning)
		} else if line != "" {
			rest = append(rest, line)
		}
	}
	if len(rest) > 0 {
		r.request(".PP")
		for _, line := range rest {
			r.text(line)
		}
	}
}

func synopses(c *cobra.Command) []string {
	out := []string{c.UseLine()}
	if c.HasAvailableSubCommands() {
		out = append(out, c.CommandPath()+" COMMAND")
	}
	return out
}

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }
