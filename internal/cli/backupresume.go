package cli

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/apply"
	execbackup "github.com/stateward/stateward/internal/exec/backup"
)

func newBackupResume(env Env) *cobra.Command {
	var f backupFlags
	cmd := &cobra.Command{
		Use:   "resume --plan FILE",
		Short: "Start the units that a run stopped and did not start again",
		Long: `Resume starts the units that a run of a job stopped (stopUnits) and did not start again,
since it was killed. The unit of the job does that whenever a run has ended (ExecStopPost=),
and the next run does it first. Where there is nothing to start, nothing is done.

EXIT STATUS
  0  nothing is stopped any longer
  2  wrong usage
  3  the job could not be read
  4  a unit did not start`,
		Example: "  stateward backup resume --plan /etc/stateward/backup/paperless.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			j, err := f.read()
			if err != nil {
				return err
			}
			for _, dir := range []*string{&f.stateDir, &f.lockDir} {
				if *dir, err = filepath.Abs(*dir); err != nil {
					return withStatus(StatusStep, err)
				}
			}
			defer env.hold()()
			units, err := execbackup.Resume(cmd.Context(), j, f.options(env))
			if err != nil {
				return withStatus(StatusStep, err)
			}
			if len(units) > 0 {
				fmt.Fprintf(env.Stdout, "%s: started %s\n", inLine(j.Name), inLine(strings.Join(units, ", ")))
			}
			return nil
		},
	}
	fs := cmd.Flags()
	fs.Var(wordFlag{&f.plan}, "plan", "the job: a `FILE` of JSON")
	fs.StringVar(&f.stateDir, "state-dir", restic.StateDir, "what is known of the runs is in `DIR`")
	fs.StringVar(&f.lockDir, "lock-dir", apply.LockDir, "the lock of the job is in `DIR`")
	return cmd
}
