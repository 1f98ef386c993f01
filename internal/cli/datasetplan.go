package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/capture"
)

// DatasetPlan is what `stateward dataset plan -o json` prints.
type DatasetPlan struct {
	ProtocolVersion string         `json:"protocolVersion"`
	Hosts           []HostDatasets `json:"hosts"`
}

// HostDatasets is the plan of one host.
type HostDatasets struct {
	Name   string           `json:"name"`
	Source string           `json:"source"`
	Status stateward.Status `json:"status"`
	// Datasets are those that are desired, in order.
	Datasets []dataset.Wanted `json:"datasets"`
	// Faults are why declared datasets are not among them.
	Faults []dataset.Fault `json:"faults"`
	// Ops are the steps in the order in which they are to be done, and Conflicts what keeps others from being made.
	Plan *dataset.Plan `json:"plan,omitempty"`
	// Waiters are the units that must not start without their datasets.
	Waiters []dataset.Waiter `json:"waiters"`
	// Unwaited are services that nothing holds back until their dataset is mounted.
	Unwaited []dataset.Unwaited `json:"unwaited"`
	// Hidden are datasets beneath whose mountpoint something lies. Nothing is planned for it.
	Hidden []dataset.Hidden `json:"hidden,omitempty"`
	// Captured is the file that was planned from; without one it is from nothing.
	Captured *PoolCapture `json:"captured,omitempty"`
	Error    *ErrorOutput `json:"error,omitempty"`

	host    *stateward.Host
	desired dataset.Desired
}

// sound tells whether what is planned is all that is declared.
func (h *HostDatasets) sound() bool {
	return h.Error == nil && h.Status == stateward.StatusOK && len(h.Faults) == 0 && len(h.Plan.Conflicts) == 0 && len(h.Unwaited) == 0 && !h.Captured.isOld()
}

type datasetPlanFlags struct {
	sourceFlags
	hostFlags
	output   string
	observed string
	only     []string
}

func newDatasetPlan(env Env) *cobra.Command {
	var f datasetPlanFlags
	cmd := &cobra.Command{
		Use:   "plan [SOURCE]",
		Short: "Plan the datasets that a configuration declares",
		Long: `Plan lists the steps that make the pools of a host what it declares: create, set, make the mountpoint,
mount, and own what is mounted there. Nothing is ever destroyed, rolled back or unmounted.

Without --observed the pools are taken as there and empty. With a file that "stateward
capture zfs" wrote on the host, only what differs is planned, and what keeps a step from
being made is listed as a conflict. The file has to be of the host, unless --other-host is
given; one that is older than 30 days is a finding.

The script, the unit and the module are written from what is declared alone, for one
host, and look at the pools themselves when they run:
  script  for bash: changes what differs, nothing in a second run, and fails where
          something is not as declared in the end
  unit    a unit that runs that script as ` + dataset.DefaultScript + ` at boot, one that
          runs it for a single dataset, and a drop-in for each service with a dataset, which
          requires the latter: it does not start without its own, and others do; each file
          begins with its path
  nix     a NixOS module with all of that
They are not written where a declaration cannot be read: a part would look like the whole.

Status 1 means that not all that is declared is planned: something cannot be read, is in
conflict or is unknown, or nothing holds a service back until its dataset is mounted.
That there are steps is no finding.

` + exitStatus,
		Example: "  stateward dataset plan .#forge --observed pool.json\n  stateward dataset plan .#forge -o nix > datasets.nix",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := observedGiven(cmd, f.observed); err != nil {
				return err
			}
			return f.run(cmd.Context(), env, args)
		},
	}
	f.sourceFlags.register(cmd)
	f.hostFlags.register(cmd, "the file")
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text, json, script, unit or nix", "text", "text", "json", "script", "unit", "nix")
	cmd.Flags().StringArrayVar(&f.only, "only", nil, "only this `DATASET`, and the containers above it, as text or json; may be repeated")
	cmd.Flags().StringVar(&f.observed, "observed", "", "plan from what this `FILE` of \"stateward capture zfs\" holds, not from nothing")
	return cmd
}

// oneHostError says that an output is for one host.
type oneHostError struct {
	n    int
	what string
}

func (e *oneHostError) Error() string {
	return fmt.Sprintf("%s is for one host, and the source has %d", e.what, e.n)
}
func (e *oneHostError) Hint() string { return "name the host, as in .#forge, or use --host" }

