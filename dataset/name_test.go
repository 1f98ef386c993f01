package dataset_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward/dataset"
)

func TestNames(t *testing.T) {
	long := strings.Repeat("a", 255)
	for _, c := range []struct{ text, want, observed string }{
		{"tank", "", ""},
		{"tank/services/sonarr", "", ""},
		{"tank/a_b-c.d:e", "", ""},
		{"tank/.hidden", "", ""},
		{"tank/...", "", ""},
		{long, "", ""},
		{"", `dataset name "" is empty`, `dataset name "" is empty`},
		{long + "a", "has 256 characters; ZFS takes 255", "has 256 characters; ZFS takes 255"},
		{"/tank/a", "begins with a slash: it is a path, and no dataset", "begins with a slash: it is a path, and no dataset"},
		{"tank/", "ends with a slash", "ends with a slash"},
		{"tank//a", "has an empty part", "has an empty part"},
		{"tank/./a", `has a part "."`, `has a part "."`},
		{"tank/..", `has a part ".."`, `has a part ".."`},
		{"tank/a@b", "names a snapshot", "names a snapshot"},
		{"tank/a#b", "names a bookmark", "names a bookmark"},
		{"1tank/a", "has a pool whose name does not begin with a letter", "has a pool whose name does not begin with a letter"},
		{"mirror/a", `has a pool "mirror", a word that zpool keeps for itself`, `has a pool "mirror", a word that zpool keeps for itself`},
		{"tank/größe", `contains "\xc3"`, `contains "\xc3"`},
		{"tank/a;b", `contains ";"`, `contains ";"`},
		{"tank/$(id)", `contains "$"`, `contains "$"`},
		{"tank/a\nb", `contains "\n"`, `contains "\n"`},
		{"tank/-a", `has a part "-a" that begins with a dash`, ""},
		{"tank/a b", "contains a blank, which ZFS allows, but scripts, units and sanoid do not", ""},
		{"tank/%recv", `contains "%", which ZFS keeps for its own temporary datasets`, ""},
		{strings.Repeat("a/", 50) + "a", "is nested deeper than the 50 levels that ZFS takes", "is nested deeper than the 50 levels that ZFS takes"},
	} {
		for _, way := range []struct {
			parse func(string) (dataset.Name, error)
			want  string
		}{{dataset.ParseName, c.want}, {dataset.ParseObservedName, c.observed}} {
			n, err := way.parse(c.text)
			if way.want == "" {
				require.NoError(t, err, "D5 %q", c.text)
				require.Equal(t, c.text, n.String())
				continue
			}
			require.ErrorContains(t, err, way.want, "D5 %q", c.text)
			require.True(t, n.IsZero() || c.observed != "", "%q", c.text)
		}
	}
}

func TestNameParts(t *testing.T) {
	n := dataset.MustName("tank/services/sonarr")
	require.Equal(t, []string{"tank", "tank/services", "sonarr"}, []string{n.Pool(), n.Parent().String(), n.Base()})
	require.True(t, n.Below(dataset.MustName("tank")))
	require.True(t, dataset.MustName("tank").Parent().IsZero())
	require.False(t, dataset.MustName("tank/services2").Below(dataset.MustName("tank/services")))
	require.False(t, n.Below(n))
	require.Equal(t, "services/sonarr", n.Rel(dataset.MustName("tank")))
	_, err := n.Child("a b")
	require.Error(t, err)
}

func TestOrderOfNames(t *testing.T) {
	var got []dataset.Name
	for _, s := range []string{"tank/a-b", "tank/a/b", "tank/a", "tank", "tank/a.b", "pool", "tank/b"} {
		got = append(got, dataset.MustName(s))
	}
	slices.SortFunc(got, dataset.CompareName)
	var texts []string
	for _, n := range got {
		texts = append(texts, n.String())
	}
	want := []string{"pool", "tank", "tank/a", "tank/a/b", "tank/a-b", "tank/a.b", "tank/b"}
	if d := cmp.Diff(want, texts); d != "" {
		t.Error(d)
	}
}

func TestOrderIsTotalAndPutsParentsFirst(t *testing.T) {
	name := rapid.Custom(func(t *rapid.T) dataset.Name {
		return dataset.MustName("p/" + strings.Join(rapid.SliceOfN(rapid.StringMatching(`[ab.:]{1,2}x`), 1, 4).Draw(t, "parts"), "/"))
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := name.Draw(t, "a"), name.Draw(t, "b"), name.Draw(t, "c")
		require.Equal(t, dataset.CompareName(a, b), -dataset.CompareName(b, a))
		require.Equal(t, a == b, dataset.CompareName(a, b) == 0)
		if dataset.CompareName(a, b) < 0 && dataset.CompareName(b, c) < 0 {
			require.Negative(t, dataset.CompareName(a, c))
		}
		if b.Below(a) {
			require.Negative(t, dataset.CompareName(a, b))
		}
	})
}

func FuzzParseName(f *testing.F) {
	f.Add("tank/a")
	f.Add("tank/a b@c")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := dataset.ParseName(s)
		if err != nil {
			return
		}
		if n.String() != s || strings.ContainsAny(s, " \n\t;'\"$`\\@#%*") {
			t.Errorf("%q became %q", s, n)
		}
		if _, err := dataset.ParseObservedName(s); err != nil {
			t.Error(err)
		}
	})
}
