package backup

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/text"
)

// Setting is the effective value of a setting; its Origin is the option that it comes from, which is empty for what no option says.
type Setting[T any] struct {
	stateward.Value[T]
	// Default tells that nobody wrote it for this job.
	Default bool
}

// Job is a backup job of any engine, with every setting as it takes effect.
type Job struct {
	Name string
	// Engine is "restic" or "borg"; absent where the configuration leaves it open.
	Engine stateward.Value[string]
	// Asked tells that the job is only asked for: nothing that is read runs it.
	Asked bool
	// Service is the name of the service that asks for the job; empty where none does.
	Service string
	// Target is the name of the repository among those of the host; empty where the job has an address of its own.
	Target string
	// Repository is absent where the configuration names none; unknown where a file holds the address.
	Repository Setting[Repository]
	// Paths are what is read. Unknown where any of them is.
	Paths Setting[[]stateward.AbsPath]
	// Dataset is a ZFS dataset of which a snapshot is read in place of what is mounted.
	Dataset Setting[string]
	Exclude Setting[[]string]
	// Options are those of the engine's command, raw, which may leave out more.
	Options Setting[[]string]
	Tags    Setting[[]string]
	// PreHook, PostHook and DynamicPaths tell that there is such a command. PreCommand and PostCommand are the texts for bash, where
	// they are read.
	PreHook, PostHook, DynamicPaths Setting[bool]
	PreCommand, PostCommand         Setting[string]
	Consistency                     Setting[Consistency]
	// StopUnits are stopped meanwhile. With [Quiesce] these are the units of the service where the job names none.
	StopUnits Setting[[]string]
	// DumpCommand writes files below DumpDirectory.
	DumpCommand   Setting[string]
	DumpDirectory Setting[stateward.AbsPath]
	// Schedule is absent where no timer is seen: that proves no missing schedule. Events, RandomizedDelay and Persistent are what it is made of.
	Schedule        Setting[Schedule]
	Events          Setting[[]string]
	RandomizedDelay Setting[stateward.Duration]
	Persistent      Setting[bool]
	Prune           Setting[Prune]
	// Secret is how the engine gets its password, Environment what the backend asks for, RepositoryFile where the address is.
	Secret, Environment, RepositoryFile Setting[stateward.FileRef]
	AllowEmpty                          Setting[[]string]
	// DrillPaths and DrillCommand are those of its restore drills; what else is said of these, and of notifications, is in Settings: see
	// [Job.Drill] and [Job.Notify].
	DrillPaths   Setting[[]stateward.AbsPath]
	DrillCommand Setting[[]string]
	// Notifications tells whether the service wants messages at all.
	Notifications              Setting[bool]
	User                       Setting[stateward.Owner]
	Initialize, RequireNetwork Setting[bool]
	Priority                   Setting[int]
	// Settings are what else is set, raw, such as "limits.memory": "2G".
	Settings map[string]Setting[string]
	// Faults are what of the job could be had and is not understood.
	Faults []Fault
	Origin stateward.Origin
}

// String names the job: "restic job daily".
func (j *Job) String() string {
	if engine, ok := j.Engine.Get(); ok {
		return engine + " job " + j.Name
	}
	return "backup job " + j.Name
}

// Prune is what a job removes after it has run.
type Prune struct {
	// Restic is what `restic forget` keeps; nil where the engine is another.
	Restic *ResticPolicy
	// Keep is how many archives borg keeps of each kind, such as "daily": 7; [Unlimited] for all.
	Keep map[string]int
	// Within is borg's `--keep-within`, as written.
	Within string
	// Others are the options that say nothing of how many are kept, as written.
	Others []string
}

// KeepsNothing tells whether no rule keeps anything.
func (p *Prune) KeepsNothing() bool {
	return (p.Restic == nil || p.Restic.IsZero()) && len(p.Keep) == 0 && p.Within == ""
}

// Fault is a setting that could be had and is not understood.
type Fault struct {
	// Subject is the job's, policy's or replication's own name, as [Job.String] has it.
	Subject string
	Origin  stateward.Origin
	Err     error
}

