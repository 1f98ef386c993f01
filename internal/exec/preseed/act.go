//go:build unix

package preseed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
	"github.com/stateward/stateward/internal/exec/apply"
	"github.com/stateward/stateward/internal/exec/backup"
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

func (r *runner) mark(ctx context.Context, guid string, o preseed.Outcome, more string, besides ...string) error {
	args := append([]string{"set", preseed.MarkerProperty + "=" + strings.Join([]string{guid, string(o), more}, " ")}, besides...)
	_, err := r.zfs(ctx, append(args, "--", r.plan.Dataset)...)
	return err
}

// markRestored marks what was restored, and that nobody was told of it yet.
func (r *runner) markRestored(ctx context.Context, guid string, a preseed.Answer, more ...string) error {
	value := strings.Join([]string{guid, string(preseed.Restored), string(a.Source), a.Candidate.Time.UTC().Format(time.RFC3339)}, " ")
	args := slices.Concat([]string{"set"}, more, []string{preseed.MarkerProperty + "=" + value, r.markOf(roleRestored, guid, from(a)), "--", r.plan.Dataset})
	_, err := r.zfs(ctx, args...)
	return err
}

// from is what a [StagingProperty] says of where something is from.
func from(a preseed.Answer) string {
	return fmt.Sprintf("%s %s %d %s", a.Source, a.Candidate.ID, a.Candidate.Time.Unix(), a.Candidate.Name)
}

// readFrom reads what [from] writes.
func readFrom(text string) (a preseed.Answer, ok bool) {
	f := strings.SplitN(text, " ", 4)
	if len(f) != 4 {
		return a, false
	}
	seconds, err := strconv.ParseInt(f[2], 10, 64)
	return preseed.Answer{Source: preseed.SourceKind(f[0]), Candidate: preseed.Candidate{ID: f[1], Time: time.Unix(seconds, 0).UTC(), Name: f[3]}}, err == nil
}

// unmark removes the [StagingProperty] of the dataset, if it is of that role.
func (r *runner) unmark(ctx context.Context, role string) error {
	props, err := r.properties(ctx, r.plan.Dataset, StagingProperty)
	if err != nil || !strings.HasPrefix(props[StagingProperty].local(), role+" "+r.plan.Name+" ") {
		return err
	}
	_, err = r.zfs(ctx, "inherit", StagingProperty, "--", r.plan.Dataset)
	return err
}

