package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/backup/drill"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/apply"
	execdrill "github.com/stateward/stateward/internal/exec/drill"
	execpitr "github.com/stateward/stateward/internal/exec/pitr"
)

// DrillOutput is what `stateward drill -o json` prints.
type DrillOutput struct {
	ProtocolVersion string `json:"protocolVersion"`
	Job             string `json:"job"`
	// Due is false where --if-due was given and no drill is due; there is no record then.
	Due bool `json:"due"`
	// Record is what came of the drill.
	Record *drill.Record `json:"record,omitempty"`
	// File is where the record lies.
	File string `json:"file,omitempty"`
	// Error is why the drill did not pass.
	Error *ErrorOutput `json:"error,omitempty"`
}

type drillFlags struct {
	backupFlags
	dir, scratch, snapshot, sqlite3, to string
	ifDue                               bool
}

func newDrill(env Env) *cobra.Command {
	var f drillFlags
	cmd := &cobra.Command{
		Use:   "drill --plan FILE",
		Short: "Restore a backup into a scratch folder, and say whether it is whole",
		Long: `Drill restores the snapshot of the last good run of a backup job into a folder of its
own, and looks whether what came back is what was backed up: every file with its size and
content, every database of SQLite by its integrity_check, and what a command of yours says.
It measures how long that takes, writes a dated record, and removes what it restored.

It never touches live data: the scratch folder must be empty, apart from the paths of the
job, and have room for all of the snapshot. It makes no repository, and removes only what it
made; what a drill left that was killed the next one removes.

Of a policy of PostgreSQL (stateward pitr) it restores the newest base backup, replays the log to
its end, or to --to, on a server that nobody else can reach and that archives nothing, reads
every table of every database, and has pg_amcheck look at tables and indexes. The living
cluster and its archive stay as they are.

EXIT STATUS
  0  the drill passed, or none is due (--if-due)
  2  wrong usage
  3  the job could not be read
  4  the drill did not pass: the verdict says whether it failed, could not tell (unknown),
     was refused, or was interrupted`,
		Example: "  stateward drill --plan /etc/stateward/backup/paperless.json\n  stateward drill --plan paperless.json --scratch /mnt/spare/drill -o json\n  stateward drill --plan /etc/stateward/pitr/postgresql.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), env)
		},
	}
	f.register(cmd)
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text or json", "text", "text", "json")
	fs := cmd.Flags()
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "do not say what is being done")
	fs.BoolVar(&f.ifDue, "if-due", false, "only where no drill passed within what the job says")
	fs.StringVar(&f.snapshot, "snapshot", "", "the snapshot with this `ID`, and not that of the last good run")
	fs.Var((*momentFlag)(&f.to), "to", "of PostgreSQL: recover to this `MOMENT`, with its zone, or to a place in the log")
	fs.StringVar(&f.scratch, "scratch", "", "restore into an empty or missing folder, `DIR` (default: that of the job in "+execdrill.Scratch+", of PostgreSQL in "+execpitr.DrillScratch+")")
	f.sqlite3 = "sqlite3"
	fs.Var(wordFlag{&f.sqlite3}, "sqlite3", "the `PROGRAM` sqlite3")
	fs.StringVar(&f.dir, "drill-dir", execdrill.Dir, "keep the records of drills in `DIR`")
	fs.StringVar(&f.stateDir, "state-dir", restic.StateDir, "what is known of the runs of the backup is in `DIR`")
	fs.StringVar(&f.lockDir, "lock-dir", apply.LockDir, "keep the lock of the drill in `DIR`")
	cmd.AddCommand(newDrillUnits(env))
	return cmd
}

