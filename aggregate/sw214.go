package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var sw214 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW214", Title: "recursive rule of tmpfiles walks into snapshots", Severity: stateward.SeverityInfo, Since: "0.1", Traps: []string{"D9"},
		Doc: doc(`
A rule of tmpfiles that gives a whole tree its owner or mode (` + "`Z`" + `, and ` + "`H`, `T`, `A`" + ` alike) starts at or above the mount point of a dataset with
` + "`snapdir=visible`" + `. Its directory ` + "`.zfs`" + ` is then listed as any other, and systemd-tmpfiles walks into it: it fails on each file of each snapshot that has
been looked at since the boot, as snapshots are read-only, and a switch takes as long as there are files in them. So does ` + "`chown -R`" + `, which
mounts all of them.

Mend it by hiding the directory, where it can still be reached by name, or by a rule for the top only:

` + "```nix" + `
systemd.tmpfiles.rules = ["z /srv/media 0750 media media -"]; # and not Z
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		rules := f.host.Tmpfiles.Or(nil)
		for i := range rules {
			r := &rules[i]
			if r.At.Problem != nil || r.Type == "" || !strings.Contains("ZHTA", r.Type[:1]) {
				continue
			}
			if r.Type[0] == 'Z' && !r.At.HasOwner() {
				continue // it gives nothing
			}
			var names []string
			var first stateward.AbsPath
			for at, ms := range f.mounts {
				for _, m := range ms {
					name, visible := f.showsSnapshots(m)
					if !visible || !r.At.Path.Contains(at) || m.doubt != "" {
						continue
					}
					if first.IsZero() || compareText(at, first) < 0 {
						first = at
					}
					names = append(names, name)
				}
			}
			if len(names) == 0 {
				continue
			}
			slices.Sort(names)
			names = slices.Compact(names)
			d := finding(r.Origin)
			d.Path = first.String()
			d.Message = fmt.Sprintf("a rule of tmpfiles (%s) goes through all of %s, and so through the snapshots of %s, which snapdir=visible shows there", r.Type, r.At.Path, some(names))
			d.Hint = "give the top directory only its owner and mode (z), or leave snapdir hidden"
			out = append(out, d)
		}
		return out
	},
}

// showsSnapshots tells whether the top of what is mounted lists its .zfs, and the name of the dataset: a declaration of it says so, or
// the nearest one above that says anything.
func (f *facts) showsSnapshots(m mount) (name string, visible bool) {
	name = m.fs.Device.Or("")
	if m.zfs != nil {
		name = m.zfs.Name
	}
	for above := name; above != ""; {
		for _, d := range f.host.Datasets.Or(nil) {
			if d.Name != above || d.Asked {
				continue
			}
			if v, ok := d.Properties["snapdir"]; ok {
				return name, v.Or("") == "visible"
			}
		}
		i := strings.LastIndexByte(above, '/')
		if i < 0 {
			break
		}
		above = above[:i]
	}
	return name, false
}
