package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var sw208 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW208", Title: "mount point is in the place of a DynamicUser link", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"P3", "D9"},
		Doc: doc(`
With ` + "`DynamicUser = true`" + ` systemd keeps a unit's state in ` + "`/var/lib/private/NAME`" + ` and makes ` + "`/var/lib/NAME`" + ` a symbolic link to it. A dataset or
file system that is mounted at ` + "`/var/lib/NAME`" + ` is in the way: a mount point can neither be moved nor replaced. The unit does not
start ("Failed to set up special execution directory in /var/lib: Device or resource busy", or "File exists").

Mend it by mounting it at the real place, which systemd gives to the unit's user at every start, or by giving the unit a user of its own:

` + "```nix" + `
modules.storage.datasets.services.music-assistant.mountpoint = "/var/lib/private/music-assistant";
# or
systemd.services.music-assistant.serviceConfig.DynamicUser = lib.mkForce false;
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for at, unit := range f.dynamic {
			if !f.hasUnit(unit) {
				continue
			}
			for _, m := range f.mounts[at] {
				d := finding(m.origin)
				d.Path, d.Service = at.String(), strings.TrimSuffix(unit, ".service")
				d.Message = fmt.Sprintf("%s is mounted at %s, where %s, which runs with DynamicUser, needs a symbolic link to %s: the unit does not start", withDevice(m), at, unit, private(at))
				if m.doubt != "" {
					d.Severity = stateward.SeverityWarning
					d.Message = fmt.Sprintf("%s may be mounted at %s, where %s, which runs with DynamicUser, needs a symbolic link to %s: %s", withDevice(m), at, unit, private(at), m.doubt)
				}
				d.Hint = fmt.Sprintf("mount it at %s, or %s = lib.mkForce false;", private(at), stateward.OptionPath("systemd", "services", d.Service, "serviceConfig", "DynamicUser"))
				out = append(out, d)
			}
		}
		slices.SortFunc(out, stateward.CompareDiagnostics)
		return out
	},
}
