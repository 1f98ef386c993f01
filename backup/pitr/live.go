package pitr

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

// Live is what a running server says of itself.
type Live struct {
	Version  int      `json:"version"`
	SystemID uint64   `json:"systemID,string"`
	Timeline Timeline `json:"timeline"`
	// Standby tells that it replays another's log.
	Standby bool `json:"standby,omitempty"`
	// ArchiveMode, ArchiveCommand and ArchiveLibrary are as SHOW has them: what holds, and not what is written somewhere.
	ArchiveMode    string `json:"archiveMode"`
	ArchiveCommand string `json:"archiveCommand,omitempty"`
	ArchiveLibrary string `json:"archiveLibrary,omitempty"`
	ArchiveTimeout Span   `json:"archiveTimeout"`
	// SegmentSize is that of a file of its log, which an archive without a base backup does not tell.
	SegmentSize SegmentSize `json:"segmentSize,omitempty"`
	// At is where it writes.
	At LSN `json:"at"`
	// Archived is the file that it archived last, Failed the one that it could not last; from pg_stat_archiver, which forgets in a crash.
	Archived   string    `json:"archived,omitempty"`
	ArchivedAt time.Time `json:"archivedAt,omitzero"`
	Failed     string    `json:"failed,omitempty"`
	FailedAt   time.Time `json:"failedAt,omitzero"`
	// History is that of its timeline; nil on the first.
	History History `json:"-"`
	// Waiting is when the oldest transaction was committed that is not in the archive; zero where all are. WaitingKnown tells whether the log in
	// pg_wal could be read.
	Waiting      time.Time `json:"waiting,omitzero"`
	WaitingKnown bool      `json:"-"`
	// Elsewhere tells that the log in the data directory of the policy is of another cluster.
	Elsewhere bool `json:"-"`
}

// LiveQuery asks a server for what [ParseLive] reads. It is asked as superuser.
const LiveQuery = `with l as (select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_lsn() end as lsn),
 t as (select case when pg_is_in_recovery() then (select lpad(to_hex(timeline_id), 8, '0') from pg_control_checkpoint()) else substr(pg_walfile_name(lsn), 1, 8) end as tli, lsn from l)
select json_build_object('version', current_setting('server_version_num')::int / 10000, 'system', (select system_identifier::text from pg_control_system()),
 'timeline', t.tli, 'standby', pg_is_in_recovery(), 'mode', current_setting('archive_mode'), 'command', current_setting('archive_command'),
 'library', current_setting('archive_library', true), 'timeout', (select setting::bigint from pg_settings where name = 'archive_timeout'),
 'segment', (select setting::bigint from pg_settings where name = 'wal_segment_size'), 'lsn', t.lsn::text,
 'archived', a.last_archived_wal, 'archived_at', extract(epoch from a.last_archived_time), 'failed', a.last_failed_wal, 'failed_at', extract(epoch from a.last_failed_time),
 'history', pg_read_file('pg_wal/' || upper(t.tli) || '.history', 0, 1048576, true)) from t, pg_stat_archiver a`

