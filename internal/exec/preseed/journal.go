//go:build unix

package preseed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stateward/stateward/internal/exec/backup"
	"github.com/stateward/stateward/preseed"
)

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

func (r *runner) journalFile() string {
	return filepath.Join(r.o.StateDir, r.plan.Name+".journal.json")
}

func (r *runner) writeJournal(j preseed.Journal) error {
	text, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	if err := backup.MakePrivate(r.o.StateDir); err != nil {
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
