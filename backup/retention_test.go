package backup_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stateward/stateward/backup"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// every makes n snapshots, one each step back from noon.
func every(step time.Duration, n int) []backup.Snapshot {
	var out []backup.Snapshot
	for i := range n {
		at := noon.Add(-time.Duration(i) * step)
		out = append(out, backup.Snapshot{ID: at.Format("01-02 15:04"), Time: at, Host: "forge", Paths: []string{"/srv"}})
	}
	return out
}

func TestR4ResticPolicy(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options []string
		history []backup.Snapshot
		want    []string
	}{
		{"the newest of each day, and the oldest of all", []string{"--keep-daily 3"}, every(12*time.Hour, 4),
			[]string{"11-22 12:00 [daily snapshot]", "11-21 12:00 [daily snapshot]", "11-21 00:00 [oldest daily snapshot]"}},
		{"one is enough when there are several rules", []string{"--keep-last=1", "-d", "1"}, every(time.Hour, 3), []string{"11-22 12:00 [last snapshot daily snapshot]"}},
		{"unlimited", []string{"--keep-hourly unlimited"}, every(30*time.Minute, 4), []string{"11-22 12:00 [hourly snapshot]", "11-22 11:30 [hourly snapshot]", "11-22 10:30 [hourly snapshot]"}},
		{"a span counts back from the newest", []string{"--keep-within 2h"}, every(time.Hour, 5), []string{"11-22 12:00 [within 2h]", "11-22 11:00 [within 2h]"}},
		{"tags", []string{"--keep-tag a,b", "--keep-last 1"}, []backup.Snapshot{
			{ID: "both", Time: noon.Add(-time.Hour), Tags: []string{"b", "a"}}, {ID: "one", Time: noon.Add(-2 * time.Hour), Tags: []string{"a"}}, {ID: "new", Time: noon}},
			[]string{"new [last snapshot]", "both [has tags [a, b]]"}},
		{"hosts apart", []string{"--keep-last 1"}, []backup.Snapshot{{ID: "1", Time: noon, Host: "attic"}, {ID: "2", Time: noon, Host: "forge"}}, []string{"1 [last snapshot]", "2 [last snapshot]"}},
		{"unscoped, a job removes another's", []string{"--keep-last 1", "--group-by="}, []backup.Snapshot{{ID: "1", Time: noon, Host: "attic"}, {ID: "2", Time: noon.Add(-time.Hour), Host: "forge"}}, []string{"1 [last snapshot]"}},
		{"days end where the snapshot was made", []string{"--keep-daily 5"}, []backup.Snapshot{
			{ID: "2", Time: time.Date(2026, 11, 22, 0, 30, 0, 0, time.FixedZone("", 3600))}, {ID: "1", Time: time.Date(2026, 11, 21, 23, 0, 0, 0, time.FixedZone("", 3600))}, {ID: "0", Time: noon.AddDate(0, 0, -9)}},
			[]string{"2 [daily snapshot]", "1 [daily snapshot]", "0 [daily snapshot]"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, others, err := backup.ParseResticPolicy(tc.options)
			require.NoError(t, err)
			require.Empty(t, others)
			d, err := p.Apply(tc.history, noon.Add(time.Minute))
			require.NoError(t, err)
			var got []string
			for _, k := range d.Keep {
				got = append(got, fmt.Sprint(k.ID, " ", k.Reasons))
			}
			require.Empty(t, cmp.Diff(tc.want, got))
			require.Len(t, d.Remove, len(tc.history)-len(got))
			again, _, err := backup.ParseResticPolicy(p.Options())
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(p, again))
		})
	}
}

