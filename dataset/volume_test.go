package dataset_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/zfssim"
)

func volume(t testing.TB, name string, settings ...string) dataset.Wanted {
	w := want(t, name, settings...)
	w.Type = dataset.Volume
	return w
}

func TestDesiredVolumes(t *testing.T) {
	vol := func(d stateward.Dataset) stateward.Dataset {
		d.Type = known("volume")
		return d
	}
	owned := vol(declare("tank/o", "", "volsize", "1G"))
	owned.Owner = known(stateward.MustOwner("a"))
	unseen := declare("tank/u", "")
	unseen.Type = stateward.NotKnown[string](stateward.Unknown{Subject: "x.type", Kind: stateward.UnknownThrow, Message: "no"})
	odd := declare("tank/x", "")
	odd.Type = known("zvol")
	h := &stateward.Host{Datasets: known([]stateward.Dataset{
		vol(declare("tank/vm/a", "", "volsize", "10G", "volblocksize", "16K", "refreservation", "none", "compression", "lz4")), vol(declare("tank/b", "")),
		vol(declare("tank/m", "/srv", "volsize", "1G")), owned, unseen, odd, vol(declare("tank/p", "", "volsize", "1G")), declare("tank/p/child", "/c"),
		vol(declare("tank/q", "", "volsize", "1G")), declare("tank/q", "/q"), vol(declare("tank/r", "", "volsize", "1G", "quota", "1G")),
	})}
	desired, faults := dataset.NewDesired(h)
	var got []string
	for _, w := range desired.Datasets {
		got = append(got, strings.TrimSpace(w.Type.String()+" "+w.Name.String()+" "+joined(w.Settings)))
	}
	for _, f := range faults {
		got = append(got, f.Dataset+": "+string(f.Kind)+": "+f.Message)
	}
	if diff := cmp.Diff([]string{
		"volume tank/p volsize=1G", "tank/vm canmount=off,mountpoint=none", "volume tank/vm/a compression=lz4,refreservation=none,volblocksize=16K,volsize=10G",
		"tank/b: property is refused: a volume needs a size",
		`tank/m: property is refused: property "mountpoint" is none that a volume has`,
		"tank/o: property is refused: a volume has no directory that could have an owner, a group or a mode",
		"tank/p/child: declarations contradict: lies in tank/p, which is declared as a volume: only snapshots lie in one",
		"tank/q: declarations contradict: is declared twice, with type volume and with filesystem",
		`tank/r: property is refused: property "quota" is none that a volume has`,
		"tank/u: could not be evaluated: no",
		`tank/x: is not understood: type "zvol" is none of a dataset`,
	}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPlanVolumes(t *testing.T) {
	type wants = []dataset.Wanted
	there := func(settings ...string) func(m machine) {
		return func(m machine) {
			var list []dataset.Setting
			for _, s := range settings {
				list = append(list, setting(m.t, s))
			}
			m.must(m.CreateVolume(dataset.MustName("tank/v"), list...))
		}
	}
	for _, tt := range []struct {
		name  string
		pool  func(m machine)
		want  wants
		plan  []string
		stays bool
	}{
		{name: "one that is not there is made, and neither mounted nor owned", want: wants{volume(t, "tank/vm/v", "volsize=10G", "volblocksize=8K", "compression=lz4")}, plan: []string{
			"create tank/vm canmount=off,mountpoint=none", "create tank/vm/v compression=lz4,volblocksize=8K,volsize=10G"}},
		{name: "a part of a block is rounded up by zfs, and is no difference", want: wants{volume(t, "tank/v", "volsize=10000000", "refreservation=none")}, plan: []string{
			"create tank/v refreservation=none,volsize=10000000"}},
		{name: "a reservation of what it may take", want: wants{volume(t, "tank/v", "volsize=1G", "refreservation=auto")}, plan: []string{"create tank/v refreservation=auto,volsize=1G"}},
		{name: "one that is there as declared", pool: there("volsize=1G", "refreservation=none"), want: wants{volume(t, "tank/v", "volsize=1024M", "refreservation=none")}},
		{name: "a larger one", pool: there("volsize=1G", "volblocksize=64K"), want: wants{volume(t, "tank/v", "volsize=2000000000")}, plan: []string{"set tank/v volsize=1953152K"}},
		{name: "a sparse one that is to be reserved", pool: there("volsize=1G", "refreservation=none"), want: wants{volume(t, "tank/v", "volsize=2G", "refreservation=auto")}, plan: []string{
			"set tank/v refreservation=auto", "set tank/v volsize=2G"}},
		{name: "a smaller one would lose data", pool: there("volsize=2G"), want: wants{volume(t, "tank/v", "volsize=1G", "compression=zstd")}, stays: true, plan: []string{
			"set tank/v compression=zstd", "conflict tank/v: a smaller volume loses data: is a volume of 2G and is to have 1G: what lies beyond would be lost [tank/v]"}},
		{name: "D3 the size of its blocks", pool: there("volsize=1G"), want: wants{volume(t, "tank/v", "volsize=1G", "volblocksize=8K")}, stays: true, plan: []string{
			"conflict tank/v: create-only property differs: volblocksize is 16384 and cannot become 8192: only a new dataset can have it [tank/v]"}},
		{name: "a file system where a volume is wanted", pool: func(m machine) { m.create("tank/v") }, want: wants{volume(t, "tank/v", "volsize=1G")}, stays: true, plan: []string{
			"conflict tank/v: type differs: is a file system, and a volume is wanted [tank/v]"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := machine{zfssim.New("tank"), t}
			if tt.pool != nil {
				tt.pool(m)
			}
			desired := dataset.WithContainers(tt.want...)
			seen := observe(m.Machine, desired)
			plan := dataset.NewPlan(desired, seen, dataset.Options{})
			if diff := cmp.Diff(tt.plan, text(plan)); diff != "" {
				t.Errorf("plan (-want +got):\n%s", diff)
			}
			// Where a plan has nothing to do and no conflict, nothing differs, and the other way round.
			if n := len(dataset.NewDrift(desired, seen, dataset.Options{}).Differences); n > 0 != (len(tt.plan) > 0) {
				t.Errorf("%d differences", n)
			}
			var read dataset.Plan
			if b := encode(t, plan); true {
				m.must(read.UnmarshalJSON([]byte(b)))
				if b2 := encode(t, read); b != b2 {
					t.Errorf("JSON: %s, read and written: %s", b, b2)
				}
			}
			for _, op := range read.Ops {
				m.must(m.Apply(op))
				m.must(m.Apply(op)) // again
			}
			again := dataset.NewPlan(desired, observe(m.Machine, desired), dataset.Options{})
			if len(again.Ops) > 0 || len(again.Conflicts) > 0 != tt.stays {
				t.Errorf("after it was carried out: %v", text(again))
			}
		})
	}
}

func TestCommandOfVolumes(t *testing.T) {
	op := &dataset.Create{Step: dataset.Step{Dataset: dataset.MustName("tank/v")}, Type: dataset.Volume}
	for want, settings := range map[string][]string{
		"zfs create -V 10G -- tank/v":                                        {"volsize=10G"},
		"zfs create -s -V 10G -- tank/v":                                     {"refreservation=none", "volsize=10G"},
		"zfs create -V 10G -o compression=lz4 -o volblocksize=8K -- tank/v":  {"compression=lz4", "refreservation=auto", "volblocksize=8K", "volsize=10G"},
		"zfs create -V 9776K -o refreservation=20M -o sync=always -- tank/v": {"refreservation=20M", "sync=always", "volsize=10010624"},
	} {
		op.Settings = nil
		for _, s := range settings {
			op.Settings = append(op.Settings, setting(t, s))
		}
		if got := strings.Join(dataset.Command(op), " "); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	if got := dataset.Describe(op); !strings.HasPrefix(got, "create volume tank/v with ") {
		t.Error(got)
	}
}

func TestScriptOfVolumes(t *testing.T) {
	m := newFakeZFS(t, t.TempDir())
	text := script(t, volume(t, "tank/v", "volsize=10000000", "refreservation=none", "compression=lz4"))
	const is = "tank\ttype\tfilesystem\t-\ntank/v\ttype\tvolume\t-\ntank/v\tmountpoint\t-\t-\ntank/v\tcanmount\t-\t-\ntank/v\tzoned\t-\t-\n" +
		"tank/v\tvolblocksize\t16384\tdefault\ntank/v\trefreservation\t0\tdefault\ntank/v\tcompression\tlz4\tlocal\ntank/v\tvolsize\t"
	for _, tt := range []struct{ name, there, got, call, says string }{
		{"is made", "tank\n", is + "10010624\tlocal\n", "create -s -V 10000000 -o compression=lz4 -- tank/v", ""},
		{"is as declared", "tank\ntank/v\n", is + "10010624\tlocal\n", "", ""},
		{"becomes smaller: no", "tank\ntank/v\n", is + "20971520\tlocal\n", "", "is a volume of 20971520 bytes and is to have 10010624: what lies beyond would be lost"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			calls, out, err := m.run(t, text, tt.there, tt.got)
			var writes []string
			for _, c := range calls {
				if !slices.Contains([]string{"list", "get"}, c[0]) {
					writes = append(writes, strings.Join(c, " "))
				}
			}
			if got := strings.Join(writes, "; "); got != tt.call {
				t.Errorf("%q, want %q\n%s", got, tt.call, out)
			}
			if (err != nil) != (tt.says != "") || !strings.Contains(out, tt.says) {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	shellcheck(t, file)
}

// A service whose data is on a volume waits for the unit that makes it, and for no mount.
func TestWaitersOfVolumes(t *testing.T) {
	ds := declare("tank/v", "", "volsize", "1G")
	ds.Type = known("volume")
	h := &stateward.Host{Datasets: known([]stateward.Dataset{ds}), Services: known([]stateward.Service{{Name: "vm", Enable: known(true), Dataset: &ds, Units: []string{"vm.service"}}})}
	desired, faults := dataset.NewDesired(h)
	waiters, unwaited := dataset.Waiters(h, desired)
	if diff := cmp.Diff([]dataset.Waiter{{Unit: "vm.service", Datasets: []dataset.Name{dataset.MustName("tank/v")}}}, waiters, cmp.Comparer(func(a, b dataset.Name) bool { return a == b }),
		cmp.Comparer(func(a, b stateward.Mode) bool { return a == b })); diff != "" || len(unwaited)+len(faults) > 0 {
		t.Errorf("%s %v %v", diff, unwaited, faults)
	}
	if _, err := dataset.Module(desired, "h", waiters, nil); err != nil {
		t.Error(err)
	}
}
