package capture

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stateward/stateward/dataset"
)

// AmbiguousError says that what zfs printed can be read in two ways, because a value has line ends and tabs in it that look
// like lines of another dataset.
type AmbiguousError struct {
	// Dataset and Property are those whose value it is; Property is empty for the tag of a hold, whose snapshot Dataset then is.
	Dataset, Property string
	// Twice tells that the value is of another, and that it looks like a line of this property of this dataset.
	Twice bool
}

func (e *AmbiguousError) Error() string {
	if e.Twice {
		return fmt.Sprintf("zfs prints %q of dataset %q twice: another property has a value that looks like it", e.Property, e.Dataset)
	}
	if e.Property == "" {
		return fmt.Sprintf("tags of the holds of %q cannot be told from one another", e.Dataset)
	}
	return fmt.Sprintf("value of %q of dataset %q cannot be told from what follows it: it has line ends and tabs", e.Property, e.Dataset)
}

// Hint says what to do.
func (e *AmbiguousError) Hint() string {
	if e.Property == "" {
		return "look at them: zfs holds -- " + e.Dataset
	}
	if e.Twice {
		return "look for a user property with line ends and tabs, and take them out: zfs get -s local,received all"
	}
	return "look at it, and take the line ends out: zfs get " + e.Property + " -- " + e.Dataset
}

// changedError says that two processes saw different things: something was made, removed or set between them.
type changedError struct {
	what string
	// or is what it is instead where it is the same each time; nil where it cannot be.
	or error
}

func (e *changedError) Error() string {
	return e.what + " changed while the pools were read, three times in a row"
}

func (e *changedError) Hint() string {
	return "run it again when nothing makes or removes datasets and holds"
}

// malformedError says that a program printed what is not its format.
type malformedError struct {
	program string
	line    string
}

func (e *malformedError) Error() string {
	return fmt.Sprintf("%s printed a line that is not understood: %q", e.program, e.line)
}

// Hint says what to do.
func (e *malformedError) Hint() string { return "zfs 2.1 and newer are known; report the line" }

// readings are the properties of all datasets while they are put together from what several processes print.
type readings struct {
	names []string
	// where tells which of values are of a dataset: from the first, up to before the second.
	where  map[string][2]int32
	values []dataset.PropertyState
	// keys are the dataset and the property of each of values.
	keys [][2]string
	// texts are values that occur often, once.
	texts map[string]string
	// there are the properties of the last dataset.
	there map[string]bool
	froms map[string]dataset.Name
}

func newReadings() *readings {
	return &readings{where: map[string][2]int32{}, texts: map[string]string{}, there: map[string]bool{}, froms: map[string]dataset.Name{}}
}

