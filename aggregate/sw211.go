package aggregate

import (
	"fmt"
	"slices"
	"sync"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate/template"
	"github.com/stateward/stateward/dataset"
)

var sw211 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW211", Title: "recordsize of a dataset does not suit what lies there", Severity: stateward.SeverityInfo, Since: "0.1", Traps: []string{"D5"},
		Doc: doc(`
The workload of a dataset is known, and its recordsize does harm to it. A database on large records rewrites a whole record for each
page that changes: writes are multiplied, and so is what each snapshot keeps, until the pool is full. Large files on small records
are slow to read and do not compress.

The workload is what the contract says (` + "`dataset.profile`" + `), or that of a service which always has the same one: PostgreSQL, MySQL and the
applications on SQLite that ` + "`stateward template list`" + ` names, unless they declare another database. It is a warning where each page that
is written rewrites sixteen times what it has to. The recordsize may be inherited from a dataset that is declared; where nothing
that is read gives one, an info says what zfs takes by default, of databases only. PostgreSQL on records of up to 128K is not spoken of: OpenZFS
finds that good as well, for what compression saves.

Mend it with the recordsize that suits: ` + "`stateward template profiles`" + ` prints them, and why. What is written already keeps its records until it is
written anew.

` + "```nix" + `
stateward.services.postgresql.dataset = {
  name = "tank/services/postgresql";
  profile = "postgresql-data";
  properties.recordsize = "8K"; # 1M: a page of 8K rewrites 1M
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		said := map[string]bool{}
		f.running(func(s *stateward.Service) {
			for _, w := range f.workloads(s) {
				if d, ok := f.misfit(s, w); ok && !said[w.dataset] {
					said[w.dataset] = true
					out = append(out, d)
				}
			}
		})
		return out
	},
}

// stockWorkloads are workloads of services that no template is for.
var stockWorkloads = map[string]string{"mysql": "innodb"}

// builtinWorkloads are the workloads of services by their names.
var builtinWorkloads = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	l := template.NewLibrary()
	for _, name := range l.Names() {
		r, err := l.Resolve(name, template.Options{Partial: true})
		if err == nil && r.Service.Dataset != nil && name != "vaultwarden" { // which may have any database
			out[name] = r.Service.Dataset.Profile
		}
	}
	for name, profile := range stockWorkloads {
		out[name] = profile
	}
	return out
})

// workload is what a dataset is used for.
type workload struct {
	dataset string
	profile dataset.Profile
	// wrong is a name that no profile has.
	wrong  string
	origin stateward.Origin
	path   string
}

// workloads are the datasets that hold a service's data, as far as both are known.
func (f *facts) workloads(s *stateward.Service) []workload {
	if d := s.Dataset; d != nil {
		if name, ok := d.Profile.Get(); ok {
			p, found := dataset.LookupProfile(name)
			w := workload{dataset: d.Name, profile: p, origin: d.Origin}
			if !found {
				w.wrong, w.origin = name, d.Profile.Origin()
			}
			return []workload{w}
		}
		if d.Profile.IsUnknown() {
			return nil
		}
	}
	p, ok := dataset.LookupProfile(builtinWorkloads()[s.Name])
	if !ok || p.Misfit == nil {
		return nil
	}
	if p.Name == "sqlite" && (!s.Databases.IsAbsent() && len(s.Databases.Or(nil)) > 0 || s.Databases.IsUnknown()) {
		return nil // it has another one
	}
	var out []workload
	paths, _ := s.StatePaths()
	for i := range paths {
		sp := &paths[i]
		if sp.Problem != nil || sp.ReadOnly || sp.Source != stateward.SourceDataDir && sp.Source != stateward.SourceStateDirectory {
			continue
		}
		at, ok := f.mountOf(f.real(sp.Path))
		if !ok {
			continue
		}
		for _, m := range f.mounts[at] {
			name, origin, ok := f.declaredOn(m)
			if ok && !slices.ContainsFunc(out, func(w workload) bool { return w.dataset == name }) {
				out = append(out, workload{dataset: name, profile: p, origin: origin, path: sp.Path.String()})
			}
		}
	}
	return out
}

// declaredOn is the dataset that is mounted: one that mounts itself, or that fileSystems mounts and something declares. Of one that
// nothing declares, nothing is known: it was made by hand, with the properties that were typed then.
func (f *facts) declaredOn(m mount) (name string, origin stateward.Origin, ok bool) {
	if m.zfs != nil {
		return m.zfs.Name, m.zfs.Origin, true
	}
	if m.fs.FSType.Or("") != "zfs" {
		return "", stateward.Origin{}, false
	}
	name = m.fs.Device.Or("")
	for _, d := range f.host.Datasets.Or(nil) {
		if d.Name == name && name != "" {
			return name, d.Origin, true
		}
	}
	return "", stateward.Origin{}, false
}

// misfit says that the recordsize of a dataset does harm.
func (f *facts) misfit(s *stateward.Service, w workload) (stateward.Diagnostic, bool) {
	d := finding(w.origin)
	d.Service, d.Path = s.Name, w.path
	if w.wrong != "" {
		d.Message = fmt.Sprintf("dataset %s is of profile %q, which there is not", w.dataset, w.wrong)
		d.Hint = "stateward template profiles lists them"
		return d, true
	}
	size, origin, state := f.recordsize(w.dataset)
	if state == recordsizeUnknown {
		return d, false
	}
	effect, misfits := w.profile.Misfits(size)
	if !misfits || state == recordsizeDefault && w.profile.Misfit.Above == "" {
		return d, false
	}
	var fits dataset.Size
	for _, p := range w.profile.Settings() {
		if p.Name() == "recordsize" {
			fits, _ = dataset.ParseSize(p.Value())
		}
	}
	has := fmt.Sprintf("has a recordsize of %s", size)
	if state == recordsizeDefault {
		has = fmt.Sprintf("is given no recordsize, which is %s unless a dataset above has another", size)
	} else {
		d.Subject, d.File, d.Line = origin.Option, origin.File, origin.Line
		if size >= 16*fits {
			d.Severity = stateward.SeverityWarning
		}
	}
	d.Message = fmt.Sprintf("dataset %s %s, and %s keeps there what suits %s (profile %s): %s", w.dataset, has, s.Name, fits, w.profile.Name, effect)
	d.Hint = fmt.Sprintf("recordsize = %q; what is written already keeps its records until it is written anew", fits)
	return d, true
}

type recordsizeState uint8

const (
	recordsizeUnknown recordsizeState = iota
	recordsizeKnown
	// recordsizeDefault: nothing that is read gives one.
	recordsizeDefault
)

// recordsize is that of a dataset, its own or inherited, as far as declarations show it.
func (f *facts) recordsize(name string) (dataset.Size, stateward.Origin, recordsizeState) {
	n, err := dataset.ParseObservedName(name)
	if err != nil || f.host.Datasets.IsUnknown() {
		return 0, stateward.Origin{}, recordsizeUnknown
	}
	for ; !n.IsZero(); n = n.Parent() {
		for _, d := range f.host.Datasets.Or(nil) {
			if d.Name != n.String() {
				continue
			}
			for _, property := range []string{"recordsize", "recsize"} {
				v := d.Properties[property]
				if v.IsUnknown() {
					return 0, stateward.Origin{}, recordsizeUnknown
				}
				text, ok := v.Get()
				if !ok {
					continue
				}
				set, err := dataset.ParseSetting(property, text, dataset.Filesystem)
				if err != nil {
					return 0, stateward.Origin{}, recordsizeUnknown // SW201 says so
				}
				size, err := dataset.ParseSize(set.Value())
				if err != nil {
					return 0, stateward.Origin{}, recordsizeUnknown
				}
				o := v.Origin()
				if o.Option == "" {
					o = d.Origin
				}
				return size, o, recordsizeKnown
			}
		}
	}
	size, _ := dataset.ParseSize("128K")
	return size, stateward.Origin{}, recordsizeDefault
}
