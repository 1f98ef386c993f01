//go:build unix

package backup_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	policy "github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/backup"
	"github.com/stateward/stateward/internal/restictest"
)

// canary is in every secret, and must never be anywhere else.
const canary = "canary-7f3a91"

// restics are the restic to try with: those of STATEWARD_TEST_RESTIC, or the one of the machine.
func restics(t *testing.T) []string {
	t.Helper()
	if list := os.Getenv("STATEWARD_TEST_RESTIC"); list != "" {
		return filepath.SplitList(list)
	}
	found, err := exec.LookPath("restic")
	require.NoError(t, err, "restic is needed; run: make deps, or eval \"$(scripts/deps.sh --versions)\"")
	return []string{found}
}

// each runs a test with every version of restic.
func each(t *testing.T, f func(t *testing.T, b *bench)) {
	for _, program := range restics(t) {
		t.Run(filepath.Base(program), func(t *testing.T) {
			t.Parallel()
			f(t, newBench(t, program))
		})
	}
}

// bench is a job with its own repository and source.
type bench struct {
	t *testing.T
	// program is the real restic.
	program string
	dir     string
	source  string
	job     restic.Job
	o       backup.Options
	said    bytes.Buffer
	// argv is where every call of restic is written down.
	argv string
	// env is what the backend of the repository needs.
	env []string
}

func newBench(t *testing.T, program string) *bench {
	dir := t.TempDir()
	b := &bench{t: t, dir: dir, program: program, source: filepath.Join(dir, "source"), argv: filepath.Join(dir, "argv")}
	b.file("password", canary+"-password\n")
	b.file("env", "# a comment\nAWS_SECRET_ACCESS_KEY="+canary+"-s3\nRESTIC_REST_PASSWORD=\""+canary+" rest\"\n")
	b.file("source/a.txt", "a")
	b.file("source/below/b.txt", strings.Repeat("b", 1000))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "metrics"), 0o755))
	// It stands between, to write down what every process gets to see.
	b.file("restic", fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' \"$*\" >>%q\nexec %q \"$@\"\n", b.argv, program))
	require.NoError(t, os.Chmod(filepath.Join(dir, "restic"), 0o755))
	b.job = restic.Job{ProtocolVersion: "1", Name: "forge-apps", Repository: filepath.Join(dir, "repository"), PasswordFile: filepath.Join(dir, "password"),
		EnvironmentFile: filepath.Join(dir, "env"), Paths: []string{b.source}, Host: "forge", LockWait: "1s", MetricsDir: filepath.Join(dir, "metrics")}
	b.o = backup.Options{Restic: filepath.Join(dir, "restic"), Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "RESTIC_CACHE_DIR=" + filepath.Join(dir, "cache")},
		StateDir: filepath.Join(dir, "state"), LockDir: filepath.Join(dir, "lock"), Now: time.Now,
		Said: func(line string) { b.said.WriteString(line + "\n") }}
	return b
}

func (b *bench) file(name, text string) {
	b.t.Helper()
	name = filepath.Join(b.dir, name)
	require.NoError(b.t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(b.t, os.WriteFile(name, []byte(text), 0o644))
}

// init makes the repository, which is cheap to open. backup.Init makes those of the tests over the network.
func (b *bench) init() {
	b.t.Helper()
	require.NoError(b.t, restictest.Make(b.job.Repository))
}

func TestMain(m *testing.M) {
	if os.Getenv(killedEnv) != "" {
		os.Exit(runKilled())
	}
	os.Exit(m.Run())
}

// run runs the job, and looks whether a secret got out anywhere.
func (b *bench) run() (*backup.Result, error) {
	b.t.Helper()
	r, err := backup.Run(b.t.Context(), b.job, b.o)
	b.noCanary(r, err)
	return r, err
}

func (b *bench) noCanary(r *backup.Result, err error) {
	b.t.Helper()
	text, merr := json.Marshal(r)
	require.NoError(b.t, merr)
	require.NotContains(b.t, string(text), canary)
	if err != nil {
		require.NotContains(b.t, err.Error(), canary)
	}
	require.NotContains(b.t, b.said.String(), canary)
	for _, dir := range []string{"state", "metrics", "lock", "argv"} {
		_ = filepath.WalkDir(filepath.Join(b.dir, dir), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return nil
			}
			text, err := os.ReadFile(name)
			require.NoError(b.t, err)
			require.NotContains(b.t, string(text), canary, name)
			require.NotContains(b.t, name, ".new")
			return nil
		})
	}
}

