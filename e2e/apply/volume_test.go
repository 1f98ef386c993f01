//go:build e2e

package apply_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/capture"
	"github.com/stateward/stateward/internal/exec/apply"
)

// here is the machine on which the tests run.
func here() *apply.System {
	return &apply.System{Env: []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}, Observer: func(ctx context.Context, desired dataset.Desired) (*dataset.Observed, error) {
		return capture.Pool(ctx, capture.PoolOptions{Desired: desired})
	}}
}

// run applies what is desired, and tells the outcome, the steps and the conflicts.
func run(t *testing.T, list ...dataset.Wanted) []string {
	t.Helper()
	r, err := apply.Run(context.Background(), dataset.WithContainers(list...), here(), apply.Options{Partial: true})
	got := []string{string(r.Outcome)}
	for _, s := range r.Steps {
		got = append(got, strings.Join(dataset.Command(s.Op), " "))
		if s.Err != nil {
			t.Errorf("%v", s.Err)
		}
	}
	for _, c := range r.Plan.Conflicts {
		got = append(got, fmt.Sprintf("%s %s", c.Dataset, c.Kind))
	}
	if err != nil && len(r.Plan.Conflicts) == 0 {
		t.Errorf("%v", err)
	}
	return got
}

func wants(t *testing.T, name string, kind dataset.Types, settings ...string) dataset.Wanted {
	t.Helper()
	w := dataset.Wanted{Name: dataset.MustName(name), Role: dataset.Utility}
	if kind == dataset.Volume {
		w.Type = kind
	}
	for _, text := range settings {
		property, value, _ := strings.Cut(text, "=")
		s, err := dataset.ParseSetting(property, value, kind)
		if err != nil {
			t.Fatal(err)
		}
		w.Settings = append(w.Settings, s)
	}
	slices.SortFunc(w.Settings, dataset.CompareSetting)
	return w
}

func TestVolumes(t *testing.T) {
	fresh(t)
	vol := func(name string, settings ...string) dataset.Wanted {
		return wants(t, name, dataset.Volume, settings...)
	}
	list := []dataset.Wanted{vol("tank/vm/thick", "volsize=10000000"), vol("tank/vm/sparse", "volsize=4G", "refreservation=none", "volblocksize=64K", "volmode=none"),
		vol("tank/vm/auto", "volsize=8M", "refreservation=auto", "compression=lz4")}
	equal(t, []string{"applied", "zfs create -u -o canmount=off -o mountpoint=none -- tank/vm", "zfs create -V 8M -o compression=lz4 -- tank/vm/auto",
		"zfs create -s -V 4G -o volblocksize=64K -o volmode=none -- tank/vm/sparse", "zfs create -V 10000000 -- tank/vm/thick"}, run(t, list...))
	before := history(t)
	equal(t, []string{"nothing to do"}, run(t, list...))
	equal(t, before, history(t))
	equal(t, "4294967296\n0\n65536\n10010624", command(t, "zfs", "get", "-Hpo", "value", "volsize,refreservation,volblocksize", "tank/vm/sparse")+"\n"+
		command(t, "zfs", "get", "-Hpo", "value", "volsize", "tank/vm/thick"))

	// They grow, and what is reserved grows with them; a part of a block is rounded up, as it is at their creation.
	list[0], list[2] = vol("tank/vm/thick", "volsize=20000001"), vol("tank/vm/auto", "volsize=16M", "refreservation=auto", "compression=zstd")
	equal(t, []string{"applied", "zfs set -- compression=zstd tank/vm/auto", "zfs set -- volsize=16M tank/vm/auto", "zfs set -- volsize=19536K tank/vm/thick"}, run(t, list...))
	equal(t, []string{"nothing to do"}, run(t, list...))

	// None becomes smaller, and none is made anew.
	equal(t, []string{"applied in part", "zfs set -- compression=lz4 tank/vm/thick", "tank/vm/sparse " + string(dataset.CreateOnlyDiffers), "tank/vm/thick " + string(dataset.VolumeShrinks)},
		run(t, vol("tank/vm/thick", "volsize=1M", "compression=lz4"), vol("tank/vm/sparse", "volsize=4G", "volblocksize=16K")))
	equal(t, []string{"conflicts", "tank/vm/thick " + string(dataset.WrongType)}, run(t, wants(t, "tank/vm/thick", dataset.Filesystem, "atime=off")))
	equal(t, "20004864", command(t, "zfs", "get", "-Hpo", "value", "volsize", "tank/vm/thick"))

	// One that was received, with its size, is as good as one that was made here.
	command(t, "zfs", "snapshot", "tank/vm/auto@s")
	command(t, "sh", "-c", "zfs send -p tank/vm/auto@s | zfs receive tank/vm/copy")
	equal(t, []string{"nothing to do"}, run(t, vol("tank/vm/copy", "volsize=16M", "compression=zstd")))
}
