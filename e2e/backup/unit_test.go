//go:build e2e

package backup_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	policy "github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/notify"
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
	j.Notify = policy.Notify{OnStart: "start", OnSuccess: "success", OnFailure: "critical"}
	j.Limits.Upload = 2000 // what is being written is finished first: a pack has up to 16 MiB
	plan, err := j.Write()
	if err != nil {
		t.Fatal(err)
	}
	write(t, "/srv/plan.json", string(plan))
	told := listen(t)
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
	told("start", "unit on forge: started", "")
	told("critical", "unit on forge: no repository", "4")
	left()
	command(t, "/mnt/bin/stateward", "backup", "init", "--plan", "/srv/plan.json")
	if result := start(); result != "success" || last() != restic.Complete {
		t.Errorf("%s %s\n%s", result, last(), command(t, "journalctl", "-u", unit, "-n", "30", "--no-pager"))
	}
	told("start", "unit on forge: started", "")
	told("success", "unit on forge: complete", "0")
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
	told("critical", "unit on forge: interrupted", "4")
	left()
	// One that is killed writes nothing down, and systemd tells.
	command(t, "systemctl", "reset-failed")
	command(t, "systemctl", "start", "--no-block", unit)
	for i := 0; command(t, "systemctl", "show", "-P", "MainPID", unit) == "0\n"; i++ {
		if i > 600 {
			t.Fatal("it did not start")
		}
		time.Sleep(100 * time.Millisecond)
	}
	command(t, "systemctl", "kill", "--signal=KILL", unit)
	told("critical", "unit on forge: signal", "KILL")

	// A unit that is none of ours, with a name that has to be passed on as it is.
	const other = `a-b@c\x2dd.service`
	write(t, "/etc/systemd/system/a-b@.service", "[Unit]\nOnFailure=stateward-notify-critical@%n.service\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'echo canary; exit 7'\n")
	command(t, "systemctl", "daemon-reload")
	_ = exec.Command("systemctl", "start", other).Run()
	told("critical", `a-b@c\x2dd on forge: exit-code`, "7")
}

// listen has notifications sent to here, and returns what waits for one.
func listen(t *testing.T) (told func(event, title, exit string)) {
	posts := make(chan string, 100)
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		posts <- string(body)
	}))
	t.Cleanup(s.Close)
	write(t, "/srv/url", s.URL+"/canary\n")
	write(t, "/srv/notify.json", `{"protocolVersion":"1","host":"forge","channels":[{"name":"hook","type":"webhook","urlFile":"/srv/url","templates":["start","success","critical"]}]}`)
	command(t, "/mnt/bin/stateward", "notify", "units", "--plan", "/srv/notify.json", "--stateward", "/mnt/bin/stateward", "--write", "/etc/systemd/system")
	return func(event, title, exit string) {
		t.Helper()
		end := time.After(time.Minute)
		for {
			var body string
			select {
			case <-end:
				t.Fatalf("nobody was told %s %q\n%s", event, title, command(t, "journalctl", "-u", "stateward-notify*", "-n", "40", "--no-pager"))
			case body = <-posts:
			}
			var post notify.Post
			if err := json.Unmarshal([]byte(body), &post); err != nil || strings.Contains(body, "canary") {
				t.Fatal(body, err)
			}
			if post.Event != event {
				continue // the unit that tells of the start runs beside the other
			}
			if post.Title != title || post.ExitStatus != exit {
				t.Errorf("told %s, want %s %q, exit status %q", body, event, title, exit)
			}
			return
		}
	}
}
