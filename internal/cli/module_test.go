package cli

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/nixtest"
)

// moduleHosts loads hosts that import our NixOS module, each of the text of one module more, with the small lib and the modules of the
// example homelab.
func moduleHosts(t *testing.T, nix nixtest.Nix, modules map[string]string) map[string]*stateward.Host {
	t.Helper()
	root, err := filepath.Abs(repository)
	require.NoError(t, err)
	var b strings.Builder
	fmt.Fprintf(&b, "let\n  lib = import %s/examples/homelab/lib;\n  host = module: lib.evalModules { modules = [ %[1]s/examples/homelab/modules %[1]s/nix/module { system.stateVersion = \"25.05\"; } module ]; };\nin {\n", root)
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		fmt.Fprintf(&b, "%q = host (%s);\n", name, modules[name])
	}
	b.WriteString("}\n")
	file := filepath.Join(t.TempDir(), "hosts.nix")
	require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o600))
	f := sourceFlags{quiet: true, noConfig: true, nix: nix.Path(), cacheDir: t.TempDir()}
	loaded, err := f.load(t.Context(), Env{Getenv: func(string) string { return "" }}, []string{file})
	require.NoError(t, err)
	hosts := map[string]*stateward.Host{}
	for _, l := range loaded {
		require.NoError(t, l.err, l.name)
		hosts[l.name] = l.host
	}
	require.Len(t, hosts, len(modules))
	return hosts
}

// persistedLine shows an entry without what it has by default. Impermanence gives a file no owner.
func persistedLine(e stateward.Entry) string {
	if e.Kind == stateward.File {
		return "file " + e.Path.String()
	}
	show := func(text, def string) string {
		if text == def {
			return ""
		}
		return text
	}
	line := e.Path.String()
	user, group, mode := show(e.User.Or(stateward.Owner{}).String(), "root"), show(e.Group.Or(stateward.Owner{}).String(), "root"), show(e.Mode.Or(stateward.Mode{}).String(), "0755")
	if user+group+mode != "" {
		line += fmt.Sprintf(" %s:%s %s", user, group, mode)
	}
	return line
}

// added are what Go would add to the host's own entries: directories first.
func added(t *testing.T, h *stateward.Host) []string {
	t.Helper()
	r, err := aggregate.Resolve(h, aggregate.Options{Root: "/persist"})
	require.NoError(t, err)
	var directories, files []string
	for _, e := range r.Entries {
		switch {
		case e.From == aggregate.FromHost:
		case e.Kind == stateward.File:
			files = append(files, persistedLine(e.Entry))
		default:
			directories = append(directories, persistedLine(e.Entry))
		}
	}
	return append(directories, files...)
}

// listed are what a host persists at /persist, directories first, without those that are given.
func listed(t *testing.T, h, without *stateward.Host) []string {
	t.Helper()
	entries := func(h *stateward.Host) (directories, files []stateward.Entry) {
		for _, r := range h.Persistence.Or(nil) {
			if r.Name == "/persist" {
				return r.Directories.Or(nil), r.Files.Or(nil)
			}
		}
		return nil, nil
	}
	directories, files := entries(h)
	ownDirectories, ownFiles := entries(without)
	var out []string
	for _, e := range append(directories[len(ownDirectories):], files[len(ownFiles):]...) {
		out = append(out, persistedLine(e))
	}
	return out
}

// Of what persistence is looked at here, the host has this.
const persistentHost = `
  fileSystems."/" = { device = "tmpfs"; fsType = "tmpfs"; };
  fileSystems."/persist" = { device = "/dev/disk/by-label/persist"; fsType = "ext4"; neededForBoot = true; };
  fileSystems."/srv" = { device = "/dev/disk/by-label/srv"; fsType = "ext4"; };
  fileSystems."/scratch" = { device = "tmpfs"; fsType = "tmpfs"; };
  fileSystems."/var/lib/bound" = { device = "/srv/bound"; fsType = "none"; options = [ "bind" ]; };
  fileSystems."/var/lib/loose" = { device = "/var/loose"; fsType = "none"; options = [ "bind" ]; };
  environment.persistence."/persist".directories = [ "/var/log" "/var/lib/nixos" { directory = "/var/lib/own"; user = "own"; } ];
  environment.persistence."/persist".files = [ "/etc/machine-id" ];
  users.users.sonarr = { uid = 300; group = "media"; isSystemUser = true; };
  users.users.ids = { uid = 301; group = "ids"; isSystemUser = true; };
  users.groups.media.gid = 300;
  users.groups.ids.gid = 301;
  systemd.services.unit.serviceConfig = { User = "ids"; Group = "daemon"; };
`

