package preseed

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// uncovered opens a mounted file system as it is without what is mounted below it, as a mount that nobody else sees and that ends with close.
func uncovered(at string) (dir string, done func(), err error) {
	fd, err := unix.OpenTree(unix.AT_FDCWD, at, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return "", nil, &os.PathError{Op: "open_tree", Path: at, Err: err}
	}
	return fmt.Sprintf("/proc/self/fd/%d", fd), func() { unix.Close(fd) }, nil
}
