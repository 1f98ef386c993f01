package dataset_test

import (
	"testing"

	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/zfssim"
)

// What lies in a dataset shows once it is mounted: what is to be mounted in it is made then, and not before (P8).
func TestDatasetsAreMadeOnceTheirPlaceShows(t *testing.T) {
	m := machine{zfssim.New("tank"), t}
	m.create("tank/z", "mountpoint=/srv")
	m.mount("tank/z")
	if err := m.Write("/srv/a/file"); err != nil {
		t.Fatal(err)
	}
	m.Unmount(dataset.MustName("tank/z"))
	m.create("tank/moved", "mountpoint=none")
	list := []string{"set tank/moved quota=1G", "mount tank/z /srv", "create tank/a mountpoint=/srv/a", "mkdir /srv/a", "mount tank/a /srv/a",
		"create tank/a/b mountpoint=/srv/b", "mkdir /srv/b", "mount tank/a/b /srv/b", "set tank/moved mountpoint=/srv/m", "mkdir /srv/m", "mount tank/moved /srv/m"}
	wants := planned(t, m, nil, want(t, "tank/z", "mountpoint=/srv"), want(t, "tank/a", "mountpoint=/srv/a"), want(t, "tank/a/b", "mountpoint=/srv/b"),
		want(t, "tank/moved", "mountpoint=/srv/m", "quota=1G"))
	equalTexts(t, wants, list...)
}

// What inherits the mountpoint of a pool has it by default, and moves as well.
func TestMountedBelowADefaultMountpoint(t *testing.T) {
	m := machine{zfssim.New("tank"), t}
	m.create("tank/a")
	m.create("tank/a/x")
	m.mount("tank/a/x")
	equalTexts(t, planned(t, m, nil, want(t, "tank/a", "mountpoint=/srv/p")),
		"conflict tank/a: dataset is mounted elsewhere: is mounted at /tank/a/x, and mountpoint cannot change beneath what uses it [tank/a]")
}
