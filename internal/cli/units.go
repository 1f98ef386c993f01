package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge"
)

// UnitsOutput is what `stateward eval --units -o json` prints.
type UnitsOutput struct {
	ProtocolVersion string `json:"protocolVersion"`
	// EvaluatedWith is what was asked of nix beyond the source (--impure, --override-input, --option): where there is any,
	// the source by itself may say something else.
	EvaluatedWith []string          `json:"evaluatedWith,omitempty"`
	Hosts         []HostUnitsOutput `json:"hosts"`
}

// HostUnitsOutput is one host of [UnitsOutput].
type HostUnitsOutput struct {
	Name   string           `json:"name"`
	Source string           `json:"source"`
	Status stateward.Status `json:"status"`
	Units  []UnitOutput     `json:"units"`
	// Packages bring units of their own, whose texts are only known once the packages are built.
	Packages []string `json:"packages"`
	// Unknown is what could not be had and is of no single unit.
	Unknown []stateward.Unknown `json:"unknown"`
	Error   *ErrorOutput        `json:"error,omitempty"`
}

// UnitOutput is one unit, as /etc/systemd/system will hold it.
type UnitOutput struct {
	Name string `json:"name"`
	// Path is where the unit will lie on the host.
	Path string `json:"path"`
	// Text leaves out the values of what is named like a secret.
	Text string `json:"text,omitempty"`
	// Masked tells that the unit is a link to /dev/null.
	Masked bool `json:"masked,omitempty"`
	// Derivation is the .drv that the text was read from; without one, it is what the option says.
	Derivation string         `json:"derivation,omitempty"`
	Scripts    []ScriptOutput `json:"scripts,omitempty"`
	// Unknown is what of the unit could not be had.
	Unknown []stateward.Unknown `json:"unknown,omitempty"`
}

// ScriptOutput is a script that a unit starts, or that such a script names.
type ScriptOutput struct {
	Path string `json:"path"`
	// Text leaves out the values of what is named like a secret.
	Text       string `json:"text"`
	Derivation string `json:"derivation,omitempty"`
}

// noUnitError says that no host has a unit that was asked for.
type noUnitError struct{ names []string }

func (e *noUnitError) Error() string {
	return "no host has a unit " + strings.Join(e.names, " or ")
}

func (e *noUnitError) Hint() string {
	return "stateward eval --units -o json lists them; \"*\" stands for any text, and a name without a suffix is that of a service"
}

// units prints the units of the hosts.
func (f *sourceFlags) units(ctx context.Context, env Env, args, only []string, output string) error {
	if !slices.Contains([]string{"", "text", "json"}, output) {
		return fmt.Errorf("--output with --units: %w", &notOneOf{output, []string{"text", "json"}})
	}
	if slices.Contains(only, "") {
		return fmt.Errorf("--unit is empty")
	}
	if len(f.dialects) > 0 {
		return fmt.Errorf("--dialect has no part in --units: the units of a host are the same with every dialect")
	}
	if err := f.prepare(env, args); err != nil {
		return err
	}
	e := f.evaluator(env, f.source.Kind)
	hosts, err := e.Units(ctx, f.source, only...)
	if refused := (*nixbridge.RefusedError)(nil); errors.As(err, &refused) {
		return err // wrong usage
	}
	if err != nil {
		return withStatus(StatusEvaluation, err)
	}
	with := &nixbridge.Evaluation{Impure: e.Impure, Overrides: e.OverrideInputs, NixOptions: e.NixOptions}
	out := UnitsOutput{ProtocolVersion: protocolVersion, EvaluatedWith: with.Flags()}
	if !f.quiet {
		noteFlags(env.Stderr, out.EvaluatedWith)
	}
	status, any, sure := StatusOK, false, true
	for _, h := range hosts {
		o := hostUnitsOutput(h)
		out.Hosts = append(out.Hosts, o)
		any = any || len(o.Units) > 0
		sure = sure && o.Status != stateward.StatusFailed && len(o.Unknown) == 0
		switch {
		case h.Err != nil:
			status = StatusEvaluation
			printError(env.Stderr, fmt.Errorf("host %s failed: %w", h.Name, h.Err))
		case o.Status != stateward.StatusOK && status == StatusOK:
			status = StatusFindings
		}
	}
	if len(only) > 0 && !any && sure {
		return withStatus(StatusEvaluation, &noUnitError{only})
	}
	if output == "json" {
		err = writeJSON(env, out)
	} else {
		_, err = env.Stdout.Write([]byte(unitsText(out)))
	}
	if err != nil {
		return withStatus(StatusStep, fmt.Errorf("cannot write the units: %w", err))
	}
	if status != StatusOK {
		return &statusError{status: status}
	}
	return nil
}

