package backup_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func events(t testing.TB, texts ...string) []backup.Calendar {
	t.Helper()
	var out []backup.Calendar
	for _, text := range texts {
		c, err := backup.ParseCalendar(text, stateward.ZoneFunc(time.LoadLocation))
		require.NoError(t, err)
		out = append(out, c)
	}
	return out
}

func span(t testing.TB, text string) *stateward.Duration {
	t.Helper()
	d, err := stateward.ParseDuration(text)
	require.NoError(t, err)
	return &d
}

func TestR12WorstGap(t *testing.T) {
	utc := time.UTC
	berlin := zoneOf(t, "Europe/Berlin")
	min10 := span(t, "10min")
	for _, tc := range []struct {
		name  string
		local *time.Location
		s     backup.Schedule
		want  string
	}{
		{"hourly with a delay of four hours", utc, backup.Schedule{Calendar: events(t, "hourly"), RandomizedDelay: *span(t, "4h"), RunTime: min10},
			"up to 5h 11min (1h from 2026-11-22 12:00:00 UTC to 2026-11-22 13:00:00 UTC, 4h RandomizedDelaySec=, 1min AccuracySec=, 10min the run itself)"},
		{"the hour that comes twice", berlin, backup.Schedule{Calendar: events(t, "hourly"), RunTime: min10},
			"up to 2h 11min (2h from 2027-10-31 02:00:00 CEST to 2027-10-31 03:00:00 CET, 1min AccuracySec=, 10min the run itself)"},
		{"daily, the longest day", berlin, backup.Schedule{Calendar: events(t, "03:30"), RunTime: min10, Accuracy: span(t, "1us")},
			"up to 1d 1h 10min 1us (1d 1h from 2027-10-30 03:30:00 CEST to 2027-10-31 03:30:00 CET, 1us AccuracySec=, 10min the run itself)"},
		{"daily, in the gap of spring", berlin, backup.Schedule{Calendar: events(t, "02:30"), RunTime: min10},
			"up to 1d 23h 11min (1d 23h from 2027-03-27 02:30:00 CET to 2027-03-29 02:30:00 CEST, 1min AccuracySec=, 10min the run itself)"},
		{"over the weekend", utc, backup.Schedule{Calendar: events(t, "Mon..Fri *:0/5"), RunTime: min10},
			"up to 2d 16min (2d 5min from 2026-11-27 23:55:00 UTC to 2026-11-30 00:00:00 UTC, 1min AccuracySec=, 10min the run itself)"},
		{"two lines", utc, backup.Schedule{Calendar: events(t, "Mon..Fri 02:00", "Sat 20:00"), RunTime: min10},
			"up to 1d 18h 11min (1d 18h from 2026-11-27 02:00:00 UTC to 2026-11-28 20:00:00 UTC, 1min AccuracySec=, 10min the run itself)"},
		{"leap days", utc, backup.Schedule{Calendar: events(t, "*-02-29"), RunTime: min10},
			"up to 208w 5d 11min (208w 5d from 2028-02-29 00:00:00 UTC to 2032-02-29 00:00:00 UTC, 1min AccuracySec=, 10min the run itself)"},
		{"a fixed delay passes events over", utc, backup.Schedule{Calendar: events(t, "hourly"), RandomizedDelay: *span(t, "4h"), FixedRandomDelay: true, RunTime: min10},
			"up to 5h 11min (5h from 2026-11-22 12:00:00 UTC to 2026-11-22 17:00:00 UTC, 1min AccuracySec=, 10min the run itself)"},
		{"a fixed delay", utc, backup.Schedule{Calendar: events(t, "daily"), RandomizedDelay: *span(t, "4h"), FixedRandomDelay: true, RunTime: min10},
			"up to 1d 11min (1d from 2026-11-23 00:00:00 UTC to 2026-11-24 00:00:00 UTC, 1min AccuracySec=, 10min the run itself)"},
		{"a fixed delay, and runs that wait for one another", utc, backup.Schedule{Calendar: events(t, "hourly"), RandomizedDelay: *span(t, "2min"), FixedRandomDelay: true, RunTime: span(t, "1h")},
			"up to 2h 3min (1h from 2026-11-22 12:00:00 UTC to 2026-11-22 13:00:00 UTC, 2min RandomizedDelaySec=, 1min AccuracySec=, 1h the run itself)"},
		{"a run longer than the wait", utc, backup.Schedule{Calendar: events(t, "*:0/5"), RunTime: min10, Accuracy: span(t, "1us")},
			"up to 20min (5min from 2026-11-22 12:00:00 UTC to 2026-11-22 12:05:00 UTC, 1us AccuracySec=, 4min 59s 999ms 999us waiting for the run before, 10min the run itself)"},
		{"since the last run", utc, backup.Schedule{OnBoot: span(t, "15min"), OnUnitActive: span(t, "6h"), RunTime: min10},
			"up to 6h 11min (6h OnUnitActiveSec=, 1min AccuracySec=, 10min the run itself)"},
		{"since the last run ended", utc, backup.Schedule{OnBoot: span(t, "15min"), OnUnitInactive: span(t, "6h"), RunTime: min10},
			"up to 6h 21min (6h 10min OnUnitInactiveSec= and the run before it, 1min AccuracySec=, 10min the run itself)"},
		{"nothing starts the first", utc, backup.Schedule{OnUnitActive: span(t, "6h"), RunTime: min10}, "any: the timer counts from the last run, and nothing starts the first one"},
		{"once after a start", utc, backup.Schedule{OnBoot: span(t, "6h"), RunTime: min10}, "any: the job runs once each time the machine is started"},
		{"no timer", utc, backup.Schedule{RunTime: min10}, "any: no timer starts the job"},
		{"the expression ends", utc, backup.Schedule{Calendar: events(t, "2026..2027-*-* 02:00"), RunTime: min10}, "any: the last calendar event elapses on 2027-12-31 02:00:00 UTC"},
		{"the expression has ended", utc, backup.Schedule{Calendar: events(t, "2020-*-* 02:00"), RunTime: min10}, "any: no calendar event elapses any more"},
		{"in another time", utc, backup.Schedule{Calendar: events(t, "2070-*-* 02:00"), RunTime: min10}, "any: calendar events lie more than 28 years ahead or apart"},
		{"one line ends, another does not", utc, backup.Schedule{Calendar: events(t, "2026-*-* 02:00", "Sun 02:00"), RunTime: min10},
			"up to 1w 11min (1w from 2027-01-03 02:00:00 UTC to 2027-01-10 02:00:00 UTC, 1min AccuracySec=, 10min the run itself)"},
		{"switched off at times", utc, backup.Schedule{Calendar: events(t, "daily"), RunTime: min10, MayBeOff: true}, "any: the machine may be off when the timer elapses, and Persistent= does not make up for it"},
		{"switched off, and made up for", utc, backup.Schedule{Calendar: events(t, "daily"), RunTime: min10, MayBeOff: true, Persistent: true},
			"up to 1d 11min (1d from 2026-11-23 00:00:00 UTC to 2026-11-24 00:00:00 UTC, 1min AccuracySec=, 10min the run itself)"},
		{"unknown run time", utc, backup.Schedule{Calendar: events(t, "daily")},
			"unknown, at least 1d 1min (1d from 2026-11-23 00:00:00 UTC to 2026-11-24 00:00:00 UTC, 1min AccuracySec=): it is not known how long the job runs"},
		{"unknown setting", utc, backup.Schedule{Calendar: events(t, "daily"), RunTime: min10, Unknown: []string{"RandomizedDelaySec="}}, "unknown: not known: RandomizedDelaySec="},
		{"unknown zone", nil, backup.Schedule{Calendar: events(t, "daily"), RunTime: min10}, "unknown: the time zone of the host is not known"},
		{"often, in two zones, with a fixed delay of hours", utc, backup.Schedule{Calendar: events(t, "*:0/15", "*-*-* 0/6:30 America/New_York"), RandomizedDelay: *span(t, "284min"), FixedRandomDelay: true, RunTime: min10},
			"up to 5h 11min (5h from 2027-03-12 12:00:00 UTC to 2027-03-12 17:00:00 UTC, 1min AccuracySec=, 10min the run itself)"},
		{"too often to follow", utc, backup.Schedule{Calendar: events(t, "*-*-2..30 *:*:0/2"), RunTime: min10}, "unknown: the timer elapses too often to follow it for years"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(tc.want, tc.s.WorstGap(noon, tc.local).String()))
		})
	}
}

