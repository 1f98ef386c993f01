//go:build unix

package pitr

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stateward/stateward/backup/drill"
	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/exec/backup"
	execdrill "github.com/stateward/stateward/internal/exec/drill"
	"github.com/stateward/stateward/internal/run"
)

// DrillScratch is where drills of clusters restore to, a folder for each. The user of the cluster must be able to enter it.
const DrillScratch = "/var/cache/stateward/pitr-drill"

// DrillOptions of [Drill].
type DrillOptions struct {
	Options
	// Dir is where records are kept, LockDir the lock of the drill.
	Dir, LockDir string
	// Scratch is an empty or missing folder, in which a folder of its own is made for the time of the drill.
	Scratch string
	// Host is the name of the machine in the record.
	Host string
}

// DrillName is the job of the records of a policy.
func DrillName(p pitr.Policy) string { return "pitr-" + PolicyName(p) }

var errInterrupted = errors.New("the drill was interrupted")

// Drill recovers a cluster from its archive into a folder of its own, looks whether it can be read, measures that, and removes it. It changes nothing of the
// living cluster or of the archive. The record is written wherever it is not nil; the error is that of a drill that did not pass.
func Drill(ctx context.Context, p pitr.Policy, t pitr.Target, o DrillOptions) (rec *drill.Record, file string, err error) {
	name := DrillName(p)
	release, err := backup.Lock(o.LockDir, "drill-"+name+".lock")
	if err != nil {
		return nil, "", err
	}
	defer release()
	d := &driller{o: o, target: t, living: p}
	d.Place = execdrill.Place{Dir: o.Dir, Name: name, Scratch: o.Scratch, Mode: 0o711, Began: o.Began, Before: d.stopLeft}
	d.rec = drill.Record{Job: name, Host: o.Host, Started: o.Now(), Paths: []string{p.Cluster.DataDir}}
	if p.Drill != nil && p.Drill.Every != 0 {
		if every, err := p.Drill.Every.MarshalText(); err == nil {
			d.rec.Every = string(every)
		}
	}
	err = d.run(ctx)
	d.rec.Ended = o.Now()
	var refused *execdrill.RefusedError
	switch {
	case ctx.Err() != nil:
		d.rec.Verdict, d.rec.Message, err = drill.Interrupted, "it was interrupted", errInterrupted
	case errors.As(err, &refused):
		d.rec.Verdict, d.rec.Message = drill.Refused, refused.Reason
	case err != nil:
		d.rec.Verdict, d.rec.Message = drill.Failed, err.Error()
		if i := slices.IndexFunc(d.rec.Checks, func(c drill.Check) bool { return c.Verdict == drill.Unknown }); i >= 0 && errors.Is(err, errRoom) {
			d.rec.Verdict = drill.Unknown
		}
	default:
		if d.rec.Judge(); d.rec.Verdict != drill.Passed {
			i := slices.IndexFunc(d.rec.Checks, func(c drill.Check) bool { return c.Verdict == d.rec.Verdict })
			err = &DrillError{d.rec.Verdict, d.rec.Checks[i]}
		}
	}
	if cerr := d.CleanUp(); cerr != nil {
		if d.rec.Message == "" {
			d.rec.Message = cerr.Error()
		}
		err = errors.Join(err, cerr)
	}
	if d.r != nil {
		d.rec.Message = d.r.secrets.Replace(d.rec.Message)
	}
	file, werr := d.Write(d.rec)
	return &d.rec, file, errors.Join(err, werr)
}

// DrillError says that a drill did not pass.
type DrillError struct {
	Verdict drill.Verdict
	Check   drill.Check
}

func (e *DrillError) Error() string {
	return fmt.Sprintf("the drill %s: %s: %s", map[drill.Verdict]string{drill.Failed: "failed", drill.Unknown: "could not tell"}[e.Verdict], e.Check.Name, e.Check.Message)
}

// Hint says what to do.
func (e *DrillError) Hint() string {
	switch {
	case e.Check.Name == "amcheck" && e.Verdict == drill.Unknown:
		return "give the drill pg_amcheck and the extension amcheck, which come with PostgreSQL"
	case e.Check.Name == "amcheck", e.Check.Name == "tables" && e.Verdict == drill.Failed:
		return "look whether the living cluster has the same fault: pg_amcheck; if not, make a base backup, and drill again"
	case e.Check.Name == "tables":
		return "install the libraries that the cluster uses where the drill runs"
	}
	return ""
}

