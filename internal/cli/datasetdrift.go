package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/capture"
)

// DriftOutput is what `stateward dataset drift -o json` prints.
type DriftOutput struct {
	ProtocolVersion string           `json:"protocolVersion"`
	Host            string           `json:"host"`
	Source          string           `json:"source"`
	Status          stateward.Status `json:"status"`
	// Faults are why declared datasets could not be compared.
	Faults []dataset.Fault `json:"faults"`
	// Differences are in the order of the datasets.
	Differences []dataset.Difference `json:"differences"`
	// Conflicts are what keeps some of the differences from being mended.
	Conflicts []dataset.Conflict `json:"conflicts"`
	// Undeclared are datasets that nobody declared and that lie in a container of the configuration. They are no difference.
	Undeclared []dataset.Undeclared `json:"undeclared"`
	// Hidden are datasets beneath whose mountpoint something lies.
	Hidden []dataset.Hidden `json:"hidden,omitempty"`
	// Unmounted are datasets that nobody declared, below those that are, which the next boot would mount and nothing has.
	Unmounted []dataset.Unmounted `json:"unmounted,omitempty"`
	// Captured is the file that was compared with; without one it is this machine.
	Captured *PoolCapture `json:"captured,omitempty"`
}

type driftFlags struct {
	datasetFlags
	hostFlags
	observed string
	patience time.Duration
}

func newDatasetDrift(env Env) *cobra.Command {
	var f driftFlags
	cmd := &cobra.Command{
		Use:   "drift [SOURCE]",
		Short: "Show where the datasets of this machine differ from what a configuration declares",
		Long: `Drift compares the datasets that one host declares with those of the machine that it runs on, or with
those of a file that "stateward capture zfs" wrote there. It changes nothing.

For each value that differs it says what is wanted, what is found and where that is from
(local, inherited, received, default), and whether an apply would change it. Values are
compared as zfs keeps them: 1024K is 1M, and a value that is inherited or received is as
good as one that is set. Properties that nobody declared are left alone. Datasets that
lie in a container of the configuration and that it does not declare are named, and are
no difference.

The machine, or the file, has to be that of the host: of its networking.hostName or its
attribute. Take another with --other-host. A file that is older than 30 days is a finding.

EXIT STATUS
  0  the machine has what is declared
  1  something differs, declarations are at fault, some of the host could not be
     evaluated, or the capture is older than 30 days
  2  wrong usage
  3  the host could not be evaluated, or the source could not be loaded
  4  the machine could not be looked at
  Where several apply, the first of 2, 3, 4, 1 is returned.`,
		Example: "  stateward dataset drift .#forge\n  stateward dataset drift forge.json --observed pool.json -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := observedGiven(cmd, f.observed); err != nil {
				return err
			}
			return f.run(cmd.Context(), env, args)
		},
	}
	f.datasetFlags.register(cmd, "text", "json")
	f.hostFlags.register(cmd, "this machine or the file")
	patienceFlag(cmd, &f.patience)
	cmd.Flags().StringVar(&f.observed, "observed", "", "compare with what this `FILE` of \"stateward capture zfs\" holds, instead of this machine")
	return cmd
}

func (f *driftFlags) run(ctx context.Context, env Env, args []string) error {
	var file *capture.PoolFile
	var err error
	if f.observed != "" {
		if file, err = readObserved(f.observed); err != nil {
			return err
		}
	}
	d, err := f.read(ctx, env, args)
	if err != nil {
		return err
	}
	var seen *dataset.Observed
	var captured *PoolCapture
	if file != nil {
		if err := f.captured(env, f.observed, file, &d.loaded); err != nil {
			return err
		}
		seen, captured = file.Observed, capturedPools(env, f.observed, file)
	} else {
		if err := f.here(env, &d.loaded); err != nil {
			return err
		}
		if seen, err = machine(env, f.patience).Observe(ctx, d.desired); err != nil {
			return withStatus(StatusStep, err)
		}
	}
	drift := dataset.NewDrift(d.desired, seen, dataset.Options{Only: d.only})
	out := DriftOutput{ProtocolVersion: protocolVersion, Host: d.name, Source: d.source, Status: d.host.Status, Faults: d.faults,
		Differences: drift.Differences, Conflicts: drift.Conflicts, Undeclared: drift.Undeclared, Hidden: drift.Hidden, Unmounted: drift.Unmounted, Captured: captured}
	if f.output == "json" {
		err = writeJSON(env, out)
	} else {
		printDrift(env, d, out)
	}
	switch {
	case err != nil:
		return withStatus(StatusStep, err)
	case len(out.Differences)+len(out.Conflicts)+len(out.Faults)+len(out.Hidden) > 0, out.Status != stateward.StatusOK, captured.isOld():
		return &statusError{status: StatusFindings}
	}
	return nil
}

