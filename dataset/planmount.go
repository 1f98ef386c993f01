package dataset

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// mountedAt is where a dataset is mounted.
func (p *planner) mountedAt(s *State) []string {
	if s == nil {
		return nil
	}
	if len(p.seen.Mounts) > 0 {
		return p.mountsOf[s.Name.s]
	}
	if s.Properties["mounted"].Value == "yes" {
		return []string{s.Properties["mountpoint"].Value}
	}
	return nil
}

// moves tells whether another mountpoint would move what is mounted: the dataset, or one that inherits from it.
func (p *planner) moves(n *node, to string) (at string, busy bool) {
	for _, at := range p.mountedAt(n.state) {
		if at != to {
			return at, true
		}
	}
	name := n.want.Name
	i, _ := slices.BinarySearchFunc(p.sorted, name, func(s *State, n Name) int { return CompareName(s.Name, n) })
	for i++; i < len(p.sorted) && p.sorted[i].Name.Below(name); i++ {
		m := p.sorted[i].Properties["mountpoint"]
		// What is below the mountpoint of a pool that has none of its own is "default".
		if m.Source != Inherited && m.Source != Default || !m.From.IsZero() && m.From.Below(name) {
			continue
		}
		for _, at := range p.mountedAt(p.sorted[i]) {
			return at, true
		}
	}
	return "", false
}

// mounting is a dataset that is to be mounted.
type mounting struct {
	n    *node
	path stateward.AbsPath
}

// comparePaths orders paths so that what lies in a directory follows it at once.
func comparePaths(a, b stateward.AbsPath) int {
	return CompareName(Name{strings.TrimPrefix(a.String(), "/")}, Name{strings.TrimPrefix(b.String(), "/")})
}

// planMounts plans mountpoints, mounts and owners, in the order of the paths.
func (p *planner) planMounts() {
	var list []mounting
	// blocked are the places where something should be mounted and will not be: what belongs in there would be hidden later.
	blocked := map[stateward.AbsPath]*Conflict{}
	for _, n := range p.nodes {
		if n.want.Role == Foreign || n.want.Implicit || n.want.Type == Volume || n.state != nil && n.state.Type == Volume {
			continue
		}
		if n.out != nil || n.unmounted != nil {
			if s, ok := n.want.Setting("mountpoint"); ok {
				if path, err := stateward.ParsePath(s.value); err == nil {
					blocked[path] = cmp.Or(n.out, n.unmounted)
				}
			}
			continue
		}
		if path, ok := p.mountpoint(n); ok {
			list = append(list, mounting{n, path})
		} else if n.unmounted == nil {
			p.planOwnerElsewhere(n)
		}
	}
	slices.SortStableFunc(list, func(a, b mounting) int { return comparePaths(a.path, b.path) })
	claims, covers := p.rivals(list), p.covers()
	mounted := map[stateward.AbsPath]*node{} // by the steps so far
	for _, m := range list {
		if c := p.planMount(m, claims[m.path], covers, blocked, mounted); c != nil {
			blocked[m.path], m.n.unmounted = c, c
		}
	}
	p.hold(list, blocked)
}

// mountpoint is where a dataset is to be mounted by us; ok is false where it is not, or where that is not known.
func (p *planner) mountpoint(n *node) (path stateward.AbsPath, ok bool) {
	name := n.want.Name
	at, _, known := p.value(name, native["mountpoint"])
	can, _, knownCan := p.value(name, native["canmount"])
	if zoned, _, ok := p.value(name, native["zoned"]); ok && zoned == "on" || knownCan && can != "on" || known && (at == "none" || at == "legacy" || at == "-") {
		return path, false
	}
	path, err := stateward.ParsePath(at)
	if !known || !knownCan || err != nil {
		n.unmounted = p.conflict(n, Conflict{Kind: NotObserved, Property: "mountpoint", Message: "where it is to be mounted is not known",
			Hint: "declare its mountpoint, or capture the pool again"})
		return path, false
	}
	return path, true
}

