package nixbridge_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// testDialect reads what testdata/dialect.nix projects and decodes nothing.
func testDialect(t testing.TB) dialect.Dialect {
	t.Helper()
	text, err := os.ReadFile("testdata/dialect.nix")
	require.NoError(t, err)
	return dialect.Dialect{Name: "test", Projection: string(text), Decode: func(*dialect.Node, *stateward.Host) {}}
}

// eachNix runs a test with every nix of STATEWARD_TEST_NIX (programs, separated by colons), or with the one on PATH.
func eachNix(t *testing.T, f func(t *testing.T, e *nixbridge.Evaluator)) {
	t.Helper()
	programs := strings.Split(os.Getenv("STATEWARD_TEST_NIX"), ":")
	for _, p := range programs {
		name := "nix"
		if p != "" {
			name = filepath.Base(p)
		}
		t.Run(name, func(t *testing.T) {
			f(t, &nixbridge.Evaluator{Nix: p, CacheDir: privateDir(t), Timeout: 5 * time.Minute, Dialects: []dialect.Dialect{testDialect(t)}})
		})
	}
}

// privateDir is a temporary folder whose read-only store can be removed again.
func privateDir(t testing.TB) string {
	dir := filepath.Join(t.TempDir(), "private")
	t.Cleanup(func() {
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(path, 0o700)
			}
			return nil
		})
	})
	return dir
}

func source(t testing.TB, arg string) nixbridge.Source {
	t.Helper()
	s, err := nixbridge.ParseSource(arg)
	require.NoError(t, err)
	return s
}

// evaluate evaluates one host that must not fail.
func evaluate(t testing.TB, e *nixbridge.Evaluator, arg string) *nixbridge.HostEvaluation {
	t.Helper()
	ev, err := e.Evaluate(t.Context(), source(t, arg))
	require.NoError(t, err, "nix is needed: run `make deps`")
	require.Len(t, ev.Hosts, 1)
	require.NoError(t, ev.Hosts[0].Err)
	return ev.Hosts[0]
}

// root opens what was read of the options.
func root(t testing.TB, h *nixbridge.HostEvaluation) *dialect.Tree {
	t.Helper()
	tree, err := dialect.NewTree(h.Tree("test"))
	require.NoError(t, err)
	return tree
}
