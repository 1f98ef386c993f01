// Package zfssim is a machine with ZFS pools in memory, for tests: it has properties with their sources and inheritance,
// mounts that hide one another, and refuses what zfs refuses. It carries out the steps of plans and is observed as a
// machine is. The end-to-end tests hold it against real OpenZFS.
package zfssim

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

// Machine is a machine with imported pools. Make one with [New].
type Machine struct {
	datasets map[dataset.Name]*fs
	pools    map[string]*dataset.Pool
	// mounts are in the order in which they were made; the first is the root.
	mounts []mount
	guid   int
	// Keys are the encryption roots whose keys are loaded.
	Keys map[dataset.Name]bool
}

type mount struct {
	at string
	of *fs
}

// fs is a dataset, or (without a name) the root file system.
type fs struct {
	name dataset.Name
	guid string
	vol  bool
	// local, received and fixed are values of properties; masked received ones were inherited over.
	local, received, fixed map[string]string
	masked                 map[string]bool
	keyRoot                dataset.Name
	// dirs are the directories of the file system by their paths in it; "/" is its top.
	dirs map[string]*dir
}

type dir struct {
	owner, group string
	mode         string
	file         bool
}

func newFS(name dataset.Name, guid int) *fs {
	return &fs{
		name: name, guid: strconv.Itoa(guid), local: map[string]string{}, received: map[string]string{}, fixed: map[string]string{},
		masked: map[string]bool{}, dirs: map[string]*dir{"/": newDir()},
	}
}

func newDir() *dir { return &dir{owner: "root", group: "root", mode: "0755"} }

// New returns a machine with these pools, whose root datasets are mounted at /POOL.
func New(pools ...string) *Machine {
	m := &Machine{datasets: map[dataset.Name]*fs{}, pools: map[string]*dataset.Pool{}, Keys: map[dataset.Name]bool{}}
	m.mounts = []mount{{"/", newFS(dataset.Name{}, 0)}}
	for i, p := range pools {
		m.pools[p] = &dataset.Pool{Name: p, GUID: strconv.Itoa(1000 + i), Health: "ONLINE", Ashift: 12, Size: 1 << 30, Free: 1 << 30}
		m.guid++
		f := newFS(dataset.MustName(p), m.guid)
		for name, value := range fixedDefaults {
			f.fixed[name] = value
		}
		m.datasets[f.name] = f
		if err := m.mount(f); err != nil {
			panic(err)
		}
	}
	return m
}

// fixedDefaults are the properties that a dataset has from its creation on.
var fixedDefaults = map[string]string{"casesensitivity": "sensitive", "normalization": "none", "utf8only": "off", "encryption": "off", "keyformat": "none", "pbkdf2iters": "0"}

// Pool is the pool of that name, to be changed.
func (m *Machine) Pool(name string) *dataset.Pool { return m.pools[name] }

// Names are the names of all datasets, in order.
func (m *Machine) Names() []dataset.Name {
	return slices.SortedFunc(maps.Keys(m.datasets), dataset.CompareName)
}

// Get is what `zfs get -Hp` prints of a property.
func (m *Machine) Get(name dataset.Name, property string) (dataset.PropertyState, bool) {
	f := m.datasets[name]
	p, ok := dataset.LookupProperty(property)
	if f == nil || !ok {
		return dataset.PropertyState{}, false
	}
	return m.get(f, p)
}

