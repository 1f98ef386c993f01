package dataset

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
)

// Drift is where what is observed differs from what is desired.
type Drift struct {
	// Differences are in the order of the datasets, and of one: whether it is there, its properties by name, its mount, its
	// owner.
	Differences []Difference `json:"differences"`
	// Conflicts are those of a plan: what keeps some of the differences from being mended.
	Conflicts []Conflict `json:"conflicts"`
	// Undeclared are datasets that nobody declared and that lie in one of our containers. They are no difference: nothing
	// is known against them, and nothing is done to them.
	Undeclared []Undeclared `json:"undeclared"`
}

// Difference is one value that is not as it is wanted.
type Difference struct {
	Dataset Name `json:"dataset"`
	// What differs: a property, or "dataset" (it is not there, or a volume where a file system is wanted, or the other way round), "mounted", "owner", "group" or "mode".
	What string `json:"what"`
	// Wanted and Found as `zfs get -Hp` prints them; Found is empty where there is nothing, or where it is unknown, and then
	// Unknown says why.
	Wanted  string `json:"wanted"`
	Found   string `json:"found,omitempty"`
	Unknown string `json:"unknown,omitempty"`
	// Source is where a property's value is from, From the ancestor that an inherited one is from, Received what
	// `zfs receive` brought.
	Source   Source `json:"source,omitempty"`
	From     Name   `json:"from,omitzero"`
	Received string `json:"received,omitempty"`
	// Applies tells that a plan has a step that mends it; else Why says what keeps it from that.
	Applies bool             `json:"applies"`
	Why     string           `json:"why,omitempty"`
	Origin  stateward.Origin `json:"origin,omitzero"`
}

// Undeclared is a dataset that nobody declared.
type Undeclared struct {
	Name Name `json:"name"`
	// In is the container that it lies in.
	In   Name   `json:"in"`
	Type string `json:"type"`
	// Below is how many datasets lie in it, however deep; they are not listed.
	Below int `json:"below,omitempty"`
}

// The words of [Difference.What] that are no properties.
const (
	WhatDataset = "dataset"
	WhatMounted = "mounted"
	WhatOwner   = "owner"
	WhatGroup   = "group"
	WhatMode    = "mode"
)

// NewDrift compares what is desired with what is observed. There is a difference where [NewPlan] has a step or a conflict, and
// only there, but for values that differ on a dataset which a conflict takes out of the plan as a whole: they are listed too.
func NewDrift(desired Desired, observed *Observed, opts Options) Drift {
	d := &drift{p: newPlanner(desired, observed, opts), plan: NewPlan(desired, observed, opts), at: map[differing]int{}}
	// The planner tells where a dataset is to be mounted once its pool steps are known.
	for _, n := range d.p.nodes {
		d.p.planPool(n)
	}
	for _, n := range d.p.nodes {
		if n.want.Role != Foreign {
			d.dataset(n)
		}
	}
	d.steps()
	for _, c := range d.plan.Conflicts {
		d.conflict(c)
	}
	for i := range d.list {
		if x := &d.list[i]; !x.Applies && x.Why == "" {
			x.Applies = d.above(x)
			if !x.Applies {
				x.Why = "no step is planned for it"
			}
		}
	}
	slices.SortStableFunc(d.list, func(a, b Difference) int {
		return cmp.Or(CompareName(a.Dataset, b.Dataset), rankOf(a.What)-rankOf(b.What), strings.Compare(a.What, b.What))
	})
	out := Drift{Differences: d.list, Conflicts: d.plan.Conflicts, Undeclared: undeclared(desired, observed)}
	if out.Differences == nil {
		out.Differences = []Difference{}
	}
	if out.Conflicts == nil {
		out.Conflicts = []Conflict{}
	}
	return out
}

func rankOf(what string) int {
	if i := slices.Index([]string{WhatDataset, "", WhatMounted, WhatOwner, WhatGroup, WhatMode}, what); i >= 0 {
		return i
	}
	return 1
}

type differing struct {
	name Name
	what string
}

type drift struct {
	p    *planner
	plan Plan
	list []Difference
	at   map[differing]int
}

