package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// storage answers what backs a path once the host has been booted again.
type storage struct {
	host  *stateward.Host
	wipes wipes
	// mounts at one point, in the order fileSystems, systemd.mounts, datasets.
	mounts map[stateward.AbsPath][]mount
	// persisted entries of enabled roots, by the path that is bind-mounted.
	persisted map[stateward.AbsPath][]persisted
	roots     []persistenceRoot
	// dynamic maps /var/lib/NAME to the unit whose state is really in
	// /var/lib/private/NAME (P3).
	dynamic map[stateward.AbsPath]string
	// blind says why not every mount or entry could be seen; empty when all were.
	blind string
	root  RootState
}

// persistenceRoot is an enabled persistence root whose path is known.
type persistenceRoot struct {
	stateward.PersistenceRoot
	path stateward.AbsPath
}

type persisted struct {
	entry stateward.Entry
	root  *persistenceRoot
}

type mount struct {
	by     string // for people: `fileSystems."/srv"`
	fs     stateward.FileSystem
	zfs    *stateward.Dataset
	origin stateward.Origin
}

// RootState says whether a host's root file system is wiped at every boot.
type RootState struct {
	// Wiped is [stateward.SurvivalYes], SurvivalNo or SurvivalUnknown.
	Wiped stateward.TierState `json:"wiped"`
	// By names what wipes it, or why it is not wiped or not known.
	By string `json:"by"`
}

var (
	varLib        = stateward.MustPath("/var/lib")
	varLibPrivate = stateward.MustPath("/var/lib/private")
)

// maxBinds bounds how often a bind mount is followed; a longer chain is a loop.
const maxBinds = 16

func newStorage(h *stateward.Host) *storage {
	s := &storage{
		host:      h,
		wipes:     readWipes(h.Initrd),
		mounts:    map[stateward.AbsPath][]mount{},
		persisted: map[stateward.AbsPath][]persisted{},
		dynamic:   map[stateward.AbsPath]string{},
	}
	s.addFileSystems(h.FileSystems, "fileSystems")
	s.addFileSystems(h.Mounts, "systemd.mounts")
	for _, d := range h.Datasets.Or(nil) {
		if at, ok := datasetMountPoint(d); ok {
			s.mounts[at] = append(s.mounts[at], mount{by: "dataset " + d.Name, zfs: &d, origin: d.Origin})
		}
	}
	s.noteUnknown(h.FileSystems.Why())
	s.noteUnknown(h.Mounts.Why())
	s.noteUnknown(h.Datasets.Why())
	s.addPersistence(h.Persistence)
	for _, u := range h.Units.Or(nil) {
		if dyn, _ := u.DynamicUser.Get(); dyn {
			for _, d := range u.StateDirectory.Or(nil) {
				if p, _, ok := stateward.StateDirectoryPath(u.Name, d); ok && p.Below(varLib) && !varLibPrivate.Contains(p) {
					s.dynamic[p] = u.Name
				}
			}
		}
	}
	s.root = s.rootState()
	return s
}

func (s *storage) noteUnknown(why stateward.Unknown, unknown bool) {
	if unknown && s.blind == "" {
		s.blind = why.String()
	}
}

func (s *storage) addFileSystems(v stateward.Value[[]stateward.FileSystem], option string) {
	for _, f := range v.Or(nil) {
		if f.MountPoint.Problem != nil {
			continue
		}
		by := option
		if option == "fileSystems" {
			by = stateward.OptionPath(option, f.MountPoint.Text)
		} else {
			by += " at " + f.MountPoint.Text
		}
		at := f.MountPoint.Path
		s.mounts[at] = append(s.mounts[at], mount{by: by, fs: f, origin: f.Origin})
	}
}

// datasetMountPoint returns where a declared dataset mounts itself.
func datasetMountPoint(d stateward.Dataset) (stateward.AbsPath, bool) {
	text, ok := d.MountPoint.Get()
	if !ok {
		return stateward.AbsPath{}, false
	}
	if c, ok := d.CanMount.Get(); ok && c != "on" {
		return stateward.AbsPath{}, false
	}
	p, err := stateward.ParsePath(text)
	return p, err == nil
}

func (s *storage) addPersistence(v stateward.Value[[]stateward.PersistenceRoot]) {
	s.noteUnknown(v.Why())
	for _, r := range v.Or(nil) {
		if enabled, ok := r.Enable.Get(); ok && !enabled {
			continue
		}
		s.noteUnknown(r.Enable.Why())
		s.noteUnknown(r.Path.Why())
		s.noteUnknown(r.Directories.Why())
		s.noteUnknown(r.Files.Why())
		path, ok := r.Path.Get()
		if !ok || r.Enable.IsUnknown() {
			continue
		}
		root := &persistenceRoot{PersistenceRoot: r, path: path}
		s.roots = append(s.roots, *root)
		for _, e := range slices.Concat(r.Directories.Or(nil), r.Files.Or(nil)) {
			if e.Problem == nil {
				s.persisted[e.Path] = append(s.persisted[e.Path], persisted{entry: e, root: root})
			}
		}
	}
}

