package report

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// view is what the template reads.
type view struct {
	Page
	Style  template.CSS
	Script template.JS
	Policy string
	// Verdict is the first sentence, Tone how it is coloured.
	Verdict, Tone string
	Tiles         []tile
	All           []*hostView
	Run           []finding
	Heads         []head
	Bands         []string
	// Explained are the checks that found something.
	Explained []explained
	// Looked tells that records of drills were given.
	Looked bool
}

type tile struct {
	Count      int
	Word, Tone string
}

type explained struct {
	Code, Title string
	Blocks      []block
}

// mark is a state in a word and a sign, so that no colour is needed to tell it.
type mark struct{ Sign, Word, Tone string }

// hostView is one host.
type hostView struct {
	Host
	// ID is that of its part of the page.
	ID   string
	Mark mark
	// Open tells that its part is open at first.
	Open                             bool
	Status, Root, RootBy, After      string
	Errors, Warnings, Infos          int
	Accepted, Known, Lost, Survive   int
	Total, Doubts, Values, ExcludedN int
	// Lesser are lost paths of which all that is found is less than an error, Spared those whose loss is accepted. Lost are the others.
	Lesser, Spared int
	// Copied and Uncopied are the paths with a copy on another disk or in another house, and those that surely have none.
	Copied, Uncopied int
	// Elsewhere says how many paths have a copy elsewhere.
	Elsewhere string
	// Blind is what of the parts of the host could not be read at all, by the part: what is not listed there is not known to be missing.
	Blind                        map[string][]string
	Gravest                      string
	Counting, Baseline, Reasoned []finding
	Unknowns                     []unknown
	Rows                         []row
	// By are the texts that the cells of Rows refer to, counted from one.
	By         []string
	Pools      []*pool
	Lanes      []lane
	Drilled    []drilled
	Clusters   []cluster
	PITRFaults []string
	Dialects   string
	Left       string
}

type finding struct {
	stateward.Diagnostic
	Mark   mark
	Place  string
	Covers []covered
	// Explained tells that the page explains its code.
	Explained bool
}

type covered struct{ Place, Acknowledged string }

type unknown struct{ Subject, Why, Place string }

type row struct {
	Path, Service, Origin string
	Cells                 []answer
}

// answer is one cell of the matrix.
type answer struct {
	mark
	RPO string
	// Notes is the number of what makes it so, 0 where nothing does.
	Note int
	By   string
}

type head struct{ Head, Says string }

// heads name the tiers for those who do not know them.
var heads = map[stateward.Tier]head{
	stateward.TierReboot:      {"Reboot", "the next boot, with its wiped root"},
	stateward.TierRollback:    {"Snapshot", "a deleted file, a bad upgrade: rolled back from a local snapshot"},
	stateward.TierDisk:        {"Other disk", "a dead disk or pool"},
	stateward.TierSite:        {"Other house", "fire, theft, flood"},
	stateward.TierRebuild:     {"Rebuild", "comes back by itself on an empty machine"},
	stateward.TierPointInTime: {"Point in time", "a database, back to any moment"},
}

var answers = map[stateward.TierState]mark{
	stateward.SurvivalYes:       {"✓", "yes", "good"},
	stateward.SurvivalNo:        {"✕", "no", "no"},
	stateward.SurvivalUnknown:   {"?", "unknown", "doubt"},
	stateward.SurvivalNotNeeded: {"–", "not needed", "mute"},
	"":                          {"–", "not asked", "mute"},
}

func newAnswer(tier stateward.Tier, t stateward.TierResult) answer {
	m, ok := answers[t.State]
	if !ok {
		m = mark{"?", string(t.State), "doubt"}
	}
	if tier == stateward.TierReboot {
		switch t.State {
		case stateward.SurvivalYes:
			m.Word = "survives"
		case stateward.SurvivalNo:
			m.Word, m.Tone = "lost", "bad"
		case "":
			m = answers[stateward.SurvivalUnknown]
		}
	}
	return answer{mark: m, RPO: t.RPO, By: t.By}
}

var severities = map[stateward.Severity]mark{
	stateward.SeverityError:   {"✕", "error", "bad"},
	stateward.SeverityWarning: {"!", "warning", "warn"},
	stateward.SeverityInfo:    {"i", "info", "mute"},
}

