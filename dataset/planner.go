package dataset

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
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
	for _, n := range p.nodes {
		p.plan.Ops = append(p.plan.Ops, n.ops...)
	}
	p.plan.Ops = append(p.plan.Ops, p.mountOps...)
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
	users   map[string]bool
	groups  map[string]bool

	conflicts []*Conflict
	mountOps  []Op
	plan      Plan
}

func newPlanner(desired Desired, observed *Observed, opts Options) *planner {
	p := &planner{
		seen: observed, byName: map[Name]*node{}, states: map[Name]*State{}, places: map[string]*Place{},
		top: map[string]*Mount{}, mountsOf: map[string][]string{}, buried: map[[2]string]bool{}, changed: map[string]bool{}, pools: map[string]*Conflict{},
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
		p.byName[w.Name] = &node{want: w, state: p.states[w.Name], set: map[string]string{}}
	}
	for name, n := range p.byName {
		p.nodes = append(p.nodes, n)
		if twice[name] {
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

// writable tells whether steps on the pool of a dataset can be carried out at all. Ask it once a step is needed: a pool that
// needs none is no conflict.
func (p *planner) writable(n *node) bool {
	if p.seen == nil {
		return true
	}
	name := n.want.Name.Pool()
	c, judged := p.pools[name]
	if !judged {
		c = p.judgePool(name)
		if c != nil {
			c.Origin = n.want.Origin
			p.conflicts = append(p.conflicts, c)
		}
		p.pools[name] = c
	}
	if c != nil {
		c.blocks(n)
		n.out = c
	}
	return c == nil
}

func (p *planner) judgePool(name string) *Conflict {
	c := Conflict{Dataset: Name{name}}
	pool, ok := p.seen.Pool(name)
	switch {
	case !ok:
		c.Kind, c.Message, c.Hint = PoolAbsent, "pool "+name+" is not imported", "import it: zpool import "+name
	case pool.AltRoot != "":
		c.Kind, c.Message, c.Hint = PoolElsewhere, "pool "+name+" is imported below "+pool.AltRoot, "plan from within that system, or import the pool without altroot"
		c.Found = pool.AltRoot
	case pool.ReadOnly:
		c.Kind, c.Message, c.Hint = PoolUnwritable, "pool "+name+" is imported read-only", "export it, and import it without readonly=on"
		c.Found = "readonly=on"
	case pool.Health != "ONLINE" && pool.Health != "DEGRADED" && pool.Health != "":
		c.Kind, c.Message, c.Hint = PoolUnwritable, "pool "+name+" is "+pool.Health, "look at zpool status "+name
		c.Found = pool.Health
	default:
		return nil
	}
	return &c
}

// elsewhere tells whether the pool of a dataset is imported for another system.
func (p *planner) elsewhere(n *node) bool {
	if p.seen == nil {
		return false
	}
	pool, ok := p.seen.Pool(n.want.Name.Pool())
	return ok && pool.AltRoot != "" && !p.writable(n)
}

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
	case n.state.Type == Volume:
		n.out = p.conflict(n, Conflict{Kind: WrongType, Wanted: Filesystem.String(), Found: Volume.String(),
			Message: "is a volume, and a file system is wanted", Hint: "rename the one or the other"})
	case !n.want.Implicit:
		for _, property := range n.want.Inherit {
			p.planInherit(n, property)
		}
		for _, s := range p.ordered(n) {
			p.planSetting(n, s)
		}
	}
}

func (p *planner) planCreate(n *node) {
	name := n.want.Name
	parent := name.Parent()
	above := p.byName[parent]
	if above != nil && above.out != nil {
		above.out.blocks(n)
		n.out = above.out
		return
	}
	if !p.writable(n) {
		return
	}
	state := p.states[parent]
	there := state != nil || above != nil && above.create || p.seen == nil && (parent.IsPool() || above != nil && above.want.Role == Foreign)
	switch {
	case name.IsPool() && p.seen == nil:
		n.create = true // it is there: what it is like is not known, and is as it was made
		n.set = map[string]string{}
		for _, s := range n.want.Settings {
			n.ops = append(n.ops, &Set{Step: p.step(n, "is declared, and what it is now is not known"), Setting: s})
			n.set[s.name] = s.value
		}
		return
	case name.IsPool():
		n.out = p.conflict(n, Conflict{Kind: NotObserved, Message: "is the root of an imported pool, and was not observed", Hint: "capture the pool again"})
		return
	case !there:
		c := Conflict{Kind: ParentMissing, Message: "lies in " + parent.s + ", which is not there", Hint: "make it first, or declare it"}
		if above != nil {
			c.Message += ", and is another's to make"
			c.Hint = "let its own tool make it first: " + above.want.Origin.Option
		}
		n.out = p.conflict(n, c)
		return
	case state != nil && state.Type == Volume:
		n.out = p.conflict(n, Conflict{Kind: WrongType, Wanted: Filesystem.String(), Found: Volume.String(),
			Message: "lies in " + parent.s + ", which is a volume", Hint: "name it otherwise"})
		return
	}
	if c, refused := p.refuseCreation(n, state); refused {
		n.out = p.conflict(n, c)
		return
	}
	n.create = true
	why := p.step(n, "is declared, and not there")
	if n.want.Implicit {
		why = p.step(n, "holds a dataset that is declared, and is not there")
	}
	n.ops = append(n.ops, &Create{Step: why, Settings: slices.Clone(n.want.Settings)})
	for _, s := range n.want.Settings {
		n.set[s.name] = s.value
	}
}

// refuseCreation finds why zfs would not make a dataset.
func (p *planner) refuseCreation(n *node, parent *State) (Conflict, bool) {
	get := func(property string) string {
		s, _ := n.want.Setting(property)
		return s.value
	}
	// One that is not encrypted, or has a key of its own, can be made there all the same.
	if parent != nil && get("encryption") != "off" && get("keyformat") == "" && parent.Properties["keystatus"].Value == "unavailable" {
		return Conflict{Kind: KeyNotLoaded, Property: "keystatus", Found: "unavailable",
			Message: "lies in " + parent.Name.s + ", whose key is not loaded", Hint: "zfs load-key " + keyRoot(parent)}, true
	}
	encryption, format := get("encryption"), get("keyformat")
	above, _, known := p.value(n.want.Name.Parent(), native["encryption"])
	switch {
	case known && above == "off" && encryption != "" && encryption != "off" && (format == "" || format == "none"):
		return Conflict{Kind: Refused, Property: "keyformat", Wanted: encryption, Message: "is to be encrypted, and has neither a keyformat nor an encrypted parent",
			Hint: "give it keyformat and keylocation"}, true
	case format == "" && (get("pbkdf2iters") != "" || get("keylocation") != "" && get("keylocation") != "none"):
		return Conflict{Kind: Refused, Property: "keyformat", Message: "says where its key is or how it is derived, and has no keyformat", Hint: "give it keyformat"}, true
	case known && above == "off" && encryption == "" && format != "" && format != "none":
		return Conflict{Kind: Refused, Property: "encryption", Wanted: format, Message: "has a keyformat, and is not to be encrypted", Hint: "give it encryption=on"}, true
	}
	if q, r := number(get("quota")), max(number(get("reservation")), number(get("refreservation"))); q != 0 && r > q {
		return Conflict{Kind: Refused, Property: "quota", Wanted: get("quota"), Message: "is to have more reserved than its quota allows", Hint: "give it a larger quota"}, true
	}
	for _, s := range n.want.Settings {
		if feature, lacks := p.lacksFeature(n, s); lacks {
			return p.featureConflict(s, feature), true
		}
	}
	return Conflict{}, false
}

func keyRoot(s *State) string {
	if root := s.Properties["encryptionroot"].Value; root != "" && root != "-" {
		return root
	}
	return s.Name.s
}

// features are those of zpool-features(7) that a value needs.
func featureOf(s Setting) string {
	switch s.name {
	case "recordsize":
		if n, err := strconv.ParseUint(s.value, 10, 64); err == nil && n > 128<<10 {
			return "large_blocks"
		}
	case "compression":
		if strings.HasPrefix(s.value, "zstd") {
			return "zstd_compress"
		}
	case "checksum", "dedup":
		algorithm, _, _ := strings.Cut(s.value, ",")
		if slices.Contains([]string{"sha512", "skein", "edonr", "blake3"}, algorithm) {
			return algorithm
		}
	case "dnodesize":
		if s.value != "legacy" {
			return "large_dnode"
		}
	case "encryption":
		if s.value != "off" {
			return "encryption"
		}
	case "longname":
		if s.value == "on" {
			return "longname"
		}
	}
	return ""
}

func (p *planner) lacksFeature(n *node, s Setting) (string, bool) {
	feature := featureOf(s)
	if feature == "" || p.seen == nil {
		return "", false
	}
	pool, ok := p.seen.Pool(n.want.Name.Pool())
	return feature, ok && len(pool.Features) > 0 && !slices.Contains(pool.Features, feature)
}

func (p *planner) featureConflict(s Setting, feature string) Conflict {
	return Conflict{Kind: Refused, Property: s.name, Wanted: s.value, Message: fmt.Sprintf("%s needs the pool's feature %s, which is not enabled", s, feature),
		Hint: "enable it: zpool set feature@" + feature + "=enabled POOL, which cannot be taken back"}
}

// ordered are the settings in the order in which they are to be made: a reservation that becomes smaller comes before a
// quota that could not become smaller before it, and what moves a mount comes last.
func (p *planner) ordered(n *node) []Setting {
	rank := func(s Setting) int {
		switch s.name {
		case "mountpoint":
			return 2
		case "canmount":
			return 3
		case "reservation", "refreservation":
			if number(s.value) < number(n.state.Properties[s.name].Value) {
				return 0
			}
		}
		return 1
	}
	list := slices.Clone(n.want.Settings)
	slices.SortStableFunc(list, func(a, b Setting) int { return cmp.Or(rank(a)-rank(b), CompareSetting(a, b)) })
	return list
}

func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

func (p *planner) planInherit(n *node, property string) {
	prop, ok := LookupProperty(property)
	if !ok || !prop.Inherited || prop.CreateOnly || prop.ReadOnly {
		p.conflict(n, Conflict{Kind: Refused, Property: property, Message: "property " + property + " cannot be inherited", Hint: "set it"})
		return
	}
	was := n.state.Properties[prop.Name]
	if was.Source != Local && was.Source != Received || n.out != nil {
		return
	}
	if prop.Name == "mountpoint" {
		if at, busy := p.moves(n, ""); busy {
			n.unmounted = p.conflict(n, p.busy(prop.Name, "", at))
			return
		}
	}
	if !p.writable(n) {
		return
	}
	n.inherit = append(n.inherit, prop.Name)
	p.changed[prop.Name] = true
	n.ops = append(n.ops, &Inherit{Step: p.step(n, "%s is %s (%s), and is to be inherited", prop.Name, was.Value, was.Source), Property: prop.Name, Was: was.Value})
}

// canonical is an observed value as a setting has it.
func canonical(prop *Property, value string) string {
	if c, err := prop.Canonical(value); err == nil {
		return c
	}
	return value
}

// planSetting plans the change of one property of a dataset that is there.
func (p *planner) planSetting(n *node, s Setting) {
	if n.out != nil {
		return
	}
	prop, ok := LookupProperty(s.name)
	if !ok {
		return
	}
	value, source, known := p.value(n.want.Name, prop)
	now, seen := n.state.Properties[prop.Name]
	switch {
	case !known && !prop.User:
		p.conflict(n, Conflict{Kind: NotObserved, Property: s.name, Wanted: s.value, Message: "property " + s.name + " was not observed", Hint: "capture the pool again"})
		return
	case known && canonical(prop, value) == s.value:
		return
	case source == Temporary:
		p.conflict(n, Conflict{Kind: Overridden, Property: s.name, Wanted: s.value, Found: value,
			Message: fmt.Sprintf("%s is %s by a mount option, and what it is set to does not show", s.name, value), Hint: "mount it again without the option"})
		return
	case prop.CreateOnly:
		p.conflict(n, Conflict{Kind: CreateOnlyDiffers, Property: s.name, Wanted: s.value, Found: value,
			Message: fmt.Sprintf("%s is %s and cannot become %s: only a new dataset can have it", s.name, value, s.value),
			Hint:    "copy the data to a new dataset, or declare " + s.name + "=" + value})
		return
	}
	if c, refused := p.refuse(n, s); refused {
		if noted := p.conflict(n, c); s.name == "mountpoint" || s.name == "canmount" {
			n.unmounted = noted
		}
		return
	}
	if !p.writable(n) {
		return
	}
	n.set[prop.Name] = s.value
	p.changed[prop.Name] = true
	op := &Set{Setting: s}
	if seen {
		op.Was, op.WasFrom, op.WasIn = now.Value, now.Source, now.From
	}
	op.Step = p.step(n, "%s", p.difference(n, prop, s, now, seen))
	n.ops = append(n.ops, op)
}

// onlyNew are properties of which a change shows in what is written later only (zfsprops(7)).
var onlyNew = []string{"recordsize", "compression", "checksum", "copies", "dedup", "dnodesize", "special_small_blocks", "xattr", "redundant_metadata"}

func (p *planner) difference(n *node, prop *Property, s Setting, now PropertyState, seen bool) string {
	text := fmt.Sprintf("%s is not set, and %s is wanted", s.name, s.Text())
	if seen {
		from := string(now.Source)
		if now.Source == Inherited && !now.From.IsZero() {
			from = "inherited from " + now.From.s
		}
		was := Setting{s.name, canonical(prop, now.Value)}
		text = fmt.Sprintf("%s is %s (%s), and %s is wanted", s.name, was.Text(), from, s.Text())
		if was.value == s.value {
			text = fmt.Sprintf("%s is %s (%s), which changes above it, and is wanted", s.name, was.Text(), from)
		}
	}
	if slices.Contains(onlyNew, s.name) {
		text += "; what is written already stays as it is"
	}
	return text
}

// refuse finds why zfs would not set a property, or must not.
func (p *planner) refuse(n *node, s Setting) (Conflict, bool) {
	below := func(property, what string) (Conflict, bool) {
		found, seen := n.state.Properties[property]
		if want := number(s.value); !seen || want == 0 || want >= number(found.Value) {
			return Conflict{}, false
		}
		return Conflict{Kind: Refused, Property: s.name, Wanted: s.value, Found: found.Value,
			Message: fmt.Sprintf("%s is less than the %s bytes that %s", s, found.Value, what), Hint: "give it more, or free some space"}, true
	}
	switch s.name {
	case "quota":
		return below("used", "are used")
	case "refquota":
		return below("referenced", "it refers to")
	case "reservation", "refreservation":
		// Checked by zfs against what is free then: what is asked for beyond all that there is can be told now.
		used, available := n.state.Properties["used"], n.state.Properties["available"]
		if total := number(used.Value) + number(available.Value); available.Value != "" && number(s.value) > total {
			return Conflict{Kind: Refused, Property: s.name, Wanted: s.value, Found: strconv.FormatUint(total, 10),
				Message: fmt.Sprintf("%s is more than the %d bytes that it uses and that are free", s, total), Hint: "reserve less, or free some space"}, true
		}
	case "keylocation":
		if root := n.state.Properties["encryptionroot"].Value; root != n.want.Name.s {
			return Conflict{Kind: Refused, Property: s.name, Wanted: s.value, Found: root, Message: "keylocation can only be set where the key is given, and this is not there",
				Hint: "leave it out, or set it on the encryption root"}, true
		}
	case "version":
		return below("version", "it has")
	case "mountpoint":
		if at, busy := p.moves(n, s.value); busy {
			return p.busy(s.name, s.value, at), true
		}
	case "canmount":
		if at := p.mountedAt(n.state); s.value == "off" && len(at) > 0 {
			return p.busy(s.name, s.value, at[0]), true
		}
	}
	if feature, lacks := p.lacksFeature(n, s); lacks {
		return p.featureConflict(s, feature), true
	}
	return Conflict{}, false
}

func (p *planner) busy(property, wanted, at string) Conflict {
	return Conflict{Kind: MountBusy, Property: property, Wanted: wanted, Found: at, Path: at,
		Message: fmt.Sprintf("is mounted at %s, and %s cannot change beneath what uses it", at, property),
		Hint:    "stop what uses it, zfs unmount it, and plan again"}
}

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
		if m.Source != Inherited || !m.From.IsZero() && m.From.Below(name) {
			continue
		}
		for _, at := range p.mountedAt(p.sorted[i]) {
			return at, true
		}
	}
	return "", false
}

