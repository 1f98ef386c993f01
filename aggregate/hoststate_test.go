package aggregate_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// anonymous is a host with a wiped root and nothing of its own kept but its ids.
var anonymous = slices.Concat(wiped[:len(wiped)-1], []part{persistFiles("/persist")})

func sshKey(path string) part {
	return func(h *stateward.Host) {
		o := index(at("services", "openssh", "hostKeys"), len(h.HostKeys.Or(nil)))
		o.Option += ".path"
		push(&h.HostKeys, stateward.NewEntry(path, stateward.File, o))
	}
}

func secretKey(option, path string) part {
	return func(h *stateward.Host) {
		push(&h.SecretKeys, stateward.NewEntry(path, stateward.File, stateward.Origin{Option: option}))
		if h.Units.IsAbsent() {
			h.Units = known([]stateward.Unit{})
		}
	}
}

func timer(name string, persistent bool) part {
	return func(h *stateward.Host) {
		push(&h.Timers, stateward.Timer{Name: name + ".timer", Persistent: known(persistent), Origin: at("systemd", "timers", name)})
	}
}

func scripted(name string, places ...string) part {
	return func(h *stateward.Host) {
		push(&h.ActivationScripts, stateward.ActivationScript{Name: name, Names: known(places), Origin: at("system", "activationScripts", name)})
	}
}

func person(name, home string) part {
	return func(h *stateward.Host) {
		push(&h.Users, stateward.User{Name: name, UID: known(1000), Home: known(home), Normal: known(true), Origin: at("users", "users", name)})
	}
}

func link(path, target string) part {
	return func(h *stateward.Host) {
		o := at("environment", "etc", path, "source")
		push(&h.Links, stateward.Link{At: stateward.NewEntry(path, stateward.File, o), Target: known(target), Origin: o})
	}
}

func tmpfilesLink(path, target string) part {
	return func(h *stateward.Host) {
		o := at("systemd", "tmpfiles", "rules")
		push(&h.Links, stateward.Link{At: stateward.NewEntry(path, stateward.File, o), Target: known(target), Origin: o})
	}
}

// unreadKey is a key for sops-nix that does not evaluate.
func unreadKey(h *stateward.Host) {
	push(&h.SecretKeys, stateward.Entry{Kind: stateward.File, Problem: &stateward.PathError{Reason: "throw", Advice: "make it evaluate"}, Origin: stateward.Origin{Option: "sops.age.keyFile"}})
}

// module makes the last persistence root one of another module.
func module(m stateward.PersistenceModule) part {
	return func(h *stateward.Host) {
		roots := slices.Clone(h.Persistence.Or(nil))
		roots[len(roots)-1].Module = m
		h.Persistence = known(roots)
	}
}

const (
	ed25519 = "/etc/ssh/ssh_host_ed25519_key"
	rsa     = "/etc/ssh/ssh_host_rsa_key"
	tmpfs   = `fileSystems."/" is a tmpfs`
)

