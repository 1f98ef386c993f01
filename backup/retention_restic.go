package backup

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Unlimited keeps all of a kind.
const Unlimited = -1

// ResticPolicy is what `restic forget` keeps, as its options say it. It mirrors
// restic 0.18 and 0.19. The zero value is no policy.
type ResticPolicy struct {
	// How many of each kind: 0 for none, [Unlimited] for all.
	Last, Hourly, Daily, Weekly, Monthly, Yearly int
	// Spans that count back from the newest snapshot.
	Within, WithinHourly, WithinDaily, WithinWeekly, WithinMonthly, WithinYearly Period
	// Tags are lists; a snapshot that has all tags of one of them is kept.
	Tags [][]string
	// GroupBy says what forms a group; nil stands for restic's own choice, host and paths.
	GroupBy *GroupBy
	// Local is the time zone of the host that runs forget; UTC when nil. Days, months and years of
	// the spans are counted in it.
	Local *time.Location
}

// GroupBy names what the snapshots of a group have in common.
type GroupBy struct{ Host, Paths, Tags bool }

// Period is a span as restic writes it: "1y5m7d2h".
type Period struct{ Years, Months, Days, Hours int }

// ErrNoPolicy says that nothing is kept by any rule; restic refuses to run then.
var ErrNoPolicy = errors.New("no snapshot is kept by any rule, and restic refuses to forget")

// LastSnapshotError says that a policy would leave nothing of a group. restic
// then fails, and removes nothing of any group.
type LastSnapshotError struct{ Group string }

func (e *LastSnapshotError) Error() string {
	return fmt.Sprintf("the policy keeps no snapshot of group %q, and restic refuses to forget", e.Group)
}

// Hint says what to write instead.
func (e *LastSnapshotError) Hint() string {
	return "add a rule that does not hang on tags, such as --keep-last 1"
}

// IsZero says whether the span is empty.
func (p Period) IsZero() bool { return p == Period{} }

func (p Period) String() string {
	var b strings.Builder
	for _, part := range []struct {
		n    int
		unit string
	}{{p.Years, "y"}, {p.Months, "m"}, {p.Days, "d"}, {p.Hours, "h"}} {
		if part.n != 0 {
			b.WriteString(strconv.Itoa(part.n) + part.unit)
		}
	}
	return b.String()
}

// ParsePeriod reads a span such as "1y5m7d2h": years, months, days and hours, none negative.
// Where a unit comes twice the last one counts, as with restic.
func ParsePeriod(text string) (Period, error) {
	var p Period
	for rest := strings.TrimSpace(text); rest != ""; {
		i := 0
		for i < len(rest) && rest[i] >= '0' && rest[i] <= '9' {
			i++
		}
		n, err := strconv.ParseInt(rest[:i], 10, 32)
		if err != nil {
			return Period{}, fmt.Errorf("span %q has no number at %q", text, rest)
		}
		if i == len(rest) {
			return Period{}, fmt.Errorf("span %q has no unit behind %d", text, n)
		}
		switch rest[i] {
		case 'y':
			p.Years = int(n)
		case 'm':
			p.Months = int(n)
		case 'd':
			p.Days = int(n)
		case 'h':
			p.Hours = int(n)
		default:
			return Period{}, fmt.Errorf("span %q has the unit %q, which is none of y, m, d and h", text, rest[i:i+1])
		}
		rest = rest[i+1:]
	}
	return p, nil
}

// before counts the span back from t, as restic does.
func (p Period) before(t time.Time) time.Time {
	return t.AddDate(-p.Years, -p.Months, -p.Days).Add(-time.Duration(p.Hours) * time.Hour)
}

func (p *ResticPolicy) counts() []resticCount {
	return []resticCount{
		{&p.Last, "last", "l", 0}, {&p.Hourly, "hourly", "H", 1}, {&p.Daily, "daily", "d", 2},
		{&p.Weekly, "weekly", "w", 3}, {&p.Monthly, "monthly", "m", 4}, {&p.Yearly, "yearly", "y", 5},
	}
}

