package notify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stateward/stateward/internal/text"
)

// FormatVersion is that of the JSON of a [Plan].
const FormatVersion = "1"

// Plan is what is told to whom.
type Plan struct {
	// ProtocolVersion is [FormatVersion].
	ProtocolVersion string `json:"protocolVersion"`
	// Host is what the machine is called in messages: its own name where it is left out.
	Host string `json:"host,omitempty"`
	// Channels carry the messages. At least one.
	Channels []Channel `json:"channels"`
	// Templates are added to the built-in ones, start, success, failure and critical; what one of such a name leaves out is the built-in's.
	Templates map[string]Template `json:"templates,omitempty"`
}

// ChannelType is a service that carries messages.
type ChannelType string

// The types of channels.
const (
	// Ntfy is ntfy.sh, or a server of one's own.
	Ntfy ChannelType = "ntfy"
	// Pushover is pushover.net.
	Pushover ChannelType = "pushover"
	// Healthchecks is healthchecks.io, or a server of one's own: it raises an alarm where a ping does not come.
	Healthchecks ChannelType = "healthchecks"
	// Webhook is anything that takes a POST with JSON.
	Webhook ChannelType = "webhook"
)

// ChannelTypes are all of them.
func ChannelTypes() []ChannelType { return []ChannelType{Ntfy, Pushover, Healthchecks, Webhook} }

// Channel is where messages go. What is secret is in files, of one line each.
type Channel struct {
	// Name is what the channel is called in what is printed. Required.
	Name string      `json:"name"`
	Type ChannelType `json:"type"`
	// Templates are those that the channel carries: all where it is left out, but start, which only healthchecks has use for.
	Templates []string `json:"templates,omitempty"`
	// Server is the address of ntfy or pushover: https://ntfy.sh and https://api.pushover.net where it is left out.
	Server string `json:"server,omitempty"`
	// URL is where a webhook is, where the address is no secret; URLFile holds the address of a webhook, or the ping URL of a check of healthchecks.
	URL     string `json:"url,omitempty"`
	URLFile string `json:"urlFile,omitempty"`
	// Topic is that of ntfy, where a token keeps others off it; TopicFile holds it.
	Topic     string `json:"topic,omitempty"`
	TopicFile string `json:"topicFile,omitempty"`
	// TokenFile holds the access token of ntfy, the API token of the application at pushover, or what a webhook is sent as "Authorization: Bearer".
	TokenFile string `json:"tokenFile,omitempty"`
	// UserFile holds the key of the user or group at pushover.
	UserFile string `json:"userFile,omitempty"`
	// Device is the device at pushover: all of the user's where it is left out.
	Device string `json:"device,omitempty"`
	// TextField has a webhook sent an object with this field only, which is title and body: "text" for Slack and Mattermost, "content" for Discord.
	TextField string `json:"textField,omitempty"`
	// PlainHTTP allows an address without TLS on another machine: token and message can be read on the way then.
	PlainHTTP bool `json:"plainHTTP,omitempty"`
}

// PlanError says what is wrong with a plan.
type PlanError struct {
	// Channel is its name; empty where it is not of a channel.
	Channel, Field, Reason, hint string
}

func (e *PlanError) Error() string {
	if e.Channel == "" {
		return fmt.Sprintf("notifications: %s %s", e.Field, e.Reason)
	}
	return fmt.Sprintf("notifications: channel %q: %s %s", e.Channel, e.Field, e.Reason)
}

// Hint says what to write instead; it may be empty.
func (e *PlanError) Hint() string { return e.hint }

// ReadPlan reads the JSON of a plan. A field that is not known is an error.
func ReadPlan(data []byte) (Plan, error) {
	var p Plan
	if err := text.ReadJSON(data, &p); err != nil {
		return Plan{}, fmt.Errorf("notifications: %w", err)
	}
	if err := p.Validate(); err != nil {
		return Plan{}, err
	}
	return p, nil
}

