package preseed_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stateward/stateward/preseed"
)

// fs is a file system of the model. What it holds is the name of what was written to it, "" where it is empty.
type fs struct {
	holds, marker string
	local         bool
	snapshots     []preseed.Snapshot
	holding       map[string]string // what each snapshot holds, by guid
	bookmarks     []uint64
	ours          bool // a run of ours made it
	key           preseed.Key
	origin        string // guid of what it is a clone of
}

// world is a pool, the sources, and what a run leaves behind when it is killed.
type world struct {
	byGUID   map[string]*fs
	at       map[string]string // guid by name
	mounted  string            // guid of what is mounted at the place
	journal  *preseed.Journal
	answers  map[preseed.SourceKind]preseed.Answer
	asked    []preseed.Answer
	looked   map[string]bool
	restored *preseed.Answer
	empty    bool
	own      bool // the journal is of this run
	late     bool // what there was in the beginning is too old by now
	next     int
	human    string      // guid of what somebody wrote into
	kill     func() bool // whether the run dies here
}

type killed struct{}

func (w *world) step() {
	if w.kill() {
		panic(killed{})
	}
}

func (w *world) make(name string, f *fs) string {
	w.next++
	guid := fmt.Sprint("g", w.next)
	w.byGUID[guid], w.at[name] = f, guid
	return guid
}

func (w *world) rename(from, to string) {
	if _, taken := w.at[to]; taken {
		panic("renamed over " + to)
	}
	w.at[to] = w.at[from]
	delete(w.at, from)
}

const (
	name      = "tank/app"
	staging   = "tank/staging/app"
	displaced = "tank/staging/app-was"
)

func (w *world) seen() preseed.Seen {
	s := preseed.Seen{Pool: preseed.Pool{Imported: true, Health: "ONLINE"}, Journal: w.journal, Answers: w.asked, Own: w.own, Restored: w.restored, StartedEmpty: w.empty, At: map[string]string{}}
	for n, g := range w.at {
		s.At[g] = n
	}
	guid, ok := w.at[name]
	if !ok {
		return s
	}
	f := w.byGUID[guid]
	t := &preseed.Target{GUID: guid, Key: f.key, Mounted: w.mounted == guid, Marker: preseed.Marker{Value: f.marker, Local: f.local}, Bookmarks: f.bookmarks, Content: preseed.ContentUnknown}
	content := func(holds string) preseed.Content {
		if holds == "" {
			return preseed.Empty
		}
		return preseed.Populated
	}
	if f.key != preseed.KeyUnavailable && (t.Mounted || w.looked[guid]) {
		t.Content = content(f.holds)
	}
	for _, snap := range f.snapshots {
		if w.looked[snap.GUID] {
			snap.Content = content(f.holding[snap.GUID])
		}
		t.Snapshots = append(t.Snapshots, snap)
	}
	s.Target = t
	return s
}

