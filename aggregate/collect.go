package aggregate

import (
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// Collection is what [Collect] returns.
type Collection struct {
	// Entries are the host's own entries, then the collected ones.
	Entries []stateward.Entry
	// Own is how many of Entries were the host's own.
	Own int
	// Unknown lists the values that could not be had, and so could not be
	// collected. The Nix collector would have failed there as a whole.
	Unknown []stateward.Unknown
}

// Collected returns the entries that the services brought.
func (c Collection) Collected() []stateward.Entry { return c.Entries[c.Own:] }

// Collect is the collector of the service contract. It equals this Nix
// expression, order included:
//
//	environment.persistence.<root>.directories = lib.mkAfter (lib.unique (lib.flatten
//	  (lib.mapAttrsToList (name: s: [ s.dataDir ] ++ s.backupPaths)
//	    (lib.filterAttrs (name: s: s.enable) services))));
//
// Services are taken in the order of their names (byte by byte, as Nix does),
// disabled ones are left out, of equal entries the first is kept, and the
// host's own entries stand before all others, untouched. Texts are compared as
// they are written: the collector takes "/a" and "/a/" for two paths.
// [Resolve] does not. Owner and mode are compared by value, "750" as "0750", and an
// attribute set that gives neither counts as the text: a [stateward.Entry] does not
// tell them apart.
func Collect(own []stateward.Entry, services []stateward.Service) Collection {
	c, _ := collect(own, services)
	return c
}

func collect(own []stateward.Entry, services []stateward.Service) (Collection, *entrySet) {
	// What is new is found first and copied then: entries are large, and most services
	// name a place more than once.
	type place struct{ service, path int }
	const dataDir = -1
	var found []place
	c := Collection{Own: len(own)}
	seen := newEntrySet(len(services))
	for _, i := range orderByName(services) {
		s := &services[i]
		if s.DataDir.IsAbsent() && s.BackupPaths.IsAbsent() {
			continue
		}
		enabled, ok := s.Enable.Get()
		if !ok {
			if why, unknown := s.Enable.Why(); unknown {
				c.Unknown = append(c.Unknown, why)
			}
			continue
		}
		if !enabled {
			continue
		}
		if e, ok := s.DataDir.Get(); ok {
			if seen.add(&e) {
				found = append(found, place{i, dataDir})
			}
		} else if why, unknown := s.DataDir.Why(); unknown {
			c.Unknown = append(c.Unknown, why)
		}
		if es, ok := s.BackupPaths.Get(); ok {
			for j := range es {
				if seen.add(&es[j]) {
					found = append(found, place{i, j})
				}
			}
		} else if why, unknown := s.BackupPaths.Why(); unknown {
			c.Unknown = append(c.Unknown, why)
		}
	}
	c.Entries = make([]stateward.Entry, len(own), len(own)+len(found))
	copy(c.Entries, own)
	for _, f := range found {
		if f.path == dataDir {
			c.Entries = append(c.Entries, services[f.service].DataDir.Or(stateward.Entry{}))
		} else {
			c.Entries = append(c.Entries, services[f.service].BackupPaths.Or(nil)[f.path])
		}
	}
	return c, seen
}

// orderByName returns the indices of services in the order of their names. Services
// of one name keep their order.
func orderByName(services []stateward.Service) []int {
	order := make([]int, len(services))
	for i := range order {
		order[i] = i
	}
	byName := func(a, b int) int { return strings.Compare(services[a].Name, services[b].Name) }
	if !slices.IsSortedFunc(order, byName) {
		slices.SortStableFunc(order, byName)
	}
	return order
}

// entrySet tells equal entries as Nix's == does: texts by their bytes, attribute
// sets by all their attributes.
type entrySet struct {
	texts map[string]struct{}
	// lately are texts that were added last: what services share is named over and over.
	lately recent[string]
	sets   map[entryKey]struct{}
	// ofSets are the texts of sets.
	ofSets map[string]struct{}
}

// entryKey is an entry without its origin.
type entryKey struct {
	text        string
	kind        stateward.EntryKind
	user, group stateward.Owner
	mode        stateward.Mode
	// why says what is unknown of it.
	why string
}

func keyOf(e *stateward.Entry) entryKey {
	k := entryKey{text: e.Text, kind: e.Kind, user: e.User.Or(stateward.Owner{}), group: e.Group.Or(stateward.Owner{}), mode: e.Mode.Or(stateward.Mode{})}
	for _, v := range []interface {
		Why() (stateward.Unknown, bool)
	}{e.User, e.Group, e.Mode} {
		if why, unknown := v.Why(); unknown {
			k.why += why.String() + "\n"
		}
	}
	return k
}

func newEntrySet(hint int) *entrySet {
	return &entrySet{texts: make(map[string]struct{}, hint)}
}

// add reports whether e was not there yet.
func (s *entrySet) add(e *stateward.Entry) bool {
	if !e.HasOwner() && e.Kind == stateward.Directory {
		if s.lately.has(e.Text) {
			return false
		}
		before := len(s.texts)
		s.texts[e.Text] = struct{}{}
		return len(s.texts) > before
	}
	if s.sets == nil {
		s.sets, s.ofSets = map[entryKey]struct{}{}, map[string]struct{}{}
	}
	before := len(s.sets)
	s.sets[keyOf(e)] = struct{}{}
	s.ofSets[e.Text] = struct{}{}
	return len(s.sets) > before
}

// names tells whether an entry with this text is there.
func (s *entrySet) names(text string) bool {
	_, bare := s.texts[text]
	_, set := s.ofSets[text]
	return bare || set
}

// recent remembers the last few of what comes by, so that not all need be looked up.
type recent[T comparable] struct {
	items [4]T
	n     int
}

// has tells whether v came by lately, and remembers it.
func (r *recent[T]) has(v T) bool {
	for i := range min(r.n, len(r.items)) {
		if r.items[i] == v {
			return true
		}
	}
	r.items[r.n%len(r.items)] = v
	r.n++
	return false
}
