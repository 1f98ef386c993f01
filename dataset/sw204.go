package dataset

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var sw204 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW204", Title: "dataset has two managers", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"D8", "P5"},
		Doc: doc(`
A dataset is declared as one to be made and mounted here, and disko makes it or ` + "`fileSystems`" + ` mounts it as well. Each sets the
properties that it knows: mountpoint and owner change from run to run. At boot ` + "`zfs-mount.service`" + ` and the mount unit race for
one dataset; the unit that comes second may fail, and with it all of ` + "`local-fs.target`" + `.

It is an error where ` + "`fileSystems`" + ` mounts a dataset that has a path as its mountpoint, without the option ` + "`zfsutil`" + `: mount(8) refuses that.

What ` + "`fileSystems`" + ` mounts may be declared with ` + "`mountpoint=legacy`" + `: then one makes it and the other mounts it. Children of a
dataset of disko's may be declared.

Mend it by leaving the dataset to one of them:

` + "```nix" + `
fileSystems."/srv/media" = {
  device = "tank/media";
  fsType = "zfs";
};
modules.storage.datasets.utility."tank/media".mountpoint = "legacy"; # "/srv/media" would be a second mount
` + "```" + `
`),
	},
	run: func(h *stateward.Host, faults []Fault) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, f := range ofKind(faults, TwoManagers) {
			d := diagnostic(h, &f)
			d.Message = fmt.Sprintf("dataset %s %s", f.Dataset, f.Message)
			if by, refused := refusedMount(h, f.Dataset); refused {
				d.Severity = stateward.SeverityError
				d.Message = fmt.Sprintf("dataset %s is given a mountpoint of its own, and %s mounts it without zfsutil: mount refuses that at the next boot", f.Dataset, by)
			}
			out = append(out, d)
		}
		return out
	},
}

// refusedMount finds the entry of fileSystems whose mount fails, because the dataset is declared with a path as its
// mountpoint: mount.zfs(8) takes such a one with the option zfsutil only.
func refusedMount(h *stateward.Host, name string) (by string, refused bool) {
	path := slices.ContainsFunc(h.Datasets.Or(nil), func(d stateward.Dataset) bool {
		return d.Name == name && !IsForeign(&d) && strings.HasPrefix(d.MountPoint.Or(""), "/")
	})
	if !path {
		return "", false
	}
	for _, fs := range h.FileSystems.Or(nil) {
		if device, ok := fs.Device.Get(); ok && device == name && !fs.IsBind() && !fs.Options.IsUnknown() && !fs.HasOption("zfsutil") {
			// Of several the first by name, in whatever order they come.
			if !refused || fs.Origin.Option < by {
				by, refused = fs.Origin.Option, true
			}
		}
	}
	return by, refused
}
