package stateward

// Preseed is how an empty dataset of a service comes back before the service starts, `preseed` of the contract. That it is declared restores
// nothing: a unit does.
type Preseed struct {
	// Enable is known and true where a preseed is given and does not say.
	Enable Value[bool]
	// Sources are "local", "replica", "restic" and "pitr" in the order in which they are asked; what else was written is there as written. Absent where the
	// order is left open.
	Sources Value[[]string]
	// OnNoBackup is what happens where every source was asked and has nothing: "refuse" or "start-empty", as written. Absent where nothing is said,
	// which means refuse. Reason is why the service may start empty.
	OnNoBackup, Reason Value[string]
	// MaxAge is how old what is restored may be, Timeout how long a run tries.
	MaxAge, Timeout Value[Duration]
	// MinBytes is how much must be restored at least.
	MinBytes Value[int64]
	// Paths are what is restored from restic; relative ones lie within the dataset.
	Paths Value[[]string]
	// SQLite has databases checked before what is restored takes its place; Command is a program with its arguments that gets the folder.
	SQLite  Value[bool]
	Command Value[[]string]
	// Staging is the dataset below which everything is made.
	Staging Value[string]
	// From is the replica: "pool/dataset", or "user@host:pool/dataset". SSHKey and KnownHosts are files for a replica on another host.
	From, SSHKey, KnownHosts Value[string]
	// Repository is that of which a job of restic backs the dataset up: a name of [Host.BackupRepositories], or an address.
	Repository Value[string]
	// RunBy is the unit by which the family of configurations runs its own preseed: "preseed-sonarr.service". Empty where it is only asked for.
	RunBy  string
	Origin Origin
}
