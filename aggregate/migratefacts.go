package aggregate

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/redact"
	"github.com/stateward/stateward/internal/syntax/shell"
)

// RefusalKind tells why data is not migrated.
type RefusalKind string

// The kinds of refusals.
const (
	// ServiceUnknown is a service that the host does not have.
	ServiceUnknown RefusalKind = "service is unknown"
	// ServiceOff is a service that is off: nobody knows what its data would be.
	ServiceOff RefusalKind = "service is off"
	// NoDataset is a service for which no dataset is declared, or none that can be planned.
	NoDataset RefusalKind = "no dataset is declared"
	// SeveralDatasets is a service with several, of which none was chosen.
	SeveralDatasets RefusalKind = "several datasets are declared"
	// NoPlace is a dataset that does not say where it is mounted.
	NoPlace RefusalKind = "mountpoint is unknown"
	// NoData is a place at which no state of the service is known to lie.
	NoData RefusalKind = "data directory is unknown"
	// Migrated is a dataset that is mounted where it belongs: there is nothing to do.
	Migrated RefusalKind = "is migrated"
	// Populated is a dataset that holds data, or a mount that hides some.
	Populated RefusalKind = "destination is populated"
	// Persisted is a place that a persistence module mounts over as well (P4).
	Persisted RefusalKind = "path is persisted too"
	// MountedBelow is data of which a part is another mount.
	MountedBelow RefusalKind = "a mount lies below"
	// Mounted is data that is a mount of its own, which cannot be renamed.
	Mounted RefusalKind = "data is a mount"
	// Dynamic is a directory that DynamicUser keeps elsewhere (P3).
	Dynamic RefusalKind = "state is in /var/lib/private"
	// NoSpace is a pool that has not enough room for the copy.
	NoSpace RefusalKind = "not enough space"
	// InTheWay is a conflict of the dataset's own plan.
	InTheWay RefusalKind = "dataset cannot be made"
	// Unread is something that the configuration did not tell, and that could speak against it.
	Unread RefusalKind = "could not be read"
	// BadJob is a backup job that does not fit what was asked.
	BadJob RefusalKind = "backup job does not fit"
)

// MigrationError is one reason why data is not migrated, with the evidence.
type MigrationError struct {
	Kind    RefusalKind
	Service string
	// Message is the fault, Advice what to do, for people.
	Message string
	Advice  string
	// Evidence are what it was seen by: names, paths, mounts, options.
	Evidence []string
	Origin   stateward.Origin
}

func (e *MigrationError) Error() string { return e.Service + ": " + e.Message }

// Hint says what to do.
func (e *MigrationError) Hint() string { return e.Advice }

func joined(list []error) error { return errors.Join(list...) }

func (g *migrator) refuse(kind RefusalKind, origin stateward.Origin, advice string, evidence []string, format string, args ...any) error {
	err := &MigrationError{Kind: kind, Service: g.m.Service, Message: fmt.Sprintf(format, args...), Advice: advice, Evidence: evidence, Origin: origin}
	g.refusals = append(g.refusals, err)
	return err
}

func (g *migrator) unread(why stateward.Unknown, unknown bool) {
	if unknown {
		g.refuse(Unread, stateward.Origin{Option: why.Subject, File: why.File, Line: why.Line}, "mend it: it may mount or use what is to be moved", nil, "%s", why.Summary())
	}
}

// services are what the host says of the service, in whatever dialect.
func (g *migrator) services(name string) ([]stateward.Service, error) {
	all, ok := g.host.Services.Get()
	if why, unknown := g.host.Services.Why(); unknown {
		return nil, &MigrationError{Kind: Unread, Service: name, Message: why.Summary(), Advice: "mend it first", Origin: stateward.Origin{Option: why.Subject}}
	}
	var found []stateward.Service
	var there []string
	off := false
	for _, s := range all {
		on, known := s.Enable.Get()
		if s.Name == name {
			off = off || known && !on
			if on || !known {
				found = append(found, s)
			}
		} else if on && (s.Dataset != nil || slices.ContainsFunc(g.host.Datasets.Or(nil), func(d stateward.Dataset) bool { return holdsStateOf(&d, []stateward.Service{s}) })) {
			there = append(there, s.Name)
		}
	}
	slices.Sort(there)
	there = slices.Compact(there)
	if len(found) > 0 {
		for _, s := range found {
			g.unread(s.Enable.Why())
		}
		return found, joined(g.refusals)
	}
	advice := "none of its services that are on declares a dataset"
	if len(there) > 0 {
		advice = "services that declare one: " + strings.Join(there, ", ")
	}
	if !ok || !off {
		return nil, g.refuse(ServiceUnknown, stateward.Origin{}, advice, there, "%s has no such service", g.host.Name)
	}
	return nil, g.refuse(ServiceOff, stateward.Origin{}, "turn it on in the configuration first. "+advice, there, "the service is off on %s", g.host.Name)
}

