//go:build unix

package pitr

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/run"
)

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
	const hbaName, confName = mark + "/pg_hba.conf", mark + "/postgresql.conf"
	hba, conf := filepath.Join(dir, hbaName), filepath.Join(dir, confName)
	if err := r.within(dir, func(at *place) error {
		return errors.Join(at.write(hbaName, []byte("local all all trust\n")), at.write(confName, nil))
	}); err != nil {
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
	if err := r.within(dir, func(at *place) error {
		// Without a label it was promoted, and this run was killed before that was written down.
		if at.exists("recovery.signal") || !at.exists("backup_label") {
			return nil
		}
		return at.write("recovery.signal", nil)
	}); err != nil {
		return err
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
