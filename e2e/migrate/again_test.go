//go:build e2e

package migrate_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func journal(t *testing.T) string {
	t.Helper()
	found, _ := filepath.Glob("/var/lib/.stateward-migration-*")
	if len(found) != 1 {
		t.Fatalf("journals: %q", found)
	}
	return found[0]
}

// drop adds to a unit until the test ends.
func drop(t *testing.T, unit, text string) {
	t.Helper()
	file := "/run/systemd/system/" + unit + ".d/test.conf"
	write(t, file, text, 0o644)
	must(t, "systemctl", "daemon-reload")
	t.Cleanup(func() {
		os.Remove(file)
		try("systemctl", "daemon-reload")
	})
}

// What a service wrote to the dataset is neither in the old data nor in the copy that the next run makes of that: it must not go.
func TestBackAndAgainLosesNothing(t *testing.T) {
	fresh(t)
	want := tree(t, app)
	s := plan(t, "plain", "--no-backup", "a test")
	succeeds(t, s, "run")
	write(t, app+"/later", "of a week", 0o600)
	if out := succeeds(t, s, "back"); !strings.Contains(out, "with all that was written to it") {
		t.Errorf("back says %s", out)
	}
	unmigrated(t, want)
	out := succeeds(t, s, "run")
	migrated(t, want)
	kept := must(t, "zfs", "list", "-H", "-t", "snapshot", "-o", "name")
	if strings.Contains(kept, "\n") || !strings.HasPrefix(kept, "tank/services/app@") || !strings.Contains(out, "is kept as "+kept) {
		t.Fatalf("there are snapshots %q, and run says %s", kept, out)
	}
	read := func() {
		t.Helper()
		os.Mkdir("/srv/look", 0o700)
		must(t, "mount", "-t", "zfs", kept, "/srv/look")
		got, err := os.ReadFile("/srv/look/later")
		must(t, "umount", "/srv/look")
		if string(got) != "of a week" {
			t.Fatalf("what was written is %q, %v", got, err)
		}
	}
	read()
	if list := succeeds(t, s, "release"); !strings.Contains(list, "release '"+kept+"'") {
		t.Errorf("release says %s", list)
	}

	// The machine came up with the dataset between the swap's first command and the renaming, and the service used it.
	succeeds(t, s, "back")
	restore := instead(t, "mv", "[ \"$1\" != -nT ] || kill -KILL 0\nexec REAL \"$@\"")
	_, err := script("/srv/wrap", s, "run")
	restore()
	if err == nil {
		t.Fatal("the renaming was not met")
	}
	boot(t)
	write(t, app+"/after the power cut", "x", 0o600)
	succeeds(t, s, "back")
	unmigrated(t, want)
	if out := succeeds(t, s, "run"); !strings.Contains(out, "is kept as tank/services/app@") {
		t.Errorf("run says %s", out)
	}
	migrated(t, want)
	if list := must(t, "zfs", "list", "-H", "-t", "snapshot", "-o", "name"); strings.Count(list, "\n") != 2 {
		t.Errorf("there were three uses that ended, and snapshots %q", list)
	}
	read()
	succeeds(t, s, "release", kept)
	if _, err := try("zfs", "list", kept); err == nil {
		t.Error("the snapshot that was named is still there")
	}
	migrated(t, want)
}

// Without its journal a script does not know that it is done. It must not take the dataset away from the service that uses it.
func TestJournalIsLost(t *testing.T) {
	fresh(t)
	want := tree(t, app)
	s := plan(t, "plain", "--no-backup", "a test")
	succeeds(t, s, "run")
	must(t, "rm", "-r", journal(t))
	refused(t, "mounted at "+app+" already", s, "run")
	migrated(t, want)
	if out := succeeds(t, s, "back"); !strings.Contains(out, "nothing is done") {
		t.Errorf("back says %s", out)
	}
	migrated(t, want)
	// Nor is a journal believed that somebody else could write to.
	must(t, "chown", "daemon", journal(t))
	refused(t, "belongs to somebody else", s, "run")
	migrated(t, want)
}

