package dataset

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// ordered are the settings in the order in which they are to be made: a reservation that becomes smaller comes before a
// quota that could not become smaller before it, and what moves a mount comes last.
func (p *planner) ordered(n *node) []Setting {
	rank := func(s Setting) int {
		switch s.name {
		case "mountpoint":
			return 3
		case "canmount":
			// A boot between the two must not mount it at the new place.
			if s.value == "on" {
				return 4
			}
			return 2
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
	if slices.Contains(mountProperties, prop.Name) {
		// `zfs inherit` has no -u: it mounts at once, over files too.
		n.unmounted = p.conflict(n, Conflict{Kind: Refused, Property: prop.Name, Found: was.Value, Message: "has a " + prop.Name + " of its own, and zfs would mount or share at once what inherits it",
			Hint: "set it, or inherit it by hand while nothing lies beneath: zfs inherit " + prop.Name + " " + quoted(n.want.Name.s)})
		return
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

// has tells whether a value that is there is the one that a setting asks for.
func (p *planner) has(state *State, prop *Property, value string, s Setting) bool {
	if s.name == "refreservation" && s.value == "auto" {
		// It is what zfs reckons that the volume may take: its size, and what describes it.
		size := number(state.Properties["volsize"].Value)
		return size > 0 && number(value) >= size
	}
	if s.name == "volsize" {
		s = wholeBlocks(state, s)
	}
	if p.seen.before(2, 3) && s.name == "xattr" {
		// What "on" is now was "sa" then, and what "on" was then is "dir" now.
		value = map[string]string{"on": "dir", "sa": "on"}[value]
	}
	return canonical(prop, value) == s.value
}

// unseen says why the value of a property that is wanted is not known; empty where it is.
func (p *planner) unseen(n *node, s Setting) string {
	prop, ok := LookupProperty(s.name)
	if !ok || prop.User {
		return ""
	}
	now, seen := n.state.Properties[prop.Name]
	switch {
	case !seen && isQuota(s.name):
		return "property " + s.name + " was not observed: zfs tells of it only where it is asked for by name"
	case !seen && p.seen.before(2, 3):
		return "property " + s.name + " was not observed, and zfs " + p.seen.ZFS + " may not know it"
	case !seen:
		return "property " + s.name + " was not observed"
	case redacted(s.name, now.Value):
		return "keylocation is not known: what may be secret in it was taken out of the capture"
	case isQuota(s.name) && now.Value == "-":
		return "property " + s.name + " is not told by zfs: it is of nobody whom the machine knows, or the key of the dataset is not loaded"
	}
	return ""
}

// isQuota tells whether a property is the quota of a user, a group or a project.
func isQuota(property string) bool {
	prefix, _, ok := strings.Cut(property, "@")
	_, known := quotas[prefix]
	return ok && known
}

// QuotaOf splits the name of a quota into what it is of ("user", "group", "project") and whose it is; ok is false for any other property.
func QuotaOf(property string) (of, who string, ok bool) {
	if !isQuota(property) {
		return "", "", false
	}
	of, who, _ = strings.Cut(property, "@")
	return strings.TrimSuffix(strings.TrimSuffix(of, "quota"), "obj"), who, true
}

// strangerOf is the conflict of a quota for somebody whom the machine does not know: zfs refuses it.
func (p *planner) strangerOf(s Setting) (Conflict, bool) {
	of, who, ok := QuotaOf(s.name)
	known := map[string]map[string]bool{"user": p.users, "group": p.groups}[of]
	if _, err := strconv.ParseUint(who, 10, 32); !ok || known == nil || known[who] || err == nil || strings.Contains(who, "@") || strings.HasPrefix(who, "S-1-") {
		return Conflict{}, false
	}
	return Conflict{Kind: OwnerUnknown, Property: s.name, Wanted: s.value, Message: fmt.Sprintf("is to have %s, and the machine knows no %s %s", s, of, who), Hint: "let the users be made first"}, true
}

// wholeBlocks is a volsize as zfs takes it of a volume that is there: `zfs create -V` rounds up, `zfs set` refuses a part of a block.
func wholeBlocks(state *State, s Setting) Setting {
	size, block := number(s.value), number(state.Properties["volblocksize"].Value)
	if block > 0 && size%block != 0 && size <= math.MaxUint64-block {
		s.value = strconv.FormatUint((size/block+1)*block, 10)
	}
	return s
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
	if s.name == "volsize" {
		s = wholeBlocks(n.state, s)
	}
	value, source, known := p.value(n.want.Name, prop)
	now, seen := n.state.Properties[prop.Name]
	switch {
	case !known && !prop.User || redacted(s.name, value) || isQuota(s.name) && value == "-":
		c := Conflict{Kind: NotObserved, Property: s.name, Wanted: s.value, Message: cmp.Or(p.unseen(n, s), "property "+s.name+" was not observed"), Hint: "capture the pool again"}
		if stranger, ok := p.strangerOf(s); ok {
			c = stranger
		} else if redacted(s.name, value) {
			c.Hint = "look at it on the host: stateward dataset apply --dry-run"
		} else if isQuota(s.name) && value == "-" {
			c.Hint = "see to it that the host knows whose it is, and load the key"
		} else if isQuota(s.name) {
			c.Hint = "name the configuration: stateward capture zfs SOURCE"
		} else if p.seen.before(2, 3) {
			c.Kind, c.Hint = TooOld, "leave it out, or upgrade zfs and capture the pool again"
		}
		p.conflict(n, c)
		return
	case known && p.has(n.state, prop, value, s):
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
		if p.widens(n.want.Name) {
			return Conflict{}, false
		}
		if total := number(used.Value) + number(available.Value); available.Value != "" && number(s.value) > total {
			return Conflict{Kind: Refused, Property: s.name, Wanted: s.value, Found: strconv.FormatUint(total, 10),
				Message: fmt.Sprintf("%s is more than the %d bytes that it uses and that are free", s, total), Hint: "reserve less, or free some space"}, true
		}
	case "keylocation":
		if root := n.state.Properties["encryptionroot"].Value; root != n.want.Name.s {
			return Conflict{Kind: Refused, Property: s.name, Wanted: s.value, Found: root, Message: "keylocation can only be set where the key is given, and this is not there",
				Hint: "leave it out, or set it on the encryption root"}, true
		}
	case "volsize":
		if found := n.state.Properties["volsize"].Value; number(s.value) < number(found) {
			return Conflict{Kind: VolumeShrinks, Property: s.name, Wanted: s.value, Found: found,
				Message: fmt.Sprintf("is a volume of %s and is to have %s: what lies beyond would be lost", Size(number(found)), s.Text()),
				Hint:    fmt.Sprintf("declare volsize=%s, or shrink by hand what is on it, and then it", Size(number(found)))}, true
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
	if p.seen.before(2, 2) && slices.Contains(mountProperties, s.name) {
		return Conflict{Kind: TooOld, Property: s.name, Wanted: s.value, Found: p.seen.ZFS,
			Message: fmt.Sprintf("%s would mount or move what is there: zfs %s cannot set it without (zfs set -u came with 2.2)", s, p.seen.ZFS),
			Hint:    "upgrade zfs, or set it by hand while nothing uses the dataset: zfs set " + s.String() + " " + n.want.Name.s}, true
	}
	if isQuota(s.name) && n.state.Properties["keystatus"].Value == "unavailable" {
		return Conflict{Kind: KeyNotLoaded, Property: s.name, Wanted: s.value, Found: "unavailable",
			Message: "is encrypted, and its key is not loaded: a quota of a user or group cannot be set", Hint: "zfs load-key " + keyRoot(n.state)}, true
	}
	if c, ok := p.strangerOf(s); ok {
		return c, true
	}
	if feature, lacks := p.lacksFeature(n, s); lacks {
		return p.featureConflict(s, feature), true
	}
	return Conflict{}, false
}

// widens tells whether a step before changes a quota that limits what is free now: zfs judges the reservation then.
func (p *planner) widens(name Name) bool {
	for ; !name.IsZero(); name = name.Parent() {
		if n := p.byName[name]; n != nil {
			for _, quota := range []string{"quota", "refquota"} {
				if _, set := n.set[quota]; set {
					return true
				}
			}
		}
	}
	return false
}

func (p *planner) busy(property, wanted, at string) Conflict {
	return Conflict{Kind: MountBusy, Property: property, Wanted: wanted, Found: at, Path: at,
		Message: fmt.Sprintf("is mounted at %s, and %s cannot change beneath what uses it", at, property),
		Hint:    "stop what uses it, zfs unmount it, and plan again; what else lay in it and is not declared is to be mounted again by hand"}
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
