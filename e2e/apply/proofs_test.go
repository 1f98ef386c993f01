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

// What sets and inherits is killed before, in the midst of or after each of its writes, and gets to the same end when it is started again.
func TestKilledAtEverySetAndInherit(t *testing.T) {
	run := func(env []string) (int, string) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = slices.Concat(os.Environ(), []string{applying + "=1"}, env)
		out, _ := cmd.CombinedOutput()
		return cmd.ProcessState.ExitCode(), string(out)
	}
	toChange(t)
	if status, out := run(nil); status != 0 {
		t.Fatalf("status %d: %s", status, out)
	}
	want := machineState(t)
	equal(t, "16384\tlocal\non\tdefault\n/srv/kinds\tlocal", command(t, "zfs", "get", "-Hpo", "value,source", "recordsize,compression,mountpoint", "tank/kinds"))
	// What is killed amid may be done by then, and then is not done again.
	for when, killed := range map[string]int{"before after": 10, "amid": 5} {
		toChange(t)
		points := killedAtEveryWrite(t, when, run)
		equal(t, want, machineState(t))
		equal(t, killed, len(points))
		t.Logf("%q", points)
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
	command(t, "zpool", "import", "-d", "/dev", "-R", "/srv/alt", "tank")
	before := history(t)
	a := applyHost(t, 1, "few")
	equal(t, dataset.PoolElsewhere, a.Conflicts[0].Kind)
	equal(t, "/srv/alt", a.Conflicts[0].Found)
	equal(t, before, history(t))

	// Nor where all would be there.
	command(t, "zpool", "export", "tank")
	command(t, "zpool", "import", "-d", "/dev", "tank")
	applyHost(t, 0, "few")
	command(t, "zpool", "export", "tank")
	command(t, "zpool", "import", "-d", "/dev", "-R", "/srv/alt", "tank")
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
