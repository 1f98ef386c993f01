package backup

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/syntax/calendar"
)

// Calendar is one OnCalendar= of a timer, as systemd.time(7) has it. The zero
// value is none, and never elapses.
type Calendar struct{ spec calendar.Spec }

// ParseCalendar reads a calendar event expression. zones returns time zones by name; nil knows UTC only. Names such as CET are refused, although there are
// zones of that name: on a host of Europe/Berlin systemd takes them for its winter. The error says where the fault is, and has a Hint method.
func ParseCalendar(text string, zones stateward.Zones) (Calendar, error) {
	spec, err := calendar.Parse(strings.TrimSpace(text), full(zones))
	return Calendar{spec}, err
}

// shortSince is when the short names of zones are looked up.
var shortSince = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// full leaves out what is short for a part of the year somewhere.
func full(zones stateward.Zones) calendar.Zones {
	if zones == nil {
		return nil
	}
	return func(name string) (*time.Location, error) {
		zone, err := zones.Zone(name)
		if err == nil && calendar.Short(name, zone, shortSince) {
			return nil, fmt.Errorf("%s is short for a part of the year", name)
		}
		return zone, err
	}
}

// String returns the normalized form, as systemd-analyze calendar prints it.
func (c Calendar) String() string { return c.spec.String() }

// ErrNever says that a calendar event does not elapse any more.
var ErrNever = calendar.ErrNever

// Next returns when the event elapses next, later than after. local is the zone of the host. The
// error is [ErrNever], or says why the time is not known.
func (c Calendar) Next(after time.Time, local *time.Location) (time.Time, error) {
	return c.spec.Next(after, local)
}

// Schedule is when a timer of systemd starts a job (systemd.timer(5)), and how long that takes.
type Schedule struct {
	Calendar []Calendar
	// OnBoot, OnUnitActive and OnUnitInactive are spans since the machine was started, and since the job was started
	// or ended the last time; nil where they are not set.
	OnBoot, OnUnitActive, OnUnitInactive *stateward.Duration
	RandomizedDelay                      stateward.Duration
	FixedRandomDelay                     bool
	Accuracy                             *stateward.Duration // a minute when nil
	Persistent                           bool
	// RunTime is how long the job takes at most; nil where nobody knows.
	RunTime *stateward.Duration
	// MayBeOff says that the machine is switched off now and then.
	MayBeOff bool
	// Unknown names the settings that could not be read.
	Unknown []string
}

// GapState says what is known of a [Gap].
type GapState int

const (
	GapUnknown   GapState = iota // the age may be any, but not less than Gap.Least
	GapBounded                   // the age is at most Gap.Age
	GapUnbounded                 // no age is the largest
)

func (s GapState) String() string {
	switch s {
	case GapUnknown:
		return "unknown"
	case GapBounded:
		return "bounded"
	case GapUnbounded:
		return "unbounded"
	}
	return fmt.Sprintf("GapState(%d)", int(s))
}

// Gap is the largest age that the newest finished backup can reach.
type Gap struct {
	State GapState
	// Age is the sum of the parts that are known. What is not known may add to it, or, but for the time of a run, make it smaller.
	Age time.Duration
	// Least is what the largest age is at least; 0 where that is not known.
	Least time.Duration
	Parts []GapPart
	// Why says what makes the age unbounded or unknown.
	Why string
	// From and To are the two times next to each other that lie farthest apart; zero without calendar events.
	From, To time.Time
	// Through is how far ahead calendar events were looked at.
	Through time.Time
}

// GapPart is what a part of the age comes from.
type GapPart struct {
	What string
	Span time.Duration
}

// Horizon is how many years ahead [Schedule.WorstGap] looks: days of the week and leap years then come again. Of events of
// every day it looks at a few days, where waits are shorter than a day at less than that, 400 days at least, and always at
// all changes of the clock in two years. Gap.Through says how far it was.
const Horizon = 28

