package dataset_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/zfssim"
)

// text is a plan in few words.
func text(p dataset.Plan) []string {
	var list []string
	for _, op := range p.Ops {
		switch op := op.(type) {
		case *dataset.Create:
			list = append(list, strings.TrimSuffix(fmt.Sprintf("create %s %s", op.Dataset, joined(op.Settings)), " "))
		case *dataset.Set:
			list = append(list, fmt.Sprintf("set %s %s", op.Dataset, op.Setting))
		case *dataset.Inherit:
			list = append(list, fmt.Sprintf("inherit %s %s", op.Dataset, op.Property))
		case *dataset.MakeMountpoint:
			list = append(list, fmt.Sprintf("mkdir %s", op.Path))
		case *dataset.MountDataset:
			list = append(list, fmt.Sprintf("mount %s %s", op.Dataset, op.Path))
		case *dataset.Own:
			list = append(list, fmt.Sprintf("own %s %s:%s %s", op.Path, op.Owner, op.Group, op.Mode))
		}
	}
	for _, c := range p.Conflicts {
		list = append(list, fmt.Sprintf("conflict %s: %s: %s %v", c.Dataset, c.Kind, c.Message, c.Blocks))
	}
	return list
}

func joined(settings []dataset.Setting) string {
	var list []string
	for _, s := range settings {
		list = append(list, s.String())
	}
	return strings.Join(list, ",")
}

// want makes a wanted dataset of texts such as "recordsize=16K"; "owner=a", "group=a" and "mode=0700" are its directory's.
func want(t testing.TB, name string, settings ...string) dataset.Wanted {
	t.Helper()
	w := dataset.Wanted{Name: dataset.MustName(name), Role: dataset.Utility, Origin: stateward.Origin{Option: "datasets." + name}}
	for _, text := range settings {
		property, value, _ := strings.Cut(text, "=")
		switch property {
		case "owner":
			w.Owner = stateward.MustOwner(value)
		case "group":
			w.Group = stateward.MustOwner(value)
		case "mode":
			mode, err := stateward.ParseMode(value)
			if err != nil {
				t.Fatal(err)
			}
			w.Mode = mode
		case "foreign":
			w.Role = dataset.Foreign
		case "inherit":
			w.Inherit = append(w.Inherit, value)
		default:
			w.Settings = append(w.Settings, setting(t, text))
		}
	}
	slices.SortFunc(w.Settings, dataset.CompareSetting)
	return w
}

