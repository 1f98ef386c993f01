//go:build e2e

package dataset_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/zfssim"
)

// both does the same on the simulated machine and on this one.
type both struct {
	t    *testing.T
	r    *rand.Rand
	sim  *zfssim.Machine
	top  string
	done []string
	// names are the datasets that may be there.
	names []string
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func (b *both) settings(of []string) []dataset.Setting {
	var list []dataset.Setting
	for _, text := range of {
		property, value, _ := strings.Cut(strings.ReplaceAll(text, "TOP", "/"+b.top), "=")
		s, err := dataset.ParseSetting(property, value, dataset.Filesystem)
		if err != nil {
			b.t.Fatal(err)
		}
		if !slices.ContainsFunc(list, func(other dataset.Setting) bool { return other.Name() == s.Name() }) {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, dataset.CompareSetting)
	return list
}

// real carries a step out on this machine.
func (b *both) real(op dataset.Op) error {
	name := op.Target().String()
	switch op := op.(type) {
	case *dataset.Create:
		args := []string{"create", "-u"}
		for _, s := range op.Settings {
			args = append(args, "-o", s.String())
		}
		if _, err := zfs(append(args, name)...); err != nil && !strings.HasSuffix(err.Error(), "dataset already exists") {
			return err
		}
		return nil
	case *dataset.Set:
		_, err := zfs("set", "-u", op.Setting.String(), name)
		return err
	case *dataset.Inherit:
		_, err := zfs("inherit", op.Property, name)
		return err
	case *dataset.MakeMountpoint:
		return os.MkdirAll(op.Path.String(), 0o755)
	case *dataset.MountDataset:
		at, err := zfs("get", "-Hpo", "value", "mountpoint,mounted", name)
		if err != nil || strings.HasSuffix(at, "yes") {
			return err
		}
		at, _, _ = strings.Cut(at, "\n")
		if strings.HasPrefix(at, "/") {
			if list, err := os.ReadDir(at); err == nil && len(list) > 0 {
				return fmt.Errorf("%s is not empty", at)
			}
		}
		_, err = zfs("mount", name)
		return err
	case *dataset.Own:
		if from := mountedFrom(op.Path.String()); from != name {
			return fmt.Errorf("%q is mounted at %s", from, op.Path)
		}
		uid, gid := -1, -1
		if s := op.Owner.String(); s != "" {
			uid, _ = strconv.Atoi(s)
		}
		if s := op.Group.String(); s != "" {
			gid, _ = strconv.Atoi(s)
		}
		if err := os.Chown(op.Path.String(), uid, gid); err != nil {
			return err
		}
		if op.Mode.IsZero() {
			return nil
		}
		return os.Chmod(op.Path.String(), os.FileMode(op.Mode.Bits()))
	}
	return fmt.Errorf("unknown step %T", op)
}

// mountedFrom is what is mounted at a path, of several the last. None here has a blank in it.
func mountedFrom(path string) string {
	list, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		panic(err)
	}
	from := ""
	for line := range strings.Lines(string(list)) {
		place, source, _ := strings.Cut(line, " - ")
		if strings.Fields(place)[4] == path {
			from = strings.Fields(source)[1]
		}
	}
	return from
}

func (b *both) apply(op dataset.Op) {
	b.t.Helper()
	what := fmt.Sprintf("%s %s %+v", dataset.OpKind(op), op.Target(), op)
	b.done = append(b.done, what)
	want, got := b.sim.Apply(op), b.real(op)
	if (want == nil) != (got == nil) {
		b.t.Fatalf("%s\nsimulated: %v\nreal: %v\nafter:\n%s\n%s", what, want, got, strings.Join(b.done, "\n"), b.sim.Dump())
	}
}

var compared = []string{"recordsize", "compression", "atime", "readonly", "quota", "xattr", "casesensitivity", "normalization", "utf8only", "canmount", "mountpoint", "mounted", "org.example:note"}

func (b *both) compare() {
	b.t.Helper()
	got := map[string]dataset.PropertyState{}
	for line := range strings.SplitSeq(must(b.t, "get", "-Hpr", "-t", "filesystem", "-o", "name,property,value,source,received", strings.Join(compared, ","), "tank/"+b.top), "\n") {
		f := strings.Split(line, "\t")
		s := dataset.PropertyState{Value: f[2], Source: dataset.Source(f[3]), Received: strings.TrimPrefix(f[4], "-")}
		if from, ok := strings.CutPrefix(f[3], "inherited from "); ok {
			s.Source, s.From = dataset.Inherited, dataset.MustName(from)
		}
		if f[3] == "-" {
			s.Source = dataset.None
		}
		if f[2] != "-" {
			got[f[0]+" "+f[1]] = s
		}
	}
	want := map[string]dataset.PropertyState{}
	for _, n := range b.sim.Names() {
		if !n.Below(dataset.MustName("tank")) {
			continue
		}
		for _, property := range compared {
			if s, ok := b.sim.Get(n, property); ok {
				want[n.String()+" "+property] = s
			}
		}
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b dataset.Name) bool { return a == b })); diff != "" {
		b.t.Fatalf("after\n%s\n(-simulated +real):\n%s\n%s", strings.Join(b.done, "\n"), diff, b.sim.Dump())
	}
	var paths []stateward.AbsPath
	for _, p := range []string{"", "/p", "/p/q", "/r", "/a", "/a/x"} {
		paths = append(paths, stateward.MustPath("/"+b.top+p))
	}
	for _, p := range b.sim.Observe(paths...).Places {
		kind, content := "absent", ""
		if info, err := os.Lstat(p.Path); err == nil {
			kind = "file"
			if info.IsDir() {
				kind, content = "directory", "empty"
				if list, _ := os.ReadDir(p.Path); len(list) > 0 {
					content = "populated"
				}
				if mode := fmt.Sprintf("%04o", info.Mode().Perm()); mode != p.Mode {
					b.t.Errorf("%s has mode %s, simulated %s", p.Path, mode, p.Mode)
				}
			}
		}
		if p.MountedFrom != "" {
			content = p.Content // of the directory beneath, which is not what is listed here
		}
		if p.Kind != kind || p.Content != content {
			b.t.Fatalf("%s is %s %s, simulated %s %s, after\n%s", p.Path, kind, content, p.Kind, p.Content, strings.Join(b.done, "\n"))
		}
	}
}

