package dataset_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

func TestCommands(t *testing.T) {
	set := func(property, value string) dataset.Setting {
		s, err := dataset.ParseSetting(property, value, dataset.Filesystem)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	on := dataset.Step{Dataset: dataset.MustName("tank/services/sonarr")}
	at := stateward.MustPath("/var/lib/sonarr")
	mode, err := stateward.ParseMode("0700")
	if err != nil {
		t.Fatal(err)
	}
	const name = "tank/services/sonarr"
	for _, tt := range []struct {
		name string
		op   dataset.Op
		want []string
		text string
	}{
		{"a dataset without properties", &dataset.Create{Step: on}, []string{"zfs", "create", "-u", "--", name}, "create " + name},
		{"D3: a dataset with all its properties", &dataset.Create{Step: on, Settings: []dataset.Setting{set("mountpoint", "/var/lib/sonarr"), set("quota", "0"), set("recordsize", "16384")}},
			[]string{"zfs", "create", "-u", "-o", "mountpoint=/var/lib/sonarr", "-o", "quota=none", "-o", "recordsize=16K", "--", name},
			"create " + name + " with mountpoint=/var/lib/sonarr, quota=none, recordsize=16K"},
		{"a property", &dataset.Set{Step: on, Setting: set("recordsize", "1M")}, []string{"zfs", "set", "--", "recordsize=1M", name}, "set recordsize=1M of " + name},
		{"D3: a mountpoint, which must not be mounted at once", &dataset.Set{Step: on, Setting: set("mountpoint", "/srv/a b")}, []string{"zfs", "set", "-u", "--", "mountpoint=/srv/a b", name},
			"set mountpoint=/srv/a b of " + name},
		{"a share, which would mount it too", &dataset.Set{Step: on, Setting: set("sharenfs", "rw=@10.0.0.0/8")}, []string{"zfs", "set", "-u", "--", "sharenfs=rw=@10.0.0.0/8", name},
			"set sharenfs=rw=@10.0.0.0/8 of " + name},
		{"D6: a value that a shell would run", &dataset.Set{Step: on, Setting: set("org.example:note", "-x '\"`$(reboot)")},
			[]string{"zfs", "set", "--", "org.example:note=-x '\"`$(reboot)", name}, "set org.example:note=-x '\"`$(reboot) of " + name},
		{"an inherited property", &dataset.Inherit{Step: on, Property: "atime"}, []string{"zfs", "inherit", "--", "atime", name}, "inherit atime of " + name},
		{"a mount", &dataset.MountDataset{Step: on, Path: at}, []string{"zfs", "mount", "--", name}, "mount " + name + " at /var/lib/sonarr"},
		{"a directory", &dataset.MakeMountpoint{Step: on, Path: at}, nil, "make the directory /var/lib/sonarr for " + name},
		{"an owner", &dataset.Own{Step: on, Path: at, Owner: stateward.MustOwner("568"), Mode: mode}, nil, "give /var/lib/sonarr, where " + name + " is mounted, owner 568, mode 0700"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, dataset.Command(tt.op)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.text, dataset.Describe(tt.op)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
