package aggregate_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// A part is one thing that a host declares. Tests build hosts of parts, so that
// each shows only what it is about.
type part func(*stateward.Host)

func host(parts ...part) *stateward.Host {
	h := &stateward.Host{Name: "forge", Source: ".#forge", Status: stateward.StatusOK, Dialects: []string{"nixos"}}
	for _, p := range parts {
		p(h)
	}
	return h
}

// with is host with the parts of all lists.
func with(base []part, more ...part) *stateward.Host { return host(slices.Concat(base, more)...) }

// push appends to a list of the host.
func push[T any](v *stateward.Value[[]T], items ...T) {
	*v = stateward.Known(slices.Concat(v.Or(nil), items), stateward.Origin{})
}

func at(components ...string) stateward.Origin {
	return stateward.Origin{Option: stateward.OptionPath(components...)}
}

func known[T any](v T) stateward.Value[T] { return stateward.Known(v, stateward.Origin{}) }

func thrown(subject string) stateward.Unknown {
	return stateward.Unknown{Subject: subject, Kind: stateward.UnknownThrow, Message: "it throws"}
}

func unknown[T any](subject string) stateward.Value[T] { return stateward.NotKnown[T](thrown(subject)) }

// owned sets owner, group and mode of an entry; empty texts leave them out.
func owned(path, user, group, mode string) stateward.Entry {
	e := stateward.NewEntry(path, stateward.Directory, stateward.Origin{})
	if user != "" {
		e.User = known(stateward.MustOwner(user))
	}
	if group != "" {
		e.Group = known(stateward.MustOwner(group))
	}
	if mode != "" {
		m, err := stateward.ParseMode(mode)
		if err != nil {
			panic(err)
		}
		e.Mode = known(m)
	}
	return e
}

// asEntry makes an entry of a text or an entry, with an origin of its own.
func asEntry(v any, kind stateward.EntryKind, o stateward.Origin) stateward.Entry {
	e, ok := v.(stateward.Entry)
	if !ok {
		e = stateward.NewEntry(v.(string), kind, stateward.Origin{})
	}
	e.Kind, e.Origin = kind, o
	return e
}

func index(o stateward.Origin, i int) stateward.Origin {
	o.Option = fmt.Sprintf("%s[%d]", o.Option, i)
	return o
}

func mounted(at, device, fsType string, options ...string) stateward.FileSystem {
	o := stateward.Origin{Option: stateward.OptionPath("fileSystems", at)}
	return stateward.FileSystem{
		MountPoint: stateward.NewEntry(at, stateward.Directory, o), Device: known(device), FSType: known(fsType),
		Options: known(options), NeededForBoot: known(true), Origin: o,
	}
}

func fileSystem(at, device, fsType string, options ...string) part {
	return func(h *stateward.Host) { push(&h.FileSystems, mounted(at, device, fsType, options...)) }
}

// changedFS is a file system with something changed.
func changedFS(f stateward.FileSystem, change func(*stateward.FileSystem)) part {
	change(&f)
	return func(h *stateward.Host) { push(&h.FileSystems, f) }
}

func mountUnit(where, what, fsType string, options ...string) part {
	return func(h *stateward.Host) {
		f := mounted(where, what, fsType, options...)
		f.Origin = at("systemd", "mounts")
		push(&h.Mounts, f)
	}
}

func dataset(name, mountPoint string) part {
	return func(h *stateward.Host) {
		push(&h.Datasets, stateward.Dataset{Name: name, MountPoint: known(mountPoint), Origin: at("disko", "devices", name)})
	}
}

// persist adds entries (texts or entries) to the directories of a root.
func persist(root string, entries ...any) part {
	return persistIn(root, stateward.Directory, entries...)
}

func persistFiles(root string, entries ...any) part {
	return persistIn(root, stateward.File, entries...)
}

func persistIn(root string, kind stateward.EntryKind, entries ...any) part {
	return func(h *stateward.Host) {
		roots := slices.Clone(h.Persistence.Or(nil))
		i := slices.IndexFunc(roots, func(r stateward.PersistenceRoot) bool { return r.Name == root })
		if i < 0 {
			i = len(roots)
			roots = append(roots, stateward.PersistenceRoot{
				Name: root, Path: known(stateward.MustPath(root)), Enable: known(true),
				Directories: known([]stateward.Entry(nil)), Files: known([]stateward.Entry(nil)), Origin: at("environment", "persistence", root),
			})
		}
		list, option := &roots[i].Directories, "directories"
		if kind == stateward.File {
			list, option = &roots[i].Files, "files"
		}
		for _, e := range entries {
			push(list, asEntry(e, kind, index(at("environment", "persistence", root, option), len(list.Or(nil)))))
		}
		h.Persistence = known(roots)
	}
}

