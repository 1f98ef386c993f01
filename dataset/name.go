package dataset

import (
	"cmp"
	"fmt"
	"strings"
)

// Name is the name of a file system or volume, such as "tank/services/sonarr". It cannot be wrong: only [ParseName] and
// [ParseObservedName] make one. The zero Name is unset.
type Name struct{ s string }

// NameError says why a text is no name of a dataset.
type NameError struct {
	Text   string
	Reason string
}

func (e *NameError) Error() string { return fmt.Sprintf("dataset name %q %s", e.Text, e.Reason) }

// Hint says what to write instead.
func (e *NameError) Hint() string {
	return `write pool/parent/name; each part of letters, digits, "-", "_", "." and ":"`
}

// The limits of zfs_namecheck.c and include/sys/fs/zfs.h: ZFS_MAX_DATASET_NAME_LEN counts the final NUL.
const (
	maxNameLength = 255
	maxNesting    = 50
)

// ParseName reads the name of a dataset that is to be created or changed. It takes what zfs_namecheck.c does, but for
// blanks, which ZFS allows within a name and most that reads one later does not, and "%", which ZFS keeps for itself.
// The error is a *[NameError].
func ParseName(s string) (Name, error) {
	n, err := ParseObservedName(s)
	switch {
	case err != nil:
		return Name{}, err
	case strings.Contains(s, " "):
		return Name{}, &NameError{s, "contains a blank, which ZFS allows, but scripts, units and sanoid do not"}
	case strings.Contains(s, "%"):
		return Name{}, &NameError{s, `contains "%", which ZFS keeps for its own temporary datasets`}
	}
	for part := range strings.SplitSeq(s, "/") {
		if strings.HasPrefix(part, "-") {
			return Name{}, &NameError{s, fmt.Sprintf("has a part %q that begins with a dash", part)}
		}
	}
	return n, nil
}

// ParseObservedName reads the name of a dataset as zfs(8) prints it, with all that zfs_namecheck.c allows. The error is a
// *[NameError].
func ParseObservedName(s string) (Name, error) {
	switch {
	case s == "":
		return Name{}, &NameError{s, "is empty"}
	case len(s) > maxNameLength:
		return Name{}, &NameError{s, fmt.Sprintf("has %d characters; ZFS takes %d", len(s), maxNameLength)}
	case s[0] == '/':
		return Name{}, &NameError{s, "begins with a slash: it is a path, and no dataset"}
	case s[len(s)-1] == '/':
		return Name{}, &NameError{s, "ends with a slash"}
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-_.: %/", c) >= 0:
		case c == '@':
			return Name{}, &NameError{s, "names a snapshot"}
		case c == '#':
			return Name{}, &NameError{s, "names a bookmark"}
		default:
			return Name{}, &NameError{s, fmt.Sprintf("contains %q", s[i:i+1])}
		}
	}
	parts := strings.Split(s, "/")
	if len(parts) > maxNesting {
		return Name{}, &NameError{s, fmt.Sprintf("is nested deeper than the %d levels that ZFS takes", maxNesting)}
	}
	for _, p := range parts {
		switch p {
		case "":
			return Name{}, &NameError{s, "has an empty part"}
		case ".", "..":
			return Name{}, &NameError{s, fmt.Sprintf("has a part %q", p)}
		}
	}
	return Name{s}, checkPool(s, parts[0])
}

// checkPool mirrors pool_namecheck of zfs_namecheck.c.
func checkPool(s, pool string) error {
	switch c := pool[0] | 0x20; {
	case c < 'a' || c > 'z':
		return &NameError{s, "has a pool whose name does not begin with a letter"}
	case pool == "mirror" || pool == "raidz" || pool == "draid":
		return &NameError{s, fmt.Sprintf("has a pool %q, a word that zpool keeps for itself", pool)}
	}
	return nil
}

// MustName is ParseName for names in program text. It panics where that fails.
func MustName(s string) Name {
	n, err := ParseName(s)
	if err != nil {
		panic(err)
	}
	return n
}

func (n Name) String() string { return n.s }

// IsZero tells whether the name is unset.
func (n Name) IsZero() bool { return n.s == "" }

// Pool is the name of the pool.
func (n Name) Pool() string {
	pool, _, _ := strings.Cut(n.s, "/")
	return pool
}

// IsPool tells whether it is a pool's root dataset.
func (n Name) IsPool() bool { return n.s != "" && !strings.Contains(n.s, "/") }

// Parent is the dataset that it lies in; unset for a pool's root.
func (n Name) Parent() Name {
	i := strings.LastIndexByte(n.s, '/')
	if i < 0 {
		return Name{}
	}
	return Name{n.s[:i]}
}

// Base is the last part of the name.
func (n Name) Base() string { return n.s[strings.LastIndexByte(n.s, '/')+1:] }

// Below tells whether it lies in other, however deep.
func (n Name) Below(other Name) bool {
	return other.s != "" && len(n.s) > len(other.s) && n.s[len(other.s)] == '/' && strings.HasPrefix(n.s, other.s)
}

// Rel is what follows other in the name: "b/c" of "a/b/c" below "a". It is empty where n does not lie in other.
func (n Name) Rel(other Name) string {
	if !n.Below(other) {
		return ""
	}
	return n.s[len(other.s)+1:]
}

// Child is the dataset of that name in this one. The error is a *[NameError].
func (n Name) Child(base string) (Name, error) { return ParseName(n.s + "/" + base) }

// CompareName orders names so that parents come first, and siblings with all that is in them stay together: as if "/"
// came before every other character.
func CompareName(a, b Name) int {
	for {
		x, xs, xMore := strings.Cut(a.s, "/")
		y, ys, yMore := strings.Cut(b.s, "/")
		if c := strings.Compare(x, y); c != 0 {
			return c
		}
		if !xMore || !yMore {
			return cmp.Compare(len(a.s), len(b.s))
		}
		a.s, b.s = xs, ys
	}
}

// MarshalText writes the name.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.s), nil }

// UnmarshalText reads a name as [ParseObservedName] does; an empty text is the unset Name.
func (n *Name) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*n = Name{}
		return nil
	}
	parsed, err := ParseObservedName(string(b))
	if err != nil {
		return err
	}
	*n = parsed
	return nil
}
