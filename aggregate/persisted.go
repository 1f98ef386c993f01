package aggregate

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/stateward/stateward"
)

// persistenceRoot is an enabled persistence root whose path is known.
type persistenceRoot struct {
	stateward.PersistenceRoot
	path stateward.AbsPath
	// by is its option path; under answers for what it is stored on.
	by    string
	under stateward.TierResult
	// session tells that nothing of it is there before its user logs in, and so nothing of the host depends on it.
	session bool
}

type persisted struct {
	entry *stateward.Entry
	root  *persistenceRoot
}

func (s *storage) addPersistence(v stateward.Value[[]stateward.PersistenceRoot]) {
	s.noteUnknown(v.Why())
	for _, r := range v.Or(nil) {
		if enabled, ok := r.Enable.Get(); ok && !enabled {
			continue
		}
		for _, why := range []func() (stateward.Unknown, bool){r.Enable.Why, r.Path.Why, r.Directories.Why, r.Files.Why} {
			u, unknown := why()
			if home, ok := r.Home.Get(); ok && unknown {
				// Whatever it is, it lies in the home.
				s.blindHomes = append(s.blindHomes, blindHome{home, u.String()})
				continue
			}
			s.noteUnknown(u, unknown)
		}
		path, ok := r.Path.Get()
		if ok && path.IsZero() {
			s.blind = firstText(s.blind, r.Origin.Option+" names no path")
			continue
		}
		if !ok || r.Enable.IsUnknown() {
			continue
		}
		loop := stateward.TierResult{State: stateward.SurvivalUnknown, By: "a loop of bind mounts at " + path.String()}
		root := &persistenceRoot{PersistenceRoot: r, path: path, by: r.Option(), under: loop}
		root.session = r.Module == stateward.HomeManager
		for e := range root.entries() {
			root.session = root.session && !e.Rare().How.IsAbsent()
		}
		s.roots = append(s.roots, root)
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
	for at, es := range s.persisted {
		if len(es) > 1 {
			slices.SortStableFunc(es, func(a, b persisted) int {
				return cmp.Or(cmp.Compare(a.root.Name, b.root.Name), compareOrigins(a.entry.Origin, b.entry.Origin))
			})
			s.persisted[at] = distinct(es)
		}
	}
}

// distinct keeps the first of the entries that are kept in one way: one path may be listed
// over and over, and each of the paths below it asks.
func distinct(es []persisted) []persisted {
	type way struct {
		root          *persistenceRoot
		kind          stateward.EntryKind
		storage, kept string
	}
	seen := map[way]bool{}
	return slices.DeleteFunc(es, func(e persisted) bool {
		w := way{e.root, e.entry.Kind, e.entry.Rare().Storage.String(), e.entry.Rare().Kept.String()}
		again := seen[w]
		seen[w] = true
		return again
	})
}

// dropBind leaves out the very bind mount that an entry asks for, which the persistence
// module declares itself.
func (s *storage) dropBind(e *stateward.Entry, r *persistenceRoot) {
	at := e.Path
	ms, ok := s.mounts[at]
	if !ok {
		return
	}
	from, _ := r.StoredAt(*e).Get()
	ms = slices.DeleteFunc(ms, func(m mount) bool {
		device, ok := m.fs.Device.Get()
		if !ok || m.zfs != nil || !m.fs.IsBind() {
			return false
		}
		what, err := stateward.ParsePath(device)
		return err == nil && what == from
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
				if !yield(sound(&list[i])) {
					return
				}
			}
		}
	}
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
	rare := e.entry.Rare()
	for _, elsewhere := range []stateward.Value[stateward.AbsPath]{rare.Storage, rare.Kept} {
		if why, unknown := elsewhere.Why(); unknown {
			return stateward.TierResult{State: stateward.SurvivalUnknown, By: why.String()}
		}
		if own, ok := elsewhere.Get(); ok {
			at, under = own, s.stored(own)
		}
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
	for q := range p.Ancestors() {
		if q == stateward.Root {
			break
		}
		ms := s.mounts[q]
		l, linked := s.links[q]
		switch {
		case len(ms) > 0 && linked:
			return stateward.TierResult{State: stateward.SurvivalUnknown, By: fmt.Sprintf("%s and %s hide one another", ms[0].by, l.by)}
		case len(ms) > 0:
			return s.ofMounts(p, ms, t)
		case linked:
			return s.ofLink(p, l, t)
		}
	}
	return s.onRootUnlessZero(p)
}

func (s *storage) onRootUnlessZero(p stateward.AbsPath) stateward.TierResult {
	if p.IsZero() {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: "there is no path"}
	}
	return s.onRoot
}
