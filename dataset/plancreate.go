package dataset

import (
	"fmt"
	"slices"
)

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
		if w := p.left[parent]; w != nil {
			c.Message += ", and was left out"
			c.Hint = "name " + parent.s + " with --only too"
		}
		n.out = p.conflict(n, c)
		return
	case state != nil && state.Type == Volume || above != nil && above.want.Type == Volume:
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
	n.ops = append(n.ops, &Create{Step: why, Type: n.want.Type, Settings: slices.Clone(n.want.Settings)})
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
	if p.seen.before(2, 0) {
		return Conflict{Kind: TooOld, Found: p.seen.ZFS, Message: "cannot be made without being mounted at once: zfs " + p.seen.ZFS + " has no zfs create -u", Hint: "upgrade zfs to 2.2 or newer"}, true
	}
	for _, s := range n.want.Settings {
		if prop, ok := LookupProperty(s.name); ok && p.seen.before(2, 3) && prop.Inherited && !prop.User && parent != nil && prop.Types&parent.Type != 0 {
			if _, there := parent.Properties[prop.Name]; !there {
				return Conflict{Kind: TooOld, Property: s.name, Wanted: s.value, Found: p.seen.ZFS,
					Message: fmt.Sprintf("is to have %s, which zfs %s does not know: %s has none", s, p.seen.ZFS, parent.Name), Hint: "leave it out, or upgrade zfs"}, true
			}
		}
		if c, ok := p.strangerOf(s); ok {
			return c, true
		}
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
