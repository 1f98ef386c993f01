package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/golden"
	"github.com/stateward/stateward/internal/nixtest"
)

// wiring is a folder with hosts that import our module, in a small lib of ours: each with the plan that lies in plans, and the modules that lie in modules.
type wiring struct {
	dir string
	nix nixtest.Nix
	// saved are evaluations in a folder of their own, each by its host and all that the folder of the hosts holds: most commands here read one that another
	// has read.
	saved map[string]string
	at    string
}

// wiredHosts are the hosts of the examples. Of some the units of the services are made here, as the modules of NixOS make them.
const wiredHosts = `let
  root = ROOT;
  lib = import (root + "/examples/homelab/lib");
  package = name: { type = "derivation"; inherit name; outPath = "/nix/store/00000000000000000000000000000000-${name}"; };
  pkgs = { writeShellScript = name: text: builtins.toFile name text; restic = package "restic"; sanoid = package "sanoid"; sqlite = package "sqlite"; barman = package "barman"; postgresql_16 = package "postgresql"; };
  units = names: { systemd.services = builtins.listToAttrs (map (name: { inherit name; value.serviceConfig.ExecStart = "/bin/true"; }) names); };
  files = dir: if builtins.pathExists dir then map (name: dir + "/${name}") (builtins.attrNames (builtins.readDir dir)) else [ ];
  host = name: modules: lib.evalModules {
    specialArgs = { inherit pkgs; };
    modules = [
      (root + "/examples/homelab/modules") (root + "/nix/module")
      ({ lib, ... }: {
        options.services.postgresql.package = lib.mkOption { type = lib.types.anything; };
        options.services.postgresql.settings = lib.mkOption { type = lib.types.attrsOf lib.types.anything; default = { }; };
        options.boot.zfs.package = lib.mkOption { type = lib.types.anything; default = package "zfs"; };
        config.stateward.package = package "stateward";
        config.stateward.plan = let file = ./plans + "/${name}.json"; in if builtins.pathExists file then file else null;
        config.networking.hostName = lib.mkDefault name;
      })
    ] ++ modules ++ files (./modules + "/${name}");
  };
in builtins.mapAttrs host {
  backup = [ (import ./backup.nix).forge.config ];
  preseed = [ (import ./preseed.nix).forge.config (units [ "paperless-web" "paperless-scheduler" "photos" "thumbnails" ]) ];
  pitr = [ (removeAttrs (import ./pitr.nix).forge.config [ "systemd" ]) ];
  snapshots = [ (import ./snapshots.nix).config ];
  services = [
    ./forge.nix
    ({ lib, ... }: { options.services = let any = lib.mkOption { type = lib.types.anything; }; in { plex = any; home-assistant = any; postgresqlBackup = any; }; })
    (units [ "podman-sonarr" "podman-radarr" "plex" "home-assistant" ])
  ];
  asked = [ ./asked.nix (units [ "app" "web" "worker@" ]) ];
  OTHERS
}
`

// asked is a host whose services ask for all that there is.
const asked = `{
  fileSystems."/" = { device = "tmpfs"; fsType = "tmpfs"; };
  fileSystems."/persist" = { device = "rpool/persist"; fsType = "zfs"; neededForBoot = true; };
  fileSystems."/srv/web" = { device = "tank/web"; fsType = "zfs"; };
  environment.persistence."/persist".directories = [ "/var/lib/nixos" ];
  environment.persistence."/persist".files = [ "/etc/machine-id" ];
  systemd.services.other.serviceConfig.StateDirectory = "other";
  stateward.backup = {
    repositories.nas = { url = "sftp:backup@nas:/srv/restic"; passwordFile = "/run/secrets/restic"; };
    defaults = { schedule = "daily"; prune = [ "--keep-daily 7" ]; };
  };
  stateward.services.app = {
    enable = true;
    units = [ "app" "worker@1" ];
    dataDir = "/var/lib/app";
    dataset = {
      name = "tank/app"; owner = "app"; mode = "0750";
      snapshots.policy = "production";
      replication = [ { target = "syncoid@nas:backup/app"; schedule = "daily"; sshKey = "/run/secrets/key"; hostKeys = [ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ4lqyM9T2ZrTn2UNtHOB3rOJm7MvdGsVGYF5PTsJ2SG" ]; raw = false; } ];
    };
    backup.drill = { every = "30d"; sqlite = true; };
    preseed = { onNoBackup = "start-empty"; reason = "it's \${new}"; validate.command = "test -e \"$1/a b\""; };
  };
  stateward.services.web = {
    enable = true;
    unit = "web";
    dataDir = "/srv/web";
    dataset = { name = "tank/web"; mountpoint = "legacy"; owner = "web"; mode = "0755"; };
  };
}
`

