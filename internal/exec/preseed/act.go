//go:build unix

package preseed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/exec/apply"
	"github.com/stateward/stateward/preseed"
)

// StagingProperty is set on what a run makes or moves into the staging area, so that it is found again without a journal: a role, the name of
// the plan and the guid of the empty dataset, and more for people. It counts only where its source is local.
const StagingProperty = "stateward:preseed-staging"

// Roles of [StagingProperty].
const (
	roleStaged    = "staged"    // what is to take the place
	roleDisplaced = "displaced" // what had it, while they are exchanged
	roleKept      = "kept"      // what had it, once they are
	roleRolling   = "rolling"   // what is about to be rolled back
	roleRestored  = "restored"  // what has its place and is marked, until the record of that is written
	roleEmpty     = "empty"     // what starts empty and is marked, until the record of that is written
)

// keepOff are user properties by which others leave the staging area alone.
var keepOff = []string{"com.sun:auto-snapshot=false", "syncoid:sync=false", "autobackup:stateward=false"}

// rejected says why what a source has is not taken. empty tells that there is nothing in it.
type rejected struct {
	reason string
	empty  bool
}

func (e *rejected) Error() string { return e.reason }

func (r *runner) act(ctx context.Context, d preseed.Decision, s preseed.Seen) error {
	switch d.Action {
	case preseed.Look:
		r.looked[s.Target.GUID] = lookedAt(r.content(ctx, false, r.plan.Dataset))
		return nil
	case preseed.LookSnapshot:
		r.looked[d.Candidate.ID] = lookedAt(r.content(ctx, false, r.plan.Dataset+"@"+d.Candidate.Name))
		return nil
	case preseed.Ask:
		r.answers[d.Source] = r.ask(ctx, d.Source)
		return nil
	case preseed.Mount:
		return r.mountPlace(ctx)
	case preseed.Mark:
		if err := r.mend(ctx); err != nil {
			return err
		}
		if a := r.restored; a != nil {
			return r.markRestored(ctx, s.Target.GUID, *a)
		}
		if err := r.mark(ctx, s.Target.GUID, preseed.AlreadySeeded, "- -"); err != nil {
			return err
		}
		return r.unmark(ctx, roleRolling) // it never was
	case preseed.MarkEmpty:
		if err := r.mend(ctx); err != nil {
			return err
		}
		// In place of what says that it was about to be rolled back.
		untold := r.markOf(roleEmpty, s.Target.GUID, "")
		if err := r.mark(ctx, s.Target.GUID, preseed.ConfirmedNoBackup, "- "+r.o.Now().UTC().Format(time.RFC3339), untold); err != nil {
			return err
		}
		r.startedEmpty = true
		return nil
	case preseed.Rollback:
		return r.rollback(ctx, d)
	case preseed.Fill:
		return r.fill(ctx, d, s)
	case preseed.Promote:
		return r.promote(ctx, *s.Journal)
	case preseed.Place:
		return r.place(ctx, *s.Journal)
	case preseed.Finish:
		return r.finish(ctx, *s.Journal)
	case preseed.Displace:
		to := fmt.Sprintf("%s-%s", r.plan.Displaced(), s.Target.GUID)
		return r.moveAway(ctx, s.Target.GUID, to, roleKept, "")
	case preseed.Undo:
		return r.undo(ctx, *s.Journal)
	case preseed.Abandon:
		return r.abandon(ctx, *s.Journal)
	case preseed.Discard:
		return r.discard(ctx, *s.Journal)
	}
	return fmt.Errorf("nobody knows how to %s", d.Action)
}

// displacing is the canmount of a dataset that was about to be moved away when a run was killed, as its own mark says; empty where there is none.
func (r *runner) displacing(ctx context.Context) (string, error) {
	props, err := r.properties(ctx, r.plan.Dataset, "guid,"+StagingProperty)
	if err != nil || props == nil {
		return "", err
	}
	prefix := strings.TrimPrefix(r.markOf(roleDisplaced, props["guid"].value, ""), StagingProperty+"=") + " "
	canmount, _ := strings.CutPrefix(props[StagingProperty].local(), prefix)
	if canmount != "on" && canmount != "noauto" {
		return "", nil
	}
	return canmount, nil
}

// mend gives a dataset back what was taken from it for an exchange that never was, and whose journal is lost.
func (r *runner) mend(ctx context.Context) error {
	canmount, err := r.displacing(ctx)
	if err != nil || canmount == "" {
		return err
	}
	return r.restoreProperties(ctx, preseed.Journal{Target: r.plan.Dataset, Canmount: canmount})
}

