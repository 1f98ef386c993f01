package nixbridge

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/semaphore"
)

const (
	// leastWeight is what a host is counted as of which nothing is known: a NixOS host takes 0.2 to 0.3 GiB, and nix
	// begins with a heap of 0.4.
	leastWeight = gib / 2
	// unknownMemory is what a machine is taken to have that does not tell.
	unknownMemory = 8 * gib
	// mostHeap bounds one nix, unless the caller names a bound: it is several times the largest host that was seen, and
	// a runaway takes a minute to fill it.
	mostHeap = 8 * gib
)

// slots share processors and memory out among the nix that run at once: each takes one of a number of processes, and
// as much memory as it is allowed, so that all together are never allowed more than there is (N5).
type slots struct {
	procs, memory *semaphore.Weighted
	// total is the memory to share out, most what one may have of it, share what is left to each if all run; in bytes.
	total, most, share int64
	workers            int

	mu sync.Mutex
	// hosts is how many are to be evaluated.
	hosts int
	// peaks are what each host took, in an earlier run or, when fresh, in this one.
	peaks map[string]int64
	fresh map[string]int64
}

// slot is the place of one nix.
type slot struct {
	*slots
	key string
	// heap is what it may have, in bytes.
	heap int64
}

// newSlots shares out memory among at most as many processes as workers; 0 means as many as there are processors.
// most is what one may have; 0 means a bound of our own. peaks are what hosts took in earlier runs.
func newSlots(total, most int64, workers int, peaks map[string]int64) *slots {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	total = max(total, 1)
	if peaks == nil {
		peaks = map[string]int64{}
	}
	most = min(cmp.Or(max(most, 0), mostHeap), total)
	return &slots{
		procs: semaphore.NewWeighted(int64(workers)), memory: semaphore.NewWeighted(total),
		total: total, most: most, share: total / int64(workers), workers: workers, peaks: peaks, fresh: map[string]int64{},
	}
}

// among tells how many more hosts there are to share, until done is called.
func (s *slots) among(hosts int) (done func()) {
	add := func(n int) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hosts += n
		s.share = s.total / int64(max(min(s.workers, s.hosts), 1))
	}
	add(hosts)
	return func() { add(-hosts) }
}

// sharedSlots are those of all evaluations of one [Evaluator] that go on at once.
type sharedSlots struct {
	mu    sync.Mutex
	slots *slots
	users int
}

// join gives the slots to one more evaluation, until leave is called. Nobody being there, they are made anew: what the
// machine has available changes. peaks are what is known of earlier runs.
func (e *sharedSlots) join(anew func() *slots, peaks map[string]int64) (s *slots, leave func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.users == 0 {
		e.slots = anew()
	}
	e.users++
	e.slots.mu.Lock()
	defer e.slots.mu.Unlock()
	for k, n := range peaks {
		e.slots.peaks[k] = n
	}
	return e.slots, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.users--; e.users == 0 {
			e.slots = nil
		}
	}
}

// memoryToShare leaves a quarter of what is available to others.
func memoryToShare(wanted int64) int64 {
	if wanted > 0 {
		return wanted
	}
	// Less than one host takes helps nobody: what the system calls available is an estimate.
	return max(cmp.Or(availableMemory(), unknownMemory)/4*3, leastWeight)
}

// weight is what a host is expected to need, with some to spare: the collector slows down long before the heap is full.
func (s *slots) weight(key string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	spare := func(peak int64) int64 { return peak + peak/4 + 128*mib }
	if peak := max(s.peaks[key], s.fresh[key]); peak > 0 {
		// What is known gets no more than it may need, if others could use it.
		return min(max(spare(peak), leastWeight, min(s.share, gib)), s.most)
	}
	var largest int64
	for _, peak := range s.fresh {
		largest = max(largest, peak)
	}
	if largest > 0 {
		largest = spare(largest)
	}
	return min(max(largest, leastWeight, s.share), s.most)
}

