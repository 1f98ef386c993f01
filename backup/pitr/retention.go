package pitr

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Verdict is what becomes of one base backup.
type Verdict struct {
	Backup BaseBackup `json:"backup"`
	Remove bool       `json:"remove"`
	Reason string     `json:"reason"`
}

// Stretch is a row of segments of one timeline, of which none is missing.
type Stretch struct {
	Timeline Timeline `json:"timeline"`
	First    string   `json:"first"`
	Last     string   `json:"last"`
	Count    int      `json:"count"`
}

func (s Stretch) String() string {
	if s.Count == 1 {
		return s.First
	}
	return s.First + " to " + s.Last
}

// Retention is what a policy keeps of an archive, and what goes.
type Retention struct {
	Server string `json:"server"`
	// Since is where the window begins: any moment from there on can be recovered to afterwards, as far as it could before.
	Since time.Time `json:"since"`
	Now   time.Time `json:"now"`
	// Backups are all base backups, the oldest first, as their IDs have it.
	Backups []Verdict `json:"backups"`
	// Segments go: no base backup that stays is recovered with them.
	Segments []Stretch `json:"segments"`
	// Left is what can be recovered to afterwards, Gaps what is missing then as before.
	Left []Range `json:"left"`
	// Notes say what the policy asks for and does not have yet.
	Notes []string `json:"notes,omitempty"`

	gone map[Segment]bool
}

// Removed are the IDs of the base backups that go, in the order in which they do: the oldest first, since the log goes with it.
func (r Retention) Removed() (ids []string) {
	for _, v := range r.Backups {
		if v.Remove {
			ids = append(ids, v.Backup.ID)
		}
	}
	return ids
}

// Goes tells whether a segment is among those that go.
func (r Retention) Goes(s Segment) bool { return r.gone[s] }

// RetentionRefusedError says why nothing is removed from an archive.
type RetentionRefusedError struct{ Server, Reason, Advice string }

func (e *RetentionRefusedError) Error() string {
	return fmt.Sprintf("nothing is removed from %s: %s", e.Server, e.Reason)
}

// Hint says what to do.
func (e *RetentionRefusedError) Hint() string { return e.Advice }

// clockSlack is how far clocks of a server and of who removes may differ.
const clockSlack = 10 * time.Minute

