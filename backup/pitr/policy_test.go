package pitr

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
)

func TestReadPolicy(t *testing.T) {
	const whole = `{"cluster": {"dataDir": "/srv/pg"}, "destination": "s3://b/pg", "server": "main", "window": "14d", "archiveTimeout": "1min 30s"}`
	p, err := ReadPolicy([]byte(whole), stateward.ZoneFunc(time.LoadLocation))
	require.NoError(t, err)
	require.Equal(t, 14*24*time.Hour, p.Window.Std())
	require.Equal(t, 90*time.Second, p.ArchiveTimeout.Std())
	text, err := json.Marshal(p)
	require.NoError(t, err)
	require.Contains(t, string(text), `"window":"2w"`)
	again, err := ReadPolicy(text, stateward.ZoneFunc(time.LoadLocation))
	require.NoError(t, err)
	require.Equal(t, p, again)
	zoned, err := ReadPolicy([]byte(strings.Replace(whole, `"window"`, `"schedule": ["03:00 Europe/Berlin"], "window"`, 1)), stateward.ZoneFunc(time.LoadLocation))
	require.NoError(t, err)
	summer := time.Date(2026, 10, 24, 1, 30, 0, 0, time.UTC)
	every, late := zoned.Late(summer, summer.Add(26*time.Hour), stateward.ZoneFunc(time.LoadLocation))
	require.Equal(t, "1d 1h 1min", spanText(every), "the day on which the clock is put back has 25 hours")
	require.False(t, late)
	_, late = zoned.Late(summer, summer.Add(27*time.Hour), stateward.ZoneFunc(time.LoadLocation))
	require.True(t, late)
	for _, tc := range []struct{ name, from, to, want string }{
		{"unknown field", `"server"`, `"servers": 1, "server"`, `line 1: "servers" is no field`},
		{"field below", `"dataDir"`, `"datadirs": 1, "dataDir"`, `line 1: "cluster.datadirs" is no field`},
		{"number", `"14d"`, `1209600000000000`, "line 1: window is a number where a text is expected"},
		{"duration", `"14d"`, `"a fortnight"`, `window: time span "a fortnight" has no number at "a fortnight"`},
		{"another duration", `"1min 30s"`, `"2 mins"`, `archiveTimeout: time span "2 mins" has an unknown unit "mins"`},
		{"duration below", `"window"`, `"drill": {"every": "never"}, "window"`, `drill.every: time span "never" has no number at "never"`},
		{"no window", `"14d"`, `"0"`, "window of 0 is none"},
		{"window without a unit", `"14d"`, `"14"`, "window of 14s is less than an hour"},
		{"archive_timeout without a second", `"1min 30s"`, `"500ms"`, "archiveTimeout is less than a second"},
		{"no URL", `s3://b/pg`, `/srv/backup`, `destination "/srv/backup" is no URL of a store of aws-s3`},
		{"no bucket", `s3://b/pg`, `s3:///pg`, `destination "s3:///pg" is no URL of a store of aws-s3`},
		{"another kind of store", `s3://b/pg`, `ftp://b/pg`, `destination "ftp://b/pg" is no URL of a store of aws-s3`},
		{"store of another cloud", `"destination": "s3://b/pg"`, `"cloud": "google-cloud-storage", "destination": "b/pg"`, `destination "b/pg" is no URL of a store of google-cloud-storage`},
		{"port", `"dataDir"`, `"port": 70000, "dataDir"`, "cluster.port 70000 is no port"},
		{"no destination", `s3://b/pg`, ``, "destination is missing"},
		{"no server", `"main"`, `""`, "server is missing"},
		{"server", `"main"`, `"-v"`, `server "-v" is no name of a server`},
		{"data directory", `"/srv/pg"`, `"pg"`, `cluster.dataDir "pg" is no absolute path`},
		{"no data directory", `"/srv/pg"`, `""`, "cluster.dataDir is missing"},
		{"name", `"/srv/pg"`, `"/srv/pg", "name": "../pg"`, `cluster.name "../pg" is no name`},
		{"provider", `"window"`, `"provider": "wal-g", "window"`, `provider "wal-g" is not known`},
		{"compression", `"window"`, `"compression": "zip", "window"`, `compression "zip" is not known`},
		{"redundancy", `"window"`, `"redundancy": -1, "window"`, "redundancy is less than zero"},
		{"drill", `"window"`, `"drill": {"every": "1h"}, "window"`, "drill.every is less than a day"},
		{"notification", `"window"`, `"notify": {"onFailure": "Mail"}, "window"`, `notify.onFailure is "Mail", which is no name of a template`},
		{"metrics", `"window"`, `"metricsDir": "metrics", "window"`, `metricsDir "metrics" is no absolute path`},
		{"schedule", `"window"`, `"schedule": ["daily", "at noon"], "window"`, `schedule: calendar event "at noon", character 4: "noon" is no known time zone`},
		{"schedule in a zone that is none", `"window"`, `"schedule": ["03:00 Europe/Berln"], "window"`, `schedule: calendar event "03:00 Europe/Berln", character 7: "Europe/Berln" is no known time zone`},
		{"two", whole, whole + whole, "line 1: there is more behind its JSON"},
		{"empty", whole, "", "is empty"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ReadPolicy([]byte(strings.Replace(whole, tc.from, tc.to, 1)), stateward.ZoneFunc(time.LoadLocation))
			require.EqualError(t, err, tc.want)
		})
	}
}

// What is printed of a window is inside of it, and what is told to the server at its end lets it come there.
func TestG2TheEndsOfAWindowAsTheyArePrinted(t *testing.T) {
	from := time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	r := Range{Timeline: 1, From: from, To: from.Add(3*time.Hour + 42*time.Microsecond), Exact: true}
	require.Equal(t, "2026-03-01T12:00:00.123456Z to 2026-03-01T15:00:00.123498Z on timeline 1", r.String())
	at := func(text string) Target {
		target, err := ParseTarget(text)
		require.NoError(t, err)
		return target
	}
	end := Recovery{Timeline: 1, Range: r, Target: at("2026-03-01T16:00:00.123498+01:00")}
	require.True(t, end.Whole())
	for _, s := range end.Settings("true") {
		require.NotEqual(t, "recovery_target_time", s.Name)
	}
	before := Recovery{Timeline: 1, Range: r, Target: at("2026-03-01T15:00:00.123497Z")}
	require.False(t, before.Whole())
	require.Contains(t, before.Settings("true"), Setting{"recovery_target_time", "2026-03-01 15:00:00.123497+00"})
}
