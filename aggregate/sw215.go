package aggregate

import (
	"fmt"
	"slices"

	"github.com/stateward/stateward"
)

var sw215 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW215", Title: "owner of a place is defined nowhere", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"D9", "P10"},
		Doc: doc(`
A rule of tmpfiles or a persisted directory names a user or group that no entry of ` + "`users.users`" + ` or ` + "`users.groups`" + ` defines: often that of a service
that was renamed, or whose module has been dropped. systemd-tmpfiles skips such a rule, and says so in the journal only: the directory is not made, or stays
root's. What makes persisted directories fails at chown.

The user of a unit with DynamicUser is such a one: at boot, when the rules are carried out, it is not there yet.

Numbers need no entry. Places that no boot outlives are left out. SW205 says the same of datasets.

Mend it by naming one that is defined, or defining it:

` + "```nix" + `
systemd.tmpfiles.rules = ["d /srv/media 0750 sonar media -"]; # sonarr
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		type fault struct {
			at  stateward.AbsPath
			who string
		}
		types, first := map[fault][]string{}, map[fault]int{}
		for _, r := range f.host.Tmpfiles.Or(nil) {
			if _, runtime := runtimePath(r.At.Path); runtime || r.At.Problem != nil || r.At.Path.IsZero() {
				continue
			}
			for _, o := range f.undefined(&r.At) {
				// One finding for a path and a name, however many rules there are.
				k := fault{r.At.Path, o.who}
				i, again := first[k]
				if !again {
					i = len(out)
					first[k] = i
					d := finding(r.Origin)
					d.Path, d.Hint = r.At.Path.String(), o.hint
					out = append(out, d)
				}
				types[k] = append(types[k], r.Type)
				out[i].Message = fmt.Sprintf("%s the %s, and %s: systemd-tmpfiles skips the %s", rulesGive(types[k], k.at), o.who, o.why, plural("rule", len(types[k])))
			}
		}
		for _, e := range f.entries {
			if e.Problem != nil {
				continue
			}
			for _, o := range f.undefined(e.Entry) {
				d := finding(e.Origin)
				d.Path = e.Path.String()
				d.Message = fmt.Sprintf("the persisted path %s is given the %s, and %s: chown fails where it is made", e.Path, o.who, o.why)
				d.Hint = o.hint
				out = append(out, d)
			}
		}
		slices.SortFunc(out, stateward.CompareDiagnostics)
		return out
	},
}

// undefinedOwner is a user or group that is named and defined nowhere.
type undefinedOwner struct{ who, why, hint string }

func (f *facts) undefined(e *stateward.Entry) []undefinedOwner {
	var out []undefinedOwner
	users, usersKnown := f.host.Users.Get()
	groups, groupsKnown := f.host.Groups.Get()
	user, group := e.User.Or(stateward.Owner{}), e.Group.Or(stateward.Owner{})
	foreign := func(o stateward.Owner) bool { return !o.IsZero() && !numeric(o) && o.String() != "root" }
	if usersKnown && foreign(user) && !slices.ContainsFunc(users, func(u stateward.User) bool { return u.Name == user.String() }) {
		o := undefinedOwner{who: "user " + user.String(), why: "no entry of users.users defines that", hint: stateward.OptionPath("users", "users", user.String()) + " = { … }; or name one that is defined"}
		for _, u := range f.host.Units.Or(nil) {
			dynamic, _ := u.DynamicUser.Get()
			if on, known := u.Enable.Get(); (on || !known) && dynamic && (u.User.Or(stateward.Owner{}) == user || u.User.IsAbsent() && u.Name == user.String()+".service") {
				o.why = u.Name + " has that only while it runs (DynamicUser)"
				o.hint = "leave the owner to systemd (StateDirectory), or give the unit a user of its own"
			}
		}
		out = append(out, o)
	}
	if groupsKnown && foreign(group) && !slices.ContainsFunc(groups, func(g stateward.Group) bool { return g.Name == group.String() }) {
		if len(out) > 0 && user == group {
			out[0].who = "user and group " + user.String()
			return out
		}
		out = append(out, undefinedOwner{who: "group " + group.String(), why: "no entry of users.groups defines that", hint: stateward.OptionPath("users", "groups", group.String()) + " = { }; or name one that is defined"})
	}
	return out
}
