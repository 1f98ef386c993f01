package aggregate_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/backup/drill"
)

func TestSW320(t *testing.T) {
	now := time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)
	record := func(job string, days int, v drill.Verdict, message string) drill.Record {
		at := now.AddDate(0, 0, -days)
		return drill.Record{Job: job, Host: "forge", Every: "30d", Started: at, Ended: at, Verdict: v, Message: message}
	}
	of := func(r drill.Record, host string) drill.Record { r.Host = host; return r }
	for _, c := range []struct {
		name    string
		records []drill.Record
		want    []string
	}{
		{"never", nil, []string{"info: there is no record of a restore drill of restic job apps"}},
		{"in time", []drill.Record{record("apps", 29, drill.Passed, "")}, nil},
		{"by its host name", []drill.Record{of(record("apps", 29, drill.Passed, ""), "forge-1")}, nil},
		{"of another host", []drill.Record{of(record("apps", 2, drill.Passed, ""), "attic")}, []string{"info: there is no record of a restore drill of restic job apps"}},
		{"R13 overdue", []drill.Record{record("apps", 31, drill.Passed, ""), record("apps", 90, drill.Failed, "x")}, []string{
			"warning: the last restore drill of restic job apps that passed is of 2026-02-14, 31 days ago, and may be 30 days old"}},
		{"failed since", []drill.Record{record("apps", 9, drill.Passed, ""), record("apps", 1, drill.Failed, "restore: damaged")}, []string{
			"error: the newest restore drill of restic job apps, of 2026-03-16, failed: restore: damaged; the last that passed is of 2026-03-08"}},
		{"could not tell", []drill.Record{record("apps", 1, drill.Unknown, "sqlite: sqlite3 is not installed")}, []string{
			"warning: the newest restore drill of restic job apps, of 2026-03-16, could not tell: sqlite: sqlite3 is not installed; none ever passed"}},
		{"of a job that the configuration does not show", []drill.Record{record("apps", 1, drill.Passed, ""), record("other", 40, drill.Passed, "")}, []string{
			"warning: the last restore drill of job other that passed is of 2026-02-05, 40 days ago, and may be 30 days old"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := host(restic("apps", "b2:x:y", nil, "/srv/app"))
			h.Name, h.HostName = "forge", stateward.Known("forge-1", stateward.Origin{})
			got := func(in aggregate.Input) (out []string) {
				for _, d := range aggregate.Lint(in).Findings {
					if d.Code == "SW320" {
						out = append(out, fmt.Sprintf("%s: %s", d.Severity, d.Message))
					}
				}
				slices.Sort(out)
				return out
			}
			in := aggregate.Input{Host: h, Now: now, Drills: &aggregate.Drills{Records: c.records}}
			require.Empty(t, cmp.Diff(c.want, got(in)))
			in.Drills = nil
			require.Empty(t, got(in), "nobody looked")
		})
	}
}

