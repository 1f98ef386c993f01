package backup

import (
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// snapshotTools are how names of units begin that take snapshots and of which nothing is read.
var snapshotTools = []string{"zfs-snapshot-", "zrepl", "znapzend", "pyznap", "btrbk", "snapper-", "zfs-auto-snapshot", "snapborg"}

// maySnapshot tells by its name whether a unit may take snapshots.
func maySnapshot(name string) bool {
	name = strings.ToLower(name)
	if strings.HasPrefix(name, "zfs-import-") || strings.HasPrefix(name, "snapper-cleanup") {
		return false // the one is of a pool that may be named so, the other only removes some
	}
	return strings.Contains(name, "snapshot") || slices.ContainsFunc(snapshotTools, func(tool string) bool { return strings.HasPrefix(name, tool) })
}

// OtherSnapshots are the units of a host that may take snapshots beside sanoid's (S9), in the order of Host.Units, of which is not
// read what they take; the second value says why that is not known. The units of backup jobs that are read are none.
func OtherSnapshots(h *stateward.Host) ([]string, *stateward.Unknown) {
	if why, unknown := h.Units.Why(); unknown {
		return nil, &why
	}
	own := map[string]bool{"restic-rest-server": true, "syncoid": true}
	for _, j := range h.Jobs.Or(nil) {
		for _, prefix := range []string{"restic-backups-", "restic-backup-", "borgbackup-job-", "zfs-snapshot-"} {
			own[prefix+j.Name] = true
		}
	}
	var out []string
	for _, u := range h.Units.Or(nil) {
		name := strings.TrimSuffix(u.Name, ".service")
		if on, known := u.Enable.Get(); known && !on || own[name] || !maySnapshot(name) {
			continue
		}
		out = append(out, u.Name)
	}
	return out, nil
}
