package examples_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

// What options and their definitions come to, by the example's own module system.
func TestEvaluator(t *testing.T) {
	tests := map[string]struct {
		options string
		modules []string
		want    any
	}{
		"default holds when nobody sets the option": {
			options: `a = mkOption { type = types.int; default = 1; };`,
			want:    map[string]any{"a": 1.0},
		},
		"mkDefault gives way to a plain value": {
			options: `a = mkOption { type = types.int; default = 1; };`,
			modules: []string{`{ a = mkDefault 2; }`, `{ a = 3; }`},
			want:    map[string]any{"a": 3.0},
		},
		"mkForce wins": {
			options: `a = mkOption { type = types.int; };`,
			modules: []string{`{ a = mkForce 4; }`, `{ a = 3; }`},
			want:    map[string]any{"a": 4.0},
		},
		"lists are joined in the order of the modules": {
			options: `a = mkOption { type = types.listOf types.str; default = [ "default" ]; };`,
			modules: []string{`{ a = [ "one" ]; }`, `{ a = [ "two" ]; }`},
			want:    map[string]any{"a": list("one", "two")},
		},
		"an import comes before its importer": {
			options: `a = mkOption { type = types.listOf types.str; };`,
			modules: []string{`{ imports = [ { a = [ "imported" ]; } ]; a = [ "own" ]; }`},
			want:    map[string]any{"a": list("imported", "own")},
		},
		"mkBefore, mkOrder and mkAfter place a definition": {
			options: `a = mkOption { type = types.listOf types.str; };`,
			modules: []string{`{ a = mkAfter [ "after" ]; }`, `{ a = mkOrder 1600 [ "last" ]; }`, `{ a = [ "plain" ]; }`, `{ a = mkBefore [ "before" ]; }`},
			want:    map[string]any{"a": list("before", "plain", "after", "last")},
		},
		"definitions of the same order keep theirs": {
			options: `a = mkOption { type = types.listOf types.str; };`,
			modules: []string{`{ a = mkAfter [ "z" ]; }`, `{ a = [ "m" ]; }`, `{ a = mkAfter [ "a" ]; }`},
			want:    map[string]any{"a": list("m", "z", "a")},
		},
		"mkIf without its condition says nothing": {
			options: `a = mkOption { type = types.int; default = 1; };`,
			modules: []string{`{ a = mkIf false 2; }`},
			want:    map[string]any{"a": 1.0},
		},
		"mkIf round a whole module may ask about another option": {
			options: `on = mkOption { type = types.bool; default = false; }; a = mkOption { type = types.int; default = 1; };`,
			modules: []string{`({ config, ... }: { config = mkIf config.on { a = 2; }; })`, `{ on = true; }`},
			want:    map[string]any{"on": true, "a": 2.0},
		},
		"mkMerge is all of its parts": {
			options: `a = mkOption { type = types.listOf types.int; };`,
			modules: []string{`{ config = mkMerge [ { a = [ 1 ]; } (mkIf true { a = [ 2 ]; }) (mkIf false { a = [ 3 ]; }) ]; }`},
			want:    map[string]any{"a": []any{1.0, 2.0}},
		},
		"a priority inside a set of options counts below": {
			options: `g.a = mkOption { type = types.int; }; g.b = mkOption { type = types.int; };`,
			modules: []string{`{ g = mkForce { a = 1; }; }`, `{ g.a = 2; g.b = 3; }`},
			want:    map[string]any{"g": map[string]any{"a": 1.0, "b": 3.0}},
		},
		"a submodule knows its name and has its defaults": {
			options: `a = mkOption { type = types.attrsOf (types.submodule ({ name, ... }: { options.path = mkOption { type = types.str; default = "/srv/${name}"; }; })); };`,
			modules: []string{`{ a.x = { }; a.y.path = "/y"; }`},
			want:    map[string]any{"a": map[string]any{"x": map[string]any{"path": "/srv/x"}, "y": map[string]any{"path": "/y"}}},
		},
		"one submodule from two files": {
			options: `a = mkOption { type = types.attrsOf (types.submodule { options.n = mkOption { type = types.int; }; options.l = mkOption { type = types.listOf types.int; default = [ ]; }; }); };`,
			modules: []string{`{ a.x = { n = 1; l = [ 1 ]; }; }`, `{ a.x.l = [ 2 ]; }`},
			want:    map[string]any{"a": map[string]any{"x": map[string]any{"n": 1.0, "l": []any{1.0, 2.0}}}},
		},
		"an option of a submodule may be called options": {
			options: `a = mkOption { type = types.submodule { options.options = mkOption { type = types.listOf types.str; }; }; };`,
			modules: []string{`{ a.options = [ "ro" ]; }`},
			want:    map[string]any{"a": map[string]any{"options": list("ro")}},
		},
		"an attribute under mkIf false is not there": {
			options: `a = mkOption { type = types.attrsOf types.int; };`,
			modules: []string{`{ a = { x = 1; y = mkIf false 2; }; }`},
			want:    map[string]any{"a": map[string]any{"x": 1.0}},
		},
		"coercedTo turns a string into a set": {
			options: `a = mkOption { type = types.listOf (types.coercedTo types.str (d: { inherit d; }) (types.submodule { options.d = mkOption { type = types.str; }; })); };`,
			modules: []string{`{ a = [ "x" { d = "y"; } ]; }`},
			want:    map[string]any{"a": []any{map[string]any{"d": "x"}, map[string]any{"d": "y"}}},
		},
		"lines are put below one another": {
			options: `a = mkOption { type = types.lines; };`,
			modules: []string{`{ a = "one"; }`, `{ a = mkBefore "zero"; }`},
			want:    map[string]any{"a": "zero\none"},
		},
		"nullOr, either and enum take what they name": {
			options: `a = mkOption { type = types.nullOr types.int; }; b = mkOption { type = types.either types.bool (types.enum [ "zfs" ]); }; c = mkOption { type = types.nullOr types.str; };`,
			modules: []string{`{ a = null; b = "zfs"; c = "c"; }`},
			want:    map[string]any{"a": nil, "b": "zfs", "c": "c"},
		},
		"anything merges at every depth": {
			options: `a = mkOption { type = types.anything; };`,
			modules: []string{`{ a.x.l = [ 1 ]; a.x.y = 1; }`, `{ a.x.l = [ 2 ]; a.x.z = mkForce 2; }`, `{ a.x.z = 3; }`},
			want:    map[string]any{"a": map[string]any{"x": map[string]any{"l": []any{1.0, 2.0}, "y": 1.0, "z": 2.0}}},
		},
		"a freeform type keeps what no option declares": {
			options: `}; freeformType = types.attrsOf types.anything; options = { a = mkOption { type = types.int; default = 1; };`,
			modules: []string{`{ b.c = 2; a = 3; }`},
			want:    map[string]any{"a": 3.0, "b": map[string]any{"c": 2.0}},
		},
		"a value that nobody asks for may throw": {
			options: `a = mkOption { type = types.int; apply = _: 0; }; `,
			modules: []string{`{ a = throw "asked for"; }`},
			want:    map[string]any{"a": 0.0},
		},
	}

	// One evaluation for all of them: a set from their names to what they come to.
	var cases strings.Builder
	want := map[string]any{}
	for name, test := range tests {
		fmt.Fprintf(&cases, "%q = (evalModules { modules = [ { options = { %s }; } %s ]; }).config;\n",
			name, test.options, "("+strings.Join(append(test.modules, "{ }"), ") (")+")")
		want[name] = test.want
	}
	eachNix(t, func(t *testing.T, n nix) {
		got := n.eval(t, homelab(t, "lib"), "--apply", "lib: with lib; {"+cases.String()+"}")
		require.Empty(t, cmp.Diff(want, got))
	})
}

