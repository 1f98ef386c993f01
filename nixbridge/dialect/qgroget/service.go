package qgroget

import (
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
	paths, why := backupPaths.Paths(stateward.Directory, dialect.RootOwned)
	s.BackupPaths = backupPaths.Entries(paths, why)

	var l dialect.StateList
	if why != nil {
		l.Lost(*why)
	}
	if dir, ok := s.DataDir.Get(); ok {
		l.Add(dir, stateward.SourceDataDir)
	} else if why, unknown := s.DataDir.Why(); unknown {
		l.Lost(why)
	}
	for _, p := range paths {
		l.Add(dialect.BelowDataDir(s.DataDir, p), stateward.SourceBackupPaths)
	}
	l.Fill(&s)

	s.Databases = dialect.ListOf(n.At("databases"), dialect.ReadDatabase)
	s.Exposure = dialect.ReadExposure(n)
	return s, true
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
		s.Units = []string{dialect.UnitName(unit)}
	}
	var l dialect.StateList
	addAll(&l, n.At("persistedData"), stateward.SourcePersistedData)
	addAll(&l, n.At("backupDirectories"), stateward.SourceBackupPaths)
	if why, unknown := n.Why(); unknown {
		l.Lost(why)
	}
	l.Fill(&s)
	return s, true
}

func addAll(l *dialect.StateList, n *dialect.Node, source stateward.StateSource) {
	paths, why := n.Paths(stateward.Directory, dialect.RootOwned)
	for _, p := range paths {
		l.Add(p, source)
	}
	if why != nil {
		l.Lost(*why)
	}
}
