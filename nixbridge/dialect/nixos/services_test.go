package nixos_test

import (
	"fmt"
	"testing"

	"github.com/stateward/stateward"
)

func TestStateDirectory(t *testing.T) {
	unit := func(serviceConfig string) string {
		return `{ systemd.services.x.serviceConfig = { ` + serviceConfig + ` }; }`
	}
	runHosts(t, map[string]hostCase{
		"no unit, no service":                     {config: `{ systemd.services = { }; }`},
		"a unit without state is no service":      {config: unit(`CacheDirectory = "x"; LogsDirectory = "x";`)},
		"an empty StateDirectory is none":         {config: unit(`StateDirectory = "";`)},
		"N7 one text":                             {config: unit(`StateDirectory = "x";`), want: []string{"x x.service", `  "/var/lib/x" StateDirectory`}},
		"N7 one text with blanks":                 {config: unit(`StateDirectory = "a  b/c ";`), want: []string{"x x.service", `  "/var/lib/a" StateDirectory`, `  "/var/lib/b/c" StateDirectory`}},
		"N7 a list":                               {config: unit(`StateDirectory = [ "a" "b" ];`), want: []string{"x x.service", `  "/var/lib/a" StateDirectory`, `  "/var/lib/b" StateDirectory`}},
		"N7 a list of texts with blanks":          {config: unit(`StateDirectory = [ "a b" "c" ];`), want: []string{"x x.service", `  "/var/lib/a" StateDirectory`, `  "/var/lib/b" StateDirectory`, `  "/var/lib/c" StateDirectory`}},
		"N7 an empty text resets what was before": {config: unit(`StateDirectory = [ "a" "" "b" ];`), want: []string{"x x.service", `  "/var/lib/b" StateDirectory`}},
		"N7 an alias is no place of its own":      {config: unit(`StateDirectory = "x:y";`), want: []string{"x x.service", `  "/var/lib/x" StateDirectory`}},
		"a read-only one":                         {config: unit(`StateDirectory = "x::ro";`), want: []string{"x x.service", `  "/var/lib/x" StateDirectory read-only`}},
		"N7 quotes and escapes": {
			config: unit(`StateDirectory = "'a b' \"c\" d\\x20e";`),
			want:   []string{"x x.service", `  "/var/lib/a b" StateDirectory`, `  "/var/lib/c" StateDirectory`, `  "/var/lib/d e" StateDirectory`},
		},
		"an open quote": {
			config:  unit(`StateDirectory = [ "a" "'b" ];`),
			want:    []string{"x x.service", `  "/var/lib/a" StateDirectory`, `  state is unknown (systemd.services.x.serviceConfig.StateDirectory: "'b" has an open quote)`},
			unknown: []string{`systemd.services.x.serviceConfig.StateDirectory [form] "'b" has an open quote`},
		},
		"P10 what systemd ignores": {
			config: unit(`StateDirectory = [ "/var/lib/x" "../x" "private/x" "." ];`),
			want: []string{
				"x x.service",
				`  "/var/lib/x" ! path "/var/lib/x" is absolute, and systemd ignores it as a StateDirectory StateDirectory`,
				`  "/var/lib/../x" ! path "../x" is no path below /var/lib, and systemd ignores it as a StateDirectory StateDirectory`,
				`  "/var/lib/private/x" ! path "private/x" is private to systemd, which ignores it as a StateDirectory StateDirectory`,
				`  "/var/lib/." ! path "." is no path below /var/lib, and systemd ignores it as a StateDirectory StateDirectory`,
			},
		},
		"N7 specifiers that the unit's name decides": {
			config: `{ systemd.services."web@blue-x".serviceConfig.StateDirectory = "%p/%i %N %%"; }`,
			want: []string{"web@blue-x web@blue-x.service",
				`  "/var/lib/web/blue-x" StateDirectory`, `  "/var/lib/web@blue-x" StateDirectory`, `  "/var/lib/%" StateDirectory`},
		},
		"N7 a template's instance is not known": {
			config: `{ systemd.services."web@".serviceConfig.StateDirectory = "web/%i fixed %i"; }`,
			want: []string{"web@ web@.service",
				`  "/var/lib/web/%i" /var/lib/web StateDirectory pattern`, `  "/var/lib/fixed" StateDirectory`, `  "/var/lib/%i" /var/lib StateDirectory pattern`},
		},
		`N7 unit names with \x2d`: {
			config: `{ systemd.services."a\\x2db@c\\x2dd".serviceConfig.StateDirectory = "%I"; }`,
			want:   []string{`a\x2db@c\x2dd a\x2db@c\x2dd.service`, `  "/var/lib/c-d" StateDirectory`},
		},
		"owner and mode only where they are given": {
			config: unit(`StateDirectory = "x"; User = "u"; Group = "g"; StateDirectoryMode = "0750";`),
			want:   []string{"x x.service", `  "/var/lib/x" u:g 0750 StateDirectory`},
		},
		"a user without a group":   {config: unit(`StateDirectory = "x"; User = "u";`), want: []string{"x x.service", `  "/var/lib/x" u:absent StateDirectory`}},
		"a user given as a number": {config: unit(`StateDirectory = "x"; User = 900;`), want: []string{"x x.service", `  "/var/lib/x" 900:absent StateDirectory`}},
		"N7 a user that holds a specifier is no owner, and no mistake": {
			config: unit(`StateDirectory = "x"; User = "%i";`), want: []string{"x x.service", `  "/var/lib/x" StateDirectory`},
		},
		"N7 DynamicUser given as a text": {
			config: unit(`StateDirectory = "x"; DynamicUser = "yes"; User = "u";`), want: []string{"x x.service dynamic", `  "/var/lib/x" StateDirectory`},
		},
		"P3 a dynamic user's state has no owner": {
			config: unit(`StateDirectory = "x"; DynamicUser = true; User = "u"; StateDirectoryMode = "0700";`),
			want:   []string{"x x.service dynamic", `  "/var/lib/x" 0700 StateDirectory`},
		},
		"a mode that is none": {
			config: unit(`StateDirectory = "x"; StateDirectoryMode = "rwx";`),
			want: []string{"x x.service",
				`  "/var/lib/x" unknown (systemd.services.x.serviceConfig.StateDirectoryMode: mode "rwx" is neither octal nor of the form u=rwx,g=rx,o=) StateDirectory`},
			unknown: []string{`systemd.services.x.serviceConfig.StateDirectoryMode [form] mode "rwx" is neither octal nor of the form u=rwx,g=rx,o=`},
		},
		"a unit that is off": {
			config: `{ systemd.services.x = { enable = false; serviceConfig.StateDirectory = "x"; }; }`, want: []string{"x off x.service", `  "/var/lib/x" StateDirectory`},
		},
		"a StateDirectory that throws": {
			config:  unit(`StateDirectory = throw "no";`),
			want:    []string{"x x.service", "  state is unknown (systemd.services.x.serviceConfig.StateDirectory: throw)"},
			unknown: []string{"systemd.services.x.serviceConfig.StateDirectory [throw] "},
		},
		"N6 one element that throws does not hide the others": {
			config:  unit(`StateDirectory = [ "a" (throw "no") "b" ];`),
			want:    []string{"x x.service", `  "/var/lib/a" StateDirectory`, `  "/var/lib/b" StateDirectory`, "  state is unknown (systemd.services.x.serviceConfig.StateDirectory[1]: throw)"},
			unknown: []string{"systemd.services.x.serviceConfig.StateDirectory[1] [throw] "},
		},
		"N6 a throw in serviceConfig poisons that unit only": {
			config: `{ systemd.services = { a.serviceConfig = throw "no"; b.serviceConfig.StateDirectory = "b"; c = throw "no"; }; }`,
			want: []string{
				"a a.service", "  state is unknown (systemd.services.a.serviceConfig: throw)",
				"b b.service", `  "/var/lib/b" StateDirectory`,
				"c enable=unknown (systemd.services.c: throw) c.service", "  state is unknown (systemd.services.c: throw)",
			},
			unknown: []string{"systemd.services.a.serviceConfig [throw] ", "systemd.services.c [throw] "},
		},
		"N6 options without a value beside what is read are left alone": {
			config: `{ systemd.services.x = { startLimitBurst = abort "no value"; script = throw "no"; serviceConfig = { StateDirectory = "x"; ExecStart = abort "no"; }; }; }`,
			want:   []string{"x x.service", `  "/var/lib/x" StateDirectory`},
		},
		"N7 a functor along the path": {
			config: `{ systemd = { __functor = self: throw "called"; services = { __functor = self: throw "called"; x.serviceConfig.StateDirectory = "x"; }; }; }`,
			want:   []string{"x x.service", `  "/var/lib/x" StateDirectory`},
		},
	}, serviceLines)
}

