package stateward

import (
	"slices"
	"strings"
	"time"
)

// Status says how much of a host could be evaluated.
type Status string

const (
	// StatusOK is a host of which everything that is read could be evaluated.
	StatusOK Status = "ok"
	// StatusPartial is a host of which some values could not be evaluated; they
	// are in Host.Unknown.
	StatusPartial Status = "partial"
	// StatusFailed is a host that could not be evaluated at all.
	StatusFailed Status = "failed"
)

// Host is what one host declares, normalised from every dialect that applies.
//
// A list that is absent belongs to an option that the host does not have; one
// that is unknown could not be evaluated as a whole. A single item that could
// not be evaluated is in the list with unknown fields.
type Host struct {
	// Name is the attribute name, such as "forge" of nixosConfigurations.forge.
	Name string
	// HostName is `networking.hostName`: what the host calls itself.
	HostName Value[string]
	// Source is what was loaded, such as ".#forge".
	Source string
	Status Status
	// Dialects that apply to the host, sorted.
	Dialects []string

	// Persistence holds `environment.persistence.<root>`, `preservation.preserveAt.<root>` and the roots of
	// home-manager.
	Persistence Value[[]PersistenceRoot]
	// Services holds the contract of every service, from every dialect. One
	// service that two dialects describe is there twice.
	Services Value[[]Service]
	// Units holds `systemd.services`.
	Units Value[[]Unit]
	// FileSystems holds `fileSystems`.
	FileSystems Value[[]FileSystem]
	// Mounts holds `systemd.mounts`, which `fileSystems` does not show, and `boot.initrd.systemd.mounts` with what
	// that makes of the booted system: "/sysroot" is cut off, and NeededForBoot is true.
	Mounts Value[[]FileSystem]
	// Datasets holds the ZFS datasets that the options themselves declare, such
	// as `disko.devices.zpool.<pool>.datasets`.
	Datasets Value[[]Dataset]
	// ExtraPools holds `boot.zfs.extraPools`: pools whose datasets mount
	// themselves where their own mountpoint property says.
	ExtraPools Value[[]string]
	Initrd     Initrd
	Jobs       Value[[]Job]
	// BackupRepositories holds `stateward.backup.repositories`: what jobs may name in place of an address.
	BackupRepositories Value[[]BackupRepository]
	// BackupDefaults holds `stateward.backup.defaults`: the settings of jobs that are asked for and do not have them; nil where there are none.
	BackupDefaults *Job
	// PITR holds what PostgreSQL servers say of their write-ahead log, one for each that is switched on.
	PITR Value[[]PITR]
	// PITRPolicies holds `stateward.pitr`: how clusters are to be archived.
	PITRPolicies Value[[]PITRPolicy]
	Snapshots    Value[[]SnapshotPolicy]
	// SnapshotTemplates holds `services.sanoid.templates`.
	SnapshotTemplates Value[[]SnapshotPolicy]
	Replications      Value[[]Replication]
	Users             Value[[]User]
	Groups            Value[[]Group]
	// Tmpfiles holds `systemd.tmpfiles.rules` and `systemd.tmpfiles.settings`.
	Tmpfiles Value[[]TmpfilesRule]
	// Links are the symbolic links that the configuration makes at every boot: "L" and "L+" of tmpfiles, and
	// `environment.etc.<name>.source` where that is no file of the store.
	Links Value[[]Link]
	// ActivationScripts holds those of `system.activationScripts` that name a place by which the host is known, or make datasets.
	ActivationScripts Value[[]ActivationScript]
	// Timers holds `systemd.timers`.
	Timers Value[[]Timer]
	// HostKeys holds `services.openssh.hostKeys.*.path` of an enabled sshd: who the host is.
	HostKeys Value[[]Entry]
	// SecretKeys are the private keys that decrypt the host's secrets while it boots: `sops.age.sshKeyPaths`,
	// `sops.age.keyFile`, `sops.gnupg.sshKeyPaths`, `age.identityPaths`.
	SecretKeys Value[[]Entry]
	// Mentions are files and directories that other options name and that are no service's state: swap files, files of
	// hashed passwords, keys of the initial ramdisk. What is mentioned is not left over.
	Mentions Value[[]Entry]

	// Plan is the text of the file of `stateward.plan`, whose settings the configuration has.
	Plan Value[string]

	// Guard is `stateward.guard.enable`: whether a switch that would lose data is refused.
	Guard Value[bool]

	// Acknowledgements are the findings that the configuration itself accepts.
	Acknowledgements Value[[]Acknowledgement]

	// FailedAssertions holds the messages of the configuration's own failing
	// `assertions`; evaluating single options does not run them.
	FailedAssertions Value[[]Value[string]]
	// Warnings holds the configuration's own `warnings`.
	Warnings Value[[]Value[string]]

	// Unknown lists everything that could not be evaluated or understood,
	// sorted by subject, each once.
	Unknown []Unknown

	// Zones knows the time zones that schedules may name; without it they may name UTC only.
	Zones Zones
}