func setting(t testing.TB, text string) dataset.Setting {
	t.Helper()
	property, value, _ := strings.Cut(text, "=")
	s, err := dataset.ParseSetting(property, value, dataset.Filesystem|dataset.Volume)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// machine is a machine on which something was done.
type machine struct {
	*zfssim.Machine
	t testing.TB
}

func (m machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m machine) create(name string, settings ...string) {
	m.t.Helper()
	var list []dataset.Setting
	for _, s := range settings {
		list = append(list, setting(m.t, s))
	}
	m.must(m.Create(dataset.MustName(name), list...))
}

func (m machine) mount(name string) { m.t.Helper(); m.must(m.Mount(dataset.MustName(name))) }

// observe looks at a machine as a capture does.
func observe(m *zfssim.Machine, d dataset.Desired) *dataset.Observed {
	return m.Observe(dataset.Places(d, m.Observe())...)
}

func TestPlan(t *testing.T) {
	type wants = []dataset.Wanted
	one := func(name string, settings ...string) wants { return wants{want(t, name, settings...)} }
	tests := []struct {
		name string
		pool func(m machine)
		want wants
		plan []string
		// stays tells that the plan leaves something undone.
		stays bool
	}{
		{name: "from nothing, with the container above (D3)", want: one("tank/services/sonarr", "mountpoint=/var/lib/sonarr", "recordsize=16384", "owner=568", "group=media", "mode=0700"), plan: []string{
			"create tank/services canmount=off,mountpoint=none",
			"create tank/services/sonarr mountpoint=/var/lib/sonarr,recordsize=16K",
			"mkdir /var/lib/sonarr", "mount tank/services/sonarr /var/lib/sonarr", "own /var/lib/sonarr 568:media 0700"}},
		{name: "D4 one value in another spelling, inherited, received or default is no difference", pool: func(m machine) {
			m.must(m.Set(dataset.MustName("tank"), setting(t, "compression=zstd")))
			m.create("tank/a", "mountpoint=none", "recordsize=1M")
			m.Receive(dataset.MustName("tank/a"), setting(t, "atime=off"))
		}, want: one("tank/a", "recordsize=1024K", "compression=zstd", "atime=off", "quota=none", "sync=standard", "mountpoint=none")},
		{name: "a value that differs is set, wherever it is from", pool: func(m machine) {
			m.must(m.Set(dataset.MustName("tank"), setting(t, "compression=zstd")))
			m.create("tank/a", "mountpoint=none", "recordsize=1M")
			m.Receive(dataset.MustName("tank/a"), setting(t, "atime=off"))
		}, want: one("tank/a", "recordsize=16K", "compression=lz4", "atime=on", "quota=1G", "org.example:note=x"), plan: []string{
			"set tank/a atime=on", "set tank/a compression=lz4", "set tank/a org.example:note=x", "set tank/a quota=1G", "set tank/a recordsize=16K"}},
		{name: "a value that is inherited counts as it will be", pool: func(m machine) {
			m.create("tank/a", "mountpoint=none", "compression=zstd")
			m.create("tank/a/keeps")
			m.create("tank/a/follows")
		}, want: wants{want(t, "tank/a", "compression=lz4"), want(t, "tank/a/keeps", "compression=zstd"), want(t, "tank/a/follows", "compression=lz4")},
			plan: []string{"set tank/a compression=lz4", "set tank/a/keeps compression=zstd"}},
		{name: "what is not declared is left alone", pool: func(m machine) { m.create("tank/a", "mountpoint=none", "compression=gzip", "org.example:note=x") },
			want: one("tank/a", "atime=on")},
		{name: "a container that is there is left alone, whatever it is like", pool: func(m machine) { m.create("tank/services", "compression=off"); m.mount("tank/services") },
			want: one("tank/services/a", "mountpoint=legacy"), plan: []string{"create tank/services/a mountpoint=legacy"}},
		{name: "an own value is taken back where that is asked for", pool: func(m machine) { m.create("tank/a", "mountpoint=none", "compression=gzip", "atime=off") },
			want: one("tank/a", "inherit=compression", "inherit=sync"), plan: []string{"inherit tank/a compression"}},
		{name: "D3 a property of the creation", pool: func(m machine) { m.create("tank/a", "mountpoint=none") }, want: one("tank/a", "casesensitivity=mixed", "atime=off"), stays: true, plan: []string{
			"set tank/a atime=off", "conflict tank/a: create-only property differs: casesensitivity is sensitive and cannot become mixed: only a new dataset can have it [tank/a]"}},
		{name: "no mount of legacy, none, off and noauto", want: wants{want(t, "tank/a", "mountpoint=legacy", "mode=0700"), want(t, "tank/b", "mountpoint=none"), want(t, "tank/c", "canmount=off"), want(t, "tank/d", "canmount=noauto")},
			plan: []string{"create tank/a mountpoint=legacy", "create tank/b mountpoint=none", "create tank/c canmount=off", "create tank/d canmount=noauto"}},
		{name: "P5 mounts come in the order of the paths", want: wants{want(t, "tank/a", "mountpoint=/srv/x/y"), want(t, "tank/b", "mountpoint=/srv/x")}, plan: []string{
			"create tank/a mountpoint=/srv/x/y", "create tank/b mountpoint=/srv/x", "mkdir /srv/x", "mount tank/b /srv/x", "mkdir /srv/x/y", "mount tank/a /srv/x/y"}},
		{name: "the mountpoint is inherited", want: wants{want(t, "tank/a", "mountpoint=/srv/a"), want(t, "tank/a/b", "mode=0750")}, plan: []string{
			"create tank/a mountpoint=/srv/a", "create tank/a/b", "mkdir /srv/a", "mount tank/a /srv/a", "mkdir /srv/a/b", "mount tank/a/b /srv/a/b", "own /srv/a/b : 0750"}},
		{name: "P8 a mountpoint that holds files, and what belongs in there", pool: func(m machine) { m.must(m.Write("/srv/a/file")) },
			want: wants{want(t, "tank/a", "mountpoint=/srv/a", "mode=0700"), want(t, "tank/b", "mountpoint=/srv/a/b")}, stays: true, plan: []string{
				"conflict tank/a: mountpoint holds data: is to be mounted at /srv/a, which holds files that the mount would hide [tank/a tank/b]"}},
		{name: "P8 what the next boot would mount there is not made, nor what lies in it", pool: func(m machine) { m.must(m.Write("/srv/a/file")) },
			want: wants{want(t, "tank/a", "mountpoint=/srv/a"), want(t, "tank/a/in", "mountpoint=/elsewhere"), want(t, "tank/c", "mountpoint=/elsewhere/deep"), want(t, "tank/d", "mountpoint=/d")}, stays: true, plan: []string{
				"create tank/d mountpoint=/d", "mkdir /d", "mount tank/d /d",
				"conflict tank/a: mountpoint holds data: is to be mounted at /srv/a, which holds files that the mount would hide [tank/a tank/a/in tank/c]"}},
		{name: "P8 nor does one that is there get a mountpoint or canmount=on", pool: func(m machine) {
			m.must(m.Write("/srv/a/file"))
			m.create("tank/a", "mountpoint=none")
			m.create("tank/b", "mountpoint=/srv/a/b", "canmount=noauto")
		}, want: wants{want(t, "tank/a", "mountpoint=/srv/a", "atime=off"), want(t, "tank/a/in"), want(t, "tank/b", "canmount=on")}, stays: true, plan: []string{
			"set tank/a atime=off",
			"conflict tank/a: mountpoint holds data: is to be mounted at /srv/a, which holds files that the mount would hide [tank/a tank/a/in tank/b]"}},
		{name: "a mountpoint that is a file", pool: func(m machine) { m.must(m.Write("/srv/a")) }, want: one("tank/a", "mountpoint=/srv/a"), stays: true, plan: []string{
			"conflict tank/a: mountpoint is no directory: is to be mounted at /srv/a, which is no directory (file) [tank/a]"}},
		{name: "a mountpoint below a file", pool: func(m machine) { m.must(m.Write("/srv/a")) }, want: one("tank/a", "mountpoint=/srv/a/b/c"), stays: true, plan: []string{
			"conflict tank/a: mountpoint is no directory: is to be mounted at /srv/a/b/c, and /srv/a is no directory (file) [tank/a]"}},
		{name: "P5 a mountpoint that another dataset claims", pool: func(m machine) { m.create("tank/old", "mountpoint=/srv/a") }, want: one("tank/a", "mountpoint=/srv/a"), stays: true, plan: []string{
			"conflict tank/a: mountpoint is taken: is to be mounted at /srv/a, and so is dataset tank/old [tank/a]"}},
		{name: "S4 one that is mounted, and that a replica claims as well", pool: func(m machine) {
			m.create("tank/a", "mountpoint=/srv/a")
			m.mount("tank/a")
			m.create("tank/replica", "mountpoint=/srv/a")
		}, want: wants{want(t, "tank/a", "mountpoint=/srv/a", "mode=0700"), want(t, "tank/a/b", "mountpoint=/srv/a/b")}, stays: true, plan: []string{
			"create tank/a/b mountpoint=/srv/a/b", "own /srv/a : 0700", "mkdir /srv/a/b", "mount tank/a/b /srv/a/b",
			"conflict tank/a: mountpoint is taken: is to be mounted at /srv/a, and so is dataset tank/replica []"}},
		{name: "P5 a mountpoint in that of one which nobody declared and which is not mounted", pool: func(m machine) { m.create("tank/outer", "mountpoint=/srv") },
			want: one("tank/a", "mountpoint=/srv/a/b"), stays: true, plan: []string{
				"conflict tank/a: mountpoint is taken: is to be mounted at /srv/a/b, which lies in /srv, where tank/outer belongs and is not mounted: it would hide it [tank/a]"}},
		{name: "P5 one that is mounted there is none", pool: func(m machine) { m.create("tank/outer", "mountpoint=/srv"); m.mount("tank/outer") },
			want: one("tank/a", "mountpoint=/srv/a"), plan: []string{"create tank/a mountpoint=/srv/a", "mkdir /srv/a", "mount tank/a /srv/a"}},
		{name: "P5 a key that is not loaded above", pool: func(m machine) {
			m.create("tank/outer", "mountpoint=/srv", "encryption=on", "keyformat=passphrase", "keylocation=file:///run/k")
			delete(m.Keys, dataset.MustName("tank/outer"))
		}, want: one("tank/a", "mountpoint=/srv/a"), stays: true, plan: []string{
			"conflict tank/a: mountpoint is taken: is to be mounted at /srv/a, which lies in /srv, where tank/outer belongs and is not mounted: it would hide it [tank/a]"}},
		{name: "P5 a container that is there, with a mountpoint, and is not mounted", pool: func(m machine) { m.create("tank/services", "mountpoint=/srv") },
			want: one("tank/services/a"), stays: true, plan: []string{
				"conflict tank/services/a: mountpoint is taken: is to be mounted at /srv/a, which lies in /srv, where tank/services belongs and is not mounted: it would hide it [tank/services/a]"}},
		{name: "P5 a declared one that is mounted by hand (noauto) is above",
			want: wants{want(t, "tank/a", "mountpoint=/srv/a"), want(t, "tank/outer", "mountpoint=/srv", "canmount=noauto")}, stays: true, plan: []string{
				"create tank/outer canmount=noauto,mountpoint=/srv",
				"conflict tank/a: mountpoint is taken: is to be mounted at /srv/a, which lies in /srv, where tank/outer belongs and is not mounted: it would hide it [tank/a]"}},
		{name: "a replica of another host that nobody mounts (noauto) is not", pool: func(m machine) { m.create("tank/replica", "mountpoint=/srv", "canmount=noauto") },
			want: one("tank/a", "mountpoint=/srv/a"), plan: []string{"create tank/a mountpoint=/srv/a", "mkdir /srv/a", "mount tank/a /srv/a"}},
		{name: "P5 another's that is not made yet is above", want: wants{want(t, "tank/a", "mountpoint=/srv/a"), want(t, "tank/disko", "foreign=1", "mountpoint=/srv")}, stays: true, plan: []string{
			"conflict tank/a: mountpoint is taken: is to be mounted at /srv/a, which lies in /srv, where tank/disko belongs and is not mounted: it would hide it [tank/a]"}},
		{name: "one that is mounted already stays so", pool: func(m machine) {
			m.create("tank/a", "mountpoint=/srv/a")
			m.mount("tank/a")
			m.create("tank/outer", "mountpoint=/srv")
		}, want: one("tank/a", "mountpoint=/srv/a", "mode=0700"), plan: []string{"own /srv/a : 0700"}},
		{name: "a mountpoint where another file system is mounted", pool: func(m machine) {
			m.create("tank/old", "mountpoint=/srv/a", "canmount=noauto")
			m.mount("tank/old")
		}, want: one("tank/a", "mountpoint=/srv/a"), stays: true, plan: []string{
			"conflict tank/a: mountpoint is taken: is to be mounted at /srv/a, where tank/old is mounted [tank/a]"}},
		{name: "a mounted dataset does not move", pool: func(m machine) { m.create("tank/a", "mountpoint=/srv/a"); m.mount("tank/a") },
			want: one("tank/a", "mountpoint=/srv/b", "atime=off"), stays: true, plan: []string{
				"set tank/a atime=off", "conflict tank/a: dataset is mounted elsewhere: is mounted at /srv/a, and mountpoint cannot change beneath what uses it [tank/a]"}},
		{name: "nor one that inherits its mountpoint", pool: func(m machine) {
			m.create("tank/a", "mountpoint=/srv/a", "canmount=off")
			m.create("tank/a/b")
			m.mount("tank/a/b")
		}, want: one("tank/a", "mountpoint=/srv/b"), stays: true, plan: []string{
			"conflict tank/a: dataset is mounted elsewhere: is mounted at /srv/a/b, and mountpoint cannot change beneath what uses it [tank/a]"}},
		{name: "one that is not mounted does", pool: func(m machine) { m.create("tank/a", "mountpoint=/srv/a") }, want: one("tank/a", "mountpoint=/srv/b"), plan: []string{
			"set tank/a mountpoint=/srv/b", "mkdir /srv/b", "mount tank/a /srv/b"}},
		{name: "D7 the mode of root's own", pool: func(m machine) { m.create("tank/a", "mountpoint=/srv/a"); m.mount("tank/a") }, want: one("tank/a", "mountpoint=/srv/a", "owner=root", "group=root", "mode=0700"),
			plan: []string{"own /srv/a root:root 0700"}},
		{name: "pool that is not imported", want: wants{want(t, "other/a/b", "mountpoint=none"), want(t, "tank/a", "mountpoint=none")}, stays: true, plan: []string{
			"create tank/a mountpoint=none", "conflict other: pool is not imported: pool other is not imported [other/a other/a/b]"}},
		{name: "E8 degraded pool", pool: func(m machine) { m.Pool("tank").Health = "DEGRADED" }, want: one("tank/a", "mountpoint=none"), plan: []string{"create tank/a mountpoint=none"}},
		{name: "suspended pool", pool: func(m machine) { m.Pool("tank").Health = "SUSPENDED" }, want: one("tank/a", "mountpoint=none"), stays: true, plan: []string{
			"conflict tank: pool cannot be written to: pool tank is SUSPENDED [tank/a]"}},
		{name: "pool of another system", pool: func(m machine) { m.Pool("tank").AltRoot = "/mnt" }, want: one("tank/a", "mountpoint=/a"), stays: true, plan: []string{
			"conflict tank: pool is imported for another system: pool tank is imported below /mnt [tank/a]"}},
		{name: "read-only pool on which nothing is to be done", pool: func(m machine) { m.create("tank/a", "mountpoint=none"); m.Pool("tank").ReadOnly = true }, want: one("tank/a", "mountpoint=none")},
		{name: "parent that another makes, and did not", want: wants{want(t, "tank/safe", "foreign=1"), want(t, "tank/safe/a", "mountpoint=/a")}, stays: true, plan: []string{
			"conflict tank/safe/a: parent is missing: lies in tank/safe, which is not there, and is another's to make [tank/safe/a]"}},
		{name: "parent that another made", pool: func(m machine) { m.create("tank/safe", "mountpoint=legacy", "compression=gzip") }, want: wants{want(t, "tank/safe", "foreign=1", "compression=lz4"), want(t, "tank/safe/a", "mountpoint=none")},
			plan: []string{"create tank/safe/a mountpoint=none"}},
		{name: "E13 key that is not loaded", pool: func(m machine) {
			m.create("tank/e", "encryption=on", "keyformat=passphrase", "keylocation=file:///k", "mountpoint=/e")
			delete(m.Keys, dataset.MustName("tank/e"))
		}, want: wants{want(t, "tank/e", "mountpoint=/e", "atime=off"), want(t, "tank/e/a", "mountpoint=/e/a"), want(t, "tank/e/b", "encryption=off", "mountpoint=none")}, stays: true, plan: []string{
			"set tank/e atime=off", "create tank/e/b encryption=off,mountpoint=none",
			"conflict tank/e: key is not loaded: is encrypted, and its key is not loaded [tank/e]",
			"conflict tank/e/a: key is not loaded: lies in tank/e, whose key is not loaded [tank/e/a]"}},
		{name: "encryption without a key", want: one("tank/a", "encryption=on", "mountpoint=none"), stays: true, plan: []string{
			"conflict tank/a: zfs refuses it: is to be encrypted, and has neither a keyformat nor an encrypted parent [tank/a]"}},
		{name: "volume where a file system is wanted", pool: func(m machine) { m.must(m.CreateVolume(dataset.MustName("tank/a"))) }, want: wants{want(t, "tank/a", "atime=off"), want(t, "tank/a/b")}, stays: true, plan: []string{
			"conflict tank/a: type differs: is a volume, and a file system is wanted [tank/a tank/a/b]"}},
		{name: "quota below what is used", pool: func(m machine) { m.create("tank/a", "mountpoint=none") }, want: one("tank/a", "quota=4K"), stays: true, plan: []string{
			"conflict tank/a: zfs refuses it: quota=4K is less than the 98304 bytes that are used [tank/a]"}},
		{name: "a reservation shrinks before its quota", pool: func(m machine) { m.create("tank/a", "mountpoint=none", "quota=20G", "reservation=10G") }, want: one("tank/a", "quota=5G", "reservation=1G"), plan: []string{
			"set tank/a reservation=1G", "set tank/a quota=5G"}},
		{name: "owner of what is read-only", pool: func(m machine) { m.create("tank/a", "mountpoint=/a", "readonly=on"); m.mount("tank/a") }, want: one("tank/a", "mountpoint=/a", "mode=0700"), stays: true, plan: []string{
			"conflict tank/a: zfs refuses it: is read-only, so that its owner cannot change [tank/a]"}},
		{name: "the root of a pool is set, and not made", want: one("tank", "atime=off"), plan: []string{"set tank atime=off"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := machine{zfssim.New("tank"), t}
			if tt.pool != nil {
				tt.pool(m)
			}
			desired := dataset.WithContainers(tt.want...)
			plan := dataset.NewPlan(desired, observe(m.Machine, desired), dataset.Options{})
			if diff := cmp.Diff(tt.plan, text(plan)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			for _, op := range plan.Ops {
				m.must(m.Apply(op))
				m.must(m.Apply(op)) // again
			}
			again := dataset.NewPlan(desired, observe(m.Machine, desired), dataset.Options{})
			if len(again.Ops) > 0 || len(again.Conflicts) > 0 != tt.stays {
				t.Errorf("after it was carried out: %v", text(again))
			}
			// Its JSON form is read back as it was.
			b, err := json.Marshal(plan)
			m.must(err)
			var read dataset.Plan
			m.must(json.Unmarshal(b, &read))
			b2, err := json.Marshal(read)
			m.must(err)
			if diff := cmp.Diff(string(b), string(b2)); diff != "" {
				t.Errorf("JSON (-want +got):\n%s", diff)
			}
		})
	}
}

func TestD2NothingIsOwnedThatAnotherMountHides(t *testing.T) {
	for _, over := range []dataset.Mount{{At: "/srv", Source: "tmpfs", FSType: "tmpfs", Root: "/"}, {At: "/srv/a", Source: "tmpfs", FSType: "tmpfs", Root: "/"}} {
		m := machine{zfssim.New("tank"), t}
		m.create("tank/a", "mountpoint=/srv/a")
		m.mount("tank/a")
		desired := dataset.WithContainers(want(t, "tank/a", "mountpoint=/srv/a", "mode=0700"))
		seen := observe(m.Machine, desired)
		for i := range seen.Mounts {
			seen.Mounts[i].Hidden = seen.Mounts[i].At == "/srv/a"
		}
		seen.Mounts = append(seen.Mounts, over)
		got := text(dataset.NewPlan(desired, seen, dataset.Options{}))
		if diff := cmp.Diff([]string{"conflict tank/a: mountpoint is taken: is mounted at /srv/a, where another mount hides it [tank/a]"}, got); diff != "" {
			t.Errorf("below %s (-want +got):\n%s", over.At, diff)
		}
	}
}

func TestPlanWithoutObservation(t *testing.T) {
	desired := dataset.WithContainers(want(t, "tank/safe", "foreign=1"), want(t, "tank/safe/a", "mountpoint=/a"), want(t, "tank/b/c", "mountpoint=/c", "mode=0700"))
	got := text(dataset.NewPlan(desired, nil, dataset.Options{}))
	if diff := cmp.Diff([]string{"create tank/b canmount=off,mountpoint=none", "create tank/b/c mountpoint=/c", "create tank/safe/a mountpoint=/a",
		"mkdir /a", "mount tank/safe/a /a", "mkdir /c", "mount tank/b/c /c", "own /c : 0700"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPlanOnly(t *testing.T) {
	desired := dataset.WithContainers(want(t, "tank/b/c", "mountpoint=none"), want(t, "tank/b/d", "mountpoint=none"))
	m := zfssim.New("tank")
	got := text(dataset.NewPlan(desired, m.Observe(), dataset.Options{Only: []dataset.Name{dataset.MustName("tank/b/d"), dataset.MustName("tank/x")}}))
	if diff := cmp.Diff([]string{"create tank/b canmount=off,mountpoint=none", "create tank/b/d mountpoint=none", "conflict tank/x: is not declared: is not declared []"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPlanOnlyMountsNothingBeneathWhatWasLeftOut(t *testing.T) {
	desired := dataset.WithContainers(want(t, "tank/a", "mountpoint=/srv"), want(t, "tank/a/b", "mountpoint=none"), want(t, "tank/c", "mountpoint=/srv/c"))
	for _, observed := range []*dataset.Observed{observe(zfssim.New("tank"), desired), nil} {
		got := text(dataset.NewPlan(desired, observed, dataset.Options{Only: []dataset.Name{dataset.MustName("tank/a/b"), dataset.MustName("tank/c")}}))
		if diff := cmp.Diff([]string{"conflict tank/a/b: parent is missing: lies in tank/a, which is not there, and was left out [tank/a/b]",
			"conflict tank/c: mountpoint is taken: is to be mounted at /srv/c, which lies in /srv, where tank/a belongs and is not mounted: it would hide it [tank/c]"}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestP5NothingIsMountedBeneathAFaultyDatasetOrAFileSystem(t *testing.T) {
	bad := declare("tank/outer", "/srv")
	bad.Properties = map[string]stateward.Value[string]{"recordsize": known("7")}
	unclear := declare("tank/unclear", "relative")
	unclear.Origin.Option = "unclear"
	disk, _ := stateward.ParsePath("/media/disk")
	h := &stateward.Host{
		Datasets:    known([]stateward.Dataset{bad, unclear, declare("tank/a", "/srv/a"), declare("tank/b", "/media/disk/b"), declare("tank/c", "/c")}),
		FileSystems: known([]stateward.FileSystem{{MountPoint: stateward.Entry{Path: disk}, FSType: known("ext4"), Origin: stateward.Origin{Option: `fileSystems."/media/disk"`}}}),
	}
	desired, faults := dataset.NewDesired(h)
	if len(faults) != 2 {
		t.Fatal(faults)
	}
	m := machine{zfssim.New("tank"), t}
	m.create("tank/elsewhere", "mountpoint=/other")
	m.mount("tank/elsewhere") // the table of mounts is not empty
	got := text(dataset.NewPlan(desired, observe(m.Machine, desired), dataset.Options{}))
	want := []string{"create tank/c mountpoint=/c", "mkdir /c", "mount tank/c /c",
		"conflict tank/a: mountpoint is taken: is to be mounted at /srv/a, which lies in /srv, where tank/outer belongs and is not mounted: it would hide it [tank/a]",
		`conflict tank/b: mountpoint is taken: is to be mounted at /media/disk/b, which lies in /media/disk, where fileSystems."/media/disk" belongs and is not mounted: it would hide it [tank/b]`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	m.create("tank/disk", "mountpoint=/media/disk")
	m.mount("tank/disk") // whatever it is that is mounted there
	if got := text(dataset.NewPlan(desired, observe(m.Machine, desired), dataset.Options{Only: []dataset.Name{dataset.MustName("tank/b")}})); len(got) != 3 {
		t.Errorf("a file system is mounted there, and %q", got)
	}
	b, err := json.Marshal(desired)
	var read dataset.Desired
	if err != nil || json.Unmarshal(b, &read) != nil || encode(t, read) != string(b) {
		t.Errorf("%v: read and written otherwise: %s", err, b)
	}
}

// What is mounted below a link is seen where the link leads, and never at the mountpoint.
func TestNoMountBelowALink(t *testing.T) {
	desired := dataset.WithContainers(want(t, "tank/a", "mountpoint=/srv/a/b"))
	m := zfssim.New("tank")
	seen := m.Observe(dataset.Places(desired, m.Observe())...)
	for i := range seen.Places {
		if seen.Places[i].Path == "/srv" {
			seen.Places[i] = dataset.Place{Path: "/srv", Kind: "link"}
		}
	}
	plan := dataset.NewPlan(desired, seen, dataset.Options{})
	if len(plan.Ops) != 0 || len(plan.Conflicts) != 1 || plan.Conflicts[0].Message != "is to be mounted at /srv/a/b, and /srv is a symbolic link" {
		t.Errorf("%+v", plan)
	}
}
