package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/nixbridge"
)

// protocolVersion is the version of the JSON output.
const protocolVersion = "1"

// CheckOutput is what `stateward check -o json` prints.
type CheckOutput struct {
	ProtocolVersion string       `json:"protocolVersion"`
	Hosts           []HostOutput `json:"hosts"`
	// EvaluatedWith is what was asked of nix beyond the source (--impure, --override-input, --option): where there is any,
	// these are not the findings of the source by itself.
	EvaluatedWith []string `json:"evaluatedWith,omitempty"`
	// Findings are about the run as a whole, such as an acknowledgement of stateward.toml that matches
	// nothing on any host.
	Findings []stateward.Diagnostic `json:"findings,omitempty"`
	// Excluded counts by code those of Findings that are left out.
	Excluded map[string]int `json:"excluded,omitempty"`
	// ExcludedBy says which flags or file leave findings out.
	ExcludedBy string `json:"excludedBy,omitempty"`
	// NixFlakeCheck is how `nix flake check` ended, which only `stateward flake-check` runs.
	NixFlakeCheck *NixFlakeCheckOutput `json:"nixFlakeCheck,omitempty"`
	Baseline      *BaselineOutput      `json:"baseline,omitempty"`
}

// BaselineOutput says how the findings compare with those of an earlier check.
type BaselineOutput struct {
	File string `json:"file"`
	// New findings count; Known ones are in the baseline; of the Gone ones the baseline has something that is there no more.
	New   int `json:"new"`
	Known int `json:"known"`
	Gone  int `json:"gone"`
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
	// Excluded counts by code the findings that are left out.
	Excluded map[string]int `json:"excluded,omitempty"`
	Error    *ErrorOutput   `json:"error,omitempty"`

	// drills tells that records of restore drills were given.
	drills bool
}

// ErrorOutput is why a host failed.
type ErrorOutput struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// File is named as in findings, Line counts from 1; both are there where nix told them.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
}

type checkFlags struct {
	sourceFlags
	output    string
	threshold string
	color     string
	survival  bool
	summary   bool
	captures  []string
	drills    string
	all       bool
	include   []string
	exclude   []string
	baseline  string
	write     string
	at        time.Time
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
			if f.summary && f.survival {
				return fmt.Errorf("--summary and --survival exclude one another")
			}
			if err := f.prepare(env, args); err != nil {
				return err
			}
			r, err := f.newRun(env, cmd.Flags().Changed("threshold"))
			if err != nil {
				return err
			}
			captures, err := readCaptures(f.captures)
			if err != nil {
				return err
			}
			if r.drills, err = readDrillsFlag(f.drills); err != nil {
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
			out := r.check(hosts, observed)
			out.EvaluatedWith = f.with
			return f.tell(env, out, r)
		},
	}
	f.register(cmd)
	f.registerReport(cmd)
	fs := cmd.Flags()
	f.registerSeen(fs)
	fs.BoolVar(&f.dialectsRead, "dialects-read", false, "the dialects that the configuration file names are read already: SOURCE is a saved evaluation, and their files are not here")
	// For the builder of lib.mkCheck: what its source was read with is not there.
	_ = fs.MarkHidden("dialects-read")
	return cmd
}

// tell prints the report and writes it where that was asked for. The error carries the exit status.
func (f *checkFlags) tell(env Env, out CheckOutput, r *checkRun) error {
	if err := f.print(env, out, r); err != nil {
		return withStatus(StatusStep, err)
	}
	if err := f.writeReports(out); err != nil {
		return withStatus(StatusStep, fmt.Errorf("cannot write the report: %w", err))
	}
	if status := out.status(r.threshold); status != StatusOK {
		return &statusError{status: status}
	}
	return nil
}

// registerReport registers the flags of what is told.
func (f *checkFlags) registerReport(cmd *cobra.Command) {
	fs := cmd.Flags()
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text, json, sarif or github (workflow commands)", "text", "text", "json", "sarif", "github")
	choiceFlag(cmd, &f.color, "color", "", "colour `WHEN`: auto (on a terminal), always or never", "auto", "auto", "always", "never")
	f.registerJudging(cmd)
	fs.BoolVar(&f.all, "all", false, "list the findings that are in the baseline as well")
	fs.BoolVar(&f.survival, "survival", false, "list every state path and what it survives")
	fs.BoolVar(&f.summary, "summary", false, "print the table of hosts only")
	fs.Var(wordFlag{&f.write}, "write", "write the report to `DIR` as well, as report.txt and report.json")
	fs.Var(dayFlag{&f.at}, "at", "judge what is accepted up to a day as on this `DAY`, such as 2027-01-31 (default: today)")
}

