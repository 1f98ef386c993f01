package aggregate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/stateward/stateward"
)

var sw121 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW121", Title: "persisted and not in the persistence root yet", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"P8"},
		Doc: doc(`
A path is persisted, and a listing of the host (` + "`stateward capture persist`" + `, given with ` + "`--capture`" + `) shows that it is not in its
persistence root yet, or empty there, while data lies at the path itself. At the next switch an empty directory is mounted
over that data: the service starts with nothing, and with a root that is wiped the data is gone at the next boot.

Mend it by copying the data first, while the service is stopped; the finding's hint has the command. Nothing is said where the listing shows that
nothing lies at the path, or that it is mounted: a new service has nothing to lose. Where the listing cannot tell, the finding says why; it is an info
where that is because the path lies deeper than was listed (capture with a greater ` + "`--depth`" + `), or because only the roots were listed.

Also said, as an info: a service keeps its state directly below the persistence root in a directory that is not there yet.

` + "```nix" + `
environment.persistence."/persist".directories = ["/var/lib/grafana"]; # /persist/var/lib/grafana: copy it first
` + "```" + `
`),
	},
	observes: true,
	run: func(f *facts) []stateward.Diagnostic {
		if f.observed == nil {
			return nil
		}
		out := append(f.hiddenData(), f.directState()...)
		return append(out, f.oldListings()...)
	},
}

