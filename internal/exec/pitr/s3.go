//go:build unix

package pitr

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// barman-cloud has no command that lists the log, and asking it for one segment after another brings all of them. So a store of S3 is asked
// for the names itself, with the key and the place that barman-cloud is given: one request for a thousand names, signed as
// "Signature Version 4" has it. The store's own date of a segment is when it was archived.

// object is one name in a store.
type object struct {
	Key          string
	LastModified time.Time
}

// bucket is a place in a store of S3.
type bucket struct {
	endpoint, name, prefix, region string
	key                            s3Key
	patience                       time.Duration
}

type s3Key struct{ id, secret, token string }

// ListError says why the names in a store cannot be had.
type ListError struct{ Text, Advice string }

func (e *ListError) Error() string { return e.Text }

// Hint says what to do.
func (e *ListError) Hint() string { return e.Advice }

// newBucket reads the destination of a policy, and the key from the environment or a file of AWS.
func newBucket(destination, server, endpoint, profile string, env func(string) string) (*bucket, error) {
	u, err := url.Parse(destination)
	if err != nil || u.Scheme != "s3" || u.Host == "" {
		return nil, &ListError{fmt.Sprintf("the log in %q cannot be listed: it is no s3://BUCKET/FOLDER", destination), "of other stores only base backups can be seen"}
	}
	b := &bucket{name: u.Host, prefix: strings.Trim(path.Join(strings.Trim(u.Path, "/"), server), "/"), endpoint: strings.TrimSuffix(endpoint, "/")}
	for _, name := range []string{"AWS_REGION", "AWS_DEFAULT_REGION"} {
		if b.region == "" {
			b.region = env(name)
		}
	}
	if b.region == "" {
		b.region = "us-east-1"
	}
	if b.endpoint == "" {
		b.endpoint = "https://s3." + b.region + ".amazonaws.com"
	}
	b.key = s3Key{env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"), env("AWS_SESSION_TOKEN")}
	if b.key.id == "" || profile != "" {
		file := env("AWS_SHARED_CREDENTIALS_FILE")
		if file == "" {
			file = path.Join(env("HOME"), ".aws/credentials")
		}
		if profile == "" {
			if profile = env("AWS_PROFILE"); profile == "" {
				profile = "default"
			}
		}
		if b.key, err = readKey(file, profile); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// readKey reads a section of a file of keys.
func readKey(file, profile string) (s3Key, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return s3Key{}, &ListError{fmt.Sprintf("no key for the store: %v", err), "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment file, or name a file of keys"}
	}
	var k s3Key
	in := false
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			in = strings.Trim(line, "[] ") == profile
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		value = strings.TrimSpace(value)
		switch {
		case !in:
		case strings.TrimSpace(name) == "aws_access_key_id":
			k.id = value
		case strings.TrimSpace(name) == "aws_secret_access_key":
			k.secret = value
		case strings.TrimSpace(name) == "aws_session_token":
			k.token = value
		}
	}
	if k.id == "" || k.secret == "" {
		return k, &ListError{fmt.Sprintf("%s has no key of %q", file, profile), "write aws_access_key_id and aws_secret_access_key below [" + profile + "]"}
	}
	return k, nil
}

// list lists all below the prefix.
func (b *bucket) list(ctx context.Context) ([]object, error) {
	var out []object
	next := ""
	for {
		q := url.Values{"list-type": {"2"}, "prefix": {b.prefix + "/"}}
		if next != "" {
			q.Set("continuation-token", next)
		}
		var page struct {
			Contents              []object
			IsTruncated           bool
			NextContinuationToken string
		}
		if err := b.get(ctx, q, &page); err != nil {
			return nil, err
		}
		out = append(out, page.Contents...)
		if !page.IsTruncated || page.NextContinuationToken == "" {
			return out, nil
		}
		next = page.NextContinuationToken
	}
}

// silent is a *[SilentError] where the store gives no answer in time; one that refuses answers.
func (b *bucket) silent(ctx context.Context) error {
	err := b.get(ctx, url.Values{"list-type": {"2"}, "prefix": {b.prefix + "/"}, "max-keys": {"1"}}, &struct{}{})
	var silent *SilentError
	if errors.As(err, &silent) {
		return silent
	}
	return nil
}

func (b *bucket) get(ctx context.Context, q url.Values, page any) error {
	patience := cmp.Or(b.patience, DefaultPatience)
	ctx, cancel := context.WithTimeoutCause(ctx, patience, &SilentError{"the store at " + b.endpoint, patience})
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.endpoint+"/"+b.name+"?"+encode(q), nil)
	if err != nil {
		return &ListError{fmt.Sprintf("the endpoint %q is no address", b.endpoint), ""}
	}
	sign(r, b.key, b.region, "s3", time.Now())
	resp, err := http.DefaultClient.Do(r)
	if silent := (*SilentError)(nil); err != nil && errors.As(context.Cause(ctx), &silent) {
		return silent
	}
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err
		}
		return &ListError{fmt.Sprintf("the store at %s cannot be reached: %v", b.endpoint, err), ""}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if silent := (*SilentError)(nil); err != nil && errors.As(context.Cause(ctx), &silent) {
		return silent
	}
	if err != nil {
		return &ListError{fmt.Sprintf("the store at %s was cut off: %v", b.endpoint, err), ""}
	}
	if resp.StatusCode != http.StatusOK {
		var said struct{ Code, Message string }
		_ = xml.Unmarshal(text, &said)
		return &ListError{strings.TrimSpace(fmt.Sprintf("the store at %s does not list bucket %q: status %d %s", b.endpoint, b.name, resp.StatusCode, said.Code)), "look at the key, the bucket, and AWS_REGION"}
	}
	if err := xml.Unmarshal(text, page); err != nil {
		return &ListError{fmt.Sprintf("the store at %s answers with what is no list: %v", b.endpoint, err), ""}
	}
	return nil
}

