//go:build unix

package preseed

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	plans "github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/drill"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/backup"
	"github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/internal/syntax/shell"
	"github.com/stateward/stateward/preseed"
)

func (r *runner) source(kind preseed.SourceKind) preseed.Source {
	for _, s := range r.plan.Sources {
		if s.Kind == kind {
			return s
		}
	}
	return preseed.Source{}
}

// ask asks a source. Whatever is not an answer is "unreachable": that it has nothing is known only where it could be read (E7).
func (r *runner) ask(ctx context.Context, kind preseed.SourceKind) preseed.Answer {
	source := r.source(kind)
	limit := source.AskPatience()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no answer within %s", limit))
	defer cancel()
	var list []preseed.Candidate
	var err error
	switch kind {
	case preseed.Replica:
		list, err = r.askReplica(ctx, source)
	case preseed.Restic:
		list, err = r.askRestic(ctx, source)
	case preseed.PITR:
		list, err = r.askPITR(ctx, source)
	default:
		err = fmt.Errorf("nobody knows the source %q", kind)
	}
	a := preseed.Answer{Source: kind}
	var not *rejected
	switch {
	case errors.As(err, &not):
		a.Kind, a.Reason = preseed.SourceRefused, not.reason
		return a
	case err != nil:
		a.Kind, a.Reason = preseed.SourceUnreachable, err.Error()
		return a
	}
	a.Kind = preseed.ConfirmedNone
	policy := r.policy()
	for _, c := range slices.Backward(list) { // the newest first
		if r.skip[c.ID] || !policy.At.IsZero() && c.Time.After(policy.At) {
			continue
		}
		a.Kind, a.Candidate = preseed.Available, c
		if age := r.o.Now().Sub(c.Time); policy.MaxAge > 0 && age > policy.MaxAge {
			a.Kind, a.Reason = preseed.SourceRefused, fmt.Sprintf("%s, its newest, is of %s", c.Name, c.Time.UTC().Format("2006-01-02 15:04 MST"))
		}
		break
	}
	return a
}

// ---- a replica ----

// remote are the words that run a command where the replica is.
func remote(s preseed.Source, at plans.Place, words ...string) ([]string, error) {
	if at.Host == "" {
		return words, nil
	}
	out := []string{"ssh", "-oBatchMode=yes", "-oStrictHostKeyChecking=yes", "-oConnectTimeout=30", "-oServerAliveInterval=30", "-oServerAliveCountMax=4"}
	if s.KnownHosts != "" {
		out = append(out, "-oUserKnownHostsFile="+s.KnownHosts, "-oGlobalKnownHostsFile=/dev/null")
	}
	if s.SSHKey != "" {
		out = append(out, "-i", s.SSHKey, "-oIdentitiesOnly=yes")
	}
	// What it gets is read by a shell over there.
	line, err := shell.Command(words...)
	host, _, _ := strings.Cut(s.From, ":") // with the user
	return append(out, "--", host, line), err
}

func (r *runner) onReplica(ctx context.Context, s preseed.Source, words ...string) (string, plans.Place, error) {
	at, err := s.Place()
	if err != nil {
		return "", at, err
	}
	argv, err := remote(s, at, append(words, at.Dataset)...)
	if err != nil {
		return "", at, err
	}
	out, err := r.command(ctx, argv[0], argv[1:]...)
	return out, at, err
}

func (r *runner) askReplica(ctx context.Context, s preseed.Source) ([]preseed.Candidate, error) {
	text, at, err := r.onReplica(ctx, s, "zfs", "list", "-Hp", "-t", "snapshot", "-d", "1", "-o", "name,guid,createtxg,creation", "--")
	if err != nil {
		// A dataset that is not there may be a pool that is not imported, or a name that is mistyped: that is no "none".
		return nil, err
	}
	type found struct {
		preseed.Candidate
		txg uint64
	}
	var list []found
	for _, f := range rows(text) {
		if len(f) != 4 {
			return nil, fmt.Errorf("zfs list of %s printed %q", at.Dataset, f)
		}
		name, own := strings.CutPrefix(f[0], at.Dataset+"@")
		txg, err := strconv.ParseUint(f[2], 10, 64)
		seconds, err2 := strconv.ParseInt(f[3], 10, 64)
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
		if own {
			list = append(list, found{preseed.Candidate{ID: f[1], Name: name, Time: time.Unix(seconds, 0).UTC()}, txg})
		}
	}
	if len(list) == 0 {
		return nil, r.noSnapshots(ctx, s)
	}
	text, _, err = r.onReplica(ctx, s, "zfs", "get", "-Hp", "-o", "property,value", "encryption,keystatus", "--")
	if err != nil {
		return nil, err
	}
	if strings.Contains(text, "keystatus\tunavailable") {
		return nil, &rejected{reason: at.Dataset + " was sent raw, and its key is not loaded where it is"}
	}
	slices.SortFunc(list, func(a, b found) int {
		if a.txg < b.txg {
			return -1
		}
		return 1
	})
	var out []preseed.Candidate
	for _, f := range list {
		out = append(out, f.Candidate)
	}
	return out, nil
}

