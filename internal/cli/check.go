package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// protocolVersion is the version of the JSON output.
const protocolVersion = "1"

// CheckOutput is what `stateward check -o json` prints.
type CheckOutput struct {
	ProtocolVersion string       `json:"protocolVersion"`
	Hosts           []HostOutput `json:"hosts"`
}

// HostOutput is one host of [CheckOutput].
type HostOutput struct {
	Name     string           `json:"name"`
	Source   string           `json:"source"`
	Status   stateward.Status `json:"status"`
	Dialects []string         `json:"dialects"`
	// Root says whether the root file system is wiped at every boot.
	Root     *aggregate.RootState    `json:"root,omitempty"`
	Findings []stateward.Diagnostic  `json:"findings"`
	Survival []stateward.SurvivalRow `json:"survival"`
	Unknown  []stateward.Unknown     `json:"unknown"`
	// Captures are what was seen on the host itself, as given with --capture.
	Captures []CaptureOutput `json:"captures,omitempty"`
	Error    *ErrorOutput    `json:"error,omitempty"`
}

// ErrorOutput is why a host failed.
type ErrorOutput struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

type checkFlags struct {
	sourceFlags
	output    string
	threshold string
	color     string
	survival  bool
	summary   bool
	captures  []string
}

func newCheck(env Env) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [SOURCE]",
		Short: "Say what would be lost",
		Long: `Check evaluates every host of SOURCE with nix and says which state of its enabled
services would be lost, and what else is wrong with how it is kept.

What could not be evaluated is listed, and where a check needed it, it is a finding:
nothing is reported as fine that was not seen.

` + exitStatus,
		Example: "  stateward check\n  stateward check .#forge --survival\n  stateward check hosts.json -o json --threshold error",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOneOf("--output", f.output, "text", "json"); err != nil {
				return err
			}
			if err := checkOneOf("--color", f.color, "auto", "always", "never"); err != nil {
				return err
			}
			if f.summary && f.survival {
				return fmt.Errorf("--summary and --survival exclude one another")
			}
			threshold, err := stateward.ParseSeverity(f.threshold)
			if err != nil {
				return fmt.Errorf("--threshold: %w", err)
			}
			captures, err := readCaptures(f.captures)
			if err != nil {
				return err
			}
			hosts, err := f.load(cmd.Context(), env, args)
			if err != nil {
				return err
			}
			observed, err := assignCaptures(captures, hosts)
			if err != nil {
				return err
			}
			out := CheckOutput{ProtocolVersion: protocolVersion}
			now := env.now()
			for i, l := range hosts {
				out.Hosts = append(out.Hosts, checkHost(l, observed[i], now))
			}
			if err := f.print(env, out); err != nil {
				return withStatus(StatusStep, err)
			}
			return out.status(threshold)
		},
	}
	f.register(cmd)
	fs := cmd.Flags()
	fs.StringVarP(&f.output, "output", "o", "text", "`FORMAT` of the output: text or json")
	fs.StringVar(&f.threshold, "threshold", "warning", "least `SEVERITY` that makes the exit status 1: info, warning or error")
	fs.StringVar(&f.color, "color", "auto", "colour `WHEN`: auto (on a terminal), always or never")
	fs.StringArrayVar(&f.captures, "capture", nil, "what \"stateward capture persist\" saw on a host (`FILE`); may be repeated")
	fs.BoolVar(&f.survival, "survival", false, "list every state path and what it survives")
	fs.BoolVar(&f.summary, "summary", false, "print the table of hosts only")
	return cmd
}

func checkHost(l loaded, seen []captured, now time.Time) HostOutput {
	h := HostOutput{
		Name: l.name, Source: l.source, Status: stateward.StatusFailed,
		Dialects: []string{}, Findings: []stateward.Diagnostic{}, Survival: []stateward.SurvivalRow{}, Unknown: []stateward.Unknown{},
	}
	if l.err != nil {
		h.Error = &ErrorOutput{Message: l.err.Error()}
		var hint hinter
		if errors.As(l.err, &hint) {
			h.Error.Hint = hint.Hint()
		}
		return h
	}
	h.Captures = describeCaptures(seen, now)
	report := aggregate.Lint(aggregate.Input{Host: l.host, Observed: observedOf(seen), Now: now})
	h.Status = l.host.Status
	h.Root = &report.Root
	h.Dialects = append(h.Dialects, l.host.Dialects...)
	h.Findings = append(h.Findings, report.Findings...)
	h.Survival = append(h.Survival, report.Survival...)
	h.Unknown = append(h.Unknown, l.host.Unknown...)
	return h
}

// status is the exit status as an error; nil means 0.
func (o CheckOutput) status(threshold stateward.Severity) error {
	status := StatusOK
	for _, h := range o.Hosts {
		if h.Status == stateward.StatusFailed {
			return &statusError{status: StatusEvaluation}
		}
		for _, d := range h.Findings {
			if d.Severity >= threshold && d.Acknowledged == "" {
				status = StatusFindings
			}
		}
	}
	if status == StatusOK {
		return nil
	}
	return &statusError{status: status}
}

func (f *checkFlags) print(env Env, out CheckOutput) error {
	if f.output == "json" {
		return writeJSON(env, out)
	}
	colour := f.color == "always" || f.color == "auto" && env.StdoutTerminal && env.Getenv("NO_COLOR") == "" && env.Getenv("TERM") != "dumb"
	return newTextReport(env.Stdout, colour, f.survival, f.summary).write(out)
}

func writeJSON(env Env, v any) error {
	enc := json.NewEncoder(env.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