func (m *Machine) get(f *fs, p *dataset.Property) (dataset.PropertyState, bool) {
	s := dataset.PropertyState{Received: f.received[p.Name]}
	switch p.Name {
	case "mounted":
		s.Value, s.Source = "no", dataset.None
		if m.mountedAt(f) != "" {
			s.Value = "yes"
		}
		return s, true
	case "used", "referenced":
		return dataset.PropertyState{Value: "98304", Source: dataset.None}, true
	case "available":
		return dataset.PropertyState{Value: "1073741824", Source: dataset.None}, true
	case "type":
		s.Value, s.Source = "filesystem", dataset.None
		if f.vol {
			s.Value = "volume"
		}
		return s, true
	case "version":
		return dataset.PropertyState{Value: "5", Source: dataset.None}, true
	case "keystatus", "encryptionroot":
		if f.keyRoot.IsZero() {
			return dataset.PropertyState{}, false
		}
		s.Value, s.Source = f.keyRoot.String(), dataset.None
		if p.Name == "keystatus" {
			s.Value = map[bool]string{true: "available", false: "unavailable"}[m.Keys[f.keyRoot]]
		}
		return s, true
	}
	if p.ReadOnly {
		return s, false
	}
	if f.vol && p.Types&dataset.Volume == 0 {
		return s, false
	}
	if v, ok := f.fixed[p.Name]; ok {
		s.Value, s.Source = v, dataset.None
		if v == fixedDefaults[p.Name] && p.Name != "casesensitivity" && p.Name != "normalization" && p.Name != "utf8only" {
			s.Source = dataset.Default
		}
		if p.Name == "volblocksize" && v == p.Default {
			s.Source = dataset.Default
		}
		return s, true
	}
	if v, ok := f.local[p.Name]; ok {
		s.Value, s.Source = v, dataset.Local
		return s, true
	}
	if v, ok := f.received[p.Name]; ok && !f.masked[p.Name] {
		s.Value, s.Source = v, dataset.Received
		return s, true
	}
	if !p.Inherited || f.name.IsPool() {
		s.Value, s.Source = p.Default, dataset.Default
		if p.Name == "mountpoint" {
			s.Value = "/" + f.name.String()
		}
		return s, !p.User && (s.Value != "" || p.Kind == dataset.Text)
	}
	above, ok := m.get(m.datasets[f.name.Parent()], p)
	if !ok {
		return s, false
	}
	s.Value, s.Source, s.From = above.Value, dataset.Inherited, above.From
	switch above.Source {
	case dataset.Default:
		s.Source = dataset.Default
	case dataset.Local, dataset.Received:
		s.From = f.name.Parent()
	}
	if p.Name == "mountpoint" {
		if above.Value != "none" && above.Value != "legacy" {
			s.Value = strings.TrimSuffix(above.Value, "/") + "/" + f.name.Base()
		}
	}
	return s, true
}

func (m *Machine) value(f *fs, property string) string {
	p, _ := dataset.LookupProperty(property)
	s, _ := m.get(f, p)
	return s.Value
}

func (m *Machine) mountedAt(f *fs) string {
	for _, mt := range m.mounts {
		if mt.of == f {
			return mt.at
		}
	}
	return ""
}

// resolve finds the file system in which a path lies, and its path there.
func (m *Machine) resolve(p string) (*fs, string) {
	for _, mt := range slices.Backward(m.mounts) {
		if p == mt.at || mt.at == "/" || strings.HasPrefix(p, mt.at+"/") {
			return mt.of, path.Clean("/" + strings.TrimPrefix(p, mt.at))
		}
	}
	panic("no root")
}

// Mkdir makes a directory and those above it.
func (m *Machine) Mkdir(p string) error {
	if p != "/" {
		if err := m.Mkdir(path.Dir(p)); err != nil {
			return err
		}
	}
	f, rel := m.resolve(p)
	switch d := f.dirs[rel]; {
	case d != nil && d.file:
		return fmt.Errorf("%s: not a directory", p)
	case d != nil:
		return nil
	case !f.name.IsZero() && m.value(f, "readonly") == "on":
		return fmt.Errorf("%s: read-only file system", p)
	}
	f.dirs[rel] = newDir()
	return nil
}

// Write makes a file, and the directories above it.
func (m *Machine) Write(p string) error {
	if err := m.Mkdir(path.Dir(p)); err != nil {
		return err
	}
	f, rel := m.resolve(p)
	if f.dirs[rel] == nil {
		d := newDir()
		d.file = true
		f.dirs[rel] = d
	}
	return nil
}

