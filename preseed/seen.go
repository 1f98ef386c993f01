package preseed

import (
	"strings"
	"time"
)

// Content is what a file system holds.
type Content string

const (
	// ContentUnknown was not looked at, or could not be.
	ContentUnknown Content = "unknown"
	// Empty holds nothing but what our own plan may create there.
	Empty Content = "empty"
	// Populated holds something else. It is never touched.
	Populated Content = "populated"
)

// Key is whether a dataset can be read, as `keystatus` of zfsprops(7) says it.
type Key string

const (
	// Unencrypted needs no key.
	Unencrypted Key = "none"
	// KeyAvailable is a key that is loaded.
	KeyAvailable Key = "available"
	// KeyUnavailable is one that is not: whether the dataset holds anything cannot be known (E13).
	KeyUnavailable Key = "unavailable"
)

// MarkerProperty is the user property by which a dataset is known that was seeded. A child inherits it and `zfs send -p` carries it along
// (E3), so that it counts only where its source is local and its value begins with the dataset's own guid.
const MarkerProperty = "stateward:preseed"

// Marker is [MarkerProperty] as `zfs get` prints it.
type Marker struct {
	// Value begins with a guid; empty where there is none.
	Value string
	// Local tells that the dataset has it itself: it is neither inherited nor received.
	Local bool
}

// Of tells whether it is the marker of the dataset with this guid, set there.
func (m Marker) Of(guid string) bool {
	own, _, _ := strings.Cut(m.Value, " ")
	return m.Local && guid != "" && own == guid
}

// Snapshot is one of the dataset itself, never of a child (E2).
type Snapshot struct {
	// Name is what stands behind the "@".
	Name string
	GUID string
	// CreateTXG orders snapshots and bookmarks of one dataset: a clock may go back.
	CreateTXG uint64
	Creation  time.Time
	Content   Content
	// Unread says why it could not be looked into, where its content is unknown though it was tried.
	Unread string
}

// Target is the dataset.
type Target struct {
	GUID string
	// Volume tells that it is no file system.
	Volume bool
	Key    Key
	// Mounted tells that it is what is mounted at its place; MountedAt is where else it is, and Hidden what is mounted there instead.
	Mounted           bool
	MountedAt, Hidden string
	// Content is that of the live file system.
	Content Content
	// Holds are some of the files that make it populated, as evidence.
	Holds []string
	// Unread says why it could not be looked into, where its content is unknown though it was tried.
	Unread string
	Marker Marker
	// Snapshots in the order of their creation. Bookmarks are their transaction groups.
	Snapshots []Snapshot
	Bookmarks []uint64
	// Beside says why nothing can take its place, such as datasets below it, which would move along with it; empty where something can.
	Beside, BesideHint string
	// Below are the places below its own where something is mounted.
	Below []string
}

// Pool is the pool of the dataset.
type Pool struct {
	// Imported tells that it is there.
	Imported bool
	// Health is that of zpoolprops(7). A degraded pool can be read (E8).
	Health   string
	ReadOnly bool
}

// readable tells whether what is on it can be had at all.
func (p Pool) readable() bool {
	return p.Imported && (p.Health == "ONLINE" || p.Health == "DEGRADED")
}

// Candidate is what a source would restore.
type Candidate struct {
	// ID is the snapshot: a guid of ZFS, an id of restic.
	ID string `json:"id"`
	// Name is for people.
	Name string    `json:"name"`
	Time time.Time `json:"time"`
	// Bytes is 0 where the size is not known.
	Bytes int64 `json:"bytes,omitempty"`
}

// Answer is what a source said.
type Answer struct {
	Source    SourceKind
	Kind      AnswerKind
	Candidate Candidate
	// Reason is why, where the kind is not [Available].
	Reason string
}

// Seen is what is known at a moment.
type Seen struct {
	Pool Pool
	// Target is nil where there is no such dataset.
	Target *Target
	// Journal is that of a run that did not come to its end; nil where there is none.
	Journal *Journal
	// Own tells that the journal is one that this run began: how old its candidate may be was asked when it was taken.
	Own bool
	// At are the names of the datasets of the journal, by guid; one that is gone is missing. It is read with the journal.
	At map[string]string
	// Active are the units of the service that run.
	Active []string
	// Answers are those of the sources that were asked in this run.
	Answers []Answer
	// Restored is what this run brought back, or one that was killed before it could say so; nil where none did. StartedEmpty tells that this one did [MarkEmpty].
	Restored     *Answer
	StartedEmpty bool
}