func (f *drillFlags) run(ctx context.Context, env Env) error {
	if policy, err := f.policy(); policy != nil || err != nil {
		if err != nil {
			return err
		}
		return f.runPITR(ctx, env, *policy)
	}
	if f.to != "" {
		return withStatus(StatusUsage, errors.New("--to is for a policy of PostgreSQL only"))
	}
	j, err := f.read()
	if err != nil {
		return err
	}
	if f.scratch == "" {
		f.scratch = filepath.Join(execdrill.Scratch, j.Name)
	}
	for _, dir := range []*string{&f.stateDir, &f.lockDir, &f.dir, &f.scratch} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			return withStatus(StatusStep, err)
		}
	}
	out := DrillOutput{ProtocolVersion: protocolVersion, Job: j.Name, Due: true}
	if f.ifDue {
		if j.Drill == nil || j.Drill.Every == "" {
			return withStatus(StatusEvaluation, fmt.Errorf("%s: the job does not say how often there is to be a drill", f.plan))
		}
		if due, err := f.due(env, &out, j.Host, j.Drill.Every); err != nil || !due {
			return err
		}
	}
	o := execdrill.Options{Options: f.options(env), Dir: f.dir, Scratch: f.scratch, Snapshot: f.snapshot, SQLite3: f.sqlite3}
	if !f.quiet {
		o.Began = func(step string) { fmt.Fprintf(env.Stderr, "%s: %s\n", inLine(j.Name), step) }
		o.Said = func(line string) { fmt.Fprintf(env.Stderr, "  %s\n", inLine(line)) }
	}
	// What was restored is removed, and what came of it written down, before an interrupt ends it.
	defer env.hold()()
	out.Record, out.File, err = execdrill.Run(ctx, j, o)
	return f.told(env, out, err)
}

// due says whether a drill is, and prints it where none is.
func (f *drillFlags) due(env Env, out *DrillOutput, host, every string) (bool, error) {
	records, err := readDrills(filepath.Join(f.dir, out.Job))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, withStatus(StatusStep, err)
	}
	s := drill.Overdue(host, out.Job, every, records, env.now())
	if s.Due() {
		return true, nil
	}
	if out.Due = false; f.output == "json" {
		return false, withStatus(StatusStep, writeJSON(env, out))
	}
	fmt.Fprintf(env.Stdout, "%s: no drill is due: one passed on %s\n", inLine(out.Job), s.Passed.Ended.UTC().Format("2006-01-02 15:04"))
	return false, nil
}

// told prints what came of a drill.
func (f *drillFlags) told(env Env, out DrillOutput, err error) error {
	if f.output == "json" {
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
	printDrill(env, out)
	return withStatus(StatusStep, err)
}

func printDrill(env Env, out DrillOutput) {
	r := out.Record
	if r == nil {
		return
	}
	w := env.Stdout
	fmt.Fprintf(w, "%s: %s\n", inLine(r.Job), r.Verdict)
	if x := r.Recovery; x != nil {
		printRecovery(w, r)
	} else if r.Snapshot.ID != "" {
		fmt.Fprintf(w, "  snapshot %s of %s\n", inLine(r.Snapshot.ID[:8]), r.Snapshot.Time.UTC().Format("2006-01-02 15:04"))
	}
	if x := r.Restored; x.Files > 0 && r.Recovery == nil {
		of := "all paths"
		if !x.Whole {
			of = strings.Join(r.Paths, ", ")
		}
		fmt.Fprintf(w, "  restored %s, %s in %s (%s a second): %s\n", count(int(x.Files), "file"), size(x.Bytes),
			time.Duration(x.Seconds*float64(time.Second)).Round(100*time.Millisecond), size(int64(x.BytesPerSecond)), inLine(of))
	}
	for _, c := range r.Checks {
		what := map[string]string{"restore": "file", "files": "place", "sqlite": "database", "command": "command", "tables": "table", "amcheck": "database"}[c.Name]
		if c.Name == "log" {
			fmt.Fprintf(w, "  %s: %s (%s)\n", c.Name, c.Verdict, size(c.Checked))
		} else {
			fmt.Fprintf(w, "  %s: %s (%s)\n", c.Name, c.Verdict, count(int(c.Checked), what))
		}
		for _, name := range c.Files {
			fmt.Fprintf(w, "    %s\n", inLine(name))
		}
	}
	if out.File != "" {
		fmt.Fprintf(w, "  record: %s\n", inLine(out.File))
	}
}

// readDrills reads the records of a folder and of those below it, each once: copies of the newest are left out.
func readDrills(dir string) ([]drill.Record, error) {
	var out []drill.Record
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		base := filepath.Base(name)
		switch {
		case err != nil:
			return err
		case d.IsDir() || !strings.HasSuffix(base, ".json") || base == drill.Newest || strings.HasSuffix(base, ".scratch.json") || strings.HasPrefix(base, "."):
			return nil
		}
		text, err := readRegular(name, maxConfig)
		if err != nil {
			return err
		}
		r, err := drill.Read(text)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, r)
		return nil
	})
	slices.SortStableFunc(out, func(a, b drill.Record) int { return a.Started.Compare(b.Started) })
	return out, err
}

