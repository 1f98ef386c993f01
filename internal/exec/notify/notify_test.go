//go:build unix

package notify_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/require"

	plans "github.com/stateward/stateward/backup/notify"
	"github.com/stateward/stateward/internal/exec/notify"
)

// Each secret has it in it, and it must never be anywhere but in what the service is sent.
const canary = "canary-51c0de"

// service is a server that takes what one of the services takes, and answers as it does.
type service struct {
	*httptest.Server
	mu sync.Mutex
	// got are the requests: path and body.
	got []string
	// faults are what the first requests are answered with; 0 hangs, -1 cuts off, others are a status.
	faults []int
	header http.Header
}

func (s *service) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got
}

func serve(t *testing.T, answer func(r *http.Request, body string) (int, string)) *service {
	s := &service{header: http.Header{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		fault, failing := 0, len(s.faults) > 0
		if failing {
			fault, s.faults = s.faults[0], s.faults[1:]
		}
		s.got = append(s.got, r.URL.RequestURI()+" "+string(body))
		s.mu.Unlock()
		status, text := answer(r, string(body))
		if failing {
			status, text = fault, `{"error":"you sent `+canary+`-topic","errors":["`+canary+`-token is wrong"],"status":0}`
		}
		switch status {
		case 0:
			<-r.Context().Done()
			return
		case -1:
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				conn.Close()
			}
			return
		}
		for name, values := range s.header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(s.Close)
	return s
}

// ntfyServer mirrors the publishing of JSON of https://docs.ntfy.sh/publish/#publish-as-json.
func ntfyServer(t *testing.T) *service {
	return serve(t, func(r *http.Request, body string) (int, string) {
		var m struct {
			Topic, Title, Message string
			Priority              int
			Tags                  []string
		}
		switch err := json.Unmarshal([]byte(body), &m); {
		case r.Method != http.MethodPost || r.URL.Path != "/":
			return 404, `{"code":40401,"http":404,"error":"page not found"}`
		case r.Header.Get("Authorization") != "Bearer "+canary+"-token":
			return 401, `{"code":40101,"http":401,"error":"unauthorized"}`
		case err != nil || m.Topic == "":
			return 400, `{"code":40024,"http":400,"error":"invalid request: body must be message JSON"}`
		case m.Priority < 1 || m.Priority > 5:
			return 400, `{"code":40007,"http":400,"error":"invalid priority parameter"}`
		}
		return 200, fmt.Sprintf(`{"id":"x1","time":1,"event":"message","topic":%q}`, m.Topic)
	})
}

// pushoverServer mirrors https://pushover.net/api.
func pushoverServer(t *testing.T) *service {
	return serve(t, func(r *http.Request, body string) (int, string) {
		form, err := url.ParseQuery(body)
		switch {
		case r.Method != http.MethodPost || r.URL.Path != "/1/messages.json" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" || err != nil:
			return 404, "not found"
		case form.Get("token") != canary+"-token":
			return 400, `{"token":"invalid","errors":["application token is invalid"],"status":0,"request":"r"}`
		case form.Get("user") != canary+"-user":
			return 400, `{"user":"invalid","errors":["user identifier is not a valid user, group, or subscribed user key"],"status":0,"request":"r"}`
		case form.Get("message") == "":
			return 400, `{"message":"cannot be blank","errors":["message cannot be blank"],"status":0,"request":"r"}`
		case form.Get("priority") == "2" && (form.Get("retry") == "" || form.Get("expire") == ""):
			return 400, `{"errors":["retry must be supplied with priority=2"],"status":0,"request":"r"}`
		}
		return 200, `{"status":1,"request":"r"}`
	})
}

// pingServer mirrors https://healthchecks.io/docs/http_api/.
func pingServer(t *testing.T) *service {
	return serve(t, func(r *http.Request, _ string) (int, string) {
		if !strings.HasPrefix(r.URL.Path, "/ping/"+canary+"-uuid") {
			return 200, "OK (not found)"
		}
		switch strings.TrimPrefix(r.URL.Path, "/ping/"+canary+"-uuid") {
		case "", "/start", "/fail", "/log", "/4":
			return 200, "OK"
		}
		return 400, "invalid url format"
	})
}

func hookServer(t *testing.T) *service {
	return serve(t, func(r *http.Request, body string) (int, string) {
		if r.Header.Get("Authorization") != "Bearer "+canary+"-token" || r.Header.Get("Content-Type") != "application/json" || !json.Valid([]byte(body)) {
			return 403, "no"
		}
		return 204, ""
	})
}

type bench struct {
	t   *testing.T
	dir string
	o   notify.Options
	// waited are the times between attempts.
	waited []time.Duration
	mu     sync.Mutex
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, dir: t.TempDir()}
	for _, name := range []string{"token", "user", "topic"} {
		b.file(name, canary+"-"+name+"\n")
	}
	b.o = notify.Options{Timeout: 2 * time.Second, Wait: func(_ context.Context, d time.Duration) error {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.waited = append(b.waited, d)
		return nil
	}, Proxy: func(*http.Request) (*url.URL, error) { return nil, nil }}
	return b
}

