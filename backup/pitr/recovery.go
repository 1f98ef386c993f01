package pitr

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// OutsideError refuses a target that the archive does not reach, with all that it does reach (G2).
type OutsideError struct {
	Target Target
	Ranges []Range
	Gaps   []Gap
}

func (e *OutsideError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s cannot be recovered to", e.Target)
	if len(e.Ranges) == 0 {
		b.WriteString(": the archive can be recovered to no moment at all")
	} else {
		b.WriteString(": the window is ")
		for i, r := range e.Ranges {
			if i > 0 {
				b.WriteString("; ")
			}
			b.WriteString(r.String())
		}
	}
	return b.String()
}

// Hint names what is missing.
func (e *OutsideError) Hint() string {
	if len(e.Gaps) == 0 {
		return "choose a moment inside the window"
	}
	g := e.Gaps[0]
	what := g.Backup
	if g.First != "" {
		what = g.First
		if g.Last != "" && g.Last != g.First {
			what += " to " + g.Last
		}
	}
	return fmt.Sprintf("choose a moment inside the window; %s: %s", what, g.Reason)
}

// MixedError refuses an archive that holds more than one cluster (G4).
type MixedError struct {
	Server    string
	SystemIDs []uint64
}

func (e *MixedError) Error() string {
	return fmt.Sprintf("the archive of %s holds what %d clusters wrote: their logs cannot be told apart", e.Server, len(e.SystemIDs))
}

// Hint says what to do.
func (e *MixedError) Hint() string { return "give each cluster a server name of its own" }

// PrefixError refuses to archive a cluster where something of another history lies (G4).
type PrefixError struct {
	Server, Reason string
	// Advice is what to do; it may be empty.
	Advice string
}

func (e *PrefixError) Error() string {
	return fmt.Sprintf("the cluster cannot archive to %s: %s", e.Server, e.Reason)
}

// Hint says what to do.
func (e *PrefixError) Hint() string {
	if e.Advice != "" {
		return e.Advice
	}
	return "name a server below which nothing lies yet: a recovered cluster begins a new archive"
}

// DataState is what lies in a data directory.
type DataState string

// The states of a data directory.
const (
	DataMissing DataState = "missing"
	DataEmpty   DataState = "empty"
	// DataOurs is what an earlier, interrupted run of the same recovery left there, as its journal says.
	DataOurs DataState = "ours"
	// DataCluster is a cluster of PostgreSQL, DataOther anything else.
	DataCluster DataState = "cluster"
	DataOther   DataState = "other"
)

// DataDir is a data directory as it was found.
type DataDir struct {
	Path  string
	State DataState
	// Running tells that a server works on it.
	Running bool
}

// DataDirError refuses to restore over what is there (G6).
type DataDirError struct{ Dir DataDir }

func (e *DataDirError) Error() string {
	switch {
	case e.Dir.Running:
		return fmt.Sprintf("a server is running on %s", e.Dir.Path)
	case e.Dir.State == DataCluster:
		return fmt.Sprintf("%s holds a cluster, and nothing is restored over one", e.Dir.Path)
	default:
		return fmt.Sprintf("%s is not empty, and what is there is not known", e.Dir.Path)
	}
}

// Hint says what to do.
func (e *DataDirError) Hint() string {
	if e.Dir.Running {
		return "stop it first"
	}
	return "move what is there aside, or restore into another directory"
}

// Recovery is the plan of one recovery.
type Recovery struct {
	// Server is the prefix that is read, Archive the one to which the cluster is archived afterwards (G4).
	Server  string     `json:"server"`
	Archive string     `json:"archive"`
	Backup  BaseBackup `json:"backup"`
	// Timeline is the one that the log is read of; the promoted cluster begins another.
	Timeline Timeline `json:"timeline"`
	Target   Target   `json:"target"`
	// Range is that in which the target lies.
	Range Range `json:"range"`
	// First and Last are the segments that are needed at least: Last is where the target lies, or the last one that is there.
	First string `json:"first"`
	Last  string `json:"last"`
	// DataDir is where the base backup is restored to.
	DataDir string `json:"dataDir"`
}

