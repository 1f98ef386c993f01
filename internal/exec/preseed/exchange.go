//go:build unix

package preseed

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/exec/apply"
	"github.com/stateward/stateward/preseed"
)

func (r *runner) expect(ctx context.Context, name, guid string) error {
	has, err := r.guid(ctx, name)
	if err != nil {
		return err
	}
	if has != guid {
		return fmt.Errorf("%s is not the dataset that it was", name)
	}
	return nil
}

func (r *runner) promote(ctx context.Context, j preseed.Journal) error {
	if err := r.expect(ctx, j.Staged, j.StagedGUID); err != nil {
		return err
	}
	if r.valid != j.StagedGUID {
		// The plan may ask for more than that of the run which validated it, and the record says how much it is.
		if err := r.staged(ctx, j, func(dir string) error { return r.validate(ctx, dir) }); err != nil {
			return err
		}
		r.valid = j.StagedGUID
	}
	j.Stage = preseed.Promoting
	if err := r.writeJournal(j); err != nil {
		return err
	}
	if err := r.moveAway(ctx, j.TargetGUID, j.Displaced, roleDisplaced, j.Canmount); err != nil {
		return err
	}
	return r.place(ctx, j)
}

// moveAway renames the empty dataset. It is marked first, and not mounted by a boot.
func (r *runner) moveAway(ctx context.Context, guid, to, role, more string) error {
	if err := r.expect(ctx, r.plan.Dataset, guid); err != nil {
		return err
	}
	if _, err := r.zfs(ctx, "set", "canmount=noauto", r.markOf(role, guid, more), "--", r.plan.Dataset); err != nil {
		return err
	}
	return r.quiet(ctx, guid, func() error {
		reason, _, err := r.beside(ctx)
		if err != nil {
			return err
		}
		if reason != "" {
			return errors.New(reason)
		}
		_, err = r.zfs(ctx, "rename", "-u", "--", r.plan.Dataset, to)
		return err
	})
}

func (r *runner) place(ctx context.Context, j preseed.Journal) error {
	if err := r.expect(ctx, j.Staged, j.StagedGUID); err != nil {
		return err
	}
	if _, err := r.zfs(ctx, "rename", "-u", "--", j.Staged, j.Target); err != nil {
		return err
	}
	return r.finish(ctx, j)
}

func (r *runner) finish(ctx context.Context, j preseed.Journal) error {
	if err := r.expect(ctx, j.Target, j.StagedGUID); err != nil {
		return err
	}
	props, err := r.properties(ctx, j.Target, "origin")
	if err != nil {
		return err
	}
	if origin, _, ok := strings.Cut(props["origin"].value, "@"); ok {
		has, err := r.guid(ctx, origin)
		if err != nil {
			return err
		}
		// Only now: until it has the place, what is thrown away holds no snapshot of the user.
		if has == j.TargetGUID {
			if _, err := r.zfs(ctx, "promote", j.Target); err != nil {
				return err
			}
		}
	}
	// What a socket or a timer started meanwhile found a folder with nothing in it, and would never see what is mounted over that.
	if active, err := r.active(ctx); err != nil || len(active) > 0 {
		return errors.Join(err, fmt.Errorf("%s runs", strings.Join(active, ", ")))
	}
	if err := r.mountPlace(ctx); err != nil {
		return err
	}
	if err := r.own(ctx); err != nil {
		return err
	}
	canmount := j.Canmount
	if canmount == "" {
		canmount = "on"
	}
	answer := preseed.Answer{Source: j.Source, Candidate: j.Candidate}
	if err := r.markRestored(ctx, j.StagedGUID, answer, "canmount="+canmount); err != nil {
		return err
	}
	if has, err := r.guid(ctx, j.Displaced); err != nil {
		return err
	} else if has == j.TargetGUID {
		if _, err := r.zfs(ctx, "set", r.markOf(roleKept, j.TargetGUID, ""), "--", j.Displaced); err != nil {
			return err
		}
		r.kept = j.Displaced
	}
	r.restored = &answer
	return r.endJournal()
}