func TestHostState(t *testing.T) {
	lostSystemd := `info environment.persistence."/persist".directories [/var/lib/systemd] /var/lib/systemd is gone at the next boot, with the random seed, rfkill and backlight, and when timers last ran: ` + tmpfs
	lostID := `warning environment.persistence."/persist".files [/etc/machine-id] the host gets a new machine-id at the next boot, with which journalctl finds no journal of an earlier boot and DHCP servers take it for another machine: ` + tmpfs
	lostKey := func(paths, are string) string {
		return "warning services.openssh.hostKeys[0].path [" + ed25519 + "] sshd makes new host keys at the next boot, and clients refuse the host as changed: " + paths + " " + are + " gone: " + tmpfs
	}
	persistedDir := []part{persist("/persist", "/etc/ssh"), mountUnit("/etc/ssh", "/persist/etc/ssh", "none", "bind")}
	// Nothing to say but of what a case is about.
	quiet := []part{persistFiles("/persist", "/etc/machine-id"), fileSystem("/var/lib/systemd", "/dev/disk/by-label/systemd", "ext4")}
	for _, tc := range []struct {
		name  string
		parts []part
		want  []string
	}{
		{"P12 nothing is kept", nil, []string{lostID, lostSystemd}},
		{"P12 machine-id and systemd are persisted", []part{persistFiles("/persist", "/etc/machine-id"), persist("/persist", "/var/lib/systemd")}, nil},
		{"P12 machine-id below a persisted directory", []part{persist("/persist", "/etc", "/var/lib")}, nil},
		{"P12 machine-id is linked to what survives", []part{link("/etc/machine-id", "/persist/etc/machine-id"), persist("/persist", "/var/lib/systemd")}, nil},
		{"P12 machine-id is linked to what is lost", []part{link("/etc/machine-id", "../srv/id"), persist("/persist", "/var/lib/systemd")}, []string{
			`warning environment.persistence."/persist".files [/etc/machine-id] the host gets a new machine-id at the next boot, with which journalctl finds no journal of an earlier boot and DHCP servers take it for another machine: environment.etc."/etc/machine-id".source links /etc/machine-id to /srv/id: ` + tmpfs}},
		{"P12 machine-id is given to the kernel", []part{identified}, nil},
		{"P12 machine-id is written by tmpfiles, after PID 1 has made one", append(slices.Clone(quiet[1:]), func(h *stateward.Host) {
			push(&h.Tmpfiles, stateward.TmpfilesRule{Type: "f+", At: stateward.NewEntry("/etc/machine-id", stateward.File, stateward.Origin{}), Origin: at("systemd", "tmpfiles", "rules")})
		}), []string{lostID}},
		{"P12 machine-id is linked by tmpfiles, after PID 1 has made one", append(slices.Clone(quiet[1:]), tmpfilesLink("/etc/machine-id", "/persist/etc/machine-id")), []string{lostID}},
		{"P12 machine-id is linked by both", append(slices.Clone(quiet[1:]), tmpfilesLink("/etc/machine-id", "/srv/x"), link("/etc/machine-id", "/persist/etc/machine-id")), nil},
		{"P12 a link of tmpfiles to a persisted machine-id", append(slices.Clone(quiet), tmpfilesLink("/etc/machine-id", "/srv/x")), nil},
		{"P12 the kernel is given no machine-id", append(slices.Clone(quiet[1:]), func(h *stateward.Host) { push(&h.Initrd.KernelParams, "systemd.machine_id=") }), []string{lostID}},
		{"P12 some of what systemd knows is on a tmpfs", []part{persistFiles("/persist", "/etc/machine-id"), fileSystem("/var/lib/systemd/coredump", "none", "tmpfs")}, []string{lostSystemd}},
		{"P12 some of what systemd knows is persisted", []part{persistFiles("/persist", "/etc/machine-id"), persist("/persist", "/var/lib/systemd/coredump")}, nil},
		{"P12 timers that catch up", append(slices.Clone(quiet[:1]), timer("restic", true), timer("borg", true), timer("hourly", false)), []string{
			`warning environment.persistence."/persist".directories [/var/lib/systemd/timers] /var/lib/systemd/timers is gone at the next boot: what borg, restic (Persistent=true) missed while the host was off is not made up for: ` + tmpfs}},
		{"P12 timers whose stamps are persisted", append(slices.Clone(quiet[:1]), timer("restic", true), persist("/persist", "/var/lib/systemd/timers")), nil},
		{"P12 timers beside another thing of systemd's", append(slices.Clone(quiet[:1]), timer("restic", true), persist("/persist", "/var/lib/systemd/coredump")), []string{
			`warning environment.persistence."/persist".directories [/var/lib/systemd/timers] /var/lib/systemd/timers is gone at the next boot: what restic (Persistent=true) missed while the host was off is not made up for: ` + tmpfs}},
		{"P12 chores that catch up lose nothing", append(slices.Clone(quiet[:1]), timer("nix-gc", true), timer("acme-example.org", true)), []string{lostSystemd}},
		{"P12 a script may restore it", []part{quiet[1], sshKey(ed25519), scripted("ids", "/etc/machine-id"), scripted("keys", "/etc/ssh")}, []string{
			`warning environment.persistence."/persist".files [/etc/machine-id] cannot tell whether /etc/machine-id survives a reboot: system.activationScripts.ids names it, and what that does is not read`,
			"warning services.openssh.hostKeys[0].path [" + ed25519 + "] cannot tell whether " + ed25519 + " survives a reboot: system.activationScripts.keys names it, and what that does is not read"}},
		{"P12 a script that names another key", append(slices.Clone(quiet), sshKey(ed25519), scripted("keys", rsa)), []string{lostKey(ed25519, "is")}},
		{"P12 a script that names the key of sops-nix", append(slices.Clone(quiet), secretKey("sops.age.sshKeyPaths[0]", ed25519), scripted("keys", ed25519)), []string{
			"warning sops.age.sshKeyPaths[0] [" + ed25519 + "] cannot tell whether " + ed25519 + " survives a reboot: system.activationScripts.keys names it, and what that does is not read"}},
		{"P12 a script that names what survives anyway", append(slices.Clone(quiet), scripted("ids", "/etc/machine-id")), nil},
		{"N9 a pool holds no machine-id", append(slices.Clone(quiet[1:]), func(h *stateward.Host) { push(&h.ExtraPools, "tank") }), []string{lostID}},

		{"P12 host keys", append(slices.Clone(quiet), sshKey(ed25519), sshKey(rsa)), []string{lostKey(ed25519+", "+rsa, "are")}},
		{"P12 one host key of two", append(slices.Clone(quiet), sshKey(ed25519), sshKey(rsa), persistFiles("/persist", rsa)), []string{lostKey(ed25519, "is")}},
		{"P12 host keys in a persisted directory", append(slices.Clone(quiet), sshKey(ed25519), persist("/persist", "/etc/ssh")), nil},
		{"P12 host keys where they are stored", append(slices.Clone(quiet), sshKey("/persist/etc/ssh/key")), nil},
		{"P12 host key is linked", append(slices.Clone(quiet), sshKey(ed25519), link(ed25519, "/persist/key")), nil},

		{"P12 the key of sops-nix is lost", append(slices.Clone(quiet), sshKey(ed25519), secretKey("sops.age.sshKeyPaths[0]", ed25519)),
			[]string{"error sops.age.sshKeyPaths[0] [" + ed25519 + "] " + ed25519 + " is gone when sops-nix decrypts the host's secrets at the next boot, and it decrypts none: " + tmpfs}},
		{"P12 one of two keys of sops-nix is lost", append(slices.Clone(quiet), sshKey(ed25519), secretKey("sops.age.sshKeyPaths[0]", ed25519), secretKey("sops.age.keyFile", "/persist/key")),
			[]string{lostKey(ed25519, "is")}},
		{"P12 one of two keys that is no host key", append(slices.Clone(quiet), secretKey("sops.age.keyFile", "/var/lib/key"), secretKey("sops.age.sshKeyPaths[0]", "/persist/key")),
			[]string{"warning sops.age.keyFile [/var/lib/key] /var/lib/key is gone at the next boot, and sops-nix then decrypts only what other keys can: " + tmpfs}},
		{"P12 another key that is no path decrypts nothing", append(slices.Clone(quiet), secretKey("sops.age.sshKeyPaths[0]", ed25519), secretKey("sops.age.keyFile", "keys.txt")),
			[]string{"error sops.age.sshKeyPaths[0] [" + ed25519 + "] " + ed25519 + " is gone when sops-nix decrypts the host's secrets at the next boot, and it decrypts none: " + tmpfs}},
		{"P12 another key that could not be read", append(slices.Clone(quiet), secretKey("sops.age.sshKeyPaths[0]", ed25519), unreadKey),
			[]string{"error sops.age.sshKeyPaths[0] [" + ed25519 + "] " + ed25519 + " is gone when sops-nix decrypts the host's secrets at the next boot, and it decrypts none, unless sops.age.keyFile is there, which cannot be told: " + tmpfs}},
		{"P12 another key that is given at every boot", append(slices.Clone(quiet), secretKey("sops.age.sshKeyPaths[0]", "/root/k"), secretKey("sops.age.keyFile", "/run/keys/k")),
			[]string{"warning sops.age.sshKeyPaths[0] [/root/k] /root/k is gone at the next boot, and sops-nix then decrypts only what other keys can: " + tmpfs}},
		{"P12 keys of agenix and of sops-nix", append(slices.Clone(quiet), secretKey("sops.age.keyFile", "/persist/key"), secretKey("age.identityPaths[0]", "/root/key")),
			[]string{"error age.identityPaths[0] [/root/key] /root/key is gone when agenix decrypts the host's secrets at the next boot, and it decrypts none: " + tmpfs}},
		{"P12 key in a directory that is mounted late", slices.Concat(quiet, persistedDir, []part{secretKey("sops.age.sshKeyPaths[0]", ed25519)}),
			[]string{"error sops.age.sshKeyPaths[0] [" + ed25519 + "] " + ed25519 + " is not there yet when sops-nix decrypts the host's secrets at the next boot, and it decrypts none: the persisted /etc/ssh is mounted after the activation script has run"}},
		{"P12 a unit decrypts, after the mounts", slices.Concat(quiet, persistedDir, []part{secretKey("sops.age.sshKeyPaths[0]", ed25519), func(h *stateward.Host) {
			push(&h.Units, stateward.Unit{Name: "sops-install-secrets.service"})
		}}), nil},
		{"P12 whether a unit decrypts is unknown", slices.Concat(quiet, persistedDir, []part{secretKey("sops.age.sshKeyPaths[0]", ed25519), func(h *stateward.Host) {
			h.Units = unknown[[]stateward.Unit]("systemd.services")
		}}), nil},
		{"P12 directory that is mounted in the initial ramdisk", append(slices.Clone(quiet), persist("/persist", "/var/lib"), mountUnit("/var/lib", "/persist/var/lib", "none", "bind"), secretKey("sops.age.keyFile", "/var/lib/sops-nix/key")), nil},
		{"P12 directory whose bind mount is needed for boot", append(slices.Clone(quiet), persist("/persist", "/etc/ssh"), fileSystem("/etc/ssh", "/persist/etc/ssh", "none", "bind"), secretKey("age.identityPaths[0]", ed25519)), nil},
		{"P12 late, and another key is in time", slices.Concat(quiet, persistedDir, []part{secretKey("sops.age.sshKeyPaths[0]", ed25519), secretKey("sops.age.keyFile", "/persist/key")}), nil},
		{"P12 persisted file for sops-nix", append(slices.Clone(quiet), persistFiles("/persist", ed25519), secretKey("sops.age.sshKeyPaths[0]", ed25519)), nil},
		{"P12 persisted file for agenix", append(slices.Clone(quiet), persistFiles("/persist", ed25519), secretKey("age.identityPaths[0]", ed25519)),
			[]string{"error age.identityPaths[0] [" + ed25519 + "] " + ed25519 + ` is not there yet when agenix decrypts the host's secrets at the next boot, and it decrypts none: environment.persistence."/persist" persists the file only after agenix has run`}},
		{"P12 key on a file system that is mounted late", append(slices.Clone(quiet), changedFS(mounted("/keys", "/dev/k", "ext4"), func(f *stateward.FileSystem) { f.NeededForBoot = known(false) }), secretKey("sops.age.keyFile", "/keys/k")),
			[]string{`error sops.age.keyFile [/keys/k] /keys/k is not there yet when sops-nix decrypts the host's secrets at the next boot, and it decrypts none: fileSystems."/keys" is mounted after the activation script has run`}},
		{"P12 key on a file system that is needed for boot", append(slices.Clone(quiet), fileSystem("/keys", "/dev/k", "ext4"), secretKey("sops.age.keyFile", "/keys/k")), nil},
		{"P12 key that is made at every boot", append(slices.Clone(quiet), secretKey("sops.age.keyFile", "/run/keys/k")), nil},
		{"P12 persisted by another module, whose order is not known", slices.Concat(quiet, persistedDir, []part{module(stateward.Preservation), secretKey("sops.age.sshKeyPaths[0]", ed25519)}), nil},

		{"N9 in doubt, once for one reason", append(slices.Clone(quiet), sshKey(ed25519), sshKey(rsa), func(h *stateward.Host) { push(&h.ExtraPools, "tank") }),
			[]string{"warning services.openssh.hostKeys[0].path [" + ed25519 + "] cannot tell whether " + ed25519 + ", " + rsa + " survive a reboot: pool tank of boot.zfs.extraPools mounts its datasets where their own mountpoint property says"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(tc.want, findings(with(anonymous, tc.parts...), "SW118")))
		})
	}
	t.Run("N8 root that is kept", func(t *testing.T) {
		require.Empty(t, findings(with(kept, sshKey(ed25519), secretKey("age.identityPaths[0]", ed25519), timer("restic", true)), "SW118"))
	})
	t.Run("N8 the root is in doubt, which is said once", func(t *testing.T) {
		h := with(anonymous, noRoot, sshKey(ed25519), person("alice", "/home/alice"))
		require.Empty(t, findings(h, "SW118"))
		require.Empty(t, findings(h, "SW119"))
		require.Len(t, findings(h, "SW117"), 1)
	})
	t.Run("an installation medium is meant to forget", func(t *testing.T) {
		h := host(fileSystem("/", "none", "tmpfs"), idsWritten, sshKey(ed25519), person("nixos", "/home/nixos"))
		for _, d := range lint(h).Findings {
			require.Equal(t, stateward.SeverityInfo, d.Severity, "%+v", d)
		}
	})
	medium := []part{fileSystem("/", "none", "tmpfs"), idsWritten, sshKey(ed25519)}
	for name, p := range map[string]part{
		"a persistence root that is switched off": func(h *stateward.Host) {
			persist("/persist", "/etc/ssh")(h)
			h.Persistence.Or(nil)[0].Enable = known(false)
		},
		"a key for secrets":        secretKey("age.identityPaths[0]", "/root/k"),
		"a normal user":            person("ada", "/home/ada"),
		"perhaps a normal user":    func(h *stateward.Host) { push(&h.Users, stateward.User{Name: "ada", Normal: unknown[bool]("x")}) },
		"users that are not known": func(h *stateward.Host) { h.Users = unknown[[]stateward.User]("users.users") },
	} {
		t.Run("P12 no installation medium has "+name, func(t *testing.T) {
			h := with(medium, p)
			require.Contains(t, strings.Join(findings(h, "SW118"), "\n"), "warning ")
			if name == "a normal user" {
				require.Len(t, findings(h, "SW119"), 1)
				require.Contains(t, findings(h, "SW119")[0], "warning ")
			}
		})
	}
	t.Run("no NixOS", func(t *testing.T) {
		require.Empty(t, findings(&stateward.Host{Dialects: []string{"qgroget"}}, "SW118"))
	})
}