func newWiring(t *testing.T, n nixtest.Nix) *wiring {
	t.Helper()
	w := &wiring{t.TempDir(), n, map[string]string{}, t.TempDir()}
	for name, file := range map[string]string{"backup.nix": "backup/forge.nix", "preseed.nix": "preseed/hosts.nix", "pitr.nix": "pitr/forge.nix", "snapshots.nix": "snapshots/forge.nix", "forge.nix": "services/forge.nix"} {
		text, err := os.ReadFile(filepath.Join(repository, "examples", file))
		require.NoError(t, err)
		w.write(t, name, string(text))
	}
	for _, name := range []string{"sonarr", "radarr", "plex", "home-assistant", "postgresql"} {
		r := run(t, nil, "template", "show", name, "--no-config", "--set", "repository=sftp:backup@nas:/srv/restic", "-o", "nix")
		require.Equal(t, StatusOK, r.status, r.stderr)
		w.write(t, name+".nix", r.stdout)
	}
	w.write(t, "asked.nix", asked)
	root, err := filepath.Abs(repository)
	require.NoError(t, err)
	w.write(t, "hosts.nix", strings.NewReplacer("ROOT", root, "OTHERS", "").Replace(wiredHosts))
	return w
}

func (w *wiring) write(t *testing.T, name, text string) {
	t.Helper()
	at := filepath.Join(w.dir, name)
	require.NoError(t, os.MkdirAll(filepath.Dir(at), 0o700))
	require.NoError(t, os.WriteFile(at, []byte(text), 0o600))
}

func (w *wiring) run(t *testing.T, host string, args ...string) result {
	t.Helper()
	return run(t, nil, append(args, w.evaluated(t, host), "-q", "--no-config")...)
}

// evaluated is a file with what nix makes of a host. Nix is asked again whenever anything in the folder is another than before.
func (w *wiring) evaluated(t *testing.T, host string) string {
	t.Helper()
	key := host
	require.NoError(t, filepath.WalkDir(w.dir, func(name string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(name)
		key += fmt.Sprintf("\n%s %q", name, text)
		return err
	}))
	if w.saved[key] == "" {
		r := run(t, nil, "eval", filepath.Join(w.dir, "hosts.nix"), "--host", host, "-q", "--no-config", "--nix", w.nix.Path(), "--no-cache", "--cache-dir", t.TempDir())
		require.Contains(t, []int{StatusOK, StatusFindings}, r.status, r.stderr)
		file := filepath.Join(w.at, fmt.Sprint(len(w.saved), ".json"))
		require.NoError(t, os.WriteFile(file, []byte(r.stdout), 0o600))
		w.saved[key] = file
	}
	return w.saved[key]
}

// plan writes the plan of a host into a folder, of the hosts or of its own, and returns it.
func (w *wiring) plan(t *testing.T, host, dir string) string {
	t.Helper()
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(w.dir, dir)
	}
	r := w.run(t, host, "plan", "host", "--write", dir)
	require.Contains(t, []int{StatusOK, StatusFindings}, r.status, r.stderr)
	text, err := os.ReadFile(filepath.Join(dir, host+".json"))
	require.NoError(t, err, r.stderr)
	return string(text)
}

