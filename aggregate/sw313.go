package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var sw313 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW313", Title: "replication mounts over what is there, or destroys it", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"S4"},
		Doc: doc(`
A replication sends the properties of a dataset too, its mount point among them (` + "`sendOptions`" + ` with ` + "`p` or `R`" + `, ` + "`--preserve-properties`" + `), and receives it mounted: the copy of
` + "`/var/lib`" + ` is mounted over ` + "`/var/lib`" + ` of the receiver. On this very host that is an error.

` + "`--force-delete`" + ` destroys the target where it and the source have no snapshot in common, be it the last copy.

Mend it by receiving without a mount, with another property in its place, and without ` + "`--force-delete`" + `.

` + "```nix" + `
services.syncoid.commands."tank/srv" = {
  sendOptions = "pw";
  recvOptions = "u x mountpoint o canmount=noauto";
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, r := range f.copies().replications {
			raw := f.rawReplication(&r.of)
			words := args(raw)
			send, sendKnown := optional(raw.SendOptions)
			recv, recvKnown := optional(raw.RecvOptions)
			extra := raw.ExtraArgs.IsKnown() || raw.ExtraArgs.IsAbsent()
			for _, w := range words {
				if rest, ok := strings.CutPrefix(w, "--sendoptions="); ok {
					send += " " + rest
				}
				if rest, ok := strings.CutPrefix(w, "--recvoptions="); ok {
					recv += " " + rest
				}
			}
			sent, _ := flags(send)
			got, set := flags(recv)
			whole := strings.ContainsAny(sent, "pR") || slices.Contains(words, "--preserve-properties")
			safe := strings.Contains(got, "u") || slices.Contains(set["x"], "mountpoint") || slices.ContainsFunc(set["o"], func(o string) bool {
				return o == "canmount=off" || o == "canmount=noauto" || strings.HasPrefix(o, "mountpoint=")
			})
			to, named := r.of.Target.Get()
			if sendKnown && recvKnown && extra && named && whole && !safe {
				d := finding(r.of.Origin)
				d.Message = fmt.Sprintf("%s sends the mount point too, and %s is received mounted: it hides what is mounted at that place there", r.of.String(), to)
				if to.Here() {
					d.Severity = stateward.SeverityError
				}
				d.Hint = `write recvOptions = "u x mountpoint", or send no properties`
				out = append(out, d)
			}
			if slices.Contains(words, "--force-delete") {
				d := finding(r.of.Origin)
				d.Message = fmt.Sprintf("%s destroys its target where it has no snapshot in common with the source (--force-delete)", r.of.String())
				d.Hint = "leave --force-delete out, and destroy by hand what stands in the way"
				out = append(out, d)
			}
		}
		return out
	},
}

// optional is a text that may be left out, and whether that is known.
func optional(v stateward.Value[string]) (string, bool) { return v.Or(""), !v.IsUnknown() }
