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

	lab "github.com/stateward/stateward/e2e/preseedlab"
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
	lab.Fresh(t)
	lab.Must(t, "zfs", "create", "-o", "mountpoint=none", lab.Name+"/child")
	lab.Cut(t, "a", "first")
	lab.Cut(t, "b", "second")
	lab.Must(t, "zfs", "snapshot", lab.Name+"/child@later")
	before := lab.Guids(t)
	// A dry one says so, and changes nothing.
	_, out, status := lab.Run(t, "explain", lab.Plan(t))
	if status != 0 || !strings.Contains(out, "rollback local") || len(lab.Guids(t)) != len(before) {
		t.Fatalf("status %d\n%s", status, out)
	}
	lab.Ends(t, preseed.Restored, 0, "restored", lab.Plan(t))
	lab.Restored(t, "second")
	lab.Kept(t, before)
	lab.Ends(t, preseed.AlreadySeeded, 0, "seeded before", lab.Plan(t))
	// What its service removes since is not brought back.
	os.Remove(lab.App + "/file")
	lab.Ends(t, preseed.AlreadySeeded, 0, "seeded before", lab.Plan(t))
}

func TestE1E13LocalClone(t *testing.T) {
	for _, tc := range []struct {
		name  string
		since func()
	}{
		{"snapshots of nothing are newer", func() { lab.Must(t, "zfs", "snapshot", lab.Name+"@c") }},
		{"a bookmark is newer", func() {
			lab.Must(t, "zfs", "snapshot", lab.Name+"@c")
			lab.Must(t, "zfs", "bookmark", lab.Name+"@c", lab.Name+"#c")
			lab.Must(t, "zfs", "destroy", lab.Name+"@c")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lab.Fresh(t)
			lab.Cut(t, "a", "first")
			lab.Cut(t, "b", "second")
			tc.since()
			before := lab.Guids(t)
			lab.Ends(t, preseed.Restored, 0, "kept as "+lab.Was, lab.Plan(t))
			lab.Restored(t, "second")
			lab.Kept(t, before)
			// Nothing hangs on what was displaced.
			lab.Must(t, "zfs", "destroy", "-r", lab.Was)
			lab.Restored(t, "second")
			lab.Must(t, "zfs", "rollback", lab.Name+"@b")
		})
	}
}

// By hand, an older one is taken though there are newer ones, once somebody has said so.
func TestByHand(t *testing.T) {
	lab.Fresh(t)
	lab.Cut(t, "a", "first")
	time.Sleep(1100 * time.Millisecond)
	at := time.Now().UTC().Format(time.RFC3339)
	time.Sleep(1100 * time.Millisecond)
	lab.Cut(t, "b", "second")
	guid := lab.Must(t, "zfs", "get", "-Hp", "-o", "value", "guid", lab.Name)
	lab.Must(t, "zfs", "set", "stateward:preseed="+guid+" restored", lab.Name)
	before := lab.Guids(t)
	lab.Ends(t, preseed.AlreadySeeded, 0, "", lab.Plan(t))
	if _, out, status := lab.Run(t, "run", lab.Plan(t), "--from", "local", "--at", at); status != 4 || !strings.Contains(out, "nothing was confirmed") {
		t.Fatalf("%d\n%s", status, out)
	}
	lab.Ends(t, preseed.Restored, 0, "", lab.Plan(t), "--from", "local", "--at", at, "--yes-destroy", lab.Name)
	lab.Restored(t, "first")
	lab.Kept(t, before)
	lab.Ends(t, preseed.Refused, 4, "never touched", lab.Plan(t), "--from", "local", "--yes-destroy", lab.Name)
	lab.Restored(t, "first")
}