// mountPlace mounts the dataset where it belongs, on an empty folder only (D2).
func (r *runner) mountPlace(ctx context.Context) error {
	p := r.plan
	name, err := dataset.ParseName(p.Dataset)
	if err != nil {
		return err
	}
	at, err := stateward.ParsePath(p.Mountpoint)
	if err != nil {
		return err
	}
	list, err := mounts()
	if err != nil {
		return err
	}
	if m, ok, err := seenAt(p.Mountpoint, list); err != nil || ok && m.source == p.Dataset {
		return err
	}
	sys := &apply.System{Env: r.o.Env}
	step := dataset.Step{Dataset: name}
	if _, err := os.Lstat(p.Mountpoint); errors.Is(err, fs.ErrNotExist) {
		if err := sys.Do(ctx, &dataset.MakeMountpoint{Step: step, Path: at}); err != nil {
			return err
		}
	}
	props, err := r.properties(ctx, p.Dataset, "mountpoint")
	if err != nil {
		return err
	}
	if props["mountpoint"].value != "legacy" {
		return sys.Do(ctx, &dataset.MountDataset{Step: step, Path: at})
	}
	found, err := os.ReadDir(p.Mountpoint)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("%s holds files, such as %q, that the mount would hide", p.Mountpoint, found[0].Name())
	}
	_, err = r.call(ctx, "mount", "-t", "zfs", "--", p.Dataset, p.Mountpoint)
	return err
}

// quiet has the dataset mounted nowhere but aside and read-only, where nobody can write to it, looks once more that it is the one and empty, and
// then does something.
func (r *runner) quiet(ctx context.Context, guid string, do func() error) (err error) {
	p := r.plan
	list, err := mounts()
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(list) {
		if m.kind == "zfs" && m.source == p.Dataset && m.at == p.Mountpoint {
			// Not `zfs unmount`, which unmounts what lies below it too.
			if _, err := r.call(ctx, "umount", "--", m.at); err != nil {
				return err
			}
		}
	}
	dir, done, err := r.mountAside(ctx, p.Dataset, true)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, done())
		delete(r.looked, guid)
	}()
	found, err := r.holds(dir)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		return fmt.Errorf("somebody wrote to it: %s", strings.Join(found, ", "))
	}
	s, err := r.guid(ctx, p.Dataset)
	if err != nil {
		return err
	}
	if s != guid {
		return fmt.Errorf("%s is another dataset by now", p.Dataset)
	}
	if active, err := r.active(ctx); err != nil || len(active) > 0 {
		return errors.Join(err, fmt.Errorf("%s runs", strings.Join(active, ", ")))
	}
	return do()
}

func (r *runner) rollback(ctx context.Context, d preseed.Decision) error {
	guid, err := r.guid(ctx, r.plan.Dataset)
	if err != nil {
		return err
	}
	name := r.plan.Dataset + "@" + d.Candidate.Name
	answer := preseed.Answer{Source: d.Source, Candidate: d.Candidate}
	if err := r.mend(ctx); err != nil {
		return err
	}
	// Killed after it was rolled back, and before it says so, the next run knows.
	if _, err := r.zfs(ctx, "set", r.markOf(roleRolling, guid, from(answer)), "--", r.plan.Dataset); err != nil {
		return err
	}
	err = r.quiet(ctx, guid, func() error {
		at, err := r.guid(ctx, name)
		if err != nil {
			return err
		}
		if at != d.Candidate.ID {
			return fmt.Errorf("%s is another snapshot by now", name)
		}
		// Without -r it does nothing where there is a newer snapshot or bookmark (E1).
		if _, err := r.zfs(ctx, "rollback", "--", name); err != nil {
			return err
		}
		return r.markRestored(ctx, guid, answer)
	})
	if err != nil {
		return err
	}
	r.restored = &answer
	return nil
}

// ---- the journal ----

// ---- the staging dataset ----

// area makes the dataset below which everything is staged.
func (r *runner) area(ctx context.Context) error {
	name := r.plan.StagingArea()
	guid, err := r.guid(ctx, name)
	if err != nil || guid != "" {
		return err
	}
	args := []string{"create", "-p", "-o", "canmount=off", "-o", "mountpoint=none"}
	for _, p := range keepOff {
		args = append(args, "-o", p)
	}
	_, err = r.zfs(ctx, append(args, "--", name)...)
	return err
}

