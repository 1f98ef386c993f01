package stateward_test

import (
	"errors"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward"
)

const day = 24 * time.Hour

// accepted time spans, each as systemd-analyze has it too.
var timeSpans = []struct {
	text string
	want time.Duration
}{
	{"0", 0},
	{"90", 90 * time.Second},
	{" 90 ", 90 * time.Second},
	{"1h 30min", 90 * time.Minute},
	{"1h30min", 90 * time.Minute},
	{"30min 1h", 90 * time.Minute},
	{"1.5h", 90 * time.Minute},
	{"2d12h", 60 * time.Hour},
	{"1 hour", time.Hour},
	{"1\t\n\rhour", time.Hour},
	{"12 34", 46 * time.Second},
	{"1s.5", 1500 * time.Millisecond},
	{"12.34 .56", 12900 * time.Millisecond},
	{".5", 500 * time.Millisecond},
	{"5m", 5 * time.Minute},
	{"5minutes 5minute 5min", 15 * time.Minute},
	{"1seconds 1second 1sec 1s 1", 5 * time.Second},
	{"1hours 1hour 1hr 1h", 4 * time.Hour},
	{"1days 1day 1d", 3 * day},
	{"1weeks 1week 1w", 21 * day},
	{"1M", 2629800 * time.Second},
	{"1months 1month", 5259600 * time.Second},
	{"1years 1year 1y", 3 * 31557600 * time.Second},
	{"1msec 1ms", 2 * time.Millisecond},
	{"1usec 1us 1μs 1µs", 4 * time.Microsecond},
	{"1.000001s", 1000001 * time.Microsecond},
	{"1.0000009s", time.Second},
	{"1.9999999s", 1999999 * time.Microsecond},
	{"0.0000005s", 0},
	{"1.5us", time.Microsecond},
	{"0.333333333y", 10519199989479 * time.Microsecond},
	{"007", 7 * time.Second},
	{"292y", 292 * 31557600 * time.Second},
	{"9223372036854775us", 9223372036854775 * time.Microsecond},
}

// refused time spans; both tells that systemd-analyze refuses them too.
var noTimeSpans = []struct {
	text, reason string
	both         bool
}{
	{"", "is empty", true},
	{" \t\n", "is empty", true},
	{"soon", `has no number at "soon"`, true},
	{"h", `has no number at "h"`, true},
	{"5.", `has no digit after the point at "5."`, true},
	{"5. 3", `has no digit after the point at "5. 3"`, true},
	{"5.s", `has no digit after the point at "5.s"`, true},
	{".", `has no digit after the point at "."`, true},
	{"1.2.3", `has no unit or blank at ".3"`, true},
	{"5 minx", `has an unknown unit "minx"`, true},
	{"5mins", `has an unknown unit "mins"`, true},
	{"5 fortnights", `has an unknown unit "fortnights"`, true},
	{"1e3", `has an unknown unit "e"`, true},
	{"0x10", `has an unknown unit "x"`, true},
	{"-5", `has no number at "-5"`, true},
	{"5 -3", `has no number at "-3"`, true},
	{"5h-", `has no number at "-"`, true},
	{"1,5h", `has an unknown unit ","`, true},
	{"infinityx", `has no number at "infinityx"`, true},
	{"1h infinity", `has no number at "infinity"`, true},
	{"infinity", "has no end", false},
	{" infinity ", "has no end", false},
	{"+5", `has no number at "+5"`, false},
	{"293y", "is longer than 292 years", false},
	{"200y 200y", "is longer than 292 years", false},
	{"9223372036854776us", "is longer than 292 years", false},
	{"99999999999999999999", "is longer than 292 years", true},
}

func TestParseDuration(t *testing.T) {
	for _, tc := range timeSpans {
		t.Run(tc.text, func(t *testing.T) {
			d, err := stateward.ParseDuration(tc.text)
			require.NoError(t, err)
			require.Equal(t, tc.want, d.Std())
		})
	}
	for _, tc := range noTimeSpans {
		t.Run("no "+tc.text, func(t *testing.T) {
			d, err := stateward.ParseDuration(tc.text)
			require.EqualError(t, err, "time span "+strconv.Quote(tc.text)+" "+tc.reason)
			var de *stateward.DurationError
			require.ErrorAs(t, err, &de)
			require.NotEmpty(t, de.Hint())
			require.Zero(t, d)
		})
	}
}

var microseconds = regexp.MustCompile(`(?m)^ *μs: (\d+)$`)

