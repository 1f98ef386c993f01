package notify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Secrets are what the files of a channel hold.
type Secrets struct{ URL, Topic, Token, User string }

// Hidden stand for secrets where they are shown.
func Hidden() Secrets { return Secrets{"***", "***", "***", "***"} }

// Request is what a channel is sent. It has secrets in it, unless it was made of [Hidden] ones.
type Request struct {
	URL string
	// Header are the fields of the head beside those that every request has: name and value.
	Header [][2]string
	// Type is the Content-Type of Body.
	Type string
	Body string
}

// SecretError says why what a file of a channel holds cannot be used. It does not hold it.
type SecretError struct{ Channel, Field, Reason, hint string }

func (e *SecretError) Error() string { return fmt.Sprintf("%s %s", e.Field, e.Reason) }

// Hint says what to do.
func (e *SecretError) Hint() string { return e.hint }

// Limits of what the services take: of pushover letters, of the others bytes.
const (
	pushoverTitle, pushoverText = 250, 1024
	ntfyText                    = 3500 // of 4096, after which it becomes an attachment
	pingText                    = 9000 // of 10 kB
)

// scale is a priority as a number from -2 to 2, as pushover has it; ntfy's is 3 more.
func (p Priority) scale() int { return slices.Index(Priorities(), p) - 2 }

// Request is what the channel is sent of a message. With secrets that are [Hidden] it is what can be shown. The error is a *[SecretError].
func (c Channel) Request(m Message, s Secrets) (Request, error) {
	shown := s == Hidden()
	if !shown {
		if err := c.check(s); err != nil {
			return Request{}, err
		}
	}
	server := func(own string) string {
		if c.Server != "" {
			own = c.Server
		}
		return strings.TrimRight(own, "/")
	}
	switch c.Type {
	case Ntfy:
		topic := c.Topic
		if topic == "" {
			topic = s.Topic
		}
		body, err := marshal(struct {
			Topic    string   `json:"topic"`
			Title    string   `json:"title"`
			Message  string   `json:"message"`
			Priority int      `json:"priority"`
			Tags     []string `json:"tags,omitempty"`
		}{topic, cut(m.Title, pushoverTitle), cutBytes(m.Body, ntfyText), m.Priority.scale() + 3, m.Tags})
		return Request{URL: server("https://ntfy.sh") + "/", Header: c.bearer(s), Type: "application/json", Body: body}, err
	case Pushover:
		form := [][2]string{{"token", s.Token}, {"user", s.User}, {"title", cut(m.Title, pushoverTitle)}, {"message", cut(m.Body, pushoverText)}, {"priority", strconv.Itoa(m.Priority.scale())}}
		if m.Priority == Urgent {
			// It is repeated each minute for an hour, until somebody says that it was seen.
			form = append(form, [2]string{"retry", "60"}, [2]string{"expire", "3600"})
		}
		if c.Device != "" {
			form = append(form, [2]string{"device", c.Device})
		}
		return Request{URL: server("https://api.pushover.net") + "/1/messages.json", Type: "application/x-www-form-urlencoded", Body: encode(form)}, nil
	case Healthchecks:
		return Request{URL: strings.TrimRight(s.URL, "/") + m.ping(), Type: "text/plain; charset=utf-8", Body: cutBytes(m.Title+"\n"+m.Body, pingText)}, nil
	case Webhook:
		url := c.URL
		if url == "" {
			url = s.URL
		}
		var body string
		var err error
		if c.TextField != "" {
			body, err = marshal(map[string]string{c.TextField: cutBytes(m.Title+"\n"+m.Body, 1900)}) // Discord takes 2000 letters
		} else {
			body, err = marshal(m.webhook())
		}
		return Request{URL: url, Header: c.bearer(s), Type: "application/json", Body: body}, err
	}
	return Request{}, &PlanError{c.Name, "type", fmt.Sprintf("is %q", c.Type), ""}
}

func (c Channel) bearer(s Secrets) [][2]string {
	if c.TokenFile == "" {
		return nil
	}
	return [][2]string{{"Authorization", "Bearer " + s.Token}}
}

// ping is what stands behind the ping URL.
func (m Message) ping() string {
	switch m.Ping {
	case PingStart:
		return "/start"
	case PingSuccess:
		return ""
	case PingFail:
		// 0 would be success there, and a signal has no number of its own.
		if n, err := strconv.Atoi(m.Facts.ExitStatus); err == nil && n > 0 && n < 256 {
			return "/" + strconv.Itoa(n)
		}
		return "/fail"
	}
	return "/log"
}

