//go:build unix

package preseed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stateward/stateward/internal/run"
	"github.com/stateward/stateward/internal/syntax/mountinfo"
	"github.com/stateward/stateward/preseed"
)

// maxHolds is how many files are named as evidence.
const maxHolds = 3

// commandError says what a program said.
type commandError struct{ what, said string }

func (e *commandError) Error() string { return e.what + ": " + e.said }

// zfsPatience is longer than any command takes on a pool that answers; on one that is suspended zfs waits for ever.
const zfsPatience = 5 * time.Minute

// call runs what is short, and does not cut it off: what half happened would have to be guessed.
func (r *runner) call(ctx context.Context, program string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), zfsPatience, fmt.Errorf("no answer within %s: the pool may be suspended", zfsPatience))
	defer cancel()
	return r.command(ctx, program, args...)
}

func (r *runner) command(ctx context.Context, program string, args ...string) (string, error) {
	out, err := run.Run(ctx, run.Cmd{Path: program, Args: args, Env: r.o.Env, Dir: "/"})
	var absent *run.NotFoundError
	if errors.As(err, &absent) {
		return "", absent // it does not come by itself
	}
	if err != nil {
		said := strings.Join(strings.Fields(strings.ToValidUTF8(string(out.Stderr), "?")), " ")
		if said == "" || ctx.Err() != nil {
			said = err.Error()
		}
		what := filepath.Base(program) + " " + args[0]
		switch program {
		case "ssh":
			what = program
		case "/bin/sh":
			what = "zfs send | zfs receive"
		}
		return string(out.Stdout), &commandError{what, said}
	}
	return string(out.Stdout), nil
}

func (r *runner) zfs(ctx context.Context, args ...string) (string, error) {
	return r.call(ctx, "zfs", args...)
}

func missing(err error) bool {
	var e *commandError
	return errors.As(err, &e) && strings.Contains(e.said, "does not exist")
}

