package stateward_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
)

func TestAddUnknown(t *testing.T) {
	a := stateward.Unknown{Subject: "a", Kind: stateward.UnknownThrow}
	b := stateward.Unknown{Subject: "b", Kind: stateward.UnknownType, Message: "x"}
	t.Run("sorted, each once, and the host is partial", func(t *testing.T) {
		h := stateward.Host{Status: stateward.StatusOK}
		h.AddUnknown(b, a)
		h.AddUnknown(b)
		require.Empty(t, cmp.Diff([]stateward.Unknown{a, b}, h.Unknown))
		require.Equal(t, stateward.StatusPartial, h.Status)
	})
	t.Run("nothing unknown changes nothing", func(t *testing.T) {
		h := stateward.Host{Status: stateward.StatusOK}
		h.AddUnknown()
		require.Equal(t, stateward.StatusOK, h.Status)
	})
	t.Run("a failed host stays failed", func(t *testing.T) {
		h := stateward.Host{Status: stateward.StatusFailed}
		h.AddUnknown(a)
		require.Equal(t, stateward.StatusFailed, h.Status)
	})
}

func TestIsBind(t *testing.T) {
	options := func(o ...string) stateward.FileSystem {
		return stateward.FileSystem{Options: stateward.Known(o, stateward.Origin{})}
	}
	require.True(t, options("bind").IsBind())
	require.True(t, options("ro", "rbind").IsBind())
	require.False(t, options("binder").IsBind())
	require.False(t, stateward.FileSystem{}.IsBind())
}

func TestStatePaths(t *testing.T) {
	one := []stateward.StatePath{{Source: stateward.SourceDataDir}}
	for _, tc := range []struct {
		name     string
		service  stateward.Service
		want     []stateward.StatePath
		complete bool
	}{
		{"known", stateward.Service{State: stateward.Known(one, stateward.Origin{})}, one, true},
		{"absent is complete", stateward.Service{}, nil, true},
		{"unknown with a part", stateward.Service{State: stateward.NotKnown[[]stateward.StatePath](stateward.Unknown{}), StateSeen: one}, one, false},
		{"unknown", stateward.Service{State: stateward.NotKnown[[]stateward.StatePath](stateward.Unknown{})}, nil, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, complete := tc.service.StatePaths()
			require.Equal(t, tc.want, got)
			require.Equal(t, tc.complete, complete)
		})
	}
}

func TestSeverity(t *testing.T) {
	for _, s := range []stateward.Severity{stateward.SeverityInfo, stateward.SeverityWarning, stateward.SeverityError} {
		b, err := s.MarshalText()
		require.NoError(t, err)
		var back stateward.Severity
		require.NoError(t, back.UnmarshalText(b))
		require.Equal(t, s, back)
	}
	for _, s := range []stateward.Severity{0, 4} {
		_, err := s.MarshalText()
		require.Error(t, err, "an unknown severity is loud")
	}
	require.Equal(t, "severity(4)", stateward.Severity(4).String())
	_, err := stateward.ParseSeverity("Error")
	require.EqualError(t, err, `severity "Error" is none of info, warning, error`)
	var s stateward.Severity
	require.Error(t, s.UnmarshalText(nil))
}

func TestCompareDiagnostics(t *testing.T) {
	want := []stateward.Diagnostic{
		{Severity: stateward.SeverityError, Code: "SW101", Subject: "a", Path: "/a"},
		{Severity: stateward.SeverityError, Code: "SW101", Subject: "a", Path: "/b"},
		{Severity: stateward.SeverityError, Code: "SW101", Subject: "b", Path: "/a"},
		{Severity: stateward.SeverityError, Code: "SW102", Subject: "a", Path: "/a"},
		{Severity: stateward.SeverityWarning, Code: "SW101", Subject: "a", Path: "/a"},
		{Severity: stateward.SeverityInfo, Code: "SW101", Subject: "a", Service: "x"},
		{Severity: stateward.SeverityInfo, Code: "SW101", Subject: "a", Service: "x", File: "f", Line: 2},
		{Severity: stateward.SeverityInfo, Code: "SW101", Subject: "a", Service: "x", File: "f", Line: 10},
		{Severity: stateward.SeverityInfo, Code: "SW101", Subject: "a", Service: "x", File: "f", Line: 10, Message: "m"},
		{Severity: stateward.SeverityInfo, Code: "SW101", Subject: "a", Service: "x", File: "f", Line: 10, Message: "m", Hint: "h"},
	}
	rng := rand.New(rand.NewPCG(1, 2))
	got := slices.Clone(want)
	rng.Shuffle(len(got), func(i, j int) { got[i], got[j] = got[j], got[i] })
	slices.SortFunc(got, stateward.CompareDiagnostics)
	require.Empty(t, cmp.Diff(want, got))
	require.Equal(t, []stateward.Tier{"reboot", "rollback", "disk", "site", "rebuild", "point-in-time"}, stateward.Tiers())
}
