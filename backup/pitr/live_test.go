package pitr

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
)

const archiving = "/nix/store/x/bin/barman-cloud-wal-archive --gzip --endpoint-url http://s3 s3://bucket/pg main %p"

// well is a server whose archive is [long]: it writes in segment 41.
func well() Live {
	return Live{Version: 17, SystemID: 7, Timeline: 1, ArchiveMode: "on", ArchiveCommand: archiving, ArchiveTimeout: Span(5 * time.Minute), At: Segment{1, 41}.Start(0) + 100,
		Archived: "000000010000000000000028", ArchivedAt: at(40), WaitingKnown: true}
}

var policy = Policy{Destination: "s3://bucket/pg/", Server: "main", Window: span(15), Schedule: []string{"*-*-* 00/10:00:00"}, ArchiveTimeout: Span(5 * time.Minute)}

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		change func(l *Live, a *Archive, p *Policy)
		now    time.Time
		want   string
		// refused is which of them refuses a base backup.
		refused string
	}{
		"all is well":                    {nil, at(40).Add(time.Minute), "", ""},
		"a commit that is archived soon": {func(l *Live, _ *Archive, _ *Policy) { l.Waiting = at(40) }, at(40).Add(6 * time.Minute), "", ""},
		"G3 a commit that is not archived in time": {func(l *Live, _ *Archive, _ *Policy) { l.Waiting = at(40) }, at(40).Add(8 * time.Minute),
			"G3 a transaction of 2026-03-02T16:00:00Z is not archived, and archive_timeout is 5min", ""},
		"G3 the log cannot be read": {func(l *Live, _ *Archive, _ *Policy) { l.WaitingKnown = false }, at(40),
			"G3 unknown: how old the oldest commit is that is not archived cannot be told: its log cannot be read", ""},
		"G3 no archive_timeout":   {func(l *Live, _ *Archive, _ *Policy) { l.ArchiveTimeout = 0 }, at(40), "G3 archive_timeout is 0: what an idle server committed stays on its one disk", ""},
		"another archive_timeout": {func(l *Live, _ *Archive, _ *Policy) { l.ArchiveTimeout = span(1) }, at(40), "G3 archive_timeout is 1h, and the policy has 5min", ""},
		"a standby":               {func(l *Live, _ *Archive, _ *Policy) { l.Standby = true }, at(40), " the server is a standby, and archives nothing of its own", "the server is a standby, and archives nothing of its own"},
		"archive_mode is off":     {func(l *Live, _ *Archive, _ *Policy) { l.ArchiveMode = "off" }, at(40), "G3 archive_mode is off: the server archives nothing", "archive_mode is off: the server archives nothing"},
		"no command":              {func(l *Live, _ *Archive, _ *Policy) { l.ArchiveCommand = "" }, at(40), "G3 archive_command is empty: the server archives nothing", "archive_command is empty: the server archives nothing"},
		"G5 a command that swallows": {func(l *Live, _ *Archive, _ *Policy) { l.ArchiveCommand += " || true" }, at(40), `G5 archive_command ends with "true", and succeeds where it stored nothing`,
			`archive_command ends with "true", and succeeds where it stored nothing`},
		"G4 another server name": {func(l *Live, _ *Archive, _ *Policy) {
			l.ArchiveCommand = strings.Replace(archiving, " main ", " 'main-t2' ", 1)
		}, at(40),
			"G4 the server archives to main-t2 in s3://bucket/pg, and the policy names main in s3://bucket/pg/", "the server archives to main-t2 in s3://bucket/pg, and the policy names main in s3://bucket/pg/"},
		"a command that calls a script": {func(l *Live, _ *Archive, _ *Policy) { l.ArchiveCommand = "/etc/archive %p" }, at(40), "", ""},
		"G4 the script stores elsewhere": {func(l *Live, a *Archive, _ *Policy) {
			l.ArchiveCommand = "/etc/archive %p"
			l.Archived = "000000010000000000000029"
		}, at(40), "G4 the server says that it archived 000000010000000000000029, and it is not in main", "the server says that it archived 000000010000000000000029, and it is not in main"},
		"what was archived before the oldest base backup may be gone": {func(l *Live, a *Archive, _ *Policy) { l.Archived = "000000010000000000000001" }, at(40), "", ""},
		"G4 another cluster": {func(l *Live, _ *Archive, _ *Policy) { l.SystemID = 8 }, at(40), "G4 what lies in main is of the cluster 7, and the server is 8", "what lies in main is of the cluster 7, and the server is 8"},
		"G4 two clusters":    {func(_ *Live, a *Archive, _ *Policy) { a.LogSystemID = 9 }, at(40), "G4 the archive of main holds what 2 clusters wrote: their logs cannot be told apart", "the archive of main holds what 2 clusters wrote: their logs cannot be told apart"},
		"G4 another was promoted": {func(_ *Live, a *Archive, _ *Policy) {
			a.Segments = append(a.Segments, stored(2, 41)...)
			a.Histories = map[Timeline]History{2: history(1, Segment{1, 41}.Start(0)+4096)}
		}, at(41), "G4 what lies in main goes on to timeline 2, and the server is on 1: it is older, or another was promoted", "what lies in main goes on to timeline 2, and the server is on 1: it is older, or another was promoted"},
		"G4 it was recovered into the old prefix": {func(l *Live, a *Archive, _ *Policy) {
			l.Timeline, l.History = 2, history(1, Segment{1, 35}.Start(0)+4096)
		}, at(40).Add(time.Minute), "G4 the server left timeline 1 at 0/23001000, and what lies in main goes on after that on timeline 1: it was recovered to an earlier moment, or another server goes on; " +
			"G3 the history of timeline 2, which the server is on, is not in main: no recovery finds the way to it",
			"the server left timeline 1 at 0/23001000, and what lies in main goes on after that on timeline 1: it was recovered to an earlier moment, or another server goes on"},
		"a promotion goes on in the same archive": {func(l *Live, a *Archive, _ *Policy) {
			l.Timeline, l.History, l.At = 2, history(1, Segment{1, 40}.Start(0)+4096), Segment{2, 41}.Start(0)
			a.Segments = append(a.Segments, stored(2, 40)...)
			a.Histories = map[Timeline]History{2: l.History}
		}, at(40).Add(time.Minute), "", ""},
		"G4 two were promoted": {func(l *Live, a *Archive, _ *Policy) {
			l.Timeline, l.History, l.At = 2, history(1, Segment{1, 40}.Start(0)+8192), Segment{2, 41}.Start(0)
			a.Segments = append(a.Segments, stored(2, 40)...)
			a.Histories = map[Timeline]History{2: history(1, Segment{1, 40}.Start(0)+4096)}
		}, at(40).Add(time.Minute), "G4 timeline 2 in main left the one before at 0/28001000, and that of the server at 0/28002000", "timeline 2 in main left the one before at 0/28001000, and that of the server at 0/28002000"},
		"the archiver fails": {func(l *Live, _ *Archive, _ *Policy) { l.Failed, l.FailedAt = "000000010000000000000029", at(41) }, at(40),
			"G3 the server cannot archive 000000010000000000000029: it failed at 2026-03-02T17:00:00Z, and the last that it could was at 2026-03-02T16:00:00Z",
			"the server cannot archive 000000010000000000000029: it failed at 2026-03-02T17:00:00Z, and the last that it could was at 2026-03-02T16:00:00Z"},
		"it failed, and goes on since": {func(l *Live, _ *Archive, _ *Policy) { l.Failed, l.FailedAt = "000000010000000000000027", at(39) }, at(40), "", ""},
		"the base backup is overdue":   {nil, at(43), " the newest base backup ended 2026-03-02T05:59:00Z, and one is due every 10h 1min", ""},
		"the newest failed": {func(_ *Live, a *Archive, _ *Policy) { a.Backups[3].Status, a.Backups[3].Fault = BackupFailed, "killed" }, at(31),
			" base backup b030 is newer than all that can be recovered from, and cannot be: the base backup failed: killed", ""},
		"G3 a segment is missing": {func(_ *Live, a *Archive, _ *Policy) { a.Segments = append(a.Segments[:22:22], a.Segments[23:]...) }, at(40),
			"G3 segments are missing in main: 000000010000000000000019", ""},
		"a zone is that of the schedule": {func(_ *Live, _ *Archive, p *Policy) { p.Schedule = []string{"00,10,20:00 Europe/Berlin"} }, at(31), "", ""},
		"systemd loses a step of hours where the clock is put forward": {func(_ *Live, _ *Archive, p *Policy) { p.Schedule = []string{"00/10:00 Europe/Berlin"} }, at(31),
			" unknown: how old the newest base backup may get cannot be told: the last calendar event elapses on 2027-03-27 20:00:00 CET", ""},
		"a zone is not known": {func(_ *Live, _ *Archive, p *Policy) { p.Schedule = []string{"00/10:00 Europe/Berln"} }, at(31),
			" unknown: how old the newest base backup may get cannot be told: not known: 00/10:00 Europe/Berln", ""},
		"no base backup": {func(_ *Live, a *Archive, _ *Policy) { a.Backups = nil }, at(40), " main holds no base backup from which the server can be recovered", ""},
		"nothing":        {func(l *Live, a *Archive, _ *Policy) { *a = Archive{Server: "main"}; l.Archived = "" }, at(40), " nothing is archived below main in s3://bucket/pg/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			l, a, p := well(), long(), policy
			if c.change != nil {
				c.change(&l, &a, &p)
			}
			got := NewCheck(a, l, p, c.now, stateward.ZoneFunc(time.LoadLocation))
			var words, refused []string
			for _, f := range got.Faults {
				text := f.Message
				if f.Unknown {
					text = "unknown: " + text
				}
				words = append(words, f.Trap+" "+text)
				if f.Refuses {
					refused = append(refused, f.Message)
				}
			}
			require.Empty(t, cmp.Diff(c.want, strings.Join(words, "; ")))
			require.Empty(t, cmp.Diff(c.refused, strings.Join(refused, "; ")))
		})
	}
}

