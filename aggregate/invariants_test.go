package aggregate_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// Paths are drawn from few names, so that they meet, nest and repeat.
var somePath = rapid.OneOf(
	rapid.StringMatching(`(/[ab]){1,3}`),
	rapid.StringMatching(`/var/lib(/private)?(/[ab]){0,2}`),
	rapid.StringMatching(`/(persist|cold)(/[ab]){0,2}`),
	rapid.SampledFrom([]string{"/", "/var/lib/nixos", "/run/a", "/tmp/a", "/a//b/", "/a/", "", "rel", "/a/../b", "/nix/store/x"}),
)

// maybe draws a value that is sometimes absent and sometimes unknown.
func maybe[T any](t *rapid.T, label string, o stateward.Origin, gen *rapid.Generator[T]) stateward.Value[T] {
	switch rapid.IntRange(0, 9).Draw(t, label+" state") {
	case 0:
		return stateward.NotKnown[T](stateward.Unknown{Subject: o.Option, Kind: stateward.UnknownThrow, Message: label})
	case 1:
		return stateward.Absent[T](o)
	default:
		return stateward.Known(gen.Draw(t, label), o)
	}
}

func drawEntry(t *rapid.T, label string, kind stateward.EntryKind, o stateward.Origin) stateward.Entry {
	e := stateward.NewEntry(somePath.Draw(t, label), kind, o)
	if rapid.IntRange(0, 19).Draw(t, label+" zero") == 0 {
		e = stateward.Entry{Kind: kind, Origin: o} // as nothing but a hand can make it
	}
	if rapid.IntRange(0, 3).Draw(t, label+" owned") == 0 {
		owner := rapid.Map(rapid.SampledFrom([]string{"a", "b", "absent"}), stateward.MustOwner)
		mode := rapid.Map(rapid.SampledFrom([]uint16{0o700, 0o755}), func(bits uint16) stateward.Mode {
			m, _ := stateward.NewMode(bits)
			return m
		})
		e.User, e.Group, e.Mode = maybe(t, label+" user", o, owner), maybe(t, label+" group", o, owner), maybe(t, label+" mode", o, mode)
	}
	if rapid.IntRange(0, 9).Draw(t, label+" stored") == 0 {
		e.Special = &stateward.EntrySpecial{Storage: maybe(t, label+" storage", o, rapid.Map(rapid.SampledFrom([]string{"/persist", "/cold", "/a", "/a/b", ""}), pathOrZero))}
	}
	return e
}

func pathOrZero(s string) stateward.AbsPath {
	p, _ := stateward.ParsePath(s)
	return p
}

func drawEntries(t *rapid.T, label string, kind stateward.EntryKind, o stateward.Origin, most int) []stateward.Entry {
	var es []stateward.Entry
	for i := range rapid.IntRange(0, most).Draw(t, label+" count") {
		es = append(es, drawEntry(t, fmt.Sprintf("%s %d", label, i), kind, index(o, i)))
	}
	return es
}

func drawRoot(t *rapid.T, name string) stateward.PersistenceRoot {
	o := at("environment", "persistence", name)
	r := stateward.PersistenceRoot{
		Name: name, Origin: o, Enable: known(true),
		Path:        maybe(t, name+" path", o, rapid.Just(stateward.MustPath(name))),
		Directories: known(drawEntries(t, name+" directories", stateward.Directory, at("environment", "persistence", name, "directories"), 5)),
		Files:       known(drawEntries(t, name+" files", stateward.File, at("environment", "persistence", name, "files"), 2)),
	}
	switch rapid.IntRange(0, 9).Draw(t, name+" oddity") {
	case 3:
		r.Path = known(stateward.AbsPath{})
	case 0:
		r.Enable = known(false)
	case 1:
		r.Enable = unknown[bool](name + ".enable")
	case 2:
		r.Seen, r.Directories = r.Directories.Or(nil), unknown[[]stateward.Entry](name+".directories")
	}
	return r
}