func TestReplica(t *testing.T) {
	lab.Fresh(t)
	lab.SendTo(t, "of the replica")
	// The newest one there is of nothing: the one before is taken.
	lab.Must(t, "zfs", "mount", "back/app")
	os.Remove("/srv/replica/file")
	lab.Must(t, "zfs", "snapshot", "back/app@two")
	before := lab.Guids(t)
	lab.Ends(t, preseed.Restored, 0, "from replica", lab.Plan(t, lab.From(lab.Local, lab.Replica)))
	lab.Restored(t, "of the replica")
	lab.Kept(t, before)
	// What is sent next needs not all.
	if a, b := lab.Must(t, "zfs", "get", "-Hp", "-o", "value", "guid", lab.Name+"@one"), lab.Must(t, "zfs", "get", "-Hp", "-o", "value", "guid", "back/app@one"); a != b {
		t.Errorf("the snapshots have the guids %s and %s", a, b)
	}
}

// By way of ssh, for which a stand-in runs what it is given with a shell: the guest has no ssh.
func TestReplicaOfAnotherHost(t *testing.T) {
	lab.Fresh(t)
	lab.SendTo(t, "of another host")
	lab.Write(t, "/srv/wrap/ssh", "#!/bin/bash\ncase \"$*\" in -oBatchMode=yes\\ -oStrictHostKeyChecking=yes\\ *' -- root@far '*) exec sh -c \"${!#}\" ;; esac\necho \"$*\" >&2\nexit 255\n")
	os.Chmod("/srv/wrap/ssh", 0o755)
	before := lab.Guids(t)
	lab.Ends(t, preseed.Restored, 0, "from replica", lab.Plan(t, lab.From(preseed.Source{Kind: preseed.Replica, From: "root@far:back/app"})))
	lab.Restored(t, "of another host")
	lab.Kept(t, before)
}

func TestE11E12R2Restic(t *testing.T) {
	lab.Fresh(t)
	lab.Job(t, "of restic")
	lab.Must(t, "zfs", "create", "-o", "mountpoint=none", "tank/other")
	os.MkdirAll("/srv/metrics", 0o755)
	before := lab.Guids(t)
	out := lab.Ends(t, preseed.Restored, 0, "(E11)", lab.Plan(t, lab.From(lab.Local, lab.Backup), func(p *preseed.Plan) { p.MetricsDir = "/srv/metrics" }), "--backup-state-dir", "/srv/backup-state")
	lab.Restored(t, "of restic")
	lab.Kept(t, before)
	info, err := os.Stat(lab.App)
	if err != nil || info.Mode().Perm() != 0o750 || info.Sys().(*syscall.Stat_t).Uid != 1 {
		t.Errorf("the top is %v of %v", info.Mode(), info.Sys().(*syscall.Stat_t).Uid)
	}
	metrics := lab.Read(t, "/srv/metrics/stateward_preseed_app.prom")
	for _, want := range []string{`outcome{name="app",outcome="restored"} 1`, `start{name="app"} 1`, `restored_bytes{name="app"} 9`, `recovery_point_timestamp_seconds{name="app",source="restic"} `} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics have no %s:\n%s", want, metrics)
		}
	}
	if files, _ := filepath.Glob(lab.State + "/app/2*.json"); len(files) != 1 || !strings.Contains(lab.Read(t, files[0]), `"source": "restic"`) {
		t.Errorf("there are the records %q", files)
	}
	if strings.Contains(out, "SECRET-CANARY") || strings.Contains(lab.Read(t, lab.State+"/app/newest.json"), "SECRET-CANARY") {
		t.Error("the password is in the output")
	}
}

