package aggregate

import (
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var (
	varLib        = stateward.MustPath("/var/lib")
	varLibPrivate = stateward.MustPath("/var/lib/private")
)

// addUnits finds where DynamicUser moves state (P3).
func (s *storage) addUnits(v stateward.Value[[]stateward.Unit]) {
	if why, unknown := v.Why(); unknown {
		s.perhapsDynamic[varLib] = "whether it is kept in %s is unknown: " + why.String()
	}
	units := v.Or(nil)
	for i := range units {
		u := &units[i]
		dynamic, known := u.DynamicUser.Get()
		if known && !dynamic || u.DynamicUser.IsAbsent() {
			continue
		}
		if why, unknown := u.StateDirectory.Why(); unknown {
			s.perhapsAll(u, "whether "+u.Name+" keeps it in %s is unknown: "+why.String())
		}
		for _, d := range u.StateDirectory.Or(nil) {
			p, _, ok := stateward.StateDirectoryPath(u.Name, d)
			if !ok || varLibPrivate.Contains(p) {
				continue
			}
			if known {
				s.dynamic[p] = firstText(s.dynamic[p], u.Name)
				continue
			}
			why, _ := u.DynamicUser.Why()
			s.perhapsDynamic[p] = firstText(s.perhapsDynamic[p], "whether "+u.Name+" keeps it in %s is unknown: "+why.String())
		}
	}
}

// perhapsAll doubts every place that a unit's service names, where the unit's own list of
// directories could not be had as a whole: each of them may be in that list.
func (s *storage) perhapsAll(u *stateward.Unit, why string) {
	doubt := func(p stateward.AbsPath) {
		rel, ok := varLib.Rel(p)
		if !ok || p == varLib || varLibPrivate.Contains(p) {
			return
		}
		name, _, _ := strings.Cut(rel, "/")
		at, _ := varLib.Join(name)
		s.perhapsDynamic[at] = firstText(s.perhapsDynamic[at], why)
	}
	name := strings.TrimSuffix(u.Name, ".service")
	if p, _, ok := stateward.StateDirectoryPath(u.Name, name); ok {
		doubt(p)
	}
	services := s.host.Services.Or(nil)
	for i := range services {
		if services[i].Name != name && !slices.Contains(services[i].Units, u.Name) {
			continue
		}
		paths, _ := services[i].StatePaths()
		for _, sp := range paths {
			doubt(sp.Path)
		}
	}
}

// real returns where a path's content is: state of a DynamicUser unit is below
// /var/lib/private, and /var/lib/NAME only a symbolic link to it.
func (s *storage) real(p stateward.AbsPath) stateward.AbsPath {
	if len(s.dynamic) == 0 {
		return p
	}
	for q := p; q.Below(varLib); q = q.Parent() {
		if _, ok := s.dynamic[q]; ok {
			return private(p)
		}
	}
	return p
}

// private returns the place that a path below /var/lib has under DynamicUser.
func private(p stateward.AbsPath) stateward.AbsPath {
	rel, _ := varLib.Rel(p)
	r, _ := varLibPrivate.Join(rel)
	return r
}

// perhapsPrivate says why it is not known whether a path's content is below
// /var/lib/private; empty when that is known.
func (s *storage) perhapsPrivate(p stateward.AbsPath) string {
	if len(s.perhapsDynamic) == 0 || !p.Below(varLib) || varLibPrivate.Contains(p) {
		return ""
	}
	for q := range p.Ancestors() {
		if why, ok := s.perhapsDynamic[q]; ok {
			return strings.Replace(why, "%s", private(p).String(), 1)
		}
	}
	return ""
}
