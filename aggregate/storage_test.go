package aggregate_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

const (
	yes       = stateward.SurvivalYes
	no        = stateward.SurvivalNo
	unsure    = stateward.SurvivalUnknown
	notNeeded = stateward.SurvivalNotNeeded
)

// rebootOf answers for the state of one service at a path of a host.
func rebootOf(t *testing.T, h *stateward.Host, path string) stateward.TierResult {
	t.Helper()
	service("app", path)(h)
	for _, r := range aggregate.Survival(h) {
		if r.Service == "app" {
			return r.Tiers[stateward.TierReboot]
		}
	}
	t.Fatalf("no row for %s", path)
	return stateward.TierResult{}
}

// README of Impermanence, "Btrfs subvolumes".
var readmeWipe = lines(
	`mkdir /btrfs_tmp`,
	`mount /dev/root_vg/root /btrfs_tmp`,
	`if [[ -e /btrfs_tmp/root ]]; then`,
	`  mkdir -p /btrfs_tmp/old_roots`,
	`  timestamp=$(date --date="@$(stat -c %Y /btrfs_tmp/root)" "+%Y-%m-%-d_%H:%M:%S")`,
	`  mv /btrfs_tmp/root "/btrfs_tmp/old_roots/$timestamp"`,
	`fi`,
	`delete_subvolume_recursively() {`,
	`  IFS=$'\n'`,
	`  for i in $(btrfs subvolume list -o "$1" | cut -f 9- -d ' '); do`,
	`    delete_subvolume_recursively "/btrfs_tmp/$i"`,
	`  done`,
	`  btrfs subvolume delete "$1"`,
	`}`,
	`for i in $(find /btrfs_tmp/old_roots/ -maxdepth 1 -mtime +30); do`,
	`  delete_subvolume_recursively "$i"`,
	`done`,
	`btrfs subvolume create /btrfs_tmp/root`,
	`umount /btrfs_tmp`,
)