// registerSeen registers the flags of what was seen on hosts.
func (f *checkFlags) registerSeen(fs *pflag.FlagSet) {
	fs.StringArrayVar(&f.captures, "capture", nil, "what \"stateward capture persist\" or \"capture zfs\" saw on a host (`FILE`); may be repeated")
	fs.StringVar(&f.drills, "drills", "", "the records of restore drills, of this host or of several, below `DIR`")
}

// registerJudging registers the flags of every command that judges hosts.
func (f *checkFlags) registerJudging(cmd *cobra.Command) {
	fs := cmd.Flags()
	fs.StringVar(&f.threshold, "threshold", "warning", "least `SEVERITY` that makes the exit status 1: info, warning or error")
	fs.StringSliceVar(&f.include, "include", nil, "only the findings of `CODE`, or of a family such as SW1xx; may be repeated")
	fs.StringSliceVar(&f.exclude, "exclude", nil, "without the findings of `CODE`, or of a family; they are counted")
	fs.StringVar(&f.baseline, "baseline", "", "let only findings count that are not in `FILE`, an earlier check -o json")
}

// checkRun is what a check goes by, once flags and configuration are put together.
type checkRun struct {
	acks      []stateward.Acknowledgement
	now       time.Time
	threshold stateward.Severity
	selection selection
	baseline  *baseline
	// drills is nil where no records are given.
	drills *aggregate.Drills
	// baselineFile is its name as it was given.
	baselineFile string
	// fleet are the hosts that could be evaluated.
	fleet []*stateward.Host
	// complete tells that all hosts of the source are loaded.
	complete bool
}

// newRun puts flags and configuration together; flags win.
func (f *checkFlags) newRun(env Env, thresholdGiven bool) (*checkRun, error) {
	r := &checkRun{acks: f.conf.acks, now: env.now(), baselineFile: f.baseline}
	if !f.at.IsZero() {
		r.now = f.at
	}
	threshold := f.threshold
	if !thresholdGiven && f.conf.threshold != "" {
		threshold = f.conf.threshold
	}
	var err error
	if r.threshold, err = stateward.ParseSeverity(threshold); err != nil {
		return nil, fmt.Errorf("--threshold: %w", err)
	}
	if r.selection, err = newSelection(f.include, f.exclude, f.conf); err != nil {
		return nil, err
	}
	if r.baseline, err = readBaseline(f.baseline); err != nil {
		return nil, err
	}
	if f.all && r.baseline == nil {
		return nil, fmt.Errorf("--all lists what is in a baseline, and there is no --baseline")
	}
	// Of a saved evaluation nobody knows whether there were more.
	r.complete = len(f.hosts) == 0 && len(f.source.Attr) == 0 && f.source.Kind != nixbridge.SavedSource
	return r, nil
}

// check judges every host, and the run as a whole.
func (r *checkRun) check(hosts []loaded, observed map[int][]captured) CheckOutput {
	out := CheckOutput{ProtocolVersion: protocolVersion, ExcludedBy: r.selection.by}
	matched := make([]int, len(r.acks))
	r.fleet = nil
	for _, l := range hosts {
		if l.host != nil {
			r.fleet = append(r.fleet, l.host)
		}
	}
	for i, l := range hosts {
		h, n := r.checkHost(l, observed[i])
		for k := range n {
			matched[k] += n[k]
		}
		h.Findings, h.Excluded = r.selection.split(h.Findings)
		h.Findings = r.baseline.mark(h.Name, h.Findings)
		out.Hosts = append(out.Hosts, h)
	}
	for i, a := range r.acks {
		if matched[i] == 0 && r.sawAll(a, out.Hosts) {
			out.Findings = append(out.Findings, aggregate.Unmatched(a))
		}
	}
	if len(out.Findings) > 0 {
		out.Findings, out.Excluded = r.selection.split(out.Findings)
	}
	out.Findings = r.baseline.mark("", out.Findings)
	if r.baseline != nil {
		out.Baseline = r.compare(out)
	}
	return out
}

// sees tells whether a host was seen in full, as far as one check goes: some of them only speak of what was seen on the
// host itself.
func (h HostOutput) sees(code string) bool {
	if h.Status != stateward.StatusOK {
		return false
	}
	c, err := findCheck(code)
	return err == nil && (!c.Observes() || h.sawRoots()) && (!c.ReadsDrills() || h.drills) && (!c.ReadsPools() || h.sawPools())
}

func (h HostOutput) sawPools() bool {
	return slices.ContainsFunc(h.Captures, func(c CaptureOutput) bool { return c.Pools != nil })
}

func (h HostOutput) sawRoots() bool {
	return slices.ContainsFunc(h.Captures, func(c CaptureOutput) bool { return c.Pools == nil })
}

