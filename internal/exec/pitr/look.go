//go:build unix

// Package pitr asks an archive of PostgreSQL what it holds, and recovers a cluster from it to a moment: with barman-cloud and the
// server's own programs.
package pitr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/exec/backup"
	"github.com/stateward/stateward/internal/run"
)

// Options say how to run.
type Options struct {
	// Env is the environment that programs get, with PATH, and HOME for the tool's own settings.
	Env []string
	// Began is called with what is done next, Said with each line of a program that takes long; both may be nil. Neither is
	// called while the other is at work.
	Began, Said func(string)
	Now         func() time.Time
	// Patience is how long the store may be silent; 0 is [DefaultPatience].
	Patience time.Duration
	// StateDir is where jobs write down, in a folder for each cluster, what came of them, Journal the socket of journald; empty is [pitr.StateDir] and [JournalSocket].
	StateDir, Journal string
}

// DefaultPatience is how long a store may be silent. barman-cloud itself tries five times, and waits a minute each time.
const DefaultPatience = 2 * time.Minute

func (o Options) patience() time.Duration {
	if o.Patience > 0 {
		return o.Patience
	}
	return DefaultPatience
}

// ToolError says that a program did not do what it should.
type ToolError struct {
	Tool string
	// Said is the end of what it said, without secrets.
	Said string
	Err  error
}

func (e *ToolError) Error() string {
	if e.Said == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%v: %s", e.Err, e.Said)
}

func (e *ToolError) Unwrap() error { return e.Err }

// Hint says what to look at, where what was said tells it; else it is empty.
func (e *ToolError) Hint() string {
	switch {
	case errors.As(e.Err, new(*SilentError)):
		return silentHint
	case strings.Contains(e.Said, "(403)"), strings.Contains(e.Said, "AccessDenied"), strings.Contains(e.Said, "SignatureDoesNotMatch"), strings.Contains(e.Said, "InvalidAccessKeyId"):
		return "the store refuses the key: look at the environment file or credentials file, and what the key may do"
	case strings.Contains(e.Said, "ERROR: Bucket ") && strings.Contains(e.Said, "does not exist"):
		return "look at the destination; the first segment that is archived makes the bucket, where the key may"
	case strings.Contains(e.Said, "Could not connect"):
		return "the store does not answer: look at the endpoint, and whether it runs; then ask for the same again"
	case strings.Contains(e.Said, "from archive: "): // could not restore file "…" from archive: child process exited with exit code 255
		return "the store stopped answering in the midst of the log, or refused: see that it answers (stateward pitr window), and ask for the same again, which goes on"
	case strings.Contains(e.Said, "recovery ended before configured recovery target was reached"):
		return "no commit after the target is in the log that could be brought: choose an earlier moment, or recover to the end of the log into another directory"
	}
	return ""
}

// SilentError says that a store did not answer in time.
type SilentError struct {
	Store string
	After time.Duration
}

func (e *SilentError) Error() string {
	return fmt.Sprintf("%s did not answer for %s", e.Store, e.After)
}

const silentHint = "look at the endpoint, and whether it runs; then ask for the same again"

// Hint says what to look at.
func (e *SilentError) Hint() string { return silentHint }

// EnvironmentError says that the file with the key cannot be read.
type EnvironmentError struct{ Err error }

func (e *EnvironmentError) Error() string { return e.Err.Error() }
func (e *EnvironmentError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *EnvironmentError) Hint() string {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return "write environmentFile as the policy names it: AWS_ACCESS_KEY_ID= and AWS_SECRET_ACCESS_KEY=, or see why the secret is not there (systemctl status of what makes it)"
	}
	if !errors.Is(e.Err, fs.ErrPermission) {
		return "environmentFile is to name a file that systemd reads: lines of NAME=value, AWS_ACCESS_KEY_ID= and AWS_SECRET_ACCESS_KEY= among them"
	}
	return "the user that runs this, and the server, must read environmentFile: make it belong to that user, mode 0400"
}

// EmptyError says that nothing lies where an archive should.
type EmptyError struct{ Destination, Server string }

func (e *EmptyError) Error() string {
	return fmt.Sprintf("nothing is archived below %s in %s", e.Server, e.Destination)
}

// Hint says what to look at.
func (e *EmptyError) Hint() string {
	return "look at the server name, and whether archive_command succeeds"
}

// runner knows the environment of one policy.
type runner struct {
	p       pitr.Policy
	o       Options
	env     []string
	secrets *strings.Replacer
	// objects are what look found in the store.
	objects  []object
	provider pitr.Provider
	// segment is the size of those of the server, where it was asked.
	segment pitr.SegmentSize
	// as is who runs programs; nil where that is the caller.
	as *run.Account
	// socket is where the server's socket is made; empty for a folder of its own.
	socket string
	// telling is held while the caller is told something: the server speaks while it is asked.
	telling sync.Mutex
	// through tells that nothing is asked of the store any more.
	through atomic.Bool
}

