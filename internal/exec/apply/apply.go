// Package apply carries a plan of datasets out: it observes, plans, does one step after the other, and observes once more.
// It stops at the first step that fails, and can be run again at any time.
package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stateward/stateward/dataset"
)

// Machine is what a plan is applied to. [System] is the one that this process runs on.
type Machine interface {
	// Observe tells what is there: all pools, and all places and owners that a plan for desired has to know of. It changes
	// nothing.
	Observe(ctx context.Context, desired dataset.Desired) (*dataset.Observed, error)
	// Do carries one step out. It looks at what the step relies on first, and what is done already it leaves as it is. It
	// is not interrupted in the middle of a step.
	Do(ctx context.Context, op dataset.Op) error
}

// Options of [Run]. The zero value applies the whole plan, or nothing of it.
type Options struct {
	// Only are the datasets to plan for; none means all.
	Only []dataset.Name
	// Partial lets what no conflict keeps from being done be done; else nothing is done where there is a conflict.
	Partial bool
	// DryRun plans, and does nothing.
	DryRun bool
	// Planned is called with the plan before anything is done.
	Planned func(dataset.Plan)
	// Began is called before each step, Ended after it; step counts from 0.
	Began func(step int, op dataset.Op)
	Ended func(step int, s Step)
	// Now is the clock by which steps are timed; nil means that they are not.
	Now func() time.Time
}

// State is what came of a step.
type State string

// The states of steps.
const (
	Done    State = "done"
	Failed  State = "failed"
	NotDone State = "not done"
)

// Step is a step of the plan and what came of it.
type Step struct {
	Op    dataset.Op
	State State
	// Err is why it failed.
	Err error
	// Took is how long it took.
	Took time.Duration
}

// Outcome is how a run ended.
type Outcome string

// The outcomes.
const (
	// Nothing was to be done.
	Nothing Outcome = "nothing to do"
	// Planned is a dry run of a plan that could be applied.
	Planned Outcome = "planned"
	// Applied tells that all steps were done, and that the machine was looked at since, and has what is wanted.
	Applied Outcome = "applied"
	// Refused is a plan with conflicts, of which nothing was done.
	Refused Outcome = "conflicts"
	// Partly tells that all was done, and seen to be, that no conflict kept from being done.
	Partly Outcome = "applied in part"
	// Stopped is a run of which a step failed.
	Stopped Outcome = "failed"
	// Interrupted is a run that was asked to end between two steps.
	Interrupted Outcome = "interrupted"
	// Unverified is a run of which all steps were done, and after which the machine could not be looked at, or does not have what is wanted.
	Unverified Outcome = "not verified"
)

// Result is what a run did.
type Result struct {
	Outcome Outcome
	Plan    dataset.Plan
	// Steps are those of the plan, in its order, once it is known that they are to be done.
	Steps []Step
	// Left is what a plan that was made after the last step still holds: nothing but the conflicts of before, where all went well.
	Left dataset.Plan
	// Err is why it ended so, where it is not Applied, Nothing or Planned.
	Err error
}

// Count counts the steps in a state.
func (r *Result) Count(s State) int {
	n := 0
	for i := range r.Steps {
		if r.Steps[i].State == s {
			n++
		}
	}
	return n
}

// ConflictError says that parts of the plan cannot be applied.
type ConflictError struct{ Conflicts []dataset.Conflict }

func (e *ConflictError) Error() string {
	if len(e.Conflicts) == 1 {
		return fmt.Sprintf("a conflict keeps the plan from being applied: %s %s", e.Conflicts[0].Dataset, e.Conflicts[0].Message)
	}
	return fmt.Sprintf("%d conflicts keep the plan from being applied", len(e.Conflicts))
}

// Hint says what to do.
func (e *ConflictError) Hint() string {
	return "solve them first; --partial applies what they do not touch, --only DATASET what is named"
}

// LeftError says that all steps were done, and that the machine does not have what is wanted all the same (D1).
type LeftError struct{ Plan dataset.Plan }

func (e *LeftError) Error() string {
	if len(e.Plan.Ops) == 0 {
		return fmt.Sprintf("all steps were done, and now there are conflicts, such as: %s %s", e.Plan.Conflicts[0].Dataset, e.Plan.Conflicts[0].Message)
	}
	return fmt.Sprintf("all steps were done, and %d would have to be done again, such as: %s (%s)", len(e.Plan.Ops), dataset.Describe(e.Plan.Ops[0]), e.Plan.Ops[0].Cause().Text)
}

// Hint says what to do.
func (e *LeftError) Hint() string {
	return "something else changes these datasets too, or zfs keeps another value than it was given: find out what before it is applied again"
}