func (f *fs) populated(rel string) bool {
	for p := range f.dirs {
		if p != rel && (rel == "/" || strings.HasPrefix(p, rel+"/")) {
			return true
		}
	}
	return false
}

func (m *Machine) mount(f *fs) error {
	at := m.value(f, "mountpoint")
	switch {
	case m.mountedAt(f) != "":
		return nil
	case f.vol:
		return fmt.Errorf("cannot open %q: not a filesystem", f.name)
	case at == "none" || at == "legacy":
		return fmt.Errorf("cannot mount %q: %s mountpoint", f.name, at)
	case m.value(f, "canmount") == "off":
		return fmt.Errorf("cannot mount %q: canmount is off", f.name)
	case !f.keyRoot.IsZero() && !m.Keys[f.keyRoot]:
		return fmt.Errorf("cannot mount %q: encryption key not loaded", f.name)
	}
	if err := m.Mkdir(at); err != nil {
		return err
	}
	on, rel := m.resolve(at)
	if on.populated(rel) {
		return fmt.Errorf("cannot mount %q: %s is not empty", f.name, at)
	}
	m.mounts = append(m.mounts, mount{at, f})
	return nil
}

// Mount mounts a dataset as `zfs mount` does, but never over files.
func (m *Machine) Mount(name dataset.Name) error {
	f, err := m.find(name)
	if err != nil {
		return err
	}
	return m.mount(f)
}

// Unmount unmounts a dataset.
func (m *Machine) Unmount(name dataset.Name) {
	m.mounts = slices.DeleteFunc(m.mounts, func(mt mount) bool { return mt.of.name == name && !name.IsZero() })
}

func (m *Machine) find(name dataset.Name) (*fs, error) {
	f := m.datasets[name]
	if f == nil {
		return nil, fmt.Errorf("cannot open %q: dataset does not exist", name)
	}
	return f, nil
}

// Create makes a dataset and does not mount it.
func (m *Machine) Create(name dataset.Name, settings ...dataset.Setting) error {
	switch pool := m.pools[name.Pool()]; {
	case m.datasets[name] != nil:
		return nil
	case pool == nil:
		return fmt.Errorf("cannot create %q: no such pool", name)
	case pool.ReadOnly || pool.Health == "SUSPENDED":
		return fmt.Errorf("cannot create %q: pool cannot be written to", name)
	}
	above := m.datasets[name.Parent()]
	switch {
	case above == nil:
		return fmt.Errorf("cannot create %q: parent does not exist", name)
	case above.vol:
		return fmt.Errorf("cannot create %q: parent is not a filesystem", name)
	}
	f := newFS(name, m.guid+1)
	maps.Copy(f.fixed, above.fixed)
	f.fixed["keyformat"] = "none"
	f.keyRoot = above.keyRoot
	for _, s := range settings {
		p, _ := dataset.LookupProperty(s.Name())
		switch {
		case p.Types&dataset.Filesystem == 0:
			return fmt.Errorf("cannot create %q: %s does not apply", name, s.Name())
		case p.CreateOnly:
			f.fixed[s.Name()] = s.Value()
		case s.Name() == "version":
		default:
			f.local[s.Name()] = s.Value()
		}
	}
	if f.fixed["normalization"] != "none" {
		f.fixed["utf8only"] = "on"
	}
	switch {
	case f.fixed["encryption"] == "off":
		f.keyRoot = dataset.Name{}
		f.fixed["keyformat"] = "none"
	case f.fixed["keyformat"] != "none":
		f.keyRoot = name
		m.Keys[name] = true
	case f.keyRoot.IsZero():
		return fmt.Errorf("cannot create %q: keyformat required", name)
	}
	if !f.keyRoot.IsZero() && !m.Keys[f.keyRoot] {
		return fmt.Errorf("cannot create %q: encryption key not loaded", name)
	}
	m.guid++
	m.datasets[name] = f
	return nil
}