// restic calls the real one, beside the job.
func (b *bench) restic(args ...string) []byte {
	b.t.Helper()
	cmd := exec.Command(b.o.Restic, args...)
	cmd.Env = append(append(slices.Clone(b.o.Env), "RESTIC_PASSWORD_FILE="+b.job.PasswordFile, "RESTIC_REPOSITORY="+b.job.Repository), b.env...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		b.t.Fatalf("restic %v: %v\n%s", args, err, exit.Stderr)
	}
	require.NoError(b.t, err)
	return out
}

func (b *bench) snapshots() int {
	b.t.Helper()
	var list []json.RawMessage
	require.NoError(b.t, json.Unmarshal(b.restic("snapshots", "--json"), &list))
	return len(list)
}

func (b *bench) metric(line string) {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, "metrics", "stateward_backup_forge-apps.prom"))
	require.NoError(b.t, err)
	require.Contains(b.t, string(text), line+"\n")
}

func TestRunThatIsComplete(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		b.job.Retention.ResticPolicy = policy.ResticPolicy{Last: 1}
		b.job.Prune, b.job.CheckSubset = true, "100%"
		for i := range 2 {
			b.file("source/c.txt", fmt.Sprint(i))
			r, err := b.run()
			require.NoError(t, err, b.said.String())
			require.Equal(t, restic.Complete, r.Outcome)
			var names []string
			for _, s := range r.Steps {
				names = append(names, s.Name)
			}
			require.Equal(t, []string{"backup", "forget", "prune", "check"}, names)
			require.Len(t, r.Snapshot, 64)
			require.EqualValues(t, 3, r.Files)
			require.EqualValues(t, 1002, r.Bytes)
		}
		require.Equal(t, 1, b.snapshots(), "the policy is applied")
		rec, err := backup.ReadRecord(b.o.StateDir, "forge-apps")
		require.NoError(t, err)
		require.Equal(t, restic.Complete, rec.LastRun.Outcome)
		require.Equal(t, []string{b.source}, rec.LastGood.Paths)
		b.metric(`stateward_backup_outcome{name="forge-apps",outcome="complete"} 1`)
		b.metric(`stateward_backup_files{name="forge-apps"} 3`)
		b.metric(`stateward_backup_step_complete{name="forge-apps",step="check"} 1`)
	})
}

func TestR4ForgetLeavesOthersAlone(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		b.restic("backup", "--host", "other", "--tag", "stateward.job=forge-apps", b.source)
		b.restic("backup", "--host", "forge", "--tag", "stateward.job=forge-db", b.source)
		b.restic("backup", "--host", "forge", "--tag", "stateward.job=forge-apps", filepath.Join(b.source, "below"))
		b.restic("backup", "--host", "forge", b.source)
		b.job.Retention.ResticPolicy = policy.ResticPolicy{Last: 1}
		for range 2 {
			_, err := b.run()
			require.NoError(t, err)
		}
		require.Equal(t, 5, b.snapshots())
	})
}

func TestR3R1MissingRepositoryIsNotMade(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		r, err := b.run()
		var e *backup.StepError
		require.ErrorAs(t, err, &e)
		require.Equal(t, []any{restic.NoRepository, 10}, []any{r.Outcome, e.Code})
		require.NoDirExists(t, b.job.Repository)
		require.Nil(t, r.LastGood)
		b.metric(`stateward_backup_outcome{name="forge-apps",outcome="no repository"} 1`)
	})
}

func TestR1WrongPassword(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		b.file("password", canary+"-another\n")
		r, err := b.run()
		require.Equal(t, restic.WrongPassword, r.Outcome, "%v", err)
	})
}

