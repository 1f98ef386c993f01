//go:build unix

package pitr

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/exec/backup"
	"github.com/stateward/stateward/internal/pgtest"
	"github.com/stateward/stateward/internal/run"
)

// What root does in a folder of the user of the cluster stays there, wherever links lead that this user has made meanwhile.
func TestG6NoLinkLeadsRootOut(t *testing.T) {
	top := t.TempDir()
	users := filepath.Join(top, "postgresql") // below it all is the user's
	was := rootsOwn
	rootsOwn = func(dir string) bool { return dir != users && !strings.HasPrefix(dir, users+"/") }
	t.Cleanup(func() { rootsOwn = was })
	secret := filepath.Join(top, "etc")
	require.NoError(t, os.Mkdir(secret, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(secret, "shadow"), []byte("root"), 0o644))
	untouched := func() {
		t.Helper()
		entries, err := os.ReadDir(secret)
		require.NoError(t, err)
		require.Len(t, entries, 1)
		text, err := os.ReadFile(filepath.Join(secret, "shadow"))
		require.NoError(t, err)
		require.Equal(t, "root", string(text))
		for name, mode := range map[string]os.FileMode{secret: 0o755 | os.ModeDir, filepath.Join(secret, "shadow"): 0o644} {
			info, err := os.Stat(name)
			require.NoError(t, err)
			require.Equal(t, mode, info.Mode())
		}
	}
	r := &runner{as: &run.Account{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}}
	dir := filepath.Join(users, "17", "main")
	for name, link := range map[string]string{"data directory": dir, "folder above it": filepath.Dir(dir)} {
		for _, to := range []string{secret, "../../../etc", "../../etc"} {
			t.Run(name+" "+to, func(t *testing.T) {
				require.NoError(t, os.RemoveAll(users))
				require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o700))
				require.NoError(t, os.Symlink(to, link))
				require.Error(t, r.begin(dir))
				_, _, err := r.found(dir)
				if link == dir || to == secret {
					require.Error(t, err)
				}
				_, err = exclusiveAs(r, dir)
				if link != dir {
					require.Error(t, err)
				}
				untouched()
			})
		}
	}
	t.Run("a link that leads out is named", func(t *testing.T) {
		require.NoError(t, os.RemoveAll(users))
		require.NoError(t, os.MkdirAll(filepath.Dir(dir), 0o700))
		require.NoError(t, os.Symlink(secret, dir))
		var link *LinkError
		require.ErrorAs(t, r.begin(dir), &link)
		require.Contains(t, link.Hint(), "cluster.dataDir")
	})
	// Each folder below the data directory becomes a link behind the back of who made it.
	for _, name := range []string{mark, restored, logDir} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(users))
			require.NoError(t, r.begin(dir))
			require.NoError(t, os.MkdirAll(filepath.Join(dir, restored, logDir, "archive_status"), 0o700))
			require.NoError(t, os.MkdirAll(filepath.Join(dir, logDir), 0o700))
			require.NoError(t, os.RemoveAll(filepath.Join(dir, name)))
			require.NoError(t, os.Symlink(secret, filepath.Join(dir, name)))
			j := &journal{}
			if name == mark {
				require.Error(t, r.note(dir, j, moving))
			}
			require.Error(t, r.moved(dir, j))
			_ = r.within(dir, func(at *place) error { return at.movedLog() })
			_ = r.within(dir, func(at *place) error { return at.RemoveAll(mark) })
			untouched()
		})
	}
	t.Run("a file that waits for what is written", func(t *testing.T) {
		require.NoError(t, os.RemoveAll(users))
		require.NoError(t, r.begin(dir))
		for _, n := range []string{"journal.json", ".journal.json.new"} {
			require.NoError(t, os.Symlink(filepath.Join(secret, "shadow"), filepath.Join(dir, mark, n)))
		}
		require.NoError(t, r.note(dir, &journal{}, moving))
		untouched()
		// The lock, too.
		require.NoError(t, os.Symlink(filepath.Join(secret, "new"), filepath.Join(filepath.Dir(dir), lockName(dir))))
		_, err := exclusiveAs(r, dir)
		require.Error(t, err)
		untouched()
	})
	// What a job writes, too: its lock, its record and its metrics.
	for name, link := range map[string]string{"folder of a job": dir, "folder above that of a job": filepath.Dir(dir)} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(users))
			require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o700))
			require.NoError(t, os.Symlink(secret, link))
			if link != dir {
				require.Error(t, r.makeState(dir))
			}
			_, err := r.lock(dir, "main.lock")
			require.Error(t, err)
			err = r.writeMetrics(dir, "main.prom", "up 1\n")
			var failed *backup.MetricsError
			require.ErrorAs(t, err, &failed)
			require.Contains(t, err.Error(), "metricsDir "+dir+": ")
			untouched()
		})
	}
	t.Run("a file that waits for the metrics", func(t *testing.T) {
		require.NoError(t, os.RemoveAll(users))
		require.NoError(t, os.MkdirAll(dir, 0o700))
		for _, n := range []string{"main.prom", ".main.prom.new"} {
			require.NoError(t, os.Symlink(filepath.Join(secret, "shadow"), filepath.Join(dir, n)))
		}
		require.NoError(t, os.Symlink(filepath.Join(secret, "new"), filepath.Join(dir, "main.lock")))
		require.NoError(t, r.writeMetrics(dir, "main.prom", "up 1\n"))
		info, err := os.Lstat(filepath.Join(dir, "main.prom"))
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o644), info.Mode(), "node_exporter is another user")
		_, err = r.lock(dir, "main.lock")
		require.Error(t, err)
		untouched()
	})
}

