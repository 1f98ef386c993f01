package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/apply"
	execbackup "github.com/stateward/stateward/internal/exec/backup"
)

// BackupStatusOutput is what `stateward backup status -o json` prints.
type BackupStatusOutput struct {
	ProtocolVersion string            `json:"protocolVersion"`
	Jobs            []JobStatusOutput `json:"jobs"`
	// Unread are plans that could not be read.
	Unread []UnreadPlan `json:"unread,omitempty"`
}

// JobStatusOutput is one job of [BackupStatusOutput].
type JobStatusOutput struct {
	// Plan is the file of the job.
	Plan string `json:"plan"`
	execbackup.Status
}

// UnreadPlan is a plan that could not be read.
type UnreadPlan struct {
	Plan  string      `json:"plan"`
	Error ErrorOutput `json:"error"`
}

type backupStatusFlags struct {
	backupFlags
	plans    []string
	planDir  string
	patience time.Duration
}

// statusesAtOnce is how many repositories are read at a time.
const statusesAtOnce = 4

func newBackupStatus(env Env) *cobra.Command {
	var f backupStatusFlags
	cmd := &cobra.Command{
		Use:   "status --plan FILE... | --plan-dir DIR",
		Short: "Say how old the last good backup of each job is, and whether the repository has it",
		Long: `Status reads for each job what its runs wrote down, and the repository itself, and
compares: a run that is said to be good, and whose snapshot the repository does not have,
is a fault. So are a last good run that is older than the rpo of the job, a run that did
not end well, a prune that fails for ever, locks that are stale, and newer snapshots of
the same name under other paths.

A repository that could not be read makes the job "unknown": that is never taken for "no
backup", and never for a good one. One that is missing, one whose password is wrong, and
one that does not answer are told apart.

Nothing is locked, and nothing is changed.

EXIT STATUS
  0  all is well
  1  something is overdue, stale, or contradicts itself
  2  wrong usage
  3  a job could not be read
  4  a repository could not be read
  Where several apply, the first of 2, 3, 4, 1 is returned.`,
		Example: "  stateward backup status --plan paperless.json --plan photos.json\n  stateward backup status --plan-dir /etc/stateward/backup -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), env)
		},
	}
	fs := cmd.Flags()
	fs.StringArrayVar(&f.plans, "plan", nil, "the job: a `FILE` of JSON; may be repeated")
	fs.StringVar(&f.planDir, "plan-dir", "", "every job of `DIR`: its files that end in .json")
	f.restic = "restic"
	fs.Var(wordFlag{&f.restic}, "restic", "the `PROGRAM` restic, 0.18 or later")
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text or json", "text", "text", "json")
	fs.StringVar(&f.stateDir, "state-dir", restic.StateDir, "what is known of the runs is in `DIR`")
	fs.StringVar(&f.lockDir, "lock-dir", apply.LockDir, "the locks of the jobs are in `DIR`")
	f.patience = 2 * time.Minute
	fs.Var(timeFlag{&f.patience}, "timeout", "give a repository up that does not answer for this `TIME`")
	return cmd
}

// readPlans reads the jobs of files and of a folder, in order of the files.
func readPlans(files []string, dir string) (jobs []restic.Job, names []string, unread []UnreadPlan, err error) {
	files = slices.Clone(files)
	if dir != "" {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, nil, nil, withStatus(StatusEvaluation, planDirError(err))
		}
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".json") && !strings.HasPrefix(e.Name(), ".") {
				files = append(files, filepath.Join(dir, e.Name()))
			}
		}
	}
	switch {
	case len(files) == 0 && dir == "":
		return nil, nil, nil, &noPlansError{}
	case len(files) == 0:
		// Of no job at all nothing is fine.
		return nil, nil, nil, withStatus(StatusEvaluation, fmt.Errorf("--plan-dir: %s has no file that ends in .json", dir))
	}
	seen := map[string]string{}
	for _, file := range files {
		j, err := (&backupFlags{plan: file}).read()
		if err == nil && seen[j.Name] != "" {
			err = fmt.Errorf("%s: job %q is that of %s too", file, j.Name, seen[j.Name])
		}
		if err != nil {
			unread = append(unread, UnreadPlan{file, *errorOutput(err)})
			continue
		}
		seen[j.Name] = file
		jobs, names = append(jobs, j), append(names, file)
	}
	return jobs, names, unread, nil
}

func planDirError(err error) error {
	var p *os.PathError
	if errors.As(err, &p) {
		return fmt.Errorf("--plan-dir: %s: %w", p.Path, p.Err)
	}
	return fmt.Errorf("--plan-dir: %w", err)
}

type noPlansError struct{}