// settings are those of a host as nix evaluates them.
func (w *wiring) settings(t *testing.T, host string) any {
	t.Helper()
	var out any
	w.nix.JSON(t, fmt.Sprintf(`let
  c = (import %s).%s.config;
  wanted = names: u: builtins.listToAttrs (map (name: { inherit name; value = u.${name}; }) (builtins.filter (name: u ? ${name}) names));
  unit = wanted [ "description" "wantedBy" "requires" "requisite" "wants" "after" "before" "onFailure" "onSuccess" "overrideStrategy" "unitConfig" "serviceConfig" "timerConfig" "environment" "restartIfChanged" "reloadIfChanged" "path" ];
in {
  etc = builtins.mapAttrs (_: f: f.text) c.environment.etc;
  services = builtins.mapAttrs (_: unit) c.systemd.services;
  timers = builtins.mapAttrs (_: unit) c.systemd.timers;
  inherit (c.systemd.tmpfiles) rules;
  inherit (c.services) sanoid syncoid;
  postgresql = c.services.postgresql.settings;
}`, filepath.Join(w.dir, "hosts.nix"), host), &out)
	return sortedLists(out)
}

// sortedLists sorts the lists of texts: which of two modules comes first says nothing.
func sortedLists(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = sortedLists(v[name])
		}
	case []any:
		for i := range v {
			v[i] = sortedLists(v[i])
		}
		slices.SortStableFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return v
}

// rows are the survival matrix and the findings of a host, without where they come from.
func (w *wiring) rows(t *testing.T, host string) (rows, findings []string) {
	t.Helper()
	r := w.run(t, host, "check", "-o", "json")
	var out CheckOutput
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &out), r.stderr)
	require.Len(t, out.Hosts, 1)
	for _, row := range out.Hosts[0].Survival {
		text, err := json.Marshal(row.Tiers)
		require.NoError(t, err)
		rows = append(rows, row.Service+" "+row.Path+" "+string(text))
	}
	for _, d := range out.Hosts[0].Findings {
		findings = append(findings, d.Code+" "+d.Subject+" "+d.Message)
	}
	slices.Sort(rows)
	slices.Sort(findings)
	return rows, findings
}

// A plan that is wired sets what the modules set that the other commands write; and planned again it is the same bytes.
func TestAWiredPlanIsWhatTheModulesAre(t *testing.T) {
	for _, n := range nixtest.All(t) {
		t.Run(n.Name, func(t *testing.T) {
			w := newWiring(t, n)
			for _, host := range []string{"backup", "preseed", "pitr", "snapshots", "services", "asked"} {
				t.Run(host, func(t *testing.T) {
					text := w.plan(t, host, t.TempDir())
					p, err := aggregate.ReadHostPlan([]byte(text))
					require.NoError(t, err)
					if host == "asked" {
						require.Empty(t, p.Unplanned)
						require.Equal(t, []string{"backup", "datasets", "persistence", "preseed", "snapshots"}, keys(p.Settings))
						require.Equal(t, []string{"restic", "sanoid", "sqlite", "stateward"}, p.Packages)
					}
					// First what the modules set.
					for _, of := range []string{"dataset", "snapshot", "backup", "preseed", "pitr"} {
						if part := map[string]string{"dataset": "datasets", "snapshot": "snapshots"}[of]; p.Settings[of] == nil && p.Settings[part] == nil {
							continue
						}
						r := w.run(t, host, of, "plan", "-o", "nix")
						require.Contains(t, []int{StatusOK, StatusFindings}, r.status, r.stderr)
						w.write(t, filepath.Join("modules", host, of+".nix"), r.stdout)
					}
					want := w.settings(t, host)
					rowsWanted, findingsWanted := w.rows(t, host)
					require.NoError(t, os.RemoveAll(filepath.Join(w.dir, "modules")))
					// Then what the plan does.
					w.write(t, filepath.Join("plans", host+".json"), text)
					require.Empty(t, cmp.Diff(want, w.settings(t, host)))
					rows, findings := w.rows(t, host)
					if p.Settings["persistence"] == nil {
						require.Empty(t, cmp.Diff(rowsWanted, rows))
						require.Empty(t, cmp.Diff(findingsWanted, findings))
					}
					require.NotContains(t, strings.Join(findings, "\n"), "SW608")
					require.NotContains(t, strings.Join(findings, "\n"), "stateward.plan")
					require.Empty(t, cmp.Diff(text, w.plan(t, host, t.TempDir())))
					require.Empty(t, cmp.Diff(text, w.plan(t, host, "plans")))
					// And so does the module that is the plan as a whole.
					require.NoError(t, os.RemoveAll(filepath.Join(w.dir, "plans")))
					r := w.run(t, host, "plan", "host", "-o", "nix")
					require.Contains(t, []int{StatusOK, StatusFindings}, r.status, r.stderr)
					w.write(t, filepath.Join("modules", host, "plan.nix"), r.stdout)
					require.Empty(t, cmp.Diff(want, w.settings(t, host)))
					require.NoError(t, os.RemoveAll(filepath.Join(w.dir, "modules")))
				})
			}
		})
	}
}

