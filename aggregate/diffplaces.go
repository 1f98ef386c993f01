package aggregate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// survived says of each tier what data survives in it.
var survived = map[stateward.Tier]string{
	stateward.TierReboot:      "a reboot",
	stateward.TierRollback:    "a bad change",
	stateward.TierDisk:        "the death of its disk",
	stateward.TierSite:        "the loss of the house",
	stateward.TierRebuild:     "a machine that is built anew, by itself",
	stateward.TierPointInTime: "with any moment to come back to",
}

// Survives is what data survives in a tier, after "survives": "a reboot".
func Survives(t stateward.Tier) string { return survived[t] }

// places compares the survival matrix, and with it what else is kept: what is persisted, mounted or backed up without being any service's state.
func (d *differ) places() {
	type key struct{ service, path, origin string }
	rows := func(s *diffSide) map[key]stateward.SurvivalRow {
		out := map[key]stateward.SurvivalRow{}
		for _, r := range s.Report.Survival {
			k := key{service: r.Service, path: r.Path}
			if r.Path == "" {
				k.origin = r.Origin // several options of one service may hide what it keeps
			}
			out[k] = r
		}
		return out
	}
	old, new := rows(d.old), rows(d.new)
	order := func(a, b key) int {
		return cmp.Or(cmp.Compare(a.service, b.service), cmp.Compare(a.path, b.path), cmp.Compare(a.origin, b.origin))
	}
	taken := map[string]bool{}
	for _, k := range []map[key]stateward.SurvivalRow{old, new} {
		for k := range k {
			taken[k.path] = true
		}
	}
	for _, k := range slices.SortedFunc(maps.Keys(old), order) {
		if b, ok := new[k]; ok {
			d.tiers(k.service, k.path, old[k].Tiers, b.Tiers, true)
			d.place(k.service, k.path, old[k], b)
			delete(old, k)
			delete(new, k)
		}
	}
	// The same place under another name.
	byPath := func(rows map[key]stateward.SurvivalRow) map[string][]key {
		out := map[string][]key{}
		for _, k := range slices.SortedFunc(maps.Keys(rows), order) {
			if k.path != "" {
				out[k.path] = append(out[k.path], k)
			}
		}
		return out
	}
	before, after := byPath(old), byPath(new)
	for _, path := range slices.Sorted(maps.Keys(before)) {
		for i := range min(len(before[path]), len(after[path])) {
			a, b := before[path][i], after[path][i]
			d.add(Change{Effect: Changed, Kind: AboutState, Path: path, Old: a.service, New: b.service,
				Message: fmt.Sprintf("%s is the state of %s from now on, and was that of %s", path, b.service, a.service)})
			d.tiers("", path, old[a].Tiers, new[b].Tiers, true)
			d.place("", path, old[a], new[b])
			delete(old, a)
			delete(new, b)
		}
	}
	d.services()
	// What is left is on one side only.
	byService := func(rows map[key]stateward.SurvivalRow) map[string][]key {
		out := map[string][]key{}
		for _, k := range slices.SortedFunc(maps.Keys(rows), order) {
			out[k.service] = append(out[k.service], k)
		}
		return out
	}
	gone, come := byService(old), byService(new)
	names := maps.Clone(gone)
	maps.Copy(names, come)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		// What one option named and names otherwise is one state that moves.
		only := func(list []key, rows map[key]stateward.SurvivalRow, origin string) (key, bool) {
			of := slices.DeleteFunc(slices.Clone(list), func(k key) bool { return k.path == "" || rows[k].Origin != origin })
			if len(of) != 1 {
				return key{}, false
			}
			return of[0], true
		}
		moved := map[key]bool{}
		for _, k := range gone[name] {
			a, one := only(gone[name], old, old[k].Origin)
			b, other := only(come[name], new, old[k].Origin)
			if one && other && a == k {
				moved[a], moved[b] = true, true
				d.move(old[a], new[b])
			}
		}
		for _, k := range gone[name] {
			if !moved[k] {
				d.row(old[k], d.old, d.new, false)
			}
		}
		for _, k := range come[name] {
			if !moved[k] {
				d.row(new[k], d.new, d.old, true)
			}
		}
	}
	d.otherPlaces(taken)
}

