package aggregate

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/stateward/stateward"
)

// Survival returns the survival matrix: every state path of every enabled
// service, sorted by service and path, one row each, however many dialects name
// it. A service of which some state could not be had has a row whose path is
// empty and whose state is unknown.
//
// What the host itself keeps has rows too, where its root is not kept: its SSH keys, its machine-id, homes.
//
// The tiers answered here are "reboot", and, by what jobs, snapshot policies, replications and preseeds are read, "rollback", "disk",
// "site" and "rebuild". The RPO of these is what their schedules reach in a zone without summer time: the time of a run comes on top.
func Survival(h *stateward.Host) []stateward.SurvivalRow {
	s := newStorage(h)
	return survivalRows(stateRows(s), s.hostState().rows, newCopies(s))
}

// stateRow is a survival row with what the checks need of it.
type stateRow struct {
	service *stateward.Service
	// path is where the state really is, or the text that is no path.
	path  string
	state *stateward.StatePath
	// also are further declarations of the same place by the same service.
	also   []*stateward.StatePath
	reboot stateward.TierResult
	// unread tells that the state could not be had at all.
	unread bool
	// scripted tells that a script of the host's own names the place.
	scripted bool
	// relief is how grave a loss is of which something says that the data is elsewhere, and survives; zero where nothing does.
	relief stateward.Severity
}

// declarations are all of one place, that which names the row first.
func (r *stateRow) declarations() iter.Seq[*stateward.StatePath] {
	return func(yield func(*stateward.StatePath) bool) {
		if !yield(r.state) {
			return
		}
		for _, sp := range r.also {
			if !yield(sp) {
				return
			}
		}
	}
}

// compareStates orders declarations of one place.
func compareStates(a, b *stateward.StatePath) int {
	if isImplied(a.Source) != isImplied(b.Source) {
		if isImplied(a.Source) {
			return 1
		}
		return -1
	}
	if c := cmp.Or(cmp.Compare(a.Source, b.Source), compareOrigins(a.Origin, b.Origin)); c != 0 {
		return c
	}
	return cmp.Compare(a.Text, b.Text)
}

// stateRows are the rows of all enabled services, sorted by service and path.
func stateRows(s *storage) []stateRow {
	services := s.host.Services.Or(nil)
	room := 0
	for i := range services {
		paths, _ := services[i].StatePaths()
		for j := range paths {
			if j == 0 || paths[j].Path != paths[j-1].Path {
				room++
			}
		}
	}
	rows := make([]stateRow, 0, room)
	begin := 0 // of the rows of one name
	order := orderByName(services)
	for n, i := range order {
		rows = appendRows(rows, begin, s, &services[i])
		if n+1 == len(order) || services[order[n+1]].Name != services[i].Name {
			finishRows(rows[begin:])
			begin = len(rows)
		}
	}
	s.relieveNamesakes(rows)
	relieveReaders(rows)
	return s.dropImplied(rows)
}

// isImplied tells whether a source names a place where something is prepared or allowed, and does not say of itself
// that the service's state is there.
func isImplied(source stateward.StateSource) bool {
	return source == stateward.SourceTmpfiles || source == stateward.SourceHome || source == stateward.SourceReadWritePaths
}

// all tells whether all declarations of the row's place are of a kind.
func (r *stateRow) all(kind func(*stateward.StatePath) bool) bool {
	for sp := range r.declarations() {
		if !kind(sp) {
			return false
		}
	}
	return true
}

func (r *stateRow) implied() bool {
	return !r.unread && r.state.Problem == nil && r.all(func(sp *stateward.StatePath) bool { return isImplied(sp.Source) })
}

// dropImplied leaves out the implied places that lie in another one of the same fate, which says all there is to say: a
// rule makes each directory of a tree, and five units of one service may write there.
func (s *storage) dropImplied(rows []stateRow) []stateRow {
	var at map[string][]int
	covered := func(i int) bool {
		r := &rows[i]
		for q := range stateward.MustPath(r.path).Ancestors() {
			for _, j := range at[q.String()] {
				if j != i && rows[j].covers(r, j < i) {
					return true
				}
			}
		}
		return false
	}
	var drop map[int]bool
	for i := range rows {
		if !rows[i].implied() {
			continue
		}
		if at == nil {
			at, drop = make(map[string][]int, len(rows)), map[int]bool{}
			for j := range rows {
				if !rows[j].unread && rows[j].state.Problem == nil {
					at[rows[j].path] = append(at[rows[j].path], j)
				}
			}
		}
		if covered(i) || s.stores(stateward.MustPath(rows[i].path)) {
			drop[i] = true
		}
	}
	if len(drop) == 0 {
		return rows
	}
	kept := rows[:0]
	for i := range rows {
		if !drop[i] {
			kept = append(kept, rows[i])
		}
	}
	clear(rows[len(kept):])
	return kept
}

