package aggregate

import (
	"fmt"
	"slices"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/preseed"
)

var sw408 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW408", Title: "newest backup may be too old for the preseed", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"R12"},
		Doc: doc(`
A preseed refuses what is older than it may be (` + "`" + `preseed.maxAge` + "`" + `), and by the schedule of its source the newest copy can get older than that: on a bad day the restore is refused,
and the service stays down beside a good backup. The time during which the machine is off comes on top. It is said only where the source is the only one that is not on the dataset's own disk, and its schedule is known.

Mend it by an age with room for some days on which nobody looks, or by a schedule that runs more often.

` + "```nix" + `
stateward.services.paperless = {
  backup.schedule = "daily";
  preseed.maxAge = "30d";
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for i := range f.copies().preseeds {
			r := &f.copies().preseeds[i]
			p := f.preseedOf(r)
			if r.Plan == nil || p == nil || r.Job == nil || slices.ContainsFunc(r.Plan.Sources, func(s preseed.Source) bool { return s.Kind == preseed.Replica }) {
				continue
			}
			may, set := p.MaxAge.Get()
			for _, j := range f.theJobs() {
				if j.of.Name != r.Job.Name || !set || j.gap.State != backup.GapBounded || j.gap.Age <= may.Std() {
					continue
				}
				d := finding(originOr(p.MaxAge.Origin(), r.Origin))
				d.Service = r.Service
				d.Message = fmt.Sprintf("preseed of %s takes nothing that is older than %s, and the newest backup by %s can get older: %s", r.Service, may, j.of.String(), j.gap)
				d.Hint = "write a longer maxAge, or back up more often"
				out = append(out, d)
				break
			}
		}
		return out
	},
}
