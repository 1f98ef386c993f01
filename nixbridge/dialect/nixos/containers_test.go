package nixos_test

import (
	"strings"
	"testing"

	"github.com/stateward/stateward/nixbridge/dialect/internal/evaltest"
	"github.com/stateward/stateward/nixbridge/dialect/nixos"
)

// Each spelling of a volume, as podman-run(1), docker-run(1) and podman-systemd.unit(5) take them.
func TestVolumes(t *testing.T) {
	oci := func(rest string) string {
		return `{ systemd = { }; virtualisation.oci-containers = { backend = "podman"; containers.web = { ` + rest + ` }; }; }`
	}
	const web = "web podman-web.service"
	runHosts(t, map[string]hostCase{
		"P12 options that mount": {
			config: oci(`extraOptions = [ "-v" "/srv/a:/a" "--volume=/srv/b:/b:ro" "-v/srv/c:/c" "--mount" "type=bind,src=/srv/d,dst=/d" "--memory=1g" "-v /srv/e:/e" "--mount type=bind,source=/srv/f,target=/f,readonly=false" ];`),
			want:   []string{web, `  "/srv/a" volume`, `  "/srv/b" volume read-only`, `  "/srv/c" volume`, `  "/srv/d" volume`, `  "/srv/e" volume`, `  "/srv/f" volume`},
		},
		"an overlay goes with its container, unless it is kept": {
			config: oci(`volumes = [ "/srv/a:/a:O" "/srv/b:/b:O,upperdir=/srv/upper,workdir=/srv/work" "/srv/c:/c:U,z" ];`),
			want:   []string{web, `  "/srv/a" volume read-only`, `  "/srv/upper" volume`, `  "/srv/b" volume read-only`, `  "/srv/c" volume`},
		},
		"P12 a named volume that is a directory of the host": {
			config: oci(`extraOptions = [ "--mount=type=volume,src=data,dst=/d,volume-driver=local,volume-opt=type=none,volume-opt=device=/srv/data,volume-opt=o=bind" "--mount=volume-opt=device=/srv/anonymous,dst=/e" ];`),
			want:   []string{web, `  "/srv/data" volume`, `  "/srv/anonymous" volume`},
		},
		"a named volume of another host, in memory, or of a file system of its own": {
			config: oci(`extraOptions = [ "--mount=type=volume,src=a,dst=/a,\"volume-opt=o=addr=10.0.0.1,rw\",volume-opt=type=nfs,volume-opt=device=:/export"
				"--mount=type=volume,src=b,dst=/b,volume-opt=type=tmpfs,volume-opt=device=tmpfs" "--mount=type=volume,src=c,dst=/c,volume-opt=type=ext4,volume-opt=device=/dev/sdb1"
				"--mount=type=tmpfs,dst=/d" "--mount=type=image,src=alpine,dst=/e" ];`),
			want: []string{web},
		},
		"where another driver keeps a volume is not known": {
			config: oci(`volumes = [ "/srv/a:/a" ]; extraOptions = [ "--mount=type=volume,src=x,dst=/x,volume-driver=rclone" ];`),
			want: []string{web, `  "/srv/a" volume`,
				"  state is unknown (virtualisation.oci-containers.containers.web: where driver rclone keeps volume x is not shown by options)"},
			unknown: []string{"virtualisation.oci-containers.containers.web [hidden] where driver rclone keeps volume x is not shown by options"},
		},
		"what matches": {
			config: oci(`extraOptions = [ "--mount=type=glob,src=/srv/lib/*.so,dst=/lib" "--mount=type=glob,src=/srv/one,dst=/one" ];`),
			want:   []string{web, `  "/srv/lib/*.so" /srv/lib volume pattern`, `  "/srv/one" volume`},
		},
		"a mount that is no line of CSV": {
			config:  oci(`extraOptions = [ "--mount=type=bind,src=\"/a" ];`),
			want:    []string{web, `  state is unknown (virtualisation.oci-containers.containers.web: mount "type=bind,src=\"/a" is not understood)`},
			unknown: []string{`virtualisation.oci-containers.containers.web [hidden] mount "type=bind,src=\"/a" is not understood`},
		},
		"N9 files that NixOS makes, and sockets, are no state": {
			config: oci(`volumes = [ "/etc/localtime:/etc/localtime" "/etc/timezone:/etc/timezone:ro" "/tmp/.X11-unix:/tmp/.X11-unix" "/run/podman/podman.sock:/var/run/docker.sock" "/dev/dri:/dev/dri" ];`),
			want:   []string{web, `  "/etc/localtime" volume read-only`, `  "/run/podman/podman.sock" volume`, `  "/dev/dri" volume`},
		},
		"a source that is empty": {config: oci(`volumes = [ ":/x" "" ]; extraOptions = [ "-v" ];`), want: []string{web}},
		"secrets among the options are not read": {
			config: oci(`extraOptions = [ (builtins.trace "x" "--env=SECRET=1") "-e" "A=-v" ];`), want: []string{web},
		},
		"a user by number": {
			config: `{ systemd = { }; users.users.web = { uid = 1001; home = "/home/web/"; };
				virtualisation.containers.storage.settings.storage.rootless_storage_path = "/tank/$USER/containers";
				virtualisation.oci-containers = { backend = "podman"; containers.web = { volumes = [ "a:/a" ]; podman.user = "1001"; }; }; }`,
			want: []string{web, `  "/tank/web/containers/volumes/a" volume`},
		},
		"a storage that depends on more": {
			config: `{ systemd = { }; users.users.web.home = "/home/web";
				virtualisation.containers.storage.settings.storage.rootless_storage_path = "/tank/$UID";
				virtualisation.oci-containers = { backend = "podman"; containers.web = { volumes = [ "a:/a" ]; podman.user = "web"; }; }; }`,
			want:    []string{web, "  state is unknown (virtualisation.containers.storage.settings.storage.rootless_storage_path: where this leads is not shown by options)"},
			unknown: []string{"virtualisation.containers.storage.settings.storage.rootless_storage_path [form] where this leads is not shown by options"},
		},
	}, serviceLines)
}

