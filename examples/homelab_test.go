package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
)

func TestHosts(t *testing.T) {
	eachNix(t, func(t *testing.T, n nix) {
		got := n.eval(t, homelab(t, "nixosConfigurations"), "--apply", "builtins.attrNames")
		require.Empty(t, cmp.Diff(list("attic", "cellar", "forge"), got))
	})
}

func TestForgeIsSound(t *testing.T) {
	const facts = `{ config, options, ... }: {
		persisted = map (d: "${d.directory} ${d.user}:${d.group} ${d.mode}") config.environment.persistence."/persist".directories;
		wiped = config.boot.initrd.systemd.services.rollback.script;
		early = builtins.filter (path: config.fileSystems.${path}.neededForBoot) (builtins.attrNames config.fileSystems);
		state = builtins.mapAttrs (_: unit: unit.serviceConfig.StateDirectory or null) config.systemd.services;
		failing = builtins.filter (a: !a.assertion) config.assertions;
		inherit (config) warnings;
	}`
	want := map[string]any{
		"persisted": list(
			"/var/log root:root 0755",
			"/var/lib/nixos root:root 0755",
			"/var/lib/systemd root:root 0755",
			"/var/lib/sonarr sonarr:sonarr 0700",
			// The collector's entries come last.
			"/var/lib/jellyfin root:root 0755",
		),
		"wiped": "zfs rollback -r rpool/local/root@blank",
		"early": list("/persist"),
		"state": map[string]any{
			"jellyfin":               "jellyfin",
			"postgresql":             "postgresql postgresql/17",
			"restic-backups-offsite": nil,
			"sonarr":                 nil,
		},
		"failing":  list(),
		"warnings": list(),
	}
	eachNix(t, func(t *testing.T, n nix) {
		require.Empty(t, cmp.Diff(want, n.eval(t, homelab(t, "nixosConfigurations.forge"), "--apply", facts)))
	})
}

func TestAtticMakesEachMistake(t *testing.T) {
	const facts = `{ config, options, ... }:
	let
		entries = config.environment.persistence."/persist".directories;
		entry = path: map (d: "${d.user}:${d.group} ${d.mode}") (builtins.filter (d: d.directory == path) entries);
	in {
		wiped = config.boot.initrd.postDeviceCommands;
		P1 = [ config.services.sonarr.enable config.services.sonarr.dataDir (entry "/var/lib/sonarr") ];
		P2 = [ (entry "/var/log") (entry "/var/lib/jellyfin") (entry "/var/lib/jellyfin/metadata") ];
		P3 = [ config.systemd.services.prowlarr.serviceConfig.DynamicUser (entry "/var/lib/prowlarr") (entry "/var/lib/private") ];
		P4 = [ config.fileSystems."/var/lib/postgresql".device (entry "/var/lib/postgresql") ];
		P5 = [ config.fileSystems.films.mountPoint config.fileSystems."/srv/media/music".neededForBoot ];
		P6 = config.fileSystems."/persist".neededForBoot;
		P7 = [ (entry "/var/lib/nixos") config.users.users.vaultwarden.uid ];
		P10 = [ (entry "/var/lib/vaultwarden") (entry "var/lib/uploads") (entry "/var/lib/thumbnails/") (entry "/tmp/uploads") ];
		P11 = [ config.services.radarr.enable (entry "/var/lib/radarr") ];
		N1 = builtins.typeOf config.services.restic.backups.offsite.passwordFile;
		N2 = [ (map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions)) config.warnings ];
	}`
	root := list("root:root 0755")
	want := map[string]any{
		"wiped": "zfs rollback -r rpool/local/root@blank\n",
		"P1":    []any{true, "/var/lib/sonarr", list()},
		"P2":    []any{list("root:root 0755", "root:root 0755"), list("jellyfin:jellyfin 0700"), list("jellyfin:jellyfin 0700")},
		"P3":    []any{true, root, root},
		"P4":    []any{"rpool/safe/postgresql", list("postgres:postgres 0750")},
		"P5":    []any{"/srv/media", true},
		"P6":    false,
		"P7":    []any{list(), nil},
		"P10":   []any{list("vaultwarden:vaultwarden 0700", "vaultwarden:backup 0750"), root, root, root},
		"P11":   []any{false, list("radarr:radarr 0700")},
		"N1":    "path",
		"N2":    []any{list("vaultwarden: anybody may sign up; set SIGNUPS_ALLOWED = false."), list("vaultwarden: the admin page has no token.")},
	}
	eachNix(t, func(t *testing.T, n nix) {
		require.Empty(t, cmp.Diff(want, n.eval(t, homelab(t, "nixosConfigurations.attic"), "--apply", facts)))
	})
}

