//go:build unix

// Package notify sends messages to the channels of a plan, and asks systemd how a unit ended.
package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/stateward/stateward/backup/notify"
)

// Options of [Send]. The zero value is what a run of the command has.
type Options struct {
	// Timeout is how long one attempt may take: 20 seconds where it is 0.
	Timeout time.Duration
	// Wait waits between attempts; nil sleeps.
	Wait func(ctx context.Context, d time.Duration) error
	// Roots are the certificate authorities to trust; nil means those of the system.
	Roots *x509.CertPool
	// Proxy is that of a request; nil means that of the environment, such as HTTPS_PROXY.
	Proxy func(*http.Request) (*url.URL, error)
}

// Result is what came of a channel.
type Result struct {
	Channel string             `json:"channel"`
	Type    notify.ChannelType `json:"type"`
	Sent    bool               `json:"sent"`
	// Attempts are how many requests were made.
	Attempts int `json:"attempts"`
	// Status is that of the last answer; 0 where there was none.
	Status int `json:"status,omitempty"`
	// Err is why it was not sent. It holds no secret.
	Err error `json:"-"`
}

// ChannelError says why a channel did not take a message. It holds no secret: what the files of the channel hold is "***".
type ChannelError struct {
	Channel, Reason, hint string
}

func (e *ChannelError) Error() string { return fmt.Sprintf("channel %q: %s", e.Channel, e.Reason) }

// Hint says what to do; it may be empty.
func (e *ChannelError) Hint() string { return e.hint }

const (
	// attempts are how often a message is tried to send.
	attempts = 4
	// firstWait is how long to wait after the first attempt: pushover asks for five seconds at least. It doubles.
	firstWait = 5 * time.Second
	// longestWait is how long is waited at most where a server says how long.
	longestWait = time.Minute
	// maxAnswer is how much of an answer is read, maxSecret how much of a file.
	maxAnswer = 64 << 10
	maxSecret = 64 << 10
)

