//go:build unix

// Package backup runs a backup job: it looks at what is to be backed up first, has restic do one step after the other, and writes
// down what came of it. Killed at any moment it leaves nothing half-written.
package backup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/run"
)

// Outcomes that restic does not end with.
const (
	Refused  = restic.Refused
	Shrunken = restic.Shrunken
)

// grace is how long restic may take to end after an interrupt: it takes its lock back (R6).
const grace = 30 * time.Second

// defaultFloor is how many percent of the last good run there must be.
const defaultFloor = 50

// Options of [Run]. Env, Restic, StateDir and LockDir are required.
type Options struct {
	// Restic is a program file, or a name that is looked up in the PATH of Env.
	Restic string
	// Env is what restic is given of the environment, beside that of the job's file.
	Env []string
	// StateDir is where records are kept, LockDir where locks are.
	StateDir, LockDir string
	// AcceptSize takes what is there now for good, however little it is.
	AcceptSize bool
	// Progress is called every few seconds of a backup, Said with each line that restic says, without secrets, Began before each step.
	Progress func(Progress)
	Said     func(line string)
	Began    func(step string)
	// Now is the clock.
	Now func() time.Time
	// Patience is how long [Resume] waits for another job that has units stopped; 0 means as long as a unit of systemd has to end.
	Patience time.Duration
}

// Progress is how far a backup is.
type Progress struct {
	Percent     float64
	Files       int64
	Bytes       int64
	TotalFiles  int64
	TotalBytes  int64
	SecondsLeft int64
}

// Step is one command of restic and what came of it.
type Step struct {
	Name     string         `json:"name"`
	Outcome  restic.Outcome `json:"outcome"`
	ExitCode int            `json:"exitCode"`
	Seconds  float64        `json:"seconds"`
	// Said is the first of what restic said of faults, and its end, without secrets.
	Said []string `json:"said,omitempty"`
}

