package dataset

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/syntax/nix"
	"github.com/stateward/stateward/internal/syntax/unit"
)

// UnitName is the name of the unit that makes the datasets, all of them.
const UnitName = "stateward-datasets.service"

// Runs tells whether the unit of [UnitName] is among those of a host: it makes and mounts all that is asked for. One of which it is not known whether it is
// switched on counts.
func Runs(h *stateward.Host) bool {
	return slices.ContainsFunc(h.Units.Or(nil), func(u stateward.Unit) bool {
		on, known := u.Enable.Get()
		return u.Name == UnitName && (on || !known)
	})
}

// CheckTemplate is the unit that sees to one dataset, after [UnitName] has run, even where that failed: a service requires those of its own
// datasets, so that one in conflict holds back nobody else's.
const CheckTemplate = "stateward-dataset@.service"

// CheckUnit is the instance of [CheckTemplate] for a dataset, named as systemd-escape(1) does: no two datasets have one name (D10).
func CheckUnit(n Name) string {
	var b strings.Builder
	b.WriteString(strings.TrimSuffix(CheckTemplate, ".service"))
	for i := range len(n.s) {
		switch c := n.s[i]; {
		case c == '/':
			b.WriteByte('-')
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == ':', c == '.':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String() + ".service"
}

// DefaultScript is where [Units] expects the text of [Script], executable.
const DefaultScript = "/etc/stateward/datasets"

// Waiter is a unit whose data lies on datasets, and that must not start without them (D2).
type Waiter struct {
	// Unit is its name: "podman-sonarr.service".
	Unit string `json:"unit"`
	// Mounts are where its datasets are mounted by their own mountpoint property, sorted. RequiresMountsFor= would order nothing
	// for them: systemd knows no unit of theirs.
	Mounts []stateward.AbsPath `json:"mounts,omitempty"`
	// FileSystems are where `fileSystems` mounts its datasets (mountpoint=legacy), sorted.
	FileSystems []stateward.AbsPath `json:"fileSystems,omitempty"`
	// Datasets are those, sorted.
	Datasets []Name `json:"datasets,omitempty"`
	// StateDirectoryMode is the mode of the dataset that is the unit's StateDirectory=: systemd sets it at each start, 0755 where it is not
	// told otherwise, and would undo what the dataset was given.
	StateDirectoryMode stateward.Mode `json:"stateDirectoryMode,omitzero"`
}

// waiterJSON is a Waiter without what has no JSON form of its own.
type waiterJSON struct {
	waiterFields
	StateDirectoryMode string `json:"stateDirectoryMode,omitempty"`
}

type waiterFields Waiter

// MarshalJSON writes the mode as a text.
func (w Waiter) MarshalJSON() ([]byte, error) {
	return json.Marshal(waiterJSON{waiterFields(w), w.StateDirectoryMode.String()})
}

// UnmarshalJSON reads what MarshalJSON writes; a mode that cannot be parsed is an error.
func (w *Waiter) UnmarshalJSON(b []byte) (err error) {
	var j waiterJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*w = Waiter(j.waiterFields)
	_, _, w.StateDirectoryMode, err = parseOwnership("", "", j.StateDirectoryMode)
	return err
}

// Unwaited is a service that nothing keeps from writing where its dataset is not mounted.
type Unwaited struct {
	Service string `json:"service"`
	Dataset Name   `json:"dataset"`
	// Path is the place of the service that lies on the dataset; the dataset itself is declared for the service where it is zero.
	Path stateward.AbsPath `json:"path,omitzero"`
	// Why nothing does, as a clause.
	Why string `json:"why"`
}

// String is a sentence for people.
func (u Unwaited) String() string {
	place := ""
	if !u.Path.IsZero() {
		place = ", on which " + u.Path.String() + " lies,"
	}
	return "nothing holds service " + u.Service + " back until " + u.Dataset.String() + place + " is mounted: " + u.Why
}

// Waiters are the units of the services that have datasets, and of those whose places lie on them, in the order of their names: a
// unit waits for all datasets that hold a place of its service, and for those mounted below one.
// Unwaited are the services that nothing holds back: no unit of theirs is known, or one that has to run before any dataset can be made, or
// it is not known where their dataset is mounted.
func Waiters(h *stateward.Host, d Desired) (waiters []Waiter, unwaited []Unwaited) {
	byUnit := map[string]*Waiter{}
	units, early := ServiceUnits(h), EarlyUnits(h)
	places := placesOf(h, units)
	onDeclared := map[stateward.AbsPath]bool{} // where a dataset of ours is mounted
	for i := range d.Datasets {
		w := &d.Datasets[i]
		own, mounted := d.MountPoint(w.Name)
		if w.Role == Foreign || !mounted || own == stateward.Root {
			continue
		}
		onDeclared[own] = true
		for _, s := range w.Services {
			places = append(places, place{path: own, service: s, units: units[s], own: true})
		}
	}
	held := map[stateward.AbsPath]bool{} // places of which some unit waits
	var bare []Unwaited
	for i := range d.Datasets {
		w := &d.Datasets[i]
		if w.Role == Foreign {
			continue
		}
		own, mounted := d.MountPoint(w.Name)
		theirs := fileSystemsOf(h, w.Name)
		waiting := false
		wait := func(service string, at stateward.AbsPath, names []string) {
			for _, name := range names {
				// Those of ZFS come before, whatever they say.
				if early[name] || strings.HasPrefix(name, "zfs-") {
					unwaited = append(unwaited, Unwaited{service, w.Name, at, name + " has to start before any dataset can be made"})
					continue
				}
				waiting = true
				if byUnit[name] == nil {
					byUnit[name] = &Waiter{Unit: name}
				}
				if mounted {
					byUnit[name].Mounts = append(byUnit[name].Mounts, own)
				}
				byUnit[name].Datasets = append(byUnit[name].Datasets, w.Name)
				byUnit[name].FileSystems = append(byUnit[name].FileSystems, theirs...)
				held[at] = true
			}
		}
		if mounted && own != stateward.Root {
			for _, p := range places {
				on := own.Contains(p.path)
				switch {
				case on && len(p.units) == 0 && p.sure && !p.own:
					bare = append(bare, Unwaited{p.service, w.Name, p.path, "no unit of it is known"})
				case on, own.Below(p.path) && p.path != stateward.Root && (p.sure || p.own || onDeclared[p.path]):
					wait(p.service, p.path, p.units)
				}
			}
		}
		for _, service := range w.Services {
			switch {
			case !mounted && len(theirs) == 0 && w.Type != Volume:
				unwaited = append(unwaited, Unwaited{Service: service, Dataset: w.Name, Why: "it is not known where that is mounted"})
			case len(units[service]) > 0:
				if !mounted || own == stateward.Root {
					wait(service, stateward.AbsPath{}, units[service])
				}
			case !waiting:
				unwaited = append(unwaited, Unwaited{Service: service, Dataset: w.Name, Why: "no unit of it is known"})
			}
		}
	}
	for _, u := range bare {
		// What another unit keeps at the very place waits: it is the same thing, read twice.
		if !held[u.Path] {
			unwaited = append(unwaited, u)
		}
	}
	for _, w := range byUnit {
		for _, list := range []*[]stateward.AbsPath{&w.Mounts, &w.FileSystems} {
			slices.SortFunc(*list, comparePaths)
			*list = slices.Compact(*list)
		}
		slices.SortFunc(w.Datasets, CompareName)
		w.Datasets = slices.Compact(w.Datasets)
		w.StateDirectoryMode = stateDirectoryMode(h, d, w)
		waiters = append(waiters, *w)
	}
	slices.SortFunc(waiters, func(a, b Waiter) int { return strings.Compare(a.Unit, b.Unit) })
	slices.SortFunc(unwaited, func(a, b Unwaited) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), CompareName(a.Dataset, b.Dataset), strings.Compare(a.Why, b.Why), -comparePaths(a.Path, b.Path))
	})
	// One place, or none, tells enough of a service, a dataset and a reason.
	return waiters, slices.CompactFunc(unwaited, func(a, b Unwaited) bool {
		return a.Service == b.Service && a.Dataset == b.Dataset && a.Why == b.Why
	})
}

