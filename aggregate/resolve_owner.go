package aggregate

import (
	"fmt"
	"strings"

	"github.com/stateward/stateward"
)

func (r *resolver) index() {
	units, users := r.host.Units.Or(nil), r.host.Users.Or(nil)
	r.units = make(map[string]*stateward.Unit, len(units))
	for i := range units {
		r.units[units[i].Name] = &units[i]
	}
	r.accounts = make(map[string]*stateward.User, len(users))
	for i := range users {
		r.accounts[users[i].Name] = &users[i]
	}
}

// owned gives an entry that is to be added, and that nobody gave an owner, to the static user
// its service runs as: the persistence module would create it for root.
func (r *resolver) owned(e *stateward.Entry, s *stateward.Service) {
	if e.HasOwner() && !(e.Group.IsAbsent() && e.User.IsKnown()) {
		return
	}
	user, group := e.User, stateward.Value[stateward.Owner]{}
	if u := r.unitOf(s); u != nil {
		if dyn, known := u.DynamicUser.Get(); known && dyn || u.DynamicUser.IsUnknown() || u.User.IsUnknown() {
			return
		}
		if user.IsAbsent() {
			user = u.User
		}
		if u.User.String() == user.String() {
			group = u.Group
		}
	}
	name, ok := user.Get()
	if !ok || name.String() == "root" || strings.Contains(name.String(), "%") {
		return
	}
	if a, ok := r.accounts[name.String()]; ok && group.IsAbsent() {
		group = stateward.MapValue(a.Group, stateward.ParseOwner)
	}
	e.User = user
	if group.IsKnown() {
		e.Group = group
	}
}

// unitOf returns the first unit of a service that is there.
func (r *resolver) unitOf(s *stateward.Service) *stateward.Unit {
	if len(r.units) == 0 {
		return nil
	}
	for _, name := range s.Units {
		if u, ok := r.units[name]; ok {
			return u
		}
	}
	return r.units[s.Name+".service"]
}

// merge takes over owner and mode that the entry of the list leaves open.
func (r *resolver) merge(i int, e *stateward.Entry) {
	if !e.HasOwner() {
		return
	}
	have := &r.Entries[i].Entry
	before := *have
	defer func() {
		if now := &r.Entries[i]; now.From == FromHost {
			was, is := undefaulted(before), undefaulted(now.Entry)
			now.Changed = now.Changed || keyOf(&was) != keyOf(&is)
		}
	}()
	for _, f := range ownerFields(have, e) {
		if f.differ {
			r.note(NoteConflict, e.Path.String(), e.Origin.String(), fmt.Sprintf("%s: %s is %s by %s and %s by %s", e.Path, f.name, f.a, have.Origin, f.b, e.Origin), e.Origin)
		}
	}
	if have.User.IsAbsent() && e.User.IsKnown() {
		have.User = e.User
	}
	if have.Group.IsAbsent() && e.Group.IsKnown() {
		have.Group = e.Group
	}
	if have.Mode.IsAbsent() && e.Mode.IsKnown() {
		have.Mode = e.Mode
	}
}

type ownerField struct {
	name, a, b string
	differ     bool
}

// ownerFields compares what both entries give and know.
func ownerFields(a, b *stateward.Entry) []ownerField {
	one := func(name string, x, y string, both bool) ownerField {
		return ownerField{name: name, a: x, b: y, differ: both && x != y}
	}
	return []ownerField{
		one("user", a.User.String(), b.User.String(), a.User.IsKnown() && b.User.IsKnown()),
		one("group", a.Group.String(), b.Group.String(), a.Group.IsKnown() && b.Group.IsKnown()),
		one("mode", a.Mode.String(), b.Mode.String(), a.Mode.IsKnown() && b.Mode.IsKnown()),
	}
}

var (
	rootUser       = stateward.MustOwner("root")
	defaultMode, _ = stateward.NewMode(0o755)
)

// undefaulted leaves out what equals the defaults of both modules for a directory of the system's: to say it changes
// nothing, and evaluated options do not tell whether it was said.
func undefaulted(e stateward.Entry) stateward.Entry {
	if e.Kind != stateward.Directory || e.Rare().OfUser != "" {
		return e
	}
	if u, ok := e.User.Get(); ok && u == rootUser {
		e.User = stateward.Value[stateward.Owner]{}
	}
	if g, ok := e.Group.Get(); ok && g == rootUser {
		e.Group = stateward.Value[stateward.Owner]{}
	}
	if m, ok := e.Mode.Get(); ok && m == defaultMode {
		e.Mode = stateward.Value[stateward.Mode]{}
	}
	return e
}