func drawFileSystem(t *rapid.T, i int) stateward.FileSystem {
	label := fmt.Sprintf("fs %d", i)
	where := rapid.OneOf(rapid.SampledFrom([]string{"/", "/", "/persist", "/persist/", "/cold", "/var/lib", "/nix"}), somePath).Draw(t, label+" at")
	o := index(at("fileSystems", where), i)
	f := stateward.FileSystem{
		MountPoint:    stateward.NewEntry(where, stateward.Directory, o),
		Device:        maybe(t, label+" device", o, rapid.OneOf(rapid.SampledFrom([]string{"none", "/dev/a", "/dev/zram0", "rpool/root"}), somePath)),
		FSType:        maybe(t, label+" type", o, rapid.SampledFrom([]string{"tmpfs", "ext4", "zfs", "overlay", "none", "fuse.mergerfs", "nfs"})),
		Options:       maybe(t, label+" options", o, rapid.SampledFrom([][]string{nil, {"bind"}, {"bind,ro"}, {"noauto"}, {"subvol=root"}})),
		NeededForBoot: maybe(t, label+" needed", o, rapid.Bool()),
		Origin:        o,
	}
	switch rapid.IntRange(0, 19).Draw(t, label+" oddity") {
	case 0:
		f.MountPoint = stateward.Entry{}
	case 1:
		f.Enable = unknown[bool](o.Option + ".enable")
	}
	return f
}

var someSource = rapid.SampledFrom([]stateward.StateSource{
	stateward.SourceDataDir, stateward.SourceVolume, stateward.SourceStateDirectory, stateward.SourcePlace, stateward.SourcePersistedData,
	stateward.SourceTmpfiles, stateward.SourceHome, stateward.SourceReadWritePaths,
})

func drawLink(t *rapid.T, i int) stateward.Link {
	o := at("links", fmt.Sprint(i))
	target := rapid.OneOf(somePath, rapid.SampledFrom([]string{"..", "a", "../b/a", "/run/secrets/a", "/nix/store/x/a", "/persist/a", "/sure/a"}))
	return stateward.Link{At: stateward.NewEntry(somePath.Draw(t, fmt.Sprintf("link %d", i)), stateward.File, o), Target: maybe(t, fmt.Sprintf("target %d", i), o, target), Origin: o}
}

func drawRule(t *rapid.T, i int) stateward.TmpfilesRule {
	o := at("rules", fmt.Sprint(i))
	return stateward.TmpfilesRule{Type: rapid.SampledFrom([]string{"d", "D", "z", "L+"}).Draw(t, "rule"), At: drawEntry(t, fmt.Sprintf("rule %d", i), stateward.Directory, o), Origin: o}
}

func drawService(t *rapid.T, i int) stateward.Service {
	label := fmt.Sprintf("service %d", i)
	name := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, label)
	o := index(at("services", name), i)
	s := stateward.Service{Name: name, Dialect: "d", Origin: o, Enable: maybe(t, label+" enable", o, rapid.SampledFrom([]bool{true, true, true, false}))}
	var state []stateward.StatePath
	for j, e := range drawEntries(t, label+" state", stateward.Directory, o, 3) {
		sp := stateward.StatePath{Entry: e, Source: someSource.Draw(t, "source")}
		sp.Pattern = rapid.IntRange(0, 5).Draw(t, "pattern") == 0
		sp.ReadOnly = rapid.IntRange(0, 5).Draw(t, "read-only") == 0
		sp.Perhaps = rapid.IntRange(0, 5).Draw(t, "perhaps") == 0
		state = append(state, sp)
		if j == 0 {
			s.DataDir = known(e)
		} else {
			push(&s.BackupPaths, e)
		}
	}
	s.State = known(state)
	if rapid.IntRange(0, 9).Draw(t, label+" lost") == 0 {
		s.State, s.StateSeen = unknown[[]stateward.StatePath](o.Option+".state"), state
	}
	return s
}

