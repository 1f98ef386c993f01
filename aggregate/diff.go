package aggregate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// Evaluated is one host of an evaluation, with what [Lint] says of it.
type Evaluated struct {
	Name string
	// Host is nil where the host could not be evaluated; Problem says why.
	Host    *stateward.Host
	Problem string
	Report  Report
}

// Effect is what a change does to what survives.
type Effect string

// The effects, the gravest first. Seen from the other side, worse is better and unknown is known.
const (
	// Worse is less than there was.
	Worse Effect = "worse"
	// NotKnown is what was known, and is not any more: it is never taken for good.
	NotKnown Effect = "unknown"
	// Changed is neither, or both.
	Changed Effect = "changed"
	// NowKnown is what was not known before, be it good or bad.
	NowKnown Effect = "known"
	// Better is more than there was.
	Better Effect = "better"
)

// Effects lists them, the gravest first.
func Effects() []Effect { return []Effect{Worse, NotKnown, Changed, NowKnown, Better} }

// Mirror is the effect of the same change the other way round.
func (e Effect) Mirror() Effect {
	list := Effects()
	return list[len(list)-1-slices.Index(list, e)]
}

// ChangeKind says what a change is about.
type ChangeKind string

// The kinds of changes, in the order in which they are told.
const (
	// AboutHost is the host itself: it comes or goes.
	AboutHost ChangeKind = "host"
	// AboutRoot is whether the root is wiped.
	AboutRoot ChangeKind = "root"
	// AboutTier is one cell of the survival matrix.
	AboutTier ChangeKind = "tier"
	// AboutPlace is where the state of a path really lies: what is in the old place does not come along.
	AboutPlace ChangeKind = "place"
	// AboutBoot is whether what is persisted is there in time at a boot.
	AboutBoot ChangeKind = "boot"
	// AboutRetention is what a policy keeps.
	AboutRetention ChangeKind = "retention"
	// AboutPreseed is how an empty dataset comes back.
	AboutPreseed ChangeKind = "preseed"
	// AboutPITR is recovery of PostgreSQL to a moment.
	AboutPITR ChangeKind = "pitr"
	// AboutJob is a backup job or a replication.
	AboutJob ChangeKind = "job"
	// AboutDataset is a declared dataset of ZFS.
	AboutDataset ChangeKind = "dataset"
	// AboutState is a place that a service names as its state.
	AboutState ChangeKind = "state"
	// AboutService is a service that comes or goes.
	AboutService ChangeKind = "service"
	// AboutEvaluation is what could not be evaluated.
	AboutEvaluation ChangeKind = "evaluation"
	// AboutAcknowledgement is a finding that is accepted, or is not any more.
	AboutAcknowledgement ChangeKind = "acknowledgement"
	// AboutGuard is whether a switch that would lose data is refused.
	AboutGuard ChangeKind = "guard"
	// AboutFinding is a finding of a check.
	AboutFinding ChangeKind = "finding"
)

// ChangeKinds lists them in order.
func ChangeKinds() []ChangeKind {
	return []ChangeKind{AboutHost, AboutRoot, AboutTier, AboutPlace, AboutBoot, AboutRetention, AboutPreseed, AboutPITR, AboutJob, AboutDataset, AboutState, AboutService,
		AboutGuard, AboutEvaluation, AboutAcknowledgement, AboutFinding}
}

// Change is one thing that is not as it was.
type Change struct {
	Effect   Effect             `json:"effect"`
	Severity stateward.Severity `json:"severity"`
	Kind     ChangeKind         `json:"kind"`
	// Loses tells that to switch to it loses data, hides it, or takes away what brings it back: the guard refuses it.
	Loses   bool           `json:"loses,omitempty"`
	Service string         `json:"service,omitempty"`
	Path    string         `json:"path,omitempty"`
	Tier    stateward.Tier `json:"tier,omitempty"`
	// Subject is what else is changed: a dataset, a job, a setting, the code of a finding.
	Subject string `json:"subject,omitempty"`
	// Old and New are what holds on both sides, in words; empty where there is nothing.
	Old string `json:"old"`
	New string `json:"new"`
	// OldTier and NewTier are the cells of a tier.
	OldTier *stateward.TierResult `json:"oldTier,omitempty"`
	NewTier *stateward.TierResult `json:"newTier,omitempty"`
	// File and Line are where a finding comes from.
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
}