// rivals are the datasets that would be mounted at the places of a list.
func (p *planner) rivals(list []mounting) map[stateward.AbsPath][]Name {
	claims := make(map[stateward.AbsPath][]Name, len(list))
	for _, m := range list {
		claims[m.path] = append(claims[m.path], m.n.want.Name)
	}
	mine := make(map[Name]bool, len(list))
	for _, m := range list {
		mine[m.n.want.Name] = true
	}
	for _, s := range p.sorted {
		if mine[s.Name] || s.Type == Volume {
			continue
		}
		at, _, _ := p.value(s.Name, native["mountpoint"])
		path, err := stateward.ParsePath(at)
		if err != nil || claims[path] == nil {
			continue
		}
		if can, _, _ := p.value(s.Name, native["canmount"]); can == "on" {
			claims[path] = append(claims[path], s.Name)
		}
	}
	return claims
}

// planMount plans one mount. What keeps it from being made is returned.
func (p *planner) planMount(m mounting, claims []Name, covers map[stateward.AbsPath][]cover, blocked map[stateward.AbsPath]*Conflict, mounted map[stateward.AbsPath]*node) *Conflict {
	n, name, at := m.n, m.n.want.Name.s, m.path.String()
	for a := range m.path.Ancestors() {
		if c := blocked[a]; c != nil {
			c.blocks(n)
			return c
		}
	}
	fail := func(c Conflict) *Conflict {
		c.Path = at
		return p.conflict(n, c)
	}
	mounts := p.mountedAt(n.state)
	top := p.top[at]
	buried := p.buried[[2]string{name, at}]
	here := slices.Contains(mounts, at) && !buried && (top == nil || top.Source == name)
	for _, other := range claims {
		if other == n.want.Name {
			continue
		}
		c := fail(Conflict{Kind: MountpointTaken, Found: other.s, Message: fmt.Sprintf("is to be mounted at %s, and so is dataset %s", at, other),
			Hint: "give one of them another mountpoint, or canmount=off"})
		if !here {
			return c
		}
		c.Blocks = nil // it is there now, and the next boot decides
	}
	if here {
		p.planOwner(m, false)
		return nil
	}
	switch {
	case buried:
		return fail(Conflict{Kind: MountpointTaken, Message: fmt.Sprintf("is mounted at %s, where another mount hides it", at),
			Hint: "unmount what lies over it; findmnt lists what is mounted where"})
	case top != nil:
		return fail(Conflict{Kind: MountpointTaken, Found: top.Source, Message: fmt.Sprintf("is to be mounted at %s, where %s is mounted", at, top.Source),
			Hint: "unmount that, or choose another mountpoint"})
	case len(mounts) > 0:
		return fail(Conflict{Kind: MountBusy, Property: "mountpoint", Wanted: at, Found: mounts[0], Message: fmt.Sprintf("is mounted at %s, and belongs at %s", mounts[0], at),
			Hint: "stop what uses it, zfs unmount it, and plan again"})
	case m.path == stateward.Root:
		return fail(Conflict{Kind: MountpointTaken, Found: "/", Message: "is to be mounted as the root of all, which is mounted already", Hint: "leave that to fileSystems"})
	case n.state != nil && n.state.Properties["keystatus"].Value == "unavailable":
		return fail(Conflict{Kind: KeyNotLoaded, Property: "keystatus", Found: "unavailable", Message: "is encrypted, and its key is not loaded", Hint: "zfs load-key " + keyRoot(n.state)})
	}
	if c, is := p.covered(m, covers, mounted); is {
		return fail(c)
	}
	absent, c := p.place(m, mounted)
	if c != nil {
		return fail(*c)
	}
	if !p.writable(n) {
		return n.out
	}
	if absent {
		p.mountOps = append(p.mountOps, &MakeMountpoint{Step: p.step(n, "is to be mounted at %s, which is not there", at), Path: m.path})
	}
	p.mountOps = append(p.mountOps, &MountDataset{Step: p.step(n, "is not mounted, and belongs at %s", at), Path: m.path})
	mounted[m.path], n.mountedOn = n, m.path
	p.planOwner(m, true)
	return nil
}

