package restic

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/internal/text"
)

// Planned is a job that a configuration declares or asks for.
type Planned struct {
	// Of has every setting as it takes effect.
	Of backup.Job
	// RunBy is the option by which something else runs the job; empty where nothing does.
	RunBy string
	// Job and Timer are what runs it; Job is nil where it cannot be rendered, and Problems then say why.
	Job   *Job
	Timer Timer
	// Problems keep the job from being rendered. Notes do not.
	Problems, Notes []Problem
	// Settings are all that take effect, in a fixed order, and those that take none.
	Settings []Effective

	hostAt, rpoAt stateward.Origin
}

// Problem is something about a job that a person should know.
type Problem struct {
	Message string           `json:"message"`
	Hint    string           `json:"hint,omitempty"`
	Origin  stateward.Origin `json:"origin,omitzero"`
}

// Effective is a setting with where it comes from.
type Effective struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Default tells that nobody wrote it for this job: it comes from the host, the service or the repository where Origin names that, or else is built in.
	Default bool             `json:"default,omitempty"`
	Origin  stateward.Origin `json:"origin,omitzero"`
	// NoEffect says why nothing reads it (R10); empty where it takes effect.
	NoEffect string `json:"noEffect,omitempty"`
}

// Plan makes of every job of a host what runs it, or says why it cannot, and of what is declared and reaches no job (R10). With all, jobs that
// something else runs are rendered too.
func Plan(h *stateward.Host, all bool) (jobs []Planned, unreached []Problem) {
	list, _ := backup.Jobs(h)
	p := planner{host: h, layout: backup.NewLayout(h), services: map[string]*stateward.Service{}, stock: map[string]string{}}
	services := h.Services.Or(nil)
	for i := range services {
		if s := &services[i]; p.services[s.Name] == nil || s.Protection != nil {
			p.services[s.Name] = s
		}
	}
	p.postgres()
	for i := range list {
		if j := &list[i]; !j.Asked {
			p.stock[j.Name] = j.Origin.Option
		}
	}
	jobs = []Planned{}
	used, names := map[string]bool{}, map[string]int{}
	for _, j := range list {
		one := p.plan(j, all)
		used[j.Target] = true
		if j.Asked {
			names[j.Name]++
		}
		jobs = append(jobs, one)
	}
	for i := range jobs {
		if one := &jobs[i]; one.Of.Asked && names[one.Of.Name] > 1 {
			one.problem(one.Of.Origin, "rename the service, or the repository", "has the name of another job, %s", one.Of.Name)
			one.Job = nil
		}
	}
	for _, r := range h.BackupRepositories.Or(nil) {
		if !used[r.Name] {
			unreached = append(unreached, Problem{Message: fmt.Sprintf("no job goes to repository %s", r.Name), Origin: r.Origin})
		}
	}
	if h.BackupDefaults != nil && len(names) == 0 {
		unreached = append(unreached, Problem{Message: "there is no job for which the defaults would hold", Origin: h.BackupDefaults.Origin})
	}
	return jobs, unreached
}

type planner struct {
	host     *stateward.Host
	layout   *backup.Layout
	services map[string]*stateward.Service
	// stock are the options of jobs that run, by name.
	stock map[string]string
	// clusters are where PostgreSQL keeps its data, and pitr the option that has it archived elsewhere.
	clusters []stateward.AbsPath
	pitr     string
}

