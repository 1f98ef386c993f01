package aggregate

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"mvdan.cc/sh/v3/syntax"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

// Observed is what was seen on the host itself, as opposed to what its configuration says.
type Observed struct {
	// Listings are those of `stateward capture persist`.
	Listings []*stateward.Listing
	// Pools are what the pools have, of `stateward capture zfs`; nil means that nobody looked.
	Pools *dataset.Observed
}

// MaxListingAge is how old a listing may be before it is said that what it tells may be over.
const MaxListingAge = 30 * 24 * time.Hour

// observed is what was seen, to be asked for single paths.
type observed struct {
	listings []*stateward.Listing
	// trees are sorted, the longest path first: the first that holds a path answers for it.
	trees []*tree
}

// tree is one listed tree.
type tree struct {
	*stateward.ListingRoot
	at       stateward.AbsPath
	listing  *stateward.Listing
	entries  map[string]*stateward.ListingEntry
	children map[string][]*stateward.ListingEntry
}

func newObserved(in *Observed) *observed {
	if in == nil || len(in.Listings) == 0 && in.Pools != nil {
		return nil
	}
	o := &observed{listings: in.Listings}
	for _, l := range in.Listings {
		for i := range l.Roots {
			r := &l.Roots[i]
			at, err := stateward.ParsePath(r.Name())
			if err != nil {
				continue
			}
			t := &tree{ListingRoot: r, at: at, listing: l, entries: make(map[string]*stateward.ListingEntry, len(r.Entries)), children: map[string][]*stateward.ListingEntry{}}
			for j := range r.Entries {
				e := &r.Entries[j]
				name := e.Name()
				t.entries[name] = e
				if name == "." {
					continue
				}
				parent := "."
				if k := strings.LastIndexByte(name, '/'); k >= 0 {
					parent = name[:k]
				}
				t.children[parent] = append(t.children[parent], e)
			}
			o.trees = append(o.trees, t)
		}
	}
	slices.SortStableFunc(o.trees, func(a, b *tree) int {
		return cmp.Or(cmp.Compare(len(b.at.String()), len(a.at.String())), cmp.Compare(a.at.String(), b.at.String()), compareBools(a.Live, b.Live))
	})
	return o
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	default:
		return 1
	}
}

// sight is what was seen at a path: an entry, or nothing (entry is nil and doubt is empty), or that it is not known.
type sight struct {
	// at is where the path leads once symbolic links are followed.
	at    stateward.AbsPath
	entry *stateward.ListingEntry
	// doubt says why it is not known what is there; advice what to do about it.
	doubt, advice string
	// unlisted tells that the path is in no listed tree.
	unlisted bool
	// closed is the directory that could not be looked into, and why it is closed.
	closed   stateward.Closed
	closedAt stateward.AbsPath
	// levels is how many levels of the tree have to be listed to see it, where closed is ClosedDepth.
	levels int
	// hollow tells that nothing but empty directories lies in the directory that closed it.
	hollow bool
	// summed tells that something lies below the directory that closed it, which is too deep to be listed.
	summed bool
}

func (s sight) missing() bool { return s.entry == nil && s.doubt == "" }

// data tells whether there is anything but empty directories.
func (s sight) data() (some, known bool) {
	if s.entry == nil {
		return false, s.doubt == "" || s.hollow
	}
	return s.entry.Data()
}

// maxLinks is how many symbolic links are followed, as the kernel does.
const maxLinks = 40

// look returns what was seen at p.
func (o *observed) look(p stateward.AbsPath) sight {
	for range maxLinks {
		i := slices.IndexFunc(o.trees, func(t *tree) bool { return t.at.Contains(p) })
		if i < 0 {
			return sight{at: p, unlisted: true, doubt: fmt.Sprintf("the capture does not list %s", p), advice: "name it, or a directory above it, when capturing"}
		}
		s, to := o.trees[i].look(p)
		if to.IsZero() {
			return s
		}
		p = to
	}
	return sight{at: p, doubt: fmt.Sprintf("%s leads through more than %d symbolic links", p, maxLinks)}
}