// saw notes what a nix of a host took; 0 where that is not known.
func (s *slots) saw(key string, peak int64) {
	if peak <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fresh[key] = max(s.fresh[key], peak)
}

// acquire waits until there is room for a host.
func (s *slots) acquire(ctx context.Context, key string) (*slot, error) {
	if err := s.procs.Acquire(ctx, 1); err != nil {
		return nil, context.Cause(ctx)
	}
	// Who waited for a process knows more of the others by now.
	n := s.weight(key)
	if err := s.memory.Acquire(ctx, n); err != nil {
		s.procs.Release(1)
		return nil, context.Cause(ctx)
	}
	return &slot{slots: s, key: key, heap: n}, nil
}

// helper takes room for one more nix of the same host, if there is some left.
func (s *slot) helper() (*slot, bool) {
	if !s.procs.TryAcquire(1) {
		return nil, false
	}
	n := s.weight(s.key)
	if !s.memory.TryAcquire(n) {
		s.procs.Release(1)
		return nil, false
	}
	return &slot{slots: s.slots, key: s.key, heap: n}, true
}

// grow waits until the host can have as much as one may have at all, if necessary until all others are done. ok is
// false where it has that already. After an error the slot holds nothing more than a process.
func (s *slot) grow(ctx context.Context) (ok bool, err error) {
	if s.heap >= s.most {
		return false, nil
	}
	// Two that kept what they have while they wait for more would wait for ever.
	s.memory.Release(s.heap)
	s.heap = 0
	if err := s.memory.Acquire(ctx, s.most); err != nil {
		return false, context.Cause(ctx)
	}
	s.heap = s.most
	return true, nil
}

// shrink gives back what the host turned out not to need.
func (s *slot) shrink() {
	if n := s.weight(s.key); n < s.heap {
		s.memory.Release(s.heap - n)
		s.heap = n
	}
}

func (s *slot) release() {
	s.memory.Release(s.heap)
	s.procs.Release(1)
	s.heap = 0
}

// maxPeaks bounds how many hosts are remembered.
const maxPeaks = 512

// knownPeak is what a host took when it was evaluated last.
type knownPeak struct {
	// Host is the hash of the source and the host's place in it.
	Host string `json:"host"`
	// MiB is the most memory that one nix had in use.
	MiB int64 `json:"mib"`
}

func (s *session) peakFile() string { return filepath.Join(s.dir, "memory.json") }

// peakKey names a host in the file of peaks, which tells nobody what it is of.
func (s *session) peakKey(path []string) string {
	mode := ""
	if s.instantiate != "" {
		// Writing derivations takes other amounts than reading values.
		mode = "units\x00"
	}
	return hashTexts(append([]string{mode + s.ref}, path...)...)[:24]
}

func (s *session) readPeaks() map[string]int64 {
	peaks := map[string]int64{}
	var list []knownPeak
	if text, err := readSmall(s.peakFile()); err == nil && json.Unmarshal(text, &list) == nil {
		for _, k := range list {
			if k.MiB > 0 && k.MiB < 1<<24 {
				peaks[k.Host] = k.MiB * mib
			}
		}
	}
	return peaks
}

// keepPeaks writes down what the hosts of this run took. Without it the next run knows less.
func (s *session) keepPeaks() {
	s.slots.mu.Lock()
	defer s.slots.mu.Unlock()
	if len(s.slots.fresh) == 0 {
		return
	}
	var old []knownPeak
	if text, err := readSmall(s.peakFile()); err == nil {
		_ = json.Unmarshal(text, &old)
	}
	var list []knownPeak
	for _, key := range slices.Sorted(maps.Keys(s.slots.fresh)) {
		list = append(list, knownPeak{key, max(s.slots.fresh[key]/mib, 1)})
	}
	for _, k := range old {
		if _, again := s.slots.fresh[k.Host]; !again {
			list = append(list, k)
		}
	}
	if text, err := json.Marshal(list[:min(len(list), maxPeaks)]); err == nil {
		_ = s.replaceFile(s.peakFile(), string(text))
	}
}
