package backup

import (
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/stateward/stateward"
)

// Drill says how it is tried whether a job's backup can be restored. The zero value of a field means that it is not set.
type Drill struct {
	// Every is how old the last drill that passed may be, as systemd.time(7) has it; a day at least.
	Every string `json:"every,omitempty"`
	// Paths are what is restored: paths of the job, or below. All of them where it is empty.
	Paths []string `json:"paths,omitempty"`
	// SQLite false leaves databases unchecked. Nil means true.
	SQLite *bool `json:"sqlite,omitempty"`
	// Command is run on what was restored: a program and its arguments. What it restores lies below $STATEWARD_DRILL_DIR, under its full path.
	Command []string `json:"command,omitempty"`
	// MaxBytes is how much is restored at most: a snapshot with more is refused. 0 means no limit.
	MaxBytes int64 `json:"maxBytes,omitempty"`
}

// ChecksSQLite says whether databases are checked.
func (d *Drill) ChecksSQLite() bool { return d == nil || d.SQLite == nil || *d.SQLite }

// Calendar is how often to ask whether a drill is due, as OnCalendar= and RandomizedDelaySec= of a timer have it: no calendar event says
// "every 30 days".
func (d *Drill) Calendar() (onCalendar, randomizedDelay string) {
	if every, err := stateward.ParseDuration(d.Every); err == nil && every.Std() < 7*24*time.Hour {
		return "hourly", "15min"
	}
	return "daily", "6h"
}

// DrillError says what is wrong with the settings of a drill.
type DrillError struct{ Field, Reason, hint string }

func (e *DrillError) Error() string { return fmt.Sprintf("drill: %s %s", e.Field, e.Reason) }

// Hint says what to write; it may be empty.
func (e *DrillError) Hint() string { return e.hint }

// Validate says what is wrong with the settings for a job of these paths: the error is a *[DrillError].
func (d *Drill) Validate(paths []string) error {
	if d == nil {
		return nil
	}
	if d.Every != "" {
		every, err := stateward.ParseDuration(d.Every)
		if err != nil {
			return &DrillError{"every", err.Error(), "write a time span, such as 30d"}
		}
		if every.Std() < 24*time.Hour {
			return &DrillError{"every", fmt.Sprintf("is %s", every), "a day is the least"}
		}
	}
	if d.MaxBytes < 0 {
		return &DrillError{"maxBytes", fmt.Sprintf("is %d", d.MaxBytes), "leave it out where there is no limit"}
	}
	for _, p := range d.Paths {
		held := false
		for _, of := range paths {
			held = held || p == of || of == "/" || strings.HasPrefix(p, of+"/")
		}
		if !held || path.Clean(p) != p {
			return &DrillError{"paths", fmt.Sprintf("has %q, which the job does not back up", p), "name paths of the job, or what lies below"}
		}
	}
	for i, word := range d.Command {
		if strings.ContainsRune(word, 0) || i == 0 && (word == "" || strings.HasPrefix(word, "-")) {
			return &DrillError{"command", fmt.Sprintf("has %q", word), "name a program and its arguments"}
		}
	}
	return nil
}