func newView(p Page) *view {
	v := &view{Page: p, Looked: p.Drills != nil}
	for _, tier := range stateward.Tiers() {
		v.Heads = append(v.Heads, heads[tier])
	}
	for _, b := range bands {
		v.Bands = append(v.Bands, b.name)
	}
	codes := map[string]bool{}
	for _, d := range p.Findings {
		codes[d.Code] = true
	}
	d := &drawer{drawn: map[string]lane{}, titles: map[string]string{}}
	for _, c := range aggregate.Catalog() {
		d.titles[c.Code] = c.Title
	}
	for _, f := range p.Findings {
		v.Run = append(v.Run, d.finding(f))
	}
	for _, h := range p.Hosts {
		for _, f := range h.Findings {
			codes[f.Code] = true
		}
		v.All = append(v.All, newHost(h, p, d))
	}
	slices.SortStableFunc(v.All, compareHosts)
	for i, h := range v.All {
		// Numbers, as names may hold anything.
		h.ID = fmt.Sprintf("h%d", i+1)
		h.Open = len(v.All) <= 5
	}
	for _, c := range aggregate.Catalog() {
		if codes[c.Code] {
			v.Explained = append(v.Explained, explained{c.Code, c.Title, blocks(c.Doc)})
		}
	}
	v.sum()
	return v
}

// compareHosts puts the worst first.
func compareHosts(a, b *hostView) int {
	failed := func(h *hostView) int { return map[bool]int{true: 1}[h.Failure != nil] }
	sound := func(h *hostView) int { return map[bool]int{true: 1}[h.Mark.Tone == "good"] }
	return cmp.Or(cmp.Compare(failed(b), failed(a)), cmp.Compare(b.Errors, a.Errors), cmp.Compare(b.Lost, a.Lost), cmp.Compare(b.Values, a.Values),
		cmp.Compare(b.Warnings, a.Warnings), cmp.Compare(b.Doubts, a.Doubts), cmp.Compare(b.Uncopied, a.Uncopied), cmp.Compare(sound(a), sound(b)), cmp.Compare(b.Infos, a.Infos), cmp.Compare(a.Name, b.Name))
}

