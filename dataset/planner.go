package dataset

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// NewPlan plans the steps that make what is observed what is desired. It never destroys, and never touches a dataset that is
// not desired. Without an observation (nil) the pools, and what is [Foreign], are taken as there and empty.
//
// A step is planned only where the value that a dataset really has is not the one that is wanted, both written in the
// canonical way; a value that is there by default, by inheritance or since it was received is as good as a local one
// (D4). Inherited values count as they will be once the steps on the datasets above are done.
func NewPlan(desired Desired, observed *Observed, opts Options) Plan {
	p := newPlanner(desired, observed, opts)
	for _, n := range p.nodes {
		p.planPool(n)
	}
	p.planMounts()
	p.plan.Ops = p.inOrder()
	for _, c := range p.conflicts {
		slices.SortFunc(c.Blocks, CompareName)
		c.Blocks = slices.Compact(c.Blocks)
		p.plan.Conflicts = append(p.plan.Conflicts, *c)
	}
	slices.SortStableFunc(p.plan.Conflicts, func(a, b Conflict) int {
		return cmp.Or(CompareName(a.Dataset, b.Dataset), strings.Compare(string(a.Kind), string(b.Kind)),
			strings.Compare(a.Property, b.Property), strings.Compare(a.Path, b.Path))
	})
	return p.plan
}

// node is a desired dataset while it is planned.
type node struct {
	want  *Wanted
	state *State
	// create tells that a step makes it.
	create bool
	// out keeps it from being there or from being known at all, unmounted from being mounted where it should be.
	out, unmounted *Conflict
	// set holds the values that steps set, inherit the properties that steps take back.
	set     map[string]string
	inherit []string
	ops     []Op
	// mountedOn is where a step mounts it.
	mountedOn stateward.AbsPath
}

type planner struct {
	seen   *Observed
	nodes  []*node
	byName map[Name]*node
	states map[Name]*State
	// sorted are all that is observed, in the order of names.
	sorted []*State
	places map[string]*Place
	// top is what is mounted at a path, above all else there; mountsOf where a dataset is mounted.
	top      map[string]*Mount
	mountsOf map[string][]string
	// buried are datasets and the places where they are mounted, and hidden by another mount.
	buried map[[2]string]bool
	// changed are the properties that a step changes for a dataset that is there, and thus perhaps for those in it.
	changed map[string]bool
	pools   map[string]*Conflict
	// left are the declared datasets that were not asked for, claims the places of what is none of the desired.
	left    map[Name]*Wanted
	claims  []Claim
	users   map[string]bool
	groups  map[string]bool
	userID  map[string]uint32
	groupID map[string]uint32

	conflicts []*Conflict
	mountOps  []Op
	plan      Plan
}

func newPlanner(desired Desired, observed *Observed, opts Options) *planner {
	p := &planner{
		seen: observed, byName: map[Name]*node{}, states: map[Name]*State{}, places: map[string]*Place{},
		top: map[string]*Mount{}, mountsOf: map[string][]string{}, buried: map[[2]string]bool{}, changed: map[string]bool{}, pools: map[string]*Conflict{},
		left: map[Name]*Wanted{}, claims: desired.Claims,
	}
	p.observe()
	p.want(desired.Datasets)
	p.only(opts.Only)
	slices.SortFunc(p.nodes, func(a, b *node) int { return CompareName(a.want.Name, b.want.Name) })
	return p
}

func (p *planner) observe() {
	if p.seen == nil {
		return
	}
	for i := range p.seen.Datasets {
		s := &p.seen.Datasets[i]
		if _, twice := p.states[s.Name]; s.Name.IsZero() || twice {
			continue
		}
		p.states[s.Name] = s
		p.sorted = append(p.sorted, s)
	}
	slices.SortFunc(p.sorted, func(a, b *State) int { return CompareName(a.Name, b.Name) })
	for i := range p.seen.Places {
		p.places[p.seen.Places[i].Path] = &p.seen.Places[i]
	}
	for i := range p.seen.Mounts {
		m := &p.seen.Mounts[i]
		if !m.Hidden {
			p.top[m.At] = m
		}
		if m.FSType == "zfs" && (m.Root == "/" || m.Root == "") {
			p.mountsOf[m.Source] = append(p.mountsOf[m.Source], m.At)
			if m.Hidden {
				p.buried[[2]string{m.Source, m.At}] = true
			}
		}
	}
	names := func(list []string) map[string]bool {
		if list == nil {
			return nil
		}
		m := map[string]bool{}
		for _, n := range list {
			m[n] = true
		}
		return m
	}
	p.users, p.groups = names(p.seen.Users), names(p.seen.Groups)
	p.userID, p.groupID = p.seen.UserIDs, p.seen.GroupIDs
}

