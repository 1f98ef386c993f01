//go:build unix

package pitr

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/pgtest"
)

func TestMain(m *testing.M) {
	if text := os.Getenv("STATEWARD_TEST_RECOVER"); text != "" {
		os.Exit(recoverHere(text))
	}
	if text := os.Getenv("STATEWARD_TEST_DRILL"); text != "" {
		os.Exit(drillHere(text))
	}
	pgtest.Main(m)
}

// bench is a cluster with its policy.
type bench struct {
	t *testing.T
	*pgtest.Cluster
	p pitr.Policy
	o Options
	// moment is after rows 1 to 4 and before 5 and 6.
	moment time.Time
}

func newBench(t *testing.T, v pgtest.Version) *bench {
	c := pgtest.NewArchived(t, v)
	b := &bench{t: t, Cluster: c.Cluster, moment: c.Moment, p: pitr.Policy{
		Cluster:     pitr.Cluster{Name: "postgresql", DataDir: c.Data, User: "postgres", BinDir: v.Bin},
		Destination: c.Destination, Server: c.Server, Endpoint: c.S3.URL, EnvironmentFile: c.EnvironmentFile,
	}}
	b.o = Options{Env: c.Env[:4], Now: time.Now, Said: func(l string) { t.Log(l) }, Began: func(l string) { t.Log(l) }}
	return b
}

// rows starts the recovered cluster as its unit would, and reads it.
func (b *bench) rows(data string) string {
	b.t.Helper()
	b.Start(data)
	b.t.Cleanup(func() { b.Stop(data) })
	require.Equal(b.t, "f", b.SQL("select pg_is_in_recovery()"))
	return b.SQL("select string_agg(n::text, ' ' order by n) from rows")
}

func TestRecovery(t *testing.T) {
	for _, v := range pgtest.All(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, v)
			a, err := Look(t.Context(), b.p, b.o)
			require.NoError(t, err)
			ranges, gaps := pitr.Window(a)
			require.Empty(t, gaps)
			require.Len(t, ranges, 1)
			require.True(t, ranges[0].Exact)
			b.Lose()

			// Outside of the window (G2): nothing is made.
			for _, at := range []time.Time{b.moment.Add(-time.Hour), b.moment.Add(time.Hour)} {
				_, err = Recover(t.Context(), b.p, pitr.Target{Time: at}, b.o)
				var outside *pitr.OutsideError
				require.ErrorAs(t, err, &outside)
				require.Contains(t, err.Error(), "the window is ")
				require.NoDirExists(t, b.Data)
			}

			// What leads out of the data directory is none of ours, and what lies in the log's own file system somebody needs (G6).
			var other *pitr.DataDirError
			require.NoError(t, os.MkdirAll(filepath.Join(b.Dir, "elsewhere"), 0o700))
			require.NoError(t, os.Mkdir(b.Data, 0o700))
			require.NoError(t, os.Symlink(filepath.Join(b.Dir, "elsewhere"), filepath.Join(b.Data, mark)))
			_, err = Recover(t.Context(), b.p, pitr.Target{Time: b.moment}, b.o)
			require.ErrorAs(t, err, &other)
			require.NoError(t, os.Remove(filepath.Join(b.Data, mark)))
			require.NoError(t, os.MkdirAll(filepath.Join(b.Data, logDir, "archive_status"), 0o700))
			_, err = Recover(t.Context(), b.p, pitr.Target{Time: b.moment}, b.o)
			require.ErrorAs(t, err, &other)
			require.NoError(t, os.Remove(filepath.Join(b.Data, logDir, "archive_status")))
			// An empty one is taken: this is how data and log have a dataset each.
			require.NoError(t, os.Mkdir(filepath.Join(b.Data, logDir, "lost+found"), 0o700))
			kept, err := os.Stat(filepath.Join(b.Data, logDir))
			require.NoError(t, err)

			// To a moment: the rows before it, and none after.
			r, err := Recover(t.Context(), b.p, pitr.Target{Time: b.moment}, b.o)
			require.NoError(t, err)
			require.True(t, r.Done)
			require.Equal(t, pitr.Timeline(2), r.Timeline)
			require.Equal(t, []string{"postgres", "template1"}, r.Databases)
			require.NoDirExists(t, filepath.Join(b.Data, mark))
			now, err := os.Stat(filepath.Join(b.Data, logDir))
			require.NoError(t, err)
			require.True(t, os.SameFile(kept, now))
			require.Equal(t, "1 2 3 4", b.rows(b.Data))
			// It archives to a prefix of its own (G4), and the old one stays as it was.
			b.Insert(7)
			b.Archive()
			after, err := Look(t.Context(), b.p, b.o)
			require.NoError(t, err)
			require.Equal(t, a, after)
			next := b.p
			next.Server = r.Plan.Archive
			beyond, err := Look(t.Context(), next, b.o)
			require.NoError(t, err)
			require.NotEmpty(t, beyond.Segments)

			// The history of its timeline is stored with the first base backup there: no server that was promoted without archiving does (G3).
			o := b.o
			o.StateDir = filepath.Join(b.Dir, "state")
			next.Cluster.Socket = b.Socket
			require.Empty(t, beyond.Histories)
			b.SQL("checkpoint")
			// Without a base backup it is the server that tells how large its segments are: what it did not archive yet is seen.
			b.Insert(8)
			checked, err := Check(t.Context(), next, o)
			require.NoError(t, err)
			require.False(t, checked.Check.Live.Waiting.IsZero())
			run, err := Backup(t.Context(), next, o)
			require.NoError(t, err)
			require.Equal(t, []string{"00000002.history was not in the archive, and is stored now"}, run.Notes)
			beyond, err = Look(t.Context(), next, b.o)
			require.NoError(t, err)
			_, err = pitr.NewRecovery(beyond, pitr.Target{}, next)
			require.NoError(t, err)
			// Given back to the old prefix, it is refused: what lies there goes on elsewhere (G4).
			back := b.p
			back.Cluster.Socket = b.Socket
			b.SQL("alter system set archive_command = '" + strings.ReplaceAll(strings.Replace(b.SQL("show archive_command"), next.Server, back.Server, 1), "'", "''") + "'")
			b.SQL("select pg_reload_conf()")
			time.Sleep(200 * time.Millisecond)
			var fault *pitr.FaultError
			_, err = Backup(t.Context(), back, o)
			require.ErrorAs(t, err, &fault)
			require.Contains(t, err.Error(), "and what lies in main goes on after that on timeline 1: it was recovered to an earlier moment")

			// A cluster is there now (G6).
			_, err = Recover(t.Context(), b.p, pitr.Target{}, b.o)
			var taken *pitr.DataDirError
			require.ErrorAs(t, err, &taken)
			// And its new prefix is taken (G4).
			again := b.p
			again.Cluster.DataDir = filepath.Join(b.Dir, "again")
			_, err = Recover(t.Context(), again, pitr.Target{}, b.o)
			var prefix *pitr.PrefixError
			require.ErrorAs(t, err, &prefix)
			require.Contains(t, prefix.Hint(), `write "server": "main-t2" in the policy`)
			require.NoDirExists(t, again.Cluster.DataDir)
		})
	}
}
