package aggregate

import (
	"fmt"
	"slices"

	"github.com/stateward/stateward"
)

// requirement is a tier that a service asks for at one of its places, and what the matrix answers.
type requirement struct {
	row        *stateRow
	protection *stateward.Protection
	tier       stateward.Tier
	cell       cell
}

// notDatabase is what the matrix says of a tier that it answers for a database only.
const notDatabase = "a point in time is looked for in the data of services.postgresql only"

// requirements are what the services' protection asks for, by services and paths, in the order of tiers. A tier with an
// objective is asked for. State that must outlive a reboot and no more, a cache, and what is only read are left out.
func (f *facts) requirements() []requirement {
	asked := map[string][]*stateward.Protection{}
	services := f.host.Services.Or(nil)
	for i := range services {
		s := &services[i]
		if p := s.Protection; p != nil && s.Enable.Or(true) && len(p.Tiers)+len(p.RPO) > 0 {
			asked[s.Name] = append(asked[s.Name], p)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	var out []requirement
	for i := range f.rows {
		r := &f.rows[i]
		ps := asked[r.service.Name]
		if len(ps) == 0 || r.readOnly() || r.all(func(sp *stateward.StatePath) bool {
			return sp.Source == stateward.SourcePersist || isImplied(sp.Source)
		}) {
			continue
		}
		cells := f.copies().cells(r)
		for _, p := range ps {
			for _, tier := range stateward.Tiers() {
				_, objective := p.RPO[tier]
				if !objective && !slices.Contains(p.Tiers, tier) {
					continue
				}
				answer, ok := cells[tier]
				if !ok {
					answer = cell{TierResult: stateward.TierResult{State: stateward.SurvivalUnknown, By: notDatabase}}
				}
				out = append(out, requirement{r, p, tier, answer})
			}
		}
	}
	return out
}

// gathered makes one finding of those that say the same of several services and places.
type gathered struct {
	at  map[string]int
	all []gatheredOne
}

type gatheredOne struct {
	stateward.Diagnostic
	say      func(who string) string
	services []string
	members  []stateward.Covered
}

func newGathered() *gathered { return &gathered{at: map[string]int{}} }

// add takes a finding about a service's place; say makes the message of the names of all services of which it is true.
func (g *gathered) add(d stateward.Diagnostic, say func(who string) string) {
	key := fmt.Sprint(d.Severity, say("\x00"))
	i, ok := g.at[key]
	if !ok {
		i = len(g.all)
		g.at[key] = i
		g.all = append(g.all, gatheredOne{Diagnostic: d, say: say})
	}
	one := &g.all[i]
	one.services = addSorted(one.services, d.Service)
	one.members = append(one.members, stateward.Covered{Service: d.Service, Path: d.Path, Subject: d.Subject})
}

func (g *gathered) findings() []stateward.Diagnostic {
	var out []stateward.Diagnostic
	for _, one := range g.all {
		d := one.Diagnostic
		if d.Covers = covering(one.members); len(one.services) > 1 {
			d.Service, d.Path = "", ""
		}
		d.Message = one.say(some(one.services))
		out = append(out, d)
	}
	return out
}
