package shell_test

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"mvdan.cc/sh/v3/syntax"

	"github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/internal/syntax/shell"
)

// printed has a real bash print the words of a line, each ended by a NUL byte.
func printed(t *testing.T, locale, line string) []string {
	t.Helper()
	r, err := run.Run(context.Background(), run.Cmd{Path: "bash", Args: []string{"--norc", "-c", "printf '%s\\0' " + line}, Env: []string{"LC_ALL=" + locale, "PATH=" + os.Getenv("PATH")}})
	require.NoError(t, err, "%s", r.Stderr)
	return strings.Split(strings.TrimSuffix(string(r.Stdout), "\x00"), "\x00")
}

func TestQuoteIsReadBackByBash(t *testing.T) {
	words := []string{"plain", "", "a b", "it's", `"x"`, "$HOME", "$(id)", "`id`", `\`, `a\'b`, "*", "?[x]", "~", "#c", "a;b", "a&b", "a\nb", "\t", "größe", "-n", "a=b", "!x", "{a,b}", "\xff", "\xff1", "\u00a0", "\ufffd\x01", "\u2028\U000e0001x\n", "\x1b[31m"}
	line, err := shell.Command(words...)
	require.NoError(t, err)
	require.NotContains(t, line, "\n", "one line")
	require.NotContains(t, line, "\x1b")
	for _, locale := range []string{"C.UTF-8", "C"} {
		require.Empty(t, cmp.Diff(words, printed(t, locale, line)), locale)
	}

	_, err = shell.Command("a\x00b")
	require.Error(t, err)
}

func TestCommentEndsNowhere(t *testing.T) {
	got := shell.Comment("a\nrm -rf /", "b\r\x1b\u2028\u0085c", "")
	require.Equal(t, "# a rm -rf /\n# b    c\n#\n", got)
}

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "a b", "it's", "a\nb", "\x80", "$'x'", "\\"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q, err := shell.Quote(s)
		if err != nil {
			require.Contains(t, s, "\x00")
			return
		}
		require.NotContains(t, q, "\n")
		file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader("x "+q), "")
		require.NoError(t, err)
		require.Len(t, file.Stmts, 1)
		require.Len(t, file.Stmts[0].Cmd.(*syntax.CallExpr).Args, 2, "one word")
	})
}
