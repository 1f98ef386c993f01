package calendar

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// ErrNever says that an expression does not elapse any more.
var ErrNever = errors.New("calendar event never elapses again")

// ErrLost says that systemd gives up its search, and so the timer does not run,
// although the expression might elapse some time.
var ErrLost = errors.New("calendar event is so rare that systemd gives up looking for it")

// systemd gives up after so many rounds.
const maxRounds = 1000

// Next returns the first time later than after at which s elapses, in steps
// of a microsecond. local is the zone of the host, for expressions that name
// none. The error is [ErrNever], [ErrLost], or says that local is missing, or that what the
// expression names is no zone on this host.
//
// Where the clock is put forward, what falls into the gap is left out; where it is
// put back, the hour that comes twice counts once, mostly. One thing 252 does otherwise: where a step of days runs over
// the end of the year it may pass over the first of January.
func (s Spec) Next(after time.Time, local *time.Location) (time.Time, error) {
	return s.next(after, local, false)
}

// next is Next; old asks for the ways of systemd 252.
func (s Spec) next(after time.Time, local *time.Location, old bool) (time.Time, error) {
	if !s.set {
		return time.Time{}, ErrNever
	}
	loc := local
	switch {
	case s.utc:
		loc = time.UTC
	case s.zone != nil:
		loc = s.zone
	}
	if loc == nil {
		return time.Time{}, errors.New("the time zone of the host is not known")
	}
	if s.zone != nil && Short(s.zoneName, local, after) {
		return time.Time{}, fmt.Errorf("%q is short for the host's own zone, and means a part of its year", s.zoneName)
	}
	usec := max(after.UnixMicro(), -1) + 1
	start := time.UnixMicro(usec).In(loc)
	if start.Year() > maxYear+1 {
		return time.Time{}, ErrNever
	}
	_, offset := start.Zone()
	clock := &clock{loc: loc, offset: int64(offset), old: old}
	c := civil{start.Year(), int(start.Month()), start.Day(), start.Hour(), start.Minute(), start.Second(), saving(start)}
	return s.search(clock, c, int(usec%second))
}

// Short says whether name is what the clock of a zone shows in summer or in winter. systemd tries these
// before the names of zones, and such an expression elapses in that part of the year only.
func Short(name string, local *time.Location, at time.Time) bool {
	if local == nil || strings.Contains(name, "/") {
		return false
	}
	for _, month := range []time.Month{time.January, time.July} {
		if short, _ := time.Date(at.Year(), month, 1, 0, 0, 0, 0, local).Zone(); strings.EqualFold(short, name) {
			return true
		}
	}
	return false
}

