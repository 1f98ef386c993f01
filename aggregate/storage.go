package aggregate

import (
	"cmp"
	"fmt"
	"iter"
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
	roots     []*persistenceRoot // sorted by name
	// dynamic maps /var/lib/NAME to the unit whose state is really in
	// /var/lib/private/NAME (P3).
	dynamic map[stateward.AbsPath]string
	// perhapsDynamic maps /var/lib/NAME to why it is not known which of the two it
	// is; varLib stands for all, where the units themselves are unknown.
	perhapsDynamic map[stateward.AbsPath]string
	// blind says why not every mount or entry could be seen; empty when all were.
	blind string
	root  RootState
	// onRoot answers for what lies on the root file system itself.
	onRoot stateward.TierResult
	// storedAt answers for the places where persisted state is really kept.
	storedAt map[stateward.AbsPath]stateward.TierResult
	// outer holds every path above a mount or a persisted entry, once it was asked for.
	outer map[stateward.AbsPath]struct{}
}

// persistenceRoot is an enabled persistence root whose path is known.
type persistenceRoot struct {
	stateward.PersistenceRoot
	path stateward.AbsPath
	// by is its option path; under answers for what it is stored on.
	by    string
	under stateward.TierResult
}

type persisted struct {
	entry *stateward.Entry
	root  *persistenceRoot
}

