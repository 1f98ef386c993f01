package backup

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
)

// What this file says is shown by `stateward snapshot plan`, and checks of package aggregate make findings of it.

// ContinuityState says whether the next replication finds a snapshot, or a bookmark of one, that both ends have.
type ContinuityState int

const (
	ContinuityUnknown ContinuityState = iota
	ContinuityKept                    // it does
	ContinuityBroken                  // what was sent may be pruned before the next run: then nothing can be sent any more
)

func (s ContinuityState) String() string {
	switch s {
	case ContinuityUnknown:
		return "unknown"
	case ContinuityKept:
		return "kept"
	case ContinuityBroken:
		return "broken"
	}
	return fmt.Sprintf("ContinuityState(%d)", int(s))
}

// MarshalText writes the word.
func (s ContinuityState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// BaseContinuity says what becomes of the common base of a replication (S3).
type BaseContinuity struct {
	State ContinuityState
	Why   string
	// Kept is how long the policy keeps what a run sent at least; 0 where the policy does not decide. Every is the longest time from one
	// run to the next; 0 where it is not known.
	Kept, Every time.Duration
}

// Continuity says whether a replication finds its base again (S3), with the policies that cover its source, of [SnapshotPolicies]. It looks
// at the source only: what prunes the target is on another host, as a rule. The days after from are looked at.
func Continuity(policies []SnapshotPolicy, r *Replication, from time.Time, local *time.Location) BaseContinuity {
	unknown := func(why string) BaseContinuity { return BaseContinuity{Why: why} }
	for _, v := range []stateward.Value[bool]{r.NoSyncSnap, r.Kept} {
		if why, is := v.Why(); is {
			return unknown(why.String())
		}
	}
	switch {
	case !r.NoSyncSnap.Or(false):
		return BaseContinuity{State: ContinuityKept, Why: "syncoid makes a snapshot of its own and keeps it until the next run"}
	case r.Kept.Or(false):
		return BaseContinuity{State: ContinuityKept, Why: "a bookmark or a hold keeps what was sent"}
	}
	source, ok := r.Source.Get()
	if !ok || !source.Here() {
		return unknown("what prunes the source is not known")
	}
	p := NearestPolicy(policies, source.Dataset)
	if p == nil {
		return unknown("no policy that is read says how long snapshots of " + source.Dataset + " are kept")
	}
	policy, ok := p.Policy.Get()
	if why, is := p.Policy.Why(); is || !ok {
		return unknown(why.String())
	}
	if !policy.AutoPrune {
		return BaseContinuity{State: ContinuityKept, Why: "nothing is pruned"}
	}
	taken := p.Taken()
	if why, is := taken.Why(); is {
		return unknown(why.String())
	}
	out := BaseContinuity{}
	kind := ""
	for _, t := range policy.types() {
		// The newest of a type is up to one period old when it is sent.
		if kept := time.Duration(*t.keep-1) * t.period; slices.Contains(taken.Or(nil), t.name) && kept >= out.Kept {
			out.Kept, kind = kept, fmt.Sprintf("%d %s", *t.keep, t.name)
		}
	}
	if kind == "" {
		return unknown("sanoid takes no snapshots of " + source.Dataset + " that it keeps, and who does is not known")
	}
	s, ok := r.Schedule.Get()
	if why, is := r.Schedule.Why(); is {
		return unknown(why.String())
	} else if !ok {
		return unknown("no timer is seen that runs it")
	}
	none, _ := stateward.NewDuration(0)
	s.RunTime = &none
	gap := s.WorstGap(from, local)
	if gap.State != GapBounded {
		return unknown(gap.Why)
	}
	out.Every = gap.Age
	lasts := "what was sent is kept for as little as " + spanText(out.Kept) + ", as one of " + kind + " snapshots"
	if out.Kept < out.Every {
		out.State, out.Why = ContinuityBroken, fmt.Sprintf("%s, and the next run may be %s later", lasts, spanText(out.Every))
		return out
	}
	out.State, out.Why = ContinuityKept, fmt.Sprintf("%s: %d runs in a row may fail", lasts, max(int(out.Kept/out.Every)-1, 0))
	return out
}

// NearestPolicy is that of [Governing], and nil where that is not known.
func NearestPolicy(policies []SnapshotPolicy, name string) *SnapshotPolicy {
	p, _ := Governing(policies, name)
	return p
}

// HandMadeHint is what to write so that a base is never pruned away.
const HandMadeHint = "give syncoid --no-sync-snap and --create-bookmark: a bookmark takes no room and no policy prunes it"

// Unasked are the types of snapshots that are kept by a default of sanoid's own, which nothing sets (S1): "90 daily".
func (p *SnapshotPolicy) Unasked() []string {
	if on, known := p.AutoSnap.Get(); !known || !on {
		return nil
	}
	var out []string
	for _, kind := range []string{"frequently", "hourly", "daily", "weekly", "monthly", "yearly"} {
		if s := p.Settings[kind]; s.Default && s.Or("0") != "0" {
			out = append(out, s.Or("")+" "+kind)
		}
	}
	return out
}

// Collision is a replication that gets into the way of another, or protects from nothing (S8).
type Collision struct {
	// Replication is the one that is at fault, and Other the other one; empty where it is at fault by itself.
	Replication, Other string
	Message, Hint      string
	Origin             stateward.Origin
}

// Collisions are the replications whose target is on the pool of the source, lies within it, or is that of another one as well, sorted by
// name. Of places that are not known nothing is said.
func Collisions(list []Replication) []Collision {
	type end struct {
		r      *Replication
		source Place
		at     string // of the target, with its host
	}
	out := []Collision{}
	within := func(a, b string) bool { return a == b || strings.HasPrefix(a, b+"/") }
	var ends []end
	for i := range list {
		r := &list[i]
		source, ok1 := r.Source.Get()
		target, ok2 := r.Target.Get()
		if !ok1 || !ok2 {
			continue
		}
		same := source.Here() && target.Here() || source.Host == target.Host
		c := Collision{Replication: r.Name, Origin: r.Origin}
		switch {
		case same && within(target.Dataset, source.Dataset) && (target.Dataset == source.Dataset || r.Recursive.Or(false)):
			c.Message = fmt.Sprintf("%s sends %s into itself", r, source.Dataset)
			c.Hint = "name a target outside of the source"
			out = append(out, c)
		case same && source.Pool() == target.Pool():
			c.Message = fmt.Sprintf("%s goes to the pool of its source, %s, and dies with it", r, source.Pool())
			c.Hint = "name a target on another pool, or on another machine"
			out = append(out, c)
		}
		host := target.Host
		if target.Here() {
			host = ""
		}
		ends = append(ends, end{r, source, host + ":" + target.Dataset})
	}
	slices.SortStableFunc(ends, func(a, b end) int {
		return cmp.Or(slices.Compare(strings.Split(a.at, "/"), strings.Split(b.at, "/")), cmp.Compare(a.r.Name, b.r.Name))
	})
	var open []end // those whose target the next one may lie within
	for _, e := range ends {
		for len(open) > 0 && !within(e.at, open[len(open)-1].at) {
			open = open[:len(open)-1]
		}
		for _, o := range open {
			switch below := strings.TrimPrefix(e.at, o.at); {
			case e.at == o.at && e.source == o.source:
				continue // the same twice
			case e.at == o.at:
				out = append(out, Collision{e.r.Name, o.r.Name, fmt.Sprintf("%s and %s have the same target %s: each finds the snapshots of the other there, and none of its own", o.r, e.r, strings.TrimPrefix(e.at, ":")),
					"give each source a target of its own", e.r.Origin})
			case o.r.Recursive.Or(false) && e.source != (Place{o.source.Host, o.source.Dataset + below}):
				out = append(out, Collision{e.r.Name, o.r.Name, fmt.Sprintf("the target of %s lies within that of %s, which is recursive", e.r, o.r), "give it a target that no other replication fills", e.r.Origin})
			}
		}
		open = append(open, e)
	}
	slices.SortStableFunc(out, func(a, b Collision) int {
		return cmp.Or(cmp.Compare(a.Replication, b.Replication), cmp.Compare(a.Other, b.Other))
	})
	return out
}

// Hazard is what a replication may do to its target (S4).
type Hazard struct{ Message, Hint string }

// Hazards are what the options of a replication do or leave open that may cost data on the target. What is not known says nothing.
func (r *Replication) Hazards() []Hazard {
	var out []Hazard
	is := func(v stateward.Value[bool], want bool) bool {
		got, known := v.Get()
		return known && got == want
	}
	if is(r.ForceDelete, true) {
		out = append(out, Hazard{r.String() + " has --force-delete: where no common snapshot is found, the target is destroyed with all that is below it", "take it out, and look at the target by hand when a run fails"})
	}
	if slices.Contains(r.Args.Or(nil), "--delete-target-snapshots") {
		out = append(out, Hazard{r.String() + " has --delete-target-snapshots: a snapshot that is deleted on the source is destroyed on the target too", "take it out, and have sanoid prune the target (autosnap = no)"})
	}
	if is(r.Rollback, true) {
		out = append(out, Hazard{r.String() + " may roll the target back (zfs receive -F), which destroys snapshots that only the target has", "add --no-rollback, and readonly=on to what is received"})
	}
	if is(r.Unmounted, false) {
		out = append(out, Hazard{r.String() + " lets the target be mounted, where it may hide a path that is in use", `set recvOptions = "u o canmount=noauto o readonly=on"`})
	}
	return out
}
