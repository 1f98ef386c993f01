package nixbridge

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAvailableMemory(t *testing.T) {
	const meminfo = "MemTotal:       33554432 kB\nMemFree:          1000 kB\nMemAvailable:   16777216 kB\n"
	for name, tc := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"nothing tells":          {nil, 0},
		"the machine":            {map[string]string{"proc/meminfo": meminfo}, 16 * gib},
		"no number":              {map[string]string{"proc/meminfo": "MemAvailable: lots kB\n"}, 0},
		"a group without bounds": {map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 16 * gib},
		"version 2, less what is used and cannot be dropped": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/ci/job\n",
			"sys/fs/cgroup/ci/job/memory.max":     "4294967296\n",
			"sys/fs/cgroup/ci/job/memory.current": "2147483648\n",
			"sys/fs/cgroup/ci/job/memory.stat":    "anon 1\ninactive_file 1073741824\nactive_file 7\n",
		}, 3 * gib},
		"the bound of a group above": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/ci/job\n",
			"sys/fs/cgroup/ci/job/memory.max": "max\n", "sys/fs/cgroup/ci/memory.max": "1073741824\n",
		}, gib},
		"version 1": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "5:cpu,cpuacct:/x\n4:memory:/x\n0::/x\n",
			"sys/fs/cgroup/memory/x/memory.limit_in_bytes": "2147483648\n",
			"sys/fs/cgroup/memory/x/memory.usage_in_bytes": "1610612736\n",
			"sys/fs/cgroup/memory/x/memory.stat":           "cache 3\ninactive_file 1\ntotal_inactive_file 536870912\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":   "9223372036854771712\n",
		}, gib},
		"a container that is told its path outside": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/docker/0123\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n",
		}, gib},
		"more is used than allowed": {map[string]string{
			"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "1\n", "sys/fs/cgroup/memory.current": "2\n",
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for file, text := range tc.files {
				file = filepath.Join(root, file)
				require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
				require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
			}
			require.Equal(t, tc.want, availableBelow(root))
		})
	}
}

func TestN5HostsAreCountedAsWhatTheyTook(t *testing.T) {
	const spare = 128 * mib
	for name, tc := range map[string]struct {
		total, most    int64
		workers, hosts int
		peaks, fresh   map[string]int64
		want           int64
	}{
		"an unknown one has an equal part":      {total: 8 * gib, workers: 4, hosts: 9, want: 2 * gib},
		"a single one has all":                  {total: 4 * gib, workers: 4, hosts: 1, want: 4 * gib},
		"one is bounded":                        {total: 64 * gib, workers: 4, hosts: 1, want: 8 * gib},
		"one is bounded by the caller":          {total: 64 * gib, most: 64 * mib, workers: 4, hosts: 1, want: 64 * mib},
		"a small part is not given":             {total: gib, workers: 8, hosts: 9, want: gib / 2},
		"never more than there is":              {total: gib / 4, workers: 8, hosts: 9, want: gib / 4},
		"its own last peak, with some to spare": {total: 4 * gib, workers: 8, hosts: 9, peaks: map[string]int64{"a": gib}, want: gib + gib/4 + spare},
		"a known one leaves room":               {total: 16 * gib, workers: 4, hosts: 9, peaks: map[string]int64{"a": 300 * mib}, want: gib},
		"the largest of this run":               {total: 4 * gib, workers: 8, hosts: 9, fresh: map[string]int64{"b": gib, "c": mib}, want: gib + gib/4 + spare},
		"others of an earlier run say nothing":  {total: 4 * gib, workers: 8, hosts: 9, peaks: map[string]int64{"b": 2 * gib}, want: gib / 2},
		"one larger than there is":              {total: 4 * gib, workers: 8, hosts: 9, peaks: map[string]int64{"a": 9 * gib}, want: 4 * gib},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSlots(tc.total, tc.most, tc.workers, tc.peaks)
			s.among(tc.hosts)
			for k, n := range tc.fresh {
				s.saw(k, n)
			}
			require.Equal(t, tc.want, s.weight("a"))
		})
	}
}

