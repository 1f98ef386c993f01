package aggregate

import (
	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
)

var sw503 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW503", Title: "an idle database archives nothing", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"G3"},
		Doc: doc(`
PostgreSQL archives a segment of its log once the segment is full, 16 MiB mostly. A database that is seldom written to takes hours or days for that: what was committed meanwhile is
on the one disk only, and a recovery from the archive lacks it. ` + "`archive_timeout`" + ` has the server begin a new segment after that time; it is then how much can be lost at most, as long as archiving works.

Mend it by setting it. A minute or more is sensible: each segment is stored as a file of its own, and compresses well.

` + "```nix" + `
services.postgresql.settings.archive_timeout = 300; # seconds
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, p := range f.servers() {
			a := pitr.ReadArchiving(p)
			if a.State != stateward.SurvivalYes || !a.TimeoutKnown || a.Timeout > 0 {
				continue
			}
			d := finding(a.Origin)
			if timeout := p.Settings["archive_timeout"]; timeout.IsKnown() {
				d = finding(timeout.Origin())
			}
			d.Service = p.Service
			d.Message = "the write-ahead log of " + p.Service + " is archived by full segments only: archive_timeout is not set"
			d.Hint = "set services.postgresql.settings.archive_timeout to the seconds that may be lost, such as 300"
			out = append(out, d)
		}
		return out
	},
}
