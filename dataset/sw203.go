package dataset

import (
	"fmt"

	"github.com/stateward/stateward"
)

var sw203 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW203", Title: "names of datasets collide", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"D10"},
		Doc: doc(`
Two declared datasets have one name once "/" becomes "-": ` + "`tank/media-tv`" + ` and ` + "`tank/media/tv`" + `. That is how names of units, lock
files and metrics are made of names of datasets. Two jobs then share one lock or one unit, and one of the two datasets is never
snapshotted, replicated or restored, without a word. ` + "`stateward dataset plan` and `apply`" + ` leave both out, as declarations at fault.

Mend it by renaming one of them, and tell ZFS too (` + "`zfs rename`" + `):

` + "```nix" + `
modules.storage.datasets.utility = {
  "tank/media-tv" = {mountpoint = "/srv/tv";};
  "tank/media/tv" = {mountpoint = "/srv/films";}; # both are tank-media-tv
};
` + "```" + `
`),
	},
	run: func(h *stateward.Host, faults []Fault) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, f := range ofKind(faults, NameCollision) {
			d := diagnostic(h, &f)
			d.Message = fmt.Sprintf("dataset %s %s", f.Dataset, f.Message)
			out = append(out, d)
		}
		return out
	},
}