// value is what a dataset has once all steps so far are done, and where it is from.
func (p *planner) value(name Name, prop *Property) (value string, source Source, known bool) {
	n, state := p.byName[name], p.states[name]
	inherits := false
	if n != nil {
		if v, set := n.set[prop.Name]; set {
			return v, Local, true
		}
		inherits = slices.Contains(n.inherit, prop.Name)
	}
	var now PropertyState
	switch {
	case state != nil:
		now, known = state.Properties[prop.Name]
		switch {
		case !known && !prop.User:
			return "", "", false
		case prop.CreateOnly, known && !inherits && now.Source != Inherited && (now.Source != Default || !prop.Inherited), !inherits && !p.changed[prop.Name]:
			return now.Value, now.Source, known
		}
	case n != nil && n.create:
		if !prop.Inherited {
			return prop.Default, Default, prop.Default != "" || prop.Kind == Text
		}
	case p.seen == nil && n != nil && n.want.Role == Foreign:
		s, ok := n.want.Setting(prop.Name)
		return s.value, Local, ok
	case p.seen == nil && name.IsPool():
	default:
		return "", "", false
	}
	if name.IsPool() {
		switch {
		case prop.Name == "mountpoint":
			return "/" + name.s, Default, true
		case prop.User:
			return "", "", false
		}
		return prop.Default, Default, true
	}
	above, source, ok := p.value(name.Parent(), prop)
	if !ok {
		return now.Value, now.Source, known
	}
	if prop.Name == "mountpoint" && above != "none" && above != "legacy" {
		above = strings.TrimSuffix(above, "/") + "/" + name.Base()
	}
	if source != Default || prop.Name == "mountpoint" {
		source = Inherited
	}
	return above, source, true
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
		if n.want.Role == Foreign || n.want.Implicit || n.state != nil && n.state.Type == Volume {
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
		}
	}
	slices.SortStableFunc(list, func(a, b mounting) int { return comparePaths(a.path, b.path) })
	claims := p.claims(list)
	mounted := map[stateward.AbsPath]*node{} // by the steps so far
	for _, m := range list {
		if c := p.planMount(m, claims[m.path], blocked, mounted); c != nil {
			blocked[m.path] = c
		}
	}
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