// sawAll tells whether every host that an acknowledgement can be about was seen in full.
func (r *checkRun) sawAll(a stateward.Acknowledgement, hosts []HostOutput) bool {
	all := r.complete
	for _, h := range hosts {
		switch {
		case a.Host == h.Name:
			return h.sees(a.Code)
		case a.Host == "" && !h.sees(a.Code):
			all = false
		}
	}
	return all
}

func (r *checkRun) compare(out CheckOutput) *BaselineOutput {
	b := &BaselineOutput{File: r.baselineFile}
	now := map[aggregate.FaultID]int{}
	count := func(host string, findings []stateward.Diagnostic) {
		for _, d := range findings {
			for _, id := range aggregate.Identify(host, d) {
				now[id]++
			}
			switch {
			case d.Counts():
				b.New++
			case d.Acknowledged == "":
				b.Known++
			}
		}
	}
	whole := r.complete
	hosts := map[string]HostOutput{}
	count("", out.Findings)
	for _, h := range out.Hosts {
		count(h.Name, h.Findings)
		hosts[h.Name] = h
		whole = whole && h.Status == stateward.StatusOK
	}
	b.Gone = r.baseline.gone(now, func(id aggregate.FaultID) bool {
		if !r.selection.has(id.Code) {
			return false
		}
		if id.Host == "" {
			return whole
		}
		h, ok := hosts[id.Host]
		return ok && h.sees(id.Code)
	})
	return b
}

// checkHost runs the checks over one host, and counts what each acknowledgement from outside matches.
func (r *checkRun) checkHost(l loaded, seen []captured) (HostOutput, []int) {
	h := HostOutput{
		Name: l.name, Source: l.source, Status: stateward.StatusFailed,
		Dialects: []string{}, Findings: []stateward.Diagnostic{}, Survival: []stateward.SurvivalRow{}, Unknown: []stateward.Unknown{},
	}
	if l.err != nil {
		h.Error = errorOutput(l.err)
		return h, nil
	}
	h.drills = r.drills != nil
	h.Captures = describeCaptures(seen, r.now)
	report := aggregate.Lint(aggregate.Input{Host: l.host, Fleet: r.fleet, Observed: observedOf(seen), Drills: r.drills, Acknowledgements: r.acks, Now: r.now})
	h.Status = l.host.Status
	h.Root = &report.Root
	h.Dialects = append(h.Dialects, l.host.Dialects...)
	h.Findings = append(h.Findings, report.Findings...)
	h.Survival = append(h.Survival, report.Survival...)
	h.Unknown = append(h.Unknown, l.host.Unknown...)
	return h, report.Matched
}

// status is the exit status.
func (o CheckOutput) status(threshold stateward.Severity) int {
	status := StatusOK
	counts := func(findings []stateward.Diagnostic) {
		for _, d := range findings {
			if d.Severity >= threshold && d.Counts() {
				status = StatusFindings
			}
		}
	}
	counts(o.Findings)
	for _, h := range o.Hosts {
		if h.Status == stateward.StatusFailed {
			return StatusEvaluation
		}
		counts(h.Findings)
	}
	if o.NixFlakeCheck != nil && o.NixFlakeCheck.Status != 0 {
		return StatusStep
	}
	return status
}

func (f *checkFlags) print(env Env, out CheckOutput, r *checkRun) error {
	switch f.output {
	case "json":
		return writeJSON(env, out)
	case "sarif":
		return writeJSON(env, newSARIF(out, r, newPlaces(env, f.source)))
	case "github":
		return writeGitHub(env.Stdout, out, newPlaces(env, f.source))
	}
	colour := f.color == "always" || f.color == "auto" && env.StdoutTerminal && env.Getenv("NO_COLOR") == "" && env.Getenv("TERM") != "dumb"
	t := newTextReport(env.Stdout, colour, f.survival, f.summary)
	t.all = f.all
	return t.write(out)
}

// writeReports writes the report to the folder that was named, for people and for programs.
func (f *checkFlags) writeReports(out CheckOutput) error {
	if f.write == "" {
		return nil
	}
	if err := os.MkdirAll(f.write, 0o755); err != nil {
		return err
	}
	var text, data bytes.Buffer
	t := newTextReport(&text, false, f.survival, f.summary)
	t.all = f.all
	err := cmp.Or(t.write(out), writeJSON(Env{Stdout: &data}, out))
	return cmp.Or(err, writeFile(filepath.Join(f.write, "report.txt"), text.Bytes(), 0o644), writeFile(filepath.Join(f.write, "report.json"), data.Bytes(), 0o644))
}

func writeJSON(env Env, v any) error {
	enc := json.NewEncoder(env.Stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
