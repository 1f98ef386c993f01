package aggregate

import "github.com/stateward/stateward"

var sw602 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW602", Title: "the configuration warns", Severity: stateward.SeverityInfo, Since: "0.1", Traps: []string{"N2"},
		Doc: doc(`
One of the configuration's own ` + "`warnings`" + `. They are printed by ` + "`nixos-rebuild`" + ` and easily scroll away; options that
were renamed or removed announce themselves here before they are ignored.

Mend what the message says.
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, w := range f.host.Warnings.Or(nil) {
			text, ok := w.Get()
			if !ok {
				continue // SW603 speaks of it
			}
			d := finding(w.Origin())
			if d.Subject == "" {
				d.Subject = "warnings"
			}
			d.Message = "the configuration warns: " + oneLine(text)
			out = append(out, d)
		}
		return out
	},
}
