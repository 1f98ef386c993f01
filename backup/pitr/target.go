package pitr

import (
	"fmt"
	"strings"
	"time"
)

// Target is to which moment a cluster is recovered. The zero Target is the end of the log on the newest timeline: everything that was
// archived (G1). There is none that stops where the base backup ends.
type Target struct {
	// Time is the moment up to which transactions are kept, LSN the place; at most one is set.
	Time time.Time
	LSN  LSN
	// Timeline is the one to recover on; zero is the newest one that reaches the target.
	Timeline Timeline
}

func (t Target) String() string {
	s := "the end of the log"
	switch {
	case !t.Time.IsZero():
		s = t.Time.Format(time.RFC3339Nano)
	case t.LSN != 0:
		s = t.LSN.String()
	}
	if t.Timeline != 0 {
		s += fmt.Sprintf(" on timeline %d", t.Timeline)
	}
	return s
}

// TargetError says why a text is no target.
type TargetError struct {
	Text string
	// Zone tells that it is a time whose zone is not said.
	Zone bool
}

func (e *TargetError) Error() string {
	if e.Zone {
		return fmt.Sprintf("target %q does not say of which time zone it is", e.Text)
	}
	return fmt.Sprintf("target %q is neither a time, a place in the log, nor \"latest\"", e.Text)
}

// Hint says what to write instead.
func (e *TargetError) Hint() string { return "write 2026-03-01T12:00:00+01:00, 0/3000028 or latest" }

// ParseTarget reads "latest" (or nothing), a place such as "0/3000028", or a time with its zone, as RFC 3339 has it; a blank may stand
// for the T. A time without a zone is refused: server, archive and reader may each think of another one (G2). The error is a
// *[TargetError].
func ParseTarget(s string) (Target, error) {
	text := strings.TrimSpace(s)
	if text == "" || text == "latest" {
		return Target{}, nil
	}
	if l, err := ParseLSN(strings.ToUpper(text)); err == nil && l != 0 {
		return Target{LSN: l}, nil
	}
	spelt := text
	if len(spelt) > 10 && spelt[10] == ' ' {
		spelt = spelt[:10] + "T" + strings.Replace(spelt[11:], " ", "", 1)
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05Z07"} {
		if t, err := time.Parse(layout, spelt); err == nil {
			return Target{Time: t}, nil
		}
	}
	for _, layout := range []string{"2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if _, err := time.Parse(layout, spelt); err == nil {
			return Target{}, &TargetError{Text: s, Zone: true}
		}
	}
	return Target{}, &TargetError{Text: s}
}