func hostUnitsOutput(h *nixbridge.HostUnits) HostUnitsOutput {
	o := HostUnitsOutput{Name: h.Name, Source: h.Source, Status: h.Status, Units: []UnitOutput{}, Packages: []string{}, Unknown: []stateward.Unknown{}}
	o.Packages = append(o.Packages, h.Packages...)
	o.Unknown = append(o.Unknown, h.Unknown...)
	if h.Err != nil {
		o.Error = errorOutput(h.Err)
	}
	for _, u := range h.Units {
		uo := UnitOutput{Name: u.Name, Path: "/etc/systemd/system/" + u.Name, Text: u.Text, Masked: u.Masked, Derivation: u.Derivation, Unknown: u.Unknown}
		if u.DropIn {
			uo.Path += ".d/overrides.conf"
		}
		for _, s := range u.Scripts {
			uo.Scripts = append(uo.Scripts, ScriptOutput(s))
		}
		o.Units = append(o.Units, uo)
	}
	return o
}

// unitsText prints units as systemctl cat does: each text under a line that names its file.
func unitsText(out UnitsOutput) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	body := func(s string) {
		if s == "" {
			b.WriteByte('\n')
			return
		}
		for l := range strings.SplitSeq(strings.TrimSuffix(s, "\n"), "\n") {
			// Tabs are kept: here they steer nothing, and scripts are indented with them.
			for i, part := range strings.Split(l, "\t") {
				if i > 0 {
					b.WriteByte('\t')
				}
				b.WriteString(inLine(part))
			}
			b.WriteByte('\n')
		}
		b.WriteByte('\n')
	}
	unknown := func(us []stateward.Unknown) {
		for _, u := range us {
			text := u.Subject + ": " + u.Message
			if u.File != "" {
				text += fmt.Sprintf(" (%s:%d)", u.File, u.Line)
			}
			line("# unknown: %s", inLine(text))
		}
	}
	for _, h := range out.Hosts {
		host := inLine(h.Name)
		for _, u := range h.Units {
			switch {
			case u.Masked:
				line("# %s: %s -> /dev/null", host, inLine(u.Path))
			case u.Text == "":
				line("# %s: %s", host, inLine(u.Path))
			case u.Derivation == "":
				line("# %s: %s, as the option says", host, inLine(u.Path))
			default:
				line("# %s: %s", host, inLine(u.Path))
			}
			unknown(u.Unknown)
			body(u.Text)
			for _, s := range u.Scripts {
				line("# %s: %s, of %s", host, inLine(s.Path), inLine(u.Name))
				body(s.Text)
			}
		}
	}
	if s := evaluatedWith(out.EvaluatedWith); s != "" {
		line("# %s", inLine(s))
	}
	for _, h := range out.Hosts {
		host := inLine(h.Name)
		if h.Error != nil {
			line("# %s: failed: %s", host, inLine(h.Error.Message))
			continue
		}
		n := 0
		for _, u := range h.Units {
			if len(u.Unknown) > 0 {
				n++
			}
		}
		text := fmt.Sprintf("# %s: %d units", host, len(h.Units))
		if len(h.Units) == 1 {
			text = fmt.Sprintf("# %s: 1 unit", host)
		}
		if n > 0 {
			text += fmt.Sprintf(", %d not known in full", n)
		}
		line("%s", text)
		unknown(h.Unknown)
		if len(h.Packages) > 0 {
			line("# not shown: the units that come with %s", inLine(strings.Join(h.Packages, ", ")))
		}
	}
	return b.String()
}
