package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/restic"
)

// BackupPlan is what `stateward backup plan -o json` prints.
type BackupPlan struct {
	ProtocolVersion string        `json:"protocolVersion"`
	Hosts           []HostBackups `json:"hosts"`
}

// HostBackups are the backup jobs of one host.
type HostBackups struct {
	Name   string           `json:"name"`
	Source string           `json:"source"`
	Status stateward.Status `json:"status"`
	Jobs   []PlannedJob     `json:"jobs"`
	// Unreached is what is declared and reaches no job.
	Unreached []restic.Problem `json:"unreached,omitempty"`
	// NotifyUnits are the units that the jobs have send notifications; `stateward notify units` writes them.
	NotifyUnits []string     `json:"notifyUnits,omitempty"`
	Error       *ErrorOutput `json:"error,omitempty"`

	host *stateward.Host
}

// PlannedJob is one backup job.
type PlannedJob struct {
	Name string `json:"name"`
	// Service is the one that asks for the job, Target the repository by its name; each may be empty.
	Service string `json:"service,omitempty"`
	Target  string `json:"target,omitempty"`
	// RunBy is the option by which something else runs the job already.
	RunBy string `json:"runBy,omitempty"`
	// Job is what `stateward backup run --plan` reads, Timer when it runs; both are missing where the job is not rendered.
	Job      any                `json:"job,omitempty"`
	Timer    *TimerOutput       `json:"timer,omitempty"`
	Settings []restic.Effective `json:"settings"`
	// Problems keep the job from being rendered.
	Problems []restic.Problem `json:"problems,omitempty"`
	Notes    []restic.Problem `json:"notes,omitempty"`

	rendered *restic.Rendered
}

// TimerOutput is when a job runs.
type TimerOutput struct {
	OnCalendar      []string `json:"onCalendar"`
	RandomizedDelay string   `json:"randomizedDelay,omitempty"`
	Persistent      bool     `json:"persistent"`
}

type backupPlanFlags struct {
	sourceFlags
	output, write, program string
	jobs, path, onFailure  []string
	all                    bool
}

func newBackupPlan(env Env) *cobra.Command {
	var f backupPlanFlags
	cmd := &cobra.Command{
		Use:   "plan [SOURCE]",
		Short: "List the backup jobs that a configuration declares, and write what runs them",
		Long: `Plan lists every backup job that a host declares or asks for, with each setting as it takes
effect and the option that it comes from. What was written and has no effect is named, and
so is what reaches no job.

A job that services ask for is rendered; one that something else runs already, such as
services.restic.backups, is listed only, unless --all is given. For one host:
  units   a service, a timer and the file of the job for each, and those of its restore drills
  nix     a NixOS module with all of that; no secret is in it
  stock   a NixOS module of services.restic.backups, for whoever does not have stateward run them
  paths   what a collector of one's own takes: the paths of each service, units to stop,
          priority, patterns and hooks, as JSON; a service with a data directory and
          nothing said of its backup is named
With --write DIR the files are written below DIR, each whole or not at all.

A job that cannot be rendered is an error that names the option and what to write; the others
are rendered. Status 1 means that there is one, or that a value is unknown.

` + exitStatus,
		Example: "  stateward backup plan .#forge\n  stateward backup plan .#forge -o nix > backup.nix\n  stateward backup plan .#forge -o units --write /tmp/forge",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("write") && f.write == "" {
				return withStatus(StatusUsage, &writeNowhereError{})
			}
			if err := cmp.Or(onMachine("program", f.program), onMachine("path", f.path...)); err != nil {
				return err
			}
			return f.run(cmd.Context(), env, args)
		},
	}
	f.register(cmd)
	choiceFlag(cmd, &f.output, "output", "o", "`FORMAT` of the output: text, json, units, nix, stock or paths", "text", "text", "json", "units", "nix", "stock", "paths")
	fs := cmd.Flags()
	fs.StringArrayVar(&f.jobs, "job", nil, "only the job `NAME`; may be repeated")
	fs.BoolVar(&f.all, "all", false, "render jobs too that something else runs")
	fs.StringVar(&f.write, "write", "", "write files below `DIR` in place of standard output")
	fs.StringVar(&f.program, "program", "/run/current-system/sw/bin/stateward", "the program stateward on the machine, a `FILE`")
	fs.StringArrayVar(&f.path, "path", []string{"/run/current-system/sw/bin", "/usr/bin", "/bin"}, "where restic is on the machine, a `DIR` of the PATH of the units; may be repeated")
	fs.StringArrayVar(&f.onFailure, "on-failure", nil, "start the `UNIT` where a run fails, such as notify@%n.service; may be repeated")
	return cmd
}

