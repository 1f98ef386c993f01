package dataset

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
)

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
			p.conflict(n, Conflict{Kind: NotObserved, Path: at, Message: "whose " + at + " is was not observed", Hint: "capture again for this configuration, which says where to look: stateward capture zfs SOURCE -o FILE"})
			return
		}
		if why = p.ownerDifference(w, seen); why == "" {
			return
		}
	}
	var unknown []string
	for _, o := range []struct {
		owner          stateward.Owner
		known          map[string]bool
		what, property string
	}{{w.Owner, p.users, "user", WhatOwner}, {w.Group, p.groups, "group", WhatGroup}} {
		if o.owner.IsZero() || o.known == nil || numeric(o.owner) || o.known[o.owner.String()] {
			continue
		}
		p.conflict(n, Conflict{Kind: OwnerUnknown, Path: at, Property: o.property, Wanted: o.owner.String(), Message: fmt.Sprintf("is to belong to %s %s, whom the machine does not know", o.what, o.owner),
			Hint: "let the users be made first"})
		unknown = append(unknown, o.property)
	}
	// What is known is given all the same: a mode that is wider than declared needs no user to be narrowed.
	if len(unknown) > 0 {
		known := *w
		w = &known
		if slices.Contains(unknown, WhatOwner) {
			w.Owner = stateward.Owner{}
		}
		if slices.Contains(unknown, WhatGroup) {
			w.Group = stateward.Owner{}
		}
		if w.Owner.IsZero() && w.Group.IsZero() && w.Mode.IsZero() {
			return
		}
		if !mounting {
			if why = p.ownerDifference(w, p.places[at]); why == "" {
				return
			}
		}
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

// sameOwner compares by number where both are known, since several names may have one; else by name.
func sameOwner(want stateward.Owner, id int, name string, ids map[string]uint32) bool {
	if n, err := strconv.ParseUint(want.String(), 10, 32); err == nil {
		return int64(n) == int64(id)
	}
	if n, known := ids[want.String()]; known {
		return int64(n) == int64(id)
	}
	return want.String() == name
}

func (p *planner) ownerDifference(w *Wanted, seen *Place) string {
	var list []string
	differs := func(what string, want stateward.Owner, id int, name string, ids map[string]uint32) {
		if want.IsZero() || sameOwner(want, id, name, ids) {
			return
		}
		list = append(list, fmt.Sprintf("%s is %s, and %s is wanted", what, cmp.Or(name, strconv.Itoa(id)), want))
	}
	differs("owner", w.Owner, seen.UID, seen.User, p.userID)
	differs("group", w.Group, seen.GID, seen.Group, p.groupID)
	if mode, err := stateward.ParseMode(seen.Mode); !w.Mode.IsZero() && (err != nil || mode != w.Mode) {
		list = append(list, fmt.Sprintf("mode is %s, and %s is wanted", seen.Mode, w.Mode))
	}
	return strings.Join(list, "; ")
}

// planOwnerElsewhere plans owner, group and mode of a dataset that its own property does not mount, where others have mounted it (D7). One
// that is mounted nowhere has none: modules give each dataset an owner by default, so that it is no fault.
func (p *planner) planOwnerElsewhere(n *node) {
	w := n.want
	if w.Owner.IsZero() && w.Group.IsZero() && w.Mode.IsZero() {
		return
	}
	for _, at := range p.mountedAt(n.state) {
		if path, err := stateward.ParsePath(at); err == nil && p.top[at] != nil && p.top[at].Source == w.Name.s {
			p.planOwner(mounting{n, path}, false)
			return
		}
	}
}
