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

Impermanence asserts this for exact mount points only. A persistence root ` + "`/data/persist`" + ` on a file system mounted at
` + "`/data`" + ` slips through; it does not here.

Mend it:

` + "```nix" + `
fileSystems."/persist".neededForBoot = true;
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		said := map[stateward.AbsPath]bool{}
		report := func(at stateward.AbsPath, what string, o stateward.Origin) {
			if said[at] {
				return
			}
			for _, m := range f.mounts[at] {
				if m.option != "fileSystems" || f.neededForBoot(at, m) {
					continue
				}
				said[at] = true
				d := finding(m.origin)
				d.Subject = m.by + ".neededForBoot"
				d.Path = at.String()
				d.Message = fmt.Sprintf("%s holds %s and is not needed for boot: it is mounted too late", m.by, what)
				if why, unknown := m.fs.NeededForBoot.Why(); unknown {
					d.Severity = stateward.SeverityWarning
					d.Message = fmt.Sprintf("cannot tell whether %s, which holds %s, is needed for boot: %s", m.by, what, why)
				}
				d.Hint = m.by + ".neededForBoot = true;"
				out = append(out, d)
			}
		}
		for _, r := range f.roots {
			if at, ok := f.mountOf(r.path); ok {
				report(at, "the persistence root "+r.path.String(), r.Origin)
			}
		}
		for _, e := range f.entries {
			if e.Problem != nil {
				continue
			}
			if at, ok := f.mountOf(e.Path.Parent()); ok {
				report(at, "the persisted path "+e.Path.String(), e.Origin)
			}
		}
		return out
	},
}

// alwaysNeeded mirrors pathsNeededForBoot of nixpkgs' nixos/lib/utils.nix: the file systems
// that are mounted in the initial ramdisk whatever their option says.
var alwaysNeeded = []string{"/", "/nix", "/nix/store", "/var", "/var/log", "/var/lib", "/var/lib/nixos", "/etc", "/usr"}

func (f *facts) neededForBoot(at stateward.AbsPath, m mount) bool {
	needed, _ := m.fs.NeededForBoot.Get()
	return needed || slices.Contains(alwaysNeeded, at.String())
}

// mountOf returns the mount point at or above p.
func (f *facts) mountOf(p stateward.AbsPath) (stateward.AbsPath, bool) {
	for q := p; ; q = q.Parent() {
		if len(f.mounts[q]) > 0 {
			return q, true
		}
		if q == stateward.Root {
			return stateward.AbsPath{}, false
		}
	}
}
