package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/nixtest"
	"github.com/stateward/stateward/preseed"
)

// soundContract is `stateward` of a host of which nothing is refused.
const soundContract = `{
  services.paperless = {
    enable = true;
    unit = "paperless-web";
    user = "paperless";
    dataDir = "/var/lib/paperless";
    backupPaths = [ "media" "/srv/scans" ];
    persist.directories = [ "/var/lib/index" { directory = "/var/lib/keys"; mode = "0700"; } ];
    dataset = { name = "tank/paperless"; mode = "0750"; properties.recordsize = "16K"; };
    backup = { engine = "restic"; repositories = [ "nas" ]; schedule = "daily"; prune = [ "--keep-daily 7" ]; drill.every = "30d"; limits.nice = 19; };
    preseed = { sources = [ "local" "restic" ]; onNoBackup = "refuse"; maxAge = "30d"; };
    databases = [ { type = "postgresql"; name = "paperless"; } ];
    protection = { tiers = [ "reboot" "site" ]; rpo = { site = "1d"; }; };
    healthCheck = { command = "curl -f localhost"; retries = 3; };
  };
  services.off = { enable = false; };
  backup.repositories.nas = { url = "sftp:backup@nas:/srv/restic"; passwordFile = "/run/secrets/restic"; primary = true; };
  backup.defaults = { randomizedDelay = "30min"; };
  pitr.other = { destination = "s3://bucket/pg"; server = "forge"; schedule = "daily"; cluster = { dataDir = "/var/lib/pg"; user = "postgres"; unit = "pg.service"; version = 17; binDir = "/bin"; }; };
  acknowledge = [ { code = "SW101"; service = "prometheus"; reason = "a week"; } ];
}`

