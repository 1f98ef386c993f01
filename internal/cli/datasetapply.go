package cli

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/capture"
	"github.com/stateward/stateward/internal/exec/apply"
)

// ApplyOutput is what `stateward dataset apply -o json` prints.
type ApplyOutput struct {
	ProtocolVersion string           `json:"protocolVersion"`
	Host            string           `json:"host"`
	Source          string           `json:"source"`
	Status          stateward.Status `json:"status"`
	// Outcome is how the run ended.
	Outcome apply.Outcome `json:"outcome"`
	// DryRun tells that nothing was to be done.
	DryRun bool `json:"dryRun,omitempty"`
	// Faults are why declared datasets could not be planned.
	Faults []dataset.Fault `json:"faults"`
	// Conflicts are what keeps parts of the plan from being applied.
	Conflicts []dataset.Conflict `json:"conflicts"`
	// Steps are those of the plan, in the order in which they are done.
	Steps []AppliedStep `json:"steps"`
	// Hidden are datasets beneath whose mountpoint something lies, as it was seen last. Nothing is done about it.
	Hidden []dataset.Hidden `json:"hidden,omitempty"`
	// Unmounted are datasets that nobody declared, below those that are, which the next boot would mount and nothing has.
	Unmounted []dataset.Unmounted `json:"unmounted,omitempty"`
	// Left are the steps that were still to be done when the machine was looked at after the last one.
	Left []string `json:"left,omitempty"`
	// Error is why the run ended before its end.
	Error *ErrorOutput `json:"error,omitempty"`
}

// AppliedStep is a step and what came of it.
type AppliedStep struct {
	// Op is its kind: "create", "set", "inherit", "make-mountpoint", "mount" or "own".
	Op      string       `json:"op"`
	Dataset dataset.Name `json:"dataset"`
	// Text says what it does, Why the cause.
	Text string        `json:"text"`
	Why  dataset.Cause `json:"why"`
	// Command is the call of zfs that does it; the others are done without a process.
	Command []string     `json:"command,omitempty"`
	State   apply.State  `json:"state"`
	Error   *ErrorOutput `json:"error,omitempty"`
	// Seconds that it took.
	Seconds float64 `json:"seconds,omitempty"`
}

type datasetFlags struct {
	sourceFlags
	output string
	only   []string
}

func (f *datasetFlags) register(cmd *cobra.Command, formats ...string) {
	f.sourceFlags.register(cmd)
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: "+strings.Join(formats[:len(formats)-1], ", ")+" or "+formats[len(formats)-1], "text", formats...)
	cmd.Flags().StringArrayVar(&f.only, "only", nil, "only this `DATASET`, and the containers above it; may be repeated")
}

// declared is what one host declares.
type declared struct {
	loaded
	desired dataset.Desired
	faults  []dataset.Fault
	only    []dataset.Name
}

// read loads the one host that is asked for.
func (f *datasetFlags) read(ctx context.Context, env Env, args []string) (*declared, error) {
	d := &declared{}
	var err error
	if d.only, err = onlyNames(f.only); err != nil {
		return nil, err
	}
	hosts, err := f.load(ctx, env, args)
	if err != nil {
		return nil, err
	}
	if len(hosts) != 1 {
		return nil, &manyDatasetHostsError{len(hosts)}
	}
	d.loaded = hosts[0]
	if d.err != nil {
		return nil, withStatus(StatusEvaluation, d.err)
	}
	var faults []dataset.Fault
	d.desired, faults = dataset.NewDesired(d.host)
	for _, name := range d.only {
		if err := d.named(name, faults); err != nil {
			return nil, err
		}
	}
	d.faults = onlyFaults(faults, d.only)
	return d, nil
}

// notDeclaredError says that --only names what is not there to be named.
type notDeclaredError struct {
	name    dataset.Name
	host    string
	foreign string
}

func (e *notDeclaredError) Error() string {
	if e.foreign != "" {
		return fmt.Sprintf("--only: %s is another's to make and to change: %s", e.name, e.foreign)
	}
	return fmt.Sprintf("--only: %s is not declared by %s", e.name, e.host)
}
func (e *notDeclaredError) Hint() string { return "name a dataset that the configuration declares" }

// named refuses a name that nothing is declared of.
func (d *declared) named(name dataset.Name, faults []dataset.Fault) error {
	for i := range d.desired.Datasets {
		if w := &d.desired.Datasets[i]; w.Name == name {
			if w.Role == dataset.Foreign {
				return &notDeclaredError{name, d.name, w.Origin.Option}
			}
			return nil
		}
	}
	for _, f := range faults {
		if f.Dataset == "" || f.Dataset == name.String() {
			return nil // it may be declared, and the fault says more
		}
	}
	return &notDeclaredError{name: name, host: d.name}
}

