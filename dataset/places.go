package dataset

import (
	"slices"

	"github.com/stateward/stateward"
)

// Places are the paths that an observation has to look at, so that [NewPlan] can plan everything: the mountpoints of all
// that is desired, declared or inherited, and the directories above them, in order. Observed may be without places, or nil.
func Places(desired Desired, observed *Observed) []stateward.AbsPath {
	p := newPlanner(desired, observed, Options{})
	set := map[stateward.AbsPath]bool{}
	add := func(path stateward.AbsPath) {
		for a := range path.Ancestors() {
			if set[a] {
				return
			}
			set[a] = true
		}
	}
	for _, n := range p.nodes {
		p.planPool(n)
	}
	for _, n := range p.nodes {
		if n.want.Role == Foreign || n.want.Implicit || n.want.Type == Volume {
			continue
		}
		if s, ok := n.want.Setting("mountpoint"); ok {
			if path, err := stateward.ParsePath(s.value); err == nil {
				add(path)
			}
		}
		if n.out == nil {
			if path, ok := p.mountpoint(n); ok {
				add(path)
			}
			for _, at := range p.mountedAt(n.state) {
				if path, err := stateward.ParsePath(at); err == nil && !(n.want.Owner.IsZero() && n.want.Group.IsZero() && n.want.Mode.IsZero()) {
					add(path)
				}
			}
		}
	}
	list := make([]stateward.AbsPath, 0, len(set))
	for path := range set {
		list = append(list, path)
	}
	slices.SortFunc(list, comparePaths)
	return list
}
