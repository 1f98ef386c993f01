//go:build unix

package pitr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/exec/backup"
	"github.com/stateward/stateward/internal/run"
)

// mark is the folder in a data directory by which a recovery is known as ours. It lies in it since that may be where a dataset is mounted:
// the base backup is restored below it, and moved up once it is whole. It goes last.
const mark = ".stateward-pitr"

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
type RootError struct{}

func (e *RootError) Error() string { return "PostgreSQL does not run as root" }

// Hint says what to do.
func (e *RootError) Hint() string {
	return "run it as the user that owns the data directory: sudo -u postgres stateward pitr recover …"
}

// ShortError says that a recovery ended before what the archive holds.
type ShortError struct{ At, Want pitr.LSN }

func (e *ShortError) Error() string {
	return fmt.Sprintf("recovery ended at %s, and the archive goes on beyond %s", e.At, e.Want)
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
	if err != nil {
		return nil, nil, err
	}
	dir, old, err := found(p.Cluster.DataDir)
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
	a, err := r.look(ctx)
	if err != nil {
		return nil, nil, err
	}
	rec, err := pitr.NewRecovery(a, t, p)
	if err != nil {
		return nil, nil, err
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
			return nil, nil, &pitr.PrefixError{Server: rec.Archive, Reason: "something lies there already"}
		}
		return nil, nil, err
	}
	return &Result{Plan: rec, State: string(dir.State)}, r, nil
}

func sameTarget(a, b pitr.Target) bool {
	return a.Time.Equal(b.Time) && a.LSN == b.LSN && a.Timeline == b.Timeline
}

