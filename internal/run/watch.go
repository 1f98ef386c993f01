//go:build unix

package run

import (
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// watchdog is a process that outlives ours for a moment, to kill a group that we can no longer kill: after SIGKILL (the
// kernel short of memory, a CI that ends a job) none of our own code runs. It waits for the end of a pipe that
// only we hold open. On Linux the kernel kills the process itself besides ([dieWithParent]); what a script has started below it is
// found by its group only, and what has left that too stays, unless its own parent sees to it, as nix does.
type watchdog struct {
	mu    sync.Mutex
	timer *time.Timer
	done  bool
	dog   *exec.Cmd
	pipe  *os.File
}

// watchAfter is the age from which a group is watched: most processes end sooner, and another one for each would cost more
// than they do.
const watchAfter = 100 * time.Millisecond

// watch has a group killed once this process is gone. Without /bin/sh it does nothing.
func watch(group int) *watchdog {
	w := &watchdog{}
	w.timer = time.AfterFunc(watchAfter, func() { w.start(group) })
	return w
}

func (w *watchdog) start(group int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return
	}
	r, pipe, err := os.Pipe()
	if err != nil {
		return
	}
	defer r.Close()
	dog := exec.Command("/bin/sh", "-c", `read -r _; kill -9 "-$1"`, "sh", strconv.Itoa(group))
	// A session of its own: what ends our terminal or our group must not end it first.
	dog.Env, dog.Dir, dog.Stdin, dog.SysProcAttr = []string{}, "/", r, &syscall.SysProcAttr{Setsid: true}
	if dog.Start() != nil {
		_ = pipe.Close()
		return
	}
	w.dog, w.pipe = dog, pipe
}

// stop ends the watch.
func (w *watchdog) stop() {
	w.timer.Stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
	if w.dog == nil {
		return
	}
	// Before the pipe is closed, or it would kill whoever has the number now.
	_ = w.dog.Process.Kill()
	_ = w.dog.Wait()
	_ = w.pipe.Close()
}
