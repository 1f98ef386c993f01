package calendar

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := load(name)
	require.NoError(t, err)
	return loc
}

func TestCalendarFaults(t *testing.T) {
	for _, tc := range []struct{ text, want, hint string }{
		{"", `calendar event "", character 1: is empty`, ""},
		{"dayly", `calendar event "dayly", character 1: a number or "*" is expected, not "dayly"`, ""},
		{"Mon..", `calendar event "Mon..", character 6: the range of days has no end`, ""},
		{"Fri..Mon", `calendar event "Fri..Mon", character 6: the range of days runs backwards; a week begins on Monday`, ""},
		{"Mon Tue", `calendar event "Mon Tue", character 5: "Tue" is no known time zone`, ""},
		{"Mon,12:00", `calendar event "Mon,12:00", character 5: a day of the week is expected, not "12:00"`, ""},
		{"12", `calendar event "12", character 3: ":" and minutes are expected, not the end`, ""},
		{"12:60", `calendar event "12:60", character 1: minute 60 is out of range: it goes from 0 to 59`, ""},
		{"12:00:60", `calendar event "12:00:60", character 1: second 60 is out of range: it goes from 0 to 59.999999`, ""},
		{"*-13-01", `calendar event "*-13-01", character 1: month 13 is out of range: it goes from 1 to 12`, ""},
		{"2200-1-1", `calendar event "2200-1-1", character 1: year 2200 is out of range: it goes from 1970 to 2199`, ""},
		{"*~31", `calendar event "*~31", character 1: day 31 from the end of the month is out of range: it goes from 1 to 28`, ""},
		{"*~1,2,25", `calendar event "*~1,2,25", character 1: day 25 from the end of the month is out of range: in this place of a sorted list systemd takes 1 to 22`, ""},
		{"*:0/0", `calendar event "*:0/0", character 5: a step of 0 has no end`, ""},
		{"*:30..10", `calendar event "*:30..10", character 1: minute 30..10 runs backwards`, ""},
		{"*:0/90", `calendar event "*:0/90", character 1: a step of 90 from minute 0 on never comes to a second one`, ""},
		{"*:*:0..0.5", `calendar event "*:*:0..0.5", character 5: the range 0..0.5 is shorter than a second and has no step`, ""},
		{"daily CEST", `calendar event "daily CEST", character 7: "CEST" is no known time zone`, `write UTC or a zone by its full name, such as "Europe/Berlin"; short names such as CEST hold on hosts of that zone only`},
		{"daily Local", `calendar event "daily Local", character 1: a number or "*" is expected, not "daily Local"`, ""},
		{"02:00 daily", `calendar event "02:00 daily", character 7: "daily" is no known time zone`, ""},
		{"é:00", `calendar event "é:00", character 1: a number or "*" is expected, not "é:00"`, ""},
	} {
		t.Run(tc.text, func(t *testing.T) {
			_, err := Parse(tc.text, load)
			require.Error(t, err)
			require.Empty(t, cmp.Diff(tc.want, err.Error()))
			var fault *Error
			require.True(t, errors.As(err, &fault))
			require.NotEmpty(t, fault.Hint())
			if tc.hint != "" {
				require.Equal(t, tc.hint, fault.Hint())
			}
		})
	}
	_, err := Parse("daily Europe/Berlin", nil)
	require.Error(t, err, "no zone data")
}