type mount struct {
	by     string // for people: `fileSystems."/srv"`
	option string // "fileSystems", "systemd.mounts"; empty for a dataset
	fs     stateward.FileSystem
	zfs    *stateward.Dataset
	origin stateward.Origin
	// doubt says why it is not known whether it is mounted; empty when it is.
	doubt string
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

// maxBinds bounds how many bind mounts are followed from one path.
const maxBinds = 16

func newStorage(h *stateward.Host) *storage {
	s := &storage{
		host:           h,
		wipes:          readWipes(h.Initrd),
		mounts:         map[stateward.AbsPath][]mount{},
		persisted:      map[stateward.AbsPath][]persisted{},
		dynamic:        map[stateward.AbsPath]string{},
		perhapsDynamic: map[stateward.AbsPath]string{},
		storedAt:       map[stateward.AbsPath]stateward.TierResult{},
	}
	s.addFileSystems(h.FileSystems, "fileSystems")
	s.addFileSystems(h.Mounts, "systemd.mounts")
	s.addDatasets(h.Datasets)
	for _, ms := range s.mounts {
		if len(ms) > 1 {
			slices.SortStableFunc(ms, compareMounts)
		}
	}
	s.addPersistence(h.Persistence)
	s.addUnits(h.Units)
	s.root = s.rootState()
	s.onRoot = s.rootTier()
	for _, r := range s.roots {
		r.under = s.stored(r.path)
	}
	return s
}

func (s *storage) noteUnknown(why stateward.Unknown, unknown bool) {
	if unknown {
		s.blind = firstText(s.blind, why.String())
	}
}

func (s *storage) addFileSystems(v stateward.Value[[]stateward.FileSystem], option string) {
	s.noteUnknown(v.Why())
	for _, f := range v.Or(nil) {
		if f.MountPoint.Problem != nil {
			if fsType, ok := f.FSType.Get(); !ok || fsType != "swap" {
				s.blind = firstText(s.blind, f.MountPoint.Problem.Error())
			}
			continue
		}
		// A mount unit is an element of a list: its place says more than its number.
		by := f.Origin.Option
		if option != "fileSystems" || by == "" {
			by = fmt.Sprintf("%s at %s", option, f.MountPoint.Text)
		}
		at := f.MountPoint.Path
		s.mounts[at] = append(s.mounts[at], mount{by: by, option: option, fs: f, origin: f.Origin})
	}
}

// compareMounts orders what is mounted at one point: file systems, mount units, datasets.
func compareMounts(a, b mount) int {
	device := func(m mount) string { return m.fs.Device.String() }
	dataset := func(m mount) int {
		if m.zfs != nil {
			return 1
		}
		return 0
	}
	return cmp.Or(dataset(a)-dataset(b), cmp.Compare(a.by, b.by), compareOrigins(a.origin, b.origin), cmp.Compare(device(a), device(b)))
}

func (s *storage) addDatasets(v stateward.Value[[]stateward.Dataset]) {
	s.noteUnknown(v.Why())
	datasets := v.Or(nil)
	byName := make(map[string]*stateward.Dataset, len(datasets))
	for i := range datasets {
		byName[datasets[i].Name] = &datasets[i]
	}
	named := map[string]bool{}
	for _, ms := range s.mounts {
		for _, m := range ms {
			if d, ok := m.fs.Device.Get(); ok {
				named[d] = true
			}
		}
	}
	for i := range datasets {
		d := &datasets[i]
		if d.MountPoint.IsAbsent() && named[d.Name] {
			continue // fileSystems says where
		}
		at, ok, why := mountPointOf(d.Name, byName)
		if why != nil {
			s.noteUnknown(*why, true)
		}
		canMount, doubt := d.CanMount.Or("on"), ""
		if why, unknown := d.CanMount.Why(); unknown {
			doubt = why.String()
		}
		if why, unknown := s.host.FileSystems.Why(); unknown && d.MountPoint.IsAbsent() {
			doubt = why.String() // it might say where
		}
		if ok && canMount == "on" {
			s.mounts[at] = append(s.mounts[at], mount{by: "dataset " + d.Name, zfs: d, origin: d.Origin, doubt: doubt})
		}
	}
}

// mountPointOf returns where a declared dataset mounts itself: at its own mount
// point, or below that of the nearest dataset above which has one. A pool that
// is declared without one is mounted at /POOL (zfsprops(7)).
func mountPointOf(name string, datasets map[string]*stateward.Dataset) (at stateward.AbsPath, ok bool, why *stateward.Unknown) {
	above, below := name, ""
	for {
		if d := datasets[above]; d != nil {
			if u, unknown := d.MountPoint.Why(); unknown {
				return stateward.AbsPath{}, false, &u
			}
			if text, known := d.MountPoint.Get(); known {
				p, err := stateward.ParsePath(text)
				if err != nil {
					return stateward.AbsPath{}, false, nil // none, legacy
				}
				at, ok = p.Join(strings.TrimPrefix(below, "/"))
				return at, ok, nil
			}
		}
		i := strings.LastIndexByte(above, '/')
		if i < 0 {
			if datasets[above] == nil {
				return stateward.AbsPath{}, false, nil
			}
			at, ok = stateward.Root.Join(name)
			return at, ok, nil
		}
		above, below = above[:i], above[i:]+below
	}
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
		by := stateward.OptionPath("environment", "persistence", r.Name)
		loop := stateward.TierResult{State: stateward.SurvivalUnknown, By: "a loop of bind mounts at " + path.String()}
		s.roots = append(s.roots, &persistenceRoot{PersistenceRoot: r, path: path, by: by, under: loop})
	}
	slices.SortStableFunc(s.roots, func(a, b *persistenceRoot) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.path.String(), b.path.String()), compareOrigins(a.Origin, b.Origin))
	})
	for _, r := range s.roots {
		for e := range r.entries() {
			if e.Problem == nil {
				s.persisted[e.Path] = append(s.persisted[e.Path], persisted{entry: e, root: r})
				s.dropBind(e, r)
			}
		}
	}
	for _, es := range s.persisted {
		if len(es) > 1 {
			slices.SortStableFunc(es, func(a, b persisted) int {
				return cmp.Or(cmp.Compare(a.root.Name, b.root.Name), compareOrigins(a.entry.Origin, b.entry.Origin))
			})
		}
	}
}

