package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
)

var sw115 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW115", Title: "persistence root does not survive a reboot itself", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"P6", "N8"},
		Doc: doc(`
The directory that ` + "`environment.persistence`" + ` stores everything in lies on a file system that is wiped at every boot, or
in memory. Everything that is persisted there is gone at the next boot.

Mend it by giving the persistence root a file system of its own:

` + "```nix" + `
fileSystems."/persist" = { device = "rpool/safe/persist"; fsType = "zfs"; neededForBoot = true; };
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, r := range f.roots {
			d := finding(r.Origin)
			d.Path = r.path.String()
			d.Hint = fmt.Sprintf("give %s a file system of its own that is needed for boot", r.path)
			switch under := r.under; under.State {
			case stateward.SurvivalNo:
				d.Message = fmt.Sprintf("persistence root %s is gone at the next boot, with all that is in it: %s", r.path, under.By)
			case stateward.SurvivalUnknown:
				d.Severity = stateward.SeverityWarning
				d.Message = fmt.Sprintf("cannot tell whether persistence root %s survives a reboot: %s", r.path, under.By)
			default:
				continue
			}
			out = append(out, d)
		}
		return out
	},
}
