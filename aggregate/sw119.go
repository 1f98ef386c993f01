package aggregate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/stateward/stateward"
)

var sw119 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW119", Title: "home is lost", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"P12", "N9"},
		Doc: doc(`
The home of a normal user lies on the root file system, which is wiped at every boot, and nothing of it is kept: neither the
home nor any place below it. At the next boot the user finds an empty home, without keys, documents and history.

It is quiet as soon as one place below the home is kept, by ` + "`users.<name>`" + ` of Impermanence, by Preservation or by home-manager:
what is left out then is meant to go. The same goes for a home on a file system of its own.

Mend it by persisting what counts, or all of it:

` + "```nix" + `
environment.persistence."/persist".users.alice.directories = ["Documents" ".ssh"];
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		type fate struct {
			state stateward.TierState
			by    string
		}
		homes := map[fate][]home{}
		for _, at := range f.own.homes {
			r := at.reboot
			if at.state.Problem != nil || f.rootSays(r) || f.keptByService(at.path) || r.State != stateward.SurvivalNo && r.State != stateward.SurvivalUnknown {
				continue
			}
			homes[fate{r.State, r.By}] = append(homes[fate{r.State, r.By}], at)
		}
		var out []stateward.Diagnostic
		for why, list := range homes {
			slices.SortFunc(list, func(a, b home) int { return cmp.Compare(a.user, b.user) })
			if len(list) > fewDoubts {
				// Many homes with one fate, as a file server has them, are one finding.
				out = append(out, f.homesFinding(why.state, list))
				continue
			}
			for i := range list {
				out = append(out, f.homesFinding(why.state, list[i:i+1]))
			}
		}
		return out
	},
}

// homesFinding speaks of homes that share one fate.
func (f *facts) homesFinding(state stateward.TierState, list []home) stateward.Diagnostic {
	var paths, users []string
	for _, at := range list {
		paths, users = append(paths, at.path), append(users, at.user)
	}
	d := finding(list[0].state.Origin)
	d.Path = list[0].path
	var rows []*stateRow
	for _, at := range list {
		rows = append(rows, at.stateRow)
	}
	d.Covers = coveringRows("", rows)
	by, n := list[0].reboot.By, len(list)
	if state == stateward.SurvivalUnknown {
		d.Message = fmt.Sprintf("cannot tell whether %s %s of %s %s a reboot: %s", pick(n, "the home", "the homes"), some(paths), some(users), pick(n, "survives", "survive"), by)
		d.Hint = doubtHint
		return d
	}
	d.Message = fmt.Sprintf("nothing of %s is kept, and %s %s empty at the next boot: %s", some(paths), some(users), pick(n, "finds it", "find them"), by)
	d.Hint = f.homeHint(list[0].user, list[0].path)
	if n > 1 {
		d.Hint = f.persistLine(stateward.Directory, paths...)
	}
	if f.keepsNothing() {
		d.Severity = stateward.SeverityInfo
	}
	return d
}

// keptByService tells whether a place is named as a service's state, and SW101 says so, not only as an info.
func (f *facts) keptByService(path string) bool {
	for i := range f.rows {
		r := &f.rows[i]
		if r.path != path || r.unread || r.state.Problem != nil || f.rootSays(r.reboot) {
			continue
		}
		switch r.reboot.State {
		case stateward.SurvivalUnknown:
			return true
		case stateward.SurvivalNo:
			if r.relief != stateward.SeverityInfo && !r.readOnly() {
				return true
			}
		}
	}
	return false
}

func (f *facts) homeHint(name, path string) string {
	r, ok := f.systemRoot()
	if !ok {
		return f.persistLine(stateward.Directory, path)
	}
	return fmt.Sprintf("%s.%s.directories = [ … ]; or, for all of it, %s", r.Option(), stateward.OptionPath("users", name),
		f.persistElements(stateward.Directory, fmt.Sprintf("{ directory = %s; user = %s; mode = \"0700\"; }", nixString(path), nixString(name))))
}