// dataset chooses the dataset, and says where it is to be mounted.
func (g *migrator) dataset(services []stateward.Service) (dataset.Desired, error) {
	desired, faults := dataset.NewDesired(g.host)
	declared := map[string]stateward.Origin{}
	for _, s := range services {
		if s.Dataset != nil {
			declared[s.Dataset.Name] = s.Dataset.Origin
		}
	}
	for _, d := range g.host.Datasets.Or(nil) {
		if name, err := dataset.ParseObservedName(d.Name); holdsStateOf(&d, services) || err == nil && name == g.opts.Dataset {
			declared[d.Name] = d.Origin
		}
	}
	var list []dataset.Wanted
	var names []string
	for _, w := range desired.Datasets {
		_, theirs := declared[w.Name.String()]
		at, mounted := desired.MountPoint(w.Name)
		theirs = theirs || slices.Contains(w.Services, g.m.Service) || w.Name == g.opts.Dataset || mounted && keeps(services, at)
		if w.Role == dataset.Foreign || w.Implicit || !theirs {
			continue
		}
		names = append(names, w.Name.String())
		if g.opts.Dataset.IsZero() || w.Name == g.opts.Dataset {
			list = append(list, w)
		}
	}
	if len(list) == 0 {
		for _, f := range faults {
			if _, theirs := declared[f.Dataset]; theirs || f.Dataset == "" {
				g.refuse(NoDataset, f.Origin, f.Hint, []string{string(f.Kind)}, "its dataset cannot be planned: %s", strings.TrimPrefix(f.Error(), ": "))
			}
		}
		if len(g.refusals) == 0 {
			what := "no dataset is declared for it"
			if !g.opts.Dataset.IsZero() {
				what = "no dataset " + g.opts.Dataset.String() + " is declared"
			}
			g.refuse(NoDataset, stateward.Origin{}, "declare one, mounted where its data is; docs/datasets.md says how", names, "%s", what)
		}
		return desired, joined(g.refusals)
	}
	if len(list) > 1 {
		return desired, g.refuse(SeveralDatasets, list[0].Origin, "migrate one after the other: name it with --dataset, that of the outermost directory first", names,
			"%d datasets are declared for it: %s", len(list), strings.Join(names, ", "))
	}
	w := list[0]
	g.wanted = w
	g.m.Dataset, g.m.Owner, g.m.Group, g.m.Mode = w.Name, w.Owner, w.Group, w.Mode
	if c, ok := w.Setting("canmount"); ok {
		if c.Value() == "off" {
			return desired, g.refuse(NoPlace, w.Origin, "take canmount=off out", nil, "%s is never mounted: canmount=off", w.Name)
		}
		g.m.CanMount = c.Value()
	}
	mountpoint, ok := w.Setting("mountpoint")
	path, err := stateward.ParsePath(mountpoint.Value())
	if !ok || err != nil || path == stateward.Root {
		value := mountpoint.Value()
		if !ok {
			value = "inherited"
		}
		return desired, g.refuse(NoPlace, w.Origin, "give the dataset a mountpoint, the directory that holds the data now", []string{"mountpoint=" + value},
			"the mountpoint of %s is %s, and does not say where its data is", w.Name, value)
	}
	g.m.Path = path
	return desired, nil
}

// keeps tells whether state of a service lies at a path, or the path within such state.
func keeps(services []stateward.Service, at stateward.AbsPath) bool {
	for _, s := range services {
		paths, _ := s.StatePaths()
		for _, p := range paths {
			if !p.Path.IsZero() && !p.ReadOnly && (p.Path.Contains(at) || inPrivate(p.Path) == at) {
				return true
			}
		}
	}
	return false
}

