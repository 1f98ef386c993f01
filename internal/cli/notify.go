package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/backup/notify"
	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/backup/restic"
	execbackup "github.com/stateward/stateward/internal/exec/backup"
	execnotify "github.com/stateward/stateward/internal/exec/notify"
	execpitr "github.com/stateward/stateward/internal/exec/pitr"
	execpreseed "github.com/stateward/stateward/internal/exec/preseed"
	"github.com/stateward/stateward/preseed"
)

// NotifyOutput is what `stateward notify -o json` prints.
type NotifyOutput struct {
	ProtocolVersion string `json:"protocolVersion"`
	// DryRun tells that nothing was sent.
	DryRun bool `json:"dryRun,omitempty"`
	notify.Message
	Channels []NotifyChannelOutput `json:"channels"`
}

// NotifyChannelOutput is what came of a channel.
type NotifyChannelOutput struct {
	execnotify.Result
	// Error is why it was not sent.
	Error *ErrorOutput `json:"error,omitempty"`
	// Request is what would be sent, with "***" for what is secret; only with --dry-run.
	Request *NotifyRequestOutput `json:"request,omitempty"`
}

// NotifyRequestOutput is a request of HTTP.
type NotifyRequestOutput struct {
	Method string `json:"method"`
	URL    string `json:"url"`
	// Header are the lines of its head.
	Header []string `json:"header"`
	Body   string   `json:"body"`
}

// NotifyUnitsOutput is what `stateward notify units -o json` prints.
type NotifyUnitsOutput struct {
	ProtocolVersion string        `json:"protocolVersion"`
	Units           []notify.Unit `json:"units"`
}

type notifyFlags struct {
	plan, event, unit, job, stateDir string
	preseed, preseedDir, pitrDir     string
	output                           string
	dryRun                           bool
}

func readNotifyPlan(file string) (notify.Plan, error) {
	if file == "" {
		return notify.Plan{}, &flagMissing{"--plan", "name the file that says who is told: --plan FILE; docs/notifications.md shows one"}
	}
	text, err := readRegular(file, maxConfig)
	if err != nil {
		return notify.Plan{}, withStatus(StatusEvaluation, &notifyFileError{err})
	}
	p, err := notify.ReadPlan(text)
	if err != nil {
		return notify.Plan{}, withStatus(StatusEvaluation, fmt.Errorf("%s: %w", file, err))
	}
	return p, nil
}

// flagMissing says that a flag is required.
type flagMissing struct{ flag, hint string }

func (e *flagMissing) Error() string { return e.flag + " is missing" }
func (e *flagMissing) Hint() string  { return e.hint }

// notifyFileError says that the file of --plan cannot be read.
type notifyFileError struct{ err error }

func (e *notifyFileError) Error() string { return (&planFileError{err: e.err}).Error() }
func (e *notifyFileError) Unwrap() error { return e.err }
func (e *notifyFileError) Hint() string {
	return "nobody was told: name the file that says who is; docs/notifications.md shows one"
}

// notSentError says that not all channels took a message.
type notSentError struct{ failed, of int }

func (e *notSentError) Error() string {
	if e.of == 1 {
		return "the channel did not take the message"
	}
	return fmt.Sprintf("%d of %d channels did not take the message", e.failed, e.of)
}