// stateDirectoryMode is the mode that a unit's state directory is to have because a dataset of ours is just that. Where the configuration
// says another one it is left, and so it is where it would count for another directory too.
func stateDirectoryMode(h *stateward.Host, d Desired, w *Waiter) stateward.Mode {
	for _, u := range h.Units.Or(nil) {
		dirs := u.StateDirectory.Or(nil)
		if u.Name != w.Unit || len(dirs) != 1 || u.StateDirectoryMode.IsUnknown() {
			continue
		}
		at, _, ok := stateward.StateDirectoryPath(u.Name, dirs[0])
		if !ok {
			continue
		}
		for _, n := range w.Datasets {
			own, mounted := d.MountPoint(n)
			i, found := slices.BinarySearchFunc(d.Datasets, n, func(w Wanted, n Name) int { return CompareName(w.Name, n) })
			if !mounted || !found || own != at || d.Datasets[i].Mode.IsZero() {
				continue
			}
			if m, ok := u.StateDirectoryMode.Get(); !ok || m.Bits() == d.Datasets[i].Mode.Bits() {
				return d.Datasets[i].Mode
			}
		}
	}
	return stateward.Mode{}
}

// ServiceUnits are the units of services, by the names of the services. Where a declaration names none, it is the unit that is called as the
// service is, or that of a container that is; else all whose names begin with it ("immich-server.service" of immich), and that are not
// those of another service with data of its own ("home-assistant.service" is not one of home).
func ServiceUnits(h *stateward.Host) map[string][]string {
	units := map[string][]string{}
	add := func(service, unit string) {
		if !slices.Contains(units[service], unit) {
			units[service] = append(units[service], unit)
		}
	}
	others := map[string]bool{}
	for _, s := range h.Services.Or(nil) {
		for _, u := range s.Units {
			if strings.HasSuffix(u, ".service") {
				add(s.Name, u)
			}
		}
		paths, _ := s.StatePaths()
		if s.Dataset != nil || s.DataDir.IsKnown() || slices.ContainsFunc(paths, func(p stateward.StatePath) bool {
			return p.Source == stateward.SourceDataDir || p.Source == stateward.SourceTable
		}) {
			others[s.Name+".service"] = true
		}
	}
	there := map[string]bool{}
	var names []string
	for _, u := range h.Units.Or(nil) {
		if on, known := u.Enable.Get(); on || !known {
			there[u.Name] = true
			names = append(names, u.Name)
		}
	}
	slices.Sort(names)
	for _, s := range h.Services.Or(nil) {
		for _, prefix := range []string{"", "podman-", "docker-"} {
			if name := prefix + s.Name + ".service"; len(units[s.Name]) == 0 && there[name] {
				add(s.Name, name)
			}
		}
		if len(units[s.Name]) > 0 || s.Name == "" {
			continue
		}
		for _, name := range names {
			if (strings.HasPrefix(name, s.Name+"-") || name == "phpfpm-"+s.Name+".service") && !others[name] {
				add(s.Name, name)
			}
		}
	}
	return units
}

