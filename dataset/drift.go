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
	// Hidden are mounted datasets beneath whose mountpoint something lies. No step can mend it: what it is only a person knows.
	Hidden []Hidden `json:"hidden,omitempty"`
	// Unmounted are datasets that nobody declared, below those that are, and that the next boot would mount and nothing has. They are no difference: nobody
	// said that they should be.
	Unmounted []Unmounted `json:"unmounted,omitempty"`
}

// Unmounted is a dataset that is not mounted where it says.
type Unmounted struct {
	Dataset Name   `json:"dataset"`
	Path    string `json:"path"`
}

// Message says what nobody sees.
func (u Unmounted) Message() string {
	return "is not mounted at " + u.Path + ", where the next boot would mount it, and nobody declared it"
}

// Hint says how to have it back.
func (u Unmounted) Hint() string { return "zfs mount " + quoted(u.Dataset.s) }

// FindUnmounted finds the datasets below the mounted ones of what is desired that nobody declared, and that were unmounted, such as to make room for a step.
func FindUnmounted(desired Desired, observed *Observed) []Unmounted {
	var list []Unmounted
	if observed == nil {
		return list
	}
	ours, known := map[Name]bool{}, map[Name]bool{}
	for i := range desired.Datasets {
		w := &desired.Datasets[i]
		known[w.Name] = true
		ours[w.Name] = w.Role != Foreign && !w.Implicit && w.Type != Volume
	}
	value := func(s *State, property string) string { return s.Properties[property].Value }
	mounted := map[Name]bool{}
	for i := range observed.Datasets {
		mounted[observed.Datasets[i].Name] = value(&observed.Datasets[i], "mounted") == "yes"
	}
	for i := range observed.Datasets {
		s := &observed.Datasets[i]
		at := value(s, "mountpoint")
		if known[s.Name] || s.Type != Filesystem || value(s, "mounted") != "no" || value(s, "canmount") != "on" || !strings.HasPrefix(at, "/") || value(s, "keystatus") == "unavailable" {
			continue
		}
		for above := s.Name.Parent(); !above.IsZero(); above = above.Parent() {
			if ours[above] && mounted[above] {
				list = append(list, Unmounted{s.Name, at})
				break
			}
		}
	}
	slices.SortFunc(list, func(a, b Unmounted) int { return CompareName(a.Dataset, b.Dataset) })
	return list
}

// Hidden is a directory that holds something and that a declared dataset is mounted over.
type Hidden struct {
	Dataset Name   `json:"dataset"`
	Path    string `json:"path"`
}

// Message says what is hidden.
func (h Hidden) Message() string {
	return "something lies beneath " + h.Path + ", where it is mounted: the mount hides it"
}

// Hint says how to look at it.
func (h Hidden) Hint() string {
	return "look at it beside the mount: mount --bind / /mnt && ls -la " + quoted("/mnt"+h.Path) + " (or the file system that holds the directory, in place of /)"
}

// FindHidden finds what lies beneath the mounts of what is desired, in the order of the datasets. It is unknown, and not listed, where
// the observation did not look beneath.
func FindHidden(desired Desired, observed *Observed) []Hidden {
	var list []Hidden
	if observed == nil {
		return list
	}
	ours := map[string]Name{}
	for i := range desired.Datasets {
		if w := &desired.Datasets[i]; w.Role != Foreign && !w.Implicit && w.Type != Volume {
			ours[w.Name.s] = w.Name
		}
	}
	for _, p := range observed.Places {
		if name, ok := ours[p.MountedFrom]; ok && p.MountedFrom != "" && p.Content == "populated" {
			list = append(list, Hidden{name, p.Path})
		}
	}
	slices.SortStableFunc(list, func(a, b Hidden) int { return CompareName(a.Dataset, b.Dataset) })
	return list
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
				x.Why = d.reason(x)
			}
		}
	}
	slices.SortStableFunc(d.list, func(a, b Difference) int {
		return cmp.Or(CompareName(a.Dataset, b.Dataset), rankOf(a.What)-rankOf(b.What), strings.Compare(a.What, b.What))
	})
	out := Drift{Differences: d.list, Conflicts: d.plan.Conflicts, Undeclared: undeclared(desired, observed), Hidden: FindHidden(desired, observed), Unmounted: FindUnmounted(desired, observed)}
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
	if at, ok := d.belongs(n); ok {
		if found, hidden := d.mounted(n, at.String()); found != at.String() || hidden {
			if hidden {
				found += ", hidden by another mount"
			}
			d.add(Difference{Dataset: w.Name, What: WhatMounted, Wanted: at.String(), Found: found, Origin: w.Origin})
		}
	}
}

// belongs is where a dataset that is there is to be mounted, whatever a plan can do about it: as it is declared, else as it is.
func (d *drift) belongs(n *node) (at stateward.AbsPath, ok bool) {
	if n.want.Type == Volume {
		return at, false
	}
	for property, value := range map[string]string{"canmount": "on", "zoned": "off"} {
		now, known := n.state.Properties[property]
		if s, set := n.want.Setting(property); set {
			now.Value, known = s.value, true
		}
		if known && now.Value != value {
			return at, false
		}
	}
	return d.p.declaredAim(n.want)
}

// mounted is where a dataset is mounted: at the place where it belongs, or else at another.
func (d *drift) mounted(n *node, at string) (found string, hidden bool) {
	list := d.p.mountedAt(n.state)
	switch {
	case slices.Contains(list, at):
		top := d.p.top[at]
		return at, d.p.buried[[2]string{n.want.Name.s, at}] || top != nil && top.Source != n.want.Name.s
	case len(list) > 0:
		return list[0], false
	}
	return "", false
}

// unread says why nothing is known of the datasets of a pool; empty where they were read.
func (p *planner) unread(n Name) string {
	if p.seen == nil {
		return "nothing was observed"
	}
	if slices.Contains(p.seen.LeftOut, n.Pool()) {
		return "pool " + n.Pool() + " was not looked at"
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

// reason is why nothing is planned for a difference that no conflict is about: what keeps the dataset from something else, or one above it.
func (d *drift) reason(x *Difference) string {
	for a := x.Dataset; !a.IsZero(); a = a.Parent() {
		for _, c := range d.plan.Conflicts {
			if c.Dataset != a || c.Message == "" {
				continue
			}
			if a == x.Dataset {
				return c.Message
			}
			return fmt.Sprintf("%s: %s", a, c.Message)
		}
	}
	return "no step is planned for it"
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
		if n := d.p.byName[c.Dataset]; n != nil && n.state != nil {
			own.Found, _ = d.mounted(n, c.Path)
		}
		if _, there := d.p.states[c.Dataset]; !there {
			own.What = WhatDataset
		}
	case OwnerUnknown:
		own.Unknown = "it is not mounted"
		if seen := d.p.places[c.Path]; seen != nil && seen.MountedFrom == c.Dataset.s {
			own.Unknown, own.Found = "", cmp.Or(seen.User, strconv.Itoa(seen.UID))
			if c.Property == WhatGroup {
				own.Found = cmp.Or(seen.Group, strconv.Itoa(seen.GID))
			}
		}
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
		// What keeps a dataset from being mounted keeps it from being moved, and the other way round.
		mount := x.What == WhatMounted || x.What == "mountpoint" || x.What == "canmount"
		if slices.Contains(c.Blocks, x.Dataset) && (c.Property == "" || x.Dataset != c.Dataset || mount && own.What == WhatMounted) {
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
