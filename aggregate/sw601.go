package aggregate

import (
	"strings"

	"github.com/stateward/stateward"
)

var sw601 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW601", Title: "the configuration's own assertion fails", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"N2"},
		Doc: doc(`
The configuration cannot be built: one of its own ` + "`assertions`" + ` is false. Evaluating single options does not run them,
so everything else that is reported here is about a system that ` + "`nixos-rebuild`" + ` would refuse.

Mend what the message says.
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, m := range f.host.FailedAssertions.Or(nil) {
			d := finding(m.Origin())
			if d.Subject == "" {
				d.Subject = "assertions"
			}
			if text, ok := m.Get(); ok {
				d.Message = "assertion fails: " + oneLine(text)
			} else {
				d.Message = "assertion fails, and its message cannot be evaluated"
			}
			d.Hint = "the system cannot be built until this holds"
			out = append(out, d)
		}
		return out
	},
}

// oneLine folds white space: messages of modules are indented blocks.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
