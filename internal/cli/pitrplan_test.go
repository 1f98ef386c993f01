package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/nixtest"
	"github.com/stateward/stateward/nixbridge"
)

// A cluster that is only asked for is not archived. With the module that `pitr plan` writes it is, on every nix, for as long as that was written of what is asked for now; and the
// file in it is the policy that the other commands read.
func TestClustersThatAModuleArchives(t *testing.T) {
	const host = `{
    networking.hostName = "forge";
    fileSystems."/" = { device = "rpool/root"; fsType = "zfs"; };
    services.postgresql = { enable = true; dataDir = "/var/lib/postgresql/17"; package.psqlSchema = "17"; settings = { shared_buffers = "1GB"; port = 5433; }; };
    systemd.services.postgresql = { enable = true; serviceConfig = { User = "postgres"; StateDirectory = "postgresql"; }; };
    stateward.pitr.postgresql = {
      destination = "s3://b/it's 100%"; server = "forge"; endpoint = "https://s3.example.org/\${x}"; environmentFile = "/run/secrets/pitr.env"; credentialsFile = "/run/secrets/aws";
      compression = "gzip"; schedule = [ "daily" "Mon 12:00" ]; window = "14d"; redundancy = 2; archiveTimeout = "5min"; drill.every = "30d"; notify.onFailure = "critical";
    };
  }`
	// What the module system does with modules.
	const merged = `let merge = a: b: if builtins.isAttrs a && builtins.isAttrs b then a // builtins.mapAttrs (n: v: if a ? ${n} then merge a.${n} v else v) b else b;
in { forge.config = merge (import ./host.nix) (import ./pitr.nix { }); }`
	for _, n := range nixtest.All(t) {
		t.Run(n.Name, func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string) string {
				at := filepath.Join(dir, name)
				require.NoError(t, os.WriteFile(at, []byte(text), 0o600))
				return at
			}
			write("host.nix", host)
			write("pitr.nix", "{ ... }: { }")
			hosts := write("hosts.nix", merged)
			plan := func(args ...string) string {
				t.Helper()
				r := run(t, nil, append([]string{"pitr", "plan", hosts, "-q", "--nix", n.Path(), "--no-cache", "--cache-dir", t.TempDir()}, args...)...)
				require.Equal(t, StatusOK, r.status, r.stderr)
				return r.stdout
			}
			found := func() pitr.Running {
				t.Helper()
				source, err := nixbridge.ParseSource(hosts)
				require.NoError(t, err)
				list, err := nixbridge.Load(t.Context(), source, nixbridge.Options{Evaluator: &nixbridge.Evaluator{Nix: n.Path(), CacheDir: t.TempDir()}})
				require.NoError(t, err)
				require.Equal(t, stateward.StatusOK, list[0].Status, list[0].Unknown)
				found, faults := pitr.FindRunning(list[0])
				require.Empty(t, faults)
				require.Len(t, found, 1)
				require.Empty(t, found[0].Faults)
				return found[0]
			}
			require.Equal(t, pitr.NotRun, found().State)
			module := plan("-o", "nix")
			write("pitr.nix", module)
			r := found()
			require.Equal(t, pitr.Runs, r.State)
			require.Empty(t, r.Missing)
			// Writing it once more changes nothing.
			require.Equal(t, module, plan("-o", "nix"))
			// What is installed is the policy, whatever nix makes of its quotes; and what `-o json --write` writes.
			var text string
			n.JSON(t, "(import "+filepath.Join(dir, "pitr.nix")+" { }).environment.etc.\"stateward/pitr/postgresql.json\".text", &text)
			p, err := pitr.ReadPolicy([]byte(text), stateward.ZoneFunc(time.LoadLocation))
			require.NoError(t, err)
			require.Equal(t, *r.Policy, p)
			require.Equal(t, "s3://b/it's 100%", p.Destination)
			require.Equal(t, 5433, p.Cluster.Port)
			plan("-o", "json", "--write", dir)
			written, err := os.ReadFile(filepath.Join(dir, "postgresql.json"))
			require.NoError(t, err)
			require.Equal(t, text, string(written))
			var command string
			n.JSON(t, "(import "+filepath.Join(dir, "pitr.nix")+" { }).services.postgresql.settings.archive_command", &command)
			require.Equal(t, `/run/current-system/sw/bin/barman-cloud-wal-archive '--endpoint-url=https://s3.example.org/${x}' --gzip 's3://b/it'\''s 100%%' forge "%p"`, command)
			var files []string
			n.JSON(t, "(import "+filepath.Join(dir, "pitr.nix")+" { }).systemd.services.postgresql.serviceConfig.EnvironmentFile", &files)
			require.Equal(t, []string{"/run/secrets/pitr.env"}, files)
			// What is asked for changes, and the module does not.
			write("host.nix", strings.Replace(host, `"14d"`, `"30d"`, 1))
			require.Equal(t, pitr.Stale, found().State)
			write("pitr.nix", plan("-o", "nix"))
			require.Equal(t, pitr.Runs, found().State)
			// The units are there, and the server does not archive.
			write("hosts.nix", strings.Replace(merged, "(import ./pitr.nix { })", `(builtins.removeAttrs (import ./pitr.nix { }) [ "services" ])`, 1))
			require.Equal(t, pitr.NotArchived, found().State)
		})
	}
}

