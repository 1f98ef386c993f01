package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/nixbridge/flaketest"
)

func newGolden(env Env) *cobra.Command {
	var f sourceFlags
	var update bool
	cmd := &cobra.Command{
		Use:   "golden [--update] SOURCE DIR",
		Short: "Compare what a configuration evaluates to with committed files",
		Long: `Golden compares what every host of SOURCE evaluates to with the files in DIR and prints the differences.
With --update it writes the files, to be committed: the next diff of them is the review of a change.

For each host there is a folder in DIR:
  evaluated.json   the values that are read, one a line
  persistence.txt  what is persisted, with owner, mode and services, and what is missing
  survival.txt     every state path, and what it survives
  findings.txt     what the checks say, and what could not be evaluated

The files are the same on every machine and every version of nix. Those of hosts that are gone
are differences, and --update removes them; other files in DIR are left alone. With --host, or where
SOURCE names one host, only the files of these hosts are looked at. Where a host
fails nothing is written. They are of the configuration alone: stateward.toml is not read.

Status 1 means that there are differences.

` + exitStatus,
		Example: "  stateward golden --update . testdata/golden\n  stateward golden . testdata/golden\n  stateward golden hosts.json testdata/golden --host forge",
		Args:    cobra.ExactArgs(2),

		ValidArgsFunction: completeGolden,
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("config") {
				return errors.New("golden files are of the configuration alone: --config means nothing here")
			}
			f.noConfig = true
			dir := args[1]
			if dir == "" {
				return errors.New("DIR is empty")
			}
			if err := flaketest.Prepare(dir, update); err != nil {
				return withStatus(StatusStep, &goldenError{err, "stateward golden --update SOURCE DIR writes them"})
			}
			ev, err := f.evaluate(cmd.Context(), env, args[:1])
			if err != nil {
				return err
			}
			r := flaketest.Render(ev)
			for _, failed := range r.Failed {
				printError(env.Stderr, failed)
			}
			if !update {
				return compareGolden(env, r, dir)
			}
			if len(r.Failed) > 0 {
				return withStatus(StatusEvaluation, errors.New("nothing was written, since not every host could be evaluated"))
			}
			changes, err := r.Update(dir)
			for _, name := range changes.Written {
				fmt.Fprintf(env.Stdout, "wrote %s\n", inLine(name))
			}
			for _, name := range changes.Removed {
				fmt.Fprintf(env.Stdout, "removed %s\n", inLine(name))
			}
			if err != nil {
				return withStatus(StatusStep, fmt.Errorf("cannot write the golden files: %w", err))
			}
			if len(changes.Written)+len(changes.Removed) == 0 {
				fmt.Fprintf(env.Stdout, "nothing to write: %s is up to date\n", inLine(dir))
			}
			return nil
		},
	}
	f.register(cmd)
	for _, name := range []string{"config", "no-config"} {
		_ = cmd.Flags().MarkHidden(name) // it fails only for a flag that is not there
	}
	cmd.Flags().BoolVar(&update, "update", false, "write the files instead of comparing them")
	return cmd
}

// goldenError is an error about the folder of golden files.
type goldenError struct {
	error
	missing string
}

func (e *goldenError) Unwrap() error { return e.error }

// Hint says how to mend it.
func (e *goldenError) Hint() string {
	var d *flaketest.DirError
	if errors.As(e.error, &d) && d.NotThere() {
		return e.missing
	}
	if d != nil {
		return d.Hint()
	}
	return ""
}

func compareGolden(env Env, r *flaketest.Rendering, dir string) error {
	diffs, err := r.Compare(dir)
	if err != nil {
		return withStatus(StatusStep, err)
	}
	for _, d := range diffs {
		fmt.Fprint(env.Stdout, d.Printable())
	}
	if len(diffs) > 0 {
		fmt.Fprintf(env.Stderr, "stateward: %s in %s\n  hint: if they are meant, write them with stateward golden --update\n",
			count(len(diffs), "difference"), inLine(dir))
	}
	switch {
	case len(r.Failed) > 0:
		return &statusError{status: StatusEvaluation}
	case len(diffs) > 0:
		return &statusError{status: StatusFindings}
	}
	return nil
}
