// Package calendar reads calendar event expressions of systemd.time(7), as OnCalendar= of a timer has them, and says when
// they elapse. It mirrors systemd 252 to 257 (src/shared/calendarspec.c): the same texts are accepted, the normalized form is
// that of systemd-analyze calendar, and so are the times, around changes of the clock too.
package calendar

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	second  = 1_000_000 // in microseconds, as the chain of seconds counts
	minYear = 1970
	maxYear = 2199
	// systemd refuses longer lists.
	maxComponents = 241
	everyDay      = 1<<7 - 1
)

// Spec is an expression that systemd accepts. Its zero value is none: it has no
// text and never elapses.
type Spec struct {
	set      bool
	weekdays int // bits from Monday on; 0 for any
	// endOfMonth says that days count back from the last of the month.
	endOfMonth                             bool
	year, month, day, hour, minute, micros chain
	utc                                    bool
	zone                                   *time.Location // nil for the host's own
	zoneName                               string
}

// chain is a list of values; empty stands for any.
type chain []component

// component is start, start/repeat, or start..stop/repeat; stop is -1 where there is none.
type component struct{ start, stop, repeat int }

// Zones returns the time zone of a name such as "Europe/Berlin", or an error
// when there is none. [time.LoadLocation] is one.
type Zones func(name string) (*time.Location, error)

// Error says what of an expression systemd refuses.
type Error struct {
	Text   string
	Offset int // in bytes, where the fault was seen
	Reason string
	mend   string
}

func (e *Error) Error() string {
	return fmt.Sprintf("calendar event %q, character %d: %s", e.Text, len([]rune(e.Text[:e.Offset]))+1, e.Reason)
}

// Hint says what to write instead.
func (e *Error) Hint() string {
	if e.mend != "" {
		return e.mend
	}
	return `write it as systemd.time(7) has it, such as "daily" or "Mon..Fri *-*-* 04:00:00", and try it with: systemd-analyze calendar -- 'EXPRESSION'`
}

// IsZero says whether s is no expression at all.
func (s Spec) IsZero() bool { return !s.set }

// Parse reads an expression. Zone data comes from zones; without it every name
// of a zone but UTC is refused. What systemd accepts only on a host of that
// very zone, its short names such as CEST, is refused as well. The error is
// an *[Error].
func Parse(text string, zones Zones) (Spec, error) {
	p := &parser{text: text, end: len(text)}
	s := Spec{set: true}
	last := strings.LastIndexByte(text, ' ')
	if n := len(text) - 4; n >= 0 && strings.EqualFold(text[n:], " UTC") {
		s.utc, p.end = true, n
	} else if last >= 0 && zoneLike(text[last+1:]) && zones != nil {
		if zone, err := zones(text[last+1:]); err == nil && zone != nil {
			s.zone, s.zoneName, p.end = zone, text[last+1:], last
		}
	}
	if err := s.parse(p); err != nil {
		return Spec{}, zoneFault(err, text, last, s)
	}
	if err := s.normalize(p); err != nil {
		return Spec{}, err
	}
	return s, nil
}

// zoneFault tells a name at the end that is no known zone from other faults.
func zoneFault(err error, text string, last int, s Spec) error {
	if s.utc || s.zone != nil || last < 0 || !zoneLike(text[last+1:]) || strings.Trim(text[last+1:], "0123456789/-") == "" {
		return err
	}
	word := text[last+1:]
	return &Error{Text: text, Offset: last + 1, Reason: fmt.Sprintf("%q is no known time zone", word),
		mend: `write UTC or a zone by its full name, such as "Europe/Berlin"; short names such as CEST hold on hosts of that zone only`}
}

// zoneLike says whether systemd looks for a zone of that name.
func zoneLike(name string) bool {
	if name == "" || name == "Local" || strings.HasPrefix(name, "/") || strings.HasSuffix(name, "/") || strings.Contains(name, "//") {
		return false
	}
	for _, c := range []byte(name) {
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-_+/", c) >= 0) {
			return false
		}
	}
	return true
}

// value is a chain of one constant.
func value(n int) chain { return chain{{n, -1, 0}} }