// Zones knows time zones. What only computes asks no files for them, and is handed one.
type Zones interface {
	// Zone returns the zone of a name of the IANA database, such as "Europe/Berlin", or an error where there is none.
	Zone(name string) (*time.Location, error)
}

// ZoneFunc is [Zones] by a function, such as [time.LoadLocation].
type ZoneFunc func(name string) (*time.Location, error)

// Zone calls f.
func (f ZoneFunc) Zone(name string) (*time.Location, error) { return f(name) }

// AddUnknown records what could not be had and lowers the status to partial.
func (h *Host) AddUnknown(us ...Unknown) {
	if len(us) == 0 {
		return
	}
	h.Unknown = append(h.Unknown, us...)
	slices.SortFunc(h.Unknown, CompareUnknown)
	h.Unknown = slices.Compact(h.Unknown)
	if h.Status == StatusOK || h.Status == "" {
		h.Status = StatusPartial
	}
}

// PersistenceModule names the module that makes the entries of a persistence root appear.
type PersistenceModule string

const (
	// Impermanence is `environment.persistence`.
	Impermanence PersistenceModule = "impermanence"
	// Preservation is `preservation.preserveAt`.
	Preservation PersistenceModule = "preservation"
	// HomeManager is `home.persistence` of a user's home-manager configuration.
	HomeManager PersistenceModule = "home-manager"
)

// PersistenceRoot is one `environment.persistence.<name>` of Impermanence, one
// `preservation.preserveAt.<name>` of Preservation, or one
// `home-manager.users.<user>.home.persistence.<name>`.
type PersistenceRoot struct {
	// Name is the attribute name.
	Name string
	// Module is Impermanence where it is empty.
	Module PersistenceModule
	// Path is `persistentStoragePath`, which defaults to the name. It is absent where nothing is known of a root
	// but that there may be one: see Directories.
	Path   Value[AbsPath]
	Enable Value[bool]
	// Home is that of the user below which all entries of a root of home-manager lie; absent for other roots.
	Home Value[AbsPath]
	// HideMounts and AllowTrash are Impermanence's `hideMounts` and `allowTrash` where they are true.
	HideMounts Value[bool]
	AllowTrash Value[bool]
	// MountOptions is Preservation's `commonMountOptions`, with commas between them; absent where there are none.
	MountOptions Value[string]
	// Directories and Files hold the system's entries and, with paths joined to
	// their homes, those of `users.<name>`.
	Directories Value[[]Entry]
	Files       Value[[]Entry]
	// Seen holds what is known of Directories and Files where they are unknown as a whole.
	Seen   []Entry
	Origin Origin
}

// Option is the option path of the root.
func (r PersistenceRoot) Option() string {
	switch r.Module {
	case Preservation:
		return OptionPath("preservation", "preserveAt", r.Name)
	case HomeManager:
		return r.Origin.Option
	default:
		return OptionPath("environment", "persistence", r.Name)
	}
}

