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
	"strconv"
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
	if info, err := os.Lstat(filepath.Join(dir, mark)); err == nil && !info.IsDir() {
		// Whoever owns the directory may have led it elsewhere, and root would write there.
		d.State = pitr.DataOther
		return d, nil, nil
	}
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
		case "lost+found", ".zfs":
		case logDir: // the log has a file system of its own, which is empty
			if !e.IsDir() || !isEmpty(filepath.Join(dir, logDir)) {
				d.State = pitr.DataOther
			}
		case mark: // killed before it was filled
			inside, err := os.ReadDir(filepath.Join(dir, mark))
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
func isEmpty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() != "lost+found" && e.Name() != ".zfs" })
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
	began := o.Now()
	dir := p.Cluster.DataDir
	if filepath.IsAbs(dir) {
		if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
			return nil, err
		}
		release, err := backup.Lock(filepath.Dir(dir), filepath.Base(LockFile(p)))
		if err != nil {
			return nil, err
		}
		defer release()
		// Who recovers as that user the next time has to be able to take it.
		if err := Give(p, LockFile(p)); err != nil {
			return nil, err
		}
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
	res.Done, res.Seconds = true, o.Now().Sub(began).Seconds()
	return res, nil
}

func (r *runner) note(dir string, j *journal, to phase) error {
	j.Phase = to
	text, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	return r.write(filepath.Join(dir, mark, "journal.json"), append(text, '\n'))
}

// begin makes the data directory, with the mark.
func (r *runner) begin(dir string) error {
	for _, d := range []string{dir, filepath.Join(dir, mark)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return err
		}
		if err := errors.Join(os.Chmod(d, 0o700), r.give(d)); err != nil {
			return err
		}
	}
	return nil
}

