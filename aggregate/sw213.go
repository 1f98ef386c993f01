package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var sw213 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW213", Title: "tmpfiles fights over a directory", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"D9"},
		Doc: doc(`
A rule of tmpfiles gives a directory an owner or mode, and something else gives it another one.

Where that is a second rule of the same kind, systemd takes the first one that it reads and ignores the other ("Duplicate line for path"): the order in
which modules are imported decides who may write there. Of two rules that only adjust (` + "`z`, `Z`" + `) the last one decides.

Where it is the ` + "`StateDirectory`" + ` of a unit with a user of its own, systemd gives the directory, and all that is in it, to that user at each start of the
unit, and tmpfiles takes the directory away from it at each boot and switch: a service that runs can no longer make files.

Where only the rights of group and others differ it is an info. All rules for one path are one finding.

Mend it by saying it in one place:

` + "```nix" + `
systemd.services.sonarr.serviceConfig = {
  User = "sonarr";
  StateDirectory = "sonarr";
};
systemd.tmpfiles.rules = ["d /var/lib/sonarr 0755 root root -"]; # drop this
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		type class struct {
			at      stateward.AbsPath
			adjusts bool
		}
		rules := map[class][]stateward.TmpfilesRule{}
		all := slices.Clone(f.host.Tmpfiles.Or(nil))
		slices.SortStableFunc(all, func(a, b stateward.TmpfilesRule) int { return compareOrigins(a.Origin, b.Origin) })
		var out []stateward.Diagnostic
		for _, r := range all {
			if r.At.Problem != nil || r.Type == "" || !strings.Contains("dDvqQezZ", r.Type[:1]) {
				continue
			}
			if _, runtime := runtimePath(r.At.Path); runtime {
				continue
			}
			c := class{r.At.Path, strings.Contains("zZ", r.Type[:1])}
			rules[c] = append(rules[c], r)
		}
		said := map[stateward.AbsPath]bool{} // a rule that fights a unit is not told again for fighting a rule
		for _, u := range f.host.Units.Or(nil) {
			on, known := u.Enable.Get()
			user, ok := u.User.Get()
			if known && !on || !ok || !u.DynamicUser.IsAbsent() && u.DynamicUser.Or(true) || u.StateDirectoryMode.IsUnknown() {
				continue
			}
			group := u.Group.Or(stateward.Owner{})
			if u.Group.IsAbsent() {
				group = f.groupOf(user)
			}
			mode := u.StateDirectoryMode.Or(stateDirectoryMode)
			for _, text := range u.StateDirectory.Or(nil) {
				at, partial, ok := stateward.StateDirectoryPath(u.Name, text)
				if !ok || partial {
					continue
				}
				var fight fight
				for _, r := range slices.Concat(rules[class{at, false}], rules[class{at, true}]) {
					if wrong, severity := f.contrast(owning(&r, true), ownedAs{user, group, &mode}); len(wrong) > 0 && !r.OnlyNew {
						fight.add(r, wrong, severity)
					}
				}
				if len(fight.types) == 0 {
					continue
				}
				said[at] = true
				d := finding(fight.origin)
				d.Path, d.Severity, d.Service = at.String(), fight.severity, strings.TrimSuffix(u.Name, ".service")
				d.Message = fmt.Sprintf("%s %s, as %s has it (StateDirectory): the two undo one another", fight.gives(at), strings.Join(fight.wrong, ", "), u.Name)
				d.Hint = "leave owner and mode to StateDirectory and StateDirectoryMode, and drop the " + plural("rule", len(fight.types))
				out = append(out, d)
			}
		}
		fights := map[stateward.AbsPath]*fight{}
		for _, adjusts := range []bool{false, true} {
			for c, rs := range rules {
				if c.adjusts != adjusts || said[c.at] || fights[c.at] != nil {
					continue
				}
				for i := range rs[1:] {
					wrong, severity := f.contrast(owning(&rs[1+i], adjusts), owning(&rs[0], adjusts))
					if len(wrong) == 0 {
						continue
					}
					if fights[c.at] == nil {
						fights[c.at] = &fight{first: rs[0].Origin, wins: "ignores what it reads last"}
						if adjusts {
							fights[c.at].wins = "the last one decides"
						}
					}
					fights[c.at].add(rs[1+i], wrong, severity)
				}
			}
		}
		for at, fight := range fights {
			d := finding(fight.origin)
			d.Path, d.Severity = at.String(), fight.severity
			d.Message = fmt.Sprintf("%s %s, as %s has it: systemd reads %s and %s", fight.gives(at), strings.Join(fight.wrong, ", "), fight.first, bothOrAll(len(fight.types)), fight.wins)
			d.Hint = "give owner and mode in one place"
			out = append(out, d)
		}
		slices.SortFunc(out, stateward.CompareDiagnostics)
		return out
	},
}

// fight is what rules of tmpfiles that contradict the same thing are told of, in one finding.
type fight struct {
	// origin is the first of the rules, and first what they contradict.
	origin, first stateward.Origin
	types, wrong  []string
	severity      stateward.Severity
	wins          string
}

func (g *fight) add(r stateward.TmpfilesRule, wrong []string, severity stateward.Severity) {
	if len(g.types) == 0 {
		g.origin, g.severity = r.Origin, severity
	}
	g.types = append(g.types, r.Type)
	// Zero is the severity of the check itself, and graver than an info.
	if severity == 0 {
		g.severity = 0
	}
	for _, w := range wrong {
		if !slices.Contains(g.wrong, w) {
			g.wrong = append(g.wrong, w)
		}
	}
}

func (g *fight) gives(at stateward.AbsPath) string { return rulesGive(g.types, at) }

// rulesGive begins a message about rules for one path.
func rulesGive(types []string, at stateward.AbsPath) string {
	if len(types) == 1 {
		return fmt.Sprintf("a rule of tmpfiles (%s) gives %s", types[0], at)
	}
	return fmt.Sprintf("%d rules of tmpfiles (%s) give %s", len(types), strings.Join(types, ", "), at)
}

func plural(word string, n int) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

func bothOrAll(others int) string {
	if others == 1 {
		return "both"
	}
	return "all of them"
}

// stateDirectoryMode is the default of StateDirectoryMode= (systemd.exec(5)).
var stateDirectoryMode = mustMode("0755")

func mustMode(s string) stateward.Mode {
	m, err := stateward.ParseMode(s)
	if err != nil {
		panic(err)
	}
	return m
}

// ownedAs is what gives a directory its owner; what is zero is left as it is.
type ownedAs struct {
	user, group stateward.Owner
	mode        *stateward.Mode
}

// owning is what a rule gives a directory. One that makes it has values for what it leaves out (tmpfiles.d(5)).
func owning(r *stateward.TmpfilesRule, leaves bool) ownedAs {
	root := stateward.MustOwner("root")
	if leaves {
		root = stateward.Owner{}
	}
	o := ownedAs{user: r.At.User.Or(root), group: r.At.Group.Or(root)}
	if m, ok := r.At.Mode.Get(); ok {
		o.mode = &m
	} else if !leaves {
		o.mode = &stateDirectoryMode
	}
	return o
}

// contrast says in what a is not b, and how grave that is: zero, or an info where only the rights of group and others differ.
func (f *facts) contrast(a, b ownedAs) (wrong []string, severity stateward.Severity) {
	differ := func(what string, x, y stateward.Owner, id func(string) (int, bool)) {
		if !x.IsZero() && !y.IsZero() && !same(x, y, id) {
			wrong = append(wrong, fmt.Sprintf("%s %s and not %s", what, x, y))
		}
	}
	differ("user", a.user, b.user, f.uid)
	differ("group", a.group, b.group, f.gid)
	if a.mode != nil && b.mode != nil && a.mode.Bits() != b.mode.Bits() {
		if len(wrong) == 0 && (a.mode.Bits()^b.mode.Bits())&ownerBits == 0 {
			severity = stateward.SeverityInfo
		}
		wrong = append(wrong, fmt.Sprintf("mode %s and not %s", a.mode, b.mode))
	}
	return wrong, severity
}
