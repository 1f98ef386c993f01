//go:build unix

// Package pgtest gives tests a real PostgreSQL, archived by a real barman-cloud to a real S3 server on loopback. It is for tests only.
//
// A test takes the cheapest that does:
//
//   - NewArchived is a cluster with rows, a base backup, an archived log and a moment to recover to. All that is made once for a version
//     and run of a package, in some seconds; each test gets a copy of it in a fifth of a second, with a server of S3 of its own.
//   - New is a cluster that is empty, and archived to an S3 server that is empty too: some tenths of a second.
//
// Both may be called in parallel. TestMain has to call Main. A segment of the log has 1 MiB, and not 16, unless Version.SegmentMiB says
// otherwise: it is what a gzip of Python takes its time for. A program of barman-cloud takes some tenths of a second to start, and a
// base backup some seconds. What is started here ends with the process of the test, even if that is killed.
package pgtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/run"
)

// Secret is in the key of the S3 server; it must turn up nowhere.
const Secret = "canary-of-s3-5e1f"

// Main runs the tests of a package; root becomes somebody else first, in a user namespace: PostgreSQL refuses root.
func Main(m *testing.M) {
	if os.Geteuid() != 0 {
		var err error
		if templates, err = os.MkdirTemp("", "pgtest-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		status := m.Run()
		for _, stop := range atEnd {
			stop()
		}
		os.RemoveAll(templates)
		os.Exit(status)
	}
	self, err := os.Executable()
	if err == nil {
		cmd := exec.Command(self, os.Args[1:]...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		cmd.SysProcAttr = somebody()
		if err = cmd.Run(); err == nil {
			os.Exit(0)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// Version is one PostgreSQL with the barman-cloud that comes with it.
type Version struct {
	// Name is the major version.
	Name string
	// Bin and Barman are folders of programs.
	Bin, Barman string
	// SegmentMiB is the size of a segment of the log, zero for 1.
	SegmentMiB int
}

// All are the versions to test with: folders of STATEWARD_TEST_POSTGRESQL and STATEWARD_TEST_BARMAN, or what is in PATH.
func All(t testing.TB) []Version {
	t.Helper()
	pg, barman := filepath.SplitList(os.Getenv("STATEWARD_TEST_POSTGRESQL")), filepath.SplitList(os.Getenv("STATEWARD_TEST_BARMAN"))
	if len(pg) == 0 {
		pg = []string{folder(t, "initdb")}
	}
	if len(barman) == 0 {
		barman = []string{folder(t, "barman-cloud-backup")}
	}
	var all []Version
	for i, bin := range pg {
		require.FileExists(t, filepath.Join(bin, "postgres"), "this test needs PostgreSQL; run: make deps")
		v := Version{Bin: bin, Barman: barman[min(i, len(barman)-1)]}
		require.FileExists(t, filepath.Join(v.Barman, "barman-cloud-backup"), "this test needs barman-cloud; run: make deps")
		v.Name = filepath.Base(filepath.Dir(bin))
		all = append(all, v)
	}
	return all
}

func folder(t testing.TB, program string) string {
	t.Helper()
	p, err := run.LookPath(program, os.Environ())
	require.NoError(t, err, "this test needs %s; run: make deps", program)
	return filepath.Dir(p)
}

// S3 is a server that keeps objects in memory.
type S3 struct {
	URL string
	cmd *exec.Cmd
}

// NewS3 starts one that is empty; it ends with the test.
func NewS3(t testing.TB) *S3 {
	t.Helper()
	s := newS3(t, "")
	t.Cleanup(s.Stop)
	return s
}

// Copy starts another one, with the same objects of the same age; it ends with the test.
func (s *S3) Copy(t testing.TB) *S3 {
	t.Helper()
	c := newS3(t, s.URL)
	t.Cleanup(c.Stop)
	return c
}

func newS3(t testing.TB, from string) *S3 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	l.Close()
	program := os.Getenv("STATEWARD_TEST_S3_SERVER")
	if program == "" {
		program = filepath.Join(folder(t, "s3server"), "s3server")
	}
	args := []string{address}
	if from != "" {
		args = append(args, from)
	}
	s := &S3{URL: "http://" + address, cmd: exec.Command(program, args...)}
	s.cmd.Env = []string{"S3_KEY=forge", "S3_SECRET=" + Secret}
	s.cmd.SysProcAttr = mortal(syscall.SIGKILL)
	require.NoError(t, s.cmd.Start())
	require.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
	return s
}

// Pause stops it from answering, Resume has it go on.
func (s *S3) Pause() error  { return s.cmd.Process.Signal(syscall.SIGSTOP) }
func (s *S3) Resume() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// Stop ends it, with all that it keeps.
func (s *S3) Stop() {
	if s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// Cluster is a running server that is archived.
type Cluster struct {
	t       testing.TB
	Version Version
	Dir     string // of everything
	Data    string
	Socket  string
	// Destination and Server are where it is archived to, EnvironmentFile holds the key.
	Destination, Server, EnvironmentFile string
	S3                                   *S3
	Env                                  []string
}

// New makes a cluster that is archived and runs.
func New(t testing.TB, v Version, s3 *S3) *Cluster {
	t.Helper()
	empty := template(t, v, "empty", func(m *made) {
		c := newCluster(t, v, m.dir, nil)
		c.Run("initdb", "-D", c.Data, "-U", "postgres", "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8", "--wal-segsize="+strconv.Itoa(max(v.SegmentMiB, 1)))
	})
	dir := t.TempDir()
	copyData(t, empty.dir, dir)
	c := newCluster(t, v, dir, s3)
	c.Configure(c.Data, "wal_level = replica", "archive_mode = on", "fsync = off", "jit = off", "listen_addresses = ''")
	c.archiveTo(s3)
	c.Start(c.Data)
	t.Cleanup(func() { c.Stop(c.Data) })
	return c
}

// Archived is a cluster with a history. Its table rows (n int, at timestamptz) has rows 1 and 2, which are in a base backup, rows 3 to 6,
// which are in the log alone, and all of that is archived.
type Archived struct {
	*Cluster
	// Moment is after row 4 and before row 5.
	Moment time.Time
}

// NewArchived makes one, that runs. Its server was ended as a crash does, so that its statistics begin anew.
func NewArchived(t testing.TB, v Version) *Archived {
	t.Helper()
	m := template(t, v, "archived", func(m *made) {
		m.s3 = newS3(t, "")
		mu.Lock()
		atEnd = append(atEnd, m.s3.Stop)
		mu.Unlock()
		c := New(t, v, m.s3)
		c.SQL("create table rows (n int, at timestamptz default clock_timestamp())")
		c.Insert(1)
		c.Insert(2)
		// Where both make the bucket at once, the tool fails: BucketAlreadyExists.
		c.Archive()
		c.BaseBackup()
		c.Insert(3)
		c.Archive()
		c.Insert(4)
		time.Sleep(50 * time.Millisecond)
		m.moment = time.Now()
		time.Sleep(50 * time.Millisecond)
		c.Insert(5)
		c.Archive()
		c.Insert(6)
		c.Archive()
		c.SQL("checkpoint")
		c.Stop(c.Data)
		copyData(t, c.Dir, m.dir)
	})
	dir := t.TempDir()
	copyData(t, m.dir, dir)
	c := newCluster(t, v, dir, m.s3.Copy(t))
	c.archiveTo(c.S3)
	c.Start(c.Data)
	t.Cleanup(func() { c.Stop(c.Data) })
	return &Archived{c, m.moment}
}

// made is what tests copy.
type made struct {
	once   sync.Once
	done   bool
	dir    string
	s3     *S3
	moment time.Time
}

var (
	mu        sync.Mutex
	templates string
	allMade   = map[string]*made{}
	atEnd     []func()
)

// template is made once for a version.
func template(t testing.TB, v Version, name string, make func(*made)) *made {
	t.Helper()
	require.NotEmpty(t, templates, "TestMain has to call pgtest.Main")
	key := fmt.Sprintf("%s-%s-%d", name, v.Name, max(v.SegmentMiB, 1))
	mu.Lock()
	m := allMade[key]
	if m == nil {
		m = &made{dir: filepath.Join(templates, key)}
		allMade[key] = m
	}
	mu.Unlock()
	m.once.Do(func() {
		require.NoError(t, os.Mkdir(m.dir, 0o700))
		make(m)
		m.done = true
	})
	require.True(t, m.done, "%s could not be made for another test", key)
	return m
}

func copyData(t testing.TB, from, to string) {
	t.Helper()
	to = filepath.Join(to, "data")
	require.NoError(t, os.CopyFS(to, os.DirFS(filepath.Join(from, "data"))))
	require.NoError(t, os.RemoveAll(filepath.Join(to, "postmaster.pid"))) // of one that was ended as in a crash
	require.NoError(t, os.Chmod(to, 0o700))
}

// newCluster is one with nothing in it.
func newCluster(t testing.TB, v Version, dir string, s3 *S3) *Cluster {
	t.Helper()
	socket, err := os.MkdirTemp("", "pgtest-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(socket) })
	c := &Cluster{t: t, Version: v, Dir: dir, Data: filepath.Join(dir, "data"), Socket: socket, Destination: "s3://bucket/pg", Server: "main", S3: s3,
		EnvironmentFile: filepath.Join(dir, "env")}
	key := []string{"AWS_ACCESS_KEY_ID=forge", "AWS_SECRET_ACCESS_KEY=" + Secret, "AWS_DEFAULT_REGION=us-east-1"}
	require.NoError(t, os.WriteFile(c.EnvironmentFile, []byte(strings.Join(key, "\n")+"\n"), 0o600))
	c.Env = append([]string{"PATH=" + v.Bin + ":" + v.Barman + ":/usr/bin:/bin", "HOME=" + dir, "TZ=UTC", "LC_ALL=C"}, key...)
	return c
}

func (c *Cluster) archiveTo(s3 *S3) {
	c.Configure(c.Data, "unix_socket_directories = '"+c.Socket+"'",
		"archive_command = 'barman-cloud-wal-archive --gzip --endpoint-url "+s3.URL+" "+c.Destination+" "+c.Server+" %p'")
}

// Configure appends to postgresql.conf.
func (c *Cluster) Configure(data string, lines ...string) {
	c.t.Helper()
	f, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(c.t, err)
	_, err = f.WriteString(strings.Join(lines, "\n") + "\n")
	require.NoError(c.t, err)
	require.NoError(c.t, f.Close())
}

// Run runs a program of PostgreSQL or barman-cloud and returns what it printed.
func (c *Cluster) Run(program string, args ...string) string {
	c.t.Helper()
	out, err := c.Try(program, args...)
	require.NoError(c.t, err, "%s: %s", program, out)
	return out
}

// Try is the same for one that may fail: its errors are in what is returned then.
func (c *Cluster) Try(program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	r, err := run.Run(ctx, run.Cmd{Path: program, Args: args, Env: c.Env, Dir: c.Dir})
	if err != nil {
		return string(r.Stdout) + string(r.Stderr), err
	}
	return strings.TrimSpace(string(r.Stdout)), nil
}

// Start starts the server on a data directory, with its socket in Socket whatever the settings there say.
func (c *Cluster) Start(data string) {
	c.t.Helper()
	name := filepath.Join(c.Dir, filepath.Base(data)+".log")
	log, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(c.t, err)
	defer log.Close()
	// Not by pg_ctl: what that starts outlives the test.
	cmd := exec.Command(filepath.Join(c.Version.Bin, "postgres"), "-D", data, "-k", c.Socket)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = c.Env, c.Dir, log, log
	cmd.SysProcAttr = mortal(syscall.SIGQUIT)
	require.NoError(c.t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	for late := time.After(time.Minute); ; {
		// The first line is its process, the eighth its state.
		text, _ := os.ReadFile(filepath.Join(data, "postmaster.pid"))
		if lines := strings.Split(string(text), "\n"); len(lines) > 7 && lines[0] == strconv.Itoa(cmd.Process.Pid) && strings.TrimSpace(lines[7]) == "ready" {
			return
		}
		select {
		case <-ended:
		case <-late:
			_ = cmd.Process.Signal(syscall.SIGQUIT)
		case <-time.After(5 * time.Millisecond):
			continue
		}
		said, _ := os.ReadFile(name)
		require.Fail(c.t, "the server did not start", "%s", said)
	}
}

// Stop ends it at once, as a crash does.
func (c *Cluster) Stop(data string) {
	_, _ = c.Try("pg_ctl", "-s", "-w", "-m", "immediate", "-D", data, "stop")
}

// SQL runs statements and returns what they print.
func (c *Cluster) SQL(statements string) string {
	c.t.Helper()
	return c.Run("psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", c.Socket, "-U", "postgres", "-d", "postgres", "-c", statements)
}

// Insert inserts a row and returns when.
func (c *Cluster) Insert(n int) {
	c.t.Helper()
	c.SQL(fmt.Sprintf("insert into rows values (%d)", n))
}

// BaseBackup makes one with barman-cloud.
func (c *Cluster) BaseBackup() {
	c.t.Helper()
	c.Run("barman-cloud-backup", "--endpoint-url", c.S3.URL, "-h", c.Socket, "-U", "postgres", "--immediate-checkpoint", c.Destination, c.Server)
}

// Archive ends the current segment and waits until it is archived.
func (c *Cluster) Archive() {
	c.t.Helper()
	segment := c.SQL("select pg_walfile_name(pg_switch_wal())")
	require.Eventually(c.t, func() bool {
		return c.SQL("select coalesce(last_archived_wal, '') from pg_stat_archiver") >= segment
	}, time.Minute, 50*time.Millisecond, "segment %s is not archived", segment)
}

// Lose is the disaster: the server dies, and its files are gone.
func (c *Cluster) Lose() {
	c.t.Helper()
	c.Stop(c.Data)
	require.NoError(c.t, os.RemoveAll(c.Data))
}
