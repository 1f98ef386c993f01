//go:build unix

package backup_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/backup"
)

// systemctl stands for systemd: each unit is a file that holds its state; web stops with db. What it is asked is written down.
func (b *bench) systemctl() {
	b.t.Helper()
	b.file("units/db.service", "active\n")
	b.file("units/web.service", "active\n")
	b.file("units/idle.service", "inactive\n")
	b.file("bin/systemctl", fmt.Sprintf(`#!/bin/bash
cd %q
while [[ $1 == --no-* ]]; do shift; done
verb=$1; shift
while [[ $1 == -* ]]; do shift; done
[[ $verb == show ]] || echo "$verb $*" >>../asked
for u; do
  case $verb in
  show) f=; [[ $u == db.service ]] && f=web.service
    [[ -e $u ]] && echo "LoadState=loaded" || echo "LoadState=not-found"
    echo "Id=$u"; echo "RequiredBy=$f"; echo "ActiveState=$(cat "$u" 2>/dev/null || echo inactive)"; echo ;;
  stop) [[ -e stubborn ]] || { echo inactive >"$u"; [[ $u == db.service ]] && echo inactive >web.service; } ;;
  start) [[ -e $u ]] || { echo "Unit $u not found." >&2; exit 5; }; [[ -e broken ]] && { echo "Job for $u failed." >&2; exit 1; }; echo active >"$u" ;;
  esac
done
exit 0
`, filepath.Join(b.dir, "units")))
	require.NoError(b.t, os.Chmod(filepath.Join(b.dir, "bin/systemctl"), 0o755))
	b.o.Env[0] = "PATH=" + filepath.Join(b.dir, "bin") + ":" + os.Getenv("PATH")
}

func (b *bench) read(name string) string {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, name))
	if errors.Is(err, os.ErrNotExist) {
		return ""
	}
	require.NoError(b.t, err)
	return string(text)
}

func steps(r *backup.Result) string {
	var out []string
	for _, s := range r.Steps {
		out = append(out, s.Name+" "+string(s.Outcome))
	}
	return strings.Join(out, ", ")
}

// journal is where the units that are stopped are written down.
func (b *bench) journal() string {
	return filepath.Join(b.o.StateDir, b.job.Name+".units.json")
}

