package notify_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/notify"
)

var now = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

func facts() notify.Facts {
	return notify.Facts{Job: "paperless", Unit: "stateward-backup-paperless.service", Host: "forge", Outcome: "locked", Message: "restic backup: locked", ExitStatus: "4",
		Started: now.Add(-90 * time.Second), Ended: now, LastGood: now.Add(-51 * time.Hour), Files: 3, Bytes: 3 << 20, Snapshot: "0123456789abcdef", Now: now}
}

func plan(channels ...notify.Channel) notify.Plan {
	return notify.Plan{ProtocolVersion: "1", Channels: channels}
}

var (
	phone = notify.Channel{Name: "phone", Type: notify.Ntfy, TopicFile: "/s/topic", TokenFile: "/s/token"}
	pager = notify.Channel{Name: "pager", Type: notify.Pushover, TokenFile: "/s/token", UserFile: "/s/user"}
	watch = notify.Channel{Name: "watch", Type: notify.Healthchecks, URLFile: "/s/url"}
	hook  = notify.Channel{Name: "hook", Type: notify.Webhook, URLFile: "/s/url", TokenFile: "/s/token"}
)

var all = notify.Secrets{URL: "https://hc.example/ping/uuid", Topic: "topic", Token: "token", User: "user"}

func TestEveryPlaceholder(t *testing.T) {
	p := plan(phone)
	var body []string
	for name := range notify.Placeholders() {
		body = append(body, name+"={"+name+"}")
	}
	p.Templates = map[string]notify.Template{"all": {Title: "x", Body: strings.Join(body, "\n")}}
	require.NoError(t, p.Validate())
	m, err := p.Message("all", facts())
	require.NoError(t, err)
	got := map[string]string{}
	for line := range strings.SplitSeq(m.Body, "\n") {
		name, value, _ := strings.Cut(line, "=")
		got[name] = value
	}
	require.Empty(t, cmp.Diff(map[string]string{"job": "paperless", "unit": "stateward-backup-paperless.service", "name": "paperless", "host": "forge", "event": "all", "outcome": "locked",
		"exit": "4", "message": "restic backup: locked", "duration": "1 min 30 s", "age": "2 d 3 h ago", "size": "3.0 MiB", "files": "3", "snapshot": "01234567", "time": "2026-03-17 12:00:00 UTC"}, got))
	require.Equal(t, []any{notify.Default, notify.PingLog}, []any{m.Priority, m.Ping})
}

func TestWhatIsNotKnown(t *testing.T) {
	p := plan(phone)
	p.Templates = map[string]notify.Template{"x": {Title: "{job} on {host} {{}}", Body: "{message}\nfixed\n{age}, {size}\n{unit} {job}"}}
	for _, tc := range []struct {
		name  string
		facts notify.Facts
		title string
		body  string
	}{
		{"nothing", notify.Facts{Now: now}, "unknown on unknown {}", "fixed"},
		{"a part of a line", notify.Facts{Now: now, NeverGood: true, Unit: "a.service"}, "unknown on unknown {}", "fixed\nnever, unknown\na.service unknown"},
		{"what steers a terminal", notify.Facts{Now: now, Job: "a\x1b[2Jb\nc", Message: "\xff" + strings.Repeat("ü", 700)}, "a [2Jb c on unknown {}", "�" + strings.Repeat("ü", 598) + "…\nfixed\nunknown a [2Jb c"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m, err := p.Message("x", tc.facts)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff([]string{tc.title, tc.body}, []string{m.Title, m.Body}))
		})
	}
	p.Host = "vault"
	m, err := p.Message("x", facts())
	require.NoError(t, err)
	require.Equal(t, "paperless on vault {}", m.Title, "the plan names the machine")
	p.Templates["x"] = notify.Template{Title: "title", Body: "{message}"}
	m, err = p.Message("x", notify.Facts{Now: now})
	require.NoError(t, err)
	require.Equal(t, "title", m.Body, "none is empty")
}

func TestTemplatesThatAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name      string
		template  notify.Template
		err, hint string
	}{
		{"x", notify.Template{Title: "{mesage}", Body: "b"}, `template "x": title has {mesage}, which stands for nothing`, "write {message}"},
		{"x", notify.Template{Title: "t", Body: "{Job}"}, `template "x": body has {Job}, which stands for nothing`, "write {job}"},
		{"x", notify.Template{Title: "t", Body: "{whatever}"}, `template "x": body has {whatever}, which stands for nothing`, "there is {age}"},
		{"x", notify.Template{Title: "t", Body: "{job"}, `template "x": body has a brace that stands alone`, "write {{ or }} for a brace"},
		{"x", notify.Template{Title: "t", Body: "job}"}, `template "x": body has a brace that stands alone`, ""},
		{"x", notify.Template{Title: "t", Body: "{}"}, `template "x": body has a brace that stands alone`, ""},
		{"x", notify.Template{Title: "t"}, `template "x": body is missing`, ""},
		{"x", notify.Template{Title: "t\nu", Body: "b"}, `template "x": title has a control character`, ""},
		{"x", notify.Template{Title: "t", Body: "b", Priority: "hihg"}, `template "x": priority is "hihg"`, "write min"},
		{"x", notify.Template{Title: "t", Body: "b", Ping: "failure"}, `template "x": ping is "failure"`, ""},
		{"x", notify.Template{Title: "t", Body: "b", Tags: []string{"a b"}}, `template "x": tags has "a b", which is no tag`, ""},
		{"X@y", notify.Template{Title: "t", Body: "b"}, `template "X@y": its name is none`, "a name has"},
	} {
		t.Run(tc.err, func(t *testing.T) {
			p := plan(phone)
			p.Templates = map[string]notify.Template{tc.name: tc.template}
			err := p.Validate()
			require.EqualError(t, err, tc.err)
			var h interface{ Hint() string }
			require.ErrorAs(t, err, &h)
			require.Contains(t, h.Hint(), tc.hint)
		})
	}
}

func TestBuiltinsAreTemplates(t *testing.T) {
	for name, tpl := range notify.Builtin() {
		require.NoError(t, tpl.Validate(name))
	}
	p := plan(phone)
	p.Templates = map[string]notify.Template{"failure": {Title: "ours"}}
	got := p.All()["failure"]
	want := notify.Builtin()["failure"]
	want.Title = "ours"
	require.Empty(t, cmp.Diff(want, got), "what it leaves out is the built-in's")
}

func TestPlansThatAreRefused(t *testing.T) {
	for _, tc := range []struct{ json, err string }{
		{`{}`, `notifications: protocolVersion is ""`},
		{`{"protocolVersion":"1"}`, "notifications: channels is empty"},
		{`{"protocolVersion":"1","channel":[]}`, `notifications: line 1: "channel" is no field`},
		{`{"protocolVersion":"1","channels":[]} x`, "notifications: line 1: there is more behind its JSON"},
		{`{"protocolVersion":"1","channels":[{"type":"ntfy"}]}`, `notifications: channels has the name ""`},
		{`{"protocolVersion":"1","channels":[{"name":"a","type":"nfty","topicFile":"/t"}]}`, `notifications: channel "a": type is "nfty"`},
		{`{"protocolVersion":"1","channels":[{"name":"a","type":"ntfy"}]}`, `notifications: channel "a": topic or topicFile is required, and not both`},
		{`{"protocolVersion":"1","channels":[{"name":"a","type":"ntfy","topic":"x"}]}`, `notifications: channel "a": topic can be read by everybody who can read the plan, and no tokenFile keeps them off`},
		{`{"protocolVersion":"1","channels":[{"name":"a","type":"ntfy","topic":"a/b","tokenFile":"/t"}]}`, `notifications: channel "a": topic is "a/b", which is no topic`},
		{`{"protocolVersion":"1","channels":[{"name":"a","type":"ntfy","topicFile":"t"}]}`, `notifications: channel "a": topicFile is "t", which is no absolute path in its shortest form`},
		{`{"protocolVersion":"1","channels":[{"name":"a","type":"ntfy","topicFile":"/t","userFile":"/u"}]}`, `notifications: channel "a": userFile means nothing to ntfy`},
		{`{"protocolVersion":"1","channels":[{"name":"a","type":"ntfy","topicFile":"/t","server":"https://me:CANARY@h"}]}`, `notifications: channel "a": server has a password in it, which everybody can read who can read the plan`},
		{`{"protocolVersion":"1","channels":[{"name":"a","type":"ntfy","topicFile":"/t","server":"http://ntfy.lan"}]}`, `notifications: channel "a": server has no TLS, so that token and message can be read on the way`},
		{`{"protocolVersion":"1","channels":[{"name":"a","type":"ntfy","topicFile":"/t","server":"ftp://h"}]}`, `notifications: channel "a": server is no https://host/`},
		{`{"protocolVersion":"1","channels":[{"name":"a","type":"pushover","userFile":"/u"}]}`, `notifications: channel "a": tokenFile is missing`},
		{`{"protocolVersion":"1","channels":[{"name":"a","type":"healthchecks"}]}`, `notifications: channel "a": urlFile is missing`},
		{`{"protocolVersion":"1","channels":[{"name":"a","type":"webhook"}]}`, `notifications: channel "a": url or urlFile is required, and not both`},
		{`{"protocolVersion":"1","channels":[{"name":"a","type":"webhook","url":"https://h/?key=CANARY"}]}`, `notifications: channel "a": url has a query, in which a secret may be`},
		{`{"protocolVersion":"1","channels":[{"name":"a","type":"webhook","urlFile":"/u","templates":["sucess"]}]}`, `notifications: channel "a": templates has "sucess", which there is not`},
		{`{"protocolVersion":"1","channels":[{"name":"a","type":"webhook","urlFile":"/u"},{"name":"a","type":"webhook","urlFile":"/u"}]}`, `notifications: channels has two that are called "a"`},
		{`{"protocolVersion":"1","channels":[{"name":"a","type":"webhook","urlFile":"/u","templates":["failure"]}],"templates":{"x":{"title":"t","body":"b"}}}`, `notifications: templates has "x", which no channel carries`},
	} {
		_, err := notify.ReadPlan([]byte(tc.json))
		require.EqualError(t, err, tc.err)
		var h interface{ Hint() string }
		if errors.As(err, &h) {
			require.NotContains(t, h.Hint(), "CANARY")
		}
	}
	_, err := notify.ReadPlan([]byte(`{"protocolVersion":"1","channels":[{"name":"a","type":"ntfy","topicFile":"/t","server":"http://127.0.0.1:80"},{"name":"b","type":"ntfy","topicFile":"/t","server":"http://ntfy.lan","plainHTTP":true}]}`))
	require.NoError(t, err)
}

