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
	// QueueMax is `archive-push-queue-max` of pgBackRest: from how much waiting log on it drops segments and says that they are
	// stored.
	QueueMax Value[string]
	Origin   Origin
}

// PITRSettings are the names of the settings that are read.
func PITRSettings() []string {
	return []string{"archive_command", "archive_library", "archive_mode", "archive_timeout", "wal_level"}
}
