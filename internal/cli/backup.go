package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/apply"
	execbackup "github.com/stateward/stateward/internal/exec/backup"
)

func newBackup(env Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup",
		Short: "Run a backup job, and say how it ended",
		Long:  "Backup has restic do what a job says.\n\n" + exitStatus,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Help(); err != nil {
				return err
			}
			return &statusError{status: StatusUsage}
		},
	}
	cmd.AddCommand(newBackupRun(env), newBackupInit(env), newBackupResume(env), newBackupPlan(env), newBackupStatus(env))
	return cmd
}

// BackupOutput is what `stateward backup run -o json` prints.
type BackupOutput struct {
	ProtocolVersion string `json:"protocolVersion"`
	execbackup.Result
	// Error is why the run is not complete.
	Error *ErrorOutput `json:"error,omitempty"`
}

type backupFlags struct {
	plan, restic, stateDir, lockDir string
	output                          string
	quiet, acceptSize               bool
	// undone is what did not happen where there is no job to be had, for people.
	undone string
}

func (f *backupFlags) register(cmd *cobra.Command) {
	fs := cmd.Flags()
	f.restic = "restic"
	fs.Var(wordFlag{&f.plan}, "plan", "the job: a `FILE` of JSON")
	fs.Var(wordFlag{&f.restic}, "restic", "the `PROGRAM` restic, 0.18 or later")
}

// read reads the job.
func (f *backupFlags) read() (restic.Job, error) {
	if f.plan == "" {
		return restic.Job{}, &noPlanError{}
	}
	text, err := readRegular(f.plan, maxConfig)
	if err != nil {
		return restic.Job{}, withStatus(StatusEvaluation, &planFileError{err, f.undone})
	}
	j, err := restic.ReadJob(text)
	if err != nil {
		return restic.Job{}, withStatus(StatusEvaluation, fmt.Errorf("%s: %w", f.plan, err))
	}
	return j, nil
}

// planFileError says that the file of --plan cannot be read.
type planFileError struct {
	err error
	// undone is what did not happen.
	undone string
}

func (e *planFileError) Error() string {
	var p *fs.PathError
	if errors.As(e.err, &p) {
		return fmt.Sprintf("--plan: %s: %v", p.Path, p.Err)
	}
	return "--plan: " + e.err.Error()
}
func (e *planFileError) Unwrap() error { return e.err }
func (e *planFileError) Hint() string {
	if e.undone != "" {
		return e.undone + ": name the file with the job; docs/backup.md shows one"
	}
	return "name the file with the job; docs/backup.md shows one"
}

type noPlanError struct{}

func (e *noPlanError) Error() string { return "--plan is missing" }
func (e *noPlanError) Hint() string  { return "name the file with the job: --plan FILE" }

// options are those of a run, but for what a person is told.
func (f *backupFlags) options(env Env) execbackup.Options {
	environment := []string{"PATH=" + env.Getenv("PATH") + ":/run/current-system/sw/bin:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL=C.UTF-8"}
	// What restic, ssh and rclone look at beside what the job's own file says. Secrets come from that file only.
	for _, name := range []string{"HOME", "TMPDIR", "SSL_CERT_FILE", "NIX_SSL_CERT_FILE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "XDG_CACHE_HOME", "RESTIC_CACHE_DIR"} {
		if v := env.Getenv(name); v != "" {
			environment = append(environment, name+"="+v)
		}
	}
	if dir, _, _ := strings.Cut(env.Getenv("CACHE_DIRECTORY"), ":"); dir != "" && env.Getenv("RESTIC_CACHE_DIR") == "" {
		environment = append(environment, "RESTIC_CACHE_DIR="+dir) // of the unit
	} else if env.Getenv("HOME")+env.Getenv("XDG_CACHE_HOME")+env.Getenv("RESTIC_CACHE_DIR") == "" {
		environment = append(environment, "RESTIC_CACHE_DIR=/var/cache/stateward/restic") // 0.19 does nothing without
	}
	return execbackup.Options{Restic: f.restic, Env: environment, StateDir: f.stateDir, LockDir: f.lockDir, AcceptSize: f.acceptSize, Now: env.now}
}

