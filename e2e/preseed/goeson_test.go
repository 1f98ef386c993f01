//go:build e2e

package preseed_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stateward/stateward/preseed"
)

// killedAfter has a run killed after the first command of a program that matches a pattern of bash.
func killedAfter(t *testing.T, program, pattern, file string, more ...string) {
	t.Helper()
	real, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	wrap := "/srv/wrap/" + program
	write(t, wrap, fmt.Sprintf("#!/bin/bash\n%s \"$@\" || exit\ncase \"$*\" in %s) read -r pid </srv/pid; kill -KILL \"$pid\"; sleep 5 ;; esac\n", real, pattern))
	os.Chmod(wrap, 0o755)
	defer os.Remove(wrap)
	if _, out, code := run(t, "run", file, more...); code != -1 {
		t.Fatalf("it was not killed: %d\n%s", code, out)
	}
}

// later moves the clock.
func later(t *testing.T, by time.Duration) (back func()) {
	t.Helper()
	began := time.Now()
	must(t, "date", "-s", fmt.Sprintf("@%d", began.Add(by).Unix()))
	return func() { must(t, "date", "-s", fmt.Sprintf("@%d", time.Now().Add(-by).Unix())) }
}

// E10: what a killed run restored, and did not put in its place, is not taken a month later where the policy takes nothing so old. It is set aside, and named; a person may take it.
func TestE10TooOldByNow(t *testing.T) {
	fresh(t)
	sendTo(t, "text")
	month := func(p *preseed.Plan) { p.MaxAge = "30d" }
	killedAfter(t, "zfs", `*"canmount=noauto stateward:preseed-staging=displaced"*`, plan(t, from(replica), month))
	guid := must(t, "zfs", "get", "-Hp", "-o", "value", "guid", staged)
	before := guids(t)
	defer later(t, 31*24*time.Hour)()
	ends(t, preseed.Refused, 4, "its newest, is of", plan(t, from(replica), month))
	kept(t, before)
	left := staged + "-left-" + guid
	if got := must(t, "zfs", "get", "-Hp", "-o", "value", "guid", left); got != guid {
		t.Errorf("set aside is %s", got)
	}
	if got := must(t, "zfs", "get", "-H", "-o", "value", "canmount,stateward:preseed-staging", name); got != "on\n-" {
		t.Errorf("the empty dataset has %q", got)
	}
	out, _ := try("/mnt/bin/stateward", "preseed", "status", "app", "--state-dir", state)
	if !strings.Contains(out, left) || !strings.Contains(out, "zfs destroy "+left+"@%") {
		t.Errorf("it is not named:\n%s", out)
	}
	ends(t, preseed.Restored, 0, "from replica", plan(t, from(replica), month), "--from", "replica", "--yes-destroy", name)
	restored(t, "text")
}

// E10: a restore by restic that was cut off goes on in the dataset that it was filling.
func TestE10ResticGoesOn(t *testing.T) {
	fresh(t)
	job(t, "text")
	must(t, "sh", "-c", "head -c 20971520 /dev/urandom | split -b 2097152 - "+app+"/big")
	must(t, "/mnt/bin/stateward", "backup", "run", "--plan", "/srv/job.json", "--state-dir", "/srv/backup-state")
	sums := []string{"sh", "-c", "cd " + app + " && sha256sum big*"}
	want := must(t, sums...)
	must(t, "sh", "-c", "rm "+app+"/big*")
	real, err := exec.LookPath("restic")
	if err != nil {
		t.Fatal(err)
	}
	// One pack after the other: with the ninth of ten files it has begun with the second, and all of the first is there.
	write(t, "/srv/wrap/restic", "#!/bin/bash\n[ \"$1\" = restore ] || exec "+real+" \"$@\"\n"+real+" --limit-download 6000 -o local.connections=1 \"$@\" &\n"+
		"until [ $(ls /run/stateward/preseed/app/at | grep -c big) -ge 9 ]; do sleep 0.1; done\nread -r pid </srv/pid; kill -KILL \"$pid\"; sleep 5\n")
	os.Chmod("/srv/wrap/restic", 0o755)
	file := plan(t, from(backup))
	if _, out, code := run(t, "run", file, "--backup-state-dir", "/srv/backup-state"); code != -1 {
		t.Fatalf("it was not killed: %d\n%s", code, out)
	}
	guid := must(t, "zfs", "get", "-Hp", "-o", "value", "guid", staged)
	// What restic says of the restore that goes on.
	write(t, "/srv/wrap/restic", "#!/bin/bash\n[ \"$1\" = restore ] || exec "+real+" \"$@\"\n"+real+" \"$@\" | tee /srv/said\nexit ${PIPESTATUS[0]}\n")
	ends(t, preseed.Restored, 0, "", file, "--backup-state-dir", "/srv/backup-state")
	os.Remove("/srv/wrap/restic")
	if got := must(t, "zfs", "get", "-Hp", "-o", "value", "guid", name); got != guid {
		t.Errorf("it began anew: %s and %s", guid, got)
	}
	if got := must(t, sums...); got != want {
		t.Errorf("it holds %s, and held %s", got, want)
	}
	if said := read(t, "/srv/said"); !strings.Contains(said, "files_skipped") {
		t.Errorf("it had all sent once more: %s", said)
	}
}

