package nix_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The flake of docs/flake.md, with the stand-in for nixpkgs, whose lib.nixosSystem is that of the example homelab and whose
// package is the command itself.
func TestFlakeOfTheDocsChecksItsHost(t *testing.T) {
	program, err := static()
	require.NoError(t, err)
	eachNix(t, func(t *testing.T, n nix) {
		text := strings.NewReplacer(
			`nixosSystem = args: { config = { fileSystems = { }; }; options = { }; };`,
			`nixosSystem = args: (import ./homelab/lib).evalModules { modules = [ ./homelab/modules ] ++ args.modules; };`,
			`buildGoModule = args: package "${args.pname}-${args.version}" system { inherit (args) src vendorHash meta; };`,
			`buildGoModule = _: ./package;`,
		).Replace(nixpkgs)
		require.NotContains(t, text, "vendorHash")
		packages := folder(t, map[string]string{"flake.nix": text, "package/bin/stateward": string(program)})
		require.NoError(t, os.Chmod(filepath.Join(packages, "package/bin/stateward"), 0o755))
		copyTree(t, "../examples/homelab", filepath.Join(packages, "homelab"), nil)
		impermanence := folder(t, map[string]string{"flake.nix": `{ outputs = { self }: { nixosModules.impermanence = { }; }; }`})
		dir := t.TempDir()
		copyTree(t, "../examples/flake", dir, nil)
		own := whole(t)
		args := []string{"--no-write-lock-file", "--override-input", "nixpkgs", "path:" + packages, "--override-input", "impermanence", "path:" + impermanence, "--override-input", "stateward", "path:" + own}

		build := func() (string, error) {
			_, said, err := n.run(t, append([]string{"build", "--no-link", "--print-build-logs", "path:" + dir + "#checks.x86_64-linux.stateward-forge"}, args...)...)
			return said, err
		}
		said, err := build()
		require.NoError(t, err, said)
		require.Contains(t, said, "/var/lib/sonarr")

		file := filepath.Join(dir, "hosts/forge.nix")
		host, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(host), `    persistence.enable = true;`, "", 1)), 0o644))
		said, err = build()
		require.Error(t, err)
		require.Contains(t, said, "SW101")
	})
}