// Each mistake is answered with the option and the file it is in.
func TestEvaluatorComplains(t *testing.T) {
	tests := map[string]struct {
		modules string
		want    []string
	}{
		"unknown option": {
			modules: `{ options.services.sonarr.enable = mkEnableOption "Sonarr"; } { _file = "hosts/x.nix"; services.sonar.enable = true; }`,
			want:    []string{"The option `services.sonar' does not exist; hosts/x.nix sets it."},
		},
		"wrong type": {
			modules: `{ options.port = mkOption { type = types.int; }; } { _file = "hosts/x.nix"; port = "eighty"; }`,
			want:    []string{"The option `port' wants a whole number, but hosts/x.nix sets it to the string \"eighty\"."},
		},
		"wrong type deep inside": {
			modules: `{ options.a = mkOption { type = types.attrsOf (types.listOf (types.submodule { options.p = mkOption { type = types.path; }; })); }; }
				{ _file = "hosts/x.nix"; a."my disk" = [ { p = "/x"; } { p = "y"; } ]; }`,
			want: []string{"The option `a.\"my disk\"[1].p' wants an absolute path, but hosts/x.nix sets it to the string \"y\"."},
		},
		"not in the enum": {
			modules: `{ options.a = mkOption { type = types.enum [ "private" "public" ]; }; } { _file = "x.nix"; a = "open"; }`,
			want:    []string{"wants one of \"private\", \"public\", but x.nix sets it to the string \"open\""},
		},
		"two values where one is wanted": {
			modules: `{ options.a = mkOption { type = types.str; }; } { _file = "x.nix"; a = "x"; } { _file = "y.nix"; a = "y"; }`,
			want:    []string{"The option `a' is set to different values", "x.nix: the string \"x\"", "y.nix: the string \"y\""},
		},
		"null and a value": {
			modules: `{ options.a = mkOption { type = types.nullOr types.str; }; } { _file = "x.nix"; a = null; } { _file = "y.nix"; a = "y"; }`,
			want:    []string{"The option `a' is set to different values", "x.nix: null", "y.nix: the string \"y\""},
		},
		"never set": {
			modules: `{ options.a = mkOption { type = types.str; }; }`,
			want:    []string{"The option `a' is used but never set."},
		},
		"declared twice": {
			modules: `{ _file = "x.nix"; options.a = mkOption { }; } { _file = "y.nix"; options.a = mkOption { }; }`,
			want:    []string{"The option `a' is declared more than once, in x.nix and y.nix."},
		},
		"a value in place of a group": {
			modules: `{ options.a.b = mkOption { default = 1; }; } { _file = "x.nix"; a = true; }`,
			want:    []string{"`a' is a group of options, but x.nix sets it to true."},
		},
		"settings beside config": {
			modules: `{ _file = "x.nix"; options.a = mkOption { }; b = 1; }`,
			want:    []string{"The module x.nix has a `config' or `options', so `b' must go inside `config'."},
		},
		"no module": {
			modules: `[ ]`,
			want:    []string{"is no module: it is a list"},
		},
		"argument that nobody gives": {
			modules: `({ pkgs, ... }: { })`,
			want:    []string{"asks for `pkgs', which nobody gives it"},
		},
		"condition that is none": {
			modules: `{ options.a = mkOption { }; } { _file = "x.nix"; a = mkIf "yes" 1; }`,
			want:    []string{"the condition of a mkIf in x.nix is neither true nor false"},
		},
	}
	eachNix(t, func(t *testing.T, n nix) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				message := n.fails(t, homelab(t, "lib"), "--apply", "lib: with lib; (evalModules { modules = [ "+test.modules+" ]; }).config")
				for _, want := range test.want {
					require.Contains(t, message, want)
				}
			})
		}
	})
}

