package nix_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/nixtest"
	"github.com/stateward/stateward/internal/run"
)

// A nix is one version of nix with a home and a store of its own, so that nothing outside is read or written.
type nix struct {
	nixtest.Nix
	home string
}

// eachNix runs a test on every nix that tests are given.
func eachNix(t *testing.T, test func(t *testing.T, n nix)) {
	t.Helper()
	for _, n := range nixtest.All(t) {
		t.Run(n.Name, func(t *testing.T) { test(t, nix{n, tempDir(t)}) })
	}
}

// tempDir is a temporary folder that can be removed even though the directories of a store are read-only.
func tempDir(t *testing.T) string {
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

func (n nix) store() string { return filepath.Join(n.home, "root") }

// run runs nix offline and returns what it prints and what it says.
func (n nix) run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	// What Debian's nix would take for the hook and for the shell of builds is not where it was unpacked to. Our builds need neither.
	hook := filepath.Join(n.home, "hook")
	require.NoError(t, os.WriteFile(hook, []byte("#!/bin/sh\necho '# decline-permanently' >&2\nexec cat >/dev/null\n"), 0o755))
	args = append([]string{
		args[0], "--extra-experimental-features", "nix-command flakes", "--offline", "--store", n.store(),
		"--option", "build-users-group", "", "--option", "build-hook", hook, "--option", "sandbox-paths", "", "--option", "sandbox", "true",
	}, args[1:]...)
	r, err := run.Run(ctx, run.Cmd{
		Path: n.Path(), Args: args,
		Env: []string{"HOME=" + n.home, "USER=nobody", "PATH=" + os.Getenv("PATH"), "NO_COLOR=1"},
	})
	return string(r.Stdout), string(r.Stderr), err
}

// eval is the value of the arguments of nix eval.
func eval[T any](t *testing.T, n nix, args ...string) (v T) {
	t.Helper()
	out, said, err := n.run(t, append([]string{"eval", "--no-eval-cache", "--json"}, args...)...)
	require.NoError(t, err, "nix eval %q: %s", args, said)
	require.NoError(t, json.Unmarshal([]byte(out), &v))
	return v
}

// ours is a copy of our flake without what nix does not need, which is not copied to the store each time then.
func ours(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, top := range []string{"flake.nix", "flake.lock", "nix", "nixbridge"} {
		copyTree(t, filepath.Join("..", top), filepath.Join(dir, top), func(name string) bool {
			return strings.HasSuffix(name, ".nix") || strings.HasSuffix(name, ".json") || strings.HasSuffix(name, ".lock")
		})
	}
	return dir
}

func copyTree(t *testing.T, from, to string, keep func(string) bool) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || keep != nil && !keep(path) {
			return err
		}
		rel, err := filepath.Rel(from, path)
		require.NoError(t, err)
		data, err := os.ReadFile(path)
		require.NoError(t, err)
		target := filepath.Join(to, rel)
		require.NoError(t, os.MkdirAll(filepath.Dir(target), 0o755))
		return os.WriteFile(target, data, 0o644)
	}))
}

// folder writes files to a folder of their own.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	return dir
}

func homelab(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	copyTree(t, "../examples/homelab", dir, nil)
	return dir
}