func (b *bench) file(name, text string) string {
	b.t.Helper()
	name = filepath.Join(b.dir, name)
	require.NoError(b.t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

func (b *bench) ntfy(server string) plans.Channel {
	return plans.Channel{Name: "phone", Type: plans.Ntfy, Server: server, TopicFile: b.dir + "/topic", TokenFile: b.dir + "/token"}
}

func (b *bench) pushover(server string) plans.Channel {
	return plans.Channel{Name: "pager", Type: plans.Pushover, Server: server, TokenFile: b.dir + "/token", UserFile: b.dir + "/user"}
}

func (b *bench) ping(server string) plans.Channel {
	return plans.Channel{Name: "watch", Type: plans.Healthchecks, URLFile: b.file("ping", server+"/ping/"+canary+"-uuid\n")}
}

func (b *bench) hook(server string) plans.Channel {
	return plans.Channel{Name: "hook", Type: plans.Webhook, URLFile: b.file("hook", server+"/"+canary+"-path?key="+canary+"-key"), TokenFile: b.dir + "/token"}
}

// send sends, and looks whether a secret got out.
func (b *bench) send(event string, channels ...plans.Channel) []notify.Result {
	b.t.Helper()
	p := plans.Plan{ProtocolVersion: "1", Channels: channels}
	require.NoError(b.t, p.Validate())
	now := time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)
	m, err := p.Message(event, plans.Facts{Job: "apps", Host: "forge", Outcome: "locked", Message: "why: ü", ExitStatus: "4", Now: now})
	require.NoError(b.t, err)
	out := notify.Send(b.t.Context(), p, m, b.o)
	for _, r := range out {
		text, err := json.Marshal(r)
		require.NoError(b.t, err)
		var hint string
		if h, ok := r.Err.(interface{ Hint() string }); ok {
			hint = h.Hint()
		}
		for _, s := range []string{string(text), fmt.Sprint(r.Err), fmt.Sprintf("%+v", r.Err), hint} {
			require.NotContains(b.t, s, canary)
		}
		require.Equal(b.t, r.Sent, r.Err == nil)
	}
	return out
}

func TestE12EveryChannelIsTold(t *testing.T) {
	b := newBench(t)
	ntfy, pushover, ping, hook := ntfyServer(t), pushoverServer(t), pingServer(t), hookServer(t)
	for _, event := range []string{"success", "failure", "critical"} {
		for _, r := range b.send(event, b.ntfy(ntfy.URL), b.pushover(pushover.URL), b.ping(ping.URL), b.hook(hook.URL)) {
			require.NoError(t, r.Err, "%s %s", event, r.Channel)
			require.Equal(t, 1, r.Attempts)
		}
	}
	require.Len(t, b.send("start", b.ntfy(ntfy.URL), b.ping(ping.URL)), 1)
	require.Empty(t, cmp.Diff([]string{"/ping/" + canary + "-uuid", "/ping/" + canary + "-uuid/4", "/ping/" + canary + "-uuid/4", "/ping/" + canary + "-uuid/start"}, paths(ping.requests())))
	require.Contains(t, ntfy.requests()[1], `"title":"apps on forge: locked","message":"why: ü\nexit status 4","priority":4`)
	require.Contains(t, pushover.requests()[2], "priority=2&retry=60&expire=3600")
	require.Contains(t, hook.requests()[1], "/"+canary+"-path?key="+canary+"-key {")
	require.Empty(t, b.waited)
}

func paths(requests []string) (out []string) {
	for _, r := range requests {
		p, _, _ := strings.Cut(r, " ")
		out = append(out, p)
	}
	return out
}

// One channel that fails keeps no other from being told.
func TestE12OneThatFailsKeepsNoOther(t *testing.T) {
	b := newBench(t)
	ping := pingServer(t)
	gone := hookServer(t)
	gone.Close()
	missing := b.ntfy("https://127.0.0.1:1")
	missing.TopicFile = b.dir + "/none"
	got := b.send("failure", b.hook(gone.URL), missing, b.ping(ping.URL))
	require.EqualError(t, got[0].Err, `channel "hook": nothing listens at its address, the last of 4 attempts`)
	require.EqualError(t, got[1].Err, `channel "phone": topicFile: `+b.dir+`/none: no such file or directory`)
	require.Zero(t, got[1].Attempts)
	require.NoError(t, got[2].Err)
	require.Equal(t, []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second}, b.waited)
}

