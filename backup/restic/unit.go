package restic

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/internal/syntax/nix"
	"github.com/stateward/stateward/internal/syntax/unit"
)

// Timer is when a job runs, as the options of systemd.timer(5) say it.
type Timer struct {
	// OnCalendar are calendar events. At least one.
	OnCalendar []string
	// RandomizedDelay and Accuracy are spans of systemd.time(7); empty means the default of systemd.
	RandomizedDelay, Accuracy string
	// Persistent makes up for runs that were missed while the machine was off.
	Persistent bool
}

func (t Timer) validate(j Job) error {
	if len(t.OnCalendar) == 0 {
		return &JobError{j.Name, "timer", "has no OnCalendar", "a job that nothing starts is no backup"}
	}
	for _, span := range []string{t.RandomizedDelay, t.Accuracy} {
		if span == "" {
			continue
		}
		if _, err := stateward.ParseDuration(span); err != nil {
			return &JobError{j.Name, "timer", err.Error(), hint(err)}
		}
	}
	return nil
}

// UnitOptions say where things are on the machine. All but Path are required.
type UnitOptions struct {
	// Stateward is the program, Plan the file with the job; both absolute.
	Stateward, Plan string
	// Path are the folders in which restic is, and ssh where the repository needs it: those of the PATH of the unit.
	Path []string
	// OnFailure are units that are started when a run fails.
	OnFailure []string
	// Digest is that of the job with its timer, see [Rendered.Digest]; empty where the unit is not part of a configuration.
	Digest string
}

// UnitPrefix begins the names of the units of jobs.
const UnitPrefix = "stateward-backup-"

// UnitName is that of the units of the job, without ".service" and ".timer".
func (j Job) UnitName() string { return UnitPrefix + j.Name }

// StateDir is where what is known of the last runs lies.
const StateDir = "/var/lib/stateward/backup"

// Service is the text of the unit that runs the job.
func (j Job) Service(o UnitOptions) (string, error) {
	out, err := j.service(o)
	if err != nil {
		return "", err
	}
	return unit.Write(out...)
}

func (j Job) service(o UnitOptions) ([]unit.Option, error) {
	if err := j.Validate(); err != nil {
		return nil, err
	}
	exec, err := unit.Exec(o.Stateward, "backup", "run", "--plan", o.Plan)
	if err != nil {
		return nil, err
	}
	repo := Repository{Scheme: "file"} // what the file says is not known here
	if j.Repository != "" {
		if repo, err = ParseRepository(j.Repository); err != nil {
			return nil, err
		}
	}
	var out []unit.Option
	add := func(section, name, value string) {
		out = append(out, unit.Option{Section: section, Name: name, Value: value})
	}
	add("Unit", "Description", unit.Specifiers(fmt.Sprintf("Back up %s with restic", j.Name)))
	if repo.Scheme != "local" {
		add("Unit", "Wants", "network-online.target")
		add("Unit", "After", "network-online.target")
	}
	// R8: what is not mounted is not backed up empty. The run itself looks once more.
	var mounts []string
	if len(j.Source) == 0 {
		mounts = append(mounts, j.Paths...)
	}
	for _, d := range j.Source {
		mounts = append(mounts, d.Mountpoint)
	}
	mounts = append(mounts, j.RequireMounted...)
	if repo.Path != "" {
		mounts = append(mounts, repo.Path)
	}
	slices.Sort(mounts)
	add("Unit", "RequiresMountsFor", unit.Words(slices.Compact(mounts)...))
	for _, u := range o.OnFailure {
		// "%" is let through: the name of the unit that failed is a specifier.
		if u == "" || strings.Trim(u, nameRunes+`:@\%`) != "" || !strings.HasSuffix(u, ".service") && !strings.HasSuffix(u, ".target") {
			return nil, &JobError{j.Name, "OnFailure", fmt.Sprintf("has %q, which is no unit", u), ""}
		}
		add("Unit", "OnFailure", u)
	}
	for _, n := range []struct{ option, template string }{{"Wants", j.Notify.OnStart}, {"OnSuccess", j.Notify.OnSuccess}, {"OnFailure", j.Notify.OnFailure}} {
		if n.template != "" {
			add("Unit", n.option, backup.NotifyUnit(n.template, "%n"))
		}
	}
	if o.Digest != "" {
		add("Unit", DigestOption, o.Digest)
	}
	add("Service", "Type", "oneshot")
	add("Service", "ExecStart", exec)
	if len(j.StopUnits) > 0 {
		// Whatever ended the run, be it for want of memory: what it stopped starts again now, and not with the next run.
		resume, err := unit.Exec(o.Stateward, "backup", "resume", "--plan", o.Plan)
		if err != nil {
			return nil, err
		}
		add("Service", "ExecStopPost", resume)
	}
	if len(o.Path) > 0 {
		for _, p := range o.Path {
			if reason := badPath(p); reason != "" || strings.Contains(p, ":") {
				return nil, &JobError{j.Name, "PATH", fmt.Sprintf("has %q, which is no absolute folder", p), ""}
			}
		}
		add("Service", "Environment", unit.Words("PATH="+strings.Join(o.Path, ":")))
	}
	add("Service", "StateDirectory", "stateward/backup")
	add("Service", "StateDirectoryMode", "0700")
	add("Service", "CacheDirectory", "stateward/restic")
	add("Service", "CacheDirectoryMode", "0700")
	// A run that is stopped ends restic by SIGINT, which then takes its lock back (R6); mixed leaves that to the run.
	add("Service", "KillMode", "mixed")
	add("Service", "TimeoutStopSec", "60")
	add("Service", "PrivateTmp", "true")
	add("Service", "NoNewPrivileges", "true")
	add("Service", "IOSchedulingClass", "idle")
	return append(out, j.Limits.options()...), nil
}