func keys[V any](m map[string]V) []string {
	var out []string
	for name := range m {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// What docs/plan.md shows of --write is what it prints in a flake that git knows.
func TestThePlansPageShowsWhatIsWritten(t *testing.T) {
	nix := nixtest.All(t)[0]
	page, err := filepath.Abs(filepath.Join(repository, "docs/plan.md"))
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(repository, "examples/plan/forge.nix"))
	require.NoError(t, err)
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("forge.nix", text, 0o600))
	require.NoError(t, os.WriteFile("flake.nix", []byte("{outputs = _: {nixosConfigurations.forge.config = import ./forge.nix;};}\n"), 0o600))
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}} {
		out, err := exec.Command("git", args...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	r := run(t, nil, "plan", "host", ".", "--write", "plans", "-q", "--nix", nix.Path(), "--cache-dir", t.TempDir())
	require.Equal(t, StatusOK, r.status, r.stderr)
	before, err := os.ReadFile(page)
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)<!-- made by internal/cli/planhost_test.go -->\n```console\n(.*?)```\n")
	require.True(t, block.Match(before))
	golden.Compare(t, page, block.ReplaceAllLiteral(before, fmt.Appendf(nil, "<!-- made by internal/cli/planhost_test.go -->\n```console\n$ stateward plan host . --write plans\n%s%s```\n", r.stdout, r.stderr)))
}