// look walks down to p. It stops at a symbolic link, and returns where p leads then.
func (t *tree) look(p stateward.AbsPath) (s sight, to stateward.AbsPath) {
	rel, _ := t.at.Rel(p)
	name, rest := ".", ""
	if rel != "." {
		rest = rel
	}
	for {
		e := t.entries[name]
		here := t.path(name)
		switch {
		case e == nil:
			return sight{at: p}, to
		case e.Kind == stateward.ListedSymlink:
			target := e.Link()
			if !strings.HasPrefix(target, "/") {
				target = here.Parent().String() + "/" + target
			}
			to, ok := resolveDots(target + "/" + rest)
			if !ok {
				return sight{at: p, doubt: fmt.Sprintf("%s is a symbolic link that leads nowhere", here)}, stateward.AbsPath{}
			}
			return sight{}, to
		case e.Kind == stateward.ListedUnknown:
			return sight{at: p, doubt: fmt.Sprintf("%s could not be read (%s)", here, e.Error), advice: "capture as root", closed: stateward.ClosedUnread, closedAt: here}, to
		case rest == "":
			return sight{at: p, entry: e}, to
		case e.Kind == stateward.ListedDirectory && e.Closed != stateward.Open:
			s := sight{at: p, closed: e.Closed, closedAt: here}
			s.doubt, s.advice = whyClosed(here, e, t)
			if e.Closed == stateward.ClosedDepth {
				s.levels = strings.Count(rel, "/") + 1
				s.advice = depthAdvice(s.levels)
			}
			some, known := e.Data()
			s.hollow, s.summed = known && !some, some && e.Closed == stateward.ClosedDepth
			return s, to
		}
		first, more, _ := strings.Cut(rest, "/")
		if name == "." {
			name = first
		} else {
			name += "/" + first
		}
		rest = more
	}
}

// path is the absolute path of an entry.
func (t *tree) path(name string) stateward.AbsPath {
	p, _ := t.at.Join(name)
	return p
}

// resolveDots cleans a path in which ".." may stand. What it means where a directory before it is itself a link is not
// followed: such links are made by hand, and rare.
func resolveDots(s string) (stateward.AbsPath, bool) {
	var out []string
	for c := range strings.SplitSeq(s, "/") {
		switch c {
		case "", ".":
		case "..":
			if len(out) > 0 {
				out = out[:len(out)-1]
			}
		default:
			out = append(out, c)
		}
	}
	p, err := stateward.ParsePath("/" + strings.Join(out, "/"))
	return p, err == nil
}

func whyClosed(at stateward.AbsPath, e *stateward.ListingEntry, t *tree) (doubt, advice string) {
	switch e.Closed {
	case stateward.ClosedMount:
		return fmt.Sprintf("%s is a file system of its own, which the capture does not look into", at), fmt.Sprintf("name %s too when capturing", at)
	case stateward.ClosedUnread:
		return fmt.Sprintf("%s could not be read (%s)", at, e.Error), "capture as root"
	case stateward.ClosedDepth:
		return fmt.Sprintf("the capture lists no more than %d levels of %s", t.Depth, t.at), "capture with a greater --depth"
	case stateward.ClosedMany:
		return fmt.Sprintf("%s has too many names to list them", at), fmt.Sprintf("name %s too when capturing", at)
	default:
		return fmt.Sprintf("the capture does not look into %s", at), ""
	}
}

// whyUnknown says why it is not known whether an entry that was seen holds data.
func whyUnknown(at stateward.AbsPath, e *stateward.ListingEntry) (doubt, advice string) {
	switch e.Closed {
	case stateward.ClosedMount, stateward.ClosedSkipped, stateward.ClosedUnread:
		return whyClosed(at, e, &tree{})
	default:
		return fmt.Sprintf("some of what lies in %s could not be read", at), "capture as root"
	}
}

func depthAdvice(levels int) string { return fmt.Sprintf("capture with --depth %d", levels) }

// size reads as "3.4 GiB in 120 files".
func size(e *stateward.ListingEntry) string {
	if e.Kind == stateward.ListedFile {
		return bytesText(e.Size)
	}
	if e.Kind != stateward.ListedDirectory {
		return "a " + strings.ReplaceAll(string(e.Kind), "-", " ")
	}
	least, files := "", "files"
	if e.Partial || e.Closed == stateward.ClosedUnread {
		least = "at least "
	}
	if e.Files == 1 {
		files = "file"
	}
	return fmt.Sprintf("%s%s in %d %s", least, bytesText(e.Bytes), e.Files, files)
}

