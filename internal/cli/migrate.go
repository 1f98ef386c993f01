package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/capture"
	"github.com/stateward/stateward/internal/syntax/shell"
)

// MigrationOutput is what `stateward plan migrate -o json` prints.
type MigrationOutput struct {
	ProtocolVersion string           `json:"protocolVersion"`
	Host            string           `json:"host"`
	Source          string           `json:"source"`
	Status          stateward.Status `json:"status"`
	// Migration is the plan; it is left out where there are refusals. Owner, Group and Mode are what the top of the dataset gets.
	Migration *aggregate.Migration `json:"migration,omitempty"`
	Owner     string               `json:"owner,omitempty"`
	Group     string               `json:"group,omitempty"`
	Mode      string               `json:"mode,omitempty"`
	// Refusals are what speaks against it.
	Refusals []MigrationRefusal `json:"refusals"`
}

// MigrationRefusal is one reason why data is not migrated.
type MigrationRefusal struct {
	Kind     aggregate.RefusalKind `json:"kind"`
	Message  string                `json:"message"`
	Hint     string                `json:"hint,omitempty"`
	Evidence []string              `json:"evidence"`
	Origin   stateward.Origin      `json:"origin,omitzero"`
}

type migrateFlags struct {
	sourceFlags
	hostFlags
	output     string
	observed   string
	dataset    string
	job        string
	recordedAs string
	noBackup   string
	used       string
	settle     int
	health     string
	release    bool
}

func newPlanMigrate(env Env) *cobra.Command {
	var f migrateFlags
	cmd := &cobra.Command{
		Use:   "migrate SERVICE [SOURCE]",
		Short: "Plan to move a service's data onto its dataset",
		Long: `Migrate plans how the data of a service, which lies in a directory, gets onto the dataset that is
declared for it: a backup first, stop, create, copy, verify, swap, start, look whether it is
well, and whether the next backup has it. The old data is kept.

The text is a runbook: each step with what must hold, its commands, and its way back. The
script (-o script) does the same, and is for the host itself: "run" goes on where an earlier
run was killed, "status" says how far it is, "back" takes it back from wherever it is, and
"release" removes what was kept, of what is named.

Without --observed, what the configuration says is taken for what is there, and the script
looks first. A directory that a persistence module mounts is found with --observed only, a file
that "stateward capture zfs" wrote on the host. One of another host is refused, unless
--other-host is given.

--release adds the steps that remove what was kept, with what each removes.

Status 1 means that the data cannot be moved like that, that something is missing first, or that
the file is older than 30 days.

` + exitStatus,
		Example: "  stateward plan migrate sonarr .#forge --observed pool.json\n  stateward plan migrate sonarr .#forge -o script > migrate-sonarr",
		Args:    cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.run(cmd.Context(), env, args)
		},
	}
	f.sourceFlags.register(cmd)
	f.hostFlags.register(cmd, "the capture")
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text, json or script", "text", "text", "json", "script")
	fs := cmd.Flags()
	fs.StringVar(&f.observed, "observed", "", "plan for what this `FILE` of \"stateward capture zfs\" holds")
	fs.StringVar(&f.dataset, "dataset", "", "the `DATASET` to move to, where several are declared")
	fs.StringVar(&f.job, "job", "", "the restic `JOB` to use, where several read the data")
	fs.StringVar(&f.recordedAs, "recorded-as", "", "the `PATH` that the data has within the job's snapshots")
	fs.StringVar(&f.noBackup, "no-backup", "", "make no backup first and look for none later, for this `REASON`")
	fs.StringVar(&f.used, "used", "", "how much the data takes (`SIZE`, such as 40G), to compare with what is free")
	fs.IntVar(&f.settle, "settle", aggregate.DefaultSettle, "for how many `SECONDS` the units must stay up")
	fs.StringVar(&f.health, "health", "", "see with this `COMMAND` of bash whether the service works, in place of its healthCheck")
	fs.BoolVar(&f.release, "release", false, "plan to remove what was kept too")
	return cmd
}

// unmetError says that something is missing before a migration may begin.
type unmetError struct{ u aggregate.Unmet }

func (e *unmetError) Error() string { return e.u.Message }
func (e *unmetError) Hint() string  { return e.u.Hint }

func (f *migrateFlags) options() (opts aggregate.MigrationOptions, err error) {
	opts = aggregate.MigrationOptions{Job: f.job, NoBackup: f.noBackup, Settle: f.settle, Health: f.health, Release: f.release}
	if f.settle <= 0 {
		return opts, fmt.Errorf("--settle %d is not longer than nothing", f.settle)
	}
	if f.dataset != "" {
		if opts.Dataset, err = dataset.ParseName(f.dataset); err != nil {
			return opts, err
		}
	}
	if f.recordedAs != "" {
		if opts.RecordedAs, err = stateward.ParsePath(f.recordedAs); err != nil {
			return opts, err
		}
	}
	if f.used != "" {
		opts.Used, err = dataset.ParseSize(f.used)
	}
	return opts, err
}