// The result has the shape that nixpkgs gives it, so that whoever reads one can read the other.
func TestEvaluatorOptions(t *testing.T) {
	const facts = `lib: with lib;
	let
		result = evalModules { modules = [
			{ _file = "module.nix"; options = {
				set = mkOption { type = types.listOf types.int; default = [ ]; description = "d"; visible = false; };
				unset = mkOption { type = types.int; };
			}; }
			{ _file = "a.nix"; set = mkAfter [ 2 ]; }
			{ _file = "b.nix"; set = mkIf true [ 1 ]; }
			{ _file = "c.nix"; set = mkIf false [ 3 ]; }
		]; };
		option = result.options.set;
	in {
		configuration = result._type;
		inherit (option) _type isDefined files definitionsWithLocations value visible description loc declarations;
		type = option.type.name;
		unset = result.options.unset.isDefined;
	}`
	want := map[string]any{
		"configuration": "configuration",
		"_type":         "option",
		"isDefined":     true,
		"files":         list("b.nix", "a.nix"),
		"definitionsWithLocations": []any{
			map[string]any{"file": "b.nix", "value": []any{1.0}},
			map[string]any{"file": "a.nix", "value": []any{2.0}},
		},
		"value":        []any{1.0, 2.0},
		"visible":      false,
		"description":  "d",
		"loc":          list("set"),
		"declarations": list("module.nix"),
		"type":         "listOf",
		"unset":        false,
	}
	eachNix(t, func(t *testing.T, n nix) {
		require.Empty(t, cmp.Diff(want, n.eval(t, homelab(t, "lib"), "--apply", facts)))
	})
}

// A file that two modules import is one module: its options are not declared twice.
func TestEvaluatorImportsAFileOnce(t *testing.T) {
	dir, err := filepath.Abs("homelab")
	require.NoError(t, err)
	const twice = `dir: with import (dir + "/lib"); let users = dir + "/modules/users.nix"; in
		builtins.attrNames (evalModules { modules = [ users { imports = [ users ]; } ]; }).config.users`
	eachNix(t, func(t *testing.T, n nix) {
		got := n.eval(t, "--impure", "--expr", fmt.Sprintf("(%s) %q", twice, dir))
		require.Empty(t, cmp.Diff(list("groups", "mutableUsers", "users"), got))
	})
}