// options are the limits of the unit.
func (l Limits) options() (out []unit.Option) {
	nice := ""
	if l.Nice != 0 {
		nice = fmt.Sprint(l.Nice)
	}
	for _, s := range []struct{ name, value string }{{"Nice", nice}, {"MemoryMax", l.Memory}, {"CPUQuota", l.CPU}, {"TimeoutStartSec", l.RunTime}} {
		if s.value != "" {
			out = append(out, unit.Option{Section: "Service", Name: s.name, Value: s.value})
		}
	}
	return out
}

// TimerUnit is the text of the timer.
func (j Job) TimerUnit(t Timer) (string, error) {
	out, err := j.timer(t)
	if err != nil {
		return "", err
	}
	return unit.Write(out...)
}

func (j Job) timer(t Timer) ([]unit.Option, error) {
	if err := j.Validate(); err != nil {
		return nil, err
	}
	if err := t.validate(j); err != nil {
		return nil, err
	}
	out := []unit.Option{{Section: "Unit", Name: "Description", Value: unit.Specifiers("When to back up " + j.Name)}}
	for _, c := range t.OnCalendar {
		out = append(out, unit.Option{Section: "Timer", Name: "OnCalendar", Value: c})
	}
	for _, s := range []struct{ name, value string }{{"RandomizedDelaySec", t.RandomizedDelay}, {"AccuracySec", t.Accuracy}} {
		if s.value != "" {
			out = append(out, unit.Option{Section: "Timer", Name: s.name, Value: s.value})
		}
	}
	out = append(out, unit.Option{Section: "Timer", Name: "Persistent", Value: fmt.Sprint(t.Persistent)},
		unit.Option{Section: "Install", Name: "WantedBy", Value: "timers.target"})
	return out, nil
}

// StockError says that services.restic.backups cannot do what a job asks for.
type StockError struct{ Job, Field, Reason string }

func (e *StockError) Error() string {
	return fmt.Sprintf("backup job %q: services.restic.backups cannot have %s: %s", e.Job, e.Field, e.Reason)
}

// Hint says what to do.
func (e *StockError) Hint() string { return "let stateward run the job" }

