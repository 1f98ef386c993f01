//go:build linux

package nixbridge_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge"
)

// usage is how much memory the processes of an evaluator have in use together, in bytes.
func usage(e *nixbridge.Evaluator) (total int64) {
	procs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range procs {
		env, _ := os.ReadFile(filepath.Join(dir, "environ"))
		if !bytes.Contains(env, []byte("HOME="+filepath.Join(e.CacheDir, "home")+"\x00")) {
			continue
		}
		status, _ := os.ReadFile(filepath.Join(dir, "status"))
		for line := range strings.Lines(string(status)) {
			// What is mapped from files is shared.
			if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
				kb, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				total += kb << 10
			}
		}
	}
	return total
}

// Of twenty hosts, nine are each broken in a way of its own: every other is reported whole, within bounds of time and memory.
func TestN4N5FleetOfTwenty(t *testing.T) {
	const (
		memory = 1100 << 20
		// What nix has beside its heap, twice.
		bound   = 1500 << 20
		timeout = 15 * time.Second
		budget  = 90 * time.Second
	)
	bad := map[string]string{
		"throws":    `throw "the whole host is broken"`,
		"asserts":   `{ config.test = { sound.text = "sound"; bad.text = assert false; "x"; }; }`,
		"missing":   `{ config.test = { sound.text = "sound"; bad.text = { }.nope; }; }`,
		"aborts":    `{ config.test = { sound.text = "sound"; bad.text = abort "enough"; }; }`,
		"recurses":  `{ config.test = { sound.text = "sound"; bad.text = let x = x + 1; in x; }; }`,
		"overflows": `{ config.test = { sound.text = "sound"; bad.text = let f = n: 1 + f (n + 1); in toString (f 0); }; }`,
		"hangs":     `{ config.test.bad.value = let n = f: builtins.foldl' (a: i: a + f i) 0 (builtins.genList (i: i) 10000); in n (_: n (_: n (_: n (i: i)))); }`,
		"eats":      `{ config.test = { sound.text = "sound"; bad.value = builtins.length (builtins.genList (i: i) 1000000000); }; }`,
		"eatsText":  `{ config.test = { sound.text = "sound"; bad.value = builtins.stringLength (let f = n: if n == 0 then "0123456789" else let s = f (n - 1); in s + s; in f 40); }; }`,
	}
	want := map[string]string{
		"throws":    "failed: the whole host is broken",
		"asserts":   "partial sound: test.bad.text assertion 'false' failed",
		"missing":   "partial sound: test.bad.text attribute 'nope' missing",
		"aborts":    "partial sound: test.bad.text evaluation aborted with the following error message: 'enough'",
		"recurses":  "partial sound: test.bad.text infinite recursion encountered",
		"overflows": "partial sound: test.bad.text nix recursed too deeply",
		"hangs":     "failed: evaluation took longer than 15s, so that no value of the host is known",
		"eats":      "partial sound: test.bad.value nix ran out of memory (1100 MiB)",
		"eatsText":  "partial sound: test.bad.value nix ran out of memory (1100 MiB)",
	}
	var flake strings.Builder
	flake.WriteString("{ outputs = { self }: { nixosConfigurations = {\n")
	for name, text := range bad {
		fmt.Fprintf(&flake, "%s = %s;\n", name, text)
	}
	for i := range 20 - len(bad) {
		name := fmt.Sprintf("good%02d", i)
		// Some need some 100 MiB, as a host does.
		fmt.Fprintf(&flake, "%s.config.test = { sound.text = %q; n.value = builtins.length (builtins.sort builtins.lessThan (builtins.genList (i: %d - i) 500000)); };\n", name, name, i)
		want[name] = "ok " + name + ":"
	}
	flake.WriteString("}; }; }\n")
	dir := folder(t, map[string]string{"flake.nix": flake.String()})

	programs := strings.Split(os.Getenv("STATEWARD_TEST_NIX"), ":")
	// How each version says it is tested elsewhere; this takes half a minute.
	t.Setenv("STATEWARD_TEST_NIX", programs[len(programs)-1])
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		e.Workers, e.MaxMemory, e.Timeout = 2, memory, timeout
		more := map[string]bool{}
		e.Progress = func(ev nixbridge.Event) {
			if ev.Kind == nixbridge.EventMemory {
				more[ev.Host] = true
			}
			t.Log(ev)
		}
		var highest int64
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					highest = max(highest, usage(e))
				}
			}
		})
		began := time.Now()
		ev, err := e.Evaluate(t.Context(), source(t, dir))
		took := time.Since(began)
		close(stop)
		wg.Wait()
		require.NoError(t, err)

		got := map[string]string{}
		for _, h := range ev.Hosts {
			if h.Err != nil {
				got[h.Name] = string(h.Status) + ": " + h.Err.Error()
				if i := strings.Index(got[h.Name], " ("); i > 0 {
					got[h.Name] = got[h.Name][:i]
				}
				continue
			}
			text := string(h.Status) + " " + root(t, h).Root().At("test", "sound", "text").Text().Or("lost") + ":"
			for _, u := range root(t, h).Unknowns() {
				text += " " + u.Subject + " " + u.Message
			}
			got[h.Name] = text
			if h.Status == stateward.StatusOK {
				require.Equal(t, 500000, root(t, h).Root().At("test", "n", "value").Int().Or(0))
			}
		}
		for name, w := range want {
			if strings.HasPrefix(got[name], w) {
				got[name] = w
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		require.Equal(t, map[string]bool{"eats": true, "eatsText": true}, more, "who runs out of memory has all of it before that is said")
		t.Logf("%s, %d MiB", took, highest>>20)
		require.Less(t, took, budget)
		require.Less(t, highest, int64(bound))
		require.Empty(t, leftOver(t, e))
	})
}

