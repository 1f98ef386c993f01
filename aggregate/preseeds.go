package aggregate

import (
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/preseed"
)

// handPreseed begins the names that units of preseeds have which are written by hand.
const handPreseed = "preseed-"

// preseedName is what a unit restores, by its name. Those that end in "-preseed", as lxd-preseed and incus-preseed do, hold settings of
// a program and bring no data back.
func preseedName(unit string) (string, bool) {
	name, service := strings.CutSuffix(unit, ".service")
	if rest, ok := strings.CutPrefix(name, preseed.UnitPrefix); ok && service {
		return rest, rest != ""
	}
	rest, ok := strings.CutPrefix(name, handPreseed)
	return rest, ok && service && rest != "" && !strings.ContainsAny(name, "@%$")
}

// meantPreseed is what a unit that somebody names would restore, by its name alone, be the words in the one order or the other.
func meantPreseed(unit string) (string, bool) {
	if name, ok := strings.CutSuffix(unit, "-preseed.service"); ok && name != "" && name != "lxd" && name != "incus" {
		return name, !strings.ContainsAny(unit, "@%$")
	}
	return preseedName(unit)
}

// isPreseed tells whether a unit of the host is one that restores data: it is named so, and runs once.
func isPreseed(u *stateward.Unit) bool {
	_, named := preseedName(u.Name)
	return named && u.Type.Or("oneshot") == "oneshot"
}

// preseedUnits are the units of preseeds that are not switched off.
func (f *facts) preseedUnits() []*stateward.Unit {
	var out []*stateward.Unit
	units := f.host.Units.Or(nil)
	for i := range units {
		if units[i].Enable.Or(true) && isPreseed(&units[i]) {
			out = append(out, &units[i])
		}
	}
	return out
}

// requirers are the units that do not start where a unit fails, at once or by way of others; vague are those of which that is not known.
func (f *facts) requirers(unit string) (sure, vague map[string]bool) {
	by := map[string][]string{}
	vague = map[string]bool{}
	for _, u := range f.host.Units.Or(nil) {
		if u.Requires.IsUnknown() || u.BindsTo.IsUnknown() {
			vague[u.Name] = true
		}
		for _, needed := range slices.Concat(u.Requires.Or(nil), u.BindsTo.Or(nil)) {
			by[needed] = append(by[needed], u.Name)
		}
		by[u.Name] = append(by[u.Name], u.RequiredBy.Or(nil)...)
		if u.Name == unit && u.RequiredBy.IsUnknown() {
			for _, b := range u.Before.Or(nil) {
				vague[b] = true
			}
		}
	}
	sure = map[string]bool{}
	for next := []string{unit}; len(next) > 0; {
		u := next[len(next)-1]
		next = next[:len(next)-1]
		for _, r := range by[u] {
			if !sure[r] {
				sure[r] = true
				next = append(next, r)
			}
		}
	}
	return sure, vague
}

// serviceUnit tells whether a unit is, by its name, the one whose data a preseed restores: that of a container has the tool before the name.
func serviceUnit(unit, name string) bool {
	own := strings.TrimSuffix(unit, ".service")
	return own == name || own == "podman-"+name || own == "docker-"+name
}

// held says how a unit of a service depends on its preseed.
type held struct {
	unit *stateward.Unit
	// requires and after tell whether it starts only where the preseed succeeded, and only once it ended; vague that it is not known.
	requires, after, vague bool
	// wants tells that it names the preseed as one that should be started.
	wants bool
}

// consumers are the units that have to do with a preseed's data: those that want or require it, those before which it says it is to
// run, and that of its name.
func (f *facts) consumers(p *stateward.Unit) []held {
	name, _ := preseedName(p.Name)
	requirers, vague := f.requirers(p.Name)
	after := f.waiters(p.Name)
	var out []held
	units := f.host.Units.Or(nil)
	for i := range units {
		u := &units[i]
		h := held{unit: u, requires: requirers[u.Name], after: after[u.Name], wants: slices.Contains(u.Wants.Or(nil), p.Name)}
		h.vague = !h.requires && vague[u.Name] || !h.after && (u.After.IsUnknown() || p.Before.IsUnknown())
		direct := slices.Contains(u.Requires.Or(nil), p.Name) || slices.Contains(u.BindsTo.Or(nil), p.Name) || slices.Contains(p.RequiredBy.Or(nil), u.Name)
		if u == p || !u.Enable.Or(true) || isPreseed(u) {
			continue
		}
		if h.wants || direct || slices.Contains(p.Before.Or(nil), u.Name) || serviceUnit(u.Name, name) {
			out = append(out, h)
		}
	}
	return out
}

// preseedByHand tells whether a unit that is not ours restores a service, by its name: that of an option is often spelt in another way.
func (f *facts) preseedByHand(service string) bool {
	folded := strings.NewReplacer("-", "", "_", "")
	return slices.ContainsFunc(f.preseedUnits(), func(u *stateward.Unit) bool {
		name, _ := preseedName(u.Name)
		return !strings.HasPrefix(u.Name, preseed.UnitPrefix) && strings.EqualFold(folded.Replace(name), folded.Replace(service))
	})
}

// preseedOf is what a preseed that is asked for was read from.
func (f *facts) preseedOf(r *preseed.Running) *stateward.Preseed {
	for _, s := range f.host.Services.Or(nil) {
		if s.Name == r.Service && s.Preseed != nil && s.Preseed.Origin == r.Origin {
			return s.Preseed
		}
	}
	return nil
}

// dataPlace is where a service has its data; empty where that is not known.
func (f *facts) dataPlace(service string) string {
	for _, s := range f.host.Services.Or(nil) {
		if at, ok := s.DataDir.Get(); ok && s.Name == service && at.Problem == nil {
			return at.Path.String()
		}
	}
	return ""
}

// allDatasets are those that the host and its services declare.
func (f *facts) allDatasets() []stateward.Dataset {
	out := slices.Clone(f.host.Datasets.Or(nil))
	for _, s := range f.host.Services.Or(nil) {
		if s.Dataset != nil {
			out = append(out, *s.Dataset)
		}
	}
	return out
}

// marksSeeded tells whether a property says of a dataset that it was restored.
func marksSeeded(name string) bool {
	_, word, user := strings.Cut(name, ":")
	return name == preseed.MarkerProperty || user && strings.Contains(word, "preseed") && (strings.Contains(word, "complete") || strings.Contains(word, "done"))
}

func originOr(o, otherwise stateward.Origin) stateward.Origin {
	if o.Option == "" {
		return otherwise
	}
	return o
}
