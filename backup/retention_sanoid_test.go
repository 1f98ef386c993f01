package backup_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stateward/stateward/backup"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// sanoidOf returns a folder with sanoid's script, what it needs of Perl, and its defaults: STATEWARD_TEST_SANOID, or the system's.
func sanoidOf(t *testing.T) string {
	t.Helper()
	root := os.Getenv("STATEWARD_TEST_SANOID")
	if root == "" {
		root = "/"
	}
	require.FileExists(t, filepath.Join(root, "usr/sbin/sanoid"), "sanoid is needed to compare with; run: make deps, or eval \"$(scripts/deps.sh --versions)\"")
	return root
}

// prune has the real script decide, over a `zfs` that lists what the test made up, at a time that the test says. Of the script only the
// place of its defaults is changed. It removes nothing (--readonly) and says what it would.
func prune(t *testing.T, conf string, history []backup.Snapshot, now time.Time) []string {
	root, dir := sanoidOf(t), t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), mode))
		return path
	}
	script, err := os.ReadFile(filepath.Join(root, "usr/sbin/sanoid"))
	require.NoError(t, err)
	const defaults = "/usr/share/sanoid/sanoid.defaults.conf"
	require.Contains(t, string(script), defaults)
	program := write("sanoid", strings.Replace(string(script), defaults, filepath.Join(root, defaults), 1), 0o755)
	var list strings.Builder
	for _, s := range history {
		fmt.Fprintf(&list, "%s\tcreation\t%d\t-\n", s.ID, s.Time.Unix())
	}
	listed := write("list", list.String(), 0o644)
	write("bin/zfs", "#!/bin/sh\ncase \"$*\" in\n'get -Hrpt snapshot creation') cat '"+listed+"' ;;\n*) echo \"zfs $*\" >&2; exit 1 ;;\nesac\n", 0o755)
	write("lib/Fixed.pm", "package Fixed;\nBEGIN { *CORE::GLOBAL::time = sub () { $ENV{FIXED} } }\n1;\n", 0o644)
	write("etc/sanoid.conf", conf, 0o644)
	cmd := exec.Command("perl", "-I"+filepath.Join(dir, "lib"), "-I"+filepath.Join(root, "usr/share/perl5"), "-MFixed", program,
		"--configdir="+filepath.Join(dir, "etc"), "--cache-dir="+filepath.Join(dir, "cache"), "--run-dir="+filepath.Join(dir, "run"),
		"--prune-snapshots", "--force-prune", "--readonly", "--verbose")
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+":"+os.Getenv("PATH"), fmt.Sprintf("FIXED=%d", now.Unix()))
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(t, err, "%s", errs.String())
	require.Empty(t, errs.String())
	var pruned []string
	for _, line := range strings.Split(string(out), "\n") {
		if rest, ok := strings.CutPrefix(line, "INFO: pruning "); ok && strings.Contains(rest, "@") {
			pruned = append(pruned, strings.TrimSuffix(rest, " ... "))
		}
	}
	slices.Sort(pruned)
	return pruned
}

func sanoidHistory(r *rand.Rand, dataset string, n int) []backup.Snapshot {
	periods := map[string]time.Duration{"frequently": 15 * time.Minute, "hourly": time.Hour, "daily": 24 * time.Hour, "weekly": 7 * 24 * time.Hour,
		"monthly": 31 * 24 * time.Hour, "yearly": 366 * 24 * time.Hour, "minutely": time.Hour, "manual": time.Hour}
	var out []backup.Snapshot
	for kind, period := range periods {
		at := noon
		for range r.IntN(n) {
			at = at.Add(-period)
			if r.IntN(5) == 0 {
				at = at.Add(-time.Duration(r.Int64N(int64(3 * period)))).Truncate(time.Second)
			}
			if at.Year() < 1971 { // what ZFS cannot have
				break
			}
			name := at.Format("autosnap_2006-01-02_15:04:05_") + kind
			switch r.IntN(30) {
			case 0:
				name = "syncoid_forge_" + name
			case 1:
				name = at.Format("autosnap_2006-01-02_15:04:05dst_") + kind
			}
			out = append(out, backup.Snapshot{ID: dataset + "@" + name, Time: at})
		}
	}
	slices.SortFunc(out, func(a, b backup.Snapshot) int { return strings.Compare(a.ID, b.ID) })
	return out
}

