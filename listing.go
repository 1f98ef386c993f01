package stateward

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// ListingKind is the kind of every [Listing].
	ListingKind = "stateward-capture"
	// ListingVersion is the version of the format; a reader refuses every other.
	ListingVersion = 1
	// maxListing bounds the bytes of a listing: some 600 000 entries. Reading one takes several times as much memory.
	maxListing = 128 << 20
)

// Listing is observed state: what lay in a host's persistence roots, and in the places that they are mounted
// over, at one moment. It holds names, kinds, owners, modes and sizes, never contents. `stateward capture persist`
// makes one; docs/capture.md describes the format.
type Listing struct {
	// Kind is [ListingKind], Version is [ListingVersion].
	Kind    string `json:"kind"`
	Version int    `json:"version"`
	// Host is the name of the host that was looked at; empty where it was not told.
	Host string `json:"host"`
	// Taken is when, in UTC.
	Taken time.Time `json:"taken"`
	// Roots are sorted, persistence roots before live ones.
	Roots []ListingRoot `json:"roots"`
}

// ListingRoot is one tree that was looked at.
type ListingRoot struct {
	// Path is absolute and clean. Where it is no UTF-8, PathBytes has it instead.
	Path      string `json:"path,omitempty"`
	PathBytes []byte `json:"pathBytes,omitempty"`
	// Live tells that the tree is no persistence root: it is where services look for their state.
	Live bool `json:"live,omitempty"`
	// Depth is how many levels below the root are listed one by one.
	Depth int `json:"depth"`
	// Entries are the root itself, as ".", and what lies below it, each directory before what is in it
	// and names in the order of their bytes.
	Entries []ListingEntry `json:"entries"`
}

// Name returns the root's path.
func (r *ListingRoot) Name() string { return pathOrBytes(r.Path, r.PathBytes) }

// ListingEntryKind is the kind of a [ListingEntry].
type ListingEntryKind string

// The kinds of what lies in a directory.
const (
	ListedDirectory ListingEntryKind = "directory"
	ListedFile      ListingEntryKind = "file"
	ListedSymlink   ListingEntryKind = "symlink"
	ListedFIFO      ListingEntryKind = "fifo"
	ListedSocket    ListingEntryKind = "socket"
	ListedBlock     ListingEntryKind = "block-device"
	ListedChar      ListingEntryKind = "char-device"
	// ListedUnknown is something of which no more than its name could be read.
	ListedUnknown ListingEntryKind = "unknown"
)

// Closed says why what lies in a directory is not listed.
type Closed string

const (
	// Open is a directory of which everything is listed.
	Open Closed = ""
	// ClosedDepth is a directory that lies as deep as is listed; it is summed up.
	ClosedDepth Closed = "depth"
	// ClosedMany is a directory with too many names to list them; it is summed up.
	ClosedMany Closed = "many"
	// ClosedMount is the root of another file system, or of a bind mount, which is not looked into.
	ClosedMount Closed = "mount"
	// ClosedSkipped is a directory that is never looked into: snapshots, the nix store, kernel file systems, and in
	// a live tree the persistence roots.
	ClosedSkipped Closed = "skipped"
	// ClosedUnread is a directory that could not be read: Error says why.
	ClosedUnread Closed = "unread"
)

// ListingEntry is one thing that lies in a tree.
type ListingEntry struct {
	// Path is relative to the root, "." for the root itself. Where it is no UTF-8, PathBytes has it instead.
	Path      string           `json:"path,omitempty"`
	PathBytes []byte           `json:"pathBytes,omitempty"`
	Kind      ListingEntryKind `json:"kind"`
	// UID and GID own it; User and Group are their names on the host, where they have one.
	UID   uint32 `json:"uid"`
	GID   uint32 `json:"gid"`
	User  string `json:"user,omitempty"`
	Group string `json:"group,omitempty"`
	// Mode has four octal digits.
	Mode string `json:"mode,omitempty"`
	// Size is the length of a file in bytes; a sparse file counts as long as it looks.
	Size int64 `json:"size,omitempty"`
	// Target is where a symbolic link leads, as it is written there.
	Target      string `json:"target,omitempty"`
	TargetBytes []byte `json:"targetBytes,omitempty"`
	// Files and Bytes sum up what lies below a directory: all that is no directory, and its length. Of a file
	// with several names each counts in Files, and its length once in the tree, where it is met first. What
	// lies on another file system is not counted.
	Files int64 `json:"files,omitempty"`
	Bytes int64 `json:"bytes,omitempty"`
	// Partial tells that something below could not be counted.
	Partial bool   `json:"partial,omitempty"`
	Closed  Closed `json:"closed,omitempty"`
	// Error is why something could not be read.
	Error string `json:"error,omitempty"`
}