// do carries an action out, and may die between any two of its steps.
func (w *world) do(d preseed.Decision) {
	guid := w.at[name]
	f := w.byGUID[guid]
	switch d.Action {
	case preseed.Mount:
		w.mounted = guid
	case preseed.Look:
		w.looked[guid] = true
	case preseed.LookSnapshot:
		w.looked[d.Candidate.ID] = true
	case preseed.Ask:
		a := w.answers[d.Source]
		if w.late && a.Kind == preseed.Available {
			a.Kind, a.Reason = preseed.SourceRefused, "too old"
		}
		w.asked = append(w.asked, a)
	case preseed.Mark:
		f.marker, f.local = guid+" kept", true
	case preseed.MarkEmpty:
		f.marker, f.local = guid+" empty", true
		w.empty = true
	case preseed.Rollback:
		last := f.snapshots[len(f.snapshots)-1]
		if last.GUID != d.Candidate.ID || slices.ContainsFunc(f.bookmarks, func(txg uint64) bool { return txg > last.CreateTXG }) || f.holds != "" {
			panic("a rollback that destroys")
		}
		f.holds = f.holding[last.GUID]
		w.restored = &preseed.Answer{Source: d.Source, Candidate: d.Candidate}
	case preseed.Fill:
		if w.journal == nil {
			for _, n := range []string{staging, displaced} { // what earlier runs left
				if g, taken := w.at[n]; taken {
					w.rename(n, n+"-left-"+g)
					w.step()
				}
			}
			w.journal = &preseed.Journal{Target: name, TargetGUID: guid, Staged: staging, Displaced: displaced, Source: d.Source, Candidate: d.Candidate, Stage: preseed.Filling}
			w.own = true
			w.step()
			origin := ""
			if d.Source == preseed.Local {
				origin = guid
			}
			made := w.make(staging, &fs{ours: true, key: preseed.Unencrypted, origin: origin})
			w.step()
			w.journal.StagedGUID = made
			w.step()
		}
		j := *w.journal
		what := "from " + string(j.Source)
		if j.Source == preseed.Local {
			what = f.holding[j.Candidate.ID]
		}
		w.byGUID[j.StagedGUID].holds = "half"
		w.step()
		w.byGUID[j.StagedGUID].holds = what
		w.step()
		j.Stage = preseed.Filled
		w.journal = &j
	case preseed.Promote, preseed.Place:
		j := *w.journal
		if d.Action == preseed.Promote {
			if w.byGUID[guid].holds != "" || w.byGUID[j.StagedGUID].holds == "half" {
				panic("promoted over data, or what is not whole")
			}
			if w.late {
				panic("promoted what is too old")
			}
			j.Stage = preseed.Promoting
			w.journal = &j
			w.step()
			w.mounted = ""
			w.step()
			w.rename(name, displaced)
			w.step()
		}
		w.rename(staging, name)
		w.step()
		w.finish()
	case preseed.Displace:
		if f.holds != "" {
			panic("displaced data")
		}
		w.mounted = ""
		w.step()
		w.next++
		w.rename(name, fmt.Sprint(displaced, w.next))
	case preseed.Undo:
		w.rename(displaced, name)
		w.step()
		w.journal = nil
	case preseed.Discard:
		// One that was made and not yet written down is known by the mark that it was made with.
		if g, ok := w.at[staging]; ok {
			if !w.byGUID[g].ours || w.journal.StagedGUID != "" && w.journal.StagedGUID != g {
				panic("destroyed what is not ours")
			}
			if len(w.byGUID[g].snapshots) > 0 {
				panic("destroyed snapshots")
			}
			delete(w.byGUID, g)
			delete(w.at, staging)
			w.step()
		}
		w.journal = nil
	case preseed.Abandon:
		// What was restored may not be in the way of the next one.
		if g, ok := w.at[staging]; ok {
			w.rename(staging, fmt.Sprint(staging, "-left-", g))
			w.step()
		}
		w.journal = nil
	case preseed.Finish:
		w.finish()
	default:
		panic("nobody knows " + d.Action)
	}
}

func (w *world) finish() {
	j := *w.journal
	f := w.byGUID[w.at[name]]
	if f.origin != "" { // promoted: the snapshots up to the one that it was made from are its own now
		was := w.byGUID[f.origin]
		i := slices.IndexFunc(was.snapshots, func(s preseed.Snapshot) bool { return s.GUID == j.Candidate.ID })
		f.snapshots, was.snapshots = was.snapshots[:i+1], was.snapshots[i+1:]
		f.holding, f.origin = was.holding, ""
		w.step()
	}
	w.mounted = w.at[name]
	w.step()
	f.marker, f.local = w.at[name]+" restored", true
	w.step()
	w.restored = &preseed.Answer{Source: j.Source, Candidate: j.Candidate}
	w.journal = nil
}

// start is a world before the first run.
type start struct {
	key                preseed.Key
	populated, mounted bool
	marked             bool
	snapshots          []bool // whether each holds data
	bookmark           bool   // one that is newer than all of them
	sources            []preseed.SourceKind
	replica, restic    preseed.AnswerKind
	onNoBackup         preseed.OnNoBackup
}

