//go:build e2e

package backup_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/backup"
)

// A disk that is full while it is written to costs that run, and nothing that was there before.
func TestR1FullDisk(t *testing.T) {
	if err := os.MkdirAll("/srv/full", 0o755); err != nil {
		t.Fatal(err)
	}
	command(t, "mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", "/srv/full")
	defer command(t, "umount", "/srv/full")
	write(t, "/srv/password", "x\n")
	write(t, "/srv/grows/file", strings.Repeat("x", 1000))
	j := restic.Job{ProtocolVersion: "1", Name: "full", Repository: "/srv/full/repository", PasswordFile: "/srv/password", Host: "forge", Paths: []string{"/srv/grows"}, CheckSubset: "100%"}
	o := options()
	if _, err := backup.Init(t.Context(), j, o); err != nil {
		t.Fatal(err)
	}
	first, err := backup.Run(t.Context(), j, o)
	if err != nil {
		t.Fatal(err)
	}
	command(t, "dd", "if=/dev/urandom", "of=/srv/grows/large", "bs=1M", "count=12", "status=none")
	r, err := backup.Run(t.Context(), j, o)
	if err == nil || r.Outcome != restic.Failed || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("%s: %v", r.Outcome, err)
	}
	if r.LastGood == nil || r.LastGood.Snapshot != first.Snapshot || len(r.Steps) != 1 {
		t.Errorf("%+v", r)
	}
	command(t, "mount", "-o", "remount,size=64m", "/srv/full")
	r, err = backup.Run(t.Context(), j, o)
	if err != nil || r.Outcome != restic.Complete {
		t.Errorf("%s: %v", r.Outcome, err)
	}
	if locks, _ := os.ReadDir("/srv/full/repository/locks"); len(locks) != 0 {
		t.Errorf("locks are left: %v", locks)
	}
}