// readDrillsFlag reads the folder of --drills; nil where it is not given.
func readDrillsFlag(dir string) (*aggregate.Drills, error) {
	if dir == "" {
		return nil, nil
	}
	records, err := readDrills(dir)
	if err != nil {
		return nil, unread("--drills", err, "name the folder with the records that stateward drill writes")
	}
	return &aggregate.Drills{Records: records}, nil
}

type drillUnitsFlags struct {
	backupFlags
	stateward, installed, scratch, write string
	path, onFailure                      []string
}

func newDrillUnits(env Env) *cobra.Command {
	var f drillUnitsFlags
	cmd := &cobra.Command{
		Use:   "units --plan FILE",
		Short: "Write the unit that does drills, and its timer",
		Long: `Units writes the systemd unit that does restore drills of a job, and the timer that starts
it; never one without the other. The job says how often: "drill": {"every": "30d"}. The timer
asks each day, or each hour where that is less than a week, whether a drill is due; one that did not pass is
done again.

` + exitStatus,
		Example: "  stateward drill units --plan paperless.json --stateward /run/current-system/sw/bin/stateward\n  stateward drill units --plan paperless.json --write /etc/systemd/system",
		Args:    cobra.NoArgs,
		RunE: func(_ *cobra.Command, _ []string) error {
			j, err := f.read()
			if err != nil {
				return err
			}
			if f.installed == "" {
				if f.installed, err = filepath.Abs(f.plan); err != nil {
					return withStatus(StatusStep, err)
				}
			}
			service, timer, err := j.DrillUnits(restic.UnitOptions{Stateward: f.stateward, Plan: f.installed, Path: f.path, OnFailure: f.onFailure}, f.scratch)
			if err != nil {
				return withStatus(StatusEvaluation, err)
			}
			if f.write != "" {
				if err := os.MkdirAll(f.write, 0o755); err != nil {
					return withStatus(StatusStep, err)
				}
			}
			// The timer last: it is never there without what it starts.
			for _, x := range []struct{ name, text string }{{j.DrillUnitName() + ".service", service}, {j.DrillUnitName() + ".timer", timer}} {
				if f.write == "" {
					fmt.Fprintf(env.Stdout, "# %s\n%s\n", x.name, x.text)
					continue
				}
				name := filepath.Join(f.write, x.name)
				if err := writeFile(name, []byte(x.text), 0o644); err != nil {
					return withStatus(StatusStep, err)
				}
				fmt.Fprintln(env.Stdout, inLine(name))
			}
			return nil
		},
	}
	fs := cmd.Flags()
	fs.Var(wordFlag{&f.plan}, "plan", "the job: a `FILE` of JSON")
	f.stateward = "/run/current-system/sw/bin/stateward"
	fs.Var(wordFlag{&f.stateward}, "stateward", "the program stateward on the machine, a `FILE`")
	fs.Var(wordFlag{&f.installed}, "installed-plan", "where the job lies on the machine, a `FILE` (default: that of --plan)")
	fs.StringVar(&f.scratch, "scratch", "", "restore into `DIR`, which must be there (default: that of the job in "+execdrill.Scratch+")")
	fs.StringSliceVar(&f.path, "path", nil, "a `DIR` with restic, ssh or sqlite3, for the PATH of the unit; may be repeated")
	fs.StringSliceVar(&f.onFailure, "on-failure", nil, "a `UNIT` to start where a drill does not pass; may be repeated")
	fs.StringVar(&f.write, "write", "", "write both files into `DIR` in place of standard output")
	// What it was called before.
	fs.StringVar(&f.write, "out", "", "")
	_ = fs.MarkHidden("out")
	return cmd
}