func TestR1R8UnreadableFileIsNoSuccess(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		b.job.Retention.ResticPolicy = policy.ResticPolicy{Last: 1}
		_, err := b.run()
		require.NoError(t, err)
		good, err := backup.ReadRecord(b.o.StateDir, "forge-apps")
		require.NoError(t, err)
		// Root reads every file, so restic is run where it is not root over the owner of this one.
		b.file("source/secret.txt", "x")
		require.NoError(t, os.Chmod(filepath.Join(b.source, "secret.txt"), 0))
		if os.Getuid() == 0 {
			require.NoError(t, os.Chown(filepath.Join(b.source, "secret.txt"), 12345, 12345))
			// In a user namespace of its own it is root over what belongs to root only.
			b.file("restic", fmt.Sprintf("#!/bin/sh\nexec unshare --user --map-root-user -- %q \"$@\"\n", mustWrapped(t, b)))
		}
		r, err := b.run()
		var e *backup.StepError
		require.ErrorAs(t, err, &e, b.said.String())
		require.Equal(t, []any{restic.Incomplete, 3}, []any{r.Outcome, e.Code})
		require.Contains(t, e.Error(), "secret.txt")
		require.Len(t, r.Steps, 1, "nothing is forgotten then")
		require.Empty(t, cmp.Diff(good.LastGood, r.LastGood))
		require.Equal(t, 2, b.snapshots())
		b.metric(`stateward_backup_outcome{name="forge-apps",outcome="complete"} 0`)
		b.metric(`stateward_backup_outcome{name="forge-apps",outcome="incomplete"} 1`)
		b.metric(fmt.Sprintf(`stateward_backup_last_success_timestamp_seconds{name="forge-apps"} %d`, good.LastGood.Time.Unix()))
	})
}

// mustWrapped gives what stands between another name, so that another program can stand before it.
func mustWrapped(t *testing.T, b *bench) string {
	inner := filepath.Join(b.dir, "restic.inner")
	require.NoError(t, os.Rename(b.o.Restic, inner))
	text := fmt.Sprintf("#!/bin/sh\nexec %q \"$@\"\n", inner)
	require.NoError(t, os.WriteFile(b.o.Restic, []byte(text), 0o755))
	return inner
}

func TestR6LockedRepository(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		_, err := b.run()
		require.NoError(t, err)
		other := b.hold()
		r, err := b.run()
		require.Equal(t, restic.Locked, r.Outcome, "%v", err)
		require.Equal(t, 11, r.Steps[0].ExitCode)
		require.Equal(t, 1, b.locks(), "unlock leaves what is not stale")
		b.signal(other, syscall.SIGCONT, syscall.SIGINT)
		argv, err := os.ReadFile(b.argv)
		require.NoError(t, err)
		require.Contains(t, string(argv), "unlock")
		require.NotContains(t, string(argv), "remove-all")
		_, err = b.run()
		require.NoError(t, err)
	})
}

// locks are those that are there as a whole: restic writes them beside first.
func (b *bench) locks() (n int) {
	entries, _ := os.ReadDir(filepath.Join(b.job.Repository, "locks"))
	for _, e := range entries {
		if len(e.Name()) == 64 {
			n++
		}
	}
	return n
}

// hold has a real restic take an exclusive lock, and stand still with it. What is given stands before it.
func (b *bench) hold(before ...string) *exec.Cmd {
	b.t.Helper()
	words := append(before, b.o.Restic, "prune", "--limit-download=1", "--limit-upload=1", "--max-unused=0", "--no-cache")
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(slices.Clone(b.o.Env), "RESTIC_PASSWORD_FILE="+b.job.PasswordFile, "RESTIC_REPOSITORY="+b.job.Repository)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	require.NoError(b.t, cmd.Start())
	for i := 0; b.locks() == 0; i++ {
		require.Less(b.t, i, 10000, "no lock was taken")
		time.Sleep(time.Millisecond)
	}
	require.NoError(b.t, syscall.Kill(-cmd.Process.Pid, syscall.SIGSTOP))
	require.Equal(b.t, 1, b.locks(), "it still holds its lock")
	return cmd
}

func (b *bench) signal(cmd *exec.Cmd, signals ...syscall.Signal) {
	b.t.Helper()
	for _, s := range signals {
		require.NoError(b.t, syscall.Kill(-cmd.Process.Pid, s))
	}
	_ = cmd.Wait()
}

// A restic that was killed leaves its lock: it is taken away, where one of a process that lives is not. Nobody waits for it before.
func TestR6StaleLockIsTakenAway(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		b.signal(b.hold(), syscall.SIGKILL)
		require.Equal(t, 1, b.locks())
		b.job.Prune, b.job.Retention.ResticPolicy, b.job.LockWait = true, policy.ResticPolicy{Last: 1}, "10min"
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := backup.Run(ctx, b.job, b.o)
		b.noCanary(r, err)
		require.NoError(t, err, b.said.String())
		require.Zero(t, b.locks())
	})
}

