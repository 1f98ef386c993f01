//go:build unix

package pitr

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/internal/exec/backup"
	"github.com/stateward/stateward/internal/run"
)

// user is the superuser of the cluster, and who owns its files.
func (r *runner) user() string { return cmp.Or(r.p.Cluster.User, "postgres") }

// lookup finds the account of a name, and its home; a test has another.
var lookup = func(name string) (*run.Account, string, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, "", err
	}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, "", err
	}
	a := &run.Account{}
	for i, text := range append([]string{u.Uid, u.Gid}, groups...) {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, "", fmt.Errorf("user %s: %w", name, err)
		}
		switch i {
		case 0:
			a.UID = uint32(n)
		case 1:
			a.GID = uint32(n)
		default:
			a.Groups = append(a.Groups, uint32(n))
		}
	}
	return a, u.HomeDir, nil
}

// drop has all programs run as the user of the cluster where this runs as root: PostgreSQL refuses root.
func (r *runner) drop() error {
	if os.Geteuid() != 0 {
		return nil
	}
	a, home, err := lookup(r.user())
	if err != nil {
		return err
	}
	if a.UID == 0 {
		return &RootError{r.user()}
	}
	r.as = a
	r.env = append(slices.DeleteFunc(slices.Clone(r.env), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		return name == "HOME" || name == "USER" || name == "LOGNAME" || strings.HasPrefix(name, "XDG_")
	}), "HOME="+home, "USER="+r.user(), "LOGNAME="+r.user())
	return nil
}

// give gives a file or folder to the user of the cluster. No link is followed.
func (r *runner) give(name string) error {
	if r.as == nil {
		return nil
	}
	return os.Lchown(name, int(r.as.UID), int(r.as.GID))
}

// PolicyName is that of units and records of what is done for a cluster.
func PolicyName(p pitr.Policy) string { return cmp.Or(p.Cluster.Name, "postgresql") }

// Give gives a file or folder to the user of the cluster, where this runs as root. No link is followed.
func Give(p pitr.Policy, name string) error {
	r := &runner{p: p}
	if err := r.drop(); err != nil {
		return err
	}
	return r.give(name)
}

// lockName is what keeps two recoveries out of one data directory. It lies beside that while one is at work.
func lockName(dir string) string { return "." + filepath.Base(dir) + ".stateward-pitr" }

// exclusive keeps other recoveries out of the data directory until release, which removes the lock.
func exclusive(p pitr.Policy) (release func(), err error) {
	r := &runner{p: p}
	if err := r.drop(); err != nil {
		return nil, err
	}
	return exclusiveAs(r, p.Cluster.DataDir)
}

func exclusiveAs(r *runner, dir string) (release func(), err error) {
	at, err := r.openPlace(filepath.Dir(dir), 0o755)
	if err != nil {
		return nil, err
	}
	name := lockName(dir)
	for range 20 {
		f, err := at.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, errors.Join(err, at.Close())
		}
		unlock, err := backup.LockFile(f)
		if err != nil {
			return nil, errors.Join(err, at.Close())
		}
		// Who had it before may have removed it since it was opened.
		mine, err := f.Stat()
		there, gone := at.Lstat(name)
		if err == nil && gone == nil && os.SameFile(mine, there) {
			// Who recovers as that user the next time has to be able to take it.
			if r.as != nil {
				err = f.Chown(int(r.as.UID), int(r.as.GID))
			}
			release = func() {
				_ = at.Remove(name)
				unlock()
				_ = at.Close()
			}
			if err != nil {
				release()
				return nil, err
			}
			return release, nil
		}
		unlock()
		if err != nil {
			return nil, errors.Join(err, at.Close())
		}
	}
	return nil, errors.Join(fmt.Errorf("%s is a link, or is made anew over and over", filepath.Join(filepath.Dir(dir), name)), at.Close())
}
