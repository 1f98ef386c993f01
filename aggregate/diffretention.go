package aggregate

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

// retention compares what sanoid keeps of each dataset. A policy is tried on the snapshots that there are once the other one has run for long enough.
func (d *differ) retention() {
	oldKnown, newKnown := d.whole(AboutRetention, "the snapshot policies", d.old.Host.Snapshots.Why, d.new.Host.Snapshots.Why)
	if !oldKnown || !newKnown {
		return
	}
	names := map[string]bool{}
	for _, s := range []*diffSide{d.old, d.new} {
		for _, p := range s.c.policies {
			names[p.Dataset] = true
		}
		wanted, _ := s.declared()
		for name := range wanted {
			names[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, b := d.old.governing(name), d.new.governing(name)
		c := Change{Kind: AboutRetention, Subject: name, Severity: stateward.SeverityError, Loses: true}
		s := state(a, b, func(p *backup.SnapshotPolicy) string { return keepsOf(p) })
		if d.unsure(s, c, "what sanoid keeps of "+name) {
			continue
		}
		c.Old, c.New = s.old, s.new
		old, new := a.Or(nil), b.Or(nil)
		switch {
		case old == nil && new == nil:
			continue
		case new == nil:
			c.Loses, c.Effect, c.Severity = false, Changed, stateward.SeverityWarning
			c.Message = fmt.Sprintf("sanoid takes and removes no snapshots of %s any more; it kept %s, and what there is stays until somebody removes it", name, s.old)
			d.add(c)
			continue
		case old == nil:
			c.Loses, c.Effect, c.Severity = false, Changed, stateward.SeverityInfo
			c.Message = fmt.Sprintf("sanoid keeps %s of %s from now on", s.new, name)
			d.add(c)
			continue
		}
		was, will := old.Policy.Or(backup.SanoidPolicy{}), new.Policy.Or(backup.SanoidPolicy{})
		if was == will {
			continue
		}
		if n, of, what := sanoidLoss(was, will); n > 0 {
			x := c
			x.Effect, x.Message = Worse, fmt.Sprintf("sanoid removes %d of %s of %s that it keeps now (%s): it keeps %s from now on, and kept %s", n, counted(of, "snapshot"), name, what, s.new, s.old)
			x.Hint = "stateward snapshot plan --observed names those that there are"
			d.add(x)
		}
		if n, _, what := sanoidLoss(will, was); n > 0 {
			c.Effect, c.Message = Better, fmt.Sprintf("sanoid keeps more of %s (%s): %s from now on, and kept %s", name, what, s.new, s.old)
			d.add(c)
		}
	}
}

// governing is the policy of sanoid for a dataset: absent where there is none, unknown where it is.
func (s *diffSide) governing(name string) stateward.Value[*backup.SnapshotPolicy] {
	p, doubt := backup.Governing(s.c.policies, name)
	switch {
	case doubt != "":
		return stateward.NotKnown[*backup.SnapshotPolicy](stateward.Unknown{Subject: "services.sanoid", Kind: stateward.UnknownForm, Message: doubt})
	case p == nil:
		return stateward.Value[*backup.SnapshotPolicy]{}
	}
	if why, unknown := p.Policy.Why(); unknown {
		return stateward.NotKnown[*backup.SnapshotPolicy](why)
	}
	return stateward.Known(p, p.Origin)
}

// keepsOf says how many of which type a policy keeps.
func keepsOf(p *backup.SnapshotPolicy) string {
	policy, _ := p.Policy.Get()
	var parts []string
	for _, t := range policy.Types() {
		if t.Keep > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", t.Keep, t.Name))
		}
	}
	text := strings.Join(parts, ", ")
	switch {
	case !policy.AutoPrune && text != "":
		return "all (takes " + text + ", and removes none)"
	case !policy.AutoPrune:
		return "all, as nothing is removed"
	case text == "":
		return "none"
	}
	return text
}

// sanoidLoss says how many of the snapshots that one policy keeps another one removes, of how many, and of which types.
func sanoidLoss(keeps, removes backup.SanoidPolicy) (n, of int, what string) {
	limit := map[string]int{}
	for _, t := range removes.Types() {
		limit[t.Name] = t.Keep
	}
	var history []backup.Snapshot
	kind := map[string]string{}
	for _, t := range keeps.Types() {
		count := t.Keep
		if !keeps.AutoPrune && count > 0 {
			count += limit[t.Name] + 1 // nobody has removed any: there are more than either keeps
		}
		for i := range min(count, 100000) {
			id := fmt.Sprintf("d@autosnap_%d_%s", i, t.Name)
			kind[id] = t.Name
			history = append(history, backup.Snapshot{ID: id, Time: since.Add(-time.Duration(i)*t.Period - t.Period/2)})
		}
	}
	gone, err := backup.Removed(keeps, removes, history, since)
	if err != nil {
		return 0, 0, ""
	}
	each := map[string]int{}
	for _, s := range gone {
		each[kind[s.ID]]++
	}
	var parts []string
	for _, t := range keeps.Types() {
		if each[t.Name] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", each[t.Name], t.Name))
		}
	}
	return len(gone), len(history), strings.Join(parts, ", ")
}