// compareChanges orders the gravest first.
func compareChanges(a, b Change) int {
	loses := func(c Change) int {
		if c.Loses {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(slices.Index(Effects(), a.Effect), slices.Index(Effects(), b.Effect)),
		cmp.Compare(b.Severity, a.Severity),
		cmp.Compare(loses(a), loses(b)),
		cmp.Compare(slices.Index(ChangeKinds(), a.Kind), slices.Index(ChangeKinds(), b.Kind)),
		cmp.Compare(a.Service, b.Service), cmp.Compare(a.Path, b.Path),
		cmp.Compare(slices.Index(stateward.Tiers(), a.Tier), slices.Index(stateward.Tiers(), b.Tier)),
		cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Old, b.Old), cmp.Compare(a.New, b.New), cmp.Compare(a.Message, b.Message),
	)
}

// HostState says how a host of one evaluation compares with that of another.
type HostState string

const (
	// HostSame is one of which nothing changes that is looked at.
	HostSame HostState = "same"
	// HostChanged has changes.
	HostChanged HostState = "changed"
	// HostNew is in the new evaluation only, HostGone in the old one only.
	HostNew  HostState = "new"
	HostGone HostState = "gone"
	// HostUnknown could not be evaluated on one side, or on both: nothing is said of it, and least of all that it is as it was.
	HostUnknown HostState = "unknown"
)

// HostDiff is what changes on one host.
type HostDiff struct {
	Name  string    `json:"name"`
	State HostState `json:"state"`
	// OldProblem and NewProblem say why a host could not be evaluated.
	OldProblem string `json:"oldProblem,omitempty"`
	NewProblem string `json:"newProblem,omitempty"`
	// Changes are sorted, the gravest first.
	Changes []Change `json:"changes"`
}

// Loses lists the changes that lose data, or what protects it.
func (h HostDiff) Loses() []Change {
	return slices.DeleteFunc(slices.Clone(h.Changes), func(c Change) bool { return !c.Loses })
}

// Diff tells host by host what a change from one evaluation to another does to what survives, sorted by name. It hangs on the hosts alone, and not on their
// order; of two hosts of one name the last one counts.
func Diff(from, to []Evaluated) []HostDiff {
	byName := func(list []Evaluated) map[string]Evaluated {
		out := map[string]Evaluated{}
		for _, e := range list {
			out[e.Name] = e
		}
		return out
	}
	before, after := byName(from), byName(to)
	names := maps.Clone(before)
	maps.Copy(names, after)
	out := []HostDiff{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, had := before[name]
		b, has := after[name]
		d := HostDiff{Name: name, OldProblem: a.Problem, NewProblem: b.Problem, Changes: []Change{}}
		switch {
		case had && a.Host == nil || has && b.Host == nil:
			d.State = HostUnknown
		case !had:
			d.State, d.Changes = HostNew, append(d.Changes, wholeHost(b, true)...)
		case !has:
			d.State, d.Changes = HostGone, append(d.Changes, wholeHost(a, false)...)
		default:
			d.State, d.Changes = HostSame, append(d.Changes, DiffHost(a, b)...)
			if len(d.Changes) > 0 {
				d.State = HostChanged
			}
		}
		out = append(out, d)
	}
	return out
}

// wholeHost tells of a host that comes or goes: what it has is no change of anything.
func wholeHost(e Evaluated, comes bool) []Change {
	services := map[string]bool{}
	for _, r := range e.Report.Survival {
		services[r.Service] = true
	}
	text := counted(len(services), "service") + " with " + counted(len(e.Report.Survival), "state path")
	nothing := Evaluated{Name: e.Name, Host: &stateward.Host{}}
	c := Change{Effect: Changed, Severity: stateward.SeverityInfo, Kind: AboutHost, New: text, Message: "the host is new, with " + text}
	from, to := nothing, e
	if !comes {
		from, to = e, nothing
		c.Old, c.New, c.Severity = text, "", stateward.SeverityWarning
		c.Message = "the host is there no more, with " + text + ": nothing says any longer what becomes of its data"
		c.Hint = "if it is renamed, its data is looked for under the new name; if it is retired, keep its backups until nobody needs them"
	}
	out := []Change{c}
	for _, x := range DiffHost(from, to) {
		if x.Kind == AboutState || x.Kind == AboutFinding {
			out = append(out, x)
		}
	}
	slices.SortFunc(out, compareChanges)
	return out
}

