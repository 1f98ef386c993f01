package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
)

var sw304 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW304", Title: "state does not survive a loss that it must survive", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"R10", "N10"},
		Doc: doc(`
A service says which losses its state must survive (` + "`protection.tiers`" + `, and each tier with an objective in ` + "`protection.rpo`" + `), and the
survival matrix answers no: no snapshot, backup job or replication keeps it. The day on which that is noticed is the day of the loss.

It is a warning where the matrix does not know. The finding says what could not be seen: a job without a timer, another host of which nobody can tell
where it stands, a tool that is not read. The tier ` + "`point-in-time`" + ` is answered for the data of
` + "`services.postgresql`" + ` only, and unknown elsewhere.
Of ` + "`reboot`" + ` SW101 speaks, and what ` + "`persist`" + ` lists needs no copy.

Mend it by a job, a snapshot policy or a replication that covers the place; ` + "`stateward check --survival`" + ` shows what is there.

` + "```nix" + `
stateward.services.paperless.protection.tiers = ["rollback" "site"];
services.sanoid.datasets."tank/services".recursive = true;
services.restic.backups.paperless = {
  paths = ["/var/lib/paperless"];
  repository = "b2:bucket:forge";
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		g := newGathered()
		for _, r := range f.requirements() {
			d := finding(r.protection.Origin)
			d.Service, d.Path = r.row.service.Name, r.row.path
			switch {
			case r.tier == stateward.TierReboot:
				continue // SW101
			case r.cell.State == stateward.SurvivalUnknown && r.cell.By == notDatabase:
				d.Severity = stateward.SeverityWarning
				d.Hint = "ask for it at the data of the database; of another one test it by hand, and acknowledge the finding with what came of it"
				g.add(d, func(who string) string {
					return fmt.Sprintf("cannot tell whether the tier %s holds for %s: %s", r.tier, who, r.cell.By)
				})
			case r.cell.State == stateward.SurvivalUnknown:
				d.Severity = stateward.SeverityWarning
				d.Hint = "make what hides the answer readable; where you know that it does, acknowledge the finding and say why"
				g.add(d, func(who string) string {
					return fmt.Sprintf("cannot tell whether state of %s survives %s: %s", who, lossOf[r.tier], r.cell.By)
				})
			case r.cell.State == stateward.SurvivalNo:
				d.Severity = stateward.SeverityError
				d.Hint = mendTier[r.tier]
				g.add(d, func(who string) string {
					return fmt.Sprintf("state of %s does not survive %s, as its protection asks: %s", who, lossOf[r.tier], r.cell.By)
				})
			}
		}
		return g.findings()
	},
}

var mendTier = map[stateward.Tier]string{
	stateward.TierRollback:    "take snapshots of its dataset, such as by services.sanoid.datasets",
	stateward.TierDisk:        "back it up, or replicate its dataset, to another pool or another host",
	stateward.TierSite:        "back it up to a provider of storage, or to a host in another house",
	stateward.TierPointInTime: "archive its write-ahead log (archive_mode, archive_command, archive_timeout) and make base backups by a timer",
	stateward.TierRebuild:     "declare its preseed with a source that is not on its own disk, and install what stateward preseed plan --host writes",
}