type driller struct {
	execdrill.Place
	o      DrillOptions
	target pitr.Target
	// living is the policy of the cluster, r has one whose data directory is in the folder of the drill.
	living pitr.Policy
	r      *runner
	rec    drill.Record
}

// cluster is the data directory in the folder of a drill.
func cluster(folder string) string { return filepath.Join(folder, "data", "pg") }

// socketOf is where the socket of a drill is: the name of one may not be long. It follows from the folder, so that the next drill finds it.
func socketOf(folder string) string {
	return filepath.Join(os.TempDir(), fmt.Sprintf("sw-pg-%x", sha256.Sum256([]byte(folder)))[:22])
}

func (d *driller) run(ctx context.Context) error {
	if err := d.Leftover(); err != nil {
		return err
	}
	live := map[string]string{d.living.Cluster.DataDir: "the data directory"}
	if d.living.Cluster.WALDir != "" {
		live[d.living.Cluster.WALDir] = "the log of the cluster"
	}
	if err := d.Look(live); err != nil {
		return err
	}
	r, err := newRunner(ctx, d.living, d.o.Options)
	if err != nil {
		return err
	}
	d.r = r
	if err := r.drop(); err != nil {
		return err
	}
	if err := d.reachable(); err != nil {
		return err
	}
	d.rec.Engine = drill.Engine{Name: cmp.Or(d.living.Provider, pitr.BarmanCloud)}
	r.began("ask the archive what it holds")
	a, err := r.look(ctx, lookBack)
	if err != nil {
		return err
	}
	plan, err := pitr.NewRecovery(a, d.target, d.living)
	var outside *pitr.OutsideError
	if errors.As(err, &outside) && d.target != (pitr.Target{}) {
		return execdrill.Refuse(outside.Hint(), "%v", outside)
	}
	if err != nil {
		return err
	}
	d.rec.Snapshot = drill.Snapshot{ID: plan.Backup.ID, Time: plan.Backup.End}
	log, err := logBytes(plan, a.SegmentSize)
	if err != nil {
		return err
	}
	d.rec.Recovery = &drill.Recovery{Target: plan.Target.String(), Timeline: uint32(plan.Timeline), LogBytes: log}
	for _, t := range plan.Backup.Tablespaces {
		live[t.Location] = "a tablespace"
	}
	if err := d.Look(live); err != nil {
		return err
	}
	if err := d.room(plan.Backup.Size + log); err != nil {
		return err
	}
	if err := d.Make(d.rec.FileName()); err != nil {
		return err
	}
	for _, dir := range []string{d.Folder(), d.Data(), d.Home()} {
		if err := r.give(dir); err != nil {
			return err
		}
	}
	if out, err := r.run(ctx, []string{pitr.ToolRestore, "--version"}); err == nil {
		d.rec.Engine.Version = string(regexp.MustCompile(`[0-9][0-9A-Za-z.]*`).Find(out))
	}
	plan.DataDir = cluster(d.Folder())
	r.socket = socketOf(d.Folder())
	i := slices.IndexFunc(a.Segments, func(s pitr.ArchivedSegment) bool { return s.Name(a.SegmentSize) == plan.Last })
	if i >= 0 {
		d.rec.Recovery.Archived = a.Segments[i].At
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go d.watchRoom(ctx, cancel)
	return d.recover(ctx, &journal{Destination: d.living.Destination, Plan: plan})
}

// logBytes is how much log is replayed at least.
func logBytes(plan pitr.Recovery, size pitr.SegmentSize) (int64, error) {
	first, err := pitr.ParseFile(plan.First, size)
	last, err2 := pitr.ParseFile(plan.Last, size)
	if err := errors.Join(err, err2); err != nil {
		return 0, err
	}
	return int64(last.Segment.Number-first.Segment.Number+1) * int64(size), nil
}

// room looks whether there is room for what is known to be needed: older versions of barman-cloud do not tell how large a base backup is, so it is watched besides.
func (d *driller) room(need int64) error {
	free, reserve, _, err := d.Free()
	if err != nil {
		return err
	}
	if need+need/20+reserve > free {
		return execdrill.Refuse("make room, or name a folder on another file system with --scratch",
			"base backup and log need %d bytes in %s, where %d are free, of which %d are left to others", need+need/20, d.Scratch, free, reserve)
	}
	return nil
}

var errRoom = errors.New("no room is left for the drill: what is free is left to others")

// watchRoom ends the drill before it takes the room of others.
func (d *driller) watchRoom(ctx context.Context, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if free, reserve, _, err := d.Free(); err == nil && free < reserve {
				cancel(errRoom)
				return
			}
		}
	}
}

