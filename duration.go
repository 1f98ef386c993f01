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
// without a unit is seconds. "infinity", a sign and a span beyond 292 years are
// refused. The error is a *[DurationError].
func ParseDuration(s string) (Duration, error) {
	rest := strings.TrimLeft(s, " \t\n\r")
	if strings.TrimSpace(rest) == "" {
		return Duration{}, &DurationError{Text: s, Reason: "is empty"}
	}
	if strings.TrimSpace(rest) == "infinity" {
		return Duration{}, &DurationError{Text: s, Reason: "has no end"}
	}
	var total float64
	for rest != "" {
		i := 0
		for i < len(rest) && (rest[i] >= '0' && rest[i] <= '9' || rest[i] == '.') {
			i++
		}
		n, err := strconv.ParseFloat(rest[:i], 64)
		if i == 0 || err != nil {
			return Duration{}, &DurationError{Text: s, Reason: fmt.Sprintf("has no number at %q", rest)}
		}
		rest = strings.TrimLeft(rest[i:], " \t\n\r")
		j := strings.IndexFunc(rest, func(r rune) bool {
			return r >= '0' && r <= '9' || r == ' ' || r == '\t' || r == '\n' || r == '\r' || r == '.' || r == '-' || r == '+'
		})
		if j < 0 {
			j = len(rest)
		}
		unit, ok := durationUnits[rest[:j]]
		if !ok {
			return Duration{}, &DurationError{Text: s, Reason: fmt.Sprintf("has an unknown unit %q", rest[:j])}
		}
		total += n * float64(unit)
		rest = strings.TrimLeft(rest[j:], " \t\n\r")
	}
	if total >= math.MaxInt64 {
		return Duration{}, &DurationError{Text: s, Reason: "is longer than 292 years"}
	}
	return Duration{time.Duration(math.Round(total/1000) * 1000)}, nil
}

// NewDuration returns d as a Duration; negative spans are refused.
func NewDuration(d time.Duration) (Duration, error) {
	if d < 0 {
		return Duration{}, &DurationError{Text: d.String(), Reason: "is negative"}
	}
	return Duration{d}, nil
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