func TestR9HooksUnitsAndDump(t *testing.T) {
	for name, c := range map[string]struct {
		change  func(b *bench)
		outcome restic.Outcome
		steps   string
		// asked is what systemctl was to do.
		asked string
		err   string
		good  bool
	}{
		"all, in order": {func(b *bench) {
			b.job.PreHook = "echo pre >>" + b.dir + "/order"
			b.job.PostHook = "echo post $STATEWARD_OUTCOME $STATEWARD_JOB >>" + b.dir + "/order"
			b.job.Dump = &restic.Dump{Command: "cat " + b.dir + "/units/db.service >" + b.source + "/dump", Directory: b.source}
			b.job.StopUnits = []string{"db.service", "idle.service"}
		}, restic.Complete, "preHook complete, stop complete, dump complete, backup complete, start complete, postHook complete", "stop db.service idle.service\nstart db.service web.service\n", "", true},
		"a hook that fails": {func(b *bench) {
			b.job.PreHook, b.job.PostHook, b.job.StopUnits = "echo no >&2; false | true; touch "+b.dir+"/never", "true", []string{"db.service"}
		}, backup.Refused, "preHook failed, postHook complete", "", "preHook: failed (exit status 1): no", false},
		"a last hook that fails": {func(b *bench) { b.job.PostHook = "exit 7" }, restic.Failed, "backup complete, postHook failed", "", "postHook: failed (exit status 7)", true},
		"a dump that fails": {func(b *bench) {
			b.job.StopUnits = []string{"db.service"}
			b.job.Dump = &restic.Dump{Command: "echo >" + b.source + "/dump; exit 3", Directory: b.source}
		}, backup.Refused, "stop complete, dump failed, start complete", "stop db.service\nstart db.service web.service\n", "dump: failed (exit status 3)", false},
		"a dump that writes nothing": {func(b *bench) {
			b.job.Dump = &restic.Dump{Command: ": >" + b.source + "/dump", Directory: filepath.Join(b.source, "below")}
		}, backup.Refused, "dump failed", "", "has no file that the dump wrote", false},
		"a unit that is not there": {func(b *bench) { b.job.StopUnits = []string{"nope.service"} }, backup.Refused, "stop failed", "", "nope.service is no unit of this machine", false},
		"a unit that does not stop": {func(b *bench) { b.file("units/stubborn", ""); b.job.StopUnits = []string{"db.service"} }, backup.Refused,
			"stop failed, start complete", "stop db.service\nstart db.service web.service\n", "db.service was to stand still", false},
		"none of them is active": {func(b *bench) { b.job.StopUnits = []string{"idle.service"} }, restic.Complete, "stop complete, backup complete", "", "", true},
		"one that was not active starts meanwhile": {func(b *bench) {
			b.job.StopUnits = []string{"idle.service"}
			inner := mustWrapped(b.t, b)
			b.file("restic", fmt.Sprintf("#!/bin/sh\n[ \"$1\" = version ] || echo active >%q\nexec %q \"$@\"\n", filepath.Join(b.dir, "units/idle.service"), inner))
		}, restic.Failed, "stop complete, backup failed", "", "was to stand still", false},
		"one that starts meanwhile": {func(b *bench) {
			b.job.StopUnits = []string{"db.service"}
			inner := mustWrapped(b.t, b)
			b.file("restic", fmt.Sprintf("#!/bin/sh\n[ \"$1\" = version ] || echo active >%q\nexec %q \"$@\"\n", filepath.Join(b.dir, "units/db.service"), inner))
		}, restic.Failed, "stop complete, backup failed, start complete", "stop db.service\nstart db.service web.service\n", "was to stand still", false},
		"a repository that is missing": {func(b *bench) {
			b.job.StopUnits = []string{"db.service"}
			require.NoError(b.t, os.RemoveAll(b.job.Repository))
		}, restic.NoRepository, "stop complete, backup no repository, start complete", "stop db.service\nstart db.service web.service\n", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, restics(t)[0])
			b.init()
			b.systemctl()
			c.change(b)
			r, err := b.run()
			require.Equal(t, []any{c.outcome, c.steps, c.asked}, []any{r.Outcome, steps(r), b.read("asked")}, "%v\n%s", err, b.said.String())
			require.Equal(t, c.outcome == restic.Complete, err == nil)
			if c.err != "" {
				require.ErrorContains(t, err, c.err)
			}
			require.Equal(t, c.good, r.LastGood != nil)
			require.NoFileExists(t, filepath.Join(b.dir, "never"))
			require.NoFileExists(t, b.journal())
			if name == "all, in order" {
				require.Equal(t, "pre\npost complete forge-apps\n", b.read("order"))
				require.Equal(t, "inactive\n", b.read("source/dump"), "the dump is of what stands still")
			}
			require.Equal(t, "active\n", b.read("units/web.service"))
		})
	}
}

