package backup_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

// A file that a persistence root shows lies in the root, be it a link there or a mount of its own.
func TestLayoutFollowsPersistedFiles(t *testing.T) {
	file := func(p string) stateward.Entry { return stateward.NewEntry(p, stateward.File, stateward.Origin{}) }
	mount := func(at, device, kind string) stateward.FileSystem {
		return stateward.FileSystem{MountPoint: stateward.NewEntry(at, stateward.Directory, stateward.Origin{}), Device: known(device, ""), FSType: known(kind, "")}
	}
	host := func(change func(*stateward.PersistenceRoot)) *stateward.Host {
		root := stateward.PersistenceRoot{Name: "/persist", Enable: known(true, ""), Path: known(stateward.MustPath("/persist"), ""),
			Directories: entries("", "/var/lib/app"), Files: known([]stateward.Entry{file("/etc/machine-id"), file("/etc/key"), file("relative"), file("/var/lib/app/one")}, "")}
		change(&root)
		return &stateward.Host{
			FileSystems: known([]stateward.FileSystem{mount("/", "tmpfs", "tmpfs"), mount("/persist", "tank/persist", "zfs"), mount("/etc/key", "tank/key", "zfs")}, ""),
			Persistence: known([]stateward.PersistenceRoot{root}, ""),
		}
	}
	for _, tc := range []struct {
		name, path, want string
		change           func(*stateward.PersistenceRoot)
	}{
		{"a file", "/etc/machine-id", "/persist/etc/machine-id on tank/persist by [/persist]", func(*stateward.PersistenceRoot) {}},
		{"a file in a directory that is persisted, too", "/var/lib/app/one", "/persist/var/lib/app/one on tank/persist by [/persist]", func(*stateward.PersistenceRoot) {}},
		{"beside a file", "/etc/hosts", "/etc/hosts on tmpfs by []", func(*stateward.PersistenceRoot) {}},
		{"below the name of a file", "/etc/machine-id/x", "/etc/machine-id/x on tmpfs by []", func(*stateward.PersistenceRoot) {}},
		{"a file with a file system of its own", "/etc/key", "/etc/key on tank/key by [/etc/key]", func(*stateward.PersistenceRoot) {}},
		{"a root that is off", "/etc/machine-id", "/etc/machine-id on tmpfs by []", func(r *stateward.PersistenceRoot) { r.Enable = known(false, "") }},
		{"a file of a root that nobody knows", "/etc/machine-id", "/etc/machine-id on  by []x: boom", func(r *stateward.PersistenceRoot) {
			r.Path = stateward.NotKnown[stateward.AbsPath](stateward.Unknown{Subject: "x", Kind: stateward.UnknownThrow, Message: "boom"})
		}},
		{"a directory of a root that nobody knows", "/var/lib/app/two", "/var/lib/app/two on  by [/var/lib/app]x: boom", func(r *stateward.PersistenceRoot) {
			r.Path = stateward.NotKnown[stateward.AbsPath](stateward.Unknown{Subject: "x", Kind: stateward.UnknownThrow, Message: "boom"})
		}},
		{"a file of a root that may be off", "/etc/machine-id", "/etc/machine-id on  by []x: boom", func(r *stateward.PersistenceRoot) {
			r.Enable = stateward.NotKnown[bool](stateward.Unknown{Subject: "x", Kind: stateward.UnknownThrow, Message: "boom"})
		}},
		{"a directory of a root that may be off", "/var/lib/app/two", "/var/lib/app/two on  by [/var/lib/app]x: boom", func(r *stateward.PersistenceRoot) {
			r.Enable = stateward.NotKnown[bool](stateward.Unknown{Subject: "x", Kind: stateward.UnknownThrow, Message: "boom"})
		}},
		{"Preservation", "/etc/machine-id", "/persist/etc/machine-id on tank/persist by [/persist]", func(r *stateward.PersistenceRoot) { r.Module = stateward.Preservation }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := backup.NewLayout(host(tc.change)).Of(stateward.MustPath(tc.path))
			got := l.Path.String() + " on " + l.Dataset + l.Other + " by ["
			for _, m := range l.Mounts {
				got += m.String()
			}
			if diff := cmp.Diff(tc.want, got+"]"+l.Unknown); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// What is not read may be mounted anywhere below what is: only a place that is known to have a mount of its own is known.
func TestLayoutDoubtsWhatIsNotRead(t *testing.T) {
	mount := func(at, device string) stateward.FileSystem {
		return stateward.FileSystem{MountPoint: stateward.NewEntry(at, stateward.Directory, stateward.Origin{}), Device: known(device, ""), FSType: known("zfs", "")}
	}
	boom := stateward.Unknown{Subject: "x", Kind: stateward.UnknownThrow, Message: "boom"}
	for name, change := range map[string]func(h *stateward.Host){
		"persistence": func(h *stateward.Host) { h.Persistence = stateward.NotKnown[[]stateward.PersistenceRoot](boom) },
		"mounts":      func(h *stateward.Host) { h.Mounts = stateward.NotKnown[[]stateward.FileSystem](boom) },
		"datasets":    func(h *stateward.Host) { h.Datasets = stateward.NotKnown[[]stateward.Dataset](boom) },
		"directories of a root": func(h *stateward.Host) {
			h.Persistence.Or(nil)[0].Directories = stateward.NotKnown[[]stateward.Entry](boom)
		},
		"files of a root":       func(h *stateward.Host) { h.Persistence.Or(nil)[0].Files = stateward.NotKnown[[]stateward.Entry](boom) },
		"the device":            func(h *stateward.Host) { h.FileSystems.Or(nil)[0].Device = stateward.NotKnown[string](boom) },
		"whether it is there":   func(h *stateward.Host) { h.FileSystems.Or(nil)[0].Enable = stateward.NotKnown[bool](boom) },
		"whether it is mounted": func(h *stateward.Host) { h.Datasets.Or(nil)[0].CanMount = stateward.NotKnown[string](boom) },
		"where it is mounted":   func(h *stateward.Host) { h.Datasets.Or(nil)[0].MountPoint = stateward.NotKnown[string](boom) },
	} {
		t.Run(name, func(t *testing.T) {
			root := stateward.PersistenceRoot{Name: "/persist", Enable: known(true, ""), Path: known(stateward.MustPath("/persist"), "")}
			h := &stateward.Host{
				FileSystems: known([]stateward.FileSystem{mount("/", "tank/root"), mount("/srv", "tank/srv")}, ""),
				Datasets:    known([]stateward.Dataset{{Name: "tank/lib", MountPoint: known("/var/lib", "")}}, ""),
				Persistence: known([]stateward.PersistenceRoot{root}, ""),
			}
			change(h)
			p := backup.NewLayout(h)
			where := "/var/lib"
			if name != "whether it is mounted" {
				where = "/home/one"
			}
			if l := p.Of(stateward.MustPath(where)); l.Unknown == "" {
				t.Errorf("%s lies on %s, and nobody knows", where, l.Dataset)
			}
			if l := p.Of(stateward.MustPath("/srv")); l.Dataset != "tank/srv" {
				t.Errorf("%+v", l)
			}
		})
	}
}
