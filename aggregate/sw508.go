package aggregate

import (
	"fmt"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
)

var sw508 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW508", Title: "preseed puts old files under a database that is archived", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"R9", "G4"},
		Doc: doc(`
The write-ahead log of a PostgreSQL server is archived, and a preseed restores the files of its data directory: from a snapshot, a replica or a file backup. What was committed since that copy is lost, though the archive has it. And the server goes on
from there on the same timeline: the segments that it writes now have the names of those that are archived already. They are refused, and the log piles up; or they overwrite the archive, and the time in between is gone for good.

Mend it by the archive as the only source, which begins a new timeline with a place of its own, or by leaving the preseed out and recovering by hand: ` + "`stateward pitr recover`" + ` begins a new timeline, with a place in the archive of its own.

` + "```nix" + `
stateward.services.postgresql.preseed.sources = ["pitr"]; # of stateward.pitr.postgresql
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, p := range f.servers() {
			dir := clusterDir(f.host, p)
			if pitr.ReadArchiving(p).State != stateward.SurvivalYes || dir == "" {
				continue
			}
			for i := range f.copies().preseeds {
				r := &f.copies().preseeds[i]
				if r.Plan == nil || r.RunBy != "" || dir != r.Plan.Mountpoint && !strings.HasPrefix(dir, strings.TrimSuffix(r.Plan.Mountpoint, "/")+"/") {
					continue
				}
				var files []string
				for _, s := range r.Plan.Sources {
					if s.Kind != "pitr" {
						files = append(files, string(s.Kind))
					}
				}
				if len(files) == 0 {
					continue
				}
				d := finding(r.Origin)
				d.Service = r.Service
				d.Message = fmt.Sprintf("preseed of %s restores files of %s from %s, and the log of that cluster is archived: it goes on from an older state, and writes segments that the archive has already", r.Service, dir, strings.Join(files, ", "))
				d.Hint = "have it ask the archive, sources = [ \"pitr\" ]; or switch the preseed off, and recover by hand: stateward pitr recover"
				out = append(out, d)
			}
		}
		return out
	},
}