func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		name     string
		faults   []int
		header   http.Header
		attempts int
		waited   []time.Duration
		err      string
	}{
		{name: "500, then well", faults: []int{500}, attempts: 2, waited: []time.Duration{5 * time.Second}},
		{name: "cut off, then well", faults: []int{-1, -1}, attempts: 3, waited: []time.Duration{5 * time.Second, 10 * time.Second}},
		{name: "429 that asks to wait", faults: []int{429, 429}, header: http.Header{"Retry-After": {"17"}}, attempts: 3, waited: []time.Duration{17 * time.Second, 17 * time.Second}},
		{name: "429 that asks for an hour", faults: []int{429}, header: http.Header{"Retry-After": {"3600"}}, attempts: 2, waited: []time.Duration{time.Minute}},
		{name: "503 for ever", faults: []int{503, 503, 503, 503, 503}, attempts: 4, waited: []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second},
			err: `channel "phone": it answers with status 503 (Service Unavailable): you sent ***, the last of 4 attempts`},
		{name: "hangs, then well", faults: []int{0}, attempts: 2, waited: []time.Duration{5 * time.Second}},
		{name: "401 is final", faults: []int{401}, attempts: 1, err: `channel "phone": it answers with status 401 (Unauthorized): you sent ***`},
		{name: "400 is final", faults: []int{400}, attempts: 1, err: `channel "phone": it answers with status 400 (Bad Request): you sent ***`},
		{name: "a redirect", faults: []int{307}, header: http.Header{"Location": {"http://elsewhere.example/" + canary}}, attempts: 1,
			err: `channel "phone": it answers with status 307: it lies elsewhere`},
		{name: "a status that there is not", faults: []int{299}, attempts: 1, err: `channel "phone": it takes the message, and says: you sent ***`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.o.Timeout = 300 * time.Millisecond
			s := ntfyServer(t)
			s.faults, s.header = tc.faults, tc.header
			r := b.send("failure", b.ntfy(s.URL))[0]
			if tc.err == "" {
				require.NoError(t, r.Err)
			} else {
				require.EqualError(t, r.Err, tc.err)
			}
			require.Equal(t, tc.attempts, r.Attempts)
			require.Empty(t, cmp.Diff(tc.waited, b.waited))
			require.Len(t, s.requests(), tc.attempts)
		})
	}
}

func TestWhatServicesSay(t *testing.T) {
	b := newBench(t)
	s := ntfyServer(t)
	b.file("token", canary+"-wrong")
	require.EqualError(t, b.send("failure", b.ntfy(s.URL))[0].Err, `channel "phone": it answers with status 401 (Unauthorized): unauthorized`)
	p := pushoverServer(t)
	require.EqualError(t, b.send("failure", b.pushover(p.URL))[0].Err, `channel "pager": it answers with status 400 (Bad Request): application token is invalid`)
	h := pingServer(t)
	c := b.ping(h.URL)
	b.file("ping", h.URL+"/ping/"+canary+"-gone")
	r := b.send("failure", c)[0]
	require.EqualError(t, r.Err, `channel "watch": it takes the message, and says: not found`, "with status 200")
	require.Equal(t, 200, r.Status)
	portal := serve(t, func(*http.Request, string) (int, string) { return 200, "<html>log in to the network" })
	require.EqualError(t, b.send("failure", b.ntfy(portal.URL))[0].Err, `channel "phone": it takes the message, and says: the answer is none of ntfy's`)
	require.EqualError(t, b.send("failure", b.pushover(portal.URL))[0].Err, `channel "pager": it takes the message, and says: the answer is none of pushover's`)
}

