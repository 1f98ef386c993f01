package backup

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/text"
)

// Consistency is how it is seen to that what is stored is of one moment (R9).
type Consistency string

const (
	// Live reads files as they change.
	Live Consistency = "live"
	// FromSnapshot reads a snapshot of the ZFS datasets that hold the paths.
	FromSnapshot Consistency = "snapshot"
	// Quiesce stops units until there is a snapshot, or for the time of the backup where no dataset holds the paths.
	Quiesce Consistency = "quiesce"
	// DumpFirst has a command write what is to be backed up.
	DumpFirst Consistency = "dump"
)

// ConsistencyError says that a text is none.
type ConsistencyError struct{ Text string }

func (e *ConsistencyError) Error() string { return fmt.Sprintf("consistency is %q", e.Text) }

// Hint says what to write instead.
func (e *ConsistencyError) Hint() string {
	return meant(e.Text, []string{"live", "snapshot", "quiesce", "dump"}, "write ")
}

// ParseConsistency reads "live", "snapshot", "quiesce" or "dump". The error is a *[ConsistencyError].
func ParseConsistency(s string) (Consistency, error) {
	switch c := Consistency(s); c {
	case Live, FromSnapshot, Quiesce, DumpFirst:
		return c, nil
	}
	return "", &ConsistencyError{s}
}

// meant is a hint: the name that a word was meant to be, or all that there are.
func meant(word string, known []string, write string) string {
	if n := text.Nearest(word, known); n != "" {
		return write + fmt.Sprintf("%q", n)
	}
	return write + "one of " + strings.Join(known, ", ")
}

// NoUnitsError says that nothing is named that could be stopped.
type NoUnitsError struct{ Service string }

func (e *NoUnitsError) Error() string {
	return "consistency is quiesce, and no unit is named that is to be stopped"
}

// Hint says what to write.
func (e *NoUnitsError) Hint() string { return "name them in stopUnits, or give the service its units" }

// NoDumpError says that nothing writes a dump.
type NoDumpError struct{}

func (e *NoDumpError) Error() string { return "consistency is dump, and there is no dump.command" }

// Hint says what to write.
func (e *NoDumpError) Hint() string {
	return `write dump = { command = "…"; directory = "/var/backup/NAME"; }`
}

// LiveUnitsError says that a job stops units and reads live all the same.
type LiveUnitsError struct{}

func (e *LiveUnitsError) Error() string { return "has units, and consistency is live" }

// Hint says what to write.
func (e *LiveUnitsError) Hint() string {
	return "write consistency = \"quiesce\", or take the units away"
}

// UnknownRepositoryError is the name of a repository that is not there.
type UnknownRepositoryError struct {
	Name string
	// Known are the names that are there.
	Known []string
}

func (e *UnknownRepositoryError) Error() string {
	if e.Name == "" {
		return "names no repository"
	}
	return fmt.Sprintf("no repository is named %q", e.Name)
}

// Hint says which was meant.
func (e *UnknownRepositoryError) Hint() string {
	if e.Name == "" {
		return "leave repositories out for the primary one"
	}
	if len(e.Known) == 0 {
		return stateward.OptionPath("stateward", "backup", "repositories", e.Name) + ` = { url = "…"; passwordFile = "…"; };`
	}
	return meant(e.Name, e.Known, "write ")
}

// PrimaryError says that there is not one primary repository for a job that names none.
type PrimaryError struct {
	// Names are those that could be it, and Several tells that all of them are said to be.
	Names   []string
	Several bool
}

func (e *PrimaryError) Error() string {
	if e.Several {
		return "repositories " + strings.Join(e.Names, ", ") + " are all primary"
	}
	return "names no repository, and none of " + strings.Join(e.Names, ", ") + " is primary"
}

// Hint says what to write.
func (e *PrimaryError) Hint() string {
	if e.Several {
		return "leave primary = true to one of them"
	}
	return stateward.OptionPath("stateward", "backup", "repositories", e.Names[0]) + ".primary = true; or name the repositories of the job"
}

// target is where a job goes to.
type target struct {
	// name is that of the job there.
	name       string
	repository *stateward.BackupRepository
	// implied tells that the job does not name it.
	implied bool
	// unknown says why it is not known, and why which option is at fault.
	unknown *stateward.Unknown
	why     stateward.Origin
}

type repositories struct {
	host   *stateward.Host
	byName map[string]*stateward.BackupRepository
	names  []string
	// primary is nil where none is, and then the error is why.
	primary *stateward.BackupRepository
	err     error
	unknown *stateward.Unknown
}

