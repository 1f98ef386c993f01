package dialect

import (
	"slices"

	"github.com/stateward/stateward"
)

// StateList gathers the state of one service.
type StateList struct {
	paths []stateward.StatePath
	why   *stateward.Unknown
}

// Add keeps the first of two entries that say the same.
func (l *StateList) Add(e stateward.Entry, source stateward.StateSource) {
	if slices.ContainsFunc(l.paths, func(p stateward.StatePath) bool {
		return p.Text == e.Text && p.Kind == e.Kind && !p.HasOwner() && !e.HasOwner()
	}) {
		return
	}
	l.paths = append(l.paths, stateward.StatePath{Entry: e, Source: source})
}

// Lost says that a part could not be had; the first reason counts.
func (l *StateList) Lost(why stateward.Unknown) {
	if l.why == nil {
		l.why = &why
	}
}

// Fill gives a service what was gathered.
func (l *StateList) Fill(s *stateward.Service) {
	if l.why != nil {
		s.State, s.StateSeen = stateward.NotKnown[[]stateward.StatePath](*l.why), l.paths
		return
	}
	if l.paths == nil {
		l.paths = []stateward.StatePath{}
	}
	s.State = stateward.Known(l.paths, s.Origin)
}

// Paths reads a path, a set that has one as its attribute `directory`, or `file`, by the kind, with owner and mode; or a list of
// both, in lists of any depth. What equals the defaults counts as not given. What could not be read is in why; the list
// holds the rest.
func (n *Node) Paths(kind stateward.EntryKind, defaults Ownership) (list []stateward.Entry, why *stateward.Unknown) {
	attr := "directory"
	if kind == stateward.File {
		attr = "file"
	}
	list = []stateward.Entry{}
	note := func(u stateward.Unknown) {
		if why == nil {
			why = &u
		}
	}
	var read func(n *Node)
	read = func(n *Node) {
		switch n.Kind() {
		case Absent, Null:
		case List:
			for _, e := range n.List() {
				read(e)
			}
		default:
			text := n.Text
			if n.Kind() == Attrs {
				text = n.At(attr).Text
			}
			v := text()
			if u, unknown := v.Why(); unknown {
				note(u)
				return
			}
			s, ok := v.Get()
			if !ok {
				note(n.Wrong(stateward.UnknownType, "expected a path, found %s", n.Kind()))
				return
			}
			e := stateward.NewEntry(s, kind, n.Origin())
			if n.Kind() == Attrs {
				n.ReadOwnership(&e, defaults)
			}
			list = append(list, e)
		}
	}
	read(n)
	return list, why
}

// Entries is a list of entries read from the place, which is unknown where one of them is.
func (n *Node) Entries(list []stateward.Entry, why *stateward.Unknown) stateward.Value[[]stateward.Entry] {
	switch {
	case why != nil:
		return stateward.NotKnown[[]stateward.Entry](*why)
	case n.Kind() == Absent || n.Kind() == Null:
		return stateward.Absent[[]stateward.Entry](n.Origin())
	default:
		return stateward.Known(list, n.Origin())
	}
}

// BelowDataDir resolves a path that is written relative to the data directory of its service.
func BelowDataDir(dataDir stateward.Value[stateward.Entry], p stateward.Entry) stateward.Entry {
	dir, ok := dataDir.Get()
	if p.Problem == nil || !ok || dir.Problem != nil || p.Text == "" {
		return p
	}
	if at, ok := dir.Path.Join(p.Text); ok {
		p.Text, p.Path, p.Problem = at.String(), at, nil
	}
	return p
}

// ReadDatabase reads a database of a contract: a set, or only the name.
func ReadDatabase(n *Node) (stateward.Database, bool) {
	if n.Kind() == String {
		return stateward.Database{Name: n.Text(), Origin: n.Origin()}, true
	}
	return stateward.Database{Type: n.At("type").Text(), Name: n.At("name").Text(), User: n.At("user").Text(), Origin: n.Origin()}, true
}

// ReadExposure reads how a service is reached.
func ReadExposure(n *Node) stateward.Exposure {
	return stateward.Exposure{
		Exposed:     n.At("exposed").Bool(),
		Domain:      n.At("domain").Text(),
		Subdomain:   n.At("subdomain").Text(),
		Type:        n.At("type").Text(),
		Port:        n.At("port").Int(),
		Middlewares: n.At("middlewares").Strings(),
	}
}

// UnitName adds the suffix that the name of a unit has.
func UnitName(unit string) string {
	for _, suffix := range []string{".service", ".socket", ".timer", ".target", ".mount", ".path"} {
		if len(unit) > len(suffix) && unit[len(unit)-len(suffix):] == suffix {
			return unit
		}
	}
	return unit + ".service"
}
