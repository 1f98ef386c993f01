package aggregate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

var sw212 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW212", Title: "mount of a dataset is refused", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"D8"},
		Doc: doc(`
An entry of ` + "`fileSystems`" + `, or a mount unit, mounts a dataset in a way that its ` + "`mountpoint`" + ` does not allow. mount.zfs(8) takes a dataset with
` + "`mountpoint=legacy`" + ` without the option ` + "`zfsutil`" + ` only, and any other, ` + "`none`" + ` included, with it only. The mount fails, and with it
` + "`local-fs.target`" + `: the machine boots into emergency mode. With ` + "`nofail`" + ` it boots, and services write to the directory beneath.

What is mounted in the initial ramdisk without ` + "`zfsutil`" + ` is not spoken of: the scripted one mounts without that program.

Mend it by saying the same on both sides:

` + "```nix" + `
disko.devices.zpool.tank.datasets.media = {
  type = "zfs_fs";
  options.mountpoint = "legacy";
};
fileSystems."/srv/media" = {
  device = "tank/media";
  fsType = "zfs";
  options = ["zfsutil"];
}; # drop the option
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		properties := f.mountProperties()
		for _, ms := range f.mounts {
			for _, m := range ms {
				device, ok := m.fs.Device.Get()
				property, declared := properties[device]
				if m.zfs != nil || !ok || !declared || m.fs.IsBind() || m.fs.Options.IsUnknown() {
					continue
				}
				if fsType := m.fs.FSType.Or("zfs"); fsType != "zfs" && fsType != "auto" {
					continue
				}
				util, d := m.fs.HasOption("zfsutil"), finding(m.origin)
				switch {
				case util && property.value == "legacy":
					d.Message = fmt.Sprintf("%s mounts dataset %s with zfsutil, and that has mountpoint=legacy: mount refuses it at the next boot", m.by, device)
					d.Hint = `drop "zfsutil" from the options, or the mountpoint of the dataset`
				case !util && property.value != "legacy" && property.foreign && !mountedInInitrd(m) && m.option != initrdMounts:
					d.Message = fmt.Sprintf("%s mounts dataset %s without zfsutil, and that has mountpoint=%s: mount refuses it at the next boot", m.by, device, property.value)
					d.Hint = `give the dataset mountpoint=legacy (zfs set on a pool that exists), or the entry the option "zfsutil"`
				default:
					continue
				}
				if m.doubt != "" {
					d.Severity = stateward.SeverityWarning
				}
				d.Path = m.at.String()
				out = append(out, d)
			}
		}
		slices.SortFunc(out, stateward.CompareDiagnostics)
		return out
	},
}

type mountProperty struct {
	value   string
	foreign bool
}

// mountProperties are the values of mountpoint that are declared for datasets by name, where no two declarations differ. What
// is inherited is left out: a dataset in between may have a value of its own.
func (f *facts) mountProperties() map[string]mountProperty {
	out, doubtful := map[string]mountProperty{}, map[string]bool{}
	datasets := f.host.Datasets.Or(nil)
	for i := range datasets {
		d := &datasets[i]
		if d.Asked {
			continue
		}
		// disko's own mountpoint makes an entry of fileSystems, and then only the property is left.
		v := d.MountPoint
		if p, ok := d.Properties["mountpoint"]; ok {
			v = p
		}
		value := strings.TrimSpace(v.Or(""))
		if had, ok := out[d.Name]; v.IsUnknown() || ok && value != "" && had.value != value {
			doubtful[d.Name] = true
		}
		if value != "" {
			out[d.Name] = mountProperty{cmp.Or(out[d.Name].value, value), dataset.IsForeign(d)}
		}
	}
	for name := range doubtful {
		delete(out, name)
	}
	return out
}