func TestE12NobodyIsTold(t *testing.T) {
	c := phone
	c.Templates = []string{"failure"}
	p := plan(c)
	_, err := p.Message("success", facts())
	var nobody *notify.NobodyError
	require.ErrorAs(t, err, &nobody)
	_, err = p.Message("failed", facts())
	require.EqualError(t, err, `there is no template "failed"`)
	_, err = p.Message("failure", facts())
	require.NoError(t, err)
	require.Equal(t, []string{"failure"}, p.Carried())
	require.Equal(t, []string{"critical", "failure", "success"}, plan(phone).Carried(), "start is for healthchecks")
	require.Equal(t, []string{"critical", "failure", "start", "success"}, plan(watch).Carried())
}

func TestRequests(t *testing.T) {
	message := func(p notify.Priority, ping notify.Ping, exit string) notify.Message {
		f := facts()
		f.ExitStatus = exit
		return notify.Message{Event: "x", Title: "a b & ü", Body: "one\ntwo", Priority: p, Ping: ping, Tags: []string{"tag"}, Facts: f}
	}
	device, discord := pager, hook
	device.Device = "phone1,phone2"
	discord.TextField, discord.TokenFile = "content", ""
	auth := [][2]string{{"Authorization", "Bearer token"}}
	post := `{"protocolVersion":"1","event":"x","title":"a b & ü","message":"one\ntwo","priority":"high","host":"forge","job":"paperless","unit":"stateward-backup-paperless.service","outcome":"locked","exitStatus":"4","time":"2026-03-17T12:00:00Z","lastGood":"2026-03-15T09:00:00Z"}`
	for _, tc := range []struct {
		name string
		c    notify.Channel
		m    notify.Message
		want notify.Request
	}{
		{"ntfy", phone, message(notify.Urgent, "fail", "4"), notify.Request{URL: "https://ntfy.sh/", Header: auth, Type: "application/json", Body: `{"topic":"topic","title":"a b & ü","message":"one\ntwo","priority":5,"tags":["tag"]}`}},
		{"pushover", pager, message(notify.Min, "log", ""), notify.Request{URL: "https://api.pushover.net/1/messages.json", Type: "application/x-www-form-urlencoded",
			Body: "token=token&user=user&title=a+b+%26+%C3%BC&message=one%0Atwo&priority=-2"}},
		{"pushover, urgent, on a device", device, message(notify.Urgent, "fail", ""), notify.Request{URL: "https://api.pushover.net/1/messages.json", Type: "application/x-www-form-urlencoded",
			Body: "token=token&user=user&title=a+b+%26+%C3%BC&message=one%0Atwo&priority=2&retry=60&expire=3600&device=phone1%2Cphone2"}},
		{"healthchecks, start", watch, message(notify.Min, "start", ""), notify.Request{URL: all.URL + "/start", Type: "text/plain; charset=utf-8", Body: "a b & ü\none\ntwo"}},
		{"healthchecks, success", watch, message(notify.Low, "success", "0"), notify.Request{URL: all.URL, Type: "text/plain; charset=utf-8", Body: "a b & ü\none\ntwo"}},
		{"healthchecks, exit status", watch, message(notify.High, "fail", "4"), notify.Request{URL: all.URL + "/4", Type: "text/plain; charset=utf-8", Body: "a b & ü\none\ntwo"}},
		{"healthchecks, a failure with status 0", watch, message(notify.High, "fail", "0"), notify.Request{URL: all.URL + "/fail", Type: "text/plain; charset=utf-8", Body: "a b & ü\none\ntwo"}},
		{"healthchecks, killed", watch, message(notify.High, "fail", "KILL"), notify.Request{URL: all.URL + "/fail", Type: "text/plain; charset=utf-8", Body: "a b & ü\none\ntwo"}},
		{"healthchecks, log", watch, message(notify.High, "log", "4"), notify.Request{URL: all.URL + "/log", Type: "text/plain; charset=utf-8", Body: "a b & ü\none\ntwo"}},
		{"webhook", hook, message(notify.High, "fail", "4"), notify.Request{URL: all.URL, Header: auth, Type: "application/json", Body: post}},
		{"webhook for Discord", discord, message(notify.High, "fail", "4"), notify.Request{URL: all.URL, Type: "application/json", Body: `{"content":"a b & ü\none\ntwo"}`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := tc.c.Request(tc.m, all)
			require.NoError(t, err)
			require.Empty(t, cmp.Diff(tc.want, got))
			shown, err := tc.c.Request(tc.m, notify.Hidden())
			require.NoError(t, err)
			text := fmt.Sprint(shown)
			for _, secret := range []string{"token=token", "Bearer token", "user=user", `"topic":"topic"`, "uuid"} {
				require.NotContains(t, text, secret)
			}
		})
	}
}

