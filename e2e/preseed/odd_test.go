//go:build e2e

package preseed_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	lab "github.com/stateward/stateward/e2e/preseedlab"
	"github.com/stateward/stateward/preseed"
)

// E4: the folder on which a dataset below is mounted is no file of the service: what is empty but for that is empty.
func TestE4FolderOfAChild(t *testing.T) {
	lab.Fresh(t)
	lab.Cut(t, "a", "text")
	lab.Must(t, "zfs", "create", lab.Name+"/child")
	lab.Must(t, "zfs", "snapshot", lab.Name+"@b")
	// The newest snapshot holds nothing else either.
	lab.Ends(t, preseed.Refused, 4, "lies below it", lab.Plan(t))
	lab.Must(t, "zfs", "destroy", lab.Name+"@b")
	lab.Ends(t, preseed.Refused, 4, lab.App+"/child is mounted below it", lab.Plan(t, func(p *preseed.Plan) { p.Timeout = "3s" }))
	lab.Must(t, "zfs", "unmount", lab.Name+"/child")
	lab.Ends(t, preseed.Restored, 0, "snapshot a", lab.Plan(t))
	lab.Restored(t, "text")
	// What is in it counts.
	lab.Must(t, "zfs", "rollback", lab.Name+"@a")
	lab.Must(t, "zfs", "inherit", "stateward:preseed", lab.Name)
	os.Remove(lab.App + "/file")
	lab.Write(t, lab.App+"/child/file", "new")
	lab.Ends(t, preseed.AlreadySeeded, 0, "child/file", lab.Plan(t))
}

// A dataset that was received, and is read-only still, is not exchanged for one that its service could not write to.
func TestReadOnlyDataset(t *testing.T) {
	lab.Fresh(t)
	lab.Job(t, "text")
	lab.Must(t, "zfs", "set", "readonly=on", lab.Name)
	before := lab.Guids(t)
	lab.Ends(t, preseed.Refused, 4, "readonly=on", lab.Plan(t, lab.From(lab.Backup), func(p *preseed.Plan) { p.Owner = "root" }), "--backup-state-dir", "/srv/backup-state")
	lab.Kept(t, before)
}

// A hold keeps what was not taken, and nothing else.
func TestHeldSnapshot(t *testing.T) {
	lab.Fresh(t)
	lab.SendTo(t, "text")
	check := func(p *preseed.Plan) {
		p.Command = []string{"/bin/sh", "-c", "zfs hold keep " + lab.Staged + "@one; exit 1"}
	}
	lab.Ends(t, preseed.Refused, 4, "does not take it", lab.Plan(t, lab.From(lab.Replica), check))
	lab.Ends(t, preseed.Restored, 0, "", lab.Plan(t, lab.From(lab.Replica)))
	lab.Restored(t, "text")
	for _, line := range strings.Fields(lab.Must(t, "zfs", "list", "-H", "-o", "name", "-t", "snapshot", "-r", "tank/stateward-staging")) {
		lab.Must(t, "zfs", "release", "keep", line)
	}
}

// A name for which there is no room beside is said before anything is restored.
func TestLongNames(t *testing.T) {
	lab.Fresh(t)
	lab.Cut(t, strings.Repeat("a", 235), "text")
	lab.Must(t, "zfs", "snapshot", lab.Name+"@b")
	before := lab.Guids(t)
	lab.Ends(t, preseed.Refused, 4, "too long", lab.Plan(t))
	lab.Kept(t, before)
	if got := lab.Must(t, "zfs", "get", "-H", "-o", "value", "canmount", lab.Name); got != "on" {
		t.Errorf("canmount=%s", got)
	}
}