func TestRootState(t *testing.T) {
	zfsRoot := fileSystem("/", "rpool/local/root", "zfs")
	btrfsRoot := fileSystem("/", "/dev/root_vg/root", "btrfs", "subvol=root", "compress=zstd")
	rollback := "zfs rollback -r rpool/local/root@blank\n"
	for _, tc := range []struct {
		name  string
		parts []part
		want  stateward.TierState // is it wiped?
		by    string
	}{
		{"tmpfs is wiped", []part{fileSystem("/", "none", "tmpfs")}, yes, `fileSystems."/" is a tmpfs`},
		{"ramfs is wiped", []part{fileSystem("/", "none", "ramfs")}, yes, `fileSystems."/" is a ramfs`},
		{"disk is kept", []part{fileSystem("/", "/dev/sda1", "ext4")}, no, "it is ext4 on /dev/sda1 and nothing that is read wipes it"},
		{"N8 dataset local/root that nothing rolls back is kept", []part{zfsRoot, persist("/persist")}, no, "it is zfs on rpool/local/root and nothing that is read wipes it"},
		{"N8 rollback in postDeviceCommands", []part{zfsRoot, initrdHook("postDeviceCommands", rollback)}, yes, "boot.initrd.postDeviceCommands rolls rpool/local/root back"},
		{"N8 rollback in postResumeCommands", []part{zfsRoot, initrdHook("postResumeCommands", rollback)}, yes, "boot.initrd.postResumeCommands rolls rpool/local/root back"},
		{"N8 rollback in postMountCommands", []part{zfsRoot, systemdInitrd(false), initrdHook("postMountCommands", rollback)}, yes, "boot.initrd.postMountCommands rolls rpool/local/root back"},
		{"N8 rollback in a unit of the systemd initrd", []part{zfsRoot, systemdInitrd(true), initrdHook("systemd.services.rollback", rollback)}, yes, "boot.initrd.systemd.services.rollback rolls rpool/local/root back"},
		{"P9 hook under the systemd initrd is never run", []part{zfsRoot, systemdInitrd(true), initrdHook("postDeviceCommands", rollback)}, no, "boot.initrd.postDeviceCommands would wipe it and is ignored by this kind of initrd"},
		{"P9 unit without the systemd initrd is never run", []part{zfsRoot, systemdInitrd(false), initrdHook("systemd.services.rollback", rollback)}, no, "boot.initrd.systemd.services.rollback would wipe it and is ignored by this kind of initrd"},
		{"P9 both kinds: the one that runs wipes", []part{zfsRoot, systemdInitrd(true), initrdHook("postDeviceCommands", rollback), initrdHook("systemd.services.rollback", rollback)}, yes, "boot.initrd.systemd.services.rollback rolls rpool/local/root back"},
		{"unknown kind of initrd", []part{zfsRoot, func(h *stateward.Host) { h.Initrd.Systemd = unknown[bool]("boot.initrd.systemd.enable") }, initrdHook("postDeviceCommands", rollback)}, unsure, "whether the systemd initrd is used, and so whether boot.initrd.postDeviceCommands is run, is unknown: boot.initrd.systemd.enable: it throws"},
		{"unknown kind of initrd matters to wipes only", []part{zfsRoot, func(h *stateward.Host) { h.Initrd.Systemd = unknown[bool]("boot.initrd.systemd.enable") }, initrdHook("postDeviceCommands", "echo hello")}, no, "it is zfs on rpool/local/root and nothing that is read wipes it"},
		{"unknown commands", []part{zfsRoot, func(h *stateward.Host) {
			h.Initrd.Commands = unknown[[]stateward.InitrdCommand]("boot.initrd")
		}}, unsure, "what the initial ramdisk runs is unknown: boot.initrd: it throws"},
		{"unknown kind of initrd and a wipe for each", []part{zfsRoot, func(h *stateward.Host) { h.Initrd.Systemd = unknown[bool]("boot.initrd.systemd.enable") }, initrdHook("postDeviceCommands", rollback), initrdHook("systemd.services.x", rollback)}, unsure, "whether the systemd initrd is used, and so whether boot.initrd.postDeviceCommands is run, is unknown: boot.initrd.systemd.enable: it throws"},
		{"tmpfs is wiped whatever the initrd does", []part{fileSystem("/", "none", "tmpfs"), hiddenHook("postDeviceCommands", stateward.UnknownThrow)}, yes, `fileSystems."/" is a tmpfs`},
		{"rollback of another dataset with no entry may be the root's", []part{zfsRoot, initrdHook("postDeviceCommands", "zfs rollback rpool/eph@blank")}, unsure, "boot.initrd.postDeviceCommands wipes rpool/eph, which no entry of fileSystems names"},
		{"rollback of another dataset that is mounted elsewhere", []part{zfsRoot, fileSystem("/scratch", "rpool/eph", "zfs"), initrdHook("postDeviceCommands", "zfs rollback rpool/eph@blank")}, no, "it is zfs on rpool/local/root and nothing that is read wipes it"},
		{"rollback of a variable", []part{zfsRoot, initrdHook("postDeviceCommands", `zfs rollback -r "$ROOT@blank"`)}, unsure, "zfs rollback of something that only the script knows in boot.initrd.postDeviceCommands"},
		{"zfs by its store path", []part{zfsRoot, initrdHook("postDeviceCommands", "/nix/store/x-zfs/bin/zfs rollback -r rpool/local/root@blank && echo done")}, yes, "boot.initrd.postDeviceCommands rolls rpool/local/root back"},
		{"zfs behind another program", []part{zfsRoot, initrdHook("postDeviceCommands", "timeout 60 zfs rollback -r rpool/local/root@blank")}, yes, "boot.initrd.postDeviceCommands rolls rpool/local/root back"},
		{"zfs in a text for another shell", []part{zfsRoot, initrdHook("postDeviceCommands", "sh -c 'zfs rollback -r rpool/local/root@blank'")}, yes, "boot.initrd.postDeviceCommands rolls rpool/local/root back"},
		{"a wipe that is only printed", []part{zfsRoot, initrdHook("postDeviceCommands", "echo zfs rollback -r rpool/local/root@blank; echo 'zfs rollback x@y'")}, no, "it is zfs on rpool/local/root and nothing that is read wipes it"},
		{"a wipe in a comment", []part{zfsRoot, initrdHook("postDeviceCommands", "# zfs rollback -r rpool/local/root@blank\ntrue\n")}, no, "it is zfs on rpool/local/root and nothing that is read wipes it"},
		{"dataset destroyed and cloned anew", []part{zfsRoot, initrdHook("postDeviceCommands", "zfs destroy -r rpool/local/root && zfs clone rpool/blank@0 rpool/local/root")}, yes, "boot.initrd.postDeviceCommands rolls rpool/local/root back"},
		{"dataset renamed away", []part{zfsRoot, initrdHook("postDeviceCommands", "zfs rename rpool/local/root rpool/old")}, yes, "boot.initrd.postDeviceCommands rolls rpool/local/root back"},
		{"destroying a snapshot wipes nothing", []part{zfsRoot, initrdHook("postDeviceCommands", "zfs destroy rpool/local/root@old")}, no, "it is zfs on rpool/local/root and nothing that is read wipes it"},
		{"renaming a snapshot wipes nothing", []part{zfsRoot, initrdHook("postDeviceCommands", "zfs rename rpool/local/root@a rpool/local/root@b")}, no, "it is zfs on rpool/local/root and nothing that is read wipes it"},
		{"reading wipes nothing", []part{zfsRoot, initrdHook("postDeviceCommands", "zfs list rpool/local/root; zpool import -a")}, no, "it is zfs on rpool/local/root and nothing that is read wipes it"},
		{"N8 Btrfs as Impermanence's README has it", []part{btrfsRoot, initrdHook("postResumeCommands", readmeWipe)}, yes, "boot.initrd.postResumeCommands makes subvolume root anew"},
		{"N8 Btrfs snapshot of a blank subvolume", []part{btrfsRoot, initrdHook("postDeviceCommands", lines("mount -o subvol=/ /dev/root_vg/root /mnt", "btrfs subvolume delete /mnt/root", "btrfs subvolume snapshot /mnt/root-blank /mnt/root"))}, yes, "boot.initrd.postDeviceCommands makes subvolume root anew"},
		{"Btrfs below another subvolume", []part{fileSystem("/", "/dev/x", "btrfs", "subvol=@/root"), initrdHook("postDeviceCommands", lines("mount -t btrfs -o noatime,subvol=@ /dev/x /mnt", "btrfs sub create /mnt/root"))}, yes, "boot.initrd.postDeviceCommands makes subvolume @/root anew"},
		{"Btrfs options in one text", []part{fileSystem("/", "/dev/x", "btrfs", "compress=zstd,subvol=/root"), initrdHook("postResumeCommands", readmeWipe)}, yes, "boot.initrd.postResumeCommands makes subvolume root anew"},
		{"Btrfs read-only snapshot wipes nothing", []part{btrfsRoot, initrdHook("postDeviceCommands", lines("mount /dev/root_vg/root /mnt", "btrfs subvolume snapshot -r /mnt/root /mnt/backup"))}, no, "it is btrfs on /dev/root_vg/root and nothing that is read wipes it"},
		{"Btrfs subvolume that is not the root's by name", []part{fileSystem("/", "/dev/x", "btrfs"), initrdHook("postResumeCommands", readmeWipe)}, unsure, "boot.initrd.postResumeCommands wipes root, which no entry of fileSystems names"},
		{"Btrfs subvolume made where only the script knows", []part{btrfsRoot, initrdHook("postDeviceCommands", lines("MNT=$(mktemp -d)", `mount /dev/root_vg/root "$MNT"`, `btrfs subvolume snapshot "$MNT/root-blank" "$MNT/root"`))}, unsure, "btrfs subvolume snapshot at a place that only the script knows in boot.initrd.postDeviceCommands"},
		{"files deleted", []part{fileSystem("/", "/dev/vda1", "ext4"), initrdHook("postMountCommands", "find /mnt-root -mindepth 1 -not -path '/mnt-root/nix*' -delete")}, unsure, "find of a tree that may be mounted later in boot.initrd.postMountCommands"},
		{"directories deleted", []part{fileSystem("/", "/dev/vda1", "ext4"), initrdHook("postMountCommands", "rm -rf /mnt-root/var")}, unsure, "rm of a tree that may be mounted later in boot.initrd.postMountCommands"},
		{"temporary directories deleted", []part{fileSystem("/", "/dev/vda1", "ext4"), initrdHook("postMountCommands", "rm -rf /tmp/x /run/y; rm -f /mnt-root/z; find /mnt-root")}, no, "it is ext4 on /dev/vda1 and nothing that is read wipes it"},
		{"signatures listed", []part{fileSystem("/", "/dev/vda1", "ext4"), initrdHook("postDeviceCommands", "wipefs /dev/vda1; command -v mkfs.ext4; modprobe zfs")}, no, "it is ext4 on /dev/vda1 and nothing that is read wipes it"},
		{"signatures wiped", []part{fileSystem("/", "/dev/vda1", "ext4"), initrdHook("postDeviceCommands", "wipefs -a /dev/vda1")}, yes, "boot.initrd.postDeviceCommands formats /dev/vda1"},
		{"formatted at boot", []part{fileSystem("/", "/dev/vda1", "ext4"), initrdHook("postDeviceCommands", "mkfs.ext4 -F /dev/vda1")}, yes, "boot.initrd.postDeviceCommands formats /dev/vda1"},
		{"another device formatted at boot may be the root's", []part{fileSystem("/", "/dev/disk/by-label/root", "ext4"), initrdHook("postDeviceCommands", "mkfs.ext4 -F /dev/vda1")}, unsure, "boot.initrd.postDeviceCommands wipes /dev/vda1, which no entry of fileSystems names"},
		{"a variable device formatted at boot", []part{fileSystem("/", "/dev/vda1", "ext4"), initrdHook("postDeviceCommands", `mkfs -t ext4 "$disk"`)}, unsure, "mkfs of a device that only the script knows in boot.initrd.postDeviceCommands"},
		{"hidden script that is named for it", []part{zfsRoot, systemdInitrd(true), hiddenHook("systemd.services.rollback-root", stateward.UnknownHidden)}, unsure, "the text of boot.initrd.systemd.services.rollback-root is unknown"},
		{"hidden script that is named for something else", []part{zfsRoot, systemdInitrd(true), hiddenHook("systemd.services.unlock", stateward.UnknownHidden)}, unsure, "the text of boot.initrd.systemd.services.unlock is unknown"},
		{"hidden script of a service of NixOS", []part{zfsRoot, systemdInitrd(true), hiddenHook("systemd.services.zfs-import-rpool", stateward.UnknownHidden)}, no, "it is zfs on rpool/local/root and nothing that is read wipes it"},
		{"script that throws", []part{zfsRoot, hiddenHook("postDeviceCommands", stateward.UnknownThrow)}, unsure, "the text of boot.initrd.postDeviceCommands is unknown"},
		{"script that is no shell and speaks of it", []part{zfsRoot, initrdHook("postDeviceCommands", "if zfs rollback (")}, unsure, "the text of boot.initrd.postDeviceCommands cannot be parsed as a shell script"},
		{"script that is no shell", []part{zfsRoot, initrdHook("postDeviceCommands", "if (")}, unsure, "the text of boot.initrd.postDeviceCommands cannot be parsed as a shell script"},
		{"no file systems", nil, unsure, `fileSystems has no entry for "/"`},
		{"no root file system", []part{fileSystem("/boot", "/dev/sda1", "vfat")}, unsure, `fileSystems has no entry for "/"`},
		{"unknown file systems", []part{func(h *stateward.Host) { h.FileSystems = unknown[[]stateward.FileSystem]("fileSystems") }}, unsure, "fileSystems: it throws"},
		{"unknown type of the root", []part{changedFS(mounted("/", "x", "ext4"), func(f *stateward.FileSystem) {
			f.FSType = unknown[string](`fileSystems."/".fsType`)
		})}, unsure, `fileSystems."/".fsType: it throws`},
		{"overlay", []part{fileSystem("/", "overlay", "overlay")}, unsure, `fileSystems."/" is an overlay, and where it writes is not read`},
		{"two roots that agree", []part{fileSystem("/", "none", "tmpfs"), mountUnit("/", "none", "tmpfs")}, yes, `fileSystems."/" is a tmpfs`},
		{"two roots that differ", []part{fileSystem("/", "none", "tmpfs"), mountUnit("/", "/dev/sda", "ext4")}, unsure, `fileSystems."/" and systemd.mounts at / are mounted at one place`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := host(tc.parts...)
			got := aggregate.Lint(aggregate.Input{Host: h}).Root
			require.Equal(t, aggregate.RootState{Wiped: tc.want, By: tc.by}, got)
			// A path on the root itself never survives better than the root.
			state := map[stateward.TierState]stateward.TierState{yes: no, no: yes, unsure: unsure}[tc.want]
			require.Equal(t, state, rebootOf(t, h, "/srv/app").State)
		})
	}
}

