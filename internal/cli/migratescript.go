package cli

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/syntax/shell"
)

//go:embed migratescript.sh
var migrateScript string

// migrationScript is the bash script that carries a migration out: each step of the plan is a function of it, and what they need is
// assigned at its head, the only place where a value is quoted.
func migrationScript(m *aggregate.Migration, host string) (string, error) {
	var b strings.Builder
	b.WriteString("#!/usr/bin/env bash\n")
	b.WriteString(shell.Comment(
		fmt.Sprintf("Written by `stateward plan migrate %s -o script` for %s: moves %s onto %s.", m.Service, host, m.Path, m.Dataset),
		"Run it as root on that host: run, status, back, release. It writes down what is done, so that a run that was killed goes",
		"on with the next one, or is taken back; it keeps the old data, and removes nothing that is not named."))
	b.WriteString("# shellcheck disable=SC1003,SC1111,SC1112,SC2016,SC2034,SC2088,SC2100,SC2317 # no value is meant to be expanded\n")
	// bash carries a script out while it reads it: as one group, one that is cut off, or overwritten while it runs, does nothing or all.
	b.WriteString("{\n")
	job := m.Job
	if job == nil {
		job = &aggregate.MigrationJob{}
	}
	health := m.Health
	if health == nil {
		health = &aggregate.MigrationHealth{}
	}
	flag := func(on bool) string {
		if on {
			return "1"
		}
		return ""
	}
	ids := m.Owner.String()
	if g := m.Group.String(); g != "" {
		ids += ":" + g
	}
	var err error
	words := func(w ...string) string {
		line, e := shell.Command(w...)
		if e != nil && err == nil {
			err = e
		}
		return line
	}
	for _, a := range [][2]string{
		{"host", host}, {"service", m.Service}, {"id", m.ID}, {"dataset", m.Dataset.String()}, {"guid", m.GUID}, {"path", m.Path.String()}, {"source", m.Source.String()},
		{"old", m.Old.String()}, {"staging", m.Staging.String()}, {"journal", m.Journal.String()}, {"bound", flag(m.Bound)}, {"from", m.From.String()},
		{"snapshot", m.Snapshot}, {"canmount", m.CanMount}, {"owner", ids}, {"mode", m.Mode.String()}, {"settle", fmt.Sprint(m.Settle)},
		{"health", health.Command}, {"health_interval", fmt.Sprint(health.Interval)}, {"health_timeout", fmt.Sprint(health.Timeout)},
		{"health_start", fmt.Sprint(health.StartPeriod)}, {"health_retries", fmt.Sprint(health.Retries)},
		{"job_unit", job.Unit}, {"job_user", job.User}, {"environment_file", job.EnvironmentFile}, {"recorded", job.RecordedAs.String()},
		{"selects", job.Selects.String()}, {"whole", flag(job.Whole)}, {"tag", job.Tag},
	} {
		b.WriteString(a[0] + "=" + words(a[1]) + "\n")
	}
	for _, a := range [][2]string{{"RESTIC_REPOSITORY", job.Repository}, {"RESTIC_REPOSITORY_FILE", job.RepositoryFile}, {"RESTIC_PASSWORD_FILE", job.PasswordFile}} {
		if m.Job != nil && a[1] != "" {
			b.WriteString("export " + a[0] + "=" + words(a[1]) + "\n")
		}
	}
	list := func(name string, items []string) {
		line := words(append([]string{name}, items...)...)
		b.WriteString(name + "=(" + strings.TrimPrefix(strings.TrimPrefix(line, name), " ") + ")\n")
	}
	list("units", m.Units)
	list("timers", m.Timers)
	var steps []string
	b.WriteString("create_ops() {\n  :\n")
	for _, s := range m.Steps {
		steps = append(steps, string(s.Kind))
		for i, c := range s.Commands {
			// The last one of a dataset that is there marks it: do_create does that itself.
			if s.Kind == aggregate.StepCreate && !(m.GUID != "" && i == len(s.Commands)-1) {
				b.WriteString("  " + words(append([]string{"op", c[len(c)-1]}, c...)...) + "\n")
			}
		}
	}
	b.WriteString("}\n")
	list("steps", steps)
	if err != nil {
		return "", err
	}
	return b.String() + "\n" + migrateScript + "}\n", nil
}
