package backup

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/text"
)

// SnapshotPolicy is what sanoid does with one dataset, its templates and sanoid's own defaults laid beneath.
type SnapshotPolicy struct {
	// Dataset is the ZFS name.
	Dataset string
	// Templates are those that apply, in order; a later one counts.
	Templates []string
	// Settings are all keys that are read of it, by name, with the option that says so. Those of the defaults are marked.
	Settings map[string]Setting[string]
	// Policy is what is kept; unknown where a setting, or a template, is not understood.
	Policy stateward.Value[SanoidPolicy]
	// AutoSnap tells that sanoid takes snapshots, and does not only prune.
	AutoSnap stateward.Value[bool]
	// Children tells that datasets below are covered, Itself that the dataset is.
	Children, Itself stateward.Value[bool]
	// Skips tells that nothing is done with datasets below, whatever is said further up (skip_children).
	Skips stateward.Value[bool]
	// Atomic tells that all are taken at one moment (`recursive = zfs`).
	Atomic bool
	// By is the policy of a dataset above, with `recursive = zfs`, that takes the snapshots: sanoid ignores then what this one says of
	// autosnap, and prunes by its numbers all the same. It is nil where the dataset's own policy takes them.
	By *SnapshotPolicy
	// Schedule is when sanoid runs.
	Schedule stateward.Value[Schedule]
	Origin   stateward.Origin
}

// String names the policy.
func (p *SnapshotPolicy) String() string { return "snapshot policy of " + p.Dataset }

// UnknownTemplateError is a template that nothing defines.
type UnknownTemplateError struct {
	Name  string
	known []string
}

func (e *UnknownTemplateError) Error() string { return fmt.Sprintf("no template is named %q", e.Name) }

// Hint says which was meant, or what to write.
func (e *UnknownTemplateError) Hint() string {
	if n := text.Nearest(e.Name, e.known); n != "" {
		return fmt.Sprintf("write %q", n)
	}
	return stateward.OptionPath("services", "sanoid", "templates", e.Name) + " = { hourly = 36; daily = 30; monthly = 3; autosnap = true; autoprune = true; };"
}

// sanoidDefaults are the settings of sanoid.defaults.conf of sanoid 2.2 that are read here.
var sanoidDefaults = map[string]string{
	"frequently": "0", "hourly": "48", "daily": "90", "weekly": "0", "monthly": "6", "yearly": "0", "frequent_period": "15",
	"autosnap": "yes", "autoprune": "yes", "hourly_min": "0", "daily_hour": "23", "daily_min": "59",
}

