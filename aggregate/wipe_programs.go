package aggregate

import (
	"slices"
	"strings"
)

// wipeWords hint at a wipe where the text itself is not read.
var wipeWords = []string{
	"rollback", "roll-back", "wipe", "erase", "blank", "impermanen", "ephemeral", "stateless", "subvol", "mkfs", "blkdiscard", "reset", "restore", "clean", "delete",
	"destroy", "purge", "nuke", "snapshot", "fresh", "pristine", "amnesi",
}

func mentionsWipe(s string) bool {
	s = strings.ToLower(s)
	return slices.ContainsFunc(wipeWords, func(w string) bool { return strings.Contains(s, w) })
}

// set makes a set of the words of a text.
func set(text string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(text) {
		m[w] = true
	}
	return m
}

// harmless are programs that wipe nothing, whatever their arguments: shell builtins, the tools of an
// initial ramdisk, and the functions that stage-1-init.sh of NixOS gives to hooks.
var harmless = set(`
	: [ [[ bg break caller cd continue declare disown echo exit export false fg getopts hash help jobs kill let local logout mapfile popd printf
	pushd pwd read readarray readonly return set shift shopt test times true type typeset ulimit umask unalias unset wait
	awk base32 base64 basename cat chattr chgrp chmod chown cksum clear cmp column comm cut date df diff dirname dmesg du egrep expr false fgrep file fmt fold
	free getent getfacl getfattr getopt grep gunzip gzip gawk head hexdump hostname id install jq join killall ln logger ls lsattr lsof mawk md5sum
	mkdir mkfifo mknod mktemp mountpoint nl nproc numfmt od paste pgrep pidof pkill printenv ps readlink realpath rev rmdir sed seq setfacl setfattr
	sha1sum sha256sum sha512sum sleep sort sponge stat strings stty sync tac tail tee touch tr tty uname uniq unxz unzip uptime usleep wc which who whoami xxd xz yes zcat zstd cp
	beep chvt deallocvt dumpkmap fbset fgconsole kbd_mode loadfont loadkeys loadkmap setfont setleds showkey
	blkid blockdev depmod findfs findmnt fuser hwclock insmod losetup lsblk lsmod lspci lsusb modinfo modprobe partprobe partx rmmod swapoff swapon mkswap umount
	sysctl udevadm udevd systemd-udevd vdev_id zvol_id
	btrfsck dumpe2fs e2fsck e2label fatlabel fsck growpart hdparm nvme resize2fs sedutil-cli smartctl tune2fs xfs_admin xfs_growfs xfs_info xfs_repair zdb zgenhostid zstreamdump
	iscsiadm iscsid iscsistart lvchange lvdisplay lvextend lvs lvscan mdmon multipath multipathd pvck pvdisplay pvs pvscan vgchange vgcfgbackup vgdisplay vgimport
	vgmknodes vgs vgscan dmeventd dmraid vdo thin_check cache_check mount.fuse
	clevis cryptsetup-askpass fido2luks gpg gpg-agent gpgconf keyctl luksmeta openssl openssl-wrap pbkdf2-sha512 pcscd scdaemon systemd-cryptenroll
	systemd-cryptsetup tang unl0kr buffyboard veritysetup ykchalresp ykinfo tpm2 tpm2_unseal tpm2_load tpm2_nvread tpm2_pcrread tpm2_createprimary tpm2_startauthsession
	tpm2_policypcr tpm2_flushcontext tpm2_pcrextend
	arping brctl bridge curl dhcpcd dhclient dnsmasq dropbear dropbearkey ethtool host ifconfig ip ipconfig iptables iw iwctl iwd nc ncat nslookup ntpd openvpn ping route socat ssh-keygen sshd
	tailscale tailscaled udhcpc vconfig wg wget wg-quick wpa_cli wpa_passphrase wpa_supplicant zerotier-one chronyd
	halt journalctl kexec loginctl pivot_root plymouth plymouthd poweroff reboot shutdown switch_root systemctl systemd-ask-password systemd-cat systemd-detect-virt
	systemd-escape systemd-modules-load systemd-notify systemd-reply-password systemd-sysctl systemd-tty-ask-password-agent systemd-vconsole-setup
	bluetoothctl haveged jitterentropy-rngd rngd
	checkFS fail info makeMountPoint mountFS preFailCommands specialMount waitDevice warn
`)

