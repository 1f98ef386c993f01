package aggregate

import (
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// Copy is one directory or file to copy into a persistence root before the list is switched to: what is mounted over it
// then hides what lies there now (P8).
type Copy struct {
	Kind stateward.EntryKind
	// From is where the state lies now, To where it will be kept.
	From, To stateward.AbsPath
	User     stateward.Value[stateward.Owner]
	Group    stateward.Value[stateward.Owner]
	Mode     stateward.Value[stateward.Mode]
	// Units write there, and are to be stopped.
	Units []string
	// Keep lies below To already, because it is persisted by entries of its own: it is neither copied nor touched.
	Keep []stateward.AbsPath
}

// Copies returns what to copy for the entries that the host does not have yet, in the order of the list. What lies below
// another of them comes with it.
func (r *Resolution) Copies() []Copy {
	out := []Copy{}
	fresh := map[stateward.AbsPath]int{} // index in out
	var units map[string][]string
	for i := range r.Entries {
		e := &r.Entries[i]
		if e.From == FromHost && e.Replaces.IsZero() {
			continue
		}
		if units == nil {
			units = unitsByService(r.storage.host)
		}
		c := Copy{Kind: e.Kind, From: e.Path, To: r.Root.Mount(e.Path), User: e.User, Group: e.Group, Mode: e.Mode}
		for _, s := range e.Services {
			c.Units = append(c.Units, units[s]...)
		}
		fresh[e.Path] = len(out)
		out = append(out, c)
	}
	if len(out) == 0 {
		return out
	}
	outer := func(p stateward.AbsPath) (int, bool) {
		for q := range p.Parent().Ancestors() {
			if i, ok := fresh[q]; ok && out[i].Kind == stateward.Directory && q != p {
				return i, true
			}
		}
		return 0, false
	}
	for p, es := range r.storage.persisted {
		o, ok := outer(p)
		if _, itself := fresh[p]; !ok || itself {
			continue
		}
		for _, e := range es {
			if at, known := e.root.StoredAt(*e.entry).Get(); known && at.Below(out[o].To) {
				out[o].Keep = append(out[o].Keep, at)
			}
		}
	}
	// The deepest first, so that what an inner one brings gets to the outermost.
	order := make([]int, len(out))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return len(out[b].From.String()) - len(out[a].From.String()) })
	drop := make([]bool, len(out))
	for _, i := range order {
		o, ok := outer(out[i].From)
		switch {
		case !ok:
		case r.storage.mountedBetween(out[o].From, out[i].From):
			out[o].Keep = append(out[o].Keep, out[i].To)
		default:
			out[o].Units = append(out[o].Units, out[i].Units...)
			out[o].Keep = append(out[o].Keep, out[i].Keep...)
			drop[i] = true
		}
	}
	kept := out[:0]
	for i := range out {
		if !drop[i] {
			slices.Sort(out[i].Units)
			out[i].Units = slices.Compact(out[i].Units)
			slices.SortFunc(out[i].Keep, func(a, b stateward.AbsPath) int { return strings.Compare(a.String(), b.String()) })
			out[i].Keep = slices.Compact(out[i].Keep)
			kept = append(kept, out[i])
		}
	}
	return kept
}

// MountPoint is where the file system that holds the root is mounted, which must be so before anything is written
// there; zero where it is the root file system itself.
func (r *Resolution) MountPoint() stateward.AbsPath {
	for q := range r.Root.Ancestors() {
		if q != stateward.Root && len(r.storage.mounts[q]) > 0 {
			return q
		}
	}
	return stateward.AbsPath{}
}

// unitsByService lists the units of each service, those that are there.
func unitsByService(h *stateward.Host) map[string][]string {
	there := map[string]bool{}
	for _, u := range h.Units.Or(nil) {
		there[u.Name] = true
	}
	units := map[string][]string{}
	for _, s := range h.Services.Or(nil) {
		for _, u := range append(slices.Clone(s.Units), s.Name+".service") {
			if there[u] {
				units[s.Name] = append(units[s.Name], u)
			}
		}
	}
	return units
}
