package examples_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	// What is tested here runs in a process of its own. By this its result is not taken from go's cache when the code has changed.
	_ "github.com/stateward/stateward/nixbridge/flaketest"
)

// opened tells go's cache of results that a folder is looked at.
func opened(t *testing.T, dir string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { return err }))
}

// goTool runs go in a folder, with a nix first in PATH, and returns what it printed.
func goTool(t *testing.T, n nix, dir, updating string, args ...string) (string, error) {
	t.Helper()
	// One folder for every call: its name is in PATH, and go's cache of results goes by that.
	bin := filepath.Join(n.home, "bin")
	require.NoError(t, os.MkdirAll(bin, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "nix"), []byte("#!/bin/sh\nexec '"+n.path+"' \"$@\"\n"), 0o755))
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	cmd.Env = []string{"GOFLAGS=", "GOWORK=off", "UPDATE_GOLDEN=" + updating, "XDG_CACHE_HOME=" + n.home}
	// go's own folders are derived from the variable that is changed here.
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		out, err := exec.Command("go", "env", name).Output()
		require.NoError(t, err)
		cmd.Env = append(cmd.Env, name+"="+strings.TrimSpace(string(out)))
	}
	for _, v := range os.Environ() {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "PATH":
			cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH"))
		case "GOFLAGS", "GOWORK", "UPDATE_GOLDEN", "XDG_CACHE_HOME":
		default:
			cmd.Env = append(cmd.Env, v)
		}
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The example module passes, with every nix.
func TestGoldenModule(t *testing.T) {
	opened(t, "golden")
	opened(t, "homelab")
	eachNix(t, func(t *testing.T, n nix) {
		out, err := goTool(t, n, "golden", "", "vet", "./...")
		require.NoError(t, err, "%s\nif go.mod is meant: go mod tidy in examples/golden", out)
		out, err = goTool(t, n, "golden", os.Getenv("UPDATE_GOLDEN"), "test", "-count=1", "./...")
		require.NoError(t, err, "%s", out)
	})
}

// A change of the flake fails the test of a module that lies beside it, though go has a result in its cache.
func TestGoldenModuleSeesChanges(t *testing.T) {
	repo, err := filepath.Abs("..")
	require.NoError(t, err)
	eachNix(t, func(t *testing.T, n nix) {
		dir := t.TempDir()
		require.NoError(t, os.CopyFS(filepath.Join(dir, "homelab"), os.DirFS("homelab")))
		require.NoError(t, os.CopyFS(filepath.Join(dir, "golden"), os.DirFS("golden")))
		mod, err := os.ReadFile("golden/go.mod")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "golden/go.mod"), []byte(strings.Replace(string(mod), "../..", repo, 1)), 0o644))

		module := filepath.Join(dir, "golden")
		var out string
		for range 3 {
			// What was written in the last seconds go does not remember.
			if out, err = goTool(t, n, module, "", "test", "./..."); err != nil || strings.Contains(out, "(cached)") {
				break
			}
			time.Sleep(2 * time.Second)
		}
		require.NoError(t, err, "%s", out)
		require.Contains(t, out, "(cached)", "what is not changed is not evaluated again")
		file := filepath.Join(dir, "homelab/hosts/forge/sonarr.nix")
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		changed := strings.Replace(string(text), "    {\n      directory = cfg.dataDir;\n      inherit (cfg) user group;\n      mode = \"0700\";\n    }\n", "", 1)
		require.NotEqual(t, string(text), changed)
		require.NoError(t, os.WriteFile(file, []byte(changed), 0o644))
		out, err = goTool(t, n, module, "", "test", "./...")
		require.Error(t, err, "%s", out)
		for _, want := range []string{
			"-  directory  /var/lib/sonarr  sonarr:sonarr 0700  for sonarr",
			"+  missing    /var/lib/sonarr  sonarr:sonarr",
			"if that is meant: UPDATE_GOLDEN=1 go test -run '^TestGolden$' .",
			"forge: error SW101",
		} {
			require.Contains(t, out, want)
		}
	})
}
