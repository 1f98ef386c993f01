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
sends it anywhere. Or the list of sources is empty. No plan can be made, and nothing is restored. It is a warning too where several would do, and which of them is meant is not said.

Of a preseed that a unit of the configuration's own runs only an empty list is said.

Mend it by configuring the source, by naming it, or by leaving it out of the list; without a list, what there is is asked.

` + "`" + `` + "`" + `` + "`" + `nix
stateward.services.paperless = {
  backup.repository = "nas";
  preseed.sources = [ "local" "restic" ];
};
` + "`" + `` + "`" + `` + "`" + `
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