func TestE7R3UnreachableIsNotNone(t *testing.T) {
	empty := func(p *preseed.Plan) { p.OnNoBackup, p.Timeout = preseed.StartEmpty, "3s" }
	lab.Fresh(t)
	lab.Job(t, "") // a repository without a snapshot
	lab.Write(t, lab.Passwords, "another\n")
	lab.Ends(t, preseed.Unreachable, 4, "wrong password", lab.Plan(t, lab.From(lab.Backup), empty))
	os.Rename("/srv/repository", "/srv/moved")
	lab.Ends(t, preseed.Unreachable, 4, "no repository", lab.Plan(t, lab.From(lab.Backup), empty))
	if _, err := os.Stat("/srv/repository"); err == nil {
		t.Error("it made a repository")
	}
	os.Rename("/srv/moved", "/srv/repository")
	lab.Ends(t, preseed.Unreachable, 4, "does not exist", lab.Plan(t, lab.From(lab.Replica), empty))
	lab.Write(t, "/srv/wrap/ssh", "#!/bin/sh\necho 'Host key verification failed.' >&2\nexit 255\n")
	os.Chmod("/srv/wrap/ssh", 0o755)
	lab.Ends(t, preseed.Unreachable, 4, "Host key", lab.Plan(t, lab.From(preseed.Source{Kind: preseed.Replica, From: "root@far:back/app"}), empty))
	lab.Write(t, lab.Passwords, "SECRET-CANARY\n")
	lab.Ends(t, preseed.ConfirmedNoBackup, 4, "none has anything", lab.Plan(t, lab.From(lab.Backup)))
	lab.Ends(t, preseed.ConfirmedNoBackup, 0, "starts empty", lab.Plan(t, lab.From(lab.Backup), empty))
	lab.Ends(t, preseed.AlreadySeeded, 0, "", lab.Plan(t, lab.From(lab.Backup)))
}

func TestE4E6Populated(t *testing.T) {
	lab.Fresh(t)
	lab.Cut(t, "a", "old")
	lab.Write(t, lab.App+"/file", "newer")
	lab.Must(t, "zfs", "set", "canmount=noauto", lab.Name)
	lab.Must(t, "zfs", "unmount", lab.Name)
	before := lab.Guids(t)
	lab.Ends(t, preseed.AlreadySeeded, 0, "holds files", lab.Plan(t))
	if got := lab.Read(t, lab.App+"/file"); got != "newer" {
		t.Errorf("it holds %q", got)
	}
	lab.Kept(t, before)
}

// E4: what its own plan makes is no data; what is in that is.
func TestMayHold(t *testing.T) {
	lab.Fresh(t)
	lab.Cut(t, "a", "old")
	may := func(p *preseed.Plan) { p.MayHold = []string{"sub/dir"} }
	os.MkdirAll(lab.App+"/sub/dir", 0o755)
	lab.Write(t, lab.App+"/sub/dir/x", "x")
	lab.Ends(t, preseed.AlreadySeeded, 0, "sub/dir/x", lab.Plan(t, may))
	lab.Must(t, "zfs", "inherit", "stateward:preseed", lab.Name)
	os.Remove(lab.App + "/sub/dir/x")
	lab.Ends(t, preseed.Restored, 0, "", lab.Plan(t, may))
	lab.Restored(t, "old")
}

// E5: what is mounted beside it hides what would be restored.
func TestE5SomethingElseIsMountedThere(t *testing.T) {
	lab.Fresh(t)
	lab.Cut(t, "a", "old")
	lab.Must(t, "mount", "-t", "tmpfs", "none", lab.App)
	lab.Ends(t, preseed.Refused, 4, "is mounted where it belongs", lab.Plan(t), "--timeout", "2s")
	lab.Must(t, "umount", lab.App)
	lab.Must(t, "zfs", "create", lab.Name+"/child")
	lab.Write(t, lab.App+"/child/x", "x")
	before := lab.Guids(t)
	lab.Ends(t, preseed.Refused, 4, "is mounted below it", lab.Plan(t, func(p *preseed.Plan) { p.MayHold = []string{"child"} }), "--timeout", "2s")
	lab.Must(t, "zfs", "unmount", lab.Name+"/child")
	lab.Must(t, "zfs", "snapshot", lab.Name+"@b")
	lab.Ends(t, preseed.Refused, 4, "lies below it", lab.Plan(t, func(p *preseed.Plan) { p.MayHold = []string{"child"} }))
	lab.Kept(t, before)
}

