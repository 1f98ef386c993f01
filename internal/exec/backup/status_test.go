//go:build unix

package backup_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	policy "github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/backup"
)

// status asks for the status as of some time after now, and looks whether a secret got out, or something was locked.
func (b *bench) status(later time.Duration) *backup.Status {
	b.t.Helper()
	locks := b.locks()
	o := backup.StatusOptions{Options: b.o}
	o.Now = func() time.Time { return time.Now().Add(later) }
	o.Hostname, _ = os.Hostname()
	s := backup.StatusOf(b.t.Context(), b.job, o)
	text, err := json.Marshal(s)
	require.NoError(b.t, err)
	require.NotContains(b.t, string(text), canary)
	b.noCanary(nil, nil)
	require.Equal(b.t, locks, b.locks())
	return s
}

func kinds(s *backup.Status) []backup.FaultKind {
	out := []backup.FaultKind{}
	for _, f := range s.Faults {
		out = append(out, f.Kind)
	}
	return out
}

func TestStatus(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.job.RPO = "1d"
		b.init()
		s := b.status(0)
		require.Equal(t, []any{backup.Faulty, backup.Read, 0}, []any{s.State, s.Repository, *s.Snapshots})
		require.Equal(t, []backup.FaultKind{backup.NoGoodRun}, kinds(s))

		_, err := b.run()
		require.NoError(t, err)
		b.file("source/more.txt", strings.Repeat("m", 5000))
		r, err := b.run()
		require.NoError(t, err)
		s = b.status(0)
		require.Empty(t, s.Faults)
		require.Equal(t, []any{backup.Fine, 2, r.Snapshot, int64(3), int64(6001)}, []any{s.State, *s.Snapshots, s.Newest.ID, *s.Newest.Files, *s.Newest.Bytes})
		require.Equal(t, []any{int64(1), int64(5000)}, []any{s.Growth.Files, s.Growth.Bytes})
		require.Positive(t, s.Growth.Added)

		s = b.status(25 * time.Hour)
		require.Equal(t, []backup.FaultKind{backup.Overdue}, kinds(s))
		require.Equal(t, "the last good run is 1d 1h old, and may be 1d", strings.Replace(s.Faults[0].Message, "25h", "1d 1h", 1))
		require.Equal(t, []backup.FaultKind{backup.BadClock, backup.BadClock}, kinds(b.status(-time.Hour)), "record and snapshot are of the future")

		// What is under other paths is a note, unless it is the newer.
		other := b.job
		other.Paths = []string{filepath.Join(b.source, "below")}
		b.restic("backup", "--host", "forge", "--tag", "stateward.job=forge-apps", "--time", "2020-01-01 00:00:00", other.Paths[0])
		b.restic("backup", "--host", "another", "--tag", "stateward.job=forge-apps", b.source)
		s = b.status(0)
		require.Empty(t, s.Faults)
		require.Equal(t, 2, *s.Snapshots)
		require.Len(t, s.Notes, 2)
		require.Contains(t, s.Notes[0], "under host forge with "+other.Paths[0]+", which no policy forgets")
		require.Contains(t, s.Notes[1], "under host another")
		b.restic("backup", "--host", "forge", "--tag", "stateward.job=forge-apps", other.Paths[0])
		require.Equal(t, []backup.FaultKind{backup.Moved}, kinds(b.status(0)))

		// E7: a record that says good, of a snapshot that is gone.
		b.restic("forget", r.Snapshot)
		require.Contains(t, kinds(b.status(0)), backup.Lacking)
		b.job.Paths = other.Paths
		require.Contains(t, kinds(b.status(0)), backup.Lacking)

		require.NoError(t, os.WriteFile(filepath.Join(b.o.StateDir, "forge-apps.json"), []byte("{"), 0o600))
		require.Equal(t, []backup.FaultKind{backup.BadRecord, backup.NoGoodRun}, kinds(b.status(0)))
	})
}

