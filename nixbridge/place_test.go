package nixbridge_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/nixbridge"
)

func put(t testing.TB, text string, path ...string) string {
	t.Helper()
	file := filepath.Join(path...)
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

func TestModulesAreNoHosts(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		for name, text := range map[string]string{
			"a function of config":        `{ config, pkgs, ... }: { services.x.enable = true; }`,
			"a function of pkgs":          `{ pkgs, ... }: { }`,
			"a set with imports":          `{ imports = [ ./hardware.nix ]; networking.hostName = "x"; }`,
			"a function of nothing of it": `{ ... }: { services.x.enable = true; }`,
			"a set that throws":           `{ services = throw "no"; }`,
		} {
			t.Run(name, func(t *testing.T) {
				file := put(t, text, t.TempDir(), "configuration.nix")
				_, err := e.Evaluate(t.Context(), source(t, file))
				var se *nixbridge.SourceError
				require.ErrorAs(t, err, &se)
				require.ErrorContains(t, err, "is a module, not an evaluated configuration")
				require.Contains(t, se.Hint(), "nixosSystem")
			})
		}
		t.Run("a host may have the name of an option", func(t *testing.T) {
			ev, err := e.Evaluate(t.Context(), source(t, put(t, `{ services.config.test = { }; users = { ... }: { config.test = { }; }; }`, t.TempDir(), "hosts.nix")))
			require.NoError(t, err)
			require.Len(t, ev.Hosts, 2)
		})
	})
}

func TestSourcesWithOddNames(t *testing.T) {
	const host = `{ config.test.a.text = "x"; }`
	const flake = `{ outputs = _: { nixosConfigurations.a = ` + host + `; }; }`
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		dir, err := filepath.EvalSymlinks(t.TempDir())
		require.NoError(t, err)
		git := func(dir string) {
			for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}} {
				out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput()
				require.NoError(t, err, "%s", out)
			}
		}
		put(t, host, dir, "my#host.nix")
		put(t, `{ a = `+host+`; }`, dir, "a#b", "hosts.nix")
		put(t, flake, dir, "with blank#1", "flake.nix")
		put(t, flake, dir, "repo #2", "flake.nix")
		put(t, flake, dir, "repo #2", "sub dir", "flake.nix")
		git(filepath.Join(dir, "repo #2"))
		put(t, flake, dir, "real", "flake.nix")
		require.NoError(t, os.Symlink("real", filepath.Join(dir, "link")))
		for _, arg := range []string{
			"my#host.nix", "a#b/hosts.nix", "a#b/hosts.nix#a", "with blank#1", "with blank#1#a", "link", "link#a", "repo #2", "repo #2#a", "repo #2/sub dir#a",
		} {
			t.Run(arg, func(t *testing.T) {
				ev, err := e.Evaluate(t.Context(), source(t, filepath.Join(dir, arg)))
				if se := (*nixbridge.SourceError)(nil); errors.As(err, &se) && strings.Contains(filepath.Dir(filepath.Join(arg, "x")), " ") {
					// nix 2.8 cannot name such a folder in any way.
					require.ErrorContains(t, err, "lies in a folder that nix 2.8")
					require.NotEmpty(t, se.Hint())
					return
				}
				require.NoError(t, err)
				require.Len(t, ev.Hosts, 1)
				require.NoError(t, ev.Hosts[0].Err)
			})
		}
		saved := filepath.Join(dir, "a#b.json")
		ev, err := e.Evaluate(t.Context(), source(t, filepath.Join(dir, "link")))
		require.NoError(t, err)
		put(t, write(t, ev), saved)
		_, err = e.Read(t.Context(), source(t, saved), nil)
		require.NoError(t, err)
	})
}