// emptyReplica is more than what a file system with nothing in it refers to, of which a part hangs on the pool.
const emptyReplica = 64 << 10

// noSnapshots is for a replica without a snapshot: it has nothing only where it never had (E7).
func (r *runner) noSnapshots(ctx context.Context, s preseed.Source) error {
	text, at, err := r.onReplica(ctx, s, "zfs", "get", "-Hp", "-o", "property,value", "receive_resume_token,logicalreferenced", "--")
	if err != nil {
		return err
	}
	said := map[string]bool{}
	for _, f := range rows(text) {
		if len(f) != 2 {
			return fmt.Errorf("zfs get of %s printed %q", at.Dataset, f)
		}
		said[f[0]] = true
		if f[0] == "receive_resume_token" && f[1] != "-" {
			return &rejected{reason: "the first replication to " + at.Dataset + " was cut off: a part of it is there, and it can be resumed"}
		}
		if size, err := strconv.ParseInt(f[1], 10, 64); f[0] == "logicalreferenced" && (err != nil || size > emptyReplica) {
			return &rejected{reason: at.Dataset + " has no snapshot, and holds " + f[1] + " bytes: its snapshots were destroyed, or nobody made any"}
		}
	}
	silent := fmt.Errorf("zfs does not say what %s holds", s.From)
	if !said["receive_resume_token"] || !said["logicalreferenced"] {
		// A command that the key is restricted to may print nothing, and end well.
		return silent
	}
	// A few small files take no more room than what the pool itself needs: they are counted, and the top folder is one. On a pool that does not count them
	// the column is "-".
	text, _, err = r.onReplica(ctx, s, "zfs", "userspace", "-Hp", "-o", "name,objused", "--")
	if err != nil {
		return err
	}
	many, counted := 0, false
	for _, f := range rows(text) {
		if len(f) != 2 {
			return fmt.Errorf("zfs userspace of %s printed %q", at.Dataset, f)
		}
		n, err := strconv.Atoi(f[1])
		if err != nil && f[1] != "-" && f[1] != "none" {
			return fmt.Errorf("zfs userspace of %s printed %q", at.Dataset, f)
		}
		many, counted = many+n, true
	}
	switch {
	case !counted:
		return silent
	case many > 1:
		return &rejected{reason: fmt.Sprintf("%s has no snapshot, and has files or folders in it, %d of them: its snapshots were destroyed, or nobody made any", at.Dataset, many-1)}
	}
	return nil
}

// fillReplica receives. What was cut off goes on where it was.
func (r *runner) fillReplica(ctx context.Context, j *preseed.Journal) error {
	source := r.source(preseed.Replica)
	if source.From == "" {
		return &rejected{reason: "the plan has no replica any more"}
	}
	at, err := source.Place()
	if err != nil {
		return err
	}
	props, err := r.properties(ctx, j.Staged, "guid,receive_resume_token")
	if err != nil {
		return err
	}
	words := []string{"zfs", "send", "--", at.Dataset + "@" + j.Candidate.Name}
	got := ""
	if props != nil {
		if got, err = r.guid(ctx, j.Staged+"@"+j.Candidate.Name); err != nil {
			return err
		}
		token := props["receive_resume_token"].value
		switch {
		case got != "":
		case token == "" || token == "-":
			// Cut off before anything of it was kept.
			if err := r.discard(ctx, *j); err != nil {
				return err
			}
			return errors.New("what was received was cut off at its very beginning")
		default:
			words = []string{"zfs", "send", "-t", token}
			list, err := r.askReplica(ctx, source)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(list, func(c preseed.Candidate) bool { return c.ID == j.Candidate.ID }) {
				if err := r.discard(ctx, *j); err != nil {
					return err
				}
				return fmt.Errorf("%s has no snapshot %s any more, of which a part was received: it begins anew", source.From, j.Candidate.Name)
			}
		}
	}
	if got == "" {
		send, err := remote(source, at, words...)
		if err != nil {
			return err
		}
		given, err := r.given(ctx, *j, false)
		if err != nil {
			return err
		}
		left, err := shell.Command(send...)
		if err != nil {
			return err
		}
		right, err := shell.Command(slices.Concat([]string{"zfs", "receive", "-s", "-u"}, given, []string{"--", j.Staged})...)
		if err != nil {
			return err
		}
		// A stream that is cut off is no stream to the receiver: it says so, whatever the sender does.
		// Were this process killed at once, before what watches over the group of a command is there (internal/run), both would go on without it, and receive
		// beside the next run: they begin once it is.
		watched, stop := r.watched(ctx, j.Staged, &progress{})
		_, err = r.command(watched, "/bin/sh", "-c", "sleep 1; "+left+" | "+right)
		stop()
		if merr := r.made(context.WithoutCancel(ctx), j); err == nil {
			err = merr
		}
		if err != nil {
			return err
		}
		if got, err = r.guid(ctx, j.Staged+"@"+j.Candidate.Name); err != nil {
			return err
		}
	} else if err := r.made(ctx, j); err != nil {
		return err
	}
	if got != j.Candidate.ID {
		err := fmt.Errorf("what was received is another snapshot than the %s that was asked for: it begins anew", j.Candidate.Name)
		return errors.Join(err, r.discard(ctx, *j))
	}
	return r.staged(ctx, *j, func(dir string) error { return r.validate(ctx, dir) })
}

