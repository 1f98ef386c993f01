package preseed

// Outcome is how a run ends.
type Outcome string

const (
	// AlreadySeeded is a dataset that was seeded before, or that holds files: nothing was done to it.
	AlreadySeeded Outcome = "already-seeded"
	// Restored is one that was filled, from the source that the decision names.
	Restored Outcome = "restored"
	// ConfirmedNoBackup is one that stays empty: every source was asked, and each said that it has nothing. Only this outcome may let a
	// service start empty, and only where the policy says so.
	ConfirmedNoBackup Outcome = "confirmed-no-backup"
	// Unreachable is one of which something could not be seen, a source or the dataset itself: a later run may see it (E7).
	Unreachable Outcome = "unreachable"
	// Refused is one that no run can help: somebody has to look.
	Refused Outcome = "refused"
	// Failed is a step that was tried and went wrong.
	Failed Outcome = "failed"
)

// Outcomes returns all of them, in the order of the documentation.
func Outcomes() []Outcome {
	return []Outcome{AlreadySeeded, Restored, ConfirmedNoBackup, Unreachable, Refused, Failed}
}

// SourceKind is where data may come from.
type SourceKind string

const (
	// Local are the snapshots of the dataset itself.
	Local SourceKind = "local"
	// Replica is a copy that syncoid, or `zfs send`, made on another pool or host.
	Replica SourceKind = "replica"
	// Restic is a repository of restic.
	Restic SourceKind = "restic"
	// PITR is the archive of a cluster of PostgreSQL: a base backup, and the log to its end.
	PITR SourceKind = "pitr"
)

// Resumes tells whether a restore that was cut off goes on in the dataset that it was filling: a stream of zfs has its token, and restic compares what lies
// there with what should. Of what another source began nobody knows what is there.
func (k SourceKind) Resumes() bool { return k == Replica || k == Restic }

// AnswerKind is what a source says.
type AnswerKind string

const (
	// Available is a source that has what the policy takes: the answer names it.
	Available AnswerKind = "available"
	// ConfirmedNone is one that could be asked, and has nothing.
	ConfirmedNone AnswerKind = "confirmed-none"
	// SourceUnreachable is one that could not be asked, which tells nothing of what it has (E7).
	SourceUnreachable AnswerKind = "unreachable"
	// SourceRefused is one that has something which the policy does not take: too old, too small, not whole.
	SourceRefused AnswerKind = "refused"
)

// OnNoBackup is what happens where no source has anything.
type OnNoBackup string

const (
	// Refuse keeps the service from starting.
	Refuse OnNoBackup = "refuse"
	// StartEmpty lets it start with an empty dataset, which is recorded.
	StartEmpty OnNoBackup = "start-empty"
)
