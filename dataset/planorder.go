package dataset

import (
	"slices"

	"github.com/stateward/stateward"
)

// inOrder puts the steps into the order in which they are done: those on the pools by name, and then those on places by path. What lies
// in a dataset that is not mounted yet shows once it is, and the next boot mounts every dataset that has a mountpoint. So what is made or
// moved to a place in there waits for that mount, and what lies in it by name for it.
func (p *planner) inOrder() []Op {
	at := map[stateward.AbsPath]*node{}
	for _, n := range p.nodes {
		if n.mountedOn != (stateward.AbsPath{}) {
			at[n.mountedOn] = n
		}
	}
	late := map[*node]bool{}
	for _, n := range p.nodes {
		above := p.byName[n.want.Name.Parent()]
		late[n] = above != nil && above.create && late[above] || p.waits(n, at)
	}
	var ops []Op
	for _, n := range p.nodes {
		p.aimed(n)
		if !late[n] {
			ops = append(ops, n.ops...)
		} else if !n.create {
			// Only what lets it be mounted waits.
			ops = append(ops, slices.DeleteFunc(slices.Clone(n.ops), moves)...)
			n.ops = slices.DeleteFunc(n.ops, func(op Op) bool { return !moves(op) })
		}
	}
	// emit does what waits, those above by name first.
	var emit func(n *node)
	emit = func(n *node) {
		if n == nil || !late[n] {
			return
		}
		late[n] = false
		if n.create {
			emit(p.byName[n.want.Name.Parent()])
		}
		ops = append(ops, n.ops...)
	}
	for _, op := range p.mountOps {
		emit(p.byName[op.Target()])
		ops = append(ops, op)
	}
	for _, n := range p.nodes {
		emit(n)
	}
	return ops
}

// waits tells whether a step lets a dataset be mounted in one that is there, and is mounted by a later step.
func (p *planner) waits(n *node, at map[stateward.AbsPath]*node) bool {
	if n.mountedOn == (stateward.AbsPath{}) || !n.create && !slices.ContainsFunc(n.ops, moves) {
		return false
	}
	for a := range n.mountedOn.Ancestors() {
		if above := at[a]; above != nil && above != n && above.state != nil {
			return true
		}
	}
	return false
}

// moves tells whether a step lets a dataset be mounted at another place.
func moves(op Op) bool {
	set, ok := op.(*Set)
	return ok && (set.Setting.name == "mountpoint" || set.Setting.name == "canmount" && set.Setting.value == "on")
}

// aimed notes in the steps of a dataset where it will be mounted.
func (p *planner) aimed(n *node) {
	for _, op := range n.ops {
		switch op := op.(type) {
		case *Create:
			op.Path = n.mountedOn
		case *Set:
			if moves(op) {
				op.Path = n.mountedOn
			}
		}
	}
}
