package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
)

var sw101 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW101", Title: "state is not persisted", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"P1", "N9"},
		Doc: doc(`
An enabled service keeps state in a directory that lies on the root file system, and the root is wiped at every
boot. At the next boot the service starts with nothing.

The state may be named by the unit's ` + "`StateDirectory`" + `, by the service's own ` + "`dataDir`" + `, or by a volume of a
container. A directory that is persisted, below a persisted one, or on a file system of its own is not reported. State that lies
in another lost directory is counted there; ` + "`--survival`" + ` lists every place.

Where it cannot be told whether the directory survives, the finding is a warning and says what hides the answer.

Mend it by persisting the directory, or by giving it a file system of its own:

` + "```nix" + `
environment.persistence."/persist".directories = [ "/var/lib/sonarr" ];
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		below := f.lostBelow()
		for _, r := range f.rows {
			if r.unread || r.state.Problem != nil {
				continue // SW603 and SW112 speak of those
			}
			if r.reboot.State == stateward.SurvivalNo && below.inner[r.path] {
				continue // said with the directory that it lies in
			}
			d := finding(r.state.Origin)
			d.Service, d.Path = r.service.Name, r.path
			switch r.reboot.State {
			case stateward.SurvivalNo:
				d.Message = fmt.Sprintf("%s keeps state in %s, which is gone at the next boot%s: %s", d.Service, d.Path, below.count(r.path), r.reboot.By)
				d.Hint = f.persistHint(r)
			case stateward.SurvivalUnknown:
				d.Severity = stateward.SeverityWarning
				d.Message = fmt.Sprintf("cannot tell whether %s of %s survives a reboot: %s", d.Path, d.Service, r.reboot.By)
				d.Hint = "make what hides the answer readable, or persist the directory"
			default:
				continue
			}
			out = append(out, d)
		}
		return out
	},
}

// lostTrees groups what is lost by the outermost lost directory.
type lostTrees struct {
	inner map[string]bool
	n     map[string]int
}

func (f *facts) lostBelow() lostTrees {
	t := lostTrees{inner: map[string]bool{}, n: map[string]int{}}
	lost := map[stateward.AbsPath]bool{}
	for _, r := range f.rows {
		if !r.unread && r.state.Problem == nil && r.reboot.State == stateward.SurvivalNo {
			lost[f.real(r.state.Path)] = true
		}
	}
	for p := range lost {
		outer := p
		for q := p; q != stateward.Root; {
			if q = q.Parent(); lost[q] {
				outer = q
			}
		}
		if outer != p {
			t.inner[p.String()] = true
			t.n[outer.String()]++
		}
	}
	return t
}

// count says how many more places lie below an outermost one.
func (t lostTrees) count(path string) string {
	switch n := t.n[path]; n {
	case 0:
		return ""
	case 1:
		return ", with one more place below it"
	default:
		return fmt.Sprintf(", with %d more places below it", n)
	}
}

func (f *facts) persistHint(r stateRow) string {
	root := "/persist"
	if len(f.roots) > 0 {
		root = f.roots[0].Name
	}
	list := "directories"
	if r.state.Kind == stateward.File {
		list = "files"
	}
	return fmt.Sprintf("add %s to %s.%s", nixString(r.path), stateward.OptionPath("environment", "persistence", root), list)
}