// One that is at work is waited for, and keeps its lock until it is done.
func TestR6LockOfOneAtWorkIsWaitedFor(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		other := b.hold()
		b.job.LockWait = "1min"
		unlocked := func() bool {
			argv, _ := os.ReadFile(b.argv)
			return strings.Contains(string(argv), "unlock ")
		}
		left := make(chan int)
		go func() {
			for i := 0; !unlocked() && i < 3000; i++ {
				time.Sleep(10 * time.Millisecond)
			}
			time.Sleep(3 * time.Second) // unlock is over
			n := b.locks()
			for _, s := range []syscall.Signal{syscall.SIGCONT, syscall.SIGINT} {
				_ = syscall.Kill(-other.Process.Pid, s)
			}
			_ = other.Wait()
			left <- n
		}()
		r, err := b.run()
		require.Equal(t, 1, <-left, "the lock of one that is at work is left")
		require.NoError(t, err, b.said.String())
		require.Equal(t, restic.Complete, r.Outcome)
		require.True(t, unlocked())
	})
}

// Whether a process of another machine is gone nobody here can know.
func TestR6LockOfAnotherMachineIsLeft(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		b.signal(b.hold("unshare", "--user", "--map-root-user", "--uts", "--", "sh", "-c", `hostname elsewhere; exec "$@"`, "sh"), syscall.SIGKILL)
		r, err := b.run()
		require.Error(t, err)
		require.Equal(t, restic.Locked, r.Outcome)
		require.Equal(t, 1, b.locks())
		require.Contains(t, err.Error(), "elsewhere")
	})
}

func TestR8Gate(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		refused := func(want string) {
			t.Helper()
			r, err := b.run()
			var e *backup.GateError
			require.ErrorAs(t, err, &e)
			require.ErrorContains(t, err, want)
			require.Equal(t, backup.Refused, r.Outcome)
			require.Empty(t, r.Steps)
		}
		b.job.RequireMounted = []string{b.source}
		refused("is not mounted")
		b.job.RequireMounted = []string{"/proc"}
		for i := range 10 {
			b.file(fmt.Sprintf("source/%d", i), strings.Repeat("x", 100))
		}
		_, err := b.run()
		require.NoError(t, err)
		require.NoError(t, os.Rename(b.source, b.source+".away"))
		refused("is not there")
		require.NoError(t, os.Mkdir(b.source, 0o755))
		refused("is an empty folder")
		b.job.AllowEmpty = b.job.Paths
		refused("there are 0 files")
		b.file("source/new", "x")
		refused("there are 1 files of 1 bytes, and the last good run")
		require.Equal(t, 1, b.snapshots())
		b.metric(`stateward_backup_outcome{name="forge-apps",outcome="refused"} 1`)
		b.o.AcceptSize = true
		_, err = b.run()
		require.NoError(t, err)
		b.o.AcceptSize = false
		_, err = b.run()
		require.NoError(t, err, "what was accepted is the new measure")
		require.NoError(t, os.RemoveAll(b.source))
		require.NoError(t, os.Symlink(b.source+".away", b.source))
		refused("is a link")
	})
}

// An exclude that takes nearly everything away is seen only by what restic says in the end.
func TestR8ShrunkenSnapshotForgetsNothing(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		b.job.Retention.ResticPolicy = policy.ResticPolicy{Last: 1}
		_, err := b.run()
		require.NoError(t, err)
		b.job.Exclude = []string{b.source + "/below"}
		r, err := b.run()
		require.Error(t, err)
		require.Equal(t, backup.Shrunken, r.Outcome)
		require.Len(t, r.Steps, 1)
		require.Equal(t, 2, b.snapshots(), "the good one is kept")
		require.EqualValues(t, 2, r.LastGood.Files)
	})
}

// Patterns that take all away leave nothing to compare with where no run was good yet.
func TestR8FirstSnapshotWithoutAFileIsNoGoodOne(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		b.job.Exclude = []string{"*"}
		r, err := b.run()
		require.ErrorContains(t, err, "the snapshot holds no file at all")
		require.Equal(t, backup.Shrunken, r.Outcome)
		require.Nil(t, r.LastGood)
		b.job.AllowEmpty = b.job.Paths
		r, err = b.run()
		require.NoError(t, err)
		require.Equal(t, restic.Complete, r.Outcome)
	})
}