// What helps where nothing lies in the archive depends on why: a base backup into the wrong place helps nobody.
func TestHintOfAnEmptyArchive(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Live)
		want   string
	}{
		"nothing was archived yet":                 {nil, "stateward pitr backup makes the first base backup"},
		"something is wrong before it":             {func(l *Live) { l.ArchiveMode = "off" }, "mend what is said before; then stateward pitr backup makes the first base backup"},
		"what the server archived last is missing": {func(l *Live) { l.Archived, l.ArchivedAt = "000000010000000000000028", at(40) }, "mend what is said before; then stateward pitr backup makes the first base backup"},
		"what it archived last is listed nowhere": {func(l *Live) { l.Archived, l.ArchivedAt = "000000010000000000000028.partial", at(40) },
			"what the server says that it archived lies elsewhere, or is gone: look at archive_command and the store before a base backup is made"},
		"the archiver fails, and it once archived": {func(l *Live) {
			l.Archived, l.ArchivedAt, l.Failed, l.FailedAt = "000000010000000000000028", at(40), "000000010000000000000029", at(41)
		}, "mend what is said before; then stateward pitr backup makes the first base backup"},
	} {
		t.Run(name, func(t *testing.T) {
			l := well()
			l.Archived, l.ArchivedAt = "", time.Time{}
			if c.change != nil {
				c.change(&l)
			}
			got := NewCheck(Archive{Server: "main"}, l, policy, at(42), stateward.ZoneFunc(time.LoadLocation))
			last := got.Faults[len(got.Faults)-1]
			require.Equal(t, "nothing is archived below main in s3://bucket/pg/", last.Message)
			require.Equal(t, c.want, last.Hint)
		})
	}
}