// E10: a clone that somebody destroys in the middle of the exchange is made once more, from the snapshots that were moved away with the empty dataset.
func TestE10CloneIsGone(t *testing.T) {
	fresh(t)
	cut(t, "a", "text")
	must(t, "zfs", "snapshot", name+"@b")
	killedAfter(t, "zfs", `"rename -u -- `+name+` "*`, plan(t))
	must(t, "zfs", "destroy", staged)
	must(t, "zfs", "create", "-o", "mountpoint="+app, "-o", "mine:note=kept", "-o", "recordsize=16K", name)
	before := guids(t)
	ends(t, preseed.Restored, 0, "a of", plan(t))
	restored(t, "text")
	kept(t, before)
	// Where somebody wrote into what was made anew, that stays as it is.
	fresh(t)
	cut(t, "a", "text")
	must(t, "zfs", "snapshot", name+"@b")
	killedAfter(t, "zfs", `"rename -u -- `+name+` "*`, plan(t))
	must(t, "zfs", "destroy", staged)
	must(t, "zfs", "create", "-o", "mountpoint="+app, name)
	write(t, app+"/mine", "mine")
	ends(t, preseed.Refused, 4, "another dataset has that name", plan(t))
	if got := read(t, app+"/mine"); got != "mine" {
		t.Error(got)
	}
}

// E3: a marker that was received has the guid of this very dataset, and is none: whoever sent it said so.
func TestE3ReceivedOwnMarker(t *testing.T) {
	fresh(t)
	must(t, "zfs", "destroy", name)
	sendTo(t, "text")
	must(t, "sh", "-c", "zfs send -p back/app@one | zfs receive -u -o mountpoint="+app+" "+name)
	guid := must(t, "zfs", "get", "-Hp", "-o", "value", "guid", name)
	must(t, "zfs", "set", "stateward:preseed="+guid+" restored", "back/app")
	must(t, "zfs", "mount", "back/app")
	os.Remove("/srv/replica/file")
	must(t, "zfs", "unmount", "back/app")
	must(t, "zfs", "snapshot", "back/app@two")
	must(t, "sh", "-c", "zfs send -p -i @one back/app@two | zfs receive -u "+name)
	if got := must(t, "zfs", "get", "-Hp", "-o", "value,source", "stateward:preseed", name); got != guid+" restored\treceived" {
		t.Fatalf("the marker is %q", got)
	}
	must(t, "zfs", "mount", name)
	ends(t, preseed.Restored, 0, "one of", plan(t))
	if got := read(t, app+"/file"); got != "text" {
		t.Error(got)
	}
	// -x leaves it out, and one that is set by -o has the guid of another.
	fresh(t)
	must(t, "zfs", "destroy", name)
	sendTo(t, "text")
	must(t, "zfs", "set", "stateward:preseed=1 restored", "back/app")
	for _, how := range []string{"-x stateward:preseed", "-o stateward:preseed='1 restored'"} {
		must(t, "sh", "-c", "zfs send -R back/app@one | zfs receive -u "+how+" -o mountpoint="+app+" "+name)
		must(t, "zfs", "mount", name)
		os.Remove(app + "/file")
		os.RemoveAll(state)
		ends(t, preseed.Restored, 0, "one of", plan(t))
		must(t, "zfs", "destroy", "-r", name)
		try("zfs", "destroy", "-r", was)
	}
}

// D2: what is in use is said with how to find out by whom.
func TestTargetIsBusy(t *testing.T) {
	fresh(t)
	cut(t, "a", "text")
	cmd := exec.Command("sleep", "60")
	cmd.Dir = app
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	ends(t, preseed.Failed, 4, "fuser -vm "+app, plan(t, func(p *preseed.Plan) { p.Timeout = "3s" }))
	cmd.Process.Kill()
	cmd.Wait()
	ends(t, preseed.Restored, 0, "", plan(t))
	restored(t, "text")
}

// E5, E10: what lies where the dataset will be mounted is seen before anything is restored, and what is restored meanwhile is not lost by files that come into the empty one.
func TestE5HidesAndAbandons(t *testing.T) {
	fresh(t)
	sendTo(t, "text")
	must(t, "zfs", "unmount", name)
	write(t, app+"/below", "x")
	ends(t, preseed.Refused, 4, "that the mount would hide", plan(t, from(replica)))
	if list, _ := try("zfs", "list", "-H", "-o", "name", staged); !strings.Contains(list, "does not exist") {
		t.Errorf("it restored all the same: %s", list)
	}
	os.Remove(app + "/below")
	must(t, "zfs", "mount", name)
	killedAfter(t, "zfs", `*"canmount=noauto stateward:preseed-staging=displaced"*`, plan(t, from(replica)))
	guid := must(t, "zfs", "get", "-Hp", "-o", "value", "guid", staged)
	try("zfs", "mount", name)
	write(t, app+"/mine", "mine")
	before := guids(t)
	ends(t, preseed.AlreadySeeded, 0, "seeded before", plan(t, from(replica)))
	kept(t, before)
	if got := must(t, "zfs", "get", "-Hp", "-o", "value", "guid", staged+"-left-"+guid); got != guid {
		t.Errorf("what was restored is %s", got)
	}
	if got := must(t, "zfs", "get", "-H", "-o", "value", "canmount,stateward:preseed-staging", name); got != "on\n-" {
		t.Errorf("it has %q", got)
	}
	if files, _ := filepath.Glob(state + "/*.journal.json"); len(files) > 0 {
		t.Errorf("journals are left: %q", files)
	}
}
