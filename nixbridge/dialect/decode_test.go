package dialect_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

func TestMergeKeepsWhatOthersFound(t *testing.T) {
	known := func(s ...string) stateward.Value[[]string] { return stateward.Known(s, stateward.Origin{}) }
	absent := stateward.Value[[]string]{}
	unknown := stateward.NotKnown[[]string](stateward.Unknown{Subject: "x", Kind: stateward.UnknownThrow})
	for name, tc := range map[string]struct{ to, add, want, whole stateward.Value[[]string] }{
		"nothing and nothing":           {absent, absent, absent, absent},
		"nothing and something":         {absent, known("a"), known("a"), known("a")},
		"something and nothing":         {known("a"), absent, known("a"), known("a")},
		"something and something":       {known("a"), known("b"), known("a", "b"), known("a", "b")},
		"N4 something and unknown":      {known("a"), unknown, known("a"), unknown},
		"N4 unknown and something":      {unknown, known("a"), known("a"), unknown},
		"an empty list and unknown":     {known(), unknown, unknown, unknown},
		"unknown and an empty list":     {unknown, known(), unknown, unknown},
		"nothing and unknown":           {absent, unknown, unknown, unknown},
		"unknown and nothing":           {unknown, absent, unknown, unknown},
		"an empty list is a value":      {absent, known(), known(), known()},
		"an empty list adds to nothing": {known("a"), known(), known("a"), known("a")},
	} {
		t.Run(name, func(t *testing.T) {
			got := tc.to
			dialect.Merge(&got, tc.add)
			if d := cmp.Diff(tc.want.String(), got.String()); d != "" {
				t.Error(d)
			}
			got = tc.to
			dialect.MergeWhole(&got, tc.add)
			if d := cmp.Diff(tc.whole.String(), got.String()); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestGivenAndFilled(t *testing.T) {
	n := tree(t, `{"detected": true, "sections": {"x": {"null": null, "empty": "", "text": "t", "no": false, "yes": true, "none": [], "some": [1],
		"number": 0, "throws": {"__stateward": "unknown", "kind": "throw"}}}}`).Root().At("x")
	want := map[string][2]string{
		"null": {"absent", "absent"}, "empty": {"false", "absent"}, "text": {"true", "t"}, "no": {"false", "false"}, "yes": {"true", "true"},
		"none": {"false", "unknown (x.none: expected a string or a number, found a list)"}, "some": {"true", "unknown (x.some: expected a string or a number, found a list)"},
		"number": {"true", "0"}, "throws": {"unknown (x.throws: throw)", "unknown (x.throws: throw)"}, "missing": {"absent", "absent"},
	}
	for name, w := range want {
		require.Equal(t, w, [2]string{n.At(name).Given().String(), n.At(name).Filled().String()}, name)
	}
}

func TestWhatIsIgnoredIsNotReported(t *testing.T) {
	tr := tree(t, `{"detected": true, "sections": {"a": {"x": {"__stateward": "unknown", "kind": "throw"}, "y": {"__stateward": "unknown", "kind": "throw"}},
		"b": {"__stateward": "unknown", "kind": "abort"}}}`)
	tr.Root().At("a", "x").Ignore()
	var got []string
	for _, u := range tr.Unknowns() {
		got = append(got, u.Subject)
	}
	require.Equal(t, []string{"a.y", "b"}, got)
	tr.Root().At("a").Ignore()
	tr.Root().At("b").Ignore()
	require.Empty(t, tr.Unknowns())
}

func TestWhatCannotBeParsedIsReported(t *testing.T) {
	tr := tree(t, `{"detected": true, "sections": {"a": {"mode": "999"}}}`)
	n := tr.Root().At("a", "mode")
	require.True(t, dialect.Understood(n, n.Text(), stateward.ParseMode).IsUnknown())
	require.Equal(t, []stateward.Unknown{{Subject: "a.mode", Kind: stateward.UnknownForm, Message: `mode "999" is not octal`}}, tr.Unknowns())
}

func TestOriginOfElements(t *testing.T) {
	list := tree(t, `{"detected": true,
		"sections": {"l": ["a", "b", "a", {"x": 1}], "one": [{"x": 1}]},
		"where": {
			"l": {"at": [{"file": "1.nix", "line": 1}, {"file": "2.nix", "line": 2}],
				"items": {"a": [{"file": "1.nix", "line": 4}, {"file": "2.nix", "line": 5}], "b": [{"file": "2.nix"}]}},
			"one": {"at": [{"file": "1.nix", "line": 7}, {"file": "1.nix", "line": 9}]}
		}}`).Root()
	var got []string
	for _, name := range []string{"l", "one"} {
		for _, n := range list.At(name).List() {
			got = append(got, n.Origin().String())
		}
	}
	want := []string{
		"l[0] (1.nix:4)", "l[1] (2.nix)",
		// The second of two equal elements has the second definition.
		"l[2] (2.nix:5)",
		// Either file may have brought what has no text.
		"l[3]",
		"one[0] (1.nix)",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestListsKeepTheirOrder(t *testing.T) {
	n := tree(t, `{"detected": true, "sections": {"l": ["b", "a", {"__stateward": "absent"}, "c"], "s": {"z": 1, "a": 2}, "n": 5}}`).Root()
	texts := dialect.ListOf(n.At("l"), func(n *dialect.Node) (string, bool) { s, ok := n.Text().Get(); return s, ok && s != "a" })
	require.Equal(t, []string{"b", "c"}, texts.Or(nil))
	names := dialect.AttrsOf(n.At("s"), func(name string, _ *dialect.Node) (string, bool) { return strings.ToUpper(name), true })
	require.Equal(t, []string{"A", "Z"}, names.Or(nil))
	require.True(t, dialect.ListOf(n.At("n"), func(*dialect.Node) (int, bool) { return 0, true }).IsUnknown())
	require.True(t, dialect.AttrsOf(n.At("missing"), func(string, *dialect.Node) (int, bool) { return 0, true }).IsAbsent())
}
