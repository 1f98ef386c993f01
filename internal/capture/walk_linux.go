package capture

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/stateward/stateward"
)

var (
	errNoDirectory error = unix.ENOENT
	errDenied      error = unix.EACCES
)

// fileID tells the names of one file.
type fileID struct {
	major, minor uint32
	ino          uint64
}

type walk struct {
	ctx      context.Context
	names    accounts
	depth    int
	maxNames int
	root     string
	// skip are paths that are not looked into.
	skip []string
	// linked are the files with several names whose bytes were counted already.
	linked map[fileID]bool
	// major and minor are the device of the root.
	major, minor uint32
	out          []stateward.ListingEntry
}

// sum is what lies below a directory.
type sum struct {
	files, bytes int64
	partial      bool
}

func (s *sum) add(t sum) {
	s.files += t.files
	s.bytes += t.bytes
	if s.bytes < 0 {
		s.bytes = math.MaxInt64 // sparse files may claim more than there can be
	}
	s.partial = s.partial || t.partial
}

const statMask = unix.STATX_BASIC_STATS

// openFlags open a directory and nothing else, whatever takes its place meanwhile.
const openFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC | unix.O_NONBLOCK

// list returns the root and what lies below it. The root itself may be a symbolic link.
func (w *walk) list() ([]stateward.ListingEntry, error) {
	fd, err := retry(func() (int, error) { return unix.Open(w.root, openFlags&^unix.O_NOFOLLOW, 0) })
	if err != nil {
		return nil, err
	}
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, statMask, &st); err != nil {
		unix.Close(fd)
		return nil, err
	}
	w.major, w.minor = st.Dev_major, st.Dev_minor
	w.out = append(w.out, w.describe(&st))
	w.out[0].Path = "."
	s, err := w.directory(fd, ".", 0, true)
	if err != nil {
		w.out[0].Closed, w.out[0].Error = stateward.ClosedUnread, reason(err)
	}
	w.out[0].Files, w.out[0].Bytes, w.out[0].Partial = s.files, s.bytes, s.partial
	return w.out, w.ctx.Err()
}

// directory sums up what lies in an open directory, which it closes, and lists it where it is to be listed.
// An error means that its names could not be read.
func (w *walk) directory(fd int, rel string, level int, listed bool) (sum, error) {
	dir := os.NewFile(uintptr(fd), rel)
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return sum{partial: true}, err
	}
	slices.Sort(names)
	if listed && rel != "." {
		self := &w.out[len(w.out)-1]
		switch {
		case level >= w.depth && len(names) > 0:
			self.Closed, listed = stateward.ClosedDepth, false
		case len(names) > w.maxNames:
			self.Closed, listed = stateward.ClosedMany, false
		}
	}
	var total sum
	for _, name := range names {
		if w.ctx.Err() != nil {
			return total, nil
		}
		child := name
		if rel != "." {
			child = rel + "/" + name
		}
		total.add(w.entry(fd, name, child, level+1, listed))
	}
	return total, nil
}

