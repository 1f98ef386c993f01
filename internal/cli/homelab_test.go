package cli

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/golden"
)

// The example shows each check of persistence once, and a sound host on which all are quiet.
func TestHomelab(t *testing.T) {
	out := checkJSON(t, t.TempDir(), filepath.Join(repository, "examples/homelab"))
	found := map[string]map[string]bool{}
	for _, h := range out.Hosts {
		found[h.Name] = map[string]bool{}
		for _, d := range h.Findings {
			found[h.Name][d.Code] = true
		}
	}
	codes := func(host string) []string { return slices.Sorted(maps.Keys(found[host])) }
	require.Empty(t, cmp.Diff([]string(nil), codes("forge")), "forge is sound")
	require.Empty(t, cmp.Diff([]string{"SW603"}, codes("cellar")), "cellar evaluates in part")
	require.Empty(t, cmp.Diff([]string{
		"SW101", "SW102", "SW103", "SW104", "SW105", "SW106", "SW107", "SW108", "SW109", "SW110", "SW111", "SW112", "SW113", "SW114",
		"SW215", "SW306", "SW601", "SW602", "SW604",
	}, codes("attic")), "attic walks into every trap")
	for _, h := range out.Hosts {
		want := stateward.StatusOK
		if h.Name == "cellar" {
			want = stateward.StatusPartial
		}
		require.Equal(t, want, h.Status, h.Name)
	}
}

// What a person reads is kept as it is, to be looked at when it changes.
func TestHomelabText(t *testing.T) {
	t.Chdir(repository)
	r := run(t, nil, "check", "examples/homelab", "--cache-dir", t.TempDir(), "--survival", "--quiet")
	require.Equal(t, StatusFindings, r.status)
	require.Empty(t, r.stderr)
	golden.Compare(t, "testdata/homelab/check.txt", []byte(r.stdout))
	require.False(t, strings.Contains(r.stdout, "\x1b"), "no colour where there is no terminal")
}
