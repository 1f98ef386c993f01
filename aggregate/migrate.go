package aggregate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

// Migration moves the data of a service, which lies in a directory, onto a dataset of its own (P8). It is data: whoever carries it
// out does the steps in their order, each only where Before holds, and goes on only where After does.
type Migration struct {
	Service string `json:"service"`
	// ID tells this migration from others on the machine: eight hexadecimal digits that follow from host, dataset and path.
	ID      string       `json:"id"`
	Dataset dataset.Name `json:"dataset"`
	// GUID is that of a dataset that is there already, and empty; without one it is made.
	GUID string `json:"guid,omitempty"`
	// Path is where the data is reached, now and then.
	Path stateward.AbsPath `json:"path"`
	// Source is where the data lies: Path itself, or what is bind-mounted there.
	Source stateward.AbsPath `json:"source"`
	// Old is what Source is renamed to. It is kept.
	Old stateward.AbsPath `json:"old"`
	// Staging is where the dataset is mounted until the copy is verified.
	Staging stateward.AbsPath `json:"staging"`
	// Journal is the directory that holds which steps are done. It lies beside the data, and so survives what the data does.
	Journal stateward.AbsPath `json:"journal"`
	// Bound tells that Source is bind-mounted at Path.
	Bound bool `json:"bound,omitempty"`
	// From is the dataset that Source lies on, where it is known to be one.
	From dataset.Name `json:"from,omitzero"`
	// Snapshot is the name that the snapshot of From gets, without the number of the attempt.
	Snapshot string `json:"snapshot,omitempty"`
	// CanMount is what the property is in the end: "on" or "noauto".
	CanMount string `json:"canmount"`
	// Units are stopped, in this order, and started again the other way round; Timers are those of backup jobs that read the data.
	Units  []string `json:"units"`
	Timers []string `json:"timers"`
	// Health is how to see whether the service works; nil where it is only looked whether its units stay up.
	Health *MigrationHealth `json:"health,omitempty"`
	// Sharers are other services that use the data, and why.
	Sharers []Sharer `json:"sharers"`
	// Job is the backup job that holds the data; nil where none is known.
	Job *MigrationJob `json:"job,omitempty"`
	// NoBackup is the reason why no backup is made first and none is looked for later.
	NoBackup string `json:"noBackup,omitempty"`
	// Settle is for how many seconds the units must stay up.
	Settle int `json:"settle"`
	// Elsewhere are other places with state of the service. They stay as they are.
	Elsewhere []Elsewhere     `json:"elsewhere"`
	Owner     stateward.Owner `json:"-"`
	Group     stateward.Owner `json:"-"`
	Mode      stateward.Mode  `json:"-"`
	Steps     []MigrationStep `json:"steps"`
	// Release removes what was kept. It is there only where it was asked for, and each of it is done on its own.
	Release []MigrationStep `json:"release,omitempty"`
	// Unmet are what is missing before the first step may be done.
	Unmet []Unmet  `json:"unmet"`
	Notes []string `json:"notes"`
}

// MigrationHealth is how to see whether a service works. Times are in seconds.
type MigrationHealth struct {
	// Command is for `bash -c`.
	Command     string `json:"command"`
	Interval    int    `json:"interval"`
	Timeout     int    `json:"timeout"`
	StartPeriod int    `json:"startPeriod"`
	Retries     int    `json:"retries"`
}

// Sharer is another service that uses the data.
type Sharer struct {
	Service string   `json:"service"`
	Units   []string `json:"units"`
	Why     string   `json:"why"`
}

// Elsewhere is a place with state of a service that a migration does not touch.
type Elsewhere struct {
	Path   stateward.AbsPath `json:"path"`
	Origin string            `json:"origin,omitempty"`
	// Text says what becomes of it.
	Text string `json:"text"`
}

