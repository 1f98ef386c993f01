//go:build unix

// Package drill does restore drills: it restores a snapshot into a folder of its own, looks whether what came back is what was backed up, and
// writes down what came of it. It touches no live data, makes no repository, and removes only what it made.
package drill

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	policy "github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/drill"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/backup"
	"github.com/stateward/stateward/internal/run"
)

// Dir is where records of drills lie, a folder for each job. Scratch is where is restored to, the same.
const (
	Dir     = "/var/lib/stateward/drill"
	Scratch = "/var/cache/stateward/drill"
)

// Options of [Run]. Those of a run of a backup are needed, and Dir and Scratch.
type Options struct {
	backup.Options
	// Dir is where records are kept.
	Dir string
	// Scratch is an empty or missing folder, in which a folder of its own is made for the time of the drill.
	Scratch string
	// Snapshot is the ID of one; empty means the one of the last good run.
	Snapshot string
	// SQLite3 is the program sqlite3: a file, or a name that is looked up in the PATH of Env. Empty means "sqlite3".
	SQLite3 string
}

// RefusedError says why nothing is restored.
type RefusedError struct{ Reason, hint string }

func (e *RefusedError) Error() string { return "nothing is restored: " + e.Reason }

// Hint says what to do.
func (e *RefusedError) Hint() string { return e.hint }

var errInterrupted = errors.New("the drill was interrupted")

// Refuse is a *[RefusedError], with what to do.
func Refuse(hint, format string, args ...any) error {
	return &RefusedError{fmt.Sprintf(format, args...), hint}
}

// FailedError says that a drill did not pass.
type FailedError struct {
	Verdict drill.Verdict
	Check   drill.Check
}

func (e *FailedError) Error() string {
	return fmt.Sprintf("the drill %s: %s: %s", map[drill.Verdict]string{drill.Failed: "failed", drill.Unknown: "could not tell"}[e.Verdict], e.Check.Name, e.Check.Message)
}

// Hint says what to do.
func (e *FailedError) Hint() string {
	switch {
	case e.Verdict == drill.Unknown && e.Check.Name == "sqlite":
		return `give the job a PATH with sqlite3, or set "sqlite": false in its drill`
	case e.Check.Name == "restore":
		return "what cannot be restored is no backup: restic check --read-data says what is damaged, and another copy may have it"
	case e.Check.Name == "sqlite":
		return "what was backed up while it was written is torn: back up from a snapshot of ZFS (source), or a dump"
	case e.Check.Name == "files":
		return "see whether the machine had room, and what restic said"
	}
	return ""
}

// Run does a drill. The record is written wherever it is not nil; the error is that of a drill that did not pass: a *[RefusedError],
// a *[FailedError], those of running restic, or one of writing down or cleaning up.
func Run(ctx context.Context, j restic.Job, o Options) (rec *drill.Record, file string, err error) {
	if err := j.Validate(); err != nil {
		return nil, "", err
	}
	release, err := backup.Lock(o.LockDir, "drill-"+j.Name+".lock")
	if err != nil {
		return nil, "", err
	}
	defer release()
	r := &runner{job: j, o: o}
	r.Place = Place{Dir: o.Dir, Name: j.Name, Scratch: o.Scratch, Began: r.began}
	r.rec = drill.Record{Job: j.Name, Host: j.Host, Started: o.Now()}
	if j.Drill != nil {
		r.rec.Every = j.Drill.Every
	}
	err = r.run(ctx)
	r.rec.Ended = o.Now()
	var refused *RefusedError
	switch {
	case ctx.Err() != nil:
		r.rec.Verdict, r.rec.Message = drill.Interrupted, "it was interrupted"
		err = errInterrupted
	case errors.As(err, &refused):
		r.rec.Verdict, r.rec.Message = drill.Refused, refused.Reason
	case err != nil:
		r.rec.Verdict, r.rec.Message = drill.Failed, err.Error()
	default:
		if r.rec.Judge(); r.rec.Verdict != drill.Passed {
			i := slices.IndexFunc(r.rec.Checks, func(c drill.Check) bool { return c.Verdict == r.rec.Verdict })
			err = &FailedError{r.rec.Verdict, r.rec.Checks[i]}
		}
	}
	if cerr := r.CleanUp(); cerr != nil {
		if r.rec.Message == "" {
			r.rec.Message = cerr.Error()
		}
		err = errors.Join(err, cerr)
	}
	if r.caller != nil {
		r.rec.Message = r.caller.Redact(r.rec.Message)
	}
	file, werr := r.Write(r.rec)
	return &r.rec, file, errors.Join(err, werr)
}

