//go:build unix

package nixbridge

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// inode is the number of a file.
func inode(info fs.FileInfo) string {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprint(st.Dev, " ", st.Ino)
	}
	return ""
}

// ofAnother tells whether a file belongs to a user that git would not trust: neither who runs this, nor who ran sudo.
func ofAnother(file string) bool {
	info, err := os.Stat(file)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) != os.Geteuid() && fmt.Sprint(st.Uid) != os.Getenv("SUDO_UID")
}

// lockDatabase keeps nix from the database of a store meanwhile: each nix holds this lock, shared, as long as it runs.
// It waits for those that do.
func lockDatabase(ctx context.Context, file string) (unlock func() error, err error) {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f.Close, nil
		}
		if err != syscall.EWOULDBLOCK && err != syscall.EINTR {
			f.Close()
			return nil, err
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
