package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// today is the time at which tests run.
var today = time.Date(2026, 3, 17, 12, 0, 0, 0, time.UTC)

// result is what one run of the command gave.
type result struct {
	status         int
	stdout, stderr string
}

func run(t *testing.T, stdin io.Reader, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	if stdin == nil {
		stdin = strings.NewReader("")
	}
	status := Main(context.Background(), args, Env{Stdin: stdin, Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, Now: func() time.Time { return today }})
	return result{status, out.String(), errs.String()}
}

func checkJSON(t *testing.T, cache string, source string, args ...string) CheckOutput {
	t.Helper()
	r := run(t, nil, append([]string{"check", source, "-o", "json", "--cache-dir", cache}, args...)...)
	var out CheckOutput
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &out), "status %d\n%s%s", r.status, r.stdout, r.stderr)
	return out
}
