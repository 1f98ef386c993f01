package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
)

var sw106 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW106", Title: "persisted path is also a mount point", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"P4", "N9"},
		Doc: doc(`
A path is listed in ` + "`environment.persistence`" + ` and is a mount point of a file system or ZFS dataset as well. The bind
mount and the file system hide one another: which of them the service sees depends on which is mounted last, and
data written to the one is missing from the other.

Mend it by dropping the entry: what has a file system of its own needs no persistence.

` + "```nix" + `
fileSystems."/var/lib/postgresql" = {
  device = "rpool/safe/postgresql";
  fsType = "zfs";
};
environment.persistence."/persist".directories = ["/var/lib/postgresql"]; # drop this
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, e := range f.entries {
			if e.Problem != nil {
				continue
			}
			for _, m := range f.mounts[e.Path] {
				d := finding(e.Origin)
				d.Path = e.Path.String()
				d.Message = fmt.Sprintf("%s is persisted and is the mount point of %s: the one mounted last at the next boot hides the other", e.Path, m.by)
				if m.doubt != "" {
					d.Severity = stateward.SeverityWarning
					d.Message = fmt.Sprintf("%s is persisted and may be the mount point of %s, which would hide it: %s", e.Path, m.by, m.doubt)
				}
				d.Hint = "drop the entry, or the mount"
				out = append(out, d)
			}
		}
		return out
	},
}