// entry lists and counts one name of a directory. What vanished meanwhile is not there.
func (w *walk) entry(dir int, name, rel string, level int, listed bool) sum {
	var st unix.Statx_t
	err := unix.Statx(dir, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, statMask, &st)
	if errors.Is(err, unix.ENOENT) {
		return sum{}
	}
	at := len(w.out)
	if err != nil {
		if listed {
			e := stateward.ListingEntry{Kind: stateward.ListedUnknown, Error: reason(err)}
			e.Path, e.PathBytes = stateward.ListingName(rel)
			w.out = append(w.out, e)
		}
		return sum{partial: true}
	}
	e := w.describe(&st)
	e.Path, e.PathBytes = stateward.ListingName(rel)
	if e.Kind != stateward.ListedDirectory {
		if listed {
			if e.Kind == stateward.ListedSymlink {
				target, err := readlink(dir, name)
				if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) {
					return sum{} // it was a link
				}
				if err != nil {
					e.Error = reason(err)
				}
				e.Target, e.TargetBytes = stateward.ListingName(target)
			}
			w.out = append(w.out, e)
		}
		return w.count(&st)
	}

	var total sum
	switch {
	case w.mounted(&st):
		e.Closed = stateward.ClosedMount
	case slices.Contains(skippedNames, name), slices.Contains(w.skip, w.absolute(rel)):
		e.Closed = stateward.ClosedSkipped
	default:
		fd, err := retry(func() (int, error) { return unix.Openat(dir, name, openFlags, 0) })
		switch {
		case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
			return sum{} // it was a directory
		case err != nil:
			e.Closed, e.Error = stateward.ClosedUnread, reason(err)
			total.partial = true
		default:
			if listed {
				w.out = append(w.out, e)
			}
			total, err = w.directory(fd, rel, level, listed)
			if !listed {
				return total
			}
			self := &w.out[at]
			if err != nil {
				self.Closed, self.Error = stateward.ClosedUnread, reason(err)
			}
			self.Files, self.Bytes, self.Partial = total.files, total.bytes, total.partial
			return total
		}
	}
	if listed {
		e.Partial = total.partial
		w.out = append(w.out, e)
	}
	return total
}

// absolute is the path below the root.
func (w *walk) absolute(rel string) string {
	if w.root == "/" {
		return "/" + rel
	}
	return w.root + "/" + rel
}

// count counts one thing that is no directory. Each name of a file counts, or a directory whose files are linked elsewhere
// too would look empty; its bytes count where it is met first.
func (w *walk) count(st *unix.Statx_t) sum {
	s := sum{files: 1}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return s
	}
	if st.Nlink > 1 {
		id := fileID{st.Dev_major, st.Dev_minor, st.Ino}
		if w.linked[id] {
			return s
		}
		w.linked[id] = true
	}
	s.bytes = int64(st.Size)
	return s
}

var kinds = map[uint16]stateward.ListingEntryKind{
	unix.S_IFDIR: stateward.ListedDirectory, unix.S_IFREG: stateward.ListedFile, unix.S_IFLNK: stateward.ListedSymlink,
	unix.S_IFIFO: stateward.ListedFIFO, unix.S_IFSOCK: stateward.ListedSocket, unix.S_IFBLK: stateward.ListedBlock, unix.S_IFCHR: stateward.ListedChar,
}

func (w *walk) describe(st *unix.Statx_t) stateward.ListingEntry {
	e := stateward.ListingEntry{
		Kind: kinds[st.Mode&unix.S_IFMT], UID: st.Uid, GID: st.Gid, User: w.names.users[st.Uid], Group: w.names.groups[st.Gid],
		Mode: fmt.Sprintf("%04o", st.Mode&0o7777),
	}
	switch e.Kind {
	case "":
		e.Kind = stateward.ListedUnknown
	case stateward.ListedFile:
		e.Size = int64(st.Size)
	}
	return e
}

// mounted tells whether something is the root of a mount, a bind mount included. A Btrfs subvolume that lies in its
// parent has another device and is none.
func (w *walk) mounted(st *unix.Statx_t) bool {
	if st.Attributes_mask&unix.STATX_ATTR_MOUNT_ROOT == 0 { // before Linux 5.8
		return st.Dev_major != w.major || st.Dev_minor != w.minor
	}
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0 || st.Attributes&unix.STATX_ATTR_AUTOMOUNT != 0
}

func readlink(dir int, name string) (string, error) {
	for size := 256; ; size *= 2 {
		b := make([]byte, size)
		n, err := unix.Readlinkat(dir, name, b)
		if err != nil {
			return "", err
		}
		if n < size {
			return string(b[:n]), nil
		}
	}
}

// retry repeats what a signal interrupted.
func retry(open func() (int, error)) (int, error) {
	for {
		fd, err := open()
		if !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}

// reason is an error without the path, which stands beside it.
func reason(err error) string {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
