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

	"github.com/stateward/stateward/backup/drill"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/internal/exec/backup"
)

// What is in the folder of a drill: what was restored, the home of what looks at it, and the mark by which the folder is known as ours.
const (
	data = "data"
	home = "home"
	mark = ".stateward-drill"
)

// Place is where a drill restores to, and where it is written down that it does. What a drill made is written down before it is made, and carries a mark: nothing
// else is removed.
type Place struct {
	// Dir is where records are kept, Name that of the job.
	Dir, Name string
	// Scratch is an empty or missing folder, in which a folder of its own is made for the time of the drill.
	Scratch string
	// Mode is that of folders which are made above that folder; 0 means 0700.
	Mode fs.FileMode
	// Began is called where what a killed drill left is cleaned up; it may be nil.
	Began func(string)
	// Before is called with the folder of a drill, known as such, before that is removed; it may be nil.
	Before func(dir string) error
	// made is what this run made; nil where it made nothing.
	made *journal
}

// journal is what a drill made, or is about to make; the next one removes what a killed one left.
type journal struct {
	Dir string `json:"dir"`
	// Token is what the mark holds.
	Token string `json:"token"`
}

func (p *Place) journalFile() string { return filepath.Join(p.Dir, p.Name+".scratch.json") }

// Leftover removes what a drill left that was killed.
func (p *Place) Leftover() error {
	text, err := os.ReadFile(p.journalFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var g journal
	if err := json.Unmarshal(text, &g); err != nil || g.Dir == "" || g.Token == "" {
		return Refuse("look at it, and move it away", "%s cannot be read", p.journalFile())
	}
	if p.Began != nil {
		p.Began("clean up after a drill that was killed")
	}
	return p.remove(&g)
}

// remove removes the folder of a drill, and the journal after it.
func (p *Place) remove(g *journal) error {
	if err := p.removeDir(g); err != nil {
		return err
	}
	return os.Remove(p.journalFile())
}

func (p *Place) removeDir(g *journal) error {
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
		return Refuse("see what it is, and move it away", "%s is not the folder that the last drill made", g.Dir)
	case err != nil:
		// It was killed before it made the mark, or after it removed all else: no more than an empty folder is removed.
		if err := os.Remove(g.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Refuse("see what is in it, and remove it", "%s is left of a drill, and has not its mark: %v", g.Dir, err)
		}
		return nil
	}
	mounts, err := backup.MountPoints()
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if within(g.Dir, m) {
			return Refuse("unmount it", "something is mounted on %s, and would be removed with what a drill left", m)
		}
	}
	if p.Before != nil {
		if err := p.Before(g.Dir); err != nil {
			return err
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

// Look looks whether the folder is one that may be restored into (R5), and makes it. It must be apart from what is live: paths, and what they are.
func (p *Place) Look(live map[string]string) error {
	dir := p.Scratch
	if !filepath.IsAbs(dir) {
		return Refuse("", "%q is no absolute path", dir)
	}
	at, err := resolved(dir)
	if err != nil {
		return err
	}
	if err := apart(at, live); err != nil {
		return err
	}
	mode := p.Mode
	if mode == 0 {
		mode = 0o700
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return err
	}
	if p.Scratch, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	if err := apart(p.Scratch, live); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(p.Scratch, &st); err != nil {
		return fmt.Errorf("%s: %w", p.Scratch, err)
	}
	if st.Uid != 0 && int(st.Uid) != os.Geteuid() || st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0 {
		return Refuse("give it a folder that only its own user can write to", "others can write to %s, and what is restored is private", p.Scratch)
	}
	entries, err := os.ReadDir(p.Scratch)
	if err != nil {
		return err
	}
	if len(entries) > 0 {
		return Refuse("name an empty folder with --scratch", "%s is not empty: it has %q", p.Scratch, entries[0].Name())
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
			return "", Refuse("", "%s is a link to nothing", p)
		}
		rest = filepath.Join(filepath.Base(p), rest)
		p = filepath.Dir(p)
	}
}

// live is what the drill must be apart from: the paths of the job, its datasets, and a repository on this machine.
func (r *runner) live() map[string]string {
	live := map[string]string{}
	for _, p := range r.job.Paths {
		if p == "/" && r.job.OneFileSystem && device(r.Scratch) != device("/") {
			continue // it is left out of the backup
		}
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
	return live
}

// apart looks whether a folder is apart from what is live.
func apart(dir string, live map[string]string) error {
	for _, p := range slices.Sorted(maps.Keys(live)) {
		real := p
		if x, err := resolved(p); err == nil {
			real = x
		}
		if within(real, dir) || within(dir, real) || sameAbove(p, dir) {
			return Refuse("name a folder apart from live data with --scratch", "%s and %s, %s, lie within one another", dir, p, live[p])
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
		return Refuse(`raise maxBytes of the drill, or name less in its paths`, "the snapshot has %d bytes, and maxBytes is %d", bytes, limit)
	}
	free, reserve, inodes, err := r.Free()
	if err != nil {
		return err
	}
	if need+need/20+reserve > free {
		return Refuse("make room, or name a folder on another file system with --scratch",
			"%d files of %d bytes need %d in %s, where %d are free, of which %d are left to others", files, bytes, need+need/20, r.Scratch, free, reserve)
	}
	if inodes >= 0 && inodes < nodes+16 {
		return Refuse("name a folder on another file system with --scratch", "%d files and folders need as many inodes in %s, where %d are free", nodes, r.Scratch, inodes)
	}
	return nil
}

// Free is how many bytes are free, how many of them are left to others, and how many inodes are free: less than zero where they are not counted.
func (p *Place) Free() (free, reserve, inodes int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(p.Scratch, &st); err != nil {
		return 0, 0, 0, fmt.Errorf("%s: %w", p.Scratch, err)
	}
	size := int64(st.Bsize)
	free, total := int64(st.Bavail)*size, int64(st.Blocks)*size
	if inodes = int64(st.Ffree); st.Files == 0 {
		inodes = -1
	}
	return free, min(total/20, 1<<30), inodes, nil
}

// Make makes the folder of this drill, with the file name of its record. What it is about to make is written down first.
func (p *Place) Make(record string) error {
	token := make([]byte, 16)
	_, _ = rand.Read(token) // it never fails
	g := &journal{Token: hex.EncodeToString(token)}
	g.Dir = filepath.Join(p.Scratch, "drill-"+strings.TrimSuffix(record, ".json"))
	text, err := json.Marshal(g)
	if err != nil {
		return err
	}
	if err := backup.MakePrivate(p.Dir); err != nil {
		return err
	}
	if err := backup.Replace(p.journalFile(), text, 0o600); err != nil {
		return err
	}
	if err := os.Mkdir(g.Dir, 0o700); err != nil {
		return err
	}
	p.made = g
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

// Folder is the folder of this drill, Data and Home are those in it, which it may fill.
func (p *Place) Folder() string { return p.made.Dir }

// Data is for what is restored.
func (p *Place) Data() string { return filepath.Join(p.made.Dir, data) }

// Home is for what looks at it.
func (p *Place) Home() string { return filepath.Join(p.made.Dir, home) }

// CleanUp removes what this drill made.
func (p *Place) CleanUp() error {
	if p.made == nil {
		return nil
	}
	return p.remove(p.made)
}

// Write writes the record, which is never written over, and a copy of it as the newest.
func (p *Place) Write(rec drill.Record) (string, error) {
	text, err := rec.Write()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(p.Dir, p.Name)
	if err := backup.MakePrivate(dir); err != nil {
		return "", err
	}
	name := filepath.Join(dir, rec.FileName())
	if _, err := os.Lstat(name); err == nil {
		return "", &RefusedError{name + " is there already", "set the clock"}
	}
	return name, errors.Join(backup.Replace(name, text, 0o600), backup.Replace(filepath.Join(dir, drill.Newest), text, 0o600))
}
