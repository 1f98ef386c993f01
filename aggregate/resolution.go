package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
)

// Options choose how [Resolve] resolves. The zero value is useful.
type Options struct {
	// Root names the persistence root to write for, by name or path. It may be
	// empty where the host has exactly one.
	Root string
	// Collapse leaves out directories that lie below another persisted one
	// and ask for no owner or mode of their own.
	Collapse bool
}

// RootError says that no persistence root could be chosen.
type RootError struct {
	// Asked is the root that was asked for; empty when none was.
	Asked string
	// Have are the names of the host's persistence roots, sorted.
	Have []string
}

func (e *RootError) Error() string {
	switch {
	case e.Asked != "":
		return fmt.Sprintf("the host has no persistence root %q", e.Asked)
	case len(e.Have) == 0:
		return "the host names no persistence root"
	default:
		return fmt.Sprintf("the host has %d persistence roots", len(e.Have))
	}
}

// Hint says what to do.
func (e *RootError) Hint() string {
	if len(e.Have) == 0 {
		return `declare environment.persistence."/persist", or name a root with --root`
	}
	return fmt.Sprintf("choose one of %q with --root", e.Have)
}

// From says who asked for a resolved entry.
type From string

const (
	// FromHost is an entry of the host's own list.
	FromHost From = "host"
	// FromCollector is one that [Collect] brings.
	FromCollector From = "collector"
	// FromState is a state path that only [Resolve] sees.
	FromState From = "state"
)

// ResolvedEntry is one entry of the list to write.
type ResolvedEntry struct {
	stateward.Entry
	From From
	// Changed tells that an entry of the host's own list is written in another way
	// than it stands there: another path, owner or mode.
	Changed bool
	// Services that keep state there, sorted.
	Services []string
}

// NoteKind says what [Resolve] did, or found, with a path.
type NoteKind string

const (
	// NoteConflict: one path, two entries with different owner, group or mode.
	// The first is kept.
	NoteConflict NoteKind = "conflict"
	// NoteMerged: several entries for one path became one.
	NoteMerged NoteKind = "merged"
	// NoteNested: the path lies below another persisted one.
	NoteNested NoteKind = "nested"
	// NoteCollapsed: the path lies below another persisted one and was left out.
	NoteCollapsed NoteKind = "collapsed"
	// NoteCovered: a file system, dataset or other persistence root holds the path already.
	NoteCovered NoteKind = "covered"
	// NoteRespelt: the path is the same as another one spelt differently.
	NoteRespelt NoteKind = "respelt"
	// NoteMoved: DynamicUser keeps the state below /var/lib/private.
	NoteMoved NoteKind = "moved"
	// NoteUnusable: the text is no path that can be persisted.
	NoteUnusable NoteKind = "unusable"
	// NoteUnknown: the path could not be had, or whether something holds it already.
	NoteUnknown NoteKind = "unknown"
)

// Note is one thing in which [Resolve] differs from [Collect], or that a person
// should know.
type Note struct {
	Kind NoteKind `json:"kind"`
	Path string   `json:"path"`
	// Other is the path, or the thing, that Path conflicts with, lies below, is covered by.
	Other   string           `json:"other,omitempty"`
	Message string           `json:"message"`
	Origin  stateward.Origin `json:"origin"`
}

// Resolution is what [Resolve] returns.
type Resolution struct {
	// Root is the persistence root that the list is for.
	Root     stateward.AbsPath
	RootName string
	// Entries is the whole list, the host's own entries first and in their own order,
	// then the others by service and path.
	Entries []ResolvedEntry
	// Notes are sorted by kind and path.
	Notes []Note
	// Collection is what [Collect] makes of the same host, for comparison.
	Collection Collection
}

// Difference returns the texts that only the collector writes, and those that
// only Entries has, each in order.
func (r *Resolution) Difference() (onlyCollect, onlyResolve []string) {
	resolved, collected := map[string]bool{}, map[string]bool{}
	for _, e := range r.Entries {
		resolved[e.Text] = true
	}
	for _, e := range r.Collection.Entries {
		collected[e.Text] = true
		if !resolved[e.Text] {
			onlyCollect = append(onlyCollect, e.Text)
		}
	}
	for _, e := range r.Entries {
		if !collected[e.Text] {
			onlyResolve = append(onlyResolve, e.Text)
		}
	}
	return onlyCollect, onlyResolve
}

// Added returns the entries that the host does not have yet.
func (r *Resolution) Added() []ResolvedEntry {
	var out []ResolvedEntry
	for _, e := range r.Entries {
		if e.From != FromHost {
			out = append(out, e)
		}
	}
	return out
}
