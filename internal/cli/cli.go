// Package cli is the stateward command, as a library: it reads arguments, calls the packages that
// know something, prints what they say, and returns the exit status.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/stateward/stateward/internal/text"
)

// Exit statuses, the same everywhere. The first that applies is returned, in the
// order 2, 3, 4, 1, 0.
const (
	// StatusOK: nothing at or above the threshold was found.
	StatusOK = 0
	// StatusFindings: there are findings at or above the threshold.
	StatusFindings = 1
	// StatusUsage: the command line is wrong.
	StatusUsage = 2
	// StatusEvaluation: a host could not be evaluated, or nothing could be loaded.
	StatusEvaluation = 3
	// StatusStep: a step of a run failed, such as writing a file.
	StatusStep = 4
)

const exitStatus = `EXIT STATUS
  0  nothing at or above the threshold was found
  1  there are findings at or above the threshold
  2  wrong usage
  3  a host could not be evaluated, or the source could not be loaded
  4  a step of a run failed, such as writing a file
  Where several apply, the first of 2, 3, 4, 1 is returned. An interrupt is status 3:
  the hosts were not evaluated.`

// Env is what the command takes from the system around it.
type Env struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// StdoutTerminal tells whether standard output is a terminal: only there is colour used.
	StdoutTerminal bool
	// Now is the clock; nil means that of the system.
	Now func() time.Time
	// Hostname is how this machine calls itself; nil asks the system.
	Hostname func() (string, error)
	// Hold, where it is given, is called before something that an interrupt must not cut off in the middle; what it
	// returns is called after.
	Hold func() (release func())
}

func (e Env) hold() (release func()) {
	if e.Hold == nil {
		return func() {}
	}
	return e.Hold()
}

func (e Env) now() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

func (e Env) hostname() (string, error) {
	if e.Hostname == nil {
		return os.Hostname()
	}
	return e.Hostname()
}

// System returns the environment of this process.
func System() Env {
	return Env{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv,
		StdoutTerminal: isatty.IsTerminal(os.Stdout.Fd()),
	}
}

// Main runs the command and returns its exit status.
func Main(ctx context.Context, args []string, env Env) int {
	out := &checkedWriter{w: env.Stdout}
	env.Stdout = out
	cmd := newRoot(env)
	cmd.SetArgs(joinPairs(args))
	cmd.SetIn(env.Stdin)
	cmd.SetOut(env.Stdout)
	cmd.SetErr(env.Stderr)
	ran, err := cmd.ExecuteContextC(ctx)
	var have *statusError
	if out.err != nil && (err == nil || errors.As(err, &have) && have.status == StatusFindings) {
		// What was found and could not be said is no result.
		err = &statusError{status: StatusStep, err: fmt.Errorf("cannot write the output: %w", out.err)}
	}
	if err == nil {
		return StatusOK
	}
	status := StatusUsage
	var se *statusError
	if errors.As(err, &se) {
		status = se.status
		if se.err == nil {
			return status // everything was said already
		}
	}
	printError(env.Stderr, err)
	if status == StatusUsage && hintOf(err) == "" {
		fmt.Fprintf(env.Stderr, "  hint: %s --help\n", ran.CommandPath())
	}
	return status
}

// checkedWriter remembers the first error, so that a full disk is no success.
type checkedWriter struct {
	w   io.Writer
	err error
}

func (c *checkedWriter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	if err != nil && c.err == nil {
		c.err = err
	}
	return n, err
}

// statusError carries an exit status. Its err may be nil when all was said.
type statusError struct {
	status int
	err    error
}

func (e *statusError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit status %d", e.status)
	}
	return e.err.Error()
}

func (e *statusError) Unwrap() error { return e.err }

func withStatus(status int, err error) error {
	if err == nil {
		return nil
	}
	return &statusError{status: status, err: err}
}

// hinter is an error that has advice beside its fault.
type hinter interface{ Hint() string }

// printError prints the fault, and the advice apart from it.
func printError(w io.Writer, err error) {
	fmt.Fprintf(w, "stateward: %s\n", printable(err.Error()))
	var h hinter
	if errors.As(err, &h) && h.Hint() != "" {
		fmt.Fprintf(w, "  hint: %s\n", printable(h.Hint()))
	}
}

// printable keeps a text that came out of a configuration from steering the
// terminal: control characters become visible, line breaks are indented.
func printable(s string) string { return text.Printable(s) }

// inLine is printable for what must stay on its line: a name with a line break
// must not look like a finding of its own.
func inLine(s string) string { return text.Line(s) }

func newRoot(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stateward",
		Short: "Which data of your NixOS services survives, and the plans that make it so",
		Long: `stateward reads what a NixOS configuration evaluates to, and says which state of its
enabled services survives a reboot with a wiped root.

SOURCE is a flake reference (".", "./dir", "github:owner/repo") with or without a host
(".#forge"), a Nix file with or without an attribute path ("hosts.nix#forge"), or a
saved evaluation ("hosts.json", or "-" for standard input). It defaults to ".".

` + exitStatus,
		Example:       "  stateward check .\n  stateward check .#forge -o json\n  stateward plan persistence .#forge\n  stateward explain SW101",
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Help(); err != nil {
				return err
			}
			return &statusError{status: StatusUsage}
		},
	}
	cmd.SetVersionTemplate("stateward {{.Version}}\n")
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.AddCommand(newCheck(env), newFlakeCheck(env), newDiff(env), newGuard(env), newPlan(env), newDataset(env), newBackup(env), newDrill(env), newPreseed(env), newPITR(env), newSnapshot(env), newNotify(env), newEval(env), newCapture(env), newGolden(env), newTemplate(env), newExplain(env), newCache(env),
		newReport(env), newSchema(env), newCompletion(env), newMan(env), newVersion(env))
	completeFlags(cmd)
	sayArguments(cmd)
	return cmd
}
