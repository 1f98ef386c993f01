package nixos

import (
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// off tells whether something is switched off by an `enable` of its own.
func off(n *dialect.Node) bool {
	on, known := n.At("enable").Bool().Get()
	return known && !on
}

func fileSystems(n *dialect.Node) stateward.Value[[]stateward.FileSystem] {
	return dialect.AttrsOf(n, func(name string, n *dialect.Node) (stateward.FileSystem, bool) {
		f := stateward.FileSystem{
			MountPoint:    stateward.NewEntry(n.At("mountPoint").Text().Or(name), stateward.Directory, n.Origin()),
			Device:        n.At("device").Filled(),
			FSType:        n.At("fsType").Filled(),
			Options:       n.At("options").Strings(),
			NeededForBoot: n.At("neededForBoot").Bool(),
			Depends:       n.At("depends").Strings(),
			Origin:        n.Origin(),
		}
		if f.Device.IsAbsent() {
			f.Device = stateward.MapValue(n.At("label").Filled(), func(label string) (string, error) {
				return "/dev/disk/by-label/" + label, nil
			})
		}
		return f, !off(n)
	})
}

// mounts reads `systemd.mounts`, where Impermanence declares its bind mounts too.
func mounts(n *dialect.Node) stateward.Value[[]stateward.FileSystem] {
	return dialect.ListOf(n, func(n *dialect.Node) (stateward.FileSystem, bool) {
		return stateward.FileSystem{
			MountPoint: stateward.NewEntry(n.At("where").Text().Or(""), stateward.Directory, n.Origin()),
			Device:     n.At("what").Filled(),
			FSType:     n.At("type").Filled(),
			Options: stateward.MapValue(n.At("options").Filled(), func(s string) ([]string, error) {
				return strings.Split(s, ","), nil
			}),
			Origin: n.Origin(),
		}, !off(n)
	})
}

// datasets reads `disko.devices.zpool`. Where disko has a `mountpoint`, it makes an
// entry of `fileSystems`, which says the same: the dataset then shows no mount point of its own.
func datasets(n *dialect.Node) stateward.Value[[]stateward.Dataset] {
	pools := dialect.AttrsOf(n, func(pool string, n *dialect.Node) ([]stateward.Dataset, bool) {
		list := []stateward.Dataset{dataset(pool, n, n.At("rootFsOptions"))}
		for _, d := range n.At("datasets").Attrs() {
			if d.Node.At("type").Text().Or("") == "zfs_volume" || d.Name == "" {
				continue
			}
			list = append(list, dataset(pool+"/"+d.Name, d.Node, d.Node.At("options")))
		}
		return list, true
	})
	return stateward.MapValue(pools, func(ps [][]stateward.Dataset) ([]stateward.Dataset, error) {
		list := []stateward.Dataset{}
		for _, p := range ps {
			list = append(list, p...)
		}
		return list, nil
	})
}

func dataset(name string, n, options *dialect.Node) stateward.Dataset {
	d := stateward.Dataset{Name: name, CanMount: options.At("canmount").Filled(), Origin: n.Origin()}
	for _, p := range options.Attrs() {
		if d.Properties == nil {
			d.Properties = map[string]stateward.Value[string]{}
		}
		d.Properties[p.Name] = p.Node.Scalar()
	}
	if mounted := n.At("mountpoint"); mounted.Filled().IsAbsent() {
		d.MountPoint = options.At("mountpoint").Filled()
	}
	return d
}