func rows(text string) (out [][]string) {
	for line := range strings.Lines(text) {
		out = append(out, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return out
}

// property is a value and where it comes from.
type property struct{ value, source string }

func (p property) local() string {
	if p.source != "local" {
		return ""
	}
	return p.value
}

// properties are those of a dataset; nil where it is not there.
func (r *runner) properties(ctx context.Context, name, list string) (map[string]property, error) {
	text, err := r.zfs(ctx, "get", "-Hp", "-o", "property,value,source", list, "--", name)
	if missing(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := map[string]property{}
	for _, f := range rows(text) {
		if len(f) == 3 {
			out[f[0]] = property{f[1], f[2]}
		}
	}
	if list != "all" && len(out) == 0 {
		return nil, fmt.Errorf("zfs says nothing of %s", name)
	}
	return out, nil
}

// guid is that of a dataset; empty where it is not there.
func (r *runner) guid(ctx context.Context, name string) (string, error) {
	p, err := r.properties(ctx, name, "guid")
	if err != nil || p == nil {
		return "", err
	}
	return p["guid"].value, nil
}

// mount is a line of proc_pid_mountinfo(5).
type mount struct{ id, root, at, kind, source string }

func mounts() ([]mount, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var out []mount
	for line := range strings.Lines(string(text)) {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if ok && len(f) >= 5 && len(g) >= 2 {
			out = append(out, mount{f[0], mountinfo.Unescape(f[3]), mountinfo.Unescape(f[4]), g[0], mountinfo.Unescape(g[1])})
		}
	}
	return out, nil
}

// seenAt is the mount that is what is seen at a path, whatever is mounted under or over it. ok is false where nothing is mounted right there.
func seenAt(at string, list []mount) (m mount, ok bool, err error) {
	f, err := os.Open(at)
	if errors.Is(err, fs.ErrNotExist) {
		return m, false, nil
	}
	if err != nil {
		return m, false, err
	}
	defer f.Close()
	text, err := os.ReadFile(fmt.Sprintf("/proc/self/fdinfo/%d", f.Fd()))
	if err != nil {
		return m, false, err
	}
	for line := range strings.Lines(string(text)) {
		if id, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			i := slices.IndexFunc(list, func(m mount) bool { return m.id == strings.TrimSpace(id) })
			if i >= 0 {
				return list[i], list[i].at == at, nil
			}
		}
	}
	return m, false, fmt.Errorf("nobody knows what is mounted at %s", at)
}

// aside is the folder in which datasets and snapshots are mounted that are looked into or filled.
// That of a cluster of PostgreSQL is one which its user can enter: /run/stateward is root's alone.
func (r *runner) aside() string {
	if r.source(preseed.PITR).Policy != "" {
		return filepath.Join(filepath.Dir(r.o.RunDir)+"-pitr", r.plan.Name)
	}
	return filepath.Join(r.o.RunDir, r.plan.Name)
}

// unmountAside unmounts what this run, or one that was killed, mounted aside.
func (r *runner) unmountAside(ctx context.Context) error {
	list, err := mounts()
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(list) {
		if m.at == r.aside() || within(r.aside(), m.at) {
			if _, err := r.call(ctx, "umount", "--", m.at); err != nil {
				return err
			}
		}
	}
	return nil
}

// mountAside mounts a dataset or snapshot aside, a snapshot read-only. done unmounts it.
func (r *runner) mountAside(ctx context.Context, what string, readOnly bool) (dir string, done func() error, err error) {
	var options []string
	if readOnly {
		options = append(options, "ro")
	}
	if !strings.Contains(what, "@") {
		props, err := r.properties(ctx, what, "mountpoint")
		if err != nil {
			return "", nil, err
		}
		// mount.zfs(8) takes a dataset with a mountpoint of its own with it only, and one whose mountpoint is legacy without it only.
		if props["mountpoint"].value != "legacy" {
			options = append(options, "zfsutil")
		}
	}
	dir = filepath.Join(r.aside(), "at")
	mode := os.FileMode(0o700)
	if r.source(preseed.PITR).Policy != "" {
		mode = 0o711
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return "", nil, err
	}
	list, err := mounts()
	if err != nil {
		return "", nil, err
	}
	if _, taken, err := seenAt(dir, list); err != nil || taken {
		return "", nil, errors.Join(err, fmt.Errorf("%s has something mounted on it", dir))
	}
	args := []string{"-t", "zfs"}
	if len(options) > 0 {
		args = append(args, "-o", strings.Join(options, ","))
	}
	if _, err := r.call(ctx, "mount", append(args, "--", what, dir)...); err != nil {
		return "", nil, err
	}
	done = func() error {
		_, err := r.call(ctx, "umount", "--", dir)
		return err
	}
	// D2: what is looked into, or written to, is what was meant.
	list, err = mounts()
	if err == nil {
		m, ok, serr := seenAt(dir, list)
		if err = serr; err == nil && (!ok || m.kind != "zfs" || m.source != what || m.root != "/") {
			err = fmt.Errorf("%s was mounted on %s, and is not what is seen there", what, dir)
		}
	}
	if err != nil {
		return "", nil, errors.Join(err, done())
	}
	return dir, done, nil
}

// holds names some of the files in a folder that are more than what our own plan may make there.
func (r *runner) holds(top string) (found []string, err error) {
	err = filepath.WalkDir(top+"/", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, name)
		if err != nil || rel == "." {
			return err
		}
		if rel == ".zfs" {
			return fs.SkipDir // snapdir=visible
		}
		if d.IsDir() && slices.ContainsFunc(slices.Concat(r.plan.MayHold, r.folders), func(p string) bool { return p == rel || strings.HasPrefix(p, rel+"/") }) {
			return nil // what is in it counts
		}
		if !d.IsDir() && slices.Contains(r.plan.MayHold, rel) {
			// A link, or a file with nothing in it, as tmpfiles makes it.
			info, err := d.Info()
			if err != nil {
				return err
			}
			if info.Mode()&fs.ModeSymlink != 0 || info.Mode().IsRegular() && info.Size() == 0 {
				return nil
			}
		}
		if found = append(found, rel); len(found) == maxHolds {
			return fs.SkipAll
		}
		if d.IsDir() {
			return fs.SkipDir
		}
		return nil
	})
	return found, err
}

