package nixos_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect/internal/evaltest"
	"github.com/stateward/stateward/nixbridge/dialect/nixos"
)

func fileSystemLines(h stateward.Host) []string {
	var out []string
	for _, f := range append(h.FileSystems.Or(nil), h.Mounts.Or(nil)...) {
		out = append(out, entryLine(f.MountPoint))
		valueLine(&out, "  device", f.Device)
		valueLine(&out, "  type", f.FSType)
		valueLine(&out, "  options", f.Options)
		valueLine(&out, "  needed", f.NeededForBoot)
		valueLine(&out, "  depends", f.Depends)
		valueLine(&out, "  enable", f.Enable)
	}
	for _, d := range h.Datasets.Or(nil) {
		out = append(out, d.Name)
		valueLine(&out, "  mountpoint", d.MountPoint)
		valueLine(&out, "  canmount", d.CanMount)
		for _, p := range slices.Sorted(maps.Keys(d.Properties)) {
			valueLine(&out, "  ."+p, d.Properties[p])
		}
	}
	valueLine(&out, "pools", h.ExtraPools)
	return out
}

func TestFileSystems(t *testing.T) {
	runHosts(t, map[string]hostCase{
		"everything that is read": {
			config: `{ fileSystems."/srv" = { mountPoint = "/srv"; device = "tank/srv"; label = null; fsType = "zfs"; options = [ "zfsutil" ]; neededForBoot = true; depends = [ "/tank" ]; }; }`,
			want:   []string{`"/srv"`, "  device = tank/srv", "  type = zfs", "  options = [zfsutil]", "  needed = true", "  depends = [/tank]"},
		},
		"the attribute's name is the mount point, unless it is given": {
			config: `{ fileSystems = { "/a" = { }; b.mountPoint = "/b//"; }; }`, want: []string{`"/a"`, `"/b//" /b`},
		},
		"a label is a device": {
			config: `{ fileSystems."/boot" = { device = null; label = "boot"; }; }`, want: []string{`"/boot"`, "  device = /dev/disk/by-label/boot"},
		},
		"one that is off is left out": {config: `{ fileSystems."/a" = { enable = false; device = "x"; }; }`},
		"N6 one that throws does not hide the others": {
			config:  `{ fileSystems = { "/a" = throw "no"; "/b" = { device = throw "no"; fsType = "ext4"; }; }; }`,
			want:    []string{`"/a"`, `  device = unknown (fileSystems."/a": throw)`, `  type = unknown (fileSystems."/a": throw)`, `  options = unknown (fileSystems."/a": throw)`, `  needed = unknown (fileSystems."/a": throw)`, `  depends = unknown (fileSystems."/a": throw)`, `  enable = unknown (fileSystems."/a": throw)`, `"/b"`, `  device = unknown (fileSystems."/b".device: throw)`, "  type = ext4"},
			unknown: []string{`fileSystems."/a" [throw] `, `fileSystems."/b".device [throw] `},
		},
		"N9 mount units, and the bind mounts among them": {
			config: `{ systemd.mounts = [
				{ where = "/var/log"; what = "/persist/var/log"; type = "none"; options = "bind,x-gvfs-hide"; }
				{ where = "/mnt"; what = "nas:/x"; type = ""; options = ""; enable = true; }
				{ where = "/off"; what = "x"; enable = false; }
			]; }`,
			want: []string{`"/var/log"`, "  device = /persist/var/log", "  type = none", "  options = [bind x-gvfs-hide]", `"/mnt"`, "  device = nas:/x"},
		},
		"N9 pools that mount themselves": {config: `{ fileSystems = { }; boot.zfs.extraPools = [ "tank" ]; }`, want: []string{"pools = [tank]"}},
		"P5 a dataset of disko beside the fileSystems entry that disko makes has no mount point of its own": {
			config: `{ fileSystems = { }; disko.devices.zpool.tank = {
				mountpoint = null; rootFsOptions = { mountpoint = "none"; canmount = "off"; };
				datasets = {
					srv = { type = "zfs_fs"; mountpoint = "/srv"; options = { mountpoint = "/srv"; recordsize = "1M"; }; };
					own = { type = "zfs_fs"; mountpoint = null; options.mountpoint = "/own"; };
					plain = { type = "zfs_fs"; mountpoint = null; options = { }; };
					swap = { type = "zfs_volume"; options = { }; };
				};
			}; }`,
			want: []string{"tank", "  mountpoint = none", "  canmount = off", "  .canmount = off", "  .mountpoint = none",
				"tank/own", "  mountpoint = /own", "  .mountpoint = /own", "tank/plain",
				"tank/srv", "  .mountpoint = /srv", "  .recordsize = 1M"},
		},
	}, fileSystemLines)
}

