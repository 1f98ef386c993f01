// Package evaltest evaluates small hosts with a real nix, for the tests of dialects.
package evaltest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// Read evaluates Nix expressions, each of a host as evalModules returns it ({ config; options; }), in one
// run, and returns the tree that the dialect's projection reads of each. It is called
// from a folder two below the probe.
func Read(t testing.TB, d dialect.Dialect, hosts ...string) []*dialect.Tree {
	t.Helper()
	probe, err := os.ReadFile("../../probe.nix")
	require.NoError(t, err)
	var b strings.Builder
	fmt.Fprintf(&b, "let probe = (\n%s\n) { }; projection = (\n%s\n); in map (probe.read { dialect = projection; }) [\n", probe, d.Projection)
	for _, h := range hosts {
		fmt.Fprintf(&b, "(\n%s\n)\n", h)
	}
	b.WriteString("]\n")
	dir := t.TempDir()
	file := filepath.Join(dir, "hosts.nix")
	require.NoError(t, os.WriteFile(file, []byte(b.String()), 0o600))

	v := eval(t, dir, file)
	require.Equal(t, len(hosts), v.Len())
	trees := make([]*dialect.Tree, v.Len())
	for i := range trees {
		_, host := v.Index(i)
		read := host.Get("dialect")
		read.Get("where").EachText(func(string) string { return "" })
		trees[i], err = dialect.NewTree(read)
		require.NoError(t, err)
	}
	return trees
}

func eval(t testing.TB, dir, file string) *dialect.Value {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	r, err := run.Run(ctx, run.Cmd{
		Path: "nix",
		Args: []string{
			"eval", "--extra-experimental-features", "nix-command", "--json", "--offline", "--option", "allow-import-from-derivation", "false",
			"--store", "dummy://", "--read-only", "--file", file,
		},
		Env: []string{"HOME=" + dir, "USER=stateward", "PATH=" + os.Getenv("PATH")},
	})
	require.NoErrorf(t, err, "nix is needed: run `make deps`\n%s", r.Stderr)
	v, err := dialect.Parse(string(r.Stdout), 128)
	require.NoError(t, err)
	return v
}

// Decode decodes what [Read] returns.
func Decode(t testing.TB, d dialect.Dialect, hosts ...string) []stateward.Host {
	t.Helper()
	out := make([]stateward.Host, len(hosts))
	for i, tree := range Read(t, d, hosts...) {
		if on, ok := tree.Detected().Get(); ok && on {
			d.Decode(tree.Root(), &out[i])
		}
		out[i].AddUnknown(tree.Unknowns()...)
	}
	return out
}