func (e *noPlansError) Error() string { return "no job is named" }
func (e *noPlansError) Hint() string {
	return "name the files with the jobs: --plan FILE, or the folder that they are in: --plan-dir DIR"
}

func (f *backupStatusFlags) run(ctx context.Context, env Env) error {
	jobs, names, unread, err := readPlans(f.plans, f.planDir)
	if err != nil {
		return err
	}
	for _, dir := range []*string{&f.stateDir, &f.lockDir} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			return withStatus(StatusStep, err)
		}
	}
	o := execbackup.StatusOptions{Options: f.options(env), Timeout: f.patience}
	if o.Hostname, err = env.hostname(); err != nil {
		o.Hostname = "" // locks are judged by their age then
	}
	out := BackupStatusOutput{ProtocolVersion: protocolVersion, Jobs: make([]JobStatusOutput, len(jobs)), Unread: unread}
	var wait sync.WaitGroup
	slots := make(chan struct{}, statusesAtOnce)
	for i, j := range jobs {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			out.Jobs[i] = JobStatusOutput{names[i], *execbackup.StatusOf(ctx, j, o)}
		})
	}
	wait.Wait()
	if f.output == "json" {
		if err := writeJSON(env, out); err != nil {
			return withStatus(StatusStep, err)
		}
	} else {
		printBackupStatus(env, out)
	}
	if status := out.status(); status != StatusOK {
		return &statusError{status: status}
	}
	return nil
}

// status is the exit status.
func (o BackupStatusOutput) status() int {
	if len(o.Unread) > 0 {
		return StatusEvaluation
	}
	status := StatusOK
	for _, j := range o.Jobs {
		switch j.State {
		case execbackup.Unknown:
			return StatusStep
		case execbackup.Faulty:
			status = StatusFindings
		}
	}
	return status
}

func printBackupStatus(env Env, out BackupStatusOutput) {
	w := env.Stdout
	now := env.now()
	when := func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }
	for _, j := range out.Jobs {
		fmt.Fprintf(w, "%s: %s\n", inLine(j.Job), j.State)
		if j.Repository != execbackup.Read {
			fmt.Fprintf(w, "  repository: %s: %s\n", j.Repository, inLine(j.RepositoryMessage))
			if h := readingHint(j.Repository); h != "" {
				fmt.Fprintf(w, "    hint: %s\n", h)
			}
		}
		rpo := ""
		if j.RPO != "" {
			rpo = fmt.Sprintf(" (rpo %s)", inLine(j.RPO))
		}
		switch g := j.LastGood; {
		case g == nil:
			fmt.Fprintf(w, "  last good: none is known%s\n", rpo)
		default:
			fmt.Fprintf(w, "  last good: %s, %s ago%s, %s, %s\n", when(g.Time), execbackup.Span(now.Sub(g.Time)), rpo, count(int(g.Files), "file"), size(g.Bytes))
		}
		if j.Snapshots != nil {
			fmt.Fprintf(w, "  repository: %s", count(*j.Snapshots, "snapshot"))
			if n := j.Newest; n != nil {
				fmt.Fprintf(w, ", the newest %s of %s", inLine(n.ID[:8]), when(n.Time))
				if n.Files != nil {
					fmt.Fprintf(w, " with %s, %s", count(int(*n.Files), "file"), size(*n.Bytes))
				}
			}
			fmt.Fprintln(w)
		}
		if g := j.Growth; g != nil {
			more, sign := g.Bytes, "more"
			if more < 0 {
				more, sign = -more, "less"
			}
			fmt.Fprintf(w, "  growth: %s %s than on %s; %s added\n", size(more), sign, when(g.Since), size(g.Added))
		}
		for _, x := range j.Faults {
			fmt.Fprintf(w, "  fault: %s\n", inLine(x.Message))
			if x.Hint != "" {
				fmt.Fprintf(w, "    hint: %s\n", inLine(x.Hint))
			}
		}
		for _, x := range j.Notes {
			fmt.Fprintf(w, "  note: %s\n", inLine(x))
		}
	}
	for _, u := range out.Unread {
		fmt.Fprintf(w, "%s: unknown\n  the job cannot be read: %s\n", inLine(u.Plan), inLine(u.Error.Message))
		if u.Error.Hint != "" {
			fmt.Fprintf(w, "    hint: %s\n", inLine(u.Error.Hint))
		}
	}
}

func readingHint(r execbackup.Reading) string {
	switch r {
	case execbackup.Missing:
		return "whether there is a backup is not known: " + restic.NoRepository.Hint()
	case execbackup.BadSecret:
		return restic.WrongPassword.Hint()
	case execbackup.Unreachable:
		return "whether there is a backup is not known: see whether the machine is there, and its credentials"
	}
	return ""
}
