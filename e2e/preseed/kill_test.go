//go:build e2e

package preseed_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stateward/stateward/preseed"
)

// Patterns of bash for the commands at which a run is killed.
const (
	changes  = `zfs\ c* | zfs\ destroy | zfs\ inherit | zfs\ promote | zfs\ re* | zfs\ rollback | zfs\ set | mount* | umount*`
	exchange = `zfs\ inherit | zfs\ promote | zfs\ rename | zfs\ set`
	receive  = `zfs\ create | zfs\ destroy | zfs\ receive`
	restore  = `zfs\ destroy | restic\ restore`
)

// killing has a run killed after each command of a pattern, and before each where something was written down, each point once, and then lets it be. It returns how
// many points there were.
func killing(t *testing.T, pattern string, before func(), check func(at string)) int {
	t.Helper()
	os.RemoveAll("/srv/points")
	os.MkdirAll("/srv/wrap", 0o755)
	write(t, "/srv/points", "")
	programs := []string{"zfs", "mount", "umount", "restic"}
	for _, program := range programs {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Fatal(err)
		}
		text := `#!/bin/bash
case "NAME $1" in
  PATTERN) ;;
  *) exec REAL "$@" ;;
esac
# Numbers count for nothing.
args="NAME $*"
args="${args//[0-9]/}"
args="${args%%-left*}"
point() {
  local p="$1 $args" known
  while IFS= read -r known; do [ "$known" != "$p" ] || return 0; done </srv/points
  printf '%s\n' "$p" >>/srv/points
  read -r pid </srv/pid
  kill -KILL "$pid"
  sleep 5
}
case "NAME $1" in zfs\ clone | zfs\ receive | zfs\ create | zfs\ set | zfs\ destroy | restic*) point before ;; esac
REAL "$@"
status=$?
point after
exit $status
`
		write(t, "/srv/wrap/"+program, strings.NewReplacer("PATTERN", pattern, "NAME", program, "REAL", path).Replace(text))
		os.Chmod("/srv/wrap/"+program, 0o755)
	}
	defer func() {
		for _, program := range programs {
			os.Remove("/srv/wrap/" + program)
		}
	}()
	file := "/srv/plan.json"
	for n := range 80 {
		_, out, status := run(t, "run", file)
		list := strings.Split(strings.TrimSpace(read(t, "/srv/points")), "\n")
		at := list[len(list)-1]
		switch status {
		case -1:
			check(at)
			before()
		case 0:
			return n
		default:
			t.Fatalf("after %d kills, the last %q, it ended with status %d\n%s", n, at, status, out)
		}
	}
	t.Fatalf("it never came to its end: %s", read(t, "/srv/points"))
	return 0
}

// Killed anywhere, the next run comes to the same end, and nothing is lost.
func TestE10E12KilledAnywhere(t *testing.T) {
	for _, tc := range []struct {
		name   string
		make   func(t *testing.T)
		source preseed.Source
		killed string
		least  int
	}{
		{"rollback", func(t *testing.T) { cut(t, "a", "text") }, local, changes, 5},
		{"clone", func(t *testing.T) { cut(t, "a", "text"); must(t, "zfs", "snapshot", name+"@b") }, local, changes, 12},
		{"replica", func(t *testing.T) { sendTo(t, "text") }, replica, receive, 4},
		{"restic", func(t *testing.T) { job(t, "text") }, backup, restore, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fresh(t)
			tc.make(t)
			plan(t, from(tc.source))
			before := guids(t)
			n := killing(t, tc.killed, func() {}, func(at string) {
				kept(t, before)
				if t.Failed() {
					t.Fatalf("killed %s", at)
				}
			})
			t.Logf("%d kills", n)
			if n < tc.least {
				t.Errorf("it was killed %d times only: %s", n, read(t, "/srv/points"))
			}
			restored(t, "text")
			kept(t, before)
			// E12: whoever was killed once it was restored, the next one says so, once.
			records, _ := filepath.Glob(state + "/app/2*.json")
			told := 0
			for _, file := range records {
				if strings.Contains(read(t, file), `"outcome": "restored"`) {
					told++
				}
			}
			if told == 0 {
				t.Errorf("nobody was told that it was restored: %q", records)
			}
			ends(t, preseed.AlreadySeeded, 0, "seeded before", "/srv/plan.json")
		})
	}
}