// text is a copy of b that keeps nothing else in memory.
func (r *readings) text(b []byte) string {
	if s, ok := r.texts[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(s) <= 40 && len(r.texts) < 1<<16 {
		r.texts[s] = s
	}
	return s
}

// add makes room for a property, after those of the same dataset. It is false where that is there already, or another dataset
// came between.
func (r *readings) add(name, property string) bool {
	at := int32(len(r.values))
	of, ok := r.where[name]
	switch {
	case !ok:
		r.names = append(r.names, name)
		of = [2]int32{at, at}
		clear(r.there)
	case of[1] != at || r.there[property]:
		return false
	}
	r.there[property] = true
	of[1]++
	r.where[name] = of
	r.values = append(r.values, dataset.PropertyState{})
	r.keys = append(r.keys, [2]string{name, property})
	return true
}

// find tells where a property of a dataset is. It is most often the next after the last, in the order of headers.
func (r *readings) find(name, property []byte, next int32) (int32, bool) {
	if next >= 0 && int(next) < len(r.keys) && r.keys[next][0] == string(name) && r.keys[next][1] == string(property) {
		return next, true
	}
	of := r.where[string(name)]
	for i := of[0]; i < of[1]; i++ {
		if r.keys[i][1] == string(property) {
			return i, true
		}
	}
	return 0, false
}

// source reads what zfs get -H prints as the source.
func (r *readings) source(s string, to *dataset.PropertyState) bool {
	switch s {
	case "-":
		to.Source = dataset.None
	case "local", "default", "received", "temporary":
		to.Source = dataset.Source(s)
	default:
		from, ok := strings.CutPrefix(s, "inherited from ")
		if !ok {
			return false
		}
		n, ok := r.froms[from]
		if !ok {
			var err error
			if n, err = dataset.ParseObservedName(from); err != nil {
				return false
			}
			r.froms[from] = n
		}
		to.Source, to.From = dataset.Inherited, n
	}
	return true
}

// headers reads `zfs get -H -o name,property all`. Neither column can hold a tab or a line end, so nothing is ambiguous.
func (r *readings) headers(out []byte) error {
	n := bytes.Count(out, []byte{'\n'})
	r.values, r.keys = make([]dataset.PropertyState, 0, n), make([][2]string, 0, n)
	for line := range bytes.Lines(out) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		name, property, ok := bytes.Cut(line, []byte{'\t'})
		if !ok || len(name) == 0 || len(property) == 0 || bytes.IndexByte(property, '\t') >= 0 {
			return &malformedError{"zfs get", string(line)}
		}
		of := ""
		if n := len(r.names); n > 0 && r.names[n-1] == string(name) {
			of = r.names[n-1]
		} else {
			of = string(name)
		}
		if !r.add(of, r.text(property)) {
			return &changedError{what: "dataset " + string(name)}
		}
	}
	return nil
}

// records reads `zfs get -H -o name,property,… all`, where what follows the property may have tabs and line ends in it, and
// gives each what is in it. A line belongs to a new record where it begins with a dataset and a property that are known.
// Each of these must be there exactly once: a value that looks like another's line is an *[AmbiguousError], and a line
// of what is not known a *[changedError]. What expect says that a record begins with, if it does, is passed over.
func (r *readings) records(out []byte, expect func(i int32) string, each func(i int32, rest []byte) bool) error {
	seen := make([]bool, len(r.values))
	count := 0
	// The record that is being read.
	at, start := int32(-1), 0
	var name, property []byte
	end := func(stop int) error {
		if at >= 0 && !each(at, out[start:stop]) {
			return &malformedError{"zfs get", string(name) + "\t" + string(property) + "\t" + string(out[start:stop])}
		}
		return nil
	}
	for pos := 0; pos < len(out); {
		next := bytes.IndexByte(out[pos:], '\n')
		if next < 0 {
			return &malformedError{"zfs get", string(out[pos:])} // cut off
		}
		line := out[pos : pos+next]
		next += pos + 1
		n, rest, ok := bytes.Cut(line, []byte{'\t'})
		p, _, more := bytes.Cut(rest, []byte{'\t'})
		if i, known := r.find(n, p, at+1); ok && more && known {
			if seen[i] {
				return &AmbiguousError{string(n), string(p), true}
			}
			if err := end(pos - 1); err != nil {
				return err
			}
			seen[i], at, start = true, i, pos+len(n)+1+len(p)+1
			name, property = n, p
			count++
			if skip := expect(i); skip != "" && bytes.HasPrefix(out[start:], []byte(skip)) {
				if next = bytes.IndexByte(out[start+len(skip):], '\n'); next < 0 {
					return &malformedError{"zfs get", string(out[pos:])}
				}
				next += start + len(skip) + 1
			}
		} else {
			another := ok && more && r.looksLikeRecord(n, p)
			switch {
			case another && at < 0:
				return &changedError{what: "dataset " + string(n)}
			case another:
				return &changedError{"dataset " + string(n), &AmbiguousError{Dataset: string(name), Property: string(property)}}
			case at < 0:
				return &malformedError{"zfs get", string(line)}
			}
		}
		pos = next
	}
	if err := end(len(out) - 1); err != nil {
		return err
	}
	if count != len(r.values) {
		return &changedError{what: "a dataset"}
	}
	return nil
}

