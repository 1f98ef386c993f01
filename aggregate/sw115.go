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
in memory. Everything that is persisted there is gone at the next boot. The same goes for the place that a single entry
names with a ` + "`persistentStoragePath`" + ` of its own.

Mend it by giving the persistence root a file system of its own:

` + "```nix" + `
fileSystems."/persist" = {
  device = "rpool/safe/persist";
  fsType = "zfs";
  neededForBoot = true;
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		report := func(at stateward.AbsPath, what string, o stateward.Origin, under stateward.TierResult) {
			d := finding(o)
			d.Path = at.String()
			d.Hint = fmt.Sprintf("give %s a file system of its own that is needed for boot", at)
			switch under.State {
			case stateward.SurvivalNo:
				d.Message = fmt.Sprintf("%s is gone at the next boot, with all that is in it: %s", what, under.By)
			case stateward.SurvivalUnknown:
				d.Severity = stateward.SeverityWarning
				d.Message = fmt.Sprintf("cannot tell whether %s survives a reboot: %s", what, under.By)
			default:
				return
			}
			out = append(out, d)
		}
		said := map[stateward.AbsPath]bool{}
		for _, r := range f.roots {
			said[r.path] = true
			report(r.path, "persistence root "+r.path.String(), r.Origin, r.under)
		}
		for _, e := range f.entries {
			if own, ok := e.Rare().Storage.Get(); ok && !said[own] {
				said[own] = true
				report(own, fmt.Sprintf("the storage %s of the persisted path %s", own, e.Text), e.Origin, f.stored(own))
			}
		}
		return out
	},
}
