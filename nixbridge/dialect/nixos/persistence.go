package nixos

import (
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// persistence reads `environment.persistence`. Its elements are attribute sets, as Impermanence
// makes of everything, or the texts that were written.
func persistence(top *dialect.Node) stateward.Value[[]stateward.PersistenceRoot] {
	accounts := top.At("users", "users")
	return dialect.AttrsOf(top.At("environment", "persistence"), func(name string, n *dialect.Node) (stateward.PersistenceRoot, bool) {
		r := stateward.PersistenceRoot{Name: name, Enable: n.At("enable").Bool(), Origin: n.Origin()}

		at := n.At("persistentStoragePath")
		text := at.Text()
		if text.IsAbsent() {
			text = stateward.Known(name, n.Origin())
		}
		r.Path = dialect.Understood(at, text, stateward.ParsePath)

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
		r.Directories, r.Files = directories.value(n.At("directories")), files.value(n.At("files"))
		if r.Directories.IsUnknown() {
			r.Seen = slices.Concat(r.Seen, directories.entries)
		}
		if r.Files.IsUnknown() {
			r.Seen = slices.Concat(r.Seen, files.entries)
		}
		return r, true
	})
}

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
	es := dialect.ListOf(n, func(e *dialect.Node) (stateward.Entry, bool) {
		v := entry(e, kind, in)
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

// entry reads one element of `directories` or `files`. Those of `users.<name>` lie below
// the user's home.
func entry(n *dialect.Node, kind stateward.EntryKind, in place) stateward.Value[stateward.Entry] {
	ofUser := in.homes != nil
	written, joined := n, n.At("dirPath")
	if n.Kind() == dialect.Attrs {
		written = n.At("directory")
		if kind == stateward.File {
			written, joined = n.At("file"), n.At("filePath")
		}
	}
	text, homeless := written.Text(), false
	if ofUser {
		text, homeless = belowHome(text, joined, append([]*dialect.Node{n.At("home")}, in.homes...))
	}
	if text.IsAbsent() {
		return stateward.NotKnown[stateward.Entry](n.Wrong(stateward.UnknownType, "expected a path, found %s", written.Kind()))
	}
	return stateward.MapValue(text, func(s string) (stateward.Entry, error) {
		e, special := stateward.NewEntry(s, kind, n.Origin()), stateward.EntrySpecial{}
		if homeless {
			e.Problem = &stateward.PathError{Text: s, Reason: "lies in a home that is not given", Advice: "give the user a home in users.users"}
		}
		if kind == stateward.Directory && n.Kind() == dialect.Attrs {
			n.ReadOwnership(&e, in.defaults)
			special.HideMount = unless(n.At("hideMount").Bool(), in.root.At("hideMounts").Bool().Or(false))
			special.AllowTrash = unless(n.At("allowTrash").Bool(), in.root.At("allowTrash").Bool().Or(false))
		}
		if at := n.At("persistentStoragePath"); n.Kind() == dialect.Attrs && at.Exists() {
			special.Storage = unless(dialect.Understood(at, at.Text(), stateward.ParsePath), in.storage.Or(stateward.AbsPath{}))
		}
		special.OfUser = in.user
		if special != (stateward.EntrySpecial{}) {
			e.Special = &special
		}
		return e, nil
	})
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
			return stateward.MapValue(text, func(s string) (string, error) {
				return strings.TrimRight(dir, "/") + "/" + strings.TrimLeft(s, "/"), nil
			}), false
		}
	}
	return text, true
}
