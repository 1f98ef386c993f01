package capture

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/text"
)

const (
	// PoolKind is the kind of every [PoolFile].
	PoolKind = "stateward-pool"
	// PoolVersion is the version of the format. A reader takes version 1 too, in which the names of users and groups have no numbers, and
	// refuses every other.
	PoolVersion = 2
	oldestPool  = 1
	// maxPoolFile bounds the bytes of a file: some 100 000 datasets.
	maxPoolFile = 512 << 20
)

// PoolFile is what a machine's pools had at one moment. `stateward capture zfs` makes one; docs/capture.md describes the format.
type PoolFile struct {
	// Kind is [PoolKind], Version is [PoolVersion], or 1 of a file that an older stateward wrote.
	Kind    string `json:"kind"`
	Version int    `json:"version"`
	// Host is the name of the host that was looked at; empty where it was not told.
	Host string `json:"host"`
	// Taken is when, in UTC.
	Taken time.Time `json:"taken"`
	// Observed is what was there.
	Observed *dataset.Observed `json:"observed"`
}

// NewPoolFile makes a file of what was observed.
func NewPoolFile(host string, taken time.Time, o *dataset.Observed) *PoolFile {
	return &PoolFile{Kind: PoolKind, Version: PoolVersion, Host: host, Taken: taken.UTC().Truncate(time.Second), Observed: o}
}

// Write writes the file, each dataset, snapshot, mount and place on a line of its own. Equal ones give equal bytes. What
// credentials the URL of a keylocation has is taken out. One that [ReadPool] would not take is a *[PoolFileError], and
// nothing is written.
func (f *PoolFile) Write(w io.Writer) error {
	if err := f.validate(); err != nil {
		return err
	}
	var b bytes.Buffer
	line := func(v any) error {
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			return err
		}
		b.Truncate(b.Len() - 1)
		return nil
	}
	fmt.Fprintf(&b, "{\"kind\": %q, \"version\": %d, \"host\": ", f.Kind, f.Version)
	if err := line(f.Host); err != nil {
		return err
	}
	fmt.Fprintf(&b, ", \"taken\": %q, \"observed\": {\"zfs\": ", f.Taken.UTC().Format(time.RFC3339))
	o := f.Observed
	if err := line(o.ZFS); err != nil {
		return err
	}
	if o.Module != "" {
		b.WriteString(", \"module\": ")
		if err := line(o.Module); err != nil {
			return err
		}
	}
	if len(o.LeftOut) > 0 {
		b.WriteString(", \"leftOut\": ")
		if err := line(o.LeftOut); err != nil {
			return err
		}
	}
	for _, part := range []struct {
		name string
		n    int
		at   func(i int) any
	}{
		{"pools", len(o.Pools), func(i int) any { return &o.Pools[i] }},
		{"datasets", len(o.Datasets), func(i int) any { return withoutCredentials(&o.Datasets[i]) }},
		{"snapshots", len(o.Snapshots), func(i int) any { return &o.Snapshots[i] }},
		{"bookmarks", len(o.Bookmarks), func(i int) any { return &o.Bookmarks[i] }},
		{"mounts", len(o.Mounts), func(i int) any { return &o.Mounts[i] }},
		{"places", len(o.Places), func(i int) any { return &o.Places[i] }},
	} {
		fmt.Fprintf(&b, ",\n%q: [", part.name)
		for i := range part.n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteByte('\n')
			if err := line(part.at(i)); err != nil {
				return err
			}
			if b.Len() > maxPoolFile {
				return tooLargeAPool
			}
		}
		b.WriteByte(']')
	}
	for _, names := range []struct {
		name string
		list []string
	}{{"users", o.Users}, {"groups", o.Groups}} {
		if names.list == nil {
			continue
		}
		fmt.Fprintf(&b, ",\n%q: ", names.name)
		if err := line(names.list); err != nil {
			return err
		}
	}
	for _, ids := range []struct {
		name string
		of   map[string]uint32
	}{{"userIDs", o.UserIDs}, {"groupIDs", o.GroupIDs}} {
		if len(ids.of) == 0 {
			continue
		}
		fmt.Fprintf(&b, ",\n%q: ", ids.name)
		if err := line(ids.of); err != nil {
			return err
		}
	}
	b.WriteString("\n}}\n")
	if b.Len() > maxPoolFile {
		return tooLargeAPool
	}
	_, err := w.Write(b.Bytes())
	return err
}

var tooLargeAPool = &PoolFileError{Reason: fmt.Sprintf("capture is larger than %d MiB", maxPoolFile>>20), Advice: "capture one pool at a time with --pool"}

// withoutCredentials is the dataset with nothing secret in the URL that its key is fetched from.
func withoutCredentials(s *dataset.State) *dataset.State {
	p, ok := s.Properties["keylocation"]
	if !ok {
		return s
	}
	value, received := publicURL(p.Value), publicURL(p.Received)
	if value == p.Value && received == p.Received {
		return s
	}
	out := *s
	out.Properties = make(map[string]dataset.PropertyState, len(s.Properties))
	for name, p := range s.Properties {
		out.Properties[name] = p
	}
	p.Value, p.Received = value, received
	out.Properties["keylocation"] = p
	return &out
}

