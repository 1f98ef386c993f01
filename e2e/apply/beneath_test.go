//go:build e2e

package apply_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A dataset that is mounted beneath the mountpoint of one that is not mounted is hidden as soon as that is.
func TestP5NothingIsMountedBeneathWhatIsNotMounted(t *testing.T) {
	for _, tt := range []struct {
		name          string
		unmount, back []string
	}{
		{"unmounted", []string{"zfs unmount tank/outer"}, []string{"zfs mount tank/outer"}},
		{"key not loaded", []string{"zfs unmount tank/outer", "zfs unload-key tank/outer"}, []string{"zfs mount -l tank/outer"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			fresh(t)
			command(t, "zfs", "create", "-o", "mountpoint=/srv/outer", "-o", "encryption=on", "-o", "keyformat=passphrase", "-o", "keylocation=file:///run/keys/passphrase", "tank/outer")
			run := func(lines []string) {
				for _, line := range lines {
					words := strings.Fields(line)
					command(t, words[0], words[1:]...)
				}
			}
			run(tt.unmount)
			a := applyHost(t, 1, "beneath")
			if a.Outcome != "conflicts" || len(a.Conflicts) != 1 || !strings.Contains(a.Conflicts[0].Message, "/srv/outer, where tank/outer belongs and is not mounted") {
				t.Fatalf("%+v", a)
			}
			if a := applyHost(t, 1, "beneath", "--partial"); len(a.steps()) > 0 {
				t.Fatalf("did %q", a.steps())
			}
			if err := exec.Command("zfs", "list", "tank/inner").Run(); err == nil {
				t.Fatal("tank/inner was made")
			}
			if lines, _ := drift(t, "beneath"); len(lines) != 1 {
				t.Fatalf("differs: %q", lines)
			}
			run(tt.back)
			if a := applyHost(t, 0, "beneath"); a.Outcome != "applied" {
				t.Fatalf("%+v", a)
			}
			if err := os.WriteFile("/srv/outer/inner/file", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			run([]string{"zfs unmount tank/inner"})
			command(t, "zfs", "mount", "-a")
			if _, err := os.Stat("/srv/outer/inner/file"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// What lies beneath a mount is said: it may be the only copy.
func TestN17DriftLooksBeneathMounts(t *testing.T) {
	fresh(t)
	applyHost(t, 0, "one")
	if status, out, errs := statewardCommand(nil, "dataset", "drift", "testdata/hosts.json", "--host", "one", "-q"); status != 0 {
		t.Fatalf("status %d\n%s%s", status, out, errs)
	}
	command(t, "zfs", "unmount", "tank/services/sonarr")
	if err := os.WriteFile("/srv/sonarr/only-copy", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "zfs", "mount", "-O", "tank/services/sonarr")
	status, out, errs := statewardCommand(nil, "dataset", "drift", "testdata/hosts.json", "--host", "one", "-q")
	if status != 1 || !strings.Contains(out, "something lies beneath /srv/sonarr") {
		t.Fatalf("status %d\n%s%s", status, out, errs)
	}
	status, out, errs = statewardCommand(nil, "dataset", "apply", "testdata/hosts.json", "--host", "one", "-q")
	if status != 0 || !strings.Contains(out, "something lies beneath /srv/sonarr") {
		t.Fatalf("status %d\n%s%s", status, out, errs)
	}
}

// Nothing is done on a machine that is not the host's.
func TestU5TheMachineOfAnotherHostIsLeftAlone(t *testing.T) {
	fresh(t)
	cmd := exec.Command("stateward", "dataset", "apply", "testdata/hosts.json", "--host", "one", "-q")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), "give --other-host") {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := exec.Command("zfs", "list", "tank/services").Run(); err == nil {
		t.Fatal("tank/services was made")
	}
}
