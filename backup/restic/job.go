// Package restic renders what restic is to do as argument vectors, units of systemd and Nix, and reads what it answers. It runs nothing.
package restic

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/internal/text"
)

// FormatVersion is that of the JSON of a [Job].
const FormatVersion = "1"

// JobTag begins the tag by which the snapshots of a job are told from those of others in one repository (R4).
const JobTag = "stateward.job="

// RootTag begins the tag that names the folder below which a snapshot of a file system was read (R2). Whoever has nothing but the
// repository learns from it where what was in /var/lib lies.
const RootTag = "stateward.root="

// MountDir is where snapshots that are to be read are mounted, each job in a folder of its own that never changes: restic takes
// other paths for other data (R2, R4).
const MountDir = "/run/stateward/backup"

// Job is what is backed up, where to, and what is kept of it. The zero value of a field means that it is not set.
type Job struct {
	// ProtocolVersion is [FormatVersion].
	ProtocolVersion string `json:"protocolVersion"`
	// Name has letters, digits, "_", "-" and "." only, and is that of units and files. Required.
	Name string `json:"name"`
	// Repository is where to, without any secret; RepositoryFile is a file that holds it. One of both is required.
	Repository     string `json:"repository,omitempty"`
	RepositoryFile string `json:"repositoryFile,omitempty"`
	// PasswordFile holds the password of the repository. Required, unless EnvironmentFile has it.
	PasswordFile string `json:"passwordFile,omitempty"`
	// EnvironmentFile holds what the backend asks for, such as AWS_SECRET_ACCESS_KEY, in the syntax of EnvironmentFile= of systemd.
	EnvironmentFile string `json:"environmentFile,omitempty"`
	// Paths are absolute. At least one.
	Paths []string `json:"paths"`
	// Exclude are patterns of restic: one that begins with "/" matches whole paths, any other the end of one, at any place.
	Exclude []string `json:"exclude,omitempty"`
	// Tags are set beside the job's own.
	Tags []string `json:"tags,omitempty"`
	// Host is the name under which the snapshots are. Required: by it they are found again, whatever the machine is called.
	Host string `json:"host"`
	// Retention is what is kept; nothing is ever forgotten without.
	Retention Retention `json:"retention,omitzero"`
	// Prune frees the room of what was forgotten.
	Prune bool `json:"prune,omitempty"`
	// CheckSubset has the repository checked after each backup: "0" only its structure, "5%", "2G" or "1/7" that part of the data too.
	CheckSubset string `json:"checkSubset,omitempty"`
	// SkipIfUnchanged makes no snapshot where nothing changed. The newest one then is older than the last good run.
	SkipIfUnchanged bool `json:"skipIfUnchanged,omitempty"`
	// OneFileSystem leaves out what is mounted below the paths.
	OneFileSystem bool `json:"oneFileSystem,omitempty"`
	// RequireMounted are places where a file system must be mounted (R8).
	RequireMounted []string `json:"requireMounted,omitempty"`
	// AllowEmpty are those of the paths that may be an empty folder.
	AllowEmpty []string `json:"allowEmpty,omitempty"`
	// Floor is how many percent of the files and bytes of the last good run there must be at least (R8): 50 where it is nil.
	Floor *int `json:"floorPercent,omitempty"`
	// LockWait is how long to wait for a lock of the repository, as systemd.time(7) has it: 10 minutes where it is empty.
	LockWait string `json:"lockWait,omitempty"`
	Limits   Limits `json:"limits,omitzero"`
	// Source are the datasets of ZFS that are read from one snapshot of all of them; without it the paths are read as they change.
	Source []Dataset `json:"source,omitempty"`
	// RPO is how old the last good run may be, as systemd.time(7) has it: `stateward backup status` compares.
	RPO string `json:"rpo,omitempty"`
	// PreHook and PostHook are texts for bash. Where PreHook fails, nothing is backed up. PostHook runs at the very end, whatever came of the
	// run, if PreHook was begun.
	PreHook  string `json:"preHook,omitempty"`
	PostHook string `json:"postHook,omitempty"`
	// StopUnits are stopped until there is a snapshot of Source, or until all is read where there is no Source, and started again whatever
	// happens (R9). Those that were not active are left alone.
	StopUnits []string `json:"stopUnits,omitempty"`
	// Dump writes files that are backed up then.
	Dump *Dump `json:"dump,omitempty"`
	// Drill says how it is tried whether all of it can be restored; nil where nobody asks for that.
	Drill *backup.Drill `json:"drill,omitempty"`
	// MetricsDir is where node_exporter reads text files.
	MetricsDir string `json:"metricsDir,omitempty"`
	// Notify are the templates of notifications that are sent of each run, by the units that `stateward notify units` writes.
	Notify backup.Notify `json:"notify,omitzero"`
}

