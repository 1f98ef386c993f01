package dataset

import (
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// Check is a documented check over the datasets that a host declares.
type Check struct {
	stateward.CheckInfo
	run func(*stateward.Host, []Fault) []stateward.Diagnostic
}

// Run returns what the check finds, given the faults of [NewDesired]. Code, and severity where it is the ordinary one, are
// left out.
func (c Check) Run(h *stateward.Host, faults []Fault) []stateward.Diagnostic { return c.run(h, faults) }

// Checks are the checks that need no more than the declarations themselves, in the order of their codes.
func Checks() []Check { return []Check{sw201, sw202, sw203, sw204, sw210} }

// diagnostic starts the finding of a fault.
func diagnostic(h *stateward.Host, f *Fault) stateward.Diagnostic {
	d := stateward.Diagnostic{Subject: f.Origin.Option, File: f.Origin.File, Line: f.Origin.Line, Message: f.Message, Hint: f.Hint}
	for _, s := range h.Services.Or(nil) {
		if s.Dataset != nil && s.Dataset.Name == f.Dataset {
			d.Service = s.Name
			break
		}
	}
	return d
}

// ofKind are the faults of some kinds.
func ofKind(faults []Fault, kinds ...FaultKind) []Fault {
	var out []Fault
	for _, f := range faults {
		if slices.Contains(kinds, f.Kind) {
			out = append(out, f)
		}
	}
	return out
}

// doc trims a Markdown text written in Go source.
func doc(s string) string { return strings.TrimSpace(s) + "\n" }
