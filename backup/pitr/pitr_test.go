package pitr

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func at(hour int) time.Time { return day.Add(time.Duration(hour) * time.Hour) }

// stored are segments of a timeline, each stored at the hour of its number.
func stored(t Timeline, numbers ...uint64) (out []ArchivedSegment) {
	for _, n := range numbers {
		out = append(out, ArchivedSegment{Segment{t, n}, at(int(n))})
	}
	return out
}

// base is a base backup within one segment, done at the hour of its number.
func base(id string, t Timeline, n uint64) BaseBackup {
	start := Segment{t, n}.Start(0)
	return BaseBackup{ID: id, Begin: at(int(n)).Add(-time.Hour), End: at(int(n)).Add(-time.Minute), BeginLSN: start + 40, EndLSN: start + 312, Timeline: t, SystemID: 7, Status: BackupDone}
}

func join(lists ...[]ArchivedSegment) (out []ArchivedSegment) {
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

func history(t Timeline, at LSN) History {
	return History{{Timeline: t, At: at, Reason: "no recovery target specified"}}
}

var whole = Archive{Server: "main", Backups: []BaseBackup{base("a", 1, 3), base("b", 1, 5)}, Segments: stored(1, 3, 4, 5, 6, 7)}

func TestWindow(t *testing.T) {
	promoted := whole
	promoted.Segments = join(whole.Segments, stored(2, 6, 7, 8, 9))
	promoted.Histories = map[Timeline]History{2: history(1, Segment{1, 6}.Start(0)+4096)}
	for name, c := range map[string]struct {
		change func(a *Archive)
		want   []string
	}{
		"nothing is there":                 {func(a *Archive) { *a = Archive{Server: "main"} }, nil},
		"two base backups share one range": {func(*Archive) {}, []string{"range 1 a b 02:59 07:00 0/8000000"}},
		"the last commit is known":         {func(a *Archive) { a.LastCommit = map[Timeline]time.Time{1: at(6)} }, []string{"range 1 a b 02:59 06:00! 0/8000000"}},
		"G3 a segment is missing": {func(a *Archive) { a.Segments = stored(1, 3, 5, 6) },
			[]string{"range 1 a 02:59 03:00 0/4000000", "range 1 b 04:59 06:00 0/7000000", "gap 1 segments 000000010000000000000004 000000010000000000000004 1 "}},
		"G3 the segment of a base backup is missing": {func(a *Archive) { a.Segments = stored(1, 4, 5, 6) },
			[]string{"range 1 b 04:59 06:00 0/7000000", "gap 1 backup 000000010000000000000003 000000010000000000000003 0 a"}},
		"log without a base backup": {func(a *Archive) { a.Backups = nil }, []string{"gap 1 uncovered 000000010000000000000003 000000010000000000000007 5 "}},
		"a base backup that failed": {func(a *Archive) { a.Backups[0].Status = BackupFailed; a.Backups[1].Status = BackupRunning },
			[]string{"gap 1 backup   0 a", "gap 1 backup   0 b", "gap 1 uncovered 000000010000000000000003 000000010000000000000007 5 "}},
		"a promotion": {func(a *Archive) { *a = promoted }, []string{"range 1 a b 02:59 07:00 0/8000000", "range 2 a b 02:59 09:00 0/A000000"}},
		"G3 the history is missing": {func(a *Archive) { *a = promoted; a.Histories = nil },
			[]string{"range 1 a b 02:59 07:00 0/8000000", "gap 2 history 00000002.history  0 "}},
		"a timeline of which only the history is there": {func(a *Archive) { a.Histories = map[Timeline]History{2: history(1, Segment{1, 7}.Start(0))} },
			[]string{"range 1 a b 02:59 07:00 0/8000000"}},
		"a base backup after the switch is none of the new timeline": {func(a *Archive) { *a = promoted; a.Backups = []BaseBackup{base("c", 1, 7)} },
			[]string{"range 1 c 06:59 07:00 0/8000000", "gap 2 uncovered 000000010000000000000003 000000020000000000000009 7 "}},
	} {
		t.Run(name, func(t *testing.T) {
			a := whole
			a.Backups = append([]BaseBackup{}, whole.Backups...)
			c.change(&a)
			ranges, gaps := Window(a)
			var got []string
			for _, r := range ranges {
				exact := ""
				if r.Exact {
					exact = "!"
				}
				got = append(got, fmt.Sprintf("range %d %s %s %s%s %s", r.Timeline, strings.Join(r.Backups, " "), r.From.Format("15:04"), r.To.Format("15:04"), exact, r.ToLSN))
			}
			for _, g := range gaps {
				got = append(got, fmt.Sprintf("gap %d %s %s %s %d %s", g.Timeline, g.Kind, g.First, g.Last, g.Count, g.Backup))
			}
			require.Empty(t, cmp.Diff(c.want, got))
		})
	}
}

func TestNewRecovery(t *testing.T) {
	gap := whole
	gap.Segments = stored(1, 3, 5, 7)
	two := whole
	two.Backups = append([]BaseBackup{}, whole.Backups...)
	two.Backups[1].SystemID = 8
	for name, c := range map[string]struct {
		archive Archive
		target  string
		want    string
	}{
		"G1 everything is the default":         {whole, "", "b of 1 to 000000010000000000000007, then main-t2"},
		"the newest base backup before it":     {whole, "2026-03-01T04:00:00Z", "a of 1 to 000000010000000000000007, then main-t2"},
		"another zone":                         {whole, "2026-03-01T07:00:00+01:00", "b of 1 to 000000010000000000000007, then main-t2"},
		"a place":                              {whole, "0/6000100", "b of 1 to 000000010000000000000006, then main-t2"},
		"G2 before the end of the base backup": {whole, "2026-03-01T02:30:00Z", "2026-03-01T02:30:00Z cannot be recovered to: the window is 2026-03-01T02:59:00Z to 2026-03-01T07:00:00Z on timeline 1"},
		"G2 after the last segment":            {whole, "2026-03-01T07:00:01Z", "2026-03-01T07:00:01Z cannot be recovered to: the window is 2026-03-01T02:59:00Z to 2026-03-01T07:00:00Z on timeline 1"},
		"G2 no zone":                           {whole, "2026-03-01T04:00:00", `target "2026-03-01T04:00:00" does not say of which time zone it is`},
		"G2 no time":                           {whole, "yesterday", `target "yesterday" is neither a time, a place in the log, nor "latest"`},
		"G3 in a gap":                          {gap, "2026-03-01T04:00:00Z", "2026-03-01T04:00:00Z cannot be recovered to: the window is 2026-03-01T02:59:00Z to 2026-03-01T03:00:00Z on timeline 1; 2026-03-01T04:59:00Z to 2026-03-01T05:00:00Z on timeline 1"},
		"G3 the end lies behind a gap":         {gap, "latest", "the end of the log cannot be recovered to: the window is 2026-03-01T02:59:00Z to 2026-03-01T03:00:00Z on timeline 1; 2026-03-01T04:59:00Z to 2026-03-01T05:00:00Z on timeline 1"},
		"G4 two clusters":                      {two, "", "the archive of main holds what 2 clusters wrote: their logs cannot be told apart"},
		"nothing":                              {Archive{Server: "main"}, "", "the end of the log cannot be recovered to: the archive can be recovered to no moment at all"},
	} {
		t.Run(name, func(t *testing.T) {
			target, err := ParseTarget(c.target)
			var got string
			if err == nil {
				var r Recovery
				r, err = NewRecovery(c.archive, target, Policy{})
				got = fmt.Sprintf("%s of %d to %s, then %s", r.Backup.ID, r.Timeline, r.Last, r.Archive)
			}
			if err != nil {
				got = err.Error()
				var hint interface{ Hint() string }
				require.ErrorAs(t, err, &hint)
				require.NotEmpty(t, hint.Hint())
			}
			require.Equal(t, c.want, got)
		})
	}
}

// G6, G1, G4: what is written promotes, names no "immediate", and archives nothing.
func TestSettings(t *testing.T) {
	target, err := ParseTarget("2026-03-01T04:00:00+01:00")
	require.NoError(t, err)
	text, err := WriteSettings(Recovery{Timeline: 2, Target: target}.Settings(`get %f '%p' \x`))
	require.NoError(t, err)
	require.Equal(t, `restore_command = 'get %f ''%p'' \\x'
recovery_target_timeline = '2'
recovery_target_time = '2026-03-01 03:00:00+00'
recovery_target_inclusive = 'on'
recovery_target_action = 'promote'
archive_mode = 'off'
`, text)
	text, err = WriteSettings(Recovery{Timeline: 1}.Settings("get"))
	require.NoError(t, err)
	require.NotContains(t, text, "immediate")
	require.NotContains(t, text, "recovery_target_time ")
	_, err = WriteSettings([]Setting{{"restore_command", "a\nb"}})
	require.Error(t, err)
}

func TestG6OnlyIntoAnEmptyDirectory(t *testing.T) {
	for state, ok := range map[DataState]bool{DataMissing: true, DataEmpty: true, DataOurs: true, DataCluster: false, DataOther: false, "": false} {
		err := Recovery{}.Into(DataDir{Path: "/d", State: state})
		require.Equal(t, ok, err == nil, state)
		require.Error(t, Recovery{}.Into(DataDir{Path: "/d", State: state, Running: true}))
	}
}

func TestG4ANewPrefix(t *testing.T) {
	a := whole
	require.NoError(t, Adopt(Archive{Server: "new"}, 7, 2))
	require.NoError(t, Adopt(a, 7, 1))
	require.Error(t, Adopt(a, 8, 1))
	require.Error(t, Adopt(Archive{Server: "x", Segments: stored(1, 1)}, 7, 1))
	a.Segments = join(a.Segments, stored(3, 8))
	require.Error(t, Adopt(a, 7, 2))
	require.Equal(t, "main-t4", NextServer("main", a))
	require.Equal(t, "main-t4", NextServer("main-t3", a))
	require.Equal(t, "main-t5", NextServer("main-t4", a))
}

func TestFiles(t *testing.T) {
	for name, c := range map[string]struct {
		size SegmentSize
		want string
	}{
		"000000010000000000000003":                 {0, "segment 1 3"},
		"0000000200000001000000FF.gz":              {0, "segment 2 511 gz"},
		"000000010000000100000003":                 {1 << 30, "segment 1 7"},
		"0000000100000000000000FF.partial":         {0, "partial 1 255"},
		"00000002.history":                         {0, "history 2 0"},
		"000000010000000000000003.00000028.backup": {0, "backup 1 3"},
		"000000010000000000000100":                 {0, "is no segment of 16777216 bytes"},
		"000000000000000000000001":                 {0, "is no file"},
		"00000001000000000000000a":                 {0, "is no file"},
		"backup.info":                              {0, "is no file"},
		"00000000.history":                         {0, "is no history"},
	} {
		f, err := ParseFile(name, c.size)
		if err != nil {
			require.ErrorContains(t, err, c.want)
			continue
		}
		require.Equal(t, c.want, strings.TrimSpace(fmt.Sprintf("%s %d %d %s", f.Kind, f.Segment.Timeline, f.Segment.Number, f.Compression)))
		require.Equal(t, strings.TrimSuffix(name, ".gz"), f.Name(c.size))
	}
}

func TestHistoryAndLabel(t *testing.T) {
	h, err := ParseHistory(3, "1\t0/5000000\tno recovery target specified\n\n# x\n2\t0/7000098\tbefore 2026-03-01 12:00:00+00\n")
	require.NoError(t, err)
	require.Equal(t, History{{1, 0x5000000, "no recovery target specified"}, {2, 0x7000098, "before 2026-03-01 12:00:00+00"}}, h)
	for text, want := range map[string]string{
		"x": "line 1 of 00000003.history has no place where the timeline was left", "3\t0/1": "names a timeline that is not older",
		"2\t0/2\n1\t0/3": "line 2 of 00000003.history is not in the order", "1\t0/5\n2\t0/3": "goes back in the log", "a\t0/5": "does not begin with a timeline",
	} {
		_, err := ParseHistory(3, text)
		require.ErrorContains(t, err, want)
	}
	l, err := ParseLabel("START WAL LOCATION: 0/3000028 (file 000000010000000000000003)\nCHECKPOINT LOCATION: 0/3000060\nBACKUP METHOD: streamed\nLABEL: Barman backup cloud x\nSTART TIMELINE: 1\n")
	require.NoError(t, err)
	require.Equal(t, Label{Start: 0x3000028, Segment: "000000010000000000000003", Timeline: 1, Label: "Barman backup cloud x"}, l)
}

func help(t *testing.T, version string) Barman {
	b := Barman{Flags: map[string]Flags{}}
	files, err := filepath.Glob("testdata/help-" + version + "-*.txt")
	require.NoError(t, err)
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		f, err := ParseHelp(string(data))
		require.NoError(t, err, name)
		b.Flags[f.Tool] = f
	}
	require.NotEmpty(t, b.Flags)
	return b
}