// CreateReceived makes a dataset as `zfs receive -u` does of a stream with properties (`zfs send -p`).
func (m *Machine) CreateReceived(name dataset.Name, settings ...dataset.Setting) error {
	if err := m.Create(name); err != nil {
		return err
	}
	f := m.datasets[name]
	maps.Copy(f.fixed, fixedDefaults)
	for _, s := range settings {
		m.Receive(name, s)
	}
	return nil
}

// CreateVolume makes a volume: of 10 MiB, and sparse, where the settings do not say otherwise.
func (m *Machine) CreateVolume(name dataset.Name, settings ...dataset.Setting) error {
	if m.datasets[name] != nil {
		return nil
	}
	var common []dataset.Setting
	own := map[string]string{}
	for _, s := range settings {
		p, _ := dataset.LookupProperty(s.Name())
		switch {
		case p.Types&dataset.Volume == 0:
			return fmt.Errorf("cannot create %q: %s does not apply", name, s.Name())
		case p.Types&dataset.Filesystem == 0, s.Name() == "refreservation":
			own[s.Name()] = s.Value()
		default:
			common = append(common, s)
		}
	}
	if err := m.Create(name, common...); err != nil {
		return err
	}
	f := m.datasets[name]
	f.vol = true
	f.fixed["volblocksize"] = cmp.Or(own["volblocksize"], "16384")
	block, size := number(f.fixed["volblocksize"]), number(cmp.Or(own["volsize"], "10485760"))
	f.local["volsize"] = strconv.FormatUint((size+block-1)/block*block, 10)
	reserved, given := own["refreservation"]
	switch {
	case len(settings) == 0 || given && reserved == "0":
	case !given || reserved == "auto":
		f.local["refreservation"] = f.auto()
	default:
		f.local["refreservation"] = reserved
	}
	delete(own, "volblocksize")
	delete(own, "volsize")
	delete(own, "refreservation")
	maps.Copy(f.local, own)
	return nil
}

// auto is about what zfs reserves for a volume.
func (f *fs) auto() string { return strconv.FormatUint(number(f.local["volsize"])+2<<20, 10) }

func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 10, 64)
	return n
}

// Set gives a dataset a property of its own, and moves no mount (`zfs set -u`).
func (m *Machine) Set(name dataset.Name, s dataset.Setting) error {
	f, err := m.find(name)
	if err != nil {
		return err
	}
	p, _ := dataset.LookupProperty(s.Name())
	is := dataset.Filesystem
	if f.vol {
		is = dataset.Volume
	}
	if p.CreateOnly || p.ReadOnly || p.Types&is == 0 {
		return fmt.Errorf("cannot set %s of %q", s.Name(), name)
	}
	if f.vol && s.Name() == "refreservation" && s.Value() == "auto" {
		f.local["refreservation"] = f.auto()
		return nil
	}
	if s.Name() == "volsize" {
		if number(s.Value())%number(f.fixed["volblocksize"]) != 0 {
			return fmt.Errorf("cannot set property for %q: 'volsize' must be a multiple of volume block size", name)
		}
		full := f.local["refreservation"] == f.auto()
		f.local["volsize"] = s.Value()
		if full {
			f.local["refreservation"] = f.auto()
		}
		return nil
	}
	if s.Name() == "version" {
		return nil
	}
	f.local[s.Name()] = s.Value()
	return nil
}

// Receive gives a dataset a received value, as `zfs receive` does.
func (m *Machine) Receive(name dataset.Name, s dataset.Setting) {
	f := m.datasets[name]
	f.received[s.Name()] = s.Value()
	delete(f.masked, s.Name())
}