func TestInitrd(t *testing.T) {
	show := func(h stateward.Host) []string {
		var out []string
		valueLine(&out, "systemd", h.Initrd.Systemd)
		valueLine(&out, "kernel", h.Initrd.KernelParams)
		if h.Initrd.Commands.IsAbsent() {
			return append(out, "no commands")
		}
		for _, c := range h.Initrd.Commands.Or(nil) {
			out = append(out, c.Hook+": "+c.Text.String())
		}
		return out
	}
	service := func(s string) string { return `{ systemd = { }; boot.initrd.systemd.services.x = { ` + s + ` }; }` }
	runHosts(t, map[string]hostCase{
		"a host without an initial ramdisk": {config: `{ fileSystems = { }; }`, want: []string{"no commands"}},
		"empty hooks are no commands":       {config: `{ systemd = { }; boot.initrd = { postDeviceCommands = ""; systemd.enable = false; }; }`, want: []string{"systemd = false"}},
		"N8 P9 every hook, in the order in which they run": {
			config: `{ systemd = { }; boot.initrd = { preDeviceCommands = "0"; postMountCommands = "d"; postResumeCommands = "c"; postDeviceCommands = "b"; preLVMCommands = "a"; systemd.enable = true; }; }`,
			want:   []string{"systemd = true", "preDeviceCommands: 0", "preLVMCommands: a", "postDeviceCommands: b", "postResumeCommands: c", "postMountCommands: d"},
		},
		"a script":                    {config: service(`script = "zfs rollback -r a@b"; serviceConfig.ExecStart = "/nix/store/x-unit-script/bin/x";`), want: []string{"systemd.services.x: zfs rollback -r a@b"}},
		"a service that is off":       {config: service(`enable = false; script = "zfs rollback -r a@b";`)},
		"a service that runs nothing": {config: service(`script = ""; serviceConfig = { };`)},
		"inline shell":                {config: service(`serviceConfig.ExecStart = "/bin/sh -ec 'zfs rollback -r \"a@b\"; echo 100%%'";`), want: []string{`systemd.services.x: zfs rollback -r "a@b"; echo 100%`}},
		"a program with arguments":    {config: service(`serviceConfig.ExecStart = "-/nix/store/x-zfs/bin/zfs rollback -r a@b";`), want: []string{"systemd.services.x: /nix/store/x-zfs/bin/zfs rollback -r a@b"}},
		"several commands": {
			config: service(`serviceConfig = { ExecStartPre = "mkdir /a"; ExecStart = [ "" "mount /dev/sda /a" "+rm -r /a/b" ]; };`),
			want:   []string{"systemd.services.x: mkdir /a", "systemd.services.x: mount /dev/sda /a", "systemd.services.x: rm -r /a/b"},
		},
		"N1 a built script is a command, and so is a shell with a file": {
			config: service(`serviceConfig.ExecStart = [ "/nix/store/x-rollback" "/bin/sh /nix/store/x-rollback.sh" ];`),
			want:   []string{"systemd.services.x: /nix/store/x-rollback", "systemd.services.x: /bin/sh /nix/store/x-rollback.sh"},
		},
		"what is no command line is hidden, and no unknown of the host": {
			config: service(`serviceConfig.ExecStart = "/bin/x 'y";`),
			want:   []string{"systemd.services.x: unknown (boot.initrd.systemd.services.x.serviceConfig.ExecStart: what /bin/x 'y does is not in the configuration)"},
		},
		"N8 what runs before and after a script": {
			config: service(`preStart = "a"; script = "b"; postStart = "c"; serviceConfig = {
				ExecStartPre = [ "/nix/store/x-unit-script-x-pre-start/bin/x-pre-start" "/bin/d" ]; ExecStartPost = "/bin/e"; ExecStop = "/bin/f"; ExecCondition = "/bin/g";
			};`),
			want: []string{
				"systemd.services.x: /bin/g", "systemd.services.x: a", "systemd.services.x: /bin/d", "systemd.services.x: b", "systemd.services.x: c",
				"systemd.services.x: /bin/e", "systemd.services.x: /bin/f",
			},
		},
		"N8 a unit that is written out": {
			config: `{ systemd = { }; boot.initrd.systemd = {
				services.a.script = "b";
				units = { "a.service".text = throw "made of a"; "x.mount".text = throw "no service"; "w.service".text = ''
					[Service]
					Type=oneshot
					ExecStart=-/bin/zfs rollback \
					  a@b
				''; "off.service" = { enable = false; text = "[Service]\nExecStart=/bin/x"; }; };
			}; }`,
			want: []string{"systemd.services.a: b", `systemd.units."w.service": /bin/zfs rollback a@b`},
		},
		"N8 parameters of the kernel": {
			config: `{ systemd = { }; boot.kernelParams = [ "quiet" "systemd.volatile=yes" ]; }`,
			want:   []string{"kernel = [quiet systemd.volatile=yes]", "no commands"},
		},
		"a hook that throws": {
			config:  `{ systemd = { }; boot.initrd.postDeviceCommands = throw "no"; }`,
			want:    []string{"postDeviceCommands: unknown (boot.initrd.postDeviceCommands: throw)"},
			unknown: []string{"boot.initrd.postDeviceCommands [throw] "},
		},
		"a service that throws": {
			config: service(`script = throw "no";`), want: []string{"systemd.services.x: unknown (boot.initrd.systemd.services.x.script: throw)"},
			unknown: []string{"boot.initrd.systemd.services.x.script [throw] "},
		},
	}, show)
}

