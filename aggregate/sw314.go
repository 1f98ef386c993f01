package aggregate

import (
	"fmt"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

var sw314 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW314", Title: "raw and other streams are sent to one target", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"S7"},
		Doc: doc(`
Two replications write into one target, or into one below the other, one of them raw (` + "`sendOptions`" + ` with ` + "`w`" + `) and one not. What was received raw cannot be gone on with by a stream
that is not, and the other way round: the chain of snapshots breaks, and all of it has to be sent anew.

Mend it by sending both in the same way; raw where the source is encrypted.

` + "```nix" + `
services.syncoid.commands."tank/srv" = {
  target = "usb/srv";
  sendOptions = "w";
};
services.syncoid.commands."tank/srv/db" = {
  target = "usb/srv/db";
  sendOptions = "w";
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		type sending struct {
			*scheduled[backup.Replication]
			to  backup.Place
			raw bool
		}
		var all []sending
		for _, r := range f.copies().replications {
			raw := f.rawReplication(&r.of)
			to, named := r.of.Target.Get()
			if !named || raw.SendOptions.IsUnknown() || raw.ExtraArgs.IsUnknown() {
				continue
			}
			text := raw.SendOptions.Or("")
			for _, w := range args(raw) {
				if rest, ok := strings.CutPrefix(w, "--sendoptions="); ok {
					text += " " + rest
				}
			}
			letters, _ := flags(text)
			all = append(all, sending{r, to, strings.Contains(letters, "w")})
		}
		var out []stateward.Diagnostic
		for i, b := range all {
			for _, a := range all[:i] {
				upper, lower := a, b
				if len(upper.to.Dataset) > len(lower.to.Dataset) {
					upper, lower = lower, upper
				}
				recursive := upper.of.Recursive.Or(false)
				within := lower.to.Dataset == upper.to.Dataset || recursive && strings.HasPrefix(lower.to.Dataset, upper.to.Dataset+"/")
				if a.raw == b.raw || a.to.Host != b.to.Host || !within {
					continue
				}
				first, second := a, b
				if !first.raw {
					first, second = second, first
				}
				d := finding(b.of.Origin)
				d.Message = fmt.Sprintf("%s is sent raw to %s, and %s to %s is not: the one cannot go on with what the other sent", first.of.String(), first.to, second.of.String(), second.to)
				d.Hint = `send both with sendOptions = "w", or both without`
				out = append(out, d)
			}
		}
		return out
	},
}