// place is where units keep or may write something.
type place struct {
	path    stateward.AbsPath
	service string
	units   []string
	// sure tells that the service's data is there, and that it is not only allowed to write there.
	sure bool
	// own is where the dataset of the service is mounted.
	own bool
}

// placesOf are the places of all services and units that run.
func placesOf(h *stateward.Host, known map[string][]string) []place {
	var places []place
	add := func(p place) {
		// What systemd itself brings starts before there is any pool, and must not wait for one.
		p.units = slices.DeleteFunc(slices.Clone(p.units), func(u string) bool { return !strings.HasSuffix(u, ".service") })
		all := len(p.units)
		p.units = slices.DeleteFunc(p.units, func(u string) bool { return strings.HasPrefix(u, "systemd-") })
		if len(p.units) > 0 || all == 0 && p.sure {
			places = append(places, p)
		}
	}
	for _, s := range h.Services.Or(nil) {
		if on, known := s.Enable.Get(); known && !on {
			continue
		}
		units := s.Units
		if len(units) == 0 {
			units = known[s.Name]
		}
		paths, _ := s.StatePaths()
		for _, p := range paths {
			if p.Problem != nil || p.ReadOnly || p.Path.IsZero() {
				continue
			}
			sure := false
			switch p.Source {
			case stateward.SourceStateDirectory, stateward.SourceDataDir, stateward.SourcePlace, stateward.SourceBackupPaths, stateward.SourcePersistedData,
				stateward.SourceVolume, stateward.SourceContainer, stateward.SourceTable, "":
				sure = !p.Perhaps
			}
			add(place{path: p.Path, service: s.Name, units: units, sure: sure})
		}
	}
	for _, u := range h.Units.Or(nil) {
		if on, known := u.Enable.Get(); known && !on {
			continue
		}
		written := func(text string) {
			if p, err := stateward.ParsePath(strings.TrimLeft(text, "-+")); err == nil && !strings.Contains(text, "%") {
				add(place{path: p, service: strings.TrimSuffix(u.Name, ".service"), units: []string{u.Name}})
			}
		}
		written(u.WorkingDirectory.Or(""))
		for _, text := range u.ReadWritePaths.Or(nil) {
			written(text)
		}
		for _, text := range u.BindPaths.Or(nil) {
			source, _, _ := strings.Cut(text, ":")
			written(source)
		}
	}
	return places
}

