//go:build e2e

// Package backup_test backs up from snapshots of the real ZFS with the real restic: run it with scripts/e2e.
package backup_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/backup"
	"github.com/stateward/stateward/internal/exec/drill"
)

// killed is set where this program runs a job that is killed.
const killed = "STATEWARD_E2E_KILLED"

func TestMain(m *testing.M) {
	if os.Getenv(killed) != "" {
		o := options()
		o.Began = func(string) {
			// Everything is mounted now, and restic is about to start.
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		_, _ = backup.Run(context.Background(), job(), o)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func command(t *testing.T, words ...string) string {
	t.Helper()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "RESTIC_PASSWORD_FILE=/srv/password", "RESTIC_REPOSITORY=/srv/repository", "HOME=/root")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("%s: %v\n%s%s", strings.Join(words, " "), err, out, exit.Stderr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

func job() restic.Job {
	return restic.Job{ProtocolVersion: "1", Name: "apps", Repository: "/srv/repository", PasswordFile: "/srv/password", Host: "forge",
		Paths: []string{"/srv/apps/data", "/srv/apps/media"}, Exclude: []string{"/srv/apps/data/cache", "*.tmp"},
		Source: []restic.Dataset{{Name: "tank/apps/media", Mountpoint: "/srv/apps/media"}, {Name: "tank/apps", Mountpoint: "/srv/apps"}}}
}

func options() backup.Options {
	return backup.Options{Restic: "restic", Env: []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin:/usr/bin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"},
		StateDir: "/srv/state", LockDir: "/run/stateward", Now: time.Now}
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// clean looks whether anything of ours is left.
func clean(t *testing.T, want string) {
	t.Helper()
	if got := command(t, "zfs", "list", "-H", "-o", "name", "-t", "snapshot"); got != want {
		t.Errorf("snapshots are left: %q, want %q", got, want)
	}
	if mounts, _ := os.ReadFile("/proc/self/mountinfo"); strings.Contains(string(mounts), "/run/stateward") {
		t.Errorf("mounts are left:\n%s", mounts)
	}
	for _, name := range []string{"/run/stateward/backup/apps", "/srv/state/apps.snapshot.json"} {
		if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left (%v)", name, err)
		}
	}
}

func TestR2R7R8SnapshotAsSource(t *testing.T) {
	command(t, "zpool", "create", "-f", "-m", "none", "tank", "/dev/ubdb")
	command(t, "zfs", "create", "-o", "mountpoint=/srv/apps", "tank/apps")
	command(t, "zfs", "create", "tank/apps/media")
	command(t, "zfs", "snapshot", "-o", "stateward:backup=apps:another", "tank/apps@stateward-apps-another")
	const others = "tank/apps@stateward-apps-another\n"
	write(t, "/srv/password", "x\n")
	write(t, "/srv/apps/data/file", "first")
	write(t, "/srv/apps/data/cache/x", "x")
	write(t, "/srv/apps/data/y.tmp", "x")
	write(t, "/srv/apps/media/film", strings.Repeat("f", 5000))
	if _, err := backup.Init(t.Context(), job(), options()); err != nil {
		t.Fatal(err)
	}

	o := options()
	o.Began = func(string) { write(t, "/srv/apps/data/file", "second") } // while restic reads
	r, err := backup.Run(t.Context(), job(), o)
	if err != nil {
		t.Fatalf("%v\n%+v", err, r.Steps)
	}
	if r.Files != 2 || r.Bytes != 5005 {
		t.Errorf("%d files of %d bytes: what is excluded is in it", r.Files, r.Bytes)
	}
	clean(t, others)

	// The record alone says where it lies.
	rec, err := backup.ReadRecord("/srv/state", "apps")
	if err != nil || rec.LastGood.Root != "/run/stateward/backup/apps" {
		t.Fatalf("%+v %v", rec, err)
	}
	args, err := job().RestoreArgs(restic.Restore{Snapshot: rec.LastGood.Snapshot, Path: "/srv/apps/data", Root: &rec.LastGood.Root, Target: "/srv/target"})
	if err != nil {
		t.Fatal(err)
	}
	command(t, append([]string{"restic"}, args...)...)
	if text, err := os.ReadFile("/srv/target/file"); err != nil || string(text) != "first" {
		t.Errorf("what is brought back is %q (%v), and not of the moment of the snapshot", text, err)
	}
	// A drill restores what was in the snapshot under the paths of the machine, and touches nothing of what is live there.
	passed, _, err := drill.Run(t.Context(), job(), drill.Options{Options: options(), Dir: "/srv/drills", Scratch: "/srv/scratch"})
	if err != nil || passed.Verdict != "passed" || passed.Restored.Files != 2 || passed.Restored.Bytes != 5005 {
		t.Errorf("%v %+v", err, passed)
	}
	if left, err := os.ReadDir("/srv/scratch"); err != nil || len(left) != 0 {
		t.Errorf("a drill left %v (%v)", left, err)
	}
	if _, _, err := drill.Run(t.Context(), job(), drill.Options{Options: options(), Dir: "/srv/drills", Scratch: "/srv/apps/other"}); err == nil || !strings.Contains(err.Error(), "a dataset of the job") {
		t.Errorf("a drill within a dataset of the job: %v", err)
	}
	// And so does the repository.
	var list []struct{ Tags, Paths []string }
	if err := json.Unmarshal([]byte(command(t, "restic", "snapshots", "--json")), &list); err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	if got := strings.Join(list[0].Tags, " "); got != "stateward.job=apps stateward.root=/run/stateward/backup/apps" {
		t.Errorf("tags are %q", got)
	}

	// Where restic fails, all is cleaned up the same.
	bad := job()
	bad.Repository = "/srv/nowhere"
	if r, err := backup.Run(t.Context(), bad, options()); err == nil || r.Outcome != restic.NoRepository {
		t.Errorf("%v %s", err, r.Outcome)
	}
	clean(t, others)

	// A dataset that is not there: what was begun is taken back.
	bad = job()
	bad.Source = append(bad.Source, restic.Dataset{Name: "tank/missing", Mountpoint: "/srv/missing"})
	if r, err := backup.Run(t.Context(), bad, options()); err == nil || r.Outcome != backup.Refused {
		t.Errorf("%v %s", err, r.Outcome)
	}
	clean(t, others)

	// A dataset below that nobody named would be missing without a word.
	bad = job()
	bad.Paths, bad.Source = []string{"/srv/apps"}, bad.Source[1:]
	if _, err := backup.Run(t.Context(), bad, options()); err == nil || !strings.Contains(err.Error(), "/srv/apps/media is mounted below what is backed up, and not in source") {
		t.Error(err)
	}
	command(t, "zfs", "umount", "tank/apps/media")
	if _, err := backup.Run(t.Context(), job(), options()); err == nil || !strings.Contains(err.Error(), "/srv/apps/media has not tank/apps/media mounted") {
		t.Error(err)
	}
	command(t, "zfs", "mount", "tank/apps/media")
	clean(t, others)

	// Killed half-way: the next run finds what was left, and takes the one that is ours.
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), killed+"=1")
	_ = cmd.Run()
	if mounts, _ := os.ReadFile("/proc/self/mountinfo"); strings.Count(string(mounts), "/run/stateward/backup/apps/srv/apps") < 2 {
		t.Fatalf("nothing was mounted as it was killed:\n%s", mounts)
	}
	if r, err := backup.Run(t.Context(), job(), options()); err != nil || r.Outcome != restic.Complete {
		t.Errorf("%v %s", err, r.Outcome)
	}
	clean(t, others)

	// One that was put in the place of ours is not.
	cmd = exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), killed+"=1")
	_ = cmd.Run()
	for line := range strings.Lines(command(t, "zfs", "list", "-H", "-o", "name", "-t", "snapshot", "-d", "1", "tank/apps")) {
		name := strings.TrimSpace(line)
		if name == strings.TrimSpace(others) {
			continue
		}
		command(t, "umount", "-R", "/run/stateward/backup/apps/srv/apps")
		command(t, "zfs", "destroy", name)
		command(t, "zfs", "snapshot", name)
		r, err := backup.Run(t.Context(), job(), options())
		var e *backup.GateError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), "is not the snapshot that was made") {
			t.Errorf("%v %s", err, r.Outcome)
		}
		command(t, "zfs", "list", "-t", "snapshot", name)
	}
}
