package cli

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/aggregate"
)

func newCompletion(env Env) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print a script with which a shell completes the command",
		Long: `Completion prints a script that makes the shell complete commands, flags, codes of checks and the
words that a flag takes.

bash, which also needs the package bash-completion:
  stateward completion bash > ~/.local/share/bash-completion/completions/stateward
zsh, in a folder that $fpath names before compinit runs:
  stateward completion zsh > ~/.zfunc/_stateward
fish:
  stateward completion fish > ~/.config/fish/completions/stateward.fish

` + exitStatus,
		Example:   "  source <(stateward completion bash)",
		Args:      cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			var err error
			switch args[0] {
			case "bash":
				err = root.GenBashCompletionV2(env.Stdout, true)
			case "zsh":
				err = root.GenZshCompletion(env.Stdout)
			default:
				err = root.GenFishCompletion(env.Stdout, true)
			}
			return withStatus(StatusStep, err)
		},
	}
}

// completeFlags tells every command below one what its flags take.
func completeFlags(cmd *cobra.Command) {
	for name, words := range map[string]cobra.CompletionFunc{
		"threshold": cobra.FixedCompletions([]string{"info", "warning", "error"}, cobra.ShellCompDirectiveNoFileComp),
		"include":   completeCodes, "exclude": completeCodes,
		"host":    cobra.NoFileCompletions,
		"workers": cobra.NoFileCompletions, "timeout": cobra.NoFileCompletions, "depth": cobra.NoFileCompletions,
		"cache-dir": completeFolders, "root": completeFolders, "live": completeFolders, "templates": completeFolders,
	} {
		if f := cmd.Flags().Lookup(name); f == nil {
			continue
		}
		if _, have := cmd.GetFlagCompletionFunc(name); !have {
			// It fails only for a flag that is not there, or has words already.
			_ = cmd.RegisterFlagCompletionFunc(name, words)
		}
	}
	for _, c := range cmd.Commands() {
		completeFlags(c)
	}
}

func completeFolders(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// completeCodes completes the codes of checks and of their families, the last of several between commas.
func completeCodes(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	before := typed[:strings.LastIndexByte(typed, ',')+1]
	var out []string
	families := map[string]bool{}
	for _, c := range aggregate.Catalog() {
		if family := c.Code[:3] + "xx"; !families[family] {
			families[family] = true
			out = append(out, describe(before, family, "all of them"))
		}
		out = append(out, describe(before, c.Code, c.Title))
	}
	return matching(out, typed), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeExplained completes the codes that are not there yet.
func completeExplained(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	there := map[string]bool{}
	for _, a := range args {
		there[strings.ToUpper(a)] = true
	}
	var out []string
	for _, c := range aggregate.Catalog() {
		if !there[c.Code] {
			out = append(out, describe("", c.Code, c.Title))
		}
	}
	return matching(out, typed), cobra.ShellCompDirectiveNoFileComp
}

// describe is a completion with what it means. Behind a comma it goes without: cobra's script for bash then looks for a text with
// the comma escaped, and finds none.
func describe(before, code, what string) string {
	if before != "" {
		return before + code
	}
	return cobra.CompletionWithDesc(code, what)
}

// matching leaves those that begin with what is typed, in either case.
func matching(words []string, typed string) []string {
	var out []string
	for _, w := range words {
		if len(w) >= len(typed) && strings.EqualFold(w[:len(typed)], typed) {
			out = append(out, w)
		}
	}
	return out
}

// completeGolden completes SOURCE as a file and DIR as a folder.
func completeGolden(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return nil, cobra.ShellCompDirectiveDefault
	case 1:
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}
