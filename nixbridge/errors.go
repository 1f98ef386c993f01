package nixbridge

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/stateward/stateward/internal/redact"
	"github.com/stateward/stateward/internal/run"
)

// Hinter is an error that also says how to mend what it reports.
type Hinter interface {
	error
	Hint() string
}

// NotFoundError says that there is no nix.
type NotFoundError struct {
	Nix string
	Err error
}

func (e *NotFoundError) Error() string { return fmt.Sprintf("cannot run nix: %v", e.Err) }
func (e *NotFoundError) Unwrap() error { return e.Err }

// Hint says how to mend it.
func (e *NotFoundError) Hint() string {
	return "install nix 2.8 or newer (Debian: apt install nix-bin), name it with --nix, or load a saved evaluation"
}

// VersionError says that nix is too old, or is no nix.
type VersionError struct {
	Nix string
	// Version is what `nix --version` printed.
	Version string
	// After is how long it was waited for, where it printed nothing for so long.
	After time.Duration
	// Said is what it said on standard error, and Err how it ended, where it printed no version at all.
	Said string
	Err  error
}

func (e *VersionError) Error() string {
	switch {
	case e.After > 0:
		return fmt.Sprintf("%s did not say its version within %s", e.Nix, e.After)
	case e.Err != nil && e.Said != "":
		return fmt.Sprintf("%s does not say its version: %s", e.Nix, e.Said)
	case e.Err != nil:
		return fmt.Sprintf("%s does not say its version: %v", e.Nix, e.Err)
	}
	return fmt.Sprintf("%s is %q, not nix 2.8 or newer", e.Nix, e.Version)
}

// Unwrap is how the program ended, where it did not end well.
func (e *VersionError) Unwrap() error { return e.Err }

// Hint says how to mend it.
func (e *VersionError) Hint() string {
	if e.After > 0 || e.Err != nil {
		return "see whether `" + e.Nix + " --version` works, or name another nix with --nix"
	}
	return "name a newer nix with --nix"
}

// NotFlakeError says that the source is no flake.
type NotFlakeError struct {
	Ref string
	// Untracked tells that flake.nix is there, but git does not track it.
	Untracked bool
	// Missing tells that the folder itself is not there.
	Missing bool
}

func (e *NotFlakeError) Error() string {
	switch {
	case e.Untracked:
		return fmt.Sprintf("%s is no flake: git does not track its flake.nix", redact.Address(e.Ref))
	case e.Missing:
		return fmt.Sprintf("%s is no flake: there is no such folder", redact.Address(e.Ref))
	}
	return fmt.Sprintf("%s is no flake: there is no flake.nix in it or above it", redact.Address(e.Ref))
}

// Hint says how to mend it.
func (e *NotFlakeError) Hint() string {
	if e.Untracked {
		return "git add flake.nix"
	}
	return "name the folder that holds flake.nix, or a .nix file with an attribute path (hosts.nix#forge)"
}

// OwnershipError says that git refuses a repository that belongs to another user.
type OwnershipError struct{ Dir string }

func (e *OwnershipError) Error() string {
	return fmt.Sprintf("git refuses %s: it belongs to another user", e.Dir)
}

// Hint says how to mend it.
func (e *OwnershipError) Hint() string { return "git config --global --add safe.directory " + e.Dir }

// InputError says that a locked input of the flake is not on this machine.
type InputError struct {
	// Inputs are the names of the lock file's nodes that are missing, as far as nix told which it needed.
	Inputs []string
	// Message is what nix said.
	Message string
	hint    string
	// unlocked tells that flake.lock does not pin them.
	unlocked bool
}