func (f *datasetPlanFlags) run(ctx context.Context, env Env, args []string) error {
	var file *capture.PoolFile
	var seen *dataset.Observed
	if f.observed != "" {
		var err error
		if file, err = readObserved(f.observed); err != nil {
			return err
		}
		seen = file.Observed
	}
	only, err := onlyNames(f.only)
	if err != nil {
		return err
	}
	hosts, err := f.load(ctx, env, args)
	if err != nil {
		return err
	}
	rendered := map[string]string{"script": "a script", "unit": "a unit", "nix": "a module"}[f.output]
	switch {
	case len(hosts) != 1 && rendered != "":
		return &oneHostError{len(hosts), rendered}
	case len(only) > 0 && rendered != "":
		return &onlyRenderedError{rendered}
	case len(hosts) != 1 && len(only) > 0:
		return &oneHostError{len(hosts), "--only"}
	case len(hosts) != 1 && seen != nil:
		return &oneHostError{len(hosts), "a capture of pools"}
	case seen != nil:
		if err := f.captured(env, f.observed, file, &hosts[0]); err != nil {
			return err
		}
	}
	plan := DatasetPlan{ProtocolVersion: protocolVersion, Hosts: []HostDatasets{}}
	failed, sound := false, true
	for _, l := range hosts {
		h := planDatasets(l, seen, only)
		if file != nil {
			h.Captured = capturedPools(env, f.observed, file)
		}
		failed = failed || l.err != nil
		sound = sound && h.sound()
		plan.Hosts = append(plan.Hosts, h)
	}
	if rendered != "" {
		err = f.render(env, &plan.Hosts[0])
	} else if f.output == "json" {
		err = writeJSON(env, plan)
	} else {
		for i := range plan.Hosts {
			if i > 0 {
				fmt.Fprintln(env.Stdout)
			}
			printDatasets(env, &plan.Hosts[i])
		}
	}
	switch {
	case err != nil:
		return withStatus(StatusStep, err)
	case failed:
		return &statusError{status: StatusEvaluation}
	case !sound:
		return &statusError{status: StatusFindings}
	}
	return nil
}

func planDatasets(l loaded, seen *dataset.Observed, only []dataset.Name) HostDatasets {
	h := HostDatasets{Name: l.name, Source: l.source, Status: stateward.StatusFailed, Datasets: []dataset.Wanted{}, Faults: []dataset.Fault{},
		Waiters: []dataset.Waiter{}, Unwaited: []dataset.Unwaited{}}
	if l.err != nil {
		h.Error = errorOutput(l.err)
		return h
	}
	h.host, h.Status = l.host, l.host.Status
	desired, faults := dataset.NewDesired(l.host)
	plan := dataset.NewPlan(desired, seen, dataset.Options{Only: only})
	if len(only) > 0 {
		desired, faults = dataset.Desired{Datasets: onlyWanted(desired, only)}, onlyFaults(faults, only)
	}
	waiters, unwaited := dataset.Waiters(l.host, desired)
	h.desired, h.Plan, h.Hidden = desired, &plan, dataset.FindHidden(desired, seen)
	h.Datasets = append(h.Datasets, desired.Datasets...)
	h.Faults = append(h.Faults, faults...)
	h.Waiters = append(h.Waiters, waiters...)
	h.Unwaited = append(h.Unwaited, unwaited...)
	return h
}

// onlyWanted are the datasets that a plan for some has, and the containers above them.
func onlyWanted(desired dataset.Desired, only []dataset.Name) []dataset.Wanted {
	return slices.DeleteFunc(slices.Clone(desired.Datasets), func(w dataset.Wanted) bool {
		above := w.Role == dataset.Container || w.Role == dataset.Foreign
		return !slices.ContainsFunc(only, func(n dataset.Name) bool { return n == w.Name || above && n.Below(w.Name) })
	})
}

// onlyRenderedError says that a part is asked for of what is for the whole.
type onlyRenderedError struct{ what string }

func (e *onlyRenderedError) Error() string {
	return "--only is for a plan: " + e.what + " of a part would look like the whole"
}
func (e *onlyRenderedError) Hint() string {
	return "leave --only out, or write the plan as text or json"
}

