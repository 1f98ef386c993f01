//go:build e2e

package backup_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stateward/stateward/backup/restic"
)

// A unit stands still while restic reads, with what depends on it, and runs again afterwards: also where the run is killed.
func TestR9UnitsStandStillUnderSystemd(t *testing.T) {
	write(t, "/srv/quiet/file", "x")
	write(t, "/srv/password", "x\n")
	write(t, "/etc/systemd/system/quiet-db.service", "[Service]\nExecStart=/bin/sleep infinity\n")
	write(t, "/etc/systemd/system/quiet-web.service", "[Unit]\nRequires=quiet-db.service\nAfter=quiet-db.service\n[Service]\nExecStart=/bin/sleep infinity\n")
	state := func(unit string) string {
		out, _ := exec.Command("systemctl", "is-active", unit).Output()
		return strings.TrimSpace(string(out))
	}
	j := job()
	j.Name, j.Paths, j.Exclude, j.Repository, j.Source = "quiet", []string{"/srv/quiet"}, nil, "/srv/quietrepository", nil
	j.StopUnits = []string{"quiet-db.service"}
	j.PreHook = "echo begun >/srv/begun"
	j.PostHook = "systemctl is-active quiet-db.service quiet-web.service >/srv/after; echo $STATEWARD_OUTCOME >>/srv/after"
	j.Dump = &restic.Dump{Command: "systemctl is-active quiet-db.service quiet-web.service >/srv/quiet/dump || :\n[[ ! -e /srv/wait ]] || sleep 300", Directory: "/srv/quiet"}
	plan, err := j.Write()
	if err != nil {
		t.Fatal(err)
	}
	write(t, "/srv/quiet.json", string(plan))
	service, err := j.Service(restic.UnitOptions{Stateward: "/mnt/bin/stateward", Plan: "/srv/quiet.json"})
	if err != nil {
		t.Fatal(err)
	}
	write(t, "/etc/systemd/system/stateward-backup-quiet.service", service)
	command(t, "systemctl", "daemon-reload")
	command(t, "systemctl", "start", "quiet-web.service")
	command(t, "/mnt/bin/stateward", "backup", "init", "--plan", "/srv/quiet.json")
	const unit = "stateward-backup-quiet.service"

	command(t, "systemctl", "start", unit)
	for name, want := range map[string]string{"/srv/quiet/dump": "inactive\ninactive\n", "/srv/after": "active\nactive\ncomplete\n", "/srv/begun": "begun\n"} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s holds %q, want %q (%v)", name, got, want, err)
		}
	}

	write(t, "/srv/wait", "")
	command(t, "systemctl", "start", "--no-block", unit)
	for deadline := time.Now().Add(time.Minute); state("quiet-web.service") != "inactive"; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was stopped")
		}
	}
	command(t, "systemctl", "kill", "--signal=SIGKILL", unit)
	for deadline := time.Now().Add(time.Minute); state("quiet-web.service") != "active" || state("quiet-db.service") != "active"; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			out, _ := exec.Command("journalctl", "-u", unit, "-n", "30", "--no-pager").CombinedOutput()
			t.Fatalf("what a killed run stopped does not run: %s", out)
		}
	}
	if _, err := os.Stat("/var/lib/stateward/backup/quiet.units.json"); err == nil {
		t.Error("the journal is left")
	}
}
