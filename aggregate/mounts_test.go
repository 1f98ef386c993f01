package aggregate_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

func TestMountsThatAreNotSafe(t *testing.T) {
	late := func(f stateward.FileSystem, needed bool) part {
		return changedFS(f, func(f *stateward.FileSystem) { f.NeededForBoot = known(needed) })
	}
	absentType := func(f stateward.FileSystem) part {
		return changedFS(f, func(f *stateward.FileSystem) { f.FSType = stateward.Value[string]{} })
	}
	const path = "/data/app"
	for _, tc := range []struct {
		name  string
		parts []part
		want  stateward.TierState
		by    string
	}{
		{"noauto", []part{late(mounted("/data", "/dev/b", "ext4", "noauto"), false)}, unsure,
			`fileSystems."/data" has the option noauto: it is not mounted at boot, and what is written before lies beneath it`},
		{"noauto in one text", []part{late(mounted("/data", "/dev/b", "ext4", "noatime,noauto"), false)}, unsure, ""},
		{"noauto with an automount", []part{late(mounted("/data", "/dev/b", "ext4", "noauto", "x-systemd.automount"), false)}, yes, ""},
		{"noauto and needed for boot, by an initrd of scripts", []part{late(mounted("/data", "/dev/b", "ext4", "noauto"), true)}, yes, ""},
		{"noauto and needed for boot, by the systemd initrd", []part{systemdInitrd(true), late(mounted("/data", "/dev/b", "ext4", "noauto"), true)}, unsure,
			`fileSystems."/data" has the option noauto: the systemd initrd leaves it out at boot, and what is written before lies beneath it`},
		{"noauto and x-initrd.mount", []part{late(mounted("/data", "/dev/b", "ext4", "noauto", "x-initrd.mount"), false)}, unsure, ""},
		{"noauto with an automount, by the systemd initrd", []part{systemdInitrd(true), late(mounted("/data", "/dev/b", "ext4", "noauto", "x-systemd.automount"), true)}, yes, ""},
		{"compressed memory", []part{fileSystem("/data", "/dev/zram0", "ext4")}, no, `fileSystems."/data" is on /dev/zram0, which is memory`},
		{"memory disk", []part{fileSystem("/data", "/dev/ram0", "ext4")}, no, ""},
		{"tmpfs by its device", []part{absentType(mounted("/data", "tmpfs", ""))}, no, `fileSystems."/data" is a tmpfs`},
		{"tmpfs by its device, type auto", []part{fileSystem("/data", "tmpfs", "auto")}, no, ""},
		{"image on the wiped root", []part{fileSystem("/data", "/var/data.img", "ext4", "loop")}, no, `fileSystems."/data" is the image /var/data.img: fileSystems."/" is a tmpfs`},
		{"image without the option", []part{fileSystem("/data", "/var/data.img", "ext4")}, no, ""},
		{"image that survives", []part{fileSystem("/data", "/persist/data.img", "ext4", "loop=/dev/loop0")}, yes, `fileSystems."/data" is the image /persist/data.img: fileSystems."/persist"`},
		{"image in a runtime directory", []part{fileSystem("/data", "/run/data.img", "ext4", "loop")}, no, ""},
		{"bind mount of a runtime directory", []part{fileSystem("/data", "/run/data", "none", "bind")}, no, ""},
		{"loop device over a disk", []part{fileSystem("/data", "/dev/sdb", "ext4", "loop,offset=512")}, yes, ""},
		{"union in user space", []part{fileSystem("/data", "/mnt/a:/mnt/b", "fuse.mergerfs")}, unsure, `fileSystems."/data" is a fuse.mergerfs, and where it keeps its files is not read`},
		{"union by its short name", []part{fileSystem("/data", "/mnt/a:/mnt/b", "mergerfs")}, unsure, ""},
		{"another machine's by NFS", []part{fileSystem("/data", "nas:/x", "nfs")}, yes, ""},
		{"another machine's by SMB", []part{fileSystem("/data", "//nas/x", "cifs")}, yes, ""},
		{"the virtual machine's host", []part{fileSystem("/data", "share", "virtiofs"), fileSystem("/data/app", "/tag", "9p")}, yes, ""},
		{"bind in one text", []part{fileSystem("/data", "/srv", "none", "bind,noatime")}, no, `fileSystems."/data" binds /srv: fileSystems."/" is a tmpfs`},
		{"bind in one text, needed by an entry", []part{persist("/persist", "/data"), fileSystem("/data", "/persist/data", "none", "bind,noatime")}, yes, `environment.persistence."/persist"`},
		{"mount that may be off", []part{changedFS(mounted("/data", "/dev/b", "ext4"), func(f *stateward.FileSystem) { f.Enable = unknown[bool]("e") })}, unsure, "e: it throws"},
		{"mount that is off", []part{changedFS(mounted("/data", "/dev/b", "ext4"), func(f *stateward.FileSystem) { f.Enable = known(false) })}, no, ""},
		{"mount without a mount point", []part{changedFS(mounted("/data", "/dev/b", "ext4"), func(f *stateward.FileSystem) { f.MountPoint = stateward.Entry{} })}, unsure, "path is empty"},
		{"persistence root without a path", []part{changeRoot("/persist", func(r *stateward.PersistenceRoot) { r.Path = known(stateward.AbsPath{}) }), persist("/persist", "/data")}, unsure, ""},
		{"entry without a path", []part{persist("/persist", stateward.Entry{})}, no, ""},
		{"entry stored nowhere", []part{persist("/persist", storedAt("/data", known(stateward.AbsPath{})))}, unsure, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := with(wiped, tc.parts...)
			lint(h)
			got := rebootOf(t, h, path)
			require.Equal(t, tc.want, got.State, "%s", got.By)
			if tc.by != "" {
				require.Equal(t, tc.by, got.By)
			}
		})
	}
}

