package backup

import (
	"slices"
	"time"
)

// Retained returns how long a snapshot that sanoid has just taken is there at least, by the type that is kept longest. It is
// false where that is not known, or nothing is pruned.
func (p *SnapshotPolicy) Retained() (time.Duration, bool) {
	policy, ok := p.Policy.Get()
	taken, known := p.Taken().Get()
	if !ok || !known || !policy.AutoPrune {
		return 0, false
	}
	var longest time.Duration
	for _, t := range policy.types() {
		if slices.Contains(taken, t.name) {
			longest = max(longest, time.Duration(*t.keep)*t.period)
		}
	}
	return longest, longest > 0
}
