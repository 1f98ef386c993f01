package restictest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/restictest"
)

// Each version takes it for a repository, opens it with each password, and finds nothing wrong with it or what it puts there.
func TestIsARepository(t *testing.T) {
	programs := filepath.SplitList(os.Getenv("STATEWARD_TEST_RESTIC"))
	if len(programs) == 0 {
		programs = []string{"restic"}
	}
	for _, program := range programs {
		dir := filepath.Join(t.TempDir(), "repository")
		require.NoError(t, restictest.Make(dir))
		try := func(password string, args ...string) (string, error) {
			cmd := exec.Command(program, append([]string{"--no-cache", "-r", dir}, args...)...)
			cmd.Env = append(os.Environ(), "RESTIC_PASSWORD="+password)
			out, err := cmd.CombinedOutput()
			return string(out), err
		}
		for _, password := range restictest.Passwords {
			out, err := try(password, "backup", "restictest.go")
			require.NoError(t, err, out)
		}
		out, err := try(restictest.Passwords[0], "check", "--read-data")
		require.NoError(t, err, out)
		require.Contains(t, out, "no errors were found")
		out, err = try("another", "cat", "config")
		require.Error(t, err)
		require.True(t, strings.Contains(out, "wrong password"), out)
	}
}