// onlyNames reads what --only names.
func onlyNames(texts []string) (names []dataset.Name, err error) {
	for _, text := range texts {
		name, err := dataset.ParseName(text)
		if err != nil {
			return nil, fmt.Errorf("--only: %w", err)
		}
		names = append(names, name)
	}
	return names, nil
}

// onlyFaults are those that are about what was asked for.
func onlyFaults(faults []dataset.Fault, only []dataset.Name) []dataset.Fault {
	list := []dataset.Fault{}
	for _, f := range faults {
		if len(only) == 0 || f.Dataset == "" || slices.ContainsFunc(only, func(n dataset.Name) bool {
			return n.String() == f.Dataset || strings.HasPrefix(n.String(), f.Dataset+"/")
		}) {
			list = append(list, f)
		}
	}
	return list
}

// manyDatasetHostsError says that a pool is that of one host.
type manyDatasetHostsError struct{ n int }

func (e *manyDatasetHostsError) Error() string {
	return fmt.Sprintf("a pool is that of one host, and the source has %d", e.n)
}
func (e *manyDatasetHostsError) Hint() string { return "name the host, as in .#forge, or use --host" }

// machine is the one that this process runs on.
func machine(env Env, patience time.Duration) *apply.System {
	environment := []string{"PATH=" + env.Getenv("PATH") + ":/run/current-system/sw/bin:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	observe := func(ctx context.Context, d dataset.Desired) (*dataset.Observed, error) {
		return capture.Pool(ctx, capture.PoolOptions{Env: environment, Timeout: patience, Desired: d, NoSnapshots: true})
	}
	return &apply.System{Observer: observe, Env: environment}
}

// patienceFlag is how long one process of zfs may take where a machine is looked at.
func patienceFlag(cmd *cobra.Command, d *time.Duration) {
	cmd.Flags().DurationVar(d, "zfs-timeout", capture.DefaultTimeout, "give up when one command of zfs takes longer than this `TIME` to tell what is there")
}

type applyFlags struct {
	datasetFlags
	hostFlags
	patience              time.Duration
	dryRun, partial, wait bool
	lockDir               string
}

func newDatasetApply(env Env) *cobra.Command {
	var f applyFlags
	cmd := &cobra.Command{
		Use:   "apply [SOURCE]",
		Short: "Make the datasets of this machine what a configuration declares",
		Long: `Apply looks at the pools of the machine that it runs on, plans what makes them have the datasets
that one host declares, shows the plan, and does one step after the other. It needs root.

No step destroys anything, so it asks nothing; --dry-run shows the plan and does nothing.
Before a step that touches a directory it looks at that directory once more: it mounts on
an empty one only, and changes the owner of a directory only where the dataset is what is
mounted there. After the last step it looks at the machine again: where something is not
as it was declared then, that is a failure.

It stops at the first step that fails, and says what is done and what is not. Run it
again once that is mended: what is done is left as it is. An interrupt ends it after the
step that it is in. One run at a time works on a machine; --wait waits for the other.

Where there is a conflict or a declaration at fault, nothing is done at all; --partial
does what is not touched by them, --only does what is named.

It works on the machine of the host only: the one that is called as networking.hostName or
the attribute says. On another it does nothing and ends with status 2, unless --other-host
is given.

EXIT STATUS
  0  the machine has what is declared
  1  there are conflicts, declarations are at fault, or some of the host could not be
     evaluated
  2  wrong usage
  3  the host could not be evaluated, or the source could not be loaded
  4  the machine could not be looked at, a step failed, the run was interrupted, or it did
     not bring what is declared
  Where several apply, the first of 2, 3, 4, 1 is returned.`,
		Example: "  stateward dataset apply .#forge --dry-run\n  stateward dataset apply forge.json\n  stateward dataset apply .#forge --only tank/services/sonarr -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), env, args)
		},
	}
	f.datasetFlags.register(cmd, "text", "json")
	f.hostFlags.register(cmd, "this machine")
	patienceFlag(cmd, &f.patience)
	fs := cmd.Flags()
	fs.BoolVar(&f.dryRun, "dry-run", false, "show the plan, and do nothing")
	fs.BoolVar(&f.partial, "partial", false, "do what no conflict and no fault keeps from being done")
	fs.BoolVar(&f.wait, "wait", false, "wait for another run on this machine to end")
	fs.StringVar(&f.lockDir, "lock-dir", apply.LockDir, "keep the lock of this machine in `DIR`")
	return cmd
}

