package nixbridge

import (
	"bufio"
	"os"
	"runtime"
	"strconv"
	"strings"
)

const gib = 1 << 30

// availableMemory is what the machine can still give, in bytes; 0 where it does not tell.
func availableMemory() int64 {
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return 0
	}
	defer f.Close()
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if rest, ok := strings.CutPrefix(sc.Text(), "MemAvailable:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0
			}
			return kb << 10
		}
	}
	return 0
}

// defaultWorkers counts the processors, but gives each nix a gibibyte: a NixOS
// host takes 0.2 to 0.3, a big one more (N5).
func defaultWorkers(available int64) int {
	n := runtime.NumCPU()
	if available > 0 {
		n = min(n, int(available/gib))
	}
	return max(n, 1)
}

// defaultHeap leaves a quarter of the memory to others. nix itself knows no limit.
func defaultHeap(available int64, workers int) int64 {
	if available == 0 {
		return 4 * gib
	}
	return max(gib, min(8*gib, available*3/4/int64(workers)))
}