// MigrationJob is the restic job that holds the data.
type MigrationJob struct {
	Name string `json:"name"`
	// Unit runs it; empty where none is known, so that the same backup is made by hand.
	Unit string `json:"unit,omitempty"`
	User string `json:"user,omitempty"`
	// Repository or RepositoryFile, PasswordFile and EnvironmentFile are where restic finds its secrets; none is in an argument.
	Repository      string `json:"repository,omitempty"`
	RepositoryFile  string `json:"repositoryFile,omitempty"`
	PasswordFile    string `json:"passwordFile,omitempty"`
	EnvironmentFile string `json:"environmentFile,omitempty"`
	// RecordedAs is the path that the data has within the job's snapshots (R2).
	RecordedAs stateward.AbsPath `json:"recordedAs"`
	// Selects is the path by which the job's snapshots are told from others of the repository; unset where none is known.
	Selects stateward.AbsPath `json:"selects,omitzero"`
	// Whole tells that nothing is excluded, so that every file that is there must be in the next backup (R7).
	Whole bool `json:"whole"`
	// Tag marks the backup that is made first.
	Tag string `json:"tag"`
}

// StepKind names a step of a migration.
type StepKind string

// The steps, in their order. StepReleaseDirectory and StepReleaseSnapshot are in no run.
const (
	StepBackup           StepKind = "backup"
	StepStop             StepKind = "stop"
	StepSnapshot         StepKind = "snapshot"
	StepCreate           StepKind = "create"
	StepStage            StepKind = "stage"
	StepCopy             StepKind = "copy"
	StepVerify           StepKind = "verify"
	StepOwn              StepKind = "own"
	StepSwap             StepKind = "swap"
	StepStart            StepKind = "start"
	StepHealth           StepKind = "health"
	StepProof            StepKind = "proof"
	StepReleaseDirectory StepKind = "release-directory"
	StepReleaseSnapshot  StepKind = "release-snapshot"
)

// MigrationStep is one step.
type MigrationStep struct {
	Kind StepKind `json:"kind"`
	// Why is why it is there.
	Why string `json:"why"`
	// Commands are argument vectors, in their order.
	Commands [][]string `json:"commands"`
	// Before must hold before it, and After once it is done.
	Before []Condition `json:"before"`
	After  []Condition `json:"after"`
	// Back leads from the point after this step to the point before it.
	Back Way `json:"back"`
	// Victims are what it removes.
	Victims []Victim `json:"victims,omitempty"`
}

// Condition is what must hold: Command, where there is one, ends with status 0 where it does.
type Condition struct {
	Text    string   `json:"text"`
	Command []string `json:"command,omitempty"`
}

// Way is how to go somewhere.
type Way struct {
	Text     string     `json:"text"`
	Commands [][]string `json:"commands,omitempty"`
}

// Victim is what a step removes, by name.
type Victim struct {
	// Kind is "directory" or "snapshot".
	Kind string `json:"kind"`
	Name string `json:"name"`
	// By is how it is recognised.
	By string `json:"by"`
}

// Unmet is what is missing before the first step may be done.
type Unmet struct {
	Message string           `json:"message"`
	Hint    string           `json:"hint"`
	Origin  stateward.Origin `json:"origin,omitzero"`
}

// MigrationOptions of [NewMigration]. The zero value is useful.
type MigrationOptions struct {
	// Dataset chooses one, where several hold data of the service.
	Dataset dataset.Name
	// Job chooses the backup job by name, where several hold the data.
	Job string
	// RecordedAs is the path of the data within the job's snapshots, where that is not the data's own.
	RecordedAs stateward.AbsPath
	// NoBackup is why the data is moved without a backup of it; empty means that there must be one.
	NoBackup string
	// Used is how much the data takes, in bytes; 0 where it is not known.
	Used dataset.Size
	// Settle is for how many seconds the units must stay up; 0 means [DefaultSettle].
	Settle int
	// Health is a command that ends with status 0 while the service works, in place of that of its healthCheck.
	Health string
	// Release asks for the steps that remove what was kept.
	Release bool
}

// DefaultSettle is for how many seconds units must stay up after a migration.
const DefaultSettle = 30