// ofModule makes a root that is there one of another module.
func ofModule(root string, m stateward.PersistenceModule) part {
	return changeRoot(root, func(r *stateward.PersistenceRoot) {
		r.Module = m
		if m == stateward.HomeManager {
			r.Origin = at("home-manager", "users", "ada", "home", "persistence", root)
			r.Home = known(stateward.MustPath("/home/ada"))
		}
	})
}

// rare is an entry with what few have.
func rare(path string, s stateward.EntrySpecial) stateward.Entry {
	e := owned(path, "", "", "")
	e.Special = &s
	return e
}

// inInitrd is a mount of boot.initrd.systemd.mounts.
func inInitrd(where, what string, options ...string) part {
	return func(h *stateward.Host) {
		f := mounted(where, what, "none", options...)
		f.Origin = at("boot", "initrd", "systemd", "mounts")
		push(&h.Mounts, f)
	}
}

// contract is an enabled service of the contract: the first path is its dataDir,
// the others are its backupPaths.
func contract(name string, paths ...any) stateward.Service {
	o := at("qgroget", "serviceModules", name)
	s := stateward.Service{Name: name, Dialect: "qgroget", Origin: o, Enable: known(true), State: known([]stateward.StatePath(nil))}
	for i, p := range paths {
		if i == 0 {
			e := asEntry(p, stateward.Directory, at("qgroget", "serviceModules", name, "dataDir"))
			s.DataDir = known(e)
			push(&s.State, stateward.StatePath{Entry: e, Source: stateward.SourceDataDir})
			continue
		}
		e := asEntry(p, stateward.Directory, index(at("qgroget", "serviceModules", name, "backupPaths"), i-1))
		push(&s.BackupPaths, e)
		push(&s.State, stateward.StatePath{Entry: e, Source: stateward.SourceBackupPaths})
	}
	return s
}

func service(name string, paths ...any) part { return services(contract(name, paths...)) }

func services(ss ...stateward.Service) part {
	return func(h *stateward.Host) { push(&h.Services, ss...) }
}

// changed is a service with something changed.
func changed(s stateward.Service, change func(*stateward.Service)) part {
	change(&s)
	return services(s)
}

// stateUnit is a systemd unit with a StateDirectory, and the service that the
// stock dialect makes of it.
func stateUnit(name string, dynamic stateward.Value[bool], dirs ...string) part {
	return func(h *stateward.Host) {
		unit := name + ".service"
		o := at("systemd", "services", name, "serviceConfig", "StateDirectory")
		push(&h.Units, stateward.Unit{Name: unit, Enable: known(true), DynamicUser: dynamic, StateDirectory: known(dirs), Origin: at("systemd", "services", name)})
		s := stateward.Service{Name: name, Dialect: "nixos", Origin: at("systemd", "services", name), Enable: known(true), Units: []string{unit},
			DynamicUser: dynamic, State: known([]stateward.StatePath(nil))}
		for _, d := range dirs {
			p, partial, ok := stateward.StateDirectoryPath(unit, d)
			if !ok {
				continue
			}
			e := stateward.NewEntry(p.String(), stateward.Directory, o)
			push(&s.State, stateward.StatePath{Entry: e, Source: stateward.SourceStateDirectory, Pattern: partial})
		}
		push(&h.Services, s)
	}
}

// named gives the last service a directory that its own option names.
func named(option, path string) part {
	return func(h *stateward.Host) {
		ss := h.Services.Or(nil)
		s := &ss[len(ss)-1]
		push(&s.State, stateward.StatePath{Entry: stateward.NewEntry(path, stateward.Directory, at("services", s.Name, option)), Source: stateward.SourceDataDir})
	}
}