// Name returns the path relative to the root.
func (e *ListingEntry) Name() string { return pathOrBytes(e.Path, e.PathBytes) }

// Link returns where a symbolic link leads.
func (e *ListingEntry) Link() string { return pathOrBytes(e.Target, e.TargetBytes) }

// Data tells whether anything but empty directories is there; known is false where that was not seen.
func (e *ListingEntry) Data() (some, known bool) {
	switch {
	case e.Kind == ListedUnknown:
		return false, false
	case e.Kind == ListedFile:
		return e.Size > 0, true
	case e.Kind != ListedDirectory || e.Files > 0:
		return true, true
	case e.Closed == ClosedMount, e.Closed == ClosedSkipped, e.Closed == ClosedUnread, e.Partial:
		return false, false
	default:
		return false, true
	}
}

func pathOrBytes(s string, b []byte) string {
	if b != nil {
		return string(b)
	}
	return s
}

// ListingName splits a name into the two fields that hold it in a listing: the text, or the bytes where it
// is no UTF-8.
func ListingName(s string) (text string, raw []byte) {
	if utf8.ValidString(s) {
		return s, nil
	}
	return "", []byte(s)
}

// CompareListed orders paths as a listing does: a directory before what is in it, and names by their bytes.
func CompareListed(a, b string) int {
	if a == "." || b == "." {
		return cmp.Compare(rank(a), rank(b))
	}
	for {
		x, restA, moreA := strings.Cut(a, "/")
		y, restB, moreB := strings.Cut(b, "/")
		switch c := strings.Compare(x, y); {
		case c != 0:
			return c
		case !moreA || !moreB:
			return cmp.Compare(boolRank(moreA), boolRank(moreB))
		}
		a, b = restA, restB
	}
}

func rank(p string) int { return boolRank(p != ".") }

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Write writes the listing, each entry on a line of its own. Equal listings give equal bytes. One that is larger than
// [ReadListing] takes is a *[ListingError], and nothing is written.
func (l *Listing) Write(w io.Writer) error { return l.write(w, maxListing) }