func TestQuadlet(t *testing.T) {
	quadlet := func(rest string) string { return `{ systemd = { }; virtualisation.quadlet = { ` + rest + ` }; }` }
	runHosts(t, map[string]hostCase{
		"P12 what a container mounts": {
			config: quadlet(`containers.db.containerConfig = { volumes = [ "/opt/db:/var/lib/postgresql/data:Z" "/srv/conf:/conf:ro" ]; mounts = [ "type=bind,src=/srv/m,dst=/m" ]; podmanArgs = [ "--memory=1g" "-v" "/srv/p:/p" "--volume /srv/q:/q" ]; };`),
			want:   []string{"db db.service", `  "/opt/db" volume`, `  "/srv/conf" volume read-only`, `  "/srv/m" volume`, `  "/srv/p" volume`, `  "/srv/q" volume`},
		},
		"one text, and null": {
			config: quadlet(`containers.db.containerConfig = { volumes = "/opt/db:/data"; mounts = null; podmanArgs = "--memory=1g -v /srv/p:/p --mount=type=bind,src=/srv/q,dst=/q"; rootfs = null; };`),
			want:   []string{"db db.service", `  "/opt/db" volume`, `  "/srv/p" volume`, `  "/srv/q" volume`},
		},
		"P12 a volume that quadlet sets up": {
			config: quadlet(`
				containers.db.containerConfig = { volumes = [ "a.volume:/a" "b.volume:/b" "c.volume:/c:ro" "plain:/p" "gone.volume:/g" "net.volume:/n" "mem.volume:/m" ]; mounts = [ "type=volume,source=d.volume,destination=/d" ]; };
				volumes = {
					a = { }; b.volumeConfig.name = "other"; c.volumeConfig = { name = "c"; type = "none"; device = "/srv/c"; options = "bind"; };
					d.volumeConfig.device = "/srv/d";
					net.volumeConfig = { type = "nfs"; device = "10.0.0.1:/export"; options = "rw"; }; mem.volumeConfig = { type = "tmpfs"; device = "tmpfs"; };
				};`),
			want: []string{"db db.service", `  "/var/lib/containers/storage/volumes/a" volume`, `  "/var/lib/containers/storage/volumes/other" volume`,
				`  "/srv/c" volume read-only`, `  "/var/lib/containers/storage/volumes/plain" volume`, `  "/var/lib/containers/storage/volumes/systemd-gone" volume`, `  "/srv/d" volume`},
		},
		"a volume that nothing here mounts may be used by hand": {
			config: quadlet(`volumes.a = { };`),
			want:   []string{"a-volume a-volume.service", `  "/var/lib/containers/storage/volumes/a" volume perhaps`},
		},
		"a driver": {
			config:  quadlet(`containers.db.containerConfig.volumes = [ "a.volume:/a" ]; volumes.a.volumeConfig.driver = "image";`),
			want:    []string{"db db.service", "  state is unknown (virtualisation.quadlet.containers.db: where driver image keeps volume a is not shown by options)"},
			unknown: []string{"virtualisation.quadlet.containers.db [hidden] where driver image keeps volume a is not shown by options"},
		},
		"a device that throws": {
			config:  quadlet(`containers.db.containerConfig.volumes = [ "a.volume:/a" ]; volumes.a.volumeConfig.device = throw "no";`),
			want:    []string{"db db.service", "  state is unknown (virtualisation.quadlet.volumes.a.volumeConfig.device: throw)"},
			unknown: []string{"virtualisation.quadlet.volumes.a.volumeConfig.device [throw] "},
		},
		"P12 a pod": {
			config: quadlet(`pods.p.podConfig = { volumes = [ "/srv/p:/p" ]; podmanArgs = [ "--volume=/srv/q:/q" ]; };`),
			want:   []string{"p p-pod.service", `  "/srv/p" volume`, `  "/srv/q" volume`},
		},
		"what a kube file mounts is not shown": {
			config:  quadlet(`kubes.k.kubeConfig.yaml = "/x.yaml";`),
			want:    []string{"k k.service", "  state is unknown (virtualisation.quadlet.kubes.k: what its pods mount is in a file of its own)"},
			unknown: []string{"virtualisation.quadlet.kubes.k [hidden] what its pods mount is in a file of its own"},
		},
		"a unit file as it is": {
			config: quadlet(`
				containers.db.rawConfig = "[Unit]\nVolume=/not\n[Container]\nEnvironment=SECRET=x\nVolume=/srv/a:/a\n Volume = b.volume:/b\nMount=type=bind,src=/srv/c,dst=/c type=tmpfs,dst=/t\nPodmanArgs=--memory 1g \\\n -v /srv/d:/d\nRootfs=/srv/root:O\n";
				volumes.b.rawConfig = "[Volume]\nVolumeName=named\n";
			`),
			want: []string{"db db.service", `  "/srv/a" volume`, `  "/var/lib/containers/storage/volumes/named" volume`, `  "/srv/c" volume`, `  "/srv/d" volume`, `  "/srv/root" volume read-only`},
		},
		"a unit file that names no volume": {
			config: quadlet(`containers.db.rawConfig = "[Container]\nVolume=b.volume:/b"; volumes.b.rawConfig = "[Volume]\nDriver=local";`),
			want:   []string{"db db.service", `  "/var/lib/containers/storage/volumes/systemd-b" volume`},
		},
		"P12 a root of its own": {
			config: quadlet(`containers.db.containerConfig.rootfs = "/srv/root";`), want: []string{"db db.service", `  "/srv/root" volume`},
		},
		"specifiers": {
			config: quadlet(`containers.db.containerConfig.volumes = [ "%S/db:/a" "%h/x:/b" "/srv/%N/%%:/c" "/srv/%H/x:/d" "%i:/e" ];`),
			want: []string{"db db.service", `  "/var/lib/db" volume`, `  "/root/x" volume`, `  "/srv/db/%" volume`, `  "/srv/%H/x" /srv volume pattern`,
				`  state is unknown (virtualisation.quadlet.containers.db: where "%i" leads is not shown by options)`},
			unknown: []string{`virtualisation.quadlet.containers.db [hidden] where "%i" leads is not shown by options`},
		},
		"what depends on the environment is not known": {
			config:  quadlet(`containers.db.containerConfig.volumes = [ "\${DATA}/x:/a" ];`),
			want:    []string{"db db.service", `  state is unknown (virtualisation.quadlet.containers.db: where "${DATA}/x" leads is not shown by options)`},
			unknown: []string{`virtualisation.quadlet.containers.db [hidden] where "${DATA}/x" leads is not shown by options`},
		},
		"P10 a relative path": {
			config: quadlet(`containers.db.containerConfig.volumes = [ "./x:/a" ];`), want: []string{"db db.service", `  "./x" ! path "./x" is not absolute volume`},
		},
		"rootless by the system": {
			config: `{ systemd = { }; users.users.u = { uid = 1000; home = "/home/u"; }; virtualisation.quadlet.containers = {
				a = { containerConfig.volumes = [ "x:/x" ]; rootlessConfig.uid = 1000; };
				b = { containerConfig.volumes = [ "x:/x" ]; rootlessConfig.uid = null; serviceConfig.User = "u"; };
			}; }`,
			want: []string{"a a.service", `  "/home/u/.local/share/containers/storage/volumes/x" volume`, "b b.service", `  "/home/u/.local/share/containers/storage/volumes/x" volume`},
		},
		"P12 a user's own": {
			config: `{ systemd = { }; users.users.u.home = "/home/u"; home-manager.users = {
				u = { home = { }; virtualisation.quadlet = { containers.a.containerConfig.volumes = [ "x.volume:/x" "%h/y:/y" "%t/z:/z" "%E/e:/e" "%u:/u" ]; volumes.x.volumeConfig = { }; }; };
				v = { home.homeDirectory = "/tank/v"; virtualisation.quadlet.containers.b.containerConfig.volumes = [ "x:/x" ]; };
				w.virtualisation.quadlet.containers.c.containerConfig.volumes = [ "x:/x" ];
				other = { home.packages = throw "not read"; programs = throw "not read"; };
			}; }`,
			want: []string{
				"a a.service", `  "/home/u/.local/share/containers/storage/volumes/x" volume`, `  "/home/u/y" volume`, `  "/run/user/z" volume`, `  "/home/u/.config/e" volume`, `  "/home/u/.local/share/containers/storage/volumes/u" volume`,
				"b b.service", `  "/tank/v/.local/share/containers/storage/volumes/x" volume`,
				"c c.service", "  state is unknown (home-manager.users.w.virtualisation.quadlet.containers.c: the home of w, where its volumes are, is not given)",
			},
			unknown: []string{"home-manager.users.w.virtualisation.quadlet.containers.c [hidden] the home of w, where its volumes are, is not given"},
		},
		"P11 switched off": {
			config: quadlet(`enable = false; containers.db.containerConfig.volumes = [ "/opt/db:/d" ];`), want: []string{"db off db.service", `  "/opt/db" volume`},
		},
		"switched on by what is there": {
			config: quadlet(`enable = null; containers.db = { autoStart = false; containerConfig.volumes = [ "/opt/db:/d" ]; };`), want: []string{"db db.service", `  "/opt/db" volume`},
		},
		"N4 containers that throw": {
			config:  quadlet(`containers = throw "no"; pods.p.podConfig.volumes = [ "/srv/p:/p" ];`),
			want:    []string{"p p-pod.service", `  "/srv/p" volume`},
			unknown: []string{"virtualisation.quadlet.containers [throw] "},
		},
		"N4 one container that throws": {
			config: quadlet(`containers = { a = throw "no"; b.containerConfig.volumes = throw "no"; c.containerConfig.volumes = [ "/srv/c:/c" (throw "no") ]; };`),
			want: []string{"a a.service", "  state is unknown (virtualisation.quadlet.containers.a: throw)", "b b.service", "  state is unknown (virtualisation.quadlet.containers.b.containerConfig.volumes: throw)",
				"c c.service", `  "/srv/c" volume`, "  state is unknown (virtualisation.quadlet.containers.c.containerConfig.volumes[1]: throw)"},
			unknown: []string{"virtualisation.quadlet.containers.a [throw] ", "virtualisation.quadlet.containers.b.containerConfig.volumes [throw] ", "virtualisation.quadlet.containers.c.containerConfig.volumes[1] [throw] "},
		},
	}, serviceLines)
}

