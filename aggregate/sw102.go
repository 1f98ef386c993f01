package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
)

var sw102 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW102", Title: "persisted path lies below another persisted path", Severity: stateward.SeverityInfo, Since: "0.1", Traps: []string{"P2"},
		Doc: doc(`
A directory is persisted, and one below it as well. ` + "`lib.unique`" + ` only removes identical texts, so both stay and both
are mounted. Nothing is lost while both name one persistence root: the inner mount shows what the outer one holds.

With two roots the inner path's data is in the other root, and what the outer root holds there is hidden: then the
finding is a warning.

Mend it by leaving out the inner entry, unless it sets an owner or a mode of its own.

` + "```nix" + `
environment.persistence."/persist".directories = ["/var/lib" "/var/lib/sonarr"]; # the second says nothing new
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, e := range f.entries {
			if e.Problem != nil {
				continue
			}
			outer, ok := f.outerPersisted(e.Path)
			if !ok {
				continue
			}
			d := finding(e.Origin)
			d.Path = e.Path.String()
			d.Message = fmt.Sprintf("%s is persisted and lies below %s, which is persisted too", e.Path, outer.entry.Path)
			same := ": at the next boot it shows what is there anyway"
			d.Hint = "leave out the inner entry"
			if e.HasOwner() {
				d.Hint = "keep it only for the owner or mode that it sets"
			}
			if outer.root.path != e.root.path {
				d.Severity = stateward.SeverityWarning
				same = fmt.Sprintf(" in another root: at the next boot what %s holds there is hidden", outer.root.path)
				d.Hint = "persist both in one root, or move the data first"
			}
			d.Message += same
			out = append(out, d)
		}
		return out
	},
}

// outerPersisted returns the nearest persisted directory strictly above p.
func (f *facts) outerPersisted(p stateward.AbsPath) (persisted, bool) {
	for q := p; q != stateward.Root; {
		q = q.Parent()
		for _, e := range f.persisted[q] {
			if e.entry.Kind == stateward.Directory {
				return e, true
			}
		}
	}
	return persisted{}, false
}