// A wipe of which only the script knows what it hits may hit what lies beside the root.
func TestHiddenWipeBesideTheRoot(t *testing.T) {
	hidden := []part{systemdInitrd(true), hiddenHook("systemd.services.rollback", stateward.UnknownHidden)}
	zfs := slices.Concat([]part{
		fileSystem("/", "rpool/local/root", "zfs"), fileSystem("/nix", "rpool/local/nix", "zfs"), fileSystem("/boot", "rpool/boot", "zfs"),
		fileSystem("/var", "rpool/local/var", "zfs"), fileSystem("/persist", "rpool/safe/persist", "zfs"), persist("/persist", "/etc/x", storedAt("/etc/y", known(stateward.MustPath("/cold/y")))),
		fileSystem("/cold", "rpool/safe/cold", "zfs"), fileSystem("/tank", "tank/data", "zfs"), dataset("rpool/self", "/self"),
	}, hidden)
	btrfs := slices.Concat([]part{
		fileSystem("/", "/dev/mapper/root", "btrfs", "subvol=root"), fileSystem("/var", "/dev/mapper/root", "btrfs", "subvol=var"),
		fileSystem("/persist", "/dev/mapper/root", "btrfs", "subvol=persist"), persist("/persist", "/etc/x"),
		fileSystem("/disk", "/dev/sdb", "ext4"), fileSystem("/mem", "none", "tmpfs"),
	}, hidden)
	bound := slices.Concat([]part{
		fileSystem("/", "rpool/root", "zfs"), fileSystem("/data", "rpool/data", "zfs"), fileSystem("/persist", "/data/persist", "none", "bind"), persist("/persist", "/etc/x"),
	}, hidden)
	memory := slices.Concat([]part{fileSystem("/", "none", "tmpfs"), fileSystem("/mem", "none", "tmpfs"), fileSystem("/var", "rpool/var", "zfs")}, hidden)
	for _, tc := range []struct {
		name  string
		parts []part
		path  string
		want  stateward.TierState
	}{
		{"root", zfs, "/srv", unsure},
		{"same pool", zfs, "/var/lib/app", unsure},
		{"same pool, a dataset that mounts itself", zfs, "/self/app", unsure},
		{"the store's", zfs, "/nix/app", yes},
		{"boot", zfs, "/boot/app", yes},
		{"the persistence root's", zfs, "/persist/app", yes},
		{"what is persisted", zfs, "/etc/x", yes},
		{"an entry's storage", zfs, "/etc/y", yes},
		{"another pool", zfs, "/tank/app", yes},
		{"same device", btrfs, "/var/lib/app", unsure},
		{"same device, the persistence root's", btrfs, "/etc/x", yes},
		{"another device", btrfs, "/disk/app", yes},
		{"memory", btrfs, "/mem/app", no},
		{"what the persistence root binds", bound, "/etc/x", yes},
		{"root in memory has nothing beside it", memory, "/var/app", yes},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := rebootOf(t, host(tc.parts...), tc.path)
			require.Equal(t, tc.want, got.State, "%s", got.By)
		})
	}
}