const inStore = `/nix/store/00000000000000000000000000000000-data`

func TestStockServices(t *testing.T) {
	const opt = `{ _type = "option"; }`
	runHosts(t, map[string]hostCase{
		"a directory": {
			config: `{ systemd = { }; services.x = { enable = true; dataDir = "/srv/x"; }; }`,
			want:   []string{"x", `  "/srv/x" dataDir`},
		},
		"P11 one that is off is there too": {
			config: `{ systemd = { }; services.x = { enable = false; stateDir = "/srv/x"; }; }`,
			want:   []string{"x off", `  "/srv/x" dataDir`},
		},
		"several directories, each once": {
			config: `{ systemd = { }; services.x = { enable = true; dataDir = "/srv/x"; datadir = "/srv/x"; statePath = "/var/lib/x"; }; }`,
			want:   []string{"x", `  "/srv/x" dataDir`, `  "/var/lib/x" dataDir`},
		},
		"its unit is named": {
			config: `{ systemd.services.x = { }; services.x = { enable = true; dataDir = "/srv/x"; }; }`,
			want:   []string{"x x.service", `  "/srv/x" dataDir`},
		},
		"one whose enable is null may run": {
			config:  `{ systemd = { }; services.x = { enable = null; dataDir = "/srv/x"; }; }`,
			want:    []string{"x enable=unknown (services.x: has no enable)", `  "/srv/x" dataDir`},
			unknown: []string{"services.x [form] has no enable"},
		},
		"null, an empty text, a bare name, a package and a set are no directories": {
			config: `{ systemd = { }; services = {
				a = { enable = true; dataDir = null; };
				b = { enable = true; dataDir = ""; };
				c = { enable = true; stateDir = "prometheus2"; };
				d = { enable = true; dataDir = { type = "derivation"; name = "data"; outPath = "/nix/store/x-data"; }; };
				e = { enable = true; dataDir = { a = 1; }; };
				f = { enable = true; dataDir = "/nix/store/00000000000000000000000000000000-x/share"; };
				g = { enable = true; dataDir = x: x; };
			}; }`,
		},
		"P10 a relative path": {
			config: `{ systemd = { }; services.x = { enable = true; dataDir = "var/lib/x"; }; }`,
			want:   []string{"x", `  "var/lib/x" ! path "var/lib/x" is not absolute dataDir`},
		},
		"N1 a path is not copied": {
			config: `{ systemd = { }; services.x = { enable = true; dataDir = /srv/x; }; }`,
			want:   []string{"x", `  "/srv/x" dataDir`},
		},
		"N1 a directory in the store is a package's, unless it is set beside the module tree": {
			config: `{ systemd = { }; services = builtins.mapAttrs (_: s: { enable = true; } // s) {
				a.dataDir = "` + inStore + `"; b.dataDir = ` + inStore + ` + "/share"; c.dataDir = "` + inStore + `"; d.dataDir = "` + inStore + `"; e = { dataDir = "` + inStore + `"; stateDir = "/var/lib/e"; };
				f.dataDir = "` + inStore + `"; g.dataDir = "` + inStore + `"; h.dataDir = [ "` + inStore + `" "/srv/h" ]; i.configDir = "` + inStore + `"; }; }`,
			options: `let at = files: { enable = ` + opt + `; dataDir = ` + opt + ` // { declarations = [ "/n/nixos/modules/a.nix" ]; inherit files; }; }; in {
				services = {
					a = at [ "/n/nixos/modules/b.nix" "/etc/nixos/modules/a.nix" ]; b = at [ "<unknown-file>" ]; c = at [ ]; d = at [ "/n/nixos/modules/b.nix" ]; e = at [ "/etc/nixos/a.nix" ] // { stateDir = ` + opt + `; };
					f = at (throw "no"); g = { enable = ` + opt + `; dataDir = ` + opt + ` // { declarations = [ "/m/mine.nix" ]; files = [ "/m/mine.nix" ]; }; }; h = at [ "/etc/nixos/a.nix" ];
					i = { enable = ` + opt + `; configDir = ` + opt + ` // { declarations = [ "/n/nixos/modules/a.nix" ]; files = [ "/etc/nixos/a.nix" ]; }; };
				}; }`,
			want: []string{"a", `  "` + inStore + `" dataDir`, "b", `  "` + inStore + `/share" dataDir`, "e", `  "/var/lib/e" dataDir`, "h", `  "/srv/h" dataDir`},
		},
		"a set without enable is no service": {config: `{ systemd = { }; services.x.dataDir = "/srv/x"; }`},
		"a directory that throws": {
			config:  `{ systemd = { }; services.x = { enable = true; dataDir = throw "no"; stateDir = "/srv/x"; }; }`,
			want:    []string{"x", `  "/srv/x" dataDir`, "  state is unknown (services.x.dataDir: throw)"},
			unknown: []string{"services.x.dataDir [throw] "},
		},
		"N6 of a service that is off a missing value is nothing": {
			config: `{ systemd = { }; services.x = { enable = false; dataDir = throw "no value"; }; services.y = { enable = false; dataDir = throw "no"; stateDir = "/srv/y"; }; }`,
			want:   []string{"y off", `  "/srv/y" dataDir`},
		},
		"an enable that throws": {
			config:  `{ systemd = { }; services.x = { enable = throw "no"; dataDir = "/srv/x"; }; services.y = throw "no"; services.z = { enable = true; dataDir = "/srv/z"; }; }`,
			want:    []string{"x enable=unknown (services.x.enable: throw)", `  "/srv/x" dataDir`, "y enable=unknown (services.y: throw)", "  state is unknown (services.y: throw)", "z", `  "/srv/z" dataDir`},
			unknown: []string{"services.x.enable [throw] ", "services.y [throw] "},
		},
		"N6 hidden options are not read": {
			config:  `{ systemd = { }; services.redis = { enable = abort "renamed"; dataDir = "/srv"; }; services.x = { enable = true; dataDir = abort "removed"; stateDir = "/srv/x"; }; }`,
			options: `{ services.redis = { enable = { _type = "option"; visible = false; }; dataDir = ` + opt + `; }; services.x = { enable = ` + opt + `; dataDir = { _type = "option"; visible = false; }; stateDir = ` + opt + `; }; }`,
			want:    []string{"x", `  "/srv/x" dataDir`},
		},
		"N6 where there are options, only services that declare a directory are looked at": {
			config:  `{ systemd = { }; services = { a = abort "forced"; b = abort "forced"; c = abort "forced"; x = { enable = true; dataDir = "/srv/x"; }; }; }`,
			options: `{ services = { a.enable = ` + opt + `; b.dataDir = ` + opt + `; c = ` + opt + `; x = { enable = ` + opt + `; dataDir = ` + opt + `; }; }; }`,
			want:    []string{"x", `  "/srv/x" dataDir`},
		},
	}, serviceLines)
}