func TestHostStateHints(t *testing.T) {
	for _, tc := range []struct {
		name  string
		code  string
		parts []part
		want  []string
	}{
		{"files", "SW118", []part{sshKey(ed25519), persist("/persist", "/var/lib/systemd")}, []string{
			`environment.persistence."/persist".files = [ "/etc/machine-id" ];`,
			`environment.persistence."/persist".files = [ "/etc/ssh/ssh_host_ed25519_key" "/etc/ssh/ssh_host_ed25519_key.pub" ];`}},
		{"Preservation", "SW118", []part{module(stateward.Preservation), persist("/persist", "/var/lib/systemd")}, []string{
			`preservation.preserveAt."/persist".files = [ "/etc/machine-id" ];`}},
		{"key that comes late", "SW118", []part{identified, persist("/persist", "/etc/ssh"), mountUnit("/etc/ssh", "/persist/etc/ssh", "none", "bind"), secretKey("sops.age.sshKeyPaths[0]", ed25519)},
			[]string{`sops.age.sshKeyPaths = [ "/persist/etc/ssh/ssh_host_ed25519_key" ];`}},
		{"one key file", "SW118", []part{identified, secretKey("sops.age.keyFile", "/key")},
			[]string{`environment.persistence."/persist".files = [ "/key" ]; and sops.age.keyFile = "/persist/key";`}},
		{"home", "SW119", []part{person("alice", "/home/alice")},
			[]string{`environment.persistence."/persist".users.alice.directories = [ … ]; or, for all of it, environment.persistence."/persist".directories = [ { directory = "/home/alice"; user = "alice"; mode = "0700"; } ];`}},
		{"state with Preservation", "SW101", []part{service("a", "/a"), module(stateward.Preservation)}, []string{`preservation.preserveAt."/persist".directories = [ "/a" ];`}},
		{"ids with Preservation", "SW110", []part{removeEntries, func(h *stateward.Host) { push(&h.Users, stateward.User{Name: "a"}) }, module(stateward.Preservation)}, []string{`preservation.preserveAt."/persist".directories = [ "/var/lib/nixos" ];`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var hints []string
			for _, d := range lint(with(anonymous, tc.parts...)).Findings {
				if d.Code == tc.code {
					hints = append(hints, d.Hint)
				}
			}
			require.Empty(t, cmp.Diff(tc.want, hints))
		})
	}
}