// E7: what could not be read is unknown: neither good, nor no backup.
func TestE7StatusOfARepositoryThatCannotBeRead(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		unknown := func(want backup.Reading, said string) {
			t.Helper()
			s := b.status(0)
			require.Equal(t, []any{backup.Unknown, want}, []any{s.State, s.Repository}, s.RepositoryMessage)
			require.Contains(t, s.RepositoryMessage, said)
			require.Nil(t, s.Snapshots)
			require.NotContains(t, kinds(s), backup.Lacking)
		}
		unknown(backup.Missing, "no repository (exit status 10)")
		require.NoDirExists(t, b.job.Repository)
		b.init()
		_, err := b.run()
		require.NoError(t, err)
		b.file("password", canary+"-another\n")
		unknown(backup.BadSecret, "wrong password (exit status 12)")
		require.NoError(t, os.Remove(b.job.PasswordFile))
		unknown(backup.NotAsked, "password")
		b.file("password", canary+"-password\n")
		repository := b.job.Repository
		b.job.Repository = "rest:http://127.0.0.1:1/"
		o := backup.StatusOptions{Options: b.o, Timeout: 2 * time.Second}
		s := backup.StatusOf(t.Context(), b.job, o)
		require.Equal(t, []any{backup.Unknown, backup.Unreachable}, []any{s.State, s.Repository})
		require.Contains(t, s.RepositoryMessage, "no answer within 2s")
		require.NotNil(t, s.LastGood, "what is recorded is said all the same")
		b.job.Repository = repository
		require.NoError(t, os.Rename(filepath.Join(repository, "keys"), filepath.Join(repository, "keys.away")))
		s = b.status(0)
		require.Equal(t, backup.Unknown, s.State)
	})
}

// R6: backups go well, and nothing is ever pruned.
func TestR6StatusTellsOfLocksAndPrunes(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		_, err := b.run()
		require.NoError(t, err)
		other := b.hold()
		s := b.status(0)
		require.Empty(t, s.Faults)
		require.Contains(t, strings.Join(s.Notes, "\n"), "is at work on the repository since")
		require.Contains(t, kinds(b.status(31*time.Minute)), backup.StaleLock)
		b.signal(other, syscall.SIGKILL)
		s = b.status(0)
		require.Equal(t, []backup.FaultKind{backup.StaleLock}, kinds(s))
		require.True(t, s.Locks[0].Stale)
		require.Contains(t, s.Faults[0].Message, "an exclusive lock of process")
		require.Equal(t, 1, b.locks(), "nothing is taken away")
		b.restic("unlock")

		// A prune that fails leaves the backup itself good.
		b.job.Prune, b.job.Retention.ResticPolicy = true, policy.ResticPolicy{Last: 9}
		wrapped := mustWrapped(t, b)
		b.file("restic", "#!/bin/sh\n[ \"$1\" = prune ] && exit 1\nexec "+wrapped+" \"$@\"\n")
		require.NoError(t, os.Chmod(b.o.Restic, 0o755))
		var first *backup.Record
		for range 2 {
			_, err := b.run()
			require.Error(t, err)
			rec, err := backup.ReadRecord(b.o.StateDir, "forge-apps")
			require.NoError(t, err)
			if first == nil {
				first = rec
			}
			require.Empty(t, cmp.Diff(first.After["prune"], rec.After["prune"]), "since the first of them")
		}
		s = b.status(0)
		require.Equal(t, []backup.FaultKind{backup.FailingStep}, kinds(s))
		require.Contains(t, s.Faults[0].Message, "prune fails since")
		require.Contains(t, s.Faults[0].Message, "it never was complete")
		require.NoError(t, os.Rename(wrapped, b.o.Restic))
		_, err = b.run()
		require.NoError(t, err)
		s = b.status(0)
		require.Empty(t, s.Faults)
		require.Equal(t, restic.Complete, s.After["prune"].Outcome)
	})
}