// keepsAll is the retention of a job that never forgets.
type keepsAll struct{}

func (keepsAll) Apply(history []backup.Snapshot, _ time.Time) (backup.Decision, error) {
	var d backup.Decision
	for _, s := range history {
		d.Keep = append(d.Keep, backup.Kept{Snapshot: s})
	}
	return d, nil
}

func retentionOf(p *backup.Prune) backup.Retention {
	if p == nil || p.Restic == nil || p.Restic.IsZero() {
		return keepsAll{}
	}
	return *p.Restic
}

// resticLoss says how many of the snapshots that one retention keeps another one removes, and how far back both reach, where a job has run for years by
// its schedule. It is an error where one of them keeps nothing at all, and so removes nothing.
func resticLoss(keeps, removes *backup.Prune, schedule stateward.Value[backup.Schedule]) (n, of int, reach string, err error) {
	step := 24 * time.Hour
	if s, ok := schedule.Get(); ok && len(s.Calendar) > 0 {
		first, err1 := s.Calendar[0].Next(since, time.UTC)
		second, err2 := s.Calendar[0].Next(first, time.UTC)
		if err1 == nil && err2 == nil {
			step = min(max(second.Sub(first), time.Hour), 31*24*time.Hour)
		}
	}
	const year = 365 * 24 * time.Hour
	var history []backup.Snapshot
	for age := time.Duration(0); age < 12*year; age += step {
		if age > year {
			step = max(step, 24*time.Hour)
		}
		history = append(history, backup.Snapshot{ID: fmt.Sprintf("%06d", len(history)), Time: since.Add(-age), Host: "host", Paths: []string{"/"}, Tags: []string{}})
	}
	before, err := retentionOf(keeps).Apply(history, since)
	if err != nil {
		return 0, 0, "", err
	}
	kept := make([]backup.Snapshot, 0, len(before.Keep))
	for _, k := range before.Keep {
		kept = append(kept, k.Snapshot)
	}
	after, err := retentionOf(removes).Apply(kept, since)
	if err != nil {
		return 0, 0, "", err
	}
	oldest := func(list []backup.Snapshot) string {
		most := since
		for _, s := range list {
			if s.Time.Before(most) {
				most = s.Time
			}
		}
		return daysText(since.Sub(most))
	}
	stay := make([]backup.Snapshot, 0, len(after.Keep))
	for _, k := range after.Keep {
		stay = append(stay, k.Snapshot)
	}
	return len(after.Remove), len(kept), fmt.Sprintf("the oldest that stays is %s old, and not %s", oldest(stay), oldest(kept)), nil
}

// daysText is a span to the day, as a person says it.
func daysText(d time.Duration) string {
	days := int(d.Hours() / 24)
	if days >= 11*365 {
		return "any age"
	}
	return counted(days, "day")
}

