package aggregate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// tooLate is why one persisted path is not there when the activation script makes it.
type tooLate struct {
	at stateward.AbsPath
	by string
	lateness
}

// lateFor says what of all that a persisted path needs comes too late; its why is empty where nothing does. It speaks of what SW109 speaks of.
func (s *storage) lateFor(e persisted) tooLate {
	if e.root.session {
		return tooLate{}
	}
	stored := e.root.path
	if own, ok := e.entry.Rare().Storage.Get(); ok {
		stored = own
	}
	if late := s.lateAt(stored, true); late.why != "" {
		return late
	}
	return s.lateAt(e.entry.Path.Parent(), false)
}

// lateAt says whether what a place lies on comes too late. Only of what holds the data does it count that it is mounted by other means than fileSystems.
func (s *storage) lateAt(p stateward.AbsPath, storage bool) tooLate {
	at, ok := s.mountOf(p)
	if !ok {
		return tooLate{}
	}
	ms := s.mounts[at]
	listed := slices.ContainsFunc(ms, func(m mount) bool { return m.option == "fileSystems" })
	for _, m := range ms {
		out := tooLate{at: at, by: m.by}
		switch {
		case listed && m.option == "fileSystems":
			out.lateness = s.lateness(m)
		case !listed && storage && m.option != initrdMounts:
			out.lateness = lateness{why: pickText(m.zfs != nil, "mounts itself", "is mounted by a unit"), surely: true, subject: m.by}
			if m.doubt != "" {
				out.why, out.surely, out.unknown = out.why+": "+m.doubt, false, true
			}
		}
		if out.why != "" {
			return out
		}
	}
	return tooLate{}
}

// boot compares whether what is persisted is there in time at a boot. A file system that holds it and is mounted late hides it, and what is written before
// lies beneath.
func (d *differ) boot() {
	type change struct {
		effect   Effect
		old, new tooLate
	}
	late := map[change][]string{}
	for p, entries := range d.old.s.persisted {
		others := d.new.s.persisted[p]
		if len(others) == 0 || d.old.s.reboot(p).State == stateward.SurvivalNo || d.new.s.reboot(p).State == stateward.SurvivalNo {
			continue // the tier tells
		}
		a, b := d.old.s.lateFor(entries[0]), d.new.s.lateFor(others[0])
		c := change{old: a, new: b}
		switch {
		case a.why == "" && b.why == "", a.unknown && b.unknown, a.why != "" && b.why != "" && !a.unknown && !b.unknown && a.surely == b.surely:
			continue
		case b.unknown:
			c.effect = NotKnown
		case a.unknown:
			c.effect = NowKnown
		case a.why == "" || b.surely && !a.surely && b.why != "":
			c.effect = Worse
		default:
			c.effect = Better
		}
		late[c] = append(late[c], p.String())
	}
	words := func(l tooLate) string {
		switch {
		case l.why == "":
			return "mounted in time"
		case l.unknown:
			return "unknown"
		}
		return l.by + " " + l.why
	}
	order := func(a, b change) int {
		return cmp.Or(cmp.Compare(a.old.by, b.old.by), cmp.Compare(a.new.by, b.new.by), cmp.Compare(a.old.why, b.old.why), cmp.Compare(a.new.why, b.new.why), cmp.Compare(a.effect, b.effect))
	}
	for _, k := range slices.SortedFunc(maps.Keys(late), order) {
		of := surer(k.old, k.new)
		paths := late[k]
		slices.Sort(paths)
		c := Change{Effect: k.effect, Severity: stateward.SeverityError, Kind: AboutBoot, Path: of.at.String(), Subject: subjectOf(k.old, k.new), Old: words(k.old), New: words(k.new),
			Hint: of.hint, Loses: k.effect == Worse || k.old.why == ""}
		what := fmt.Sprintf("%s that %s persisted (%s)", counted(len(paths), "path"), pickText(len(paths) == 1, "is", "are"), firstFew(paths))
		switch k.effect {
		case Worse:
			c.Message = fmt.Sprintf("%s %s: from the next boot on it %s mounted too late for %s, and what is kept is not seen there", of.by, of.why, pickText(of.surely, "is", "may be"), what)
		case NotKnown:
			c.Message = fmt.Sprintf("whether %s comes in time for %s is not known any more: whether it %s", of.by, what, of.why)
			if k.old.why != "" {
				c.Severity = stateward.SeverityInfo
			}
		case NowKnown:
			c.Message = fmt.Sprintf("it is known now of %s: %s", what, words(k.new))
		default:
			c.Message = fmt.Sprintf("%s: %s from now on, and until now %s", what, words(k.new), words(k.old))
		}
		d.add(c)
	}
}

// surer is the one of two that more is known of, the same seen from both sides.
func surer(a, b tooLate) tooLate {
	rank := func(l tooLate) int {
		switch {
		case l.why == "":
			return 3
		case l.unknown:
			return 2
		case !l.surely:
			return 1
		}
		return 0
	}
	if cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a.at.String(), b.at.String())) < 0 {
		return a
	}
	return b
}

// subjectOf names what decides, the same seen from both sides.
func subjectOf(a, b tooLate) string {
	list := []string{a.subject, b.subject}
	slices.Sort(list)
	return strings.TrimPrefix(strings.Join(slices.Compact(list), ", "), ", ")
}