// reachable looks whether the user of the cluster can enter the scratch folder.
func (d *driller) reachable() error {
	a := d.r.as
	if a == nil {
		return nil
	}
	for dir := d.Scratch; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return err
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		bit := fs.FileMode(0o001)
		switch {
		case !ok:
		case st.Uid == a.UID:
			bit = 0o100
		case st.Gid == a.GID || slices.Contains(a.Groups, st.Gid):
			bit = 0o010
		}
		if info.Mode()&bit == 0 {
			return execdrill.Refuse("name a folder that this user can enter with --scratch", "user %s, as whom PostgreSQL runs, cannot enter %s", d.r.user(), dir)
		}
		if dir == "/" {
			return nil
		}
	}
}

// check adds what a check found, and tells whether it passed.
func (d *driller) check(c drill.Check) {
	c.Message = d.r.secrets.Replace(c.Message)
	d.rec.Checks = append(d.rec.Checks, c)
}

func (d *driller) recover(ctx context.Context, j *journal) error {
	r, dir, rec := d.r, j.Plan.DataDir, d.rec.Recovery
	// failed is a step that went wrong: an interruption is none, and want of room tells nothing of the archive.
	failed := func(name string, err error) error {
		c := drill.Check{Name: name, Verdict: drill.Failed, Message: err.Error()}
		if errors.Is(context.Cause(ctx), errRoom) {
			c.Verdict, c.Message, err = drill.Unknown, errRoom.Error(), errRoom
		}
		if ctx.Err() == nil || errors.Is(err, errRoom) {
			d.check(c)
		}
		return err
	}
	spaces := map[string]string{}
	for _, t := range j.Plan.Backup.Tablespaces {
		name := filepath.Join("tablespaces", strconv.FormatUint(t.OID, 10))
		spaces[t.Name] = filepath.Join(d.Data(), name)
		if err := r.within(d.Data(), func(at *place) error {
			return errors.Join(at.folder("tablespaces"), at.folder(name))
		}); err != nil {
			return err
		}
	}
	began := d.o.Now()
	if err := r.begin(dir); err != nil {
		return err
	}
	if err := r.restore(ctx, dir, j, spaces); err != nil {
		return failed("restore", err)
	}
	rec.BaseSeconds = d.o.Now().Sub(began).Seconds()
	files, bytes, err := sizeOf(d.Data())
	if err != nil {
		return err
	}
	rec.BaseBytes = bytes
	d.check(drill.Check{Name: "restore", Verdict: drill.Passed, Checked: files})
	if err := r.moved(dir, j); err != nil {
		return err
	}
	began = d.o.Now()
	var looked []drill.Check
	err = r.replay(ctx, dir, j, func(s *session) error {
		rec.LogSeconds = d.o.Now().Sub(began).Seconds()
		looked, err = d.ask(s, j)
		return err
	})
	if err != nil {
		return failed("log", err)
	}
	var res Result
	err = r.ended(ctx, dir, j, &res)
	if err != nil {
		return failed("log", err)
	}
	rec.LSN = res.At.String()
	d.rec.Restored = drill.Restored{Files: files, Bytes: rec.BaseBytes + rec.LogBytes, Seconds: rec.BaseSeconds + rec.LogSeconds, Whole: j.Plan.Whole()}
	if s := d.rec.Restored.Seconds; s > 0 {
		d.rec.Restored.BytesPerSecond = float64(d.rec.Restored.Bytes) / s
	}
	for _, c := range looked {
		d.check(c)
	}
	return nil
}

// sizeOf counts the files below a folder, and their bytes.
func sizeOf(dir string) (files, bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		files++
		bytes += info.Size()
		return nil
	})
	return files, bytes, err
}