// want takes what is desired; a dataset that is there twice is none.
func (p *planner) want(list []Wanted) {
	twice := map[Name]bool{}
	for i := range list {
		w := &list[i]
		if w.Name.IsZero() {
			continue
		}
		if _, again := p.byName[w.Name]; again {
			twice[w.Name] = true
			continue
		}
		n := &node{want: w, state: p.states[w.Name], set: map[string]string{}}
		p.byName[w.Name] = n
		// In the order of the list, which is sorted already where [NewDesired] made it.
		p.nodes = append(p.nodes, n)
	}
	for _, n := range p.nodes {
		if name := n.want.Name; twice[name] {
			n.out = &Conflict{Kind: NotDeclared, Dataset: name, Message: "is declared twice", Hint: "declare it once"}
		}
	}
	slices.SortFunc(p.nodes, func(a, b *node) int { return CompareName(a.want.Name, b.want.Name) })
	for _, n := range p.nodes {
		if n.out != nil {
			p.conflicts = append(p.conflicts, n.out)
			n.out.Blocks = []Name{n.want.Name}
		}
	}
}

// only leaves what was not asked for out, but for the containers above what was.
func (p *planner) only(names []Name) {
	if len(names) == 0 {
		return
	}
	keep := map[Name]bool{}
	asked := slices.Clone(names)
	slices.SortFunc(asked, CompareName)
	for _, n := range slices.Compact(asked) {
		w := p.byName[n]
		if w == nil || w.want.Role == Foreign {
			c := p.conflict(nil, Conflict{Kind: NotDeclared, Dataset: n, Message: "is not declared", Hint: "name a dataset that the configuration declares"})
			if w != nil {
				c.Message, c.Hint, c.Origin = "is another's to make and to change", "", w.want.Origin
			}
			continue
		}
		keep[n] = true
		for a := n.Parent(); !a.IsZero(); a = a.Parent() {
			if above := p.byName[a]; above != nil && (above.want.Role == Container || above.want.Role == Foreign) {
				keep[a] = true
			}
		}
	}
	p.nodes = slices.DeleteFunc(p.nodes, func(n *node) bool {
		if !keep[n.want.Name] {
			delete(p.byName, n.want.Name)
			p.left[n.want.Name] = n.want
			return true
		}
		return false
	})
}

// conflict notes one, and what is left out because of it.
func (p *planner) conflict(n *node, c Conflict) *Conflict {
	if n != nil {
		c.Dataset, c.Origin, c.Blocks = n.want.Name, n.want.Origin, []Name{n.want.Name}
	}
	p.conflicts = append(p.conflicts, &c)
	return &c
}

func (c *Conflict) blocks(n *node) { c.Blocks = append(c.Blocks, n.want.Name) }

func (p *planner) step(n *node, format string, args ...any) Step {
	return Step{n.want.Name, Cause{fmt.Sprintf(format, args...), n.want.Origin}}
}

// planPool plans what is to be done with a dataset, but for its mount.
func (p *planner) planPool(n *node) {
	switch {
	case n.out != nil || n.want.Role == Foreign:
	case p.elsewhere(n):
	case n.state == nil:
		p.planCreate(n)
	case n.state.Type != n.want.types():
		message := "is a volume, and a file system is wanted"
		if n.want.Type == Volume {
			message = "is a file system, and a volume is wanted"
		}
		n.out = p.conflict(n, Conflict{Kind: WrongType, Wanted: n.want.types().String(), Found: n.state.Type.String(),
			Message: message, Hint: "rename the one or the other"})
	case !n.want.Implicit:
		for _, property := range n.want.Inherit {
			p.planInherit(n, property)
		}
		for _, s := range p.ordered(n) {
			p.planSetting(n, s)
		}
	}
}
