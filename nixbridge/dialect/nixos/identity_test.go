package nixos_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/nixbridge/dialect/internal/evaltest"
	"github.com/stateward/stateward/nixbridge/dialect/nixos"
)

// P12: a timer is read for whether it catches up; what else it says, its schedule, may throw.
func TestTimers(t *testing.T) {
	h := evaltest.Decode(t, nixos.Dialect(), `{ config = { fileSystems = { }; systemd.timers = {
		a.timerConfig = { Persistent = true; OnCalendar = throw "never looked at"; };
		b = { enable = false; timerConfig.Persistent = "yes"; };
		c.timerConfig = { };
		d.timerConfig.Persistent = throw "no";
		e.timerConfig.Persistent = "maybe";
	}; }; }`)[0]
	var got []string
	for _, x := range h.Timers.Or(nil) {
		got = append(got, fmt.Sprintf("%s enable %s persistent %s", x.Name, x.Enable, x.Persistent))
	}
	require.Empty(t, cmp.Diff([]string{
		"a.timer enable absent persistent true", "b.timer enable false persistent true", "c.timer enable absent persistent absent",
		"d.timer enable absent persistent unknown (systemd.timers.d.timerConfig.Persistent: throw)",
		`e.timer enable absent persistent unknown (systemd.timers.e.timerConfig.Persistent: expected a Boolean, found "maybe")`,
	}, got))
}

// P12: of a script that runs at every boot it is read which places it names, and neither its text nor those of NixOS itself.
func TestActivationScripts(t *testing.T) {
	h := evaltest.Decode(t, nixos.Dialect(), `{ config = { fileSystems = { }; system.activationScripts = {
		etc = throw "never looked at"; script = throw "nor this";
		a = "ln -sf /persist/etc/machine-id /etc/machine-id";
		b = { deps = throw "no"; text = "cp -a /persist/etc/ssh/* /etc/ssh/; : /var/lib/systemd\n"; };
		c = "echo";
		d = { text = throw "no"; };
		e = { };
		f = "chmod 0755 /etc/ssh || true\nmkdir -p /var/lib/systemd";
		g = "chmod 600 /etc/ssh/ssh_host_rsa_key; echo /etc/sshd /etc/machine-ids";
		h = "mkdir /persist/etc/ssh && cp x /persist/etc/ssh/ssh_host_rsa_key";
		i = ''for k in a; do
		  /nix/store/x-coreutils/bin/cp -a "/persist/etc/ssh/$k" "/etc/ssh/$k" # /var/lib/systemd/timers
		done'';
		j = "install -m600 /p/k /etc/ssh/ssh_host_ed25519_key";
		k = "/x/bin/zfs list d/a >/dev/null || ( /x/bin/zfs create d/a && chown a:b /a )";
	}; }; }`)[0]
	var got []string
	for _, x := range h.ActivationScripts.Or(nil) {
		got = append(got, fmt.Sprintf("%s %s %s", x.Name, x.Origin.Option, x.Names)+strings.Join(x.MakesDatasets, "+"))
	}
	require.Empty(t, cmp.Diff([]string{
		"a system.activationScripts.a [/etc/machine-id]", "b system.activationScripts.b [/etc/ssh /var/lib/systemd]",
		"d system.activationScripts.d unknown (system.activationScripts.d: throw)",
		"g system.activationScripts.g [/etc/ssh/ssh_host_rsa_key]", "i system.activationScripts.i [/etc/ssh /var/lib/systemd/timers]",
		"j system.activationScripts.j [/etc/ssh/ssh_host_ed25519_key]",
		"k system.activationScripts.k []zfs create+chown",
	}, got))
}

// P12: what gives the machine-id at every boot is kept whether it is linked or copied, from the store or beside it.
func TestMachineIDOfEtc(t *testing.T) {
	for _, tc := range []struct{ name, entry, want string }{
		{"text", `{ source = "/nix/store/x-etc-machine-id"; }`, "/nix/store/x-etc-machine-id"},
		{"derivation", `{ source = { type = "derivation"; name = "etc-machine-id"; outPath = "/nix/store/y"; }; }`, "/nix/store/y"},
		{"copied", `{ source = "/persist/id"; mode = "0444"; }`, "/persist/id"},
		{"linked", `{ source = "/persist/id"; mode = "symlink"; }`, "/persist/id"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := evaltest.Decode(t, nixos.Dialect(), `{ config = { fileSystems = { }; environment.etc = { machine-id = `+tc.entry+`; other.source = "/nix/store/x"; bashrc.source = { type = "derivation"; name = "bashrc"; outPath = "/nix/store/z"; }; }; }; }`)[0]
			links := h.Links.Or(nil)
			require.Len(t, links, 1)
			require.Empty(t, h.Unknown)
			require.Equal(t, "/etc/machine-id", links[0].At.Path.String())
			require.Equal(t, tc.want, links[0].Target.Or(""))
		})
	}
}
