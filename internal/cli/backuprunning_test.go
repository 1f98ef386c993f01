package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/nixtest"
)

// R10: a backup that is only asked for is none. With the module that `stateward backup plan -o nix` writes it is one, for as long as that was written of what is
// asked for now.
func TestAskedForBackupsThatAModuleRuns(t *testing.T) {
	const host = `{
    networking.hostName = "forge";
    fileSystems."/" = { device = "rpool/root"; fsType = "zfs"; };
    stateward.backup = {
      repositories.nas = { url = "sftp:backup@nas:/srv/restic"; passwordFile = "/run/secrets/restic"; primary = true; };
      repositories.b2 = { url = "b2:bucket:forge"; passwordFile = "/run/secrets/restic"; environmentFile = "/run/secrets/b2"; };
      defaults = { schedule = "daily"; prune = [ "--keep-daily 7" ]; };
    };
    stateward.services.app = { enable = true; dataDir = "/var/lib/app"; backup = { repositories = [ "nas" "b2" ]; }; };
  }`
	// What the module system does with two modules.
	const merged = `let merge = a: b: if builtins.isAttrs a && builtins.isAttrs b then a // builtins.mapAttrs (n: v: if a ? ${n} then merge a.${n} v else v) b else b;
in { forge.config = merge (import ./host.nix) (import ./module.nix { }); }`
	for _, n := range nixtest.All(t) {
		t.Run(n.Name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string) string {
				at := filepath.Join(dir, name)
				require.NoError(t, os.WriteFile(at, []byte(text), 0o600))
				return at
			}
			write("host.nix", host)
			write("module.nix", "{ ... }: { }")
			hosts := write("hosts.nix", merged)
			cache := t.TempDir()
			plan := func() {
				t.Helper()
				r := run(t, nil, "backup", "plan", hosts, "-o", "nix", "-q", "--nix", n.Path(), "--cache-dir", cache)
				require.Equal(t, StatusOK, r.status, r.stderr)
				write("module.nix", r.stdout)
			}
			tiers := func() (disk, site stateward.TierState, about []string) {
				t.Helper()
				out := checkJSON(t, cache, hosts, "--nix", n.Path())
				for _, d := range out.Hosts[0].Findings {
					if strings.HasPrefix(d.Code, "SW3") {
						about = append(about, d.Code+" "+d.Message)
					}
				}
				for _, row := range out.Hosts[0].Survival {
					if row.Path == "/var/lib/app" {
						return row.Tiers[stateward.TierDisk].State, row.Tiers[stateward.TierSite].State, about
					}
				}
				t.Fatal("it says nothing of /var/lib/app")
				return
			}
			expect := func(want stateward.TierState, finding string) {
				t.Helper()
				disk, site, about := tiers()
				require.Equal(t, want, disk)
				require.Equal(t, want, site)
				require.Equal(t, finding == "", len(about) == 0, about)
				require.Contains(t, strings.Join(about, "\n"), finding)
			}
			expect(stateward.SurvivalUnknown, "SW307 app asks for a backup of /var/lib/app, and no job that is read runs it")
			plan()
			expect(stateward.SurvivalYes, "")
			// What is asked for changes, and the module does not.
			write("host.nix", strings.Replace(host, `"nas" "b2" ]; `, `"nas" "b2" ]; exclude = [ "*.tmp" ]; `, 1))
			expect(stateward.SurvivalUnknown, "stateward-backup-app.service was written of something else")
			plan()
			// A timer that somebody turned off.
			write("hosts.nix", strings.Replace(merged, "(import ./module.nix { })", `(merge (import ./module.nix { }) { systemd.timers.stateward-backup-app.enable = false; systemd.timers.stateward-backup-app-b2.enable = false; })`, 1))
			expect(stateward.SurvivalUnknown, "SW307")
			write("hosts.nix", merged)
			expect(stateward.SurvivalYes, "")
		})
	}
}
