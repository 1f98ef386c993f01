// Package drill holds what a restore drill finds out: records, what is compared, and when the next one is due. It runs nothing.
package drill

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
)

// Kind and FormatVersion are those of the JSON of a [Record].
const (
	Kind          = "stateward-drill"
	FormatVersion = "1"
)

// Verdict is what came of a drill, or of one of its validators.
type Verdict string

// The verdicts. Only [Passed] is good.
const (
	Passed Verdict = "passed"
	Failed Verdict = "failed"
	// Unknown is what could not be looked at, such as a database without the program that reads it.
	Unknown Verdict = "unknown"
	// Refused is a drill that did not begin, such as for want of room.
	Refused Verdict = "refused"
	// Interrupted is one that was ended before it could tell.
	Interrupted Verdict = "interrupted"
)

// Record is what came of one drill. A record is written once and never changed.
type Record struct {
	Kind            string `json:"kind"`
	ProtocolVersion string `json:"protocolVersion"`
	Job             string `json:"job"`
	// Host is the name under which the snapshots are.
	Host string `json:"host"`
	// Every is how often the job asked for a drill at that time; empty where it did not.
	Every    string    `json:"every,omitempty"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended"`
	Verdict  Verdict   `json:"verdict"`
	Message  string    `json:"message,omitempty"`
	Engine   Engine    `json:"engine,omitzero"`
	Snapshot Snapshot  `json:"snapshot,omitzero"`
	// Paths are what was restored, as they are on the machine.
	Paths    []string `json:"paths"`
	Restored Restored `json:"restored,omitzero"`
	// Recovery is what a drill of PostgreSQL measured beside that; Snapshot is its base backup then.
	Recovery *Recovery `json:"recovery,omitempty"`
	Checks   []Check   `json:"checks"`
}

// Recovery is how a cluster of PostgreSQL came back from its archive.
type Recovery struct {
	// Target is to what it was recovered, "the end of the log" mostly.
	Target string `json:"target"`
	// Reached is when the last transaction that came back was committed, or the base backup ended where there was none after it.
	Reached time.Time `json:"reached,omitzero"`
	// Archived is when the last segment of the log that was used was stored; zero where that is not known.
	Archived time.Time `json:"archived,omitzero"`
	// RPOSeconds is how much older than the drill Reached is: of a recovery to the end of the log, what a disaster at that time would have lost at most.
	RPOSeconds float64 `json:"rpoSeconds"`
	// Timeline and LSN are where the log ended, as PostgreSQL writes them.
	Timeline uint32 `json:"timeline"`
	LSN      string `json:"lsn"`
	// Of the base backup, and of the log that was replayed after it, how much that was, and how long it took.
	BaseBytes   int64   `json:"baseBytes"`
	BaseSeconds float64 `json:"baseSeconds"`
	LogBytes    int64   `json:"logBytes"`
	LogSeconds  float64 `json:"logSeconds"`
	// Databases and Tables are how many were read.
	Databases int64 `json:"databases"`
	Tables    int64 `json:"tables"`
}

// Engine is what restored.
type Engine struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Snapshot is what was restored from.
type Snapshot struct {
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
}

// Restored is how much was restored, and how fast.
type Restored struct {
	Files int64 `json:"files"`
	Bytes int64 `json:"bytes"`
	// Seconds is how long the restore took, without the checks: of a whole job, the recovery time that was reached.
	Seconds        float64 `json:"seconds"`
	BytesPerSecond float64 `json:"bytesPerSecond"`
	// Whole tells that all paths of the job were restored.
	Whole bool `json:"whole"`
}

// Check is what one validator found.
type Check struct {
	// Name is "restore", "files", "sqlite" or "command"; of PostgreSQL "restore", "log", "tables" or "amcheck".
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	// Checked counts what was looked at.
	Checked int64  `json:"checked"`
	Message string `json:"message,omitempty"`
	// Files are those with which something is wrong, as they are on the machine; [MaxFiles] at most.
	Files []string `json:"files,omitempty"`
}

// MaxFiles is how many files a check names.
const MaxFiles = 20

