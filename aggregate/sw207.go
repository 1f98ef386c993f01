package aggregate

import (
	"fmt"
	"slices"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

var sw207 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW207", Title: "dataset of a service does not hold its data", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"D3", "D2"},
		Doc: doc(`
A dataset is declared for a service, and the service's data is not on it: the dataset has ` + "`mountpoint=none`" + `, ` + "`canmount=off`" + ` or
` + "`noauto`" + `, or it is ` + "`legacy`" + ` and no entry of ` + "`fileSystems`" + ` mounts it, or it is mounted at a place where the service keeps nothing. The data
lies on whatever is mounted above: it has other properties than you think, and snapshots and replication of the dataset save an empty
directory.

Nothing is said where the data lies on a dataset below this one, which is then a container.

Mend it by mounting the dataset where the data is:

` + "```nix" + `
modules.storage.datasets.services.sonarr.mountpoint = "/var/lib/sonarr"; # dataDir of sonarr
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		declared := map[string]*dataset.Wanted{}
		for _, w := range f.declared() {
			declared[w.Name.String()] = w
		}
		said := map[string]bool{}
		carried := map[string]bool{} // datasets that a service has as its own
		f.running(func(s *stateward.Service) {
			if s.Dataset != nil {
				carried[s.Dataset.Name] = true
			}
		})
		for _, ds := range f.host.Datasets.Or(nil) {
			w := declared[ds.Name]
			if ds.For == "" || w == nil || carried[ds.Name] || slices.ContainsFunc(f.host.Services.Or(nil), func(s stateward.Service) bool { return s.Dataset != nil && s.Dataset.Name == ds.Name }) {
				continue
			}
			// By its name alone it belongs to a service, of which any place may be meant: none of them lies on it.
			var first stateward.AbsPath
			by := ""
			elsewhere := true
			f.running(func(s *stateward.Service) {
				if s.Name != ds.For {
					return
				}
				paths, complete := s.StatePaths()
				elsewhere = elsewhere && complete
				for _, p := range paths {
					switch {
					case p.Problem != nil || p.Pattern:
						elsewhere = false
					case p.Source != stateward.SourceStateDirectory && p.Source != stateward.SourceDataDir:
					case first == stateward.AbsPath{}:
						first, by = p.Path, s.Name
					}
				}
			})
			if !elsewhere || by == "" {
				continue
			}
			if d, ok := f.elsewhere(&stateward.Service{Name: by}, w, first); ok {
				out = append(out, d)
			}
		}
		f.running(func(s *stateward.Service) {
			if s.Dataset == nil || said[s.Name+"\x00"+s.Dataset.Name] {
				return
			}
			w := declared[s.Dataset.Name]
			dir, ok := s.DataDir.Get()
			if w == nil || !ok || dir.Problem != nil {
				return
			}
			if d, ok := f.elsewhere(s, w, dir.Path); ok {
				said[s.Name+"\x00"+s.Dataset.Name] = true
				out = append(out, d)
			}
		})
		return out
	},
}

// elsewhere tells whether a service's data is not on the dataset that is declared for it.
func (f *facts) elsewhere(s *stateward.Service, w *dataset.Wanted, dir stateward.AbsPath) (stateward.Diagnostic, bool) {
	var none stateward.Diagnostic
	mountPoint, has := w.Setting("mountpoint")
	canMount, _ := w.Setting("canmount")
	if !has && canMount.Text() == "" {
		return none, false // inherited
	}
	for _, ms := range f.mounts {
		for _, m := range ms {
			if device, ok := m.fs.Device.Get(); ok && m.zfs == nil && device == w.Name.String() {
				return none, false // fileSystems says where
			}
		}
	}
	on := f.heldBy(f.real(dir), w.Name) || f.heldBy(dir, w.Name) // SW208 speaks of a link
	at, mounted := mountedAt(w)
	d := finding(w.Origin)
	d.Service, d.Path = s.Name, dir.String()
	switch {
	case on:
		return none, false
	case !mounted && canMount.Text() != "" && canMount.Text() != "on":
		d.Message = fmt.Sprintf("dataset %s is not mounted at boot (canmount=%s), and %s keeps its data in %s, which is not on it", w.Name, canMount.Text(), s.Name, dir)
		d.Hint = "leave canmount out, or declare no dataset for the service"
	case !mounted && mountPoint.Text() == "legacy":
		d.Message = fmt.Sprintf("dataset %s has mountpoint=legacy and fileSystems does not mount it: the data of %s in %s is not on it", w.Name, s.Name, dir)
		d.Hint = fmt.Sprintf("%s = { device = %s; fsType = \"zfs\"; };", stateward.OptionPath("fileSystems", dir.String()), nixString(w.Name.String()))
	case !mounted:
		d.Message = fmt.Sprintf("dataset %s is never mounted (mountpoint=%s): the data of %s in %s is not on it", w.Name, mountPoint.Text(), s.Name, dir)
		d.Hint = fmt.Sprintf("mountpoint = %s; or declare no dataset for the service", nixString(dir.String()))
	default:
		if f.usedBySomeone(at) {
			return none, false
		}
		d.Message = fmt.Sprintf("dataset %s is mounted at %s, and %s keeps its data in %s: nothing that is known is on the dataset", w.Name, at, s.Name, dir)
		d.Hint = fmt.Sprintf("mountpoint = %s; or declare no dataset for the service", nixString(dir.String()))
	}
	return d, true
}

// heldBy tells whether a place lies on a dataset or on one below it.
func (f *facts) heldBy(p stateward.AbsPath, name dataset.Name) bool {
	at, ok := f.mountOf(p)
	return ok && slices.ContainsFunc(f.mounts[at], func(m mount) bool {
		if m.zfs == nil {
			return false
		}
		n, err := dataset.ParseObservedName(m.zfs.Name)
		return err == nil && (n == name || n.Below(name))
	})
}

// usedBySomeone tells whether any service keeps or may write something on what is mounted at a place, or above it.
func (f *facts) usedBySomeone(at stateward.AbsPath) bool {
	found := false
	f.running(func(s *stateward.Service) {
		paths, complete := s.StatePaths()
		found = found || !complete && s.Dataset != nil
		for i := range paths {
			sp := &paths[i]
			if sp.Problem != nil || sp.Source == stateward.SourceTmpfiles {
				continue // a rule that makes the mount point keeps nothing there
			}
			p := f.real(sp.Path)
			found = found || at.Contains(p) || p != stateward.Root && p.Contains(at)
		}
	})
	for _, u := range f.host.Units.Or(nil) {
		for _, text := range u.ReadWritePaths.Or(nil) {
			for len(text) > 0 && (text[0] == '-' || text[0] == '+') {
				text = text[1:]
			}
			if p, err := stateward.ParsePath(text); err == nil {
				found = found || at.Contains(p)
			}
		}
	}
	return found
}
