package aggregate

import (
	"fmt"
	"slices"

	"github.com/stateward/stateward"
)

var sw108 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW108", Title: "nested mount points have no order", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"P5", "D2"},
		Doc: doc(`
A ZFS dataset mounts itself (` + "`zfs-mount.service`" + `) above or below a mount point of ` + "`fileSystems`" + `. systemd orders the
entries of ` + "`fileSystems`" + ` among themselves by their paths, but knows nothing of the datasets: when the outer one is
mounted last, it hides the inner one, or ZFS refuses to mount over what was written beneath.

The same happens where the inner entry is ` + "`neededForBoot`" + ` and the outer is not: the inner one is mounted in the initial
ramdisk, and later the outer one over it.

A persisted directory is a mount too: a dataset that mounts itself below one may be hidden by it, and what is needed for boot below
one surely is, since the directories of Impermanence are mounted after the initial ramdisk.

Mend it by mounting both in the same way: ` + "`mountpoint=legacy`" + ` and an entry in ` + "`fileSystems`" + `, needed for boot both or neither.
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for at, ms := range f.mounts {
			if at == stateward.Root {
				continue
			}
			if e, ok := f.outerBind(at); ok {
				out = append(out, belowPersisted(e, at, ms)...)
				continue
			}
			outer, ok := f.outerMount(at)
			if !ok {
				continue
			}
			for _, m := range ms {
				d := finding(m.origin)
				d.Path = at.String()
				switch {
				case m.elsewhere:
					continue
				case (m.zfs == nil) != (outer.zfs == nil):
					d.Message = fmt.Sprintf("%s is mounted at %s below %s, and nothing orders the two at the next boot", m.by, at, outer.by)
					d.Hint = "mount both by fileSystems, the dataset with mountpoint=legacy"
				case m.zfs == nil && mountedInInitrd(m) && !outer.fs.NeededForBoot.IsUnknown() && !mountedInInitrd(outer):
					d.Message = fmt.Sprintf("%s is needed for boot and %s above it is not: the outer one is mounted later at the next boot and hides the inner", m.by, outer.by)
					d.Hint = outer.by + ".neededForBoot = true;"
				default:
					continue
				}
				out = append(out, d)
			}
		}
		return out
	},
}

// belowPersisted speaks of what is mounted below a persisted directory, which is a mount itself.
func belowPersisted(e persisted, at stateward.AbsPath, ms []mount) []stateward.Diagnostic {
	var out []stateward.Diagnostic
	for _, m := range ms {
		d := finding(m.origin)
		d.Path = at.String()
		switch needed, _ := m.fs.NeededForBoot.Get(); {
		case m.zfs != nil:
			d.Message = fmt.Sprintf("%s is mounted at %s below the persisted %s, and nothing orders the two at the next boot", m.by, at, e.entry.Path)
			d.Hint = "mount the dataset by fileSystems, with mountpoint=legacy"
		case needed:
			d.Message = fmt.Sprintf("%s is needed for boot and lies below the persisted %s, which is mounted later at the next boot and hides it", m.by, e.entry.Path)
			d.Hint = m.by + ".neededForBoot = false;"
		default:
			continue
		}
		out = append(out, d)
	}
	return out
}

// outerBind returns the persisted directory strictly above at that is bind-mounted after the initial ramdisk, where that is
// nearer than what is mounted otherwise.
func (f *facts) outerBind(at stateward.AbsPath) (persisted, bool) {
	for q := range at.Parent().Ancestors() {
		if es := f.persisted[q]; len(es) > 0 {
			e, rare := es[0], es[0].entry.Rare()
			late := !rare.InInitrd.Or(false) && !slices.Contains(alwaysNeeded, q.String()) && !f.boundEarly(q)
			return e, late && e.entry.Kind == stateward.Directory && rare.How.Or("bindmount") == "bindmount"
		}
		if len(f.mounts[q]) > 0 {
			break
		}
	}
	return persisted{}, false
}

// boundEarly tells whether fileSystems mounts a persisted directory, as older versions of Impermanence have it, and
// perhaps in the initial ramdisk.
func (f *facts) boundEarly(p stateward.AbsPath) bool {
	return slices.ContainsFunc(f.host.FileSystems.Or(nil), func(fs stateward.FileSystem) bool {
		needed, known := fs.NeededForBoot.Get()
		return fs.MountPoint.Problem == nil && fs.MountPoint.Path == p && (needed || !known && !fs.NeededForBoot.IsAbsent())
	})
}

// outerMount returns what is mounted nearest above at; the root is mounted
// before all else and does not count.
func (f *facts) outerMount(at stateward.AbsPath) (mount, bool) {
	for q := range at.Parent().Ancestors() {
		if ms := f.mounts[q]; len(ms) > 0 && q != stateward.Root {
			return ms[0], true
		}
	}
	return mount{}, false
}