func newNotify(env Env) *cobra.Command {
	var f notifyFlags
	cmd := &cobra.Command{
		Use:   "notify --plan FILE --event TEMPLATE",
		Short: "Tell people how a job or a unit ended",
		Long: `Notify sends a message to the channels of a plan that carry its template: ntfy, pushover,
healthchecks, a webhook. It is what the units that "stateward notify units" writes start.

What the message says of a unit comes from the record of the backup job, the preseed or the job of an
archived cluster that the unit runs, where there is one, and from systemd else. Nothing of the journal is sent: secrets may be in there.

A channel that does not answer is tried four times in all; the others are told meanwhile. What is
secret is read from files, and never printed. With --dry-run nothing is sent, and no
such file is read. A proxy is taken from HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

EXIT STATUS
  0  all channels that carry the template took the message
  2  wrong usage
  3  the plan could not be read
  4  a channel did not take the message, or none carries the template`,
		Example: "  stateward notify --plan notify.json --event failure --unit stateward-backup-paperless.service\n  stateward notify --plan notify.json --event critical --job paperless --dry-run",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), env)
		},
	}
	fs := cmd.Flags()
	fs.Var(wordFlag{&f.plan}, "plan", "who is told what: a `FILE` of JSON")
	fs.Var(wordFlag{&f.event}, "event", "the `TEMPLATE` to send: start, success, failure, critical, or one of the plan")
	fs.Var(wordFlag{&f.unit}, "unit", "tell of the unit `NAME` of systemd")
	fs.Var(wordFlag{&f.job}, "job", "tell of the newest run of the backup job `NAME`")
	fs.Var(wordFlag{&f.preseed}, "preseed", "tell of the newest run of the preseed `NAME`")
	fs.BoolVar(&f.dryRun, "dry-run", false, "say what would be sent, and send nothing")
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text or json", "text", "text", "json")
	fs.StringVar(&f.stateDir, "state-dir", restic.StateDir, "the records of backup jobs are in `DIR`")
	fs.StringVar(&f.preseedDir, "preseed-state-dir", preseed.StateDir, "the records of preseeds are in `DIR`")
	fs.StringVar(&f.pitrDir, "pitr-state-dir", pitr.StateDir, "the records of archived clusters are in `DIR`")
	cmd.AddCommand(newNotifyUnits(env))
	return cmd
}

func (f *notifyFlags) run(ctx context.Context, env Env) error {
	p, err := readNotifyPlan(f.plan)
	if err != nil {
		return err
	}
	if f.event == "" {
		return &flagMissing{"--event", "name the template to send, such as --event failure"}
	}
	t, ok := p.All()[f.event]
	if !ok {
		_, err := p.Message(f.event, notify.Facts{})
		return err
	}
	switch {
	case f.unit != "" && f.job != "", f.preseed != "" && f.unit+f.job != "":
		return errors.New("--unit, --job and --preseed exclude one another")
	case f.unit+f.job+f.preseed == "":
		return &flagMissing{"--unit", "say of what to tell: --unit NAME, --job NAME or --preseed NAME"}
	case f.preseed != "" && badPlanName(f.preseed):
		return withStatus(StatusUsage, &preseedUsageError{fmt.Sprintf("--preseed: %q is no name of a plan", f.preseed), "write the name that its file has in it, not that of the file"})
	case notify.IsNotification(f.unit):
		// A drop-in for all services has it started for itself too.
		fmt.Fprintf(env.Stderr, "stateward: %s sends notifications itself: nothing is sent of it\n", inLine(f.unit))
		return nil
	}
	facts := f.facts(ctx, env, t)
	m, err := p.Message(f.event, facts)
	if err != nil {
		return withStatus(StatusStep, err)
	}
	out := NotifyOutput{ProtocolVersion: protocolVersion, DryRun: f.dryRun, Message: m, Channels: []NotifyChannelOutput{}}
	failed := 0
	if f.dryRun {
		for _, c := range p.For(f.event) {
			r, err := c.Request(m, notify.Hidden())
			if err != nil {
				return withStatus(StatusStep, err)
			}
			shown := &NotifyRequestOutput{Method: "POST", URL: r.URL, Header: []string{"Content-Type: " + r.Type}, Body: r.Body}
			for _, h := range r.Header {
				shown.Header = append(shown.Header, h[0]+": "+h[1])
			}
			out.Channels = append(out.Channels, NotifyChannelOutput{Result: execnotify.Result{Channel: c.Name, Type: c.Type}, Request: shown})
		}
	} else {
		for _, r := range execnotify.Send(ctx, p, m, execnotify.Options{}) {
			o := NotifyChannelOutput{Result: r}
			if r.Err != nil {
				failed++
				o.Error = errorOutput(r.Err)
			}
			out.Channels = append(out.Channels, o)
		}
	}
	if f.output == "json" {
		if err := writeJSON(env, out); err != nil {
			return withStatus(StatusStep, err)
		}
		if failed > 0 {
			return &statusError{status: StatusStep}
		}
		return nil
	}
	printNotify(env, out)
	if failed > 0 {
		return withStatus(StatusStep, &notSentError{failed, len(out.Channels)})
	}
	return nil
}