// Send sends a message to all channels that carry it, at the same time. One that fails keeps no other from being tried. The results are in
// the order of the plan.
func Send(ctx context.Context, p notify.Plan, m notify.Message, o Options) []Result {
	if o.Timeout == 0 {
		o.Timeout = 20 * time.Second
	}
	if o.Wait == nil {
		o.Wait = sleep
	}
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	channels := p.For(m.Event)
	out := make([]Result, len(channels))
	var all sync.WaitGroup
	for i, c := range channels {
		all.Go(func() { out[i] = send(ctx, c, m, o) })
	}
	all.Wait()
	return out
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func send(ctx context.Context, c notify.Channel, m notify.Message, o Options) Result {
	r := Result{Channel: c.Name, Type: c.Type}
	fail := func(reason, hint string) Result {
		r.Err = &ChannelError{c.Name, reason, hint}
		return r
	}
	s, err := secrets(c)
	if err != nil {
		return fail(err.Error(), hintOf(err))
	}
	req, err := c.Request(m, s)
	if err != nil {
		return fail(err.Error(), hintOf(err))
	}
	hide := hider(c, s)
	address, err := url.Parse(req.URL)
	if err != nil {
		return fail("its address cannot be read", "write https://host/, with %XX for what is no letter")
	}
	client := &http.Client{
		Timeout: o.Timeout,
		Transport: &http.Transport{Proxy: o.Proxy, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.Roots}, DisableKeepAlives: true,
			DialContext: (&net.Dialer{Timeout: o.Timeout}).DialContext, TLSHandshakeTimeout: o.Timeout, ForceAttemptHTTP2: true},
		// Where it leads may be without TLS, or another's; and a POST would become a GET.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	wait := firstWait
	for {
		r.Attempts++
		a := attempt(ctx, client, c, req, address, o, hide)
		r.Status = a.status
		if a.reason == "" {
			r.Sent = true
			return r
		}
		if !a.again || r.Attempts == attempts || ctx.Err() != nil {
			if r.Attempts > 1 {
				a.reason += fmt.Sprintf(", the last of %d attempts", r.Attempts)
			}
			return fail(a.reason, a.hint)
		}
		if err := o.Wait(ctx, max(wait, a.wait)); err != nil {
			return fail(a.reason+", and it was interrupted", "")
		}
		wait *= 2
	}
}

// outcome of an attempt: reason is empty where it was sent.
type outcome struct {
	status       int
	reason, hint string
	// again tells that another attempt may do better, not before wait is over.
	again bool
	wait  time.Duration
}

func attempt(ctx context.Context, client *http.Client, c notify.Channel, req notify.Request, address *url.URL, o Options, hide func(string) string) outcome {
	hr, err := http.NewRequestWithContext(ctx, http.MethodPost, req.URL, strings.NewReader(req.Body))
	if err != nil {
		return outcome{reason: "its address cannot be used"}
	}
	hr.Header.Set("Content-Type", req.Type)
	hr.Header.Set("User-Agent", "stateward")
	for _, h := range req.Header {
		hr.Header.Set(h[0], h[1])
	}
	proxy := ""
	if p, err := o.Proxy(hr); err != nil {
		return outcome{reason: "the address of the proxy cannot be read", hint: "look into HTTP_PROXY and HTTPS_PROXY"}
	} else if p != nil {
		proxy = p.Host
	}
	answer, err := client.Do(hr)
	if err != nil {
		if ctx.Err() != nil {
			return outcome{reason: "it was interrupted"}
		}
		a := explain(err, o.Timeout, hide)
		if proxy != "" {
			a.reason = "through the proxy " + proxy + ": " + a.reason
			if a.hint == "" {
				a.hint = "look into HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
			}
		}
		return a
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	a := outcome{status: answer.StatusCode}
	said := c.Refused(answer.StatusCode, string(text))
	switch {
	case answer.StatusCode >= 200 && answer.StatusCode < 300:
		if err != nil {
			// What was sent may have come there: to be told twice is better than not to be told.
			a.reason, a.again = "its answer broke off", true
			return a
		}
		if said != "" {
			a.reason = "it takes the message, and says: " + hide(said)
		}
		return a
	case answer.StatusCode >= 300 && answer.StatusCode < 400:
		a.reason = fmt.Sprintf("it answers with status %d: it lies elsewhere", answer.StatusCode)
		a.hint = "write the address it leads to; none is followed, since token and message would go there too"
		if to, err := url.Parse(answer.Header.Get("Location")); err == nil && to.Scheme == "http" && address.Scheme == "https" {
			a.reason += ", and without TLS"
		}
		return a
	}
	a.reason = fmt.Sprintf("it answers with status %d", answer.StatusCode)
	if name := http.StatusText(answer.StatusCode); name != "" {
		a.reason += " (" + name + ")"
	}
	if said != "" {
		a.reason += ": " + hide(said)
	}
	switch answer.StatusCode {
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		a.again = true
	case http.StatusUnauthorized, http.StatusForbidden:
		a.hint = "look into the file of the token, and what it may do"
	case http.StatusNotFound, http.StatusGone:
		a.hint = "look whether the address is right"
	case http.StatusProxyAuthRequired:
		a.hint = "look into HTTP_PROXY and HTTPS_PROXY"
	}
	if answer.StatusCode >= 500 {
		a.again = true
	}
	if a.again {
		a.wait = retryAfter(answer.Header.Get("Retry-After"))
	}
	return a
}

// retryAfter is how long a server asks to wait, in seconds.
func retryAfter(s string) time.Duration {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil || n < 0 {
		return 0
	}
	if n > int(longestWait/time.Second) {
		return longestWait
	}
	return time.Duration(n) * time.Second
}

// explain says what kept a request from being answered. What Go says has the whole address in it.
func explain(err error, timeout time.Duration, hide func(string) string) outcome {
	const network = "look whether the machine has a network"
	a := outcome{again: true}
	var (
		name      *net.DNSError
		authority x509.UnknownAuthorityError
		host      x509.HostnameError
		invalid   x509.CertificateInvalidError
		verify    *tls.CertificateVerificationError
		record    tls.RecordHeaderError
		timed     interface{ Timeout() bool }
		op        *net.OpError
	)
	switch {
	case errors.As(err, &name) && name.IsNotFound:
		a.reason, a.hint = "the name of its server is not known", "look whether it is spelt right, and whether the machine has a network"
	case errors.As(err, &name):
		a.reason, a.hint = "no name server answers", network
	case errors.As(err, &authority), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verify):
		a.reason, a.again = "the certificate of its server is not trusted", false
		switch {
		case errors.As(err, &host):
			a.reason += ": it is of another name"
		case errors.As(err, &authority):
			a.reason += ": nobody known has signed it"
		case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
			a.reason += ": it has expired, or is not valid yet"
		}
	case errors.As(err, &record), strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"):
		a.reason, a.again = "its server does not speak TLS", false
	case errors.As(err, &timed) && timed.Timeout():
		a.reason, a.hint = fmt.Sprintf("no answer within %s", timeout), network
	case errors.Is(err, syscall.ECONNREFUSED):
		a.reason, a.hint = "nothing listens at its address", "look whether the server runs"
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETDOWN), errors.Is(err, syscall.EADDRNOTAVAIL):
		a.reason, a.hint = "there is no way to its server", network
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		a.reason = "its server cut the connection off"
	case errors.As(err, &op) && op.Err != nil:
		a.reason = "no connection: " + hide(op.Err.Error())
	default:
		var outer *url.Error
		if errors.As(err, &outer) {
			err = outer.Err
		}
		a.reason = "no answer: " + hide(err.Error())
	}
	return a
}

