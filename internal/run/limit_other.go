//go:build unix && !linux

package run

import (
	"runtime"
	"syscall"
)

// maxrssUnit is that of ru_maxrss, in bytes: Darwin alone counts bytes (getrusage(2)).
var maxrssUnit = func() int64 {
	if runtime.GOOS == "darwin" {
		return 1
	}
	return 1 << 10
}()

// dieWithParent does nothing: only the watchdog ends what we leave behind.
func dieWithParent(*syscall.SysProcAttr) {}

// limitMemory does nothing: these systems have no bound that can be set from outside.
func limitMemory(int, int64) error { return nil }

// killAll kills a process and its group. What has left the group cannot be found.
func killAll(pid int) error { return killGroup(pid) }