// ---- restic ----

func (r *runner) resticJob(s preseed.Source) (restic.Job, error) {
	text, err := os.ReadFile(s.Job)
	if err != nil {
		return restic.Job{}, err
	}
	j, err := restic.ReadJob(text)
	if err != nil {
		return j, fmt.Errorf("%s: %w", s.Job, err)
	}
	return j, r.plan.CheckJob(j)
}

func (r *runner) askRestic(ctx context.Context, s preseed.Source) ([]preseed.Candidate, error) {
	j, err := r.resticJob(s)
	var not *preseed.JobError
	if errors.As(err, &not) {
		return nil, &rejected{reason: err.Error()}
	}
	if err != nil {
		return nil, err
	}
	list, caller, err := r.resticSnapshots(ctx, j)
	if err != nil {
		return nil, err
	}
	var out []preseed.Candidate
	var others, doubtful []restic.Snapshot
	good, _ := backup.ReadRecord(r.o.Backup.StateDir, j.Name)
	for _, s := range list {
		if !j.Owns(s) {
			others = append(others, s)
			continue
		}
		if good != nil && good.LastGood != nil && s.Time.After(good.LastGood.Time.Add(time.Minute)) && s.ID != good.LastGood.Snapshot {
			doubtful = append(doubtful, s)
			continue // the record knows of nothing good after that: it lacks files (R1)
		}
		c := preseed.Candidate{ID: s.ID, Name: "snapshot " + s.ID[:8], Time: s.Time}
		if s.Summary != nil {
			c.Bytes = s.Summary.Bytes
		}
		out = append(out, c)
	}
	switch {
	case len(out) > 0:
		return out, nil
	case len(doubtful) > 0:
		s := doubtful[len(doubtful)-1]
		return nil, &rejected{reason: fmt.Sprintf("the repository has no snapshot that a good run of job %q made, and has others, such as %s of %s", j.Name, s.ID[:8], s.Time.UTC().Format("2006-01-02 15:04 MST"))}
	case len(others) > 0:
		o := others[len(others)-1]
		return nil, &rejected{reason: fmt.Sprintf("the repository has snapshots of job %q of other hosts or paths only, such as %s of %s with %s", j.Name, o.ID[:8], o.Host, strings.Join(o.Paths, ", "))}
	case good != nil && good.LastGood != nil:
		return nil, &rejected{reason: fmt.Sprintf("the last good run of job %q was on %s, and the repository has no snapshot of the job", j.Name, good.LastGood.Time.UTC().Format("2006-01-02 15:04 MST"))}
	}
	// A repository that has lost its snapshots, and not its data, lists none without a word.
	held := map[string]bool{}
	for _, kind := range []string{"snapshots", "packs"} {
		text, err := caller.Ask(ctx, "list", j.HeldArgs(kind))
		if err != nil {
			return nil, err
		}
		held[kind] = len(bytes.TrimSpace(text)) > 0
	}
	if held["packs"] && !held["snapshots"] {
		return nil, &rejected{reason: "the repository holds data and lists no snapshot at all: they are lost, or were forgotten and not pruned"}
	}
	return out, nil
}

