package aggregate

import (
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/preseed"
)

var sw406 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW406", Title: "service may start with nothing, and no reason is written", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"E7"},
		Doc: doc(`
The preseed of a service lets it start on an empty dataset where no source has a backup (` + "`" + `onNoBackup = "start-empty"` + "`" + `), and nobody wrote why. That is right for what can be made anew, and for nothing else: for all other services
it is the line by which the empty state is backed up, and the good backups age out. Whoever reads the configuration in a year cannot tell which of both it is.

Mend it by the reason, or by ` + "`" + `refuse` + "`" + `, which is what holds where nothing is said.

` + "```nix" + `
stateward.services.thumbnails.preseed = {
  onNoBackup = "start-empty";
  reason = "they are made anew from the photos";
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for i := range f.copies().preseeds {
			r := &f.copies().preseeds[i]
			p := f.preseedOf(r)
			if p == nil || p.OnNoBackup.Or("") != string(preseed.StartEmpty) || p.Reason.IsUnknown() || strings.TrimSpace(p.Reason.Or("")) != "" {
				continue
			}
			d := finding(originOr(p.OnNoBackup.Origin(), r.Origin))
			d.Service = r.Service
			d.Message = r.Service + " may start on an empty dataset, and no reason is written for it"
			d.Hint = `write reason = "…"; or onNoBackup = "refuse"`
			out = append(out, d)
		}
		return out
	},
}