// StoredAt is where the data of an entry of the root really is.
func (r PersistenceRoot) StoredAt(e Entry) Value[AbsPath] {
	rare := e.Rare()
	if !rare.Kept.IsAbsent() {
		return rare.Kept
	}
	storage := rare.Storage
	if storage.IsAbsent() {
		storage = r.Path
	}
	return MapValue(storage, func(at AbsPath) (AbsPath, error) { return at.Mount(e.Path), nil })
}

// Initrd holds what the initial ramdisk runs, as far as it can wipe or mount.
type Initrd struct {
	// Systemd is `boot.initrd.systemd.enable`.
	Systemd Value[bool]
	// Commands are the shell texts of `boot.initrd.preDeviceCommands`, `preLVMCommands`,
	// `postDeviceCommands`, `postResumeCommands`, `postMountCommands`, and of the services and units of
	// `boot.initrd.systemd`, which run under the systemd initrd only.
	Commands Value[[]InitrdCommand]
	// KernelParams is `boot.kernelParams`: `systemd.volatile` there keeps the root, or /var, in memory.
	KernelParams Value[[]string]
}

// InitrdCommand is one text that the initial ramdisk runs.
type InitrdCommand struct {
	// Hook is the option's name: "postDeviceCommands", …, "systemd.services.<name>" or
	// "systemd.units.<name>".
	Hook string
	// Text is shell text: a script, or one command line. Unknown of kind hidden where it
	// is a command line that cannot be read.
	Text   Value[string]
	Origin Origin
}

// FileSystem is one `fileSystems.<mountPoint>`, or one of `systemd.mounts`.
type FileSystem struct {
	MountPoint Entry
	// Device is a path, a ZFS dataset, a label …, as written.
	Device        Value[string]
	FSType        Value[string]
	Options       Value[[]string]
	NeededForBoot Value[bool]
	// Depends are mount points that must be mounted first.
	Depends Value[[]string]
	// Enable is absent where there is no such option: it is mounted then.
	Enable Value[bool]
	Origin Origin
}

// IsBind tells whether the device is a directory that is mounted again.
func (f FileSystem) IsBind() bool { return f.HasOption("bind") || f.HasOption("rbind") }

// HasOption tells whether a mount option is given, alone or with a value ("loop" and "loop=/dev/loop1").
// An element of Options may hold several, with commas between them, as mount(8) takes them.
func (f FileSystem) HasOption(name string) bool {
	options, _ := f.Options.Get()
	for _, text := range options {
		for o := range strings.SplitSeq(text, ",") {
			if rest, ok := strings.CutPrefix(strings.TrimSpace(o), name); ok && (rest == "" || rest[0] == '=') {
				return true
			}
		}
	}
	return false
}

// Dataset is one ZFS dataset that the configuration declares. Properties stay
// raw text; package dataset parses them.
type Dataset struct {
	// Name is the full name, such as "tank/services/sonarr".
	Name string
	// Type is "filesystem" or "volume"; absent means a file system. A volume is mounted nowhere.
	Type Value[string]
	// MountPoint is the property as written: a path, "none", "legacy"; absent
	// where it is inherited.
	MountPoint Value[string]
	// CanMount is "on", "off" or "noauto"; absent means on.
	CanMount   Value[string]
	Properties map[string]Value[string]
	// Profile names the workload that lies there, as dataset.Profiles calls them; nothing follows from it but what SW211
	// says. Absent where nothing is said.
	Profile Value[string]
	Owner   Value[Owner]
	Group   Value[Owner]
	Mode    Value[Mode]
	// For is the name of the service that it is declared for, where it is declared for one and not with one.
	For string
	// Asked tells that the configuration asks for the dataset and that nothing that is read creates it.
	Asked bool
	// Protection is what is asked for the dataset itself; nil where nothing is.
	Protection *Protection
	// SnapshotPolicy names the policy that is asked for its snapshots, and Replicate where they are asked to be sent. Nothing does that by
	// its being declared: Host.Snapshots and Host.Replications are what runs.
	SnapshotPolicy Value[string]
	Replicate      []AskedReplication
	Origin         Origin
}