// postgres looks where the cluster of the host lies, and whether it is under point-in-time recovery (R9).
func (p *planner) postgres() {
	add := func(at stateward.AbsPath) {
		if !at.IsZero() && !slices.Contains(p.clusters, at) && !slices.ContainsFunc(p.clusters, func(c stateward.AbsPath) bool { return c.Contains(at) }) {
			p.clusters = append(slices.DeleteFunc(p.clusters, at.Contains), at)
		}
	}
	for _, u := range p.host.Units.Or(nil) {
		if on, known := u.Enable.Get(); u.Name != "postgresql.service" || known && !on {
			continue
		}
		for _, dir := range u.StateDirectory.Or(nil) {
			if at, partial, ok := stateward.StateDirectoryPath(u.Name, dir); ok && !partial {
				add(at)
			}
		}
	}
	for _, s := range p.host.Services.Or(nil) {
		if on, known := s.Enable.Get(); known && !on {
			continue
		}
		is := s.Name == "postgresql" || slices.Contains(s.Units, "postgresql.service")
		if is {
			paths, _ := s.StatePaths()
			for _, e := range paths {
				add(e.Path)
			}
		}
		uses := is || slices.ContainsFunc(s.Databases.Or(nil), func(d stateward.Database) bool { return d.Type.Or("postgresql") == "postgresql" })
		if pr := s.Protection; uses && pr != nil && slices.Contains(pr.Tiers, stateward.TierPointInTime) {
			p.pitr = pr.Origin.Option
		}
	}
}

func (o *Planned) problem(at stateward.Origin, hint, format string, args ...any) {
	o.Problems = append(o.Problems, Problem{fmt.Sprintf(format, args...), hint, at})
}

func (o *Planned) note(at stateward.Origin, hint, format string, args ...any) {
	o.Notes = append(o.Notes, Problem{fmt.Sprintf(format, args...), hint, at})
}

// hidden is what internal/redact writes in place of a secret.
const hidden = "‹hidden›"

func (p *planner) plan(j backup.Job, all bool) Planned {
	o := Planned{Of: j, hostAt: p.host.HostName.Origin()}
	if !j.Asked {
		o.RunBy = j.Origin.Option
	} else if by, ok := p.stock[j.Name]; ok {
		o.RunBy = by
	}
	if o.RunBy != "" && (!all || j.Asked) {
		o.list(nil)
		return o
	}
	for _, f := range j.Faults {
		o.problem(f.Origin, hint(f.Err), "%v", f.Err)
	}
	if j.Engine.Or("restic") != "restic" {
		o.problem(j.Origin, "leave engine out, or keep the job with what runs borg", "is of %s: only jobs of restic are rendered", j.Engine.Or(""))
		o.list(nil)
		return o
	}
	job := Job{ProtocolVersion: FormatVersion, Name: j.Name, Host: p.host.HostName.Or(p.host.Name), Exclude: slices.Clone(j.Exclude.Or(nil)), Tags: j.Tags.Or(nil)}
	if why, is := p.host.HostName.Why(); is {
		// Under another name the snapshots would not be found again, and none of them be forgotten.
		o.problem(stateward.Origin{Option: why.Subject, File: why.File, Line: why.Line}, "stateward check says more of it", "%s is unknown: %s", why.Subject, cmp.Or(why.Summary(), string(why.Kind)))
	}
	p.repository(&o, &job)
	p.paths(&o, &job)
	p.commands(&o, &job)
	o.retention(&job)
	o.settings(&job)
	p.drill(&o, &job)
	o.notify(&job)
	p.objective(&o, &job)
	o.timer()
	unknown(&o, j.Exclude)
	unknown(&o, j.Tags)
	unknown(&o, j.AllowEmpty)
	if len(j.Options.Or(nil)) > 0 {
		o.problem(j.Options.Origin(), "keep the job with services.restic.backups", "has options of restic of its own, which are not understood: %s", strings.Join(j.Options.Or(nil), " "))
	}
	if j.DynamicPaths.Or(false) {
		o.problem(j.DynamicPaths.Origin(), "keep the job with services.restic.backups", "adds paths by a command that is not read")
	}
	if len(o.Problems) == 0 {
		if err := job.Validate(); err != nil {
			text := err.Error()
			var e *JobError
			if errors.As(err, &e) {
				text = e.Field + " " + e.Reason
			}
			o.problem(j.Origin, hint(err), "%s", text)
		}
	}
	if len(o.Problems) == 0 {
		if err := o.Timer.validate(job); err != nil {
			o.problem(j.Events.Origin(), hint(err), "%v", err)
		}
	}
	if len(o.Problems) == 0 {
		o.Job = &job
	}
	o.list(&job)
	return o
}