// G7: the commands are what the help of the installed versions has.
func TestG7CommandsByTheHelpOfTheTool(t *testing.T) {
	p := Policy{Destination: "s3://bucket/pg", Server: "main", Endpoint: "http://localhost:9000", Profile: "pg", Compression: "gzip", Encryption: "AES256", Window: Span(14 * 24 * time.Hour), Redundancy: 1,
		Cluster: Cluster{Socket: "/run/postgresql", Port: 5433, User: "postgres"}}
	for version, want := range map[string][]string{
		"3.4": {
			"barman-cloud-wal-archive --endpoint-url=http://localhost:9000 --profile=pg --encryption=AES256 --gzip s3://bucket/pg main %p",
			"barman-cloud-wal-restore --endpoint-url=http://localhost:9000 --profile=pg s3://bucket/pg main %f %p",
			"barman-cloud-backup --endpoint-url=http://localhost:9000 --profile=pg --encryption=AES256 --gzip --host=/run/postgresql --port=5433 --user=postgres s3://bucket/pg main",
			"barman-cloud-backup-list --endpoint-url=http://localhost:9000 --profile=pg --format=json s3://bucket/pg main",
			"barman-cloud-check-wal-archive --endpoint-url=http://localhost:9000 --profile=pg s3://bucket/pg main",
			"barman-cloud-restore --endpoint-url=http://localhost:9000 --profile=pg --tablespace=fast:/srv/fast s3://bucket/pg main 20260301T100000 /srv/pg",
			"barman-cloud-backup-delete --endpoint-url=http://localhost:9000 --profile=pg --retention-policy=RECOVERY WINDOW OF 14 DAYS s3://bucket/pg main",
		},
	} {
		b := help(t, version)
		var got []string
		add := func(args []string, err error) {
			require.NoError(t, err)
			got = append(got, strings.Join(args, " "))
		}
		add(b.WALArchive(p, "%p"))
		add(b.WALRestore(p, "%f", "%p"))
		add(b.Backup(p))
		add(b.BackupList(p))
		add(b.Check(p))
		add(b.Restore(p, "20260301T100000", "/srv/pg", map[string]string{"fast": "/srv/fast"}))
		add(b.Retention(p, false))
		require.Empty(t, cmp.Diff(want, got))
	}
	old, now := help(t, "3.4"), help(t, "3.17")
	p.Redundancy = 2
	_, err := old.Retention(p, false)
	require.EqualError(t, err, "barman-cloud-backup-delete has no option --minimum-redundancy")
	args, err := now.Retention(p, true)
	require.NoError(t, err)
	require.Contains(t, args, "--minimum-redundancy=2")
	require.Contains(t, args, "--dry-run")
	p.Compression = "zstd"
	_, err = old.WALArchive(p, "%p")
	var flag *FlagError
	require.True(t, errors.As(err, &flag))
	require.Equal(t, "barman-cloud-wal-archive has no option --zstd", err.Error())
	require.Contains(t, flag.Hint(), "--gzip")
	args, err = now.WALArchive(p, "%p")
	require.NoError(t, err)
	require.Contains(t, args, "--zstd")
	require.Contains(t, args, "--aws-profile=pg")
	require.False(t, now.Flags[ToolWALArchive].Has("--compression"), "the option that people guess")
	require.Equal(t, []string{"destination_url", "server_name", "wal_path"}, now.Flags[ToolWALArchive].Arguments)
	require.Equal(t, []string{"destination_url", "server_name", "wal_path"}, help(t, "2.12").Flags[ToolWALArchive].Arguments)
	p.Server = "-rf"
	_, err = now.WALArchive(p, "%p")
	require.Error(t, err)
	_, err = now.Retention(Policy{Destination: "s3://b", Server: "m"}, false)
	require.EqualError(t, err, "the policy has no recovery window")
	_, err = ParseHelp("usage: rm FILE\n\nx")
	require.Error(t, err)
}

