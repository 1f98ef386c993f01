//go:build unix

package preseed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/stateward/stateward/internal/exec/backup"
	"github.com/stateward/stateward/preseed"
)

// Newest is the name of the copy of the newest record of a plan.
const Newest = "newest.json"

// Record says what came of a run, and from where.
type Record struct {
	ProtocolVersion string `json:"protocolVersion"`
	Plan            string `json:"plan"`
	Service         string `json:"service"`
	Dataset         string `json:"dataset"`
	// Units are those of the service.
	Units []string `json:"units,omitempty"`
	// GUID is that of the dataset that has the name now.
	GUID    string          `json:"guid,omitempty"`
	Outcome preseed.Outcome `json:"outcome,omitempty"`
	// Start tells whether the service may start.
	Start bool `json:"start"`
	// Source, Candidate and RecoveryPoint are those of what was restored.
	Source        preseed.SourceKind `json:"source,omitempty"`
	Candidate     string             `json:"candidate,omitempty"`
	RecoveryPoint *time.Time         `json:"recoveryPoint,omitempty"`
	// Files and Bytes are what was restored; 0 after a rollback, which nobody counts.
	Files   int64     `json:"files,omitempty"`
	Bytes   int64     `json:"bytes,omitempty"`
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended"`
	Seconds float64   `json:"seconds"`
	// Actions are those that changed something.
	Actions []string `json:"actions,omitempty"`
	// Kept is the empty dataset that was there before.
	Kept  string   `json:"kept,omitempty"`
	Why   string   `json:"why"`
	Hint  string   `json:"hint,omitempty"`
	Notes []string `json:"notes,omitempty"`
}

func (r Record) text() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return append(text, '\n'), err
}

func (r *runner) end(d preseed.Decision) {
	r.rec.Outcome, r.rec.Start, r.rec.Why, r.rec.Hint = d.Outcome, d.Start, r.redacted(d.Why), r.redacted(d.Hint)
	r.rec.Ended = r.o.Now()
	r.rec.Seconds = r.rec.Ended.Sub(r.rec.Started).Seconds()
	r.rec.Kept = r.kept
	if d.Outcome != preseed.Restored {
		return
	}
	r.rec.Source, r.rec.Candidate = d.Source, d.Candidate.Name
	at := d.Candidate.Time
	r.rec.RecoveryPoint = &at
	r.rec.Files, r.rec.Bytes = r.files, r.bytes
	if d.Source == preseed.Restic {
		r.rec.Notes = append(r.rec.Notes, "what restic restores has none of the dataset's snapshots: its next replication sends everything, to a new target (E11)")
	}
	if d.Source == preseed.PITR {
		r.rec.Notes = append(r.rec.Notes, "the cluster archives to a server name of its own now, by postgresql.auto.conf: write that into the configuration, and make a base backup (G4); the dataset has none of its snapshots, and its next replication sends everything, to a new target (E11)")
	}
	if r.kept != "" {
		r.rec.Notes = append(r.rec.Notes, "the empty dataset is kept as "+r.kept+", with the snapshots that are newer than what was restored: once the service is well, and nothing of it is needed, destroy it")
	}
}

// report writes record and metrics, and tells journal and people. The warnings are of what could not be, and keeps no service down that has its data:
// only that it started empty must be written down.
func (r *runner) report(ctx context.Context) (file string, warnings []string, err error) {
	ctx = context.WithoutCancel(ctx)
	file, err = r.write()
	if err != nil && (r.rec.Outcome == preseed.AlreadySeeded || r.rec.Outcome == preseed.Restored) {
		warnings, err = append(warnings, "the record is not written: "+err.Error()), nil
	}
	if dir := r.plan.MetricsDir; dir != "" {
		if err := backup.WriteMetrics(dir, "stateward_preseed_"+r.plan.Name+".prom", r.metrics()); err != nil {
			warnings = append(warnings, err.Error())
		}
	}
	return file, append(warnings, r.tell(ctx)...), err
}