// sum is what is said of all hosts together.
func (v *view) sum() {
	var failed, errors, warnings, infos, lost, lesser, spared, survive, uncopied, doubts, values, accepted, known, stateless int
	excluded := v.Excluded
	for _, h := range v.All {
		switch {
		case h.Failure != nil:
			failed++
		case h.Total == 0:
			stateless++
		}
		lesser, spared, uncopied = lesser+h.Lesser, spared+h.Spared, uncopied+h.Uncopied
		errors, warnings, infos, lost, survive = errors+h.Errors, warnings+h.Warnings, infos+h.Infos, lost+h.Lost, survive+h.Survive
		doubts, values, accepted, known, excluded = doubts+h.Doubts, values+h.Values, accepted+h.Accepted, known+h.Known, excluded+h.ExcludedN
	}
	for _, f := range v.Run {
		switch {
		case f.Acknowledged != "":
			accepted++
		case f.Baseline:
			known++
		case f.Severity == stateward.SeverityError:
			errors++
		case f.Severity == stateward.SeverityWarning:
			warnings++
		default:
			infos++
		}
	}
	add := func(n int, word, tone string) {
		if n > 0 {
			v.Tiles = append(v.Tiles, tile{n, word, tone})
		}
	}
	add(failed, plural(failed, "host")+" not evaluated", "bad")
	add(errors, plural(errors, "error"), "bad")
	add(lost, plural(lost, "path")+" lost at a reboot", "bad")
	add(lesser, map[bool]string{true: "lesser loss", false: "lesser losses"}[lesser == 1]+" at a reboot", "mute")
	add(spared, map[bool]string{true: "accepted loss", false: "accepted losses"}[spared == 1]+" at a reboot", "mute")
	add(uncopied, plural(uncopied, "path")+" without a copy elsewhere", "warn")
	add(values, plural(values, "value")+" not known", "doubt")
	add(doubts, plural(doubts, "answer")+" not known", "doubt")
	add(warnings, plural(warnings, "warning"), "warn")
	add(infos, plural(infos, "note"), "mute")
	add(accepted, plural(accepted, "finding")+" accepted", "mute")
	add(known, plural(known, "finding")+" known from the baseline", "mute")
	add(excluded, plural(excluded, "finding")+" excluded", "mute")
	add(survive, plural(survive, "path")+" "+map[bool]string{true: "survives", false: "survive"}[survive == 1]+" a reboot", "plain")
	var parts []string
	say := func(n int, one, many string) {
		switch {
		case n == 1:
			parts = append(parts, "1 "+one)
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %s", n, many))
		}
	}
	say(failed, "host could not be evaluated", "hosts could not be evaluated")
	say(lost, "state path is lost at the next boot", "state paths are lost at the next boot")
	say(errors, "error", "errors")
	say(values, "value is not known", "values are not known")
	say(warnings, "warning", "warnings")
	say(uncopied, "state path has no copy elsewhere", "state paths have no copy elsewhere")
	switch {
	case len(v.All) == 0:
		v.Verdict, v.Tone = "There is no host.", "doubt"
		return
	case failed > 0 || errors > 0 || lost > 0:
		v.Tone = "bad"
	case values > 0 || doubts > 0:
		v.Tone = "doubt"
	case warnings > 0 || uncopied > 0:
		v.Tone = "warn"
	case accepted+known+excluded+infos+lesser+spared+stateless > 0:
		v.Tone = "mute"
	default:
		v.Tone = "good"
	}
	if len(parts) > 0 {
		say(doubts, "answer is not known", "answers are not known")
	} else {
		found := "Nothing was found"
		var beside []string
		for _, x := range []struct {
			n           int
			word, state string
		}{{infos, "note", ""}, {accepted, "finding", " accepted"}, {known, "finding", " known from the baseline"}, {excluded, "finding", " excluded"}} {
			if x.n > 0 {
				beside = append(beside, fmt.Sprintf("%d %s%s", x.n, plural(x.n, x.word), x.state))
			}
		}
		if len(beside) > 0 {
			found += " beside " + strings.Join(beside, ", ")
		}
		parts = []string{found}
		switch {
		case doubts > 0:
			say(doubts, "answer is not known", "answers are not known")
			parts = []string{parts[0] + ", and " + parts[1]}
		case lesser+spared > 0:
		case stateless == len(v.All):
			parts[0] += ", and no state is named that could be lost"
		case stateless > 0:
			parts[0] += fmt.Sprintf("; %d %s no state", stateless, map[bool]string{true: "host names", false: "hosts name"}[stateless == 1])
		}
	}
	v.Verdict = strings.Join(parts, ", ")
	for _, x := range []struct {
		n         int
		one, many string
	}{{lesser, "lesser loss", "lesser losses"}, {spared, "accepted loss", "accepted losses"}} {
		if x.n > 0 {
			word := x.many
			if x.n == 1 {
				word = x.one
			}
			v.Verdict += fmt.Sprintf("%s %d %s at the next boot", map[bool]string{true: ",", false: ";"}[warnings+errors+lost > 0], x.n, word)
		}
	}
	v.Verdict += "."
}

func plural(n int, word string) string {
	if n == 1 {
		return word
	}
	return word + "s"
}

func (w *drawer) finding(d stateward.Diagnostic) finding {
	f := finding{Diagnostic: d, Mark: severities[d.Severity], Place: placeText(d.File, d.Line), Explained: w.titles[d.Code] != ""}
	if f.Mark.Word == "" {
		f.Mark = mark{"?", d.Severity.String(), "doubt"}
	}
	for _, c := range d.Covers {
		f.Covers = append(f.Covers, covered{c.String(), c.Acknowledged})
	}
	return f
}

func placeText(file string, line int) string {
	if file != "" && line > 0 {
		return fmt.Sprintf("%s:%d", file, line)
	}
	return file
}