func TestNixosContainers(t *testing.T) {
	const on = `{ systemd = { }; system.stateVersion = "23.11"; containers = `
	runHosts(t, map[string]hostCase{
		"P12 the root": {
			config: on + `{ web = { ephemeral = false; config = abort "not read"; bindMounts = { }; }; }; }`,
			want:   []string{"web container@web.service", `  "/var/lib/nixos-containers/web" container`},
		},
		"the root of older releases": {
			config: `{ systemd = { }; system.stateVersion = "21.11"; containers.web = { }; }`,
			want:   []string{"web container@web.service", `  "/var/lib/containers/web" container`},
		},
		"an ephemeral one keeps what is mounted": {
			config: on + `{ web = { ephemeral = true; bindMounts."/data" = { hostPath = "/srv/web"; mountPoint = "/data"; isReadOnly = false; }; }; }; }`,
			want:   []string{"web container@web.service", `  "/srv/web" container`},
		},
		"P12 what is mounted, and perhaps the root": {
			config: on + `{ web = { bindMounts = { "/a" = { hostPath = null; mountPoint = "/a"; isReadOnly = false; }; b = { hostPath = "/srv/b"; isReadOnly = true; }; "/c" = { }; };
				extraFlags = [ "--bind=/srv/d:/srv/d" "--bind-ro /srv/e --bind +/f:/f" "-U" ]; }; }; }`,
			want: []string{"web container@web.service", `  "/a" container`, `  "/c" container read-only`, `  "/srv/b" container read-only`, `  "/srv/d" container`, `  "/srv/e" container read-only`,
				`  "/var/lib/nixos-containers/web" container perhaps`},
		},
		"P12 what is mounted beside the state that the root holds": {
			config: on + `{ web = { bindMounts = { "/data".hostPath = "/srv/a"; "/data".isReadOnly = false; "/var/lib" = { hostPath = "/run/web"; isReadOnly = false; }; }; extraFlags = [ "--bind=/srv/b:/etc/b" ]; }; }; }`,
			want:   []string{"web container@web.service", `  "/srv/a" container`, `  "/run/web" container`, `  "/srv/b" container`, `  "/var/lib/nixos-containers/web" container`},
		},
		"P12 what is mounted where a service in it keeps its state": {
			config: on + `{ web.bindMounts."/var/lib/db" = { hostPath = "/srv/db"; isReadOnly = false; }; }; }`,
			want:   []string{"web container@web.service", `  "/srv/db" container`, `  "/var/lib/nixos-containers/web" container perhaps`},
		},
		"only read": {
			config: on + `{ web.bindMounts."/c" = { isReadOnly = true; }; }; }`,
			want:   []string{"web container@web.service", `  "/c" container read-only`, `  "/var/lib/nixos-containers/web" container`},
		},
		"P11 switched off": {
			config: `{ systemd = { }; boot.enableContainers = false; containers.web = { }; }`,
			want:   []string{"web off container@web.service", `  "/var/lib/nixos-containers/web" container`},
		},
		"N6 without one nothing else is read": {config: `{ systemd = { }; boot.enableContainers = throw "no"; system.stateVersion = throw "no"; containers = { }; }`},
		"N4 what throws": {
			config: `{ systemd = { }; system.stateVersion = "23.11"; containers = { a = throw "no"; b.ephemeral = throw "no"; c.bindMounts = throw "no"; d.bindMounts."/d".isReadOnly = throw "no"; }; }`,
			want: []string{
				"a container@a.service", "  state is unknown (containers.a: throw)", "b container@b.service", "  state is unknown (containers.b.ephemeral: throw)",
				"c container@c.service", `  "/var/lib/nixos-containers/c" container`, "  state is unknown (containers.c.bindMounts: throw)",
				"d container@d.service", `  "/d" container`, `  "/var/lib/nixos-containers/d" container`, `  state is unknown (containers.d.bindMounts."/d".isReadOnly: throw)`,
			},
			unknown: []string{"containers.a [throw] ", "containers.b.ephemeral [throw] ", "containers.c.bindMounts [throw] ", `containers.d.bindMounts."/d".isReadOnly [throw] `},
		},
		"a release that throws": {
			config:  `{ systemd = { }; system.stateVersion = throw "no"; containers.web = { }; }`,
			want:    []string{"web container@web.service", "  state is unknown (system.stateVersion: throw)"},
			unknown: []string{"system.stateVersion [throw] "},
		},
	}, serviceLines)
}