func TestCalendarNext(t *testing.T) {
	at := func(s string) time.Time {
		when, err := time.Parse(time.RFC3339Nano, s)
		require.NoError(t, err)
		return when
	}
	for _, tc := range []struct{ name, text, local, after, want string }{
		{"what falls into the gap is left out", "02:30", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"},
		{"the hour that comes twice counts once", "*:30", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T02:30:00Z"},
		{"microseconds", "*:*:0.000003/0.5", "UTC", "2026-10-25T00:30:00.000003Z", "2026-10-25T00:30:00.500003Z"},
		{"later than, not at", "daily", "UTC", "2026-10-25T00:00:00Z", "2026-10-26T00:00:00Z"},
		{"a zone of its own", "daily Europe/Berlin", "UTC", "2026-07-01T12:00:00Z", "2026-07-01T22:00:00Z"},
		{"half an hour of daylight saving", "02:15", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-04T15:15:00Z"},
		{"the last day of February", "*-02~1", "UTC", "2027-03-01T00:00:00Z", "2028-02-29T00:00:00Z"},
		{"no such day", "*-02-30", "UTC", "2027-03-01T00:00:00Z", "never"},
		{"in the past", "2020-01-01", "UTC", "2027-03-01T00:00:00Z", "never"},
		{"where systemd loops", "Mon *-06/5-21", "Europe/Berlin", "2026-11-22T13:00:00Z", "lost"},
		{"short name of the host's zone", "12:00 CET", "Europe/Berlin", "2026-11-22T13:00:00Z", `"CET" is short for the host's own zone, and means a part of its year`},
		{"short name of another zone", "12:00 MST", "Europe/Berlin", "2026-11-22T13:00:00Z", "2026-11-22T19:00:00Z"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, err := Parse(tc.text, load)
			require.NoError(t, err)
			got := ""
			next, err := s.Next(at(tc.after), zone(t, tc.local))
			switch {
			case errors.Is(err, ErrNever):
				got = "never"
			case errors.Is(err, ErrLost):
				got = "lost"
			case err != nil:
				got = err.Error()
			default:
				got = next.UTC().Format(time.RFC3339Nano)
			}
			require.Equal(t, tc.want, got)
		})
	}
	s, err := Parse("daily", nil)
	require.NoError(t, err)
	_, err = s.Next(at("2026-01-01T00:00:00Z"), nil)
	require.ErrorContains(t, err, "zone of the host")
	_, err = Spec{}.Next(at("2026-01-01T00:00:00Z"), time.UTC)
	require.ErrorIs(t, err, ErrNever)
	require.Empty(t, Spec{}.String())
}

// What is printed means the same; the next time is later, and nothing lies between.
func check(t interface {
	Fatalf(string, ...any)
}, text string, local *time.Location, after time.Time) {
	s, err := Parse(text, load)
	if err != nil {
		if fault := new(Error); !errors.As(err, &fault) || fault.Offset < 0 || fault.Offset > len(text) {
			t.Fatalf("%q: %#v", text, err)
		}
		return
	}
	again, err := Parse(s.String(), load)
	if err != nil || again.String() != s.String() {
		t.Fatalf("%q became %q, then %q, %v", text, s, again, err)
	}
	next, err := s.Next(after, local)
	if err != nil || len(s.micros) > len(again.micros) {
		return
	}
	same, err := again.Next(after, local)
	if err != nil || !same.Equal(next) {
		t.Fatalf("%q: %v, as %q %v, %v", text, next, s, same, err)
	}
	if local == time.UTC && s.zone == nil {
		if !next.After(after) {
			t.Fatalf("%q: %v is not later than %v", text, next, after)
		}
		middle := after.Add(next.Sub(after) / 2)
		if between, err := s.Next(middle, local); err != nil || !between.Equal(next) && middle.UnixMicro() != next.UnixMicro() {
			t.Fatalf("%q: %v after %v, %v after %v, %v", text, next, after, between, middle, err)
		}
	}
}

func TestCalendarKeepsItsMeaning(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		g := generator{rand(rapid.Uint64().Draw(r, "seed"))}
		after := time.UnixMicro(rapid.Int64Range(0, 4_000_000_000_000_000).Draw(r, "after"))
		check(r, g.text(), zone(t, rapid.SampledFrom(zones).Draw(r, "zone")), after)
	})
}

func FuzzCalendar(f *testing.F) {
	g := generator{rand(6)}
	for range 60 {
		f.Add(g.text(), int64(g.IntN(2_000_000_000))*second)
	}
	berlin := zone(f, "Europe/Berlin")
	f.Fuzz(func(t *testing.T, text string, after int64) {
		check(t, text, time.UTC, time.UnixMicro(after))
		check(t, text, berlin, time.UnixMicro(after))
	})
}

func BenchmarkCalendarNext(b *testing.B) {
	s, err := Parse("Mon *-02-29 04:00", load)
	require.NoError(b, err)
	berlin, at := zone(b, "Europe/Berlin"), time.Unix(1_800_000_000, 0)
	for b.Loop() {
		if _, err := s.Next(at, berlin); err != nil {
			b.Fatal(err)
		}
	}
}
