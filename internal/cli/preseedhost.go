package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/preseed"
)

// PreseedPlan is what `stateward preseed plan -o json` prints.
type PreseedPlan struct {
	ProtocolVersion string         `json:"protocolVersion"`
	Hosts           []HostPreseeds `json:"hosts"`
}

// HostPreseeds are the preseeds of one host.
type HostPreseeds struct {
	Name     string           `json:"name"`
	Source   string           `json:"source"`
	Status   stateward.Status `json:"status"`
	Preseeds []PlannedPreseed `json:"preseeds"`
	// Faults are what could not be had of all of them.
	Faults []preseed.Fault `json:"faults,omitempty"`
	// NotifyUnits are the units that send notifications; `stateward notify units` writes them.
	NotifyUnits []string     `json:"notifyUnits,omitempty"`
	Error       *ErrorOutput `json:"error,omitempty"`

	planned []preseed.Planned
}

// PlannedPreseed is the preseed of one service.
type PlannedPreseed struct {
	Service string           `json:"service"`
	Origin  stateward.Origin `json:"origin"`
	// RunBy is the unit of the host that fills the dataset already.
	RunBy string `json:"runBy,omitempty"`
	// Plan is what `stateward preseed run` reads; it is missing where there is none.
	Plan any `json:"plan,omitempty"`
	// Reason is why the service may start with nothing.
	Reason string `json:"reason,omitempty"`
	// Faults keep it from being planned. Notes do not.
	Faults []preseed.Fault `json:"faults,omitempty"`
	Notes  []preseed.Fault `json:"notes,omitempty"`
}

type preseedPlanFlags struct {
	sourceFlags
	output, write, program    string
	services, path, onFailure []string
	all                       bool
}

func newPreseedPlan(env Env) *cobra.Command {
	var f preseedPlanFlags
	cmd := &cobra.Command{
		Use:   "plan [SOURCE]",
		Short: "Make the plans of the preseeds that a configuration asks for, and write what runs them",
		Long: `Plan lists the preseed of each service that asks for one: its dataset, the sources in the order
in which they are asked, and what becomes of the service where none has anything. What a source
needs is taken from the replication and the backup that are configured; what is missing or not
clear is named with the option that says it, and nothing is guessed.

A preseed that a unit of the configuration runs already is listed only, unless --all is given.
For one host:
  units   the plan, the unit that runs it, and for each unit of the service a drop-in by which
          that needs it and waits for it
  nix     a NixOS module with all of that; no secret is in it
With --write DIR the files are written below DIR, each whole or not at all; -o json writes the
plans alone. What keeps a preseed from being planned, and what a person should know of one, is
printed to standard error beside.

Status 1 means that a preseed cannot be planned, or that a value is unknown; the others are written.

` + exitStatus,
		Example: "  stateward preseed plan .#forge\n  stateward preseed plan .#forge --service paperless -o json\n  stateward preseed plan .#forge -o nix > preseed.nix",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("write") && f.write == "" {
				return withStatus(StatusUsage, &writeNowhereError{})
			}
			if err := cmp.Or(onMachine("program", f.program), onMachine("path", f.path...)); err != nil {
				return err
			}
			return f.run(cmd.Context(), env, args)
		},
	}
	f.register(cmd)
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text, json, units or nix", "text", "text", "json", "units", "nix")
	fs := cmd.Flags()
	fs.StringArrayVar(&f.services, "service", nil, "only the preseed of the service `NAME`; may be repeated")
	fs.BoolVar(&f.all, "all", false, "plan preseeds too that something else runs")
	fs.StringVar(&f.write, "write", "", "write files below `DIR` in place of standard output")
	fs.StringVar(&f.program, "program", "/run/current-system/sw/bin/stateward", "the program stateward on the machine, a `FILE`")
	fs.StringArrayVar(&f.path, "path", []string{"/run/current-system/sw/bin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"}, "where zfs, ssh and restic are on the machine, a `DIR` of the PATH of the units; may be repeated")
	fs.StringArrayVar(&f.onFailure, "on-failure", nil, "start the `UNIT` where the service must not start, such as notify@%n.service; may be repeated")
	return cmd
}

// unknownPreseedError is a service that asks for no preseed.
type unknownPreseedError struct {
	name  string
	known []string
}