// content looks what a dataset holds: where it is mounted, without what is mounted below it; else read-only and aside (E4).
func (r *runner) content(ctx context.Context, mounted bool, name string) (found []string, err error) {
	if mounted {
		dir, done, err := uncovered(r.plan.Mountpoint)
		if err != nil {
			return nil, err
		}
		defer done()
		return r.holds(dir)
	}
	dir, done, err := r.mountAside(ctx, name, true)
	if err != nil {
		return nil, err
	}
	found, err = r.holds(dir)
	return found, errors.Join(err, done())
}

// looked is what was found in a dataset or a snapshot.
type looked struct {
	holds  []string
	unread string
}

func lookedAt(holds []string, err error) looked {
	if err != nil {
		return looked{unread: err.Error()}
	}
	return looked{holds: holds}
}

func (l looked) content() preseed.Content {
	switch {
	case l.unread != "":
		return preseed.ContentUnknown
	case len(l.holds) > 0:
		return preseed.Populated
	}
	return preseed.Empty
}

// see looks at all that decides.
func (r *runner) see(ctx context.Context) (preseed.Seen, error) {
	p := r.plan
	s := preseed.Seen{Own: r.began, Restored: r.restored, StartedEmpty: r.startedEmpty}
	for _, source := range p.Sources {
		if a, ok := r.answers[source.Kind]; ok {
			s.Answers = append(s.Answers, a)
		}
	}
	pool, _, _ := strings.Cut(p.Dataset, "/")
	text, err := r.call(ctx, "zpool", "get", "-Hp", "-o", "property,value", "health,readonly", pool)
	var said *commandError
	switch {
	case errors.As(err, &said) && strings.Contains(said.said, "no such pool"):
		return s, nil
	case err != nil:
		return s, err
	}
	s.Pool.Imported = true
	for _, f := range rows(text) {
		if len(f) == 2 && f[0] == "health" {
			s.Pool.Health = f[1]
		}
		if len(f) == 2 && f[0] == "readonly" {
			s.Pool.ReadOnly = f[1] != "off"
		}
	}
	if s.Pool.Health != "ONLINE" && s.Pool.Health != "DEGRADED" {
		return s, nil // what asks it further may wait for ever
	}
	if s.Target, err = r.target(ctx); err != nil {
		return s, err
	}
	if s.Journal, err = r.journal(ctx, s.Target); err != nil {
		return s, err
	}
	if r.restored == nil && s.Journal == nil && s.Target != nil {
		if r.restored, err = r.untold(ctx, s.Target); err != nil {
			return s, err
		}
		s.Restored = r.restored
		if t := s.Target; t.Marker.Of(t.GUID) && StagingProperty+"="+r.props[StagingProperty].local() == r.markOf(roleEmpty, t.GUID, "") {
			// An earlier run was killed before it could say that it starts empty (E12).
			r.startedEmpty, s.StartedEmpty = true, true
		}
	}
	if s.Journal != nil {
		text, err := r.zfs(ctx, "list", "-Hp", "-t", "filesystem,volume", "-r", "-o", "guid,name", "--", pool)
		if err != nil {
			return s, err
		}
		s.At = map[string]string{}
		for _, f := range rows(text) {
			if len(f) == 2 {
				s.At[f[0]] = f[1]
			}
		}
	}
	s.Active, err = r.active(ctx)
	return s, err
}