// NewRecovery plans the recovery of a cluster from an archive: the newest base backup that ended before the target, on the newest
// timeline that reaches it. Where the target is outside the window the error is an *[OutsideError]; where the archive holds several
// clusters, a *[MixedError].
func NewRecovery(a Archive, t Target, p Policy) (Recovery, error) {
	if ids := a.SystemIDs(); len(ids) > 1 {
		return Recovery{}, &MixedError{Server: a.Server, SystemIDs: ids}
	}
	ranges, gaps := Window(a)
	outside := &OutsideError{Target: t, Ranges: ranges, Gaps: gaps}
	var in *Range
	for i := range slices.Backward(ranges) {
		r := &ranges[i]
		if t.Timeline != 0 && r.Timeline != t.Timeline {
			continue
		}
		switch {
		case !t.Time.IsZero():
			if r.From.IsZero() || r.To.IsZero() || t.Time.Before(r.From) || t.Time.After(r.To) {
				continue
			}
		case t.LSN != 0:
			if t.LSN < r.FromLSN || t.LSN > r.ToLSN {
				continue
			}
		default:
			// The end of the log is that of the newest timeline. Where segments are missing before it, what can be had ends
			// earlier: that is no recovery of everything, and said rather than done (G3).
			if newest := newestLog(a); t.Timeline == 0 && r.Timeline != newest {
				continue
			}
			if i != lastOf(ranges, r.Timeline) || beyond(a, *r) {
				continue
			}
		}
		in = r
		break
	}
	if in == nil {
		return Recovery{}, outside
	}
	b, ok := chosen(a, *in, t)
	if !ok {
		return Recovery{}, outside
	}
	r := Recovery{
		Server: a.Server, Archive: NextServer(a.Server, a), Backup: b, Timeline: in.Timeline, Target: t, Range: *in,
		First: SegmentAt(b.Timeline, b.BeginLSN, a.SegmentSize).Name(a.SegmentSize), Last: in.Last, DataDir: p.Cluster.DataDir,
	}
	if t.LSN != 0 {
		r.Last = segmentBefore(in.Timeline, t.LSN, a.SegmentSize).Name(a.SegmentSize)
	}
	return r, nil
}

func newestTimeline(a Archive) Timeline {
	ts := a.Timelines()
	if len(ts) == 0 {
		return 0
	}
	return ts[len(ts)-1]
}

// newestLog is the newest timeline of which there is log or a base backup, and not its history only.
func newestLog(a Archive) Timeline {
	a.Histories = nil
	return newestTimeline(a)
}

func lastOf(ranges []Range, t Timeline) int {
	last := -1
	for i, r := range ranges {
		if r.Timeline == t {
			last = i
		}
	}
	return last
}

// beyond tells whether the archive holds segments of a range's timeline after its end: the log goes on, and cannot be followed.
func beyond(a Archive, r Range) bool {
	return slices.ContainsFunc(a.Segments, func(s ArchivedSegment) bool { return s.Timeline == r.Timeline && s.End(a.SegmentSize) > r.ToLSN })
}

// chosen is the newest base backup of a range that ended before the target: the less log is replayed, the sooner it is done.
func chosen(a Archive, r Range, t Target) (BaseBackup, bool) {
	for _, id := range slices.Backward(r.Backups) {
		i := slices.IndexFunc(a.Backups, func(b BaseBackup) bool { return b.ID == id })
		if i < 0 {
			continue
		}
		b := a.Backups[i]
		switch {
		case !t.Time.IsZero() && (b.End.IsZero() || b.End.After(t.Time)), t.LSN != 0 && b.EndLSN > t.LSN:
			continue
		}
		return b, true
	}
	return BaseBackup{}, false
}

