package aggregate

import (
	"cmp"
	"fmt"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/restic"
)

var sw307 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW307", Title: "declared backup that nothing runs", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"R10", "N10"},
		Doc: doc(`
A service asks for a backup, and no job that is read stores its paths: the declaration looks like a backup, and there is none. Everything written there, such
as a schedule or a retention, reaches nothing.

It is information where a job is there and has no timer: something else may start it, such as a unit that runs all jobs one after the other. And where a tool is
there that is not read.

Mend it by what runs it, which ` + "`stateward backup plan -o nix`" + ` writes; by a job of your own that stores the paths; or by a timer. A unit that was written before what
is asked for changed has to be written again.

` + "```nix" + `
services.restic.backups.paperless = {
  paths = ["/var/lib/paperless"];
  timerConfig.OnCalendar = "daily";
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, j := range f.theJobs() {
			d := finding(j.of.Origin)
			switch {
			case j.of.Asked:
				var left []string
				for _, p := range j.of.Paths.Or(nil) {
					if len(f.storing(p, false)) == 0 {
						left = append(left, p.String())
					}
				}
				if len(left) == 0 {
					continue
				}
				d.Message = fmt.Sprintf("%s asks for a backup of %s, and no job that is read runs it", j.of.Name, some(left))
				d.Hint = f.again("stateward backup plan -o nix writes a module that runs it; or declare a job that stores it, such as in services.restic.backups")
				if unit := f.copies().stale[j.of.Name]; unit != "" {
					d.Message = fmt.Sprintf("%s asks for a backup of %s, and %s was written of something else", j.of.Name, some(left), unit)
					d.Hint = f.again("write it again: stateward backup plan -o nix")
				}
				if by := f.copies().backups; by != "" {
					d.Severity = stateward.SeverityInfo
					d.Message += ": " + by
				} else if problem := unrendered(f.host, j.of.Name); problem != nil {
					d.Message += ", nor can one be written: " + problem.Message
					d.Hint = cmp.Or(problem.Hint, "stateward backup plan says more")
				}
			case j.of.Schedule.IsAbsent():
				if u := f.unitOf(&j.of); u != nil && f.started(u.Name) || f.host.Units.IsUnknown() || f.host.Timers.IsUnknown() {
					continue
				}
				d.Severity = stateward.SeverityInfo
				d.Message = fmt.Sprintf("%s has no timer, and nothing that is read starts it", j.of.String())
				d.Hint = "give it a timer; where something else starts it, acknowledge the finding and say what"
			default:
				continue
			}
			out = append(out, d)
		}
		return out
	},
}

// unrendered is what keeps a job that is asked for from being written, nil where it can be.
func unrendered(h *stateward.Host, name string) *restic.Problem {
	planned, _ := restic.Plan(h, false)
	for i := range planned {
		if p := &planned[i]; p.Of.Asked && p.Of.Name == name && p.Job == nil && len(p.Problems) > 0 {
			return &p.Problems[0]
		}
	}
	return nil
}
