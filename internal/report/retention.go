package report

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/backup/restic"
)

const (
	day  = 24 * time.Hour
	year = 365 * day
)

// lane is what one retention keeps.
type lane struct {
	// What names it, For are the jobs or datasets that it is of.
	What string
	For  []string
	// Rules are its own words, and Undrawn says why it is not drawn.
	Rules, Undrawn string
	// Note is what of the drawing is to be known; Doubts are why it may not come to be so.
	Note   string
	Doubts []string
	// Drawn is the path of an SVG with a tick for each that is kept, by its age.
	Drawn  string
	Counts []string
	Oldest string
	// Bad tells that Undrawn is something that is not known.
	Bad bool
}

// bands are the columns of the table of what is kept.
var bands = []struct {
	name  string
	until time.Duration
}{{"under a day", day}, {"to a week", 7 * day}, {"to a month", 31 * day}, {"to a year", year}, {"older", math.MaxInt64}}

// draw draws what is kept, by its age.
func (l *lane) draw(ages []time.Duration) {
	counts := make([]int, len(bands))
	var b strings.Builder
	last := ""
	slices.Sort(ages)
	for _, age := range ages {
		i := slices.IndexFunc(bands, func(band struct {
			name  string
			until time.Duration
		}) bool {
			return age < band.until
		})
		counts[i]++
		x := strconv.FormatFloat(along(age), 'f', 1, 64)
		if x != last {
			fmt.Fprintf(&b, "M%s 3V21", x)
		}
		last = x
	}
	for _, n := range counts {
		l.Counts = append(l.Counts, strconv.Itoa(n))
	}
	l.Drawn = b.String()
	if len(ages) > 0 {
		l.Oldest = spell(ages[len(ages)-1])
	}
}

// untimed says that it is not drawn, for want of a schedule.
func (l *lane) untimed(why stateward.Unknown, unknown bool) {
	l.Undrawn, l.Bad = "not drawn: no calendar event is seen that starts it", true
	if unknown {
		l.Undrawn = "not drawn: when it runs is not known: " + why.String()
	}
}

// of is a drawing with what else is known of what it is of.
func (l lane) of(other lane) lane {
	l.What, l.Rules, l.Doubts = other.What, other.Rules, other.Doubts
	return l
}

// Who are the jobs or datasets that it is of.
func (l lane) Who() string { return strings.Join(l.For, ", ") }

// Text says what the drawing shows.
func (l lane) Text() string {
	if l.Counts[0] == "any" {
		return "any moment of the last " + l.Oldest
	}
	var parts []string
	for i, n := range l.Counts {
		if n != "0" {
			parts = append(parts, n+" "+map[int]string{0: "younger than a day", 1: "up to a week old", 2: "up to a month old", 3: "up to a year old", 4: "older"}[i])
		}
	}
	if len(parts) == 0 {
		return "nothing is kept"
	}
	return "kept are " + strings.Join(parts, ", ") + "; the oldest is " + l.Oldest + " old"
}

// along is where an age lies on the axis of 1000, from one hour to ten years: each step is so many times the one before.
func along(age time.Duration) float64 {
	x := math.Log(age.Hours()) / math.Log((10 * year).Hours())
	return math.Round(10000*min(max(x, 0), 1)) / 10
}

// spell is a span in the largest unit of which it has two at least, rounded down.
func spell(d time.Duration) string {
	for _, u := range []struct {
		of   time.Duration
		name string
	}{{year, "years"}, {30 * day, "months"}, {day, "days"}, {time.Hour, "hours"}, {time.Minute, "minutes"}} {
		if n := int(d / u.of); n >= 2 {
			return fmt.Sprintf("%d %s", n, u.name)
		}
	}
	return fmt.Sprintf("%d seconds", int(max(d, 0)/time.Second))
}

// then is the moment as of which retentions are drawn: always the same, so that a page says the same tomorrow. It is the middle of a day in the middle of a
// week, a month and a year.
var then = time.Date(2025, time.June, 18, 12, 0, 0, 0, time.UTC)

// mostRuns is how many runs a drawing looks back over at most.
const mostRuns = 20000

