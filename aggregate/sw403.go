package aggregate

import (
	"slices"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/preseed"
)

var sw403 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW403", Title: "preseed asks a source that is not there", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"E7"},
		Doc: doc(`
A service wants its empty dataset back from a source that nothing configures: ` + "`" + `restic` + "`" + ` without a backup job of its dataset, ` + "`" + `replica` + "`" + ` without a replication that
sends it anywhere. Or the list of sources is empty. No plan can be made, and nothing is restored. It is a warning too where several would do, and which of them is meant is not said, and where
all that is asked are the dataset's own snapshots (` + "`local`" + `, which is all there is where nothing else is configured), and nothing takes any: an empty dataset is never filled, and its service stays down. Who wrote why it may start empty (` + "`onNoBackup`" + `) means that.

Of a preseed that a unit of the configuration's own runs only an empty list is said.

Mend it by configuring the source, by naming it, or by leaving it out of the list; without a list, what there is is asked.

` + "```nix" + `
stateward.services.paperless = {
  backup.repository = "nas";
  preseed.sources = ["local" "restic"];
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for i := range f.copies().preseeds {
			r := &f.copies().preseeds[i]
			if r.RunBy != "" {
				if p := f.preseedOf(r); p != nil && p.Sources.IsKnown() && len(p.Sources.Or(nil)) == 0 {
					d := finding(originOr(p.Sources.Origin(), r.Origin))
					d.Service = r.Service
					d.Message = "preseed of " + r.Service + " has no source: nothing is ever restored"
					d.Hint = "name one, or switch the preseed off"
					out = append(out, d)
				}
				continue
			}
			if r.Plan != nil && f.restoresNothing(r.Plan) {
				d := finding(r.Origin)
				d.Service = r.Service
				d.Message = "preseed of " + r.Service + " asks only the snapshots of " + r.Plan.Dataset + ", and nothing takes any: nothing is ever restored"
				d.Hint = "give the service a backup or a replication, or have sanoid take snapshots of the dataset"
				out = append(out, d)
			}
			for _, x := range r.Faults {
				if !slices.Contains([]preseed.FaultKind{preseed.NoSource, preseed.SourceMissing, preseed.SourceUnclear}, x.Kind) {
					continue
				}
				d := finding(originOr(x.Origin, r.Origin))
				d.Service, d.Message, d.Hint = r.Service, x.Error(), x.Hint
				out = append(out, d)
			}
		}
		return out
	},
}

// restoresNothing tells whether a plan asks the dataset's own snapshots only, and nothing takes any that is known, or may.
func (f *facts) restoresNothing(p *preseed.Plan) bool {
	c := f.copies()
	if c.snapshots != "" || p.OnNoBackup == preseed.StartEmpty || slices.ContainsFunc(p.Sources, func(s preseed.Source) bool { return s.Kind != preseed.Local }) {
		return false
	}
	for at := p.Dataset; at != ""; at = parentDataset(at) {
		if len(c.from[at]) > 0 {
			return false // syncoid takes its own
		}
	}
	policy, doubtful := c.policyOf(p.Dataset)
	return policy == nil && !doubtful
}