// move tells of state that is in another place from now on: nothing moves what is in the old one, unless what it lies on moves as a whole.
func (d *differ) move(old, new stateward.SurvivalRow) {
	c := Change{Effect: Changed, Severity: stateward.SeverityError, Kind: AboutState, Service: old.Service, Old: old.Path, New: new.Path,
		Loses: old.Tiers[stateward.TierReboot].State != stateward.SurvivalNo}
	c.Message = fmt.Sprintf("the state is in %s from now on, and was in %s: ", new.Path, old.Path)
	a, b := "", ""
	// What is written and is no path lies nowhere that is known.
	from, err := stateward.ParsePath(old.Path)
	to, err2 := stateward.ParsePath(new.Path)
	if err == nil && err2 == nil {
		a, b = d.old.where(from), d.new.where(to)
	}
	less := slices.ContainsFunc(stateward.Tiers(), func(t stateward.Tier) bool { return fine(old.Tiers[t].State) && !fine(new.Tiers[t].State) })
	store := func(at string) string { on, _, _ := strings.Cut(at, ", "); return on }
	switch {
	case a != "" && a == b:
		c.Loses, c.Message = less, c.Message+fmt.Sprintf("%s comes along", a)
	case a != "" && store(a) == store(b) && (private(from) == to || private(to) == from):
		c.Loses, c.Message = less, c.Message+"systemd moves it as DynamicUser changes"
	default:
		c.Message += "nothing moves what is there"
	}
	c.Message += fmt.Sprintf(" (%s; until now %s)", rowWords(new), rowWords(old))
	switch {
	case c.Loses:
		c.Hint = "move it first: docs/migrate.md"
	default:
		c.Severity = stateward.SeverityWarning
	}
	d.add(c)
}

// isHostsOwn tells whether a row is of what the host itself keeps, which is only looked at where the root is not kept.
func isHostsOwn(r stateward.SurvivalRow) bool {
	switch stateward.StateSource(r.Origin) {
	case stateward.SourceHost, stateward.SourceHostKeys, stateward.SourceSecretKeys:
		return true
	}
	return r.Service == hostNixOS.Name
}

// row tells of a row that only one side has. comes tells that it is the new one.
func (d *differ) row(r stateward.SurvivalRow, here, there *diffSide, comes bool) {
	if isHostsOwn(r) && there.Report.Root.Wiped == stateward.SurvivalNo {
		return // it is there as well; the change of the root says so
	}
	c := Change{Effect: Changed, Kind: AboutState, Service: r.Service, Path: r.Path}
	side := &c.Old
	if comes {
		side = &c.New
	}
	*side = rowWords(r)
	// What could not be read on the other side is not gone.
	hidden := there.hides(r.Service)
	if r.Path == "" {
		what := fmt.Sprintf("where %s keeps its state (%s)", cmp.Or(r.Service, "the host"), r.Origin)
		if comes {
			c.Effect, c.Severity, c.Message = NotKnown, stateward.SeverityWarning, what+" is not known: "+r.Tiers[stateward.TierReboot].By
		} else {
			c.Effect, c.Message = NowKnown, what+" is known now, or not asked any more"
		}
		c.Subject = r.Origin
		d.add(c)
		return
	}
	switch {
	case hidden != "" && comes:
		c.Effect, c.Old, c.Message = NowKnown, "unknown", fmt.Sprintf("%s is known now to be state (%s)", r.Path, rowWords(r))
	case hidden != "":
		c.Effect, c.New, c.Severity, c.Loses = NotKnown, "unknown", stateward.SeverityError, true
		c.Message = fmt.Sprintf("whether %s is still state is not known: %s; until now: %s", r.Path, hidden, rowWords(r))
	case comes:
		c.Message = fmt.Sprintf("%s is state from now on (%s)", r.Path, rowWords(r))
		switch r.Tiers[stateward.TierReboot].State {
		case stateward.SurvivalNo, stateward.SurvivalUnknown:
			c.Severity = stateward.SeverityWarning
		}
	default:
		c.Message = fmt.Sprintf("%s is not named as state any more (%s until now)", r.Path, rowWords(r))
		lost := here.lostWithout(r, there)
		if len(lost) > 0 {
			c.Severity = stateward.SeverityWarning
			c.Message += "; what lies there does not survive " + strings.Join(lost, ", nor ") + " from now on"
		}
		if there.has(r.Service) {
			c.Severity = stateward.SeverityWarning
			c.Hint = "what lies there stays where it is, and whatever kept it for the sake of the service may be gone with the name"
			if len(lost) > 0 {
				c.Severity, c.Loses = stateward.SeverityError, true
			}
		}
	}
	d.add(c)
}