// Inherit takes a dataset's own value back.
func (m *Machine) Inherit(name dataset.Name, property string) error {
	f, err := m.find(name)
	if err != nil {
		return err
	}
	delete(f.local, property)
	if _, ok := f.received[property]; ok {
		f.masked[property] = true
	}
	return nil
}

// Own gives the top of a mounted dataset its owner, group and mode.
func (m *Machine) Own(name dataset.Name, at string, owner, group, mode string) error {
	f, err := m.find(name)
	if err != nil {
		return err
	}
	on, rel := m.resolve(at)
	switch {
	case on != f || rel != "/":
		return fmt.Errorf("%s is not where %q is mounted", at, name)
	case m.value(f, "readonly") == "on":
		return fmt.Errorf("%s: read-only file system", at)
	}
	d := f.dirs["/"]
	if owner != "" {
		d.owner = owner
	}
	if group != "" {
		d.group = group
	}
	if mode != "" {
		d.mode = mode
	}
	return nil
}

// Apply carries a step out.
func (m *Machine) Apply(op dataset.Op) error {
	switch op := op.(type) {
	case *dataset.Create:
		if err := m.free(op.Dataset, op.Path); err != nil {
			return err
		}
		if op.Type == dataset.Volume {
			return m.CreateVolume(op.Dataset, op.Settings...)
		}
		return m.Create(op.Dataset, op.Settings...)
	case *dataset.Set:
		if err := m.free(op.Dataset, op.Path); err != nil {
			return err
		}
		return m.Set(op.Dataset, op.Setting)
	case *dataset.Inherit:
		return m.Inherit(op.Dataset, op.Property)
	case *dataset.MakeMountpoint:
		return m.Mkdir(op.Path.String())
	case *dataset.MountDataset:
		if err := m.Mount(op.Dataset); err != nil {
			return err
		}
		if at := m.mountedAt(m.datasets[op.Dataset]); at != op.Path.String() {
			return fmt.Errorf("%q is mounted at %s, not at %s", op.Dataset, at, op.Path)
		}
		return nil
	case *dataset.Own:
		return m.Own(op.Dataset, op.Path.String(), op.Owner.String(), op.Group.String(), op.Mode.String())
	}
	return fmt.Errorf("unknown step %T", op)
}

// free tells why a dataset cannot be mounted at a place, of which nothing is made.
func (m *Machine) free(name dataset.Name, at stateward.AbsPath) error {
	if at == (stateward.AbsPath{}) || m.mountedAt(m.datasets[name]) == at.String() {
		return nil
	}
	on, rel := m.resolve(at.String())
	if d := on.dirs[rel]; d != nil && (d.file || on.populated(rel) || rel == "/") {
		return fmt.Errorf("cannot mount %q: %s is not empty", name, at)
	}
	return nil
}

// Boot is what happens at a start of the machine: nothing is mounted, and `zfs mount -a` mounts all that can be, by path, over whatever
// is there (overlay=on).
func (m *Machine) Boot() {
	m.mounts = m.mounts[:1]
	names := m.Names()
	slices.SortStableFunc(names, func(a, b dataset.Name) int {
		return strings.Compare(m.value(m.datasets[a], "mountpoint"), m.value(m.datasets[b], "mountpoint"))
	})
	for _, name := range names {
		f := m.datasets[name]
		at := m.value(f, "mountpoint")
		if f.vol || m.value(f, "canmount") != "on" || m.value(f, "zoned") == "on" || !strings.HasPrefix(at, "/") || !f.keyRoot.IsZero() && !m.Keys[f.keyRoot] || m.Mkdir(at) != nil {
			continue
		}
		m.mounts = append(m.mounts, mount{at, f})
	}
}

// Seen are the files that paths lead to, each with the dataset that it lies on (empty for the root file system), and the mounts that are not hidden.
func (m *Machine) Seen() map[string]string {
	out := map[string]string{}
	for _, mt := range m.mounts {
		for rel, d := range mt.of.dirs {
			p := path.Join(mt.at, rel)
			if on, in := m.resolve(p); on == mt.of && in == rel && (d.file || rel == "/") {
				out[p] = mt.of.name.String()
			}
		}
	}
	return out
}

