package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/golden"
	"github.com/stateward/stateward/internal/nixtest"
	"github.com/stateward/stateward/preseed"
)

var servicesTable = regexp.MustCompile(`(?s)<!-- services -->\n(\|.*?\n)?\n`)

// The templates that docs/services.md shows give, each, a preseed that can be run: the table there is of the plans that the host comes to.
func TestDocsShowThePreseedsOfServices(t *testing.T) {
	dir := t.TempDir()
	module, err := os.ReadFile(filepath.Join(repository, "examples/services/forge.nix"))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "forge.nix"), module, 0o600))
	for _, name := range []string{"sonarr", "radarr", "plex", "home-assistant", "postgresql"} {
		r := run(t, nil, "template", "show", name, "--no-config", "--set", "repository=sftp:backup@nas:/srv/restic", "-o", "nix")
		require.Equal(t, StatusOK, r.status, r.stderr)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".nix"), []byte(r.stdout), 0o600))
	}
	file := filepath.Join(dir, "hosts.nix")
	require.NoError(t, os.WriteFile(file, []byte(`let
  merge = a: b: if builtins.isAttrs a && builtins.isAttrs b then a // builtins.mapAttrs (n: v: if a ? ${n} then merge a.${n} v else v) b else b;
  pkgs.postgresql_16 = { type = "derivation"; name = "postgresql"; };
  forge = import ./forge.nix;
  # The units that the modules of NixOS make of the templates' options.
  made.systemd.services = builtins.listToAttrs (map (name: { inherit name; value = { enable = true; }; }) [ "podman-sonarr" "podman-radarr" "plex" "home-assistant" "postgresql" ]);
in { forge = { config = builtins.foldl' merge made (map (m: import m { inherit pkgs; }) forge.imports ++ [ (removeAttrs forge [ "imports" ]) ]); }; }
`), 0o600))
	for _, nix := range nixtest.All(t) {
		t.Run(nix.Name, func(t *testing.T) {
			f := sourceFlags{quiet: true, noConfig: true, nix: nix.Path(), cacheDir: t.TempDir()}
			hosts, err := f.load(t.Context(), Env{Getenv: func(string) string { return "" }}, []string{file})
			require.NoError(t, err)
			require.Len(t, hosts, 1)
			require.NoError(t, hosts[0].err)
			planned, faults := preseed.FromHost(hosts[0].host, false)
			require.Empty(t, faults)
			require.Len(t, planned, 5)
			var table strings.Builder
			table.WriteString("| service | dataset | waits for it | sources | looked at | told |\n| --- | --- | --- | --- | --- | --- |\n")
			for _, o := range planned {
				require.Empty(t, o.Faults, o.Service)
				require.NotNil(t, o.Plan, o.Service)
				p := o.Plan
				require.Equal(t, preseed.Refuse, p.OnNoBackup)
				_, err := p.Unit(preseed.UnitOptions{Stateward: "/s", Plan: p.PlanFile(), Remote: o.Remote})
				require.NoError(t, err)
				var sources, looked, told []string
				for _, s := range p.Sources {
					sources = append(sources, strings.TrimSpace(fmt.Sprintf("%s %s", s.Kind, s.From+s.Job)))
				}
				if p.SQLite {
					looked = append(looked, "SQLite")
				}
				if p.MinBytes > 0 {
					looked = append(looked, fmt.Sprintf("%d bytes at least", p.MinBytes))
				}
				if p.MaxAge != "" {
					looked = append(looked, "no older than "+p.MaxAge)
				}
				if len(p.Command) > 0 {
					looked = append(looked, "a command")
				}
				for _, n := range []string{p.Notify.OnSuccess, p.Notify.OnFailure} {
					if n != "" {
						told = append(told, n)
					}
				}
				fmt.Fprintf(&table, "| %s | `%s` at `%s` | `%s` | %s | %s | %s |\n", o.Service, p.Dataset, p.Mountpoint, strings.Join(p.Units, "`, `"), strings.Join(sources, "<br>"), strings.Join(looked, ", "), strings.Join(told, ", "))
			}
			file := filepath.Join(repository, "docs/services.md")
			text, err := os.ReadFile(file)
			require.NoError(t, err)
			golden.Compare(t, file, servicesTable.ReplaceAllFunc(text, func([]byte) []byte { return []byte("<!-- services -->\n" + table.String() + "\n") }))
		})
	}
}
