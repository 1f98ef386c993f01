//go:build e2e

// Package preseed_test fills empty datasets of the real ZFS, from snapshots, replicas and a real restic repository, and kills runs wherever they change
// something: run it with scripts/e2e.
package preseed_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stateward/stateward/preseed"
)

func TestMain(m *testing.M) {
	must := func(args ...string) {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			panic(strings.Join(args, " ") + ": " + string(out))
		}
	}
	os.Setenv("HOME", "/root")
	os.Setenv("RESTIC_CACHE_DIR", "/srv/cache")
	must("zpool", "create", "-f", "-O", "mountpoint=none", "tank", "/dev/ubdb")
	must("zpool", "create", "-f", "-O", "mountpoint=none", "back", "/dev/ubdc")
	os.WriteFile("/etc/systemd/system/app.service", []byte("[Service]\nExecStart=/bin/sleep infinity\n"), 0o644)
	must("systemctl", "daemon-reload")
	os.Exit(m.Run())
}

func TestE1E2LocalRollback(t *testing.T) {
	fresh(t)
	must(t, "zfs", "create", "-o", "mountpoint=none", name+"/child")
	cut(t, "a", "first")
	cut(t, "b", "second")
	must(t, "zfs", "snapshot", name+"/child@later")
	before := guids(t)
	// A dry one says so, and changes nothing.
	_, out, status := run(t, "explain", plan(t))
	if status != 0 || !strings.Contains(out, "rollback local") || len(guids(t)) != len(before) {
		t.Fatalf("status %d\n%s", status, out)
	}
	ends(t, preseed.Restored, 0, "restored", plan(t))
	restored(t, "second")
	kept(t, before)
	ends(t, preseed.AlreadySeeded, 0, "seeded before", plan(t))
	// What its service removes since is not brought back.
	os.Remove(app + "/file")
	ends(t, preseed.AlreadySeeded, 0, "seeded before", plan(t))
}

func TestE1E13LocalClone(t *testing.T) {
	for _, tc := range []struct {
		name  string
		since func()
	}{
		{"snapshots of nothing are newer", func() { must(t, "zfs", "snapshot", name+"@c") }},
		{"a bookmark is newer", func() {
			must(t, "zfs", "snapshot", name+"@c")
			must(t, "zfs", "bookmark", name+"@c", name+"#c")
			must(t, "zfs", "destroy", name+"@c")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fresh(t)
			cut(t, "a", "first")
			cut(t, "b", "second")
			tc.since()
			before := guids(t)
			ends(t, preseed.Restored, 0, "kept as "+was, plan(t))
			restored(t, "second")
			kept(t, before)
			// Nothing hangs on what was displaced.
			must(t, "zfs", "destroy", "-r", was)
			restored(t, "second")
			must(t, "zfs", "rollback", name+"@b")
		})
	}
}

// By hand, an older one is taken though there are newer ones, once somebody has said so.
func TestByHand(t *testing.T) {
	fresh(t)
	cut(t, "a", "first")
	time.Sleep(1100 * time.Millisecond)
	at := time.Now().UTC().Format(time.RFC3339)
	time.Sleep(1100 * time.Millisecond)
	cut(t, "b", "second")
	guid := must(t, "zfs", "get", "-Hp", "-o", "value", "guid", name)
	must(t, "zfs", "set", "stateward:preseed="+guid+" restored", name)
	before := guids(t)
	ends(t, preseed.AlreadySeeded, 0, "", plan(t))
	if _, out, status := run(t, "run", plan(t), "--from", "local", "--at", at); status != 4 || !strings.Contains(out, "nothing was confirmed") {
		t.Fatalf("%d\n%s", status, out)
	}
	ends(t, preseed.Restored, 0, "", plan(t), "--from", "local", "--at", at, "--yes-destroy", name)
	restored(t, "first")
	kept(t, before)
	ends(t, preseed.Refused, 4, "never touched", plan(t), "--from", "local", "--yes-destroy", name)
	restored(t, "first")
}

func TestReplica(t *testing.T) {
	fresh(t)
	sendTo(t, "of the replica")
	// The newest one there is of nothing: the one before is taken.
	must(t, "zfs", "mount", "back/app")
	os.Remove("/srv/replica/file")
	must(t, "zfs", "snapshot", "back/app@two")
	before := guids(t)
	ends(t, preseed.Restored, 0, "from replica", plan(t, from(local, replica)))
	restored(t, "of the replica")
	kept(t, before)
	// What is sent next needs not all.
	if a, b := must(t, "zfs", "get", "-Hp", "-o", "value", "guid", name+"@one"), must(t, "zfs", "get", "-Hp", "-o", "value", "guid", "back/app@one"); a != b {
		t.Errorf("the snapshots have the guids %s and %s", a, b)
	}
}

