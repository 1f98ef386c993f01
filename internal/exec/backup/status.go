//go:build unix

package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/restic"
)

// State is what there is to say of a job.
type State string

// The states. Unknown is neither good nor bad: what is in the repository was not seen (E7).
const (
	Fine    State = "fine"
	Faulty  State = "faulty"
	Unknown State = "unknown"
)

// Reading is how reading a repository ended.
type Reading string

// The readings. Only of one that is read is anything known.
const (
	Read Reading = "read"
	// Missing is a place at which there is no repository now. That says nothing of whether there is a backup: a disk may not be mounted.
	Missing   Reading = "no repository"
	BadSecret Reading = "wrong password"
	// Unreachable is one that did not answer, in time or with anything that could be read.
	Unreachable Reading = "unreachable"
	// NotAsked is one for which restic could not be run.
	NotAsked Reading = "not asked"
)

// StatusOptions are those of [StatusOf], beside those of a run.
type StatusOptions struct {
	Options
	// Timeout ends the reading of a repository that does not answer; 0 means two minutes.
	Timeout time.Duration
	// Hostname is what restic calls this machine in its locks; empty means that it is not known.
	Hostname string
}

// defaultTimeout is far more than reading takes, and less than restic tries for: a quarter of an hour.
const defaultTimeout = 2 * time.Minute

// growthWindow is the time over which growth is looked at.
const growthWindow = 30 * 24 * time.Hour

// maxLocks is how many locks are looked at one by one.
const maxLocks = 20

// Status is what record and repository say of a job.
type Status struct {
	Job   string `json:"job"`
	State State  `json:"state"`
	// Repository says whether it could be read. Snapshots, Newest and all that follows from them are only known where it was.
	Repository Reading `json:"repository"`
	// RepositoryMessage is what restic says of one that could not be read, without secrets.
	RepositoryMessage string `json:"repositoryMessage,omitempty"`
	LastRun           *Last  `json:"lastRun,omitempty"`
	LastGood          *Good  `json:"lastGood,omitempty"`
	// AgeSeconds is that of the last good run.
	AgeSeconds *float64 `json:"ageSeconds,omitempty"`
	// RPO is how old it may be; empty where the job says nothing of that.
	RPO string `json:"rpo,omitempty"`
	// Snapshots counts those of the job.
	Snapshots *int            `json:"snapshots,omitempty"`
	Newest    *SnapshotStatus `json:"newest,omitempty"`
	Growth    *Growth         `json:"growth,omitempty"`
	Locks     []LockStatus    `json:"locks,omitempty"`
	// Elsewhere are snapshots that have the tag of the job and another host, other tags or other paths: the policy of the job never
	// forgets them.
	Elsewhere []Elsewhere `json:"elsewhere,omitempty"`
	// After is what became of forget, prune and check.
	After  map[string]After `json:"after,omitempty"`
	Faults []Fault          `json:"faults"`
	// Notes are no faults.
	Notes []string `json:"notes,omitempty"`
}

// SnapshotStatus is a snapshot of the repository.
type SnapshotStatus struct {
	ID   string    `json:"id"`
	Time time.Time `json:"time"`
	// Files and Bytes are what it holds; absent where restic did not write them down.
	Files *int64 `json:"files,omitempty"`
	Bytes *int64 `json:"bytes,omitempty"`
}

// Growth is how the snapshots of a job grew.
type Growth struct {
	// Since is the time of the snapshot that the newest is compared with.
	Since time.Time `json:"since"`
	// Bytes and Files are how much more the newest holds.
	Bytes int64 `json:"bytes"`
	Files int64 `json:"files"`
	// Added is what the snapshots after that one took in the repository as they were made, those that are forgotten not counted.
	Added int64 `json:"added"`
}

// LockStatus is a lock of the repository.
type LockStatus struct {
	restic.Lock
	// Stale tells that restic would remove it.
	Stale bool `json:"stale"`
}

// Elsewhere are snapshots of the same place.
type Elsewhere struct {
	Host      string    `json:"host"`
	Paths     []string  `json:"paths"`
	Snapshots int       `json:"snapshots"`
	Newest    time.Time `json:"newest"`
}

// Fault is something that is overdue, stale or contradicts itself.
type Fault struct {
	Kind    FaultKind `json:"kind"`
	Message string    `json:"message"`
	Hint    string    `json:"hint,omitempty"`
}

// FaultKind is a kind of fault.
type FaultKind string