// systemd stops what requires a unit along with it, and starts none of it again.
func TestWhatRequiresTheServiceRunsAgain(t *testing.T) {
	fresh(t)
	want := tree(t, app)
	const front, far = "/run/systemd/system/front.service", "/run/systemd/system/far.service"
	write(t, front, "[Unit]\nRequires=app.service\nAfter=app.service\n[Service]\nExecStart=/bin/sleep infinity\n", 0o644)
	write(t, far, "[Unit]\nBindsTo=front.service\nAfter=front.service\n[Service]\nExecStart=/bin/sleep infinity\n", 0o644)
	must(t, "systemctl", "daemon-reload")
	must(t, "systemctl", "start", "far.service")
	defer func() {
		try("systemctl", "stop", "front.service", "far.service")
		os.Remove(front)
		os.Remove(far)
		try("systemctl", "daemon-reload")
	}()
	s := plan(t, "plain", "--no-backup", "a test")
	for _, verb := range []string{"run", "back"} {
		succeeds(t, s, verb)
		if out, _ := try("systemctl", "is-active", "front.service", "far.service"); out != "active\nactive" {
			t.Errorf("after %s front.service and far.service are %q", verb, out)
		}
	}
	unmigrated(t, want)
}

// One that ran, and has ended once it was started again, is well.
func TestOneshotEnds(t *testing.T) {
	fresh(t)
	must(t, "systemctl", "stop", "reader.service")
	drop(t, "reader.service", "[Service]\nType=oneshot\nExecStart=\nExecStart=/bin/sleep 1\n")
	must(t, "systemctl", "start", "--no-block", "reader.service")
	s := plan(t, "plain", "--no-backup", "a test")
	drop(t, "reader.service", "[Service]\nType=oneshot\nExecStart=\nExecStart=/bin/sleep 60\n")
	must(t, "systemctl", "restart", "--no-block", "reader.service")
	drop(t, "reader.service", "[Service]\nType=oneshot\nExecStart=\nExecStart=/bin/sleep 1\n")
	succeeds(t, s, "run")
}

// A service may run and not work: its health check says so. Once it works, the next run goes on.
func TestHealthCheck(t *testing.T) {
	fresh(t)
	want := tree(t, app)
	s := plan(t, "healthy", "--no-backup", "a test")
	out, err := script("/srv/wrap", s, "run")
	if err == nil || !strings.Contains(out, "the health check of app failed 2 times in a row, the last time with status 1") || strings.Contains(out, "SECRET") {
		t.Fatalf("%v\n%s", err, out)
	}
	write(t, "/srv/it works", "", 0o600)
	succeeds(t, s, "run")
	migrated(t, want)
}

// On a machine that does not have the units, nothing can be stopped.
func TestAnotherMachine(t *testing.T) {
	fresh(t)
	want := tree(t, app)
	s := plan(t, "plain", "--no-backup", "a test")
	must(t, "systemctl", "stop", "app.timer", "app.service", "reader.service")
	units := []string{"app.service", "reader.service"}
	for _, u := range units {
		must(t, "mv", "/etc/systemd/system/"+u, "/srv/"+u)
	}
	must(t, "systemctl", "daemon-reload")
	defer func() {
		for _, u := range units {
			must(t, "mv", "/srv/"+u, "/etc/systemd/system/"+u)
		}
		must(t, "systemctl", "daemon-reload")
	}()
	refused(t, "has none of app.service", s, "run")
	equal(t, "the data", want, tree(t, app))
	if _, err := try("zfs", "list", "tank/services/app"); err == nil {
		t.Error("the dataset was made")
	}
}

// R1, R7: what ends with success, and leaves files out.
func TestBackupsThatAreNotWhole(t *testing.T) {
	fresh(t)
	want := tree(t, app)
	t.Setenv("RESTIC_REPOSITORY", "/srv/repository")
	t.Setenv("RESTIC_PASSWORD_FILE", "/srv/password")
	repository(t)
	s := plan(t, "kept")
	write(t, "/srv/wrap/restic", "#!/bin/sh\n[ \"$1\" != backup ] || { shift; set -- backup --exclude config.xml \"$@\"; }\nexec /usr/bin/restic \"$@\"\n", 0o755)
	refused(t, "not all is in it", s, "run")
	os.Remove("/srv/wrap/restic")
	unmigrated(t, want)

	must(t, "systemctl", "start", "restic-backups-apps.timer") // what nothing refers to, systemd forgets the status of
	defer try("systemctl", "stop", "restic-backups-apps.timer")
	drop(t, "restic-backups-apps.service", "[Service]\nSuccessExitStatus=3\nExecStart=\nExecStart=/bin/sh -c '/usr/bin/restic backup -q "+app+"; exit 3'\nExecStart=/bin/true\n")
	refused(t, "ended with status 3", s, "run")
	drop(t, "restic-backups-apps.service", "")
	succeeds(t, s, "run")
	migrated(t, want)
}
