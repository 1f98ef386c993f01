package dataset

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Observed is what a machine has, as it was captured: nothing here is guessed. Planning without one, with nil, takes the
// pools as there and empty.
type Observed struct {
	// ZFS is the version of its user land, such as "2.3.9", and Module that of the module in the kernel; empty where it is not known.
	ZFS    string `json:"zfs"`
	Module string `json:"module,omitempty"`
	// Pools are those that are imported.
	Pools []Pool `json:"pools"`
	// LeftOut are the names of pools that are imported and were not looked at, in order: nothing is known of them.
	LeftOut []string `json:"leftOut,omitempty"`
	// Datasets are all file systems and volumes of the pools, in the order of [CompareName].
	Datasets []State `json:"datasets"`
	// Snapshots and Bookmarks are those of the datasets that were asked for, in the order of their creation.
	Snapshots []SnapshotState `json:"snapshots"`
	Bookmarks []SnapshotState `json:"bookmarks"`
	// Mounts are all that is mounted, in the order in which it was.
	Mounts []Mount `json:"mounts"`
	// Places are the mountpoints and directories that were asked for, and those of the datasets, in the order of their paths.
	Places []Place `json:"places"`
	// Users and Groups are the names that the machine knows; nil where they were not looked up.
	Users  []string `json:"users,omitempty"`
	Groups []string `json:"groups,omitempty"`
	// UserIDs and GroupIDs are the numbers of those names. Several names may have one number. A name without one is known, and what its
	// number is, is not.
	UserIDs  map[string]uint32 `json:"userIDs,omitempty"`
	GroupIDs map[string]uint32 `json:"groupIDs,omitempty"`
}

// Redacted stands in a value of which a capture took out what may be secret: it is not known.
const Redacted = "REDACTED"

// redacted tells whether the place of a key is not known as a whole.
func redacted(property, value string) bool {
	return property == "keylocation" && strings.HasPrefix(value, "http") && strings.Contains(value, Redacted)
}

// before tells whether the user land is older than a version of two numbers; one that is not known is not.
func (o *Observed) before(major, minor int) bool {
	if o == nil {
		return false
	}
	a, rest, _ := strings.Cut(o.ZFS, ".")
	b, _, _ := strings.Cut(rest, ".")
	x, err1 := strconv.Atoi(a)
	y, err2 := strconv.Atoi(b)
	return err1 == nil && err2 == nil && (x < major || x == major && y < minor)
}

// Pool is an imported pool.
type Pool struct {
	Name string `json:"name"`
	// GUID in decimal.
	GUID string `json:"guid"`
	// Health is "ONLINE", "DEGRADED", "FAULTED", "SUSPENDED", "UNAVAIL" (zpoolprops(7)).
	Health string `json:"health"`
	// ReadOnly tells that it was imported with readonly=on.
	ReadOnly bool `json:"readOnly,omitempty"`
	// AltRoot is the directory below which everything of the pool is mounted, and which zfs get puts before each mountpoint;
	// empty where there is none.
	AltRoot string `json:"altRoot,omitempty"`
	// Ashift is the base-2 logarithm of the sector size: 12; 0 where it is not known.
	Ashift int `json:"ashift,omitempty"`
	// Features are those that are enabled or active, without "feature@".
	Features []string `json:"features,omitempty"`
	// Size and Free in bytes.
	Size Size `json:"size"`
	Free Size `json:"free"`
	// Unread says why nothing is known of its datasets: a pool that is suspended would make every process wait.
	Unread string `json:"unread,omitempty"`
}

// State is a dataset that is there.
type State struct {
	Name Name `json:"name"`
	// Type is [Filesystem] or [Volume].
	Type Types `json:"type"`
	// GUID in decimal: it stays the same when the dataset is renamed.
	GUID string `json:"guid"`
	// Properties as `zfs get -Hp all` prints them.
	Properties map[string]PropertyState `json:"properties"`
}

// PropertyState is a property's value and where it is from.
type PropertyState struct {
	// Value as `zfs get -Hp` prints it; "-" where the dataset has none.
	Value  string `json:"value"`
	Source Source `json:"source"`
	// From is the ancestor that an inherited value is from.
	From Name `json:"from,omitzero"`
	// Received is the value that `zfs receive` brought, even where a local one hides it; empty where none was, or where `zfs
	// inherit` hides it.
	Received string `json:"received,omitempty"`
}

