package dataset_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/zfssim"
)

// differences are the lines that say what differs.
func differences(d dataset.Drift) []string {
	var list []string
	for _, x := range d.Differences {
		then := "applies"
		if !x.Applies {
			then = "kept: " + x.Why
		}
		found := x.Found
		if x.Unknown != "" {
			found = "unknown: " + x.Unknown
		}
		from := string(x.Source)
		if !x.From.IsZero() {
			from += " " + x.From.String()
		}
		if x.Received != "" {
			from += " received " + x.Received
		}
		list = append(list, fmt.Sprintf("%s %s: %s, is %s (%s), %s", x.Dataset, x.What, x.Wanted, found, from, then))
	}
	return list
}

func TestDrift(t *testing.T) {
	set := func(list ...string) []dataset.Setting {
		var out []dataset.Setting
		for _, text := range list {
			property, value, _ := strings.Cut(text, "=")
			s, err := dataset.ParseSetting(property, value, dataset.Filesystem)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, s)
		}
		return out
	}
	n := dataset.MustName
	wanted := func(name, at string, settings ...string) dataset.Wanted {
		w, err := dataset.At(n(name), at, set(settings...)...)
		if err != nil {
			t.Fatal(err)
		}
		return w
	}
	owned := func(w dataset.Wanted, owner, mode string) dataset.Wanted {
		w.Owner = stateward.MustOwner(owner)
		m, err := stateward.ParseMode(mode)
		if err != nil {
			t.Fatal(err)
		}
		w.Mode = m
		return w
	}
	for _, tt := range []struct {
		name string
		// make brings the pool into a state in which the datasets of want do not all have what they should.
		make func(t *testing.T, m *zfssim.Machine)
		want []dataset.Wanted
		is   []string
	}{
		{"what is there as declared yields nothing", func(t *testing.T, m *zfssim.Machine) {
			ok(t, m.Create(n("tank/a"), set("mountpoint=/srv/a", "recordsize=1M")...), m.Mkdir("/srv/a"), m.Mount(n("tank/a")))
		}, []dataset.Wanted{wanted("tank/a", "/srv/a", "recordsize=1024K")}, nil},
		{"a dataset that is not there", func(*testing.T, *zfssim.Machine) {}, []dataset.Wanted{owned(wanted("tank/a", "none"), "568", "0700")},
			[]string{"tank/a dataset: filesystem, is  (), applies"}},
		{"D4: a local value", func(t *testing.T, m *zfssim.Machine) {
			ok(t, m.Create(n("tank/a"), set("mountpoint=none", "recordsize=16K")...))
		}, []dataset.Wanted{wanted("tank/a", "none", "recordsize=1M")}, []string{"tank/a recordsize: 1048576, is 16384 (local), applies"}},
		{"D4: an inherited value", func(t *testing.T, m *zfssim.Machine) {
			ok(t, m.Create(n("tank/a"), set("mountpoint=none", "recordsize=16K")...), m.Create(n("tank/a/b"), set("mountpoint=none")...))
		}, []dataset.Wanted{wanted("tank/a/b", "none", "recordsize=1M")}, []string{"tank/a/b recordsize: 1048576, is 16384 (inherited tank/a), applies"}},
		{"D4: a received value", func(t *testing.T, m *zfssim.Machine) {
			ok(t, m.CreateReceived(n("tank/a"), set("mountpoint=none", "recordsize=16K")...))
		}, []dataset.Wanted{wanted("tank/a", "none", "recordsize=1M")}, []string{"tank/a recordsize: 1048576, is 16384 (received received 16384), applies"}},
		{"D4: a default value", func(t *testing.T, m *zfssim.Machine) {
			ok(t, m.Create(n("tank/a"), set("mountpoint=none")...))
		}, []dataset.Wanted{wanted("tank/a", "none", "recordsize=1M", "org.example:note=x")},
			[]string{"tank/a org.example:note: x, is  (), applies", "tank/a recordsize: 1048576, is 131072 (default), applies"}},
		{"a value that a change above brings counts once", func(t *testing.T, m *zfssim.Machine) {
			ok(t, m.Create(n("tank/a"), set("mountpoint=none", "recordsize=16K")...), m.Create(n("tank/a/b"), set("mountpoint=none")...))
		}, []dataset.Wanted{wanted("tank/a", "none", "recordsize=1M"), wanted("tank/a/b", "none", "recordsize=1M")},
			[]string{"tank/a recordsize: 1048576, is 16384 (local), applies", "tank/a/b recordsize: 1048576, is 16384 (inherited tank/a), applies"}},
		{"D3: what cannot be set any more", func(t *testing.T, m *zfssim.Machine) {
			ok(t, m.Create(n("tank/a"), set("mountpoint=none")...))
		}, []dataset.Wanted{wanted("tank/a", "none", "casesensitivity=mixed")},
			[]string{"tank/a casesensitivity: mixed, is sensitive (none), kept: casesensitivity is sensitive and cannot become mixed: only a new dataset can have it"}},
		{"a mount, and who owns it", func(t *testing.T, m *zfssim.Machine) {
			ok(t, m.Create(n("tank/a"), set("mountpoint=/srv/a")...))
		}, []dataset.Wanted{owned(wanted("tank/a", "/srv/a"), "568", "0700")}, []string{
			"tank/a mounted: /srv/a, is  (), applies", "tank/a owner: 568, is unknown: it is not mounted (), applies", "tank/a mode: 0700, is unknown: it is not mounted (), applies"}},
		{"an owner", func(t *testing.T, m *zfssim.Machine) {
			ok(t, m.Create(n("tank/a"), set("mountpoint=/srv/a")...), m.Mkdir("/srv/a"), m.Mount(n("tank/a")))
		}, []dataset.Wanted{owned(wanted("tank/a", "/srv/a"), "568", "0755")}, []string{"tank/a owner: 568, is root (), applies"}},
		{"D2: files beneath a mountpoint", func(t *testing.T, m *zfssim.Machine) {
			ok(t, m.Create(n("tank/a"), set("mountpoint=/srv/a")...), m.Mkdir("/srv/a"), m.Write("/srv/a/file"))
		}, []dataset.Wanted{wanted("tank/a", "/srv/a")}, []string{"tank/a mounted: /srv/a, is  (), kept: is to be mounted at /srv/a, which holds files that the mount would hide"}},
		{"a pool that is not there", func(*testing.T, *zfssim.Machine) {}, []dataset.Wanted{wanted("other/a", "none"), wanted("other/a/b", "none")}, []string{
			"other/a dataset: filesystem, is unknown: pool other is not imported (), kept: other: pool other is not imported",
			"other/a/b dataset: filesystem, is unknown: pool other is not imported (), kept: other: pool other is not imported"}},
		{"all values that differ on a pool that is read-only", func(t *testing.T, m *zfssim.Machine) {
			ok(t, m.Create(n("tank/a"), set("mountpoint=none")...))
			m.Pool("tank").ReadOnly = true
		}, []dataset.Wanted{wanted("tank/a", "none", "recordsize=1M", "atime=off")}, []string{
			"tank/a atime: off, is on (default), kept: tank: pool tank is imported read-only", "tank/a recordsize: 1048576, is 131072 (default), kept: tank: pool tank is imported read-only"}},
		{"a volume where a file system belongs", func(t *testing.T, m *zfssim.Machine) { ok(t, m.CreateVolume(n("tank/a"))) },
			[]dataset.Wanted{wanted("tank/a", "none")}, []string{"tank/a dataset: filesystem, is volume (), kept: is a volume, and a file system is wanted"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := zfssim.New("tank")
			tt.make(t, m)
			desired := dataset.WithContainers(tt.want...)
			seen := m.Observe(dataset.Places(desired, m.Observe())...)
			if diff := cmp.Diff(tt.is, differences(dataset.NewDrift(desired, seen, dataset.Options{}))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}

	t.Run("what nobody declared is no difference", func(t *testing.T) {
		m := zfssim.New("tank")
		none := set("mountpoint=none")
		ok(t, m.Create(n("tank/s"), none...), m.Create(n("tank/s/a"), none...), m.Create(n("tank/s/a/theirs"), none...), m.Create(n("tank/s/stray"), none...),
			m.Create(n("tank/s/stray/x"), none...), m.Create(n("tank/s/stray/x/y"), none...), m.Create(n("tank/beside"), none...), m.CreateVolume(n("tank/s/vol")))
		d := dataset.NewDrift(dataset.WithContainers(wanted("tank/s/a", "none")), m.Observe(), dataset.Options{})
		if len(d.Differences) > 0 {
			t.Errorf("%v", differences(d))
		}
		want := []string{"tank/s/stray in tank/s filesystem 2", "tank/s/vol in tank/s volume 0"}
		var got []string
		for _, u := range d.Undeclared {
			got = append(got, fmt.Sprintf("%s in %s %s %d", u.Name, u.In, u.Type, u.Below))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func ok(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// What differs is listed whole, whatever keeps it from being mended.
func TestDriftHidesNothing(t *testing.T) {
	for _, tt := range []struct {
		name string
		pool func(m machine)
		want []dataset.Wanted
		is   []string
	}{
		{"N2 a user whom the machine does not know hides neither group nor mode", func(m machine) {
			m.create("tank/a", "mountpoint=/srv/a")
			m.mount("tank/a")
		}, []dataset.Wanted{want(t, "tank/a", "mountpoint=/srv/a", "owner=photos", "group=568", "mode=0700")}, []string{
			"tank/a owner: photos, is root (), kept: is to belong to user photos, whom the machine does not know",
			"tank/a group: 568, is root (), applies", "tank/a mode: 0700, is 0755 (), applies"}},
		{"N2 neither of the two is known", func(m machine) {
			m.create("tank/a", "mountpoint=/srv/a")
			m.mount("tank/a")
		}, []dataset.Wanted{want(t, "tank/a", "mountpoint=/srv/a", "owner=photos", "group=photos")}, []string{
			"tank/a owner: photos, is root (), kept: is to belong to user photos, whom the machine does not know",
			"tank/a group: photos, is root (), kept: is to belong to group photos, whom the machine does not know"}},
		{"N18 a key that is not loaded, and what belongs in there", func(m machine) {
			m.create("tank/enc", "mountpoint=/srv", "encryption=on", "keyformat=passphrase", "keylocation=file:///run/k")
			m.create("tank/enc/c")
			delete(m.Keys, dataset.MustName("tank/enc"))
		}, []dataset.Wanted{want(t, "tank/enc", "mountpoint=/srv"), want(t, "tank/enc/c")}, []string{
			"tank/enc mounted: /srv, is  (), kept: is encrypted, and its key is not loaded",
			"tank/enc/c mounted: /srv/c, is  (), kept: tank/enc: is encrypted, and its key is not loaded"}},
		{"N10 one that is mounted elsewhere", func(m machine) {
			m.create("tank/media")
			m.create("tank/media/photos")
			m.mount("tank/media")
			m.mount("tank/media/photos")
		}, []dataset.Wanted{want(t, "tank/media", "mountpoint=/srv/media"), want(t, "tank/media/photos")}, []string{
			"tank/media mountpoint: /srv/media, is /tank/media (default), kept: is mounted at /tank/media, and mountpoint cannot change beneath what uses it",
			"tank/media mounted: /srv/media, is /tank/media (), kept: is mounted at /tank/media, and mountpoint cannot change beneath what uses it",
			"tank/media/photos mounted: /srv/media/photos, is /tank/media/photos (), kept: tank/media: is mounted at /tank/media, and mountpoint cannot change beneath what uses it"}},
		{"N36 one that a replica claims as well is mounted", func(m machine) {
			m.create("tank/a", "mountpoint=/srv/a")
			m.mount("tank/a")
			m.create("tank/replica", "mountpoint=/srv/a")
		}, []dataset.Wanted{want(t, "tank/a", "mountpoint=/srv/a")}, []string{
			"tank/a mounted: /srv/a, is /srv/a (), kept: is to be mounted at /srv/a, and so is dataset tank/replica"}},
		{"P8 a mountpoint that is not set, because of what lies there", func(m machine) {
			m.must(m.Write("/srv/a/file"))
			m.create("tank/a", "mountpoint=none")
		}, []dataset.Wanted{want(t, "tank/a", "mountpoint=/srv/a")}, []string{
			"tank/a mountpoint: /srv/a, is none (local), kept: is to be mounted at /srv/a, which holds files that the mount would hide",
			"tank/a mounted: /srv/a, is  (), kept: is to be mounted at /srv/a, which holds files that the mount would hide"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := machine{zfssim.New("tank"), t}
			tt.pool(m)
			desired := dataset.WithContainers(tt.want...)
			seen := observe(m.Machine, desired)
			seen.Users, seen.Groups = []string{"root"}, []string{"root"}
			if diff := cmp.Diff(tt.is, differences(dataset.NewDrift(desired, seen, dataset.Options{}))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// There is a difference where a plan has something to do or a conflict, and only there; and what is not mounted where it belongs is one.
func TestDriftIsWhatAPlanHas(tt *testing.T) {
	rapid.Check(tt, func(t *rapid.T) {
		m, desired := drawMachine(t, tt)(), drawDesired(t, tt)
		seen := observe(m, desired)
		plan, drift := dataset.NewPlan(desired, seen, dataset.Options{}), dataset.NewDrift(desired, seen, dataset.Options{})
		if len(plan.Ops)+len(plan.Conflicts) > 0 != (len(drift.Differences) > 0) {
			t.Fatalf("plan %v\ndrift %v\n%s", text(plan), differences(drift), m.Dump())
		}
		for _, x := range drift.Differences {
			if !x.Applies && (x.Why == "" || x.Why == "no step is planned for it") {
				t.Fatalf("%v\nplan %v\n%s", differences(drift), text(plan), m.Dump())
			}
		}
	})
}

func TestN17WhatLiesBeneathAMountIsSaid(t *testing.T) {
	m := machine{zfssim.New("tank"), t}
	m.create("tank/a", "mountpoint=/srv/a")
	m.create("tank/b", "mountpoint=/srv/b")
	m.mount("tank/a")
	m.must(m.Write("/srv/a/file")) // within
	m.mount("tank/b")
	desired := dataset.WithContainers(want(t, "tank/a", "mountpoint=/srv/a"), want(t, "tank/b", "mountpoint=/srv/b"))
	if d := dataset.NewDrift(desired, observe(m.Machine, desired), dataset.Options{}); len(d.Hidden)+len(d.Differences) > 0 {
		t.Errorf("nothing lies beneath, and %+v", d)
	}
	m.Unmount(dataset.MustName("tank/b"))
	m.must(m.Write("/srv/b/only-copy"))
	seen := observe(m.Machine, desired)
	i := slices.IndexFunc(seen.Places, func(p dataset.Place) bool { return p.Path == "/srv/b" })
	seen.Places[i].MountedFrom = "tank/b" // zfs mount -O
	seen.Mounts = append(seen.Mounts, dataset.Mount{At: "/srv/b", Source: "tank/b", FSType: "zfs", Root: "/"})
	d := dataset.NewDrift(desired, seen, dataset.Options{})
	if diff := cmp.Diff([]dataset.Hidden{{Dataset: dataset.MustName("tank/b"), Path: "/srv/b"}}, d.Hidden, cmp.Comparer(func(a, b dataset.Name) bool { return a == b })); diff != "" || len(d.Differences) > 0 {
		t.Errorf("%s%v", diff, differences(d))
	}
}

func TestN14WhatNobodyDeclaredAndNothingMountsIsSaid(t *testing.T) {
	m := machine{zfssim.New("tank"), t}
	m.create("tank/a", "mountpoint=/srv/a")
	m.create("tank/a/theirs")
	m.create("tank/a/never", "canmount=noauto")
	m.create("tank/a/nowhere", "mountpoint=none")
	m.create("tank/other", "mountpoint=/srv/other")
	m.mount("tank/a")
	desired := dataset.WithContainers(want(t, "tank/a", "mountpoint=/srv/a"))
	told := func() string {
		return fmt.Sprint(dataset.NewDrift(desired, observe(m.Machine, desired), dataset.Options{}).Unmounted)
	}
	if got := told(); got != "[{tank/a/theirs /srv/a/theirs}]" {
		t.Error(got)
	}
	m.mount("tank/a/theirs")
	if got := told(); got != "[]" {
		t.Error(got)
	}
	m.Unmount(dataset.MustName("tank/a/theirs"))
	m.Unmount(dataset.MustName("tank/a"))
	if got := told(); got != "[]" { // that the declared one is not mounted is a difference, and says it
		t.Error(got)
	}
}
