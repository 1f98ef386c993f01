package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
)

var sw401 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW401", Title: "service starts without its preseed", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"E9"},
		Doc: doc(`
A unit restores the data of a service where its dataset is empty, and nothing keeps the service from starting without it. With ` + "`wants`" + ` alone, or with an order alone,
a restore that fails stops nobody: the service begins anew on the empty dataset, what it writes there is backed up, and the good backups age out. With ` + "`requires`" + ` and
without ` + "`after`" + ` both start at the same time, and the service writes while its data is being restored.

A unit is taken for a preseed by its name, ` + "`stateward-preseed-NAME.service` or `preseed-NAME.service`" + `, and because it is no service that goes on running (` + "`Type = \"oneshot\"`" + `). A unit belongs to it that
wants or requires it, that it names in ` + "`before`" + `, or that is named NAME (` + "`podman-NAME`, `docker-NAME`" + `). What is required by way of another unit counts.
Whether the service may start with nothing, a preseed says itself, by how it ends: ` + "`onNoBackup`" + ` of its plan.

Mend it by both; ` + "`stateward preseed units`" + ` writes them for its own.

` + "```nix" + `
systemd.services.paperless = {
  requires = ["preseed-paperless.service"];
  after = ["preseed-paperless.service"];
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		g := newGathered()
		for _, p := range f.preseedUnits() {
			for _, h := range f.consumers(p) {
				if h.vague || h.requires && h.after {
					continue
				}
				d := finding(h.unit.Origin)
				d.Service = unitTitle(h.unit.Name)
				d.Hint = fmt.Sprintf("%s = { requires = [ %[2]q ]; after = [ %[2]q ]; };", stateward.OptionPath("systemd", "services", unitTitle(h.unit.Name)), p.Name)
				g.add(d, func(who string) string {
					switch {
					case h.requires:
						return fmt.Sprintf("preseed of %s is required and not waited for: both start at the same time, and what is written meanwhile meets what is restored", who)
					case h.wants:
						return fmt.Sprintf("preseed of %s is wanted and not required: where the restore fails, the service starts on an empty dataset", who)
					}
					return fmt.Sprintf("preseed of %s is neither wanted nor required by it: where the restore fails, the service starts on an empty dataset", who)
				})
			}
		}
		return g.findings()
	},
}
