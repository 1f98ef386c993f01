package dataset

import "github.com/stateward/stateward"

// Op is one step of a [Plan]: one of [*Create], [*Set], [*Inherit], [*MakeMountpoint], [*MountDataset] and [*Own]. No step destroys
// anything, and doing one that is done already changes nothing.
type Op interface {
	// Target is the dataset that the step is about.
	Target() Name
	// Cause is why the step is there.
	Cause() Cause
	op()
}

// Cause is why a step is in a plan.
type Cause struct {
	// Text is for people, lower case, without a period: "is declared and not there".
	Text string `json:"text"`
	// Origin is the option that asks for it.
	Origin stateward.Origin `json:"origin,omitzero"`
}

type step struct {
	Dataset Name  `json:"dataset"`
	Why     Cause `json:"why"`
}

func (s step) Target() Name { return s.Dataset }
func (s step) Cause() Cause { return s.Why }
func (s step) op()          {}

// Create makes a file system with all its properties at once, and does not mount it (`zfs create -u`): one that is set
// later would come too late for the first mount (D3).
type Create struct {
	step
	Settings []Setting
}

// Set gives a dataset a property of its own (`zfs set`); a mountpoint is set without mounting there (`zfs set -u`).
type Set struct {
	step
	Setting Setting
	// Was is the value that it had, and WasFrom where that was from.
	Was     string
	WasFrom Source
}

// Inherit takes a dataset's own value back (`zfs inherit`).
type Inherit struct {
	step
	Property string
	Was      string
}

// MakeMountpoint makes the directory that a dataset is to be mounted on, and those above it, where they are missing. The
// directory is given mode 0000 and the immutable look of an empty place: a service that starts too early
// cannot write beneath the mount (D2).
type MakeMountpoint struct {
	step
	Path stateward.AbsPath
}

// MountDataset mounts a dataset where its mountpoint says (`zfs mount`).
type MountDataset struct {
	step
	Path stateward.AbsPath
}

// Own gives the top directory of a mounted dataset its owner, group and mode, but only once it is the dataset that is
// mounted there (D2), and only that directory (D9).
type Own struct {
	step
	Path  stateward.AbsPath
	Owner stateward.Owner
	Group stateward.Owner
	Mode  stateward.Mode
}

// Plan is what makes a pool what the configuration wants. The order of its steps is decided: parents first, then names.
type Plan struct {
	Ops []Op
	// Conflicts are what keeps parts of the plan from being made; of a dataset with a conflict, and of those below it, no
	// step is in Ops that hangs on it.
	Conflicts []Conflict
}

// ConflictKind tells what a [Conflict] is about.
type ConflictKind string

// The kinds of conflicts.
const (
	// CreateOnlyDiffers is a property that would have to be another from the start.
	CreateOnlyDiffers ConflictKind = "create-only property differs"
	// MountpointPopulated is a mountpoint that holds files, which the mount would hide.
	MountpointPopulated ConflictKind = "mountpoint holds data"
	// MountpointTaken is a mountpoint that something else is mounted on, or that another dataset claims.
	MountpointTaken ConflictKind = "mountpoint is taken"
	// NotADirectory is a mountpoint that is a file or a link.
	NotADirectory ConflictKind = "mountpoint is no directory"
	// OwnerUnknown is a user or group that the machine does not know.
	OwnerUnknown ConflictKind = "owner is unknown"
	// ParentMissing is a dataset that another was to make, and that is not there.
	ParentMissing ConflictKind = "parent is missing"
	// PoolAbsent is a pool that is not imported.
	PoolAbsent ConflictKind = "pool is not imported"
	// PoolUnwritable is a pool that is suspended, faulted, or imported read-only.
	PoolUnwritable ConflictKind = "pool cannot be written to"
	// KeyNotLoaded is an encrypted dataset whose key is not loaded.
	KeyNotLoaded ConflictKind = "key is not loaded"
	// MountBusy is a dataset that is mounted elsewhere and would have to move.
	MountBusy ConflictKind = "dataset is mounted elsewhere"
	// WrongType is a volume where a file system is wanted, or the other way round.
	WrongType ConflictKind = "type differs"
	// NotObserved is something that the observation does not hold, so that nothing can be planned.
	NotObserved ConflictKind = "was not observed"
)

// Conflict is what keeps a part of a plan from being made, with the evidence.
type Conflict struct {
	Kind    ConflictKind `json:"kind"`
	Dataset Name         `json:"dataset"`
	// Property, Wanted and Found where it is about a property.
	Property string `json:"property,omitempty"`
	Wanted   string `json:"wanted,omitempty"`
	Found    string `json:"found,omitempty"`
	// Path where it is about a mountpoint.
	Path string `json:"path,omitempty"`
	// Message is the fault, Hint what to do, for people.
	Message string           `json:"message"`
	Hint    string           `json:"hint,omitempty"`
	Origin  stateward.Origin `json:"origin,omitzero"`
}

// Options of [NewPlan]. The zero value is useful.
type Options struct {
	// Only are the datasets to plan for, with the containers above them; nil means all.
	Only []Name
}
