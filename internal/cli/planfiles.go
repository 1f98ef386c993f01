package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/stateward/stateward"
)

// planFile is a file that a plan is written as.
type planFile struct{ name, text string }

// printFiles prints files one after another, each under its name where headed.
func printFiles(w io.Writer, files []planFile, headed bool) error {
	for i, file := range files {
		if headed {
			fmt.Fprintf(w, "%s# %s\n", map[bool]string{true: "\n"}[i > 0], inLine(file.name))
		}
		if _, err := io.WriteString(w, file.text); err != nil {
			return err
		}
	}
	return nil
}

// writeFiles writes files below a folder, each whole or not at all, and says which.
func writeFiles(env Env, dir string, files []planFile) (written map[string]bool, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot write into a folder: %w", err)
	}
	written = map[string]bool{}
	for _, file := range files {
		name := filepath.Join(dir, file.name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return written, err
		}
		if err := writeFile(name, []byte(file.text), 0o644); err != nil {
			return written, fmt.Errorf("cannot write a file: %w", err)
		}
		written[name] = true
		fmt.Fprintln(env.Stdout, inLine(name))
	}
	return written, nil
}

// nameLeft names the units of an earlier plan that were not written again: they are of nothing ("no job that was rendered").
func nameLeft(env Env, dir string, written map[string]bool, nothing string, patterns ...string) error {
	for _, pattern := range patterns {
		old, err := filepath.Glob(filepath.Join(dir, systemUnits, pattern))
		if err != nil {
			return err
		}
		for _, name := range old {
			if !written[name] {
				fmt.Fprintf(env.Stderr, "stateward: %s is of %s, and is left\n", inLine(name), nothing)
			}
		}
	}
	return nil
}

const systemUnits = "/etc/systemd/system"

// planStatus is how a plan ends: a step went wrong, a host could not be evaluated, or there is something to say.
func planStatus(err error, failed, sound bool) error {
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

// printPlanFault prints what is wrong, or to be known, with one part of a plan.
func printPlanFault(w io.Writer, mark, message, hint string, origin stateward.Origin) {
	fmt.Fprintf(w, "    %s %s\n", mark, inLine(message))
	if hint != "" {
		fmt.Fprintf(w, "      hint: %s\n", inLine(hint))
	}
	if origin.Option != "" {
		fmt.Fprintf(w, "      by %s\n", inLine(origin.String()))
	}
}

// planFault is the same on a line of its own, beside what is for a machine.
func planFault(message, hint string, origin stateward.Origin) error {
	out := ErrorOutput{Message: message, Hint: hint, File: origin.File, Line: origin.Line}
	if origin.Option != "" && !strings.Contains(message, origin.Option) {
		out.Message += ", by " + origin.String()
	}
	return &plainError{out}
}

// printFailedHost prints a host that could not be evaluated.
func printFailedHost(w io.Writer, name string, status stateward.Status, e *ErrorOutput) {
	fmt.Fprintf(w, "%s %s\n  %s\n", inLine(name), status, inLine(e.Message))
	if e.Hint != "" {
		fmt.Fprintf(w, "  hint: %s\n", inLine(e.Hint))
	}
}

// writeTextError says that text is for people.
type writeTextError struct{ formats string }

func (e *writeTextError) Error() string { return "--write is for " + e.formats }
func (e *writeTextError) Hint() string  { return "name the format with -o" }

// writeNowhereError says that --write names no folder.
type writeNowhereError struct{}

func (e *writeNowhereError) Error() string { return "--write names no folder" }
func (e *writeNowhereError) Hint() string {
	return "name the folder below which the files are written: --write DIR"
}

// nothingToWriteError says that a module would be empty although something is asked for, so that an older one stays.
type nothingToWriteError struct{ name, nothing string }

func (e *nothingToWriteError) Error() string {
	return fmt.Sprintf("%s is not written: %s", inLine(e.name), e.nothing)
}
func (e *nothingToWriteError) Hint() string { return "a file that is there already stays as it is" }
