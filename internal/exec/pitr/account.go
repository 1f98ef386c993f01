//go:build unix

package pitr

import (
	"cmp"
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

// write writes a file that is the user's, as a whole or not at all.
func (r *runner) write(name string, text []byte) error {
	if err := backup.Replace(name, text, 0o600); err != nil {
		return err
	}
	return r.give(name)
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

// LockFile is what keeps two recoveries out of one data directory. It lies beside that, and stays.
func LockFile(p pitr.Policy) string {
	dir := p.Cluster.DataDir
	return filepath.Join(filepath.Dir(dir), "."+filepath.Base(dir)+".stateward-pitr")
}
