package aggregate

import (
	"fmt"
	"slices"

	"github.com/stateward/stateward"
)

var sw101 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW101", Title: "state is not persisted", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"P1", "N9"},
		Doc: doc(`
An enabled service keeps state in a directory that lies on the root file system, and the root is wiped at every
boot. At the next boot the service starts with nothing.

The state may be named by the unit's ` + "`StateDirectory`" + `, by the service's own ` + "`dataDir`" + `, or by a volume of a
container or a container's own root. A directory that is persisted, below a persisted one, or on a file system of its own is not reported. What a service
keeps below another lost directory of its own is counted there, and many places in doubt for one reason are one finding; ` + "`--survival`" + ` lists
every place, and ` + "`covers`" + ` in JSON those of one finding.

Where it cannot be told whether the directory survives, the finding is a warning and says what hides the answer. So it is
where the service may keep state there, depending on how it is used by hand: a container engine for which no container is declared.

Mend it by persisting the directory, or by giving it a file system of its own:

` + "```nix" + `
environment.persistence."/persist".directories = ["/var/lib/sonarr"];
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		doubts := map[string][]*stateTree{}
		for _, t := range f.stateTrees() {
			if f.rootSays(t.row.reboot) {
				continue
			}
			if t.state == stateward.SurvivalUnknown {
				doubts[t.by] = append(doubts[t.by], t)
				continue
			}
			d := t.finding()
			d.Message = fmt.Sprintf("%s in %s, which is gone at the next boot%s: %s", t.keeps(), d.Path, t.more(), t.by)
			d.Hint = f.persistHint(t.row)
			d.Severity = t.row.lossSeverity()
			if t.row.readOnly() {
				// Somebody else writes there, or makes it at every boot.
				d.Message = fmt.Sprintf("%s reads %s, which is gone at the next boot%s: %s", some(t.services), d.Path, t.more(), t.by)
			}
			out = append(out, d)
		}
		for by, trees := range doubts {
			out = append(out, doubtful(by, trees)...)
		}
		return out
	},
}

// fewDoubts is how many places in doubt for one reason are named each in a finding of its own.
const fewDoubts = 3

// doubtHint does not advise to persist: where something may be mounted at the place, an empty bind mount would
// hide it (P4, P8).
const doubtHint = "make what hides the answer readable, or name what is mounted there in fileSystems; persisted before that is clear, an empty mount may hide it"

func doubtful(by string, trees []*stateTree) []stateward.Diagnostic {
	if len(trees) > fewDoubts {
		var paths []string
		for _, t := range trees {
			paths = append(paths, t.row.path)
		}
		slices.Sort(paths)
		d := trees[0].finding()
		d.Service, d.Path = "", ""
		var members []stateward.Covered
		for _, t := range trees {
			members = append(members, t.members...)
		}
		d.Covers = covering(members)
		d.Severity = stateward.SeverityWarning
		d.Message = fmt.Sprintf("cannot tell whether %d places survive a reboot (%s): %s", len(paths), some(paths), by)
		d.Hint = doubtHint + "; --survival lists them all"
		return []stateward.Diagnostic{d}
	}
	var out []stateward.Diagnostic
	for _, t := range trees {
		d := t.finding()
		d.Severity = stateward.SeverityWarning
		d.Message = fmt.Sprintf("cannot tell whether %s of %s survives a reboot%s: %s", d.Path, some(t.services), t.more(), by)
		d.Hint = doubtHint
		out = append(out, d)
	}
	return out
}

// stateTree is a place that does not surely survive, with the places below it
// that have the same fate.
type stateTree struct {
	row      *stateRow
	state    stateward.TierState
	by       string
	services []string
	below    int
	// members are all that it stands for.
	members []stateward.Covered
	// perhaps tells that state is kept there only where somebody uses it by hand.
	perhaps bool
}

// stateTrees groups what is lost or in doubt by the outermost place, in the order of
// services and paths. SW603 and SW112 speak of what could not be read and of what is no path.
func (f *facts) stateTrees() []*stateTree {
	type place struct {
		path  string
		state stateward.TierState
		by    string
	}
	trees := map[place]*stateTree{}
	var order []*stateTree
	for i := range f.rows {
		r := &f.rows[i]
		if r.unread || r.state.Problem != nil || r.reboot.State != stateward.SurvivalNo && r.reboot.State != stateward.SurvivalUnknown {
			continue
		}
		k := place{r.path, r.reboot.State, r.reboot.By}
		t, ok := trees[k]
		if !ok {
			t = &stateTree{row: r, state: k.state, by: k.by, perhaps: true}
			trees[k] = t
			order = append(order, t)
		}
		t.perhaps = t.perhaps && r.perhaps()
		if r.lossSeverity() > t.row.lossSeverity() {
			t.row = r
		}
		t.services = addSorted(t.services, r.service.Name)
		t.members = append(t.members, stateward.Covered{Service: r.service.Name, Path: r.path, Subject: finding(r.state.Origin).Subject})
	}
	return slices.DeleteFunc(order, func(t *stateTree) bool {
		outer := t
		for q := stateward.MustPath(t.row.path); q != stateward.Root; {
			q = q.Parent()
			if o, ok := trees[place{q.String(), t.state, t.by}]; ok && q != stateward.Root && o.speaksFor(t) {
				outer = o
			}
		}
		if outer == t {
			return false
		}
		outer.below++
		outer.members = append(outer.members, t.members...)
		return true
	})
}

// speaksFor tells whether a place below needs no finding of its own: it belongs to the same services, who decide on all of
// it, and is as grave. What is surely kept does not hide behind what may be.
func (t *stateTree) speaksFor(inner *stateTree) bool {
	for _, s := range inner.services {
		if !slices.Contains(t.services, s) {
			return false
		}
	}
	return (inner.perhaps || !t.perhaps) && (t.state == stateward.SurvivalUnknown || t.row.lossSeverity() == inner.row.lossSeverity())
}

func (t *stateTree) finding() stateward.Diagnostic {
	d := finding(t.row.state.Origin)
	d.Service, d.Path = t.row.service.Name, t.row.path
	d.Covers = covering(t.members)
	return d
}

// covering are the members of a finding in order; none where there is only one.
func covering(members []stateward.Covered) []stateward.Covered {
	out := slices.Clone(members)
	slices.SortFunc(out, stateward.CompareCovered)
	if out = slices.Compact(out); len(out) < 2 {
		return nil
	}
	return out
}

// coveringRows is covering for rows that a service has, or none.
func coveringRows(service string, rows []*stateRow) []stateward.Covered {
	var out []stateward.Covered
	for _, r := range rows {
		out = append(out, stateward.Covered{Service: service, Path: r.path, Subject: finding(r.state.Origin).Subject})
	}
	return covering(out)
}

// lossSeverity is how grave it is that a place is lost.
func (r *stateRow) lossSeverity() stateward.Severity {
	switch {
	case r.readOnly():
		return stateward.SeverityInfo
	case r.relief != 0:
		return r.relief
	case r.perhaps():
		return stateward.SeverityWarning
	default:
		return stateward.SeverityError
	}
}

func (t *stateTree) keeps() string {
	switch {
	case t.perhaps:
		return some(t.services) + " may keep state"
	case len(t.services) == 1:
		return t.services[0] + " keeps state"
	default:
		return some(t.services) + " keep state"
	}
}

// perhaps tells whether all declarations say only that there may be state.
func (r *stateRow) perhaps() bool {
	for sp := range r.declarations() {
		if !sp.Perhaps {
			return false
		}
	}
	return true
}

// more says how many more places lie below an outermost one.
func (t *stateTree) more() string {
	switch t.below {
	case 0:
		return ""
	case 1:
		return ", with one more place below it"
	default:
		return fmt.Sprintf(", with %d more places below it", t.below)
	}
}

// persistHint is what to write for a lost place, so that the next check does not complain of it.
func (f *facts) persistHint(r *stateRow) string {
	p, err := stateward.ParsePath(r.path)
	if err != nil {
		return "write an absolute path"
	}
	if why := unpersistable(p); why != "" {
		return "keep the state elsewhere: " + why
	}
	p, _ = f.behind(p)
	if why := unpersistable(p); why != "" {
		return "link it elsewhere: " + why
	}
	for q := p; q != stateward.Root && !q.IsZero(); q = q.Parent() {
		if es := f.persisted[q]; len(es) > 0 {
			return fmt.Sprintf("it is persisted in %s: give that a file system of its own", es[0].root.path)
		}
		if ms := f.mounts[q]; len(ms) > 0 {
			return fmt.Sprintf("make %s survive, or move the state out of it", ms[0].by)
		}
	}
	switch {
	case varLibPrivate.Contains(p):
		return f.persistElements(stateward.Directory, privateElement)
	default:
		return f.persistLine(r.state.Kind, p.String())
	}
}