// Observe is what a capture finds, with these places looked at.
func (m *Machine) Observe(paths ...stateward.AbsPath) *dataset.Observed {
	o := &dataset.Observed{ZFS: "2.3.9"}
	for _, name := range slices.Sorted(maps.Keys(m.pools)) {
		o.Pools = append(o.Pools, *m.pools[name])
	}
	for _, name := range m.Names() {
		f := m.datasets[name]
		s := dataset.State{Name: name, Type: dataset.Filesystem, GUID: f.guid, Properties: map[string]dataset.PropertyState{}}
		if f.vol {
			s.Type = dataset.Volume
		}
		for _, p := range dataset.NativeProperties() {
			if p.Types&s.Type == 0 {
				continue
			}
			if v, ok := m.get(f, p); ok {
				s.Properties[p.Name] = v
			}
		}
		for a := name; !a.IsZero(); a = a.Parent() {
			for _, values := range []map[string]string{m.datasets[a].local, m.datasets[a].received} {
				for property := range values {
					if p, _ := dataset.LookupProperty(property); p.User {
						if v, ok := m.get(f, p); ok {
							s.Properties[property] = v
						}
					}
				}
			}
		}
		o.Datasets = append(o.Datasets, s)
	}
	for _, mt := range m.mounts {
		mm := dataset.Mount{At: mt.at, Source: mt.of.name.String(), FSType: "zfs", Root: "/"}
		if mt.of.name.IsZero() {
			mm.Source, mm.FSType = "/dev/vda", "ext4"
		}
		o.Mounts = append(o.Mounts, mm)
	}
	for _, p := range paths {
		o.Places = append(o.Places, m.place(p.String()))
	}
	return o
}

func (m *Machine) place(p string) dataset.Place {
	f, rel := m.resolve(p)
	out := dataset.Place{Path: p, Kind: "absent"}
	d := f.dirs[rel]
	if d == nil {
		return out
	}
	out.Kind, out.Content, out.Mode, out.User, out.Group = "directory", "empty", d.mode, d.owner, d.group
	if d.file {
		out.Kind, out.Content = "file", ""
	}
	if uid, err := strconv.Atoi(d.owner); err == nil {
		out.UID, out.User = uid, ""
	}
	if gid, err := strconv.Atoi(d.group); err == nil {
		out.GID, out.Group = gid, ""
	}
	if f.populated(rel) {
		out.Content = "populated"
	}
	if rel == "/" && !f.name.IsZero() {
		out.MountedFrom = f.name.String()
		// What it holds is about the directory beneath.
		all := m.mounts
		m.mounts = all[:slices.IndexFunc(all, func(mt mount) bool { return mt.of == f })]
		out.Content = "empty"
		if under, at := m.resolve(p); under.populated(at) {
			out.Content = "populated"
		}
		m.mounts = all
	}
	return out
}

// Dump is all that there is, for a comparison of two machines.
func (m *Machine) Dump() string {
	var b strings.Builder
	for _, name := range m.Names() {
		f := m.datasets[name]
		fmt.Fprintf(&b, "%s vol=%v at=%q local=%v received=%v fixed=%v dirs=%s\n", name, f.vol, m.mountedAt(f), f.local, f.received, f.fixed, f.list())
	}
	fmt.Fprintf(&b, "root %s\n", m.mounts[0].of.list())
	return b.String()
}

func (f *fs) list() string {
	var parts []string
	for _, p := range slices.Sorted(maps.Keys(f.dirs)) {
		d := f.dirs[p]
		parts = append(parts, fmt.Sprintf("%s(%s:%s %s %v)", p, d.owner, d.group, d.mode, d.file))
	}
	return strings.Join(parts, " ")
}