// The folders above the paths count too, and that of temporary files changes all the time: so what restic says then is given here.
func TestUnchangedIsSaid(t *testing.T) {
	b := newBench(t, restics(t)[0])
	b.init()
	b.job.SkipIfUnchanged = true
	first, err := b.run()
	require.NoError(t, err)
	require.False(t, first.Unchanged)
	summary := `{"message_type":"summary","dry_run":false,"files_new":0,"files_changed":0,"files_unmodified":2,"dirs_new":0,"dirs_changed":0,"dirs_unmodified":3,"data_blobs":0,"tree_blobs":0,"data_added":0,"data_added_packed":0,"total_files_processed":2,"total_bytes_processed":1001,"total_duration":0.2}`
	b.file("restic", fmt.Sprintf("#!/bin/sh\n[ \"$1\" = backup ] && { echo '%s'; exit; }\nexec %q \"$@\"\n", summary, b.program))
	second, err := b.run()
	require.NoError(t, err)
	require.True(t, second.Unchanged)
	require.Equal(t, first.Snapshot, second.LastGood.Snapshot)
	require.True(t, second.LastGood.Unchanged)
	b.job.SkipIfUnchanged = false
	_, err = b.run()
	require.ErrorContains(t, err, "made no snapshot", "where that was not asked for it is a fault")
}

func TestOldResticIsRefused(t *testing.T) {
	b := newBench(t, restics(t)[0])
	b.file("restic", "#!/bin/sh\necho restic 0.14.0 compiled with go1.19.8 on linux/amd64\n")
	r, err := b.run()
	require.EqualError(t, err, "restic is version 0.14.0, which does not tell a missing repository from a wrong password")
	require.Equal(t, backup.Refused, r.Outcome)
}

func TestE10OneRunAtATime(t *testing.T) {
	b := newBench(t, restics(t)[0])
	require.NoError(t, os.MkdirAll(b.o.LockDir, 0o700))
	f, err := os.Create(filepath.Join(b.o.LockDir, "backup-forge-apps.lock"))
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	_, err = b.run()
	var e *backup.HeldError
	require.ErrorAs(t, err, &e)
	require.NoDirExists(t, b.o.StateDir, "the other one writes down what comes of it")
}

func TestE10SecondRunKnowsTheLastGoodOne(t *testing.T) {
	b := newBench(t, restics(t)[0])
	b.init()
	first, err := b.run()
	require.NoError(t, err)
	f, err := os.Open(filepath.Join(b.o.LockDir, "backup-forge-apps.lock"))
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	r, err := b.run()
	require.Error(t, err)
	require.Equal(t, backup.Refused, r.Outcome)
	require.NotNil(t, r.LastGood)
	require.Equal(t, first.Snapshot, r.LastGood.Snapshot)
}

func TestFilesOfSecretsAreNamedByTheirField(t *testing.T) {
	b := newBench(t, restics(t)[0])
	b.job.PasswordFile = filepath.Join(b.source, "none")
	_, err := b.run()
	require.ErrorContains(t, err, "passwordFile: ")
	require.ErrorIs(t, err, os.ErrNotExist)
}

// A run that is interrupted takes its lock back, and says what it was.
func TestR1R6Interrupted(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		require.NoError(t, os.WriteFile(filepath.Join(b.source, "large"), randomBytes(20<<20), 0o600))
		b.job.Limits.Upload = 200
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for b.locks() == 0 && ctx.Err() == nil {
				time.Sleep(5 * time.Millisecond)
			}
			time.Sleep(300 * time.Millisecond)
			cancel()
		}()
		r, err := backup.Run(ctx, b.job, b.o)
		b.noCanary(r, err)
		// 0.18 now and then exits with 1, and says "context canceled".
		require.Equal(t, restic.Interrupted, r.Outcome, "%v", err)
		require.Contains(t, []int{1, 130}, r.Steps[0].ExitCode)
		require.Zero(t, b.locks())
		rec, err := backup.ReadRecord(b.o.StateDir, "forge-apps")
		require.NoError(t, err)
		require.Equal(t, restic.Interrupted, rec.LastRun.Outcome)
		b.job.Limits.Upload = 0
		_, err = b.run()
		require.NoError(t, err, "and the next run goes on from there")
	})
}

func randomBytes(n int) []byte {
	out := make([]byte, 0, n+32)
	sum := sha256.Sum256([]byte("seed"))
	for len(out) < n {
		sum = sha256.Sum256(sum[:])
		out = append(out, sum[:]...)
	}
	return out[:n]
}