// unknownJobError is a job that a host does not have.
type unknownJobError struct {
	name  string
	known []string
}

func (e *unknownJobError) Error() string { return fmt.Sprintf("no backup job is named %q", e.name) }
func (e *unknownJobError) Hint() string {
	if len(e.known) == 0 {
		return "the configuration declares none"
	}
	return "there is " + strings.Join(e.known, ", ")
}

func (f *backupPlanFlags) run(ctx context.Context, env Env, args []string) error {
	return planRun[HostBackups]{
		source: &f.sourceFlags, output: f.output, write: f.write,
		formats: "json, units, nix, stock and paths", forOne: map[string]string{"units": "units", "nix": "a module", "stock": "a module", "paths": "an aggregation"},
		plan: f.plan, sound: (*HostBackups).sound, known: f.known,
		document: func(hosts []HostBackups) any { return BackupPlan{protocolVersion, hosts} },
		print:    printBackups, render: f.render,
	}.run(ctx, env, args)
}

// known says which of --job no host has.
func (f *backupPlanFlags) known(hosts []HostBackups, failed bool) error {
	names := knownNames{}
	for _, h := range hosts {
		list, _ := backup.Jobs(orEmpty(h.host))
		for _, j := range list {
			names[j.Name] = true
		}
	}
	return names.check(f.jobs, failed, func(name string, known []string) error { return &unknownJobError{name, known} })
}

func orEmpty(h *stateward.Host) *stateward.Host {
	if h == nil {
		return &stateward.Host{}
	}
	return h
}

func (h *HostBackups) sound() bool {
	return h.Error == nil && h.Status == stateward.StatusOK && !slices.ContainsFunc(h.Jobs, func(j PlannedJob) bool { return len(j.Problems) > 0 })
}

func (f *backupPlanFlags) plan(l loaded) (HostBackups, error) {
	h := HostBackups{Name: l.name, Source: l.source, Status: stateward.StatusFailed, Jobs: []PlannedJob{}}
	if l.err != nil {
		h.Error = errorOutput(l.err)
		return h, nil
	}
	h.host, h.Status = l.host, l.host.Status
	jobs, unreached := restic.Plan(l.host, f.all)
	if len(f.jobs) == 0 {
		h.Unreached = unreached
	}
	for _, p := range jobs {
		if len(f.jobs) > 0 && !slices.Contains(f.jobs, p.Of.Name) {
			continue
		}
		one := PlannedJob{Name: p.Of.Name, Service: p.Of.Service, Target: p.Of.Target, RunBy: p.RunBy, Settings: p.Settings, Problems: p.Problems, Notes: p.Notes}
		if one.Settings == nil {
			one.Settings = []restic.Effective{}
		}
		if p.Job != nil {
			text, err := p.Job.Write()
			if err != nil {
				return h, withStatus(StatusStep, err)
			}
			one.Job = json.RawMessage(text)
			one.Timer = &TimerOutput{p.Timer.OnCalendar, p.Timer.RandomizedDelay, p.Timer.Persistent}
			one.rendered = &restic.Rendered{Job: *p.Job, Timer: p.Timer}
		}
		h.Jobs = append(h.Jobs, one)
	}
	h.NotifyUnits = restic.NotifyUnits(h.rendered())
	return h, nil
}

