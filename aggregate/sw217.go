package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

var sw217 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW217", Title: "script makes datasets once and never again", Severity: stateward.SeverityInfo, Since: "0.1", Traps: []string{"D1", "D2"},
		Doc: doc(`
A unit or activation script makes datasets by hand (` + "`zfs list tank/a || zfs create -o … tank/a`" + `). What is written there and what is on the pool grow apart without a word:

- It gives properties to what it creates and sets none later: a property that you change reaches new datasets only.
- ` + "`restartIfChanged = false`" + `: a switch does not run the changed script. A service that has been added starts at once, without its dataset. That is a warning.
- An activation script runs at boot before any pool is imported but that of the root file system, and nothing waits for it or sees that it fails.
- It changes owners without looking whether the dataset is mounted: where it is not, that goes to the directory beneath, and the service writes there.

Only scripts of units are read whose name or order speaks of ZFS, and in them only whether such commands occur.

Mend it by declaring the datasets, and having them made and verified:

` + "```nix" + `
stateward.services.sonarr.dataset = {
  name = "tank/services/sonarr";
  properties.recordsize = "16K";
}; # stateward dataset plan -o nix
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, u := range f.host.Units.Or(nil) {
			does := u.MakesDatasets.Or(nil)
			if on, known := u.Enable.Get(); known && !on || len(does) == 0 || u.Name == dataset.UnitName {
				continue
			}
			for _, d := range handMade("the script of "+u.Name, does) {
				d.Subject, d.File, d.Line = u.Origin.Option, u.Origin.File, u.Origin.Line
				out = append(out, d)
			}
			if slices.Contains(does, "not restarted") {
				d := finding(u.Origin)
				d.Severity = stateward.SeverityWarning
				d.Message = fmt.Sprintf("%s makes datasets, and a switch to another script does not run it: a new dataset is made at the next boot, and its service starts now", u.Name)
				d.Hint = fmt.Sprintf("%s = true;", stateward.OptionPath("systemd", "services", strings.TrimSuffix(u.Name, ".service"), "restartIfChanged"))
				out = append(out, d)
			}
		}
		for _, a := range f.host.ActivationScripts.Or(nil) {
			if len(a.MakesDatasets) == 0 {
				continue
			}
			for _, d := range handMade("activation script "+a.Name, a.MakesDatasets) {
				d.Subject, d.File, d.Line = a.Origin.Option, a.Origin.File, a.Origin.Line
				out = append(out, d)
			}
			d := finding(a.Origin)
			d.Message = fmt.Sprintf("activation script %s makes datasets: at boot it runs before any pool is imported but the root's, and no service waits for it", a.Name)
			d.Hint = "make them in a unit after zfs-import.target, which the services require"
			out = append(out, d)
		}
		return out
	},
}

// handMade are the findings that a unit and an activation script share.
func handMade(who string, does []string) []stateward.Diagnostic {
	var out []stateward.Diagnostic
	if slices.Contains(does, "-o") && !slices.Contains(does, "zfs set") {
		out = append(out, stateward.Diagnostic{
			Message: who + " gives properties to datasets as it creates them, and sets none later: one that is changed never reaches a dataset that exists",
			Hint:    "set what differs from zfs get, or declare the datasets",
		})
	}
	if slices.Contains(does, "chown") && !slices.Contains(does, "mounted") {
		out = append(out, stateward.Diagnostic{
			Message: who + " makes datasets and changes owners or modes, and never looks whether a dataset is mounted: where it is not, the directory beneath gets them",
			Hint:    `write mountpoint -q "$dir" && before chown`,
		})
	}
	return out
}
