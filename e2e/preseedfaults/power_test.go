//go:build e2e

package preseed_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stateward/stateward/preseed"
)

// The power is cut at every step: what a machine comes up with then is its disk and its journal as they were at a moment, and nothing that was in memory only.
// Here both lie in one file system of another pool, the disk as the file that is the pool's only device: its snapshot is all that was written to either up to
// that moment, at once, and what the pool had not written to its disk is not in it, nor any mount, lock or process. The file of the journal is as it was
// renamed into place; that one may be gone too is TestE10KilledAndTheRootIsWiped. One run goes through, and has a snapshot taken at each step; then a
// machine is started from each of them, and the run begun again.
func TestE10PowerCutAnywhere(t *testing.T) {
	const machine, disk = "/srv/machine", "/srv/machine/disk"
	zpool := func(what string) {
		t.Helper()
		for _, dir := range []string{app, "/run/stateward/preseed/app/at"} {
			if strings.Contains(read(t, "/proc/self/mounts"), " "+dir+" ") {
				try("umount", dir)
			}
		}
		if what == "stop" {
			must(t, "zpool", "export", "-f", "tank")
			return
		}
		must(t, "zpool", "import", "-f", "-N", "-d", machine, "-o", "cachefile=none", "tank")
	}
	fresh(t)
	must(t, "zpool", "destroy", "-f", "tank")
	t.Cleanup(func() {
		try("zpool", "destroy", "-f", "tank")
		try("zfs", "destroy", "-R", "-f", "back/machine")
		must(t, "zpool", "create", "-f", "-O", "mountpoint=none", "tank", "/dev/ubdb")
	})
	for _, tc := range []struct {
		name   string
		make   func(t *testing.T)
		source preseed.Source
		at     string
		least  int
	}{
		{"rollback", func(t *testing.T) { cut(t, "a", "text") }, local, `zfs\ set | zfs\ rollback | zfs\ inherit`, 5},
		{"clone", func(t *testing.T) { cut(t, "a", "text"); must(t, "zfs", "snapshot", name+"@b") }, local, `zfs\ clone | zfs\ rename | zfs\ promote | zfs\ set | umount*`, 9},
		{"replica", func(t *testing.T) { sendTo(t, "text") }, replica, `zfs\ receive | zfs\ rename`, 4},
		{"restic", func(t *testing.T) { job(t, "text") }, backup, `restic\ restore | zfs\ create | zfs\ rename`, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			must(t, "zfs", "create", "-o", "mountpoint="+machine, "-o", "compression=lz4", "back/machine")
			must(t, "truncate", "-s", "128M", disk)
			must(t, "zpool", "create", "-f", "-O", "mountpoint=none", "-o", "cachefile=none", "tank", disk)
			must(t, "zfs", "create", "-o", "mountpoint="+app, "-o", "recordsize=16K", "-o", "mine:note=kept", name)
			defer func() {
				try("umount", app)
				must(t, "zpool", "destroy", "-f", "tank")
				must(t, "zfs", "destroy", "-R", "-f", "back/machine")
				try("zfs", "destroy", "-R", "-f", "back/app")
			}()
			tc.make(t)
			os.MkdirAll(machine+"/state", 0o700)
			os.RemoveAll(state)
			if err := os.Symlink(machine+"/state", state); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(state)
			before := map[string]string{}
			for guid, n := range guids(t) {
				if strings.HasPrefix(n, "tank/") {
					before[guid] = n
				}
			}
			var wrapped []string
			for _, program := range []string{"zfs", "umount", "restic"} {
				real, err := exec.LookPath(program)
				if err != nil {
					t.Fatal(err)
				}
				text := `#!/bin/bash
case "NAME $1" in
  AT) ;;
  *) exec REAL "$@" ;;
esac
n=$(($(cat /srv/points 2>/dev/null || echo 0) + 1))
echo $n >/srv/points
ZFS snapshot back/machine@before-$n
REAL "$@"
status=$?
ZFS snapshot back/machine@after-$n
exit $status
`
				zfs, _ := exec.LookPath("zfs")
				write(t, "/srv/wrap/"+program, strings.NewReplacer("AT", tc.at, "NAME", program, "REAL", real, "ZFS", zfs).Replace(text))
				os.Chmod("/srv/wrap/"+program, 0o755)
				wrapped = append(wrapped, "/srv/wrap/"+program)
			}
			os.Remove("/srv/points")
			ends(t, preseed.Restored, 0, "", plan(t, from(tc.source)))
			for _, w := range wrapped {
				os.Remove(w)
			}
			restored(t, "text")
			points := strings.Split(must(t, "zfs", "list", "-Hp", "-o", "name,written", "-s", "createtxg", "-t", "snapshot", "-d", "1", "back/machine"), "\n")
			alike := 0
			zpool("stop")
			// Latest first: a machine is started by a plain rollback of its own.
			for i := len(points) - 1; i >= 0; i-- {
				point, written, _ := strings.Cut(points[i], "\t")
				if written == "0" && i > 0 {
					alike++ // disk and journal are, to the byte, as at the point before
					continue
				}
				must(t, "zfs", "rollback", "-r", point)
				os.RemoveAll("/run/stateward")
				zpool("start")
				if canmount := must(t, "zfs", "get", "-H", "-o", "name,value", "canmount"); strings.Contains(canmount, name+"\ton") {
					try("zfs", "mount", name) // as a boot does
				}
				if _, out, status := run(t, "run", plan(t, from(tc.source))); status != 0 {
					t.Fatalf("%s: status %d\n%s", point, status, out)
				}
				restored(t, "text")
				kept(t, before)
				if told, _ := filepath.Glob(machine + "/state/app/2*.json"); len(told) == 0 {
					t.Error("nobody was told")
				}
				if t.Failed() {
					t.Fatalf("the power was cut at %s", point)
				}
				zpool("stop")
			}
			zpool("start")
			if len(points) < 2*tc.least-4 {
				t.Errorf("it was cut at %d points only", len(points))
			}
			t.Logf("cut %d times, %d more would have been alike", len(points)-alike, alike)
		})
	}
}