func printNotify(env Env, out NotifyOutput) {
	w := env.Stdout
	fmt.Fprintf(w, "%s: %s\n", inLine(out.Event), inLine(out.Title))
	if !out.DryRun {
		for _, c := range out.Channels {
			if c.Error == nil {
				fmt.Fprintf(w, "  %s (%s): sent\n", c.Channel, c.Type)
				continue
			}
			reason := strings.TrimPrefix(c.Error.Message, fmt.Sprintf("channel %q: ", c.Channel))
			fmt.Fprintf(w, "  %s (%s): not sent: %s\n", c.Channel, c.Type, inLine(reason))
			if c.Error.Hint != "" {
				fmt.Fprintf(w, "    hint: %s\n", inLine(c.Error.Hint))
			}
		}
		return
	}
	for line := range strings.SplitSeq(out.Body, "\n") {
		fmt.Fprintf(w, "  %s\n", inLine(line))
	}
	for _, c := range out.Channels {
		fmt.Fprintf(w, "\n%s (%s): %s %s\n", c.Channel, c.Type, c.Request.Method, inLine(c.Request.URL))
		for _, h := range c.Request.Header {
			fmt.Fprintf(w, "  %s\n", inLine(h))
		}
		for line := range strings.SplitSeq(c.Request.Body, "\n") {
			fmt.Fprintf(w, "  %s\n", inLine(line))
		}
	}
}

// stale is how long after its end a run is no longer the one that is told of: what it starts is started at once.
const stale = 15 * time.Minute

// facts are what is known of the run. What cannot be had is said on standard error, and the message is sent all the same (E12).
func (f *notifyFlags) facts(ctx context.Context, env Env, t notify.Template) notify.Facts {
	facts := notify.Facts{Job: f.job, Unit: f.unit, Now: env.now()}
	if host, err := env.hostname(); err == nil {
		facts.Host = host
	}
	if f.unit != "" {
		if name, ok := strings.CutPrefix(strings.TrimSuffix(f.unit, ".service"), restic.UnitPrefix); ok && !strings.ContainsAny(name, "/") {
			facts.Job = name
		}
		if name, ok := strings.CutPrefix(strings.TrimSuffix(f.unit, ".service"), preseed.UnitPrefix); ok && !badPlanName(name) {
			facts.Preseed = name
		}
	}
	if f.preseed != "" {
		facts.Preseed = f.preseed
	}
	if t.Ping == notify.PingStart {
		facts.Outcome = "started"
		return facts // what is known is of an earlier run
	}
	tell := func(err error) {
		if err != nil {
			printError(env.Stderr, err)
			facts.Message = err.Error()
		}
	}
	var state execnotify.State
	if f.unit != "" {
		var err error
		state, err = execnotify.UnitState(ctx, f.unit, env.Getenv)
		tell(err)
		facts.Outcome, facts.ExitStatus = state.Result, state.ExitStatus
		facts.Started, facts.Ended = state.Started, state.Ended
	}
	if facts.Preseed != "" {
		tell(f.preseedFacts(&facts, state, t.Ping == notify.PingFail))
		return facts
	}
	if job, name, ok := pitrUnit(f.unit); ok {
		tell(f.pitrFacts(&facts, job, name, state, t.Ping == notify.PingFail))
		return facts
	}
	if facts.Job == "" {
		return facts
	}
	rec, err := execbackup.ReadRecord(f.stateDir, facts.Job)
	switch {
	case err != nil:
		tell(err)
		return facts
	case rec == nil && f.job != "":
		facts.Outcome, facts.Message, facts.NeverGood = "unknown", "the job never ran", true
		return facts
	case rec == nil:
		return facts // a job that was killed in its first run, or another's unit
	}
	facts.NeverGood = rec.LastGood == nil
	if g := rec.LastGood; g != nil {
		facts.LastGood, facts.Files, facts.Bytes, facts.Snapshot = g.Time, g.Files, g.Bytes, g.Snapshot
	}
	last := rec.LastRun
	if last == nil {
		return facts
	}
	if f.unit == "" {
		facts.Outcome, facts.Message, facts.Started, facts.Ended = string(last.Outcome), last.Message, last.Started, last.Ended
		return facts
	}
	fails := t.Ping == notify.PingFail
	switch {
	case last.Started.Before(state.Started):
		// The run that ended did not come to write anything down.
		facts.Message = "the run ended before it could write down what came of it"
	case fails && (last.Outcome == restic.Complete && (state.Result == "success" || state.Result == "") || facts.Now.Sub(last.Ended) > stale):
		// The unit was not even started, such as where a mount that it needs failed: what is known is of an earlier run.
		facts.Outcome, facts.ExitStatus = "not run", ""
		facts.Started, facts.Ended = time.Time{}, time.Time{}
		facts.Message = fmt.Sprintf("the unit was not started, or something it needs failed; its newest run ended at %s: %s", last.Ended.Format(time.RFC3339), last.Outcome)
	case fails && last.Outcome == restic.Complete:
		facts.Started, facts.Ended = last.Started, last.Ended
		facts.Message = "the run itself is complete, and the unit failed after it"
	default:
		facts.Outcome, facts.Message, facts.Started, facts.Ended = string(last.Outcome), last.Message, last.Started, last.Ended
	}
	return facts
}