func (r *runner) resticSnapshots(ctx context.Context, j restic.Job) ([]restic.Snapshot, *backup.Caller, error) {
	c, err := backup.NewCaller(ctx, j, r.o.Backup)
	if err != nil {
		return nil, nil, err
	}
	r.redact = append(r.redact, c.Redact)
	out, err := c.Ask(ctx, "snapshots", j.ListArgs())
	if err != nil {
		return nil, nil, err
	}
	list, err := restic.ParseSnapshots(out)
	return list, c, err
}

// node is what a snapshot says of a file or folder.
type node struct {
	Type string      `json:"type"`
	Path string      `json:"path"`
	UID  int         `json:"uid"`
	GID  int         `json:"gid"`
	Mode fs.FileMode `json:"mode"`
}

func (r *runner) fillRestic(ctx context.Context, j *preseed.Journal) error {
	source := r.source(preseed.Restic)
	if source.Job == "" {
		return &rejected{reason: "the plan has no restic any more"}
	}
	job, err := r.resticJob(source)
	if err != nil {
		return err
	}
	list, caller, err := r.resticSnapshots(ctx, job)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(s restic.Snapshot) bool { return s.ID == j.Candidate.ID })
	if i < 0 {
		err := fmt.Errorf("the repository has %s no more: it begins anew", j.Candidate.Name)
		return errors.Join(err, r.discard(ctx, *j))
	}
	root := list[i].Root()
	wanted, err := r.wanted(job)
	if err != nil {
		return err
	}
	nodes := map[string]node{}
	_, err = caller.Lines(ctx, "ls", job.ListFilesArgs(j.Candidate.ID), func(line []byte) {
		var n node
		if json.Unmarshal(line, &n) != nil || n.Type == "" {
			return
		}
		for _, p := range wanted {
			if at := restic.Stored(root, p); n.Path == at || n.Type == "dir" && within(n.Path, at) {
				nodes[n.Path] = n
			}
		}
	})
	if err != nil {
		return err
	}
	for _, p := range wanted {
		if _, ok := nodes[restic.Stored(root, p)]; !ok {
			return &rejected{reason: fmt.Sprintf("%s has no %s", j.Candidate.Name, restic.Stored(root, p))}
		}
	}
	resumes := j.StagedGUID != ""
	if resumes {
		if err := r.expect(ctx, j.Staged, j.StagedGUID); err != nil {
			return err
		}
	} else if err := r.create(ctx, j); err != nil {
		return err
	}
	return r.staged(ctx, *j, func(dir string) error {
		var moved progress
		watched, stop := r.watched(ctx, j.Staged, &moved)
		err := (resticRestore{job, caller, j.Candidate.ID, root, wanted, nodes, resumes, &moved}).into(watched, r.plan.Mountpoint, dir)
		stop()
		if err != nil {
			return err
		}
		return r.validate(ctx, dir)
	})
}

// create makes the dataset that is filled, with all that is declared of it.
func (r *runner) create(ctx context.Context, j *preseed.Journal) error {
	given, err := r.given(ctx, *j, true)
	if err != nil {
		return err
	}
	if _, err := r.zfs(ctx, slices.Concat([]string{"create"}, given, []string{"--", j.Staged})...); err != nil {
		return err
	}
	return r.made(ctx, j)
}

// resticRestore is what restic restores of a snapshot: the paths that are wanted, of which nodes says what they are.
type resticRestore struct {
	job      restic.Job
	caller   *backup.Caller
	snapshot string
	root     string
	wanted   []string
	nodes    map[string]node
	// resumes tells that an earlier restore of it was cut off.
	resumes bool
	moved   *progress
}

// into restores what is at top on the machine into dir.
func (x resticRestore) into(ctx context.Context, top, dir string) error {
	for _, p := range x.wanted {
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		target := filepath.Join(dir, rel)
		file := x.nodes[restic.Stored(x.root, p)].Type != "dir"
		folder := rel
		if file {
			target, folder = filepath.Dir(target), path.Dir(rel)
		}
		if err := os.MkdirAll(target, 0o755); err != nil {
			return err
		}
		args, err := x.job.RestoreArgs(restic.Restore{Snapshot: x.snapshot, Path: p, File: file, Target: target, Root: &x.root, Resume: x.resumes})
		if err != nil {
			return err
		}
		if _, err := x.caller.Lines(ctx, "restore", args, x.moved.line); err != nil {
			return errors.Join(err, full(dir))
		}
		// restic leaves the folders above what it restores to whoever made them.
		for ; ; folder = path.Dir(folder) {
			n, ok := x.nodes[restic.Stored(x.root, path.Join(top, folder))]
			if ok {
				at := filepath.Join(dir, folder)
				if err := errors.Join(os.Lchown(at, n.UID, n.GID), os.Chmod(at, n.Mode.Perm()|n.Mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeSticky))); err != nil {
					return err
				}
			}
			if folder == "." {
				break
			}
		}
	}
	return nil
}

