package stateward

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Duration is a time span that is not negative, with a resolution of a
// microsecond, as systemd has.
type Duration struct{ d time.Duration }

// DurationError says why a text is no time span.
type DurationError struct {
	Text   string
	Reason string
}

func (e *DurationError) Error() string { return fmt.Sprintf("time span %q %s", e.Text, e.Reason) }

// Hint says what to write instead.
func (e *DurationError) Hint() string {
	return `write a time span as systemd.time(7) has it, such as "15min" or "1h 30s"`
}

// units of systemd.time(7): a month is 30.44 days, a year 365.25 days.
var durationUnits = map[string]time.Duration{
	"usec": time.Microsecond, "us": time.Microsecond, "μs": time.Microsecond, "µs": time.Microsecond,
	"msec": time.Millisecond, "ms": time.Millisecond,
	"seconds": time.Second, "second": time.Second, "sec": time.Second, "s": time.Second, "": time.Second,
	"minutes": time.Minute, "minute": time.Minute, "min": time.Minute, "m": time.Minute,
	"hours": time.Hour, "hour": time.Hour, "hr": time.Hour, "h": time.Hour,
	"days": 24 * time.Hour, "day": 24 * time.Hour, "d": 24 * time.Hour,
	"weeks": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "w": 7 * 24 * time.Hour,
	"months": 2629800 * time.Second, "month": 2629800 * time.Second, "M": 2629800 * time.Second,
	"years": 31557600 * time.Second, "year": 31557600 * time.Second, "y": 31557600 * time.Second,
}

// ParseDuration accepts a time span of systemd.time(7): numbers with optional
// fractions and units, which add up ("90", "1h 30min", "1.5h", "2d12h"). A number
// without a unit is seconds; what is less than a microsecond is cut off, as
// systemd does. "infinity", a sign and a span beyond 292 years are refused. The
// error is a *[DurationError]. It mirrors parse_time of systemd's src/basic/time-util.c.
func ParseDuration(s string) (Duration, error) {
	refuse := func(reason string, args ...any) (Duration, error) {
		return Duration{}, &DurationError{Text: s, Reason: fmt.Sprintf(reason, args...)}
	}
	rest := trimBlank(s)
	switch strings.TrimRight(rest, blanks) {
	case "":
		return refuse("is empty")
	case "infinity":
		return refuse("has no end")
	}
	var total time.Duration
	for rest != "" {
		at := rest
		whole, rest2 := digits(rest)
		fraction, point := "", strings.HasPrefix(rest2, ".")
		if point {
			fraction, rest2 = digits(rest2[1:])
		}
		switch {
		case point && fraction == "":
			return refuse("has no digit after the point at %q", at)
		case whole == "" && !point:
			return refuse("has no number at %q", at)
		}
		if strings.HasPrefix(rest2, ".") {
			return refuse("has no unit or blank at %q", rest2)
		}
		rest = trimBlank(rest2)
		i := strings.IndexAny(rest, "0123456789.+-"+blanks)
		if i < 0 {
			i = len(rest)
		}
		unit, ok := durationUnits[rest[:i]]
		if !ok {
			return refuse("has an unknown unit %q", rest[:i])
		}
		rest = trimBlank(rest[i:])
		d, ok := span(whole, fraction, unit)
		if !ok || d > math.MaxInt64-total {
			return refuse("is longer than 292 years")
		}
		total += d
	}
	return Duration{total}, nil
}

const blanks = " \t\n\r"

func trimBlank(s string) string { return strings.TrimLeft(s, blanks) }

// digits cuts s behind its leading decimal digits.
func digits(s string) (number, rest string) {
	rest = strings.TrimLeft(s, "0123456789")
	return s[:len(s)-len(rest)], rest
}

// span returns whole.fraction units; ok is false when they are too many.
func span(whole, fraction string, unit time.Duration) (d time.Duration, ok bool) {
	if whole != "" {
		n, err := strconv.ParseInt(whole, 10, 64)
		if err != nil || n > int64(math.MaxInt64/unit) {
			return 0, false
		}
		d = time.Duration(n) * unit
	}
	// A fraction of a microsecond is cut off at each digit.
	part := unit / time.Microsecond
	for _, c := range []byte(fraction) {
		part /= 10
		d += time.Duration(c-'0') * part * time.Microsecond
		if d < 0 {
			return 0, false
		}
	}
	return d, true
}

// NewDuration returns d as a Duration; what is less than a microsecond is cut
// off. Negative spans are refused.
func NewDuration(d time.Duration) (Duration, error) {
	if d < 0 {
		return Duration{}, &DurationError{Text: d.String(), Reason: "is negative"}
	}
	return Duration{d.Truncate(time.Microsecond)}, nil
}

// Std returns the span as the standard library has it.
func (d Duration) Std() time.Duration { return d.d }

// String writes the span with the largest whole units: "1d 2h", "15min", "0".
func (d Duration) String() string {
	if d.d == 0 {
		return "0"
	}
	var parts []string
	rest := d.d
	for _, u := range []struct {
		name string
		unit time.Duration
	}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}, {"us", time.Microsecond}} {
		if n := rest / u.unit; n > 0 {
			parts = append(parts, strconv.FormatInt(int64(n), 10)+u.name)
			rest -= n * u.unit
		}
	}
	return strings.Join(parts, " ")
}
