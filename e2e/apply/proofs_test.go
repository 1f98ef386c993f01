//go:build e2e

package apply_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/exec/apply"
)

// setting reads name=value.
func setting(text string) dataset.Setting {
	property, value, _ := strings.Cut(text, "=")
	s, err := dataset.ParseSetting(property, value, dataset.Filesystem)
	if err != nil {
		panic(err)
	}
	return s
}

// changed wants each kind of change of a dataset that is there: values set, one that moves where it is mounted, one taken back.
func changed() dataset.Desired {
	w, err := dataset.At(dataset.MustName("tank/kinds"), "/srv/kinds", setting("recordsize=16K"), setting("org.example:note=it's \"$(x)\" -n"))
	if err != nil {
		panic(err)
	}
	w.Inherit = []string{"compression"}
	w.Owner = stateward.MustOwner("568")
	return dataset.WithContainers(w)
}

// toChange makes the dataset that has all of this otherwise.
func toChange(t *testing.T) {
	t.Helper()
	fresh(t)
	command(t, "zfs", "create", "-u", "-o", "mountpoint=/srv/old", "-o", "recordsize=8K", "-o", "compression=gzip", "-o", "org.example:note=old", "tank/kinds")
}

// applying is set for this program when it is to do nothing but to apply changed.
const applying = "STATEWARD_E2E_APPLYING"

func applyChanged() int {
	r, err := apply.Run(context.Background(), changed(), system(), apply.Options{})
	if err != nil {
		fmt.Println(r.Outcome, err)
		return 4
	}
	return 0
}

const cutter = `#!/bin/sh
# Stands for zfs, and at a call that writes ends whoever called it: before it, after it, or together with zfs while it is at work.
real=/usr/sbin/zfs
case "$1" in
create|set|inherit|mount)
  n=$(($(cat /tmp/cut/count) + 1))
  echo $n >/tmp/cut/count
  echo "$1" >>/tmp/cut/kinds
  if [ $n = "$(cat /tmp/cut/at)" ]; then
    case "$(cat /tmp/cut/when)" in
    before) kill -KILL $PPID; exit 1 ;;
    amid) $real "$@" & sleep 0.0$(cat /tmp/cut/delay); kill -KILL $PPID $! ; wait; exit 1 ;;
    after) $real "$@"; kill -KILL $PPID; exit 1 ;;
    esac
  fi ;;
esac
exec $real "$@"
`

// What sets and inherits is killed before, in the midst of or after each of its writes, and gets to the same end when it is started again.
func TestKilledAtEverySetAndInherit(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll("/tmp/cut", 0o755))
	must(os.WriteFile("/tmp/cut/zfs", []byte(cutter), 0o755))
	put := func(name, text string) { must(os.WriteFile("/tmp/cut/"+name, []byte(text), 0o644)) }
	run := func() (int, string) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), applying+"=1", "PATH=/tmp/cut:"+os.Getenv("PATH"))
		out, _ := cmd.CombinedOutput()
		return cmd.ProcessState.ExitCode(), string(out)
	}
	start := func(n int, when string) {
		toChange(t)
		put("count", "0\n")
		put("kinds", "")
		put("at", fmt.Sprintf("%d\n", n))
		put("when", when)
		// From 5 to 45 ms: a call takes some 30.
		put("delay", fmt.Sprintf("%02d", 5+n*10%45))
	}
	start(0, "")
	if status, out := run(); status != 0 {
		t.Fatalf("status %d: %s", status, out)
	}
	want := machineState(t)
	kinds, err := os.ReadFile("/tmp/cut/kinds")
	must(err)
	list := strings.Fields(string(kinds))
	equal(t, []string{"inherit", "mount", "set", "set", "set"}, slices.Sorted(slices.Values(list)))
	equal(t, "16384\tlocal\non\tdefault\n/srv/kinds\tlocal", command(t, "zfs", "get", "-Hpo", "value,source", "recordsize,compression,mountpoint", "tank/kinds"))
	for n := range len(list) {
		for _, when := range []string{"before", "amid", "after"} {
			if when == "before" && n > 0 && list[n] != "mount" {
				continue // the same as after the one before it
			}
			start(n+1, when)
			if status, out := run(); status != -1 {
				t.Fatalf("%s %d: status %d: %s", when, n+1, status, out)
			}
			put("at", "0\n")
			if status, out := run(); status != 0 {
				t.Fatalf("after it was killed %s %d (%s): status %d: %s", when, n+1, list[n], status, out)
			}
			if diff := cmp.Diff(want, machineState(t)); diff != "" {
				t.Fatalf("killed %s %s, %d of %d (-want +got):\n%s", when, list[n], n+1, len(list), diff)
			}
		}
	}
}

// What was received can be taken back too, and is not taken back twice.
func TestInheritOfAReceivedValue(t *testing.T) {
	toChange(t)
	command(t, "zfs", "snapshot", "tank/kinds@s")
	command(t, "sh", "-c", "zfs send -p tank/kinds@s | zfs receive -u -o mountpoint=/srv/old tank/copy && zfs destroy -r tank/kinds && zfs rename -u tank/copy tank/kinds")
	equal(t, "gzip\treceived", command(t, "zfs", "get", "-Hpo", "value,source", "compression", "tank/kinds"))
	if _, err := apply.Run(context.Background(), changed(), system(), apply.Options{}); err != nil {
		t.Fatal(err)
	}
	equal(t, "on\tdefault", command(t, "zfs", "get", "-Hpo", "value,source", "compression", "tank/kinds"))
	before := history(t)
	r, err := apply.Run(context.Background(), changed(), system(), apply.Options{})
	if err != nil || r.Outcome != apply.Nothing {
		t.Errorf("%s, %v", r.Outcome, err)
	}
	equal(t, before, history(t))
}

