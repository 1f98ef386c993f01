//go:build unix

// Package preseed carries out a plan of package preseed: it looks, asks what is next, does that one thing, and looks again. Killed at any moment, the
// next run goes on from what is there.
package preseed

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stateward/stateward/internal/exec/backup"
	"github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/preseed"
)

// RunDir is where datasets are mounted aside, a folder for each plan.
const RunDir = "/run/stateward/preseed"

// Options of [Run]. Env, StateDir, RunDir, LockDir, Backup and Now are required.
type Options struct {
	// Env is the environment of zfs, systemctl, ssh and the command of the plan.
	Env []string
	// StateDir is where journals and records lie, RunDir where datasets are mounted aside, LockDir where locks are.
	StateDir, RunDir, LockDir string
	// Backup are those of running restic. StateDir in it is that of backups, whose records say which snapshot is good.
	Backup backup.Options
	// Timeout is how long to try, where that is not what the plan says.
	Timeout time.Duration
	// Dry looks and asks, and ends where something would be changed.
	Dry bool
	// From is the only source that is asked, for a person who restores by hand: then a dataset that was seeded before, and is empty, is filled. At leaves
	// out what is of after that time.
	From preseed.SourceKind
	At   time.Time
	// Confirm is asked, once, before anything loses its place. victims are what is rolled back, or moved away.
	Confirm func(d preseed.Decision, victims []string) error
	// Began is called before each action.
	Began func(d preseed.Decision)
	Now   func() time.Time
	// Journal is the socket of journald; empty for none.
	Journal string
}

// Result is what came of a run.
type Result struct {
	Record
	// Next is, of a dry run, what a run would do; nil where there is nothing to do.
	Next *preseed.Decision `json:"next,omitempty"`
	// File is where the record lies.
	File string `json:"file,omitempty"`
	// Warnings are of what could not be written down or told, and keeps no service down.
	Warnings []string `json:"warnings,omitempty"`
}

// OutcomeError says that the service must not start.
type OutcomeError struct {
	Plan, Dataset string
	Outcome       preseed.Outcome
	Why, hint     string
}

func (e *OutcomeError) Error() string {
	return fmt.Sprintf("preseed of %s: %s: %s", e.Dataset, e.Outcome, e.Why)
}

// Hint says what to do.
func (e *OutcomeError) Hint() string { return e.hint }

// maxFailures is how often an action may fail; firstDelay is how long a run waits first, lastDelay how long at most.
const (
	maxFailures = 5
	firstDelay  = time.Second
	lastDelay   = time.Minute
)

type runner struct {
	plan     preseed.Plan
	o        Options
	rec      Record
	answers  map[preseed.SourceKind]preseed.Answer
	looked   map[string]looked // by guid
	skip     map[string]bool   // candidates that turned out to be empty
	failures map[preseed.Action]int
	props    map[string]property
	folders  []string // within the dataset, where something else is mounted
	longest  string   // name of its snapshots
	redact   []func(string) string
	restored *preseed.Answer
	kept     string
	keyed    *[2]string // what keys says
	notLost  string     // guid of the target of which no mark says that a journal was lost
	// began tells that the journal is of this run; valid is the guid of what this run has validated.
	began bool
	valid string
	stall time.Duration // how long a restore may make no progress; 0 where it hangs on how long the run tries
	// startedEmpty, files and bytes are those of this run.
	startedEmpty, confirmed bool
	files, bytes            int64
	// waiting is since when it waits, told whether people know.
	waiting time.Time
	told    bool
}

// Run carries a plan out. The error is an *[OutcomeError] where the service must not start, the one of another run at work, or one of writing down what
// came of it.
func Run(ctx context.Context, p preseed.Plan, o Options) (*Result, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(p.Dataset)) // two names never are one (D10)
	// Files, and what is mounted aside, have the name of the plan.
	for _, name := range []string{"preseed-" + hex.EncodeToString(sum[:8]), "preseed-plan-" + p.Name} {
		release, err := backup.Lock(o.LockDir, name+".lock")
		if err != nil {
			return nil, err
		}
		defer release()
	}
	r := &runner{plan: p, o: o, answers: map[preseed.SourceKind]preseed.Answer{}, looked: map[string]looked{}, skip: map[string]bool{}, failures: map[preseed.Action]int{}}
	r.rec = Record{ProtocolVersion: preseed.FormatVersion, Plan: p.Name, Service: p.Service, Dataset: p.Dataset, Units: p.Units, Started: o.Now()}
	d, err := r.loop(ctx)
	if err != nil {
		return nil, err
	}
	if cerr := r.unmountAside(ctx); cerr != nil && d.Outcome != "" && d.Action == "" {
		d = preseed.Decision{Outcome: preseed.Failed, Why: "what was mounted aside is not unmounted: " + cerr.Error(), Hint: "see what uses it"}
	}
	out := &Result{}
	if d.Outcome == "" {
		out.Next = &d
		d.Why = r.redacted(d.Why)
		out.Record = r.rec
		return out, nil
	}
	r.end(d)
	out.Record = r.rec
	if o.Dry {
		return out, nil
	}
	r.waitsNoMore()
	out.File, out.Warnings, err = r.report(ctx)
	if out.File != "" && d.Outcome == preseed.Restored {
		// Where that cannot be, the next run says once more what was restored.
		_ = r.unmark(context.WithoutCancel(ctx), roleRestored)
	}
	if out.File != "" && d.Outcome == preseed.ConfirmedNoBackup && d.Start {
		_ = r.unmark(context.WithoutCancel(ctx), roleEmpty)
	}
	if !d.Start {
		err = errors.Join(&OutcomeError{p.Name, p.Dataset, d.Outcome, r.rec.Why, d.Hint}, err)
	}
	return out, err
}

