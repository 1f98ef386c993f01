package qgroget

import (
	"slices"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// serviceModule reads one of `qgroget.serviceModules`.
func serviceModule(name string, n *dialect.Node) (stateward.Service, bool) {
	s := stateward.Service{Name: name, Dialect: Name, Origin: n.Origin(), Enable: n.At("enable").Bool()}
	if on, known := s.Enable.Get(); known && !on {
		// Its required options need no value then.
		n.Ignore()
	}
	if s.Enable.IsAbsent() {
		s.Enable = stateward.NotKnown[bool](n.Wrong(stateward.UnknownForm, "has no enable"))
	}
	dataDir, backupPaths := n.At("dataDir"), n.At("backupPaths")
	s.DataDir = stateward.MapValue(dataDir.Text(), func(text string) (stateward.Entry, error) {
		return stateward.NewEntry(text, stateward.Directory, dataDir.Origin()), nil
	})
	paths, why := pathList(backupPaths)
	s.BackupPaths = entries(backupPaths, paths, why)

	l := stateList{why: why}
	if dir, ok := s.DataDir.Get(); ok {
		l.add(dir, stateward.SourceDataDir)
	} else if why, unknown := s.DataDir.Why(); unknown {
		l.lost(why)
	}
	for _, p := range paths {
		l.add(belowDataDir(s.DataDir, p), stateward.SourceBackupPaths)
	}
	l.fill(&s)

	s.Databases = dialect.ListOf(n.At("databases"), database)
	s.Exposure = stateward.Exposure{
		Exposed:     n.At("exposed").Bool(),
		Domain:      n.At("domain").Text(),
		Subdomain:   n.At("subdomain").Text(),
		Type:        n.At("type").Text(),
		Port:        n.At("port").Int(),
		Middlewares: n.At("middlewares").Strings(),
	}
	return s, true
}

// belowDataDir resolves a backup path that is written relative to the data
// directory. The collector does not: BackupPaths keeps what was written.
func belowDataDir(dataDir stateward.Value[stateward.Entry], p stateward.Entry) stateward.Entry {
	dir, ok := dataDir.Get()
	if p.Problem == nil || !ok || dir.Problem != nil || p.Text == "" {
		return p
	}
	if at, ok := dir.Path.Join(p.Text); ok {
		p.Text, p.Path, p.Problem = at.String(), at, nil
	}
	return p
}

// database reads an element of `databases`: a set, or only the name.
func database(n *dialect.Node) (stateward.Database, bool) {
	if n.Kind() == dialect.String {
		return stateward.Database{Name: n.Text(), Origin: n.Origin()}, true
	}
	return stateward.Database{Type: n.At("type").Text(), Name: n.At("name").Text(), User: n.At("user").Text(), Origin: n.Origin()}, true
}

// service reads one of the older `qgroget.services`.
func service(name string, n *dialect.Node) (stateward.Service, bool) {
	s := stateward.Service{Name: name, Dialect: Name, Origin: n.Origin(), Enable: n.At("enable").Bool()}
	if s.Enable.IsAbsent() {
		// What is declared there runs.
		s.Enable = stateward.Known(true, n.Origin())
	}
	if on, known := s.Enable.Get(); known && !on {
		n.Ignore()
	}
	if unit := n.At("unitName").Text().Or(""); unit != "" {
		s.Units = []string{withSuffix(unit)}
	}
	var l stateList
	l.addAll(n.At("persistedData"), stateward.SourcePersistedData)
	l.addAll(n.At("backupDirectories"), stateward.SourceBackupPaths)
	if why, unknown := n.Why(); unknown {
		l.lost(why)
	}
	l.fill(&s)
	return s, true
}

func withSuffix(unit string) string {
	for _, suffix := range []string{".service", ".socket", ".timer", ".target", ".mount", ".path"} {
		if len(unit) > len(suffix) && unit[len(unit)-len(suffix):] == suffix {
			return unit
		}
	}
	return unit + ".service"
}

// stateList gathers the state of one service.
type stateList struct {
	paths []stateward.StatePath
	why   *stateward.Unknown
}

// add keeps the first of two entries that say the same.
func (l *stateList) add(e stateward.Entry, source stateward.StateSource) {
	if slices.ContainsFunc(l.paths, func(p stateward.StatePath) bool {
		return p.Text == e.Text && !p.HasOwner() && !e.HasOwner()
	}) {
		return
	}
	l.paths = append(l.paths, stateward.StatePath{Entry: e, Source: source})
}

func (l *stateList) addAll(n *dialect.Node, source stateward.StateSource) {
	paths, why := pathList(n)
	for _, p := range paths {
		l.add(p, source)
	}
	if why != nil {
		l.lost(*why)
	}
}

func (l *stateList) lost(why stateward.Unknown) {
	if l.why == nil {
		l.why = &why
	}
}

func (l *stateList) fill(s *stateward.Service) {
	if l.why != nil {
		s.State, s.StateSeen = stateward.NotKnown[[]stateward.StatePath](*l.why), l.paths
		return
	}
	if l.paths == nil {
		l.paths = []stateward.StatePath{}
	}
	s.State = stateward.Known(l.paths, s.Origin)
}

// pathList reads a path, a set with a `directory`, or a list of both, in lists of any
// depth. What could not be read is in why; the list holds the rest.
func pathList(n *dialect.Node) (list []stateward.Entry, why *stateward.Unknown) {
	list = []stateward.Entry{}
	note := func(u stateward.Unknown) {
		if why == nil {
			why = &u
		}
	}
	var read func(n *dialect.Node)
	read = func(n *dialect.Node) {
		switch n.Kind() {
		case dialect.Absent, dialect.Null:
		case dialect.List:
			for _, e := range n.List() {
				read(e)
			}
		default:
			text := n.Text
			if n.Kind() == dialect.Attrs {
				text = n.At("directory").Text
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
			e := stateward.NewEntry(s, stateward.Directory, n.Origin())
			if n.Kind() == dialect.Attrs {
				n.ReadOwnership(&e, dialect.RootOwned)
			}
			list = append(list, e)
		}
	}
	read(n)
	return list, why
}
