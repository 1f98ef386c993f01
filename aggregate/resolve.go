package aggregate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// dropCollected leaves out what the collector has already put behind the host's own
// entries, so that it is not taken for the host's own.
func (c *Collection) dropCollected() {
	own, collected := c.Entries[:c.Own], c.Entries[c.Own:]
	cut := len(own) - len(collected)
	if len(collected) == 0 || cut < 0 {
		return
	}
	for i := range collected {
		if keyOf(&own[cut+i]) != keyOf(&collected[i]) {
			return
		}
	}
	c.Entries, c.Own = slices.Delete(c.Entries, cut, c.Own), cut
}

// Resolve goes beyond [Collect]: it looks at every state path of every enabled
// service, whatever dialect names it, takes paths for equal that are, merges a
// text and an attribute set for one path, follows DynamicUser, and leaves out what
// something else holds already. Nothing it leaves out or changes goes unsaid:
// see [Resolution.Notes]. The error is a *[RootError].
func Resolve(h *stateward.Host, opts Options) (*Resolution, error) {
	s := newStorage(h)
	root, err := chooseRoot(h, opts)
	if err != nil {
		return nil, err
	}
	r := &resolver{storage: s, Resolution: &Resolution{Root: root.path, RootName: root.Name, Module: root.Module, storage: s}}
	r.index()
	for _, why := range []func() (stateward.Unknown, bool){h.Persistence.Why, root.Directories.Why} {
		if u, unknown := why(); unknown {
			r.note(NoteUnknown, u.Subject, "", u.String(), stateward.Origin{Option: u.Subject})
		}
	}
	own := root.Directories.Or(nil)
	if root.Directories.IsUnknown() {
		for _, e := range root.Seen {
			if e.Kind == stateward.Directory {
				own = append(own, e)
			}
		}
	}
	// What stands in `users.<name>` is persisted by the same module and is no part of this list:
	// writing it here too would name it twice.
	ofUser := func(e stateward.Entry) bool { return e.Rare().OfUser != "" }
	if slices.ContainsFunc(own, ofUser) {
		for _, e := range own {
			if ofUser(e) {
				r.Carried = append(r.Carried, e)
			}
		}
		own = slices.DeleteFunc(slices.Clone(own), ofUser)
	}
	r.Carried = append(r.Carried, root.Files.Or(nil)...)
	rows := stateRows(s)
	r.makeRoom(len(own), rows)
	for i := range own {
		r.own(own[i])
	}
	r.Collection, r.collected = collect(own, h.Services.Or(nil))
	r.Collection.dropCollected()
	r.twice()
	for i := range rows {
		r.state(&rows[i])
	}
	r.unread()
	r.ids()
	r.nest(opts.Collapse)
	r.write(root, opts.Module)
	slices.SortFunc(r.Notes, func(a, b Note) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Other, b.Other), cmp.Compare(a.Message, b.Message))
	})
	r.Notes = slices.Compact(r.Notes)
	return r.Resolution, nil
}

func chooseRoot(h *stateward.Host, opts Options) (*persistenceRoot, error) {
	var names []string
	var found, named []*persistenceRoot
	byPath, err := stateward.ParsePath(opts.Root)
	off := stateward.Impermanence
	for _, p := range h.Persistence.Or(nil) {
		path, ok := p.Path.Get()
		if p.Module == "" {
			p.Module = stateward.Impermanence
		}
		enabled, known := p.Enable.Get()
		if known && !enabled && ok && path == byPath {
			off = p.Module
		}
		// What home-manager persists is of its users, and the state of the host has no place there.
		if !ok || known && !enabled || p.Module == stateward.HomeManager {
			continue
		}
		names = append(names, p.Name)
		root := &persistenceRoot{PersistenceRoot: p, path: path}
		if opts.Root != "" && opts.Root == p.Name {
			named = append(named, root)
		}
		if opts.Root == "" || path == byPath {
			found = append(found, root)
		}
	}
	if len(named) > 0 {
		found = named
	}
	of := func(r *persistenceRoot) bool { return r.Module == opts.Module }
	if len(found) > 1 && slices.ContainsFunc(found, of) {
		found = slices.DeleteFunc(found, func(r *persistenceRoot) bool { return !of(r) })
	}
	slices.Sort(names)
	e := &RootError{Asked: opts.Root, Have: slices.Compact(names)}
	switch {
	case len(found) == 1:
		return found[0], nil
	case err == nil && len(names) == 0:
		// A root that the host does not have yet may be named by its path.
		if opts.Module != "" {
			off = opts.Module
		}
		return &persistenceRoot{PersistenceRoot: stateward.PersistenceRoot{Name: opts.Root, Module: off}, path: byPath}, nil
	case len(found) > 1 && found[0].Name == found[1].Name && found[0].Module != found[1].Module:
		e.Have, e.Modules = []string{found[0].Name}, []stateward.PersistenceModule{found[0].Module, found[1].Module}
	}
	return nil, e
}

