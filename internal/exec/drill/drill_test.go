//go:build unix

package drill_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	policy "github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/drill"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/backup"
	execdrill "github.com/stateward/stateward/internal/exec/drill"
	"github.com/stateward/stateward/internal/restictest"
)

// canary is in every secret, and must never be anywhere else.
const canary = "canary-5c02d8"

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

// bench is a job with its own repository, source and scratch folder.
type bench struct {
	t                    *testing.T
	dir, source, program string
	job                  restic.Job
	o                    execdrill.Options
	said                 bytes.Buffer
}

func newBench(t *testing.T, program string) *bench {
	dir := t.TempDir()
	b := &bench{t: t, dir: dir, source: filepath.Join(dir, "source"), program: program}
	b.file("password", canary+"-password\n")
	b.file("env", "AWS_SECRET_ACCESS_KEY="+canary+"-s3\n")
	b.file("source/a.txt", "a")
	b.file("source/odd \xff name", "odd")
	b.file("source/below/b.txt", strings.Repeat("b", 1000))
	require.NoError(t, os.Link(filepath.Join(b.source, "a.txt"), filepath.Join(b.source, "hard")))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(b.source, "link")))
	require.NoError(t, os.Mkdir(filepath.Join(b.source, "empty"), 0o500))
	// It stands between, to write down what every process gets to see.
	b.file("restic", fmt.Sprintf("#!/bin/sh\nprintf '%%s\\n' \"$*\" >>%q\nexec %q \"$@\"\n", filepath.Join(dir, "argv"), program))
	require.NoError(t, os.Chmod(filepath.Join(dir, "restic"), 0o755))
	b.job = restic.Job{ProtocolVersion: "1", Name: "forge-apps", Repository: filepath.Join(dir, "repository"), PasswordFile: filepath.Join(dir, "password"),
		EnvironmentFile: filepath.Join(dir, "env"), Paths: []string{b.source}, Host: "forge", LockWait: "1s", Drill: &policy.Drill{Every: "30d"}}
	b.o = execdrill.Options{Dir: filepath.Join(dir, "drills"), Scratch: filepath.Join(dir, "scratch"),
		Options: backup.Options{Restic: filepath.Join(dir, "restic"), Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "RESTIC_CACHE_DIR=" + filepath.Join(dir, "cache")},
			StateDir: filepath.Join(dir, "state"), LockDir: filepath.Join(dir, "lock"), Now: time.Now, Said: func(line string) { b.said.WriteString(line + "\n") }}}
	return b
}

func (b *bench) file(name, text string) {
	b.t.Helper()
	name = filepath.Join(b.dir, name)
	require.NoError(b.t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(b.t, os.WriteFile(name, []byte(text), 0o644))
}

// backup makes the repository where it is missing, and runs the job.
func (b *bench) backup() *backup.Result {
	b.t.Helper()
	if _, err := os.Stat(b.job.Repository); err != nil {
		require.NoError(b.t, restictest.Make(b.job.Repository))
	}
	r, err := backup.Run(b.t.Context(), b.job, b.o.Options)
	require.NoError(b.t, err, b.said.String())
	return r
}

// run does a drill, and looks whether a secret got out, something was left, or live data changed.
func (b *bench) run() (*drill.Record, error) {
	b.t.Helper()
	before := b.live()
	r, file, err := execdrill.Run(b.t.Context(), b.job, b.o)
	require.Equal(b.t, before, b.live(), "live data is as it was")
	if err != nil {
		require.NotContains(b.t, err.Error(), canary)
	}
	require.NotContains(b.t, b.said.String(), canary)
	if r != nil {
		text, rerr := os.ReadFile(file)
		require.NoError(b.t, rerr)
		newest, rerr := os.ReadFile(filepath.Join(filepath.Dir(file), drill.Newest))
		require.NoError(b.t, rerr)
		require.Equal(b.t, string(text), string(newest))
		read, rerr := drill.Read(text)
		require.NoError(b.t, rerr)
		require.Equal(b.t, r.Verdict, read.Verdict)
	}
	for _, dir := range []string{"drills", "lock", "argv"} {
		_ = filepath.WalkDir(filepath.Join(b.dir, dir), func(name string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				text, err := os.ReadFile(name)
				require.NoError(b.t, err)
				require.NotContains(b.t, string(text), canary, name)
			}
			return nil
		})
	}
	if argv, err := os.ReadFile(filepath.Join(b.dir, "argv")); err == nil {
		require.NotContains(b.t, string(argv), "--delete")
		require.NotContains(b.t, string(argv), "remove-all")
	}
	return r, err
}

