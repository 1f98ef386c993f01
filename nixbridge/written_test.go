package nixbridge_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge"
	"github.com/stateward/stateward/nixbridge/dialect/own"
)

// appsHost is a host with options of its own, and something that the dialect "test" reads.
const appsHost = `{ one = {
	lib.mapAttrs = builtins.mapAttrs;
	options.apps = { _type = "option"; definitionsWithLocations = [ { file = toString ./apps.nix; value = import ./apps.nix; } ]; };
	config = { apps = import ./apps.nix; services.restic.backups.x.paths = [ "/a" ]; systemd.services.x.serviceConfig.StateDirectory = "x"; };
}; }
`

const appsFile = `{
  forgejo = { dir = "/var/lib/forgejo"; };
  wiki = { dir = throw "no wiki"; };
}
`

func appsSource(t testing.TB) nixbridge.Source {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "hosts.nix"), []byte(appsHost), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "apps.nix"), []byte(appsFile), 0o600))
	return source(t, filepath.Join(dir, "hosts.nix"))
}

// appsFlake is the same as a flake, which nix evaluates in its pure mode.
func appsFlake(t testing.TB) nixbridge.Source {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"flake.nix": "{ outputs = _: { nixosConfigurations = import ./hosts.nix; }; }", "hosts.nix": appsHost, "apps.nix": appsFile,
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	return source(t, "path:"+dir)
}

func withText(t testing.TB, e *nixbridge.Evaluator, name, text string) *nixbridge.Evaluator {
	t.Helper()
	d, err := own.New(name, text)
	require.NoError(t, err)
	return &nixbridge.Evaluator{Nix: e.Nix, CacheDir: e.CacheDir, Timeout: e.Timeout, Dialects: append(nixbridge.BuiltinDialects(), d)}
}

func unknownLines(h *stateward.Host) []string {
	var out []string
	for _, u := range h.Unknown {
		line := fmt.Sprintf("%s [%s] %s", u.Subject, u.Kind, u.Message)
		if u.File != "" {
			line += fmt.Sprintf(" %s:%d", u.File, u.Line)
		}
		out = append(out, line)
	}
	return out
}

const appsDialect = `# The first line is a comment.
{ config, lib, ... }:
{
	services = lib.mapAttrs (name: app: {` + "\r" + `
		enable = true; dataDir = app.dir; option = "apps.${name}";
	}) config.apps;
} # no newline follows`

func TestOwnDialect(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		for name, src := range map[string]nixbridge.Source{"file": appsSource(t), "flake": appsFlake(t)} {
			t.Run(name, func(t *testing.T) {
				hosts, err := nixbridge.Load(t.Context(), src, nixbridge.Options{Evaluator: withText(t, e, "mine", appsDialect)})
				require.NoError(t, err)
				h := hosts[0]
				require.Contains(t, h.Dialects, "mine")
				require.Equal(t, []string{"mine.services.wiki.dataDir [throw] no wiki apps.nix:3"}, unknownLines(h), "N4 only the value is lost")
				var got []string
				for _, s := range h.Services.Or(nil) {
					if s.Dialect == "mine" {
						dir, _ := s.DataDir.Get()
						got = append(got, fmt.Sprintf("%s %s %s %s:%d", s.Name, dir.Text, s.Origin.Option, s.Origin.File, s.Origin.Line))
					}
				}
				require.Equal(t, []string{"forgejo /var/lib/forgejo apps.forgejo apps.nix:2", "wiki  apps.wiki apps.nix:3"}, got)
			})
		}
	})
}