// timespan returns the microseconds that systemd reads from each text.
func timespan(t *testing.T, texts ...string) ([]int64, error) {
	out, err := exec.Command(program(t, "systemd-analyze"), append([]string{"timespan", "--"}, texts...)...).Output()
	var us []int64
	for _, m := range microseconds.FindAllStringSubmatch(string(out), -1) {
		n, perr := strconv.ParseInt(m[1], 10, 64)
		require.NoError(t, perr)
		us = append(us, n)
	}
	return us, err
}

func TestDurationAsSystemd(t *testing.T) {
	var texts []string
	var want []int64
	for _, tc := range timeSpans {
		texts = append(texts, tc.text)
		want = append(want, tc.want.Microseconds())
	}
	var refused []string
	for _, tc := range noTimeSpans {
		if tc.both {
			refused = append(refused, tc.text)
		}
	}
	for i := range 400 {
		text := spanText.Example(i)
		d, err := stateward.ParseDuration(text)
		switch {
		case err == nil:
			texts = append(texts, text)
			want = append(want, d.Std().Microseconds())
		case len(refused) < 80 && !strings.Contains(text, "+") && !strings.Contains(err.Error(), "292 years"):
			refused = append(refused, text)
		}
	}
	got, err := timespan(t, texts...)
	require.NoError(t, err, "systemd refuses one of what is accepted here")
	require.Len(t, got, len(want))
	for i, text := range texts {
		require.Equal(t, got[i], want[i], "%q", text)
	}
	for _, text := range refused {
		us, err := timespan(t, text)
		require.Error(t, err, "%q is %v for systemd", text, us)
	}
}

// spanText draws time spans and what is nearly one.
var spanText = rapid.Custom(func(t *rapid.T) string {
	part := rapid.Custom(func(t *rapid.T) string {
		n := rapid.StringMatching(`[0-9]{1,4}(\.[0-9]{1,8})?`).Draw(t, "number")
		blank := rapid.SampledFrom([]string{"", "", " ", "\t"}).Draw(t, "blank")
		unit := rapid.SampledFrom([]string{
			"", "s", "sec", "second", "seconds", "m", "min", "minute", "minutes", "h", "hr", "hour", "hours", "d", "day", "days",
			"w", "week", "weeks", "M", "month", "months", "ms", "msec", "us", "usec", "μs", "µs",
		}).Draw(t, "unit")
		return n + blank + unit
	})
	parts := rapid.SliceOfN(part, 1, 4).Draw(t, "parts")
	text := strings.Join(parts, rapid.SampledFrom([]string{" ", "  ", ""}).Draw(t, "between"))
	if rapid.IntRange(0, 3).Draw(t, "spoil") == 0 {
		i := rapid.IntRange(0, len(text)).Draw(t, "at")
		text = text[:i] + rapid.SampledFrom([]string{".", "-", "x", " ", "..", "e5"}).Draw(t, "by") + text[i:]
	}
	return text
})

func TestDurationString(t *testing.T) {
	for want, d := range map[string]time.Duration{
		"0": 0, "15min": 15 * time.Minute, "1d 2h": 26 * time.Hour, "1w 1d": 8 * day, "1us": time.Microsecond, "1s 500ms": 1500 * time.Millisecond,
	} {
		got, err := stateward.NewDuration(d)
		require.NoError(t, err)
		require.Equal(t, want, got.String())
	}
	t.Run("less than a microsecond is nothing", func(t *testing.T) {
		got, err := stateward.NewDuration(999)
		require.NoError(t, err)
		require.Equal(t, "0", got.String())
		require.Zero(t, got)
	})
	_, err := stateward.NewDuration(-1)
	require.EqualError(t, err, `time span "-1ns" is negative`)
}

func TestDurationLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkDuration(t, rapid.OneOf(spanText, rapid.String()).Draw(t, "text")) })
}

func FuzzParseDuration(f *testing.F) {
	for _, tc := range timeSpans {
		f.Add(tc.text)
	}
	for _, tc := range noTimeSpans {
		f.Add(tc.text)
	}
	f.Fuzz(func(t *testing.T, s string) { checkDuration(t, s) })
}

func checkDuration(t require.TestingT, s string) {
	d, err := stateward.ParseDuration(s)
	if err != nil {
		require.True(t, errors.As(err, new(*stateward.DurationError)))
		require.Zero(t, d)
		return
	}
	require.GreaterOrEqual(t, d.Std(), time.Duration(0))
	require.Zero(t, d.Std()%time.Microsecond)
	again, err := stateward.ParseDuration(d.String())
	require.NoError(t, err, "%q", d)
	require.Equal(t, d, again)
}
