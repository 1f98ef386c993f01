package aggregate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/backup/sanoid"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/syntax/nix"
	"github.com/stateward/stateward/preseed"
)

// HostPlanVersion is the version of the format of [HostPlan]. A module that reads plans refuses every other.
const HostPlanVersion = "1"

// HostPlan is what all plans of one host make of settings of NixOS, as data: the file of `stateward.plan`. The same settings are what `stateward backup plan -o nix` and
// the like write. No secret is in it.
type HostPlan struct {
	ProtocolVersion string `json:"protocolVersion"`
	// Host is the host's name, and HostName its `networking.hostName`; a module of another host refuses the plan.
	Host     string `json:"host"`
	HostName string `json:"hostName,omitempty"`
	// With is how it was written.
	With HostPlanOptions `json:"with"`
	// Packages have to be in environment.systemPackages: "stateward", others as nixpkgs calls them. Sorted.
	Packages []string `json:"packages"`
	// NotifyUnits are units that others start and that are not in the plan; `stateward notify units` writes them. Sorted.
	NotifyUnits []string `json:"notifyUnits,omitempty"`
	// Scripts are programs of bash that settings run, by name.
	Scripts map[string]string `json:"scripts,omitempty"`
	// Settings are by the plan that they are of ([HostPlanParts]), and then as NixOS nests its options. What JSON has no form for is an object with "_type":
	// {"_type": "script", "name", "arguments"} is the command line of a script, {"_type": "config", "path"} another option of the configuration,
	// {"_type": "default", "value"} what gives way to any other definition (mkDefault), {"_type": "after", "value"} a list that comes after others (mkAfter).
	Settings map[string]map[string]any `json:"settings"`
	// Unplanned is what is declared and could not be planned, sorted.
	Unplanned []Unplanned `json:"unplanned"`

	// modules are what Settings and Scripts were made of.
	modules map[string]nix.Module
	// copies are what is to be copied for entries of the persistence root that are added.
	copies []Copy
}

// HostPlanOptions say where things are on the machine.
type HostPlanOptions struct {
	// Program is stateward.
	Program string `json:"program"`
	// Barman is the folder with the tools of barman-cloud.
	Barman string `json:"barman"`
	// OnFailure are units that are started where a run fails.
	OnFailure []string `json:"onFailure,omitempty"`
}

// DefaultHostPlanOptions are those of NixOS.
func DefaultHostPlanOptions() HostPlanOptions {
	return HostPlanOptions{Program: "/run/current-system/sw/bin/stateward", Barman: "/run/current-system/sw/bin"}
}