var someSettings = []string{
	"recordsize=16K", "recordsize=1M", "compression=zstd", "compression=lz4", "atime=off", "atime=on", "quota=1G", "quota=none", "org.example:note=x", "org.example:note=a b",
	"mountpoint=none", "mountpoint=legacy", "mountpoint=TOP/p", "mountpoint=TOP/p/q", "mountpoint=TOP/r", "canmount=off", "canmount=noauto", "canmount=on",
	"readonly=on", "readonly=off", "xattr=sa", "xattr=dir",
}

func (b *both) draw(n int, more ...string) []dataset.Setting {
	var list []string
	for range b.r.IntN(n + 1) {
		list = append(list, pick(b.r, slices.Concat(someSettings, more)))
	}
	return b.settings(list)
}

// step does something at random.
func (b *both) step() {
	name := dataset.MustName("tank/" + b.top + pick(b.r, b.names))
	on := dataset.Step{Dataset: name}
	at := stateward.MustPath("/" + b.top + pick(b.r, []string{"/p", "/p/q", "/r", "/a", "/a/x"}))
	_, there := b.sim.Get(name, "type")
	switch b.r.IntN(10) {
	case 0, 1, 2:
		b.apply(&dataset.Create{Step: on, Settings: b.draw(4, "casesensitivity=mixed", "normalization=formD")})
	case 3, 4, 5:
		for _, s := range b.draw(2, "casesensitivity=mixed") {
			b.apply(&dataset.Set{Step: on, Setting: s})
		}
	case 6:
		b.apply(&dataset.Inherit{Step: on, Property: pick(b.r, []string{"recordsize", "compression", "atime", "org.example:note"})})
	case 7:
		b.apply(&dataset.MakeMountpoint{Step: on, Path: at})
	case 8:
		if p, ok := b.sim.Get(name, "mountpoint"); ok && strings.HasPrefix(p.Value, "/") && p.Value != "/" {
			if mounted, _ := b.sim.Get(name, "mounted"); mounted.Value == "no" {
				b.apply(&dataset.MountDataset{Step: on, Path: stateward.MustPath(p.Value)})
			}
		}
	case 9:
		if b.r.IntN(3) == 0 && !there {
			b.receive(name)
		}
	}
}