func TestPITRPlan(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		at := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(at, []byte(text), 0o700))
		return at
	}
	const on = `services.postgresql = { enable = true; dataDir = "/d"; package.psqlSchema = "17"; settings = { }; }; systemd.services.postgresql = { serviceConfig.User = "postgres"; };`
	hosts := write("hosts.nix", `{
  well.config = { `+on+` stateward.pitr.postgresql = { destination = "s3://b/pg"; server = "well"; schedule = "daily"; window = "7d"; archiveTimeout = "1min"; environmentFile = "/run/secrets/x"; compression = "gzip"; }; };
  wrong.config = { `+on+` stateward.pitr.postgresql = { destination = "s3://b/pg"; schedule = "daily"; windw = "7d"; }; };
  zone.config = { `+on+` stateward.pitr.postgresql = { destination = "s3://b/pg"; server = "zone"; schedule = "02:30 Europe/Berlin"; window = "7d"; }; };
  nowhere.config = { `+on+` stateward.pitr.postgresql = { destination = "s3://b/pg"; server = "nowhere"; schedule = "02:30 Europe/Berln"; window = "7d"; }; };
  none.config = { fileSystems = { }; };
}`)
	r := run(t, nil, "pitr", "plan", hosts, "-q")
	require.Equal(t, StatusFindings, r.status, r.stderr)
	for _, line := range []string{"none: wants no cluster archived\n", "well: 1 cluster to archive, 1 planned\n", "wrong: 1 cluster to archive, 0 planned\n", "    ! server is missing\n",
		"zone: 1 cluster to archive, 1 planned\n", "    base backup  02:30 Europe/Berlin\n", "    ! calendar event \"02:30 Europe/Berln\", character 7: \"Europe/Berln\" is no known time zone\n      hint: write UTC or a zone by its full name",
		"    ! stateward.pitr.postgresql.windw is unknown: stateward knows no such field: did you mean window?\n"} {
		require.Contains(t, r.stdout, line)
	}
	r = run(t, nil, "pitr", "plan", hosts, "--host", "wrong", "-q", "-o", "nix", "--write", filepath.Join(dir, "out"))
	require.Equal(t, StatusFindings, r.status)
	require.Contains(t, r.stderr, "stateward-pitr.nix is not written: no cluster can be planned")
	require.NoDirExists(t, filepath.Join(dir, "out"))
	r = run(t, nil, "pitr", "plan", hosts, "-q", "-o", "units")
	require.Equal(t, StatusUsage, r.status)
	r = run(t, nil, "pitr", "plan", hosts, "-q", "--name", "big")
	require.Equal(t, StatusUsage, r.status)
	require.Contains(t, r.stderr, `no cluster "big" is to be archived`)
	r = run(t, nil, "pitr", "plan", hosts, "--host", "well", "-q", "-o", "units", "--write", filepath.Join(dir, "bad"), "--on-failure", "bad/unit.service")
	require.NotEqual(t, StatusOK, r.status)
	require.Contains(t, r.stderr, `OnFailure has "bad/unit.service", which is no unit`)
	r = run(t, nil, "pitr", "plan", hosts, "-q", "--barman", "bin")
	require.Equal(t, StatusUsage, r.status)
	// Units that are left of an earlier plan are named.
	out := filepath.Join(dir, "machine")
	require.NoError(t, os.MkdirAll(filepath.Join(out, systemUnits), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(out, systemUnits, "stateward-pitr-backup-old.service"), nil, 0o600))
	r = run(t, nil, "pitr", "plan", hosts, "--host", "well", "-q", "-o", "units", "--write", out)
	require.Equal(t, StatusOK, r.status, r.stderr)
	require.Contains(t, r.stderr, "stateward-pitr-backup-old.service is of no cluster that was planned, and is left")
	p, err := readPITRPolicy(filepath.Join(out, pitr.PlanDir, "postgresql.json"))
	require.NoError(t, err)
	require.Equal(t, "well", p.Server)
	text, err := os.ReadFile(filepath.Join(out, systemUnits, "postgresql.service.d/stateward-pitr-postgresql.conf"))
	require.NoError(t, err)
	require.Equal(t, "[Service]\nEnvironmentFile=/run/secrets/x\n", string(text))
	// G7: what a tool that is there says of itself counts.
	for _, tool := range []string{pitr.ToolWALArchive, pitr.ToolBackup} {
		write(tool, "#!/bin/sh\nprintf 'usage: "+tool+" [-h] [--endpoint-url URL] destination_url server_name\\n\\npositional arguments:\\n  destination_url  url\\n\\noptions:\\n  -h  help\\n'\n")
	}
	r = run(t, nil, "pitr", "plan", hosts, "--host", "well", "-q", "--tools", dir)
	require.Equal(t, StatusFindings, r.status, r.stderr)
	require.Contains(t, r.stdout, "! barman-cloud-wal-archive has no option --gzip\n")
	r = run(t, nil, "pitr", "plan", hosts, "--host", "well", "-q", "--tools", filepath.Join(dir, "nowhere"))
	require.Equal(t, StatusStep, r.status)
}