func TestHomes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		parts []part
		want  []string
	}{
		{"P12 nothing of a home is kept", []part{person("alice", "/home/alice")},
			[]string{"warning users.users.alice [/home/alice] nothing of /home/alice is kept, and alice finds it empty at the next boot: " + tmpfs}},
		{"P12 the home is persisted", []part{person("alice", "/home/alice"), persist("/persist", "/home/alice")}, nil},
		{"P12 all homes are persisted", []part{person("alice", "/home/alice"), persist("/persist", "/home")}, nil},
		{"P12 a place of the home is persisted", []part{person("alice", "/home/alice"), persist("/persist", "/home/alice/Documents")}, nil},
		{"P12 a file of the home is persisted", []part{person("alice", "/home/alice"), persistFiles("/persist", "/home/alice/.bash_history")}, nil},
		{"P12 another home is persisted", []part{person("alice", "/home/alice"), persist("/persist", "/home/alice2")},
			[]string{"warning users.users.alice [/home/alice] nothing of /home/alice is kept, and alice finds it empty at the next boot: " + tmpfs}},
		{"P12 a place of the home is on a tmpfs", []part{person("alice", "/home/alice"), fileSystem("/home/alice/.cache", "none", "tmpfs")},
			[]string{"warning users.users.alice [/home/alice] nothing of /home/alice is kept, and alice finds it empty at the next boot: " + tmpfs}},
		{"P12 a place of the home is mounted from what is lost", []part{person("alice", "/home/alice"), fileSystem("/home/alice/x", "/srv/x", "none", "bind")},
			[]string{"warning users.users.alice [/home/alice] nothing of /home/alice is kept, and alice finds it empty at the next boot: " + tmpfs}},
		{"P12 a place of the home has a file system of its own", []part{person("alice", "/home/alice"), fileSystem("/home/alice/x", "/dev/x", "ext4"), fileSystem("/home/alice/.cache", "none", "tmpfs")}, nil},
		{"N9 a place of the home is in doubt", []part{person("alice", "/home/alice"), fileSystem("/home/alice/x", "/home/alice/y", "none", "bind"), fileSystem("/home/alice/y", "/home/alice/x", "none", "bind")},
			[]string{"warning users.users.alice [/home/alice] cannot tell whether the home /home/alice of alice survives a reboot: " +
				`fileSystems."/home/alice/x" binds /home/alice/y: fileSystems."/home/alice/y" binds /home/alice/x: a loop of bind mounts at /home/alice/x`}},
		{"P12 a service only reads the home", []part{person("ada", "/home/ada"), service("media"), func(h *stateward.Host) {
			ss := h.Services.Or(nil)
			push(&ss[len(ss)-1].State, stateward.StatePath{Entry: stateward.NewEntry("/home/ada", stateward.Directory, at("volumes")), Source: stateward.SourceVolume, ReadOnly: true})
		}}, []string{"warning users.users.ada [/home/ada] nothing of /home/ada is kept, and ada finds it empty at the next boot: " + tmpfs}},
		{"P12 homes on a file system of their own", []part{person("alice", "/home/alice"), fileSystem("/home", "/dev/h", "ext4")}, nil},
		{"P12 system user", []part{func(h *stateward.Host) {
			push(&h.Users, stateward.User{Name: "a", UID: known(1), Home: known("/home/a"), Normal: known(false)})
		}}, nil},
		{"P12 user without a home", []part{person("a", "/var/empty")}, nil},
		{"P12 a home that a service uses is that service's", []part{person("a", "/srv/a"), service("a", "/srv/a")}, nil},
		{"P12 root's home", []part{func(h *stateward.Host) {
			push(&h.Users, stateward.User{Name: "root", UID: known(0), Home: known("/root")})
		}}, nil},
		{"P12 whether somebody is a person is unknown", []part{func(h *stateward.Host) {
			push(&h.Users, stateward.User{Name: "a", UID: known(1), Home: known("/home/a"), Normal: unknown[bool]("users.users.a.isNormalUser")})
		}}, nil},
		{"P12 many homes with one fate", []part{person("d", "/home/d"), person("a", "/home/a"), person("c", "/home/c"), person("b", "/home/b"), person("e", "/home/e")},
			[]string{"warning users.users.a [/home/a] nothing of /home/a, /home/b, /home/c, /home/d and 1 more is kept, and a, b, c, d and 1 more find them empty at the next boot: " + tmpfs}},
		{"N9 in doubt", []part{person("alice", "/home/alice"), func(h *stateward.Host) { push(&h.ExtraPools, "tank") }},
			[]string{"warning users.users.alice [/home/alice] cannot tell whether the home /home/alice of alice survives a reboot: pool tank of boot.zfs.extraPools mounts its datasets where their own mountpoint property says"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(tc.want, findings(with(wiped, tc.parts...), "SW119")))
		})
	}
}