// NewRetention says what a policy keeps. A base backup stays
//   - that ended inside the window,
//   - that is the newest of its stretch of the log which ended before the window: its first moments are recovered from it,
//   - of which somebody asked it (barman-cloud-backup-keep),
//   - that is one of the newest that can be recovered from, as many as the policy's redundancy, one at least.
//
// One that failed goes where a newer one can be recovered from. Segments go as barman-cloud removes them: those before the oldest base backup that
// stays, but of timelines on which another one lies.
//
// Where the window cannot be told, or what is left would not be what it must, nothing goes: the error is a *[RetentionError], a *[MixedError] or a
// *[RetentionRefusedError].
func NewRetention(a Archive, p Policy, now time.Time) (Retention, error) {
	if p.Window.Std() <= 0 {
		return Retention{}, &RetentionError{}
	}
	if ids := a.SystemIDs(); len(ids) > 1 {
		return Retention{}, &MixedError{Server: a.Server, SystemIDs: ids}
	}
	refuse := func(advice, format string, args ...any) (Retention, error) {
		return Retention{}, &RetentionRefusedError{a.Server, fmt.Sprintf(format, args...), advice}
	}
	r := Retention{Server: a.Server, Now: now, Since: now.Add(-p.Window.Std()), gone: map[Segment]bool{}}
	backups := slices.Clone(a.Backups)
	slices.SortFunc(backups, func(a, b BaseBackup) int { return cmp.Compare(a.ID, b.ID) })
	for _, b := range backups {
		switch {
		case b.Status == BackupUnreadable:
			return refuse("look at its backup.info in the store", "what is recorded of base backup %s cannot be understood: %s", b.ID, b.Fault)
		case b.Status == BackupDone && b.End.IsZero():
			return refuse("use barman-cloud 3.5 or later, which prints times with their zone", "when base backup %s ended is not known", b.ID)
		case b.End.After(now.Add(clockSlack)):
			return refuse("look at the clock of this machine, and of the server", "base backup %s ended at %s, which is to come: a clock is wrong", b.ID, b.End.Format(time.RFC3339))
		}
	}
	ranges, _ := Window(a)
	newest := newestLog(a)
	last := lastOf(ranges, newest)
	switch {
	case len(ranges) == 0:
		return refuse("make a base backup, and see what is missing: stateward pitr window", "there is nothing in it to recover to")
	case last < 0 || beyond(a, ranges[last]):
		return refuse("make a base backup: nothing newer can be recovered to before", "the newest log, of timeline %d, cannot be recovered to", newest)
	case ranges[last].To.Before(r.Since):
		return refuse("see why nothing is archived (stateward pitr check), and look at the clock of this machine",
			"the window begins %s, and nothing was archived since %s", r.Since.UTC().Format(time.RFC3339), ranges[last].To.Format(time.RFC3339))
	}
	keep := map[string]string{}
	stay := func(id, format string, args ...any) {
		if keep[id] == "" {
			keep[id] = fmt.Sprintf(format, args...)
		}
	}
	byID := map[string]BaseBackup{}
	usable := map[string]bool{}
	for _, b := range backups {
		byID[b.ID] = b
	}
	first := map[int]string{} // the base backup from which a range's part of the window is recovered
	for i, g := range ranges {
		for _, id := range g.Backups {
			usable[id] = true
			switch b := byID[id]; {
			case b.End.After(r.Since):
				stay(id, "it ended inside the window")
			case g.To.IsZero() || !g.To.Before(r.Since):
				first[i] = id // the last of them is the newest
			}
		}
	}
	for i := range slices.Backward(ranges) {
		if id := first[i]; id != "" {
			stay(id, "it is the newest before the window: from it the first moments of timeline %d are recovered", ranges[i].Timeline)
		}
	}
	// What the present can be recovered from, the newest first.
	var present []BaseBackup
	for _, g := range ranges {
		if g.Timeline == newest {
			for _, id := range g.Backups {
				present = append(present, byID[id])
			}
		}
	}
	slices.SortFunc(present, func(a, b BaseBackup) int { return compareBackups(b, a) })
	least := max(1, p.Redundancy)
	for i, b := range present[:min(least, len(present))] {
		if i == 0 {
			stay(b.ID, "it is the newest that can be recovered from")
		} else {
			stay(b.ID, "the policy keeps %d at least", least)
		}
	}
	if len(present) < least {
		r.Notes = append(r.Notes, fmt.Sprintf("the policy keeps %d base backups at least, and %d can be recovered from", least, len(present)))
	}
	if from := ranges[last].From; !from.IsZero() && from.After(r.Since) && lastOf(ranges[:last], newest) < 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("the window is not reached yet: it begins %s, and what can be recovered to begins %s", r.Since.UTC().Format(time.RFC3339), from.Format(time.RFC3339)))
	}
	newer := func(b BaseBackup) bool {
		return slices.ContainsFunc(present, func(x BaseBackup) bool { return x.ID > b.ID })
	}
	for _, b := range backups {
		v := Verdict{Backup: b, Reason: keep[b.ID]}
		switch {
		case b.Kept:
			v.Reason = "somebody asked that it be kept (barman-cloud-backup-keep)"
		case v.Reason != "":
		case b.Status == BackupRunning:
			v.Reason = "it was begun and is not done"
		case b.Status == BackupFailed && !newer(b):
			v.Reason = "it failed, and no newer one can be recovered from: look at it first"
		case b.Status == BackupFailed:
			v.Remove, v.Reason = true, "it failed"
		case !usable[b.ID] && b.End.After(r.Since):
			v.Reason = "it lacks segments; it goes once the window has passed it"
		case !usable[b.ID]:
			v.Remove, v.Reason = true, "it ended before the window, and lacks segments"
		default:
			v.Remove, v.Reason = true, "it ended before the window, and a newer one reaches its begin"
		}
		r.Backups = append(r.Backups, v)
	}
	left := a
	left.Backups = nil
	for _, v := range r.Backups {
		if !v.Remove {
			left.Backups = append(left.Backups, v.Backup)
		}
	}
	for _, s := range removedLog(a, r.Removed()) {
		r.gone[s] = true
	}
	left.Segments = slices.DeleteFunc(slices.Clone(a.Segments), func(s ArchivedSegment) bool { return r.gone[s.Segment] })
	r.Left, _ = Window(left)
	r.Segments = stretches(r.gone, a.SegmentSize)
	if r.Left == nil {
		r.Left = []Range{}
	}
	// What was said of the window is looked at once more, in what would be left.
	for i, g := range ranges {
		if !g.To.IsZero() && g.To.Before(r.Since) {
			continue
		}
		from := g.FromLSN
		if id := first[i]; id != "" {
			from = byID[id].EndLSN
		}
		if !slices.ContainsFunc(r.Left, func(l Range) bool {
			return l.Timeline == g.Timeline && l.FromLSN <= from && l.ToLSN == g.ToLSN
		}) {
			return refuse("remove what is not needed by hand: barman-cloud-backup-delete --dry-run names it", "barman-cloud would remove log from which %s is recovered", g)
		}
	}
	return r, nil
}

