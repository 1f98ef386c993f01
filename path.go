package stateward

import (
	"fmt"
	"iter"
	"path"
	"strings"
)

// AbsPath is an absolute, lexically clean path: it begins with a slash, has no
// doubled or trailing slash and no "." or ".." component. The zero AbsPath is
// no path at all.
type AbsPath struct{ s string }

// Root is the path "/".
var Root = AbsPath{"/"}

// PathError says why a text is no path that state can live under.
type PathError struct {
	Text   string
	Reason string
	// Advice replaces the usual hint where something else than an absolute path is meant.
	Advice string
}

func (e *PathError) Error() string {
	if e.Text == "" {
		return e.Reason
	}
	return fmt.Sprintf("path %q %s", e.Text, e.Reason)
}

// Hint says what to write instead.
func (e *PathError) Hint() string {
	if e.Advice != "" {
		return e.Advice
	}
	return "write an absolute path without \"..\", such as /var/lib/NAME"
}

// ParsePath accepts an absolute path. Doubled slashes, a trailing slash and "."
// components are cleaned away, as the kernel does. ".." is refused, because
// what it means depends on symbolic links; so are the empty text, a relative
// path and a NUL byte. The error is a *[PathError].
func ParsePath(s string) (AbsPath, error) {
	switch {
	case s == "":
		return AbsPath{}, &PathError{Text: s, Reason: "path is empty"}
	case strings.IndexByte(s, 0) >= 0:
		return AbsPath{}, &PathError{Text: s, Reason: "contains a NUL byte"}
	case s[0] != '/':
		return AbsPath{}, &PathError{Text: s, Reason: "is not absolute"}
	}
	if isClean(s) {
		return AbsPath{s}, nil
	}
	for c := range strings.SplitSeq(s, "/") {
		if c == ".." {
			return AbsPath{}, &PathError{Text: s, Reason: `contains ".."`}
		}
	}
	return AbsPath{path.Clean(s)}, nil
}

// isClean is the common case without an allocation.
func isClean(s string) bool {
	if s == "/" {
		return true
	}
	start := 1
	for i := 1; i <= len(s); i++ {
		if i == len(s) || s[i] == '/' {
			c := s[start:i]
			if c == "" || c == "." || c == ".." {
				return false
			}
			start = i + 1
		}
	}
	return true
}

// MustPath is [ParsePath] for constants; it panics on a text that is no path.
func MustPath(s string) AbsPath {
	p, err := ParsePath(s)
	if err != nil {
		panic(err)
	}
	return p
}

// String returns the path; "" for the zero AbsPath.
func (p AbsPath) String() string { return p.s }

// IsZero tells whether there is no path.
func (p AbsPath) IsZero() bool { return p.s == "" }

// MarshalText writes the path as text.
func (p AbsPath) MarshalText() ([]byte, error) { return []byte(p.s), nil }

// UnmarshalText reads what [ParsePath] accepts; the empty text is the zero AbsPath.
func (p *AbsPath) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*p = AbsPath{}
		return nil
	}
	q, err := ParsePath(string(b))
	if err != nil {
		return err
	}
	*p = q
	return nil
}

// Parent returns the directory that holds p. The parent of "/" is "/", that of
// the zero AbsPath is zero.
func (p AbsPath) Parent() AbsPath {
	if p.s == "" || p.s == "/" {
		return p
	}
	i := strings.LastIndexByte(p.s, '/')
	if i == 0 {
		return Root
	}
	return AbsPath{p.s[:i]}
}

// Ancestors yields p and every directory above it, nearest first, [Root] last; nothing for the
// zero AbsPath, of which [AbsPath.Parent] makes no end.
func (p AbsPath) Ancestors() iter.Seq[AbsPath] {
	return func(yield func(AbsPath) bool) {
		if p.s == "" {
			return
		}
		for ; p != Root; p = p.Parent() {
			if !yield(p) {
				return
			}
		}
		yield(Root)
	}
}

// Contains tells whether q is p or lies below it.
func (p AbsPath) Contains(q AbsPath) bool {
	if p.s == "" || q.s == "" {
		return false
	}
	if p.s == "/" || p.s == q.s {
		return true
	}
	return len(q.s) > len(p.s) && q.s[len(p.s)] == '/' && q.s[:len(p.s)] == p.s
}

// Below tells whether p lies strictly below parent.
func (p AbsPath) Below(parent AbsPath) bool { return p != parent && parent.Contains(p) }

// Rel returns q relative to p, "." for p itself; ok is false when p does not
// contain q.
func (p AbsPath) Rel(q AbsPath) (rel string, ok bool) {
	switch {
	case !p.Contains(q):
		return "", false
	case p == q:
		return ".", true
	case p == Root:
		return q.s[1:], true
	default:
		return q.s[len(p.s)+1:], true
	}
}