// The same, and the machine comes up with another root: no journal, nothing mounted, and datasets that are missing made anew.
func TestE10KilledAndTheRootIsWiped(t *testing.T) {
	fresh(t)
	cut(t, "a", "text")
	must(t, "zfs", "snapshot", name+"@b")
	plan(t)
	before := guids(t)
	boot := 0
	killing(t, exchange, func() {
		os.RemoveAll(state)
		try("umount", "/run/stateward/preseed/app/at")
		try("umount", app)
		if boot++; boot%2 == 0 {
			if _, err := try("zfs", "list", name); err != nil {
				must(t, "zfs", "create", "-o", "mountpoint="+app, "-o", "recordsize=16K", "-o", "mine:note=kept", name)
			}
		}
	}, func(at string) {
		kept(t, before)
		if t.Failed() {
			t.Fatalf("killed %s", at)
		}
	})
	if got := read(t, app+"/file"); got != "text" {
		t.Errorf("it holds %q", got)
	}
	if got := must(t, "zfs", "get", "-H", "-o", "value", "canmount", name); got != "on" {
		t.Errorf("canmount is %s", got)
	}
	kept(t, before)
}

// One that waits is ended by SIGTERM, and says so.
func TestInterrupted(t *testing.T) {
	fresh(t)
	cmd := exec.Command("/mnt/bin/stateward", "preseed", "run", plan(t, from(replica)), "--state-dir", state)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 4 {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
	if got := read(t, state+"/app/newest.json"); !strings.Contains(got, "it was interrupted") {
		t.Errorf("the record is %s", got)
	}
}

// Somebody writes into the dataset wherever a run could be overtaken: what they wrote stays.
func TestE6SomebodyWritesMeanwhile(t *testing.T) {
	for _, tc := range []struct {
		point string
		could bool // whether it is mounted where they would write
	}{{"zfs clone", true}, {"zfs set canmount", true}, {"umount -- " + app, true}, {"zfs rename", false}} {
		point := tc.point
		t.Run(strings.ReplaceAll(point, "/", "_"), func(t *testing.T) {
			fresh(t)
			cut(t, "a", "text")
			must(t, "zfs", "snapshot", name+"@b")
			words := strings.Fields(point)
			real, err := exec.LookPath(words[0])
			if err != nil {
				t.Fatal(err)
			}
			// Only where it is the dataset that is mounted there: beneath is no dataset.
			write(t, "/srv/wrap/"+words[0], fmt.Sprintf("#!/bin/bash\ncase \"%s $*\" in *%q*) grep -q ' %s zfs' /proc/mounts && [ ! -e /srv/once ] && echo mine >%s/mine && : >/srv/once ;; esac\nexec %s \"$@\"\n",
				words[0], point, app, app, real))
			os.Chmod("/srv/wrap/"+words[0], 0o755)
			os.Remove("/srv/once")
			_, out, status := run(t, "run", plan(t))
			_, err = os.Stat("/srv/once")
			wrote := err == nil
			os.Remove("/srv/wrap/" + words[0])
			if status != 0 {
				t.Fatalf("status %d\n%s", status, out)
			}
			if wrote != tc.could {
				t.Errorf("somebody wrote: %v", wrote)
			}
			if !wrote {
				restored(t, "text")
				return
			}
			if got, err := os.ReadFile(app + "/mine"); err != nil || string(got) != "mine\n" {
				t.Fatalf("what somebody wrote is gone: %v\n%s", err, out)
			}
			if got := must(t, "zfs", "get", "-H", "-o", "value", "canmount", name); got != "on" {
				t.Errorf("canmount is %s", got)
			}
		})
	}
}

// E7, R5: a stream that ends too early is no replica, and what was received goes on.
func TestTruncatedStream(t *testing.T) {
	fresh(t)
	must(t, "zfs", "create", "-o", "mountpoint=/srv/replica", "back/app")
	must(t, "dd", "if=/dev/urandom", "of=/srv/replica/file", "bs=1M", "count=8", "status=none")
	want := read(t, "/srv/replica/file")
	must(t, "zfs", "snapshot", "back/app@one")
	must(t, "zfs", "unmount", "back/app")
	real, _ := exec.LookPath("zfs")
	write(t, "/srv/wrap/zfs", "#!/bin/bash\ncase \"$*\" in send\\ --*) if [ ! -e /srv/once ]; then : >/srv/once; "+real+" \"$@\" | head -c 4000000; exit 1; fi ;; send\\ -t*) : >/srv/resumed ;; esac\nexec "+real+" \"$@\"\n")
	os.Chmod("/srv/wrap/zfs", 0o755)
	os.Remove("/srv/once")
	os.Remove("/srv/resumed")
	ends(t, preseed.Restored, 0, "from replica", plan(t, from(replica)))
	os.Remove("/srv/wrap/zfs")
	if got := read(t, app+"/file"); got != want {
		t.Error("it is another text")
	}
	if _, err := os.Stat("/srv/resumed"); err != nil {
		t.Error("it began anew")
	}
}

// What does not fit is thrown away at once: others need the room.
func TestNoRoom(t *testing.T) {
	fresh(t)
	must(t, "zfs", "create", "-o", "mountpoint=none", "-o", "quota=4M", "tank/stateward-staging")
	must(t, "zfs", "create", "-o", "mountpoint=/srv/replica", "back/app")
	must(t, "dd", "if=/dev/urandom", "of=/srv/replica/file", "bs=1M", "count=8", "status=none")
	must(t, "zfs", "snapshot", "back/app@one")
	before := guids(t)
	ends(t, preseed.Failed, 4, "space", plan(t, from(replica)))
	kept(t, before)
	if after := guids(t); len(after) != len(before) {
		t.Errorf("there are %v, and were %v", after, before)
	}
}

// E9, E13: under systemd the service starts after a run that let it, and not before, nor after one that did not.
func TestE9Unit(t *testing.T) {
	fresh(t)
	cut(t, "a", "text")
	plan(t, func(p *preseed.Plan) { p.Timeout = "3s" })
	p := document(func(p *preseed.Plan) { p.Timeout = "3s" })
	text, err := p.Unit(preseed.UnitOptions{Stateward: "/mnt/bin/stateward", Plan: "/srv/plan.json", Path: []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"}})
	if err != nil {
		t.Fatal(err)
	}
	drop, err := p.DropIn()
	if err != nil {
		t.Fatal(err)
	}
	write(t, "/etc/systemd/system/"+p.UnitName(), text)
	write(t, "/etc/systemd/system/app.service.d/preseed.conf", drop)
	write(t, "/etc/systemd/system/app.service.d/check.conf", "[Service]\nExecStartPre=/bin/cp "+app+"/file /srv/seen\n")
	os.RemoveAll(preseed.StateDir)
	must(t, "systemctl", "daemon-reload")
	defer func() {
		try("systemctl", "stop", "app.service", p.UnitName())
		os.Remove("/etc/systemd/system/" + p.UnitName())
		os.RemoveAll("/etc/systemd/system/app.service.d")
		try("systemctl", "daemon-reload")
	}()
	os.Remove("/srv/seen")
	if out, err := try("systemctl", "start", "app.service"); err != nil {
		t.Fatalf("%s\n%s", out, must(t, "systemctl", "status", "--no-pager", p.UnitName()))
	}
	if got := read(t, "/srv/seen"); got != "text" {
		t.Errorf("it started on %q", got)
	}
	if files, _ := filepath.Glob(preseed.StateDir + "/app/2*.json"); len(files) != 1 {
		t.Errorf("there are the records %q", files)
	}
	must(t, "systemctl", "stop", "app.service", p.UnitName())
	// Fail-closed: no key, no pool, no source.
	fresh(t)
	os.RemoveAll(preseed.StateDir)
	if out, err := try("systemctl", "start", "app.service"); err == nil {
		t.Errorf("it started on nothing: %s", out)
	}
	if out, _ := try("systemctl", "is-active", "app.service"); out != "inactive" {
		t.Errorf("it is %s", out)
	}
	try("systemctl", "reset-failed")
	// E13: a source that answers later is asked again within the unit, whose job for the service is still there.
	fresh(t)
	os.RemoveAll(preseed.StateDir)
	os.Remove("/srv/seen")
	plan(t, from(replica), func(p *preseed.Plan) { p.Timeout = "1min" })
	must(t, "systemctl", "start", "--no-block", "app.service")
	time.Sleep(1500 * time.Millisecond)
	if out, _ := try("systemctl", "is-active", "app.service"); out != "inactive" {
		t.Errorf("it is %s before there is anything", out)
	}
	sendTo(t, "later")
	for range 100 {
		if out, _ := try("systemctl", "is-active", "app.service"); out == "active" {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if got := read(t, "/srv/seen"); got != "later" {
		t.Errorf("it started on %q", got)
	}
}
