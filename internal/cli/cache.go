package cli

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/nixbridge"
)

// CacheOutput is what `stateward cache -o json` prints.
type CacheOutput struct {
	ProtocolVersion string `json:"protocolVersion"`
	// Folder is the private folder; the evaluations lie in one of its folders.
	Folder  string                 `json:"folder"`
	Entries []nixbridge.CacheEntry `json:"entries"`
	// Copies is the size in bytes of the copies of flakes and their inputs, which lie there too.
	Copies int64 `json:"copies"`
}

func newCache(env Env) *cobra.Command {
	var dir, output string
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Show which evaluations are kept, or clear them",
		Long: `Cache lists the evaluations that are kept, so that a host whose flake has not changed
need not be evaluated again. What is kept hangs on the files of the flake as nix sees
them, their commit, the version of nix, and what stateward reads. Evaluations that failed,
of .nix files, and with --online are never kept. Copies of flakes and of their inputs
lie in the same private folder.

` + exitStatus,
		Example: "  stateward cache\n  stateward cache clear",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := cacheIn(dir)
			if err != nil {
				return err
			}
			entries, err := c.Entries()
			if err != nil {
				return withStatus(StatusStep, err)
			}
			copies, err := c.Copies()
			if err != nil {
				return withStatus(StatusStep, err)
			}
			if output == "json" {
				return withStatus(StatusStep, writeJSON(env, CacheOutput{protocolVersion, c.Dir, append([]nixbridge.CacheEntry{}, entries...), copies}))
			}
			printCache(env, c.Dir, entries, copies)
			return nil
		},
	}
	clear := &cobra.Command{
		Use:   "clear",
		Short: "Remove the evaluations that are kept, and copies of flakes",
		Long:  "Clear removes the evaluations that are kept, and the copies of flakes and of their inputs\nin the same private folder, with whatever secrets are written in them. The copies stay\nwhile another stateward uses them; an input that was fetched with --online is fetched again.\n\n" + exitStatus,
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := cacheIn(dir)
			if err != nil {
				return err
			}
			n, err := c.Clear()
			if err != nil {
				return withStatus(StatusStep, err)
			}
			freed, err := c.ClearCopies()
			if err != nil {
				fmt.Fprintf(env.Stdout, "%s removed\n", count(n, "entry"))
			}
			if errors.Is(err, nixbridge.ErrInUse) {
				return withStatus(StatusStep, &inUseError{c.Dir})
			}
			if err != nil {
				return withStatus(StatusStep, err)
			}
			fmt.Fprintf(env.Stdout, "%s and %s of copies of flakes removed\n", count(n, "entry"), kibibytes(freed))
			return nil
		},
	}
	cmd.PersistentFlags().StringVar(&dir, "cache-dir", "", "private folder (`DIR`; default $XDG_CACHE_HOME/stateward)")
	choiceFlag(cmd, &output, "output", "o", "`FORMAT` of the output: text or json", "text", "text", "json")
	cmd.AddCommand(clear)
	return cmd
}

func cacheIn(dir string) (*nixbridge.Cache, error) {
	named := dir != ""
	if !named {
		if dir = nixbridge.CacheDir(); dir == "" {
			return nil, fmt.Errorf("there is no folder for caches: neither XDG_CACHE_HOME nor HOME is set; name one with --cache-dir")
		}
	}
	if st, err := os.Stat(dir); named && (err != nil || !st.IsDir()) {
		return nil, withStatus(StatusStep, fmt.Errorf("there is no folder %s", dir))
	}
	return &nixbridge.Cache{Dir: dir}, nil
}

// inUseError says that not all of a folder was cleared.
type inUseError struct{ dir string }

func (e *inUseError) Error() string {
	return "the copies of flakes in " + e.dir + " stay: another stateward is using them"
}

func (e *inUseError) Hint() string { return "run it again once that is done" }

func printCache(env Env, dir string, entries []nixbridge.CacheEntry, copies int64) {
	var total int64
	rows := [][]string{{"HOST", "NIX", "SIZE", "USED", "SOURCE"}}
	for _, e := range entries {
		host := e.Host
		if host == "" {
			host = "(list of hosts)"
		}
		total += e.Size
		rows = append(rows, []string{inLine(host), inLine(e.Nix), kibibytes(e.Size), e.Used.UTC().Format(time.DateTime), inLine(e.Source)})
	}
	if len(entries) > 0 {
		for _, line := range align(rows) {
			fmt.Fprintln(env.Stdout, line)
		}
	}
	fmt.Fprintf(env.Stdout, "%s, %s, and %s of copies of flakes, in %s\n", count(len(entries), "entry"), kibibytes(total), kibibytes(copies), inLine(dir))
}

// kibibytes rounds up, so that nothing seems to take no room.
func kibibytes(n int64) string { return fmt.Sprintf("%d KiB", (n+1023)>>10) }
