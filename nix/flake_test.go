package nix_test

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/nar"
	"github.com/stateward/stateward/internal/nixtest"
	"github.com/stateward/stateward/internal/run"
)

// nixpkgs stands in for the real one, which cannot be had offline: just enough that every output of ours evaluates.
const nixpkgs = `{
  outputs = {self}: let
    package = name: system: extra:
      derivation {
        inherit name system;
        builder = "none";
      }
      // extra;
    lib = {
      optionalString = c: s: if c then s else "";
      licenses.mit = { };
      platforms.unix = [ ];
      nixosSystem = args: { config = { fileSystems = { }; }; options = { }; };
    };
    each = system: let
      pkgs = {
        inherit lib;
        stdenv = { buildPlatform.canExecute = _: true; hostPlatform = { }; };
        installShellFiles = package "install-shell-files" system { };
        alejandra = package "alejandra" system { };
        buildGoModule = args: package "${args.pname}-${args.version}" system { inherit (args) src vendorHash meta; };
        mkShell = args: package "shell" system { };
        runCommand = name: env: text: package name system { };
        writeShellScriptBin = name: text: package name system { };
        callPackage = file: args: let f = import file; in f (builtins.intersectAttrs (builtins.functionArgs f) pkgs // args);
      } // builtins.listToAttrs (map (name: { inherit name; value = package name system { }; }) [ "git" "gnumake" "go" "mandoc" "restic" "shellcheck" ]);
    in pkgs;
  in {
    inherit lib;
    legacyPackages = builtins.listToAttrs (map (name: { inherit name; value = each name; }) [ "x86_64-linux" "aarch64-linux" "aarch64-darwin" ]);
  };
}
`

// whole is a copy of what git would copy of our flake, or of the part that the package is built from and nix reads.
func whole(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, top := range []string{"flake.nix", "flake.lock", "go.mod", "go.sum", "nix", "nixbridge", "internal", "cmd", "examples", "docs/schema"} {
		copyTree(t, filepath.Join("..", top), filepath.Join(dir, top), nil)
	}
	return dir
}

func TestWhatNeedsNoNixpkgsEvaluatesWithoutIt(t *testing.T) {
	want := map[string]any{
		"all":      []any{"apps", "checks", "devShells", "formatter", "lib", "nixosModules", "overlays", "packages"},
		"packages": []any{"aarch64-darwin", "aarch64-linux", "x86_64-linux"},
		"apps":     []any{"aarch64-darwin", "aarch64-linux", "x86_64-linux"},
		"shells":   []any{"aarch64-darwin", "aarch64-linux", "x86_64-linux"},
		"formats":  []any{"aarch64-darwin", "aarch64-linux", "x86_64-linux"},
		"checks":   []any{"aarch64-linux", "x86_64-linux"},
		"lib":      []any{"evaluation", "mkCheck"},
		"module":   "lambda",
		"overlay":  "lambda",
		"arguments": map[string]any{
			"self": false, "system": false, "hosts": true, "config": true, "threshold": true, "now": true, "locations": true, "utf8": true, "package": true,
		},
	}
	const apply = `f: let names = builtins.attrNames; in {
  packages = names f.packages; apps = names f.apps; shells = names f.devShells; formats = names f.formatter; checks = names f.checks; lib = names f.lib;
  module = builtins.typeOf f.nixosModules.default; overlay = builtins.typeOf f.overlays.default; arguments = builtins.functionArgs f.lib.mkCheck;
  all = names f.all;
}`
	eachNix(t, func(t *testing.T, n nix) {
		flake := `builtins.getFlake "path:` + ours(t) + `"`
		got := eval[map[string]any](t, n, "--impure", "--expr", `(`+apply+`) (let f = `+flake+`; in f // { all = f.outputs; })`)
		require.Empty(t, cmp.Diff(want, got))
	})
}

