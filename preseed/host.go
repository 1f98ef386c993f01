package preseed

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/backup/sanoid"
	"github.com/stateward/stateward/dataset"
)

// FaultKind tells what a [Fault] is about.
type FaultKind string

// The kinds of faults.
const (
	// NotKnown is a value that could not be evaluated or understood.
	NotKnown FaultKind = "is unknown"
	// NoDataset is a service without a dataset of its own, or with one that cannot be planned or is mounted nowhere.
	NoDataset FaultKind = "has no dataset"
	// NoUnit is a service of which no unit is known, or a unit that the host does not have.
	NoUnit FaultKind = "has no unit"
	// NotEmpty is a note: with what something makes in the dataset nothing is restored.
	NotEmpty FaultKind = "is never empty"
	// NoSource is a preseed with nothing to ask.
	NoSource FaultKind = "has no source"
	// SourceMissing is a source that is listed, and that nothing configures.
	SourceMissing FaultKind = "source is not configured"
	// SourceUnclear is a source of which there are several, or that cannot be read.
	SourceUnclear FaultKind = "source is not clear"
	// NoReason is a service that may start with nothing, and nobody wrote why.
	NoReason FaultKind = "has no reason"
	// NoPlan is what [Plan.Validate] refuses.
	NoPlan FaultKind = "is refused"
)

// Fault is why a preseed cannot be planned, or, as a note, what of it a person should know.
type Fault struct {
	Kind    FaultKind        `json:"kind"`
	Service string           `json:"service,omitempty"`
	Message string           `json:"message"`
	Hint    string           `json:"hint,omitempty"`
	Origin  stateward.Origin `json:"origin,omitzero"`
}

func (f *Fault) Error() string {
	if f.Service == "" {
		return f.Message
	}
	return "preseed of " + f.Service + ": " + f.Message
}

// Planned is the preseed that one service asks for.
type Planned struct {
	Service string
	Origin  stateward.Origin
	// Plan is what a run takes; nil where Faults say why there is none, or where something else fills the dataset.
	Plan *Plan
	// RunBy is the unit that fills the dataset already; empty where none does.
	RunBy string
	// Remote tells that a source needs the network. Datasets are the units of the host that make the dataset.
	Remote   bool
	Datasets []string
	// Job is the job of restic that the plan names; nil where it asks no repository.
	Job *restic.Job
	// Reason is why the service may start empty.
	Reason string
	// Faults keep it from being planned. Notes do not.
	Faults, Notes []Fault
}

// PlanDir is where the files with plans lie.
const PlanDir = "/etc/stateward/preseed"

// PlanFile is the file with the plan.
func (p Plan) PlanFile() string { return PlanDir + "/" + p.Name + ".json" }

// FromHost makes a plan of every preseed that a service of a host asks for, sorted by service, or says why it cannot. What could not be had of all of them
// is in the faults beside. A service or preseed that is off asks for nothing. With all, what something else runs is planned too.
//
// The sources are those that are named; where none is, local, then a replica where the dataset is replicated, then restic where a job of
// [restic.Plan] backs all of it up, without a dump and with nothing excluded.
func FromHost(h *stateward.Host, all bool) ([]Planned, []Fault) {
	var faults []Fault
	if why, unknown := h.Services.Why(); unknown {
		faults = append(faults, Fault{Kind: NotKnown, Message: "which services there are is unknown: " + why.String(), Origin: originOf(why)})
	}
	out := []Planned{}
	var p *hostPlanner
	for _, s := range h.Services.Or(nil) {
		if on, known := s.Enable.Get(); s.Preseed == nil || known && !on {
			continue
		}
		if on, known := s.Preseed.Enable.Get(); known && !on {
			continue
		}
		if p == nil {
			p = newHostPlanner(h)
		}
		out = append(out, p.plan(&s, all))
	}
	slices.SortStableFunc(out, func(a, b Planned) int { return cmp.Compare(a.Service, b.Service) })
	names, datasets := map[string]string{}, map[string]string{}
	for i := range out {
		o := &out[i]
		if o.Plan == nil {
			continue
		}
		for _, is := range []struct {
			seen map[string]string
			name string
		}{{names, o.Plan.Name}, {datasets, o.Plan.Dataset}} {
			if other, there := is.seen[is.name]; there && o.Plan != nil {
				o.fault(NoPlan, o.Origin, "declare one of them only", "%s is that of the preseed of %s too", is.name, other)
				o.Plan = nil
			}
			is.seen[is.name] = o.Service
		}
	}
	return out, faults
}

