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

	lab "github.com/stateward/stateward/e2e/preseedlab"
	"github.com/stateward/stateward/preseed"
)

// killedAfter has a run killed after the first command of a program that matches a pattern of the shell.
func killedAfter(t *testing.T, program, pattern, file string, more ...string) {
	t.Helper()
	real, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	wrap := "/srv/wrap/" + program
	lab.Write(t, wrap, fmt.Sprintf("#!/bin/sh\n%s \"$@\" || exit\ncase \"$*\" in %s) read -r pid </srv/pid; kill -KILL \"$pid\"; sleep 5 ;; esac\n", real, pattern))
	os.Chmod(wrap, 0o755)
	defer os.Remove(wrap)
	if _, out, code := lab.Run(t, "run", file, more...); code != -1 {
		t.Fatalf("it was not killed: %d\n%s", code, out)
	}
}

// later moves the clock.
func later(t *testing.T, by time.Duration) (back func()) {
	t.Helper()
	began := time.Now()
	lab.Must(t, "date", "-s", fmt.Sprintf("@%d", began.Add(by).Unix()))
	return func() { lab.Must(t, "date", "-s", fmt.Sprintf("@%d", time.Now().Add(-by).Unix())) }
}

// E10: what a killed run restored, and did not put in its place, is not taken a month later where the policy takes nothing so old. It is set aside, and named; a person may take it.
func TestE10TooOldByNow(t *testing.T) {
	lab.Fresh(t)
	lab.SendTo(t, "text")
	month := func(p *preseed.Plan) { p.MaxAge = "30d" }
	killedAfter(t, "zfs", `*"canmount=noauto stateward:preseed-staging=displaced"*`, lab.Plan(t, lab.From(lab.Replica), month))
	guid := lab.Must(t, "zfs", "get", "-Hp", "-o", "value", "guid", lab.Staged)
	before := lab.Guids(t)
	defer later(t, 31*24*time.Hour)()
	lab.Ends(t, preseed.Refused, 4, "its newest, is of", lab.Plan(t, lab.From(lab.Replica), month))
	lab.Kept(t, before)
	left := lab.Staged + "-left-" + guid
	if got := lab.Must(t, "zfs", "get", "-Hp", "-o", "value", "guid", left); got != guid {
		t.Errorf("set aside is %s", got)
	}
	if got := lab.Must(t, "zfs", "get", "-H", "-o", "value", "canmount,stateward:preseed-staging", lab.Name); got != "on\n-" {
		t.Errorf("the empty dataset has %q", got)
	}
	out, _ := lab.Try("/mnt/bin/stateward", "preseed", "status", "app", "--state-dir", lab.State)
	if !strings.Contains(out, left) || !strings.Contains(out, "zfs destroy "+left+"@%") {
		t.Errorf("it is not named:\n%s", out)
	}
	lab.Ends(t, preseed.Restored, 0, "from replica", lab.Plan(t, lab.From(lab.Replica), month), "--from", "replica", "--yes-destroy", lab.Name)
	lab.Restored(t, "text")
}

