package dataset

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/syntax/nix"
	"github.com/stateward/stateward/internal/syntax/unit"
)

// UnitName is the name of the unit that makes the datasets, all of them.
const UnitName = "stateward-datasets.service"

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
}

// Waiters are the units of the services that have datasets, and of those whose state lies on them, in the order of their names.
// Unwaited are the services with a dataset of which no unit is known, or not where their dataset is mounted.
func Waiters(h *stateward.Host, d Desired) (waiters []Waiter, unwaited []string) {
	byUnit := map[string]*Waiter{}
	units := unitsOf(h)
	keepers := keepersOf(h)
	for i := range d.Datasets {
		w := &d.Datasets[i]
		if w.Role == Foreign {
			continue
		}
		own, mounted := d.MountPoint(w.Name)
		theirs := fileSystemsOf(h, w.Name)
		wait := func(names []string) {
			for _, name := range names {
				if byUnit[name] == nil {
					byUnit[name] = &Waiter{Unit: name}
				}
				if mounted {
					byUnit[name].Mounts = append(byUnit[name].Mounts, own)
				}
				byUnit[name].Datasets = append(byUnit[name].Datasets, w.Name)
				byUnit[name].FileSystems = append(byUnit[name].FileSystems, theirs...)
			}
		}
		var others []string
		if mounted && own != stateward.Root {
			others = keepers(own)
			wait(others)
		}
		for _, service := range w.Services {
			if len(units[service]) == 0 && len(others) == 0 || !mounted && len(theirs) == 0 && w.Type != Volume {
				unwaited = append(unwaited, service)
				continue
			}
			wait(units[service])
		}
	}
	for _, w := range byUnit {
		for _, list := range []*[]stateward.AbsPath{&w.Mounts, &w.FileSystems} {
			slices.SortFunc(*list, comparePaths)
			*list = slices.Compact(*list)
		}
		slices.SortFunc(w.Datasets, CompareName)
		w.Datasets = slices.Compact(w.Datasets)
		waiters = append(waiters, *w)
	}
	slices.SortFunc(waiters, func(a, b Waiter) int { return strings.Compare(a.Unit, b.Unit) })
	slices.Sort(unwaited)
	return waiters, slices.Compact(unwaited)
}

// unitsOf are the units of services, by the names of the services. Where a declaration names none, it is the unit that is called as the
// service is, or that of a container that is.
func unitsOf(h *stateward.Host) map[string][]string {
	units := map[string][]string{}
	for _, s := range h.Services.Or(nil) {
		for _, u := range s.Units {
			if strings.HasSuffix(u, ".service") {
				units[s.Name] = append(units[s.Name], u)
			}
		}
	}
	there := map[string]bool{}
	for _, u := range h.Units.Or(nil) {
		there[u.Name] = true
	}
	for _, s := range h.Services.Or(nil) {
		for _, prefix := range []string{"", "podman-", "docker-"} {
			if name := prefix + s.Name + ".service"; len(units[s.Name]) == 0 && there[name] {
				units[s.Name] = append(units[s.Name], name)
			}
		}
	}
	return units
}

// keepersOf finds the units of services that write state at a path or below it.
func keepersOf(h *stateward.Host) func(at stateward.AbsPath) []string {
	type place struct {
		path  stateward.AbsPath
		units []string
	}
	var places []place
	for _, s := range h.Services.Or(nil) {
		var units []string
		for _, u := range s.Units {
			// What systemd itself brings starts before there is any pool, and must not wait for one.
			if strings.HasSuffix(u, ".service") && !strings.HasPrefix(u, "systemd-") {
				units = append(units, u)
			}
		}
		if on, known := s.Enable.Get(); known && !on || len(units) == 0 {
			continue
		}
		paths, _ := s.StatePaths()
		for _, p := range paths {
			if p.Problem == nil && !p.ReadOnly && !p.Perhaps && !p.Path.IsZero() {
				places = append(places, place{p.Path, units})
			}
		}
	}
	return func(at stateward.AbsPath) []string {
		var units []string
		for _, p := range places {
			if p.path == at || p.path.Below(at) {
				units = append(units, p.units...)
			}
		}
		return units
	}
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

// Module is a NixOS module that runs the script at boot and whenever it changes, and holds the waiters back, as [Units] do.
func Module(desired Desired, host string, waiters []Waiter, tmpfiles []string) (string, error) {
	// What systemd would not read as it is, is refused here too.
	if _, err := Units(desired, host, waiters, DefaultScript); err != nil {
		return "", err
	}
	script, err := Script(desired, host)
	if err != nil {
		return "", err
	}
	script, err = nix.Write(nix.Text(script), 1)
	if err != nil {
		return "", err
	}
	service := strings.TrimSuffix(UnitName, ".service")
	services := nix.Block{{Name: service, Value: nix.Block{
		{Name: "description", Value: description(host)},
		{Name: "wantedBy", Value: nix.List{"multi-user.target"}},
		{Name: "wants", Value: nix.List{"zfs-import.target"}},
		{Name: "after", Value: list(after)},
		{Name: "path", Value: nix.List{nix.Raw("config.boot.zfs.package")}},
		{Name: "reloadIfChanged", Value: true},
		{Name: "serviceConfig", Value: nix.Block{
			{Name: "Type", Value: "oneshot"},
			{Name: "RemainAfterExit", Value: true},
			{Name: "ExecStart", Value: nix.Raw(`"${script}"`)},
			{Name: "ExecReload", Value: nix.Raw(`"${script}"`)},
		}},
	}}, {Name: nix.String(strings.TrimSuffix(CheckTemplate, ".service")), Value: nix.Block{
		{Name: "description", Value: checkDescription},
		{Name: "wants", Value: nix.List{UnitName}},
		{Name: "after", Value: nix.List{UnitName}},
		{Name: "path", Value: nix.List{nix.Raw("config.boot.zfs.package")}},
		{Name: "serviceConfig", Value: nix.Block{
			{Name: "Type", Value: "oneshot"},
			{Name: "ExecStart", Value: nix.Raw(`"${script} %I"`)},
		}},
	}}}
	for _, w := range waiters {
		options := map[string][]string{}
		for _, o := range w.options() {
			options[o[0]] = append(options[o[0]], o[1])
		}
		var config nix.Block
		for _, name := range []string{"AssertPathIsMountPoint", "RequiresMountsFor"} {
			if len(options[name]) > 0 {
				config = append(config, nix.Attr{Name: name, Value: list(options[name])})
			}
		}
		services = append(services, nix.Attr{Name: nix.String(strings.TrimSuffix(w.Unit, ".service")), Value: nix.Block{
			{Name: "requires", Value: list(w.checks())},
			{Name: "after", Value: list(append([]string{UnitName}, w.checks()...))},
			{Name: "unitConfig", Value: config},
		}})
	}
	module := nix.Block{{Name: "systemd.services", Value: services}}
	if len(tmpfiles) > 0 {
		module = append(module, nix.Attr{Name: "systemd.tmpfiles.rules", Value: list(tmpfiles)})
	}
	text, err := nix.Write(module, 0)
	if err != nil {
		return "", err
	}
	return "# Written by `stateward dataset plan -o nix`. A change is carried out by a reload, since a restart would stop the services.\n" +
		"{ config, pkgs, ... }:\nlet\n  script = pkgs.writeShellScript " + nix.String(service) + " " + script + ";\nin\n" + text + "\n", nil
}

func list(texts []string) nix.List {
	l := nix.List{}
	for _, t := range texts {
		l = append(l, t)
	}
	return l
}
