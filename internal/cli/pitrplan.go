package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
	execpitr "github.com/stateward/stateward/internal/exec/pitr"
)

// PITRPlan is what `stateward pitr plan -o json` prints.
type PITRPlan struct {
	ProtocolVersion string         `json:"protocolVersion"`
	Hosts           []HostClusters `json:"hosts"`
}

// HostClusters are the clusters of one host that are to be archived.
type HostClusters struct {
	Name     string           `json:"name"`
	Source   string           `json:"source"`
	Status   stateward.Status `json:"status"`
	Clusters []PlannedCluster `json:"clusters"`
	// Faults are what could not be had of all of them.
	Faults []pitr.PlanFault `json:"faults,omitempty"`
	// NotifyUnits are the units that send notifications; `stateward notify units` writes them.
	NotifyUnits []string     `json:"notifyUnits,omitempty"`
	Error       *ErrorOutput `json:"error,omitempty"`

	planned []pitr.Planned
}

// PlannedCluster is one cluster.
type PlannedCluster struct {
	Name   string           `json:"name"`
	Origin stateward.Origin `json:"origin"`
	// Policy is what the other commands read; it is missing where there is none.
	Policy any `json:"policy,omitempty"`
	// Settings are those of the server, as its configuration has them.
	Settings map[string]string `json:"settings,omitempty"`
	// Places are where data and log lie, and what suits them.
	Places []pitr.Place `json:"places,omitempty"`
	// Units are those of the jobs, without ".service" and ".timer".
	Units []string `json:"units,omitempty"`
	// Faults keep it from being planned. Notes do not.
	Faults []pitr.PlanFault `json:"faults,omitempty"`
	Notes  []pitr.PlanFault `json:"notes,omitempty"`

	settings []pitr.Setting
}

type pitrPlanFlags struct {
	sourceFlags
	output, write, program, barman, tools string
	names, path, onFailure                []string
}

func newPITRPlan(env Env) *cobra.Command {
	var f pitrPlanFlags
	cmd := &cobra.Command{
		Use:   "plan [SOURCE]",
		Short: "Make the policies of the clusters that a configuration wants archived, and write what runs them",
		Long: `Plan lists each cluster of PostgreSQL that stateward.pitr asks to have archived: where to, by
which settings of the server, when base backups are made, and for how long they are kept. What
the server is, services.postgresql says; what is missing, or is said there in another way, is
named with the option that says it, and nothing is guessed.

For one host:
  units   the policy, the settings of the server as a file, a drop-in for its unit with the files
          of secrets, and a service and a timer each for base backups, checks, retention and drills
  nix     a NixOS module with all of that; no secret is in it
With --write DIR the files are written below DIR, each whole or not at all; -o json writes the
policies alone, as stateward pitr reads them.

Versions of barman-cloud differ in their options. With --tools DIR the tools in DIR are asked for
theirs, and one that does not know what is asked of it is a fault.

Status 1 means that a cluster cannot be planned, or that a value is unknown; the others are written.

` + exitStatus,
		Example: "  stateward pitr plan .#forge\n  stateward pitr plan .#forge -o nix > pitr.nix\n  stateward pitr plan .#forge -o json --write /tmp/policies",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("write") && f.write == "" {
				return withStatus(StatusUsage, &writeNowhereError{})
			}
			return f.run(cmd.Context(), env, args)
		},
	}
	f.register(cmd)
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text, json, units or nix", "text", "text", "json", "units", "nix")
	fs := cmd.Flags()
	fs.StringArrayVar(&f.names, "name", nil, "only the cluster `NAME`; may be repeated")
	fs.StringVar(&f.write, "write", "", "write files below `DIR` in place of standard output")
	fs.StringVar(&f.program, "program", "/run/current-system/sw/bin/stateward", "the program stateward on the machine, a `FILE`")
	fs.StringVar(&f.barman, "barman", "/run/current-system/sw/bin", "where barman-cloud is on the machine, a `DIR`: archive_command names its tool in full")
	fs.StringVar(&f.tools, "tools", "", "ask the tools in `DIR`, on this machine, which options they know")
	fs.StringArrayVar(&f.path, "path", []string{"/run/current-system/sw/bin", "/usr/bin", "/bin"}, "where barman-cloud and the programs of PostgreSQL are on the machine, a `DIR` of the PATH of the units; may be repeated")
	fs.StringArrayVar(&f.onFailure, "on-failure", nil, "start the `UNIT` where a run fails, such as notify@%n.service; may be repeated")
	return cmd
}