// live is all there is of live data.
func (b *bench) live() string {
	var out strings.Builder
	_ = filepath.WalkDir(b.source, func(name string, d fs.DirEntry, err error) error {
		if info, err := os.Lstat(name); err == nil {
			fmt.Fprintln(&out, name, info.Mode(), info.Size(), info.ModTime())
		}
		return nil
	})
	return out.String()
}

func (b *bench) leftNothing() {
	b.t.Helper()
	entries, err := os.ReadDir(b.o.Scratch)
	require.NoError(b.t, err)
	require.Empty(b.t, entries)
	require.NoFileExists(b.t, filepath.Join(b.o.Dir, "forge-apps.scratch.json"))
}

func verdicts(r *drill.Record) map[string]drill.Verdict {
	out := map[string]drill.Verdict{}
	for _, c := range r.Checks {
		out[c.Name] = c.Verdict
	}
	return out
}

func (b *bench) sqlite(name, sql string) string {
	b.t.Helper()
	name = filepath.Join(b.source, name)
	out, err := exec.Command("sqlite3", name, sql).CombinedOutput()
	require.NoError(b.t, err, "%s; sqlite3 is needed: make deps", out)
	return name
}

func TestDrillThatPasses(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.sqlite("app.db", "pragma journal_mode=wal; create table t(a); insert into t values ('x')")
		b.job.Drill.Command = []string{"sh", "-c", `cd "$STATEWARD_DRILL_DIR` + b.source + `" && test "$(cat a.txt)" = a && ! env | grep -i secret`}
		made := b.backup()
		r, err := b.run()
		require.NoError(t, err, b.said.String())
		require.Equal(t, drill.Passed, r.Verdict)
		require.Equal(t, map[string]drill.Verdict{"restore": "passed", "files": "passed", "sqlite": "passed", "command": "passed"}, verdicts(r))
		require.Equal(t, []any{made.Snapshot, made.Files, made.Bytes, true, "30d"}, []any{r.Snapshot.ID, r.Restored.Files, r.Restored.Bytes, r.Restored.Whole, r.Every})
		require.Positive(t, r.Restored.Seconds)
		require.NotEmpty(t, r.Engine.Version)
		b.leftNothing()
		_, err = b.run()
		require.NoError(t, err)
		files, err := filepath.Glob(filepath.Join(b.o.Dir, "forge-apps", "2*.json"))
		require.NoError(t, err)
		require.Len(t, files, 2, "no record takes the place of another")

		// A part of it, and one file.
		b.job.Drill = &policy.Drill{Paths: []string{filepath.Join(b.source, "below"), filepath.Join(b.source, "a.txt")}}
		r, err = b.run()
		require.NoError(t, err)
		require.Equal(t, []any{int64(2), false, ""}, []any{r.Restored.Files, r.Restored.Whole, r.Every})

		// R3: a repository that is gone is not made.
		require.NoError(t, os.Rename(b.job.Repository, b.job.Repository+".away"))
		r, err = b.run()
		require.ErrorContains(t, err, "no repository")
		require.Equal(t, drill.Failed, r.Verdict)
		require.NoDirExists(t, b.job.Repository)
		b.leftNothing()
	})
}