// AskedReplication is where a dataset's snapshots are to be sent, `dataset.replication` of a service.
type AskedReplication struct {
	// Target is "pool/dataset" or "user@host:pool/dataset".
	Target Value[string]
	// Schedule are calendar events of systemd.time(7).
	Schedule Value[[]string]
	// SSHKey is the path of a key, HostKeys are public keys of the host: "ssh-ed25519 AAAA…".
	SSHKey   Value[string]
	HostKeys Value[[]string]
	Raw      Value[bool]
	// Recursive tells that datasets below are sent too.
	Recursive Value[bool]
	// Limit is the most that is sent a second: "10M".
	Limit  Value[string]
	Origin Origin
}

// IsVolume tells whether a dataset is known to be a volume.
func (d *Dataset) IsVolume() bool { return d.Type.Or("") == "volume" }

// TmpfilesRule is one line of tmpfiles.d(5).
type TmpfilesRule struct {
	// Type is the letter with its modifiers, such as "d", "L+" or "d!".
	Type string
	// At is the path with owner, group and mode as far as the rule gives them. A path with a
	// specifier ("%h") has a problem.
	At Entry
	// OnlyNew tells that owner, group or mode is for what the rule itself makes, and that what is there is left alone (":").
	OnlyNew bool
	// Age is as written; empty where nothing is cleaned up.
	Age string
	// Argument is the target of a link, the text of a file; absent where there is none.
	Argument Value[string]
	Origin   Origin
}

// Link is one symbolic link.
type Link struct {
	At Entry
	// Target is as written: absolute, or relative to the directory that holds the link.
	Target Value[string]
	Origin Origin
}

// ActivationScript is one `system.activationScripts.<name>`. Its text is not kept.
type ActivationScript struct {
	Name string
	// Names are files that the text names, /etc/machine-id and what lies in /etc/ssh, and, where the text copies something, the
	// directories /etc/ssh and /var/lib/systemd.
	Names Value[[]string]
	// MakesDatasets is as in [Unit].
	MakesDatasets []string
	Origin        Origin
}

// Timer is one `systemd.timers.<name>`.
type Timer struct {
	// Name has the suffix: "nightly.timer".
	Name   string
	Enable Value[bool]
	// Persistent is `timerConfig.Persistent`, read as systemd does.
	Persistent Value[bool]
	Origin     Origin
}

// Acknowledgement accepts findings, for a reason.
type Acknowledgement struct {
	// Code is that of the finding, such as "SW101".
	Code string
	// Host, Service, Subject and Path narrow down which findings are meant; an empty one narrows nothing.
	Host    string
	Service string
	Subject string
	Path    string
	// Reason is printed with the finding.
	Reason string
	// Until is the last day on which it holds, as "2027-01-31" in UTC; empty where it always holds.
	Until  string
	Origin Origin
}

// User is one `users.users.<name>`.
type User struct {
	Name string
	// UID is absent where NixOS deals one and remembers it in /var/lib/nixos.
	UID    Value[int]
	Group  Value[string]
	Home   Value[string]
	Normal Value[bool]
	Origin Origin
}

// Group is one `users.groups.<name>`.
type Group struct {
	Name string
	// GID is absent where NixOS deals one and remembers it in /var/lib/nixos.
	GID    Value[int]
	Origin Origin
}

// FileRef is a reference to a file that a service reads at run time, such as a
// password file.
type FileRef struct {
	Text string
	// NixPath tells that the option holds a Nix path and not a text: using it
	// copies the file into the world-readable store.
	NixPath bool
}

// BackupRepository is one `stateward.backup.repositories.<name>`, of restic.
type BackupRepository struct {
	Name string
	// URL is its address, URLFile a file that holds it.
	URL             Value[string]
	URLFile         Value[FileRef]
	PasswordFile    Value[FileRef]
	EnvironmentFile Value[FileRef]
	// Primary tells that jobs that name none go there.
	Primary Value[bool]
	Origin  Origin
}