func TestPersistedForNobody(t *testing.T) {
	persistence := `environment.persistence."/persist".directories`
	vaultwarden := []part{stateUnit("vaultwarden", known(false), "bitwarden_rs"), persist("/persist", "/var/lib/vaultwarden")}
	message := "warning " + persistence + "[1] [/var/lib/vaultwarden] /var/lib/vaultwarden is persisted, where vaultwarden keeps nothing: its state is in /var/lib/bitwarden_rs, which is not kept at the next boot"
	for _, tc := range []struct {
		name  string
		parts []part
		want  []string
	}{
		{"P1 another directory than the service's", vaultwarden, []string{message}},
		{"P1 in doubt", append(slices.Clone(vaultwarden), func(h *stateward.Host) { push(&h.ExtraPools, "tank") }), []string{message}},
		{"P3 the place of DynamicUser for a service that has none", []part{stateUnit("a", known(false), "a"), persist("/persist", "/var/lib/private/a")},
			[]string{"warning " + persistence + "[1] [/var/lib/private/a] /var/lib/private/a is persisted, where a keeps nothing: its state is in /var/lib/a, which is not kept at the next boot"}},
		{"P1 of the name of its user", []part{changed(contract("srv", "/var/lib/srv"), func(s *stateward.Service) { s.User = known(stateward.MustOwner("a")) }), persist("/persist", "/var/lib/a")},
			[]string{"warning " + persistence + "[1] [/var/lib/a] /var/lib/a is persisted, where srv keeps nothing: its state is in /var/lib/srv, which is not kept at the next boot"}},
		{"P1 both are persisted", append(slices.Clone(vaultwarden), persist("/persist", "/var/lib/bitwarden_rs")), nil},
		{"P1 the service keeps state there too", append(slices.Clone(vaultwarden), service("vaultwarden", "/var/lib/vaultwarden/backup")), nil},
		{"P1 it keeps state above it", append(slices.Clone(vaultwarden), stateUnit("x", known(false), "vaultwarden")), nil},
		{"P3 the link is for another check", []part{stateUnit("a", known(true), "a"), persist("/persist", "/var/lib/a")}, nil},
		{"P1 like names are others", []part{stateUnit("ntfy-sh", known(false), "ntfy-sh"), persist("/persist", "/var/lib/ntfy")}, nil},
		{"P1 disabled service", []part{changed(contract("a", "/var/lib/b"), func(s *stateward.Service) { s.Enable = known(false) }), persist("/persist", "/var/lib/a")}, nil},
		{"P1 some state could not be read", []part{changed(contract("a", "/var/lib/b"), func(s *stateward.Service) {
			s.StateSeen, s.State = s.State.Or(nil), unknown[[]stateward.StatePath]("a.state")
		}), persist("/persist", "/var/lib/a")}, nil},
		{"P1 a directory of logs", []part{stateUnit("a", known(false), "b"), persist("/persist", "/var/log/a")}, nil},
		{"P1 the home of a user", append(slices.Clone(vaultwarden), func(h *stateward.Host) {
			push(&h.Users, stateward.User{Name: "vaultwarden", UID: known(1), Home: known("/var/lib/vaultwarden")})
		}), nil},
		{"P1 a unit may write there", append(slices.Clone(vaultwarden), func(h *stateward.Host) {
			push(&h.Units, stateward.Unit{Name: "x.service", ReadWritePaths: known([]string{"-/var/lib/vaultwarden"})})
		}), nil},
		{"P1 tmpfiles makes it", append(slices.Clone(vaultwarden), func(h *stateward.Host) {
			push(&h.Tmpfiles, stateward.TmpfilesRule{Type: "d", At: stateward.NewEntry("/var/lib/vaultwarden/x", stateward.Directory, stateward.Origin{})})
		}), nil},
		{"P1 the module's own bind mount says nothing", append(slices.Clone(vaultwarden), mountUnit("/var/lib/vaultwarden", "/persist/var/lib/vaultwarden", "none", "bind")), []string{message}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(tc.want, findings(with(wiped, tc.parts...), "SW120")))
		})
	}
	t.Run("the hint is the line to write", func(t *testing.T) {
		for _, d := range lint(with(wiped, vaultwarden...)).Findings {
			if d.Code == "SW120" {
				require.Equal(t, `replace it: environment.persistence."/persist".directories = [ "/var/lib/bitwarden_rs" ];`, d.Hint)
			}
		}
	})
}

