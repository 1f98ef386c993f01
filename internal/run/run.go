//go:build unix

// Package run is the only one that starts processes. It knows nothing of the
// programs it starts: environment, limits and what the output means come from
// the caller.
package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// Cmd says what to run. Path is required.
type Cmd struct {
	// Path is a program file, or a name without a slash that is looked up in the PATH of Env.
	Path string
	// Args are the arguments after the program's own name.
	Args []string
	// Env is the whole environment; nothing is inherited.
	Env []string
	// Dir is the working directory; empty means the caller's.
	Dir string
	// Stdin is given to the process; nil means an empty input.
	Stdin []byte
	// MaxStdout is the number of bytes after which the process is killed; 0 means 64 MiB.
	MaxStdout int64
	// MaxStderr is the number of bytes kept of the end of standard error; 0 means 64 KiB.
	MaxStderr int
	// OnStderrLine is called with each line of standard error, without its end, as it comes. The slice is
	// only valid during the call. A line longer than 16 MiB is cut there.
	OnStderrLine func(line []byte)
	// OnStdoutLine is the same for standard output, of which only the end, MaxStderr bytes, is kept then.
	OnStdoutLine func(line []byte)
	// Grace is how long the process may take to end once ctx does: its group is sent SIGINT then, and killed after that time. 0 kills
	// at once.
	Grace time.Duration
	// As is the account that runs it; nil means the caller's. Only root may name another one.
	As *Account
	// MemoryLimit bounds the address space of the process in bytes; 0 means no bound. Only Linux enforces it.
	MemoryLimit int64
}

// Account is a user with its groups.
type Account struct {
	UID, GID uint32
	Groups   []uint32
}

const (
	defaultMaxStdout = 64 << 20
	defaultMaxStderr = 64 << 10
	maxLine          = 16 << 20
	// waitDelay is how long pipes may stay open, held by a grandchild, once the process is gone.
	waitDelay = 2 * time.Second
	// cancelDelay is the same once it was killed: nobody waits for its output then.
	cancelDelay = 20 * time.Millisecond
)

// Result is what a process left.
type Result struct {
	Stdout []byte
	// Stderr is the end of standard error.
	Stderr   []byte
	ExitCode int
	// Signal that ended the process; 0 when it exited by itself.
	Signal   syscall.Signal
	Duration time.Duration
	// CPU is the time that the process, and those below it that it waited for, spent computing; User is the part
	// of it that was not spent in the kernel.
	CPU, User time.Duration
	// MaxRSS is the most memory that one of these processes had in use, in bytes; 0 where it is not known: Linux counts
	// from before the program is loaded, and tells nothing of one that took less than the caller itself.
	MaxRSS int64
}

// NotFoundError says that there is no such program.
type NotFoundError struct {
	Path string
	Err  error
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("program %q: %v", e.Path, e.Err) }
func (e *NotFoundError) Unwrap() error { return e.Err }

// ExitError says that the process did not exit with status 0.
type ExitError struct {
	Path string
	// Code is the exit status, or -1 when a signal ended the process.
	Code   int
	Signal syscall.Signal
}

func (e *ExitError) Error() string {
	if e.Signal != 0 {
		return fmt.Sprintf("%s was ended by signal %d (%s)", filepath.Base(e.Path), int(e.Signal), e.Signal)
	}
	return fmt.Sprintf("%s exited with status %d", filepath.Base(e.Path), e.Code)
}

// OutputTooLargeError says that the process printed more than was allowed and was killed for it.
type OutputTooLargeError struct {
	Path  string
	Limit int64
}

func (e *OutputTooLargeError) Error() string {
	return fmt.Sprintf("%s printed more than %d bytes", filepath.Base(e.Path), e.Limit)
}

