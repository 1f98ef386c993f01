package backup

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a run by hand makes first, units of other users find as systemd would have made it.
func TestMakePrivate(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "lib/stateward/backup/app")
	require.NoError(t, MakePrivate(dir))
	require.NoError(t, MakePrivate(dir))
	for name, want := range map[string]fs.FileMode{"lib/stateward": 0o755, "lib/stateward/backup": 0o700, "lib/stateward/backup/app": 0o700} {
		fi, err := os.Stat(filepath.Join(top, name))
		require.NoError(t, err)
		require.Equal(t, want, fi.Mode().Perm(), name)
	}
	require.NoError(t, MakePrivate(filepath.Join(top, "elsewhere/app")))
}
