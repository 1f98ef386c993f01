package dataset

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// Role is what a declared dataset is there for.
type Role string

// The roles.
const (
	// Service holds the data of a service.
	Service Role = "service"
	// Utility is any other dataset that the configuration asks for by its full name.
	Utility Role = "utility"
	// Container only holds others: mountpoint=none, canmount=off.
	Container Role = "container"
	// Foreign is another's to make and to change: disko's, or one of `fileSystems`. It is known, and never touched.
	Foreign Role = "foreign"
)

// Desired are the datasets that a configuration wants, in the order of [CompareName]; none is named twice.
type Desired struct {
	Datasets []Wanted `json:"datasets"`
	// Claims are places where something is to be mounted that is none of these, in the order of their paths: what
	// `fileSystems` and `systemd.mounts` name, and the datasets whose declarations are at fault. As long as nothing is mounted
	// there, nothing is mounted beneath, where it would be hidden later.
	Claims []Claim `json:"claims,omitempty"`
}

// Claim is a place where something is to be mounted.
type Claim struct {
	Path stateward.AbsPath `json:"path"`
	// Dataset is unset for what is no dataset of ours.
	Dataset Name `json:"dataset,omitzero"`
	// By is the dataset, or the option that asks for it.
	By string `json:"by"`
}

// Wanted is one dataset that a configuration wants.
type Wanted struct {
	Name Name `json:"name"`
	Role Role `json:"role"`
	// Type is [Volume] for a volume, and unset for a file system. A volume has a volsize among its settings, and neither a
	// mountpoint nor an owner.
	Type Types `json:"type,omitzero"`
	// Implicit tells that no declaration names it: a [Container] that a declared dataset needs above it. It is made where
	// it is missing; where it is there, nothing of it is changed.
	Implicit bool `json:"implicit,omitempty"`
	// Settings are the properties that the configuration gives it, in the order of their names, `mountpoint` and `canmount`
	// among them. What is not given is left as it is.
	Settings []Setting `json:"settings,omitempty"`
	// Inherit are the properties whose own value is to be taken back, in order. [NewDesired] makes none: what a
	// configuration does not name is left alone (D4).
	Inherit []string `json:"inherit,omitempty"`
	// Owner, Group and Mode are those of the directory at the top of the mounted file system; unset where not given.
	Owner stateward.Owner `json:"owner,omitzero"`
	Group stateward.Owner `json:"group,omitzero"`
	Mode  stateward.Mode  `json:"mode,omitzero"`
	// Services are the names of the services whose data it holds, sorted.
	Services []string         `json:"services,omitempty"`
	Origin   stateward.Origin `json:"origin,omitzero"`
}

// types is what it is to be.
func (w *Wanted) types() Types { return cmp.Or(w.Type, Filesystem) }

// Setting finds a setting by the name of its property.
func (w *Wanted) Setting(property string) (Setting, bool) {
	i := slices.IndexFunc(w.Settings, func(s Setting) bool { return s.name == property })
	if i < 0 {
		return Setting{}, false
	}
	return w.Settings[i], true
}

// wantedJSON is a Wanted without what has no JSON form of its own.
type wantedJSON struct {
	wantedFields
	Owner string `json:"owner,omitempty"`
	Group string `json:"group,omitempty"`
	Mode  string `json:"mode,omitempty"`
}

type wantedFields Wanted

// MarshalJSON writes owner, group and mode as texts.
func (w Wanted) MarshalJSON() ([]byte, error) {
	return json.Marshal(wantedJSON{wantedFields(w), w.Owner.String(), w.Group.String(), w.Mode.String()})
}

// UnmarshalJSON reads what MarshalJSON writes; what cannot be parsed is an error.
func (w *Wanted) UnmarshalJSON(b []byte) (err error) {
	var j wantedJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*w = Wanted(j.wantedFields)
	w.Owner, w.Group, w.Mode, err = parseOwnership(j.Owner, j.Group, j.Mode)
	return err
}

