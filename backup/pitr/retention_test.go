package pitr

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// named is a base backup whose ID has the order of its time, as those of barman-cloud have.
func named(t Timeline, n uint64) BaseBackup {
	return base(fmt.Sprintf("b%03d", n), t, n)
}

func span(hours int) Span { return Span(time.Duration(hours) * time.Hour) }

// long is an archive of timeline 1 with base backups at 3, 10, 20 and 30, and the log up to 40.
func long() Archive {
	a := Archive{Server: "main", Backups: []BaseBackup{named(1, 3), named(1, 10), named(1, 20), named(1, 30)}}
	for n := uint64(3); n <= 40; n++ {
		a.Segments = append(a.Segments, stored(1, n)...)
	}
	return a
}

func TestRetention(t *testing.T) {
	for name, c := range map[string]struct {
		change func(a *Archive)
		policy Policy
		now    int
		want   string
	}{
		"the newest before the window stays": {nil, Policy{Window: span(15)}, 40,
			"-b003 -b010 b020 b030; 000000010000000000000003 to 000000010000000000000013"},
		"what ended inside stays, and the one from which the window begins": {nil, Policy{Window: span(25)}, 40,
			"-b003 b010 b020 b030; 000000010000000000000003 to 000000010000000000000009"},
		"redundancy keeps more": {nil, Policy{Window: span(5), Redundancy: 3}, 40,
			"-b003 b010 b020 b030; 000000010000000000000003 to 000000010000000000000009"},
		"the window is not reached": {nil, Policy{Window: span(100)}, 40,
			"b003 b010 b020 b030; "},
		"a short window keeps the last": {nil, Policy{Window: span(2)}, 41,
			"-b003 -b010 -b020 b030; 000000010000000000000003 to 00000001000000000000001D"},
		"one that somebody keeps": {func(a *Archive) { a.Backups[0].Kept = true }, Policy{Window: span(5)}, 40,
			"b003 -b010 -b020 b030; "},
		"one that failed": {func(a *Archive) { a.Backups[1].Status = BackupFailed }, Policy{Window: span(100)}, 40,
			"b003 -b010 b020 b030; "},
		"the newest failed": {func(a *Archive) { a.Backups[3].Status = BackupFailed }, Policy{Window: span(5)}, 40,
			"-b003 -b010 b020 b030; 000000010000000000000003 to 000000010000000000000013"},
		"one at work": {func(a *Archive) { a.Backups[3].Status = BackupRunning; a.Backups[3].End = time.Time{} }, Policy{Window: span(5)}, 40,
			"-b003 -b010 b020 b030; 000000010000000000000003 to 000000010000000000000013"},
		"G3 before a gap inside the window": {func(a *Archive) {
			a.Segments = slices.DeleteFunc(a.Segments, func(s ArchivedSegment) bool { return s.Number == 25 })
		}, Policy{Window: span(17)}, 40,
			"-b003 -b010 b020 b030; 000000010000000000000003 to 000000010000000000000013"},
		"G3 before a gap outside the window": {func(a *Archive) {
			a.Segments = slices.DeleteFunc(a.Segments, func(s ArchivedSegment) bool { return s.Number == 25 })
		}, Policy{Window: span(11)}, 40,
			"-b003 -b010 -b020 b030; 000000010000000000000003 to 000000010000000000000018, 00000001000000000000001A to 00000001000000000000001D"},
		"a broken one does not count": {func(a *Archive) {
			a.Segments = slices.DeleteFunc(a.Segments, func(s ArchivedSegment) bool { return s.Number == 30 })
		}, Policy{Window: span(5)}, 40,
			"nothing is removed from main: the newest log, of timeline 1, cannot be recovered to"},
		"G4 two clusters":            {func(a *Archive) { a.Backups[0].SystemID = 8 }, Policy{Window: span(5)}, 40, "the archive of main holds what 2 clusters wrote: their logs cannot be told apart"},
		"G4 the log is another's":    {func(a *Archive) { a.LogSystemID = 8 }, Policy{Window: span(5)}, 40, "the archive of main holds what 2 clusters wrote: their logs cannot be told apart"},
		"no window":                  {nil, Policy{}, 40, "the policy has no recovery window"},
		"a time is not known":        {func(a *Archive) { a.Backups[0].End = time.Time{} }, Policy{Window: span(5)}, 40, "nothing is removed from main: when base backup b003 ended is not known"},
		"a record is not understood": {func(a *Archive) { a.Backups[0].Status = BackupUnreadable; a.Backups[0].Fault = "x" }, Policy{Window: span(5)}, 40, "nothing is removed from main: what is recorded of base backup b003 cannot be understood: x"},
		"the clock is behind":        {nil, Policy{Window: span(5)}, 20, "nothing is removed from main: base backup b030 ended at 2026-03-02T05:59:00Z, which is to come: a clock is wrong"},
		"the clock is ahead, or nothing is archived any more": {nil, Policy{Window: span(5)}, 400, "nothing is removed from main: the window begins 2026-03-17T11:00:00Z, and nothing was archived since 2026-03-02T16:00:00Z"},
		"nothing to recover to":                               {func(a *Archive) { a.Backups = nil }, Policy{Window: span(5)}, 40, "nothing is removed from main: there is nothing in it to recover to"},
		"a promotion": {func(a *Archive) {
			a.Segments = append(slices.DeleteFunc(a.Segments, func(s ArchivedSegment) bool { return s.Number > 25 }), stored(2, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)...)
			a.Histories = map[Timeline]History{2: history(1, Segment{1, 25}.Start(0)+4096)}
			a.Backups[3].Timeline = 2
		}, Policy{Window: span(5)}, 40, "-b003 -b010 -b020 b030; 000000010000000000000003 to 000000010000000000000019, 000000020000000000000019 to 00000002000000000000001D"},
		"a promotion inside the window": {func(a *Archive) {
			a.Segments = append(slices.DeleteFunc(a.Segments, func(s ArchivedSegment) bool { return s.Number > 25 }), stored(2, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40)...)
			a.Histories = map[Timeline]History{2: history(1, Segment{1, 25}.Start(0)+4096)}
			a.Backups[3].Timeline = 2
		}, Policy{Window: span(17)}, 40, "-b003 -b010 b020 b030; 000000010000000000000003 to 000000010000000000000013"},
		"the new timeline has no history": {func(a *Archive) { a.Segments = append(a.Segments, stored(2, 41)...) }, Policy{Window: span(5)}, 40, "nothing is removed from main: the newest log, of timeline 2, cannot be recovered to"},
	} {
		t.Run(name, func(t *testing.T) {
			a := long()
			if c.change != nil {
				c.change(&a)
			}
			r, err := NewRetention(a, c.policy, at(c.now))
			if err != nil {
				require.Equal(t, c.want, err.Error())
				require.NotEmpty(t, err.(interface{ Hint() string }).Hint())
				return
			}
			var words, rows []string
			for _, v := range r.Backups {
				require.NotEmpty(t, v.Reason)
				if v.Remove {
					words = append(words, "-"+v.Backup.ID)
				} else {
					words = append(words, v.Backup.ID)
				}
			}
			for _, s := range r.Segments {
				rows = append(rows, s.String())
			}
			require.Empty(t, cmp.Diff(c.want, strings.Join(words, " ")+"; "+strings.Join(rows, ", ")))
		})
	}
}

