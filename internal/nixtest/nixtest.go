// Package nixtest lets tests ask a real nix what an expression means. It is for
// tests only.
package nixtest

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/run"
)

// timeout ends an evaluation that would never end.
const timeout = 5 * time.Minute

// Nix is one version of nix. It evaluates without network, daemon, store or
// anything written outside of the test's own folder.
type Nix struct {
	// Name tells the versions apart in the names of tests.
	Name string
	path string
}

// Path is the program.
func (n Nix) Path() string { return n.path }

// All returns the versions to test with: the programs of STATEWARD_TEST_NIX,
// separated by colons, or else the one in PATH.
func All(tb testing.TB) []Nix {
	tb.Helper()
	var all []Nix
	paths := filepath.SplitList(os.Getenv("STATEWARD_TEST_NIX"))
	if len(paths) == 0 {
		paths = []string{"nix"}
	}
	for _, p := range paths {
		found, err := run.LookPath(p, os.Environ())
		require.NoError(tb, err, "this test needs nix; run: make deps")
		all = append(all, Nix{Name: filepath.Base(filepath.Dir(found)) + "-" + filepath.Base(found), path: found})
	}
	return all
}

// JSON returns what an expression evaluates to.
func (n Nix) JSON(tb testing.TB, expr string, value any) {
	tb.Helper()
	out, err := n.Try(tb, expr)
	require.NoError(tb, err, "%s", out)
	require.NoError(tb, json.Unmarshal(out, value))
}

// Try evaluates an expression and returns its JSON, or beside an error what nix said.
func (n Nix) Try(tb testing.TB, expr string) ([]byte, error) {
	tb.Helper()
	home := tb.TempDir()
	file := filepath.Join(home, "expr.nix")
	require.NoError(tb, os.WriteFile(file, []byte(expr), 0o600))
	ctx, cancel := context.WithTimeout(tb.Context(), timeout)
	defer cancel()
	r, err := run.Run(ctx, run.Cmd{
		Path: n.path,
		Args: []string{
			"eval", "--extra-experimental-features", "nix-command", "--json", "--offline", "--no-eval-cache",
			"--store", "dummy://", "--read-only", "--file", file,
		},
		Env: []string{"HOME=" + home, "USER=nobody", "PATH=" + os.Getenv("PATH"), "NO_COLOR=1"},
	})
	if err != nil {
		return r.Stderr, err
	}
	return r.Stdout, nil
}

// Run runs nix with arguments of its own and returns what it printed, or beside an error what it said.
func (n Nix) Run(tb testing.TB, args ...string) ([]byte, error) {
	tb.Helper()
	home := tb.TempDir()
	ctx, cancel := context.WithTimeout(tb.Context(), timeout)
	defer cancel()
	r, err := run.Run(ctx, run.Cmd{
		Path: n.path,
		Args: append([]string{"--extra-experimental-features", "nix-command"}, args...),
		Env:  []string{"HOME=" + home, "USER=nobody", "PATH=" + os.Getenv("PATH"), "NO_COLOR=1"},
	})
	if err != nil {
		return r.Stderr, err
	}
	return r.Stdout, nil
}

// Decode reads the JSON of an evaluation.
func Decode[T any](tb testing.TB, out []byte) T {
	tb.Helper()
	var v T
	require.NoError(tb, json.Unmarshal(out, &v))
	return v
}