// ParseLive reads what a server answers to [LiveQuery].
func ParseLive(answer []byte) (Live, error) {
	var q struct {
		Version                                     int
		System, Timeline, Mode, LSN                 string
		Standby                                     bool
		Command, Library, Archived, Failed, History *string
		Timeout                                     int64
		Segment                                     uint64
		ArchivedAt                                  *float64 `json:"archived_at"`
		FailedAt                                    *float64 `json:"failed_at"`
	}
	bad := func(field, text string) (Live, error) {
		return Live{}, &NameError{Text: text, Reason: "is no " + field + " of a server", Advice: "PostgreSQL 15 or later is needed"}
	}
	if err := json.Unmarshal(answer, &q); err != nil {
		return bad("answer", string(answer[:min(len(answer), 80)]))
	}
	l := Live{Version: q.Version, Standby: q.Standby, ArchiveMode: q.Mode, ArchiveCommand: word(q.Command), ArchiveLibrary: word(q.Library),
		ArchiveTimeout: Span(time.Duration(q.Timeout) * time.Second), Archived: word(q.Archived), Failed: word(q.Failed)}
	if _, err := fmt.Sscan(q.System, &l.SystemID); err != nil {
		return bad("system identifier", q.System)
	}
	if !hex(strings.ToUpper(q.Timeline), 8, 8) {
		return bad("timeline", q.Timeline)
	}
	l.Timeline = Timeline(number(strings.ToUpper(q.Timeline)))
	var err error
	if l.At, err = ParseLSN(q.LSN); err != nil {
		return Live{}, err
	}
	moment := func(s *float64) time.Time {
		if s == nil {
			return time.Time{}
		}
		return time.UnixMicro(int64(*s * 1e6)).UTC()
	}
	l.ArchivedAt, l.FailedAt = moment(q.ArchivedAt), moment(q.FailedAt)
	if q.Segment != 0 {
		if l.SegmentSize, err = ParseSegmentSize(q.Segment); err != nil {
			return Live{}, err
		}
	}
	if q.History != nil {
		if l.History, err = ParseHistory(l.Timeline, *q.History); err != nil {
			return Live{}, err
		}
	}
	return l, nil
}

// ArchivesTo is where an archive_command stores: the arguments of the barman-cloud-wal-archive that it calls. ok is false where it calls none, or with
// what a shell makes of variables.
func ArchivesTo(command string) (destination, server string, ok bool) {
	words, whole := words(command)
	at := slices.IndexFunc(words, func(w string) bool { return path.Base(w) == ToolWALArchive })
	if at < 0 || !whole {
		return "", "", false
	}
	var args []string
	for rest := words[at+1:]; len(rest) > 0; rest = rest[1:] {
		name, _, joined := strings.Cut(rest[0], "=")
		value, known := walArchiveOptions[name]
		switch {
		case strings.ContainsAny(rest[0], "$`"):
			return "", "", false
		case !strings.HasPrefix(rest[0], "-"):
			args = append(args, rest[0])
		case !known, name == "--tags", name == "--history-tags":
			return "", "", false
		case value && !joined && len(rest) > 1:
			rest = rest[1:]
		}
	}
	if len(args) != 3 {
		return "", "", false
	}
	return args[0], args[1], true
}

