//go:build unix

package pitr

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/pgtest"
)

// asked is a recovery that runs in a process of its own, and kills itself where it comes to a point.
type asked struct {
	Policy pitr.Policy
	Env    []string
	Kill   string
	// Backup asks for a base backup instead.
	Backup, StateDir string
}

func recoverHere(text string) int {
	var a asked
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		panic(err)
	}
	passed = func(point string) {
		if a.Kill != "" && strings.HasPrefix(point, a.Kill) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	say := func(l string) { fmt.Fprintln(os.Stderr, l) }
	if a.Backup != "" {
		_, err := Backup(context.Background(), a.Policy, Options{Env: a.Env, Now: time.Now, Said: say, Began: say, StateDir: a.StateDir})
		fmt.Fprintln(os.Stderr, "ended with:", err)
		return 1
	}
	r, err := Recover(context.Background(), a.Policy, pitr.Target{}, Options{Env: a.Env, Now: time.Now, Said: say, Began: say})
	out, _ := json.Marshal(r)
	fmt.Println(string(out))
	if err != nil {
		fmt.Fprintln(os.Stderr, "ended with:", err)
		return 1
	}
	return 0
}

// door stands before the store: what comes by is looked at, and may be refused.
type door struct {
	*httptest.Server
	mu   sync.Mutex
	hook func(http.ResponseWriter, *http.Request) bool
	leak string
}

func newDoor(t *testing.T, to string) *door {
	u, err := url.Parse(to)
	require.NoError(t, err)
	d := &door{}
	// What is signed names the door, so the name stays.
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = u.Scheme, u.Host
		r.Out.Host = r.In.Host
	}}
	d.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.look()
		d.mu.Lock()
		hook := d.hook
		d.mu.Unlock()
		if hook == nil || !hook(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(d.Close)
	return d
}

func (d *door) set(hook func(http.ResponseWriter, *http.Request) bool) {
	d.mu.Lock()
	d.hook = hook
	d.mu.Unlock()
}

// look looks for the secret in what every process is called with.
func (d *door) look() {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range all {
		if line, _ := os.ReadFile(name); bytes.Contains(line, []byte(pgtest.Secret)) {
			d.mu.Lock()
			d.leak = string(line)
			d.mu.Unlock()
		}
	}
}

func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err == nil {
		conn.Close()
	}
}

// nowhere holds that a text and the files below a directory do not tell the key.
func nowhere(t *testing.T, dir string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		require.NotContains(t, text, pgtest.Secret)
	}
	require.NoError(t, filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(name)
		if bytes.Contains(text, []byte(pgtest.Secret)) {
			return fmt.Errorf("%s tells the key", name)
		}
		return err
	}))
}

