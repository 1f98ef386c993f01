// Package capture looks at a host: it lists what lies in its persistence roots, and in the places that they
// are mounted over. It reads names, kinds, owners, modes and sizes, opens directories only, follows no symbolic link and crosses
// into no other file system.
package capture

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
)

// Options say what to list. The zero value lists nothing.
type Options struct {
	// Roots are the persistence roots, Live the trees in which services look for their state. A
	// relative path is below the working directory.
	Roots, Live []string
	// Depth is how many levels are listed one by one; 0 means [DefaultDepth].
	Depth int
	// Host is the name to write down.
	Host string
	// Now is the time to write down.
	Now time.Time
	// Accounts and Groups are files of passwd(5) and group(5) format that name owners; empty means those in /etc.
	Accounts, Groups string
	// MaxNames is the number of names in one directory beyond which it is summed up; 0 means [DefaultMaxNames].
	MaxNames int
}

const (
	// DefaultDepth reaches the directories that are usually persisted, such as /persist/home/NAME/.local/share/PROGRAM.
	DefaultDepth = 5
	// DefaultMaxNames bounds what one directory adds to a listing.
	DefaultMaxNames = 5000
)

// skippedNames are never looked into, wherever they are: what snapshots hold is there already.
var skippedNames = []string{".zfs", ".snapshots", ".snapshot"}

// skippedPaths hold no state of a service. Most are file systems of their own; not everywhere.
var skippedPaths = []string{"/dev", "/nix/store", "/proc", "/run", "/sys", "/tmp"}

// RootError says why a tree could not be listed at all.
type RootError struct {
	Path string
	Err  error
}

func (e *RootError) Error() string { return fmt.Sprintf("cannot list %s: %v", e.Path, e.Err) }

func (e *RootError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *RootError) Hint() string {
	switch {
	case errors.Is(e.Err, errNoDirectory):
		return "name the directory that environment.persistence or preservation.preserveAt names; make it first where it is not there yet"
	case errors.Is(e.Err, errDenied):
		return "run it as root"
	}
	return ""
}

// Take lists the trees. A part that cannot be read is noted in the listing; a tree that cannot be opened is
// a *[RootError].
func Take(ctx context.Context, o Options) (*stateward.Listing, error) {
	if o.Depth == 0 {
		o.Depth = DefaultDepth
	}
	if o.MaxNames == 0 {
		o.MaxNames = DefaultMaxNames
	}
	if o.Accounts == "" {
		o.Accounts = "/etc/passwd"
	}
	if o.Groups == "" {
		o.Groups = "/etc/group"
	}
	roots, err := clean(o.Roots)
	if err != nil {
		return nil, err
	}
	live, err := clean(o.Live)
	if err != nil {
		return nil, err
	}
	l := &stateward.Listing{Kind: stateward.ListingKind, Version: stateward.ListingVersion, Host: o.Host, Taken: o.Now.UTC().Truncate(time.Second)}
	names := accounts{users: readNames(o.Accounts), groups: readNames(o.Groups)}
	for i, p := range slices.Concat(roots, live) {
		w := &walk{ctx: ctx, names: names, depth: o.Depth, maxNames: o.MaxNames, root: p, skip: skippedPaths, linked: map[fileID]bool{}}
		if i >= len(roots) {
			w.skip = slices.Concat(skippedPaths, roots)
		}
		entries, err := w.list()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			return nil, &RootError{Path: p, Err: err}
		}
		r := stateward.ListingRoot{Live: i >= len(roots), Depth: o.Depth, Entries: entries}
		r.Path, r.PathBytes = stateward.ListingName(p)
		l.Roots = append(l.Roots, r)
	}
	return l, nil
}

// clean makes paths absolute, sorted, each once.
func clean(paths []string) ([]string, error) {
	var out []string
	for _, p := range paths {
		if p == "" || strings.ContainsRune(p, 0) {
			return nil, &RootError{Path: fmt.Sprintf("%q", p), Err: errNoDirectory}
		}
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, &RootError{Path: p, Err: err}
		}
		out = append(out, abs)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
