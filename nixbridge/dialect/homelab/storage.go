package homelab

import (
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// creator is the unit, in older trees the activation script, that creates the datasets and sets their properties.
const creator = "zfs-service-datasets"

// readStorage reads `modules.storage.datasets`, the services, those whose datasets these are first, and
// `modules.storage.protection`.
func readStorage(n *dialect.Node, h *stateward.Host) {
	storage := n.At("modules", "storage", "datasets")
	if !storage.Exists() {
		readServices(n, h, nil, nil)
		return
	}
	if off(storage) {
		n.At("modules", "storage", "protection").Ignore()
		readServices(n, h, nil, nil)
		return
	}
	made := makes(n)
	list := []stateward.Dataset{}
	add := func(d stateward.Dataset) stateward.Dataset {
		d.Asked = !made
		if why, unknown := storage.At("enable").Bool().Why(); unknown {
			d.CanMount = stateward.NotKnown[string](why)
		}
		list = append(list, d)
		return d
	}
	lost := func(why stateward.Unknown) {
		dialect.MergeWhole(&h.Datasets, stateward.NotKnown[[]stateward.Dataset](why))
	}

	utility, services := storage.At("utility"), storage.At("services")
	for _, a := range utility.Attrs() {
		add(dataset(a.Name, a.Node, a.Node.At("mountpoint").Text()))
	}
	parent := storage.At("parentDataset")
	above := parent.Filled()
	if len(services.Attrs()) > 0 && !above.IsKnown() {
		why, unknown := above.Why()
		if !unknown {
			why = parent.Wrong(stateward.UnknownForm, "has no value: the datasets of services have no names")
		}
		lost(why)
	}
	var contracts []stateward.Service
	stored := map[string]bool{}
	for _, a := range services.Attrs() {
		stored[a.Name] = true
		// What the service says besides does not hang on the name of its dataset.
		var own *stateward.Dataset
		var p *stateward.Protection
		if dir, named := above.Get(); named {
			d := dataset(dir+"/"+a.Name, a.Node, serviceMount(storage, a))
			d.For = a.Name
			d = add(d)
			own, p = &d, d.Protection
		} else {
			p = protection(a.Node.At("protection"))
		}
		if s, ok := service(a.Name, n.At("modules", "services", a.Name), own, p); ok {
			contracts = append(contracts, s)
		}
	}
	for _, part := range []*dialect.Node{storage, utility, services} {
		if why := unread(part); why != nil {
			lost(*why)
			if part != utility {
				dialect.Merge(&h.Services, stateward.NotKnown[[]stateward.Service](*why))
			}
		}
	}
	external(n.At("modules", "storage", "protection", "externalDatasets"), h, &list)
	if len(list) > 0 {
		dialect.MergeWhole(&h.Datasets, stateward.Known(list, storage.Origin()))
	}
	readServices(n, h, stored, contracts)
}

// readServices adds the services that have a data directory and no dataset of their name to those that have one: what
// no dataset holds is at risk.
func readServices(n *dialect.Node, h *stateward.Host, stored map[string]bool, list []stateward.Service) {
	all := n.At("modules", "services")
	for _, a := range all.Attrs() {
		if stored[a.Name] {
			continue
		}
		if s, ok := service(a.Name, a.Node, nil, nil); ok && !s.DataDir.IsAbsent() && !named(h, &s) {
			list = append(list, s)
		}
	}
	if len(list) > 0 {
		dialect.Merge(&h.Services, stateward.Known(list, all.Origin()))
	}
	if why := unread(all); why != nil {
		dialect.Merge(&h.Services, stateward.NotKnown[[]stateward.Service](*why))
	}
}

// named tells whether a unit or a stock service of another name, which is on, has a service's directory as its own: that is
// the same state, and one place.
func named(h *stateward.Host, s *stateward.Service) bool {
	dir, ok := s.DataDir.Get()
	return ok && dir.Problem == nil && slices.ContainsFunc(h.Services.Or(nil), func(other stateward.Service) bool {
		if other.Name == s.Name || !other.Enable.Or(false) {
			return false
		}
		paths, _ := other.StatePaths()
		return slices.ContainsFunc(paths, func(p stateward.StatePath) bool {
			own := p.Source == stateward.SourceStateDirectory || p.Source == stateward.SourceDataDir
			return own && p.Problem == nil && !p.Pattern && !p.ReadOnly && p.Path == dir.Path
		})
	})
}

// makes tells whether something of the configuration creates what is declared: a declaration alone makes nothing (D1).
func makes(n *dialect.Node) bool {
	if unit := n.At("systemd", "services", creator); unit.Kind() == dialect.Attrs {
		on, known := unit.At("enable").Bool().Get()
		if known && on || unit.At("enable").Bool().IsAbsent() {
			return true
		}
	}
	k := n.At("system", "activationScripts", creator).Kind()
	return k != dialect.Absent && k != dialect.Unknown
}

// serviceMount is the mount point of a service's dataset: below `parentMount`, unless it names one.
func serviceMount(storage *dialect.Node, a dialect.Entry) stateward.Value[string] {
	at := a.Node.At("mountpoint").Text()
	if !at.IsAbsent() {
		return at
	}
	parent := storage.At("parentMount")
	if v := parent.Filled(); !v.IsAbsent() {
		return stateward.MapValue(v, func(dir string) (string, error) { return strings.TrimRight(dir, "/") + "/" + a.Name, nil })
	}
	return stateward.NotKnown[string](parent.Wrong(stateward.UnknownForm, "has no value, and %s has no mountpoint", a.Node.Path()))
}

// dataset reads what the services and the utility datasets have alike. `properties` are set last, and may hold the mount
// point too.
func dataset(name string, n *dialect.Node, mountPoint stateward.Value[string]) stateward.Dataset {
	d := stateward.Dataset{Name: name, MountPoint: mountPoint, Properties: map[string]stateward.Value[string]{}, Origin: n.Origin()}
	for _, p := range []string{"recordsize", "compression"} {
		if v := n.At(p).Filled(); !v.IsAbsent() {
			d.Properties[p] = v
		}
	}
	properties := n.At("properties")
	for _, p := range properties.Attrs() {
		if v := p.Node.Scalar(); !v.IsAbsent() {
			d.Properties[p.Name] = v
		}
	}
	if v, ok := d.Properties["mountpoint"]; ok {
		d.MountPoint = v
	}
	d.CanMount = d.Properties["canmount"]
	if why := unread(properties); why != nil {
		d.MountPoint, d.CanMount = stateward.NotKnown[string](*why), stateward.NotKnown[string](*why)
	}
	if why := unread(n); why != nil {
		d.MountPoint = stateward.NotKnown[string](*why)
	}
	d.Protection = protection(n.At("protection"))
	if at := d.MountPoint.Or(""); at == "none" || at == "legacy" {
		return d // nothing is mounted that could be owned
	}
	owner := func(n *dialect.Node) stateward.Value[stateward.Owner] {
		return dialect.Understood(n, n.Filled(), stateward.ParseOwner)
	}
	mode := n.At("mode")
	d.Owner, d.Group = owner(n.At("owner")), owner(n.At("group"))
	d.Mode = dialect.Understood(mode, mode.Filled(), stateward.ParseMode)
	return d
}

// service reads the service of the module tree that has the name of a dataset, which is nil where it has no known name itself.
func service(name string, n *dialect.Node, d *stateward.Dataset, p *stateward.Protection) (stateward.Service, bool) {
	enable := n.At("enable").Bool()
	if enable.IsAbsent() || name == "backup" {
		return stateward.Service{}, false // something else of that name, or nothing
	}
	s := stateward.Service{Name: name, Dialect: Name, Origin: n.Origin(), Enable: enable, Dataset: d, Protection: p}
	if off(n) {
		s.State = stateward.Known([]stateward.StatePath{}, s.Origin)
		return s, true
	}
	owner := func(n *dialect.Node) stateward.Value[stateward.Owner] {
		return dialect.Understood(n, n.Filled(), stateward.ParseOwner)
	}
	s.User, s.Group = owner(n.At("user")), owner(n.At("group"))
	dataDir := n.At("dataDir")
	s.DataDir = stateward.MapValue(dataDir.Filled(), func(text string) (stateward.Entry, error) {
		return stateward.NewEntry(text, stateward.Directory, dataDir.Origin()), nil
	})
	var l dialect.StateList
	if dir, ok := s.DataDir.Get(); ok {
		l.Add(dir, stateward.SourceDataDir)
	} else if why, unknown := s.DataDir.Why(); unknown {
		l.Lost(why)
	}
	l.Fill(&s)
	s.Preseed = preseed(name, n.At("preseed"))
	return s, true
}

// preseed reads how the module fills the dataset of a service where it is empty. Its unit starts the service with nothing in no case.
func preseed(name string, n *dialect.Node) *stateward.Preseed {
	unread(n)
	switch n.Kind() {
	case dialect.Attrs, dialect.Unknown:
	default:
		return nil
	}
	p := &stateward.Preseed{Enable: n.At("enable").Bool(), RunBy: "preseed-" + name + ".service", Origin: n.Origin()}
	if off(n) || p.Enable.IsAbsent() {
		return nil
	}
	p.Sources, p.Repository = dialect.PreseedSources(n.At("restoreMethods")), n.At("repositoryUrl").Filled()
	return p
}

// external reads what protection is asked for datasets that are made elsewhere.
func external(n *dialect.Node, h *stateward.Host, list *[]stateward.Dataset) {
	for _, a := range n.Attrs() {
		p := protection(a.Node.At("protection"))
		known := false
		for _, ds := range [][]stateward.Dataset{*list, h.Datasets.Or(nil)} {
			if i := slices.IndexFunc(ds, func(d stateward.Dataset) bool { return d.Name == a.Name }); i >= 0 && !known {
				known = true
				if ds[i].Protection == nil {
					ds[i].Protection = p
				}
			}
		}
		if !known {
			*list = append(*list, stateward.Dataset{
				Name: a.Name, MountPoint: a.Node.At("mountpoint").Filled(), Asked: true, Protection: p, Origin: a.Node.Origin(),
			})
		}
	}
}

// tiers are the survival tiers that satisfy what is required; the others are proofs of a restore, and no copies.
var tiers = map[string]stateward.Tier{
	"local-snapshot": stateward.TierRollback, "replication": stateward.TierDisk, "nas-backup": stateward.TierDisk,
	"offsite-backup": stateward.TierSite, "automated-restore": stateward.TierRebuild,
}

// protection reads a protection policy. What has no tier of its own is kept raw.
func protection(n *dialect.Node) *stateward.Protection {
	if unread(n); n.Kind() != dialect.Attrs {
		return nil
	}
	p := &stateward.Protection{RPO: map[stateward.Tier]stateward.Value[stateward.Duration]{}, Settings: map[string]stateward.Value[string]{}, Origin: n.Origin()}
	set := func(name string, v stateward.Value[string]) {
		if !v.IsAbsent() {
			p.Settings[name] = v
		}
	}
	required := n.At("requiredTiers").Strings()
	for _, name := range required.Or(nil) {
		if t, ok := tiers[name]; ok && !slices.Contains(p.Tiers, t) {
			p.Tiers = append(p.Tiers, t)
		}
	}
	set("requiredTiers", stateward.MapValue(required, func(list []string) (string, error) { return strings.Join(list, " "), nil }))
	objectives := n.At("objectives")
	for _, o := range []struct {
		name string
		of   []stateward.Tier
	}{
		// Any copy in the house may reach it: each that is required is held to it.
		{"onsiteRpoSeconds", []stateward.Tier{stateward.TierRollback, stateward.TierDisk}},
		{"offsiteRpoSeconds", []stateward.Tier{stateward.TierSite}},
	} {
		at := objectives.At(o.name)
		v := dialect.Understood(at, at.Int(), func(seconds int) (stateward.Duration, error) {
			return stateward.ParseDuration(strconv.Itoa(seconds) + "s")
		})
		for _, t := range o.of {
			if !v.IsAbsent() && slices.Contains(p.Tiers, t) {
				p.RPO[t] = v
			}
		}
		set(o.name, stateward.MapValue(v, func(stateward.Duration) (string, error) { return at.Scalar().Or(""), nil }))
	}
	set("rtoSeconds", objectives.At("rtoSeconds").Scalar())
	for _, name := range []string{"class", "consistency", "allowEmptyBootstrap"} {
		set(name, n.At(name).Scalar())
	}
	set("mechanism", n.At("mechanism", "name").Filled())
	return p
}
