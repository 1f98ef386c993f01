package aggregate

import (
	"fmt"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

var sw509 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW509", Title: "archive of a cluster hangs on one base backup", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"G3"},
		Doc: doc(`
Base backups of a cluster (` + "`stateward.pitr`" + `) are made at longer intervals than its window is long, and none is kept beside: most of the time there is one base backup, and all of the log is applied to that. Where it cannot be restored, for one
damaged file, nothing can be recovered, however complete the log is. A recovery also takes as long as all the log since then does.

Nothing is said where ` + "`redundancy`" + ` is 2 or more, or no window is set: then nothing is removed by age.

Mend it by base backups that are made at least twice in the window, or by a redundancy.

` + "```nix" + `
stateward.pitr.postgresql = {
  schedule = "weekly";
  window = "14d";
  redundancy = 2;
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, p := range f.host.PITRPolicies.Or(nil) {
			on, known := p.Enable.Get()
			window, set := p.Window.Get()
			events, scheduled := p.Schedule.Get()
			if !known || !on || !set || window.Std() <= 0 || !scheduled || p.Redundancy.IsUnknown() || p.Redundancy.Or(0) > 1 {
				continue
			}
			var s backup.Schedule
			for _, text := range events {
				c, err := backup.ParseCalendar(text, f.host.Zones)
				if err != nil {
					s.Calendar = nil
					break // its plan says so
				}
				s.Calendar = append(s.Calendar, c)
			}
			none, _ := stateward.NewDuration(0)
			s.RunTime = &none
			if len(s.Calendar) == 0 {
				continue
			}
			gap := s.WorstGap(since, time.UTC)
			every := gap.To.Sub(gap.From)
			if gap.State != backup.GapBounded || every <= window.Std() {
				continue
			}
			d := finding(originOr(p.Window.Origin(), p.Origin))
			d.Service = p.Name
			d.Message = fmt.Sprintf("base backups of %s are made up to %s apart, and its window is %s: for the most part there is one, and all that can be recovered hangs on it", p.Name, roughly(every), window)
			d.Hint = "redundancy = 2, or a schedule that runs twice in the window"
			out = append(out, d)
		}
		return out
	},
}
