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
	// What names it, For are the jobs or datasets that it is of, and Option says it.
	What, Option string
	For          []string
	// Rules are its own words, and Undrawn says why it is not drawn.
	Rules, Undrawn string
	// Note is what of the drawing is to be known.
	Note string
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

// history are the times at which a schedule ran before then, the newest first, as far as a span goes. reached is how far that is.
func history(s backup.Schedule, back time.Duration) (times []time.Time, reached time.Duration, err error) {
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
	// How often it runs says how far a look back may go.
	at, n := then.Add(-28*day), 0
	for ; n < mostRuns; n++ {
		if at, err = next(at); err != nil {
			return nil, 0, err
		}
		if at.After(then) {
			break
		}
	}
	if n == mostRuns {
		return nil, 0, fmt.Errorf("it runs more often than is drawn")
	}
	reached = min(back, 28*day/time.Duration(max(n, 1))*mostRuns)
	for at = then.Add(-reached); len(times) < mostRuns; {
		if at, err = next(at); err != nil {
			return nil, 0, err
		}
		if at.After(then) {
			break
		}
		times = append(times, at)
	}
	slices.Reverse(times)
	return times, reached, nil
}

// needs is how far back a policy of restic looks, and a half more.
func needs(p backup.ResticPolicy) time.Duration {
	span := 60 * day
	for _, r := range []struct {
		n  int
		of time.Duration
	}{{p.Hourly, time.Hour}, {p.Daily, day}, {p.Weekly, 7 * day}, {p.Monthly, 31 * day}, {p.Yearly, 366 * day}, {p.Last, day}} {
		if r.n == backup.Unlimited || time.Duration(r.n) > 15*year/r.of {
			return 12 * year
		}
		span = max(span, time.Duration(r.n+1)*r.of)
	}
	for _, w := range []backup.Period{p.Within, p.WithinHourly, p.WithinDaily, p.WithinWeekly, p.WithinMonthly, p.WithinYearly} {
		if w.Years > 12 || w.Months > 144 || w.Days > 4400 || w.Hours > 100000 {
			return 12 * year
		}
		span = max(span, time.Duration(w.Years)*366*day+time.Duration(w.Months)*31*day+time.Duration(w.Days+1)*day+time.Duration(w.Hours)*time.Hour)
	}
	return min(span+span/2, 12*year)
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
	var when []string
	for _, c := range s.Calendar {
		when = append(when, c.String())
	}
	key := strings.Join(append(p.Options(), when...), "\x00")
	if old, ok := d.drawn[key]; ok {
		return old
	}
	defer func() { d.drawn[key] = l }()
	times, reached, err := history(s, needs(p))
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
	if reached < needs(p) || reached >= 12*year {
		l.Note += ", over the last " + spell(reached)
	}
	return l
}

func (d *drawer) sanoid(p backup.SanoidPolicy, taken []string) (l lane) {
	var list []backup.Snapshot
	for _, t := range p.Types() {
		if !slices.Contains(taken, t.Name) {
			continue
		}
		for i := range min(t.Keep, mostRuns) + 2 {
			at := then.Add(-time.Duration(i)*t.Period - t.Period/2)
			list = append(list, backup.Snapshot{ID: fmt.Sprintf("pool@autosnap_%d_%s", i, t.Name), Time: at})
		}
	}
	kept, err := p.Apply(list, then)
	switch {
	case err != nil:
		l.Undrawn, l.Bad = "not drawn: "+err.Error(), true
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

// retentions are what each retention of a host keeps; those that keep the same are one.
func (d *drawer) retentions(h *stateward.Host) []lane {
	var out []lane
	add := func(l lane, of string) {
		for i := range out {
			if o := &out[i]; o.What == l.What && o.Rules == l.Rules && o.Option == l.Option && o.Undrawn == l.Undrawn && o.Note == l.Note {
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
		l := d.sanoid(policy, taken)
		var rules []string
		for _, t := range policy.Types() {
			if t.Keep > 0 {
				rules = append(rules, fmt.Sprintf("%d %s", t.Keep, t.Name))
			}
		}
		l.What, l.Rules = what, strings.Join(rules, ", ")
		if l.Rules == "" {
			l.Rules = "none"
		}
		if list := p.Unasked(); len(list) > 0 {
			l.Note = "by sanoid's own defaults, which no setting names: " + strings.Join(list, ", ")
		}
		add(l, p.Dataset)
	}
	jobs, stale := restic.Running(h)
	for _, j := range jobs {
		engine := j.Engine.Or("backup")
		l := lane{What: engine}
		switch unit := stale[j.Name]; {
		case j.Asked && unit != "":
			l.Note = "asked for, and " + unit + " was written of something else"
		case j.Asked:
			l.Note = "asked for, and nothing that is read runs it"
		}
		prune, ok := j.Prune.Get()
		switch {
		case !ok:
			if why, unknown := j.Prune.Why(); unknown {
				l.Undrawn, l.Bad = "what is kept is not known: "+why.String(), true
			} else {
				l.Undrawn = "no rule says what is kept: nothing is removed by what is read"
			}
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
			l.Rules, l.Undrawn = strings.TrimPrefix(l.Rules, ", "), "not drawn: what "+engine+" keeps is not computed here"
		default:
			l.Rules = resticRules(*prune.Restic)
			s, timed := j.Schedule.Get()
			switch why, unknown := j.Schedule.Why(); {
			case unknown:
				l.Undrawn, l.Bad = "not drawn: when it runs is not known: "+why.String(), true
			case !timed || len(s.Calendar) == 0:
				l.Undrawn = "not drawn: no calendar event is seen that starts it"
			default:
				drawn := d.restic(*prune.Restic, s)
				drawn.What, drawn.Rules = l.What, l.Rules
				if l.Note != "" && drawn.Note != "" {
					l.Note += "; "
				}
				drawn.Note = l.Note + drawn.Note
				l = drawn
			}
		}
		l.Option = ""
		add(l, j.Name)
	}
	list, _ := pitr.FromHost(h, nil)
	for _, c := range list {
		if c.Policy != nil && c.Policy.Window > 0 {
			w := c.Policy.Window.Std()
			out = append(out, lane{What: "PostgreSQL, any moment", For: []string{c.Name}, Rules: "of the last " + spell(w), Counts: []string{"any", "", "", "", ""}, Oldest: spell(w),
				Drawn: fmt.Sprintf("M0 7V17H%sV7Z", strconv.FormatFloat(along(w), 'f', 1, 64)), Note: "planned; what an archive has says stateward pitr window"})
		}
	}
	return out
}