// badPlanName says whether a text cannot be the name of a plan of preseed, which is a folder.
func badPlanName(name string) bool {
	return name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".")
}

// preseedFacts are those of a run of a preseed: of one that waits, where one does, else of the newest, which is that of the unit unless it ended before the
// unit was started.
func (f *notifyFlags) preseedFacts(facts *notify.Facts, state execnotify.State, fails bool) error {
	s, err := execpreseed.ReadStatus(f.preseedDir, facts.Preseed)
	if err != nil {
		return err
	}
	rec := s.Newest
	waits := s.Waiting.Waits(facts.Now)
	switch {
	case waits:
		rec = s.Waiting
	case rec == nil && f.unit == "":
		facts.Outcome, facts.Message = "unknown", "no run of it came to its end"
		return nil
	case rec == nil, rec.Ended.Before(state.Started):
		facts.Message = "the run ended before it could write down what came of it"
		facts.Hint = "journalctl -u " + preseed.UnitPrefix + facts.Preseed + ".service"
		return nil
	case f.unit != "" && fails && rec.Start && rec.Outcome != preseed.ConfirmedNoBackup:
		// The unit was not even started, such as where a pool could not be imported: what is known is of an earlier run.
		facts.Outcome, facts.ExitStatus = "not run", ""
		facts.Started, facts.Ended = time.Time{}, time.Time{}
		facts.Message = fmt.Sprintf("%s stays down: the unit was not started, or something it needs failed; its newest run ended at %s: %s", rec.Service, rec.Ended.Format(time.RFC3339), rec.Outcome)
		facts.Hint = "systemctl list-dependencies --after " + f.unit
		return nil
	}
	facts.Outcome, facts.Message, facts.Started, facts.Ended = string(rec.Outcome), rec.Headline(), rec.Started, rec.Ended
	if waits {
		facts.Ended, facts.ExitStatus = facts.Now, ""
		facts.Message = rec.Service + " has been waiting since " + rec.Started.Format(time.RFC3339) + ": " + rec.Why
	}
	if !rec.Start {
		facts.Hint = rec.Hint
	}
	if rec.RecoveryPoint != nil {
		facts.Source, facts.RecoveryPoint, facts.Files, facts.Bytes = string(rec.Source), *rec.RecoveryPoint, rec.Files, rec.Bytes
	}
	return nil
}

// pitrUnit is the job and the cluster of a unit of an archived one.
func pitrUnit(unit string) (job, name string, ok bool) {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(unit, ".service"), pitr.UnitPrefix)
	if !ok {
		return "", "", false
	}
	job, name, ok = strings.Cut(rest, "-")
	return job, name, ok && slices.Contains(execpitr.Jobs(), job) && !badPlanName(name)
}

