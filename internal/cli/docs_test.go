package cli

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/golden"
	"github.com/stateward/stateward/nixbridge"
)

// runBlock is an HTML comment that names a command, and the block that shows what it prints.
var runBlock = regexp.MustCompile("(?s)<!-- run: stateward ([^\n]*) -->\n```console\n(.*?)```\n")

// fileBlock is an HTML comment that names a file, and the block that shows it.
var fileBlock = regexp.MustCompile("(?s)<!-- file: ([^\n]*) -->\n```([a-z]+)\n(.*?)```\n")

// Every command that README and docs show is run, and prints what is printed there.
func TestDocsShowWhatIsPrinted(t *testing.T) {
	t.Chdir(repository)
	files, err := filepath.Glob("docs/*.md")
	require.NoError(t, err)
	cache := t.TempDir()
	shown := 0
	for _, file := range append(files, "README.md") {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		got := fileBlock.ReplaceAllFunc(text, func(block []byte) []byte {
			m := fileBlock.FindSubmatch(block)
			shown, err := os.ReadFile(string(m[1]))
			require.NoError(t, err)
			return fmt.Appendf(nil, "<!-- file: %s -->\n```%s\n%s```\n", m[1], m[2], shown)
		})
		got = runBlock.ReplaceAllFunc(got, func(block []byte) []byte {
			shown++
			m := runBlock.FindSubmatch(block)
			args := strings.Fields(string(m[1]))
			full := args
			if args[0] != "explain" && args[0] != "version" && args[0] != "template" && args[0] != "notify" && (args[0] != "preseed" || args[1] == "plan") {
				full = append(args[:len(args):len(args)], "--cache-dir", cache)
			}
			r := run(t, nil, full...)
			require.Contains(t, []int{StatusOK, StatusFindings, StatusStep}, r.status, "%s\n%s", m[1], r.stderr)
			typed := strings.TrimSuffix(strings.Join(args, " "), " --quiet")
			return []byte("<!-- run: stateward " + string(m[1]) + " -->\n```console\n$ stateward " + typed + "\n" + r.stdout + "```\n")
		})
		if runBlock.Match(text) || fileBlock.Match(text) {
			golden.Compare(t, file, got)
		}
	}
	require.NotZero(t, shown, "nothing was run")
}

func TestDocsNameEveryDialect(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "docs/dialects.md"))
	require.NoError(t, err)
	for _, d := range nixbridge.BuiltinDialects() {
		require.Contains(t, string(text), "\n| `"+d.Name+"` | ")
	}
}

func TestDocsPrintTheLibraryExample(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(repository, "README.md"))
	require.NoError(t, err)
	program, err := os.ReadFile(filepath.Join(repository, "examples/library/main.go"))
	require.NoError(t, err)
	_, program, ok := bytes.Cut(program, []byte("\n"))
	require.True(t, ok, "the first line is the package comment")
	require.Contains(t, string(readme), "```go\n"+string(program)+"```\n")
}
