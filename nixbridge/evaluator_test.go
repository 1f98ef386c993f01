package nixbridge_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// unknowns prints what could not be evaluated, one a line.
func unknowns(t testing.TB, h *nixbridge.HostEvaluation) []string {
	var out []string
	for _, u := range root(t, h).Unknowns() {
		out = append(out, fmt.Sprintf("%s [%s] %s", u.Subject, u.Kind, u.Message))
	}
	return out
}

func TestSoundHostIsRead(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		h := evaluate(t, e, "testdata/hosts.nix#good")
		require.Equal(t, stateward.StatusOK, h.Status)
		require.Equal(t, "good", h.Name)
		require.Equal(t, "testdata/hosts.nix#good", h.Source)
		n := root(t, h).Root()
		require.Equal(t, "hello", n.At("test", "a", "text").Text().Or(""))
		require.Equal(t, 2, n.At("tree", "x").List()[1].Int().Or(0))
		require.Equal(t, dialect.Absent, n.At("settings").Kind())
	})
}

func TestThrowsAreIsolatedAndTold(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		h := evaluate(t, e, "testdata/hosts.nix#throws")
		require.Equal(t, stateward.StatusPartial, h.Status)
		want := []string{
			"test.a.text [throw] a is broken",
			"test.b [throw] the whole of b is broken",
			"test.c.text [throw] assertion 'false' failed",
			"test.e.list[1] [throw] one element",
		}
		if d := cmp.Diff(want, unknowns(t, h)); d != "" {
			t.Error(d)
		}
		n := root(t, h).Root()
		require.Equal(t, "sound", n.At("test", "d", "text").Text().Or(""))
		require.Equal(t, "/z", n.At("test", "e", "list").List()[2].At("directory").Text().Or(""))
		why, _ := n.At("test", "c", "text").Text().Why()
		require.Equal(t, "nixbridge/testdata/hosts.nix", why.File)
	})
}

func TestUncatchableErrorsHideNothingElse(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		h := evaluate(t, e, "testdata/hosts.nix#uncatchable")
		got := map[string]stateward.Unknown{}
		for _, u := range root(t, h).Unknowns() {
			got[u.Subject] = u
		}
		for subject, message := range map[string]string{
			"test.missing.text":   "attribute 'nope' missing",
			"test.type.text":      "cannot coerce an integer to a string",
			"test.aborts.text":    "evaluation aborted with the following error message: 'enough'",
			"test.recursion.text": "infinite recursion encountered",
			"test.mixed.text":     "caught",
			"test.mixed.value":    "attribute 'nope' missing",
			"tree.below.a":        "attribute 'gone' missing",
		} {
			require.Contains(t, got[subject].Message, message, subject)
		}
		require.Len(t, got, 7)
		require.Equal(t, stateward.UnknownAbort, got["test.missing.text"].Kind)
		require.Equal(t, "nixbridge/testdata/hosts.nix", got["test.missing.text"].File)
		require.Equal(t, 27, got["test.missing.text"].Line)
		n := root(t, h).Root()
		require.Equal(t, "sound", n.At("test", "sound", "text").Text().Or(""))
		require.Equal(t, "sound", n.At("tree", "below", "b").Text().Or(""))
	})
}

func TestDeepRecursionIsOnePlacesFault(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		h := evaluate(t, e, "testdata/hosts.nix#deepRecursion")
		us := root(t, h).Unknowns()
		require.Len(t, us, 1)
		require.Equal(t, "test.deep.text", us[0].Subject)
		require.Contains(t, us[0].Message, "nix recursed too deeply")
		require.Equal(t, "sound", root(t, h).Root().At("test", "sound", "text").Text().Or(""))
	})
}

func TestOneMistakeOfManyValuesEndsSoon(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		again := 0
		e.Progress = func(ev nixbridge.Event) {
			if ev.Kind == nixbridge.EventAgain {
				again++
			}
		}
		h := evaluate(t, e, "testdata/hosts.nix#epidemic")
		require.Equal(t, []string{"test [abort] attribute 'shared' missing"}, unknowns(t, h))
		require.Equal(t, 1, root(t, h).Root().At("tree").Int().Or(0))
		require.LessOrEqual(t, again, 10)
	})
}