func (s start) world() (*world, string) {
	w := &world{byGUID: map[string]*fs{}, at: map[string]string{}, answers: map[preseed.SourceKind]preseed.Answer{}, looked: map[string]bool{}, kill: func() bool { return false }}
	f := &fs{key: s.key, holding: map[string]string{}}
	if s.populated {
		f.holds = "the only copy"
	}
	for i, data := range s.snapshots {
		snap := snapshot(fmt.Sprint("s", i), uint64(2*i+2), time.Hour, preseed.ContentUnknown)
		f.snapshots = append(f.snapshots, snap)
		if data {
			f.holding[snap.GUID] = "data of " + snap.Name
		}
	}
	if s.bookmark {
		f.bookmarks = []uint64{100}
	}
	first := w.make(name, f)
	if s.mounted && s.key != preseed.KeyUnavailable {
		w.mounted = first
	}
	if s.marked {
		f.marker, f.local = first+" x", true
	}
	for k, a := range map[preseed.SourceKind]preseed.AnswerKind{preseed.Replica: s.replica, preseed.Restic: s.restic, preseed.PITR: s.restic} {
		w.answers[k] = preseed.Answer{Source: k, Kind: a, Candidate: preseed.Candidate{ID: "c", Time: now.Add(-time.Hour)}}
	}
	return w, first
}

// maxAge is that of the policy.
const maxAge = 24 * time.Hour

// run has the world run until an outcome, a wait or its death. failing is a run that does not die of a step that fails: it asks what is next, and knows what
// it knew.
func (w *world) run(plan planner, p preseed.Policy, failing bool) (d preseed.Decision, ended bool) {
	if !failing {
		w.asked, w.restored, w.empty, w.own, w.looked = nil, nil, false, false, map[string]bool{}
	}
	at := now
	if w.late {
		at = at.Add(2 * maxAge)
	}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(killed); !ok {
				panic(r)
			}
			d, ended = preseed.Decision{}, false
		}
	}()
	for range 60 {
		d = plan(p, w.seen(), at)
		if d.Outcome != "" || d.Action == preseed.Wait {
			return d, true
		}
		w.step()
		w.do(d)
	}
	panic(fmt.Sprintf("it never ends: %+v", d))
}

// broken says which invariant does not hold once a run has ended:
//   - what a file system holds is never lost, nor moved from its place, be it of before or written by somebody meanwhile;
//   - no snapshot is lost;
//   - a service starts on all of a restore, or on nothing where every source has said that it has nothing and the policy lets it;
//   - a source that does not answer is not taken for one that has nothing, nor passed over;
//   - there is at most one promotion: one file system of ours has the place, and the empty one is kept;
//   - what was interrupted is finished, or it is said who has to look.
func (s start) broken(w *world, first string, last preseed.Decision) string {
	g := w.byGUID[first]
	if g == nil {
		return "the file system of before is gone"
	}
	if s.populated && (g.holds != "the only copy" || w.at[name] != first) {
		return "the data is gone"
	}
	if w.human != "" && (w.byGUID[w.human] == nil || w.byGUID[w.human].holds != "what somebody wrote" || w.at[name] != w.human) {
		return "what somebody wrote is gone"
	}
	data := false
	for i, with := range s.snapshots {
		guid := fmt.Sprint("guid of s", i)
		data = data || with
		kept := 0
		for _, x := range w.byGUID {
			if slices.ContainsFunc(x.snapshots, func(s preseed.Snapshot) bool { return s.GUID == guid }) && (!with || x.holding[guid] != "") {
				kept++
			}
		}
		if kept != 1 {
			return "snapshot " + guid + " is gone"
		}
	}
	none, silent := true, false
	for _, k := range s.sources {
		none = none && (k == preseed.Local && !data || k != preseed.Local && w.answers[k].Kind == preseed.ConfirmedNone)
		silent = silent || k != preseed.Local && w.answers[k].Kind == preseed.SourceUnreachable
		if silent && last.Outcome == preseed.ConfirmedNoBackup {
			return "a source that does not answer has nothing"
		}
		if k == preseed.Local && data || k != preseed.Local && w.answers[k].Kind == preseed.Available {
			break
		}
		if silent && last.Outcome == preseed.Restored && w.byGUID[w.at[name]].holds != "what somebody wrote" {
			return "a source that does not answer was passed over"
		}
	}
	has := w.byGUID[w.at[name]]
	if last.Start && (w.mounted != w.at[name] || has.holds == "half" || has.holds == "" && !s.marked && !(none && s.onNoBackup == preseed.StartEmpty)) {
		return fmt.Sprintf("it starts on %q", has.holds)
	}
	if last.Outcome == preseed.Restored && has.holds == "" {
		return "restored, and empty"
	}
	if last.Outcome != "" && last.Outcome != preseed.Refused && w.journal != nil && s.key != preseed.KeyUnavailable {
		return "it ended, and there still is a journal"
	}
	if last.Start {
		if _, staged := w.at[staging]; staged {
			return "it starts, and there is a staged one still"
		}
	}
	return ""
}

