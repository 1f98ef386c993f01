package stateward_test

import (
	"errors"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
)

func TestValueStates(t *testing.T) {
	o := stateward.Origin{Option: "a.b", File: "f.nix", Line: 3}
	why := stateward.Unknown{Subject: "a.b", Kind: stateward.UnknownThrow, Message: "no", File: "f.nix", Line: 3}
	type facts struct {
		Known, Absent, Unknown bool
		Get, Or                int
		Why                    stateward.Unknown
		Origin                 stateward.Origin
		Text                   string
	}
	for _, tc := range []struct {
		name  string
		value stateward.Value[int]
		want  facts
	}{
		{"zero is absent", stateward.Value[int]{}, facts{Absent: true, Or: 9, Text: "absent"}},
		{"known", stateward.Known(7, o), facts{Known: true, Get: 7, Or: 7, Origin: o, Text: "7"}},
		{"known zero is known", stateward.Known(0, stateward.Origin{}), facts{Known: true, Text: "0"}},
		{"absent keeps its place", stateward.Absent[int](o), facts{Absent: true, Or: 9, Origin: o, Text: "absent"}},
		{"unknown", stateward.NotKnown[int](why), facts{Unknown: true, Or: 9, Why: why, Origin: o, Text: "unknown (a.b: no)"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v := tc.value
			got := facts{Known: v.IsKnown(), Absent: v.IsAbsent(), Unknown: v.IsUnknown(), Or: v.Or(9), Origin: v.Origin(), Text: v.String()}
			var known, unknown bool
			got.Get, known = v.Get()
			got.Why, unknown = v.Why()
			require.Equal(t, v.IsKnown(), known)
			require.Equal(t, v.IsUnknown(), unknown)
			require.Empty(t, cmp.Diff(tc.want, got))
		})
	}
}

func TestMapValue(t *testing.T) {
	o := stateward.Origin{Option: "a.b", File: "f.nix", Line: 3}
	why := stateward.Unknown{Subject: "a.b", Kind: stateward.UnknownAbort, Message: "no"}
	refuse := func(s string) (int, error) { return 0, errors.New("never") }
	t.Run("a known fact is parsed and keeps its origin", func(t *testing.T) {
		v := stateward.MapValue(stateward.Known("7", o), strconv.Atoi)
		n, ok := v.Get()
		require.True(t, ok)
		require.Equal(t, 7, n)
		require.Equal(t, o, v.Origin())
	})
	t.Run("a text that cannot be parsed is unknown", func(t *testing.T) {
		got, ok := stateward.MapValue(stateward.Known("999", o), stateward.ParseMode).Why()
		require.True(t, ok)
		want := stateward.Unknown{Subject: "a.b", Kind: stateward.UnknownForm, Message: `mode "999" is not octal`, File: "f.nix", Line: 3}
		require.Empty(t, cmp.Diff(want, got))
	})
	t.Run("absent stays absent", func(t *testing.T) {
		v := stateward.MapValue(stateward.Absent[string](o), refuse)
		require.True(t, v.IsAbsent())
		require.Equal(t, o, v.Origin())
	})
	t.Run("unknown keeps its reason", func(t *testing.T) {
		got, ok := stateward.MapValue(stateward.NotKnown[string](why), refuse).Why()
		require.True(t, ok)
		require.Equal(t, why, got)
	})
}

func TestOriginString(t *testing.T) {
	require.Equal(t, "a.b", stateward.Origin{Option: "a.b"}.String())
	require.Equal(t, "a.b (f.nix)", stateward.Origin{Option: "a.b", File: "f.nix"}.String())
	require.Equal(t, "a.b (f.nix:3)", stateward.Origin{Option: "a.b", File: "f.nix", Line: 3}.String())
	require.Equal(t, "a.b: throw", stateward.Unknown{Subject: "a.b", Kind: stateward.UnknownThrow}.String())
}

func TestOptionPath(t *testing.T) {
	for _, tc := range []struct {
		components []string
		want       string
	}{
		{nil, ""},
		{[]string{"environment", "persistence", "/persist"}, `environment.persistence."/persist"`},
		{[]string{"services", "a-b", "c_d'"}, `services.a-b.c_d'`},
		{[]string{"1st", "-x", "'y"}, `"1st"."-x"."'y"`},
		{[]string{"a.b", "", "if"}, `"a.b".""."if"`},
		{[]string{"a\"b\\c", "d\ne\tf\rg"}, `"a\"b\\c"."d\ne\tf\rg"`},
		{[]string{"$x", "${x}", "$${x}"}, `"$x"."\${x}"."$\${x}"`},
		{[]string{"ü"}, `"ü"`},
	} {
		require.Equal(t, tc.want, stateward.OptionPath(tc.components...))
	}
}

func TestUnknownIsOneLine(t *testing.T) {
	for message, want := range map[string]string{
		"":              "a.b: throw",
		"no":            "a.b: no",
		" no\n\n  way ": "a.b: no way",
		"The option `x' does not exist. Definition values:\n- In `y':\n    { }": "a.b: The option `x' does not exist.",
	} {
		require.Equal(t, want, stateward.Unknown{Subject: "a.b", Kind: stateward.UnknownThrow, Message: message}.String())
	}
}