func TestDrillOfADamagedRepository(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		noise := make([]byte, 600000)
		_, _ = rand.NewChaCha8([32]byte{}).Read(noise) // which does not compress
		b.file("source/below/large.bin", string(noise))
		b.backup()
		packs, err := filepath.Glob(filepath.Join(b.job.Repository, "data/*/*"))
		require.NoError(t, err)
		slices.SortFunc(packs, func(a, b string) int { return int(size(t, b) - size(t, a)) })
		damage := func(name string, at int64) {
			require.NoError(t, os.Chmod(name, 0o600))
			f, err := os.OpenFile(name, os.O_WRONLY, 0)
			require.NoError(t, err)
			_, err = f.WriteAt([]byte("damaged"), at)
			require.NoError(t, err)
			require.NoError(t, f.Close())
		}
		damage(packs[0], size(t, packs[0])/2)
		r, err := b.run()
		var failed *execdrill.FailedError
		require.ErrorAs(t, err, &failed)
		require.Equal(t, []any{drill.Failed, "restore"}, []any{r.Verdict, failed.Check.Name})
		require.Contains(t, r.Checks[0].Message, "ciphertext verification failed")
		require.Equal(t, []string{filepath.Join(b.source, "below/large.bin")}, r.Checks[0].Files)
		require.Zero(t, r.Restored.Files, "a restore that failed gives no recovery time")
		b.leftNothing()

		// The list of what there is; restic's cache has it, which another machine has not.
		for _, name := range packs[1:] {
			damage(name, 50)
		}
		r, err = b.run()
		require.Error(t, err)
		require.Equal(t, drill.Failed, r.Verdict)
		require.Contains(t, r.Message, "what is in snapshot "+r.Snapshot.ID[:8]+" cannot be read: restic ls: ")
	})
}

func size(t *testing.T, name string) int64 {
	info, err := os.Stat(name)
	require.NoError(t, err)
	return info.Size()
}

func TestR9DrillOfTornDatabaseAndFailingCommand(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.sqlite("whole.db", "create table t(a); insert into t values (1)")
		name := b.sqlite("below/torn.db", "create table t(a); with recursive c(x) as (select 1 union all select x+1 from c where x<2000) insert into t select hex(randomblob(50)) from c")
		require.NoError(t, os.Truncate(name, size(t, name)/2))
		b.backup()
		r, err := b.run()
		var failed *execdrill.FailedError
		require.ErrorAs(t, err, &failed)
		require.Equal(t, map[string]drill.Verdict{"restore": "passed", "files": "passed", "sqlite": "failed"}, verdicts(r))
		require.Equal(t, []string{name}, failed.Check.Files)
		require.Contains(t, err.Error(), name+": ")
		require.EqualValues(t, 2, failed.Check.Checked)

		// Without the program it is not known, which is not "passed".
		b.o.SQLite3 = "no-such-sqlite3"
		r, err = b.run()
		require.ErrorContains(t, err, "the drill could not tell: sqlite: sqlite3 is not installed: 2 databases were not checked")
		require.Equal(t, drill.Unknown, r.Verdict)
		off := false
		b.job.Drill.SQLite = &off
		_, err = b.run()
		require.NoError(t, err)

		b.job.Drill.Command = []string{"sh", "-c", "echo no such page >&2; echo " + canary + "-s3 >&2; exit 3"}
		r, err = b.run()
		require.ErrorContains(t, err, "the drill failed: command: sh exited with status 3: ***")
		require.Equal(t, drill.Failed, r.Verdict)
		b.leftNothing()
	})
}

