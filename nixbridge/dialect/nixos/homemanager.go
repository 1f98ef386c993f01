package nixos

import (
	"fmt"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// homeManager reads `home-manager.users.<name>.home.persistence`, in two shapes: newer modules of Impermanence hand the entries
// to that of NixOS, which mounts them as its own and has joined their paths; older ones link or mount them with bindfs in the
// user's session, from a place that need not contain the home.
func homeManager(top *dialect.Node) []stateward.PersistenceRoot {
	n := top.At("home-manager", "users")
	if why, unknown := n.Why(); unknown {
		return []stateward.PersistenceRoot{unseenRoot(stateward.HomeManager, "", why)}
	}
	var roots []stateward.PersistenceRoot
	for _, u := range n.Attrs() {
		account := top.At("users", "users", u.Name)
		home := parsed(account.At("home"))
		at := u.Node.At("home", "persistence")
		if why, unknown := at.Why(); unknown {
			r := unseenRoot(stateward.HomeManager, u.Name, why)
			r.Home = home
			roots = append(roots, r)
			continue
		}
		if own := parsed(u.Node.At("home", "homeDirectory")); !own.IsAbsent() {
			home = own
		}
		name := u.Node.At("home", "username").Text().Or(u.Name)
		l := place{user: name, defaults: dialect.Ownership{User: name, Group: account.At("group").Text().Or(""), Mode: dialect.RootOwned.Mode}}
		for _, a := range at.Attrs() {
			r := impermanenceRoot(a.Name, a.Node)
			r.Module, r.Home = stateward.HomeManager, home
			l.root, l.storage = a.Node, r.Path
			var directories, files entryList
			directories.each(a.Node.At("directories"), func(e *dialect.Node) (stateward.Value[stateward.Entry], bool) {
				return r.homeEntry(e, stateward.Directory, l), true
			})
			files.each(a.Node.At("files"), func(e *dialect.Node) (stateward.Value[stateward.Entry], bool) {
				return r.homeEntry(e, stateward.File, l), true
			})
			r.fill(a.Node, directories, files)
			roots = append(roots, r.PersistenceRoot)
		}
	}
	return roots
}

func parsed(n *dialect.Node) stateward.Value[stateward.AbsPath] {
	return dialect.Understood(n, n.Filled(), stateward.ParsePath)
}

func (r *root) homeEntry(n *dialect.Node, kind stateward.EntryKind, in place) stateward.Value[stateward.Entry] {
	at, joined := written(n, kind)
	if joined.Exists() {
		return stateward.MapValue(joined.Text(), func(s string) (stateward.Entry, error) {
			e := joinedEntry(s, kind, n.Origin())
			special := stateward.EntrySpecial{OfUser: in.user}
			readSpecial(n, &e, &special, in)
			e.Special = &special
			return e, nil
		})
	}
	text := at.Text()
	if text.IsAbsent() {
		return stateward.NotKnown[stateward.Entry](n.Wrong(stateward.UnknownType, "expected a path, found %s", at.Kind()))
	}
	home := r.Home.Or(stateward.AbsPath{}).String()
	if why, unknown := r.Home.Why(); unknown {
		return stateward.NotKnown[stateward.Entry](why)
	}
	special := &stateward.EntrySpecial{OfUser: in.user, How: n.At("method").Text()}
	if kind == stateward.File {
		special.How = stateward.Known("symlink", n.Origin())
	}
	for _, otherwise := range []stateward.Value[string]{in.root.At("defaultDirectoryMethod").Text(), stateward.Known("bindfs", n.Origin())} {
		if special.How.IsAbsent() {
			special.How = otherwise
		}
	}
	return stateward.MapValue(text, func(s string) (stateward.Entry, error) {
		shown := s
		if in.root.At("removePrefixDirectory").Bool().Or(false) {
			_, shown, _ = strings.Cut(strings.TrimLeft(s, "/"), "/")
		}
		// home.file takes a path with the home before it, too.
		if rest, ok := strings.CutPrefix(shown, home+"/"); ok && special.How.Or("") == "symlink" {
			shown = rest
		}
		e := joinedEntry(under(home, shown), kind, n.Origin())
		if r.Home.IsAbsent() {
			e.Problem, e.Path = &stateward.PathError{Text: s, Reason: "lies in a home that is not given", Advice: "give the user a home in users.users"}, stateward.AbsPath{}
		}
		special.Kept = stateward.MapValue(r.Path, func(at stateward.AbsPath) (stateward.AbsPath, error) {
			kept, err := stateward.ParsePath(under(at.String(), s))
			if err == nil && !e.Path.IsZero() && kept == at.Mount(e.Path) {
				return stateward.AbsPath{}, nil
			}
			if err != nil {
				return kept, fmt.Errorf("where %s is stored: %w", s, err)
			}
			return kept, nil
		})
		if kept, ok := special.Kept.Get(); ok && kept.IsZero() {
			special.Kept = stateward.Value[stateward.AbsPath]{}
		}
		e.Special = special
		return e, nil
	})
}
