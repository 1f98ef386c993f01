package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const drilledHost = `{ forge.config = {
  networking.hostName = "forge";
  fileSystems."/" = { device = "/dev/sda1"; fsType = "ext4"; };
  stateward.backup = { repositories.nas = { url = "sftp:nas:/r"; passwordFile = "/p"; }; defaults = { schedule = "daily"; prune = [ "--keep-daily 7" ]; notify.onFailure = "critical"; }; };
  stateward.services.app = { enable = true; dataDir = "/var/lib/app"; backup.drill.every = "EVERY"; };
  stateward.services.quiet = { enable = true; dataDir = "/var/lib/quiet"; notifications.enable = false; backup = { }; };
}; }`

func TestR13BackupPlanWritesDrillsToo(t *testing.T) {
	dir := t.TempDir()
	host, out := filepath.Join(dir, "h.nix"), filepath.Join(dir, "out")
	write := func(every string) {
		require.NoError(t, os.WriteFile(host, []byte(strings.Replace(drilledHost, "EVERY", every, 1)), 0o600))
	}
	write("30d")
	const needs = "stateward-notify-critical@.service"

	r := run(t, nil, "backup", "plan", host, "--quiet")
	require.Equal(t, StatusOK, r.status, r.stderr)
	require.Contains(t, r.stdout, "  needs "+needs+": stateward notify units writes them\n")
	require.Regexp(t, `notify.onFailure +critical +no effect: stateward.services.quiet.notifications.enable is false\n`, r.stdout)
	r = run(t, nil, "backup", "plan", host, "--quiet", "-o", "json", "--job", "quiet")
	require.Equal(t, StatusOK, r.status, r.stderr)
	require.NotContains(t, r.stdout, "notifyUnits")

	r = run(t, nil, "backup", "plan", host, "--quiet", "-o", "units", "--write", out)
	require.Equal(t, StatusOK, r.status, r.stderr)
	require.Equal(t, "stateward: these start "+needs+", which stateward notify units writes\n", r.stderr)
	text, err := os.ReadFile(filepath.Join(out, "etc/systemd/system/stateward-drill-app.service"))
	require.NoError(t, err)
	require.Contains(t, string(text), "OnFailure=stateward-notify-critical@%n.service\n")
	require.Contains(t, string(text), "ExecStart=/run/current-system/sw/bin/stateward drill --plan /etc/stateward/backup/app.json --if-due --quiet\n")
	require.FileExists(t, filepath.Join(out, "etc/systemd/system/stateward-drill-app.timer"))
	require.NoFileExists(t, filepath.Join(out, "etc/systemd/system/stateward-drill-quiet.timer"))

	r = run(t, nil, "backup", "plan", host, "--quiet", "-o", "nix")
	require.Equal(t, StatusOK, r.status, r.stderr)
	require.Contains(t, r.stdout, `stateward-drill-app = {`)
	require.Contains(t, r.stderr, needs)
	r = run(t, nil, "backup", "plan", host, "--quiet", "-o", "stock")
	require.Equal(t, StatusFindings, r.status)
	require.Contains(t, r.stdout, `"quiet" = {`)
	require.NotContains(t, r.stdout, `"app" = {`)

	// What an earlier plan wrote is named, drills too.
	write("")
	r = run(t, nil, "backup", "plan", host, "--quiet", "-o", "units", "--write", out)
	require.Equal(t, StatusOK, r.status, r.stderr)
	require.Contains(t, r.stderr, "stateward-drill-app.timer is of no job that was rendered, and is left\n")

	write("6h")
	r = run(t, nil, "backup", "plan", host, "--quiet")
	require.Equal(t, StatusFindings, r.status)
	require.Contains(t, r.stdout, "    ! drill: every is 6h\n      hint: a day is the least\n      by stateward.services.app.backup.drill.every")
}
