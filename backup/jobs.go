package backup

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward"
)

// Setting is the effective value of a setting; its Origin is the option that it comes from.
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
	// PreHook, PostHook and DynamicPaths tell that there is such a command.
	PreHook, PostHook, DynamicPaths Setting[bool]
	// Schedule is absent where no timer is seen: that proves no missing schedule.
	Schedule Setting[Schedule]
	Prune    Setting[Prune]
	// Secret is how the engine gets its password.
	Secret Setting[stateward.FileRef]
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

// Jobs returns every backup job that a host declares or asks for, sorted by engine and name, and what is not understood
// of them. Both are complete as far as Host.Jobs is known.
func Jobs(h *stateward.Host) ([]Job, []Fault) {
	var faults []Fault
	out := []Job{}
	for _, raw := range h.Jobs.Or(nil) {
		j, bad := newJob(&raw)
		out = append(out, j)
		faults = append(faults, bad...)
	}
	slices.SortStableFunc(out, func(a, b Job) int {
		return cmp.Or(cmp.Compare(a.Engine.Or(""), b.Engine.Or("")), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Origin.Option, b.Origin.Option))
	})
	slices.SortFunc(faults, CompareFaults)
	return out, faults
}

func newJob(raw *stateward.Job) (Job, []Fault) {
	var faults []Fault
	j := Job{
		Name: raw.Name, Asked: raw.Asked, Origin: raw.Origin,
		Dataset: written(raw.Dataset), Exclude: written(raw.Exclude), Options: written(raw.Options), Tags: written(raw.Tags),
		PreHook: written(raw.PreHook), PostHook: written(raw.PostHook), DynamicPaths: written(raw.DynamicPaths), Secret: written(raw.PasswordFile),
	}
	if raw.Engine == "restic" || raw.Engine == "borg" {
		j.Engine = stateward.Known(raw.Engine, raw.Origin)
	}
	fault := func(o stateward.Origin, err error) {
		faults = append(faults, Fault{j.String(), o, err})
	}

	j.Repository = written(stateward.MapValue(raw.Repository, func(text string) (Repository, error) { return ParseRepository(raw.Engine, text), nil }))
	if file := raw.RepositoryFile; j.Repository.IsAbsent() && !file.IsAbsent() {
		j.Repository.Value = stateward.NotKnown[Repository](hidden(file.Origin(), "a file holds the address of the repository"))
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
	if j.Schedule.Value, err = ScheduleOf(raw.Schedule, raw.RandomizedDelay, raw.Persistent); err != nil {
		fault(raw.Schedule.Origin(), err)
	}
	j.Prune = written(stateward.MapValue(raw.Prune, func(options []string) (Prune, error) {
		p, err := parsePrune(raw.Engine, options)
		if err != nil {
			fault(raw.Prune.Origin(), err)
		}
		return p, err
	}))
	return j, faults
}

func written[T any](v stateward.Value[T]) Setting[T] { return Setting[T]{Value: v} }

func hidden(o stateward.Origin, message string) stateward.Unknown {
	return stateward.Unknown{Subject: o.Option, Kind: stateward.UnknownHidden, Message: message, File: o.File, Line: o.Line}
}

// ScheduleOf makes a schedule of OnCalendar= and what else is read of a timer. It is absent where there is no calendar event,
// and unknown where one of them is not understood, which is the error. Zones but UTC are not known here.
func ScheduleOf(events stateward.Value[[]string], delay stateward.Value[stateward.Duration], persistent stateward.Value[bool]) (stateward.Value[Schedule], error) {
	if list, ok := events.Get(); ok && len(list) == 0 {
		return stateward.Absent[Schedule](events.Origin()), nil
	}
	var fault error
	v := stateward.MapValue(events, func(list []string) (Schedule, error) {
		s := Schedule{RandomizedDelay: delay.Or(stateward.Duration{}), Persistent: persistent.Or(false)}
		for _, text := range list {
			c, err := ParseCalendar(text, nil)
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

func parsePrune(engine string, options []string) (Prune, error) {
	var p Prune
	if engine != "borg" {
		policy, others, err := ParseResticPolicy(options)
		if err != nil {
			return Prune{}, err
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