func (r *runner) redacted(text string) string {
	for _, f := range r.redact {
		text = f(text)
	}
	return text
}

func (r *runner) policy() preseed.Policy {
	p := r.plan.Policy()
	if r.o.From != "" {
		p.Sources, p.ByHand, p.At = []preseed.SourceKind{r.o.From}, true, r.o.At
		p.MaxAge = 0 // who restores by hand sees how old it is, and confirms that
	}
	return p
}

func failed(why, hint string) preseed.Decision {
	return preseed.Decision{Outcome: preseed.Failed, Why: why, Hint: hint}
}

// changes tells whether an action changes more than what is known.
func changes(a preseed.Action) bool {
	switch a {
	case preseed.Wait, preseed.Look, preseed.LookSnapshot, preseed.Ask:
		return false
	}
	return true
}

// victims are what an action takes the place of something from.
func (r *runner) victims(d preseed.Decision) []string {
	switch d.Action {
	case preseed.Rollback, preseed.Fill, preseed.Promote, preseed.Displace:
		return []string{r.plan.Dataset}
	}
	return nil
}

// patience is how long the run waits and tries again; what is being restored is not cut off.
func (r *runner) patience() time.Duration {
	if r.o.Timeout > 0 {
		return r.o.Timeout
	}
	return r.plan.Patience()
}

