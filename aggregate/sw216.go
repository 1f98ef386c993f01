package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

var sw216 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW216", Title: "unit relies on a mount unit that a dataset does not have", Severity: stateward.SeverityInfo, Since: "0.1", Traps: []string{"D2", "P5"},
		Doc: doc(`
A dataset that mounts itself has no mount unit: ` + "`zfs-mount.service`" + ` mounts all of them, before ` + "`local-fs.target`" + `.

A unit with ` + "`RequiresMountsFor=`" + ` on such a place requires nothing by that. Where the dataset is not mounted – its key is not loaded, something lies in its
directory, its pool came late – the unit starts all the same, and writes to the directory beneath.

It is a warning where the unit has ` + "`DefaultDependencies = false`" + ` and is ordered after nothing that comes after the mounts: it starts before them at every boot.

Nothing is said where the unit asks for the mount itself, or requires ` + "`zfs-mount.service`" + `, or where SW206 speaks of it.

Mend it:

` + "```nix" + `
systemd.services.postgresql.unitConfig.AssertPathIsMountPoint = "/var/lib/postgresql";
# or mountpoint=legacy, and
fileSystems."/var/lib/postgresql" = {
  device = "tank/postgresql";
  fsType = "zfs";
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		makers := map[string]map[string]bool{}
		for _, m := range datasetMakers {
			if f.hasUnit(m.unit) {
				makers[m.unit] = f.waiters(m.unit)
			}
		}
		needs := f.dataOf()
		units := f.host.Units.Or(nil)
		for i := range units {
			u := &units[i]
			if on, known := u.Enable.Get(); known && !on || slices.Contains(u.After.Or(nil), zfsMount) && slices.Contains(slices.Concat(u.Requires.Or(nil), u.BindsTo.Or(nil)), zfsMount) {
				continue
			}
			if u.MountAsserts.IsUnknown() || u.After.IsUnknown() {
				continue
			}
			early := f.beforeMounts(u, nil)
			relied := u.RequiresMountsFor.Or(nil)
			if early {
				relied = slices.Concat(relied, needs[u.Name])
			}
			said := map[stateward.AbsPath]bool{}
			for _, text := range relied {
				p, err := stateward.ParsePath(text)
				if err != nil {
					continue
				}
				at, m, ok := f.mountsItself(p)
				if !ok || said[at] || f.asserted(u, at) {
					continue
				}
				said[at] = true
				spoken := false // by SW206
				for maker, waits := range makers {
					spoken = spoken || maker == u.Name || !waits[u.Name] && slices.ContainsFunc(f.declared(), func(w *dataset.Wanted) bool { return w.Name.String() == m.zfs.Name })
				}
				d := finding(u.Origin)
				d.Service, d.Path = strings.TrimSuffix(u.Name, ".service"), at.String()
				switch {
				case early:
					d.Severity = stateward.SeverityWarning
					d.Message = fmt.Sprintf("%s has no default dependencies and is ordered after nothing that comes after %s, which mounts %s at %s: it starts before and writes beneath", u.Name, zfsMount, m.by, at)
					d.Hint = fmt.Sprintf("%s = { after = [ %q ]; requires = [ %[2]q ]; };", stateward.OptionPath("systemd", "services", d.Service), zfsMount)
				case spoken:
					continue
				default:
					d.Message = fmt.Sprintf("%s has RequiresMountsFor on %s, and %s, which mounts itself there, has no mount unit: it starts without the dataset too, and writes beneath", u.Name, at, m.by)
					d.Hint = fmt.Sprintf("%s = %s;", stateward.OptionPath("systemd", "services", d.Service, "unitConfig", "AssertPathIsMountPoint"), nixString(at.String()))
				}
				out = append(out, d)
			}
		}
		slices.SortFunc(out, stateward.CompareDiagnostics)
		return out
	},
}

// mountsItself is the dataset on which a path lies, where surely nothing but its own mountpoint mounts it.
func (f *facts) mountsItself(p stateward.AbsPath) (stateward.AbsPath, mount, bool) {
	at, ok := f.mountOf(f.real(p))
	if !ok || len(f.mounts[at]) != 1 || at == stateward.Root {
		return at, mount{}, false
	}
	m := f.mounts[at][0]
	return at, m, m.zfs != nil && m.doubt == "" && !m.asked
}

// asserted tells whether a unit starts only where something is mounted at a place.
func (f *facts) asserted(u *stateward.Unit, at stateward.AbsPath) bool {
	return slices.ContainsFunc(u.MountAsserts.Or(nil), func(text string) bool {
		p, err := stateward.ParsePath(strings.TrimLeft(text, "|"))
		return err == nil && p == at
	})
}

// dataOf are the places where units keep what services declare, by the names of the units.
func (f *facts) dataOf() map[string][]string {
	data := map[string][]string{}
	f.running(func(s *stateward.Service) {
		paths, _ := s.StatePaths()
		for i := range paths {
			if sp := &paths[i]; sp.Problem == nil && !sp.ReadOnly && !sp.Perhaps && !isImplied(sp.Source) {
				for _, u := range f.unitsOf(s) {
					data[u.Name] = append(data[u.Name], sp.Path.String())
				}
			}
		}
	})
	return data
}

// earlyUnits come before the datasets are mounted, or have nothing to do with them.
var earlyUnits = []string{
	"-.mount", "systemd-journald.socket", "systemd-remount-fs.service", "local-fs-pre.target", "systemd-modules-load.service", "systemd-udevd.service",
	"systemd-udev-trigger.service", "systemd-udev-settle.service", "systemd-tmpfiles-setup-dev.service", "cryptsetup-pre.target", "cryptsetup.target", "zfs-import.target",
}

// beforeMounts tells whether a unit surely starts without waiting for the datasets that mount themselves.
func (f *facts) beforeMounts(u *stateward.Unit, on []string) bool {
	if with, known := u.DefaultDependencies.Get(); !known || with || slices.Contains(on, u.Name) || u.After.IsUnknown() {
		return slices.Contains(on, u.Name)
	}
	units := f.host.Units.Or(nil)
	for _, before := range u.After.Or(nil) {
		if slices.Contains(earlyUnits, before) || strings.HasPrefix(before, "zfs-import-") || strings.HasSuffix(before, ".device") {
			continue
		}
		i := slices.IndexFunc(units, func(v stateward.Unit) bool { return v.Name == before })
		if i < 0 || !f.beforeMounts(&units[i], append(on, u.Name)) {
			return false
		}
	}
	// What another one is to come before may come late itself.
	return !slices.ContainsFunc(units, func(v stateward.Unit) bool { return slices.Contains(v.Before.Or(nil), u.Name) })
}