type resolver struct {
	*storage
	*Resolution
	at        map[stateward.AbsPath]int
	collected *entrySet
	// units by name, and accounts by user, for the owners of what is added.
	units    map[string]*stateward.Unit
	accounts map[string]*stateward.User
	// names holds the lists of services of one name.
	names []string
}

func (r *resolver) note(kind NoteKind, path, other, message string, o stateward.Origin) {
	r.Notes = append(r.Notes, Note{Kind: kind, Path: path, Other: other, Message: message, Origin: o})
}

// makeRoom allocates the list once.
func (r *resolver) makeRoom(own int, rows []stateRow) {
	var lately recent[string]
	for i := range rows {
		if (rows[i].reboot.State != stateward.SurvivalYes || r.root.Wiped != stateward.SurvivalYes) && !lately.has(rows[i].path) {
			own++
		}
	}
	r.Entries = make([]ResolvedEntry, 0, own)
	r.at = make(map[stateward.AbsPath]int, own)
}

// twice notes the paths that the collector writes twice, or beside the host's own: they
// trip Impermanence's assertion (P2).
func (r *resolver) twice() {
	// The collector itself writes no text twice: only the host's own entries, other
	// spellings and attribute sets can meet another entry.
	first := make(map[stateward.AbsPath]int, r.Collection.Own)
	for i := range r.Collection.Entries {
		if e := &r.Collection.Entries[i]; e.Problem == nil && (i < r.Collection.Own || e.Unclean() || e.HasOwner()) {
			first[e.Path] = -1
		}
	}
	for i := range r.Collection.Entries {
		e := &r.Collection.Entries[i]
		j, ok := first[e.Path]
		switch {
		case !ok || e.Problem != nil:
		case j < 0:
			first[e.Path] = i
		default:
			have := r.Collection.Entries[j].Origin.String()
			r.note(NoteMerged, e.Path.String(), have, fmt.Sprintf("%s and %s name one path", have, e.Origin), e.Origin)
		}
	}
}

// state adds what one place needs.
func (r *resolver) state(row *stateRow) {
	sp, service := row.state, row.service.Name
	switch {
	case row.unread:
		r.note(NoteUnknown, sp.Origin.Option, service, "the state of "+service+" could not be read: "+row.reboot.By, sp.Origin)
		return
	case sp.Problem != nil:
		r.note(NoteUnusable, sp.Text, "", sp.Problem.Error(), sp.Origin)
		return
	case row.reboot.State == stateward.SurvivalNotNeeded:
		return
	}
	if why := unpersistable(sp.Path); why != "" {
		r.note(NoteUnusable, sp.Path.String(), service, why, sp.Origin)
		return
	}
	e := r.stated(sp, service)
	if why := unpersistable(e.Path); why != "" {
		r.note(NoteUnusable, e.Path.String(), service, why, sp.Origin)
		return
	}
	i, ok := r.at[e.Path]
	switch {
	case ok:
		r.merge(i, e)
		r.Entries[i].Services = addSorted(r.Entries[i].Services, service)
	case r.Root != stateward.Root && r.Root.Contains(e.Path):
		r.note(NoteCovered, e.Path.String(), r.Root.String(), fmt.Sprintf("%s lies in the persistence root %s itself", e.Path, r.Root), e.Origin)
		return
	case row.reboot.State == stateward.SurvivalYes && !r.onWipeableRoot(e.Path):
		r.note(NoteCovered, e.Path.String(), row.reboot.By, e.Path.String()+" survives a reboot already by "+row.reboot.By, e.Origin)
		return
	default:
		// To persist what is mounted after all would hide it behind an empty directory.
		if row.reboot.State == stateward.SurvivalUnknown && row.reboot.By != r.root.By {
			r.note(NoteUnknown, e.Path.String(), "", e.Path.String()+" is not written, for whether something holds it already is unknown: "+row.reboot.By, e.Origin)
			return
		}
		i = len(r.Entries)
		r.add(&ResolvedEntry{Entry: *e, From: r.from(row), Services: r.only(service)})
	}
	for _, sp := range row.also {
		r.merge(i, r.stated(sp, service))
	}
	if e := &r.Entries[i]; e.From != FromHost && e.Path != varLibPrivate {
		r.owned(&e.Entry, row.service)
	}
}

func (r *resolver) from(row *stateRow) From {
	for sp := range row.declarations() {
		if r.collected.names(sp.Text) {
			return FromCollector
		}
	}
	return FromState
}