type runner struct {
	job    restic.Job
	o      Options
	rec    drill.Record
	caller *backup.Caller
	Place
	// paths are those that are restored, none within another.
	paths []string
	root  string
	want  drill.Tree
	// kinds are those of paths.
	kinds map[string]string
}

func (r *runner) began(step string) {
	if r.o.Began != nil {
		r.o.Began(step)
	}
}

func (r *runner) run(ctx context.Context) error {
	if err := r.Leftover(); err != nil {
		return err
	}
	if err := r.Look(r.live()); err != nil {
		return err
	}
	var err error
	if r.caller, err = backup.NewCaller(ctx, r.job, r.o.Options); err != nil {
		return err
	}
	r.rec.Engine = drill.Engine{Name: "restic", Version: r.caller.Version.String()}
	r.began("look for the snapshot")
	if err := r.choose(ctx); err != nil {
		return err
	}
	if err := r.list(ctx); err != nil {
		return err
	}
	if err := r.room(); err != nil {
		return err
	}
	if err := r.Make(r.rec.FileName()); err != nil {
		return err
	}
	r.began("restore")
	if err := r.restore(ctx); err != nil {
		return err
	}
	for _, v := range []struct {
		name string
		run  func(context.Context) (drill.Check, bool)
	}{{"files", r.files}, {"sqlite", r.sqlite}, {"command", r.command}} {
		r.began("check " + v.name)
		c, ran := v.run(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if ran {
			c.Message = r.caller.Redact(c.Message)
			r.rec.Checks = append(r.rec.Checks, c)
		}
	}
	return nil
}

// choose takes the snapshot of the last good run, or the one that was asked for. It must be one of the job.
func (r *runner) choose(ctx context.Context) error {
	out, err := r.caller.Ask(ctx, "snapshots", r.job.ListArgs())
	if err != nil {
		return err
	}
	list, err := restic.ParseSnapshots(out)
	if err != nil {
		return err
	}
	var found *restic.Snapshot
	switch {
	case r.o.Snapshot != "":
		for i, s := range list {
			if strings.HasPrefix(s.ID, r.o.Snapshot) && len(r.o.Snapshot) >= 8 {
				found = &list[i]
			}
		}
		if found == nil {
			return Refuse("see restic snapshots --tag "+restic.JobTag+r.job.Name, "the repository has no snapshot %q of job %q", r.o.Snapshot, r.job.Name)
		}
	default:
		rec, err := backup.ReadRecord(r.o.StateDir, r.job.Name)
		if err != nil {
			return err
		}
		good := ""
		if rec != nil && rec.LastGood != nil {
			good = rec.LastGood.Snapshot
		}
		for i, s := range list {
			// Without a record the newest is taken: a drill elsewhere than on the machine itself is a better one.
			if s.Is(good) || good == "" && r.job.Owns(s) {
				found = &list[i]
			}
		}
		switch {
		case found == nil && good != "":
			return fmt.Errorf("the record says that snapshot %s is good, and the repository does not have it", good[:min(8, len(good))])
		case found == nil:
			return fmt.Errorf("the repository has no snapshot of job %q", r.job.Name)
		}
	}
	r.rec.Snapshot = drill.Snapshot{ID: found.ID, Time: found.Time}
	r.root = found.Root()
	paths := r.job.Paths
	r.rec.Restored.Whole = true
	if d := r.job.Drill; d != nil && len(d.Paths) > 0 {
		paths, r.rec.Restored.Whole = d.Paths, false
	}
	for _, p := range slices.Sorted(slices.Values(paths)) {
		if !slices.ContainsFunc(r.paths, func(of string) bool { return within(of, p) }) {
			r.paths = append(r.paths, p)
		}
	}
	r.rec.Paths = r.paths
	return nil
}

// machine is the path of the machine that is at a path of the repository.
func (r *runner) machine(p string) (string, bool) {
	if r.root == "" {
		return p, true
	}
	if p == r.root {
		return "/", true
	}
	rest, ok := strings.CutPrefix(p, r.root)
	return rest, ok && strings.HasPrefix(rest, "/")
}

// list asks what is in the snapshot.
func (r *runner) list(ctx context.Context) error {
	r.want, r.kinds = drill.Tree{}, map[string]string{}
	var bad error
	_, err := r.caller.Lines(ctx, "ls", r.job.ListFilesArgs(r.rec.Snapshot.ID), func(line []byte) {
		n, ok, err := restic.ParseNode(line)
		if err != nil {
			bad = err
		}
		if !ok {
			return
		}
		p, ok := r.machine(n.Path)
		if !ok {
			return
		}
		for _, of := range r.paths {
			if p == drill.Name(of) {
				r.kinds[of] = n.Type
			}
			// What restic restores of the others, such as sockets, is not the same everywhere.
			if within(drill.Name(of), p) && (n.Type == "file" || n.Type == "dir" || n.Type == "symlink") {
				e := drill.Entry{Kind: n.Type}
				if n.Type == "file" {
					e.Size = n.Size
				}
				r.want.Add(p, e)
			}
		}
	})
	if err != nil {
		// Where the list is damaged restic 0.18 crashes, and 0.19 says so.
		return fmt.Errorf("what is in snapshot %s cannot be read: %w", r.rec.Snapshot.ID[:8], err)
	}
	if bad != nil {
		return bad
	}
	for _, p := range r.paths {
		if p == "/" || p == r.root {
			r.kinds[p] = "dir"
		}
		if r.kinds[p] == "" {
			return fmt.Errorf("the snapshot has no %s", p)
		}
	}
	if files, _ := r.want.Size(); files == 0 && len(r.job.AllowEmpty) == 0 {
		return errors.New("the snapshot has no file")
	}
	return nil
}

// restore has restic write everything into the folder that was made.
func (r *runner) restore(ctx context.Context) error {
	c := drill.Check{Name: "restore", Verdict: drill.Passed}
	took := time.Duration(0)
	for _, p := range r.paths {
		target := r.at(p)
		one := restic.Restore{Snapshot: r.rec.Snapshot.ID, Path: p, Target: target, Root: &r.root, Verify: true, NoCache: true, File: r.kinds[p] == "file"}
		if one.File {
			one.Target = filepath.Dir(target)
		}
		if err := os.MkdirAll(one.Target, 0o700); err != nil {
			return err
		}
		args, err := r.job.RestoreArgs(one)
		if err != nil {
			return err
		}
		began := r.o.Now()
		ended := time.Time{}
		s, err := r.caller.Lines(ctx, "restore", args, func(line []byte) {
			// What follows the summary is the verification.
			if ended.IsZero() && strings.Contains(string(line), `"message_type":"summary"`) {
				ended = r.o.Now()
			}
		})
		if ended.IsZero() {
			ended = r.o.Now()
		}
		took += ended.Sub(began)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			c.Verdict = drill.Failed
			if c.Message == "" {
				c.Message = err.Error()
				if len(s.Said) > 0 {
					c.Message = fmt.Sprintf("restic: %s: %s", s.Outcome, s.Said[0])
				}
			}
			for _, said := range s.Said {
				// Such as "/below/b.txt: ciphertext verification failed".
				if item, _, ok := strings.Cut(said, ": "); ok && strings.HasPrefix(item, "/") && len(c.Files) < drill.MaxFiles {
					at := path.Join(p, item)
					if one.File {
						at = p
					}
					if !slices.Contains(c.Files, at) {
						c.Files = append(c.Files, at)
					}
				}
			}
		}
	}
	files, bytes := r.want.Size()
	c.Checked = files
	if c.Verdict == drill.Passed {
		r.rec.Restored.Files, r.rec.Restored.Bytes = files, bytes
		r.rec.Restored.Seconds = took.Seconds()
		if took > 0 {
			r.rec.Restored.BytesPerSecond = float64(bytes) / took.Seconds()
		}
	}
	c.Message = r.caller.Redact(c.Message)
	r.rec.Checks = append(r.rec.Checks, c)
	return nil
}