// The same snapshots are pruned as by sanoid itself, of twenty datasets, each with settings of its own.
func TestS1RetentionEqualsSanoid(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 22))
	var conf strings.Builder
	var all []backup.Snapshot
	var want []string
	policies := map[string]backup.SanoidPolicy{}
	for i := range 20 {
		dataset := fmt.Sprintf("tank/%d", i)
		settings := map[string]string{}
		for _, key := range []string{"frequently", "hourly", "daily", "weekly", "monthly", "yearly"} {
			if r.IntN(3) > 0 {
				settings[key] = fmt.Sprint(r.IntN(3) * r.IntN(30))
			}
		}
		if r.IntN(8) == 0 {
			settings["autoprune"] = []string{"no", "yes", "off", "1"}[r.IntN(4)]
		}
		if r.IntN(4) == 0 {
			settings["frequent_period"] = "5"
		}
		fmt.Fprintf(&conf, "[%s]\n", dataset)
		for key, val := range settings {
			fmt.Fprintf(&conf, "\t%s = %s\n", key, val)
		}
		p, others, err := backup.ParseSanoidPolicy(settings)
		require.NoError(t, err)
		require.Empty(t, others)
		policies[dataset] = p
		history := sanoidHistory(r, dataset, 1+r.IntN(60))
		all = append(all, history...)
		_, remove, err := decided(p, history, noon)
		require.NoError(t, err)
		want = append(want, remove...)
	}
	slices.Sort(want)
	got := prune(t, conf.String(), all, noon)
	require.Empty(t, cmp.Diff(got, want), "sanoid: -, here: +")
	require.Greater(t, len(got), 300)
	t.Logf("%d snapshots, %d pruned", len(all), len(got))
}

func TestS1SanoidPolicy(t *testing.T) {
	of := func(kind string, step time.Duration, n int) []backup.Snapshot {
		var out []backup.Snapshot
		for i := range n {
			at := noon.Add(-time.Duration(i)*step - time.Minute)
			out = append(out, backup.Snapshot{ID: "tank@autosnap_" + at.Format("01-02_15:04_") + kind, Time: at})
		}
		return out
	}
	for _, tc := range []struct {
		name     string
		settings map[string]string
		history  []backup.Snapshot
		keep     []string
		removed  int
	}{
		{"both too old and too many", map[string]string{"daily": "2"}, of("daily", 24*time.Hour, 4), []string{
			"tank@autosnap_11-22_11:59_daily[daily snapshot, younger than 2 × 1d]", "tank@autosnap_11-21_11:59_daily[daily snapshot, younger than 2 × 1d]"}, 2},
		{"old, but not too many", map[string]string{"daily": "2"}, of("daily", 24*7*time.Hour, 2), []string{
			"tank@autosnap_11-22_11:59_daily[daily snapshot, younger than 2 × 1d]", "tank@autosnap_11-15_11:59_daily[one of the last 2 daily snapshots]"}, 0},
		{"too many, but young", map[string]string{"daily": "1"}, of("daily", 12*time.Hour, 2), []string{
			"tank@autosnap_11-22_11:59_daily[daily snapshot, younger than 1 × 1d]", "tank@autosnap_11-21_23:59_daily[daily snapshot, younger than 1 × 1d]"}, 0},
		{"zero removes all at once", map[string]string{"daily": "0"}, of("daily", time.Hour, 3), nil, 3},
		{"what is not set is kept for long", nil, of("daily", 24*time.Hour, 100), nil, 10},
		{"another's", map[string]string{"daily": "0"}, []backup.Snapshot{{ID: "tank@zrepl_1", Time: noon.AddDate(-1, 0, 0)}}, []string{"tank@zrepl_1[not made by sanoid]"}, 0},
		{"off", map[string]string{"daily": "0", "autoprune": "no"}, of("daily", time.Hour, 1), []string{"tank@autosnap_11-22_11:59_daily[autoprune is off]"}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p, _, err := backup.ParseSanoidPolicy(tc.settings)
			require.NoError(t, err)
			keep, remove, err := decided(p, tc.history, noon)
			require.NoError(t, err)
			slices.Sort(tc.keep)
			if tc.keep != nil || tc.removed == len(tc.history) {
				require.Empty(t, cmp.Diff(tc.keep, keep))
			}
			require.Len(t, remove, tc.removed)
		})
	}
	for key, want := range map[string]string{
		"minutely":  `sanoid has no "minutely": what comes several times an hour is "frequently"`,
		"daily":     `sanoid's daily is "x", which is no number`,
		"autoprune": `sanoid's autoprune is "x", which is neither yes nor no`,
	} {
		_, _, err := backup.ParseSanoidPolicy(map[string]string{key: "x"})
		require.EqualError(t, err, want)
	}
	_, others, err := backup.ParseSanoidPolicy(map[string]string{"recursive": "yes", "daily": "3"})
	require.NoError(t, err)
	require.Equal(t, []string{"recursive"}, others)
}

func TestSanoidInvariants(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		all := append(sanoidHistory(r, "tank/a", 20), sanoidHistory(r, "tank/b", 20)...)
		n := rapid.IntRange(0, 30)
		p := backup.SanoidPolicy{Hourly: n.Draw(rt, "hourly"), Daily: n.Draw(rt, "daily"), Monthly: n.Draw(rt, "monthly"), FrequentPeriod: 15, AutoPrune: true}
		keep, remove, err := decided(p, all, noon)
		require.NoError(rt, err)
		require.Equal(rt, len(all), len(keep)+len(remove))
		shuffled := slices.Clone(all)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		keep2, _, err := decided(p, shuffled, noon)
		require.NoError(rt, err)
		require.Empty(rt, cmp.Diff(keep, keep2))
		more := p
		more.Hourly += n.Draw(rt, "more")
		more.Daily += n.Draw(rt, "more")
		gone, err := backup.Removed(p, more, all, noon)
		require.NoError(rt, err)
		require.Empty(rt, gone)
	})
}