func (r *runner) target(ctx context.Context) (*preseed.Target, error) {
	p := r.plan
	props, err := r.properties(ctx, p.Dataset, "guid,type,keystatus,encryptionroot,mountpoint,canmount,readonly,"+StagingProperty+","+preseed.MarkerProperty)
	if err != nil || props == nil {
		return nil, err
	}
	t := &preseed.Target{GUID: props["guid"].value, Volume: props["type"].value != "filesystem", Content: preseed.ContentUnknown}
	r.props = props
	switch props["keystatus"].value {
	case "available":
		t.Key = preseed.KeyAvailable
	case "unavailable":
		t.Key = preseed.KeyUnavailable
	default:
		t.Key = preseed.Unencrypted
	}
	if m := props[preseed.MarkerProperty]; m.value != "-" {
		t.Marker = preseed.Marker{Value: m.value, Local: m.source == "local"}
	}
	if t.Volume || t.Key == preseed.KeyUnavailable {
		return t, nil
	}
	list, err := mounts()
	if err != nil {
		return nil, err
	}
	m, ok, err := seenAt(p.Mountpoint, list)
	switch {
	case err != nil:
		return nil, err
	case ok && m.kind == "zfs" && m.source == p.Dataset && m.root == "/":
		t.Mounted = true
	case ok:
		t.Hidden = m.source
		if m.kind != "zfs" {
			t.Hidden += " (" + m.kind + ")"
		}
	}
	for _, m := range list {
		if m.kind == "zfs" && m.source == p.Dataset && m.at != p.Mountpoint {
			t.MountedAt = m.at
		}
		if m.at != p.Mountpoint && within(p.Mountpoint, m.at) && !strings.Contains(m.at, "/.zfs/snapshot/") {
			t.Below = append(t.Below, m.at)
		}
	}
	if r.folders, err = r.mountFolders(ctx, t.Below); err != nil {
		return nil, err
	}
	if t.Mounted {
		t.MountedAt = "" // a bind mount of it
		// What others may write to meanwhile is looked at each time.
		l := lookedAt(r.content(ctx, true, p.Dataset))
		t.Content, t.Holds, t.Unread = l.content(), l.holds, l.unread
	} else if l, ok := r.looked[t.GUID]; ok {
		t.Content, t.Holds, t.Unread = l.content(), l.holds, l.unread
	}
	if t.Content != preseed.Empty {
		return t, nil // what could be restored is no question
	}
	text, err := r.zfs(ctx, "list", "-Hp", "-t", "snapshot,bookmark", "-d", "1", "-o", "name,guid,createtxg,creation", "--", p.Dataset)
	if err != nil {
		return nil, err
	}
	for _, f := range rows(text) {
		if len(f) != 4 {
			return nil, fmt.Errorf("zfs list printed %q", f)
		}
		txg, err := strconv.ParseUint(f[2], 10, 64)
		seconds, err2 := strconv.ParseInt(f[3], 10, 64)
		if err := errors.Join(err, err2); err != nil {
			return nil, err
		}
		if strings.HasPrefix(f[0], p.Dataset+"#") {
			t.Bookmarks = append(t.Bookmarks, txg)
			continue
		}
		name, own := strings.CutPrefix(f[0], p.Dataset+"@")
		if !own {
			continue // of a child (E2)
		}
		snap := preseed.Snapshot{Name: name, GUID: f[1], CreateTXG: txg, Creation: time.Unix(seconds, 0).UTC(), Content: preseed.ContentUnknown}
		if l, ok := r.looked[snap.GUID]; ok {
			snap.Content, snap.Unread = l.content(), l.unread
		}
		t.Snapshots = append(t.Snapshots, snap)
		if len(name) > len(r.longest) {
			r.longest = name
		}
	}
	t.Beside, t.BesideHint, err = r.beside(ctx)
	return t, err
}

// mountFolders are the places within the dataset where something else is mounted, or would be: that there is a folder for it tells nothing of what the
// dataset itself holds.
func (r *runner) mountFolders(ctx context.Context, mounted []string) (out []string, err error) {
	p := r.plan
	text, err := r.zfs(ctx, "list", "-H", "-r", "-t", "filesystem", "-o", "mountpoint", "--", p.Dataset)
	if err != nil {
		return nil, err
	}
	for _, f := range rows(text) {
		mounted = append(slices.Clip(mounted), f[0])
	}
	for _, at := range mounted {
		if rel, below := strings.CutPrefix(at, strings.TrimSuffix(p.Mountpoint, "/")+"/"); below {
			out = append(out, rel)
		}
	}
	return out, nil
}

// maxName is that of zfs, with the name of a snapshot.
const maxName = 255