// Result is what came of a run.
type Result struct {
	Job     string         `json:"job"`
	Outcome restic.Outcome `json:"outcome"`
	// Snapshot is its ID; empty where none was made.
	Snapshot string `json:"snapshot,omitempty"`
	// Unchanged tells that nothing changed since the last snapshot, and that none was made therefore.
	Unchanged bool `json:"unchanged,omitempty"`
	// Files and Bytes are what the snapshot holds, Added what it takes in the repository.
	Files   int64     `json:"files"`
	Bytes   int64     `json:"bytes"`
	Added   int64     `json:"added"`
	Root    string    `json:"root,omitempty"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	Steps   []Step    `json:"steps"`
	// LastGood is the newest run whose snapshot is complete; nil where there was none.
	LastGood *Good `json:"lastGood,omitempty"`
	// after is what is known of the steps after the backup, from earlier runs, and before the newest of these.
	after  map[string]After
	before *Last
	// lost is a snapshot of a good run that the repository was not seen to have since.
	lost *Good
	// Err is why the run is not complete.
	Err error `json:"-"`
}

// GateError says why nothing is backed up.
type GateError struct{ Path, Reason, hint string }

func (e *GateError) Error() string {
	if e.Path == "" {
		return e.Reason
	}
	return fmt.Sprintf("%s %s", e.Path, e.Reason)
}

// Hint says what to do.
func (e *GateError) Hint() string { return e.hint }

// StepError says which step did not end well.
type StepError struct {
	Step    string
	Outcome restic.Outcome
	Code    int
	// Said is the last that restic said, without secrets.
	Said string
	// Snapshot tells that the backup itself is complete, and only what came after it is not.
	Snapshot bool
}

func (e *StepError) Error() string {
	text := fmt.Sprintf("restic %s: %s", e.Step, e.Outcome)
	if e.Code > 0 {
		text += fmt.Sprintf(" (exit status %d)", e.Code)
	}
	if e.Said != "" {
		text += ": " + e.Said
	}
	return text
}

// Hint says what to do.
func (e *StepError) Hint() string {
	h := e.Outcome.Hint()
	if e.Snapshot && e.Step != "backup" {
		h = strings.TrimSuffix("the snapshot itself is complete; "+h, "; ")
	}
	return h
}

// Run runs a job. Result is never nil. The error is Result.Err: a *[GateError], a *[StepError], a *[HeldError], a *[restic.VersionError], one of reading
// the files of the job, or one of writing down what came of it.
func Run(ctx context.Context, j restic.Job, o Options) (*Result, error) {
	r := &Result{Job: j.Name, Outcome: Refused, Steps: []Step{}, Started: o.Now(), Root: j.Root()}
	if err := j.Validate(); err != nil {
		r.Err, r.Ended = err, o.Now()
		return r, err
	}
	release, err := lock(o.LockDir, j.Name)
	if err != nil {
		// The other run writes down what becomes of it: this one must not write over that.
		if rec, rerr := readRecord(o.StateDir, j.Name); rerr == nil {
			r.LastGood = rec.LastGood
		}
		r.Err, r.Ended = err, o.Now()
		return r, err
	}
	defer release()
	rec, err := readRecord(o.StateDir, j.Name)
	if err == nil {
		r.LastGood, r.after, r.before, r.lost = rec.LastGood, rec.After, rec.LastRun, rec.Lost
		// A run that is killed cannot write down that it was. Where this cannot be written, neither can the end, which says so.
		_ = r.save(j, o, r.before, r.after, &r.Started)
		err = r.run(ctx, j, o)
	}
	if r.Outcome == Refused && ctx.Err() != nil {
		r.Outcome = restic.Interrupted
	}
	r.Ended = o.Now()
	r.Err = err
	if werr := r.write(j, o); werr != nil {
		// What nobody can learn of is no success.
		if r.Outcome == restic.Complete {
			r.Outcome = restic.Failed
		}
		r.Err = errors.Join(r.Err, werr)
	}
	return r, r.Err
}

// place is the repository of a job, which holds no secret: one that does is in a file.
func place(j restic.Job) string { return cmp.Or(j.Repository, j.RepositoryFile) }

// settle makes the snapshot the last good one, and writes that down before anything is forgotten: killed then, the next run would look for one that
// is gone. The repository must have the snapshot of the last good run still: where it has not, it may be another one, or have lost its
// folder of snapshots, which restic takes for one that has none, and a prune would remove all data that nothing refers to any longer.
func (r *Result) settle(ctx context.Context, c *caller, j restic.Job, o Options) error {
	good := &Good{Time: r.Started, Snapshot: r.Snapshot, Files: r.Files, Bytes: r.Bytes, Root: r.Root, Host: j.Host, Paths: j.Paths, Repository: place(j), Unchanged: r.Unchanged}
	if r.lost == nil && r.LastGood != nil && r.LastGood.Snapshot != "" {
		r.lost = r.LastGood
	}
	if o.AcceptSize || r.lost != nil && r.lost.Repository != "" && r.lost.Repository != good.Repository {
		r.lost = nil
	}
	var list []restic.Snapshot
	if r.lost != nil || r.Unchanged {
		var err error
		if list, err = r.list(ctx, c, j); err != nil {
			if r.Unchanged {
				return err
			}
			// That there is this one restic said. Of the one before the next run learns.
			r.LastGood = good
			return errors.Join(err, r.save(j, o, r.before, r.after, &r.Started))
		}
	}
	for _, s := range list {
		if r.Unchanged && j.Owns(s) {
			good.Snapshot = s.ID // the newest, with which restic compared
		}
		if r.lost != nil && s.Is(r.lost.Snapshot) {
			r.lost = nil
		}
	}
	if good.Snapshot == "" {
		for i := range r.Steps {
			if r.Steps[i].Name == "backup" {
				r.Steps[i].Outcome = restic.Failed
			}
		}
		return &StepError{Step: "backup", Outcome: restic.Failed, Said: "restic says that nothing changed, and the repository has no snapshot of the job"}
	}
	r.LastGood = good
	if err := r.save(j, o, r.before, r.after, &r.Started); err != nil {
		return err
	}
	if r.lost != nil {
		return &GateError{Reason: fmt.Sprintf("the repository does not have snapshot %s of the good run of %s: nothing is forgotten or pruned", r.lost.Snapshot[:min(8, len(r.lost.Snapshot))],
			r.lost.Time.UTC().Format("2006-01-02 15:04")),
			hint: "see whether this is the repository that it was, and who removed it; where that is meant, run once with --accept-size"}
	}
	return nil
}

// list are the snapshots that have the tag of the job, the oldest first.
func (r *Result) list(ctx context.Context, c *caller, j restic.Job) ([]restic.Snapshot, error) {
	s, text := c.start(ctx, "snapshots", j.ListArgs(), nil)
	if s.Outcome != restic.Complete {
		r.Outcome = s.Outcome
		return nil, stepResult{s}.err(true)
	}
	return restic.ParseSnapshots(text)
}

func (r *Result) run(ctx context.Context, j restic.Job, o Options) (err error) {
	q := &quiet{job: j, o: o, file: filepath.Join(o.StateDir, j.Name+".units.json")}
	// What a killed run left stopped starts first, whatever becomes of this one.
	if err := q.leftovers(ctx, 0); err != nil {
		var broken *startError
		if !errors.As(err, &broken) {
			return err
		}
		// A service that is broken is no reason to have no backup of it. It is said, and tried again.
		defer func() {
			if q.stopped && !errors.As(err, &broken) {
				r.spoil()
				err = errors.Join(err, broken)
			}
		}()
	}
	c, err := newCaller(ctx, j, o)
	if err != nil {
		return err
	}
	read, err := dumping(ctx, j, o)
	if err != nil {
		return err
	}
	defer read()
	if j.PostHook != "" {
		defer func() {
			s := c.shell(context.WithoutCancel(ctx), "postHook", j.PostHook, "STATEWARD_OUTCOME="+string(r.Outcome))
			r.Steps = append(r.Steps, s)
			if s.Outcome != restic.Complete {
				r.spoil()
				err = errors.Join(err, &HookError{Step: s})
			}
		}()
	}
	if j.PreHook != "" {
		if err := r.hook(ctx, c, "preHook", j.PreHook); err != nil {
			return err
		}
	}
	if len(j.StopUnits) > 0 {
		defer func() {
			if serr := r.startUnits(ctx, q); serr != nil {
				r.spoil()
				err = errors.Join(err, serr)
			}
		}()
		if err := r.stopUnits(ctx, q); err != nil {
			return err
		}
	}
	if j.Dump != nil {
		if err := r.dump(ctx, c); err != nil {
			return err
		}
	}
	at := func(p string) string { return p }
	if len(j.Source) > 0 {
		source, err := mountSnapshot(ctx, j, o)
		if err != nil {
			return err
		}
		// Whatever happens; and what cannot be cleaned up is said.
		defer func() {
			if cerr := source.close(context.WithoutCancel(ctx)); cerr != nil {
				r.spoil()
				err = errors.Join(err, cerr)
			}
		}()
		at = j.Stored
		read()
		// The snapshot has what is to be backed up: nothing needs to stand still any longer.
		if err := q.still(ctx); err != nil {
			return err
		}
		if err := r.startUnits(ctx, q); err != nil {
			return err
		}
	}
	if err := gate(j, at, r.LastGood, o.AcceptSize); err != nil {
		return err
	}
	return r.steps(ctx, c, q, j, o, read)
}

// spoil makes a run that would be complete one that failed.
func (r *Result) spoil() {
	if r.Outcome == restic.Complete {
		r.Outcome = restic.Failed
	}
}

func (r *Result) steps(ctx context.Context, c *caller, q *quiet, j restic.Job, o Options, read func()) error {
	s := r.do(ctx, c, "backup", j.BackupArgs())
	read()
	step := &r.Steps[len(r.Steps)-1]
	if r.Outcome = s.Outcome; s.Outcome != restic.Complete {
		// Nothing is forgotten for a snapshot that lacks something, or that there is not (R8).
		return s.err(false)
	}
	if c.summary == nil {
		step.Outcome, r.Outcome = restic.Failed, restic.Failed
		return &StepError{Step: "backup", Outcome: restic.Failed, Said: "restic ended well, and did not say what it backed up"}
	}
	r.Snapshot, r.Files, r.Bytes, r.Added = c.summary.Snapshot, c.summary.Files, c.summary.Bytes, c.summary.Added
	switch {
	case r.Snapshot == "" && !j.SkipIfUnchanged:
		step.Outcome, r.Outcome = restic.Failed, restic.Failed
		return &StepError{Step: "backup", Outcome: restic.Failed, Said: "restic ended well, and made no snapshot"}
	case r.Snapshot == "":
		r.Unchanged = true
	}
	if err := tooSmall(j, r, o.AcceptSize); err != nil {
		step.Outcome, r.Outcome = Shrunken, Shrunken
		return err
	}
	// R9: what was read while a unit wrote is not what was asked for.
	if err := q.still(ctx); err != nil {
		step.Outcome, r.Outcome = restic.Failed, restic.Failed
		return err
	}
	started := r.startUnits(ctx, q)
	if err := errors.Join(started, r.settle(ctx, c, j, o)); err != nil {
		r.spoil()
		return err
	}
	type command struct {
		name string
		args []string
	}
	var rest []command
	if args := j.ForgetArgs(false); args != nil {
		rest = append(rest, command{"forget", args})
	}
	if j.Prune {
		rest = append(rest, command{"prune", j.PruneArgs()})
	}
	if j.CheckSubset != "" {
		rest = append(rest, command{"check", j.CheckArgs()})
	}
	for _, next := range rest {
		if s := r.do(ctx, c, next.name, next.args); s.Outcome != restic.Complete {
			r.Outcome = s.Outcome
			return s.err(true)
		}
	}
	return nil
}

type stepResult struct{ Step }

func (s stepResult) err(snapshot bool) error {
	e := &StepError{Step: s.Name, Outcome: s.Outcome, Code: s.ExitCode, Snapshot: snapshot}
	if n := len(s.Said); n > 0 {
		e.Said = s.Said[n-1]
		if s.Outcome == restic.Incomplete || s.Outcome == restic.Crashed {
			e.Said = s.Said[0] // the first of the files, where the last is but a summary, or of a trace
		}
		if s.Outcome == restic.Interrupted {
			// What it was trying is worth more than that it was interrupted.
			for _, line := range s.Said {
				if strings.Contains(line, " returned error, retrying after ") {
					e.Said = line
				}
			}
		}
	}
	return e
}

// do runs one step.
func (r *Result) do(ctx context.Context, c *caller, name string, args []string) stepResult {
	if c.o.Began != nil {
		c.o.Began(name)
	}
	began := c.o.Now()
	s := c.unlocked(ctx, args, func(args []string) Step { return c.call(ctx, name, args) })
	s.Seconds = c.o.Now().Sub(began).Seconds()
	r.Steps = append(r.Steps, s)
	return stepResult{s}
}

// unlocked has a command called. Where the repository is locked, stale locks are removed, and those only, before any is waited for: nobody gives back
// that of a process that was killed. One may become stale in the meantime, so that is done once more after it (R6).
func (c *caller) unlocked(ctx context.Context, args []string, call func(args []string) Step) Step {
	locked := func(s Step) bool { return s.Outcome == restic.Locked && ctx.Err() == nil }
	now := restic.WithoutWaiting(args)
	s := call(now)
	if !locked(s) {
		return s
	}
	c.call(ctx, "unlock", c.job.UnlockArgs())
	if s = call(args); !locked(s) {
		return s
	}
	if u := c.call(ctx, "unlock", c.job.UnlockArgs()); u.Outcome == restic.Complete {
		s = call(now)
	}
	return s
}

// Init makes the repository of a job. It is never part of a run (R3).
func Init(ctx context.Context, j restic.Job, o Options) (Step, error) {
	if err := j.Validate(); err != nil {
		return Step{}, err
	}
	c, err := newCaller(ctx, j, o)
	if err != nil {
		return Step{}, err
	}
	s := c.call(ctx, "init", j.InitArgs())
	if s.Outcome != restic.Complete {
		return s, stepResult{s}.err(false)
	}
	return s, nil
}

// caller runs restic for a job.
type caller struct {
	job     restic.Job
	o       Options
	env     []string
	secrets *strings.Replacer
	summary *summary
	version restic.Version
}

type summary struct {
	Files    int64  `json:"total_files_processed"`
	Bytes    int64  `json:"total_bytes_processed"`
	Added    int64  `json:"data_added_packed"`
	Snapshot string `json:"snapshot_id"`
}

func newCaller(ctx context.Context, j restic.Job, o Options) (*caller, error) {
	c := &caller{job: j, o: o}
	var err error
	if c.env, c.secrets, err = environment(j, o.Env); err != nil {
		return nil, err
	}
	version, err := run.Run(ctx, run.Cmd{Path: o.Restic, Args: []string{"version"}, Env: o.Env, Grace: time.Second})
	if err != nil {
		return nil, err
	}
	c.version, err = restic.ParseVersion(string(version.Stdout))
	return c, err
}

// maxSaid is how many lines of what restic says are kept: the first, and the last ones.
const maxSaid = 20

func (c *caller) call(ctx context.Context, name string, args []string) Step {
	s, _ := c.start(ctx, name, args, func(line []byte) { c.stdout(name, line) })
	return s
}

// start runs restic. What it prints is given to each, line by line; where that is nil it is returned.
func (c *caller) start(ctx context.Context, name string, args []string, each func(line []byte)) (s Step, printed []byte) {
	s.Name = name
	began := c.o.Now()
	said := func(text string) {
		text = c.secrets.Replace(text)
		if c.o.Said != nil {
			c.o.Said(text)
		}
		if s.Said = append(s.Said, text); len(s.Said) > maxSaid {
			s.Said = append(s.Said[:1], s.Said[2:]...) // the first says what happened, the last how it ended
		}
	}
	res, err := run.Run(ctx, run.Cmd{
		Path: c.o.Restic, Args: args, Env: c.env, Dir: "/", Grace: grace,
		OnStdoutLine: each,
		OnStderrLine: func(line []byte) {
			if text := message(line); text != "" {
				said(text)
			}
		},
	})
	s.ExitCode, s.Seconds = res.ExitCode, c.o.Now().Sub(began).Seconds()
	s.Outcome = restic.OutcomeOf(res.ExitCode)
	var exit *run.ExitError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		if s.Outcome != restic.Killed {
			s.Outcome = restic.Interrupted
		}
	case errors.As(err, &exit):
		if s.Outcome == restic.Killed {
			said(err.Error())
		}
		// Whether there is a repository it did not come to know: that has an exit status of its own.
		if s.Outcome == restic.Failed && slices.ContainsFunc(s.Said, func(line string) bool { return strings.Contains(line, "unable to open config file") }) {
			s.Outcome = restic.Unreachable
		}
	default:
		// It did not start, or its end was not seen.
		s.Outcome = restic.Failed
		said(err.Error())
	}
	return s, res.Stdout
}

// stdout reads a line of the JSON that restic writes.
func (c *caller) stdout(name string, line []byte) {
	if name != "backup" {
		return
	}
	var m struct {
		Type string `json:"message_type"`
		summary
		Percent     float64 `json:"percent_done"`
		FilesDone   int64   `json:"files_done"`
		BytesDone   int64   `json:"bytes_done"`
		TotalFiles  int64   `json:"total_files"`
		TotalBytes  int64   `json:"total_bytes"`
		SecondsLeft int64   `json:"seconds_remaining"`
	}
	if json.Unmarshal(line, &m) != nil {
		return
	}
	switch {
	case m.Type == "summary":
		c.summary = &m.summary
	case m.Type == "status" && c.o.Progress != nil:
		c.o.Progress(Progress{m.Percent * 100, m.FilesDone, m.BytesDone, m.TotalFiles, m.TotalBytes, m.SecondsLeft})
	}
}

// message is what a line of standard error says to people: restic writes JSON there, or text.
func message(line []byte) string {
	text := strings.TrimSpace(strings.ReplaceAll(string(line), "\x1b[2K", "")) // it clears the line before it says that it was interrupted
	var m struct {
		Type    string `json:"message_type"`
		Message string `json:"message"`
		Item    string `json:"item"`
		Error   struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if !strings.HasPrefix(text, "{") || json.Unmarshal(line, &m) != nil {
		return text
	}
	out := m.Message
	if m.Error.Message != "" {
		out = m.Error.Message
	}
	if m.Item != "" && !strings.Contains(out, m.Item) {
		out = m.Item + ": " + out
	}
	if out == "" {
		return text
	}
	return strings.TrimSpace(out)
}

// environment is what restic is given, and a replacer of all that is secret in it.
func environment(j restic.Job, base []string) (env []string, secrets *strings.Replacer, err error) {
	env = append(env, base...)
	// A line every five seconds.
	env = append(env, "RESTIC_PROGRESS_FPS=0.2")
	var hidden []string
	hide := func(s string) {
		if len(s) >= 4 {
			hidden = append(hidden, s, "***")
		}
	}
	if j.PasswordFile != "" {
		text, err := readSmall(j.PasswordFile)
		if err != nil {
			return nil, nil, fmt.Errorf("passwordFile: %w", err)
		}
		if strings.TrimSpace(text) == "" {
			return nil, nil, &GateError{j.PasswordFile, "holds no password", ""}
		}
		hide(strings.TrimSpace(text))
	}
	if j.RepositoryFile != "" {
		text, err := readSmall(j.RepositoryFile)
		if err != nil {
			return nil, nil, fmt.Errorf("repositoryFile: %w", err)
		}
		text = strings.TrimSpace(text)
		repo, err := restic.ParseRepository(text)
		if err != nil {
			return nil, nil, &GateError{j.RepositoryFile, err.Error(), ""}
		}
		if repo.HasSecret() {
			hide(text)
			hide(repo.Password())
		}
	}
	if j.EnvironmentFile != "" {
		text, err := readSmall(j.EnvironmentFile)
		if err != nil {
			return nil, nil, fmt.Errorf("environmentFile: %w", err)
		}
		more, err := parseEnvironment(text)
		if err != nil {
			return nil, nil, fmt.Errorf("%s: %w", j.EnvironmentFile, err)
		}
		for _, e := range more {
			_, value, _ := strings.Cut(e, "=")
			hide(value)
		}
		env = append(env, more...)
	}
	return env, strings.NewReplacer(longestFirst(hidden)...), nil
}

// maxSecret is far more than a password or an environment takes.
const maxSecret = 1 << 20

func readSmall(name string) (string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecret {
		return "", &GateError{name, "is no file of a text", ""}
	}
	text, err := os.ReadFile(name)
	return string(text), err
}

// longestFirst orders pairs so that a text is hidden whole where a part of it is secret too.
func longestFirst(pairs []string) []string {
	for i := 2; i < len(pairs); i += 2 {
		for k := i; k > 0 && len(pairs[k]) > len(pairs[k-2]); k -= 2 {
			pairs[k], pairs[k-2] = pairs[k-2], pairs[k]
		}
	}
	return pairs
}

// EnvironmentError says which line of an environment file cannot be read. It does not say what is in it.
type EnvironmentError struct {
	Line   int
	Reason string
}

func (e *EnvironmentError) Error() string { return fmt.Sprintf("line %d %s", e.Line, e.Reason) }

// Hint says what to write.
func (e *EnvironmentError) Hint() string { return `write NAME=value or NAME="value", a line each` }

// parseEnvironment reads what EnvironmentFile= of systemd reads, but for values over several lines, and quotes in the middle of a value: these are errors.
func parseEnvironment(text string) (env []string, err error) {
	n := 0
	for line := range strings.Lines(text) {
		n++
		fail := func(reason string) ([]string, error) { return nil, &EnvironmentError{n, reason} }
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == ';' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" || name[0] <= '9' {
			return fail("is no NAME=value")
		}
		switch {
		case strings.ContainsRune(value, 0):
			return fail("has a NUL byte")
		case strings.HasPrefix(value, "'"):
			inner, after, closed := strings.Cut(value[1:], "'")
			if !closed || after != "" {
				return fail("has a quote that does not end where the line does")
			}
			value = inner
		case strings.HasPrefix(value, `"`):
			var b strings.Builder
			i, closed := 1, false
			for ; i < len(value) && !closed; i++ {
				switch c := value[i]; {
				case c == '"':
					closed = true
				case c == '\\' && i+1 < len(value) && strings.IndexByte("\"\\`$", value[i+1]) >= 0:
					i++
					b.WriteByte(value[i])
				default:
					b.WriteByte(c)
				}
			}
			if !closed || i != len(value) {
				return fail("has a quote that does not end where the line does")
			}
			value = b.String()
		case strings.ContainsAny(value, "\"'\\"):
			return fail("has a quote or a backslash in a value that is not quoted")
		}
		env = append(env, name+"="+value)
	}
	return env, nil
}

// MakePrivate makes a folder that only we can read, with those above it. One called "stateward" others enter as well, as where systemd makes it for
// StateDirectory=stateward/backup: units of other users keep their state beside.
func MakePrivate(dir string) error {
	for at := filepath.Dir(dir); at != filepath.Dir(at); at = filepath.Dir(at) {
		if filepath.Base(at) == "stateward" {
			if err := os.MkdirAll(at, 0o755); err != nil {
				return err
			}
			break
		}
	}
	return os.MkdirAll(dir, 0o700)
}

// dirOf makes the folder of a file.
func dirOf(name string) error { return MakePrivate(filepath.Dir(name)) }
