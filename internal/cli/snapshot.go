package cli

import "github.com/spf13/cobra"

func newSnapshot(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Show what snapshots are taken, kept and sent, and write it for sanoid",
		Long:  "Snapshot shows which policy holds for each dataset, and what becomes of snapshots by it. It takes and removes none.\n\n" + exitStatus,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Help(); err != nil {
				return err
			}
			return &statusError{status: StatusUsage}
		},
	}
	cmd.AddCommand(newSnapshotPlan(env))
	return cmd
}