type hostPlanner struct {
	host     *stateward.Host
	layout   *backup.Layout
	desired  dataset.Desired
	faults   []dataset.Fault
	jobs     []restic.Planned
	asked    []sanoid.Replication
	running  []backup.Replication
	policies []backup.SnapshotPolicy
}

func newHostPlanner(h *stateward.Host) *hostPlanner {
	p := &hostPlanner{host: h, layout: backup.NewLayout(h)}
	p.desired, p.faults = dataset.NewDesired(h)
	p.jobs, _ = restic.Plan(h, false)
	p.asked, _ = sanoid.ReplicationsFromHost(h)
	p.running, _ = backup.Replications(h)
	p.policies, _ = backup.SnapshotPolicies(h)
	return p
}

func originOf(why stateward.Unknown) stateward.Origin {
	return stateward.Origin{Option: why.Subject, File: why.File, Line: why.Line}
}

func (o *Planned) fault(kind FaultKind, at stateward.Origin, hint, format string, args ...any) {
	f := Fault{kind, o.Service, fmt.Sprintf(format, args...), hint, at}
	if !slices.Contains(o.Faults, f) {
		o.Faults = append(o.Faults, f)
	}
}

func (o *Planned) note(kind FaultKind, at stateward.Origin, hint, format string, args ...any) {
	o.Notes = append(o.Notes, Fault{kind, o.Service, fmt.Sprintf(format, args...), hint, at})
}

// known is a value, or nothing; that it could not be had is a fault.
func known[T any](o *Planned, v stateward.Value[T]) (value T, there bool) {
	if why, unknown := v.Why(); unknown {
		o.fault(NotKnown, originOf(why), "stateward check says more of it", "%s is unknown: %s", why.Subject, cmp.Or(why.Summary(), string(why.Kind)))
	}
	return v.Get()
}

func (p *hostPlanner) plan(s *stateward.Service, all bool) Planned {
	d := s.Preseed
	o := Planned{Service: s.Name, Origin: d.Origin}
	if i := slices.IndexFunc(p.host.Units.Or(nil), func(u stateward.Unit) bool { return d.RunBy != "" && u.Name == d.RunBy && u.Enable.Or(true) }); i >= 0 {
		o.RunBy = d.RunBy
		if !all {
			return o
		}
	}
	if _, is := known(&o, s.Enable); !is {
		return o
	}
	if _, is := known(&o, d.Enable); !is {
		return o
	}
	// A field that is misspelt is a validator that is not asked, or a bound that nobody keeps.
	for _, why := range p.host.Unknown {
		if d.Origin.Option != "" && strings.HasPrefix(why.Subject, d.Origin.Option+".") {
			known(&o, stateward.NotKnown[bool](why))
		}
	}
	plan := Plan{ProtocolVersion: FormatVersion, Name: s.Name, Service: s.Name, OnNoBackup: Refuse}
	if policy, there := known(&o, d.OnNoBackup); there {
		plan.OnNoBackup = OnNoBackup(policy)
	}
	o.Reason, _ = known(&o, d.Reason)
	if plan.OnNoBackup == StartEmpty && strings.TrimSpace(o.Reason) == "" {
		o.fault(NoReason, d.OnNoBackup.Origin(), `write reason = "…", or onNoBackup = "refuse"`, "the service may start with nothing, and no reason is written for it")
	}
	for _, span := range []struct {
		v  stateward.Value[stateward.Duration]
		to *string
	}{{d.MaxAge, &plan.MaxAge}, {d.Timeout, &plan.Timeout}} {
		if v, there := known(&o, span.v); there {
			*span.to = v.String()
		}
	}
	plan.MinBytes, _ = known(&o, d.MinBytes)
	plan.SQLite, _ = known(&o, d.SQLite)
	plan.Command, _ = known(&o, d.Command)
	if len(plan.Command) > 0 && plan.Command[0] == "bash" {
		// Where it is differs: env is at one place everywhere.
		plan.Command = append([]string{"/usr/bin/env"}, plan.Command...)
	}
	plan.Staging, _ = known(&o, d.Staging)
	if m := p.host.BackupDefaults; m != nil {
		plan.MetricsDir, _ = known(&o, m.Settings["metricsDir"])
	}
	plan.Notify = p.notify(s)
	p.units(&o, &plan, s)
	if !p.dataset(&o, &plan, s) {
		return o
	}
	p.paths(&o, &plan, d)
	p.staging(&o, &plan)
	p.mayHold(&o, &plan)
	p.sources(&o, &plan, d)
	p.makers(&o, &plan)
	p.shared(&o, &plan)
	p.below(&o, &plan)
	if len(o.Faults) > 0 {
		return o
	}
	if err := plan.Validate(); err != nil {
		var e *PlanError
		text, hint := err.Error(), ""
		if errors.As(err, &e) {
			text, hint = e.Field+" "+e.Reason, e.hint
		}
		o.fault(NoPlan, d.Origin, hint, "%s", text)
		return o
	}
	o.Remote = plan.Remote(func(string) (restic.Job, error) { return *o.Job, nil })
	o.Plan = &plan
	return o
}

