package aggregate

import "github.com/stateward/stateward"

var sw605 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW605", Title: "nothing of the host is understood", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"N6"},
		Doc: doc(`
The host evaluates, and no dialect applies to it: it has neither ` + "`fileSystems`" + ` and ` + "`systemd`" + ` of NixOS nor any contract that
is known. That nothing else is reported says nothing about its data.

Check that the source really holds evaluated NixOS configurations: ` + "`nixosConfigurations.<host>`" + ` of a flake, or what
` + "`nixosSystem`" + ` or ` + "`evalModules`" + ` returns, with ` + "`config`" + ` and ` + "`options`" + `.
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		if len(f.host.Dialects) > 0 {
			return nil
		}
		d := stateward.Diagnostic{
			Subject: "config", Message: "no known dialect applies to this host: nothing was checked",
			Hint: "check that this is an evaluated NixOS configuration, with config and options",
		}
		if f.host.Status == stateward.StatusFailed {
			d.Message, d.Hint = "the host could not be evaluated: nothing was checked", ""
		}
		return []stateward.Diagnostic{d}
	},
}
