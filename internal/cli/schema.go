package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/docs/schema"
)

func newSchema(env Env) *cobra.Command {
	return &cobra.Command{
		Use:   "schema [NAME]",
		Short: "Print the JSON schema of an output",
		Long: `Schema prints the JSON schema (draft 2020-12) of what a command prints with -o json, or of a file that one
writes. Without a name it lists what there is. A later version may add fields, and
changes or drops none within one protocolVersion.

` + exitStatus,
		Example:   "  stateward schema check > check.schema.json",
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: schema.Names(),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				fmt.Fprintln(env.Stdout, strings.Join(schema.Names(), "\n"))
				return nil
			}
			text, ok := schema.Text(args[0])
			if !ok || !slices.Contains(schema.Names(), args[0]) {
				return &unknownSchemaError{args[0]}
			}
			_, err := env.Stdout.Write(text)
			return withStatus(StatusStep, err)
		},
	}
}

// unknownSchemaError is a name that no schema has.
type unknownSchemaError struct{ name string }

func (e *unknownSchemaError) Error() string { return fmt.Sprintf("there is no schema %q", e.name) }
func (e *unknownSchemaError) Hint() string {
	return "there is " + strings.Join(schema.Names(), ", ")
}
