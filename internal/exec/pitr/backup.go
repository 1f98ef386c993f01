//go:build unix

package pitr

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/run"
)

// LiveError says that a server does not tell what it archives.
type LiveError struct {
	Socket string
	Err    error
}

func (e *LiveError) Error() string { return "the server does not answer: " + e.Err.Error() }
func (e *LiveError) Unwrap() error { return e.Err }

// Hint says what to look at.
func (e *LiveError) Hint() string {
	return "see that it runs, that cluster.socket and cluster.port are its own, and that cluster.user may connect there as this user"
}

// askPatience is how long a server may take to answer a question about itself.
const askPatience = 30 * time.Second

// live asks the server.
func (r *runner) live(ctx context.Context) (pitr.Live, error) {
	c := r.p.Cluster
	argv := []string{r.program("psql"), "-X", "-A", "-t", "-q", "-w", "-v", "ON_ERROR_STOP=1", "-d", "postgres", "-c", pitr.LiveQuery}
	if c.Socket != "" {
		argv = append(argv, "-h", c.Socket)
	}
	if c.Port != 0 {
		argv = append(argv, "-p", fmt.Sprint(c.Port))
	}
	if c.User != "" {
		argv = append(argv, "-U", c.User)
	}
	asking, stop := context.WithTimeoutCause(ctx, askPatience, &SilentError{"the server", askPatience})
	defer stop()
	out, err := r.run(asking, argv)
	var missing *run.NotFoundError
	if errors.As(err, &missing) {
		return pitr.Live{}, err // which says nothing of the server
	}
	if err != nil {
		return pitr.Live{}, &LiveError{c.Socket, err}
	}
	l, err := pitr.ParseLive(out)
	r.segment = l.SegmentSize
	return l, err
}

// waiting reads from pg_wal when the oldest transaction was committed that is not in the archive.
func (r *runner) waiting(ctx context.Context, a pitr.Archive, l *pitr.Live) {
	dir := filepath.Join(r.p.Cluster.DataDir, "pg_wal")
	// The archive may be far behind what is there, and hold nothing at all; pg_wal itself then says where it begins.
	names, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	first := pitr.LSN(0)
	for _, n := range names {
		f, err := pitr.ParseFile(n.Name(), a.SegmentSize)
		if err != nil || f.Kind != pitr.KindSegment {
			continue
		}
		// Two servers on one machine: what this one did not write says nothing of it.
		if id, ok := segmentOf(filepath.Join(dir, n.Name())); ok && id != l.SystemID {
			l.Elsewhere = true
			return
		}
		if at := f.Segment.Start(a.SegmentSize); f.Segment.Timeline == l.Timeline && at < l.At && (first == 0 || at < first) {
			first = at
		}
	}
	from := pitr.Unarchived(a, *l)
	if from >= l.At {
		l.WaitingKnown = true
		return
	}
	from = max(from, first)
	asking, stop := context.WithTimeout(ctx, askPatience)
	defer stop()
	// Records of transactions are not all commits: it reads on until there is one.
	res, err := run.Run(asking, run.Cmd{Path: r.program("pg_waldump"), Args: []string{"--rmgr=Transaction", "-p", dir, "-t", fmt.Sprint(uint32(l.Timeline)), "-s", from.String(), "-e", l.At.String()}, Env: r.env, As: r.as, Dir: r.dir(),
		OnStdoutLine: func(line []byte) {
			if m := commit.FindSubmatch(line); m != nil && l.Waiting.IsZero() {
				if at, err := time.Parse("2006-01-02 15:04:05.999999", string(m[1])); err == nil {
					l.Waiting, l.WaitingKnown = at, true
					stop()
				}
			}
		}})
	var exit *run.ExitError
	switch {
	case !l.Waiting.IsZero():
	case err == nil:
		l.WaitingKnown = true
	case errors.As(err, &exit) && strings.Contains(string(res.Stderr), "could not find a valid record after"):
		l.WaitingKnown = true // nothing is written after the last segment that was archived
	}
}

// segmentOf is the cluster that wrote a file of the log; ok is false where its first page does not say.
func segmentOf(name string) (id uint64, ok bool) {
	f, err := os.Open(name)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	page := make([]byte, 40)
	if _, err := io.ReadFull(f, page); err != nil {
		return 0, false
	}
	return pitr.SegmentSystemID(page)
}

// lookLoosely looks at an archive that may be empty.
func (r *runner) lookLoosely(ctx context.Context, back int) (pitr.Archive, error) {
	a, err := r.look(ctx, back)
	var empty *EmptyError
	if errors.As(err, &empty) {
		return a, nil
	}
	return a, err
}

