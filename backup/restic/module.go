package restic

import (
	"slices"
	"strings"

	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/internal/syntax/nix"
	"github.com/stateward/stateward/internal/syntax/unit"
)

// PlanDir is where the files with the jobs lie.
const PlanDir = "/etc/stateward/backup"

// PlanFile is the file with the job.
func (j Job) PlanFile() string { return PlanDir + "/" + j.Name + ".json" }

// Rendered is a job that is to be rendered.
type Rendered struct {
	Job   Job
	Timer Timer
}

// NotifyUnits are the files of the units that the jobs have started to send notifications, sorted.
func NotifyUnits(jobs []Rendered) []string {
	var out []string
	for _, r := range jobs {
		for _, template := range []string{r.Job.Notify.OnStart, r.Job.Notify.OnSuccess, r.Job.Notify.OnFailure} {
			if template != "" {
				out = append(out, backup.NotifyUnit(template, ""))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// systemPath is where NixOS has the programs of the system.
const systemPath = "/run/current-system/sw"

// Settings are what has systemd of NixOS run the jobs: their files by environment.etc, services and timers. The program, and restic, are those of the
// system; onFailure are units that are started when a run fails. No secret is in it: a job only names the files of its secrets.
func Settings(jobs []Rendered, program string, onFailure []string) (m nix.Module, err error) {
	var etc, services, timers nix.Settings
	for _, r := range jobs {
		text, err := r.Job.Write()
		if err != nil {
			return m, err
		}
		etc = append(etc, nix.TextFile(r.Job.PlanFile(), string(text)))
		digest, err := r.Digest()
		if err != nil {
			return m, err
		}
		put := func(name string, service, timer []unit.Option) {
			// A switch to another configuration does not break off a run; what it starts next time is the new one.
			block := append(nixUnit(service, "serviceConfig"), nix.Attr{Name: "restartIfChanged", Value: false}, nix.Attr{Name: "path", Value: nix.List{systemPath}})
			services = append(services, nix.Attr{Name: name, Value: block})
			timers = append(timers, nix.Attr{Name: name, Value: nixUnit(timer, "timerConfig")})
		}
		service, err := r.Job.service(UnitOptions{Stateward: program, Plan: r.Job.PlanFile(), OnFailure: onFailure, Digest: digest})
		if err != nil {
			return m, err
		}
		timer, err := r.Job.timer(r.Timer)
		if err != nil {
			return m, err
		}
		put(r.Job.UnitName(), service, timer)
		if !r.Job.DrillsByTimer() {
			continue
		}
		if service, timer, err = r.Job.drillUnits(UnitOptions{Stateward: program, Plan: r.Job.PlanFile(), OnFailure: onFailure}, ""); err != nil {
			return m, err
		}
		put(r.Job.DrillUnitName(), service, timer)
	}
	m.Add(etc, "environment", "etc")
	m.Add(services, "systemd", "services")
	m.Add(timers, "systemd", "timers")
	return m, nil
}

// Packages are those that the jobs need beside stateward, as nixpkgs calls them, sorted.
func Packages(jobs []Rendered) (list []string) {
	if len(jobs) > 0 {
		list = append(list, "restic")
	}
	if slices.ContainsFunc(jobs, func(r Rendered) bool { return r.Job.DrillsByTimer() && r.Job.Drill.ChecksSQLite() }) {
		list = append(list, "sqlite")
	}
	return list
}

// Module is a NixOS module with the [Settings] of jobs.
func Module(jobs []Rendered, program string, onFailure []string) (string, error) {
	m, err := Settings(jobs, program, onFailure)
	if err != nil {
		return "", err
	}
	head := []string{"Written by `stateward backup plan -o nix`: stateward and restic have to be in environment.systemPackages."}
	if slices.Contains(Packages(jobs), "sqlite") {
		head = append(head, "So has sqlite, by which restore drills check databases.")
	}
	if units := NotifyUnits(jobs); len(units) > 0 {
		head = append(head, "`stateward notify units` has to write "+strings.Join(units, ", ")+".")
	}
	return m.Nix(head...)
}

// nixUnit writes the options of a unit as NixOS has them. Values are written as they are there too, so that they stay escaped.
func nixUnit(options []unit.Option, own string) nix.Settings {
	named := map[string]string{"Description": "description", "Wants": "wants", "After": "after", "OnFailure": "onFailure", "OnSuccess": "onSuccess", "WantedBy": "wantedBy"}
	var out, config, section nix.Settings
	put := func(b *nix.Settings, name, value string) {
		for i := range *b {
			if a := &(*b)[i]; a.Name == name {
				if l, ok := a.Value.(nix.List); ok {
					a.Value = append(l, value)
				} else {
					a.Value = nix.List{a.Value, value}
				}
				return
			}
		}
		*b = append(*b, nix.Attr{Name: name, Value: value})
	}
	for _, o := range options {
		switch name := named[o.Name]; {
		case name == "description":
			put(&out, name, o.Value)
		case name != "":
			put(&out, name, o.Value)
			// These are lists, also of one.
			i := slices.IndexFunc(out, func(a nix.Attr) bool { return a.Name == name })
			if text, ok := out[i].Value.(string); ok {
				out[i].Value = nix.List{text}
			}
		case o.Section == "Unit":
			put(&config, o.Name, o.Value)
		default:
			put(&section, o.Name, o.Value)
		}
	}
	if len(config) > 0 {
		out = append(out, nix.Attr{Name: "unitConfig", Value: config})
	}
	return append(out, nix.Attr{Name: own, Value: section})
}

// StockModule is a NixOS module of services.restic.backups, and which jobs that cannot have.
func StockModule(jobs []Rendered) (string, []error, error) {
	var backups, services nix.Block
	var refused []error
	for _, r := range jobs {
		// That what the configuration mounts is mounted is what the unit of NixOS leaves to others.
		r.Job.RequireMounted = nil
		l := r.Job.Limits
		r.Job.Limits = Limits{Upload: l.Upload, Download: l.Download, ReadConcurrency: l.ReadConcurrency}
		text, err := r.Job.Stock(r.Timer, 2)
		if err != nil {
			refused = append(refused, err)
			continue
		}
		backups = append(backups, nix.Attr{Name: nix.String(r.Job.Name), Value: nix.Raw(text)})
		var config nix.Block
		for _, o := range l.options() {
			config = append(config, nix.Attr{Name: o.Name, Value: o.Value})
		}
		if len(config) > 0 {
			services = append(services, nix.Attr{Name: nix.String("restic-backups-" + r.Job.Name), Value: nix.Block{{Name: "serviceConfig", Value: config}}})
		}
	}
	module := nix.Block{}
	if len(backups) > 0 {
		module = append(module, nix.Attr{Name: "services.restic.backups", Value: backups})
	}
	if len(services) > 0 {
		module = append(module, nix.Attr{Name: "systemd.services", Value: services})
	}
	text, err := nix.Write(module, 0)
	if err != nil {
		return "", refused, err
	}
	return "# Written by `stateward backup plan -o stock`.\n" + nix.Head() + text + "\n", refused, nil
}
