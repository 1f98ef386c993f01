package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
)

var sw119 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW119", Title: "home is lost", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"P12", "N9"},
		Doc: doc(`
The home of a normal user lies on the root file system, which is wiped at every boot, and nothing of it is kept: neither the
home nor any place below it. At the next boot the user finds an empty home, without keys, documents and history.

It is quiet as soon as one place below the home is persisted, by ` + "`users.<name>`" + ` of Impermanence, by Preservation or by home-manager:
what is left out then is meant to go. The same goes for a home on a file system of its own.

Mend it by persisting what counts, or all of it:

` + "```nix" + `
environment.persistence."/persist".users.alice.directories = [ "Documents" ".ssh" ];
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		stateless := f.keepsNothing()
		for _, r := range f.own.homes {
			if r.state.Problem != nil || f.rootSays(r.reboot) || f.keptByService(r.path) {
				continue
			}
			d := finding(r.state.Origin)
			d.Path = r.path
			name := r.user
			switch r.reboot.State {
			case stateward.SurvivalNo:
				d.Message = fmt.Sprintf("nothing of %s is kept, and %s finds it empty at the next boot: %s", r.path, name, r.reboot.By)
				d.Hint = f.homeHint(name, r.path)
				if stateless {
					d.Severity = stateward.SeverityInfo
				}
			case stateward.SurvivalUnknown:
				d.Message = fmt.Sprintf("cannot tell whether the home %s of %s survives a reboot: %s", r.path, name, r.reboot.By)
				d.Hint = doubtHint
			default:
				continue
			}
			out = append(out, d)
		}
		return out
	},
}

// keptByService tells whether a place is named as a service's state: SW101 speaks of it then.
func (f *facts) keptByService(path string) bool {
	for i := range f.rows {
		if f.rows[i].path == path {
			return true
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