func TestHostRows(t *testing.T) {
	rows := func(h *stateward.Host) []row {
		var out []row
		for _, r := range aggregate.Survival(h) {
			out = append(out, row{r.Service, r.Path, r.Origin, string(r.Tiers[stateward.TierReboot].State)})
		}
		return out
	}
	for _, tc := range []struct {
		name  string
		base  []part
		parts []part
		want  []row
	}{
		{"P12 root that is wiped", anonymous, []part{sshKey(ed25519), secretKey("sops.age.sshKeyPaths[0]", ed25519), timer("a", true), person("alice", "/home/alice"), person("bob", "/home/bob"),
			persist("/persist", "/home/bob/x", "/etc/ssh"), service("openssh", "/srv/ssh"), service("zed", "/zed")}, []row{
			{"nixos", "/etc/machine-id", "host", "no"}, {"nixos", "/var/lib/nixos", "host", "not-needed"}, {"nixos", "/var/lib/systemd/timers", "host", "no"},
			{"openssh", ed25519, "hostKeys", "yes"}, {"openssh", "/srv/ssh", "dataDir", "no"}, {"secrets", ed25519, "secretKeys", "yes"},
			{"users", "/home/alice", "home", "no"}, {"users", "/home/bob", "home", "not-needed"}, {"zed", "/zed", "dataDir", "no"}}},
		{"P7 ids that are dealt", anonymous, []part{identified, func(h *stateward.Host) { push(&h.Users, stateward.User{Name: "a"}) }}, []row{
			{"nixos", "/etc/machine-id", "host", "not-needed"}, {"nixos", "/var/lib/nixos", "host", "yes"}}},
		{"N8 root that is kept", kept, []part{sshKey(ed25519), person("alice", "/home/alice"), service("a", "/a")}, []row{{"a", "/a", "dataDir", "yes"}}},
		{"a service of that name names the place itself", anonymous, []part{identified, service("nixos", "/var/lib/nixos")}, []row{
			{"nixos", "/etc/machine-id", "host", "not-needed"}, {"nixos", "/var/lib/nixos", "dataDir", "yes"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Empty(t, cmp.Diff(tc.want, rows(with(tc.base, tc.parts...))))
		})
	}
}
