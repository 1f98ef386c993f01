package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
)

var sw108 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW108", Title: "nested mount points have no order", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"P5", "D2"},
		Doc: doc(`
A ZFS dataset mounts itself (` + "`zfs-mount.service`" + `) above or below a mount point of ` + "`fileSystems`" + `. systemd orders the
entries of ` + "`fileSystems`" + ` among themselves by their paths, but knows nothing of the datasets: when the outer one is
mounted last, it hides the inner one, or ZFS refuses to mount over what was written beneath.

Mend it by mounting both in the same way: ` + "`mountpoint=legacy`" + ` and an entry in ` + "`fileSystems`" + `.
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for at, ms := range f.mounts {
			if at == stateward.Root {
				continue
			}
			outer, ok := f.outerMount(at)
			if !ok {
				continue
			}
			for _, m := range ms {
				if (m.zfs == nil) == (outer.zfs == nil) {
					continue
				}
				d := finding(m.origin)
				d.Path = at.String()
				d.Message = fmt.Sprintf("%s is mounted at %s below %s, and nothing orders the two", m.by, at, outer.by)
				d.Hint = "mount both by fileSystems, the dataset with mountpoint=legacy"
				out = append(out, d)
			}
		}
		return out
	},
}

// outerMount returns what is mounted nearest above at; the root is mounted
// before all else and does not count.
func (f *facts) outerMount(at stateward.AbsPath) (mount, bool) {
	for q := at.Parent(); q != stateward.Root; q = q.Parent() {
		if ms := f.mounts[q]; len(ms) > 0 {
			return ms[0], true
		}
	}
	return mount{}, false
}
