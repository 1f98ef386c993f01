package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// Every page is a manual page to those that print them, and the same whenever and wherever it is written.
func TestManPages(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man1")
	t.Setenv("SOURCE_DATE_EPOCH", "1")
	r := run(t, nil, "man", dir)
	require.Equal(t, StatusOK, r.status, r.stderr)
	t.Setenv("SOURCE_DATE_EPOCH", "2000000000")
	require.Equal(t, r.stdout, run(t, nil, "man", dir).stdout)
	pages := manPages(newRoot(Env{}))
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.Len(t, files, len(pages))
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, pages[filepath.Base(file)], string(text))
		for _, line := range lint(t, "mandoc", "-T", "lint", "-W", "warning", file) {
			if !strings.Contains(line, "missing date") { // left out, so that the pages do not change by themselves
				t.Error(line)
			}
		}
		require.Empty(t, lint(t, "groff", "-man", "-ww", "-z", file), file)

		shown, err := exec.Command("mandoc", "-T", "utf8", "-O", "width=100", file).Output()
		require.NoError(t, err)
		plain := bold.Replace(string(shown))
		for _, section := range []string{"NAME", "SYNOPSIS", "DESCRIPTION"} {
			require.Contains(t, plain, section, file)
		}
	}

	all := strings.Join(manTexts(pages), "\n")
	var each func(*cobra.Command)
	each = func(c *cobra.Command) {
		require.Contains(t, pages, manName(c)+".1")
		for _, sub := range c.Commands() {
			if !sub.Hidden && sub.Name() != "help" {
				require.Contains(t, all, ".BR "+strings.ReplaceAll(manName(sub), "-", `\-`)+" (1)")
				each(sub)
			}
		}
	}
	each(newRoot(Env{}))
	check := pages["stateward-check.1"]
	for _, want := range []string{".SH EXIT STATUS\n.TP\n.B 0\nnothing at or above", `\fB\-\-threshold\fR \fISEVERITY\fR`, "Where several apply", ".SH EXAMPLES"} {
		require.Contains(t, check, want)
	}
}

// bold takes out how a terminal of old prints bold and underlined letters.
var bold = strings.NewReplacer(overstrikes()...)

func overstrikes() []string {
	var out []string
	for c := ' '; c < 0x7f; c++ {
		out = append(out, string([]rune{c, '\b', c}), string(c), string([]rune{'_', '\b', c}), string(c))
	}
	return out
}

func manTexts(pages map[string]string) []string {
	var out []string
	for _, text := range pages {
		out = append(out, text)
	}
	return out
}

// lint returns what a program says of a file, a line each.
func lint(t *testing.T, program string, args ...string) []string {
	t.Helper()
	out, err := exec.Command(program, args...).CombinedOutput()
	if text := strings.TrimSpace(string(out)); text != "" {
		return strings.Split(text, "\n")
	}
	require.NoError(t, err, "this test needs %s; run: make deps", program)
	return nil
}

func TestRoffTakesNoTextForARequest(t *testing.T) {
	r := &roff{}
	r.text(`.so /etc/passwd \n 'x' -y`)
	require.Equal(t, `\&.so /etc/passwd \en \(aqx\(aq \-y`+"\n", r.String())
}

func TestManBadInput(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	require.Equal(t, StatusStep, run(t, nil, "man", file).status)
	require.Equal(t, StatusStep, run(t, nil, "man", filepath.Join(file, "below")).status)
	require.Equal(t, StatusUsage, run(t, nil, "man").status)
}