func parseOwnership(owner, group, mode string) (o, g stateward.Owner, m stateward.Mode, err error) {
	if owner != "" {
		if o, err = stateward.ParseOwner(owner); err != nil {
			return o, g, m, err
		}
	}
	if group != "" {
		if g, err = stateward.ParseOwner(group); err != nil {
			return o, g, m, err
		}
	}
	if mode != "" {
		m, err = stateward.ParseMode(mode)
	}
	return o, g, m, err
}

// NewDesired reads the datasets that a host declares. What cannot be parsed, is unknown, or contradicts something is a
// [Fault], and neither that dataset nor one that lies in it is in Desired: nothing is guessed.
//
// Datasets of disko (`disko.devices.zpool`), those that `fileSystems` mounts, and what a declaration itself calls external
// are [Foreign]. A dataset that is declared here and is foreign as well is a fault (D8), but for one with
// mountpoint=legacy that `fileSystems` mounts: there the mount is theirs, and the dataset ours. Where a pool's own root
// dataset is declared, it is only set, and never made.
func NewDesired(h *stateward.Host) (Desired, []Fault) {
	d := &declarations{host: h, byName: map[Name]*declared{}, faulty: map[Name]bool{}, services: map[stateward.Origin][]string{}}
	if why, unknown := h.Datasets.Why(); unknown {
		d.fault(unknownFault("", "", why))
		return Desired{}, d.faults
	}
	if why, unknown := h.FileSystems.Why(); unknown && len(h.Datasets.Or(nil)) > 0 {
		f := unknownFault("", "", why)
		f.Message = "fileSystems is unknown, and it may mount or own any of the datasets: " + f.Message
		d.fault(f)
		return Desired{}, d.faults
	}
	if why, unknown := h.Mounts.Why(); unknown && len(h.Datasets.Or(nil)) > 0 {
		f := unknownFault("", "", why)
		f.Message = "systemd.mounts is unknown, and it may mount where a dataset belongs: " + f.Message
		d.fault(f)
	}
	for _, s := range h.Services.Or(nil) {
		if on, known := s.Enable.Get(); s.Dataset != nil && (on || !known) {
			d.services[s.Dataset.Origin] = append(d.services[s.Dataset.Origin], s.Name)
		}
	}
	list := slices.Clone(h.Datasets.Or(nil))
	for _, ds := range list {
		if ds.For != "" && !slices.Contains(d.services[ds.Origin], ds.For) && slices.ContainsFunc(h.Services.Or(nil), func(s stateward.Service) bool {
			on, known := s.Enable.Get()
			return s.Name == ds.For && (on || !known)
		}) {
			d.services[ds.Origin] = append(d.services[ds.Origin], ds.For)
		}
	}
	slices.SortStableFunc(list, func(a, b stateward.Dataset) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), compareOrigin(a.Origin, b.Origin))
	})
	for i := range list {
		if IsForeign(&list[i]) {
			d.addForeign(&list[i])
		} else {
			d.add(&list[i])
		}
	}
	d.addFileSystems()
	d.merge()
	d.checkNames()
	d.checkMounts()
	return d.result()
}

// IsForeign tells whether a declaration describes a dataset that another makes: disko, or whoever it is that the homelab
// dialect's `externalDatasets` speaks of.
func IsForeign(d *stateward.Dataset) bool {
	return strings.HasPrefix(d.Origin.Option, "disko.") || strings.HasPrefix(d.Origin.Option, "modules.storage.protection.externalDatasets.")
}

// declared is all that is said of one name.
type declared struct {
	name    Name
	ours    []Wanted
	foreign []Wanted
	// mounted are the file systems that mount it.
	mounted []*stateward.FileSystem
	wanted  Wanted
}

type declarations struct {
	host     *stateward.Host
	byName   map[Name]*declared
	order    []Name
	faulty   map[Name]bool
	faults   []Fault
	services map[stateward.Origin][]string
}

func (d *declarations) fault(f Fault) { d.faults = append(d.faults, f) }

func (d *declarations) at(n Name) *declared {
	e := d.byName[n]
	if e == nil {
		e = &declared{name: n}
		d.byName[n] = e
		d.order = append(d.order, n)
	}
	return e
}

