//go:build e2e

// Package sanoid_test has the real sanoid and syncoid do on the real ZFS what we wrote for them: run it with scripts/e2e.
package sanoid_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stateward/stateward/backup"
)

func command(t *testing.T, words ...string) string {
	t.Helper()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(os.Environ(), "TZ=UTC", "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return strings.TrimSuffix(string(out), "\n")
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// same compares two lists that have an order.
func same(t *testing.T, what string, want, got []string) {
	t.Helper()
	if slices.Equal(want, got) {
		return
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("%s: missing %s", what, w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			t.Errorf("%s: also %s", what, g)
		}
	}
}

func pools(t *testing.T) {
	t.Helper()
	if exec.Command("zpool", "list", "tank").Run() == nil {
		return
	}
	command(t, "zpool", "create", "-f", "-m", "none", "tank", "/dev/ubdb")
	command(t, "zpool", "create", "-f", "-m", "none", "-O", "canmount=off", "vault", "/dev/ubdc")
	command(t, "hostname", "forge")
	for file, line := range map[string]string{"/etc/passwd": "syncoid:x:1500:1500::/nonexistent:/usr/sbin/nologin\n", "/etc/group": "syncoid:x:1500:\n"} {
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteString(line); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

// setClock sets the clock of the machine: when a snapshot was created only its kernel says.
func setClock(t *testing.T, at time.Time) {
	t.Helper()
	tv := syscall.NsecToTimeval(at.UnixNano())
	if err := syscall.Settimeofday(&tv); err != nil {
		t.Fatal(err)
	}
}

// snapshots are those of datasets with their times of creation.
func snapshots(t *testing.T, dataset string) []backup.Snapshot {
	t.Helper()
	var out []backup.Snapshot
	for _, l := range lines(command(t, "zfs", "list", "-Hp", "-t", "snapshot", "-o", "name,creation", "-r", dataset)) {
		var s backup.Snapshot
		var at int64
		if _, err := fmt.Sscanf(l, "%s %d", &s.ID, &at); err != nil {
			t.Fatal(l, err)
		}
		s.Time = time.Unix(at, 0)
		out = append(out, s)
	}
	return out
}

func names(list []backup.Snapshot) []string {
	var out []string
	for _, s := range list {
		out = append(out, s.ID)
	}
	slices.Sort(out)
	return out
}