// interval is how often a schedule runs, as the span from one run to the next; 0 where it hardly ever does.
func interval(s backup.Schedule) (time.Duration, error) {
	times, err := between(s, 28*day)
	if err == nil && len(times) < 2 {
		times, err = between(s, 12*year)
	}
	if err != nil || len(times) < 2 {
		return 0, err
	}
	return times[0].Sub(times[len(times)-1]) / time.Duration(len(times)-1), nil
}

// between are the times at which a schedule ran in the last span before then, the newest first.
func between(s backup.Schedule, back time.Duration) (times []time.Time, err error) {
	next := func(after time.Time) (time.Time, error) {
		var first time.Time
		for _, c := range s.Calendar {
			at, err := c.Next(after, time.UTC)
			if err != nil {
				return first, err
			}
			if first.IsZero() || at.Before(first) {
				first = at
			}
		}
		return first, nil
	}
	for at := then.Add(-back); ; {
		if at, err = next(at); err != nil {
			return nil, err
		}
		if at.After(then) {
			break
		}
		if len(times) == mostRuns {
			return nil, fmt.Errorf("it runs more often than is drawn")
		}
		times = append(times, at)
	}
	slices.Reverse(times)
	return times, nil
}

// history are the times at which a schedule ran before then, the newest first, as far as runs and a span go. reached is how far that is.
func history(s backup.Schedule, runs int, span time.Duration) (times []time.Time, reached time.Duration, err error) {
	step, err := interval(s)
	if err != nil {
		return nil, 0, err
	}
	back := span
	if step > 0 {
		// Rules count runs where there is one at most in an hour, a day, a week. A span of theirs may be longer than a Duration holds.
		longest := func(f float64) time.Duration { return time.Duration(min(f, float64(most))) }
		back = min(max(back, longest(1.5*float64(runs+2)*float64(step))), longest(float64(step)*(mostRuns-1000)))
	}
	reached = min(back, most)
	times, err = between(s, reached)
	return times, reached, err
}

// most is how far a drawing looks back at most.
const most = 12 * year

// needs is how many runs a rule of restic counts at most, and how far back a policy looks, and a half more.
func needs(p backup.ResticPolicy) (runs int, span time.Duration) {
	span = 60 * day
	for _, r := range []struct {
		n  int
		of time.Duration
	}{{p.Hourly, time.Hour}, {p.Daily, day}, {p.Weekly, 7 * day}, {p.Monthly, 31 * day}, {p.Yearly, 366 * day}, {p.Last, 0}} {
		if r.n == backup.Unlimited || r.n > mostRuns || time.Duration(r.n) > 15*year/max(r.of, 1) {
			return 0, most
		}
		runs = max(runs, r.n)
		span = max(span, time.Duration(r.n+1)*r.of)
	}
	for _, w := range []backup.Period{p.Within, p.WithinHourly, p.WithinDaily, p.WithinWeekly, p.WithinMonthly, p.WithinYearly} {
		if w.Years > 12 || w.Months > 144 || w.Days > 4400 || w.Hours > 100000 {
			return 0, most
		}
		span = max(span, time.Duration(w.Years)*366*day+time.Duration(w.Months)*31*day+time.Duration(w.Days+1)*day+time.Duration(w.Hours)*time.Hour)
	}
	return runs, min(span+span/2, most)
}