// What is wrong with the text itself is no fault of the source, and names the file and the line of the file.
func TestOwnDialectFaults(t *testing.T) {
	cases := map[string]struct {
		text, want string
		kind       nixbridge.Kind
	}{
		"syntax":                        {"{ config, ... }:\n{\n  services = {;\n}\n", `^dialect mine\.nix:3:15: syntax error, unexpected ';'`, nixbridge.Syntax},
		"an open brace":                 {"{ config, ... }:\n{\n  services = { }; # }", `^dialect mine\.nix:\d+:\d+: syntax error, unexpected end of file`, nixbridge.Syntax},
		"a text that closes ours":       {`x: { }) (throw ""`, `^dialect mine\.nix:1:7: syntax error`, nixbridge.Syntax},
		"one that closes it on a line":  {"x: { }\n) { } (\n{ }", `^dialect mine\.nix:2:1: syntax error`, nixbridge.Syntax},
		"an open comment":               {"x: { } /* ", `^dialect mine\.nix:1:\d+: syntax error`, nixbridge.Syntax},
		"an open text":                  {"x: { a = ''\n", `^dialect mine\.nix:\d+:\d+: syntax error, unexpected end of file`, nixbridge.Syntax},
		"two expressions":               {"x: { };\ny: { }", `^dialect mine\.nix:1:7: syntax error`, nixbridge.Syntax},
		"a name of ours":                {"x:\n{ services = probe; }", `^dialect mine\.nix:2:14: undefined variable 'probe'`, nixbridge.UndefinedVariable},
		"the hosts":                     {"x: { services = v; }", `^dialect mine\.nix:1:17: undefined variable 'v'`, nixbridge.UndefinedVariable},
		"an attribute twice":            {"x: {\n\ta = 1;\r\n\ta = 2;\n}", `^dialect mine\.nix:3:2: attribute 'a' already defined at mine\.nix:2:2`, nixbridge.Syntax},
		"a number":                      {"5", `^dialect mine\.nix: it is no function but a number$`, nixbridge.Type},
		"a set":                         {"{ }", `^dialect mine\.nix: it is no function but a set$`, nixbridge.Type},
		"pkgs":                          {"{ pkgs, ... }: { }", `^dialect mine\.nix: it asks for pkgs, which no dialect is given$`, nixbridge.Type},
		"a file beside it":              {"import ./x.nix", `^dialect mine\.nix: access to .*'\./x\.nix' is forbidden$`, nixbridge.MissingFile},
		"a secret of the machine":       {`builtins.readFile "/etc/shadow"`, `^dialect mine\.nix: access to .*'/etc.*' is forbidden$`, nixbridge.MissingFile},
		"a throw where it is a value":   {`throw "not yet"`, `^dialect mine\.nix: not yet$`, nixbridge.Throw},
		"a value that needs itself":     {"let x = x; in x", `^dialect mine\.nix:1:9: infinite recursion encountered$`, nixbridge.InfiniteRecursion},
		"a missing attribute on line 3": {"let a = { };\nin\n  a.b", `^dialect mine\.nix:3:\d: attribute 'b' missing$`, nixbridge.MissingAttribute},
	}
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		src := appsSource(t)
		for name, tc := range cases {
			t.Run(name, func(t *testing.T) {
				_, err := withText(t, e, "mine", tc.text).Evaluate(t.Context(), src)
				var de *nixbridge.DialectError
				require.ErrorAs(t, err, &de)
				require.Regexp(t, tc.want, err.Error())
				require.ErrorIs(t, err, tc.kind)
				require.NotEmpty(t, de.Hint())
			})
		}
	})
}

// A dialect's text is read with the settings that the configuration is read with.
func TestOwnDialectHasTheSettingsOfNix(t *testing.T) {
	const text = "{ config, ... }: { services = { } |> (x: x); }"
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		e = withText(t, e, "mine", text)
		_, err := e.Evaluate(t.Context(), appsSource(t))
		require.Error(t, err)
		e.NixOptions = []nixbridge.NixOption{{Name: "extra-experimental-features", Value: "pipe-operators"}}
		_, err = e.Evaluate(t.Context(), appsSource(t))
		if re := (*nixbridge.RefusedError)(nil); errors.As(err, &re) {
			return // this nix has no such feature
		}
		require.NoError(t, err)
	})
}