func TestR12ReachedRPO(t *testing.T) {
	s := backup.Schedule{Calendar: events(t, "hourly"), RandomizedDelay: *span(t, "4h"), RunTime: span(t, "10min")}
	g := s.WorstGap(noon, time.UTC)
	require.Equal(t, backup.RPOMissed, backup.ReachedRPO(g, *span(t, "1h")))
	require.Equal(t, backup.RPOMissed, backup.ReachedRPO(g, *span(t, "5h")))
	require.Equal(t, backup.RPOReached, backup.ReachedRPO(g, *span(t, "5h 11min")))
	s.RunTime = nil
	g = s.WorstGap(noon, time.UTC)
	require.Equal(t, backup.RPOMissed, backup.ReachedRPO(g, *span(t, "5h")), "without the run it is too much already")
	require.Equal(t, backup.RPOUnknown, backup.ReachedRPO(g, *span(t, "1d")))
	s.Unknown = []string{"AccuracySec="}
	require.Equal(t, backup.RPOUnknown, backup.ReachedRPO(s.WorstGap(noon, time.UTC), *span(t, "1h")), "what is not known may be less than the default")
	require.Equal(t, backup.RPOMissed, backup.ReachedRPO(backup.Schedule{}.WorstGap(noon, time.UTC), *span(t, "1y")))
	require.Equal(t, backup.RPOUnknown, backup.ReachedRPO(backup.Gap{}, *span(t, "1y")))
}