// The round trip: what is brought back is what was there, by content, mode, time, links, holes and attributes.
func TestR2RoundTrip(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		for _, name := range []string{"with blank", "new\nline", `q"uo'te`, `back\slash`, "*?[x]", "$HOME", "-dash", "ümläut", "\xff\xfe", "#hash", "!not", "tab\t", "a:b"} {
			require.NoError(t, os.WriteFile(filepath.Join(b.source, name), []byte(name), 0o640))
		}
		at := func(name string) string { return filepath.Join(b.source, name) }
		require.NoError(t, os.Link(at("a.txt"), at("hard")))
		require.NoError(t, os.Symlink("../nowhere", at("soft")))
		require.NoError(t, os.Mkdir(at("empty"), 0o711))
		f, err := os.Create(at("sparse"))
		require.NoError(t, err)
		_, err = f.WriteAt([]byte("end"), 8<<20)
		require.NoError(t, errors.Join(err, f.Close()))
		require.NoError(t, os.WriteFile(at("random"), randomBytes(3<<20), 0o600))
		require.NoError(t, unix.Setxattr(at("a.txt"), "user.stateward", []byte("v\x00w"), 0))
		require.NoError(t, os.Chtimes(at("random"), time.Unix(1, 0), time.Unix(1234567890, 123456789)))
		require.NoError(t, unix.Mkfifo(at("fifo"), 0o600))
		r, err := b.run()
		require.NoError(t, err, b.said.String())

		target := filepath.Join(b.dir, "target")
		args, err := b.job.RestoreArgs(restic.Restore{Snapshot: r.Snapshot, Path: b.source, Target: target, Verify: true, Sparse: true})
		require.NoError(t, err)
		b.restic(args...)
		want, got := tree(t, b.source), tree(t, target)
		// The folder itself is none of what lies in it: whoever restores gives it mode and owner.
		require.Equal(t, fmt.Sprintf("mode 40700 owner %d:%d", os.Getuid(), os.Getgid()), got["."])
		delete(want, ".")
		delete(got, ".")
		require.Empty(t, cmp.Diff(want, got))
		var st unix.Stat_t
		require.NoError(t, unix.Stat(filepath.Join(target, "sparse"), &st))
		require.Less(t, st.Blocks*512, int64(1<<20), "holes stay holes")

		one := filepath.Join(b.dir, "one")
		args, err = b.job.RestoreArgs(restic.Restore{Snapshot: "latest", Path: at("*?[x]"), Target: one, File: true})
		require.NoError(t, err)
		b.restic(args...)
		entries, err := os.ReadDir(one)
		require.NoError(t, err)
		require.Len(t, entries, 1)
		require.Equal(t, "*?[x]", entries[0].Name())
	})
}

// tree says all of a folder that a backup has to bring back.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	inodes := map[uint64]string{}
	require.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		require.NoError(t, err)
		var st unix.Stat_t
		require.NoError(t, unix.Lstat(name, &st))
		rel, err := filepath.Rel(dir, name)
		require.NoError(t, err)
		text := fmt.Sprintf("mode %o owner %d:%d", st.Mode, st.Uid, st.Gid)
		if rel != "." {
			text += fmt.Sprintf(" time %d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
		}
		switch {
		case d.Type().IsRegular():
			content, err := os.ReadFile(name)
			require.NoError(t, err)
			sum := sha256.Sum256(content)
			text += fmt.Sprintf(" size %d hash %s", len(content), hex.EncodeToString(sum[:]))
			if first, seen := inodes[st.Ino]; seen {
				text += " same file as " + first
			} else if st.Nlink > 1 {
				inodes[st.Ino] = rel
			}
			value := make([]byte, 100)
			if n, err := unix.Getxattr(name, "user.stateward", value); err == nil {
				text += fmt.Sprintf(" attribute %q", value[:n])
			}
		case d.Type()&fs.ModeSymlink != 0:
			to, err := os.Readlink(name)
			require.NoError(t, err)
			text += " to " + to
		}
		out[rel] = text
		return nil
	}))
	return out
}

func TestEnvironmentFiles(t *testing.T) {
	b := newBench(t, restics(t)[0])
	for _, text := range []string{canary, "A B=" + canary, "A='" + canary, `A="` + canary, "A=x" + canary + "'y'", "1A=" + canary, `A="x" ` + canary} {
		b.file("env", "OK=1\n"+text+"\n")
		_, err := b.run()
		require.ErrorContains(t, err, "line 2 ", text)
	}
	require.NoError(t, os.Remove(filepath.Join(b.dir, "env")))
	_, err := b.run()
	require.ErrorIs(t, err, fs.ErrNotExist)
}