// DiffHost tells what changes from one evaluation of a host to another, the gravest first. Both have to have a Host.
func DiffHost(from, to Evaluated) []Change {
	d := &differ{old: newDiffSide(from), new: newDiffSide(to)}
	d.evaluation()
	d.root()
	d.places()
	d.boot()
	d.retention()
	d.datasets()
	d.jobs()
	d.replications()
	d.preseeds()
	d.pitr()
	d.guard()
	d.findings()
	slices.SortFunc(d.out, compareChanges)
	return slices.CompactFunc(d.out, func(a, b Change) bool { return compareChanges(a, b) == 0 })
}

// differ compares two evaluations of one host.
type differ struct {
	old, new *diffSide
	out      []Change
}

// diffSide is one of them, with what is worked out of it once.
type diffSide struct {
	Evaluated
	s *storage
	c *copies
}

func newDiffSide(e Evaluated) *diffSide {
	s := newStorage(e.Host)
	return &diffSide{Evaluated: e, s: s, c: newCopies(s)}
}

func (d *differ) add(c Change) {
	if c.Severity == 0 || c.Effect == Better || c.Effect == NowKnown {
		c.Severity = stateward.SeverityInfo
	}
	if c.Effect == Better || c.Effect == NowKnown {
		c.Loses = false
	}
	d.out = append(d.out, c)
}

// stated is one fact of both sides that can be absent or unknown: words of it, and what to do where they differ.
type stated struct {
	// old and new are words for what is there; empty where nothing is.
	old, new string
	// oldWhy and newWhy say why a side is not known.
	oldWhy, newWhy string
}

func state[T any](a, b stateward.Value[T], words func(T) string) stated {
	one := func(v stateward.Value[T]) (string, string) {
		if why, unknown := v.Why(); unknown {
			return "", why.String()
		}
		if got, ok := v.Get(); ok {
			return words(got), ""
		}
		return "", ""
	}
	var s stated
	s.old, s.oldWhy = one(a)
	s.new, s.newWhy = one(b)
	return s
}

func sameText(s string) string { return s }

// unsure adds a change where exactly one side is not known, and tells whether one is not.
func (d *differ) unsure(s stated, c Change, what string) bool {
	c.Old, c.New = s.old, s.new
	switch {
	case s.oldWhy != "" && s.newWhy != "":
	case s.newWhy != "":
		c.Effect, c.New = NotKnown, "unknown"
		c.Message = what + " is not known any more: " + s.newWhy
		d.add(c)
	case s.oldWhy != "":
		c.Effect, c.Old = NowKnown, "unknown"
		c.Message = what + " is known now: " + cmp.Or(s.new, "none")
		d.add(c)
	default:
		return false
	}
	return true
}

// whole tells of a list that is not known on one side, and returns which sides it is known on: of what is missing there nothing is said.
func (d *differ) whole(kind ChangeKind, what string, old, new func() (stateward.Unknown, bool)) (oldKnown, newKnown bool) {
	var s stated
	if why, unknown := old(); unknown {
		s.oldWhy = why.String()
	}
	if why, unknown := new(); unknown {
		s.newWhy = why.String()
	}
	c := Change{Kind: kind, Severity: stateward.SeverityError, Loses: true, Subject: what}
	switch {
	case s.newWhy != "" && s.oldWhy == "":
		c.Effect, c.New, c.Message = NotKnown, "unknown", what+" are not known any more: "+s.newWhy
		d.add(c)
	case s.oldWhy != "" && s.newWhy == "":
		c.Effect, c.Old, c.Message = NowKnown, "unknown", what+" are known now"
		d.add(c)
	}
	return s.oldWhy == "", s.newWhy == ""
}