func (e *unknownPreseedError) Error() string {
	return fmt.Sprintf("no service %q asks for a preseed", e.name)
}
func (e *unknownPreseedError) Hint() string {
	if len(e.known) == 0 {
		return "no service does: preseed.enable = true; asks for one"
	}
	return "these do: " + strings.Join(e.known, ", ")
}

func (f *preseedPlanFlags) run(ctx context.Context, env Env, args []string) error {
	names := knownNames{}
	return planRun[HostPreseeds]{
		source: &f.sourceFlags, output: f.output, write: f.write,
		formats: "json, units and nix", forOne: map[string]string{"units": "units", "nix": "a module"},
		plan: func(l loaded) (HostPreseeds, error) { return f.plan(l, names) }, sound: (*HostPreseeds).sound,
		known: func(_ []HostPreseeds, failed bool) error {
			return names.check(f.services, failed, func(name string, known []string) error { return &unknownPreseedError{name, known} })
		},
		document: func(hosts []HostPreseeds) any { return PreseedPlan{protocolVersion, hosts} },
		print:    printPreseeds,
		render:   func(env Env, h *HostPreseeds) (bool, error) { return true, f.render(env, h) },
	}.run(ctx, env, args)
}

func (h *HostPreseeds) sound() bool {
	return h.Error == nil && h.Status == stateward.StatusOK && len(h.Faults) == 0 && !slices.ContainsFunc(h.Preseeds, func(p PlannedPreseed) bool { return len(p.Faults) > 0 })
}

func (f *preseedPlanFlags) plan(l loaded, names knownNames) (HostPreseeds, error) {
	h := HostPreseeds{Name: l.name, Source: l.source, Status: stateward.StatusFailed, Preseeds: []PlannedPreseed{}}
	if l.err != nil {
		h.Error = errorOutput(l.err)
		return h, nil
	}
	h.Status = l.host.Status
	list, faults := preseed.FromHost(l.host, f.all)
	h.Faults = faults
	for _, p := range list {
		names[p.Service] = true
		if len(f.services) > 0 && !slices.Contains(f.services, p.Service) {
			continue
		}
		one := PlannedPreseed{Service: p.Service, Origin: p.Origin, RunBy: p.RunBy, Reason: p.Reason, Faults: p.Faults, Notes: p.Notes}
		if p.Plan != nil {
			text, err := p.Plan.Write()
			if err != nil {
				return h, err
			}
			one.Plan = json.RawMessage(text)
		}
		h.Preseeds = append(h.Preseeds, one)
		h.planned = append(h.planned, p)
	}
	h.NotifyUnits = preseed.NotifyUnits(h.planned)
	return h, nil
}