func values(ns ...int) chain {
	var c chain
	for _, n := range ns {
		c = append(c, component{n, -1, 0})
	}
	return c
}

// shorthand fills in s for names such as "daily".
func (s *Spec) shorthand(name string) bool {
	s.micros = value(0)
	name = strings.ToLower(name)
	if name == "minutely" {
		return true
	}
	s.minute = value(0)
	if name == "hourly" {
		return true
	}
	s.hour = value(0)
	switch name {
	case "daily":
		return true
	case "weekly":
		s.weekdays = 1
		return true
	}
	s.day = value(1)
	switch name {
	case "monthly":
	case "yearly", "annually", "anually":
		s.month = value(1)
	case "quarterly":
		s.month = values(1, 4, 7, 10)
	case "biannually", "bi-annually", "semiannually", "semi-annually":
		s.month = values(1, 7)
	default:
		s.minute, s.hour, s.day, s.micros = nil, nil, nil, nil
		return false
	}
	return true
}

func (s *Spec) parse(p *parser) error {
	if p.end == 0 {
		return p.fault(0, "is empty")
	}
	if s.shorthand(p.text[:p.end]) {
		return nil
	}
	if err := s.parseWeekdays(p); err != nil {
		return err
	}
	epoch, err := s.parseDate(p)
	if err != nil {
		return err
	}
	if !epoch {
		if err := s.parseTime(p); err != nil {
			return err
		}
	}
	if p.peek() != 0 {
		return p.fault(p.at, "more follows than a date and a time")
	}
	return nil
}

type parser struct {
	text    string
	at, end int
}

// peek returns the next character, 0 at the end; systemd knows no NUL either.
func (p *parser) peek() byte { return p.peekAt(0) }

func (p *parser) peekAt(i int) byte {
	if p.at+i >= p.end {
		return 0
	}
	return p.text[p.at+i]
}

func (p *parser) is(set string) bool {
	c := p.peek()
	return c == 0 || strings.IndexByte(set, c) >= 0
}

func (p *parser) spaces() {
	for p.peek() == ' ' {
		p.at++
	}
}

func (p *parser) fault(at int, reason string, args ...any) error {
	return &Error{Text: p.text, Offset: at, Reason: fmt.Sprintf(reason, args...)}
}

// rest is what the next few characters are called in a message.
func (p *parser) rest() string {
	if p.peek() == 0 {
		return "the end"
	}
	return strconv.Quote(p.text[p.at:p.end])
}

var dayNames = []struct {
	name string
	day  int
}{
	{"monday", 0}, {"mon", 0}, {"tuesday", 1}, {"tue", 1}, {"wednesday", 2}, {"wed", 2}, {"thursday", 3}, {"thu", 3},
	{"friday", 4}, {"fri", 4}, {"saturday", 5}, {"sat", 5}, {"sunday", 6}, {"sun", 6},
}

func (s *Spec) parseWeekdays(p *parser) error {
	from := -1
	for first := true; ; first = false {
		day, length := -1, 0
		for _, d := range dayNames {
			if n := len(d.name); p.at+n <= p.end && strings.EqualFold(p.text[p.at:p.at+n], d.name) {
				day, length = d.day, n
				break
			}
		}
		if day < 0 {
			if first {
				return nil
			}
			return p.fault(p.at, "a day of the week is expected, not %s", p.rest())
		}
		start := p.at
		p.at += length
		if !p.is("-., ") {
			return p.fault(start, "%q is no day of the week", p.text[start:p.at+1])
		}
		s.weekdays |= 1 << day
		if from > day {
			return p.fault(start, "the range of days runs backwards; a week begins on Monday")
		}
		for j := from + 1; from >= 0 && j < day; j++ {
			s.weekdays |= 1 << j
		}
		switch p.peek() {
		case 0:
			return nil
		case ' ':
			p.spaces()
			return nil
		case '.', '-':
			if from >= 0 {
				return p.fault(p.at, "a range of days has two ends")
			}
			if p.peek() == '.' {
				if p.peekAt(1) != '.' {
					return p.fault(p.at, "a range is written with two points")
				}
				p.at++
			}
			from = day
			p.at++
		case ',':
			from = -1
			p.at++
		}
		// A comma may end the list, a range may not.
		if p.is(" ") {
			if from >= 0 {
				return p.fault(p.at, "the range of days has no end")
			}
			p.spaces()
			return nil
		}
	}
}

