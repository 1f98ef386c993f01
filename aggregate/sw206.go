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
  requires = ["zfs-service-datasets.service"];
  after = ["zfs-service-datasets.service"];
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
			out = append(out, f.unheld(m.option, m.unit)...)
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
	early, named := dataset.EarlyUnits(f.host), dataset.ServiceUnits(f.host)
	say := func(service string, at stateward.AbsPath, w *dataset.Wanted, u *stateward.Unit) {
		if waits[u.Name] || u.Name == maker || early[u.Name] || u.After.IsUnknown() || len(u.WantedBy.Or(nil)) == 0 {
			return
		}
		c := stateward.Covered{Service: service, Path: at.String(), Subject: w.Origin.Option}
		if slices.Contains(members, c) {
			return
		}
		if names = addSorted(names, u.Name); names[0] == u.Name {
			first, unit = u.Origin, u.Name
		}
		members = append(members, c)
	}
	f.running(func(s *stateward.Service) {
		if at, w := f.dataOn(s, made); w != nil {
			units := f.unitsOf(s)
			// Another declaration of the service may name them.
			if len(units) == 0 && !slices.ContainsFunc(f.host.Services.Or(nil), func(o stateward.Service) bool { return o.Name == s.Name && len(o.Units) > 0 }) {
				for _, name := range named[s.Name] {
					if u := f.unit(name); u != nil {
						units = append(units, u)
					}
				}
			}
			for _, u := range units {
				say(s.Name, at, w, u)
			}
		}
	})
	// What has a place there in another way: a unit that works or writes there. Whether a service's data is on its own dataset is SW207's.
	waiters, _ := dataset.Waiters(f.host, f.desired)
	for i := range waiters {
		w := &waiters[i]
		if slices.Contains(names, w.Unit) {
			continue
		}
		for _, n := range w.Datasets {
			at, mounted := f.desired.MountPoint(n)
			if made[n.String()] == nil || !mounted || slices.ContainsFunc(made[n.String()].Services, func(s string) bool { return slices.Contains(named[s], w.Unit) }) {
				continue
			}
			if u := f.unit(w.Unit); u != nil {
				say(strings.TrimSuffix(w.Unit, ".service"), at, made[n.String()], u)
			}
			break
		}
	}
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

// unheld speaks of services with a place on a dataset that a unit makes, and that nothing can be seen to hold back: no unit of theirs is found,
// or one that starts before any dataset can be made.
func (f *facts) unheld(option, maker string) []stateward.Diagnostic {
	var out []stateward.Diagnostic
	_, unwaited := dataset.Waiters(f.host, f.desired)
	said := map[string]bool{}
	for _, u := range unwaited {
		// That a dataset has no place is SW207's.
		if u.Path.IsZero() || said[u.Service] {
			continue
		}
		for _, w := range f.declared() {
			if w.Name != u.Dataset || !strings.HasPrefix(w.Origin.Option, option) {
				continue
			}
			said[u.Service] = true
			d := finding(w.Origin)
			d.Service, d.Path = u.Service, u.Path.String()
			d.Message = fmt.Sprintf("%s has %s on dataset %s, which %s makes, and nothing can be seen to hold it back until then: %s", u.Service, u.Path, w.Name, maker, u.Why)
			d.Hint = fmt.Sprintf("give the unit that runs it requires and after = [ %q ]; one that starts so early keeps its data elsewhere", maker)
			out = append(out, d)
		}
	}
	return out
}

// unit is one of the host's; nil where it has none of that name, or it is off.
func (f *facts) unit(name string) *stateward.Unit {
	units := f.host.Units.Or(nil)
	for i := range units {
		if on, known := units[i].Enable.Get(); (on || !known) && units[i].Name == name {
			return &units[i]
		}
	}
	return nil
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