type resticCount struct {
	n           *int
	name, short string
	bucket      int
}

func (p *ResticPolicy) spans() []resticSpan {
	return []resticSpan{
		{&p.WithinHourly, "hourly", 1}, {&p.WithinDaily, "daily", 2}, {&p.WithinWeekly, "weekly", 3},
		{&p.WithinMonthly, "monthly", 4}, {&p.WithinYearly, "yearly", 5},
	}
}

type resticSpan struct {
	span   *Period
	name   string
	bucket int
}

// ParseResticPolicy reads options of forget, each as `--keep-daily 7`, `--keep-daily=7` or two
// texts, as services.restic.backups.<name>.pruneOpts has them. others are the
// options that say nothing of what is kept.
func ParseResticPolicy(options []string) (p ResticPolicy, others []string, err error) {
	var words []string
	for _, o := range options {
		words = append(words, strings.Fields(o)...)
	}
	for i := 0; i < len(words); i++ {
		name, val, given := strings.Cut(words[i], "=")
		set := p.option(name)
		if set == nil {
			others = append(others, words[i])
			continue
		}
		if !given {
			if i++; i == len(words) {
				return ResticPolicy{}, nil, fmt.Errorf("option %s has no value", name)
			}
			val = words[i]
		}
		if err := set(strings.Trim(val, `'"`)); err != nil {
			return ResticPolicy{}, nil, fmt.Errorf("option %s: %w", name, err)
		}
	}
	return p, others, nil
}

// option returns what sets the option of that name.
func (p *ResticPolicy) option(name string) func(string) error {
	for _, c := range p.counts() {
		if name == "--keep-"+c.name || name == "-"+c.short {
			return func(val string) error {
				if val == "unlimited" {
					*c.n = Unlimited
					return nil
				}
				n, err := strconv.ParseUint(val, 10, 31)
				if err != nil {
					return fmt.Errorf("%q is neither a number nor \"unlimited\"", val)
				}
				*c.n = int(n)
				return nil
			}
		}
	}
	for _, s := range append(p.spans(), resticSpan{&p.Within, "", 0}) {
		if name == strings.TrimSuffix("--keep-within-"+s.name, "-") {
			return func(val string) (err error) {
				*s.span, err = ParsePeriod(val)
				return err
			}
		}
	}
	switch name {
	case "--keep-tag":
		return func(val string) error {
			var list []string
			for _, tag := range strings.Split(val, ",") {
				list = append(list, strings.TrimSpace(tag))
			}
			p.Tags = append(p.Tags, list)
			return nil
		}
	case "--group-by", "-g":
		return func(val string) error {
			g := GroupBy{}
			for _, one := range strings.Split(val, ",") {
				switch one {
				case "host", "hosts":
					g.Host = true
				case "path", "paths":
					g.Paths = true
				case "tag", "tags":
					g.Tags = true
				case "":
				default:
					return fmt.Errorf("%q is none of host, paths and tags", one)
				}
			}
			p.GroupBy = &g
			return nil
		}
	}
	return nil
}

// Options returns the options of forget that say the same.
func (p ResticPolicy) Options() []string {
	var out []string
	for _, c := range p.counts() {
		switch {
		case *c.n == Unlimited:
			out = append(out, "--keep-"+c.name+"=unlimited")
		case *c.n > 0:
			out = append(out, "--keep-"+c.name+"="+strconv.Itoa(*c.n))
		}
	}
	if !p.Within.IsZero() {
		out = append(out, "--keep-within="+p.Within.String())
	}
	for _, s := range p.spans() {
		if !s.span.IsZero() {
			out = append(out, "--keep-within-"+s.name+"="+s.span.String())
		}
	}
	for _, tags := range p.Tags {
		out = append(out, "--keep-tag="+strings.Join(tags, ","))
	}
	if p.GroupBy != nil {
		var by []string
		for _, one := range []struct {
			on   bool
			name string
		}{{p.GroupBy.Host, "host"}, {p.GroupBy.Paths, "paths"}, {p.GroupBy.Tags, "tags"}} {
			if one.on {
				by = append(by, one.name)
			}
		}
		out = append(out, "--group-by="+strings.Join(by, ","))
	}
	return out
}