// Whatever hosts need, whoever grows, shrinks and takes helpers: all are done in the end, and never are
// they allowed more than there is.
func TestN5SlotsNeitherBlockNorGiveTooMuch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		total := rapid.Int64Range(1, 20*gib).Draw(t, "total")
		most := rapid.Int64Range(0, 20*gib).Draw(t, "most")
		workers := rapid.IntRange(1, 6).Draw(t, "workers")
		type host struct {
			key                          string
			known, peak                  int64
			grow, shrink, helper, giveUp bool
		}
		peaks := map[string]int64{}
		var hosts []host
		for i := range rapid.IntRange(1, 12).Draw(t, "hosts") {
			b := func(what string) bool { return rapid.Bool().Draw(t, what) }
			h := host{fmt.Sprint(i), rapid.Int64Range(0, 30*gib).Draw(t, "known"), rapid.Int64Range(0, 30*gib).Draw(t, "peak"), b("grow"), b("shrink"), b("helper"), rapid.IntRange(0, 9).Draw(t, "give up") == 0}
			peaks[h.key] = h.known
			hosts = append(hosts, h)
		}
		s := newSlots(total, most, workers, peaks)
		s.among(len(hosts))
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		var memory, procs, high, busy atomic.Int64
		// A slot is counted only while it surely holds what it says.
		use := func(n int64, f func()) {
			for now, old := memory.Add(n), int64(0); ; {
				if old = high.Load(); now <= old || high.CompareAndSwap(old, now) {
					break
				}
			}
			f()
			memory.Add(-n)
		}
		var wg sync.WaitGroup
		var failed atomic.Pointer[error]
		for _, h := range hosts {
			wg.Go(func() {
				ctx := ctx
				if h.giveUp {
					var stop context.CancelFunc
					ctx, stop = context.WithTimeoutCause(ctx, time.Millisecond, errGivenUp)
					defer stop()
				}
				err := func() error {
					slot, err := s.acquire(ctx, h.key)
					if err != nil {
						return err
					}
					defer slot.release()
					if n := procs.Add(1); n > busy.Load() {
						busy.Store(n)
					}
					defer procs.Add(-1)
					use(slot.heap, func() { s.saw(h.key, h.peak) })
					if h.grow {
						if _, err := slot.grow(ctx); err != nil {
							return err
						}
						use(slot.heap, func() {})
					}
					if h.shrink {
						slot.shrink()
					}
					use(slot.heap, func() {
						if h.helper {
							if helper, ok := slot.helper(); ok {
								use(helper.heap, func() {})
								helper.release()
							}
						}
					})
					return nil
				}()
				if err != nil && !errors.Is(err, errGivenUp) {
					failed.Store(&err)
				}
			})
		}
		wg.Wait()
		if err := failed.Load(); err != nil {
			t.Fatal("not done: ", *err)
		}
		if high.Load() > total || busy.Load() > int64(workers) {
			t.Fatalf("%d of %d bytes, %d of %d processes", high.Load(), total, busy.Load(), workers)
		}
		if !s.memory.TryAcquire(s.total) || !s.procs.TryAcquire(int64(workers)) {
			t.Fatal("something was not given back")
		}
	})
}

var errGivenUp = errors.New("given up")

func TestPeaksAreRemembered(t *testing.T) {
	s := &session{Evaluator: &Evaluator{}, dir: t.TempDir(), ref: "/secret/place"}
	require.Empty(t, s.readPeaks())
	keep := func(peaks map[string]int64) {
		s.slots = newSlots(gib, 0, 1, nil)
		for k, n := range peaks {
			s.slots.saw(k, n)
		}
		s.keepPeaks()
	}
	a, b := s.peakKey([]string{"a"}), s.peakKey([]string{"b"})
	keep(map[string]int64{a: 300 * mib, b: 500*mib + 1})
	keep(map[string]int64{b: 400 * mib})
	if d := cmp.Diff(map[string]int64{a: 300 * mib, b: 400 * mib}, s.readPeaks()); d != "" {
		t.Error(d)
	}
	keep(nil)
	require.Len(t, s.readPeaks(), 2, "a run without nix forgets nothing")
	text, err := os.ReadFile(s.peakFile())
	require.NoError(t, err)
	require.NotContains(t, string(text), "secret")
	info, err := os.Stat(s.peakFile())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	for i := range 2 * maxPeaks {
		if i%100 == 0 {
			keep(map[string]int64{hashTexts(fmt.Sprint(i))[:24]: gib})
		}
	}
	many := map[string]int64{}
	for i := range 2 * maxPeaks {
		many[hashTexts("x", fmt.Sprint(i))[:24]] = 900 * gib
	}
	keep(many)
	require.Len(t, s.readPeaks(), maxPeaks, "what is written can be read")

	for _, text := range []string{"", "{", `[{"host":"a","mib":-1},{"host":"b","mib":99999999999999}]`} {
		require.NoError(t, os.WriteFile(s.peakFile(), []byte(text), 0o600))
		require.Empty(t, s.readPeaks(), text)
	}
}
