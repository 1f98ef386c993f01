package backup

import (
	"fmt"
	"strings"
)

// Notify names the templates of notifications ([github.com/stateward/stateward/backup/notify]) that are sent of each run of a job.
type Notify struct {
	// OnFailure is sent where a run fails, OnSuccess where it is complete, OnStart when it begins. Empty means none.
	OnFailure string `json:"onFailure,omitempty"`
	OnSuccess string `json:"onSuccess,omitempty"`
	OnStart   string `json:"onStart,omitempty"`
}

// NotifyError says that a text names no template.
type NotifyError struct{ Field, Name string }

func (e *NotifyError) Error() string {
	return fmt.Sprintf("%s is %q, which is no name of a template", e.Field, e.Name)
}

// Hint says what to write instead.
func (e *NotifyError) Hint() string {
	return `a name has up to 32 letters, digits and "-", and begins with a letter, such as failure or critical`
}

// Validate says what is wrong: the error is a *[NotifyError].
func (n Notify) Validate() error {
	for _, f := range []struct{ field, name string }{{"onFailure", n.OnFailure}, {"onSuccess", n.OnSuccess}, {"onStart", n.OnStart}} {
		if f.name != "" && !ValidTemplate(f.name) {
			return &NotifyError{f.field, f.name}
		}
	}
	return nil
}

// ValidTemplate says whether a text may be the name of a template: it becomes part of the name of a unit.
func ValidTemplate(name string) bool {
	const letters, others = "abcdefghijklmnopqrstuvwxyz", "0123456789-"
	return name != "" && len(name) <= 32 && strings.Trim(name, letters+others) == "" && strings.Trim(name[:1], letters) == "" && !strings.HasSuffix(name, "-")
}

// NotifyUnitPrefix begins the names of the units that send notifications.
const NotifyUnitPrefix = "stateward-notify"

// NotifyUnit is the unit that sends a template, with what stands for the unit that is told of: a name, or "%n" within that unit.
// With an empty one it is the name of the file.
func NotifyUnit(template, unit string) string {
	if template == "failure" {
		return NotifyUnitPrefix + "@" + unit + ".service"
	}
	return NotifyUnitPrefix + "-" + template + "@" + unit + ".service"
}
