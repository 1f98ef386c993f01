package preseed

import (
	"fmt"
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

// Module is a NixOS module that has systemd run the plans before the services, which need them and wait for them (E9): files by environment.etc, units, and what is
// added to the units of the services. Of preseeds without a plan nothing is written. The program, and restic, ssh and syncoid, are those of the system; onFailure are units
// that are started when a run fails. No secret is in it: plans and jobs only name the files of secrets.
func Module(list []Planned, program string, onFailure []string) (string, error) {
	var etc nix.Block
	units := map[string]*nix.Block{}
	var kindsUsed []string
	put := func(kind, name string, value nix.Block) {
		if units[kind] == nil {
			units[kind] = &nix.Block{}
			kindsUsed = append(kindsUsed, kind)
		}
		*units[kind] = append(*units[kind], nix.Attr{Name: nix.String(name), Value: value})
	}
	waits := map[string][]string{}
	var waiting []string
	for i := range list {
		o := &list[i]
		if o.Plan == nil {
			continue
		}
		text, err := o.Plan.Write()
		if err != nil {
			return "", err
		}
		etc = append(etc, nix.Attr{Name: nix.String(strings.TrimPrefix(o.Plan.PlanFile(), "/etc/")), Value: nix.Block{{Name: "text", Value: nix.Text(text)}}})
		options, err := o.Options(program, nil, onFailure)
		if err != nil {
			return "", err
		}
		written, err := o.Plan.unit(options)
		if err != nil {
			return "", err
		}
		block := nixUnit(written)
		// A switch to another configuration starts no restore, and breaks none off: the service has its data by then.
		block = append(block, nix.Attr{Name: "restartIfChanged", Value: false}, nix.Attr{Name: "path", Value: nix.List{systemPath}})
		put("services", strings.TrimSuffix(o.Plan.UnitName(), ".service"), block)
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
			return "", &PlanError{"", "units", fmt.Sprintf("has %q, to which a module of NixOS adds nothing", u), "name the service"}
		}
		var names nix.List
		for _, name := range waits[u] {
			names = append(names, name)
		}
		block := nix.Block{{Name: "requires", Value: names}, {Name: "after", Value: names}}
		if name := strings.TrimSuffix(u, suffix); strings.Contains(name, "@") && !strings.HasSuffix(name, "@") {
			// Else NixOS would write a whole unit, with nothing to execute, in place of what the template makes.
			block = append(block, nix.Attr{Name: "overrideStrategy", Value: "asDropin"})
		}
		put(kind, strings.TrimSuffix(u, suffix), block)
	}
	var module nix.Block
	if len(etc) > 0 {
		module = append(module, nix.Attr{Name: "environment.etc", Value: etc})
	}
	slices.Sort(kindsUsed)
	for _, kind := range kindsUsed {
		module = append(module, nix.Attr{Name: "systemd." + kind, Value: *units[kind]})
	}
	text, err := nix.Write(module, 0)
	if err != nil {
		return "", err
	}
	head := "# Written by `stateward preseed plan -o nix`: stateward has to be in environment.systemPackages.\n"
	has := func(f func(*Planned) bool) bool {
		return slices.ContainsFunc(list, func(o Planned) bool { return o.Plan != nil && f(&o) })
	}
	if has(func(o *Planned) bool { return o.Job != nil }) {
		head += "# So has restic, and `stateward backup plan -o nix` has to write the jobs that are named.\n"
	}
	if has(func(o *Planned) bool { return o.Plan.SQLite }) {
		head += "# So has sqlite, by which databases are checked.\n"
	}
	if has(func(o *Planned) bool {
		return slices.ContainsFunc(o.Plan.Sources, func(s Source) bool { return strings.HasPrefix(s.KnownHosts, "/etc/stateward/") })
	}) {
		head += "# `stateward snapshot plan -o nix` has to write the keys of the hosts.\n"
	}
	if units := NotifyUnits(list); len(units) > 0 {
		head += "# `stateward notify units` has to write " + strings.Join(units, ", ") + ".\n"
	}
	return head + nix.Head() + text + "\n", nil
}

// nixUnit writes the options of a unit as NixOS has them; a value with blanks between units is a list there.
func nixUnit(options []unit.Option) nix.Block {
	lists := map[string]string{"Wants": "wants", "After": "after", "Before": "before", "OnFailure": "onFailure"}
	var out, config, section nix.Block
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