// contractRefusals are values at a path below "stateward", and where something is said of them; empty where nothing is.
var contractRefusals = []struct{ path, value, said string }{
	{"services.paperless.enable", `null`, "has no enable"},
	{"services.paperless.enable", `1`, "type"},
	{"services.paperless.user", `"a b"`, "user"},
	{"services.paperless.user", `""`, ""},
	{"services.paperless.dataDir", `5`, "type"},
	{"services.paperless.datadir", `"/a"`, "type"},
	{"services.paperless.dataset", `{ }`, "has no name"},
	{"services.paperless.dataset.name", `""`, "has no name"},
	{"services.paperless.dataset.mode", `"0999"`, "mode"},
	{"services.paperless.dataset.mode", `"u=rwx,g=rx,o="`, ""},
	{"services.paperless.dataset.owner", `"-x"`, "owner"},
	{"services.paperless.dataset.recordsize", `"16K"`, "type"},
	{"services.paperless.dataset", `"tank/paperless"`, "type"},
	{"services.paperless.databases", `[ { type = "redis"; } ]`, "has no name"},
	{"services.paperless.databases", `[ "paperless" ]`, ""},
	{"services.paperless.persist.directories", `[ { mode = "0700"; } ]`, "has no directory"},
	{"services.paperless.persist.directories", `[ { directory = "/a"; owner = "x"; } ]`, "type"},
	{"services.paperless.persist.files", `[ "/a" ]`, ""},
	{"services.paperless.protection.tiers", `[ "moon" ]`, "tiers"},
	{"services.paperless.protection.tiers", `"site"`, ""},
	{"services.paperless.protection.rpo", `"1d"`, ""},
	{"services.paperless.protection.rpo", `"soon"`, "rpo"},
	{"services.paperless.protection.rpo.sun", `"1d"`, "rpo.sun"},
	{"services.paperless.protection.rpo.site", `"soon"`, "rpo.site"},
	{"services.paperless.backup", `true`, "type"},
	{"services.paperless.backup.cron", `"daily"`, "type"},
	{"services.paperless.backup.repositories", `[ "moon" ]`, "repositories"},
	{"services.paperless.backup.repository", `"nas"`, "stands beside repositories"},
	{"services.paperless.backup", `{ repository = "moon"; schedule = "daily"; }`, "repository"},
	{"services.paperless.backup", `{ repository = "nas"; engine = "restic"; schedule = "daily"; }`, ""},
	{"services.paperless.backup.schedule", `[ ]`, "schedule"},
	{"services.paperless.backup.randomizedDelay", `"soon"`, "randomizedDelay"},
	{"services.paperless.backup.consistency", `"maybe"`, "consistency"},
	{"services.paperless.backup.consistency", `"dump"`, "dump"},
	{"services.paperless.backup.dump", `{ directory = "/d"; }`, "has no command"},
	{"services.paperless.backup.dump", `{ command = "true"; directory = "/d"; }`, ""},
	{"services.paperless.backup.checkSubset", `"half"`, "checkSubset"},
	{"services.paperless.backup.checkSubset", `"5%"`, ""},
	{"services.paperless.backup.checkSubset", `"1/7"`, ""},
	{"services.paperless.backup.lockWait", `"soon"`, "lockWait"},
	{"services.paperless.backup.drill.every", `"often"`, "every"},
	{"services.paperless.backup.drill.every", `""`, ""},
	{"services.paperless.backup.limits.runTime", `"long"`, "runTime"},
	{"services.paperless.backup.limits.ram", `"1G"`, "type"},
	{"services.paperless.backup.notify.on", `"x"`, "type"},
	{"services.paperless.preseed", `true`, "type"},
	{"services.paperless.preseed.sources", `[ "zfs" ]`, "sources"},
	{"services.paperless.preseed.onNoBackup", `"whatever"`, "onNoBackup"},
	{"services.paperless.preseed.onNoBackup", `"start-empty"`, "reason"},
	{"services.paperless.preseed", `{ onNoBackup = "start-empty"; reason = "a cache"; sources = [ "restic" ]; }`, ""},
	{"services.paperless.preseed.maxAge", `"soon"`, "maxAge"},
	{"services.paperless.preseed.minBytes", `-1`, "type"},
	{"services.paperless.preseed.repository", `"moon"`, "repository"},
	{"services.paperless.healthCheck", `{ retries = 1; }`, "has no command"},
	{"services.paperless.healthCheck", `{ enable = false; }`, ""},
	{"services.paperless.healthCheck.retries", `0`, "type"},
	{"services.paperless.healthCheck.interval", `"soon"`, "interval"},
	{"services.off", `{ enable = false; dataDir = "rel"; dataset = { }; databases = [ { } ]; }`, ""},
	{"backup.repositories.\"a b\"", `{ url = "/r"; passwordFile = "/p"; }`, "name"},
	{"backup.repositories.b", `"/r"`, "type"},
	{"backup.defaults.paths", `[ "/a" ]`, "type"},
	{"backup.defaults.randomizedDelay", `"soon"`, "randomizedDelay"},
	{"backup.repository", `{ }`, "type"},
	{"pitr.other.destination", `null`, "has no destination"},
	{"pitr.other.server", `""`, "has no server"},
	{"pitr.other.schedule", `[ ]`, "has no schedule"},
	{"pitr.other.window", `"soon"`, "window"},
	{"pitr.other.redundancy", `-1`, "type"},
	{"pitr.other.provider", `"pgbackrest"`, "provider"},
	{"pitr.other.compression", `"rar"`, "compression"},
	{"pitr.other.cloud", `"moon"`, "cloud"},
	{"pitr.other.environmentFile", `"rel"`, "environmentFile"},
	{"pitr.other.cluster.user", `null`, "has no user"},
	{"pitr.other.cluster", `{ }`, "has no dataDir"},
	{"pitr.other.destinaton", `"s3://b"`, "type"},
	{"pitr.\"d e\"", `{ destination = "s3://bucket/pg"; server = "forge"; schedule = "daily"; cluster = { dataDir = "/var/lib/pg"; user = "postgres"; unit = "pg.service"; version = 17; binDir = "/bin"; }; }`, "name"},
	{"pitr.off", `{ enable = false; }`, ""},
	{"acknowledge", `[ { service = "x"; reason = "r"; } ]`, "has no code"},
	{"acknowledge", `[ { code = "SW101"; service = "x"; } ]`, "has no reason"},
	{"acknowledge", `[ { code = "SW101"; reason = "r"; } ]`, "names no service, subject or path"},
	{"acknowledge", `[ { code = "sw1"; path = "/a"; reason = "r"; } ]`, "code"},
	{"acknowledge", `[ { code = "SW101"; path = "/a"; reason = "r"; until = "soon"; } ]`, "until"},
	{"acknowledge", `[ { code = "SW101"; Path = "/a"; reason = "r"; } ]`, "type"},
	{"foo", `1`, "type"},
}

