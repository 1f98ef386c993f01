// Package template holds ready templates of services as data. A template is the contract of a service (docs/contract.md)
// with everything that a host needs to run it: container or stock module, users, limits, health check, dataset, backup. It
// is JSON, so that Nix reads it too and nobody needs Go to add one; docs/templates.md describes it.
package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
)

// Template is one file.
type Template struct {
	// Schema names the JSON schema, for an editor; it is not read.
	Schema string `json:"$schema,omitempty"`
	// Name is what the service is called, and the file without its suffix.
	Name string `json:"name"`
	// Extends is the template that this one changes: objects are merged, anything else takes the place of what is there, and
	// null takes it away.
	Extends string `json:"extends,omitempty"`
	// Description is one line that says what it is.
	Description string `json:"description"`
	// Parameters are what a user may set. "${name}" in any text stands for the value.
	Parameters map[string]Parameter `json:"parameters,omitempty"`
	// Service is the contract, as stateward.services.NAME takes it.
	Service Service `json:"service"`
	// Container runs the service with podman.
	Container *Container `json:"container,omitempty"`
	// Options are options of NixOS by their path, for a service that NixOS has a module for.
	Options map[string]any `json:"options,omitempty"`
	// Packages are options of NixOS that take a package, and the name of the package below pkgs.
	Packages map[string]string `json:"packages,omitempty"`
	// User is the user to make; none where the module of NixOS makes it.
	User *User `json:"user,omitempty"`
	// Groups are the groups to make.
	Groups []Group `json:"groups,omitempty"`
}

// Parameter is a value that a user may set.
type Parameter struct {
	// Kind says what a value must be; text where it is left out.
	Kind Kind `json:"kind,omitempty"`
	// Default is the value where none is set; it may name other parameters. A parameter without one has to be set.
	Default *Scalar `json:"default,omitempty"`
	// Description is one line that says what it is.
	Description string `json:"description,omitempty"`
}

// Kind is what a parameter's value must be.
type Kind string

// The kinds of parameters.
const (
	// Text is anything on one line.
	Text Kind = "text"
	// Path is an absolute path.
	Path Kind = "path"
	// Integer is a whole number from 0 on.
	Integer Kind = "integer"
	// Dataset is the name of a ZFS dataset, or of a pool.
	Dataset Kind = "dataset"
	// Owner is the name of a user or group.
	Owner Kind = "owner"
)

// Kinds are all kinds of parameters.
func Kinds() []Kind { return []Kind{Text, Path, Integer, Dataset, Owner} }

// Scalar is a text, or a whole number. Where a field takes a number, a text such as "${port}" does too.
type Scalar string

// UnmarshalJSON takes a text or a whole number.
func (s *Scalar) UnmarshalJSON(b []byte) error {
	if b = bytes.TrimSpace(b); len(b) > 0 && b[0] == '"' {
		return json.Unmarshal(b, (*string)(s))
	}
	if _, err := strconv.ParseInt(string(b), 10, 64); err != nil {
		return fmt.Errorf("%s is no whole number", b)
	}
	*s = Scalar(b)
	return nil
}

// MarshalJSON writes what is a whole number as one.
func (s Scalar) MarshalJSON() ([]byte, error) {
	if n, err := strconv.ParseInt(string(s), 10, 64); err == nil && strconv.FormatInt(n, 10) == string(s) {
		return []byte(s), nil
	}
	return json.Marshal(string(s))
}

// number is the number of a scalar that was checked.
func (s Scalar) number() int {
	n, _ := strconv.Atoi(string(s))
	return n
}

// Service is the contract of a service: docs/contract.md describes the fields.
type Service struct {
	// Unit is the systemd unit, with its suffix.
	Unit string `json:"unit"`
	// User and Group are as whom it runs.
	User  string `json:"user,omitempty"`
	Group string `json:"group,omitempty"`
	// DataDir is where its data is.
	DataDir string `json:"dataDir"`
	// BackupPaths are further places that are worth a backup.
	BackupPaths []string `json:"backupPaths,omitempty"`
	// Persist is state that needs no backup.
	Persist *Persist `json:"persist,omitempty"`
	// Dataset is where its data lies.
	Dataset *ServiceDataset `json:"dataset,omitempty"`
	// Backup is one job.
	Backup        *Backup        `json:"backup,omitempty"`
	Databases     []Database     `json:"databases,omitempty"`
	Protection    *Protection    `json:"protection,omitempty"`
	Preseed       *Preseed       `json:"preseed,omitempty"`
	HealthCheck   *HealthCheck   `json:"healthCheck,omitempty"`
	Resources     *Resources     `json:"resources,omitempty"`
	Notifications *Notifications `json:"notifications,omitempty"`
}

// Persist is state that outlives a reboot, as absolute paths.
type Persist struct {
	Directories []string `json:"directories,omitempty"`
	Files       []string `json:"files,omitempty"`
}

// ServiceDataset is the ZFS dataset of a service.
type ServiceDataset struct {
	Name string `json:"name"`
	// MountPoint is DataDir where it is left out.
	MountPoint string `json:"mountpoint,omitempty"`
	// Profile is the workload: `stateward template profiles` lists them. Its properties are those of the dataset.
	Profile string `json:"profile"`
	// Properties are further ones, or others than the profile's.
	Properties map[string]string `json:"properties,omitempty"`
	Owner      string            `json:"owner,omitempty"`
	Group      string            `json:"group,omitempty"`
	Mode       string            `json:"mode,omitempty"`
}

