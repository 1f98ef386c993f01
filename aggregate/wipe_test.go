package aggregate_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// rootOf answers for the root of a host with these parts.
func rootOf(parts ...part) aggregate.RootState {
	return aggregate.Lint(aggregate.Input{Host: host(parts...)}).Root
}

const hookName = "boot.initrd.postDeviceCommands"

func TestWipesOfScripts(t *testing.T) {
	zfsRoot := fileSystem("/", "rpool/local/root", "zfs")
	btrfsRoot := fileSystem("/", "/dev/vg/root", "btrfs", "subvol=root")
	diskRoot := fileSystem("/", "/dev/vda1", "ext4")
	const (
		rolled    = hookName + " rolls rpool/local/root back"
		anew      = hookName + " makes subvolume root anew"
		formatted = hookName + " formats /dev/vda1"
		unseen    = hookName + " runs a command that only the script knows"
	)
	runs := func(what string) string { return hookName + " runs " + what + ", and what that does is not read" }
	in := func(what string) string { return what + " in " + hookName }
	for _, tc := range []struct {
		root   part
		script string
		want   stateward.TierState // is it wiped?
		by     string
	}{
		// N8: programs and files whose text is not seen.
		{zfsRoot, "/nix/store/x-wipe-root", unsure, runs("/nix/store/x-wipe-root")},
		{zfsRoot, "/nix/store/x-prepare/bin/prepare --now", unsure, runs("/nix/store/x-prepare/bin/prepare")},
		{zfsRoot, "rollback-root", unsure, runs("rollback-root")},
		{zfsRoot, ". /nix/store/x.sh", unsure, hookName + " reads /nix/store/x.sh, whose text is not seen"},
		{zfsRoot, `source "$DIR/x.sh"`, unsure, hookName + " reads a file that only the script knows, whose text is not seen"},
		{zfsRoot, "sh /nix/store/x.sh", unsure, runs("/nix/store/x.sh")},
		{zfsRoot, "echo zfs rollback rpool/local/root@blank | sh", unsure, runs("sh")},
		{zfsRoot, `sh -c "$TEXT"`, unsure, runs("sh with a text that only the script knows")},
		{zfsRoot, `eval "$TEXT"`, unsure, runs("eval of what only the script knows")},
		{zfsRoot, `retry() { "$@"; }; retry true`, unsure, unseen},
		{zfsRoot, "if [ -e /x ]; then\n  (cd / && exec /bin/rollback-root)\nfi", unsure, runs("/bin/rollback-root")},
		{zfsRoot, "x=$(/nix/store/x-get)", unsure, runs("/nix/store/x-get")},
		{zfsRoot, "chroot /mnt-root /bin/thing", unsure, runs("/bin/thing")},
		{zfsRoot, `awk 'BEGIN { system("zfs rollback a@b") }'`, unsure, runs("awk with commands of its own")},
		// N8: commands that are not written out, and those that can be told nevertheless.
		{zfsRoot, "$ZFS rollback -r rpool/local/root@blank", unsure, unseen},
		{zfsRoot, "ZFS=zfs; $ZFS rollback -r rpool/local/root@blank", yes, rolled},
		{zfsRoot, `CMD="zfs rollback -r"; $CMD rpool/local/root@blank`, yes, rolled},
		{zfsRoot, `P=rpool/local; D="$P/root"; zfs rollback -r "${D}@blank"`, yes, rolled},
		{zfsRoot, "D=rpool/other; read D; zfs rollback $D@blank", unsure, in("zfs rollback of something that only the script knows")},
		{zfsRoot, "D=rpool/a; D=rpool/b; zfs rollback $D@blank", unsure, in("zfs rollback of something that only the script knows")},
		{zfsRoot, "$extraUtils/bin/zfs rollback rpool/local/root@blank", yes, rolled},
		{zfsRoot, "for d in root var; do zfs rollback -r rpool/local/$d@blank; done", yes, rolled},
		{zfsRoot, "for d in {root,var}; do zfs rollback -r rpool/local/$d@blank; done", unsure, in("zfs rollback of something that only the script knows")},
		{zfsRoot, "for d in $(zfs list -H); do zfs rollback -r $d@blank; done", unsure, in("zfs rollback of something that only the script knows")},
		{zfsRoot, "zfs list -Ho name | xargs -n 1 zfs rollback", unsure, in("zfs rollback of something that only the script knows")},
		{zfsRoot, "echo rpool/local/root@blank | xargs -I{} zfs rollback {}", unsure, in("zfs rollback of something that only the script knows")},
		{zfsRoot, "f() { zfs rollback \"$1@blank\"; }\nf rpool/local/root", unsure, in("zfs rollback of something that only the script knows")},
		{zfsRoot, "env -i A=b timeout 5 zfs rollback rpool/local/root@blank", yes, rolled},
		{zfsRoot, "trap 'zfs rollback rpool/local/root@blank' EXIT", yes, rolled},
		{zfsRoot, `eval "zfs rollback rpool/local/root@blank"`, yes, rolled},
		{zfsRoot, `zfs rollback \` + "\n" + `  -r rpool/local/root@blank`, yes, rolled},
		// Other ways of ZFS, of whole pools and of what lies below.
		{zfsRoot, "zfs destroy -r rpool/local", yes, hookName + " throws away rpool/local and all below it"},
		{zfsRoot, "zfs rename rpool/local rpool/old", yes, hookName + " throws away rpool/local and all below it"},
		{zfsRoot, "zfs destroy -R rpool/local/root", yes, rolled},
		{zfsRoot, "zfs receive -F rpool/local/root < /blank", yes, rolled},
		{zfsRoot, "zfs recv -d rpool < /blank", unsure, in("zfs recv of what only the stream knows")},
		{zfsRoot, "zfs program rpool x.lua", unsure, in("zfs program")},
		{zfsRoot, "zpool destroy rpool", unsure, in("zpool destroy")},
		{zfsRoot, "zpool import --rewind-to-checkpoint rpool", unsure, in("zpool import --rewind-to-checkpoint")},
		// Btrfs, abbreviated and with options.
		{btrfsRoot, lines("mount /dev/vg/root /mnt", "btrfs sub del /mnt/root", "btrfs sub snap /mnt/blank /mnt/root"), yes, anew},
		{btrfsRoot, lines("mount /dev/vg/root /mnt", "btrfs su snapshot /mnt/blank /mnt/root"), yes, anew},
		{btrfsRoot, lines("mount /dev/vg/root /mnt", "btrfs -q subvolume snapshot /mnt/blank /mnt/root"), yes, anew},
		{btrfsRoot, lines("mount /dev/vg/root /mnt", "btrfs --log quiet sub -v c /mnt/root"), yes, anew},
		{btrfsRoot, lines("mount /dev/vg/root /mnt", "btrfs subvolume set-default 5 /mnt"), unsure, in("btrfs subvolume set-default")},
		{btrfsRoot, lines("mount /dev/vg/root /mnt", "mv /mnt/root /mnt/old-$(date +%s)"), yes, anew},
		{btrfsRoot, `btrfs subvolume delete "$1"`, unsure, in("btrfs subvolume delete at a place that only the script knows")},
		{btrfsRoot, "btrfs receive /mnt", unsure, in("btrfs receive")},
		// Other storage.
		{diskRoot, "bcachefs subvolume snapshot /mnt/blank /mnt/root", unsure, in("bcachefs subvolume")},
		{diskRoot, "bcachefs format /dev/vda1", yes, formatted},
		{diskRoot, "lvconvert --merge vg/blank", unsure, runs("lvconvert")},
		{diskRoot, "lvm lvconvert --merge vg/blank", unsure, in("lvm lvconvert")},
		{diskRoot, "dd if=/blank.img of=/dev/vda1", yes, formatted},
		{diskRoot, `dd if=/blank.img of="$ROOT"`, unsure, in("dd to a device that only the script knows")},
		{diskRoot, "cat /blank.img > /dev/vda1", yes, formatted},
		{diskRoot, "cp /blank.img /dev/vda1", yes, formatted},
		{diskRoot, "wipefs -af /dev/vda1", yes, formatted},
		{diskRoot, "cryptsetup luksFormat /dev/vda1 /key", yes, formatted},
		{diskRoot, "mkfs.ext4 /dev/$DISK", unsure, in("mkfs.ext4 of a device that only the script knows")},
		{diskRoot, "dmsetup create cow --table x", unsure, in("dmsetup create")},
		{diskRoot, lines("mount /dev/vda1 /mnt", "rm -rf /mnt/*"), unsure, in("rm of a tree that may be mounted later")},
		{diskRoot, lines("mount /dev/vda1 /tmp/x", "rm -rf /tmp/x/var"), unsure, in("rm of a tree that may be mounted later")},
		{diskRoot, "find /mnt-root -mindepth 1 -exec rm -rf {} +", unsure, in("rm of a tree that may be mounted later")},
		{diskRoot, "mv /mnt-root/var /mnt-root/old", unsure, in("mv of a tree that may be mounted later")},
		{diskRoot, "rsync -a --delete /blank/ /mnt-root/", unsure, in("rsync that may delete")},
		{diskRoot, "mount -t tmpfs none /mnt-root", unsure, in("mount at /mnt-root")},
		{diskRoot, "mount -t overlay overlay -o lowerdir=/a,upperdir=/b /mnt-root/var", unsure, in("mount at /mnt-root/var")},
		// What cannot be parsed.
		{zfsRoot, "if zfs destroy (", unsure, "the text of " + hookName + " cannot be parsed as a shell script"},
	} {
		t.Run(tc.script, func(t *testing.T) {
			require.Equal(t, aggregate.RootState{Wiped: tc.want, By: tc.by}, rootOf(tc.root, initrdHook("postDeviceCommands", tc.script)))
		})
	}
}

// What ordinary hosts run in their initial ramdisk wipes nothing.
func TestWhatWipesNothing(t *testing.T) {
	for _, script := range []string{
		lines(`FORCE=""`, `for o in $(cat /proc/cmdline); do`, `  case $o in x) FORCE="-f" ;; esac`, `done`,
			`ready() { state="$("zpool" import -d "/dev" | "awk" "/pool/ { print \$2; exit }")"; [[ "$state" = ONLINE ]]; }`,
			"if ! ready rpool; then", "  for try in `seq 1 60`; do", `    ready rpool && msg="$(zpool import -N $FORCE rpool 2>&1)" && break; sleep 1; echo -n .`, "  done", "fi", "zfs load-key -a"),
		lines(`die() { echo "$@" >&2; exit 1; }`, `open() { local secs="${1:-10}"; echo -n "$pass" | cryptsetup luksOpen /dev/vda2 root --key-file=- ; }`,
			"mkdir -p /crypt-ramfs", "mount -t ramfs none /crypt-ramfs", "stty -echo", "IFS= read -t 1 -r pass", "open 5 || die no", "rm -f /crypt-ramfs/pass", "umount /crypt-ramfs 2>/dev/null"),
		"btrfs device scan", "btrfs dev scan; btrfs fi show; btrfs sub list /mnt; btrfs subvolume show /mnt; btrfs -q sub get-default /",
		"lvm vgchange -ay; vgchange -ay; dmsetup ls; mdadm --assemble --scan",
		"multipathd -s\n(set -x && sleep 1 && multipath -ll)",
		"ip link set dev eth0 up; udhcpc --quit --now -i eth0 --script /nix/store/x-udhcpc", "/bin/sshd -e", "pkill -x sshd",
		lines("mkdir -p /mnt-root/persist/var", "mountFS /mnt-root/persist/var /var bind none", "mount --bind /mnt-root/a /mnt-root/b", "mount -t tmpfs none /mnt-root/tmp"),
		"kbd_mode -u -C /dev/console\nprintf '%%G' >> /dev/console\nloadkmap < /nix/store/x-keymap\nsetfont -C /dev/console $extraUtils/share/font.psf",
		"plymouthd --mode=boot --pid-file=/run/plymouth/pid\nplymouth update-root-fs --new-root-dir=\"$targetRoot\"",
		"dd if=/dev/random bs=1 count=1 2>/dev/null | od -An; dd if=/key of=/crypt-ramfs/key; cat x > /dev/null; wipefs /dev/sda; wipefs -n /dev/sda",
		"zpool import -a; zfs list -t snapshot; zfs get all rpool; zfs snapshot rpool/local/root@boot; zfs mount -a; zfs set readonly=on rpool",
		"while ! [ -e /dev/disk/by-label/x ]; do sleep 1; done; udevadm settle; modprobe zfs; command -v zfs; [ -e /a* ]",
		"bcachefs unlock /dev/sda; fsck.ext4 -p /dev/sda1; e2fsck -p /dev/sda1; echo c > /proc/sysrq-trigger",
		"waitDevice /dev/sda; info hello; fail", "btrfs subvolume snapshot -r /mnt/a /mnt/b", "# /nix/store/x-wipe\n", "echo /nix/store/x-wipe; : $(< /proc/cmdline)",
	} {
		t.Run(script, func(t *testing.T) {
			require.Equal(t, aggregate.RootState{Wiped: no, By: "it is zfs on rpool/local/root and nothing that is read wipes it"},
				rootOf(fileSystem("/", "rpool/local/root", "zfs"), initrdHook("postDeviceCommands", script)))
		})
	}
}

func TestWipesOfServices(t *testing.T) {
	for _, tc := range []struct {
		service, text string
		want          stateward.TierState
	}{
		{"prepare", "/nix/store/abc-rollback/bin/rollback", unsure},
		{"prepare", "/bin/rollback-root", unsure},
		{"prepare", "/nix/store/x-thing", unsure},
		{"prepare", "zfs rollback rpool/local/root@blank", yes},
		{"reset-fs", "/nix/store/x-script", unsure},
		{"initrd-rollback", "/nix/store/x-script", unsure},
		{"systemd-wipe", "/nix/store/x-script", unsure},
		// A service of NixOS: what it runs need not be understood, a wipe in it is one.
		{"zfs-import-rpool", "/nix/store/x-import", no},
		{`"systemd-cryptsetup@root"`, "/nix/store/x/systemd-cryptsetup attach root", no},
		{"initrd-nixos-activation", "closure=x\nexec chroot /sysroot $closure/prepare-root", no},
		{"openvpn", "/nix/store/x/bin/openvpn /etc/initrd.ovpn", no},
		{"initrd-cleanup", "/nix/store/x-cleaner", unsure},
		{"zfs-import-rpool", "zfs rollback rpool/local/root@blank", yes},
		{"zfs-import-rpool", "/nix/store/x-wipe-root", unsure},
		{"zfs-import-rpool", `zfs rollback "$x"`, unsure},
		{`units."x.service"`, "/nix/store/x-thing", unsure},
	} {
		t.Run(tc.service+" "+tc.text, func(t *testing.T) {
			hook := "systemd.services." + tc.service
			if strings.HasPrefix(tc.service, "units.") {
				hook = "systemd." + tc.service
			}
			got := rootOf(fileSystem("/", "rpool/local/root", "zfs"), systemdInitrd(true), initrdHook(hook, tc.text))
			require.Equal(t, tc.want, got.Wiped, got.By)
		})
	}
}

func TestVolatileRoot(t *testing.T) {
	disk := fileSystem("/", "/dev/vda1", "ext4")
	params := func(ps ...string) part {
		return func(h *stateward.Host) { h.Initrd.KernelParams = known(ps) }
	}
	for _, tc := range []struct {
		name  string
		parts []part
		want  stateward.TierState
		by    string
	}{
		{"yes", []part{systemdInitrd(true), params("quiet", "systemd.volatile=yes")}, yes, "boot.kernelParams has systemd.volatile=yes"},
		{"overlay", []part{systemdInitrd(true), params("quiet systemd.volatile=overlay")}, yes, "boot.kernelParams has systemd.volatile=overlay"},
		{"without a value", []part{systemdInitrd(true), params("systemd.volatile")}, yes, "boot.kernelParams has systemd.volatile=yes"},
		{"the last one counts", []part{systemdInitrd(true), params("systemd.volatile=yes", "systemd.volatile=no")}, no, "it is ext4 on /dev/vda1 and nothing that is read wipes it"},
		{"state", []part{systemdInitrd(true), params("systemd.volatile=state")}, no, "it is ext4 on /dev/vda1 and nothing that is read wipes it"},
		{"another kind of initrd", []part{systemdInitrd(false), params("systemd.volatile=yes")}, unsure, "boot.kernelParams has systemd.volatile=yes, and it is not known whether this kind of initrd heeds it"},
		{"no value that is known", []part{params("systemd.volatile=perhaps")}, unsure, "boot.kernelParams has systemd.volatile=perhaps, which is not understood"},
		{"unknown", []part{func(h *stateward.Host) { h.Initrd.KernelParams = unknown[[]string]("boot.kernelParams") }}, unsure, "what the kernel is told of the root is unknown: boot.kernelParams: it throws"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.Equal(t, aggregate.RootState{Wiped: tc.want, By: tc.by}, rootOf(append(tc.parts, disk)...))
		})
	}
	h := host(disk, systemdInitrd(true), params("systemd.volatile=state"))
	require.Equal(t, stateward.TierResult{State: no, By: "systemd.volatile=state of boot.kernelParams is a tmpfs"}, rebootOf(t, h, "/var/lib/app"))
	require.Equal(t, yes, rebootOf(t, host(disk, systemdInitrd(true), params("systemd.volatile=state")), "/srv/app").State)
}

func FuzzWipes(f *testing.F) {
	for _, s := range []string{readmeWipe, "for a in b; do $a $a; done", `a=$b; b=$a; "$a"`, "x='y z'; $x{1,2}*", "btrfs -", "sh -c 'sh -c \"x\"'", "find -exec {} ;", "xargs", "()\x1c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, script string) {
		parts := []part{fileSystem("/", "rpool/local/root", "zfs"), initrdHook("postDeviceCommands", script)}
		one := rootOf(parts...)
		// A second command that wipes the root is never outweighed.
		require.Equal(t, yes, rootOf(append(parts, initrdHook("postResumeCommands", "zfs rollback rpool/local/root@blank"))...).Wiped, one.By)
	})
}

func TestIgnoredWipes(t *testing.T) {
	zfsRoot := fileSystem("/", "rpool/local/root", "zfs")
	const rollback = "zfs rollback -r rpool/local/root@blank"
	for _, tc := range []struct {
		name  string
		parts []part
		want  []string
	}{
		{"P9 hook under the systemd initrd", []part{systemdInitrd(true), initrdHook("postDeviceCommands", rollback)}, []string{"boot.initrd.postDeviceCommands would wipe, and the systemd initrd never runs it: what nobody persisted is still there after the next boot"}},
		{"P9 service without it", []part{systemdInitrd(false), initrdHook("systemd.services.x", rollback)}, []string{"boot.initrd.systemd.services.x would wipe, and the scripted initial ramdisk never runs it: what nobody persisted is still there after the next boot"}},
		{"P9 program that is named for it", []part{systemdInitrd(true), initrdHook("postDeviceCommands", "/nix/store/x-wipe-root")}, []string{"boot.initrd.postDeviceCommands would wipe, and the systemd initrd never runs it: what nobody persisted is still there after the next boot"}},
		{"P9 another program", []part{systemdInitrd(true), initrdHook("postDeviceCommands", "/nix/store/x-thing; $cmd")}, nil},
		{"P9 both kinds", []part{systemdInitrd(true), initrdHook("postDeviceCommands", rollback), initrdHook("systemd.services.x", rollback)}, nil},
		{"P9 stock hook", []part{systemdInitrd(true), initrdHook("postDeviceCommands", "zpool import -a")}, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			for _, d := range aggregate.Lint(aggregate.Input{Host: host(append(tc.parts, zfsRoot)...)}).Findings {
				if d.Code == "SW116" {
					got = append(got, d.Message)
				}
			}
			require.Equal(t, tc.want, got)
		})
	}
}

// N8: a root of which no device is named is on no pool that could be compared, and in doubt all the same.
func TestUnreadWipeOfUnnamedRoot(t *testing.T) {
	unnamed := mounted("/", "", "ext4")
	unnamed.Device = stateward.Value[string]{}
	h := with(kept[1:], changedFS(unnamed, func(*stateward.FileSystem) {}), initrdHook("postDeviceCommands", "zfs rollback -r $DS"), service("a", "/a"))
	r := aggregate.Lint(aggregate.Input{Host: h})
	require.Equal(t, stateward.SurvivalUnknown, r.Root.Wiped, r.Root.By)
	require.Equal(t, stateward.SurvivalUnknown, r.Survival[0].Tiers[stateward.TierReboot].State)
}
