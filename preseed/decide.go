package preseed

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Policy is what the owner of the data wants.
type Policy struct {
	// Sources in the order in which they are asked. None means that nothing is restored.
	Sources []SourceKind
	// OnNoBackup is [Refuse] where it is empty.
	OnNoBackup OnNoBackup
	// MaxAge is how old a local snapshot may be, and what an earlier run restored and did not put in its place; 0 means any. Other sources answer
	// [SourceRefused] themselves.
	MaxAge time.Duration
	// At leaves out snapshots of after that time; the zero time means any.
	At time.Time
	// Validate has snapshots cloned and looked into, where a rollback would do: what it brings back could not be looked into first.
	Validate bool
	// Paths are those that are restored from restic; none means all.
	Paths []string
	// ByHand is a person who wants an empty dataset filled that was seeded before.
	ByHand bool
}

// Action is the one next thing to do.
type Action string

const (
	// Wait is for what may change by itself: a pool, a key, a unit, a source that does not answer.
	Wait Action = "wait"
	// Mount mounts the dataset at its place.
	Mount Action = "mount"
	// Look looks what the dataset holds; where it is not mounted, read-only and aside.
	Look Action = "look"
	// LookSnapshot looks what the snapshot of the decision holds.
	LookSnapshot Action = "look-snapshot"
	// Ask asks the source of the decision.
	Ask Action = "ask"
	// Rollback is a plain `zfs rollback` to the snapshot of the decision, the latest there is; never `-r` (E1).
	Rollback Action = "rollback"
	// Fill makes the staging dataset from the candidate of the decision, with a journal, and validates it.
	Fill Action = "fill"
	// Promote exchanges a staged dataset that was validated with the empty one.
	Promote Action = "promote"
	// Place is the second of the two renames alone.
	Place Action = "place"
	// Displace moves what has the target's name away, to a name of its own beside the one that the journal names.
	Displace Action = "displace"
	// Undo gives the displaced dataset its name again, and ends the journal.
	Undo Action = "undo"
	// Discard removes the staging dataset of the journal, if it is there, and the journal.
	Discard Action = "discard"
	// Abandon ends the journal and leaves what was restored where it is: the dataset has files of its own by now.
	Abandon Action = "abandon"
	// Finish mounts what was promoted, marks it and ends the journal. A clone takes the snapshots over that it was made from (`zfs promote`).
	Finish Action = "finish"
	// Mark sets the marker of a dataset that holds files.
	Mark Action = "mark"
	// MarkEmpty sets the marker of one that starts empty.
	MarkEmpty Action = "mark-empty"
)

// Destroys tells whether an action removes something that a run of ours made.
func (a Action) Destroys() bool { return a == Discard }

// Decision is the next action, or the outcome where there is nothing more to do.
type Decision struct {
	Action  Action  `json:"action,omitempty"`
	Outcome Outcome `json:"outcome,omitempty"`
	// Start tells, with an outcome, whether the service may start.
	Start bool `json:"start,omitempty"`
	// Source and Candidate are what an action is about.
	Source    SourceKind `json:"source,omitempty"`
	Candidate Candidate  `json:"candidate,omitzero"`
	// Why is the reason, for people; Hint what they can do, where it is theirs.
	Why  string `json:"why"`
	Hint string `json:"hint,omitempty"`
	// Late is, with [Wait], the outcome of a run that has waited long enough.
	Late Outcome `json:"-"`
}

type decider struct {
	policy Policy
	seen   Seen
	now    time.Time
}

// Next decides what to do with what is seen. It is to be asked again after each action, with what is seen then: what it answers hangs
// on nothing else.
func Next(p Policy, s Seen, now time.Time) Decision {
	d := &decider{p, s, now}
	return d.next()
}

func (d *decider) act(a Action, why string) Decision { return Decision{Action: a, Why: why} }

func (d *decider) waits(why, hint string) Decision {
	return Decision{Action: Wait, Why: why, Hint: hint, Late: Unreachable}
}

// waitsFor is for what only people change.
func (d *decider) waitsFor(why, hint string) Decision {
	return Decision{Action: Wait, Why: why, Hint: hint, Late: Refused}
}

func (d *decider) end(o Outcome, why, hint string) Decision {
	return Decision{Outcome: o, Start: o == AlreadySeeded || o == Restored, Why: why, Hint: hint}
}

func (d *decider) active() bool { return len(d.seen.Active) > 0 }