// rendered are the jobs that can be rendered.
func (h *HostBackups) rendered() (jobs []restic.Rendered) {
	for _, j := range h.Jobs {
		if j.rendered != nil {
			jobs = append(jobs, *j.rendered)
		}
	}
	return jobs
}

// render writes what is for a machine, and says beside it what that lacks.
func (f *backupPlanFlags) render(env Env, h *HostBackups) (sound bool, err error) {
	if h.Error != nil {
		printError(env.Stderr, &plainError{*h.Error})
		return false, nil
	}
	sound = true
	complain := func(err error) {
		sound = false
		printError(env.Stderr, err)
	}
	jobs := h.rendered()
	for _, j := range h.Jobs {
		for _, p := range j.Problems {
			printError(env.Stderr, planFault("job "+j.Name+": "+p.Message, p.Hint, p.Origin))
		}
	}
	if h.Status == stateward.StatusPartial {
		named, left := h.unknown()
		for _, text := range named {
			printError(env.Stderr, &plainError{ErrorOutput{Message: h.Name + ": " + text}})
		}
		if left > 0 || len(named) == 0 {
			printError(env.Stderr, &plainError{ErrorOutput{Message: h.Name + ": some values could not be evaluated", Hint: "stateward check lists them"}})
		}
	}
	var files []planFile
	// What lacks every job that there is would take the place of one that has them.
	empty := false
	switch f.output {
	case "json":
		for _, r := range jobs {
			text, err := r.Job.Write()
			if err != nil {
				return false, err
			}
			files = append(files, planFile{r.Job.Name + ".json", string(text)})
		}
	case "units":
		for _, r := range jobs {
			text, err := r.Job.Write()
			if err != nil {
				return false, err
			}
			digest, err := r.Digest()
			if err != nil {
				return false, err
			}
			service, err := r.Job.Service(restic.UnitOptions{Stateward: f.program, Plan: r.Job.PlanFile(), Path: f.path, OnFailure: f.onFailure, Digest: digest})
			if err != nil {
				return false, err
			}
			timer, err := r.Job.TimerUnit(r.Timer)
			if err != nil {
				return false, err
			}
			unit := systemUnits + "/" + r.Job.UnitName()
			files = append(files, planFile{r.Job.PlanFile(), string(text)}, planFile{unit + ".service", service}, planFile{unit + ".timer", timer})
			if !r.Job.DrillsByTimer() {
				continue
			}
			if service, timer, err = r.Job.DrillUnits(restic.UnitOptions{Stateward: f.program, Plan: r.Job.PlanFile(), Path: f.path, OnFailure: f.onFailure}, ""); err != nil {
				return false, err
			}
			unit = systemUnits + "/" + r.Job.DrillUnitName()
			files = append(files, planFile{unit + ".service", service}, planFile{unit + ".timer", timer})
		}
	case "nix":
		text, err := restic.Module(jobs, f.program, f.onFailure)
		if err != nil {
			return false, err
		}
		empty = len(jobs) == 0
		files = append(files, planFile{"stateward-backup.nix", text})
	case "stock":
		text, refused, err := restic.StockModule(jobs)
		if err != nil {
			return false, err
		}
		for _, e := range refused {
			complain(e)
		}
		empty = len(refused) == len(jobs)
		files = append(files, planFile{"restic-backups.nix", text})
	case "paths":
		out := collected(h.host)
		for _, s := range out.OnlyDataDir {
			complain(&plainError{ErrorOutput{Message: fmt.Sprintf("service %s has a data directory, %s, and nothing says what of it to back up", s.Service, s.DataDir),
				Hint: `give it a backup, or backupPaths`}})
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false) // it holds commands
		e.SetIndent("", "  ")
		if err := e.Encode(out); err != nil {
			return false, err
		}
		files = append(files, planFile{"backup-paths.json", b.String()})
	}
	if (f.output == "units" || f.output == "nix") && len(h.NotifyUnits) > 0 {
		fmt.Fprintf(env.Stderr, "stateward: these start %s, which stateward notify units writes\n", inLine(strings.Join(h.NotifyUnits, ", ")))
	}
	if f.write != "" && empty && !(sound && h.sound()) {
		complain(&nothingToWriteError{filepath.Join(f.write, files[0].name), "no job can be rendered for it"})
		return sound, nil
	}
	if f.write == "" {
		return sound, printFiles(env.Stdout, files, f.output == "units")
	}
	written, err := writeFiles(env, f.write, files)
	if err != nil || f.output != "units" || len(f.jobs) > 0 {
		return sound, err
	}
	return sound, nameLeft(env, f.write, written, "no job that was rendered", restic.UnitPrefix+"*", restic.DrillUnitPrefix+"*")
}