// ask looks at a cluster that was recovered and promoted.
func (d *driller) ask(s *session, j *journal) ([]drill.Check, error) {
	rec := d.rec.Recovery
	log := drill.Check{Name: "log", Verdict: drill.Passed, Checked: rec.LogBytes}
	at, err := s.ask("postgres", "select coalesce(extract(epoch from pg_last_xact_replay_timestamp())::text, '')")
	if err != nil {
		return nil, err
	}
	// Without any transaction after it, the end of the base backup is what came back.
	rec.Reached = j.Plan.Backup.End
	if at != "" {
		whole, part, _ := strings.Cut(at, ".")
		seconds, err := strconv.ParseInt(whole, 10, 64)
		micro, err2 := strconv.ParseInt((part + "000000")[:6], 10, 64)
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("the server says %q of its last transaction: %w", at, err)
		}
		rec.Reached = time.Unix(seconds, micro*1000).UTC()
	}
	if !rec.Reached.IsZero() {
		rec.RPOSeconds = max(0, d.rec.Started.Sub(rec.Reached).Seconds())
	}
	if r := j.Plan.Range; j.Plan.Whole() && r.Exact && rec.Reached.Before(r.To) {
		log.Verdict, log.Message = drill.Failed, fmt.Sprintf("the last transaction that came back is of %s, and the archive has one of %s", rec.Reached.Format(time.RFC3339Nano), r.To.Format(time.RFC3339Nano))
	}
	names, err := s.databases()
	if err != nil {
		return nil, err
	}
	d.r.began("read every table")
	tables := drill.Check{Name: "tables", Verdict: drill.Passed}
	for _, name := range names {
		rec.Databases++
		c := s.tables(name)
		tables.Checked += c.Checked
		for _, f := range c.Files {
			if len(tables.Files) < drill.MaxFiles {
				tables.Files = append(tables.Files, f)
			}
		}
		if c.Verdict != drill.Passed && tables.Verdict != drill.Failed && (tables.Message == "" || c.Verdict == drill.Failed) {
			tables.Verdict, tables.Message = c.Verdict, c.Message
		}
	}
	rec.Tables = tables.Checked
	d.r.began("check tables and indexes with pg_amcheck")
	checks := []drill.Check{log, tables, s.amcheck(len(names))}
	return checks, s.ctx.Err()
}

// every are the relations that have rows of their own, with what they are kept aside in.
const every = "pg_class c where c.relkind in ('r', 'm', 't') and c.relpersistence <> 't' and (c.relkind <> 'm' or c.relispopulated)"

// tables reads each row of each table of a database.
func (s *session) tables(database string) drill.Check {
	c := drill.Check{Name: "tables", Verdict: drill.Passed}
	fault := func(text string) drill.Check {
		c.Verdict, c.Message = drill.Failed, "database "+database+": "+text
		// What the libraries of the cluster would be needed for, nobody can tell without them.
		if strings.Contains(text, "could not access file") || strings.Contains(text, "could not load library") || strings.Contains(text, "must be loaded via") {
			c.Verdict = drill.Unknown
		}
		return c
	}
	want, err := s.ask(database, "select count(*) from "+every)
	if err != nil {
		return fault(err.Error())
	}
	n, err := strconv.ParseInt(want, 10, 64)
	if err != nil {
		return fault(err.Error())
	}
	cmd := s.cmd("psql", "-X", "-A", "-t", "-q", "-d", connect(database))
	cmd.Stdin = []byte("select format('select %s, count(*) from only %s', c.oid::bigint, c.oid::regclass) from " + every + " order by c.oid \\gexec\n")
	res, err := run.Run(s.ctx, cmd)
	if err != nil {
		return fault(s.r.failed("psql", res.Stderr, err).Error())
	}
	var read []string
	for line := range strings.Lines(string(res.Stdout)) {
		if oid, _, ok := strings.Cut(line, "|"); ok {
			read = append(read, oid)
		}
	}
	if c.Checked = int64(len(read)); c.Checked >= n {
		return c
	}
	if names, err := s.ask(database, fmt.Sprintf("select c.oid::regclass from %s and c.oid::bigint <> all ('{%s}') order by c.oid limit %d", every, strings.Join(read, ","), drill.MaxFiles)); err == nil {
		for name := range strings.Lines(names) {
			c.Files = append(c.Files, database+"."+strings.TrimSpace(name))
		}
	}
	text := fmt.Sprintf("%d of %d tables could not be read", n-c.Checked, n)
	if _, said, ok := strings.Cut(s.r.secrets.Replace(string(res.Stderr)), "ERROR:  "); ok {
		said, _, _ = strings.Cut(said, "\n")
		text += ": " + said
	}
	return fault(text)
}