func newRunner(ctx context.Context, p pitr.Policy, o Options, tools ...string) (*runner, error) {
	r := &runner{p: p, o: o}
	flags := map[string]pitr.Flags{}
	var err error
	if r.provider, err = pitr.NewProvider(p, flags); err != nil {
		return nil, err
	}
	base := slices.Clone(o.Env)
	if p.CredentialsFile != "" {
		base = append(base, "AWS_SHARED_CREDENTIALS_FILE="+p.CredentialsFile)
	}
	if r.env, r.secrets, err = backup.Environment(p.EnvironmentFile, base); err != nil {
		return nil, &EnvironmentError{err}
	}
	r.env = append(r.env, "TZ=UTC", "LC_ALL=C")
	// The installed tool says what it knows (G7). Each takes a second or more to start, so only those are asked of which versions differ in
	// what a policy can need.
	for _, t := range tools {
		out, err := r.run(ctx, []string{t, "--help"})
		if err != nil {
			return nil, err
		}
		f, err := pitr.ParseHelp(string(out))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t, err)
		}
		flags[t] = f
	}
	return r, nil
}

func (r *runner) began(format string, args ...any) {
	if r.o.Began != nil {
		r.telling.Lock()
		defer r.telling.Unlock()
		r.o.Began(fmt.Sprintf(format, args...))
	}
}

func (r *runner) getenv(name string) string {
	for _, e := range slices.Backward(r.env) {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// run runs a program, and returns what it printed.
func (r *runner) run(ctx context.Context, argv []string) ([]byte, error) {
	switch tool := filepath.Base(argv[0]); {
	case len(argv) == 2 && argv[1] == "--help": // which asks no store
		var stop func()
		ctx, stop = context.WithTimeoutCause(ctx, DefaultPatience, &SilentError{tool, DefaultPatience})
		defer stop()
	case slices.Contains([]string{pitr.ToolBackup, pitr.ToolRestore, pitr.ToolBackupDelete}, tool):
		// How long they take depends on the size of the cluster.
		var stop func()
		ctx, stop = r.watched(ctx)
		defer stop()
	case strings.HasPrefix(tool, "barman-cloud-"):
		var stop func()
		ctx, stop = context.WithTimeoutCause(ctx, r.o.patience(), &SilentError{"the store at " + r.place(), r.o.patience()})
		defer stop()
	}
	res, err := run.Run(ctx, run.Cmd{Path: argv[0], Args: argv[1:], Env: r.env, As: r.as, Dir: r.dir(), Grace: 10 * time.Second})
	return res.Stdout, r.failed(argv[0], res.Stderr, err)
}

func (r *runner) failed(tool string, stderr []byte, err error) error {
	if err == nil {
		return nil
	}
	if errors.As(err, new(*SilentError)) {
		return &ToolError{filepath.Base(tool), "", err} // what it says of being ended helps nobody
	}
	lines := strings.Split(strings.TrimSpace(string(stderr)), "\n")
	return &ToolError{filepath.Base(tool), r.secrets.Replace(strings.TrimSpace(lines[len(lines)-1])), err}
}

// dir is where programs are started: whoever runs them need not be able to enter the caller's folder.
func (r *runner) dir() string {
	if r.as == nil {
		return ""
	}
	return "/"
}

// place is what an error calls the store.
func (r *runner) place() string { return cmp.Or(r.p.Endpoint, r.p.Destination) }

// program is one of the server's own.
func (r *runner) program(name string) string {
	if r.p.Cluster.BinDir != "" {
		return filepath.Join(r.p.Cluster.BinDir, name)
	}
	return name
}

// Look asks what an archive holds: base backups from barman-cloud, the log from the store, histories and the last commit from the log itself.
func Look(ctx context.Context, p pitr.Policy, o Options) (pitr.Archive, error) {
	r, err := newRunner(ctx, p, o)
	if err != nil {
		return pitr.Archive{}, err
	}
	return r.look(ctx, lookBack)
}

// look reads the log itself as far back as it is told, in segments: the newest says whose it is, and those before it when the last commit was.
func (r *runner) look(ctx context.Context, back int) (a pitr.Archive, err error) {
	a.Server = r.p.Server
	argv, err := r.provider.BackupList(r.p)
	if err != nil {
		return a, err
	}
	out, err := r.run(ctx, argv)
	if err != nil {
		return a, err
	}
	if a.Backups, a.SegmentSize, err = r.provider.ParseBackupList(out); err != nil {
		return a, err
	}
	if a.SegmentSize == 0 {
		a.SegmentSize = r.segment
	}
	b, err := r.bucket()
	if err != nil {
		return a, err
	}
	objects, err := b.list(ctx)
	if err != nil {
		return a, err
	}
	r.objects = objects
	scratch, err := os.MkdirTemp("", "stateward-pitr-")
	if err != nil {
		return a, err
	}
	defer os.RemoveAll(scratch)
	if err := r.give(scratch); err != nil {
		return a, err
	}
	a.Histories = map[pitr.Timeline]pitr.History{}
	for _, x := range objects {
		for i := range a.Backups {
			// barman-cloud before 3.5 tells no zone of its times. The record is stored after the backup ended.
			if c := &a.Backups[i]; c.End.IsZero() && c.Status == pitr.BackupDone && x.Key == b.prefix+"/base/"+c.ID+"/backup.info" {
				c.End = x.LastModified.UTC()
			}
		}
		if id, name, ok := strings.Cut(strings.TrimPrefix(x.Key, b.prefix+"/base/"), "/"); ok && strings.HasPrefix(x.Key, b.prefix+"/base/") && backupID.MatchString(id) {
			i := slices.IndexFunc(a.Backups, func(c pitr.BaseBackup) bool { return c.ID == id })
			switch {
			case i < 0 && !slices.Contains(a.Leftover, id):
				a.Leftover = append(a.Leftover, id)
			case i >= 0 && name == "annotations/keep":
				a.Backups[i].Kept = true
			}
		}
		if !strings.HasPrefix(x.Key, b.prefix+"/wals/") {
			continue
		}
		// What is no file of the log is none of ours.
		f, err := pitr.ParseFile(path.Base(x.Key), a.SegmentSize)
		switch {
		case err != nil:
		case f.Kind == pitr.KindSegment:
			a.Segments = append(a.Segments, pitr.ArchivedSegment{Segment: f.Segment, At: x.LastModified.UTC()})
		case f.Kind == pitr.KindHistory:
			t := f.Segment.Timeline
			a.Histories[t] = nil
			text, err := r.bring(ctx, t.HistoryName(), scratch)
			if err != nil {
				return a, err
			}
			if h, err := pitr.ParseHistory(t, string(text)); err == nil {
				a.Histories[t] = h
			}
		}
	}
	if a.Empty() {
		return a, &EmptyError{r.p.Destination, r.p.Server}
	}
	return a, r.commits(ctx, &a, scratch, back)
}

// bucket is where the archive lies.
func (r *runner) bucket() (*bucket, error) {
	b, err := newBucket(r.p.Destination, r.p.Server, r.p.Endpoint, r.p.Profile, r.getenv)
	if err == nil {
		b.patience = r.o.patience()
	}
	return b, err
}

// watched ends, with a *[SilentError] as its cause, once the store is silent for too long: what runs meanwhile may take hours, and not wait for ever.
func (r *runner) watched(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	b, err := r.bucket()
	if err != nil {
		return ctx, func() { cancel(nil) } // of another store nothing is known
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(b.patience / 4):
			}
			if r.through.Load() {
				continue
			}
			if err := b.silent(ctx); err != nil {
				cancel(err)
				return
			}
		}
	}()
	return ctx, func() { cancel(nil); <-ended }
}