func unknownFault(dataset, property string, why stateward.Unknown) Fault {
	f := Fault{Kind: NotEvaluated, Dataset: dataset, Property: property, Message: why.Summary(), Origin: stateward.Origin{Option: why.Subject, File: why.File, Line: why.Line}}
	if f.Message == "" {
		f.Message = "is unknown: " + string(why.Kind)
	}
	if dataset != "" && (why.Kind == stateward.UnknownForm || why.Kind == stateward.UnknownType) {
		f.Kind = NotUnderstood
	}
	if property == "canmount" && why.Subject != "" && !strings.HasSuffix(why.Subject, ".canmount") {
		f.Hint = "mend " + why.Subject + ", on which it hangs" // such as the enable of the service
	}
	return f
}

// add reads a declaration that is ours to carry out.
func (d *declarations) add(ds *stateward.Dataset) {
	name, err := ParseName(ds.Name)
	if err != nil {
		d.fault(faultOf(BadName, ds.Name, "", err, ds.Origin))
		if seen, err := ParseObservedName(ds.Name); err == nil {
			d.faulty[seen] = true
		}
		return
	}
	w := Wanted{Name: name, Role: Utility, Services: d.services[ds.Origin], Origin: ds.Origin}
	if len(w.Services) > 0 {
		w.Role = Service
	}
	sound := true
	refused := map[string]bool{}
	refuse := func(f Fault) {
		d.fault(f)
		sound, refused[f.Property] = false, true
	}
	if why, unknown := ds.Type.Why(); unknown {
		refuse(unknownFault(ds.Name, "type", why))
	}
	switch kind := ds.Type.Or(Filesystem.String()); kind {
	case Filesystem.String():
	case Volume.String():
		w.Type = Volume
	default:
		refuse(Fault{Kind: NotUnderstood, Dataset: ds.Name, Property: "type", Message: fmt.Sprintf("type %q is none of a dataset", kind),
			Hint: `write "filesystem" or "volume"`, Origin: cmp.Or(ds.Type.Origin(), ds.Origin)})
	}
	set := func(property string, v stateward.Value[string]) {
		if why, unknown := v.Why(); unknown {
			refuse(unknownFault(ds.Name, property, why))
			return
		}
		text, ok := v.Get()
		if !ok {
			return
		}
		o := cmp.Or(v.Origin(), ds.Origin)
		// What stands there is not what is declared: it must reach no pool, where it would take a key's location away.
		if secretTaken(text) {
			refuse(Fault{Kind: NotEvaluated, Dataset: ds.Name, Property: property, Origin: o,
				Message: "property " + property + " holds a secret, which was taken out when the configuration was read",
				Hint:    "keep it out of the configuration, which anybody can read in the store: name a file that holds it"})
			return
		}
		if property == "mountpoint" && strings.HasPrefix(text, "/") {
			if p, err := stateward.ParsePath(text); err == nil {
				text = p.String() // "/srv//a/" is a path too, which zfs would not take
			}
		}
		s, err := ParseSetting(property, text, w.types())
		if err != nil {
			refuse(faultOf(BadProperty, ds.Name, property, err, o))
			return
		}
		if old, twice := w.Setting(s.name); twice {
			if old != s {
				refuse(Fault{Kind: Contradiction, Dataset: ds.Name, Property: s.name, Origin: o,
					Message: fmt.Sprintf("property %s is both %s and %s", s.name, old.Text(), s.Text()), Hint: "give it once"})
			}
			return
		}
		w.Settings = append(w.Settings, s)
	}
	set("mountpoint", ds.MountPoint)
	set("canmount", ds.CanMount)
	names := make([]string, 0, len(ds.Properties))
	for property := range ds.Properties {
		names = append(names, property)
	}
	slices.Sort(names)
	for _, property := range names {
		set(property, ds.Properties[property])
	}
	slices.SortFunc(w.Settings, CompareSetting)
	for _, u := range []struct {
		property string
		why      func() (stateward.Unknown, bool)
	}{{"owner", ds.Owner.Why}, {"group", ds.Group.Why}, {"mode", ds.Mode.Why}} {
		if why, unknown := u.why(); unknown {
			refuse(unknownFault(ds.Name, u.property, why))
		}
	}
	w.Owner, w.Group, w.Mode = ds.Owner.Or(stateward.Owner{}), ds.Group.Or(stateward.Owner{}), ds.Mode.Or(stateward.Mode{})
	for _, problem := range settingProblems(&w) {
		if refused[problem.property] {
			continue // it is said why already: that it lacks a value is only what came of that
		}
		refuse(Fault{Kind: BadProperty, Dataset: ds.Name, Property: problem.property, Message: problem.message, Hint: problem.hint, Origin: ds.Origin})
	}
	if isContainer(&w) && w.Role == Utility {
		w.Role = Container
	}
	e := d.at(name)
	e.ours = append(e.ours, w)
	if !sound {
		d.faulty[name] = true
	}
}