// full says that there is no room, which restic says of each file and not at its end; nil where there is.
func full(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil || st.Bavail*uint64(st.Bsize) > 128<<10 {
		return nil
	}
	return errors.New("no space left in the staging area")
}

// wanted are the paths of the machine that are restored: the mountpoint, or what the job or the plan has below it.
func (r *runner) wanted(j restic.Job) (out []string, err error) {
	top := r.plan.Mountpoint
	if len(r.plan.Paths) > 0 {
		for _, rel := range r.plan.Paths {
			p := path.Join(top, rel)
			if !slices.ContainsFunc(j.Paths, func(dir string) bool { return within(dir, p) }) {
				return nil, &rejected{reason: fmt.Sprintf("job %q does not back up %s", j.Name, p)}
			}
			out = append(out, p)
		}
	} else if slices.ContainsFunc(j.Paths, func(dir string) bool { return within(dir, top) }) {
		return []string{top}, nil
	} else {
		for _, p := range j.Paths {
			if within(top, p) {
				out = append(out, p)
			}
		}
	}
	slices.Sort(out)
	var tops []string
	for _, p := range out {
		if !slices.ContainsFunc(tops, func(top string) bool { return within(top, p) }) {
			tops = append(tops, p)
		}
	}
	return tops, nil
}

// ---- validation ----

// scratch is where copies of databases are checked: sqlite3 writes as it looks.
const scratch = ".stateward-preseed-check"

// validate looks into what is to take the place.
func (r *runner) validate(ctx context.Context, dir string) error {
	p := r.plan
	if err := os.RemoveAll(filepath.Join(dir, scratch)); err != nil {
		return err
	}
	found, err := r.holds(dir)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return &rejected{reason: "there is nothing in it", empty: true}
	}
	r.files, r.bytes = 0, 0
	var databases []string
	err = filepath.WalkDir(dir+"/", func(name string, d fs.DirEntry, err error) error {
		if err == nil && name == filepath.Join(dir, ".zfs") {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() {
			return err
		}
		r.files++
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		r.bytes += info.Size()
		if !p.SQLite {
			return nil
		}
		is, err := isSQLite(name)
		if is {
			databases = append(databases, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	if r.bytes < p.MinBytes {
		return &rejected{reason: fmt.Sprintf("there are %d bytes in it, and minBytes is %d", r.bytes, p.MinBytes)}
	}
	for _, name := range databases {
		if err := r.sqlite(ctx, dir, name); err != nil {
			return err
		}
	}
	if len(p.Command) == 0 {
		return nil
	}
	// systemd cuts nothing off: a command that never ends would hold the service up for ever.
	limit := r.patience()
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("the command has not ended within %s", limit))
	defer cancel()
	if _, err := r.command(ctx, p.Command[0], append(slices.Clone(p.Command[1:]), dir)...); err != nil {
		var exit *commandError
		if errors.As(err, &exit) && (ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded)) {
			return &rejected{reason: "the command does not take it: " + exit.said}
		}
		return err
	}
	return nil
}

func isSQLite(name string) (bool, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	header := make([]byte, drill.SQLiteHeader)
	n, _ := io.ReadFull(f, header)
	return drill.IsSQLite(header[:n]), nil
}

// sqlite has sqlite3 look into a copy of a database, with its journals.
func (r *runner) sqlite(ctx context.Context, dir, name string) (err error) {
	at := filepath.Join(dir, scratch)
	if err := os.Mkdir(at, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(at)) }()
	for _, with := range []string{"", "-wal", "-journal"} {
		if err := copyFile(name+with, filepath.Join(at, "db"+with)); err != nil && !(with != "" && errors.Is(err, fs.ErrNotExist)) {
			return err
		}
	}
	if _, err := run.LookPath("sqlite3", r.o.Env); err != nil {
		return &rejected{reason: "sqlite3 is not installed: nobody knows whether its databases are whole"}
	}
	res, err := run.Run(ctx, run.Cmd{Path: "sqlite3", Args: []string{"-batch", "-bail", "-init", "/dev/null", filepath.Join(at, "db"), "PRAGMA integrity_check;"},
		Env: slices.Concat(r.o.Env, []string{"HOME=" + at}), Dir: at})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if verdict, said := drill.Integrity(string(res.Stdout), string(res.Stderr), err == nil); verdict != drill.Passed {
		rel, _ := filepath.Rel(dir, name)
		return &rejected{reason: fmt.Sprintf("%s: %s", rel, said)}
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.OpenFile(from, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