// dynamicUnit has a place for its state by itself, whatever a service declares.
const dynamicUnit = `systemd.services.dyn.serviceConfig = { DynamicUser = true; StateDirectory = "dyn"; };`

// What the collector in Nix adds is what Go plans for the same services, on every nix.
func TestCollectorInNixAddsWhatGoPlans(t *testing.T) {
	cases := map[string]struct {
		services string
		want     []string
	}{
		"nothing":          {``, nil},
		"a data directory": {`x = { enable = true; dataDir = "/var/lib/x"; };`, []string{"/var/lib/x"}},
		"with its user":    {`x = { enable = true; user = "x"; group = "g"; dataDir = "/var/lib/x"; };`, []string{"/var/lib/x x:g "}},
		"the group of the account": {
			`x = { enable = true; user = "sonarr"; dataDir = "/var/lib/x"; };`, []string{"/var/lib/x sonarr:media "},
		},
		"the user of the unit": {
			`unit = { enable = true; dataDir = "/var/lib/u"; persist.directories = [ { directory = "/m"; mode = "0700"; } ]; };`, []string{"/m : 0700", "/var/lib/u ids:daemon "},
		},
		"the user of a unit that is named": {
			`x = { enable = true; unit = "unit"; dataDir = "/var/lib/u"; };`, []string{"/var/lib/u ids:daemon "},
		},
		"backup paths, relative, absolute and in lists": {
			`x = { enable = true; dataDir = "/var/lib/x"; backupPaths = [ "media" [ "/data/a" [ "/data//b/" ] ] ]; };`, []string{"/data/a", "/data/b", "/var/lib/x"},
		},
		"a backup path that is text": {`x = { enable = true; backupPaths = "/data/a"; };`, []string{"/data/a"}},
		"a backup path within the data directory, absolute": {
			`x = { enable = true; dataDir = "/var/lib/x"; backupPaths = [ "/var/lib/x/media" ]; };`, []string{"/var/lib/x", "/var/lib/x/media"},
		},
		"persist as text and as set": {
			`x = { enable = true; user = "x"; persist.directories = [ "/p/a" { directory = "/p/b"; user = "root"; group = "root"; mode = "0700"; } ]; persist.files = [ "/p/k" { file = "/p/l"; mode = "0400"; } ]; };`,
			[]string{"/p/a x: ", "/p/b : 0700", "file /p/k", "file /p/l"},
		},
		"persist below the data directory": {
			`x = { enable = true; dataDir = "/var/lib/x"; persist.directories = [ "/var/lib/x/keys" ]; };`, []string{"/var/lib/x"},
		},
		"duplicates in two services": {
			`a = { enable = true; dataDir = "/data"; }; b = { enable = true; user = "b"; dataDir = "/data/"; persist.directories = [ { directory = "/data"; mode = "0750"; } ]; };`,
			[]string{"/data b: 0750"},
		},
		"one that is off":                 {`x = { enable = false; dataDir = "/var/lib/x"; };`, nil},
		"one that is off throws":          {`x = { enable = false; dataDir = throw "no"; dataset = throw "no"; persist.directories = throw "no"; }; y = { enable = true; dataDir = "/y"; };`, []string{"/y"}},
		"on a dataset":                    {`x = { enable = true; dataDir = "/var/lib/x"; backupPaths = [ "/var/lib/x/a" "/data" ]; dataset.name = "tank/x"; };`, []string{"/data"}},
		"a dataset that is not mounted":   {`x = { enable = true; dataDir = "/var/lib/x"; dataset = { name = "tank/x"; canmount = "off"; }; };`, []string{"/var/lib/x"}},
		"a dataset mounted elsewhere":     {`x = { enable = true; dataDir = "/var/lib/x"; dataset = { name = "tank/x"; mountpoint = "/data"; }; };`, []string{"/var/lib/x"}},
		"a dataset mounted nowhere":       {`x = { enable = true; dataDir = "/var/lib/x"; dataset = { name = "tank/x"; mountpoint = "none"; }; };`, []string{"/var/lib/x"}},
		"a volume":                        {`x = { enable = true; dataDir = "/var/lib/x"; dataset = { name = "tank/x"; type = "volume"; }; };`, []string{"/var/lib/x"}},
		"another service's dataset":       {`x = { enable = true; dataDir = "/data/x"; }; y = { enable = true; dataDir = "/data"; dataset.name = "tank/data"; };`, nil},
		"the dataset of one that is off":  {`x = { enable = true; dataDir = "/data/x"; }; y = { enable = false; dataDir = "/data"; dataset.name = "tank/data"; };`, []string{"/data/x"}},
		"on a mounted file system":        {`x = { enable = true; dataDir = "/srv/x"; backupPaths = [ "/var/lib/bound/x" ]; };`, nil},
		"on a bind mount of what is lost": {`x = { enable = true; dataDir = "/var/lib/loose/x"; };`, []string{"/var/lib/loose/x"}},
		"on a tmpfs":                      {`x = { enable = true; dataDir = "/scratch/x"; };`, []string{"/scratch/x"}},
		"what the host persists itself":   {`x = { enable = true; dataDir = "/var/log"; backupPaths = [ "/var/log/x" "/var/lib/own" ]; persist.files = [ "/etc/machine-id" ]; };`, nil},
		"in the persistence root":         {`x = { enable = true; dataDir = "/persist/x"; };`, nil},
		"where nothing may be persisted":  {`x = { enable = true; dataDir = "/tmp/x"; backupPaths = [ "/run/x" "/nix/x" "/" ]; };`, nil},
		"what is no path":                 {`x = { enable = true; dataDir = "var"; backupPaths = [ "a" "/a/../b" "" ]; };`, nil},
		"a dynamic user":                  {`dyn = { enable = true; dataDir = "/var/lib/dyn"; backupPaths = [ "a" ]; };`, []string{"/var/lib/private : 0700"}},
	}
	for i := range 40 {
		services := randomServices(rand.New(rand.NewPCG(uint64(i), 9)))
		cases[fmt.Sprintf("random %d: %s", i, services)] = struct {
			services string
			want     []string
		}{services: services}
	}
	for i, nix := range nixtest.All(t) {
		t.Run(nix.Name, func(t *testing.T) {
			modules := map[string]string{}
			names := slices.Sorted(maps.Keys(cases))
			// What is picked at random asks whether two of ours agree, Go and Nix; whether two versions of nix do, each kind of place above says.
			if i > 0 {
				names = slices.DeleteFunc(names, func(name string) bool { return strings.HasPrefix(name, "random") })
			}
			for i, name := range names {
				dynamic := ""
				if strings.Contains(cases[name].services, "dyn = ") {
					dynamic = dynamicUnit
				}
				for _, on := range []string{"true", "false"} {
					modules[fmt.Sprintf("h%d%s", i, on)] = "{" + persistentHost + "stateward.persistence.enable = " + on + "; stateward.services = {" + cases[name].services + "};" + dynamic + "}"
				}
			}
			hosts := moduleHosts(t, nix, modules)
			for i, name := range names {
				before, after := hosts[fmt.Sprintf("h%dfalse", i)], hosts[fmt.Sprintf("h%dtrue", i)]
				got := listed(t, after, before)
				if d := cmp.Diff(added(t, before), got); d != "" {
					t.Errorf("%s: Go -, Nix +\n%s", name, d)
				}
				if !strings.HasPrefix(name, "random") {
					if d := cmp.Diff(cases[name].want, got); d != "" {
						t.Errorf("%s: want -, got +\n%s", name, d)
					}
				}
				if left := added(t, after); len(left) > 0 {
					t.Errorf("%s: still to add: %v", name, left)
				}
			}
		})
	}
}

