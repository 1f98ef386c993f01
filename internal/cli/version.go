package cli

import (
	"fmt"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// releaseVersion is the version under development, by which the checks' Since goes.
const releaseVersion = "0.1.0-dev"

func newVersion(env Env) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintf(env.Stdout, "stateward %s\n", version())
			return nil
		},
	}
}

// version is the module's version where it was built as a dependency or by `go install`,
// else the one under development with its revision.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return releaseVersion
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return releaseVersion + "+" + s.Value[:12]
		}
	}
	return releaseVersion
}