// shown is a value as people write it, where it is one of a property.
func shown(property, value string) string {
	if s, err := dataset.ParseSetting(property, value, dataset.Filesystem); err == nil {
		return s.Text()
	}
	return value
}

// foundText says what a value is and where it is from.
func foundText(x dataset.Difference) string {
	switch {
	case x.Unknown != "":
		return "unknown: " + x.Unknown
	case x.Found == "" && x.Source == "":
		switch x.What {
		case dataset.WhatDataset:
			return "not there"
		case dataset.WhatMounted:
			return "not mounted"
		}
		return "not set"
	}
	text := shown(x.What, x.Found)
	switch {
	case x.Source == dataset.Inherited && !x.From.IsZero():
		text += " (inherited from " + x.From.String() + ")"
	case x.Source == dataset.Local && x.Received != "" && x.Received != x.Found:
		text += fmt.Sprintf(" (local, over %s that was received)", shown(x.What, x.Received))
	case x.Source != "" && x.Source != dataset.None:
		text += " (" + string(x.Source) + ")"
	}
	return text
}

func wantedText(x dataset.Difference) string {
	switch {
	case x.Wanted == "" && x.Source != "":
		return "no value of its own"
	case x.What == dataset.WhatMounted:
		return "at " + x.Wanted
	}
	return shown(x.What, x.Wanted)
}

func printDrift(env Env, d *declared, out DriftOutput) {
	w := env.Stdout
	what := "nothing differs"
	if n := len(out.Differences); n > 0 {
		what = count(n, "difference")
	} else if len(out.Faults)+len(out.Conflicts) > 0 || out.Status != stateward.StatusOK {
		what = "nothing differs in what could be compared"
	} else if !slices.ContainsFunc(d.desired.Datasets, func(w dataset.Wanted) bool { return w.Role != dataset.Foreign }) {
		what = "declares no datasets"
	}
	if out.Captured != nil {
		what += ", as captured " + out.Captured.age
	}
	fmt.Fprintf(w, "%s: %s\n", inLine(out.Host), what)
	printOld(w, out.Captured)
	var last dataset.Name
	for i := 0; i < len(out.Differences); {
		last = out.Differences[i].Dataset
		fmt.Fprintf(w, "  %s\n", last)
		rows := [][]string{}
		for ; i < len(out.Differences) && out.Differences[i].Dataset == last; i++ {
			x := out.Differences[i]
			then := "apply changes it"
			if !x.Applies {
				then = "apply leaves it: " + x.Why
			}
			rows = append(rows, []string{inLine(x.What), "wanted " + inLine(wantedText(x)), "found " + inLine(foundText(x)), inLine(then)})
		}
		for _, line := range align(rows) {
			fmt.Fprintf(w, "    %s\n", line)
		}
	}
	for _, c := range out.Conflicts {
		if c.Hint != "" {
			fmt.Fprintf(w, "  %s %s\n    hint: %s\n", c.Dataset, inLine(c.Message), inLine(c.Hint))
		}
	}
	printHidden(w, out.Hidden)
	printUnmounted(w, out.Unmounted)
	printFaults(env, out.Faults)
	for _, u := range out.Undeclared {
		more := ""
		if u.Below > 0 {
			more = fmt.Sprintf(", with %d in it", u.Below)
		}
		fmt.Fprintf(w, "  info: %s (%s%s) lies in %s, and nobody declared it\n", u.Name, u.Type, more, u.In)
	}
	if d.host.Status == stateward.StatusPartial {
		fmt.Fprintln(w, "  partial: some values of the host could not be evaluated; stateward check lists them")
	}
}

// printHidden says what the mounts of datasets hide.
func printHidden(w io.Writer, list []dataset.Hidden) {
	for _, h := range list {
		fmt.Fprintf(w, "  ! %s: %s\n    hint: %s\n", h.Dataset, inLine(h.Message()), inLine(h.Hint()))
	}
}

// printUnmounted says which datasets nobody sees.
func printUnmounted(w io.Writer, list []dataset.Unmounted) {
	for _, u := range list {
		fmt.Fprintf(w, "  info: %s %s\n    hint: %s\n", u.Dataset, inLine(u.Message()), inLine(u.Hint()))
	}
}

// printOld says that a capture is old.
func printOld(w io.Writer, c *PoolCapture) {
	if c.isOld() {
		fmt.Fprintf(w, "  ! %s\n    hint: %s\n", inLine(c.Old), oldCaptureHint)
	}
}

// readObserved reads what was captured.
func readObserved(name string) (*capture.PoolFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("--observed: %w", err)
	}
	defer f.Close()
	p, err := capture.ReadPool(f)
	if err != nil {
		return nil, fmt.Errorf("--observed: %s: %w", name, err)
	}
	return p, nil
}