// search is find_next of systemd: the parts are set from the year down to the second, and whenever one
// moves on, those below it begin anew.
func (s Spec) search(k *clock, c civil, usec int) (time.Time, error) {
	reset := func(parts ...*int) {
		for _, p := range parts {
			*p = 0
		}
		usec = 0
	}
	from, back := c.seconds()*second+int64(usec), false
	for range maxRounds {
		c, _, _ = k.normal(c)
		if !back {
			c.dst = -1
		}

		moved, ok := s.year.next(&c.year)
		if moved {
			c.month, c.day = 1, 1
			reset(&c.hour, &c.minute, &c.second)
		}
		if !ok || k.settle(&c) != fits {
			return time.Time{}, ErrNever
		}

		moved, ok = s.month.next(&c.month)
		if moved {
			c.day = 1
			reset(&c.hour, &c.minute, &c.second)
		}
		switch k.settleIf(ok, &c) {
		case wrapped:
			continue
		case impossible:
			c.year++
			c.month, c.day = 1, 1
			reset(&c.hour, &c.minute, &c.second)
			continue
		}

		if s.endOfMonth {
			moved, ok = s.nextFromEnd(k, &c)
		} else {
			moved, ok = s.day.next(&c.day)
		}
		if moved {
			reset(&c.hour, &c.minute, &c.second)
		}
		switch k.settleIf(ok, &c) {
		case wrapped:
			continue
		case impossible:
			c.month++
			c.day = 1
			reset(&c.hour, &c.minute, &c.second)
			continue
		}

		if s.weekdays != 0 && s.weekdays&(1<<k.weekday(c)) == 0 {
			c.day++
			reset(&c.hour, &c.minute, &c.second)
			continue
		}

		moved, ok = s.hour.next(&c.hour)
		if moved {
			reset(&c.minute, &c.second)
		}
		switch k.settleIf(ok, &c) {
		case wrapped:
			continue
		case impossible:
			c.day++
			reset(&c.hour, &c.minute, &c.second)
			continue
		}

		moved, ok = s.minute.next(&c.minute)
		if moved {
			reset(&c.second)
		}
		switch k.settleIf(ok, &c) {
		case wrapped:
			continue
		case impossible:
			c.hour++
			reset(&c.minute, &c.second)
			continue
		}

		micros := c.second*second + usec
		_, ok = s.micros.next(&micros)
		c.second, usec = micros/second, micros%second
		switch k.settleIf(ok, &c) {
		case wrapped:
			continue
		case impossible:
			c.minute++
			reset(&c.second)
			continue
		}

		// A gap at midnight led back before it: from the other side of the gap on, then.
		if c.seconds()*second+int64(usec) < from {
			c.hour++
			back = true
			continue
		}

		_, t, ok := k.normal(c)
		if !ok {
			return time.Time{}, ErrNever
		}
		return time.UnixMicro(t*second + int64(usec)).In(k.loc), nil
	}
	return time.Time{}, ErrLost
}

// next sets *v to the first value of the chain that is not smaller.
func (c chain) next(v *int) (moved, ok bool) {
	if len(c) == 0 {
		return false, true
	}
	best := -1
	for _, one := range c {
		one.nearest(*v, &best)
	}
	if best < 0 {
		return false, false
	}
	moved = best != *v
	*v = best
	return moved, true
}

func (c component) nearest(v int, best *int) {
	switch {
	case c.start >= v:
		if *best < 0 || c.start < *best {
			*best = c.start
		}
	case c.repeat > 0:
		n := c.start + c.repeat*((v-c.start+c.repeat-1)/c.repeat)
		if (*best < 0 || n < *best) && (c.stop < 0 || n <= c.stop) {
			*best = n
		}
	}
}

// nextFromEnd is next for days that count back from the end of the month.
func (s Spec) nextFromEnd(k *clock, c *civil) (moved, ok bool) {
	var days chain
	for _, one := range s.day {
		start, stop := k.fromEnd(*c, one.start), k.fromEnd(*c, one.stop)
		if stop > 0 {
			start, stop = stop, start
		}
		days = append(days, component{start, stop, one.repeat})
	}
	return days.next(&c.day)
}

// civil is what a clock on the wall shows, or out of range, such as day 32. month counts from 1. dst is 1 for daylight
// saving time, 0 for none, -1 where it is not said.
type civil struct{ year, month, day, hour, minute, second, dst int }

// seconds counts them from 1970 on, as if there were no zones.
func (c civil) seconds() int64 {
	return time.Date(c.year, time.Month(c.month), c.day, c.hour, c.minute, c.second, 0, time.UTC).Unix()
}

func civilOf(seconds int64, dst int) civil {
	t := time.Unix(seconds, 0).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	return civil{year, int(month), day, hour, minute, second, dst}
}

func saving(t time.Time) int {
	if t.IsDST() {
		return 1
	}
	return 0
}

// clock converts as mktime(3) of glibc does, which systemd relies on. What it makes of a time
// that comes twice, or not at all, hangs on the offset that it found the last time.
type clock struct {
	loc    *time.Location
	offset int64
	old    bool
	// known is what at said the last time, which holds from known.from until known.until.
	known struct {
		from, until, offset int64
		dst                 int
	}
}