// anyArchive is one of up to three timelines, with gaps, and base backups in any state.
func anyArchive(t *rapid.T) Archive {
	a := Archive{Server: "main", Histories: map[Timeline]History{}}
	n := uint64(1)
	var h History
	for tl := Timeline(1); tl <= Timeline(rapid.IntRange(1, 3).Draw(t, "timelines")); tl++ {
		if tl > 1 && rapid.IntRange(0, 9).Draw(t, "history") > 0 {
			a.Histories[tl] = h
		}
		for range rapid.IntRange(1, 25).Draw(t, "length") {
			if rapid.IntRange(0, 19).Draw(t, "there") > 0 {
				a.Segments = append(a.Segments, stored(tl, n)...)
			}
			if rapid.IntRange(0, 3).Draw(t, "backup") == 0 {
				b := named(tl, n)
				b.ID += fmt.Sprint(tl)
				switch rapid.IntRange(0, 9).Draw(t, "state") {
				case 0:
					b.Status = BackupFailed
				case 1:
					b.Status, b.End = BackupRunning, time.Time{}
				case 2:
					b.Kept = true
				}
				a.Backups = append(a.Backups, b)
			}
			n++
		}
		// It is left in its last segment, or in one before: what follows there is a way that nobody goes on.
		n -= uint64(rapid.IntRange(0, min(3, int(n)-1)).Draw(t, "back"))
		h = append(slices.Clone(h), Switch{Timeline: tl, At: Segment{tl, n}.Start(0) + 4096})
		if len(h) > 1 && h[len(h)-1].At < h[len(h)-2].At {
			h[len(h)-1].At = h[len(h)-2].At
		}
	}
	return a
}