// Run starts a process in a group of its own and waits for it. When ctx ends,
// the whole group is killed with SIGKILL, and on Linux whatever below it has left the group: nix ignores softer
// signals while it computes. The same befalls the group when the caller itself is killed, whatever by: see [watch].
// The Result is filled as far as it goes, also beside an error, which is a
// *[NotFoundError], *[ExitError], *[OutputTooLargeError], wraps the cause of ctx, or comes from the system.
func Run(ctx context.Context, c Cmd) (Result, error) {
	path, err := LookPath(c.Path, c.Env)
	if err != nil {
		return Result{ExitCode: -1}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)

	cmd := exec.CommandContext(ctx, path, c.Args...)
	cmd.Args[0] = c.Path
	cmd.Env = c.Env
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	cmd.Dir = c.Dir
	if c.Stdin != nil {
		cmd.Stdin = strings.NewReader(string(c.Stdin))
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	if a := c.As; a != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.UID, Gid: a.GID, Groups: a.Groups}
	}
	// To Linux, the parent is the thread that started the process: it must not end before.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.Cancel = func() error {
		// Read by Wait, which is told of the end of ctx only after this returns.
		if c.Grace > 0 {
			cmd.WaitDelay = c.Grace
			if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
				return err
			}
			return nil
		}
		cmd.WaitDelay = cancelDelay
		return killAll(cmd.Process.Pid)
	}
	cmd.WaitDelay = waitDelay

	limit := c.MaxStdout
	if limit <= 0 {
		limit = defaultMaxStdout
	}
	out := &limited{limit: limit, full: func() { cancel(&OutputTooLargeError{Path: c.Path, Limit: limit}) }}
	errs := &lines{keep: c.MaxStderr, each: c.OnStderrLine}
	if errs.keep <= 0 {
		errs.keep = defaultMaxStderr
	}
	cmd.Stdout, cmd.Stderr = out, errs
	outLines := &lines{keep: errs.keep, each: c.OnStdoutLine}
	if c.OnStdoutLine != nil {
		cmd.Stdout = outLines
	}

	began := time.Now()
	if err := cmd.Start(); err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
			return Result{ExitCode: -1}, &NotFoundError{Path: c.Path, Err: err}
		}
		if ctx.Err() != nil {
			return Result{ExitCode: -1}, fmt.Errorf("%s: %w", filepath.Base(c.Path), context.Cause(ctx))
		}
		return Result{ExitCode: -1}, err
	}
	own := int64(0)
	if u := (syscall.Rusage{}); syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		own = int64(u.Maxrss) * maxrssUnit
	}
	if c.MemoryLimit > 0 {
		if err := limitMemory(cmd.Process.Pid, c.MemoryLimit); err != nil {
			cancel(fmt.Errorf("limit memory: %w", err))
		}
	}
	w := watch(cmd.Process.Pid)
	err = cmd.Wait()
	w.stop()
	if errors.Is(err, exec.ErrWaitDelay) || c.Grace > 0 && ctx.Err() != nil {
		// The process is gone; what held its pipes open goes too.
		_ = killGroup(cmd.Process.Pid)
	}
	errs.flush()
	outLines.flush()
	if c.OnStdoutLine != nil {
		out.buf = outLines.tail
	}
	r := Result{Stdout: out.buf, Stderr: errs.tail, ExitCode: cmd.ProcessState.ExitCode(), Duration: time.Since(began)}
	r.User = cmd.ProcessState.UserTime()
	r.CPU = r.User + cmd.ProcessState.SystemTime()
	if u, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		if r.MaxRSS = int64(u.Maxrss) * maxrssUnit; runtime.GOOS == "linux" && r.MaxRSS <= own {
			r.MaxRSS = 0
		}
	}
	if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		r.Signal = ws.Signal()
	}
	switch {
	case err == nil:
		return r, nil
	case ctx.Err() != nil:
		cause := context.Cause(ctx)
		var big *OutputTooLargeError
		if errors.As(cause, &big) {
			return r, cause
		}
		return r, fmt.Errorf("%s: %w", filepath.Base(c.Path), cause)
	case r.ExitCode != 0:
		return r, &ExitError{Path: c.Path, Code: r.ExitCode, Signal: r.Signal}
	case errors.Is(err, exec.ErrWaitDelay):
		// It exited with status 0, but its output may be incomplete.
		return r, fmt.Errorf("%s left a process behind that held its output open: %w", filepath.Base(c.Path), err)
	default:
		return r, err
	}
}

// LookPath finds a program in the PATH of env. A name with a slash is taken as
// it is. The error is a *[NotFoundError].
func LookPath(name string, env []string) (string, error) {
	if name == "" {
		return "", &NotFoundError{Path: name, Err: errors.New("no program is named")}
	}
	if strings.Contains(name, "/") {
		return name, executable(name, name)
	}
	path := ""
	for _, e := range env {
		if p, ok := strings.CutPrefix(e, "PATH="); ok {
			path = p
		}
	}
	for _, dir := range filepath.SplitList(path) {
		// An empty component means the working directory, which may belong to anybody.
		if !filepath.IsAbs(dir) {
			continue
		}
		if p := filepath.Join(dir, name); executable(name, p) == nil {
			return p, nil
		}
	}
	return "", &NotFoundError{Path: name, Err: exec.ErrNotFound}
}

func executable(name, path string) error {
	st, err := os.Stat(path)
	switch {
	case err != nil:
		return &NotFoundError{Path: name, Err: err}
	case st.IsDir() || st.Mode()&0o111 == 0:
		return &NotFoundError{Path: name, Err: os.ErrPermission}
	}
	return nil
}

func killGroup(pid int) error {
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}