// R2: in the repository the paths of a job that reads a snapshot of ZFS begin with the folder where that was mounted.
func TestR2DrillOfASnapshotOfZFS(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.job.Source = []restic.Dataset{{Name: "tank/apps", Mountpoint: "/var/lib/apps-" + filepath.Base(b.dir)}}
		b.job.Paths = []string{b.job.Source[0].Mountpoint}
		b.job.Name = "apps"
		// As a run stores it, in a folder of the same name below another root: mounting takes root and ZFS.
		root := filepath.Join(b.dir, "mounted")
		at := filepath.Join(root, b.job.Paths[0])
		require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o755))
		require.NoError(t, os.Rename(b.source, at))
		require.NoError(t, restictest.Make(b.job.Repository))
		cmd := exec.Command(b.program, "backup", "--host=forge", "--tag="+restic.JobTag+b.job.Name, "--tag="+restic.RootTag+root, at)
		cmd.Env = append(slices.Clone(b.o.Env), "RESTIC_PASSWORD_FILE="+b.job.PasswordFile, "RESTIC_REPOSITORY="+b.job.Repository)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		listed, err := exec.Command("sh", "-c", fmt.Sprintf("RESTIC_PASSWORD_FILE=%q %q -r %q snapshots --json", b.job.PasswordFile, b.program, b.job.Repository)).Output()
		require.NoError(t, err)
		list, err := restic.ParseSnapshots(listed)
		require.NoError(t, err)
		b.o.Snapshot = list[0].ID[:8]
		b.job.Drill.Command = []string{"sh", "-c", `test -f "$STATEWARD_DRILL_DIR` + b.job.Paths[0] + `/below/b.txt"`}
		r, err := b.run()
		require.NoError(t, err, b.said.String())
		require.EqualValues(t, 4, r.Restored.Files)
		b.o.Snapshot = ""
		_, err = b.run()
		require.ErrorContains(t, err, "the repository has no snapshot of job", "the root is another, so it is none of the job")
	})
}

func TestR5DrillIsRefused(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.backup()
		refused := func(want string) {
			t.Helper()
			r, err := b.run()
			var e *execdrill.RefusedError
			require.ErrorAs(t, err, &e)
			require.ErrorContains(t, err, want)
			require.Equal(t, drill.Refused, r.Verdict)
		}
		good := b.o.Scratch
		b.o.Scratch = filepath.Join(b.source, "scratch")
		refused("lie within one another")
		require.NoDirExists(t, b.o.Scratch)
		b.o.Scratch = b.dir
		refused("lie within one another")
		b.o.Scratch = filepath.Join(b.job.Repository, "scratch")
		refused("the repository")
		// By a link.
		require.NoError(t, os.Symlink(b.source, filepath.Join(b.dir, "link")))
		b.o.Scratch = filepath.Join(b.dir, "link", "x")
		refused("lie within one another")
		b.o.Scratch = filepath.Join(b.dir, "used")
		b.file("used/precious", "x")
		refused("is not empty")
		require.FileExists(t, filepath.Join(b.dir, "used/precious"))
		b.o.Scratch = filepath.Join(b.dir, "open")
		require.NoError(t, os.Mkdir(b.o.Scratch, 0o777))
		require.NoError(t, os.Chmod(b.o.Scratch, 0o777))
		refused("others can write")
		b.o.Scratch = good
		b.job.Drill.MaxBytes = 100
		refused("and maxBytes is 100")
		b.job.Drill.MaxBytes = 0
		b.o.Snapshot = "0123456789"
		refused(`no snapshot "0123456789"`)
		b.leftNothing()
	})
}

// An interrupt ends restic, what was restored is removed, and the record says so.
func TestDrillThatIsInterrupted(t *testing.T) {
	b := newBench(t, restics(t)[0])
	b.backup()
	ctx, cancel := context.WithCancel(t.Context())
	b.o.Began = func(step string) {
		if step == "restore" {
			cancel()
		}
	}
	r, _, err := execdrill.Run(ctx, b.job, b.o)
	require.EqualError(t, err, "the drill was interrupted")
	require.Equal(t, drill.Interrupted, r.Verdict)
	require.Equal(t, drill.Interrupted, b.newest().Verdict)
	b.leftNothing()
}