// claims are the datasets that would be mounted at the places of a list.
func (p *planner) claims(list []mounting) map[stateward.AbsPath][]Name {
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
func (p *planner) planMount(m mounting, claims []Name, blocked map[stateward.AbsPath]*Conflict, mounted map[stateward.AbsPath]*node) *Conflict {
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
	mounted[m.path] = n
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
		return false, &Conflict{Kind: NotObserved, Message: "what is at " + m.path.String() + " " + problem, Hint: "capture the pool again, for this configuration"}
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
			Hint: "move them onto the dataset first: stateward plan migrate"}
	case seen.Content != "empty":
		return unseen("could not be looked into")
	}
	return false, nil
}

// planOwner plans owner, group and mode of a file system that is mounted, or was just planned to be.
func (p *planner) planOwner(m mounting, mounting bool) {
	n, w := m.n, m.n.want
	if w.Owner.IsZero() && w.Group.IsZero() && w.Mode.IsZero() {
		return
	}
	at := m.path.String()
	why := "a dataset that was just mounted may belong to anyone"
	if n.create {
		why = "a new dataset is root's"
	}
	if !mounting {
		seen := p.places[at]
		if seen == nil || seen.Problem != "" || seen.MountedFrom != "" && seen.MountedFrom != w.Name.s {
			p.conflict(n, Conflict{Kind: NotObserved, Path: at, Message: "whose " + at + " is was not observed", Hint: "capture the pool again, for this configuration"})
			return
		}
		if why = ownerDifference(w, seen); why == "" {
			return
		}
	}
	for _, o := range []struct {
		owner stateward.Owner
		known map[string]bool
		what  string
	}{{w.Owner, p.users, "user"}, {w.Group, p.groups, "group"}} {
		if o.owner.IsZero() || o.known == nil || numeric(o.owner) || o.known[o.owner.String()] {
			continue
		}
		p.conflict(n, Conflict{Kind: OwnerUnknown, Path: at, Wanted: o.owner.String(), Message: fmt.Sprintf("is to belong to %s %s, whom the machine does not know", o.what, o.owner),
			Hint: "let the users be made first"})
		return
	}
	if p.readOnly(w.Name) {
		p.conflict(n, Conflict{Kind: Refused, Path: at, Property: "readonly", Found: "on", Message: "is read-only, so that its owner cannot change", Hint: "set readonly=off, or leave owner, group and mode out"})
		return
	}
	if !p.writable(n) {
		return
	}
	p.mountOps = append(p.mountOps, &Own{Step: p.step(n, "%s", why), Path: m.path, Owner: w.Owner, Group: w.Group, Mode: w.Mode})
}