func (k *clock) at(t int64) (offset int64, dst int) {
	if t < k.known.from || t >= k.known.until {
		at := time.Unix(t, 0).In(k.loc)
		_, o := at.Zone()
		k.known.offset, k.known.dst = int64(o), saving(at)
		k.known.from, k.known.until = math.MinInt64, math.MaxInt64
		from, until := at.ZoneBounds()
		if !from.IsZero() {
			k.known.from = from.Unix()
		}
		if !until.IsZero() {
			k.known.until = until.Unix()
		}
	}
	return k.known.offset, k.known.dst
}

// normal returns c in range and the time that it is; ok is false before 1970.
func (k *clock) normal(c civil) (_ civil, t int64, ok bool) {
	want := c.seconds()
	t = want - k.offset
	t1, t2, dst2 := t, t, 0
	done := func(offset int64, dst int) (civil, int64, bool) {
		k.offset = want - t
		return civilOf(t+offset, dst), t, t >= 0
	}
	for probes := 6; ; {
		offset, dst := k.at(t)
		missed := want - (t + offset)
		if missed == 0 {
			if c.dst >= 0 && c.dst != dst {
				offset, dst = k.saved(want, c.dst, &t)
			}
			return done(offset, dst)
		}
		// Two values in turn: the time falls into a gap.
		if t == t1 && t != t2 && (c.dst < 0 && dst2 <= dst || c.dst >= 0 && c.dst != dst) {
			return done(offset, dst)
		}
		if probes--; probes == 0 {
			return c, 0, false
		}
		t1, t2, t, dst2 = t2, t, t+missed, dst
	}
}

// saved looks for a time nearby that has daylight saving as wanted, and reads the clock by that one's offset.
func (k *clock) saved(want int64, dst int, t *int64) (int64, int) {
	const stride, far = 601200, 536454000/2 + 601200
	for delta := int64(stride); delta < far; delta += stride {
		for _, at := range []int64{*t - delta, *t + delta} {
			if offset, found := k.at(at); found == dst {
				*t = want - offset
				return k.at(*t)
			}
		}
	}
	return k.at(*t)
}

// settled says what became of a time.
type settled int

const (
	fits       settled = iota
	wrapped            // it was out of range, and is now the next one in range
	impossible         // it is beyond all years, or would go backwards
)

func (k *clock) settleIf(ok bool, c *civil) settled {
	if !ok {
		return impossible
	}
	return k.settle(c)
}

// settle is tm_within_bounds of systemd.
func (k *clock) settle(c *civil) settled {
	if c.year > maxYear {
		return impossible
	}
	n, _, ok := k.normal(*c)
	if !ok {
		return impossible
	}
	var later int
	switch {
	case n.year != c.year:
		later = n.year - c.year
		n.month = 1
		if !k.old {
			n.day = 1
		}
	case n.month != c.month:
		later = n.month - c.month
		n.day = 1
	case n.day != c.day:
		later = n.day - c.day
		n.hour = 0
	case n.hour != c.hour:
		later = n.hour - c.hour
		n.minute = 0
	case n.minute != c.minute:
		later = n.minute - c.minute
		n.second = 0
	default:
		later = n.second - c.second
	}
	switch {
	case later == 0:
		return fits
	case later < 0:
		return impossible
	}
	*c = n
	return wrapped
}

// weekday counts from Monday.
func (k *clock) weekday(c civil) int {
	n, _, ok := k.normal(c)
	if !ok {
		n = c
	}
	return (int(time.Unix(n.seconds(), 0).UTC().Weekday()) + 6) % 7
}

// fromEnd returns the day of c's month that is the n-th from its end, -1 where there is none.
func (k *clock) fromEnd(c civil, n int) int {
	last := c
	last.month++
	last.day = 1 - n
	found, _, ok := k.normal(last)
	if !ok || found.month != c.month {
		return -1
	}
	return found.day
}

// Zone returns the zone that the expression names, nil when it is that of the host.
func (s Spec) Zone() *time.Location {
	if s.utc {
		return time.UTC
	}
	return s.zone
}

// EveryDay says that the expression elapses on any day, and so on all at the same times.
func (s Spec) EveryDay() bool {
	return s.set && s.weekdays == 0 && s.year == nil && s.month == nil && s.day == nil
}