func (f *migrateFlags) run(ctx context.Context, env Env, args []string) error {
	opts, err := f.options()
	if err != nil {
		return err
	}
	var file *capture.PoolFile
	var seen *dataset.Observed
	if f.observed != "" {
		if file, err = readObserved(f.observed); err != nil {
			return err
		}
		seen = file.Observed
	}
	hosts, err := f.load(ctx, env, args[1:])
	if err != nil {
		return err
	}
	if len(hosts) != 1 {
		return &oneHostError{len(hosts), "a migration"}
	}
	l := hosts[0]
	if l.err != nil {
		return withStatus(StatusEvaluation, l.err)
	}
	if seen != nil {
		if err := f.captured(env, f.observed, file, &l); err != nil {
			return err
		}
	}
	var captured *PoolCapture
	if file != nil {
		captured = capturedPools(env, f.observed, file)
	}
	m, refused := aggregate.NewMigration(l.host, args[0], seen, opts)
	sound := refused == nil && len(m.Unmet) == 0
	switch f.output {
	case "json":
		out := MigrationOutput{ProtocolVersion: protocolVersion, Host: l.name, Source: l.source, Status: l.host.Status, Refusals: []MigrationRefusal{}}
		for _, e := range refusals(refused) {
			out.Refusals = append(out.Refusals, MigrationRefusal{e.Kind, e.Error(), e.Advice, append([]string{}, e.Evidence...), e.Origin})
		}
		if refused == nil {
			out.Migration, out.Owner, out.Group, out.Mode = &m, m.Owner.String(), m.Group.String(), m.Mode.String()
		}
		err = writeJSON(env, out)
	case "script":
		for _, u := range m.Unmet {
			printError(env.Stderr, &unmetError{u})
		}
		if sound {
			var text string
			if text, err = migrationScript(&m, l.name); err == nil {
				fmt.Fprint(env.Stdout, text)
			}
		}
	default:
		if refused == nil {
			printMigration(env, &m, l.name)
		}
	}
	if err != nil {
		return withStatus(StatusStep, err)
	}
	if refused != nil && f.output != "json" {
		for _, e := range refusals(refused) {
			printError(env.Stderr, e)
		}
	}
	if captured.isOld() {
		printError(env.Stderr, &plainError{ErrorOutput{Message: captured.Old, Hint: oldCaptureHint}})
	}
	if l.host.Status == stateward.StatusPartial && f.output != "json" {
		fmt.Fprintln(env.Stderr, "stateward: some values of the host could not be evaluated; stateward check lists them")
	}
	if !sound || captured.isOld() {
		return &statusError{status: StatusFindings}
	}
	return nil
}

// refusals are the errors that one joins.
func refusals(err error) []*aggregate.MigrationError {
	var list []*aggregate.MigrationError
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) {
		for _, e := range many.Unwrap() {
			list = append(list, refusals(e)...)
		}
		return list
	}
	var one *aggregate.MigrationError
	if errors.As(err, &one) {
		list = append(list, one)
	}
	return list
}

func printMigration(env Env, m *aggregate.Migration, host string) {
	w := env.Stdout
	line := func(format string, args ...any) { fmt.Fprintln(w, inLine(fmt.Sprintf(format, args...))) }
	commands := func(indent string, list [][]string) {
		for _, c := range list {
			text, err := shell.Command(c...)
			if err != nil {
				text = shell.Comment(err.Error())
			}
			fmt.Fprintf(w, "%s$ %s\n", indent, text)
		}
	}
	line("%s: move the data of %s onto %s, in %s", host, m.Service, m.Dataset, count(len(m.Steps), "step"))
	line("  data      %s", m.Source)
	if m.Bound {
		line("  reached   %s, where it is bind-mounted", m.Path)
	}
	line("  then at   %s, on %s", m.Path, m.Dataset)
	line("  kept      %s", m.Old)
	line("  stopped   %s", strings.Join(append(append([]string{}, m.Timers...), m.Units...), ", "))
	for _, s := range m.Sharers {
		line("    %s too: %s (%s)", s.Service, s.Why, strings.Join(s.Units, ", "))
	}
	switch {
	case m.Job != nil:
		line("  backup    restic job %s, which has it as %s", m.Job.Name, m.Job.RecordedAs)
		for _, e := range [][2]string{{"RESTIC_REPOSITORY=", m.Job.Repository}, {"RESTIC_REPOSITORY_FILE=", m.Job.RepositoryFile}, {"RESTIC_PASSWORD_FILE=", m.Job.PasswordFile},
			{"environment of ", m.Job.EnvironmentFile}} {
			if e[1] != "" {
				line("    restic with %s%s", e[0], e[1])
			}
		}
	case m.NoBackup != "":
		line("  backup    none: %s", m.NoBackup)
	}
	for _, e := range m.Elsewhere {
		line("  elsewhere %s: %s", e.Path, e.Text)
	}
	for _, n := range m.Notes {
		line("  to know   %s", n)
	}
	for _, u := range m.Unmet {
		line("  ! %s", u.Message)
		line("    hint: %s", u.Hint)
	}
	step := func(n string, s aggregate.MigrationStep) {
		line("")
		line("%s %s: %s", n, s.Kind, s.Why)
		for _, v := range s.Victims {
			line("   removes %s %s, known by %s", v.Kind, v.Name, v.By)
		}
		conditions := func(word string, list []aggregate.Condition) {
			for _, c := range list {
				line("   %s  %s", word, c.Text)
				if c.Command != nil {
					commands("          ", [][]string{c.Command})
				}
			}
		}
		conditions("before", s.Before)
		commands("   ", s.Commands)
		conditions("after ", s.After)
		line("   back    %s", s.Back.Text)
		commands("          ", s.Back.Commands)
	}
	for i, s := range m.Steps {
		step(fmt.Sprintf("%d.", i+1), s)
	}
	if len(m.Release) > 0 {
		line("")
		line("Never before all of that is done, each for itself:")
		for _, s := range m.Release {
			step("-", s)
		}
	}
}