// EarlyUnits are those that the unit of the datasets itself comes after, at once or by way of others: none of them can wait for it.
func EarlyUnits(h *stateward.Host) map[string]bool {
	before := map[string][]string{} // what comes before a unit
	early := map[string]bool{}
	for _, u := range h.Units.Or(nil) {
		if on, known := u.Enable.Get(); known && !on {
			continue
		}
		for _, b := range u.Before.Or(nil) {
			before[b] = append(before[b], u.Name)
		}
		before[u.Name] = append(before[u.Name], u.After.Or(nil)...)
		// A target comes after what it wants, but for what has the default order after it: all services come after sysinit.target and
		// basic.target.
		if slices.Contains(u.WantedBy.Or(nil), "zfs-import.target") {
			before["zfs-import.target"] = append(before["zfs-import.target"], u.Name)
		}
	}
	next := slices.Concat(after, []string{UnitName, "basic.target", "sysinit.target", "local-fs-pre.target", "sockets.target", "paths.target", "swap.target", "cryptsetup.target"})
	for len(next) > 0 {
		u := next[len(next)-1]
		next = next[:len(next)-1]
		if !early[u] {
			early[u] = true
			next = append(next, before[u]...)
		}
	}
	return early
}

// fileSystemsOf are the places where `fileSystems` mounts a dataset.
func fileSystemsOf(h *stateward.Host, n Name) []stateward.AbsPath {
	var list []stateward.AbsPath
	for _, f := range h.FileSystems.Or(nil) {
		if on, known := f.Enable.Get(); known && !on || f.MountPoint.Problem != nil || f.Device.Or("") != n.s || f.IsBind() {
			continue
		}
		list = append(list, f.MountPoint.Path)
	}
	return list
}

// MountPoint is where a dataset is mounted by itself, as far as what is desired tells: its own mountpoint, or that of what it lies
// in.
func (d Desired) MountPoint(n Name) (stateward.AbsPath, bool) {
	for a := n; !a.IsZero(); a = a.Parent() {
		i, ok := slices.BinarySearchFunc(d.Datasets, a, func(w Wanted, n Name) int { return CompareName(w.Name, n) })
		if !ok {
			continue
		}
		w := &d.Datasets[i]
		if w.Type == Volume {
			break
		}
		if c, ok := w.Setting("canmount"); ok && a == n && c.value != "on" {
			break
		}
		if m, ok := w.Setting("mountpoint"); ok {
			p, err := stateward.ParsePath(m.value)
			if err != nil || a == n {
				return p, err == nil
			}
			return p.Join(n.Rel(a))
		}
	}
	return stateward.AbsPath{}, false
}

// Tmpfiles are lines of tmpfiles.d(5) that give the datasets their owners and modes which `fileSystems` mounts before
// systemd-tmpfiles-setup.service. Of others it is the script that does: tmpfiles would change what lies beneath the mount (D2).
// So it would where a mount may be missing (nofail, noauto), and where a rule of the host has the path already they would
// fight (D9): there is no line then.
func Tmpfiles(h *stateward.Host, d Desired) []string {
	taken := map[stateward.AbsPath]bool{}
	for _, r := range h.Tmpfiles.Or(nil) {
		taken[r.At.Path] = true
	}
	var lines []string
	for i := range d.Datasets {
		w := &d.Datasets[i]
		if w.Role == Foreign || w.Owner.IsZero() && w.Group.IsZero() && w.Mode.IsZero() {
			continue
		}
		for _, f := range h.FileSystems.Or(nil) {
			on, known := f.Enable.Get()
			if known && !on || f.MountPoint.Problem != nil || f.Device.Or("") != w.Name.s || !f.Options.IsKnown() && !f.Options.IsAbsent() ||
				f.HasOption("nofail") || f.HasOption("noauto") || f.HasOption("x-systemd.automount") || f.IsBind() || taken[f.MountPoint.Path] {
				continue
			}
			// A "z" line takes a pattern, and leaves what is not given as it is.
			path := strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(f.MountPoint.Path.String())
			lines = append(lines, "z "+unit.Words(path)+" "+cmp.Or(w.Mode.String(), "-")+" "+cmp.Or(w.Owner.String(), "-")+" "+cmp.Or(w.Group.String(), "-")+" - -")
		}
	}
	return lines
}

