package aggregate

import (
	"fmt"
	"strings"

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
		first := map[string]*scheduled[backup.Replication]{}
		for _, r := range f.copies().replications {
			to, ok := r.of.Target.Get()
			from, named := r.of.Source.Get()
			if !ok || !named {
				continue
			}
			same := from.Here() && to.Here() || !from.Here() && strings.EqualFold(from.Host, to.Host)
			if same && from.Pool() == to.Pool() {
				d := finding(r.of.Origin)
				d.Message = fmt.Sprintf("%s sends %s to %s, on the same pool: a dead pool takes both", r.of.String(), from, to)
				d.Hint = "send it to another pool, or to another host"
				out = append(out, d)
			}
			key := to.Dataset
			if !to.Here() {
				key = to.String()
			}
			other := first[key]
			if other == nil {
				first[key] = r
				continue
			}
			if source, _ := other.of.Source.Get(); source != from {
				d := finding(r.of.Origin)
				d.Message = fmt.Sprintf("%s and %s send different datasets, %s and %s, to one target %s", other.of.String(), r.of.String(), source, from, to)
				d.Hint = "give each source a target of its own"
				out = append(out, d)
			}
		}
		return out
	},
}