func (f *applyFlags) run(ctx context.Context, env Env, args []string) error {
	d, err := f.read(ctx, env, args)
	if err != nil {
		return err
	}
	if err := f.here(env, &d.loaded); err != nil {
		return err
	}
	p := &applyPrinter{env: env, json: f.output == "json", quiet: f.quiet, dryRun: f.dryRun, d: d}
	if len(d.faults) > 0 && !f.partial {
		return p.end(&apply.Result{Outcome: apply.Refused, Err: &faultyError{len(d.faults)}})
	}
	if !f.dryRun {
		dir, err := filepath.Abs(f.lockDir)
		if err != nil {
			return withStatus(StatusStep, err)
		}
		who := fmt.Sprintf("process %d since %s, applying %s", os.Getpid(), env.now().Format(time.RFC3339), inLine(d.name))
		release, err := apply.Lock(ctx, dir, who, f.wait, func(h *apply.HeldError) {
			fmt.Fprintf(env.Stderr, "stateward: waiting: %s\n", inLine(h.Error()))
		})
		if err != nil {
			return withStatus(StatusStep, lockError(err))
		}
		defer release()
	}
	// From here on an interrupt is waited for until the report is out.
	defer env.hold()()
	o := apply.Options{Only: d.only, Partial: f.partial, DryRun: f.dryRun, Now: env.now, Planned: p.planned, Ended: p.ended}
	m := machine(env, f.patience)
	look := m.Observer
	m.Observer = func(ctx context.Context, desired dataset.Desired) (*dataset.Observed, error) {
		seen, err := look(ctx, desired)
		p.hidden, p.unmounted = dataset.FindHidden(desired, seen), dataset.FindUnmounted(desired, seen)
		return seen, err
	}
	r, _ := apply.Run(ctx, d.desired, m, o)
	return p.end(r)
}

// faultyError says that declarations are at fault.
type faultyError struct{ n int }

func (e *faultyError) Error() string {
	return count(e.n, "fault") + " in the declarations; nothing was done"
}
func (e *faultyError) Hint() string {
	return "mend the declarations first; --partial applies the others, --only DATASET what is named"
}

// applyPrinter prints a run, as it comes or at its end.
type applyPrinter struct {
	env                 Env
	json, quiet, dryRun bool
	d                   *declared
	steps               int
	// hidden is what lay beneath mounts when the machine was looked at last.
	hidden []dataset.Hidden
	// unmounted are datasets that nobody declared and nothing mounts.
	unmounted []dataset.Unmounted
}

func (p *applyPrinter) planned(plan dataset.Plan) {
	p.steps = len(plan.Ops)
	if p.json {
		return
	}
	w := p.env.Stdout
	what := count(p.steps, "step")
	if p.steps == 0 {
		what = "nothing to do"
		if len(p.d.desired.Datasets) == 0 && len(p.d.faults) == 0 {
			what += ": it declares no datasets"
		}
	}
	if n := len(plan.Conflicts); n > 0 {
		what += ", " + count(n, "conflict")
	}
	fmt.Fprintf(w, "%s: %s\n", inLine(p.d.name), what)
	for i, op := range plan.Ops {
		fmt.Fprintf(w, "  %*d  %s\n", len(fmt.Sprint(p.steps)), i+1, inLine(dataset.Describe(op)))
		fmt.Fprintf(w, "  %*s  why: %s\n", len(fmt.Sprint(p.steps)), "", inLine(op.Cause().Text))
	}
	printConflicts(p.env, plan.Conflicts)
}

func printConflicts(env Env, list []dataset.Conflict) {
	for _, c := range list {
		fmt.Fprintf(env.Stdout, "  conflict: %s %s\n", c.Dataset, inLine(c.Message))
		if c.Origin.Option != "" {
			fmt.Fprintf(env.Stdout, "    declared by %s\n", inLine(c.Origin.Option))
		}
		if c.Hint != "" {
			fmt.Fprintf(env.Stdout, "    hint: %s\n", inLine(c.Hint))
		}
	}
}

func printFaults(env Env, list []dataset.Fault) {
	for i := range list {
		fmt.Fprintf(env.Stdout, "  fault: %s\n", inLine(list[i].Error()))
		if o := list[i].Origin.Option; o != "" {
			fmt.Fprintf(env.Stdout, "    declared by %s\n", inLine(o))
		}
		if list[i].Hint != "" {
			fmt.Fprintf(env.Stdout, "    hint: %s\n", inLine(list[i].Hint))
		}
	}
}

func (p *applyPrinter) ended(i int, s apply.Step) {
	w := p.env.Stdout
	if p.json {
		if p.quiet {
			return
		}
		w = p.env.Stderr
	}
	fmt.Fprintf(w, "[%d/%d] %s %s (%s)\n", i+1, p.steps, s.State, inLine(dataset.Describe(s.Op)), s.Took.Round(time.Millisecond))
}