// CollectedBackups is what `stateward backup plan -o paths` prints: what a collector that somebody wrote himself takes.
type CollectedBackups struct {
	ProtocolVersion string `json:"protocolVersion"`
	Host            string `json:"host"`
	// Backups are by the name of the service, or of what else asks for a backup.
	Backups map[string]CollectedBackup `json:"backups"`
	// OnlyDataDir are services with a data directory of which nothing says what to back up.
	OnlyDataDir []OnlyDataDir `json:"onlyDataDir"`
}

// CollectedBackup is what is to be backed up, and what is to be done meanwhile. The smaller priority comes first.
type CollectedBackup struct {
	Paths          []string `json:"paths"`
	Exclude        []string `json:"exclude"`
	SystemdUnits   []string `json:"systemdUnits"`
	Priority       int      `json:"priority"`
	RequireNetwork bool     `json:"requireNetwork"`
	PreBackup      string   `json:"preBackup,omitempty"`
	PostBackup     string   `json:"postBackup,omitempty"`
}

// OnlyDataDir is such a service.
type OnlyDataDir struct {
	Service string `json:"service"`
	DataDir string `json:"dataDir"`
}

// defaultPriority is that of what says none.
const defaultPriority = 1000

func collected(h *stateward.Host) CollectedBackups {
	out := CollectedBackups{ProtocolVersion: protocolVersion, Host: h.Name, Backups: map[string]CollectedBackup{}, OnlyDataDir: []OnlyDataDir{}}
	// However many repositories a job goes to, it is collected once.
	one := *h
	one.BackupRepositories = stateward.Value[[]stateward.BackupRepository]{}
	jobs, _ := backup.Jobs(&one)
	covered := map[string]bool{}
	for _, j := range jobs {
		for _, p := range j.Paths.Or(nil) {
			covered[p.String()] = true
		}
		if !j.Asked {
			continue
		}
		c := CollectedBackup{Paths: []string{}, Exclude: append([]string{}, j.Exclude.Or(nil)...), SystemdUnits: append([]string{}, j.StopUnits.Or(nil)...), Priority: j.Priority.Or(defaultPriority),
			RequireNetwork: j.RequireNetwork.Or(false), PreBackup: j.PreCommand.Or(""), PostBackup: j.PostCommand.Or("")}
		for _, p := range j.Paths.Or(nil) {
			c.Paths = append(c.Paths, p.String())
		}
		if dir, ok := j.DumpDirectory.Get(); ok && !slices.ContainsFunc(j.Paths.Or(nil), func(p stateward.AbsPath) bool { return p.Contains(dir) }) {
			c.Paths = append(c.Paths, dir.String()) // a dump that is not backed up is none
		}
		if d, ok := j.DumpCommand.Get(); ok {
			c.PreBackup = strings.TrimPrefix(c.PreBackup+"\n"+d, "\n")
		}
		out.Backups[j.Name] = c
	}
	for _, s := range h.Services.Or(nil) {
		dir, ok := s.DataDir.Get()
		if on, known := s.Enable.Get(); !ok || known && !on || len(s.BackupPaths.Or(nil)) > 0 || dir.Problem != nil {
			continue
		}
		if _, asked := out.Backups[s.Name]; asked || slices.ContainsFunc(slices.Collect(dir.Path.Ancestors()), func(p stateward.AbsPath) bool { return covered[p.String()] }) {
			continue
		}
		if c := (OnlyDataDir{s.Name, dir.Path.String()}); !slices.Contains(out.OnlyDataDir, c) {
			out.OnlyDataDir = append(out.OnlyDataDir, c)
		}
	}
	return out
}

