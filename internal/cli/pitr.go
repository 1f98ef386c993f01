package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
	execpitr "github.com/stateward/stateward/internal/exec/pitr"
)

// PITRWindowOutput is what `stateward pitr window -o json` prints.
type PITRWindowOutput struct {
	ProtocolVersion string `json:"protocolVersion"`
	Server          string `json:"server"`
	// Ranges are what the cluster can be recovered to, Gaps what is missing.
	Ranges  []pitr.Range      `json:"ranges"`
	Gaps    []pitr.Gap        `json:"gaps"`
	Backups []pitr.BaseBackup `json:"backups"`
}

// PITRRecoverOutput is what `stateward pitr recover -o json` prints.
type PITRRecoverOutput struct {
	ProtocolVersion string           `json:"protocolVersion"`
	Result          *execpitr.Result `json:"result"`
	// Error is why the cluster was not recovered.
	Error *ErrorOutput `json:"error,omitempty"`
}

type pitrFlags struct {
	output, to string
	yes, quiet bool
	patience   time.Duration
}

// patient adds how long a store may be silent.
func (f *pitrFlags) patient(cmd *cobra.Command) {
	f.patience = execpitr.DefaultPatience
	cmd.Flags().Var(timeFlag{&f.patience}, "timeout", "give a store up that does not answer for this `TIME`")
}

func newPITR(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pitr",
		Short: "Say to which moments PostgreSQL can be recovered, and recover it",
		Long: `Pitr reads an archive of PostgreSQL that barman-cloud made in a store of S3: base backups, and the
write-ahead log after them. Each command takes a policy, a file of JSON that docs/pitr.md describes.

` + exitStatus,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Help(); err != nil {
				return err
			}
			return &statusError{status: StatusUsage}
		},
	}
	cmd.AddCommand(newPITRPlan(env), newPITRWindow(env), newPITRRecover(env), newPITRBackup(env), newPITRRetain(env), newPITRCheck(env), newPITRStatus(env))
	return cmd
}

func newPITRWindow(env Env) *cobra.Command {
	var f pitrFlags
	cmd := &cobra.Command{
		Use:   "window POLICY",
		Short: "Say to which moments an archive can be recovered",
		Long: `Window asks the archive for its base backups and its log, and says to which moments the cluster can
be recovered: from the end of a base backup on, for as long as no segment is missing. The last
commit is read from the log itself, where pg_waldump is there. Nothing is changed.

EXIT STATUS
  0  there is something to recover to, and nothing is missing
  1  something is missing
  2  wrong usage
  3  the policy could not be read
  4  the archive could not be asked, or holds nothing`,
		Example: "  stateward pitr window /etc/stateward/pitr/postgresql.json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.window(cmd.Context(), env, args[0])
		},
	}
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text or json", "text", "text", "json")
	f.patient(cmd)
	return cmd
}

func newPITRRecover(env Env) *cobra.Command {
	var f pitrFlags
	cmd := &cobra.Command{
		Use:   "recover POLICY",
		Short: "Recover a cluster to a moment, or to the end of its log",
		Long: `Recover says what it would do, and does it with --yes: restore the newest base backup before the
moment, replay the log to it, promote the cluster, and stop it again. Without --to it replays all
that was archived. A moment outside the window is refused, and the window printed.

It restores into a missing or empty data directory only, or one where an earlier run of the same
recovery was killed: that one goes on. The cluster archives to a new server name afterwards,
by a line in postgresql.auto.conf: the archive that was read stays as it is. Run it as the user
that owns the data directory, with the service stopped.

EXIT STATUS
  0  the cluster was recovered, or could be
  2  wrong usage
  3  the policy could not be read
  4  the cluster was not recovered`,
		Example: "  stateward pitr recover postgresql.json --to 2026-03-01T12:00:00+01:00\n  stateward pitr recover postgresql.json --yes",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.recover(cmd.Context(), env, args[0])
		},
	}
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text or json", "text", "text", "json")
	fs := cmd.Flags()
	fs.Var((*momentFlag)(&f.to), "to", "recover to this `MOMENT`, with its zone, or to a place in the log, such as 0/3000028")
	f.patient(cmd)
	fs.BoolVar(&f.yes, "yes", false, "do it")
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "do not say what is being done")
	return cmd
}

func readPITRPolicy(file string) (p pitr.Policy, err error) {
	text, err := readRegular(file, maxConfig)
	if err != nil {
		return p, withStatus(StatusEvaluation, unread("", err, "name the file with the policy: stateward pitr plan -o json --write DIR writes it"))
	}
	if p, err = pitr.ReadPolicy(text, stateward.ZoneFunc(time.LoadLocation)); err != nil {
		err = fmt.Errorf("%s: %w", file, err)
	}
	return p, withStatus(StatusEvaluation, err)
}

func (f *pitrFlags) options(env Env) execpitr.Options {
	o := execpitr.Options{Env: slices.Clone(os.Environ()), Now: env.now, Patience: f.patience}
	if !f.quiet {
		o.Began = func(what string) { fmt.Fprintln(env.Stderr, inLine(what)) }
	}
	return o
}

