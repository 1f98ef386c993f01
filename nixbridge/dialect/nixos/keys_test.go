package nixos_test

import (
	"testing"

	"github.com/stateward/stateward"
)

func keyLines(h stateward.Host) []string {
	var out []string
	for _, e := range h.HostKeys.Or(nil) {
		out = append(out, "host "+entryLine(e)+" "+e.Origin.Option)
	}
	for _, e := range h.SecretKeys.Or(nil) {
		out = append(out, "secret "+entryLine(e)+" "+e.Origin.Option)
	}
	if h.HostKeys.IsUnknown() {
		out = append(out, "host keys are "+h.HostKeys.String())
	}
	if h.SecretKeys.IsUnknown() {
		out = append(out, "secret keys are "+h.SecretKeys.String())
	}
	return out
}

func TestKeys(t *testing.T) {
	runHosts(t, map[string]hostCase{
		"none": {config: `{ fileSystems = { }; }`},
		"P12 sshd's host keys": {
			config: `{ systemd = { }; services.openssh = { enable = true; hostKeys = [ { type = "ed25519"; path = "/etc/ssh/ssh_host_ed25519_key"; rounds = 1; } { path = "/persist//etc/ssh/k"; } ]; }; }`,
			want: []string{
				`host "/etc/ssh/ssh_host_ed25519_key" file services.openssh.hostKeys[0].path`,
				`host "/persist//etc/ssh/k" /persist/etc/ssh/k file services.openssh.hostKeys[1].path`,
			},
		},
		"keys of an sshd that is off": {config: `{ systemd = { }; services.openssh = { enable = false; hostKeys = throw "no"; }; }`},
		"a key that throws hides no other": {
			config:  `{ systemd = { }; services.openssh = { enable = true; hostKeys = [ { path = throw "no"; } { path = "/a"; } { path = null; } { } { path = ""; } ]; }; }`,
			want:    []string{`host "" ! services.openssh.hostKeys[0].path: throw file services.openssh.hostKeys[0].path`, `host "/a" file services.openssh.hostKeys[1].path`},
			unknown: []string{`services.openssh.hostKeys[0].path [throw] `},
		},
		"keys that throw": {
			config:  `{ systemd = { }; services.openssh = { enable = true; hostKeys = throw "no"; }; }`,
			want:    []string{"host keys are unknown (services.openssh.hostKeys: throw)"},
			unknown: []string{`services.openssh.hostKeys [throw] `},
		},
		"whether sshd is on throws": {
			config:  `{ systemd = { }; services.openssh = { enable = throw "no"; hostKeys = [ ]; }; }`,
			want:    []string{"host keys are unknown (services.openssh.hostKeys: throw)"},
			unknown: []string{`services.openssh.hostKeys [throw] `},
		},
		"P12 keys of sops": {
			config: `{ systemd = { }; sops = { secrets.x = throw "never looked at"; gnupg.sshKeyPaths = [ "/rsa" ]; age = { sshKeyPaths = [ "/ed" ]; keyFile = "/var/lib/sops-nix/key.txt"; }; }; }`,
			want: []string{`secret "/ed" file sops.age.sshKeyPaths[0]`, `secret "/rsa" file sops.gnupg.sshKeyPaths[0]`,
				`secret "/var/lib/sops-nix/key.txt" file sops.age.keyFile`},
		},
		"sops without a key file": {
			config: `{ systemd = { }; sops = { secrets.x = { }; gnupg.sshKeyPaths = [ ]; age = { sshKeyPaths = [ "/ed" ]; keyFile = null; }; }; }`,
			want:   []string{`secret "/ed" file sops.age.sshKeyPaths[0]`},
		},
		"sops without secrets": {config: `{ systemd = { }; sops = { secrets = { }; gnupg.sshKeyPaths = [ "/rsa" ]; age.keyFile = throw "no"; }; }`},
		"P12 identities of agenix": {
			config: `{ systemd = { }; age = { secrets.x = { }; identityPaths = [ "/a" "/b" ]; }; }`,
			want:   []string{`secret "/a" file age.identityPaths[0]`, `secret "/b" file age.identityPaths[1]`},
		},
		"agenix without secrets": {config: `{ systemd = { }; age = { secrets = { }; identityPaths = [ "/a" ]; }; }`},
		"what throws hides no other": {
			config:  `{ systemd = { }; sops = { secrets.x = { }; age.sshKeyPaths = throw "no"; }; age.identityPaths = [ "/a" (throw "no") ]; }`,
			want:    []string{`secret "/a" file age.identityPaths[0]`, `secret "" ! age.identityPaths[1]: throw file age.identityPaths[1]`},
			unknown: []string{"age.identityPaths[1] [throw] ", "sops.age.sshKeyPaths [throw] "},
		},
	}, keyLines)
}