// SnapshotPolicies returns what sanoid does with each dataset, sorted by name, and what is not understood of it. Both are
// complete as far as Host.Snapshots is known.
func SnapshotPolicies(h *stateward.Host) ([]SnapshotPolicy, []Fault) {
	var faults []Fault
	out := []SnapshotPolicy{}
	templates := map[string]*stateward.SnapshotPolicy{}
	list := h.SnapshotTemplates.Or(nil)
	for i := range list {
		templates[list[i].Name] = &list[i]
	}
	// Sections above come first, as in the file that NixOS writes: sanoid gives what is below a recursive one its settings.
	raws := slices.SortedStableFunc(slices.Values(h.Snapshots.Or(nil)), func(a, b stateward.SnapshotPolicy) int {
		return slices.Compare(strings.Split(a.Name, "/"), strings.Split(b.Name, "/"))
	})
	above := map[string]*SnapshotPolicy{}
	for _, raw := range raws {
		p := SnapshotPolicy{Dataset: raw.Name, Origin: raw.Origin, Settings: map[string]Setting[string]{}}
		base := handedDown(above, raw.Name)
		if base == nil {
			for key, val := range sanoidDefaults {
				p.Settings[key] = Setting[string]{Value: stateward.Known(val, stateward.Origin{}), Default: true}
			}
		} else {
			maps.Copy(p.Settings, base)
		}
		var doubt error
		fault := func(o stateward.Origin, err error) {
			doubt = err
			faults = append(faults, Fault{p.String(), o, err})
		}
		lay := func(settings map[string]stateward.Value[string]) {
			for key, val := range settings {
				if !val.IsAbsent() {
					p.Settings[key] = written(val)
				}
			}
		}
		names := raw.Templates.Or(nil)
		if t := templates["default"]; t != nil && base == nil { // sanoid lays it beneath all others
			lay(t.Settings)
		}
		if why, unknown := raw.Templates.Why(); unknown {
			doubt = errors.New(why.String())
		}
		for _, name := range names {
			switch t := templates[name]; {
			case t != nil:
				p.Templates = append(p.Templates, name)
				lay(t.Settings)
			case h.SnapshotTemplates.IsUnknown():
				why, _ := h.SnapshotTemplates.Why()
				doubt = errors.New(why.String())
			default:
				fault(raw.Templates.Origin(), &UnknownTemplateError{name, slices.Sorted(maps.Keys(templates))})
			}
		}
		lay(raw.Settings)

		known := map[string]string{}
		for _, key := range slices.Sorted(maps.Keys(p.Settings)) {
			if why, unknown := p.Settings[key].Why(); unknown {
				doubt = errors.New(why.String())
				continue
			}
			known[key] = yesNo(p.Settings[key].Or(""))
		}
		policy, _, err := ParseSanoidPolicy(known)
		if err != nil {
			fault(raw.Origin, err)
		}
		if doubt != nil {
			p.Policy = stateward.NotKnown[SanoidPolicy](stateward.Unknown{Subject: raw.Origin.Option, Kind: stateward.UnknownForm, Message: doubt.Error(), File: raw.Origin.File, Line: raw.Origin.Line})
		} else {
			p.Policy = stateward.Known(policy, raw.Origin)
		}
		p.AutoSnap = sanoidFlag(p.Settings["autosnap"].Value)
		if why, unknown := p.Policy.Why(); unknown && (raw.Templates.IsUnknown() || h.SnapshotTemplates.IsUnknown()) {
			p.AutoSnap = stateward.NotKnown[bool](why)
		}

		p.Children = stateward.MapValue(raw.Recursive, func(text string) (bool, error) {
			p.Atomic = text == "zfs"
			if p.Atomic {
				return true, nil
			}
			return parseYesNo(text)
		})
		if p.Children.IsAbsent() { // a template cannot say it
			p.Children = stateward.Known(false, raw.Origin)
		}
		only := sanoidFlag(p.Settings["process_children_only"].Value)
		p.Itself = stateward.MapValue(only, func(only bool) (bool, error) { return !only, nil })
		if p.Itself.IsAbsent() {
			p.Itself = stateward.Known(true, raw.Origin)
		}
		p.Skips = sanoidFlag(raw.Settings["skip_children"])
		if p.Skips.IsAbsent() || p.Atomic {
			p.Skips = stateward.Known(false, raw.Origin)
		}
		if p.Skips.Or(false) {
			p.Children = stateward.Known(false, raw.Origin)
		}
		p.takenAbove(above)

		if p.Schedule, err = ScheduleOf(raw.Schedule, stateward.Value[stateward.Duration]{}, stateward.Value[bool]{}, h.Zones); err != nil {
			faults = append(faults, Fault{p.String(), raw.Schedule.Origin(), err})
		}
		above[p.Dataset] = &p
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(a, b SnapshotPolicy) int { return strings.Compare(a.Dataset, b.Dataset) })
	slices.SortFunc(faults, CompareFaults)
	return out, faults
}

// takenAbove looks for a policy above that takes the snapshots with `zfs snapshot -r`.
func (p *SnapshotPolicy) takenAbove(policies map[string]*SnapshotPolicy) {
	for at := parentName(p.Dataset); at != "" && p.By == nil; at = parentName(at) {
		switch above := policies[at]; {
		case above == nil:
		case above.By != nil:
			p.By = above.By
		case above.Atomic:
			p.By = above
		case above.Children.IsUnknown():
			why, _ := above.Children.Why()
			p.AutoSnap = stateward.NotKnown[bool](why)
			return
		}
	}
	only, sure := p.Itself.Get()
	switch {
	case p.By != nil:
		p.AutoSnap = p.By.AutoSnap
		if sure && !only { // it is not pruned then, and the snapshots of all are its too
			p.Itself = stateward.Known(true, p.Origin)
			p.Policy = stateward.MapValue(p.Policy, func(policy SanoidPolicy) (SanoidPolicy, error) {
				policy.AutoPrune = false
				return policy, nil
			})
		}
	case p.Atomic && !sure:
		why, _ := p.Itself.Why()
		p.AutoSnap = stateward.NotKnown[bool](why)
	case p.Atomic && !only: // sanoid passes over the one that would take them
		p.AutoSnap = stateward.Known(false, p.Origin)
	}
}