// holdsStateOf tells whether a dataset is declared to be mounted where services keep their state, whatever else is wrong with it.
func holdsStateOf(d *stateward.Dataset, services []stateward.Service) bool {
	text, _ := d.MountPoint.Get()
	at, err := stateward.ParsePath(text)
	return err == nil && keeps(services, at)
}

// inPrivate is where DynamicUser keeps a directory of /var/lib.
func inPrivate(p stateward.AbsPath) stateward.AbsPath {
	rel, ok := varLib.Rel(p)
	if !ok {
		return stateward.AbsPath{}
	}
	private, _ := varLibPrivate.Join(rel)
	return private
}

// places compares what is to be moved with where the service keeps its state.
func (g *migrator) places(services []stateward.Service) {
	found := false
	var evidence []string
	for _, s := range services {
		paths, complete := s.StatePaths()
		if !complete {
			g.unread(s.State.Why())
		}
		if d, ok := s.DataDir.Get(); ok {
			paths = append(paths, stateward.StatePath{Entry: d, Source: stateward.SourceDataDir})
		}
		for _, p := range paths {
			at := p.Path
			if at.IsZero() || p.ReadOnly {
				continue
			}
			evidence = append(evidence, at.String())
			switch {
			case g.m.Path.Contains(at):
				found = true
			case at.Contains(g.m.Path):
				found = true
				g.elsewhere(at, string(p.Source), "what of it lies outside of "+g.m.Path.String()+" stays where it is")
			default:
				g.elsewhere(at, string(p.Source), "stays where it is")
			}
		}
	}
	slices.Sort(evidence)
	evidence = slices.Compact(evidence)
	slices.SortFunc(g.m.Elsewhere, func(a, b Elsewhere) int { return strings.Compare(a.Path.String(), b.Path.String()) })
	g.m.Elsewhere = slices.CompactFunc(g.m.Elsewhere, func(a, b Elsewhere) bool { return a.Path == b.Path })
	dynamic := newStorage(g.host)
	for p, unit := range dynamic.dynamic {
		if rel, ok := varLib.Rel(p); ok && (g.m.Path == p || g.m.Path.Below(p)) {
			private, _ := varLibPrivate.Join(rel)
			g.refuse(Dynamic, g.wanted.Origin, "give the dataset the mountpoint "+private.String()+": "+p.String()+" is a symbolic link that systemd makes", []string{unit, private.String()},
				"%s runs with DynamicUser, and keeps %s in %s", unit, p, private)
		}
		if rel, ok := varLib.Rel(p); ok {
			private, _ := varLibPrivate.Join(rel)
			found = found || g.m.Path.Contains(private) || private.Contains(g.m.Path)
		}
	}
	if !found && len(g.refusals) == 0 {
		advice := "nothing tells where it keeps its data: set dataDir in its contract"
		if len(evidence) > 0 {
			advice = "its state is at " + strings.Join(evidence, ", ") + ": mount the dataset there"
		}
		g.refuse(NoData, g.wanted.Origin, advice, evidence, "no state of it is known at %s, where %s is to be mounted", g.m.Path, g.m.Dataset)
	}
}

func (g *migrator) elsewhere(at stateward.AbsPath, origin, text string) {
	g.m.Elsewhere = append(g.m.Elsewhere, Elsewhere{at, origin, text})
}