func drawUnit(t *rapid.T, i int) stateward.Unit {
	label := fmt.Sprintf("unit %d", i)
	name := rapid.SampledFrom([]string{"a.service", "b@.service", "c@x.service"}).Draw(t, label)
	return stateward.Unit{
		Name: name, Origin: at("systemd", "services", name),
		DynamicUser:    maybe(t, label+" dynamic", at(name, "DynamicUser"), rapid.Bool()),
		StateDirectory: maybe(t, label+" directory", at(name, "StateDirectory"), rapid.SampledFrom([][]string{{"a"}, {"b", "a/b"}, {"%i"}, {"b/%i"}, {"%H"}})),
	}
}

var someHost = rapid.Custom(func(t *rapid.T) *stateward.Host {
	h := &stateward.Host{Name: "h", Status: stateward.StatusOK, Dialects: []string{"nixos"}}
	var roots []stateward.PersistenceRoot
	for _, name := range rapid.SampledFrom([][]string{{"/persist"}, {"/persist", "/cold"}, {"/persist", "/cold", "/var/lib"}, {}}).Draw(t, "roots") {
		roots = append(roots, drawRoot(t, name))
	}
	h.Persistence = maybe(t, "persistence", at("environment", "persistence"), rapid.Just(roots))
	fs := []stateward.FileSystem{mounted("/", "none", rapid.SampledFrom([]string{"tmpfs", "ext4", "zfs"}).Draw(t, "root"))}
	for i := range rapid.IntRange(0, 5).Draw(t, "file systems") {
		fs = append(fs, drawFileSystem(t, i))
	}
	h.FileSystems = maybe(t, "fileSystems", at("fileSystems"), rapid.Just(fs))
	var mounts []stateward.FileSystem
	for i := range rapid.IntRange(0, 2).Draw(t, "mounts") {
		mounts = append(mounts, drawFileSystem(t, 100+i))
	}
	h.Mounts = maybe(t, "systemd.mounts", at("systemd", "mounts"), rapid.Just(mounts))
	var datasets []stateward.Dataset
	for i, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"tank", "tank/a", "tank/a/b", "rpool/root"}), 0, 3, rapid.ID).Draw(t, "datasets") {
		o := index(at("disko"), i)
		datasets = append(datasets, stateward.Dataset{Name: name, Origin: o,
			MountPoint: maybe(t, name+" mountpoint", o, rapid.OneOf(rapid.SampledFrom([]string{"none", "legacy"}), somePath)),
			CanMount:   maybe(t, name+" canmount", o, rapid.SampledFrom([]string{"on", "off", "noauto"}))})
	}
	h.Datasets = maybe(t, "disko", at("disko"), rapid.Just(datasets))
	var services []stateward.Service
	for i := range rapid.IntRange(0, 5).Draw(t, "services") {
		services = append(services, drawService(t, i))
	}
	h.Services = maybe(t, "services", at("services"), rapid.Just(services))
	var units []stateward.Unit
	for i := range rapid.IntRange(0, 3).Draw(t, "units") {
		units = append(units, drawUnit(t, i))
	}
	h.Units = maybe(t, "systemd.services", at("systemd", "services"), rapid.Just(units))
	var links []stateward.Link
	for i := range max(0, rapid.IntRange(-3, 3).Draw(t, "links")) {
		links = append(links, drawLink(t, i))
	}
	h.Links = maybe(t, "links", at("links"), rapid.Just(links))
	var rules []stateward.TmpfilesRule
	for i := range max(0, rapid.IntRange(-2, 2).Draw(t, "rules")) {
		rules = append(rules, drawRule(t, i))
	}
	h.Tmpfiles = maybe(t, "rules", at("rules"), rapid.Just(rules))
	if rapid.IntRange(0, 4).Draw(t, "extra pools") == 0 {
		h.ExtraPools = maybe(t, "pools", at("boot", "zfs", "extraPools"), rapid.Just([]string{"tank"}))
	}
	h.Initrd.Systemd = maybe(t, "systemd initrd", at("boot", "initrd", "systemd"), rapid.Bool())
	var commands []stateward.InitrdCommand
	for i := range rapid.IntRange(0, 2).Draw(t, "hooks") {
		hook := rapid.SampledFrom([]string{"postDeviceCommands", "postResumeCommands", "systemd.services.rollback"}).Draw(t, "hook")
		commands = append(commands, stateward.InitrdCommand{Hook: hook, Origin: at("boot", "initrd", hook),
			Text: maybe(t, fmt.Sprintf("script %d", i), at("boot", "initrd", hook), rapid.SampledFrom([]string{"zfs rollback rpool/root@blank", "zfs rollback tank/a@blank", "echo", "zfs rollback $x", readmeWipe}))})
	}
	h.Initrd.Commands = maybe(t, "boot.initrd", at("boot", "initrd"), rapid.Just(commands))
	for i := range rapid.IntRange(0, 2).Draw(t, "users") {
		push(&h.Users, stateward.User{Name: fmt.Sprint(i), UID: maybe(t, "uid", at("users", "users", fmt.Sprint(i)), rapid.Int())})
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "people") {
		name := fmt.Sprintf("p%d", i)
		o := at("users", "users", name)
		push(&h.Users, stateward.User{Name: name, UID: known(i), Origin: o, Home: maybe(t, name+" home", o, rapid.SampledFrom([]string{"/a", "/a/b", "/var/lib/a", "rel"})), Normal: maybe(t, name+" normal", o, rapid.Bool())})
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "keys") {
		o := index(at("services", "openssh", "hostKeys"), i)
		push(&h.HostKeys, stateward.NewEntry(rapid.SampledFrom([]string{"/a/key", "/b", "/persist/key", "rel"}).Draw(t, "key"), stateward.File, o))
		push(&h.SecretKeys, stateward.NewEntry(rapid.SampledFrom([]string{"/a/key", "/b", "/persist/key", ""}).Draw(t, "secret key"), stateward.File,
			stateward.Origin{Option: rapid.SampledFrom([]string{"sops.age.keyFile", "age.identityPaths[0]"}).Draw(t, "decryptor")}))
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "timers") {
		name := fmt.Sprintf("t%d", i)
		push(&h.Timers, stateward.Timer{Name: name + ".timer", Persistent: maybe(t, name, at("systemd", "timers", name), rapid.Bool())})
	}
	for i := range rapid.IntRange(0, 1).Draw(t, "scripts") {
		o := index(at("system", "activationScripts"), i)
		push(&h.ActivationScripts, stateward.ActivationScript{Name: fmt.Sprint(i), Origin: o, Names: maybe(t, "script", o, rapid.Just([]string{"/etc/machine-id"}))})
	}
	for i := range rapid.IntRange(0, 1).Draw(t, "jobs") {
		o := at("services", "restic", "backups", fmt.Sprint(i))
		push(&h.Jobs, stateward.Job{Name: fmt.Sprint(i), Engine: "restic", Origin: o, Paths: known(drawEntries(t, "job", stateward.Directory, o, 2))})
	}
	return h
})

