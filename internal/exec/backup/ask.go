//go:build unix

package backup

import (
	"context"
	"io/fs"
	"os"
	"strings"

	"github.com/stateward/stateward/backup/restic"
)

// Caller runs restic for a job. What it returns has no secret of the job in it.
type Caller struct {
	c *caller
	// Version is that of restic.
	Version restic.Version
}

// NewCaller reads what the job keeps in files, and looks which restic it is.
func NewCaller(ctx context.Context, j restic.Job, o Options) (*Caller, error) {
	c, err := newCaller(ctx, j, o)
	if err != nil {
		return nil, err
	}
	return &Caller{c, c.version}, nil
}

// Ask runs a command and returns what it printed. The error is a *[StepError] where it was not complete.
func (x *Caller) Ask(ctx context.Context, name string, args []string) ([]byte, error) {
	s, out := x.c.start(ctx, name, args, nil)
	return out, failure(s)
}

// Lines runs a command and gives each line that it prints away. Where the repository is locked, stale locks are removed, and those only, before
// any is waited for (R6).
func (x *Caller) Lines(ctx context.Context, name string, args []string, each func([]byte)) (Step, error) {
	s := x.c.unlocked(ctx, args, func(args []string) Step {
		s, _ := x.c.start(ctx, name, args, each)
		return s
	})
	return s, failure(s)
}

// Redact takes the secrets of the job out of a text.
func (x *Caller) Redact(text string) string { return x.c.secrets.Replace(text) }

func failure(s Step) error {
	if s.Outcome == restic.Complete {
		return nil
	}
	return stepResult{s}.err(false)
}

// Lock takes a lock of a name in a folder, which it makes; it ends with the process. The error is a *[HeldError] where another process has it.
func Lock(dir, name string) (release func(), err error) { return lockFile(dir, name) }

// LockFile locks a file that is open, until release closes it. The error is as that of [Lock]; the file is closed then.
func LockFile(f *os.File) (release func(), err error) { return flock(f) }

// Replace writes a file as a whole or not at all.
func Replace(name string, text []byte, mode fs.FileMode) error { return replace(name, text, mode) }

// MountPoints are where something is mounted on this machine.
func MountPoints() ([]string, error) { return mountPoints() }

// Environment is base and what an environment file holds, with a replacer of all that is secret in it.
func Environment(file string, base []string) (env []string, secrets *strings.Replacer, err error) {
	return environment(restic.Job{EnvironmentFile: file}, base)
}