// lie finds out where the data lies, and what is mounted there.
func (g *migrator) lie(desired dataset.Desired) {
	m := &g.m
	m.Source = m.Path
	g.unread(g.host.Persistence.Why())
	for _, r := range g.host.Persistence.Or(nil) {
		if on, known := r.Enable.Get(); known && !on {
			continue
		}
		root := persistenceRoot{PersistenceRoot: r}
		for e := range root.entries() {
			if e.Path.IsZero() {
				continue
			}
			line := e.Origin.Option
			if e.Origin.File != "" {
				line = fmt.Sprintf("%s (%s:%d)", line, e.Origin.File, e.Origin.Line)
			}
			switch {
			case e.Path == m.Path:
				g.refuse(Persisted, e.Origin, "take "+line+" out, and plan again with --observed: the data is then moved from where it is kept", []string{r.Option()},
					"%s is persisted in %s, and the bind mount and the dataset would hide one another (P4)", m.Path, r.Option())
			case e.Path.Below(m.Path):
				g.refuse(Persisted, e.Origin, "take "+line+" out", []string{r.Option()}, "%s, which lies in %s, is persisted in %s: a bind mount over a part of the dataset (P4)", e.Path, m.Path, r.Option())
			}
		}
	}
	for _, f := range g.host.FileSystems.Or(nil) {
		if f.MountPoint.Path.Below(m.Path) {
			g.refuse(MountedBelow, f.Origin, "unmount it, or give the dataset a place of its own", []string{f.MountPoint.Path.String()}, "%s is a file system of its own and lies in %s", f.MountPoint.Path, m.Path)
		}
	}
	for _, w := range desired.Datasets {
		if at, ok := desired.MountPoint(w.Name); ok && at.Below(m.Path) {
			m.Notes = append(m.Notes, fmt.Sprintf("%s is to be mounted at %s, which lies in the data: migrate it after this one", w.Name, at))
		}
	}
	if g.observed == nil {
		g.configured()
		return
	}
	var over *dataset.Mount
	for i := range g.observed.Mounts {
		t := &g.observed.Mounts[i]
		at, err := stateward.ParsePath(t.At)
		switch {
		case err != nil || t.Hidden:
		case at == m.Path:
			over = t
		case at.Below(m.Path):
			g.refuse(MountedBelow, stateward.Origin{}, "unmount it first, and see to it that nothing mounts it again", []string{t.At, t.Source}, "%s is mounted at %s, which lies in %s", t.Source, t.At, m.Path)
		}
	}
	if over != nil && over.Source == m.Dataset.String() && over.FSType == "zfs" && over.Root == "/" {
		for _, p := range g.observed.Places {
			if p.Path == m.Path.String() && p.Content == "populated" {
				g.refuse(Populated, g.wanted.Origin, "unmount the dataset, look what lies beneath, and which of the two is to stay", []string{p.Path},
					"%s is mounted at %s, and there is data beneath that it hides (P8)", m.Dataset, m.Path)
				return
			}
		}
		g.refuse(Migrated, g.wanted.Origin, "there is nothing to do", []string{over.At, over.Source}, "%s is mounted at %s already", m.Dataset, m.Path)
		return
	}
	if over != nil {
		source, ok := g.boundFrom(over)
		if !ok {
			g.refuse(Mounted, stateward.Origin{}, "a mount cannot be renamed: unmount it where it is no longer wanted, or move its data by hand", []string{over.Source, over.Root},
				"%s is mounted at %s, and is no directory that is bind-mounted there", over.Source, m.Path)
			return
		}
		m.Bound, m.Source = true, source
		m.Notes = append(m.Notes, fmt.Sprintf("%s is bind-mounted at %s. Switch to the configuration without that entry once this is done: until then a reboot mounts it over the dataset, or beneath it", source, m.Path))
	}
	if t := g.mountOf(m.Source); t != nil && t.FSType == "zfs" && t.Root == "/" {
		if n, err := dataset.ParseName(t.Source); err == nil {
			m.From = n
		}
	}
}

// mountOf is the mount that a path lies on.
func (g *migrator) mountOf(p stateward.AbsPath) *dataset.Mount {
	var found *dataset.Mount
	depth := -1
	for i := range g.observed.Mounts {
		t := &g.observed.Mounts[i]
		at, err := stateward.ParsePath(t.At)
		if err == nil && !t.Hidden && at.Contains(p) && len(t.At) >= depth {
			found, depth = t, len(t.At)
		}
	}
	return found
}

// boundFrom finds the directory that a bind mount shows, by a mount of the whole file system.
func (g *migrator) boundFrom(bind *dataset.Mount) (stateward.AbsPath, bool) {
	if bind.Root == "/" {
		return stateward.AbsPath{}, false
	}
	for i := range g.observed.Mounts {
		t := &g.observed.Mounts[i]
		if t.Hidden || t.Source != bind.Source || t.FSType != bind.FSType || t == bind {
			continue
		}
		top, err := stateward.ParsePath(t.At)
		within, err2 := stateward.ParsePath(t.Root)
		shown, err3 := stateward.ParsePath(bind.Root)
		if err != nil || err2 != nil || err3 != nil {
			continue
		}
		rel, ok := within.Rel(shown)
		if !ok || shown == within {
			continue
		}
		if source, ok := top.Join(rel); ok && g.mountOf(source) == t {
			return source, true
		}
	}
	return stateward.AbsPath{}, false
}

