// Package mountinfo knows the quoting of /proc/self/mountinfo (proc_pid_mountinfo(5)).
package mountinfo

import (
	"strconv"
	"strings"
)

// Unescape reads the octal escapes of mangle_path in fs/seq_file.c: \040 is a blank. What is no escape stays as it is.
func Unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return strings.Clone(s) // and not a piece that keeps the whole file
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