// unknownClusterError is a cluster that nothing asks to have archived.
type unknownClusterError struct {
	name  string
	known []string
}

func (e *unknownClusterError) Error() string {
	return fmt.Sprintf("no cluster %q is to be archived", e.name)
}
func (e *unknownClusterError) Hint() string {
	if len(e.known) == 0 {
		return "none is: stateward.pitr.postgresql = { … }; asks for one"
	}
	return "these are: " + strings.Join(e.known, ", ")
}

func (f *pitrPlanFlags) run(ctx context.Context, env Env, args []string) error {
	if f.write != "" && f.output == "text" {
		return withStatus(StatusUsage, &writeTextError{"json, units and nix"})
	}
	if err := cmp.Or(onMachine("program", f.program), onMachine("barman", f.barman), onMachine("path", f.path...)); err != nil {
		return err
	}
	tools := pitr.Tools{Dir: f.barman}
	if f.tools != "" {
		var err error
		if tools.Flags, err = execpitr.AskTools(ctx, f.tools, os.Environ()); err != nil {
			return withStatus(StatusStep, err)
		}
	}
	names := knownNames{}
	return planRun[HostClusters]{
		source: &f.sourceFlags, output: f.output, write: f.write,
		formats: "json, units and nix", forOne: map[string]string{"units": "units", "nix": "a module"},
		plan: func(l loaded) (HostClusters, error) { return f.plan(l, names, tools) }, sound: (*HostClusters).sound,
		known: func(_ []HostClusters, failed bool) error {
			return names.check(f.names, failed, func(name string, known []string) error { return &unknownClusterError{name, known} })
		},
		document: func(hosts []HostClusters) any { return PITRPlan{protocolVersion, hosts} },
		print:    printClusters,
		render:   func(env Env, h *HostClusters) (bool, error) { return true, f.render(env, h, tools) },
	}.run(ctx, env, args)
}

func (h *HostClusters) sound() bool {
	return h.Error == nil && h.Status == stateward.StatusOK && len(h.Faults) == 0 && !slices.ContainsFunc(h.Clusters, func(p PlannedCluster) bool { return len(p.Faults) > 0 })
}

func (f *pitrPlanFlags) plan(l loaded, names knownNames, tools pitr.Tools) (HostClusters, error) {
	h := HostClusters{Name: l.name, Source: l.source, Status: stateward.StatusFailed, Clusters: []PlannedCluster{}}
	if l.err != nil {
		h.Error = errorOutput(l.err)
		return h, nil
	}
	h.Status = l.host.Status
	list, faults := pitr.FromHost(l.host, tools.Flags)
	h.Faults = faults
	for _, p := range list {
		names[p.Name] = true
		if len(f.names) > 0 && !slices.Contains(f.names, p.Name) {
			continue
		}
		one := PlannedCluster{Name: p.Name, Origin: p.Origin, Places: p.Places, Faults: p.Faults, Notes: p.Notes}
		if p.Policy != nil {
			text, err := p.Policy.Write()
			if err != nil {
				return h, err
			}
			one.Policy = json.RawMessage(text)
			if one.settings, err = p.ServerSettings(tools); err != nil {
				return h, err
			}
			one.Settings = map[string]string{}
			for _, s := range one.settings {
				one.Settings[s.Name] = s.Value
			}
			for _, job := range p.Policy.Jobs() {
				one.Units = append(one.Units, p.Policy.UnitName(job))
			}
		}
		h.Clusters = append(h.Clusters, one)
		h.planned = append(h.planned, p)
	}
	h.NotifyUnits = pitr.NotifyUnits(h.planned)
	return h, nil
}

