package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
	execpitr "github.com/stateward/stateward/internal/exec/pitr"
)

// PITRJobOutput is what `stateward pitr backup`, `retain` and `check` print with -o json.
type PITRJobOutput struct {
	ProtocolVersion string        `json:"protocolVersion"`
	Run             *execpitr.Run `json:"run"`
	// Error is why it did not come to its end.
	Error *ErrorOutput `json:"error,omitempty"`
}

// PITRStatusOutput is what `stateward pitr status -o json` prints.
type PITRStatusOutput struct {
	ProtocolVersion string            `json:"protocolVersion"`
	Name            string            `json:"name"`
	Jobs            []execpitr.Record `json:"jobs"`
}

type pitrJobFlags struct {
	pitrFlags
	stateDir string
}

func (f *pitrJobFlags) flags(cmd *cobra.Command, asks bool) {
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text or json", "text", "text", "json")
	fs := cmd.Flags()
	fs.StringVar(&f.stateDir, "state-dir", pitr.StateDir, "what is known of the runs is in `DIR`")
	if asks {
		f.patient(cmd)
		fs.BoolVarP(&f.quiet, "quiet", "q", false, "do not say what is being done")
	}
}

func (f *pitrJobFlags) jobOptions(env Env) execpitr.Options {
	o := f.options(env)
	o.StateDir = f.stateDir
	return o
}

func newPITRBackup(env Env) *cobra.Command {
	var f pitrJobFlags
	cmd := &cobra.Command{
		Use:   "backup POLICY",
		Short: "Make a base backup, and see that it can be recovered from",
		Long: `Backup makes a base backup with barman-cloud. Before it, the server is asked what archive_mode and
archive_command are, and the archive what it holds. It is refused where the server archives nothing,
fails to, or archives to another place than the policy names; and where what lies there is of another
cluster, of a newer timeline, or of another server that was promoted from the same archive.

After it the archive is listed again: the base backup is done only where it is there, with all the
log from its begin to its end. One is made at a time, and none while others are removed.

Run it as root or as the user that owns the data directory: cluster.user must be able to connect
without a password.

EXIT STATUS
  0  the base backup is there, and can be recovered from
  2  wrong usage
  3  the policy could not be read
  4  none was made, or what was made is not whole`,
		Example: "  stateward pitr backup /etc/stateward/pitr/postgresql.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.job(env, args[0], func(p pitr.Policy) (*execpitr.Run, error) {
				return execpitr.Backup(cmd.Context(), p, f.jobOptions(env))
			})
		},
	}
	f.flags(cmd, true)
	return cmd
}

func newPITRRetain(env Env) *cobra.Command {
	var f pitrJobFlags
	cmd := &cobra.Command{
		Use:   "retain POLICY",
		Short: "Remove what the policy does not keep, and nothing else",
		Long: `Retain names each base backup, and whether it stays and why, and each row of segments that goes. With
--yes it removes them, with barman-cloud-backup-delete: the oldest first, after the tool itself has
said what it would remove. Where that is more than what was named, nothing is removed. The archive is
listed afterwards, and compared with what was said.

It is refused where the window cannot be told, where the archive holds two clusters, and where what
is left could not be recovered to as before. As many base backups stay as the policy's redundancy;
the last that can be recovered from always does.

EXIT STATUS
  0  it was said what goes; with --yes, that and no more is gone
  2  wrong usage
  3  the policy could not be read
  4  it was refused, or not everything went as it was said`,
		Example: "  stateward pitr retain /etc/stateward/pitr/postgresql.json\n  stateward pitr retain /etc/stateward/pitr/postgresql.json --yes",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.job(env, args[0], func(p pitr.Policy) (*execpitr.Run, error) {
				return execpitr.Retain(cmd.Context(), p, f.jobOptions(env), f.yes)
			})
		},
	}
	f.flags(cmd, true)
	cmd.Flags().BoolVar(&f.yes, "yes", false, "do it")
	return cmd
}

