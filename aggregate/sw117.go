package aggregate

import (
	"fmt"
	"slices"

	"github.com/stateward/stateward"
)

var sw117 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW117", Title: "whether the root is wiped cannot be told", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"N8"},
		Doc: doc(`
Whether the root file system is made anew at every boot decides of every path that has no file system of its own. It could
not be told: there is no entry for ` + "`/`" + ` in ` + "`fileSystems`" + `, it could not be evaluated, or the initial ramdisk runs a script whose
effect the configuration does not show. Everything that lies on the root is in doubt then.

Mend it by making what hides the answer readable. A wipe is recognised when it names what it wipes:

` + "```nix" + `
fileSystems."/" = {
  device = "rpool/local/root";
  fsType = "zfs";
};
boot.initrd.postResumeCommands = "zfs rollback -r rpool/local/root@blank";
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		// Where no file system is declared at all, nothing persisted and no state kept, there is nothing to lose.
		noRoot := f.host.FileSystems.IsKnown() && len(f.mounts[stateward.Root]) == 0
		if f.root.Wiped != stateward.SurvivalUnknown || len(f.roots) == 0 && len(f.rows) == 0 && !noRoot {
			return nil
		}
		d := stateward.Diagnostic{Subject: stateward.OptionPath("fileSystems", "/")}
		if ms := f.mounts[stateward.Root]; len(ms) > 0 {
			d = finding(ms[0].origin)
		}
		d.Path = "/"
		d.Message = fmt.Sprintf("cannot tell whether the root is wiped at every boot: %s", f.root.By)
		var places []string
		for _, rows := range [][]stateRow{f.rows, f.own.rows} {
			for i := range rows {
				if r := &rows[i]; r.state.Problem == nil && f.rootSays(r.reboot) && r.path != "" {
					places = append(places, r.path)
				}
			}
		}
		slices.Sort(places)
		places = slices.Compact(places)
		if n := len(places); n > 0 {
			d.Message += fmt.Sprintf("; nor can it be told whether %s %s the next boot", some(places), pick(n, "survives", "survive"))
		}
		d.Hint = "make what hides the answer readable, or persist what would be lost; --survival lists every place"
		return []stateward.Diagnostic{d}
	},
}