// P12: an engine that is on keeps what is made with it by hand.
func TestEngines(t *testing.T) {
	host := func(rest string) string { return `{ systemd = { }; virtualisation = { ` + rest + ` }; }` }
	runHosts(t, map[string]hostCase{
		"P12 each engine": {
			config: host(`docker.enable = true; podman.enable = true; libvirtd.enable = true; incus.enable = true; lxd.enable = true; waydroid.enable = true;`),
			want: []string{
				"docker", `  "/var/lib/docker" table perhaps`, "podman", `  "/var/lib/containers/storage" table perhaps`, "incus", `  "/var/lib/incus" table perhaps`,
				"libvirtd", `  "/var/lib/libvirt" table perhaps`, "lxd", `  "/var/lib/lxd" table perhaps`, "waydroid", `  "/var/lib/waydroid" table perhaps`,
			},
		},
		"P11 one that is off": {
			config: host(`docker = { enable = false; daemon = throw "not read"; extraOptions = throw "not read"; rootless = { enable = false; daemon = throw "no"; }; }; podman.enable = false; containers.storage.settings = throw "no value";`),
			want:   []string{"docker off", `  "/var/lib/docker" table perhaps`, "podman off", `  "/var/lib/containers/storage" table perhaps`},
		},
		"moved": {
			config: host(`docker = { enable = true; daemon.settings.data-root = "/tank/docker"; }; podman.enable = true; containers.storage.settings.storage.graphroot = "/tank/podman";`),
			want:   []string{"docker", `  "/tank/docker" table perhaps`, "podman", `  "/tank/podman" table perhaps`},
		},
		"moved by an option of the daemon": {
			config: host(`docker = { enable = true; extraOptions = "--log-level=warn --data-root=/tank/docker --x"; };`), want: []string{"docker", `  "/tank/docker" table perhaps`},
		},
		"an option of the daemon that moves nothing": {
			config: host(`docker = { enable = true; extraOptions = "--log-level=warn"; };`), want: []string{"docker", `  "/var/lib/docker" table perhaps`},
		},
		"P12 rootless docker keeps it in every home": {
			config: `{ systemd = { }; virtualisation.docker = { enable = false; rootless.enable = true; }; users.users = { u = { isNormalUser = true; home = "/home/u"; }; s.home = "/var/empty"; }; }`,
			want:   []string{"docker off", `  "/var/lib/docker" table perhaps`, "docker-rootless", `  "/home/u/.local/share/docker" table perhaps`},
		},
		"P12 beside declared containers docker runs what it is asked to, N9 podman those only": {
			config: host(`docker.enable = true; podman.enable = true; oci-containers = { backend = "docker"; containers.a.volumes = [ "/srv/a:/a" ]; }; quadlet.containers.b.containerConfig.volumes = [ "/srv/b:/b" ];`),
			want:   []string{"a docker-a.service", `  "/srv/a" volume`, "b b.service", `  "/srv/b" volume`, "docker", `  "/var/lib/docker" table perhaps`},
		},
		"one whose declared containers are not all known": {
			config: host(`podman.enable = true; quadlet.containers = { a.containerConfig.volumes = throw "no"; b.containerConfig.volumes = [ "/srv/b:/b" ]; };`),
			want: []string{"a a.service", "  state is unknown (virtualisation.quadlet.containers.a.containerConfig.volumes: throw)", "b b.service", `  "/srv/b" volume`,
				"podman", `  "/var/lib/containers/storage" table perhaps`},
			unknown: []string{"virtualisation.quadlet.containers.a.containerConfig.volumes [throw] "},
		},
		"one of which it is not known whether it is on": {
			config:  host(`libvirtd.enable = throw "no";`),
			want:    []string{"libvirtd enable=unknown (virtualisation.libvirtd.enable: throw)", `  "/var/lib/libvirt" table perhaps`},
			unknown: []string{"virtualisation.libvirtd.enable [throw] "},
		},
	}, serviceLines)
}