// isMention tells whether a declaration says nothing but the name.
func isMention(w *Wanted) bool {
	return len(w.Settings) == 0 && len(w.Services) == 0 && w.Owner.IsZero() && w.Group.IsZero() && w.Mode.IsZero()
}

// secretTaken tells whether a secret was taken out of a value, as package nixbridge does with the passwords of URLs and with what
// is assigned to a name that sounds like a secret's.
func secretTaken(s string) bool {
	return strings.Contains(s, "://") && strings.Contains(s, ":xxxxx@") || strings.Contains(s, "=xxxxx")
}

func isContainer(w *Wanted) bool {
	m, _ := w.Setting("mountpoint")
	c, _ := w.Setting("canmount")
	return m.value == "none" && c.value == "off"
}

type problem struct{ property, message, hint string }

// settingProblems are what zfs would refuse of all settings together, whatever the pool is like.
func settingProblems(w *Wanted) []problem {
	var list []problem
	get := func(property string) string {
		s, _ := w.Setting(property)
		return s.value
	}
	if n := get("normalization"); n != "" && n != "none" && get("utf8only") == "off" {
		list = append(list, problem{"utf8only", "utf8only=off contradicts normalization=" + n + ", which turns it on", "leave utf8only out"})
	}
	if size := get("volsize"); w.Type == Volume && number(size) == 0 {
		list = append(list, problem{"volsize", "a volume needs a size", `write properties.volsize = "10G"`})
	}
	if w.Type == Volume && !(w.Owner.IsZero() && w.Group.IsZero() && w.Mode.IsZero()) {
		list = append(list, problem{"owner", "a volume has no directory that could have an owner, a group or a mode", "leave them out"})
	}
	format, encryption := get("keyformat"), get("encryption")
	if format == "none" {
		list = append(list, problem{"keyformat", "keyformat=none is what zfs prints, and refuses", "leave it out"})
	}
	if format != "" && format != "none" && encryption == "off" {
		list = append(list, problem{"keyformat", "keyformat=" + format + " contradicts encryption=off", "leave one of the two out"})
	}
	if format != "" && format != "none" && encryption != "off" {
		if at := get("keylocation"); at == "" || at == "prompt" {
			list = append(list, problem{"keylocation", "a key would have to be typed in when the dataset is made", "name a file: keylocation=file:///run/keys/NAME"})
		}
	}
	return list
}

// addForeign reads a declaration of another's dataset. What cannot be read of it is theirs to mend: it stays foreign.
func (d *declarations) addForeign(ds *stateward.Dataset) {
	name, err := ParseObservedName(ds.Name)
	if err != nil {
		return
	}
	w := Wanted{Name: name, Role: Foreign, Origin: ds.Origin}
	for _, p := range []struct {
		property string
		value    stateward.Value[string]
	}{{"canmount", ds.CanMount}, {"mountpoint", ds.MountPoint}} {
		if text, ok := p.value.Get(); ok {
			if s, err := ParseSetting(p.property, text, Filesystem); err == nil {
				w.Settings = append(w.Settings, s)
			}
		}
	}
	e := d.at(name)
	e.foreign = append(e.foreign, w)
}

func (d *declarations) addFileSystems() {
	list := d.host.FileSystems.Or(nil)
	for i := range list {
		f := &list[i]
		if on, known := f.Enable.Get(); known && !on || f.IsBind() {
			continue
		}
		kind, known := f.FSType.Get()
		device, _ := f.Device.Get()
		if known && kind != "zfs" || strings.HasPrefix(device, "/") {
			continue
		}
		name, err := ParseObservedName(device)
		if err != nil || !known && d.byName[name] == nil {
			continue
		}
		e := d.at(name)
		e.mounted = append(e.mounted, f)
	}
}

