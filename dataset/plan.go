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

// Step is what all steps have.
type Step struct {
	Dataset Name  `json:"dataset"`
	Why     Cause `json:"why"`
}

// Target is the dataset that the step is about.
func (s Step) Target() Name { return s.Dataset }

// Cause is why the step is there.
func (s Step) Cause() Cause { return s.Why }
func (s Step) op()          {}

// Create makes a file system with all its properties at once, and does not mount it (`zfs create -u`): one that is set
// later would come too late for the first mount (D3). Or it makes a volume (`zfs create -V`).
type Create struct {
	Step
	// Type is [Volume] for a volume, whose size is among the settings, and unset for a file system.
	Type     Types     `json:"type,omitzero"`
	Settings []Setting `json:"settings"`
	// Path is where it is to be mounted, unset where it is not. Whoever carries it out looks there before: the next boot mounts what is
	// there, over whatever lies at its mountpoint.
	Path stateward.AbsPath `json:"path,omitzero"`
}

// Set gives a dataset a property of its own (`zfs set`), and neither mounts nor moves it (`zfs set -u`).
type Set struct {
	Step
	Setting Setting `json:"setting"`
	// Path is where a mountpoint or canmount that is set lets the next boot mount it, as for [Create].
	Path stateward.AbsPath `json:"path,omitzero"`
	// Was is the value that it had, WasFrom where that was from, and WasIn the ancestor that it was inherited from; all are
	// empty where it had none.
	Was     string `json:"was,omitempty"`
	WasFrom Source `json:"wasFrom,omitempty"`
	WasIn   Name   `json:"wasIn,omitzero"`
}

// Inherit takes a dataset's own value back (`zfs inherit`).
type Inherit struct {
	Step
	Property string `json:"property"`
	Was      string `json:"was,omitempty"`
}

// MakeMountpoint makes the directory that a dataset is to be mounted on, and those above it, where they are missing. The
// directory is root's and has mode 0000, so that a service that starts too early cannot write beneath the mount (D2). One
// that is there is left as it is.
type MakeMountpoint struct {
	Step
	Path stateward.AbsPath `json:"path"`
}

// MountDataset mounts a dataset where its mountpoint says (`zfs mount`). Whoever carries it out looks at the directory once
// more: ZFS itself would mount over files (overlay=on).
type MountDataset struct {
	Step
	Path stateward.AbsPath `json:"path"`
}

// Own gives the top directory of a mounted dataset its owner, group and mode, but only once it is the dataset that is
// mounted there (D2), and only that directory (D9). What is unset is left as it is.
type Own struct {
	Step
	Path  stateward.AbsPath
	Owner stateward.Owner
	Group stateward.Owner
	Mode  stateward.Mode
}

// Plan is what makes a pool what the configuration wants. The order of its steps is decided. First come the steps on the
// pool, in the order of [CompareName], so that parents come before what lies in them; of one dataset its creation, or its
// settings by name, with mountpoint and canmount last. What is to be mounted in a dataset that is there and not mounted yet is made once
// that is mounted, since what lies there shows then only. Then come mountpoints, mounts and owners in the order of the paths,
// so that nothing is mounted over what was mounted just before (P5).
type Plan struct {
	Ops []Op
	// Conflicts are what keeps parts of the plan from being made, in the order of the datasets; no step is in Ops that hangs
	// on one.
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
	// PoolElsewhere is a pool that is imported below another root (altroot), as an installer does: its mountpoints are
	// those of another system.
	PoolElsewhere ConflictKind = "pool is imported for another system"
	// KeyNotLoaded is an encrypted dataset whose key is not loaded.
	KeyNotLoaded ConflictKind = "key is not loaded"
	// MountBusy is a dataset that is mounted elsewhere and would have to move.
	MountBusy ConflictKind = "dataset is mounted elsewhere"
	// WrongType is a volume where a file system is wanted, or the other way round.
	WrongType ConflictKind = "type differs"
	// VolumeShrinks is a volume that would have to become smaller, and would lose what lies beyond.
	VolumeShrinks ConflictKind = "a smaller volume loses data"
	// TooOld is a version of zfs that cannot do what is needed.
	TooOld ConflictKind = "zfs is too old"
	// NotObserved is something that the observation does not hold, so that nothing can be planned.
	NotObserved ConflictKind = "was not observed"
	// Refused is what zfs refuses: a quota below what is used, encryption without a key.
	Refused ConflictKind = "zfs refuses it"
	// Overridden is a property that a mount option hides for the time being.
	Overridden ConflictKind = "a mount option hides the value"
	// NotDeclared is a dataset that was asked for, and that the configuration does not declare, or not in one way.
	NotDeclared ConflictKind = "is not declared"
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
	// Blocks are the datasets, in order, of which steps are left out because of it, this one included.
	Blocks []Name `json:"blocks,omitempty"`
	// Message is the fault, Hint what to do, for people.
	Message string           `json:"message"`
	Hint    string           `json:"hint,omitempty"`
	Origin  stateward.Origin `json:"origin,omitzero"`
}

// Options of [NewPlan]. The zero value is useful.
type Options struct {
	// Only are the datasets to plan for, with the containers above them; none means all.
	Only []Name
}