func TestFloor(t *testing.T) {
	g := backup.Schedule{Calendar: events(t, "daily"), RunTime: span(t, "10min")}.WorstGap(noon, time.UTC)
	for _, tc := range []struct {
		name   string
		floor  backup.Floor
		fewest int
		rpo    backup.RPO
	}{
		{"a week of days", backup.ResticPolicy{Last: 3, Daily: 7}.Floor(g), 7, backup.RPOReached},
		{"all", backup.ResticPolicy{Hourly: backup.Unlimited}.Floor(g), 1, backup.RPOReached},
		{"a span keeps the newest", backup.ResticPolicy{WithinDaily: backup.Period{Days: 3}}.Floor(g), 1, backup.RPOReached},
		{"tags alone", backup.ResticPolicy{Tags: [][]string{{"keep"}}}.Floor(g), 0, backup.RPOMissed},
		{"sanoid's own", backup.SanoidDefaults().Floor(g, "hourly", "daily", "monthly"), 144, backup.RPOReached},
		{"zeros", backup.SanoidPolicy{AutoPrune: true}.Floor(g, "hourly", "daily"), 0, backup.RPOMissed},
		{"kept, but not made", backup.SanoidPolicy{AutoPrune: true, Daily: 7}.Floor(g, "hourly"), 0, backup.RPOMissed},
		{"never pruned", backup.SanoidPolicy{}.Floor(g, "hourly"), 1, backup.RPOReached},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, tc.fewest, tc.floor.Fewest)
			require.Equal(t, tc.rpo, tc.floor.ReachedRPO(*span(t, "25h")))
		})
	}
}

// A timer that is played through, with delays by chance, never lets the newest backup get older than said, and the
// longest wait between calendar events is what going through all of them gives.
func TestR12WorstGapHolds(t *testing.T) {
	lines := []string{"hourly", "daily", "*:0/15", "Mon..Fri 02:30", "*-*-1,15 04:00", "02:30", "1..3:20", "Sun *-*~7/1 03:00", "*-*-* 0/6:30 America/New_York", "Sat,Sun *:0/30"}
	rapid.Check(t, func(rt *rapid.T) {
		texts := rapid.SliceOfN(rapid.SampledFrom(lines), 1, 2).Draw(rt, "lines")
		local := zoneOf(t, rapid.SampledFrom([]string{"UTC", "Europe/Berlin", "Australia/Lord_Howe"}).Draw(rt, "zone"))
		minutes := func(label string, most int64) stateward.Duration {
			d, err := stateward.NewDuration(time.Duration(rapid.Int64Range(0, most).Draw(rt, label)) * time.Minute)
			require.NoError(rt, err)
			return d
		}
		run := minutes("run", 120)
		s := backup.Schedule{Calendar: events(t, texts...), RandomizedDelay: minutes("delay", 300), FixedRandomDelay: rapid.Bool().Draw(rt, "fixed"), RunTime: &run}
		from := noon.Add(time.Duration(rapid.Int64Range(0, 300*24).Draw(rt, "from")) * time.Hour)
		g := s.WorstGap(from, local)
		require.Equal(rt, backup.GapBounded, g.State, "%s", g)

		next := func(at time.Time) time.Time {
			first := time.Time{}
			for _, c := range s.Calendar {
				n, err := c.Next(at, local)
				require.NoError(rt, err)
				if first.IsZero() || n.Before(first) {
					first = n
				}
			}
			return first
		}
		// All of a few weeks.
		end := from.AddDate(0, 0, 10)
		for at := next(from); at.Before(end); {
			n := next(at)
			require.LessOrEqual(rt, n.Sub(at), g.To.Sub(g.From), "%s to %s", at, n)
			at = n
		}
		// The timer.
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 2))
		upTo := func(d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d) + 1)) }
		delay := upTo(s.RandomizedDelay.Std())
		for at, i := next(from).Add(delay), 0; i < 60; i++ {
			if !s.FixedRandomDelay {
				delay = upTo(s.RandomizedDelay.Std())
			}
			start := next(at).Add(delay + upTo(time.Minute))
			if free := at.Add(run.Std()); start.Before(free) {
				start = free
			}
			require.LessOrEqual(rt, start.Add(run.Std()).Sub(at), g.Age, "%s: from %s to %s", g, at, start)
			at = start
		}
	})
}