// rootState tells whether "/" is made anew at every boot.
func (s *storage) rootState() RootState {
	if len(s.mounts[stateward.Root]) == 0 {
		if why, unknown := s.host.FileSystems.Why(); unknown {
			return RootState{Wiped: stateward.SurvivalUnknown, By: why.String()}
		}
		return RootState{Wiped: stateward.SurvivalUnknown, By: `fileSystems has no entry for "/"`}
	}
	r := s.ofMounts(stateward.Root, s.mounts[stateward.Root], 0)
	switch r.State {
	case stateward.SurvivalNo:
		return RootState{Wiped: stateward.SurvivalYes, By: r.By}
	case stateward.SurvivalYes:
		if s.wipes.opaque != "" {
			return RootState{Wiped: stateward.SurvivalUnknown, By: s.wipes.opaque}
		}
		if left := s.unmatchedWipe(); left != "" {
			return RootState{Wiped: stateward.SurvivalUnknown, By: left}
		}
		by := "it is " + describe(s.mounts[stateward.Root][0]) + " and nothing that is read wipes it"
		if len(s.wipes.ignored) > 0 {
			by = fmt.Sprintf("boot.initrd.%s would wipe it and is ignored by this kind of initrd", s.wipes.ignored[0])
		}
		return RootState{Wiped: stateward.SurvivalNo, By: by}
	default:
		return RootState{Wiped: stateward.SurvivalUnknown, By: r.By}
	}
}

// unmatchedWipe names something that is wiped and that no file system shows: it
// may be the root under another name.
func (s *storage) unmatchedWipe() string {
	matched := map[string]bool{}
	for _, ms := range s.mounts {
		for _, m := range ms {
			if d, ok := m.fs.Device.Get(); ok {
				matched[d] = true
			}
			for _, o := range m.fs.Options.Or(nil) {
				if name, ok := strings.CutPrefix(o, "subvol="); ok {
					matched[strings.Trim(name, "/")] = true
				}
			}
		}
	}
	var left []string
	for _, names := range []map[string]string{s.wipes.datasets, s.wipes.subvolumes, s.wipes.devices} {
		for name, hook := range names {
			if !matched[name] {
				left = append(left, fmt.Sprintf("%s wipes %s, which no entry of fileSystems names", hook, name))
			}
		}
	}
	if len(left) == 0 {
		return ""
	}
	return slices.Min(left)
}

func describe(m mount) string {
	fs, ok := m.fs.FSType.Get()
	if !ok {
		return m.by
	}
	if d, ok := m.fs.Device.Get(); ok {
		return fmt.Sprintf("%s on %s", fs, d)
	}
	return fs
}

// real returns where a path's content is: state of a DynamicUser unit is below
// /var/lib/private, and /var/lib/NAME only a symbolic link to it.
func (s *storage) real(p stateward.AbsPath) stateward.AbsPath {
	for q := p; q.Below(varLib); q = q.Parent() {
		if _, ok := s.dynamic[q]; ok {
			rel, _ := varLib.Rel(p)
			if r, ok := varLibPrivate.Join(rel); ok {
				return r
			}
		}
	}
	return p
}

// reboot answers the tier "reboot" for what really is at p.
func (s *storage) reboot(p stateward.AbsPath) stateward.TierResult {
	if by, ok := runtimePath(p); ok {
		return stateward.TierResult{State: stateward.SurvivalNotNeeded, By: by}
	}
	r := s.backing(s.real(p), 0)
	if r.State == stateward.SurvivalNo && s.blind != "" {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: s.blind}
	}
	if r.State == stateward.SurvivalNo {
		if pools, ok := s.host.ExtraPools.Get(); ok && len(pools) > 0 {
			return stateward.TierResult{State: stateward.SurvivalUnknown,
				By: fmt.Sprintf("pool %s of boot.zfs.extraPools mounts its datasets where their own mountpoint property says", pools[0])}
		}
		if why, unknown := s.host.ExtraPools.Why(); unknown {
			return stateward.TierResult{State: stateward.SurvivalUnknown, By: why.String()}
		}
	}
	return r
}

// runtimeDirs never hold state.
var runtimeDirs = []struct {
	dir stateward.AbsPath
	why string
}{
	{stateward.MustPath("/run"), "a runtime directory"},
	{stateward.MustPath("/var/run"), "a runtime directory"},
	{stateward.MustPath("/proc"), "a kernel file system"},
	{stateward.MustPath("/sys"), "a kernel file system"},
	{stateward.MustPath("/dev"), "a kernel file system"},
	{stateward.MustPath("/nix/store"), "the nix store"},
	{stateward.MustPath("/etc/static"), "the nix store"},
}

func runtimePath(p stateward.AbsPath) (string, bool) {
	for _, d := range runtimeDirs {
		if d.dir.Contains(p) {
			return d.why, true
		}
	}
	return "", false
}