func newPITRCheck(env Env) *cobra.Command {
	var f pitrJobFlags
	cmd := &cobra.Command{
		Use:   "check POLICY",
		Short: "Look at a running server and its archive",
		Long: `Check asks the server what it archives and the archive what it holds, and says what is wrong: whether
the server archives to the place that the policy names, and succeeds; how old the oldest commit is
that is not archived, read from pg_wal itself; whether what lies there is its own; whether segments
are missing; how old the newest base backup is, against the schedule; how far back the window goes.

What it finds is in the record and the metrics too. Nothing in the archive is changed.

EXIT STATUS
  0  nothing is wrong
  1  something is wrong, or could not be seen
  2  wrong usage
  3  the policy could not be read
  4  the server or the archive could not be asked`,
		Example: "  stateward pitr check /etc/stateward/pitr/postgresql.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.job(env, args[0], func(p pitr.Policy) (*execpitr.Run, error) {
				return execpitr.Check(cmd.Context(), p, f.jobOptions(env))
			})
		},
	}
	f.flags(cmd, true)
	return cmd
}

func newPITRStatus(env Env) *cobra.Command {
	var f pitrJobFlags
	cmd := &cobra.Command{
		Use:   "status POLICY",
		Short: "Say what came of the newest base backup, retention and check",
		Long: `Status reads what runs of "stateward pitr backup", "retain" and "check" wrote down. Neither server nor
archive is asked.

EXIT STATUS
  0  the newest run of each job that ever ran is complete, and no base backup is due
  1  one is not, began and did not end, or a base backup is due since an hour
  2  wrong usage
  3  the policy could not be read
  4  a record could not be read`,
		Example: "  stateward pitr status /etc/stateward/pitr/postgresql.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return f.status(env, args[0])
		},
	}
	f.flags(cmd, false)
	return cmd
}

func (f *pitrJobFlags) job(env Env, file string, do func(pitr.Policy) (*execpitr.Run, error)) error {
	p, err := readPITRPolicy(file)
	if err != nil {
		return err
	}
	run, err := do(p)
	status := StatusOK
	switch {
	case err != nil:
		status = StatusStep
	case run.Outcome == execpitr.Faults:
		status = StatusFindings
	}
	if f.output == "json" {
		out := PITRJobOutput{ProtocolVersion: protocolVersion, Run: run}
		if err != nil {
			out.Error = errorOutput(err)
		}
		if werr := writeJSON(env, out); werr != nil {
			return withStatus(StatusStep, werr)
		}
	} else {
		if run != nil {
			printPITRRun(env, run, f.yes)
		}
		if err != nil {
			return withStatus(StatusStep, err)
		}
	}
	if status != StatusOK {
		return &statusError{status: status}
	}
	return nil
}

func printPITRRun(env Env, run *execpitr.Run, yes bool) {
	w := env.Stdout
	name := inLine(run.Name)
	if b := run.Backup; b != nil {
		fmt.Fprintf(w, "%s: base backup %s ended %s on timeline %d, from %s to %s; its log is archived\n", name, inLine(b.ID), pitrTime(b.End), b.Timeline, b.BeginLSN, b.EndLSN)
	}
	if r := run.Retention; r != nil {
		printRetention(env, run, *r, yes)
	}
	if c := run.Check; c != nil {
		printPITRCheck(env, name, *c)
	}
	for _, n := range run.Notes {
		fmt.Fprintf(w, "%s: note: %s\n", name, inLine(n))
	}
}

func pitrTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func printRetention(env Env, run *execpitr.Run, r pitr.Retention, yes bool) {
	w := env.Stdout
	fmt.Fprintf(w, "%s: the window of %s begins %s\n", inLine(run.Name), inLine(r.Server), pitrTime(r.Since))
	goes := 0
	for _, v := range r.Backups {
		verb := "keep  "
		if v.Remove {
			verb = "remove"
			goes++
		}
		ended := "not done"
		if !v.Backup.End.IsZero() {
			ended = "ended " + pitrTime(v.Backup.End)
		}
		fmt.Fprintf(w, "  %s base backup %s, %s: %s\n", verb, inLine(v.Backup.ID), ended, inLine(v.Reason))
	}
	for _, s := range r.Segments {
		fmt.Fprintf(w, "  remove %s, %s\n", s, count(s.Count, "segment"))
	}
	for _, g := range r.Left {
		fmt.Fprintf(w, "  left: %s\n", g)
	}
	switch {
	case goes == 0:
		fmt.Fprintf(w, "%s: nothing goes\n", inLine(run.Name))
	case !yes:
		fmt.Fprintf(w, "%s: nothing was changed; --yes does it\n", inLine(run.Name))
	default:
		fmt.Fprintf(w, "%s: %s and %s went\n", inLine(run.Name), count(len(run.Removed), "base backup"), count(run.Segments, "segment"))
	}
}

