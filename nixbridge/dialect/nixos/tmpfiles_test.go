package nixos_test

import (
	"fmt"
	"testing"

	"github.com/stateward/stateward"
)

func ruleLines(h stateward.Host) []string {
	var out []string
	for _, r := range h.Tmpfiles.Or(nil) {
		line := r.Type + " " + entryLine(r.At)
		if r.Age != "" {
			line += " age " + r.Age
		}
		if r.OnlyNew {
			line += " of what is new"
		}
		if a, ok := r.Argument.Get(); ok {
			line += fmt.Sprintf(" = %q", a)
		}
		if r.Origin.File != "" {
			line += " in " + r.Origin.File
		}
		out = append(out, line+" "+r.Origin.Option)
	}
	for _, l := range h.Links.Or(nil) {
		out = append(out, fmt.Sprintf("%s -> %s", entryLine(l.At), l.Target))
	}
	if h.Tmpfiles.IsUnknown() {
		out = append(out, "rules are "+h.Tmpfiles.String())
	}
	if h.Links.IsUnknown() {
		out = append(out, "links are "+h.Links.String())
	}
	return out
}

func TestTmpfiles(t *testing.T) {
	runHosts(t, map[string]hostCase{
		"none": {config: `{ systemd = { }; }`},
		"rules": {
			config: `{ systemd.tmpfiles.rules = [ "d /a 0750 u g 10d" "# no" "" "D! '/b c' - - - -" "nonsense" "d /x%q" "d /d\nf /e\n" "d /f :0700 :u :g" ]; }`,
			want: []string{
				`d "/a" u:g 0750 age 10d systemd.tmpfiles.rules[0]`, `D! "/b c" systemd.tmpfiles.rules[3]`, `d "/d" systemd.tmpfiles.rules[6]`,
				`f "/e" file systemd.tmpfiles.rules[6]`, `d "/f" u:g 0700 of what is new systemd.tmpfiles.rules[7]`,
			},
		},
		"the file of a rule, without those that every host has": {
			config: `{ systemd.tmpfiles.rules = throw "not looked at"; }`,
			options: `{ systemd.tmpfiles.rules.definitionsWithLocations = [ { file = "/nixpkgs/nixos/modules/config/ldso.nix"; value = [ (throw "no") (throw "no") ]; }
				{ file = "/etc/nixos/host.nix"; value = [ "d /a" "d /b" ]; } ]; }`,
			want: []string{`d "/a" in /etc/nixos/host.nix systemd.tmpfiles.rules[2]`, `d "/b" in /etc/nixos/host.nix systemd.tmpfiles.rules[3]`},
		},
		"settings": {
			config: `{ systemd.tmpfiles.settings."10-x" = {
				"/a".d = { type = "d"; mode = "0750"; user = "u"; group = "g"; age = "-"; argument = ""; };
				"/b c"."L+" = { type = "L+"; mode = "-"; user = "-"; group = "-"; age = "-"; argument = "/p q"; };
				"%S/c".other.type = "v"; "/run/x"."L+" = throw "not looked at"; "rel".d = { }; }; }`,
			want: []string{
				`v "/var/lib/c" systemd.tmpfiles.settings."10-x"."%S/c".other`, `d "/a" u:g 0750 systemd.tmpfiles.settings."10-x"."/a".d`,
				`L+ "/b c" file = "/p q" systemd.tmpfiles.settings."10-x"."/b c"."L+"`, `"/b c" file -> /p q`,
			},
		},
		"what is written into a file may be a secret": {
			config: `{ systemd.tmpfiles.rules = [ "f+ /a 0600 root root - hunter2" " F /b - - - -  hunter2 x" "f /c 0600 root root -" "d /d - - - - -" ];
				systemd.tmpfiles.settings.x = { "/e".f.argument = "hunter2"; "/f".z = { type = "w+"; argument = "hunter2"; }; "/g".L.argument = "/h"; }; }`,
			want: []string{
				`f+ "/a" file root:root 0600 = "(left out)" systemd.tmpfiles.rules[0]`, `F "/b" file = "(left out)" systemd.tmpfiles.rules[1]`,
				`f "/c" file root:root 0600 systemd.tmpfiles.rules[2]`, `d "/d" systemd.tmpfiles.rules[3]`,
				`f "/e" file = "(left out)" systemd.tmpfiles.settings.x."/e".f`, `w+ "/f" file = "(left out)" systemd.tmpfiles.settings.x."/f".z`,
				`L "/g" file = "/h" systemd.tmpfiles.settings.x."/g".L`, `"/g" file -> /h`,
			},
		},
		"links": {
			config: `{ systemd.tmpfiles.rules = [ "L+ /var/lib/x - - - - /persist/x" "L /y - - - - ../z" "L /etc/f" ]; }`,
			want: []string{
				`L+ "/var/lib/x" file = "/persist/x" systemd.tmpfiles.rules[0]`, `L "/y" file = "../z" systemd.tmpfiles.rules[1]`,
				`L "/etc/f" file = "/usr/share/factory/etc/f" systemd.tmpfiles.rules[2]`,
				`"/var/lib/x" file -> /persist/x`, `"/y" file -> ../z`, `"/etc/f" file -> /usr/share/factory/etc/f`,
			},
		},
		"a place that only the machine knows": {
			config: `{ systemd.tmpfiles.rules = [ "d /var/lib/%m" ]; }`,
			want:   []string{`d "/var/lib/%m" ! path "/var/lib/%m" has a specifier that only the running machine resolves systemd.tmpfiles.rules[0]`},
		},
		"a rule that throws may make any link": {
			config:  `{ systemd.tmpfiles.rules = [ "d /a" (throw "no") ]; systemd.tmpfiles.settings.x."/b".d = { }; }`,
			want:    []string{"rules are unknown (systemd.tmpfiles.rules[1]: throw)", "links are unknown (systemd.tmpfiles.rules[1]: throw)"},
			unknown: []string{"systemd.tmpfiles.rules[1] [throw] "},
		},
		"settings that throw": {
			config:  `{ systemd.tmpfiles.settings.x."/b" = throw "no"; }`,
			want:    []string{`rules are unknown (systemd.tmpfiles.settings.x."/b": throw)`, `links are unknown (systemd.tmpfiles.settings.x."/b": throw)`},
			unknown: []string{`systemd.tmpfiles.settings.x."/b" [throw] `},
		},
		"P12 sources of environment.etc beside the store": {
			config: `{ systemd = { }; environment.etc = {
				machine-id = { enable = true; target = "machine-id"; mode = "symlink"; source = "/persist/etc/machine-id"; };
				"ssh/key" = { target = "ssh/other"; source = "/persist/key"; };
				stored.source = "/nix/store/x"; copied = { mode = "0600"; source = "/persist/x"; }; off = { enable = false; source = "/persist/x"; }; text.text = "x"; }; }`,
			want: []string{`"/etc/machine-id" file -> /persist/etc/machine-id`, `"/etc/ssh/other" file -> /persist/key`},
		},
		"of environment.etc the distribution's are not looked at": {
			config: `{ systemd = { }; environment.etc = { a.source = "/persist/a"; b.source = throw "not looked at"; c.source = "/persist/c"; d.source = throw "not looked at"; }; }`,
			options: `{ environment.etc = { declarations = [ "/nixpkgs/nixos/modules/system/etc/etc.nix" ]; definitionsWithLocations = [
				{ file = "/nixpkgs/nixos/modules/x.nix"; value.b.source = throw "not looked at"; }
				{ file = "/etc/nixos/host.nix"; value = { a = { _type = "if"; condition = true; content.source = { _type = "override"; priority = 50; content = "/persist/a"; }; };
					d.source = ./x; e = { _type = "if"; condition = false; content = throw "no"; }; f.text = throw "no"; }; }
				{ file = "/etc/nixos/other.nix"; value = { _type = "merge"; contents = [ { c.source = "/persist/c"; } ]; }; } ]; }; }`,
			want: []string{`"/etc/a" file -> /persist/a`, `"/etc/c" file -> /persist/c`},
		},
		"a source that throws": {
			config:  `{ systemd = { }; environment.etc = { a.source = throw "no"; b.source = "/persist/b"; }; }`,
			want:    []string{`"/etc/a" file -> unknown (environment.etc.a.source: throw)`, `"/etc/b" file -> /persist/b`},
			unknown: []string{"environment.etc.a.source [throw] "},
		},
	}, ruleLines)
}