// pitrFacts are those of a job of an archived cluster: of its newest run, unless that ended before the unit was started.
func (f *notifyFlags) pitrFacts(facts *notify.Facts, job, name string, state execnotify.State, fails bool) error {
	facts.Job, facts.Files, facts.Bytes = "pitr "+job+" of "+name, -1, -1
	rec, err := execpitr.ReadRecord(f.pitrDir, name, job)
	if err != nil {
		return err
	}
	if rec == nil {
		rec = &execpitr.Record{}
	}
	facts.NeverGood = rec.LastComplete == nil
	if rec.LastComplete != nil {
		facts.LastGood = *rec.LastComplete
	}
	switch last := rec.LastRun; {
	case last == nil, last.Started.Before(state.Started):
		facts.Message = "the run ended before it could write down what came of it"
		facts.Hint = "journalctl -u " + f.unit
	case fails && last.Outcome == execpitr.Complete:
		facts.Outcome, facts.ExitStatus = "not run", ""
		facts.Started, facts.Ended = time.Time{}, time.Time{}
		facts.Message = fmt.Sprintf("the unit was not started, or something it needs failed; its newest run ended at %s: %s", last.Ended.Format(time.RFC3339), last.Outcome)
	default:
		facts.Outcome, facts.Message, facts.Hint, facts.Started, facts.Ended = string(last.Outcome), last.Headline(), last.Hint, last.Started, last.Ended
	}
	return nil
}

func newNotifyUnits(env Env) *cobra.Command {
	var plan, at, program, output, dir, event string
	cmd := &cobra.Command{
		Use:   "units --plan FILE",
		Short: "Write the units of systemd that send notifications",
		Long: `Units prints a unit for each template of a plan that a channel carries. Name it in OnFailure= or
OnSuccess= of any unit, with %n for that unit's own name; its first line says how. The job's field
notify does so for the unit of a backup job.

EXIT STATUS
  0  the units were printed or written
  2  wrong usage
  3  the plan could not be read
  4  a file could not be written`,
		Example: "  stateward notify units --plan /etc/stateward/notify.json --write /etc/systemd/system\n  stateward notify units --plan notify.json --at /etc/stateward/notify.json -o nix",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			p, err := readNotifyPlan(plan)
			if err != nil {
				return err
			}
			if at == "" {
				if at, err = filepath.Abs(plan); err != nil {
					return withStatus(StatusStep, err)
				}
			}
			units, err := p.Units(notify.UnitOptions{Stateward: program, Plan: at})
			if err != nil {
				return err
			}
			if event != "" {
				all := len(units)
				if units = slices.DeleteFunc(units, func(u notify.Unit) bool { return u.Template != event }); len(units) == 0 && all > 0 {
					if _, err := p.Message(event, notify.Facts{}); err != nil {
						return err
					}
				}
			}
			if dir != "" {
				return withStatus(StatusStep, writeUnits(env, dir, units))
			}
			switch output {
			case "json":
				return withStatus(StatusStep, writeJSON(env, NotifyUnitsOutput{protocolVersion, units}))
			case "nix":
				text, err := notify.NixUnits(units)
				if err != nil {
					return withStatus(StatusStep, err)
				}
				_, err = env.Stdout.Write([]byte(text))
				return withStatus(StatusStep, err)
			}
			for i, u := range units {
				if i > 0 {
					fmt.Fprintln(env.Stdout)
				}
				fmt.Fprintf(env.Stdout, "# %s: %s\n%s", u.Name, u.Use, u.Text)
			}
			return nil
		},
	}
	fs := cmd.Flags()
	program = "/run/current-system/sw/bin/stateward"
	fs.Var(wordFlag{&plan}, "plan", "who is told what: a `FILE` of JSON")
	fs.Var(wordFlag{&event}, "event", "only the unit that sends `TEMPLATE`")
	fs.Var(wordFlag{&at}, "at", "where the plan is on the machine with the units: a `FILE`; that of --plan where it is left out")
	fs.Var(wordFlag{&program}, "stateward", "the `PROGRAM` that the units start")
	choiceFlag(cmd, &output, "output", "o", "`FORMAT` of the output: text, json, or nix, a module of NixOS", "text", "text", "json", "nix")
	fs.Var(wordFlag{&dir}, "write", "write the units into `DIR`")
	return cmd
}

// writeUnits writes units into a folder. One that is there already, and is the same, is left alone.
func writeUnits(env Env, dir string, units []notify.Unit) error {
	for _, u := range units {
		name := filepath.Join(dir, u.Name)
		if was, err := os.ReadFile(name); err == nil && string(was) == u.Text {
			continue
		}
		if err := os.WriteFile(name+".new", []byte(u.Text), 0o644); err != nil {
			return err
		}
		if err := os.Rename(name+".new", name); err != nil {
			return err
		}
		fmt.Fprintf(env.Stdout, "%s: %s\n", inLine(name), u.Use)
	}
	return nil
}
