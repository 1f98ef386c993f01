package cli

import "github.com/spf13/cobra"

func newDataset(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dataset",
		Short: "Plan ZFS datasets, apply the plan, and show where a pool differs",
		Long:  "Dataset compares the ZFS datasets that a configuration declares with what a pool has. No plan ever destroys\nanything.\n\n" + exitStatus,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Help(); err != nil {
				return err
			}
			return &statusError{status: StatusUsage}
		},
	}
	cmd.AddCommand(newDatasetPlan(env), newDatasetApply(env), newDatasetDrift(env))
	return cmd
}