func TestResticPolicyFaults(t *testing.T) {
	for option, want := range map[string]string{
		"--keep-daily":            "option --keep-daily has no value",
		"--keep-daily=many":       `option --keep-daily: "many" is neither a number nor "unlimited"`,
		"--keep-last -1":          `option --keep-last: "-1" is neither a number nor "unlimited"`,
		"--keep-within 3":         `option --keep-within: span "3" has no unit behind 3`,
		"--keep-within-daily 3w":  `option --keep-within-daily: span "3w" has the unit "w", which is none of y, m, d and h`,
		"--keep-within-daily -3d": `option --keep-within-daily: span "-3d" has no number at "-3d"`,
		"--group-by job":          `option --group-by: "job" is none of host, paths and tags`,
	} {
		_, _, err := backup.ParseResticPolicy([]string{option})
		require.EqualError(t, err, want)
	}
	p, others, err := backup.ParseResticPolicy([]string{"--prune", "--keep-daily 7", "--host=forge"})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]string{"--prune", "--host=forge"}, others))
	require.Equal(t, 7, p.Daily)

	_, err = backup.ResticPolicy{}.Apply(every(time.Hour, 2), noon)
	require.ErrorIs(t, err, backup.ErrNoPolicy)
	_, err = backup.ResticPolicy{Tags: [][]string{{"keep"}}}.Apply(every(time.Hour, 2), noon)
	require.EqualError(t, err, `the policy keeps no snapshot of group "host forge, path [/srv]", and restic refuses to forget`)
}

func TestChangeOfPolicyRemoves(t *testing.T) {
	gone, err := backup.Removed(backup.ResticPolicy{Daily: 7}, backup.ResticPolicy{Daily: 5}, every(24*time.Hour, 30), noon.Add(time.Minute))
	require.NoError(t, err)
	var got []string
	for _, s := range gone {
		got = append(got, s.ID)
	}
	require.Empty(t, cmp.Diff([]string{"11-17 12:00", "11-16 12:00"}, got))
}

// The order of the history does not matter; what is kept and removed is the history, nothing else; more of a kind keeps no less.
func TestRetentionInvariants(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		all := history(t, r, rapid.IntRange(0, 60).Draw(rt, "n"), noon)
		if len(all) > 3 { // the same instant
			all[1].Time, all[2].Time = all[0].Time, all[0].Time
		}
		p := policy(r, time.UTC)
		if rapid.Bool().Draw(rt, "some") {
			p.Last = 1
		}
		keep, remove, err := decided(p, all, noon)
		shuffled := slices.Clone(all)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		keep2, remove2, err2 := decided(p, shuffled, noon)
		require.Empty(rt, cmp.Diff(keep, keep2))
		require.Empty(rt, cmp.Diff(remove, remove2))
		require.Equal(rt, err, err2)
		if err != nil {
			require.Empty(rt, keep)
			require.Empty(rt, remove)
			return
		}
		require.Equal(rt, len(all), len(keep)+len(remove))
		more := p
		for _, n := range []*int{&more.Last, &more.Hourly, &more.Daily, &more.Weekly, &more.Monthly, &more.Yearly} {
			if *n > 0 {
				*n += rapid.IntRange(0, 3).Draw(rt, "more")
			}
		}
		gone, err := backup.Removed(p, more, all, noon)
		require.NoError(rt, err)
		// The oldest of all is kept only while a rule is not used up, and that may go either way.
		require.Empty(rt, gone, "%v to %v", p.Options(), more.Options())
	})
}

// A million snapshots in less than a second, and ten times as many in hardly more than ten times the time.
func BenchmarkRetention(b *testing.B) {
	p, _, err := backup.ParseResticPolicy([]string{"--keep-last 10", "--keep-hourly 48", "--keep-daily 30", "--keep-weekly 10", "--keep-monthly 24", "--keep-yearly 10", "--keep-within 7d"})
	require.NoError(b, err)
	many := make([]backup.Snapshot, 1_000_000)
	for i := range many {
		at := noon.Add(-time.Duration((i*7919)%1_000_000) * time.Minute)
		many[i] = backup.Snapshot{ID: fmt.Sprint(i), Time: at, Host: "forge", Paths: []string{"/srv", fmt.Sprintf("/var/lib/%d", i%50)}}
	}
	cpu := func() time.Duration { // of the process: the machine may be busy with others
		var u syscall.Rusage
		require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	measure := func(n int) time.Duration {
		best := time.Hour
		for range 3_000_000 / n {
			runtime.GC() // what another run left is not this one's
			start := cpu()
			d, err := p.Apply(many[:n], noon)
			require.NoError(b, err)
			require.Equal(b, n-len(d.Keep), len(d.Remove))
			best = min(best, cpu()-start)
		}
		return best
	}
	for b.Loop() {
		small, large := measure(100_000), measure(1_000_000)
		b.ReportMetric(float64(large.Milliseconds()), "cpu-ms/million")
		b.ReportMetric(float64(large)/float64(small), "ratio")
	}
}
