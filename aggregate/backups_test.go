package aggregate_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// said are the findings of one check, on one line each.
func said(h *stateward.Host, code string) []string {
	var out []string
	for _, d := range aggregate.Lint(aggregate.Input{Host: h}).Findings {
		if d.Code == code {
			out = append(out, fmt.Sprintf("%s %s: %s", d.Severity, d.Subject, d.Message))
		}
	}
	return out
}

func TestSW301(t *testing.T) {
	require.Empty(t, said(host(), "SW301"))
	const subject = `services.sanoid.datasets."tank/a"`
	for _, tc := range []struct {
		name  string
		parts []part
		want  []string
	}{
		{"S1 nothing is set", []part{sanoid("tank/a", "no")}, []string{"info " + subject + ": sanoid keeps 48 hourly, 90 daily, 6 monthly snapshots of tank/a by its own defaults, which no setting names"}},
		{"S1 monthly is forgotten", []part{sanoid("tank/a", "no", "hourly=24", "daily=7")}, []string{"info " + subject + ": sanoid keeps 6 monthly snapshots of tank/a by its own defaults, which no setting names"}},
		{"S1 all are set", []part{sanoid("tank/a", "no", "hourly=24", "daily=7", "monthly=0")}, nil},
		{"S1 all are 0", []part{sanoid("tank/a", "no", "hourly=0", "daily=0", "monthly=0")}, []string{"warning " + subject + ": sanoid takes snapshots of tank/a and keeps none of any kind"}},
		{"S2 all are 0 below an atomic one", []part{sanoid("tank", "zfs", "hourly=24", "daily=0", "monthly=0"), sanoid("tank/a", "no", "hourly=0", "autosnap=false")}, []string{"warning " + subject + ": the snapshot policy of tank takes snapshots of tank/a too (recursive = zfs), and the snapshot policy of tank/a keeps none of them"}},
		{"S2 the atomic one takes none", []part{sanoid("tank", "zfs", "hourly=24", "daily=0", "monthly=0", "process_children_only=true"), sanoid("tank/a", "no", "hourly=0")}, []string{"warning services.sanoid.datasets.tank: sanoid takes no snapshots of tank and of what is below: with process_children_only it passes over the one dataset by which recursive = zfs takes all"}},
		{"S1 all are 0 and none are taken", []part{sanoid("tank/a", "no", "hourly=0", "daily=0", "monthly=0", "autosnap=false")}, nil},
		{"S1 it only prunes", []part{sanoid("tank/a", "no", "autosnap=no")}, nil},
		{"S1 minutely is no key", []part{sanoid("tank/a", "no", "minutely=5")}, []string{"warning " + subject + `: the snapshot policy of tank/a: sanoid has no "minutely": what comes several times an hour is "frequently"`}},
		{"S1 a setting that could not be had", []part{func(h *stateward.Host) {
			push(&h.Snapshots, stateward.SnapshotPolicy{Name: "tank/a", Settings: map[string]stateward.Value[string]{"hourly": unknown[string]("x")}})
		}}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, said(host(tc.parts...), "SW301")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSW302(t *testing.T) {
	require.Empty(t, said(host(), "SW302"))
	prune := func(options ...string) func(*stateward.Job) {
		return func(j *stateward.Job) { j.Prune = known(options) }
	}
	const repo = "sftp:nas:/r"
	long := restic("long", repo, prune("--keep-monthly 24"), "/a")
	harm := func(n int, who string) []string {
		return []string{fmt.Sprintf("warning services.restic.short: restic job short forgets in all of sftp:nas:/r by its own policy, and so removes what %s there: %d of three years' daily snapshots", who, n)}
	}
	short := restic("short", repo, prune("--keep-daily 7"), "/b")
	for _, tc := range []struct {
		name  string
		parts []part
		want  []string
	}{
		{"R4 the shortest policy hits the other", []part{restic("long", repo, prune("--keep-daily 7", "--keep-monthly 24"), "/a"), short}, harm(22, "long keeps")},
		{"R4 the other removes nothing itself", []part{restic("long", repo, nil, "/a"), short}, harm(1088, "long keeps")},
		{"R4 of several", []part{restic("b", repo, nil, "/a"), restic("a", repo, nil, "/a"), short}, harm(1088, "a, b keep")},
		{"R4 one policy", []part{short, restic("other", repo, prune("--keep-daily=7"), "/a")}, nil},
		{"R4 scoped by a tag", []part{long, restic("short", repo, prune("--keep-daily 7", "--tag x"), "/b"), restic("none", "sftp:nas:/other", nil, "/c")}, []string{
			"warning services.restic.long: restic job long forgets in all of sftp:nas:/r by its own policy, and so removes what short keeps there: 5 of three years' daily snapshots"}},
		{"R4 repositories of their own", []part{long, restic("short", "sftp:nas:/s", prune("--keep-daily 7"), "/b")}, nil},
		{"R4 a policy that could not be had", []part{restic("long", repo, func(j *stateward.Job) { j.Prune = unknown[[]string]("x") }, "/a"), short}, nil},
		{"R4 one is only asked for", []part{restic("long", repo, func(j *stateward.Job) { j.Asked = true }, "/a"), short}, nil},
		{"R4 where they store is not known", []part{restic("long", "$REPO", nil, "/a"), restic("short", "$REPO", prune("--keep-daily 7"), "/b")}, nil},
		{"R4 borg has archives of its own", []part{job("borg", "a", "nas:r", nil, "/a"), job("borg", "b", "nas:r", prune("keep-daily 7"), "/b")}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, said(host(tc.parts...), "SW302")); diff != "" {
				t.Error(diff)
			}
		})
	}
}