// stated returns the entry that a state path asks for: its own, or another that takes its place.
func (r *resolver) stated(sp *stateward.StatePath, service string) *stateward.Entry {
	p := r.real(sp.Path)
	if to, by := r.behind(p); to != p {
		r.note(NoteMoved, sp.Path.String(), to.String(), fmt.Sprintf("%s: the state of %s is there", by, service), sp.Origin)
		e := stateward.NewEntry(to.String(), sp.Kind, sp.Origin)
		e.User, e.Group, e.Mode = sp.User, sp.Group, sp.Mode
		return &e
	}
	if p == sp.Path {
		return r.respelt(&sp.Entry)
	}
	r.note(NoteMoved, sp.Path.String(), p.String(), fmt.Sprintf("%s runs with DynamicUser: the state is in %s and %s is a symbolic link", service, p, sp.Path), sp.Origin)
	// The owner is dealt at every start; systemd chowns what it finds. The parent is
	// persisted as a whole: created for one directory below it, it would get mode 0755,
	// and no such unit would start.
	e := stateward.NewEntry(p.String(), sp.Kind, sp.Origin)
	if _, whole := r.at[varLibPrivate]; varLibPrivate.Contains(p) && (whole || !r.has(p)) {
		e = privateEntry(sp.Origin)
	}
	return &e
}

// privateEntry is the parent of all dynamic users' state, as systemd wants it.
func privateEntry(o stateward.Origin) stateward.Entry {
	mode, _ := stateward.NewMode(0o700)
	e := stateward.NewEntry(varLibPrivate.String(), stateward.Directory, o)
	e.Mode = stateward.Known(mode, o)
	return e
}

func (r *resolver) has(p stateward.AbsPath) bool {
	_, ok := r.at[p]
	return ok
}

// unread notes what may name state and could not be had, where no row says so.
func (r *resolver) unread() {
	if len(r.host.Unknown) == 0 {
		return
	}
	said := map[string]bool{}
	for _, n := range r.Notes {
		said[n.Path] = true
	}
	for _, u := range r.host.Unknown {
		by := NeededBy(u.Subject)
		if !said[u.Subject] && (strings.Contains(by, "SW101") || strings.Contains(by, "every")) {
			r.note(NoteUnknown, u.Subject, "", "what it names is not in the list: "+u.String(), stateward.Origin{Option: u.Subject, File: u.File, Line: u.Line})
		}
	}
}

// ids adds the place where NixOS remembers the ids that it dealt (P7).
func (r *resolver) ids() {
	dealt, _ := dealtIDs(r.host)
	if len(dealt) == 0 || r.has(varLibNixos) || r.storage.reboot(varLibNixos).State != stateward.SurvivalNo {
		return
	}
	r.add(&ResolvedEntry{Entry: stateward.NewEntry(varLibNixos.String(), stateward.Directory, stateward.Origin{}), From: FromState, Services: []string{"nixos"}})
}

// respelt returns the entry with its path as it is mounted.
func (r *resolver) respelt(e *stateward.Entry) *stateward.Entry {
	if !e.Unclean() {
		return e
	}
	r.note(NoteRespelt, e.Path.String(), e.Text, fmt.Sprintf("%q is %s", e.Text, e.Path), e.Origin)
	clean := *e
	clean.Text = e.Path.String()
	return &clean
}

// onWipeableRoot tells whether p is safe only because the root is not wiped. A
// list for a persistence root names such paths too: that is what it is for.
func (r *resolver) onWipeableRoot(p stateward.AbsPath) bool {
	if r.root.Wiped == stateward.SurvivalYes {
		return false
	}
	for q := p; q != stateward.Root; q = q.Parent() {
		if len(r.mounts[q]) > 0 || len(r.persisted[q]) > 0 {
			return false
		}
	}
	return true
}

