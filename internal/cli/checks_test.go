package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/golden"
)

const repository = "../.."

// Each code has a configuration on which it fires, and one, as like as can be, on
// which it is quiet. Both go through a real nix.
func TestEveryCheckFiresAndIsQuiet(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	var documented []string
	for _, c := range aggregate.Catalog() {
		documented = append(documented, c.Code)
		t.Run(c.Code, func(t *testing.T) {
			t.Parallel()
			for name, want := range map[string]bool{"fires": true, "quiet": false} {
				file := filepath.Join(repository, "testdata/checks", c.Code, name+".nix")
				var args []string
				// Some checks look at what was seen on the host.
				if seen := strings.TrimSuffix(file, ".nix") + ".persist.json"; exists(seen) {
					args = []string{"--capture", seen}
				}
				if seen := strings.TrimSuffix(file, ".nix") + ".pools.json"; exists(seen) {
					args = append(args, "--capture", seen)
				}
				// Others look at records of restore drills.
				if drills := strings.TrimSuffix(file, ".nix") + ".drills"; exists(drills) {
					args = append(args, "--drills", drills)
				}
				out := checkJSON(t, cache, file, args...)
				require.Len(t, out.Hosts, 1)
				require.Nil(t, out.Hosts[0].Error, "%s: %+v", file, out.Hosts[0].Error)
				var codes []string
				for _, d := range append(out.Hosts[0].Findings, out.Findings...) {
					codes = append(codes, d.Code)
				}
				require.Equal(t, want, slices.Contains(codes, c.Code), "%s: findings %v", file, out.Hosts[0].Findings)
				require.NotEqual(t, "failed", string(out.Hosts[0].Status), file)
				if c.Code != "SW603" {
					require.Equal(t, "ok", string(out.Hosts[0].Status), "%s: %v", file, out.Hosts[0].Unknown)
				}
				if name == "quiet" {
					for _, d := range out.Hosts[0].Findings {
						require.True(t, d.Severity == stateward.SeverityInfo || !d.Counts(), "%s is not sound: %+v", file, d)
					}
				}
			}
		})
	}
	dirs, err := os.ReadDir(filepath.Join(repository, "testdata/checks"))
	require.NoError(t, err)
	var have []string
	for _, d := range dirs {
		have = append(have, d.Name())
	}
	require.Equal(t, documented, have, "fixtures belong to checks")
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

func TestChecksDocumentIsFresh(t *testing.T) {
	golden.Compare(t, filepath.Join(repository, "docs/checks.md"), []byte(checksDocument()))
}