// refusedByGo are the ways in which Go does not take a host as it is.
func refusedByGo(h *stateward.Host) []string {
	var out []string
	for _, u := range h.Unknown {
		out = append(out, u.String())
	}
	jobs, unreached := restic.Plan(h, false)
	for _, p := range unreached {
		out = append(out, p.Message)
	}
	for _, j := range jobs {
		for _, p := range j.Problems {
			out = append(out, p.Message)
		}
	}
	seeds, faults := preseed.FromHost(h, false)
	for _, f := range faults {
		out = append(out, f.Message)
	}
	for _, s := range seeds {
		for _, f := range s.Faults {
			out = append(out, f.Message)
		}
	}
	clusters, wrong := pitr.FromHost(h, nil)
	for _, f := range wrong {
		out = append(out, f.Message)
	}
	for _, c := range clusters {
		for _, f := range c.Faults {
			out = append(out, f.Message)
		}
	}
	for _, a := range h.Acknowledgements.Or(nil) {
		if err := aggregate.CheckAcknowledgement(a); err != nil {
			out = append(out, err.Error())
		}
	}
	return out
}

// What the module refuses, as an error of a type or as an assertion, Go refuses where it is set without the module, and the other way round.
func TestModuleRefusesWhatGoRefuses(t *testing.T) {
	root, err := filepath.Abs(repository)
	require.NoError(t, err)
	var b strings.Builder
	fmt.Fprintf(&b, "let\n  lib = import %s/examples/homelab/lib;\n  sound = %s;\n  contracts = [\n    sound\n", root, soundContract)
	for _, r := range contractRefusals {
		var names []string
		for _, part := range strings.Split(r.path, ".") {
			names = append(names, fmt.Sprintf("%q", strings.Trim(part, `"`)))
		}
		fmt.Fprintf(&b, "    (set [ %s ] (%s) sound)\n", strings.Join(names, " "), r.value)
	}
	b.WriteString("  ];\n  set = path: value: all: if path == [ ] then value else all // { ${builtins.head path} = set (builtins.tail path) value (all.${builtins.head path} or { }); };\n")
	shared := b.String()

	file := filepath.Join(t.TempDir(), "hosts.nix")
	freeform := shared + `in builtins.listToAttrs (builtins.genList (i: { name = "h${toString i}"; value.config = {
		stateward = builtins.elemAt contracts i;
		systemd.services.paperless-web.enable = true;
		systemd.services.pg.enable = true;
	}; }) (builtins.length contracts))`
	require.NoError(t, os.WriteFile(file, []byte(freeform), 0o600))
	f := sourceFlags{quiet: true, noConfig: true, nix: nixtest.All(t)[0].Path(), cacheDir: t.TempDir()}
	loaded, err := f.load(t.Context(), Env{Getenv: func(string) string { return "" }}, []string{file})
	require.NoError(t, err)
	hosts := map[string]*stateward.Host{}
	for _, l := range loaded {
		require.NoError(t, l.err, l.name)
		hosts[l.name] = l.host
	}
	require.Len(t, hosts, len(contractRefusals)+1)
	sound := refusedByGo(hosts["h0"])
	require.Empty(t, sound)
	for i, r := range contractRefusals {
		got := refusedByGo(hosts[fmt.Sprintf("h%d", i+1)])
		if (len(got) > 0) != (r.said != "") {
			t.Errorf("%s = %s: Go says %q, the module %q", r.path, r.value, got, r.said)
		}
	}

	for _, nix := range nixtest.All(t) {
		t.Run(nix.Name, func(t *testing.T) {
			var says []any
			nix.JSON(t, shared+fmt.Sprintf(`in map (contract: let
				host = lib.evalModules { modules = [ %s/examples/homelab/modules %[1]s/nix/module { stateward = contract; } ]; };
				failing = map (a: a.message) (builtins.filter (a: !a.assertion) host.config.assertions);
				r = builtins.tryEval (builtins.deepSeq failing failing);
			in if r.success then r.value else "type") contracts`, root), &says)
			require.Empty(t, says[0])
			for i, r := range contractRefusals {
				var got []string
				switch v := says[i+1].(type) {
				case string:
					got = []string{v}
				case []any:
					for _, m := range v {
						got = append(got, m.(string))
					}
				}
				switch {
				case r.said == "" && len(got) > 0:
					t.Errorf("%s = %s: refused: %q", r.path, r.value, got)
				case r.said != "" && !slices.ContainsFunc(got, func(m string) bool { return strings.Contains(m, r.said) }):
					t.Errorf("%s = %s: want %q, got %q", r.path, r.value, r.said, got)
				case r.said != "" && r.said != "type":
					first, more, _ := strings.Cut(got[0], "\n")
					require.True(t, strings.HasPrefix(first, "stateward."), got[0])
					require.Contains(t, more, "Example: ", got[0])
				}
			}
		})
	}
}