// merge makes one of all declarations of a name.
func (d *declarations) merge() {
	slices.SortFunc(d.order, CompareName)
	for _, n := range d.order {
		e := d.byName[n]
		switch {
		case len(e.ours) == 0 && len(e.foreign) > 0:
			e.wanted = e.foreign[0]
		case len(e.ours) == 0:
			e.wanted = Wanted{Name: n, Role: Foreign, Origin: e.mounted[0].Origin}
		default:
			e.wanted = e.ours[0]
			for _, w := range e.ours[1:] {
				d.mergeInto(&e.wanted, w)
			}
			if isMention(&e.wanted) && len(e.mounted) > 0 {
				// Some option names what fileSystems mounts, and asks for nothing.
				e.wanted.Role, e.ours, e.foreign = Foreign, nil, e.ours
				continue
			}
			d.checkManagers(e)
		}
	}
}

func (d *declarations) mergeInto(to *Wanted, w Wanted) {
	differ := func(property, a, b string) {
		d.faulty[to.Name] = true
		d.fault(Fault{Kind: Contradiction, Dataset: to.Name.s, Property: property, Origin: w.Origin, Others: []stateward.Origin{to.Origin},
			Message: fmt.Sprintf("is declared twice, with %s %s and with %s", property, a, b), Hint: "declare it once"})
	}
	if to.types() != w.types() {
		differ("type", to.types().String(), w.types().String())
		return
	}
	for _, s := range w.Settings {
		if old, ok := to.Setting(s.name); !ok {
			to.Settings = append(to.Settings, s)
		} else if old != s {
			differ(s.name, old.Text(), s.Text())
		}
	}
	slices.SortFunc(to.Settings, CompareSetting)
	one := func(property string, a, b fmt.Stringer, unset, other bool) bool {
		if !unset && !other && a.String() != b.String() {
			differ(property, a.String(), b.String())
		}
		return unset
	}
	if one("owner", to.Owner, w.Owner, to.Owner.IsZero(), w.Owner.IsZero()) {
		to.Owner = w.Owner
	}
	if one("group", to.Group, w.Group, to.Group.IsZero(), w.Group.IsZero()) {
		to.Group = w.Group
	}
	if one("mode", to.Mode, w.Mode, to.Mode.IsZero(), w.Mode.IsZero()) {
		to.Mode = w.Mode
	}
	to.Services = slices.Concat(to.Services, w.Services)
	slices.Sort(to.Services)
	to.Services = slices.Compact(to.Services)
	switch {
	case len(to.Services) > 0:
		to.Role = Service
	case isContainer(to):
		to.Role = Container
	}
}

// checkManagers finds who else makes or mounts the dataset (D8).
func (d *declarations) checkManagers(e *declared) {
	f := Fault{Kind: TwoManagers, Dataset: e.name.s, Origin: e.wanted.Origin}
	for _, w := range e.foreign {
		f.Others = append(f.Others, w.Origin)
	}
	mount, _ := e.wanted.Setting("mountpoint")
	if mount.value != "legacy" {
		for _, fs := range e.mounted {
			f.Others = append(f.Others, fs.Origin)
		}
	}
	if len(f.Others) == 0 {
		return
	}
	slices.SortFunc(f.Others, compareOrigin)
	f.Message = "is declared here, and is made or mounted by " + f.Others[0].Option + " as well: they race"
	f.Hint = "leave it to one of them; one that fileSystems mounts may be declared with mountpoint=legacy"
	d.fault(f)
	d.faulty[e.name] = true
}