// receive makes a dataset with received properties.
func (b *both) receive(name dataset.Name) {
	if _, ok := b.sim.Get(name.Parent(), "type"); !ok {
		return
	}
	settings := b.draw(5)
	from := fmt.Sprintf("tank/from%d", b.r.Uint32())
	args := []string{"create", "-u"}
	for _, s := range settings {
		args = append(args, "-o", s.String())
	}
	must(b.t, append(args, from)...)
	must(b.t, "snapshot", from+"@s")
	stream, err := exec.Command("zfs", "send", "-p", from+"@s").Output()
	if err != nil {
		b.t.Fatal(err)
	}
	receive := exec.Command("zfs", "receive", "-u", name.String())
	receive.Stdin = bytes.NewReader(stream)
	if out, err := receive.CombinedOutput(); err != nil {
		b.t.Fatalf("%s: %v", out, err)
	}
	must(b.t, "destroy", "-r", from)
	b.done = append(b.done, fmt.Sprintf("receive %s %v", name, settings))
	if err := b.sim.CreateReceived(name, settings...); err != nil {
		b.t.Fatal(err)
	}
}

// The simulated machine that the planner is tested on is as the real one is.
func TestSimulation(t *testing.T) {
	for seed := range 12 {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			b := &both{t: t, r: rand.New(rand.NewPCG(uint64(seed), 5)), sim: zfssim.New("tank"), top: fmt.Sprintf("t%d", seed)}
			b.names = []string{"/a", "/a/x", "/a/x/y", "/b", "/b/z", "/c"}
			b.apply(&dataset.Create{Step: dataset.Step{Dataset: dataset.MustName("tank/" + b.top)}, Settings: b.settings([]string{"mountpoint=TOP", "canmount=off"})})
			b.apply(&dataset.MakeMountpoint{Step: dataset.Step{Dataset: dataset.MustName("tank/" + b.top)}, Path: stateward.MustPath("/" + b.top)})
			for _, n := range b.names {
				if b.r.IntN(3) > 0 {
					b.apply(&dataset.Create{Step: dataset.Step{Dataset: dataset.MustName("tank/" + b.top + n)}, Settings: b.draw(3)})
				}
			}
			for range 20 {
				b.step()
				if t.Failed() {
					return
				}
			}
			b.compare()
			for range 3 {
				b.plan()
			}
		})
	}
}

// plan makes something that is wanted at random true.
func (b *both) plan() {
	var list []dataset.Wanted
	for _, n := range b.names {
		if b.r.IntN(2) == 0 {
			continue
		}
		w := dataset.Wanted{Name: dataset.MustName("tank/" + b.top + n), Role: dataset.Utility, Settings: b.draw(4)}
		if b.r.IntN(2) == 0 {
			w.Owner, w.Mode = stateward.MustOwner("568"), mode("0700")
		}
		list = append(list, w)
	}
	desired := dataset.WithContainers(list...)
	plan := dataset.NewPlan(desired, b.sim.Observe(dataset.Places(desired, b.sim.Observe())...), dataset.Options{})
	b.done = append(b.done, fmt.Sprintf("plan of %d steps, %d conflicts", len(plan.Ops), len(plan.Conflicts)))
	for _, op := range plan.Ops {
		b.apply(op)
		if err := b.sim.Apply(op); err != nil {
			b.t.Fatalf("the plan cannot be carried out: %v", err)
		}
	}
	b.compare()
}

func mode(s string) stateward.Mode {
	m, err := stateward.ParseMode(s)
	if err != nil {
		panic(err)
	}
	return m
}
