package run

import "golang.org/x/sys/unix"

// limitMemory bounds the address space of a process that has just been started.
func limitMemory(pid int, bytes int64) error {
	l := unix.Rlimit{Cur: uint64(bytes), Max: uint64(bytes)}
	err := unix.Prlimit(pid, unix.RLIMIT_AS, &l, nil)
	if err == unix.ESRCH {
		// It is gone already.
		return nil
	}
	return err
}
