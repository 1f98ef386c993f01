package aggregate

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/drill"
	"github.com/stateward/stateward/dataset"
)

// Input is what [Lint] looks at. Host is required.
type Input struct {
	Host *stateward.Host
	// Fleet are all hosts that are checked at one time, this one among them; nil means that nothing is known of others.
	Fleet []*stateward.Host
	// Observed is what was seen on the host; nil means that nobody looked.
	Observed *Observed
	// Drills are the records of restore drills; nil means that nobody looked, and not that there were none.
	Drills *Drills
	// Acknowledgements are given from outside, beside those of the configuration itself.
	Acknowledgements []stateward.Acknowledgement
	// Now is when; the zero time means that it is not known: nothing is said of age then, and an acknowledgement
	// that ends some day does not hold.
	Now time.Time
}

// Drills are the records of restore drills, of this host and maybe of others.
type Drills struct{ Records []drill.Record }

// Report is what [Lint] returns.
type Report struct {
	// Root says whether the root file system is wiped at every boot.
	Root RootState
	// Findings are sorted, the gravest first, and complete.
	Findings []stateward.Diagnostic
	// Survival is the survival matrix.
	Survival []stateward.SurvivalRow
	// Matched says of each of Input.Acknowledgements how many findings it matches, be it in force or not.
	Matched []int
}

// Check is a documented check over a whole host.
type Check struct {
	stateward.CheckInfo
	// about tells that the check speaks of the acknowledgements of what the others found.
	about bool
	// observes tells that the check says nothing where nobody looked at the host.
	observes bool
	// pools tells that the check says nothing where nobody looked at the pools of the host.
	pools bool
	// drills tells that the check says nothing where no records of drills are given.
	drills bool
	run    func(*facts) []stateward.Diagnostic
}

// Observes tells that the check only speaks of what was seen on the host itself: without Input.Observed, that it found
// nothing means nothing.
func (c Check) Observes() bool { return c.observes }

// ReadsPools tells that the check only speaks of what the pools of the host have: without Input.Observed.Pools, that it found nothing means nothing.
func (c Check) ReadsPools() bool { return c.pools }

// ReadsDrills tells that the check only speaks of records of restore drills: without Input.Drills, that it found nothing means nothing.
func (c Check) ReadsDrills() bool { return c.drills }

// findings runs the check.
func (c Check) findings(f *facts) []stateward.Diagnostic {
	out := c.run(f)
	for i := range out {
		out[i].Code = c.Code
		if out[i].Severity == 0 {
			out[i].Severity = c.Severity
		}
	}
	return out
}

// Catalog returns all checks, sorted by code.
func Catalog() []Check {
	all := slices.Concat(
		[]Check{
			sw101, sw102, sw103, sw104, sw105, sw106, sw107, sw108, sw109, sw110, sw111, sw112, sw113, sw114, sw115, sw116, sw117,
			sw118, sw119, sw120, sw121, sw122, sw123,
		},
		ofDatasets(),
		[]Check{
			sw205, sw206, sw207, sw208, sw209, sw211, sw212, sw213, sw214, sw215, sw216, sw217,
			sw301, sw302, sw303, sw304, sw305, sw306, sw307, sw308, sw309, sw310, sw312, sw313, sw314, sw315, sw317, sw318, sw320,
			sw401, sw402, sw403, sw404, sw405, sw406, sw407, sw408, sw409, sw410, sw411, sw412,
			sw501, sw502, sw503, sw504, sw505, sw506, sw507, sw508, sw509, sw510,
			sw601, sw602, sw603, sw604, sw605, sw606, sw607, sw608,
			sw701, sw702, sw703,
		},
	)
	slices.SortFunc(all, func(a, b Check) int { return strings.Compare(a.Code, b.Code) })
	return all
}

// ofDatasets are the checks of package dataset.
func ofDatasets() []Check {
	var out []Check
	for _, c := range dataset.Checks() {
		out = append(out, Check{CheckInfo: c.CheckInfo, run: func(f *facts) []stateward.Diagnostic { return c.Run(f.host, f.faults) }})
	}
	return out
}

// Lint runs every check over a host.
func Lint(in Input) Report {
	f := newFacts(in)
	var out []stateward.Diagnostic
	for _, c := range Catalog() {
		if !c.about {
			out = append(out, c.findings(f)...)
		}
	}
	out, matched := acknowledge(f, in, out)
	slices.SortFunc(out, stateward.CompareDiagnostics)
	out = slices.CompactFunc(out, func(a, b stateward.Diagnostic) bool {
		return stateward.CompareDiagnostics(a, b) == 0 && a.Acknowledged == b.Acknowledged
	})
	return Report{Root: f.root, Findings: out, Survival: survivalRows(f.rows, f.own.rows, f.copies()), Matched: matched}
}

// facts are what checks share, computed once for a host.
type facts struct {
	*storage
	host *stateward.Host
	rows []stateRow
	// own is what the host keeps beside its services.
	own *hostState
	// observed is nil where nobody looked.
	observed *observed
	// fleet are the hosts that are checked with this one.
	fleet []*stateward.Host
	// pools is nil where nobody looked.
	pools *dataset.Observed
	// drills is nil where nobody looked.
	drills *Drills
	now    time.Time
	// entries are all entries of enabled persistence roots, by root and origin.
	entries []rootEntry
	// desired are the declared datasets that are sound, faults what is wrong with the others.
	desired dataset.Desired
	faults  []dataset.Fault
	// made is what copies answers with, once it was asked for.
	made *copies
	// rawJobs are the jobs as they are declared, once they were asked for.
	rawJobs []stateward.Job
	// acks are the acknowledgements, once it is known what they match.
	acks []judgedAck
}

// copies answers for what is kept elsewhere.
func (f *facts) copies() *copies {
	if f.made == nil {
		f.made = newCopies(f.storage)
	}
	return f.made
}

type rootEntry struct {
	*stateward.Entry
	root *persistenceRoot
}

func newFacts(in Input) *facts {
	s := newStorage(in.Host)
	f := &facts{storage: s, host: in.Host, rows: stateRows(s), own: s.hostState(), observed: newObserved(in.Observed), drills: in.Drills, now: in.Now, fleet: in.Fleet}
	if in.Observed != nil {
		f.pools = in.Observed.Pools
	}
	f.desired, f.faults = dataset.NewDesired(in.Host)
	for _, r := range s.roots {
		for e := range r.entries() {
			f.entries = append(f.entries, rootEntry{Entry: e, root: r})
		}
	}
	// Which of two entries is the first shall not hang on the order in which they were read.
	slices.SortStableFunc(f.entries, func(a, b rootEntry) int {
		return cmp.Or(cmp.Compare(a.root.Name, b.root.Name), compareOrigins(a.Origin, b.Origin), cmp.Compare(a.Text, b.Text))
	})
	return f
}

// finding starts a diagnostic at an origin.
func finding(o stateward.Origin) stateward.Diagnostic {
	return stateward.Diagnostic{Subject: o.Option, File: o.File, Line: o.Line}
}

// doc trims a Markdown text written in Go source.
func doc(s string) string { return strings.TrimSpace(s) + "\n" }
