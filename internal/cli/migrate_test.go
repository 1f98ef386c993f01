package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"mvdan.cc/sh/v3/syntax"

	"github.com/stateward/stateward/internal/golden"
	runner "github.com/stateward/stateward/internal/run"
)

// The hosts whose data is moved where there is no nix are what their source evaluates to.
func TestHostsToMigrateAreFresh(t *testing.T) {
	const dir = "e2e/migrate/testdata"
	root, err := filepath.Abs(repository)
	require.NoError(t, err)
	t.Chdir(root)
	var out, errs bytes.Buffer
	status := Main(context.Background(), []string{"eval", dir + "/hosts.nix", "--no-locations", "--no-cache", "-q"},
		Env{Stdin: bytes.NewReader(nil), Stdout: &out, Stderr: &errs, Getenv: os.Getenv})
	require.Equal(t, StatusOK, status, errs.String())
	// Which nix it was, and where, is left out.
	text := regexp.MustCompile(`("nix":)"[^"]*"`).ReplaceAll(out.Bytes(), []byte(`$1"2.8.0"`))
	text = regexp.MustCompile(`"folder":"[^"]*",?`).ReplaceAll(text, nil)
	golden.Compare(t, dir+"/hosts.json", text)
}

const hostsToMigrate = "e2e/migrate/testdata/hosts.json"

// D6: bash reads the script, whatever the values are, and shellcheck finds nothing in it.
func TestMigrationScriptIsClean(t *testing.T) {
	t.Chdir(repository)
	for _, host := range []string{"kept", "odd"} {
		args := []string{"plan", "migrate", "app", hostsToMigrate, "--host", host, "-q", "-o", "script"}
		if host == "odd" {
			args = append(args, "--no-backup", "it's $(id)")
		}
		r := run(t, nil, args...)
		require.Equal(t, StatusOK, r.status, r.stderr)
		_, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(r.stdout), "script")
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "script")
		require.NoError(t, os.WriteFile(file, []byte(r.stdout), 0o600))
		got, err := runner.Run(context.Background(), runner.Cmd{Path: "shellcheck", Args: []string{"--severity=style", "--", file}, Env: []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}})
		require.NoError(t, err, "%s%s\n(scripts/deps.sh --versions installs it)", got.Stdout, got.Stderr)
	}
}

// bash carries a script out while it reads it. One that was cut off, as by a full disk or a copy that broke, does nothing, and says so.
func TestMigrationScriptThatIsCutOff(t *testing.T) {
	t.Chdir(repository)
	r := run(t, nil, "plan", "migrate", "app", hostsToMigrate, "--host", "kept", "-q", "-o", "script")
	require.Equal(t, StatusOK, r.status, r.stderr)
	lines := strings.SplitAfter(r.stdout, "\n")
	first := 0
	for strings.HasPrefix(lines[first], "#") {
		first++
	}
	last := len(lines) - 2 // the rest is empty
	for n := first + 1; n <= last; n++ {
		if n%40 != 0 && n > first+3 && n < last-8 {
			continue
		}
		file := filepath.Join(t.TempDir(), "script")
		require.NoError(t, os.WriteFile(file, []byte(strings.Join(lines[:n], "")), 0o600))
		_, err := runner.Run(context.Background(), runner.Cmd{Path: "bash", Args: []string{"-n", file}, Env: []string{"PATH=" + os.Getenv("PATH")}})
		require.Error(t, err, "%d of %d lines", n, last+1)
	}
}

func TestMigrationOutputIsOfItsSchema(t *testing.T) {
	t.Chdir(repository)
	for _, args := range [][]string{{"app", "--host", "kept", "--release"}, {"app", "--host", "plain"}, {"nope", "--host", "kept"}} {
		r := run(t, nil, append([]string{"plan", "migrate", args[0], hostsToMigrate, "-q", "-o", "json"}, args[1:]...)...)
		require.NoError(t, resolved(t, "migration").Validate(instance(t, r.stdout)), r.stdout)
	}
}
