package aggregate

import (
	"fmt"
	"slices"

	"github.com/stateward/stateward"
)

var sw104 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW104", Title: "state of a DynamicUser service is persisted through its symbolic link", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"P3"},
		Doc: doc(`
With ` + "`DynamicUser = true`" + ` systemd keeps a unit's state in ` + "`/var/lib/private/NAME`" + `; ` + "`/var/lib/NAME`" + ` is only a symbolic
link to it. Persisting ` + "`/var/lib/NAME`" + ` puts a mounted directory where systemd wants its link, so that the unit does
not start; and a backup of that path stores a link and no data.

Mend it by persisting the real place:

` + "```nix" + `
environment.persistence."/persist".directories = [
  {
    directory = "/var/lib/private";
    mode = "0700";
  }
];
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, e := range f.entries {
			if e.Problem != nil {
				continue
			}
			unit, ok := f.dynamic[e.Path]
			if !ok {
				continue
			}
			d := finding(e.Origin)
			d.Path = e.Path.String()
			d.Message = fmt.Sprintf("%s runs with DynamicUser and keeps its state in %s: the persisted %s is a symbolic link, at which the unit fails at the next boot", unit, f.real(e.Path), e.Path)
			d.Hint = "replace it: " + f.persistElements(stateward.Directory, privateElement)
			out = append(out, d)
		}
		for _, j := range f.host.Jobs.Or(nil) {
			for _, p := range j.Paths.Or(nil) {
				unit, ok := f.dynamic[p.Path]
				if p.Problem != nil || !ok || slices.ContainsFunc(f.mounts[p.Path], func(m mount) bool { return m.doubt == "" }) {
					continue // what is mounted there is no symbolic link
				}
				d := finding(p.Origin)
				d.Severity = stateward.SeverityWarning
				d.Path = p.Path.String()
				d.Message = fmt.Sprintf("%s runs with DynamicUser: %s job %s stores the symbolic link %s and none of the state in %s", unit, j.Engine, j.Name, p.Path, f.real(p.Path))
				d.Hint = fmt.Sprintf("back up %s", f.real(p.Path))
				out = append(out, d)
			}
		}
		return out
	},
}
