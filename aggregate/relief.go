package aggregate

import (
	"fmt"
	"strings"

	"github.com/stateward/stateward"
)

// relieveParents takes the alarm from a StateDirectory that is only the way to the
// service's data: where the unit lists a directory below it too, the service's own dataDir is that, and it survives.
// postgresql has StateDirectory "postgresql postgresql/16", and its data in the second.
func relieveParents(rows []stateRow) {
	var data map[string]string // every path above surviving data → what to say
	for i := range rows {
		r := &rows[i]
		if r.reboot.State != stateward.SurvivalNo || r.unread || !r.onlyStateDirectory() {
			continue
		}
		if data == nil {
			data = aboveData(rows)
		}
		if by, ok := data[r.path]; ok {
			r.reboot = stateward.TierResult{State: stateward.SurvivalNotNeeded, By: by}
		}
	}
}

func (r *stateRow) onlyStateDirectory() bool {
	return !r.implied() && r.all(func(sp *stateward.StatePath) bool {
		return sp.Source == stateward.SourceStateDirectory || isImplied(sp.Source)
	})
}

// relieveNamesakes lowers the alarm of a place that no option of a service names as that of its data, where one of its options names
// another, which survives: below it, or elsewhere while this one bears the service's name. What lies beside the data is
// lost all the same, so that it stays said. What only rules make is the way to whatever is below it, whose ever that is; where a unit
// may write, or has its home, what another service keeps there says nothing.
func (s *storage) relieveNamesakes(rows []stateRow) {
	type key struct{ path, service string } // no service: any
	var below, elsewhere map[key]relief
	find := func() {
		below, elsewhere = map[key]relief{}, map[key]relief{}
		note := func(in map[key]relief, k key, grave stateward.Severity, by string) {
			r := in[k]
			r.add(grave, by)
			r.times++
			in[k] = r
		}
		for i := range rows {
			r := &rows[i]
			if r.reboot.State != stateward.SurvivalYes || r.unread || r.state.Problem != nil {
				continue
			}
			for sp := range r.declarations() {
				grave := stateward.SeverityInfo
				switch sp.Source {
				case stateward.SourcePersistedData, stateward.SourcePersist:
				case stateward.SourceDataDir:
					grave = stateward.SeverityWarning
					note(elsewhere, key{service: r.service.Name}, grave, fmt.Sprintf("%s names %s, which survives", sp.Origin.Option, r.path))
				default:
					continue
				}
				by := fmt.Sprintf("%s names %s below it, which survives", sp.Origin.Option, r.path)
				for p := range stateward.MustPath(r.path).Parent().Ancestors() {
					note(below, key{path: p.String()}, grave, by)
					note(below, key{p.String(), r.service.Name}, grave, by)
				}
			}
		}
	}
	for i := range rows {
		r := &rows[i]
		if r.reboot.State != stateward.SurvivalNo || r.unread || r.state.Problem != nil || !r.onlyStateDirectory() && !r.implied() {
			continue
		}
		if below == nil {
			find()
		}
		made := r.all(func(sp *stateward.StatePath) bool { return sp.Source == stateward.SourceTmpfiles })
		of, own := below[key{path: r.path}], below[key{r.path, r.service.Name}]
		foreign := of.times > own.times
		if !made {
			of = own
		}
		if of.grave == stateward.SeverityInfo && !made && r.implied() {
			of.grave = stateward.SeverityWarning
		}
		if n, ok := strings.CutPrefix(r.path, varLib.String()+"/"); ok && (r.service.Name == n || strings.HasPrefix(r.service.Name, n+"-")) {
			if d, ok := elsewhere[key{service: n}]; ok {
				of.add(d.grave, d.by)
			}
		}
		if of.grave == 0 && r.implied() && (made || !foreign) && s.anythingBelow(stateward.MustPath(r.path)) {
			of.add(stateward.SeverityWarning, "something below it is kept")
		}
		if r.relief = of.grave; r.relief != 0 {
			r.reboot.By += "; " + of.by
		}
	}
}

// relief is what makes a loss less grave, of all that does: what leaves it least grave, then the first text.
type relief struct {
	grave stateward.Severity // zero where nothing does
	by    string
	times int
}

func (r *relief) add(grave stateward.Severity, by string) {
	switch {
	case r.grave == 0 || r.grave == stateward.SeverityWarning && grave == stateward.SeverityInfo:
		r.grave, r.by = grave, by
	case r.grave == grave:
		r.by = firstText(r.by, by)
	}
}

func aboveData(rows []stateRow) map[string]string {
	data := map[string]string{}
	for i := range rows {
		r := &rows[i]
		if r.reboot.State != stateward.SurvivalYes || r.state.Problem != nil || !r.declaredBy(stateward.SourceStateDirectory) {
			continue
		}
		for sp := range r.declarations() {
			if sp.Source != stateward.SourceDataDir {
				continue
			}
			by := fmt.Sprintf("%s names %s below it, which survives", sp.Origin.Option, r.path)
			for p := range stateward.MustPath(r.path).Parent().Ancestors() {
				data[p.String()] = firstText(data[p.String()], by)
			}
		}
	}
	return data
}

// relieveReaders takes the alarm from places that are only read, where somebody else is known to write and has the
// same fate: the loss is said there.
func relieveReaders(rows []stateRow) {
	type fate struct {
		path  string
		state stateward.TierState
	}
	var writers map[fate]string
	for i := range rows {
		r := &rows[i]
		if r.unread || r.state.Problem != nil || !r.readOnly() || r.reboot.State != stateward.SurvivalNo && r.reboot.State != stateward.SurvivalUnknown {
			continue
		}
		if writers == nil {
			writers = map[fate]string{}
			for j := range rows {
				// A rule writes nothing: it makes the place. Of what is less grave there the loss is not said as it is.
				w := &rows[j]
				if !w.unread && w.state.Problem == nil && w.relief == 0 && !w.pattern() && !w.readOnly() && !w.all(func(sp *stateward.StatePath) bool { return sp.Source == stateward.SourceTmpfiles }) {
					at := fate{w.path, w.reboot.State}
					writers[at] = firstText(writers[at], w.service.Name)
				}
			}
		}
		for q := range stateward.MustPath(r.path).Ancestors() {
			if by, ok := writers[fate{q.String(), r.reboot.State}]; ok {
				r.reboot = stateward.TierResult{State: stateward.SurvivalNotNeeded, By: "mounted read-only: it is " + by + " that writes there"}
				break
			}
		}
	}
}