// Governing is the policy that sanoid goes by for a dataset: that of its own section, or of the nearest section above that is handed down
// to it; nil where there is none. With a doubt, which says why, it is not known. policies are those of [SnapshotPolicies].
func Governing(policies []SnapshotPolicy, name string) (p *SnapshotPolicy, doubt string) {
	for at := name; at != ""; at = parentName(at) {
		i, found := slices.BinarySearchFunc(policies, at, func(p SnapshotPolicy, at string) int { return strings.Compare(p.Dataset, at) })
		if !found {
			continue
		}
		p := &policies[i]
		flag := p.Itself
		switch skips, known := p.Skips.Get(); {
		case i+1 < len(policies) && policies[i+1].Dataset == at:
			return nil, "there are two policies of " + at
		case at == name:
		case !known:
			return nil, "whether skip_children of the " + p.String() + " is set is not known"
		case skips && p.By != nil:
			return nil, "what becomes of " + name + " by skip_children of the " + p.String() + ", below recursive = zfs, is not read"
		case skips:
			return nil, ""
		default:
			flag = p.Children
		}
		switch covered, known := flag.Get(); {
		case !known:
			return nil, "whether the " + p.String() + " covers " + name + " is not known"
		case covered:
			return p, ""
		case at == name:
			return nil, ""
		}
	}
	return nil, ""
}

// parentName is the dataset above; empty where there is none.
func parentName(name string) string {
	return name[:max(strings.LastIndexByte(name, '/'), 0)]
}

// takes is the policy that takes the snapshots.
func (p *SnapshotPolicy) takes() *SnapshotPolicy {
	if p.By != nil {
		return p.By
	}
	return p
}

// handedDown are the settings that the nearest recursive section above gives a dataset in place of sanoid's defaults, before its own
// templates and settings are laid over them; nil where there is none. Those of which it is not known whether they are
// given, or what they are, are unknown.
func handedDown(policies map[string]*SnapshotPolicy, name string) map[string]Setting[string] {
	for at := name; ; {
		i := strings.LastIndexByte(at, '/')
		if i < 0 {
			return nil
		}
		at = at[:i]
		p := policies[at]
		if p == nil {
			continue
		}
		if p.Skips.Or(false) {
			return nil
		}
		given, known := p.Children.Get()
		if known && !given {
			continue
		}
		why, unclear := p.Policy.Why()
		if !known {
			why, unclear = p.Children.Why()
		}
		out := map[string]Setting[string]{}
		for key, s := range p.Settings {
			if key == "recursive" || strings.Contains(key, "children") {
				continue
			}
			if unclear {
				s = Setting[string]{Value: stateward.NotKnown[string](why)}
			}
			out[key] = s
		}
		return out
	}
}

// yesNo spells a Boolean of Nix as sanoid reads it.
func yesNo(text string) string {
	switch text {
	case "true":
		return "yes"
	case "false":
		return "no"
	}
	return text
}

func parseYesNo(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "1", "true", "yes", "on":
		return true, nil
	case "0", "false", "no", "off":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither yes nor no", text)
}

func sanoidFlag(v stateward.Value[string]) stateward.Value[bool] {
	return stateward.MapValue(v, parseYesNo)
}

// Covers tells whether the policy is for a dataset, and whether that is known.
func (p *SnapshotPolicy) Covers(name string) (covered, known bool) {
	flag := p.Itself
	if name != p.Dataset {
		if !strings.HasPrefix(name, p.Dataset+"/") {
			return false, true
		}
		flag = p.Children
	}
	covered, known = flag.Get()
	return covered, known
}

