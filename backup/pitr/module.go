package pitr

import (
	"slices"
	"strings"

	"github.com/stateward/stateward/internal/syntax/nix"
	"github.com/stateward/stateward/internal/syntax/unit"
)

// systemPath is where NixOS has the programs of the system.
const systemPath = "/run/current-system/sw"

// ServerSettings are those that are to be written for the server: without those that the configuration has in its own words.
func (o *Planned) ServerSettings(t Tools) ([]Setting, error) {
	list, err := o.Policy.Settings(t)
	return slices.DeleteFunc(list, func(s Setting) bool { return o.said[s.Name] }), err
}

// HostSettings are what has the server of NixOS archive, and systemd run the jobs of the policies: their files by environment.etc, settings of services.postgresql, what its
// unit gets, services and timers. Of clusters without a policy nothing is written. onFailure are units that are started when a run fails. No secret is in it.
func HostSettings(list []Planned, program string, tools Tools, onFailure []string) (m nix.Module, err error) {
	var etc, settings, services, timers nix.Settings
	for i := range list {
		o := &list[i]
		if o.Policy == nil {
			continue
		}
		p := o.Policy
		text, err := p.Write()
		if err != nil {
			return m, err
		}
		etc = append(etc, nix.TextFile(p.PlanFile(), string(text)))
		if o.Stock {
			own, err := o.ServerSettings(tools)
			if err != nil {
				return m, err
			}
			for _, s := range own {
				settings = append(settings, nix.Attr{Name: s.Name, Value: s.Value})
			}
		}
		if name, ok := strings.CutSuffix(p.Cluster.Unit, ".service"); ok && o.Stock {
			var block nix.Settings
			if p.EnvironmentFile != "" {
				block = append(block, nix.Attr{Name: "serviceConfig", Value: nix.Settings{{Name: "EnvironmentFile", Value: nix.List{unit.Specifiers(p.EnvironmentFile)}}}})
			}
			if p.CredentialsFile != "" {
				block = append(block, nix.Attr{Name: "environment", Value: nix.Settings{{Name: "AWS_SHARED_CREDENTIALS_FILE", Value: p.CredentialsFile}}})
			}
			if len(block) > 0 {
				services = append(services, nix.Attr{Name: name, Value: block})
			}
		}
		digest, err := p.Digest()
		if err != nil {
			return m, err
		}
		units, err := p.Units(UnitOptions{Stateward: program, OnFailure: onFailure, Digest: digest})
		if err != nil {
			return m, err
		}
		for _, u := range units {
			block := append(nixUnit(u.service, "serviceConfig"), nix.Attr{Name: "restartIfChanged", Value: false}, nix.Attr{Name: "path", Value: nix.List{systemPath}})
			services = append(services, nix.Attr{Name: u.Name, Value: block})
			timers = append(timers, nix.Attr{Name: u.Name, Value: nixUnit(u.timer, "timerConfig")})
		}
	}
	m.Add(etc, "environment", "etc")
	m.Add(settings, "services", "postgresql", "settings")
	m.Add(services, "systemd", "services")
	m.Add(timers, "systemd", "timers")
	return m, nil
}

// Packages are those that the policies need beside stateward and PostgreSQL, as nixpkgs calls them.
func Packages(list []Planned) []string {
	if slices.ContainsFunc(list, func(o Planned) bool { return o.Policy != nil }) {
		return []string{"barman"}
	}
	return nil
}

// Module is a NixOS module with the [HostSettings] of clusters.
func Module(list []Planned, program string, tools Tools, onFailure []string) (string, error) {
	m, err := HostSettings(list, program, tools, onFailure)
	if err != nil {
		return "", err
	}
	head := []string{"Written by `stateward pitr plan -o nix`: stateward and barman have to be in environment.systemPackages."}
	if units := NotifyUnits(list); len(units) > 0 {
		head = append(head, "`stateward notify units` has to write "+strings.Join(units, ", ")+".")
	}
	return m.Nix(head...)
}

// nixUnit writes the options of a unit as NixOS has them. Values are written as they are there too, so that they stay escaped; what stands twice, or names units, is a list.
func nixUnit(options []unit.Option, own string) nix.Settings {
	named := map[string]string{"Description": "description", "Wants": "wants", "After": "after", "Requisite": "requisite", "OnFailure": "onFailure", "OnSuccess": "onSuccess", "WantedBy": "wantedBy"}
	var out, config, section nix.Settings
	list := func(b *nix.Settings, name string, values ...string) {
		i := slices.IndexFunc(*b, func(a nix.Attr) bool { return a.Name == name })
		if i < 0 {
			*b, i = append(*b, nix.Attr{Name: name, Value: nix.List{}}), len(*b)
		}
		l := (*b)[i].Value.(nix.List)
		for _, v := range values {
			l = append(l, v)
		}
		(*b)[i].Value = l
	}
	for _, o := range options {
		switch name := named[o.Name]; {
		case name == "description":
			out = append(out, nix.Attr{Name: name, Value: o.Value})
		case name != "":
			list(&out, name, strings.Fields(o.Value)...)
		case o.Name == "OnCalendar":
			list(&section, o.Name, o.Value)
		case o.Section == "Unit":
			config = append(config, nix.Attr{Name: o.Name, Value: o.Value})
		default:
			section = append(section, nix.Attr{Name: o.Name, Value: o.Value})
		}
	}
	if len(config) > 0 {
		out = append(out, nix.Attr{Name: "unitConfig", Value: config})
	}
	return append(out, nix.Attr{Name: own, Value: section})
}
