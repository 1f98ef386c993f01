package stateward

// PITR is what the configuration says of the write-ahead log of one PostgreSQL server: `services.postgresql`. Values stay raw text;
// package backup/pitr reads them as PostgreSQL does.
type PITR struct {
	// Service is the server's, "postgresql".
	Service string
	Enable  Value[bool]
	// Settings are those of `services.postgresql.settings` that have to do with the log, by their names: "archive_mode",
	// "archive_command", "archive_library", "archive_timeout", "wal_level". What is not set is absent there. What looks like a secret is hidden.
	Settings map[string]Value[string]
	// Standby tells that `primary_conninfo` names a server to follow: as long as it does so, it archives nothing by archive_mode = "on".
	Standby Value[bool]
	// QueueMax is `archive-push-queue-max` of pgBackRest: from how much waiting log on it drops segments and says that they are
	// stored.
	QueueMax Value[string]
	// PgBackRest is nil where the configuration says nothing of it.
	PgBackRest *PgBackRest
	// DataDir is where the cluster lies, Version the major version as the package says it, "17"; Port and Sockets are settings. They are read where
	// `stateward.pitr` asks for something.
	DataDir, Version, Port, Sockets Value[string]
	Origin                          Origin
}

// PITRPolicy is how a cluster of PostgreSQL is to be archived and kept recoverable, `stateward.pitr.<name>` of the contract. That it is asked for archives
// nothing: settings and units do.
type PITRPolicy struct {
	// Name is that of the cluster; "postgresql" is the one of `services.postgresql`, which says what Cluster leaves out.
	Name string
	// Enable is known and true where nothing is said.
	Enable Value[bool]
	// Provider, Destination, Server, Cloud, Endpoint, Profile, Compression and Encryption are texts as the policy of package backup/pitr has them.
	Provider, Destination, Server, Cloud, Endpoint, Profile, Compression, Encryption Value[string]
	// EnvironmentFile and CredentialsFile hold what is secret.
	EnvironmentFile, CredentialsFile Value[FileRef]
	// Schedule is OnCalendar= of base backups.
	Schedule Value[[]string]
	// Window is for how long any moment can be recovered, ArchiveTimeout after how long a segment is archived that is not full, DrillEvery how old the
	// last drill that passed may be.
	Window, ArchiveTimeout, DrillEvery Value[Duration]
	// Redundancy is how many base backups stay at least.
	Redundancy Value[int]
	// OnStart, OnSuccess and OnFailure are templates of notifications.
	OnStart, OnSuccess, OnFailure Value[string]
	MetricsDir                    Value[string]
	Cluster                       PITRCluster
	Origin                        Origin
}

// PITRCluster is what `stateward.pitr.<name>.cluster` says of the server.
type PITRCluster struct {
	DataDir, WALDir, User, Socket, Unit, BinDir Value[string]
	Version, Port                               Value[int]
}

// PITRSettings are the names of the settings that are read.
func PITRSettings() []string {
	return []string{"archive_command", "archive_library", "archive_mode", "archive_timeout", "wal_level"}
}