// render writes what is for a machine, and says beside it what that lacks.
func (f *datasetPlanFlags) render(env Env, h *HostDatasets) error {
	if h.Error != nil {
		printError(env.Stderr, &plainError{*h.Error})
		return nil
	}
	for i := range h.Faults {
		x := &h.Faults[i]
		printError(env.Stderr, &plainError{ErrorOutput{Message: x.Error(), Hint: x.Hint}})
	}
	for _, c := range h.Plan.Conflicts {
		printError(env.Stderr, &plainError{ErrorOutput{Message: c.Dataset.String() + ": " + c.Message, Hint: c.Hint}})
	}
	for _, s := range h.Unwaited {
		printError(env.Stderr, &plainError{unwaitedOutput(s)})
	}
	if h.Captured.isOld() {
		printError(env.Stderr, &plainError{ErrorOutput{Message: h.Captured.Old, Hint: oldCaptureHint}})
	}
	if h.Status == stateward.StatusPartial {
		printError(env.Stderr, &plainError{ErrorOutput{Message: h.Name + ": some values could not be evaluated", Hint: "stateward check lists them"}})
	}
	if len(h.Faults) > 0 {
		return nil
	}
	var text string
	var err error
	switch f.output {
	case "script":
		text, err = dataset.Script(h.desired, h.Name)
	case "nix":
		text, err = dataset.Module(h.desired, h.Name, h.Waiters, dataset.Tmpfiles(h.host, h.desired))
	case "unit":
		text, err = unitFiles(h)
	}
	if err != nil {
		return err
	}
	fmt.Fprint(env.Stdout, text)
	return nil
}

// unitFiles writes the files one after the other as `systemctl cat` does, each below a comment that is its path.
func unitFiles(h *HostDatasets) (string, error) {
	files, err := dataset.Units(h.desired, h.Name, h.Waiters, dataset.DefaultScript)
	if err != nil {
		return "", err
	}
	if lines := dataset.Tmpfiles(h.host, h.desired); len(lines) > 0 {
		files = append(files, dataset.UnitFile{Path: "/etc/tmpfiles.d/stateward-datasets.conf", Text: strings.Join(lines, "\n") + "\n"})
	}
	var b strings.Builder
	for i, file := range files {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString("# " + file.Path + "\n" + file.Text)
	}
	return b.String(), nil
}

func unwaitedOutput(u dataset.Unwaited) ErrorOutput {
	return ErrorOutput{Message: u.String(), Hint: "give its unit Requires= and After=" + dataset.CheckUnit(u.Dataset) + " and AssertPathIsMountPoint= by hand; one that starts too early keeps its data elsewhere"}
}

func printDatasets(env Env, h *HostDatasets) {
	w := env.Stdout
	if h.Error != nil {
		printFailedHost(w, h.Name, h.Status, h.Error)
		return
	}
	from := "from nothing"
	if h.Captured != nil {
		from = "from what was captured " + h.Captured.age
	}
	steps := count(len(h.Plan.Ops), "step")
	if len(h.Datasets)+len(h.Faults) == 0 {
		steps = "declares no datasets"
	}
	fmt.Fprintf(w, "%s: %s, %s\n", inLine(h.Name), steps, from)
	printOld(w, h.Captured)
	for _, op := range h.Plan.Ops {
		fmt.Fprintf(w, "  %s\n    %s\n", inLine(dataset.Describe(op)), inLine(op.Cause().Text))
	}
	printHidden(w, h.Hidden)
	problem := func(subject, message, hint string, origin stateward.Origin) {
		if subject != "" {
			subject += ": "
		}
		fmt.Fprintf(w, "  ! %s%s\n", inLine(subject), inLine(message))
		if hint != "" {
			fmt.Fprintf(w, "    hint: %s\n", inLine(hint))
		}
		if origin.Option != "" {
			fmt.Fprintf(w, "    by %s\n", inLine(origin.Option))
		}
	}
	for _, x := range h.Faults {
		problem(x.Dataset, x.Message, x.Hint, x.Origin)
	}
	for _, c := range h.Plan.Conflicts {
		problem(c.Dataset.String(), c.Message, c.Hint, c.Origin)
	}
	for _, s := range h.Unwaited {
		o := unwaitedOutput(s)
		problem("", o.Message, o.Hint, stateward.Origin{})
	}
	if h.Status == stateward.StatusPartial {
		fmt.Fprintln(w, "  partial: some values could not be evaluated; stateward check lists them")
	}
}
