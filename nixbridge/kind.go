package nixbridge

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// Kind classifies what went wrong. It is an error, so that errors.Is asks for it:
//
//	errors.Is(err, nixbridge.MissingAttribute)
type Kind string

// The kinds of errors. The first group are errors of the configuration, the second of what it needs, the third
// of nix, of the machine, or of the caller.
const (
	// MissingAttribute is an attribute that a set does not have.
	MissingAttribute Kind = "missing attribute"
	// Throw is `throw`, also where the module system uses it and none of the other kinds applies.
	Throw Kind = "throw"
	// Abort is `abort`.
	Abort Kind = "abort"
	// Assertion is `assert`, or the NixOS module system's "Failed assertions".
	Assertion Kind = "failed assertion"
	// InfiniteRecursion is a value that needs itself.
	InfiniteRecursion Kind = "infinite recursion"
	// Syntax is a text that is no Nix.
	Syntax Kind = "syntax error"
	// UndefinedVariable is a name that is bound nowhere.
	UndefinedVariable Kind = "undefined variable"
	// Type is a value of another type than its place needs.
	Type Kind = "type error"
	// Function is a function where a value was expected.
	Function Kind = "function"
	// Option is an option of the module system that does not exist, was removed, has no value, or has several.
	Option Kind = "option"

	// ImportFromDerivation is a build that the evaluation would need.
	ImportFromDerivation Kind = "import from derivation"
	// LockFile is a flake.lock that cannot be read.
	LockFile Kind = "lock file"
	// Network is something that would have to be fetched, and cannot be.
	Network Kind = "network"
	// MissingFile is a file or folder that is not there.
	MissingFile Kind = "missing file"
	// NotFlake is a source that is no flake.
	NotFlake Kind = "not a flake"

	// OutOfMemory is a nix that ran out of the memory it was allowed.
	OutOfMemory Kind = "out of memory"
	// StackOverflow is a nix that recursed too deeply.
	StackOverflow Kind = "stack overflow"
	// Timeout is a host that took longer than it was allowed.
	Timeout Kind = "time-out"
	// Canceled is work that the caller gave up.
	Canceled Kind = "canceled"
	// NixNotFound is a nix that is not there.
	NixNotFound Kind = "nix not found"
	// NixTooOld is a program that is no nix 2.8 or newer.
	NixTooOld Kind = "nix too old"
	// Crash is a nix that ended without saying why.
	Crash Kind = "crash"
	// Other is none of these.
	Other Kind = "other"
)

func (k Kind) Error() string { return string(k) }

// kinds are all of them, in order.
var kinds = []Kind{
	MissingAttribute, Throw, Abort, Assertion, InfiniteRecursion, Syntax, UndefinedVariable, Type, Function, Option,
	ImportFromDerivation, LockFile, Network, MissingFile, NotFlake,
	OutOfMemory, StackOverflow, Timeout, Canceled, NixNotFound, NixTooOld, Crash,
}

// KindOf tells the kind of an error of this package, [Other] where it has none.
func KindOf(err error) Kind {
	if errors.Is(err, context.Canceled) {
		return Canceled
	}
	for _, k := range kinds {
		if errors.Is(err, k) {
			return k
		}
	}
	return Other
}

// knownKind reads a kind that was written; one that a newer version knows is [Other].
func knownKind(text string) Kind {
	if k := Kind(text); slices.Contains(kinds, k) {
		return k
	}
	return Other
}

// caughtKind is the kind of an error that tryEval caught, or did not: it catches `throw` and `assert` only, and what
// is thrown may be worded like anything.
func caughtKind(u stateward.UnknownKind, message string) Kind {
	k := messageKind(message)
	switch {
	case u == stateward.UnknownFunction:
		return Function
	case u == stateward.UnknownThrow && k != Assertion && k != Option:
		return Throw
	case u == stateward.UnknownAbort && k == Throw:
		return Other
	}
	return k
}

// thrownOrNot tells from a trace whether `throw` was the innermost step. nix 2.8 does not trace it.
func thrownOrNot(trace string) stateward.UnknownKind {
	if i := strings.LastIndex(trace, "… "); i >= 0 && strings.HasPrefix(trace[i:], "… while calling the 'throw' builtin") {
		return stateward.UnknownThrow
	}
	return ""
}

func is(target error, k Kind) bool {
	t, ok := target.(Kind)
	return ok && t == k
}

// Is tells whether target is the error's [Kind].
func (e *EvalError) Is(target error) bool { return is(target, e.Kind) }

// Is tells whether target is the [Kind] that was recorded.
func (e *RecordedError) Is(target error) bool { return is(target, e.Kind) }