// Every world, and in each a run that dies, or fails, at each of its steps; then nothing happens, or a boot does, or somebody writes, or both, or two days pass, or somebody destroys
// what was restored; then a run to the end.
func TestEveryWorldAndEveryStep(t *testing.T) {
	worlds, runs, found := everyWorld(preseed.Next)
	t.Logf("%d worlds, %d runs", worlds, runs)
	if found != "" {
		t.Error(found)
	}
	if worlds < 1000 || runs < 20000 {
		t.Errorf("%d worlds and %d runs are not all there is", worlds, runs)
	}
	// It sees those who take what they do not know for what they would like.
	for name, takes := range map[string]func(*preseed.Seen){
		"E4": func(s *preseed.Seen) {
			if s.Target != nil && s.Target.Content == preseed.ContentUnknown {
				s.Target.Content = preseed.Empty
			}
		},
		"E6": func(s *preseed.Seen) {
			if s.Target != nil {
				s.Target.Content = preseed.Empty
			}
		},
		"E7": func(s *preseed.Seen) {
			s.Answers = slices.Clone(s.Answers)
			for i := range s.Answers {
				if s.Answers[i].Kind == preseed.SourceUnreachable {
					s.Answers[i].Kind = preseed.ConfirmedNone
				}
			}
		},
		"E10":     func(s *preseed.Seen) { s.Journal = nil },
		"E10 age": func(s *preseed.Seen) { s.Own = true },
		"E13": func(s *preseed.Seen) {
			if s.Target != nil {
				s.Target.Bookmarks = nil
			}
		},
	} {
		if _, _, found := everyWorld(func(p preseed.Policy, s preseed.Seen, now time.Time) preseed.Decision {
			takes(&s)
			return preseed.Next(p, s, now)
		}); found == "" {
			t.Errorf("%s: nothing is wrong with a careless one", name)
		}
	}
}

// everyWorld returns the first fault that it finds.
func everyWorld(plan planner) (worlds, runs int, found string) {
	kinds := []preseed.AnswerKind{preseed.Available, preseed.ConfirmedNone, preseed.SourceUnreachable, preseed.SourceRefused}
	no := []preseed.AnswerKind{preseed.ConfirmedNone}
	bools := []bool{false, true}
	for _, sources := range [][]preseed.SourceKind{{}, {preseed.Local}, {preseed.Replica}, {preseed.Restic}, {preseed.Local, preseed.Replica, preseed.Restic}, {preseed.Restic, preseed.Local}, {preseed.Local, preseed.PITR}, {preseed.PITR, preseed.Replica}} {
		replica, restic, snapshots := no, no, [][]bool{{}, {true}, {false}, {true, false}, {false, true}, {true, true}}
		if slices.Contains(sources, preseed.Replica) {
			replica = kinds
		}
		// An archive of PostgreSQL is asked where restic is not.
		if slices.Contains(sources, preseed.Restic) || slices.Contains(sources, preseed.PITR) {
			restic = kinds
		}
		if !slices.Contains(sources, preseed.Local) {
			snapshots = [][]bool{{}, {true, false}}
		}
		each(bools, func(populated bool) {
			each(bools, func(mounted bool) {
				each(bools, func(marked bool) {
					each(bools, func(bookmark bool) {
						each([]preseed.Key{preseed.Unencrypted, preseed.KeyUnavailable}, func(key preseed.Key) {
							each(snapshots, func(snaps []bool) {
								each(replica, func(a preseed.AnswerKind) {
									each(restic, func(b preseed.AnswerKind) {
										each([]preseed.OnNoBackup{preseed.Refuse, preseed.StartEmpty}, func(o preseed.OnNoBackup) {
											if found != "" {
												return
											}
											worlds++
											n, fault := start{key, populated, mounted, marked, snaps, bookmark, sources, a, b, o}.explore(plan)
											runs += n
											if fault != "" && found == "" {
												found = fault
											}
										})
									})
								})
							})
						})
					})
				})
			})
		})
	}
	return worlds, runs, found
}

