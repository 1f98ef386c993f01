//go:build unix

package run_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward/internal/run"
)

var env = []string{"PATH=/usr/local/bin:/usr/bin:/bin"}

func sh(script string, args ...string) run.Cmd {
	return run.Cmd{Path: "sh", Args: append([]string{"-c", script, "sh"}, args...), Env: env}
}

func TestNothingIsInherited(t *testing.T) {
	t.Setenv("STATEWARD_SECRET", "x")
	r, err := run.Run(t.Context(), run.Cmd{Path: "env", Env: append(env, "A=b")})
	require.NoError(t, err)
	require.Equal(t, "PATH=/usr/local/bin:/usr/bin:/bin\nA=b\n", string(r.Stdout))
}

func TestArgumentsAndInputArriveUnchanged(t *testing.T) {
	c := sh(`printf '<%s>' "$@"; cat`, "a b", "$(x)", "")
	c.Stdin = []byte("in\x00put")
	r, err := run.Run(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, "<a b><$(x)><>in\x00put", string(r.Stdout))
}

func TestExitStatusIsTyped(t *testing.T) {
	r, err := run.Run(t.Context(), sh("echo out; echo err >&2; exit 3"))
	var exit *run.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 3, exit.Code)
	require.EqualError(t, err, "sh exited with status 3")
	require.Equal(t, "out\n", string(r.Stdout))
	require.Equal(t, "err\n", string(r.Stderr))

	_, err = run.Run(t.Context(), sh("kill -ABRT $$"))
	require.ErrorAs(t, err, &exit)
	require.Equal(t, syscall.SIGABRT, exit.Signal)
}

func TestMissingProgramIsTyped(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "no-program")
	require.NoError(t, os.WriteFile(file, nil, 0o644))
	for _, path := range []string{"", "no-such-program", filepath.Join(dir, "nothing"), file, dir} {
		_, err := run.Run(t.Context(), run.Cmd{Path: path, Env: env})
		var missing *run.NotFoundError
		require.ErrorAs(t, err, &missing, path)
	}
	// A relative component of PATH would let the working directory decide what runs.
	t.Chdir(dir)
	require.NoError(t, os.WriteFile("tool", []byte("#!/bin/sh\n"), 0o755))
	_, err := run.Run(t.Context(), run.Cmd{Path: "tool", Env: []string{"PATH=:.:/nowhere"}})
	require.Error(t, err)
}

func TestOutputIsBounded(t *testing.T) {
	c := sh("while :; do echo 0123456789; done")
	c.MaxStdout = 1000
	r, err := run.Run(t.Context(), c)
	var big *run.OutputTooLargeError
	require.ErrorAs(t, err, &big)
	require.EqualValues(t, 1000, big.Limit)
	require.LessOrEqual(t, len(r.Stdout), 1000)
}

func TestStandardErrorComesByLineAndItsEndIsKept(t *testing.T) {
	var got []string
	c := sh(`i=0; while [ $i -lt 100 ]; do echo "line $i" >&2; i=$((i+1)); done; printf last >&2`)
	c.MaxStderr = 20
	c.OnStderrLine = func(l []byte) { got = append(got, string(l)) }
	r, err := run.Run(t.Context(), c)
	require.NoError(t, err)
	require.Len(t, got, 101)
	require.Equal(t, "line 42", got[42])
	require.Equal(t, "last", got[100])
	require.Equal(t, "line 98\nline 99\nlast", string(r.Stderr))
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil && !zombie(pid) }

func zombie(pid int) bool {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && bytes.Contains(b, []byte(") Z "))
}

func TestCancellingKillsTheWholeGroup(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		c := sh(`trap '' INT TERM; sh -c 'trap "" INT TERM; echo $$ >child; while :; do :; done' & echo $$ >parent; wait`)
		c.Dir = dir
		_, err := run.Run(ctx, c)
		done <- err
	}()
	pid := func(name string) (n int) {
		require.Eventually(t, func() bool {
			b, _ := os.ReadFile(filepath.Join(dir, name))
			n, _ = strconv.Atoi(strings.TrimSpace(string(b)))
			return n > 0
		}, 10*time.Second, 5*time.Millisecond)
		return n
	}
	parent, child := pid("parent"), pid("child")
	cancel()
	select {
	case err := <-done:
		require.ErrorIs(t, err, context.Canceled)
	case <-time.After(10 * time.Second):
		t.Fatal("still running")
	}
	require.Eventually(t, func() bool { return !alive(parent) && !alive(child) }, 5*time.Second, 5*time.Millisecond)
}

