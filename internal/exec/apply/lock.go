//go:build unix

package apply

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// LockDir is where the lock of this machine lies. /run is emptied when it starts.
const LockDir = "/run/stateward"

// HeldError says that another run is at work.
type HeldError struct {
	File string
	// By is what the other one wrote down of itself; empty where it has not yet.
	By string
}

func (e *HeldError) Error() string {
	if e.By == "" {
		return "another run holds " + e.File
	}
	return "another run is at work: " + e.By
}

// Hint says what to do.
func (e *HeldError) Hint() string { return "wait for it: --wait" }

// Lock takes the lock in a folder, which it makes where it is missing, so that one run at a time changes the datasets of a
// machine. It is one of flock(2), which ends with the process, however that ends. Where another run holds it, the error is a
// *[HeldError]; with wait it waits until that ends or ctx does, and calls waiting first. who is written into the file for others.
func Lock(ctx context.Context, dir, who string, wait bool, waiting func(*HeldError)) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "dataset.lock")
	// Never through a link: the file is written to.
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, err
	}
	for told := false; ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		held := &HeldError{File: name, By: holder(f)}
		if !wait {
			f.Close()
			return nil, held
		}
		if !told && waiting != nil {
			waiting(held)
		}
		told = true
		select {
		case <-ctx.Done():
			f.Close()
			return nil, context.Cause(ctx)
		case <-time.After(200 * time.Millisecond):
		}
	}
	// It helps people only: that it cannot be written keeps nobody from anything.
	_ = f.Truncate(0)
	_, _ = f.WriteAt([]byte(who+"\n"), 0)
	return func() {
		_ = f.Truncate(0)
		f.Close()
	}, nil
}

func holder(f *os.File) string {
	b, _ := io.ReadAll(io.NewSectionReader(f, 0, 300))
	line, _, _ := strings.Cut(string(b), "\n")
	return line
}