// Taken lists the types of snapshots that are taken and kept, the most frequent first. It is unknown where that is.
func (p *SnapshotPolicy) Taken() stateward.Value[[]string] {
	if why, unknown := p.AutoSnap.Why(); unknown {
		return stateward.NotKnown[[]string](why)
	}
	if p.By != nil {
		above := p.By.Taken()
		if list, ok := above.Get(); !ok || len(list) == 0 {
			return above
		}
		return stateward.MapValue(p.Policy, func(policy SanoidPolicy) ([]string, error) {
			out := []string{}
			for _, t := range policy.types() {
				if slices.Contains(above.Or(nil), t.name) && (*t.keep > 0 || !policy.AutoPrune) {
					out = append(out, t.name)
				}
			}
			return out, nil
		})
	}
	return stateward.MapValue(p.Policy, func(policy SanoidPolicy) ([]string, error) {
		out := []string{}
		for _, t := range policy.types() {
			if *t.keep > 0 && p.AutoSnap.Or(false) {
				out = append(out, t.name)
			}
		}
		return out, nil
	})
}

// Gap returns the largest age that the newest snapshot can reach, counted from one to the next that follows it, through the
// days after from, without the time that sanoid takes.
func (p *SnapshotPolicy) Gap(from time.Time, local *time.Location) Gap {
	unknown := func(why string) Gap { return Gap{State: GapUnknown, Why: why} }
	taken := p.Taken()
	if why, is := taken.Why(); is {
		return unknown(why.String())
	}
	if len(taken.Or(nil)) == 0 {
		return Gap{State: GapUnbounded, Why: "no snapshots are taken that are kept"}
	}
	s, ok := p.Schedule.Get()
	if why, is := p.Schedule.Why(); is {
		return unknown(why.String())
	}
	if !ok {
		return unknown("no timer is seen that runs sanoid")
	}
	none, _ := stateward.NewDuration(0)
	s.RunTime = &none
	timer := s.WorstGap(from, local)
	if timer.State != GapBounded {
		return timer
	}
	policy := p.takes().Policy.Or(SanoidPolicy{})
	var best Gap
	for _, t := range policy.types() {
		if !slices.Contains(taken.Or(nil), t.name) {
			continue
		}
		g := p.takes().gapOf(t, s, timer, from, local)
		if best.State != GapBounded || g.Age < best.Age {
			best = g
		}
	}
	return best
}

// gapOf is the gap of one type: a snapshot is due once each period, and taken at the next run.
func (p *SnapshotPolicy) gapOf(t sanoidType, s Schedule, timer Gap, from time.Time, local *time.Location) Gap {
	jitter := s.RandomizedDelay.Std() + time.Minute
	bound := Gap{State: GapBounded, Age: t.period + timer.Age, Parts: []GapPart{{"until the next " + t.name + " one is due", t.period}, {"until sanoid runs", timer.Age}}}
	number := func(key string) time.Duration {
		n, err := strconv.Atoi(p.Settings[key].Or(""))
		if err != nil {
			return 0
		}
		return time.Duration(n)
	}
	start, count := from.UTC().Truncate(24*time.Hour), 0
	switch t.name {
	case "frequently":
		count = 4 * 24 * 60 / max(int(t.period/time.Minute), 1)
	case "hourly":
		start, count = start.Add(number("hourly_min")*time.Minute), 8*24
	case "daily":
		start, count = start.Add(number("daily_hour")*time.Hour+number("daily_min")*time.Minute), 15
	}
	// What is due is counted in UTC, and no change of a clock is looked at.
	changing := func(c Calendar) bool { return c.spec.Zone() != nil && c.spec.Zone() != time.UTC }
	if local != time.UTC || count == 0 || t.period <= 0 || slices.ContainsFunc(s.Calendar, changing) {
		return bound
	}
	var last time.Time
	longest := time.Duration(0)
	for i := range count {
		due := start.Add(time.Duration(i) * t.period)
		var run time.Time
		for _, c := range s.Calendar {
			at, err := c.Next(due.Add(-time.Microsecond), local)
			if err == nil && (run.IsZero() || at.Before(run)) {
				run = at
			}
		}
		if run.IsZero() {
			return bound
		}
		if !last.IsZero() {
			longest = max(longest, run.Sub(last))
		}
		last = run
	}
	if age := longest + jitter; age < bound.Age {
		return Gap{State: GapBounded, Age: age, Least: age, Parts: []GapPart{{"from one " + t.name + " snapshot to the next", longest}, {"RandomizedDelaySec= and AccuracySec=", jitter}}}
	}
	return bound
}

