package dataset_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/nixtest"
	"github.com/stateward/stateward/internal/syntax/nix"
)

// D5: every value of a profile is one that zfs takes, for a reason that has a source.
func TestProfiles(t *testing.T) {
	got := map[string]string{}
	for _, p := range dataset.Profiles() {
		require.NotContains(t, got, p.Name)
		require.NotEmpty(t, p.For, p.Name)
		text, last := "", ""
		for _, pp := range p.Properties {
			require.Less(t, last, pp.Property, "%s: once each, in order", p.Name)
			last = pp.Property
			s, err := dataset.ParseSetting(pp.Property, pp.Value, dataset.Filesystem)
			require.NoError(t, err, p.Name)
			require.Equal(t, pp.Value, s.Text(), p.Name)
			require.NotEmpty(t, pp.Reason, "%s %s", p.Name, pp.Property)
			require.NotEmpty(t, pp.Source, "%s %s", p.Name, pp.Property)
			text += " " + s.String()
		}
		require.Len(t, p.Settings(), len(p.Properties))
		got[p.Name] = text
		if p.Extends != "" {
			_, ok := dataset.LookupProfile(p.Extends)
			require.True(t, ok, p.Extends)
		}
		if p.Misfit == nil {
			continue
		}
		for _, bound := range []string{p.Misfit.Above, p.Misfit.Below} {
			if bound != "" {
				_, err := dataset.ParseSetting("recordsize", bound, dataset.Filesystem)
				require.NoError(t, err, p.Name)
			}
		}
		require.NotEmpty(t, p.Misfit.Effect, p.Name)
		for _, s := range p.Settings() {
			if s.Name() == "recordsize" {
				size, err := dataset.ParseSize(s.Value())
				require.NoError(t, err)
				_, misfits := p.Misfits(size)
				require.False(t, misfits, "%s fits itself", p.Name)
			}
		}
	}
	require.Empty(t, cmp.Diff(map[string]string{
		"general":         " compression=zstd recordsize=128K",
		"git":             " atime=off compression=lz4 recordsize=128K",
		"containers":      " atime=off compression=zstd recordsize=128K",
		"sqlite":          " compression=zstd recordsize=16K",
		"postgresql-data": " compression=lz4 recordsize=8K",
		"postgresql-wal":  " compression=zstd recordsize=128K",
		"innodb":          " compression=lz4 recordsize=16K",
		"media":           " atime=off compression=lz4 recordsize=1M",
		"torrent":         " atime=off compression=lz4 recordsize=16K",
		"vm-image":        " compression=lz4 recordsize=16K",
		"metrics":         " atime=off compression=zstd recordsize=128K",
		"mail":            " atime=on compression=zstd recordsize=128K relatime=on",
	}, got))
	_, ok := dataset.LookupProfile("nope")
	require.False(t, ok)
}

func TestProfileMisfits(t *testing.T) {
	for _, tc := range []struct {
		profile, recordsize string
		want                bool
	}{
		{"postgresql-data", "8K", false}, {"postgresql-data", "32K", false}, {"postgresql-data", "128K", false}, {"postgresql-data", "256K", true}, {"postgresql-data", "1M", true},
		{"sqlite", "128K", false}, {"sqlite", "1M", true}, {"sqlite", "4K", false},
		{"media", "16K", true}, {"media", "64K", false}, {"media", "16M", false},
		{"general", "1M", false},
	} {
		p, ok := dataset.LookupProfile(tc.profile)
		require.True(t, ok)
		size, err := dataset.ParseSize(tc.recordsize)
		require.NoError(t, err)
		_, got := p.Misfits(size)
		require.Equal(t, tc.want, got, "%s %s", tc.profile, tc.recordsize)
	}
}

// What is handed out can be changed without changing what the next one gets.
func TestProfilesAreCopies(t *testing.T) {
	p, _ := dataset.LookupProfile("sqlite")
	p.Properties[0].Value = "changed"
	again, _ := dataset.LookupProfile("sqlite")
	require.NotEqual(t, "changed", again.Properties[0].Value)
}

// Nix reads the same values.
func TestProfilesAsNix(t *testing.T) {
	var want any
	require.NoError(t, json.Unmarshal(dataset.ProfilesJSON(), &want))
	for _, n := range nixtest.All(t) {
		t.Run(n.Name, func(t *testing.T) {
			var got any
			n.JSON(t, "builtins.fromJSON "+nix.String(string(dataset.ProfilesJSON())), &got)
			require.Empty(t, cmp.Diff(want, got))
		})
	}
}
