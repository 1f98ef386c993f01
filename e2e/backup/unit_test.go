//go:build e2e

package backup_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/backup"
)

// The units run under the real systemd; one that is stopped takes its lock and its snapshot back.
func TestR1R6UnitsUnderSystemd(t *testing.T) {
	if exec.Command("zpool", "list", "tank").Run() != nil {
		command(t, "zpool", "create", "-f", "-m", "none", "tank", "/dev/ubdb")
	}
	command(t, "zfs", "create", "-o", "mountpoint=/srv/unit", "tank/unit")
	write(t, "/srv/unit/file", "x")
	write(t, "/srv/password", "x\n")
	j := job()
	j.Name, j.Paths, j.Exclude, j.Repository = "unit", []string{"/srv/unit"}, nil, "/srv/unitrepository"
	j.Source = []restic.Dataset{{Name: "tank/unit", Mountpoint: "/srv/unit"}}
	j.Limits.Upload = 2000 // what is being written is finished first: a pack has up to 16 MiB
	plan, err := j.Write()
	if err != nil {
		t.Fatal(err)
	}
	write(t, "/srv/plan.json", string(plan))
	service, err := j.Service(restic.UnitOptions{Stateward: "/mnt/bin/stateward", Plan: "/srv/plan.json"})
	if err != nil {
		t.Fatal(err)
	}
	timer, err := j.TimerUnit(restic.Timer{OnCalendar: []string{"daily"}, Persistent: true})
	if err != nil {
		t.Fatal(err)
	}
	write(t, "/etc/systemd/system/stateward-backup-unit.service", service)
	write(t, "/etc/systemd/system/stateward-backup-unit.timer", timer)
	command(t, "systemctl", "daemon-reload")
	command(t, "systemctl", "start", "stateward-backup-unit.timer")
	const unit = "stateward-backup-unit.service"
	start := func() (result string) {
		_ = exec.Command("systemctl", "start", unit).Run()
		out, _ := exec.Command("systemctl", "show", "-P", "Result", unit).Output()
		return strings.TrimSpace(string(out))
	}
	last := func() restic.Outcome {
		t.Helper()
		rec, err := backup.ReadRecord(restic.StateDir, "unit")
		if err != nil || rec == nil {
			t.Fatal(rec, err)
		}
		return rec.LastRun.Outcome
	}
	left := func() {
		t.Helper()
		if got := command(t, "zfs", "list", "-H", "-o", "name", "-t", "snapshot", "-d", "1", "tank/unit"); got != "" {
			t.Errorf("left: %s", got)
		}
		if locks, err := os.ReadDir("/srv/unitrepository/locks"); err == nil && len(locks) != 0 {
			t.Errorf("locks are left: %v", locks)
		}
	}

	if result := start(); result != "exit-code" || last() != restic.NoRepository {
		t.Errorf("%s %s", result, last())
	}
	left()
	command(t, "/mnt/bin/stateward", "backup", "init", "--plan", "/srv/plan.json")
	if result := start(); result != "success" || last() != restic.Complete {
		t.Errorf("%s %s\n%s", result, last(), command(t, "journalctl", "-u", unit, "-n", "30", "--no-pager"))
	}
	left()

	command(t, "dd", "if=/dev/urandom", "of=/srv/unit/large", "bs=1M", "count=60", "status=none")
	command(t, "systemctl", "start", "--no-block", unit)
	for i := 0; ; i++ {
		if locks, _ := os.ReadDir("/srv/unitrepository/locks"); len(locks) > 0 {
			break
		}
		if i > 600 {
			t.Fatal("it did not start")
		}
		time.Sleep(100 * time.Millisecond)
	}
	time.Sleep(time.Second)
	command(t, "systemctl", "stop", unit)
	if last() != restic.Interrupted {
		t.Errorf("%s\n%s", last(), command(t, "journalctl", "-u", unit, "-n", "30", "--no-pager"))
	}
	left()
}