// Impermanence of before 2026 made file systems of what is persisted: what is added depends on file systems, and must not depend on itself.
func TestCollectorWhereFileSystemsFollowFromWhatIsPersisted(t *testing.T) {
	root, err := filepath.Abs(repository)
	require.NoError(t, err)
	expression := fmt.Sprintf(`let
  lib = import %s/examples/homelab/lib;
  host = lib.evalModules { modules = [ %[1]s/examples/homelab/modules %[1]s/nix/module
    ({ config, lib, ... }: {
      fileSystems = lib.mkIf (config.environment.persistence."/persist".directories != [ ]) (builtins.listToAttrs (map (d: {
        name = d.dirPath;
        value = { device = "/persist${d.dirPath}"; fsType = "none"; options = [ "bind" ]; };
      }) config.environment.persistence."/persist".directories));
    })
    {
      fileSystems."/persist" = { device = "/dev/sda"; fsType = "ext4"; };
      fileSystems."/srv" = { device = "/dev/sdb"; fsType = "ext4"; };
      environment.persistence."/persist".directories = [ "/var/log" ];
      stateward.persistence.enable = true;
      stateward.services.x = { enable = true; dataDir = "/var/lib/x"; backupPaths = [ "/srv/x" "/var/log/x" ]; };
    } ]; };
in map (d: d.dirPath) host.config.environment.persistence."/persist".directories`, root)
	for _, nix := range nixtest.All(t) {
		t.Run(nix.Name, func(t *testing.T) {
			var got []string
			nix.JSON(t, expression, &got)
			require.Equal(t, []string{"/var/log", "/var/lib/x"}, got)
		})
	}
}

