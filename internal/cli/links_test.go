package cli

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
)

// documents are the texts that people read, from the root of the repository.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "examples/*.md", "examples/*/*.md"} {
		files, err := filepath.Glob(pattern)
		require.NoError(t, err)
		all = append(all, files...)
	}
	require.NotEmpty(t, all)
	return all
}

var (
	fence   = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	code    = regexp.MustCompile("`[^`\n]*`")
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	named   = regexp.MustCompile(`(?m)^\[[^\]]+\]: (\S+)`)
	heading = regexp.MustCompile(`(?m)^#{1,6} (.*)$`)
	linked  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// anchors are the names that GitHub gives the headings of a Markdown text.
func anchors(text string) []string {
	var out []string
	times := map[string]int{}
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
		title := strings.TrimSpace(linked.ReplaceAllString(m[1], "$1"))
		name := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, title)
		times[name]++
		if n := times[name]; n > 1 {
			name = fmt.Sprintf("%s-%d", name, n-1)
		}
		out = append(out, name)
	}
	return out
}

func TestAnchors(t *testing.T) {
	require.Equal(t, []string{"add-a-check", "sw101-state-is-lost", "what-nixservices-is", "add-a-check-1"},
		anchors("# Add a check\n## SW101: state is lost\n```\n# no heading\n```\n## What [`nix.services`](x.md) is\n# Add a check\n"))
}

// Every link of the documents leads to a file of the repository, and to a heading that it has.
func TestLinksResolve(t *testing.T) {
	t.Chdir(repository)
	root, err := os.Getwd()
	require.NoError(t, err)
	checked := 0
	for _, file := range documents(t) {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		text := code.ReplaceAllString(fence.ReplaceAllString(string(raw), ""), "")
		for _, m := range slices.Concat(link.FindAllStringSubmatch(text, -1), named.FindAllStringSubmatch(text, -1)) {
			u, err := url.Parse(m[1])
			require.NoError(t, err, "%s: %s", file, m[1])
			if u.Scheme != "" {
				continue // what is elsewhere is not ours to promise
			}
			checked++
			target := file
			if u.Path != "" {
				target = filepath.Join(filepath.Dir(file), u.Path)
			}
			within, err := filepath.Rel(root, filepath.Join(root, target))
			require.NoError(t, err)
			if !filepath.IsLocal(within) {
				t.Errorf("%s: %s leads out of the repository", file, m[1])
				continue
			}
			info, err := os.Stat(target)
			if err != nil {
				t.Errorf("%s: %s is not there", file, m[1])
				continue
			}
			if u.Fragment == "" {
				continue
			}
			if info.IsDir() || filepath.Ext(target) != ".md" {
				t.Errorf("%s: %s names a heading of what has none", file, m[1])
				continue
			}
			there, err := os.ReadFile(target)
			require.NoError(t, err)
			if !slices.Contains(anchors(string(there)), u.Fragment) {
				t.Errorf("%s: %s has no such heading", file, m[1])
			}
		}
	}
	require.Greater(t, checked, 50)
}

// consoleBlock is a block that shows a command and what it prints, with the comment before it.
var consoleBlock = regexp.MustCompile("(?ms)(?:^<!-- ([^\n]*) -->\n)?^```console\n(.*?)^```$")

// Every block that shows what a command prints is compared with that by a test, or says why it cannot be:
//
//	<!-- run: stateward … -->   TestDocsShowWhatIsPrinted
//	<!-- made by FILE … -->     the test in FILE, which names the page
//	<!-- printed: … -->         internal/cli/pitrjobs_test.go
//	<!-- guest … -->            e2e/restore
//	<!-- not run: reason -->
func TestConsoleBlocksAreRun(t *testing.T) {
	t.Chdir(repository)
	for _, file := range documents(t) {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range consoleBlock.FindAllStringSubmatch(string(text), -1) {
			if !isRun(t, file, m[1]) {
				first, _, _ := strings.Cut(m[2], "\n")
				t.Errorf("%s: what %q prints is compared by no test: put <!-- run: stateward … --> before it, or <!-- not run: reason -->", file, first)
			}
		}
	}
}

func isRun(t *testing.T, page, mark string) bool {
	if reason, ok := strings.CutPrefix(mark, "not run: "); ok {
		return reason != ""
	}
	test := ""
	switch {
	case strings.HasPrefix(mark, "run: stateward "):
		return page == "README.md" || filepath.Dir(page) == "docs"
	case strings.HasPrefix(mark, "made by "):
		test, _, _ = strings.Cut(strings.TrimPrefix(mark, "made by "), ":")
	case strings.HasPrefix(mark, "printed: "):
		test = "internal/cli/pitrjobs_test.go"
	case strings.HasPrefix(mark, "guest"):
		test = "e2e/restore/restore_test.go"
	default:
		return false
	}
	text, err := os.ReadFile(test)
	require.NoError(t, err, "%s: %s", page, mark)
	return strings.Contains(string(text), filepath.Base(page))
}