var amcheckSubject = regexp.MustCompile(`^(?:heap table|btree index|toast table) "(.*?)"`)

// amcheck has pg_amcheck look at every table and index.
func (s *session) amcheck(databases int) drill.Check {
	c := drill.Check{Name: "amcheck", Verdict: drill.Passed, Checked: int64(databases)}
	if _, err := run.LookPath(s.r.program("pg_amcheck"), s.r.env); err != nil {
		c.Verdict, c.Checked, c.Message = drill.Unknown, 0, "pg_amcheck is not installed: tables were read, and indexes were not checked"
		return c
	}
	cmd := s.cmd("pg_amcheck", "--all", "--install-missing", "--heapallindexed")
	first := ""
	cmd.OnStdoutLine = func(line []byte) {
		text := strings.TrimSpace(string(line))
		if m := amcheckSubject.FindStringSubmatch(text); m != nil && len(c.Files) < drill.MaxFiles && !slices.Contains(c.Files, m[1]) {
			c.Files = append(c.Files, m[1])
		}
		if len(first) < 300 && text != "" {
			first = strings.TrimSpace(first + " " + text)
		}
	}
	res, err := run.Run(s.ctx, cmd)
	var exit *run.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit) && exit.Code == 2:
		c.Verdict, c.Message = drill.Failed, first
	default:
		c.Verdict, c.Message = drill.Unknown, s.r.failed("pg_amcheck", res.Stderr, err).Error()
		if crashed(string(res.Stderr)) {
			c.Verdict = drill.Failed
		}
	}
	return c
}

// crashed tells whether the server ended while it was asked, as it may over what is damaged.
func crashed(said string) bool {
	return strings.Contains(said, "server closed the connection unexpectedly") || strings.Contains(said, "is in recovery mode") || strings.Contains(said, "because of crash of another server process")
}

// stopLeft ends what works in the folder of a drill: the server of one that was killed. It is told by the folder that it works in.
func (d *driller) stopLeft(folder string) error {
	dir := cluster(folder)
	if at, err := filepath.EvalSymlinks(dir); err == nil {
		dir = at
	}
	text, _ := os.ReadFile(filepath.Join(dir, "postmaster.pid"))
	first, _, _ := strings.Cut(string(text), "\n")
	began := time.Now()
	for told := false; ; {
		found := servers(dir)
		if len(found) == 0 {
			break
		}
		signal := syscall.SIGKILL
		if time.Since(began) < 10*time.Second {
			// At once, and without a checkpoint: nobody needs it any more.
			signal = syscall.SIGQUIT
		}
		for _, pid := range found {
			if signal == syscall.SIGKILL || strconv.Itoa(pid) == strings.TrimSpace(first) && !told {
				_ = syscall.Kill(pid, signal)
			}
		}
		told = true
		if time.Since(began) > patience {
			return execdrill.Refuse("end it, and drill again", "process %d still works in %s, which a drill left", found[0], dir)
		}
		time.Sleep(50 * time.Millisecond)
	}
	socket := socketOf(folder)
	info, err := os.Lstat(socket)
	if err != nil {
		return nil
	}
	owner := uint32(os.Geteuid())
	if owner == 0 {
		if a, _, err := lookup((&runner{p: d.living}).user()); err == nil {
			owner = a.UID
		}
	}
	// Anybody may make a folder of that name there.
	if st, ok := info.Sys().(*syscall.Stat_t); !ok || !info.IsDir() || st.Uid != owner && int(st.Uid) != os.Geteuid() {
		return nil
	}
	return os.RemoveAll(socket)
}

// servers are the processes of PostgreSQL that work in a data directory.
func servers(dir string) (list []int) {
	all, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, link := range all {
		if at, err := os.Readlink(link); err != nil || at != dir && at != dir+" (deleted)" {
			continue
		}
		line, err := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
		pid, err2 := strconv.Atoi(filepath.Base(filepath.Dir(link)))
		if err == nil && err2 == nil && strings.Contains(string(line), "postgres") {
			list = append(list, pid)
		}
	}
	return list
}