// IsZero says whether the policy has no rule.
func (p ResticPolicy) IsZero() bool {
	for _, c := range p.counts() {
		if *c.n != 0 {
			return false
		}
	}
	for _, s := range p.spans() {
		if !s.span.IsZero() {
			return false
		}
	}
	return p.Within.IsZero() && len(p.Tags) == 0
}

// Floor says what the policy leaves at least of a group whose newest snapshot gets as old as newest says. Rules that
// count, and spans, always keep the newest one; tags alone may leave none.
func (p ResticPolicy) Floor(newest Gap) Floor {
	fewest := 0
	for _, c := range p.counts() {
		fewest = max(fewest, *c.n)
		if *c.n == Unlimited {
			fewest = max(fewest, 1)
		}
	}
	for _, s := range append(p.spans(), resticSpan{span: &p.Within}) {
		if !s.span.IsZero() {
			fewest = max(fewest, 1)
		}
	}
	return floorOf(fewest, newest, "the policy may keep no snapshot")
}

// group appends the name of a snapshot's group.
func (g GroupBy) group(b []byte, s *Snapshot) []byte {
	if g.Host {
		b = append(append(b, "host "...), s.Host...)
	}
	list := func(name string, list []string) {
		if len(b) > 0 {
			b = append(b, ", "...)
		}
		b = appendList(append(b, name...), list)
	}
	if g.Paths {
		list("path ", s.Paths)
	}
	if g.Tags {
		list("tags ", s.Tags)
	}
	return b
}

// appendList writes a list in order; what a name contains cannot make two lists one.
func appendList(b []byte, list []string) []byte {
	if len(list) > 1 && !slices.IsSorted(list) {
		list = slices.Sorted(slices.Values(list))
	}
	for _, s := range list {
		if strings.ContainsAny(s, "[], \"\\") {
			return fmt.Appendf(b, "%q", list)
		}
	}
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(b, s...)
	}
	return append(b, ']')
}

// Apply says what `restic forget` with that policy keeps, and removes. now tells which snapshots
// lie in the future: spans do not count back from these. The error is [ErrNoPolicy] or
// a *[LastSnapshotError], and then nothing is removed.
func (p ResticPolicy) Apply(history []Snapshot, now time.Time) (Decision, error) {
	if p.IsZero() {
		return Decision{}, ErrNoPolicy
	}
	by := GroupBy{Host: true, Paths: true}
	if p.GroupBy != nil {
		by = *p.GroupBy
	}
	names, places := newestFirst(history, by.group)
	d := Decision{Remove: make([]Snapshot, 0, len(history))}
	for _, name := range names {
		kept := len(d.Keep)
		p.applyGroup(&d, name, history, places[name], now)
		if len(d.Keep) == kept {
			return Decision{}, &LastSnapshotError{Group: name}
		}
	}
	return d, nil
}

// restic numbers hours, days, weeks, months and years of the time that the snapshot was written down with.
func resticBuckets(t time.Time, nr int, want *[6]bool, out *[6]int) {
	out[0] = nr
	if want[1] || want[2] || want[4] || want[5] {
		year, month, day := t.Date()
		out[2] = year*10000 + int(month)*100 + day
		out[4] = year*100 + int(month)
		out[5] = year
		if want[1] {
			out[1] = out[2]*100 + t.Hour()
		}
	}
	if want[3] {
		year, week := t.ISOWeek()
		out[3] = year*100 + week
	}
}