// Backup is a backup job.
type Backup struct {
	Engine string `json:"engine,omitempty"`
	// Paths are DataDir and BackupPaths where it is left out.
	Paths      []string `json:"paths,omitempty"`
	Repository string   `json:"repository,omitempty"`
	// PasswordFile and the other files are read at run time: no file of the store.
	PasswordFile    string `json:"passwordFile,omitempty"`
	RepositoryFile  string `json:"repositoryFile,omitempty"`
	EnvironmentFile string `json:"environmentFile,omitempty"`
	// Schedule is one of systemd.time(7).
	Schedule []string `json:"schedule,omitempty"`
	// RandomizedDelay is a time span of systemd.time(7).
	RandomizedDelay string `json:"randomizedDelay,omitempty"`
	Persistent      *bool  `json:"persistent,omitempty"`
	// Prune are options of the engine.
	Prune   []string `json:"prune,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	Tags    []string `json:"tags,omitempty"`
	// StopUnits are stopped while the job runs.
	StopUnits []string `json:"stopUnits,omitempty"`
}

// Database is one that the service uses.
type Database struct {
	Type string `json:"type,omitempty"`
	Name string `json:"name"`
	User string `json:"user,omitempty"`
}

// Protection says which losses must be survived.
type Protection struct {
	Tiers []string          `json:"tiers,omitempty"`
	RPO   map[string]string `json:"rpo,omitempty"`
}

// Preseed restores an empty dataset before the service first starts.
type Preseed struct {
	Enable bool `json:"enable"`
	// Sources are asked in this order. Without any it is what the host has: local, replica where the dataset is sent somewhere, restic where a job
	// backs it up.
	Sources []Source `json:"sources,omitempty"`
	// OnNoBackup is what happens where it is certain that there is no backup.
	OnNoBackup OnNoBackup `json:"onNoBackup"`
	// Reason is why the service may start empty: required for start-empty.
	Reason string `json:"reason,omitempty"`
}

// Source is what is restored from.
type Source string

// The sources.
const (
	// Local takes the newest snapshot of the dataset.
	Local Source = "local"
	// Replica receives the dataset from where it is replicated to.
	Replica Source = "replica"
	// Restic restores the newest snapshot of the repository.
	Restic Source = "restic"
)

// OnNoBackup is a policy for a service of which there is no backup.
type OnNoBackup string

// The policies.
const (
	// Refuse keeps the service from starting.
	Refuse OnNoBackup = "refuse"
	// StartEmpty lets it start without data: for a first installation.
	StartEmpty OnNoBackup = "start-empty"
)

// HealthCheck is how to see whether the service works.
type HealthCheck struct {
	Enable bool `json:"enable"`
	// Command runs in the container, where there is one.
	Command string `json:"command,omitempty"`
	// Interval, Timeout and StartPeriod are time spans of systemd.time(7).
	Interval    string `json:"interval,omitempty"`
	Timeout     string `json:"timeout,omitempty"`
	Retries     Scalar `json:"retries,omitempty"`
	StartPeriod string `json:"startPeriod,omitempty"`
}

// Resources bound what the service may use.
type Resources struct {
	// Memory is a size with units of 1024: "512M", "1G".
	Memory string `json:"memory,omitempty"`
	// CPUs is a number of processors: "2", "0.5".
	CPUs Scalar `json:"cpus,omitempty"`
}

// Notifications say who hears of a failure.
type Notifications struct {
	Enable   bool     `json:"enable"`
	Channels []string `json:"channels,omitempty"`
	Priority Priority `json:"priority,omitempty"`
}

// Priority is how urgent a failure is.
type Priority string

// The priorities.
const (
	Low    Priority = "low"
	Normal Priority = "normal"
	High   Priority = "high"
)

// Container is what podman runs.
type Container struct {
	Image string `json:"image"`
	// User is "uid:gid", as podman takes it; the image's own where it is left out.
	User string `json:"user,omitempty"`
	// Groups are further groups of the process, as numbers: podman does not know names of the host.
	Groups      []Scalar          `json:"groups,omitempty"`
	Environment map[string]string `json:"environment,omitempty"`
	// Volumes are "place:place in the container", or with ":ro".
	Volumes []string `json:"volumes"`
	// Ports are "port:port in the container", or with an address before.
	Ports []string `json:"ports,omitempty"`
}

// User is a user to make, a system user.
type User struct {
	Name        string   `json:"name"`
	UID         Scalar   `json:"uid,omitempty"`
	Group       string   `json:"group"`
	ExtraGroups []string `json:"extraGroups,omitempty"`
}

// Group is a group to make.
type Group struct {
	Name string `json:"name"`
	GID  Scalar `json:"gid,omitempty"`
}

var (
	nameForm  = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	paramForm = regexp.MustCompile(`^[a-z][A-Za-z0-9]*$`)
	reference = regexp.MustCompile(`\$\{([^}]*)\}`)
)
