package stateward_test

import (
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward"
)

func TestParsePath(t *testing.T) {
	for _, tc := range []struct{ text, want, err string }{
		{"/", "/", ""},
		{"//", "/", ""},
		{"/.", "/", ""},
		{"/./", "/", ""},
		{"/var/lib/sonarr", "/var/lib/sonarr", ""},
		{"/var//lib///sonarr", "/var/lib/sonarr", ""},
		{"/var/lib/sonarr/", "/var/lib/sonarr", ""},
		{"/var/./lib/.", "/var/lib", ""},
		{"/var/lib/..x/x..", "/var/lib/..x/x..", ""},
		{"/var/lib/...", "/var/lib/...", ""},
		{"/srv/a b/[x]/\"'$HOME", "/srv/a b/[x]/\"'$HOME", ""},
		{"/srv/ünï\n", "/srv/ünï\n", ""},
		{"", "", "path is empty"},
		{"var/lib", "", `path "var/lib" is not absolute`},
		{" /var", "", `path " /var" is not absolute`},
		{"~/x", "", `path "~/x" is not absolute`},
		{"/var/../etc", "", `path "/var/../etc" contains ".."`},
		{"/..", "", `path "/.." contains ".."`},
		{"/var//..", "", `path "/var//.." contains ".."`},
		{"/a\x00b", "", `path "/a\x00b" contains a NUL byte`},
	} {
		t.Run(tc.text, func(t *testing.T) {
			p, err := stateward.ParsePath(tc.text)
			if tc.err != "" {
				require.EqualError(t, err, tc.err)
				var pe *stateward.PathError
				require.ErrorAs(t, err, &pe)
				require.Equal(t, tc.text, pe.Text)
				require.NotEmpty(t, pe.Hint())
				require.True(t, p.IsZero())
				require.Panics(t, func() { stateward.MustPath(tc.text) })
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, p.String())
		})
	}
}

func TestPathRelations(t *testing.T) {
	p := stateward.MustPath
	var zero stateward.AbsPath
	t.Run("parent", func(t *testing.T) {
		for _, tc := range []struct{ of, want stateward.AbsPath }{
			{p("/var/lib"), p("/var")}, {p("/var"), p("/")}, {p("/"), p("/")}, {zero, zero},
		} {
			require.Equal(t, tc.want, tc.of.Parent(), "%s", tc.of)
		}
	})
	t.Run("contains", func(t *testing.T) {
		for _, tc := range []struct {
			outer, inner    stateward.AbsPath
			contains, below bool
			rel             string
		}{
			{p("/"), p("/"), true, false, "."},
			{p("/"), p("/var"), true, true, "var"},
			{p("/var"), p("/var"), true, false, "."},
			{p("/var"), p("/var/lib/x"), true, true, "lib/x"},
			{p("/var"), p("/variable"), false, false, ""},
			{p("/var/lib"), p("/var"), false, false, ""},
			{zero, p("/var"), false, false, ""},
			{p("/var"), zero, false, false, ""},
			{zero, zero, false, false, ""},
		} {
			require.Equal(t, tc.contains, tc.outer.Contains(tc.inner), "%q contains %q", tc.outer, tc.inner)
			require.Equal(t, tc.below, tc.inner.Below(tc.outer), "%q below %q", tc.inner, tc.outer)
			rel, ok := tc.outer.Rel(tc.inner)
			require.Equal(t, tc.contains, ok)
			require.Equal(t, tc.rel, rel)
		}
	})
	t.Run("join", func(t *testing.T) {
		for _, tc := range []struct {
			base stateward.AbsPath
			rel  string
			want stateward.AbsPath
			ok   bool
		}{
			{p("/var/lib"), "x", p("/var/lib/x"), true},
			{p("/var/lib"), "x//y/", p("/var/lib/x/y"), true},
			{p("/var/lib"), ".", p("/var/lib"), true},
			{p("/var/lib"), "", p("/var/lib"), true},
			{p("/"), "x", p("/x"), true},
			{p("/var/lib"), "/x", zero, false},
			{p("/var/lib"), "../x", zero, false},
			{p("/var/lib"), "x/../y", zero, false},
			{p("/var/lib"), "x\x00", zero, false},
			{zero, "x", zero, false},
		} {
			got, ok := tc.base.Join(tc.rel)
			require.Equal(t, tc.ok, ok, "%q + %q", tc.base, tc.rel)
			require.Equal(t, tc.want, got, "%q + %q", tc.base, tc.rel)
		}
	})
	t.Run("mount", func(t *testing.T) {
		for _, tc := range []struct{ at, tree, want stateward.AbsPath }{
			{p("/persist"), p("/var/lib/x"), p("/persist/var/lib/x")},
			{p("/persist"), p("/"), p("/persist")},
			{p("/"), p("/var"), p("/var")},
			{zero, p("/var"), zero},
			{p("/persist"), zero, zero},
		} {
			require.Equal(t, tc.want, tc.at.Mount(tc.tree), "%q at %q", tc.tree, tc.at)
		}
	})
}

