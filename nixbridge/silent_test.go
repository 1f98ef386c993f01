package nixbridge_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/nixbridge"
)

// A nix that fails without a word is asked once more, at every step; one that does so again is told as it is.
func TestNixThatFailsInSilence(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "hosts.nix")
	require.NoError(t, os.WriteFile(file, []byte(`{ a.config.networking.hostName = "a"; }`), 0o600))
	evaluate := func(t *testing.T, script string) (*nixbridge.Evaluation, error) {
		e := withText(t, &nixbridge.Evaluator{Nix: wrapped(t, "", script), CacheDir: privateDir(t)}, "mine", "_: { }")
		return e.Evaluate(t.Context(), source(t, file))
	}
	// What each start is asked for stands in its arguments; each is named once.
	silent := func(what string) string {
		return `[ "$1" = --version ] && exec '%[1]s' "$@"
n="$0.` + filepath.Base(t.Name()) + `"
for a; do sum=$(printf %%s "$sum$a" | cksum); done
[ -e "$n.$sum" ] || { : >"$n.$sum"; ` + what + `; exit 1; }
exec '%[1]s' "$@"
`
	}
	for name, what := range map[string]string{
		"nothing":                 ":",
		"an error that is cut in": `printf '%%s\n' '@nix {"action":"msg","level":0,"msg":"error: x","raw_msg":"@nix {"action":"stop"}' '' >&2`,
	} {
		t.Run("once, "+name, func(t *testing.T) {
			ev, err := evaluate(t, silent(what))
			require.NoError(t, err)
			require.NoError(t, ev.Hosts[0].Err)
		})
	}
	t.Run("always", func(t *testing.T) {
		_, err := evaluate(t, `[ "$1" = --version ] && exec '%[1]s' "$@"
exit 1
`)
		require.EqualError(t, err, "nix exited with status 1 and said nothing")
		require.ErrorIs(t, err, nixbridge.Crash)
	})
	t.Run("with words", func(t *testing.T) {
		_, err := evaluate(t, `[ "$1" = --version ] && exec '%[1]s' "$@"
[ -e "$0.once" ] && echo twice >&2
: >"$0.once"
echo one word >&2
exit 1
`)
		require.EqualError(t, err, "nix exited with status 1: one word")
	})
}
