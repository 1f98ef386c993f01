package flaketest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/stateward/stateward/internal/text"
)

// DirError says why a folder cannot hold golden files, or not these.
type DirError struct {
	// Path is the folder or the file in it.
	Path string
	Err  error
	hint string
}

func (e *DirError) Error() string {
	err := e.Err
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return fmt.Sprintf("%s: %v", e.Path, err)
}

// Unwrap is what the system said.
func (e *DirError) Unwrap() error { return e.Err }

// Hint says how to mend it.
func (e *DirError) Hint() string { return e.hint }

// NotThere tells that the folder is missing.
func (e *DirError) NotThere() bool { return errors.Is(e.Err, fs.ErrNotExist) }

var (
	errFolder  = errors.New("it is no folder")
	errLink    = errors.New("it is a symbolic link")
	errRegular = errors.New("it is no regular file")
	errForeign = errors.New("it is there already, and was not written by stateward golden")
)

// DifferenceKind says how a golden file differs.
type DifferenceKind string

const (
	// Changed is a file that has another text.
	Changed DifferenceKind = "changed"
	// Missing is a file that is not there.
	Missing DifferenceKind = "missing"
	// Stale is a file that nothing is written to any more.
	Stale DifferenceKind = "stale"
)

// Difference is one file that is not as it should be.
type Difference struct {
	Kind DifferenceKind
	// File is its name with the folder, Host the host it is about.
	File, Host string
	// Text is a unified diff of what is there and what was evaluated; empty where the file is missing or stale.
	Text string
}

func (d Difference) String() string {
	switch d.Kind {
	case Missing:
		return fmt.Sprintf("%s is missing\n", d.File)
	case Stale:
		return fmt.Sprintf("%s is stale: there is no such file of host %s any more\n", d.File, d.Host)
	}
	return d.Text
}

// Printable is String with every control character visible: a file may hold anything.
func (d Difference) Printable() string {
	var b strings.Builder
	for line := range strings.Lines(d.String()) {
		b.WriteString(text.Line(strings.TrimSuffix(line, "\n")) + "\n")
	}
	return b.String()
}

// Changes says what [Rendering.Update] did, sorted.
type Changes struct{ Written, Removed []string }

// Prepare tells whether a folder can hold golden files, before anything is evaluated. A folder that is not there
// is an error unless update is set.
func Prepare(dir string, update bool) error {
	st, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && update:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return &DirError{dir, err, ""}
	case err != nil:
		return &DirError{dir, err, ""}
	case !st.IsDir():
		return &DirError{dir, errFolder, "name a folder"}
	}
	_, err = os.ReadDir(dir)
	if err != nil {
		return &DirError{dir, err, ""}
	}
	return nil
}

// disk is a folder of golden files. Nothing outside of it is read or written, whatever links are in it.
type disk struct {
	root *os.Root
	dir  string
	// fail stands in for a disk that fails, in tests.
	fail func(op, name string) error
}

func openDisk(dir string) (*disk, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, &DirError{dir, err, ""}
	}
	return &disk{root: root, dir: dir}, nil
}

func (d *disk) close() { d.root.Close() }

func (d *disk) wrong(name string, err error, hint string) error {
	return &DirError{filepath.Join(d.dir, filepath.FromSlash(name)), err, hint}
}

func (d *disk) may(op, name string) error {
	if d.fail == nil {
		return nil
	}
	return d.fail(op, name)
}

// kind checks that there is nothing at name, or what is wanted there: never a link, which might lead elsewhere.
func (d *disk) kind(name string, folder bool) (there bool, err error) {
	st, err := d.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, d.wrong(name, err, "")
	case st.Mode()&fs.ModeSymlink != 0:
		return false, d.wrong(name, errLink, "golden files are written to plain files in plain folders: remove the link")
	case folder && !st.IsDir():
		return false, d.wrong(name, errFolder, "move it away: it has the name of a host's folder")
	case !folder && !st.Mode().IsRegular():
		return false, d.wrong(name, errRegular, "move it away: it has the name of a golden file")
	}
	return true, nil
}