// own adds an entry of the host's own list.
func (r *resolver) own(e stateward.Entry) {
	if e.Problem != nil {
		r.note(NoteUnusable, e.Text, "", e.Problem.Error(), e.Origin)
		return
	}
	changed, before := false, e.Path
	r.unknownSettings(&e)
	if e.HasOwner() {
		e = undefaulted(e)
	}
	if unit, ok := r.dynamic[e.Path]; ok {
		to := r.real(e.Path)
		r.note(NoteMoved, e.Path.String(), to.String(), fmt.Sprintf("%s runs with DynamicUser: %s is a symbolic link, and persisting it stops the unit", unit, e.Path), e.Origin)
		e = stateward.NewEntry(to.String(), e.Kind, e.Origin)
		if varLibPrivate.Contains(to) {
			e = privateEntry(e.Origin)
		}
		changed = true
	}
	if rel, ok := r.Root.Rel(e.Path); ok && rel != "." && r.Root != stateward.Root {
		to, _ := stateward.Root.Join(rel)
		r.note(NoteRespelt, to.String(), e.Text, fmt.Sprintf("%q is %s seen through the persistence root", e.Text, to), e.Origin)
		e.Text, e.Path = to.String(), to
		changed = true
	}
	if why := unpersistable(e.Path); why != "" {
		r.note(NoteUnusable, e.Path.String(), "", why, e.Origin)
		return
	}
	for _, m := range r.mounts[e.Path] {
		r.note(NoteConflict, e.Path.String(), m.by, fmt.Sprintf("%s is persisted and is the mount point of %s: drop one of the two", e.Path, m.by), e.Origin)
	}
	p := r.respelt(&e)
	if i, ok := r.at[p.Path]; ok {
		r.merge(i, p)
		return
	}
	added := ResolvedEntry{Entry: *p, From: FromHost, Changed: changed}
	if p.Path != before {
		added.Replaces = before
	}
	r.add(&added)
}

// add puts an entry at the end of the list.
func (r *resolver) add(e *ResolvedEntry) {
	r.at[e.Path] = len(r.Entries)
	r.Entries = append(r.Entries, *e)
}

// only returns a list of one name. Many are allocated at once: nearly every entry has one.
func (r *resolver) only(name string) []string {
	const together = 512
	if len(r.names) == cap(r.names) {
		r.names = make([]string, 0, together)
	}
	n := len(r.names)
	r.names = append(r.names, name)
	return r.names[n : n+1 : n+1]
}

// nest reports entries below others, and leaves them out where asked.
func (r *resolver) nest(collapse bool) {
	drop := make([]bool, len(r.Entries))
	dropped := false
	outerOf := map[stateward.AbsPath]stateward.AbsPath{} // by parent: siblings share the answer
	var last, outer stateward.AbsPath                    // and mostly come after one another
	for i := range r.Entries {
		e := &r.Entries[i]
		parent := e.Path.Parent()
		known := parent == last && i > 0
		if !known {
			outer, known = outerOf[parent]
		}
		last = parent
		if !known {
			outer = r.entryAt(parent)
			outerOf[parent] = outer
		}
		if outer.IsZero() || outer == e.Path {
			continue
		}
		kind, verb := NoteNested, "lies below"
		// State that nobody listed is persisted with what it lies in.
		if (collapse && !e.HasOwner() || e.From == FromState) && !r.mountedBetween(outer, e.Path) {
			kind, verb = NoteCollapsed, "is left out below"
			drop[i], dropped = true, true
		}
		r.note(kind, e.Path.String(), outer.String(), fmt.Sprintf("%s %s %s", e.Path, verb, outer), e.Origin)
	}
	if !dropped {
		return
	}
	kept := 0
	for i := range r.Entries {
		if !drop[i] {
			r.Entries[kept] = r.Entries[i]
			kept++
		}
	}
	clear(r.Entries[kept:])
	r.Entries = r.Entries[:kept]
}

// mountedBetween tells whether something is mounted at p, or between it and a path above:
// what is persisted there is hidden.
func (s *storage) mountedBetween(above, p stateward.AbsPath) bool {
	for q := p; q != above; q = q.Parent() {
		if len(s.mounts[q]) > 0 {
			return true
		}
	}
	return false
}

// entryAt returns the directory of the list that is p or the nearest above it; zero where none is.
func (r *resolver) entryAt(p stateward.AbsPath) stateward.AbsPath {
	for q := p; ; q = q.Parent() {
		if i, ok := r.at[q]; ok && r.Entries[i].Kind == stateward.Directory {
			return q
		}
		if q == stateward.Root {
			return stateward.AbsPath{}
		}
	}
}

var (
	tmpDir = stateward.MustPath("/tmp")
	nixDir = stateward.MustPath("/nix")
)

// unpersistable says why a path must not be in a persistence list; empty when it may.
func unpersistable(p stateward.AbsPath) string {
	switch {
	case p == stateward.Root:
		return `"/" cannot be bind-mounted over itself`
	case tmpDir.Contains(p):
		return "/tmp is emptied by design"
	case nixDir.Contains(p):
		return "/nix must be there before anything is persisted"
	}
	if why, ok := runtimePath(p); ok {
		return p.String() + " is " + why
	}
	return ""
}

func addSorted(names []string, name string) []string {
	if n := len(names); n > 0 && names[n-1] <= name { // services come in the order of their names
		if names[n-1] == name {
			return names
		}
		return append(names, name)
	}
	i, found := slices.BinarySearch(names, name)
	if found {
		return names
	}
	return slices.Insert(names, i, name)
}
