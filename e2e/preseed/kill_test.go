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

	lab "github.com/stateward/stateward/e2e/preseedlab"
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
	lab.Write(t, "/srv/points", "")
	lab.Write(t, "/srv/point", `name=$1 real=$2
shift 2
# Numbers count for nothing.
args="$name $*"
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
case "$name $1" in zfs\ clone | zfs\ receive | zfs\ create | zfs\ set | zfs\ destroy | restic*) point before ;; esac
"$real" "$@"
status=$?
point after
exit $status
`)
	programs := []string{"zfs", "mount", "umount", "restic"}
	for _, program := range programs {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Fatal(err)
		}
		// Most commands pass by: bash, which takes half as much as zfs itself to start, is for those that do not.
		text := `#!/bin/sh
case "NAME $1" in
  PATTERN) exec /bin/bash /srv/point NAME REAL "$@" ;;
  *) exec REAL "$@" ;;
esac
`
		lab.Write(t, "/srv/wrap/"+program, strings.NewReplacer("PATTERN", pattern, "NAME", program, "REAL", path).Replace(text))
		os.Chmod("/srv/wrap/"+program, 0o755)
	}
	defer func() {
		for _, program := range programs {
			os.Remove("/srv/wrap/" + program)
		}
	}()
	file := "/srv/plan.json"
	for n := range 80 {
		_, out, status := lab.Run(t, "run", file)
		list := strings.Split(strings.TrimSpace(lab.Read(t, "/srv/points")), "\n")
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
	t.Fatalf("it never came to its end: %s", lab.Read(t, "/srv/points"))
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
		{"rollback", func(t *testing.T) { lab.Cut(t, "a", "text") }, lab.Local, changes, 5},
		{"clone", func(t *testing.T) { lab.Cut(t, "a", "text"); lab.Must(t, "zfs", "snapshot", lab.Name+"@b") }, lab.Local, changes, 12},
		{"replica", func(t *testing.T) { lab.SendTo(t, "text") }, lab.Replica, receive, 4},
		{"restic", func(t *testing.T) { lab.Job(t, "text") }, lab.Backup, restore, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lab.Fresh(t)
			tc.make(t)
			lab.Plan(t, lab.From(tc.source))
			before := lab.Guids(t)
			n := killing(t, tc.killed, func() {}, func(at string) {
				lab.Kept(t, before)
				if t.Failed() {
					t.Fatalf("killed %s", at)
				}
			})
			t.Logf("%d kills", n)
			if n < tc.least {
				t.Errorf("it was killed %d times only: %s", n, lab.Read(t, "/srv/points"))
			}
			lab.Restored(t, "text")
			lab.Kept(t, before)
			// E12: whoever was killed once it was restored, the next one says so, once.
			records, _ := filepath.Glob(lab.State + "/app/2*.json")
			told := 0
			for _, file := range records {
				if strings.Contains(lab.Read(t, file), `"outcome": "restored"`) {
					told++
				}
			}
			if told == 0 {
				t.Errorf("nobody was told that it was restored: %q", records)
			}
			lab.Ends(t, preseed.AlreadySeeded, 0, "seeded before", "/srv/plan.json")
		})
	}
}

// The same, and the machine comes up with another root: no journal, nothing mounted, and datasets that are missing made anew.
func TestE10KilledAndTheRootIsWiped(t *testing.T) {
	lab.Fresh(t)
	lab.Cut(t, "a", "text")
	lab.Must(t, "zfs", "snapshot", lab.Name+"@b")
	lab.Plan(t)
	before := lab.Guids(t)
	boot := 0
	killing(t, exchange, func() {
		os.RemoveAll(lab.State)
		lab.Try("umount", "/run/stateward/preseed/app/at")
		lab.Try("umount", lab.App)
		if boot++; boot%2 == 0 {
			if _, err := lab.Try("zfs", "list", lab.Name); err != nil {
				lab.Must(t, "zfs", "create", "-o", "mountpoint="+lab.App, "-o", "recordsize=16K", "-o", "mine:note=kept", lab.Name)
			}
		}
	}, func(at string) {
		lab.Kept(t, before)
		if t.Failed() {
			t.Fatalf("killed %s", at)
		}
	})
	if got := lab.Read(t, lab.App+"/file"); got != "text" {
		t.Errorf("it holds %q", got)
	}
	if got := lab.Must(t, "zfs", "get", "-H", "-o", "value", "canmount", lab.Name); got != "on" {
		t.Errorf("canmount is %s", got)
	}
	lab.Kept(t, before)
}

