package pitr

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Range is a stretch of one timeline to any moment of which the cluster can be recovered.
type Range struct {
	// Timeline is the one that recovery ends on.
	Timeline Timeline `json:"timeline"`
	// From is when the first base backup ended: what is restored is consistent from there on, and not earlier (G2).
	From    time.Time `json:"from,omitzero"`
	FromLSN LSN       `json:"fromLSN"`
	// To is the last moment that is sure to be there: the last commit that was read from the log where Exact, else when the last
	// segment was stored, after which nothing in it was committed.
	To    time.Time `json:"to,omitzero"`
	Exact bool      `json:"exact,omitempty"`
	ToLSN LSN       `json:"toLSN"`
	// Backups are the IDs of the base backups from which the log goes on without a gap, the oldest first.
	Backups []string `json:"backups"`
	// Last is the name of the last segment.
	Last string `json:"last"`
}

func (r Range) String() string {
	return fmt.Sprintf("%s to %s on timeline %d", moment(r.From, r.FromLSN), moment(r.To, r.ToLSN), r.Timeline)
}

func moment(t time.Time, l LSN) string {
	if t.IsZero() {
		return l.String()
	}
	// What is printed is what is compared: a target that is copied from here is inside.
	return t.Format(time.RFC3339Nano)
}

// GapKind is what is missing.
type GapKind string

// The kinds of gaps.
const (
	// GapSegments are segments that are missing between others (G3).
	GapSegments GapKind = "segments"
	// GapBackup is a base backup that cannot be recovered from.
	GapBackup GapKind = "backup"
	// GapHistory is a history file that is missing or unreadable: no recovery finds the way to its timeline (G3).
	GapHistory GapKind = "history"
	// GapUncovered is log before which no base backup lies.
	GapUncovered GapKind = "uncovered"
)

// Gap is something that recovery would need and that is not there.
type Gap struct {
	Timeline Timeline `json:"timeline"`
	Kind     GapKind  `json:"kind"`
	// First and Last are names of segments, Count how many that are.
	First string `json:"first,omitempty"`
	Last  string `json:"last,omitempty"`
	Count uint64 `json:"count,omitempty"`
	// Backup is the ID of the base backup that is of no use.
	Backup string `json:"backup,omitempty"`
	Reason string `json:"reason"`
}

// Window says to which moments an archive can be recovered, timeline by timeline, and what is missing. A range begins at the end of a
// base backup and goes on as long as no segment is missing. It follows XLogFileReadAnyTLI of PostgreSQL: a segment is taken from the
// newest timeline on the way that has it.
func Window(a Archive) ([]Range, []Gap) {
	w := &walk{a: a, size: a.SegmentSize, at: map[Segment]time.Time{}}
	for _, s := range a.Segments {
		if old, ok := w.at[s.Segment]; !ok || s.At.After(old) {
			w.at[s.Segment] = s.At
		}
	}
	backups := slices.Clone(a.Backups)
	slices.SortStableFunc(backups, compareBackups)
	for _, b := range backups {
		if why := b.unusable(); why != "" {
			w.gaps = append(w.gaps, Gap{Timeline: b.Timeline, Kind: GapBackup, Backup: b.ID, Reason: why})
			continue
		}
		w.backups = append(w.backups, b)
	}
	for _, t := range a.Timelines() {
		w.timeline(t)
	}
	slices.SortStableFunc(w.gaps, func(a, b Gap) int {
		return cmp.Or(cmp.Compare(a.Timeline, b.Timeline), cmp.Compare(a.First, b.First), cmp.Compare(a.Backup, b.Backup))
	})
	return w.ranges, w.gaps
}

// BeforeBackups tells whether a gap of [Window] is log that was written before the first base backup from which its timeline, or one that left it later, is
// recovered. Many archives begin so, and no moment of a range needs it. Log after that which is of no use is another thing: what was committed in it is lost.
func BeforeBackups(a Archive, ranges []Range, g Gap) bool {
	f, err := ParseFile(g.Last, a.SegmentSize)
	if g.Kind != GapUncovered || err != nil {
		return false
	}
	w := &walk{a: a, size: a.SegmentSize}
	for _, b := range a.Backups {
		if !slices.ContainsFunc(ranges, func(r Range) bool { return slices.Contains(r.Backups, b.ID) }) || f.Segment.Number > SegmentAt(0, b.BeginLSN, w.size).Number {
			continue
		}
		way, ok := w.way(b.Timeline)
		if ok && slices.ContainsFunc(way, func(s step) bool {
			return s.timeline == f.Segment.Timeline && (s.open || f.Segment.Number <= s.last)
		}) {
			return true
		}
	}
	return false
}

func (b BaseBackup) unusable() string {
	switch {
	case b.Status == BackupDone && b.Timeline != 0 && b.EndLSN >= b.BeginLSN && b.EndLSN > 0:
		return ""
	case b.Status == BackupRunning:
		return "the base backup was begun and is not done"
	case b.Status == BackupFailed && b.Fault != "":
		return "the base backup failed: " + b.Fault
	case b.Status == BackupFailed:
		return "the base backup failed"
	default:
		return "what is recorded of the base backup cannot be understood"
	}
}

// walk is the state of one look at an archive.
type walk struct {
	a       Archive
	size    SegmentSize
	at      map[Segment]time.Time
	backups []BaseBackup
	ranges  []Range
	gaps    []Gap
}

// step is a timeline on the way to another: it has the segments from first to last; open tells that it is the end of the way.
type step struct {
	timeline    Timeline
	first, last uint64
	from, until LSN
	open        bool
}

