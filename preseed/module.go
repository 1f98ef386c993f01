package preseed

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/stateward/stateward/internal/syntax/nix"
	"github.com/stateward/stateward/internal/syntax/unit"
)

// systemPath is where NixOS has the programs of the system.
const systemPath = "/run/current-system/sw"

// Options are those of the unit of a plan, which lies where [Plan.PlanFile] says.
func (o *Planned) Options(program string, dirs, onFailure []string) (UnitOptions, error) {
	digest, err := o.Plan.Digest()
	return UnitOptions{Stateward: program, Plan: o.Plan.PlanFile(), Path: dirs, Remote: o.Remote, Datasets: o.Datasets, OnFailure: onFailure, Digest: digest}, err
}

// kinds are the options of NixOS for units by their suffix.
var kinds = map[string]string{".service": "services", ".socket": "sockets", ".timer": "timers", ".path": "paths", ".target": "targets", ".mount": "mounts"}

// Settings are what has systemd of NixOS run the plans before the services, which need them and wait for them (E9): files by environment.etc, units, and what is
// added to the units of the services. Of preseeds without a plan nothing is written. The program, and restic, ssh and syncoid, are those of the system; onFailure are units
// that are started when a run fails. No secret is in it: plans and jobs only name the files of secrets.
func Settings(list []Planned, program string, onFailure []string) (m nix.Module, err error) {
	var etc nix.Settings
	units := map[string]nix.Settings{}
	waits := map[string][]string{}
	var waiting []string
	for i := range list {
		o := &list[i]
		if o.Plan == nil {
			continue
		}
		text, err := o.Plan.Write()
		if err != nil {
			return m, err
		}
		etc = append(etc, nix.TextFile(o.Plan.PlanFile(), string(text)))
		options, err := o.Options(program, nil, onFailure)
		if err != nil {
			return m, err
		}
		written, err := o.Plan.unit(options)
		if err != nil {
			return m, err
		}
		// A switch to another configuration starts no restore, and breaks none off: the service has its data by then.
		block := append(nixUnit(written), nix.Attr{Name: "restartIfChanged", Value: false}, nix.Attr{Name: "path", Value: nix.List{systemPath}})
		units["services"] = append(units["services"], nix.Attr{Name: strings.TrimSuffix(o.Plan.UnitName(), ".service"), Value: block})
		for _, u := range o.Plan.Units {
			if len(waits[u]) == 0 {
				waiting = append(waiting, u)
			}
			waits[u] = append(waits[u], o.Plan.UnitName())
		}
	}
	for _, u := range waiting {
		suffix := path.Ext(u)
		kind := kinds[suffix]
		if kind == "" || kind == "mounts" {
			return m, &PlanError{"", "units", fmt.Sprintf("has %q, to which a module of NixOS adds nothing", u), "name the service"}
		}
		var names nix.List
		for _, name := range waits[u] {
			names = append(names, name)
		}
		block := nix.Settings{{Name: "requires", Value: names}, {Name: "after", Value: names}}
		if name := strings.TrimSuffix(u, suffix); strings.Contains(name, "@") && !strings.HasSuffix(name, "@") {
			// Else NixOS would write a whole unit, with nothing to execute, in place of what the template makes.
			block = append(block, nix.Attr{Name: "overrideStrategy", Value: "asDropin"})
		}
		units[kind] = append(units[kind], nix.Attr{Name: strings.TrimSuffix(u, suffix), Value: block})
	}
	m.Add(etc, "environment", "etc")
	for _, kind := range slices.Sorted(maps.Keys(units)) {
		m.Add(units[kind], "systemd", kind)
	}
	return m, nil
}

// Packages are those that the plans need beside stateward and ssh, as nixpkgs calls them, sorted.
func Packages(list []Planned) (names []string) {
	if hasPlan(list, func(o *Planned) bool { return o.Job != nil }) {
		names = append(names, "restic")
	}
	if hasPlan(list, func(o *Planned) bool {
		return slices.ContainsFunc(o.Plan.Sources, func(s Source) bool { return s.Kind == Replica })
	}) {
		names = append(names, "sanoid")
	}
	if hasPlan(list, func(o *Planned) bool { return o.Plan.SQLite }) {
		names = append(names, "sqlite")
	}
	return names
}

func hasPlan(list []Planned, f func(*Planned) bool) bool {
	return slices.ContainsFunc(list, func(o Planned) bool { return o.Plan != nil && f(&o) })
}

// Module is a NixOS module with the [Settings] of preseeds.
func Module(list []Planned, program string, onFailure []string) (string, error) {
	m, err := Settings(list, program, onFailure)
	if err != nil {
		return "", err
	}
	head := []string{"Written by `stateward preseed plan -o nix`: stateward has to be in environment.systemPackages."}
	if hasPlan(list, func(o *Planned) bool { return o.Job != nil }) {
		head = append(head, "So has restic, and `stateward backup plan -o nix` has to write the jobs that are named.")
	}
	if hasPlan(list, func(o *Planned) bool { return o.Plan.SQLite }) {
		head = append(head, "So has sqlite, by which databases are checked.")
	}
	if hasPlan(list, func(o *Planned) bool {
		return slices.ContainsFunc(o.Plan.Sources, func(s Source) bool { return strings.HasPrefix(s.KnownHosts, "/etc/stateward/") })
	}) {
		head = append(head, "`stateward snapshot plan -o nix` has to write the keys of the hosts.")
	}
	if units := NotifyUnits(list); len(units) > 0 {
		head = append(head, "`stateward notify units` has to write "+strings.Join(units, ", ")+".")
	}
	return m.Nix(head...)
}

// nixUnit writes the options of a unit as NixOS has them; a value with blanks between units is a list there.
func nixUnit(options []unit.Option) nix.Settings {
	lists := map[string]string{"Wants": "wants", "After": "after", "Before": "before", "OnFailure": "onFailure"}
	var out, config, section nix.Settings
	for _, o := range options {
		switch {
		case o.Name == "Description":
			out = append(out, nix.Attr{Name: "description", Value: o.Value})
		case lists[o.Name] != "":
			name := lists[o.Name]
			i := slices.IndexFunc(out, func(a nix.Attr) bool { return a.Name == name })
			if i < 0 {
				i = len(out)
				out = append(out, nix.Attr{Name: name, Value: nix.List{}})
			}
			l := out[i].Value.(nix.List)
			for _, u := range strings.Fields(o.Value) {
				l = append(l, u)
			}
			out[i].Value = l
		case o.Section == "Unit":
			config = append(config, nix.Attr{Name: o.Name, Value: o.Value})
		default:
			section = append(section, nix.Attr{Name: o.Name, Value: o.Value})
		}
	}
	if len(config) > 0 {
		out = append(out, nix.Attr{Name: "unitConfig", Value: config})
	}
	return append(out, nix.Attr{Name: "serviceConfig", Value: section})
}
