package aggregate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

var sw302 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW302", Title: "job removes snapshots of another job in the same repository", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"R4"},
		Doc: doc(`
Two restic jobs store in one repository, and one of them runs ` + "`restic forget --prune`" + ` for all that is there: its policy hits the snapshots of the other
job too, which was to keep them for longer. The shortest policy of all decides, and nothing says so.

Mend it by giving each job a repository of its own, or by scoping what it forgets. Several jobs with the same policy do no harm.

` + "```nix" + `
services.restic.backups.database = {
  extraBackupArgs = ["--tag database"];
  pruneOpts = ["--tag database" "--keep-daily 7"];
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		sharing := map[string][]*backup.Job{}
		jobs, _ := backup.Jobs(f.host)
		for i := range jobs {
			j := &jobs[i]
			if r, ok := j.Repository.Get(); ok && !j.Asked && j.Engine.Or("") == "restic" && r.Where != backup.WhereUnknown {
				sharing[r.Name] = append(sharing[r.Name], j)
			}
		}
		for _, a := range jobs {
			r, _ := a.Repository.Get()
			policy := policyOf(&a)
			if policy == nil || a.Asked || scoped(&a) {
				continue
			}
			var harmed []string
			removed := 0
			for _, b := range sharing[r.Name] {
				if b.Origin == a.Origin && b.Name == a.Name || b.Prune.IsUnknown() {
					continue
				}
				if n := removedOf(policyOf(b), policy); n > 0 {
					harmed = append(harmed, b.Name)
					removed = max(removed, n)
				}
			}
			if len(harmed) == 0 {
				continue
			}
			slices.Sort(harmed)
			d := finding(a.Origin)
			d.Message = fmt.Sprintf("%s forgets in all of %s by its own policy, and so removes what %s keep%s there: %d of three years' daily snapshots", a.String(), r.Name,
				strings.Join(harmed, ", "), map[bool]string{true: "s"}[len(harmed) == 1], removed)
			d.Hint = "scope it with --tag, --host or --path in its options, give it a repository of its own, or give all jobs one policy"
			out = append(out, d)
		}
		return out
	},
}

// policyOf is what a job forgets by; nil where it forgets nothing.
func policyOf(j *backup.Job) *backup.ResticPolicy {
	p, ok := j.Prune.Get()
	if !ok || p.KeepsNothing() {
		return nil
	}
	return p.Restic
}

// scoped tells whether a job forgets in a part of the repository only.
func scoped(j *backup.Job) bool {
	for _, o := range j.Prune.Or(backup.Prune{}).Others {
		name, _, _ := strings.Cut(o, "=")
		if slices.Contains([]string{"--tag", "--host", "-H", "--path", "--dry-run", "-n"}, name) || strings.Contains(o, "$") {
			return true
		}
	}
	return false
}

// removedOf counts what of three years of daily snapshots one policy keeps and the other removes; without a policy all is kept.
func removedOf(keeps, other *backup.ResticPolicy) int {
	history := make([]backup.Snapshot, 3*365)
	for i := range history {
		history[i] = backup.Snapshot{ID: fmt.Sprint(i), Time: since.Add(-time.Duration(i) * 24 * time.Hour)}
	}
	if keeps != nil {
		gone, err := backup.Removed(*keeps, *other, history, since)
		if err != nil {
			return 0
		}
		return len(gone)
	}
	d, err := other.Apply(history, since)
	if err != nil {
		return 0
	}
	return len(d.Remove)
}