// [ "a" (throw …) ]: the words that could be had do not make the others none.
func TestStateDirectoryPartlyUnknown(t *testing.T) {
	partly := func(dynamic stateward.Value[bool]) part {
		return func(h *stateward.Host) {
			stateUnit("a", dynamic, "b")(h)
			us, ss := h.Units.Or(nil), h.Services.Or(nil)
			us[len(us)-1].StateDirectory = unknown[[]string]("d")
			s := &ss[len(ss)-1]
			s.State, s.StateSeen = unknown[[]stateward.StatePath]("d"), s.State.Or(nil)
		}
	}
	for name, tc := range map[string]struct {
		dynamic stateward.Value[bool]
		path    string
		want    stateward.TierState
	}{
		"the known word may be a link":        {known(true), "/var/lib/b", unsure},
		"what lies below it too":              {known(true), "/var/lib/b/c", unsure},
		"the unit's name may be one":          {known(true), "/var/lib/a", unsure},
		"nothing of others is in doubt":       {known(true), "/var/lib/c", yes},
		"who is not dynamic has no links":     {known(false), "/var/lib/b", yes},
		"who is perhaps dynamic, perhaps has": {unknown[bool]("u"), "/var/lib/b", unsure},
	} {
		t.Run(name, func(t *testing.T) {
			h := with(wiped, partly(tc.dynamic), persist("/persist", "/var/lib/a", "/var/lib/b", "/var/lib/c"))
			got := rebootOf(t, h, tc.path)
			require.Equal(t, tc.want, got.State, "%s", got.By)
		})
	}
}

// A host that was not decoded may hold values that no decoder makes.
func TestZeroValuesEnd(t *testing.T) {
	h := host(services(stateward.Service{Name: "a", Enable: known(true), State: known(make([]stateward.StatePath, 2))}))
	h.Persistence = known([]stateward.PersistenceRoot{{}, {Path: known(stateward.AbsPath{}), Directories: known(make([]stateward.Entry, 2))},
		{Path: known(stateward.MustPath("/p")), Enable: known(true), Directories: known(make([]stateward.Entry, 2)), Files: known([]stateward.Entry{{Special: &stateward.EntrySpecial{Storage: known(stateward.AbsPath{})}}})}})
	h.FileSystems, h.Mounts = known(make([]stateward.FileSystem, 2)), known(make([]stateward.FileSystem, 1))
	h.Datasets, h.Units, h.Users = known(make([]stateward.Dataset, 2)), known(make([]stateward.Unit, 2)), known(make([]stateward.User, 1))
	h.Jobs = known([]stateward.Job{{Paths: known(make([]stateward.Entry, 1))}})
	h.Initrd.Commands = known(make([]stateward.InitrdCommand, 1))
	require.NotEmpty(t, lint(h).Findings)
	_, _ = aggregate.Resolve(h, aggregate.Options{Root: "/p"})
	lint(&stateward.Host{})
}

// D1: a dataset that a service asks for is there only where something makes or mounts it.
func TestDatasetsThatAreAskedFor(t *testing.T) {
	asked := changed(contract("app", "/var/lib/app"), func(s *stateward.Service) {
		s.Dataset = &stateward.Dataset{Name: "tank/app", MountPoint: known("/var/lib/app"), Origin: at("stateward", "services", "app", "dataset")}
	})
	both := func(h *stateward.Host) {
		asked(h)
		push(&h.Datasets, stateward.Dataset{Name: "tank/app", MountPoint: known("/var/lib/app"), Asked: true, Origin: at("stateward", "services", "app", "dataset")})
	}
	for name, tc := range map[string]struct {
		host  func(...part) *stateward.Host
		parts []part
		state string
	}{
		"D1 nobody makes it":                     {onWiped, []part{both}, "unknown"},
		"another is made":                        {onWiped, []part{both, dataset("tank/other", "/srv")}, "unknown"},
		"disko makes it there":                   {onWiped, []part{both, dataset("tank/app", "/var/lib/app")}, "yes"},
		"disko makes it elsewhere":               {onWiped, []part{both, dataset("tank/app", "/srv")}, "unknown"},
		"fileSystems mounts it":                  {onWiped, []part{both, fileSystem("/var/lib/app", "tank/app", "zfs")}, "yes"},
		"what lies beneath is kept":              {onKept, []part{both}, "yes"},
		"what lies beneath is a disk of its own": {onWiped, []part{both, fileSystem("/var/lib", "/dev/b", "ext4")}, "yes"},
	} {
		t.Run(name, func(t *testing.T) {
			h := tc.host(tc.parts...)
			require.Equal(t, []row{{"app", "/var/lib/app", "dataDir", tc.state}}, rowsOf(h))
			require.Empty(t, findings(h, "SW107"))
		})
	}
}

