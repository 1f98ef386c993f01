package preseed

import (
	"strings"
	"testing"

	"github.com/stateward/stateward/backup"
)

// E12: a run that fails, is killed or is never started is told of, as the plan says.
func TestE12UnitTells(t *testing.T) {
	p := Plan{ProtocolVersion: "1", Name: "app", Service: "app", Units: []string{"app.service"}, Dataset: "tank/app", Mountpoint: "/srv/app", Sources: []Source{{Kind: Local}}, OnNoBackup: Refuse,
		Notify: backup.Notify{OnSuccess: "success", OnFailure: "critical"}}
	text, err := p.Unit(UnitOptions{Stateward: "/s", Plan: "/p", OnFailure: []string{"page.service"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "OnFailure=stateward-notify-critical@%n.service\nOnFailure=page.service\n"; !strings.Contains(text, want) || strings.Contains(text, "OnSuccess") {
		t.Errorf("the unit has no %q:\n%s", want, text)
	}
	for _, bad := range []backup.Notify{{OnFailure: "no name"}, {OnStart: "start"}} {
		p.Notify = bad
		if err := p.Validate(); err == nil || !strings.Contains(err.Error(), "notify") {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// A text in a configuration is one for bash, wherever that is.
func TestCommand(t *testing.T) {
	for _, tc := range []struct {
		program string
		ok      bool
	}{{"bash", true}, {"/bin/sh", true}, {"./check", false}, {"", false}, {"a b", false}, {"bin/check", false}, {"..", false}} {
		p := Plan{ProtocolVersion: "1", Name: "app", Service: "app", Units: []string{"app.service"}, Dataset: "tank/app", Mountpoint: "/srv/app", Sources: []Source{{Kind: Local}}, OnNoBackup: Refuse,
			Command: []string{tc.program, "-c", "test -s $1/x", "bash"}}
		if err := p.Validate(); (err == nil) != tc.ok {
			t.Errorf("%q: %v", tc.program, err)
		}
	}
}