// configured finds the dataset that the data lies on, where `fileSystems` tells.
func (g *migrator) configured() {
	var deepest *stateward.FileSystem
	list := g.host.FileSystems.Or(nil)
	for i := range list {
		f := &list[i]
		if at := f.MountPoint.Path; !at.IsZero() && at.Contains(g.m.Source) && (deepest == nil || len(at.String()) > len(deepest.MountPoint.Path.String())) {
			deepest = f
		}
	}
	if deepest == nil || deepest.FSType.Or("") != "zfs" {
		return
	}
	if n, err := dataset.ParseName(deepest.Device.Or("")); err == nil {
		g.m.From = n
	}
}

// pool plans the dataset itself: unmounted, and kept from being mounted.
func (g *migrator) pool(desired dataset.Desired) {
	m := &g.m
	if g.observed != nil {
		if s, there := g.observed.Dataset(m.Dataset); there {
			m.GUID = s.GUID
			if p, ok := s.Properties["mounted"]; ok && p.Value == "yes" && len(g.refusals) == 0 {
				g.refuse(Populated, g.wanted.Origin, "unmount it, and look whether what it holds is needed", []string{"guid " + s.GUID}, "%s is there, and mounted at another place", m.Dataset)
			}
			if p, ok := s.Properties["keystatus"]; ok && p.Value == "unavailable" {
				g.refuse(InTheWay, g.wanted.Origin, "load it with zfs load-key", nil, "the key of %s is not loaded", m.Dataset)
			}
			m.Notes = append(m.Notes, m.Dataset.String()+" is there already: the run refuses it unless it holds nothing")
		}
		g.space()
	}
	plan := dataset.NewPlan(desired, g.cleared(), dataset.Options{Only: []dataset.Name{m.Dataset}})
	for _, c := range plan.Conflicts {
		if len(g.refusals) == 0 {
			g.refuse(InTheWay, c.Origin, c.Hint, []string{string(c.Kind)}, "%s: %s", c.Dataset, c.Message)
		}
	}
	for _, op := range plan.Ops {
		switch o := op.(type) {
		case *dataset.Create:
			if o.Dataset == m.Dataset {
				op = g.unmounted(o)
			}
		case *dataset.Set:
			if o.Dataset == m.Dataset && o.Setting.Name() == "canmount" {
				continue
			}
		case *dataset.Inherit:
		default:
			continue
		}
		g.plan.Ops = append(g.plan.Ops, op)
	}
}

// cleared is what was observed, as it will be once the data is out of the way: what lies at the mountpoint now would keep the dataset
// from being made.
func (g *migrator) cleared() *dataset.Observed {
	if g.observed == nil {
		return nil
	}
	o, at := *g.observed, g.m.Path.String()
	o.Mounts = slices.DeleteFunc(slices.Clone(o.Mounts), func(t dataset.Mount) bool { return t.At == at })
	o.Places = slices.DeleteFunc(slices.Clone(o.Places), func(p dataset.Place) bool { return p.Path == at })
	o.Places = append(o.Places, dataset.Place{Path: at, Kind: "directory", Content: "empty", Mode: "0000"})
	slices.SortFunc(o.Places, func(a, b dataset.Place) int { return strings.Compare(a.Path, b.Path) })
	return &o
}

// unmounted is a creation that nothing mounts before its time, and that carries the mark of the migration.
func (g *migrator) unmounted(c *dataset.Create) *dataset.Create {
	out := *c
	out.Settings = slices.DeleteFunc(slices.Clone(c.Settings), func(s dataset.Setting) bool { return s.Name() == "canmount" || s.Name() == MigrationMarker })
	for _, s := range [][2]string{{"canmount", "noauto"}, {MigrationMarker, g.m.ID}} {
		setting, err := dataset.ParseSetting(s[0], s[1], dataset.Filesystem)
		if err != nil {
			panic(err)
		}
		out.Settings = append(out.Settings, setting)
	}
	slices.SortFunc(out.Settings, dataset.CompareSetting)
	return &out
}

