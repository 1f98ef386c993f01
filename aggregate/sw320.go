package aggregate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/drill"
)

const sw320Code = "SW320"

// namesJobs tells whether an option, or one below it, says which backup jobs there are, or how often to try them.
func namesJobs(subject string) bool {
	path := components(subject)
	for _, every := range [][]string{{"stateward", "backup", "defaults", "drill", "every"}, {"stateward", "services", "*", "backup", "drill", "every"}} {
		if startsWith(path, every[:min(len(path), len(every))]) {
			return true
		}
	}
	return slices.ContainsFunc([]string{"services.restic.backups", "modules.services.backup", "qgroget.backups", "stateward.services"}, func(option string) bool {
		return startsWith(strings.Split(option, "."), components(subject))
	})
}

var sw320 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: sw320Code, Title: "restore drill is overdue, or failed", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"R13"},
		Doc: doc(`
The records of restore drills (` + "`stateward drill`" + `, given with ` + "`--drills`" + `) have none of this job that passed within the time that the job asks
for, or the newest one did not pass. Jobs run, repositories are checked, and that a service comes back out of it has not been seen for
longer than was meant. It is an error where the newest drill failed: what was tried could not be restored whole.

A job without any record is information, and a warning where it asks for drills: the contract's ` + "`backup.drill.every`" + ` says how old the last
that passed may be, whatever the records say. Without ` + "`--drills`" + ` nothing is said: no records that were looked at is not the same as no drills. A
record belongs to the host and the job that it names.

Mend it: see what the drill said, and have a timer start it.

` + "```sh" + `
stateward drill --plan /etc/stateward/backup/paperless.json
stateward drill units --plan /etc/stateward/backup/paperless.json --write /etc/systemd/system
` + "```" + `
`),
	},
	drills: true,
	run: func(f *facts) []stateward.Diagnostic {
		if f.drills == nil || f.now.IsZero() {
			return nil
		}
		var records []drill.Record
		subjects := map[string]stateward.Diagnostic{}
		called, declared := map[string]string{}, map[string]string{}
		wanted := map[string]stateward.Origin{}
		own, _ := f.host.HostName.Get()
		for _, r := range f.drills.Records {
			if r.Host != f.host.Name && (own == "" || r.Host != own) {
				continue
			}
			r.Host = f.host.Name
			records = append(records, r)
			// A job that the configuration does not show has records all the same.
			subjects[r.Job], called[r.Job] = stateward.Diagnostic{Subject: "drill " + r.Job}, "job "+r.Job
		}
		jobs, _ := backup.Jobs(f.host)
		for i := range jobs {
			if j := &jobs[i]; j.Engine.Or("") != "borg" {
				subjects[j.Name], called[j.Name] = finding(j.Origin), j.String()
				// What is not understood `stateward backup plan` says.
				if d := j.Drill(); d != nil && d.Every != "" && (&backup.Drill{Every: d.Every}).Validate(nil) == nil {
					declared[j.Name], wanted[j.Name] = d.Every, j.Settings["drill.every"].Origin()
				}
			}
		}
		var out []stateward.Diagnostic
		for job, d := range subjects {
			s := drill.Overdue(f.host.Name, job, declared[job], records, f.now)
			run := "run it: stateward drill --plan FILE, and see that its timer is there: stateward drill units"
			switch {
			case s.Newest == nil && declared[job] != "":
				d.Message = fmt.Sprintf("there is no record of a restore drill of %s, and %s asks for one every %s", called[job], wanted[job].Option, declared[job])
				d.Hint = "run it: stateward drill --plan FILE, and install its timer: stateward backup plan writes that too"
			case s.Newest == nil:
				d.Severity = stateward.SeverityInfo
				d.Message = fmt.Sprintf("there is no record of a restore drill of %s", called[job])
				d.Hint = "try whether it can be restored: stateward drill --plan FILE"
			case s.Newest.Verdict != drill.Passed:
				if s.Newest.Verdict == drill.Failed {
					d.Severity = stateward.SeverityError
				}
				d.Message = fmt.Sprintf("the newest restore drill of %s, of %s, %s", called[job], day(s.Newest.Ended), verdictText(s.Newest))
				if s.Passed == nil {
					d.Message += "; none ever passed"
				} else {
					d.Message += "; the last that passed is of " + day(s.Passed.Ended)
				}
				d.Hint = "mend what it says, and " + run
			case s.Overdue:
				d.Message = fmt.Sprintf("the last restore drill of %s that passed is of %s, %s ago, and may be %s old", called[job], day(s.Passed.Ended), days(s.Age), days(s.Every))
				d.Hint = run
			default:
				continue
			}
			out = append(out, d)
		}
		return out
	},
}

// verdictText is how a drill ended that did not pass.
func verdictText(r *drill.Record) string {
	text := map[drill.Verdict]string{drill.Failed: "failed", drill.Unknown: "could not tell", drill.Refused: "was refused", drill.Interrupted: "was interrupted"}[r.Verdict]
	if r.Message != "" {
		text += ": " + strings.TrimSpace(r.Message)
	}
	return text
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// days is a time span in whole days.
func days(d time.Duration) string {
	if n := int(d / (24 * time.Hour)); n != 1 {
		return fmt.Sprintf("%d days", n)
	}
	return "1 day"
}