func (f *pitrFlags) window(ctx context.Context, env Env, file string) error {
	p, err := readPITRPolicy(file)
	if err != nil {
		return err
	}
	a, err := execpitr.Look(ctx, p, f.options(env))
	if err != nil {
		return withStatus(StatusStep, err)
	}
	ranges, gaps := pitr.Window(a)
	if f.output == "json" {
		if err := writeJSON(env, PITRWindowOutput{protocolVersion, p.Server, append([]pitr.Range{}, ranges...), append([]pitr.Gap{}, gaps...), append([]pitr.BaseBackup{}, a.Backups...)}); err != nil {
			return withStatus(StatusStep, err)
		}
	} else {
		w := env.Stdout
		for _, r := range ranges {
			fmt.Fprintf(w, "%s: %s\n  base backups: %s; last segment %s\n", inLine(p.Server), r, inLine(strings.Join(r.Backups, ", ")), r.Last)
			if !r.Exact && !r.To.IsZero() {
				fmt.Fprintf(w, "  the last commit was not read: a moment near the end may not be reached\n")
			}
		}
		for _, g := range gaps {
			fmt.Fprintln(w, gapText(p.Server, g))
		}
		if len(ranges) == 0 {
			fmt.Fprintf(w, "%s: there is nothing to recover to\n", inLine(p.Server))
		}
	}
	return windowStatus(a, ranges, gaps)
}

// windowStatus says how a look at a window ends. Log before the first base backup is told, and is no fault.
func windowStatus(a pitr.Archive, ranges []pitr.Range, gaps []pitr.Gap) error {
	switch {
	case len(ranges) == 0:
		return &statusError{status: StatusStep}
	case slices.ContainsFunc(gaps, func(g pitr.Gap) bool { return !pitr.BeforeBackups(a, ranges, g) }):
		return &statusError{status: StatusFindings}
	}
	return nil
}

// gapText is a line on what cannot be recovered to. Log before which no base backup lies is there, and of no use.
func gapText(server string, g pitr.Gap) string {
	what, state := g.Backup, "missing"
	if g.First != "" {
		if what = g.First; g.Last != "" && g.Last != g.First {
			what += " to " + g.Last
		}
	}
	if g.Kind == pitr.GapUncovered {
		state = "not recoverable"
	}
	return fmt.Sprintf("%s: %s on timeline %d: %s: %s", inLine(server), state, g.Timeline, inLine(what), inLine(g.Reason))
}

// momentFlag is a moment to recover to. One that is given and empty is refused: a variable of a script that is not set would have all of the log
// replayed, with the mistake that it was to stop before.
type momentFlag string

func (m *momentFlag) String() string { return string(*m) }
func (*momentFlag) Type() string     { return "string" }
func (m *momentFlag) Set(text string) error {
	if strings.TrimSpace(text) == "" {
		return errors.New(`no moment is named: leave --to out, or write "latest", for the end of the log`)
	}
	*m = momentFlag(text)
	return nil
}

func (f *pitrFlags) recover(ctx context.Context, env Env, file string) error {
	p, err := readPITRPolicy(file)
	if err != nil {
		return err
	}
	target, err := pitr.ParseTarget(f.to)
	if err != nil {
		return withStatus(StatusUsage, err)
	}
	do := execpitr.Plan
	if f.yes {
		do = execpitr.Recover
	}
	r, err := do(ctx, p, target, f.options(env))
	if f.output == "json" {
		out := PITRRecoverOutput{ProtocolVersion: protocolVersion, Result: r}
		if err != nil {
			out.Error = errorOutput(err)
		}
		if werr := writeJSON(env, out); werr != nil {
			return withStatus(StatusStep, werr)
		}
		if err != nil {
			return &statusError{status: StatusStep}
		}
		return nil
	}
	if err != nil {
		return withStatus(StatusStep, err)
	}
	w, c := env.Stdout, r.Plan
	if !r.Done {
		fmt.Fprintf(w, "recover %s to %s, on timeline %d\n", inLine(c.Server), c.Target, c.Timeline)
		fmt.Fprintf(w, "  restore base backup %s, which ended %s\n", inLine(c.Backup.ID), c.Backup.End.Format(time.RFC3339Nano))
		fmt.Fprintf(w, "  into %s, which is %s\n", inLine(c.DataDir), r.State)
		fmt.Fprintf(w, "  replay the log from %s; the archive goes on to %s\n", c.First, c.Range.Last)
		fmt.Fprintf(w, "  promote the cluster, and archive it to %s from then on\n", inLine(c.Archive))
		fmt.Fprintf(w, "nothing was changed; --yes does it\n")
		return nil
	}
	fmt.Fprintf(w, "recovered %s to %s in %s: timeline %d from %s, %s\n", inLine(c.Server), c.Target, time.Duration(r.Seconds*float64(time.Second)).Round(100*time.Millisecond), r.Timeline, r.At, count(len(r.Databases), "database"))
	fmt.Fprintf(w, "  it archives to %s now, by postgresql.auto.conf: make that the server name in the configuration\n", inLine(c.Archive))
	if r.WALLink != "" {
		fmt.Fprintf(w, "  its log is in the data directory: it lay at %s, where nothing was touched\n", inLine(r.WALLink))
	}
	fmt.Fprintf(w, "nothing can be recovered from %s before a base backup lies there: start the cluster, and run stateward pitr backup at once\n", inLine(c.Archive))
	return nil
}