// MarshalText writes a single type in the word of zfs: "filesystem", "volume", "snapshot".
func (t Types) MarshalText() ([]byte, error) {
	switch t {
	case Filesystem, Volume, Snapshot:
		return []byte(t.String()), nil
	}
	return nil, fmt.Errorf("type %d of a dataset is none", uint8(t))
}

// UnmarshalText reads what MarshalText writes.
func (t *Types) UnmarshalText(b []byte) error {
	for _, known := range []Types{Filesystem, Volume, Snapshot} {
		if string(b) == known.String() {
			*t = known
			return nil
		}
	}
	return fmt.Errorf("type %q of a dataset is none", b)
}

// Source is where a value is from, in the words of zfs get (zfs-get(8)).
type Source string

// The sources.
const (
	Local     Source = "local"
	Default   Source = "default"
	Inherited Source = "inherited"
	Received  Source = "received"
	// Temporary is one that a mount option overrides.
	Temporary Source = "temporary"
	// None is that of a property which nobody can set, or that the dataset has not.
	None Source = "none"
)

// SnapshotState is a snapshot or a bookmark.
type SnapshotState struct {
	Dataset Name `json:"dataset"`
	// Name is what follows "@" or "#".
	Name      string `json:"name"`
	GUID      string `json:"guid"`
	CreateTXG uint64 `json:"createtxg"`
	// Creation in seconds since 1970.
	Creation int64 `json:"creation"`
	// Used, Referenced and Written in bytes; 0 where zfs does not tell, as for most of a bookmark.
	Used       Size `json:"used,omitempty"`
	Referenced Size `json:"referenced,omitempty"`
	Written    Size `json:"written,omitempty"`
	// Holds are the tags that keep a snapshot from being destroyed.
	Holds []string `json:"holds,omitempty"`
	// Clones are the datasets that hang on it.
	Clones []Name `json:"clones,omitempty"`
}

// Mount is a line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type Mount struct {
	// At is the mount point; Source what is mounted there: a dataset, a device.
	At     string `json:"at"`
	Source string `json:"source"`
	FSType string `json:"fsType"`
	// Root is the directory of the source that is mounted: "/" but for bind mounts.
	Root     string `json:"root"`
	ReadOnly bool   `json:"readOnly,omitempty"`
	// Hidden tells that another mount lies over it, or over a directory above it, so that its path does not lead to it.
	Hidden bool `json:"hidden,omitempty"`
}

// Place is a path that a dataset is to be mounted on, or lies there already.
type Place struct {
	Path string `json:"path"`
	// Kind is "absent", "directory", "file", "link" or "other"; a link is not followed. It is "unknown" where Problem says why it
	// could not be looked at.
	Kind string `json:"kind"`
	// MountedFrom is what is mounted exactly there; empty where nothing is.
	MountedFrom string `json:"mountedFrom,omitempty"`
	// Content tells whether the directory has entries: "empty", "populated", or "unknown" where it could not be looked at. Where
	// something is mounted exactly there it is about the directory beneath, which only root can look at.
	Content string `json:"content,omitempty"`
	// UID, GID and Mode (four octal digits) of what is seen there; User and Group their names, where they have any.
	UID   int    `json:"uid"`
	GID   int    `json:"gid"`
	User  string `json:"user,omitempty"`
	Group string `json:"group,omitempty"`
	Mode  string `json:"mode,omitempty"`
	// Problem says why something of it is unknown.
	Problem string `json:"problem,omitempty"`
}

// Dataset finds a dataset. Datasets must be in the order of [CompareName].
func (o *Observed) Dataset(n Name) (*State, bool) {
	i, ok := slices.BinarySearchFunc(o.Datasets, n, func(s State, n Name) int { return CompareName(s.Name, n) })
	if !ok {
		return nil, false
	}
	return &o.Datasets[i], true
}

// Pool finds a pool.
func (o *Observed) Pool(name string) (*Pool, bool) {
	i := slices.IndexFunc(o.Pools, func(p Pool) bool { return p.Name == name })
	if i < 0 {
		return nil, false
	}
	return &o.Pools[i], true
}