func TestNamesThatCannotBeHadMakeTheSetUnknown(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		h := evaluate(t, e, "testdata/hosts.nix#spine")
		require.Equal(t, []string{"test [throw] no name", "tree [abort] attribute 'nope' missing"}, unknowns(t, h))
		require.Equal(t, dialect.List, root(t, h).Root().At("checks").Kind())
	})
}

func TestEveryKindOfValue(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		h := evaluate(t, e, "testdata/hosts.nix#kinds")
		n := root(t, h).Root()
		tree := n.At("tree")
		for name, kind := range map[string]dialect.Kind{
			"function": dialect.Unknown, "functor": dialect.Unknown, "path": dialect.PathValue, "missingPath": dialect.PathValue,
			"derivation": dialect.Derivation, "coerced": dialect.PathValue, "text": dialect.String, "float": dialect.Float,
			"infinite": dialect.Unknown, "big": dialect.Int, "null": dialect.Null, "module": dialect.Attrs, "forged": dialect.Attrs,
		} {
			require.Equal(t, kind, tree.At(name).Kind(), name)
		}
		require.Equal(t, "said", tree.At("text").Text().Or(""))
		require.Empty(t, tree.At("module").Attrs())
		require.Equal(t, "unknown", tree.At("forged", "__stateward").Text().Or(""))
		require.Equal(t, "\u0001 \" \\ é 𝄞", tree.At("odd name\n${x}").Text().Or(""))
		require.Regexp(t, `^/nix/store/[a-z0-9]{32}-pkg-1\.0/bin/pkg$`, tree.At("context").Text().Or(""))
		require.Regexp(t, `/nixbridge/testdata/secret\.txt$`, tree.At("path").Text().Or(""))

		require.Equal(t, "fails", n.At("checks").List()[0].At("message").Text().Or(""))
		require.Equal(t, "checks[1].message", n.At("checks").List()[0].At("message").Path())
		require.Equal(t, 4, n.At("computed").List()[1].Int().Or(0))
		require.Equal(t, []string{"a", "z"}, n.At("names").Strings().Or(nil))
		require.Regexp(t, `^/nix/store/[a-z0-9]{32}-pkg-1\.0$`, n.At("elsewhere").Text().Or(""))
		require.Equal(t, dialect.Absent, n.At("hidden").Kind())
		require.Len(t, n.At("settings", "inner").Attrs(), 1)

		want := []string{
			"checks[2] [throw] ?",
			"tree.deep.d.d.d.d.d.d.d [depth] it is nested deeper than is read",
			"tree.function [function] it is a function",
			"tree.functor [function] it is a function",
			"tree.infinite [form] it is no UTF-8 text, or no finite number",
		}
		if d := cmp.Diff(want, unknowns(t, h)); d != "" {
			t.Error(d)
		}
	})
}

func TestTextsThatAreNoUTF8AreUnknown(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		h := evaluate(t, e, "testdata/hosts.nix#bytes")
		n := root(t, h).Root()
		require.Equal(t, dialect.Unknown, n.At("test").Kind())
		require.Equal(t, dialect.Unknown, n.At("tree").Kind())
	})
}

func TestHugeValuesAreRead(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		n := root(t, evaluate(t, e, "testdata/hosts.nix#huge")).Root()
		require.Len(t, n.At("tree", "list").List(), 200000)
		require.Len(t, n.At("tree", "text").Text().Or(""), 1000000)
	})
}

func TestDefinitionsAreLocated(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		n := root(t, evaluate(t, e, "testdata/hosts.nix#located")).Root()
		const here = "nixbridge/testdata/hosts.nix"
		for _, tc := range []struct {
			at   *dialect.Node
			want stateward.Origin
		}{
			{n.At("test", "a", "text"), stateward.Origin{Option: "test.a.text", File: "/elsewhere/module.nix"}},
			{n.At("test", "a", "list").List()[0], stateward.Origin{Option: "test.a.list[0]", File: here, Line: 204}},
			{n.At("test", "a", "list").List()[1], stateward.Origin{Option: "test.a.list[1]", File: here, Line: 209}},
			{n.At("settings", "inner", "on"), stateward.Origin{Option: "settings.inner.on", File: here}},
		} {
			if d := cmp.Diff(tc.want, tc.at.Origin()); d != "" {
				t.Error(d)
			}
		}
	})
}