func (l *Listing) write(w io.Writer, limit int) error {
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
	fmt.Fprintf(&b, "{\"kind\": %q, \"version\": %d, \"host\": ", l.Kind, l.Version)
	if err := line(l.Host); err != nil {
		return err
	}
	fmt.Fprintf(&b, ", \"taken\": %q, \"roots\": [", l.Taken.UTC().Format(time.RFC3339))
	for i := range l.Roots {
		// The entries come last, so that what is written of the root can be continued with them.
		r := l.Roots[i]
		entries := r.Entries
		r.Entries = nil
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('\n')
		if err := line(r); err != nil {
			return err
		}
		b.Truncate(b.Len() - len("null}"))
		b.WriteByte('[')
		for j := range entries {
			if j > 0 {
				b.WriteByte(',')
			}
			b.WriteByte('\n')
			if err := line(&entries[j]); err != nil {
				return err
			}
			if b.Len() > limit {
				return tooLarge(limit)
			}
		}
		b.WriteString("\n]}")
	}
	b.WriteString("\n]}\n")
	if b.Len() > limit {
		return tooLarge(limit)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// ListingError says why a file is no listing that can be relied on.
type ListingError struct {
	// Path is where, such as "roots[0].entries[3].mode"; empty for the whole.
	Path   string
	Reason string
	// Advice is empty where there is none.
	Advice string
}

func (e *ListingError) Error() string {
	if e.Path == "" {
		return e.Reason
	}
	return e.Path + " " + e.Reason
}

// Hint says what to do.
func (e *ListingError) Hint() string {
	if e.Advice != "" {
		return e.Advice
	}
	return "make it anew with `stateward capture persist`"
}

func tooLarge(limit int) error {
	return &ListingError{Reason: fmt.Sprintf("listing is larger than %d MiB", limit>>20), Advice: "list fewer levels: capture with a smaller --depth"}
}

// ReadListing reads what [Listing.Write] writes, 128 MiB at most. It is strict: another kind or version, a field that is not known or that is there
// twice, a wrong order, an entry without its directory are refused, because a listing that lost something would make
// things look missing. The error is a *[ListingError], or that of r.
func ReadListing(r io.Reader) (*Listing, error) { return readListing(r, maxListing) }

func readListing(r io.Reader, limit int) (*Listing, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	switch {
	case err != nil:
		return nil, err
	case len(data) > limit:
		return nil, tooLarge(limit)
	case len(bytes.TrimSpace(data)) == 0:
		return nil, &ListingError{Reason: "listing is empty"}
	case !utf8.Valid(data):
		return nil, &ListingError{Reason: "listing is no UTF-8"}
	}
	// What it is comes first: another program's JSON should not be told about fields.
	var head struct {
		Kind    *string      `json:"kind"`
		Version *json.Number `json:"version"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, &ListingError{Reason: "listing is no JSON object: " + jsonFault(err)}
	}
	switch {
	case head.Kind == nil || *head.Kind != ListingKind:
		got := "none"
		if head.Kind != nil {
			got = fmt.Sprintf("%q", *head.Kind)
		}
		return nil, &ListingError{Path: "kind", Reason: fmt.Sprintf("is %s and not %q: the file is no capture", got, ListingKind)}
	case head.Version == nil || head.Version.String() != fmt.Sprint(ListingVersion):
		got := "none"
		if head.Version != nil {
			got = head.Version.String()
		}
		return nil, &ListingError{Path: "version", Reason: fmt.Sprintf("is %s; this stateward reads %d", got, ListingVersion), Advice: "capture and check with one version of stateward"}
	}
	if key, err := doubledKey(data); err != nil {
		return nil, &ListingError{Reason: "listing is no JSON object: " + jsonFault(err)}
	} else if key != "" {
		return nil, &ListingError{Reason: fmt.Sprintf("key %q is there twice", key)}
	}
	var l Listing
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return nil, &ListingError{Reason: "listing is not understood: " + jsonFault(err)}
	}
	if err := l.validate(); err != nil {
		return nil, err
	}
	return &l, nil
}

// jsonFault is a fault of JSON in words that do not speak of Go.
func jsonFault(err error) string {
	var bad *json.UnmarshalTypeError
	if !errors.As(err, &bad) {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	if bad.Field == "" {
		return "it is a JSON " + bad.Value
	}
	return fmt.Sprintf("%s is a JSON %s", bad.Field, bad.Value)
}

// doubledKey returns a key that is twice in one object.
func doubledKey(data []byte) (string, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	type frame struct {
		keys  map[string]bool // nil in a list
		value bool            // a value is next
	}
	var stack []frame
	for {
		t, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		top := len(stack) - 1
		if key, ok := t.(string); ok && top >= 0 && stack[top].keys != nil && !stack[top].value {
			key = strings.ToLower(key) // as encoding/json takes them
			if stack[top].keys[key] {
				return key, nil
			}
			stack[top].keys[key] = true
			stack[top].value = true
			continue
		}
		switch t {
		case json.Delim('{'):
			stack = append(stack, frame{keys: map[string]bool{}})
			continue
		case json.Delim('['):
			stack = append(stack, frame{})
			continue
		case json.Delim('}'), json.Delim(']'):
			stack = stack[:top]
			top--
		}
		if top >= 0 {
			stack[top].value = false
		}
	}
}

func (l *Listing) validate() error {
	switch y := l.Taken.UTC().Year(); {
	case l.Taken.IsZero():
		return &ListingError{Path: "taken", Reason: "is not there"}
	case y < 1970 || y > 9999:
		return &ListingError{Path: "taken", Reason: "is no time that a clock shows"}
	}
	if len(l.Roots) == 0 {
		return &ListingError{Path: "roots", Reason: "is empty"}
	}
	type tree struct {
		path string
		live bool
	}
	have := map[tree]bool{}
	for i := range l.Roots {
		r := &l.Roots[i]
		at := fmt.Sprintf("roots[%d]", i)
		p, err := ParsePath(r.Name())
		switch {
		case err != nil || p.String() != r.Name():
			return &ListingError{Path: at + ".path", Reason: fmt.Sprintf("%q is no clean absolute path", r.Name())}
		case r.Path != "" && r.PathBytes != nil:
			return &ListingError{Path: at + ".path", Reason: "is given twice"}
		case have[tree{r.Name(), r.Live}]:
			return &ListingError{Path: at + ".path", Reason: fmt.Sprintf("%q is there twice", r.Name())}
		case r.Depth < 1:
			return &ListingError{Path: at + ".depth", Reason: "is less than one"}
		}
		have[tree{r.Name(), r.Live}] = true
		if err := r.validate(at); err != nil {
			return err
		}
	}
	return nil
}

func (r *ListingRoot) validate(at string) error {
	if len(r.Entries) == 0 || r.Entries[0].Name() != "." || r.Entries[0].Kind != ListedDirectory {
		return &ListingError{Path: at + ".entries", Reason: "do not begin with the root itself"}
	}
	// open are the directories that are listed and that the next entry may lie in.
	open := []string{}
	last := ""
	for i := range r.Entries {
		e := &r.Entries[i]
		name := e.Name()
		if fault := e.fault(); fault != "" {
			return &ListingError{Path: fmt.Sprintf("%s.entries[%d]", at, i), Reason: fmt.Sprintf("%q %s", name, fault)}
		}
		if i > 0 {
			if CompareListed(last, name) >= 0 {
				return &ListingError{Path: fmt.Sprintf("%s.entries[%d]", at, i), Reason: fmt.Sprintf("%q does not come after %q", name, last)}
			}
			parent := "."
			if j := strings.LastIndexByte(name, '/'); j >= 0 {
				parent = name[:j]
			}
			for len(open) > 0 && open[len(open)-1] != parent {
				open = open[:len(open)-1]
			}
			if len(open) == 0 {
				return &ListingError{Path: fmt.Sprintf("%s.entries[%d]", at, i), Reason: fmt.Sprintf("%q lies in no directory that is listed", name)}
			}
		}
		last = name
		if e.Kind == ListedDirectory && e.Closed == Open {
			open = append(open, name)
		}
	}
	return nil
}

// fault says what is wrong with an entry alone.
func (e *ListingEntry) fault() string {
	name := e.Name()
	switch {
	case e.Path != "" && e.PathBytes != nil || e.Target != "" && e.TargetBytes != nil:
		return "is given twice"
	case !cleanRelative(name):
		return "is no clean relative path"
	case e.Size < 0 || e.Files < 0 || e.Bytes < 0:
		return "has a negative size"
	case e.Kind != ListedDirectory && (e.Closed != Open || e.Files != 0 || e.Bytes != 0 || e.Partial):
		return "is no directory and has what only directories have"
	case e.Kind != ListedFile && e.Size != 0:
		return "is no file and has a size"
	case e.Kind != ListedSymlink && e.Link() != "":
		return "is no symbolic link and has a target"
	case e.Mode == "" && e.Kind != ListedUnknown:
		return "has no mode"
	}
	if e.Mode != "" {
		if m, err := ParseMode(e.Mode); err != nil || m.String() != e.Mode {
			return fmt.Sprintf("has the mode %q, which is not four octal digits", e.Mode)
		}
	}
	switch e.Kind {
	case ListedDirectory, ListedFile, ListedSymlink, ListedFIFO, ListedSocket, ListedBlock, ListedChar, ListedUnknown:
	default:
		return fmt.Sprintf("is of an unknown kind %q", e.Kind)
	}
	switch e.Closed {
	case Open, ClosedDepth, ClosedMany, ClosedMount, ClosedSkipped, ClosedUnread:
	default:
		return fmt.Sprintf("is closed for an unknown reason %q", e.Closed)
	}
	return ""
}

func cleanRelative(name string) bool {
	if name == "." {
		return true
	}
	p, err := ParsePath("/" + name)
	return err == nil && p != Root && p.String() == "/"+name
}

// Unread yields everything that could not be read, with its absolute path.
func (l *Listing) Unread() iter.Seq2[string, *ListingEntry] {
	return func(yield func(string, *ListingEntry) bool) {
		for i := range l.Roots {
			r := &l.Roots[i]
			for j := range r.Entries {
				e := &r.Entries[j]
				if e.Closed != ClosedUnread && e.Kind != ListedUnknown {
					continue
				}
				name := r.Name()
				if e.Name() != "." {
					name = strings.TrimSuffix(name, "/") + "/" + e.Name()
				}
				if !yield(name, e) {
					return
				}
			}
		}
	}
}
