//go:build unix

package pitr

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/exec/backup"
)

// JournalSocket is where journald takes messages with fields.
const JournalSocket = "/run/systemd/journal/socket"

// MessageID is that of what the journal is told of each run.
const MessageID = "0f6d6ab24b1c4e1c9d0b7a3f2c8e5d17"

// Jobs of an archived cluster.
const (
	JobBackup = "backup"
	JobRetain = "retain"
	JobCheck  = "check"
)

// Jobs are their names.
func Jobs() []string { return []string{JobBackup, JobRetain, JobCheck} }

// Outcome is how a run ended.
type Outcome string

// The outcomes of a run.
const (
	// Complete: it did what it should, and that was seen afterwards. A check found nothing.
	Complete Outcome = "complete"
	// Refused: nothing was begun, since it would have done harm or come to nothing.
	Refused Outcome = "refused"
	// Failed: it was begun, and did not come to its end, or what it left is not what it should be.
	Failed Outcome = "failed"
	// Faults: a check found something.
	Faults Outcome = "faults"
)

// Outcomes are all of them.
func Outcomes() []Outcome { return []Outcome{Complete, Refused, Failed, Faults} }

// Run is what came of one run of a job.
type Run struct {
	Job         string    `json:"job"`
	Name        string    `json:"name"`
	Destination string    `json:"destination"`
	Server      string    `json:"server"`
	Started     time.Time `json:"started"`
	Ended       time.Time `json:"ended"`
	Outcome     Outcome   `json:"outcome"`
	Message     string    `json:"message,omitempty"`
	Hint        string    `json:"hint,omitempty"`
	// Backup is the base backup that was made.
	Backup *pitr.BaseBackup `json:"backup,omitempty"`
	// Retention is what goes, or would go; Removed are the base backups that went, Segments is how many segments did.
	Retention *pitr.Retention `json:"retention,omitempty"`
	Removed   []string        `json:"removed,omitempty"`
	Segments  int             `json:"segments,omitempty"`
	// Check is what a check saw.
	Check *pitr.Check `json:"check,omitempty"`
	Notes []string    `json:"notes,omitempty"`
}

// Record is what is known of the runs of a job.
type Record struct {
	ProtocolVersion string `json:"protocolVersion"`
	Name            string `json:"name"`
	Job             string `json:"job"`
	LastRun         *Run   `json:"lastRun,omitempty"`
	// LastComplete is when the newest complete run began.
	LastComplete *time.Time `json:"lastComplete,omitempty"`
	// Running is when a run began that has not ended; one that was killed stays here until the next.
	Running *time.Time `json:"running,omitempty"`
	// Killed tells that nobody is at work any more on the one of Running. No file has it: [Status] looks.
	Killed bool `json:"killed,omitempty"`
}

const recordVersion = "1"

// Name is what records, metrics and units call a policy.
func Name(p pitr.Policy) string { return cmp.Or(p.Cluster.Name, p.Server) }

func recordFile(dir, name, job string) string { return filepath.Join(dir, name+"."+job+".json") }

// ReadRecord reads the record of a job; nil where it never ran. One that cannot be used is a *[backup.RecordError].
func ReadRecord(dir, name, job string) (*Record, error) {
	file := recordFile(dir, name, job)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r Record
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, &backup.RecordError{File: file, Err: err}
	}
	if r.ProtocolVersion != recordVersion || r.Name != name || r.Job != job {
		return nil, &backup.RecordError{File: file, Err: fmt.Errorf("it is of job %q of %q, version %q", r.Job, r.Name, r.ProtocolVersion)}
	}
	return &r, nil
}

// stateDir is the folder of the records of one cluster: another may have another user, and systemd gives a folder to one.
func stateDir(p pitr.Policy, o Options) (string, error) {
	name := Name(p)
	if name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return "", &pitr.PolicyError{Field: "cluster.name", Reason: fmt.Sprintf("%q is no name", name), Advice: "write a name without a slash that begins with no dot"}
	}
	return filepath.Join(cmp.Or(o.StateDir, pitr.StateDir), name), nil
}