func TestWholeFlakeIsWhatNixTakesForOne(t *testing.T) {
	eachNix(t, func(t *testing.T, n nix) {
		input := folder(t, map[string]string{"flake.nix": nixpkgs})
		dir := whole(t)
		before, err := os.ReadFile(filepath.Join(dir, "flake.lock"))
		require.NoError(t, err)
		// The package itself is not built, so that another command checks the example.
		_, said, err := n.run(t, "flake", "check", "--no-build", "--no-write-lock-file", "path:"+dir, "--override-input", "nixpkgs", "path:"+input)
		require.NoError(t, err, said)
		require.NotContains(t, strings.ReplaceAll(said, "unknown flake output 'lib'", ""), "unknown")

		// The command looks at the system that it runs on.
		const all = `f: let each = builtins.mapAttrs (_: builtins.mapAttrs (_: d: d.drvPath)); in {
  all = each f.packages // each f.devShells // each f.checks; format = builtins.mapAttrs (_: d: d.drvPath) f.formatter;
  apps = builtins.mapAttrs (_: a: a.default.program) f.apps; overlay = (f.overlays.default (f.inputs.nixpkgs.legacyPackages.x86_64-linux // { }) { }).stateward.drvPath;
}`
		_, said, err = n.run(t, "eval", "--json", "--no-write-lock-file", "--impure", "path:"+dir+"#lib", "--override-input", "nixpkgs", "path:"+input, "--apply",
			`_: (`+all+`) ((import `+dir+`/flake.nix).outputs (let inputs = { nixpkgs = builtins.getFlake "path:`+input+`"; self = self; }; self = (import `+dir+`/flake.nix).outputs inputs // { inherit inputs; outPath = `+dir+`; }; in inputs) // { inputs.nixpkgs = builtins.getFlake "path:`+input+`"; })`)
		require.NoError(t, err, said)
		after, err := os.ReadFile(filepath.Join(dir, "flake.lock"))
		require.NoError(t, err)
		require.Equal(t, string(before), string(after))
	})
}

var vendorHash = regexp.MustCompile(`vendorHash = "([^"]*)";`)

func TestVendorHashIsFresh(t *testing.T) {
	n := nixtest.All(t)[0]
	here, err := filepath.Abs("..")
	require.NoError(t, err)
	// The source as nix filters it, in a folder of its own.
	dir := whole(t)
	for _, top := range []string{"aggregate", "backup", "dataset", "preseed"} {
		copyTree(t, filepath.Join(here, top), filepath.Join(dir, top), nil)
	}
	files, err := filepath.Glob(filepath.Join(here, "*.go"))
	require.NoError(t, err)
	for _, f := range files {
		copyTree(t, f, filepath.Join(dir, filepath.Base(f)), nil)
	}
	isolated := nix{n, tempDir(t)}
	source := eval[string](t, isolated, "--impure", "--expr", `"${(import `+dir+`/nix/package.nix { lib = { optionalString = _: _: ""; licenses.mit = 1; platforms.unix = 1; }; stdenv = { buildPlatform.canExecute = _: false; hostPlatform = 1; }; buildGoModule = x: x; installShellFiles = 1; }).src}"`)
	source = filepath.Join(isolated.store(), source)

	vendor := filepath.Join(t.TempDir(), "vendor")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	env := slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "GOFLAGS=") || strings.HasPrefix(e, "GOWORK=") })
	r, err := run.Run(ctx, run.Cmd{Path: "go", Args: []string{"mod", "vendor", "-o", vendor}, Dir: source, Env: append(env, "GOFLAGS=", "GOWORK=off")})
	require.NoError(t, err, string(r.Stderr))
	sum, err := nar.Hash(t.Context(), vendor, nil)
	require.NoError(t, err)
	want := "sha256-" + base64.StdEncoding.EncodeToString(sum[:])

	// The filter leaves what the command is built from, embedded files too.
	built := t.TempDir()
	copyTree(t, source, built, nil)
	copyTree(t, vendor, filepath.Join(built, "vendor"), nil)
	r, err = run.Run(ctx, run.Cmd{Path: "go", Args: []string{"list", "-mod=vendor", "-deps", "./cmd/stateward"}, Dir: built, Env: append(env, "GOFLAGS=", "GOWORK=off", "GOPROXY=off")})
	require.NoError(t, err, string(r.Stderr))

	text, err := os.ReadFile("package.nix")
	require.NoError(t, err)
	got := vendorHash.FindSubmatch(text)
	require.NotNil(t, got)
	require.Equal(t, want, string(got[1]), "what go.mod asks for has changed: write the first into nix/package.nix")
}