func TestSecretsThatCannotBeUsed(t *testing.T) {
	m := notify.Message{Event: "x", Title: "t", Body: "b", Priority: notify.High, Ping: notify.PingFail, Facts: facts()}
	for _, tc := range []struct {
		c    notify.Channel
		s    notify.Secrets
		want string
	}{
		{watch, notify.Secrets{}, "urlFile is empty"},
		{watch, notify.Secrets{URL: "https://h/CANARY\nhttps://h/b"}, "urlFile holds more than one line, or a blank"},
		{watch, notify.Secrets{URL: "CANARY"}, "urlFile holds no https://host/"},
		{watch, notify.Secrets{URL: "http://h/CANARY"}, "urlFile holds an address without TLS, so that it and the message can be read on the way"},
		{watch, notify.Secrets{URL: "https://h/a?CANARY"}, "urlFile holds an address with a query, to which no ping can be added"},
		{phone, notify.Secrets{Topic: "https://ntfy.sh/CANARY", Token: "x"}, "topicFile holds no topic"},
		{phone, notify.Secrets{Topic: "a", Token: "CANARY x"}, "tokenFile holds more than one line, or a blank"},
	} {
		_, err := tc.c.Request(m, tc.s)
		require.EqualError(t, err, tc.want)
		var e *notify.SecretError
		require.ErrorAs(t, err, &e)
		require.NotContains(t, e.Hint(), "CANARY")
	}
}

// Whatever is filled in, the limits of the services hold.
func TestLimitsOfTheServices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := facts()
		f.Message = rapid.String().Draw(t, "message")
		p := plan(phone, pager, watch, hook)
		p.Templates = map[string]notify.Template{"x": {Title: strings.Repeat("{message}", rapid.IntRange(1, 9).Draw(t, "n")), Body: strings.Repeat("{message} {{", rapid.IntRange(1, 40).Draw(t, "k"))}}
		m, err := p.Message("x", f)
		require.NoError(t, err)
		require.NotContains(t, m.Title, "\n")
		for _, c := range p.Channels {
			r, err := c.Request(m, all)
			require.NoError(t, err)
			require.True(t, utf8.ValidString(r.Body))
			switch c.Type {
			case notify.Ntfy:
				var v struct{ Message, Title string }
				require.NoError(t, json.Unmarshal([]byte(r.Body), &v))
				require.LessOrEqual(t, len(v.Message), 4096)
			case notify.Healthchecks:
				require.LessOrEqual(t, len(r.Body), 10000)
			case notify.Webhook:
				require.True(t, json.Valid([]byte(r.Body)))
			}
		}
	})
}