// A dataset that the configuration makes covers its mount point, whatever else its pool mounts; green only where it is surely mounted there.
func TestDatasetsThatMountThemselves(t *testing.T) {
	pools := func(names ...string) part {
		return func(h *stateward.Host) { h.ExtraPools = known(append([]string{}, names...)) }
	}
	unknownPools := func(h *stateward.Host) { h.ExtraPools = unknown[[]string]("boot.zfs.extraPools") }
	hostUnit := func(name string, enable stateward.Value[bool]) part {
		return func(h *stateward.Host) { push(&h.Units, stateward.Unit{Name: name, Enable: enable}) }
	}
	data := dataset("tank/services/app", "/var/lib/app")
	changedLast := func(change func(*stateward.Dataset)) part {
		return func(h *stateward.Host) {
			data(h)
			ds := h.Datasets.Or(nil)
			change(&ds[len(ds)-1])
		}
	}
	asked := func(h *stateward.Host) { ds := h.Datasets.Or(nil); ds[len(ds)-1].Asked = true }
	inherits := func(h *stateward.Host) {
		push(&h.Datasets, stateward.Dataset{Name: "tank/services/app", Origin: at("disko", "devices", "app")})
	}
	unknownPlace := func(h *stateward.Host) {
		push(&h.Datasets, stateward.Dataset{Name: "tank/services/app", MountPoint: unknown[string]("m"), Origin: at("disko", "devices", "app")})
	}
	changedCanMount := func(to string) part {
		return func(h *stateward.Host) { ds := h.Datasets.Or(nil); ds[len(ds)-1].CanMount = known(to) }
	}
	above := func(h *stateward.Host) {
		push(&h.Datasets, stateward.Dataset{Name: "tank/services", MountPoint: known("/var/lib"), CanMount: known("off"), Origin: at("disko", "devices", "services")})
	}
	const inherited = "dataset tank/services/app is declared with the mount point /srv/app, and once with none: whether it is at /var/lib/app is not known"
	const path = "/var/lib/app/db"
	for name, tc := range map[string]struct {
		parts []part
		want  stateward.TierState
		by    string
	}{
		"N9 its pool may mount anything elsewhere":          {[]part{pools("rpool", "tank"), data}, yes, "dataset tank/services/app"},
		"beside it nothing is known":                        {[]part{pools("rpool", "tank"), dataset("tank/services/b", "/var/lib/b")}, unsure, "pool rpool of boot.zfs.extraPools mounts its datasets where their own mountpoint property says"},
		"a sibling's name does not cover":                   {[]part{pools("tank"), dataset("tank/services/ap", "/var/lib/ap")}, unsure, ""},
		"fileSystems imports the pool":                      {[]part{pools(), data, fileSystem("/tank", "tank/other", "zfs")}, yes, ""},
		"a unit imports the pool":                           {[]part{pools(), data, hostUnit("zfs-import-tank.service", known(true))}, yes, ""},
		"nothing imports the pool":                          {[]part{pools("rpool"), data}, unsure, "dataset tank/services/app mounts itself, and nothing that is read imports pool tank at boot"},
		"the unit that would import it is off":              {[]part{pools(), data, hostUnit("zfs-import-tank.service", known(false))}, unsure, ""},
		"another's device is no pool":                       {[]part{pools(), data, fileSystem("/tank", "tank/other", "ext4")}, unsure, ""},
		"what imports it could not be had":                  {[]part{unknownPools, data}, unsure, "boot.zfs.extraPools: it throws"},
		"nothing mounts at boot":                            {[]part{pools("tank"), data, hostUnit("zfs-mount.service", known(false))}, unsure, "dataset tank/services/app mounts itself, and zfs-mount.service, which does that at boot, is off"},
		"the unit that mounts at boot is there":             {[]part{pools("tank"), data, hostUnit("zfs-mount.service", known(true))}, yes, ""},
		"N8 it is rolled back":                              {[]part{data, initrdHook("postDeviceCommands", "zfs rollback -r tank/services/app@blank")}, no, "boot.initrd.postDeviceCommands rolls tank/services/app back"},
		"a tmpfs hides a part of it":                        {[]part{data, fileSystem("/var/lib/app/db", "none", "tmpfs")}, no, ""},
		"it is not mounted by itself":                       {[]part{pools("tank"), changedLast(func(d *stateward.Dataset) { d.CanMount = known("noauto") })}, unsure, ""},
		"whether it is mounted could not be had":            {[]part{pools("tank"), changedLast(func(d *stateward.Dataset) { d.CanMount = unknown[string]("c") })}, unsure, "c: it throws"},
		"where it is mounted could not be had":              {[]part{changedLast(func(d *stateward.Dataset) { d.MountPoint = unknown[string]("m") })}, unsure, "m: it throws"},
		"D1 nothing makes it":                               {[]part{pools("tank"), changedLast(func(d *stateward.Dataset) { d.Asked = true })}, unsure, "dataset tank/services/app is declared, and nothing that is read makes or mounts it at /var/lib/app"},
		"declared twice alike":                              {[]part{pools("tank"), data, data}, yes, ""},
		"declared twice, mounted at two places":             {[]part{pools("tank"), dataset("tank/services/app", "/srv"), data}, unsure, "dataset tank/services/app is to be mounted at /srv and at /var/lib/app"},
		"the other of two places":                           {[]part{pools("tank"), data, dataset("tank/services/app", "/srv")}, unsure, ""},
		"N4 a mount point beside one that is not known":     {[]part{pools("tank"), unknownPlace, data}, unsure, "m: it throws"},
		"N4 one that is not known beside a mount point":     {[]part{pools("tank"), data, unknownPlace}, unsure, "m: it throws"},
		"declared without a mount point, then with":         {[]part{pools("tank"), dataset("tank/services", "/srv"), inherits, data}, yes, "dataset tank/services/app"},
		"declared with a mount point, then without":         {[]part{pools("tank"), dataset("tank/services", "/srv"), data, inherits}, yes, "dataset tank/services/app"},
		"where it was inherited from, then set elsewhere":   {[]part{pools("tank"), above, inherits, dataset("tank/services/app", "/srv/app")}, unsure, inherited},
		"where it was inherited from, set elsewhere before": {[]part{pools("tank"), above, dataset("tank/services/app", "/srv/app"), inherits}, unsure, inherited},
		"inherited from one with two places":                {[]part{pools("tank"), dataset("tank/services", "/var/lib"), dataset("tank/services", "/srv"), inherits}, unsure, "dataset tank/services is to be mounted at /var/lib and at /srv"},
		"declared again, and never mounted":                 {[]part{changedLast(func(d *stateward.Dataset) { d.CanMount = known("off") }), data}, no, ""},
		"declared again, never mounted the second time":     {[]part{data, changedLast(func(d *stateward.Dataset) { d.CanMount = known("off") })}, no, ""},
		"mounted by one of two":                             {[]part{data, changedCanMount("off"), data, changedCanMount("on")}, unsure, "dataset tank/services/app is to have canmount=off and canmount=on"},
		"fileSystems mounts it there too":                   {[]part{pools("tank"), data, fileSystem("/var/lib/app", "tank/services/app", "zfs", "zfsutil")}, yes, ""},
		"fileSystems mounts it elsewhere":                   {[]part{pools("tank"), data, fileSystem("/srv", "tank/services/app", "zfs", "zfsutil")}, unsure, "dataset tank/services/app is mounted at /srv, and whether it is at /var/lib/app too is not known"},
		"inherited from what is made":                       {[]part{dataset("tank/services", "/var/lib"), inherits}, yes, ""},
		"inherited from what is only asked for":             {[]part{dataset("tank/services", "/var/lib"), asked, inherits}, unsure, ""},
		"inherited from a pool that is only asked for":      {[]part{dataset("tank", ""), asked, inherits}, no, ""},
		"what is made elsewhere and asked for":              {[]part{pools("tank"), changedLast(func(d *stateward.Dataset) { d.Asked = true }), data}, yes, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := with(wiped, tc.parts...)
			lint(h)
			got := rebootOf(t, h, path)
			require.Equal(t, tc.want, got.State, "%s", got.By)
			if tc.by != "" {
				require.Equal(t, tc.by, got.By)
			}
			require.Empty(t, findings(h, "SW107"), "a dataset is no other one than itself")
		})
	}
}

func onWiped(parts ...part) *stateward.Host { return with(wiped, parts...) }
func onKept(parts ...part) *stateward.Host  { return with(kept, parts...) }