func newRepositories(h *stateward.Host) *repositories {
	r := &repositories{host: h, byName: map[string]*stateward.BackupRepository{}}
	if why, unknown := h.BackupRepositories.Why(); unknown {
		r.unknown = &why
	}
	var primary []string
	list := h.BackupRepositories.Or(nil)
	for i := range list {
		one := &list[i]
		r.byName[one.Name] = one
		r.names = append(r.names, one.Name)
		if one.Primary.Or(false) {
			primary = append(primary, one.Name)
			r.primary = one
		}
	}
	slices.Sort(r.names)
	switch {
	case len(primary) > 1:
		r.primary, r.err = nil, &PrimaryError{primary, true}
	case len(primary) == 0 && len(list) == 1 && !list[0].Primary.IsKnown() && !list[0].Primary.IsUnknown():
		r.primary = &list[0]
	case len(primary) == 0 && len(list) > 0:
		r.err = &PrimaryError{r.names, false}
	}
	return r
}

var noDefaults stateward.Job

// defaults are the settings that hold for a job where it has none of its own: of one that something else runs, none do.
func (r *repositories) defaults(raw *stateward.Job) *stateward.Job {
	if raw.Asked && r.host.BackupDefaults != nil {
		return r.host.BackupDefaults
	}
	return &noDefaults
}

// targets are where a job goes to. There is one at least; with an error the first says why it is not known.
func (r *repositories) targets(raw *stateward.Job) ([]target, error) {
	notKnown := func(o stateward.Origin, err error) ([]target, error) {
		u := stateward.Unknown{Subject: o.Option, Kind: stateward.UnknownForm, Message: err.Error(), File: o.File, Line: o.Line}
		return []target{{name: raw.Name, unknown: &u, why: o}}, err
	}
	if why, unknown := raw.Targets.Why(); unknown {
		return []target{{name: raw.Name, unknown: &why}}, nil
	}
	names, named := raw.Targets.Get()
	if !named {
		own := !raw.Repository.IsAbsent() || !raw.RepositoryFile.IsAbsent()
		switch {
		case own || !raw.Asked || raw.Engine == "borg":
			return []target{{name: raw.Name}}, nil
		case r.unknown != nil:
			return []target{{name: raw.Name, unknown: r.unknown}}, nil
		case r.err != nil:
			return notKnown(raw.Origin, r.err)
		case r.primary == nil:
			return []target{{name: raw.Name}}, nil
		}
		return []target{{name: raw.Name, repository: r.primary, implied: true}}, nil
	}
	var out []target
	for i, name := range names {
		one := r.byName[name]
		switch {
		case slices.Contains(names[:i], name):
			continue
		case one == nil && r.unknown != nil:
			return []target{{name: raw.Name, unknown: r.unknown}}, nil
		case one == nil:
			return notKnown(raw.Targets.Origin(), &UnknownRepositoryError{name, r.names})
		}
		// The job of the primary one keeps its name, and so its snapshots, whatever others come and go.
		t := target{name: raw.Name + "-" + name, repository: one}
		if one == r.primary {
			t.name = raw.Name
		}
		out = append(out, t)
	}
	if len(out) == 0 {
		return notKnown(raw.Targets.Origin(), &UnknownRepositoryError{"", r.names})
	}
	return out, nil
}

// RawJobs are the jobs of a host as they are declared, one for each repository that it is to go to, with the address and the files of that.
func RawJobs(h *stateward.Host) []stateward.Job {
	var out []stateward.Job
	r := newRepositories(h)
	for _, raw := range h.Jobs.Or(nil) {
		targets, _ := r.targets(&raw)
		for _, t := range targets {
			j := raw
			if to := t.repository; to != nil {
				j.Name, j.Repository, j.RepositoryFile = t.name, to.URL, to.URLFile
				j.PasswordFile, j.EnvironmentFile = lay(raw.PasswordFile, to.PasswordFile).Value, lay(raw.EnvironmentFile, to.EnvironmentFile).Value
			} else if t.unknown != nil {
				j.Repository = stateward.NotKnown[string](*t.unknown)
			}
			out = append(out, j)
		}
	}
	return out
}

// serviceUnits are the units of each service.
func serviceUnits(h *stateward.Host) map[string][]string {
	out := map[string][]string{}
	for _, s := range h.Services.Or(nil) {
		for _, u := range s.Units {
			if !slices.Contains(out[s.Name], u) {
				out[s.Name] = append(out[s.Name], u)
			}
		}
	}
	return out
}

// unitName adds the suffix that systemctl adds.
func unitName(u string) string {
	for _, suffix := range []string{".service", ".socket", ".timer", ".target", ".path", ".mount", ".automount", ".slice", ".scope", ".swap", ".device"} {
		if strings.HasSuffix(u, suffix) {
			return u
		}
	}
	return u + ".service"
}
