//go:build unix

package pitr

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/run"
)

// AskTools asks the tools in a folder which options they know (G7): those that store, of which versions differ in what a policy can need.
func AskTools(ctx context.Context, dir string, env []string) (map[string]pitr.Flags, error) {
	out := map[string]pitr.Flags{}
	for _, tool := range []string{pitr.ToolWALArchive, pitr.ToolBackup} {
		path, err := filepath.Abs(filepath.Join(dir, tool))
		if err != nil {
			return nil, err
		}
		res, err := run.Run(ctx, run.Cmd{Path: path, Args: []string{"--help"}, Env: env})
		if err != nil {
			return nil, err
		}
		if out[tool], err = pitr.ParseHelp(string(res.Stdout)); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return out, nil
}