// stores tells whether a place is where something that is persisted is really kept, or the way to it.
func (s *storage) stores(p stateward.AbsPath) bool {
	for _, r := range s.roots {
		rel, ok := r.path.Rel(p)
		seen, _ := stateward.Root.Join(rel)
		if !ok || r.path == stateward.Root {
			continue
		}
		if s.anythingBelow(seen) {
			return true
		}
		for q := range seen.Ancestors() {
			if slices.ContainsFunc(s.persisted[q], func(e persisted) bool { return e.root == r }) {
				return true
			}
		}
	}
	return false
}

// covers tells whether all that is to say of an implied place, which lies in r's or is the same, is said with r's.
func (r *stateRow) covers(inner *stateRow, before bool) bool {
	outer := r.path != inner.path
	switch {
	case r.reboot != inner.reboot, r.readOnly(), r.perhaps() && !inner.perhaps():
		return false
	case outer && r.path == stateward.Root.String(), outer && r.pattern():
		return false // nothing is said of one place by naming all of them, or some that nobody knows
	case outer || !r.implied() || !r.perhaps() && inner.perhaps():
		return true
	}
	// Of two of a kind the one remains that names a service.
	const nobody = "tmpfiles"
	if a, b := r.service.Name == nobody, inner.service.Name == nobody; a != b {
		return b
	}
	return before
}

// finishRows sorts the rows of one service.
func finishRows(rows []stateRow) {
	for i := range rows {
		slices.SortFunc(rows[i].also, compareStates)
	}
	relieveParents(rows)
	slices.SortFunc(rows, func(a, b stateRow) int {
		if c := cmp.Compare(a.path, b.path); c != 0 {
			return c
		}
		return compareStates(a.state, b.state)
	})
}

// appendRows adds the rows of a service to those that its name has already, which start at begin.
func appendRows(rows []stateRow, begin int, s *storage, svc *stateward.Service) []stateRow {
	enabled, known := svc.Enable.Get()
	if known && !enabled || svc.Enable.IsAbsent() {
		return rows
	}
	// Few places are found by looking at each; more of them need an index.
	const few = 8
	var index map[string]int
	key := func(r *stateRow) string {
		if r.unread {
			return "\x00" + r.state.Origin.Option // no path holds a NUL byte
		}
		return r.path
	}
	find := func(k string) (int, bool) {
		if len(rows)-begin > few {
			if index == nil {
				index = make(map[string]int, len(rows)-begin)
			}
			for i := begin + len(index); i < len(rows); i++ {
				index[key(&rows[i])] = i
			}
			i, ok := index[k]
			return i, ok
		}
		for i := begin; i < len(rows); i++ {
			if key(&rows[i]) == k {
				return i, true
			}
		}
		return 0, false
	}
	put := func(r stateRow) {
		i, ok := find(key(&r))
		if !ok {
			rows = append(rows, r)
			return
		}
		// The same place named twice: the answer that is graver counts, the first source
		// names the row. So the order of services does not matter.
		old := &rows[i]
		old.also = append(old.also, r.state)
		if compareStates(r.state, old.state) < 0 {
			old.also[len(old.also)-1], old.state, old.service = old.state, r.state, r.service
		}
		if cmp.Or(gravity(r.reboot.State)-gravity(old.reboot.State), cmp.Compare(old.reboot.By, r.reboot.By)) > 0 {
			old.reboot = r.reboot
		}
	}
	paths, complete := svc.StatePaths()
	var r stateRow
	for i := range paths {
		sp := &paths[i]
		if e := sound(&sp.Entry); e != &sp.Entry {
			c := *sp
			c.Entry = *e
			sp = &c
		}
		if last := r.state; last != nil && sp.Problem == nil && sp.Path == last.Path && sp.Pattern == last.Pattern && sp.ReadOnly == last.ReadOnly {
			r.state = sp // the same place again, as dataDir and backupPaths mostly are
			put(r)
			continue
		}
		r = stateRow{service: svc, state: sp, path: sp.Text, reboot: s.rebootOf(sp)}
		if !known && r.reboot.State == stateward.SurvivalNo {
			why, _ := svc.Enable.Why()
			r.reboot = stateward.TierResult{State: stateward.SurvivalUnknown, By: why.String()}
		}
		if sp.Problem == nil {
			r.path = s.real(sp.Path).String()
		}
		put(r)
	}
	if !complete {
		why, _ := svc.State.Why()
		o := stateward.Origin{Option: why.Subject, File: why.File, Line: why.Line}
		put(stateRow{
			service: svc, unread: true, state: &stateward.StatePath{Entry: stateward.Entry{Origin: o}, Source: stateward.StateSource(why.Subject)},
			reboot: stateward.TierResult{State: stateward.SurvivalUnknown, By: why.String()},
		})
	}
	return rows
}

// pattern tells whether it is known only of places below the row's that state is there.
func (r *stateRow) pattern() bool {
	return r.all(func(sp *stateward.StatePath) bool { return sp.Pattern })
}