// Job is one backup job, of whatever engine. Schedules and retention stay raw
// text; package backup parses them.
type Job struct {
	Name string
	// Engine is "restic", "borg", or the dialect's name where the dialect
	// leaves the engine open.
	Engine string
	Paths  Value[[]Entry]
	// Dataset is a ZFS dataset of which a snapshot is stored, as a whole; Paths is then where the dataset is mounted. Absent
	// where the job reads what is mounted.
	Dataset Value[string]
	Exclude Value[[]string]
	// Options are those that are handed to the engine's own command as they are, and that may leave out more: restic's
	// `extraBackupArgs`, borg's `extraCreateArgs`, and its `patterns` as "--pattern PATTERN".
	Options Value[[]string]
	// Tags are those of the engine's snapshots.
	Tags Value[[]string]
	// Repository is restic's `repository`, borg's `repo`.
	Repository      Value[string]
	RepositoryFile  Value[FileRef]
	PasswordFile    Value[FileRef]
	EnvironmentFile Value[FileRef]
	// Passphrase tells that borg's is given as a text, which is not kept.
	Passphrase Value[bool]
	User       Value[Owner]
	Initialize Value[bool]
	// Schedule is `OnCalendar` or `startAt`; absent where there is no timer.
	Schedule        Value[[]string]
	RandomizedDelay Value[Duration]
	Persistent      Value[bool]
	// Prune holds the raw options of `pruneOpts`, or "keep-daily 7" from borg's
	// `prune.keep`.
	Prune Value[[]string]
	// StopUnits are stopped while the job runs.
	StopUnits      Value[[]string]
	Priority       Value[int]
	RequireNetwork Value[bool]
	// PreHook and PostHook tell that there is such a script.
	PreHook  Value[bool]
	PostHook Value[bool]
	// PreCommand and PostCommand are the texts of these, for bash, where the dialect reads them. What looks like a secret is hidden.
	PreCommand  Value[string]
	PostCommand Value[string]
	// Service is the name of the service that asks for the job; empty where none does.
	Service string
	// Targets are names of Host.BackupRepositories: one job for each of them.
	Targets Value[[]string]
	// Consistency is "live", "snapshot", "quiesce" or "dump", as written.
	Consistency Value[string]
	// DumpCommand writes files below DumpDirectory, which are then backed up.
	DumpCommand   Value[string]
	DumpDirectory Value[Entry]
	// AllowEmpty are those of the paths that may be empty.
	AllowEmpty Value[[]string]
	// Settings are what else is set, raw, such as "limits.memory": "2G"; nil where nothing is.
	Settings map[string]Value[string]
	// DrillPaths are what a restore drill of the job restores, DrillCommand what it runs then: a program and its arguments. What else is said
	// of drills is in Settings, as "drill.every".
	DrillPaths   Value[[]Entry]
	DrillCommand Value[[]string]
	// Notifications is the service's own `notifications.enable`: whether somebody is to be told where something fails. Which message is sent
	// of the job is in Settings, as "notify.onFailure".
	Notifications Value[bool]
	// DynamicPaths tells that a command adds paths at run time (`dynamicFilesFrom`).
	DynamicPaths Value[bool]
	// Asked tells that the configuration asks for the job and that nothing that is read runs it.
	Asked  bool
	Origin Origin
}

// SnapshotPolicy is one `services.sanoid.datasets.<name>` or `.templates.<name>`.
type SnapshotPolicy struct {
	// Name is the dataset's or the template's name.
	Name      string
	Templates Value[[]string]
	// Recursive is "yes", "no" or "zfs".
	Recursive Value[string]
	// Settings are all other keys, raw, such as "hourly": "36".
	Settings map[string]Value[string]
	// Schedule is `services.sanoid.interval`; a template has none.
	Schedule Value[[]string]
	Origin   Origin
}

// Replication is one `services.syncoid.commands.<name>`.
type Replication struct {
	Name        string
	Source      Value[string]
	Target      Value[string]
	Recursive   Value[bool]
	SendOptions Value[string]
	RecvOptions Value[string]
	ExtraArgs   Value[[]string]
	Schedule    Value[[]string]
	Origin      Origin
}