func newHost(h Host, p Page, d *drawer) *hostView {
	v := &hostView{Host: h, Status: "ok"}
	if h.Failure != nil || h.Declared == nil {
		if h.Failure == nil {
			v.Failure = &Failure{Message: "nothing is known of it"}
		}
		v.Status, v.Mark, v.After, v.Elsewhere, v.Root, v.Gravest = "failed", mark{"✕", "not evaluated", "bad"}, "not known", "not known", "not known", v.Failure.Message
		return v
	}
	v.Status = string(h.Declared.Status)
	v.Dialects = strings.Join(h.Declared.Dialects, ", ")
	v.Root = map[stateward.TierState]string{stateward.SurvivalYes: "wiped", stateward.SurvivalNo: "kept"}[h.Root.Wiped]
	if v.Root == "" {
		v.Root = "not known"
		v.Doubts++
	}
	v.RootBy = h.Root.By
	for _, f := range h.Findings {
		x := d.finding(f)
		switch {
		case f.Acknowledged != "":
			v.Accepted++
			v.Reasoned = append(v.Reasoned, x)
			continue
		case f.Baseline:
			v.Known++
			v.Baseline = append(v.Baseline, x)
			continue
		case f.Severity == stateward.SeverityError:
			v.Errors++
		case f.Severity == stateward.SeverityWarning:
			v.Warnings++
		default:
			v.Infos++
		}
		v.Counting = append(v.Counting, x)
	}
	slices.SortStableFunc(v.Counting, func(a, b finding) int { return cmp.Compare(b.Severity, a.Severity) })
	if len(v.Counting) > 0 {
		v.Gravest = v.Counting[0].Code + " " + cmp.Or(d.titles[v.Counting[0].Code], v.Counting[0].Message)
	}
	for _, u := range h.Declared.Unknown {
		v.Unknowns = append(v.Unknowns, unknown{u.Subject, cmp.Or(u.Summary(), string(u.Kind)), placeText(u.File, u.Line)})
	}
	v.Values = len(v.Unknowns)
	if v.Values == 0 && v.Status != string(stateward.StatusOK) {
		v.Values = 1
	}
	v.excluded()
	v.rows()
	v.After, v.Elsewhere = v.after(), v.elsewhere()
	v.blind()
	v.Pools = mapHost(h)
	v.Lanes = d.retentions(h.Declared)
	v.drilled(p)
	v.clusters()
	v.mark()
	return v
}

// Drawn tells that there is a drawing.
func (v *hostView) Drawn() bool {
	return slices.ContainsFunc(v.Lanes, func(l lane) bool { return l.Undrawn == "" })
}

// UnknownAll is how much is not known: values, and answers of the matrix.
func (v *hostView) UnknownAll() int { return v.Values + v.Doubts }

func (v *hostView) excluded() {
	var parts []string
	for _, code := range slices.Sorted(maps.Keys(v.Excluded)) {
		v.ExcludedN += v.Excluded[code]
		parts = append(parts, fmt.Sprintf("%s %d", code, v.Excluded[code]))
	}
	v.Left = strings.Join(parts, ", ")
}

// mark is the host's state in a word: good only where all that was asked is known to be.
func (v *hostView) mark() {
	count := func(n int, word string) string { return fmt.Sprintf("%d %s", n, plural(n, word)) }
	switch {
	case v.Errors > 0:
		v.Mark = mark{"✕", count(v.Errors, "error"), "bad"}
	case v.Lost > 0:
		v.Mark = mark{"✕", fmt.Sprintf("%d lost", v.Lost), "bad"}
	case v.Values > 0:
		v.Mark = mark{"?", "not all known", "doubt"}
	case v.Warnings > 0:
		v.Mark = mark{"!", count(v.Warnings, "warning"), "warn"}
	case v.Doubts > 0:
		v.Mark = mark{"?", count(v.Doubts, "answer") + " unknown", "doubt"}
	case v.Uncopied > 0:
		v.Mark = mark{"!", fmt.Sprintf("%d not copied", v.Uncopied), "warn"}
	case v.Infos > 0:
		v.Mark = mark{"i", count(v.Infos, "note"), "mute"}
	case v.Accepted+v.Known+v.ExcludedN+v.Lesser+v.Spared > 0:
		v.Mark = mark{"–", "nothing new", "mute"}
	case v.Total == 0:
		v.Mark = mark{"–", "no state named", "mute"}
	default:
		v.Mark = mark{"✓", "nothing found", "good"}
	}
}

// blind notes what of each part could not be read at all.
func (v *hostView) blind() {
	v.Blind = map[string][]string{}
	note := func(why stateward.Unknown, unknown bool, parts ...string) {
		for _, part := range parts {
			if text := why.String(); unknown && !slices.Contains(v.Blind[part], text) {
				v.Blind[part] = append(v.Blind[part], text)
			}
		}
	}
	h := v.Declared
	why, unknown := h.Services.Why()
	note(why, unknown, "state", "map")
	why, unknown = h.FileSystems.Why()
	note(why, unknown, "map")
	why, unknown = h.Datasets.Why()
	note(why, unknown, "map")
	why, unknown = h.Replications.Why()
	note(why, unknown, "map")
	why, unknown = h.Snapshots.Why()
	note(why, unknown, "map", "kept")
	why, unknown = h.SnapshotTemplates.Why()
	note(why, unknown, "kept")
	why, unknown = h.Jobs.Why()
	note(why, unknown, "map", "kept", "drills")
	why, unknown = h.PITRPolicies.Why()
	note(why, unknown, "pitr")
}

