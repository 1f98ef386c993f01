package apply_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/exec/apply"
	"github.com/stateward/stateward/internal/zfssim"
)

// machine is a simulated one.
type machine struct {
	*zfssim.Machine
	// before is called before each step, with how many were done.
	before func(done int) error
	// deaf leaves out what a step does, and says that it was done.
	deaf bool
	// blind tells the observations from which on nothing can be seen.
	blind    int
	observed int
	done     []string
}

func (m *machine) Observe(_ context.Context, d dataset.Desired) (*dataset.Observed, error) {
	if m.observed++; m.blind > 0 && m.observed >= m.blind {
		return nil, errors.New("nothing can be seen")
	}
	return m.Machine.Observe(dataset.Places(d, m.Machine.Observe())...), nil
}

func (m *machine) Do(_ context.Context, op dataset.Op) error {
	if m.before != nil {
		if err := m.before(len(m.done)); err != nil {
			return err
		}
	}
	m.done = append(m.done, dataset.Describe(op))
	if m.deaf {
		return nil
	}
	return m.Apply(op)
}

func wanted(t *testing.T, list ...string) dataset.Desired {
	t.Helper()
	var out []dataset.Wanted
	for _, text := range list {
		name, at, _ := strings.Cut(text, " ")
		w, err := dataset.At(dataset.MustName(name), at)
		if err != nil {
			t.Fatal(err)
		}
		w.Owner = stateward.MustOwner("568")
		out = append(out, w)
	}
	return dataset.WithContainers(out...)
}

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		name    string
		machine func(m *machine, stop func())
		opts    apply.Options
		want    apply.Outcome
		// done and left are how many steps were done and not; err a part of the error.
		done, left int
		err        string
	}{
		{name: "D1: from nothing to all", want: apply.Applied, done: 8},
		{name: "a dry run does nothing", opts: apply.Options{DryRun: true}, want: apply.Planned, left: 8},
		{name: "only what is named", opts: apply.Options{Only: []dataset.Name{dataset.MustName("tank/b")}}, want: apply.Applied, done: 4},
		{name: "a conflict keeps all from being done", machine: func(m *machine, _ func()) { m.populate() }, want: apply.Refused, left: 4, err: "which holds files"},
		{name: "a conflict in a dry run", machine: func(m *machine, _ func()) { m.populate() }, opts: apply.Options{DryRun: true}, want: apply.Refused, left: 4, err: "which holds files"},
		{name: "what a conflict does not touch", machine: func(m *machine, _ func()) { m.populate() }, opts: apply.Options{Partial: true}, want: apply.Partly, done: 4, err: "which holds files"},
		{name: "the first step that fails ends it", machine: func(m *machine, _ func()) {
			m.before = func(done int) error {
				if done == 3 {
					return errors.New("no space left")
				}
				return nil
			}
		}, want: apply.Stopped, done: 3, left: 4, err: "no space left"},
		{name: "an interrupt ends it after the step that it is in", machine: func(m *machine, stop func()) {
			m.before = func(done int) error {
				if done == 3 {
					stop()
				}
				return nil
			}
		}, want: apply.Interrupted, done: 4, left: 4, err: "canceled"},
		{name: "an interrupt in the last step is too late", machine: func(m *machine, stop func()) {
			m.before = func(done int) error {
				if done == 7 {
					stop()
				}
				return nil
			}
		}, want: apply.Applied, done: 8},
		{name: "an interrupt before all", machine: func(_ *machine, stop func()) { stop() }, want: apply.Interrupted, err: "canceled"},
		{name: "nothing can be seen before", machine: func(m *machine, _ func()) { m.blind = 1 }, want: apply.Stopped, err: "cannot tell what the machine has: nothing can be seen"},
		{name: "D1: nothing can be seen after", machine: func(m *machine, _ func()) { m.blind = 2 }, want: apply.Unverified, done: 8, err: "could not be seen: nothing can be seen"},
		{name: "D1: steps that did nothing", machine: func(m *machine, _ func()) { m.deaf = true }, want: apply.Unverified, done: 8, err: "8 would have to be done again, such as: create tank/a"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, stop := context.WithCancel(context.Background())
			defer stop()
			m := &machine{Machine: zfssim.New("tank")}
			if tt.machine != nil {
				tt.machine(m, stop)
			}
			began, ended := 0, 0
			tt.opts.Began = func(int, dataset.Op) { began++ }
			tt.opts.Ended = func(int, apply.Step) { ended++ }
			r, err := apply.Run(ctx, wanted(t, "tank/a /srv/a", "tank/b /srv/b"), m, tt.opts)
			if r.Outcome != tt.want || r.Count(apply.Done) != tt.done || r.Count(apply.NotDone) != tt.left {
				t.Errorf("%s, %d done, %d not done; want %s, %d, %d", r.Outcome, r.Count(apply.Done), r.Count(apply.NotDone), tt.want, tt.done, tt.left)
			}
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if failed := r.Count(apply.Failed); began != ended || began != tt.done+failed {
				t.Errorf("%d began, %d ended", began, ended)
			}
			if tt.want != apply.Applied || len(tt.opts.Only) > 0 {
				return
			}
			m.done, m.before = nil, nil
			again, err := apply.Run(context.Background(), wanted(t, "tank/a /srv/a", "tank/b /srv/b"), m, apply.Options{})
			if err != nil || again.Outcome != apply.Nothing || len(m.done) > 0 {
				t.Errorf("again: %s, %v, %q", again.Outcome, err, m.done)
			}
		})
	}
}

// populate puts a file where tank/a is to be mounted.
func (m *machine) populate() {
	if err := errors.Join(m.Mkdir("/srv/a"), m.Write("/srv/a/file")); err != nil {
		panic(err)
	}
}

func TestStepsAreTimed(t *testing.T) {
	clock := time.Unix(0, 0)
	now := func() time.Time {
		clock = clock.Add(time.Second)
		return clock
	}
	r, err := apply.Run(context.Background(), wanted(t, "tank/a none"), &machine{Machine: zfssim.New("tank")}, apply.Options{Now: now})
	if err != nil || r.Steps[0].Took != time.Second {
		t.Errorf("%v, %v", r.Steps, err)
	}
}

// E10: one run at a time; the lock ends with the run.
func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", "stateward")
	release, err := apply.Lock(context.Background(), dir, "process 1", false, nil)
	if err != nil {
		t.Fatal(err)
	}
	var held *apply.HeldError
	if _, err := apply.Lock(context.Background(), dir, "process 2", false, nil); !errors.As(err, &held) || held.By != "process 1" {
		t.Fatalf("%v", err)
	}
	ctx, stop := context.WithTimeoutCause(context.Background(), 10*time.Millisecond, errors.New("too long"))
	defer stop()
	told := 0
	if _, err := apply.Lock(ctx, dir, "process 2", true, func(*apply.HeldError) { told++ }); err == nil || err.Error() != "too long" || told != 1 {
		t.Fatalf("%v, told %d times", err, told)
	}
	time.AfterFunc(20*time.Millisecond, release)
	release, err = apply.Lock(context.Background(), dir, "process 3", true, nil)
	if err != nil {
		t.Fatal(err)
	}
	release()
	// Through a link nothing is written.
	name := filepath.Join(dir, "dataset.lock")
	if err := errors.Join(os.Remove(name), os.Symlink(filepath.Join(dir, "elsewhere"), name)); err != nil {
		t.Fatal(err)
	}
	if _, err := apply.Lock(context.Background(), dir, "process 4", false, nil); err == nil {
		t.Error("a link was followed")
	}
}
