package nixos_test

import "testing"

func TestMountsInDoubt(t *testing.T) {
	runHosts(t, map[string]hostCase{
		"a mount point that throws may be anywhere": {
			config:  `{ fileSystems."/a" = { mountPoint = throw "no"; device = "x"; }; }`,
			want:    []string{`"/a" ! fileSystems."/a".mountPoint: throw`, "  device = x"},
			unknown: []string{`fileSystems."/a".mountPoint [throw] `},
		},
		"a mount unit whose place throws may be anywhere": {
			config:  `{ systemd.mounts = [ { where = throw "no"; what = "x"; } ]; }`,
			want:    []string{`"" ! systemd.mounts[0].where: throw`, "  device = x"},
			unknown: []string{"systemd.mounts[0].where [throw] "},
		},
		"one that may be off": {
			config:  `{ fileSystems."/a" = { enable = throw "no"; device = "x"; }; systemd.mounts = [ { enable = throw "no"; where = "/b"; } { enable = true; where = "/c"; } ]; }`,
			want:    []string{`"/a"`, "  device = x", `  enable = unknown (fileSystems."/a".enable: throw)`, `"/b"`, "  enable = unknown (systemd.mounts[0].enable: throw)", `"/c"`},
			unknown: []string{`fileSystems."/a".enable [throw] `, "systemd.mounts[0].enable [throw] "},
		},
		"N9 a mount unit as its mountConfig says": {
			config: `{ systemd.mounts = [
				{ mountConfig = { Where = "/a"; What = "/srv/a"; Type = "none"; Options = "bind,ro"; }; }
				{ where = "/b"; what = "x"; options = "rw"; mountConfig = { Type = "ext4"; Options = [ "ro" "noatime" ]; }; }
				{ where = "/c"; mountConfig.What = throw "no"; }
			]; }`,
			want: []string{`"/a"`, "  device = /srv/a", "  type = none", "  options = [bind ro]", `"/b"`, "  device = x", "  type = ext4", "  options = [noatime]",
				`"/c"`, "  device = unknown (systemd.mounts[2].mountConfig.What: throw)"},
			unknown: []string{"systemd.mounts[2].mountConfig.What [throw] "},
		},
	}, fileSystemLines)
}

func TestVolumesOfExtraOptions(t *testing.T) {
	container := func(s string) string {
		return `{ systemd = { }; virtualisation.oci-containers = { backend = "podman"; containers.c = { volumes = [ ]; ` + s + ` }; }; }`
	}
	runHosts(t, map[string]hostCase{
		"P1 every spelling": {
			config: container(`extraOptions = [
				"--volume=/a:/x" "--volume" "/b:/x:ro" "-v" "/c:/x" "-v=/d:/x" "-v/e:/x"
				"--mount=type=bind,source=/f,target=/x,readonly" "--mount" "type=bind,src=/g,dst=/x" "--mount=type=bind,source=/h,target=/x,ro=false"
			];`),
			want: []string{"c podman-c.service", `  "/a" volume`, `  "/b" volume read-only`, `  "/c" volume`, `  "/d" volume`, `  "/e" volume`,
				`  "/f" volume read-only`, `  "/g" volume`, `  "/h" volume`},
		},
		"P12 named volumes": {
			config: container(`extraOptions = [ "--volume=data:/x" "--mount=type=volume,source=more,target=/x" ];`),
			want:   []string{"c podman-c.service", `  "/var/lib/containers/storage/volumes/data" volume`, `  "/var/lib/containers/storage/volumes/more" volume`},
		},
		"nothing of the host's": {
			config: container(`extraOptions = [ "--volume=/x" "-v" "/x" "--mount=type=tmpfs,target=/x" "--mount=type=volume,target=/x" "--env=A=-v" "--volumes-from=b:ro" "--volume-driver=x:y" "--memory" "1g" "-v" ];`),
			want:   []string{"c podman-c.service"},
		},
		"N1 other options are not read": {
			config: container(`extraOptions = [ "--env=PASSWORD=/a:/b" (toString ("--password=" + "-v")) ];`),
			want:   []string{"c podman-c.service"},
		},
		"one that throws": {
			config:  container(`extraOptions = [ "--volume=/a:/x" (throw "no") "--memory=1g" "-v" "/b:/x" ];`),
			want:    []string{"c podman-c.service", `  "/a" volume`, `  "/b" volume`, "  state is unknown (virtualisation.oci-containers.containers.c.extraOptions[1]: throw)"},
			unknown: []string{"virtualisation.oci-containers.containers.c.extraOptions[1] [throw] ", "virtualisation.oci-containers.containers.c.extraOptions[2] [throw] "},
		},
	}, serviceLines)
}