// Fault is something that is wrong with a server and its archive.
type Fault struct {
	// Trap is the one of the field that it is, "G4"; it may be empty.
	Trap    string `json:"trap,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Unknown tells that it could not be seen whether something is wrong.
	Unknown bool `json:"unknown,omitempty"`
	// Refuses tells that no base backup is made while it lasts.
	Refuses bool `json:"-"`
}

// FaultError refuses a base backup.
type FaultError struct{ Fault Fault }

func (e *FaultError) Error() string { return "no base backup is made: " + e.Fault.Message }

// Hint says what to do.
func (e *FaultError) Hint() string { return e.Fault.Hint }

// sameDestination compares two URLs, of which one may end with a slash.
func sameDestination(a, b string) bool { return strings.TrimRight(a, "/") == strings.TrimRight(b, "/") }

// ServerFaults are what is wrong with where a server archives to, the gravest first: whether it archives at all, to the place that the policy names,
// and whether what lies there is its own (G4).
func ServerFaults(a Archive, l Live, p Policy) (out []Fault) {
	say := func(trap, hint, format string, args ...any) {
		out = append(out, Fault{Trap: trap, Message: fmt.Sprintf(format, args...), Hint: hint, Refuses: true})
	}
	if l.Standby {
		say("", "name the primary in the policy", "the server is a standby, and archives nothing of its own")
		return out
	}
	if on, known := archiveMode(l.ArchiveMode); !on || !known {
		say("G3", "set archive_mode = on, and restart the server", "archive_mode is %s: the server archives nothing", l.ArchiveMode)
	}
	switch {
	case l.ArchiveLibrary != "":
		// What a library does with a segment, nothing tells.
	case strings.TrimSpace(l.ArchiveCommand) == "" || l.ArchiveCommand == "(disabled)":
		say("G3", "write archive_command; stateward pitr plan writes one", "archive_command is empty: the server archives nothing")
	default:
		for _, f := range CommandFaults(l.ArchiveCommand) {
			say(f.Trap, "mend archive_command, and reload the server", "%s", f.Reason)
		}
	}
	if d, s, ok := ArchivesTo(l.ArchiveCommand); ok && l.ArchiveLibrary == "" && (!sameDestination(d, p.Destination) || s != p.Server) {
		hint := fmt.Sprintf("after a recovery, postgresql.auto.conf names the new archive: write \"server\": %q and \"destination\": %q in the policy and in the configuration, and then ALTER SYSTEM RESET archive_command", s, d)
		if !sameDestination(d, p.Destination) && s == p.Server {
			hint = "make archive_command and policy name the same destination"
		}
		say("G4", hint, "the server archives to %s in %s, and the policy names %s in %s", s, d, p.Server, p.Destination)
	}
	if ids := a.SystemIDs(); len(ids) > 1 {
		say("G4", "give each cluster a server name of its own", "the archive of %s holds what %d clusters wrote: their logs cannot be told apart", p.Server, len(ids))
	} else if len(ids) == 1 && ids[0] != l.SystemID {
		say("G4", "name another server in policy and archive_command: two clusters in one archive destroy both", "what lies in %s is of the cluster %d, and the server is %d", p.Server, ids[0], l.SystemID)
	}
	switch newest := newestLog(a); {
	case newest > l.Timeline:
		say("G4", "a recovered cluster archives to a server name of its own: name another in policy and archive_command", "what lies in %s goes on to timeline %d, and the server is on %d: it is older, or another was promoted", p.Server, newest, l.Timeline)
	case len(l.History) > 0 && len(a.Histories[l.Timeline]) > 0 && !sameWay(a.Histories[l.Timeline], l.History):
		say("G4", "two servers were promoted from the same archive: give each a server name of its own", "timeline %d in %s left the one before at %s, and that of the server at %s", l.Timeline, p.Server, a.Histories[l.Timeline][len(a.Histories[l.Timeline])-1].At, l.History[len(l.History)-1].At)
	}
	for _, h := range l.History {
		if i := slices.IndexFunc(a.Segments, func(s ArchivedSegment) bool { return s.Timeline == h.Timeline && s.Start(a.SegmentSize) > h.At }); i >= 0 {
			say("G4", "a recovered cluster archives to a server name of its own: name another in policy and archive_command", "the server left timeline %d at %s, and what lies in %s goes on after that on timeline %d: it was recovered to an earlier moment, or another server goes on", h.Timeline, h.At, p.Server, h.Timeline)
			break
		}
	}
	if l.Archived != "" && !holds(a, l.Archived) {
		say("G4", "look at what archive_command does, and which server name it gives", "the server says that it archived %s, and it is not in %s", l.Archived, p.Server)
	}
	if l.Failed != "" && l.FailedAt.After(l.ArchivedAt) {
		last := "nothing was archived since the server was started"
		if !l.ArchivedAt.IsZero() {
			last = "the last that it could was at " + l.ArchivedAt.Format(time.RFC3339)
		}
		say("G3", "the log of the server has what archive_command said; its pg_wal grows until it succeeds", "the server cannot archive %s: it failed at %s, and %s", l.Failed, l.FailedAt.Format(time.RFC3339), last)
	}
	return out
}

// sameWay compares histories by where the timelines were left.
func sameWay(a, b History) bool {
	return slices.EqualFunc(a, b, func(x, y Switch) bool { return x.Timeline == y.Timeline && x.At == y.At })
}

// holds tells whether a file is in an archive. Segments before the oldest base backup may have been removed since.
func holds(a Archive, name string) bool {
	f, err := ParseFile(name, a.SegmentSize)
	switch {
	case err != nil || f.Kind == KindPartial:
		return true // of which nothing is listed
	case f.Kind == KindHistory:
		_, ok := a.Histories[f.Segment.Timeline]
		return ok
	}
	if len(a.Backups) > 0 {
		oldest := slices.MinFunc(a.Backups, compareBackups)
		if f.Segment.Number < SegmentAt(0, oldest.BeginLSN, a.SegmentSize).Number {
			return true
		}
	}
	return slices.ContainsFunc(a.Segments, func(s ArchivedSegment) bool { return s.Segment == f.Segment })
}

// Unarchived is where the log begins that is not in an archive: after its newest segment of the server's timeline, or where that timeline begins.
func Unarchived(a Archive, l Live) LSN {
	var at LSN
	if len(l.History) > 0 {
		at = l.History[len(l.History)-1].At
	}
	for _, s := range a.Segments {
		if s.Timeline == l.Timeline {
			at = max(at, s.End(a.SegmentSize))
		}
	}
	return at
}

// archiveSlack is how long storing a segment may take on top of archive_timeout.
const archiveSlack = 2 * time.Minute

// Check is what a look at a server and its archive shows.
type Check struct {
	Server string  `json:"server"`
	Faults []Fault `json:"faults"`
	// Live is nil where the server was not asked.
	Live *Live `json:"live,omitempty"`
	// From and To are the ends of what the present timeline can be recovered to without a gap, Reached how long that is.
	From    time.Time `json:"from,omitzero"`
	To      time.Time `json:"to,omitzero"`
	Reached Span      `json:"reached,omitempty"`
	Window  Span      `json:"window,omitempty"`
	// Newest is the ID of the newest base backup that can be recovered from, Usable how many there are.
	Newest   string    `json:"newest,omitempty"`
	NewestAt time.Time `json:"newestAt,omitzero"`
	Usable   int       `json:"usable"`
	// Segments is how many segments of the log are written and not archived, without the one that is being written.
	Segments uint64 `json:"segmentsWaiting"`
	// Notes are no faults.
	Notes []string `json:"notes,omitempty"`
}

// NewCheck judges a server and its archive. Times of schedules that name no zone are in that of now.
func NewCheck(a Archive, l Live, p Policy, now time.Time, zones stateward.Zones) Check {
	c := Check{Server: p.Server, Live: &l, Window: p.Window, Faults: ServerFaults(a, l, p)}
	say := func(trap, hint, format string, args ...any) {
		c.Faults = append(c.Faults, Fault{Trap: trap, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	note := func(format string, args ...any) { c.Notes = append(c.Notes, fmt.Sprintf(format, args...)) }

	// The live truth: what was committed and is on one disk only.
	limit := l.ArchiveTimeout.Std() + archiveSlack
	switch {
	case l.ArchiveTimeout == 0:
		say("G3", "set archive_timeout, such as 5min", "archive_timeout is 0: what an idle server committed stays on its one disk")
	case p.ArchiveTimeout != 0 && l.ArchiveTimeout > p.ArchiveTimeout:
		say("G3", "reload the server, or look for ALTER SYSTEM and postgresql.auto.conf", "archive_timeout is %s, and the policy has %s", spanText(l.ArchiveTimeout), spanText(p.ArchiveTimeout))
	}
	switch {
	case l.Elsewhere:
		say("G4", "have cluster.dataDir, cluster.socket and cluster.port be of one server", "the log in %s is of another cluster than the server that answers", p.Cluster.DataDir)
	case !l.WaitingKnown:
		c.Faults = append(c.Faults, Fault{Trap: "G3", Unknown: true, Message: "how old the oldest commit is that is not archived cannot be told: its log cannot be read", Hint: "run it as the user that owns the data directory, with pg_waldump in cluster.binDir"})
	case l.ArchiveTimeout != 0 && !l.Waiting.IsZero() && now.Sub(l.Waiting) > limit:
		say("G3", "look at pg_stat_archiver, and the log of the server", "a transaction of %s is not archived, and archive_timeout is %s", stamp(l.Waiting), spanText(l.ArchiveTimeout))
	}
	if from := Unarchived(a, l); l.At > from {
		c.Segments = SegmentAt(0, l.At, a.SegmentSize).Number - SegmentAt(0, from, a.SegmentSize).Number
	}
	if _, ok := a.Histories[l.Timeline]; !ok && l.Timeline > 1 && !a.Empty() {
		say("G3", "stateward pitr backup stores it", "the history of timeline %d, which the server is on, is not in %s: no recovery finds the way to it", l.Timeline, p.Server)
	}

	ranges, gaps := Window(a)
	byID := map[string]BaseBackup{}
	for _, b := range a.Backups {
		byID[b.ID] = b
	}
	seen := map[string]bool{}
	var newest BaseBackup
	for _, r := range ranges {
		for _, id := range r.Backups {
			if r.Timeline == newestLog(a) {
				if !seen[id] && compareBackups(byID[id], newest) > 0 {
					newest = byID[id]
				}
				seen[id] = true
			}
		}
	}
	c.Usable, c.Newest, c.NewestAt = len(seen), newest.ID, newest.End
	last := lastOf(ranges, newestLog(a))
	switch {
	case a.Empty():
		hint := "stateward pitr backup makes the first base backup"
		if len(c.Faults) > 0 {
			hint = "mend what is said before; then stateward pitr backup makes the first base backup"
		} else if l.Archived != "" {
			hint = "what the server says that it archived lies elsewhere, or is gone: look at archive_command and the store before a base backup is made"
		}
		say("", hint, "nothing is archived below %s in %s", p.Server, p.Destination)
		return c
	case len(seen) == 0 || last < 0:
		say("", "stateward pitr backup makes one", "%s holds no base backup from which the server can be recovered", p.Server)
	default:
		c.From, c.To = ranges[last].From, ranges[last].To
		if !c.To.Before(c.From) {
			c.Reached = Span(c.To.Sub(c.From).Truncate(time.Second))
		}
		if beyond(a, ranges[last]) {
			say("G3", "make a base backup: stateward pitr backup", "the log goes on after %s, and cannot be followed: nothing newer can be recovered to", ranges[last].Last)
		}
	}
	since := now.Add(-p.Window.Std())
	for _, g := range gaps {
		switch {
		case g.Kind == GapSegments && inside(a, g, since):
			say("G3", "moments after it are recovered from a later base backup only", "segments are missing in %s: %s", p.Server, rowText(g))
		case g.Kind == GapHistory && g.Timeline != l.Timeline:
			say("G3", "", "%s is missing in %s: recovery does not find the way to timeline %d", g.First, p.Server, g.Timeline)
		case g.Kind == GapBackup && byID[g.Backup].Status != BackupRunning && (newest.ID == "" || g.Backup > newest.ID):
			say("", "look at what its run said: journalctl, stateward pitr status", "base backup %s is newer than all that can be recovered from, and cannot be: %s", g.Backup, g.Reason)
		}
	}
	if p.Window != 0 && last >= 0 && !c.From.IsZero() && c.From.After(since) {
		// A young archive reaches no farther. One that was older, and lost its beginning, does not keep what it promises.
		if older := slices.ContainsFunc(a.Backups, func(b BaseBackup) bool { return !b.Begin.IsZero() && b.Begin.Before(since) }); older && len(ranges) < 2 {
			say("G3", "see what is missing: stateward pitr window", "the window begins %s, and what can be recovered to without a gap begins %s", stamp(since), stamp(c.From))
		} else {
			note("the window of %s is not reached yet: it goes back to %s", spanText(p.Window), stamp(c.From))
		}
	}
	if p.Redundancy > c.Usable {
		note("the policy keeps %d base backups at least, and %d can be recovered from", p.Redundancy, c.Usable)
	}
	for _, id := range a.Leftover {
		note("base/%s has no record: a base backup was killed there. barman-cloud does not see it; once none is at work, remove what lies below it from the store", id)
	}
	c.schedule(p, newest, now, zones)
	return c
}

// worstGap is how long after a base backup the next may come.
func (p Policy) worstGap(last time.Time, local *time.Location, zones stateward.Zones) backup.Gap {
	var s backup.Schedule
	for _, text := range p.Schedule {
		cal, err := backup.ParseCalendar(text, zones)
		if err != nil {
			s.Unknown = append(s.Unknown, text)
			continue
		}
		s.Calendar = append(s.Calendar, cal)
	}
	runTime, _ := stateward.NewDuration(0)
	s.RunTime = &runTime
	return s.WorstGap(last, local)
}

// Late tells whether a base backup is due since more than an hour, where the last ended when it did, and how often one is. Times of schedules that name no zone are in that
// of now. A schedule that cannot be understood is not late.
func (p Policy) Late(last, now time.Time, zones stateward.Zones) (every Span, late bool) {
	if len(p.Schedule) == 0 || last.IsZero() {
		return 0, false
	}
	g := p.worstGap(last, now.Location(), zones)
	return Span(g.Age), g.State == backup.GapBounded && now.Sub(last) > g.Age+time.Hour
}

// schedule compares the newest base backup with how old it may get.
func (c *Check) schedule(p Policy, newest BaseBackup, now time.Time, zones stateward.Zones) {
	if len(p.Schedule) == 0 || newest.ID == "" || newest.End.IsZero() {
		return
	}
	g := p.worstGap(newest.End, now.Location(), zones)
	// It took so long; it may take twice that, and an hour.
	grace := time.Hour
	if !newest.Begin.IsZero() && newest.End.After(newest.Begin) {
		grace += 2 * newest.End.Sub(newest.Begin)
	}
	switch {
	case g.State != backup.GapBounded:
		c.Faults = append(c.Faults, Fault{Unknown: true, Message: "how old the newest base backup may get cannot be told: " + g.Why, Hint: "write schedule as systemd.time(7) has it"})
	case now.Sub(newest.End) > g.Age+grace:
		c.Faults = append(c.Faults, Fault{Message: fmt.Sprintf("the newest base backup ended %s, and one is due every %s", newest.End.UTC().Format(time.RFC3339), spanText(Span(g.Age))), Hint: "look at its timer, and at stateward pitr status"})
	}
}

func spanText(s Span) string {
	text, err := s.MarshalText()
	if err != nil {
		return s.Std().String()
	}
	return string(text)
}

func rowText(g Gap) string {
	if g.Last != "" && g.Last != g.First {
		return g.First + " to " + g.Last
	}
	return g.First
}

// inside tells whether a gap of segments lies in the window: what follows it was stored after the window began.
func inside(a Archive, g Gap, since time.Time) bool {
	f, err := ParseFile(g.Last, a.SegmentSize)
	if err != nil {
		return true
	}
	for _, s := range a.Segments {
		if s.Number == f.Segment.Number+1 && !s.At.IsZero() && s.At.Before(since) {
			return false
		}
	}
	return true
}

// SegmentSystemID is the cluster to which a segment belongs, from its first page: XLogLongPageHeaderData of PostgreSQL, in the order of bytes of
// this machine's kind. ok is false where it is no such page.
func SegmentSystemID(page []byte) (id uint64, ok bool) {
	if len(page) < 40 || page[1] != 0xd1 || page[2]&0x02 == 0 { // XLOG_PAGE_MAGIC 0xD1.., XLP_LONG_HEADER
		return 0, false
	}
	for i := range 8 {
		id |= uint64(page[24+i]) << (8 * i)
	}
	return id, id != 0
}