// looksLikeRecord tells whether a line may be of a dataset or property that was not there before.
func (r *readings) looksLikeRecord(name, property []byte) bool {
	pool, _, _ := bytes.Cut(name, []byte{'/'})
	if _, ok := r.where[string(pool)]; !ok {
		return false
	}
	if _, err := dataset.ParseObservedName(string(name)); err != nil || len(property) == 0 {
		return false
	}
	for _, c := range property {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("-_.:@#", c) < 0 {
			return false
		}
	}
	return true
}

// readingColumns are the columns of [readings.all]. Only the value may hold tabs and line ends. With the received value among them, zfs asks
// the kernel once for each property, and takes ten times as long.
const readingColumns = "name,property,value,source"

// all reads `zfs get -Hp -o` [readingColumns] `all` into what headers found. hints is what JSON says of values that make the text
// ambiguous; nil for nothing.
func (r *readings) all(out []byte, hints jsonHints) error {
	return r.records(out, func(i int32) string { return hints.begins(r.keys[i]) }, func(i int32, rest []byte) bool {
		p := &r.values[i]
		end := bytes.LastIndexByte(rest, '\t')
		if end < 0 || !r.source(string(rest[end+1:]), p) {
			return false
		}
		if p.Value, p.Received = r.text(rest[:end]), ""; p.Source == dataset.Received {
			p.Received = p.Value
		}
		return true
	})
}