// space compares what the data takes with what is free, where both are known.
func (g *migrator) space() {
	pool, ok := g.observed.Pool(g.m.Dataset.Pool())
	if !ok || g.opts.Used == 0 {
		return
	}
	free, where := pool.Free, "pool "+pool.Name
	for n := g.m.Dataset; !n.IsZero(); n = n.Parent() {
		s, there := g.observed.Dataset(n)
		if !there {
			continue
		}
		if size, err := dataset.ParseSize(s.Properties["available"].Value); err == nil {
			free, where = size, n.String()
		}
		break
	}
	if need := g.opts.Used + g.opts.Used/20; free < need {
		g.refuse(NoSpace, g.wanted.Origin, "make room, or give it a larger quota: the old data is kept, so both are there for a time", []string{where, free.String()},
			"the data takes %s, and %s has %s", g.opts.Used, where, free)
	}
}

// units finds who uses the data.
// What podman takes where a container's healthcheck leaves it out, in seconds.
const (
	healthInterval = 30
	healthTimeout  = 30
	healthRetries  = 3
)

// health is how to see whether the service works: what was asked for, or the healthCheck that it declares.
func (g *migrator) health(services []stateward.Service) {
	h := MigrationHealth{Command: g.opts.Health, Interval: healthInterval, Timeout: healthTimeout, Retries: healthRetries}
	hidden := func(origin stateward.Origin, why string) {
		g.m.Notes = append(g.m.Notes, fmt.Sprintf("%s %s, so it is only looked whether the units stay up: --health gives a command", origin.Option, why))
	}
	for _, s := range services {
		c := s.HealthCheck
		if c == nil {
			continue
		}
		seconds := func(v stateward.Value[stateward.Duration], otherwise int) int {
			if d, ok := v.Get(); ok {
				return int((d.Std() + time.Second - 1) / time.Second)
			}
			return otherwise
		}
		h.Interval, h.Timeout, h.StartPeriod = max(1, seconds(c.Interval, healthInterval)), max(1, seconds(c.Timeout, healthTimeout)), seconds(c.StartPeriod, 0)
		h.Retries = c.Retries.Or(healthRetries)
		if h.Command != "" {
			break
		}
		command, ok := c.Command.Get()
		switch {
		case !ok:
			hidden(c.Origin, "has no command that could be read")
		case strings.Contains(command, redact.Hidden):
			hidden(c.Origin, "has a secret in its command, which is not carried into a plan")
		default:
			h.Command = g.inContainer(command)
		}
		break
	}
	if h.Command != "" {
		g.m.Health = &h
	}
}

// inContainer has the command run where podman or docker would run it, if the service is a container.
func (g *migrator) inContainer(command string) string {
	for _, u := range g.m.Units {
		for _, engine := range []string{"podman", "docker"} {
			name, ok := strings.CutPrefix(strings.TrimSuffix(u, ".service"), engine+"-")
			if !ok {
				continue
			}
			if line, err := shell.Command(engine, "exec", name, "sh", "-c", command); err == nil {
				return line
			}
		}
	}
	return command
}

