package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

var sw206 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW206", Title: "service does not wait for what makes its dataset", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"D2", "E9"},
		Doc: doc(`
A unit makes the declared datasets (` + "`stateward-datasets.service`, `zfs-service-datasets.service`" + `), and a service whose data lies on one is not ordered after
it. When the dataset is new – the service has just been added, or the machine was set up again – both start at once. The service
makes its directory and writes to the file system beneath; then the dataset is mounted over that. What was written is hidden, on a
wiped root it is gone at the next boot, and the service goes on with an empty dataset.

` + "`RequiresMountsFor=`" + ` does not help: it orders after mount units, and a dataset that mounts itself has none. ` + "`After=zfs-mount.service`" + ` does not
either, nor the default order behind ` + "`local-fs.target`" + `: both speak of datasets that are there already. Waiting for a unit that itself waits is enough.

Mend it:

` + "```nix" + `
systemd.services.sonarr = {
  requires = [ "zfs-service-datasets.service" ];
  after = [ "zfs-service-datasets.service" ];
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, m := range datasetMakers {
			if !f.hasUnit(m.unit) {
				continue
			}
			if d, ok := f.impatient(m.option, m.unit); ok {
				out = append(out, d)
			}
		}
		return out
	},
}

// datasetMakers are the units that make what the options below a path declare; ours makes all.
var datasetMakers = []struct{ option, unit string }{
	{"", dataset.UnitName},
	{"modules.storage.datasets.", "zfs-service-datasets.service"},
}

// makesDatasets tells whether a unit of the host makes datasets: without one, no order of units matters.
func (f *facts) makesDatasets() bool {
	for _, m := range datasetMakers {
		if f.hasUnit(m.unit) {
			return true
		}
	}
	return false
}

func (f *facts) hasUnit(name string) bool {
	return slices.ContainsFunc(f.host.Units.Or(nil), func(u stateward.Unit) bool {
		on, known := u.Enable.Get()
		return u.Name == name && (on || !known)
	})
}

// impatient speaks of all services whose units do not wait for the unit that makes their datasets.
func (f *facts) impatient(option, maker string) (stateward.Diagnostic, bool) {
	waits := f.waiters(maker)
	made := map[string]*dataset.Wanted{}
	for _, w := range f.declared() {
		if strings.HasPrefix(w.Origin.Option, option) {
			made[w.Name.String()] = w
		}
	}
	var members []stateward.Covered
	var names []string
	var first stateward.Origin
	var unit string
	f.running(func(s *stateward.Service) {
		at, w := f.dataOn(s, made)
		if w == nil {
			return
		}
		for _, u := range f.unitsOf(s) {
			if waits[u.Name] || u.Name == maker || u.After.IsUnknown() || len(u.WantedBy.Or(nil)) == 0 {
				continue
			}
			c := stateward.Covered{Service: s.Name, Path: at.String(), Subject: w.Origin.Option}
			if slices.Contains(members, c) {
				return
			}
			if names = addSorted(names, u.Name); names[0] == u.Name {
				first, unit = u.Origin, u.Name
			}
			members = append(members, c)
		}
	})
	if len(members) == 0 {
		return stateward.Diagnostic{}, false
	}
	d := finding(first)
	if d.Covers = covering(members); len(d.Covers) == 0 {
		d.Service, d.Path = members[0].Service, members[0].Path
	}
	d.Message = fmt.Sprintf("%s %s not ordered after %s, which makes %s: what starts before the dataset is there writes beneath it, and the dataset hides that", some(names),
		pick(len(names), "is", "are"), maker, pick(len(names), "its dataset", "their datasets"))
	d.Hint = fmt.Sprintf("%s = { requires = [ %[2]q ]; after = [ %[2]q ]; };", stateward.OptionPath("systemd", "services", strings.TrimSuffix(unit, ".service")), maker)
	return d, true
}

// dataOn finds a place of a service's own data that lies on one of some datasets.
func (f *facts) dataOn(s *stateward.Service, made map[string]*dataset.Wanted) (stateward.AbsPath, *dataset.Wanted) {
	paths, _ := s.StatePaths()
	for i := range paths {
		sp := &paths[i]
		if sp.Problem != nil || sp.ReadOnly || sp.Perhaps || isImplied(sp.Source) {
			continue
		}
		at, ok := f.mountOf(f.real(sp.Path))
		if !ok {
			continue
		}
		for _, m := range f.mounts[at] {
			if m.zfs != nil && made[m.zfs.Name] != nil {
				return sp.Path, made[m.zfs.Name]
			}
		}
	}
	return stateward.AbsPath{}, nil
}

// waiters are the units that are ordered after a unit, at once or by way of others.
func (f *facts) waiters(unit string) map[string]bool {
	after := map[string][]string{} // the units that wait for one
	for _, u := range f.host.Units.Or(nil) {
		if on, known := u.Enable.Get(); known && !on {
			continue
		}
		for _, before := range u.After.Or(nil) {
			after[before] = append(after[before], u.Name)
		}
		after[u.Name] = append(after[u.Name], u.Before.Or(nil)...)
	}
	waits, next := map[string]bool{}, []string{unit}
	for len(next) > 0 {
		u := next[len(next)-1]
		next = next[:len(next)-1]
		for _, w := range after[u] {
			if !waits[w] {
				waits[w] = true
				next = append(next, w)
			}
		}
	}
	return waits
}
