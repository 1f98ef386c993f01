package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
)

func newEval(env Env) *cobra.Command {
	var f sourceFlags
	var output string
	var units bool
	var only []string
	cmd := &cobra.Command{
		Use:   "eval [SOURCE]",
		Short: "Save what a configuration evaluates to",
		Long: `Eval writes what stateward reads of every host of SOURCE as JSON, so that it can be
checked later and where there is no nix. docs/evaluation-format.md describes the format.
Only what a dialect names is in it; of secrets at most the paths of their files.

With --units it prints instead what the systemd units of each host will say, and the scripts that they start:
what a service really runs, such as a preStart that empties a directory. Nothing is built: nix writes
derivations, to a folder of its own that is removed afterwards, and the texts are read from these.
Nothing of it is kept for the next time, and dialects have no part in it.
Values with names like those of secrets are left out. A unit that cannot be had in full is listed
as unknown, and the exit status is then 1. Units that packages bring (systemd.packages) are only named.

` + exitStatus,
		Example: "  stateward eval . -o hosts.json\n  stateward check hosts.json\n  stateward eval --units .#forge --unit sonarr\n  stateward eval --units --unit 'restic-*' -o json",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if units {
				return f.units(cmd.Context(), env, args, only, output)
			}
			if len(only) > 0 {
				return fmt.Errorf("--unit chooses among units, and --units is not given")
			}
			ev, err := f.evaluate(cmd.Context(), env, args)
			if err != nil {
				return err
			}
			var b bytes.Buffer
			if err := ev.Write(&b); err != nil {
				return withStatus(StatusStep, err)
			}
			if output == "" || output == "-" {
				_, err = env.Stdout.Write(b.Bytes())
			} else {
				err = writeFile(output, b.Bytes(), 0o644)
			}
			if err != nil {
				return withStatus(StatusStep, fmt.Errorf("cannot write the evaluation: %w", err))
			}
			failed := false
			for _, h := range ev.Hosts {
				if h.Status == stateward.StatusFailed {
					failed = true
					_, err := h.Decode()
					printError(env.Stderr, fmt.Errorf("host %s failed: %w", h.Name, err))
				}
			}
			if failed {
				return &statusError{status: StatusEvaluation}
			}
			return nil
		},
	}
	f.register(cmd)
	cmd.Flags().StringVarP(&output, "output", "o", "", "write to `FILE` instead of standard output; with --units the format: text or json")
	cmd.Flags().BoolVar(&units, "units", false, "print the texts of systemd units and of the scripts that they start")
	cmd.Flags().StringArrayVar(&only, "unit", nil, "only the unit `NAME`, such as sonarr or \"restic-*\"; may be repeated")
	return cmd
}

// writeFile replaces a file as a whole or not at all: written beside, synced, renamed. It has the mode then.
// What is there and no regular file (a device, a pipe) is written to as it is.
func writeFile(name string, data []byte, mode os.FileMode) (err error) {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return os.WriteFile(name, data, 0)
	}
	if real, err := filepath.EvalSymlinks(name); err == nil {
		name = real
	}
	dir := filepath.Dir(name)
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(name)+".*")
	if err != nil {
		// The name beside says nothing to anybody.
		if path := (*os.PathError)(nil); errors.As(err, &path) {
			path.Path = name
		}
		return err
	}
	defer func() {
		if err != nil {
			tmp.Close()
			os.Remove(tmp.Name())
		}
	}()
	if _, err = tmp.Write(data); err != nil {
		return err
	}
	if err = tmp.Chmod(mode); err != nil {
		return err
	}
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), name); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
