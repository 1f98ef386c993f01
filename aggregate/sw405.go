package aggregate

import (
	"fmt"
	"maps"
	"slices"

	"github.com/stateward/stateward"
)

var sw405 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW405", Title: "configuration sets the marker of a preseed", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"E3"},
		Doc: doc(`
A run that restored a dataset marks it as done by a property of its own, ` + "`" + `stateward:preseed` + "`" + `, which holds the guid of that dataset. A dataset is declared with that property: all
datasets below inherit it, it goes along with ` + "`" + `zfs send -p` + "`" + `, and it says of an empty dataset that it was seeded. Our own runs count the marker only where it is local and the guid is right,
and so ask each time; what others wrote, with a property such as ` + "`" + `local:preseed_complete` + "`" + `, starts the service on nothing.

Mend it by leaving the property out.

` + "```nix" + `
stateward.services.paperless.dataset.properties = {recordsize = "16K";}; # and no "stateward:preseed"
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		seen := map[string]bool{}
		for _, d := range f.allDatasets() {
			for _, name := range slices.Sorted(maps.Keys(d.Properties)) {
				v := d.Properties[name]
				if value, known := v.Get(); !marksSeeded(name) || seen[d.Name+" "+name] || v.IsAbsent() || known && marksNothing(value) {
					continue
				}
				seen[d.Name+" "+name] = true
				x := finding(originOr(v.Origin(), d.Origin))
				x.Message = fmt.Sprintf("dataset %s is declared with %s: it, and all below that inherits it, is taken for restored while it is empty", d.Name, name)
				x.Hint = "leave it out: the run that restores sets it, on that dataset alone"
				out = append(out, x)
			}
		}
		return out
	},
}