// The kinds.
const (
	// NoGoodRun: no run is known that was good.
	NoGoodRun FaultKind = "no good run"
	// Overdue: the last good run is older than the RPO.
	Overdue FaultKind = "overdue"
	// Lacking: the record says that a snapshot is good which the repository does not have.
	Lacking FaultKind = "snapshot missing"
	// BadRun: the newest run did not end well.
	BadRun FaultKind = "last run"
	// StaleLock: a lock of somebody who is gone keeps prune from running.
	StaleLock FaultKind = "stale lock"
	// FailingStep: forget, prune or check fails since some time.
	FailingStep FaultKind = "failing step"
	// Moved: newer snapshots of the job are under another host or other paths.
	Moved FaultKind = "elsewhere"
	// BadClock: something is in the future.
	BadClock FaultKind = "clock"
	// BadRecord: the record cannot be read.
	BadRecord FaultKind = "record"
	// BadLock: a lock could not be read.
	BadLock FaultKind = "unreadable lock"
)

func (s *Status) fault(kind FaultKind, hint, format string, args ...any) {
	s.Faults = append(s.Faults, Fault{kind, fmt.Sprintf(format, args...), hint})
}

// clockSlack is how far clocks may be apart.
const clockSlack = 5 * time.Minute

// StatusOf reads the record of a job and its repository. It takes no lock and changes nothing; restic writes to its cache only. What could
// not be seen is in the result.
func StatusOf(ctx context.Context, j restic.Job, o StatusOptions) *Status {
	s := &Status{Job: j.Name, Repository: NotAsked, RPO: j.RPO, Faults: []Fault{}}
	now := o.Now()
	rec, err := ReadRecord(o.StateDir, j.Name)
	switch {
	case err != nil:
		h := ""
		if x := (*RecordError)(nil); errors.As(err, &x) {
			h = x.Hint()
		}
		s.fault(BadRecord, h, "the record of the job cannot be read: %v", err)
	case rec != nil:
		s.LastRun, s.LastGood, s.After = rec.LastRun, rec.LastGood, rec.After
	}
	list, locks, err := s.read(ctx, j, o)
	if err != nil {
		s.RepositoryMessage = err.Error()
	}
	s.recorded(j, now)
	if rec != nil && rec.Running != nil {
		switch at, err := atWork(o.LockDir, j.Name); {
		case err != nil:
			s.Notes = append(s.Notes, fmt.Sprintf("a run began on %s; whether it is at work still is not known: %v", stamp(*rec.Running), err))
		case at:
			s.Notes = append(s.Notes, "a run is at work since "+stamp(*rec.Running))
		default:
			s.fault(BadRun, restic.Killed.Hint(), "the newest run, of %s, was killed: it never said how it ended", stamp(*rec.Running))
		}
	}
	if s.Repository == Read {
		s.compare(j, list, now)
		s.lock(locks, o, now)
	}
	switch {
	case s.Repository != Read:
		s.State = Unknown
	case len(s.Faults) > 0:
		s.State = Faulty
	default:
		s.State = Fine
	}
	return s
}

