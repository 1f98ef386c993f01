package aggregate

import (
	"fmt"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

var sw303 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW303", Title: "recovery point objective is not reached", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"R12"},
		Doc: doc(`
A service says how much may be missing after a loss (` + "`protection.rpo`" + `), and the newest copy can get older than that by its own schedule.
What was written in between is gone, though every backup ran as it was told to. What counts is the longest wait between two runs, with
` + "`RandomizedDelaySec=`" + ` and ` + "`AccuracySec=`" + ` on top: a job that runs every hour with a delay of four is five hours behind.

It is a warning where the age is not known. The time that a run takes comes on top, and is not counted here; nor is the time during which
the machine is off. A place without any copy is SW304's.

Mend the schedule, or write the objective that is meant.

` + "```nix" + `
stateward.services.paperless.protection = {
  tiers = ["site"];
  rpo.site = "1d 1h";
};
services.restic.backups.paperless.timerConfig = {
  OnCalendar = "daily";
  RandomizedDelaySec = "30min";
  Persistent = true;
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		g := newGathered()
		for _, r := range f.requirements() {
			objective, ok := r.protection.RPO[r.tier].Get()
			if !ok || r.cell.State != stateward.SurvivalYes || r.tier == stateward.TierReboot {
				continue
			}
			sum := r.cell.gap
			d := finding(r.protection.RPO[r.tier].Origin())
			d.Service, d.Path = r.row.service.Name, r.row.path
			switch reached := backup.ReachedRPO(sum, objective); {
			case reached == backup.RPOReached:
			case reached == backup.RPOUnknown || r.cell.open != "":
				d.Severity = stateward.SeverityWarning
				d.Hint = "write a schedule that is read, such as OnCalendar, or an objective for what is meant"
				why := firstText(sum.Why, "the schedule of "+r.cell.By+" is not known")
				if reached == backup.RPOMissed {
					why = fmt.Sprintf("one that is read gets as old as %s, and further: %s", strings.TrimPrefix(sum.String(), "up to "), r.cell.open)
				}
				g.add(d, func(who string) string {
					return fmt.Sprintf("cannot tell whether the newest copy of %s that survives %s stays younger than %s: %s", who, lossOf[r.tier], objective, why)
				})
			default:
				d.Hint = fmt.Sprintf("have it run more often, with less RandomizedDelaySec, or write the objective that is meant; the newest copy is by %s", r.cell.By)
				g.add(d, func(who string) string {
					return fmt.Sprintf("the newest copy of %s that survives %s can get older than %s: %s", who, lossOf[r.tier], objective, sum)
				})
			}
		}
		return g.findings()
	},
}

// lossOf is what a tier survives.
var lossOf = map[stateward.Tier]string{
	stateward.TierReboot: "a boot with a wiped root", stateward.TierRollback: "a mistake", stateward.TierDisk: "a dead pool", stateward.TierSite: "a lost house",
	stateward.TierPointInTime: "a mistake whose moment is known",
	stateward.TierRebuild:     "a machine built anew, unattended",
}