// One that waits is ended by SIGTERM, and says so.
func TestInterrupted(t *testing.T) {
	lab.Fresh(t)
	cmd := exec.Command("/mnt/bin/stateward", "preseed", "run", lab.Plan(t, lab.From(lab.Replica)), "--state-dir", lab.State)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	cmd.Process.Signal(syscall.SIGTERM)
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 4 {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
	if got := lab.Read(t, lab.State+"/app/newest.json"); !strings.Contains(got, "it was interrupted") {
		t.Errorf("the record is %s", got)
	}
}

// Somebody writes into the dataset wherever a run could be overtaken: what they wrote stays.
func TestE6SomebodyWritesMeanwhile(t *testing.T) {
	for _, tc := range []struct {
		point string
		could bool // whether it is mounted where they would write
	}{{"zfs clone", true}, {"zfs set canmount", true}, {"umount -- " + lab.App, true}, {"zfs rename", false}} {
		point := tc.point
		t.Run(strings.ReplaceAll(point, "/", "_"), func(t *testing.T) {
			lab.Fresh(t)
			lab.Cut(t, "a", "text")
			lab.Must(t, "zfs", "snapshot", lab.Name+"@b")
			words := strings.Fields(point)
			real, err := exec.LookPath(words[0])
			if err != nil {
				t.Fatal(err)
			}
			// Only where it is the dataset that is mounted there: beneath is no dataset.
			lab.Write(t, "/srv/wrap/"+words[0], fmt.Sprintf("#!/bin/sh\ncase \"%s $*\" in *%q*) grep -q ' %s zfs' /proc/mounts && [ ! -e /srv/once ] && echo mine >%s/mine && : >/srv/once ;; esac\nexec %s \"$@\"\n",
				words[0], point, lab.App, lab.App, real))
			os.Chmod("/srv/wrap/"+words[0], 0o755)
			os.Remove("/srv/once")
			_, out, status := lab.Run(t, "run", lab.Plan(t))
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
				lab.Restored(t, "text")
				return
			}
			if got, err := os.ReadFile(lab.App + "/mine"); err != nil || string(got) != "mine\n" {
				t.Fatalf("what somebody wrote is gone: %v\n%s", err, out)
			}
			if got := lab.Must(t, "zfs", "get", "-H", "-o", "value", "canmount", lab.Name); got != "on" {
				t.Errorf("canmount is %s", got)
			}
		})
	}
}

// E7, R5: a stream that ends too early is no replica, and what was received goes on.
func TestTruncatedStream(t *testing.T) {
	lab.Fresh(t)
	lab.Must(t, "zfs", "create", "-o", "mountpoint=/srv/replica", "back/app")
	lab.Must(t, "dd", "if=/dev/urandom", "of=/srv/replica/file", "bs=1M", "count=8", "status=none")
	want := lab.Read(t, "/srv/replica/file")
	lab.Must(t, "zfs", "snapshot", "back/app@one")
	lab.Must(t, "zfs", "unmount", "back/app")
	real, _ := exec.LookPath("zfs")
	lab.Write(t, "/srv/wrap/zfs", "#!/bin/sh\ncase \"$*\" in send\\ --*) if [ ! -e /srv/once ]; then : >/srv/once; "+real+" \"$@\" | head -c 4000000; exit 1; fi ;; send\\ -t*) : >/srv/resumed ;; esac\nexec "+real+" \"$@\"\n")
	os.Chmod("/srv/wrap/zfs", 0o755)
	os.Remove("/srv/once")
	os.Remove("/srv/resumed")
	lab.Ends(t, preseed.Restored, 0, "from replica", lab.Plan(t, lab.From(lab.Replica)))
	os.Remove("/srv/wrap/zfs")
	if got := lab.Read(t, lab.App+"/file"); got != want {
		t.Error("it is another text")
	}
	if _, err := os.Stat("/srv/resumed"); err != nil {
		t.Error("it began anew")
	}
}