func TestContainers(t *testing.T) {
	oci := func(rest string) string {
		return `{ systemd = { }; virtualisation.oci-containers = { ` + rest + ` }; }`
	}
	runHosts(t, map[string]hostCase{
		"P1 host paths": {
			config: oci(`backend = "podman"; containers.web.volumes = [ "/srv/web:/data" "/srv/conf:/conf:ro" "/srv/z:/z:Z,readonly" ];`),
			want:   []string{"web podman-web.service", `  "/srv/web" volume`, `  "/srv/conf" volume read-only`, `  "/srv/z" volume read-only`},
		},
		"P12 a named volume lies in the engine's storage": {
			config: oci(`backend = "podman"; containers.web.volumes = [ "cache:/c" ];`),
			want:   []string{"web podman-web.service", `  "/var/lib/containers/storage/volumes/cache" volume`},
		},
		"docker": {
			config: oci(`backend = "docker"; containers.web.volumes = [ "cache:/c" ];`),
			want:   []string{"web docker-web.service", `  "/var/lib/docker/volumes/cache" volume`},
		},
		"storage that was moved": {
			config: `{ systemd = { }; virtualisation = {
				oci-containers = { backend = "podman"; containers.web.volumes = [ "cache:/c" ]; };
				containers.storage.settings.storage.graphroot = "/tank/containers/";
			}; }`,
			want: []string{"web podman-web.service", `  "/tank/containers/volumes/cache" volume`},
		},
		"N6 storage settings are not read where there is no container": {
			config: `{ systemd = { }; virtualisation = { oci-containers = { backend = "podman"; containers = { }; }; containers.storage.settings = abort "no value"; }; }`,
		},
		"a rootless container keeps its volumes at home": {
			config: `{ systemd = { }; users.users.web.home = "/home/web";
				virtualisation.oci-containers = { backend = "podman"; containers.web = { volumes = [ "cache:/c" ]; podman.user = "web"; serviceName = "web"; }; }; }`,
			want: []string{"web web.service", `  "/home/web/.local/share/containers/storage/volumes/cache" volume`},
		},
		"and where the home is not given, nobody knows": {
			config: oci(`backend = "podman"; containers.web = { volumes = [ "cache:/c" "/srv/web:/w" ]; podman.user = "web"; };`),
			want: []string{"web podman-web.service", `  "/srv/web" volume`,
				"  state is unknown (virtualisation.oci-containers.containers.web.podman.user: the home of web, where its volumes are, is not given)"},
			unknown: []string{"virtualisation.oci-containers.containers.web.podman.user [hidden] the home of web, where its volumes are, is not given"},
		},
		"an anonymous volume goes with its container": {
			config: oci(`backend = "podman"; containers.web.volumes = [ "/data" ];`),
			want:   []string{"web podman-web.service"},
		},
		"P10 a relative path is no volume's name": {
			config: oci(`backend = "podman"; containers.web.volumes = [ "./data:/d" "a/b:/c" ];`),
			want: []string{"web podman-web.service",
				`  "./data" ! path "./data" is not absolute volume`, `  "a/b" ! path "a/b" is not absolute volume`},
		},
		"a backend that throws": {
			config: oci(`backend = throw "no"; containers.web.volumes = [ "/srv/web:/data" "cache:/c" ];`),
			want: []string{"web", `  "/srv/web" volume`,
				"  state is unknown (virtualisation.oci-containers.backend: throw)"},
			unknown: []string{"virtualisation.oci-containers.backend [throw] "},
		},
		"volumes that throw": {
			config:  oci(`backend = "podman"; containers.web.volumes = [ (throw "no") "/srv/web:/data" ];`),
			want:    []string{"web podman-web.service", `  "/srv/web" volume`, "  state is unknown (virtualisation.oci-containers.containers.web.volumes[0]: throw)"},
			unknown: []string{"virtualisation.oci-containers.containers.web.volumes[0] [throw] "},
		},
		"the storage of an engine that is not used has no value": {
			config: `{ fileSystems = { }; virtualisation = {
				oci-containers = { backend = "docker"; containers.web.volumes = [ "cache:/c" ]; };
				containers.storage.settings = throw "has no value defined";
			}; }`,
			want: []string{"web docker-web.service", `  "/var/lib/docker/volumes/cache" volume`},
		},
	}, serviceLines)
}

