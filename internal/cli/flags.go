package cli

import (
	"slices"

	"github.com/spf13/cobra"
)

// choice is the value of a flag that takes one of a few words. It is checked as the flags are read, the same for every
// command, and completed by the shell.
type choice struct {
	value *string
	of    []string
}

func (c choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

func (c choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return &notOneOf{s, c.of}
	}
	*c.value = s
	return nil
}

// Type is what the usage calls the value, where its text does not.
func (c choice) Type() string { return "string" }

// choiceFlag registers a flag that takes one of the words. The default may be none of them, where no flag is another answer.
func choiceFlag(cmd *cobra.Command, p *string, name, short, usage, def string, of ...string) {
	*p = def
	cmd.Flags().VarP(choice{p, of}, name, short, usage)
	// It fails only for a flag that is not there.
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(of, cobra.ShellCompDirectiveNoFileComp))
}
