package nixos_test

import (
	"testing"

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
		`{"disko.devices.zpool": {"p": {"datasets": {"a": {"options": {"mountpoint": "/x"}}}}}, "assertions": [{"message": "m"}], "warnings": "w"}`,
		`{"boot.initrd.systemd.services": {"x": {"serviceConfig": {"ExecStart": ["sh -c 'x'", "/nix/store/x"]}}}, "boot.initrd.postMountCommands": ""}`,
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
	})
}