// MigrationMarker is the user property that a dataset and a snapshot of a migration carry; its value is the migration's ID.
const MigrationMarker = "stateward:migration"

// migrator gathers what a migration needs, and what speaks against it.
type migrator struct {
	host     *stateward.Host
	observed *dataset.Observed
	opts     MigrationOptions
	m        Migration
	wanted   dataset.Wanted
	plan     dataset.Plan
	refusals []error
}

// NewMigration plans to move the data of a service onto the dataset that the configuration declares for it. Observed is what the
// machine has; with nil, what the configuration says is taken for what is there, and whoever carries the plan out looks first.
//
// The error joins every [*MigrationError] that speaks against it. What is merely missing is in Unmet: such a plan may be read and
// not carried out.
func NewMigration(h *stateward.Host, service string, observed *dataset.Observed, opts MigrationOptions) (Migration, error) {
	g := &migrator{host: h, observed: observed, opts: opts}
	g.m = Migration{Service: service, NoBackup: opts.NoBackup, Settle: opts.Settle, CanMount: "on", Units: []string{}, Timers: []string{},
		Sharers: []Sharer{}, Elsewhere: []Elsewhere{}, Unmet: []Unmet{}, Notes: []string{}}
	if g.m.Settle == 0 {
		g.m.Settle = DefaultSettle
	}
	services, err := g.services(service)
	if err != nil {
		return Migration{}, err
	}
	desired, err := g.dataset(services)
	if err != nil {
		return Migration{}, err
	}
	sum := sha256.Sum256([]byte(h.Name + "\x00" + g.m.Dataset.String() + "\x00" + g.m.Path.String()))
	g.m.ID = hex.EncodeToString(sum[:4])
	g.places(services)
	g.lie(desired)
	g.pool(desired)
	g.units(services)
	g.health(services)
	g.job(services)
	if err := joined(g.refusals); err != nil {
		return Migration{}, err
	}
	g.names()
	g.steps()
	if opts.Release {
		g.release()
	}
	return g.m, nil
}

// names are those that follow from the places.
func (g *migrator) names() {
	m := &g.m
	above, base := m.Source.Parent(), m.Source.String()[strings.LastIndexByte(m.Source.String(), '/')+1:]
	at := func(dir stateward.AbsPath, name string) stateward.AbsPath {
		p, _ := dir.Join(name)
		return p
	}
	m.Old = at(above, base+".pre-migration-"+m.ID)
	m.Journal = at(above, ".stateward-migration-"+m.ID)
	m.Staging = stateward.MustPath("/run/stateward/migration-" + m.ID)
	if !m.From.IsZero() {
		m.Snapshot = "stateward-migration-" + m.ID
	}
}