// end prints how a run ended, and returns its exit status.
func (p *applyPrinter) end(r *apply.Result) error {
	status := StatusOK
	if r.Outcome == apply.Applied && len(p.d.faults) > 0 {
		r.Outcome = apply.Partly // what is at fault is not there
	}
	switch r.Outcome {
	case apply.Nothing, apply.Applied, apply.Planned:
		if r.Err != nil || len(p.d.faults) > 0 || p.d.host.Status != stateward.StatusOK {
			status = StatusFindings
		}
	case apply.Refused, apply.Partly:
		status = StatusFindings
	default:
		status = StatusStep
	}
	if p.json {
		if err := writeJSON(p.env, p.output(r)); err != nil {
			return withStatus(StatusStep, err)
		}
	} else {
		p.text(r)
	}
	if status == StatusOK {
		return nil
	}
	return &statusError{status: status}
}

func (p *applyPrinter) text(r *apply.Result) {
	w := p.env.Stdout
	if r.Plan.Ops == nil && r.Plan.Conflicts == nil && len(p.d.faults) > 0 && r.Outcome == apply.Refused {
		fmt.Fprintf(w, "%s: %s\n", inLine(p.d.name), count(len(p.d.faults), "fault"))
	}
	printFaults(p.env, p.d.faults)
	if p.d.host.Status == stateward.StatusPartial {
		fmt.Fprintln(w, "  partial: some values of the host could not be evaluated; stateward check lists them")
	}
	printHidden(w, p.hidden)
	printUnmounted(w, p.unmounted)
	done := r.Count(apply.Done)
	switch r.Outcome {
	case apply.Applied:
		what := "declared is there"
		switch {
		case len(p.d.only) > 0:
			what = "named is there"
		case p.d.host.Status != stateward.StatusOK:
			what = "declared and could be read is there"
		}
		fmt.Fprintf(w, "%s: applied; all that is %s\n", inLine(p.d.name), what)
	case apply.Partly:
		why := "the conflicts touch"
		if len(r.Left.Conflicts) == 0 {
			why = "is at fault"
		} else if len(p.d.faults) > 0 {
			why += ", or is at fault,"
		}
		fmt.Fprintf(w, "%s: applied in part: what %s is not done\n", inLine(p.d.name), why)
	case apply.Refused:
		fmt.Fprintln(w, "nothing was done")
	case apply.Planned:
		fmt.Fprintln(w, "nothing was done: --dry-run")
	case apply.Stopped, apply.Interrupted:
		if len(r.Steps) > 0 {
			fmt.Fprintf(w, "%s: %s; %d of %s done\n", inLine(p.d.name), r.Outcome, done, count(len(r.Steps), "step"))
			for i, s := range r.Steps {
				if s.State == apply.NotDone {
					fmt.Fprintf(w, "  %s: %d  %s\n", s.State, i+1, inLine(dataset.Describe(s.Op)))
				}
			}
		}
	case apply.Unverified:
		for _, op := range r.Left.Ops {
			fmt.Fprintf(w, "  still to be done: %s (%s)\n", inLine(dataset.Describe(op)), inLine(op.Cause().Text))
		}
		printConflicts(p.env, r.Left.Conflicts)
	}
	if r.Err != nil && r.Outcome != apply.Planned && r.Outcome != apply.Partly {
		if r.Outcome == apply.Interrupted {
			fmt.Fprintln(p.env.Stderr, "stateward: interrupted\n  hint: apply again: what is done is left as it is, and the rest is planned anew")
			return
		}
		printError(p.env.Stderr, r.Err)
	}
}

func (p *applyPrinter) output(r *apply.Result) ApplyOutput {
	out := ApplyOutput{ProtocolVersion: protocolVersion, Host: p.d.name, Source: p.d.source, Status: p.d.host.Status, Outcome: r.Outcome, DryRun: p.dryRun,
		Faults: p.d.faults, Conflicts: r.Plan.Conflicts, Steps: []AppliedStep{}}
	if out.Conflicts == nil {
		out.Conflicts = []dataset.Conflict{}
	}
	for _, s := range r.Steps {
		a := AppliedStep{Op: dataset.OpKind(s.Op), Dataset: s.Op.Target(), Text: dataset.Describe(s.Op), Why: s.Op.Cause(), Command: dataset.Command(s.Op),
			State: s.State, Seconds: s.Took.Seconds()}
		if s.Err != nil {
			a.Error = errorOutput(s.Err)
		}
		out.Steps = append(out.Steps, a)
	}
	out.Hidden, out.Unmounted = p.hidden, p.unmounted
	for _, op := range r.Left.Ops {
		out.Left = append(out.Left, dataset.Describe(op))
	}
	if r.Err != nil {
		out.Error = errorOutput(r.Err)
	}
	return out
}
