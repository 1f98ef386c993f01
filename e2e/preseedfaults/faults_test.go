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
		must(t, "sh", "-c", "zfs receive -u back/app <"+stream)
		return
	}
	must(t, "zfs", "create", "-o", "mountpoint=/srv/origin", "back/origin")
	write(t, "/srv/origin/file", text)
	must(t, "syncoid", "--quiet", "--sshkey", "/srv/client", "back/origin", "root@localhost:back/app")
	must(t, "zfs", "destroy", "-r", "back/origin")
	stream := fmt.Sprintf("/srv/replicated-%d", len(replicated))
	must(t, "sh", "-c", "zfs send \"$(zfs list -H -o name -t snapshot back/app)\" >"+stream)
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
			write(t, "/srv/wrap/"+program, "#!/bin/bash\n"+strings.ReplaceAll(text, "REAL", real)+"\nexec "+real+" \"$@\"\n")
			os.Chmod("/srv/wrap/"+program, 0o755)
			return func() { os.Remove("/srv/wrap/" + program) }
		}
	}
	sent := func(t *testing.T) { syncoid(t, "text") }
	backedUp := func(t *testing.T) { job(t, "text") }
	file := func(file, text string) func(t *testing.T) func() {
		return func(t *testing.T) func() {
			was := read(t, file)
			write(t, file, text)
			return func() { write(t, file, was) }
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
			j := job(t, "text")
			j.Repository = repository
			data, err := j.Write()
			if err != nil {
				t.Fatal(err)
			}
			write(t, "/srv/job.json", string(data))
		}
	}
	quota := func(t *testing.T) func() {
		must(t, "zfs", "create", "-p", "-o", "canmount=off", "-o", "mountpoint=none", "-o", "quota=256K", "tank/stateward-staging")
		return func() { must(t, "zfs", "set", "quota=none", "tank/stateward-staging") }
	}
	for _, tc := range []fault{
		{"local, no snapshot", local, func(t *testing.T) {}, func(t *testing.T) func() { return func() { cut(t, "a", "text") } }, preseed.ConfirmedNoBackup, "none has anything", "text"},
		{"local, it cannot be looked into", local, func(t *testing.T) { cut(t, "a", "text") }, wrap("mount", `case "$*" in *@a\ *) echo "mount: Input/output error" >&2; exit 32 ;; esac`), preseed.Unreachable, "Input/output error", "text"},
		{"local, the rollback is refused", local, func(t *testing.T) { cut(t, "a", "text") }, wrap("zfs", `case "$1" in rollback) echo "cannot rollback: pool I/O is currently suspended" >&2; exit 1 ;; esac`), preseed.Failed, "suspended", "text"},
		{"local, the clone is cut off", local, func(t *testing.T) { cut(t, "a", "text"); must(t, "zfs", "snapshot", name+"@b") }, wrap("zfs", `case "$1" in clone) REAL "$@"; exit 1 ;; esac`), preseed.Failed, "clone", "text"},

		{"replica, no such dataset", replica, func(t *testing.T) {}, func(t *testing.T) func() { return func() { syncoid(t, "text") } }, preseed.Unreachable, "does not exist", "text"},
		{"replica, the network is refused", far, sent, func(t *testing.T) func() { sshd("stop"); return func() { sshd("start") } }, preseed.Unreachable, "Connection refused", "text"},
		{"replica, the host key is another one", with(func(s *preseed.Source) { s.KnownHosts = "/srv/changed" }), sent, func(t *testing.T) func() { return func() { must(t, "cp", "/srv/known", "/srv/changed") } }, preseed.Unreachable, "Host key verification failed", "text"},
		{"replica, nobody knows the host key", with(func(s *preseed.Source) { s.KnownHosts = "/srv/unknown" }), sent, func(t *testing.T) func() { return func() { must(t, "cp", "/srv/known", "/srv/unknown") } }, preseed.Unreachable, "Host key verification failed", "text"},
		{"replica, it is not let in", with(func(s *preseed.Source) { s.SSHKey = "/srv/other" }), sent, func(t *testing.T) func() {
			return func() { must(t, "sh", "-c", "cat /srv/other.pub >>/root/.ssh/authorized_keys") }
		}, preseed.Unreachable, "Permission denied", "text"},
		{"replica, the first replication was cut off", far, func(t *testing.T) {}, func(t *testing.T) func() {
			must(t, "zfs", "create", "-o", "mountpoint=/srv/origin", "back/origin")
			must(t, "dd", "if=/dev/urandom", "of=/srv/origin/big", "bs=1M", "count=4", "status=none")
			write(t, "/srv/origin/file", "text")
			must(t, "zfs", "snapshot", "back/origin@one")
			try("sh", "-c", "zfs send back/origin@one | head -c 2000000 | zfs receive -s -u back/app")
			return func() {
				must(t, "sh", "-c", `zfs send -t "$(zfs get -H -o value receive_resume_token back/app)" | zfs receive -s -u back/app`)
			}
		}, preseed.Refused, "was cut off", "text"},
		{"replica, its snapshots were destroyed", far, sent, func(t *testing.T) func() {
			must(t, "zfs", "set", "mountpoint=/srv/replica", "back/app")
			try("zfs", "mount", "back/app")
			must(t, "dd", "if=/dev/urandom", "of=/srv/replica/big", "bs=1M", "count=1", "status=none")
			must(t, "sh", "-c", "sync; zfs list -H -o name -t snapshot back/app | xargs -n 1 zfs destroy")
			return func() { must(t, "zfs", "snapshot", "back/app@anew") }
		}, preseed.Refused, "has no snapshot, and holds", "text"},
		{"replica, sent raw and its key is not loaded", replica, func(t *testing.T) {
			write(t, "/srv/key", "12345678\n")
			must(t, "zfs", "create", "-o", "encryption=on", "-o", "keyformat=passphrase", "-o", "keylocation=file:///srv/key", "-o", "mountpoint=/srv/replica", "back/app")
			write(t, "/srv/replica/file", "text")
			must(t, "zfs", "snapshot", "back/app@one")
		}, func(t *testing.T) func() {
			must(t, "zfs", "unmount", "back/app")
			must(t, "zfs", "unload-key", "back/app")
			return func() { must(t, "zfs", "load-key", "back/app") }
		}, preseed.Refused, "key is not loaded", "text"},
		{"replica, a resume token is left and its snapshot is gone", replica, func(t *testing.T) {
			must(t, "zfs", "create", "-o", "mountpoint=/srv/replica", "back/app")
			must(t, "dd", "if=/dev/urandom", "of=/srv/replica/big", "bs=1M", "count=8", "status=none")
			must(t, "zfs", "snapshot", "back/app@one")
		}, func(t *testing.T) func() {
			undo := wrap("zfs", `case "$1 $2" in send\ --) REAL "$@" | head -c 4000000; exit 1 ;; send\ -t) exit 1 ;; esac`)(t)
			return func() {
				undo()
				write(t, "/srv/replica/file", "text")
				must(t, "zfs", "snapshot", "back/app@two")
				must(t, "zfs", "destroy", "back/app@one")
			}
		}, preseed.Failed, "fill: zfs send", "text"},
		{"replica, no snapshot in common", far, func(t *testing.T) {
			cut(t, "a", "")
			must(t, "rm", "-f", app+"/file")
			must(t, "zfs", "destroy", name+"@a")
			must(t, "zfs", "snapshot", name+"@of-nothing")
			syncoid(t, "text")
		}, func(t *testing.T) func() { sshd("stop"); return func() { sshd("start") } }, preseed.Unreachable, "Connection refused", "text"},
		{"replica, no room", replica, func(t *testing.T) {
			must(t, "zfs", "create", "-o", "mountpoint=/srv/replica", "back/app")
			must(t, "dd", "if=/dev/urandom", "of=/srv/replica/big", "bs=1M", "count=4", "status=none")
			write(t, "/srv/replica/file", "text")
			must(t, "zfs", "snapshot", "back/app@one")
		}, quota, preseed.Failed, "space", "text"},

		{"restic, no repository", backup, backedUp, func(t *testing.T) func() {
			os.Rename("/srv/repository", "/srv/moved")
			return func() { os.Rename("/srv/moved", "/srv/repository") }
		}, preseed.Unreachable, "no repository", "text"},
		{"restic, the password is another one", backup, backedUp, file(passwords, "another\n"), preseed.Unreachable, "wrong password", "text"},
		{"restic, the network is refused", backup, over("sftp:root@disk:/srv/repository"), func(t *testing.T) func() { sshd("stop"); return func() { sshd("start") } }, preseed.Unreachable, "", "text"},
		{"restic, the host key is another one", backup, over("sftp:root@disk:/srv/repository"), func(t *testing.T) func() { return file("/srv/known", read(t, "/srv/changed"))(t) }, preseed.Unreachable, "", "text"},
		{"restic, a pack is truncated", backup, backedUp, func(t *testing.T) func() {
			packs, _ := filepath.Glob("/srv/repository/data/*/*")
			os.RemoveAll("/srv/cache")
			was := map[string]string{}
			for _, p := range packs {
				was[p] = read(t, p)
				os.Chmod(p, 0o600)
				os.Truncate(p, int64(len(was[p])/2))
			}
			return func() {
				for p, text := range was {
					write(t, p, text)
				}
			}
		}, "", "", "text"},
		{"restic, the restore is cut off", backup, backedUp, wrap("restic", `case " $* " in *" restore "*) kill -KILL $$ ;; esac`), preseed.Failed, "restore", "text"},
		{"restic, no room", backup, func(t *testing.T) {
			must(t, "dd", "if=/dev/urandom", "of="+app+"/big", "bs=1M", "count=4", "status=none")
			job(t, "text")
			os.Remove(app + "/big")
		}, quota, preseed.Failed, "space", "text"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fresh(t)
			// What a case before this one changed of the files that they share.
			must(t, "sh", "-c", `cp /srv/client.pub /root/.ssh/authorized_keys; echo "localhost $(cut -d' ' -f1,2 /srv/other.pub)" >/srv/changed; : >/srv/unknown`)
			tc.make(t)
			undo := tc.hurt(t)
			before := guids(t)
			p := plan(t, from(tc.source), func(p *preseed.Plan) { p.Timeout = "1s" })
			got, out, status := run(t, "run", p, "--backup-state-dir", "/srv/backup-state")
			if tc.want != "" && got != tc.want || got == preseed.Restored || got == preseed.AlreadySeeded || status != 4 || !strings.Contains(out, tc.says) {
				t.Errorf("it ended as %s with status %d, want %s with 4 and %q\n%s", got, status, tc.want, tc.says, out)
			}
			kept(t, before)
			if found, err := os.ReadDir(app); err != nil || len(found) > 0 {
				t.Errorf("it holds %v %v", found, err)
			}
			if strings.Contains(out, "SECRET-CANARY") {
				t.Error("the password is in the output")
			}
			undo()
			before = guids(t)
			ends(t, preseed.Restored, 0, "", plan(t, from(tc.source)), "--backup-state-dir", "/srv/backup-state")
			restored(t, tc.after)
			for guid, name := range guids(t) {
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
	fresh(t)
	j := job(t, "text")
	j.LockWait = "1s"
	data, err := j.Write()
	if err != nil {
		t.Fatal(err)
	}
	write(t, "/srv/job.json", string(data))
	holder := exec.Command("restic", "-r", "/srv/repository", "--password-file", passwords, "prune")
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
	_, out, status := run(t, "run", plan(t, from(backup), func(p *preseed.Plan) { p.Timeout = "1s" }), "--backup-state-dir", "/srv/backup-state")
	if status != 4 || !strings.Contains(out, "locked") {
		t.Errorf("status %d\n%s", status, out)
	}
	if left, _ := filepath.Glob("/srv/repository/locks/*"); len(locks) == 0 || len(left) < len(locks) {
		t.Errorf("the locks were %q, and are %q", locks, left)
	}
	holder.Process.Kill()
	holder.Wait()
	ends(t, preseed.Restored, 0, "", plan(t, from(backup)), "--backup-state-dir", "/srv/backup-state")
	restored(t, "text")
}

// What /etc/fstab mounts has mountpoint=legacy: it is looked into, rolled back, exchanged and mounted like any other.
func TestLegacyMountpoint(t *testing.T) {
	for _, tc := range []struct {
		name   string
		source preseed.Source
		make   func(t *testing.T)
	}{
		{"rollback", local, func(t *testing.T) { cut(t, "a", "text") }},
		{"clone", local, func(t *testing.T) { cut(t, "a", "text"); must(t, "zfs", "snapshot", name+"@b") }},
		{"replica", replica, func(t *testing.T) { sendTo(t, "text") }},
		{"restic", backup, func(t *testing.T) { job(t, "text") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fresh(t)
			tc.make(t)
			must(t, "zfs", "unmount", name)
			must(t, "zfs", "set", "mountpoint=legacy", name)
			before := guids(t)
			ends(t, preseed.Restored, 0, "", plan(t, from(tc.source)), "--backup-state-dir", "/srv/backup-state")
			if got := read(t, app+"/file"); got != "text" {
				t.Errorf("it holds %q", got)
			}
			if got := must(t, "zfs", "get", "-H", "-o", "value", "mountpoint", name); got != "legacy" {
				t.Errorf("its mountpoint is %s", got)
			}
			kept(t, before)
			must(t, "umount", app)
		})
	}
}

// A dataset with a key of its own is told so before anything is made, and rolled back where that will do.
func TestOwnKey(t *testing.T) {
	fresh(t)
	write(t, "/srv/key", "12345678\n")
	must(t, "zfs", "destroy", name)
	must(t, "zfs", "create", "-o", "encryption=on", "-o", "keyformat=passphrase", "-o", "keylocation=file:///srv/key", "-o", "mountpoint="+app, name)
	sendTo(t, "text")
	before := guids(t)
	ends(t, preseed.Refused, 4, "it has a key of its own", plan(t, from(replica)))
	if after := guids(t); len(after) != len(before) {
		t.Errorf("there are %v, and were %v", after, before)
	}
	cut(t, "a", "rolled back")
	ends(t, preseed.Restored, 0, "", plan(t, from(local, replica)))
	if got := read(t, app+"/file"); got != "rolled back" {
		t.Errorf("it holds %q", got)
	}
}

// Whoever snapshots the staging area keeps a cut off restore from being destroyed, and not the next run from its work.
func TestE10StagingWasSnapshotted(t *testing.T) {
	fresh(t)
	cut(t, "a", "text")
	must(t, "zfs", "snapshot", name+"@b")
	real, _ := exec.LookPath("zfs")
	write(t, "/srv/wrap/zfs", "#!/bin/bash\n"+real+" \"$@\" || exit\ncase \"$1\" in clone) "+real+" snapshot "+staged+"@autosnap; read -r pid </srv/pid; kill -KILL $pid; sleep 5 ;; esac\n")
	os.Chmod("/srv/wrap/zfs", 0o755)
	before := guids(t)
	if _, out, status := run(t, "run", plan(t)); status != -1 {
		t.Fatalf("status %d\n%s", status, out)
	}
	os.Remove("/srv/wrap/zfs")
	out := ends(t, preseed.Restored, 0, "-left-", plan(t))
	restored(t, "text")
	kept(t, before)
	if _, err := try("zfs", "list", must(t, "sh", "-c", "zfs list -H -o name -r tank/stateward-staging | grep -- -left-")+"@autosnap"); err != nil {
		t.Errorf("what somebody snapshotted is gone: %s", out)
	}
}

// What was received with properties keeps them.
func TestReceivedProperties(t *testing.T) {
	fresh(t)
	must(t, "zfs", "create", "-o", "recordsize=64K", "-o", "mine:more=received", "-o", "mountpoint=none", "back/origin")
	must(t, "zfs", "snapshot", "back/origin@x")
	must(t, "zfs", "destroy", name)
	must(t, "sh", "-c", "zfs send -p back/origin@x | zfs receive -u -o mountpoint="+app+" "+name)
	must(t, "zfs", "mount", name)
	cut(t, "a", "text")
	must(t, "zfs", "snapshot", name+"@b")
	ends(t, preseed.Restored, 0, "", plan(t))
	if got := strings.Fields(must(t, "zfs", "get", "-H", "-o", "value", "recordsize,mine:more", name)); got[0] != "64K" || got[1] != "received" {
		t.Errorf("it has %q", got)
	}
}

// A person who names a source gets that one, whatever an earlier run began.
func TestByHandAfterOneThatWasKilled(t *testing.T) {
	fresh(t)
	sendTo(t, "of the replica")
	job(t, "of restic")
	real, _ := exec.LookPath("zfs")
	write(t, "/srv/wrap/zfs", "#!/bin/bash\ncase \"$1\" in receive) "+real+" \"$@\"; read -r pid </srv/pid; kill -KILL $pid; sleep 5 ;; esac\nexec "+real+" \"$@\"\n")
	os.Chmod("/srv/wrap/zfs", 0o755)
	if _, out, status := run(t, "run", plan(t, from(replica, backup))); status != -1 {
		t.Fatalf("status %d\n%s", status, out)
	}
	os.Remove("/srv/wrap/zfs")
	if _, out, status := run(t, "run", plan(t, from(replica, backup)), "--from", "restic"); status != 4 || !strings.Contains(out, "nothing was confirmed") {
		t.Fatalf("%d\n%s", status, out)
	}
	ends(t, preseed.Restored, 0, "from restic", plan(t, from(replica, backup)), "--from", "restic", "--yes-destroy", name)
	restored(t, "of restic")
}

// What SQLite says of a database decides, and one that is not whole is no reason to stop at: the next source is asked.
func TestR12SQLite(t *testing.T) {
	fresh(t)
	must(t, "sqlite3", app+"/db", "CREATE TABLE t (a); INSERT INTO t SELECT hex(randomblob(500)) FROM generate_series(1, 400); CREATE INDEX i ON t (a);")
	must(t, "cp", app+"/db", "/srv/good")
	must(t, "dd", "if=/dev/urandom", "of="+app+"/db", "bs=1024", "seek=100", "count=60", "conv=notrunc", "status=none")
	must(t, "zfs", "snapshot", name+"@a")
	os.Remove(app + "/db")
	must(t, "zfs", "create", "-o", "mountpoint=/srv/replica", "back/app")
	must(t, "cp", "/srv/good", "/srv/replica/db")
	write(t, "/srv/replica/file", "text")
	must(t, "zfs", "snapshot", "back/app@one")
	whole := func(p *preseed.Plan) { p.SQLite = true }
	before := guids(t)
	ends(t, preseed.Refused, 4, "db: ", plan(t, whole))
	kept(t, before)
	ends(t, preseed.Restored, 0, "from replica", plan(t, whole, from(local, replica)))
	restored(t, "text")
	if got := must(t, "sqlite3", app+"/db", "SELECT count(*) FROM t"); got != "400" {
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
		{replica, func(t *testing.T) { sendTo(t, "text") }, "zfs send"},
		{backup, func(t *testing.T) { job(t, "text") }, "restic restore"},
	} {
		t.Run(string(tc.source.Kind), func(t *testing.T) {
			fresh(t)
			tc.make(t)
			program, verb, _ := strings.Cut(tc.at, " ")
			real, _ := exec.LookPath(program)
			write(t, "/srv/wrap/"+program, "#!/bin/bash\ncase \" $* \" in *\" "+verb+" \"*) echo mine >"+app+"/mine ;; esac\nexec "+real+" \"$@\"\n")
			os.Chmod("/srv/wrap/"+program, 0o755)
			ends(t, preseed.AlreadySeeded, 0, "it holds files: mine", plan(t, from(tc.source)))
			if got := read(t, app+"/mine"); got != "mine\n" {
				t.Errorf("it holds %q", got)
			}
		})
	}
}