// Write returns the JSON that [ReadPlan] reads. The error is that of [Plan.Validate].
func (p Plan) Write() ([]byte, error) {
	p.ProtocolVersion = FormatVersion
	if err := p.Validate(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(p)
	return b.Bytes(), err
}

// All are the templates, built-in ones and those of the plan.
func (p Plan) All() map[string]Template {
	out := Builtin()
	for name, t := range p.Templates {
		out[name] = t.over(out[name])
	}
	return out
}

// Validate says what is wrong with a plan: the error is a *[PlanError] or a *[TemplateError].
func (p Plan) Validate() error {
	fault := func(field, reason, hint string) error { return &PlanError{Field: field, Reason: reason, hint: hint} }
	if p.ProtocolVersion != FormatVersion {
		return fault("protocolVersion", fmt.Sprintf("is %q", p.ProtocolVersion), "this stateward reads version "+FormatVersion)
	}
	if !plainText(p.Host) {
		return fault("host", fmt.Sprintf("is %q, which is no name of a machine", p.Host), "")
	}
	all := p.All()
	for _, name := range slices.Sorted(maps.Keys(p.Templates)) {
		if err := all[name].Validate(name); err != nil {
			return err
		}
	}
	if len(p.Channels) == 0 {
		return fault("channels", "is empty", "where nothing is sent nobody is told")
	}
	for i, c := range p.Channels {
		if err := c.validate(all); err != nil {
			return err
		}
		if slices.ContainsFunc(p.Channels[:i], func(o Channel) bool { return o.Name == c.Name }) {
			return fault("channels", fmt.Sprintf("has two that are called %q", c.Name), "")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Templates)) {
		if len(p.For(name)) == 0 {
			return fault("templates", fmt.Sprintf("has %q, which no channel carries", name), "name it in the templates of a channel, or leave these out there")
		}
	}
	return nil
}

// plainText says whether a text stays on its line.
func plainText(s string) bool {
	return utf8.ValidString(s) && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, unicode.IsControl)
}

const nameRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

// fields are those that a type has, beside name, type and templates, and those of them it must have.
var fields = map[ChannelType]struct{ has, must []string }{
	Ntfy:         {[]string{"server", "topic", "topicFile", "tokenFile", "plainHTTP"}, nil},
	Pushover:     {[]string{"server", "tokenFile", "userFile", "device", "plainHTTP"}, []string{"tokenFile", "userFile"}},
	Healthchecks: {[]string{"urlFile", "plainHTTP"}, []string{"urlFile"}},
	Webhook:      {[]string{"url", "urlFile", "tokenFile", "textField", "plainHTTP"}, nil},
}

func (c Channel) validate(all map[string]Template) error {
	fault := func(field, reason, hint string) error { return &PlanError{c.Name, field, reason, hint} }
	if c.Name == "" || len(c.Name) > 64 || strings.Trim(c.Name, nameRunes) != "" {
		return &PlanError{Field: "channels", Reason: fmt.Sprintf("has the name %q", c.Name), hint: `use up to 64 letters, digits, "_", "-" and "."`}
	}
	of, ok := fields[c.Type]
	if !ok {
		known := make([]string, 0, len(fields))
		for _, t := range ChannelTypes() {
			known = append(known, string(t))
		}
		advice := "there is " + strings.Join(known, ", ")
		if n := text.Nearest(string(c.Type), known); n != "" {
			advice = fmt.Sprintf("write %q", n)
		}
		return fault("type", fmt.Sprintf("is %q", c.Type), advice)
	}
	set := []struct {
		name string
		is   bool
	}{{"server", c.Server != ""}, {"url", c.URL != ""}, {"urlFile", c.URLFile != ""}, {"topic", c.Topic != ""}, {"topicFile", c.TopicFile != ""}, {"tokenFile", c.TokenFile != ""},
		{"userFile", c.UserFile != ""}, {"device", c.Device != ""}, {"textField", c.TextField != ""}, {"plainHTTP", c.PlainHTTP}}
	for _, f := range set {
		if f.is && !slices.Contains(of.has, f.name) {
			return fault(f.name, fmt.Sprintf("means nothing to %s", c.Type), "it has "+strings.Join(of.has, ", "))
		}
		if !f.is && slices.Contains(of.must, f.name) {
			return fault(f.name, "is missing", "name a file that holds it: what is secret is not in the plan")
		}
	}
	for _, f := range []struct{ name, file string }{{"urlFile", c.URLFile}, {"topicFile", c.TopicFile}, {"tokenFile", c.TokenFile}, {"userFile", c.UserFile}} {
		if f.file != "" && (!strings.HasPrefix(f.file, "/") || path.Clean(f.file) != f.file || !plainText(f.file)) {
			return fault(f.name, fmt.Sprintf("is %q, which is no absolute path in its shortest form", f.file), "")
		}
	}
	for i, name := range c.Templates {
		if _, ok := all[name]; !ok {
			known := slices.Sorted(maps.Keys(all))
			advice := "there is " + strings.Join(known, ", ")
			if n := text.Nearest(name, known); n != "" {
				advice = fmt.Sprintf("write %q", n)
			}
			return fault("templates", fmt.Sprintf("has %q, which there is not", name), advice)
		}
		if slices.Contains(c.Templates[:i], name) {
			return fault("templates", fmt.Sprintf("has %q twice", name), "")
		}
	}
	if !plainText(c.Device) || c.Device != "" && strings.Trim(c.Device, nameRunes+",") != "" {
		return fault("device", fmt.Sprintf("is %q, which is no name of a device", c.Device), "")
	}
	if !plainText(c.TextField) {
		return fault("textField", "has a control character, or blanks at its ends", "")
	}
	for _, f := range []struct{ name, address string }{{"server", c.Server}, {"url", c.URL}} {
		if f.address == "" {
			continue
		}
		if reason, advice := c.badAddress(f.address); reason != "" {
			return fault(f.name, reason, advice)
		}
	}
	switch {
	case c.Type == Webhook && (c.URL == "") == (c.URLFile == ""):
		return fault("url", "or urlFile is required, and not both", "a url that is all that keeps others off belongs into a urlFile")
	case c.Type == Ntfy && (c.Topic == "") == (c.TopicFile == ""):
		return fault("topic", "or topicFile is required, and not both", "a topic that is all that keeps others off belongs into a topicFile")
	case c.Topic != "" && (len(c.Topic) > 64 || strings.Trim(c.Topic, nameRunes) != "" || strings.Contains(c.Topic, ".")):
		return fault("topic", fmt.Sprintf("is %q, which is no topic", c.Topic), `a topic has up to 64 letters, digits, "_" and "-"`)
	case c.Topic != "" && c.TokenFile == "":
		return fault("topic", "can be read by everybody who can read the plan, and no tokenFile keeps them off", "put it into a topicFile")
	}
	return nil
}