// Replication sends the snapshots of a dataset elsewhere (syncoid).
type Replication struct {
	Name           string
	Source, Target stateward.Value[Place]
	// Recursive tells that datasets below are sent too.
	Recursive stateward.Value[bool]
	Schedule  stateward.Value[Schedule]
	// NoSyncSnap tells that no snapshot is made for the transfer: what another policy keeps is all that both ends can share.
	NoSyncSnap stateward.Value[bool]
	// Kept tells that holds or bookmarks keep the last common snapshot or what replaces it (--use-hold, --create-bookmark).
	Kept stateward.Value[bool]
	// Raw tells that the stream is sent as it lies on the disk, encrypted where that is (zfs send -w).
	Raw stateward.Value[bool]
	// Unmounted tells that neither the transfer nor the next boot mounts what arrives (-u, and canmount or mountpoint).
	Unmounted stateward.Value[bool]
	// Rollback tells that the target may be rolled back, ForceDelete that it may be destroyed.
	Rollback, ForceDelete stateward.Value[bool]
	// Args are the words of the arguments but for source, target and what has an option of its own.
	Args   stateward.Value[[]string]
	Origin stateward.Origin
}

// Sends tells whether the snapshots of a dataset are sent, as far as recursion and arguments decide. Where they are not, or that is not
// known, why says what leaves it out; it is empty where the dataset is another.
func (r *Replication) Sends(name string) (sent, known bool, why string) {
	source, ok := r.Source.Get()
	if !ok {
		return false, false, "what the " + r.String() + " sends is not known"
	}
	below := strings.HasPrefix(name, source.Dataset+"/")
	if !below && name != source.Dataset {
		return false, true, ""
	}
	recursive, sure := r.Recursive.Get()
	switch args, unknown := r.Args.Why(); {
	case below && !sure:
		return false, false, "whether " + r.String() + " sends datasets below is not known"
	case below && !recursive:
		return false, true, ""
	case unknown:
		return false, false, args.String()
	}
	words := r.Args.Or(nil)
	for i, w := range words {
		if !strings.HasPrefix(w, "-") {
			continue
		}
		option, value, joined := strings.Cut(strings.TrimLeft(w, "-"), "=")
		if !joined && i+1 < len(words) {
			value = words[i+1]
		}
		by := fmt.Sprintf("%s leaves it out by --%s", r, option)
		switch option {
		case "skip-parent":
			if !below && (recursive || !sure) {
				return false, sure, by
			}
		case "exclude", "exclude-datasets": // a regular expression, for datasets that recursion finds
			switch re, err := regexp.Compile(value); {
			case sure && !recursive:
			case err != nil:
				return false, false, fmt.Sprintf("%s may leave it out by --%s", r, option)
			case re.MatchString(name):
				return false, sure, by
			}
		case "exclude-snaps", "include-snaps":
			return false, false, fmt.Sprintf("%s leaves out snapshots by --%s", r, option)
		}
	}
	return true, true, ""
}

// String names the replication.
func (r *Replication) String() string { return "replication " + r.Name }

// Place is a dataset, of this host or of another.
type Place struct {
	// Host is empty for this one.
	Host string
	// Dataset is the ZFS name.
	Dataset string
}

// Pool is the dataset's pool.
func (p Place) Pool() string {
	pool, _, _ := strings.Cut(p.Dataset, "/")
	return pool
}

// Here tells whether the dataset is one of this host, be it by way of a connection to itself.
func (p Place) Here() bool { return p.Host == "" || IsLoopback(p.Host) }

func (p Place) String() string {
	if p.Host == "" {
		return p.Dataset
	}
	return p.Host + ":" + p.Dataset
}

