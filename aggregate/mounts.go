package aggregate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

// The options that mount units come from.
const (
	unitMounts   = "systemd.mounts"
	initrdMounts = "boot.initrd.systemd.mounts"
)

type mount struct {
	at     stateward.AbsPath
	by     string // for people: `fileSystems."/srv"`
	option string // "fileSystems", unitMounts, initrdMounts; empty for a dataset
	fs     stateward.FileSystem
	zfs    *stateward.Dataset
	origin stateward.Origin
	// doubt says why it is not known whether it is mounted; empty when it is.
	doubt string
	// asked tells that a service asks for the dataset, and nothing that is read makes or mounts it.
	asked bool
	// elsewhere tells that another declaration of the dataset has a mount point, and this one would inherit its own.
	elsewhere bool
}

func (s *storage) addFileSystems(v stateward.Value[[]stateward.FileSystem], option string) {
	s.noteUnknown(v.Why())
	of := option
	for _, f := range v.Or(nil) {
		f.MountPoint = *sound(&f.MountPoint)
		if option = of; of == unitMounts && strings.HasPrefix(f.Origin.Option, initrdMounts) {
			option = initrdMounts
		}
		if on, known := f.Enable.Get(); known && !on {
			continue
		}
		if f.MountPoint.Problem != nil {
			if option != "fileSystems" && climbs(f.MountPoint.Text) {
				continue // systemd refuses a unit whose Where= is not normalised
			}
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
		m := mount{by: by, option: option, fs: f, origin: f.Origin}
		if why, unknown := f.Enable.Why(); unknown {
			m.doubt = why.String()
		}
		s.mounts[at] = append(s.mounts[at], m)
	}
}

func climbs(path string) bool {
	return strings.HasPrefix(path, "/") && slices.Contains(strings.Split(path, "/"), "..")
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
	if dataset.Runs(s.host) {
		datasets = slices.Clone(datasets)
		for i := range datasets {
			datasets[i].Asked = false
		}
	}
	byName, canMounts, doubts := declared(datasets)
	named := map[string][]stateward.AbsPath{}
	for at, ms := range s.mounts {
		for _, m := range ms {
			if d, ok := m.fs.Device.Get(); ok && !m.fs.IsBind() {
				named[d] = append(named[d], at)
			}
		}
	}
	for i := range datasets {
		d := &datasets[i]
		if d.IsVolume() {
			continue // it is mounted nowhere by itself
		}
		places := named[d.Name]
		if d.MountPoint.IsAbsent() && len(places) > 0 {
			continue // fileSystems says where
		}
		at, from, ok, why := mountPointOf(d.Name, byName)
		first, made, placed := byName[d.Name], at, ok
		if first != d && (d.Asked || doubts[d.Name] != "" || d.MountPoint.IsAbsent()) {
			if d.Asked && d.MountPoint.IsAbsent() {
				continue // where it is mounted what makes it says
			}
			byName[d.Name] = d
			at, from, ok, why = mountPointOf(d.Name, byName)
			byName[d.Name] = first
			if d.Asked && ok && placed && at == made {
				continue // it is made, and mounted there
			}
		}
		if why != nil {
			s.noteUnknown(*why, true)
		}
		if d.Asked && slices.Contains(places, at) {
			continue
		}
		canMount, doubt := d.CanMount, firstText(doubts[d.Name], doubts[from])
		if !d.Asked {
			canMount = canMounts[d.Name]
		}
		if why, unknown := canMount.Why(); unknown {
			doubt = why.String()
		}
		if why, unknown := s.host.FileSystems.Why(); unknown && d.MountPoint.IsAbsent() {
			doubt = why.String() // it might say where
		}
		elsewhere := doubt == "" && first != d && !d.Asked && at != made
		if elsewhere {
			doubt = fmt.Sprintf("dataset %s is declared with the mount point %s, and once with none: whether it is at %s is not known", d.Name, first.MountPoint.Or(""), at)
		}
		switch {
		case doubt != "":
		case d.Asked:
			doubt = fmt.Sprintf("dataset %s is declared, and nothing that is read makes or mounts it at %s", d.Name, at)
		case len(places) == 0:
			doubt = s.unmounted(d.Name)
		case !slices.Contains(places, at):
			// What is mounted already is not mounted again.
			doubt = fmt.Sprintf("dataset %s is mounted at %s, and whether it is at %s too is not known", d.Name, slices.MinFunc(places, compareText), at)
		}
		if on := canMount.Or("on"); ok && on == "on" {
			s.mounts[at] = append(s.mounts[at], mount{by: "dataset " + d.Name, zfs: d, origin: d.Origin, doubt: doubt, asked: d.Asked, elsewhere: elsewhere})
		}
	}
}

func compareText(a, b stateward.AbsPath) int { return strings.Compare(a.String(), b.String()) }

// zfsMount is the unit that mounts at boot what has a mount point of its own.
const zfsMount = "zfs-mount.service"

// unmounted says why a dataset that mounts itself may not be mounted at boot: its pool is not imported, or the unit that
// mounts such datasets is off. Empty where neither is known.
func (s *storage) unmounted(name string) string {
	pool, _, _ := strings.Cut(name, "/")
	imported := slices.Contains(s.host.ExtraPools.Or(nil), pool)
	for _, ms := range s.mounts {
		imported = imported || slices.ContainsFunc(ms, func(m mount) bool { return m.zfs == nil && m.store() == pool })
	}
	for _, u := range s.host.Units.Or(nil) {
		on, known := u.Enable.Get()
		if u.Name == zfsMount && known && !on {
			return fmt.Sprintf("dataset %s mounts itself, and %s, which does that at boot, is off", name, zfsMount)
		}
		imported = imported || u.Name == "zfs-import-"+pool+".service" && (on || !known)
	}
	if imported {
		return ""
	}
	for _, why := range []func() (stateward.Unknown, bool){s.host.ExtraPools.Why, s.host.FileSystems.Why, s.host.Units.Why} {
		if u, unknown := why(); unknown {
			return u.String()
		}
	}
	if s.host.ExtraPools.IsAbsent() {
		return "" // not a whole NixOS
	}
	return fmt.Sprintf("dataset %s mounts itself, and nothing that is read imports pool %s at boot", name, pool)
}

// declared tells which of the declarations of each dataset counts: one that makes it before one that only asks for it (D1),
// one with a mount point of its own before one without. canMounts has what those that make it say of canmount together;
// doubts says where they differ.
func declared(datasets []stateward.Dataset) (byName map[string]*stateward.Dataset, canMounts map[string]stateward.Value[string], doubts map[string]string) {
	byName, canMounts, doubts = make(map[string]*stateward.Dataset, len(datasets)), map[string]stateward.Value[string]{}, map[string]string{}
	rank := func(d *stateward.Dataset) int {
		switch {
		case d.Asked:
			return 0
		case d.MountPoint.Or("") != "":
			return 3
		case d.MountPoint.IsUnknown():
			return 2
		}
		return 1
	}
	for i := range datasets {
		d := &datasets[i]
		if first := byName[d.Name]; first == nil || rank(d) > rank(first) {
			byName[d.Name] = d
		}
	}
	for i := range datasets {
		d := &datasets[i]
		if d.Asked {
			continue
		}
		a, known := canMounts[d.Name].Get()
		b, also := d.CanMount.Get()
		if known && also && a != b {
			doubts[d.Name] = fmt.Sprintf("dataset %s is to have canmount=%s and canmount=%s", d.Name, a, b)
		}
		// A property that one of them sets is set.
		if canMounts[d.Name].IsAbsent() || d.CanMount.IsUnknown() || known && also && b == "on" {
			canMounts[d.Name] = d.CanMount
		}
		first := byName[d.Name]
		if d == first {
			continue
		}
		for _, v := range []stateward.Value[string]{first.MountPoint, d.MountPoint} {
			if why, unknown := v.Why(); unknown {
				doubts[d.Name] = why.String()
			}
		}
		if a, b := first.MountPoint.Or(""), d.MountPoint.Or(""); a != b && a != "" && b != "" {
			doubts[d.Name] = fmt.Sprintf("dataset %s is to be mounted at %s and at %s", d.Name, a, b)
		}
	}
	return byName, canMounts, doubts
}

// mountPointOf returns where a declared dataset mounts itself: at its own mount
// point, or below that of the nearest dataset above which has one, which is from. A pool that
// is declared without one is mounted at /POOL (zfsprops(7)).
func mountPointOf(name string, datasets map[string]*stateward.Dataset) (at stateward.AbsPath, from string, ok bool, why *stateward.Unknown) {
	above, below := name, ""
	// Where a dataset above is mounted that is only asked for is not known.
	made := func(n string) *stateward.Dataset {
		if d := datasets[n]; d != nil && (n == name || !d.Asked) {
			return d
		}
		return nil
	}
	for {
		if d := made(above); d != nil {
			if u, unknown := d.MountPoint.Why(); unknown {
				return stateward.AbsPath{}, above, false, &u
			}
			if text, known := d.MountPoint.Get(); known {
				p, err := stateward.ParsePath(text)
				if err != nil {
					return stateward.AbsPath{}, above, false, nil // none, legacy
				}
				at, ok = p.Join(strings.TrimPrefix(below, "/"))
				return at, above, ok, nil
			}
		}
		i := strings.LastIndexByte(above, '/')
		if i < 0 {
			if made(above) == nil {
				return stateward.AbsPath{}, above, false, nil
			}
			at, ok = stateward.Root.Join(name)
			return at, above, ok, nil
		}
		above, below = above[:i], above[i:]+below
	}
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
	switch {
	case s.wipes.unread != "":
		kept = unknown(s.wipes.unread)
	case s.besideRoot(m):
		kept = unknown(s.wipes.opaque)
	}
	if m.asked {
		// Where what lies beneath is kept, it does not matter whether it is mounted.
		if _, _, wiped := s.wipes.ofDataset(m.zfs.Name); !wiped && kept.State == stateward.SurvivalYes && m.at != stateward.Root {
			if r := s.backing(m.at.Parent(), t); r.State == stateward.SurvivalYes {
				return r
			}
		}
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
	if why := s.leftOut(m); why != "" {
		return unknown(m.by + " has the option noauto: " + why + ", and what is written before lies beneath it")
	}
	fsType, _ := m.fs.FSType.Get()
	device, _ := m.fs.Device.Get()
	from, pathErr := stateward.ParsePath(device)
	switch {
	case slices.Contains(volatileTypes, fsType):
		return stateward.TierResult{State: stateward.SurvivalNo, By: fmt.Sprintf("%s is a %s", m.by, fsType)}
	case (fsType == "" || fsType == "auto") && slices.Contains(volatileTypes, device):
		return stateward.TierResult{State: stateward.SurvivalNo, By: fmt.Sprintf("%s is a %s", m.by, device)}
	case strings.HasPrefix(device, "/dev/zram") || strings.HasPrefix(device, "/dev/ram"):
		return stateward.TierResult{State: stateward.SurvivalNo, By: fmt.Sprintf("%s is on %s, which is memory", m.by, device)}
	case m.fs.IsBind():
		rel, _ := m.fs.MountPoint.Path.Rel(p)
		at, ok := from.Join(rel)
		if pathErr != nil || !ok {
			return unknown(fmt.Sprintf("%s binds %q", m.by, device))
		}
		r := s.follow(at, t)
		r.By = fmt.Sprintf("%s binds %s: %s", m.by, from, r.By)
		return r
	case fsType == "overlay":
		return unknown(m.by + " is an overlay, and where it writes is not read")
	case layered(fsType):
		return unknown(fmt.Sprintf("%s is a %s, and where it keeps its files is not read", m.by, fsType))
	case pathErr == nil && !strings.HasPrefix(device, "//") && !remote(fsType) && (m.fs.HasOption("loop") || !inDev(from)):
		if inDev(from) {
			return kept // a loop device over a disk
		}
		r := s.follow(from, t)
		r.By = fmt.Sprintf("%s is the image %s: %s", m.by, from, r.By)
		return r
	case fsType == "zfs" && m.fs.MountPoint.Path == stateward.Root && m.fs.Device.IsAbsent():
		return unknown(m.by + " names no device")
	default:
		return kept
	}
}

// leftOut says that what is mounted is left out at boot, by noauto; empty where it is not. The initrd of scripts mounts what is needed for boot whatever
// its options say, the systemd initrd goes by them: systemd-fstab-generator(8).
func (s *storage) leftOut(m mount) string {
	switch {
	case !m.fs.HasOption("noauto") || m.fs.HasOption("x-systemd.automount"):
		return ""
	case !mountedInInitrd(m):
		return "it is not mounted at boot"
	}
	if why, unknown := s.host.Initrd.Systemd.Why(); unknown {
		return "it is not mounted at boot where the initrd is that of systemd: " + why.String()
	} else if s.host.Initrd.Systemd.Or(false) {
		return "the systemd initrd leaves it out at boot"
	}
	return ""
}

// alwaysNeeded mirrors pathsNeededForBoot of nixpkgs' nixos/lib/utils.nix: the file systems
// that are mounted in the initial ramdisk whatever their option says.
var alwaysNeeded = []string{"/", "/nix", "/nix/store", "/var", "/var/log", "/var/lib", "/var/lib/nixos", "/etc", "/usr"}

// mountedInInitrd tells whether a file system is surely mounted before anything of the host itself runs.
func mountedInInitrd(m mount) bool {
	needed, _ := m.fs.NeededForBoot.Get()
	return needed || slices.Contains(alwaysNeeded, m.at.String())
}

// lateness says why what is mounted comes too late for what is persisted on it.
type lateness struct {
	// why follows the name of what is mounted; empty where it comes in time.
	why string
	// surely tells that it is too late at every boot, unknown that why is what is not known.
	surely, unknown bool
	// subject is the option that makes it late, hint what to do.
	subject, hint string
}

// lateness tells whether an entry of fileSystems is there before the activation script makes what is persisted on it.
func (s *storage) lateness(m mount) lateness {
	needed := lateness{subject: m.by + ".neededForBoot", hint: m.by + ".neededForBoot = true;"}
	if !mountedInInitrd(m) {
		needed.why, needed.surely = "is not needed for boot", true
		if why, unknown := m.fs.NeededForBoot.Why(); unknown {
			needed.why, needed.surely, needed.unknown = "is needed for boot: "+why.String(), false, true
		}
		return needed
	}
	late := lateness{subject: m.by + ".options"}
	switch {
	case m.fs.HasOption("noauto") && !m.fs.HasOption("x-systemd.automount"):
		late.why, late.surely, late.hint = "has the option noauto, by which the systemd initrd leaves it out", true, "take noauto out of "+late.subject
	case m.fs.HasOption("nofail"):
		late.why, late.hint = "has the option nofail, by which the systemd initrd does not wait for it", "take nofail out of "+late.subject
	default:
		return lateness{}
	}
	if why, unknown := s.host.Initrd.Systemd.Why(); unknown {
		late.why, late.surely, late.unknown = late.why+" where that is the initrd: "+why.String(), false, true
	} else if !s.host.Initrd.Systemd.Or(false) {
		return lateness{}
	}
	return late
}

// mountOf returns the mount point at or above p.
func (s *storage) mountOf(p stateward.AbsPath) (stateward.AbsPath, bool) {
	for q := range p.Ancestors() {
		if len(s.mounts[q]) > 0 {
			return q, true
		}
	}
	return stateward.AbsPath{}, false
}

// layered tells whether a file system keeps its files in another one.
func layered(fsType string) bool {
	return fsType == "fuse" || strings.HasPrefix(fsType, "fuse.") ||
		slices.Contains([]string{"mergerfs", "bindfs", "unionfs", "aufs", "ecryptfs", "encfs", "gocryptfs"}, fsType)
}

// remote tells whether a file system's files are on another machine: its device is no file of this one.
func remote(fsType string) bool {
	return slices.Contains([]string{"nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "glusterfs", "afs", "davfs", "sshfs"}, fsType)
}

var dev = stateward.MustPath("/dev")

func inDev(p stateward.AbsPath) bool { return dev.Contains(p) }

// besideRoot tells whether a wipe of something that only its script knows may hit what is mounted: a file system on
// the pool or the device of the root, unless the host counts on its surviving.
func (s *storage) besideRoot(m mount) bool {
	if s.wipes.opaque == "" {
		return false
	}
	if s.spares()[m.at] || nixDir.Contains(m.at) || bootDir.Contains(m.at) {
		return false
	}
	store := m.store()
	return store != "" && slices.ContainsFunc(s.mounts[stateward.Root], func(root mount) bool { return root.store() == store })
}

var bootDir = stateward.MustPath("/boot")

// spares are the mount points on which the host counts: below them lies what is persisted. A wipe
// that hit them would leave nothing of what the host is built on.
func (s *storage) spares() map[stateward.AbsPath]bool {
	if s.spared != nil {
		return s.spared
	}
	s.spared = map[stateward.AbsPath]bool{}
	spare := func(p stateward.AbsPath) {
		for range maxBinds {
			var ms []mount
			for q := range p.Ancestors() {
				if ms = s.mounts[q]; len(ms) > 0 {
					break
				}
			}
			if len(ms) == 0 || ms[0].at == stateward.Root {
				return
			}
			s.spared[ms[0].at] = true
			device, _ := ms[0].fs.Device.Get()
			from, err := stateward.ParsePath(device)
			if err != nil || !ms[0].fs.IsBind() {
				return
			}
			p = from
		}
	}
	for _, r := range s.roots {
		spare(r.path)
		for e := range r.entries() {
			spare(e.Rare().Kept.Or(e.Rare().Storage.Or(r.path)))
		}
	}
	return s.spared
}

// store is the pool of a dataset, else the device.
func (m mount) store() string {
	device, _ := m.fs.Device.Get()
	if m.zfs != nil {
		device = m.zfs.Name
	}
	if fsType, _ := m.fs.FSType.Get(); fsType == "zfs" || m.zfs != nil {
		pool, _, _ := strings.Cut(device, "/")
		return pool
	}
	if !strings.HasPrefix(device, "/dev/") && !strings.Contains(device, "=") {
		return "" // tmpfs, none
	}
	return device
}
