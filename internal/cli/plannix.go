package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/syntax/nix"
	"github.com/stateward/stateward/internal/syntax/shell"
)

// rootOption is the option path of the root that a plan is for, as Nix code.
func rootOption(r *aggregate.Resolution) string { return optionOf(r.Module, r.RootName) }

func optionOf(m stateward.PersistenceModule, name string) string {
	if m == stateward.Preservation {
		return "preservation.preserveAt." + nix.String(name)
	}
	return "environment.persistence." + nix.String(name)
}

// entryFields are the attributes of an entry, the path first and then what it asks for.
func entryFields(r *aggregate.Resolution, e stateward.Entry) nix.Set {
	rare := e.Rare()
	path := e.Path.String()
	if rare.OfUser != "" {
		path = r.BelowHome(e)
	}
	s := nix.Set{{Name: e.Kind.String(), Value: path}}
	text := func(name, value string) {
		if value != "" {
			s = append(s, nix.Attr{Name: name, Value: value})
		}
	}
	flag := func(name string, v stateward.Value[bool]) {
		if on, ok := v.Get(); ok {
			s = append(s, nix.Attr{Name: name, Value: on})
		}
	}
	// Impermanence knows no owner of a file.
	if r.Module == stateward.Preservation || e.Kind == stateward.Directory {
		text("user", e.User.Or(stateward.Owner{}).String())
		text("group", e.Group.Or(stateward.Owner{}).String())
		text("mode", e.Mode.Or(stateward.Mode{}).String())
	}
	if r.Module == stateward.Preservation {
		text("how", rare.How.Or(""))
		flag("inInitrd", rare.InInitrd)
		if on := rare.Parent != nil; on != configuresParent(e, path) {
			s = append(s, nix.Attr{Name: "configureParent", Value: on})
		}
		if fields := parentFields(rare.Parent); len(fields) > 0 {
			s = append(s, nix.Attr{Name: "parent", Value: fields})
		}
		flag("createLinkTarget", rare.LinkTarget)
		if options, ok := rare.MountOptions.Get(); ok {
			// They are all of them, and the module adds its own to what is not forced.
			s = append(s, nix.Attr{Name: "mountOptions", Value: forced(strings.Split(options, ","))})
		}
		return s
	}
	flag("hideMount", rare.HideMount)
	flag("allowTrash", rare.AllowTrash)
	if at, ok := rare.Storage.Get(); ok {
		text("persistentStoragePath", at.String())
	}
	if e.Kind == stateward.File {
		text("method", rare.How.Or(""))
		if fields := parentFields(rare.Parent); len(fields) > 0 {
			s = append(s, nix.Attr{Name: "parentDirectory", Value: fields})
		}
	}
	return s
}

// configuresParent mirrors the default of Preservation's `configureParent`.
func configuresParent(e stateward.Entry, path string) bool {
	root := e.User.Or(stateward.Owner{}).String() == "root" || e.User.IsAbsent() && e.Rare().OfUser == ""
	return e.Rare().How.Or("") == "symlink" && !root && strings.LastIndexByte(path, '/') > 0
}

func parentFields(p *stateward.EntryParent) nix.Set {
	var s nix.Set
	if p == nil {
		return s
	}
	for _, a := range []struct{ name, value string }{
		{"user", p.User.Or(stateward.Owner{}).String()}, {"group", p.Group.Or(stateward.Owner{}).String()}, {"mode", p.Mode.Or(stateward.Mode{}).String()},
	} {
		if a.value != "" {
			s = append(s, nix.Attr{Name: a.name, Value: a.value})
		}
	}
	return s
}

// forcedList is a list that replaces what else is defined.
type forcedList []string

func forced(texts []string) forcedList { return texts }

func (l forcedList) nix() nix.Raw {
	words := make([]string, len(l))
	for i, t := range l {
		words[i] = nix.String(t)
	}
	return nix.Raw("lib.mkForce [" + strings.Join(words, " ") + "]")
}

// entryJSON is an entry as text, or as an object where it asks for more.
func entryJSON(r *aggregate.Resolution, e stateward.Entry) any {
	fields := entryFields(r, e)
	if len(fields) == 1 {
		return fields[0].Value
	}
	return asObject(fields)
}

func asObject(fields nix.Set) map[string]any {
	out := map[string]any{}
	for _, f := range fields {
		switch v := f.Value.(type) {
		case nix.Set:
			out[f.Name] = asObject(v)
		case forcedList:
			out[f.Name] = []string(v)
		default:
			out[f.Name] = v
		}
	}
	return out
}

// entryNix is an entry as an element of a list.
func entryNix(r *aggregate.Resolution, e stateward.Entry) any {
	fields := entryFields(r, e)
	if len(fields) == 1 {
		return fields[0].Value
	}
	for i := range fields {
		if l, ok := fields[i].Value.(forcedList); ok {
			fields[i].Value = l.nix()
		}
	}
	return fields
}

