package backup

import (
	"strings"

	"github.com/stateward/stateward"
)

// snapshotTools are how names of units begin that take snapshots and of which nothing is read.
var snapshotTools = []string{"zfs-snapshot-", "zrepl", "znapzend", "pyznap", "btrbk", "snapper-", "zfs-auto-snapshot", "snapborg"}

// OtherSnapshots are the units of a host that may take snapshots beside sanoid's (S9), in the order of Host.Units, of which is not
// read what they take; the second value says why that is not known.
func OtherSnapshots(h *stateward.Host) ([]string, *stateward.Unknown) {
	if why, unknown := h.Units.Why(); unknown {
		return nil, &why
	}
	var out []string
	for _, u := range h.Units.Or(nil) {
		if on, known := u.Enable.Get(); known && !on {
			continue
		}
		name := strings.ToLower(strings.TrimSuffix(u.Name, ".service"))
		for _, tool := range snapshotTools {
			if strings.HasPrefix(name, tool) && !strings.HasPrefix(name, "snapper-cleanup") {
				out = append(out, u.Name)
				break
			}
		}
	}
	return out, nil
}