// mostSteps bounds the search for the longest wait.
const mostSteps = 400_000

// waits is how many times the longest wait it looks ahead.
const waits = 12_000

// WorstGap returns the largest age that the newest backup can reach from the first run
// after from on: from the start of one run, whose data it has, to the end of the next. local is the zone of the host,
// nil when it is not known. Time that the machine is off does not count where Persistent= makes up for it.
func (s Schedule) WorstGap(from time.Time, local *time.Location) Gap {
	var g Gap
	add := func(what string, span time.Duration) {
		if span > 0 {
			g.Parts = append(g.Parts, GapPart{what, span})
			g.Age += span
		}
	}
	unknown := func(why string) {
		if g.State == GapBounded {
			g.State, g.Why = GapUnknown, why
		}
	}
	unbounded := func(why string) Gap {
		return Gap{State: GapUnbounded, Why: why, From: g.From, To: g.To, Through: g.Through}
	}
	g.State = GapBounded
	if len(s.Unknown) > 0 {
		unknown("not known: " + strings.Join(s.Unknown, ", "))
	}
	accuracy := time.Minute
	if s.Accuracy != nil {
		accuracy = max(s.Accuracy.Std(), time.Microsecond)
	}
	delay := s.RandomizedDelay.Std()

	wait, source, fixed := time.Duration(-1), "", false
	var ended string
	if len(s.Calendar) > 0 {
		var skip time.Duration
		if s.FixedRandomDelay && delay > 0 {
			fixed, skip = true, delay+accuracy
		}
		found := s.longest(from, local, skip)
		if s.RunTime != nil && fixed && s.RunTime.Std()+accuracy > found.shortest {
			// Runs may wait for one another, and then start at any time, not only that delay after an event.
			if plain := s.longest(from, local, 0); plain.to.Sub(plain.from)+delay >= found.to.Sub(found.from) {
				found, fixed = plain, false
			}
		}
		g.From, g.To, g.Through = found.from, found.to, found.through
		switch {
		case found.err != nil:
			unknown(found.err.Error())
		case found.ended && found.last.IsZero():
			ended = "no calendar event elapses any more"
		case found.ended:
			ended = "the last calendar event elapses on " + found.last.Format("2006-01-02 15:04:05 MST")
		}
		if found.from.IsZero() && !found.ended && found.err == nil {
			ended = fmt.Sprintf("calendar events lie more than %d years ahead or apart", Horizon)
		}
		if !found.from.IsZero() && (!found.ended || found.err != nil) {
			wait, source = found.to.Sub(found.from), fmt.Sprintf("from %s to %s", stamp(found.from), stamp(found.to))
		}
	}
	run := time.Duration(0)
	if s.RunTime != nil {
		run = s.RunTime.Std()
	}
	calendared := wait >= 0
	// Spans count from a first run, which something else has to start, and begin anew with the machine.
	if (calendared || s.OnBoot != nil) && !s.MayBeOff {
		if d := s.OnUnitActive; d != nil && (wait < 0 || d.Std() < wait) {
			wait, source, fixed = d.Std(), "OnUnitActiveSec=", false
		}
		if d := s.OnUnitInactive; d != nil && (wait < 0 || d.Std()+run < wait) {
			wait, source, fixed = d.Std()+run, "OnUnitInactiveSec= and the run before it", false
		}
	}
	if g.State == GapBounded {
		switch {
		case calendared && s.MayBeOff && !s.Persistent:
			return unbounded("the machine may be off when the timer elapses, and Persistent= does not make up for it")
		case wait >= 0:
		case ended != "":
			return unbounded(ended)
		case s.OnBoot != nil && (s.OnUnitActive != nil || s.OnUnitInactive != nil):
			return unbounded("what the timer counts begins anew each time the machine is started")
		case s.OnBoot != nil:
			return unbounded("the job runs once each time the machine is started")
		case s.OnUnitActive != nil || s.OnUnitInactive != nil:
			return unbounded("the timer counts from the last run, and nothing starts the first one")
		default:
			return unbounded("no timer starts the job")
		}
	}
	add(source, max(wait, 0))
	if fixed {
		add("AccuracySec=", accuracy)
	} else {
		add("RandomizedDelaySec=", delay)
		add("AccuracySec=", accuracy)
	}
	// One run waits for the end of another.
	add("waiting for the run before", run-g.Age)
	add("the run itself", run)
	if g.State == GapBounded {
		g.Least = g.Age
	}
	if s.RunTime == nil {
		unknown("it is not known how long the job runs")
	}
	return g
}