// ParsePlace reads what syncoid takes: "pool/dataset" or "user@host:pool/dataset".
func ParsePlace(text string) (Place, error) {
	p := Place{Dataset: text}
	// A colon may be part of a dataset's name, but not of that of its pool's.
	if host, rest, found := strings.Cut(text, ":"); found && !strings.Contains(host, "/") {
		_, after, user := strings.Cut(host, "@")
		if user {
			host = after
		}
		p = Place{Host: strings.ToLower(host), Dataset: rest}
		if host == "" {
			return Place{}, fmt.Errorf("%q has no host before the colon", text)
		}
	}
	if p.Dataset == "" || strings.HasPrefix(p.Dataset, "/") || strings.ContainsAny(p.Dataset, "$@#") {
		return Place{}, fmt.Errorf("%q is no dataset", text)
	}
	return p, nil
}

// ofOptions asks something of the options of zfs send or receive as syncoid takes them, "u o canmount=noauto x mountpoint": letters, each "o" and "x"
// followed by a word. Those in the extra arguments do not count: NixOS writes sendOptions and recvOptions behind them, even empty ones.
func ofOptions(options stateward.Value[string], o stateward.Origin, ask func(letters, properties []string) bool) stateward.Value[bool] {
	if why, unknown := options.Why(); unknown {
		return stateward.NotKnown[bool](why)
	}
	var letters, properties []string
	value := false
	for _, w := range strings.Fields(options.Or("")) {
		if value {
			properties, value = append(properties, w), false
			continue
		}
		for _, l := range w {
			letters = append(letters, string(l))
			value = l == 'o' || l == 'x'
		}
	}
	return stateward.Known(ask(letters, properties), o)
}

// Replications returns what syncoid does, sorted by name, and what is not understood of it. Both are complete as far as
// Host.Replications is known.
func Replications(h *stateward.Host) ([]Replication, []Fault) {
	var faults []Fault
	out := []Replication{}
	for _, raw := range h.Replications.Or(nil) {
		r := Replication{Name: raw.Name, Recursive: raw.Recursive, Origin: raw.Origin}
		place := func(v stateward.Value[string]) stateward.Value[Place] {
			return stateward.MapValue(v, func(text string) (Place, error) {
				p, err := ParsePlace(text)
				if err != nil {
					faults = append(faults, Fault{r.String(), v.Origin(), err})
				}
				return p, err
			})
		}
		r.Source, r.Target = place(raw.Source), place(raw.Target)
		r.Args = stateward.MapValue(raw.ExtraArgs, func(list []string) ([]string, error) {
			return strings.Fields(strings.Join(list, " ")), nil
		})
		args := func(names ...string) stateward.Value[bool] {
			v := stateward.MapValue(raw.ExtraArgs, func(list []string) (bool, error) {
				return slices.ContainsFunc(list, func(a string) bool {
					return slices.ContainsFunc(strings.Fields(a), func(one string) bool { return slices.Contains(names, one) })
				}), nil
			})
			if v.IsAbsent() {
				v = stateward.Known(false, raw.Origin)
			}
			return v
		}
		r.NoSyncSnap, r.Kept = args("--no-sync-snap"), args("--create-bookmark", "--use-hold")
		r.ForceDelete = args("--force-delete")
		r.Rollback = stateward.MapValue(args("--no-rollback"), func(on bool) (bool, error) { return !on, nil })
		r.Raw = ofOptions(raw.SendOptions, raw.Origin, func(letters, _ []string) bool { return slices.Contains(letters, "w") })
		r.Unmounted = ofOptions(raw.RecvOptions, raw.Origin, func(letters, properties []string) bool {
			return slices.Contains(letters, "u") && slices.ContainsFunc(properties, func(p string) bool {
				return p == "canmount=noauto" || p == "canmount=off" || p == "mountpoint=none" || p == "mountpoint=legacy"
			})
		})
		if on := args("--recursive", "-r"); on.IsUnknown() || on.Or(false) {
			r.Recursive = on
		}
		if r.Recursive.IsAbsent() {
			r.Recursive = stateward.Known(false, raw.Origin)
		}
		var err error
		if r.Schedule, err = ScheduleOf(raw.Schedule, stateward.Value[stateward.Duration]{}, stateward.Value[bool]{}, h.Zones); err != nil {
			faults = append(faults, Fault{r.String(), raw.Schedule.Origin(), err})
		}
		out = append(out, r)
	}
	slices.SortStableFunc(out, func(a, b Replication) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(faults, CompareFaults)
	return out, faults
}
