package backup

import (
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
)

// Snapshot is one of a history: of a restic repository, or of a ZFS dataset.
type Snapshot struct {
	ID   string    // restic's, or "pool/dataset@name"
	Time time.Time // in the zone that it was written down with
	// What restic groups by; ZFS has none of it.
	Host  string
	Paths []string
	Tags  []string
}

// Kept is a snapshot that a policy keeps, and why.
type Kept struct {
	Snapshot
	Group   string // which of the groups that the policy looks at one by one
	Reasons []string
}

// Decision says what becomes of a history: by groups, and newest first in each.
type Decision struct {
	Keep   []Kept
	Remove []Snapshot
}

// Retention is a policy that says which snapshots to keep. Its answer hangs on its
// arguments alone, and not on the order of the history; of snapshots that
// were made at the same instant the one with the smaller ID counts as newer.
type Retention interface {
	Apply(history []Snapshot, now time.Time) (Decision, error)
}

// Removed returns what a change of policy would remove: the snapshots that old keeps
// and changed does not.
func Removed(old, changed Retention, history []Snapshot, now time.Time) ([]Snapshot, error) {
	before, err := old.Apply(history, now)
	if err != nil {
		return nil, err
	}
	after, err := changed.Apply(history, now)
	if err != nil {
		return nil, err
	}
	gone := make(map[string]bool, len(after.Remove))
	for _, s := range after.Remove {
		gone[s.ID] = true
	}
	var out []Snapshot
	for _, k := range before.Keep {
		if gone[k.ID] {
			out = append(out, k.Snapshot)
		}
	}
	return out, nil
}

// Floor is the least that a policy leaves, once there were backups for long enough.
type Floor struct {
	// Fewest is how many snapshots there are at least: of a restic group, or of a ZFS dataset.
	Fewest int
	// Newest is how old the newest of them can get.
	Newest Gap
}

// ReachedRPO says whether there always is a snapshot that is younger than the objective.
func (f Floor) ReachedRPO(objective stateward.Duration) RPO {
	if f.Fewest == 0 {
		return RPOMissed
	}
	return ReachedRPO(f.Newest, objective)
}

// floorOf is the floor of a policy that leaves so many and, where it leaves any, the newest.
func floorOf(fewest int, newest Gap, none string) Floor {
	if fewest == 0 {
		newest = Gap{State: GapUnbounded, Why: none}
	}
	return Floor{Fewest: fewest, Newest: newest}
}

// newestFirst returns the places of the history in groups, sorted by name of the group, newest first in each. Sorted is
// what lies close together in memory: a million snapshots are ten times what a processor has at hand.
func newestFirst(history []Snapshot, group func([]byte, *Snapshot) []byte) (names []string, places map[string][]int) {
	type at struct {
		seconds int64
		nanos   int32
		place   int32
	}
	number := map[string]int32{}
	var counts []int
	of := make([]int32, len(history)) // the group of each
	var key []byte
	last, same := "", int32(-1)
	for i := range history {
		key = group(key[:0], &history[i])
		if same < 0 || string(key) != last { // makes no string
			n, ok := number[string(key)]
			if !ok {
				n = int32(len(counts))
				name := string(key)
				number[name] = n
				names, counts = append(names, name), append(counts, 0)
			}
			last, same = names[n], n
		}
		of[i] = same
		counts[same]++
	}
	begins := make([]int, len(counts)+1)
	for n, c := range counts {
		begins[n+1] = begins[n] + c
	}
	all, next := make([]at, len(history)), slices.Clone(begins)
	for i := range history {
		t := &history[i].Time
		all[next[of[i]]] = at{t.Unix(), int32(t.Nanosecond()), int32(i)}
		next[of[i]]++
	}
	order := make([]int, len(history))
	places = make(map[string][]int, len(names))
	for n, name := range names {
		begin, end := begins[n], begins[n+1]
		slices.SortFunc(all[begin:end], func(a, b at) int {
			switch {
			case a.seconds != b.seconds:
				if a.seconds > b.seconds {
					return -1
				}
				return 1
			case a.nanos != b.nanos:
				return int(b.nanos - a.nanos)
			}
			return strings.Compare(history[a.place].ID, history[b.place].ID)
		})
		for i, a := range all[begin:end] {
			order[begin+i] = int(a.place)
		}
		places[name] = order[begin:end:end]
	}
	slices.Sort(names)
	return names, places
}