func hintOf(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// secrets reads the files of a channel.
func secrets(c notify.Channel) (notify.Secrets, error) {
	var s notify.Secrets
	for _, f := range []struct {
		field, file string
		into        *string
	}{{"urlFile", c.URLFile, &s.URL}, {"topicFile", c.TopicFile, &s.Topic}, {"tokenFile", c.TokenFile, &s.Token}, {"userFile", c.UserFile, &s.User}} {
		if f.file == "" {
			continue
		}
		text, err := readSmall(f.file)
		if err != nil {
			return notify.Secrets{}, fmt.Errorf("%s: %w", f.field, err)
		}
		*f.into = strings.TrimSpace(text)
	}
	return s, nil
}

func readSmall(name string) (string, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would wait for who writes
	if err != nil {
		return "", short(name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", short(name, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecret {
		return "", fmt.Errorf("%s is no file of a line", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecret))
	return string(text), short(name, err)
}

func short(name string, err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("%s: %w", name, p.Err)
	}
	return err
}

// hider returns what takes the secrets of a channel out of a text, in every spelling in which a server or an error may repeat them.
func hider(c notify.Channel, s notify.Secrets) func(string) string {
	var words []string
	add := func(w string) {
		if len(w) < 4 {
			return
		}
		words = append(words, w, url.QueryEscape(w), url.PathEscape(w))
		if quoted, err := json.Marshal(w); err == nil {
			words = append(words, strings.Trim(string(quoted), `"`))
		}
	}
	add(s.Topic)
	add(s.Token)
	add(s.User)
	if s.URL != "" {
		add(s.URL)
		if u, err := url.Parse(s.URL); err == nil {
			add(u.Host)
			add(u.Hostname())
			add(u.RequestURI())
			for part := range strings.SplitSeq(u.Path, "/") {
				add(part)
			}
			for _, values := range u.Query() {
				for _, v := range values {
					add(v)
				}
			}
			if password, ok := u.User.Password(); ok {
				add(password)
			}
		}
	}
	// The longest first: a part of it may be secret too.
	slices.SortFunc(words, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, w := range words {
		pairs = append(pairs, w, "***")
	}
	return strings.NewReplacer(pairs...).Replace
}
