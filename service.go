package stateward

// StateSource names the kind of declaration that says where state is.
type StateSource string

const (
	// SourceStateDirectory is `serviceConfig.StateDirectory`.
	SourceStateDirectory StateSource = "StateDirectory"
	// SourceDataDir is a service's own `dataDir`, `stateDir` or the like.
	SourceDataDir StateSource = "dataDir"
	// SourcePlace is a directory that a service's option names and that need not hold all of its
	// state: `backupDir`, `mediaDir` or the like.
	SourcePlace StateSource = "place"
	// SourceBackupPaths is `backupPaths` of the contract.
	SourceBackupPaths StateSource = "backupPaths"
	// SourcePersistedData is `persistedData` of the older contract.
	SourcePersistedData StateSource = "persistedData"
	// SourceVolume is a bind-mounted volume of an OCI container.
	SourceVolume StateSource = "volume"
	// SourceContainer is the root of a nixos-container, or a directory of the host that is mounted into one.
	SourceContainer StateSource = "container"
	// SourceTmpfiles is a directory or file that a rule of `systemd.tmpfiles` makes.
	SourceTmpfiles StateSource = "tmpfiles"
	// SourceHome is the home of the user as whom a unit runs.
	SourceHome StateSource = "home"
	// SourceReadWritePaths is `serviceConfig.ReadWritePaths`.
	SourceReadWritePaths StateSource = "ReadWritePaths"
	// SourceTable is a place that a table of services names, because no option does.
	SourceTable StateSource = "table"
	// SourcePersist is `persist` of the contract.
	SourcePersist StateSource = "persist"
	// SourceHostKeys is `services.openssh.hostKeys`.
	SourceHostKeys StateSource = "hostKeys"
	// SourceSecretKeys are the keys that decrypt the host's secrets.
	SourceSecretKeys StateSource = "secretKeys"
	// SourceHost is what every NixOS host keeps, whatever its options say: its machine-id, its dealt ids.
	SourceHost StateSource = "host"
)

// StatePath is one place where a service keeps what must survive.
type StatePath struct {
	Entry
	Source StateSource
	// Pattern tells that the text goes on below Path in a way that options do
	// not show (an unresolved specifier such as "%i"): Path is the part that is sure.
	Pattern bool
	// ReadOnly tells that the service only reads there (a ":ro" volume).
	ReadOnly bool
	// Perhaps tells that the service may keep state there, depending on how it is used by hand: losing it is a
	// warning and no error.
	Perhaps bool
}

// Service is what one service declares about itself, in one dialect: the union
// of what the contracts of the field carry. It mirrors
// `qgroget.serviceModules.<name>`, and what a stock module's options and unit say.
type Service struct {
	Name    string
	Dialect string
	Origin  Origin
	// Enable is known and true for what is there at all because a module made
	// it (a systemd unit, a container).
	Enable Value[bool]
	// Units are the names of the systemd units, with suffix.
	Units       []string
	User        Value[Owner]
	Group       Value[Owner]
	DynamicUser Value[bool]

	// DataDir and BackupPaths are as the contract has them, for the collector.
	DataDir     Value[Entry]
	BackupPaths Value[[]Entry]
	// State is every place where the service keeps state, DataDir and
	// BackupPaths included. It is unknown when any one of them is; what could be had
	// of it is in StateSeen.
	State Value[[]StatePath]
	// StateSeen holds what is known of State when it is unknown as a whole.
	StateSeen []StatePath

	Databases  Value[[]Database]
	Dataset    *Dataset
	Protection *Protection
	// Preseed says how its dataset comes back where it is empty; nil where nothing does.
	Preseed *Preseed
	// HealthCheck says how to see whether the service works; nil where nothing does.
	HealthCheck *HealthCheck
	Exposure    Exposure
}

// StatePaths returns every state path that is known, and whether that is all.
func (s Service) StatePaths() (paths []StatePath, complete bool) {
	if p, ok := s.State.Get(); ok {
		return p, true
	}
	return s.StateSeen, s.State.IsAbsent()
}

// Database is one database that a service declares.
type Database struct {
	// Type is "postgresql", "redis", "mongodb", as written.
	Type   Value[string]
	Name   Value[string]
	User   Value[string]
	Origin Origin
}

// HealthCheck is how to see whether a service works, as `healthcheck` of a container says it.
type HealthCheck struct {
	// Command is for `bash -c`, and ends with status 0 while the service works.
	Command Value[string]
	// Interval is how long to wait between two tries, Timeout how long one may take, StartPeriod for how long after the start
	// a failure tells nothing.
	Interval, Timeout, StartPeriod Value[Duration]
	// Retries is how many failures in a row make it unhealthy.
	Retries Value[int]
	Origin  Origin
}

