package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/golden"
)

// The hosts that are applied where there is no nix are what their source evaluates to.
func TestHostsToApplyAreFresh(t *testing.T) {
	const dir = "e2e/apply/testdata"
	root, err := filepath.Abs(repository)
	require.NoError(t, err)
	t.Chdir(root)
	var out, errs bytes.Buffer
	status := Main(context.Background(), []string{"eval", dir + "/hosts.nix", "--no-locations", "--no-cache", "-q"},
		Env{Stdin: bytes.NewReader(nil), Stdout: &out, Stderr: &errs, Getenv: os.Getenv})
	require.Equal(t, StatusOK, status, errs.String())
	// Which nix it was, and where, is left out.
	text := regexp.MustCompile(`("nix":)"[^"]*"`).ReplaceAll(out.Bytes(), []byte(`$1"2.8.0"`))
	text = regexp.MustCompile(`"folder":"[^"]*",?`).ReplaceAll(text, nil)
	golden.Compare(t, dir+"/hosts.json", text)
}
