package notify

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/internal/text"
)

// Priority is how much a message disturbs; each channel has a scale of its own.
type Priority string

// The priorities.
const (
	Min     Priority = "min"
	Low     Priority = "low"
	Default Priority = "default"
	High    Priority = "high"
	Urgent  Priority = "urgent"
)

// Priorities are all of them, from the least.
func Priorities() []Priority { return []Priority{Min, Low, Default, High, Urgent} }

// Ping is what a template tells a service that watches whether jobs run.
type Ping string

// The pings.
const (
	PingStart   Ping = "start"
	PingSuccess Ping = "success"
	PingFail    Ping = "fail"
	PingLog     Ping = "log"
)

// Pings are all of them.
func Pings() []Ping { return []Ping{PingStart, PingSuccess, PingFail, PingLog} }

// Template is a message with places that are filled in.
type Template struct {
	// Title and Body are texts with placeholders such as {job}; "{{" and "}}" are braces. A line of the body of which no placeholder is known is left out.
	Title string `json:"title,omitempty"`
	Body  string `json:"body,omitempty"`
	// Priority is "default" where it is left out.
	Priority Priority `json:"priority,omitempty"`
	// Ping is what healthchecks is told: "log", which changes nothing there, where it is left out.
	Ping Ping `json:"ping,omitempty"`
	// Tags are those of ntfy, which shows some as pictures.
	Tags []string `json:"tags,omitempty"`
}

// Builtin are the templates that are there without being written.
func Builtin() map[string]Template {
	return map[string]Template{
		"start": {Title: "{name} on {host}: started", Body: "{time}", Priority: Min, Ping: PingStart},
		"success": {Title: "{name} on {host}: {outcome}", Body: "snapshot {snapshot}: {files} files, {size}\nrestored: {restored}\ntook {duration}", Priority: Low, Ping: PingSuccess,
			Tags: []string{"white_check_mark"}},
		"failure": {Title: "{name} on {host}: {outcome}", Body: "{message}\nhint: {hint}\nexit status {exit}\nlast good run: {age}", Priority: High, Ping: PingFail,
			Tags: []string{"warning"}},
		"critical": {Title: "{name} on {host}: {outcome}", Body: "{message}\nhint: {hint}\nexit status {exit}\nlast good run: {age}", Priority: Urgent, Ping: PingFail,
			Tags: []string{"rotating_light"}},
	}
}

// placeholders are what stands between braces, and what it is.
var placeholders = map[string]string{
	"job":      "the job",
	"unit":     "the unit of systemd",
	"name":     "the job, \"preseed of\" the plan, or the unit where there is neither",
	"host":     "the machine",
	"event":    "the template",
	"outcome":  "how the run ended: complete, incomplete, locked …; restored, unreachable, refused … of a preseed; of another unit what systemd calls its result",
	"exit":     "the exit status of the unit, or the signal that ended it",
	"message":  "why the run is not complete, or why a service stays down, or starts with nothing",
	"duration": "how long the run took",
	"age":      "how long ago the last good run began, or never",
	"size":     "what the last good snapshot holds",
	"files":    "how many files these are",
	"snapshot": "its ID",
	"restored": "what a preseed restored: how much, of when, from where",
	"source":   "where that came from: local, replica, restic or pitr",
	"recovery": "the time of what it restored",
	"hint":     "what to do, where a preseed does not let its service start",
	"time":     "when the run ended, or now",
}

// Placeholders are the names that may stand between braces, with what they are.
func Placeholders() map[string]string { return maps.Clone(placeholders) }

// PlaceholderError says that a text has a placeholder that there is not, or a brace that stands alone.
type PlaceholderError struct {
	// Name is what stands between the braces; empty where a brace stands alone.
	Name string
	// Nearest is the one that was meant, it may be empty.
	Nearest string
}

func (e *PlaceholderError) Error() string {
	if e.Name == "" {
		return "has a brace that stands alone"
	}
	return fmt.Sprintf("has {%s}, which stands for nothing", e.Name)
}

// Hint says what to write instead.
func (e *PlaceholderError) Hint() string {
	switch {
	case e.Name == "":
		return "write {{ or }} for a brace"
	case e.Nearest != "":
		return fmt.Sprintf("write {%s}", e.Nearest)
	}
	return "there is {" + strings.Join(slices.Sorted(maps.Keys(placeholders)), "}, {") + "}"
}