// render writes what is for a machine, and says beside it what that lacks.
func (f *pitrPlanFlags) render(env Env, h *HostClusters, tools pitr.Tools) error {
	if h.Error != nil {
		printError(env.Stderr, &plainError{*h.Error})
		return nil
	}
	faults := slices.Clone(h.Faults)
	for _, p := range h.Clusters {
		faults = append(faults, p.Faults...)
	}
	for _, fault := range faults {
		printError(env.Stderr, planFault(fault.Error(), fault.Hint, fault.Origin))
	}
	if h.Status == stateward.StatusPartial && len(faults) == 0 {
		printError(env.Stderr, &plainError{ErrorOutput{Message: h.Name + ": some values could not be evaluated", Hint: "stateward check lists them"}})
	}
	for _, p := range h.Clusters {
		for _, n := range p.Notes {
			printError(env.Stderr, planFault("note: "+n.Error(), n.Hint, n.Origin))
		}
	}
	list := slices.DeleteFunc(slices.Clone(h.planned), func(p pitr.Planned) bool { return p.Policy == nil })
	var files []planFile
	switch f.output {
	case "json":
		for _, p := range list {
			text, err := p.Policy.Write()
			if err != nil {
				return err
			}
			files = append(files, planFile{p.Name + ".json", string(text)})
		}
	case "units":
		for i := range list {
			more, err := f.units(&list[i], tools)
			if err != nil {
				return err
			}
			files = append(files, more...)
		}
	case "nix":
		text, err := pitr.Module(list, f.program, tools, f.onFailure)
		if err != nil {
			return err
		}
		name := "stateward-pitr.nix"
		if len(list) == 0 && f.write != "" && !h.sound() {
			printError(env.Stderr, &nothingToWriteError{filepath.Join(f.write, name), "no cluster can be planned"})
			return nil
		}
		files = append(files, planFile{name, text})
	}
	if f.output != "json" && len(h.NotifyUnits) > 0 {
		fmt.Fprintf(env.Stderr, "stateward: these start %s, which stateward notify units writes\n", inLine(strings.Join(h.NotifyUnits, ", ")))
	}
	if f.write == "" {
		return printFiles(env.Stdout, files, f.output == "units")
	}
	written, err := writeFiles(env, f.write, files)
	if err != nil || f.output != "units" || len(f.names) > 0 {
		return err
	}
	return nameLeft(env, f.write, written, "no cluster that was planned", pitr.UnitPrefix+"*", "*.d/"+pitr.UnitPrefix+"*.conf")
}

// units are the files of one cluster, the settings of its server among them.
func (f *pitrPlanFlags) units(o *pitr.Planned, tools pitr.Tools) (files []planFile, err error) {
	p := o.Policy
	text, err := p.Write()
	if err != nil {
		return nil, err
	}
	list, err := o.ServerSettings(tools)
	if err != nil {
		return nil, err
	}
	settings, err := pitr.WriteSettings(list)
	if err != nil {
		return nil, err
	}
	files = append(files, planFile{p.PlanFile(), string(text)}, planFile{strings.TrimSuffix(p.PlanFile(), ".json") + ".conf", settings})
	dropIn, err := p.DropIn()
	if err != nil {
		return nil, err
	}
	if dropIn != "" && p.Cluster.Unit != "" {
		files = append(files, planFile{systemUnits + "/" + p.Cluster.Unit + ".d/" + pitr.UnitPrefix + p.Cluster.Name + ".conf", dropIn})
	}
	digest, err := p.Digest()
	if err != nil {
		return nil, err
	}
	units, err := p.Units(pitr.UnitOptions{Stateward: f.program, Path: f.path, OnFailure: f.onFailure, Digest: digest})
	if err != nil {
		return nil, err
	}
	for _, u := range units {
		service, err := u.Service()
		if err != nil {
			return nil, err
		}
		timer, err := u.Timer()
		if err != nil {
			return nil, err
		}
		files = append(files, planFile{systemUnits + "/" + u.Name + ".service", service}, planFile{systemUnits + "/" + u.Name + ".timer", timer})
	}
	return files, nil
}