// What the contract asks for goes, whatever the records say.
func TestR13SW320TakesWhatTheContractAsksFor(t *testing.T) {
	now := time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)
	passed := func(days int, every string) *aggregate.Drills {
		at := now.AddDate(0, 0, -days)
		return &aggregate.Drills{Records: []drill.Record{{Job: "apps", Host: "forge", Every: every, Started: at, Ended: at, Verdict: drill.Passed}}}
	}
	for name, c := range map[string]struct {
		own, host string
		drills    *aggregate.Drills
		want      []string
	}{
		"nobody looked":                   {"7d", "", nil, nil},
		"never":                           {"7d", "", &aggregate.Drills{}, []string{"warning: there is no record of a restore drill of backup job apps, and own.every asks for one every 7d"}},
		"never, as the host asks":         {"", "2w", &aggregate.Drills{}, []string{"warning: there is no record of a restore drill of backup job apps, and host.every asks for one every 2w"}},
		"more often than the record says": {"7d", "", passed(9, "30d"), []string{"warning: the last restore drill of backup job apps that passed is of 2026-03-08, 9 days ago, and may be 7 days old"}},
		"less often than the record says": {"60d", "30d", passed(40, "30d"), nil},
		"as the record says where it is no span": {"soon", "", passed(40, "30d"), []string{
			"warning: the last restore drill of backup job apps that passed is of 2026-02-05, 40 days ago, and may be 30 days old"}},
	} {
		t.Run(name, func(t *testing.T) {
			every := func(text, option string) map[string]stateward.Value[string] {
				if text == "" {
					return nil
				}
				return map[string]stateward.Value[string]{"drill.every": stateward.Known(text, stateward.Origin{Option: option + ".every"})}
			}
			h := host(func(h *stateward.Host) {
				h.BackupDefaults = &stateward.Job{Settings: every(c.host, "host")}
				h.Jobs = stateward.Known([]stateward.Job{{Name: "apps", Engine: "stateward", Asked: true, Settings: every(c.own, "own")}}, stateward.Origin{})
			})
			h.Name = "forge"
			var got []string
			for _, d := range aggregate.Lint(aggregate.Input{Host: h, Now: now, Drills: c.drills}).Findings {
				if d.Code == "SW320" {
					got = append(got, fmt.Sprintf("%s: %s", d.Severity, d.Message))
				}
			}
			require.Empty(t, cmp.Diff(c.want, got))
		})
	}
}

// A line names few checks, and counts many; all of them are in the JSON.
func TestSW603NamesTheChecks(t *testing.T) {
	for subject, want := range map[string]string{
		"services.a.dataDir": "needed by SW101, SW112, SW114, SW120",
		"fileSystems":        "needed by 21 checks of persistence and datasets (SW1xx, SW2xx)",
		"config":             "needed by every check",
	} {
		var said []stateward.Diagnostic
		for _, d := range aggregate.Lint(aggregate.Input{Host: host(unknowns(thrown(subject)))}).Findings {
			if d.Code == "SW603" {
				said = append(said, d)
			}
		}
		require.Len(t, said, 1, subject)
		require.True(t, strings.HasSuffix(said[0].Message, want), said[0].Message)
		if all := aggregate.NeededBy(subject); all != "every check" {
			require.Equal(t, all, strings.Join(said[0].NeededBy, ", "))
		} else {
			require.Empty(t, said[0].NeededBy)
		}
	}
	text, err := json.Marshal(stateward.Diagnostic{Code: "SW603", Severity: stateward.SeverityWarning, NeededBy: []string{"SW101"}})
	require.NoError(t, err)
	require.Contains(t, string(text), `"neededBy":["SW101"]`)
}

// Which jobs there are is needed only where records are compared with them.
func TestSW320NeedsTheJobs(t *testing.T) {
	h := host(unknowns(thrown("services.restic.backups")))
	said := func(in aggregate.Input) (out string) {
		for _, d := range aggregate.Lint(in).Findings {
			if d.Code == "SW603" {
				out += strings.Join(d.NeededBy, " ")
			}
		}
		return out
	}
	require.NotContains(t, said(aggregate.Input{Host: h}), "SW320")
	require.Contains(t, said(aggregate.Input{Host: h, Drills: &aggregate.Drills{}}), "SW320")
	for _, subject := range []string{"stateward.services.x.backup.drill.every", "stateward.backup.defaults"} {
		h := host(unknowns(thrown(subject)))
		require.NotContains(t, said(aggregate.Input{Host: h}), "SW320", subject)
		require.Contains(t, said(aggregate.Input{Host: h, Drills: &aggregate.Drills{}}), "SW320", subject)
	}
	below := host(unknowns(thrown("services.restic.backups.a.exclude")))
	require.NotContains(t, said(aggregate.Input{Host: below, Drills: &aggregate.Drills{}}), "SW320")
}
