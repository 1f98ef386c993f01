//go:build e2e

package preseed_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stateward/stateward/preseed"
)

// E4: the folder on which a dataset below is mounted is no file of the service: what is empty but for that is empty.
func TestE4FolderOfAChild(t *testing.T) {
	fresh(t)
	cut(t, "a", "text")
	must(t, "zfs", "create", name+"/child")
	must(t, "zfs", "snapshot", name+"@b")
	// The newest snapshot holds nothing else either.
	ends(t, preseed.Refused, 4, "lies below it", plan(t))
	must(t, "zfs", "destroy", name+"@b")
	ends(t, preseed.Refused, 4, app+"/child is mounted below it", plan(t, func(p *preseed.Plan) { p.Timeout = "3s" }))
	must(t, "zfs", "unmount", name+"/child")
	ends(t, preseed.Restored, 0, "snapshot a", plan(t))
	restored(t, "text")
	// What is in it counts.
	must(t, "zfs", "rollback", name+"@a")
	must(t, "zfs", "inherit", "stateward:preseed", name)
	os.Remove(app + "/file")
	write(t, app+"/child/file", "new")
	ends(t, preseed.AlreadySeeded, 0, "child/file", plan(t))
}

// A dataset that was received, and is read-only still, is not exchanged for one that its service could not write to.
func TestReadOnlyDataset(t *testing.T) {
	fresh(t)
	job(t, "text")
	must(t, "zfs", "set", "readonly=on", name)
	before := guids(t)
	ends(t, preseed.Refused, 4, "readonly=on", plan(t, from(backup), func(p *preseed.Plan) { p.Owner = "root" }), "--backup-state-dir", "/srv/backup-state")
	kept(t, before)
}

// A hold keeps what was not taken, and nothing else.
func TestHeldSnapshot(t *testing.T) {
	fresh(t)
	sendTo(t, "text")
	check := func(p *preseed.Plan) {
		p.Command = []string{"/bin/sh", "-c", "zfs hold keep " + staged + "@one; exit 1"}
	}
	ends(t, preseed.Refused, 4, "does not take it", plan(t, from(replica), check))
	ends(t, preseed.Restored, 0, "", plan(t, from(replica)))
	restored(t, "text")
	for _, line := range strings.Fields(must(t, "zfs", "list", "-H", "-o", "name", "-t", "snapshot", "-r", "tank/stateward-staging")) {
		must(t, "zfs", "release", "keep", line)
	}
}

// A name for which there is no room beside is said before anything is restored.
func TestLongNames(t *testing.T) {
	fresh(t)
	cut(t, strings.Repeat("a", 235), "text")
	must(t, "zfs", "snapshot", name+"@b")
	before := guids(t)
	ends(t, preseed.Refused, 4, "too long", plan(t))
	kept(t, before)
	if got := must(t, "zfs", "get", "-H", "-o", "value", "canmount", name); got != "on" {
		t.Errorf("canmount=%s", got)
	}
}

// E3: a marker that came with `send -p`, and is local since, is of another dataset.
func TestE3ReceivedMarker(t *testing.T) {
	fresh(t)
	sendTo(t, "text")
	guid := must(t, "zfs", "get", "-Hp", "-o", "value", "guid", "back/app")
	must(t, "zfs", "set", "stateward:preseed="+guid+" restored", "back/app")
	must(t, "zfs", "destroy", name)
	must(t, "sh", "-c", "zfs send -p back/app@one | zfs receive -u -o mountpoint="+app+" "+name)
	must(t, "zfs", "set", "stateward:preseed="+guid+" restored", name)
	must(t, "zfs", "mount", name)
	os.Remove(app + "/file")
	ends(t, preseed.Restored, 0, "", plan(t))
	if got := read(t, app+"/file"); got != "text" {
		t.Error(got)
	}
}

// A service that a timer starts while the datasets are exchanged sees none of them: what was restored is not mounted over what it writes.
func TestStartedWhileExchanged(t *testing.T) {
	fresh(t)
	cut(t, "a", "text")
	must(t, "zfs", "snapshot", name+"@b")
	before := guids(t)
	real, err := exec.LookPath("zfs")
	if err != nil {
		t.Fatal(err)
	}
	write(t, "/srv/wrap/zfs", "#!/bin/sh\ncase \"$*\" in \"rename -u -- "+staged+" \"*) systemctl start app.service ;; esac\nexec "+real+" \"$@\"\n")
	must(t, "chmod", "755", "/srv/wrap/zfs")
	ends(t, preseed.Refused, 4, "runs already", plan(t, func(p *preseed.Plan) { p.Timeout = "12s" }))
	if out, _ := try("findmnt", "-no", "SOURCE", app); out != "" {
		t.Errorf("%s is mounted over what the service writes", out)
	}
	must(t, "systemctl", "stop", "app.service")
	ends(t, preseed.Restored, 0, "", plan(t))
	restored(t, "text")
	kept(t, before)
}

// E7: a replica with one small file and no snapshot has something; one with nothing has nothing.
func TestE7SmallReplica(t *testing.T) {
	fresh(t)
	sendTo(t, "text")
	must(t, "zfs", "destroy", "back/app@one")
	empty := func(p *preseed.Plan) { p.OnNoBackup = preseed.StartEmpty }
	ends(t, preseed.Refused, 4, "has no snapshot, and has files or folders in it, 1 of them", plan(t, from(replica), empty))
	must(t, "zfs", "destroy", "back/app")
	must(t, "zfs", "create", "-u", "back/app")
	ends(t, preseed.ConfirmedNoBackup, 0, "starts empty", plan(t, from(replica), empty))
}

// E12: that a service starts empty is told by the next run, where the one that let it was killed before it could.
func TestE12StartsEmptyUntold(t *testing.T) {
	fresh(t)
	empty := func(p *preseed.Plan) { p.OnNoBackup = preseed.StartEmpty }
	real, err := exec.LookPath("zfs")
	if err != nil {
		t.Fatal(err)
	}
	write(t, "/srv/wrap/zfs", "#!/bin/sh\n"+real+" \"$@\" || exit\ncase \"$*\" in *confirmed-no-backup*) kill -9 $(cat /srv/pid) ;; esac\n")
	must(t, "chmod", "755", "/srv/wrap/zfs")
	if _, out, code := run(t, "run", plan(t, empty)); code != -1 {
		t.Fatalf("it was not killed: %d\n%s", code, out)
	}
	os.Remove("/srv/wrap/zfs")
	ends(t, preseed.ConfirmedNoBackup, 0, "starts empty", plan(t, empty))
	ends(t, preseed.AlreadySeeded, 0, "seeded before", plan(t, empty))
	if got := must(t, "zfs", "get", "-H", "-o", "value", "stateward:preseed-staging", name); got != "-" {
		t.Errorf("it is marked %s", got)
	}
}
