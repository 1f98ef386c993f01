package cli

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/nixtest"
)

// fleetFlake has hosts that nix flake check takes, with a root that is wiped or kept.
func fleetFlake(t *testing.T, hosts string) string {
	t.Helper()
	dir := t.TempDir()
	text := `{
  outputs = { self }: {
    nixosConfigurations = let
      build = { toplevel = derivation { name = "system"; system = "x86_64-linux"; builder = "none"; }; };
      host = fsType: {
        config = {
          system = { inherit build; };
          fileSystems."/" = { device = "root"; inherit fsType; };
          systemd.services.feeds = { enable = true; wantedBy = [ "multi-user.target" ]; serviceConfig.StateDirectory = "feeds"; };
        };
      };
    in ` + hosts + `;
  };
}
`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "flake.nix"), []byte(text), 0o644))
	return "path:" + dir
}

// nixArgs keep nix away from this machine's own store.
func nixArgs(t *testing.T) []string {
	t.Helper()
	store := t.TempDir()
	t.Cleanup(func() {
		_ = filepath.WalkDir(store, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				return os.Chmod(path, 0o755)
			}
			return err
		})
	})
	return []string{"--", "--offline", "--store", filepath.Join(store, "root"), "--option", "build-users-group", ""}
}

func TestFlakeCheckTellsEachHostAndNixItself(t *testing.T) {
	for _, n := range nixtest.All(t) {
		t.Run(n.Name, func(t *testing.T) {
			flake := fleetFlake(t, `{ a = host "ext4"; b = host "tmpfs"; c = throw "c is not written yet"; d = host "ext4"; }`)
			cache := filepath.Join(t.TempDir(), "cache")
			check := func(args ...string) result {
				return run(t, nil, append(append([]string{"flake-check", flake, "--no-build", "--nix", n.Path(), "--cache-dir", cache, "--quiet"}, args...), nixArgs(t)...)...)
			}
			r := check("-o", "json")
			require.Equal(t, StatusEvaluation, r.status, r.stderr)
			var out CheckOutput
			require.NoError(t, json.Unmarshal([]byte(r.stdout), &out))
			got := map[string]stateward.Status{}
			for _, h := range out.Hosts {
				got[h.Name] = h.Status
			}
			require.Empty(t, cmp.Diff(map[string]stateward.Status{"a": "ok", "b": "ok", "c": "failed", "d": "ok"}, got))
			require.Contains(t, out.Hosts[2].Error.Message, "c is not written yet")
			require.Equal(t, 1, out.NixFlakeCheck.Status)
			require.Contains(t, out.NixFlakeCheck.Log, "c is not written yet")

			r = check()
			require.Equal(t, StatusEvaluation, r.status)
			require.Contains(t, r.stdout, "c failed\n")
			require.Contains(t, r.stdout, "SW101")
			require.Contains(t, r.stdout, "\nnix flake check failed with status 1\n")

			r = check("-o", "github")
			require.Equal(t, StatusEvaluation, r.status)
			require.Contains(t, r.stdout, "title=c could not be evaluated::")
			require.Contains(t, r.stdout, "title=nix flake check failed::")

			r = check("-o", "sarif")
			require.Equal(t, StatusEvaluation, r.status)
			require.Contains(t, r.stdout, `"executionSuccessful": false`)
		})
	}
}

