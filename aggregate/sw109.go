package aggregate

import (
	"fmt"
	"slices"

	"github.com/stateward/stateward"
)

var sw109 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW109", Title: "file system is not needed for boot and persistence depends on it", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"P6"},
		Doc: doc(`
A persistence root, or a directory into which persisted paths are mounted, lies on a file system that is not
` + "`neededForBoot`" + `. It is then mounted after the activation script has run: directories and files are created beneath
its mount point on the wiped root, and host keys and machine id are missing when they are first asked for.

The systemd initrd (` + "`boot.initrd.systemd.enable`" + `) goes by mount options, too: with ` + "`noauto`" + ` it leaves out what is needed for boot, and with ` + "`nofail`" + `
it does not wait for it and boots on without it (systemd.mount(5)). The older initrd of scripts heeds neither.

Impermanence asserts this for exact mount points only. A persistence root ` + "`/data/persist`" + ` on a file system mounted at
` + "`/data`" + ` slips through; it does not here.

A persistence root on a ZFS dataset that mounts itself, or on a mount unit, is mounted late too: neither can be needed
for boot. The dataset then gets ` + "`mountpoint=legacy`" + ` and an entry in ` + "`fileSystems`" + `.

Mend it:

` + "```nix" + `
fileSystems."/persist".neededForBoot = true;
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		said := map[stateward.AbsPath]bool{}
		report := func(at stateward.AbsPath, what string, storage bool) {
			if said[at] {
				return
			}
			ms := f.mounts[at]
			// A dataset or mount unit beside an entry of fileSystems is mounted by that.
			inFileSystems := slices.ContainsFunc(ms, func(m mount) bool { return m.option == "fileSystems" })
			for _, m := range ms {
				var d stateward.Diagnostic
				switch {
				case inFileSystems && m.option == "fileSystems" && f.lateness(m).why != "":
					d = f.lateFileSystem(m, what)
				case !inFileSystems && storage && m.option != initrdMounts:
					d = lateElse(m, what)
				default:
					continue
				}
				said[at] = true
				d.Path = at.String()
				out = append(out, d)
			}
		}
		for _, r := range f.roots {
			if at, ok := f.mountOf(r.path); ok && !r.session {
				report(at, "the persistence root "+r.path.String(), true)
			}
		}
		for _, e := range f.entries {
			if own, ok := e.Rare().Storage.Get(); ok {
				if at, ok := f.mountOf(own); ok {
					report(at, "the storage "+own.String()+" of the persisted path "+e.Text, true)
				}
			}
		}
		for _, e := range f.entries {
			if e.Problem != nil || e.root.session {
				continue
			}
			if at, ok := f.mountOf(e.Path.Parent()); ok {
				report(at, "the persisted path "+e.Path.String(), false)
			}
		}
		return out
	},
}

func (s *storage) lateFileSystem(m mount, what string) stateward.Diagnostic {
	late := s.lateness(m)
	d := finding(m.origin)
	d.Subject, d.Hint = late.subject, late.hint
	d.Message = fmt.Sprintf("%s holds %s and %s: at the next boot it is mounted too late", m.by, what, late.why)
	switch {
	case late.unknown:
		d.Severity = stateward.SeverityWarning
		d.Message = fmt.Sprintf("cannot tell whether %s, which holds %s, %s", m.by, what, late.why)
	case !late.surely:
		d.Severity = stateward.SeverityWarning
		d.Message = fmt.Sprintf("%s holds %s and %s: it may be mounted too late, or not at all", m.by, what, late.why)
	}
	return d
}

// lateElse speaks of what mounts itself or is mounted by a unit: both long after the activation script.
func lateElse(m mount, what string) stateward.Diagnostic {
	d := finding(m.origin)
	how := "is mounted by a unit"
	device, _ := m.fs.Device.Get()
	fsType, _ := m.fs.FSType.Get()
	d.Hint = "declare it in fileSystems instead: "
	if m.zfs != nil {
		how, device, fsType = "mounts itself", m.zfs.Name, "zfs"
		d.Hint = "give the dataset mountpoint=legacy and an entry in fileSystems: "
	}
	d.Message = fmt.Sprintf("%s holds %s and %s: at the next boot it is mounted too late", m.by, what, how)
	d.Hint += fmt.Sprintf("%s = { device = %s; fsType = %s; neededForBoot = true; };",
		stateward.OptionPath("fileSystems", m.at.String()), nixString(device), nixString(fsType))
	if m.doubt != "" {
		d.Severity = stateward.SeverityWarning
		d.Message = fmt.Sprintf("%s may hold %s, and %s, too late: %s", m.by, what, how, m.doubt)
	}
	return d
}