// By way of ssh, for which a stand-in runs what it is given with a shell: the guest has no ssh.
func TestReplicaOfAnotherHost(t *testing.T) {
	fresh(t)
	sendTo(t, "of another host")
	write(t, "/srv/wrap/ssh", "#!/bin/bash\ncase \"$*\" in -oBatchMode=yes\\ -oStrictHostKeyChecking=yes\\ *' -- root@far '*) exec sh -c \"${!#}\" ;; esac\necho \"$*\" >&2\nexit 255\n")
	os.Chmod("/srv/wrap/ssh", 0o755)
	before := guids(t)
	ends(t, preseed.Restored, 0, "from replica", plan(t, from(preseed.Source{Kind: preseed.Replica, From: "root@far:back/app"})))
	restored(t, "of another host")
	kept(t, before)
}

func TestE11E12R2Restic(t *testing.T) {
	fresh(t)
	job(t, "of restic")
	must(t, "zfs", "create", "-o", "mountpoint=none", "tank/other")
	os.MkdirAll("/srv/metrics", 0o755)
	before := guids(t)
	out := ends(t, preseed.Restored, 0, "(E11)", plan(t, from(local, backup), func(p *preseed.Plan) { p.MetricsDir = "/srv/metrics" }), "--backup-state-dir", "/srv/backup-state")
	restored(t, "of restic")
	kept(t, before)
	info, err := os.Stat(app)
	if err != nil || info.Mode().Perm() != 0o750 || info.Sys().(*syscall.Stat_t).Uid != 1 {
		t.Errorf("the top is %v of %v", info.Mode(), info.Sys().(*syscall.Stat_t).Uid)
	}
	metrics := read(t, "/srv/metrics/stateward_preseed_app.prom")
	for _, want := range []string{`outcome{name="app",outcome="restored"} 1`, `start{name="app"} 1`, `restored_bytes{name="app"} 9`, `recovery_point_timestamp_seconds{name="app",source="restic"} `} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics have no %s:\n%s", want, metrics)
		}
	}
	if files, _ := filepath.Glob(state + "/app/2*.json"); len(files) != 1 || !strings.Contains(read(t, files[0]), `"source": "restic"`) {
		t.Errorf("there are the records %q", files)
	}
	if strings.Contains(out, "SECRET-CANARY") || strings.Contains(read(t, state+"/app/newest.json"), "SECRET-CANARY") {
		t.Error("the password is in the output")
	}
}

func TestE7R3UnreachableIsNotNone(t *testing.T) {
	empty := func(p *preseed.Plan) { p.OnNoBackup, p.Timeout = preseed.StartEmpty, "3s" }
	fresh(t)
	job(t, "") // a repository without a snapshot
	write(t, passwords, "another\n")
	ends(t, preseed.Unreachable, 4, "wrong password", plan(t, from(backup), empty))
	os.Rename("/srv/repository", "/srv/moved")
	ends(t, preseed.Unreachable, 4, "no repository", plan(t, from(backup), empty))
	if _, err := os.Stat("/srv/repository"); err == nil {
		t.Error("it made a repository")
	}
	os.Rename("/srv/moved", "/srv/repository")
	ends(t, preseed.Unreachable, 4, "does not exist", plan(t, from(replica), empty))
	write(t, "/srv/wrap/ssh", "#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n")
	os.Chmod("/srv/wrap/ssh", 0o755)
	ends(t, preseed.Unreachable, 4, "Host key", plan(t, from(preseed.Source{Kind: preseed.Replica, From: "root@far:back/app"}), empty))
	write(t, passwords, "SECRET-CANARY\n")
	ends(t, preseed.ConfirmedNoBackup, 4, "none has anything", plan(t, from(backup)))
	ends(t, preseed.ConfirmedNoBackup, 0, "starts empty", plan(t, from(backup), empty))
	ends(t, preseed.AlreadySeeded, 0, "", plan(t, from(backup)))
}

func TestE4E6Populated(t *testing.T) {
	fresh(t)
	cut(t, "a", "old")
	write(t, app+"/file", "newer")
	must(t, "zfs", "set", "canmount=noauto", name)
	must(t, "zfs", "unmount", name)
	before := guids(t)
	ends(t, preseed.AlreadySeeded, 0, "holds files", plan(t))
	if got := read(t, app+"/file"); got != "newer" {
		t.Errorf("it holds %q", got)
	}
	kept(t, before)
}

// E4: what its own plan makes is no data; what is in that is.
func TestMayHold(t *testing.T) {
	fresh(t)
	cut(t, "a", "old")
	may := func(p *preseed.Plan) { p.MayHold = []string{"sub/dir"} }
	os.MkdirAll(app+"/sub/dir", 0o755)
	write(t, app+"/sub/dir/x", "x")
	ends(t, preseed.AlreadySeeded, 0, "sub/dir/x", plan(t, may))
	must(t, "zfs", "inherit", "stateward:preseed", name)
	os.Remove(app + "/sub/dir/x")
	ends(t, preseed.Restored, 0, "", plan(t, may))
	restored(t, "old")
}

