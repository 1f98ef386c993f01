package aggregate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

// declared are the datasets that the configuration asks for itself, and that are sound; others' are left out.
func (f *facts) declared() []*dataset.Wanted {
	var out []*dataset.Wanted
	for i := range f.desired.Datasets {
		if w := &f.desired.Datasets[i]; w.Role != dataset.Foreign && !w.Implicit {
			out = append(out, w)
		}
	}
	return out
}

// mountedAt is where a declared dataset is mounted by itself; it is false where that is inherited, or it is not.
func mountedAt(w *dataset.Wanted) (stateward.AbsPath, bool) {
	if c, ok := w.Setting("canmount"); ok && c.Text() != "on" {
		return stateward.AbsPath{}, false
	}
	m, ok := w.Setting("mountpoint")
	if !ok {
		return stateward.AbsPath{}, false
	}
	p, err := stateward.ParsePath(m.Text())
	return p, err == nil
}

// running are the services that are on, or may be.
func (f *facts) running(visit func(*stateward.Service)) {
	services := f.host.Services.Or(nil)
	for i := range services {
		if on, known := services[i].Enable.Get(); on || !known && services[i].Enable.IsUnknown() {
			visit(&services[i])
		}
	}
}

// unitsOf are the units of a service that are not off: those that it names, else the one of its name.
func (f *facts) unitsOf(s *stateward.Service) []*stateward.Unit {
	names := s.Units
	if len(names) == 0 {
		names = []string{s.Name + ".service"}
	}
	var out []*stateward.Unit
	units := f.host.Units.Or(nil)
	for i := range units {
		if on, known := units[i].Enable.Get(); (on || !known) && slices.Contains(names, units[i].Name) {
			out = append(out, &units[i])
		}
	}
	return out
}

// stateHeld tells whether systemd gives a place, or one below it, its owner at each start of a unit.
func (f *facts) stateHeld(p stateward.AbsPath) bool {
	for _, u := range f.host.Units.Or(nil) {
		if on, known := u.Enable.Get(); known && !on {
			continue
		}
		if u.StateDirectory.IsUnknown() {
			return true // perhaps
		}
		for _, d := range u.StateDirectory.Or(nil) {
			if at, _, ok := stateward.StateDirectoryPath(u.Name, d); ok && p.Contains(at) {
				return true
			}
		}
	}
	return false
}

// same tells whether two owners are one, by name or by number; unknown numbers differ from no name.
func same(a, b stateward.Owner, id func(string) (int, bool)) bool {
	if a == b {
		return true
	}
	number := func(o stateward.Owner) (int, bool) {
		if n, err := strconv.Atoi(o.String()); err == nil {
			return n, true
		}
		if o.String() == "root" {
			return 0, true
		}
		return id(o.String())
	}
	m, ok := number(a)
	n, also := number(b)
	return ok && also && m == n
}

// numeric tells whether an owner is given as a number, which needs no entry.
func numeric(o stateward.Owner) bool { return strings.Trim(o.String(), "0123456789") == "" }