// Limits of a run. 0 means none.
type Limits struct {
	// Upload and Download are KiB in a second.
	Upload   int `json:"uploadKiB,omitempty"`
	Download int `json:"downloadKiB,omitempty"`
	// ReadConcurrency is how many files are read at a time.
	ReadConcurrency int `json:"readConcurrency,omitempty"`
	// Memory is the MemoryMax=, CPU the CPUQuota= of the unit, RunTime its TimeoutStartSec=.
	Memory  string `json:"memory,omitempty"`
	CPU     string `json:"cpu,omitempty"`
	RunTime string `json:"runTime,omitempty"`
	// Nice is that of the unit: 19 yields to everything.
	Nice int `json:"nice,omitempty"`
}

// Dump is a command that writes what is backed up, such as that of a database (R9).
type Dump struct {
	// Command is a text for bash. A run fails where it does, or where it writes nothing below Directory, which is one of the paths or lies below.
	Command   string `json:"command"`
	Directory string `json:"directory"`
}

// Dataset is one that is read from a snapshot.
type Dataset struct {
	// Name is that of ZFS, Mountpoint where it is mounted.
	Name       string `json:"name"`
	Mountpoint string `json:"mountpoint"`
}

// Retention is a policy, which is written as the options of `restic forget` in JSON.
type Retention struct{ backup.ResticPolicy }

// IsZero says whether there is no policy.
func (r Retention) IsZero() bool { return r.ResticPolicy.IsZero() && r.GroupBy == nil }

// MarshalJSON writes the options.
func (r Retention) MarshalJSON() ([]byte, error) { return json.Marshal(r.Options()) }

// UnmarshalJSON reads options. One that says nothing of what is kept is refused.
func (r *Retention) UnmarshalJSON(data []byte) error {
	fault := func(reason, hint string) error { return &JobError{Field: "retention", Reason: reason, hint: hint} }
	var options []string
	if err := json.Unmarshal(data, &options); err != nil {
		return fault("is no list of texts", `write "retention": ["--keep-daily=7"]`)
	}
	policy, others, err := backup.ParseResticPolicy(options)
	if err != nil {
		return fault("is wrong: "+err.Error(), hint(err))
	}
	if len(others) > 0 {
		meant := "there is " + strings.Join(backup.ResticKeepOptions, ", ")
		if near := nearestOption(others[0]); near != "" {
			meant = fmt.Sprintf("write %q", near)
		} else if others[0] == "--prune" {
			meant = `write "prune": true beside it`
		}
		return fault(fmt.Sprintf("has %q, which says nothing of what is kept", others[0]), meant)
	}
	r.ResticPolicy = policy
	return nil
}

// JobError says what is wrong with a job.
type JobError struct {
	Job, Field, Reason, hint string
}

func (e *JobError) Error() string {
	if e.Job == "" {
		return fmt.Sprintf("backup job: %s %s", e.Field, e.Reason)
	}
	return fmt.Sprintf("backup job %q: %s %s", e.Job, e.Field, e.Reason)
}

// Hint says what to write instead; it may be empty.
func (e *JobError) Hint() string { return e.hint }

// ReadJob reads the JSON of a job. A field that is not known is an error: nothing that was asked for is left undone unseen (R10).
func ReadJob(data []byte) (Job, error) {
	var j Job
	if err := text.ReadJSON(data, &j); err != nil {
		var e *JobError
		switch {
		case errors.As(err, &e):
			e.Job = j.Name
		case j.Name != "":
			err = fmt.Errorf("backup job %q: %w", j.Name, err)
		default:
			err = fmt.Errorf("backup job: %w", err)
		}
		return Job{}, err
	}
	if err := j.Validate(); err != nil {
		return Job{}, err
	}
	return j, nil
}

