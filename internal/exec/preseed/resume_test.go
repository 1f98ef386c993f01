//go:build unix

package preseed

import (
	"bytes"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
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

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/backup"
)

// counted is a body of which it is known how much was read.
type counted struct {
	io.ReadCloser
	read func(int)
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.read(n)
	time.Sleep(2 * time.Millisecond) // what is on its way lies in no buffer for long
	return n, err
}

// restServer starts the real server of repositories of restic, and something before it that counts what is had of the data.
func restServer(t *testing.T, dir string, read func(int)) string {
	t.Helper()
	program := os.Getenv("STATEWARD_TEST_REST_SERVER")
	if program == "" {
		var err error
		program, err = exec.LookPath("rest-server")
		require.NoError(t, err, `a server is needed; run: eval "$(scripts/deps.sh --versions)"`)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	cmd := exec.Command(program, "--no-auth", "--listen", address, "--path", dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	for i := 0; ; i++ {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			break
		}
		require.Less(t, i, 1000, "the server does not start")
		time.Sleep(10 * time.Millisecond)
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	proxy.ModifyResponse = func(r *http.Response) error {
		if r.Request.Method == http.MethodGet && strings.Contains(r.Request.URL.Path, "/data/") {
			r.Body = counted{r.Body, read}
		}
		return nil
	}
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) {}
	front := httptest.NewServer(proxy)
	t.Cleanup(front.Close)
	return "rest:" + front.URL + "/app"
}

// E10: restic, killed in the middle of a restore, has only the rest sent when it goes on; and what was torn, or written by something else meanwhile, is what the snapshot has in the end.
func TestE10ResticGoesOn(t *testing.T) {
	for _, program := range resticPrograms(t) {
		t.Run(filepath.Base(program), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			at := func(name string) string { return filepath.Join(dir, name) }
			require.NoError(t, os.MkdirAll(at("source/folder"), 0o755))
			const files, each = 12, 2 << 20
			random := rand.NewChaCha8([32]byte{1})
			for i := range files {
				data := make([]byte, each)
				_, _ = random.Read(data)
				require.NoError(t, os.WriteFile(at("source/folder/"+strconv.Itoa(i)), data, 0o640))
			}
			require.NoError(t, os.WriteFile(at("password"), []byte("x\n"), 0o600))
			// The process is restic itself, and known. It has two packs at a time, of 4 MiB, and writes each once it has all of it.
			script := "#!/bin/sh\necho $$ >" + at("pid") + "\nRESTIC_PACK_SIZE=4 exec " + program + " -o rest.connections=2 \"$@\"\n"
			require.NoError(t, os.WriteFile(at("restic"), []byte(script), 0o755))
			var lock sync.Mutex
			read, stop := 0, 0
			url := restServer(t, at("server"), func(n int) {
				lock.Lock()
				defer lock.Unlock()
				if read += n; stop > 0 && read > stop {
					stop = 0
					text, _ := os.ReadFile(at("pid"))
					if pid, err := strconv.Atoi(string(bytes.TrimSpace(text))); err == nil {
						_ = syscall.Kill(pid, syscall.SIGKILL)
					}
				}
			})
			o := backup.Options{Restic: at("restic"), Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "RESTIC_CACHE_DIR=" + at("cache")}, StateDir: at("state"), LockDir: at("lock"), Now: time.Now}
			j := restic.Job{ProtocolVersion: "1", Name: "app", Repository: url, PasswordFile: at("password"), Paths: []string{at("source")}, Host: "forge"}
			_, err := backup.Init(t.Context(), j, o)
			require.NoError(t, err)
			_, err = backup.Run(t.Context(), j, o)
			require.NoError(t, err)

			r := &runner{o: Options{Backup: o, Now: time.Now}}
			list, caller, err := r.resticSnapshots(t.Context(), j)
			require.NoError(t, err)
			require.Len(t, list, 1)
			root := list[0].Root()
			x := resticRestore{job: j, caller: caller, snapshot: list[0].ID, root: root, wanted: []string{at("source")}, nodes: map[string]node{}, moved: &progress{}}
			_, err = caller.Lines(t.Context(), "ls", j.ListFilesArgs(x.snapshot), func(line []byte) {
				var n node
				if json.Unmarshal(line, &n) == nil && n.Type != "" {
					x.nodes[n.Path] = n
				}
			})
			require.NoError(t, err)
			require.NoError(t, os.Mkdir(at("target"), 0o755))

			lock.Lock()
			read, stop = 0, files*each*2/3
			lock.Unlock()
			require.Error(t, x.into(t.Context(), at("source"), at("target")), "it was not killed")
			lock.Lock()
			first := read
			read = 0
			lock.Unlock()
			// Something tears a file that was there, of the same size.
			torn := at("target/folder/0")
			if info, err := os.Stat(torn); err == nil && info.Size() > 0 {
				f, err := os.OpenFile(torn, os.O_WRONLY, 0)
				require.NoError(t, err)
				_, err = f.WriteAt([]byte("torn"), 1000)
				require.NoError(t, err)
				require.NoError(t, f.Close())
			}
			x.resumes = true
			require.NoError(t, x.into(t.Context(), at("source"), at("target")))
			lock.Lock()
			second := read
			lock.Unlock()
			out, err := exec.Command("diff", "-r", at("source"), at("target")).CombinedOutput()
			require.NoError(t, err, "%s", out)
			info, err := os.Stat(at("target/folder/0"))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o640), info.Mode())
			t.Logf("%d bytes were sent of %d before it was killed, and %d after it", first, files*each, second)
			// What was on its way when it was killed is sent once more.
			require.Less(t, second, files*each*5/6)
			require.Greater(t, second, 0)
		})
	}
}