// What a host takes does not depend on how many there are, and no more are in memory than are evaluated at once.
func TestFleetOfTwoHundredTakesForEachHostTheSame(t *testing.T) {
	const hosts = 200
	var flake strings.Builder
	flake.WriteString("{ outputs = { self }: { nixosConfigurations = builtins.listToAttrs (builtins.genList (i: { name = \"host${toString i}\"; value = {\n")
	flake.WriteString("config.test = { sound.text = \"host${toString i}\"; n.value = builtins.length (builtins.sort builtins.lessThan (builtins.genList (k: i - k) 20000)); };\n")
	fmt.Fprintf(&flake, "}; }) %d); }; }\n", hosts)
	dir := folder(t, map[string]string{"flake.nix": flake.String()})

	programs := strings.Split(os.Getenv("STATEWARD_TEST_NIX"), ":")
	t.Setenv("STATEWARD_TEST_NIX", programs[len(programs)-1])
	eachNix(t, func(t *testing.T, e *nixbridge.Evaluator) {
		// One at a time: then no host waits for another's processor.
		e.Workers, e.MaxMemory = 1, 1<<30
		var took []time.Duration
		var before time.Duration
		var used []int64
		told := 0
		e.Progress = func(ev nixbridge.Event) {
			if ev.Kind != nixbridge.EventDone {
				return
			}
			told++
			require.Equal(t, told, ev.Done)
			require.Equal(t, hosts, ev.Total)
			// Time of the processor, not of the clock: other tests run beside this one.
			var u syscall.Rusage
			require.NoError(t, syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u))
			now := time.Duration(u.Utime.Nano() + u.Stime.Nano())
			took = append(took, now-before)
			before = now
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			used = append(used, int64(m.HeapAlloc))
		}
		var highest int64
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
					highest = max(highest, usage(e))
				}
			}
		})
		ev, err := e.Evaluate(t.Context(), source(t, dir))
		close(stop)
		wg.Wait()
		require.NoError(t, err)
		require.Len(t, ev.Hosts, hosts)
		require.Equal(t, hosts, told)
		for _, h := range ev.Hosts {
			require.Equal(t, stateward.StatusOK, h.Status)
		}

		// Medians: a machine that tests share has moments.
		median := func(of []time.Duration) time.Duration {
			of = slices.Sorted(slices.Values(of))
			return of[len(of)/2]
		}
		first, last := median(took[:hosts/4]), median(took[hosts*3/4:])
		t.Logf("%s for each of the first quarter, %s for each of the last; %d MiB of nix, %d KiB of ours for each host", first, last, highest>>20, (used[hosts-1]-used[0])/hosts>>10)
		require.Less(t, last.Seconds()/first.Seconds(), 1.5)
		require.Less(t, highest, int64(512<<20))
		require.Less(t, (used[hosts-1]-used[0])/hosts, int64(256<<10), "what was read of a host is all that is kept of it")
		require.Empty(t, leftOver(t, e))
	})
}
