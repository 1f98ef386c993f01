//go:build linux

package nixbridge_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/nixbridge"
)

// A file where a folder should be stands in for a disk that takes nothing more: permissions do not
// keep root from writing.
func TestWhatCannotBeKeptIsOnlyTold(t *testing.T) {
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		c := newCounting(t, e)
		dir := gitFlake(t)
		require.NoError(t, os.MkdirAll(e.CacheDir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(e.CacheDir, "evaluations"), nil, 0o600))
		ev, err := c.Evaluate(t.Context(), source(t, dir))
		require.NoError(t, err)
		require.Len(t, ev.Hosts, 2)
		said := strings.Join(c.said(), "\n")
		require.Contains(t, said, "a is not kept for the next time: it cannot be written")
		require.Contains(t, said, "b is not kept for the next time: it cannot be written")
		left, err := filepath.Glob(filepath.Join(e.CacheDir, ".new-*"))
		require.NoError(t, err)
		require.Empty(t, left)
	})
}
