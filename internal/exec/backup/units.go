//go:build unix

package backup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/run"
)

// systemctlTimeout ends a command of systemctl that would never end: longer than any unit is given to stop or start by default.
const systemctlTimeout = 10 * time.Minute

// quiet is what stands still for a run. The units that were active are written down before they are stopped: whatever ends the run, the
// next one, or `stateward backup resume`, starts them again.
type quiet struct {
	job  restic.Job
	o    Options
	file string
	// held says that the units of the job are to stand still, stopped that it was this run that stopped some.
	// failed tells that they do not start again.
	held, stopped, failed bool
	journal               unitJournal
	release               func()
}

// resumeWait is how long what a killed run left waits for another job that has units stopped: less than systemd gives to an ExecStopPost=.
const resumeWait = 45 * time.Second

// take waits until no other job has units stopped: of two that stop the same the first would start it while the second still reads.
func (q *quiet) take(ctx context.Context) (err error) {
	q.release, err = await(ctx, q.o.LockDir, "stateward-stopped-units.lock")
	return err
}

// await takes a lock as soon as it is free.
func await(ctx context.Context, dir, file string) (release func(), err error) {
	for {
		release, err := lockFile(dir, file)
		var held *HeldError
		if !errors.As(err, &held) {
			return release, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

func (q *quiet) give() {
	q.held = false
	if q.release != nil {
		q.release()
		q.release = nil
	}
}

type unitJournal struct {
	Job string `json:"job"`
	// Boot is that of the machine: after another, systemd has decided anew what runs.
	Boot  string   `json:"boot"`
	Units []string `json:"units"`
	// Still are those of the job, be they active or not: nobody is to start them.
	Still []string `json:"still,omitempty"`
}

// StoppedError says that units are left stopped since another job needs them so.
type StoppedError struct{ Units []string }

func (e *StoppedError) Error() string {
	return fmt.Sprintf("%s, which a run left stopped, is to stand still for another job now", strings.Join(e.Units, ", "))
}

// Hint says what to do.
func (e *StoppedError) Hint() string {
	return "when that has ended: stateward backup resume; the next run does the same"
}

func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(text)), err
}

// leftovers starts what a run left stopped that was killed. Where another job has units stopped, that is waited for; with a patience, no longer than
// that, and then only those start that it does not need.
func (q *quiet) leftovers(ctx context.Context, patience time.Duration) error {
	text, err := os.ReadFile(q.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var old unitJournal
	if err := json.Unmarshal(text, &old); err != nil || old.Job != q.job.Name {
		return &RecordError{q.file, errors.New("it does not say which units the last run stopped")}
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	if boot != old.Boot {
		return os.Remove(q.file)
	}
	waiting, cancel := ctx, context.CancelFunc(func() {})
	if patience > 0 {
		waiting, cancel = context.WithTimeout(ctx, patience)
	}
	defer cancel()
	defer q.give()
	err = q.take(waiting)
	q.journal, q.stopped = old, true
	switch {
	case err == nil:
		return q.start(ctx)
	case patience == 0 || waiting.Err() == nil || ctx.Err() != nil:
		return err
	}
	needed, err := q.needed(boot)
	if err != nil {
		return err
	}
	var left []string
	q.journal.Units = slices.DeleteFunc(slices.Clone(old.Units), func(u string) bool {
		if !slices.Contains(needed, u) {
			return false
		}
		left = append(left, u)
		return true
	})
	if len(left) == 0 {
		return q.start(ctx)
	}
	if len(q.journal.Units) > 0 {
		if _, err := q.systemctl(ctx, append([]string{"start", "--"}, q.journal.Units...)...); err != nil {
			return &startError{err}
		}
	}
	old.Units = left
	return errors.Join(&StoppedError{left}, q.put(old))
}

// needed are the units that other jobs have stopped now.
func (q *quiet) needed(boot string) (units []string, err error) {
	files, err := filepath.Glob(filepath.Join(q.o.StateDir, "*.units.json"))
	for _, file := range files {
		var other unitJournal
		text, err := os.ReadFile(file)
		switch {
		case file == q.file || errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return nil, err
		case json.Unmarshal(text, &other) != nil:
			return nil, &RecordError{file, errors.New("it does not say which units a run stopped")}
		case other.Boot == boot:
			units = append(append(units, other.Units...), other.Still...)
		}
	}
	return units, err
}

// put writes the journal.
func (q *quiet) put(journal unitJournal) error {
	text, err := json.MarshalIndent(journal, "", "  ")
	if err != nil {
		return err
	}
	if err := dirOf(q.file); err != nil {
		return err
	}
	return replace(q.file, append(text, '\n'), 0o600)
}

func (r *Result) stopUnits(ctx context.Context, q *quiet) error {
	return r.unitStep(q, "stop", func() error { return q.stop(ctx) })
}

// startUnits starts what was stopped; where nothing is, it does nothing.
func (r *Result) startUnits(ctx context.Context, q *quiet) error {
	defer q.give()
	if !q.stopped || q.failed {
		return nil
	}
	err := r.unitStep(q, "start", func() error { return q.start(ctx) })
	q.failed = err != nil
	return err
}

func (r *Result) unitStep(q *quiet, name string, do func() error) error {
	if q.o.Began != nil {
		q.o.Began(name)
	}
	began := q.o.Now()
	err := do()
	s := Step{Name: name, Outcome: restic.Complete, Seconds: q.o.Now().Sub(began).Seconds()}
	if err != nil {
		s.Outcome = restic.Failed
		s.Said = []string{err.Error()}
	}
	r.Steps = append(r.Steps, s)
	return err
}

// unitState is what systemd says of a unit.
type unitState struct {
	active, loaded bool
	// follow are the units that stop when this one does.
	follow []string
}

// states asks for units.
func (q *quiet) states(ctx context.Context, units []string) (map[string]unitState, error) {
	out, err := q.systemctl(ctx, append([]string{"show", "--property=Id,LoadState,ActiveState,RequiredBy,RequisiteOf,BoundBy,ConsistsOf,PropagatesStopTo", "--"}, units...)...)
	if err != nil {
		return nil, err
	}
	states := map[string]unitState{}
	for i, block := range strings.Split(strings.TrimSpace(out), "\n\n") {
		if i >= len(units) {
			break
		}
		var s unitState
		for line := range strings.Lines(block) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch name {
			case "LoadState":
				s.loaded = value != "not-found"
			case "ActiveState":
				s.active = value == "active" || value == "activating" || value == "reloading"
			case "RequiredBy", "RequisiteOf", "BoundBy", "ConsistsOf", "PropagatesStopTo":
				s.follow = append(s.follow, strings.Fields(value)...)
			}
		}
		states[units[i]] = s
	}
	if len(states) != len(units) {
		return nil, fmt.Errorf("systemctl does not say the state of %s", strings.Join(units, ", "))
	}
	return states, nil
}

// stop stops the units of the job, and writes down first which of them, and of those that stop with them, are active.
func (q *quiet) stop(ctx context.Context) error {
	if err := q.take(ctx); err != nil {
		return err
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	var before []string
	if q.stopped {
		before = q.journal.Units // what an earlier run stopped and nobody could start
	}
	q.journal = unitJournal{Job: q.job.Name, Boot: boot, Still: q.job.StopUnits, Units: before}
	seen := map[string]bool{}
	for ask := q.job.StopUnits; len(ask) > 0; {
		states, err := q.states(ctx, ask)
		if err != nil {
			return err
		}
		var next []string
		for _, u := range ask {
			seen[u] = true
		}
		for _, u := range ask {
			s := states[u]
			if !s.loaded && slices.Contains(q.job.StopUnits, u) {
				return &GateError{u, "is no unit of this machine: nothing is backed up", "mend stopUnits"}
			}
			if !s.active {
				continue
			}
			if !slices.Contains(q.journal.Units, u) {
				q.journal.Units = append(q.journal.Units, u)
			}
			for _, f := range s.follow {
				if f == q.job.UnitName()+".service" {
					return &GateError{u, "cannot be stopped: the job would stop with it", "let the unit of the job not require it"}
				}
				if !seen[f] && !slices.Contains(next, f) {
					next = append(next, f)
				}
			}
		}
		ask = next
	}
	q.held = true
	if len(q.journal.Units) == 0 {
		return nil
	}
	if err := q.put(q.journal); err != nil {
		return err
	}
	q.stopped = true
	if _, err := q.systemctl(ctx, append([]string{"stop", "--"}, q.job.StopUnits...)...); err != nil {
		return err
	}
	if err := q.still(ctx); err != nil {
		return err
	}
	return ctx.Err()
}

// still says which of the units of the job is active though it was stopped.
func (q *quiet) still(ctx context.Context) error {
	if !q.held {
		return nil
	}
	states, err := q.states(ctx, q.job.StopUnits)
	if err != nil {
		return err
	}
	for _, u := range q.job.StopUnits {
		if states[u].active {
			return &GateError{u, "was to stand still, and is active: what was read may be torn", "see what starts it: a socket, a timer, or a unit that wants it; name that in stopUnits too"}
		}
	}
	return nil
}

// startError says that what was stopped does not start.
type startError struct{ err error }

func (e *startError) Error() string {
	return fmt.Sprintf("units that were stopped for the backup do not start: %v", e.err)
}
func (e *startError) Unwrap() error { return e.err }

// Hint says what to do.
func (e *startError) Hint() string {
	return "see systemctl status of them; the next run tries it again"
}

// start starts what was stopped. The journal stays where that fails, with what is not active; a unit that is no longer there is not missed.
func (q *quiet) start(ctx context.Context) error {
	if _, err := q.systemctl(ctx, append([]string{"start", "--"}, q.journal.Units...)...); err != nil {
		states, serr := q.states(ctx, q.journal.Units)
		if serr != nil {
			return &startError{errors.Join(err, serr)}
		}
		left := slices.DeleteFunc(slices.Clone(q.journal.Units), func(u string) bool { return states[u].active || !states[u].loaded })
		if len(left) > 0 {
			q.journal.Units = left
			return errors.Join(&startError{err}, q.put(q.journal))
		}
	}
	q.stopped = false
	if err := os.Remove(q.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// systemctl is not cut off: what half happened would have to be guessed.
func (q *quiet) systemctl(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), systemctlTimeout)
	defer cancel()
	r, err := run.Run(ctx, run.Cmd{Path: "systemctl", Args: append([]string{"--no-pager", "--no-ask-password"}, args...), Env: q.o.Env, Dir: "/"})
	if err != nil {
		said := strings.TrimSpace(string(r.Stderr))
		if said == "" {
			said = err.Error()
		}
		return "", &commandError{"systemctl " + args[0], said}
	}
	return string(r.Stdout), nil
}

// Resume starts what a run of the job stopped and did not start again. Where a run is at work, that will.
func Resume(ctx context.Context, j restic.Job, o Options) (units []string, err error) {
	if err := j.Validate(); err != nil {
		return nil, err
	}
	release, err := lock(o.LockDir, j.Name)
	var held *HeldError
	if errors.As(err, &held) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer release()
	q := &quiet{job: j, o: o, file: filepath.Join(o.StateDir, j.Name+".units.json")}
	err = q.leftovers(ctx, cmp.Or(o.Patience, resumeWait))
	return q.journal.Units, err
}