func (d *drift) add(x Difference) {
	key := differing{x.Dataset, x.What}
	if _, again := d.at[key]; again {
		return
	}
	d.at[key] = len(d.list)
	d.list = append(d.list, x)
}

// dataset lists what differs now, whatever can be done about it.
func (d *drift) dataset(n *node) {
	w := n.want
	x := Difference{Dataset: w.Name, Origin: w.Origin}
	if n.state == nil {
		x.What, x.Wanted = WhatDataset, w.types().String()
		x.Unknown = d.p.unread(w.Name)
		d.add(x)
		return
	}
	if n.state.Type != w.types() {
		x.What, x.Wanted, x.Found = WhatDataset, w.types().String(), n.state.Type.String()
		d.add(x)
		return
	}
	if w.Implicit {
		return
	}
	for _, s := range w.Settings {
		prop, ok := LookupProperty(s.name)
		if !ok {
			continue
		}
		now, seen := n.state.Properties[prop.Name]
		if seen && d.p.has(n.state, prop, now.Value, s) {
			continue
		}
		y := Difference{Dataset: w.Name, What: prop.Name, Wanted: s.value, Found: now.Value, Source: now.Source, From: now.From, Received: now.Received, Origin: w.Origin}
		if why := d.p.unseen(n, s); why != "" {
			y.Found, y.Source, y.From, y.Unknown = "", "", Name{}, why
		}
		d.add(y)
	}
	for _, property := range w.Inherit {
		if now := n.state.Properties[property]; now.Source == Local || now.Source == Received {
			d.add(Difference{Dataset: w.Name, What: property, Found: now.Value, Source: now.Source, Received: now.Received, Origin: w.Origin})
		}
	}
}

// unread says why nothing is known of the datasets of a pool; empty where they were read.
func (p *planner) unread(n Name) string {
	if p.seen == nil {
		return "nothing was observed"
	}
	if pool, ok := p.seen.Pool(n.Pool()); !ok {
		return "pool " + n.Pool() + " is not imported"
	} else if pool.Health != "ONLINE" && pool.Health != "DEGRADED" && pool.Health != "" {
		return "pool " + n.Pool() + " is " + pool.Health
	}
	return ""
}

// steps marks what a plan mends, and adds what only a plan knows of: mounts and owners.
func (d *drift) steps() {
	mend := func(x Difference) {
		if x.What == "" {
			return
		}
		d.add(x)
		d.list[d.at[differing{x.Dataset, x.What}]].Applies = true
	}
	for _, op := range d.plan.Ops {
		x := Difference{Dataset: op.Target(), Origin: op.Cause().Origin}
		switch op := op.(type) {
		case *Create:
			x.What, x.Wanted = WhatDataset, cmp.Or(op.Type, Filesystem).String()
		case *Set:
			now := d.p.states[op.Dataset]
			x.What, x.Wanted, x.Found, x.Source = op.Setting.name, op.Setting.value, op.Was, op.WasFrom
			if now != nil {
				x.From, x.Received = now.Properties[x.What].From, now.Properties[x.What].Received
			}
		case *Inherit:
			x.What, x.Found = op.Property, op.Was
		case *MakeMountpoint:
			// The mount that follows says it.
		case *MountDataset:
			x.What, x.Wanted = WhatMounted, op.Path.String()
		case *Own:
			d.owner(op, mend)
			continue
		}
		mend(x)
	}
}

// owner lists what of owner, group and mode differs.
func (d *drift) owner(op *Own, mend func(Difference)) {
	seen := d.p.places[op.Path.String()]
	if seen != nil && seen.MountedFrom != op.Dataset.s {
		seen = nil // what is seen there is what the mount will hide
	}
	x := Difference{Dataset: op.Dataset, Origin: op.Why.Origin}
	for _, o := range []struct {
		what string
		want stateward.Owner
		id   func() int
		name func() string
		ids  map[string]uint32
	}{
		{WhatOwner, op.Owner, func() int { return seen.UID }, func() string { return seen.User }, d.p.userID},
		{WhatGroup, op.Group, func() int { return seen.GID }, func() string { return seen.Group }, d.p.groupID},
	} {
		x.What, x.Wanted, x.Found, x.Unknown = o.what, o.want.String(), "", ""
		switch {
		case o.want.IsZero():
			continue
		case seen == nil:
			x.Unknown = "it is not mounted"
		default:
			if sameOwner(o.want, o.id(), o.name(), o.ids) {
				continue
			}
			x.Found = cmp.Or(o.name(), strconv.Itoa(o.id()))
		}
		mend(x)
	}
	if op.Mode.IsZero() {
		return
	}
	x.What, x.Wanted, x.Found, x.Unknown = WhatMode, op.Mode.String(), "", "it is not mounted"
	if seen != nil {
		x.Found, x.Unknown = seen.Mode, ""
		if mode, err := stateward.ParseMode(seen.Mode); err == nil && mode == op.Mode {
			return
		}
	}
	mend(x)
}