// E10: a restore by restic that was cut off goes on in the dataset that it was filling.
func TestE10ResticGoesOn(t *testing.T) {
	lab.Fresh(t)
	lab.Job(t, "text")
	lab.Must(t, "sh", "-c", "head -c 20971520 /dev/urandom | split -b 2097152 - "+lab.App+"/big")
	lab.Must(t, "/mnt/bin/stateward", "backup", "run", "--plan", "/srv/job.json", "--state-dir", "/srv/backup-state")
	sums := []string{"sh", "-c", "cd " + lab.App + " && sha256sum big*"}
	want := lab.Must(t, sums...)
	lab.Must(t, "sh", "-c", "rm "+lab.App+"/big*")
	real, err := exec.LookPath("restic")
	if err != nil {
		t.Fatal(err)
	}
	// One pack after the other: with the ninth of ten files it has begun with the second, and all of the first is there.
	lab.Write(t, "/srv/wrap/restic", "#!/bin/bash\n[ \"$1\" = restore ] || exec "+real+" \"$@\"\n"+real+" --limit-download 6000 -o local.connections=1 \"$@\" &\n"+
		"until [ $(ls /run/stateward/preseed/app/at | grep -c big) -ge 9 ]; do sleep 0.1; done\nread -r pid </srv/pid; kill -KILL \"$pid\"; sleep 5\n")
	os.Chmod("/srv/wrap/restic", 0o755)
	file := lab.Plan(t, lab.From(lab.Backup))
	if _, out, code := lab.Run(t, "run", file, "--backup-state-dir", "/srv/backup-state"); code != -1 {
		t.Fatalf("it was not killed: %d\n%s", code, out)
	}
	guid := lab.Must(t, "zfs", "get", "-Hp", "-o", "value", "guid", lab.Staged)
	// What restic says of the restore that goes on.
	lab.Write(t, "/srv/wrap/restic", "#!/bin/bash\n[ \"$1\" = restore ] || exec "+real+" \"$@\"\n"+real+" \"$@\" | tee /srv/said\nexit ${PIPESTATUS[0]}\n")
	lab.Ends(t, preseed.Restored, 0, "", file, "--backup-state-dir", "/srv/backup-state")
	os.Remove("/srv/wrap/restic")
	if got := lab.Must(t, "zfs", "get", "-Hp", "-o", "value", "guid", lab.Name); got != guid {
		t.Errorf("it began anew: %s and %s", guid, got)
	}
	if got := lab.Must(t, sums...); got != want {
		t.Errorf("it holds %s, and held %s", got, want)
	}
	if said := lab.Read(t, "/srv/said"); !strings.Contains(said, "files_skipped") {
		t.Errorf("it had all sent once more: %s", said)
	}
}

// E10: a clone that somebody destroys in the middle of the exchange is made once more, from the snapshots that were moved away with the empty dataset.
func TestE10CloneIsGone(t *testing.T) {
	lab.Fresh(t)
	lab.Cut(t, "a", "text")
	lab.Must(t, "zfs", "snapshot", lab.Name+"@b")
	killedAfter(t, "zfs", `"rename -u -- `+lab.Name+` "*`, lab.Plan(t))
	lab.Must(t, "zfs", "destroy", lab.Staged)
	lab.Must(t, "zfs", "create", "-o", "mountpoint="+lab.App, "-o", "mine:note=kept", "-o", "recordsize=16K", lab.Name)
	before := lab.Guids(t)
	lab.Ends(t, preseed.Restored, 0, "a of", lab.Plan(t))
	lab.Restored(t, "text")
	lab.Kept(t, before)
	// Where somebody wrote into what was made anew, that stays as it is.
	lab.Fresh(t)
	lab.Cut(t, "a", "text")
	lab.Must(t, "zfs", "snapshot", lab.Name+"@b")
	killedAfter(t, "zfs", `"rename -u -- `+lab.Name+` "*`, lab.Plan(t))
	lab.Must(t, "zfs", "destroy", lab.Staged)
	lab.Must(t, "zfs", "create", "-o", "mountpoint="+lab.App, lab.Name)
	lab.Write(t, lab.App+"/mine", "mine")
	lab.Ends(t, preseed.Refused, 4, "another dataset has that name", lab.Plan(t))
	if got := lab.Read(t, lab.App+"/mine"); got != "mine" {
		t.Error(got)
	}
}