// wrappers run the program that stands among their arguments; the number of
// operands before it is told.
var wrappers = map[string]int{
	"exec": 0, "env": 0, "nice": 0, "ionice": 0, "nohup": 0, "setsid": 0, "time": 0, "timeout": 0, "command": 0, "builtin": 0, "busybox": 0, "toybox": 0,
	"chroot": 1, "xargs": 0, "stdbuf": 0, "flock": 1, "unshare": 0, "nsenter": 0, "systemd-run": 0, "systemd-inhibit": 0, "chrt": 0, "taskset": 0, "sudo": 0,
}

// verbs are the harmless subcommands of programs that also have others.
var verbs = map[string]map[string]bool{
	"zfs": set(`list get load-key unload-key mount unmount umount share unshare snapshot snap hold holds release bookmark diff send set inherit create allow
		unallow userspace groupspace projectspace version upgrade change-key wait help redact promote`),
	"zpool": set(`import export status list get set online offline clear scrub resilver trim wait sync upgrade version history events iostat attach add replace reopen initialize
		checkpoint help prefetch`),
	"bcachefs": set("unlock mount fsck show-super list list_journal version device fs data set-fs-option help"),
	"dmsetup":  set("ls info status table deps mknodes version targets udevcookies udevcomplete udevcomplete_all help rename resume wait"),
	"lvm": set(`vgchange vgscan vgs vgdisplay vgmknodes vgimport vgcfgbackup pvscan pvs pvdisplay pvck lvscan lvs lvdisplay lvchange lvextend version help lvmdiskscan
		lvmconfig config dumpconfig fullreport`),
	"btrfs": set("filesystem device check scrub balance property inspect-internal quota qgroup rescue send help version"),
	"cryptsetup": set(`open luksOpen plainOpen loopaesOpen tcryptOpen bitlkOpen create close luksClose remove plainClose status isLuks luksDump luksUUID resize luksAddKey luksChangeKey
		luksConvertKey luksRemoveKey luksKillSlot luksHeaderBackup luksSuspend luksResume config token convert repair benchmark tcryptDump bitlkDump fvault2Dump`),
}

// stockServices are the services that NixOS itself has in its initial ramdisk; a
// trailing star stands for any rest.
var stockServices = strings.Fields(`
	initrd-cleanup initrd-find-etc initrd-find-nixos-closure initrd-nixos-activation initrd-nixos-copy-secrets initrd-parse-etc initrd-switch-root
	initrd-udevadm-cleanup-db find-nixos-closure panic-on-fail rw-etc backdoor emergency rescue dbus dbus-broker kmod-static-nodes modprobe@* multipathd
	mdmonitor mdmonitor@* mdadm* lvm2-* lvm-* sshd openvpn rngd nscd network* systemd-* plymouth-* zfs-import-* zfs-load-key* cryptsetup-clevis-* clevis-*
	unlock-bcachefs-* stratis-setup-* stratisd-min unl0kr-* console-getty getty@* serial-getty@* debug-shell quotaon iscsi* iscsid resume kbd* vconsole* reload-systemd-vconsole-setup
`)

// stockService tells whether a command belongs to a service that NixOS itself declares: it need not be
// wholly understood. A name that speaks of a wipe is only taken for one that is written out.
func stockService(hook string) bool {
	name, ok := strings.CutPrefix(hook, "systemd.services.")
	if !ok {
		if name, ok = strings.CutPrefix(hook, "systemd.units."); !ok {
			return false
		}
	}
	name = strings.TrimSuffix(strings.Trim(name, `"`), ".service")
	for _, s := range stockServices {
		if prefix, any := strings.CutSuffix(s, "*"); name == s || any && strings.HasPrefix(name, prefix) && !mentionsWipe(name) {
			return true
		}
	}
	return false
}
