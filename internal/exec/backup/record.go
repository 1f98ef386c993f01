//go:build unix

package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/stateward/stateward/backup/restic"
)

// Record is what is known of the runs of a job.
type Record struct {
	ProtocolVersion string `json:"protocolVersion"`
	Job             string `json:"job"`
	LastRun         *Last  `json:"lastRun,omitempty"`
	LastGood        *Good  `json:"lastGood,omitempty"`
	// After is what became of the steps after the backup (forget, prune, check), by their names, in the newest run that came to each.
	After map[string]After `json:"after,omitempty"`
	// Running is when a run began that has not ended; nil where the newest did. One that was killed stays here until the next.
	Running *time.Time `json:"running,omitempty"`
	// Lost is a run whose snapshot was good, and which the repository was not seen to have since: nothing is forgotten then.
	Lost *Good `json:"lost,omitempty"`
}

// After is a step that follows the backup: one that fails for ever leaves every backup good (R6).
type After struct {
	// LastComplete is when it was complete; nil where it never was.
	LastComplete *time.Time `json:"lastComplete,omitempty"`
	// FailingSince is the first of the runs in which it failed since; nil where it does not.
	FailingSince *time.Time `json:"failingSince,omitempty"`
	// Outcome is that of the newest of them.
	Outcome restic.Outcome `json:"outcome"`
}

// followed brings what is known of the steps after the backup up to this run.
func (r *Result) followed() map[string]After {
	out := map[string]After{}
	later := func(name string) bool { return name == "forget" || name == "prune" || name == "check" }
	for name, a := range r.after {
		if later(name) {
			out[name] = a
		}
	}
	for _, s := range r.Steps {
		if !later(s.Name) {
			continue // of which the run itself says enough
		}
		a := out[s.Name]
		switch a.Outcome = s.Outcome; {
		case s.Outcome == restic.Complete:
			a.LastComplete, a.FailingSince = &r.Started, nil
		case a.FailingSince == nil:
			a.FailingSince = &r.Started
		}
		out[s.Name] = a
	}
	return out
}

// Last is the newest run.
type Last struct {
	Started time.Time      `json:"started"`
	Ended   time.Time      `json:"ended"`
	Outcome restic.Outcome `json:"outcome"`
	Message string         `json:"message,omitempty"`
}

// Good is a run whose snapshot is complete.
type Good struct {
	// Time is when it began: nothing that was written later is in it for sure.
	Time     time.Time `json:"time"`
	Snapshot string    `json:"snapshot,omitempty"`
	Files    int64     `json:"files"`
	Bytes    int64     `json:"bytes"`
	// Root is the folder below which the paths lie in the snapshot (R2).
	Root  string   `json:"root,omitempty"`
	Host  string   `json:"host"`
	Paths []string `json:"paths"`
	// Repository is where the snapshot is, or the file that says it.
	Repository string `json:"repository,omitempty"`
	// Unchanged tells that Snapshot is older, since nothing changed after it.
	Unchanged bool `json:"unchanged,omitempty"`
}

// RecordError says that a record cannot be used.
type RecordError struct {
	File string
	Err  error
}

func (e *RecordError) Error() string { return fmt.Sprintf("%s: %v", e.File, e.Err) }
func (e *RecordError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *RecordError) Hint() string {
	return "it is written as a whole only, so something else changed it; move it away, and the next run is taken for the first"
}

// ReadRecord reads the record of a job; nil where it never ran.
func ReadRecord(stateDir, job string) (*Record, error) {
	name := recordFile(stateDir, job)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var rec Record
	if err := json.Unmarshal(text, &rec); err != nil {
		return nil, &RecordError{name, err}
	}
	if rec.ProtocolVersion != restic.FormatVersion || rec.Job != job {
		return nil, &RecordError{name, fmt.Errorf("it is of job %q, version %q", rec.Job, rec.ProtocolVersion)}
	}
	return &rec, nil
}

func readRecord(stateDir, job string) (Record, error) {
	rec, err := ReadRecord(stateDir, job)
	if rec == nil {
		rec = &Record{}
	}
	return *rec, err
}

func recordFile(stateDir, job string) string { return filepath.Join(stateDir, job+".json") }

// write writes record and metrics.
func (r *Result) write(j restic.Job, o Options) error {
	var bad *RecordError
	if errors.As(r.Err, &bad) {
		return r.writeMetrics(j) // what is there is left for whoever looks into it
	}
	last := &Last{Started: r.Started, Ended: r.Ended, Outcome: r.Outcome}
	if r.Err != nil {
		last.Message = r.Err.Error()
	}
	return errors.Join(r.save(j, o, last, r.followed(), nil), r.writeMetrics(j))
}

