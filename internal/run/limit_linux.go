package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxrssUnit is that of ru_maxrss, in bytes (getrusage(2)).
const maxrssUnit = 1 << 10

// dieWithParent has the kernel kill a process when the thread that started it ends (prctl(2), PR_SET_PDEATHSIG).
func dieWithParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

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

// killAll kills a process, its group, and whatever below it has left the group: a daemon, or what was started with a
// session of its own. They are stopped first, or each might start another meanwhile.
func killAll(pid int) error {
	var outside []int
	seen := map[int]bool{pid: true}
	_ = syscall.Kill(-pid, syscall.SIGSTOP)
	for found := true; found; {
		found = false
		for p := range seen {
			for _, c := range children(p) {
				if seen[c] {
					continue
				}
				seen[c], found = true, true
				if group, err := syscall.Getpgid(c); err == nil && group != pid {
					_ = syscall.Kill(c, syscall.SIGSTOP)
					outside = append(outside, c)
				}
			}
		}
	}
	err := killGroup(pid)
	for _, p := range outside {
		_ = syscall.Kill(p, syscall.SIGKILL)
	}
	return err
}

// children are the processes that one has started; none where the kernel does not tell (CONFIG_PROC_CHILDREN).
func children(pid int) (list []int) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		for f := range strings.FieldsSeq(string(text)) {
			if p, err := strconv.Atoi(f); err == nil {
				list = append(list, p)
			}
		}
	}
	return list
}
