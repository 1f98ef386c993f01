package nixos

import (
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// preservation reads `preservation.preserveAt`. Where it is off the roots are there, and nothing else of them is known.
func preservation(top *dialect.Node) []stateward.PersistenceRoot {
	n := top.At("preservation", "preserveAt")
	if why, unknown := n.Why(); unknown {
		return []stateward.PersistenceRoot{unseenRoot(stateward.Preservation, "", why)}
	}
	enable := top.At("preservation", "enable")
	on := enable.Bool()
	if on.IsAbsent() {
		on = stateward.Known(false, enable.Origin())
	}
	var roots []stateward.PersistenceRoot
	for _, a := range n.Attrs() {
		r := root{stateward.PersistenceRoot{Name: a.Name, Module: stateward.Preservation, Enable: on, Origin: a.Node.Origin()}}
		r.readPath(a.Node)
		if is, known := on.Get(); known && is {
			r.readPreserved(a.Node, top.At("users", "users"))
		}
		roots = append(roots, r.PersistenceRoot)
	}
	return roots
}

func (r *root) readPreserved(n, accounts *dialect.Node) {
	if common := mountOptions(n.At("commonMountOptions")); common.Or("") != "" || common.IsUnknown() {
		r.MountOptions = common
	}
	var directories, files entryList
	read := func(n *dialect.Node, in place) {
		in.root = n
		directories.each(n.At("directories"), func(e *dialect.Node) (stateward.Value[stateward.Entry], bool) {
			return preservedEntry(e, stateward.Directory, in)
		})
		in.defaults.Mode = "0644"
		files.each(n.At("files"), func(e *dialect.Node) (stateward.Value[stateward.Entry], bool) {
			return preservedEntry(e, stateward.File, in)
		})
	}
	read(n, place{defaults: dialect.RootOwned})
	for _, user := range n.At("users").Attrs() {
		name := user.Node.At("username").Text().Or(user.Name)
		account := accounts.At(name)
		read(user.Node, place{user: user.Name, homes: []*dialect.Node{user.Node.At("home"), account.At("home")},
			defaults: dialect.Ownership{User: name, Group: account.At("group").Text().Or(""), Mode: dialect.RootOwned.Mode}})
	}
	if why, unknown := n.At("users").Why(); unknown {
		directories.lost(why)
		files.lost(why)
	}
	r.fill(n, directories, files)
}

// preservedEntry reads one element of Preservation's `directories` or `files`. The directories that it only makes on the way
// to others ("_intermediate") are no entries.
func preservedEntry(n *dialect.Node, kind stateward.EntryKind, in place) (v stateward.Value[stateward.Entry], ok bool) {
	how := n.At("how").Text()
	if how.Or("") == "_intermediate" {
		return v, false
	}
	at, _ := written(n, kind)
	text, homeless := at.Text(), false
	if text.IsAbsent() {
		return stateward.NotKnown[stateward.Entry](n.Wrong(stateward.UnknownType, "expected a path, found %s", at.Kind())), true
	}
	if in.homes != nil && !joinedTo(text, in.homes) {
		text, homeless = belowHome(text, n.At("dirPath"), in.homes)
	}
	return stateward.MapValue(text, func(s string) (stateward.Entry, error) {
		e := joinedEntry(s, kind, n.Origin())
		if homeless {
			e.Problem, e.Path = &stateward.PathError{Text: s, Reason: "lies in a home that is not given", Advice: "give the user a home in users.users"}, stateward.AbsPath{}
		}
		special := stateward.EntrySpecial{OfUser: in.user}
		if n.Kind() == dialect.Attrs {
			n.ReadOwnership(&e, in.defaults)
			special.How = unless(how, "bindmount")
			special.InInitrd = ifTrue(n.At("inInitrd"))
			special.LinkTarget = ifTrue(n.At("createLinkTarget"))
			special.MountOptions = ownMountOptions(n, in.root, kind)
			if on, known := n.At("configureParent").Bool().Get(); known && on {
				d := in.defaults
				d.Mode = dialect.RootOwned.Mode
				if special.Parent = parentOf(n.At("parent"), d); special.Parent == nil {
					special.Parent = &stateward.EntryParent{}
				}
			}
		}
		if special != (stateward.EntrySpecial{}) {
			e.Special = &special
		}
		return e, nil
	}), true
}

// joinedTo tells whether a path lies in one of the homes already: Preservation itself joins them.
func joinedTo(text stateward.Value[string], homes []*dialect.Node) bool {
	s, _ := text.Get()
	return slices.ContainsFunc(homes, func(h *dialect.Node) bool {
		dir, ok := h.Filled().Get()
		return ok && strings.HasPrefix(s, strings.TrimRight(dir, "/")+"/")
	})
}

// ownMountOptions reads `mountOptions` where they differ from what Preservation and the root give.
func ownMountOptions(n, root *dialect.Node, kind stateward.EntryKind) stateward.Value[string] {
	have := mountOptions(n.At("mountOptions"))
	text, ok := have.Get()
	if !ok {
		return unless(have, "")
	}
	usual := []string{"bind"}
	if kind == stateward.Directory {
		usual = append(usual, "X-fstrim.notrim")
	}
	if common := mountOptions(root.At("commonMountOptions")).Or(""); common != "" {
		usual = append(usual, strings.Split(common, ",")...)
	}
	got := strings.Split(text, ",")
	slices.Sort(got)
	slices.Sort(usual)
	if slices.Equal(slices.Compact(got), slices.Compact(usual)) {
		return stateward.Value[string]{}
	}
	return have
}

// mountOptions writes `[ { name; value; } ]` as mount(8) takes it.
func mountOptions(n *dialect.Node) stateward.Value[string] {
	list := dialect.ListOf(n, func(o *dialect.Node) (stateward.Value[string], bool) {
		if o.Kind() != dialect.Attrs {
			return o.Text(), true
		}
		name := o.At("name").Text()
		if value, ok := o.At("value").Text().Get(); ok {
			return stateward.MapValue(name, func(s string) (string, error) { return s + "=" + value, nil }), true
		}
		return name, true
	})
	if why, unknown := list.Why(); unknown {
		return stateward.NotKnown[string](why)
	}
	var texts []string
	for _, o := range list.Or(nil) {
		if why, unknown := o.Why(); unknown {
			return stateward.NotKnown[string](why)
		}
		texts = append(texts, o.Or(""))
	}
	if list.IsAbsent() {
		return stateward.Value[string]{}
	}
	return stateward.Known(strings.Join(texts, ","), n.Origin())
}

// withoutPreserved leaves out the rules by which Preservation makes its own entries, and the directories on the way to them:
// nobody else said that there is any state.
func withoutPreserved(top *dialect.Node, rules []stateward.TmpfilesRule) []stateward.TmpfilesRule {
	if on, _ := top.At("preservation", "enable").Bool().Get(); !on {
		return rules
	}
	return slices.DeleteFunc(slices.Clone(rules), func(r stateward.TmpfilesRule) bool {
		return strings.HasPrefix(r.Origin.Option, "systemd.tmpfiles.settings.preservation.")
	})
}
