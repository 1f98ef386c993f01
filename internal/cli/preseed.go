package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/apply"
	execpreseed "github.com/stateward/stateward/internal/exec/preseed"
	"github.com/stateward/stateward/preseed"
)

// PreseedOutput is what `stateward preseed run -o json` and `stateward preseed explain -o json` print.
type PreseedOutput struct {
	ProtocolVersion string `json:"protocolVersion"`
	// Result is what came of it; null where nothing was looked at.
	Result *PreseedResult `json:"result"`
	// Error is why the service must not start.
	Error *ErrorOutput `json:"error,omitempty"`
}

// PreseedResult is the record of a run, or what a run would do.
type PreseedResult = execpreseed.Result

// PreseedStatusOutput is what `stateward preseed status -o json` prints.
type PreseedStatusOutput struct {
	ProtocolVersion string               `json:"protocolVersion"`
	Plans           []execpreseed.Status `json:"plans"`
	// Unseen says why it is not known what runs left in the pools of this machine; empty where it is.
	Unseen string `json:"unseen,omitempty"`
}

type preseedFlags struct {
	backupFlags
	runDir, backupStateDir, from, at, yes string
	timeout                               time.Duration
}

func newPreseed(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "preseed",
		Short: "Fill an empty dataset from the best source there is, before its service starts",
		Long: `Preseed restores an empty dataset: from its own snapshots, a replica, or restic, in the order that a
plan says. A dataset that holds files is never touched.

` + exitStatus,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Help(); err != nil {
				return err
			}
			return &statusError{status: StatusUsage}
		},
	}
	cmd.AddCommand(newPreseedPlan(env), newPreseedExplain(env), newPreseedRun(env), newPreseedStatus(env), newPreseedUnits(env))
	return cmd
}

func (f *preseedFlags) register(cmd *cobra.Command) {
	f.restic = "restic"
	fs := cmd.Flags()
	fs.Var(wordFlag{&f.restic}, "restic", "the `PROGRAM` restic, 0.18 or later")
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text or json", "text", "text", "json")
	fs.StringVar(&f.stateDir, "state-dir", preseed.StateDir, "keep journals and records in `DIR`")
	fs.StringVar(&f.backupStateDir, "backup-state-dir", restic.StateDir, "what is known of the runs of backups is in `DIR`")
	fs.StringVar(&f.lockDir, "lock-dir", apply.LockDir, "keep the lock of the dataset in `DIR`")
	fs.StringVar(&f.runDir, "run-dir", execpreseed.RunDir, "mount aside what is looked into in `DIR`")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "do not say what is being done")
	choiceFlag(cmd, &f.from, "from", "", "restore by hand, from this `SOURCE` only: local, replica, restic or pitr", "", "", "local", "replica", "restic", "pitr")
	fs.StringVar(&f.at, "at", "", "with --from: the newest of no later than this `TIME`, such as 2026-03-17T02:00:00Z")
}

func newPreseedRun(env Env) *cobra.Command {
	var f preseedFlags
	cmd := &cobra.Command{
		Use:   "run PLAN",
		Short: "Fill the dataset of a plan where it is empty",
		Long: `Run looks what the dataset of a plan holds, and fills it where it is empty. It is what the unit
of the plan starts before the service.

What it restores is made beside the dataset, validated, and takes its place by two renames;
only a plain rollback to the latest snapshot is done in place. Whatever has files in it stays
as it is. A source that does not answer is not taken for one that has nothing: it is asked
again until the timeout of the plan. Killed at any moment, the next run goes on.

By hand, --from names one source, and --at a time. A dataset that was seeded before and is
empty now is filled then too. What will lose its place is named first, and must be confirmed,
at a terminal or with --yes-destroy NAME.

EXIT STATUS
  0  the service may start: the dataset was seeded before, was restored, or may be empty
  2  wrong usage
  3  the plan could not be read
  4  the service must not start, or another run is at work`,
		Example: "  stateward preseed run /etc/stateward/preseed/paperless.json\n  stateward preseed run paperless.json --from restic --at 2026-03-17T02:00:00Z",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.plan = args[0]
			return f.run(cmd.Context(), env, false)
		},
	}
	f.register(cmd)
	fs := cmd.Flags()
	fs.StringVar(&f.yes, "yes-destroy", "", "with --from: confirm that the dataset `NAME` loses its place")
	fs.Var(timeFlag{&f.timeout}, "timeout", "give up after this `TIME`, and not when the plan says")
	return cmd
}