// redacted stands where something was taken out.
const redacted = dataset.Redacted

// publicURL takes out of a URL what may be secret: user and password, and the query. What cannot be parsed and has an at sign
// or a question mark is taken out whole.
func publicURL(s string) string {
	if !strings.HasPrefix(s, "http://") && !strings.HasPrefix(s, "https://") || !strings.ContainsAny(s, "@?#") {
		return s
	}
	scheme, _, _ := strings.Cut(s, "//")
	u, err := url.Parse(s)
	if err != nil || u.Opaque != "" {
		return scheme + "//" + redacted
	}
	if u.User != nil {
		u.User = url.User(redacted)
	}
	if u.RawQuery != "" {
		u.RawQuery = redacted
	}
	if u.Fragment != "" {
		u.Fragment = redacted
	}
	return u.String()
}

// PoolFileError says why a file is none that can be relied on.
type PoolFileError struct {
	// Path is where, such as "observed.datasets[3]"; empty for the whole.
	Path   string
	Reason string
	// Advice is empty where there is none.
	Advice string
}

func (e *PoolFileError) Error() string {
	if e.Path == "" {
		return e.Reason
	}
	return e.Path + " " + e.Reason
}

// Hint says what to do.
func (e *PoolFileError) Hint() string {
	if e.Advice != "" {
		return e.Advice
	}
	return "make it anew with `stateward capture zfs`"
}