func printBackups(env Env, h *HostBackups) {
	w := env.Stdout
	if h.Error != nil {
		printFailedHost(w, h.Name, h.Status, h.Error)
		return
	}
	n := 0
	for _, j := range h.Jobs {
		if j.rendered != nil {
			n++
		}
	}
	if len(h.Jobs) == 0 {
		fmt.Fprintf(w, "%s: declares no backup jobs\n", inLine(h.Name))
	} else {
		fmt.Fprintf(w, "%s: %s, %d to render\n", inLine(h.Name), count(len(h.Jobs), "backup job"), n)
	}
	for _, j := range h.Jobs {
		more := ""
		if j.Target != "" {
			more = " to " + j.Target
		}
		if j.RunBy != "" {
			more += ", run by " + j.RunBy
		}
		if len(j.Problems) > 0 {
			more += ": not rendered"
		}
		fmt.Fprintf(w, "  %s%s\n", inLine(j.Name), inLine(more))
		for _, p := range j.Problems {
			printPlanFault(w, "!", p.Message, p.Hint, p.Origin)
		}
		var rows [][]string
		for _, s := range j.Settings {
			from := s.Origin.String()
			switch {
			case s.NoEffect != "":
				from = "no effect: " + s.NoEffect
			case from == "" && s.Default:
				from = "built in"
			case s.Default:
				from += " (default)"
			}
			rows = append(rows, []string{s.Name, inLine(clip(s.Value)), inLine(from)})
		}
		for _, line := range align(rows) {
			fmt.Fprintf(w, "    %s\n", line)
		}
		for _, p := range j.Notes {
			printPlanFault(w, "note:", p.Message, p.Hint, p.Origin)
		}
	}
	for _, p := range h.Unreached {
		fmt.Fprintf(w, "  reaches nothing: %s\n    by %s\n", inLine(p.Message), inLine(p.Origin.String()))
	}
	if len(h.NotifyUnits) > 0 {
		fmt.Fprintf(w, "  needs %s: stateward notify units writes them\n", inLine(strings.Join(h.NotifyUnits, ", ")))
	}
	if h.Status == stateward.StatusPartial {
		named, left := h.unknown()
		fmt.Fprintf(w, "  partial: %s could not be evaluated or understood; stateward check says more of them\n", count(len(named)+left, "value"))
		for _, text := range named {
			fmt.Fprintf(w, "    %s\n", inLine(text))
		}
		if left > 0 {
			fmt.Fprintf(w, "    and %d more\n", left)
		}
	}
}

// unknown names what could not be had, that of backups first and no more than a person reads, and says how many are left.
func (h *HostBackups) unknown() (named []string, left int) {
	const most = 5
	list := slices.Clone(orEmpty(h.host).Unknown)
	rank := func(u stateward.Unknown) int {
		if strings.Contains(u.Subject, "backup") {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b stateward.Unknown) int { return rank(a) - rank(b) })
	for _, u := range list[:min(len(list), most)] {
		named = append(named, u.String())
	}
	return named, len(list) - len(named)
}

// clip shortens a value to what a line of a table bears; -o json has it whole.
func clip(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}
