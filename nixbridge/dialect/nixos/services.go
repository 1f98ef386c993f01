package nixos

import (
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// services gathers what units, stock modules, containers and rules say of their state. One
// service that several of them describe is there several times. Where one of these cannot be had
// and the others name nothing, it is unknown which services there are.
func services(top *dialect.Node, units []unit, rules []stateward.TmpfilesRule, users []stateward.User) stateward.Value[[]stateward.Service] {
	sources := append([]*dialect.Node{
		top.At("systemd", "services"), top.At("systemd", "tmpfiles", "rules"), top.At("systemd", "tmpfiles", "settings"), top.At("services"),
	}, containerSources(top)...)
	list := []stateward.Service{}
	for i := range units {
		if s, ok := unitService(&units[i]); ok {
			list = append(list, s)
		}
	}
	for _, a := range top.At("services").Attrs() {
		if s, ok := stockService(a.Name, a.Node, top.At("systemd", "services", a.Name)); ok {
			list = append(list, s)
		}
	}
	list = append(list, containers(top)...)
	list = append(list, implied(list, rules, units, users)...)
	if len(list) == 0 && !slices.ContainsFunc(sources, (*dialect.Node).Exists) {
		return stateward.Absent[[]stateward.Service](stateward.Origin{Option: "services"})
	}
	found := stateward.Known(list, stateward.Origin{Option: "services"})
	for _, n := range sources {
		if why, unknown := n.Why(); unknown {
			dialect.Merge(&found, stateward.NotKnown[[]stateward.Service](why))
		}
	}
	return found
}

// stateList gathers the state of one service.
type stateList struct {
	paths []stateward.StatePath
	why   *stateward.Unknown
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
	s.State = stateward.Known(l.paths, s.Origin)
}

// orOn returns an `enable` that may be left out.
func orOn(v stateward.Value[bool], o stateward.Origin) stateward.Value[bool] {
	if v.IsAbsent() {
		return stateward.Known(true, o)
	}
	return v
}

// unitService makes a service of a unit with a StateDirectory.
func unitService(u *unit) (stateward.Service, bool) {
	if len(u.state.words) == 0 && u.state.why == nil {
		return stateward.Service{}, false
	}
	s := stateward.Service{
		Name: u.attr, Dialect: Name, Origin: u.Origin, Enable: orOn(u.Enable, u.Origin), Units: []string{u.Name},
		User: u.User, Group: u.Group, DynamicUser: u.DynamicUser,
	}
	l := stateList{why: u.state.why}
	for _, w := range u.state.words {
		p := stateDirectory(u.Name, w)
		p.Mode = u.StateDirectoryMode
		// A dynamic user has no name that a persisted directory could be given to.
		if u.DynamicUser.IsAbsent() || u.DynamicUser.IsKnown() && !u.DynamicUser.Or(false) {
			if u.User.IsKnown() {
				p.User = u.User
			}
			if u.Group.IsKnown() {
				p.Group = u.Group
			}
		}
		l.paths = append(l.paths, p)
	}
	l.fill(&s)
	return s, true
}

const stateDirectoryAdvice = "write a path below /var/lib without the leading /var/lib/, such as NAME"

// stateDirectory mirrors config_parse_exec_directories of systemd's
// src/core/load-fragment.c: what that ignores with a warning is kept as a problem.
func stateDirectory(unit string, w word) stateward.StatePath {
	name, rest, _ := strings.Cut(w.text, ":")
	_, flags, _ := strings.Cut(rest, ":")
	sp := stateward.StatePath{Source: stateward.SourceStateDirectory, ReadOnly: flags == "ro"}
	path, partial, ok := stateward.StateDirectoryPath(unit, w.text)
	text := "/var/lib/" + name
	problem := ""
	switch {
	case strings.HasPrefix(name, "/"):
		text, problem = name, "is absolute, and systemd ignores it as a StateDirectory"
	case name == "private" || strings.HasPrefix(name, "private/"):
		problem = "is private to systemd, which ignores it as a StateDirectory"
	case !ok && partial:
		// Not even the first component is known.
		path = stateward.MustPath("/var/lib")
	case !ok:
		problem = "is no path below /var/lib, and systemd ignores it as a StateDirectory"
	}
	if problem != "" {
		sp.Entry = stateward.Entry{Text: text, Origin: w.origin,
			Problem: &stateward.PathError{Text: name, Reason: problem, Advice: stateDirectoryAdvice}}
		return sp
	}
	if !partial {
		text = path.String()
	}
	sp.Entry = stateward.Entry{Text: text, Path: path, Origin: w.origin}
	sp.Pattern = partial
	return sp
}

// directoryOptions are the names by which stock modules call the directory of a
// service's state. The projection reads the same.
var directoryOptions = []string{
	"dataDir", "datadir", "dataDirectory", "dataPath", "stateDir", "statePath", "storageDir", "storagePath",
	// immich calls it so.
	"mediaLocation",
}

// placeOptions are names by which stock modules call all kinds of directories. They
// are taken for state only where the value lies in a place where state is kept.
var placeOptions = []string{
	"backupDir", "baseDir", "configDir", "configPath", "contentDir", "databaseDir", "databasePath", "dbDir", "dbPath", "dbpath", "home",
	"homeDir", "libDir", "libraryPath", "location", "mediaDir", "repositoryRoot", "spoolDir", "statedir", "uploadDir",
	"userDir", "varDir", "viewIndexDir", "workDir", "workingDir",
}

// statePlaces are where the file system hierarchy keeps what must last.
var statePlaces = []stateward.AbsPath{
	stateward.MustPath("/var/lib"), stateward.MustPath("/var/local"), stateward.MustPath("/var/db"), stateward.MustPath("/var/backup"),
	stateward.MustPath("/var/spool"), stateward.MustPath("/srv"), stateward.MustPath("/home"), stateward.MustPath("/root"),
}

var store = stateward.MustPath("/nix/store")

func inStatePlace(e stateward.Entry) bool {
	return slices.ContainsFunc(statePlaces, func(p stateward.AbsPath) bool { return e.Path.Below(p) })
}

// stockService makes a service of `services.<name>` where that has a directory.
func stockService(name string, n, unit *dialect.Node) (stateward.Service, bool) {
	s := stateward.Service{Name: name, Dialect: Name, Origin: n.Origin()}
	if why, unknown := n.Why(); unknown {
		s.Enable, s.State = stateward.NotKnown[bool](why), stateward.NotKnown[[]stateward.StatePath](why)
		return s, true
	}
	if n.Kind() != dialect.Attrs {
		return s, false
	}
	s.Enable = n.At("enable").Bool()
	if unit.Exists() {
		s.Units = []string{name + ".service"}
	}
	var l stateList
	for _, option := range directoryOptions {
		l.readStock(n.At(option), s.Enable, stateward.SourceDataDir, func(stateward.Entry) bool { return true })
	}
	// A module that has the service write elsewhere has a package's data beside that.
	if slices.ContainsFunc(l.paths, func(p stateward.StatePath) bool { return !p.Path.Below(store) }) {
		l.paths = slices.DeleteFunc(l.paths, func(p stateward.StatePath) bool { return p.Path.Below(store) })
	}
	for _, option := range placeOptions {
		l.readStock(n.At(option), s.Enable, stateward.SourcePlace, inStatePlace)
	}
	if l.paths == nil && l.why == nil {
		return s, false
	}
	if s.Enable.IsAbsent() {
		s.Enable = stateward.NotKnown[bool](n.Wrong(stateward.UnknownForm, "has no enable"))
	}
	l.fill(&s)
	return s, true
}

// readStock reads an option that holds a directory, or a list of them.
func (l *stateList) readStock(d *dialect.Node, enable stateward.Value[bool], source stateward.StateSource, wanted func(stateward.Entry) bool) {
	switch d.Kind() {
	case dialect.String, dialect.PathValue:
		e, ok := stockDirectory(d)
		if ok && wanted(e) && !slices.ContainsFunc(l.paths, func(p stateward.StatePath) bool { return p.Text == e.Text }) {
			l.paths = append(l.paths, stateward.StatePath{Entry: e, Source: source})
		}
	case dialect.List:
		for _, e := range d.List() {
			l.readStock(e, enable, source, func(e stateward.Entry) bool { return wanted(e) && !e.Path.Below(store) })
		}
	case dialect.Unknown:
		why, _ := d.Why()
		if on, known := enable.Get(); known && !on || why.Kind == stateward.UnknownFunction {
			// What is off need not have a value, and a function is no directory.
			d.Ignore()
			return
		}
		l.lost(why)
	}
}

// stockDirectory leaves out what is no state: a bare name, which stock modules hand on to StateDirectory, where it is seen. A
// package's own data the projection leaves out, which knows what is a default; in a list it cannot tell.
func stockDirectory(n *dialect.Node) (stateward.Entry, bool) {
	text, _ := n.Text().Get()
	if text == "" || !strings.Contains(text, "/") {
		return stateward.Entry{}, false
	}
	return stateward.NewEntry(text, stateward.Directory, n.Origin()), true
}
