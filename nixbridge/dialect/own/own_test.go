package own_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
	"github.com/stateward/stateward/nixbridge/dialect/internal/evaltest"
	"github.com/stateward/stateward/nixbridge/dialect/own"
	contract "github.com/stateward/stateward/nixbridge/dialect/stateward"
)

func TestNames(t *testing.T) {
	for file, want := range map[string]string{
		"a.nix": "a", "nix/my-dialect.nix": "my-dialect", "./x_1'.nix": "x_1'", "/a b/c.nix": "c",
		"a": "", "a.nixx": "", ".nix": "", "1.nix": "", "a b.nix": "", "a.b.nix": "", "ä.nix": "", "-a.nix": "", "a\n.nix": "",
	} {
		got, err := own.NameOf(file)
		require.Equal(t, want, got, file)
		require.Equal(t, want == "", err != nil, file)
		if err != nil {
			require.NotEmpty(t, err.(*own.Error).Hint())
		}
	}
	_, err := own.New("a b", "_: { }")
	require.EqualError(t, err, `dialect "a b": the name is no identifier`)
}

func TestTextsThatAreNone(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"empty":             {"", "dialect x.nix: it is empty"},
		"blanks":            {" \n\t", "dialect x.nix: it is empty"},
		"too large":         {strings.Repeat("#", own.MaxText+1), "dialect x.nix: it is larger than 32 KiB"},
		"byte order mark":   {"\ufeff_: { }", "dialect x.nix:1: it begins with a byte order mark, which nix does not take"},
		"no UTF-8":          {"_:\n{ } # \xff", "dialect x.nix:2: it is no UTF-8 text"},
		"NUL":               {"_:\n\n\x00", "dialect x.nix:3: it holds a NUL byte"},
		"the largest there": {strings.Repeat("#", own.MaxText), ""},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := own.FromFile("x.nix", []byte(tc.text))
			if tc.want == "" {
				require.NoError(t, err)
				require.Equal(t, &dialect.Written{File: "x.nix", Text: tc.text}, d.Written)
				return
			}
			require.EqualError(t, err, tc.want)
			require.NotEmpty(t, err.(*own.Error).Hint())
		})
	}
}

// Whatever a service says in its own words is read as stateward.services is.
func TestReadsTheContract(t *testing.T) {
	services := `{
		a = { enable = true; unit = "a"; user = "a"; dataDir = "/a"; backupPaths = [ "b" [ "/c" ] ]; persist.files = [ "/f" ]; databases = [ "a" ];
			dataset = { name = "tank/a"; properties.recordsize = "16K"; mode = "0750"; }; backup = { schedule = "daily"; prune = [ "--keep-daily 7" ]; };
			protection = { tiers = [ "reboot" "site" ]; rpo = "1d"; }; };
		b = { enable = false; dataDir = throw "off"; };
		c = { enable = true; dataset.name = throw "no"; nope = 1; };
		d = throw "gone";
	}`
	acknowledge := `[ { code = "SW101"; service = "a"; reason = "r"; } { code = "SW102"; path = throw "no"; } ]`
	mine, err := own.New("mine", "_: { services = "+services+"; acknowledge = "+acknowledge+"; }")
	require.NoError(t, err)
	got := evaltest.Decode(t, mine, `{ config = { }; }`)[0]
	want := evaltest.Decode(t, contract.Dialect(), `{ config.stateward = { services = `+services+`; acknowledge = `+acknowledge+`; }; }`)[0]
	require.Equal(t, strings.NewReplacer("stateward.services", "mine.services", "stateward.acknowledge", "mine.acknowledge", "Dialect:stateward", "Dialect:mine").Replace(show(want)), show(got))
	require.Len(t, got.Services.Or(nil), 4)
	require.Len(t, got.Jobs.Or(nil), 2, "that of a, and what d may have")
}

// show prints all that is declared, origins included.
func show(h stateward.Host) string {
	var b strings.Builder
	for _, s := range h.Services.Or(nil) {
		p := s.Protection
		s.Protection = nil
		d := s.Dataset
		s.Dataset, s.Preseed = nil, nil
		fmt.Fprintf(&b, "%+v\n  %+v\n  %+v\n", s, p, d)
	}
	fmt.Fprintf(&b, "%+v\n%+v\n%+v\n%+v\n", h.Datasets, h.Jobs, h.Acknowledgements, h.Unknown)
	return b.String()
}

