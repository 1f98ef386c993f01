package dataset

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// cover is a dataset or file system that belongs at a place: what is mounted beneath it before it is will be hidden by it.
type cover struct {
	// name is unset for what is no dataset.
	name Name
	by   string
	hint string
	// above tells that it counts for the datasets in it only.
	above bool
}

// covers are what belongs at a place, whoever declares it, or nobody: it is mounted with the next boot, or once its key is loaded.
//
// One with canmount=noauto counts where it is declared, and for what lies in it by name. Any other is not going to be mounted: a
// replica of another host's /var must keep nothing from its place here.
func (p *planner) covers() map[stateward.AbsPath][]cover {
	out := map[stateward.AbsPath][]cover{}
	add := func(path stateward.AbsPath, c cover) {
		if path != stateward.Root && !slices.ContainsFunc(out[path], func(old cover) bool { return !c.name.IsZero() && old.name == c.name }) {
			out[path] = append(out[path], c)
		}
	}
	for _, s := range p.sorted {
		if s.Type == Volume {
			continue
		}
		at, can, ok := p.aim(s.Name)
		if !ok {
			continue
		}
		c := cover{name: s.Name, by: s.Name.s, hint: "mount that first: zfs mount " + quoted(s.Name.s)}
		if s.Properties["keystatus"].Value == "unavailable" {
			c.hint = fmt.Sprintf("load its key and mount that first: zfs load-key %s && zfs mount %s", quoted(keyRoot(s)), quoted(s.Name.s))
		}
		n, left := p.byName[s.Name], p.left[s.Name]
		if can == "noauto" && left == nil && (n == nil || n.want.Implicit) {
			c.above = true
		}
		add(at, c)
	}
	// What is declared and is not there; the places of what is planned are known as it will be.
	for _, n := range p.nodes {
		if n.state != nil || n.want.Type == Volume || p.seen == nil && n.want.Role == Foreign {
			continue
		}
		if at, ok := p.declaredAim(n.want); ok {
			add(at, cover{name: n.want.Name, by: n.want.Name.s, hint: "see to it that it is made and mounted first"})
		}
	}
	for _, name := range sortedNames(p.left) {
		w := p.left[name]
		if w.Type == Volume || w.Role == Foreign && p.states[name] == nil && p.seen == nil {
			continue
		}
		if at, ok := p.declaredAim(w); ok {
			add(at, cover{name: name, by: name.s, hint: "name it with --only too"})
		}
	}
	for _, c := range p.claims {
		if c.Dataset.IsZero() && (p.seen == nil || len(p.seen.Mounts) == 0) {
			continue // taken as mounted, as all that is another's
		}
		hint := "mount that first"
		if !c.Dataset.IsZero() {
			hint = "mend its declaration first"
		}
		add(c.Path, cover{name: c.Dataset, by: c.By, hint: hint})
	}
	return out
}

// quoted is a word of a command that a person is told to write.
func quoted(s string) string {
	if strings.ContainsAny(s, " \t\n'\"\\$`;&|<>()*?[]#~!{}") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}

func sortedNames[T any](m map[Name]T) []Name {
	list := make([]Name, 0, len(m))
	for n := range m {
		list = append(list, n)
	}
	slices.SortFunc(list, CompareName)
	return list
}

// aim is where a dataset that is there would be mounted by itself or by hand, once the steps are done.
func (p *planner) aim(name Name) (at stateward.AbsPath, can string, ok bool) {
	can, _, known := p.value(name, native["canmount"])
	if known && can == "off" {
		return at, can, false
	}
	if zoned, _, _ := p.value(name, native["zoned"]); zoned == "on" {
		return at, can, false
	}
	text, _, _ := p.value(name, native["mountpoint"])
	at, err := stateward.ParsePath(text)
	return at, can, err == nil
}

// declaredAim is where a dataset would be mounted that a declaration asks for, and that no step makes.
func (p *planner) declaredAim(w *Wanted) (at stateward.AbsPath, ok bool) {
	if c, set := w.Setting("canmount"); set && c.value == "off" {
		return at, false
	}
	if z, set := w.Setting("zoned"); set && z.value == "on" {
		return at, false
	}
	for a := w.Name; !a.IsZero(); a = a.Parent() {
		text, set := "", false
		above := p.left[a]
		if n := p.byName[a]; n != nil {
			above = n.want
		}
		if above != nil {
			var s Setting
			s, set = above.Setting("mountpoint")
			text = s.value
		}
		if state := p.states[a]; !set && state != nil && !a.IsPool() {
			// What is there by default is that of the pool, with the names below it.
			if now := state.Properties["mountpoint"]; now.Source != Inherited && now.Source != Default {
				text, set = now.Value, true
			}
		} else if !set && state != nil {
			text, set = state.Properties["mountpoint"].Value, true
		}
		if !set && a.IsPool() {
			text, set = "/"+a.s, true
		}
		if !set {
			continue
		}
		path, err := stateward.ParsePath(text)
		if err != nil || a == w.Name {
			return path, err == nil
		}
		return path.Join(w.Name.Rel(a))
	}
	return at, false
}

// covered finds what belongs above a place and is not there: mounted beneath it, a dataset would be hidden later.
func (p *planner) covered(m mounting, covers map[stateward.AbsPath][]cover, mounted map[stateward.AbsPath]*node) (Conflict, bool) {
	for a := range m.path.Ancestors() {
		if a == m.path || a == stateward.Root || mounted[a] != nil || p.top[a.String()] != nil {
			continue
		}
		list := covers[a]
		if slices.ContainsFunc(list, func(c cover) bool {
			return !c.name.IsZero() && slices.Contains(p.mountedAt(p.states[c.name]), a.String())
		}) {
			continue
		}
		for _, c := range list {
			if c.above && !m.n.want.Name.Below(c.name) || c.name == m.n.want.Name {
				continue
			}
			return Conflict{Kind: MountpointTaken, Found: c.by, Message: fmt.Sprintf("is to be mounted at %s, which lies in %s, where %s belongs and is not mounted: it would hide it", m.path, a, c.by),
				Hint: c.hint}, true
		}
	}
	return Conflict{}, false
}