// read reads snapshots and locks.
func (s *Status) read(ctx context.Context, j restic.Job, o StatusOptions) ([]restic.Snapshot, []restic.Lock, error) {
	limit := o.Timeout
	if limit == 0 {
		limit = defaultTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if err := j.Validate(); err != nil {
		return nil, nil, err
	}
	c, err := newCaller(ctx, j, o.Options)
	if err != nil {
		return nil, nil, err
	}
	ask := func(name string, args []string) ([]byte, error) {
		step, out := c.start(ctx, name, args, nil)
		if step.Outcome == restic.Complete {
			return out, nil
		}
		err := error(stepResult{step}.err(false))
		if ctx.Err() == context.DeadlineExceeded {
			err = fmt.Errorf("no answer within %s: %w", limit, err)
		}
		switch step.Outcome {
		case restic.NoRepository:
			s.Repository = Missing
		case restic.WrongPassword:
			s.Repository = BadSecret
		default:
			s.Repository = Unreachable
		}
		return nil, err
	}
	out, err := ask("snapshots", j.ListArgs())
	if err != nil {
		return nil, nil, err
	}
	list, err := restic.ParseSnapshots(out)
	if err != nil {
		s.Repository = Unreachable
		return nil, nil, err
	}
	if out, err = ask("list", j.LocksArgs()); err != nil {
		return nil, nil, err
	}
	ids, err := restic.ParseLocks(out)
	if err != nil {
		s.Repository = Unreachable
		return nil, nil, err
	}
	if len(ids) > maxLocks {
		s.fault(BadLock, "see restic list locks", "the repository has %d locks, of which %d were looked at", len(ids), maxLocks)
		ids = ids[:maxLocks]
	}
	var locks []restic.Lock
	for _, id := range ids {
		step, out := c.start(ctx, "cat", j.LockArgs(id), nil)
		l, err := restic.ParseLock(id, out)
		if step.Outcome == restic.Complete && err == nil {
			locks = append(locks, l)
			continue
		}
		// Who ended meanwhile took its lock along.
		again, err := ask("list", j.LocksArgs())
		if err != nil {
			return nil, nil, err
		}
		if left, err := restic.ParseLocks(again); err != nil || slices.Contains(left, id) {
			s.fault(BadLock, "see restic list locks; restic unlock removes what is stale", "lock %s of the repository cannot be read", id[:8])
		}
	}
	s.Repository = Read
	return list, locks, nil
}

// recorded judges what the record says.
func (s *Status) recorded(j restic.Job, now time.Time) {
	if s.LastGood != nil {
		age := now.Sub(s.LastGood.Time)
		seconds := age.Seconds()
		s.AgeSeconds = &seconds
		rpo, err := stateward.ParseDuration(j.RPO)
		switch {
		case age < -clockSlack:
			s.fault(BadClock, "set the clock of this machine", "the last good run is said to be of %s, which is in the future", stamp(s.LastGood.Time))
		case j.RPO == "":
			s.Notes = append(s.Notes, "no rpo is set: nothing says how old the last good run may be")
		case err == nil && age > rpo.Std():
			s.fault(Overdue, "see why no run was good since: journalctl -u "+j.UnitName(), "the last good run is %s old, and may be %s", Span(age), rpo)
		}
	}
	failing := false
	for _, name := range slices.Sorted(maps.Keys(s.After)) {
		a := s.After[name]
		if a.FailingSince == nil || name == "prune" && !j.Prune || name == "check" && j.CheckSubset == "" || name == "forget" && j.Retention.ResticPolicy.IsZero() {
			continue
		}
		last := "it never was complete"
		if a.LastComplete != nil {
			last = "it was complete last on " + stamp(*a.LastComplete)
		}
		failing = true
		s.fault(FailingStep, a.Outcome.Hint(), "%s fails since %s (%s); %s", name, stamp(*a.FailingSince), a.Outcome, last)
	} // Where the backup itself was good, it is the step that was said already.
	if l := s.LastRun; l != nil && l.Outcome != restic.Complete && !(failing && s.LastGood != nil && s.LastGood.Time.Equal(l.Started)) {
		said := string(l.Outcome)
		if l.Message != "" {
			said += ": " + l.Message
		}
		s.fault(BadRun, l.Outcome.Hint(), "the newest run, of %s, ended as %s", stamp(l.Ended), said)
	}
}

// compare judges what the repository has, and whether the record agrees.
func (s *Status) compare(j restic.Job, list []restic.Snapshot, now time.Time) {
	var own []restic.Snapshot
	type place struct{ host, paths string }
	others := map[place]int{}
	for _, x := range list {
		if j.Owns(x) {
			own = append(own, x)
			continue
		}
		paths := slices.Sorted(slices.Values(x.Paths))
		key := place{x.Host, strings.Join(paths, "\x00")}
		i, ok := others[key]
		if !ok {
			i = len(s.Elsewhere)
			others[key] = i
			s.Elsewhere = append(s.Elsewhere, Elsewhere{Host: x.Host, Paths: paths})
		}
		s.Elsewhere[i].Snapshots++
		s.Elsewhere[i].Newest = x.Time
	}
	n := len(own)
	s.Snapshots = &n
	var newest time.Time
	if n > 0 {
		s.newest(own)
		if newest = own[n-1].Time; newest.Sub(now) > clockSlack {
			s.fault(BadClock, "see which clock is wrong: retention goes by these times", "the newest snapshot is said to be of %s, which is in the future", stamp(newest))
		}
	}
	for _, e := range s.Elsewhere {
		switch text := fmt.Sprintf("%s of this name under host %s with %s", snapshots(e.Snapshots), e.Host, strings.Join(e.Paths, ", ")); {
		case e.Host == j.Host && e.Newest.After(newest):
			s.fault(Moved, "see which plan the unit runs: this one has other paths or tags", "there are %s, the newest of %s, newer than all of this job", text, stamp(e.Newest))
		case e.Host == j.Host:
			s.Notes = append(s.Notes, fmt.Sprintf("there are %s, which no policy forgets", text))
		default:
			s.Notes = append(s.Notes, "there are "+text)
		}
	}
	good := s.LastGood
	if good == nil {
		hint := "see why no run was good: journalctl -u " + j.UnitName()
		switch {
		case s.LastRun == nil && n == 0:
			s.fault(NoGoodRun, "run it: stateward backup run --plan FILE", "the job never ran on this machine, and the repository has no snapshot of it")
		case s.LastRun == nil:
			s.fault(NoGoodRun, "run it here, or look on the machine that does", "no run is recorded on this machine; whether the newest snapshot is complete is not known")
		default:
			s.fault(NoGoodRun, hint, "no run was good yet; the repository has %s of the job", snapshots(n))
		}
		return
	}
	if good.Snapshot == "" {
		s.fault(Lacking, "run it again", "the record of the last good run names no snapshot")
		return
	}
	has := func(list []restic.Snapshot) bool {
		return slices.ContainsFunc(list, func(x restic.Snapshot) bool { return x.Is(good.Snapshot) })
	}
	switch id := good.Snapshot[:min(8, len(good.Snapshot))]; {
	case has(own):
	case has(list):
		s.fault(Lacking, "run it: what it makes now is what the job says", "the last good snapshot, %s, is not one of the job as it is now: host, tags or paths were changed after it", id)
	case n == 0:
		s.fault(Lacking, "see whether this is the repository that it was, and who removed them", "the record says that snapshot %s of %s is good, and the repository has none of the job", id, stamp(good.Time))
	default:
		s.fault(Lacking, "see whether this is the repository that it was, and who removed it", "the record says that snapshot %s of %s is good, and the repository does not have it", id, stamp(good.Time))
	}
	if s.Newest != nil && !own[len(own)-1].Is(good.Snapshot) && s.Newest.Time.After(good.Time) {
		s.Notes = append(s.Notes, fmt.Sprintf("the newest snapshot, of %s, is of no run that was good", stamp(s.Newest.Time)))
	}
}

// newest says how much the newest snapshot holds, and how that grew.
func (s *Status) newest(own []restic.Snapshot) {
	last := own[len(own)-1]
	s.Newest = &SnapshotStatus{ID: last.ID, Time: last.Time}
	if last.Summary == nil {
		return
	}
	s.Newest.Files, s.Newest.Bytes = &last.Summary.Files, &last.Summary.Bytes
	var first *restic.Snapshot
	added := int64(0)
	for i := range own {
		x := &own[i]
		switch {
		case x.Summary == nil || last.Time.Sub(x.Time) > growthWindow:
		case first == nil:
			first = x
		default:
			added += x.Summary.Added
		}
	}
	if first != nil && first.ID != last.ID {
		s.Growth = &Growth{first.Time, last.Summary.Bytes - first.Summary.Bytes, last.Summary.Files - first.Summary.Files, added}
	}
}

// lock judges locks: one that is stale keeps prune and check from running for ever, while every backup goes well (R6).
func (s *Status) lock(locks []restic.Lock, o StatusOptions, now time.Time) {
	for _, l := range locks {
		age := now.Sub(l.Time)
		gone := o.Hostname != "" && l.Host == o.Hostname && !alive(l.PID)
		stale := gone || age > restic.StaleAfter
		s.Locks = append(s.Locks, LockStatus{l, stale})
		who := fmt.Sprintf("process %d of %s", l.PID, l.Host)
		switch kind := map[bool]string{true: "an exclusive lock", false: "a lock"}[l.Exclusive]; {
		case stale:
			why := "not renewed since"
			if gone {
				why = "and that process is gone"
			}
			s.fault(StaleLock, "restic unlock removes what is stale, and nothing else", "the repository has %s of %s, of %s, %s", kind, who, stamp(l.Time), why)
		default:
			s.Notes = append(s.Notes, fmt.Sprintf("%s is at work on the repository since %s", who, stamp(l.Time)))
		}
	}
}

func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	err = p.Signal(syscall.Signal(0))
	return err == nil || errors.Is(err, syscall.EPERM)
}

func snapshots(n int) string {
	if n == 1 {
		return "1 snapshot"
	}
	return fmt.Sprintf("%d snapshots", n)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// Span is a time span as people take it: whole minutes, and from two days on whole hours.
func Span(d time.Duration) string {
	unit := time.Minute
	switch {
	case d >= 48*time.Hour:
		unit = time.Hour
	case d < time.Minute:
		unit = time.Second
	}
	x, err := stateward.NewDuration(max(0, d.Truncate(unit)))
	if err != nil {
		return d.String()
	}
	return x.String()
}