func (g *migrator) units(services []stateward.Service) {
	m := &g.m
	g.unread(g.host.Units.Why())
	byService := unitsByService(g.host)
	own := map[string]bool{}
	for _, s := range services {
		list := slices.Concat(byService[s.Name], s.Units)
		for _, prefix := range []string{"podman-", "docker-"} {
			if g.hasUnit(prefix + s.Name + ".service") {
				list = append(list, prefix+s.Name+".service")
			}
		}
		for _, u := range list {
			own[u] = true
		}
	}
	m.Units = append(m.Units, sortedKeys(own)...)
	sharers := map[string]*Sharer{}
	share := func(name, why string, units []string) {
		units = slices.DeleteFunc(slices.Clone(units), func(u string) bool { return own[u] })
		if name == m.Service || len(units) == 0 {
			return
		}
		if sharers[name] == nil {
			sharers[name] = &Sharer{Service: name, Why: why}
		}
		sharers[name].Units = append(sharers[name].Units, units...)
	}
	within := func(p stateward.AbsPath) bool {
		if rel, ok := varLibPrivate.Rel(m.Path); ok {
			if public, ok := varLib.Join(rel); ok && public.Contains(p) {
				return true
			}
		}
		return !p.IsZero() && m.Path.Contains(p)
	}
	for _, s := range g.host.Services.Or(nil) {
		if on, known := s.Enable.Get(); known && !on {
			continue
		}
		paths, _ := s.StatePaths()
		for _, p := range paths {
			strict := p.Source == stateward.SourceDataDir || p.Source == stateward.SourceVolume || p.Source == stateward.SourceStateDirectory
			if within(p.Path) || strict && p.Path.Contains(m.Path) && !p.Path.IsZero() {
				units := append(slices.Clone(byService[s.Name]), s.Units...)
				share(s.Name, fmt.Sprintf("%s of it is %s", p.Source, p.Path), units)
			}
		}
		for _, p := range s.BackupPaths.Or(nil) {
			if within(p.Path) {
				share(s.Name, "it has "+p.Path.String()+" backed up", byService[s.Name])
			}
		}
	}
	for _, u := range g.host.Units.Or(nil) {
		if on, known := u.Enable.Get(); known && !on || strings.HasPrefix(u.Name, "systemd-") {
			continue
		}
		name := strings.TrimSuffix(u.Name, ".service")
		for _, d := range u.StateDirectory.Or(nil) {
			if p, _, ok := stateward.StateDirectoryPath(u.Name, d); ok && within(p) {
				share(name, "StateDirectory of it is "+p.String(), []string{u.Name})
			}
		}
		for _, d := range u.ReadWritePaths.Or(nil) {
			if p, err := stateward.ParsePath(strings.TrimLeft(d, "-+")); err == nil && within(p) {
				share(name, "it writes to "+p.String(), []string{u.Name})
			}
		}
		for _, user := range g.host.Users.Or(nil) {
			if home, err := stateward.ParsePath(user.Home.Or("")); err == nil && within(home) && u.User.Or(stateward.Owner{}).String() == user.Name && user.Name != "" {
				share(name, "it runs as "+user.Name+", whose home is "+home.String(), []string{u.Name})
			}
		}
	}
	for _, name := range sortedKeys(sharers) {
		s := sharers[name]
		slices.Sort(s.Units)
		s.Units = slices.Compact(s.Units)
		m.Sharers = append(m.Sharers, *s)
		for _, u := range s.Units {
			if !slices.Contains(m.Units, u) {
				m.Units = append(m.Units, u)
			}
		}
	}
	// One that is a template has no state of its own, and cannot be stopped by that name.
	m.Units = slices.DeleteFunc(m.Units, func(u string) bool { return strings.Contains(u, "@.") })
	if len(m.Units) == 0 {
		m.Unmet = append(m.Unmet, Unmet{Message: "no unit of " + m.Service + " is known, so nothing can be stopped", Hint: "name it in its contract (unit)", Origin: g.wanted.Origin})
	}
}

func (g *migrator) hasUnit(name string) bool {
	return slices.ContainsFunc(g.host.Units.Or(nil), func(u stateward.Unit) bool { return u.Name == name })
}