// backing walks up from p to what is mounted over it.
func (s *storage) backing(p stateward.AbsPath, binds int) stateward.TierResult {
	for q := p; ; q = q.Parent() {
		entries, mounts := s.persisted[q], s.mounts[q]
		// A persisted file covers itself only.
		entries = slices.DeleteFunc(slices.Clone(entries), func(e persisted) bool { return e.entry.Kind == stateward.File && q != p })
		switch {
		case len(entries) > 0 && len(mounts) > 0:
			a, b := s.ofPersistence(entries, binds), s.ofMounts(p, mounts, binds)
			if a.State == b.State {
				return a
			}
			return stateward.TierResult{State: stateward.SurvivalUnknown, By: fmt.Sprintf("%s and %s hide one another", a.By, mounts[0].by)}
		case len(entries) > 0:
			return s.ofPersistence(entries, binds)
		case len(mounts) > 0:
			return s.ofMounts(p, mounts, binds)
		case q == stateward.Root:
			return stateward.TierResult{State: stateward.SurvivalUnknown, By: s.root.By}
		}
	}
}

func (s *storage) ofPersistence(entries []persisted, binds int) stateward.TierResult {
	root := entries[0].root
	by := stateward.OptionPath("environment", "persistence", root.Name)
	if binds >= maxBinds {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: by + " is a loop of bind mounts"}
	}
	under := s.storageOf(root.path, binds+1)
	if under.State != stateward.SurvivalYes {
		return stateward.TierResult{State: under.State, By: fmt.Sprintf("%s is stored at %s, and there: %s", by, root.path, under.By)}
	}
	return stateward.TierResult{State: stateward.SurvivalYes, By: by}
}

// storageOf is backing without persisted entries: what a persistence root
// itself lies on.
func (s *storage) storageOf(p stateward.AbsPath, binds int) stateward.TierResult {
	for q := p; ; q = q.Parent() {
		if ms := s.mounts[q]; len(ms) > 0 {
			return s.ofMounts(p, ms, binds)
		}
		if q == stateward.Root {
			return stateward.TierResult{State: stateward.SurvivalUnknown, By: `fileSystems has no entry for "/"`}
		}
	}
}

// ofMounts answers for what is mounted at one point above p.
func (s *storage) ofMounts(p stateward.AbsPath, ms []mount, binds int) stateward.TierResult {
	var out stateward.TierResult
	for i, m := range ms {
		r := s.ofMount(p, m, binds)
		if i > 0 && r.State != out.State {
			return stateward.TierResult{State: stateward.SurvivalUnknown, By: fmt.Sprintf("%s and %s are mounted at one place", ms[0].by, m.by)}
		}
		if i == 0 {
			out = r
		}
	}
	return out
}

// volatileTypes are file systems that live in memory.
var volatileTypes = []string{"tmpfs", "ramfs", "devtmpfs", "zram", "hugetlbfs"}

func (s *storage) ofMount(p stateward.AbsPath, m mount, binds int) stateward.TierResult {
	yes := stateward.TierResult{State: stateward.SurvivalYes, By: m.by}
	if m.zfs != nil {
		if hook, ok := s.wipes.datasets[m.zfs.Name]; ok {
			return stateward.TierResult{State: stateward.SurvivalNo, By: fmt.Sprintf("%s rolls %s back", hook, m.zfs.Name)}
		}
		return yes
	}
	unknown := func(by string) stateward.TierResult {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: by}
	}
	for _, why := range []func() (stateward.Unknown, bool){m.fs.FSType.Why, m.fs.Device.Why, m.fs.Options.Why} {
		if u, is := why(); is {
			return unknown(u.String())
		}
	}
	if by, wiped := s.wipes.of(m.fs); wiped {
		return stateward.TierResult{State: stateward.SurvivalNo, By: by}
	}
	fsType, _ := m.fs.FSType.Get()
	switch {
	case slices.Contains(volatileTypes, fsType):
		return stateward.TierResult{State: stateward.SurvivalNo, By: fmt.Sprintf("%s is a %s", m.by, fsType)}
	case m.fs.IsBind():
		device, _ := m.fs.Device.Get()
		from, err := stateward.ParsePath(device)
		if err != nil || binds >= maxBinds {
			return unknown(fmt.Sprintf("%s binds %q", m.by, device))
		}
		rel, _ := m.fs.MountPoint.Path.Rel(p)
		at, ok := from.Join(rel)
		if !ok {
			return unknown(fmt.Sprintf("%s binds %q", m.by, device))
		}
		r := s.backing(at, binds+1)
		r.By = fmt.Sprintf("%s binds %s: %s", m.by, from, r.By)
		return r
	case fsType == "overlay":
		return unknown(m.by + " is an overlay, and where it writes is not read")
	case fsType == "zfs" && m.fs.MountPoint.Path == stateward.Root && m.fs.Device.IsAbsent():
		return unknown(m.by + " names no device")
	default:
		return yes
	}
}