// Judge gives the record the verdict that its checks add up to: failed where one failed, unknown where one is unknown. Without any check nothing passed.
func (r *Record) Judge() {
	r.Verdict = Passed
	if len(r.Checks) == 0 {
		r.Verdict = Unknown
	}
	rank := map[Verdict]int{Passed: 0, Unknown: 1, Interrupted: 2, Failed: 3}
	for _, c := range r.Checks {
		if rank[c.Verdict] > rank[r.Verdict] {
			r.Verdict, r.Message = c.Verdict, c.Name+": "+c.Message
		}
	}
}

// RecordError says that a record cannot be used.
type RecordError struct{ Reason string }

func (e *RecordError) Error() string { return "record of a drill: " + e.Reason }

// Hint says what to do.
func (e *RecordError) Hint() string {
	return "records are written by stateward drill, and never changed"
}

// Write returns the JSON that [Read] reads.
func (r Record) Write() ([]byte, error) {
	r.Kind, r.ProtocolVersion = Kind, FormatVersion
	if r.Paths == nil {
		r.Paths = []string{}
	}
	if r.Checks == nil {
		r.Checks = []Check{}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(r)
	return b.Bytes(), err
}

// Read reads a record. A later version may have added fields. The error is a *[RecordError].
func Read(text []byte) (Record, error) {
	var r Record
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&r); err != nil {
		return Record{}, &RecordError{err.Error()}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Record{}, &RecordError{"there is more behind its JSON"}
	}
	switch {
	case r.Kind != Kind:
		return Record{}, &RecordError{fmt.Sprintf("it is of kind %q", r.Kind)}
	case r.ProtocolVersion != FormatVersion:
		return Record{}, &RecordError{fmt.Sprintf("it is of version %q", r.ProtocolVersion)}
	case r.Job == "" || r.Host == "" || r.Started.IsZero() || r.Ended.IsZero():
		return Record{}, &RecordError{"job, host or time is missing"}
	}
	if !slices.Contains([]Verdict{Passed, Failed, Unknown, Refused, Interrupted}, r.Verdict) {
		return Record{}, &RecordError{fmt.Sprintf("its verdict is %q", r.Verdict)}
	}
	return r, nil
}

// FileName is that of a record, by which they sort: "20261122T172000.000Z.json".
func (r Record) FileName() string { return r.Started.UTC().Format("20060102T150405.000Z") + ".json" }

// Newest is the copy of the newest record, beside the others.
const Newest = "newest.json"

// Standing is where a job stands with its drills.
type Standing struct {
	// Newest is the newest drill of any verdict, Passed the newest that passed; nil where there is none.
	Newest, Passed *Record
	// Age is how long ago the one that passed ended.
	Age time.Duration
	// Every is how old it may be; 0 where nobody said.
	Every time.Duration
	// Overdue tells that there is an Every, and no drill passed within it.
	Overdue bool
}

// slack is how far clocks may be apart. What is later than that is no drill that passed: the clock was wrong then, or is now.
const slack = 5 * time.Minute

// Overdue says where a job of a host stands with its drills at a time. every is a span of systemd.time(7); where it is empty, what the newest
// record says goes.
func Overdue(host, job, every string, records []Record, now time.Time) Standing {
	var s Standing
	for i := range records {
		r := &records[i]
		if r.Job != job || r.Host != host || r.Ended.Sub(now) > slack {
			continue
		}
		if s.Newest == nil || r.Started.After(s.Newest.Started) {
			s.Newest = r
		}
		if r.Verdict == Passed && (s.Passed == nil || r.Started.After(s.Passed.Started)) {
			s.Passed = r
		}
	}
	if every == "" && s.Newest != nil {
		every = s.Newest.Every
	}
	if d, err := stateward.ParseDuration(every); err == nil {
		s.Every = d.Std()
	}
	if s.Passed != nil {
		s.Age = max(0, now.Sub(s.Passed.Ended))
	}
	s.Overdue = s.Every > 0 && (s.Passed == nil || s.Age > s.Every)
	return s
}