// found looks what lies in a data directory.
func found(dir string) (pitr.DataDir, *journal, error) {
	d := pitr.DataDir{Path: dir, State: pitr.DataMissing}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return d, nil, nil
	}
	if err != nil {
		return d, nil, err
	}
	d.State = pitr.DataEmpty
	text, err := os.ReadFile(filepath.Join(dir, mark, "journal.json"))
	if err == nil {
		var j journal
		if err := json.Unmarshal(text, &j); err != nil {
			return d, nil, fmt.Errorf("%s: %w", filepath.Join(dir, mark, "journal.json"), err)
		}
		d.State = pitr.DataOurs
		return d, &j, nil
	}
	for _, e := range entries {
		switch e.Name() {
		case "lost+found":
		case mark: // killed before it was filled
			if inside, err := os.ReadDir(filepath.Join(dir, mark)); err != nil || len(inside) > 0 {
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

// running tells whether the process lives that postmaster.pid names.
func running(dir string) bool {
	text, err := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	if err != nil {
		return false
	}
	pid, _, _ := strings.Cut(string(text), "\n")
	_, err = os.Stat(filepath.Join("/proc", strings.TrimSpace(pid)))
	return err == nil
}

// passed is called where a test cuts the power.
var passed = func(string) {}

// Recover restores a base backup, replays the log to the target, promotes the cluster, and stops it again: it is its unit that starts it.
// From then on it archives to a prefix of its own.
func Recover(ctx context.Context, p pitr.Policy, t pitr.Target, o Options) (*Result, error) {
	if os.Geteuid() == 0 {
		return nil, &RootError{}
	}
	began := o.Now()
	dir := p.Cluster.DataDir
	if filepath.IsAbs(dir) {
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return nil, err
		}
		release, err := backup.Lock(filepath.Dir(dir), "."+filepath.Base(dir)+".stateward-pitr")
		if err != nil {
			return nil, err
		}
		defer release()
	}
	res, r, err := plan(ctx, p, t, o)
	if err != nil {
		return res, err
	}
	_, j, err := found(dir)
	if err != nil {
		return res, err
	}
	if j == nil {
		j = &journal{Phase: restoring, Destination: p.Destination, Plan: res.Plan}
		if err := os.MkdirAll(filepath.Join(dir, mark), 0o700); err != nil {
			return res, err
		}
		if err := os.Chmod(dir, 0o700); err != nil {
			return res, err
		}
		if err := r.note(dir, j, restoring); err != nil {
			return res, err
		}
	}
	if j.Phase == restoring {
		if err := r.restore(ctx, dir, j); err != nil {
			return res, err
		}
	}
	if j.Phase == moving {
		if err := moveUp(filepath.Join(dir, mark, "data"), dir); err != nil {
			return res, err
		}
		if err := r.note(dir, j, recovering); err != nil {
			return res, err
		}
	}
	if j.Phase == recovering {
		if err := r.replay(ctx, dir, j, res); err != nil {
			return res, err
		}
		passed("promoted")
		if err := r.note(dir, j, ending); err != nil {
			return res, err
		}
	}
	if err := r.end(ctx, dir, j, res); err != nil {
		return res, err
	}
	res.Done, res.Seconds = true, o.Now().Sub(began).Seconds()
	return res, nil
}

func (r *runner) note(dir string, j *journal, to phase) error {
	j.Phase = to
	text, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	return backup.Replace(filepath.Join(dir, mark, "journal.json"), append(text, '\n'), 0o600)
}

// restore brings the base backup below the mark. What a killed one left there is removed: the tool restores into an empty folder only.
func (r *runner) restore(ctx context.Context, dir string, j *journal) error {
	to := filepath.Join(dir, mark, "data")
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	r.began("restore base backup %s", j.Plan.Backup.ID)
	argv, err := r.provider.Restore(r.p, j.Plan.Backup.ID, to)
	if err != nil {
		return err
	}
	if _, err := r.run(ctx, argv); err != nil {
		return err
	}
	for _, name := range []string{"PG_VERSION", "global/pg_control", "backup_label"} {
		if _, err := os.Stat(filepath.Join(to, name)); err != nil {
			return fmt.Errorf("base backup %s is not whole: %w", j.Plan.Backup.ID, err)
		}
	}
	if err := os.Chmod(to, 0o700); err != nil {
		return err
	}
	return r.note(dir, j, moving)
}

func moveUp(from, to string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		at := filepath.Join(to, e.Name())
		if _, err := os.Lstat(at); err == nil {
			return &pitr.DataDirError{Dir: pitr.DataDir{Path: to, State: pitr.DataOther}}
		}
		if err := os.Rename(filepath.Join(from, e.Name()), at); err != nil {
			return err
		}
		passed("moved " + e.Name())
	}
	return os.Remove(from)
}

// words quotes a command for a shell. %f and %p are PostgreSQL's own.
func words(argv []string) string {
	out := make([]string, len(argv))
	for i, a := range argv {
		if a == "%f" || a == "%p" {
			out[i] = `"` + a + `"`
			continue
		}
		out[i] = "'" + strings.ReplaceAll(strings.ReplaceAll(a, "'", `'\''`), "%", "%%") + "'"
	}
	return strings.Join(out, " ")
}

// restoreCommand brings a file of the log. Status 1 says that there is none; to PostgreSQL any status up to 125 does, and the log would end where
// the store cannot be reached: so all others end the recovery.
func (r *runner) restoreCommand() (string, error) {
	argv, err := r.provider.WALRestore(r.p, "%f", "%p")
	if err != nil {
		return "", err
	}
	if argv[0], err = run.LookPath(argv[0], r.env); err != nil {
		return "", err
	}
	return words(argv) + `; s=$?; [ $s -le 1 ] || exit 255; exit $s`, nil
}

// limits are settings that a server which replays must have no smaller than the one that wrote the log.
var limits = regexp.MustCompile(`(?m)^(max_connections|max_worker_processes|max_wal_senders|max_prepared_xacts|max_locks_per_xact) setting: +(\d+)`)

// server starts the server on a socket that nobody else can reach, without archiving, and gives it to use.
func (r *runner) server(ctx context.Context, dir string, settings []pitr.Setting, use func(ask func(database, query string) (string, error)) error) error {
	socket, err := os.MkdirTemp("", "sw-pg-") // 0700, and short enough for the name of a socket
	if err != nil {
		return err
	}
	defer os.RemoveAll(socket)
	hba := filepath.Join(dir, mark, "pg_hba.conf")
	conf := filepath.Join(dir, mark, "postgresql.conf")
	if err := errors.Join(os.WriteFile(hba, []byte("local all all trust\n"), 0o600), os.WriteFile(conf, nil, 0o600)); err != nil {
		return err
	}
	control, err := r.run(ctx, []string{r.program("pg_controldata"), dir})
	if err != nil {
		return err
	}
	for _, m := range limits.FindAllStringSubmatch(string(control), -1) {
		name := map[string]string{"max_prepared_xacts": "max_prepared_transactions", "max_locks_per_xact": "max_locks_per_transaction"}[m[1]]
		if name == "" {
			name = m[1]
		}
		settings = append(settings, pitr.Setting{Name: name, Value: m[2]})
	}
	// On the command line they hold against what postgresql.auto.conf came back with.
	settings = append(settings, pitr.Setting{Name: "config_file", Value: conf}, pitr.Setting{Name: "hba_file", Value: hba}, pitr.Setting{Name: "listen_addresses", Value: ""},
		pitr.Setting{Name: "unix_socket_directories", Value: socket}, pitr.Setting{Name: "port", Value: "5432"}, pitr.Setting{Name: "archive_mode", Value: "off"},
		pitr.Setting{Name: "logging_collector", Value: "off"}, pitr.Setting{Name: "log_destination", Value: "stderr"}, pitr.Setting{Name: "hot_standby", Value: "on"},
		pitr.Setting{Name: "shared_preload_libraries", Value: ""}, pitr.Setting{Name: "ssl", Value: "off"},
		pitr.Setting{Name: "lc_messages", Value: "C"}, pitr.Setting{Name: "log_line_prefix", Value: ""})
	args := []string{"-D", dir}
	for _, s := range settings {
		args = append(args, "-c", s.Name+"="+s.Value)
	}
	user := r.p.Cluster.User
	if user == "" {
		user = "postgres"
	}
	ask := func(database, query string) (string, error) {
		out, err := r.run(ctx, []string{r.program("psql"), "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", socket, "-p", "5432", "-U", user, "-d", database, "-c", query})
		return strings.TrimSpace(string(out)), err
	}
	serving, stop := context.WithCancel(ctx)
	defer stop()
	type end struct {
		fault string
		err   error
	}
	ended := make(chan end, 1)
	ready := make(chan struct{})
	var once sync.Once
	go func() {
		fault := ""
		_, err := run.Run(serving, run.Cmd{Path: r.program("postgres"), Args: args, Env: r.env, Dir: dir, Grace: time.Minute, OnStderrLine: func(line []byte) {
			text := r.secrets.Replace(string(line))
			if _, said, ok := strings.Cut(text, "FATAL:  "); ok {
				fault = said
			}
			if strings.HasSuffix(text, "database system is ready to accept connections") {
				once.Do(func() { close(ready) })
			}
			if r.o.Said != nil {
				r.o.Said(text)
			}
		}})
		ended <- end{fault, err}
	}()
	used := make(chan error, 1)
	select {
	case <-ready:
		go func() { used <- use(ask) }()
	case e := <-ended:
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if e.err == nil {
			e.err = errors.New("the server ended by itself")
		}
		return &ToolError{"postgres", e.fault, e.err}
	}
	err = <-used
	stop()
	<-ended
	return err
}

// replay has a server replay the log and promote itself.
func (r *runner) replay(ctx context.Context, dir string, j *journal, res *Result) error {
	ctx, stop := r.watched(ctx)
	defer stop()
	command, err := r.restoreCommand()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "recovery.signal")); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, "backup_label")); err == nil {
			if err := os.WriteFile(filepath.Join(dir, "recovery.signal"), nil, 0o600); err != nil {
				return err
			}
		} // else it was promoted, and this run was killed before that was written down
	}
	if err := r.alone(ctx, dir); err != nil {
		return err
	}
	r.began("replay the log to %s", j.Plan.Target)
	if err := r.server(ctx, dir, j.Plan.Settings(command), func(ask func(database, query string) (string, error)) error {
		if out, err := ask("postgres", "select pg_is_in_recovery()"); err != nil || out != "f" {
			return errors.Join(err, errors.New("the cluster was not promoted"))
		}
		names, err := ask("postgres", "select datname from pg_database where datallowconn order by 1")
		if err != nil {
			return err
		}
		for _, name := range strings.Split(names, "\n") {
			if _, err := ask(name, "select count(*) from pg_class"); err != nil {
				return fmt.Errorf("database %s: %w", name, err)
			}
			res.Databases = append(res.Databases, name)
		}
		_, err = ask("postgres", "checkpoint")
		return err
	}); err != nil {
		return err
	}
	return nil
}