// unknown says of a setting that could not be had, unless a fault says so already.
func unknown[T any](o *Planned, s backup.Setting[T]) bool {
	why, is := s.Why()
	if is && !slices.ContainsFunc(o.Problems, func(p Problem) bool { return p.Message == why.Message || p.Origin.Option == why.Subject }) {
		o.problem(stateward.Origin{Option: why.Subject, File: why.File, Line: why.Line}, "stateward check says more of it", "%s is unknown: %s", why.Subject, cmp.Or(why.Summary(), string(why.Kind)))
	}
	return is
}

func (p *planner) repository(o *Planned, job *Job) {
	j := &o.Of
	file := func(s backup.Setting[stateward.FileRef], what string) string {
		ref, ok := s.Get()
		unknown(o, s)
		if ok && (ref.NixPath || strings.HasPrefix(ref.Text, "/nix/store/")) {
			o.problem(s.Origin(), "write a text with the path that the file has at run time", "%s lies in the store, which everybody can read (R11)", what)
		}
		return ref.Text
	}
	job.PasswordFile, job.EnvironmentFile, job.RepositoryFile = file(j.Secret, "the password"), file(j.Environment, "the environment file"), file(j.RepositoryFile, "the address")
	option := cmp.Or(j.Repository.Origin().Option, j.Origin.Option)
	at := j.Repository.Origin()
	at.Option = option
	switch r, ok := j.Repository.Get(); {
	case ok && (r.Password || strings.Contains(r.Name, hidden) || strings.Contains(r.Name, ":***@")):
		o.problem(at, "write it into a file, and name that in urlFile or repositoryFile", "the address of the repository has a password in it (R11)")
	case ok:
		job.Repository = r.Name
		if r.Scheme == "" && r.Where == backup.WhereLocal {
			job.Repository = r.Path.String()
		}
	case job.RepositoryFile != "":
	case !unknown(o, j.Repository):
		o.problem(at, `stateward.backup.repositories.NAME = { url = "…"; passwordFile = "…"; };`, "names no repository, and the host has none")
	}
	if job.PasswordFile == "" && job.EnvironmentFile == "" && (j.Repository.IsKnown() || job.RepositoryFile != "") {
		o.problem(j.Origin, `write passwordFile = "/run/secrets/…", here or for the repository`, "has no passwordFile")
	}
	if r, ok := j.Repository.Get(); ok && r.Where == backup.WhereLocal {
		to := p.layout.Of(r.Path)
		for _, path := range j.Paths.Or(nil) {
			if from := p.layout.Of(path); from.Dataset != "" && from.Pool() == to.Pool() {
				o.note(at, "a repository elsewhere survives the pool", "the repository is on pool %s, where %s lies too: the disks are lost together (R11)", from.Pool(), path)
				break
			}
		}
	}
}