func TestBackupList(t *testing.T) {
	for _, version := range []string{"3.4", "3.17"} {
		data, err := os.ReadFile("testdata/backup-list-" + version + ".json")
		require.NoError(t, err)
		list, size, err := Barman{}.ParseBackupList(data)
		require.NoError(t, err)
		require.Equal(t, DefaultSegmentSize, size)
		require.Len(t, list, 2)
		want := BaseBackup{ID: "20260301T100000", Begin: time.Date(2026, 3, 1, 10, 0, 0, 250e6, time.UTC), End: time.Date(2026, 3, 1, 10, 0, 12, 500e6, time.UTC),
			BeginLSN: 0x3000028, EndLSN: 0x3000138, Timeline: 1, SystemID: 7436958420313123456, Status: BackupDone, Version: 17}
		if version == "3.4" {
			want.Begin, want.End = time.Time{}, time.Time{} // it prints them without their zone
		}
		require.Empty(t, cmp.Diff(want, list[0], cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })))
		require.Equal(t, BackupFailed, list[1].Status)
		require.Equal(t, "failure uploading data (connection reset)", list[1].Fault)
	}
	for _, text := range []string{"", "{}", "[]", `{"backups_list": 3}`} {
		_, _, err := Barman{}.ParseBackupList([]byte(text))
		require.Error(t, err)
	}
	list, _, err := Barman{}.ParseBackupList([]byte(`{"backups_list": [{"backup_id": "x", "status": "DONE"}]}`))
	require.NoError(t, err)
	require.Equal(t, BackupUnreadable, list[0].Status)
}

