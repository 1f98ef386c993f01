package stateward

// PgBackRest is what a configuration says of pgBackRest: `services.pgbackrest`, or the file that it reads, where the configuration has its text. Values stay
// raw text; package backup/pitr reads them as pgBackRest does. What is secret is hidden.
type PgBackRest struct {
	// Sections are the options that are read, by section ("global", "global:archive-push", or the name of a stanza) and by name ("repo1-path", "pg1-path").
	// They are empty where Text is given.
	Sections map[string]map[string]Value[string]
	// Text is that of pgbackrest.conf.
	Text Value[string]
	// Jobs are the backups that a timer makes.
	Jobs   []PgBackRestJob
	Origin Origin
}

// PgBackRestJob is one of `services.pgbackrest.stanzas.<stanza>.jobs`.
type PgBackRestJob struct {
	Stanza, Name string
	// Type is "full", "diff" or "incr", Schedule OnCalendar= of the timer.
	Type, Schedule Value[string]
	Origin         Origin
}

// HiddenValue stands for a value that is secret and was not read.
const HiddenValue = "(hidden)"