// paths says what is read, from where, and what must be mounted.
func (p *planner) paths(o *Planned, job *Job) {
	j := &o.Of
	if unknown(o, j.Paths) {
		return
	}
	var paths []stateward.AbsPath
	for _, path := range j.Paths.Or(nil) {
		if !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	if dir, ok := j.DumpDirectory.Get(); ok && !slices.ContainsFunc(paths, func(q stateward.AbsPath) bool { return q.Contains(dir) }) {
		paths = append(paths, dir) // a dump that is not backed up is none
	}
	// What lies within another of the paths is read with that.
	all := paths
	paths = slices.DeleteFunc(slices.Clone(paths), func(q stateward.AbsPath) bool {
		return slices.ContainsFunc(all, func(other stateward.AbsPath) bool { return q.Below(other) })
	})
	paths = p.withoutClusters(o, job, paths)
	if len(paths) == 0 {
		o.problem(j.Origin, "name them in paths, or give the service a dataDir", "has nothing to back up")
		return
	}
	job.AllowEmpty = slices.Clone(j.AllowEmpty.Or(nil))
	consistency := j.Consistency.Or(backup.Live)
	if consistency == backup.FromSnapshot || consistency == backup.Quiesce {
		why := p.fromSnapshot(o, job, paths)
		if why == "" {
			return
		}
		if consistency == backup.FromSnapshot {
			o.problem(cmp.Or(j.Consistency.Origin(), j.Origin), `let the paths lie on datasets of one pool, or write consistency = "quiesce"`, "cannot be read from a snapshot: %s", why)
			return
		}
		o.note(cmp.Or(j.Consistency.Origin(), j.Origin), "", "the units stand still for the whole backup: %s", why)
	}
	for _, path := range paths {
		job.Paths = append(job.Paths, path.String())
		for _, at := range p.layout.Of(path).Mounts {
			if text := at.String(); !slices.Contains(job.RequireMounted, text) {
				job.RequireMounted = append(job.RequireMounted, text)
			}
		}
	}
	slices.Sort(job.RequireMounted)
}

// fromSnapshot has the paths read from a snapshot of their datasets, or says why that cannot be.
func (p *planner) fromSnapshot(o *Planned, job *Job, paths []stateward.AbsPath) (why string) {
	only, _ := strconv.ParseBool(o.Of.Settings["oneFileSystem"].Or(""))
	var source []Dataset
	var read []string
	moved := map[string]string{}
	add := func(l backup.Lying) string {
		switch {
		case l.Unknown != "":
			return l.Unknown
		case l.Dataset == "":
			return fmt.Sprintf("%s lies on no dataset of ZFS (%s)", l.Path, cmp.Or(l.Other, "another file system"))
		case len(source) > 0 && strings.SplitN(source[0].Name, "/", 2)[0] != l.Pool():
			return fmt.Sprintf("%s lies on another pool (%s) than what else is read", l.Path, l.Pool())
		}
		if d := (Dataset{l.Dataset, l.Mount.String()}); !slices.Contains(source, d) {
			source = append(source, d)
		}
		return ""
	}
	for _, path := range paths {
		l := p.layout.Of(path)
		if why := add(l); why != "" {
			return why
		}
		if text := l.Path.String(); !slices.Contains(read, text) {
			read = append(read, text)
		}
		moved[path.String()] = l.Path.String()
		if only {
			continue
		}
		for _, below := range p.layout.Below(path) {
			if why := add(below); why != "" {
				return why
			}
			// What is mounted over a place that is itself mounted from elsewhere is not seen there.
			if text := below.Path.String(); !l.Path.Contains(below.Path) && !slices.Contains(read, text) {
				read = append(read, text)
			}
		}
		if l.Path != path {
			for _, below := range p.layout.Below(l.Path) {
				if why := add(below); why != "" {
					return why
				}
			}
		}
	}
	// R7: patterns and folders go along with what they are of.
	move := func(text string) string {
		for from, to := range moved {
			if rest, ok := strings.CutPrefix(text, from); ok && (rest == "" || rest[0] == '/') {
				return to + rest
			}
		}
		return text
	}
	for i, pattern := range job.Exclude {
		if rest, ok := strings.CutPrefix(pattern, "!"); ok {
			job.Exclude[i] = "!" + move(rest)
		} else {
			job.Exclude[i] = move(pattern)
		}
	}
	for i, name := range job.AllowEmpty {
		job.AllowEmpty[i] = move(name)
	}
	slices.SortFunc(source, func(a, b Dataset) int { return strings.Compare(a.Mountpoint, b.Mountpoint) })
	job.Source, job.Paths = source, read
	return ""
}

// withoutClusters takes the files of a database that is archived for point-in-time recovery out of the backup: beside that they are of no use, and torn (R9).
func (p *planner) withoutClusters(o *Planned, job *Job, paths []stateward.AbsPath) []stateward.AbsPath {
	j := &o.Of
	var out []stateward.AbsPath
	for _, path := range paths {
		keep := true
		for _, c := range p.clusters {
			switch {
			case !path.Contains(c) && !c.Contains(path):
			case p.pitr != "" && c.Contains(path):
				keep = false
				o.note(stateward.Origin{Option: p.pitr}, "", "%s is left out: PostgreSQL keeps its cluster there, which has point-in-time recovery (R9)", path)
			case p.pitr != "":
				job.Exclude = append(job.Exclude, c.String())
				o.note(stateward.Origin{Option: p.pitr}, "", "%s is excluded: PostgreSQL keeps its cluster there, which has point-in-time recovery (R9)", c)
			case j.Consistency.Or(backup.Live) == backup.Live:
				o.note(cmp.Or(j.Consistency.Origin(), j.Origin), `write consistency = "snapshot", or have the databases dumped`, "reads the cluster of PostgreSQL in %s while it changes: the copy is torn (R9)", c)
			}
		}
		if keep {
			out = append(out, path)
		}
	}
	s := p.services[j.Service]
	if s == nil || j.Consistency.Or(backup.Live) != backup.Live {
		return out
	}
	for _, d := range s.Databases.Or(nil) {
		if kind := strings.ToLower(d.Type.Or("")); strings.HasPrefix(kind, "sqlite") {
			o.note(d.Origin, `write consistency = "quiesce" or "snapshot"`, "reads the database %s while it changes: the copy is torn (R9)", d.Name.Or(""))
		}
	}
	return out
}

func (p *planner) commands(o *Planned, job *Job) {
	j := &o.Of
	text := func(given backup.Setting[bool], s backup.Setting[string], what string) string {
		text, ok := s.Get()
		switch {
		case unknown(o, s):
		case !ok && (given.Or(false) || given.IsUnknown()):
			o.problem(cmp.Or(given.Origin(), j.Origin), "write the job in a contract of which hooks are read", "has a %s whose text is not read", what)
		case strings.Contains(text, hidden):
			o.problem(s.Origin(), "let the command read the secret from a file", "%s holds what looks like a secret", what)
		}
		return text
	}
	job.PreHook, job.PostHook = text(j.PreHook, j.PreCommand, "preHook"), text(j.PostHook, j.PostCommand, "postHook")
	if command := text(backup.Setting[bool]{}, j.DumpCommand, "dump.command"); command != "" {
		dir, ok := j.DumpDirectory.Get()
		switch {
		case unknown(o, j.DumpDirectory):
		case !ok:
			o.problem(j.DumpCommand.Origin(), `write dump.directory = "/var/backup/NAME";`, "dump has no directory")
		default:
			job.Dump = &Dump{command, dir.String()}
			if len(job.Source) > 0 {
				job.Dump.Directory = p.layout.Of(dir).Path.String()
			}
		}
	}
	unknown(o, j.Consistency)
	unknown(o, j.StopUnits)
	for _, u := range j.StopUnits.Or(nil) {
		if !slices.Contains(job.StopUnits, u) {
			job.StopUnits = append(job.StopUnits, u)
		}
	}
}

func (o *Planned) retention(job *Job) {
	j := &o.Of
	if unknown(o, j.Prune) {
		return
	}
	prune, ok := j.Prune.Get()
	if !ok {
		o.note(j.Origin, `write prune = [ "--keep-daily 7" … ], or leave it where the repository is append-only`, "has no prune: nothing is ever forgotten")
		return
	}
	if prune.Restic != nil {
		job.Retention.ResticPolicy = *prune.Restic
		job.Prune = !prune.Restic.IsZero()
		if prune.Restic.IsZero() && len(prune.Others) == 0 {
			o.note(j.Prune.Origin(), `write how many to keep, as prune = [ "--keep-daily 7" … ]`, "prune keeps no snapshot at all, so that nothing is ever forgotten")
		}
	}
	if others := slices.DeleteFunc(slices.Clone(prune.Others), func(w string) bool { return w == "--prune" }); len(others) > 0 {
		hint := "leave it out: what is forgotten is limited to the job's own snapshots in any case"
		if meant := nearestOption(others[0]); meant != "" {
			hint = fmt.Sprintf("write %q", meant)
		}
		o.problem(j.Prune.Origin(), hint, "prune has %q, which says nothing of what is kept", strings.Join(others, " "))
	}
}

// nearestOption is the option that a mistyped one was meant to be.
func nearestOption(word string) string {
	name, _, _ := strings.Cut(word, "=")
	return text.Nearest(name, backup.ResticKeepOptions)
}

func (o *Planned) settings(job *Job) {
	texts := map[string]*string{"checkSubset": &job.CheckSubset, "lockWait": &job.LockWait, "metricsDir": &job.MetricsDir, "limits.memory": &job.Limits.Memory,
		"limits.cpu": &job.Limits.CPU, "limits.runTime": &job.Limits.RunTime}
	numbers := map[string]*int{"limits.uploadKiB": &job.Limits.Upload, "limits.downloadKiB": &job.Limits.Download, "limits.readConcurrency": &job.Limits.ReadConcurrency, "limits.nice": &job.Limits.Nice}
	flags := map[string]*bool{"oneFileSystem": &job.OneFileSystem, "skipIfUnchanged": &job.SkipIfUnchanged}
	for _, name := range slices.Sorted(maps.Keys(o.Of.Settings)) {
		s := o.Of.Settings[name]
		text, ok := s.Get()
		if unknown(o, s) || !ok {
			continue
		}
		wrong := func(want string) { o.problem(s.Origin(), "write "+want, "%s is %q", name, text) }
		switch {
		case texts[name] != nil:
			*texts[name] = text
		case numbers[name] != nil || name == "floorPercent":
			n, err := strconv.Atoi(text)
			if err != nil {
				wrong("a whole number")
			} else if name == "floorPercent" {
				job.Floor = &n
			} else {
				*numbers[name] = n
			}
		case flags[name] != nil:
			on, err := strconv.ParseBool(text)
			if err != nil {
				wrong("true or false")
			}
			*flags[name] = on
		}
	}
}

// drill says how restoring is tried.
func (p *planner) drill(o *Planned, job *Job) {
	j := &o.Of
	if unknown(o, j.DrillCommand) || unknown(o, j.DrillPaths) || j.Drill() == nil {
		return
	}
	d := j.Drill()
	if slices.ContainsFunc(d.Command, func(word string) bool { return strings.Contains(word, hidden) }) {
		o.problem(j.DrillCommand.Origin(), "let the command read the secret from a file", "drill.command holds what looks like a secret")
	}
	// What was read from a snapshot lies where the data really is.
	if len(job.Source) > 0 {
		d.Paths = nil
		for _, path := range j.DrillPaths.Or(nil) {
			d.Paths = append(d.Paths, p.layout.Of(path).Path.String())
		}
		for _, path := range j.Paths.Or(nil) {
			at := p.layout.Of(path).Path
			names := func(text string) bool {
				return slices.ContainsFunc(d.Command, func(word string) bool { return strings.Contains(word, text) })
			}
			if at != path && (names("DRILL_DIR"+path.String()) || names("DRILL_DIR}"+path.String())) {
				o.note(j.DrillCommand.Origin(), "", "drill.command looks for %s: the snapshot has it as %s, so it is restored to $STATEWARD_DRILL_DIR%[2]s", path, at)
			}
		}
	}
	if err := (&backup.Drill{Paths: d.Paths}).Validate(job.Paths); err != nil && len(job.Paths) > 0 {
		o.problem(j.DrillPaths.Origin(), hint(err), "%v", err)
	}
	if d.Every == "" {
		o.note(j.Origin, `write drill.every = "30d", or drill by hand`, "has a drill without every: no timer starts it")
	}
	job.Drill = d
}

// notify says which messages are sent.
func (o *Planned) notify(job *Job) {
	job.Notify = o.Of.Notify()
	_, said := o.Of.Settings["notify.onFailure"]
	if !said && o.Of.Notifications.IsUnknown() {
		unknown(o, o.Of.Notifications)
	}
}

// objective takes over how much may be missing after a dead disk or a lost house, the lesser of both: what `stateward backup status` compares with.
func (p *planner) objective(o *Planned, job *Job) {
	s := p.services[o.Of.Service]
	if s == nil || s.Protection == nil {
		return
	}
	var least *stateward.Duration
	for _, tier := range []stateward.Tier{stateward.TierDisk, stateward.TierSite} {
		v := s.Protection.RPO[tier]
		if why, is := v.Why(); is {
			o.note(stateward.Origin{Option: why.Subject, File: why.File, Line: why.Line}, "stateward check says more of it", "%s is unknown: nothing will say that the job is overdue", why.Subject)
		}
		d, ok := v.Get()
		if ok && d.Std() == 0 {
			o.problem(v.Origin(), rpoHint, "the rpo of %s for the tier %s is 0: the last good run is always older than that", s.Name, tier)
			continue
		}
		if ok && (least == nil || d.Std() < least.Std()) {
			least, o.rpoAt = &d, v.Origin()
		}
	}
	if least != nil {
		job.RPO = least.String()
	}
}

func (o *Planned) timer() {
	j := &o.Of
	unknown(o, j.Schedule)
	unknown(o, j.Events)
	unknown(o, j.RandomizedDelay)
	unknown(o, j.Persistent)
	events, _ := j.Events.Get()
	if len(events) == 0 && !j.Events.IsUnknown() {
		o.problem(j.Origin, `write schedule = "daily", here or in stateward.backup.defaults`, "has no schedule: nothing would start it")
	}
	o.Timer = Timer{OnCalendar: events, Persistent: j.Persistent.Or(true)}
	if d, ok := j.RandomizedDelay.Get(); ok {
		o.Timer.RandomizedDelay = d.String()
	}
}

// list lists the settings with where they come from.
func (o *Planned) list(job *Job) {
	j := &o.Of
	add := func(name string, value string, known, isDefault bool, at stateward.Origin, noEffect string) {
		if known && value != "" {
			o.Settings = append(o.Settings, Effective{name, value, isDefault, at, noEffect})
		}
	}
	plain := func(l []string) string { return strings.Join(l, " ") }
	// One with a blank in it is quoted: otherwise it reads as two.
	quoted := func(w string) string {
		if w == "" || strings.ContainsFunc(w, func(r rune) bool { return unicode.IsSpace(r) || r == '"' }) {
			return strconv.Quote(w)
		}
		return w
	}
	words := func(l []string) string {
		l = slices.Clone(l)
		for i := range l {
			l[i] = quoted(l[i])
		}
		return plain(l)
	}
	built := func(name, value string) { add(name, value, true, true, stateward.Origin{}, "") }

	repository, known := j.Repository.Get()
	add("repository", repository.Name, known, j.Repository.Default, j.Repository.Origin(), "")
	for _, f := range []struct {
		name string
		s    backup.Setting[stateward.FileRef]
	}{{"repositoryFile", j.RepositoryFile}, {"passwordFile", j.Secret}, {"environmentFile", j.Environment}} {
		ref, known := f.s.Get()
		add(f.name, ref.Text, known, f.s.Default, f.s.Origin(), "")
	}
	if job != nil && len(job.Paths) > 0 {
		add("paths", words(job.Paths), true, j.Paths.Default, j.Paths.Origin(), "")
		var source []string
		for _, d := range job.Source {
			source = append(source, quoted(d.Name)+" at "+quoted(d.Mountpoint))
		}
		built("source", strings.Join(source, ", "))
		built("requireMounted", words(job.RequireMounted))
		add("exclude", words(job.Exclude), true, j.Exclude.Default || len(j.Exclude.Or(nil)) < len(job.Exclude), j.Exclude.Origin(), "")
	} else {
		var paths []string
		for _, q := range j.Paths.Or(nil) {
			paths = append(paths, q.String())
		}
		add("paths", words(paths), true, j.Paths.Default, j.Paths.Origin(), "")
		add("exclude", words(j.Exclude.Or(nil)), true, j.Exclude.Default, j.Exclude.Origin(), "")
	}
	add("allowEmpty", words(j.AllowEmpty.Or(nil)), true, false, j.AllowEmpty.Origin(), "")
	add("tags", words(j.Tags.Or(nil)), true, j.Tags.Default, j.Tags.Origin(), "")
	if job != nil {
		add("host", job.Host, true, true, o.hostAt, "")
	}
	add("schedule", strings.Join(j.Events.Or(nil), ", "), true, j.Events.Default, j.Events.Origin(), "")
	delay, known := j.RandomizedDelay.Get()
	add("randomizedDelay", delay.String(), known, j.RandomizedDelay.Default, j.RandomizedDelay.Origin(), "")
	if persistent, known := j.Persistent.Get(); known {
		add("persistent", strconv.FormatBool(persistent), true, j.Persistent.Default, j.Persistent.Origin(), "")
	} else if job != nil && j.Persistent.IsAbsent() {
		built("persistent", "true")
	}
	if prune, known := j.Prune.Get(); known {
		var options []string
		if prune.Restic != nil {
			options = prune.Restic.Options()
		}
		for _, kind := range slices.Sorted(maps.Keys(prune.Keep)) {
			options = append(options, fmt.Sprintf("keep-%s %d", kind, prune.Keep[kind]))
		}
		add("prune", plain(append(options, prune.Others...)), true, j.Prune.Default, j.Prune.Origin(), "")
	}
	consistency, known := j.Consistency.Get()
	add("consistency", string(consistency), known, j.Consistency.Default, j.Consistency.Origin(), "")
	add("stopUnits", words(j.StopUnits.Or(nil)), true, j.StopUnits.Default, j.StopUnits.Origin(), "")
	command, known := j.DumpCommand.Get()
	add("dump.command", command, known, false, j.DumpCommand.Origin(), "")
	dir, known := j.DumpDirectory.Get()
	add("dump.directory", dir.String(), known, false, j.DumpDirectory.Origin(), "")
	for _, h := range []struct {
		name  string
		given backup.Setting[bool]
		text  backup.Setting[string]
	}{{"preHook", j.PreHook, j.PreCommand}, {"postHook", j.PostHook, j.PostCommand}} {
		text, known := h.text.Get()
		if !known && h.given.Or(false) {
			text, known = "a command that is not read", true
		}
		add(h.name, text, known, h.given.Default, h.given.Origin(), "")
	}
	for _, name := range slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(j.Settings)), "drill.command", "drill.paths"))) {
		switch {
		case name == "drill.command":
			add(name, plain(j.DrillCommand.Or(nil)), true, j.DrillCommand.Default, j.DrillCommand.Origin(), "")
			continue
		case name == "drill.paths":
			if job != nil && job.Drill != nil {
				add(name, words(job.Drill.Paths), true, false, j.DrillPaths.Origin(), "")
			}
			continue
		}
		s := j.Settings[name]
		text, known := s.Get()
		noEffect := ""
		if j.Silenced(name) {
			noEffect = j.Notifications.Origin().Option + " is false"
		}
		add(name, text, known, s.Default, s.Origin(), noEffect)
	}
	if job != nil {
		add("rpo", job.RPO, true, true, o.rpoAt, "")
		if _, set := j.Settings["floorPercent"]; !set {
			built("floorPercent", "50")
		}
		if _, set := j.Settings["lockWait"]; !set {
			built("lockWait", "10min")
		}
	}
	// R10: what was written and nothing reads.
	if j.Asked {
		if user, known := j.User.Get(); known && user.String() != "root" {
			add("user", user.String(), true, false, j.User.Origin(), "the job runs as root, which may read all")
		}
		if on, known := j.Initialize.Get(); known && on {
			add("initialize", "true", true, false, j.Initialize.Origin(), "a run never makes a repository; stateward backup init does")
		}
		if n, known := j.Priority.Get(); known {
			add("priority", strconv.Itoa(n), true, false, j.Priority.Origin(), "each job has a timer of its own; only -o paths hands it on")
		}
		if on, known := j.RequireNetwork.Get(); known {
			add("requireNetwork", strconv.FormatBool(on), true, j.RequireNetwork.Default, j.RequireNetwork.Origin(), "the unit waits for the network where the repository is not of this machine")
		}
	}
}