// The words of what cannot be written are those of a person's own folder, and one job of a cluster runs at a time.
func TestWhatAJobWrites(t *testing.T) {
	r, dir := &runner{}, filepath.Join(t.TempDir(), "pitr", "main")
	require.EqualError(t, r.writeMetrics(dir, "main.prom", ""), "metricsDir "+dir+": no such file or directory")
	require.NoError(t, r.makeState(dir))
	require.NoError(t, r.makeState(dir))
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700)|os.ModeDir, info.Mode())
	release, err := r.lock(dir, "main.lock")
	require.NoError(t, err)
	_, err = r.lock(dir, "main.lock")
	var held *backup.HeldError
	require.ErrorAs(t, err, &held)
	release()
	release, err = r.lock(dir, "main.lock")
	require.NoError(t, err)
	release()
}

// Nobody is let in twice, and no lock stays.
func TestTheLockOfARecoveryGoesWithIt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "main")
	r := &runner{}
	at := make(chan int, 1)
	done := make(chan error)
	const some, times = 4, 25
	for range some {
		go func() {
			for n := 0; n < times; {
				release, err := exclusiveAs(r, dir)
				if err != nil {
					if strings.Contains(err.Error(), "is at work") || strings.Contains(err.Error(), "over and over") {
						continue
					}
					done <- err
					return
				}
				n++
				at <- n
				if len(at) != 1 {
					done <- os.ErrExist
					return
				}
				<-at
				release()
			}
			done <- nil
		}()
	}
	for range some {
		require.NoError(t, <-done)
	}
	entries, err := os.ReadDir(filepath.Dir(dir))
	require.NoError(t, err)
	require.Empty(t, entries)
}

// Some tools store the link itself: in its place there is a folder, and what it leads to is left alone.
func TestALinkInPlaceOfTheLogBecomesAFolder(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(elsewhere, "000000010000000000000001"), nil, 0o600))
	r := &runner{}
	require.NoError(t, r.begin(dir))
	require.NoError(t, os.Mkdir(filepath.Join(dir, restored), 0o700))
	require.NoError(t, os.Symlink(elsewhere, filepath.Join(dir, restored, logDir)))
	j := &journal{}
	require.NoError(t, r.within(dir, func(at *place) error { return at.logInside(j) }))
	require.Equal(t, elsewhere, j.WALLink)
	require.NoError(t, r.within(dir, func(at *place) error { return at.apart(nil, nil) }))
	require.NoError(t, r.moved(dir, j))
	info, err := os.Lstat(filepath.Join(dir, logDir))
	require.NoError(t, err)
	require.True(t, info.IsDir())
	require.FileExists(t, filepath.Join(elsewhere, "000000010000000000000001"))
	// Another run reads it from what was written down.
	_, again, err := r.found(dir)
	require.NoError(t, err)
	require.Equal(t, elsewhere, again.WALLink)
}

// A log that lies elsewhere by a link (initdb --waldir) comes back in the data directory; where the link leads to nothing is touched.
func TestRecoveryOfALogBehindALink(t *testing.T) {
	for _, v := range pgtest.All(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, v)
			elsewhere := filepath.Join(b.Dir, "wal")
			b.Stop(b.Data)
			require.NoError(t, os.Rename(filepath.Join(b.Data, logDir), elsewhere))
			require.NoError(t, os.Symlink(elsewhere, filepath.Join(b.Data, logDir)))
			b.Start(b.Data)
			b.BaseBackup()
			b.Insert(7)
			b.Archive()
			b.Lose()
			before, err := os.ReadDir(elsewhere)
			require.NoError(t, err)
			r, err := Recover(t.Context(), b.p, pitr.Target{}, b.o)
			require.NoError(t, err)
			require.Contains(t, []string{"", elsewhere}, r.WALLink) // as the version of barman-cloud stores it
			info, err := os.Lstat(filepath.Join(b.Data, logDir))
			require.NoError(t, err)
			require.True(t, info.IsDir())
			after, err := os.ReadDir(elsewhere)
			require.NoError(t, err)
			require.Equal(t, len(before), len(after))
			require.NoFileExists(t, filepath.Join(b.Dir, lockName(b.Data)))
			require.Equal(t, "1 2 3 4 5 6 7", b.rows(b.Data))
		})
	}
}
