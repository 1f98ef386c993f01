package nixbridge

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stateward/stateward/internal/storepath"
)

// linkStore makes a second store of what is in a first one, without copying: files are linked, since nobody ever writes to
// them; folders and nix' own database are made anew. What is still being written by another nix is left out, as
// is all that nix only wrote on the way (.drv).
func (e *Evaluator) linkStore(ctx context.Context, from, to string) error {
	db := filepath.Join(from, "nix/var/nix/db")
	wait, cancel := e.within(ctx, "waiting for another stateward")
	defer cancel()
	said := time.AfterFunc(waitNote, func() { e.progress(Event{Kind: EventWait}) })
	unlock, err := lockDatabase(wait, filepath.Join(db, "big-lock"))
	said.Stop()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was ever put there
	}
	if err != nil {
		return err
	}
	err = errors.Join(copyFiles(db, filepath.Join(to, "nix/var/nix/db"), "db.sqlite", "db.sqlite-wal", "schema"), unlock())
	if err != nil {
		return err
	}
	src, dst := filepath.Join(from, "nix/store"), filepath.Join(to, "nix/store")
	entries, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !storeObject(e) {
			continue
		}
		if err := linkTree(ctx, filepath.Join(src, e.Name()), filepath.Join(dst, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// waitNote is how long another process is waited for without a word.
const waitNote = time.Second

// storeObject tells whether an entry of a store's folder is what nix has put there, and no derivation.
func storeObject(e fs.DirEntry) bool {
	if _, err := storepath.Parse(storepath.Store + "/" + e.Name()); err != nil || strings.HasSuffix(e.Name(), ".drv") {
		return false
	}
	if strings.HasSuffix(e.Name(), ".lock") && e.Type().IsRegular() {
		// nix' own lock of an object is called like it, and is empty or, once it is let go, a byte long.
		info, err := e.Info()
		return err == nil && info.Size() > 1
	}
	return true
}

// copyFiles copies those files of a folder that are there.
func copyFiles(from, to string, names ...string) error {
	if err := os.MkdirAll(to, 0o700); err != nil {
		return err
	}
	for _, n := range names {
		in, err := os.Open(filepath.Join(from, n))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		info, err := in.Stat()
		if err != nil {
			return errors.Join(err, in.Close())
		}
		// That a file can be run is part of what nix hashes.
		out, err := os.OpenFile(filepath.Join(to, n), os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm()|0o600)
		if err == nil {
			_, err = io.Copy(out, in)
			err = errors.Join(err, out.Close())
		}
		if err = errors.Join(err, in.Close()); err != nil {
			return err
		}
	}
	return nil
}

// linkTree makes a folder like another one, with links to its files.
func linkTree(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another nix has renamed or removed it
		}
		if err != nil {
			return err
		}
		target := to + strings.TrimPrefix(path, from)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, 0o700)
		case d.Type()&fs.ModeSymlink != 0:
			text, err := os.Readlink(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
				return err
			}
			return os.Symlink(text, target)
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		if os.Link(path, target) == nil {
			return nil
		}
		// Some file systems know no links.
		return copyFiles(filepath.Dir(path), filepath.Dir(target), filepath.Base(path))
	})
}