// Backup makes a base backup. Before it, the server and the archive are asked whether what it stores would be of use; after it, whether it is.
func Backup(ctx context.Context, p pitr.Policy, o Options) (*Run, error) {
	return work(p, o, JobBackup, func(run *Run) error {
		r, err := newRunner(ctx, p, o, pitr.ToolBackup)
		if err == nil {
			err = r.drop()
		}
		if err != nil {
			return err
		}
		argv, err := r.provider.Backup(p)
		if err != nil {
			return err
		}
		run.Outcome = Refused
		r.began("ask the server what it archives, and the archive what it holds")
		l, err := r.live(ctx)
		if err != nil {
			return err
		}
		before, err := r.lookLoosely(ctx, 1)
		if err != nil {
			return err
		}
		for _, f := range pitr.ServerFaults(before, l, p) {
			if f.Refuses {
				return &pitr.FaultError{Fault: f}
			}
		}
		run.Outcome = ""
		if err := r.histories(ctx, before, l, run); err != nil {
			return err
		}
		for _, id := range before.Leftover {
			run.Notes = append(run.Notes, "base/"+id+" has no record: a base backup was killed there, and barman-cloud does not see it; remove what lies below it from the store")
		}
		passed("backup")
		r.began("make a base backup")
		if _, err := r.run(ctx, argv); err != nil {
			return err
		}
		r.began("see that it is there, with its log")
		return r.made(ctx, before, l, run)
	})
}

// histories stores those of the server's timelines that are not in the archive: a server that was promoted without archiving never stores them, and no
// recovery finds the way without (G3).
func (r *runner) histories(ctx context.Context, a pitr.Archive, l pitr.Live, run *Run) error {
	if l.Timeline < 2 {
		return nil
	}
	if _, ok := a.Histories[l.Timeline]; ok {
		return nil
	}
	argv, err := r.provider.WALArchive(r.p, filepath.Join(r.p.Cluster.DataDir, "pg_wal", l.Timeline.HistoryName()))
	if err != nil {
		return err
	}
	r.began("store %s", l.Timeline.HistoryName())
	if _, err := r.run(ctx, argv); err != nil {
		return err
	}
	run.Notes = append(run.Notes, l.Timeline.HistoryName()+" was not in the archive, and is stored now")
	return nil
}

// NotMadeError says that the tool ended well, and what it should have stored is not there.
type NotMadeError struct{ Server, Reason string }

func (e *NotMadeError) Error() string {
	return fmt.Sprintf("the base backup cannot be recovered from, though the tool ended well: %s", e.Reason)
}

// Hint says what to look at.
func (e *NotMadeError) Hint() string {
	return "stateward pitr window says what is missing; look at archive_command, and make another"
}

// settle is how long the last segment of a base backup may take to be listed.
const settle = time.Minute

// made looks whether a base backup is in the archive that was not there before, with each segment from its begin to its end.
func (r *runner) made(ctx context.Context, before pitr.Archive, l pitr.Live, run *Run) error {
	was := map[string]bool{}
	for _, b := range before.Backups {
		was[b.ID] = true
	}
	for end := time.Now().Add(settle); ; {
		a, err := r.look(ctx, 0)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(a.Backups, func(b pitr.BaseBackup) bool { return !was[b.ID] })
		if at < 0 {
			return &NotMadeError{r.p.Server, "no new base backup is listed"}
		}
		b := a.Backups[at]
		ranges, gaps := pitr.Window(a)
		switch {
		case b.Status != pitr.BackupDone:
			return &NotMadeError{r.p.Server, fmt.Sprintf("%s is %s %s", b.ID, b.Status, b.Fault)}
		case b.SystemID != 0 && b.SystemID != l.SystemID:
			return &NotMadeError{r.p.Server, fmt.Sprintf("%s is of the cluster %d, and the server that was asked is %d", b.ID, b.SystemID, l.SystemID)}
		case slices.ContainsFunc(ranges, func(g pitr.Range) bool { return slices.Contains(g.Backups, b.ID) }):
			run.Backup, run.Outcome = &b, Complete
			return nil
		case time.Now().After(end):
			why := "segments from its begin to its end are not in the archive"
			if i := slices.IndexFunc(gaps, func(g pitr.Gap) bool {
				return g.Backup == b.ID || g.Kind == pitr.GapHistory && g.Timeline == b.Timeline
			}); i >= 0 {
				why = gaps[i].Reason
			}
			return &NotMadeError{r.p.Server, b.ID + ": " + why}
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(2 * time.Second):
		}
	}
}