// Unplanned is something that is declared and not planned.
type Unplanned struct {
	// Part is the plan that it would be of; "host" where it may be of any.
	Part    string `json:"part"`
	Subject string `json:"subject,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Option is the one that says so.
	Option string `json:"option,omitempty"`
}

// String is a line for people.
func (u Unplanned) String() string {
	if u.Subject == "" || strings.HasPrefix(u.Message, u.Subject) {
		return u.Message
	}
	return u.Subject + ": " + u.Message
}

// The plans that a [HostPlan] is put together from.
const (
	partPersistence = "persistence"
	partDatasets    = "datasets"
	partSnapshots   = "snapshots"
	partBackup      = "backup"
	partPreseed     = "preseed"
	partPITR        = "pitr"
	partHost        = "host"
)

// HostPlanParts are the plans that a [HostPlan] is put together from, in order.
func HostPlanParts() []string {
	return []string{partPersistence, partDatasets, partSnapshots, partBackup, partPreseed, partPITR}
}

// PlanHost makes the plan of a host from what its configuration declares. What the plan that is wired already has set (Host.Plan) is taken for no declaration: else what is planned
// once would be asked for for ever, and whoever changed the configuration beneath would not be heard. So a plan that is wired is planned again to the same bytes.
func PlanHost(h *stateward.Host, o HostPlanOptions) (*HostPlan, error) {
	wired, err := WiredPlan(h)
	if err != nil {
		return nil, err
	}
	h = unwired(h, wired)
	p := &HostPlan{ProtocolVersion: HostPlanVersion, Host: h.Name, HostName: h.HostName.Or(""), With: o, Packages: []string{}, Settings: map[string]map[string]any{}, Unplanned: []Unplanned{},
		modules: map[string]nix.Module{}}
	for _, plan := range []func(*stateward.Host, HostPlanOptions) error{p.datasets, p.snapshots, p.backups, p.preseeds, p.clusters, p.persistence} {
		if err := plan(h, o); err != nil {
			return nil, err
		}
		h = p.withUnits(h)
	}
	for _, u := range h.Unknown {
		if u.Subject == "stateward.plan" {
			continue
		}
		// Nix' own words differ from one version to the next, and name files of this machine.
		p.lack(partHost, u.Subject, whatOf(u.Kind), "stateward check says why: what it declares may be missing from the plan", u.Subject)
	}
	for _, list := range []*[]string{&p.Packages, &p.NotifyUnits} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	slices.SortFunc(p.Unplanned, func(a, b Unplanned) int {
		return cmp.Or(cmp.Compare(a.Part, b.Part), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Message, b.Message), cmp.Compare(a.Option, b.Option), cmp.Compare(a.Hint, b.Hint))
	})
	p.Unplanned = slices.Compact(p.Unplanned)
	return p, nil
}

// withUnits is a host with the units that make its datasets, where they are planned: preseeds wait for them, and what they make holds state.
func (p *HostPlan) withUnits(host *stateward.Host) *stateward.Host {
	h := *host
	h.Units = mapped(h.Units, func(list []stateward.Unit) []stateward.Unit {
		for _, name := range []string{dataset.UnitName, dataset.CheckTemplate} {
			planned := len(p.sets("systemd", "services")[strings.TrimSuffix(name, ".service")]) > 0
			if planned && !slices.ContainsFunc(list, func(u stateward.Unit) bool { return u.Name == name }) {
				list = append(list, stateward.Unit{Name: name})
			}
		}
		return list
	})
	return &h
}

func (p *HostPlan) lack(part, subject, message, hint, option string) {
	p.Unplanned = append(p.Unplanned, Unplanned{part, subject, message, hint, option})
}

// lackError is the same of an error, which may bring advice of its own.
func (p *HostPlan) lackError(part, subject string, err error, option string) {
	hint := ""
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		hint = h.Hint()
	}
	p.lack(part, subject, err.Error(), hint, option)
}

// set takes the settings of a part.
func (p *HostPlan) set(part string, m nix.Module, packages ...string) error {
	if len(m.Options) == 0 {
		return nil
	}
	data, err := m.Data()
	if err != nil {
		return err
	}
	p.Settings[part], p.modules[part] = data, m
	for _, s := range m.Scripts {
		if p.Scripts == nil {
			p.Scripts = map[string]string{}
		}
		p.Scripts[s.Name] = s.Text
	}
	p.Packages = append(p.Packages, packages...)
	return nil
}

// persistence adds what services keep and nothing holds yet. The host's own entries are its own: a list that is replaced as a whole would hide what is added to it later.
func (p *HostPlan) persistence(h *stateward.Host, _ HostPlanOptions) error {
	own := *h
	own.Services = mapped(h.Services, func(list []stateward.Service) []stateward.Service { return append(list, p.ownServices()...) })
	h = &own
	r, err := Resolve(h, Options{})
	if err != nil {
		var root *RootError
		if errors.As(err, &root) && len(root.Have) == 0 && !slices.ContainsFunc(Survival(h), func(row stateward.SurvivalRow) bool {
			return row.Tiers[stateward.TierReboot].State == stateward.SurvivalNo
		}) {
			return nil
		}
		p.lack(partPersistence, "", err.Error(), "stateward plan persistence says more", "")
		return nil
	}
	for _, n := range r.Notes {
		switch n.Kind {
		case NoteConflict, NoteUnusable, NoteUnknown, NoteUnsayable:
			p.lack(partPersistence, n.Path, n.Message, "", n.Origin.Option)
		}
	}
	if r.Fresh || r.Moved != nil {
		p.lack(partPersistence, "", "the persistence root is to be made or moved as a whole", "stateward plan persistence -o nix writes it", "")
		return nil
	}
	lists := map[stateward.EntryKind]nix.List{}
	for _, e := range r.Entries {
		if e.From == FromHost {
			if e.Changed {
				p.lack(partPersistence, e.Path.String(), "the host's own entry is to be written with another path, owner or mode", "stateward plan persistence shows it", "")
			}
			continue
		}
		lists[e.Kind] = append(lists[e.Kind], entrySettings(e.Entry))
	}
	option := []string{"environment", "persistence", r.RootName}
	if r.Module == stateward.Preservation {
		option = []string{"preservation", "preserveAt", r.RootName}
	}
	var m nix.Module
	m.Add(nix.After(lists[stateward.Directory]), append(slices.Clone(option), "directories")...)
	m.Add(nix.After(lists[stateward.File]), append(slices.Clone(option), "files")...)
	p.copies = r.Copies()
	return p.set(partPersistence, m)
}

// ownServices are the units of the plan that keep something themselves, such as the records of backups: their state has to survive from the beginning.
func (p *HostPlan) ownServices() (out []stateward.Service) {
	units := p.sets("systemd", "services")
	for _, name := range slices.Sorted(maps.Keys(units)) {
		if !strings.HasPrefix(name, ownUnits) {
			continue
		}
		for _, v := range units[name] {
			set, _ := v.(map[string]any)
			config, _ := set["serviceConfig"].(map[string]any)
			text := func(name string) string { s, _ := config[name].(string); return s }
			s := stateward.Service{Name: name, Origin: stateward.Origin{Option: stateward.OptionPath("systemd", "services", name)}, Units: []string{name + ".service"}}
			s.Enable = stateward.Known(true, s.Origin)
			var paths []stateward.StatePath
			for _, word := range strings.Fields(text("StateDirectory")) {
				path, partial, ok := stateward.StateDirectoryPath(name+".service", word)
				if !ok || partial {
					continue
				}
				sp := stateward.StatePath{Entry: stateward.Entry{Text: path.String(), Path: path, Origin: s.Origin}, Source: stateward.SourceStateDirectory}
				if m, err := stateward.ParseMode(text("StateDirectoryMode")); err == nil {
					sp.Mode = stateward.Known(m, s.Origin)
				}
				if o, err := stateward.ParseOwner(text("User")); err == nil {
					sp.User = stateward.Known(o, s.Origin)
				}
				if o, err := stateward.ParseOwner(text("Group")); err == nil {
					sp.Group = stateward.Known(o, s.Origin)
				}
				paths = append(paths, sp)
			}
			if len(paths) > 0 {
				s.State = stateward.Known(paths, s.Origin)
				out = append(out, s)
			}
		}
	}
	return out
}

// ownUnits is how the names of our own units begin.
const ownUnits = "stateward-"

// entrySettings is an entry that is added: a text, or a set where it asks for more.
func entrySettings(e stateward.Entry) any {
	set := nix.Settings{{Name: e.Kind.String(), Value: e.Path.String()}}
	for _, a := range []struct{ name, value string }{{"user", e.User.Or(stateward.Owner{}).String()}, {"group", e.Group.Or(stateward.Owner{}).String()}, {"mode", e.Mode.Or(stateward.Mode{}).String()}} {
		if a.value != "" {
			set = append(set, nix.Attr{Name: a.name, Value: a.value})
		}
	}
	if len(set) == 1 {
		return set[0].Value
	}
	return set
}

func (p *HostPlan) datasets(h *stateward.Host, _ HostPlanOptions) error {
	desired, faults := dataset.NewDesired(h)
	for _, f := range faults {
		p.lack(partDatasets, f.Dataset, f.Error(), f.Hint, f.Origin.Option)
	}
	for _, c := range dataset.NewPlan(desired, nil, dataset.Options{}).Conflicts {
		p.lack(partDatasets, c.Dataset.String(), c.Message, c.Hint, c.Origin.Option)
	}
	waiters, unwaited := dataset.Waiters(h, desired)
	// What is added to a unit that is not there would make one, with nothing to execute.
	waiters = slices.DeleteFunc(waiters, func(w dataset.Waiter) bool {
		there := hasUnit(h, w.Unit)
		if !there {
			p.lack(partDatasets, w.Unit, "the host has no unit "+w.Unit+": what is to wait for its datasets would not be there", "name the units that run the service, in unit or units", "")
		}
		return !there
	})
	for _, u := range unwaited {
		p.lack(partDatasets, u.Service, u.String(), "", "")
	}
	if len(faults) > 0 || !slices.ContainsFunc(desired.Datasets, func(w dataset.Wanted) bool { return w.Role != dataset.Foreign }) {
		return nil // a part would look like the whole
	}
	m, err := dataset.Settings(desired, h.Name, waiters, dataset.Tmpfiles(h, desired))
	if err != nil {
		p.lackError(partDatasets, "", err, "")
		return nil
	}
	return p.set(partDatasets, m)
}

// hasUnit tells whether a host has a unit, by itself or as an instance of a template; of one whose units are not known it is taken to.
func hasUnit(h *stateward.Host, name string) bool {
	units, ok := h.Units.Get()
	template := name
	if at := strings.IndexByte(name, '@'); at >= 0 {
		template = name[:at+1] + path.Ext(name)
	}
	return !ok || slices.ContainsFunc(units, func(u stateward.Unit) bool { return u.Name == name || u.Name == template })
}

// snapshots are those that services ask for. What services.sanoid and services.syncoid of the host say themselves is theirs.
func (p *HostPlan) snapshots(h *stateward.Host, _ HostPlanOptions) error {
	snapshots, sent := h.Datasets.IsUnknown(), h.Datasets.IsUnknown()
	for _, d := range h.Datasets.Or(nil) {
		snapshots = snapshots || !d.SnapshotPolicy.IsAbsent()
		sent = sent || len(d.Replicate) > 0
	}
	var m nix.Module
	var packages []string
	sound := true
	add := func(what string, faults []backup.Fault, make func() (nix.Module, error)) {
		for _, f := range faults {
			p.lackError(partSnapshots, f.Subject, f.Err, f.Origin.Option)
		}
		if sound = sound && len(faults) == 0; !sound {
			return
		}
		more, err := make()
		if err != nil {
			sound = false
			p.lackError(partSnapshots, what, err, "")
			return
		}
		m.Options = append(m.Options, more.Options...)
	}
	if snapshots {
		c, faults := sanoid.FromHost(h)
		add("services.sanoid", faults, func() (nix.Module, error) {
			own := h.Snapshots.Or(nil)
			interval := cmp.Or(sanoid.Interval(h), "hourly")
			if len(c.Datasets) == len(own) {
				return nix.Module{}, nil // all that is asked for is there
			}
			packages = append(packages, "sanoid")
			all, err := sanoid.HostSettings(c, interval, nil, "", h.Zones)
			return added(all, "templates", names(h.SnapshotTemplates.Or(nil)), "datasets", names(own)), err
		})
	}
	if sent {
		list, faults := sanoid.ReplicationsFromHost(h)
		add("services.syncoid", faults, func() (nix.Module, error) {
			every := ""
			own := map[string]bool{}
			for _, r := range h.Replications.Or(nil) {
				own[r.Name] = true
			}
			asked := slices.DeleteFunc(slices.Clone(list), func(r sanoid.Replication) bool { return own[r.Name] })
			if len(asked) == 0 {
				return nix.Module{}, nil
			}
			for _, r := range list {
				switch events, ok := sanoid.WhenSent(h, r).Get(); {
				case !ok:
				case len(events) != 1 || every != "" && every != events[0]:
					return nix.Module{}, &severalIntervalsError{}
				default:
					every = events[0]
				}
			}
			if every == "" {
				return nix.Module{}, &unscheduledError{}
			}
			packages = append(packages, "sanoid")
			all, err := sanoid.HostSettings(&sanoid.Config{}, "", asked, every, h.Zones)
			return added(all), err
		})
	}
	if !sound {
		return nil
	}
	return p.set(partSnapshots, m, packages...)
}

// severalIntervalsError says that services.syncoid cannot have what is asked for.
type severalIntervalsError struct{}

func (*severalIntervalsError) Error() string {
	return "services.syncoid has one interval, and the replications have several"
}
func (*severalIntervalsError) Hint() string {
	return "ask for one schedule, or write them as units: stateward snapshot plan -o units"
}

func names(list []stateward.SnapshotPolicy) map[string]bool {
	out := map[string]bool{}
	for _, p := range list {
		out[p.Name] = true
	}
	return out
}

// added leaves out what is the host's own of a module's attributes, given as a name and the names below it, and lets the interval give way to that of the host.
func added(m nix.Module, own ...any) nix.Module {
	for i, o := range m.Options {
		s, ok := o.Value.(nix.Settings)
		if !ok || o.Path[0] != "services" {
			continue
		}
		s = slices.Clone(s)
		for j := range s {
			if s[j].Name == "interval" {
				s[j].Value = nix.Default{Value: s[j].Value}
			}
			for k := 0; k+1 < len(own); k += 2 {
				if below, is := s[j].Value.(nix.Settings); is && s[j].Name == own[k] {
					s[j].Value = slices.DeleteFunc(slices.Clone(below), func(a nix.Attr) bool { return own[k+1].(map[string]bool)[a.Name] })
				}
			}
		}
		s = slices.DeleteFunc(s, func(a nix.Attr) bool { below, is := a.Value.(nix.Settings); return is && len(below) == 0 })
		m.Options[i].Value = s
	}
	return m
}

func (p *HostPlan) backups(h *stateward.Host, o HostPlanOptions) error {
	list, unreached := restic.Plan(h, false)
	var jobs []restic.Rendered
	for _, j := range list {
		for _, x := range j.Problems {
			p.lack(partBackup, "job "+j.Of.Name, x.Message, x.Hint, x.Origin.Option)
		}
		if j.Job != nil {
			jobs = append(jobs, restic.Rendered{Job: *j.Job, Timer: j.Timer})
		}
	}
	for _, x := range unreached {
		p.lack(partBackup, "", x.Message, x.Hint, x.Origin.Option)
	}
	m, err := restic.Settings(jobs, o.Program, o.OnFailure)
	if err != nil {
		p.lackError(partBackup, "", err, "")
		return nil
	}
	p.NotifyUnits = append(p.NotifyUnits, restic.NotifyUnits(jobs)...)
	return p.set(partBackup, m, append(restic.Packages(jobs), "stateward")...)
}

func (p *HostPlan) preseeds(h *stateward.Host, o HostPlanOptions) error {
	list, faults := preseed.FromHost(h, false)
	for _, one := range list {
		faults = append(faults, one.Faults...)
	}
	for _, f := range faults {
		p.lack(partPreseed, f.Service, f.Message, f.Hint, f.Origin.Option)
	}
	m, err := preseed.Settings(list, o.Program, o.OnFailure)
	if err != nil {
		p.lackError(partPreseed, "", err, "")
		return nil
	}
	p.NotifyUnits = append(p.NotifyUnits, preseed.NotifyUnits(list)...)
	return p.set(partPreseed, m, append(preseed.Packages(list), "stateward")...)
}

func (p *HostPlan) clusters(h *stateward.Host, o HostPlanOptions) error {
	list, faults := pitr.FromHost(h, nil)
	for _, one := range list {
		faults = append(faults, one.Faults...)
	}
	for _, f := range faults {
		p.lack(partPITR, f.Name, f.Message, f.Hint, f.Origin.Option)
	}
	m, err := pitr.HostSettings(list, o.Program, pitr.Tools{Dir: o.Barman}, o.OnFailure)
	if err != nil {
		p.lackError(partPITR, "", err, "")
		return nil
	}
	p.NotifyUnits = append(p.NotifyUnits, pitr.NotifyUnits(list)...)
	return p.set(partPITR, m, append(pitr.Packages(list), "stateward")...)
}

// Copies are what is to be copied first, since a new entry is mounted over what lies there now.
func (p *HostPlan) Copies() []Copy { return p.copies }

// Write is the plan as its file has it: the same bytes for the same plan.
func (p *HostPlan) Write() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(p)
	return b.Bytes(), err
}

// Nix is the plan as a NixOS module, for whoever does not import that of stateward.
func (p *HostPlan) Nix() (string, error) {
	var list []nix.Module
	for _, part := range HostPlanParts() {
		if m, ok := p.modules[part]; ok {
			list = append(list, m)
		}
	}
	var first nix.Module
	var packages nix.List
	for _, name := range p.Packages {
		if name != "stateward" {
			packages = append(packages, nix.Package(name))
		}
	}
	first.Add(packages, "environment", "systemPackages")
	head := []string{"Written by `stateward plan host -o nix`."}
	if slices.Contains(p.Packages, "stateward") {
		head = append(head, "stateward has to be in environment.systemPackages.")
	}
	if len(p.NotifyUnits) > 0 {
		head = append(head, "`stateward notify units` has to write "+strings.Join(p.NotifyUnits, ", ")+".")
	}
	return nix.Modules(first, list, head...)
}

// HostPlanError says what is wrong with the text of a plan.
type HostPlanError struct{ Reason string }

func (e *HostPlanError) Error() string { return "the plan " + e.Reason }

// Hint says how to mend it.
func (e *HostPlanError) Hint() string {
	return "remove the file, and write it again: stateward plan host --write DIR"
}

// ReadHostPlan reads what [HostPlan.Write] writes.
func ReadHostPlan(text []byte) (*HostPlan, error) {
	var p HostPlan
	if err := json.Unmarshal(text, &p); err != nil {
		return nil, &HostPlanError{"cannot be read: " + err.Error()}
	}
	if p.ProtocolVersion != HostPlanVersion {
		return nil, &HostPlanError{fmt.Sprintf("has protocolVersion %q, and this stateward knows %q", p.ProtocolVersion, HostPlanVersion)}
	}
	return &p, nil
}

// unscheduledError says that nothing says when syncoid runs.
type unscheduledError struct{}

func (*unscheduledError) Error() string { return "when the replications run is not known" }
func (*unscheduledError) Hint() string {
	return `say when: dataset.replication.schedule = "daily";`
}
