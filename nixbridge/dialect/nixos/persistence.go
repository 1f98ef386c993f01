package nixos

import (
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// persistence reads the persistence roots, whatever module makes them.
func persistence(top *dialect.Node) stateward.Value[[]stateward.PersistenceRoot] {
	found := impermanence(top)
	rest := slices.Concat(preservation(top), homeManager(top))
	why, unknown := found.Why()
	switch {
	case len(rest) == 0:
		return found
	case unknown:
		rest = append(rest, unseenRoot(stateward.Impermanence, "", why))
	}
	return stateward.Known(slices.Concat(found.Or(nil), rest), found.Origin())
}

// unseenRoot stands for what may be persisted and could not be had.
func unseenRoot(m stateward.PersistenceModule, name string, why stateward.Unknown) stateward.PersistenceRoot {
	list := stateward.NotKnown[[]stateward.Entry](why)
	return stateward.PersistenceRoot{Name: name, Module: m, Directories: list, Files: list, Origin: list.Origin()}
}

// impermanence reads `environment.persistence`. Its elements are attribute sets, as Impermanence
// makes of everything, or the texts that were written.
func impermanence(top *dialect.Node) stateward.Value[[]stateward.PersistenceRoot] {
	accounts := top.At("users", "users")
	return dialect.AttrsOf(top.At("environment", "persistence"), func(name string, n *dialect.Node) (stateward.PersistenceRoot, bool) {
		r := impermanenceRoot(name, n)
		var directories, files entryList
		l := place{root: n, storage: r.Path, defaults: dialect.RootOwned}
		directories.read(n.At("directories"), stateward.Directory, l)
		files.read(n.At("files"), stateward.File, l)
		for _, user := range n.At("users").Attrs() {
			account := accounts.At(user.Name)
			// Newer modules of Impermanence have joined each path already; their `home` was removed and throws.
			if home := user.Node.At("home"); home.Kind() == dialect.Unknown && allJoined(user.Node) {
				home.Ignore()
			}
			l := place{root: n, storage: r.Path, user: user.Name, homes: []*dialect.Node{user.Node.At("home"), account.At("home")},
				defaults: dialect.Ownership{User: user.Name, Group: account.At("group").Text().Or(""), Mode: dialect.RootOwned.Mode}}
			directories.read(user.Node.At("directories"), stateward.Directory, l)
			files.read(user.Node.At("files"), stateward.File, l)
		}
		if why, unknown := n.At("users").Why(); unknown {
			directories.lost(why)
			files.lost(why)
		}
		r.fill(n, directories, files)
		return r.PersistenceRoot, true
	})
}

// root is a persistence root that is being read.
type root struct{ stateward.PersistenceRoot }

func impermanenceRoot(name string, n *dialect.Node) root {
	r := root{stateward.PersistenceRoot{Name: name, Enable: n.At("enable").Bool(), Origin: n.Origin()}}
	r.HideMounts, r.AllowTrash = ifTrue(n.At("hideMounts")), ifTrue(n.At("allowTrash"))
	r.readPath(n)
	return r
}

func (r *root) readPath(n *dialect.Node) {
	at := n.At("persistentStoragePath")
	text := at.Text()
	if text.IsAbsent() {
		text = stateward.Known(r.Name, n.Origin())
	}
	r.Path = dialect.Understood(at, text, stateward.ParsePath)
}

func (r *root) fill(n *dialect.Node, directories, files entryList) {
	r.Directories, r.Files = directories.value(n.At("directories")), files.value(n.At("files"))
	if r.Directories.IsUnknown() {
		r.Seen = slices.Concat(r.Seen, directories.entries)
	}
	if r.Files.IsUnknown() {
		r.Seen = slices.Concat(r.Seen, files.entries)
	}
}

// ifTrue reads a setting that is false where it is not given.
func ifTrue(n *dialect.Node) stateward.Value[bool] { return unless(n.Bool(), false) }

// entryList gathers entries from several lists.
type entryList struct {
	entries []stateward.Entry
	there   bool
	why     *stateward.Unknown
}

func (l *entryList) lost(why stateward.Unknown) {
	if l.why == nil {
		l.why = &why
	}
}

// place is what the entries of one list share.
type place struct {
	root     *dialect.Node
	storage  stateward.Value[stateward.AbsPath]
	defaults dialect.Ownership
	// user and homes are of `users.<name>`; empty and nil for the system's own lists. The first home that is given counts.
	user  string
	homes []*dialect.Node
}

func (l *entryList) read(n *dialect.Node, kind stateward.EntryKind, in place) {
	l.each(n, func(e *dialect.Node) (stateward.Value[stateward.Entry], bool) { return entry(e, kind, in), true })
}

// each reads a list; what is no entry is left out.
func (l *entryList) each(n *dialect.Node, entry func(*dialect.Node) (v stateward.Value[stateward.Entry], ok bool)) {
	es := dialect.ListOf(n, func(e *dialect.Node) (stateward.Entry, bool) {
		v, ok := entry(e)
		if !ok {
			return stateward.Entry{}, false
		}
		if why, unknown := v.Why(); unknown {
			l.lost(why)
		}
		return v.Get()
	})
	if why, unknown := es.Why(); unknown {
		l.lost(why)
	}
	l.entries = append(l.entries, es.Or(nil)...)
	l.there = l.there || !es.IsAbsent()
}

func (l *entryList) value(n *dialect.Node) stateward.Value[[]stateward.Entry] {
	switch {
	case l.why != nil:
		return stateward.NotKnown[[]stateward.Entry](*l.why)
	case !l.there:
		return stateward.Absent[[]stateward.Entry](n.Origin())
	default:
		return stateward.Known(l.entries, n.Origin())
	}
}

// written returns the path as it was written, and as the module has joined it.
func written(n *dialect.Node, kind stateward.EntryKind) (text, joined *dialect.Node) {
	switch {
	case n.Kind() != dialect.Attrs:
		return n, n.At("dirPath")
	case kind == stateward.File:
		return n.At("file"), n.At("filePath")
	default:
		return n.At("directory"), n.At("dirPath")
	}
}

// entry reads one element of `directories` or `files`. Those of `users.<name>` lie below
// the user's home.
func entry(n *dialect.Node, kind stateward.EntryKind, in place) stateward.Value[stateward.Entry] {
	ofUser := in.homes != nil
	at, joined := written(n, kind)
	text, homeless := at.Text(), false
	if ofUser {
		text, homeless = belowHome(text, joined, append([]*dialect.Node{n.At("home")}, in.homes...))
	}
	if text.IsAbsent() {
		return stateward.NotKnown[stateward.Entry](n.Wrong(stateward.UnknownType, "expected a path, found %s", at.Kind()))
	}
	return stateward.MapValue(text, func(s string) (stateward.Entry, error) {
		e := joinedEntry(s, kind, n.Origin())
		if homeless {
			e.Problem, e.Path = &stateward.PathError{Text: s, Reason: "lies in a home that is not given", Advice: "give the user a home in users.users"}, stateward.AbsPath{}
		}
		special := stateward.EntrySpecial{OfUser: in.user}
		if n.Kind() == dialect.Attrs {
			readSpecial(n, &e, &special, in)
		}
		if special != (stateward.EntrySpecial{}) {
			e.Special = &special
		}
		return e, nil
	})
}

// joinedEntry makes an entry of what the modules join to "/": a path that does not begin with a slash is as good as one that
// does, and an empty one is "/" itself (concatPaths of Impermanence's lib.nix, of Preservation's too).
func joinedEntry(text string, kind stateward.EntryKind, o stateward.Origin) stateward.Entry {
	if strings.HasPrefix(text, "/") {
		return stateward.NewEntry(text, kind, o)
	}
	e := stateward.NewEntry("/"+text, kind, o)
	e.Text = text
	return e
}

// readSpecial reads owner and mode, and what few entries of Impermanence have.
func readSpecial(n *dialect.Node, e *stateward.Entry, s *stateward.EntrySpecial, in place) {
	if at := n.At("persistentStoragePath"); at.Exists() {
		s.Storage = unless(dialect.Understood(at, at.Text(), stateward.ParsePath), in.storage.Or(stateward.AbsPath{}))
	}
	if e.Kind == stateward.File {
		s.Parent = parentOf(n.At("parentDirectory"), in.defaults)
		s.How = unless(n.At("method").Text(), "auto")
		return
	}
	n.ReadOwnership(e, in.defaults)
	s.HideMount = unless(n.At("hideMount").Bool(), in.root.At("hideMounts").Bool().Or(false))
	s.AllowTrash = unless(n.At("allowTrash").Bool(), in.root.At("allowTrash").Bool().Or(false))
}

// parentOf reads owner and mode of a directory above; nil where they are the defaults.
func parentOf(n *dialect.Node, defaults dialect.Ownership) *stateward.EntryParent {
	var e stateward.Entry
	n.ReadOwnership(&e, defaults)
	if !e.HasOwner() {
		return nil
	}
	return &stateward.EntryParent{User: e.User, Group: e.Group, Mode: e.Mode}
}

// unless makes a value absent where it is the default that the root gives.
func unless[T comparable](v stateward.Value[T], root T) stateward.Value[T] {
	if got, ok := v.Get(); v.IsAbsent() || ok && got == root {
		return stateward.Value[T]{}
	}
	return v
}

func allJoined(user *dialect.Node) bool {
	for list, path := range map[string]string{"directories": "dirPath", "files": "filePath"} {
		for _, e := range user.At(list).List() {
			if !e.At(path).Exists() {
				return false
			}
		}
	}
	return true
}

// belowHome joins a path to a home, below which it lies even where it begins with a slash. Newer modules of Impermanence
// have done that already; older ones, and texts, leave it to the home that they are given, or to the account's.
// homeless tells that there is none.
func belowHome(text stateward.Value[string], joined *dialect.Node, homes []*dialect.Node) (path stateward.Value[string], homeless bool) {
	if j := joined.Filled(); !j.IsAbsent() {
		return j, false
	}
	for _, h := range homes {
		home := h.Filled()
		if why, unknown := home.Why(); unknown {
			return stateward.NotKnown[string](why), false
		}
		if dir, ok := home.Get(); ok {
			return stateward.MapValue(text, func(s string) (string, error) { return under(dir, s), nil }), false
		}
	}
	return text, true
}

// under joins a path to a directory, also one that begins with a slash.
func under(dir, path string) string {
	return strings.TrimRight(dir, "/") + "/" + strings.TrimLeft(path, "/")
}
