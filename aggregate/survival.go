package aggregate

import (
	"cmp"
	"fmt"
	"iter"
	"slices"

	"github.com/stateward/stateward"
)

// Survival returns the survival matrix: every state path of every enabled
// service, sorted by service and path, one row each, however many dialects name
// it. A service of which some state could not be had has a row whose path is
// empty and whose state is unknown.
//
// The tier answered here is "reboot".
func Survival(h *stateward.Host) []stateward.SurvivalRow {
	return survivalRows(stateRows(newStorage(h)))
}

// stateRow is a survival row with what the checks need of it.
type stateRow struct {
	service *stateward.Service
	// path is where the state really is, or the text that is no path.
	path  string
	state *stateward.StatePath
	// also are further declarations of the same place by the same service.
	also   []*stateward.StatePath
	reboot stateward.TierResult
	// unread tells that the state could not be had at all.
	unread bool
}

// declarations are all of one place, that which names the row first.
func (r *stateRow) declarations() iter.Seq[*stateward.StatePath] {
	return func(yield func(*stateward.StatePath) bool) {
		if !yield(r.state) {
			return
		}
		for _, sp := range r.also {
			if !yield(sp) {
				return
			}
		}
	}
}

// compareStates orders declarations of one place.
func compareStates(a, b *stateward.StatePath) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), compareOrigins(a.Origin, b.Origin), cmp.Compare(a.Text, b.Text))
}

func stateRows(s *storage) []stateRow {
	type key struct{ service, path string }
	services := s.host.Services.Or(nil)
	at := make(map[key]int, len(services))
	rows := make([]stateRow, 0, len(services))
	put := func(r stateRow) {
		k := key{r.service.Name, r.path}
		if r.unread {
			k.path = "\x00" + r.state.Origin.Option // no path holds a NUL byte
		}
		i, ok := at[k]
		if !ok {
			at[k] = len(rows)
			rows = append(rows, r)
			return
		}
		// The same place named twice: the answer that is graver counts, the first source
		// names the row. So the order of services does not matter.
		old := &rows[i]
		old.also = append(old.also, r.state)
		if compareStates(r.state, old.state) < 0 {
			old.also[len(old.also)-1], old.state, old.service = old.state, r.state, r.service
		}
		if cmp.Or(gravity(r.reboot.State)-gravity(old.reboot.State), cmp.Compare(old.reboot.By, r.reboot.By)) > 0 {
			old.reboot = r.reboot
		}
	}
	for i := range services {
		svc := &services[i]
		enabled, known := svc.Enable.Get()
		if known && !enabled || svc.Enable.IsAbsent() {
			continue
		}
		paths, complete := svc.StatePaths()
		for j := range paths {
			sp := &paths[j]
			r := stateRow{service: svc, state: sp, path: sp.Text, reboot: s.rebootOf(sp)}
			if !known && r.reboot.State == stateward.SurvivalNo {
				why, _ := svc.Enable.Why()
				r.reboot = stateward.TierResult{State: stateward.SurvivalUnknown, By: why.String()}
			}
			if sp.Problem == nil {
				r.path = s.real(sp.Path).String()
			}
			put(r)
		}
		if !complete {
			why, _ := svc.State.Why()
			o := stateward.Origin{Option: why.Subject, File: why.File, Line: why.Line}
			put(stateRow{
				service: svc, unread: true, state: &stateward.StatePath{Entry: stateward.Entry{Origin: o}, Source: stateward.StateSource(why.Subject)},
				reboot: stateward.TierResult{State: stateward.SurvivalUnknown, By: why.String()},
			})
		}
	}
	for i := range rows {
		slices.SortFunc(rows[i].also, compareStates)
	}
	relieveParents(rows)
	slices.SortFunc(rows, func(a, b stateRow) int {
		return cmp.Or(cmp.Compare(a.service.Name, b.service.Name), cmp.Compare(a.path, b.path), compareStates(a.state, b.state))
	})
	return rows
}

// relieveParents takes the alarm from a StateDirectory that is only the way to the
// service's data: where the service's own option names a directory below it, and that survives.
// postgresql has StateDirectory "postgresql postgresql/16", and its data in the second.
func relieveParents(rows []stateRow) {
	type place struct{ service, path string }
	data := map[place]string{}
	for i := range rows {
		r := &rows[i]
		if r.reboot.State != stateward.SurvivalYes || r.state.Problem != nil {
			continue
		}
		for sp := range r.declarations() {
			if sp.Source != stateward.SourceDataDir {
				continue
			}
			for p := stateward.MustPath(r.path); p != stateward.Root; {
				p = p.Parent()
				k := place{r.service.Name, p.String()}
				if by := fmt.Sprintf("%s names %s below it, which survives", sp.Origin.Option, r.path); data[k] == "" || by < data[k] {
					data[k] = by
				}
			}
		}
	}
	for i := range rows {
		r := &rows[i]
		by, ok := data[place{r.service.Name, r.path}]
		if !ok || r.unread || r.reboot.State != stateward.SurvivalNo {
			continue
		}
		only := true
		for sp := range r.declarations() {
			only = only && sp.Source == stateward.SourceStateDirectory
		}
		if only {
			r.reboot = stateward.TierResult{State: stateward.SurvivalNotNeeded, By: by}
		}
	}
}

// gravity ranks answers for one place.
func gravity(t stateward.TierState) int {
	switch t {
	case stateward.SurvivalNo:
		return 3
	case stateward.SurvivalUnknown:
		return 2
	case stateward.SurvivalYes:
		return 1
	default:
		return 0
	}
}

// survivalRows are the rows as they are reported.
func survivalRows(rows []stateRow) []stateward.SurvivalRow {
	out := make([]stateward.SurvivalRow, len(rows))
	for i, r := range rows {
		out[i] = stateward.SurvivalRow{
			Service: r.service.Name, Path: r.path, Origin: string(r.state.Source),
			Tiers: map[stateward.Tier]stateward.TierResult{stateward.TierReboot: r.reboot},
		}
	}
	return out
}

// rebootOf answers for one state path. What is sure of a pattern decides only
// when it survives as a whole.
func (s *storage) rebootOf(sp *stateward.StatePath) stateward.TierResult {
	if sp.Problem != nil {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: sp.Problem.Error()}
	}
	r := s.reboot(sp.Path)
	switch {
	case sp.ReadOnly && r.State != stateward.SurvivalYes:
		return stateward.TierResult{State: stateward.SurvivalNotNeeded, By: "mounted read-only: nothing is written there"}
	case sp.Pattern && r.State == stateward.SurvivalNo && s.anythingBelow(s.real(sp.Path)):
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: fmt.Sprintf("%s goes on with a specifier that options do not resolve", sp.Text)}
	}
	return r
}

// anythingBelow tells whether something is mounted or persisted strictly below p.
func (s *storage) anythingBelow(p stateward.AbsPath) bool {
	if s.outer == nil {
		s.outer = map[stateward.AbsPath]struct{}{}
		for q := range s.persisted {
			s.noteOuter(q)
		}
		for q := range s.mounts {
			s.noteOuter(q)
		}
	}
	_, ok := s.outer[p]
	return ok
}

func (s *storage) noteOuter(p stateward.AbsPath) {
	for p != stateward.Root {
		p = p.Parent()
		if _, ok := s.outer[p]; ok {
			return
		}
		s.outer[p] = struct{}{}
	}
}