// losses are the checks that say of a path that it is lost at a reboot.
var losses = []string{"SW101", "SW110", "SW118"}

// loss is how grave it is that a path is lost: as grave as what is found of that, and bad where nothing is.
func (v *hostView) loss(r stateward.SurvivalRow) mark {
	var gravest stateward.Severity
	accepted := false
	for _, f := range v.Findings {
		if !slices.Contains(losses, f.Code) {
			continue
		}
		reason, speaks := f.Acknowledged, f.Path == r.Path && (f.Service == "" || f.Service == r.Service)
		for _, c := range f.Covers {
			if c.Path == r.Path && c.Service == r.Service {
				reason, speaks = cmp.Or(f.Acknowledged, c.Acknowledged), true
			}
		}
		switch {
		case !speaks:
		case reason != "":
			accepted = true
		default:
			gravest = max(gravest, f.Severity)
		}
	}
	switch {
	case gravest == 0 && accepted:
		v.Spared++
		return mark{"✕", "lost, accepted", "no"}
	case gravest == stateward.SeverityInfo:
		v.Lesser++
		return mark{"✕", "lost", "no"}
	case gravest == stateward.SeverityWarning:
		v.Lesser++
		return mark{"✕", "lost", "warn"}
	}
	v.Lost++
	return mark{"✕", "lost", "bad"}
}

// rows is the matrix: what is lost first, then what is not known.
func (v *hostView) rows() {
	notes := map[string]int{}
	rank := map[stateward.TierState]int{stateward.SurvivalNo: 0, stateward.SurvivalUnknown: 1, "": 1, stateward.SurvivalYes: 2, stateward.SurvivalNotNeeded: 3}
	sorted := slices.Clone(v.Survival)
	slices.SortStableFunc(sorted, func(a, b stateward.SurvivalRow) int {
		return cmp.Compare(rank[a.Tiers[stateward.TierReboot].State], rank[b.Tiers[stateward.TierReboot].State])
	})
	for _, r := range sorted {
		out := row{Path: r.Path, Service: r.Service, Origin: r.Origin}
		reboot, disk, site := r.Tiers[stateward.TierReboot].State, r.Tiers[stateward.TierDisk].State, r.Tiers[stateward.TierSite].State
		var lost mark
		switch reboot {
		case stateward.SurvivalYes:
			v.Survive++
		case stateward.SurvivalNo:
			lost = v.loss(r)
		}
		if reboot != stateward.SurvivalNotNeeded {
			v.Total++
			switch {
			case disk == stateward.SurvivalYes || site == stateward.SurvivalYes:
				v.Copied++
			case disk == stateward.SurvivalNo && site == stateward.SurvivalNo:
				v.Uncopied++
			}
		}
		for _, tier := range stateward.Tiers() {
			a := newAnswer(tier, r.Tiers[tier])
			if tier == stateward.TierReboot && lost.Word != "" {
				a.mark = lost
			}
			if a.Tone == "doubt" {
				v.Doubts++
			}
			if a.By != "" {
				if notes[a.By] == 0 {
					v.By = append(v.By, a.By)
					notes[a.By] = len(v.By)
				}
				a.Note = notes[a.By]
			}
			out.Cells = append(out.Cells, a)
		}
		v.Rows = append(v.Rows, out)
	}
}

func (v *hostView) after() string {
	if v.Total == 0 {
		return "no state named"
	}
	s := fmt.Sprintf("%d of %d survive", v.Survive, v.Total)
	lost := v.Lost + v.Lesser + v.Spared
	if lost > 0 {
		s += fmt.Sprintf(", %d lost", lost)
	}
	if n := v.Total - v.Survive - lost; n > 0 {
		s += fmt.Sprintf(", %d unknown", n)
	}
	return s
}

// elsewhere is what of the state is on another disk or in another house, too.
func (v *hostView) elsewhere() string {
	if v.Total == 0 {
		return "–"
	}
	s := fmt.Sprintf("%d of %d", v.Copied, v.Total)
	if v.Uncopied > 0 {
		s += fmt.Sprintf(", %d not", v.Uncopied)
	}
	if n := v.Total - v.Copied - v.Uncopied; n > 0 {
		s += fmt.Sprintf(", %d unknown", n)
	}
	return s
}
