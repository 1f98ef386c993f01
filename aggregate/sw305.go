package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

var sw305 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW305", Title: "repository lies on the disks of its own data", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"R11", "N10"},
		Doc: doc(`
A backup job stores in a directory that lies on the same pool, or on the same file system, as what it backs up: a dead pool takes both, and so does
whoever deletes it. It helps against a mistake and nothing else.

It is information where something may carry the repository away that is not read, and nothing is said where a replication or another job surely does.

Mend it by storing on another pool or another host, or by replicating the repository.

` + "```nix" + `
services.restic.backups.daily.repository = "/srv/restic"; # on the pool of /srv
services.restic.backups.daily.repository = "sftp:backup@nas:/forge"; # on another host
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, j := range f.theJobs() {
			r, ok := j.of.Repository.Get()
			if !ok || r.Where != backup.WhereLocal {
				continue
			}
			c := f.copies()
			var beside []string
			var why string
			for _, p := range j.of.Paths.Or(nil) {
				l := c.s.lies(p)
				if state, reason := c.apart(&l, r.Path); state == stateward.SurvivalNo {
					beside, why = append(beside, p.String()), reason
				}
			}
			if len(beside) == 0 {
				continue
			}
			d := finding(j.of.Origin)
			d.Path = r.Path.String()
			// Without the path of the repository: the subject names it, and a Nix path would be one of this machine.
			d.Message = fmt.Sprintf("%s stores %s: %s", j.of.String(), some(beside), why)
			d.Hint = "store it on another pool or another host, or replicate the repository to one"
			at := c.s.lies(r.Path)
			switch disk, _ := c.elsewhere(&at, c.rollback(&at)); disk.State {
			case stateward.SurvivalYes:
				continue
			case stateward.SurvivalUnknown:
				d.Severity = stateward.SeverityInfo
				d.Message += fmt.Sprintf("; whether it is carried away is not known: %s", disk.By)
			}
			out = append(out, d)
		}
		return out
	},
}