func FuzzParseFile(f *testing.F) {
	f.Add("000000010000000000000003.gz", uint8(24))
	f.Add("00000002.history", uint8(20))
	f.Fuzz(func(t *testing.T, name string, shift uint8) {
		size := SegmentSize(1) << (20 + shift%11)
		file, err := ParseFile(name, size)
		if err != nil {
			return
		}
		back := file.Name(size)
		if file.Compression != "" {
			back += "." + file.Compression
		}
		require.Equal(t, name, back)
	})
}

func FuzzParsers(f *testing.F) {
	f.Add("1\t0/5000000\tx\n")
	f.Add(`{"backups_list": [{"timeline": "1", "systemid": 3}]}`)
	f.Add("usage: barman-cloud-x [-t] a\n\npositional arguments:\n  a  b\n")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHistory(9, text)
		for i := 1; err == nil && i < len(h); i++ {
			require.Less(t, h[i-1].Timeline, h[i].Timeline)
		}
		_, _, _ = Barman{}.ParseBackupList([]byte(text))
		_, _ = ParseHelp(text)
		_, _ = ParseLabel(text)
		_, _ = ParseTarget(text)
	})
}

// Whatever is missing: all segments of a range are there, from its first base backup on, and each target inside is planned from one that
// ended before it.
func TestRangesHoldTheirSegments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a Archive
		a.Server = "main"
		there := map[Segment]bool{}
		for _, n := range rapid.SliceOfNDistinct(rapid.Uint64Range(1, 14), 0, 14, rapid.ID[uint64]).Draw(t, "one") {
			there[Segment{1, n}] = true
			a.Segments = append(a.Segments, stored(1, n)...)
		}
		left := rapid.Uint64Range(2, 12).Draw(t, "left")
		for _, n := range rapid.SliceOfNDistinct(rapid.Uint64Range(left, 18), 0, 8, rapid.ID[uint64]).Draw(t, "two") {
			there[Segment{2, n}] = true
			a.Segments = append(a.Segments, stored(2, n)...)
		}
		if rapid.Bool().Draw(t, "history") {
			a.Histories = map[Timeline]History{2: history(1, Segment{1, left}.Start(0)+100)}
		}
		for i, n := range rapid.SliceOfN(rapid.Uint64Range(1, 14), 0, 4).Draw(t, "backups") {
			a.Backups = append(a.Backups, base(fmt.Sprint(i), 1, n))
		}
		ranges, _ := Window(a)
		for _, r := range ranges {
			for n := SegmentAt(1, r.FromLSN, 0).Number; n < SegmentAt(1, r.ToLSN, 0).Number; n++ {
				require.True(t, there[Segment{1, n}] && (r.Timeline == 1 || n <= left) || r.Timeline == 2 && there[Segment{2, n}], "%v lacks %d", r, n)
			}
			for _, target := range []Target{{Time: r.From, Timeline: r.Timeline}, {Time: r.To, Timeline: r.Timeline}, {LSN: r.ToLSN, Timeline: r.Timeline}} {
				got, err := NewRecovery(a, target, Policy{})
				require.NoError(t, err)
				require.False(t, !target.Time.IsZero() && got.Backup.End.After(target.Time))
				require.NotEqual(t, a.Server, got.Archive)
			}
		}
		again, _ := Window(a)
		require.Empty(t, cmp.Diff(ranges, again))
	})
}