// Exposure is how a service is reached. It protects nothing, and is kept because
// the contract carries it.
type Exposure struct {
	Exposed     Value[bool]
	Domain      Value[string]
	Subdomain   Value[string]
	Type        Value[string]
	Port        Value[int]
	Middlewares Value[[]string]
}

// Protection is what a service asks for: the tiers that must hold, and the
// recovery point objective in each.
type Protection struct {
	Tiers []Tier
	RPO   map[Tier]Value[Duration]
	// Settings are what else is asked, raw, such as "class": "critical"; nil where nothing is.
	Settings map[string]Value[string]
	Origin   Origin
}

// Unit is one `systemd.services.<name>`.
type Unit struct {
	// Name has the suffix: "sonarr.service".
	Name   string
	Enable Value[bool]
	User   Value[Owner]
	Group  Value[Owner]
	// DynamicUser is read as systemd does: true, "true", "yes", "on", "1".
	DynamicUser Value[bool]
	// StateDirectory has one text an element, whatever way it was spelt; each
	// may carry ":alias", and specifiers.
	StateDirectory     Value[[]string]
	StateDirectoryMode Value[Mode]
	CacheDirectory     Value[[]string]
	LogsDirectory      Value[[]string]
	// ReadWritePaths has one path an element, with its "-" or "+" prefix.
	ReadWritePaths Value[[]string]
	// BindPaths has one bind mount an element, as written: "-SOURCE:DESTINATION:rbind".
	BindPaths Value[[]string]
	// WorkingDirectory is as written: a path, with a "-" before it where it may be missing, or "~".
	WorkingDirectory Value[string]
	Type             Value[string]

	After    Value[[]string]
	Before   Value[[]string]
	Requires Value[[]string]
	Wants    Value[[]string]
	BindsTo  Value[[]string]
	WantedBy Value[[]string]
	// RequiredBy and Executes are read of units that restore data, by their names ("preseed-paperless.service"), and absent for all
	// others: who requires it by its own word, and whether it has anything to execute, be it a script or an ExecStart=.
	RequiredBy        Value[[]string]
	Executes          Value[bool]
	RequiresMountsFor Value[[]string]
	// Job is X-Stateward-Job=: of which backup job or preseed stateward wrote the unit. Absent for all other units.
	Job Value[string]
	// BaseBackup is the command by which it makes base backups of PostgreSQL, "pgbackrest backup", where its script or ExecStart= shows one; it is looked for in
	// units whose names tell of such.
	BaseBackup Value[string]
	// MountAsserts are the paths of AssertPathIsMountPoint= and ConditionPathIsMountPoint=.
	MountAsserts        Value[[]string]
	DefaultDependencies Value[bool]
	// MakesDatasets says what the scripts of a unit that has to do with ZFS do where they make datasets: "zfs create"; "-o", they give
	// properties then; "zfs set", or later; "chown", they change owners or modes; "mounted", they look whether something is mounted;
	// "not restarted", a switch to a changed script does not run it. Absent where they make none; their text is not kept.
	MakesDatasets Value[[]string]
	Origin        Origin
}

// Tier is one kind of loss that data can survive.
type Tier string

// The survival tiers, nearest first.
const (
	TierReboot      Tier = "reboot"
	TierRollback    Tier = "rollback"
	TierDisk        Tier = "disk"
	TierSite        Tier = "site"
	TierRebuild     Tier = "rebuild"
	TierPointInTime Tier = "point-in-time"
)

// Tiers lists all tiers in order.
func Tiers() []Tier {
	return []Tier{TierReboot, TierRollback, TierDisk, TierSite, TierRebuild, TierPointInTime}
}

// TierState is the answer to one question of the survival matrix.
type TierState string

const (
	SurvivalYes       TierState = "yes"
	SurvivalNo        TierState = "no"
	SurvivalUnknown   TierState = "unknown"
	SurvivalNotNeeded TierState = "not-needed"
)

// TierResult is one cell of the survival matrix.
type TierResult struct {
	State TierState `json:"state"`
	// By names what makes the data survive, or what hides the answer.
	By string `json:"by,omitempty"`
	// RPO is the recovery point reached, as a time span of systemd.time(7): how old the newest copy can get by its schedule, in a
	// zone without summer time. The time that a run takes comes on top.
	RPO string `json:"rpo,omitempty"`
}

// SurvivalRow is one state path of one enabled service against the tiers.
type SurvivalRow struct {
	Service string `json:"service"`
	// Path is where the state really is (below /var/lib/private for DynamicUser).
	Path string `json:"path"`
	// Origin is the kind of declaration: "StateDirectory", "dataDir", …
	Origin string              `json:"origin"`
	Tiers  map[Tier]TierResult `json:"tiers"`
}