// E3: a marker that was received has the guid of this very dataset, and is none: whoever sent it said so.
func TestE3ReceivedOwnMarker(t *testing.T) {
	lab.Fresh(t)
	lab.Must(t, "zfs", "destroy", lab.Name)
	lab.SendTo(t, "text")
	lab.Must(t, "sh", "-c", "zfs send -p back/app@one | zfs receive -u -o mountpoint="+lab.App+" "+lab.Name)
	guid := lab.Must(t, "zfs", "get", "-Hp", "-o", "value", "guid", lab.Name)
	lab.Must(t, "zfs", "set", "stateward:preseed="+guid+" restored", "back/app")
	lab.Must(t, "zfs", "mount", "back/app")
	os.Remove("/srv/replica/file")
	lab.Must(t, "zfs", "unmount", "back/app")
	lab.Must(t, "zfs", "snapshot", "back/app@two")
	lab.Must(t, "sh", "-c", "zfs send -p -i @one back/app@two | zfs receive -u "+lab.Name)
	if got := lab.Must(t, "zfs", "get", "-Hp", "-o", "value,source", "stateward:preseed", lab.Name); got != guid+" restored\treceived" {
		t.Fatalf("the marker is %q", got)
	}
	lab.Must(t, "zfs", "mount", lab.Name)
	lab.Ends(t, preseed.Restored, 0, "one of", lab.Plan(t))
	if got := lab.Read(t, lab.App+"/file"); got != "text" {
		t.Error(got)
	}
	// -x leaves it out, and one that is set by -o has the guid of another.
	lab.Fresh(t)
	lab.Must(t, "zfs", "destroy", lab.Name)
	lab.SendTo(t, "text")
	lab.Must(t, "zfs", "set", "stateward:preseed=1 restored", "back/app")
	for _, how := range []string{"-x stateward:preseed", "-o stateward:preseed='1 restored'"} {
		lab.Must(t, "sh", "-c", "zfs send -R back/app@one | zfs receive -u "+how+" -o mountpoint="+lab.App+" "+lab.Name)
		lab.Must(t, "zfs", "mount", lab.Name)
		os.Remove(lab.App + "/file")
		os.RemoveAll(lab.State)
		lab.Ends(t, preseed.Restored, 0, "one of", lab.Plan(t))
		lab.Must(t, "zfs", "destroy", "-r", lab.Name)
		lab.Try("zfs", "destroy", "-r", lab.Was)
	}
}

// D2: what is in use is said with how to find out by whom.
func TestTargetIsBusy(t *testing.T) {
	lab.Fresh(t)
	lab.Cut(t, "a", "text")
	cmd := exec.Command("sleep", "60")
	cmd.Dir = lab.App
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	lab.Ends(t, preseed.Failed, 4, "fuser -vm "+lab.App, lab.Plan(t, func(p *preseed.Plan) { p.Timeout = "3s" }))
	cmd.Process.Kill()
	cmd.Wait()
	lab.Ends(t, preseed.Restored, 0, "", lab.Plan(t))
	lab.Restored(t, "text")
}

// E5, E10: what lies where the dataset will be mounted is seen before anything is restored, and what is restored meanwhile is not lost by files that come into the empty one.
func TestE5HidesAndAbandons(t *testing.T) {
	lab.Fresh(t)
	lab.SendTo(t, "text")
	lab.Must(t, "zfs", "unmount", lab.Name)
	lab.Write(t, lab.App+"/below", "x")
	lab.Ends(t, preseed.Refused, 4, "that the mount would hide", lab.Plan(t, lab.From(lab.Replica)))
	if list, _ := lab.Try("zfs", "list", "-H", "-o", "name", lab.Staged); !strings.Contains(list, "does not exist") {
		t.Errorf("it restored all the same: %s", list)
	}
	os.Remove(lab.App + "/below")
	lab.Must(t, "zfs", "mount", lab.Name)
	killedAfter(t, "zfs", `*"canmount=noauto stateward:preseed-staging=displaced"*`, lab.Plan(t, lab.From(lab.Replica)))
	guid := lab.Must(t, "zfs", "get", "-Hp", "-o", "value", "guid", lab.Staged)
	lab.Try("zfs", "mount", lab.Name)
	lab.Write(t, lab.App+"/mine", "mine")
	before := lab.Guids(t)
	lab.Ends(t, preseed.AlreadySeeded, 0, "seeded before", lab.Plan(t, lab.From(lab.Replica)))
	lab.Kept(t, before)
	if got := lab.Must(t, "zfs", "get", "-Hp", "-o", "value", "guid", lab.Staged+"-left-"+guid); got != guid {
		t.Errorf("what was restored is %s", got)
	}
	if got := lab.Must(t, "zfs", "get", "-H", "-o", "value", "canmount,stateward:preseed-staging", lab.Name); got != "on\n-" {
		t.Errorf("it has %q", got)
	}
	if files, _ := filepath.Glob(lab.State + "/*.journal.json"); len(files) > 0 {
		t.Errorf("journals are left: %q", files)
	}
}