// The collector fails where nothing would persist what it adds, and says where it cannot know.
func TestCollectorSaysWhereItCannotPersist(t *testing.T) {
	root, err := filepath.Abs(repository)
	require.NoError(t, err)
	expression := fmt.Sprintf(`let
  lib = import %s/examples/homelab/lib;
  list = lib.mkOption { type = lib.types.listOf lib.types.raw; default = [ ]; };
  services = { stateward.persistence.enable = true; stateward.services.x = { enable = true; dataDir = "/var/lib/x"; }; };
  host = modules: (lib.evalModules { modules = [ %[1]s/nix/module services ] ++ modules; }).config;
  said = config: { failing = map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions); inherit (config) warnings; };
  homelab = more: host [ %[1]s/examples/homelab/modules { system.stateVersion = "25.05"; } more ];
in {
  without = said (host [ { options = { assertions = list; warnings = list; }; } ]);
  pools = let config = homelab { boot.zfs.extraPools = [ "tank" ]; }; in said config // { directories = config.environment.persistence."/persist".directories; };
  relative = said (homelab { stateward.persistence.root = "persist"; });
  dataset = said (homelab { stateward.services.x.dataset.name = "tank/x"; });
  planned = said (homelab { stateward.services.x.dataset.name = "tank/x"; systemd.services.stateward-datasets = { }; });
  mounted = said (homelab { stateward.services.x.dataset.name = "tank/x"; fileSystems."/var/lib/x" = { device = "tank/x"; fsType = "zfs"; }; });
  unusable = said (homelab { stateward.services.y = { enable = true; backupPaths = [ "media" "/run/y" "/srv/y" ]; }; stateward.services.z = { enable = false; backupPaths = [ "z" ]; }; });
  memory = said (homelab { fileSystems."/" = { device = "none"; fsType = "tmpfs"; }; });
  scratch = said (homelab { fileSystems."/persist" = { device = "none"; fsType = "tmpfs"; }; });
  sound = said (homelab { fileSystems."/" = { device = "none"; fsType = "tmpfs"; }; fileSystems."/persist" = { device = "/dev/sda"; fsType = "ext4"; }; });
  elsewhere = said (homelab { environment.persistence."/nix/persist".directories = [ "/var/log" ]; });
  named = said (homelab { environment.persistence.main = { persistentStoragePath = "/persist"; directories = [ "/var/log" ]; }; });
  off = said (homelab { environment.persistence."/persist" = { enable = false; directories = [ "/var/log" ]; }; });
  forced = let config = homelab { stateward.persistence.enable = lib.mkForce true; }; in said config // { directories = map (d: d.dirPath) config.environment.persistence."/persist".directories; };
}`, root)
	for _, nix := range nixtest.All(t) {
		t.Run(nix.Name, func(t *testing.T) {
			var got map[string]struct {
				Failing, Warnings []string
				Directories       []any
			}
			nix.JSON(t, expression, &got)
			require.Len(t, got["without"].Failing, 1)
			require.Contains(t, got["without"].Failing[0], "there is no option environment.persistence")
			require.Empty(t, got["pools"].Failing)
			require.Empty(t, got["pools"].Directories)
			require.Len(t, got["pools"].Warnings, 1)
			require.Contains(t, got["pools"].Warnings[0], "whether something holds /var/lib/x is not known")
			require.Len(t, got["relative"].Failing, 1)
			require.Contains(t, got["relative"].Failing[0], `stateward.persistence.root is "persist"`)
			for name, want := range map[string]struct{ failing, warning string }{
				"dataset":   {"", "stateward.persistence leaves out /var/lib/x of x: whether something holds it already is not known"},
				"planned":   {},
				"mounted":   {},
				"unusable":  {"", "stateward.persistence leaves out media of y, /run/y of y: what is no absolute path"},
				"memory":    {"stateward.persistence.root is /persist, which lies in memory", ""},
				"scratch":   {"stateward.persistence.root is /persist, which lies in memory", ""},
				"sound":     {},
				"elsewhere": {"environment.persistence has none there, but at /nix/persist", ""},
				"named":     {},
				"off":       {`environment.persistence."/persist".enable is false: nothing of it would be persisted`, ""},
				"forced":    {},
			} {
				require.LessOrEqual(t, len(got[name].Failing), 1, name)
				require.LessOrEqual(t, len(got[name].Warnings), 1, name)
				require.Contains(t, strings.Join(got[name].Failing, "\n"), want.failing, name)
				require.Contains(t, strings.Join(got[name].Warnings, "\n"), want.warning, name)
				require.Equal(t, want.failing == "", len(got[name].Failing) == 0, name)
				require.Equal(t, want.warning == "", len(got[name].Warnings) == 0, name)
			}
			require.Equal(t, []any{"/var/lib/x"}, got["forced"].Directories)
		})
	}
}

