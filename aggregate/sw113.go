package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
)

var sw113 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW113", Title: "path is spelt another way than it is mounted", Severity: stateward.SeverityInfo, Since: "0.1", Traps: []string{"P10", "N9"},
		Doc: doc(`
A persisted path has a trailing or doubled slash. It is the same path, but ` + "`lib.unique`" + ` and assertions that compare
texts take it for another one, and a second entry for the same place goes unnoticed.

A persisted path that lies inside of a persistence root is another matter, and a warning:
` + "`/persist/var/lib/sonarr`" + ` in the lists of ` + "`/persist`" + ` is stored at ` + "`/persist/persist/var/lib/sonarr`" + `, and hides what is at
the path itself.

Mend it by writing the path as the service sees it, without the root in front.

` + "```nix" + `
environment.persistence."/persist".directories = ["/persist/var/lib/sonarr"]; # write "/var/lib/sonarr"
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, e := range f.entries {
			if e.Problem != nil {
				continue
			}
			if e.Unclean() {
				d := finding(e.Origin)
				d.Path = e.Path.String()
				d.Message = fmt.Sprintf("%q is %s spelt differently", e.Text, e.Path)
				d.Hint = "write " + nixString(e.Path.String())
				out = append(out, d)
			}
			for _, r := range f.roots {
				rel, ok := r.path.Rel(e.Path)
				if !ok || r.path == stateward.Root {
					continue
				}
				d := finding(e.Origin)
				d.Severity = stateward.SeverityWarning
				d.Path = e.Path.String()
				d.Message = fmt.Sprintf("%s lies inside of the persistence root %s: it is stored at %s and hides what is there", e.Path, r.path, e.root.path.Mount(e.Path))
				d.Hint = fmt.Sprintf("write %s", nixString("/"+rel))
				if rel == "." {
					d.Hint = "drop the entry"
				}
				out = append(out, d)
			}
		}
		return out
	},
}
