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
	// Module is the module to write for: [stateward.Impermanence] or [stateward.Preservation]. Empty means that of the
	// root. Where the root is of the other one, the list moves.
	Module stateward.PersistenceModule
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
	// Modules are those that have a root which answers to what was asked, if several do.
	Modules []stateward.PersistenceModule
}

func (e *RootError) Error() string {
	switch {
	case len(e.Modules) > 1:
		return fmt.Sprintf("%s and %s both have a persistence root %q", e.Modules[0], e.Modules[1], e.Have[0])
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
	if len(e.Modules) > 1 {
		return "choose one with --module"
	}
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
	// Replaces is the path of the host's own entry in whose place this one stands, if that is another one.
	Replaces stateward.AbsPath
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
	// NoteUnsayable: the module that is written for cannot say it.
	NoteUnsayable NoteKind = "unsayable"
	// NoteApart: the path is lost too, and not in the list: a file, or a home, of the host's own.
	NoteApart NoteKind = "apart"
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
	// Root is the persistence root that the list is for, and Module the module that has it.
	Root     stateward.AbsPath
	RootName string
	Module   stateward.PersistenceModule
	// Moved is the root as the host has it in the other module; nil where the list does not move.
	Moved *stateward.PersistenceRoot
	// Alone tells that the host has no other root of the module that the list moves from.
	Alone bool
	// Fresh tells that the host has no such root yet.
	Fresh bool
	// Carried are the root's own files and the entries of its users. They stay where they are, and are written only
	// where the list moves.
	Carried []stateward.Entry
	// HideMounts, AllowTrash and MountOptions are the root's; only one that moves has to write them.
	Settings RootSettings
	// Entries is the whole list, the host's own entries first and in their own order,
	// then the others by service and path.
	Entries []ResolvedEntry
	// Notes are sorted by kind and path.
	Notes []Note
	// Collection is what [Collect] makes of the same host, for comparison.
	Collection Collection

	storage *storage
}

// RootSettings are what a whole root asks for, in the words of both modules.
type RootSettings struct {
	// HideMounts and AllowTrash are Impermanence's.
	HideMounts, AllowTrash bool
	// MountOptions are Preservation's `commonMountOptions`.
	MountOptions []string
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
