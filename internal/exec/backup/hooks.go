//go:build unix

package backup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/run"
)

// HookError says that a command of the job did not end well.
type HookError struct{ Step Step }

func (e *HookError) Error() string {
	text := fmt.Sprintf("%s: %s", e.Step.Name, e.Step.Outcome)
	if e.Step.ExitCode > 0 {
		text += fmt.Sprintf(" (exit status %d)", e.Step.ExitCode)
	}
	if n := len(e.Step.Said); n > 0 {
		text += ": " + e.Step.Said[n-1]
	}
	return text
}

// Hint says what became of the run.
func (e *HookError) Hint() string {
	if e.Step.Name == "postHook" {
		return ""
	}
	return "nothing was backed up"
}

// hook runs a command without which nothing is backed up.
func (r *Result) hook(ctx context.Context, c *caller, name, command string) error {
	if c.o.Began != nil {
		c.o.Began(name)
	}
	s := c.shell(ctx, name, command)
	r.Steps = append(r.Steps, s)
	if s.Outcome == restic.Complete {
		return nil
	}
	if s.Outcome == restic.Interrupted {
		r.Outcome = s.Outcome
	}
	return &HookError{s}
}

// shell has bash run a text. That comes by standard input: what is an argument all the machine can read. It is given nothing of the
// repository's secrets.
func (c *caller) shell(ctx context.Context, name, command string, env ...string) Step {
	s := Step{Name: name, Outcome: restic.Complete}
	began := c.o.Now()
	said := func(line []byte) {
		text := c.secrets.Replace(string(line))
		if c.o.Said != nil {
			c.o.Said(text)
		}
		if s.Said = append(s.Said, text); len(s.Said) > maxSaid {
			s.Said = s.Said[1:]
		}
	}
	res, err := run.Run(ctx, run.Cmd{
		Path: "bash", Args: []string{"-euo", "pipefail", "-c", `IFS= read -r -d "" command || :; exec </dev/null; eval "$command"`},
		Stdin: []byte(command), Env: append(append(slices.Clone(c.o.Env), "STATEWARD_JOB="+c.job.Name), env...), Dir: "/", Grace: grace,
		OnStdoutLine: said, OnStderrLine: said,
	})
	s.ExitCode, s.Seconds = res.ExitCode, c.o.Now().Sub(began).Seconds()
	switch {
	case ctx.Err() != nil:
		s.Outcome = restic.Interrupted
	case err != nil:
		s.Outcome = restic.Failed
		if len(s.Said) == 0 {
			said([]byte(err.Error()))
		}
	}
	return s
}

// dumping waits until no other job writes or reads what the dump writes: that of a service goes to each of its repositories, and a second dump
// would empty the file that restic still reads for the first.
func dumping(ctx context.Context, j restic.Job, o Options) (release func(), err error) {
	if j.Dump == nil {
		return func() {}, nil
	}
	sum := sha256.Sum256([]byte(j.Dump.Directory))
	return await(ctx, o.LockDir, "stateward-dump-"+hex.EncodeToString(sum[:8])+".lock")
}

// dump has the command write, and looks whether it did.
func (r *Result) dump(ctx context.Context, c *caller) error {
	// File systems keep times no finer than the kernel's tick.
	began := time.Now().Add(-20 * time.Millisecond)
	if err := r.hook(ctx, c, "dump", c.job.Dump.Command); err != nil {
		return err
	}
	written := false
	err := filepath.WalkDir(c.job.Dump.Directory, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > 0 && !info.ModTime().Before(began) {
			written = true
			return filepath.SkipAll
		}
		return nil
	})
	if err != nil {
		return err
	}
	if !written {
		r.Steps[len(r.Steps)-1].Outcome = restic.Failed
		return &GateError{c.job.Dump.Directory, "has no file that the dump wrote: nothing is backed up", "let dump.command write there, with the time of now, or mend dump.directory"}
	}
	return nil
}