// write writes the record, which is never written over, and a copy of it as the newest.
func (r *runner) write() (string, error) {
	text, err := r.rec.text()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(r.o.StateDir, r.plan.Name)
	if err := backup.MakePrivate(dir); err != nil {
		return "", err
	}
	name := ""
	// A boot that finds all well is none to keep for ever.
	if r.rec.Outcome != preseed.AlreadySeeded || len(r.rec.Actions) > 0 {
		name = filepath.Join(dir, r.rec.Started.UTC().Format("20060102T150405.000000Z")+".json")
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return "", errors.Join(err, fmt.Errorf("%s is there already", name))
		}
		if err := backup.Replace(name, text, 0o600); err != nil {
			return "", err
		}
	}
	return name, backup.Replace(filepath.Join(dir, Newest), text, 0o600)
}

func (r *runner) metrics() string {
	var b strings.Builder
	metric := func(what, help string, value float64, more string) {
		if help != "" {
			fmt.Fprintf(&b, "# HELP stateward_preseed_%s %s\n# TYPE stateward_preseed_%s gauge\n", what, help, what)
		}
		fmt.Fprintf(&b, "stateward_preseed_%s{name=%q%s} %s\n", what, r.plan.Name, more, strconv.FormatFloat(value, 'f', -1, 64))
	}
	help := "How the newest run ended: 1 for the outcome it had, 0 for all others."
	for _, o := range preseed.Outcomes() {
		value := 0.0
		if o == r.rec.Outcome {
			value = 1
		}
		metric("outcome", help, value, fmt.Sprintf(",outcome=%q", string(o)))
		help = ""
	}
	start := 0.0
	if r.rec.Start {
		start = 1
	}
	metric("start", "Whether the newest run let the service start.", start, "")
	metric("last_run_timestamp_seconds", "When the newest run ended.", float64(r.rec.Ended.Unix()), "")
	metric("last_run_seconds", "How long the newest run took.", r.rec.Seconds, "")
	if at := r.rec.RecoveryPoint; at != nil {
		metric("recovery_point_timestamp_seconds", "The time of what the newest run restored.", float64(at.Unix()), fmt.Sprintf(",source=%q", string(r.rec.Source)))
		metric("restored_bytes", "How much the newest run restored.", float64(r.rec.Bytes), "")
	}
	return b.String()
}

// Status is what is known of a plan.
type Status struct {
	Plan string `json:"plan"`
	// Newest is the newest record; nil where there is none.
	Newest *Record `json:"newest,omitempty"`
	// Restored is the newest record of a run that restored something.
	Restored *Record `json:"restored,omitempty"`
	// Unfinished is the journal of a run that did not come to its end.
	Unfinished *preseed.Journal `json:"unfinished,omitempty"`
	// Waiting is what a run waits for that has not ended: it began to wait at Started, and wrote this at Ended, at least every other minute.
	Waiting *Record `json:"waiting,omitempty"`
	// Left is what runs left in the pools, and nobody removed yet.
	Left []Left `json:"left,omitempty"`
}

// ReadStatus reads what runs of a plan wrote down.
func ReadStatus(stateDir, plan string) (Status, error) {
	out := Status{Plan: plan}
	read := func(name string, into any) (bool, error) {
		text, err := os.ReadFile(name)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err == nil {
			if err = json.Unmarshal(text, into); err != nil {
				err = fmt.Errorf("%s: %w", name, err)
			}
		}
		return err == nil, err
	}
	var rec Record
	if ok, err := read(filepath.Join(stateDir, plan, Newest), &rec); err != nil {
		return out, err
	} else if ok {
		out.Newest = &rec
	}
	var waiting Record
	if ok, err := read(filepath.Join(stateDir, plan, WaitingFile), &waiting); err != nil {
		return out, err
	} else if ok {
		out.Waiting = &waiting
	}
	var j preseed.Journal
	if ok, err := read(filepath.Join(stateDir, plan+".journal.json"), &j); err != nil {
		return out, err
	} else if ok {
		out.Unfinished = &j
	}
	names, err := filepath.Glob(filepath.Join(stateDir, plan, "[0-9]*.json"))
	if err != nil {
		return out, err
	}
	for i := len(names) - 1; i >= 0 && out.Restored == nil; i-- {
		var rec Record
		if ok, err := read(names[i], &rec); err != nil {
			return out, err
		} else if ok && rec.Outcome == preseed.Restored {
			out.Restored = &rec
		}
	}
	return out, nil
}
