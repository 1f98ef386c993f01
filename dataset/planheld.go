package dataset

import (
	"slices"

	"github.com/stateward/stateward"
)

// hold takes back the steps after which the next boot would do what is refused now. `zfs mount -a` mounts every dataset that has a
// mountpoint and canmount=on, over whatever lies there (overlay=on, zfsprops(7)): an empty dataset would hide the data of a service, or
// two datasets would race for one place. So one that cannot be mounted where it belongs is not made either, and gets neither
// mountpoint nor canmount=on. What was to be mounted inside of it is not mounted, for the same reason.
func (p *planner) hold(list []mounting, blocked map[stateward.AbsPath]*Conflict) {
	held := map[*node]*Conflict{}
	// Names are in order, so that those below a dataset follow it.
	for _, n := range p.nodes {
		c := n.unmounted
		if above := p.byName[n.want.Name.Parent()]; above != nil && held[above] != nil && above.out == held[above] {
			c = above.out
		}
		if c != nil {
			p.holdNode(n, c, held)
		}
	}
	for again := true; again; {
		again = false
		for _, m := range list {
			c := held[m.n]
			for a := range m.path.Ancestors() {
				if c == nil {
					c = blocked[a]
				}
			}
			if c == nil {
				continue
			}
			if blocked[m.path] == nil {
				blocked[m.path], again = c, true
			}
			if held[m.n] != nil || p.mountedHere(m) {
				continue
			}
			again = true
			p.holdNode(m.n, c, held)
			name := m.n.want.Name
			i, _ := slices.BinarySearchFunc(p.nodes, name, func(n *node, name Name) int { return CompareName(n.want.Name, name) })
			for i++; i < len(p.nodes) && p.nodes[i].want.Name.Below(name); i++ {
				if p.nodes[i].create {
					p.holdNode(p.nodes[i], c, held)
				}
			}
		}
	}
	p.mountOps = slices.DeleteFunc(p.mountOps, func(op Op) bool { return held[p.byName[op.Target()]] != nil })
}

// mountedHere tells whether a dataset is mounted at a place already: then nothing that is done now makes a difference to the next boot.
func (p *planner) mountedHere(m mounting) bool {
	return slices.Contains(p.mountedAt(m.n.state), m.path.String())
}

func (p *planner) holdNode(n *node, c *Conflict, held map[*node]*Conflict) {
	if held[n] != nil || n.want.Role == Foreign {
		return
	}
	held[n] = c
	c.blocks(n)
	if n.state == nil {
		n.ops, n.create, n.out = nil, false, c
		return
	}
	n.ops = slices.DeleteFunc(n.ops, func(op Op) bool {
		switch op := op.(type) {
		case *Set:
			return op.Setting.name == "mountpoint" || op.Setting.name == "canmount" && op.Setting.value == "on"
		case *Inherit:
			return op.Property == "mountpoint"
		}
		return false
	})
}