// randomServices are services that share few places.
func randomServices(r *rand.Rand) string {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	place := func() string {
		return pick("/var/lib/a", "/var/lib/a/b", "/var/lib/a//b/", "/data", "/data/c", "/srv/x", "/scratch/y", "/var/lib/bound", "/var/lib/loose/z", "/var/log/x", "/var/lib/own", "/persist/x", "rel", "/run/x", "/var/lib/unit")
	}
	var b strings.Builder
	for _, name := range []string{"sonarr", "unit", "x"}[:1+r.IntN(3)] {
		fmt.Fprintf(&b, "%s = { enable = %s; ", name, pick("true", "true", "true", "false"))
		set := func(format string, args ...any) {
			if r.IntN(2) == 0 {
				fmt.Fprintf(&b, format+" ", args...)
			}
		}
		set("dataDir = %q;", place())
		set("backupPaths = [ %q [ %q ] %q ];", place(), place(), pick("media", "keys/x", "/data/d"))
		set("user = %q;", pick("sonarr", "ids", "root", "u"))
		set("group = %q;", pick("media", "g"))
		set("persist.directories = [ %q { directory = %q; %s } ];", place(), place(), pick("", `mode = "0700";`, `user = "p";`, `group = "q";`, `user = "sonarr"; mode = "750";`))
		set("dataset = { name = %q; %s };", "tank/"+name, pick("", "", `mountpoint = "/data";`, `canmount = "off";`))
		b.WriteString("}; ")
	}
	return b.String()
}