// part is a text as it is, or a placeholder.
type part struct {
	text string
	name bool
}

// parse reads a text with placeholders. The error is a *[PlaceholderError].
func parse(s string) (parts []part, err error) {
	var b strings.Builder
	end := func() {
		if b.Len() > 0 {
			parts = append(parts, part{text: b.String()})
			b.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case (c == '{' || c == '}') && i+1 < len(s) && s[i+1] == c:
			b.WriteByte(c)
			i++
		case c == '}':
			return nil, &PlaceholderError{}
		case c == '{':
			name, _, closed := strings.Cut(s[i+1:], "}")
			if !closed || name == "" || strings.ContainsAny(name, "{\n") {
				return nil, &PlaceholderError{}
			}
			if _, ok := placeholders[name]; !ok {
				return nil, &PlaceholderError{name, text.Nearest(name, slices.Sorted(maps.Keys(placeholders)))}
			}
			end()
			parts = append(parts, part{name, true})
			i += len(name) + 1
		default:
			b.WriteByte(c)
		}
	}
	end()
	return parts, nil
}

// TemplateError says what is wrong with a template.
type TemplateError struct {
	Template, Field string
	Err             error
	hint            string
}

func (e *TemplateError) Error() string {
	return fmt.Sprintf("template %q: %s %v", e.Template, e.Field, e.Err)
}
func (e *TemplateError) Unwrap() error { return e.Err }

// Hint says what to write instead.
func (e *TemplateError) Hint() string {
	if e.hint != "" {
		return e.hint
	}
	return hint(e.Err)
}

// maxText is how long title and body of a template may be, in bytes.
const maxText = 16 << 10

// Validate says what is wrong with the template of a name: the error is a *[TemplateError].
func (t Template) Validate(name string) error {
	fault := func(field, hint string, format string, args ...any) error {
		return &TemplateError{name, field, fmt.Errorf(format, args...), hint}
	}
	if !backup.ValidTemplate(name) {
		return fault("its name", (&backup.NotifyError{}).Hint(), "is none")
	}
	for _, f := range []struct {
		name, text string
		lines      bool
	}{{"title", t.Title, false}, {"body", t.Body, true}} {
		switch {
		case strings.TrimSpace(f.text) == "":
			return fault(f.name, "", "is missing")
		case !utf8.ValidString(f.text):
			return fault(f.name, "", "is no UTF-8")
		case len(f.text) > maxText:
			return fault(f.name, "", "is longer than 16 KiB")
		case strings.ContainsFunc(f.text, func(r rune) bool { return unicode.IsControl(r) && (!f.lines || r != '\n') }):
			return fault(f.name, "", "has a control character")
		}
		if _, err := parse(f.text); err != nil {
			return &TemplateError{name, f.name, err, ""}
		}
	}
	if t.Priority != "" && !slices.Contains(Priorities(), t.Priority) {
		return fault("priority", "write min, low, default, high or urgent", "is %q", t.Priority)
	}
	if t.Ping != "" && !slices.Contains(Pings(), t.Ping) {
		return fault("ping", "write start, success, fail or log", "is %q", t.Ping)
	}
	for _, tag := range t.Tags {
		if tag == "" || strings.ContainsFunc(tag, func(r rune) bool { return r == ',' || unicode.IsSpace(r) || unicode.IsControl(r) }) || !utf8.ValidString(tag) {
			return fault("tags", "a tag has no blank and no comma", "has %q, which is no tag", tag)
		}
	}
	return nil
}

// over is t with what it leaves out from another.
func (t Template) over(base Template) Template {
	if t.Title == "" {
		t.Title = base.Title
	}
	if t.Body == "" {
		t.Body = base.Body
	}
	if t.Priority == "" {
		t.Priority = base.Priority
	}
	if t.Ping == "" {
		t.Ping = base.Ping
	}
	if t.Tags == nil {
		t.Tags = base.Tags
	}
	return t
}

// hinter has advice beside its fault.
type hinter interface{ Hint() string }

func hint(err error) string {
	if h, ok := err.(hinter); ok {
		return h.Hint()
	}
	return ""
}
