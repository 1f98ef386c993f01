//go:build e2e

// Package migrate_test carries out what `stateward plan migrate -o script` writes, on the real ZFS, with real units and a real
// restic repository: run it with scripts/e2e.
package migrate_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	daemon  = 1 // its uid and gid, in every Debian
	app     = "/var/lib/app"
	oddPath = "/srv/it's \"odd\" $(touch pwned) é/-c"
)

func try(args ...string) (string, error) {
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	return strings.TrimRight(string(out), "\n"), err
}

func must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := try(args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func write(t *testing.T, file, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	os.Chmod(file, mode)
}

// TestMain installs the units, and programs that end the script before or after what they do.
func TestMain(m *testing.M) {
	unit := func(name, text string) {
		os.WriteFile("/etc/systemd/system/"+name, []byte(text), 0o644)
	}
	// It writes only once it is asked to, so that what it leaves is known.
	unit("app.service", "[Service]\nUser=daemon\nExecStart=/bin/sh -c 'exec sleep infinity'\n")
	unit("reader.service", "[Service]\nUser=daemon\nExecStart=/bin/sleep infinity\n")
	unit("app.timer", "[Timer]\nOnActiveSec=1h\nUnit=app.service\n")
	unit("restic-backups-apps.timer", "[Timer]\nOnActiveSec=1h\n")
	unit("restic-backups-apps.service", "[Service]\nType=oneshot\nEnvironment=RESTIC_REPOSITORY=/srv/repository RESTIC_PASSWORD_FILE=/srv/password HOME=/root\nExecStart=/usr/bin/restic backup -q "+app+"\n")
	try("systemctl", "daemon-reload")
	for _, dir := range []string{"/srv/wrap", "/srv/kill"} {
		os.MkdirAll(dir, 0o755)
	}
	os.WriteFile("/srv/wrap/sleep", []byte("#!/bin/sh\nexec /bin/sleep 0.05\n"), 0o755)
	for _, name := range []string{"zfs", "rsync", "mount", "umount", "mv", "mkdir", "systemctl"} {
		// What counts is a step that is written down, and what changes the places and the units. All else is called at once.
		text := `#!/bin/sh
name=${0##*/}
case "$name $*" in
  zfs\ get* | zfs\ list* | systemctl\ show* | systemctl\ is-active*) exec REAL "$@" ;;
  mv\ *done-* | mv\ *pre-migration* | mkdir\ -m* | zfs* | mount* | umount* | rsync* | systemctl*) ;;
  *) exec REAL "$@" ;;
esac
point() {
  # The number of the attempt counts for nothing: JOURNAL/2/done-stop.
  local p="$1 $name $args" known before
  while before=${p%%/[0-9]/*} && [ "$before" != "$p" ]; do p=$before/ATTEMPT/${p#*/[0-9]/}; done
  while IFS= read -r known; do
    [ "$known" != "$p" ] || return 0
  done </srv/points
  printf '%s\n' "$p" >>/srv/points
  kill -KILL 0
}
args=$*
# Before these it is as after the one before, for nothing is written down in between.
case $name in zfs | mount | umount | mkdir) ;; *) point before ;; esac
REAL "$@"
status=$?
point after
exit $status
`
		os.WriteFile("/srv/kill/"+name, []byte(strings.ReplaceAll(text, "REAL", program(name))), 0o755)
	}
	os.Exit(m.Run())
}

func program(name string) string {
	path, err := exec.LookPath(name)
	if err != nil {
		panic(err)
	}
	return path
}

// instead puts a program into the place of one that the script calls, and returns what takes it away. REAL is the one itself.
func instead(t *testing.T, name, text string) func() {
	t.Helper()
	write(t, "/srv/wrap/"+name, "#!/bin/bash\n"+strings.ReplaceAll(text, "REAL", program(name)), 0o755)
	return func() { os.Remove("/srv/wrap/" + name) }
}

// fresh makes empty pools, and the data.
func fresh(t *testing.T) {
	t.Helper()
	before := started()
	t.Cleanup(func() { t.Logf("%d processes", started()-before) })
	try("systemctl", "stop", "app.timer", "app.service", "reader.service")
	for mountedFrom(app) != "" {
		must(t, "umount", app)
	}
	for _, pool := range []string{"tank", "rpool", "small"} {
		if _, err := os.Stat("/proc/spl/kstat/zfs/" + pool); err == nil {
			must(t, "zpool", "destroy", "-f", pool)
		}
	}
	for _, pattern := range []string{app + "*", "/var/lib/.stateward-*", "/srv/it*", "/srv/repository", "/persist"} {
		found, _ := filepath.Glob(pattern)
		for _, f := range found {
			if err := os.RemoveAll(f); err != nil {
				t.Fatal(err)
			}
		}
	}
	must(t, "zpool", "create", "-f", "-O", "mountpoint=none", "tank", "/dev/ubdb")
	populate(t, app)
	write(t, "/srv/password", "correct horse\n", 0o600)
	write(t, "/srv/wrong", "wrong\n", 0o600)
	must(t, "systemctl", "start", "app.service", "reader.service", "app.timer")
}

// repository puts an empty one into place, whose password is that of /srv/password. restic made it on a machine that was slow on purpose,
// so that its key is derived in a twentieth of the time that each opening takes else.
func repository(t *testing.T) {
	t.Helper()
	if err := os.CopyFS("/srv/repository", os.DirFS("testdata/repository")); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"data", "index", "locks", "snapshots"} {
		if err := os.Mkdir("/srv/repository/"+dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
}

// started is how many processes have been started since the machine was.
func started() int {
	b, _ := os.ReadFile("/proc/stat")
	_, rest, _ := strings.Cut(string(b), "\nprocesses ")
	n, _ := strconv.Atoi(strings.Fields(rest)[0])
	return n
}

func populate(t *testing.T, dir string) {
	t.Helper()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("config.xml"), "<a/>\n", 0o640)
	write(t, at("a b/new\nline"), "1", 0o600)
	write(t, at("a b/it's \"q\" $(id) `x` *"), "2", 0o444)
	write(t, at("-rf"), "3", 0o644)
	write(t, at("ünïcode/日本"), "4", 0o644)
	write(t, at("blank \t"), "", 0o644)
	write(t, at("latin-\xff"), "5", 0o644)
	write(t, at("setuid"), "#!", 0o755)
	for _, step := range []error{
		os.Chmod(at("setuid"), 0o755|fs.ModeSetuid),
		os.Link(at("config.xml"), at("hard link")),
		os.Link(at("config.xml"), at("a b/hard link")),
		os.Symlink("../nowhere", at("dangling")),
		syscall.Mkfifo(at("pipe"), 0o600),
		os.Mkdir(at("empty"), 0o1777),
		os.Chown(at("-rf"), 4711, 4712),
		os.Lchown(at("dangling"), 1, 1),
		syscall.Setxattr(at("config.xml"), "user.note", []byte("line\nline\x00"), 0),
		syscall.Setxattr(at("a b"), "user.dir", []byte("x"), 0),
	} {
		if step != nil {
			t.Fatal(step)
		}
	}
	must(t, "setfacl", "-m", "u:games:r-x,g:4712:rwx,d:u:games:rwx", at("a b"))
	f, err := os.Create(at("sparse"))
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte("head"), 0)
	f.WriteAt([]byte("tail"), 3<<20)
	f.Close()
	past := time.Date(2001, 2, 3, 4, 5, 6, 789000000, time.UTC)
	for _, step := range []error{os.Chtimes(at("config.xml"), past, past), os.Chtimes(at("empty"), past, past), os.Chown(dir, daemon, daemon), os.Chmod(dir, 0o700)} {
		if step != nil {
			t.Fatal(step)
		}
	}
	syscall.Sync()
}

