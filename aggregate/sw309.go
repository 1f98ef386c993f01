package aggregate

import (
	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

var sw309 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW309", Title: "replication target is no target", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"S8"},
		Doc: doc(`
A replication sends to the pool that it reads: a dead pool takes both. Or two replications send different datasets to one target: they have no snapshot in
common, so the second one fails, or destroys what the first one sent.

Mend it by a target on another pool, and one for each source.

` + "```nix" + `
services.syncoid.commands = {
  "tank/srv".target = "usb/backup/srv";
  "tank/home".target = "usb/backup/home";
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		list, _ := backup.Replications(f.host)
		for _, c := range backup.Collisions(list) {
			d := finding(c.Origin)
			d.Message, d.Hint = c.Message, c.Hint
			out = append(out, d)
		}
		return out
	},
}
