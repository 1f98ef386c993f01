package nixos

import (
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// implied gathers the state that no service's own option names: what tmpfiles makes, the homes of the users that units
// run as, and where units may write. What another service names too is told apart later, by who has the same fate.
func implied(named []stateward.Service, rules []stateward.TmpfilesRule, units []unit, users []stateward.User) []stateward.Service {
	list := homesOf(units, users)
	for i := range units {
		if s, ok := writableOf(&units[i]); ok {
			list = append(list, s)
		}
	}
	return append(list, madeBy(rules, slices.Concat(named, list), units, users)...)
}

// homesOf reads the homes of units' users. A person's home is no service's.
func homesOf(units []unit, users []stateward.User) []stateward.Service {
	var list []stateward.Service
	for _, u := range users {
		home, ok := u.Home.Get()
		e := stateward.NewEntry(home, stateward.Directory, u.Home.Origin())
		if !ok || e.Problem != nil || u.Normal.Or(false) {
			continue
		}
		state, perhaps := impliedPlace(e.Path)
		if !state || slices.Contains(noHomes, e.Path) {
			continue
		}
		if by := runningAs(units, u.Name); by != nil {
			s := stateward.Service{Name: by.attr, Dialect: Name, Origin: u.Origin, Enable: orOn(by.Enable, by.Origin), Units: []string{by.Name}, User: by.User, Group: by.Group}
			s.State = stateward.Known([]stateward.StatePath{{Entry: e, Source: stateward.SourceHome, Perhaps: perhaps}}, u.Origin)
			list = append(list, s)
		}
	}
	return list
}

// runningAs returns the unit that is meant by a user: the one of that name, else one of a like name, else the first that runs
// as it.
func runningAs(units []unit, user string) *unit {
	var found *unit
	alike := func(u *unit) int {
		switch {
		case u.attr == user:
			return 2
		case strings.HasPrefix(u.attr, user):
			return 1
		}
		return 0
	}
	for i := range units {
		u := &units[i]
		if on, known := u.Enable.Get(); known && !on || u.DynamicUser.Or(false) {
			continue
		}
		if name, ok := u.User.Get(); ok && name.String() == user && (found == nil || alike(u) > alike(found)) {
			found = u
		}
	}
	return found
}

// writableOf reads ReadWritePaths, as config_parse_namespace_path_strv of systemd's src/core/load-fragment.c does.
func writableOf(u *unit) (stateward.Service, bool) {
	s := stateward.Service{Name: u.attr, Dialect: Name, Origin: u.Origin, Enable: orOn(u.Enable, u.Origin), Units: []string{u.Name},
		User: u.User, Group: u.Group, DynamicUser: u.DynamicUser}
	l := stateList{why: u.writable.why}
	if u.state.why != nil {
		l.why = nil // said already
	}
	for _, w := range u.writable.words {
		text, optional := strings.CutPrefix(w.text, "-")
		text = strings.ReplaceAll(strings.TrimPrefix(text, "+"), "%S", "/var/lib")
		e, pattern := stateward.NewEntry(text, stateward.Directory, w.origin), false
		if i := strings.IndexByte(text, '%'); i >= 0 {
			// Of one with a specifier the components before it are sure.
			e = stateward.NewEntry(text[:strings.LastIndexByte(text[:i], '/')+1], stateward.Directory, w.origin)
			e.Text, pattern = text, true
		}
		if e.Problem != nil {
			continue
		}
		state, perhaps := impliedPlace(e.Path)
		if pattern && slices.Contains(instancesIn, e.Path) {
			state, perhaps = true, true
		}
		// What is in /etc an administrator puts there, unless a daemon has a user of its own to write there.
		// What NixOS makes anew there, dhcpcd's /etc/resolv.conf for one, is nobody's state.
		if user, ok := u.User.Get(); !state || slices.Contains(madeByNixOS, e.Path.String()) || etc.Contains(e.Path) && (!ok || user.String() == "root") {
			continue
		}
		// What a program keeps for root beside its data is mostly settings of its own.
		perhaps = perhaps || optional || rootHome.Contains(e.Path) || etc.Contains(e.Path)
		l.paths = append(l.paths, stateward.StatePath{Entry: e, Source: stateward.SourceReadWritePaths, Pattern: pattern, Perhaps: perhaps})
	}
	l.fill(&s)
	return s, len(l.paths) > 0 || l.why != nil
}

// madeBy reads what the rules make that is to be filled and to last.
func madeBy(rules []stateward.TmpfilesRule, named []stateward.Service, units []unit, users []stateward.User) []stateward.Service {
	gone := map[stateward.AbsPath]bool{}
	for _, r := range rules {
		if strings.IndexByte("DRr", r.Type[0]) >= 0 && !strings.ContainsAny(r.At.Text, "*?[") {
			gone[r.At.Path] = true
		}
	}
	people := map[stateward.AbsPath]bool{rootHome: true}
	for _, u := range users {
		if home, err := stateward.ParsePath(u.Home.Or("")); err == nil && u.Normal.Or(false) {
			people[home] = true
		}
	}
	var list []stateward.Service
	for _, r := range rules {
		sp, ok := ruleState(r)
		if !ok {
			continue
		}
		emptied := false
		for q := range sp.Path.Ancestors() {
			emptied = emptied || gone[q]
		}
		if emptied || people[sp.Path] {
			continue
		}
		s := stateward.Service{Name: "tmpfiles", Dialect: Name, Origin: r.Origin, Enable: stateward.Known(true, r.Origin)}
		owner, _ := r.At.User.Get()
		if by := runningAs(units, owner.String()); by != nil && owner.String() != "root" {
			s.Name, s.Units = by.attr, []string{by.Name}
		} else if in := keeping(named, sp.Path); in != nil {
			s.Name, s.Units = in.Name, in.Units
		}
		s.State = stateward.Known([]stateward.StatePath{sp}, r.Origin)
		list = append(list, s)
	}
	return list
}

// ruleState tells whether a rule makes something that is to be filled and to last. What is made with its contents at every
// boot, or emptied then, is no state.
func ruleState(r stateward.TmpfilesRule) (sp stateward.StatePath, ok bool) {
	if r.At.Problem != nil {
		return sp, false
	}
	state, _ := rulePlace(r.At.Path)
	// What root owns in /etc is what an administrator puts there by hand; what another owns, a daemon writes.
	if owner, ok := r.At.User.Get(); etc.Contains(r.At.Path) && (!ok || owner.String() == "root" || owner.String() == "0") {
		return sp, false
	}
	switch kind, forced := r.Type[0], strings.Contains(r.Type, "+"); {
	case strings.IndexByte("dvqQ", kind) >= 0:
	case kind == 'C':
		// A copy that is made once: it is there to be changed, or to be there.
	case kind == 'f' && !forced && r.Argument.IsAbsent():
		// An empty file is there to be filled, or a mark.
	default:
		return sp, false
	}
	e := r.At
	// At every boot the rule gives what it finds there its owner and mode: a list need not.
	e.User, e.Group, e.Mode = stateward.Value[stateward.Owner]{}, stateward.Value[stateward.Owner]{}, stateward.Value[stateward.Mode]{}
	// It makes a place, and does not say that anybody keeps something there.
	return stateward.StatePath{Entry: e, Source: stateward.SourceTmpfiles, Perhaps: true}, state
}

// rulePlace tells whether what a rule makes at a place is to last. perhaps is for places that the hierarchy gives no meaning.
func rulePlace(p stateward.AbsPath) (state, perhaps bool) {
	e := stateward.Entry{Path: p}
	depth := strings.Count(p.String(), "/")
	switch {
	case ofHost(p) || p == stateward.Root || slices.Contains(statePlaces, p) || isCache(p):
		return false, false
	case inStatePlace(e) || inVar(p) || p.Below(etc) || p.Below(opt):
		return true, false
	case slices.ContainsFunc(notKept, func(q stateward.AbsPath) bool { return q.Contains(p) }):
		return false, false
	case mnt.Contains(p) || media.Contains(p):
		// One level down are mount points.
		return depth > 2, true
	}
	return true, true
}

// impliedPlace is rulePlace for what a unit may write, or has for its home: a mount point may be one of these, and what an administrator
// gives a meaning as a whole.
func impliedPlace(p stateward.AbsPath) (state, perhaps bool) {
	if parent := p.Parent(); parent == mnt || parent == media || slices.Contains(wholePlaces, p) {
		return true, true
	}
	return rulePlace(p)
}

var (
	// wholePlaces are for the administrator to fill.
	wholePlaces = mustPaths("/srv", "/var/backup", "/var/local")
	// instancesIn are where instances of a template unit have places side by side.
	instancesIn = mustPaths("/mnt", "/media", "/opt", "/var/db", "/var/lib", "/var/spool")
	// noHomes are what users have for a home that have none.
	noHomes = mustPaths("/homeless-shelter", "/no-such-directory", "/nohome", "/nonexistent")
)

var (
	etc, opt   = stateward.MustPath("/etc"), stateward.MustPath("/opt")
	mnt, media = stateward.MustPath("/mnt"), stateward.MustPath("/media")
	varDir     = stateward.MustPath("/var")
	rootHome   = stateward.MustPath("/root")
)

// notKept are the places where nothing that lasts is kept, or only what NixOS itself puts there.
var notKept = mustPaths("/bin", "/boot", "/dev", "/efi", "/etc", "/lib", "/lib32", "/lib64", "/nix", "/proc", "/run", "/sbin", "/sys", "/tmp", "/usr", "/var", "/opt")

// notInVar are the places below /var of that kind.
var notInVar = mustPaths("/var/cache", "/var/empty", "/var/lock", "/var/log", "/var/run", "/var/tmp")

func mustPaths(texts ...string) []stateward.AbsPath {
	paths := make([]stateward.AbsPath, len(texts))
	for i, t := range texts {
		paths[i] = stateward.MustPath(t)
	}
	return paths
}

// inVar tells whether something lies in a directory of its own below /var.
func inVar(p stateward.AbsPath) bool {
	return p.Below(varDir) && !slices.Contains(statePlaces, p) && !slices.ContainsFunc(notInVar, func(q stateward.AbsPath) bool { return q.Contains(p) })
}

// ofHost tells whether a place is the system's own: what is kept there is looked at apart from services.
func ofHost(p stateward.AbsPath) bool {
	return p == varLibPrivate || p == varLibMisc || p == fortiSSLVPN || varLibSystemd.Contains(p) || varLibNixos.Contains(p)
}

var (
	varLibMisc = stateward.MustPath("/var/lib/misc")
	// Every host with NetworkManager has it. The plugin writes into it, before each connection, what it then gives to its
	// program, and nothing else.
	fortiSSLVPN   = stateward.MustPath("/var/lib/NetworkManager-fortisslvpn")
	varLibPrivate = stateward.MustPath("/var/lib/private")
	varLibSystemd = stateward.MustPath("/var/lib/systemd")
	varLibNixos   = stateward.MustPath("/var/lib/nixos")
)

// isCache tells whether a place lies in the cache of a home (XDG Base Directory Specification).
func isCache(p stateward.AbsPath) bool { return strings.Contains(p.String()+"/", "/.cache/") }

// keeping returns the service that names the nearest place at or above p.
func keeping(services []stateward.Service, p stateward.AbsPath) *stateward.Service {
	var found *stateward.Service
	var at stateward.AbsPath
	for i := range services {
		s := &services[i]
		if on, known := s.Enable.Get(); known && !on || s.Enable.IsAbsent() {
			continue
		}
		paths, _ := s.StatePaths()
		for _, sp := range paths {
			if sp.Problem != nil || sp.Pattern || !sp.Path.Contains(p) {
				continue
			}
			if found == nil || sp.Path.Below(at) || sp.Path == at && s.Name < found.Name {
				found, at = s, sp.Path
			}
		}
	}
	return found
}