// place looks at the directory of a mountpoint.
func (p *planner) place(m mounting, mounted map[stateward.AbsPath]*node) (absent bool, c *Conflict) {
	if p.seen == nil {
		return true, nil
	}
	in := Conflict{Kind: Refused, Property: "readonly", Found: "on", Hint: "set readonly=off there, or make the directory by other means"}
	missing := func(within string, readOnly bool) (bool, *Conflict) {
		if readOnly {
			in.Message = fmt.Sprintf("is to be mounted at %s, which is not there and cannot be made: %s is read-only", m.path, within)
			return false, &in
		}
		return true, nil
	}
	absent = false
	for a := range m.path.Ancestors() {
		if a == m.path {
			continue
		}
		if n := mounted[a]; n != nil {
			// It lies in what is about to be mounted: nothing is there, or what is does not show yet.
			return missing(n.want.Name.s, p.readOnly(n.want.Name))
		}
		if top := p.top[a.String()]; top != nil {
			if here := p.places[m.path.String()]; absent || here != nil && here.Kind == "absent" {
				name, _ := ParseObservedName(top.Source)
				return missing(top.Source, top.FSType == "zfs" && p.readOnly(name) || p.states[name] == nil && top.ReadOnly)
			}
			break
		}
		seen := p.places[a.String()]
		if seen == nil {
			continue
		}
		switch seen.Kind {
		case "absent":
			absent = true
		case "link":
			// It would be mounted where the link leads, and never be seen at this path.
			return false, &Conflict{Kind: NotADirectory, Found: seen.Kind, Message: fmt.Sprintf("is to be mounted at %s, and %s is a symbolic link", m.path, a),
				Hint: "declare the mountpoint without links"}
		case "file", "other":
			return false, &Conflict{Kind: NotADirectory, Found: seen.Kind, Message: fmt.Sprintf("is to be mounted at %s, and %s is no directory (%s)", m.path, a, seen.Kind),
				Hint: "move it away"}
		}
	}
	if absent {
		return true, nil
	}
	seen := p.places[m.path.String()]
	unseen := func(problem string) (bool, *Conflict) {
		return false, &Conflict{Kind: NotObserved, Message: "what is at " + m.path.String() + " " + problem, Hint: "capture again for this configuration, which says where to look: stateward capture zfs SOURCE -o FILE"}
	}
	switch {
	case seen == nil:
		return unseen("was not observed")
	case seen.Problem != "":
		return unseen("could not be looked at: " + seen.Problem)
	case seen.Kind == "absent":
		return true, nil
	case seen.Kind != "directory":
		return false, &Conflict{Kind: NotADirectory, Found: seen.Kind, Message: fmt.Sprintf("is to be mounted at %s, which is no directory (%s)", m.path, seen.Kind),
			Hint: "move it away"}
	case seen.MountedFrom != "":
		return false, &Conflict{Kind: MountpointTaken, Found: seen.MountedFrom, Message: fmt.Sprintf("is to be mounted at %s, where %s is mounted", m.path, seen.MountedFrom),
			Hint: "unmount that, or choose another mountpoint"}
	case seen.Content == "populated":
		return false, &Conflict{Kind: MountpointPopulated, Found: seen.Content, Message: fmt.Sprintf("is to be mounted at %s, which holds files that the mount would hide", m.path),
			Hint: "move them onto the dataset first: " + migrateCommand(m.n.want)}
	case seen.Content != "empty":
		return unseen("could not be looked into")
	}
	return false, nil
}

// migrateCommand plans to move what lies at the mountpoint onto the dataset.
func migrateCommand(w *Wanted) string {
	if len(w.Services) > 0 {
		return "stateward plan migrate " + w.Services[0]
	}
	if name, ok := strings.CutPrefix(w.Origin.Option, "modules.storage.datasets.services."); ok && !strings.ContainsAny(name, `."`) {
		return "stateward plan migrate " + name
	}
	return "stateward plan migrate SERVICE --dataset " + w.Name.String()
}
