package restic

import (
	"fmt"
	"strconv"
	"strings"
)

// Outcome is how a command of restic ended.
type Outcome string

// The outcomes. Only [Complete] is success (R1).
const (
	Complete Outcome = "complete"
	// Incomplete is a snapshot that lacks files that could not be read, or snapshots of which some could not be removed.
	Incomplete    Outcome = "incomplete"
	Failed        Outcome = "failed"
	Crashed       Outcome = "crashed"
	NoRepository  Outcome = "no repository"
	Locked        Outcome = "locked"
	WrongPassword Outcome = "wrong password"
	Interrupted   Outcome = "interrupted"
	// Unreachable is a repository of which it is not known whether it is there: its server does not answer, or lets nobody in. restic has no exit status of its own for it.
	Unreachable Outcome = "unreachable"
	// Killed is the end by a signal: nothing is known but that a lock may have been left.
	Killed Outcome = "killed"
	// Refused is a run of a job that did not begin: what is to be backed up is not there as it should be (R8), or the job cannot be run. restic
	// does not end so, nor as Shrunken.
	Refused Outcome = "refused"
	// Shrunken is a snapshot that is complete, and holds far less than the last good one (R8).
	Shrunken Outcome = "shrunken"
)

// Outcomes are all of them.
func Outcomes() []Outcome {
	return []Outcome{Complete, Incomplete, Failed, Crashed, NoRepository, Locked, WrongPassword, Unreachable, Interrupted, Killed, Refused, Shrunken}
}

// OutcomeOf says what an exit status of restic 0.18 and later means: one that is not known is Failed. A negative one is that of a process
// that a signal ended.
func OutcomeOf(code int) Outcome {
	switch code {
	case 0:
		return Complete
	case 2: // of the runtime of Go
		return Crashed
	case 3:
		return Incomplete
	case 10:
		return NoRepository
	case 11:
		return Locked
	case 12:
		return WrongPassword
	case 130:
		return Interrupted
	}
	if code < 0 {
		return Killed
	}
	return Failed
}

// Hint says what to do; it is empty for what needs nothing.
func (o Outcome) Hint() string {
	switch o {
	case Incomplete:
		return "see which files could not be read, and give the job the right to, or exclude them"
	case NoRepository:
		return "look whether the repository is mounted and spelt right; only where it never was one, make it: stateward backup init"
	case Locked:
		return "another restic is at work on the repository, or was killed: see restic list locks; `restic unlock` removes what is stale"
	case Unreachable:
		return "look whether the server of the repository runs and can be reached, and whether user, password or key for it is right"
	case WrongPassword:
		return "look into the password file, and whether this is the right repository"
	case Crashed:
		return "restic has a fault, or too little memory"
	case Interrupted, Killed:
		return "run it again: what was uploaded is used"
	}
	return ""
}

// Version is that of restic.
type Version struct{ Major, Minor, Patch int }

// Oldest is the oldest version whose exit statuses say what happened: 0.14 exits with 1 for a missing repository and a wrong password alike.
var Oldest = Version{0, 18, 0}

func (v Version) String() string { return fmt.Sprintf("%d.%d.%d", v.Major, v.Minor, v.Patch) }

// VersionError says that a restic cannot be worked with.
type VersionError struct {
	// Text is what it says of itself.
	Text string
	// Old tells that it could be read, and is too old.
	Old bool
}

func (e *VersionError) Error() string {
	if e.Old {
		return fmt.Sprintf("restic is version %s, which does not tell a missing repository from a wrong password", e.Text)
	}
	return fmt.Sprintf("what says it is restic calls its version %q", e.Text)
}

// Hint says what to do.
func (e *VersionError) Hint() string { return "install restic " + Oldest.String() + " or later" }

// ParseVersion reads what `restic version` prints. The error is a *[VersionError].
func ParseVersion(output string) (Version, error) {
	line, _, _ := strings.Cut(strings.TrimSpace(output), "\n")
	if len(line) > 100 {
		line = line[:100]
	}
	words := strings.Fields(line)
	if len(words) < 2 || words[0] != "restic" {
		return Version{}, &VersionError{Text: line}
	}
	text, _, _ := strings.Cut(words[1], "-")
	parts := strings.Split(text, ".")
	if len(parts) < 2 || len(parts) > 3 {
		return Version{}, &VersionError{Text: line}
	}
	var n [3]int
	for i, p := range parts {
		var err error
		if n[i], err = strconv.Atoi(p); err != nil || n[i] < 0 {
			return Version{}, &VersionError{Text: line}
		}
	}
	v := Version{n[0], n[1], n[2]}
	if v.Major == Oldest.Major && v.Minor < Oldest.Minor || v.Major < Oldest.Major {
		return v, &VersionError{Text: v.String(), Old: true}
	}
	return v, nil
}
