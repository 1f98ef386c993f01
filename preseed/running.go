package preseed

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/restic"
)

// Digest is the value of [restic.DigestOption] in the unit of a plan, so that a configuration with the unit in it shows whether that still does what is asked
// for. The error is that of [Plan.Validate].
func (p Plan) Digest() (string, error) {
	text, err := p.Write()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

// RunState tells whether a unit of a host runs a preseed.
type RunState string

// The states.
const (
	// Runs is a preseed of which a unit was written of just what is asked for, and for which each unit of the service waits.
	Runs RunState = "runs"
	// NotRun is one that is only asked for: no unit runs it.
	NotRun RunState = "not run"
	// Stale is one whose unit was written of something else, or of what is asked for now no plan can be made.
	Stale RunState = "stale"
	// NotHeld is one whose unit is there, and units of the service do not need it, or do not wait for it (E9).
	NotHeld RunState = "not held"
	// NoJob is one that asks a repository, and the job whose file it needs is run by nothing.
	NoJob RunState = "no job"
	// RunByOther is one that a unit of the configuration's own runs.
	RunByOther RunState = "run by another"
)

// Running is a preseed that a service asks for, and whether the host runs it.
type Running struct {
	Planned
	State RunState
	// Unit is the name of the unit that runs it, or would; of a preseed whose name is refused it is empty.
	Unit string
	// Unheld are the units of the service that do not both require it and come after it.
	Unheld []string
}

// FindRunning tells of every preseed that a host asks for whether it runs it. Units that are not known run nothing. Where Units is unknown as a whole, so is
// every state: ask h.Units first.
func FindRunning(h *stateward.Host) ([]Running, []Fault) {
	planned, faults := FromHost(h, false)
	out := []Running{}
	if len(planned) == 0 {
		return out, faults
	}
	units := map[string]stateward.Unit{}
	for _, u := range h.Units.Or(nil) {
		if on, known := u.Enable.Get(); on || !known {
			units[u.Name] = u
		}
	}
	asked := map[string]bool{}
	jobs, _ := restic.Running(h)
	for _, j := range jobs {
		asked[j.Name] = asked[j.Name] || j.Asked
	}
	for _, p := range planned {
		r := Running{Planned: p, State: NotRun, Unit: UnitPrefix + p.Service + ".service"}
		written, there := units[r.Unit]
		switch {
		case p.RunBy != "":
			r.State, r.Unit = RunByOther, p.RunBy
		case !there:
		case p.Plan == nil:
			r.State = Stale
		default:
			digest, err := p.Plan.Digest()
			for _, name := range p.Plan.Units {
				u := units[name]
				if !slices.Contains(slices.Concat(u.Requires.Or(nil), u.BindsTo.Or(nil)), r.Unit) || !slices.Contains(u.After.Or(nil), r.Unit) {
					r.Unheld = append(r.Unheld, name)
				}
			}
			switch {
			case err != nil || digest != written.Job.Or(""):
				r.State = Stale
			case len(r.Unheld) > 0:
				r.State = NotHeld
			case p.Job != nil && asked[p.Job.Name]:
				r.State = NoJob
			default:
				r.State = Runs
			}
		}
		out = append(out, r)
	}
	return out, faults
}