// badAddress says why an address cannot be in a plan; it does not hold the address, which may have a secret in it.
func (c Channel) badAddress(s string) (reason, hint string) {
	scheme, rest, ok := strings.Cut(s, "://")
	host, _, _ := strings.Cut(rest, "/")
	switch {
	case !ok || scheme != "https" && scheme != "http" || host == "" || !plainText(s) || strings.ContainsFunc(s, unicode.IsSpace):
		return "is no https://host/", ""
	case strings.Contains(host, "@"):
		return "has a password in it, which everybody can read who can read the plan", "put the address into a urlFile, or the token into a tokenFile"
	case strings.ContainsAny(s, "?#"):
		return "has a query, in which a secret may be", "put the address into a urlFile"
	case scheme == "http" && !c.PlainHTTP && !loopback(host):
		return "has no TLS, so that token and message can be read on the way", "write https://, or plainHTTP where the network between is yours"
	}
	return "", ""
}

// loopback says whether a host, with or without a port, is this machine.
func loopback(host string) bool {
	if inner, isV6 := strings.CutPrefix(host, "["); isV6 {
		inner, _, _ = strings.Cut(inner, "]")
		return inner == "::1"
	}
	host, _, _ = strings.Cut(host, ":")
	host = strings.ToLower(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || strings.HasPrefix(host, "127.") && strings.Trim(host, "0123456789.") == ""
}

// carries says whether a channel carries a template.
func (c Channel) carries(name string, t Template) bool {
	if len(c.Templates) > 0 {
		return slices.Contains(c.Templates, name)
	}
	return t.Ping != PingStart || c.Type == Healthchecks
}

// For are the channels that carry a template, in the order of the plan.
func (p Plan) For(name string) []Channel {
	t, ok := p.All()[name]
	if !ok {
		return nil
	}
	var out []Channel
	for _, c := range p.Channels {
		if c.carries(name, t) {
			out = append(out, c)
		}
	}
	return out
}

// Carried are the names of the templates that a channel carries, sorted.
func (p Plan) Carried() []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(p.All())) {
		if len(p.For(name)) > 0 {
			out = append(out, name)
		}
	}
	return out
}

// UnknownTemplateError says that there is no template of a name.
type UnknownTemplateError struct {
	Name  string
	known []string
}

func (e *UnknownTemplateError) Error() string { return fmt.Sprintf("there is no template %q", e.Name) }

// Hint says which was meant, or which there are.
func (e *UnknownTemplateError) Hint() string {
	if n := text.Nearest(e.Name, e.known); n != "" {
		return fmt.Sprintf("write %q", n)
	}
	return "there is " + strings.Join(e.known, ", ")
}

// NobodyError says that no channel carries a template: nobody is told (E12).
type NobodyError struct{ Template string }

func (e *NobodyError) Error() string {
	return fmt.Sprintf("no channel carries %q: nobody is told", e.Template)
}

// Hint says what to do.
func (e *NobodyError) Hint() string {
	return "name it in the templates of a channel, or leave these out there"
}

// Message fills a template in. The error is an *[UnknownTemplateError], or a *[NobodyError].
func (p Plan) Message(name string, f Facts) (Message, error) {
	all := p.All()
	t, ok := all[name]
	if !ok {
		return Message{}, &UnknownTemplateError{name, slices.Sorted(maps.Keys(all))}
	}
	if len(p.For(name)) == 0 {
		return Message{}, &NobodyError{name}
	}
	if p.Host != "" {
		f.Host = p.Host
	}
	return t.message(name, f)
}