// work runs a job: one of a cluster at a time, and with its record. do fills the run; what it returns is in its message. The record is that of
// the last run where the lock is held by another.
func work(p pitr.Policy, o Options, job string, do func(run *Run) error) (*Run, error) {
	name := Name(p)
	dir, err := stateDir(p, o)
	if err != nil {
		return nil, err
	}
	run := &Run{Job: job, Name: name, Destination: p.Destination, Server: p.Server, Started: o.Now().UTC()}
	// Whose account is not here has no units here.
	own := &runner{p: p}
	_ = own.drop()
	if err := own.makeState(dir); err != nil {
		return run, err
	}
	if job != JobCheck {
		// A base backup that is made while others are removed may find its own log gone.
		release, err := own.lock(dir, name+".lock")
		if err != nil {
			return run, err
		}
		defer release()
	}
	write := func(r Record) error {
		text, err := json.MarshalIndent(r, "", "  ")
		if err != nil {
			return err
		}
		return own.within(dir, func(at *place) error { return at.write(filepath.Base(recordFile(dir, name, job)), append(text, '\n')) })
	}
	old, err := ReadRecord(dir, name, job)
	if err != nil {
		return run, err
	}
	rec := Record{ProtocolVersion: recordVersion, Name: name, Job: job}
	if old != nil {
		rec = *old
		if rec.Running != nil && job != JobCheck {
			run.Notes = append(run.Notes, fmt.Sprintf("the run that began %s did not come to its end", rec.Running.UTC().Format(time.RFC3339)))
			if o.Began != nil {
				o.Began(run.Notes[0])
			}
		}
	}
	rec.Running = &run.Started
	if err := write(rec); err != nil {
		return run, err
	}
	err = do(run)
	run.Ended = o.Now().UTC()
	if err != nil {
		run.Message = err.Error()
		if h, ok := findHint(err); ok {
			run.Hint = h
		}
		if run.Outcome == "" || run.Outcome == Complete {
			run.Outcome = Failed
		}
	}
	if run.Check != nil && len(run.Check.Faults) > 0 && run.Hint == "" {
		run.Hint = run.Check.Faults[0].Hint
	}
	rec.LastRun, rec.Running = run, nil
	if run.Outcome == Complete {
		rec.LastComplete = &run.Started
	}
	errs := []error{write(rec)}
	if p.MetricsDir != "" {
		file := "stateward_pitr_" + name + "_" + job + ".prom"
		errs = append(errs, own.writeMetrics(p.MetricsDir, file, rec.metrics()))
	}
	if e := tell(cmp.Or(o.Journal, JournalSocket), run.fields()); e != nil {
		run.Notes = append(run.Notes, e.Error())
	}
	return run, errors.Join(append([]error{err}, errs...)...)
}

// makeState makes the folder of records. What root writes there is the user's of the cluster, as whom the units run; above it others have theirs.
func (r *runner) makeState(dir string) error {
	above, err := r.openPlace(filepath.Dir(dir), 0o755)
	if err != nil {
		return err
	}
	defer above.Close()
	switch err := above.Mkdir(filepath.Base(dir), 0o700); {
	case err == nil:
		return above.give(filepath.Base(dir))
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	return nil
}

// lock keeps other jobs of the cluster out until release.
func (r *runner) lock(dir, name string) (release func(), err error) {
	err = r.within(dir, func(at *place) error {
		f, err := at.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		if r.as != nil {
			if err := f.Chown(int(r.as.UID), int(r.as.GID)); err != nil {
				return errors.Join(err, f.Close())
			}
		}
		release, err = backup.LockFile(f)
		return err
	})
	return release, err
}

// writeMetrics writes a file that node_exporter reads, in a folder in which the user of the cluster writes them too. The error is a *[backup.MetricsError].
func (r *runner) writeMetrics(dir, name, text string) error {
	err := r.within(dir, func(at *place) error { return at.replace(name, []byte(text), 0o644) })
	if err == nil {
		return nil
	}
	// Which file is made beside it first helps nobody.
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		err = at.Err
	}
	if at := (*LinkError)(nil); errors.As(err, &at) {
		err = at
	}
	return &backup.MetricsError{Dir: dir, Err: err}
}

func findHint(err error) (string, bool) {
	var h interface{ Hint() string }
	if errors.As(err, &h) && h.Hint() != "" {
		return h.Hint(), true
	}
	return "", false
}

