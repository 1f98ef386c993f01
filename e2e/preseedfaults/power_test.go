//go:build e2e

package preseed_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	lab "github.com/stateward/stateward/e2e/preseedlab"
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
		for _, dir := range []string{lab.App, "/run/stateward/preseed/app/at"} {
			if strings.Contains(lab.Read(t, "/proc/self/mounts"), " "+dir+" ") {
				lab.Try("umount", dir)
			}
		}
		if what == "stop" {
			lab.Must(t, "zpool", "export", "-f", "tank")
			return
		}
		lab.Must(t, "zpool", "import", "-f", "-N", "-d", machine, "-o", "cachefile=none", "tank")
	}
	lab.Fresh(t)
	lab.Must(t, "zpool", "destroy", "-f", "tank")
	t.Cleanup(func() {
		lab.Try("zpool", "destroy", "-f", "tank")
		lab.Try("zfs", "destroy", "-R", "-f", "back/machine")
		lab.Must(t, "zpool", "create", "-f", "-O", "mountpoint=none", "tank", "/dev/ubdb")
	})
	for _, tc := range []struct {
		name   string
		make   func(t *testing.T)
		source preseed.Source
		at     string
		least  int
	}{
		{"rollback", func(t *testing.T) { lab.Cut(t, "a", "text") }, lab.Local, `zfs\ set | zfs\ rollback | zfs\ inherit`, 5},
		{"clone", func(t *testing.T) { lab.Cut(t, "a", "text"); lab.Must(t, "zfs", "snapshot", lab.Name+"@b") }, lab.Local, `zfs\ clone | zfs\ rename | zfs\ promote | zfs\ set | umount*`, 9},
		{"replica", func(t *testing.T) { lab.SendTo(t, "text") }, lab.Replica, `zfs\ receive | zfs\ rename`, 4},
		{"restic", func(t *testing.T) { lab.Job(t, "text") }, lab.Backup, `restic\ restore | zfs\ create | zfs\ rename`, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			lab.Must(t, "zfs", "create", "-o", "mountpoint="+machine, "-o", "compression=lz4", "back/machine")
			lab.Must(t, "truncate", "-s", "128M", disk)
			lab.Must(t, "zpool", "create", "-f", "-O", "mountpoint=none", "-o", "cachefile=none", "tank", disk)
			lab.Must(t, "zfs", "create", "-o", "mountpoint="+lab.App, "-o", "recordsize=16K", "-o", "mine:note=kept", lab.Name)
			defer func() {
				lab.Try("umount", lab.App)
				lab.Must(t, "zpool", "destroy", "-f", "tank")
				lab.Must(t, "zfs", "destroy", "-R", "-f", "back/machine")
				lab.Try("zfs", "destroy", "-R", "-f", "back/app")
			}()
			tc.make(t)
			os.MkdirAll(machine+"/state", 0o700)
			os.RemoveAll(lab.State)
			if err := os.Symlink(machine+"/state", lab.State); err != nil {
				t.Fatal(err)
			}
			defer os.Remove(lab.State)
			before := map[string]string{}
			for guid, n := range lab.Guids(t) {
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
				text := `#!/bin/sh
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
				lab.Write(t, "/srv/wrap/"+program, strings.NewReplacer("AT", tc.at, "NAME", program, "REAL", real, "ZFS", zfs).Replace(text))
				os.Chmod("/srv/wrap/"+program, 0o755)
				wrapped = append(wrapped, "/srv/wrap/"+program)
			}
			os.Remove("/srv/points")
			lab.Ends(t, preseed.Restored, 0, "", lab.Plan(t, lab.From(tc.source)))
			for _, w := range wrapped {
				os.Remove(w)
			}
			lab.Restored(t, "text")
			points := strings.Split(lab.Must(t, "zfs", "list", "-Hp", "-o", "name,written", "-s", "createtxg", "-t", "snapshot", "-d", "1", "back/machine"), "\n")
			alike := 0
			zpool("stop")
			// Latest first: a machine is started by a plain rollback of its own.
			for i := len(points) - 1; i >= 0; i-- {
				point, written, _ := strings.Cut(points[i], "\t")
				if written == "0" && i > 0 {
					alike++ // disk and journal are, to the byte, as at the point before
					continue
				}
				lab.Must(t, "zfs", "rollback", "-r", point)
				os.RemoveAll("/run/stateward")
				zpool("start")
				if canmount := lab.Must(t, "zfs", "get", "-H", "-o", "name,value", "canmount"); strings.Contains(canmount, lab.Name+"\ton") {
					lab.Try("zfs", "mount", lab.Name) // as a boot does
				}
				if _, out, status := lab.Run(t, "run", lab.Plan(t, lab.From(tc.source))); status != 0 {
					t.Fatalf("%s: status %d\n%s", point, status, out)
				}
				lab.Restored(t, "text")
				lab.Kept(t, before)
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