func TestCellarEvaluatesInPart(t *testing.T) {
	const sound = `{ config, ... }: {
		persisted = map (d: d.directory) config.environment.persistence."/persist".directories;
		units = builtins.attrNames config.systemd.services;
		vaultwarden = config.systemd.services.vaultwarden.serviceConfig.StateDirectory;
		paperless = config.systemd.services.paperless.description;
		photos = config.qgroget.serviceModules.photos.subdomain;
		root = config.fileSystems."/".fsType;
	}`
	want := map[string]any{
		"persisted":   list("/var/lib/vaultwarden", "/var/log", "/var/lib/nixos", "/var/lib/systemd"),
		"units":       list("paperless", "vaultwarden"),
		"vaultwarden": "vaultwarden",
		"paperless":   "Paperless",
		"photos":      "photos",
		"root":        "tmpfs",
	}
	eachNix(t, func(t *testing.T, n nix) {
		cellar := homelab(t, "nixosConfigurations.cellar")
		require.Empty(t, cmp.Diff(want, n.eval(t, cellar, "--apply", sound)))

		const paperless = "config.systemd.services.paperless.serviceConfig.StateDirectory"
		require.Contains(t, n.fails(t, cellar+"."+paperless), "paperless: decide where the documents go")
		caught := n.eval(t, cellar, "--apply", "host: (builtins.tryEval host."+paperless+").success")
		require.Equal(t, false, caught, "a throw can be caught")

		const photos = "config.qgroget.serviceModules.photos.dataDir"
		require.Contains(t, n.fails(t, cellar+"."+photos), "attribute 'warm' missing")
		uncaught := n.fails(t, cellar, "--apply", "host: (builtins.tryEval host."+photos+").success")
		require.Contains(t, uncaught, "attribute 'warm' missing", "a missing attribute cannot be caught")
	})
}

func TestOptionsSayWhichFileSetThem(t *testing.T) {
	const sources = `{ options, ... }: {
		persistence = map toString options.environment.persistence.files;
		dataDir = map (d: { file = toString d.file; inherit (d) value; }) options.services.sonarr.dataDir.definitionsWithLocations;
		user = options.services.sonarr.user.definitionsWithLocations != [ ];
		unset = builtins.length options.services.jellyfin.cacheDir.definitionsWithLocations;
	}`
	eachNix(t, func(t *testing.T, n nix) {
		got := n.eval(t, homelab(t, "nixosConfigurations.forge"), "--apply", sources).(map[string]any)
		files := got["persistence"].([]any)
		for i, file := range files {
			files[i] = withoutStore(file.(string))
		}
		require.ElementsMatch(t, list("modules/qgroget.nix", "hosts/forge/persistence.nix", "hosts/forge/sonarr.nix"), files)
		definition := got["dataDir"].([]any)[0].(map[string]any)
		require.Equal(t, "/var/lib/sonarr", definition["value"])
		require.Equal(t, "hosts/forge/sonarr.nix", withoutStore(definition["file"].(string)))
		require.Equal(t, true, got["user"], "a default is a definition")
	})
}

// As the flake of a folder inside a git repository, the way a clone has it. Files that git does not know are not there.
func TestInsideAGitRepository(t *testing.T) {
	repo := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(repo, "examples", "homelab"), os.DirFS("homelab")))
	for _, args := range [][]string{{"init", "-q"}, {"add", "."}} {
		out, err := exec.Command("git", append([]string{"-C", repo}, args...)...).CombinedOutput()
		require.NoError(t, err, string(out))
	}
	eachNix(t, func(t *testing.T, n nix) {
		got := n.eval(t, "git+file://"+repo+"?dir=examples/homelab#nixosConfigurations.forge.config.networking.hostName")
		require.Equal(t, "forge", got)
	})
}