// patience is how long the server of a killed run may take to end: a command of its that brings a segment holds it up.
const patience = 30 * time.Second

// alone waits until the server of a killed run is gone.
func (r *runner) alone(ctx context.Context, dir string) error {
	for end := time.Now().Add(patience); running(dir); {
		if time.Now().After(end) {
			return &pitr.DataDirError{Dir: pitr.DataDir{Path: dir, State: pitr.DataOurs, Running: true}}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

var (
	onTimeline = regexp.MustCompile(`(?m)^Latest checkpoint's TimeLineID: +(\d+)`)
	perSegment = regexp.MustCompile(`(?m)^Bytes per WAL segment: +(\d+)`)
)

// end looks where recovery ended, and gives the cluster its new archive.
func (r *runner) end(ctx context.Context, dir string, j *journal, res *Result) error {
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
	text, err := os.ReadFile(filepath.Join(dir, "pg_wal", t.HistoryName()))
	if err != nil {
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
		if want := j.Plan.Range.ToLSN - bytes; res.At <= want { // where the last segment begins, the one before it ends
			return &ShortError{res.At, want}
		}
	}
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
	auto := filepath.Join(dir, "postgresql.auto.conf")
	was, err := os.ReadFile(auto)
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
	if err := backup.Replace(auto, []byte(strings.Join(kept, "")+line), 0o600); err != nil {
		return err
	}
	passed("ended")
	return os.RemoveAll(filepath.Join(dir, mark))
}