func newBackupRun(env Env) *cobra.Command {
	var f backupFlags
	cmd := &cobra.Command{
		Use:   "run --plan FILE",
		Short: "Back up, forget, prune and check as a job says",
		Long: `Run does one run of a backup job with restic: it backs up, forgets what the job's policy
does not keep of the job's own snapshots, and prunes and checks the repository where the
job asks for that. It is what the unit of the job starts.

Nothing is backed up where what is to be backed up is not there: not mounted, an empty
folder, or far less than the last good run had (--accept-size where that is meant). A
snapshot that lacks files that could not be read is no success, and nothing is forgotten
then. A repository that is missing is never made by a run; stateward backup init makes it.

What came of a run is written to --state-dir and, for node_exporter, to the metricsDir of
the job. Neither that nor what is printed has a secret in it.

EXIT STATUS
  0  there is a new snapshot that is complete, and all that followed went well
  2  wrong usage
  3  the job could not be read
  4  nothing was backed up, files could not be read, a later step failed, or the run was
     interrupted; the outcome says which`,
		Example: "  stateward backup run --plan /etc/stateward/backup/paperless.json\n  stateward backup run --plan paperless.json -o json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), env)
		},
	}
	f.register(cmd)
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text or json", "text", "text", "json")
	fs := cmd.Flags()
	fs.BoolVarP(&f.quiet, "quiet", "q", false, "do not say what is being done")
	fs.BoolVar(&f.acceptSize, "accept-size", false, "take what is there now for good, though it is far less than there was, or the last good snapshot is gone")
	fs.StringVar(&f.stateDir, "state-dir", restic.StateDir, "keep what is known of the runs in `DIR`")
	fs.StringVar(&f.lockDir, "lock-dir", apply.LockDir, "keep the lock of the job in `DIR`")
	return cmd
}

func (f *backupFlags) run(ctx context.Context, env Env) error {
	f.undone = "nothing was backed up"
	j, err := f.read()
	if err != nil {
		return err
	}
	for _, dir := range []*string{&f.stateDir, &f.lockDir} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			return withStatus(StatusStep, err)
		}
	}
	o := f.options(env)
	if !f.quiet {
		o.Began = func(step string) { fmt.Fprintf(env.Stderr, "%s: %s\n", inLine(j.Name), step) }
		o.Said = func(line string) { fmt.Fprintf(env.Stderr, "  restic: %s\n", inLine(line)) }
		var told time.Time
		o.Progress = func(p execbackup.Progress) {
			if now := env.now(); now.Sub(told) >= 30*time.Second {
				told = now
				fmt.Fprintf(env.Stderr, "  %.0f %%, %s of %s\n", math.Floor(p.Percent), size(p.Bytes), size(p.TotalBytes))
			}
		}
	}
	// An interrupt is handed on to restic, which takes its lock back, and what came of the run is written down.
	defer env.hold()()
	r, err := execbackup.Run(ctx, j, o)
	if f.output == "json" {
		out := BackupOutput{ProtocolVersion: protocolVersion, Result: *r}
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
	printBackup(env, r)
	return withStatus(StatusStep, err)
}

func size(n int64) string {
	if n < 0 {
		return "0"
	}
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	v, u := float64(n), 0
	for v >= 1024 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[u])
}

func printBackup(env Env, r *execbackup.Result) {
	w := env.Stdout
	fmt.Fprintf(w, "%s: %s\n", inLine(r.Job), r.Outcome)
	switch {
	case r.Unchanged:
		fmt.Fprintf(w, "  no snapshot: nothing changed since the last one\n")
	case r.Snapshot != "":
		id := r.Snapshot
		if len(id) > 8 {
			id = id[:8]
		}
		fmt.Fprintf(w, "  snapshot %s: %s, %s; %s added\n", inLine(id), count(int(r.Files), "file"), size(r.Bytes), size(r.Added))
	}
	for _, s := range r.Steps {
		fmt.Fprintf(w, "  %s: %s (%s)\n", s.Name, s.Outcome, time.Duration(s.Seconds*float64(time.Second)).Round(time.Millisecond))
	}
	if r.Outcome != restic.Complete {
		if r.LastGood == nil {
			fmt.Fprintln(w, "  last good: never")
		} else {
			fmt.Fprintf(w, "  last good: %s\n", r.LastGood.Time.Format(time.RFC3339))
		}
	}
}

func newBackupInit(env Env) *cobra.Command {
	var f backupFlags
	cmd := &cobra.Command{
		Use:   "init --plan FILE",
		Short: "Make the repository of a backup job",
		Long: `Init makes the repository of a job. No run of a job does that: a repository that
was there and is missing is a fault, and an empty one in its place would hide it.

EXIT STATUS
  0  the repository was made
  2  wrong usage
  3  the job could not be read
  4  it was not made, such as where there is one already`,
		Example: "  stateward backup init --plan /etc/stateward/backup/paperless.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			j, err := f.read()
			if err != nil {
				return err
			}
			defer env.hold()()
			if _, err := execbackup.Init(cmd.Context(), j, f.options(env)); err != nil {
				return withStatus(StatusStep, err)
			}
			fmt.Fprintf(env.Stdout, "%s: the repository is made\n  hint: keep its password in a second place: without it nothing can be restored\n", inLine(j.Name))
			return nil
		},
	}
	f.register(cmd)
	return cmd
}