// tree is all that must be kept of what lies in a directory; its top is left out.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	first := map[uint64]string{}
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		var st syscall.Stat_t
		if err := syscall.Lstat(name, &st); err != nil {
			return err
		}
		text := fmt.Sprintf("%q %o %d:%d", rel, st.Mode, st.Uid, st.Gid)
		if rel == "." {
			text = "top"
		} else {
			text += fmt.Sprintf(" %d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
		}
		switch st.Mode & syscall.S_IFMT {
		case syscall.S_IFREG:
			b, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text += fmt.Sprintf(" %x", sha256.Sum256(b))
			if st.Size > 1<<20 {
				text += fmt.Sprintf(" holes %v", st.Blocks*512 < st.Size/2)
			}
		case syscall.S_IFLNK:
			target, _ := os.Readlink(name)
			text += " -> " + target
		}
		if st.Mode&syscall.S_IFMT != syscall.S_IFDIR && st.Nlink > 1 {
			if first[st.Ino] == "" {
				first[st.Ino] = rel
			}
			text += " is " + first[st.Ino]
		}
		if k := st.Mode & syscall.S_IFMT; k == syscall.S_IFREG || k == syscall.S_IFDIR {
			list := make([]byte, 4096)
			n, err := syscall.Listxattr(name, list)
			if err != nil {
				return err
			}
			names := strings.Split(strings.Trim(string(list[:n]), "\x00"), "\x00")
			slices.Sort(names)
			for _, attribute := range names {
				if attribute == "" || rel == "." {
					continue
				}
				value := make([]byte, 4096)
				n, err := syscall.Getxattr(name, attribute, value)
				if err != nil {
					return err
				}
				text += fmt.Sprintf(" %s=%x", attribute, value[:n])
			}
		}
		out = append(out, text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// plan writes the script.
func plan(t *testing.T, host string, args ...string) string {
	t.Helper()
	cmd := exec.Command("stateward", slices.Concat([]string{"plan", "migrate", "app", "testdata/hosts.json", "--host", host, "-q", "-o", "script", "--settle", "1"}, args)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, errs.Bytes())
	}
	file := filepath.Join(t.TempDir(), "migrate app")
	write(t, file, string(out), 0o755)
	return file
}

// script runs it in a process group of its own, with what is in these folders before other programs.
func script(path string, args ...string) (string, error) {
	cmd := exec.Command("bash", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Env = append(os.Environ(), "PATH="+path+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func succeeds(t *testing.T, args ...string) string {
	t.Helper()
	out, err := script("/srv/wrap", args...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args[1:], " "), err, out)
	}
	return out
}

// killed runs the script until it comes to a point where it was not killed yet, before or after a command that counts. There it is
// killed with all that it started, and the point is returned; nothing is where it comes to its end.
func killed(t *testing.T, args ...string) string {
	t.Helper()
	before, _ := os.ReadFile("/srv/points")
	write(t, "/srv/points", string(before), 0o600)
	out, err := script("/srv/kill:/srv/wrap", args...)
	after, _ := os.ReadFile("/srv/points")
	point := strings.TrimSuffix(string(after[len(before):]), "\n")
	if (err == nil) != (point == "") {
		t.Fatalf("%s: %v, killed %q\n%s", strings.Join(args[1:], " "), err, point, out)
	}
	return point
}

// refused expects the script to fail, and to say why.
func refused(t *testing.T, want string, args ...string) {
	t.Helper()
	out, err := script("/srv/wrap", args...)
	if err == nil || !strings.Contains(out, want) {
		t.Fatalf("%s: %v, want %q\n%s", strings.Join(args[1:], " "), err, want, out)
	}
}

// mountedFrom is what is mounted at a path, of several the last, as findmnt has it: a source, and what of it where that is not all.
// Neither here has a blank in it.
func mountedFrom(path string) string {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		panic(err)
	}
	from := ""
	for line := range strings.Lines(string(b)) {
		place, rest, _ := strings.Cut(line, " - ")
		f := strings.Fields(place)
		if f[4] != path {
			continue
		}
		from = strings.Fields(rest)[1]
		if f[3] != "/" {
			from += "[" + f[3] + "]"
		}
	}
	return from
}

// top is the owner and the mode of the directory itself.
func top(t *testing.T) string {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(app, &st); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d:%d %o", st.Uid, st.Gid, st.Mode&0o7777)
}

func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

func running(t *testing.T) {
	t.Helper()
	if out, _ := try("systemctl", "is-active", "app.service", "reader.service", "app.timer"); out != "active\nactive\nactive" {
		t.Fatalf("app.service, reader.service and app.timer are %q", out)
	}
}

// migrated expects all to be done.
func migrated(t *testing.T, want []string) {
	t.Helper()
	equal(t, "mounted at "+app, "tank/services/app", mountedFrom(app))
	equal(t, "the data", want, tree(t, app))
	equal(t, "its top", "1:1 751", top(t))
	old, _ := filepath.Glob(app + ".pre-migration-*")
	if len(old) != 1 {
		t.Fatalf("the old data is at %q", old)
	}
	equal(t, "the old data", want, tree(t, old[0]))
	equal(t, "canmount", "on", must(t, "zfs", "get", "-H", "-o", "value", "canmount", "tank/services/app"))
	running(t)
}

// unmigrated expects all to be as it was.
func unmigrated(t *testing.T, want []string) {
	t.Helper()
	equal(t, "mounted at "+app, "", mountedFrom(app))
	equal(t, "the data", want, tree(t, app))
	equal(t, "its top", "1:1 700", top(t))
	if old, _ := filepath.Glob(app + ".pre-migration-*"); len(old) != 0 {
		t.Fatalf("there still is %q", old)
	}
	if out, err := try("zfs", "get", "-H", "-o", "value", "mounted,canmount", "tank/services/app"); err == nil && out != "no\nnoauto" {
		t.Fatalf("the dataset has mounted and canmount %q", out)
	}
	running(t)
}

func TestWholeMigration(t *testing.T) {
	fresh(t)
	want := tree(t, app)
	t.Setenv("RESTIC_REPOSITORY", "/srv/repository")
	t.Setenv("RESTIC_PASSWORD_FILE", "/srv/password")

	// There is no repository: it is not made (R3). With the wrong password nothing is begun either.
	s := plan(t, "kept")
	refused(t, "there is no repository", s, "run")
	repository(t)
	refused(t, "the password is wrong", plan(t, "wrong"), "run")
	unmigrated(t, want)

	// A job that reads another place goes on with success, and without the data (R2, R8).
	const drop = "/run/systemd/system/restic-backups-apps.service.d/x.conf"
	write(t, drop, "[Service]\nExecStart=\nExecStart=/usr/bin/restic backup -q /srv/password\n", 0o644)
	must(t, "systemctl", "daemon-reload")
	refused(t, "it does not have the data", s, "run")
	os.Remove(drop)
	must(t, "systemctl", "daemon-reload")
	out := succeeds(t, s, "run")
	migrated(t, want)
	if snapshots := must(t, "restic", "snapshots", "--json", "--tag", "pre-migration-app"); !strings.Contains(snapshots, app) {
		t.Errorf("there is no backup from before: %s\n%s", snapshots, out)
	}
	if strings.Contains(out, "correct horse") {
		t.Error("the password was printed")
	}

	// A second run does nothing, and nothing is removed that is not named.
	before := must(t, "zpool", "history", "tank")
	succeeds(t, s, "run")
	equal(t, "what zfs was asked to do", before, must(t, "zpool", "history", "tank"))
	old, _ := filepath.Glob(app + ".pre-migration-*")
	listed := succeeds(t, s, "release")
	if !strings.Contains(listed, "release '"+old[0]+"'") {
		t.Errorf("release says %s", listed)
	}
	refused(t, "is nothing that this migration keeps", s, "release", app)
	refused(t, "is nothing that this migration keeps", s, "release", "tank/services/app")
	migrated(t, want)
	succeeds(t, s, "release", old[0])
	if _, err := os.Stat(old[0]); err == nil {
		t.Error("the old data is still there")
	}
	equal(t, "the data", want, tree(t, app))
	refused(t, "nothing to go back to", s, "back")
	equal(t, "the data", want, tree(t, app))
}

// Killed before and after any step is written down, and around whatever changes the places and the units, a run goes on to the same
// end, or is taken back. It is killed at one after the other of them, so that what goes on is killed in its turn; some machines come up anew
// in between.
func TestKilledAnywhere(t *testing.T) {
	fresh(t)
	want := tree(t, app)
	s := plan(t, "plain", "--no-backup", "a test")
	takenBack := []string{"after systemctl stop", "after zfs create", "before mv -f -- JOURNAL/ATTEMPT/done-verify", "before mv -nT", "after mv -nT", "after zfs mount"}
	os.Remove("/srv/points")
	points := 0
	for ; ; points++ {
		point := killed(t, s, "run")
		if point == "" {
			break
		}
		t.Log(point)
		if i := slices.IndexFunc(takenBack, func(of string) bool { return isPoint(point, of) }); i >= 0 {
			takenBack = slices.Delete(takenBack, i, i+1)
			succeeds(t, s, "back")
			unmigrated(t, want)
		} else if strings.HasPrefix(point, "after ") && !strings.HasPrefix(point, "after mv -f") {
			boot(t)
		}
	}
	migrated(t, want)
	t.Logf("killed at %d points", points)
	equal(t, "points that were not met", 0, len(takenBack))

	// The way back can be killed as well, and then only it goes on.
	os.Remove("/srv/points")
	for points = 0; ; points++ {
		point := killed(t, s, "back")
		if point == "" {
			break
		}
		t.Log(point)
		if journals, _ := filepath.Glob("/var/lib/.stateward-migration-*/going-back"); len(journals) > 0 {
			refused(t, "on its way back", s, "run")
		}
		if strings.HasPrefix(point, "after ") {
			boot(t)
		}
	}
	unmigrated(t, want)
	t.Logf("killed at %d points", points)
}

// isPoint tells whether it is a point of those that begin so.
func isPoint(point, of string) bool {
	journals, _ := filepath.Glob("/var/lib/.stateward-migration-*")
	return strings.HasPrefix(point, strings.Replace(of, "JOURNAL", journals[0], 1))
}

// boot does what a machine does that comes up after a power cut: it mounts what mounts itself, and then starts its services.
func boot(t *testing.T) {
	t.Helper()
	staging, _ := filepath.Glob("/run/stateward/migration-*")
	for _, at := range staging {
		if mountedFrom(at) != "" {
			must(t, "umount", at)
		}
		if err := os.Remove(at); err != nil {
			t.Fatal(err)
		}
	}
	if mountedFrom(app) != "" {
		must(t, "zfs", "unmount", "tank/services/app")
	}
	must(t, "zfs", "mount", "-a")
	if entries, err := os.ReadDir(app); err != nil || len(entries) == 0 {
		t.Fatalf("the service would come up without its data: %v", err)
	}
	must(t, "systemctl", "start", "app.service", "reader.service", "app.timer")
}

func TestRefusals(t *testing.T) {
	fresh(t)
	want := tree(t, app)
	s := plan(t, "plain", "--no-backup", "a test")

	// Somebody else's dataset, whether it holds something or not.
	must(t, "zfs", "create", "-p", "-u", "-o", "mountpoint=/srv/theirs", "tank/services/app")
	refused(t, "is there already", s, "run")
	succeeds(t, s, "back")
	unmounted := func() {
		equal(t, "the data", want, tree(t, app))
		running(t)
	}
	unmounted()
	must(t, "zfs", "mount", "tank/services/app")
	write(t, "/srv/theirs/precious", "x", 0o600)
	must(t, "zfs", "unmount", "tank/services/app")
	must(t, "zfs", "set", "-u", "recordsize=16K", "compression=zstd", "acltype=posix", "xattr=sa", "mountpoint="+app, "tank/services/app")
	must(t, "stateward", "capture", "zfs", "testdata/hosts.json", "--host", "plain", "--name", "plain", "-q", "-o", "/srv/pool.json")
	adopt := plan(t, "plain", "--no-backup", "a test", "--observed", "/srv/pool.json")
	refused(t, "holds data", adopt, "run")
	succeeds(t, adopt, "back")
	unmounted()
	must(t, "mount", "-t", "zfs", "-o", "zfsutil", "tank/services/app", "/mnt/bin/..")
	if _, err := os.Stat("/mnt/precious"); err != nil {
		t.Error("what the dataset held is gone")
	}
	must(t, "rm", "/mnt/precious")
	must(t, "umount", "/mnt")

	// The same dataset, once it is empty, is taken.
	succeeds(t, adopt, "run")
	migrated(t, want)
	succeeds(t, adopt, "back")
	unmigrated(t, want)

	// A mount below, and a file that changes while it is copied.
	must(t, "mount", "-t", "tmpfs", "x", filepath.Join(app, "empty"))
	refused(t, "is mounted below", adopt, "run")
	must(t, "umount", filepath.Join(app, "empty"))
	instead(t, "rsync", "REAL \"$@\" || exit; echo more >>"+app+"/config.xml")
	refused(t, "has changed since the copy was begun", adopt, "run")
	instead(t, "rsync", "REAL \"$@\" || exit; cd /run/stateward/migration-*; setfattr -x user.dir 'a b'")
	refused(t, "differs from", adopt, "run")
	instead(t, "rsync", "REAL \"$@\" || exit; cd /run/stateward/migration-*; rm 'hard link'; cp -a config.xml 'hard link'")
	refused(t, "differs from", adopt, "run")
	// The size and the time are the same: only its contents tell.
	restore := instead(t, "rsync", "REAL \"$@\" || exit; cd /run/stateward/migration-*; cp -p ./-rf ../time; printf 4 >./-rf; touch -r ../time ./-rf")
	refused(t, "differs from", adopt, "run")
	restore()
	want = tree(t, app) // with the line that was written
	succeeds(t, adopt, "run")
	migrated(t, want)
	succeeds(t, adopt, "back")
	unmigrated(t, want)
	if _, err := os.Stat("pwned"); err == nil {
		t.Error("a value was expanded")
	}
}

func TestFullPool(t *testing.T) {
	fresh(t)
	must(t, "zpool", "create", "-f", "-O", "mountpoint=none", "small", "/dev/ubdc")
	must(t, "zfs", "set", "quota=1M", "small")
	s := plan(t, "full", "--no-backup", "a test")
	random := make([]byte, 4<<20)
	rand.Read(random) // what can be compressed takes less
	write(t, app+"/large", string(random), 0o600)
	want := tree(t, app)
	refused(t, "make room; nothing has been copied", s, "run")
	// It fills up while it is copied.
	must(t, "zfs", "set", "quota=none", "small")
	restore := instead(t, "rsync", "/usr/sbin/zfs set quota=1M small\nexec REAL \"$@\"")
	refused(t, "the copy is not whole", s, "run")
	restore()
	succeeds(t, s, "back")
	unmigrated(t, want)
	must(t, "zfs", "set", "quota=none", "small")
	succeeds(t, s, "run")
	equal(t, "the data", want, tree(t, app))
	equal(t, "mounted", "small/app", mountedFrom(app))
	must(t, "systemctl", "stop", "app.timer", "app.service", "reader.service")
	must(t, "zpool", "destroy", "-f", "small")
}

// The data is on ZFS, and bind-mounted as a persistence module does: it is moved from where it is kept (P4).
func TestBoundFromADataset(t *testing.T) {
	fresh(t)
	want := tree(t, app)
	must(t, "systemctl", "stop", "app.timer", "app.service", "reader.service")
	must(t, "zpool", "create", "-f", "-O", "mountpoint=none", "-O", "acltype=posix", "rpool", "/dev/ubdc")
	must(t, "zfs", "create", "-o", "mountpoint=/persist", "rpool/persist")
	must(t, "mkdir", "-p", "/persist/var/lib")
	must(t, "rsync", "-aHAXS", app, "/persist/var/lib/")
	must(t, "rm", "-r", app)
	must(t, "mkdir", app)
	must(t, "mount", "--bind", "/persist"+app, app)
	must(t, "systemctl", "start", "app.service", "reader.service", "app.timer")
	must(t, "stateward", "capture", "zfs", "testdata/hosts.json", "--host", "plain", "--name", "plain", "-q", "-o", "/srv/pool.json")

	refused(t, "is mounted at "+app, plan(t, "plain", "--no-backup", "a test"), "run")
	s := plan(t, "plain", "--no-backup", "a test", "--observed", "/srv/pool.json")
	succeeds(t, s, "run")
	equal(t, "mounted", "tank/services/app", mountedFrom(app))
	equal(t, "the data", want, tree(t, app))
	running(t)
	succeeds(t, s, "back")
	equal(t, "mounted", "rpool/persist[/var/lib/app]", mountedFrom(app))
	equal(t, "the data", want, tree(t, app))
	running(t)

	succeeds(t, s, "run")
	equal(t, "the data", want, tree(t, app))
	snapshots := strings.Split(must(t, "zfs", "list", "-H", "-r", "-t", "snapshot", "-o", "name", "-s", "creation", "rpool"), "\n")
	if len(snapshots) != 2 {
		t.Fatalf("there are snapshots %q, and there were two attempts", snapshots)
	}
	// One by the same name, taken by somebody else, is not ours.
	must(t, "zfs", "destroy", snapshots[0])
	must(t, "zfs", "snapshot", snapshots[0])
	refused(t, "has not the guid", s, "release", snapshots[0])
	succeeds(t, s, "release", snapshots[1])
	equal(t, "snapshots", snapshots[0], must(t, "zfs", "list", "-H", "-r", "-t", "snapshot", "-o", "name", "rpool"))
	old, _ := filepath.Glob("/persist/var/lib/app.pre-migration-*")
	equal(t, "the old data", want, tree(t, old[0]))
	must(t, "systemctl", "stop", "app.timer", "app.service", "reader.service")
}

func TestOddPlaces(t *testing.T) {
	fresh(t)
	populate(t, oddPath)
	want := tree(t, oddPath)
	s := plan(t, "odd", "--no-backup", "a test")
	succeeds(t, s, "run")
	equal(t, "the data", want, tree(t, oddPath))
	equal(t, "mounted", "yes", must(t, "zfs", "get", "-H", "-o", "value", "mounted", "tank/odd"))
	succeeds(t, s, "back")
	equal(t, "the data", want, tree(t, oddPath))
	if _, err := os.Stat("/pwned"); err == nil {
		t.Error("a value was expanded")
	}
}
