package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/preseed"
)

var sw409 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW409", Title: "declared preseed that nothing runs", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"E9"},
		Doc: doc(`
A service says how its empty dataset comes back, and the host has no unit that does it, or one that was written of something else. The declaration looks like a guard,
and restores nothing. It is a warning too where no plan can be made of it, as for a service without a dataset of its own, and where the unit asks a backup job that nothing runs.

Nothing is said where a unit by hand (` + "`preseed-NAME.service`" + `) has the name of the service, however that is spelt. Of what is wrong with its sources SW403 speaks, of who does not wait for it SW401.

Mend it by what ` + "`" + `stateward preseed plan -o nix` + "`" + ` writes, which has to be written again when what is asked for changes.

` + "```sh" + `
stateward preseed plan .#forge -o nix > preseed.nix
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		if f.host.Units.IsUnknown() {
			return nil
		}
		var out []stateward.Diagnostic
		for i := range f.copies().preseeds {
			r := &f.copies().preseeds[i]
			if r.RunBy == "" && f.preseedByHand(r.Service) {
				continue
			}
			d := finding(r.Origin)
			d.Service = r.Service
			d.Hint = f.again("stateward preseed plan -o nix writes what runs it")
			if r.Plan == nil && r.RunBy == "" {
				said := false
				for _, x := range r.Faults {
					switch x.Kind {
					case preseed.NoSource, preseed.SourceMissing, preseed.SourceUnclear, preseed.NoReason, preseed.NotKnown:
						said = true // by SW403, SW406 and SW603
						continue
					}
					d.Message, d.Hint, said = x.Error()+", and so no unit can run it", x.Hint, true
					out = append(out, d)
				}
				if said {
					continue
				}
			}
			switch r.State {
			case preseed.NotRun:
				d.Message = fmt.Sprintf("%s asks for a preseed, and no unit that is read runs it", r.Service)
			case preseed.Stale:
				d.Message = fmt.Sprintf("%s asks for a preseed, and %s was written of something else", r.Service, r.Unit)
				d.Hint = f.again("write it again: stateward preseed plan -o nix")
			case preseed.NoJob:
				d.Message = fmt.Sprintf("%s restores %s from restic job %s, which nothing that is read runs", r.Unit, r.Service, r.Job.Name)
				d.Hint = f.again("stateward backup plan -o nix writes what runs the job")
			default:
				continue
			}
			out = append(out, d)
		}
		return out
	},
}
