package notify

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Facts are what is known of a run. The zero value of a field means that it is not known.
type Facts struct {
	Job, Unit, Host string
	// Preseed is the plan whose run it was; Job is empty then. Source and RecoveryPoint are those of what it restored, Files and Bytes how much that is.
	Preseed, Source string
	RecoveryPoint   time.Time
	// Hint is what to do.
	Hint string
	// Outcome is how the run ended, Message why it is not complete.
	Outcome, Message string
	// ExitStatus is that of the unit: "4", or the signal that ended it, "KILL".
	ExitStatus     string
	Started, Ended time.Time
	// LastGood is when the last good run began; NeverGood tells that there was none.
	LastGood  time.Time
	NeverGood bool
	// Files and Bytes are what the last good snapshot holds, or what a preseed restored; negative ones are not known, and neither is without Snapshot.
	Files, Bytes int64
	Snapshot     string
	// Now is required.
	Now time.Time
}

// values are those of the placeholders; what is not known is not there.
func (f Facts) values(event string) map[string]string {
	v := map[string]string{}
	set := func(name, value string) {
		if value = clean(value); value != "" {
			v[name] = value
		}
	}
	set("event", event)
	set("job", f.Job)
	set("unit", f.Unit)
	set("name", f.Job)
	switch {
	case f.Preseed != "":
		set("name", "preseed of "+f.Preseed)
	case f.Job == "":
		set("name", strings.TrimSuffix(f.Unit, ".service"))
	}
	set("hint", f.Hint)
	set("source", f.Source)
	if !f.RecoveryPoint.IsZero() {
		at := f.RecoveryPoint.Format("2006-01-02 15:04 MST")
		set("recovery", at)
		what := "data of " + at
		if f.Files > 0 {
			what = fmt.Sprintf("%d files, %s, of %s", f.Files, size(f.Bytes), at)
		}
		if f.Source != "" {
			what += ", from " + f.Source
		}
		set("restored", what)
	}
	set("host", f.Host)
	set("outcome", f.Outcome)
	set("message", f.Message)
	set("exit", f.ExitStatus)
	if !f.Started.IsZero() && !f.Ended.Before(f.Started) {
		set("duration", span(f.Ended.Sub(f.Started)))
	}
	switch {
	case !f.LastGood.IsZero():
		set("age", span(max(f.Now.Sub(f.LastGood), 0))+" ago")
	case f.NeverGood:
		set("age", "never")
	}
	if f.Snapshot != "" {
		set("snapshot", f.Snapshot[:min(len(f.Snapshot), 8)])
		if f.Files >= 0 {
			set("files", strconv.FormatInt(f.Files, 10))
		}
		if f.Bytes >= 0 {
			set("size", size(f.Bytes))
		}
	}
	at := f.Ended
	if at.IsZero() {
		at = f.Now
	}
	set("time", at.Format("2006-01-02 15:04:05 MST"))
	return v
}

// maxValue is how many letters of a value are sent.
const maxValue = 600

// clean is a value on one line, without what steers a terminal, and not too long.
func clean(s string) string {
	s = strings.ToValidUTF8(s, "�")
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }), " ")
	return cut(s, maxValue)
}

// cut shortens a text to so many letters.
func cut(s string, letters int) string {
	if utf8.RuneCountInString(s) <= letters {
		return s
	}
	return string([]rune(s)[:letters-1]) + "…"
}

// span says how long something is, by its two largest units.
func span(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	units := []struct {
		name string
		d    time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}}
	for i, u := range units {
		if d < u.d {
			continue
		}
		out := fmt.Sprintf("%d %s", d/u.d, u.name)
		if i+1 < len(units) {
			if rest := d % u.d / units[i+1].d; rest > 0 {
				out += fmt.Sprintf(" %d %s", rest, units[i+1].name)
			}
		}
		return out
	}
	return "0 s"
}

func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	v, u := float64(n), 0
	for v >= 1024 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[u])
}

// Message is what is sent.
type Message struct {
	Event    string   `json:"event"`
	Title    string   `json:"title"`
	Body     string   `json:"body"`
	Priority Priority `json:"priority"`
	Ping     Ping     `json:"-"`
	Tags     []string `json:"-"`
	Facts    Facts    `json:"-"`
}

// message fills a template in. What is not known is "unknown"; a line of the body of which nothing is known is left out.
func (t Template) message(event string, f Facts) (Message, error) {
	values := f.values(event)
	// some tells that a placeholder is known, or that there is none.
	fill := func(s string) (out string, some bool, err error) {
		parts, err := parse(s)
		if err != nil {
			return "", false, err
		}
		var b strings.Builder
		unknown := 0
		for _, p := range parts {
			if !p.name {
				b.WriteString(p.text)
				continue
			}
			value, ok := values[p.text]
			if ok {
				some = true
			} else {
				value = "unknown"
				unknown++
			}
			b.WriteString(value)
		}
		return b.String(), some || unknown == 0, nil
	}
	m := Message{Event: event, Priority: t.Priority, Ping: t.Ping, Tags: t.Tags, Facts: f}
	if m.Priority == "" {
		m.Priority = Default
	}
	if m.Ping == "" {
		m.Ping = PingLog
	}
	var err error
	if m.Title, _, err = fill(t.Title); err != nil {
		return Message{}, &TemplateError{event, "title", err, ""}
	}
	var lines []string
	for line := range strings.SplitSeq(t.Body, "\n") {
		out, some, err := fill(line)
		if err != nil {
			return Message{}, &TemplateError{event, "body", err, ""}
		}
		if some {
			lines = append(lines, out)
		}
	}
	m.Body = strings.Trim(strings.Join(lines, "\n"), "\n")
	if m.Body == "" {
		m.Body = m.Title // a message without a text is refused by some channels
	}
	return m, nil
}
