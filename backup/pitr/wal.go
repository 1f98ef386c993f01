package pitr

import (
	"fmt"
	"strconv"
	"strings"
)

// LSN is a place in the write-ahead log, in bytes: pg_lsn of PostgreSQL.
type LSN uint64

// ParseLSN reads "16/B374D848": two hexadecimal numbers of at most eight digits. The error is a *[NameError].
func ParseLSN(s string) (LSN, error) {
	high, low, ok := strings.Cut(s, "/")
	if !ok || !hex(high, 1, 8) || !hex(low, 1, 8) {
		return 0, &NameError{Text: s, Reason: "is no place in the write-ahead log", Advice: `write it as pg_current_wal_lsn() prints it: "0/3000028"`}
	}
	h, _ := strconv.ParseUint(high, 16, 32)
	l, _ := strconv.ParseUint(low, 16, 32)
	return LSN(h<<32 | l), nil
}

func (l LSN) String() string { return fmt.Sprintf("%X/%X", uint32(l>>32), uint32(l)) }

// MarshalText is as String.
func (l LSN) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is as [ParseLSN].
func (l *LSN) UnmarshalText(text []byte) (err error) {
	*l, err = ParseLSN(string(text))
	return err
}

// NameError says why a text is no name of the write-ahead log.
type NameError struct{ Text, Reason, Advice string }

func (e *NameError) Error() string { return fmt.Sprintf("%q %s", e.Text, e.Reason) }

// Hint says what to write instead.
func (e *NameError) Hint() string { return e.Advice }

// Timeline is a line of history of a cluster: it begins with 1, and each promotion begins another.
type Timeline uint32

// ParseTimeline reads the number in base ten, 1 at least. The error is a *[NameError].
func ParseTimeline(s string) (Timeline, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 || s[0] == '+' {
		return 0, &NameError{Text: s, Reason: "is no timeline", Advice: "write its number, such as 2"}
	}
	return Timeline(n), nil
}

// HistoryName is the file that says where the timeline began: "00000002.history".
func (t Timeline) HistoryName() string { return fmt.Sprintf("%08X.history", uint32(t)) }

// SegmentSize is the size of a file of the write-ahead log, in bytes: wal_segment_size, a power of two from 1 MiB to 1 GiB. Zero is
// [DefaultSegmentSize].
type SegmentSize uint64

// DefaultSegmentSize is what initdb takes unless it is told --wal-segsize.
const DefaultSegmentSize SegmentSize = 16 << 20

// ParseSegmentSize takes a number of bytes. The error is a *[NameError].
func ParseSegmentSize(bytes uint64) (SegmentSize, error) {
	if bytes < 1<<20 || bytes > 1<<30 || bytes&(bytes-1) != 0 {
		return 0, &NameError{Text: strconv.FormatUint(bytes, 10), Reason: "is no size of a WAL segment", Advice: "it is a power of two from 1 MiB to 1 GiB, in bytes"}
	}
	return SegmentSize(bytes), nil
}

func (s SegmentSize) bytes() uint64 {
	if s == 0 {
		return uint64(DefaultSegmentSize)
	}
	return uint64(s)
}

// perID is how many segments have the same eight digits in the middle of their names.
func (s SegmentSize) perID() uint64 { return 1 << 32 / s.bytes() }

// Segment is one file of the write-ahead log: its timeline, and its number from the beginning of the log.
type Segment struct {
	Timeline Timeline
	Number   uint64
}

// SegmentAt is the segment that holds a place in the log.
func SegmentAt(t Timeline, at LSN, size SegmentSize) Segment {
	return Segment{Timeline: t, Number: uint64(at) / size.bytes()}
}

// segmentBefore is the one that holds the byte before a place: what ends right at a segment's end needs no next one.
func segmentBefore(t Timeline, at LSN, size SegmentSize) Segment {
	if at == 0 {
		return Segment{Timeline: t}
	}
	return SegmentAt(t, at-1, size)
}

// Start is the place of its first byte, End that after its last.
func (s Segment) Start(size SegmentSize) LSN { return LSN(s.Number * size.bytes()) }

// End is the place after its last byte.
func (s Segment) End(size SegmentSize) LSN { return LSN((s.Number + 1) * size.bytes()) }

// Next is the segment that follows on the same timeline.
func (s Segment) Next() Segment { return Segment{s.Timeline, s.Number + 1} }

// Name is that of the file: XLogFileName of PostgreSQL.
func (s Segment) Name(size SegmentSize) string {
	per := size.perID()
	return fmt.Sprintf("%08X%08X%08X", uint32(s.Timeline), uint32(s.Number/per), uint32(s.Number%per))
}

// FileKind is what a file of an archive is.
type FileKind string

// The kinds of files in a WAL archive.
const (
	// KindSegment is a whole segment.
	KindSegment FileKind = "segment"
	// KindPartial is the last segment of a timeline that was left, of which only a part is valid: no recovery asks for it by itself.
	KindPartial FileKind = "partial"
	// KindHistory is the history of a timeline.
	KindHistory FileKind = "history"
	// KindBackup is the record of a base backup, "<segment>.<offset>.backup".
	KindBackup FileKind = "backup"
)

// File is what the name of a file of an archive says.
type File struct {
	Kind FileKind
	// Segment is that of a segment, a partial one, or where a base backup begins; of a history only the timeline.
	Segment Segment
	// Offset is that of a base backup's begin in its segment.
	Offset uint32
	// Compression is the suffix that was cut off, such as "gz"; empty where there is none.
	Compression string
}

