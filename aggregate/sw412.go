package aggregate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/preseed"
)

var sw412 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW412", Title: "dataset has the marker of another one's preseed", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"E3"},
		Doc: doc(`
The pools of the host were looked at (` + "`stateward capture zfs`" + `, given with ` + "`--capture`" + `), and a declared dataset has a property that says it was restored, and not of its own: it inherits
the property from a dataset above, or ` + "`zfs receive`" + ` brought it along with a replica. A preseed by hand that asks for ` + "`local:preseed_complete`" + ` or the like takes the dataset for restored while it is empty, and starts the
service on nothing.

Our own runs take ` + "`stateward:preseed`" + ` only where it is set on the dataset itself and holds its guid, and ask their sources otherwise. Where that of a dataset with a preseed does not count, it is information; that
datasets below one that was restored inherit it is no fault.

Mend it by taking the property away there, and by a preseed that asks where it is from.

` + "```sh" + `
zfs inherit local:preseed_complete tank/services/paperless # received: zfs set local:preseed_complete=no …
zfs get -H -o value,source stateward:preseed tank/services/paperless
` + "```" + `
`),
	},
	pools: true,
	run: func(f *facts) []stateward.Diagnostic {
		if f.pools == nil {
			return nil
		}
		seeded := map[string]string{} // the services of datasets that have a preseed
		for i := range f.copies().preseeds {
			if r := &f.copies().preseeds[i]; r.Plan != nil {
				seeded[r.Plan.Dataset] = r.Service
			}
		}
		var out []stateward.Diagnostic
		said := map[string]bool{}
		for _, d := range f.allDatasets() {
			name, err := dataset.ParseObservedName(d.Name)
			if err != nil || said[d.Name] {
				continue
			}
			said[d.Name] = true
			state, there := f.pools.Dataset(name)
			if !there || state.Type != dataset.Filesystem {
				continue
			}
			for _, property := range slices.Sorted(maps.Keys(state.Properties)) {
				v := state.Properties[property]
				if !marksSeeded(property) || marksNothing(v.Value) {
					continue
				}
				x := finding(d.Origin)
				x.Service = seeded[d.Name]
				how := ""
				switch v.Source {
				case dataset.Inherited:
					how = "inherits " + property + " from " + cmp.Or(v.From.String(), "a dataset above")
				case dataset.Received:
					how = "has " + property + " as zfs receive brought it"
				case dataset.Local:
					how = "has " + property + " with the guid of another dataset"
				default:
					continue
				}
				switch ours := property == preseed.MarkerProperty; {
				case !ours && v.Source == dataset.Local, ours && x.Service == "",
					ours && (preseed.Marker{Value: v.Value, Local: v.Source == dataset.Local}).Of(state.GUID):
					continue
				case ours:
					x.Severity = stateward.SeverityInfo
					x.Message = fmt.Sprintf("dataset %s %s: the preseed of %s does not count it, and asks its sources where the dataset is empty", d.Name, how, x.Service)
					x.Hint = "nothing is to be done; a run that restores sets its own"
				default:
					x.Message = fmt.Sprintf("dataset %s %s: what asks for that alone takes it for restored while it is empty", d.Name, how)
					x.Hint = fmt.Sprintf("zfs set %s=no %s, and have the preseed ask whether the source of the property is local", property, d.Name)
				}
				out = append(out, x)
			}
		}
		return out
	},
}

// marksNothing tells whether a value of such a property says that nothing was restored.
func marksNothing(value string) bool {
	return slices.Contains([]string{"", "-", "no", "off", "false", "none"}, value)
}
