//go:build unix

package pitr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/run"
)

// mark is the folder in a data directory by which a recovery is known as ours. It lies in it since that may be where a dataset is mounted:
// the base backup is restored below it, and moved up once it is whole. It goes last.
const mark = ".stateward-pitr"

// journalFile is what is written down of a recovery.
const journalFile = mark + "/journal.json"

// phase is how far a recovery came.
type phase string

const (
	// restoring: the base backup is being brought; a killed one is begun anew.
	restoring phase = "restoring"
	// moving: it is whole, and is moved up entry by entry.
	moving phase = "moving"
	// recovering: a server replays the log; killed, it goes on from its last restartpoint.
	recovering phase = "recovering"
	// ending: it was promoted.
	ending phase = "ending"
)

// journal is what is known of a recovery.
type journal struct {
	Phase       phase         `json:"phase"`
	Destination string        `json:"destination"`
	Plan        pitr.Recovery `json:"plan"`
	// WALLink is where pg_wal of the base backup led, where that is a link: the recovered cluster has its log in the data directory.
	WALLink string `json:"walLink,omitempty"`
}

// OtherError refuses to go on with another recovery than the one that is asked for.
type OtherError struct {
	Dir    string
	Target pitr.Target
}

func (e *OtherError) Error() string {
	return fmt.Sprintf("a recovery to %s was begun in %s and is not done", e.Target, e.Dir)
}

// Hint says what to do.
func (e *OtherError) Hint() string { return "ask for the same target, or move the directory aside" }

// RootError says that the server's own programs refuse root.
type RootError struct{ User string }

func (e *RootError) Error() string {
	return fmt.Sprintf("PostgreSQL does not run as root, and the policy's user %q is", e.User)
}

// Hint says what to do.
func (e *RootError) Hint() string {
	return `name the user that owns the data directory: "cluster": {"user": "postgres"}`
}

// TablespaceError refuses to restore a tablespace to where something is.
type TablespaceError struct {
	Tablespace pitr.Tablespace
	Reason     string
}

func (e *TablespaceError) Error() string {
	return fmt.Sprintf("tablespace %s goes to %s, and %s", e.Tablespace.Name, e.Tablespace.Location, e.Reason)
}

// Hint says what to do.
func (e *TablespaceError) Hint() string { return "move what is there aside" }

// ShortError says that a recovery ended before what the archive holds.
type ShortError struct{ At, To pitr.LSN }

func (e *ShortError) Error() string {
	return fmt.Sprintf("recovery ended at %s, and the archive goes on to %s", e.At, e.To)
}

// Hint says what is there.
func (e *ShortError) Hint() string {
	return "a segment could not be brought; nothing is archived from what was recovered: move the data directory aside, and recover again"
}

// Result is what came of a recovery, or of planning one.
type Result struct {
	Plan  pitr.Recovery `json:"plan"`
	State string        `json:"state"` // of the data directory: missing, empty or ours
	// Done is false where it was only planned.
	Done bool `json:"done"`
	// Timeline is the one that the promoted cluster is on, At where it left the old one.
	Timeline  pitr.Timeline `json:"timeline,omitempty"`
	At        pitr.LSN      `json:"at,omitempty"`
	Databases []string      `json:"databases,omitempty"`
	Seconds   float64       `json:"seconds,omitempty"`
	// ArchiveCommand is what the cluster archives with from now on.
	ArchiveCommand string `json:"archiveCommand,omitempty"`
	// WALLink is where the log lay, where pg_wal was a link: it is in the data directory now.
	WALLink string `json:"walLink,omitempty"`
}

// Plan says what a recovery would do, and refuses what it would. Nothing is changed.
func Plan(ctx context.Context, p pitr.Policy, t pitr.Target, o Options) (*Result, error) {
	res, _, err := plan(ctx, p, t, o)
	return res, err
}