func (r *stateRow) declaredBy(source stateward.StateSource) bool {
	for sp := range r.declarations() {
		if sp.Source == source {
			return true
		}
	}
	return false
}

// gravity ranks answers for one place.
func gravity(t stateward.TierState) int {
	switch t {
	case stateward.SurvivalNo:
		return 3
	case stateward.SurvivalUnknown:
		return 2
	case stateward.SurvivalYes:
		return 1
	default:
		return 0
	}
}

// survivalRows are the rows as they are reported, those of the host among those of the services; both are sorted.
func survivalRows(rows, own []stateRow, c *copies) []stateward.SurvivalRow {
	out := make([]stateward.SurvivalRow, 0, len(rows)+len(own))
	for len(rows)+len(own) > 0 {
		from := &rows
		if len(rows) == 0 {
			from = &own
		} else if len(own) > 0 {
			switch c := cmp.Or(cmp.Compare(rows[0].service.Name, own[0].service.Name), cmp.Compare(rows[0].path, own[0].path)); {
			case c == 0:
				own = own[1:] // a service of that name names the place itself
				continue
			case c > 0:
				from = &own
			}
		}
		r := &(*from)[0]
		*from = (*from)[1:]
		out = append(out, stateward.SurvivalRow{
			Service: r.service.Name, Path: r.path, Origin: string(r.state.Source), Tiers: c.tiers(r),
		})
	}
	return out
}

// rebootOf answers for one state path. What is sure of a pattern decides only
// when it survives as a whole.
func (s *storage) rebootOf(sp *stateward.StatePath) stateward.TierResult {
	if sp.Problem != nil {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: sp.Problem.Error()}
	}
	r := s.reboot(sp.Path)
	switch {
	case sp.ReadOnly && r.State != stateward.SurvivalYes && madeAtBoot(sp.Path):
		return stateward.TierResult{State: stateward.SurvivalNotNeeded, By: "mounted read-only, and made anew at every boot"}
	case r.State != stateward.SurvivalYes && !askedFor(sp.Source) && varCache.Contains(sp.Path):
		return stateward.TierResult{State: stateward.SurvivalNotNeeded, By: "a cache directory"}
	case r.State != stateward.SurvivalYes && !askedFor(sp.Source) && varLog.Contains(sp.Path):
		return stateward.TierResult{State: stateward.SurvivalNotNeeded, By: "a log directory"}
	case sp.Pattern && r.State == stateward.SurvivalNo && s.anythingBelow(s.real(sp.Path)):
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: fmt.Sprintf("%s goes on with a specifier that options do not resolve", sp.Text)}
	}
	return r
}

// askedFor tells whether a source names state, wherever it lies. Of the others a place for caches holds no state, nor does one for
// logs (N9): a volume there mostly is a cache, and a rule or a unit that may write there says no more.
func askedFor(source stateward.StateSource) bool {
	switch source {
	case stateward.SourcePersistedData, stateward.SourceBackupPaths, stateward.SourcePersist, stateward.SourceDataDir, stateward.SourceTable:
		return true
	}
	return false
}

var varCache, varLog = stateward.MustPath("/var/cache"), stateward.MustPath("/var/log")

// madeAtBoot tells whether something is there on every host after every boot: the usual directories, and what NixOS
// writes into /etc. That is all that who only reads there can ask.
func madeAtBoot(p stateward.AbsPath) bool {
	_, ok := slices.BinarySearch(alwaysThere, p.String())
	return ok
}

var alwaysThere = []string{
	"/", "/bin", "/boot", "/etc", "/etc/group", "/etc/hosts", "/etc/localtime", "/etc/nsswitch.conf", "/etc/os-release", "/etc/passwd",
	"/etc/resolv.conf", "/etc/ssl", "/etc/ssl/certs", "/etc/ssl/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt", "/etc/zoneinfo",
	"/home", "/nix", "/nix/var/nix", "/root", "/tmp", "/usr", "/usr/bin", "/var", "/var/lib", "/var/log", "/var/tmp",
}

// readOnly tells whether the service only reads there, by all its declarations: what is lost then is what it is given.
func (r *stateRow) readOnly() bool {
	return r.all(func(sp *stateward.StatePath) bool { return sp.ReadOnly })
}

// anythingBelow tells whether something is mounted or persisted strictly below p.
func (s *storage) anythingBelow(p stateward.AbsPath) bool {
	if s.outer == nil {
		s.outer = map[stateward.AbsPath]struct{}{}
		for q := range s.persisted {
			s.noteOuter(q)
		}
		for q := range s.mounts {
			s.noteOuter(q)
		}
	}
	_, ok := s.outer[p]
	return ok
}

func (s *storage) noteOuter(p stateward.AbsPath) {
	for q := range p.Ancestors() {
		if q == p {
			continue
		}
		if _, ok := s.outer[q]; ok {
			return
		}
		s.outer[q] = struct{}{}
	}
}
