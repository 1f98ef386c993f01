package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

var sw205 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW205", Title: "owner of a dataset does not fit its service", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"D7", "D9"},
		Doc: doc(`
A dataset is given an owner, and the service whose data lies there runs as another user, who cannot write: often ` + "`root:root`" + `, the
default that nobody changed. The service fails at its first start, or keeps its data somewhere else.

It is an error where no entry of ` + "`users.users`" + ` or ` + "`users.groups`" + ` defines the owner or group: chown fails, and with it whatever
makes the datasets, in the middle. The user of a unit with DynamicUser is such a one: it is there only while the unit runs.

Nothing is said where the mode lets the group of the service write, or where systemd (` + "`StateDirectory`" + `) or a rule of tmpfiles
gives the place to the service anyway. Numbers need no entry.

Mend it by naming the user and group of the service:

` + "```nix" + `
modules.storage.datasets.services.sonarr = {
  owner = "sonarr";
  group = "media";
  mode = "0750";
}; # and not root
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, w := range f.declared() {
			at, ok := mountedAt(w)
			if !ok {
				continue
			}
			undefined := f.undefinedOwners(w, at)
			out = append(out, undefined...)
			if len(undefined) == 0 {
				out = append(out, f.strangers(w, at)...)
			}
		}
		return out
	},
}

// undefinedOwners are owner and group of a dataset that nothing defines.
func (f *facts) undefinedOwners(w *dataset.Wanted, at stateward.AbsPath) []stateward.Diagnostic {
	var out []stateward.Diagnostic
	users, usersKnown := f.host.Users.Get()
	groups, groupsKnown := f.host.Groups.Get()
	for _, o := range []struct {
		what, option string
		owner        stateward.Owner
		known        bool
		defined      func(string) bool
	}{
		{"owner", "users.users", w.Owner, usersKnown, func(n string) bool {
			return slices.ContainsFunc(users, func(u stateward.User) bool { return u.Name == n })
		}},
		{"group", "users.groups", w.Group, groupsKnown, func(n string) bool {
			return slices.ContainsFunc(groups, func(g stateward.Group) bool { return g.Name == n })
		}},
	} {
		name := o.owner.String()
		if o.owner.IsZero() || !o.known || numeric(o.owner) || name == "root" || o.defined(name) {
			continue
		}
		if len(out) > 0 && w.Owner == w.Group {
			out[0].Message = strings.Replace(out[0].Message, "the owner", "the owner and group", 1)
			out[0].Message = strings.Replace(out[0].Message, "of users.users", "of users.users or users.groups", 1)
			continue
		}
		d := finding(w.Origin)
		d.Severity, d.Path = stateward.SeverityError, at.String()
		if len(w.Services) == 1 {
			d.Service = w.Services[0]
		}
		d.Message = fmt.Sprintf("dataset %s is given the %s %s, and no entry of %s defines that: chown fails where the dataset is made", w.Name, o.what, name, o.option)
		d.Hint = fmt.Sprintf("%s = { … }; or name one that is defined", stateward.OptionPath("users", o.option[len("users."):], name))
		for _, u := range f.host.Units.Or(nil) {
			dynamic, _ := u.DynamicUser.Get()
			if on, known := u.Enable.Get(); (on || !known) && dynamic && (u.User.Or(stateward.Owner{}) == o.owner || u.User.IsAbsent() && u.Name == name+".service") {
				d.Message = fmt.Sprintf("dataset %s is given the %s %s, which %s has only while it runs (DynamicUser): chown fails where the dataset is made", w.Name, o.what, name, u.Name)
				d.Hint = "leave the owner to systemd, or give the unit a user of its own: DynamicUser = lib.mkForce false"
			}
		}
		out = append(out, d)
	}
	return out
}

// strangers are the services whose data a dataset holds, and that cannot write there.
func (f *facts) strangers(w *dataset.Wanted, at stateward.AbsPath) []stateward.Diagnostic {
	if w.Owner.IsZero() || f.stateHeld(at) {
		return nil
	}
	var out []stateward.Diagnostic
	f.running(func(s *stateward.Service) {
		if !slices.Contains(w.Services, s.Name) || len(out) > 0 {
			return
		}
		paths, _ := s.StatePaths()
		if !slices.ContainsFunc(paths, func(sp stateward.StatePath) bool {
			return sp.Problem == nil && sp.Path == at && !isImplied(sp.Source)
		}) {
			return
		}
		user, group, by := f.runsAs(s)
		if user.IsZero() || same(user, stateward.MustOwner("root"), f.uid) || same(user, w.Owner, f.uid) {
			return
		}
		if group.IsZero() {
			group = f.groupOf(user)
		}
		if f.mayWrite(w, group) || f.givenTo(at, user) {
			return
		}
		d := finding(w.Origin)
		d.Service, d.Path = s.Name, at.String()
		d.Message = fmt.Sprintf("dataset %s at %s belongs to %s, and %s runs as %s (%s) and cannot write there", w.Name, at, ownership(w), s.Name, user, by)
		d.Hint = fmt.Sprintf("owner = %s; group = %s;", nixString(user.String()), nixString(firstText(group.String(), user.String())))
		out = append(out, d)
	})
	return out
}

func ownership(w *dataset.Wanted) string {
	text := w.Owner.String()
	if !w.Group.IsZero() {
		text += ":" + w.Group.String()
	}
	if !w.Mode.IsZero() {
		text += " with mode " + w.Mode.String()
	}
	return text
}

// runsAs is as whom a service runs, and what says so: its contract, else its only unit. Zero where that is not known.
func (f *facts) runsAs(s *stateward.Service) (user, group stateward.Owner, by string) {
	if u, ok := s.User.Get(); ok {
		return u, s.Group.Or(stateward.Owner{}), s.Origin.Option
	}
	units := f.unitsOf(s)
	if len(units) != 1 || s.User.IsUnknown() || !units[0].DynamicUser.IsAbsent() && units[0].DynamicUser.Or(true) {
		return stateward.Owner{}, stateward.Owner{}, ""
	}
	return units[0].User.Or(stateward.Owner{}), units[0].Group.Or(stateward.Owner{}), units[0].Name
}

// groupOf is the first group of a user, as far as it is known.
func (f *facts) groupOf(user stateward.Owner) stateward.Owner {
	for _, u := range f.host.Users.Or(nil) {
		if u.Name != user.String() {
			continue
		}
		if g, err := stateward.ParseOwner(u.Group.Or("")); err == nil {
			return g
		}
	}
	return stateward.Owner{}
}

// mayWrite tells whether a mode lets others than the owner write who may well be the service: further groups of a user are
// not read.
func (f *facts) mayWrite(w *dataset.Wanted, group stateward.Owner) bool {
	const groupWrites, othersWrite = 0o020, 0o002
	bits := w.Mode.Bits()
	if bits&othersWrite != 0 {
		return true
	}
	root := w.Group.IsZero() || same(w.Group, stateward.MustOwner("root"), f.gid)
	return bits&groupWrites != 0 && (!root || same(group, stateward.MustOwner("root"), f.gid))
}

// givenTo tells whether a rule of tmpfiles gives a place to a user at every boot.
func (f *facts) givenTo(at stateward.AbsPath, user stateward.Owner) bool {
	return f.host.Tmpfiles.IsUnknown() || slices.ContainsFunc(f.host.Tmpfiles.Or(nil), func(r stateward.TmpfilesRule) bool {
		o, ok := r.At.User.Get()
		return r.At.Problem == nil && r.At.Path == at && ok && same(o, user, f.uid)
	})
}