func TestUnits(t *testing.T) {
	show := func(h stateward.Host) []string {
		out := []string{}
		for _, u := range h.Units.Or(nil) {
			out = append(out, u.Name)
			for _, v := range []struct {
				name  string
				value fmt.Stringer
				there bool
			}{
				{"enable", u.Enable, !u.Enable.IsAbsent()}, {"user", u.User, !u.User.IsAbsent()}, {"group", u.Group, !u.Group.IsAbsent()},
				{"dynamic", u.DynamicUser, !u.DynamicUser.IsAbsent()}, {"state", u.StateDirectory, !u.StateDirectory.IsAbsent()},
				{"mode", u.StateDirectoryMode, !u.StateDirectoryMode.IsAbsent()}, {"cache", u.CacheDirectory, !u.CacheDirectory.IsAbsent()},
				{"logs", u.LogsDirectory, !u.LogsDirectory.IsAbsent()},
				{"type", u.Type, !u.Type.IsAbsent()}, {"after", u.After, !u.After.IsAbsent()}, {"before", u.Before, !u.Before.IsAbsent()},
				{"requires", u.Requires, !u.Requires.IsAbsent()}, {"wants", u.Wants, !u.Wants.IsAbsent()}, {"bindsTo", u.BindsTo, !u.BindsTo.IsAbsent()},
				{"wantedBy", u.WantedBy, !u.WantedBy.IsAbsent()}, {"mountsFor", u.RequiresMountsFor, !u.RequiresMountsFor.IsAbsent()},
				{"default", u.DefaultDependencies, !u.DefaultDependencies.IsAbsent()}, {"asserts", u.MountAsserts, !u.MountAsserts.IsAbsent()},
				{"makes", u.MakesDatasets, !u.MakesDatasets.IsAbsent()},
			} {
				if v.there {
					out = append(out, "  "+v.name+" = "+v.value.String())
				}
			}
		}
		return out
	}
	runHosts(t, map[string]hostCase{
		"everything that is read": {
			config: `{ systemd.services.x = {
				enable = true; after = [ "a.service" ]; before = [ "b.service" ]; requires = [ "r.service" ]; wants = [ "w.service" ];
				bindsTo = [ "d.device" ]; wantedBy = [ "multi-user.target" ]; unitConfig.RequiresMountsFor = "/srv /tank/'a b'";
				serviceConfig = { Type = "oneshot"; User = "u"; Group = "g"; DynamicUser = 0; StateDirectory = [ "s:alias" ]; StateDirectoryMode = "0700";
					CacheDirectory = "c"; LogsDirectory = [ "l m" ]; };
			}; }`,
			want: []string{
				"x.service", "  enable = true", "  user = u", "  group = g", "  dynamic = false", "  state = [s:alias]", "  mode = 0700", "  cache = [c]",
				"  logs = [l m]", "  type = oneshot", "  after = [a.service]", "  before = [b.service]", "  requires = [r.service]",
				"  wants = [w.service]", "  bindsTo = [d.device]", "  wantedBy = [multi-user.target]", "  mountsFor = [/srv /tank/a b]",
			},
		},
		"D1 what scripts do with datasets": {
			config: `{ systemd.services = {
				appdata-datasets = { script = "set -e\nif ! /x/bin/zfs list t/a; then\n  /x/bin/zfs create \\\n    -o mountpoint=/a t/a; fi\nchown a /a"; restartIfChanged = false; };
				mk = { after = [ "zfs-import-tank.service" ]; preStart = "zfs create t/a\nzfs set atime=off t/a\nmountpoint -q /a && chmod 700 /a"; };
				containerd = { wants = [ "zfs.target" ]; serviceConfig.ExecStartPre = [ "-/x/bin/zfs create -o mountpoint=/c t/c" ]; };
				zfs-list = { script = "zfs list -o name; zpool create x"; };
				zfs-import-tank = { script = throw "not looked at"; };
				other = { script = throw "not looked at"; };
				zfs-own = { script = throw "own"; };
			}; }`,
			want: []string{
				"appdata-datasets.service", "  makes = [zfs create -o chown not restarted]", "containerd.service", "  wants = [zfs.target]", "  makes = [zfs create -o]",
				"mk.service", "  after = [zfs-import-tank.service]", "  makes = [zfs create zfs set chown mounted]", "other.service", "zfs-import-tank.service", "zfs-list.service",
				"zfs-own.service", "  makes = unknown (systemd.services.zfs-own.script: throw)",
			},
			unknown: []string{"systemd.services.zfs-own.script [throw] "},
		},
		"D2 what a unit asks of mounts": {
			config: `{ systemd.services.x.unitConfig = { DefaultDependencies = "no"; AssertPathIsMountPoint = "/a"; ConditionPathIsMountPoint = [ "/b c" ]; }; }`,
			want:   []string{"x.service", "  default = false", "  asserts = [/a /b c]"},
		},
		"a unit with nothing in it": {config: `{ systemd.services.x = { }; }`, want: []string{"x.service"}},
		"a DynamicUser that is no Boolean": {
			config:  `{ systemd.services.x.serviceConfig.DynamicUser = "perhaps"; }`,
			want:    []string{"x.service", `  dynamic = unknown (systemd.services.x.serviceConfig.DynamicUser: expected a Boolean, found "perhaps")`},
			unknown: []string{`systemd.services.x.serviceConfig.DynamicUser [form] expected a Boolean, found "perhaps"`},
		},
		"a host without systemd": {config: `{ fileSystems = { }; }`, want: []string{}},
	}, show)
}

