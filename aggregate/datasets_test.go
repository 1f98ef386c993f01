package aggregate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// utility is a dataset that the configuration declares and makes; change may be nil.
func utility(name, mountPoint string, change func(*stateward.Dataset)) part {
	return func(h *stateward.Host) {
		d := stateward.Dataset{Name: name, Origin: at("modules", "storage", "datasets", "utility", name), Properties: map[string]stateward.Value[string]{}}
		if mountPoint != "" {
			d.MountPoint = known(mountPoint)
		}
		if change != nil {
			change(&d)
		}
		push(&h.Datasets, d)
	}
}

// property gives a dataset a property.
func property(name, value string) func(*stateward.Dataset) {
	return func(d *stateward.Dataset) {
		d.Properties[name] = stateward.Known(value, stateward.Origin{Option: d.Origin.Option + "." + stateward.OptionPath(name)})
	}
}

// misunderstood is a value that no check can use, as the bridge reports it.
func misunderstood[T any](subject, message string) stateward.Value[T] {
	return stateward.NotKnown[T](stateward.Unknown{Subject: subject, Kind: stateward.UnknownForm, Message: message})
}

func TestDatasetChecks(t *testing.T) {
	const at = "modules.storage.datasets.utility."
	for _, tc := range []struct {
		name  string
		code  string
		parts []part
		want  []string // nothing: the check is quiet
	}{
		{"D5 recordsize", "SW201", []part{utility("tank/a", "/a", property("recordsize", "20K"))},
			[]string{`error ` + at + `"tank/a".recordsize [] dataset tank/a: value "20K" of property "recordsize" is no power of two`}},
		{"D5 recordsizes that ZFS takes", "SW201", []part{utility("tank/a", "/a", property("recordsize", "512")), utility("tank/b", "/b", property("recordsize", "16M")),
			utility("tank/c", "/c", property("compression", "zstd-fast-10"))}, nil},
		{"D5 a property that nobody knows", "SW201", []part{utility("tank/a", "/a", property("recordsze", "16K"))},
			[]string{`error ` + at + `"tank/a".recordsze [] dataset tank/a: property "recordsze" is none that zfs knows`}},
		{"D5 a property that nobody can set", "SW201", []part{utility("tank/a", "/a", property("used", "1G"))},
			[]string{`error ` + at + `"tank/a".used [] dataset tank/a: property "used" is read-only`}},
		{"D5 a name with a blank", "SW201", []part{utility("tank/a b", "/a", nil)},
			[]string{`error ` + at + `"tank/a b" [] dataset name "tank/a b" contains a blank, which ZFS allows, but scripts, units and sanoid do not`}},
		{"D5 a name with a semicolon", "SW201", []part{utility("tank/a;b", "/a", nil)},
			[]string{`error ` + at + `"tank/a;b" [] dataset name "tank/a;b" contains ";"`}},
		{"D5 a mode", "SW201", []part{utility("tank/a", "/a", func(d *stateward.Dataset) {
			d.Mode = misunderstood[stateward.Mode](d.Origin.Option+".mode", `mode "999" is not octal`)
		})}, []string{`error ` + at + `"tank/a".mode [] dataset tank/a: mode "999" is not octal`}},
		{"D5 what could not be evaluated is another check's", "SW201", []part{utility("tank/a", "/a", func(d *stateward.Dataset) { d.Mode = unknown[stateward.Mode]("m") })}, nil},
		{"D3 a key that would have to be typed in", "SW201", []part{utility("tank/a", "/a", func(d *stateward.Dataset) {
			property("encryption", "on")(d)
			property("keyformat", "passphrase")(d)
		})}, []string{`error ` + at + `"tank/a" [] dataset tank/a: a key would have to be typed in when the dataset is made`}},
		{"what another makes is theirs", "SW201", []part{dataset("tank/a b", "/a")}, nil},

		{"declared twice", "SW202", []part{utility("tank/a", "/a", property("recordsize", "16K")), changed(contract("a", "/a"), func(*stateward.Service) {}), func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank/a", MountPoint: known("/a"), Properties: map[string]stateward.Value[string]{"recordsize": known("8K")}, Origin: stateward.Origin{Option: "stateward.services.a.dataset"}})
		}}, []string{`error stateward.services.a.dataset [] dataset tank/a is declared twice, with recordsize 16K and with 8K: the other is ` + at + `"tank/a"`}},
		{"declared twice in the same way", "SW202", []part{utility("tank/a", "/a", property("recordsize", "16K")), utility("tank/a", "/a/", property("recordsize", "16384"))}, nil},

		{"D10 names", "SW203", []part{utility("tank/a-b", "/a", nil), utility("tank/a/b", "/b", nil)}, []string{
			`warning ` + at + `"tank/a-b" [] dataset tank/a-b has the same name as tank/a/b once "/" becomes "-", as in the names of units and locks`,
			`warning ` + at + `"tank/a/b" [] dataset tank/a/b has the same name as tank/a-b once "/" becomes "-", as in the names of units and locks`}},
		{"D10 what another makes needs no unit of ours", "SW203", []part{dataset("tank/a-b", "/a"), utility("tank/a/b", "/b", nil)}, nil},

		{"D8 disko makes it too", "SW204", []part{func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank/a", MountPoint: known("/a"), Origin: stateward.Origin{Option: "disko.devices.zpool.tank.datasets.a"}})
		}, utility("tank/a", "/a", nil)},
			[]string{`warning ` + at + `"tank/a" [] dataset tank/a is declared here, and is made or mounted by disko.devices.zpool.tank.datasets.a as well: they race`}},
		{"D8 fileSystems mounts it too", "SW204", []part{fileSystem("/a", "tank/a", "zfs", "zfsutil"), utility("tank/a", "/a", nil)},
			[]string{`warning ` + at + `"tank/a" [] dataset tank/a is declared here, and is made or mounted by fileSystems."/a" as well: they race`}},
		{"D8 fileSystems mounts what mounts itself", "SW204", []part{fileSystem("/a", "tank/a", "zfs"), utility("tank/a", "/a", nil)},
			[]string{`error ` + at + `"tank/a" [] dataset tank/a is given a mountpoint of its own, and fileSystems."/a" mounts it without zfsutil: mount refuses that at the next boot`}},
		{"D8 one makes it and the other mounts it", "SW204", []part{fileSystem("/a", "tank/a", "zfs"), utility("tank/a", "legacy", nil)}, nil},
		{"D8 a child of another's", "SW204", []part{func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank/a", MountPoint: known("none"), Origin: stateward.Origin{Option: "disko.devices.zpool.tank.datasets.a"}})
		}, utility("tank/a/b", "/b", nil)}, nil},
		{"D6 a value that a script expands", "SW210", []part{utility("tank/a", "/a", property("my:note", "$(reboot)"))},
			[]string{`error ` + at + `"tank/a"."my:note" [] dataset tank/a: the value "$(reboot)" of my:note holds "$", and a script has it between double quotes: the shell expands it`}},
		{"D6 a mountpoint that a script expands", "SW210", []part{utility("tank/a", "/srv/`id`", nil)},
			[]string{`error ` + at + `"tank/a" [] dataset tank/a: the value "/srv/` + "`id`" + `" of mountpoint holds "` + "`" + `", and a script has it between double quotes: the shell expands it`}},
		{"D6 blanks and single quotes are safe there", "SW210", []part{utility("tank/a", "/srv/it's a", property("my:note", "a  b;c"))}, nil},
		{"D6 what no script makes", "SW210", []part{utility("tank/a", "/srv/$x", func(d *stateward.Dataset) { d.Asked = true })}, nil},
		{"P5 a place is shared: another check says so", "SW204", []part{fileSystem("/a", "/dev/b", "ext4"), utility("tank/a", "/a", nil)}, nil},
		{"P5 a place is shared", "SW107", []part{fileSystem("/a", "/dev/b", "ext4"), utility("tank/a", "/a", nil)},
			[]string{`error ` + at + `"tank/a" [/a] fileSystems."/a" (ext4 on /dev/b) and dataset tank/a are both mounted at /a: the one mounted last at the next boot hides the other`}},
	} {
		t.Run(tc.code+" "+tc.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(tc.want, findings(with(kept, tc.parts...), tc.code)))
		})
	}
}

