package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge"
)

func TestWriteGitHub(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "nix"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nix/flake.nix"), nil, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "nix/a,b:c.nix"), nil, 0o600))
	src, err := nixbridge.ParseSource("path:" + dir + "/nix")
	require.NoError(t, err)
	env := Env{Getenv: func(name string) string { return map[string]string{"GITHUB_WORKSPACE": dir}[name] }}
	lost := stateward.Diagnostic{Code: "SW101", Severity: stateward.SeverityError, Subject: "s", Message: "m"}
	with := func(change func(*stateward.Diagnostic)) stateward.Diagnostic {
		d := lost
		change(&d)
		return d
	}
	out := CheckOutput{
		Hosts: []HostOutput{
			{Name: "forged\n::error::x", Status: stateward.StatusFailed, Error: &ErrorOutput{Message: "100 %\r\nno", Hint: "try"}},
			{Name: "slip", Status: stateward.StatusFailed, Error: &ErrorOutput{Message: "m", File: "flake.nix", Line: 4}},
			{Name: "elsewhere", Status: stateward.StatusFailed, Error: &ErrorOutput{Message: "m (gone.nix:4)", File: "gone.nix", Line: 4}},
			{Name: "forge", Status: stateward.StatusPartial, Excluded: map[string]int{"SW112": 2}, Findings: []stateward.Diagnostic{
				with(func(d *stateward.Diagnostic) { d.Severity = stateward.SeverityInfo }),
				with(func(d *stateward.Diagnostic) { d.File, d.Line, d.Hint = "a,b:c.nix", 7, "mend" }),
				with(func(d *stateward.Diagnostic) { d.Severity, d.File, d.Line = stateward.SeverityWarning, "gone.nix", 3 }),
				with(func(d *stateward.Diagnostic) { d.Acknowledged = "why" }),
				with(func(d *stateward.Diagnostic) { d.Baseline = true }),
			}},
		},
		ExcludedBy: "--exclude SW112",
		Baseline:   &BaselineOutput{File: "b.json", New: 3, Known: 1, Gone: 0},
	}
	var b bytes.Buffer
	require.NoError(t, writeGitHub(&b, out, newPlaces(env, src)))
	require.Empty(t, cmp.Diff(`::error title=forged%0A%3A%3Aerror%3A%3Ax could not be evaluated::100 %25%0D%0Ano%0Ahint: try
::error file=nix/flake.nix,line=4,title=slip could not be evaluated::m
::error title=elsewhere could not be evaluated::m (gone.nix:4)
::error file=nix/a%2Cb%3Ac.nix,line=7,title=SW101 state is not persisted::forge: m%0Ahint: mend
::warning title=SW101 state is not persisted::forge: m%0Ain s (gone.nix:3)
::notice title=SW101 state is not persisted::forge: m
stateward: forged\n::error::x: failed; findings: not checked
stateward: slip: failed; findings: not checked
stateward: elsewhere: failed; findings: not checked
stateward: forge: partial; findings: 1 error, 1 warning, 1 info, 1 accepted, 1 known, 2 excluded
stateward: 2 findings excluded by --exclude SW112: SW112 2
stateward: against b.json: 3 new, 1 known
`, b.String()))
}

// What was fetched from elsewhere has no files here, even where one has the same name.
func TestWorkflowCommandsSteerNoTerminal(t *testing.T) {
	require.Equal(t, "::error title=a\\x1b[2Jb::m\\x07%0An\n", githubCommand("error", [][2]string{{"title", "a\x1b[2Jb"}}, "m\a\nn"))
}

func TestPlacesOfWhatIsElsewhere(t *testing.T) {
	t.Chdir(repository)
	src, err := nixbridge.ParseSource("github:stateward/stateward")
	require.NoError(t, err)
	_, ok := newPlaces(Env{Getenv: func(string) string { return "" }}, src).find("go.mod")
	require.False(t, ok)
}
