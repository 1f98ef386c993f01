package cli

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/restic"
)

// The job that docs/backup.md shows is one.
func TestExampleJobIsRead(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(repository, "examples/backup/paperless.json"))
	require.NoError(t, err)
	j, err := restic.ReadJob(text)
	require.NoError(t, err)
	require.Equal(t, 12, j.Retention.Monthly)
}