func BenchmarkWorstGap(b *testing.B) {
	for _, text := range []string{"hourly", "Mon..Fri *:0/5", "*-02-29"} {
		b.Run(text, func(b *testing.B) {
			s := backup.Schedule{Calendar: events(b, text), RunTime: span(b, "1min")}
			berlin := zoneOf(b, "Europe/Berlin")
			for b.Loop() {
				if g := s.WorstGap(noon, berlin); g.State != backup.GapBounded {
					b.Fatal(g)
				}
			}
		})
	}
}

// A day in a zone has 23 or 25 hours now and then, and what is named in the hour that is left out runs a day later.
func TestR12ScheduleInAZone(t *testing.T) {
	for text, want := range map[string]string{
		"03:30 Europe/Berlin":  "up to 1d 1h 1min (1d 1h from 2026-10-24 03:30:00 CEST to 2026-10-25 03:30:00 CET, 1min AccuracySec=)",
		"02:30 Europe/Berlin":  "up to 1d 23h 1min (1d 23h from 2026-03-28 02:30:00 CET to 2026-03-30 02:30:00 CEST, 1min AccuracySec=)",
		"03:30 Asia/Kathmandu": "up to 1d 1min (1d from 2026-01-02 03:30:00 +0545 to 2026-01-03 03:30:00 +0545, 1min AccuracySec=)",
		"03:30 Europe/Berln":   `calendar event "03:30 Europe/Berln", character 7: "Europe/Berln" is no known time zone`,
		"03:30 CET":            `calendar event "03:30 CET", character 7: "CET" is no known time zone`,
		"03:30 GMT":            `calendar event "03:30 GMT", character 7: "GMT" is no known time zone`,
	} {
		h := &stateward.Host{Zones: stateward.ZoneFunc(time.LoadLocation), Jobs: stateward.Known([]stateward.Job{{Name: "a", Engine: "restic", Schedule: known([]string{text}, "s")}}, stateward.Origin{})}
		jobs, faults := backup.Jobs(h)
		s, is := jobs[0].Schedule.Get()
		if len(faults) > 0 {
			require.Equal(t, want, faults[0].Err.Error())
			require.True(t, jobs[0].Schedule.IsUnknown())
			continue
		}
		require.True(t, is)
		none, err := stateward.NewDuration(0)
		require.NoError(t, err)
		s.RunTime = &none
		require.Equal(t, want, s.WorstGap(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.UTC).String())
		h.Zones = nil
		jobs, faults = backup.Jobs(h)
		require.Len(t, faults, 1, "without zones it is not judged")
		require.True(t, jobs[0].Schedule.IsUnknown())
	}
}

// sanoid's own times are counted in UTC: where its timer runs by a clock that changes, only what holds on each day is promised.
func TestS1SnapshotsBySchedulesInAZone(t *testing.T) {
	of := func(text string) backup.Gap {
		h := &stateward.Host{Zones: stateward.ZoneFunc(time.LoadLocation), Snapshots: stateward.Known([]stateward.SnapshotPolicy{{
			Name: "tank", Schedule: known([]string{text}, "i"),
			Settings: map[string]stateward.Value[string]{"autosnap": known("yes", "a"), "daily": known("7", "d"), "hourly": known("0", "h"), "monthly": known("0", "m"), "weekly": known("0", "w"), "yearly": known("0", "y"), "frequently": known("0", "f")},
		}}, stateward.Origin{})}
		list, faults := backup.SnapshotPolicies(h)
		require.Empty(t, faults)
		return list[0].Gap(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.UTC)
	}
	require.Equal(t, "up to 1d 1min (1d from one daily snapshot to the next, 1min RandomizedDelaySec= and AccuracySec=)", of("03:00").String())
	require.Equal(t, "up to 2d 1h 1min (1d until the next daily one is due, 1d 1h 1min until sanoid runs)", of("03:00 Europe/Berlin").String())
}