func plan(ctx context.Context, p pitr.Policy, t pitr.Target, o Options) (*Result, *runner, error) {
	if !filepath.IsAbs(p.Cluster.DataDir) {
		return nil, nil, &pitr.NameError{Text: p.Cluster.DataDir, Reason: "is no absolute path of a data directory", Advice: "write cluster.dataDir"}
	}
	r, err := newRunner(ctx, p, o, pitr.ToolWALArchive)
	if err == nil {
		err = r.drop()
	}
	if err != nil {
		return nil, nil, err
	}
	dir, old, err := r.found(p.Cluster.DataDir)
	if err != nil {
		return nil, nil, err
	}
	if old != nil {
		// What was begun goes on as it was planned: the archive may have grown since.
		if old.Destination != p.Destination || old.Plan.Server != p.Server || !sameTarget(old.Plan.Target, t) {
			return nil, nil, &OtherError{dir.Path, old.Plan.Target}
		}
		return &Result{Plan: old.Plan, State: string(dir.State)}, r, old.Plan.Into(dir)
	}
	if err := (pitr.Recovery{}).Into(dir); err != nil {
		return nil, nil, err
	}
	r.began("ask the archive what it holds")
	a, err := r.look(ctx, lookBack)
	if err != nil {
		return nil, nil, err
	}
	rec, err := pitr.NewRecovery(a, t, p)
	if err != nil {
		return nil, nil, err
	}
	for _, t := range rec.Backup.Tablespaces {
		entries, err := os.ReadDir(t.Location)
		switch {
		case err == nil && len(entries) > 0:
			return nil, nil, &TablespaceError{t, "that is not empty"}
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, nil, &TablespaceError{t, err.Error()}
		}
	}
	// Where it is archived to afterwards, nothing may lie yet (G4).
	next := p
	next.Server = rec.Archive
	argv, err := r.provider.Check(next)
	if err != nil {
		return nil, nil, err
	}
	if _, err := r.run(ctx, argv); err != nil {
		var exit *run.ExitError
		if errors.As(err, &exit) && exit.Code == 1 {
			return nil, nil, &pitr.PrefixError{Server: rec.Archive, Reason: "something lies there already", Advice: fmt.Sprintf("an earlier recovery archives there: write \"server\": %q in the policy to recover what it has; or, where nothing of it is needed, remove from the store what lies below it", rec.Archive)}
		}
		return nil, nil, err
	}
	return &Result{Plan: rec, State: string(dir.State)}, r, nil
}

func sameTarget(a, b pitr.Target) bool {
	return a.Time.Equal(b.Time) && a.LSN == b.LSN && a.Timeline == b.Timeline
}

// found looks what lies in a data directory.
func (r *runner) found(dir string) (pitr.DataDir, *journal, error) {
	d := pitr.DataDir{Path: dir, State: pitr.DataMissing}
	at, err := r.openPlace(dir, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil, nil
	}
	if err != nil {
		return d, nil, err
	}
	defer at.Close()
	entries, err := at.entries(".")
	if err != nil {
		return d, nil, err
	}
	d.State = pitr.DataEmpty
	if info, err := at.Lstat(mark); err == nil && !info.IsDir() {
		// Whoever owns the directory may have led it elsewhere.
		d.State = pitr.DataOther
		return d, nil, nil
	}
	text, err := at.ReadFile(journalFile)
	if err == nil {
		var j journal
		if err := json.Unmarshal(text, &j); err != nil {
			return d, nil, fmt.Errorf("%s: %w", filepath.Join(dir, journalFile), err)
		}
		d.State = pitr.DataOurs
		return d, &j, nil
	}
	for _, e := range entries {
		switch e.Name() {
		case "lost+found", ".zfs":
		case logDir: // the log has a file system of its own, which is empty
			if !e.IsDir() || !at.isEmpty(logDir) {
				d.State = pitr.DataOther
			}
		case mark: // killed before it was filled
			inside, err := at.entries(mark)
			if err != nil || slices.ContainsFunc(inside, func(e fs.DirEntry) bool { return e.Name() != ".journal.json.new" }) {
				d.State = pitr.DataOther
			}
		case "PG_VERSION", "postmaster.pid":
			d.State = pitr.DataCluster
			if e.Name() == "postmaster.pid" {
				d.Running = running(dir)
			}
		default:
			if d.State != pitr.DataCluster {
				d.State = pitr.DataOther
			}
		}
	}
	return d, nil, nil
}

// logDir is where the log is in a data directory. A file system of its own may be mounted there.
const logDir = "pg_wal"

// isEmpty tells whether nothing lies in a folder but what its file system puts there.
func (p *place) isEmpty(name string) bool {
	entries, err := p.entries(name)
	return err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() != "lost+found" && e.Name() != ".zfs" })
}

// passed is called where a test cuts the power.
var passed = func(string) {}