func sortedKeys[T any](m map[string]T) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// job finds the restic job that has the data, before and after.
func (g *migrator) job(services []stateward.Service) {
	m := &g.m
	var jobs, left []stateward.Job
	var why []string
	var names []string
	for _, j := range backup.RawJobs(g.host) {
		covers, old := false, false
		for _, e := range j.Paths.Or(nil) {
			covers = covers || !e.Path.IsZero() && e.Path.Contains(m.Path)
			old = old || !e.Path.IsZero() && e.Path.Contains(m.Source)
		}
		switch {
		case j.Engine != "restic":
			if covers {
				why = append(why, fmt.Sprintf("job %s is not known to be restic's (its engine is %s)", j.Name, j.Engine))
			}
		case covers:
			names = append(names, j.Name)
			if g.opts.Job == "" || g.opts.Job == j.Name {
				jobs = append(jobs, j)
			}
		case old:
			left = append(left, j)
			why = append(why, fmt.Sprintf("job %s reads %s, and will not find the data there", j.Name, m.Source))
		case j.Paths.IsUnknown():
			why = append(why, fmt.Sprintf("what job %s reads is unknown", j.Name))
		}
		if (covers || old) && strings.HasPrefix(j.Origin.Option, "services.restic.backups.") {
			m.Timers = append(m.Timers, "restic-backups-"+j.Name+".timer")
		}
	}
	slices.Sort(m.Timers)
	m.Timers = slices.Compact(m.Timers)
	for _, j := range left {
		m.Notes = append(m.Notes, fmt.Sprintf("job %s reads %s, which is renamed: let it read %s from now on", j.Name, m.Source, m.Path))
	}
	if m.NoBackup != "" {
		return
	}
	if g.opts.Job != "" && len(jobs) == 0 {
		g.refuse(BadJob, stateward.Origin{}, "restic jobs that read "+m.Path.String()+": "+strings.Join(names, ", "), names, "no restic job %s reads %s", g.opts.Job, m.Path)
		return
	}
	if len(jobs) == 0 {
		if why == nil {
			why = []string{"none reads " + m.Path.String()}
		}
		m.Unmet = append(m.Unmet, Unmet{Message: "no restic job is known that will have the data: " + strings.Join(why, "; "),
			Hint: "declare one, or say with --no-backup why there need be none", Origin: g.wanted.Origin})
		return
	}
	slices.SortStableFunc(jobs, func(a, b stateward.Job) int { return strings.Compare(a.Name, b.Name) })
	j := jobs[0]
	if len(jobs) > 1 {
		m.Notes = append(m.Notes, fmt.Sprintf("jobs %s read the data; the first is used, and --job names another", strings.Join(names, ", ")))
	}
	unmet := func(hint, format string, args ...any) {
		m.Unmet = append(m.Unmet, Unmet{Message: fmt.Sprintf("job "+j.Name+" "+format, args...), Hint: hint, Origin: j.Origin})
	}
	job := &MigrationJob{Name: j.Name, User: j.User.Or(stateward.Owner{}).String(), Repository: j.Repository.Or(""), RepositoryFile: j.RepositoryFile.Or(stateward.FileRef{}).Text,
		PasswordFile: j.PasswordFile.Or(stateward.FileRef{}).Text, EnvironmentFile: j.EnvironmentFile.Or(stateward.FileRef{}).Text, RecordedAs: m.Path,
		Tag: "pre-migration-" + m.Service, Selects: m.Path}
	m.Job = job
	if strings.HasPrefix(j.Origin.Option, "services.restic.backups.") {
		job.Unit = "restic-backups-" + j.Name + ".service"
		for _, e := range j.Paths.Or(nil) {
			if !e.Path.IsZero() && e.Path.Contains(m.Path) {
				job.Selects = e.Path
			}
		}
	}
	excluded, known := j.Exclude.Get()
	job.Whole = j.Exclude.IsAbsent() || known && len(excluded) == 0
	for _, v := range []interface {
		Why() (stateward.Unknown, bool)
	}{j.Repository, j.RepositoryFile, j.PasswordFile, j.EnvironmentFile} {
		if u, unknown := v.Why(); unknown {
			unmet("mend it, or say with --no-backup why there need be none", "cannot be read as a whole: %s", u.Summary())
		}
	}
	switch {
	case job.Repository == "" && job.RepositoryFile == "" && job.EnvironmentFile == "":
		unmet("give it one", "names no repository")
	case job.PasswordFile == "" && job.EnvironmentFile == "":
		unmet("give it a passwordFile", "names no password file")
	case inlineSecret(job.Repository):
		job.Repository = ""
		unmet("use repositoryFile, or an environmentFile", "has a password within its repository, which would stand in this plan (R11)")
	}
	if !g.opts.RecordedAs.IsZero() {
		job.RecordedAs, job.Selects = g.opts.RecordedAs, stateward.AbsPath{}
	} else if d := j.Dataset.Or(""); d != "" || j.Dataset.IsUnknown() {
		if d != m.Dataset.String() {
			unmet("let it read the new dataset", "reads a snapshot of dataset %s, where the data will not be", d)
		} else {
			unmet("say with --recorded-as which path the data has within it", "reads a snapshot, and what path that is recorded under is not known (R2)")
		}
	}
}

// inlineSecret tells whether a repository holds a password: rest:https://user:password@host/.
func inlineSecret(repository string) bool {
	_, rest, ok := strings.Cut(repository, "://")
	if !ok {
		return false
	}
	authority, _, _ := strings.Cut(rest, "/")
	at := strings.LastIndexByte(authority, '@')
	return at >= 0 && strings.Contains(authority[:at], ":")
}