// save writes the record.
func (r *Result) save(j restic.Job, o Options, last *Last, after map[string]After, running *time.Time) error {
	text, err := json.MarshalIndent(Record{ProtocolVersion: restic.FormatVersion, Job: j.Name, LastRun: last, LastGood: r.LastGood, After: after, Running: running, Lost: r.lost}, "", "  ")
	if err != nil {
		return err
	}
	name := recordFile(o.StateDir, j.Name)
	if err := dirOf(name); err != nil {
		return err
	}
	return replace(name, append(text, '\n'), 0o600)
}

// replace writes a file as a whole or not at all: beside, to the disk, and then under its name.
func replace(name string, text []byte, mode fs.FileMode) error {
	dir := filepath.Dir(name)
	// node_exporter reads *.prom only, and a second run writes over what a killed one left.
	beside := filepath.Join(dir, "."+filepath.Base(name)+".new")
	if err := os.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(beside, name)
	}
	if err != nil {
		_ = os.Remove(beside)
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// MetricsError says that metrics were not written.
type MetricsError struct {
	Dir string
	Err error
}

func (e *MetricsError) Error() string { return fmt.Sprintf("metricsDir %s: %v", e.Dir, e.Err) }
func (e *MetricsError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *MetricsError) Hint() string {
	return "make the folder from which node_exporter reads, or leave metricsDir out"
}

// WriteMetrics writes a file that node_exporter reads, whole or not at all. The error is a *[MetricsError].
func WriteMetrics(dir, name, text string) error {
	err := replace(filepath.Join(dir, name), []byte(text), 0o644)
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err // that it is a file beside which is made first helps nobody
	}
	if err != nil {
		return &MetricsError{dir, err}
	}
	return nil
}

// writeMetrics writes what node_exporter reads.
func (r *Result) writeMetrics(j restic.Job) error {
	if j.MetricsDir == "" {
		return nil
	}
	return WriteMetrics(j.MetricsDir, "stateward_backup_"+j.Name+".prom", r.metrics())
}

func (r *Result) metrics() string {
	var b strings.Builder
	name := fmt.Sprintf("name=%q", r.Job) // a name needs no escape
	metric := func(what, help string, value float64, labels ...string) {
		if help != "" {
			fmt.Fprintf(&b, "# HELP stateward_backup_%s %s\n# TYPE stateward_backup_%s gauge\n", what, help, what)
		}
		fmt.Fprintf(&b, "stateward_backup_%s{%s} %s\n", what, strings.Join(append([]string{name}, labels...), ","), strconv.FormatFloat(value, 'f', -1, 64))
	}
	metric("last_run_timestamp_seconds", "When the newest run ended.", float64(r.Ended.Unix()))
	metric("last_run_seconds", "How long the newest run took.", r.Ended.Sub(r.Started).Seconds())
	help := "How the newest run ended: 1 for the outcome it had, 0 for all others."
	for _, o := range restic.Outcomes() {
		value := 0.0
		if o == r.Outcome {
			value = 1
		}
		metric("outcome", help, value, fmt.Sprintf("outcome=%q", string(o)))
		help = ""
	}
	if len(r.Steps) > 0 {
		help = "Whether a step of the newest run is complete."
		for _, s := range r.Steps {
			value := 0.0
			if s.Outcome == restic.Complete {
				value = 1
			}
			metric("step_complete", help, value, fmt.Sprintf("step=%q", s.Name))
			help = ""
		}
	}
	if g := r.LastGood; g != nil {
		metric("last_success_timestamp_seconds", "When the newest run began whose snapshot is complete.", float64(g.Time.Unix()))
		metric("files", "How many files that snapshot holds.", float64(g.Files))
		metric("bytes", "How many bytes that snapshot holds.", float64(g.Bytes))
	}
	metric("added_bytes", "How much the newest run added to the repository.", float64(r.Added))
	return b.String()
}

// HeldError says that another run of the job is at work.
type HeldError struct{ File string }

func (e *HeldError) Error() string { return "another run of the job is at work: it holds " + e.File }

// Hint says what to do.
func (e *HeldError) Hint() string { return "wait for it to end" }

// lock takes the lock of a job, which ends with the process, however that ends (E10).
func lock(dir, job string) (release func(), err error) {
	return lockFile(dir, "backup-"+job+".lock")
}

// atWork says whether a run of a job holds its lock. It makes none.
func atWork(dir, job string) (bool, error) {
	f, err := os.OpenFile(filepath.Join(dir, "backup-"+job+".lock"), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB); {
	case err == nil:
		return false, nil
	case errors.Is(err, unix.EWOULDBLOCK):
		return true, nil
	default:
		return false, err
	}
}

func lockFile(dir, file string) (release func(), err error) {
	if err := MakePrivate(dir); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, file)
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	return flock(f)
}

// flock locks a file that is open, and closes it where it cannot.
func flock(f *os.File) (release func(), err error) {
	name := f.Name()
	// A process that is just being started holds what its parent held, until it runs its own program.
	for patience := 20; ; patience-- {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { f.Close() }, nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK) && patience > 0:
			time.Sleep(25 * time.Millisecond)
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			f.Close()
			return nil, &HeldError{name}
		}
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
