package nixos

import (
	"path"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// off tells whether something is switched off by an `enable` of its own.
func off(n *dialect.Node) bool {
	on, known := n.At("enable").Bool().Get()
	return known && !on
}

// unsure returns an `enable` that could not be had; absent where it is on or not there.
func unsure(n *dialect.Node) stateward.Value[bool] {
	if on := n.At("enable").Bool(); on.IsUnknown() {
		return on
	}
	return stateward.Absent[bool](n.At("enable").Origin())
}

// mountPoint makes an entry of where something is mounted. Where that could not be had it may be anywhere, and the entry
// has the reason as its problem.
func mountPoint(at stateward.Value[string], otherwise string, o stateward.Origin) stateward.Entry {
	if why, unknown := at.Why(); unknown {
		return stateward.Entry{Text: otherwise, Problem: &stateward.PathError{Reason: why.String(), Advice: "make it evaluate"}, Origin: o}
	}
	return stateward.NewEntry(at.Or(otherwise), stateward.Directory, o)
}

func fileSystems(n *dialect.Node) stateward.Value[[]stateward.FileSystem] {
	return dialect.AttrsOf(n, func(name string, n *dialect.Node) (stateward.FileSystem, bool) {
		at := n.At("mountPoint").Text()
		if n.Kind() == dialect.Unknown {
			// Nothing else is known of it, so its name is as good as ever.
			at = stateward.Absent[string](n.Origin())
		}
		f := stateward.FileSystem{
			MountPoint:    mountPoint(at, name, n.Origin()),
			Device:        n.At("device").Filled(),
			FSType:        n.At("fsType").Filled(),
			Options:       n.At("options").Strings(),
			NeededForBoot: n.At("neededForBoot").Bool(),
			Depends:       n.At("depends").Strings(),
			Enable:        unsure(n),
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

// initrdMounts reads `boot.initrd.systemd.mounts`, of which the booted system keeps what lies below /sysroot. Another kind of
// initrd does not look at them.
func initrdMounts(n *dialect.Node) stateward.Value[[]stateward.FileSystem] {
	systemd := n.At("enable").Bool()
	if on, known := systemd.Get(); known && !on || systemd.IsAbsent() {
		return stateward.Absent[[]stateward.FileSystem](n.At("mounts").Origin())
	}
	return stateward.MapValue(mounts(n.At("mounts")), func(list []stateward.FileSystem) ([]stateward.FileSystem, error) {
		booted := []stateward.FileSystem{}
		for _, f := range list {
			at, ok := inSysroot(f.MountPoint.Text)
			if f.MountPoint.Problem == nil && !ok {
				continue
			}
			if ok {
				f.MountPoint = stateward.NewEntry(at, stateward.Directory, f.MountPoint.Origin)
			}
			f.Device = stateward.MapValue(f.Device, func(device string) (string, error) {
				device, _ = inSysroot(device)
				return device, nil
			})
			f.NeededForBoot = stateward.Known(true, f.Origin)
			if f.Enable.IsAbsent() && systemd.IsUnknown() {
				f.Enable = systemd
			}
			booted = append(booted, f)
		}
		return booted, nil
	})
}

// inSysroot cuts off where the initrd has mounted the root of the booted system.
func inSysroot(s string) (string, bool) {
	rest, ok := strings.CutPrefix(path.Clean(s), "/sysroot")
	switch {
	case ok && rest == "":
		return "/", true
	case ok && rest[0] == '/':
		return rest, true
	default:
		return s, false
	}
}

// mounts reads `systemd.mounts`, where Impermanence declares its bind mounts too. NixOS writes the unit of
// mountConfig, to which it adds the plain attributes.
func mounts(n *dialect.Node) stateward.Value[[]stateward.FileSystem] {
	return dialect.ListOf(n, func(n *dialect.Node) (stateward.FileSystem, bool) {
		setting := func(name, plain string) stateward.Value[string] {
			if v := lastOf(n.At("mountConfig", name)); !v.IsAbsent() {
				return v
			}
			return n.At(plain).Filled()
		}
		return stateward.FileSystem{
			MountPoint: mountPoint(setting("Where", "where"), "", n.Origin()),
			Device:     setting("What", "what"),
			FSType:     setting("Type", "type"),
			Options: stateward.MapValue(setting("Options", "options"), func(s string) ([]string, error) {
				return strings.Split(s, ","), nil
			}),
			Enable: unsure(n),
			Origin: n.Origin(),
		}, !off(n)
	})
}

// lastOf reads a setting of a unit that takes one text: of several, the last counts.
func lastOf(n *dialect.Node) stateward.Value[string] {
	if n.Kind() != dialect.List {
		return n.Filled()
	}
	list := n.List()
	if len(list) == 0 {
		return stateward.Absent[string](n.Origin())
	}
	return list[len(list)-1].Filled()
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