// untold is what an earlier run brought back that was killed before it could say so (E12); nil where there is no such thing.
func (r *runner) untold(ctx context.Context, t *preseed.Target) (*preseed.Answer, error) {
	w := strings.SplitN(r.props[StagingProperty].local(), " ", 4)
	if len(w) != 4 || w[1] != r.plan.Name || w[2] != t.GUID || t.Content != preseed.Populated && r.o.From != "" {
		return nil, nil
	}
	a, ok := readFrom(w[3])
	switch {
	case !ok:
	case w[0] == roleRestored && t.Marker.Of(t.GUID):
		return &a, nil
	case w[0] == roleRolling && t.Content == preseed.Populated:
		// It was rolled back where it is what the snapshot is; else somebody has written to it.
		has, err := r.guid(ctx, r.plan.Dataset+"@"+a.Candidate.Name)
		if err != nil || has != a.Candidate.ID {
			return nil, err
		}
		written := "written@" + a.Candidate.Name
		props, err := r.properties(ctx, r.plan.Dataset, written)
		if err != nil || props[written].value != "0" {
			return nil, err
		}
		return &a, nil
	}
	return nil, nil
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

func (r *runner) journalFile() string {
	return filepath.Join(r.o.StateDir, r.plan.Name+".journal.json")
}

func (r *runner) writeJournal(j preseed.Journal) error {
	text, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(r.o.StateDir, 0o700); err != nil {
		return err
	}
	return backup.Replace(r.journalFile(), append(text, '\n'), 0o600)
}

func (r *runner) endJournal() error {
	err := os.Remove(r.journalFile())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	d, err := os.Open(r.o.StateDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// otherJournalError is a plan that has the name of one of another dataset, a run of which did not come to its end. Only people know which of them is meant.
type otherJournalError struct{ file, of, dataset string }

func (e *otherJournalError) Error() string {
	return fmt.Sprintf("a run of a plan with this name did not come to its end, and was of %s, not of %s (%s)", e.of, e.dataset, e.file)
}

// Hint says what to do: what the journal is about is not lost.
func (e *otherJournalError) Hint() string {
	return "give this plan another name, or first run the one of " + e.of + " to its end"
}

// journal reads the journal. Where it is lost, as with the root of the machine, the marks in the staging area say as much as counts: an exchange that is
// not done. What else is there is not trusted, and not removed.
func (r *runner) journal(ctx context.Context, t *preseed.Target) (*preseed.Journal, error) {
	text, err := os.ReadFile(r.journalFile())
	if err == nil {
		j := &preseed.Journal{}
		if json.Unmarshal(text, j) != nil {
			j = &preseed.Journal{} // which is refused, and says so
		}
		if j.Target != r.plan.Dataset && j.Target != "" {
			return nil, &otherJournalError{r.journalFile(), j.Target, r.plan.Dataset}
		}
		return j, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	guid := "none"
	if t != nil {
		guid = t.GUID
	}
	if t != nil && t.Marker.Of(t.GUID) || r.notLost == guid {
		return nil, nil
	}
	marks, err := r.marks(ctx)
	if err != nil {
		return nil, err
	}
	r.notLost = guid
	was := slices.IndexFunc(marks, func(m stagingMark) bool { return m.role == roleDisplaced && m.target == m.guid })
	if was < 0 || t != nil && t.GUID == marks[was].guid {
		return nil, nil
	}
	r.notLost = ""
	d := marks[was]
	j := &preseed.Journal{Target: r.plan.Dataset, TargetGUID: d.guid, Staged: r.plan.Staged(), Displaced: d.name, Stage: preseed.Promoting, Source: preseed.Restic, Canmount: d.more}
	for _, m := range marks {
		if m.role == roleStaged && m.target == d.guid {
			j.StagedGUID, j.Staged = m.guid, m.name
			if m.name == r.plan.Dataset {
				j.Staged = r.plan.Staged()
			}
			if a, ok := readFrom(m.more); ok {
				j.Source, j.Candidate = a.Source, a.Candidate
			}
		}
	}
	if r.o.Dry {
		return j, nil
	}
	return j, r.writeJournal(*j)
}

// stagingMark is a [StagingProperty].
type stagingMark struct{ name, guid, role, target, more string }

// marks are those of the plan, in the staging area and on the dataset itself.
func (r *runner) marks(ctx context.Context) (out []stagingMark, err error) {
	for _, where := range [][]string{{"-d", "1", "--", r.plan.StagingArea()}, {"--", r.plan.Dataset}} {
		text, err := r.zfs(ctx, append([]string{"get", "-Hp", "-t", "filesystem", "-s", "local", "-o", "name,value", StagingProperty}, where...)...)
		if missing(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, f := range rows(text) {
			if len(f) != 2 {
				continue
			}
			w := strings.SplitN(f[1], " ", 4)
			if len(w) < 3 || w[1] != r.plan.Name {
				continue
			}
			m := stagingMark{name: f[0], role: w[0], target: w[2]}
			if len(w) == 4 {
				m.more = w[3]
			}
			if m.guid, err = r.guid(ctx, m.name); err != nil {
				return nil, err
			}
			out = append(out, m)
		}
	}
	return out, nil
}

func (r *runner) markOf(role, guid, more string) string {
	return StagingProperty + "=" + strings.TrimSpace(strings.Join([]string{role, r.plan.Name, guid, more}, " "))
}

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
			Candidate: d.Candidate, Stage: preseed.Filling, Mountpoint: r.plan.Mountpoint, Canmount: r.props["canmount"].value}
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
	}
	var err error
	switch j.Source {
	case preseed.Local:
		err = r.fillLocal(ctx, &j)
	case preseed.Replica:
		err = r.fillReplica(ctx, &j)
	case preseed.Restic:
		err = r.fillRestic(ctx, &j)
	default:
		err = fmt.Errorf("nobody knows the source %q", j.Source)
	}
	if err != nil {
		return err
	}
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
