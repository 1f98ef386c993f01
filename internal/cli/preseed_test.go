package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/preseed"
)

const examplePreseed = repository + "/examples/preseed/paperless.json"

func TestExamplePreseedIsRead(t *testing.T) {
	text, err := os.ReadFile(examplePreseed)
	require.NoError(t, err)
	p, err := preseed.ReadPlan(text)
	require.NoError(t, err)
	again, err := p.Write()
	require.NoError(t, err)
	require.Equal(t, string(text), string(again))
}

func TestPreseedRefuses(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.json")
	require.NoError(t, os.WriteFile(bad, []byte(`{"protocolVersion":"1","name":"x","sauces":[]}`), 0o600))
	twice := filepath.Join(dir, "twice.json")
	require.NoError(t, os.WriteFile(twice, []byte(`{"protocolVersion":"1","name":"x","name":"y"}`), 0o600))
	for _, tc := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"no plan", []string{"run"}, StatusUsage, ""},
		{"a plan that is not there", []string{"run", filepath.Join(dir, "nope.json")}, StatusEvaluation, "no such file"},
		{"a field that is not known", []string{"explain", bad}, StatusEvaluation, "sauces"},
		{"a time without a source", []string{"run", examplePreseed, "--at", "2026-03-17T02:00:00Z"}, StatusUsage, "--from"},
		{"G2 a time without a zone", []string{"run", examplePreseed, "--from", "local", "--at", "2026-03-17 02:00"}, StatusUsage, "no time"},
		{"another dataset is confirmed", []string{"run", examplePreseed, "--from", "local", "--yes-destroy", "tank/other"}, StatusUsage, "tank/services/paperless"},
		{"a source that nobody knows", []string{"run", examplePreseed, "--from", "tape"}, StatusUsage, "tape"},
		{"units with a relative folder", []string{"units", examplePreseed, "--path", "/bin,rel"}, StatusUsage, `--path: "rel" is not absolute`},
		{"units with a relative program", []string{"units", examplePreseed, "--stateward", "bin/stateward"}, StatusUsage, `--stateward: "bin/stateward" is not absolute`},
		{"units with a relative plan", []string{"units", examplePreseed, "--installed-plan", "x.json"}, StatusUsage, `--installed-plan: "x.json" is not absolute`},
		{"a plan with two folders in one", []string{"plan", dir, "--path", "/bin:/sbin"}, StatusUsage, `--path: "/bin:/sbin" is no one folder`},
		{"a plan with a relative folder", []string{"plan", dir, "--path", "rel"}, StatusUsage, `--path: "rel" is not absolute`},
		{"a plan without a program", []string{"plan", dir, "--program", ""}, StatusUsage, `--program: "" is not absolute`},
		{"a field that is there twice", []string{"explain", twice}, StatusEvaluation, `"name" is there twice`},
		{"a status of a name that is none", []string{"status", "../x", "--state-dir", dir}, StatusUsage, "no name"},
		{"a status of nothing", []string{"status", "x", "--state-dir", dir}, StatusEvaluation, "x: no run"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := run(t, nil, append([]string{"preseed"}, tc.args...)...)
			require.Equal(t, tc.status, r.status, r.stderr)
			require.Contains(t, r.stderr, tc.says)
		})
	}
}

// A dry run on a machine that has no zfs says where to look at it.
func TestPreseedExplainElsewhere(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	r := run(t, nil, "preseed", "explain", examplePreseed, "--state-dir", t.TempDir())
	require.Equal(t, StatusStep, r.status, r.stderr)
	require.Equal(t, "tank/services/paperless: failed: program \"zpool\": executable file not found in $PATH\n"+
		"  hint: it is looked at on the machine that has the dataset; there, have it in PATH, for a unit by --path of stateward preseed plan or units\n", r.stdout)
}

// E10: a run that was cut off is said, and is not well.
func TestPreseedStatus(t *testing.T) {
	dir := t.TempDir()
	r := run(t, nil, "preseed", "status", "--state-dir", filepath.Join(dir, "none"))
	require.Equal(t, StatusOK, r.status)
	require.Equal(t, "no preseed ran yet\n", r.stdout)
	text, err := json.Marshal(preseed.Journal{Target: "tank/app", TargetGUID: "1", Staged: "tank/staging/app", Displaced: "tank/staging/app-was", Source: preseed.Restic, Stage: preseed.Filling})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "app.journal.json"), text, 0o600))
	r = run(t, nil, "preseed", "status", "--state-dir", dir)
	require.Equal(t, StatusStep, r.status)
	require.Equal(t, "app: no run ended yet\n  a run from restic has not come to its end (filling): where none is at work, the next one goes on; beside it is tank/staging/app\n", r.stdout)
	r = run(t, nil, "preseed", "status", "--state-dir", repository+"/examples/preseed/state", "-o", "json", "paperless")
	require.Equal(t, StatusOK, r.status)
	var out PreseedStatusOutput
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &out))
	require.Equal(t, int64(4312), out.Plans[0].Restored.Files)
}
