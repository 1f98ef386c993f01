//go:build e2e

// Package preseed_test has sources fail as real ones do, by a real sshd, syncoid and restic, and cuts the power while a dataset is filled: run it with
// scripts/e2e.
package preseed_test

import (
	"fmt"
	"net"
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
	must("ip", "link", "set", "lo", "up")
	os.MkdirAll("/run/sshd", 0o755)
	os.MkdirAll("/root/.ssh", 0o700)
	must("sh", "-c", `rm -f /srv/client* /srv/other* && ssh-keygen -q -t ed25519 -N "" -f /srv/client && ssh-keygen -q -t ed25519 -N "" -f /srv/other &&
cp /srv/client.pub /root/.ssh/authorized_keys && [ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -A
echo "localhost $(cut -d' ' -f1,2 /etc/ssh/ssh_host_ed25519_key.pub)" >/srv/known
echo "localhost $(cut -d' ' -f1,2 /srv/other.pub)" >/srv/changed
: >/srv/unknown
printf 'Host disk\n  HostName localhost\n  HostKeyAlias localhost\n  IdentityFile /srv/client\nHost *\n  AddressFamily inet\n  UserKnownHostsFile /srv/known\n  HostKeyAlgorithms ssh-ed25519\n' >/root/.ssh/config`)
	sshd("start")
	os.Exit(m.Run())
}