func TestG8G9EndOfLogAndFaults(t *testing.T) {
	for _, v := range pgtest.All(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, v)
			b.Lose()
			d := newDoor(t, b.S3.URL)
			b.p.Endpoint = d.URL
			f, err := os.OpenFile(b.EnvironmentFile, os.O_APPEND|os.O_WRONLY, 0)
			require.NoError(t, err)
			_, err = f.WriteString("AWS_MAX_ATTEMPTS=1\n")
			require.NoError(t, errors.Join(err, f.Close()))
			var said strings.Builder
			b.o.Said = func(l string) { said.WriteString(l + "\n"); t.Log(l) }
			b.o.Began = b.o.Said
			refused := func(name string, p pitr.Policy, as any, text string) {
				t.Helper()
				_, err := Recover(t.Context(), p, pitr.Target{}, b.o)
				require.Error(t, err, name)
				said.WriteString(err.Error() + "\n")
				t.Logf("%s: %v", name, err)
				require.ErrorAs(t, err, as, name)
				require.Contains(t, err.Error(), text, name)
				require.NoFileExists(t, filepath.Join(p.Cluster.DataDir, "PG_VERSION"), name)
			}

			// A wrong server name, a wrong key, a store that is off: nothing is made.
			var empty *EmptyError
			wrong := b.p
			wrong.Server = "mian"
			refused("server name", wrong, &empty, "nothing is archived below mian in s3://bucket/pg")
			var tool *ToolError
			wrong = b.p
			wrong.EnvironmentFile = filepath.Join(b.Dir, "wrong")
			require.NoError(t, os.WriteFile(wrong.EnvironmentFile, []byte("AWS_MAX_ATTEMPTS=1\nAWS_ACCESS_KEY_ID=forge\nAWS_SECRET_ACCESS_KEY=x"+pgtest.Secret+"\n"), 0o600))
			refused("key", wrong, &tool, "(403)")
			require.Contains(t, tool.Hint(), "the store refuses the key")
			wrong = b.p
			wrong.Endpoint = "http://127.0.0.1:1"
			refused("store", wrong, &tool, "Could not connect to the endpoint URL")
			require.Contains(t, tool.Hint(), "the store does not answer")
			require.NoDirExists(t, b.Data)

			// Somebody's files.
			taken := b.p
			taken.Cluster.DataDir = filepath.Join(b.Dir, "taken")
			require.NoError(t, os.MkdirAll(taken.Cluster.DataDir, 0o700))
			require.NoError(t, os.WriteFile(filepath.Join(taken.Cluster.DataDir, "thesis"), []byte("years"), 0o600))
			var other *pitr.DataDirError
			refused("not empty", taken, &other, "is not empty, and what is there is not known")
			text, err := os.ReadFile(filepath.Join(taken.Cluster.DataDir, "thesis"))
			require.NoError(t, err)
			require.Equal(t, "years", string(text))

			// The end of the log, killed at each step, with another run after it.
			a, err := Look(t.Context(), b.p, b.o)
			require.NoError(t, err)
			last := a.Segments[0]
			for _, s := range a.Segments {
				if s.Number > last.Number {
					last = s
				}
			}
			lastName := last.Name(a.SegmentSize)
			steps := []struct{ name, get, kill string }{
				{"while the base backup is brought", "/base/", ""}, {"in moving up", "", "moved global"},
				{"in the midst of the log", lastName, ""}, {"before it is written down that it was promoted", "", "promoted"},
				{"before the mark goes", "", "ended"}, {"", "", ""},
			}
			for _, s := range steps {
				text, err := json.Marshal(asked{Policy: b.p, Env: b.o.Env, Kill: s.kill})
				require.NoError(t, err)
				var out bytes.Buffer
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), "STATEWARD_TEST_RECOVER="+string(text))
				cmd.Stdout, cmd.Stderr = &out, &out
				require.NoError(t, cmd.Start())
				d.set(func(w http.ResponseWriter, r *http.Request) bool {
					if s.get == "" || r.Method != http.MethodGet || !strings.Contains(r.URL.Path, s.get) || s.get == "/base/" && !strings.Contains(r.URL.Path, "data.tar") {
						return false
					}
					_ = cmd.Process.Kill()
					hangUp(w)
					return true
				})
				err = cmd.Wait()
				t.Logf("killed %s: %v\n%s", s.name, err, out.String())
				said.WriteString(out.String())
				d.set(nil)
				if s.name == "" {
					require.NoError(t, err)
				} else {
					require.EqualError(t, err, "signal: killed", s.name)
					require.DirExists(t, filepath.Join(b.Data, mark), s.name)
					// Another target than what was begun is refused.
					if s.kill == "moved global" {
						_, err := Recover(t.Context(), b.p, pitr.Target{Time: b.moment}, b.o)
						var begun *OtherError
						require.ErrorAs(t, err, &begun)
					}
				}
			}
			require.NoDirExists(t, filepath.Join(b.Data, mark))
			nowhere(t, b.Data)
			// Nothing that was archived is lost.
			b.Configure(b.Data, "archive_mode = off")
			require.Equal(t, "1 2 3 4 5 6", b.rows(b.Data))
			b.Stop(b.Data)

			// The store goes away in the midst of the log: it is no end of the log. When it is back, recovery goes on.
			again := b.p
			again.Cluster.DataDir = filepath.Join(b.Dir, "again")
			d.set(func(w http.ResponseWriter, r *http.Request) bool {
				if _, err := os.Stat(filepath.Join(again.Cluster.DataDir, "PG_VERSION")); err != nil {
					return false
				}
				hangUp(w)
				return true
			})
			ranges, _ := pitr.Window(a)
			require.Len(t, ranges, 1)
			// The very end of the window, as it is printed: no commit comes after it.
			_, printed, _ := strings.Cut(strings.TrimSuffix(ranges[0].String(), " on timeline 1"), " to ")
			end, err := pitr.ParseTarget(printed)
			require.NoError(t, err)
			_, err = Recover(t.Context(), again, end, b.o)
			require.ErrorAs(t, err, &tool)
			require.Contains(t, tool.Hint(), "in the midst of the log")
			t.Logf("store goes away: %v", err)
			said.WriteString(err.Error() + "\n")
			require.FileExists(t, filepath.Join(again.Cluster.DataDir, "recovery.signal"))
			d.set(nil)
			r, err := Recover(t.Context(), again, end, b.o)
			require.NoError(t, err)
			require.True(t, r.Done)
			b.Configure(again.Cluster.DataDir, "archive_mode = off")
			require.Equal(t, "1 2 3 4 5 6", b.rows(again.Cluster.DataDir))
			b.Stop(again.Cluster.DataDir)

			nowhere(t, filepath.Join(b.Dir, "again"), said.String(), d.leak)
		})
	}
}