// removedLog is what barman-cloud-backup-delete removes of the log beside the base backups that it is given, one after another: nothing while an older one
// is there that is done; else all before the next that is, but of timelines on which another base backup lies. It compares names: those of older
// timelines come first.
func removedLog(a Archive, ids []string) (out []Segment) {
	backups := slices.Clone(a.Backups)
	slices.SortFunc(backups, func(a, b BaseBackup) int { return cmp.Compare(a.ID, b.ID) })
	gone := map[Segment]bool{}
	for _, id := range ids {
		at := slices.IndexFunc(backups, func(b BaseBackup) bool { return b.ID == id })
		if at < 0 {
			continue
		}
		done := func(b BaseBackup) bool { return b.Status == BackupDone }
		if !slices.ContainsFunc(backups[:at], done) {
			until := backups[at]
			if next := slices.IndexFunc(backups[at+1:], done); next >= 0 {
				until = backups[at+1+next]
			}
			others := map[Timeline]bool{}
			for i, b := range backups {
				if i != at {
					others[b.Timeline] = true
				}
			}
			delete(others, until.Timeline)
			begin := SegmentAt(until.Timeline, until.BeginLSN, a.SegmentSize).Name(a.SegmentSize)
			for _, s := range a.Segments {
				if !gone[s.Segment] && !others[s.Timeline] && s.Name(a.SegmentSize) < begin {
					gone[s.Segment] = true
					out = append(out, s.Segment)
				}
			}
		}
		backups = slices.Delete(backups, at, at+1)
	}
	return out
}

// stretches puts segments in rows.
func stretches(set map[Segment]bool, size SegmentSize) []Stretch {
	var all []Segment
	for s := range set {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Segment) int {
		return cmp.Or(cmp.Compare(a.Timeline, b.Timeline), cmp.Compare(a.Number, b.Number))
	})
	out := []Stretch{}
	for i, s := range all {
		if i == 0 || all[i-1].Next() != s {
			out = append(out, Stretch{Timeline: s.Timeline, First: s.Name(size)})
		}
		row := &out[len(out)-1]
		row.Last = s.Name(size)
		row.Count++
	}
	return out
}

// BackupDelete removes one base backup, and the log before the next where it is the oldest; with dryRun it only names the objects that would go.
func (b Barman) BackupDelete(p Policy, id string, dryRun bool) ([]string, error) {
	o := append(b.options(p, ToolBackupDelete), "--backup-id="+id)
	// Versions that know it refuse by themselves what would leave too few.
	if b.Flags[ToolBackupDelete].Has("--minimum-redundancy") {
		o = append(o, "--minimum-redundancy="+strconv.Itoa(max(1, p.Redundancy)))
	}
	if dryRun {
		o = append(o, "--dry-run")
	}
	return b.command(ToolBackupDelete, o, p.Destination, p.Server)
}