func newPreseedExplain(env Env) *cobra.Command {
	var f preseedFlags
	cmd := &cobra.Command{
		Use:   "explain PLAN",
		Short: "Say what a run would do now, and why",
		Long: `Explain looks at the dataset and asks the sources, as a run does, and ends where something would be
changed. A dataset or snapshot that is not mounted is mounted read-only aside for the time it is
looked into.

EXIT STATUS
  0  a run would restore something, or the service may start
  2  wrong usage
  3  the plan could not be read
  4  a run would wait, or not let the service start`,
		Example: "  stateward preseed explain /etc/stateward/preseed/paperless.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.plan = args[0]
			return f.run(cmd.Context(), env, true)
		},
	}
	f.register(cmd)
	return cmd
}

func (f *preseedFlags) readPlan() (preseed.Plan, error) {
	text, err := readRegular(f.plan, maxConfig)
	if err != nil {
		return preseed.Plan{}, withStatus(StatusEvaluation, unread("", err, "name the file with the plan: stateward preseed plan -o json --write DIR writes it"))
	}
	p, err := preseed.ReadPlan(text)
	if err != nil {
		return p, withStatus(StatusEvaluation, fmt.Errorf("%s: %w", f.plan, err))
	}
	return p, nil
}

// usageError is a flag that cannot stand as it does.
type preseedUsageError struct{ text, hint string }

func (e *preseedUsageError) Error() string { return e.text }
func (e *preseedUsageError) Hint() string  { return e.hint }

func (f *preseedFlags) run(ctx context.Context, env Env, dry bool) error {
	p, err := f.readPlan()
	if err != nil {
		return err
	}
	for _, dir := range []*string{&f.stateDir, &f.lockDir, &f.runDir, &f.backupStateDir} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			return withStatus(StatusStep, err)
		}
	}
	bf := f.backupFlags
	bf.stateDir = f.backupStateDir
	b := bf.options(env)
	o := execpreseed.Options{Env: slices.Clone(b.Env), StateDir: f.stateDir, RunDir: f.runDir, LockDir: f.lockDir, Backup: b, Timeout: f.timeout, Dry: dry,
		From: preseed.SourceKind(f.from), Now: env.now, Journal: execpreseed.JournalSocket}
	switch {
	case f.from == "" && (f.at != "" || f.yes != ""):
		return withStatus(StatusUsage, &preseedUsageError{"--at and --yes-destroy need --from", "name a source: --from local"})
	case f.from != "" && !slices.ContainsFunc(p.Sources, func(s preseed.Source) bool { return s.Kind == o.From }):
		return withStatus(StatusUsage, &preseedUsageError{fmt.Sprintf("--from: the plan has no source %s", f.from), "name one of its sources"})
	case f.yes != "" && f.yes != p.Dataset:
		return withStatus(StatusUsage, &preseedUsageError{fmt.Sprintf("--yes-destroy: %q is not the dataset of the plan", f.yes), "it is " + p.Dataset})
	}
	if f.at != "" {
		if o.At, err = time.Parse(time.RFC3339, f.at); err != nil {
			return withStatus(StatusUsage, &preseedUsageError{fmt.Sprintf("--at: %q is no time", f.at), "write it with its zone, such as 2026-03-17T02:00:00Z"})
		}
	}
	if f.from != "" && !dry {
		o.Confirm = func(d preseed.Decision, victims []string) error { return f.confirm(ctx, env, p, d, victims) }
	}
	if !f.quiet {
		o.Began = func(d preseed.Decision) {
			what := string(d.Action)
			if d.Source != "" && d.Action != preseed.Wait {
				what += " " + string(d.Source)
			}
			fmt.Fprintf(env.Stderr, "%s: %s: %s\n", inLine(p.Name), what, inLine(d.Why))
		}
	}
	if !dry {
		// A step is done to its end, and what came of it written down, before an interrupt ends it.
		defer env.hold()()
	}
	r, err := execpreseed.Run(ctx, p, o)
	if f.output == "json" {
		out := PreseedOutput{ProtocolVersion: protocolVersion, Result: r}
		if err != nil {
			out.Error = errorOutput(err)
		}
		if werr := writeJSON(env, out); werr != nil {
			return withStatus(StatusStep, werr)
		}
		if err != nil {
			return &statusError{status: StatusStep}
		}
	} else {
		printPreseed(env, p, r, dry)
		if err != nil {
			return withStatus(StatusStep, err)
		}
	}
	if dry && (r.Next == nil && !r.Start || r.Next != nil && r.Next.Action == preseed.Wait) {
		return &statusError{status: StatusStep}
	}
	return nil
}

type notConfirmedError struct{ victim string }