// shuffled returns a copy of the host with every list in another order.
func shuffled(t *rapid.T, h *stateward.Host) *stateward.Host {
	c := *h
	c.Persistence = reordered(t, h.Persistence)
	if roots, ok := c.Persistence.Get(); ok {
		for i := range roots {
			roots[i].Directories = reordered(t, roots[i].Directories)
			roots[i].Files = reordered(t, roots[i].Files)
		}
	}
	c.Services = reordered(t, h.Services)
	if services, ok := c.Services.Get(); ok {
		for i := range services {
			services[i].State = reordered(t, services[i].State)
		}
	}
	c.Units, c.FileSystems, c.Mounts = reordered(t, h.Units), reordered(t, h.FileSystems), reordered(t, h.Mounts)
	c.Datasets, c.Users, c.Jobs = reordered(t, h.Datasets), reordered(t, h.Users), reordered(t, h.Jobs)
	c.Initrd.Commands = reordered(t, h.Initrd.Commands)
	c.Links, c.Tmpfiles = reordered(t, h.Links), reordered(t, h.Tmpfiles)
	c.HostKeys, c.SecretKeys, c.Timers = reordered(t, h.HostKeys), reordered(t, h.SecretKeys), reordered(t, h.Timers)
	return &c
}

func reordered[T any](t *rapid.T, v stateward.Value[[]T]) stateward.Value[[]T] {
	list, ok := v.Get()
	if !ok || len(list) == 0 {
		return v
	}
	return stateward.Known(rapid.Permutation(list).Draw(t, "order"), v.Origin())
}