// given are the properties of what takes the place: what the dataset itself has, and what is declared for it. How a file system lays its names out is that
// of the source, where it has one.
func (r *runner) given(ctx context.Context, j preseed.Journal, fresh bool) ([]string, error) {
	of := map[string]string{}
	text, err := r.zfs(ctx, "get", "-Hp", "-s", "local,received", "-o", "property,value", "all", "--", j.Target)
	if err != nil {
		return nil, err
	}
	for _, f := range rows(text) {
		if len(f) != 2 {
			continue
		}
		switch name := f[0]; {
		case name == preseed.MarkerProperty || name == StagingProperty || name == "mountpoint" || name == "canmount" || name == "reservation" || name == "refreservation":
		case strings.Contains(name, ":"):
			of[name] = f[1]
		default:
			if _, err := dataset.ParseSetting(name, f[1], dataset.Filesystem); err == nil {
				of[name] = f[1]
			}
		}
	}
	maps.Copy(of, r.plan.Properties)
	for _, name := range slices.Sorted(maps.Keys(of)) {
		p, ok := dataset.LookupProperty(name)
		if ok && !fresh && p.CreateOnly || name == "keylocation" {
			delete(of, name)
		}
	}
	of["canmount"], of["mountpoint"] = "noauto", j.Mountpoint
	var out []string
	for _, name := range slices.Sorted(maps.Keys(of)) {
		out = append(out, "-o", name+"="+of[name])
	}
	// For people, and for a run that has no journal.
	return append(out, "-o", r.markOf(roleStaged, j.TargetGUID, from(preseed.Answer{Source: j.Source, Candidate: j.Candidate}))), nil
}

// free is a name that nothing has. What a lost journal left there is moved on: nobody knows whether it is whole.
func (r *runner) free(ctx context.Context, name string) error {
	guid, err := r.guid(ctx, name)
	if err != nil || guid == "" {
		return err
	}
	marks, err := r.marks(ctx)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(marks, func(m stagingMark) bool { return m.name == name }) {
		return fmt.Errorf("%s is there, and no preseed made it", name)
	}
	_, err = r.zfs(ctx, "rename", "-u", "--", name, name+"-left-"+guid)
	return err
}

func (r *runner) fill(ctx context.Context, d preseed.Decision, s preseed.Seen) error {
	var j preseed.Journal
	if s.Journal != nil {
		j = *s.Journal
	} else {
		j = preseed.Journal{Target: r.plan.Dataset, TargetGUID: s.Target.GUID, Staged: r.plan.Staged(), Displaced: r.plan.Displaced(), Source: d.Source,
			Candidate: d.Candidate, Stage: preseed.Filling, Paths: r.plan.Paths, ByHand: r.o.From != "", Mountpoint: r.plan.Mountpoint, Canmount: r.props["canmount"].value}
		if r.props["mountpoint"].value == "legacy" {
			j.Mountpoint = "legacy"
		}
		if canmount, err := r.displacing(ctx); err != nil {
			return err
		} else if canmount != "" {
			j.Canmount = canmount
		}
		if err := r.area(ctx); err != nil {
			return err
		}
		for _, name := range []string{j.Staged, j.Displaced} {
			if err := r.free(ctx, name); err != nil {
				return err
			}
		}
		if err := r.writeJournal(j); err != nil {
			return err
		}
		r.began = true
	}
	var err error
	switch j.Source {
	case preseed.Local:
		err = r.fillLocal(ctx, &j)
	case preseed.Replica:
		err = r.fillReplica(ctx, &j)
	case preseed.Restic:
		err = r.fillRestic(ctx, &j)
	case preseed.PITR:
		err = r.fillPITR(ctx, &j)
	default:
		err = fmt.Errorf("nobody knows the source %q", j.Source)
	}
	if err != nil {
		return err
	}
	r.valid = j.StagedGUID
	j.Stage = preseed.Filled
	return r.writeJournal(j)
}

// made writes down which dataset was made.
func (r *runner) made(ctx context.Context, j *preseed.Journal) error {
	guid, err := r.guid(ctx, j.Staged)
	if err != nil {
		return err
	}
	if guid == "" {
		return fmt.Errorf("%s was made, and is not there", j.Staged)
	}
	j.StagedGUID = guid
	return r.writeJournal(*j)
}

func (r *runner) fillLocal(ctx context.Context, j *preseed.Journal) error {
	name := j.Target + "@" + j.Candidate.Name
	at, err := r.guid(ctx, name)
	if err != nil {
		return err
	}
	if at != j.Candidate.ID {
		return fmt.Errorf("%s is another snapshot by now", name)
	}
	given, err := r.given(ctx, *j, false)
	if err != nil {
		return err
	}
	if _, err := r.zfs(ctx, slices.Concat([]string{"clone"}, given, []string{"--", name, j.Staged})...); err != nil {
		return err
	}
	if err := r.made(ctx, j); err != nil {
		return err
	}
	return r.staged(ctx, *j, func(dir string) error { return r.validate(ctx, dir) })
}

// staged mounts the staging dataset aside and does something there.
func (r *runner) staged(ctx context.Context, j preseed.Journal, do func(dir string) error) error {
	dir, done, err := r.mountAside(ctx, j.Staged, false)
	if err != nil {
		return err
	}
	return errors.Join(do(dir), done())
}

// ---- the exchange ----
