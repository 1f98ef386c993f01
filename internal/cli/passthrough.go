package cli

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/nixbridge"
)

// passFlags are what is asked of nix beyond the source. They are flags only: an override is of the moment, and nothing that
// stateward.toml should make stay.
type passFlags struct {
	impure    bool
	overrides []nixbridge.InputOverride
	options   []nixbridge.NixOption
}

func (p *passFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.BoolVar(&p.impure, "impure", false, "let a flake read this machine; of the environment it sees no more than nix is given")
	fs.Var(pairFlag{"--override-input nixpkgs path:../nixpkgs", func(name, ref string) {
		p.overrides = append(p.overrides, nixbridge.InputOverride{Name: name, Ref: ref})
	}}, "override-input", "take a flake input from elsewhere (`NAME REF`, or NAME=REF); may be repeated")
	fs.Var(pairFlag{"--option max-call-depth 20000", func(name, value string) {
		p.options = append(p.options, nixbridge.NixOption{Name: name, Value: value})
	}}, "option", "set an option of nix (`NAME VALUE`, or NAME=VALUE); may be repeated")
}

// apply asks an evaluator for it.
func (p *passFlags) apply(e *nixbridge.Evaluator) {
	e.Impure, e.OverrideInputs, e.NixOptions = p.impure, p.overrides, p.options
}

// pairFlag is a flag of two words, which comes as NAME=VALUE: [joinPairs] writes it so.
type pairFlag struct {
	example string
	add     func(name, value string)
}

func (pairFlag) String() string { return "" }

// Type is what the usage calls the value, where its text does not.
func (pairFlag) Type() string { return "string" }

func (p pairFlag) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return &pairError{p.example}
	}
	p.add(name, value)
	return nil
}

// pairError says that a flag of two words was given one.
type pairError struct{ example string }

func (e *pairError) Error() string { return "it takes two words" }
func (e *pairError) Hint() string  { return "write " + e.example }

// joinPairs lets flags of two words be written as nix has them, `--option NAME VALUE`, which the library for flags knows
// nothing of: the two become one. A first word with "=" in it is both already.
func joinPairs(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return append(out, args[i:]...)
		}
		if slices.Contains([]string{"--override-input", "--option"}, a) && i+2 < len(args) && !strings.ContainsAny(args[i+1][:min(1, len(args[i+1]))], "-") && !strings.Contains(args[i+1], "=") {
			a += "=" + args[i+1] + "=" + args[i+2]
			i += 2
		}
		out = append(out, a)
	}
	return out
}

// evaluatedWith says in one line that this is not what the source by itself evaluates to; empty where it is.
func evaluatedWith(flags []string) string {
	if len(flags) == 0 {
		return ""
	}
	return "evaluated with " + strings.Join(flags, " ") + ": the source by itself may say something else"
}

// noteFlags says it to who sees no report of a check.
func noteFlags(w io.Writer, flags []string) {
	if s := evaluatedWith(flags); s != "" {
		fmt.Fprintf(w, "stateward: note: %s\n", inLine(s))
	}
	if slices.Contains(flags, "--impure") {
		// nix would pass it on: whoever relies on that reads wrong values, and no error.
		fmt.Fprintln(w, `stateward: note: your environment is not passed on, even with --impure: builtins.getEnv gives "" for your own variables (docs/evaluation.md)`)
	}
}