// A share is set without mounting what was not mounted.
func TestShareDoesNotMount(t *testing.T) {
	toChange(t)
	on := dataset.Step{Dataset: dataset.MustName("tank/kinds")}
	for _, s := range []string{"sharenfs=rw=@10.0.0.0/8", "sharenfs=off", "canmount=noauto", "canmount=on", "mountpoint=/srv/kinds"} {
		if err := system().Do(context.Background(), &dataset.Set{Step: on, Setting: setting(s)}); err != nil {
			t.Fatal(err)
		}
		property, value, _ := strings.Cut(s, "=")
		equal(t, value+"\nno", command(t, "zfs", "get", "-Hpo", "value", property+",mounted", "tank/kinds"))
	}
	if list, _ := filepath.Glob("/srv/*"); len(list) > 0 {
		t.Errorf("there is %q", list)
	}
}

// What is imported for another system, as an installer does, is neither written to nor mounted here.
func TestPoolBelowAnotherRoot(t *testing.T) {
	fresh(t)
	command(t, "zpool", "export", "tank")
	command(t, "zpool", "import", "-d", "/dev/ubdb", "-R", "/srv/alt", "tank")
	before := history(t)
	a := applyHost(t, 1, "few")
	equal(t, dataset.PoolElsewhere, a.Conflicts[0].Kind)
	equal(t, "/srv/alt", a.Conflicts[0].Found)
	equal(t, before, history(t))

	// Nor where all would be there.
	command(t, "zpool", "export", "tank")
	command(t, "zpool", "import", "-d", "/dev/ubdb", "tank")
	applyHost(t, 0, "few")
	command(t, "zpool", "export", "tank")
	command(t, "zpool", "import", "-d", "/dev/ubdb", "-R", "/srv/alt", "tank")
	before = history(t)
	a = applyHost(t, 1, "few")
	equal(t, dataset.PoolElsewhere, a.Conflicts[0].Kind)
	equal(t, before, history(t))
	if _, err := os.Stat("/srv/alt/srv/sonarr"); err != nil {
		t.Errorf("it is not mounted below the other root, so this shows nothing: %v", err)
	}
}

// A pool whose device takes no more writes is suspended: what waits for it would wait for ever.
func TestPoolSuspended(t *testing.T) {
	for _, mode := range []string{"wait", "continue"} {
		t.Run(mode, func(t *testing.T) {
			fresh(t)
			command(t, "zpool", "destroy", "tank")
			command(t, "mkdir", "-p", "/tmp/small")
			command(t, "mount", "-t", "tmpfs", "-o", "size=48M", "small", "/tmp/small")
			command(t, "truncate", "-s", "256M", "/tmp/small/disk")
			command(t, "zpool", "create", "-o", "failmode="+mode, "-O", "mountpoint=none", "-O", "compression=off", "tank", "/tmp/small/disk")
			applyHost(t, 0, "one")
			var filling *exec.Cmd
			defer func() {
				command(t, "mount", "-o", "remount,size=300M", "/tmp/small")
				command(t, "zpool", "clear", "tank")
				if filling != nil {
					_ = filling.Wait()
				}
				equal(t, "nothing to do", applyHost(t, 0, "one").Outcome)
				command(t, "zfs", "unmount", "-a")
				command(t, "zpool", "destroy", "-f", "tank")
				command(t, "umount", "/tmp/small")
			}()
			// The device is smaller than it says.
			filling = exec.Command("sh", "-c", "head -c 100M /dev/urandom >/srv/sonarr/file; rm -f /srv/sonarr/file; sync")
			if err := filling.Start(); err != nil {
				t.Fatal(err)
			}
			health := ""
			for deadline := time.Now().Add(60 * time.Second); health != "SUSPENDED" && time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
				health = command(t, "zpool", "list", "-Ho", "health", "tank")
			}
			equal(t, "SUSPENDED", health)

			began := time.Now()
			a := applyHost(t, 1, "few")
			equal(t, dataset.PoolUnwritable, a.Conflicts[0].Kind)
			equal(t, "SUSPENDED", a.Conflicts[0].Found)
			lines, _ := drift(t, "few")
			if len(lines) == 0 || !strings.Contains(lines[0], "unknown: ") || !strings.Contains(lines[0], "SUSPENDED") {
				t.Errorf("%q", lines)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}

			// One that is suspended in the midst of a run: the step ends, whatever becomes of its zfs.
			began = time.Now()
			s := system()
			s.Timeout = 2 * time.Second
			err := s.Do(context.Background(), &dataset.Set{Step: dataset.Step{Dataset: dataset.MustName("tank/services/sonarr")}, Setting: setting("recordsize=16K")})
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("the step took %s", took)
			}
			if err == nil || !strings.Contains(err.Error(), "suspended") && !strings.Contains(err.Error(), "I/O") {
				t.Errorf("error %v", err)
			}
		})
	}
}