func TestArion(t *testing.T) {
	runHosts(t, map[string]hostCase{
		"P12 volumes of a project": {
			config: `{ systemd = { }; virtualisation.arion = { backend = "docker"; projects.shop.settings = {
				project.name = "shop";
				services.db.service.volumes = [ "/srv/db:/db" "data:/data" "here:/h" "out:/o" "./x:/x" { type = "bind"; source = "/srv/long"; target = "/l"; read_only = true; } { type = "volume"; source = "data"; target = "/m"; } { type = "tmpfs"; target = "/t"; } ];
				docker-compose.volumes = { data = null; here.driver_opts = { type = "none"; o = "bind"; device = "/srv/here"; }; out.external = true; };
			}; }; }`,
			want: []string{"db arion-shop.service", `  "/srv/db" volume`, `  "/var/lib/docker/volumes/shop_data" volume`, `  "/srv/here" volume`, `  "/var/lib/docker/volumes/out" volume`,
				`  "./x" ! path "./x" is not absolute volume`, `  "/srv/long" volume read-only`, `  "/var/lib/docker/volumes/shop_data" volume`},
		},
		"podman": {
			config: `{ systemd = { }; virtualisation = { podman.enable = true; arion = { backend = "podman-socket"; projects.shop = { serviceName = "the-shop"; settings.services.db.service.volumes = [ "data:/data" ]; }; }; }; }`,
			want:   []string{"db the-shop.service", `  "/var/lib/containers/storage/volumes/shop_data" volume`},
		},
		"N4 projects that throw": {config: `{ virtualisation.arion.projects = throw "no"; systemd = { }; }`, unknown: []string{"virtualisation.arion.projects [throw] "}},
	}, serviceLines)
}

