//go:build unix

package nixbridge

import (
	"fmt"
	"io/fs"
	"syscall"
)

// inode is the number of a file.
func inode(info fs.FileInfo) string {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return fmt.Sprint(st.Dev, " ", st.Ino)
	}
	return ""
}
