package pitr

import "fmt"

// Provider makes the commands of the tools by which clusters are archived, and reads what they print. A command is a program with its arguments; it is found by
// PATH, gets what is secret by its environment, and succeeds with status 0. An error of a method says that the tool cannot do what the policy asks for.
type Provider interface {
	// WALArchive stores one segment; wal is its path, "%p" in archive_command.
	WALArchive(p Policy, wal string) ([]string, error)
	// WALRestore brings one file of the log; "%f" and "%p" in restore_command. Status 1 says that there is none.
	WALRestore(p Policy, name, to string) ([]string, error)
	// Check ends with status 1 where something lies below the name of the server already.
	Check(p Policy) ([]string, error)
	// Backup makes a base backup, Restore brings one into an empty directory, and each tablespace, by its name, to where it is told: else that goes to where it was.
	Backup(p Policy) ([]string, error)
	Restore(p Policy, id, dir string, tablespaces map[string]string) ([]string, error)
	// BackupList prints the base backups, and ParseBackupList reads that: with the size of the cluster's segments, which is zero where nothing says it.
	BackupList(p Policy) ([]string, error)
	ParseBackupList(printed []byte) ([]BaseBackup, SegmentSize, error)
	// Retention removes what the policy does not keep; with dryRun it only says what that is.
	Retention(p Policy, dryRun bool) ([]string, error)
	// BackupDelete removes one base backup, and the log before the next where it is the oldest; with dryRun it only names what would go.
	BackupDelete(p Policy, id string, dryRun bool) ([]string, error)
}

var _ Provider = Barman{}

// Providers are the names that a policy may give; [NewProvider] says which can be run.
func Providers() []string { return []string{BarmanCloud, PgBackRest} }

// Names of providers.
const (
	BarmanCloud = "barman-cloud"
	PgBackRest  = "pgbackrest"
)

// NewProvider is what runs a policy. Flags are what the installed tools name themselves (G7), by the name of the tool; of a tool that is not among them every option
// is taken that its current documentation has. The map is kept, and may be filled later. The error is a *[ProviderError].
func NewProvider(p Policy, flags map[string]Flags) (Provider, error) {
	if p.Provider == "" || p.Provider == BarmanCloud {
		return Barman{flags}, nil
	}
	return nil, &ProviderError{p.Provider}
}

// ProviderError refuses to run a tool that is read of only.
type ProviderError struct{ Provider string }

func (e *ProviderError) Error() string {
	return fmt.Sprintf("the archive is made by %s, and only %s can be run", e.Provider, BarmanCloud)
}

// Hint says what to do.
func (e *ProviderError) Hint() string {
	return "use the commands of " + e.Provider + " itself; its configuration is read and judged by stateward check"
}
