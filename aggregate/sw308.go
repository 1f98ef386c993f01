package aggregate

import (
	"fmt"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

var sw308 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW308", Title: "replication loses the snapshot that both ends share", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"S3"},
		Doc: doc(`
A replication sends only the snapshots that a policy took (` + "`--no-sync-snap`" + `), and the policy has pruned all of them by the time it runs again: both ends share none,
so that nothing can be sent on top. The copy stays behind, or all of it is sent anew after the target was destroyed.

Mend it by running more often, by keeping snapshots for longer than the time between two runs, or by a bookmark or a hold.

` + "```nix" + `
services.syncoid.commands."tank/srv".extraArgs = ["--no-sync-snap" "--create-bookmark"];
services.sanoid.datasets."tank/srv" = {
  hourly = 24;
  daily = 7;
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		c := f.copies()
		for _, r := range c.replications {
			silent, known := r.of.NoSyncSnap.Get()
			source, named := r.of.Source.Get()
			if !known || !silent || !named || !source.Here() || f.host.Snapshots.IsUnknown() || c.snapshots != "" {
				continue
			}
			d := finding(r.of.Origin)
			if policy, doubtful := c.policyOf(source.Dataset); policy == nil && !doubtful {
				d.Message = fmt.Sprintf("%s takes no snapshot itself, and nothing that is read takes any of %s: there is nothing to send", r.of.String(), source.Dataset)
				d.Hint = "leave out --no-sync-snap, or take snapshots of the dataset"
				out = append(out, d)
				continue
			}
			base := backup.Continuity(c.policies, &r.of, since, time.UTC)
			if base.State != backup.ContinuityBroken {
				continue
			}
			d.Message = fmt.Sprintf("%s may find none of what it sent: %s", r.of.String(), base.Why)
			d.Hint = "run it more often, keep snapshots for longer, or add --create-bookmark or --use-hold"
			out = append(out, d)
		}
		return out
	},
}

// policyOf is the policy by which snapshots of a dataset are taken and kept; doubtful where that is not known.
func (c *copies) policyOf(name string) (policy *backup.SnapshotPolicy, doubtful bool) {
	p, doubt := backup.Governing(c.policies, name)
	switch {
	case doubt != "" || p != nil && p.Taken().IsUnknown():
		return nil, true
	case p == nil || len(p.Taken().Or(nil)) == 0:
		return nil, false
	}
	return p, false
}