func lint(h *stateward.Host) aggregate.Report { return aggregate.Lint(aggregate.Input{Host: h}) }

func TestOrderDecidesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := someHost.Draw(t, "host")
		require.Empty(t, cmp.Diff(lint(h), lint(shuffled(t, h))))
	})
}

// states are the answers of a matrix by service and path.
func states(h *stateward.Host) map[row]stateward.TierState {
	out := map[row]stateward.TierState{}
	for _, r := range aggregate.Survival(h) {
		out[row{r.Service, r.Path}] = r.Tiers[stateward.TierReboot].State
	}
	return out
}

// Persisting one more path in a root that survives loses nothing.
func TestPersistingLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := someHost.Draw(t, "host")
		persist("/sure", "/sure-nothing")(h)
		fileSystem("/sure", "/dev/sure", "ext4")(h)
		before := states(h)
		c := *h
		persist("/sure", rapid.StringMatching(`(/[ab]){1,2}|/var/lib(/private)?(/[ab])?|/cold/a`).Draw(t, "path"))(&c)
		for at, state := range states(&c) {
			if before[at] == yes {
				require.NotEqual(t, no, state, "%v", at)
			}
		}
	})
}

func TestDisablingAddsNoLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := someHost.Filter(func(h *stateward.Host) bool { return len(h.Services.Or(nil)) > 0 }).Draw(t, "host")
		before := states(h)
		c := *h
		ss := slices.Clone(h.Services.Or(nil))
		ss[rapid.IntRange(0, len(ss)-1).Draw(t, "service")].Enable = known(false)
		c.Services = known(ss)
		for at, state := range states(&c) {
			if state == no {
				require.True(t, wasLost(before, at[1]), "%v", at)
			}
		}
	})
}

// Whoever accepted everything that a host loses has accepted nothing that another service loses.
func TestAcceptingAllAcceptsNoNewLoss(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := someHost.Draw(t, "host")
		byService := rapid.Bool().Draw(t, "by service")
		var acks []stateward.Acknowledgement
		for _, d := range lint(h).Findings {
			for _, m := range d.Members() {
				a := stateward.Acknowledgement{Code: d.Code, Service: m.Service, Reason: "r"}
				if m.Service == "" || !byService {
					a.Subject, a.Path = m.Subject, m.Path
				}
				acks = append(acks, a)
			}
		}
		for _, d := range aggregate.Lint(aggregate.Input{Host: h, Acknowledgements: acks}).Findings {
			if d.Code == "SW101" {
				require.NotEmpty(t, d.Acknowledged, "%+v", d)
			}
		}
		c := *h
		service("new", rapid.StringMatching(`(/[ab]){1,3}|/|/var/lib(/[ab])?`).Draw(t, "path"))(&c)
		if !slices.ContainsFunc(aggregate.Survival(&c), func(r stateward.SurvivalRow) bool {
			return r.Service == "new" && r.Tiers[stateward.TierReboot].State == no
		}) {
			return
		}
		require.True(t, slices.ContainsFunc(aggregate.Lint(aggregate.Input{Host: &c, Acknowledgements: acks}).Findings, func(d stateward.Diagnostic) bool {
			return d.Code == "SW101" && d.Counts() && slices.ContainsFunc(d.Members(), func(m stateward.Covered) bool { return m.Service == "new" })
		}))
	})
}

// wasLost tells whether a place, or one above it, in which it was left out, was lost.
func wasLost(before map[row]stateward.TierState, path string) bool {
	p, err := stateward.ParsePath(path)
	for at, state := range before {
		q, _ := stateward.ParsePath(at[1])
		if state == no && (at[1] == path || err == nil && q.Contains(p)) {
			return true
		}
	}
	return false
}

func TestResolveSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := someHost.Draw(t, "host")
		opts := aggregate.Options{Root: "/persist", Collapse: rapid.Bool().Draw(t, "collapse")}
		r, err := aggregate.Resolve(h, opts)
		again, err2 := aggregate.Resolve(h, opts)
		require.Equal(t, err, err2)
		if err != nil {
			return
		}
		require.Empty(t, cmp.Diff(resolved(r), resolved(again)), "resolving is deterministic")
		seen := map[stateward.AbsPath]bool{}
		for _, e := range r.Entries {
			require.NoError(t, e.Problem)
			require.False(t, e.Unclean())
			require.False(t, seen[e.Path], "%s stands there once", e.Path)
			seen[e.Path] = true
		}
		c := *h
		roots := slices.Clone(h.Persistence.Or(nil))
		i := slices.IndexFunc(roots, func(r stateward.PersistenceRoot) bool { return r.Name == "/persist" })
		if h.Persistence.IsUnknown() || i >= 0 && (!roots[i].Path.IsKnown() || !roots[i].Enable.Or(true)) {
			return // nowhere to put the entries
		}
		if i < 0 {
			roots, i = append(roots, stateward.PersistenceRoot{Name: "/persist", Path: known(stateward.MustPath("/persist")), Enable: known(true)}), len(roots)
		}
		var entries []stateward.Entry
		for _, e := range r.Entries {
			entries = append(entries, e.Entry)
		}
		roots[i].Directories, roots[i].Seen = known(entries), nil
		c.Persistence = known(roots)
		for _, x := range []*stateward.Host{h, &c} {
			if slices.ContainsFunc(lint(x).Findings, func(d stateward.Diagnostic) bool { return d.Code == "SW115" }) {
				return // what is persisted in a root that is lost, or in doubt, needs another place
			}
		}
		settled, err := aggregate.Resolve(&c, opts)
		require.NoError(t, err)
		require.Empty(t, settled.Added(), "nothing is added the second time to %q", resolved(r))
		require.Empty(t, cmp.Diff(paths(r), paths(settled)))
	})
}

// A plan of a plan is empty, for either module, and also where the list moves from one to the other.
func TestPlanOfPlanIsEmpty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := someHost.Draw(t, "host")
		modules := []stateward.PersistenceModule{stateward.Impermanence, stateward.Preservation}
		from, to := rapid.SampledFrom(modules).Draw(t, "from"), rapid.SampledFrom(modules).Draw(t, "to")
		h.Initrd.Systemd = known(true)
		roots := slices.Clone(h.Persistence.Or(nil))
		i := slices.IndexFunc(roots, func(r stateward.PersistenceRoot) bool { return r.Name == "/persist" })
		if h.Persistence.IsUnknown() || i < 0 || !roots[i].Path.IsKnown() || !roots[i].Enable.Or(false) || !roots[i].Directories.IsKnown() {
			return // nowhere to put the entries
		}
		roots[i].Module = from
		dirs := slices.Clone(roots[i].Directories.Or(nil))
		for j := range dirs {
			s := dirs[j].Rare()
			switch rapid.IntRange(0, 7).Draw(t, "special") {
			case 0:
				s.HideMount = known(rapid.Bool().Draw(t, "hide"))
			case 1:
				s.InInitrd = known(true)
			case 2:
				s.How = known("symlink")
			case 3:
				s.MountOptions = known("bind,X-fstrim.notrim,x-gvfs-hide")
			}
			if s != (stateward.EntrySpecial{}) {
				dirs[j].Special = &s
			}
		}
		roots[i].Directories = known(dirs)
		h.Persistence = known(roots)
		opts := aggregate.Options{Root: "/persist", Module: to}
		r, err := aggregate.Resolve(h, opts)
		require.NoError(t, err)
		require.Equal(t, to, r.Module)
		require.Equal(t, from != to, r.Moved != nil)
		for _, c := range r.Copies() {
			require.Equal(t, r.Root.Mount(c.From), c.To)
			require.False(t, slices.Contains(c.Keep, c.To))
		}
		again := written(h, i, r)
		for _, x := range []*stateward.Host{h, again} {
			if slices.ContainsFunc(lint(x).Findings, func(d stateward.Diagnostic) bool { return d.Code == "SW115" }) {
				return // what is persisted in a root that is lost, or in doubt, needs another place
			}
		}
		settled, err := aggregate.Resolve(again, opts)
		require.NoError(t, err)
		require.Empty(t, settled.Added(), "of %q", resolved(r))
		require.Nil(t, settled.Moved)
		require.Empty(t, settled.Copies())
		for _, e := range settled.Entries {
			require.False(t, e.Changed, "%s of %q", entryLine(e), resolved(r))
		}
		require.Empty(t, cmp.Diff(paths(r), paths(settled)))
	})
}