func bytesText(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	x, i := float64(n), 0
	for x >= 1023.95 && i < len(units)-1 {
		x /= 1024
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", x, units[i])
}

// source is where an entry is really kept; ok is false where that is not known.
func (e rootEntry) source() (at stateward.AbsPath, ok bool) {
	if e.Problem != nil || e.Rare().Storage.IsUnknown() || e.storageRoot().IsZero() {
		return stateward.AbsPath{}, false
	}
	return e.storageRoot().Mount(e.Path), true
}

// storageRoot is the persistence root that an entry is kept in.
func (e rootEntry) storageRoot() stateward.AbsPath { return e.Rare().Storage.Or(e.root.path) }

// shellWord quotes a path for the shell.
func shellWord(p stateward.AbsPath) string {
	q, err := syntax.Quote(p.String(), syntax.LangBash)
	if err != nil {
		return p.String() // only a NUL byte cannot be quoted, and no path has one
	}
	return q
}

// copyCommand is [CopyCommand].
func copyCommand(from, to stateward.AbsPath) string { return CopyCommand(from, to) }

// CopyCommand is a line of bash that copies what lies at from to where it is to be kept. The directories above get the
// owner and mode that they have where it lies: Impermanence gives those of the storage to the ones that it makes, so
// that a home of root would shut its user out. What lies on another device below from is not copied.
func CopyCommand(from, to stateward.AbsPath) string {
	base, rest := to, stateward.Root
	// What both end in goes into the storage as a whole.
	for f := from; f != stateward.Root && base != stateward.Root && path.Base(f.String()) == path.Base(base.String()); f, base = f.Parent(), base.Parent() {
		rest = f
	}
	if rest == stateward.Root {
		return fmt.Sprintf("mkdir -p -- %s && cp -ax --reflink=auto -T -- %s %s", shellWord(to.Parent()), shellWord(from), shellWord(to))
	}
	above := rest.Parent()
	rel, _ := above.Rel(from)
	word, err := syntax.Quote(rel, syntax.LangBash)
	if err != nil {
		word = rel
	}
	mk := ""
	if above != stateward.Root {
		mk = "mkdir -p -- " + shellWord(base) + " && "
	}
	return fmt.Sprintf("%s(cd -- %s && cp -ax --reflink=auto --parents -- %s %s)", mk, shellWord(above), word, shellWord(base))
}

// keepers are the services that keep state at p, below it or in a directory above it.
func (f *facts) keepers(p stateward.AbsPath) []string {
	names := map[string]bool{}
	for i := range f.rows {
		r := &f.rows[i]
		if r.unread || r.state.Problem != nil {
			continue
		}
		if at, err := stateward.ParsePath(r.path); err == nil && (p.Contains(at) || at != stateward.Root && at.Contains(p)) {
			names[r.service.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// observedNeeds says what the checks of a listing read of a configuration, beside [needs]: they speak only where there is one.
var observedNeeds = []struct {
	prefix string
	codes  []string
}{
	{"boot.initrd.network.ssh", []string{"SW122"}},
	{"containers", []string{"SW121", "SW122"}},
	{"disko", []string{"SW122"}},
	{"environment.persistence", []string{"SW121", "SW122", "SW123"}},
	{"fileSystems", []string{"SW122"}},
	{"home-manager", []string{"SW121", "SW122", "SW123"}},
	{"preservation", []string{"SW121", "SW122", "SW123"}},
	{"qgroget", []string{"SW121", "SW122"}},
	{"services", []string{"SW121", "SW122"}},
	{"sops", []string{"SW122"}},
	{"age", []string{"SW122"}},
	{"swapDevices", []string{"SW122"}},
	{"systemd.mounts", []string{"SW122"}},
	{"systemd.services", []string{"SW121", "SW122", "SW123"}},
	{"systemd.tmpfiles", []string{"SW122", "SW123"}},
	{"users.groups", []string{"SW123"}},
	{"users.users", []string{"SW122", "SW123"}},
	{"virtualisation", []string{"SW121", "SW122"}},
}

// NeededByCapture tells whether a check of a listing reads an option, where there is one.
func NeededByCapture(subject string) bool { return len(observedReaders(subject)) > 0 }

// observedReaders names the checks of a listing that read an option.
func observedReaders(subject string) []string {
	var codes []string
	path := components(subject)
	for _, n := range observedNeeds {
		prefix := strings.Split(n.prefix, ".")
		if startsWith(path, prefix) || startsWith(prefix, path) {
			codes = append(codes, n.codes...)
		}
	}
	return codes
}