// sshd starts and stops a real one.
func sshd(what string) {
	exec.Command("sh", "-c", `[ ! -e /run/sshd.pid ] || kill "$(cat /run/sshd.pid)"; rm -f /run/sshd.pid`).Run()
	if what == "stop" {
		return
	}
	if out, err := exec.Command("/usr/sbin/sshd", "-o", "ListenAddress=127.0.0.1", "-o", "PermitRootLogin=yes", "-o", "PerSourcePenalties=no").CombinedOutput(); err != nil {
		panic(string(out))
	}
	for range 50 {
		if c, err := net.Dial("tcp", "127.0.0.1:22"); err == nil {
			c.Close()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

var far = preseed.Source{Kind: preseed.Replica, From: "root@localhost:back/app", SSHKey: "/srv/client", KnownHosts: "/srv/known"}

// replicated is the stream of what syncoid replicated, by its text.
var replicated = map[string]string{}

// syncoid replicates a text as syncoid does, and as if by another host, whose dataset is gone. It takes thirty processes of Perl, ssh and zfs: what it made the
// first time is received again after that, the very snapshot with its name and guid.
func syncoid(t *testing.T, text string) {
	t.Helper()
	if stream := replicated[text]; stream != "" {
		lab.Must(t, "sh", "-c", "zfs receive -u back/app <"+stream)
		return
	}
	lab.Must(t, "zfs", "create", "-o", "mountpoint=/srv/origin", "back/origin")
	lab.Write(t, "/srv/origin/file", text)
	lab.Must(t, "syncoid", "--quiet", "--sshkey", "/srv/client", "back/origin", "root@localhost:back/app")
	lab.Must(t, "zfs", "destroy", "-r", "back/origin")
	stream := fmt.Sprintf("/srv/replicated-%d", len(replicated))
	lab.Must(t, "sh", "-c", "zfs send \"$(zfs list -H -o name -t snapshot back/app)\" >"+stream)
	replicated[text] = stream
}

// Each fault is not taken for a source that has nothing, changes nothing, and once it is mended the run goes on.
func TestE7R3EachFaultOfEachSource(t *testing.T) {
	type fault struct {
		name   string
		source preseed.Source
		make   func(t *testing.T)               // what there is
		hurt   func(t *testing.T) (undo func()) // and what is wrong with it
		want   preseed.Outcome
		says   string
		after  string // what is restored once that is undone; empty where nobody can undo it
	}
	wrap := func(program, text string) func(t *testing.T) func() {
		return func(t *testing.T) func() {
			real, err := exec.LookPath(program)
			if err != nil {
				t.Fatal(err)
			}
			lab.Write(t, "/srv/wrap/"+program, "#!/bin/sh\n"+strings.ReplaceAll(text, "REAL", real)+"\nexec "+real+" \"$@\"\n")
			os.Chmod("/srv/wrap/"+program, 0o755)
			return func() { os.Remove("/srv/wrap/" + program) }
		}
	}
	sent := func(t *testing.T) { syncoid(t, "text") }
	backedUp := func(t *testing.T) { lab.Job(t, "text") }
	file := func(file, text string) func(t *testing.T) func() {
		return func(t *testing.T) func() {
			was := lab.Read(t, file)
			lab.Write(t, file, text)
			return func() { lab.Write(t, file, was) }
		}
	}
	with := func(change func(*preseed.Source)) preseed.Source {
		s := far
		change(&s)
		return s
	}
	// sftp goes through the same sshd.
	over := func(repository string) func(t *testing.T) {
		return func(t *testing.T) {
			j := lab.Job(t, "text")
			j.Repository = repository
			data, err := j.Write()
			if err != nil {
				t.Fatal(err)
			}
			lab.Write(t, "/srv/job.json", string(data))
		}
	}
	quota := func(t *testing.T) func() {
		lab.Must(t, "zfs", "create", "-p", "-o", "canmount=off", "-o", "mountpoint=none", "-o", "quota=256K", "tank/stateward-staging")
		return func() { lab.Must(t, "zfs", "set", "quota=none", "tank/stateward-staging") }
	}
	for _, tc := range []fault{
		{"local, no snapshot", lab.Local, func(t *testing.T) {}, func(t *testing.T) func() { return func() { lab.Cut(t, "a", "text") } }, preseed.ConfirmedNoBackup, "none has anything", "text"},
		{"local, it cannot be looked into", lab.Local, func(t *testing.T) { lab.Cut(t, "a", "text") }, wrap("mount", `case "$*" in *@a\ *) echo "mount: Input/output error" >&2; exit 32 ;; esac`), preseed.Unreachable, "Input/output error", "text"},
		{"local, the rollback is refused", lab.Local, func(t *testing.T) { lab.Cut(t, "a", "text") }, wrap("zfs", `case "$1" in rollback) echo "cannot rollback: pool I/O is currently suspended" >&2; exit 1 ;; esac`), preseed.Failed, "suspended", "text"},
		{"local, the clone is cut off", lab.Local, func(t *testing.T) { lab.Cut(t, "a", "text"); lab.Must(t, "zfs", "snapshot", lab.Name+"@b") }, wrap("zfs", `case "$1" in clone) REAL "$@"; exit 1 ;; esac`), preseed.Failed, "clone", "text"},

		{"replica, no such dataset", lab.Replica, func(t *testing.T) {}, func(t *testing.T) func() { return func() { syncoid(t, "text") } }, preseed.Unreachable, "does not exist", "text"},
		{"replica, the network is refused", far, sent, func(t *testing.T) func() { sshd("stop"); return func() { sshd("start") } }, preseed.Unreachable, "Connection refused", "text"},
		{"replica, the host key is another one", with(func(s *preseed.Source) { s.KnownHosts = "/srv/changed" }), sent, func(t *testing.T) func() { return func() { lab.Must(t, "cp", "/srv/known", "/srv/changed") } }, preseed.Unreachable, "Host key verification failed", "text"},
		{"replica, nobody knows the host key", with(func(s *preseed.Source) { s.KnownHosts = "/srv/unknown" }), sent, func(t *testing.T) func() { return func() { lab.Must(t, "cp", "/srv/known", "/srv/unknown") } }, preseed.Unreachable, "Host key verification failed", "text"},
		{"replica, it is not let in", with(func(s *preseed.Source) { s.SSHKey = "/srv/other" }), sent, func(t *testing.T) func() {
			return func() { lab.Must(t, "sh", "-c", "cat /srv/other.pub >>/root/.ssh/authorized_keys") }
		}, preseed.Unreachable, "Permission denied", "text"},
		{"replica, the first replication was cut off", far, func(t *testing.T) {}, func(t *testing.T) func() {
			lab.Must(t, "zfs", "create", "-o", "mountpoint=/srv/origin", "back/origin")
			lab.Must(t, "dd", "if=/dev/urandom", "of=/srv/origin/big", "bs=1M", "count=4", "status=none")
			lab.Write(t, "/srv/origin/file", "text")
			lab.Must(t, "zfs", "snapshot", "back/origin@one")
			lab.Try("sh", "-c", "zfs send back/origin@one | head -c 2000000 | zfs receive -s -u back/app")
			return func() {
				lab.Must(t, "sh", "-c", `zfs send -t "$(zfs get -H -o value receive_resume_token back/app)" | zfs receive -s -u back/app`)
			}
		}, preseed.Refused, "was cut off", "text"},
		{"replica, its snapshots were destroyed", far, sent, func(t *testing.T) func() {
			lab.Must(t, "zfs", "set", "mountpoint=/srv/replica", "back/app")
			lab.Try("zfs", "mount", "back/app")
			lab.Must(t, "dd", "if=/dev/urandom", "of=/srv/replica/big", "bs=1M", "count=1", "status=none")
			lab.Must(t, "sh", "-c", "sync; zfs list -H -o name -t snapshot back/app | xargs -n 1 zfs destroy")
			return func() { lab.Must(t, "zfs", "snapshot", "back/app@anew") }
		}, preseed.Refused, "has no snapshot, and holds", "text"},
		{"replica, sent raw and its key is not loaded", lab.Replica, func(t *testing.T) {
			lab.Write(t, "/srv/key", "12345678\n")
			lab.Must(t, "zfs", "create", "-o", "encryption=on", "-o", "keyformat=passphrase", "-o", "keylocation=file:///srv/key", "-o", "mountpoint=/srv/replica", "back/app")
			lab.Write(t, "/srv/replica/file", "text")
			lab.Must(t, "zfs", "snapshot", "back/app@one")
		}, func(t *testing.T) func() {
			lab.Must(t, "zfs", "unmount", "back/app")
			lab.Must(t, "zfs", "unload-key", "back/app")
			return func() { lab.Must(t, "zfs", "load-key", "back/app") }
		}, preseed.Refused, "key is not loaded", "text"},
		{"replica, a resume token is left and its snapshot is gone", lab.Replica, func(t *testing.T) {
			lab.Must(t, "zfs", "create", "-o", "mountpoint=/srv/replica", "back/app")
			lab.Must(t, "dd", "if=/dev/urandom", "of=/srv/replica/big", "bs=1M", "count=8", "status=none")
			lab.Must(t, "zfs", "snapshot", "back/app@one")
		}, func(t *testing.T) func() {
			undo := wrap("zfs", `case "$1 $2" in send\ --) REAL "$@" | head -c 4000000; exit 1 ;; send\ -t) exit 1 ;; esac`)(t)
			return func() {
				undo()
				lab.Write(t, "/srv/replica/file", "text")
				lab.Must(t, "zfs", "snapshot", "back/app@two")
				lab.Must(t, "zfs", "destroy", "back/app@one")
			}
		}, preseed.Failed, "fill: zfs send", "text"},
		{"replica, no snapshot in common", far, func(t *testing.T) {
			lab.Cut(t, "a", "")
			lab.Must(t, "rm", "-f", lab.App+"/file")
			lab.Must(t, "zfs", "destroy", lab.Name+"@a")
			lab.Must(t, "zfs", "snapshot", lab.Name+"@of-nothing")
			syncoid(t, "text")
		}, func(t *testing.T) func() { sshd("stop"); return func() { sshd("start") } }, preseed.Unreachable, "Connection refused", "text"},
		{"replica, no room", lab.Replica, func(t *testing.T) {
			lab.Must(t, "zfs", "create", "-o", "mountpoint=/srv/replica", "back/app")
			lab.Must(t, "dd", "if=/dev/urandom", "of=/srv/replica/big", "bs=1M", "count=4", "status=none")
			lab.Write(t, "/srv/replica/file", "text")
			lab.Must(t, "zfs", "snapshot", "back/app@one")
		}, quota, preseed.Failed, "space", "text"},

		{"restic, no repository", lab.Backup, backedUp, func(t *testing.T) func() {
			os.Rename("/srv/repository", "/srv/moved")
			return func() { os.Rename("/srv/moved", "/srv/repository") }
		}, preseed.Unreachable, "no repository", "text"},
		{"restic, the password is another one", lab.Backup, backedUp, file(lab.Passwords, "another\n"), preseed.Unreachable, "wrong password", "text"},
		{"restic, the network is refused", lab.Backup, over("sftp:root@disk:/srv/repository"), func(t *testing.T) func() { sshd("stop"); return func() { sshd("start") } }, preseed.Unreachable, "", "text"},
		{"restic, the host key is another one", lab.Backup, over("sftp:root@disk:/srv/repository"), func(t *testing.T) func() { return file("/srv/known", lab.Read(t, "/srv/changed"))(t) }, preseed.Unreachable, "", "text"},
		{"restic, a pack is truncated", lab.Backup, backedUp, func(t *testing.T) func() {
			packs, _ := filepath.Glob("/srv/repository/data/*/*")
			os.RemoveAll("/srv/cache")
			was := map[string]string{}
			for _, p := range packs {
				was[p] = lab.Read(t, p)
				os.Chmod(p, 0o600)
				os.Truncate(p, int64(len(was[p])/2))
			}
			return func() {
				for p, text := range was {
					lab.Write(t, p, text)
				}
			}
		}, "", "", "text"},
		{"restic, the restore is cut off", lab.Backup, backedUp, wrap("restic", `case " $* " in *" restore "*) kill -KILL $$ ;; esac`), preseed.Failed, "restore", "text"},
		{"restic, no room", lab.Backup, func(t *testing.T) {
			lab.Must(t, "dd", "if=/dev/urandom", "of="+lab.App+"/big", "bs=1M", "count=4", "status=none")
			lab.Job(t, "text")
			os.Remove(lab.App + "/big")
		}, quota, preseed.Failed, "space", "text"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lab.Fresh(t)
			// What a case before this one changed of the files that they share.
			lab.Must(t, "sh", "-c", `cp /srv/client.pub /root/.ssh/authorized_keys; echo "localhost $(cut -d' ' -f1,2 /srv/other.pub)" >/srv/changed; : >/srv/unknown`)
			tc.make(t)
			undo := tc.hurt(t)
			before := lab.Guids(t)
			p := lab.Plan(t, lab.From(tc.source), func(p *preseed.Plan) { p.Timeout = "1s" })
			got, out, status := lab.Run(t, "run", p, "--backup-state-dir", "/srv/backup-state")
			if tc.want != "" && got != tc.want || got == preseed.Restored || got == preseed.AlreadySeeded || status != 4 || !strings.Contains(out, tc.says) {
				t.Errorf("it ended as %s with status %d, want %s with 4 and %q\n%s", got, status, tc.want, tc.says, out)
			}
			lab.Kept(t, before)
			if found, err := os.ReadDir(lab.App); err != nil || len(found) > 0 {
				t.Errorf("it holds %v %v", found, err)
			}
			if strings.Contains(out, "SECRET-CANARY") {
				t.Error("the password is in the output")
			}
			undo()
			before = lab.Guids(t)
			lab.Ends(t, preseed.Restored, 0, "", lab.Plan(t, lab.From(tc.source)), "--backup-state-dir", "/srv/backup-state")
			lab.Restored(t, tc.after)
			for guid, name := range lab.Guids(t) {
				delete(before, guid)
				_ = name
			}
			for guid, name := range before {
				if !strings.HasPrefix(name, "tank/stateward-staging/app") {
					t.Errorf("%s (%s) is gone", name, guid)
				}
			}
		})
	}
}

// Who holds an exclusive lock is waited for, and its lock stays; that of one who died keeps nobody.
func TestResticLocked(t *testing.T) {
	lab.Fresh(t)
	j := lab.Job(t, "text")
	j.LockWait = "1s"
	data, err := j.Write()
	if err != nil {
		t.Fatal(err)
	}
	lab.Write(t, "/srv/job.json", string(data))
	holder := exec.Command("restic", "-r", "/srv/repository", "--password-file", lab.Passwords, "prune")
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	var locks []string
	for range 1000 {
		// restic writes a lock under another name first, which holds nobody.
		if locks, _ = filepath.Glob("/srv/repository/locks/*"); len(locks) > 0 && !strings.Contains(strings.Join(locks, " "), "-tmp-") {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	holder.Process.Signal(syscall.SIGSTOP)
	_, out, status := lab.Run(t, "run", lab.Plan(t, lab.From(lab.Backup), func(p *preseed.Plan) { p.Timeout = "1s" }), "--backup-state-dir", "/srv/backup-state")
	if status != 4 || !strings.Contains(out, "locked") {
		t.Errorf("status %d\n%s", status, out)
	}
	if left, _ := filepath.Glob("/srv/repository/locks/*"); len(locks) == 0 || len(left) < len(locks) {
		t.Errorf("the locks were %q, and are %q", locks, left)
	}
	holder.Process.Kill()
	holder.Wait()
	lab.Ends(t, preseed.Restored, 0, "", lab.Plan(t, lab.From(lab.Backup)), "--backup-state-dir", "/srv/backup-state")
	lab.Restored(t, "text")
}

// What /etc/fstab mounts has mountpoint=legacy: it is looked into, rolled back, exchanged and mounted like any other.
func TestLegacyMountpoint(t *testing.T) {
	for _, tc := range []struct {
		name   string
		source preseed.Source
		make   func(t *testing.T)
	}{
		{"rollback", lab.Local, func(t *testing.T) { lab.Cut(t, "a", "text") }},
		{"clone", lab.Local, func(t *testing.T) { lab.Cut(t, "a", "text"); lab.Must(t, "zfs", "snapshot", lab.Name+"@b") }},
		{"replica", lab.Replica, func(t *testing.T) { lab.SendTo(t, "text") }},
		{"restic", lab.Backup, func(t *testing.T) { lab.Job(t, "text") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lab.Fresh(t)
			tc.make(t)
			lab.Must(t, "zfs", "unmount", lab.Name)
			lab.Must(t, "zfs", "set", "mountpoint=legacy", lab.Name)
			before := lab.Guids(t)
			lab.Ends(t, preseed.Restored, 0, "", lab.Plan(t, lab.From(tc.source)), "--backup-state-dir", "/srv/backup-state")
			if got := lab.Read(t, lab.App+"/file"); got != "text" {
				t.Errorf("it holds %q", got)
			}
			if got := lab.Must(t, "zfs", "get", "-H", "-o", "value", "mountpoint", lab.Name); got != "legacy" {
				t.Errorf("its mountpoint is %s", got)
			}
			lab.Kept(t, before)
			lab.Must(t, "umount", lab.App)
		})
	}
}

// A dataset with a key of its own is told so before anything is made, and rolled back where that will do.
func TestOwnKey(t *testing.T) {
	lab.Fresh(t)
	lab.Write(t, "/srv/key", "12345678\n")
	lab.Must(t, "zfs", "destroy", lab.Name)
	lab.Must(t, "zfs", "create", "-o", "encryption=on", "-o", "keyformat=passphrase", "-o", "keylocation=file:///srv/key", "-o", "mountpoint="+lab.App, lab.Name)
	lab.SendTo(t, "text")
	before := lab.Guids(t)
	lab.Ends(t, preseed.Refused, 4, "it has a key of its own", lab.Plan(t, lab.From(lab.Replica)))
	if after := lab.Guids(t); len(after) != len(before) {
		t.Errorf("there are %v, and were %v", after, before)
	}
	lab.Cut(t, "a", "rolled back")
	lab.Ends(t, preseed.Restored, 0, "", lab.Plan(t, lab.From(lab.Local, lab.Replica)))
	if got := lab.Read(t, lab.App+"/file"); got != "rolled back" {
		t.Errorf("it holds %q", got)
	}
}

// Whoever snapshots the staging area keeps a cut off restore from being destroyed, and not the next run from its work.
func TestE10StagingWasSnapshotted(t *testing.T) {
	lab.Fresh(t)
	lab.Cut(t, "a", "text")
	lab.Must(t, "zfs", "snapshot", lab.Name+"@b")
	real, _ := exec.LookPath("zfs")
	lab.Write(t, "/srv/wrap/zfs", "#!/bin/sh\n"+real+" \"$@\" || exit\ncase \"$1\" in clone) "+real+" snapshot "+lab.Staged+"@autosnap; read -r pid </srv/pid; kill -KILL $pid; sleep 5 ;; esac\n")
	os.Chmod("/srv/wrap/zfs", 0o755)
	before := lab.Guids(t)
	if _, out, status := lab.Run(t, "run", lab.Plan(t)); status != -1 {
		t.Fatalf("status %d\n%s", status, out)
	}
	os.Remove("/srv/wrap/zfs")
	out := lab.Ends(t, preseed.Restored, 0, "-left-", lab.Plan(t))
	lab.Restored(t, "text")
	lab.Kept(t, before)
	if _, err := lab.Try("zfs", "list", lab.Must(t, "sh", "-c", "zfs list -H -o name -r tank/stateward-staging | grep -- -left-")+"@autosnap"); err != nil {
		t.Errorf("what somebody snapshotted is gone: %s", out)
	}
}

// What was received with properties keeps them.
func TestReceivedProperties(t *testing.T) {
	lab.Fresh(t)
	lab.Must(t, "zfs", "create", "-o", "recordsize=64K", "-o", "mine:more=received", "-o", "mountpoint=none", "back/origin")
	lab.Must(t, "zfs", "snapshot", "back/origin@x")
	lab.Must(t, "zfs", "destroy", lab.Name)
	lab.Must(t, "sh", "-c", "zfs send -p back/origin@x | zfs receive -u -o mountpoint="+lab.App+" "+lab.Name)
	lab.Must(t, "zfs", "mount", lab.Name)
	lab.Cut(t, "a", "text")
	lab.Must(t, "zfs", "snapshot", lab.Name+"@b")
	lab.Ends(t, preseed.Restored, 0, "", lab.Plan(t))
	if got := strings.Fields(lab.Must(t, "zfs", "get", "-H", "-o", "value", "recordsize,mine:more", lab.Name)); got[0] != "64K" || got[1] != "received" {
		t.Errorf("it has %q", got)
	}
}

// A person who names a source gets that one, whatever an earlier run began.
func TestByHandAfterOneThatWasKilled(t *testing.T) {
	lab.Fresh(t)
	lab.SendTo(t, "of the replica")
	lab.Job(t, "of restic")
	real, _ := exec.LookPath("zfs")
	lab.Write(t, "/srv/wrap/zfs", "#!/bin/sh\ncase \"$1\" in receive) "+real+" \"$@\"; read -r pid </srv/pid; kill -KILL $pid; sleep 5 ;; esac\nexec "+real+" \"$@\"\n")
	os.Chmod("/srv/wrap/zfs", 0o755)
	if _, out, status := lab.Run(t, "run", lab.Plan(t, lab.From(lab.Replica, lab.Backup))); status != -1 {
		t.Fatalf("status %d\n%s", status, out)
	}
	os.Remove("/srv/wrap/zfs")
	if _, out, status := lab.Run(t, "run", lab.Plan(t, lab.From(lab.Replica, lab.Backup)), "--from", "restic"); status != 4 || !strings.Contains(out, "nothing was confirmed") {
		t.Fatalf("%d\n%s", status, out)
	}
	lab.Ends(t, preseed.Restored, 0, "from restic", lab.Plan(t, lab.From(lab.Replica, lab.Backup)), "--from", "restic", "--yes-destroy", lab.Name)
	lab.Restored(t, "of restic")
}

// What SQLite says of a database decides, and one that is not whole is no reason to stop at: the next source is asked.
func TestR12SQLite(t *testing.T) {
	lab.Fresh(t)
	lab.Must(t, "sqlite3", lab.App+"/db", "CREATE TABLE t (a); INSERT INTO t SELECT hex(randomblob(500)) FROM generate_series(1, 400); CREATE INDEX i ON t (a);")
	lab.Must(t, "cp", lab.App+"/db", "/srv/good")
	lab.Must(t, "dd", "if=/dev/urandom", "of="+lab.App+"/db", "bs=1024", "seek=100", "count=60", "conv=notrunc", "status=none")
	lab.Must(t, "zfs", "snapshot", lab.Name+"@a")
	os.Remove(lab.App + "/db")
	lab.Must(t, "zfs", "create", "-o", "mountpoint=/srv/replica", "back/app")
	lab.Must(t, "cp", "/srv/good", "/srv/replica/db")
	lab.Write(t, "/srv/replica/file", "text")
	lab.Must(t, "zfs", "snapshot", "back/app@one")
	whole := func(p *preseed.Plan) { p.SQLite = true }
	before := lab.Guids(t)
	lab.Ends(t, preseed.Refused, 4, "db: ", lab.Plan(t, whole))
	lab.Kept(t, before)
	lab.Ends(t, preseed.Restored, 0, "from replica", lab.Plan(t, whole, lab.From(lab.Local, lab.Replica)))
	lab.Restored(t, "text")
	if got := lab.Must(t, "sqlite3", lab.App+"/db", "SELECT count(*) FROM t"); got != "400" {
		t.Errorf("it has %s rows", got)
	}
}

// A dataset that somebody fills while it is restored, from each source: what they wrote stays.
func TestE6FilledMeanwhile(t *testing.T) {
	for _, tc := range []struct {
		source preseed.Source
		make   func(t *testing.T)
		at     string // the command, before which they write
	}{
		{lab.Replica, func(t *testing.T) { lab.SendTo(t, "text") }, "zfs send"},
		{lab.Backup, func(t *testing.T) { lab.Job(t, "text") }, "restic restore"},
	} {
		t.Run(string(tc.source.Kind), func(t *testing.T) {
			lab.Fresh(t)
			tc.make(t)
			program, verb, _ := strings.Cut(tc.at, " ")
			real, _ := exec.LookPath(program)
			lab.Write(t, "/srv/wrap/"+program, "#!/bin/sh\ncase \" $* \" in *\" "+verb+" \"*) echo mine >"+lab.App+"/mine ;; esac\nexec "+real+" \"$@\"\n")
			os.Chmod("/srv/wrap/"+program, 0o755)
			lab.Ends(t, preseed.AlreadySeeded, 0, "it holds files: mine", lab.Plan(t, lab.From(tc.source)))
			if got := lab.Read(t, lab.App+"/mine"); got != "mine\n" {
				t.Errorf("it holds %q", got)
			}
		})
	}
}