// hiddenData finds what the next switch would hide.
func (f *facts) hiddenData() []stateward.Diagnostic {
	entries := slices.Clone(f.entries)
	// Outer directories come first: what lies below one that is to be copied is copied with it.
	slices.SortStableFunc(entries, func(a, b rootEntry) int { return cmp.Compare(a.Path.String(), b.Path.String()) })
	var out []stateward.Diagnostic
	said := map[stateward.AbsPath]bool{}
	doubts := map[doubtKey]*inDoubt{}
	for _, e := range entries {
		from, ok := e.source()
		if !ok || e.Path == stateward.Root || from == e.Path || coveredBy(said, from) {
			continue
		}
		s := f.observed.look(from)
		if s.doubt != "" && !s.hollow {
			f.unseen(doubts, e, from, s)
			continue
		}
		d := finding(e.Origin)
		d.Path = e.Path.String()
		if s.entry != nil && (s.entry.Kind == stateward.ListedDirectory) != (e.Kind == stateward.Directory) {
			said[from] = true
			d.Message = fmt.Sprintf("%s is persisted as a %s, and in %s it is a %s: it cannot be mounted", e.Path, e.Kind, e.storageRoot(), s.entry.Kind)
			d.Hint = fmt.Sprintf("look at %s, and list it under %s", from, listOf(s.entry.Kind))
			out = append(out, d)
			continue
		}
		some, known := s.data()
		live := f.observed.look(e.Path)
		switch {
		case some || f.nothingHidden(e, from, live):
		case !known:
			if live.entry != nil && live.entry.Closed == stateward.ClosedMount {
				continue // it is mounted
			}
			key := doubtKey{text: "cannot tell whether %s %s empty in %s", severity: severityOf(f.onlyRoots(live))}
			var advice string
			key.why, advice = whyUnknown(s.at, s.entry)
			doubt(doubts, key, advice, 0, e)
		case f.hides(e, from, s, live, doubts, &d):
			said[from] = true
			out = append(out, d)
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(doubts), doubtKey.compare) {
		out = append(out, doubts[key].finding(key))
	}
	return out
}

// nothingHidden tells whether it is known that the mount of an entry hides nothing.
func (f *facts) nothingHidden(e rootEntry, from stateward.AbsPath, live sight) bool {
	if live.at == from {
		return true // a link leads there already
	}
	if data, known := live.data(); known {
		return !data
	}
	// Where its parent is mounted from the root already, nothing else is at the path.
	return live.entry == nil && live.closed == stateward.ClosedMount && f.mountedFrom(live.closedAt, e)
}

// onlyRoots tells whether nothing is known of a path because nobody wanted to look at any but the roots.
func (f *facts) onlyRoots(live sight) bool {
	return live.unlisted && !slices.ContainsFunc(f.observed.trees, func(t *tree) bool { return t.Live })
}

func severityOf(chosen bool) stateward.Severity {
	if chosen {
		return stateward.SeverityInfo
	}
	return stateward.SeverityWarning
}

// unseen notes an entry of which it is not known whether it is in its root.
func (f *facts) unseen(doubts map[doubtKey]*inDoubt, e rootEntry, from stateward.AbsPath, s sight) {
	key := doubtKey{text: "cannot tell whether %s %s in %s yet", why: s.doubt, severity: stateward.SeverityWarning}
	if s.unlisted && e.storageRoot().Contains(s.at) {
		// One finding for a root that is not listed at all.
		key.why = fmt.Sprintf("the capture does not list %s", e.storageRoot())
	}
	if s.summed {
		// Most of what lies so deep is in its root since long. It is worth a warning where data is seen that may be hidden.
		live := f.observed.look(e.Path)
		if f.nothingHidden(e, from, live) || live.entry != nil && live.entry.Closed == stateward.ClosedMount {
			return
		}
		data, _ := live.data()
		key.severity = severityOf(!data)
	}
	doubt(doubts, key, s.advice, s.levels, e)
}

// hides tells whether data is hidden by an entry of which nothing is in its root, and says so. Where the entry is there, and
// empty, and it is not known whether there is data to hide, that is noted.
func (f *facts) hides(e rootEntry, from stateward.AbsPath, s, live sight, doubts map[doubtKey]*inDoubt, d *stateward.Diagnostic) bool {
	data, _ := live.data()
	why, advice := live.doubt, live.advice
	if !data && live.entry != nil {
		why, advice = whyUnknown(live.at, live.entry)
	}
	yet := "is not in %s yet"
	if there := s.entry != nil || s.hollow; there && !data {
		if live.entry != nil && live.entry.Closed == stateward.ClosedMount {
			return false // it is mounted
		}
		chosen := f.onlyRoots(live)
		if chosen {
			why, advice = "the capture lists the persistence roots only", "capture without --no-live"
		}
		doubt(doubts, doubtKey{text: "cannot tell whether data lies at %s, which %s empty in %s", why: why, severity: severityOf(chosen)}, advice, live.levels, e)
		return false
	} else if there {
		yet = "is empty in %s"
	}
	users := f.keepers(e.Path)
	stopped, starts := "", ""
	if len(users) > 0 {
		d.Service = users[0]
		stopped = ", with " + some(users) + " stopped"
		starts = fmt.Sprintf(", and %s start%s with nothing", some(users), verbS(users))
	}
	head := fmt.Sprintf("%s is persisted and "+yet, e.Path, e.storageRoot())
	command := copyCommand(live.at, from)
	again := "; then capture again"
	if data {
		if e.Kind == stateward.File {
			d.Message = fmt.Sprintf("%s: at the next switch %s", head, overFile(e, fmt.Sprintf("the file that lies there (%s)", size(live.entry))))
		} else {
			d.Message = fmt.Sprintf("%s: at the next switch an empty directory is mounted over what lies there (%s)%s", head, size(live.entry), starts)
		}
		d.Hint = fmt.Sprintf("before switching%s: %s%s", stopped, command, again)
		return true
	}
	if e.Kind == stateward.File {
		d.Message = fmt.Sprintf("%s: at the next switch %s, if there is one", head, overFile(e, "the file that lies there"))
	} else {
		d.Message = fmt.Sprintf("%s: at the next switch an empty directory is mounted over whatever lies there%s", head, starts)
	}
	d.Message += fmt.Sprintf(" (whether anything does is not known: %s)", why)
	d.Hint = fmt.Sprintf("if something lies there, before switching%s: %s; if nothing does, nothing need be done", stopped, command)
	return true
}

// overFile says what becomes of a file at a path where a file is persisted.
func overFile(e rootEntry, file string) string {
	if e.root.Module == stateward.Preservation {
		return "an empty file is mounted over " + file
	}
	// mount-file.bash of Impermanence: "A file already exists at …!"
	return "its unit fails at " + file + ", which is not persisted then"
}

// mountedFrom tells whether a mount point is that of a directory which the same root has.
func (f *facts) mountedFrom(at stateward.AbsPath, e rootEntry) bool {
	for _, p := range f.persisted[at] {
		outer := rootEntry{Entry: p.entry, root: p.root}
		from, ok := outer.source()
		if ok && outer.storageRoot() == e.storageRoot() && f.observed.look(from).entry != nil {
			return true
		}
	}
	return false
}

// directState finds services that keep their state directly below a persistence root, where it is not there yet.
func (f *facts) directState() []stateward.Diagnostic {
	sources := map[stateward.AbsPath]bool{}
	for _, e := range f.entries {
		if from, ok := e.source(); ok {
			sources[from] = true
		}
	}
	var out []stateward.Diagnostic
	said := map[stateward.AbsPath]bool{}
	for i := range f.rows {
		r := &f.rows[i]
		at, err := stateward.ParsePath(r.path)
		if err != nil || r.unread || r.state.Problem != nil || r.state.Pattern || r.state.Perhaps || !r.service.Enable.Or(false) {
			continue
		}
		root := f.rootAbove(at)
		if root == nil || coveredBy(sources, at) || coveredBy(said, at) || !f.observed.look(at).missing() {
			continue
		}
		said[at] = true
		d := finding(r.state.Origin)
		d.Service, d.Path, d.Severity = r.service.Name, at.String(), stateward.SeverityInfo
		d.Message = fmt.Sprintf("%s keeps state in %s, which is not there yet: it starts with nothing", d.Service, at)
		d.Hint = "nothing need be done for a new service; otherwise copy its data there before it starts"
		rel, _ := root.path.Rel(at)
		if old, ok := stateward.Root.Join(rel); ok {
			if s := f.observed.look(old); s.entry != nil {
				if some, _ := s.data(); some {
					d.Severity = stateward.SeverityWarning
					d.Message = fmt.Sprintf("%s keeps state in %s, which is not there yet, while %s holds data (%s): it starts with nothing", d.Service, at, old, size(s.entry))
					d.Hint = fmt.Sprintf("if that is its data, with %s stopped: %s", d.Service, copyCommand(s.at, at))
				}
			}
		}
		out = append(out, d)
	}
	return out
}

// rootAbove is the innermost persistence root that a path lies strictly below.
func (f *facts) rootAbove(p stateward.AbsPath) *persistenceRoot {
	var best *persistenceRoot
	for _, r := range f.roots {
		if r.path != stateward.Root && p.Below(r.path) && (best == nil || r.path.Below(best.path)) {
			best = r
		}
	}
	return best
}

// oldListings says which listings may be over.
func (f *facts) oldListings() []stateward.Diagnostic {
	if f.now.IsZero() {
		return nil
	}
	var out []stateward.Diagnostic
	for _, l := range f.observed.listings {
		age := f.now.Sub(l.Taken)
		if age >= -MaxListingAge/30 && age <= MaxListingAge {
			continue
		}
		when := fmt.Sprintf("more than %d days ago", int(MaxListingAge.Hours()/24))
		if age < 0 {
			when = "in the future"
		}
		d := stateward.Diagnostic{Subject: "environment.persistence"}
		d.Message = fmt.Sprintf("the capture of %s was made on %s, %s: what was copied or removed since is not in it", f.host.Name, l.Taken.UTC().Format("2006-01-02"), when)
		d.Hint = "run `stateward capture persist` on the host again"
		out = append(out, d)
	}
	return out
}

// inDoubt are the entries of which one reason hides whether they are in their root.
type inDoubt struct {
	first  rootEntry
	paths  []string
	advice string
	// levels is how many would have to be listed; 0 where that is not the reason.
	levels int
}

// doubtKey is what the entries of one finding have in common.
type doubtKey struct {
	// text is a format: the paths, "is" or "are", the root.
	text, why string
	root      stateward.AbsPath
	severity  stateward.Severity
}

func (k doubtKey) compare(l doubtKey) int {
	return cmp.Or(cmp.Compare(k.why, l.why), cmp.Compare(k.text, l.text), cmp.Compare(k.root.String(), l.root.String()), cmp.Compare(k.severity, l.severity))
}

func doubt(doubts map[doubtKey]*inDoubt, key doubtKey, advice string, levels int, e rootEntry) {
	key.root = e.storageRoot()
	d, ok := doubts[key]
	if !ok {
		d = &inDoubt{first: e, advice: advice}
		doubts[key] = d
	}
	if levels > d.levels {
		d.levels, d.advice = levels, depthAdvice(levels)
	}
	d.paths = append(d.paths, e.Path.String())
}

func (d *inDoubt) finding(key doubtKey) stateward.Diagnostic {
	f := finding(d.first.root.Origin)
	what, are := d.paths[0], "is"
	if n := len(d.paths); n > 1 {
		what, are = fmt.Sprintf("%d persisted paths (%s)", n, some(d.paths)), "are"
	} else {
		f = finding(d.first.Origin)
		f.Path = d.paths[0]
	}
	f.Severity = key.severity
	f.Message = fmt.Sprintf(key.text+": %s", what, are, key.root, key.why)
	f.Hint = d.advice
	return f
}

// coveredBy tells whether p or a directory above it is in a set.
func coveredBy(set map[stateward.AbsPath]bool, p stateward.AbsPath) bool {
	for q := range p.Ancestors() {
		if set[q] {
			return true
		}
	}
	return false
}

func listOf(k stateward.ListingEntryKind) string {
	if k == stateward.ListedDirectory {
		return "directories"
	}
	return "files"
}

func verbS(names []string) string {
	if len(names) == 1 {
		return "s"
	}
	return ""
}