// render writes what is for a machine, and says beside it what that lacks.
func (f *preseedPlanFlags) render(env Env, h *HostPreseeds) error {
	if h.Error != nil {
		printError(env.Stderr, &plainError{*h.Error})
		return nil
	}
	faults := slices.Clone(h.Faults)
	for _, p := range h.Preseeds {
		faults = append(faults, p.Faults...)
	}
	for _, fault := range faults {
		printError(env.Stderr, planFault(fault.Error(), fault.Hint, fault.Origin))
	}
	if h.Status == stateward.StatusPartial && len(faults) == 0 {
		printError(env.Stderr, &plainError{ErrorOutput{Message: h.Name + ": some values could not be evaluated", Hint: "stateward check lists them"}})
	}
	for _, p := range h.Preseeds {
		for _, n := range p.Notes {
			printError(env.Stderr, planFault("note: "+n.Error(), n.Hint, n.Origin))
		}
	}
	list := slices.DeleteFunc(slices.Clone(h.planned), func(p preseed.Planned) bool { return p.Plan == nil })
	var files []planFile
	switch f.output {
	case "json":
		for _, p := range list {
			text, err := p.Plan.Write()
			if err != nil {
				return err
			}
			files = append(files, planFile{p.Plan.Name + ".json", string(text)})
		}
	case "units":
		// A drop-in that names a unit which is not there keeps its service from starting: the unit comes first.
		for _, p := range list {
			text, err := p.Plan.Write()
			if err != nil {
				return err
			}
			options, err := p.Options(f.program, f.path, f.onFailure)
			if err != nil {
				return err
			}
			unit, err := p.Plan.Unit(options)
			if err != nil {
				return err
			}
			dropIn, err := p.Plan.DropIn()
			if err != nil {
				return err
			}
			files = append(files, planFile{p.Plan.PlanFile(), string(text)}, planFile{systemUnits + "/" + p.Plan.UnitName(), unit})
			for _, u := range p.Plan.Units {
				files = append(files, planFile{systemUnits + "/" + u + ".d/" + preseed.UnitPrefix + p.Plan.Name + ".conf", dropIn})
			}
		}
	case "nix":
		text, err := preseed.Module(list, f.program, f.onFailure)
		if err != nil {
			return err
		}
		name := "stateward-preseed.nix"
		if len(list) == 0 && f.write != "" && !h.sound() {
			printError(env.Stderr, &nothingToWriteError{filepath.Join(f.write, name), "no preseed can be planned"})
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
	if err != nil || f.output != "units" || len(f.services) > 0 {
		return err
	}
	return nameLeft(env, f.write, written, "no preseed that was planned", preseed.UnitPrefix+"*", "*.d/"+preseed.UnitPrefix+"*.conf")
}

func printPreseeds(env Env, h *HostPreseeds) {
	w := env.Stdout
	if h.Error != nil {
		printFailedHost(w, h.Name, h.Status, h.Error)
		return
	}
	n := 0
	for _, p := range h.planned {
		if p.Plan != nil {
			n++
		}
	}
	if len(h.Preseeds) == 0 {
		fmt.Fprintf(w, "%s: asks for no preseed\n", inLine(h.Name))
	} else {
		fmt.Fprintf(w, "%s: %s, %d planned\n", inLine(h.Name), count(len(h.Preseeds), "preseed"), n)
	}
	for _, p := range h.planned {
		switch {
		case p.RunBy != "":
			fmt.Fprintf(w, "  %s, run by %s\n", inLine(p.Service), inLine(p.RunBy))
		case p.Plan == nil:
			fmt.Fprintf(w, "  %s: not planned\n", inLine(p.Service))
		default:
			fmt.Fprintf(w, "  %s\n", inLine(p.Service))
		}
		for _, f := range p.Faults {
			printPlanFault(w, "!", f.Message, f.Hint, f.Origin)
		}
		if p.Plan != nil {
			for _, line := range align(preseedRows(&p)) {
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

func preseedRows(p *preseed.Planned) [][]string {
	plan := p.Plan
	rows := [][]string{{"dataset", inLine(plan.Dataset + " at " + plan.Mountpoint)}, {"units", inLine(strings.Join(plan.Units, ", "))}}
	name := "asked"
	for _, s := range plan.Sources {
		text := string(s.Kind)
		switch s.Kind {
		case preseed.Replica:
			text += " " + s.From
		case preseed.Restic:
			text += ", job " + p.Job.Name
		case preseed.PITR:
			text += ", policy " + s.Policy
		}
		rows = append(rows, []string{name, inLine(text)})
		name = ""
	}
	none := "the service does not start"
	if plan.OnNoBackup == preseed.StartEmpty {
		none = "the service starts empty: " + clip(p.Reason)
	}
	rows = append(rows, []string{"without any", inLine(none)})
	for _, one := range []struct{ name, text string }{{"max age", plan.MaxAge}, {"timeout", plan.Timeout}, {"paths", strings.Join(plan.Paths, ", ")}, {"may hold", strings.Join(plan.MayHold, ", ")},
		{"staging", plan.Staging}, {"command", strings.Join(plan.Command, " ")}, {"after", strings.Join(p.Datasets, ", ")},
		{"tells", strings.Join(slices.DeleteFunc([]string{plan.Notify.OnSuccess, plan.Notify.OnFailure}, func(t string) bool { return t == "" }), ", ")}} {
		if one.text != "" {
			rows = append(rows, []string{one.name, inLine(clip(one.text))})
		}
	}
	if plan.MinBytes > 0 {
		rows = append(rows, []string{"at least", size(plan.MinBytes)})
	}
	if plan.SQLite {
		rows = append(rows, []string{"checked", "SQLite"})
	}
	return rows
}
