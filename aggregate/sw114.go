package aggregate

import (
	"fmt"
	"maps"
	"slices"

	"github.com/stateward/stateward"
)

var sw114 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW114", Title: "disabled service is still persisted or backed up", Severity: stateward.SeverityInfo, Since: "0.1", Traps: []string{"P11"},
		Doc: doc(`
A service is disabled, and its directory is still persisted or backed up. That loses nothing. It is said because the
directory is created, mounted and copied for nobody, and because a service that was meant to run is perhaps missing.

Mend it by dropping the entry once the data is no longer wanted, or by enabling the service.
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		used := map[stateward.AbsPath]bool{}
		for _, r := range f.rows {
			used[r.state.Path] = true
			used[f.real(r.state.Path)] = true
		}
		// A directory that others keep state in, or that is nobody's in particular (/var, /srv), is no leftover.
		for p := range maps.Clone(used) {
			for q := p; q != stateward.Root && !q.IsZero(); q = q.Parent() {
				used[q] = true
			}
		}
		shared := func(p stateward.AbsPath) bool { return slices.Contains(nobodys, p.String()) }
		idle := map[stateward.AbsPath]string{}
		for _, s := range f.host.Services.Or(nil) {
			if enabled, ok := s.Enable.Get(); !ok || enabled {
				continue
			}
			paths, _ := s.StatePaths()
			for _, p := range paths {
				if p.Problem == nil && !used[p.Path] && !shared(p.Path) && (idle[p.Path] == "" || s.Name < idle[p.Path]) {
					idle[p.Path] = s.Name
				}
			}
		}
		var out []stateward.Diagnostic
		report := func(e stateward.Entry, what string) {
			name, ok := idle[e.Path]
			if e.Problem != nil || !ok {
				return
			}
			d := finding(e.Origin)
			d.Service, d.Path = name, e.Path.String()
			d.Message = fmt.Sprintf("%s is disabled, and its %s is still %s", name, e.Path, what)
			d.Hint = "drop the entry when the data is no longer wanted"
			out = append(out, d)
		}
		for _, e := range f.entries {
			report(*e.Entry, "persisted")
		}
		for _, j := range f.host.Jobs.Or(nil) {
			for _, p := range j.Paths.Or(nil) {
				report(p, fmt.Sprintf("backed up by %s job %s", j.Engine, j.Name))
			}
		}
		return out
	},
}

// nobodys are directories of the file system hierarchy that belong to no single service.
var nobodys = []string{"/", "/etc", "/home", "/mnt", "/opt", "/root", "/srv", "/usr", "/var", "/var/db", "/var/lib", "/var/log", "/var/spool"}