func (f Fault) Error() string { return fmt.Sprintf("%s: %v", f.Subject, f.Err) }

// CompareFaults orders by option and text.
func CompareFaults(a, b Fault) int {
	return cmp.Or(cmp.Compare(a.Origin.Option, b.Origin.Option), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Err.Error(), b.Err.Error()))
}

// Jobs returns every backup job that a host declares or asks for, one for each repository that it is to go to, sorted by engine and name,
// and what is not understood of them. Both are complete as far as Host.Jobs is known.
func Jobs(h *stateward.Host) ([]Job, []Fault) {
	var faults []Fault
	out := []Job{}
	r := newRepositories(h)
	units := serviceUnits(h)
	for _, raw := range h.Jobs.Or(nil) {
		targets, err := r.targets(&raw)
		for i, t := range targets {
			j := newJob(&raw, &t, r.defaults(&raw), units, h.Zones)
			if err != nil {
				j.Faults = append(j.Faults, Fault{j.String(), t.why, err})
			}
			out = append(out, j)
			if i == 0 {
				faults = append(faults, j.Faults...) // they are the same for all of its repositories
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Job) int {
		return cmp.Or(cmp.Compare(a.Engine.Or(""), b.Engine.Or("")), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Origin.Option, b.Origin.Option))
	})
	slices.SortFunc(faults, CompareFaults)
	return out, faults
}

