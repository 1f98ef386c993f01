//go:build unix

package nar

import (
	"io"
	"io/fs"
	"os"
	"syscall"
)

// file is read with system calls of our own: what os.File does beside them takes longer than a small file does.
type file struct {
	fd   int
	path string
}

// openFile opens a file, but follows no symbolic link and waits for no other end of a pipe: either may have taken the
// file's place.
func openFile(path string) (file, error) {
	for {
		fd, err := syscall.Open(path, syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
		if err == nil {
			return file{fd, path}, nil
		}
		if err != syscall.EINTR {
			return file{}, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

func (f file) close() { _ = syscall.Close(f.fd) }

func (f file) stat() (fs.FileMode, int64, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(f.fd, &st); err != nil {
		return 0, 0, &fs.PathError{Op: "stat", Path: f.path, Err: err}
	}
	mode := fs.FileMode(st.Mode & 0o777)
	if st.Mode&syscall.S_IFMT != syscall.S_IFREG {
		mode |= os.ModeIrregular
	}
	return mode, st.Size, nil
}

// Read is that of [io.Reader].
func (f file) Read(b []byte) (int, error) {
	for {
		n, err := syscall.Read(f.fd, b)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, &fs.PathError{Op: "read", Path: f.path, Err: err}
		case n == 0 && len(b) > 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}