// A file system that is too small is one of memory, which only root can mount, in a namespace of its own.
func TestDrillWithoutRoom(t *testing.T) {
	b := newBench(t, restics(t)[0])
	// Holes take no room here, and all of it where they are restored.
	b.file("source/large", "x")
	require.NoError(t, os.Truncate(filepath.Join(b.source, "large"), 48<<20))
	b.backup()
	require.NoError(t, os.Mkdir(b.o.Scratch, 0o700))
	text, err := json.Marshal(b.job)
	require.NoError(t, err)
	b.file("job.json", string(text))
	cmd := exec.Command("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", `mount -t tmpfs -o size=20M,mode=0700 tmpfs "$1" && exec "$2"`, "sh", b.o.Scratch, os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+b.dir)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "are free, of which")
	r := b.newest()
	require.Equal(t, drill.Refused, r.Verdict)
	require.Contains(t, r.Message, "5 files of 503")
}

func (b *bench) newest() drill.Record {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.o.Dir, "forge-apps", drill.Newest))
	require.NoError(b.t, err)
	r, err := drill.Read(text)
	require.NoError(b.t, err)
	return r
}

// childEnv names the folder of a bench whose drill a process of its own does.
const childEnv = "STATEWARD_DRILL_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

func child(dir string) int {
	text, err := os.ReadFile(filepath.Join(dir, "job.json"))
	if err != nil {
		panic(err)
	}
	j, err := restic.ReadJob(text)
	if err != nil {
		panic(err)
	}
	o := execdrill.Options{Dir: filepath.Join(dir, "drills"), Scratch: filepath.Join(dir, "scratch"),
		Options: backup.Options{Restic: filepath.Join(dir, "restic"), Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "RESTIC_CACHE_DIR=" + filepath.Join(dir, "cache")},
			StateDir: filepath.Join(dir, "state"), LockDir: filepath.Join(dir, "lock"), Now: time.Now}}
	_, _, err = execdrill.Run(context.Background(), j, o)
	fmt.Println(err)
	return 0
}

// A drill that is killed while it restores is cleaned up by the next one, which passes.
func TestDrillThatIsKilled(t *testing.T) {
	each(t, func(t *testing.T, b *bench) {
		b.backup()
		text, err := json.Marshal(b.job)
		require.NoError(t, err)
		b.file("job.json", string(text))
		// It stands still once restored, and verifies.
		wrapper, err := os.ReadFile(filepath.Join(b.dir, "restic"))
		require.NoError(t, err)
		b.file("restic", strings.Replace(string(wrapper), "exec ", "case \" $* \" in *' restore '*|' restore '*) "+b.program+" \"$@\"; touch "+filepath.Join(b.dir, "restored")+"; sleep 60;; esac\nexec ", 1))
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+b.dir)
		require.NoError(t, cmd.Start())
		for i := 0; ; i++ {
			if _, err := os.Stat(filepath.Join(b.dir, "restored")); err == nil {
				break
			}
			require.Less(t, i, 3000)
			time.Sleep(10 * time.Millisecond)
		}
		require.NoError(t, syscall.Kill(cmd.Process.Pid, syscall.SIGKILL))
		_ = cmd.Wait()
		entries, err := os.ReadDir(b.o.Scratch)
		require.NoError(t, err)
		require.Len(t, entries, 1, "it is left")
		b.file("restic", string(wrapper))

		// What has not its mark is not removed, whatever the journal says.
		left := filepath.Join(b.o.Scratch, entries[0].Name())
		require.NoError(t, os.Rename(filepath.Join(left, ".stateward-drill"), filepath.Join(left, "mark")))
		_, err = b.run()
		require.ErrorContains(t, err, "is left of a drill, and has not its mark")
		require.FileExists(t, filepath.Join(left, "data", b.source, "a.txt"))
		require.NoError(t, os.Rename(filepath.Join(left, "mark"), filepath.Join(left, ".stateward-drill")))

		r, err := b.run()
		require.NoError(t, err, b.said.String())
		require.Equal(t, drill.Passed, r.Verdict)
		b.leftNothing()
	})
}