func newJob(raw *stateward.Job, t *target, d *stateward.Job, units map[string][]string, zones stateward.Zones) Job {
	j := Job{
		Name: raw.Name, Asked: raw.Asked, Service: raw.Service, Origin: raw.Origin, Dataset: written(raw.Dataset), Options: written(raw.Options),
		Exclude: lay(raw.Exclude, d.Exclude), Tags: lay(raw.Tags, d.Tags),
		PreHook: lay(raw.PreHook, d.PreHook), PostHook: lay(raw.PostHook, d.PostHook), DynamicPaths: written(raw.DynamicPaths),
		PreCommand: lay(raw.PreCommand, d.PreCommand), PostCommand: lay(raw.PostCommand, d.PostCommand), DumpCommand: written(raw.DumpCommand),
		Events: lay(raw.Schedule, d.Schedule), RandomizedDelay: lay(raw.RandomizedDelay, d.RandomizedDelay), Persistent: lay(raw.Persistent, d.Persistent),
		AllowEmpty: written(raw.AllowEmpty), User: written(raw.User), Initialize: written(raw.Initialize), RequireNetwork: lay(raw.RequireNetwork, d.RequireNetwork),
		Priority: written(raw.Priority), Settings: map[string]Setting[string]{},
		Secret: written(raw.PasswordFile), Environment: written(raw.EnvironmentFile), RepositoryFile: written(raw.RepositoryFile),
	}
	if raw.Engine == "restic" || raw.Engine == "borg" {
		j.Engine = stateward.Known(raw.Engine, raw.Origin)
	}
	for name, v := range d.Settings {
		j.Settings[name] = Setting[string]{v, true}
	}
	for name, v := range raw.Settings {
		j.Settings[name] = written(v)
	}
	fault := func(o stateward.Origin, err error) {
		j.Faults = append(j.Faults, Fault{j.String(), o, err})
	}

	address, engine := written(raw.Repository), raw.Engine
	if raw.Asked && engine != "borg" {
		engine = "restic" // the engine that is left open is this
	}
	if to := t.repository; to != nil {
		j.Name, j.Target = t.name, to.Name
		address, j.RepositoryFile = Setting[string]{to.URL, t.implied}, Setting[stateward.FileRef]{to.URLFile, t.implied}
		j.Secret, j.Environment = lay(raw.PasswordFile, to.PasswordFile), lay(raw.EnvironmentFile, to.EnvironmentFile)
	} else if t.unknown != nil {
		address = written(stateward.NotKnown[string](*t.unknown))
	}
	j.Repository = Setting[Repository]{stateward.MapValue(address.Value, func(text string) (Repository, error) { return ParseRepository(engine, text), nil }), address.Default}
	if j.Repository.IsAbsent() && !j.RepositoryFile.IsAbsent() {
		j.Repository.Value = stateward.NotKnown[Repository](hidden(j.RepositoryFile.Origin(), "a file holds the address of the repository"))
	}

	j.Paths = written(stateward.MapValue(raw.Paths, func(list []stateward.Entry) ([]stateward.AbsPath, error) {
		paths, err := []stateward.AbsPath{}, error(nil)
		for _, e := range list {
			if e.Problem != nil {
				fault(e.Origin, e.Problem)
				err = cmp.Or(err, e.Problem)
				continue
			}
			paths = append(paths, e.Path)
		}
		return paths, err
	}))
	// Paths that the contract gives stand where the service is, and not where its backup is.
	j.Paths.Default = j.Paths.IsKnown() && strings.HasPrefix(raw.Origin.Option, j.Paths.Origin().Option+".")

	var err error
	j.Schedule.Default = j.Events.Default
	if j.Schedule.Value, err = ScheduleOf(j.Events.Value, j.RandomizedDelay.Value, j.Persistent.Value, zones); err != nil {
		fault(j.Events.Origin(), err)
	}
	prune := lay(raw.Prune, d.Prune)
	j.Prune = Setting[Prune]{stateward.MapValue(prune.Value, func(options []string) (Prune, error) {
		p, err := parsePrune(raw.Engine, options)
		if err != nil {
			fault(prune.Origin(), err)
		}
		return p, err
	}), prune.Default}

	j.onDrills(raw, d, fault)
	j.onNotifications(raw.Notifications, fault)

	j.DumpDirectory = written(stateward.MapValue(raw.DumpDirectory, func(e stateward.Entry) (stateward.AbsPath, error) {
		if e.Problem != nil {
			fault(e.Origin, e.Problem)
		}
		return e.Path, e.Problem
	}))
	j.StopUnits = written(stateward.MapValue(raw.StopUnits, func(list []string) ([]string, error) {
		out := []string{}
		for _, u := range list {
			out = append(out, unitName(u))
		}
		return out, nil
	}))
	consistency := lay(raw.Consistency, d.Consistency)
	j.Consistency = Setting[Consistency]{stateward.MapValue(consistency.Value, func(text string) (Consistency, error) {
		c, err := ParseConsistency(text)
		if err != nil {
			fault(consistency.Origin(), err)
		}
		return c, err
	}), consistency.Default}
	if j.Consistency.IsAbsent() && raw.Asked {
		// What else is said tells.
		switch {
		case j.DumpCommand.IsKnown():
			j.Consistency = Setting[Consistency]{stateward.Known(DumpFirst, j.DumpCommand.Origin()), true}
		case len(j.StopUnits.Or(nil)) > 0:
			j.Consistency = Setting[Consistency]{stateward.Known(Quiesce, j.StopUnits.Origin()), true}
		default:
			j.Consistency = Setting[Consistency]{stateward.Known(Live, stateward.Origin{}), true}
		}
	}
	switch c := j.Consistency.Or(""); {
	case c == Quiesce && j.StopUnits.IsAbsent():
		own := units[raw.Service]
		if raw.Service == "" || len(own) == 0 {
			fault(j.Consistency.Origin(), &NoUnitsError{raw.Service})
			break
		}
		j.StopUnits = Setting[[]string]{stateward.Known(own, stateward.Origin{Option: stateward.OptionPath("stateward", "services", raw.Service)}), true}
	case c == DumpFirst && j.DumpCommand.IsAbsent():
		fault(j.Consistency.Origin(), &NoDumpError{})
	case c == Live && !j.Consistency.Default && len(j.StopUnits.Or(nil)) > 0:
		fault(j.StopUnits.Origin(), &LiveUnitsError{})
	}
	return j
}

// lay lays a setting of a job over the default of its host.
func lay[T any](own, below stateward.Value[T]) Setting[T] {
	if own.IsAbsent() && !below.IsAbsent() {
		return Setting[T]{below, true}
	}
	return written(own)
}

func written[T any](v stateward.Value[T]) Setting[T] { return Setting[T]{Value: v} }

func hidden(o stateward.Origin, message string) stateward.Unknown {
	return stateward.Unknown{Subject: o.Option, Kind: stateward.UnknownHidden, Message: message, File: o.File, Line: o.Line}
}

