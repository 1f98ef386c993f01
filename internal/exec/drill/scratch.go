//go:build unix

package drill

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/backup"
)

// What is in the folder of a drill: what was restored, the home of what looks at it, and the mark by which the folder is known as ours.
const (
	data = "data"
	home = "home"
	mark = ".stateward-drill"
)

// journal is what a drill made, or is about to make; the next one removes what a killed one left.
type journal struct {
	Dir string `json:"dir"`
	// Token is what the mark holds.
	Token string `json:"token"`
}

func (r *runner) journalFile() string { return filepath.Join(r.o.Dir, r.job.Name+".scratch.json") }

// leftover removes what a drill left that was killed.
func (r *runner) leftover() error {
	text, err := os.ReadFile(r.journalFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var g journal
	if err := json.Unmarshal(text, &g); err != nil || g.Dir == "" || g.Token == "" {
		return refuse("look at it, and move it away", "%s cannot be read", r.journalFile())
	}
	r.began("clean up after a drill that was killed")
	return r.remove(&g)
}

// remove removes the folder of a drill, and the journal after it.
func (r *runner) remove(g *journal) error {
	if err := removeDir(g); err != nil {
		return err
	}
	return os.Remove(r.journalFile())
}

func removeDir(g *journal) error {
	info, err := os.Lstat(g.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	token, err := os.ReadFile(filepath.Join(g.Dir, mark))
	switch {
	case err == nil && len(token) < len(g.Token) && strings.HasPrefix(g.Token, string(token)):
		// It was killed as it made the mark: there is nothing else.
		if err := os.Remove(filepath.Join(g.Dir, mark)); err != nil {
			return err
		}
		return os.Remove(g.Dir)
	case !info.IsDir() || err != nil && !errors.Is(err, fs.ErrNotExist) || err == nil && string(token) != g.Token:
		return refuse("see what it is, and move it away", "%s is not the folder that the last drill made", g.Dir)
	case err != nil:
		// It was killed before it made the mark, or after it removed all else: no more than an empty folder is removed.
		if err := os.Remove(g.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return refuse("see what is in it, and remove it", "%s is left of a drill, and has not its mark: %v", g.Dir, err)
		}
		return nil
	}
	mounts, err := backup.MountPoints()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if within(g.Dir, m) {
			return refuse("unmount it", "something is mounted on %s, and would be removed with what a drill left", m)
		}
	}
	for _, name := range []string{data, home} {
		if err := removeAll(filepath.Join(g.Dir, name)); err != nil {
			return err
		}
	}
	if err := os.Remove(filepath.Join(g.Dir, mark)); err != nil {
		return err
	}
	return os.Remove(g.Dir)
}

// removeAll removes a tree, also where who is not root may not write into restored folders. It follows no link.
func removeAll(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(name, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// scratch looks whether the folder is one that may be restored into (R5), and makes it.
func (r *runner) scratch() error {
	dir := r.o.Scratch
	if !filepath.IsAbs(dir) {
		return refuse("", "%q is no absolute path", dir)
	}
	at, err := resolved(dir)
	if err != nil {
		return err
	}
	if err := r.apart(at); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if r.o.Scratch, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	if err := r.apart(r.o.Scratch); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(r.o.Scratch, &st); err != nil {
		return fmt.Errorf("%s: %w", r.o.Scratch, err)
	}
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0 {
		return refuse("give it a folder that only its own user can write to", "others can write to %s, and what is restored is private", r.o.Scratch)
	}
	entries, err := os.ReadDir(r.o.Scratch)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return refuse("name an empty folder with --scratch", "%s is not empty: it has %q", r.o.Scratch, entries[0].Name())
	}
	return nil
}

// resolved is a path without links, as far as it exists.
func resolved(p string) (string, error) {
	p = filepath.Clean(p)
	rest := ""
	for {
		at, err := filepath.EvalSymlinks(p)
		if err == nil {
			return filepath.Join(at, rest), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || p == "/" {
			return "", err
		}
		if _, lerr := os.Lstat(p); lerr == nil {
			return "", refuse("", "%s is a link to nothing", p)
		}
		rest = filepath.Join(filepath.Base(p), rest)
		p = filepath.Dir(p)
	}
}

// apart looks whether a folder is apart from what is live: the paths of the job, its datasets, and a repository on this machine.
func (r *runner) apart(dir string) error {
	live := map[string]string{}
	for _, p := range r.job.Paths {
		live[p] = "what the job backs up"
	}
	for _, d := range r.job.Source {
		if d.Mountpoint != "/" {
			live[d.Mountpoint] = "a dataset of the job"
		}
	}
	if repo, err := restic.ParseRepository(r.job.Repository); err == nil && repo.Path != "" {
		live[repo.Path] = "the repository"
	}
	for _, p := range slices.Sorted(maps.Keys(live)) {
		what := live[p]
		real := p
		if x, err := resolved(p); err == nil {
			real = x
		}
		if p == "/" && r.job.OneFileSystem && device(dir) != device("/") {
			continue // it is left out of the backup
		}
		if within(real, dir) || within(dir, real) || sameAbove(p, dir) {
			return refuse("name a folder apart from live data with --scratch", "%s and %s, %s, lie within one another", dir, p, what)
		}
	}
	return nil
}

// sameAbove says whether a folder at or above dir is p by another name, as a bind mount makes it.
func sameAbove(p, dir string) bool {
	live, err := os.Stat(p)
	if err != nil {
		return false
	}
	for {
		if x, err := os.Stat(dir); err == nil && os.SameFile(x, live) {
			return true
		}
		if dir == "/" {
			return false
		}
		dir = filepath.Dir(dir)
	}
}

// device is that of the nearest folder that exists.
func device(p string) uint64 {
	for {
		var st unix.Stat_t
		if unix.Stat(p, &st) == nil {
			return uint64(st.Dev)
		}
		if p == "/" {
			return 0
		}
		p = filepath.Dir(p)
	}
}

// room looks whether there is room for what the snapshot lists, and leaves some to others.
func (r *runner) room() error {
	const block = 4096
	var need, nodes int64
	for _, list := range r.want {
		for _, e := range list {
			nodes++
			need += (e.Size+block-1)/block*block + block
		}
	}
	files, bytes := r.want.Size()
	if limit := r.settings().MaxBytes; limit > 0 && bytes > limit {
		return refuse(`raise maxBytes of the drill, or name less in its paths`, "the snapshot has %d bytes, and maxBytes is %d", bytes, limit)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(r.o.Scratch, &st); err != nil {
		return fmt.Errorf("%s: %w", r.o.Scratch, err)
	}
	size := int64(st.Bsize)
	free, total := int64(st.Bavail)*size, int64(st.Blocks)*size
	reserve := min(total/20, 1<<30)
	if need+need/20+reserve > free {
		return refuse("make room, or name a folder on another file system with --scratch",
			"%d files of %d bytes need %d in %s, where %d are free, of which %d are left to others", files, bytes, need+need/20, r.o.Scratch, free, reserve)
	}
	if st.Files > 0 && int64(st.Ffree) < nodes+16 {
		return refuse("name a folder on another file system with --scratch", "%d files and folders need as many inodes in %s, where %d are free", nodes, r.o.Scratch, st.Ffree)
	}
	return nil
}

// make makes the folder of this drill. What it is about to make is written down first.
func (r *runner) make() error {
	token := make([]byte, 16)
	_, _ = rand.Read(token) // it never fails
	g := &journal{Token: hex.EncodeToString(token)}
	g.Dir = filepath.Join(r.o.Scratch, "drill-"+strings.TrimSuffix(r.rec.FileName(), ".json"))
	text, err := json.Marshal(g)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(r.o.Dir, 0o700); err != nil {
		return err
	}
	if err := backup.Replace(r.journalFile(), text, 0o600); err != nil {
		return err
	}
	if err := os.Mkdir(g.Dir, 0o700); err != nil {
		return err
	}
	r.made = g
	if err := os.WriteFile(filepath.Join(g.Dir, mark), []byte(g.Token), 0o600); err != nil {
		return err
	}
	for _, name := range []string{data, home} {
		if err := os.Mkdir(filepath.Join(g.Dir, name), 0o700); err != nil {
			return err
		}
	}
	return nil
}

// cleanUp removes what this drill made.
func (r *runner) cleanUp() error {
	if r.made == nil {
		return nil
	}
	return r.remove(r.made)
}