// checkNames finds names that are one once "/" becomes "-" (D10).
func (d *declarations) checkNames() {
	flat := map[string][]Name{}
	for _, n := range d.order {
		if len(d.byName[n].ours) > 0 {
			key := strings.ReplaceAll(n.s, "/", "-")
			flat[key] = append(flat[key], n)
		}
	}
	for _, n := range d.order {
		same := flat[strings.ReplaceAll(n.s, "/", "-")]
		if len(same) < 2 || len(d.byName[n].ours) == 0 {
			continue
		}
		f := Fault{Kind: NameCollision, Dataset: n.s, Origin: d.byName[n].wanted.Origin, Hint: "rename one of them"}
		var others []string
		for _, other := range same {
			if other != n {
				others = append(others, other.s)
				f.Others = append(f.Others, d.byName[other].wanted.Origin)
			}
		}
		f.Message = fmt.Sprintf("has the same name as %s once \"/\" becomes \"-\", as in the names of units and locks", strings.Join(others, ", "))
		d.fault(f)
		d.faulty[n] = true
	}
}

// mountpoint is where a dataset is mounted by itself, as far as the declarations tell.
func (d *declarations) mountpoint(n Name) (stateward.AbsPath, bool) {
	if e := d.byName[n]; e != nil && e.wanted.Type == Volume {
		return stateward.AbsPath{}, false
	}
	for a := n; !a.IsZero(); a = a.Parent() {
		e := d.byName[a]
		if e == nil {
			continue
		}
		if a == n {
			if c, ok := e.wanted.Setting("canmount"); ok && c.value != "on" {
				return stateward.AbsPath{}, false
			}
		}
		if m, ok := e.wanted.Setting("mountpoint"); ok {
			p, err := stateward.ParsePath(m.value)
			if err != nil || a == n {
				return p, err == nil
			}
			return p.Join(n.Rel(a))
		}
	}
	return stateward.AbsPath{}, false
}

// checkMounts finds what is mounted at one place (P5).
func (d *declarations) checkMounts() {
	type user struct {
		name   Name
		by     string
		origin stateward.Origin
	}
	at := map[stateward.AbsPath][]user{}
	for _, n := range d.order {
		if p, ok := d.mountpoint(n); ok {
			at[p] = append(at[p], user{n, "dataset " + n.s, d.byName[n].wanted.Origin})
		}
	}
	for _, list := range []stateward.Value[[]stateward.FileSystem]{d.host.FileSystems, d.host.Mounts} {
		for i, f := range list.Or(nil) {
			if on, known := f.Enable.Get(); known && !on || f.MountPoint.Problem != nil || f.FSType.Or("") == "swap" {
				continue
			}
			p := f.MountPoint.Path
			if len(at[p]) == 0 {
				continue
			}
			device, _ := f.Device.Get()
			if slices.ContainsFunc(at[p], func(u user) bool { return u.name.s == device }) {
				continue // one dataset: see checkManagers
			}
			at[p] = append(at[p], user{Name{}, cmp.Or(f.Origin.Option, fmt.Sprintf("mount %d", i)), f.Origin})
		}
	}
	for _, users := range at {
		// In an order that does not hang on that of the configuration.
		slices.SortStableFunc(users, func(a, b user) int { return cmp.Compare(a.by, b.by) })
	}
	for _, n := range d.order {
		p, ok := d.mountpoint(n)
		if !ok || len(at[p]) < 2 || len(d.byName[n].ours) == 0 {
			continue
		}
		f := Fault{Kind: MountpointShared, Dataset: n.s, Property: "mountpoint", Path: p.String(), Origin: d.byName[n].wanted.Origin,
			Hint: "give each a place of its own: the one that is mounted last hides the others"}
		var others []string
		for _, u := range at[p] {
			if u.name != n {
				others = append(others, u.by)
				f.Others = append(f.Others, u.origin)
			}
		}
		f.Message = fmt.Sprintf("is mounted at %s, and so is %s", p, strings.Join(others, ", "))
		d.fault(f)
		d.faulty[n] = true
	}
}