// Post is what a webhook is sent.
type Post struct {
	// ProtocolVersion is "1".
	ProtocolVersion string `json:"protocolVersion"`
	// Event is the name of the template.
	Event    string   `json:"event"`
	Title    string   `json:"title"`
	Message  string   `json:"message"`
	Priority Priority `json:"priority"`
	Host     string   `json:"host,omitempty"`
	Job      string   `json:"job,omitempty"`
	Unit     string   `json:"unit,omitempty"`
	Outcome  string   `json:"outcome,omitempty"`
	// ExitStatus is that of the unit: a number, or the name of the signal that ended it.
	ExitStatus string `json:"exitStatus,omitempty"`
	// Time is when the run ended, or when this was sent.
	Time time.Time `json:"time"`
	// LastGood is when the last good run began.
	LastGood *time.Time `json:"lastGood,omitempty"`
}

func (m Message) webhook() Post {
	f := m.Facts
	p := Post{ProtocolVersion: FormatVersion, Event: m.Event, Title: m.Title, Message: m.Body, Priority: m.Priority, Host: clean(f.Host), Job: f.Job, Unit: f.Unit,
		Outcome: f.Outcome, ExitStatus: f.ExitStatus, Time: f.Ended}
	if p.Time.IsZero() {
		p.Time = f.Now
	}
	if !f.LastGood.IsZero() {
		p.LastGood = &f.LastGood
	}
	return p
}

// check looks at what the files hold.
func (c Channel) check(s Secrets) error {
	for _, f := range []struct{ field, file, value string }{{"urlFile", c.URLFile, s.URL}, {"topicFile", c.TopicFile, s.Topic}, {"tokenFile", c.TokenFile, s.Token}, {"userFile", c.UserFile, s.User}} {
		fault := func(reason, hint string) error { return &SecretError{c.Name, f.field, reason, hint} }
		if f.file == "" {
			continue
		}
		if f.value == "" {
			return fault("is empty", "")
		}
		if strings.ContainsFunc(f.value, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
			return fault("holds more than one line, or a blank", "write nothing but the secret into it")
		}
		if f.field != "urlFile" {
			continue
		}
		scheme, rest, ok := strings.Cut(f.value, "://")
		host, _, _ := strings.Cut(rest, "/")
		if i := strings.LastIndex(host, "@"); i >= 0 {
			host = host[i+1:]
		}
		switch {
		case !ok || scheme != "https" && scheme != "http" || host == "":
			return fault("holds no https://host/", "")
		case scheme == "http" && !c.PlainHTTP && !loopback(host):
			return fault("holds an address without TLS, so that it and the message can be read on the way", "write https://, or plainHTTP where the network between is yours")
		case c.Type == Healthchecks && strings.ContainsAny(rest, "?#"):
			return fault("holds an address with a query, to which no ping can be added", "write the ping URL of the check")
		}
	}
	if c.TopicFile != "" && strings.ContainsAny(s.Topic, "/?#") {
		return &SecretError{c.Name, "topicFile", "holds no topic", "write the topic alone; the address of the server is not secret"}
	}
	return nil
}

func marshal(v any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// encode is application/x-www-form-urlencoded. Hidden secrets stay as they are.
func encode(form [][2]string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~*"
	var b strings.Builder
	for i, f := range form {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(f[0] + "=")
		for k := range len(f[1]) {
			switch c := f[1][k]; {
			case strings.IndexByte(plain, c) >= 0:
				b.WriteByte(c)
			case c == ' ':
				b.WriteByte('+')
			default:
				fmt.Fprintf(&b, "%%%02X", c)
			}
		}
	}
	return b.String()
}

// cutBytes shortens a text to so many bytes, at a letter's end.
func cutBytes(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most-len("…")], "") + "…"
}

// Refused says why an answer of the service with a status of success is none, and what a service says of a failure; empty where there is nothing to
// say. The text is the service's: whoever shows it takes the secrets out.
func (c Channel) Refused(status int, body string) string {
	ok := status >= 200 && status < 300
	switch c.Type {
	case Healthchecks:
		// It says so with status 200: https://healthchecks.io/docs/http_api/
		for _, s := range []string{"not found", "rate limited"} {
			if strings.Contains(strings.ToLower(body), "("+s+")") {
				return s
			}
		}
	case Pushover:
		var answer struct {
			Status *int     `json:"status"`
			Errors []string `json:"errors"`
		}
		if json.Unmarshal([]byte(body), &answer) != nil || answer.Status == nil {
			if ok {
				return "the answer is none of pushover's"
			}
			return ""
		}
		if *answer.Status != 1 && len(answer.Errors) == 0 {
			return fmt.Sprintf("pushover's status %d", *answer.Status)
		}
		if *answer.Status != 1 || !ok {
			return clean(strings.Join(answer.Errors, "; "))
		}
	case Ntfy:
		var answer struct {
			ID    string `json:"id"`
			Error string `json:"error"`
		}
		if json.Unmarshal([]byte(body), &answer) != nil || answer.ID == "" && answer.Error == "" {
			if ok {
				return "the answer is none of ntfy's"
			}
			return ""
		}
		return clean(answer.Error)
	}
	return ""
}
