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
nothing lies at the path: a new service has nothing to lose. Where the listing cannot tell, the finding says why.

Also said, as an info: a service keeps its state directly below the persistence root in a directory that is not there yet.

` + "```nix" + `
environment.persistence."/persist".directories = [ "/var/lib/grafana" ]; # /persist/var/lib/grafana: copy it first
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
	doubts := map[string]*inDoubt{}
	for _, e := range entries {
		from, ok := e.source()
		if !ok || e.Path == stateward.Root || from == e.Path || coveredBy(said, from) {
			continue
		}
		s := f.observed.look(from)
		if s.doubt != "" {
			doubt(doubts, s, e)
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
		if some, known := s.data(); some || !known {
			continue
		}
		if f.hides(e, from, s, &d) {
			said[from] = true
			out = append(out, d)
		}
	}
	for _, why := range slices.Sorted(maps.Keys(doubts)) {
		out = append(out, doubts[why].finding(why))
	}
	return out
}

// hides tells whether data is hidden by an entry of which nothing is in its root, and says so.
func (f *facts) hides(e rootEntry, from stateward.AbsPath, s sight, d *stateward.Diagnostic) bool {
	live := f.observed.look(e.Path)
	if live.at == from {
		return false // a link leads there already
	}
	data, known := live.data()
	if known && !data {
		return false
	}
	mounted := live.entry != nil && live.entry.Closed == stateward.ClosedMount
	if s.entry != nil && !data {
		return false // it is there, and empty: mounted, or nothing is known of its place
	}
	if !known && !mounted && live.closed == stateward.ClosedMount && f.mountedFrom(live.closedAt, e) {
		return false // its parent is mounted from the root already, so nothing else is at the path
	}
	yet := "is not in %s yet"
	if s.entry != nil {
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
	why := live.doubt
	if why == "" {
		why, _ = whyClosed(live.at, live.entry, &tree{})
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
}

func doubt(doubts map[string]*inDoubt, s sight, e rootEntry) {
	why := s.doubt
	if s.unlisted && e.storageRoot().Contains(s.at) {
		// One finding for a root that is not listed at all.
		why = fmt.Sprintf("the capture does not list %s", e.storageRoot())
	}
	d, ok := doubts[why]
	if !ok {
		d = &inDoubt{first: e, advice: s.advice}
		doubts[why] = d
	}
	d.paths = append(d.paths, e.Path.String())
}

func (d *inDoubt) finding(why string) stateward.Diagnostic {
	f := finding(d.first.root.Origin)
	what := d.paths[0] + " is"
	if n := len(d.paths); n > 1 {
		what = fmt.Sprintf("%d persisted paths (%s) are", n, some(d.paths))
	} else {
		f = finding(d.first.Origin)
		f.Path = d.paths[0]
	}
	f.Message = fmt.Sprintf("cannot tell whether %s in %s yet: %s", what, d.first.storageRoot(), why)
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