func printPITRCheck(env Env, name string, c pitr.Check) {
	w := env.Stdout
	for _, f := range c.Faults {
		kind := "fault"
		if f.Unknown {
			kind = "unknown"
		}
		fmt.Fprintf(w, "%s: %s: %s\n", name, kind, inLine(f.Message))
		if f.Hint != "" {
			fmt.Fprintf(w, "  hint: %s\n", inLine(f.Hint))
		}
	}
	if l := c.Live; l != nil {
		fmt.Fprintf(w, "%s: PostgreSQL %d on timeline %d at %s, of the cluster %d\n", name, l.Version, l.Timeline, l.At, l.SystemID)
		if l.WaitingKnown {
			if l.Waiting.IsZero() {
				fmt.Fprintf(w, "%s: all that was committed is archived\n", name)
			} else {
				fmt.Fprintf(w, "%s: the oldest commit that is not archived is of %s\n", name, l.Waiting.UTC().Format(time.RFC3339Nano))
			}
		}
	}
	if !c.To.IsZero() {
		fmt.Fprintf(w, "%s: any moment from %s to %s can be recovered\n", name, c.From.Format(time.RFC3339Nano), c.To.Format(time.RFC3339Nano))
	}
	if c.Newest != "" {
		fmt.Fprintf(w, "%s: %s; the newest, %s, ended %s\n", name, count(c.Usable, "base backup"), inLine(c.Newest), pitrTime(c.NewestAt))
	}
	for _, n := range c.Notes {
		fmt.Fprintf(w, "%s: note: %s\n", name, inLine(n))
	}
	if len(c.Faults) == 0 {
		fmt.Fprintf(w, "%s: nothing is wrong\n", name)
	}
}

func (f *pitrJobFlags) status(env Env, file string) error {
	p, err := readPITRPolicy(file)
	if err != nil {
		return err
	}
	jobs, err := execpitr.Status(p, f.jobOptions(env))
	if err != nil {
		return withStatus(StatusStep, err)
	}
	wrong := false
	var lines []string
	for _, j := range jobs {
		line := j.Job + ": "
		switch run := j.LastRun; {
		case j.Running != nil:
			// One that is at work says nothing of how the one before it ended.
			wrong = wrong || j.Killed || env.now().Sub(*j.Running) > 24*time.Hour || run == nil && j.Job == execpitr.JobBackup || run != nil && run.Outcome != execpitr.Complete
			line += fmt.Sprintf("a run began %s, and ", pitrTime(*j.Running))
			if j.Killed {
				line += "did not come to its end"
			} else {
				line += "is at work, or was killed"
			}
			if run != nil && run.Outcome != execpitr.Complete {
				line += fmt.Sprintf("\n  the one before: %s, ended %s: %s", run.Outcome, pitrTime(run.Ended), inLine(run.Headline()))
			}
		case run == nil:
			wrong = wrong || j.Job == execpitr.JobBackup
			line += "never ran"
		default:
			wrong = wrong || run.Outcome != execpitr.Complete
			line += fmt.Sprintf("%s, ended %s: %s", run.Outcome, pitrTime(run.Ended), inLine(run.Headline()))
			if run.Hint != "" {
				line += "\n  hint: " + inLine(run.Hint)
			}
		}
		if j.LastComplete != nil && (j.LastRun == nil || j.LastRun.Outcome != execpitr.Complete) {
			line += "\n  the last complete run began " + pitrTime(*j.LastComplete)
		}
		if j.Job == execpitr.JobBackup && j.LastComplete != nil && (j.Running == nil || j.Killed) {
			last := *j.LastComplete
			if run := j.LastRun; run != nil && run.Outcome == execpitr.Complete {
				last = run.Ended.Add(run.Ended.Sub(run.Started)) // the next may take twice as long
			}
			if every, late := p.Late(last, env.now(), stateward.ZoneFunc(time.LoadLocation)); late {
				wrong = true
				line += fmt.Sprintf("\n  one is due every %s, and none was made: look at its timer", spanText(every))
			}
		}
		lines = append(lines, line)
	}
	if f.output == "json" {
		if err := writeJSON(env, PITRStatusOutput{protocolVersion, execpitr.Name(p), jobs}); err != nil {
			return withStatus(StatusStep, err)
		}
	} else {
		fmt.Fprintf(env.Stdout, "%s\n", strings.Join(lines, "\n"))
	}
	if wrong {
		return &statusError{status: StatusFindings}
	}
	return nil
}