// bring brings one file of the log.
func (r *runner) bring(ctx context.Context, name, dir string) ([]byte, error) {
	to := filepath.Join(dir, name)
	argv, err := r.provider.WALRestore(r.p, name, to)
	if err != nil {
		return nil, err
	}
	if _, err := r.run(ctx, argv); err != nil {
		return nil, err
	}
	return os.ReadFile(to)
}

// lookBack is how many segments at the end of the log are read for the last commit.
const lookBack = 4

// backupID is what barman-cloud calls a base backup: when it began.
var backupID = regexp.MustCompile(`^\d{8}T\d{6}$`)

var commit = regexp.MustCompile(`COMMIT(?:_PREPARED)? (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+) UTC`)

// commits reads when the last transaction of the newest timeline was committed: a target after it is never reached (G2).
func (r *runner) commits(ctx context.Context, a *pitr.Archive, scratch string, back int) error {
	a.LastCommit = map[pitr.Timeline]time.Time{}
	if len(a.Segments) == 0 {
		return nil
	}
	newest := slices.MaxFunc(a.Segments, func(x, y pitr.ArchivedSegment) int { return int(x.Timeline) - int(y.Timeline) }).Timeline
	var own []pitr.Segment
	for _, s := range a.Segments {
		if s.Timeline == newest {
			own = append(own, s.Segment)
		}
	}
	slices.SortFunc(own, func(x, y pitr.Segment) int {
		if x.Number > y.Number {
			return -1
		}
		return 1
	})
	for _, s := range own[:min(len(own), back)] {
		name := s.Name(a.SegmentSize)
		page, err := r.bring(ctx, name, scratch)
		if err != nil {
			return err
		}
		if a.LogSystemID == 0 {
			a.LogSystemID, _ = pitr.SegmentSystemID(page)
		}
		res, err := run.Run(ctx, run.Cmd{Path: r.program("pg_waldump"), Args: []string{"--rmgr=Transaction", filepath.Join(scratch, name)}, Env: r.env, As: r.as, Dir: r.dir()})
		var exit *run.ExitError
		if err != nil && !errors.As(err, &exit) {
			// Without pg_waldump the window ends where the last segment was stored.
			return nil
		}
		// It ends with an error where the log does; the last record of a segment may go on in the next one.
		var last time.Time
		for _, m := range commit.FindAllSubmatch(res.Stdout, -1) {
			if at, err := time.Parse("2006-01-02 15:04:05.999999", string(m[1])); err == nil && at.After(last) {
				last = at
			}
		}
		if err := os.Remove(filepath.Join(scratch, name)); err != nil {
			return err
		}
		if !last.IsZero() {
			a.LastCommit[newest] = last
			return nil
		}
	}
	return nil
}