// analyzers are the systemd-analyze to try with.
func analyzers() []string {
	if list := os.Getenv("STATEWARD_TEST_SYSTEMD"); list != "" {
		return filepath.SplitList(list)
	}
	return []string{"systemd-analyze"}
}

func TestUnitsAreAccepted(t *testing.T) {
	dir := t.TempDir()
	p := plan(phone, watch)
	units, err := p.Units(notify.UnitOptions{Stateward: "/bin/true", Plan: "/etc/state ward/100%.json"})
	require.NoError(t, err)
	require.Len(t, units, 4)
	var args []string
	for _, u := range units {
		require.NoError(t, os.WriteFile(filepath.Join(dir, u.Name), []byte(u.Text), 0o600))
		instance := filepath.Join(dir, backup.NotifyUnit(u.Template, `a-b@c\x2dd.service`))
		require.NoError(t, os.Symlink(u.Name, instance))
		args = append(args, instance)
	}
	for _, use := range []struct{ name, text string }{{`a-b@c\x2dd.service`, units[3].Use}} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, use.name), []byte("[Unit]\n"+use.text+"\n[Service]\nType=oneshot\nExecStart=/bin/true\n"), 0o600))
		args = append(args, filepath.Join(dir, use.name))
	}
	for _, analyze := range analyzers() {
		cmd := exec.Command(analyze, append([]string{"verify", "--man=no"}, args...)...)
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		for line := range strings.Lines(string(out)) {
			require.NotContains(t, line, "stateward")
			require.NotContains(t, line, "a-b")
		}
	}
	require.Equal(t, []string{"OnFailure=stateward-notify-critical@%n.service", "Wants=stateward-notify-start@%n.service", "OnSuccess=stateward-notify-success@%n.service", "OnFailure=stateward-notify@%n.service"},
		[]string{units[0].Use, units[1].Use, units[2].Use, units[3].Use})
	require.Contains(t, units[3].Text, `ExecStart=/bin/true notify "--plan=/etc/state ward/100%%.json" --event=failure --unit=%i`+"\n")
	_, err = p.Units(notify.UnitOptions{Stateward: "/bin/true", Plan: "notify.json"})
	require.Error(t, err)
	_, err = p.Units(notify.UnitOptions{Stateward: "stateward", Plan: "/notify.json"})
	require.Error(t, err)
}

func TestNotificationsAreNotToldOf(t *testing.T) {
	for unit, want := range map[string]bool{"stateward-notify@a.service.service": true, "stateward-notify-critical@a.service.service": true, "stateward-notifyd@a.service": false,
		"stateward-notify.service": false, "stateward-backup-a.service": false, "": false, "a@stateward-notify@b.service": false} {
		require.Equal(t, want, notify.IsNotification(unit), unit)
	}
}

// What is accepted is written and read back the same, and every template of it can be filled in.
func FuzzPlan(f *testing.F) {
	f.Add([]byte(`{"protocolVersion":"1","channels":[{"name":"a","type":"ntfy","topicFile":"/t","server":"http://[::1]:80/x"}],"templates":{"x":{"title":"{job} {{","body":"{age}\n}}"}}}`))
	f.Add([]byte(`{"protocolVersion":"1","channels":[{"name":"a","type":"webhook","url":"https://h/p","templates":["start"]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := notify.ReadPlan(data)
		if err != nil {
			return
		}
		text, err := p.Write()
		require.NoError(t, err)
		again, err := notify.ReadPlan(text)
		require.NoError(t, err, "%s", text)
		require.Empty(t, cmp.Diff(p.Carried(), again.Carried()))
		for _, name := range p.Carried() {
			m, err := p.Message(name, facts())
			require.NoError(t, err)
			require.NotEmpty(t, m.Body)
			for _, c := range p.For(name) {
				_, err := c.Request(m, notify.Hidden())
				require.NoError(t, err)
			}
		}
		_, err = p.Units(notify.UnitOptions{Stateward: "/bin/x", Plan: "/p"})
		require.NoError(t, err)
	})
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"{job}", "{{job}}", "{", "}", "{{{job}}}", "{jbo}", "{\n}", "a{age}b{size}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		tpl := notify.Template{Title: "t", Body: s}
		p := plan(phone)
		p.Templates = map[string]notify.Template{"x": tpl}
		if p.Validate() != nil {
			_, err := p.Message("x", facts())
			var e *notify.TemplateError
			if err != nil {
				require.ErrorAs(t, err, &e)
			}
			return
		}
		m, err := p.Message("x", facts())
		require.NoError(t, err)
		require.NotEmpty(t, m.Body)
		require.Equal(t, strings.Count(s, "\n") >= strings.Count(m.Body, "\n"), true)
	})
}