// Whatever lies in an archive: each moment of the window that could be recovered to can be afterwards, on the same timeline, and so can the end of the
// log; as many base backups are left as the policy says, one at least; and doing it twice does nothing the second time.
func TestG3RetentionKeepsTheWindow(t *testing.T) {
	removed := 0
	rapid.Check(t, func(t *rapid.T) {
		a := anyArchive(t)
		now := at(rapid.IntRange(20, 90).Draw(t, "now"))
		p := Policy{Window: span(rapid.IntRange(1, 60).Draw(t, "window")), Redundancy: rapid.IntRange(0, 4).Draw(t, "redundancy")}
		r, err := NewRetention(a, p, now)
		if err != nil {
			return
		}
		ids := r.Removed()
		removed += len(ids)
		after := a
		after.Backups = slices.DeleteFunc(slices.Clone(a.Backups), func(b BaseBackup) bool { return slices.Contains(ids, b.ID) })
		after.Segments = slices.DeleteFunc(slices.Clone(a.Segments), func(s ArchivedSegment) bool { return r.Goes(s.Segment) })
		for _, b := range a.Backups {
			if b.Kept || b.Status == BackupRunning || b.End.After(r.Since) && b.Status == BackupDone {
				require.NotContains(t, ids, b.ID)
			}
		}
		for tl := range Timeline(4) {
			for m := r.Since; !m.After(now); m = m.Add(20 * time.Minute) {
				target := Target{Time: m, Timeline: tl}
				before, err := NewRecovery(a, target, p)
				if err != nil {
					continue
				}
				rec, err := NewRecovery(after, target, p)
				require.NoError(t, err, "%s", target)
				require.Equal(t, before.Timeline, rec.Timeline, "%s", target)
				require.Equal(t, before.Backup, rec.Backup, "%s", target)
			}
		}
		whole, err := NewRecovery(a, Target{}, p)
		require.NoError(t, err, "nothing is removed where the end of the log cannot be recovered to")
		rec, err := NewRecovery(after, Target{}, p)
		require.NoError(t, err)
		require.Equal(t, whole.Range.ToLSN, rec.Range.ToLSN)
		usable := func(a Archive) int {
			ids := map[string]bool{}
			ranges, _ := Window(a)
			for _, g := range ranges {
				if g.Timeline == newestLog(a) {
					for _, id := range g.Backups {
						ids[id] = true
					}
				}
			}
			return len(ids)
		}
		require.GreaterOrEqual(t, usable(after), min(usable(a), max(1, p.Redundancy)))
		again, err := NewRetention(after, p, now)
		require.NoError(t, err)
		require.Empty(t, again.Removed())
	})
	require.Positive(t, removed, "no archive of which something goes was tried")
}