func TestHiddenScriptKeepsItsKind(t *testing.T) {
	h := evaltest.Decode(t, nixos.Dialect(), `{ config = { systemd = { }; boot.initrd.systemd.services.x.serviceConfig.ExecStart = "/bin/wipe 'x"; }; }`)[0]
	why, unknown := h.Initrd.Commands.Or(nil)[0].Text.Why()
	require.True(t, unknown)
	require.Equal(t, stateward.UnknownHidden, why.Kind)
	require.Empty(t, h.Unknown)
}

func TestUsersAndGroups(t *testing.T) {
	runHosts(t, map[string]hostCase{
		"P7 ids that are given and ids that are dealt": {
			config: `{ systemd = { }; users = {
				users = { ada = { uid = 1000; group = "users"; home = "/home/ada"; isNormalUser = true; }; web = { uid = null; group = ""; }; off.enable = false; };
				groups = { users.gid = 100; web.gid = null; };
			}; }`,
			want: []string{"user ada", "  uid = 1000", "  group = users", "  home = /home/ada", "  normal = true", "user web", "group users", "  gid = 100", "group web"},
		},
	}, func(h stateward.Host) []string {
		var out []string
		for _, u := range h.Users.Or(nil) {
			out = append(out, "user "+u.Name)
			valueLine(&out, "  uid", u.UID)
			valueLine(&out, "  group", u.Group)
			valueLine(&out, "  home", u.Home)
			valueLine(&out, "  normal", u.Normal)
		}
		for _, g := range h.Groups.Or(nil) {
			out = append(out, "group "+g.Name)
			valueLine(&out, "  gid", g.GID)
		}
		return out
	})
}

func TestAssertionsAndWarnings(t *testing.T) {
	runHosts(t, map[string]hostCase{
		"N2 only failing assertions, and all warnings": {
			config: `{ systemd = { }; assertions = [ { assertion = true; message = "fine"; } { assertion = false; message = "broken"; } ]; warnings = [ "mind" ]; }`,
			want:   []string{"fails: broken at assertions[1]", "warns: mind at warnings[0]"},
		},
		"N6 the message of a passing assertion is not read": {
			config: `{ systemd = { }; assertions = [ { assertion = true; message = abort "no"; } ]; warnings = [ ]; }`,
		},
		"a condition that throws is unknown, and not known to fail": {
			config:  `{ systemd = { }; assertions = [ { assertion = throw "no"; message = "a"; } { assertion = false; message = "b"; } ]; }`,
			want:    []string{"fails: b at assertions[1]"},
			unknown: []string{"assertions[0] [throw] "},
		},
		"a message that throws": {
			config:  `{ systemd = { }; assertions = [ { assertion = false; message = throw "no"; } ]; warnings = [ (throw "no") "b" ]; }`,
			want:    []string{"fails: unknown (assertions[0].message: throw) at assertions[0].message", "warns: unknown (warnings[0]: throw) at warnings[0]", "warns: b at warnings[1]"},
			unknown: []string{"assertions[0].message [throw] ", "warnings[0] [throw] "},
		},
		"assertions that throw as a whole": {
			config: `{ systemd = { }; assertions = throw "no"; }`, unknown: []string{"assertions [throw] "},
		},
	}, func(h stateward.Host) []string {
		var out []string
		for _, m := range h.FailedAssertions.Or(nil) {
			out = append(out, fmt.Sprintf("fails: %s at %s", m, m.Origin()))
		}
		for _, m := range h.Warnings.Or(nil) {
			out = append(out, fmt.Sprintf("warns: %s at %s", m, m.Origin()))
		}
		return out
	})
}

func TestDetected(t *testing.T) {
	for text, want := range map[string]bool{
		`{ config.fileSystems = { }; }`:             true,
		`{ config.systemd = { }; }`:                 true,
		`{ config.environment.persistence = { }; }`: true,
		`{ config.environment.variables = { }; }`:   false,
		`{ config = { }; }`:                         false,
	} {
		got, known := evaltest.Read(t, nixos.Dialect(), text)[0].Detected().Get()
		require.Truef(t, known, text)
		require.Equal(t, want, got, text)
	}
}

func TestProjectionNamesNoWholeSubmodule(t *testing.T) {
	// Whatever is below a leaf of depth 2 is not evaluated.
	deep := `{ config = { fileSystems."/" = { device = { a = { b = { c = abort "read too deeply"; }; }; }; }; }; }`
	require.NotEmpty(t, evaltest.Decode(t, nixos.Dialect(), deep)[0].Unknown)
	require.False(t, strings.Contains(nixos.Dialect().Projection, "anyTo 8"))
}