// way is how recovery comes to a timeline, the oldest first; ok is false where its history is missing.
func (w *walk) way(t Timeline) (out []step, ok bool) {
	h := w.a.Histories[t]
	if t != 1 && len(h) == 0 {
		return []step{{timeline: t, open: true}}, false
	}
	var from LSN
	for _, s := range h {
		out = append(out, step{timeline: s.Timeline, first: SegmentAt(0, from, w.size).Number, last: SegmentAt(0, s.At, w.size).Number, from: from, until: s.At})
		from = s.At
	}
	return append(out, step{timeline: t, first: SegmentAt(0, from, w.size).Number, from: from, open: true}), true
}

// find is the segment of a number that recovery would read, on the newest timeline that has it.
func (w *walk) find(way []step, n uint64) (Segment, bool) {
	for i := len(way) - 1; i >= 0; i-- {
		s := way[i]
		if n < s.first || !s.open && n > s.last {
			continue
		}
		seg := Segment{s.timeline, n}
		if _, ok := w.at[seg]; ok {
			return seg, true
		}
	}
	return Segment{}, false
}

// owner is the timeline to which a missing segment belongs.
func owner(way []step, n uint64) Timeline {
	for i := len(way) - 1; i >= 0; i-- {
		if n >= way[i].first {
			return way[i].timeline
		}
	}
	return way[0].timeline
}

func (w *walk) timeline(t Timeline) {
	way, ok := w.way(t)
	if !ok {
		w.gaps = append(w.gaps, Gap{Timeline: t, Kind: GapHistory, First: t.HistoryName(), Reason: "the history of the timeline is missing or cannot be read: recovery does not find the way to it"})
		// A base backup of that timeline needs no history to be recovered on it, and PostgreSQL still asks for the file: no promise is made.
		return
	}
	// The numbers that are there on the way, in order.
	var numbers []uint64
	for seg := range w.at {
		if found, ok := w.find(way, seg.Number); ok && found == seg {
			numbers = append(numbers, seg.Number)
		}
	}
	slices.Sort(numbers)
	own := slices.ContainsFunc(numbers, func(n uint64) bool { s, _ := w.find(way, n); return s.Timeline == t })
	var backups []BaseBackup
	for _, b := range w.backups {
		if slices.ContainsFunc(way, func(s step) bool {
			return s.timeline == b.Timeline && (s.open || b.EndLSN <= s.until) && b.BeginLSN >= s.from
		}) {
			backups = append(backups, b)
		}
	}
	if !own && !slices.ContainsFunc(backups, func(b BaseBackup) bool { return b.Timeline == t }) && t != 1 {
		return // a timeline of which only the history was archived
	}
	used := map[string]bool{}
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		w.chain(t, way, numbers[i], numbers[j], backups, used)
		if j+1 < len(numbers) {
			w.missing(way, numbers[j]+1, numbers[j+1]-1)
		}
		i = j + 1
	}
	for _, b := range backups {
		if b.Timeline == t && !used[b.ID] {
			first := SegmentAt(b.Timeline, b.BeginLSN, w.size)
			last := segmentBefore(b.Timeline, b.EndLSN, w.size)
			w.gaps = append(w.gaps, Gap{Timeline: t, Kind: GapBackup, Backup: b.ID, First: first.Name(w.size), Last: last.Name(w.size), Reason: "segments that were written during the base backup are missing: what it restores never becomes consistent"})
		}
	}
}

// chain looks at segments that follow one another without a gap.
func (w *walk) chain(t Timeline, way []step, first, last uint64, backups []BaseBackup, used map[string]bool) {
	end, _ := w.find(way, last)
	r := Range{Timeline: t, ToLSN: end.End(w.size), Last: end.Name(w.size)}
	for _, b := range backups {
		begin, stop := SegmentAt(0, b.BeginLSN, w.size).Number, segmentBefore(0, b.EndLSN, w.size).Number
		if begin < first || stop > last {
			continue
		}
		used[b.ID] = true
		if len(r.Backups) == 0 {
			r.From, r.FromLSN = b.End, b.EndLSN
		}
		r.Backups = append(r.Backups, b.ID)
	}
	if len(r.Backups) == 0 {
		if end.Timeline == t {
			lead, _ := w.find(way, first)
			w.gaps = append(w.gaps, Gap{Timeline: t, Kind: GapUncovered, First: lead.Name(w.size), Last: end.Name(w.size), Count: last - first + 1, Reason: "no base backup lies before these segments without a gap: they cannot be replayed"})
		}
		return
	}
	if end.Timeline != t && t != way[0].timeline {
		return // the older timeline says that
	}
	r.To = w.at[end]
	if at, ok := w.a.LastCommit[t]; ok && !at.IsZero() && (r.To.IsZero() || !at.After(r.To)) && w.newest(t, last) {
		r.To, r.Exact = at, true
	}
	if r.To.Before(r.From) && !r.To.IsZero() {
		// Clocks of store and server differ by more than the log is long: what is consistent is at least there.
		r.To = r.From
	}
	w.ranges = append(w.ranges, r)
}

// newest tells whether no later segment of the timeline is there.
func (w *walk) newest(t Timeline, last uint64) bool {
	for s := range w.at {
		if s.Timeline == t && s.Number > last {
			return false
		}
	}
	return true
}

func (w *walk) missing(way []step, first, last uint64) {
	t := owner(way, first)
	g := Gap{Timeline: t, Kind: GapSegments, First: Segment{t, first}.Name(w.size), Last: Segment{owner(way, last), last}.Name(w.size), Count: last - first + 1}
	g.Reason = "segments are missing: nothing after them can be recovered from a base backup before them"
	if !slices.Contains(w.gaps, g) {
		w.gaps = append(w.gaps, g)
	}
}