// What is behind an engine's option that may hold a password is not read.
func TestSecretsOfContainersAreNotRead(t *testing.T) {
	trees := evaltest.Read(t, nixos.Dialect(), `{ config = { systemd = { }; virtualisation = {
		docker = { enable = true; extraOptions = "--secret=s3cret --data-root /x"; };
		oci-containers = { backend = "docker"; containers.a = { environment.P = "s3cret"; extraOptions = [ "--env=s3cret" "-e" "s3cret" "-v" "/a:/a" ]; }; };
		quadlet.containers.a = { rawConfig = "[Container]\nEnvironment=P=s3cret\nPodmanArgs=-e s3cret -v /a:/a"; containerConfig = { environments.P = "s3cret"; podmanArgs = [ "-e s3cret -v /a:/a" "--env=s3cret" ]; }; };
	}; containers.a = { extraFlags = [ "--setenv=P=s3cret" "--set-credential x:s3cret --bind=/a" ]; config = throw "s3cret"; }; }; }`)
	for _, at := range [][]string{{"virtualisation", "docker"}, {"virtualisation", "oci-containers"}, {"virtualisation", "quadlet"}, {"containers"}} {
		for _, text := range texts(trees[0].Root().At(at...)) {
			if strings.Contains(text, "s3cret") {
				t.Errorf("%v: %q is read", at, text)
			}
		}
	}
}
