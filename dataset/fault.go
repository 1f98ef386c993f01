package dataset

import (
	"cmp"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// FaultKind tells what a [Fault] is about.
type FaultKind string

// The kinds of faults.
const (
	// BadName is a name that ZFS, or this package, refuses.
	BadName FaultKind = "name is refused"
	// BadProperty is a property that zfs does not know, or a value that it refuses.
	BadProperty FaultKind = "property is refused"
	// NotUnderstood is a value that was evaluated, and is of no type or form that it may have: a mode of 999.
	NotUnderstood FaultKind = "is not understood"
	// NotEvaluated is something that could not be evaluated: what it says is unknown.
	NotEvaluated FaultKind = "could not be evaluated"
	// Contradiction is one dataset that is declared twice, and not alike.
	Contradiction FaultKind = "declarations contradict"
	// NameCollision are two names that are one once "/" becomes "-", as in names of units and locks (D10).
	NameCollision FaultKind = "names collide"
	// MountpointShared are two datasets, or a dataset and another file system, that are mounted at one place (P5).
	MountpointShared FaultKind = "mountpoint is shared"
	// TwoManagers is a dataset that another makes or mounts as well (D8).
	TwoManagers FaultKind = "dataset has two managers"
	// HangsOn is a dataset above which lies one that cannot be planned.
	HangsOn FaultKind = "hangs on another fault"
)

// Fault is why a declared dataset cannot be planned. It is not in [Desired], and neither is what lies in it.
type Fault struct {
	Kind FaultKind `json:"kind"`
	// Dataset is the name as it is written; empty where the fault is about all of them.
	Dataset  string `json:"dataset,omitempty"`
	Property string `json:"property,omitempty"`
	// Path is the mountpoint that is shared.
	Path string `json:"path,omitempty"`
	// Message is the fault, Hint what to do, for people.
	Message string           `json:"message"`
	Hint    string           `json:"hint,omitempty"`
	Origin  stateward.Origin `json:"origin,omitzero"`
	// Others are the options that it collides with.
	Others []stateward.Origin `json:"others,omitempty"`
}

func (f *Fault) Error() string {
	if f.Dataset == "" {
		return f.Message
	}
	return f.Dataset + ": " + f.Message
}

// CompareFault orders faults by dataset, kind, property and place.
func CompareFault(a, b Fault) int {
	return cmp.Or(strings.Compare(a.Dataset, b.Dataset), strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Property, b.Property),
		compareOrigin(a.Origin, b.Origin), strings.Compare(a.Message, b.Message), slices.CompareFunc(a.Others, b.Others, compareOrigin))
}

func compareOrigin(a, b stateward.Origin) int {
	return cmp.Or(strings.Compare(a.Option, b.Option), strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
}

// faultOf makes a fault of an error of this package or the root's.
func faultOf(kind FaultKind, dataset, property string, err error, o stateward.Origin) Fault {
	f := Fault{Kind: kind, Dataset: dataset, Property: property, Message: err.Error(), Origin: o}
	if h, ok := err.(interface{ Hint() string }); ok {
		f.Hint = h.Hint()
	}
	return f
}