// What restic is given of the environment of others is what was meant.
func TestCanaryReachesResticAndNothingElse(t *testing.T) {
	b := newBench(t, restics(t)[0])
	seen := filepath.Join(b.dir, "seen")
	b.file("restic", fmt.Sprintf("#!/bin/sh\n[ \"$1\" = version ] && { echo restic 0.18.0; exit; }\nprintf '%%s\\n' \"$*\" >>%q\nenv >%q\necho \"rclone: key $AWS_SECRET_ACCESS_KEY refused\" >&2\necho '{\"message_type\":\"exit_error\",\"code\":1,\"message\":\"Fatal: rest said %s rest\"}' >&2\nexit 1\n", b.argv, seen, canary))
	r, err := b.run()
	require.EqualError(t, err, "restic backup: failed (exit status 1): Fatal: rest said ***")
	require.Equal(t, []string{"rclone: key *** refused", "Fatal: rest said ***"}, r.Steps[0].Said)
	env, err := os.ReadFile(seen)
	require.NoError(t, err)
	require.Contains(t, string(env), "AWS_SECRET_ACCESS_KEY="+canary+"-s3\n")
}

// killedEnv names the bench of a run that is killed.
const killedEnv = "STATEWARD_TEST_KILLED"

// runKilled is the process that is killed.
func runKilled() int {
	var j restic.Job
	dir := os.Getenv(killedEnv)
	text, err := os.ReadFile(filepath.Join(dir, "job.json"))
	if err != nil || json.Unmarshal(text, &j) != nil {
		return 2
	}
	_, err = backup.Run(context.Background(), j, backup.Options{Restic: filepath.Join(dir, "restic"), Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir},
		StateDir: filepath.Join(dir, "state"), LockDir: filepath.Join(dir, "lock"), Now: time.Now})
	if err != nil {
		return 1
	}
	return 0
}

// What was written down before stays whole, restic goes with the run, and the next run goes on.
func TestE10KilledHalfWay(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		first, err := b.run()
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(b.source, "large"), randomBytes(20<<20), 0o600))
		b.job.Limits.Upload = 200
		text, err := b.job.Write()
		require.NoError(t, err)
		b.file("job.json", string(text))
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), killedEnv+"="+b.dir)
		require.NoError(t, cmd.Start())
		for i := 0; b.locks() == 0; i++ {
			require.Less(t, i, 10000, "no lock was taken")
			time.Sleep(2 * time.Millisecond)
		}
		time.Sleep(200 * time.Millisecond)
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		rec, err := backup.ReadRecord(b.o.StateDir, "forge-apps")
		require.NoError(t, err)
		require.Equal(t, first.Snapshot, rec.LastGood.Snapshot)
		require.Equal(t, 1, b.snapshots())
		b.job.Limits.Upload, b.job.Prune, b.job.Retention.ResticPolicy = 0, true, policy.ResticPolicy{Last: 2}
		_, err = b.run()
		require.NoError(t, err, b.said.String())
		require.Zero(t, b.locks(), "the lock of the one that was killed is stale")
	})
}

// Of two jobs with the same paths in one repository, each has snapshots of its own, and the record names that with which restic compared.
func TestR4UnchangedIsOfTheJobItself(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		b.job.SkipIfUnchanged = true
		first, err := b.run()
		require.NoError(t, err)
		other := b.job
		other.Name = "other"
		b.job, other = other, b.job
		r, err := b.run()
		require.NoError(t, err)
		require.NotEmpty(t, r.Snapshot, "that of another job is none of this one")
		b.job = other

		// One that a killed run made, and of which the record knows nothing.
		b.file("source/a.txt", "another")
		made := b.restic("backup", "--json", "--host", "forge", "--tag", "stateward.job=forge-apps", b.source)
		unchanged := func(extra string) {
			summary := `{"message_type":"summary","total_files_processed":2,"total_bytes_processed":1007}`
			b.file("restic", fmt.Sprintf("#!/bin/sh\n[ \"$1\" = backup ] && { echo '%s'; exit; }\n%s\nexec %q \"$@\"\n", summary, extra, b.program))
		}
		unchanged("")
		r, err = b.run()
		require.NoError(t, err)
		require.True(t, r.Unchanged)
		require.NotEqual(t, first.Snapshot, r.LastGood.Snapshot)
		require.Contains(t, string(made), r.LastGood.Snapshot)

		unchanged("[ \"$1\" = snapshots ] && exit 1")
		r, err = b.run()
		require.Error(t, err)
		require.Equal(t, restic.Failed, r.Outcome)
		b.restic("forget", "--tag", "stateward.job=forge-apps", "--unsafe-allow-remove-all")
		unchanged("")
		r, err = b.run()
		require.ErrorContains(t, err, "has no snapshot of the job")
		require.Equal(t, restic.Failed, r.Outcome)
	})
}