// A redirect to an address without TLS is not followed, nor is any other.
func TestRedirectToPlainHTTP(t *testing.T) {
	b := newBench(t)
	plain := hookServer(t)
	s := httptest.NewTLSServer(http.RedirectHandler(plain.URL+"/"+canary, http.StatusMovedPermanently))
	t.Cleanup(s.Close)
	b.o.Roots = x509.NewCertPool()
	b.o.Roots.AddCert(s.Certificate())
	r := b.send("failure", b.hook(s.URL))[0]
	require.EqualError(t, r.Err, `channel "hook": it answers with status 301: it lies elsewhere, and without TLS`)
	require.Empty(t, plain.requests())
}

func TestConnectionsThatFail(t *testing.T) {
	b := newBench(t)
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(untrusted.Close)
	untrusted.Config.ErrorLog = nil
	plain := hookServer(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := l.Addr().String()
	l.Close()
	for _, tc := range []struct {
		name, address string
		proxy         string
		err           string
		attempts      int
	}{
		{"a certificate that nobody signed", untrusted.URL, "", "the certificate of its server is not trusted: nobody known has signed it", 1},
		{"no TLS", strings.Replace(plain.URL, "http://", "https://", 1), "", "its server does not speak TLS", 1},
		{"a proxy that is not there", "https://hooks.example", "http://me:" + canary + "@" + closed, "through the proxy " + closed + ": nothing listens at its address, the last of 4 attempts", 4},
		{"a proxy that refuses", "https://hooks.example", plain.URL, "through the proxy " + strings.TrimPrefix(plain.URL, "http://") + ": no answer: Forbidden, the last of 4 attempts", 4},
		{"a name that there is not", "https://nobody.invalid", "", "", 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b.o.Proxy = func(*http.Request) (*url.URL, error) {
				if tc.proxy == "" {
					return nil, nil
				}
				return url.Parse(tc.proxy)
			}
			r := b.send("failure", b.hook(tc.address))[0]
			if tc.err != "" {
				require.EqualError(t, r.Err, `channel "hook": `+tc.err)
			} else {
				// It depends on whether there is a name server.
				require.Regexp(t, `the name of its server is not known|no name server answers`, r.Err.Error())
				require.NotContains(t, r.Err.Error(), "nobody.invalid", "the file may hold it as a secret")
			}
			require.Equal(t, tc.attempts, r.Attempts)
		})
	}
}

func TestInterruptedWhileItWaits(t *testing.T) {
	b := newBench(t)
	s := ntfyServer(t)
	s.faults = []int{500, 500, 500, 500}
	ctx, cancel := context.WithCancel(t.Context())
	b.o.Wait = func(ctx context.Context, _ time.Duration) error { cancel(); return ctx.Err() }
	p := plans.Plan{ProtocolVersion: "1", Channels: []plans.Channel{b.ntfy(s.URL)}}
	m, err := p.Message("failure", plans.Facts{Now: time.Now()})
	require.NoError(t, err)
	r := notify.Send(ctx, p, m, b.o)[0]
	require.ErrorContains(t, r.Err, "it answers with status 500 (Internal Server Error): you sent ***, and it was interrupted")
}

func TestFilesThatHoldNoSecret(t *testing.T) {
	b := newBench(t)
	s := ntfyServer(t)
	for _, tc := range []struct{ text, err string }{
		{"", "tokenFile is empty"},
		{canary + "\n" + canary, "tokenFile holds more than one line, or a blank"},
		{strings.Repeat("x", 70000), b.dir + "/token is no file of a line"},
	} {
		b.file("token", tc.text)
		require.ErrorContains(t, b.send("failure", b.ntfy(s.URL))[0].Err, tc.err)
	}
	require.NoError(t, os.Remove(b.dir+"/token"))
	require.NoError(t, os.Mkdir(b.dir+"/token", 0o700))
	require.ErrorContains(t, b.send("failure", b.ntfy(s.URL))[0].Err, "token is no file of a line")
	require.Empty(t, s.requests())
}