// D5: what SW201 refuses is not unknown as well.
func TestWhatIsRefusedIsNotUnknown(t *testing.T) {
	why := stateward.Unknown{Subject: `modules.storage.datasets.utility."tank/a".mode`, Kind: stateward.UnknownForm, Message: `mode "999" is not octal`}
	h := with(kept, utility("tank/a", "/a", func(d *stateward.Dataset) { d.Mode = stateward.NotKnown[stateward.Mode](why) }), unknowns(why))
	var codes []string
	for _, d := range aggregate.Lint(aggregate.Input{Host: h}).Findings {
		codes = append(codes, d.Code)
		require.NotEmpty(t, d.Hint)
	}
	require.Equal(t, []string{"SW201"}, codes)
}

// forService is a dataset of the homelab dialect that has the name of a service, and that service.
func forService(name, mountPoint, dataDir string, change func(*stateward.Dataset, *stateward.Service)) part {
	return func(h *stateward.Host) {
		d := stateward.Dataset{Name: "tank/services/" + name, MountPoint: known(mountPoint), Origin: at("modules", "storage", "datasets", "services", name), Properties: map[string]stateward.Value[string]{}}
		dir := asEntry(dataDir, stateward.Directory, at("modules", "services", name, "dataDir"))
		s := stateward.Service{Name: name, Dialect: "homelab", Enable: known(true), Origin: at("modules", "services", name), DataDir: known(dir),
			State: known([]stateward.StatePath{{Entry: dir, Source: stateward.SourceDataDir}})}
		if change != nil {
			change(&d, &s)
		}
		if !d.CanMount.IsAbsent() {
			d.Properties["canmount"] = d.CanMount
		}
		s.Dataset = &d
		push(&h.Datasets, d)
		push(&h.Services, s)
	}
}

// ownedBy gives a dataset owner, group and mode.
func ownedBy(d *stateward.Dataset, user, group, mode string) {
	e := owned("/x", user, group, mode)
	d.Owner, d.Group, d.Mode = e.User, e.Group, e.Mode
}

func users(names ...string) part {
	return func(h *stateward.Host) {
		for i, n := range names {
			push(&h.Users, stateward.User{Name: n, UID: known(1000 + i), Group: known(n)})
			push(&h.Groups, stateward.Group{Name: n, GID: known(1000 + i)})
		}
	}
}

func tmpfiles(kind, path, user, group, mode string) part {
	return func(h *stateward.Host) {
		e := owned(path, user, group, mode)
		push(&h.Tmpfiles, stateward.TmpfilesRule{Type: kind, At: e, Origin: index(at("systemd", "tmpfiles", "rules"), len(h.Tmpfiles.Or(nil)))})
	}
}

// bootUnit is a unit that is started at boot.
func bootUnit(name string, change func(*stateward.Unit)) part {
	return func(h *stateward.Host) {
		u := stateward.Unit{Name: name + ".service", Enable: known(true), WantedBy: known([]string{"multi-user.target"}), Origin: at("systemd", "services", name)}
		if change != nil {
			change(&u)
		}
		push(&h.Units, u)
	}
}

func after(names ...string) func(*stateward.Unit) {
	return func(u *stateward.Unit) { u.After = known(names) }
}

