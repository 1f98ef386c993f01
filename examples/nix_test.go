// Package examples_test shows that the example flake is what it says, on every nix that the tests are given.
package examples_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A nix is one version of nix with a home and a store of its own, so that nothing outside is read or written.
type nix struct {
	path string
	home string
}

// eachNix runs a test on every nix of STATEWARD_TEST_NIX, or else on the one in PATH.
func eachNix(t *testing.T, test func(t *testing.T, n nix)) {
	t.Helper()
	paths := filepath.SplitList(os.Getenv("STATEWARD_TEST_NIX"))
	if len(paths) == 0 {
		paths = []string{"nix"}
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			found, err := exec.LookPath(path)
			require.NoError(t, err, "this test needs nix; run: make deps")
			test(t, nix{path: found, home: storeDir(t)})
		})
	}
}

// storeDir is a temporary folder that can be removed even though the directories of a store are read-only.
func storeDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Cleanup(func() {
		_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				return os.Chmod(path, 0o755)
			}
			return err
		})
	})
	return dir
}

func (n nix) command(args ...string) *exec.Cmd {
	cmd := exec.Command(n.path, append([]string{
		"eval", "--extra-experimental-features", "nix-command flakes",
		"--offline", "--no-eval-cache", "--store", filepath.Join(n.home, "root"), "--json",
	}, args...)...)
	cmd.Env = []string{"HOME=" + n.home, "USER=nobody", "PATH=" + os.Getenv("PATH"), "NO_COLOR=1"}
	return cmd
}

// eval is the value of an installable or other arguments of nix eval.
func (n nix) eval(t *testing.T, args ...string) any {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := n.command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	require.NoError(t, cmd.Run(), "nix eval %q: %s", args, &stderr)
	var value any
	require.NoError(t, json.Unmarshal(stdout.Bytes(), &value))
	return value
}

// fails is what nix says when an evaluation fails, which it must.
func (n nix) fails(t *testing.T, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	cmd := n.command(args...)
	cmd.Stderr = &stderr
	require.Error(t, cmd.Run(), "nix eval %q succeeded", args)
	return stderr.String()
}

// homelab is the example as a path flake, which sees nothing but its own folder.
func homelab(t *testing.T, attribute string) string {
	t.Helper()
	dir, err := filepath.Abs("homelab")
	require.NoError(t, err)
	return "path:" + dir + "#" + attribute
}

// list is a JSON array of its arguments, as eval returns it.
func list(elements ...string) []any {
	out := make([]any, len(elements))
	for i, element := range elements {
		out[i] = element
	}
	return out
}

// The source tree is copied to a store whose path depends on its content: "/nix/store/…-source/hosts/x.nix" becomes "hosts/x.nix".
func withoutStore(text string) string {
	if _, after, found := strings.Cut(text, "-source/"); found {
		return after
	}
	return text
}