func each[T any](list []T, do func(T)) {
	for _, v := range list {
		do(v)
	}
}

func (s start) explore(plan planner) (runs int, fault string) {
	defer func() {
		if r := recover(); r != nil {
			fault = fmt.Sprintf("%v: %+v", r, s)
		}
	}()
	p := preseed.Policy{OnNoBackup: s.onNoBackup, Sources: s.sources, MaxAge: maxAge}
	for at := 0; ; at++ {
		over := false
		for _, what := range []string{"", "boot", "writes", "boot writes", "fails", "late", "late boot", "destroys", "destroys boot"} {
			w, first := s.world()
			left := at
			w.kill = func() bool { left--; return left < 0 }
			last, ended := w.run(plan, p, false)
			over = over || ended
			runs++
			if g, ok := w.at[name]; ok && w.mounted == g && w.byGUID[g].holds == "" && strings.Contains(what, "writes") {
				w.byGUID[g].holds, w.human = "what somebody wrote", g
			}
			w.late = strings.Contains(what, "late")
			gone := false
			if g, ok := w.at[staging]; ok && strings.Contains(what, "destroys") && w.journal != nil {
				delete(w.byGUID, g)
				delete(w.at, staging)
				gone = true
			}
			if strings.Contains(what, "boot") {
				w.mounted = ""
				if _, ok := w.at[name]; !ok {
					w.make(name, &fs{key: preseed.Unencrypted})
				}
			}
			w.kill = func() bool { return false }
			if what != "fails" || !ended {
				last, _ = w.run(plan, p, what == "fails")
			}
			if gone && last.Outcome != preseed.Restored {
				return runs, fmt.Sprintf("what was restored was destroyed at step %d, and it does not come back: %+v\n%+v", at, s, last)
			}
			if fault := s.broken(w, first, last); fault != "" {
				return runs, fmt.Sprintf("%s, cut off at step %d, then %q: %+v\n%+v\n%+v", fault, at, what, s, last, w)
			}
		}
		if over {
			return runs, ""
		}
	}
}