// NextServer is the prefix for the archive of the recovered cluster: the name, and the timeline that its promotion begins at the
// earliest. It never is the name that was read (G4). Whoever uses it looks first that nothing lies there: see [Adopt].
func NextServer(server string, a Archive) string {
	base := server
	if i := strings.LastIndex(server, "-t"); i > 0 {
		if _, err := ParseTimeline(server[i+2:]); err == nil {
			base = server[:i]
		}
	}
	next := newestTimeline(a) + 1
	if name := base + "-t" + strconv.FormatUint(uint64(next), 10); name != server {
		return name
	}
	return base + "-t" + strconv.FormatUint(uint64(next)+1, 10)
}

// Adopt says whether a cluster may archive to a prefix of which the content is known (G4): where nothing lies, or where what lies there
// is of the same cluster and of no newer timeline. The error is a *[PrefixError].
func Adopt(a Archive, systemID uint64, t Timeline) error {
	if a.Empty() {
		return nil
	}
	ids := a.SystemIDs()
	switch {
	case len(ids) == 0:
		return &PrefixError{Server: a.Server, Reason: "segments lie there of which nothing tells whose they are"}
	case len(ids) > 1 || ids[0] != systemID:
		return &PrefixError{Server: a.Server, Reason: "what lies there is of another cluster"}
	case newestTimeline(a) > t:
		return &PrefixError{Server: a.Server, Reason: fmt.Sprintf("what lies there is of timeline %d already, and the cluster of %d", newestTimeline(a), t)}
	}
	return nil
}

// Into says whether a base backup may be restored into a directory as it was found: a missing or empty one, or what an interrupted run of
// this very recovery left (G6). The error is a *[DataDirError].
func (r Recovery) Into(d DataDir) error {
	if d.Running || d.State != DataMissing && d.State != DataEmpty && d.State != DataOurs {
		return &DataDirError{d}
	}
	return nil
}

// Whole tells that all of the log is replayed: the target is its end, or the very moment of the last commit. A server that is told that moment
// waits for a commit after it, and gives up where the log ends.
func (r Recovery) Whole() bool {
	return r.Target.LSN == 0 && (r.Target.Time.IsZero() || r.Range.Exact && r.Target.Time.Equal(r.Range.To))
}

// Setting is one line of postgresql.auto.conf.
type Setting struct{ Name, Value string }

// Settings are those of the recovery, with the command that brings one file of the log, as restore_command has it. The cluster is
// promoted at the target, and never left waiting read-only (G6); it archives nothing until it is given its new prefix (G4).
func (r Recovery) Settings(restoreCommand string) []Setting {
	out := []Setting{{"restore_command", restoreCommand}, {"recovery_target_timeline", strconv.FormatUint(uint64(r.Timeline), 10)}}
	switch t := r.Target; {
	case r.Whole():
		return append(out, Setting{"recovery_target_action", "promote"}, Setting{"archive_mode", "off"})
	case !t.Time.IsZero():
		// A zone that is written as an offset depends on no table of names.
		out = append(out, Setting{"recovery_target_time", t.Time.UTC().Format("2006-01-02 15:04:05.999999") + "+00"})
	case t.LSN != 0:
		out = append(out, Setting{"recovery_target_lsn", t.LSN.String()})
	}
	return append(out, Setting{"recovery_target_inclusive", "on"}, Setting{"recovery_target_action", "promote"}, Setting{"archive_mode", "off"})
}

// WriteSettings are settings as a configuration file of PostgreSQL has them. A value with a line break is refused.
func WriteSettings(settings []Setting) (string, error) {
	var b strings.Builder
	for _, s := range settings {
		if strings.ContainsAny(s.Value, "\n\r\x00") {
			return "", &NameError{Text: s.Name, Reason: "has a value of more than one line", Advice: "write it on one line"}
		}
		fmt.Fprintf(&b, "%s = '%s'\n", s.Name, strings.NewReplacer(`'`, `''`, `\`, `\\`).Replace(s.Value))
	}
	return b.String(), nil
}
