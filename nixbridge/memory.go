package nixbridge

import (
	"bufio"
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	mib = 1 << 20
	gib = 1 << 30
)

// availableMemory is what the machine can still give, in bytes; 0 where it does not tell. A container's own bound counts
// as the machine's.
func availableMemory() int64 { return availableBelow("/") }

// availableBelow reads /proc and /sys below root.
func availableBelow(root string) int64 {
	machine := memAvailable(filepath.Join(root, "proc/meminfo"))
	group, ok := cgroupAvailable(root)
	switch {
	case !ok:
		return machine
	case machine > 0:
		group = min(machine, group)
	}
	// Nothing left is something else than nothing told.
	return max(group, 1)
}

func memAvailable(name string) int64 {
	f, err := os.Open(name)
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

// cgroupAvailable is what the control groups that this process is in leave it (cgroups(7), memory controller of version
// 1 and 2): the least of all bounds up to the root, each less what is used and cannot be dropped.
func cgroupAvailable(root string) (least int64, ok bool) {
	text, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0, false
	}
	least = math.MaxInt64
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		mount, limit, usage, cache := "sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"
		switch {
		case parts[0] == "0" && parts[1] == "":
		case hasWord(parts[1], "memory"):
			mount, limit, usage, cache = "sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
		default:
			continue
		}
		// Inside a container the path may be that of the machine outside, which is not mounted; its own group is then
		// the root of what is.
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			at := filepath.Join(root, mount, dir)
			if n, found := number(filepath.Join(at, limit)); found {
				used, _ := number(filepath.Join(at, usage))
				least = min(least, max(n-max(used-stat(filepath.Join(at, "memory.stat"), cache), 0), 0))
			}
			if dir == "/" {
				break
			}
		}
	}
	return least, least != math.MaxInt64
}

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(list, ",") {
		if w == word {
			return true
		}
	}
	return false
}

// number reads a file that holds one; "max" and what version 1 prints for it are none.
func number(name string) (int64, bool) {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil && n < 1<<60
}

func stat(name, key string) int64 {
	text, err := os.ReadFile(name)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key+" "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(rest), 10, 64)
			return n
		}
	}
	return 0
}
