package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/nixbridge"
)

// NixFlakeCheckOutput is how `nix flake check` ended.
type NixFlakeCheckOutput struct {
	// Command is what ran, without secrets.
	Command []string `json:"command"`
	// Status is its exit status: 0 where the flake passed.
	Status int `json:"status"`
	// Log is the end of what nix said, without secrets, where it failed.
	Log string `json:"log,omitempty"`
}

func newFlakeCheck(env Env) *cobra.Command {
	var f checkFlags
	var noBuild bool
	cmd := &cobra.Command{
		Use:   "flake-check [FLAKE] [-- NIX-ARGUMENT...]",
		Short: "Run nix flake check, and say what would be lost",
		Long: `Flake-check checks every host of FLAKE as "stateward check" does, and then runs "nix flake check" on it. There is one
report, and one exit status.

Hosts are evaluated side by side, each by a nix of its own, in stateward's private folder: one that throws hides no
other. nix flake check runs after that, as you would run it: with your nix.conf, in your store, where it may build
and fetch, but leaves flake.lock alone. It gets --keep-going, --override-input, --option and --impure where they are given, and what follows "--". Of what it says the
end is shown where it fails.

` + exitStatus + `
  That nix flake check fails is a step that failed.`,
		Example: "  stateward flake-check\n  stateward flake-check . --no-build -o github\n  stateward flake-check . -- --all-systems",
		Args: func(cmd *cobra.Command, args []string) error {
			if n := cmd.ArgsLenAtDash(); n >= 0 {
				args = args[:n]
			}
			return cobra.MaximumNArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var forNix []string
			if n := cmd.ArgsLenAtDash(); n >= 0 {
				args, forNix = args[:n], args[n:]
			}
			if f.summary && f.survival {
				return fmt.Errorf("--summary and --survival exclude one another")
			}
			if err := f.prepare(env, args); err != nil {
				return err
			}
			if f.source.Kind != nixbridge.FlakeSource || len(f.source.Attr) > 0 {
				return &notWholeFlakeError{f.source.Arg}
			}
			r, err := f.newRun(env, cmd.Flags().Changed("threshold"))
			if err != nil {
				return err
			}
			hosts, err := f.load(cmd.Context(), env, args)
			if err != nil {
				return err
			}
			out := r.check(hosts, nil)
			out.EvaluatedWith = f.with
			opts := nixbridge.FlakeCheckOptions{NoBuild: noBuild, Args: forNix}
			if !f.quiet {
				fmt.Fprintln(env.Stderr, "stateward: running nix flake check")
				opts.Line = func(line string) { fmt.Fprintf(env.Stderr, "nix: %s\n", inLine(line)) }
			}
			nix, err := f.evaluator(env, f.source.Kind).FlakeCheck(cmd.Context(), f.source, opts)
			if err != nil {
				return withStatus(StatusEvaluation, err)
			}
			out.NixFlakeCheck = &NixFlakeCheckOutput{Command: nix.Command, Status: nix.Status}
			if nix.Status != 0 {
				out.NixFlakeCheck.Log = nix.Log
			}
			return f.tell(env, out, r)
		},
	}
	f.register(cmd)
	f.registerReport(cmd)
	cmd.Flags().BoolVar(&noBuild, "no-build", false, "let nix flake check evaluate only, and build nothing")
	return cmd
}

// notWholeFlakeError says that nix flake check takes flakes, and all of one.
type notWholeFlakeError struct{ source string }

func (e *notWholeFlakeError) Error() string {
	return fmt.Sprintf("%s is no whole flake", inLine(e.source))
}
func (e *notWholeFlakeError) Hint() string {
	return "name a flake without a host, such as .; stateward check takes the others, and --host chooses hosts"
}