// systemctl stands for systemd's, which answers as it does.
func systemctl(t *testing.T, script string) func(string) string {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "systemctl"), []byte("#!/bin/sh\n"+script), 0o755))
	return func(name string) string { return map[string]string{"PATH": dir}[name] }
}

func TestUnitState(t *testing.T) {
	const loaded = "cat <<'E'\nLoadState=loaded\nResult=%s\nExecMainCode=%d\nExecMainStatus=%d\nExecMainStartTimestamp=@1773748800\nExecMainExitTimestamp=@1773748890\nE\n"
	at := func(n int64) time.Time { return time.Unix(1773748800+n, 0) }
	for _, tc := range []struct {
		name, script string
		monitor      map[string]string
		want         notify.State
		err          string
	}{
		{"an exit status", fmt.Sprintf(loaded, "exit-code", 1, 4), nil, notify.State{Result: "exit-code", ExitStatus: "4", Started: at(0), Ended: at(90)}, ""},
		{"a signal", fmt.Sprintf(loaded, "oom-kill", 2, 9), nil, notify.State{Result: "oom-kill", ExitStatus: "KILL", Started: at(0), Ended: at(90)}, ""},
		{"success", fmt.Sprintf(loaded, "success", 1, 0), nil, notify.State{Result: "success", ExitStatus: "0", Started: at(0), Ended: at(90)}, ""},
		{"a run before this one", fmt.Sprintf(loaded, "success", 1, 0), map[string]string{"MONITOR_UNIT": "a.service", "MONITOR_SERVICE_RESULT": "signal", "MONITOR_EXIT_CODE": "killed", "MONITOR_EXIT_STATUS": "TERM"},
			notify.State{Result: "signal", ExitStatus: "TERM", Started: at(0), Ended: at(90)}, ""},
		{"a run before this one, by its ID", fmt.Sprintf(loaded, "success", 1, 0) + "echo InvocationID=b", map[string]string{"MONITOR_UNIT": "a.service", "MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_STATUS": "4", "MONITOR_INVOCATION_ID": "a"},
			notify.State{Result: "exit-code", ExitStatus: "4"}, ""},
		{"this run, by its ID", fmt.Sprintf(loaded, "exit-code", 1, 4) + "echo InvocationID=a", map[string]string{"MONITOR_UNIT": "a.service", "MONITOR_SERVICE_RESULT": "exit-code", "MONITOR_EXIT_STATUS": "4", "MONITOR_INVOCATION_ID": "a"},
			notify.State{Result: "exit-code", ExitStatus: "4", Started: at(0), Ended: at(90)}, ""},
		{"another unit's", fmt.Sprintf(loaded, "success", 1, 0), map[string]string{"MONITOR_UNIT": "b.service", "MONITOR_SERVICE_RESULT": "signal"},
			notify.State{Result: "success", ExitStatus: "0", Started: at(0), Ended: at(90)}, ""},
		{"no such unit", "echo LoadState=not-found; echo Result=success", nil, notify.State{}, "unit a.service: systemd does not know it"},
		{"no systemd", "echo 'System has not been booted with systemd' >&2; exit 1", nil, notify.State{}, "unit a.service: systemd does not tell how it ended: systemctl exited with status 1"},
		{"no systemd, but it told", "exit 1", map[string]string{"MONITOR_UNIT": "a.service", "MONITOR_SERVICE_RESULT": "timeout"}, notify.State{Result: "timeout"}, ""},
		{"a unit without a process", "echo LoadState=loaded; echo Result=success; echo ExecMainStartTimestamp=; echo ExecMainStatus=0", nil, notify.State{Result: "success"}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			getenv := systemctl(t, tc.script)
			got, err := notify.UnitState(t.Context(), "a.service", func(name string) string {
				if v, ok := tc.monitor[name]; ok {
					return v
				}
				return getenv(name)
			})
			if tc.err == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, tc.err)
			}
			require.Empty(t, cmp.Diff(tc.want, got, cmpopts.IgnoreUnexported(notify.State{})))
		})
	}
}