func TestReboot(t *testing.T) {
	dynamic, static := known(true), known(false)
	bind := func(at, from string) part { return fileSystem(at, from, "none", "bind") }
	for _, tc := range []struct {
		name  string
		parts []part
		path  string
		want  stateward.TierState
		by    string
	}{
		{"P1 not persisted", nil, "/var/lib/app", no, `fileSystems."/" is a tmpfs`},
		{"P1 persisted", []part{persist("/persist", "/var/lib/app")}, "/var/lib/app", yes, `environment.persistence."/persist"`},
		{"N9 below a persisted parent", []part{persist("/persist", "/var/lib")}, "/var/lib/app/data", yes, `environment.persistence."/persist"`},
		{"beside a persisted path of a like name", []part{persist("/persist", "/var/lib/app")}, "/var/lib/app2", no, `fileSystems."/" is a tmpfs`},
		{"above a persisted path", []part{persist("/persist", "/var/lib/app/data")}, "/var/lib/app", no, `fileSystems."/" is a tmpfs`},
		{"N9 spelt with doubled slashes", []part{persist("/persist", "/var//lib/app/")}, "/var/lib//app", yes, `environment.persistence."/persist"`},
		{"N9 spelt through the persistence root", []part{persist("/persist", "/var/lib/app")}, "/persist/var/lib/app", yes, `fileSystems."/persist"`},
		{"N9 own file system", []part{fileSystem("/var/lib/app", "/dev/sdb", "xfs")}, "/var/lib/app", yes, `fileSystems."/var/lib/app"`},
		{"N9 below a file system of its own", []part{fileSystem("/srv", "/dev/sdb", "xfs")}, "/srv/app/x", yes, "fileSystems.\"/srv\""},
		{"N9 home that is a file system", []part{fileSystem("/home", "/dev/sdb", "xfs")}, "/home/me/.config/app", yes, `fileSystems."/home"`},
		{"N9 home that is not", nil, "/home/me/.config/app", no, `fileSystems."/" is a tmpfs`},
		{"N9 dataset with a mount point of its own", []part{dataset("tank/app", "/var/lib/app")}, "/var/lib/app", yes, "dataset tank/app"},
		{"N9 dataset that inherits its mount point", []part{dataset("tank", "/srv"), func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank/app/data"})
		}}, "/srv/app/data/x", yes, "dataset tank/app/data"},
		{"dataset that file systems might name, were they known", []part{func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank"})
			h.FileSystems = unknown[[]stateward.FileSystem]("fileSystems")
		}}, "/tank", unsure, "fileSystems: it throws"},
		{"dataset that is not mounted by itself", []part{dataset("tank/app", "legacy")}, "/var/lib/app", no, `fileSystems."/" is a tmpfs`},
		{"dataset that inherits legacy", []part{dataset("tank", "legacy"), func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank/app"})
		}}, "/tank/app", no, `fileSystems."/" is a tmpfs`},
		{"N9 dataset of a pool that has no mount point either", []part{func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank"}, stateward.Dataset{Name: "tank/app"})
		}}, "/tank/app", yes, "dataset tank/app"},
		{"dataset of which nothing says where it is mounted", []part{func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank/app"})
		}}, "/tank/app", no, `fileSystems."/" is a tmpfs`},
		{"dataset that fileSystems mounts is not mounted elsewhere too", []part{fileSystem("/srv", "tank/app", "zfs"), func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank"}, stateward.Dataset{Name: "tank/app"})
		}}, "/tank/app", yes, "dataset tank"},
		{"dataset with canmount=off", []part{func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank/app", MountPoint: known("/var/lib/app"), CanMount: known("off")})
		}}, "/var/lib/app", no, `fileSystems."/" is a tmpfs`},
		{"dataset that may be mounted", []part{func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank/app", MountPoint: known("/var/lib/app"), CanMount: unknown[string]("disko.canmount")})
		}}, "/var/lib/app", unsure, "disko.canmount: it throws"},
		{"dataset that may be mounted anywhere", []part{func(h *stateward.Host) {
			push(&h.Datasets, stateward.Dataset{Name: "tank/app", MountPoint: unknown[string]("disko.mountpoint")})
		}}, "/var/lib/app", unsure, "disko.mountpoint: it throws"},
		{"dataset that is rolled back", []part{dataset("tank/app", "/var/lib/app"), initrdHook("postDeviceCommands", "zfs rollback tank/app@blank")}, "/var/lib/app", no, "boot.initrd.postDeviceCommands rolls tank/app back"},
		{"what is wiped is unknown: everything is in doubt", []part{persist("/persist", "/var/lib/app"), func(h *stateward.Host) { h.Initrd.Commands = unknown[[]stateward.InitrdCommand]("boot.initrd") }}, "/var/lib/app", unsure,
			`environment.persistence."/persist" is stored at /persist, and there: what the initial ramdisk runs is unknown: boot.initrd: it throws`},
		{"a hidden wipe is taken for one of the root", []part{persist("/persist", "/var/lib/app"), systemdInitrd(true), hiddenHook("systemd.services.rollback", stateward.UnknownHidden)}, "/var/lib/app", yes, `environment.persistence."/persist"`},
		{"dataset that is perhaps rolled back", []part{dataset("tank/app", "/var/lib/app"), initrdHook("postDeviceCommands", "zfs rollback tank/app@blank"), func(h *stateward.Host) { h.Initrd.Systemd = unknown[bool]("s") }}, "/var/lib/app", unsure,
			"whether the systemd initrd is used, and so whether boot.initrd.postDeviceCommands is run, is unknown: s: it throws"},
		{"file system in memory", []part{persist("/persist", "/var/lib"), fileSystem("/var/lib/app", "none", "tmpfs")}, "/var/lib/app", no, `fileSystems."/var/lib/app" is a tmpfs`},
		{"mount unit", []part{mountUnit("/var/lib/app", "/dev/sdb", "ext4")}, "/var/lib/app", yes, "systemd.mounts at /var/lib/app"},
		{"bind mount of what survives", []part{bind("/var/lib/app", "/persist/app")}, "/var/lib/app/x", yes, `fileSystems."/var/lib/app" binds /persist/app: fileSystems."/persist"`},
		{"bind mount of what is wiped", []part{bind("/var/lib/app", "/srv/app")}, "/var/lib/app", no, `fileSystems."/var/lib/app" binds /srv/app: fileSystems."/" is a tmpfs`},
		{"bind mount of what is persisted", []part{bind("/data", "/var/lib/app"), persist("/persist", "/var/lib/app")}, "/data/x", yes, `fileSystems."/data" binds /var/lib/app: environment.persistence."/persist"`},
		{"bind mount of no path", []part{bind("/var/lib/app", "app")}, "/var/lib/app", unsure, `fileSystems."/var/lib/app" binds "app"`},
		{"bind mount of itself", []part{bind("/var/lib/app", "/var/lib/app")}, "/var/lib/app", unsure, `fileSystems."/var/lib/app" binds /var/lib/app: a loop of bind mounts at /var/lib/app`},
		{"bind mounts in a loop", []part{bind("/a", "/b"), bind("/b", "/c"), bind("/c", "/a")}, "/a", unsure, `fileSystems."/a" binds /b: fileSystems."/b" binds /c: fileSystems."/c" binds /a: a loop of bind mounts at /a`},
		{"bind mount that grows for ever", []part{bind("/a", "/a/x")}, "/a", unsure, ""},
		{"P4 bind mount beside the entry that asks for it", []part{persist("/persist", "/var/lib/app"), bind("/var/lib/app", "/persist/var/lib/app")}, "/var/lib/app", yes, `environment.persistence."/persist"`},
		{"P4 persisted and a file system in memory", []part{persist("/persist", "/var/lib/app"), fileSystem("/var/lib/app", "none", "tmpfs")}, "/var/lib/app", unsure, `environment.persistence."/persist" and fileSystems."/var/lib/app" hide one another`},
		{"P5 two file systems at one place", []part{fileSystem("/srv", "/dev/a", "ext4"), mountUnit("/srv", "none", "tmpfs")}, "/srv/app", unsure, `fileSystems."/srv" and systemd.mounts at /srv are mounted at one place`},
		{"overlay", []part{fileSystem("/var/lib/app", "overlay", "overlay")}, "/var/lib/app", unsure, `fileSystems."/var/lib/app" is an overlay, and where it writes is not read`},
		{"extra pool may hold it", []part{func(h *stateward.Host) { push(&h.ExtraPools, "tank") }}, "/var/lib/app", unsure, "pool tank of boot.zfs.extraPools mounts its datasets where their own mountpoint property says"},
		{"extra pool takes nothing away", []part{func(h *stateward.Host) { push(&h.ExtraPools, "tank") }, persist("/persist", "/var/lib/app")}, "/var/lib/app", yes, `environment.persistence."/persist"`},
		{"no extra pools", []part{func(h *stateward.Host) { push(&h.ExtraPools) }}, "/var/lib/app", no, `fileSystems."/" is a tmpfs`},
		{"unknown extra pools", []part{func(h *stateward.Host) { h.ExtraPools = unknown[[]string]("boot.zfs.extraPools") }}, "/var/lib/app", unsure, "boot.zfs.extraPools: it throws"},
		{"P6 persistence root in memory", []part{fileSystem("/volatile", "none", "tmpfs"), persist("/volatile", "/var/lib/app")}, "/var/lib/app", no, `environment.persistence."/volatile" is stored at /volatile, and there: fileSystems."/volatile" is a tmpfs`},
		{"P6 persistence root on the wiped root", []part{persist("/other", "/var/lib/app")}, "/var/lib/app", no, `environment.persistence."/other" is stored at /other, and there: fileSystems."/" is a tmpfs`},
		{"one of two roots survives", []part{persist("/other", "/var/lib/app"), persist("/persist", "/var/lib/app")}, "/var/lib/app", unsure, `environment.persistence."/other" and environment.persistence."/persist" hide one another`},
		{"two roots that survive", []part{fileSystem("/other", "/dev/b", "ext4"), persist("/persist", "/var/lib/app"), persist("/other", "/var/lib/app")}, "/var/lib/app", yes, `environment.persistence."/other"`},
		{"entry with a storage of its own", []part{persist("/persist", storedAt("/var/lib/app", known(stateward.MustPath("/scratch"))))}, "/var/lib/app", no, `environment.persistence."/persist" is stored at /scratch, and there: fileSystems."/" is a tmpfs`},
		{"entry of a lost root with a storage of its own", []part{persist("/lost", storedAt("/var/lib/app", known(stateward.MustPath("/persist/x"))))}, "/var/lib/app", yes, `environment.persistence."/lost"`},
		{"entry with an unknown storage", []part{persist("/persist", storedAt("/var/lib/app", unknown[stateward.AbsPath]("p")))}, "/var/lib/app", unsure, "p: it throws"},
		{"entry stored in itself", []part{persist("/persist", storedAt("/a", known(stateward.MustPath("/b")))), bind("/b", "/a")}, "/a", unsure, ""},
		{"root stored in itself", []part{persist("/loop", "/data"), bind("/loop", "/data")}, "/data", unsure, ""},
		{"P4 bind mount of an entry with a storage of its own", []part{fileSystem("/s", "/dev/s", "ext4"), persist("/persist", storedAt("/var/lib/app", known(stateward.MustPath("/s")))), bind("/var/lib/app", "/s/var/lib/app")}, "/var/lib/app", yes, `environment.persistence."/persist"`},
		{"persisted file covers itself", []part{persistFiles("/persist", "/var/lib/app/db")}, "/var/lib/app/db", yes, `environment.persistence."/persist"`},
		{"persisted file covers nothing below or above", []part{persistFiles("/persist", "/var/lib/app")}, "/var/lib/app/db", no, `fileSystems."/" is a tmpfs`},
		{"runtime directory", nil, "/run/app", notNeeded, "a runtime directory"},
		{"runtime directory by its old name", nil, "/var/run/app", notNeeded, "a runtime directory"},
		{"store", nil, "/nix/store/x", notNeeded, "the nix store"},
		{"nix is a file system", nil, "/nix/app", yes, "fileSystems.\"/nix\""},
		{"P3 DynamicUser, its link is persisted", []part{stateUnit("dyn", dynamic, "dyn"), persist("/persist", "/var/lib/dyn")}, "/var/lib/dyn", no, `fileSystems."/" is a tmpfs`},
		{"P3 DynamicUser, its real place is persisted", []part{stateUnit("dyn", dynamic, "dyn"), persist("/persist", owned("/var/lib/private", "", "", "0700"))}, "/var/lib/dyn/x", yes, `environment.persistence."/persist"`},
		{"P3 DynamicUser false", []part{stateUnit("dyn", static, "dyn"), persist("/persist", "/var/lib/dyn")}, "/var/lib/dyn", yes, `environment.persistence."/persist"`},
		{"P3 DynamicUser unknown, only the link is persisted", []part{stateUnit("dyn", unknown[bool]("u.DynamicUser"), "dyn"), persist("/persist", "/var/lib/dyn")}, "/var/lib/dyn", unsure, "whether dyn.service keeps it in /var/lib/private/dyn is unknown: u.DynamicUser: it throws"},
		{"P3 DynamicUser unknown, both places are persisted", []part{stateUnit("dyn", unknown[bool]("u.DynamicUser"), "dyn"), persist("/persist", "/var/lib")}, "/var/lib/dyn", yes, `environment.persistence."/persist"`},
		{"P3 DynamicUser unknown, neither is", []part{stateUnit("dyn", unknown[bool]("u.DynamicUser"), "dyn")}, "/var/lib/dyn", no, `fileSystems."/" is a tmpfs`},
		{"P3 units unknown: any state may be elsewhere", []part{persist("/persist", "/var/lib/app"), func(h *stateward.Host) { h.Units = unknown[[]stateward.Unit]("systemd.services") }}, "/var/lib/app", unsure, "whether it is kept in /var/lib/private/app is unknown: systemd.services: it throws"},
		{"units unknown, outside of /var/lib", []part{persist("/persist", "/srv/app"), func(h *stateward.Host) { h.Units = unknown[[]stateward.Unit]("systemd.services") }}, "/srv/app", yes, `environment.persistence."/persist"`},
		{"unknown file systems", []part{func(h *stateward.Host) { h.FileSystems = unknown[[]stateward.FileSystem]("fileSystems") }, persist("/persist", "/var/lib/app")}, "/var/lib/app", unsure, ""},
		{"unknown mount units may hold it", []part{func(h *stateward.Host) { h.Mounts = unknown[[]stateward.FileSystem]("systemd.mounts") }}, "/var/lib/app", unsure, "systemd.mounts: it throws"},
		{"unknown datasets may hold it", []part{func(h *stateward.Host) { h.Datasets = unknown[[]stateward.Dataset]("disko") }}, "/var/lib/app", unsure, "disko: it throws"},
		{"unknown persistence", []part{func(h *stateward.Host) {
			h.Persistence = unknown[[]stateward.PersistenceRoot]("environment.persistence")
		}}, "/var/lib/app", unsure, "environment.persistence: it throws"},
		{"root that may be disabled", []part{changeRoot("/persist", func(r *stateward.PersistenceRoot) { r.Enable = unknown[bool]("p.enable") }), persist("/persist", "/var/lib/app")}, "/var/lib/app", unsure, "p.enable: it throws"},
		{"root that is disabled", []part{changeRoot("/persist", func(r *stateward.PersistenceRoot) { r.Enable = known(false) }), persist("/persist", "/var/lib/app")}, "/var/lib/app", no, `fileSystems."/" is a tmpfs`},
		{"root at an unknown path", []part{changeRoot("/persist", func(r *stateward.PersistenceRoot) { r.Path = unknown[stateward.AbsPath]("p.path") }), persist("/persist", "/var/lib/app")}, "/var/lib/app", unsure, "p.path: it throws"},
		{"unknown directories", []part{changeRoot("/persist", func(r *stateward.PersistenceRoot) { r.Directories = unknown[[]stateward.Entry]("p.directories") })}, "/var/lib/app", unsure, "p.directories: it throws"},
		{"unknown directories of which some are seen", []part{changeRoot("/persist", func(r *stateward.PersistenceRoot) {
			r.Directories = unknown[[]stateward.Entry]("p.directories")
			r.Seen = []stateward.Entry{stateward.NewEntry("/var/lib/app", stateward.Directory, at("p"))}
		})}, "/var/lib/app", yes, `environment.persistence."/persist"`},
		{"Preservation", []part{fileSystem("/keep", "/dev/k", "ext4"), persist("/keep", "/var/lib/app"), ofModule("/keep", stateward.Preservation)}, "/var/lib/app/x", yes, `preservation.preserveAt."/keep"`},
		{"the mount that Preservation makes of an entry is no other", []part{persist("/persist", "/var/lib//app/"), ofModule("/persist", stateward.Preservation), inInitrd("/var/lib/app", "/persist/var/lib/app", "bind", "X-fstrim.notrim")}, "/var/lib/app", yes, `preservation.preserveAt."/persist"`},
		{"a mount of the initrd", []part{inInitrd("/var/lib/app", "/dev/b")}, "/var/lib/app", yes, "boot.initrd.systemd.mounts at /var/lib/app"},
		{"a unit that systemd refuses mounts nothing", []part{mountUnit("/srv/../var/lib/app", "/dev/b", "ext4")}, "/var/lib/app", no, `fileSystems."/" is a tmpfs`},
		{"home-manager of older modules keeps it at a place of its own", []part{fileSystem("/cold", "/dev/c", "ext4"), persist("/lost", rare("/home/ada/x", stateward.EntrySpecial{Kept: known(stateward.MustPath("/cold/x"))})), ofModule("/lost", stateward.HomeManager)}, "/home/ada/x", yes, `home-manager.users.ada.home.persistence."/lost"`},
		{"a root of home-manager that is wiped", []part{persist("/lost", rare("/home/ada/x", stateward.EntrySpecial{OfUser: "ada"})), ofModule("/lost", stateward.HomeManager)}, "/home/ada/x", no, `home-manager.users.ada.home.persistence."/lost" is stored at /lost, and there: fileSystems."/" is a tmpfs`},
		{"unknown entries of home-manager lie in the home", []part{persist("/persist"), ofModule("/persist", stateward.HomeManager), changeRoot("/persist", func(r *stateward.PersistenceRoot) { r.Directories = unknown[[]stateward.Entry]("hm") })}, "/home/ada/x", unsure, "hm: it throws"},
		{"and nowhere else", []part{persist("/persist"), ofModule("/persist", stateward.HomeManager), changeRoot("/persist", func(r *stateward.PersistenceRoot) { r.Directories = unknown[[]stateward.Entry]("hm") })}, "/var/lib/app", no, `fileSystems."/" is a tmpfs`},
		{"unknown device", []part{changedFS(mounted("/var/lib/app", "x", "ext4"), func(f *stateward.FileSystem) { f.Device = unknown[string]("f.device") })}, "/var/lib/app", unsure, "f.device: it throws"},
		{"unknown options may be a bind mount", []part{changedFS(mounted("/var/lib/app", "x", "ext4"), func(f *stateward.FileSystem) { f.Options = unknown[[]string]("f.options") })}, "/var/lib/app", unsure, "f.options: it throws"},
		{"mount point that is no path may be anywhere", []part{fileSystem("/srv/../var/lib/app", "/dev/b", "ext4")}, "/var/lib/app", unsure, `path "/srv/../var/lib/app" contains ".."`},
		{"swap has no mount point", []part{fileSystem("none", "/dev/b", "swap")}, "/var/lib/app", no, `fileSystems."/" is a tmpfs`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := rebootOf(t, with(wiped, tc.parts...), tc.path)
			require.Equal(t, tc.want, got.State, "%s", got.By)
			if tc.by != "" {
				require.Equal(t, tc.by, got.By)
			}
		})
	}
}

// changeRoot changes a persistence root that is there.
func changeRoot(name string, change func(*stateward.PersistenceRoot)) part {
	return func(h *stateward.Host) {
		roots := slices.Clone(h.Persistence.Or(nil))
		for i := range roots {
			if roots[i].Name == name {
				change(&roots[i])
			}
		}
		h.Persistence = known(roots)
	}
}

// storedAt is an entry with a `persistentStoragePath` of its own.
func storedAt(path string, storage stateward.Value[stateward.AbsPath]) stateward.Entry {
	e := owned(path, "", "", "")
	e.Special = &stateward.EntrySpecial{Storage: storage}
	return e
}