func (g *migrator) steps() {
	m := &g.m
	add := func(s MigrationStep) {
		if s.Before == nil {
			s.Before = []Condition{}
		}
		if s.After == nil {
			s.After = []Condition{}
		}
		if s.Commands == nil {
			s.Commands = [][]string{}
		}
		m.Steps = append(m.Steps, s)
	}
	path, source, old, staging, name := m.Path.String(), m.Source.String(), m.Old.String(), m.Staging.String(), m.Dataset.String()
	unmounted := Condition{"nothing is mounted below " + source, nil}

	if m.Job != nil {
		add(MigrationStep{Kind: StepBackup, Why: "whatever happens then, the data is in a repository, under a tag that no retention of the job looks for",
			Commands: [][]string{{"restic", "backup", "--tag", m.Job.Tag, "--", source}},
			Before: []Condition{
				{"restic is 0.18 or newer: an older one does not tell a wrong password from a repository that is not there", []string{"restic", "version"}},
				{"the repository opens with the job's password", []string{"restic", "cat", "config"}}},
			After: []Condition{{"restic ended with status 0 (3 means that files could not be read, and is a failure)", nil},
				{"a snapshot with the tag holds " + source, []string{"restic", "ls", "--tag", m.Job.Tag, "--path", source, "latest", source}}},
			Back: Way{Text: "nothing to undo: the backup stays"}})
	}
	stop := append([]string{"systemctl", "stop", "--"}, append(slices.Clone(m.Timers), m.Units...)...)
	start := append([]string{"systemctl", "start", "--"}, append(reversed(m.Units), m.Timers...)...)
	stopCommands := [][]string{}
	if len(stop) > 3 {
		stopCommands = append(stopCommands, stop)
	}
	stopped := Condition{Text: "no unit that uses the data runs", Command: nil}
	after := []Condition{stopped}
	for _, u := range m.Units {
		after = append(after, Condition{"the state of " + u + " is neither active nor on its way to or from it", []string{"systemctl", "show", "-P", "ActiveState", "--", u}})
	}
	back := Way{Text: "start again what ran"}
	if len(start) > 3 {
		back.Commands = [][]string{start}
	}
	add(MigrationStep{Kind: StepStop, Why: "a copy of files that are written to is torn (R9)", Commands: stopCommands,
		Before: []Condition{{"sockets, timers and paths that would start them again are stopped too (systemctl show -P TriggeredBy UNIT)", nil}, unmounted},
		After:  after, Back: back})
	if !m.From.IsZero() {
		snapshot := m.From.String() + "@" + m.Snapshot + "-1"
		add(MigrationStep{Kind: StepSnapshot, Why: "the data lies on " + m.From.String() + ": what it was like when nobody wrote to it is kept, and costs nothing",
			Commands: [][]string{{"zfs", "snapshot", "-o", MigrationMarker + "=" + m.ID, "--", snapshot}},
			After:    []Condition{{"the snapshot is there; its guid is written down, and it is known by that from now on (S6)", []string{"zfs", "get", "-Hp", "-o", "value", "guid", "--", snapshot}}},
			Back:     Way{Text: "nothing to undo: the snapshot stays until it is released. The number counts attempts"}})
	}
	create := MigrationStep{Kind: StepCreate, Why: "all its properties are there before its first file is (D3), and canmount=noauto keeps a reboot in between from mounting an unfinished copy over the data",
		After: []Condition{{"it is marked as this migration's, and its guid is written down", []string{"zfs", "get", "-Hp", "-o", "value,source", MigrationMarker, "--", name}}},
		Back:  Way{Text: "leave it: it is not mounted, and hides nothing. What it holds is a copy. The next run takes it up again"}}
	if m.GUID != "" {
		create.Before = []Condition{{"the dataset has guid " + m.GUID + ", is not mounted, and holds nothing", []string{"zfs", "get", "-Hp", "-o", "value", "guid,mounted", "--", name}}}
	} else {
		create.Before = []Condition{{"there is no " + name, []string{"zfs", "list", "-H", "-o", "name", "--", name}},
			{"what the data takes, and a twentieth more, is available where it is created", nil}}
		create.Before[0].Text += " (this fails)"
	}
	for _, op := range g.plan.Ops {
		if c := dataset.Command(op); c != nil {
			create.Commands = append(create.Commands, c)
		}
	}
	if m.GUID != "" {
		create.Commands = append(create.Commands, []string{"zfs", "set", "-u", "canmount=noauto", MigrationMarker + "=" + m.ID, name})
	}
	add(create)
	add(MigrationStep{Kind: StepStage, Why: "the copy is made out of everybody's sight, where nothing is in its way",
		Commands: [][]string{{"mkdir", "-p", "-m", "0700", "--", staging}, {"mount", "-t", "zfs", "-o", "zfsutil", "--", name, staging}},
		After: []Condition{{name + " is what is mounted there (D2, E5)", []string{"findmnt", "-n", "-o", "SOURCE", "--mountpoint", staging}},
			{"it is empty, or holds what an earlier run of this migration copied", []string{"find", staging, "-mindepth", "1", "-maxdepth", "1"}}},
		Back: Way{Text: "unmount it", Commands: [][]string{{"umount", "--", staging}}}})
	add(MigrationStep{Kind: StepCopy, Why: "rsync keeps hard links (-H), ACLs (-A), extended attributes (-X), holes (-S) and numeric owners, says with its status what it could not keep, and goes on where a run was killed",
		Commands: [][]string{{"rsync", "-aHAXSx", "--numeric-ids", "--delete", "--", source + "/", staging + "/"}},
		Before:   []Condition{stopped, unmounted, {name + " is what is mounted at " + staging, []string{"findmnt", "-n", "-o", "SOURCE", "--mountpoint", staging}}},
		After:    []Condition{{"rsync ended with status 0, and nothing in " + source + " has changed since it began", nil}},
		Back:     Way{Text: "nothing to undo: " + source + " is as it was, and nobody uses the copy"}})
	add(MigrationStep{Kind: StepVerify, Why: "rsync compares sizes and times when it copies, and says nothing of what it takes for equal",
		Commands: [][]string{{"rsync", "-aHAXSxcni", "--numeric-ids", "--delete", "--", source + "/", staging + "/"}},
		After: []Condition{{"the command above prints nothing: contents by checksum, types, owners, modes, times, links, ACLs and extended attributes are equal", nil},
			{"the same names are one file on both sides, and files with holes have holes (the script compares that too)", nil}},
		Back: Way{Text: "nothing to undo: it only reads"}})
	own := MigrationStep{Kind: StepOwn, Why: "the top of the dataset gets what is declared for it; nothing below is touched (D9)",
		Before: []Condition{{name + " is what is mounted at " + staging + " (D2)", []string{"findmnt", "-n", "-o", "SOURCE", "--mountpoint", staging}}},
		Back:   Way{Text: "nothing to undo: the old directory keeps its own owner and mode"}}
	if ids := ownerWord(m.Owner, m.Group); ids != "" {
		own.Commands = append(own.Commands, []string{"chown", "-h", "--", ids, staging})
	}
	if !m.Mode.IsZero() {
		own.Commands = append(own.Commands, []string{"chmod", "--", "0" + m.Mode.String(), staging})
	}
	if len(own.Commands) > 0 {
		own.After = []Condition{{"owner and mode are those that are declared", []string{"stat", "-c", "%U:%G %a", "--", staging}}}
		add(own)
	}
	swap := MigrationStep{Kind: StepSwap, Why: "canmount=" + m.CanMount + " comes first: after a power cut in between, the machine comes up with the verified copy and not with an empty directory",
		Before: []Condition{stopped, {"nothing in " + source + " has changed since the copy", nil}},
		After: []Condition{{name + " is what is mounted at " + path, []string{"findmnt", "-n", "-o", "SOURCE", "--mountpoint", path}},
			{"the old data is at " + old, []string{"test", "-d", old}}}}
	swap.Commands = append(swap.Commands, []string{"umount", "--", staging}, []string{"zfs", "set", "-u", "canmount=" + m.CanMount, name})
	if m.Bound {
		swap.Commands = append(swap.Commands, []string{"umount", "--", path})
	}
	swap.Commands = append(swap.Commands, []string{"mv", "-nT", "--", source, old})
	if !m.Bound {
		swap.Commands = append(swap.Commands, []string{"mkdir", "-m", "0000", "--", path})
	}
	swap.Commands = append(swap.Commands, []string{"zfs", "mount", "--", name})
	swap.Back = Way{Text: "with the units stopped; what a service wrote since it was started on the dataset stays there, and is not in the old data",
		Commands: [][]string{{"zfs", "unmount", "--", name}, {"zfs", "set", "-u", "canmount=noauto", name}}}
	if !m.Bound {
		swap.Back.Commands = append(swap.Back.Commands, []string{"rmdir", "--", path})
	}
	swap.Back.Commands = append(swap.Back.Commands, []string{"mv", "-nT", "--", old, source})
	if m.Bound {
		swap.Back.Commands = append(swap.Back.Commands, []string{"mount", "--bind", "--", source, path})
	}
	add(swap)
	startStep := MigrationStep{Kind: StepStart, Why: "what ran before runs again, on the dataset", Back: Way{Text: "stop it"},
		Before: []Condition{{name + " is what is mounted at " + path, []string{"findmnt", "-n", "-o", "SOURCE", "--mountpoint", path}}}}
	if len(start) > 3 {
		startStep.Commands = [][]string{start}
		startStep.Back.Commands = [][]string{stop}
	}
	add(startStep)
	health := MigrationStep{Kind: StepHealth, Why: "a service that comes up and falls over a moment later has not started",
		After: []Condition{{fmt.Sprintf("what ran before is active for %d seconds, and was not started again in between", m.Settle), nil},
			{name + " is still what is mounted at " + path, []string{"findmnt", "-n", "-o", "SOURCE", "--mountpoint", path}}},
		Back: Way{Text: "nothing to undo: it only looks"}}
	if m.Health != nil {
		health.Commands = append(health.Commands, []string{"timeout", "-k", "5", fmt.Sprint(m.Health.Timeout), "bash", "-c", m.Health.Command})
		health.After = append([]Condition{{fmt.Sprintf("the health check succeeds: failures tell nothing for %d seconds, and then %d in a row, %d seconds apart, are one too many",
			m.Health.StartPeriod, m.Health.Retries, m.Health.Interval), nil}}, health.After...)
	}
	for _, u := range m.Units {
		health.Commands = append(health.Commands, []string{"systemctl", "show", "-P", "ActiveState", "-P", "NRestarts", "--", u})
	}
	add(health)
	if m.Job != nil {
		proof := MigrationStep{Kind: StepProof, Why: "a job that reads what is now the old directory, or stays on one file system, would go on with success and without the data (R2, R8)",
			Back: Way{Text: "nothing to undo: the backup stays"}}
		recorded := m.Job.RecordedAs.String()
		if m.Job.Unit != "" {
			proof.Commands = [][]string{{"systemctl", "start", "--wait", "--", m.Job.Unit}}
		} else {
			proof.Commands = [][]string{{"restic", "backup", "--", path}}
		}
		text := "the newest snapshot is of after the start, and lists files below " + recorded
		if m.Job.Whole {
			text += ", at least as many as have not changed since the copy"
		}
		proof.After = []Condition{{text, []string{"restic", "ls", "--recursive", "latest", recorded}}}
		add(proof)
	}
}