// notLooked tells whether nobody has tried yet to look into the dataset.
func (d *decider) notLooked() bool {
	t := d.seen.Target
	return t != nil && !t.Volume && t.Key != KeyUnavailable && t.Content != Empty && t.Content != Populated && t.Unread == ""
}

func (d *decider) next() Decision {
	s, t := d.seen, d.seen.Target
	switch {
	case !s.Pool.Imported:
		return d.waits("the pool is not imported", "zpool import")
	case !s.Pool.readable():
		return d.waits("the pool is "+s.Pool.Health, "zpool status -x")
	case s.Journal != nil && t != nil && t.Key == KeyUnavailable:
		return d.waits("the key of the dataset is not loaded: nobody knows what it holds", "zfs load-key")
	case s.Journal != nil && s.Pool.ReadOnly:
		return d.end(Refused, "an earlier run did not come to its end, and the pool is imported read-only", "import it to write")
	case s.Journal != nil:
		return d.resume()
	case t == nil:
		return d.waits("there is no such dataset", "stateward dataset apply makes it; a preseed never does")
	case t.Volume:
		return d.end(Refused, "it is a volume, and a preseed fills file systems only", "restore it by hand")
	case t.Key == KeyUnavailable:
		// Neither empty nor populated (E13).
		return d.waits("the key of the dataset is not loaded: nobody knows what it holds", "zfs load-key")
	case t.Hidden != "":
		// What is written there would not be in the dataset (E5).
		return d.waitsFor(fmt.Sprintf("%s is mounted where it belongs", t.Hidden), "unmount it")
	case t.MountedAt != "":
		return d.end(Refused, "it is mounted at "+t.MountedAt, "unmount it there; if that is where it belongs, say so in the plan")
	case t.Marker.Of(t.GUID) && (!d.policy.ByHand || s.Restored != nil):
		// A pool that is degraded, or a dataset that its service has emptied, holds nobody up (E8).
		if !t.Mounted {
			return d.act(Mount, "it was seeded before, and is not mounted")
		}
		switch r := s.Restored; {
		case r != nil:
			done := d.end(Restored, fmt.Sprintf("%s of %s from %s", r.Candidate.Name, stamp(r.Candidate.Time), r.Source), "")
			done.Source, done.Candidate = r.Source, r.Candidate
			return done
		case s.StartedEmpty:
			done := d.end(ConfirmedNoBackup, "every source was asked, and none has anything: it starts empty", "")
			done.Start = true
			return done
		}
		return d.end(AlreadySeeded, "it was seeded before", "")
	case d.notLooked():
		// Not mounted is not empty (E4).
		return d.act(Look, "nobody knows yet what it holds")
	case t.Content == Populated:
		return d.populated()
	case t.Content != Empty:
		return d.waits("it cannot be looked into: "+cmp.Or(t.Unread, "nobody knows why"), "see why")
	case s.Pool.ReadOnly:
		return d.end(Refused, "it is empty, and the pool is imported read-only", "import it to write")
	case d.active():
		return d.waitsFor(strings.Join(s.Active, ", ")+" runs: what it writes would be lost", "stop it")
	}
	return d.empty()
}

// populated leaves it alone, and remembers it: what its service empties later is not brought back.
func (d *decider) populated() Decision {
	t := d.seen.Target
	holds := ""
	if len(t.Holds) > 0 {
		holds = ": " + strings.Join(t.Holds, ", ")
	}
	switch {
	case d.policy.ByHand && d.seen.Restored == nil:
		return d.end(Refused, "it holds files, which are never touched"+holds, "move them away, or give the dataset another name: zfs rename")
	case !t.Mounted:
		return d.act(Mount, "it holds files, and is not mounted"+holds)
	case d.seen.Pool.ReadOnly:
		return d.end(AlreadySeeded, "it holds files"+holds, "")
	}
	return d.act(Mark, "it holds files"+holds)
}