func (e *InputError) Error() string {
	if e.unlocked && len(e.Inputs) == 1 {
		return fmt.Sprintf("flake input %q is not locked, so nix looks for it anew: %s", e.Inputs[0], e.Message)
	}
	if e.unlocked {
		return fmt.Sprintf("the flake inputs %s are not locked, so nix looks for them anew: %s", strings.Join(e.Inputs, ", "), e.Message)
	}
	switch len(e.Inputs) {
	case 0:
		return "a flake input cannot be had offline: " + e.Message
	case 1:
		return fmt.Sprintf("flake input %q is not on this machine", e.Inputs[0])
	}
	names, more := e.Inputs, ""
	if n := len(names) - 3; n > 0 {
		names, more = names[:3], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Sprintf("one of the flake inputs %s%s is needed and not on this machine", strings.Join(names, ", "), more)
}

// Hint says how to mend it.
func (e *InputError) Hint() string {
	if e.hint != "" {
		return e.hint
	}
	return "fetch it once with `nix flake archive`, or let nix fetch it with --online"
}

// MissingAttributeError says that the source has no such attribute.
type MissingAttributeError struct {
	// Source is what was searched, Attribute what it has not.
	Source, Attribute string
	// Names are those that it has, sorted.
	Names []string
}

func (e *MissingAttributeError) Error() string {
	return fmt.Sprintf("%s has no %s", redact.Address(e.Source), e.Attribute)
}

// Hint names what there is.
func (e *MissingAttributeError) Hint() string {
	if len(e.Names) == 0 {
		return "hosts are read from `nixosConfigurations`"
	}
	return "there is " + strings.Join(e.Names, ", ")
}

// NoHostsError says that the source has a place for hosts and none in it.
type NoHostsError struct{ Source string }

func (e *NoHostsError) Error() string { return redact.Address(e.Source) + " has no hosts" }

// Hint says how to mend it.
func (e *NoHostsError) Hint() string {
	return "declare hosts in `nixosConfigurations`, or name a .nix file that holds evaluated hosts"
}

// EvalError is nix's own error. Its text does not name the host, nor does that of the other errors of one host: whoever
// prints it says whose it is.
type EvalError struct {
	// Host is empty where the error is of the source as a whole.
	Host string
	// Attribute is the option path that was evaluated; empty where that is the configuration as a whole.
	Attribute string
	Kind      Kind
	Message   string
	// File is relative to the flake where it lies inside it; Line and Column count from 1. Zero where nix does not tell.
	File         string
	Line, Column int
	// Trace is nix's own account of how it got there, 64 KiB of it at most; empty where it was not asked for.
	Trace string
	// ExitCode is nix's exit status; 0 where the error was read from what a whole evaluation printed.
	ExitCode int
	hint     string
	// innerLine and innerColumn are the place within our own expression, where it is there.
	innerLine, innerColumn int
}

func (e *EvalError) Error() string {
	var b strings.Builder
	if e.Attribute != "" {
		fmt.Fprintf(&b, "%s: ", e.Attribute)
	}
	b.WriteString(e.Message)
	if p := e.Position(); p != "" {
		fmt.Fprintf(&b, " (%s)", p)
	}
	return b.String()
}

// Position is "file:line:column" as far as it is known.
func (e *EvalError) Position() string {
	switch {
	case e.File == "":
		return ""
	case e.Line == 0:
		return e.File
	case e.Column == 0:
		return fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column)
}

// Hint says how to mend it, where that is known.
func (e *EvalError) Hint() string { return e.hint }

// messageAndHint is for where only a message is kept.
func (e *EvalError) messageAndHint() string {
	if e.hint == "" {
		return e.Message
	}
	return e.Message + " (" + e.hint + ")"
}

// ExitStatus is how nix ended.
type ExitStatus struct {
	// Code is its exit status, -1 where a signal ended it.
	Code int
	// Signal is that signal, else 0.
	Signal syscall.Signal
}

// MemoryError says that nix ran out of the memory it was allowed, which was all that one host may have.
type MemoryError struct {
	Host string
	// Limit is that of the heap, in bytes; 0 where none was set, and the machine itself had no more.
	Limit int64
	Exit  ExitStatus
}

func (e *MemoryError) Error() string {
	if e.Limit == 0 {
		return "nix ran out of memory"
	}
	return fmt.Sprintf("nix ran out of memory (%d MiB)", e.Limit>>20)
}

// Hint says how to mend it.
func (e *MemoryError) Hint() string {
	if e.Limit == 0 {
		return "the machine has too little memory left: end what needs it, or evaluate fewer hosts at once with --workers 1"
	}
	return "look for an endless list or set; if there is none, allow more with --max-memory"
}

// StackError says that nix recursed too deeply.
type StackError struct {
	Host string
	// File and Line are where nix noticed; older nix do not tell.
	File string
	Line int
	Exit ExitStatus
}

func (e *StackError) Error() string {
	msg := "nix recursed too deeply"
	if e.File != "" {
		msg += fmt.Sprintf(" (%s:%d)", e.File, e.Line)
	}
	return msg
}

// Hint says how to mend it.
func (e *StackError) Hint() string {
	return "look for a function that calls itself without end, or a list or set that contains itself"
}

// TimeoutError says that a host took longer than it was allowed, or what has to be done before any is evaluated.
type TimeoutError struct {
	Host string
	// What took so long where it was no host, such as "the list of hosts".
	What  string
	After time.Duration
	// whole tells that it is why nothing of the host is known.
	whole bool
}

func (e *TimeoutError) Error() string {
	if e.What != "" {
		return fmt.Sprintf("%s took longer than %s", e.What, e.After)
	}
	known := ""
	if e.whole {
		known = ", so that no value of the host is known"
	}
	return fmt.Sprintf("evaluation took longer than %s%s", e.After, known)
}

// Hint says how to mend it.
func (e *TimeoutError) Hint() string {
	return fmt.Sprintf("allow more with --timeout, such as --timeout %s", shortDuration(2*e.After))
}

// shortDuration is a duration as a flag takes it, without the units that are zero.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// InterruptedError says that the caller gave the work up while hosts were evaluated.
type InterruptedError struct {
	// Err is the cause of the context.
	Err error
}

func (e *InterruptedError) Error() string { return fmt.Sprintf("interrupted: %v", e.Err) }
func (e *InterruptedError) Unwrap() error { return e.Err }

// CrashError says that nix ended in a way that is none of the others, such as by a signal.
type CrashError struct {
	Host    string
	Exit    ExitStatus
	Err     error
	Message string
}

func (e *CrashError) Error() string {
	switch {
	case e.Message != "":
		return e.Err.Error() + ": " + e.Message
	case e.Exit != ExitStatus{}:
		return e.Err.Error() + " and said nothing"
	}
	return e.Err.Error()
}
func (e *CrashError) Unwrap() error { return e.Err }

// Hint says how to mend it.
func (e *CrashError) Hint() string {
	return "run it again; if it ends in the same way, try another nix with --nix, or fewer hosts at once with --workers 1"
}

// OutputTooLargeError says that nix printed more than is read.
type OutputTooLargeError = run.OutputTooLargeError

// CacheError says that the private folder cannot be used.
type CacheError struct {
	Dir string
	Err error
}

func (e *CacheError) Error() string {
	return fmt.Sprintf("cannot use %s: %v", filepath.Clean(e.Dir), e.Err)
}
func (e *CacheError) Unwrap() error { return e.Err }

// Hint says how to mend it.
func (e *CacheError) Hint() string {
	var shared *sharedError
	switch {
	case errors.As(e.Err, &shared):
		return shared.hint
	case errors.Is(e.Err, syscall.ENOTDIR), errors.Is(e.Err, syscall.EEXIST):
		return "name a folder with --cache-dir"
	case errors.Is(e.Err, fs.ErrPermission), errors.Is(e.Err, syscall.EROFS), errors.Is(e.Err, syscall.ENOENT):
		return "name a folder of your own that can be written to with --cache-dir"
	}
	return "make room there, or name a folder of your own with --cache-dir"
}

// RecordedError is the error of a host that a saved evaluation recorded.
type RecordedError struct {
	Host, Message, File string
	// Line and Column count from 1; 0 where that was not recorded.
	Line, Column int
	Kind         Kind
	hint         string
}

func (e *RecordedError) Error() string {
	msg := e.Message
	if p := (&EvalError{File: e.File, Line: e.Line, Column: e.Column}).Position(); p != "" {
		msg += " (" + p + ")"
	}
	return msg
}

// Hint says how to mend it, where that was recorded.
func (e *RecordedError) Hint() string { return e.hint }

// FormatError says that a text is no saved evaluation.
type FormatError struct {
	// Name is the file, or "standard input".
	Name string
	// Offset is the byte at which the fault was seen, -1 where that is not known.
	Offset int64
	// Path leads to the fault, such as "hosts.0.name".
	Path   string
	Reason string
	hint   string
	// lacks tells that it is one, and lacks what is now asked of it.
	lacks bool
}

func (e *FormatError) Error() string {
	if e.lacks {
		name := e.Name
		if name == "" {
			name = "the saved evaluation"
		}
		return name + " does not hold all that is asked of it: " + e.Reason
	}
	msg := "no saved evaluation"
	if e.Name != "" {
		msg = e.Name + " is no saved evaluation"
	}
	if e.Offset >= 0 {
		msg += fmt.Sprintf(", byte %d", e.Offset)
	}
	if e.Path != "" {
		msg += ", at " + shortPath(e.Path)
	}
	return msg + ": " + e.Reason
}

// Hint says how to mend it.
func (e *FormatError) Hint() string {
	if e.hint != "" {
		return e.hint
	}
	return "write one with `stateward eval -o FILE`; docs/evaluation-format.md describes it"
}

// shortPath leaves out the middle of a path that nobody could read.
func shortPath(path string) string {
	const first, last = 8, 4
	cs := strings.Split(path, ".")
	if len(cs) <= first+last+1 {
		return path
	}
	return strings.Join(cs[:first], ".") + ".[…]." + strings.Join(cs[len(cs)-last:], ".")
}