func TestImpliedState(t *testing.T) {
	units := func(more string) string {
		return `{ systemd.services = { app.serviceConfig.User = "app"; app-job.serviceConfig.User = "app"; zz.serviceConfig.User = "other"; }; ` + more + ` }`
	}
	runHosts(t, map[string]hostCase{
		"B1 a directory that a rule makes": {
			config: `{ systemd.tmpfiles.rules = [ "d /var/lib/x/private 0700 root root" "v /srv/a" "q /etc/foundationdb - fdb" "Q /opt/x" "d /var/ftp" ]; }`,
			want: []string{"tmpfiles", `  "/var/lib/x/private" tmpfiles perhaps`, "tmpfiles", `  "/srv/a" tmpfiles perhaps`, "tmpfiles", `  "/etc/foundationdb" tmpfiles perhaps`,
				"tmpfiles", `  "/opt/x" tmpfiles perhaps`, "tmpfiles", `  "/var/ftp" tmpfiles perhaps`},
		},
		"what no rule makes to last": {
			config: `{ systemd.tmpfiles.rules = [ "D /var/lib/emptied" "e /var/lib/cleaned" "z /var/lib/chmod" "f+ /var/lib/written" "f /var/lib/text - - - - text" "F /var/lib/a" "w /var/lib/b - - - - x"
				"L+ /var/lib/link - - - - /x" "r /var/lib/c" "p /var/lib/fifo" "d /var/lib/gone" "R! /var/lib/gone" "x /var/lib/*" ]; }`,
		},
		"N9 where nothing lasts": {
			config: `{ systemd.tmpfiles.rules = [ "d /run/a" "d /tmp/a" "d /var/tmp/a" "d /var/cache/a" "d /var/log/a" "d /var/lib" "d /srv" "d /var/db" "d /nix/var/x" "d /lib64" "d /" "d /var/empty" "d /var/lib/private"
				"d /var/lib/systemd/coredump" "d /var/lib/nixos" "d /mnt/disk" "d /dev/x" "d /usr/local/bin" "d /var/lock/x" "d /etc"
				"d /etc/swanctl/x509 - root" "d /etc/ipsec.d" "d /var/lib/misc" "d /var/lib/NetworkManager-fortisslvpn" "d /root/.cache" "d /root" ]; }`,
		},
		"where the hierarchy says nothing, or a person does": {
			config: `{ systemd.tmpfiles.rules = [ "d /root/.config" "d /data" "d /mnt/disk/app" "C /var/lib/seed - - - - /nix/store/x" "f /var/lib/mark" ]; }`,
			want: []string{"tmpfiles", `  "/root/.config" tmpfiles perhaps`, "tmpfiles", `  "/data" tmpfiles perhaps`, "tmpfiles", `  "/mnt/disk/app" tmpfiles perhaps`, "tmpfiles", `  "/var/lib/seed" tmpfiles perhaps`,
				"tmpfiles", `  "/var/lib/mark" file tmpfiles perhaps`},
		},
		"whose it is: the unit's that runs as the owner": {
			config: units(`systemd.tmpfiles.rules = [ "d /srv/a - app" "d /srv/b - other" "d /srv/c - nobody" ];`),
			want:   []string{"app app.service", `  "/srv/a" tmpfiles perhaps`, "zz zz.service", `  "/srv/b" tmpfiles perhaps`, "tmpfiles", `  "/srv/c" tmpfiles perhaps`},
		},
		"whose it is: the service's in whose state it lies": {
			config: `{ systemd.services.x.serviceConfig.StateDirectory = "x"; systemd.tmpfiles.rules = [ "d /var/lib/x/y" "d /var/lib/xy" ]; }`,
			want:   []string{"x x.service", `  "/var/lib/x" StateDirectory`, "x x.service", `  "/var/lib/x/y" tmpfiles perhaps`, "tmpfiles", `  "/var/lib/xy" tmpfiles perhaps`},
		},
		"a person's home": {
			config: `{ users.users.alice = { isNormalUser = true; home = "/home/alice"; }; systemd.tmpfiles.rules = [ "d /home/alice - alice" "d /home/alice/x - alice" ]; }`,
			want:   []string{"tmpfiles", `  "/home/alice/x" tmpfiles perhaps`},
		},
		"B24 homes of units' users": {
			config: units(`users.users = { app.home = "/var/lib/app"; other.home = "/var/empty"; idle.home = "/var/lib/idle"; };`),
			want:   []string{"app app.service", `  "/var/lib/app" home`},
		},
		"homes that are nobody's state": {
			config: `{ systemd.services = { a.serviceConfig.User = "a"; b.serviceConfig = { User = "b"; DynamicUser = true; }; c = { enable = false; serviceConfig.User = "c"; }; d.serviceConfig.User = "d"; };
				users.users = { a = { isNormalUser = true; home = "/home/a"; }; b.home = "/var/lib/b"; c.home = "/var/lib/c"; d.home = throw "no"; }; }`,
			unknown: []string{"users.users.d.home [throw] "},
		},
		"ReadWritePaths": {
			config: `{ systemd.services.a.serviceConfig.ReadWritePaths = [ "/var/lib/a -/srv/a" "+/var/db/a" "-+%S/b" "/var/lib" "/run/a" "/var/log/a" "%h/x" "rel" "/var/lib/systemd/x"
				"/root/.cache/a" "/root/.config/a" ]; }`,
			want: []string{"a a.service", `  "/var/lib/a" ReadWritePaths`, `  "/srv/a" ReadWritePaths perhaps`, `  "/var/db/a" ReadWritePaths`, `  "/var/lib/b" ReadWritePaths perhaps`,
				`  "/root/.config/a" ReadWritePaths perhaps`},
		},
		"ReadWritePaths outside the usual places": {
			config: `{ systemd.services.a.serviceConfig.ReadWritePaths = [ "/data/a" "/opt/a" "/var/a" "/mnt/x/a" "/mnt/disk" "/srv" "/mnt" "/opt" "/var/cache/a" "/etc/a" "/proc/sys" "/var" "/home" "/nix/var" ];
				systemd.services.b.serviceConfig = { User = "b"; ReadWritePaths = "/etc/b /etc/resolv.conf /etc/hosts"; }; }`,
			want: []string{"a a.service", `  "/data/a" ReadWritePaths perhaps`, `  "/opt/a" ReadWritePaths`, `  "/var/a" ReadWritePaths`, `  "/mnt/x/a" ReadWritePaths perhaps`, `  "/mnt/disk" ReadWritePaths perhaps`,
				`  "/srv" ReadWritePaths perhaps`, "b b.service", `  "/etc/b" ReadWritePaths perhaps`},
		},
		"ReadWritePaths of which only the beginning is sure": {
			config: `{ systemd.services."a@".serviceConfig.ReadWritePaths = [ "/srv/foo/%i" "/srv/b-%i/x" "/var/lib/%i" "/data/%i" "/home/%i" "%t/a" "/run/%i" ]; }`,
			want:   []string{"a@ a@.service", `  "/srv/foo/%i" /srv/foo ReadWritePaths pattern`, `  "/srv/b-%i/x" /srv ReadWritePaths pattern perhaps`, `  "/var/lib/%i" /var/lib ReadWritePaths pattern perhaps`, `  "/data/%i" /data ReadWritePaths pattern perhaps`},
		},
		"homes outside the usual places": {
			config: units(`users.users = { app.home = "/data/tool"; other.home = "/nonexistent"; };`),
			want:   []string{"app app.service", `  "/data/tool" home perhaps`},
		},
		"ReadWritePaths that throw": {
			config:  `{ systemd.services.a.serviceConfig.ReadWritePaths = throw "no"; }`,
			want:    []string{"a a.service", "  state is unknown (systemd.services.a.serviceConfig.ReadWritePaths: throw)"},
			unknown: []string{"systemd.services.a.serviceConfig.ReadWritePaths [throw] "},
		},
	}, serviceLines)
}
