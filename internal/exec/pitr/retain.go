//go:build unix

package pitr

import (
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/stateward/stateward/backup/pitr"
)

// UnnamedError says that the tool would remove, or did remove, what was not named before.
type UnnamedError struct {
	Server string
	Keys   []string
	// Gone tells that it did.
	Gone bool
}

func (e *UnnamedError) Error() string {
	what := e.Keys[0]
	if len(e.Keys) > 1 {
		what += fmt.Sprintf(" and %d more", len(e.Keys)-1)
	}
	if e.Gone {
		return fmt.Sprintf("what was not named is gone from the archive of %s: %s", e.Server, what)
	}
	return fmt.Sprintf("%s would remove %s from the archive of %s, which was not named", pitr.ToolBackupDelete, what, e.Server)
}

// Hint says what to do.
func (e *UnnamedError) Hint() string {
	if e.Gone {
		return "see what is left (stateward pitr window), and make a base backup at once; look at who else removes from the store: lifecycle rules of the bucket do"
	}
	return "nothing more is removed; report it with what stateward pitr retain prints"
}

// StillThereError says that a base backup was to go, and did not.
type StillThereError struct {
	Server string
	IDs    []string
}

func (e *StillThereError) Error() string {
	return fmt.Sprintf("still in the archive of %s, though the tool ended well: %s", e.Server, strings.Join(e.IDs, ", "))
}

// Hint says what to look at.
func (e *StillThereError) Hint() string {
	return "look at what the key may do, and at locks of objects in the bucket"
}

// Retain says what a policy removes from its archive, and removes it with yes.
func Retain(ctx context.Context, p pitr.Policy, o Options, yes bool) (*Run, error) {
	do := func(run *Run) error {
		tools := []string{}
		if yes {
			tools = append(tools, pitr.ToolBackupDelete)
		}
		r, err := newRunner(ctx, p, o, tools...)
		if err != nil {
			return err
		}
		run.Outcome = Refused
		r.began("ask the archive what it holds")
		a, err := r.look(ctx, 1)
		if err != nil {
			return err
		}
		ret, err := pitr.NewRetention(a, p, o.Now())
		if err != nil {
			return err
		}
		run.Retention = &ret
		run.Notes = append(run.Notes, ret.Notes...)
		if !yes || len(ret.Removed()) == 0 {
			run.Outcome = Complete
			return nil
		}
		run.Outcome = Failed
		if err := r.remove(ctx, a, ret, run); err != nil {
			return err
		}
		run.Outcome = Complete
		return nil
	}
	if yes {
		return work(p, o, JobRetain, do)
	}
	run := &Run{Job: JobRetain, Name: Name(p), Destination: p.Destination, Server: p.Server, Started: o.Now().UTC()}
	err := do(run)
	run.Ended = o.Now().UTC()
	return run, err
}