// pruneWords says what a job keeps.
func pruneWords(p *backup.Prune) string {
	switch {
	case p == nil:
		return "all"
	case p.Restic != nil:
		if p.Restic.IsZero() {
			return "all"
		}
		return strings.Join(p.Restic.Options(), " ")
	}
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(p.Keep)) {
		n := fmt.Sprint(p.Keep[k])
		if p.Keep[k] == backup.Unlimited {
			n = "all"
		}
		parts = append(parts, k+" "+n)
	}
	if p.Within != "" {
		parts = append(parts, "within "+p.Within)
	}
	if len(parts) == 0 {
		return "all"
	}
	return strings.Join(parts, ", ")
}

// jobRetention compares what two jobs that are one keep.
func (d *differ) jobRetention(a, b *backup.Job) {
	c := Change{Kind: AboutRetention, Service: commonText(a.Service, b.Service), Subject: bothText(a.String(), b.String()), Severity: stateward.SeverityError, Loses: true}
	s := state(a.Prune.Value, b.Prune.Value, func(p backup.Prune) string { return pruneWords(&p) })
	if d.unsure(s, c, "what "+b.String()+" keeps") {
		return
	}
	get := func(v stateward.Value[backup.Prune]) *backup.Prune {
		if p, ok := v.Get(); ok {
			return &p
		}
		return nil
	}
	old, new := get(a.Prune.Value), get(b.Prune.Value)
	c.Old, c.New = pruneWords(old), pruneWords(new)
	if c.Old == c.New {
		return
	}
	if isBorg(old) || isBorg(new) {
		d.borgRetention(c, old, new)
		return
	}
	told := false
	tell := func(effect Effect, keeps, removes *backup.Prune, schedule stateward.Value[backup.Schedule]) {
		n, of, reach, err := resticLoss(keeps, removes, schedule)
		last := (*backup.LastSnapshotError)(nil)
		x := c
		x.Effect = effect
		switch {
		case errors.Is(err, backup.ErrNoPolicy) || errors.As(err, &last) || err == nil && n == 0:
			return
		case err != nil:
			return
		case effect == Worse:
			x.Message = fmt.Sprintf("%s removes %d of %s that it keeps now: %s; it keeps %s from now on, and kept %s", b, n, counted(of, "snapshot"), reach, c.New, c.Old)
		default:
			x.Message = fmt.Sprintf("%s keeps more: %s from now on, and kept %s", b, c.New, c.Old)
		}
		told = true
		d.add(x)
	}
	tell(Worse, old, new, a.Schedule.Value)
	tell(Better, new, old, b.Schedule.Value)
	if !told {
		c.Effect, c.Severity, c.Loses = Changed, stateward.SeverityInfo, false
		c.Message = fmt.Sprintf("%s keeps %s from now on, and kept %s: none of the same history is removed by it", b, c.New, c.Old)
		d.add(c)
	}
}

func isBorg(p *backup.Prune) bool {
	return p != nil && p.Restic == nil && (len(p.Keep) > 0 || p.Within != "")
}

// borgRetention compares how many archives are kept of each kind. What borg makes of them is not worked out.
func (d *differ) borgRetention(c Change, old, new *backup.Prune) {
	less := func(a, b *backup.Prune) bool {
		if !isBorg(b) {
			return false // nothing is removed
		}
		if !isBorg(a) || a.Within != "" && a.Within != b.Within {
			return true
		}
		for k, n := range a.Keep {
			if m := b.Keep[k]; m != backup.Unlimited && (n == backup.Unlimited || m < n) {
				return true
			}
		}
		return false
	}
	if less(old, new) {
		x := c
		x.Effect, x.Message = Worse, fmt.Sprintf("%s keeps fewer archives: %s from now on, and kept %s", c.Subject, c.New, c.Old)
		d.add(x)
	}
	if less(new, old) {
		c.Effect, c.Message = Better, fmt.Sprintf("%s keeps more archives: %s from now on, and kept %s", c.Subject, c.New, c.Old)
		d.add(c)
	}
}
