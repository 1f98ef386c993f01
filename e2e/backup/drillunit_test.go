//go:build e2e

package backup_test

import (
	"os"
	"os/exec"
	"testing"

	policy "github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/drill"
	"github.com/stateward/stateward/backup/restic"
)

// R13: the unit of a drill, to which nearly all is read-only, does a drill under the real systemd, with a repository on the machine itself. Its timer is one
// that systemd takes.
func TestR13DrillUnitUnderSystemd(t *testing.T) {
	j := job()
	j.Name, j.Paths, j.Exclude, j.Repository, j.Source, j.Retention = "drilled", []string{"/srv/drilled"}, nil, "/srv/drilledrepository", nil, restic.Retention{}
	j.Drill = &policy.Drill{Every: "30d"}
	write(t, "/srv/drilled/a b", "x")
	write(t, "/srv/password", "x\n")
	plan, err := j.Write()
	if err != nil {
		t.Fatal(err)
	}
	write(t, "/srv/drilled.json", string(plan))
	service, timer, err := j.DrillUnits(restic.UnitOptions{Stateward: "/mnt/bin/stateward", Plan: "/srv/drilled.json"}, "")
	if err != nil {
		t.Fatal(err)
	}
	const unit = "stateward-drill-drilled"
	write(t, "/etc/systemd/system/"+unit+".service", service)
	write(t, "/etc/systemd/system/"+unit+".timer", timer)
	command(t, "systemctl", "daemon-reload")
	if err := exec.Command("systemctl", "start", unit+".service").Run(); err == nil {
		t.Error("a drill without a repository succeeded")
	}
	command(t, "/mnt/bin/stateward", "backup", "init", "--plan", "/srv/drilled.json")
	command(t, "/mnt/bin/stateward", "backup", "run", "--plan", "/srv/drilled.json")
	if out, err := exec.Command("systemctl", "start", unit+".service").CombinedOutput(); err != nil {
		t.Fatalf("%v %s\n%s", err, out, command(t, "journalctl", "-u", unit, "-n", "30", "--no-pager"))
	}
	text, err := os.ReadFile("/var/lib/stateward/drill/drilled/" + drill.Newest)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := drill.Read(text)
	if err != nil || rec.Verdict != drill.Passed || rec.Restored.Files != 1 {
		t.Errorf("%v: %s", err, text)
	}
	if left, _ := os.ReadDir("/srv/drilledrepository/locks"); len(left) > 0 {
		t.Errorf("locks are left: %v", left)
	}
	// Not due: nothing is done again.
	command(t, "systemctl", "start", unit+".service", unit+".timer")
	again, err := os.ReadFile("/var/lib/stateward/drill/drilled/" + drill.Newest)
	if err != nil || string(again) != string(text) {
		t.Errorf("%v: %s", err, again)
	}
}