// A folder of snapshots that is gone is none that restic would miss: it lists nothing, and prune would remove all data.
func TestR4NothingIsPrunedWhereSnapshotsAreGone(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.init()
		b.job.Retention.ResticPolicy, b.job.Prune = policy.ResticPolicy{Last: 9}, true
		b.file("source/gone.txt", strings.Repeat("g", 5000))
		first, err := b.run()
		require.NoError(t, err)
		require.NoError(t, os.Remove(filepath.Join(b.source, "gone.txt")))
		b.job.Floor = new(int)
		away, at := filepath.Join(b.dir, "away"), filepath.Join(b.job.Repository, "snapshots")
		require.NoError(t, os.Rename(at, away))
		require.NoError(t, os.Mkdir(at, 0o700))
		for range 2 {
			r, err := b.run()
			require.ErrorContains(t, err, "does not have snapshot "+first.Snapshot[:8])
			require.Equal(t, restic.Failed, r.Outcome)
			require.Equal(t, "backup complete", steps(r))
			require.Equal(t, r.Snapshot, r.LastGood.Snapshot)
			require.Equal(t, []backup.FaultKind{backup.BadRun}, kinds(b.status(0)))
		}
		// They come back, and all that they hold is there.
		entries, err := os.ReadDir(away)
		require.NoError(t, err)
		for _, e := range entries {
			require.NoError(t, os.Rename(filepath.Join(away, e.Name()), filepath.Join(at, e.Name())))
		}
		r, err := b.run()
		require.NoError(t, err)
		require.Equal(t, "backup complete, forget complete, prune complete", steps(r))
		b.restic("check", "--read-data")
		require.Equal(t, 4, b.snapshots())

		// Meant, it is said once.
		b.restic("forget", r.Snapshot)
		_, err = b.run()
		require.ErrorContains(t, err, "nothing is forgotten or pruned")
		b.o.AcceptSize = true
		_, err = b.run()
		require.NoError(t, err)
		b.o.AcceptSize = false
		_, err = b.run()
		require.NoError(t, err)
		require.Empty(t, kinds(b.status(0)))

		// Another repository has none of them.
		b.job.Repository += "2"
		b.init()
		_, err = b.run()
		require.NoError(t, err)
	})
}

// A run that is killed cannot say so, and must not look like the one before.
func TestKilledRunIsSeen(t *testing.T) {
	b := newBench(t, restics(t)[0])
	b.init()
	_, err := b.run()
	require.NoError(t, err)
	b.job.Retention.ResticPolicy, b.job.Prune = policy.ResticPolicy{Last: 1}, true
	b.file("source/c.txt", "c")
	b.file("restic", fmt.Sprintf("#!/bin/sh\n[ \"$1\" = prune ] && { echo >%q; sleep 60; }\nexec %q \"$@\"\n", filepath.Join(b.dir, "pruning"), b.program))
	text, err := b.job.Write()
	require.NoError(t, err)
	b.file("job.json", string(text))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killedEnv+"="+b.dir)
	require.NoError(t, cmd.Start())
	require.Eventually(t, func() bool { _, err := os.Stat(filepath.Join(b.dir, "pruning")); return err == nil }, 30*time.Second, 10*time.Millisecond)
	s := b.status(0)
	require.Empty(t, s.Faults)
	require.Contains(t, strings.Join(s.Notes, "\n"), "a run is at work since")
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	s = b.status(0)
	require.Equal(t, []backup.FaultKind{backup.BadRun}, kinds(s))
	require.Contains(t, s.Faults[0].Message, "was killed")
	require.NoError(t, os.Remove(b.o.Restic))
	require.NoError(t, os.Symlink(b.program, b.o.Restic))
	require.Equal(t, 1, b.snapshots())
	require.Equal(t, s.Newest.ID, s.LastGood.Snapshot, "what was good when it was killed stays good")
	_, err = b.run()
	require.NoError(t, err, "what was forgotten before is not missed")
	require.Empty(t, kinds(b.status(0)))
}