func reversed(s []string) []string {
	out := slices.Clone(s)
	slices.Reverse(out)
	return out
}

func ownerWord(owner, group stateward.Owner) string {
	s := owner.String()
	if g := group.String(); g != "" {
		s += ":" + g
	}
	return s
}

// release are the steps that remove what was kept: never part of a run, and each named by whoever asks.
func (g *migrator) release() {
	m := &g.m
	done := Condition{Text: "every step of the run is done, " + m.Dataset.String() + " is what is mounted at " + m.Path.String() + " and has the guid that was written down"}
	m.Release = append(m.Release, MigrationStep{Kind: StepReleaseDirectory, Why: "the old data was kept until told",
		Commands: [][]string{{"rm", "-r", "--one-file-system", "--", m.Old.String()}},
		Before:   []Condition{done, {"the directory is the one that was renamed, by device and inode, and nothing is mounted in it", nil}}, After: []Condition{},
		Back:    Way{Text: "there is none but a restore"},
		Victims: []Victim{{"directory", m.Old.String(), "the device and inode that were written down when it was renamed"}}})
	if m.Snapshot != "" {
		snapshot := m.From.String() + "@" + m.Snapshot + "-1"
		m.Release = append(m.Release, MigrationStep{Kind: StepReleaseSnapshot, Why: "the snapshot keeps what the old data took",
			Commands: [][]string{{"zfs", "destroy", "--", snapshot}},
			Before:   []Condition{done, {"its guid is the one that was written down when it was taken, and it carries the migration's mark itself", nil}}, After: []Condition{},
			Back:    Way{Text: "there is none"},
			Victims: []Victim{{"snapshot", snapshot, "the guid that was written down when it was taken, and " + MigrationMarker + "=" + m.ID}}})
	}
}