// lostWithout says what the content of a row that the other side does not name has no copies for there any more. Where it lies is still known there: of a
// dataset that is not mounted any more nothing is said.
func (s *diffSide) lostWithout(r stateward.SurvivalRow, there *diffSide) (lost []string) {
	p, err := stateward.ParsePath(r.Path)
	if err != nil {
		return nil
	}
	paths := s.s.lies(p).paths
	at := paths[len(paths)-1]
	if a := s.where(at); a == "" || a != there.where(at) {
		return nil
	}
	now := there.answer(at)
	for _, t := range []stateward.Tier{stateward.TierRollback, stateward.TierDisk, stateward.TierSite} {
		if fine(r.Tiers[t].State) && !fine(now.Tiers[t].State) {
			lost = append(lost, survived[t])
		}
	}
	return lost
}

// rowWords says in a few words what a row survives.
func rowWords(r stateward.SurvivalRow) string {
	var yes, unknown []string
	for _, t := range stateward.Tiers() {
		switch r.Tiers[t].State {
		case stateward.SurvivalYes, stateward.SurvivalNotNeeded:
			yes = append(yes, string(t))
		case stateward.SurvivalUnknown:
			unknown = append(unknown, string(t))
		}
	}
	text := "survives nothing"
	if len(yes) > 0 {
		text = "survives " + strings.Join(yes, ", ")
	}
	if len(unknown) > 0 {
		text += "; not known: " + strings.Join(unknown, ", ")
	}
	return text
}

// hides says why a service of that name may have state that is not seen; empty where it does not.
func (s *diffSide) hides(service string) string {
	if why, unknown := s.Host.Services.Why(); unknown {
		return why.String()
	}
	found := ""
	for _, x := range s.Host.Services.Or(nil) {
		if why, unknown := x.State.Why(); unknown && x.Name == service && (found == "" || why.String() < found) {
			found = why.String()
		}
	}
	return found
}

// has tells whether a service is enabled, or may be.
func (s *diffSide) has(service string) bool {
	return slices.ContainsFunc(s.Host.Services.Or(nil), func(x stateward.Service) bool {
		on, known := x.Enable.Get()
		return x.Name == service && (on || !known && !x.Enable.IsAbsent())
	})
}

// keepers are the services that have state, a dataset or a preseed; of others nothing is to be told.
func (s *diffSide) keepers() map[string]stateward.Value[bool] {
	out := map[string]stateward.Value[bool]{}
	with := map[string]bool{}
	for _, r := range s.Report.Survival {
		if !isHostsOwn(r) {
			with[r.Service] = true
		}
	}
	for _, x := range s.Host.Services.Or(nil) {
		if !with[x.Name] && x.Dataset == nil && x.Preseed == nil {
			continue
		}
		if had, ok := out[x.Name]; ok && (had.Or(false) || !x.Enable.Or(false) && had.String() <= x.Enable.String()) {
			continue
		}
		if x.Enable.Or(false) || x.Enable.IsUnknown() {
			out[x.Name] = x.Enable
		}
	}
	return out
}

// services tells which come and go.
func (d *differ) services() {
	oldKnown, newKnown := d.whole(AboutService, "the services", d.old.Host.Services.Why, d.new.Host.Services.Why)
	old, new := d.old.keepers(), d.new.keepers()
	names := maps.Clone(old)
	maps.Copy(names, new)
	on := func(bool) string { return "enabled" }
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, had := old[name]
		b, has := new[name]
		c := Change{Kind: AboutService, Service: name, Effect: Changed}
		// One that is known to be off, or that nobody declares, has no value here.
		s := state(a, b, on)
		if d.unsure(s, func() Change { c := c; c.Severity = stateward.SeverityWarning; return c }(), "whether it is enabled") {
			continue
		}
		switch {
		case !had && oldKnown:
			c.New, c.Message = "enabled", "comes"
			d.add(c)
		case !has && newKnown:
			c.Old, c.Message = "enabled", "goes"
			c.Hint = "what it kept stays where it lies; nothing removes it"
			d.add(c)
		}
	}
}