func TestE13KeyIsNotLoaded(t *testing.T) {
	lab.Fresh(t)
	lab.Write(t, "/srv/key", "12345678\n")
	lab.Must(t, "zfs", "destroy", "-r", lab.Name)
	lab.Must(t, "zfs", "create", "-o", "mountpoint=none", "-o", "encryption=on", "-o", "keyformat=passphrase", "-o", "keylocation=file:///srv/key", "tank/safe")
	lab.Must(t, "zfs", "create", "-o", "mountpoint="+lab.App, "-o", "recordsize=16K", "tank/safe/app")
	lab.Write(t, lab.App+"/file", "secret")
	lab.Must(t, "zfs", "snapshot", "tank/safe/app@a")
	os.Remove(lab.App + "/file")
	lab.Must(t, "zfs", "snapshot", "tank/safe/app@b")
	lab.Must(t, "zfs", "unmount", "tank/safe/app")
	lab.Must(t, "zfs", "unload-key", "tank/safe")
	in := func(p *preseed.Plan) { p.Dataset = "tank/safe/app" }
	lab.Ends(t, preseed.Unreachable, 4, "key", lab.Plan(t, in), "--timeout", "2s")
	// It is loaded while the run waits.
	go func() {
		time.Sleep(1500 * time.Millisecond)
		lab.Try("zfs", "load-key", "tank/safe")
	}()
	lab.Ends(t, preseed.Refused, 4, "the staging area is not", lab.Plan(t, in))
	lab.Ends(t, preseed.Restored, 0, "", lab.Plan(t, in, func(p *preseed.Plan) { p.Staging = "tank/safe/staging" }))
	if got := lab.Read(t, lab.App+"/file"); got != "secret" {
		t.Errorf("it holds %q", got)
	}
}

func TestE8DegradedPool(t *testing.T) {
	lab.Fresh(t)
	for _, f := range []string{"/srv/one", "/srv/two"} {
		lab.Must(t, "truncate", "-s", "80M", f)
	}
	lab.Must(t, "zpool", "create", "-f", "-O", "mountpoint=none", "frail", "mirror", "/srv/one", "/srv/two")
	t.Cleanup(func() { lab.Try("zpool", "destroy", "-f", "frail") })
	lab.Must(t, "zfs", "create", "-o", "mountpoint=/srv/frail", "frail/app")
	lab.Write(t, "/srv/frail/file", "x")
	lab.Must(t, "zpool", "offline", "frail", "/srv/two")
	on := func(p *preseed.Plan) { p.Dataset, p.Mountpoint = "frail/app", "/srv/frail" }
	lab.Ends(t, preseed.AlreadySeeded, 0, "holds files", lab.Plan(t, on))
	lab.Ends(t, preseed.AlreadySeeded, 0, "seeded before", lab.Plan(t, on))
	lab.Must(t, "zpool", "export", "frail")
	lab.Ends(t, preseed.Unreachable, 4, "not imported", lab.Plan(t, on), "--timeout", "2s")
	lab.Must(t, "zpool", "import", "-d", "/srv", "frail")
}

func TestValidation(t *testing.T) {
	lab.Fresh(t)
	lab.Cut(t, "a", "old")
	lab.SendTo(t, "of the replica, which is longer")
	before := lab.Guids(t)
	big := func(p *preseed.Plan) { p.MinBytes = 10 }
	lab.Ends(t, preseed.Restored, 0, "from replica", lab.Plan(t, lab.From(lab.Local, lab.Replica), big))
	lab.Restored(t, "of the replica, which is longer")
	lab.Kept(t, before)

	lab.Fresh(t)
	lab.Cut(t, "a", "old")
	lab.Ends(t, preseed.Refused, 4, "does not take it", lab.Plan(t, func(p *preseed.Plan) { p.Command = []string{"/bin/sh", "-c", "echo no >&2; test ! -e $0/file"} }))
	if list := lab.Must(t, "zfs", "list", "-H", "-o", "name", "-r", "tank"); strings.Contains(list, lab.Staged) {
		t.Errorf("what was not taken is there still: %s", list)
	}
}

// E10: two at a time.
func TestE10TwoAtOnce(t *testing.T) {
	lab.Fresh(t)
	lab.Cut(t, "a", "old")
	lab.Must(t, "zfs", "snapshot", lab.Name+"@b")
	before := lab.Guids(t)
	file := lab.Plan(t)
	codes := make(chan int, 3)
	for range 3 {
		go func() {
			cmd := exec.Command("/mnt/bin/stateward", "preseed", "run", file, "--state-dir", lab.State)
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
	lab.Restored(t, "old")
	lab.Kept(t, before)
}
