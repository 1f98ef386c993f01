//go:build e2e

// Package pitr_test has a cluster of PostgreSQL that is archived by barman-cloud to an S3 server, on datasets of real ZFS, and restores it from there.
package pitr_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/preseed"
)

const (
	name   = "tank/postgresql"
	top    = "/srv/pg"
	data   = "/srv/pg/data"
	state  = preseed.StateDir
	secret = "canary-of-s3-7d20"
	bin    = "/mnt/tools/pgbin"
	// searched has what stops zfs where a test wants that, and the programs as they came with the payload.
	searched = "/srv/wrap:/mnt/tools/pgbin:/mnt/tools/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	endpoint = "127.0.0.1:9000"
	server   = "postgresql.service"
)

func try(args ...string) (string, error) {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	return strings.TrimRight(string(out), "\n"), err
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := try(args...)
	require.NoError(t, err, "%s\n%s", strings.Join(args, " "), out)
	return out
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), mode))
	require.NoError(t, os.Chmod(file, mode))
}

func property(t *testing.T, of, property string) string {
	t.Helper()
	return must(t, "zfs", "get", "-Hp", "-o", "value", property, of)
}

// postgres runs a program as the user of the cluster.
func postgres(t *testing.T, args ...string) string {
	t.Helper()
	return must(t, append([]string{"setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups", "env", "-C", "/", "TZ=UTC"}, args...)...)
}

func sql(t *testing.T, statements string) string {
	t.Helper()
	return postgres(t, bin+"/psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-h", "/srv/socket", "-d", "postgres", "-c", statements)
}

// archive ends the segment of the log, and waits until it is stored.
func archive(t *testing.T) {
	t.Helper()
	segment := sql(t, "select pg_walfile_name(pg_switch_wal())")
	// Not by asking the server: each question is some processes.
	require.Eventually(t, func() bool {
		_, err := os.Stat(data + "/pg_wal/archive_status/" + segment + ".done")
		return err == nil
	}, 3*time.Minute, 50*time.Millisecond)
}

// store is what stands before the S3 server: it goes away, and holds a request up where a test wants that.
type store struct {
	mu       sync.Mutex
	server   *http.Server
	asked    int
	hold     func(path string) bool
	reached  chan string
	goOn     chan struct{}
	upstream string
}

func newStore(t *testing.T) *store {
	t.Helper()
	s := &store{upstream: "127.0.0.1:9001", reached: make(chan string, 1), goOn: make(chan struct{})}
	cmd := exec.Command("/mnt/tools/bin/s3server", s.upstream)
	cmd.Env = []string{"S3_KEY=forge", "S3_SECRET=" + secret}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", s.upstream)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, 20*time.Second, 50*time.Millisecond)
	s.up(t)
	return s
}

func (s *store) up(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", endpoint)
	require.NoError(t, err)
	s.server = &http.Server{Handler: s}
	go s.server.Serve(l)
}

func (s *store) down() { s.server.Close() }

// stopAt has the first request held up of which a function says so, once a part of the answer was sent.
func (s *store) stopAt(hold func(path string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold = hold
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked++
	held := r.Method == http.MethodGet && s.hold != nil && s.hold(r.URL.Path)
	if held {
		s.hold = nil
	}
	s.mu.Unlock()
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host, out.RequestURI = "http", s.upstream, ""
	res, err := http.DefaultTransport.RoundTrip(out)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	defer res.Body.Close()
	for k, v := range res.Header {
		w.Header()[k] = v
	}
	w.WriteHeader(res.StatusCode)
	if held {
		io.CopyN(w, res.Body, min(100<<10, res.ContentLength/2))
		w.(http.Flusher).Flush()
		s.reached <- r.URL.Path
		// Whoever asked may be gone, and what it had started not.
		select {
		case <-s.goOn:
		case <-r.Context().Done():
		}
		panic(http.ErrAbortHandler)
	}
	io.Copy(w, res.Body)
}

// policy is that of the cluster.
func policy(t *testing.T, file, archived string) string {
	t.Helper()
	p := pitr.Policy{
		Cluster:     pitr.Cluster{Name: "postgresql", DataDir: data, User: "postgres", Socket: "/srv/socket"},
		Destination: "s3://bucket/pg", Server: archived, Endpoint: "http://" + endpoint, EnvironmentFile: "/srv/pitr.env", Compression: "gzip"}
	text, err := json.Marshal(p)
	require.NoError(t, err)
	write(t, file, string(text), 0o644)
	return file
}

// units writes a policy with all jobs, and its units, as `stateward pitr plan` does.
func units(t *testing.T) pitr.Policy {
	t.Helper()
	p := pitr.Policy{
		Cluster:     pitr.Cluster{Name: "postgresql", DataDir: data, User: "postgres", Socket: "/srv/socket", Unit: server},
		Destination: "s3://bucket/pg", Server: "main", Endpoint: "http://" + endpoint, EnvironmentFile: "/srv/pitr.env", Compression: "gzip",
		Schedule: []string{"daily"}, Window: pitr.Span(24 * time.Hour), ArchiveTimeout: pitr.Span(5 * time.Minute), Drill: &pitr.DrillPolicy{Every: pitr.Span(24 * time.Hour)}}
	text, err := p.Write()
	require.NoError(t, err)
	write(t, p.PlanFile(), string(text), 0o644)
	digest, err := p.Digest()
	require.NoError(t, err)
	list, err := p.Units(pitr.UnitOptions{Stateward: "/mnt/bin/stateward", Path: strings.Split(searched, ":"), Digest: digest})
	require.NoError(t, err)
	require.Len(t, list, 4)
	for _, u := range list {
		service, err := u.Service()
		require.NoError(t, err)
		write(t, "/etc/systemd/system/"+u.Name+".service", service, 0o644)
		timer, err := u.Timer()
		require.NoError(t, err)
		write(t, "/etc/systemd/system/"+u.Name+".timer", timer, 0o644)
	}
	must(t, "systemctl", "daemon-reload")
	return p
}

// plan writes the plan, and the units of it.
func plan(t *testing.T, policy, timeout string) string {
	t.Helper()
	p := preseed.Plan{Name: "postgresql", Service: "postgresql", Units: []string{server}, Dataset: name, Mountpoint: top, OnNoBackup: preseed.Refuse,
		ProtocolVersion: preseed.FormatVersion, Timeout: timeout, Owner: "postgres", Group: "postgres", Mode: "0750", Properties: map[string]string{"recordsize": "8K"},
		Sources: []preseed.Source{{Kind: preseed.Local}, {Kind: preseed.PITR, Policy: policy}}}
	text, err := p.Write()
	require.NoError(t, err)
	write(t, "/srv/plan.json", string(text), 0o644)
	own, err := p.Unit(preseed.UnitOptions{Stateward: "/mnt/bin/stateward", Plan: "/srv/plan.json", Path: strings.Split(searched, ":"), Remote: true})
	require.NoError(t, err)
	drop, err := p.DropIn()
	require.NoError(t, err)
	write(t, "/etc/systemd/system/"+p.UnitName(), own, 0o644)
	write(t, "/etc/systemd/system/"+server+".d/preseed.conf", drop, 0o644)
	must(t, "systemctl", "daemon-reload")
	return "/srv/plan.json"
}

// record is what the newest run left.
func record(t *testing.T) (r struct {
	Outcome preseed.Outcome
	Why     string
	Notes   []string
}) {
	t.Helper()
	text, err := os.ReadFile(state + "/postgresql/newest.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(text, &r))
	return r
}

// running starts a run by hand; what it says is in what it returns.
func running(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	cmd := exec.Command("/mnt/bin/stateward", append([]string{"preseed", "run"}, args...)...)
	said := new(bytes.Buffer)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), "PATH="+searched), said, said
	require.NoError(t, cmd.Start())
	return cmd, said
}

