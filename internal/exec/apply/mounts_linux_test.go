package apply_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward/internal/exec/apply"
)

func TestMountsAreFound(t *testing.T) {
	const info = "22 1 98:0 / / rw,relatime shared:1 - ext4 /dev/root rw\n" +
		`41 22 0:35 / /srv/a\040b\134c rw,relatime - zfs tank/a\040b rw,xattr` + "\n" +
		"42 22 0:35 /sub /srv/sub rw shared:2 master:1 - zfs tank/a rw\n43 22 0:36 short\n"
	for id, want := range map[int]string{22: "98:0 / / ext4 /dev/root", 41: `0:35 / /srv/a b\c zfs tank/a b`, 42: "0:35 /sub /srv/sub zfs tank/a", 43: "", 4: ""} {
		if diff := cmp.Diff(want, apply.FindMount(info, id)); diff != "" {
			t.Errorf("%d (-want +got):\n%s", id, diff)
		}
	}
}