func (r *runner) loop(ctx context.Context) (preseed.Decision, error) {
	until, delay := r.o.Now().Add(r.patience()), firstDelay
	for told := false; ; told = true {
		err := r.unmountAside(ctx)
		if err == nil {
			break
		}
		why := "what an earlier run mounted aside is not unmounted: " + err.Error()
		if r.o.Dry || ctx.Err() != nil || !strings.Contains(why, "is busy") || r.o.Now().Add(firstDelay).After(until) {
			return failed(why, cmp.Or(r.busy(why), "see what uses it")), nil
		}
		// What a killed run had started may outlive it for a while: a server that replays ends only once the segment is there that it waits for.
		if !told && r.o.Began != nil {
			r.o.Began(preseed.Decision{Action: preseed.Wait, Why: why})
		}
		select {
		case <-ctx.Done():
		case <-time.After(firstDelay):
		}
	}
	sleep := func() bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(delay):
		}
		delay = min(2*delay, lastDelay)
		return true
	}
	last := ""
	for {
		if ctx.Err() != nil {
			return failed("it was interrupted", "run it again: it goes on from what is there"), nil
		}
		s, err := r.see(ctx)
		d := unseen(err)
		if err == nil {
			d = preseed.Next(r.policy(), s, r.o.Now())
		}
		d.Why = r.redacted(d.Why)
		if s.Target != nil {
			r.rec.GUID = s.Target.GUID
		}
		if d.Outcome != "" {
			return d, nil
		}
		if r.o.Dry && (d.Action == preseed.Wait || changes(d.Action)) {
			return d, nil
		}
		if r.o.Began != nil && (d.Action != preseed.Wait || d.Why != last) {
			r.o.Began(d)
		}
		last = d.Why
		if d.Action == preseed.Wait {
			if r.o.Now().Add(min(delay, lastDelay)).After(until) {
				return preseed.Decision{Outcome: d.Late, Source: d.Source, Why: d.Why, Hint: d.Hint}, nil
			}
			r.waits(ctx, d)
			if !sleep() {
				continue
			}
			// What may be otherwise now is seen and asked anew.
			delete(r.answers, d.Source)
			for id, l := range r.looked {
				if l.unread != "" || s.Target != nil && id == s.Target.GUID {
					delete(r.looked, id)
				}
			}
			continue
		}
		if changes(d.Action) && !r.waiting.IsZero() {
			r.waitsNoMore()
		}
		if victims := r.victims(d); len(victims) > 0 && r.o.Confirm != nil && !r.confirmed {
			if err := r.o.Confirm(d, victims); err != nil {
				return preseed.Decision{}, err
			}
			r.confirmed = true
		}
		if changes(d.Action) {
			r.rec.Actions = append(r.rec.Actions, string(d.Action))
			// What was seen of an unmounted dataset holds no longer.
			clear(r.looked)
		}
		err = r.act(ctx, d, s)
		if err == nil {
			continue
		}
		if aerr := r.unmountAside(ctx); aerr != nil {
			err = errors.Join(err, aerr)
		}
		source := d.Source
		if s.Journal != nil {
			source = s.Journal.Source
		}
		candidate := d.Candidate
		if s.Journal != nil {
			candidate = s.Journal.Candidate
		}
		var not *rejected
		if d.Action == preseed.Promote && errors.As(err, &not) {
			// An earlier run took it. It is whole, and its source may have it no more.
			r.rec.Notes = append(r.rec.Notes, fmt.Sprintf("what an earlier run restored, %s of %s from %s, is not taken: %s", candidate.Name, candidate.Time.UTC().Format("2006-01-02 15:04 MST"), source, r.redacted(not.reason)))
			if derr := r.abandon(context.WithoutCancel(ctx), *s.Journal); derr != nil {
				return failed(not.reason+"; and it cannot be set aside: "+derr.Error(), ""), nil
			}
			continue
		}
		if d.Action == preseed.Fill && errors.As(err, &not) {
			// Another source may have what this one has not.
			if not.empty && source != preseed.Local {
				r.skip[candidate.ID] = true
				delete(r.answers, source)
			} else {
				r.answers[source] = preseed.Answer{Source: source, Kind: preseed.SourceRefused, Candidate: candidate, Reason: candidate.Name + ": " + r.redacted(not.reason)}
			}
			if derr := r.throwAway(ctx); derr != nil {
				return failed(not.reason+"; and it cannot be removed: "+derr.Error(), ""), nil
			}
			continue
		}
		if ctx.Err() != nil {
			continue
		}
		r.failures[d.Action]++
		text := strings.Join(strings.Fields(r.redacted(err.Error())), " ")
		full := noRoom(text)
		if full {
			r.failures[d.Action] = maxFailures // it will not be otherwise in a minute, and others need what is left
		}
		if r.failures[d.Action] >= maxFailures || r.o.Now().Add(delay).After(until) {
			why := fmt.Sprintf("%s: %s", d.Action, text)
			if d.Action == preseed.Fill && (!source.Resumes() || full) {
				// What nobody trusts takes no room.
				if derr := r.throwAway(ctx); derr != nil {
					why += "; and what is there of it cannot be removed: " + derr.Error()
				}
			}
			return failed(why, cmp.Or(hint(err), r.busy(text))), nil
		}
		if r.o.Began != nil {
			r.o.Began(preseed.Decision{Action: preseed.Wait, Why: fmt.Sprintf("%s: %s", d.Action, text)})
		}
		if d.Action == preseed.Fill {
			delete(r.answers, source)
		}
		sleep()
	}
}

// unseen is what becomes of a run that cannot see all that decides. What does not change by itself is not waited for.
func unseen(err error) preseed.Decision {
	var absent *run.NotFoundError
	var other *otherJournalError
	switch {
	case errors.As(err, &absent):
		return failed(absent.Error(), "it is looked at on the machine that has the dataset; there, have it in PATH, for a unit by --path of stateward preseed plan or units")
	case errors.As(err, &other):
		return preseed.Decision{Outcome: preseed.Refused, Why: other.Error(), Hint: other.Hint()}
	}
	return preseed.Decision{Action: preseed.Wait, Late: preseed.Unreachable, Why: "it cannot be seen: " + fmt.Sprint(err), Hint: "see why"}
}

// busy says how to see who uses what a program said is in use.
func (r *runner) busy(said string) string {
	switch {
	case !strings.Contains(said, "is busy"):
		return ""
	case strings.Contains(said, r.aside()):
		return "see what uses it: fuser -vm " + r.aside() + "/at"
	}
	return "see what uses it, and stop that: fuser -vm " + r.plan.Mountpoint
}

// noRoom tells whether a program said that there is no room.
func noRoom(said string) bool {
	said = strings.ToLower(said)
	return strings.Contains(said, "no space left") || strings.Contains(said, "out of space") || strings.Contains(said, "quota exceeded")
}

// throwAway removes what is staged.
func (r *runner) throwAway(ctx context.Context) error {
	j, err := r.journal(context.WithoutCancel(ctx), nil)
	if err != nil || j == nil || j.Stage != preseed.Filling {
		return err
	}
	return r.discard(context.WithoutCancel(ctx), *j)
}

func hint(err error) string {
	var h interface{ Hint() string }
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}