func (e *notConfirmedError) Error() string { return "nothing was confirmed, and nothing was done" }
func (e *notConfirmedError) Hint() string {
	return "at a terminal it is asked for; else: --yes-destroy " + e.victim
}

// confirm has a person say that what has the place may lose it.
func (f *preseedFlags) confirm(ctx context.Context, env Env, p preseed.Plan, d preseed.Decision, victims []string) error {
	if f.yes == p.Dataset {
		return nil
	}
	in, ok := env.Stdin.(*os.File)
	if !ok || !isatty.IsTerminal(in.Fd()) {
		return &notConfirmedError{p.Dataset}
	}
	fmt.Fprintf(env.Stderr, "%s: %s\n", d.Action, inLine(d.Why))
	for _, v := range victims {
		fmt.Fprintf(env.Stderr, "%s, which is empty, loses its place, and is kept as a dataset in %s, unless it is rolled back\n", inLine(v), inLine(p.StagingArea()))
	}
	fmt.Fprintf(env.Stderr, "type the name of the dataset to go on: ")
	answer := make(chan string, 1)
	go func() {
		line, err := bufio.NewReader(in).ReadString('\n')
		if err != nil {
			line = "" // what is not ended by a new line was not meant to be
		}
		answer <- line
	}()
	select {
	case line := <-answer:
		if strings.TrimSpace(line) == p.Dataset {
			return nil
		}
	case <-ctx.Done(): // nobody waits for an answer after an interrupt
	}
	fmt.Fprintln(env.Stderr)
	return &notConfirmedError{p.Dataset}
}

func printPreseed(env Env, p preseed.Plan, r *execpreseed.Result, dry bool) {
	if r == nil {
		return
	}
	w := env.Stdout
	if r.Next != nil {
		what := "begin with: " + string(r.Next.Action)
		switch {
		case r.Next.Action == preseed.Wait:
			what = "wait, and look again"
		case r.Next.Source != "":
			what += " " + string(r.Next.Source)
		}
		fmt.Fprintf(w, "%s: a run would %s\n  %s\n", inLine(p.Dataset), what, inLine(r.Next.Why))
		if r.Next.Hint != "" {
			fmt.Fprintf(w, "  hint: %s\n", inLine(r.Next.Hint))
		}
		return
	}
	fmt.Fprintf(w, "%s: %s: %s\n", inLine(p.Dataset), r.Outcome, inLine(r.Why))
	if dry && r.Hint != "" { // that of a run is told with the error that it ends with
		fmt.Fprintf(w, "  hint: %s\n", inLine(r.Hint))
	}
	if at := r.RecoveryPoint; at != nil {
		fmt.Fprintf(w, "  recovery point %s, from %s", at.UTC().Format("2006-01-02 15:04 MST"), r.Source)
		if r.Files > 0 {
			fmt.Fprintf(w, ": %s, %s", count(int(r.Files), "file"), size(r.Bytes))
		}
		fmt.Fprintf(w, ", in %s\n", time.Duration(r.Seconds*float64(time.Second)).Round(100*time.Millisecond))
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  note: %s\n", inLine(n))
	}
	if r.File != "" {
		fmt.Fprintf(w, "  record: %s\n", inLine(r.File))
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(env.Stderr, "%s: warning: %s\n", inLine(p.Name), inLine(warning))
	}
}

func newPreseedStatus(env Env) *cobra.Command {
	var f preseedFlags
	cmd := &cobra.Command{
		Use:   "status [NAME...]",
		Short: "Say how the last run of each plan ended, and what it restored",
		Long: `Status reads what runs wrote down, of the plans that are named or of all: the newest outcome, the
newest restore and its recovery point, and whether a run was cut off and has yet to come to
its end; and what runs left in the pools, with the command that would remove it. Nothing is
changed.

EXIT STATUS
  0  every service may start
  2  wrong usage
  3  a record could not be read, or there is none of that name
  4  the last run of a plan did not let its service start, or was cut off`,
		Example: "  stateward preseed status\n  stateward preseed status paperless -o json",
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.status(cmd.Context(), env, args)
		},
	}
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text or json", "text", "text", "json")
	cmd.Flags().StringVar(&f.stateDir, "state-dir", preseed.StateDir, "journals and records are in `DIR`")
	return cmd
}

