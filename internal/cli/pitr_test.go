package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The policy that docs/pitr.md shows is one.
func TestExamplePolicyIsRead(t *testing.T) {
	p, err := readPITRPolicy(repository + "/examples/pitr/postgresql.json")
	require.NoError(t, err)
	require.Equal(t, "forge", p.Server)
	require.Equal(t, 14*24*time.Hour, p.Window.Std())
	require.Equal(t, 5*time.Minute, p.ArchiveTimeout.Std())
}