func stamp(t time.Time) string { return t.Format("2006-01-02 15:04:05 MST") }

// String explains the age.
func (g Gap) String() string {
	var parts []string
	for _, p := range g.Parts {
		parts = append(parts, fmt.Sprintf("%s %s", spanText(p.Span), p.What))
	}
	sum := strings.Join(parts, ", ")
	switch g.State {
	case GapUnbounded:
		return "any: " + g.Why
	case GapUnknown:
		if g.Least == 0 {
			return "unknown: " + g.Why
		}
		return fmt.Sprintf("unknown, at least %s (%s): %s", spanText(g.Least), sum, g.Why)
	}
	return fmt.Sprintf("up to %s (%s)", spanText(g.Age), sum)
}

func spanText(d time.Duration) string {
	s, err := stateward.NewDuration(d)
	if err != nil {
		return d.String()
	}
	return s.String()
}

// wait is the longest time between two calendar events next to each other.
type wait struct {
	from, to, through time.Time
	shortest          time.Duration // where all were looked at
	ended             bool          // nothing elapses after last
	last              time.Time     // zero when nothing ever does
	err               error
}

// longest looks for two elapses next to each other that lie farthest apart. With a skip, as a fixed delay has it, what elapses
// less than that after the first is passed over.
func (s Schedule) longest(from time.Time, local *time.Location, skip time.Duration) wait {
	l := search{s: s, local: local, skip: skip, through: from.AddDate(Horizon, 0, 0), shortest: math.MaxInt64}
	w := wait{through: l.through}
	// Changes of the clock first: they make the longest waits of what elapses often, and with a long one known the
	// search is quick. Here each time hangs on the one before, so none is passed over.
	for day := from; day.Before(from.AddDate(2, 0, 0)); day = day.AddDate(0, 0, 1) {
		if l.changes(day, day.AddDate(0, 0, 1)) {
			l.scan(day.AddDate(0, 0, -1), day.AddDate(0, 0, 2), true)
		}
	}
	if s.everyDay() {
		l.scan(from, from.AddDate(0, 0, 4), skip > 0) // all other days are the same
	} else {
		l.scan(from, from.AddDate(0, 2, 0), skip > 0)
		// The shorter the longest wait of two months, the less far ahead a longer one is to be found. What a fixed delay adds to each makes none rarer.
		apart := l.best
		if skip > 0 {
			apart = l.apart
		}
		if far := from.Add(max(apart*waits, 400*24*time.Hour)); apart > 0 && apart < math.MaxInt64/waits && far.Before(l.through) {
			w.through = far
		}
		l.scan(from.AddDate(0, 1, 0), w.through, skip > 0)
	}
	w.from, w.to, w.err = l.from, l.to, l.err
	w.ended, w.last, w.shortest = l.ended, l.last, l.shortest
	return w
}

type search struct {
	s        Schedule
	local    *time.Location
	skip     time.Duration
	through  time.Time
	from, to time.Time
	best     time.Duration
	// shortest and apart are the least and the most between two elapses next to each other, where all were looked at.
	shortest, apart time.Duration
	steps           int
	ended           bool
	last            time.Time
	err             error
}