func TestFlakeCheckHasOneExitStatus(t *testing.T) {
	for name, tc := range map[string]struct {
		hosts  string
		args   []string
		status int
		says   string
	}{
		"sound":       {`{ a = host "ext4"; }`, nil, StatusOK, "nix flake check passed"},
		"a finding":   {`{ a = host "tmpfs"; }`, nil, StatusFindings, "nix flake check passed"},
		"nix alone":   {`{ a = builtins.removeAttrs (host "ext4") [ ] // { config = removeAttrs (host "ext4").config [ "system" ]; }; b = host "tmpfs"; }`, nil, StatusStep, "nix flake check failed with status 1"},
		"accepted":    {`{ a = host "tmpfs"; }`, []string{"--threshold", "error", "--exclude", "SW101"}, StatusOK, "nix flake check passed"},
		"one host":    {`{ a = host "ext4"; b = host "tmpfs"; }`, []string{"--host", "a"}, StatusOK, "nix flake check passed"},
		"wrong usage": {`{ a = host "ext4"; }`, []string{"--host", ""}, StatusUsage, ""},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"flake-check", fleetFlake(t, tc.hosts), "--no-build", "--nix", nixtest.All(t)[0].Path(), "--cache-dir", filepath.Join(t.TempDir(), "cache"), "--quiet"}, tc.args...)
			r := run(t, nil, append(args, nixArgs(t)...)...)
			require.Equal(t, tc.status, r.status, r.stdout+r.stderr)
			require.Contains(t, r.stdout, tc.says)
		})
	}
}

// What hosts come to is told, however nix ends.
func TestFlakeCheckTellsHostsWhereNixIsKilled(t *testing.T) {
	nix := filepath.Join(t.TempDir(), "nix")
	require.NoError(t, os.WriteFile(nix, []byte("#!/bin/sh\n[ \"$1 $2\" != \"flake check\" ] || kill -SEGV $$\nexec '"+nixtest.All(t)[0].Path()+"' \"$@\"\n"), 0o755))
	r := run(t, nil, "flake-check", fleetFlake(t, `{ a = host "tmpfs"; }`), "--nix", nix, "--cache-dir", filepath.Join(t.TempDir(), "cache"), "--quiet")
	require.Equal(t, StatusStep, r.status, r.stdout+r.stderr)
	require.Contains(t, r.stdout, "SW101")
	require.Contains(t, r.stdout, "nix flake check failed with status 139\n  nix was ended by signal 11")
}

func TestFlakeCheckTakesWholeFlakesOnly(t *testing.T) {
	for _, source := range []string{".#forge", "hosts.nix", "hosts.json"} {
		r := run(t, nil, "flake-check", source)
		require.Equal(t, StatusUsage, r.status, r.stderr)
		require.Contains(t, r.stderr, "is no whole flake")
	}
	r := run(t, nil, "flake-check", ".", "..")
	require.Equal(t, StatusUsage, r.status)
}

func TestFlakeCheckTellsNoSecretOfNix(t *testing.T) {
	flake := fleetFlake(t, `{ a = host "ext4"; b = throw "cannot fetch https://ada:hunter2@example.org/x"; }`)
	r := run(t, nil, append([]string{"flake-check", flake, "--no-build", "-o", "json", "--nix", nixtest.All(t)[0].Path(), "--cache-dir", filepath.Join(t.TempDir(), "cache")}, nixArgs(t)...)...)
	require.Equal(t, StatusEvaluation, r.status)
	require.NotContains(t, r.stdout+r.stderr, "hunter2")
	require.Contains(t, r.stderr, "stateward: running nix flake check")
	require.True(t, strings.Contains(r.stderr, "nix: "), r.stderr)
}

func TestReportsAreWrittenToAFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "report")
	r := run(t, nil, "check", filepath.Join(repository, "examples/homelab")+"#forge", "--quiet", "--write", dir, "--cache-dir", filepath.Join(t.TempDir(), "cache"))
	require.Equal(t, StatusOK, r.status, r.stderr)
	text, err := os.ReadFile(filepath.Join(dir, "report.txt"))
	require.NoError(t, err)
	require.Equal(t, r.stdout, string(text))
	data, err := os.ReadFile(filepath.Join(dir, "report.json"))
	require.NoError(t, err)
	var out CheckOutput
	require.NoError(t, json.Unmarshal(data, &out))
	require.Equal(t, "forge", out.Hosts[0].Name)
}