// What goes wrong while a host is evaluated costs that host that value; all that other dialects read is the same.
func TestOwnDialectLosesOnlyItsOwn(t *testing.T) {
	cases := map[string]struct {
		text string
		want []string
	}{
		"N6 an attribute that is missing": {"{ config, ... }: {\n services.a = {\n  enable = true;\n  dataDir = config.apps.nope;\n };\n}", []string{`mine\.services\.a\.dataDir \[abort\] attribute 'nope' missing .*mine\.nix:4$`}},
		"N4 a service that throws":        {`_: { services = { a = throw "gone"; b = { enable = true; }; }; }`, []string{`^mine\.services\.a \[throw\] gone$`}},
		"N6 abort in one":                 {`_: { services = { a = { enable = true; user = abort "a"; }; b = { enable = true; }; }; }`, []string{`^mine\.services\.a\.user \[abort\] evaluation aborted`}},
		"all of it":                       {`_: throw "gone"`, []string{`^dialect mine \[throw\] gone$`}},
		"no set":                          {`_: [ ]`, []string{`^dialect mine \[throw\] the function returns a list, not a set with services$`}},
		"detected":                        {`_: { detected = "yes"; }`, []string{`^dialect mine \[throw\] detected is a text, not true or false$`}},
		"a field that there is not":       {`_: { service.x = { }; }`, []string{`^mine\.service \[form\] a dialect has no such field`}},
		"an import":                       {"_: { services.a = { enable = true; dataDir = import ./x.nix; }; }", []string{`^mine\.services\.a\.dataDir \[abort\] .*'\./x\.nix'.*a dialect's file stands alone`}},
		"lib that is not there":           {`{ options, lib, ... }: { services = { a.enable = true; b.enable = lib.nope; }; }`, []string{`^mine\.services\.b \[abort\] attribute 'nope' missing mine\.nix:1$`}},
		"an argument that names none":     {`args: { services.a.enable = args.config.apps ? forgejo; }`, nil},
		"not this host":                   {`{ config, ... }: { detected = config ? nope; services = config.nope; }`, nil},
		"a path beside it":                {`_: { services.a = { enable = true; dataDir = ./x; }; }`, nil},
		"an odd name":                     {`_: { services."a b.c" = { enable = true; option = [ "x" "a b.c" ]; }; }`, nil},
	}
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		for kind, src := range map[string]nixbridge.Source{"file": appsSource(t), "flake": appsFlake(t)} {
			plain := &nixbridge.Evaluator{Nix: e.Nix, CacheDir: e.CacheDir}
			want := builtinTrees(t, plain, src)
			for name, tc := range cases {
				t.Run(kind+" "+name, func(t *testing.T) {
					t.Parallel()
					ev := withText(t, e, "mine", tc.text)
					read, err := ev.Evaluate(t.Context(), src)
					require.NoError(t, err)
					host, err := read.Hosts[0].Decode()
					require.NoError(t, err)
					got := unknownLines(host)
					require.Len(t, got, len(tc.want), "%q", got)
					for i, w := range tc.want {
						require.Regexp(t, w, got[i])
					}
					require.Empty(t, cmp.Diff(want, treesOf(t, read)))
				})
			}
		}
	})
}

// builtinTrees are what the built-in dialects read of the first host, as text.
func builtinTrees(t testing.TB, e *nixbridge.Evaluator, src nixbridge.Source) map[string]string {
	t.Helper()
	ev, err := e.Evaluate(t.Context(), src)
	require.NoError(t, err)
	return treesOf(t, ev)
}

func treesOf(t testing.TB, ev *nixbridge.Evaluation) map[string]string {
	t.Helper()
	require.NoError(t, ev.Hosts[0].Err)
	out := map[string]string{}
	for _, d := range nixbridge.BuiltinDialects() {
		out[d.Name] = string(ev.Hosts[0].Tree(d.Name).AppendJSON(nil))
	}
	return out
}

func TestOwnDialectNames(t *testing.T) {
	src := appsSource(t)
	for _, name := range []string{"nixos", "table"} {
		_, err := withText(t, &nixbridge.Evaluator{CacheDir: privateDir(t)}, name, "_: { }").Evaluate(t.Context(), src)
		require.EqualError(t, err, fmt.Sprintf("dialect %s.nix: there is another dialect %q", name, name))
	}
}

func TestOwnTextsFit(t *testing.T) {
	src := appsSource(t)
	long := "_: { services.a.enable = true; } #" + strings.Repeat("x", own.MaxText-100)
	e := &nixbridge.Evaluator{CacheDir: privateDir(t), Timeout: time.Minute}
	_, err := withText(t, e, "mine", long).Evaluate(t.Context(), src)
	require.NoError(t, err, "nix is needed: run `make deps`")
	e = withText(t, e, "mine", long)
	for _, name := range []string{"b", "c"} {
		d, err := own.New(name, long)
		require.NoError(t, err)
		e.Dialects = append(e.Dialects, d)
	}
	_, err = e.Evaluate(t.Context(), src)
	var de *nixbridge.DialectError
	require.ErrorAs(t, err, &de)
	require.ErrorContains(t, err, "dialect c.nix: the projections take ")
}

