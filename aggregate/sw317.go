package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var sw317 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW317", Title: "exclude pattern that matches nothing", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"R7"},
		Doc: doc(`
A pattern that begins with a slash is matched with the whole path of a file as the job reads it. A job that reads a snapshot (` + "`.zfs/snapshot`" + `) so has no file that
begins with ` + "`/var/lib`" + `: what was to be left out is stored, caches and secrets among it. Elsewhere a pattern beside all paths of the job is a leftover, and that is information.

Mend it by a pattern that begins as the paths of the job do, or by one without a slash at the beginning, which matches anywhere.

` + "```nix" + `
services.restic.backups.daily = {
  paths = ["/var/lib/app/.zfs/snapshot/backup"];
  exclude = ["/var/lib/app/.zfs/snapshot/backup/cache"];
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, j := range f.theJobs() {
			paths, known := j.of.Paths.Get()
			if !known || len(paths) == 0 || j.of.DynamicPaths.IsUnknown() || j.of.DynamicPaths.Or(false) || !j.of.Dataset.IsAbsent() || j.of.Engine.Or("") != "restic" {
				continue
			}
			snapshot := slices.ContainsFunc(paths, func(p stateward.AbsPath) bool { return strings.Contains(p.String()+"/", "/.zfs/snapshot/") })
			var useless []string
			for _, pattern := range j.of.Exclude.Or(nil) {
				if !strings.HasPrefix(pattern, "/") || strings.Contains(pattern, "$") {
					continue
				}
				fixed := pattern
				if i := strings.IndexAny(pattern, `*?[\`); i >= 0 {
					fixed = pattern[:i] // what is before it is fixed
				}
				meets := slices.ContainsFunc(paths, func(p stateward.AbsPath) bool {
					at := p.String()
					if strings.HasPrefix(at+"/", fixed) || at == stateward.Root.String() {
						return true
					}
					return strings.HasPrefix(fixed, strings.TrimSuffix(at, "/")+"/") || fixed == at
				})
				if !meets {
					useless = append(useless, pattern)
				}
			}
			if len(useless) == 0 {
				continue
			}
			d := finding(j.of.Origin)
			d.Message = fmt.Sprintf("%s leaves out %s, which is beside all of its paths: the pattern matches nothing", j.of.String(), some(useless))
			d.Hint = "take the pattern away, or write it as the paths of the job are"
			if !snapshot {
				d.Severity = stateward.SeverityInfo
			} else {
				d.Message = fmt.Sprintf("%s reads a snapshot and leaves out %s, which matches no path in there: it is stored", j.of.String(), some(useless))
				d.Hint = "begin the pattern with the path of the snapshot, or with no slash"
			}
			out = append(out, d)
		}
		return out
	},
}