// E5: what is mounted beside it hides what would be restored.
func TestE5SomethingElseIsMountedThere(t *testing.T) {
	fresh(t)
	cut(t, "a", "old")
	must(t, "mount", "-t", "tmpfs", "none", app)
	ends(t, preseed.Refused, 4, "is mounted where it belongs", plan(t), "--timeout", "2s")
	must(t, "umount", app)
	must(t, "zfs", "create", name+"/child")
	write(t, app+"/child/x", "x")
	before := guids(t)
	ends(t, preseed.Refused, 4, "is mounted below it", plan(t, func(p *preseed.Plan) { p.MayHold = []string{"child"} }), "--timeout", "2s")
	must(t, "zfs", "unmount", name+"/child")
	must(t, "zfs", "snapshot", name+"@b")
	ends(t, preseed.Refused, 4, "lies below it", plan(t, func(p *preseed.Plan) { p.MayHold = []string{"child"} }))
	kept(t, before)
}

func TestE13KeyIsNotLoaded(t *testing.T) {
	fresh(t)
	write(t, "/srv/key", "12345678\n")
	must(t, "zfs", "destroy", "-r", name)
	must(t, "zfs", "create", "-o", "mountpoint=none", "-o", "encryption=on", "-o", "keyformat=passphrase", "-o", "keylocation=file:///srv/key", "tank/safe")
	must(t, "zfs", "create", "-o", "mountpoint="+app, "-o", "recordsize=16K", "tank/safe/app")
	write(t, app+"/file", "secret")
	must(t, "zfs", "snapshot", "tank/safe/app@a")
	os.Remove(app + "/file")
	must(t, "zfs", "snapshot", "tank/safe/app@b")
	must(t, "zfs", "unmount", "tank/safe/app")
	must(t, "zfs", "unload-key", "tank/safe")
	in := func(p *preseed.Plan) { p.Dataset = "tank/safe/app" }
	ends(t, preseed.Unreachable, 4, "key", plan(t, in), "--timeout", "2s")
	// It is loaded while the run waits.
	go func() {
		time.Sleep(1500 * time.Millisecond)
		try("zfs", "load-key", "tank/safe")
	}()
	ends(t, preseed.Refused, 4, "the staging area is not", plan(t, in))
	ends(t, preseed.Restored, 0, "", plan(t, in, func(p *preseed.Plan) { p.Staging = "tank/safe/staging" }))
	if got := read(t, app+"/file"); got != "secret" {
		t.Errorf("it holds %q", got)
	}
}

func TestE8DegradedPool(t *testing.T) {
	fresh(t)
	for _, f := range []string{"/srv/one", "/srv/two"} {
		must(t, "truncate", "-s", "80M", f)
	}
	must(t, "zpool", "create", "-f", "-O", "mountpoint=none", "frail", "mirror", "/srv/one", "/srv/two")
	t.Cleanup(func() { try("zpool", "destroy", "-f", "frail") })
	must(t, "zfs", "create", "-o", "mountpoint=/srv/frail", "frail/app")
	write(t, "/srv/frail/file", "x")
	must(t, "zpool", "offline", "frail", "/srv/two")
	on := func(p *preseed.Plan) { p.Dataset, p.Mountpoint = "frail/app", "/srv/frail" }
	ends(t, preseed.AlreadySeeded, 0, "holds files", plan(t, on))
	ends(t, preseed.AlreadySeeded, 0, "seeded before", plan(t, on))
	must(t, "zpool", "export", "frail")
	ends(t, preseed.Unreachable, 4, "not imported", plan(t, on), "--timeout", "2s")
	must(t, "zpool", "import", "-d", "/srv", "frail")
}

func TestValidation(t *testing.T) {
	fresh(t)
	cut(t, "a", "old")
	sendTo(t, "of the replica, which is longer")
	before := guids(t)
	big := func(p *preseed.Plan) { p.MinBytes = 10 }
	ends(t, preseed.Restored, 0, "from replica", plan(t, from(local, replica), big))
	restored(t, "of the replica, which is longer")
	kept(t, before)

	fresh(t)
	cut(t, "a", "old")
	ends(t, preseed.Refused, 4, "does not take it", plan(t, func(p *preseed.Plan) { p.Command = []string{"/bin/sh", "-c", "echo no >&2; test ! -e $0/file"} }))
	if list := must(t, "zfs", "list", "-H", "-o", "name", "-r", "tank"); strings.Contains(list, staged) {
		t.Errorf("what was not taken is there still: %s", list)
	}
}

// E10: two at a time.
func TestE10TwoAtOnce(t *testing.T) {
	fresh(t)
	cut(t, "a", "old")
	must(t, "zfs", "snapshot", name+"@b")
	before := guids(t)
	file := plan(t)
	codes := make(chan int, 3)
	for range 3 {
		go func() {
			cmd := exec.Command("/mnt/bin/stateward", "preseed", "run", file, "--state-dir", state)
			cmd.Run()
			codes <- cmd.ProcessState.ExitCode()
		}()
	}
	good := 0
	for range 3 {
		switch c := <-codes; c {
		case 0:
			good++
		case 4:
		default:
			t.Errorf("status %d", c)
		}
	}
	if good == 0 {
		t.Error("none of them did it")
	}
	restored(t, "old")
	kept(t, before)
}