// P1: stock modules call the directory of their state by many names, and some have several.
func TestStockDirectories(t *testing.T) {
	runHosts(t, map[string]hostCase{
		"P1 a list of directories": {
			config: `{ fileSystems = { }; services.minio = { enable = true; dataDir = [ "/var/lib/minio/data" "/srv/minio" ]; configDir = "/var/lib/minio/config"; }; }`,
			want:   []string{"minio", `  "/var/lib/minio/data" dataDir`, `  "/srv/minio" dataDir`, `  "/var/lib/minio/config" place`},
		},
		"P1 a name that does not say state counts by its place": {
			config: `{
				fileSystems = { };
				services.home-assistant = { enable = true; configDir = "/var/lib/hass"; };
				services.web = { enable = true; dataDir = "/data/web"; home = "/nix/store/x-web/share"; configDir = "/etc/web"; workDir = "/tmp/web"; };
			}`,
			want: []string{"home-assistant", `  "/var/lib/hass" place`, "web", `  "/data/web" dataDir`},
		},
	}, serviceLines)
}

// The list of services is no empty one where a part of it cannot be had.
func TestServicesThatCannotBeListed(t *testing.T) {
	list := func(h stateward.Host) []string { return append([]string{h.Services.String()}, serviceLines(h)...)[:1] }
	runHosts(t, map[string]hostCase{
		"N4 no unit": {
			config: `{ systemd.services = throw "no"; }`, want: []string{"unknown (systemd.services: throw)"},
			unknown: []string{"systemd.services [throw] "},
		},
		"N4 no container": {
			config:  `{ systemd.services = { }; virtualisation.oci-containers.containers = throw "no"; }`,
			want:    []string{"unknown (virtualisation.oci-containers.containers: throw)"},
			unknown: []string{"virtualisation.oci-containers.containers [throw] "},
		},
		"nothing is there": {config: `{ systemd.services = { }; }`, want: []string{"[]"}},
	}, list)
	runHosts(t, map[string]hostCase{
		"N4 what is known is kept": {
			config:  `{ systemd.services = throw "no"; services.x = { enable = true; dataDir = "/srv/x"; }; }`,
			want:    []string{"x x.service", `  "/srv/x" dataDir`},
			unknown: []string{"systemd.services [throw] "},
		},
	}, serviceLines)
}