// dropBind leaves out the very bind mount that an entry asks for, which the persistence
// module declares itself.
func (s *storage) dropBind(e *stateward.Entry, r *persistenceRoot) {
	at := e.Path
	ms, ok := s.mounts[at]
	if !ok {
		return
	}
	from := e.Storage.Or(r.path).Mount(at).String()
	ms = slices.DeleteFunc(ms, func(m mount) bool {
		device, ok := m.fs.Device.Get()
		return ok && m.zfs == nil && m.fs.IsBind() && device == from
	})
	if len(ms) == 0 {
		delete(s.mounts, at)
		return
	}
	s.mounts[at] = ms
}

// entries are the root's directories, its files, and what is known of them where
// they are unknown.
func (r *persistenceRoot) entries() iter.Seq[*stateward.Entry] {
	return func(yield func(*stateward.Entry) bool) {
		for _, list := range [][]stateward.Entry{r.Directories.Or(nil), r.Files.Or(nil), r.Seen} {
			for i := range list {
				if !yield(&list[i]) {
					return
				}
			}
		}
	}
}

// addUnits finds where DynamicUser moves state (P3).
func (s *storage) addUnits(v stateward.Value[[]stateward.Unit]) {
	if why, unknown := v.Why(); unknown {
		s.perhapsDynamic[varLib] = "whether it is kept in %s is unknown: " + why.String()
	}
	units := v.Or(nil)
	for i := range units {
		u := &units[i]
		dynamic, known := u.DynamicUser.Get()
		if known && !dynamic || u.DynamicUser.IsAbsent() {
			continue
		}
		for _, d := range u.StateDirectory.Or(nil) {
			p, _, ok := stateward.StateDirectoryPath(u.Name, d)
			if !ok || varLibPrivate.Contains(p) {
				continue
			}
			if known {
				s.dynamic[p] = firstText(s.dynamic[p], u.Name)
				continue
			}
			why, _ := u.DynamicUser.Why()
			s.perhapsDynamic[p] = firstText(s.perhapsDynamic[p], "whether "+u.Name+" keeps it in %s is unknown: "+why.String())
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
	// What the root binds cannot lie on the root.
	s.onRoot = stateward.TierResult{State: stateward.SurvivalUnknown, By: "a loop of bind mounts at /"}
	r := s.ofMounts(stateward.Root, s.mounts[stateward.Root], &trail{})
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

// rootTier is the root's state as an answer for what lies on it.
func (s *storage) rootTier() stateward.TierResult {
	switch s.root.Wiped {
	case stateward.SurvivalYes:
		return stateward.TierResult{State: stateward.SurvivalNo, By: s.root.By}
	case stateward.SurvivalNo:
		return stateward.TierResult{State: stateward.SurvivalYes, By: s.mounts[stateward.Root][0].by}
	default:
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: s.root.By}
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
				if name, ok := subvolumeOption(o); ok {
					matched[name] = true
				}
			}
		}
	}
	var left []string
	for _, names := range s.wipes.all() {
		for name, x := range names {
			if !matched[name] {
				left = append(left, fmt.Sprintf("%s wipes %s, which no entry of fileSystems names", x.hook, name))
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
	if len(s.dynamic) == 0 {
		return p
	}
	for q := p; q.Below(varLib); q = q.Parent() {
		if _, ok := s.dynamic[q]; ok {
			return private(p)
		}
	}
	return p
}

// private returns the place that a path below /var/lib has under DynamicUser.
func private(p stateward.AbsPath) stateward.AbsPath {
	rel, _ := varLib.Rel(p)
	r, _ := varLibPrivate.Join(rel)
	return r
}

// perhapsPrivate says why it is not known whether a path's content is below
// /var/lib/private; empty when that is known.
func (s *storage) perhapsPrivate(p stateward.AbsPath) string {
	if len(s.perhapsDynamic) == 0 || !p.Below(varLib) || varLibPrivate.Contains(p) {
		return ""
	}
	for q := p; ; q = q.Parent() {
		if why, ok := s.perhapsDynamic[q]; ok {
			return strings.Replace(why, "%s", private(p).String(), 1)
		}
		if q == varLib {
			return ""
		}
	}
}

// reboot answers the tier "reboot" for what really is at p.
func (s *storage) reboot(p stateward.AbsPath) stateward.TierResult {
	if by, ok := runtimePath(p); ok {
		return stateward.TierResult{State: stateward.SurvivalNotNeeded, By: by}
	}
	real := s.real(p)
	r := s.seen(real)
	if real == p {
		if why := s.perhapsPrivate(p); why != "" && s.seen(private(p)).State != r.State {
			return stateward.TierResult{State: stateward.SurvivalUnknown, By: why}
		}
	}
	return r
}

// seen answers for p, and turns "no" into "unknown" where something that could not
// be seen may hold it.
func (s *storage) seen(p stateward.AbsPath) stateward.TierResult {
	r := s.backing(p, &trail{start: p})
	if r.State != stateward.SurvivalNo {
		return r
	}
	unknown := func(by string) stateward.TierResult {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: by}
	}
	if s.blind != "" {
		return unknown(s.blind)
	}
	if pools, ok := s.host.ExtraPools.Get(); ok && len(pools) > 0 {
		return unknown(fmt.Sprintf("pool %s of boot.zfs.extraPools mounts its datasets where their own mountpoint property says", pools[0]))
	}
	if why, is := s.host.ExtraPools.Why(); is {
		return unknown(why.String())
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

// trail is what was asked on the way from one path, so that loops of bind mounts end.
type trail struct {
	start stateward.AbsPath
	seen  map[stateward.AbsPath]stateward.TierResult
}

// follow answers for a path that a bind mount leads to.
func (s *storage) follow(p stateward.AbsPath, t *trail) stateward.TierResult {
	loop := func(at stateward.AbsPath) stateward.TierResult {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: "a loop of bind mounts at " + at.String()}
	}
	if t.seen == nil {
		t.seen = map[stateward.AbsPath]stateward.TierResult{t.start: loop(t.start)}
	}
	if r, ok := t.seen[p]; ok {
		return r
	}
	if len(t.seen) > maxBinds {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: fmt.Sprintf("more than %d bind mounts", maxBinds)}
	}
	t.seen[p] = loop(p)
	r := s.backing(p, t)
	t.seen[p] = r
	return r
}

// backing walks up from p to what is mounted over it.
func (s *storage) backing(p stateward.AbsPath, t *trail) stateward.TierResult {
	for q := p; q != stateward.Root; q = q.Parent() {
		r, persisted := s.ofPersistence(s.persisted[q], q == p)
		mounts := s.mounts[q]
		switch {
		case persisted && len(mounts) > 0:
			if m := s.ofMounts(p, mounts, t); m.State != r.State {
				return stateward.TierResult{State: stateward.SurvivalUnknown, By: fmt.Sprintf("%s and %s hide one another", r.By, mounts[0].by)}
			}
			return r
		case persisted:
			return r
		case len(mounts) > 0:
			return s.ofMounts(p, mounts, t)
		}
	}
	return s.onRoot
}

// ofPersistence answers for what entries of one path hold. A persisted file holds itself only.
func (s *storage) ofPersistence(entries []persisted, itself bool) (r stateward.TierResult, ok bool) {
	for _, e := range entries {
		if e.entry.Kind == stateward.File && !itself {
			continue
		}
		one := s.ofEntry(e)
		if ok && one.State != r.State {
			return stateward.TierResult{State: stateward.SurvivalUnknown, By: fmt.Sprintf("%s and %s hide one another", entries[0].root.by, e.root.by)}, true
		}
		if !ok {
			r, ok = one, true
		}
	}
	return r, ok
}

func (s *storage) ofEntry(e persisted) stateward.TierResult {
	at, under := e.root.path, e.root.under
	if why, unknown := e.entry.Storage.Why(); unknown {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: why.String()}
	}
	if own, ok := e.entry.Storage.Get(); ok {
		at, under = own, s.stored(own)
	}
	if under.State != stateward.SurvivalYes {
		return stateward.TierResult{State: under.State, By: fmt.Sprintf("%s is stored at %s, and there: %s", e.root.by, at, under.By)}
	}
	return stateward.TierResult{State: stateward.SurvivalYes, By: e.root.by}
}

// stored answers for a place where persisted state is really kept.
func (s *storage) stored(at stateward.AbsPath) stateward.TierResult {
	if r, ok := s.storedAt[at]; ok {
		return r
	}
	s.storedAt[at] = stateward.TierResult{State: stateward.SurvivalUnknown, By: "a loop of bind mounts at " + at.String()}
	r := s.storageOf(at, &trail{})
	s.storedAt[at] = r
	return r
}

// storageOf is backing without persisted entries: what a persistence root
// itself lies on.
func (s *storage) storageOf(p stateward.AbsPath, t *trail) stateward.TierResult {
	for q := p; q != stateward.Root; q = q.Parent() {
		if ms := s.mounts[q]; len(ms) > 0 {
			return s.ofMounts(p, ms, t)
		}
	}
	return s.onRoot
}

// ofMounts answers for what is mounted at one point above p.
func (s *storage) ofMounts(p stateward.AbsPath, ms []mount, t *trail) stateward.TierResult {
	var out stateward.TierResult
	for i, m := range ms {
		r := s.ofMount(p, m, t)
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

func (s *storage) ofMount(p stateward.AbsPath, m mount, t *trail) stateward.TierResult {
	unknown := func(by string) stateward.TierResult {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: by}
	}
	wiped := func(by string, x wipe) stateward.TierResult {
		if x.doubt != "" {
			return unknown(x.doubt)
		}
		return stateward.TierResult{State: stateward.SurvivalNo, By: by}
	}
	kept := stateward.TierResult{State: stateward.SurvivalYes, By: m.by}
	if s.wipes.unread != "" {
		kept = unknown(s.wipes.unread)
	}
	if m.doubt != "" {
		return unknown(m.doubt)
	}
	if m.zfs != nil {
		if by, x, ok := s.wipes.ofDataset(m.zfs.Name); ok {
			return wiped(by, x)
		}
		return kept
	}
	for _, why := range []func() (stateward.Unknown, bool){m.fs.FSType.Why, m.fs.Device.Why, m.fs.Options.Why} {
		if u, is := why(); is {
			return unknown(u.String())
		}
	}
	if by, x, ok := s.wipes.of(m.fs); ok {
		return wiped(by, x)
	}
	fsType, _ := m.fs.FSType.Get()
	switch {
	case slices.Contains(volatileTypes, fsType):
		return stateward.TierResult{State: stateward.SurvivalNo, By: fmt.Sprintf("%s is a %s", m.by, fsType)}
	case m.fs.IsBind():
		device, _ := m.fs.Device.Get()
		from, err := stateward.ParsePath(device)
		if err != nil {
			return unknown(fmt.Sprintf("%s binds %q", m.by, device))
		}
		rel, _ := m.fs.MountPoint.Path.Rel(p)
		at, ok := from.Join(rel)
		if !ok {
			return unknown(fmt.Sprintf("%s binds %q", m.by, device))
		}
		r := s.follow(at, t)
		r.By = fmt.Sprintf("%s binds %s: %s", m.by, from, r.By)
		return r
	case fsType == "overlay":
		return unknown(m.by + " is an overlay, and where it writes is not read")
	case fsType == "zfs" && m.fs.MountPoint.Path == stateward.Root && m.fs.Device.IsAbsent():
		return unknown(m.by + " names no device")
	default:
		return kept
	}
}
