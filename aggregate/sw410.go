package aggregate

import (
	"cmp"
	"fmt"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

var sw410 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW410", Title: "staging area of a preseed is snapshotted with the rest", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"S6"},
		Doc: doc(`
What a preseed restores lies in a staging area on the same pool until it is whole, and the empty dataset that it took the place of is kept there. A recursive policy of sanoid takes snapshots of that: they go with what is renamed into its
place, and what ` + "`" + `zfs destroy` + "`" + ` should free stays. What is written about it into properties, sanoid does not read.

Mend it by a policy of its own that does nothing.

` + "```nix" + `
services.sanoid.datasets."tank/stateward-staging" = {
  autosnap = false;
  autoprune = false;
  recursive = true;
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		said := map[string]bool{}
		c := f.copies()
		for i := range c.preseeds {
			r := &c.preseeds[i]
			if r.Plan == nil || r.RunBy != "" || said[r.Plan.StagingArea()] {
				continue
			}
			said[r.Plan.StagingArea()] = true
			for _, at := range []string{r.Plan.StagingArea(), r.Plan.Staged()} {
				p, doubt := backup.Governing(c.policies, at)
				if p == nil || doubt != "" {
					continue
				}
				by := cmp.Or(p.By, p)
				if taken, known := by.Taken().Get(); !known || len(taken) == 0 || !by.AutoSnap.Or(false) {
					continue
				}
				d := finding(by.Origin)
				d.Message = fmt.Sprintf("the %s takes snapshots of %s too, in which preseeds restore", by.String(), r.Plan.StagingArea())
				d.Hint = stateward.OptionPath("services", "sanoid", "datasets", r.Plan.StagingArea()) + " = { autosnap = false; autoprune = false; recursive = true; };"
				out = append(out, d)
				break
			}
		}
		return out
	},
}