// written is a host whose root i is as a resolution writes it.
func written(h *stateward.Host, i int, r *aggregate.Resolution) *stateward.Host {
	c := *h
	roots := slices.Clone(h.Persistence.Or(nil))
	root := &roots[i]
	var directories, files []stateward.Entry
	for _, e := range r.Entries {
		if e.Kind == stateward.File {
			files = append(files, e.Entry)
		} else {
			directories = append(directories, e.Entry)
		}
	}
	if r.Moved == nil {
		files = append(files, root.Files.Or(nil)...)
	}
	for _, e := range r.Carried {
		switch {
		case e.Kind == stateward.Directory:
			directories = append(directories, e)
		case r.Moved != nil:
			files = append(files, e)
		}
	}
	root.Module, root.Directories, root.Files, root.Seen = r.Module, known(directories), known(files), nil
	root.HideMounts, root.MountOptions = stateward.Value[bool]{}, stateward.Value[string]{}
	if r.Settings.HideMounts {
		root.HideMounts = known(true)
	}
	c.Persistence = known(roots)
	return &c
}

func paths(r *aggregate.Resolution) []string {
	var out []string
	for _, e := range r.Entries {
		out = append(out, e.Text)
	}
	return out
}

// Making a fact unknown never makes an answer better.
func TestUnknownIsNeverYes(t *testing.T) {
	facts := []struct {
		name string
		hide func(*stateward.Host)
		// fromUnknown tells that a doubt may go with the fact that brought it: of two things at
		// one place, only the other is seen.
		fromUnknown bool
	}{
		{"persistence", func(h *stateward.Host) { h.Persistence = unknown[[]stateward.PersistenceRoot]("x") }, true},
		{"file systems", func(h *stateward.Host) { h.FileSystems = unknown[[]stateward.FileSystem]("x") }, true},
		{"mounts", func(h *stateward.Host) { h.Mounts = unknown[[]stateward.FileSystem]("x") }, true},
		{"datasets", func(h *stateward.Host) { h.Datasets = unknown[[]stateward.Dataset]("x") }, true},
		{"units", func(h *stateward.Host) { h.Units = unknown[[]stateward.Unit]("x") }, false},
		{"pools", func(h *stateward.Host) { h.ExtraPools = unknown[[]string]("x") }, false},
		{"commands", func(h *stateward.Host) { h.Initrd.Commands = unknown[[]stateward.InitrdCommand]("x") }, false},
		{"systemd", func(h *stateward.Host) { h.Initrd.Systemd = unknown[bool]("x") }, false},
	}
	rapid.Check(t, func(t *rapid.T) {
		h := someHost.Draw(t, "host")
		before := states(h)
		c := *h
		fact := facts[rapid.IntRange(0, len(facts)-1).Draw(t, "unknown")]
		fact.hide(&c)
		for at, state := range states(&c) {
			was, ok := before[at]
			if state == yes && ok && (was == no || was == unsure && !fact.fromUnknown) {
				t.Fatalf("%v was %s and is %s once %s cannot be had", at, was, state, fact.name)
			}
		}
	})
}