func (f *preseedFlags) status(ctx context.Context, env Env, names []string) error {
	all := len(names) == 0
	if all {
		entries, err := os.ReadDir(f.stateDir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return withStatus(StatusEvaluation, err)
		}
		for _, e := range entries {
			name := strings.TrimSuffix(e.Name(), ".journal.json")
			if (e.IsDir() || name != e.Name()) && !strings.HasPrefix(name, ".") && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	out := PreseedStatusOutput{ProtocolVersion: protocolVersion, Plans: []execpreseed.Status{}}
	bad := false
	for _, name := range names {
		if badPlanName(name) {
			return withStatus(StatusUsage, &preseedUsageError{fmt.Sprintf("%q is no name of a plan", name), "write the name that its file has in it, not that of the file"})
		}
		s, err := execpreseed.ReadStatus(f.stateDir, name)
		if err == nil && s.Newest == nil && s.Unfinished == nil && s.Waiting == nil {
			err = fmt.Errorf("%s: no run wrote anything down of it", name)
		}
		if err != nil {
			return withStatus(StatusEvaluation, err)
		}
		bad = bad || s.Unfinished != nil || s.Waiting != nil || s.Newest == nil || !s.Newest.Start
		out.Plans = append(out.Plans, s)
	}
	if len(out.Plans) > 0 {
		left, err := execpreseed.ReadLeft(ctx, f.backupFlags.options(env).Env)
		if err != nil {
			out.Unseen = err.Error()
			fmt.Fprintf(env.Stderr, "stateward: warning: what runs left in the pools is not known: %s\n", inLine(out.Unseen))
		}
		execpreseed.Leave(out.Plans, left)
	}
	if f.output == "json" {
		if err := writeJSON(env, out); err != nil {
			return withStatus(StatusStep, err)
		}
	} else {
		f.printStatus(env, out)
	}
	if bad {
		return &statusError{status: StatusStep}
	}
	return nil
}

func (f *preseedFlags) printStatus(env Env, out PreseedStatusOutput) {
	w := env.Stdout
	if len(out.Plans) == 0 {
		fmt.Fprintln(w, "no preseed ran yet")
	}
	when := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
	for _, s := range out.Plans {
		switch n := s.Newest; {
		case n == nil:
			fmt.Fprintf(w, "%s: no run ended yet\n", inLine(s.Plan))
		case n.Start && n.Outcome != preseed.ConfirmedNoBackup:
			fmt.Fprintf(w, "%s: %s, %s: %s\n", inLine(s.Plan), n.Outcome, when(n.Ended), inLine(n.Why))
		default:
			fmt.Fprintf(w, "%s: %s, %s: %s\n", inLine(s.Plan), n.Outcome, when(n.Ended), inLine(n.Headline()))
		}
		if n := s.Newest; n != nil && !n.Start && !s.Waiting.Waits(env.now()) {
			if n.Hint != "" {
				fmt.Fprintf(w, "  hint: %s\n", inLine(n.Hint))
			}
			if len(n.Units) > 0 {
				fmt.Fprintf(w, "  then, which runs the preseed first: systemctl start %s\n", inLine(strings.Join(n.Units, " ")))
			}
		}
		switch q := s.Waiting; {
		case q.Waits(env.now()):
			fmt.Fprintf(w, "  a run has been waiting since %s: %s\n", when(q.Started), inLine(q.Why))
			if q.Hint != "" {
				fmt.Fprintf(w, "  hint: %s\n", inLine(q.Hint))
			}
		case q != nil:
			fmt.Fprintf(w, "  a run waited until %s, and was cut off: %s\n", when(q.Ended), inLine(q.Why))
		}
		if r := s.Restored; r != nil && r.RecoveryPoint != nil {
			fmt.Fprintf(w, "  restored %s from %s, recovery point %s", when(r.Ended), r.Source, when(*r.RecoveryPoint))
			if r.Files > 0 {
				fmt.Fprintf(w, ": %s, %s", count(int(r.Files), "file"), size(r.Bytes))
			}
			fmt.Fprintln(w)
			if r.Kept != "" {
				fmt.Fprintf(w, "  what was there before it was kept as %s: destroy that once all is well\n", inLine(r.Kept))
			}
		}
		for _, l := range s.Left {
			what := "moved away"
			if l.Restored {
				what = "restored, and did not put in its place"
			}
			fmt.Fprintf(w, "  an earlier run %s %s: %s", what, inLine(l.Dataset), size(l.Bytes))
			if l.Snapshots > 0 {
				fmt.Fprintf(w, ", %s", count(l.Snapshots, "snapshot"))
			}
			fmt.Fprintln(w)
			fmt.Fprintf(w, "    once nobody needs what it holds: %s\n", inLine(strings.Join(l.Remove(), " && ")))
		}
		if j := s.Unfinished; j != nil {
			fmt.Fprintf(w, "  a run from %s has not come to its end (%s): where none is at work, the next one goes on; beside it is %s\n", j.Source, j.Stage, inLine(j.Staged))
		}
	}
}
