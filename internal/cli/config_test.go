package cli

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/text"
	"github.com/stateward/stateward/nixbridge/dialect/table"
)

func TestParseConfiguration(t *testing.T) {
	c, err := parseConfiguration("stateward.toml", []byte(`# ours
check.exclude = ["SW112", "SW6xx"]

[[acknowledge]]
code = "SW101"
service = "a"
reason = "r"
until = 2027-01-31

[[acknowledge]]
code = "SW102"
path = "/x"
reason = """
two
lines"""

[[state]]
service = "hand-made"
enable = "services.hand-made.enable"
paths = ["/var/lib/hand-made"]
source = "our own module"
`))
	require.NoError(t, err)
	require.Empty(t, cmp.Diff([]stateward.Acknowledgement{
		{Code: "SW101", Service: "a", Reason: "r", Until: "2027-01-31", Origin: stateward.Origin{Option: "acknowledge[0]", File: "stateward.toml", Line: 4}},
		{Code: "SW102", Path: "/x", Reason: "two\nlines", Origin: stateward.Origin{Option: "acknowledge[1]", File: "stateward.toml", Line: 10}},
	}, c.acks))
	require.Equal(t, []string{"SW112", "SW6xx"}, c.exclude)
	require.NotNil(t, c.dialect)

	empty, err := parseConfiguration("stateward.toml", nil)
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(&configuration{name: "stateward.toml"}, empty, cmp.AllowUnexported(configuration{})))
}

// Where a fault stands is found in every way to write a table.
func TestConfigurationFaultsHaveAPlace(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"acknowledge = [\n  # one\n  { code = \"SW101\", service = \"a\", reason = \"b\" },\n  { code = \"SW101\", service = \"a\", reason = \"\" } ]",
			"f:4:36: the acknowledgement has no reason"},
		{"[[acknowledge]]\nservice = \"a\"\nreason = \"b\"\n", "f:1:3: the acknowledgement names no code"},
		{"\"check\".\"exclude\" = [\n\"SW101\",\n\"x\"]\n", `f:3:1: no check has the code "x"`},
		{"[check]\nthreshold = \"error\"\nthreshold = \"info\"\n", "f:3:1: key threshold is already defined"},
		{"[[acknowledge]]\ncode = 3\n", "f:2:8: acknowledge.code has a value of another type than it should"},
		{"[acknowledge]\ncode = \"SW101\"\n", "f:1:2: the acknowledgement names no service, subject or path"},
		{"acknowledge = 1", "f:1:15: acknowledge has a value of another type than it should"},
		{"[[Acknowledge]]\ncode = \"SW101\"", `f:1:3: unknown key "Acknowledge"`},
		{"[[state]]\nservice = \"a\"\nenable = \"services.a.enable\"\npaths = [\"/a\", \"/b/\"]\nsource = \"x\"\n", `f:4:16: paths[1]: path "/b/" is spelt otherwise than /b`},
		{"[[state]]\nservice = \"a\"\n", ""},
	} {
		_, err := parseConfiguration("f", []byte(tc.text))
		require.Error(t, err, tc.text)
		require.NotEmpty(t, hintOf(err))
		if tc.want != "" {
			require.Equal(t, tc.want, err.Error(), tc.text)
		}
	}
}

func TestNearest(t *testing.T) {
	require.Equal(t, "threshold", text.Nearest("treshold", configKeys["check"]))
	require.Equal(t, "check", text.Nearest("chekc", configKeys[""]))
	require.Empty(t, text.Nearest("ignore", configKeys["acknowledge"]))
}

func FuzzConfiguration(f *testing.F) {
	for _, s := range []string{
		"", "[check]\nthreshold = \"error\"\ninclude = [\"SW1xx\"]\n", "acknowledge = [ { code = \"SW101\", until = 2027-01-31 } ]", "[[acknowledge]]\nuntil = 1\n",
		"[[state]]\nservice = \"a\"\n", "\"\" = 1", "a.b.c = 1", "[check\n", "[check]\n\"thres\\u0068old\" = \"info\"", "acknowledge = [[]]", "[[check]]", "acknowledge.code = 1\n",
		"\ufeff[check]\r\n", "[[acknowledge]]\n[[acknowledge.x]]\n", "check = { threshold = \"x\", exclude = [\n\"y\"] }",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parseConfiguration("f", data)
		if (c == nil) == (err == nil) {
			t.Fatal("either a configuration or an error")
		}
		var one *ConfigError
		var many configErrors
		switch {
		case err == nil:
		case errors.As(err, &many):
		case errors.As(err, &one):
			many = configErrors{one}
		default:
			t.Fatalf("no configuration error: %v", err)
		}
		for _, e := range many {
			if e.Line < 1 || e.hint == "" {
				t.Fatalf("no place or advice: %q, %q", e, e.hint)
			}
		}
	})
}

// A key that a row has and that is not known here would be refused.
func TestEveryKeyOfARowIsKnown(t *testing.T) {
	var want []string
	for f := range reflect.TypeFor[table.Row]().Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		want = append(want, name)
	}
	require.ElementsMatch(t, want, configKeys["state"])
}
