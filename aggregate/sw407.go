package aggregate

import (
	"fmt"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/drill"
)

var sw407 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW407", Title: "preseed tries for less time than a restore takes", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"E10"},
		Doc: doc(`
The last restore drill of a job that passed took longer than the preseed that restores from it tries. What is being restored is not cut off, but once the time is over nothing is tried again: one connection that breaks at the end of a long
restore fails the run, and the service stays down until somebody starts it. The time is that of the restore alone, as the record of the drill has it (` + "`" + `stateward drill` + "`" + `, given with ` + "`" + `--drills` + "`" + `); one of a part of the job is the least that all of it takes.

Mend it by the time-out, with room for a slow network.

` + "```nix" + `
stateward.services.photos.preseed.timeout = "2d";
` + "```" + `
`),
	},
	drills: true,
	run: func(f *facts) []stateward.Diagnostic {
		if f.drills == nil {
			return nil
		}
		var out []stateward.Diagnostic
		own, _ := f.host.HostName.Get()
		for i := range f.copies().preseeds {
			r := &f.copies().preseeds[i]
			if r.Plan == nil || r.Job == nil {
				continue
			}
			var last *drill.Record
			for k := range f.drills.Records {
				x := &f.drills.Records[k]
				if x.Job == r.Job.Name && (x.Host == f.host.Name || own != "" && x.Host == own) && x.Verdict == drill.Passed && (last == nil || x.Ended.After(last.Ended)) {
					last = x
				}
			}
			if last == nil || last.Restored.Seconds <= r.Plan.Patience().Seconds() {
				continue
			}
			took, _ := stateward.NewDuration(time.Duration(last.Restored.Seconds) * time.Second)
			may, _ := stateward.NewDuration(r.Plan.Patience())
			d := finding(r.Origin)
			d.Service = r.Service
			d.Message = fmt.Sprintf("preseed of %s tries for %s, and the drill of %s, of %s, took %s to restore %s", r.Service, may, r.Job.Name, day(last.Ended), took, map[bool]string{true: "all of it", false: "a part of it"}[last.Restored.Whole])
			d.Hint = "write a longer timeout"
			out = append(out, d)
		}
		return out
	},
}