// next returns the first elapse of any event.
func (l *search) next(after time.Time) (time.Time, bool) {
	if l.steps++; l.steps > mostSteps && l.err == nil {
		l.err = errors.New("the timer elapses too often to follow it for years")
	}
	var first time.Time
	for _, c := range l.s.Calendar {
		t, err := c.Next(after, l.local)
		switch {
		case errors.Is(err, calendar.ErrNever), errors.Is(err, calendar.ErrLost): // systemd leaves such an event out
		case err != nil:
			l.err = err
		case first.IsZero() || t.Before(first):
			first = t
		}
	}
	return first, !first.IsZero() && l.err == nil
}

// follower returns the elapse that comes after the one at t.
func (l *search) follower(t time.Time) (time.Time, bool) { return l.next(t.Add(l.skip)) }

// scan looks for a longer wait that begins between start and end. A wait longer than the best one contains
// one of the points that lie that far apart, so only around these one has to look, unless all are asked for.
func (l *search) scan(start, end time.Time, all bool) {
	at, ok := l.next(start.Add(-time.Microsecond))
	for ok && at.Before(end) {
		if all || l.best == 0 {
			next, ok := l.follower(at)
			if !ok {
				l.finish(at)
				return
			}
			l.consider(at, next)
			after, ok := l.next(at)
			if !ok {
				return
			}
			l.shortest, l.apart = min(l.shortest, after.Sub(at)), max(l.apart, after.Sub(at))
			at = after
			continue
		}
		next, found := l.next(at.Add(l.best))
		if !found {
			l.finish(l.lastFrom(at))
			return
		}
		if before, _ := l.next(next.Add(-l.best - time.Microsecond)); before.Equal(next) {
			// Nothing elapses in as long a time before it: from here on one by one.
			prev := at
			for after, ok := l.next(prev); ok && after.Before(next); after, ok = l.next(prev) {
				prev = after
			}
			l.consider(prev, next)
		}
		at = next
	}
	if !ok {
		l.finish(time.Time{})
	}
}

func (l *search) consider(from, to time.Time) {
	if d := to.Sub(from); d > l.best {
		l.from, l.to, l.best = from, to, d
	}
}

// finish says that nothing elapses after last.
func (l *search) finish(last time.Time) {
	if l.err == nil {
		l.ended, l.last = true, last
	}
}

func (l *search) lastFrom(at time.Time) time.Time {
	for next, ok := l.next(at); ok; next, ok = l.next(at) {
		at = next
	}
	return at
}

// changes says whether a clock that matters is put forward or back between two times.
func (l *search) changes(a, b time.Time) bool {
	differs := func(loc *time.Location) bool {
		_, x := a.In(loc).Zone()
		_, y := b.In(loc).Zone()
		return x != y
	}
	if l.local != nil && differs(l.local) {
		return true
	}
	for _, c := range l.s.Calendar {
		if zone := c.spec.Zone(); zone != nil && differs(zone) {
			return true
		}
	}
	return false
}

// everyDay says that no event depends on the date, and all go by the same clock.
func (s Schedule) everyDay() bool {
	for _, c := range s.Calendar {
		if !c.spec.EveryDay() || c.spec.Zone() != s.Calendar[0].spec.Zone() {
			return false
		}
	}
	return true
}

// RPO says whether an objective is reached.
type RPO int

const (
	RPOUnknown RPO = iota
	RPOReached
	RPOMissed
)

func (r RPO) String() string {
	switch r {
	case RPOUnknown:
		return "unknown"
	case RPOReached:
		return "reached"
	case RPOMissed:
		return "missed"
	}
	return fmt.Sprintf("RPO(%d)", int(r))
}

// ReachedRPO compares the largest age of the newest backup with the recovery point objective. What is not known is
// never called reached; missed it is when the parts that are known are enough for that.
func ReachedRPO(g Gap, objective stateward.Duration) RPO {
	switch {
	case g.State == GapUnbounded, g.Least > objective.Std():
		return RPOMissed
	case g.State == GapBounded:
		return RPOReached
	}
	return RPOUnknown
}