// restore brings the base backup below the mark. What a killed one left there is removed: the tool restores into an empty folder only.
// Tablespaces go where they are told, or to where they were.
func (r *runner) restore(ctx context.Context, dir string, j *journal, tablespaces map[string]string) error {
	to := filepath.Join(dir, mark, "data")
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	r.began("restore base backup %s", j.Plan.Backup.ID)
	argv, err := r.provider.Restore(r.p, j.Plan.Backup.ID, to, tablespaces)
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
	if err := apart(to, j.Plan.Backup.Tablespaces, tablespaces); err != nil {
		return err
	}
	// What was set by ALTER SYSTEM holds for the recovered cluster, and not for the server that replays: that has what it needs on its command line, and a library,
	// a command or a target of an earlier recovery would be in its way.
	auto := filepath.Join(to, autoConf)
	if err := os.Rename(auto, filepath.Join(dir, mark, autoConf)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Chmod(to, 0o700); err != nil {
		return err
	}
	return r.note(dir, j, moving)
}

// autoConf is where ALTER SYSTEM writes to.
const autoConf = "postgresql.auto.conf"

// apart looks whether what was restored leads nowhere else: the folders of a cluster are its own, and tablespaces are where they were told to be.
func apart(dir string, known []pitr.Tablespace, tablespaces map[string]string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if name := e.Name(); e.Type()&fs.ModeSymlink != 0 && (name == "base" || name == "global" || strings.HasPrefix(name, "pg_") && !strings.HasSuffix(name, ".conf")) {
			return fmt.Errorf("the base backup has a link in place of the folder %s, which leads out of it", name)
		}
	}
	links, err := os.ReadDir(filepath.Join(dir, "pg_tblspc"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	want := map[string]string{}
	for _, t := range known {
		at := t.Location
		if to, ok := tablespaces[t.Name]; ok {
			at = to
		}
		want[strconv.FormatUint(t.OID, 10)] = at
	}
	for _, l := range links {
		to, err := os.Readlink(filepath.Join(dir, "pg_tblspc", l.Name()))
		if err != nil {
			return err
		}
		if to != want[l.Name()] {
			return fmt.Errorf("tablespace %s leads to %s, and should lead to %s", l.Name(), to, want[l.Name()])
		}
		delete(want, l.Name())
	}
	for oid, at := range want {
		return fmt.Errorf("tablespace %s was not restored to %s", oid, at)
	}
	// The server makes the links of this file anew, to where they led.
	if _, err := os.Lstat(filepath.Join(dir, "tablespace_map")); err == nil && len(tablespaces) > 0 {
		return os.Remove(filepath.Join(dir, "tablespace_map"))
	}
	return nil
}

// moved moves what was restored to its place.
func (r *runner) moved(dir string, j *journal) error {
	if info, err := os.Lstat(filepath.Join(dir, logDir)); err == nil && info.IsDir() {
		if err := r.movedLog(filepath.Join(dir, mark, "data", logDir), filepath.Join(dir, logDir)); err != nil {
			return err
		}
	}
	if err := moveUp(filepath.Join(dir, mark, "data"), dir); err != nil {
		return err
	}
	return r.note(dir, j, recovering)
}

// movedLog makes the folders of the log where it has a file system of its own. A base backup of barman-cloud has no log, but folders for it.
func (r *runner) movedLog(from, to string) error {
	entries, err := os.ReadDir(from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was killed after that
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		at := filepath.Join(to, e.Name())
		if err := os.Mkdir(at, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := errors.Join(r.give(at), os.Remove(filepath.Join(from, e.Name()))); err != nil {
			return err
		}
	}
	return errors.Join(os.Chmod(to, 0o700), r.give(to), os.Remove(from))
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

// session is how a server is asked.
type session struct {
	r      *runner
	ctx    context.Context
	socket string
	user   string
}

// quietly holds against what ALTER ROLE and ALTER DATABASE say: libraries that are not installed, limits, and what hides damage.
const quietly = "PGOPTIONS=-c session_preload_libraries= -c local_preload_libraries= -c statement_timeout=0 -c lock_timeout=0 -c idle_session_timeout=0" +
	" -c default_transaction_read_only=off -c search_path=pg_catalog -c zero_damaged_pages=off -c ignore_checksum_failure=off -c role=none" +
	// What counts the rows of a table has to read the table, and not an index of it.
	" -c enable_indexonlyscan=off"

// cmd is a program that asks the server.
func (s *session) cmd(program string, args ...string) run.Cmd {
	args = append([]string{"-h", s.socket, "-p", "5432", "-U", s.user}, args...)
	return run.Cmd{Path: s.r.program(program), Args: args, Env: append(slices.Clone(s.r.env), quietly), As: s.r.as, Dir: "/", Grace: 10 * time.Second}
}

func (s *session) ask(database, query string) (string, error) {
	res, err := run.Run(s.ctx, s.cmd("psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", connect(database), "-c", query))
	return strings.TrimSpace(string(res.Stdout)), s.r.failed("psql", res.Stderr, err)
}

// connect names a database, whatever is in its name.
func connect(database string) string {
	return "dbname='" + strings.NewReplacer(`'`, `\'`, `\`, `\\`).Replace(database) + "'"
}

func (s *session) databases() ([]string, error) {
	names, err := s.ask("postgres", "select datname from pg_database where datallowconn order by 1")
	if err != nil {
		return nil, err
	}
	return strings.Split(names, "\n"), nil
}

// server starts the server on a socket that nobody else can reach, without archiving, and gives it to use.
func (r *runner) server(ctx context.Context, dir string, settings []pitr.Setting, use func(*session) error) error {
	// 0700, and short enough for the name of a socket.
	socket, err := r.socket, error(nil)
	if socket == "" {
		socket, err = os.MkdirTemp("", "sw-pg-")
	} else {
		err = os.Mkdir(socket, 0o700)
	}
	if err != nil {
		return err
	}
	defer os.RemoveAll(socket)
	if err := r.give(socket); err != nil {
		return err
	}
	hba := filepath.Join(dir, mark, "pg_hba.conf")
	conf := filepath.Join(dir, mark, "postgresql.conf")
	if err := errors.Join(r.write(hba, []byte("local all all trust\n")), r.write(conf, nil)); err != nil {
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
		// Nobody outside hears of it: a subscription of the cluster would take from its publisher what the living one is to get.
		pitr.Setting{Name: "archive_command", Value: "false"}, pitr.Setting{Name: "max_logical_replication_workers", Value: "0"},
		pitr.Setting{Name: "dynamic_shared_memory_type", Value: "mmap"}, pitr.Setting{Name: "jit", Value: "off"},
		pitr.Setting{Name: "logging_collector", Value: "off"}, pitr.Setting{Name: "log_destination", Value: "stderr"}, pitr.Setting{Name: "hot_standby", Value: "on"},
		pitr.Setting{Name: "shared_preload_libraries", Value: ""}, pitr.Setting{Name: "ssl", Value: "off"},
		pitr.Setting{Name: "lc_messages", Value: "C"}, pitr.Setting{Name: "log_line_prefix", Value: ""})
	args := []string{"-D", dir}
	for _, x := range settings {
		args = append(args, "-c", x.Name+"="+x.Value)
	}
	s := &session{r: r, ctx: ctx, socket: socket, user: r.user()}
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
		_, err := run.Run(serving, run.Cmd{Path: r.program("postgres"), Args: args, Env: r.env, As: r.as, Dir: "/", Grace: time.Minute, OnStderrLine: func(line []byte) {
			text := r.secrets.Replace(string(line))
			if _, said, ok := strings.Cut(text, "FATAL:  "); ok {
				fault = said
			}
			if strings.HasSuffix(text, "database system is ready to accept connections") {
				once.Do(func() { close(ready) })
			}
			if r.o.Said != nil {
				r.telling.Lock()
				defer r.telling.Unlock()
				r.o.Said(text)
			}
		}})
		ended <- end{fault, err}
	}()
	used := make(chan error, 1)
	select {
	case <-ready:
		go func() { used <- use(s) }()
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

// replay has a server replay the log and promote itself, and gives it to look.
func (r *runner) replay(ctx context.Context, dir string, j *journal, look func(*session) error) error {
	ctx, stop := r.watched(ctx)
	defer stop()
	command, err := r.restoreCommand()
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(dir, "recovery.signal")); errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Stat(filepath.Join(dir, "backup_label")); err == nil {
			if err := r.write(filepath.Join(dir, "recovery.signal"), nil); err != nil {
				return err
			}
		} // else it was promoted, and this run was killed before that was written down
	}
	if err := r.alone(ctx, dir); err != nil {
		return err
	}
	r.began("replay the log to %s", j.Plan.Target)
	return r.server(ctx, dir, j.Plan.Settings(command), func(s *session) error {
		r.through.Store(true)
		if out, err := s.ask("postgres", "select pg_is_in_recovery()"); err != nil || out != "f" {
			return errors.Join(err, errors.New("the cluster was not promoted"))
		}
		if _, err := s.ask("postgres", "checkpoint"); err != nil {
			return err
		}
		return look(s)
	})
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
	auto := filepath.Join(dir, autoConf)
	was, err := os.ReadFile(filepath.Join(dir, mark, autoConf))
	if errors.Is(err, fs.ErrNotExist) {
		was, err = os.ReadFile(auto) // begun by an earlier version
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
	if err := r.write(auto, []byte(strings.Join(kept, "")+line)); err != nil {
		return err
	}
	passed("ended")
	return os.RemoveAll(filepath.Join(dir, mark))
}
