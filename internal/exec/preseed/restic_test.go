//go:build unix

package preseed

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/backup"
	"github.com/stateward/stateward/preseed"
)

func resticPrograms(t *testing.T) []string {
	programs := filepath.SplitList(os.Getenv("STATEWARD_TEST_RESTIC"))
	if len(programs) == 0 {
		found, err := exec.LookPath("restic")
		require.NoError(t, err, `restic is needed; run: make deps, or eval "$(scripts/deps.sh --versions)"`)
		programs = []string{found}
	}
	return programs
}

// E7: that a repository has nothing is known only where it surely has nothing. One that lost its snapshots lists none, without a word.
func TestE7WhatARepositoryHas(t *testing.T) {
	for _, program := range resticPrograms(t) {
		t.Run(filepath.Base(program), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			at := func(name string) string { return filepath.Join(dir, name) }
			require.NoError(t, os.Mkdir(at("source"), 0o755))
			require.NoError(t, os.WriteFile(at("source/file"), []byte("x"), 0o644))
			require.NoError(t, os.WriteFile(at("password"), []byte("x\n"), 0o600))
			o := backup.Options{Restic: program, Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "RESTIC_CACHE_DIR=" + at("cache")}, StateDir: at("state"), LockDir: at("lock"), Now: time.Now}
			j := restic.Job{ProtocolVersion: "1", Name: "app", Repository: at("repository"), PasswordFile: at("password"), Paths: []string{at("source")}, Host: "forge"}
			text, err := j.Write()
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(at("job.json"), text, 0o600))
			ask := func() (kind preseed.AnswerKind, reason string) {
				t.Helper()
				r := &runner{plan: preseed.Plan{Mountpoint: at("source"), Sources: []preseed.Source{{Kind: preseed.Restic, Job: at("job.json")}}}, o: Options{Backup: o, Now: time.Now},
					answers: map[preseed.SourceKind]preseed.Answer{}, skip: map[string]bool{}}
				a := r.ask(t.Context(), preseed.Restic)
				return a.Kind, a.Reason
			}
			expect := func(want preseed.AnswerKind, reason string) {
				t.Helper()
				kind, got := ask()
				require.Equal(t, want, kind, got)
				require.Contains(t, got, reason)
			}
			run := func(j restic.Job) {
				t.Helper()
				_, err := backup.Run(t.Context(), j, o)
				require.NoError(t, err)
			}

			expect(preseed.SourceUnreachable, "no repository")
			_, err = backup.Init(t.Context(), j, o)
			require.NoError(t, err)
			expect(preseed.ConfirmedNone, "")
			other := j
			other.Name = "other"
			run(other)
			expect(preseed.ConfirmedNone, "") // another job's are none of ours
			run(j)
			expect(preseed.Available, "")

			// The snapshots are lost, and the machine still knows that there was one; and does not.
			require.NoError(t, os.Rename(at("repository/snapshots"), at("lost")))
			require.NoError(t, os.Mkdir(at("repository/snapshots"), 0o700))
			expect(preseed.SourceRefused, "the repository has no snapshot of the job")
			require.NoError(t, os.Rename(at("state"), at("state-was")))
			expect(preseed.SourceRefused, "lists no snapshot at all")
			require.NoError(t, os.RemoveAll(at("repository/snapshots")))
			expect(preseed.SourceRefused, "lists no snapshot at all")
			require.NoError(t, os.Rename(at("lost"), at("repository/snapshots")))
			expect(preseed.Available, "")

			// Only a snapshot is left that came after the last good run.
			require.NoError(t, os.Rename(at("state-was"), at("state")))
			rec, err := backup.ReadRecord(o.StateDir, "app")
			require.NoError(t, err)
			rec.LastGood.Time, rec.LastGood.Snapshot = rec.LastGood.Time.Add(-time.Hour), "0000000000000000000000000000000000000000000000000000000000000000"
			text, err = json.Marshal(rec)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(at("state/app.json"), text, 0o600))
			expect(preseed.SourceRefused, "no snapshot that a good run")
			require.NoError(t, os.WriteFile(at("password"), []byte("y\n"), 0o600))
			expect(preseed.SourceUnreachable, "wrong password")
		})
	}
}