// resticRules are the rules of a policy in words: "7 daily, all within 1y".
func resticRules(p backup.ResticPolicy) string {
	var parts []string
	for _, o := range p.Options() {
		name, n, _ := strings.Cut(strings.TrimPrefix(o, "--keep-"), "=")
		switch {
		case name == "tag":
			parts = append(parts, "all with tag "+n)
		case strings.HasPrefix(name, "within"):
			parts = append(parts, strings.TrimSpace(strings.TrimPrefix(name, "within")+" within "+n))
		default:
			parts = append(parts, strings.Replace(n, "unlimited", "all", 1)+" "+strings.TrimPrefix(name, "-"))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	for i, s := range parts {
		parts[i] = strings.TrimPrefix(s, "-")
	}
	return strings.Join(parts, ", ")
}

// drawer holds what hosts share.
type drawer struct {
	// drawn are the retentions that were drawn: a fleet has few.
	drawn map[string]lane
	// titles are those of checks, by code.
	titles map[string]string
}

func (d *drawer) restic(p backup.ResticPolicy, s backup.Schedule) (l lane) {
	when := events(s)
	key := strings.Join(append(p.Options(), when...), "\x00")
	if old, ok := d.drawn[key]; ok {
		return old
	}
	defer func() { d.drawn[key] = l }()
	runs, span := needs(p)
	times, reached, err := history(s, runs, span)
	if err != nil {
		l.Undrawn = "not drawn: " + err.Error()
		return l
	}
	list := make([]backup.Snapshot, len(times))
	for i, at := range times {
		list[i] = backup.Snapshot{ID: strconv.Itoa(i), Time: at}
	}
	kept, err := p.Apply(list, then)
	if err != nil {
		l.Undrawn, l.Bad = "not drawn: "+err.Error(), true
		return l
	}
	var ages []time.Duration
	for _, k := range kept.Keep {
		ages = append(ages, then.Sub(k.Time))
	}
	l.draw(ages)
	l.Note = "drawn for a run at " + strings.Join(when, ", ") + " that is never missed"
	if reached < span || reached >= most {
		l.Note += ", over the last " + spell(reached)
	}
	return l
}

// sanoid draws what a policy keeps of the types that it takes, where sanoid runs once in a step.
func (d *drawer) sanoid(p backup.SanoidPolicy, taken []string, step time.Duration) (l lane) {
	var list []backup.Snapshot
	var rare []string
	for _, t := range p.Types() {
		if !slices.Contains(taken, t.Name) {
			continue
		}
		period := t.Period
		if step > period {
			period = step
			rare = append(rare, t.Name)
		}
		for i := range min(t.Keep, mostRuns) + 2 {
			at := then.Add(-time.Duration(i)*period - period/2)
			list = append(list, backup.Snapshot{ID: fmt.Sprintf("pool@autosnap_%d_%s", i, t.Name), Time: at})
		}
	}
	if len(rare) > 0 {
		l.Note = fmt.Sprintf("sanoid runs only every %s, so that %s snapshots are as far apart", spell(step), strings.Join(rare, ", "))
	}
	kept, err := p.Apply(list, then)
	switch {
	case err != nil:
		l.Undrawn, l.Bad = "not drawn: "+err.Error(), true
	case len(taken) == 0:
		l.Undrawn, l.Bad = "no snapshots are taken that are kept", true
	case !p.AutoPrune:
		l.Undrawn = "nothing is pruned, so all are kept until the pool is full"
	default:
		var ages []time.Duration
		for _, k := range kept.Keep {
			ages = append(ages, then.Sub(k.Time))
		}
		l.draw(ages)
	}
	return l
}

type borgKind struct {
	name string
	of   time.Duration
	// period names that in which a moment lies.
	period func(time.Time) string
}

// borgKinds are the rules of borg prune in the order in which they are applied, and how long their periods are (borg-prune(1)).
var borgKinds = []borgKind{
	{"secondly", time.Second, func(t time.Time) string { return t.Format(time.DateTime) }},
	{"minutely", time.Minute, func(t time.Time) string { return t.Format("2006-01-02 15:04") }},
	{"hourly", time.Hour, func(t time.Time) string { return t.Format("2006-01-02 15") }},
	{"daily", day, func(t time.Time) string { return t.Format(time.DateOnly) }},
	{"weekly", 7 * day, func(t time.Time) string { y, w := t.ISOWeek(); return fmt.Sprint(y, w) }},
	{"monthly", 31 * day, func(t time.Time) string { return t.Format("2006-01") }},
	{"yearly", 366 * day, func(t time.Time) string { return t.Format("2006") }},
}

// borgInterval reads what --keep-within takes: a number of hours, days, weeks, months of 31 days or years of 365.
func borgInterval(text string) (time.Duration, bool) {
	if text == "" {
		return 0, true
	}
	of, ok := map[byte]time.Duration{'H': time.Hour, 'd': day, 'w': 7 * day, 'm': 31 * day, 'y': year}[text[len(text)-1]]
	n, err := strconv.Atoi(text[:len(text)-1])
	if !ok || err != nil || n <= 0 || time.Duration(n) > 100*year/of {
		return 0, false
	}
	return time.Duration(n) * of, true
}

// borgKeeps are the archives, the newest first, that borg prune keeps: all within a span, then by each rule the newest of a period. What an earlier rule keeps counts for
// no later one.
func borgKeeps(times []time.Time, keep map[string]int, within time.Duration) []time.Time {
	kept := make([]bool, len(times))
	for i, t := range times {
		kept[i] = within > 0 && then.Sub(t) < within
	}
	for _, kind := range borgKinds {
		left, last := keep[kind.name], ""
		for i, t := range times {
			if left == 0 {
				break
			}
			if p := kind.period(t); p != last {
				last = p
				if !kept[i] {
					kept[i] = true
					left--
				}
			}
		}
	}
	var out []time.Time
	for i, t := range times {
		if kept[i] {
			out = append(out, t)
		}
	}
	return out
}

// borg draws what borg prune keeps.
func (d *drawer) borg(p backup.Prune, s backup.Schedule) (l lane) {
	keep, known := map[string]int{}, true
	runs, span := 0, 60*day
	for name, n := range p.Keep {
		if name == "last" {
			// Another name of the same; of both the one that is written later counts.
			if _, both := p.Keep["secondly"]; both {
				continue
			}
			name = "secondly"
		}
		i := slices.IndexFunc(borgKinds, func(k borgKind) bool { return k.name == name })
		if i < 0 {
			known = false
			continue
		}
		keep[name] = n
		if n == backup.Unlimited || n > mostRuns || time.Duration(n) > 15*year/borgKinds[i].of {
			span = most
			continue
		}
		// What one rule keeps does not count for the next: they reach back one after the other.
		runs += n
		span += time.Duration(n+1) * borgKinds[i].of
	}
	within, ok := borgInterval(p.Within)
	if !ok || !known {
		l.Undrawn, l.Bad = "not drawn: a rule of it is not known here", true
		return l
	}
	times, reached, err := history(s, runs, min(max(span, within+within/2), most))
	if err != nil {
		l.Undrawn = "not drawn: " + err.Error()
		return l
	}
	var ages []time.Duration
	for _, t := range borgKeeps(times, keep, within) {
		ages = append(ages, then.Sub(t))
	}
	l.draw(ages)
	l.Note = "drawn for a run at " + strings.Join(events(s), ", ") + " that is never missed"
	if reached >= most {
		l.Note += ", over the last " + spell(reached)
	}
	return l
}

// events are those of a schedule, as they are written.
func events(s backup.Schedule) (when []string) {
	for _, c := range s.Calendar {
		when = append(when, c.String())
	}
	return when
}

// retentions are what each retention of a host keeps; those that keep the same are one.
func (d *drawer) retentions(h *stateward.Host) []lane {
	var out []lane
	add := func(l lane, of string) {
		for i := range out {
			if o := &out[i]; o.What == l.What && o.Rules == l.Rules && o.Undrawn == l.Undrawn && o.Note == l.Note && slices.Equal(o.Doubts, l.Doubts) {
				o.For = append(o.For, of)
				return
			}
		}
		l.For = []string{of}
		out = append(out, l)
	}
	policies, _ := backup.SnapshotPolicies(h)
	for i := range policies {
		p := &policies[i]
		what := "sanoid"
		if len(p.Templates) > 0 {
			what += ", by template " + strings.Join(p.Templates, ", ")
		}
		policy, ok := p.Policy.Get()
		taken, knows := p.Taken().Get()
		if !ok || !knows {
			why, _ := p.Policy.Why()
			if ok {
				why, _ = p.Taken().Why()
			}
			add(lane{What: what, Undrawn: "what is kept is not known: " + why.String(), Bad: true}, p.Dataset)
			continue
		}
		s, timed := p.Schedule.Get()
		step := time.Duration(0)
		var doubts []string
		if why, unknown := p.Schedule.Why(); unknown {
			doubts = append(doubts, "when sanoid runs is not known: "+why.String())
		} else if !timed || len(s.Calendar) == 0 {
			doubts = append(doubts, "no timer is seen that runs sanoid")
		} else if every, err := interval(s); err != nil {
			doubts = append(doubts, "when sanoid runs is not known: "+err.Error())
		} else if every == 0 {
			doubts = append(doubts, "sanoid never runs")
		} else {
			step = every
		}
		l := d.sanoid(policy, taken, step)
		l.Doubts = doubts
		var rules []string
		for _, t := range policy.Types() {
			if t.Keep > 0 && len(taken) > 0 && !slices.Contains(taken, t.Name) {
				l.Doubts = append(l.Doubts, "no "+t.Name+" snapshots are taken")
			}
			if t.Keep > 0 {
				rules = append(rules, fmt.Sprintf("%d %s", t.Keep, t.Name))
			}
		}
		l.What, l.Rules = what, strings.Join(rules, ", ")
		if l.Rules == "" {
			l.Rules = "none"
		}
		if list := p.Unasked(); len(list) > 0 {
			l.Note = strings.TrimPrefix(l.Note+"; by sanoid's own defaults, which no setting names: "+strings.Join(list, ", "), "; ")
		}
		add(l, p.Dataset)
	}
	jobs, stale := restic.Running(h)
	for _, j := range jobs {
		engine := j.Engine.Or("backup")
		l := lane{What: engine}
		switch unit := stale[j.Name]; {
		case j.Asked && unit != "":
			l.Doubts = append(l.Doubts, "asked for, and "+unit+" was written of something else")
		case j.Asked:
			l.Doubts = append(l.Doubts, "asked for, and nothing that is read runs it")
		}
		for _, f := range j.Faults {
			l.Doubts = append(l.Doubts, "not understood: "+f.Error())
		}
		s, timed := j.Schedule.Get()
		why, unknown := j.Schedule.Why()
		timed = timed && len(s.Calendar) > 0
		prune, ok := j.Prune.Get()
		switch {
		case !ok:
			if why, unknown := j.Prune.Why(); unknown {
				l.Undrawn, l.Bad = "what is kept is not known: "+why.String(), true
			} else {
				l.Undrawn = "no rule says what is kept: nothing is removed by what is read"
			}
		case prune.KeepsNothing():
			l.Rules, l.Undrawn = "none", "no rule says what is kept: nothing is removed by what is read"
		case prune.Restic == nil:
			for _, kind := range slices.Sorted(maps.Keys(prune.Keep)) {
				l.Rules += fmt.Sprintf(", %d %s", prune.Keep[kind], kind)
				if prune.Keep[kind] == backup.Unlimited {
					l.Rules = strings.TrimSuffix(l.Rules, "-1 "+kind) + "all " + kind
				}
			}
			if prune.Within != "" {
				l.Rules += ", all within " + prune.Within
			}
			l.Rules = strings.TrimPrefix(l.Rules, ", ")
			switch {
			case engine != "borg":
				l.Undrawn = "not drawn: what " + engine + " keeps is not computed here"
			case unknown || !timed:
				l.untimed(why, unknown)
			default:
				l = d.borg(prune, s).of(l)
			}
		default:
			l.Rules = resticRules(*prune.Restic)
			if unknown || !timed {
				l.untimed(why, unknown)
			} else {
				l = d.restic(*prune.Restic, s).of(l)
			}
		}
		add(l, j.Name)
	}
	list, _ := pitr.FindRunning(h)
	for _, c := range list {
		if c.Policy != nil && c.Policy.Window > 0 {
			w := c.Policy.Window.Std()
			l := lane{What: "PostgreSQL, any moment", For: []string{c.Name}, Rules: "of the last " + spell(w), Counts: []string{"any", "", "", "", ""}, Oldest: spell(w),
				Drawn: fmt.Sprintf("M0 7V17H%sV7Z", strconv.FormatFloat(along(w), 'f', 1, 64)), Note: "planned; what an archive has says stateward pitr window"}
			if m := runs(h, c); m.Tone != "mute" {
				l.Doubts = []string{m.Word}
			}
			out = append(out, l)
		}
	}
	return out
}
