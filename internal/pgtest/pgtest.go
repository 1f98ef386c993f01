//go:build unix

// Package pgtest gives tests a real PostgreSQL, archived by a real barman-cloud to a real S3 server on loopback. It is for tests only.
package pgtest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
		os.Exit(m.Run())
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

// NewS3 starts one; it ends with the test.
func NewS3(t testing.TB) *S3 {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	l.Close()
	program := os.Getenv("STATEWARD_TEST_S3_SERVER")
	if program == "" {
		program = filepath.Join(folder(t, "s3server"), "s3server")
	}
	s := &S3{URL: "http://" + address, cmd: exec.Command(program, address)}
	s.cmd.Env = []string{"S3_KEY=forge", "S3_SECRET=" + Secret}
	require.NoError(t, s.cmd.Start())
	t.Cleanup(s.Stop)
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
	dir := t.TempDir()
	socket, err := os.MkdirTemp("", "pgtest-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(socket) })
	c := &Cluster{t: t, Version: v, Dir: dir, Data: filepath.Join(dir, "data"), Socket: socket, Destination: "s3://bucket/pg", Server: "main", S3: s3,
		EnvironmentFile: filepath.Join(dir, "env")}
	key := []string{"AWS_ACCESS_KEY_ID=forge", "AWS_SECRET_ACCESS_KEY=" + Secret, "AWS_DEFAULT_REGION=us-east-1"}
	require.NoError(t, os.WriteFile(c.EnvironmentFile, []byte(strings.Join(key, "\n")+"\n"), 0o600))
	c.Env = append([]string{"PATH=" + v.Bin + ":" + v.Barman + ":/usr/bin:/bin", "HOME=" + dir, "TZ=UTC", "LC_ALL=C"}, key...)
	c.Run("initdb", "-D", c.Data, "-U", "postgres", "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8")
	c.Configure(c.Data, "archive_mode = on", "wal_level = replica", "fsync = off", "jit = off", "listen_addresses = ''", "unix_socket_directories = '"+socket+"'",
		"archive_command = 'barman-cloud-wal-archive --gzip --endpoint-url "+s3.URL+" "+c.Destination+" "+c.Server+" %p'")
	c.Start(c.Data)
	t.Cleanup(func() { c.Stop(c.Data) })
	return c
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

// Start starts the server on a data directory.
func (c *Cluster) Start(data string) {
	c.t.Helper()
	cmd := exec.Command(filepath.Join(c.Version.Bin, "pg_ctl"), "-w", "-s", "-D", data, "-l", filepath.Join(c.Dir, filepath.Base(data)+".log"), "start")
	cmd.Env, cmd.Dir = c.Env, c.Dir
	out, err := cmd.CombinedOutput()
	log, _ := os.ReadFile(filepath.Join(c.Dir, filepath.Base(data)+".log"))
	require.NoError(c.t, err, "%s%s", out, log)
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
	}, time.Minute, 100*time.Millisecond, "segment %s is not archived", segment)
}

// Lose is the disaster: the server dies, and its files are gone.
func (c *Cluster) Lose() {
	c.t.Helper()
	c.Stop(c.Data)
	require.NoError(c.t, os.RemoveAll(c.Data))
}
