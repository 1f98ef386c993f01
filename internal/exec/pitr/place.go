//go:build unix

package pitr

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/stateward/stateward/internal/run"
)

// place is a folder that may be another user's, who may change at any time what is in it. What is done by it stays below that folder: no link in it leads
// out, to where root alone may write.
type place struct {
	*os.Root
	as *run.Account
}

// LinkError refuses to follow a link that somebody else can change.
type LinkError struct {
	Path string
	Err  error
}

func (e *LinkError) Error() string {
	return e.Path + " has a link in its way that leads out of a folder which is not root's own: " + e.Err.Error()
}

func (e *LinkError) Unwrap() error { return e.Err }

// Hint says what to do.
func (e *LinkError) Hint() string {
	return "write the path to which the link leads, in cluster.dataDir too; or run this as the user of the cluster"
}

// rootsOwn tells whether root alone changes what is in a folder; a test has other folders.
var rootsOwn = func(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Uid == 0 && info.Mode()&0o022 == 0
}

// own splits a path where it leaves what root alone may change: what is below may be replaced by a link at any time.
func own(name string) (from, rest string) {
	at := "/"
	for _, part := range strings.Split(strings.TrimPrefix(filepath.Clean(name), "/"), "/") {
		if !rootsOwn(at) {
			break
		}
		at = filepath.Join(at, part)
	}
	rest, err := filepath.Rel(at, name)
	if err != nil {
		return name, "."
	}
	return at, rest
}

// openPlace opens a folder, and makes what is missing of it where make is a mode.
func (r *runner) openPlace(name string, make fs.FileMode) (*place, error) {
	from, rest := name, "."
	if r.as != nil {
		from, rest = own(name)
	}
	if make != 0 {
		if err := os.MkdirAll(from, make); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(from)
	if err != nil {
		return nil, err
	}
	if rest != "." {
		defer root.Close()
		if make != 0 {
			err = root.MkdirAll(rest, make)
		}
		below := root
		if err == nil {
			below, err = root.OpenRoot(rest)
		}
		// The error of a path that leads out has no name.
		if err != nil && strings.HasSuffix(err.Error(), "path escapes from parent") {
			err = &LinkError{name, err}
		}
		if err != nil {
			return nil, err
		}
		root = below
	}
	return &place{root, r.as}, nil
}

// within does something in a folder.
func (r *runner) within(dir string, do func(*place) error) error {
	at, err := r.openPlace(dir, 0)
	if err != nil {
		return err
	}
	defer at.Close()
	return do(at)
}

// give gives what is there to the user of the cluster. No link is followed.
func (p *place) give(name string) error {
	if p.as == nil {
		return nil
	}
	return p.Lchown(name, int(p.as.UID), int(p.as.GID))
}

// folder makes a folder that is the user's and nobody else's, where it is missing.
func (p *place) folder(name string) error {
	if err := p.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return errors.Join(p.Chmod(name, 0o700), p.give(name))
}

// write writes a file that is the user's and nobody else's, as a whole or not at all.
func (p *place) write(name string, text []byte) error { return p.replace(name, text, 0o600) }

// replace writes a file that is the user's, as a whole or not at all.
func (p *place) replace(name string, text []byte, mode fs.FileMode) error {
	beside := path.Join(path.Dir(name), "."+path.Base(name)+".new")
	if err := p.Remove(beside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := p.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil && p.as != nil {
		err = f.Chown(int(p.as.UID), int(p.as.GID))
	}
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = p.Rename(beside, name)
	}
	if err != nil {
		_ = p.Remove(beside)
		return err
	}
	d, err := p.Open(path.Dir(name))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// entries are those of a folder.
func (p *place) entries(name string) ([]fs.DirEntry, error) { return fs.ReadDir(p.FS(), name) }

// isLink tells whether a name is a symbolic link.
func (p *place) isLink(name string) bool {
	info, err := p.Lstat(name)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// exists tells whether a name is there, whatever it is.
func (p *place) exists(name string) bool {
	_, err := p.Lstat(name)
	return err == nil
}
