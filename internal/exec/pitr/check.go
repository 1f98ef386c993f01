//go:build unix

package pitr

import (
	"context"
	"errors"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/run"
)

// Check looks at a running server and its archive. What it finds is in the run; the error says that it could not look.
func Check(ctx context.Context, p pitr.Policy, o Options) (*Run, error) {
	return work(p, o, JobCheck, func(run *Run) error {
		r, err := newRunner(ctx, p, o)
		if err == nil {
			err = r.drop()
		}
		if err != nil {
			return err
		}
		r.began("ask the server what it archives, and the archive what it holds")
		l, err := r.live(ctx)
		if err != nil {
			return err
		}
		a, err := r.lookLoosely(ctx, lookBack)
		if err != nil {
			return err
		}
		r.waiting(ctx, a, &l)
		c := pitr.NewCheck(a, l, p, o.Now(), stateward.ZoneFunc(time.LoadLocation))
		if a.Empty() {
			if err := r.expectEmpty(ctx, &c); err != nil {
				return err
			}
		}
		run.Check, run.Outcome = &c, Complete
		if len(c.Faults) > 0 {
			run.Outcome = Faults
		}
		return nil
	})
}

// expectEmpty has the tool look at an archive in which nothing was found: a new cluster may archive there, and barman-cloud sees whether something lies
// there that is no base backup and no log.
func (r *runner) expectEmpty(ctx context.Context, c *pitr.Check) error {
	argv, err := r.provider.Check(r.p)
	if err != nil {
		return err
	}
	_, err = r.run(ctx, argv)
	var exit *run.ExitError
	switch {
	case err == nil:
		c.Notes = append(c.Notes, "barman-cloud-check-wal-archive: a new cluster may archive to "+r.p.Server)
	case errors.As(err, &exit) && exit.Code == 1:
		c.Faults = append(c.Faults, pitr.Fault{Trap: "G4", Message: "barman-cloud-check-wal-archive says that something lies below " + r.p.Server + ", and neither base backups nor log were found", Hint: "look what lies there, or name another server"})
	default:
		return err
	}
	return nil
}
