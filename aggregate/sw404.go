package aggregate

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var sw404 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW404", Title: "backup does not hold what a preseed is to restore", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"R2"},
		Doc: doc(`
A preseed restores from a restic job that stores only a part of the service's dataset, or none of the paths that are to be restored (` + "`" + `preseed.paths` + "`" + `). What comes back then lacks the rest, and the service
starts on it. It is information where the job stores parts only and the preseed restores all there is: the rest may be of no worth.

It is a warning too where a job stores the dataset by a path in a snapshot (` + "`" + `/srv/app/.zfs/snapshot/daily` + "`" + `): restic records that path, and a restore that asks for ` + "`" + `/srv/app` + "`" + ` finds nothing. What ` + "`" + `stateward backup plan` + "`" + ` writes records
where the folder of the snapshot was, and is not meant.

Mend it by backing up the whole dataset, or by naming in ` + "`" + `paths` + "`" + ` what the job holds.

` + "```nix" + `
stateward.services.paperless = {
  dataDir = "/var/lib/paperless";
  backup.paths = ["/var/lib/paperless"];
  preseed.sources = ["local" "restic"];
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for i := range f.copies().preseeds {
			r := &f.copies().preseeds[i]
			say := func(severity stateward.Severity, hint, format string, args ...any) {
				d := finding(r.Origin)
				d.Service, d.Severity, d.Hint, d.Message = r.Service, severity, hint, "preseed of "+r.Service+": "+fmt.Sprintf(format, args...)
				out = append(out, d)
			}
			if p := f.preseedOf(r); r.RunBy != "" && p != nil && slices.Contains(p.Sources.Or(nil), "restic") {
				at := f.dataPlace(r.Service)
				for _, j := range f.theJobs() {
					for _, stored := range j.of.Paths.Or(nil) {
						if place, _, through := strings.Cut(stored.String(), "/.zfs/snapshot/"); through && at != "" && place == at {
							say(stateward.SeverityWarning, "have it store "+at+", or restore by the path of the snapshot", "%s stores %s, and its snapshots record that path: a restore that asks for %s finds nothing", j.of.String(), stored, at)
						}
					}
				}
			}
			if r.Plan == nil || r.Job == nil {
				continue
			}
			holds := func(rel string) bool {
				at := path.Join(r.Plan.Mountpoint, rel)
				return slices.ContainsFunc(r.Job.Paths, func(dir string) bool { return dir == "/" || at == dir || strings.HasPrefix(at, dir+"/") })
			}
			touches := func(rel string) bool {
				at := path.Join(r.Plan.Mountpoint, rel)
				return holds(rel) || slices.ContainsFunc(r.Job.Paths, func(dir string) bool { return strings.HasPrefix(dir, at+"/") })
			}
			for _, rel := range r.Plan.Paths {
				if !touches(rel) {
					say(stateward.SeverityWarning, "name what the job stores, or have it store this", "restic job %s stores nothing of %s, which is to be restored", r.Job.Name, path.Join(r.Plan.Mountpoint, rel))
				}
			}
			if len(r.Plan.Paths) == 0 && !holds("") {
				say(stateward.SeverityInfo, "have it store "+r.Plan.Mountpoint+"; where the rest is of no worth, name in paths what is restored", "restic job %s stores %s and not all of %s: what is restored from it lacks the rest", r.Job.Name, some(r.Job.Paths), r.Plan.Mountpoint)
			}
		}
		return out
	},
}
