package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/nixtest"
	"github.com/stateward/stateward/nixbridge"
	"github.com/stateward/stateward/preseed"
)

// E9: a preseed that is only asked for restores nothing. With the modules that `backup plan`, `snapshot plan` and `preseed plan` write it is run, on every nix, for as long as that
// was written of what is asked for now.
func TestAskedForPreseedsThatAModuleRuns(t *testing.T) {
	const host = `{
    networking.hostName = "forge";
    fileSystems."/" = { device = "rpool/root"; fsType = "zfs"; };
    stateward.backup.repositories.nas = { url = "sftp:backup@nas:/srv/restic"; passwordFile = "/run/secrets/restic"; };
    stateward.backup.defaults = { schedule = "daily"; prune = [ "--keep-daily 7" ]; notify.onFailure = "critical"; };
    systemd.services.app = { enable = true; serviceConfig.ExecStart = "/bin/app"; };
    systemd.services."worker@" = { enable = true; serviceConfig.ExecStart = "/bin/worker"; };
    stateward.services.app = {
      enable = true; units = [ "app" "worker@1" ]; dataDir = "/var/lib/app"; dataset.name = "tank/app"; backup = { };
      preseed = { onNoBackup = "start-empty"; reason = "it's new"; validate.command = "test -e \"$1/a b\" -a -n \${HOME}"; };
    };
  }`
	// What the module system does with modules.
	const merged = `let merge = a: b: if builtins.isAttrs a && builtins.isAttrs b then a // builtins.mapAttrs (n: v: if a ? ${n} then merge a.${n} v else v) b else b;
in { forge.config = merge (merge (import ./host.nix) (import ./backup.nix { })) (import ./preseed.nix { }); }`
	for _, n := range nixtest.All(t) {
		t.Run(n.Name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string) string {
				at := filepath.Join(dir, name)
				require.NoError(t, os.WriteFile(at, []byte(text), 0o600))
				return at
			}
			write("host.nix", host)
			write("backup.nix", "{ ... }: { }")
			write("preseed.nix", "{ ... }: { }")
			hosts := write("hosts.nix", merged)
			plan := func(command, file string) {
				t.Helper()
				r := run(t, nil, command, "plan", hosts, "-o", "nix", "-q", "--nix", n.Path(), "--no-cache", "--cache-dir", t.TempDir())
				require.Equal(t, StatusOK, r.status, r.stderr)
				write(file, r.stdout)
			}
			state := func() preseed.RunState {
				t.Helper()
				source, err := nixbridge.ParseSource(hosts)
				require.NoError(t, err)
				list, err := nixbridge.Load(t.Context(), source, nixbridge.Options{Evaluator: &nixbridge.Evaluator{Nix: n.Path(), CacheDir: t.TempDir()}})
				require.NoError(t, err)
				require.Equal(t, stateward.StatusOK, list[0].Status, list[0].Unknown)
				found, faults := preseed.FindRunning(list[0])
				require.Empty(t, faults)
				require.Len(t, found, 1)
				require.Empty(t, found[0].Faults)
				return found[0].State
			}
			require.Equal(t, preseed.NotRun, state())
			plan("preseed", "preseed.nix")
			require.Equal(t, preseed.NoJob, state())
			plan("backup", "backup.nix")
			require.Equal(t, preseed.Runs, state())
			// Writing it once more changes nothing.
			before, err := os.ReadFile(filepath.Join(dir, "preseed.nix"))
			require.NoError(t, err)
			plan("preseed", "preseed.nix")
			after, err := os.ReadFile(filepath.Join(dir, "preseed.nix"))
			require.NoError(t, err)
			require.Equal(t, string(before), string(after))
			// The file that is installed is a plan that a run reads, whatever nix makes of its quotes.
			var text string
			n.JSON(t, "(import "+filepath.Join(dir, "preseed.nix")+" { }).environment.etc.\"stateward/preseed/app.json\".text", &text)
			p, err := preseed.ReadPlan([]byte(text))
			require.NoError(t, err)
			require.Equal(t, []string{"/usr/bin/env", "bash", "-euo", "pipefail", "-c", `test -e "$1/a b" -a -n ${HOME}`, "bash"}, p.Command)
			// What is asked for changes, and the module does not.
			write("host.nix", strings.Replace(host, `preseed = {`, `preseed = { maxAge = "1d";`, 1))
			require.Equal(t, preseed.Stale, state())
			plan("preseed", "preseed.nix")
			require.Equal(t, preseed.Runs, state())
			// A service that no longer waits.
			write("hosts.nix", strings.Replace(merged, "(import ./preseed.nix { }); }", `(merge (import ./preseed.nix { }) { systemd.services.app.requires = [ ]; }); }`, 1))
			require.Equal(t, preseed.NotHeld, state())
		})
	}
}
