//go:build !linux

package apply

import (
	"context"
	"errors"
	"time"

	"github.com/stateward/stateward/dataset"
)

// System is the machine that this process runs on.
type System struct {
	// Observer observes it.
	Observer func(ctx context.Context, desired dataset.Desired) (*dataset.Observed, error)
	// Env is the environment of zfs and getent.
	Env []string
	// Timeout is how long one step may take.
	Timeout time.Duration
}

// Observe observes the machine.
func (s *System) Observe(ctx context.Context, desired dataset.Desired) (*dataset.Observed, error) {
	return s.Observer(ctx, desired)
}

// Do fails: plans are applied on Linux only.
func (s *System) Do(_ context.Context, op dataset.Op) error {
	return &StepError{Op: op, Err: errors.New("plans are applied on Linux only")}
}
