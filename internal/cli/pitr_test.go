package cli

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/backup/pitr"
)

// The policy that docs/pitr.md shows is one.
func TestExamplePolicyIsRead(t *testing.T) {
	p, err := readPITRPolicy(repository + "/examples/pitr/postgresql.json")
	require.NoError(t, err)
	require.Equal(t, "forge", p.Server)
	require.Equal(t, 14*24*time.Hour, p.Window.Std())
	require.Equal(t, 5*time.Minute, p.ArchiveTimeout.Std())
}

// What lies before the first base backup is not missing.
func TestGapsOfAWindow(t *testing.T) {
	for want, g := range map[string]pitr.Gap{
		"main: not recoverable on timeline 1: 000000010000000000000001: no base backup": {Timeline: 1, Kind: pitr.GapUncovered, First: "000000010000000000000001", Last: "000000010000000000000001", Reason: "no base backup"},
		"main: missing on timeline 2: 00000002.history: gone":                           {Timeline: 2, Kind: pitr.GapHistory, First: "00000002.history", Reason: "gone"},
		"main: missing on timeline 1: a to b: gone":                                     {Timeline: 1, Kind: pitr.GapSegments, First: "a", Last: "b", Reason: "gone"},
	} {
		require.Equal(t, want, gapText("main", g))
	}
}

// Log before the first base backup is told, and is no fault; all else that is missing is one.
func TestStatusOfAWindow(t *testing.T) {
	const size = pitr.SegmentSize(16 << 20)
	at := func(n uint64) time.Time {
		return time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n) * time.Hour)
	}
	log := func(t pitr.Timeline, numbers ...uint64) (out []pitr.ArchivedSegment) {
		for _, n := range numbers {
			out = append(out, pitr.ArchivedSegment{Segment: pitr.Segment{Timeline: t, Number: n}, At: at(n)})
		}
		return out
	}
	base := func(t pitr.Timeline, n uint64) pitr.BaseBackup {
		begin := pitr.Segment{Timeline: t, Number: n}.Start(size)
		return pitr.BaseBackup{ID: "a", Status: pitr.BackupDone, Timeline: t, BeginLSN: begin, EndLSN: begin + 4096, Begin: at(n), End: at(n)}
	}
	left := map[pitr.Timeline]pitr.History{2: {{Timeline: 1, At: pitr.Segment{Timeline: 1, Number: 6}.Start(size) + 4096}}}
	for name, c := range map[string]struct {
		segments []pitr.ArchivedSegment
		backups  []pitr.BaseBackup
		want     int
	}{
		"all is there":                             {log(1, 3, 4, 5), []pitr.BaseBackup{base(1, 4)}, 0},
		"log before the first base backup":         {append(log(1, 3, 4, 5, 6), log(2, 6, 7, 8)...), []pitr.BaseBackup{base(2, 7)}, 0},
		"log that its timeline left behind":        {append(log(1, 3, 4, 5, 6, 7), log(2, 6, 7, 8)...), []pitr.BaseBackup{base(2, 8)}, StatusFindings},
		"log that no base backup reaches any more": {append(log(1, 3, 4, 5, 6, 7), log(2, 6, 7, 8)...), []pitr.BaseBackup{base(1, 7)}, StatusFindings},
		"G3 a hole before the first base backup":   {log(1, 1, 3, 4, 5), []pitr.BaseBackup{base(1, 4)}, StatusFindings},
		"G3 a hole after it":                       {log(1, 3, 4, 6), []pitr.BaseBackup{base(1, 3)}, StatusFindings},
		"no base backup yet":                       {log(1, 3, 4, 5), nil, StatusStep},
		"one that is of no use":                    {append(log(1, 3, 4, 5, 6), log(2, 6, 7)...), []pitr.BaseBackup{base(2, 9)}, StatusStep},
		"nothing":                                  {nil, nil, StatusStep},
	} {
		t.Run(name, func(t *testing.T) {
			a := pitr.Archive{Server: "main", SegmentSize: size, Segments: c.segments, Backups: c.backups, Histories: left}
			if len(c.segments) == 0 || c.segments[len(c.segments)-1].Timeline == 1 {
				a.Histories = nil
			}
			ranges, gaps := pitr.Window(a)
			err := windowStatus(a, ranges, gaps)
			if c.want == 0 {
				require.NoError(t, err)
				return
			}
			var status *statusError
			require.ErrorAs(t, err, &status)
			require.Equal(t, c.want, status.status)
		})
	}
}