// Recover restores a base backup, replays the log to the target, promotes the cluster, and stops it again: it is its unit that starts it.
// From then on it archives to a prefix of its own.
func Recover(ctx context.Context, p pitr.Policy, t pitr.Target, o Options) (*Result, error) {
	began := o.Now()
	dir := p.Cluster.DataDir
	if filepath.IsAbs(dir) {
		release, err := exclusive(p)
		if err != nil {
			return nil, err
		}
		defer release()
	}
	res, r, err := plan(ctx, p, t, o)
	if err != nil {
		return res, err
	}
	_, j, err := r.found(dir)
	if err != nil {
		return res, err
	}
	if j == nil {
		j = &journal{Phase: restoring, Destination: p.Destination, Plan: res.Plan}
		if err := r.begin(dir); err != nil {
			return res, err
		}
		if err := r.note(dir, j, restoring); err != nil {
			return res, err
		}
	}
	if j.Phase == restoring {
		if err := r.restore(ctx, dir, j, nil); err != nil {
			return res, err
		}
	}
	if j.Phase == moving {
		if err := r.moved(dir, j); err != nil {
			return res, err
		}
	}
	if j.Phase == recovering {
		if err := r.replay(ctx, dir, j, func(s *session) (err error) {
			if res.Databases, err = s.databases(); err != nil {
				return err
			}
			for _, name := range res.Databases {
				if _, err := s.ask(name, "select count(*) from pg_class"); err != nil {
					return fmt.Errorf("database %s: %w", name, err)
				}
			}
			return nil
		}); err != nil {
			return res, err
		}
		passed("promoted")
		if err := r.note(dir, j, ending); err != nil {
			return res, err
		}
	}
	if err := r.ended(ctx, dir, j, res); err != nil {
		return res, err
	}
	if err := r.end(dir, j, res); err != nil {
		return res, err
	}
	res.WALLink = j.WALLink
	res.Done, res.Seconds = true, o.Now().Sub(began).Seconds()
	return res, nil
}

func (r *runner) note(dir string, j *journal, to phase) error {
	j.Phase = to
	text, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	return r.within(dir, func(at *place) error { return at.write(journalFile, append(text, '\n')) })
}

var (
	onTimeline = regexp.MustCompile(`(?m)^Latest checkpoint's TimeLineID: +(\d+)`)
	perSegment = regexp.MustCompile(`(?m)^Bytes per WAL segment: +(\d+)`)
)

// ended looks where recovery ended.
func (r *runner) ended(ctx context.Context, dir string, j *journal, res *Result) error {
	control, err := r.run(ctx, []string{r.program("pg_controldata"), dir})
	if err != nil {
		return err
	}
	m := onTimeline.FindSubmatch(control)
	if m == nil {
		return &ToolError{"pg_controldata", "", errors.New("pg_controldata does not tell the timeline")}
	}
	var t pitr.Timeline
	if _, err := fmt.Sscan(string(m[1]), &t); err != nil {
		return err
	}
	if t <= j.Plan.Timeline {
		return &ToolError{"postgres", "", fmt.Errorf("the cluster is on timeline %d still: it was not promoted", t)}
	}
	var text []byte
	if err := r.within(dir, func(at *place) (err error) {
		text, err = at.ReadFile(path.Join(logDir, t.HistoryName()))
		return err
	}); err != nil {
		return err
	}
	h, err := pitr.ParseHistory(t, string(text))
	if err != nil || len(h) == 0 {
		return fmt.Errorf("the history of timeline %d: %w", t, err)
	}
	res.Timeline, res.At = t, h[len(h)-1].At
	if j.Plan.Whole() {
		// A log that is cut off looks like its end: the last segment must have been reached.
		size := perSegment.FindSubmatch(control)
		if size == nil {
			return &ToolError{"pg_controldata", "", errors.New("pg_controldata does not tell the size of a segment")}
		}
		var bytes pitr.LSN
		if _, err := fmt.Sscan(string(size[1]), (*uint64)(&bytes)); err != nil {
			return err
		}
		if to := j.Plan.Range.ToLSN; res.At <= to-bytes { // where the last segment begins, the one before it ends
			return &ShortError{res.At, to}
		}
	}
	return nil
}

// end gives the cluster its new archive.
func (r *runner) end(dir string, j *journal, res *Result) error {
	next := r.p
	next.Server = j.Plan.Archive
	argv, err := r.provider.WALArchive(next, "%p")
	if err != nil {
		return err
	}
	if argv[0], err = run.LookPath(argv[0], r.env); err != nil {
		return err
	}
	res.ArchiveCommand = words(argv)
	// It holds against the configuration, which names the old prefix until it is changed (G4).
	at, err := r.openPlace(dir, 0)
	if err != nil {
		return err
	}
	defer at.Close()
	was, err := at.ReadFile(path.Join(mark, autoConf))
	if errors.Is(err, fs.ErrNotExist) {
		was, err = at.ReadFile(autoConf) // begun by an earlier version
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	line, err := pitr.WriteSettings([]pitr.Setting{{Name: "archive_command", Value: res.ArchiveCommand}})
	if err != nil {
		return err
	}
	kept := slices.DeleteFunc(strings.SplitAfter(string(was), "\n"), func(l string) bool {
		name, _, _ := strings.Cut(l, "=")
		name = strings.TrimSpace(name)
		return name == "archive_command" || name == "restore_command" || strings.HasPrefix(name, "recovery_target")
	})
	if err := at.write(autoConf, []byte(strings.Join(kept, "")+line)); err != nil {
		return err
	}
	passed("ended")
	return at.RemoveAll(mark)
}