func (p ResticPolicy) applyGroup(d *Decision, group string, history []Snapshot, order []int, now time.Time) {
	type rule struct {
		left   int
		since  time.Time // for spans
		bucket int
		last   int
		reason string
		suffix string
	}
	latest := time.Time{}
	for _, at := range order {
		if t := history[at].Time; t.Before(now) {
			if t.After(latest) {
				latest = t
			}
			break // newest first
		}
	}
	latest = p.asRead(latest)
	var rules, spans []rule
	var want [6]bool
	for _, c := range p.counts() {
		if *c.n != 0 {
			rules = append(rules, rule{left: *c.n, bucket: c.bucket, last: -1, reason: c.name + " snapshot"})
			want[c.bucket] = true
		}
	}
	for _, s := range p.spans() {
		if !s.span.IsZero() {
			spans = append(spans, rule{since: s.span.before(latest), bucket: s.bucket, last: -1, reason: s.name + " within", suffix: " " + s.span.String()})
			want[s.bucket] = true
		}
	}
	since := p.Within.before(latest)

	// What is looked at lies all over the memory. It is fetched in blocks, since a processor waits for many places at once
	// where nothing hangs on the first of them.
	const block = 256
	var buckets [6]int
	fetched, removed := 0, len(d.Remove)
	for nr := range order {
		if nr == fetched {
			fetched = min(fetched+block, len(order))
			d.Remove = d.Remove[:removed]
			for _, at := range order[nr:fetched] {
				d.Remove = append(d.Remove, history[at])
			}
		}
		s := &d.Remove[len(d.Remove)-(fetched-nr)]
		oldest := nr == len(order)-1
		var reasons []string
		for _, tags := range p.Tags {
			if s.hasTags(tags) {
				reasons = append(reasons, "has tags ["+strings.Join(tags, ", ")+"]")
			}
		}
		if !p.Within.IsZero() && s.Time.After(since) {
			reasons = append(reasons, "within "+p.Within.String())
		}
		resticBuckets(s.Time, nr, &want, &buckets)
		// Of each hour, day … the newest is kept; where a rule is not used up, the oldest of all too.
		keep := func(r *rule) {
			val := buckets[r.bucket]
			if val == r.last && !oldest {
				return
			}
			reason := r.reason + r.suffix
			if val == r.last {
				reason = "oldest " + reason
			}
			r.last = val
			reasons = append(reasons, reason)
			if r.left > 0 {
				r.left--
				if r.left == 0 {
					r.bucket = -1
				}
			}
		}
		for i := range rules {
			if rules[i].bucket >= 0 {
				keep(&rules[i])
			}
		}
		for i := range spans {
			if s.Time.After(spans[i].since) {
				keep(&spans[i])
			}
		}
		if len(reasons) > 0 {
			d.Keep = append(d.Keep, Kept{Snapshot: *s, Group: group, Reasons: reasons})
			continue
		}
		if at := &d.Remove[removed]; at != s {
			*at = *s
		}
		removed++
	}
	clear(d.Remove[removed:])
	d.Remove = d.Remove[:removed]
}

// asRead gives t the zone that restic has it in: that of its host where the
// offsets are the same, and then days and months know of daylight saving.
func (p ResticPolicy) asRead(t time.Time) time.Time {
	local := p.Local
	if local == nil {
		local = time.UTC
	}
	_, offset := t.Zone()
	if _, o := t.In(local).Zone(); o == offset {
		return t.In(local)
	}
	return t.In(time.FixedZone("", offset))
}

// hasTags says whether the snapshot has all tags; an empty one stands for no tags.
func (s *Snapshot) hasTags(tags []string) bool {
	for _, tag := range tags {
		if tag == "" && len(s.Tags) == 0 {
			return true
		}
		if !slices.Contains(s.Tags, tag) {
			return false
		}
	}
	return true
}
