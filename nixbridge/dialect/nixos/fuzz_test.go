package nixos_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
	"github.com/stateward/stateward/nixbridge/dialect/nixos"
)

// FuzzDecode decodes whatever a projection could print: nothing may panic, and a
// host is put together only of what can be printed again.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{}`,
		`{"environment.persistence": {"/p": {"directories": ["/a", {"directory": "/b", "user": "b"}, 5], "users": {"u": {"files": [{"file": "x"}]}}}}}`,
		`{"environment.persistence": {"__stateward": "unknown", "kind": "throw"}, "systemd.services": {"__stateward": "unknown", "kind": "abort"}}`,
		`{"systemd.services": {"a@": {"serviceConfig": {"StateDirectory": ["a b", "", "%i/x"], "DynamicUser": "yes", "User": "%i"}}}, "systemd.mounts": [{"where": 1}]}`,
		`{"services": {"x": {"enable": true, "dataDir": {"__stateward": "path", "path": "/x"}}}, "services.restic.backups": {"x": {"paths": "/a", "timerConfig": null}}}`,
		`{"services.sanoid": {"enable": true, "datasets": {"a": {"hourly": 3, "useTemplate": ["x"]}}}, "services.syncoid": {"enable": false}}`,
		`{"virtualisation.oci-containers": {"backend": "podman", "containers": {"x": {"volumes": ["a:/b", "/c:/d:ro"], "podman": {"user": "u"}}}}}`,
		`{"virtualisation.quadlet": {"enable": null, "containers": {"x": {"containerConfig": {"volumes": ["x.volume:/a", "%h:/b"], "mounts": ["type=bind,src=/c"], "podmanArgs": ["-v", "/d:/d"]}},
			"y": {"rawConfig": ["Container.Volume=/e:/e"]}}, "volumes": {"x": {"volumeConfig": {"device": "/f"}}}, "pods": {"p": {}}, "kubes": {"k": {}}}}`,
		`{"containers": {"x": {"ephemeral": false, "bindMounts": {"/a": {"hostPath": null}}, "extraFlags": ["--bind=/b"]}}, "system.stateVersion": "21.05", "boot.enableContainers": 1}`,
		`{"virtualisation.arion": {"backend": "docker", "projects": {"p": {"settings": {"services": {"s": {"service": {"volumes": ["a:/a", {"type": "bind", "source": "~/b"}]}}}}}}}}`,
		`{"virtualisation.docker": {"enable": true, "rootless": {"enable": true}}, "virtualisation.podman": {"enable": "x"}, "users.users": {"u": {"isNormalUser": true, "home": "/u"}}}`,
		`{"disko.devices.zpool": {"p": {"datasets": {"a": {"options": {"mountpoint": "/x"}}}}}, "assertions": [{"message": "m"}], "warnings": "w"}`,
		`{"boot.initrd.systemd.services": {"x": {"serviceConfig": {"ExecStart": ["sh -c 'x'", "/nix/store/x"]}}}, "boot.initrd.postMountCommands": ""}`,
		`{"systemd.tmpfiles.rules": ["d /var/lib/x 0750 u - 1d", {"file": "f", "skipped": 2, "rules": ["L+ /a - - - - ../b", 5]}], "systemd.tmpfiles.settings": {"x": {"/srv/a": {"": {"type": "", "argument": "x"}, "L": {}}}}}`,
		`{"environment.etc": {"x": {"source": "/persist/x", "mode": "symlink"}, "y": {"target": "/y", "source": 1}}, "users.users": {"u": {"home": "/var/lib/u"}}, "systemd.services": {"u": {"serviceConfig": {"User": "u", "ReadWritePaths": "-+%S/a"}}}}`,
		`{"services.openssh.hostKeys": [{"path": "/etc/ssh/k"}, {}, 1], "sops.age.keyFile": "k", "age.identityPaths": ["/a", null]}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, sections string) {
		v, err := dialect.Parse(`{"detected": true, "sections": `+sections+`, "where": `+sections+`}`, 64)
		if err != nil {
			return
		}
		tree, err := dialect.NewTree(v)
		if err != nil {
			return
		}
		soundServices(t, tree)
	})
}

// FuzzVolumes reads volumes, mounts and arguments as containers have them.
func FuzzVolumes(f *testing.F) {
	for _, s := range []string{
		"/a:/b:ro", "a:/b:O,upperdir=/u", "x.volume:/x", "./a:/b", "%h/a:/b", "$A:/b", ":", "-v /a:/b", "--volume=/a b:/c", "type=volume,src=x,volume-opt=device=/d,volume-opt=o=bind",
		"type=glob,src=/a/*", "type=bind,\"src=/a,b\"", "-v", "--mount", "%", "%n%N%p%S", "type=glob,src=*", "Container.Volume=/a:/b", "Container.PodmanArgs=-v /a:/b", "--bind=/a:/b:x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !utf8.ValidString(text) {
			return
		}
		quoted, err := json.Marshal([]string{text, "/z:/z"})
		require.NoError(t, err)
		sections := strings.ReplaceAll(`{
			"virtualisation.oci-containers": {"backend": "podman", "containers": {"a": {"volumes": L, "extraOptions": L}}},
			"virtualisation.quadlet": {"containers": {"b": {"containerConfig": {"volumes": L, "mounts": L, "podmanArgs": L, "rootfs": L}}, "c": {"rawConfig": L}}, "volumes": {"x": {"volumeConfig": {}}}},
			"home-manager.users": {"u": {"home": {"homeDirectory": "/u"}, "virtualisation": {"quadlet": {"pods": {"d": {"podConfig": {"volumes": L}}}}}}},
			"virtualisation.arion": {"backend": "docker", "projects": {"p": {"settings": {"services": {"e": {"service": {"volumes": L}}}}}}},
			"containers": {"f": {"extraFlags": L}}}`, "L", string(quoted))
		v, err := dialect.Parse(`{"detected": true, "sections": `+sections+`}`, 64)
		if err != nil {
			return // a text that the reader of JSON refuses
		}
		tree, err := dialect.NewTree(v)
		require.NoError(t, err)
		h := soundServices(t, tree)
		// Whatever stands beside it, what is sure is read: a flag may take the next argument for its value.
		kept := map[string]bool{}
		for _, s := range h.Services.Or(nil) {
			paths, _ := s.StatePaths()
			for _, p := range paths {
				kept[s.Name] = kept[s.Name] || p.Text == "/z"
			}
		}
		for _, name := range []string{"a", "b", "d", "e"} {
			require.True(t, kept[name], "%s loses a volume beside %q", name, text)
		}
	})
}

// soundServices decodes a tree and looks at the services.
func soundServices(t *testing.T, tree *dialect.Tree) stateward.Host {
	var h stateward.Host
	nixos.Dialect().Decode(tree.Root(), &h)
	h.AddUnknown(tree.Unknowns()...)
	for _, s := range h.Services.Or(nil) {
		if s.Name == "" && s.Origin.Option == "" {
			t.Errorf("a service comes from nowhere: %+v", s)
		}
		paths, _ := s.StatePaths()
		for _, p := range paths {
			if p.Problem == nil && p.Path.IsZero() {
				t.Errorf("a state path is neither a path nor a problem: %+v", p)
			}
		}
	}
	return h
}