// Stock is the job as a value for services.restic.backups.<name> of NixOS: for whoever does not have stateward run it, and never beside
// that. What the options there cannot say is refused with a *[StockError].
func (j Job) Stock(t Timer, depth int) (string, error) {
	if err := j.Validate(); err != nil {
		return "", err
	}
	if err := t.validate(j); err != nil {
		return "", err
	}
	refuse := func(field, reason string) (string, error) { return "", &StockError{j.Name, field, reason} }
	switch {
	case len(j.Source) > 0:
		return refuse("source", "it takes no snapshot of ZFS")
	case len(j.RequireMounted) > 0:
		return refuse("requireMounted", "it looks at no mount")
	case len(j.AllowEmpty) > 0:
		return refuse("allowEmpty", "it looks at no folder")
	case j.Floor != nil:
		return refuse("floorPercent", "it knows nothing of the last run")
	case j.MetricsDir != "":
		return refuse("metricsDir", "it writes none")
	case len(j.StopUnits) > 0:
		return refuse("stopUnits", "it would not start them again after a failure")
	case j.Dump != nil:
		return refuse("dump", "it does not look whether anything was written")
	case j.Notify != (backup.Notify{}):
		return refuse("notify", "it starts no other unit")
	case j.DrillsByTimer():
		return refuse("drill.every", "it does no restore drill")
	case j.PasswordFile == "":
		return refuse("no passwordFile", "it requires one")
	case j.Limits.Memory != "" || j.Limits.CPU != "" || j.Limits.RunTime != "" || j.Limits.Nice != 0:
		return refuse("limits of the unit", "set them in systemd.services")
	case !j.Prune && !j.Retention.ResticPolicy.IsZero():
		return refuse("a retention without prune", "it always prunes")
	}
	for _, p := range j.Paths {
		if strings.ContainsAny(p, "\n\r") {
			return refuse(fmt.Sprintf("the path %q", p), "it lists paths line by line")
		}
	}
	var exclude nix.List
	for _, p := range j.Exclude {
		// They go into a file, where "#" begins a comment, "$" a variable, and blanks at the ends are cut off.
		if strings.HasPrefix(p, "#") || strings.TrimSpace(p) != p || strings.ContainsAny(p, "\n\r") {
			return refuse(fmt.Sprintf("the pattern %q", p), "it would be read as something else")
		}
		exclude = append(exclude, strings.ReplaceAll(p, "$", "$$"))
	}
	set := nix.Set{}
	text := func(name, value string) {
		if value != "" {
			set = append(set, nix.Attr{Name: name, Value: value})
		}
	}
	list := func(name string, words []string) error {
		var l nix.List
		for _, w := range words {
			// They become part of an ExecStart=.
			q, err := unit.Exec("/x", w)
			if err != nil {
				return err
			}
			l = append(l, strings.TrimPrefix(q, "/x "))
		}
		if len(l) > 0 {
			set = append(set, nix.Attr{Name: name, Value: l})
		}
		return nil
	}
	text("repository", j.Repository)
	text("repositoryFile", j.RepositoryFile)
	text("passwordFile", j.PasswordFile)
	text("environmentFile", j.EnvironmentFile)
	// R3: a repository that is missing is a fault.
	set = append(set, nix.Attr{Name: "initialize", Value: false})
	var paths nix.List
	for _, p := range j.Paths {
		paths = append(paths, p)
	}
	set = append(set, nix.Attr{Name: "paths", Value: paths})
	if len(exclude) > 0 {
		set = append(set, nix.Attr{Name: "exclude", Value: exclude})
	}
	// NixOS runs them as bash does by default: a dump that fails in the middle would be backed up as if it were whole.
	for _, h := range []struct{ name, text string }{{"backupPrepareCommand", j.PreHook}, {"backupCleanupCommand", j.PostHook}} {
		if h.text != "" {
			text(h.name, "set -euo pipefail\n"+h.text)
		}
	}
	backupArgs := []string{"--host=" + j.Host, j.groupBy(), "--retry-lock=" + j.lockWait().String()}
	for _, tag := range j.OwnTags() {
		backupArgs = append(backupArgs, "--tag="+tag)
	}
	for _, f := range []struct {
		on   bool
		flag string
	}{{j.SkipIfUnchanged, "--skip-if-unchanged"}, {j.OneFileSystem, "--one-file-system"}} {
		if f.on {
			backupArgs = append(backupArgs, f.flag)
		}
	}
	backupArgs = append(backupArgs, j.limitArgs()...)
	if n := j.Limits.ReadConcurrency; n > 0 {
		backupArgs = append(backupArgs, fmt.Sprintf("--read-concurrency=%d", n))
	}
	if err := list("extraBackupArgs", backupArgs); err != nil {
		return "", err
	}
	if !j.Retention.ResticPolicy.IsZero() {
		// R4: the module itself adds nothing that would keep forget off the snapshots of others.
		prune := append([]string{"--retry-lock=" + j.lockWait().String()}, j.scope()...)
		if j.Retention.GroupBy == nil {
			prune = append(prune, "--group-by=host,paths")
		}
		if err := list("pruneOpts", append(prune, j.Retention.Options()...)); err != nil {
			return "", err
		}
	}
	if j.CheckSubset != "" {
		set = append(set, nix.Attr{Name: "runCheck", Value: true})
		check := []string{"--retry-lock=" + j.lockWait().String()}
		if j.CheckSubset != "0" {
			check = append(check, "--read-data-subset="+j.CheckSubset)
		}
		if err := list("checkOpts", check); err != nil {
			return "", err
		}
	}
	timer := nix.Set{}
	var events nix.List
	for _, c := range t.OnCalendar {
		events = append(events, c)
	}
	timer = append(timer, nix.Attr{Name: "OnCalendar", Value: events})
	for _, s := range []struct{ name, value string }{{"RandomizedDelaySec", t.RandomizedDelay}, {"AccuracySec", t.Accuracy}} {
		if s.value != "" {
			timer = append(timer, nix.Attr{Name: s.name, Value: s.value})
		}
	}
	timer = append(timer, nix.Attr{Name: "Persistent", Value: t.Persistent})
	set = append(set, nix.Attr{Name: "timerConfig", Value: timer})
	return nix.Write(set, depth)
}