// evaluation compares what could not be evaluated.
func (d *differ) evaluation() {
	subjects := func(h *stateward.Host) []string {
		var out []string
		for _, u := range h.Unknown {
			out = append(out, u.Subject)
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	old, new := subjects(d.old.Host), subjects(d.new.Host)
	only := func(a, b []string) []string {
		return slices.DeleteFunc(slices.Clone(a), func(s string) bool { _, has := slices.BinarySearch(b, s); return has })
	}
	if gone := only(new, old); len(gone) > 0 {
		d.add(Change{Effect: NotKnown, Severity: stateward.SeverityWarning, Kind: AboutEvaluation, New: strings.Join(gone, ", "),
			Message: fmt.Sprintf("%s could not be evaluated or understood any more: %s", counted(len(gone), "value"), firstFew(gone))})
	}
	if back := only(old, new); len(back) > 0 {
		d.add(Change{Effect: NowKnown, Kind: AboutEvaluation, Old: strings.Join(back, ", "),
			Message: fmt.Sprintf("%s can be evaluated and understood now: %s", counted(len(back), "value"), firstFew(back))})
	}
}

// root compares whether the root is wiped.
func (d *differ) root() {
	old, new := d.old.Report.Root, d.new.Report.Root
	// On a root that is wiped nothing lies that another one could hide.
	if a, b := d.old.lies(stateward.Root), d.new.lies(stateward.Root); a != b && a != "" && b != "" && old.Wiped != stateward.SurvivalYes && new.Wiped != stateward.SurvivalYes {
		d.add(Change{Effect: Changed, Severity: stateward.SeverityError, Loses: true, Kind: AboutPlace, Path: "/", Old: a, New: b,
			Message: fmt.Sprintf("the root lies in %s from now on, and lay in %s: what is there is not moved, and is not seen any more", b, a), Hint: "move it first: docs/migrate.md"})
	}
	c := Change{Kind: AboutRoot, Severity: stateward.SeverityError, Old: string(old.Wiped), New: string(new.Wiped)}
	if old.Wiped == new.Wiped || old.Wiped == "" || new.Wiped == "" {
		return
	}
	switch {
	case new.Wiped == stateward.SurvivalUnknown:
		c.Effect, c.Loses = NotKnown, old.Wiped == stateward.SurvivalNo
		c.Message = "whether the root is wiped at every boot is not known any more: " + new.By
	case old.Wiped == stateward.SurvivalUnknown:
		c.Effect, c.Message = NowKnown, "it is known now that the root is "+pickText(new.Wiped == stateward.SurvivalYes, "wiped at every boot", "kept")+": "+new.By
	case new.Wiped == stateward.SurvivalYes:
		c.Effect, c.Loses, c.Message = Worse, true, "the root is wiped at every boot from now on: "+new.By
		c.Hint = "what lies on it and is not kept elsewhere by then is gone at the next boot"
	default:
		c.Effect, c.Message = Better, "the root is not wiped any more: "+new.By
	}
	d.add(c)
}

// guard compares whether switches are looked at. One that is switched off by a change does not look at that change either: only a diff can tell.
func (d *differ) guard() {
	on := func(is bool) string { return pickText(is, "on", "") }
	s := state(d.old.Host.Guard, d.new.Host.Guard, on)
	c := Change{Kind: AboutGuard, Severity: stateward.SeverityError, Subject: "stateward.guard.enable"}
	if d.unsure(s, c, "whether a switch that would lose data is refused") || s.old == s.new {
		return
	}
	c.Effect, c.Old, c.New = Better, s.old, s.new
	c.Message = "the guard is on from now on: a switch that would lose data is refused"
	if s.new == "" {
		c.Effect = Worse
		c.Message = "the guard is off from now on: no switch that would lose data is refused any more, and the one to this configuration is not looked at either"
		c.Hint = "take stateward.guard.enable = true; back in, or look at what this change loses yourself"
	}
	d.add(c)
}

func pickText(is bool, yes, no string) string {
	if is {
		return yes
	}
	return no
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// firstFew are the first few of a list.
func firstFew(list []string) string {
	const few = 5
	if len(list) > few {
		return strings.Join(list[:few], ", ") + fmt.Sprintf(" and %d more", len(list)-few)
	}
	return strings.Join(list, ", ")
}
