package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var sw120 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW120", Title: "persisted directory is not where the service of its name keeps its state", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"P1", "P11"},
		Doc: doc(`
A directory is persisted that has the name of an enabled service, of its unit or of its user, and nothing that the host declares lies
there, while that very service keeps its state somewhere that is not kept. At the next boot the service starts with nothing, and
the configuration looks as if that had been seen to. It happens where a service's directory has another name than the
service: vaultwarden keeps its state in ` + "`/var/lib/bitwarden_rs`" + ` on hosts whose ` + "`system.stateVersion`" + ` is older than 24.11.

Only directories in ` + "`/var/lib` and `/var/db`" + ` are looked at. It is quiet where some of the service's state could not be read.

Mend it by persisting the directory that the service uses:

` + "```nix" + `
environment.persistence."/persist".directories = ["/var/lib/vaultwarden"]; # nothing lies there
environment.persistence."/persist".directories = ["/var/lib/bitwarden_rs"]; # here it is
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		candidates := slices.DeleteFunc(slices.Clone(f.entries), func(e rootEntry) bool {
			return e.Problem != nil || e.Kind != stateward.Directory || e.Rare().OfUser != "" || !ofServices(e.Path)
		})
		if len(candidates) == 0 {
			return nil
		}
		used := f.usedPlaces()
		var named map[string][]string
		var out []stateward.Diagnostic
		for _, e := range candidates {
			if used.touches(e.Path) {
				continue
			}
			if named == nil {
				named = f.servicesByName()
			}
			for _, name := range named[lastComponent(e.Path)] {
				gone := f.notKept(name)
				if len(gone) == 0 {
					continue
				}
				d := finding(e.Origin)
				d.Service, d.Path = name, e.Path.String()
				d.Message = fmt.Sprintf("%s is persisted, where %s keeps nothing: its state is in %s, which is not kept at the next boot", e.Path, name, some(gone))
				d.Hint = "replace it: " + f.persistLine(stateward.Directory, gone...)
				out = append(out, d)
				break
			}
		}
		return out
	},
}

var varDB = stateward.MustPath("/var/db")

// ofServices tells whether a directory is one of those that services have by their names.
func ofServices(p stateward.AbsPath) bool {
	parent := p.Parent()
	return parent == varLib || parent == varLibPrivate || parent == varDB
}

func lastComponent(p stateward.AbsPath) string {
	s := p.String()
	return s[strings.LastIndexByte(s, '/')+1:]
}

// places is a set of paths that knows what lies above and below them.
type places struct {
	at, above map[stateward.AbsPath]bool
}

func (ps *places) add(p stateward.AbsPath) {
	if p.IsZero() || ps.at[p] {
		return
	}
	ps.at[p] = true
	for q := range p.Ancestors() {
		if q != p {
			if ps.above[q] {
				break
			}
			ps.above[q] = true
		}
	}
}

// touches tells whether a place is p, or lies above or below it. What is nobody's in particular does not count.
func (ps *places) touches(p stateward.AbsPath) bool {
	if ps.above[p] {
		return true
	}
	for q := range p.Ancestors() {
		if ps.at[q] && !slices.Contains(nobodys, q.String()) && q != varLibPrivate {
			return true
		}
	}
	return false
}

// usedPlaces are all places that something declares to use, whether it is enabled or not, with their spelling as it is
// declared and as it really is.
func (f *facts) usedPlaces() *places {
	ps := &places{at: map[stateward.AbsPath]bool{}, above: map[stateward.AbsPath]bool{}}
	for _, s := range f.host.Services.Or(nil) {
		paths, _ := s.StatePaths()
		for _, sp := range paths {
			ps.add(sp.Path)
			ps.add(f.real(sp.Path))
		}
	}
	for _, u := range f.host.Units.Or(nil) {
		for _, t := range u.ReadWritePaths.Or(nil) {
			p, _ := stateward.ParsePath(strings.TrimLeft(t, "-+"))
			ps.add(p)
		}
	}
	for _, u := range f.host.Users.Or(nil) {
		p, _ := stateward.ParsePath(u.Home.Or(""))
		ps.add(p)
	}
	for _, t := range f.host.Tmpfiles.Or(nil) {
		ps.add(t.At.Path)
	}
	for _, l := range f.host.Links.Or(nil) {
		p, _ := stateward.ParsePath(l.Target.Or(""))
		ps.add(p)
	}
	for at := range f.mounts {
		ps.add(at)
	}
	for _, r := range f.own.rows {
		ps.add(r.state.Path)
	}
	return ps
}

// servicesByName are the names of enabled services of which all state is known, by their own name and those of
// their units and users.
func (f *facts) servicesByName() map[string][]string {
	hidden := map[string]bool{}
	for _, s := range f.host.Services.Or(nil) {
		if _, complete := s.StatePaths(); !complete || s.Enable.IsUnknown() {
			hidden[s.Name] = true
		}
	}
	named := map[string][]string{}
	for _, s := range f.host.Services.Or(nil) {
		if on, _ := s.Enable.Get(); !on || hidden[s.Name] {
			continue
		}
		names := []string{s.Name}
		for _, u := range s.Units {
			names = append(names, strings.TrimSuffix(u, ".service"))
		}
		if user, ok := s.User.Get(); ok {
			names = append(names, user.String())
		}
		for _, n := range names {
			named[n] = addSorted(named[n], s.Name)
		}
	}
	return named
}

// notKept are the places of a service that are lost or in doubt, the outermost only.
func (f *facts) notKept(name string) []string {
	var gone []string
	for i := range f.rows {
		r := &f.rows[i]
		if r.service.Name != name || r.unread || r.state.Problem != nil || r.readOnly() {
			continue
		}
		switch r.reboot.State {
		case stateward.SurvivalNo, stateward.SurvivalUnknown:
			p, err := stateward.ParsePath(r.path)
			if err == nil && !slices.ContainsFunc(gone, func(o string) bool { return stateward.MustPath(o).Contains(p) }) {
				gone = append(gone, r.path)
			}
		}
	}
	return gone
}