// result is what is sound, with the containers that it needs.
func (d *declarations) result() (Desired, []Fault) {
	out := map[Name]Wanted{}
	for _, n := range d.order {
		e := d.byName[n]
		if len(e.ours) == 0 {
			out[n] = e.wanted
			continue
		}
		if d.faulty[n] {
			continue
		}
		if on, ok := d.faultyAbove(n); ok {
			d.fault(Fault{Kind: HangsOn, Dataset: n.s, Origin: e.wanted.Origin, Message: "lies in " + on.s + ", which cannot be planned"})
			continue
		}
		if in, ok := d.volumeAbove(n); ok {
			d.fault(Fault{Kind: Contradiction, Dataset: n.s, Origin: e.wanted.Origin, Others: []stateward.Origin{d.byName[in].wanted.Origin},
				Message: "lies in " + in.s + ", which is declared as a volume: only snapshots lie in one", Hint: "name it otherwise"})
			continue
		}
		out[n] = e.wanted
	}
	for _, n := range d.order {
		if w, ok := out[n]; ok && w.Role != Foreign {
			addContainers(out, w)
		}
	}
	desired := Desired{Datasets: make([]Wanted, 0, len(out))}
	for _, w := range out {
		desired.Datasets = append(desired.Datasets, w)
	}
	slices.SortFunc(desired.Datasets, func(a, b Wanted) int { return CompareName(a.Name, b.Name) })
	desired.Claims = d.claims(out)
	slices.SortFunc(d.faults, CompareFault)
	return desired, d.faults
}

// claims are the places of what is not planned.
func (d *declarations) claims(planned map[Name]Wanted) []Claim {
	var list []Claim
	unclear := map[string]bool{}
	for _, f := range d.faults {
		if f.Property == "mountpoint" && f.Kind != MountpointShared || f.Property == "canmount" {
			unclear[f.Dataset] = true
		}
	}
	for _, n := range d.order {
		if _, ok := planned[n]; ok || unclear[n.s] {
			continue
		}
		if p, ok := d.mountpoint(n); ok {
			list = append(list, Claim{p, n, n.s})
		}
	}
	for _, from := range []stateward.Value[[]stateward.FileSystem]{d.host.FileSystems, d.host.Mounts} {
		for i, f := range from.Or(nil) {
			if on, known := f.Enable.Get(); known && !on || f.MountPoint.Problem != nil || f.FSType.Or("") == "swap" || f.MountPoint.Path.IsZero() {
				continue
			}
			list = append(list, Claim{f.MountPoint.Path, Name{}, cmp.Or(f.Origin.Option, fmt.Sprintf("mount %d", i))})
		}
	}
	slices.SortFunc(list, func(a, b Claim) int {
		return cmp.Or(comparePaths(a.Path, b.Path), CompareName(a.Dataset, b.Dataset), strings.Compare(a.By, b.By))
	})
	return slices.Compact(list)
}

func (d *declarations) faultyAbove(n Name) (Name, bool) {
	for a := n.Parent(); !a.IsZero(); a = a.Parent() {
		if d.faulty[a] {
			return a, true
		}
	}
	return Name{}, false
}

func (d *declarations) volumeAbove(n Name) (Name, bool) {
	for a := n.Parent(); !a.IsZero(); a = a.Parent() {
		if e := d.byName[a]; e != nil && e.wanted.Type == Volume {
			return a, true
		}
	}
	return Name{}, false
}

// addContainers adds what is missing above a dataset, up to what another makes, or to the pool.
func addContainers(out map[Name]Wanted, w Wanted) {
	for a := w.Name.Parent(); !a.IsZero() && !a.IsPool(); a = a.Parent() {
		if _, there := out[a]; there {
			return
		}
		out[a] = Wanted{Name: a, Role: Container, Implicit: true, Settings: []Setting{{"canmount", "off"}, {"mountpoint", "none"}}, Origin: w.Origin}
	}
}

// WithContainers adds the containers that datasets need above them, as [NewDesired] does, and brings all into order.
func WithContainers(datasets ...Wanted) Desired {
	out := map[Name]Wanted{}
	for _, w := range datasets {
		out[w.Name] = w
	}
	sorted := slices.Clone(datasets)
	slices.SortFunc(sorted, func(a, b Wanted) int { return CompareName(a.Name, b.Name) })
	for _, w := range sorted {
		if w.Role != Foreign {
			addContainers(out, w)
		}
	}
	desired := Desired{Datasets: make([]Wanted, 0, len(out))}
	for _, w := range out {
		desired.Datasets = append(desired.Datasets, w)
	}
	slices.SortFunc(desired.Datasets, func(a, b Wanted) int { return CompareName(a.Name, b.Name) })
	return desired
}