// What a killed run stopped starts again: with the next run, or with resume.
func TestE10UnitsOfAKilledRun(t *testing.T) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	require.NoError(t, err)
	for name, c := range map[string]struct {
		boot, want string
		resume     bool
	}{
		"the next run":       {strings.TrimSpace(string(boot)), "start web.service db.service\nstop db.service\nstart db.service web.service\n", false},
		"resume":             {strings.TrimSpace(string(boot)), "start web.service db.service\n", true},
		"after another boot": {"another", "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, restics(t)[0])
			b.init()
			b.systemctl()
			b.job.StopUnits = []string{"db.service"}
			text, err := json.Marshal(map[string]any{"job": b.job.Name, "boot": c.boot, "units": []string{"web.service", "db.service"}})
			require.NoError(t, err)
			b.file("state/"+b.job.Name+".units.json", string(text))
			if c.resume {
				_, err = backup.Resume(context.Background(), b.job, b.o)
			} else {
				_, err = b.run()
			}
			require.NoError(t, err)
			require.Equal(t, c.want, b.read("asked"))
			require.NoFileExists(t, b.journal())
		})
	}
	t.Run("a unit that is gone is not missed", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, restics(t)[0])
		b.init()
		b.systemctl()
		b.job.StopUnits = []string{"db.service"}
		text, err := json.Marshal(map[string]any{"job": b.job.Name, "boot": strings.TrimSpace(string(boot)), "units": []string{"gone.service"}})
		require.NoError(t, err)
		b.file("state/"+b.job.Name+".units.json", string(text))
		_, err = b.run()
		require.NoError(t, err)
		require.NoFileExists(t, b.journal())
	})
	t.Run("another job is at work", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, restics(t)[0])
		b.systemctl()
		b.job.StopUnits, b.o.Patience = []string{"db.service"}, 100*time.Millisecond
		put := func(job string, journal map[string]any) {
			journal["job"], journal["boot"] = job, strings.TrimSpace(string(boot))
			text, err := json.Marshal(journal)
			require.NoError(t, err)
			b.file("state/"+job+".units.json", string(text))
		}
		put(b.job.Name, map[string]any{"units": []string{"web.service", "db.service", "idle.service"}})
		put("other", map[string]any{"units": []string{"db.service"}, "still": []string{"db.service", "idle.service"}})
		release, err := backup.Lock(b.o.LockDir, "stateward-stopped-units.lock")
		require.NoError(t, err)
		units, err := backup.Resume(t.Context(), b.job, b.o)
		require.EqualError(t, err, "db.service, idle.service, which a run left stopped, is to stand still for another job now")
		require.Equal(t, []string{"web.service"}, units)
		require.Equal(t, "start web.service\n", b.read("asked"))
		release()
		require.NoError(t, os.Remove(filepath.Join(b.dir, "state/other.units.json")))
		units, err = backup.Resume(t.Context(), b.job, b.o)
		require.NoError(t, err)
		require.Equal(t, []string{"db.service", "idle.service"}, units)
		require.NoFileExists(t, b.journal())
	})
	t.Run("one that does not start is tried again", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, restics(t)[0])
		b.init()
		b.systemctl()
		b.job.StopUnits = []string{"db.service"}
		b.file("units/broken", "")
		r, err := b.run()
		require.ErrorContains(t, err, "units that were stopped for the backup do not start: systemctl start: Job for db.service failed.")
		require.Equal(t, restic.Failed, r.Outcome)
		require.FileExists(t, b.journal())
		// A service that is broken is backed up all the same, and every run says that it is.
		r, err = b.run()
		require.ErrorContains(t, err, "units that were stopped for the backup do not start: systemctl start: Job for db.service failed.")
		require.Equal(t, 1, strings.Count(err.Error(), "do not start"))
		require.Equal(t, "stop complete, backup complete, start failed", steps(r))
		require.Equal(t, r.Snapshot, r.LastGood.Snapshot)
		require.Equal(t, restic.Failed, r.Outcome)
		require.NoError(t, os.Remove(filepath.Join(b.dir, "units/broken")))
		units, err := backup.Resume(context.Background(), b.job, b.o)
		require.NoError(t, err)
		require.Equal(t, []string{"db.service", "web.service"}, units)
		units, err = backup.Resume(context.Background(), b.job, b.o)
		require.NoError(t, err)
		require.Empty(t, units, "there is nothing left to start")
	})
	t.Run("what says nothing is told", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, restics(t)[0])
		b.file("state/"+b.job.Name+".units.json", "{")
		_, err := backup.Resume(context.Background(), b.job, b.o)
		var e *backup.RecordError
		require.ErrorAs(t, err, &e)
	})
}

func TestHooksSeeNoSecretAndTellNone(t *testing.T) {
	b := newBench(t, restics(t)[0])
	b.init()
	b.job.PreHook = "env; cat " + filepath.Join(b.dir, "password") + "; tr '\\0' ' ' </proc/$$/cmdline; echo \"argument $command\" >/dev/null"
	r, err := b.run()
	require.NoError(t, err)
	require.Contains(t, b.said.String(), "***", "what the hook prints of a secret is hidden")
	require.NotContains(t, b.said.String(), "AWS_SECRET")
	require.NotContains(t, b.said.String(), "argument $command\" >", "the text is no argument")
	require.Equal(t, restic.Complete, r.Outcome)
}

// The dump of a service that goes to two repositories is not written anew while restic still reads it for the first.
func TestR9DumpsOfOneFolderDoNotMeet(t *testing.T) {
	b := newBench(t, restics(t)[0])
	b.init()
	dump := filepath.Join(b.source, "dump")
	b.job.Dump = &restic.Dump{Command: "echo whole >" + dump, Directory: b.source}
	b.file("restic", fmt.Sprintf("#!/bin/sh\n[ \"$1\" = backup ] && { echo >>%q; sleep 1; }\nexec %q \"$@\"\n", filepath.Join(b.dir, "reading"), b.program))
	type ended struct {
		r   *backup.Result
		err error
	}
	first := make(chan ended)
	o := b.o
	o.Said = nil
	go func() {
		r, err := backup.Run(t.Context(), b.job, o)
		first <- ended{r, err}
	}()
	require.Eventually(t, func() bool { return b.read("reading") != "" }, 30*time.Second, 10*time.Millisecond)
	other := b.job
	other.Name, other.Dump = "other", &restic.Dump{Command: ": >" + dump + "; sleep 2; echo anew >" + dump, Directory: b.source}
	_, err := backup.Run(t.Context(), other, o)
	require.NoError(t, err)
	one := <-first
	require.NoError(t, one.err)
	require.Equal(t, "whole\n", string(b.restic("dump", one.r.Snapshot, dump)))
}
