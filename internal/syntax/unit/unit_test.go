package unit_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/internal/syntax/unit"
)

func TestWrite(t *testing.T) {
	got, err := unit.Write(unit.Option{"Unit", "Description", "100 % ours; #1"}, unit.Option{"Unit", "After", "a.service"}, unit.Option{"Service", "Type", "oneshot"})
	require.NoError(t, err)
	require.Empty(t, cmp.Diff("[Unit]\nDescription=100 % ours; #1\nAfter=a.service\n\n[Service]\nType=oneshot\n", got))
}

func TestWriteRefusesWhatSystemdReadsOtherwise(t *testing.T) {
	for _, value := range []string{"a\nExecStart=/bin/false", "a\rb", "a\x00", "a\u0085b", "a\\", " a", "a\t", "\xff"} {
		_, err := unit.Write(unit.Option{"Unit", "Description", value})
		require.Error(t, err, "%q", value)
	}
}

func TestExec(t *testing.T) {
	got, err := unit.Exec("/bin/x y", "a", "", `"\`, "100%", "$HOME ${x}", "a b", ";", "a\nb", "größe", "-n")
	require.NoError(t, err)
	require.Equal(t, `"/bin/x y" a "" "\"\\" "100%%" "$$HOME $${x}" "a b" ";" "a\x0ab" "größe" -n`, got)

	for _, words := range [][]string{{}, {""}, {"-/bin/x"}, {"x"}, {"/bin/$x"}, {"/bin/%n"}} {
		_, err := unit.Exec(words...)
		require.Error(t, err, "%q", words)
	}
}

func TestWords(t *testing.T) {
	require.Equal(t, `/a "/b c" "/100%%" "/$x"`, unit.Words("/a", "/b c", "/100%", "/$x"))
}

func TestVerifyTakesIt(t *testing.T) {
	exec, err := unit.Exec("/bin/echo", "a b", "100%", "$HOME", ";", `"\`)
	require.NoError(t, err)
	text, err := unit.Write(unit.Option{"Unit", "Description", "x"}, unit.Option{"Unit", "AssertPathIsMountPoint", unit.Specifiers("/srv/a b%n;#")}, unit.Option{"Unit", "RequiresMountsFor", unit.Words("/srv/a b", "/srv/$x%n")},
		unit.Option{"Service", "Type", "oneshot"}, unit.Option{"Service", "ExecStart", exec})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "x.service")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	r, err := run.Run(context.Background(), run.Cmd{Path: "systemd-analyze", Args: []string{"verify", "--man=no", file}, Env: []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}})
	require.NoError(t, err, "%s", r.Stderr)
	require.Empty(t, string(r.Stderr))
}
