package nixbridge

import (
	"context"
	"errors"
	"os"
	"strings"
	"time"

	"github.com/stateward/stateward/internal/redact"
	"github.com/stateward/stateward/internal/run"
)

// FlakeCheck is how `nix flake check` ended.
type FlakeCheck struct {
	// Command is what ran, without secrets.
	Command []string
	// Status is its exit status: 0 where the flake passed; 128 and the number of the signal that ended it, as in a shell.
	Status int
	// Log is the end of what nix said, without secrets, 64 KiB at most.
	Log      string
	Duration time.Duration
}

// FlakeCheckOptions say how nix checks.
type FlakeCheckOptions struct {
	// NoBuild has it evaluate only.
	NoBuild bool
	// Args are further arguments of `nix flake check`.
	Args []string
	// Line is called with each line that nix says, without secrets; nil where nobody listens.
	Line func(string)
}

// FlakeCheck runs `nix flake check` on a flake, as the caller would: with the caller's environment and nix.conf, in the machine's own
// store, where it may build and fetch. Of the Evaluator it takes Nix, Impure, OverrideInputs and NixOptions. All checks are tried, also
// once one failed. That a check fails is no error: the error is a *[SourceError], a
// *[NotFlakeError], an *[InterruptedError], or says that nix could not be run.
func (e *Evaluator) FlakeCheck(ctx context.Context, src Source, opts FlakeCheckOptions) (*FlakeCheck, error) {
	if src.Kind != FlakeSource {
		return nil, &SourceError{src.Arg, "is no flake", "name a flake, such as .", nil}
	}
	ref := src.Ref
	if dir, query, local := localDir(src.Ref); local {
		root, repo, found := flakeRoot(dir, "")
		if !found && query == "" && !bareRepository(dir) {
			return nil, &NotFlakeError{Ref: src.Ref, Missing: !exists(dir)}
		}
		if root == "" {
			root = dir
		}
		var err error
		if ref, err = flakeRef(src.Ref, root, query, repo); err != nil {
			return nil, err
		}
	}
	args := []string{"flake", "check", ref, "--extra-experimental-features", "nix-command flakes", "--keep-going", "--print-build-logs", "--no-write-lock-file"}
	if opts.NoBuild {
		args = append(args, "--no-build")
	}
	if e.Impure {
		args = append(args, "--impure")
	}
	for _, o := range e.OverrideInputs {
		args = append(args, "--override-input", o.Name, o.Ref)
	}
	args = append(args, opts.Args...)
	check := &FlakeCheck{Command: []string{e.nixName()}}
	for _, a := range args {
		check.Command = append(check.Command, redact.Address(a))
	}
	for _, o := range e.NixOptions {
		args = append(args, "--option", o.Name, o.Value)
		check.Command = append(check.Command, "--option", o.Name, o.shown())
	}
	cmd := run.Cmd{Path: e.nixName(), Args: args, Env: os.Environ(), Grace: 10 * time.Second}
	if opts.Line != nil {
		cmd.OnStderrLine = func(line []byte) { opts.Line(redact.Message(stripANSI(string(line)))) }
	}
	r, err := run.Run(ctx, cmd)
	check.Duration = r.Duration
	check.Log = strings.TrimSpace(redact.Message(stripANSI(string(r.Stderr))))
	var exit *run.ExitError
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil, &InterruptedError{context.Cause(ctx)}
	case errors.As(err, &exit) && exit.Code > 0:
		check.Status = exit.Code
	case exit != nil && exit.Signal != 0:
		// Such as one whose stack was not deep enough: what hosts come to is told all the same.
		check.Status = 128 + int(exit.Signal)
		check.Log = strings.TrimSpace(check.Log + "\n" + exit.Error())
	default:
		return nil, err
	}
	return check, nil
}