// What does not fit is thrown away at once: others need the room.
func TestNoRoom(t *testing.T) {
	lab.Fresh(t)
	lab.Must(t, "zfs", "create", "-o", "mountpoint=none", "-o", "quota=4M", "tank/stateward-staging")
	lab.Must(t, "zfs", "create", "-o", "mountpoint=/srv/replica", "back/app")
	lab.Must(t, "dd", "if=/dev/urandom", "of=/srv/replica/file", "bs=1M", "count=8", "status=none")
	lab.Must(t, "zfs", "snapshot", "back/app@one")
	before := lab.Guids(t)
	lab.Ends(t, preseed.Failed, 4, "space", lab.Plan(t, lab.From(lab.Replica)))
	lab.Kept(t, before)
	if after := lab.Guids(t); len(after) != len(before) {
		t.Errorf("there are %v, and were %v", after, before)
	}
}

// E9, E13: under systemd the service starts after a run that let it, and not before, nor after one that did not.
func TestE9Unit(t *testing.T) {
	lab.Fresh(t)
	lab.Cut(t, "a", "text")
	lab.Plan(t, func(p *preseed.Plan) { p.Timeout = "3s" })
	p := lab.Document(func(p *preseed.Plan) { p.Timeout = "3s" })
	text, err := p.Unit(preseed.UnitOptions{Stateward: "/mnt/bin/stateward", Plan: "/srv/plan.json", Path: []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin"}})
	if err != nil {
		t.Fatal(err)
	}
	drop, err := p.DropIn()
	if err != nil {
		t.Fatal(err)
	}
	lab.Write(t, "/etc/systemd/system/"+p.UnitName(), text)
	lab.Write(t, "/etc/systemd/system/app.service.d/preseed.conf", drop)
	lab.Write(t, "/etc/systemd/system/app.service.d/check.conf", "[Service]\nExecStartPre=/bin/cp "+lab.App+"/file /srv/seen\n")
	os.RemoveAll(preseed.StateDir)
	lab.Must(t, "systemctl", "daemon-reload")
	defer func() {
		lab.Try("systemctl", "stop", "app.service", p.UnitName())
		os.Remove("/etc/systemd/system/" + p.UnitName())
		os.RemoveAll("/etc/systemd/system/app.service.d")
		lab.Try("systemctl", "daemon-reload")
	}()
	os.Remove("/srv/seen")
	if out, err := lab.Try("systemctl", "start", "app.service"); err != nil {
		t.Fatalf("%s\n%s", out, lab.Must(t, "systemctl", "status", "--no-pager", p.UnitName()))
	}
	if got := lab.Read(t, "/srv/seen"); got != "text" {
		t.Errorf("it started on %q", got)
	}
	if files, _ := filepath.Glob(preseed.StateDir + "/app/2*.json"); len(files) != 1 {
		t.Errorf("there are the records %q", files)
	}
	lab.Must(t, "systemctl", "stop", "app.service", p.UnitName())
	// Fail-closed: no key, no pool, no source.
	lab.Fresh(t)
	os.RemoveAll(preseed.StateDir)
	if out, err := lab.Try("systemctl", "start", "app.service"); err == nil {
		t.Errorf("it started on nothing: %s", out)
	}
	if out, _ := lab.Try("systemctl", "is-active", "app.service"); out != "inactive" {
		t.Errorf("it is %s", out)
	}
	lab.Try("systemctl", "reset-failed")
	// E13: a source that answers later is asked again within the unit, whose job for the service is still there.
	lab.Fresh(t)
	os.RemoveAll(preseed.StateDir)
	os.Remove("/srv/seen")
	lab.Plan(t, lab.From(lab.Replica), func(p *preseed.Plan) { p.Timeout = "1min" })
	lab.Must(t, "systemctl", "start", "--no-block", "app.service")
	time.Sleep(1500 * time.Millisecond)
	if out, _ := lab.Try("systemctl", "is-active", "app.service"); out != "inactive" {
		t.Errorf("it is %s before there is anything", out)
	}
	lab.SendTo(t, "later")
	for range 100 {
		if out, _ := lab.Try("systemctl", "is-active", "app.service"); out == "active" {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	if got := lab.Read(t, "/srv/seen"); got != "later" {
		t.Errorf("it started on %q", got)
	}
}