// Write returns the JSON that [ReadJob] reads. The error is that of [Job.Validate].
func (j Job) Write() ([]byte, error) {
	j.ProtocolVersion = FormatVersion
	if err := j.Validate(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(j)
	return b.Bytes(), err
}

// rpoHint says what to write in place of an objective that no run can reach.
const rpoHint = `write how old the last good run may be, such as "1d", or leave it out`

const nameRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

// Validate says what is wrong with a job: the error is a *[JobError].
func (j Job) Validate() error {
	fault := func(field, reason, hint string) error { return &JobError{j.Name, field, reason, hint} }
	if j.ProtocolVersion != FormatVersion {
		return fault("protocolVersion", fmt.Sprintf("is %q", j.ProtocolVersion), "this stateward reads version "+FormatVersion)
	}
	if j.Name == "" || len(j.Name) > 64 || strings.Trim(j.Name, nameRunes) != "" || strings.Trim(j.Name[:1], "._-") == "" {
		return fault("name", "is no name", `use up to 64 letters, digits, "_", "-" and ".", beginning with a letter or digit`)
	}
	for _, end := range []string{".units", ".snapshot", ".scratch.json"} {
		if strings.HasSuffix(j.Name, end) {
			return fault("name", fmt.Sprintf("ends in %q, as files that another job needs", end), "choose another name")
		}
	}
	switch {
	case j.Repository == "" && j.RepositoryFile == "":
		return fault("repository", "is missing", "name it, or a repositoryFile that holds it")
	case j.Repository != "" && j.RepositoryFile != "":
		return fault("repository", "is given twice", "leave out repository or repositoryFile")
	case j.Repository != "":
		r, err := ParseRepository(j.Repository)
		if err != nil {
			return fault("repository", err.Error(), hint(err))
		}
		if r.HasSecret() {
			// Neither the store of nix nor an argument vector hides anything.
			return fault("repository", "has a password in it, which everybody on the machine can read", "put it into a repositoryFile, or RESTIC_REST_PASSWORD into the environmentFile")
		}
	}
	if j.PasswordFile == "" && j.EnvironmentFile == "" {
		return fault("passwordFile", "is missing", "name the file that holds the password of the repository")
	}
	if j.Host == "" || strings.ContainsFunc(j.Host, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return fault("host", "is no name of a host", "snapshots are found again by it: give the name of the machine")
	}
	for _, f := range []struct{ field, path string }{{"repositoryFile", j.RepositoryFile}, {"passwordFile", j.PasswordFile}, {"environmentFile", j.EnvironmentFile}, {"metricsDir", j.MetricsDir}} {
		if f.path != "" {
			if reason := badPath(f.path); reason != "" {
				return fault(f.field, fmt.Sprintf("%q %s", f.path, reason), "")
			}
		}
	}
	if len(j.Paths) == 0 {
		return fault("paths", "is empty", "name what is to be backed up")
	}
	for _, list := range []struct {
		field string
		paths []string
	}{{"paths", j.Paths}, {"requireMounted", j.RequireMounted}} {
		for i, p := range list.paths {
			if reason := badPath(p); reason != "" {
				return fault(list.field, fmt.Sprintf("has %q, which %s", p, reason), "")
			}
			if slices.Contains(list.paths[:i], p) {
				return fault(list.field, fmt.Sprintf("has %q twice", p), "")
			}
		}
	}
	for _, p := range j.AllowEmpty {
		if !slices.Contains(j.Paths, p) {
			return fault("allowEmpty", fmt.Sprintf("has %q, which is none of the paths", p), "")
		}
	}
	for _, p := range j.Exclude {
		if p == "" || !utf8.ValidString(p) || strings.ContainsRune(p, 0) {
			return fault("exclude", fmt.Sprintf("has %q, which is no pattern", p), "")
		}
		// As filepath.Match has it, by which restic matches.
		if _, err := path.Match(strings.TrimPrefix(p, "!"), "x"); err != nil {
			return fault("exclude", fmt.Sprintf("has %q, which is no pattern", p), "close every [")
		}
	}
	for _, tag := range j.Tags {
		if tag == "" || strings.ContainsFunc(tag, func(r rune) bool { return r == ',' || unicode.IsControl(r) }) || strings.TrimSpace(tag) != tag {
			return fault("tags", fmt.Sprintf("has %q, which is no tag", tag), "a tag has no comma, and no blank at its ends")
		}
		if strings.HasPrefix(tag, "stateward.") {
			return fault("tags", fmt.Sprintf("has %q, which is stateward's own", tag), "")
		}
	}
	if g := j.Retention.GroupBy; g != nil && (!g.Host || !g.Paths) {
		return fault("retention", "groups without host and paths, so that one history pushes another out", "leave --group-by out")
	}
	if j.Prune && j.Retention.ResticPolicy.IsZero() {
		return fault("prune", "is set, and nothing is ever forgotten", "give a retention")
	}
	if j.CheckSubset != "" && !validSubset(j.CheckSubset) {
		return fault("checkSubset", fmt.Sprintf("is %q", j.CheckSubset), `write "0", "5%", "500M" or "1/7"`)
	}
	if j.Floor != nil && (*j.Floor < 0 || *j.Floor > 100) {
		return fault("floorPercent", fmt.Sprintf("is %d", *j.Floor), "write 0 to 100")
	}
	for _, f := range []struct{ field, span string }{{"lockWait", j.LockWait}, {"limits.runTime", j.Limits.RunTime}, {"rpo", j.RPO}} {
		if f.span == "" {
			continue
		}
		d, err := stateward.ParseDuration(f.span)
		if err != nil {
			return fault(f.field, err.Error(), hint(err))
		}
		if f.field == "rpo" && d.Std() == 0 {
			return fault(f.field, fmt.Sprintf("is %q: the last good run is always older than that", f.span), rpoHint)
		}
	}
	if err := j.Drill.Validate(j.Paths); err != nil {
		return fault("drill", strings.TrimPrefix(err.Error(), "drill: "), hint(err))
	}
	l := j.Limits
	if l.Upload < 0 || l.Download < 0 || l.ReadConcurrency < 0 || l.Nice < -20 || l.Nice > 19 {
		return fault("limits", "has a number out of range", "limits are not negative, and nice is -20 to 19")
	}
	for _, f := range []struct{ field, amount string }{{"limits.memory", l.Memory}, {"limits.cpu", l.CPU}} {
		field, amount, units := f.field, f.amount, "KMGT%"
		if field == "limits.cpu" {
			units = "%"
		}
		number := amount
		if amount != "" && strings.ContainsRune(units, rune(amount[len(amount)-1])) {
			number = amount[:len(amount)-1]
		}
		if amount != "" && (number == "" || strings.Trim(number, "0123456789") != "" || field == "limits.cpu" && number == amount) {
			return fault(field, fmt.Sprintf("is %q", amount), `write "2G" or "20%" of memory, "50%" of a processor`)
		}
	}
	if err := j.validateCommands(fault); err != nil {
		return err
	}
	if err := j.Notify.Validate(); err != nil {
		return fault("notify", err.Error(), hint(err))
	}
	return j.validateSource(fault)
}

func (j Job) validateCommands(fault func(field, reason, hint string) error) error {
	texts := map[string]string{"preHook": j.PreHook, "postHook": j.PostHook}
	if d := j.Dump; d != nil {
		texts["dump.command"] = d.Command
		if strings.TrimSpace(d.Command) == "" {
			return fault("dump.command", "is empty", "")
		}
		if reason := badPath(d.Directory); reason != "" {
			return fault("dump.directory", fmt.Sprintf("is %q, which %s", d.Directory, reason), "")
		}
		if !slices.ContainsFunc(j.Paths, func(p string) bool { return within(p, d.Directory) }) {
			return fault("dump.directory", fmt.Sprintf("is %q, which is not backed up", d.Directory), "name it in paths")
		}
	}
	for _, field := range slices.Sorted(maps.Keys(texts)) {
		if text := texts[field]; strings.ContainsRune(text, 0) || !utf8.ValidString(text) {
			return fault(field, "is no text", "")
		}
	}
	for i, u := range j.StopUnits {
		switch {
		case strings.Trim(u, nameRunes+`:@\`) != "" || !strings.Contains(u, ".") || strings.HasPrefix(u, "-"):
			return fault("stopUnits", fmt.Sprintf("has %q, which is no unit", u), "write NAME.service")
		case u == j.UnitName()+".service":
			return fault("stopUnits", "has the unit of the job itself", "")
		case slices.Contains(j.StopUnits[:i], u):
			return fault("stopUnits", fmt.Sprintf("has %q twice", u), "")
		}
	}
	return nil
}

func (j Job) validateSource(fault func(field, reason, hint string) error) error {
	for i, d := range j.Source {
		if d.Name == "" || strings.ContainsAny(d.Name, "@# \t\n") || strings.HasPrefix(d.Name, "-") || strings.HasPrefix(d.Name, "/") {
			return fault("source", fmt.Sprintf("has %q, which is no dataset", d.Name), "")
		}
		if reason := badPath(d.Mountpoint); reason != "" {
			return fault("source", fmt.Sprintf("has a mountpoint %q, which %s", d.Mountpoint, reason), "")
		}
		for _, other := range j.Source[:i] {
			if other.Name == d.Name || other.Mountpoint == d.Mountpoint {
				return fault("source", fmt.Sprintf("has %s at %s twice", d.Name, d.Mountpoint), "")
			}
			if first, _, _ := strings.Cut(other.Name, "/"); first != strings.SplitN(d.Name, "/", 2)[0] {
				return fault("source", "has datasets of two pools, of which there is no snapshot of one moment", "make two jobs of it")
			}
		}
	}
	if len(j.Source) == 0 {
		return nil
	}
	for _, p := range j.Paths {
		if !slices.ContainsFunc(j.Source, func(d Dataset) bool { return within(d.Mountpoint, p) }) {
			return fault("paths", fmt.Sprintf("has %q, which lies on no dataset of source", p), "name the dataset that is mounted there or above")
		}
	}
	return nil
}

// within says whether p is dir or lies below.
func within(dir, p string) bool { return dir == p || dir == "/" || strings.HasPrefix(p, dir+"/") }

func badPath(p string) string {
	switch {
	case !strings.HasPrefix(p, "/"):
		return "is no absolute path"
	case path.Clean(p) != p:
		return "is not written in its shortest form"
	case strings.ContainsRune(p, 0):
		return "has a NUL byte"
	case !utf8.ValidString(p):
		return "is no UTF-8"
	}
	return ""
}

func validSubset(s string) bool {
	if s == "0" {
		return true
	}
	number := func(s string) bool {
		return s != "" && strings.Trim(s, "0123456789") == "" && strings.Trim(s, "0") != ""
	}
	if n, of, ok := strings.Cut(s, "/"); ok {
		if !number(n) || !number(of) || len(n) > 4 || len(of) > 4 {
			return false
		}
		return len(n) < len(of) || len(n) == len(of) && n <= of
	}
	if p, ok := strings.CutSuffix(s, "%"); ok {
		whole, part, dotted := strings.Cut(p, ".")
		if dotted && (part == "" || strings.Trim(part, "0123456789") != "") || whole == "" || strings.Trim(whole, "0123456789") != "" {
			return false
		}
		return strings.Trim(whole+part, "0") != "" && (len(whole) < 3 || whole == "100" && strings.Trim(part, "0") == "")
	}
	if s == "" {
		return false
	}
	if strings.ContainsRune("kKmMgGtT", rune(s[len(s)-1])) {
		s = s[:len(s)-1]
	}
	return number(s)
}

func hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// Root is the folder below which the paths of the job are when they are read: empty where they are read as they are.
func (j Job) Root() string {
	if len(j.Source) == 0 {
		return ""
	}
	return MountDir + "/" + j.Name
}

// Stored is the path in the repository of what is at a path of the machine (R2).
func (j Job) Stored(p string) string { return Stored(j.Root(), p) }

// Stored is the path in the repository of what is at a path of the machine, where root is what was recorded with the snapshot.
func Stored(root, p string) string {
	if p == "/" && root != "" {
		return root
	}
	return root + p
}

// OwnTags are the tags by which the snapshots of the job are found again.
func (j Job) OwnTags() []string {
	tags := []string{JobTag + j.Name}
	if root := j.Root(); root != "" {
		tags = append(tags, RootTag+root)
	}
	return append(tags, j.Tags...)
}