// parseDate reads the date, if there is one. epoch says that it was a number of seconds since 1970, which has no time behind it.
func (s *Spec) parseDate(p *parser) (epoch bool, err error) {
	switch p.peek() {
	case 0:
		return false, nil
	case '@':
		return true, s.parseEpoch(p)
	}
	start := p.at
	first, err := p.chain(false)
	if err != nil {
		return false, err
	}
	if p.is(":") { // so it was a time
		p.at = start
		return false, nil
	}
	sep := p.peek()
	if sep != '-' && sep != '~' {
		return false, p.fault(p.at, "\"-\", \"~\" or \":\" is expected, not %s", p.rest())
	}
	p.at++
	middle, err := p.chain(false)
	if err != nil {
		return false, err
	}
	if p.is(" ") {
		p.spaces()
		s.month, s.day, s.endOfMonth = first, middle, sep == '~'
		return false, nil
	}
	if sep == '~' {
		return false, p.fault(p.at, "the date has to end behind the days that follow \"~\", not go on with %s", p.rest())
	}
	sep = p.peek()
	if sep != '-' && sep != '~' {
		return false, p.fault(p.at, "\"-\", \"~\" or a blank is expected, not %s", p.rest())
	}
	p.at++
	last, err := p.chain(false)
	if err != nil {
		return false, err
	}
	if !p.is(" ") {
		return false, p.fault(p.at, "the date has to end here, not go on with %s", p.rest())
	}
	p.spaces()
	s.year, s.month, s.day, s.endOfMonth = first, middle, last, sep == '~'
	return false, nil
}

// parseEpoch reads @N, with all that strtoul(3) takes for a number.
func (s *Spec) parseEpoch(p *parser) error {
	start := p.at
	p.at++
	for p.peek() != 0 && strings.IndexByte(" \t\n\v\f\r", p.peek()) >= 0 {
		p.at++
	}
	minus := p.peek() == '-'
	if minus || p.peek() == '+' {
		p.at++
	}
	digits := p.digits()
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return p.fault(start, "a number of seconds since 1970 is expected behind \"@\"")
	}
	if minus {
		n = -n
	}
	const past = 7_258_118_400 // 2200-01-01
	if n >= past {
		return p.fault(start, "years go from %d to %d", minYear, maxYear)
	}
	t := time.Unix(int64(n), 0).UTC()
	s.utc = true
	s.year, s.month, s.day = value(t.Year()), value(int(t.Month())), value(t.Day())
	s.hour, s.minute, s.micros = value(t.Hour()), value(t.Minute()), value(t.Second()*second)
	return nil
}

func (s *Spec) parseTime(p *parser) error {
	s.hour, s.minute, s.micros = value(0), value(0), value(0)
	if p.peek() == 0 { // a date alone is its midnight
		return nil
	}
	var err error
	if s.hour, err = p.chain(false); err != nil {
		return err
	}
	if p.peek() != ':' {
		return p.fault(p.at, "\":\" and minutes are expected, not %s", p.rest())
	}
	p.at++
	if s.minute, err = p.chain(false); err != nil {
		return err
	}
	if p.peek() == 0 {
		return nil
	}
	if p.peek() != ':' {
		return p.fault(p.at, "\":\" or the end is expected, not %s", p.rest())
	}
	p.at++
	s.micros, err = p.chain(true)
	return err
}

func (p *parser) digits() string {
	start := p.at
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.at++
	}
	return p.text[start:p.at]
}