// compressions are the suffixes that tools append to what they store: barman-cloud's .gz, .bz2, .snappy, .xz, .zst and .lz4.
var compressions = []string{"gz", "bz2", "snappy", "xz", "zst", "lz4"}

// ParseFile reads the name of a file in an archive, without its folders. The error is a *[NameError].
func ParseFile(name string, size SegmentSize) (File, error) {
	var f File
	base := name
	for _, c := range compressions {
		if b, ok := strings.CutSuffix(base, "."+c); ok {
			base, f.Compression = b, c
			break
		}
	}
	refuse := func(reason string) (File, error) {
		return File{}, &NameError{Text: name, Reason: reason, Advice: "a segment is named by 24 hexadecimal digits, a history by eight and .history"}
	}
	if t, ok := strings.CutSuffix(base, ".history"); ok {
		if !hex(t, 8, 8) || t == "00000000" {
			return refuse("is no history file of a timeline")
		}
		f.Kind, f.Segment.Timeline = KindHistory, Timeline(number(t))
		return f, nil
	}
	segment, rest, more := strings.Cut(base, ".")
	if !hex(segment, 24, 24) || segment[:8] == "00000000" {
		return refuse("is no file of the write-ahead log")
	}
	per, low := size.perID(), number(segment[16:])
	if low >= per {
		return refuse(fmt.Sprintf("is no segment of %d bytes", size.bytes()))
	}
	f.Segment = Segment{Timeline(number(segment[:8])), number(segment[8:16])*per + low}
	offset, isBackup := strings.CutSuffix(rest, ".backup")
	switch {
	case !more:
		f.Kind = KindSegment
	case rest == "partial":
		f.Kind = KindPartial
	case isBackup && hex(offset, 8, 8) && number(offset) < size.bytes():
		f.Kind, f.Offset = KindBackup, uint32(number(offset))
	default:
		return refuse("is no file of the write-ahead log")
	}
	return f, nil
}

// Name is that of the file as PostgreSQL calls it, without compression.
func (f File) Name(size SegmentSize) string {
	switch f.Kind {
	case KindHistory:
		return f.Segment.Timeline.HistoryName()
	case KindPartial:
		return f.Segment.Name(size) + ".partial"
	case KindBackup:
		return fmt.Sprintf("%s.%08X.backup", f.Segment.Name(size), f.Offset)
	default:
		return f.Segment.Name(size)
	}
}

// hex tells whether a text has so many digits as PostgreSQL writes them, in capitals.
func hex(s string, least, most int) bool {
	return len(s) >= least && len(s) <= most && strings.Trim(s, "0123456789ABCDEF") == ""
}

func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 16, 64)
	return n
}

// Switch is one line of a history: a timeline was left at a place.
type Switch struct {
	Timeline Timeline
	At       LSN
	Reason   string
}

// History is the content of a history file: the timelines before it, the oldest first.
type History []Switch

// ParseHistory reads the history file of a timeline as readTimeLineHistory of PostgreSQL does: empty lines and comments are passed
// over, timelines must grow and stay below t. The error is a *[HistoryError].
func ParseHistory(t Timeline, text string) (History, error) {
	var out History
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		words := strings.Fields(line)
		fail := func(reason string) (History, error) {
			return nil, &HistoryError{Timeline: t, Line: i + 1, Reason: reason}
		}
		if len(words) < 2 {
			return fail("has no place where the timeline was left")
		}
		parent, err := ParseTimeline(words[0])
		if err != nil {
			return fail("does not begin with a timeline")
		}
		at, err := ParseLSN(words[1])
		if err != nil {
			return fail("has no place where the timeline was left")
		}
		switch {
		case parent >= t:
			return fail("names a timeline that is not older")
		case len(out) > 0 && parent <= out[len(out)-1].Timeline:
			return fail("is not in the order of timelines")
		case len(out) > 0 && at < out[len(out)-1].At:
			return fail("goes back in the log")
		}
		out = append(out, Switch{parent, at, strings.Join(words[2:], " ")})
	}
	return out, nil
}

// HistoryError says why a history file cannot be used.
type HistoryError struct {
	Timeline Timeline
	Line     int
	Reason   string
}

func (e *HistoryError) Error() string {
	return fmt.Sprintf("line %d of %s %s", e.Line, e.Timeline.HistoryName(), e.Reason)
}

// Label is what backup_label, or the record of a base backup in the archive, says.
type Label struct {
	Start    LSN
	Segment  string
	Timeline Timeline
	// Stop is in the record in the archive only; zero in backup_label.
	Stop LSN
	// Label is what the tool called the backup.
	Label string
}

// ParseLabel reads backup_label or a "<segment>.<offset>.backup". The error is a *[NameError].
func ParseLabel(text string) (Label, error) {
	var l Label
	for _, line := range strings.Split(text, "\n") {
		key, value, ok := strings.Cut(strings.TrimRight(line, "\r"), ": ")
		if !ok {
			continue
		}
		place, rest, _ := strings.Cut(value, " ")
		var err error
		switch key {
		case "START WAL LOCATION":
			l.Start, err = ParseLSN(place)
			l.Segment = strings.TrimSuffix(strings.TrimPrefix(rest, "(file "), ")")
		case "STOP WAL LOCATION":
			l.Stop, err = ParseLSN(place)
		case "START TIMELINE":
			l.Timeline, err = ParseTimeline(value)
		case "LABEL":
			l.Label = value
		}
		if err != nil {
			return Label{}, err
		}
	}
	if l.Segment == "" {
		return Label{}, &NameError{Text: "backup_label", Reason: "does not say where the backup starts", Advice: `it has a line "START WAL LOCATION: …"`}
	}
	return l, nil
}