// ScheduleOf makes a schedule of OnCalendar= and what else is read of a timer. It is absent where there is no calendar event,
// and unknown where one of them is not understood, which is the error. zones is as [ParseCalendar] has it.
func ScheduleOf(events stateward.Value[[]string], delay stateward.Value[stateward.Duration], persistent stateward.Value[bool], zones stateward.Zones) (stateward.Value[Schedule], error) {
	if list, ok := events.Get(); ok && len(list) == 0 {
		return stateward.Absent[Schedule](events.Origin()), nil
	}
	var fault error
	v := stateward.MapValue(events, func(list []string) (Schedule, error) {
		s := Schedule{RandomizedDelay: delay.Or(stateward.Duration{}), Persistent: persistent.Or(false)}
		for _, text := range list {
			c, err := ParseCalendar(text, zones)
			if err != nil {
				fault = err
				return Schedule{}, err
			}
			s.Calendar = append(s.Calendar, c)
		}
		if why, unknown := delay.Why(); unknown {
			s.Unknown = append(s.Unknown, why.Subject)
		}
		if why, unknown := persistent.Why(); unknown {
			s.Unknown = append(s.Unknown, why.Subject)
		}
		return s, nil
	})
	return v, fault
}

// PruneOptionError is an option by which an engine keeps nothing, for it has no such one: it refuses to run, and forgets nothing at all.
type PruneOptionError struct {
	Engine, Option string
	known          []string
}

func (e *PruneOptionError) Error() string {
	return fmt.Sprintf("%s has no option %s", e.Engine, e.Option)
}

// Hint names the option that was meant, or those that there are.
func (e *PruneOptionError) Hint() string {
	if near := text.Nearest(e.Option, e.known); near != "" {
		return fmt.Sprintf("write %q", near)
	}
	return "there is " + strings.Join(e.known, ", ")
}

// ResticKeepOptions are those of `restic forget` that say what is kept.
var ResticKeepOptions = []string{"--keep-last", "--keep-hourly", "--keep-daily", "--keep-weekly", "--keep-monthly", "--keep-yearly", "--keep-tag", "--keep-within",
	"--keep-within-hourly", "--keep-within-daily", "--keep-within-weekly", "--keep-within-monthly", "--keep-within-yearly"}

// borgKeepOptions are those of `borg prune`.
var borgKeepOptions = []string{"--keep-within", "--keep-last", "--keep-secondly", "--keep-minutely", "--keep-hourly", "--keep-daily", "--keep-weekly", "--keep-monthly",
	"--keep-13weekly", "--keep-3monthly", "--keep-yearly"}

func parsePrune(engine string, options []string) (Prune, error) {
	var p Prune
	if engine != "borg" {
		policy, others, err := ParseResticPolicy(options)
		if err != nil {
			return Prune{}, err
		}
		for _, o := range others {
			if name, _, _ := strings.Cut(o, "="); strings.HasPrefix(name, "--keep-") {
				return Prune{}, &PruneOptionError{"restic", name, ResticKeepOptions}
			}
		}
		return Prune{Restic: &policy, Others: others}, nil
	}
	for _, o := range options {
		name, amount, found := strings.Cut(strings.TrimPrefix(o, "--"), " ")
		if !found {
			name, amount, _ = strings.Cut(name, "=")
		}
		kind, keep := strings.CutPrefix(name, "keep-")
		switch {
		case !keep:
			p.Others = append(p.Others, o)
		case kind == "within":
			p.Within = amount
		case !slices.Contains(borgKeepOptions, "--"+name):
			return Prune{}, &PruneOptionError{"borg", "--" + name, borgKeepOptions}
		default:
			n, err := strconv.Atoi(strings.TrimSpace(amount))
			if err != nil || n < Unlimited {
				return Prune{}, fmt.Errorf("borg's %s is %q, which is no number", name, amount)
			}
			if n != 0 {
				if p.Keep == nil {
					p.Keep = map[string]int{}
				}
				p.Keep[kind] = n
			}
		}
	}
	return p, nil
}