// beside says why nothing can take the place of the dataset.
func (r *runner) beside(ctx context.Context) (reason, hint string, err error) {
	p := r.plan
	text, err := r.zfs(ctx, "list", "-H", "-t", "filesystem,volume", "-d", "1", "-o", "name", "--", p.Dataset)
	if err != nil {
		return "", "", err
	}
	for _, f := range rows(text) {
		if f[0] != p.Dataset {
			return f[0] + " lies below it, and would move along with it", "restore it by hand, or give what lies below it a name beside it", nil
		}
	}
	switch m := r.props["mountpoint"].value; m {
	case p.Mountpoint, "legacy":
	default:
		return "its mountpoint is " + m + ", and the plan says " + p.Mountpoint, "mend the plan", nil
	}
	if ro := r.props["readonly"]; ro.value == "on" && ro.source != "temporary" {
		return "it has readonly=on, as what is received has where a replication says so", "zfs set readonly=off " + p.Dataset, nil
	}
	if to := p.Displaced(); len(to)+len("@")+len(r.longest) > maxName {
		return fmt.Sprintf("the name of its snapshot %s is too long for %s, to which it would be moved", r.longest, to), "name a staging area with a shorter name (staging), or rename the snapshot", nil
	}
	if r.props["canmount"].value == "off" {
		return "it has canmount=off", "zfs set canmount=noauto " + p.Dataset, nil
	}
	if reason, err := r.hides(); err != nil || reason != "" {
		return reason, "move them away, for it is mounted there once it is filled", err
	}
	if r.keyed == nil {
		reason, hint, err = r.keys(ctx)
		if err != nil {
			return "", "", err
		}
		r.keyed = &[2]string{reason, hint}
	}
	return r.keyed[0], r.keyed[1], nil
}

// hides tells what lies at the place of the dataset where nothing is mounted there. To find that after hours of restoring is too late.
func (r *runner) hides() (string, error) {
	at := r.plan.Mountpoint
	list, err := mounts()
	if err != nil {
		return "", err
	}
	if _, mounted, err := seenAt(at, list); err != nil || mounted {
		return "", err
	}
	found, err := os.ReadDir(at)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", err
	case len(found) > 0:
		return fmt.Sprintf("%s holds files, such as %q, that the mount would hide", at, found[0].Name()), nil
	}
	return "", nil
}

// keys compares with which key the dataset is encrypted, and what would be made in the staging area: nothing is renamed from one to another.
func (r *runner) keys(ctx context.Context) (reason, hint string, err error) {
	p := r.plan
	root := r.props["encryptionroot"].value
	if root == p.Dataset {
		return "it has a key of its own, which nothing else can be given", "roll it back, or restore it, by hand", nil
	}
	area := p.StagingArea()
	for area != "" {
		props, err := r.properties(ctx, area, "encryptionroot")
		if err != nil {
			return "", "", err
		}
		if props == nil {
			area = area[:max(strings.LastIndex(area, "/"), 0)]
			continue
		}
		if has := props["encryptionroot"].value; has != root {
			if root == "-" {
				return "the staging area is encrypted, and the dataset is not", "name another one (staging)", nil
			}
			return "the dataset is encrypted with the key of " + root + ", and the staging area is not", "name one below " + root + " (staging)", nil
		}
		break
	}
	return "", "", nil
}

// active are the units of the service that run, or are about to.
func (r *runner) active(ctx context.Context) (out []string, err error) {
	text, err := r.call(ctx, "systemctl", append([]string{"show", "--no-pager", "--property=ActiveState", "--"}, r.plan.Units...)...)
	if err != nil {
		return nil, err
	}
	blocks := strings.Split(strings.TrimSpace(text), "\n\n")
	if len(blocks) != len(r.plan.Units) {
		return nil, fmt.Errorf("systemctl does not say the state of %s", strings.Join(r.plan.Units, ", "))
	}
	for i, b := range blocks {
		switch strings.TrimSpace(b) {
		case "ActiveState=inactive", "ActiveState=failed":
		default:
			out = append(out, r.plan.Units[i])
		}
	}
	return out, nil
}

func within(dir, p string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}
