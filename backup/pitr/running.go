package pitr

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"github.com/stateward/stateward"
)

// Digest is the value of [DigestOption] in the units of a policy, so that a configuration with them in it shows whether they still do what is asked for. The error
// is that of [Policy.Validate].
func (p Policy) Digest() (string, error) {
	text, err := p.Write()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return fmt.Sprintf("%x", sum[:8]), nil
}

// RunState tells whether a host archives a cluster as it is asked for.
type RunState string

// The states.
const (
	// Runs is a cluster whose server archives as the policy says, and whose base backups have their unit and timer, written of just what is asked for.
	Runs RunState = "runs"
	// NotRun is one that is only asked for: no unit makes base backups.
	NotRun RunState = "not run"
	// Stale is one whose base backups have a unit that was written of something else, or of what is asked for now no policy can be made.
	Stale RunState = "stale"
	// NotArchived is one whose server does not archive as the policy says; of a server whose settings are not those of services.postgresql nothing else is known.
	NotArchived RunState = "not archived"
)

// Running is a cluster that a host asks to have archived, and whether it is.
type Running struct {
	Planned
	State RunState
	// Unit is that of the base backups. Stale are units that were written of something else, Missing those of jobs that have no unit or no timer.
	Unit           string
	Stale, Missing []string
}

// FindRunning tells of every cluster that a host asks to have archived whether it is. Units that are not known run nothing: ask h.Units and h.Timers first.
func FindRunning(h *stateward.Host) ([]Running, []PlanFault) {
	planned, faults := FromHost(h, nil)
	out := []Running{}
	units, timers := map[string]stateward.Unit{}, map[string]bool{}
	for _, u := range h.Units.Or(nil) {
		if u.Enable.Or(true) {
			units[u.Name] = u
		}
	}
	for _, t := range h.Timers.Or(nil) {
		if t.Enable.Or(true) {
			timers[t.Name] = true
		}
	}
	for _, p := range planned {
		r := Running{Planned: p, State: NotRun, Unit: UnitPrefix + "backup-" + p.Name + ".service"}
		_, there := units[r.Unit]
		switch {
		case p.Policy == nil && there:
			r.State, r.Stale = Stale, []string{r.Unit}
		case p.Policy != nil:
			digest, err := p.Policy.Digest()
			for _, job := range p.Policy.Jobs() {
				name := p.Policy.UnitName(job)
				switch u, there := units[name+".service"]; {
				case !there || !timers[name+".timer"]:
					r.Missing = append(r.Missing, name+".service")
				case err != nil || u.Job.Or("") != digest:
					r.Stale = append(r.Stale, name+".service")
				}
			}
			switch {
			case slices.Contains(r.Missing, r.Unit):
			case slices.Contains(r.Stale, r.Unit):
				r.State = Stale
			case p.command == "" || len(p.lacks) > 0 || !p.Policy.ArchivesBy(p.command):
				r.State = NotArchived
			default:
				r.State = Runs
			}
		}
		out = append(out, r)
	}
	return out, faults
}