// What services declare is read as it is without the module, and from where it is written.
func TestModuleChangesNothingOfWhatIsRead(t *testing.T) {
	root, err := filepath.Abs(repository)
	require.NoError(t, err)
	doc, err := os.ReadFile(filepath.Join(repository, "docs/contract.md"))
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(doc), "## An example\n\n```nix\n")
	example, _, ok := strings.Cut(rest, "```")
	require.True(t, ok)
	nothing := `{ config, ... }: { stateward = { }; }`
	dir := t.TempDir()
	var b strings.Builder
	fmt.Fprintf(&b, `let
  lib = import %s/examples/homelab/lib;
  host = ours: module: lib.evalModules { modules = [ %[1]s/examples/homelab/modules ours { system.stateVersion = "25.05"; } module ]; };
  module = %[1]s/nix/module;
  freeform.options.stateward = lib.mkOption { type = lib.types.anything; default = { }; };
in {
`, root)
	contracts := map[string]string{"example": example, "sound": "{ stateward = " + soundContract + "; }", "nothing": nothing,
		"replicated": `{ stateward.services.x = { enable = true; dataDir = "/var/lib/x"; dataset = { name = "tank/x"; replication = { target = "nas:tank/x"; schedule = "daily"; }; }; }; }`,
		"off":        `{ stateward.services.x = { enable = false; dataDir = throw "no"; dataset = throw "no"; persist.directories = [ (throw "no") ]; }; }`}
	for name, text := range contracts {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name+".nix"), []byte(text), 0o600))
		fmt.Fprintf(&b, "%s = host module ./%[1]s.nix; %[1]s-freeform = host freeform ./%[1]s.nix;\n", name)
	}
	b.WriteString("}\n")
	file := filepath.Join(dir, "hosts.nix")
	require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o600))
	for _, nix := range nixtest.All(t) {
		t.Run(nix.Name, func(t *testing.T) {
			f := sourceFlags{quiet: true, noConfig: true, nix: nix.Path(), cacheDir: t.TempDir()}
			loaded, err := f.load(t.Context(), Env{Getenv: func(string) string { return "" }}, []string{file})
			require.NoError(t, err)
			hosts := map[string]*stateward.Host{}
			for _, l := range loaded {
				require.NoError(t, l.err, l.name)
				hosts[l.name] = l.host
			}
			require.Len(t, hosts, 2*len(contracts))
			for name := range contracts {
				if name == "off" {
					continue
				}
				with, without := *hosts[name], *hosts[name+"-freeform"]
				with.Name, without.Name = "", ""
				with.Source, without.Source = "", ""
				// Of what there is none, it may be said or not.
				none := func(h *stateward.Host) {
					h.BackupRepositories, h.PITRPolicies, h.Acknowledgements = noneSaid(h.BackupRepositories), noneSaid(h.PITRPolicies), noneSaid(h.Acknowledgements)
					if !h.Guard.Or(false) {
						h.Guard = stateward.Value[bool]{}
					}
				}
				none(&with)
				none(&without)
				if d := cmp.Diff(without, with, cmp.Exporter(func(reflect.Type) bool { return true }), cmp.Comparer(func(a, b stateward.Origin) bool { return true }), cmp.Comparer(func(a, b *stateward.Origin) bool { return true })); d != "" {
					t.Errorf("%s: freeform -, module +\n%s", name, d)
				}
			}
			// A freeform option has all of it or nothing.
			off := hosts["off"]
			require.Empty(t, off.Unknown)
			require.True(t, off.Datasets.IsAbsent())
			at := hosts["sound"].Services.Or(nil)[slices.IndexFunc(hosts["sound"].Services.Or(nil), func(s stateward.Service) bool { return s.Name == "paperless" })].DataDir.Origin()
			require.Equal(t, "stateward.services.paperless.dataDir", at.Option)
			require.True(t, strings.HasSuffix(at.File, "sound.nix"), at.File)
			require.Equal(t, 6, at.Line)
		})
	}
}

func noneSaid[T any](v stateward.Value[[]T]) stateward.Value[[]T] {
	if !v.IsUnknown() && len(v.Or(nil)) == 0 {
		return stateward.Value[[]T]{}
	}
	return v
}

// The templates of services set what the module takes, and nothing that it refuses.
func TestTemplatesFitTheModule(t *testing.T) {
	root, err := filepath.Abs(repository)
	require.NoError(t, err)
	var b strings.Builder
	fmt.Fprintf(&b, `let
  lib = import %s/examples/homelab/lib;
  pkgs.postgresql_16 = { type = "derivation"; name = "postgresql"; };
  # What they set of NixOS is not looked at here.
  host = template: (lib.evalModules {
    modules = [ %[1]s/examples/homelab/modules %[1]s/nix/module { inherit (if builtins.isFunction template then template { inherit lib pkgs; } else template) stateward; } ];
  }).config;
  refused = config: builtins.deepSeq config.stateward.services (map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions));
in {
`, root)
	names := []string{"home-assistant", "immich", "jellyfin", "plex", "postgresql", "radarr", "sonarr", "vaultwarden"}
	for _, name := range names {
		r := run(t, nil, "template", "show", name, "--no-config", "--set", "repository=sftp:backup@nas:/srv/restic", "-o", "nix")
		require.Equal(t, StatusOK, r.status, r.stderr)
		fmt.Fprintf(&b, "%s = refused (host (\n%s));\n", name, r.stdout)
	}
	b.WriteString("}\n")
	for _, nix := range nixtest.All(t) {
		t.Run(nix.Name, func(t *testing.T) {
			var got map[string][]string
			nix.JSON(t, b.String(), &got)
			require.Len(t, got, len(names))
			for name, messages := range got {
				require.Empty(t, messages, name)
			}
		})
	}
}