// empty goes through the sources.
func (d *decider) empty() Decision {
	var refused []string
	for _, kind := range d.policy.Sources {
		i := slices.IndexFunc(d.seen.Answers, func(a Answer) bool { return a.Source == kind })
		if kind == Local && i < 0 {
			decision, answer := d.local()
			if answer == nil {
				return decision
			}
			if answer.Kind == SourceRefused {
				refused = append(refused, fmt.Sprintf("%s: %s", kind, answer.Reason))
			}
			continue
		}
		if i < 0 {
			return Decision{Action: Ask, Source: kind, Why: "it is empty, and no source before this one has anything"}
		}
		switch a := d.seen.Answers[i]; a.Kind {
		case Available:
			return d.fill(kind, a.Candidate, fmt.Sprintf("it is empty, and %s has %s of %s", kind, a.Candidate.Name, stamp(a.Candidate.Time)))
		case ConfirmedNone:
		case SourceRefused:
			refused = append(refused, fmt.Sprintf("%s: %s", kind, a.Reason))
		default:
			// It may have the newest data there is: nothing older is taken, and nothing starts empty (E7).
			return Decision{Action: Wait, Late: Unreachable, Source: kind, Why: fmt.Sprintf("%s cannot be asked: %s", kind, a.Reason), Hint: "see why it does not answer"}
		}
	}
	switch {
	case len(refused) > 0:
		return d.end(Refused, "there is a backup that the policy does not take: "+strings.Join(refused, "; "), "take it by hand, or change the policy")
	case len(d.policy.Sources) == 0:
		return d.end(Refused, "no source is named", "name one, or leave the preseed out")
	case d.policy.ByHand:
		return d.end(Refused, "there is no such backup", "name another source, or another time")
	case d.policy.OnNoBackup == StartEmpty:
		if d.seen.Target.Mounted {
			return d.act(MarkEmpty, "every source was asked, and none has anything")
		}
		return d.act(Mount, "every source was asked, and none has anything: it starts empty")
	}
	return d.end(ConfirmedNoBackup, "every source was asked, and none has anything", "where that is right, onNoBackup = \"start-empty\" lets it start")
}

// fill fills the staging dataset, where what is filled could take the place of the target.
func (d *decider) fill(kind SourceKind, c Candidate, why string) Decision {
	switch t := d.seen.Target; {
	case t.Beside != "":
		return d.end(Refused, why+"; and nothing can take its place: "+t.Beside, t.BesideHint)
	case len(t.Below) > 0:
		return d.waitsFor(strings.Join(t.Below, ", ")+" is mounted below it", "unmount it")
	}
	return Decision{Action: Fill, Source: kind, Candidate: c, Why: why}
}

// local looks for the newest of the dataset's own snapshots that holds data. An answer is returned where it has none to take.
func (d *decider) local() (Decision, *Answer) {
	t := d.seen.Target
	snapshots := slices.SortedFunc(slices.Values(t.Snapshots), func(a, b Snapshot) int { return cmp.Compare(b.CreateTXG, a.CreateTXG) })
	for i, s := range snapshots {
		if !d.policy.At.IsZero() && s.Creation.After(d.policy.At) {
			continue
		}
		c := Candidate{ID: s.GUID, Name: s.Name, Time: s.Creation}
		switch {
		case s.Content == Empty:
			continue // taken since the data went away
		case s.Content != Populated && s.Unread == "":
			return Decision{Action: LookSnapshot, Source: Local, Candidate: c, Why: "nobody knows yet what it holds"}, nil
		case s.Content != Populated:
			return Decision{Action: Wait, Late: Unreachable, Source: Local, Candidate: c, Why: fmt.Sprintf("snapshot %s cannot be looked into: %s", s.Name, s.Unread), Hint: "see why"}, nil
		case d.policy.MaxAge > 0 && d.now.Sub(s.Creation) > d.policy.MaxAge:
			return Decision{}, &Answer{Source: Local, Kind: SourceRefused, Candidate: c, Reason: fmt.Sprintf("snapshot %s, the newest with data, is of %s", s.Name, stamp(s.Creation))}
		}
		later := slices.ContainsFunc(t.Bookmarks, func(txg uint64) bool { return txg > s.CreateTXG })
		if i == 0 && !later && !d.policy.Validate {
			if len(t.Below) > 0 {
				return d.waitsFor(strings.Join(t.Below, ", ")+" is mounted below it", "unmount it"), nil
			}
			// Nothing but emptiness was written since: what a rollback takes away is known.
			return Decision{Action: Rollback, Source: Local, Candidate: c, Why: fmt.Sprintf("it is empty, and its latest snapshot %s of %s holds data", s.Name, stamp(s.Creation))}, nil
		}
		why := "is not the latest, and a rollback would destroy those after it"
		switch {
		case i == 0 && later:
			why = "has a newer bookmark, which a rollback would destroy"
		case i == 0:
			why = "is to be validated first"
		}
		return d.fill(Local, c, fmt.Sprintf("it is empty, and snapshot %s of %s holds data; it %s", s.Name, stamp(s.Creation), why)), nil
	}
	return Decision{}, &Answer{Source: Local, Kind: ConfirmedNone}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
