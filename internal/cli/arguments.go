package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stateward/stateward/internal/text"
)

// sayArguments has every command name the argument that is missing or too many, and what a misspelt word was meant to be.
func sayArguments(cmd *cobra.Command) {
	if accepts := cmd.Args; accepts != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := accepts(cmd, args); err != nil {
				return argumentFault(cmd, args, err)
			}
			return nil
		}
	}
	cmd.SetFlagErrorFunc(flagFault)
	for _, c := range cmd.Commands() {
		sayArguments(c)
	}
}

// placeholder is an argument in the usage of a command, such as POLICY, [SOURCE] or bash|zsh.
var placeholder = regexp.MustCompile(`^(?:\[?[A-Z]+(?:\.\.\.)?\]?|[a-z]+(?:\|[a-z]+)+)$`)

func argumentFault(cmd *cobra.Command, args []string, err error) error {
	said := err.Error()
	switch {
	case strings.HasPrefix(said, "unknown command ") && cmd.HasSubCommands():
		var known []string
		for _, c := range cmd.Commands() {
			known = append(known, c.Name())
		}
		return didYouMean(err, text.Nearest(args[0], known))
	case strings.HasPrefix(said, "unknown command "):
		return &hintedError{fmt.Errorf("%q is no argument of %s", args[0], cmd.CommandPath()), ""}
	case !strings.HasPrefix(said, "accepts "):
		return err
	}
	var wanted []string
	for _, word := range strings.Fields(cmd.Use)[1:] {
		if placeholder.MatchString(word) {
			wanted = append(wanted, word)
		}
	}
	usage := "write " + strings.TrimSuffix(cmd.UseLine(), " [flags]")
	switch {
	case len(args) < len(wanted):
		return &hintedError{fmt.Errorf("%s is missing", wanted[len(args)]), usage}
	case len(args) > len(wanted) && len(wanted) > 0:
		return &hintedError{fmt.Errorf("%q is one argument too many", args[len(wanted)]), usage}
	}
	return err
}

// flagFault says of a flag that is none which one was meant.
func flagFault(cmd *cobra.Command, err error) error {
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !ok {
		return err
	}
	var known []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { known = append(known, f.Name) })
	near := text.Nearest(name, known)
	if near != "" {
		near = "--" + near
	}
	return didYouMean(err, near)
}

func didYouMean(err error, near string) error {
	if near == "" {
		return err
	}
	return &hintedError{err, fmt.Sprintf("did you mean %s?", near)}
}

// unread says of a file that somebody named that it cannot be read, without the system call, and what to name. what is a flag, or empty.
func unread(what string, err error, hint string) error {
	if what != "" {
		what += ": "
	}
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		err = fmt.Errorf("%s%s: %w", what, p.Path, p.Err)
	} else if what != "" {
		err = fmt.Errorf("%s%w", what, err)
	}
	if hintOf(err) != "" {
		return err
	}
	return &hintedError{err, hint}
}