func TestDatasetsOfServices(t *testing.T) {
	const (
		at     = "modules.storage.datasets.services."
		maker  = "zfs-service-datasets"
		waited = maker + ".service"
	)
	as := func(user, group string) func(*stateward.Dataset, *stateward.Service) {
		return func(d *stateward.Dataset, s *stateward.Service) {
			ownedBy(d, "root", "root", "0700")
			s.User = known(stateward.MustOwner(user))
			if group != "" {
				s.Group = known(stateward.MustOwner(group))
			}
		}
	}
	makes := bootUnit(maker, nil)
	for _, tc := range []struct {
		name  string
		code  string
		parts []part
		want  []string
	}{
		{"D9 nobody defines the owner", "SW205", []part{forService("a", "/a", "/a", func(d *stateward.Dataset, s *stateward.Service) { ownedBy(d, "ada", "ada", "0700") })},
			[]string{`error ` + at + `a [/a] dataset tank/services/a is given the owner and group ada, and no entry of users.users or users.groups defines that: chown fails where the dataset is made`}},
		{"D9 nobody defines the group", "SW205", []part{users("ada"), forService("a", "/a", "/a", func(d *stateward.Dataset, s *stateward.Service) { ownedBy(d, "ada", "media", "0700") })},
			[]string{`error ` + at + `a [/a] dataset tank/services/a is given the group media, and no entry of users.groups defines that: chown fails where the dataset is made`}},
		{"D9 the user of a unit with DynamicUser", "SW205", []part{stateUnit("a", known(true)), forService("a", "/a", "/a", func(d *stateward.Dataset, s *stateward.Service) { ownedBy(d, "a", "root", "0700") })},
			[]string{`error ` + at + `a [/a] dataset tank/services/a is given the owner a, which a.service has only while it runs (DynamicUser): chown fails where the dataset is made`}},
		{"D9 numbers", "SW205", []part{forService("a", "/a", "/a", func(d *stateward.Dataset, s *stateward.Service) { ownedBy(d, "568", "568", "0700") })}, nil},
		{"D9 users that are not known", "SW205", []part{func(h *stateward.Host) { h.Users = unknown[[]stateward.User]("users.users") },
			forService("a", "/a", "/a", func(d *stateward.Dataset, s *stateward.Service) { ownedBy(d, "ada", "root", "0700") })}, nil},
		{"D7 root has it, and the service runs as another", "SW205", []part{users("ada"), forService("a", "/a", "/a", as("ada", ""))},
			[]string{`warning ` + at + `a [/a] dataset tank/services/a at /a belongs to root:root with mode 0700, and a runs as ada (modules.services.a) and cannot write there`}},
		{"D9 a number that is the user's", "SW205", []part{users("ada"), forService("a", "/a", "/a", func(d *stateward.Dataset, s *stateward.Service) {
			ownedBy(d, "1000", "ada", "0700")
			s.User = known(stateward.MustOwner("ada"))
		})}, nil},
		{"D7 the unit says as whom it runs", "SW205", []part{users("ada"), bootUnit("a", func(u *stateward.Unit) { u.User = known(stateward.MustOwner("ada")) }),
			forService("a", "/a", "/a", func(d *stateward.Dataset, s *stateward.Service) { ownedBy(d, "root", "root", "0755") })},
			[]string{`warning ` + at + `a [/a] dataset tank/services/a at /a belongs to root:root with mode 0755, and a runs as ada (a.service) and cannot write there`}},
		{"D7 systemd gives it to the service", "SW205", []part{users("ada"), stateUnit("b", known(false), "a"), forService("a", "/var/lib/a", "/var/lib/a", as("ada", ""))}, nil},
		{"D7 tmpfiles gives it to the service", "SW205", []part{users("ada"), tmpfiles("d", "/a", "ada", "", ""), forService("a", "/a", "/a", as("ada", ""))}, nil},
		{"D7 the group may write", "SW205", []part{users("ada", "media"), forService("a", "/a", "/a", func(d *stateward.Dataset, s *stateward.Service) {
			ownedBy(d, "root", "media", "0770")
			s.User = known(stateward.MustOwner("ada"))
		})}, nil},
		{"D7 the data lies further down", "SW205", []part{users("ada"), forService("a", "/a", "/a/b", as("ada", ""))}, nil},
		{"D7 a service that is root's", "SW205", []part{forService("a", "/a", "/a", as("root", ""))}, nil},

		{"D2 nothing orders them", "SW206", []part{makes, bootUnit("a", nil), forService("a", "/a", "/a", nil)},
			[]string{`warning systemd.services.a [/a] a.service is not ordered after ` + waited + `, which makes its dataset: what starts before the dataset is there writes beneath it, and the dataset hides that`}},
		{"D2 zfs-mount and RequiresMountsFor do not help", "SW206", []part{makes, bootUnit("a", func(u *stateward.Unit) {
			u.After, u.RequiresMountsFor = known([]string{"zfs-mount.service"}), known([]string{"/a"})
		}),
			bootUnit("b", after("local-fs.target")), forService("b", "/b", "/b/c", nil), forService("a", "/a", "/a", nil)},
			[]string{`warning systemd.services.a [] a.service, b.service are not ordered after ` + waited + `, which makes their datasets: what starts before the dataset is there writes beneath it, and the dataset hides that`}},
		{"D2 a unit of a container", "SW206", []part{makes, bootUnit("podman-a", nil), forService("a", "/a", "/a", nil), changed(contract("a"), func(s *stateward.Service) {
			s.Units = []string{"podman-a.service"}
			s.State = known([]stateward.StatePath{{Entry: owned("/a/config", "", "", ""), Source: stateward.SourceVolume}})
		})}, []string{`warning systemd.services.podman-a [/a/config] podman-a.service is not ordered after ` + waited + `, which makes its dataset: what starts before the dataset is there writes beneath it, and the dataset hides that`}},
		{"D2 it waits", "SW206", []part{makes, bootUnit("a", after(waited)), forService("a", "/a", "/a", nil)}, nil},
		{"D2 it waits for what waits", "SW206", []part{makes, bootUnit("preseed-a", func(u *stateward.Unit) { u.After, u.Before = known([]string{waited}), known([]string{"a.service"}) }), bootUnit("a", nil), forService("a", "/a", "/a", nil)}, nil},
		{"D2 what it waits for is not known", "SW206", []part{makes, bootUnit("a", func(u *stateward.Unit) { u.After = unknown[[]string]("x") }), forService("a", "/a", "/a", nil)}, nil},
		{"D2 nothing starts it at boot", "SW206", []part{makes, bootUnit("a", func(u *stateward.Unit) { u.WantedBy = known([]string{}) }), forService("a", "/a", "/a", nil)}, nil},
		{"D2 our unit makes all", "SW206", []part{bootUnit("stateward-datasets", nil), bootUnit("a", nil), bootUnit("b", after("stateward-datasets.service")), forService("b", "/b", "/b", nil),
			changed(contract("a", "/a"), func(s *stateward.Service) {}), utility("tank/a", "/a", nil)}, []string{
			`warning systemd.services.a [/a] a.service is not ordered after stateward-datasets.service, which makes its dataset: what starts before the dataset is there writes beneath it, and the dataset hides that`}},
		{"D2 no unit makes it", "SW206", []part{bootUnit("a", nil), forService("a", "/a", "/a", nil)}, nil},
		{"D2 no unit of it is found", "SW206", []part{makes, forService("a", "/a", "/a", nil)},
			[]string{`warning ` + at + `a [/a] a has /a on dataset tank/services/a, which ` + waited + ` makes, and nothing can be seen to hold it back until then: no unit of it is known`}},
		{"D2 a unit that is called otherwise", "SW206", []part{makes, bootUnit("a-server", nil), bootUnit("a-cron", after(waited)), forService("a", "/a", "/a", nil)},
			[]string{`warning systemd.services.a-server [/a] a-server.service is not ordered after ` + waited + `, which makes its dataset: what starts before the dataset is there writes beneath it, and the dataset hides that`}},
		{"D2 a unit that works there", "SW206", []part{makes, bootUnit("a", after(waited)), bootUnit("b", func(u *stateward.Unit) { u.WorkingDirectory = known("/a/b") }), bootUnit("c", func(u *stateward.Unit) { u.BindPaths = known([]string{"/c"}) }), forService("a", "/a", "/a", nil)},
			[]string{`warning systemd.services.b [/a] b.service is not ordered after ` + waited + `, which makes its dataset: what starts before the dataset is there writes beneath it, and the dataset hides that`}},
		{"D2 a unit that the datasets come after", "SW206", []part{makes, bootUnit("a", func(u *stateward.Unit) { u.Before = known([]string{"sysinit.target"}) }), forService("a", "/a", "/a", nil)},
			[]string{`warning ` + at + `a [/a] a has /a on dataset tank/services/a, which ` + waited + ` makes, and nothing can be seen to hold it back until then: a.service has to start before any dataset can be made`}},
		{"D2 its data lies elsewhere", "SW206", []part{makes, bootUnit("a", nil), forService("a", "/a", "/b", nil)}, nil},

		{"D3 never mounted", "SW207", []part{forService("a", "none", "/a", nil)},
			[]string{`warning ` + at + `a [/a] dataset tank/services/a is never mounted (mountpoint=none): the data of a in /a is not on it`}},
		{"D3 legacy, and nothing mounts it", "SW207", []part{forService("a", "legacy", "/a", nil)},
			[]string{`warning ` + at + `a [/a] dataset tank/services/a has mountpoint=legacy and fileSystems does not mount it: the data of a in /a is not on it`}},
		{"D8 legacy, and fileSystems mounts it", "SW207", []part{forService("a", "legacy", "/a", nil), fileSystem("/a", "tank/services/a", "zfs")}, nil},
		{"D2 canmount=noauto", "SW207", []part{forService("a", "/a", "/a", func(d *stateward.Dataset, _ *stateward.Service) { d.CanMount = known("noauto") })},
			[]string{`warning ` + at + `a [/a] dataset tank/services/a is not mounted at boot (canmount=noauto), and a keeps its data in /a, which is not on it`}},
		{"D3 a container, and the data on a child", "SW207", []part{forService("a", "none", "/a", nil), utility("tank/services/a/data", "/a", nil)}, nil},
		{"D2 mounted elsewhere", "SW207", []part{forService("a", "/b", "/a", nil)},
			[]string{`warning ` + at + `a [/a] dataset tank/services/a is mounted at /b, and a keeps its data in /a: nothing that is known is on the dataset`}},
		{"D2 mounted elsewhere, and used there", "SW207", []part{forService("a", "/b", "/a", nil), service("c", "/b/c")}, nil},
		{"D2 the data lies further down", "SW207", []part{forService("a", "/a", "/a/data", nil)}, nil},
		{"D2 mounted within the data", "SW207", []part{forService("a", "/a/data", "/a", nil)}, nil},
		{"declared for a service by its name alone", "SW207", []part{forName("a", utility("tank/services/a", "/srv/b", nil)), stateUnit("a", known(false), "a")},
			[]string{`warning modules.storage.datasets.utility."tank/services/a" [/var/lib/a] dataset tank/services/a is mounted at /srv/b, and a keeps its data in /var/lib/a: nothing that is known is on the dataset`}},
		{"for a service by its name, where it is", "SW207", []part{forName("a", utility("tank/services/a", "/var/lib/a", nil)), stateUnit("a", known(false), "a")}, nil},
		{"for a service by its name, and another uses it", "SW207", []part{forName("a", utility("tank/services/a", "/srv/b", nil)), stateUnit("a", known(false), "a"), service("c", "/srv/b/c")}, nil},
		{"for a service that is not there", "SW207", []part{forName("a", utility("tank/services/a", "/srv/b", nil))}, nil},
		{"a service that is off", "SW207", []part{forService("a", "none", "/a", func(_ *stateward.Dataset, s *stateward.Service) { s.Enable = known(false) })}, nil},

		{"P3 a dataset in the place of the link", "SW208", []part{stateUnit("a", known(true), "a"), utility("tank/a", "/var/lib/a", nil)},
			[]string{`error modules.storage.datasets.utility."tank/a" [/var/lib/a] dataset tank/a is mounted at /var/lib/a, where a.service, which runs with DynamicUser, needs a symbolic link to /var/lib/private/a: the unit does not start`}},
		{"P3 a file system in the place of the link", "SW208", []part{stateUnit("a", known(true), "a"), fileSystem("/var/lib/a", "/dev/b", "ext4")},
			[]string{`error fileSystems."/var/lib/a" [/var/lib/a] fileSystems."/var/lib/a" (ext4 on /dev/b) is mounted at /var/lib/a, where a.service, which runs with DynamicUser, needs a symbolic link to /var/lib/private/a: the unit does not start`}},
		{"P3 a dataset at the real place", "SW208", []part{stateUnit("a", known(true), "a"), utility("tank/a", "/var/lib/private/a", nil)}, nil},
		{"P3 a static user", "SW208", []part{stateUnit("a", known(false), "a"), utility("tank/a", "/var/lib/a", nil)}, nil},

		{"D9 another owner", "SW209", []part{utility("tank/a", "/a", func(d *stateward.Dataset) { ownedBy(d, "568", "media", "0750") }), tmpfiles("d", "/a", "root", "root", "0755")},
			[]string{`warning systemd.tmpfiles.rules[0] [/a] a rule of tmpfiles (d) gives /a user root and not 568, group root and not media, mode 0755 and not 0750, as modules.storage.datasets.utility."tank/a" has it: the two undo one another`}},
		{"D5 a database on large records", "SW211", []part{forService("sonarr", "/a", "/a", func(d *stateward.Dataset, _ *stateward.Service) { property("recordsize", "1M")(d) })},
			[]string{`warning ` + at + `sonarr.recordsize [/a] dataset tank/services/sonarr has a recordsize of 1M, and sonarr keeps there what suits 16K (profile sqlite): each page of 4K that is written rewrites a whole record, and every snapshot keeps the old one`}},
		{"D5 a database on records of the default", "SW211", []part{forService("sonarr", "/a", "/a", func(d *stateward.Dataset, _ *stateward.Service) { property("recordsize", "128K")(d) })}, nil},
		{"D5 an application with another database", "SW211", []part{forService("sonarr", "/a", "/a", func(d *stateward.Dataset, s *stateward.Service) {
			property("recordsize", "1M")(d)
			s.Databases = known([]stateward.Database{{Type: known("postgresql")}})
		})}, nil},
		{"D5 an application that nobody knows", "SW211", []part{forService("a", "/a", "/a", func(d *stateward.Dataset, _ *stateward.Service) { property("recordsize", "1M")(d) })}, nil},
		{"D5 PostgreSQL", "SW211", []part{forService("postgresql", "/a", "/a/16", func(d *stateward.Dataset, _ *stateward.Service) { property("recordsize", "256K")(d) })},
			[]string{`warning ` + at + `postgresql.recordsize [/a/16] dataset tank/services/postgresql has a recordsize of 256K, and postgresql keeps there what suits 8K (profile postgresql-data): each page of 8K that is written rewrites a whole record, and every snapshot keeps the old one`}},
		{"D5 PostgreSQL that fits", "SW211", []part{forService("postgresql", "/a", "/a/16", func(d *stateward.Dataset, _ *stateward.Service) { property("recordsize", "16K")(d) })}, nil},
		{"D5 PostgreSQL with what OpenZFS finds good as well", "SW211", []part{forService("postgresql", "/a", "/a/16", func(d *stateward.Dataset, _ *stateward.Service) { property("recordsize", "128K")(d) })}, nil},
		{"D5 PostgreSQL on what nobody set", "SW211", []part{forService("postgresql", "/a", "/a", nil)}, nil},
		{"D5 MySQL on what nobody set", "SW211", []part{forService("mysql", "/a", "/a", nil)},
			[]string{`info ` + at + `mysql [/a] dataset tank/services/mysql is given no recordsize, which is 128K unless a dataset above has another, and mysql keeps there what suits 16K (profile innodb): each page of 16K that is written rewrites a whole record, and every snapshot keeps the old one`}},
		{"D4 inherited", "SW211", []part{utility("tank/services", "none", property("recordsize", "8K")), forService("postgresql", "/a", "/a", nil)}, nil},
		{"D4 inherited from what cannot be read", "SW211", []part{utility("tank", "none", func(d *stateward.Dataset) { d.Properties["recordsize"] = unknown[string]("m") }), forService("postgresql", "/a", "/a", nil)}, nil},
		{"D5 media by the contract", "SW211", []part{forService("a", "/a", "/a", func(d *stateward.Dataset, _ *stateward.Service) {
			property("recordsize", "16K")(d)
			d.Profile = known("media")
		})}, []string{`info ` + at + `a.recordsize [] dataset tank/services/a has a recordsize of 16K, and a keeps there what suits 1M (profile media): a large file is cut into many small blocks: more metadata, smaller reads, and no room to compress`}},
		{"D5 a profile that there is not", "SW211", []part{forService("a", "/a", "/a", func(d *stateward.Dataset, _ *stateward.Service) {
			d.Profile = stateward.Known("madia", stateward.Origin{Option: "p"})
		})}, []string{`info p [] dataset tank/services/a is of profile "madia", which there is not`}},

		{"D9 only others' rights differ", "SW209", []part{utility("tank/a", "/a", func(d *stateward.Dataset) { ownedBy(d, "568", "media", "0750") }), tmpfiles("z", "/a", "568", "media", "0755")},
			[]string{`info systemd.tmpfiles.rules[0] [/a] a rule of tmpfiles (z) gives /a mode 0755 and not 0750, as modules.storage.datasets.utility."tank/a" has it: the two undo one another`}},
		{"D9 systemd's own mode", "SW209", []part{utility("tank/a", "/var/lib/a", func(d *stateward.Dataset) { ownedBy(d, "568", "media", "0750") }), stateUnit("a", known(false), "a")},
			[]string{`info systemd.services.a [/var/lib/a] systemd gives /var/lib/a mode 0755 at each start of a.service (StateDirectory), and not 0750, as modules.storage.datasets.utility."tank/a" has it: the two undo one another`}},
		{"D9 a mode that somebody chose", "SW209", []part{utility("tank/a", "/var/lib/a", func(d *stateward.Dataset) { ownedBy(d, "568", "media", "0700") }), stateUnit("a", known(false), "a"), stateDirMode("a", "0500")},
			[]string{`warning systemd.services.a.serviceConfig.StateDirectoryMode [/var/lib/a] systemd gives /var/lib/a mode 0500 at each start of a.service (StateDirectory), and not 0700, as modules.storage.datasets.utility."tank/a" has it: the two undo one another`}},
		{"D9 the same mode", "SW209", []part{utility("tank/a", "/var/lib/a", func(d *stateward.Dataset) { ownedBy(d, "568", "media", "0750") }), stateUnit("a", known(false), "a"), stateDirMode("a", "0750")}, nil},
		{"D9 the same", "SW209", []part{users("ada"), utility("tank/a", "/a", func(d *stateward.Dataset) { ownedBy(d, "ada", "ada", "0750") }), tmpfiles("z", "/a/", "1000", "ada", "u=rwx,g=rx,o=")}, nil},
		{"D9 another place", "SW209", []part{utility("tank/a", "/a", func(d *stateward.Dataset) { ownedBy(d, "568", "media", "0750") }), tmpfiles("d", "/a/b", "root", "root", "0755")}, nil},
	} {
		t.Run(tc.code+" "+tc.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(tc.want, findings(with(kept, tc.parts...), tc.code)))
		})
	}
}