// encode is a query as it is signed: sorted, with %20 for a blank.
func encode(q url.Values) string { return strings.ReplaceAll(q.Encode(), "+", "%20") }

// sign signs a request without a body, as "AWS Signature Version 4" has it.
func sign(r *http.Request, k s3Key, region, service string, now time.Time) {
	empty := sha256.Sum256(nil)
	stamp := now.UTC().Format("20060102T150405Z")
	r.Header.Set("X-Amz-Date", stamp)
	if service == "s3" {
		r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(empty[:]))
	}
	if k.token != "" {
		r.Header.Set("X-Amz-Security-Token", k.token)
	}
	headers := map[string]string{"host": r.URL.Host}
	for name := range r.Header {
		headers[strings.ToLower(name)] = strings.TrimSpace(r.Header.Get(name))
	}
	var names []string
	for name := range headers {
		names = append(names, name)
	}
	slices.Sort(names)
	at := r.URL.EscapedPath()
	if at == "" {
		at = "/"
	}
	text := r.Method + "\n" + at + "\n" + encode(r.URL.Query()) + "\n"
	for _, name := range names {
		text += name + ":" + headers[name] + "\n"
	}
	signed := strings.Join(names, ";")
	text += "\n" + signed + "\n" + hex.EncodeToString(empty[:])
	sum := sha256.Sum256([]byte(text))
	scope := stamp[:8] + "/" + region + "/" + service + "/aws4_request"
	key := []byte("AWS4" + k.secret)
	for _, part := range []string{stamp[:8], region, service, "aws4_request"} {
		key = mac(key, part)
	}
	signature := mac(key, "AWS4-HMAC-SHA256\n"+stamp+"\n"+scope+"\n"+hex.EncodeToString(sum[:]))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+k.id+"/"+scope+", SignedHeaders="+signed+", Signature="+hex.EncodeToString(signature))
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