func printClusters(env Env, h *HostClusters) {
	w := env.Stdout
	if h.Error != nil {
		printFailedHost(w, h.Name, h.Status, h.Error)
		return
	}
	n := 0
	for _, p := range h.planned {
		if p.Policy != nil {
			n++
		}
	}
	if len(h.Clusters) == 0 {
		fmt.Fprintf(w, "%s: wants no cluster archived\n", inLine(h.Name))
	} else {
		fmt.Fprintf(w, "%s: %s to archive, %d planned\n", inLine(h.Name), count(len(h.Clusters), "cluster"), n)
	}
	for i, p := range h.planned {
		if p.Policy == nil {
			fmt.Fprintf(w, "  %s: not planned\n", inLine(p.Name))
		} else {
			fmt.Fprintf(w, "  %s\n", inLine(p.Name))
		}
		for _, f := range p.Faults {
			printPlanFault(w, "!", f.Message, f.Hint, f.Origin)
		}
		if p.Policy != nil {
			for _, line := range align(clusterRows(&p, h.Clusters[i].settings)) {
				fmt.Fprintf(w, "    %s\n", line)
			}
		}
		for _, f := range p.Notes {
			printPlanFault(w, "note:", f.Message, f.Hint, f.Origin)
		}
	}
	if len(h.NotifyUnits) > 0 {
		fmt.Fprintf(w, "  needs %s: stateward notify units writes them\n", inLine(strings.Join(h.NotifyUnits, ", ")))
	}
	for _, f := range h.Faults {
		fmt.Fprintf(w, "  ! %s\n", inLine(f.Message))
	}
	if h.Status == stateward.StatusPartial {
		fmt.Fprintf(w, "  partial: some values could not be evaluated or understood; stateward check lists them\n")
	}
}

func clusterRows(o *pitr.Planned, settings []pitr.Setting) [][]string {
	p := o.Policy
	version := ""
	if p.Cluster.Version > 0 {
		version = fmt.Sprintf("PostgreSQL %d, ", p.Cluster.Version)
	}
	rows := [][]string{
		{"server", inLine(fmt.Sprintf("%s%s, as %s", version, p.Cluster.Unit, p.Cluster.User))},
		{"archive", inLine(p.Server + " in " + p.Destination)},
	}
	for _, at := range o.Places {
		text := at.Path
		if at.Dataset != "" {
			text += " on " + at.Dataset
			if at.Recordsize != "" {
				text += ", recordsize " + at.Recordsize
			}
			if at.Suits != "" && at.Suits != at.Recordsize {
				text += "; " + at.Suits + " suits it"
			}
		}
		rows = append(rows, []string{at.Part, inLine(text)})
	}
	if len(o.Places) == 2 && o.Places[0].Dataset != "" && o.Places[1].Dataset != "" {
		rows = append(rows, []string{"", "snapshots of both must be of one moment"})
	}
	name := "settings"
	for _, s := range settings {
		rows = append(rows, []string{name, inLine(s.Name + " = " + s.Value)})
		name = ""
	}
	rows = append(rows, []string{"base backup", inLine(strings.Join(p.Schedule, ", "))})
	kept := "for ever"
	if p.Window > 0 {
		kept = "any moment of " + spanText(p.Window)
	}
	if p.Redundancy > 0 {
		kept += fmt.Sprintf(", %s at least", count(p.Redundancy, "base backup"))
	}
	rows = append(rows, []string{"kept", kept})
	if p.ArchiveTimeout > 0 {
		rows = append(rows, []string{"lost at most", spanText(p.ArchiveTimeout) + ", and the time that storing takes"})
	}
	drill := "nothing asks for one: drill.every"
	if p.Drill != nil {
		drill = "every " + spanText(p.Drill.Every)
	}
	rows = append(rows, []string{"drill", drill})
	for _, one := range []struct{ name, text string }{{"secrets", strings.Join(slices.DeleteFunc([]string{p.EnvironmentFile, p.CredentialsFile}, func(t string) bool { return t == "" }), ", ")}} {
		if one.text != "" {
			rows = append(rows, []string{one.name, inLine(one.text)})
		}
	}
	return rows
}

func spanText(s pitr.Span) string {
	text, err := s.MarshalText()
	if err != nil {
		return s.Std().String()
	}
	return string(text)
}
