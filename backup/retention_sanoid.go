package backup

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SanoidPolicy is what `sanoid --prune-snapshots` keeps of one dataset. It mirrors sanoid 2.2. That
// pruning may be put off (prune_defer) is left out: until then more is kept.
//
// A number is both how many of a type are kept at least, and, in periods of that type, how
// long each is kept at least. So 0 prunes all of a type at once.
type SanoidPolicy struct {
	Frequently, Hourly, Daily, Weekly, Monthly, Yearly int
	// FrequentPeriod is how many minutes lie between two frequent snapshots.
	FrequentPeriod int
	AutoPrune      bool
}

// SanoidDefaults is what holds where a configuration sets nothing (sanoid.defaults.conf).
func SanoidDefaults() SanoidPolicy {
	return SanoidPolicy{Hourly: 48, Daily: 90, Monthly: 6, FrequentPeriod: 15, AutoPrune: true}
}

// ParseSanoidPolicy lays settings, those of a dataset and of its templates, over the defaults. others are the keys
// that say nothing of what is pruned, in order.
func ParseSanoidPolicy(settings map[string]string) (p SanoidPolicy, others []string, err error) {
	p = SanoidDefaults()
	numbers := map[string]*int{"frequent_period": &p.FrequentPeriod}
	for _, t := range p.types() {
		numbers[t.name] = t.keep
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		val := settings[key]
		switch n := numbers[key]; {
		case key == "autoprune":
			switch {
			case slices.Contains([]string{"1", "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"}, val):
				p.AutoPrune = true
			case slices.Contains([]string{"0", "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"}, val):
				p.AutoPrune = false
			default:
				return SanoidPolicy{}, nil, fmt.Errorf("sanoid's autoprune is %q, which is neither yes nor no", val)
			}
		case n != nil:
			got, err := strconv.ParseUint(val, 10, 24)
			if err != nil {
				return SanoidPolicy{}, nil, fmt.Errorf("sanoid's %s is %q, which is no number", key, val)
			}
			*n = int(got)
		case key == "minutely":
			return SanoidPolicy{}, nil, fmt.Errorf("sanoid has no %q: what comes several times an hour is %q", key, "frequently")
		default:
			others = append(others, key)
		}
	}
	return p, others, nil
}

// Floor says what sanoid leaves at least of a dataset whose newest snapshot of a type that is kept gets as old as newest
// says. taken names the types that are made there, or arrive from elsewhere.
func (p SanoidPolicy) Floor(newest Gap, taken ...string) Floor {
	fewest := 0
	for _, t := range p.types() {
		switch {
		case !slices.Contains(taken, t.name):
		case p.AutoPrune:
			fewest += *t.keep
		default:
			fewest++
		}
	}
	return floorOf(fewest, newest, "the policy keeps no snapshot of the types that are made")
}

type sanoidType struct {
	name   string
	keep   *int
	period time.Duration
}

func (p *SanoidPolicy) types() []sanoidType {
	const day = 24 * time.Hour
	return []sanoidType{
		{"frequently", &p.Frequently, time.Duration(p.FrequentPeriod) * time.Minute}, {"hourly", &p.Hourly, time.Hour},
		{"daily", &p.Daily, day}, {"weekly", &p.Weekly, 7 * day}, {"monthly", &p.Monthly, 31 * day}, {"yearly", &p.Yearly, 365*day + 6*time.Hour},
	}
}

// sanoidKind returns the type that a snapshot's name ends in, such as "daily", or "" where it is none of sanoid's.
func sanoidKind(id string) string {
	_, name, found := strings.Cut(id, "@")
	if !found {
		name = id
	}
	at := strings.LastIndexByte(name, '_')
	if !strings.HasPrefix(name, "autosnap") || at < 0 || !strings.HasSuffix(name, "ly") {
		return ""
	}
	return name[at+1:]
}

// Apply says what sanoid keeps of each dataset. Names decide about the type, and times of creation, to the second,
// about the age; snapshots of others are kept.
func (p SanoidPolicy) Apply(history []Snapshot, now time.Time) (Decision, error) {
	types := map[string]sanoidType{}
	for _, t := range p.types() {
		types[t.name] = t
	}
	datasets, places := newestFirst(history, func(b []byte, s *Snapshot) []byte {
		dataset, _, found := strings.Cut(s.ID, "@")
		if !found {
			return b
		}
		return append(b, dataset...)
	})
	d := Decision{}
	for _, dataset := range datasets {
		order := places[dataset]
		left := map[string]int{}
		for _, at := range order {
			left[sanoidKind(history[at].ID)]++
		}
		why := make([]string, len(order))
		for i, at := range slices.Backward(order) { // oldest first
			kind := sanoidKind(history[at].ID)
			t, known := types[kind]
			switch {
			case kind == "":
				why[i] = "not made by sanoid"
			case !known:
				why[i] = fmt.Sprintf("no rule for %s snapshots", kind)
			case !p.AutoPrune:
				why[i] = "autoprune is off"
			case history[at].Time.Unix() >= now.Add(-time.Duration(*t.keep)*t.period).Unix():
				why[i] = fmt.Sprintf("%s snapshot, younger than %d × %s", kind, *t.keep, spell(t.period))
			case left[kind] <= *t.keep:
				why[i] = fmt.Sprintf("one of the last %d %s snapshots", *t.keep, kind)
			default:
				left[kind]--
			}
		}
		for i, at := range order {
			if why[i] == "" {
				d.Remove = append(d.Remove, history[at])
			} else {
				d.Keep = append(d.Keep, Kept{Snapshot: history[at], Group: dataset, Reasons: []string{why[i]}})
			}
		}
	}
	return d, nil
}

// spell writes a period in days, hours or minutes.
func spell(d time.Duration) string {
	switch {
	case d%(24*time.Hour) == 0:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d%time.Hour == 0 && d < 24*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d > 24*time.Hour:
		return fmt.Sprintf("%.2fd", d.Hours()/24)
	}
	return fmt.Sprintf("%dmin", d/time.Minute)
}

// TypeKept is how many snapshots of a type are kept, and how far one is from the next.
type TypeKept struct {
	Name   string
	Keep   int
	Period time.Duration
}

// Types are all types, the most frequent first; those of which none is kept, too.
func (p SanoidPolicy) Types() []TypeKept {
	var out []TypeKept
	for _, t := range p.types() {
		out = append(out, TypeKept{t.name, *t.keep, t.period})
	}
	return out
}