// NotifyUnits are the files of the units that the plans have started to send notifications, sorted.
func NotifyUnits(list []Planned) []string {
	var out []string
	for _, o := range list {
		if o.Plan == nil {
			continue
		}
		for _, template := range []string{o.Plan.Notify.OnSuccess, o.Plan.Notify.OnFailure} {
			if template != "" {
				out = append(out, backup.NotifyUnit(template, ""))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// units are those of the service, whichever dialect names them.
func (p *hostPlanner) units(o *Planned, plan *Plan, s *stateward.Service) {
	has := map[string]bool{}
	for _, u := range p.host.Units.Or(nil) {
		if u.Enable.Or(true) {
			has[u.Name] = true
		}
	}
	add := func(u string) {
		if !slices.Contains(plan.Units, u) {
			plan.Units = append(plan.Units, u)
		}
	}
	for _, u := range s.Units {
		// What a template makes an instance of is there where the template is.
		name, instance, _ := strings.Cut(u, "@")
		template := name + "@" + path.Ext(instance)
		if p.host.Units.IsKnown() && strings.HasSuffix(u, ".service") && !has[u] && !(instance != "" && has[template]) {
			o.fault(NoUnit, s.Origin, "name the units that run the service, in unit or units", "the host has no unit %s: what is to wait would not be there", u)
			continue
		}
		add(u)
	}
	if len(s.Units) == 0 {
		for _, other := range p.host.Services.Or(nil) {
			if other.Name == s.Name {
				for _, u := range other.Units {
					add(u)
				}
			}
		}
		for _, u := range []string{s.Name + ".service", "podman-" + s.Name + ".service", "docker-" + s.Name + ".service"} {
			if has[u] {
				add(u)
			}
		}
	}
	slices.Sort(plan.Units)
	if len(plan.Units) == 0 && len(o.Faults) == 0 {
		o.fault(NoUnit, s.Origin, "name them, in unit or units", "no unit of the service is known: nothing would wait for what is restored")
	}
}

// dataset finds that of the service, what is set on it, and where it is mounted.
func (p *hostPlanner) dataset(o *Planned, plan *Plan, s *stateward.Service) bool {
	if why, unknown := p.host.Datasets.Why(); unknown {
		o.fault(NotKnown, originOf(why), "stateward check says more of it", "which datasets there are is unknown: %s", cmp.Or(why.Summary(), string(why.Kind)))
		return false
	}
	name := ""
	if s.Dataset != nil {
		name = s.Dataset.Name
	}
	for _, w := range p.desired.Datasets {
		if name == "" && slices.Contains(w.Services, s.Name) {
			name = w.Name.String()
		}
	}
	if dir, there := s.DataDir.Get(); name == "" && there && dir.Problem == nil {
		lies := p.layout.Of(dir.Path)
		switch {
		case lies.Unknown != "":
			o.fault(NoDataset, s.DataDir.Origin(), "declare its dataset", "which dataset holds %s is unknown: %s", dir.Path, lies.Unknown)
			return false
		case lies.Dataset == "":
			o.fault(NoDataset, s.DataDir.Origin(), "declare its dataset", "%s lies on no dataset of ZFS (%s)", dir.Path, cmp.Or(lies.Other, "another file system"))
			return false
		case lies.Path != lies.Mount:
			o.fault(NoDataset, s.DataDir.Origin(), "give the service a dataset of its own", "%s lies in %s, with what else is there: whether the service's is empty is not for that to say", dir.Path, lies.Dataset)
			return false
		}
		name = lies.Dataset
	}
	if name == "" {
		o.fault(NoDataset, s.Origin, "give the service a dataset of its own", "the service has no dataset")
		return false
	}
	plan.Dataset = name
	i := slices.IndexFunc(p.desired.Datasets, func(w dataset.Wanted) bool { return w.Name.String() == name })
	if i < 0 {
		for _, f := range p.faults {
			if f.Dataset == name || f.Dataset == "" {
				o.fault(NoDataset, f.Origin, f.Hint, "dataset %s cannot be planned: %s", name, f.Message)
				return false
			}
		}
		o.fault(NoDataset, s.Origin, "stateward dataset plan says more of it", "dataset %s is not declared", name)
		return false
	}
	w := p.desired.Datasets[i]
	if w.Type == dataset.Volume {
		o.fault(NoDataset, w.Origin, "leave the preseed out", "%s is a volume: only file systems are filled", name)
		return false
	}
	at := ""
	for _, set := range w.Settings {
		switch set.Name() {
		case "mountpoint":
			at = set.Value()
		case "canmount":
		default:
			if plan.Properties == nil {
				plan.Properties = map[string]string{}
			}
			plan.Properties[set.Name()] = set.Text()
		}
	}
	for _, f := range slices.Concat(p.host.FileSystems.Or(nil), p.host.Mounts.Or(nil)) {
		if f.FSType.Or("") == "zfs" && f.Device.Or("") == name && f.MountPoint.Problem == nil && (at == "" || at == "legacy" || at == "none") {
			at = f.MountPoint.Path.String()
		}
	}
	if !strings.HasPrefix(at, "/") {
		o.fault(NoDataset, cmp.Or(w.Origin, s.Origin), "give it a mountpoint", "where dataset %s is mounted is not said", name)
		return false
	}
	plan.Mountpoint = at
	plan.Owner, plan.Group, plan.Mode = w.Owner.String(), w.Group.String(), w.Mode.String()
	return true
}

// paths are relative to the dataset.
func (p *hostPlanner) paths(o *Planned, plan *Plan, d *stateward.Preseed) {
	list, _ := known(o, d.Paths)
	for _, at := range list {
		if path.IsAbs(at) {
			if at = path.Clean(at); !within(plan.Mountpoint, at) || at == plan.Mountpoint {
				o.fault(NoPlan, d.Paths.Origin(), "write it as it is below "+plan.Mountpoint, "path %s is none within the dataset", at)
				continue
			}
			at = strings.TrimPrefix(at, plan.Mountpoint+"/")
		}
		plan.Paths = append(plan.Paths, path.Clean(at))
	}
}

// staging lies below what has the key of an encrypted dataset, and must not be snapshotted with the rest.
func (p *hostPlanner) staging(o *Planned, plan *Plan) {
	if plan.Staging == "" {
		root := ""
		for _, w := range p.desired.Datasets {
			name := w.Name.String()
			if !within(name, plan.Dataset) || name == plan.Dataset || w.Name.IsPool() {
				continue
			}
			_, format := w.Setting("keyformat")
			if on, is := w.Setting("encryption"); (is && on.Value() != "off" || format) && len(name) > len(root) {
				root = name
			}
		}
		_, own := plan.Properties["keyformat"]
		if root != "" && !own {
			plan.Staging = root + "/stateward-staging"
		}
	}
	for _, s := range p.policies {
		if s.Dataset == plan.StagingArea() {
			return // it has a policy of its own, which may be to leave it alone
		}
	}
	for _, s := range p.policies {
		if covers, sure := s.Covers(plan.StagingArea()); covers && sure {
			o.note(NoPlan, s.Origin, "leave it out there: autosnap = false and autoprune = false for "+plan.StagingArea(),
				"the staging area %s is in the recursive %s", plan.StagingArea(), &s)
			return
		}
	}
}

// mayHold is what tmpfiles make in the dataset with nothing in it, and the folders over which something else is mounted. Of a file with something in it nobody
// can tell whether it is from there.
func (p *hostPlanner) mayHold(o *Planned, plan *Plan) {
	inside := func(at string) (rel string, below bool) {
		return strings.CutPrefix(at, strings.TrimSuffix(plan.Mountpoint, "/")+"/")
	}
	var mounted []string
	add := func(at string) {
		if rel, below := inside(at); below && !slices.Contains(plan.MayHold, rel) {
			plan.MayHold = append(plan.MayHold, rel)
		}
	}
	mount := func(at string) {
		if _, below := inside(at); below {
			mounted = append(mounted, at)
		}
		add(at)
	}
	for _, f := range slices.Concat(p.host.FileSystems.Or(nil), p.host.Mounts.Or(nil)) {
		if on, sure := f.Enable.Get(); f.MountPoint.Problem == nil && (on || !sure) {
			mount(f.MountPoint.Path.String())
		}
	}
	for _, w := range p.desired.Datasets {
		if at, is := w.Setting("mountpoint"); is && strings.HasPrefix(at.Value(), "/") {
			mount(at.Value())
		}
	}
	for _, r := range p.host.Tmpfiles.Or(nil) {
		if r.At.Problem != nil {
			continue
		}
		at := r.At.Path.String()
		switch kind := strings.TrimRight(r.Type, "!-=~^$+?"); kind {
		case "d", "D", "v", "q", "Q", "L":
			add(at)
		case "f", "F", "C", "p", "c", "b":
			if text, given := r.Argument.Get(); (kind == "f" || kind == "F") && !r.Argument.IsUnknown() && (!given || text == "") {
				add(at)
				continue
			}
			if _, below := inside(at); below && !slices.ContainsFunc(mounted, func(top string) bool { return within(top, at) }) {
				o.note(NotEmpty, r.Origin, "let the service make it, before it starts", "tmpfiles makes %s (%s) in the dataset: with that in it it is not empty, and nothing is restored", at, r.Type)
			}
		}
	}
	slices.Sort(plan.MayHold)
}

// makers are the units of the host that make datasets, after which it is looked at.
func (p *hostPlanner) makers(o *Planned, plan *Plan) {
	check := dataset.UnitName
	if name, err := dataset.ParseName(plan.Dataset); err == nil {
		check = dataset.CheckUnit(name)
	}
	for _, u := range p.host.Units.Or(nil) {
		makes := slices.Contains(u.MakesDatasets.Or(nil), "zfs create") && u.Name != o.RunBy && !strings.HasPrefix(u.Name, UnitPrefix)
		before := slices.ContainsFunc(u.After.Or(nil), func(a string) bool { return slices.Contains(plan.Units, a) })
		if on := u.Enable.Or(true); on && !before && !slices.Contains(plan.Units, u.Name) && (makes || u.Name == check || u.Name == dataset.UnitName) {
			o.Datasets = append(o.Datasets, u.Name)
		}
		if u.Name == dataset.CheckTemplate {
			o.Datasets = append(o.Datasets, check)
		}
	}
	slices.Sort(o.Datasets)
	o.Datasets = slices.Compact(o.Datasets)
}

// shared are units that keep data in the dataset too, and would not wait: what they write into the empty one is taken for its data.
func (p *hostPlanner) shared(o *Planned, plan *Plan) {
	seen := map[string]bool{}
	add := func(unit, who string, at stateward.AbsPath, origin stateward.Origin) {
		lies := p.layout.Of(at)
		if lies.Unknown == "" && lies.Dataset == plan.Dataset && !slices.Contains(plan.Units, unit) && !seen[unit] && unit != o.RunBy && unit != plan.UnitName() {
			seen[unit] = true
			o.note(NoUnit, origin, "name it in units of "+plan.Service+", or give it a dataset of its own",
				"%s%s keeps data in the dataset too, at %s, and does not wait: what it writes there first is taken for all there is, and nothing is restored", unit, who, at)
		}
	}
	for _, other := range p.host.Services.Or(nil) {
		dir, there := other.DataDir.Get()
		if on, known := other.Enable.Get(); known && !on || !there || dir.Problem != nil {
			continue
		}
		who := ""
		if other.Name != plan.Service {
			who = " of " + other.Name
		}
		for _, u := range other.Units {
			if strings.HasSuffix(u, ".service") {
				add(u, who, dir.Path, other.DataDir.Origin())
			}
		}
	}
}

// below are datasets within this one, with which no other can take its place.
func (p *hostPlanner) below(o *Planned, plan *Plan) {
	for _, w := range p.desired.Datasets {
		name := w.Name.String()
		if !within(plan.Dataset, name) || name == plan.Dataset {
			continue
		}
		o.note(NoDataset, w.Origin, "give it a place beside "+plan.Dataset, "%s lies below the dataset: what is restored cannot take its place, and it is rolled back only while that is not mounted", name)
		return
	}
}