// tiers compares two rows of one place. firm tells that it is declared as state on both sides.
func (d *differ) tiers(service, path string, old, new map[stateward.Tier]stateward.TierResult, firm bool) {
	for _, t := range stateward.Tiers() {
		a, b := old[t], new[t]
		if path == "" {
			continue // its state is what is not known: the evaluation tells
		}
		c := Change{Kind: AboutTier, Service: service, Path: path, Tier: t, Old: string(a.State), New: string(b.State), OldTier: &a, NewTier: &b, Severity: stateward.SeverityError}
		what := survived[t]
		was := ""
		if a.By != "" && fine(a.State) {
			was = "; until now by " + a.By
		}
		switch {
		case fine(a.State) && fine(b.State):
			if a.State == b.State {
				d.rpo(c, a, b)
			}
			continue
		case fine(a.State) && b.State == stateward.SurvivalUnknown:
			c.Effect, c.Loses = NotKnown, true
			c.Message = fmt.Sprintf("whether %s survives %s is not known any more: %s%s", path, what, b.By, was)
		case fine(a.State):
			c.Effect, c.Loses = Worse, firm || t != stateward.TierReboot
			c.Message = fmt.Sprintf("%s does not survive %s any more%s%s", path, what, because(b.By), was)
			if !c.Loses {
				c.Severity = stateward.SeverityWarning
			}
		case fine(b.State) && a.State == stateward.SurvivalUnknown:
			c.Effect, c.Message = NowKnown, fmt.Sprintf("%s is known now to survive %s, by %s", path, what, by(b))
		case fine(b.State):
			c.Effect, c.Message = Better, fmt.Sprintf("%s survives %s now, by %s", path, what, by(b))
		case a.State == b.State:
			continue
		case b.State == stateward.SurvivalUnknown:
			c.Effect, c.Severity = NotKnown, stateward.SeverityInfo
			c.Message = fmt.Sprintf("whether %s survives %s is not known, and until now it did not: %s", path, what, b.By)
		case a.State == stateward.SurvivalUnknown:
			c.Effect, c.Message = NowKnown, fmt.Sprintf("it is known now that %s does not survive %s%s", path, what, because(b.By))
		default:
			continue // a tier that is not asked, and one that is not reached
		}
		d.add(c)
	}
}

func fine(s stateward.TierState) bool {
	return s == stateward.SurvivalYes || s == stateward.SurvivalNotNeeded
}

func because(by string) string {
	if by == "" {
		return ""
	}
	return " (" + by + ")"
}

func by(t stateward.TierResult) string {
	if t.RPO != "" {
		return fmt.Sprintf("%s, the newest copy at most %s old", t.By, t.RPO)
	}
	return cmp.Or(t.By, "itself")
}

// rpo compares how old the newest copy gets where there is one on both sides.
func (d *differ) rpo(c Change, a, b stateward.TierResult) {
	if a.RPO == b.RPO {
		return
	}
	c.Old, c.New, c.Severity = cmp.Or(a.RPO, "unknown"), cmp.Or(b.RPO, "unknown"), stateward.SeverityWarning
	what := map[stateward.Tier]string{
		stateward.TierRollback: "the newest snapshot", stateward.TierDisk: "the newest copy on another disk", stateward.TierSite: "the newest copy in another house",
		stateward.TierRebuild: "what a machine that is built anew starts with", stateward.TierPointInTime: "the newest moment to come back to",
	}[c.Tier]
	old, errOld := stateward.ParseDuration(a.RPO)
	new, errNew := stateward.ParseDuration(b.RPO)
	switch {
	case a.RPO != "" && b.RPO == "":
		c.Effect, c.Message = NotKnown, fmt.Sprintf("how old %s of %s can get is not known any more; until now %s", what, c.Path, a.RPO)
	case a.RPO == "":
		c.Effect, c.Message = NowKnown, fmt.Sprintf("%s of %s is at most %s old, which was not known", what, c.Path, b.RPO)
	case errOld != nil || errNew != nil || old.Std() == new.Std():
		return
	case new.Std() > old.Std():
		c.Effect, c.Message = Worse, fmt.Sprintf("%s of %s gets %s old, and was at most %s", what, c.Path, b.RPO, a.RPO)
	default:
		c.Effect, c.Message = Better, fmt.Sprintf("%s of %s is at most %s old, and got %s", what, c.Path, b.RPO, a.RPO)
	}
	d.add(c)
}

// place compares where the state of a path lies: another dataset at the same mount point, or a persistence root elsewhere, has none of what was there.
func (d *differ) place(service, path string, old, new stateward.SurvivalRow) {
	p, err := stateward.ParsePath(path)
	was, is := old.Tiers[stateward.TierReboot].State, new.Tiers[stateward.TierReboot].State
	switch {
	case err != nil, was == stateward.SurvivalNotNeeded, is == stateward.SurvivalNotNeeded, was == stateward.SurvivalNo && is == stateward.SurvivalNo:
		return
	case fine(was) != fine(is):
		return // the tier tells
	}
	a, b := d.old.where(p), d.new.where(p)
	if a == b || a == "" || b == "" {
		return
	}
	c := Change{Effect: Changed, Severity: stateward.SeverityError, Loses: true, Kind: AboutPlace, Service: service, Path: path, Old: a, New: b,
		Message: fmt.Sprintf("%s lies in %s from now on, and lay in %s: what is there is not moved, and is not seen any more", path, b, a),
		Hint:    "move it first: docs/migrate.md"}
	if was == stateward.SurvivalNo {
		c.Severity, c.Loses, c.Hint = stateward.SeverityInfo, false, ""
		c.Message = fmt.Sprintf("%s lies in %s from now on, and lay in %s, where it did not survive a reboot", path, b, a)
	}
	d.add(c)
}

