package aggregate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

type mount struct {
	by     string // for people: `fileSystems."/srv"`
	option string // "fileSystems", "systemd.mounts"; empty for a dataset
	fs     stateward.FileSystem
	zfs    *stateward.Dataset
	origin stateward.Origin
	// doubt says why it is not known whether it is mounted; empty when it is.
	doubt string
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