// after are what the datasets need. Never is the unit before local-fs.target: it has the default dependencies, and with them
// sysinit.target, which comes after that; and what is mounted there may hold mountpoints. zfs-mount.service mounts what is there
// already and would race.
var after = []string{"local-fs.target", "zfs-import.target", "zfs-mount.service", "systemd-sysusers.service", "userborn.service"}

// timeout ends a run and a reload: a oneshot has none by itself, and zfs waits for ever on a pool that is suspended, and the boot with it. A
// thousand datasets are made within it.
const timeout = "15min"

// UnitFile is a file that belongs to systemd.
type UnitFile struct {
	Path string `json:"path"`
	Text string `json:"text"`
}

// Units are a unit that runs a command once at boot, such as the script of [Script], one that runs it again for a single dataset, whose name
// is its last argument then, and a drop-in for each waiter, which keeps it from starting without its datasets. A reload runs the
// command again and stops nothing. The file changes whenever what is desired does.
//
// The first unit fails where any dataset is not as declared, and does the rest all the same; a waiter requires those of its own datasets
// only. These run at each start of a waiter and remain inactive, so that nothing ever restarts it because of them.
func Units(desired Desired, host string, waiters []Waiter, command ...string) ([]UnitFile, error) {
	exec, err := unit.Exec(command...)
	if err != nil {
		return nil, err
	}
	script, err := Script(desired, host)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(script))
	text, err := unit.Write(
		unit.Option{Section: "Unit", Name: "Description", Value: description(host)},
		unit.Option{Section: "Unit", Name: "After", Value: strings.Join(after, " ")},
		unit.Option{Section: "Unit", Name: "Wants", Value: "zfs-import.target"},
		unit.Option{Section: "Unit", Name: "X-Reload-Triggers", Value: hex.EncodeToString(sum[:])},
		unit.Option{Section: "Service", Name: "Type", Value: "oneshot"},
		unit.Option{Section: "Service", Name: "TimeoutStartSec", Value: timeout},
		unit.Option{Section: "Service", Name: "RemainAfterExit", Value: "yes"},
		unit.Option{Section: "Service", Name: "ExecStart", Value: exec},
		unit.Option{Section: "Service", Name: "ExecReload", Value: exec},
		unit.Option{Section: "Install", Name: "WantedBy", Value: "multi-user.target"},
	)
	if err != nil {
		return nil, err
	}
	files := []UnitFile{{"/etc/systemd/system/" + UnitName, text}}
	if text, err = unit.Write(
		unit.Option{Section: "Unit", Name: "Description", Value: checkDescription},
		unit.Option{Section: "Unit", Name: "Wants", Value: UnitName},
		unit.Option{Section: "Unit", Name: "After", Value: UnitName},
		unit.Option{Section: "Service", Name: "Type", Value: "oneshot"},
		unit.Option{Section: "Service", Name: "TimeoutStartSec", Value: timeout},
		unit.Option{Section: "Service", Name: "ExecStart", Value: exec + " %I"},
	); err != nil {
		return nil, err
	}
	files = append(files, UnitFile{"/etc/systemd/system/" + CheckTemplate, text})
	for _, w := range waiters {
		if !unitFileName(w.Unit) {
			return nil, fmt.Errorf("%q is no name of a unit", w.Unit)
		}
		checks := strings.Join(w.checks(), " ")
		options := []unit.Option{{Section: "Unit", Name: "Requires", Value: checks}, {Section: "Unit", Name: "After", Value: UnitName + " " + checks}}
		for _, o := range w.options() {
			options = append(options, unit.Option{Section: "Unit", Name: o[0], Value: o[1]})
		}
		if !w.StateDirectoryMode.IsZero() {
			options = append(options, unit.Option{Section: "Service", Name: "StateDirectoryMode", Value: w.StateDirectoryMode.String()})
		}
		text, err := unit.Write(options...)
		if err != nil {
			return nil, err
		}
		files = append(files, UnitFile{"/etc/systemd/system/" + w.Unit + ".d/50-stateward-datasets.conf", text})
	}
	return files, nil
}

func description(host string) string {
	return strings.TrimSpace("ZFS datasets as declared for " + unit.Specifiers(strings.Join(strings.Fields(host), " ")))
}

func unitFileName(s string) bool {
	return strings.HasSuffix(s, ".service") && len(s) < 256 && s[0] != '.' &&
		strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@") == ""
}

// checkDescription names the dataset.
const checkDescription = "ZFS dataset %I as declared"