// E3: a marker that came with `send -p`, and is local since, is of another dataset.
func TestE3ReceivedMarker(t *testing.T) {
	lab.Fresh(t)
	lab.SendTo(t, "text")
	guid := lab.Must(t, "zfs", "get", "-Hp", "-o", "value", "guid", "back/app")
	lab.Must(t, "zfs", "set", "stateward:preseed="+guid+" restored", "back/app")
	lab.Must(t, "zfs", "destroy", lab.Name)
	lab.Must(t, "sh", "-c", "zfs send -p back/app@one | zfs receive -u -o mountpoint="+lab.App+" "+lab.Name)
	lab.Must(t, "zfs", "set", "stateward:preseed="+guid+" restored", lab.Name)
	lab.Must(t, "zfs", "mount", lab.Name)
	os.Remove(lab.App + "/file")
	lab.Ends(t, preseed.Restored, 0, "", lab.Plan(t))
	if got := lab.Read(t, lab.App+"/file"); got != "text" {
		t.Error(got)
	}
}

// A service that a timer starts while the datasets are exchanged sees none of them: what was restored is not mounted over what it writes.
func TestStartedWhileExchanged(t *testing.T) {
	lab.Fresh(t)
	lab.Cut(t, "a", "text")
	lab.Must(t, "zfs", "snapshot", lab.Name+"@b")
	before := lab.Guids(t)
	real, err := exec.LookPath("zfs")
	if err != nil {
		t.Fatal(err)
	}
	lab.Write(t, "/srv/wrap/zfs", "#!/bin/sh\ncase \"$*\" in \"rename -u -- "+lab.Staged+" \"*) systemctl start app.service ;; esac\nexec "+real+" \"$@\"\n")
	lab.Must(t, "chmod", "755", "/srv/wrap/zfs")
	lab.Ends(t, preseed.Refused, 4, "runs already", lab.Plan(t, func(p *preseed.Plan) { p.Timeout = "12s" }))
	if out, _ := lab.Try("findmnt", "-no", "SOURCE", lab.App); out != "" {
		t.Errorf("%s is mounted over what the service writes", out)
	}
	lab.Must(t, "systemctl", "stop", "app.service")
	lab.Ends(t, preseed.Restored, 0, "", lab.Plan(t))
	lab.Restored(t, "text")
	lab.Kept(t, before)
}

// E7: a replica with one small file and no snapshot has something; one with nothing has nothing.
func TestE7SmallReplica(t *testing.T) {
	lab.Fresh(t)
	lab.SendTo(t, "text")
	lab.Must(t, "zfs", "destroy", "back/app@one")
	empty := func(p *preseed.Plan) { p.OnNoBackup = preseed.StartEmpty }
	lab.Ends(t, preseed.Refused, 4, "has no snapshot, and has files or folders in it, 1 of them", lab.Plan(t, lab.From(lab.Replica), empty))
	lab.Must(t, "zfs", "destroy", "back/app")
	lab.Must(t, "zfs", "create", "-u", "back/app")
	lab.Ends(t, preseed.ConfirmedNoBackup, 0, "starts empty", lab.Plan(t, lab.From(lab.Replica), empty))
}

// E12: that a service starts empty is told by the next run, where the one that let it was killed before it could.
func TestE12StartsEmptyUntold(t *testing.T) {
	lab.Fresh(t)
	empty := func(p *preseed.Plan) { p.OnNoBackup = preseed.StartEmpty }
	real, err := exec.LookPath("zfs")
	if err != nil {
		t.Fatal(err)
	}
	lab.Write(t, "/srv/wrap/zfs", "#!/bin/sh\n"+real+" \"$@\" || exit\ncase \"$*\" in *confirmed-no-backup*) kill -9 $(cat /srv/pid) ;; esac\n")
	lab.Must(t, "chmod", "755", "/srv/wrap/zfs")
	if _, out, code := lab.Run(t, "run", lab.Plan(t, empty)); code != -1 {
		t.Fatalf("it was not killed: %d\n%s", code, out)
	}
	os.Remove("/srv/wrap/zfs")
	lab.Ends(t, preseed.ConfirmedNoBackup, 0, "starts empty", lab.Plan(t, empty))
	lab.Ends(t, preseed.AlreadySeeded, 0, "seeded before", lab.Plan(t, empty))
	if got := lab.Must(t, "zfs", "get", "-H", "-o", "value", "stateward:preseed-staging", lab.Name); got != "-" {
		t.Errorf("it is marked %s", got)
	}
}