func TestArchivesTo(t *testing.T) {
	for command, want := range map[string]string{
		archiving: "s3://bucket/pg main",
		`'/nix/store/x/bin/barman-cloud-wal-archive' '--endpoint-url=http://s3' 's3://bucket/pg' 'main' "%p"`: "s3://bucket/pg main",
		"barman-cloud-wal-archive -P prod s3://b a %p":                                                        "s3://b a",
		"barman-cloud-wal-archive --endpoint-url http://s3 $DESTINATION main %p":                              "",
		"/etc/archive %p": "",
		"test -f /x || barman-cloud-wal-archive s3://b a %p": "s3://b a",
	} {
		d, s, ok := ArchivesTo(command)
		require.Equal(t, want, strings.TrimSpace(d+" "+s), command)
		require.Equal(t, want != "", ok, command)
	}
}

func TestParseLive(t *testing.T) {
	l, err := ParseLive([]byte(`{"version" : 17, "system" : "7575000000000000007", "timeline" : "0000000a", "standby" : false, "mode" : "on", "command" : "x %p", "library" : "", "timeout" : 300, "lsn" : "0/5000060", "archived" : "00000002.history", "archived_at" : 1772323200.5, "failed" : null, "failed_at" : null, "history" : "1\t0/3000000\tno recovery target specified\n"}`))
	require.NoError(t, err)
	require.Empty(t, cmp.Diff(Live{Version: 17, SystemID: 7575000000000000007, Timeline: 10, ArchiveMode: "on", ArchiveCommand: "x %p", ArchiveTimeout: Span(5 * time.Minute), At: 0x5000060,
		Archived: "00000002.history", ArchivedAt: day.Add(500 * time.Millisecond), History: history(1, 0x3000000)}, l))
	_, err = ParseLive([]byte("psql: error"))
	require.Error(t, err)
}

func TestSegmentSystemID(t *testing.T) {
	page := make([]byte, 8192)
	copy(page, []byte{0x16, 0xd1, 0x02, 0x00})
	binary.LittleEndian.PutUint64(page[24:], 7575000000000000007)
	id, ok := SegmentSystemID(page)
	require.True(t, ok)
	require.Equal(t, uint64(7575000000000000007), id)
	_, ok = SegmentSystemID(page[:20])
	require.False(t, ok)
	_, ok = SegmentSystemID(make([]byte, 8192))
	require.False(t, ok)
}
