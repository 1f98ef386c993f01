//go:build e2e

package preseed_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	plans "github.com/stateward/stateward/backup"
	lab "github.com/stateward/stateward/e2e/preseedlab"
	"github.com/stateward/stateward/preseed"
)

// E9, E12: under systemd a service whose preseed fails stays down, and a phone hears of it by OnFailure=, with why and what to do, and with no secret; once it is mended, the service starts on its
// data, and the phone hears of that.
func TestE12PhoneHears(t *testing.T) {
	lab.Fresh(t)
	type message struct{ Topic, Title, Message, told string }
	heard := make(chan message, 20)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		m := message{told: r.URL.String() + string(text)}
		json.Unmarshal(text, &m)
		if got := r.Header.Get("Authorization"); got != "Bearer TOKEN-CANARY" {
			t.Errorf("it was sent with %q", got)
		}
		// As ntfy answers.
		io.WriteString(w, `{"id":"hwQ2YpKdmg","time":1795392000,"event":"message","topic":"homelab"}`)
		heard <- m
	}))
	defer s.Close()
	hears := func(title string, says ...string) {
		t.Helper()
		select {
		case m := <-heard:
			for _, want := range says {
				if !strings.Contains(m.Message, want) {
					t.Errorf("it says %q, and not %q", m.Message, want)
				}
			}
			if m.Topic != "homelab" || m.Title != title || strings.Contains(m.told, "CANARY") {
				t.Errorf("it heard %s, want %q", m.told, title)
			}
		case <-time.After(30 * time.Second):
			t.Fatalf("it hears nothing\n%s", lab.Must(t, "journalctl", "-q", "--no-pager", "-n", "40"))
		}
	}
	lab.Write(t, "/srv/token", "TOKEN-CANARY\n")
	lab.Write(t, "/srv/notify.json", `{"protocolVersion":"1","host":"forge","channels":[{"name":"phone","type":"ntfy","server":"`+s.URL+`","topic":"homelab","tokenFile":"/srv/token"}]}`)
	lab.Must(t, "/mnt/bin/stateward", "notify", "units", "--plan", "/srv/notify.json", "--stateward", "/mnt/bin/stateward", "--write", "/etc/systemd/system")
	lab.Job(t, "text")
	tells := func(p *preseed.Plan) {
		p.Timeout, p.Notify = "3s", plans.Notify{OnFailure: "critical", OnSuccess: "success"}
	}
	lab.Plan(t, lab.From(lab.Backup), tells)
	lab.Must(t, "/mnt/bin/stateward", "preseed", "units", "/srv/plan.json", "--stateward", "/mnt/bin/stateward", "--path", "/usr/sbin,/usr/bin,/sbin,/bin", "--write", "/etc/systemd/system")
	lab.Write(t, "/etc/systemd/system/app.service.d/check.conf", "[Service]\nExecStartPre=/bin/cp "+lab.App+"/file /srv/seen\n")
	os.RemoveAll(preseed.StateDir)
	os.Remove("/srv/seen")
	lab.Must(t, "systemctl", "daemon-reload")
	unit := lab.Document().UnitName()
	defer func() {
		lab.Try("systemctl", "stop", "app.service", unit)
		os.Remove("/etc/systemd/system/" + unit)
		os.RemoveAll("/etc/systemd/system/app.service.d")
		lab.Try("systemctl", "daemon-reload")
		lab.Try("systemctl", "reset-failed")
	}()
	if got := lab.Must(t, "systemctl", "show", "-P", "TimeoutStartUSec", unit); got != "infinity" {
		t.Errorf("systemd ends it after %s", got)
	}

	lab.Write(t, lab.Passwords, "ANOTHER-CANARY\n")
	if out, err := lab.Try("systemctl", "start", "app.service"); err == nil {
		t.Errorf("it started: %s", out)
	}
	hears("preseed of app on forge: unreachable", "app stays down", "wrong password")
	if got, _ := lab.Try("systemctl", "is-active", "app.service"); got != "inactive" {
		t.Errorf("the service is %s", got)
	}
	if _, err := os.Stat("/srv/seen"); err == nil {
		t.Error("the service started")
	}

	sent := func(template string) {
		t.Helper()
		at := plans.NotifyUnit(template, unit)
		for i := 0; ; i++ {
			got := lab.Must(t, "systemctl", "show", "-P", "ActiveState", at)
			if got == "inactive" {
				return
			}
			if got == "failed" || i > 300 {
				t.Fatalf("%s is %s", at, got)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	sent("critical")

	lab.Write(t, lab.Passwords, "SECRET-CANARY\n")
	lab.Must(t, "systemctl", "start", "app.service")
	hears("preseed of app on forge: restored", "from restic")
	sent("success")
	if got := lab.Read(t, "/srv/seen"); got != "text" {
		t.Errorf("it started on %q", got)
	}
	if out := lab.Must(t, "journalctl", "-q", "--no-pager", "-b"); strings.Contains(out, "CANARY") {
		t.Error("a secret is in the journal")
	}
	for _, file := range []string{preseed.StateDir + "/app/newest.json", "/etc/systemd/system/" + unit} {
		if strings.Contains(lab.Read(t, file), "CANARY") {
			t.Errorf("a secret is in %s", file)
		}
	}
}