// read reads a file that must be of the wanted kind, in a folder that must be one.
func (d *disk) read(name string) (text []byte, there bool, err error) {
	if there, err = d.kind(path.Dir(name), true); err != nil || !there {
		return nil, false, err
	}
	if there, err = d.kind(name, false); err != nil || !there {
		return nil, false, err
	}
	text, err = d.root.ReadFile(name)
	if err != nil {
		return nil, false, d.wrong(name, err, "")
	}
	return text, true, nil
}

// own tells whether a text is one that was written here, be it with the marks of a merge in it.
func own(text []byte) bool { return bytes.Contains(text[:min(len(text), 1024)], []byte(mark)) }

const unfinished = ".stateward-golden-new"

// stale lists the files of ours that are not among want.
func (d *disk) stale(want map[string][]byte, limited bool) ([]string, error) {
	hosts := map[string]bool{}
	for name := range want {
		hosts[path.Dir(name)] = true
	}
	folders, err := d.list(".")
	if err != nil {
		return nil, err
	}
	var out []string
	for _, f := range folders {
		if !f.IsDir() || limited && !hosts[f.Name()] {
			continue
		}
		files, err := d.list(f.Name())
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			name := path.Join(f.Name(), file.Name())
			base, left := strings.CutSuffix(file.Name(), unfinished)
			if _, wanted := want[name]; wanted || !file.Type().IsRegular() || !slices.Contains(FileNames(), strings.TrimPrefix(base, ".")) {
				continue
			}
			ours := left
			if !ours {
				if ours, err = d.ours(name); err != nil {
					return nil, err
				}
			}
			if ours {
				out = append(out, name)
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

func (d *disk) list(name string) ([]fs.DirEntry, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return nil, d.wrong(name, err, "")
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	if err != nil {
		return nil, d.wrong(name, err, "")
	}
	return entries, nil
}

// ours tells whether a file is one that was written here.
func (d *disk) ours(name string) (bool, error) {
	f, err := d.root.Open(name)
	if err != nil {
		return false, d.wrong(name, err, "")
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 1024))
	if err != nil {
		return false, d.wrong(name, err, "")
	}
	return own(head), nil
}

// files are all files to write, by their names with the folder.
func (r *Rendering) files() map[string][]byte {
	out := map[string][]byte{}
	for _, h := range r.Hosts {
		for name, text := range h.Files {
			out[path.Join(folderName(h.Name), name)] = text
		}
	}
	return out
}

func sortedNames(files map[string][]byte) []string {
	names := make([]string, 0, len(files))
	for n := range files {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Compare lists how the files of a folder differ from what was evaluated, sorted by name. Files that were not written here are
// not looked at. The error is a *[DirError].
func (r *Rendering) Compare(dir string) ([]Difference, error) {
	d, err := openDisk(dir)
	if err != nil {
		return nil, err
	}
	defer d.close()
	want := r.files()
	var out []Difference
	for _, name := range sortedNames(want) {
		full := filepath.Join(dir, filepath.FromSlash(name))
		have, there, err := d.read(name)
		switch {
		case err != nil:
			return nil, err
		case !there:
			out = append(out, Difference{Missing, full, hostName(path.Dir(name)), ""})
		case !bytes.Equal(have, want[name]):
			out = append(out, Difference{Changed, full, hostName(path.Dir(name)), string(diff.Diff(full, have, "evaluated", want[name]))})
		}
	}
	stale, err := d.stale(want, r.Limited || len(r.Failed) > 0)
	if err != nil {
		return nil, err
	}
	for _, name := range stale {
		out = append(out, Difference{Stale, filepath.Join(dir, filepath.FromSlash(name)), hostName(path.Dir(name)), ""})
	}
	slices.SortFunc(out, func(a, b Difference) int { return strings.Compare(a.File, b.File) })
	return out, nil
}

// Update makes the files of a folder equal to what was evaluated: it writes those that differ and removes those of ours
// that are stale. All are written beside their places first, so that a disk that is full leaves every old file as it was. It does nothing where a
// host failed; the error is then that [HostError], else a *[DirError].
func (r *Rendering) Update(dir string) (Changes, error) {
	if len(r.Failed) > 0 {
		return Changes{}, r.Failed[0]
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Changes{}, &DirError{dir, err, ""}
	}
	d, err := openDisk(dir)
	if err != nil {
		return Changes{}, err
	}
	defer d.close()
	return d.update(r)
}

func (d *disk) update(r *Rendering) (c Changes, err error) {
	want := r.files()
	old := map[string][]byte{} // what is there; nil for a file that is not
	var names []string
	for _, name := range sortedNames(want) {
		have, there, err := d.read(name)
		switch {
		case err != nil:
			return c, err
		case there && bytes.Equal(have, want[name]):
			continue
		case there && len(have) > 0 && !own(have):
			return c, d.wrong(name, errForeign, "move it away, or name another folder")
		case there:
			old[name] = have
		}
		names = append(names, name)
	}
	stale, err := d.stale(want, r.Limited)
	if err != nil {
		return c, err
	}

	var made []string // folders
	staged := 0
	defer func() {
		if err == nil {
			return
		}
		for _, name := range names[:staged] {
			_ = d.root.Remove(beside(name))
		}
		for _, f := range slices.Backward(made) {
			_ = d.root.Remove(f)
		}
	}()
	for i, name := range names {
		folder := path.Dir(name)
		if err := d.root.Mkdir(folder, 0o755); err == nil {
			made = append(made, folder)
		} else if !errors.Is(err, fs.ErrExist) {
			return c, d.wrong(folder, err, "")
		}
		staged = i + 1
		if err := d.stage(name, want[name]); err != nil {
			return c, err
		}
	}
	for i, name := range names {
		err := d.may("rename", name)
		if err == nil {
			err = d.root.Rename(beside(name), name)
		}
		if err != nil {
			d.restore(names[:i], old)
			return c, d.wrong(name, err, "")
		}
	}
	// From here on everything that was evaluated is there.
	for _, name := range names {
		c.Written = append(c.Written, filepath.Join(d.dir, filepath.FromSlash(name)))
	}
	for _, name := range stale {
		if err := d.root.Remove(name); err != nil {
			return c, d.wrong(name, err, "")
		}
		c.Removed = append(c.Removed, filepath.Join(d.dir, filepath.FromSlash(name)))
		// The folder stays where it holds something else.
		if folder := path.Dir(name); !slices.Contains(made, folder) {
			_ = d.root.Remove(folder)
		}
	}
	return c, d.sync(append(slices.Clone(names), stale...))
}

// beside is where a file is written before it takes its place.
func beside(name string) string {
	return path.Join(path.Dir(name), "."+path.Base(name)+unfinished)
}

func (d *disk) stage(name string, text []byte) error {
	tmp := beside(name)
	_ = d.root.Remove(tmp) // what an earlier run left
	f, err := d.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return d.wrong(name, err, "")
	}
	_, err = f.Write(text)
	if err == nil {
		err = d.may("write", name)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return d.wrong(name, err, "")
	}
	return nil
}

// restore puts back what was there before.
func (d *disk) restore(names []string, old map[string][]byte) {
	for _, name := range names {
		text, there := old[name]
		if !there {
			_ = d.root.Remove(name)
		} else if d.stage(name, text) == nil {
			_ = d.root.Rename(beside(name), name)
		}
	}
}

// sync makes the names last, as far as the file system can.
func (d *disk) sync(names []string) error {
	folders := map[string]bool{".": true}
	for _, n := range names {
		folders[path.Dir(n)] = true
	}
	for name := range folders {
		f, err := d.root.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return d.wrong(name, err, "")
		}
		err = f.Sync()
		if err = errors.Join(err, f.Close()); err != nil {
			return d.wrong(name, err, "")
		}
	}
	return nil
}