// Whatever there is, and wherever runs are killed: what holds data is never touched, a service starts on data or where every source has
// said that it has none, and in the end every run comes to an outcome or waits for something.
func TestRunsThatAreKilled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{byGUID: map[string]*fs{}, at: map[string]string{}, answers: map[preseed.SourceKind]preseed.Answer{}, looked: map[string]bool{}, kill: func() bool { return false }}
		kinds := []preseed.SourceKind{preseed.Local, preseed.Replica, preseed.Restic, preseed.PITR}
		f := &fs{key: rapid.SampledFrom([]preseed.Key{preseed.Unencrypted, preseed.KeyAvailable, preseed.KeyUnavailable}).Draw(t, "key"), holding: map[string]string{}}
		if rapid.Bool().Draw(t, "populated") {
			f.holds = "the only copy"
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "snapshots") {
			s := snapshot(fmt.Sprint("s", i), uint64(2*i+2), time.Hour, preseed.ContentUnknown)
			f.snapshots = append(f.snapshots, s)
			if rapid.Bool().Draw(t, "with data") {
				f.holding[s.GUID] = "data of " + s.Name
			}
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "bookmarks") {
			f.bookmarks = append(f.bookmarks, uint64(i+rapid.IntRange(0, 6).Draw(t, "txg")))
		}
		first := w.make(name, f)
		if rapid.Bool().Draw(t, "mounted") && f.key != preseed.KeyUnavailable {
			w.mounted = first
		}
		marked := rapid.IntRange(0, 9).Draw(t, "marked") == 0
		if marked {
			f.marker, f.local = first+" x", true
		}
		for _, k := range kinds[1:] {
			w.answers[k] = preseed.Answer{Source: k, Kind: rapid.SampledFrom([]preseed.AnswerKind{preseed.Available, preseed.ConfirmedNone, preseed.SourceUnreachable, preseed.SourceRefused}).Draw(t, string(k)), Candidate: preseed.Candidate{ID: "c"}}
		}
		p := preseed.Policy{OnNoBackup: rapid.SampledFrom([]preseed.OnNoBackup{"", preseed.Refuse, preseed.StartEmpty}).Draw(t, "policy"), Sources: rapid.SliceOfDistinct(rapid.SampledFrom(kinds), rapid.ID).Draw(t, "sources")}
		data := f.holds != ""
		snaps := maps.Clone(f.holding)

		outcome := func() (d preseed.Decision) {
			defer func() {
				if r := recover(); r != nil {
					if _, ok := r.(killed); !ok {
						panic(r)
					}
					d = preseed.Decision{}
				}
			}()
			w.asked, w.restored, w.empty, w.looked = nil, nil, false, map[string]bool{}
			for range 60 {
				d = preseed.Next(p, w.seen(), now)
				if d.Outcome != "" || d.Action == preseed.Wait {
					return d
				}
				w.step()
				w.do(d)
			}
			t.Fatalf("it never ends: %+v", d)
			return d
		}
		var last preseed.Decision
		for range 6 {
			left := rapid.IntRange(0, 25).Draw(t, "dies after")
			w.kill = func() bool { left--; return left < 0 }
			last = outcome()
			if g, ok := w.at[name]; ok && w.mounted == g && w.byGUID[g].holds == "" && rapid.IntRange(0, 3).Draw(t, "somebody writes") == 0 {
				w.byGUID[g].holds, w.human = "what somebody wrote", g
			}
			if rapid.Bool().Draw(t, "boot") {
				w.mounted = ""
				if _, ok := w.at[name]; !ok { // what makes datasets at boot
					w.make(name, &fs{key: preseed.Unencrypted})
				}
			}
		}
		w.kill = func() bool { return false }
		last = outcome()

		if g := w.byGUID[first]; g == nil || data && (g.holds != "the only copy" || w.at[name] != first) {
			t.Fatalf("the data is gone: %+v", w)
		}
		for g, holds := range snaps {
			kept := false
			for _, x := range w.byGUID {
				kept = kept || x.holding[g] == holds && slices.ContainsFunc(x.snapshots, func(s preseed.Snapshot) bool { return s.GUID == g })
			}
			if !kept {
				t.Fatalf("snapshot %s is gone", g)
			}
		}
		if w.human != "" && (w.byGUID[w.human] == nil || w.byGUID[w.human].holds != "what somebody wrote" || w.at[name] != w.human) {
			t.Fatalf("what somebody wrote is gone: %+v", w)
		}
		now := w.byGUID[w.at[name]]
		if last.Start {
			none := true // whether every source has said that it has nothing
			for _, k := range p.Sources {
				none = none && (k == preseed.Local && len(snaps) == 0 || k != preseed.Local && w.answers[k].Kind == preseed.ConfirmedNone)
			}
			if w.mounted != w.at[name] || now.holds == "half" || now.holds == "" && !marked && !(none && p.OnNoBackup == preseed.StartEmpty) {
				t.Fatalf("it starts on %q with %+v: %+v", now.holds, w.answers, last)
			}
		}
		if last.Outcome == preseed.Restored && now.holds == "" {
			t.Fatalf("restored, and empty: %+v", last)
		}
		if last.Outcome != "" && last.Outcome != preseed.Refused && w.journal != nil && !data {
			t.Fatalf("%+v, and there still is a journal: %+v", last, w.journal)
		}
	})
}