// remove removes what was named, the oldest first. The tool is asked each time what it would remove, and nothing is where that is more; afterwards the
// archive is listed again.
func (r *runner) remove(ctx context.Context, a pitr.Archive, ret pitr.Retention, run *Run) error {
	b, err := r.bucket()
	if err != nil {
		return err
	}
	before := r.objects
	stays := map[pitr.Segment]bool{}
	for _, s := range a.Segments {
		stays[s.Segment] = !ret.Goes(s.Segment)
	}
	// named tells whether an object may go, with the base backups of these IDs.
	named := func(key string, ids []string) bool {
		if rest, ok := strings.CutPrefix(key, b.prefix+"/base/"); ok {
			id, _, below := strings.Cut(rest, "/")
			return below && slices.Contains(ids, id)
		}
		if !strings.HasPrefix(key, b.prefix+"/wals/") {
			return false
		}
		f, err := pitr.ParseFile(path.Base(key), a.SegmentSize)
		// Records of base backups and parts of segments go with the segment of their name.
		return err == nil && f.Kind != pitr.KindHistory && (ret.Goes(f.Segment) || f.Kind != pitr.KindSegment && !stays[f.Segment])
	}
	var failed error
	for _, id := range ret.Removed() {
		if failed = r.removeOne(ctx, id, func(key string) bool { return named(key, []string{id}) }); failed != nil {
			failed = fmt.Errorf("base backup %s: %w", id, failed)
			break
		}
	}
	// Whatever became of it: what is there now is told, and not what was meant.
	r.began("see what is there now")
	passed("removed")
	now, err := b.list(ctx)
	if err != nil {
		return errors.Join(failed, err)
	}
	there := map[string]bool{}
	for _, x := range now {
		there[x.Key] = true
	}
	record := func(id string) string { return b.prefix + "/base/" + id + "/backup.info" }
	var unnamed []string
	gone := map[pitr.Segment]bool{}
	for _, x := range before {
		if there[x.Key] {
			continue
		}
		if !named(x.Key, ret.Removed()) {
			unnamed = append(unnamed, x.Key)
		}
		if f, err := pitr.ParseFile(path.Base(x.Key), a.SegmentSize); err == nil && f.Kind == pitr.KindSegment && strings.HasPrefix(x.Key, b.prefix+"/wals/") {
			gone[f.Segment] = true
		}
	}
	run.Segments = len(gone)
	var still []string
	for _, id := range ret.Removed() {
		if there[record(id)] {
			still = append(still, id)
		} else {
			run.Removed = append(run.Removed, id)
		}
	}
	left := 0
	for _, s := range a.Segments {
		if ret.Goes(s.Segment) && !gone[s.Segment] {
			left++
		}
	}
	if failed == nil && left > 0 {
		run.Notes = append(run.Notes, fmt.Sprintf("%s that were named are there still: the tool left them", count(left, "segment")))
	}
	errs := []error{failed}
	if len(unnamed) > 0 {
		errs = append([]error{&UnnamedError{r.p.Server, unnamed, true}}, errs...)
	}
	if failed == nil && len(still) > 0 {
		errs = append(errs, &StillThereError{r.p.Server, still})
	}
	return errors.Join(errs...)
}

// removeOne removes one base backup, with the log that goes with it.
func (r *runner) removeOne(ctx context.Context, id string, named func(string) bool) error {
	try, err := r.provider.BackupDelete(r.p, id, true)
	if err != nil {
		return err
	}
	argv, err := r.provider.BackupDelete(r.p, id, false)
	if err != nil {
		return err
	}
	out, err := r.run(ctx, try)
	if err != nil {
		return err
	}
	keys, err := wouldRemove(string(out), r.objects)
	if err != nil {
		return err
	}
	var others []string
	for _, k := range keys {
		if !named(k) {
			others = append(others, k)
		}
	}
	if len(others) > 0 {
		return &UnnamedError{Server: r.p.Server, Keys: others}
	}
	r.began("remove base backup %s and %s that go with it", id, count(len(keys), "object"))
	passed("remove " + id)
	_, err = r.run(ctx, argv)
	return err
}

var (
	wouldObjects = regexp.MustCompile(`^Skipping deletion of objects \[(.*)\] due to --dry-run option$`)
	wouldPrefix  = regexp.MustCompile(`^Skipping deletion of all objects under prefix (\S+) due to --dry-run option$`)
	quotedKeys   = regexp.MustCompile(`^'[^'\\]*'(?:, '[^'\\]*')*$`)
)

// DryRunError says that what the tool would remove cannot be read.
type DryRunError struct{ Line string }

func (e *DryRunError) Error() string {
	return fmt.Sprintf("what %s would remove cannot be read: %q", pitr.ToolBackupDelete, e.Line)
}

// Hint says what to do.
func (e *DryRunError) Hint() string { return "nothing is removed; use barman-cloud 3.4 to 3.17" }

// wouldRemove reads what barman-cloud-backup-delete --dry-run prints: the names of objects, and folders of which all go.
func wouldRemove(printed string, all []object) (keys []string, err error) {
	for line := range strings.Lines(printed) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		if m := wouldPrefix.FindStringSubmatch(line); m != nil {
			for _, x := range all {
				if strings.HasPrefix(x.Key, m[1]) {
					keys = append(keys, x.Key)
				}
			}
			continue
		}
		m := wouldObjects.FindStringSubmatch(line)
		if m == nil || m[1] != "" && !quotedKeys.MatchString(m[1]) {
			return nil, &DryRunError{line}
		}
		for _, k := range strings.Split(m[1], ", ") {
			if k != "" {
				keys = append(keys, strings.Trim(k, "'"))
			}
		}
	}
	return keys, nil
}