// number reads a number, of seconds in microseconds.
func (p *parser) number(seconds bool) (int, error) {
	const most = 1<<31 - 1
	start := p.at
	digits := p.digits()
	if digits == "" {
		return 0, p.fault(start, "a number or \"*\" is expected, not %s", p.rest())
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	if err != nil || seconds && n > most/second {
		return 0, p.fault(start, "%s is too large", digits)
	}
	if !seconds {
		return int(n), nil
	}
	n *= second
	// One point is decimal, two make a range.
	if p.peek() == '.' && p.peekAt(1) != '.' {
		p.at++
		fraction := p.digits()
		if fraction == "" {
			return 0, p.fault(p.at, "a digit is expected behind the point, not %s", p.rest())
		}
		for i, unit := 0, second/10; i < 6 && i < len(fraction); i, unit = i+1, unit/10 {
			n += uint64(fraction[i]-'0') * uint64(unit)
		}
		if len(fraction) > 6 && fraction[6] >= '5' {
			n++
		}
		if n > most {
			return 0, p.fault(start, "%s is too large", p.text[start:p.at])
		}
	}
	return int(n), nil
}

func (p *parser) chain(seconds bool) (chain, error) {
	if p.peek() == '*' {
		p.at++
		if seconds {
			return chain{{0, -1, second}}, nil
		}
		return nil, nil
	}
	unit := 1
	if seconds {
		unit = second
	}
	var out chain
	for {
		if len(out) == maxComponents {
			return nil, p.fault(p.at, "the list has more than %d values", maxComponents)
		}
		begin := p.at
		c := component{stop: -1}
		var err error
		if c.start, err = p.number(seconds); err != nil {
			return nil, err
		}
		if p.peek() == '.' && p.peekAt(1) == '.' {
			p.at += 2
			if c.stop, err = p.number(seconds); err != nil {
				return nil, err
			}
			c.repeat = unit
		}
		if p.peek() == '/' {
			p.at++
			at := p.at
			if c.repeat, err = p.number(seconds); err != nil {
				return nil, err
			}
			if c.repeat == 0 {
				return nil, p.fault(at, "a step of 0 has no end")
			}
		} else if c.start > 1<<31-1-c.repeat {
			return nil, p.fault(begin, "%s is too large", p.text[begin:p.at])
		} else if seconds && c.stop >= 0 && c.start+c.repeat > c.stop {
			return nil, p.fault(begin, "the range %s is shorter than a second and has no step", p.text[begin:p.at])
		}
		if !p.is(" ,-~:") {
			return nil, p.fault(p.at, "a date or a time cannot go on with %s", p.rest())
		}
		out = append(out, c)
		if p.peek() != ',' {
			return out, nil
		}
		p.at++
	}
}

// normalize brings s into the form that systemd prints, and refuses what is out of range.
func (s *Spec) normalize(p *parser) error {
	if s.weekdays == everyDay {
		s.weekdays = 0
	}
	if s.day == nil {
		s.endOfMonth = false
	}
	for i := range s.year {
		s.year[i].start, s.year[i].stop = fullYear(s.year[i].start), fullYear(s.year[i].stop)
	}
	lastDay := 31
	if s.endOfMonth {
		lastDay = 28 // every month has so many
	}
	for _, part := range []struct {
		name     string
		chain    *chain
		from, to int
	}{
		{"year", &s.year, minYear, maxYear}, {"month", &s.month, 1, 12}, {"day", &s.day, 1, lastDay},
		{"hour", &s.hour, 0, 23}, {"minute", &s.minute, 0, 59}, {"second", &s.micros, 0, 60*second - 1},
	} {
		*part.chain = part.chain.normalize()
		fromEnd := s.endOfMonth && part.name == "day"
		for i, c := range *part.chain {
			to := part.to
			if fromEnd {
				// As systemd has it: three days less with each value of the list.
				to -= 3 * i
			}
			if why := c.fault(part.name, part.from, to, fromEnd); why != "" {
				return p.fault(0, "%s", why)
			}
		}
	}
	return nil
}

// fullYear turns 12 into 2012 and 89 into 1989.
func fullYear(n int) int {
	switch {
	case n >= 0 && n < 70:
		return n + 2000
	case n >= 70 && n < 100:
		return n + 1900
	}
	return n
}

func (c chain) normalize() chain {
	for i, one := range c {
		if one.stop > one.start && one.repeat > 0 {
			one.stop -= (one.stop - one.start) % one.repeat
		}
		if one.start == one.stop {
			one.repeat, one.stop = 0, -1
		}
		c[i] = one
	}
	slices.SortFunc(c, func(a, b component) int {
		if a.start != b.start {
			return a.start - b.start
		}
		if a.stop != b.stop {
			return a.stop - b.stop
		}
		return a.repeat - b.repeat
	})
	return slices.Compact(c)
}

// fault says why c is no part of a date or time.
func (c component) fault(name string, from, to int, endOfMonth bool) string {
	show := func(n int) string {
		if name == "second" {
			return strconv.FormatFloat(float64(n)/second, 'f', -1, 64)
		}
		return strconv.Itoa(n)
	}
	outside := func(n int) string {
		if endOfMonth {
			if to < 28 {
				return fmt.Sprintf("day %d from the end of the month is out of range: in this place of a sorted list systemd takes 1 to %d", n, to)
			}
			return fmt.Sprintf("day %d from the end of the month is out of range: it goes from 1 to %d", n, to)
		}
		top := show(to)
		if name == "second" {
			top = "59.999999"
		}
		return fmt.Sprintf("%s %s is out of range: it goes from %d to %s", name, show(n), from, top)
	}
	switch {
	case c.start < from || c.start > to:
		return outside(c.start)
	case c.stop >= 0 && (c.stop < from || c.stop > to):
		return outside(c.stop)
	case c.stop >= 0 && c.stop < c.start:
		return fmt.Sprintf("%s %s..%s runs backwards", name, show(c.start), show(c.stop))
	case c.repeat > to-from,
		c.stop >= 0 && c.start+c.repeat > c.stop,
		c.stop < 0 && endOfMonth && c.start-c.repeat < from,
		c.stop < 0 && !endOfMonth && c.start+c.repeat > to:
		return fmt.Sprintf("a step of %s from %s %s on never comes to a second one", show(c.repeat), name, show(c.start))
	}
	return ""
}

// String returns the normalized form, as systemd-analyze calendar prints it. It means the same,
// but for fractions of a second that a list has beside every second: they are left out.
func (s Spec) String() string {
	if !s.set {
		return ""
	}
	var b strings.Builder
	if s.weekdays != 0 {
		s.writeWeekdays(&b)
		b.WriteByte(' ')
	}
	s.year.write(&b, 4, 1)
	b.WriteByte('-')
	s.month.write(&b, 2, 1)
	if s.endOfMonth {
		b.WriteByte('~')
	} else {
		b.WriteByte('-')
	}
	s.day.write(&b, 2, 1)
	b.WriteByte(' ')
	s.hour.write(&b, 2, 1)
	b.WriteByte(':')
	s.minute.write(&b, 2, 1)
	b.WriteByte(':')
	s.micros.write(&b, 2, second)
	switch {
	case s.utc:
		b.WriteString(" UTC")
	case s.zone != nil:
		b.WriteString(" " + s.zoneName)
	}
	return b.String()
}

func (s Spec) writeWeekdays(b *strings.Builder) {
	names := []string{"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"}
	comma := ""
	for i := 0; i < 7; i++ {
		if s.weekdays&(1<<i) == 0 {
			continue
		}
		end := i
		for end < 6 && s.weekdays&(1<<(end+1)) != 0 {
			end++
		}
		b.WriteString(comma + names[i])
		comma = ","
		switch {
		case end > i+1:
			b.WriteString(".." + names[end])
		case end > i:
			b.WriteString("," + names[end])
		}
		i = end
	}
}

func (c chain) write(b *strings.Builder, width, unit int) {
	// What a list has beside every second is not printed.
	if len(c) == 0 || unit == second && slices.Contains(c, component{0, -1, second}) {
		b.WriteByte('*')
		return
	}
	number := func(n, width int) {
		fmt.Fprintf(b, "%0*d", width, n/unit)
		if n%unit > 0 {
			fmt.Fprintf(b, ".%06d", n%unit)
		}
	}
	for i, one := range c {
		if i > 0 {
			b.WriteByte(',')
		}
		number(one.start, width)
		if one.stop > 0 {
			b.WriteString("..")
			number(one.stop, width)
		}
		if one.repeat > 0 && !(one.stop > 0 && one.repeat == unit) {
			b.WriteByte('/')
			number(one.repeat, 1)
		}
	}
}