func TestCancellingKillsWhatLeftTheGroupAndHoldsTheOutput(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // only Linux tells what a process has started
	}
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		c := sh(`setsid sh -c 'echo $$ >session; setsid sh -c "echo \$\$ >below; sleep 60; :"; :' & sleep 60; :`)
		c.Dir = dir
		_, err := run.Run(ctx, c)
		done <- err
	}()
	var pids []int
	for _, name := range []string{"session", "below"} {
		require.Eventually(t, func() bool {
			b, _ := os.ReadFile(filepath.Join(dir, name))
			n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
			if n > 0 {
				pids = append(pids, n)
			}
			return n > 0
		}, 10*time.Second, 5*time.Millisecond)
	}
	began := time.Now()
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.Less(t, time.Since(began), 100*time.Millisecond)
	for _, pid := range pids {
		require.Eventually(t, func() bool { return !alive(pid) }, 5*time.Second, 5*time.Millisecond)
	}
}

// parentEnv tells the test program to be a caller of Run that somebody kills.
const parentEnv = "STATEWARD_TEST_PARENT"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentEnv); dir != "" {
		c := sh(`sh -c 'echo $$ >child; while :; do sleep 1; done' & echo $$ >parent; wait`)
		c.Dir = dir
		_, _ = run.Run(context.Background(), c)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestKilledCallerLeavesNothing(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	for name, wait := range map[string]time.Duration{"once watched": 500 * time.Millisecond, "soon": 0} {
		t.Run(name, func(t *testing.T) {
			if wait == 0 && runtime.GOOS != "linux" {
				return // what is young is not watched yet
			}
			dir := t.TempDir()
			caller := exec.Command(self)
			caller.Env = append(os.Environ(), parentEnv+"="+dir)
			require.NoError(t, caller.Start())
			defer func() {
				_ = caller.Process.Kill()
				_ = caller.Wait()
			}()
			var pids []int
			for _, name := range []string{"parent", "child"} {
				require.Eventually(t, func() bool {
					b, _ := os.ReadFile(filepath.Join(dir, name))
					n, _ := strconv.Atoi(strings.TrimSpace(string(b)))
					if n > 0 {
						pids = append(pids, n)
					}
					return n > 0
				}, 10*time.Second, 5*time.Millisecond)
			}
			time.Sleep(wait)
			require.NoError(t, caller.Process.Kill())
			if wait == 0 {
				// Of these the kernel ends but the one that was started.
				defer func() { _ = syscall.Kill(-pids[0], syscall.SIGKILL) }()
				pids = pids[:1]
			}
			for _, pid := range pids {
				require.Eventually(t, func() bool { return !alive(pid) }, 5*time.Second, 5*time.Millisecond)
			}
		})
	}
}

func TestWatchingLeavesNothing(t *testing.T) {
	for range 3 {
		_, err := run.Run(t.Context(), sh("sleep 0.3"))
		require.NoError(t, err)
	}
	var status syscall.WaitStatus
	_, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
	require.Equal(t, syscall.ECHILD, err, "no child is left")
}

func TestUsageIsTold(t *testing.T) {
	// The process is one below that which was started, as nix is behind a wrapper.
	r, err := run.Run(t.Context(), sh(`sh -c 'x=$(head -c 300000000 /dev/zero | tr "\\0" x); i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; :'; :`))
	require.NoError(t, err)
	require.Greater(t, r.MaxRSS, int64(250<<20))
	require.Less(t, r.MaxRSS, int64(2<<30))
	require.Positive(t, r.User)
	require.GreaterOrEqual(t, r.CPU, r.User)
	require.Less(t, r.CPU, time.Minute)
}

func TestDeadlineKeepsItsCause(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errors.New("enough"))
	defer cancel()
	_, err := run.Run(ctx, sh("sleep 60"))
	require.EqualError(t, err, "sh: enough")
}

func TestLeftoverThatHoldsTheOutputDoesNotHang(t *testing.T) {
	began := time.Now()
	_, err := run.Run(t.Context(), sh("sleep 60 & exit 0"))
	require.ErrorContains(t, err, "left a process behind")
	require.Less(t, time.Since(began), 20*time.Second)
}

func TestMemoryIsBounded(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // only Linux lets us bound another process
	}
	c := sh("sleep 0.2; x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo ${#x}")
	r, err := run.Run(t.Context(), c)
	require.NoError(t, err)
	require.Equal(t, "200000000\n", string(r.Stdout))
	c.MemoryLimit = 100 << 20
	r, err = run.Run(t.Context(), c)
	require.False(t, err == nil && strings.Contains(string(r.Stdout), "200000000"))
}