// Join appends a relative path; ok is false when the result leaves p, when rel
// is absolute, or when p is zero.
func (p AbsPath) Join(rel string) (AbsPath, bool) {
	if p.s == "" || strings.HasPrefix(rel, "/") {
		return AbsPath{}, false
	}
	q, err := ParsePath(p.s + "/" + rel)
	if err != nil || !p.Contains(q) {
		return AbsPath{}, false
	}
	return q, true
}

// Mount returns the path that q has when the tree at "/" is seen under p, as
// Impermanence places /var/lib/x at /persist/var/lib/x.
func (p AbsPath) Mount(q AbsPath) AbsPath {
	switch {
	case p.s == "" || q.s == "":
		return AbsPath{}
	case p == Root:
		return q
	case q == Root:
		return p
	default:
		return AbsPath{p.s + q.s}
	}
}

// EntryKind tells directories from files.
type EntryKind uint8

const (
	// Directory is an entry of `directories`.
	Directory EntryKind = iota
	// File is an entry of `files`.
	File
)

func (k EntryKind) String() string {
	if k == File {
		return "file"
	}
	return "directory"
}

// Entry is one path as a configuration wrote it, alone or with owner and mode.
// It mirrors an element of Impermanence's
// `environment.persistence.<root>.directories` and `.files`.
type Entry struct {
	// Text is the path as written, e.g. "/var/lib//sonarr/".
	Text string
	// Path is Text parsed; zero when Problem is set.
	Path AbsPath
	// Problem is a *[PathError] when Text is no absolute path.
	Problem error
	Kind    EntryKind
	// User, Group and Mode are absent where the configuration leaves them to
	// the default (root, root, 0755).
	User  Value[Owner]
	Group Value[Owner]
	Mode  Value[Mode]
	// Special holds what few entries have; nil where there is nothing of it.
	Special *EntrySpecial
	// Origin is the option path of the entry, and its definition.
	Origin Origin
}

// EntrySpecial are the settings that few entries have. They are apart because a host may have very many entries.
type EntrySpecial struct {
	// OfUser names the user in whose `users.<name>`, or in whose home-manager configuration, the entry
	// stands; empty for one of the root's own lists.
	OfUser string
	// HideMount, AllowTrash and Storage (`persistentStoragePath`) are absent where they are as for the whole root.
	HideMount  Value[bool]
	AllowTrash Value[bool]
	Storage    Value[AbsPath]
	// Kept is where the data of this very entry is, if that is neither below the root nor below Storage by the
	// entry's own path: older home-manager modules of Impermanence leave the home out of it.
	Kept Value[AbsPath]
	// How is absent for a bind mount that the system makes. Else it is "symlink", or "bindfs" for what the user's
	// own session mounts (older home-manager modules of Impermanence).
	How Value[string]
	// InInitrd is `inInitrd` of Preservation: the entry is there before the initrd ends. Absent where it is false.
	InInitrd Value[bool]
	// LinkTarget is `createLinkTarget` of Preservation; absent where it is false.
	LinkTarget Value[bool]
	// MountOptions is the whole of Preservation's `mountOptions`, with commas between them; absent where they are
	// those that the module and the root give.
	MountOptions Value[string]
	// Parent is owner and mode of the directory above, by `parent` of Preservation where `configureParent` is on, and
	// by `parentDirectory` of a file of Impermanence; nil where it is left to the defaults.
	Parent *EntryParent
}

// EntryParent is what an entry asks for the directory above it. Each is absent where it is left to the default.
type EntryParent struct {
	User  Value[Owner]
	Group Value[Owner]
	Mode  Value[Mode]
}

// Rare returns the settings that few entries have; all are absent where there are none.
func (e Entry) Rare() EntrySpecial {
	if e.Special == nil {
		return EntrySpecial{}
	}
	return *e.Special
}

// NewEntry parses text; what is no absolute path is kept in Problem, because an
// entry that was written must never be lost.
func NewEntry(text string, kind EntryKind, o Origin) Entry {
	p, err := ParsePath(text)
	return Entry{Text: text, Path: p, Problem: err, Kind: kind, Origin: o}
}

// HasOwner tells whether owner, group or mode is given, or given and unknown.
func (e Entry) HasOwner() bool {
	return !e.User.IsAbsent() || !e.Group.IsAbsent() || !e.Mode.IsAbsent()
}

// Unclean tells whether the path is spelt otherwise than its clean form.
func (e Entry) Unclean() bool { return e.Problem == nil && e.Text != e.Path.String() }