// The text is a part of what an evaluation is kept by, and of what a saved one was made with.
func TestOwnDialectIsKept(t *testing.T) {
	e := &nixbridge.Evaluator{CacheDir: privateDir(t), Timeout: time.Minute}
	src := appsFlake(t)
	run := func(text string) (cached bool, ev *nixbridge.Evaluation) {
		w := withText(t, e, "mine", text)
		w.Progress = func(ev nixbridge.Event) { cached = cached || ev.Kind == nixbridge.EventCached }
		ev, err := w.Evaluate(t.Context(), src)
		require.NoError(t, err, "nix is needed: run `make deps`")
		return cached, ev
	}
	cached, _ := run(`_: { services.a.enable = true; }`)
	require.False(t, cached)
	cached, ev := run(`_: { services.a.enable = true; }`)
	require.True(t, cached, "a second run starts no nix, not even to look at the text")
	cached, _ = run(`_: { services.b.enable = true; }`)
	require.False(t, cached)

	saved := write(t, ev)
	load := func(e *nixbridge.Evaluator) ([]*stateward.Host, error) {
		return nixbridge.Load(t.Context(), source(t, "-"), nixbridge.Options{Evaluator: e, Stdin: bytes.NewReader([]byte(saved))})
	}
	for name, e := range map[string]*nixbridge.Evaluator{"without the text": e, "with it": withText(t, e, "mine", `_: { services.a.enable = true; }`)} {
		t.Run(name, func(t *testing.T) {
			hosts, err := load(e)
			require.NoError(t, err)
			require.Contains(t, hosts[0].Dialects, "mine")
			services := hosts[0].Services.Or(nil)
			require.Equal(t, "mine", services[len(services)-1].Dialect)
		})
	}
	_, err := load(withText(t, e, "mine", `_: { }`))
	var fe *nixbridge.FormatError
	require.ErrorAs(t, err, &fe)
	require.Contains(t, fe.Hint(), "another text of mine.nix")
}

var anyPlace = regexp.MustCompile(`^dialect mine\.nix(?::\d+)*: `)

// Whatever the text is, it is refused by its name, or what the built-in dialects read stays the same.
func FuzzExecOwnTextNeverBreaksOut(f *testing.F) {
	for _, s := range []string{
		"_: { }", "x: { }) (throw \"\"", "x: { }\n))\n((own: own) (x: { }", "x: { }\n) # (", "x: { } # )", "x: { } /* ) */", "x: { } /* ", "_: ''\n))((\n''", "_: ''${", "\"))\"",
		"_: { }; }", "_: { } }", "{ }: { }", "{ config }: config", "_: __curPos", "_: throw \"))\"", "with builtins; _: { services = { }; }", "_: { }\r", "_:\t{ }\r\n\t# x\r",
		"let probe = 1; in _: probe", "_: { services.a = { enable = true; dataDir = ''\n))\n''; }; }", "a: a.config", "_: { \"__stateward\" = 1; services.__stateward = \"absent\"; }",
		"_: { services = { outPath = \"/x\"; }; }", "_: { services.__functor = self: x: x; }", "import ./x.nix", "_: import ./x.nix", "assert false; _: { }", "_: { detected = true; acknowledge = 5; }",
		"_: abort \"x\"", "_: let f = x: f x; in f 1", "_: { services = rec { a = b; b = a; }; }", "\ufeff_: { }", "\x00", "\xff", "", "(", ")", "in", "_: { services.\"@NAME@\" = { enable = true; }; }",
		"_: { services.a = builtins.trace \"stateward x [\\\"nixos\\\"]\" { enable = true; }; }",
	} {
		f.Add(s)
	}
	e := &nixbridge.Evaluator{CacheDir: privateDir(f), Timeout: 10 * time.Second}
	src := appsSource(f)
	want := builtinTrees(f, e, src)
	f.Fuzz(func(t *testing.T, text string) {
		d, err := own.New("mine", text)
		if err != nil {
			var oe *own.Error
			require.ErrorAs(t, err, &oe)
			require.Contains(t, err.Error(), "mine")
			require.NotEmpty(t, oe.Hint())
			return
		}
		w := &nixbridge.Evaluator{CacheDir: e.CacheDir, Timeout: e.Timeout, Dialects: append(nixbridge.BuiltinDialects(), d)}
		ev, err := w.Evaluate(t.Context(), src)
		var te *nixbridge.TimeoutError
		var me *nixbridge.MemoryError
		var se *nixbridge.StackError
		if errors.As(err, &te) || errors.As(err, &me) || errors.As(err, &se) {
			return // a text may do that before it is a function
		}
		if err != nil {
			var de *nixbridge.DialectError
			require.ErrorAs(t, err, &de, "%q: %v", text, err)
			require.Regexp(t, anyPlace, err.Error())
			require.LessOrEqual(t, de.Line, 1+strings.Count(text, "\n")+strings.Count(text, "\r"))
			return
		}
		h := ev.Hosts[0]
		if errors.As(h.Err, &te) || errors.As(h.Err, &me) {
			return
		}
		require.NoError(t, h.Err)
		got := map[string]string{}
		for _, d := range nixbridge.BuiltinDialects() {
			got[d.Name] = string(h.Tree(d.Name).AppendJSON(nil))
		}
		require.Empty(t, cmp.Diff(want, got), "%q", text)
		_, err = h.Decode()
		require.NoError(t, err)
	})
}
