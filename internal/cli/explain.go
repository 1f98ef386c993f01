package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/aggregate"
)

func newExplain(env Env) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:     "explain [CODE...]",
		Short:   "Explain a check: what is wrong, why it loses data, how to mend it",
		Long:    "Explain prints the documentation of the checks that are named. Without a code it\nlists all of them; with --all it prints all, which is docs/checks.md.\n\n" + exitStatus,
		Example: "  stateward explain SW101",

		ValidArgsFunction: completeExplained,
		RunE: func(_ *cobra.Command, args []string) error {
			if all && len(args) > 0 {
				return fmt.Errorf("--all and a code exclude one another")
			}
			if all {
				fmt.Fprint(env.Stdout, checksDocument())
				return nil
			}
			if len(args) == 0 {
				for _, c := range aggregate.Catalog() {
					fmt.Fprintf(env.Stdout, "%s  %-7s  %s\n", c.Code, c.Severity, c.Title)
				}
				return nil
			}
			var texts []string
			for _, code := range args {
				c, err := findCheck(code)
				if err != nil {
					return err
				}
				texts = append(texts, explanation(c, "#"))
			}
			fmt.Fprint(env.Stdout, strings.Join(texts, "\n"))
			return nil
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "print the documentation of all checks")
	return cmd
}

// unknownCodeError is a code that no check has.
type unknownCodeError struct{ code string }

func (e *unknownCodeError) Error() string { return fmt.Sprintf("no check has the code %q", e.code) }
func (e *unknownCodeError) Hint() string  { return "stateward explain lists all codes" }

func findCheck(code string) (aggregate.Check, error) {
	for _, c := range aggregate.Catalog() {
		if strings.EqualFold(c.Code, code) {
			return c, nil
		}
	}
	return aggregate.Check{}, &unknownCodeError{code}
}

func explanation(c aggregate.Check, heading string) string {
	traps := ""
	if len(c.Traps) > 0 {
		traps = fmt.Sprintf(" Traps: %s.", strings.Join(c.Traps, ", "))
	}
	return fmt.Sprintf("%s %s: %s\n\nSeverity: %s. Since %s.%s\n\n%s", heading, c.Code, c.Title, c.Severity, c.Since, traps, c.Doc)
}

// checksDocument is docs/checks.md.
func checksDocument() string {
	var b strings.Builder
	b.WriteString("# Checks\n\nWritten by `stateward explain --all` from the checks themselves. The traps are those of [traps.md](traps.md).\n\n")
	b.WriteString("| code | severity | what |\n| --- | --- | --- |\n")
	for _, c := range aggregate.Catalog() {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", c.Code, anchor(c), c.Severity, c.Title)
	}
	for _, c := range aggregate.Catalog() {
		b.WriteString("\n" + explanation(c, "##"))
	}
	return b.String()
}

// anchor mirrors how the usual renderers make one of a heading.
func anchor(c aggregate.Check) string {
	var b strings.Builder
	for _, r := range strings.ToLower(c.Code + " " + c.Title) {
		switch {
		case r == ' ':
			b.WriteByte('-')
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			b.WriteRune(r)
		}
	}
	return b.String()
}
