package backup

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
)

// onDrills reads what a job, or its host, says of restore drills.
func (j *Job) onDrills(raw, d *stateward.Job, fault func(stateward.Origin, error)) {
	j.DrillCommand = lay(raw.DrillCommand, d.DrillCommand)
	j.DrillPaths = written(stateward.MapValue(raw.DrillPaths, func(list []stateward.Entry) ([]stateward.AbsPath, error) {
		paths, err := []stateward.AbsPath{}, error(nil)
		for _, e := range list {
			if e.Problem != nil {
				fault(e.Origin, e.Problem)
				err = cmp.Or(err, e.Problem)
				continue
			}
			paths = append(paths, e.Path)
		}
		return paths, err
	}))
	for _, field := range []string{"every", "sqlite", "maxBytes"} {
		s := j.Settings["drill."+field]
		text, ok := s.Get()
		if !ok || text == "" {
			continue
		}
		var one Drill
		if err := one.set(field, text); err != nil {
			fault(s.Origin(), err)
		} else if err := one.Validate(nil); err != nil {
			fault(s.Origin(), err)
		}
	}
	if s := j.DrillCommand; s.IsKnown() {
		if err := (&Drill{Command: s.Or(nil)}).Validate(nil); err != nil {
			fault(s.Origin(), err)
		}
	}
}

// set sets a field of which a text is known.
func (d *Drill) set(field, text string) error {
	var err error
	switch field {
	case "every":
		d.Every = text
	case "sqlite":
		var on bool
		if on, err = strconv.ParseBool(text); err != nil {
			return &DrillError{field, fmt.Sprintf("is %q", text), "write true or false"}
		}
		d.SQLite = &on
	case "maxBytes":
		if d.MaxBytes, err = strconv.ParseInt(text, 10, 64); err != nil {
			return &DrillError{field, fmt.Sprintf("is %q", text), "write a number of bytes, such as 10737418240"}
		}
	}
	return nil
}

// Drill is what the job says of its restore drills; nil where it says nothing. An empty drill.every says nothing, and so takes back what
// holds for the host. What is a fault of the job is left out.
func (j *Job) Drill() *Drill {
	var d Drill
	said := false
	for _, field := range []string{"every", "sqlite", "maxBytes"} {
		if text := j.Settings["drill."+field].Or(""); text != "" {
			said = d.set(field, text) == nil || said
		}
	}
	d.Command = j.DrillCommand.Or(nil)
	for _, p := range j.DrillPaths.Or(nil) {
		d.Paths = append(d.Paths, p.String())
	}
	if !said && len(d.Command)+len(d.Paths) == 0 {
		return nil
	}
	return &d
}

// notifyFields are those of [Notify].
var notifyFields = []string{"onStart", "onSuccess", "onFailure"}

// onNotifications reads which messages are sent of a job. Where its service wants some, and nobody says which, it is told of failures.
func (j *Job) onNotifications(wanted stateward.Value[bool], fault func(stateward.Origin, error)) {
	j.Notifications = written(wanted)
	said := false
	for _, field := range notifyFields {
		s, there := j.Settings["notify."+field]
		said = said || there && !s.IsAbsent()
		if text := s.Or(""); text != "" && !ValidTemplate(text) {
			fault(s.Origin(), &NotifyError{field, text})
		}
	}
	if wanted.Or(false) && !said {
		j.Settings["notify.onFailure"] = Setting[string]{stateward.Known("failure", wanted.Origin()), true}
	}
}

// Silenced tells whether a setting is a message of the host's defaults, and the service wants none.
func (j *Job) Silenced(setting string) bool {
	on, known := j.Notifications.Get()
	return strings.HasPrefix(setting, "notify.") && j.Settings[setting].Default && known && !on
}

// Notify are the messages that are sent of the job. An empty text takes back what holds for the host.
func (j *Job) Notify() Notify {
	text := func(field string) string {
		if name := "notify." + field; !j.Silenced(name) {
			return j.Settings[name].Or("")
		}
		return ""
	}
	return Notify{OnStart: text("onStart"), OnSuccess: text("onSuccess"), OnFailure: text("onFailure")}
}