// at is where what is at a path of the machine was restored.
func (r *runner) at(p string) string { return filepath.Join(r.Data(), p) }

// walk visits what was restored.
func (r *runner) walk(each func(p, name string, d fs.DirEntry) error) error {
	for _, of := range r.paths {
		top := r.at(of)
		err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) && name == top {
				return nil
			}
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(top, name)
			if err != nil {
				return err
			}
			return each(path.Join(of, rel), name, d)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// files compares what is there with what the snapshot lists.
func (r *runner) files(context.Context) (drill.Check, bool) {
	got := drill.Tree{}
	err := r.walk(func(p, _ string, d fs.DirEntry) error {
		e := drill.Entry{}
		switch d.Type() {
		case 0:
			info, err := d.Info()
			if err != nil {
				return err
			}
			e = drill.Entry{Kind: "file", Size: info.Size()}
		case fs.ModeDir:
			e.Kind = "dir"
		case fs.ModeSymlink:
			e.Kind = "symlink"
		default:
			return nil
		}
		if p == "/" {
			return nil // of which the snapshot says nothing
		}
		got.Add(p, e)
		return nil
	})
	if err != nil {
		return drill.Check{Name: "files", Verdict: drill.Failed, Message: err.Error()}, true
	}
	delete(r.want, "/")
	return drill.Compare(r.want, got), true
}

// sqlite has sqlite3 look into every database that was restored.
func (r *runner) sqlite(ctx context.Context) (drill.Check, bool) {
	c := drill.Check{Name: "sqlite", Verdict: drill.Passed}
	if !r.job.Drill.ChecksSQLite() {
		return c, false
	}
	type database struct{ path, name string }
	var found []database
	err := r.walk(func(p, name string, d fs.DirEntry) error {
		if !d.Type().IsRegular() {
			return nil
		}
		f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		header := make([]byte, drill.SQLiteHeader)
		if n, _ := f.Read(header); drill.IsSQLite(header[:n]) {
			found = append(found, database{p, name})
		}
		return nil
	})
	if err != nil {
		c.Verdict, c.Message = drill.Unknown, err.Error()
		return c, true
	}
	if len(found) == 0 {
		return c, false
	}
	program := r.o.SQLite3
	if program == "" {
		program = "sqlite3"
	}
	env := []string{"HOME=" + r.Home(), "LC_ALL=C.UTF-8"}
	for _, e := range r.o.Env {
		if strings.HasPrefix(e, "PATH=") {
			env = append(env, e)
		}
	}
	if _, err := run.LookPath(program, env); err != nil {
		c.Verdict, c.Message = drill.Unknown, fmt.Sprintf("sqlite3 is not installed: %d databases were not checked", len(found))
		for _, d := range found[:min(len(found), drill.MaxFiles)] {
			c.Files = append(c.Files, d.path)
		}
		return c, true
	}
	for _, d := range found {
		c.Checked++
		// It may write, as the service would: it rolls back a journal, or takes in a log. This is the restored copy.
		res, err := run.Run(ctx, run.Cmd{Path: program, Args: []string{"-batch", "-bail", "-init", "/dev/null", d.name, "PRAGMA integrity_check;"}, Env: env, Dir: r.Home()})
		verdict, said := drill.Integrity(string(res.Stdout), string(res.Stderr), err == nil)
		if verdict == drill.Passed {
			continue
		}
		if c.Verdict != drill.Failed && (c.Verdict != verdict || c.Message == "") {
			c.Verdict, c.Message = verdict, fmt.Sprintf("%s: %s", d.path, said)
		}
		if len(c.Files) < drill.MaxFiles {
			c.Files = append(c.Files, d.path)
		}
	}
	return c, true
}

// command runs what the job asks for.
func (r *runner) command(ctx context.Context) (drill.Check, bool) {
	c := drill.Check{Name: "command", Verdict: drill.Passed}
	if r.job.Drill == nil || len(r.job.Drill.Command) == 0 {
		return c, false
	}
	env := []string{"HOME=" + r.Home(), "LC_ALL=C.UTF-8", "STATEWARD_DRILL_DIR=" + r.Data(),
		"STATEWARD_DRILL_JOB=" + r.job.Name, "STATEWARD_DRILL_SNAPSHOT=" + r.rec.Snapshot.ID}
	for _, e := range r.o.Env {
		if strings.HasPrefix(e, "PATH=") {
			env = append(env, e)
		}
	}
	c.Checked = 1
	last := ""
	_, err := run.Run(ctx, run.Cmd{Path: r.job.Drill.Command[0], Args: r.job.Drill.Command[1:], Env: env, Dir: r.Data(), Grace: 10 * time.Second,
		OnStdoutLine: func([]byte) {},
		OnStderrLine: func(line []byte) {
			if text := strings.TrimSpace(string(line)); text != "" {
				last = text
			}
			if r.o.Said != nil {
				r.o.Said(r.caller.Redact(string(line)))
			}
		}})
	if err != nil {
		c.Verdict, c.Message = drill.Failed, err.Error()
		if last != "" {
			c.Message += ": " + last
		}
	}
	return c, true
}

// within says whether p is dir or lies below.
func within(dir, p string) bool { return dir == p || dir == "/" || strings.HasPrefix(p, dir+"/") }

// settings are those of the drill, which may be left out.
func (r *runner) settings() policy.Drill {
	if r.job.Drill == nil {
		return policy.Drill{}
	}
	return *r.job.Drill
}