// place gives the last service a directory that need not hold all of its state.
func place(option, path string) part {
	return func(h *stateward.Host) {
		ss := h.Services.Or(nil)
		s := &ss[len(ss)-1]
		push(&s.State, stateward.StatePath{Entry: stateward.NewEntry(path, stateward.Directory, at("services", s.Name, option)), Source: stateward.SourcePlace})
	}
}

// source gives the last service a place of some kind.
func source(option string, source stateward.StateSource, path string) part {
	return func(h *stateward.Host) {
		ss := h.Services.Or(nil)
		s := &ss[len(ss)-1]
		push(&s.State, stateward.StatePath{Entry: stateward.NewEntry(path, stateward.Directory, at("services", s.Name, option)), Source: source})
	}
}

// implied is state that only a rule, a user's home or what a unit may write tells of.
func implied(name string, source stateward.StateSource, paths ...string) part {
	return func(h *stateward.Host) {
		s := stateward.Service{Name: name, Dialect: "nixos", Enable: known(true), Origin: at(name)}
		for _, p := range paths {
			push(&s.State, stateward.StatePath{Entry: stateward.NewEntry(p, stateward.Directory, at(name)), Source: source})
		}
		push(&h.Services, s)
	}
}

// runsAs is a unit without a StateDirectory that runs as a user.
func runsAs(name, user, group string) part {
	return func(h *stateward.Host) {
		u := stateward.Unit{Name: name + ".service", User: known(stateward.MustOwner(user)), Origin: at("systemd", "services", name)}
		if group != "" {
			u.Group = known(stateward.MustOwner(group))
		}
		push(&h.Units, u)
	}
}

func systemdInitrd(on bool) part {
	return func(h *stateward.Host) { h.Initrd.Systemd = known(on) }
}

// initrdHook adds a text that the initial ramdisk runs.
func initrdHook(hook, text string) part {
	return func(h *stateward.Host) {
		push(&h.Initrd.Commands, stateward.InitrdCommand{Hook: hook, Text: known(text), Origin: stateward.Origin{Option: "boot.initrd." + hook}})
	}
}

// hiddenHook adds a script of which only the name is known.
func hiddenHook(hook string, kind stateward.UnknownKind) part {
	return func(h *stateward.Host) {
		option := "boot.initrd." + hook
		push(&h.Initrd.Commands, stateward.InitrdCommand{Hook: hook, Origin: stateward.Origin{Option: option},
			Text: stateward.NotKnown[string](stateward.Unknown{Subject: option, Kind: kind, Message: "not shown"})})
	}
}

// idsWritten gives every user and group of the host a written id.
func idsWritten(h *stateward.Host) {
	push(&h.Users, stateward.User{Name: "root", UID: known(0)})
	push(&h.Groups, stateward.Group{Name: "root", GID: known(0)})
}

// identified gives a host a machine-id at every boot, and keeps what systemd knows.
func identified(h *stateward.Host) {
	push(&h.Initrd.KernelParams, "systemd.machine_id=0123456789abcdef0123456789abcdef")
	fileSystem("/var/lib/systemd", "/dev/disk/by-label/systemd", "ext4")(h)
}

// wiped is a host whose root is a tmpfs and that has a persistence root of its
// own: sound as long as nothing is added.
var wiped = []part{
	fileSystem("/", "none", "tmpfs", "mode=755"),
	fileSystem("/nix", "/dev/disk/by-label/nix", "ext4"),
	fileSystem("/persist", "/dev/disk/by-label/persist", "ext4"),
	persist("/persist", "/var/lib/nixos"),
	systemdInitrd(false),
	idsWritten,
	identified,
}

// kept is a host whose root is an ordinary disk.
var kept = []part{
	fileSystem("/", "/dev/disk/by-label/root", "ext4"),
	systemdInitrd(false),
	idsWritten,
}

// on replaces the file system of "/" of a base.
func on(root part, base ...part) []part {
	return slices.Concat([]part{func(h *stateward.Host) { h.FileSystems = stateward.Value[[]stateward.FileSystem]{} }, root,
		fileSystem("/nix", "/dev/disk/by-label/nix", "ext4"),
		fileSystem("/persist", "/dev/disk/by-label/persist", "ext4"),
		persist("/persist", "/var/lib/nixos"), systemdInitrd(false), idsWritten, identified}, base)
}

// lines joins texts as a script.
func lines(l ...string) string { return strings.Join(l, "\n") + "\n" }
