//go:build unix

package nixbridge

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// sharedError says that a private folder is not private.
type sharedError struct{ reason, hint string }

func (e *sharedError) Error() string { return e.reason }

// ownFolder refuses a folder that somebody else could put something into: nix would run with it as its home.
func ownFolder(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return &sharedError{"it belongs to another user", "name a folder of your own with --cache-dir"}
	}
	if info.Mode().Perm()&0o022 != 0 {
		return &sharedError{"others can write to it", "chmod go-w " + dir + ", if nobody has put anything there; or name another folder with --cache-dir"}
	}
	return nil
}

// useName is the file that each who uses the folder has locked.
const useName = "in-use.lock"

// useFolder notes that the folder is in use, and removes what killed runs left there if nobody else uses it.
func useFolder(dir string) (leave func(), err error) {
	f, err := openLock(dir)
	if err != nil {
		return nil, err
	}
	if flock(f, syscall.LOCK_EX|syscall.LOCK_NB) == nil {
		sweep(dir)
	}
	// Where the file system knows no locks, nothing is ever removed.
	_ = flock(f, syscall.LOCK_SH)
	return func() { _ = f.Close() }, nil
}

// useAlone runs f while nobody else uses the folder; alone is false, and f does not run, where somebody does.
func useAlone(dir string, f func() error) (alone bool, err error) {
	lock, err := openLock(dir)
	if err != nil {
		return false, err
	}
	defer lock.Close()
	if flock(lock, syscall.LOCK_EX|syscall.LOCK_NB) != nil {
		return false, nil
	}
	return true, f()
}

func openLock(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, useName), os.O_RDWR|os.O_CREATE, 0o600)
	if pe := (*os.PathError)(nil); errors.As(err, &pe) {
		return nil, pe.Err // the folder is named anyway
	}
	return f, err
}

func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); err != syscall.EINTR {
			return err
		}
	}
}

// temporaries are how the names of our and of nix' own temporary files begin. There may be others' in a folder
// that is not for us alone.
var temporaries = []string{"units-", "dialect-", "nix-", "nix."}

// sweep removes what nobody uses: temporary files, and those that were not written to their end.
func sweep(dir string) {
	entries, _ := os.ReadDir(filepath.Join(dir, "tmp"))
	for _, e := range entries {
		if slices.ContainsFunc(temporaries, func(p string) bool { return strings.HasPrefix(e.Name(), p) }) {
			removeAll(filepath.Join(dir, "tmp", e.Name()))
		}
	}
	for _, sub := range []string{".", "home", "evaluations"} {
		entries, _ := os.ReadDir(filepath.Join(dir, sub))
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".new-") && e.Type().IsRegular() {
				_ = os.Remove(filepath.Join(dir, sub, e.Name()))
			}
		}
	}
}
