package backup

import (
	"slices"
	"sort"
	"strings"

	"github.com/stateward/stateward"
)

// Layout tells where the paths of a host lie, as far as its mounts are declared: by `fileSystems`, `systemd.mounts`, the datasets of the
// contracts and of disko, and Impermanence.
type Layout struct {
	at map[stateward.AbsPath]*mounted
	// sorted are the mount points.
	sorted []stateward.AbsPath
	// files are single files that a persistence root shows, by a link or a mount of their own: nothing is below them.
	files map[stateward.AbsPath]*mounted
	// why says why nothing is known of any path, doubt why something may be mounted below each place that is known.
	why, doubt string
}

// mounted is what is mounted somewhere: a dataset of ZFS, a directory that is mounted again, or something else.
type mounted struct {
	dataset string
	bind    stateward.AbsPath
	other   string
	// why says why it is not known where what is mounted there comes from.
	why string
}

// Lying is where a path lies.
type Lying struct {
	// Path is the path in the file system that holds it: below /persist where the given one is mounted from there.
	Path stateward.AbsPath
	// Mounts are the places on the way where something must be mounted, without the root.
	Mounts []stateward.AbsPath
	// Mount is where the file system is mounted, Dataset its name where it is one of ZFS.
	Mount   stateward.AbsPath
	Dataset string
	// Other is the type of a file system that is none of ZFS.
	Other string
	// Unknown says why nothing more is known.
	Unknown string
}

// Pool is that of the dataset.
func (p Lying) Pool() string {
	pool, _, _ := strings.Cut(p.Dataset, "/")
	return pool
}

// NewLayout reads the mounts of a host.
func NewLayout(h *stateward.Host) *Layout {
	p := &Layout{at: map[stateward.AbsPath]*mounted{}, files: map[stateward.AbsPath]*mounted{}}
	if why, unknown := h.FileSystems.Why(); unknown {
		p.why = why.String()
	}
	// What is not read may be mounted anywhere.
	anywhere := func(ask func() (stateward.Unknown, bool)) {
		if why, unknown := ask(); unknown && p.doubt == "" {
			p.doubt = why.String()
		}
	}
	anywhere(h.Mounts.Why)
	anywhere(h.Datasets.Why)
	anywhere(h.Persistence.Why)
	add := func(at stateward.AbsPath, m *mounted) {
		if _, there := p.at[at]; !there && !at.IsZero() {
			p.at[at] = m
			p.sorted = append(p.sorted, at)
		}
	}
	for _, f := range slices.Concat(h.FileSystems.Or(nil), h.Mounts.Or(nil)) {
		if on, known := f.Enable.Get(); known && !on || f.MountPoint.Problem != nil || f.HasOption("noauto") {
			continue
		}
		unread := &mounted{}
		for _, ask := range []func() (stateward.Unknown, bool){f.Enable.Why, f.FSType.Why, f.Device.Why, f.Options.Why} {
			if why, unknown := ask(); unknown && unread.why == "" {
				unread.why = why.String()
			}
		}
		kind, device := f.FSType.Or(""), f.Device.Or("")
		switch {
		case unread.why != "":
			add(f.MountPoint.Path, unread)
		case f.IsBind():
			if from, err := stateward.ParsePath(device); err == nil {
				add(f.MountPoint.Path, &mounted{bind: from})
				continue
			}
			add(f.MountPoint.Path, &mounted{other: "bind"})
		case kind == "zfs" && device != "":
			add(f.MountPoint.Path, &mounted{dataset: device})
		default:
			add(f.MountPoint.Path, &mounted{other: kind})
		}
	}
	for _, d := range h.Datasets.Or(nil) {
		anywhere(d.MountPoint.Why)
		at, err := stateward.ParsePath(d.MountPoint.Or(""))
		if err != nil || d.IsVolume() {
			continue
		}
		if why, unknown := d.CanMount.Why(); unknown {
			add(at, &mounted{why: why.String()})
		} else if d.CanMount.Or("on") == "on" {
			add(at, &mounted{dataset: d.Name})
		}
	}
	for _, r := range h.Persistence.Or(nil) {
		on, known := r.Enable.Get()
		if known && !on {
			continue
		}
		kept := func(e stateward.Entry) *mounted {
			v := r.StoredAt(e)
			from, ok := v.Get()
			for _, ask := range []func() (stateward.Unknown, bool){v.Why, r.Enable.Why} {
				if why, unknown := ask(); unknown {
					return &mounted{why: why.String()}
				}
			}
			if !ok || e.Problem != nil || from == e.Path {
				return nil
			}
			return &mounted{bind: from}
		}
		anywhere(r.Files.Why)
		anywhere(r.Directories.Why)
		for _, e := range r.Files.Or(nil) {
			// Whatever shows it there, what it holds is in the root.
			if m := kept(e); m != nil && p.files[e.Path] == nil {
				p.files[e.Path] = m
			}
		}
		if r.Module != "" && r.Module != stateward.Impermanence {
			continue
		}
		for _, e := range r.Directories.Or(nil) {
			if m := kept(e); m != nil && e.Kind == stateward.Directory && e.Rare().How.IsAbsent() {
				add(e.Path, m)
			}
		}
	}
	slices.SortFunc(p.sorted, func(a, b stateward.AbsPath) int { return strings.Compare(a.String(), b.String()) })
	return p
}

// maxBinds is more than anybody mounts over one another.
const maxBinds = 8

// Of tells where a path lies.
func (p *Layout) Of(path stateward.AbsPath) Lying {
	out := Lying{Path: path}
	if p.why != "" {
		out.Unknown = p.why
		return out
	}
	for range maxBinds {
		if f := p.files[out.Path]; f != nil && p.at[out.Path] == nil {
			if out.Unknown = f.why; f.why != "" {
				return out
			}
			out.Path = f.bind
			continue
		}
		var m *mounted
		for q := range out.Path.Ancestors() {
			if m = p.at[q]; m != nil {
				out.Mount = q
				break
			}
		}
		if m == nil {
			out.Unknown = "no file system is declared that holds " + out.Path.String()
			return out
		}
		if out.Mount != stateward.Root {
			out.Mounts = append(out.Mounts, out.Mount)
		}
		if m.bind.IsZero() {
			if p.doubt != "" && out.Path != out.Mount {
				out.Unknown = p.doubt
				return out
			}
			out.Dataset, out.Other, out.Unknown = m.dataset, m.other, m.why
			return out
		}
		rel, _ := out.Mount.Rel(out.Path)
		next := m.bind
		if out.Path != out.Mount {
			joined, ok := m.bind.Join(rel)
			if !ok {
				out.Unknown = "where " + out.Path.String() + " lies is not understood"
				return out
			}
			next = joined
		}
		out.Path = next
	}
	out.Unknown = path.String() + " is mounted in a circle"
	return out
}

// Below tells of what is mounted below a path.
func (p *Layout) Below(path stateward.AbsPath) []Lying {
	prefix := strings.TrimSuffix(path.String(), "/") + "/"
	var out []Lying
	for i := sort.Search(len(p.sorted), func(i int) bool { return p.sorted[i].String() >= prefix }); i < len(p.sorted) && strings.HasPrefix(p.sorted[i].String(), prefix); i++ {
		if at := p.sorted[i]; at != path {
			out = append(out, p.Of(at))
		}
	}
	return out
}