// local are the properties that any dataset has of its own, in order: what was received may be hidden there.
func (r *readings) local() []string {
	set := map[string]bool{}
	for i := range r.values {
		if r.values[i].Source == dataset.Local {
			set[r.keys[i][1]] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// received reads `zfs get -Hp -o name,property,received` of some properties of all datasets, and keeps what a local value hides. A property
// that is asked for by its name is printed of every dataset, whether it has it or not.
func (r *readings) received(out []byte, properties []string) error {
	asked := newReadings()
	for _, name := range r.names {
		for _, p := range properties {
			asked.add(name, p)
		}
	}
	known := func(i int32) string {
		key := asked.keys[i]
		if at, ok := r.find([]byte(key[0]), []byte(key[1]), -1); ok && r.values[at].Source == dataset.Received {
			return r.values[at].Value
		}
		return ""
	}
	return asked.records(out, known, func(i int32, received []byte) bool {
		key := asked.keys[i]
		if at, ok := r.find([]byte(key[0]), []byte(key[1]), -1); ok && r.values[at].Source == dataset.Local && string(received) != "-" {
			r.values[at].Received = r.text(received)
		}
		return true
	})
}

// states are the datasets that were read, in no order.
func (r *readings) states() ([]dataset.State, error) {
	out := make([]dataset.State, 0, len(r.names))
	for _, name := range r.names {
		n, err := dataset.ParseObservedName(name)
		if err != nil {
			return nil, err
		}
		of := r.where[name]
		s := dataset.State{Name: n, Properties: make(map[string]dataset.PropertyState, of[1]-of[0])}
		for i := of[0]; i < of[1]; i++ {
			s.Properties[r.keys[i][1]] = r.values[i]
		}
		switch t := s.Properties["type"].Value; t {
		case "filesystem":
			s.Type = dataset.Filesystem
		case "volume":
			s.Type = dataset.Volume
		default:
			return nil, &malformedError{"zfs get", name + "\ttype\t" + t}
		}
		s.GUID = s.Properties["guid"].Value
		if _, err := strconv.ParseUint(s.GUID, 10, 64); err != nil {
			return nil, &malformedError{"zfs get", name + "\tguid\t" + s.GUID}
		}
		out = append(out, s)
	}
	return out, nil
}

// snapshotColumns are the columns of [parseSnapshots]. None can hold a tab or a line end.
const snapshotColumns = "name,guid,createtxg,creation,used,referenced,written,userrefs,clones"

// parseSnapshots reads `zfs list -Hp -t snapshot,bookmark -o` [snapshotColumns]. held counts the holds of each snapshot that has some.
func parseSnapshots(out []byte) (snapshots, bookmarks []dataset.SnapshotState, held map[string]int, err error) {
	held = map[string]int{}
	names := map[string]dataset.Name{}
	name := func(s string) (dataset.Name, bool) {
		n, ok := names[s]
		if !ok {
			var err error
			if n, err = dataset.ParseObservedName(s); err != nil {
				return n, false
			}
			names[s] = n
		}
		return n, true
	}
	for raw := range strings.Lines(string(out)) {
		line := strings.TrimSuffix(raw, "\n")
		bad := &malformedError{"zfs list", line}
		f := strings.Split(line, "\t")
		if len(f) != 9 || len(raw) == len(line) {
			return nil, nil, nil, bad
		}
		i := strings.IndexAny(f[0], "@#")
		if i < 0 {
			return nil, nil, nil, bad
		}
		var s dataset.SnapshotState
		var ok bool
		if s.Dataset, ok = name(f[0][:i]); !ok || i+1 == len(f[0]) {
			return nil, nil, nil, bad
		}
		s.Name, s.GUID = strings.Clone(f[0][i+1:]), strings.Clone(f[1])
		var numbers [7]uint64
		for j := 1; j < 8; j++ {
			if f[j] == "-" && j >= 4 {
				continue
			}
			n, err := strconv.ParseUint(f[j], 10, 64)
			if err != nil {
				return nil, nil, nil, bad
			}
			numbers[j-1] = n
		}
		s.CreateTXG, s.Creation = numbers[1], int64(numbers[2])
		s.Used, s.Referenced, s.Written = dataset.Size(numbers[3]), dataset.Size(numbers[4]), dataset.Size(numbers[5])
		if f[8] != "-" && f[8] != "" {
			for c := range strings.SplitSeq(f[8], ",") {
				n, ok := name(c)
				if !ok {
					return nil, nil, nil, bad
				}
				s.Clones = append(s.Clones, n)
			}
		}
		if f[0][i] == '#' {
			bookmarks = append(bookmarks, s)
			continue
		}
		if numbers[6] > 0 {
			held[strings.Clone(f[0])] = int(numbers[6])
		}
		snapshots = append(snapshots, s)
	}
	return snapshots, bookmarks, held, nil
}

// parseHolds reads `zfs holds -H` of the snapshots in held, each of which must have as many as it says: tags may hold tabs and line
// ends.
func parseHolds(out []byte, held map[string]int, into map[string][]string) error {
	var snapshot string
	var text strings.Builder
	end := func() error {
		if snapshot == "" {
			return nil
		}
		i := strings.LastIndexByte(text.String(), '\t') // what follows is a date
		if i < 0 {
			return &malformedError{"zfs holds", snapshot + "\t" + text.String()}
		}
		into[snapshot] = append(into[snapshot], text.String()[:i])
		return nil
	}
	for raw := range strings.Lines(string(out)) {
		line := strings.TrimSuffix(raw, "\n")
		if len(raw) == len(line) {
			return &malformedError{"zfs holds", line}
		}
		name, rest, ok := strings.Cut(line, "\t")
		if _, known := held[name]; ok && known {
			if err := end(); err != nil {
				return err
			}
			snapshot = name
			text.Reset()
			text.WriteString(rest)
			continue
		}
		if snapshot == "" {
			return &malformedError{"zfs holds", line}
		}
		text.WriteByte('\n')
		text.WriteString(line)
	}
	return end()
}

// parsePools reads `zpool list -Hp -o name,guid,health,readonly,ashift,size,free,altroot`.
func parsePools(out []byte) ([]dataset.Pool, error) {
	var pools []dataset.Pool
	for raw := range strings.Lines(string(out)) {
		line := strings.TrimSuffix(raw, "\n")
		bad := &malformedError{"zpool list", line}
		f := strings.Split(line, "\t")
		if len(f) != 8 || len(raw) == len(line) {
			return nil, bad
		}
		if n, err := dataset.ParseObservedName(f[0]); err != nil || !n.IsPool() {
			return nil, bad
		}
		p := dataset.Pool{Name: f[0], GUID: f[1], Health: f[2], ReadOnly: f[3] == "on"}
		if f[7] != "-" {
			p.AltRoot = f[7]
		}
		if _, err := strconv.ParseUint(f[1], 10, 64); err != nil {
			return nil, bad
		}
		// A pool that cannot be opened has neither of these.
		for i, to := range map[int]func(uint64){4: func(n uint64) { p.Ashift = int(n) }, 5: func(n uint64) { p.Size = dataset.Size(n) }, 6: func(n uint64) { p.Free = dataset.Size(n) }} {
			if f[i] == "-" {
				continue
			}
			n, err := strconv.ParseUint(f[i], 10, 64)
			if err != nil || i == 4 && n > 63 {
				return nil, bad
			}
			to(n)
		}
		pools = append(pools, p)
	}
	return pools, nil
}

// parseFeatures reads `zpool get -Hp -o name,property,value all` and gives the pools their features. Other properties, which a
// user may have set to anything, are passed over; a feature that is there twice is refused.
func parseFeatures(out []byte, pools []dataset.Pool) error {
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 {
			continue
		}
		feature, ok := strings.CutPrefix(f[1], "feature@")
		if !ok {
			continue
		}
		for i := range pools {
			if pools[i].Name != f[0] {
				continue
			}
			if key := f[0] + "\t" + feature; seen[key] {
				return &AmbiguousError{f[0], f[1], true}
			} else {
				seen[key] = true
			}
			if f[2] == "enabled" || f[2] == "active" {
				pools[i].Features = append(pools[i].Features, feature)
			}
		}
	}
	return nil
}

// parseVdevAshift reads `zpool get -Hp -o name,property,value ashift POOL all-vdevs`: the largest of them.
func parseVdevAshift(out []byte) int {
	most := 0
	for line := range strings.Lines(string(out)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 3 || f[1] != "ashift" {
			continue
		}
		if n, err := strconv.Atoi(f[2]); err == nil && n <= 63 {
			most = max(most, n)
		}
	}
	return most
}

// parseVersion reads what `zfs version` prints first: "2.3.9" of "zfs-2.3.9-0+deb13u1". newer tells whether it is at least 2.3,
// which prints JSON.
func parseVersion(out []byte) (version string, newer bool) {
	first, _, _ := strings.Cut(string(out), "\n")
	first = strings.TrimPrefix(first, "zfs-")
	version, _, _ = strings.Cut(first, "-")
	a, rest, _ := strings.Cut(version, ".")
	b, _, _ := strings.Cut(rest, ".")
	major, err1 := strconv.Atoi(a)
	minor, err2 := strconv.Atoi(b)
	return version, err1 == nil && err2 == nil && (major > 2 || major == 2 && minor >= 3)
}

// moduleVersion reads the second line of `zfs version`: "2.3.9" of "zfs-kmod-2.3.9-0+deb13u1". It is empty where the module does not tell.
func moduleVersion(out []byte) string {
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(line, "zfs-kmod-"); ok {
			version, _, _ := strings.Cut(strings.TrimSpace(rest), "-")
			return version
		}
	}
	return ""
}

// inUTF8 writes each byte that is no UTF-8 as U+FFFD and two hexadecimal digits: JSON cannot hold it, and as a mere U+FFFD
// two different texts could become the same.
func inUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			fmt.Fprintf(&b, "\uFFFD%02x", s[0])
		} else {
			b.WriteString(s[:n])
		}
		s = s[n:]
	}
	return b.String()
}