func (p *planner) readOnly(name Name) bool {
	value, _, _ := p.value(name, native["readonly"])
	return value == "on"
}

func numeric(o stateward.Owner) bool {
	_, err := strconv.ParseUint(o.String(), 10, 32)
	return err == nil
}

func ownerDifference(w *Wanted, seen *Place) string {
	var list []string
	differs := func(what string, want stateward.Owner, id int, name string) {
		found := strconv.Itoa(id)
		if want.IsZero() || want.String() == found || !numeric(want) && want.String() == name {
			return
		}
		list = append(list, fmt.Sprintf("%s is %s, and %s is wanted", what, cmp.Or(name, found), want))
	}
	differs("owner", w.Owner, seen.UID, seen.User)
	differs("group", w.Group, seen.GID, seen.Group)
	if mode, err := stateward.ParseMode(seen.Mode); !w.Mode.IsZero() && (err != nil || mode != w.Mode) {
		list = append(list, fmt.Sprintf("mode is %s, and %s is wanted", seen.Mode, w.Mode))
	}
	return strings.Join(list, "; ")
}

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
		if n.want.Role == Foreign || n.want.Implicit {
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
		}
	}
	list := make([]stateward.AbsPath, 0, len(set))
	for path := range set {
		list = append(list, path)
	}
	slices.SortFunc(list, comparePaths)
	return list
}
