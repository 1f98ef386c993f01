package aggregate

import (
	"cmp"
	"fmt"
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
	return rowsOf(newStorage(h), nil)
}

// stateRow is a survival row with what the checks need of it.
type stateRow struct {
	stateward.SurvivalRow
	service *stateward.Service
	state   stateward.StatePath
	reboot  stateward.TierResult
}

func stateRows(s *storage) []stateRow {
	type key struct {
		service string
		path    stateward.AbsPath
		text    string
	}
	at := map[key]int{}
	var rows []stateRow
	put := func(k key, r stateRow) {
		if i, ok := at[k]; ok {
			// The same place named twice: the row that says more wins, by name, so that
			// the order of services does not matter.
			old := &rows[i]
			if cmp.Or(moreSure(r.reboot.State)-moreSure(old.reboot.State), cmp.Compare(string(old.state.Source), string(r.state.Source)),
				cmp.Compare(old.state.Origin.Option, r.state.Origin.Option)) > 0 {
				rows[i] = r
			}
			return
		}
		at[k] = len(rows)
		rows = append(rows, r)
	}
	services := s.host.Services.Or(nil)
	for i := range services {
		svc := &services[i]
		enabled, known := svc.Enable.Get()
		if known && !enabled || svc.Enable.IsAbsent() {
			continue
		}
		paths, complete := svc.StatePaths()
		for _, sp := range paths {
			r := stateRow{service: svc, state: sp, reboot: s.rebootOf(sp)}
			if !known && r.reboot.State == stateward.SurvivalNo {
				why, _ := svc.Enable.Why()
				r.reboot = stateward.TierResult{State: stateward.SurvivalUnknown, By: why.String()}
			}
			p := s.real(sp.Path)
			r.SurvivalRow = stateward.SurvivalRow{Service: svc.Name, Path: p.String(), Origin: string(sp.Source)}
			if sp.Problem != nil {
				r.SurvivalRow.Path = sp.Text
			}
			put(key{svc.Name, p, r.SurvivalRow.Path}, r)
		}
		if !complete {
			why, _ := svc.State.Why()
			r := stateRow{service: svc, reboot: stateward.TierResult{State: stateward.SurvivalUnknown, By: why.String()}}
			r.state.Origin = stateward.Origin{Option: why.Subject, File: why.File, Line: why.Line}
			r.SurvivalRow = stateward.SurvivalRow{Service: svc.Name, Origin: why.Subject}
			put(key{service: svc.Name, text: "?" + why.Subject}, r)
		}
	}
	for i := range rows {
		rows[i].Tiers = map[stateward.Tier]stateward.TierResult{stateward.TierReboot: rows[i].reboot}
	}
	slices.SortFunc(rows, func(a, b stateRow) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Origin, b.Origin))
	})
	return rows
}

func moreSure(t stateward.TierState) int {
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

func rowsOf(s *storage, rows []stateRow) []stateward.SurvivalRow {
	if rows == nil {
		rows = stateRows(s)
	}
	out := make([]stateward.SurvivalRow, len(rows))
	for i, r := range rows {
		out[i] = r.SurvivalRow
	}
	return out
}

// rebootOf answers for one state path. What is sure of a pattern decides only
// when it survives as a whole.
func (s *storage) rebootOf(sp stateward.StatePath) stateward.TierResult {
	if sp.Problem != nil {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: sp.Problem.Error()}
	}
	r := s.reboot(sp.Path)
	if sp.ReadOnly && r.State == stateward.SurvivalNo {
		return stateward.TierResult{State: stateward.SurvivalNotNeeded, By: "mounted read-only: nothing is written there"}
	}
	if sp.Pattern && r.State == stateward.SurvivalNo && s.anythingPersistedBelow(sp.Path) {
		return stateward.TierResult{State: stateward.SurvivalUnknown, By: fmt.Sprintf("%s goes on with a specifier that options do not resolve", sp.Text)}
	}
	return r
}

func (s *storage) anythingPersistedBelow(p stateward.AbsPath) bool {
	for q := range s.persisted {
		if q.Below(p) {
			return true
		}
	}
	for q := range s.mounts {
		if q.Below(p) {
			return true
		}
	}
	return false
}