// checks are the units that see to the waiter's datasets; the one that makes all where they are not known.
func (w Waiter) checks() []string {
	if len(w.Datasets) == 0 {
		return []string{UnitName}
	}
	var names []string
	for _, n := range w.Datasets {
		names = append(names, CheckUnit(n))
	}
	return names
}

// options are those that hold a waiter back.
func (w Waiter) options() [][2]string {
	var list [][2]string
	for _, p := range slices.Concat(w.Mounts, w.FileSystems) {
		list = append(list, [2]string{"AssertPathIsMountPoint", unit.Specifiers(p.String())})
	}
	for _, p := range w.FileSystems {
		list = append(list, [2]string{"RequiresMountsFor", unit.Words(p.String())})
	}
	return list
}

// Settings are what has NixOS run the script at boot and whenever it changes, and hold the waiters back, as [Units] do.
func Settings(desired Desired, host string, waiters []Waiter, tmpfiles []string) (m nix.Module, err error) {
	// What systemd would not read as it is, is refused here too.
	if _, err := Units(desired, host, waiters, DefaultScript); err != nil {
		return m, err
	}
	text, err := Script(desired, host)
	if err != nil {
		return m, err
	}
	m.Scripts = []nix.Script{{Name: scriptName, Text: text}}
	path := nix.Attr{Name: "path", Value: nix.List{nix.Config{"boot", "zfs", "package"}}}
	services := nix.Settings{{Name: strings.TrimSuffix(UnitName, ".service"), Value: nix.Settings{
		{Name: "description", Value: description(host)},
		{Name: "wantedBy", Value: nix.List{"multi-user.target"}},
		{Name: "wants", Value: nix.List{"zfs-import.target"}},
		{Name: "after", Value: list(after)},
		path,
		{Name: "reloadIfChanged", Value: true},
		{Name: "serviceConfig", Value: nix.Settings{
			{Name: "Type", Value: "oneshot"},
			{Name: "TimeoutStartSec", Value: timeout},
			{Name: "RemainAfterExit", Value: true},
			{Name: "ExecStart", Value: nix.Run{Script: scriptName}},
			{Name: "ExecReload", Value: nix.Run{Script: scriptName}},
		}},
	}}, {Name: strings.TrimSuffix(CheckTemplate, ".service"), Value: nix.Settings{
		{Name: "description", Value: checkDescription},
		{Name: "wants", Value: nix.List{UnitName}},
		{Name: "after", Value: nix.List{UnitName}},
		path,
		{Name: "serviceConfig", Value: nix.Settings{
			{Name: "Type", Value: "oneshot"},
			{Name: "TimeoutStartSec", Value: timeout},
			{Name: "ExecStart", Value: nix.Run{Script: scriptName, Arguments: " %I"}},
		}},
	}}}
	for _, w := range waiters {
		options := map[string][]string{}
		for _, o := range w.options() {
			options[o[0]] = append(options[o[0]], o[1])
		}
		var config nix.Settings
		for _, name := range []string{"AssertPathIsMountPoint", "RequiresMountsFor"} {
			if len(options[name]) > 0 {
				config = append(config, nix.Attr{Name: name, Value: list(options[name])})
			}
		}
		service := nix.Settings{
			{Name: "requires", Value: list(w.checks())},
			{Name: "after", Value: list(append([]string{UnitName}, w.checks()...))},
			{Name: "unitConfig", Value: config},
		}
		if !w.StateDirectoryMode.IsZero() {
			service = append(service, nix.Attr{Name: "serviceConfig", Value: nix.Settings{{Name: "StateDirectoryMode", Value: w.StateDirectoryMode.String()}}})
		}
		services = append(services, nix.Attr{Name: strings.TrimSuffix(w.Unit, ".service"), Value: service})
	}
	m.Add(services, "systemd", "services")
	m.Add(list(tmpfiles), "systemd", "tmpfiles", "rules")
	return m, nil
}

// scriptName is that of the script in the store.
const scriptName = "stateward-datasets"

// Module is a NixOS module with the [Settings] of datasets.
func Module(desired Desired, host string, waiters []Waiter, tmpfiles []string) (string, error) {
	m, err := Settings(desired, host, waiters, tmpfiles)
	if err != nil {
		return "", err
	}
	return m.Nix("Written by `stateward dataset plan -o nix`. A change is carried out by a reload, since a restart would stop the services.")
}

func list(texts []string) nix.List {
	l := nix.List{}
	for _, t := range texts {
		l = append(l, t)
	}
	return l
}