// Headline says in one line what came of a run.
func (r *Run) Headline() string {
	switch {
	case r.Message != "":
		return r.Message
	case r.Backup != nil:
		return "base backup " + r.Backup.ID + " is done, and its log is archived"
	case r.Job == JobRetain:
		return fmt.Sprintf("%s and %s went", count(len(r.Removed), "base backup"), count(r.Segments, "segment"))
	case r.Check != nil && len(r.Check.Faults) > 0:
		return r.Check.Faults[0].Message
	case r.Check != nil:
		return "nothing is wrong"
	}
	return string(r.Outcome)
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func (r Record) metrics() string {
	var b strings.Builder
	metric := func(what, help string, value float64, more string) {
		if help != "" {
			fmt.Fprintf(&b, "# HELP stateward_pitr_%s_%s %s\n# TYPE stateward_pitr_%s_%s gauge\n", r.Job, what, help, r.Job, what)
		}
		fmt.Fprintf(&b, "stateward_pitr_%s_%s{name=%q%s} %s\n", r.Job, what, r.Name, more, strconv.FormatFloat(value, 'f', -1, 64))
	}
	run := r.LastRun
	help := "How the newest run ended: 1 for the outcome it had, 0 for all others."
	for _, o := range Outcomes() {
		value := 0.0
		if o == run.Outcome {
			value = 1
		}
		metric("outcome", help, value, fmt.Sprintf(",outcome=%q", string(o)))
		help = ""
	}
	metric("last_run_timestamp_seconds", "When the newest run ended.", float64(run.Ended.Unix()), "")
	metric("last_run_seconds", "How long the newest run took.", run.Ended.Sub(run.Started).Seconds(), "")
	if r.LastComplete != nil {
		metric("last_complete_timestamp_seconds", "When the newest complete run began.", float64(r.LastComplete.Unix()), "")
	}
	if c := run.Check; c != nil {
		metric("faults", "How many faults the newest check found.", float64(len(c.Faults)), "")
		metric("base_backups", "How many base backups the server can be recovered from.", float64(c.Usable), "")
		if !c.To.IsZero() {
			metric("window_begin_timestamp_seconds", "From when on any moment can be recovered.", float64(c.From.Unix()), "")
			metric("window_end_timestamp_seconds", "The newest moment that can be recovered.", float64(c.To.Unix()), "")
		}
		if !c.NewestAt.IsZero() {
			metric("base_backup_timestamp_seconds", "When the newest base backup ended that can be recovered from.", float64(c.NewestAt.Unix()), "")
		}
		if c.Live != nil && c.Live.WaitingKnown {
			waiting := 0.0
			if !c.Live.Waiting.IsZero() {
				waiting = run.Ended.Sub(c.Live.Waiting).Seconds()
			}
			metric("unarchived_seconds", "How old the oldest commit is that is not archived; 0 where all are.", waiting, "")
		}
	}
	if run.Job == JobRetain && run.Outcome == Complete {
		metric("removed_base_backups", "How many base backups the newest run removed.", float64(len(run.Removed)), "")
	}
	return b.String()
}

func (r *Run) fields() [][2]string {
	priority := "6"
	if r.Outcome != Complete {
		priority = "3"
	}
	message := "pitr " + r.Job + " of " + r.Name + ": " + string(r.Outcome) + ": " + r.Headline()
	if r.Hint != "" {
		message += " (hint: " + r.Hint + ")"
	}
	out := [][2]string{{"MESSAGE", message}, {"MESSAGE_ID", MessageID}, {"PRIORITY", priority}, {"SYSLOG_IDENTIFIER", "stateward"}, {"STATEWARD_JOB", r.Job}, {"STATEWARD_CLUSTER", r.Name},
		{"STATEWARD_SERVER", r.Server}, {"STATEWARD_OUTCOME", string(r.Outcome)}, {"STATEWARD_SECONDS", strconv.FormatFloat(r.Ended.Sub(r.Started).Seconds(), 'f', -1, 64)}}
	if r.Backup != nil {
		out = append(out, [2]string{"STATEWARD_BACKUP", r.Backup.ID})
	}
	return out
}

// tell tells the journal, where there is one.
func tell(socket string, fields [][2]string) error {
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the journal is not told: %w", err)
	}
	defer c.Close()
	var b bytes.Buffer
	for _, f := range fields {
		fmt.Fprintf(&b, "%s=%s\n", f[0], strings.ReplaceAll(f[1], "\n", " "))
	}
	if err := c.SetWriteDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write(b.Bytes()); err != nil {
		return fmt.Errorf("the journal is not told: %w", err)
	}
	return nil
}