// disko is a dataset that disko makes, with a property mountpoint.
func disko(name, mountPoint string, more ...func(*stateward.Dataset)) part {
	return func(h *stateward.Host) {
		d := stateward.Dataset{Name: name, MountPoint: known(mountPoint), Origin: at("disko", "devices", "zpool", name), Properties: map[string]stateward.Value[string]{"mountpoint": known(mountPoint)}}
		for _, change := range more {
			change(&d)
		}
		push(&h.Datasets, d)
	}
}

func TestMountsAndRules(t *testing.T) {
	const rule = "systemd.tmpfiles.rules"
	stateOf := func(name, user, mode string, dirs ...string) part {
		return func(h *stateward.Host) {
			u := stateward.Unit{Name: name + ".service", Enable: known(true), StateDirectory: known(dirs), Origin: at("systemd", "services", name)}
			e := owned("/x", user, "", mode)
			u.User, u.StateDirectoryMode = e.User, e.Mode
			push(&h.Units, u)
		}
	}
	early := func(names ...string) func(*stateward.Unit) {
		return func(u *stateward.Unit) { u.DefaultDependencies, u.After = known(false), known(names) }
	}
	relies := func(u *stateward.Unit) { u.RequiresMountsFor = known([]string{"/a/b"}) }
	makes := func(words ...string) func(*stateward.Unit) {
		return func(u *stateward.Unit) { u.MakesDatasets = known(words) }
	}
	const startsBefore = `warning systemd.services.a [/a] a.service has no default dependencies and is ordered after nothing that comes after zfs-mount.service, which mounts dataset tank/a at /a: it starts before and writes beneath`
	late := func(at, device string) part {
		return changedFS(mounted(at, device, "zfs"), func(f *stateward.FileSystem) { f.NeededForBoot = known(false) })
	}
	onlyNew := func(h *stateward.Host) {
		rules := h.Tmpfiles.Or(nil)
		rules[len(rules)-1].OnlyNew = true
	}
	for _, tc := range []struct {
		name  string
		code  string
		parts []part
		want  []string
	}{
		{"D8 legacy and zfsutil", "SW212", []part{disko("tank/a", "legacy"), fileSystem("/a", "tank/a", "zfs", "zfsutil")},
			[]string{`error fileSystems."/a" [/a] fileSystems."/a" mounts dataset tank/a with zfsutil, and that has mountpoint=legacy: mount refuses it at the next boot`}},
		{"D8 legacy and zfsutil, of one declared here", "SW212", []part{utility("tank/a", "legacy", nil), fileSystem("/a", "tank/a", "zfs", "defaults,zfsutil")},
			[]string{`error fileSystems."/a" [/a] fileSystems."/a" mounts dataset tank/a with zfsutil, and that has mountpoint=legacy: mount refuses it at the next boot`}},
		{"D8 a path and no zfsutil", "SW212", []part{disko("tank/a", "/a"), late("/a", "tank/a")},
			[]string{`error fileSystems."/a" [/a] fileSystems."/a" mounts dataset tank/a without zfsutil, and that has mountpoint=/a: mount refuses it at the next boot`}},
		{"D8 none and no zfsutil", "SW212", []part{disko("tank/a", "none"), late("/a", "tank/a")},
			[]string{`error fileSystems."/a" [/a] fileSystems."/a" mounts dataset tank/a without zfsutil, and that has mountpoint=none: mount refuses it at the next boot`}},
		{"D8 both say legacy", "SW212", []part{disko("tank/a", "legacy"), fileSystem("/a", "tank/a", "zfs")}, nil},
		{"D8 both say a path", "SW212", []part{disko("tank/a", "/a"), fileSystem("/a", "tank/a", "zfs", "zfsutil")}, nil},
		{"D8 none and zfsutil", "SW212", []part{disko("tank/a", "none"), fileSystem("/a", "tank/a", "zfs", "zfsutil")}, nil},
		{"D8 in the initial ramdisk", "SW212", []part{disko("tank/a", "/var/log"), fileSystem("/var/log", "tank/a", "zfs")}, nil},
		{"D8 disko's own mount point", "SW212", []part{disko("tank/a", "/a", func(d *stateward.Dataset) { d.MountPoint, d.Properties = stateward.Value[string]{}, nil }), fileSystem("/a", "tank/a", "zfs", "zfsutil")}, nil},
		{"D8 two declarations differ", "SW212", []part{disko("tank/a", "/a"), disko("tank/a", "legacy"), late("/a", "tank/a")}, nil},
		{"D8 options that are not known", "SW212", []part{disko("tank/a", "/a"), changedFS(mounted("/a", "tank/a", "zfs"), func(f *stateward.FileSystem) { f.Options = unknown[[]string]("o") })}, nil},
		{"D8 one that is declared here is SW204's", "SW212", []part{utility("tank/a", "/a", nil), late("/a", "tank/a")}, nil},

		{"D5 a database on a dataset that fileSystems mounts", "SW211", []part{disko("tank/db", "legacy", property("recordsize", "1M")), fileSystem("/var/lib/mysql", "tank/db", "zfs"), service("mysql", "/var/lib/mysql")},
			[]string{`warning disko.devices.zpool."tank/db".recordsize [/var/lib/mysql] dataset tank/db has a recordsize of 1M, and mysql keeps there what suits 16K (profile innodb): each page of 16K that is written rewrites a whole record, and every snapshot keeps the old one`}},
		{"D5 a database on a dataset that nothing declares", "SW211", []part{fileSystem("/var/lib/mysql", "tank/db", "zfs"), service("mysql", "/var/lib/mysql")}, nil},
		{"D5 a database on another file system", "SW211", []part{fileSystem("/var/lib/mysql", "/dev/a", "ext4"), service("mysql", "/var/lib/mysql")}, nil},
		{"D9 two rules", "SW213", []part{tmpfiles("d", "/srv/a", "root", "root", "0755"), tmpfiles("d", "/srv/a/", "568", "media", "0750")},
			[]string{`warning ` + rule + `[1] [/srv/a] a rule of tmpfiles (d) gives /srv/a user 568 and not root, group media and not root, mode 0750 and not 0755, as ` + rule + `[0] has it: systemd reads both and ignores what it reads last`}},
		{"D9 a rule that leaves its owner out makes root's", "SW213", []part{tmpfiles("d", "/srv/a", "", "", ""), tmpfiles("d", "/srv/a", "568", "root", "0755")},
			[]string{`warning ` + rule + `[1] [/srv/a] a rule of tmpfiles (d) gives /srv/a user 568 and not root, as ` + rule + `[0] has it: systemd reads both and ignores what it reads last`}},
		{"D9 the rights of others", "SW213", []part{tmpfiles("d", "/srv/a", "568", "", "0755"), tmpfiles("q", "/srv/a", "568", "", "0700")},
			[]string{`info ` + rule + `[1] [/srv/a] a rule of tmpfiles (q) gives /srv/a mode 0700 and not 0755, as ` + rule + `[0] has it: systemd reads both and ignores what it reads last`}},
		{"D9 two that adjust", "SW213", []part{tmpfiles("z", "/srv/a", "1", "", ""), tmpfiles("Z", "/srv/a", "2", "", "")},
			[]string{`warning ` + rule + `[1] [/srv/a] a rule of tmpfiles (Z) gives /srv/a user 2 and not 1, as ` + rule + `[0] has it: systemd reads both and the last one decides`}},
		{"D9 one that makes and one that adjusts", "SW213", []part{tmpfiles("d", "/srv/a", "", "", ""), tmpfiles("z", "/srv/a", "568", "media", "0750")}, nil},
		{"D9 the same twice", "SW213", []part{tmpfiles("d", "/srv/a", "", "", ""), tmpfiles("d", "/srv/a", "0", "root", "u=rwx,g=rx,o=rx")}, nil},
		{"D9 two that adjust different things", "SW213", []part{tmpfiles("z", "/srv/a", "1", "", ""), tmpfiles("z", "/srv/a", "", "2", "")}, nil},
		{"D9 what no boot outlives", "SW213", []part{tmpfiles("d", "/run/a", "1", "", ""), tmpfiles("d", "/run/a", "2", "", "")}, nil},
		{"D9 tmpfiles and a StateDirectory", "SW213", []part{users("ada"), stateOf("a", "ada", "", "a"), tmpfiles("d", "/var/lib/a", "root", "root", "0755")},
			[]string{`warning ` + rule + `[0] [/var/lib/a] a rule of tmpfiles (d) gives /var/lib/a user root and not ada, group root and not ada, as a.service has it (StateDirectory): the two undo one another`}},
		{"D9 tmpfiles and the mode of a StateDirectory", "SW213", []part{users("ada"), stateOf("a", "ada", "0700", "a"), tmpfiles("z", "/var/lib/a", "", "", "0755")},
			[]string{`info ` + rule + `[0] [/var/lib/a] a rule of tmpfiles (z) gives /var/lib/a mode 0755 and not 0700, as a.service has it (StateDirectory): the two undo one another`}},
		{"D9 one that makes and one that adjusts, and a StateDirectory", "SW213", []part{users("ada"), stateOf("a", "ada", "", "a"), tmpfiles("d", "/var/lib/a", "root", "root", "0755"), tmpfiles("z", "/var/lib/a", "root", "", "0700")},
			[]string{`warning ` + rule + `[0] [/var/lib/a] 2 rules of tmpfiles (d, z) give /var/lib/a user root and not ada, group root and not ada, mode 0700 and not 0755, as a.service has it (StateDirectory): the two undo one another`}},
		{"D9 two rules and a StateDirectory", "SW213", []part{users("ada"), stateOf("a", "ada", "", "a"), tmpfiles("d", "/var/lib/a", "ada", "ada", "0755"), tmpfiles("d", "/var/lib/a", "root", "ada", "0755")},
			[]string{`warning ` + rule + `[1] [/var/lib/a] a rule of tmpfiles (d) gives /var/lib/a user root and not ada, as a.service has it (StateDirectory): the two undo one another`}},
		{"D9 three rules", "SW213", []part{tmpfiles("d", "/srv/a", "1", "root", "0755"), tmpfiles("d", "/srv/a", "1", "root", "0750"), tmpfiles("q", "/srv/a", "2", "root", "0750")},
			[]string{`warning ` + rule + `[1] [/srv/a] 2 rules of tmpfiles (d, q) give /srv/a mode 0750 and not 0755, user 2 and not 1, as ` + rule + `[0] has it: systemd reads all of them and ignores what it reads last`}},
		{"D9 tmpfiles as the StateDirectory has it", "SW213", []part{users("ada"), stateOf("a", "ada", "", "a"), tmpfiles("d", "/var/lib/a", "1000", "ada", "0755")}, nil},
		{"D9 a rule that leaves what is there", "SW213", []part{users("ada"), stateOf("a", "ada", "", "a"), tmpfiles("d", "/var/lib/a", "", "", "")}, nil},
		{"D9 a rule for what it makes only", "SW213", []part{users("ada"), stateOf("a", "ada", "", "a"), tmpfiles("d", "/var/lib/a", "root", "", ""), onlyNew}, nil},
		{"D9 a unit without a user leaves the owner", "SW213", []part{stateOf("a", "", "", "a"), tmpfiles("d", "/var/lib/a", "568", "568", "0755")}, nil},
		{"P3 a DynamicUser unit", "SW213", []part{stateUnit("a", known(true), "a"), tmpfiles("d", "/var/lib/a", "root", "root", "0700")}, nil},

		{"D9 a recursive rule into visible snapshots", "SW214", []part{utility("tank/a", "/srv/a", property("snapdir", "visible")), tmpfiles("Z", "/srv", "568", "", "")},
			[]string{`info ` + rule + `[0] [/srv/a] a rule of tmpfiles (Z) goes through all of /srv, and so through the snapshots of tank/a, which snapdir=visible shows there`}},
		{"D9 visible by what lies above", "SW214", []part{disko("tank", "none", property("snapdir", "visible")), disko("tank/a", "legacy"), fileSystem("/srv/a", "tank/a", "zfs"), tmpfiles("A+", "/srv/a", "", "", "")},
			[]string{`info ` + rule + `[0] [/srv/a] a rule of tmpfiles (A+) goes through all of /srv/a, and so through the snapshots of tank/a, which snapdir=visible shows there`}},
		{"D9 hidden again", "SW214", []part{disko("tank", "none", property("snapdir", "visible")), utility("tank/a", "/srv/a", property("snapdir", "hidden")), tmpfiles("Z", "/srv/a", "568", "", "")}, nil},
		{"D9 a rule for the top", "SW214", []part{utility("tank/a", "/srv/a", property("snapdir", "visible")), tmpfiles("z", "/srv/a", "568", "", "")}, nil},
		{"D9 below the top nothing shows", "SW214", []part{utility("tank/a", "/srv/a", property("snapdir", "visible")), tmpfiles("Z", "/srv/a/b", "568", "", "")}, nil},
		{"D9 hidden, as is the default", "SW214", []part{utility("tank/a", "/srv/a", nil), tmpfiles("Z", "/srv/a", "568", "", "")}, nil},

		{"D2 RequiresMountsFor requires nothing", "SW216", []part{disko("tank/a", "/a"), bootUnit("a", relies)},
			[]string{`info systemd.services.a [/a] a.service has RequiresMountsFor on /a, and dataset tank/a, which mounts itself there, has no mount unit: it starts without the dataset too, and writes beneath`}},
		{"D2 the mount is asked for", "SW216", []part{disko("tank/a", "/a"), bootUnit("a", func(u *stateward.Unit) { relies(u); u.MountAsserts = known([]string{"/a"}) })}, nil},
		{"D2 what mounts it is required", "SW216", []part{disko("tank/a", "/a"), bootUnit("a", func(u *stateward.Unit) {
			relies(u)
			u.After, u.Requires = known([]string{"zfs-mount.service"}), known([]string{"zfs-mount.service"})
		})}, nil},
		{"D2 fileSystems mounts it", "SW216", []part{disko("tank/a", "legacy"), fileSystem("/a", "tank/a", "zfs"), bootUnit("a", relies)}, nil},
		{"D2 SW206 speaks of it", "SW216", []part{bootUnit("zfs-service-datasets", nil), utility("tank/a", "/a", nil), bootUnit("a", relies)}, nil},
		{"D2 a unit that is off", "SW216", []part{disko("tank/a", "/a"), bootUnit("a", func(u *stateward.Unit) { relies(u); u.Enable = known(false) })}, nil},
		{"D2 early, with data on a dataset", "SW216", []part{disko("tank/a", "/a"), service("a", "/a/b"), bootUnit("a", early("local-fs-pre.target"))}, []string{startsBefore}},
		{"D2 early, after what is early", "SW216", []part{disko("tank/a", "/a"), service("a", "/a"), bootUnit("a", early("b.service")), bootUnit("b", early("zfs-import-tank.service"))}, []string{startsBefore}},
		{"D2 early, after the mounts", "SW216", []part{disko("tank/a", "/a"), service("a", "/a"), bootUnit("a", early("local-fs.target"))}, nil},
		{"D2 early, after an ordinary unit", "SW216", []part{disko("tank/a", "/a"), service("a", "/a"), bootUnit("a", early("b.service")), bootUnit("b", nil)}, nil},
		{"D2 early, and another is to come before", "SW216", []part{disko("tank/a", "/a"), service("a", "/a"), bootUnit("a", early()), bootUnit("b", func(u *stateward.Unit) { u.Before = known([]string{"a.service"}) })}, nil},
		{"D2 early, with data elsewhere", "SW216", []part{disko("tank/a", "/a"), service("a", "/b"), bootUnit("a", early())}, nil},

		{"D1 properties that never change", "SW217", []part{bootUnit("mk", makes("zfs create", "-o"))},
			[]string{`info systemd.services.mk [] the script of mk.service gives properties to datasets as it creates them, and sets none later: one that is changed never reaches a dataset that exists`}},
		{"D1 a script that is not run again", "SW217", []part{bootUnit("mk", makes("zfs create", "-o", "zfs set", "not restarted"))},
			[]string{`warning systemd.services.mk [] mk.service makes datasets, and a switch to another script does not run it: a new dataset is made at the next boot, and its service starts now`}},
		{"D2 owners of what may not be mounted", "SW217", []part{bootUnit("mk", makes("zfs create", "chown"))},
			[]string{`info systemd.services.mk [] the script of mk.service makes datasets and changes owners or modes, and never looks whether a dataset is mounted: where it is not, the directory beneath gets them`}},
		{"D1 sound by hand", "SW217", []part{bootUnit("mk", makes("zfs create", "-o", "zfs set", "chown", "mounted"))}, nil},
		{"D1 ours", "SW217", []part{bootUnit("stateward-datasets", makes("zfs create", "-o", "chown"))}, nil},
		{"D1 an activation script", "SW217", []part{func(h *stateward.Host) {
			push(&h.ActivationScripts, stateward.ActivationScript{Name: "mk", MakesDatasets: []string{"zfs create"}, Origin: at("system", "activationScripts", "mk")})
		}}, []string{`info system.activationScripts.mk [] activation script mk makes datasets: at boot it runs before any pool is imported but the root's, and no service waits for it`}},

		{"D9 a rule for a user that nothing defines", "SW215", []part{users("ada"), tmpfiles("d", "/srv/a", "bob", "ada", "")},
			[]string{`warning ` + rule + `[0] [/srv/a] a rule of tmpfiles (d) gives /srv/a the user bob, and no entry of users.users defines that: systemd-tmpfiles skips the rule`}},
		{"D9 two rules of one place for a user that nothing defines", "SW215", []part{users("ada"), tmpfiles("d", "/srv/a", "bob", "ada", ""), tmpfiles("z", "/srv/a", "bob", "ada", ""), tmpfiles("d", "/srv/b", "bob", "ada", "")},
			[]string{`warning ` + rule + `[0] [/srv/a] 2 rules of tmpfiles (d, z) give /srv/a the user bob, and no entry of users.users defines that: systemd-tmpfiles skips the rules`,
				`warning ` + rule + `[2] [/srv/b] a rule of tmpfiles (d) gives /srv/b the user bob, and no entry of users.users defines that: systemd-tmpfiles skips the rule`}},
		{"D9 a group that nothing defines", "SW215", []part{users("ada"), tmpfiles("d", "/srv/a", "ada", "media", "")},
			[]string{`warning ` + rule + `[0] [/srv/a] a rule of tmpfiles (d) gives /srv/a the group media, and no entry of users.groups defines that: systemd-tmpfiles skips the rule`}},
		{"D9 the user of a DynamicUser unit", "SW215", []part{users("ada"), stateUnit("a", known(true), "a"), tmpfiles("d", "/var/lib/a", "a", "a", "")},
			[]string{`warning ` + rule + `[0] [/var/lib/a] a rule of tmpfiles (d) gives /var/lib/a the user and group a, and a.service has that only while it runs (DynamicUser): systemd-tmpfiles skips the rule`}},
		{"P10 a persisted directory of nobody", "SW215", []part{users("ada"), persist("/persist", owned("/var/lib/a", "bob", "ada", ""))},
			[]string{`warning environment.persistence."/persist".directories[0] [/var/lib/a] the persisted path /var/lib/a is given the user bob, and no entry of users.users defines that: chown fails where it is made`}},
		{"D9 numbers and root", "SW215", []part{users("ada"), tmpfiles("d", "/srv/a", "568", "root", "")}, nil},
		{"D9 users that are not read", "SW215", []part{func(h *stateward.Host) {
			h.Users, h.Groups = unknown[[]stateward.User]("u"), unknown[[]stateward.Group]("g")
		}, tmpfiles("d", "/srv/a", "bob", "bob", "")}, nil},
		{"D9 a place in memory", "SW215", []part{users("ada"), tmpfiles("d", "/run/a", "bob", "bob", "")}, nil},
	} {
		t.Run(tc.code+" "+tc.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(tc.want, findings(with(kept, tc.parts...), tc.code)))
		})
	}
}

// stateDirMode gives a unit one.
func stateDirMode(unit, mode string) part {
	return func(h *stateward.Host) {
		list := h.Units.Or(nil)
		for i := range list {
			if list[i].Name == unit+".service" {
				list[i].StateDirectoryMode = stateward.Known(owned("/x", "", "", mode).Mode.Or(stateward.Mode{}), at("systemd", "services", unit, "serviceConfig", "StateDirectoryMode"))
			}
		}
	}
}

// forName declares a dataset for a service, which need not be there.
func forName(service string, p part) part {
	return func(h *stateward.Host) {
		p(h)
		list := h.Datasets.Or(nil)
		list[len(list)-1].For = service
	}
}
