package aggregate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/stateward/stateward"
)

var sw107 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW107", Title: "two file systems have one mount point", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"P5", "D8"},
		Doc: doc(`
Two file systems, two ZFS datasets, or a file system and a dataset are to be mounted at one place. They race at boot;
the one mounted last hides the other, and a service writes today to the one and tomorrow to the other.

Mend it by giving each a mount point of its own. A dataset that ` + "`fileSystems`" + ` mounts has ` + "`mountpoint=legacy`" + `.

` + "```nix" + `
fileSystems."/srv/media" = {
  device = "tank/media";
  fsType = "zfs";
};
fileSystems."/srv/media/" = {
  device = "tank/films";
  fsType = "zfs";
}; # the same place, spelt differently
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for at, ms := range f.mounts {
			ms = slices.DeleteFunc(slices.Clone(ms), func(m mount) bool { return m.elsewhere })
			for i, m := range ms[min(1, len(ms)):] {
				if slices.ContainsFunc(ms[:i+1], func(o mount) bool { return sameMount(o, m) }) {
					continue
				}
				d := finding(m.origin)
				d.Path = at.String()
				d.Message = fmt.Sprintf("%s and %s are both mounted at %s: the one mounted last at the next boot hides the other", withDevice(ms[0]), withDevice(m), at)
				if doubt := cmp.Or(m.doubt, ms[0].doubt); doubt != "" {
					d.Severity = stateward.SeverityWarning
					d.Message = fmt.Sprintf("%s and %s may both be mounted at %s: %s", withDevice(ms[0]), withDevice(m), at, doubt)
				}
				d.Hint = "give one of them another mount point"
				out = append(out, d)
			}
		}
		return out
	},
}

// sameMount tells whether two declarations are one mount: a mount unit beside
// the fileSystems entry it was made from, a dataset that is declared twice or beside its entry.
func sameMount(a, b mount) bool {
	name := func(m mount) string {
		if m.zfs != nil {
			return m.zfs.Name
		}
		d, _ := m.fs.Device.Get()
		return d
	}
	if a.zfs != nil || b.zfs != nil {
		return name(a) == name(b) // one dataset hides nothing of its own
	}
	return name(a) != "" && name(a) == name(b) && a.by != b.by &&
		(a.origin.Option != b.origin.Option)
}

// withDevice names a mount and what is mounted.
func withDevice(m mount) string {
	if m.zfs != nil {
		return m.by
	}
	return fmt.Sprintf("%s (%s)", m.by, describe(m))
}