// ObserveError says that the machine could not be looked at.
type ObserveError struct {
	// After tells that steps were done before.
	After bool
	Err   error
}

func (e *ObserveError) Error() string {
	if e.After {
		return "all steps were done, and whether the machine has what is wanted could not be seen: " + e.Err.Error()
	}
	return "cannot tell what the machine has: " + e.Err.Error()
}

func (e *ObserveError) Unwrap() error { return e.Err }

// Run makes a machine have what is desired. The error is that of Result.Err: an *[ObserveError], a *[ConflictError], a
// *[LeftError], the error of a step, or the cause of ctx where it was ended between steps.
func Run(ctx context.Context, desired dataset.Desired, m Machine, o Options) (*Result, error) {
	r := &Result{}
	end := func(outcome Outcome, err error) (*Result, error) {
		r.Outcome, r.Err = outcome, err
		return r, err
	}
	seen, err := m.Observe(ctx, desired)
	switch {
	case ctx.Err() != nil:
		return end(Interrupted, context.Cause(ctx))
	case err != nil:
		return end(Stopped, &ObserveError{Err: err})
	}
	opts := dataset.Options{Only: o.Only}
	r.Plan = dataset.NewPlan(desired, seen, opts)
	for _, op := range r.Plan.Ops {
		r.Steps = append(r.Steps, Step{Op: op, State: NotDone})
	}
	if o.Planned != nil {
		o.Planned(r.Plan)
	}
	switch conflicts := len(r.Plan.Conflicts) > 0; {
	case conflicts && (!o.Partial || len(r.Steps) == 0):
		return end(Refused, &ConflictError{r.Plan.Conflicts})
	case len(r.Steps) == 0:
		return end(Nothing, nil)
	case o.DryRun:
		if conflicts {
			return end(Planned, &ConflictError{r.Plan.Conflicts})
		}
		return end(Planned, nil)
	}
	for i := range r.Steps {
		if ctx.Err() != nil {
			return end(Interrupted, context.Cause(ctx))
		}
		if err := r.do(ctx, m, i, o); err != nil {
			return end(Stopped, err)
		}
	}
	// D1: what was done is looked at. It is worth a moment even where an interrupt came during the last step.
	after, err := m.Observe(context.WithoutCancel(ctx), desired)
	if err != nil {
		return end(Unverified, &ObserveError{true, err})
	}
	r.Left = dataset.NewPlan(desired, after, opts)
	switch {
	case len(r.Left.Ops) > 0 || anew(r.Plan.Conflicts, r.Left.Conflicts):
		return end(Unverified, &LeftError{r.Left})
	case len(r.Left.Conflicts) > 0:
		return end(Partly, &ConflictError{r.Left.Conflicts})
	}
	return end(Applied, nil)
}

// anew tells whether there are conflicts that were not there before.
func anew(before, after []dataset.Conflict) bool {
	same := func(a, b dataset.Conflict) bool {
		return a.Kind == b.Kind && a.Dataset == b.Dataset && a.Property == b.Property && a.Path == b.Path
	}
	return slices.ContainsFunc(after, func(c dataset.Conflict) bool {
		return !slices.ContainsFunc(before, func(old dataset.Conflict) bool { return same(old, c) })
	})
}

func (r *Result) do(ctx context.Context, m Machine, i int, o Options) error {
	s := &r.Steps[i]
	if o.Began != nil {
		o.Began(i, s.Op)
	}
	var began time.Time
	if o.Now != nil {
		began = o.Now()
	}
	s.State, s.Err = Done, m.Do(context.WithoutCancel(ctx), s.Op)
	if s.Err != nil {
		s.State = Failed
		var step *StepError
		if !errors.As(s.Err, &step) {
			s.Err = &StepError{Op: s.Op, Err: s.Err}
		}
	}
	if o.Now != nil {
		s.Took = o.Now().Sub(began)
	}
	if o.Ended != nil {
		o.Ended(i, *s)
	}
	return s.Err
}

// StepError says why a step was not done.
type StepError struct {
	Op dataset.Op
	// Reason is what was found, or what zfs said.
	Reason string
	Err    error
	hint   string
}

func (e *StepError) Error() string {
	text := e.Reason
	if text == "" && e.Err != nil {
		text = e.Err.Error()
	}
	return "cannot " + dataset.Describe(e.Op) + ": " + text
}

func (e *StepError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *StepError) Hint() string {
	return cmp.Or(e.hint, "mend that, and apply again: what is done is left as it is, and the rest is planned anew")
}
