package aggregate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var sw118 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW118", Title: "the host forgets who it is", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"P12"},
		Doc: doc(`
The root is wiped at every boot, and with it goes what makes the host itself:

- **Keys that decrypt its secrets** (` + "`sops.age.sshKeyPaths`, `sops.age.keyFile`, `age.identityPaths`" + `). At the next boot sops-nix or
  agenix decrypts nothing, and every service that reads a secret fails: an error. The same happens where the key is
  persisted and not there yet: secrets are decrypted by the activation script, before a persisted directory such as
  ` + "`/etc/ssh`" + ` is mounted. Name the key where it is stored then, ` + "`/persist/etc/ssh/ssh_host_ed25519_key`" + `.
- **SSH host keys** (` + "`services.openssh.hostKeys`" + `). sshd makes new ones at the next boot, and every client refuses to connect
  because the host has changed.
- **The machine-id**. The host gets a new one at the next boot: journalctl no longer finds the journals of earlier boots, and a
  DHCP server takes it for another machine. It is quiet where ` + "`systemd.machine_id=`" + ` stands in ` + "`boot.kernelParams`" + `.
- **/var/lib/systemd**. Timers with ` + "`Persistent = true`" + ` forget when they last ran, so that a backup that was missed while the
  host was off is not made up for: a warning. Without such timers, those for renewals and cleaning left aside, only the random seed, rfkill and backlight are lost, which
  is worth an info.

What a script of ` + "`system.activationScripts`" + ` names may be restored by it: a file by its name, or its directory in a script that copies. What the
script does is not read, so that it cannot be told: a warning.

Where several keys decrypt the secrets and one of them survives, a lost one is a warning. ` + "`/var/lib/nixos`" + ` has a check of its own, SW110.
A host on which nothing at all is kept, such as an installation medium, is meant so: there all of it is info. It has no
persistence root, not even one that is switched off, no key for secrets, and no normal user but ` + "`nixos`" + `.

Mend it by persisting them:

` + "```nix" + `
environment.persistence."/persist".files = ["/etc/machine-id" "/etc/ssh/ssh_host_ed25519_key" "/etc/ssh/ssh_host_ed25519_key.pub"];
environment.persistence."/persist".directories = ["/var/lib/systemd"];
sops.age.sshKeyPaths = ["/persist/etc/ssh/ssh_host_ed25519_key"];
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		out := f.secretKeysLost()
		said := map[string]bool{}
		for _, d := range out {
			for _, r := range f.own.secretKeys {
				said[r.path] = said[r.path] || d.Severity == stateward.SeverityError && r.reboot.State == stateward.SurvivalNo
			}
		}
		out = append(out, f.hostKeysLost(said)...)
		out = append(out, f.machineIDLost()...)
		out = append(out, f.systemdLost()...)
		if f.keepsNothing() {
			for i := range out {
				out[i].Severity = stateward.SeverityInfo
			}
		}
		return append(out, f.hostInDoubt()...)
	},
}

// isLost tells whether a row is there and surely lost.
func (r *stateRow) isLost() bool {
	return r != nil && r.state.Problem == nil && r.reboot.State == stateward.SurvivalNo
}

// decryptors are what decrypts secrets, by the first name of the option that gives them their keys.
var decryptors = []struct{ option, name, unit string }{
	{"sops", "sops-nix", "sops-install-secrets.service"},
	{"age", "agenix", "agenix-install-secrets.service"},
}

// secretKeysLost speaks of the keys that decrypt the host's secrets. As long as one of them is there, it is not known
// which of them is needed.
func (f *facts) secretKeysLost() []stateward.Diagnostic {
	var out []stateward.Diagnostic
	for _, by := range decryptors {
		var lost, late []*stateRow
		why := ""
		others := false
		var doubts []string
		for _, r := range f.own.secretKeys {
			if name, _, _ := strings.Cut(r.state.Origin.Option, "."); name != by.option {
				continue
			}
			switch {
			case r.isLost():
				lost = append(lost, r)
			case r.state.Problem == nil && r.reboot.State == stateward.SurvivalYes && f.late(r.state, by.option, by.unit) != "":
				late = append(late, r)
				why = firstText(why, f.late(r.state, by.option, by.unit))
			case r.state.Problem == nil && r.reboot.State != stateward.SurvivalUnknown:
				others = true
			case r.state.Problem == nil:
				doubts = addSorted(doubts, r.path)
			case notRead(r.state.Problem):
				doubts = addSorted(doubts, r.state.Origin.Option)
			}
		}
		if len(lost)+len(late) == 0 || others && len(lost) == 0 {
			continue
		}
		none := "it decrypts none"
		if len(doubts) > 0 {
			none = fmt.Sprintf("it decrypts none, unless %s is there, which cannot be told", some(doubts))
		}
		gone := slices.Concat(lost, late)
		d := finding(gone[0].state.Origin)
		d.Path = gone[0].path
		var paths []string
		for _, r := range gone {
			paths = addSorted(paths, r.path)
		}
		d.Covers = coveringRows("", gone)
		is := pick(len(paths), "is", "are")
		switch {
		case others:
			paths = nil
			var unsaid []*stateRow
			for _, r := range lost {
				if !slices.ContainsFunc(f.own.hostKeys, func(k *stateRow) bool { return k.path == r.path }) {
					paths = addSorted(paths, r.path)
					unsaid = append(unsaid, r)
				}
			}
			d.Covers = coveringRows("", unsaid)
			if len(paths) == 0 {
				continue // they are said among the host keys
			}
			d.Path = paths[0]
			d.Message = fmt.Sprintf("%s %s gone at the next boot, and %s then decrypts only what other keys can: %s", some(paths), pick(len(paths), "is", "are"), by.name, lost[0].reboot.By)
			d.Hint = f.persistLine(stateward.File, paths...)
		case len(lost) > 0:
			d.Severity = stateward.SeverityError
			d.Message = fmt.Sprintf("%s %s gone when %s decrypts the host's secrets at the next boot, and %s: %s", some(paths), is, by.name, none, lost[0].reboot.By)
			d.Hint = f.persistLine(stateward.File, paths...) + f.keyHint(lost[0].state)
		default:
			d.Severity = stateward.SeverityError
			d.Message = fmt.Sprintf("%s %s not there yet when %s decrypts the host's secrets at the next boot, and %s: %s", some(paths), is, by.name, none, why)
			d.Hint = strings.TrimPrefix(f.keyHint(late[0].state), " and ")
		}
		out = append(out, d)
	}
	return out
}

func pick(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// keyHint says to name a key where it is stored.
func (f *facts) keyHint(sp *stateward.StatePath) string {
	option, _, _ := strings.Cut(sp.Origin.Option, "[")
	at := "/persist"
	for q := range sp.Path.Ancestors() {
		if es := f.persisted[q]; len(es) > 0 {
			at = es[0].entry.Rare().Storage.Or(es[0].root.path).String()
			break
		}
	}
	if r, ok := f.systemRoot(); ok && at == "/persist" {
		at = r.path.String()
	}
	value := nixString(at + sp.Path.String())
	if strings.Contains(sp.Origin.Option, "[") {
		value = "[ " + value + " ]"
	}
	return fmt.Sprintf(" and %s = %s;", option, value)
}

// late says why a file that survives is not there yet when the activation script runs, as far as that is sure. Where
// a unit decrypts instead, it waits for what is mounted.
func (f *facts) late(sp *stateward.StatePath, option, unit string) string {
	units, ok := f.host.Units.Get()
	if !ok || f.root.Wiped != stateward.SurvivalYes || slices.ContainsFunc(units, func(u stateward.Unit) bool { return u.Name == unit }) {
		return ""
	}
	for q := range sp.Path.Ancestors() {
		if q == stateward.Root || slices.Contains(alwaysNeeded, q.String()) {
			return ""
		}
		if es := f.persisted[q]; len(es) > 0 {
			return f.entryLate(es[0], q, sp, option)
		}
		if ms := f.mounts[q]; len(ms) > 0 {
			m := ms[0]
			if m.doubt != "" || f.leftOut(m) != "" || m.option == "fileSystems" && (mountedInInitrd(m) || m.fs.NeededForBoot.IsUnknown()) {
				return ""
			}
			return m.by + " is mounted after the activation script has run"
		}
	}
	return ""
}

// entryLate is late for what a persisted entry at q holds.
func (f *facts) entryLate(e persisted, q stateward.AbsPath, sp *stateward.StatePath, option string) string {
	switch {
	case e.root.Module != "" && e.root.Module != stateward.Impermanence:
		return ""
	case e.entry.Kind == stateward.File && (q != sp.Path || option != "age"):
		return "" // it is there before sops-nix is, which comes later in the alphabet
	case e.entry.Kind == stateward.File:
		return fmt.Sprintf("%s persists the file only after agenix has run", e.root.by)
	case f.mountedLate(q):
		return fmt.Sprintf("the persisted %s is mounted after the activation script has run", q)
	default:
		return ""
	}
}

// mountedLate tells whether the bind mount of a persisted directory is declared, and is none that the initial
// ramdisk makes.
func (f *facts) mountedLate(p stateward.AbsPath) bool {
	if f.boundEarly(p) {
		return false
	}
	at := func(fs stateward.FileSystem) bool { return fs.MountPoint.Problem == nil && fs.MountPoint.Path == p }
	return slices.ContainsFunc(f.host.FileSystems.Or(nil), at) || slices.ContainsFunc(f.host.Mounts.Or(nil), at)
}

func (f *facts) hostKeysLost(said map[string]bool) []stateward.Diagnostic {
	var lost []*stateRow
	var files []string
	for _, r := range f.own.hostKeys {
		if r.isLost() && !said[r.path] && !slices.Contains(files, r.path) {
			lost = append(lost, r)
			files = append(files, r.path, r.path+".pub")
		}
	}
	if len(lost) == 0 {
		return nil
	}
	d := finding(lost[0].state.Origin)
	d.Service, d.Path = "openssh", lost[0].path
	d.Covers = coveringRows("openssh", lost)
	var paths []string
	for _, r := range lost {
		paths = append(paths, r.path)
	}
	d.Message = fmt.Sprintf("sshd makes new host keys at the next boot, and clients refuse the host as changed: %s %s gone: %s", some(paths), pick(len(paths), "is", "are"), lost[0].reboot.By)
	d.Hint = f.persistLine(stateward.File, files...)
	return []stateward.Diagnostic{d}
}

func (f *facts) machineIDLost() []stateward.Diagnostic {
	r := f.own.machine
	if !r.isLost() {
		return nil
	}
	d := f.atPersistence("files")
	d.Path = r.path
	d.Message = "the host gets a new machine-id at the next boot, with which journalctl finds no journal of an earlier boot and DHCP servers take it for another machine: " + r.reboot.By
	d.Hint = f.persistLine(stateward.File, r.path)
	return []stateward.Diagnostic{d}
}

func (f *facts) systemdLost() []stateward.Diagnostic {
	r := f.own.systemd
	at := f.atPersistence("directories")
	if t := f.own.timers; t.isLost() && len(f.own.missed) > 0 {
		at.Path = t.path
		at.Message = fmt.Sprintf("/var/lib/systemd/timers is gone at the next boot: what %s (Persistent=true) missed while the host was off is not made up for: %s", some(f.own.missed), t.reboot.By)
		at.Hint = f.persistLine(stateward.Directory, t.path)
		if r.isLost() {
			at.Hint = f.persistLine(stateward.Directory, r.path)
		}
		return []stateward.Diagnostic{at}
	}
	// Who persists some of it has chosen.
	if !r.isLost() {
		return nil
	}
	if n, _ := f.keptBelow(r.state.Path); n > 0 {
		return nil
	}
	at.Severity = stateward.SeverityInfo
	at.Path = r.path
	at.Message = "/var/lib/systemd is gone at the next boot, with the random seed, rfkill and backlight, and when timers last ran: " + r.reboot.By
	at.Hint = f.persistLine(stateward.Directory, r.path)
	return []stateward.Diagnostic{at}
}

// hostInDoubt says once for each reason what of the host's own may not survive. Where the whole root is in doubt, SW117
// says so.
func (f *facts) hostInDoubt() []stateward.Diagnostic {
	doubts := map[string][]string{}
	first := map[string]stateward.Origin{}
	scripted := map[string]bool{}
	members := map[string][]*stateRow{}
	for i := range f.own.rows {
		r := &f.own.rows[i]
		// SW110 speaks of the ids, SW119 of homes, SW112 of what is no path.
		if r.reboot.State != stateward.SurvivalUnknown || r.path == varLibNixos.String() || r.service == hostHomes || r.state.Problem != nil || f.rootSays(r.reboot) {
			continue
		}
		if o, ok := first[r.reboot.By]; !ok || o.Option == "" {
			first[r.reboot.By] = r.state.Origin
		}
		doubts[r.reboot.By] = addSorted(doubts[r.reboot.By], r.path)
		members[r.reboot.By] = append(members[r.reboot.By], r)
		if r.scripted {
			scripted[r.reboot.By] = true
		}
	}
	var out []stateward.Diagnostic
	for by, paths := range doubts {
		d := finding(first[by])
		if d.Subject == "" {
			d = f.atPersistence("files")
		}
		d.Path = paths[0]
		d.Covers = coveringRows("", members[by])
		d.Message = fmt.Sprintf("cannot tell whether %s %s a reboot: %s", some(paths), pick(len(paths), "survives", "survive"), by)
		d.Hint = doubtHint
		if scripted[by] {
			d.Hint = "nothing, if the script restores it; persisted as a file it would be plain to see"
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b stateward.Diagnostic) int { return cmp.Compare(a.Message, b.Message) })
	return out
}

// rootSays tells whether an answer is in doubt only because the root is: SW117 says that once.
func (f *facts) rootSays(r stateward.TierResult) bool {
	return r.State == stateward.SurvivalUnknown && f.root.Wiped == stateward.SurvivalUnknown && r.By == f.root.By
}
