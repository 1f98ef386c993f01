package cli

import (
	"bytes"
	"context"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/golden"
)

var (
	unshown   = regexp.MustCompile(`(?s)<(style|script)>.*?</(style|script)>|<svg.*?aria-label="([^"]*)".*?</svg>`)
	lineEnds  = regexp.MustCompile(`</(p|li|h[1-6]|tr|caption|summary|dt|dd|pre|title)>|<(ul|ol|section)[^>]*>`)
	cellEnds  = regexp.MustCompile(`</t[hd]>`)
	anyTag    = regexp.MustCompile(`<[^>]*>`)
	manyLines = regexp.MustCompile(`\s*\n\s*`)
	madeBy    = regexp.MustCompile(`Made by stateward \S+ of (.*), evaluated by nix [0-9.]+`)
)

// pageText is what a page says, a line for each row, item and paragraph.
func pageText(page string) string {
	s := unshown.ReplaceAllString(page, "<p>[$3]</p>")
	s = strings.ReplaceAll(s, "\n", " ")
	s = cellEnds.ReplaceAllString(lineEnds.ReplaceAllString(s, "\n"), " | ")
	s = manyLines.ReplaceAllString(html.UnescapeString(anyTag.ReplaceAllString(s, "")), "\n")
	return madeBy.ReplaceAllString(strings.TrimSpace(s), "Made by stateward VERSION of $1, evaluated by nix VERSION") + "\n"
}

// What the page of the example says is kept as it is, to be looked at when it changes. That it can be looked at, tools/browser tests.
func TestHomelabReport(t *testing.T) {
	t.Chdir(repository)
	cache := t.TempDir()
	page := func(args ...string) string {
		r := run(t, nil, append([]string{"report", "examples/homelab", "--cache-dir", cache, "--quiet"}, args...)...)
		require.Equal(t, StatusFindings, r.status, r.stderr)
		require.Empty(t, r.stderr)
		return r.stdout
	}
	got := page()
	require.Equal(t, got, page("-o", "-"), "the same evaluation gives the same page")
	text, _, found := strings.Cut(pageText(got), "\nWhat the findings mean\n")
	require.True(t, found)
	_, end, found := strings.Cut(pageText(got), "\nHow to read it\n")
	require.True(t, found)
	golden.Compare(t, "testdata/homelab/report.txt", []byte(text+"\n…\nHow to read it\n"+end))
	require.Contains(t, page("--at", "2026-01-02T03:04:05Z"), "As of 2026-01-02 03:04 UTC.")

	file := filepath.Join(t.TempDir(), "report.html")
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	require.Empty(t, page("-o", file))
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, got, string(written))
}

// An old drill is overdue by the clock, whether or not the page says what day it is; what was seen of pools is on the map.
func TestReportJudgesByTheClock(t *testing.T) {
	t.Chdir(repository)
	r := run(t, nil, "report", "testdata/checks/SW320/fires.nix", "--drills", "testdata/checks/SW320/fires.drills", "--capture", "examples/adopt/pool.json", "--cache-dir", t.TempDir(), "--quiet")
	require.Equal(t, StatusFindings, r.status, r.stderr)
	text := pageText(r.stdout)
	require.Contains(t, text, "! passed, overdue")
	require.NotContains(t, text, "✕ no record")
	require.Contains(t, text, "✕ was not there when the host was looked at")
	require.Contains(t, text, "1 lesser loss at the next boot")
}

func TestReportIsNotForATerminal(t *testing.T) {
	var out, errs bytes.Buffer
	env := Env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &errs, Getenv: func(string) string { return "" }, StdoutTerminal: true}
	require.Equal(t, StatusUsage, Main(context.Background(), []string{"report"}, env))
	require.Equal(t, "stateward: standard output is a terminal, and the page is for a browser\n  hint: name a file with -o, such as -o report.html\n", errs.String())
	require.Empty(t, out.String())
}