// ReadPool reads what [PoolFile.Write] writes, 512 MiB at most. It is strict: another kind or version, a field that is not
// known or that is there twice, a wrong order are refused, because what a file lost would look as if it were not there. The
// error is a *[PoolFileError], or that of r.
func ReadPool(r io.Reader) (*PoolFile, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxPoolFile+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > maxPoolFile:
		return nil, tooLargeAPool
	case len(bytes.TrimSpace(data)) == 0:
		return nil, &PoolFileError{Reason: "capture is empty"}
	case !utf8.Valid(data):
		return nil, &PoolFileError{Reason: "capture is no UTF-8"}
	}
	// What it is comes first: another program's JSON should not be told about fields.
	var head struct {
		Kind    *string      `json:"kind"`
		Version *json.Number `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, notRead(text.ReadJSON(data, &PoolFile{}), err)
	}
	switch {
	case head.Kind == nil:
		return nil, &PoolFileError{Path: "kind", Reason: fmt.Sprintf("is none and not %q: the file is no capture of pools", PoolKind)}
	case *head.Kind == stateward.ListingKind:
		return nil, &PoolFileError{Path: "kind", Reason: fmt.Sprintf("is %q and not %q: the file lists directories", *head.Kind, PoolKind)}
	case *head.Kind != PoolKind:
		return nil, &PoolFileError{Path: "kind", Reason: fmt.Sprintf("is %q and not %q: the file is no capture of pools", *head.Kind, PoolKind)}
	case head.Version == nil || head.Version.String() != strconv.Itoa(PoolVersion) && head.Version.String() != strconv.Itoa(oldestPool):
		got := "none"
		if head.Version != nil {
			got = head.Version.String()
		}
		return nil, &PoolFileError{Path: "version", Reason: fmt.Sprintf("is %s; this stateward reads %d and %d", got, oldestPool, PoolVersion), Advice: "capture and plan with one version of stateward"}
	}
	var f PoolFile
	if err := text.ReadJSON(data, &f); err != nil {
		return nil, notRead(err)
	}
	if err := f.validate(); err != nil {
		return nil, err
	}
	return &f, nil
}

// notRead is the first of the errors that there is.
func notRead(errs ...error) error {
	return &PoolFileError{Reason: "capture is not understood: " + cmp.Or(errs...).Error()}
}

func (f *PoolFile) validate() error {
	o := f.Observed
	bad := func(path, reason string, args ...any) error {
		return &PoolFileError{Path: path, Reason: fmt.Sprintf(reason, args...)}
	}
	switch {
	case f.Taken.IsZero():
		return bad("taken", "is no time")
	case o == nil:
		return bad("observed", "is not there")
	case o.Pools == nil || o.Datasets == nil || o.Snapshots == nil || o.Bookmarks == nil || o.Mounts == nil || o.Places == nil:
		return bad("observed", "lacks one of pools, datasets, snapshots, bookmarks, mounts, places")
	}
	for what, ids := range map[string]map[string]uint32{"userIDs": o.UserIDs, "groupIDs": o.GroupIDs} {
		names := o.Users
		if what == "groupIDs" {
			names = o.Groups
		}
		for name := range ids {
			if _, there := slices.BinarySearch(names, name); !there {
				return bad("observed."+what, "has %q, which is none of the names", name)
			}
		}
	}
	pools := map[string]bool{}
	for i, p := range o.Pools {
		at := fmt.Sprintf("observed.pools[%d]", i)
		switch n, err := dataset.ParseObservedName(p.Name); {
		case err != nil || !n.IsPool():
			return bad(at, "has a name %q that no pool has", p.Name)
		case i > 0 && o.Pools[i-1].Name >= p.Name:
			return bad(at, "%q is out of order", p.Name)
		case !isNumber(p.GUID):
			return bad(at, "has a guid %q that is no number", p.GUID)
		}
		pools[p.Name] = p.Unread == ""
	}
	for i, name := range o.LeftOut {
		n, err := dataset.ParseObservedName(name)
		_, listed := pools[name]
		if err != nil || !n.IsPool() || listed || i > 0 && o.LeftOut[i-1] >= name {
			return bad(fmt.Sprintf("observed.leftOut[%d]", i), "%q is no name of a pool, is listed as one that was looked at, or is out of order", name)
		}
	}
	// Each pool that was read has its root dataset, and each dataset its parent.
	there := make(map[dataset.Name]bool, len(o.Datasets))
	for i, d := range o.Datasets {
		at := fmt.Sprintf("observed.datasets[%d]", i)
		switch {
		case d.Name.IsZero():
			return bad(at, "has no name")
		case i > 0 && dataset.CompareName(o.Datasets[i-1].Name, d.Name) >= 0:
			return bad(at, "%q is out of order", d.Name)
		case !pools[d.Name.Pool()]:
			return bad(at, "%q is of a pool that is not listed as one that was read", d.Name)
		case !d.Name.IsPool() && !there[d.Name.Parent()]:
			return bad(at, "%q has no parent that is listed", d.Name)
		case d.Type != dataset.Filesystem && d.Type != dataset.Volume:
			return bad(at, "%q has no type", d.Name)
		case !isNumber(d.GUID):
			return bad(at, "%q has a guid %q that is no number", d.Name, d.GUID)
		case len(d.Properties) == 0:
			return bad(at, "%q has no properties", d.Name)
		}
		for name, p := range d.Properties {
			switch p.Source {
			case dataset.Local, dataset.Default, dataset.Inherited, dataset.Received, dataset.Temporary, dataset.None:
			default:
				return bad(at, "%q has %q from an unknown source %q", d.Name, name, p.Source)
			}
			if (p.Source == dataset.Inherited) == p.From.IsZero() {
				return bad(at, "%q has %q inherited from nobody, or not inherited from somebody", d.Name, name)
			}
		}
		there[d.Name] = true
	}
	for name, read := range pools {
		if n, err := dataset.ParseObservedName(name); read && (err != nil || !there[n]) {
			return bad("observed.datasets", "have none of pool %q", name)
		}
	}
	for what, list := range map[string][]dataset.SnapshotState{"snapshots": o.Snapshots, "bookmarks": o.Bookmarks} {
		for i, s := range list {
			at := fmt.Sprintf("observed.%s[%d]", what, i)
			switch {
			case !there[s.Dataset]:
				return bad(at, "is of %q, which is not listed", s.Dataset)
			case s.Name == "" || strings.ContainsAny(s.Name, "@#/"):
				return bad(at, "has no name that one can have: %q", s.Name)
			case !isNumber(s.GUID):
				return bad(at, "has a guid %q that is no number", s.GUID)
			case i > 0 && compareSnapshots(list[i-1], s) >= 0:
				return bad(at, "%q of %q is out of order", s.Name, s.Dataset)
			}
		}
	}
	for i, m := range o.Mounts {
		if !path.IsAbs(m.At) {
			return bad(fmt.Sprintf("observed.mounts[%d]", i), "has no path")
		}
	}
	for i, p := range o.Places {
		at := fmt.Sprintf("observed.places[%d]", i)
		switch {
		case !path.IsAbs(p.Path) || path.Clean(p.Path) != p.Path:
			return bad(at, "has no clean path: %q", p.Path)
		case i > 0 && o.Places[i-1].Path >= p.Path:
			return bad(at, "%q is out of order", p.Path)
		case !slices.Contains([]string{"absent", "directory", "file", "link", "other", "unknown"}, p.Kind):
			return bad(at, "%q is of an unknown kind %q", p.Path, p.Kind)
		case !slices.Contains([]string{"", "empty", "populated", "unknown"}, p.Content):
			return bad(at, "%q has an unknown content %q", p.Path, p.Content)
		case p.Kind == "directory" && p.Content == "", p.Kind == "unknown" && p.Problem == "":
			return bad(at, "%q does not say what it holds, or why that is unknown", p.Path)
		case p.Kind == "absent" || p.Kind == "unknown":
			continue
		}
		if m, err := stateward.ParseMode(p.Mode); err != nil || m.String() != p.Mode {
			return bad(at, "%q has the mode %q, which is not four octal digits", p.Path, p.Mode)
		}
	}
	return nil
}

func isNumber(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil
}