// killed has a run killed once something is reached.
func killed(t *testing.T, s *store, hold func(path string) bool) {
	t.Helper()
	s.stopAt(hold)
	cmd, said := running(t, "/srv/plan.json")
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case at := <-s.reached:
		t.Logf("killed at %s", at)
	case err := <-ended:
		require.Fail(t, "it ended before it was killed", "%v\n%s", err, said)
	case <-time.After(5 * time.Minute):
		require.Fail(t, "it was not reached", "%s", said)
	}
	require.NoError(t, cmd.Process.Kill())
	require.EqualError(t, <-ended, "signal: killed")
	select {
	case s.goOn <- struct{}{}:
	case <-time.After(time.Second): // what asked is gone as well
	}
}

// machine makes the user, the pool with an empty dataset, the store, and the unit of the server.
func machine(t *testing.T) *store {
	t.Helper()
	try("ip", "link", "set", "lo", "up")
	must(t, "useradd", "--system", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", "postgres")
	if _, err := os.Stat("/usr/share/zoneinfo"); err != nil {
		require.NoError(t, os.Symlink("/mnt/tools/postgresql/usr/share/zoneinfo", "/usr/share/zoneinfo"))
	}
	must(t, "zpool", "create", "-f", "-O", "mountpoint=none", "-O", "compression=lz4", "tank", "/dev/ubdb")
	write(t, "/srv/pitr.env", "AWS_ACCESS_KEY_ID=forge\nAWS_SECRET_ACCESS_KEY="+secret+"\nAWS_DEFAULT_REGION=us-east-1\nAWS_MAX_ATTEMPTS=1\n", 0o400)
	own(t, "/srv/pitr.env")
	write(t, "/srv/wrap/zfs", `#!/bin/sh
if [ "$1" = rename ] && [ -e /srv/armed ]; then : >/srv/reached; exec sleep 60; fi
exec /usr/sbin/zfs "$@"
`, 0o755)
	require.NoError(t, os.MkdirAll("/srv/socket", 0o755))
	own(t, "/srv/socket")
	write(t, "/etc/systemd/system/"+server, `[Service]
Type=notify
User=postgres
Environment=PATH=`+searched+` TZ=UTC
EnvironmentFile=/srv/pitr.env
ExecStart=`+bin+`/postgres -D `+data+`
KillMode=mixed
KillSignal=SIGINT
`, 0o644)
	return newStore(t)
}

func own(t *testing.T, file string) {
	t.Helper()
	u, err := user.Lookup("postgres")
	require.NoError(t, err)
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	require.NoError(t, os.Chown(file, uid, gid))
}

// empty makes the dataset anew.
func empty(t *testing.T) string {
	t.Helper()
	if _, err := try("zfs", "list", name); err == nil {
		must(t, "zfs", "destroy", name)
	}
	must(t, "zfs", "create", "-o", "mountpoint="+top, "-o", "recordsize=8K", "-o", "mine:note=kept", name)
	return property(t, name, "guid")
}