// Is tells whether target is [NixNotFound].
func (e *NotFoundError) Is(target error) bool { return is(target, NixNotFound) }

// Is tells whether target is [NixTooOld].
func (e *VersionError) Is(target error) bool { return is(target, NixTooOld) }

// Is tells whether target is [NotFlake].
func (e *NotFlakeError) Is(target error) bool { return is(target, NotFlake) }

// Is tells whether target is [Network].
func (e *InputError) Is(target error) bool { return is(target, Network) }

// Is tells whether target is [LockFile].
func (e *LockFileError) Is(target error) bool { return is(target, LockFile) }

// Is tells whether target is [MissingAttribute].
func (e *MissingAttributeError) Is(target error) bool { return is(target, MissingAttribute) }

// Is tells whether target is [OutOfMemory].
func (e *MemoryError) Is(target error) bool { return is(target, OutOfMemory) }

// Is tells whether target is [StackOverflow].
func (e *StackError) Is(target error) bool { return is(target, StackOverflow) }

// Is tells whether target is [Timeout].
func (e *TimeoutError) Is(target error) bool { return is(target, Timeout) }

// Is tells whether target is [Canceled].
func (e *InterruptedError) Is(target error) bool { return is(target, Canceled) }

// Is tells whether target is [Crash].
func (e *CrashError) Is(target error) bool { return is(target, Crash) }

// messageKinds are how nix 2.8 to 2.34 and the module system begin, or word, their messages. The first that fits counts.
var messageKinds = []struct {
	kind    Kind
	pattern *regexp.Regexp
}{
	{LockFile, regexp.MustCompile(`contains mutable lock|^lock file '.*' has unsupported version`)},
	{Abort, regexp.MustCompile(`^evaluation aborted with the following error message`)},
	{Assertion, regexp.MustCompile(`^assertion '|^\s*Failed assertions:|^assertion failed|^an? .* is not equal to `)},
	{InfiniteRecursion, regexp.MustCompile(`^infinite recursion encountered`)},
	{StackOverflow, regexp.MustCompile(`^stack overflow`)},
	{Option, regexp.MustCompile("^(?:The|A definition for) option [`‘']|^The option definition [`‘']|^The unique option [`‘']")},
	{MissingAttribute, regexp.MustCompile(`(?s)^attribute '.*' missing|^attribute '.*' in selection path|does not provide attribute`)},
	{UndefinedVariable, regexp.MustCompile(`^undefined variable '`)},
	// The last is what 2.34 says of the folder that it would build in; which of its messages comes last, differs.
	{ImportFromDerivation, regexp.MustCompile(`allow-import-from-derivation|\.drv' is not valid$|^cannot build '.*' during evaluation|^cannot build on '.*' during evaluation|^Path ".*" is world-writable or a symlink`)},
	{Function, regexp.MustCompile(`^cannot convert a function to JSON`)},
	{Syntax, regexp.MustCompile(`^syntax error|^attribute '.*' already defined at|^dynamic attributes not allowed|^duplicate formal function argument|^invalid (?:token|character)|^path has a trailing slash|^undefined escape`)},
	{Type, regexp.MustCompile(`^value is .* while .* was expected|^expected .* but found|^cannot coerce |^cannot add |^cannot compare |^cannot append |^cannot convert |^attempt to call something which is not a function|called (?:without required|with unexpected) argument '|^cannot auto-call a function`)},
	{MissingFile, regexp.MustCompile(`^opening file '.*No such file|^getting status of '.*No such file|^path '.*' does not exist|^file '.*' was not found in the Nix search path|is not tracked by Git| is not there \(` + regexp.QuoteMeta(spelling) + `|^<[^>]*> is not in the search path of nix`)},
}

// messageKind tells the kind of what nix said. What nix words in no way that is its own was thrown.
func messageKind(message string) Kind {
	first, _, _ := strings.Cut(strings.TrimSpace(message), "\n")
	for _, m := range messageKinds {
		if m.pattern.MatchString(first) {
			return m.kind
		}
	}
	if noFetch.MatchString(message) {
		return Network
	}
	for _, m := range nixOwn {
		if strings.HasPrefix(first, m) || strings.Contains(first, m) && strings.HasPrefix(first, "'builtins.") {
			return Other
		}
	}
	return Throw
}

// nixOwn are further errors that nix words itself.
var nixOwn = []string{
	"division by zero", "list index ", "'builtins.", "string '", "store path '", "path '", "called on an empty list", "[json.exception", "(use '--show-trace'",
	"experimental Nix feature", "access to ", "unsupported ", "cannot ", "Try '", "integer overflow", "getting ", "opening ", "reading ", "hash mismatch", "in pure evaluation mode",
}