// What is changed beneath a plan is told, and planned again where it is asked for: a plan never keeps itself alive.
//
// How one and the same host is read and wired by each nix, the test before says: this one asks the oldest.
func TestAPlanFollowsTheConfiguration(t *testing.T) {
	for _, n := range nixtest.All(t)[:1] {
		t.Run(n.Name, func(t *testing.T) {
			w := newWiring(t, n)
			before := w.plan(t, "asked", "plans")
			_, findings := w.rows(t, "asked")
			require.NotContains(t, strings.Join(findings, "\n"), "SW608")
			for _, c := range []struct{ name, was, is, told string }{
				{"a mode", `mode = "0755"`, `mode = "0700"`, "changed systemd.tmpfiles.rules"},
				{"a policy", `"production"`, `"services"`, "services.sanoid.datasets"},
				{"a replication that goes", "schedule = \"daily\"; sshKey", "schedule = \"weekly\"; sshKey", "services.syncoid.interval"},
				{"a preseed that goes", "preseed = {", "preseed = { enable = false;", "no longer planned"},
				{"state that needs no entry any more", "other.serviceConfig.StateDirectory", "other.serviceConfig.CacheDirectory", `changed environment.persistence."/persist"`},
				{"a service that goes", "stateward.services.web = {\n    enable = true", "stateward.services.web = {\n    enable = false", "the script stateward-datasets"},
			} {
				t.Run(c.name, func(t *testing.T) {
					require.Contains(t, asked, c.was)
					w.write(t, "asked.nix", strings.Replace(asked, c.was, c.is, 1))
					_, findings := w.rows(t, "asked")
					at := slices.IndexFunc(findings, func(f string) bool { return strings.HasPrefix(f, "SW608 ") })
					require.GreaterOrEqual(t, at, 0)
					require.Contains(t, findings[at], c.told)
					// What is planned with the old plan wired is what is planned without any, and a fixed point.
					with := w.plan(t, "asked", t.TempDir())
					away := filepath.Join(t.TempDir(), "plans")
					require.NoError(t, os.Rename(filepath.Join(w.dir, "plans"), away))
					without := w.plan(t, "asked", t.TempDir())
					require.Empty(t, cmp.Diff(without, with))
					w.write(t, "plans/asked.json", with)
					require.Empty(t, cmp.Diff(with, w.plan(t, "asked", t.TempDir())))
					require.NoError(t, os.RemoveAll(filepath.Join(w.dir, "plans")))
					require.NoError(t, os.Rename(away, filepath.Join(w.dir, "plans")))
				})
			}
			w.write(t, "asked.nix", asked)
			require.Equal(t, before, w.plan(t, "asked", "plans"))
			// A plan that is for something else is refused, and nothing of it is wired.
			units := func() (names []string) {
				n.JSON(t, fmt.Sprintf("builtins.attrNames (import %s).asked.config.systemd.services", filepath.Join(w.dir, "hosts.nix")), &names)
				return names
			}
			require.Contains(t, units(), "stateward-backup-app")
			for _, c := range []struct{ was, is, told string }{
				{`"hostName": "asked"`, `"hostName": "attic"`, "stateward.plan is that of attic, and this host is asked"},
				{`"protocolVersion": "1"`, `"protocolVersion": "2"`, `stateward.plan has protocolVersion "2", and this module reads "1"`},
			} {
				require.Contains(t, before, c.was)
				w.write(t, "plans/asked.json", strings.Replace(before, c.was, c.is, 1))
				require.NotContains(t, units(), "stateward-backup-app")
				_, findings := w.rows(t, "asked")
				require.Contains(t, strings.Join(findings, "\n"), c.told)
				require.Contains(t, strings.Join(findings, "\n"), "SW608 stateward.plan nothing is wired")
			}
			// Of one that was cut off, is empty or is not there nothing is wired either, all else is known, and it can be written while it is named.
			for cut, told := range map[int]string{len(before) / 2: "stateward.plan is cut off, or no plan: asked.json", 0: "stateward.plan is cut off, or no plan: asked.json",
				len(before) - 2: "stateward.plan is cut off, or no plan: asked.json", -1: "stateward.plan is a file that is not there: none.json"} {
				w.write(t, "plans/asked.json", before[:max(cut, 0)])
				if cut < 0 {
					w.write(t, "modules/asked/none.nix", "{lib, ...}: {stateward.plan = lib.mkForce ./none.json;}")
				}
				require.NotContains(t, units(), "stateward-backup-app", cut)
				_, findings := w.rows(t, "asked")
				require.Contains(t, strings.Join(findings, "\n"), told)
				require.Equal(t, cut > 0, strings.Contains(strings.Join(findings, "\n"), "SW608 stateward.plan nothing is wired"))
				require.NotContains(t, strings.Join(findings, "\n"), "SW603")
				require.Equal(t, before, w.plan(t, "asked", fmt.Sprint("again", cut)))
				require.NoError(t, os.RemoveAll(filepath.Join(w.dir, "modules/asked/none.nix")))
			}
			// What the configuration does not have is named.
			w.write(t, "plans/asked.json", strings.Replace(before, `"services": {`, `"nowhere": { "x": 1 }, "services": {`, 1))
			_, findings = w.rows(t, "asked")
			require.Contains(t, strings.Join(findings, "\n"), "nowhere, which this configuration does not have")
		})
	}
}