// persistenceModule is a NixOS module that sets the lists.
func persistenceModule(h HostPersistence) (string, error) {
	r := h.resolution
	var b strings.Builder
	b.WriteString(shell.Comment("Written by `stateward plan persistence`. It sets the lists as a whole: what a",
		"module elsewhere adds to them is in here already, or is missing until this is written anew."))
	if len(h.Copy) > 0 {
		b.WriteString(shell.Comment("Copy first, as root on the host: the new, empty mounts hide what lies there now. -o shell writes a script that does it."))
		for _, c := range h.Copy {
			for _, line := range c.byHand() {
				b.WriteString(shell.Comment("  " + strings.TrimPrefix(strings.TrimSpace(line), "# ")))
			}
		}
	}
	b.WriteString(nix.Head("lib") + "{\n")
	define := func(option, set string, value any) error {
		text, err := nix.Write(value, 1)
		if err != nil {
			return err
		}
		if set != "" {
			set = "lib." + set + " "
		}
		fmt.Fprintf(&b, "  %s = %s%s;\n", option, set, text)
		return nil
	}
	lists := map[stateward.EntryKind]nix.List{}
	for _, e := range r.Entries {
		lists[e.Kind] = append(lists[e.Kind], entryNix(r, e.Entry))
	}
	root := rootOption(r)
	// The host's own list of files is not resolved, so it must not be replaced unless it moves.
	files := "mkAfter"
	if r.Moved != nil {
		files = "mkForce"
		if err := leave(r, define); err != nil {
			return "", err
		}
	}
	if r.Fresh || r.Moved != nil {
		if err := rootSettings(r, define); err != nil {
			return "", err
		}
	}
	if err := define(root+".directories", "mkForce", lists[stateward.Directory]); err != nil {
		return "", err
	}
	users := map[string]map[stateward.EntryKind]nix.List{}
	if r.Moved != nil {
		for _, e := range r.Carried {
			user := e.Rare().OfUser
			if user == "" {
				lists[e.Kind] = append(lists[e.Kind], entryNix(r, e))
				continue
			}
			if users[user] == nil {
				users[user] = map[stateward.EntryKind]nix.List{}
			}
			users[user][e.Kind] = append(users[user][e.Kind], entryNix(r, e))
		}
	}
	if len(lists[stateward.File]) > 0 {
		if err := define(root+".files", files, lists[stateward.File]); err != nil {
			return "", err
		}
	}
	for _, user := range slices.Sorted(maps.Keys(users)) {
		for _, kind := range []stateward.EntryKind{stateward.Directory, stateward.File} {
			if list := users[user][kind]; len(list) > 0 {
				if err := define(fmt.Sprintf("%s.users.%s.%s", root, nix.String(user), listName(kind)), "mkForce", list); err != nil {
					return "", err
				}
			}
		}
	}
	b.WriteString("}\n")
	return b.String(), nil
}

func listName(kind stateward.EntryKind) string {
	if kind == stateward.File {
		return "files"
	}
	return "directories"
}

// leave switches the root off in the module that it moves from.
func leave(r *aggregate.Resolution, define func(option, set string, value any) error) error {
	m := moduleOf(*r.Moved)
	option := optionOf(m, r.Moved.Name)
	switch {
	case m == stateward.Preservation && r.Alone:
		return define("preservation.enable", "mkForce", false)
	case m == stateward.Impermanence && r.Moved.Enable.IsKnown():
		return define(option+".enable", "mkForce", false)
	default:
		return define(option, "mkForce", nix.Set{})
	}
}

// rootSettings sets what a whole root asks for, where it is a new one.
func rootSettings(r *aggregate.Resolution, define func(option, set string, value any) error) error {
	root := rootOption(r)
	var settings nix.Set
	if r.Module == stateward.Preservation {
		settings = append(settings, nix.Attr{Name: "preservation.enable", Value: true})
	}
	if r.Root.String() != r.RootName {
		settings = append(settings, nix.Attr{Name: root + ".persistentStoragePath", Value: r.Root.String()})
	}
	if r.Module == stateward.Preservation && len(r.Settings.MountOptions) > 0 {
		options := nix.List{}
		for _, o := range r.Settings.MountOptions {
			options = append(options, o)
		}
		settings = append(settings, nix.Attr{Name: root + ".commonMountOptions", Value: options})
	}
	if r.Module != stateward.Preservation && r.Settings.HideMounts {
		settings = append(settings, nix.Attr{Name: root + ".hideMounts", Value: true})
	}
	if r.Module != stateward.Preservation && r.Settings.AllowTrash {
		settings = append(settings, nix.Attr{Name: root + ".allowTrash", Value: true})
	}
	for _, s := range settings {
		if err := define(s.Name, "", s.Value); err != nil {
			return err
		}
	}
	return nil
}