// Due says whether a drill is to be done now, so that none becomes overdue where it is asked as often as [backup.Drill.Calendar] says.
func (s Standing) Due() bool {
	if s.Every == 0 || s.Passed == nil {
		return true
	}
	early := s.Every / 10
	if s.Every >= 7*24*time.Hour {
		early = 36 * time.Hour
	}
	return s.Age >= s.Every-early
}

// Entry is a file, folder or link.
type Entry struct {
	// Kind is "file", "dir" or "symlink", as restic has it.
	Kind string
	// Size is that of a file, in bytes.
	Size int64
}

// Tree is what there is, by the path of the machine. Bytes that are no UTF-8 are U+FFFD, as JSON has them: see [Name].
type Tree map[string][]Entry

// Name is a path as a [Tree] has it.
func Name(p string) string { return string([]rune(p)) }

// Add adds one.
func (t Tree) Add(p string, e Entry) { t[Name(p)] = append(t[Name(p)], e) }

// Size is how many files there are, and how many bytes they have.
func (t Tree) Size() (files, bytes int64) {
	for _, list := range t {
		for _, e := range list {
			if e.Kind == "file" {
				files++
				bytes += e.Size
			}
		}
	}
	return files, bytes
}

// Compare looks whether all that the snapshot lists is there, of the same kind and size, and nothing else.
func Compare(want, got Tree) Check {
	c := Check{Name: "files", Verdict: Passed}
	var missing, differ, more int
	order := func(a, b Entry) int { return cmp.Or(strings.Compare(a.Kind, b.Kind), cmp.Compare(a.Size, b.Size)) }
	note := func(p string, n *int) {
		*n++
		if len(c.Files) < MaxFiles {
			c.Files = append(c.Files, p)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(want)) {
		w, g := slices.SortedFunc(slices.Values(want[p]), order), slices.SortedFunc(slices.Values(got[p]), order)
		c.Checked += int64(len(w))
		switch {
		case len(g) < len(w):
			note(p, &missing)
		case !slices.Equal(w, g):
			note(p, &differ)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[p]; !ok {
			note(p, &more)
		}
	}
	var parts []string
	for _, x := range []struct {
		n    int
		text string
	}{{missing, "missing"}, {differ, "of another kind or size"}, {more, "not in the snapshot"}} {
		if x.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", x.n, x.text))
		}
	}
	if len(parts) > 0 {
		c.Verdict, c.Message = Failed, strings.Join(parts, ", ")+", such as "+c.Files[0]
	}
	return c
}

// SQLiteHeader is how many bytes [IsSQLite] looks at.
const SQLiteHeader = 16

// IsSQLite tells by the first bytes of a file whether it is a database of SQLite 3.
func IsSQLite(header []byte) bool { return bytes.HasPrefix(header, []byte("SQLite format 3\x00")) }

// Integrity reads what sqlite3 printed for `PRAGMA integrity_check`, and how it ended. What a database needs beyond SQLite itself, such as a collation of
// the program that made it, makes the answer unknown.
func Integrity(stdout, stderr string, ended bool) (Verdict, string) {
	out, said := strings.TrimSpace(stdout), strings.TrimSpace(stderr)
	if ended && out == "ok" {
		return Passed, ""
	}
	if out == "ok" {
		return Unknown, "sqlite3 did not end well"
	}
	first, _, _ := strings.Cut(cmp.Or(said, out), "\n")
	// The words around it are others in each version of sqlite3.
	for _, start := range []string{"Error: ", "Parse error: ", "Runtime error: ", "in prepare, ", "stepping, "} {
		first = strings.TrimPrefix(first, start)
	}
	first = strings.TrimSuffix(first, " (11)")
	if len(first) > 200 {
		first = first[:200]
	}
	for _, needs := range []string{"no such collation", "no such module", "no such tokenizer", "unknown tokenizer", "no such function", "unknown function", "authorization"} {
		if strings.Contains(said, needs) || strings.Contains(out, needs) {
			return Unknown, first
		}
	}
	if first == "" {
		return Unknown, "sqlite3 said nothing"
	}
	return Failed, first
}
