package aggregate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// collected are the entries of a collection, one a line.
func collected(c aggregate.Collection) []string {
	var out []string
	for _, e := range c.Entries {
		out = append(out, entryLine(aggregate.ResolvedEntry{Entry: e, From: "|"}))
	}
	return out
}

func TestCollect(t *testing.T) {
	text := func(s string) stateward.Entry { return stateward.NewEntry(s, stateward.Directory, stateward.Origin{}) }
	disabled := contract("b", "/b")
	disabled.Enable = known(false)
	without := contract("b", "/b")
	without.Enable = stateward.Value[bool]{}
	backupOnly := contract("b", "/gone", "/b")
	backupOnly.DataDir = stateward.Value[stateward.Entry]{}
	for _, tc := range []struct {
		name     string
		own      []stateward.Entry
		services []stateward.Service
		want     []string
	}{
		{"nothing", nil, nil, nil},
		{"data directory, then backup paths", nil, []stateward.Service{contract("a", "/z", "/y", "/x")}, []string{"/z |", "/y |", "/x |"}},
		{"services by name, as bytes", nil, []stateward.Service{contract("b", "/1"), contract("a", "/2"), contract("B", "/3"), contract("é", "/4"), contract("a-b", "/5")},
			[]string{"/3 |", "/2 |", "/5 |", "/1 |", "/4 |"}},
		{"disabled service yields nothing", nil, []stateward.Service{contract("a", "/a"), disabled}, []string{"/a |"}},
		{"service without enable yields nothing", nil, []stateward.Service{contract("a", "/a"), without}, []string{"/a |"}},
		{"service of another dialect yields nothing", nil, []stateward.Service{{Name: "a", Enable: known(true), State: known([]stateward.StatePath{{Entry: text("/a")}})}}, nil},
		{"only backup paths", nil, []stateward.Service{backupOnly}, []string{"/b |"}},
		{"first occurrence is kept", nil, []stateward.Service{contract("b", "/x", "/y"), contract("a", "/y", "/z", "/y")}, []string{"/y |", "/z |", "/x |"}},
		{"host's own entries stand first, untouched", []stateward.Entry{text("/y"), text("/y"), text("/q")}, []stateward.Service{contract("a", "/y")},
			[]string{"/y |", "/y |", "/q |", "/y |"}},
		{"spellings differ", nil, []stateward.Service{contract("a", "/x", "/x/", "//x")}, []string{"/x |", "/x/ |", "//x |"}},
		{"what is no path is collected all the same", nil, []stateward.Service{contract("a", "", "rel", "/a/../b")}, []string{" |", "rel |", "/a/../b |"}},
		{"P2 nested paths both stay", nil, []stateward.Service{contract("a", "/x", "/x/y")}, []string{"/x |", "/x/y |"}},
		{"P2 text and set both stay", nil, []stateward.Service{contract("a", "/x", owned("/x", "a", "", ""))}, []string{"/x |", "/x user=a |"}},
		{"P10 sets that differ both stay", nil, []stateward.Service{contract("a", owned("/x", "a", "a", "0700"), owned("/x", "a", "a", "0750"), owned("/x", "a", "a", "0700"))},
			[]string{"/x user=a group=a mode=0700 |", "/x user=a group=a mode=0750 |"}},
		{"a user whose name is a word of ours", nil, []stateward.Service{contract("a", owned("/x", "absent", "a", ""), owned("/x", "", "a", ""))},
			[]string{"/x user=absent group=a |", "/x group=a |"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := aggregate.Collect(tc.own, tc.services)
			require.Empty(t, cmp.Diff(tc.want, collected(c)))
			require.Equal(t, len(tc.own), c.Own)
			require.Len(t, c.Collected(), len(tc.want)-len(tc.own))
			require.Empty(t, c.Unknown)
		})
	}
	t.Run("what is unknown is reported and the rest is collected", func(t *testing.T) {
		enable, dir, backup := contract("a", "/a"), contract("b", "/gone", "/b"), contract("c", "/c")
		enable.Enable = unknown[bool]("a.enable")
		dir.DataDir = unknown[stateward.Entry]("b.dataDir")
		backup.BackupPaths = unknown[[]stateward.Entry]("c.backupPaths")
		off := contract("d", "/d")
		off.Enable, off.DataDir = known(false), unknown[stateward.Entry]("d.dataDir")
		c := aggregate.Collect(nil, []stateward.Service{enable, dir, backup, off})
		require.Empty(t, cmp.Diff([]string{"/b |", "/c |"}, collected(c)))
		require.Empty(t, cmp.Diff([]stateward.Unknown{thrown("a.enable"), thrown("b.dataDir"), thrown("c.backupPaths")}, c.Unknown))
	})
	t.Run("arguments are not changed", func(t *testing.T) {
		own := make([]stateward.Entry, 1, 10)
		own[0] = text("/own")
		aggregate.Collect(own, []stateward.Service{contract("a", "/a")})
		require.Empty(t, own[:2][1].Text)
	})
}