// own gives the top of the file system the owner and mode that are declared.
func (r *runner) own(ctx context.Context) error {
	p := r.plan
	if p.Owner == "" && p.Group == "" && p.Mode == "" {
		return nil
	}
	name, err := dataset.ParseName(p.Dataset)
	if err != nil {
		return err
	}
	op := &dataset.Own{Step: dataset.Step{Dataset: name}}
	if op.Path, err = stateward.ParsePath(p.Mountpoint); err != nil {
		return err
	}
	if p.Owner != "" {
		if op.Owner, err = stateward.ParseOwner(p.Owner); err != nil {
			return err
		}
	}
	if p.Group != "" {
		if op.Group, err = stateward.ParseOwner(p.Group); err != nil {
			return err
		}
	}
	if p.Mode != "" {
		if op.Mode, err = stateward.ParseMode(p.Mode); err != nil {
			return err
		}
	}
	return (&apply.System{Env: r.o.Env}).Do(ctx, op)
}

// restoreProperties gives the empty dataset back what was taken from it for the exchange.
func (r *runner) restoreProperties(ctx context.Context, j preseed.Journal) error {
	props, err := r.properties(ctx, j.Target, "canmount,"+StagingProperty)
	if err != nil {
		return err
	}
	if props[StagingProperty].local() == "" {
		return nil
	}
	if j.Canmount != "" && props["canmount"].value != j.Canmount {
		if _, err := r.zfs(ctx, "set", "canmount="+j.Canmount, "--", j.Target); err != nil {
			return err
		}
	}
	_, err = r.zfs(ctx, "inherit", StagingProperty, "--", j.Target)
	return err
}

func (r *runner) undo(ctx context.Context, j preseed.Journal) error {
	if err := r.expect(ctx, j.Displaced, j.TargetGUID); err != nil {
		return err
	}
	if _, err := r.zfs(ctx, "rename", "-u", "--", j.Displaced, j.Target); err != nil {
		return err
	}
	if err := r.restoreProperties(ctx, j); err != nil {
		return err
	}
	return r.endJournal()
}

func (r *runner) abandon(ctx context.Context, j preseed.Journal) error {
	has, err := r.guid(ctx, j.Displaced)
	if err != nil {
		return err
	}
	if has != "" && has == j.TargetGUID {
		// The exchange cannot end, and without its journal this mark would have the next run begin to end it again.
		if _, err := r.zfs(ctx, "set", r.markOf(roleKept, j.TargetGUID, ""), "--", j.Displaced); err != nil {
			return err
		}
		return r.endJournal()
	}
	if err := r.restoreProperties(ctx, j); err != nil {
		return err
	}
	// Its name is for the next one.
	if has, err := r.guid(ctx, j.Staged); err != nil {
		return err
	} else if has != "" && has == j.StagedGUID {
		if _, err := r.zfs(ctx, "rename", "-u", "--", j.Staged, j.Staged+"-left-"+has); err != nil {
			return err
		}
	}
	return r.endJournal()
}

// discard destroys the staging dataset of the journal: the one of its guid, that has our mark itself, and of its snapshots the one that a run received.
// Whatever else is in it keeps zfs from it: then it is moved out of the way of the next one.
func (r *runner) discard(ctx context.Context, j preseed.Journal) error {
	props, err := r.properties(ctx, j.Staged, "guid,"+StagingProperty)
	if err != nil {
		return err
	}
	if props != nil {
		mark := r.markOf(roleStaged, j.TargetGUID, "")
		if j.StagedGUID != "" && props["guid"].value != j.StagedGUID || !strings.HasPrefix(StagingProperty+"="+props[StagingProperty].local()+" ", mark+" ") {
			return fmt.Errorf("%s is not what a preseed made: it stays", j.Staged)
		}
		if j.Source == preseed.Replica {
			has, err := r.guid(ctx, j.Staged+"@"+j.Candidate.Name)
			if err != nil {
				return err
			}
			if has != "" && has == j.Candidate.ID {
				// Where somebody holds it, neither is the dataset destroyed, and says so.
				_, _ = r.zfs(ctx, "destroy", "--", j.Staged+"@"+j.Candidate.Name)
			}
		}
		if _, err := r.zfs(ctx, "destroy", "--", j.Staged); err != nil {
			left := j.Staged + "-left-" + props["guid"].value
			if _, rerr := r.zfs(ctx, "rename", "-u", "--", j.Staged, left); rerr != nil {
				return errors.Join(err, rerr)
			}
			r.rec.Notes = append(r.rec.Notes, fmt.Sprintf("what an earlier try left could not be destroyed, and is %s: %v", left, err))
		}
	}
	if err := r.restoreProperties(ctx, j); err != nil {
		return err
	}
	return r.endJournal()
}