// where names where a path lies, or is meant to: a dataset that is declared and that nothing is known to mount is where its data is all the same.
func (s *diffSide) where(p stateward.AbsPath) string {
	if at := s.lies(p); at != "" {
		return at
	}
	paths := s.s.lies(p).paths
	p = paths[len(paths)-1]
	for q := range p.Ancestors() {
		if _, linked := s.s.links[q]; linked || len(s.s.persisted[q]) > 0 {
			return ""
		}
		ms := s.s.mounts[q]
		if len(ms) == 0 {
			continue
		}
		name := ms[0].zfsName()
		if name == "" || slices.ContainsFunc(ms, func(m mount) bool { return m.zfsName() != name }) {
			return ""
		}
		return below(name, q, p)
	}
	return ""
}

// below names a path in what is mounted above it.
func below(on string, mounted, p stateward.AbsPath) string {
	if rel, ok := mounted.Rel(p); ok && rel != "" && rel != "." {
		return on + ", " + strings.TrimPrefix(rel, "/")
	}
	return on
}

// lies names where a path really lies; empty where that is not known.
func (s *diffSide) lies(p stateward.AbsPath) string {
	l := s.s.lies(p)
	if l.doubt != "" {
		return ""
	}
	at := l.paths[len(l.paths)-1]
	on := l.mount.zfsName()
	if on == "" {
		on = l.mount.fs.Device.Or("")
	}
	switch l.mount.fs.FSType.Or("") {
	case "tmpfs", "ramfs":
		on = "memory"
	}
	if on == "" {
		return ""
	}
	return below(on, l.mount.at, at)
}

// otherPlaces compares what is kept without being the state of a service that is known: nobody asks for it but who wrote it down.
func (d *differ) otherPlaces(taken map[string]bool) {
	places := map[stateward.AbsPath]bool{}
	gather := func(s *diffSide) {
		for p := range s.s.persisted {
			places[p] = true
		}
		for p := range s.s.mounts {
			places[p] = true
		}
		for p := range s.c.at {
			places[p] = true
		}
	}
	gather(d.old)
	gather(d.new)
	delete(places, stateward.Root)
	// What a job reads below a persistence root is told of by the name that it has for its services.
	for p := range maps.Clone(places) {
		d.old.behind(p, places)
		d.new.behind(p, places)
	}
	for text := range taken {
		if p, err := stateward.ParsePath(text); err == nil {
			d.old.behind(p, places)
			d.new.behind(p, places)
		}
	}
	for _, r := range slices.Concat(d.old.s.roots, d.new.s.roots) {
		delete(places, r.path) // what is kept there has a place of its own
	}
	for _, p := range slices.SortedFunc(maps.Keys(places), func(a, b stateward.AbsPath) int { return strings.Compare(a.String(), b.String()) }) {
		if taken[p.String()] || taken[d.old.s.real(p).String()] || taken[d.new.s.real(p).String()] {
			continue
		}
		a, b := d.old.answer(p), d.new.answer(p)
		d.tiers("", p.String(), a.Tiers, b.Tiers, d.new.names(p) || len(d.old.s.persisted[p]) > 0)
		if d.old.names(p) && d.new.names(p) {
			d.place("", p.String(), a, b)
		}
	}
}

// behind takes the places out at which another one really lies.
func (s *diffSide) behind(p stateward.AbsPath, places map[stateward.AbsPath]bool) {
	for _, q := range s.s.lies(p).paths[1:] {
		if !s.names(q) {
			delete(places, q)
		}
	}
}

// names tells whether something is mounted or persisted at a place.
func (s *diffSide) names(p stateward.AbsPath) bool {
	return len(s.s.persisted[p])+len(s.s.mounts[p]) > 0
}

// answer is what the matrix would say of a place.
func (s *diffSide) answer(p stateward.AbsPath) stateward.SurvivalRow {
	sp := &stateward.StatePath{Entry: stateward.NewEntry(p.String(), stateward.Directory, stateward.Origin{}), Source: stateward.SourcePlace}
	r := stateRow{service: &stateward.Service{}, path: s.s.real(p).String(), state: sp, reboot: s.s.rebootOf(sp)}
	return stateward.SurvivalRow{Path: r.path, Origin: string(sp.Source), Tiers: s.c.tiers(&r)}
}