func TestPathText(t *testing.T) {
	var p stateward.AbsPath
	require.NoError(t, p.UnmarshalText([]byte("/var//lib/")))
	b, err := p.MarshalText()
	require.NoError(t, err)
	require.Equal(t, "/var/lib", string(b))
	require.Error(t, p.UnmarshalText([]byte("var")))
	require.Equal(t, "/var/lib", p.String(), "a failed read changes nothing")
	require.NoError(t, p.UnmarshalText(nil))
	require.True(t, p.IsZero())
}

func TestNewEntry(t *testing.T) {
	o := stateward.Origin{Option: "x"}
	t.Run("what is no path is kept with its problem", func(t *testing.T) {
		e := stateward.NewEntry("var/lib", stateward.File, o)
		require.Equal(t, "var/lib", e.Text)
		require.True(t, e.Path.IsZero())
		require.EqualError(t, e.Problem, `path "var/lib" is not absolute`)
		require.False(t, e.Unclean())
		require.Equal(t, "file", e.Kind.String())
	})
	t.Run("another spelling is kept beside the clean path", func(t *testing.T) {
		e := stateward.NewEntry("/var//lib", stateward.Directory, o)
		require.NoError(t, e.Problem)
		require.Equal(t, "/var/lib", e.Path.String())
		require.True(t, e.Unclean())
		require.Equal(t, "directory", e.Kind.String())
	})
	t.Run("an unknown mode counts as given", func(t *testing.T) {
		e := stateward.NewEntry("/a", stateward.Directory, o)
		require.False(t, e.HasOwner())
		e.Mode = stateward.NotKnown[stateward.Mode](stateward.Unknown{Subject: "m", Kind: stateward.UnknownThrow})
		require.True(t, e.HasOwner())
	})
}

// pathText draws texts that are paths, nearly paths, and no paths.
var pathText = rapid.OneOf(
	rapid.StringMatching(`(/[a-c]{0,2}){1,5}/?`),
	rapid.StringMatching(`/?([a-c.]{0,3}/){0,4}[a-c.]{0,3}`),
	rapid.String(),
)

func TestPathLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		checkPath(t, pathText.Draw(t, "a"), pathText.Draw(t, "b"))
	})
}

func FuzzParsePath(f *testing.F) {
	for _, s := range []string{"/", "/a/../b", "//a//b/", "/a\x00", "a", "", "/..a", "/a/./b", "/\xff"} {
		f.Add(s, "/a/b")
		f.Add("/a", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) { checkPath(t, a, b) })
}

// checkPath asserts what holds for any two texts.
func checkPath(t require.TestingT, a, b string) {
	p, err := stateward.ParsePath(a)
	if err != nil {
		require.True(t, errors.As(err, new(*stateward.PathError)))
		require.True(t, p.IsZero())
		return
	}
	again, err := stateward.ParsePath(p.String())
	require.NoError(t, err)
	require.Equal(t, p, again, "parsing is idempotent")
	require.Equal(t, path.Clean(a), p.String(), "clean as the standard library has it")
	require.NotContains(t, strings.Split(p.String(), "/"), "..")
	require.True(t, p.Contains(p))
	require.True(t, stateward.Root.Contains(p))
	require.True(t, p.Parent().Contains(p))
	require.Equal(t, p != stateward.Root, p.Below(p.Parent()))
	require.Equal(t, p, stateward.Root.Mount(p))

	q, err := stateward.ParsePath(b)
	if err != nil {
		if j, ok := p.Join(b); ok {
			require.True(t, p.Contains(j))
		}
		return
	}
	rel, ok := p.Rel(q)
	require.Equal(t, p.Contains(q), ok)
	if ok {
		back, joined := p.Join(rel)
		require.True(t, joined)
		require.Equal(t, q, back, "joining what is relative leads back")
	}
	if p.Contains(q) && q.Contains(p) {
		require.Equal(t, p, q)
	}
	m := p.Mount(q)
	require.True(t, p.Contains(m))
	rest, ok := p.Rel(m)
	require.True(t, ok)
	want, _ := stateward.Root.Rel(q)
	require.Empty(t, cmp.Diff(want, rest), "what is mounted keeps its place")
	up := q
	for up != stateward.Root && !up.Contains(p) {
		up = up.Parent()
	}
	require.True(t, up.Contains(p) && up.Contains(q), "walking up ends above both")
}

func TestAncestors(t *testing.T) {
	for path, want := range map[string][]string{
		"/": {"/"}, "/a": {"/a", "/"}, "/a/b/c": {"/a/b/c", "/a/b", "/a", "/"},
	} {
		var got []string
		for p := range stateward.MustPath(path).Ancestors() {
			got = append(got, p.String())
		}
		require.Equal(t, want, got)
	}
	for range (stateward.AbsPath{}).Ancestors() {
		t.Fatal("no path has nothing above it")
	}
	for p := range stateward.MustPath("/a/b").Ancestors() {
		require.Equal(t, "/a/b", p.String(), "the walk may end early")
		break
	}
}
