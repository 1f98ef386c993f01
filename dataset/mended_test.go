package dataset_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/zfssim"
)

// What a plan of one dataset is for a machine, in few words.
func planned(t *testing.T, m machine, change func(*dataset.Observed), list ...dataset.Wanted) []string {
	t.Helper()
	desired := dataset.WithContainers(list...)
	o := observe(m.Machine, desired)
	if change != nil {
		change(o)
	}
	return text(dataset.NewPlan(desired, o, dataset.Options{}))
}

func equalTexts(t *testing.T, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// zfs judges a reservation by the quota that it has by then.
func TestReservationAfterQuota(t *testing.T) {
	m := machine{zfssim.New("tank"), t}
	m.create("tank/q", "mountpoint=none", "quota=50M")
	small := func(o *dataset.Observed) {
		for _, s := range o.Datasets {
			s.Properties["available"] = dataset.PropertyState{Value: "50000000", Source: dataset.None}
		}
	}
	equalTexts(t, planned(t, m, small, want(t, "tank/q", "mountpoint=none", "quota=200M", "reservation=100M")), "set tank/q quota=200M", "set tank/q reservation=100M")
	m.create("tank/q/c", "mountpoint=none")
	equalTexts(t, planned(t, m, small, want(t, "tank/q", "mountpoint=none", "quota=200M"), want(t, "tank/q/c", "mountpoint=none", "reservation=100M")),
		"set tank/q quota=200M", "set tank/q/c reservation=100M")
}

// `zfs inherit` has no -u, and mounts over files.
func TestMountpointIsNotInherited(t *testing.T) {
	m := machine{zfssim.New("tank"), t}
	m.create("tank/a", "mountpoint=/elsewhere", "sharenfs=on")
	for _, property := range []string{"mountpoint", "sharenfs"} {
		equalTexts(t, planned(t, m, nil, want(t, "tank/a", "inherit="+property)),
			"conflict tank/a: zfs refuses it: has a "+property+" of its own, and zfs would mount or share at once what inherits it [tank/a]")
	}
}

func TestFeaturesOfLimits(t *testing.T) {
	m := machine{zfssim.New("tank"), t}
	m.create("tank/a", "mountpoint=none")
	old := func(o *dataset.Observed) { o.Pools[0].Features = []string{"zstd_compress"} }
	equalTexts(t, planned(t, m, old, want(t, "tank/a", "mountpoint=none", "filesystem_limit=10")),
		"conflict tank/a: zfs refuses it: filesystem_limit=10 needs the pool's feature filesystem_limits, which is not enabled [tank/a]")
}

// D7: what fileSystems mounts gets its owner where it is.
func TestOwnerOfLegacyDataset(t *testing.T) {
	m := machine{zfssim.New("tank"), t}
	m.create("tank/l", "mountpoint=legacy")
	w := want(t, "tank/l", "mountpoint=legacy", "owner=568", "mode=0700")
	equalTexts(t, planned(t, m, nil, w))
	mounted := func(o *dataset.Observed) {
		o.Mounts = append(o.Mounts, dataset.Mount{At: "/mnt/l", Source: "tank/l", FSType: "zfs", Root: "/"})
		o.Places = append(o.Places, dataset.Place{Path: "/mnt/l", Kind: "directory", MountedFrom: "tank/l", Content: "empty", Mode: "0755"})
	}
	equalTexts(t, planned(t, m, mounted, w), "own /mnt/l 568: 0700")
}

// Whoever is unknown keeps neither the group nor the mode from being right.
func TestModeOfUnknownOwner(t *testing.T) {
	m := machine{zfssim.New("tank"), t}
	users := func(o *dataset.Observed) { o.Users, o.Groups = []string{"root"}, []string{"media"} }
	w := want(t, "tank/a", "mountpoint=/srv/a", "owner=app", "group=media", "mode=0700")
	const conflict = "conflict tank/a: owner is unknown: is to belong to user app, whom the machine does not know [tank/a]"
	equalTexts(t, planned(t, m, users, w), "create tank/a mountpoint=/srv/a", "mkdir /srv/a", "mount tank/a /srv/a", "own /srv/a :media 0700", conflict)
	m.create("tank/a", "mountpoint=/srv/a")
	m.mount("tank/a")
	equalTexts(t, planned(t, m, users, w), "own /srv/a :media 0700", conflict)
	if err := m.Own(dataset.MustName("tank/a"), "/srv/a", "", "media", "0700"); err != nil {
		t.Fatal(err)
	}
	equalTexts(t, planned(t, m, users, w), conflict)
	d := dataset.WithContainers(w)
	o := observe(m.Machine, d)
	users(o)
	got := dataset.NewDrift(d, o, dataset.Options{}).Differences
	if len(got) != 1 || got[0].What != dataset.WhatOwner || got[0].Found != "root" {
		t.Errorf("%+v", got)
	}
}

// A share is turned off at once, which mounts nothing; on is set without mounting anything.
func TestCommandsOfShares(t *testing.T) {
	for value, want := range map[string][]string{"off": {"zfs", "set", "--", "sharenfs=off", "tank/a"}, "rw": {"zfs", "set", "-u", "--", "sharenfs=rw", "tank/a"}} {
		s := setting(t, "sharenfs="+value)
		equalTexts(t, dataset.Command(&dataset.Set{Step: dataset.Step{Dataset: dataset.MustName("tank/a")}, Setting: s}), want...)
	}
}
