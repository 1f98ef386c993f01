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
