package preseed_test

import (
	"fmt"
	"maps"
	"slices"
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
	s := preseed.Seen{Pool: preseed.Pool{Imported: true, Health: "ONLINE"}, Journal: w.journal, Answers: w.asked, Restored: w.restored, StartedEmpty: w.empty, At: map[string]string{}}
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
		w.asked = append(w.asked, w.answers[d.Source])
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
			w.journal = &preseed.Journal{Target: name, TargetGUID: guid, Staged: staging, Displaced: displaced, Source: d.Source, Candidate: d.Candidate, Stage: preseed.Filling}
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

// Whatever there is, and wherever runs are killed: what holds data is never touched, a service starts on data or where every source has
// said that it has none, and in the end every run comes to an outcome or waits for something.
func TestRunsThatAreKilled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{byGUID: map[string]*fs{}, at: map[string]string{}, answers: map[preseed.SourceKind]preseed.Answer{}, looked: map[string]bool{}, kill: func() bool { return false }}
		kinds := []preseed.SourceKind{preseed.Local, preseed.Replica, preseed.Restic}
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
