package aggregate_test

import (
	"testing"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// Whatever the initial ramdisk runs, it is read without a panic, and a root that
// a hook wipes is never called kept because of more text behind it.
func FuzzInitrdCommands(f *testing.F) {
	for _, s := range []string{
		"", "zfs rollback -r rpool/local/root@blank", "btrfs subvolume snapshot /mnt/root-blank /mnt/root", "mkfs.ext4 /dev/vda1",
		"if [ -e /x ]; then", "cat <<EOF\n", "$(", "'", "for d in a b; do zfs rollback $d; done", "zfs", "btrfs subvolume", "a=1 b",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h := with(on(fileSystem("/", "rpool/local/root", "zfs")), initrdHook("postDeviceCommands", "zfs rollback -r rpool/local/root@blank"), initrdHook("postMountCommands", text))
		r := aggregate.Lint(aggregate.Input{Host: h})
		if r.Root.Wiped == stateward.SurvivalNo {
			t.Errorf("root is kept: %s", r.Root.By)
		}
	})
}
