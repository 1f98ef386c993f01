package capture

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/stateward/stateward/dataset"
)

// looker looks at mountpoints.
type looker struct {
	mounts []mount
	byID   map[uint64]int
}

func newLooker(mounts []mount) *looker {
	l := &looker{mounts: mounts, byID: make(map[uint64]int, len(mounts))}
	for i := range mounts {
		l.byID[uint64(mounts[i].id)] = i
	}
	return l
}

// localTypes are file systems that answer at once: what lies beneath a mount is looked at in these only.
var localTypes = []string{"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"}

// at looks at a path, and follows no link at its end.
func (l *looker) at(p string) dataset.Place {
	out := dataset.Place{Path: p}
	fail := func(err error) dataset.Place {
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
			return dataset.Place{Path: p, Kind: "absent"}
		}
		return dataset.Place{Path: p, Kind: "unknown", Content: "unknown", Problem: "cannot be looked at: " + reason(err)}
	}
	// O_PATH opens nothing: no device, no pipe, no automount.
	fd, err := retry(func() (int, error) { return unix.Open(p, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0) })
	if err != nil {
		return fail(err)
	}
	defer unix.Close(fd)
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, unix.STATX_BASIC_STATS|unix.STATX_MNT_ID, &st); err != nil {
		return fail(err)
	}
	out.UID, out.GID, out.Mode = int(st.Uid), int(st.Gid), fmt.Sprintf("%04o", st.Mode&0o7777)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFDIR:
		out.Kind = "directory"
	case unix.S_IFREG:
		out.Kind = "file"
	case unix.S_IFLNK:
		out.Kind = "link"
	default:
		out.Kind = "other"
	}
	mounted := st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
	i, known := l.byID[st.Mnt_id]
	if st.Mask&unix.STATX_MNT_ID == 0 || st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 {
		// Before Linux 5.8: what is mounted there and not hidden. A path through a link is not found so.
		i = slices.IndexFunc(l.mounts, func(m mount) bool { return m.At == p && !m.Hidden })
		mounted, known = i >= 0, i >= 0
	}
	switch {
	case mounted && known:
		out.MountedFrom = l.mounts[i].Source
		if out.Kind == "directory" {
			out.Content = l.beneath(i)
		}
	case mounted:
		out.Problem = "something was mounted there meanwhile"
		out.Content = "unknown"
	case out.Kind == "directory":
		out.Content = content(fd, ".")
	}
	return out
}

// content tells whether a directory below fd has entries.
func content(fd int, rel string) string {
	how := unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOATIME, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV}
	dir, err := retry(func() (int, error) { return unix.Openat2(fd, rel, &how) })
	if errors.Is(err, unix.EPERM) {
		how.Flags &^= unix.O_NOATIME // only the owner may ask for that
		dir, err = retry(func() (int, error) { return unix.Openat2(fd, rel, &how) })
	}
	if errors.Is(err, unix.ENOSYS) && rel == "." {
		dir, err = retry(func() (int, error) { return unix.Openat(fd, rel, int(how.Flags&^unix.O_NOATIME), 0) })
	}
	if err != nil {
		return "unknown"
	}
	defer unix.Close(dir)
	buf := make([]byte, 4096)
	for {
		n, err := retry(func() (int, error) { return unix.Getdents(dir, buf) })
		if err != nil {
			return "unknown"
		}
		if n == 0 {
			return "empty"
		}
		// It leaves out "." and "..".
		if _, some, _ := unix.ParseDirent(buf[:n], -1, nil); some > 0 {
			return "populated"
		}
	}
}

// beneath tells whether the directory that a mount hides has entries. It looks at a copy of the parent's mount, without what is mounted in
// it, that belongs to nobody and goes away when it is closed: open_tree(2), which only root may do.
func (l *looker) beneath(i int) string {
	m := &l.mounts[i]
	p := slices.IndexFunc(l.mounts, func(o mount) bool { return o.id == m.parent })
	if p < 0 || p == i {
		return "unknown"
	}
	parent := &l.mounts[p]
	// One mount on the root of another has no directory of its own beneath.
	if parent.At == m.At || parent.Hidden || !below(m.At, parent.At) || !slices.Contains(localTypes, parent.FSType) {
		return "unknown"
	}
	fd, err := retry(func() (int, error) {
		return unix.Open(parent.At, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return "unknown"
	}
	defer unix.Close(fd)
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st); err != nil || st.Mask&unix.STATX_MNT_ID == 0 || st.Mnt_id != uint64(parent.id) {
		return "unknown"
	}
	tree, err := unix.OpenTree(fd, "", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)
	if err != nil {
		return "unknown"
	}
	defer unix.Close(tree)
	rel := strings.TrimPrefix(strings.TrimPrefix(m.At, strings.TrimSuffix(parent.At, "/")), "/")
	return content(tree, path.Clean(rel))
}
