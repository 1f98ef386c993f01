package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/pitr"
)

// The policy that docs/pitr.md shows is one.
func TestExamplePolicyIsRead(t *testing.T) {
	p, err := readPITRPolicy(repository + "/examples/pitr/postgresql.json")
	require.NoError(t, err)
	require.Equal(t, "forge", p.Server)
	require.Equal(t, 14*24*time.Hour, p.Window.Std())
	require.Equal(t, 5*time.Minute, p.ArchiveTimeout.Std())
}

// What lies before the first base backup is not missing.
func TestGapsOfAWindow(t *testing.T) {
	for want, g := range map[string]pitr.Gap{
		"main: not recoverable on timeline 1: 000000010000000000000001: no base backup": {Timeline: 1, Kind: pitr.GapUncovered, First: "000000010000000000000001", Last: "000000010000000000000001", Reason: "no base backup"},
		"main: missing on timeline 2: 00000002.history: gone":                           {Timeline: 2, Kind: pitr.GapHistory, First: "00000002.history", Reason: "gone"},
		"main: missing on timeline 1: a to b: gone":                                     {Timeline: 1, Kind: pitr.GapSegments, First: "a", Last: "b", Reason: "gone"},
	} {
		require.Equal(t, want, gapText("main", g))
	}
}