// above tells whether a step on a dataset above changes a property.
func (d *drift) above(x *Difference) bool {
	return slices.ContainsFunc(d.plan.Ops, func(op Op) bool {
		property := ""
		switch op := op.(type) {
		case *Set:
			property = op.Setting.name
		case *Inherit:
			property = op.Property
		}
		return property == x.What && x.Dataset.Below(op.Target())
	})
}

// conflict says of the differences that it keeps from being mended why that is, and adds it where it is one itself.
func (d *drift) conflict(c Conflict) {
	why := string(c.Kind)
	if c.Message != "" {
		why = c.Message
	}
	own := Difference{Dataset: c.Dataset, What: c.Property, Wanted: c.Wanted, Found: c.Found, Origin: c.Origin}
	switch c.Kind {
	case MountpointPopulated, MountpointTaken, NotADirectory, MountBusy, KeyNotLoaded:
		own.What, own.Wanted, own.Found = WhatMounted, c.Path, ""
		if c.Kind == MountBusy {
			own.Found = c.Found
		}
		if _, there := d.p.states[c.Dataset]; !there {
			own.What = WhatDataset
		}
	case OwnerUnknown:
		own.What = WhatOwner
		if strings.Contains(c.Message, "group") {
			own.What = WhatGroup
		}
		own.Found = ""
	case PoolAbsent, PoolUnwritable, ParentMissing, NotDeclared, WrongType:
		own.What = WhatDataset
	case NotObserved:
		if c.Path != "" {
			own.What, own.Wanted = WhatMounted, c.Path
		}
		own.Unknown = c.Message
	}
	if own.What == "" {
		own.What = WhatDataset
	}
	found := false
	for i := range d.list {
		x := &d.list[i]
		if x.Applies || x.Why != "" {
			continue
		}
		if x.Dataset == c.Dataset && x.What == own.What {
			x.Why, found = why, true
			continue
		}
		if slices.Contains(c.Blocks, x.Dataset) && (c.Property == "" || x.Dataset != c.Dataset) {
			x.Why, found = fmt.Sprintf("%s: %s", c.Dataset, why), true
			if x.Dataset == c.Dataset {
				x.Why = why
			}
		}
	}
	if !found {
		own.Why = why
		d.add(own)
		if x := &d.list[d.at[differing{own.Dataset, own.What}]]; !x.Applies && x.Why == "" {
			x.Why = why
		}
	}
}

// undeclared finds the datasets in our containers that nobody declared.
func undeclared(desired Desired, observed *Observed) []Undeclared {
	list := []Undeclared{}
	if observed == nil {
		return list
	}
	roles := map[Name]Role{}
	for i := range desired.Datasets {
		roles[desired.Datasets[i].Name] = desired.Datasets[i].Role
	}
	at := map[Name]int{}
	sorted := slices.Clone(observed.Datasets)
	slices.SortFunc(sorted, func(a, b State) int { return CompareName(a.Name, b.Name) })
	for i := range sorted {
		s := &sorted[i]
		if _, declared := roles[s.Name]; declared {
			continue
		}
		above := s.Name.Parent()
		if j, known := at[above]; known {
			at[s.Name] = j
			list[j].Below++
		} else if roles[above] == Container {
			at[s.Name] = len(list)
			list = append(list, Undeclared{Name: s.Name, In: above, Type: s.Type.String()})
		}
	}
	return list
}