func TestDetection(t *testing.T) {
	for text, want := range map[string]string{
		`_: { }`: "false",
		`_: { services = { }; acknowledge = [ ]; }`:       "false",
		`_: { services.x.enable = true; }`:                "true",
		`_: { acknowledge = [ { code = "SW101"; } ]; }`:   "true",
		`{ config, ... }: { detected = config ? a; }`:     "true",
		`{ config }: { detected = config ? b; }`:          "false",
		`_: { detected = false; services = throw "no"; }`: "false",
		`_: { detected = false; service = { }; }`:         "true",
		`_: { services = throw "no"; }`:                   "unknown (config: throw)",
		`_: { detected = 1; }`:                            "unknown (config: throw)",
		`_: [ ]`:                                          "unknown (config: throw)",
		`_: { services = [ ]; }`:                          "true",
	} {
		d, err := own.New("mine", text)
		require.NoError(t, err)
		require.Equal(t, want, evaltest.Read(t, d, `{ config.a = 1; }`)[0].Detected().String(), text)
	}
}

func TestLibIsThatOfTheHost(t *testing.T) {
	d, err := own.New("mine", `{ lib, ... }: { services.a = { enable = true; user = lib.name; }; services.b = { enable = true; }; }`)
	require.NoError(t, err)
	var got []string
	for _, h := range evaltest.Decode(t, d, `{ config = { }; lib.name = "lib"; pkgs.lib.name = "pkgs"; }`, `{ config = { }; pkgs.lib.name = "pkgs"; }`,
		`{ config = { }; _module.args.pkgs.lib.name = "args"; }`, `{ config = { }; }`) {
		require.Len(t, h.Services.Or(nil), 2)
		got = append(got, h.Services.Or(nil)[0].User.String())
	}
	require.Equal(t, []string{"lib", "pkgs", "args", "unknown (mine.services.a.user: throw)"}, got)
}

// Findings name the option; what is not understood goes by its place in the dialect.
func TestOption(t *testing.T) {
	const host = `{
		config = { };
		options.apps = { _type = "option"; definitionsWithLocations = [ { file = "/apps.nix"; value = { x = 1; "y.z" = 2; }; } ]; };
	}`
	for option, want := range map[string]string{
		`"apps.x"`:                "apps.x",
		`[ "apps" "y.z" ]`:        `apps."y.z"`,
		`"apps.\"y.z\""`:          `apps."y.z"`,
		`"apps"`:                  "apps",
		`"nope.x"`:                "nope.x",
		`null`:                    "mine.services.a",
		`[ ]`:                     "mine.services.a",
		`""`:                      "mine.services.a mine.services.a.option [form] no option path: option path \"\" has an empty component",
		`"a..b"`:                  "mine.services.a mine.services.a.option [form] no option path: option path \"a..b\" has an empty component",
		`5`:                       "mine.services.a mine.services.a.option [type] expected a list of strings, found an integer",
		`throw "no"`:              "mine.services.a mine.services.a.option [throw] ",
		`[ "apps" (throw "no") ]`: "mine.services.a mine.services.a.option[1] [throw] ",
	} {
		d, err := own.New("mine", `_: { services.a = { enable = true; dataDir = "/a"; option = `+option+`; }; }`)
		require.NoError(t, err)
		h := evaltest.Decode(t, d, host)[0]
		s := h.Services.Or(nil)[0]
		dir, _ := s.DataDir.Get()
		require.Equal(t, strings.Replace(s.Origin.Option, "mine.services.a", "mine.services.a.dataDir", 1), dir.Origin.Option)
		got := s.Origin.Option
		for _, u := range h.Unknown {
			got += fmt.Sprintf(" %s [%s] %s", u.Subject, u.Kind, u.Message)
		}
		require.Equal(t, want, got, option)
	}
}

func TestSavedNeedsNoText(t *testing.T) {
	d, err := own.New("mine", `_: { services.a = { enable = true; dataDir = "/a"; }; }`)
	require.NoError(t, err)
	var want, got stateward.Host
	tree := evaltest.Read(t, d, `{ config = { }; }`)[0]
	d.Decode(tree.Root(), &want)
	own.Saved("mine").Decode(tree.Root(), &got)
	require.Empty(t, cmp.Diff(show(want), show(got)))
}

// A text always stands on lines of its own, which are found again.
func FuzzNew(f *testing.F) {
	for _, s := range []string{"_: { }", "x: { }) (y", "\n\n_: { }\n", "_: { } # x", "", "\x00", "@NAME@ @HASH@", "\r\n_:\r{ }", "\ufeff", "\xff", "\n))"} {
		f.Add("mine", s)
	}
	f.Add("a b", "_: { }")
	f.Add("a'", "_: { }")
	f.Fuzz(func(t *testing.T, name, text string) {
		d, err := own.New(name, text)
		if err != nil {
			require.NotEmpty(t, err.(*own.Error).Hint())
			return
		}
		require.Equal(t, 4, len(d.Sections))
		first, last, ok := own.Lines(d, "before\n"+d.Projection+"\nbehind")
		require.True(t, ok)
		lines := strings.Split("before\n"+d.Projection+"\nbehind", "\n")
		require.Equal(t, text, strings.Join(lines[first-1:last], "\n"))
	})
}
