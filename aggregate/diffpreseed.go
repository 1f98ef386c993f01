package aggregate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/preseed"
)

// preseedsOf are the preseeds that enabled services ask for and that are not switched off, by service.
func (s *diffSide) preseedsOf() map[string]*stateward.Preseed {
	out := map[string]*stateward.Preseed{}
	for i := range s.Host.Services.Or(nil) {
		x := &s.Host.Services.Or(nil)[i]
		if x.Preseed == nil || out[x.Name] != nil || !x.Enable.Or(x.Enable.IsUnknown()) || !x.Preseed.Enable.Or(x.Preseed.Enable.IsUnknown()) {
			continue
		}
		out[x.Name] = x.Preseed
	}
	return out
}

// preseeds compares how empty datasets come back. One that fails open lets a service start with nothing, or with what nobody looked at.
func (d *differ) preseeds() {
	old, new := d.old.preseedsOf(), d.new.preseedsOf()
	oldKnown, newKnown := !d.old.Host.Services.IsUnknown(), !d.new.Host.Services.IsUnknown() // d.services tells
	names := maps.Clone(old)
	maps.Copy(names, new)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, b := old[name], new[name]
		c := Change{Kind: AboutPreseed, Service: name, Subject: "preseed", Severity: stateward.SeverityError, Loses: true}
		switch {
		case a == nil && !oldKnown, b == nil && !newKnown:
		case a == nil:
			c.Effect, c.New = Better, "restores"
			if !d.old.has(name) {
				c.Effect, c.Severity, c.Loses = Changed, stateward.SeverityInfo, false
			}
			c.Message = "an empty dataset is filled before the service starts"
			d.add(c)
		case b == nil:
			c.Effect, c.Old = Worse, "restores"
			if !d.new.has(name) {
				c.Effect, c.Severity, c.Loses = Changed, stateward.SeverityInfo, false
			}
			c.Message = "nothing fills an empty dataset any more: the service starts with nothing where its dataset came back empty"
			d.add(c)
		default:
			d.preseed(name, a, b)
		}
	}
}

func (d *differ) preseed(name string, a, b *stateward.Preseed) {
	about := func(subject string, severity stateward.Severity) Change {
		return Change{Kind: AboutPreseed, Service: name, Subject: subject, Severity: severity, Loses: severity == stateward.SeverityError}
	}
	// less tells of something that is asked of a restore and dropped, or the other way round.
	less := func(subject, what string, s stated) {
		c := about(subject, stateward.SeverityError)
		if d.unsure(s, c, what) || s.old == s.new || s.old != "" && s.new != "" {
			return
		}
		c.Old, c.New = s.old, s.new
		if s.new == "" {
			c.Effect, c.Message = Worse, fmt.Sprintf("%s is not asked for any more (%s until now): what does not have it takes the place of the data", what, s.old)
		} else {
			c.Effect, c.Message = Better, fmt.Sprintf("%s is asked for now: %s", what, s.new)
		}
		d.add(c)
	}
	if s := state(a.Enable, b.Enable, func(bool) string { return "on" }); d.unsure(s, about("preseed.enable", stateward.SeverityError), "whether there is a preseed") {
		return
	}

	refuses := func(v stateward.Value[string]) stateward.Value[string] {
		if v.IsAbsent() {
			return stateward.Known(string(preseed.Refuse), v.Origin())
		}
		return v
	}
	s := state(refuses(a.OnNoBackup), refuses(b.OnNoBackup), sameText)
	if c := about("preseed.onNoBackup", stateward.SeverityError); !d.unsure(s, c, "what happens where there is no backup") && s.old != s.new {
		c.Old, c.New = s.old, s.new
		switch {
		case s.old == string(preseed.Refuse):
			c.Effect, c.Message = Worse, fmt.Sprintf("it fails open: where no source has a backup, onNoBackup is %s from now on, and was refuse", s.new)
			if reason := strings.TrimSpace(b.Reason.Or("")); reason != "" {
				c.Message += "; the reason given is: " + reason
			}
		case s.new == string(preseed.Refuse):
			c.Effect, c.Message = Better, "where no source has a backup the service is kept from starting: onNoBackup was "+s.old
		default:
			c.Effect, c.Loses, c.Message = Changed, false, fmt.Sprintf("onNoBackup is %s from now on, and was %s", s.new, s.old)
		}
		d.add(c)
	}

	s = state(a.MaxAge, b.MaxAge, stateward.Duration.String)
	less("preseed.maxAge", "how old what is restored may be", s)
	if x, ok := a.MaxAge.Get(); ok {
		if y, ok := b.MaxAge.Get(); ok && x.Std() != y.Std() {
			c := about("preseed.maxAge", stateward.SeverityWarning)
			c.Old, c.New, c.Effect = s.old, s.new, Worse
			if y.Std() < x.Std() {
				c.Effect = Better
			}
			c.Message = fmt.Sprintf("what is restored may be %s old, and could be %s", s.new, s.old)
			d.add(c)
		}
	}
	yes := func(v stateward.Value[bool]) stateward.Value[bool] {
		if on, known := v.Get(); known && !on {
			return stateward.Value[bool]{}
		}
		return v
	}
	less("preseed.sqlite", "a check of its databases", state(yes(a.SQLite), yes(b.SQLite), func(bool) string { return "sqlite" }))
	full := func(v stateward.Value[[]string]) stateward.Value[[]string] {
		if list, known := v.Get(); known && len(list) == 0 {
			return stateward.Value[[]string]{}
		}
		return v
	}
	words := func(list []string) string { return strings.Join(list, " ") }
	s = state(full(a.Command), full(b.Command), words)
	less("preseed.command", "a command that looks at what is restored", s)
	if s.old != s.new && s.old != "" && s.new != "" {
		c := about("preseed.command", stateward.SeverityWarning)
		c.Effect, c.Loses, c.Old, c.New = Changed, false, s.old, s.new
		c.Message = fmt.Sprintf("what is restored is looked at by %q from now on, and was by %q", s.new, s.old)
		d.add(c)
	}
	some := func(v stateward.Value[int64]) stateward.Value[int64] {
		if n, known := v.Get(); known && n <= 0 {
			return stateward.Value[int64]{}
		}
		return v
	}
	s = state(some(a.MinBytes), some(b.MinBytes), func(n int64) string { return fmt.Sprint(n) })
	less("preseed.minBytes", "how much must be restored at least", s)
	if x, y := a.MinBytes.Or(0), b.MinBytes.Or(0); x > 0 && y > 0 && x != y {
		c := about("preseed.minBytes", stateward.SeverityWarning)
		c.Old, c.New, c.Effect = s.old, s.new, Worse
		if y > x {
			c.Effect = Better
		}
		c.Message = fmt.Sprintf("at least %d bytes must be restored from now on, and %d until now", y, x)
		d.add(c)
	}
	s = state(a.Sources, b.Sources, words)
	if c := about("preseed.sources", stateward.SeverityWarning); !d.unsure(s, c, "which sources are asked") && s.old != s.new {
		c.Effect, c.Old, c.New = Changed, s.old, s.new
		c.Message = fmt.Sprintf("the sources are %s from now on, and were %s", cmp.Or(s.new, "those that are found"), cmp.Or(s.old, "those that are found"))
		without := func(list, other []string) []string {
			return slices.DeleteFunc(slices.Clone(list), func(x string) bool { return slices.Contains(other, x) })
		}
		old, new := a.Sources.Or(nil), b.Sources.Or(nil)
		if dropped, added := without(old, new), without(new, old); len(old) > 0 && len(new) > 0 {
			switch {
			case len(dropped) > 0:
				// What it brought back is not brought back any more, whatever is asked beside.
				c.Severity, c.Loses = stateward.SeverityError, true
				c.Message += ": what only " + strings.Join(dropped, ", ") + " has is not restored any more"
				if len(added) == 0 {
					c.Effect = Worse
				}
			case len(added) > 0:
				c.Effect = Better
			}
		}
		d.add(c)
	}
}

// pitr compares how PostgreSQL is archived: what the servers do, and what is asked for.
func (d *differ) pitr() {
	d.whole(AboutPITR, "the settings of PostgreSQL", d.old.Host.PITR.Why, d.new.Host.PITR.Why)
	servers := func(s *diffSide) map[string]stateward.PITR {
		out := map[string]stateward.PITR{}
		for _, p := range serversOf(s.Host) {
			out[p.Service] = p
		}
		return out
	}
	oldServers, newServers := servers(d.old), servers(d.new)
	for _, name := range slices.Sorted(maps.Keys(oldServers)) {
		b, both := newServers[name]
		if !both {
			continue // the server itself comes or goes
		}
		d.pgBackRest(oldServers[name], b)
		x, y := pitr.ReadArchiving(oldServers[name]), pitr.ReadArchiving(b)
		c := Change{Kind: AboutPITR, Service: name, Subject: "archiving", Severity: stateward.SeverityError, Loses: true, Old: string(x.State), New: string(y.State)}
		switch {
		case x.State == y.State:
			continue
		case y.State == stateward.SurvivalUnknown:
			c.Effect, c.Loses = NotKnown, x.State == stateward.SurvivalYes
			c.Message = "whether the log is archived is not known any more: " + y.Why
			if !c.Loses {
				c.Severity = stateward.SeverityInfo
			}
		case x.State == stateward.SurvivalUnknown:
			c.Effect, c.Message = NowKnown, "it is known now "+pickText(y.State == stateward.SurvivalYes, "that the log is archived", "that the log is not archived: "+y.Why)
		case y.State == stateward.SurvivalYes:
			c.Effect, c.Message = Better, "the log is archived now"
		default:
			c.Effect, c.Message = Worse, "the log is not archived any more: "+y.Why
			c.Hint = "what was archived stays, and nothing after the switch can be come back to"
		}
		d.add(c)
	}
	oldKnown, newKnown := d.whole(AboutPITR, "stateward.pitr", d.old.Host.PITRPolicies.Why, d.new.Host.PITRPolicies.Why)
	policies := func(s *diffSide) map[string]*stateward.PITRPolicy {
		out := map[string]*stateward.PITRPolicy{}
		for i := range s.Host.PITRPolicies.Or(nil) {
			if p := &s.Host.PITRPolicies.Or(nil)[i]; p.Enable.Or(true) {
				out[p.Name] = p
			}
		}
		return out
	}
	old, new := policies(d.old), policies(d.new)
	names := maps.Clone(old)
	maps.Copy(names, new)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, b := old[name], new[name]
		c := Change{Kind: AboutPITR, Service: name, Subject: "stateward.pitr", Severity: stateward.SeverityError, Loses: true}
		switch {
		case a == nil && oldKnown:
			c.Effect, c.New, c.Message = Better, policyWords(b), "the cluster is to be archived: "+policyWords(b)
			d.add(c)
		case b == nil && newKnown:
			c.Effect, c.Old, c.Message = Worse, policyWords(a), "the cluster is not to be archived any more, until now "+policyWords(a)
			d.add(c)
		case a != nil && b != nil:
			d.policy(name, a, b)
		}
	}
}

func policyWords(p *stateward.PITRPolicy) string {
	return fmt.Sprintf("to %s, any moment of %s", p.Destination.Or("a place that is not known"), stateward.MapValue(p.Window, func(w stateward.Duration) (string, error) { return w.String(), nil }).Or("a span that is not said"))
}

// policy compares two policies of one cluster.
func (d *differ) policy(name string, a, b *stateward.PITRPolicy) {
	about := func(subject string, severity stateward.Severity) Change {
		return Change{Kind: AboutPITR, Service: name, Subject: subject, Severity: severity, Loses: severity == stateward.SeverityError}
	}
	d.window(about("window", stateward.SeverityError), a.Window, b.Window)
	s := state(a.Redundancy, b.Redundancy, func(n int) string { return fmt.Sprint(n) })
	if c := about("redundancy", stateward.SeverityError); !d.unsure(s, c, "how many base backups stay") && s.old != s.new {
		c.Old, c.New, c.Effect = s.old, s.new, Worse
		if b.Redundancy.Or(0) > a.Redundancy.Or(0) {
			c.Effect = Better
		}
		c.Message = fmt.Sprintf("at least %s base backups stay from now on, and %s until now", cmp.Or(s.new, "as many as the window needs"), cmp.Or(s.old, "as many as the window needs"))
		d.add(c)
	}
	s = state(a.Schedule, b.Schedule, sortedText)
	if c := about("schedule", stateward.SeverityInfo); !d.unsure(s, c, "when base backups are made") && s.old != s.new {
		c.Effect, c.Old, c.New = Changed, s.old, s.new
		c.Message = fmt.Sprintf("base backups are made %s from now on, and were %s", orNone(s.new), orNone(s.old))
		switch {
		case s.new == "":
			c.Effect, c.Severity, c.Loses, c.Message = Worse, stateward.SeverityError, true, "no base backups are made any more, which were "+s.old
		case s.old == "":
			c.Effect, c.Message = Better, "base backups are made now: "+s.new
		}
		d.add(c)
	}
	s = state(a.ArchiveTimeout, b.ArchiveTimeout, stateward.Duration.String)
	if c := about("archiveTimeout", stateward.SeverityWarning); !d.unsure(s, c, "after how long what is committed is archived") && a.ArchiveTimeout.Or(stateward.Duration{}).Std() != b.ArchiveTimeout.Or(stateward.Duration{}).Std() {
		c.Old, c.New, c.Effect = s.old, s.new, Worse
		if x, y := a.ArchiveTimeout.Or(stateward.Duration{}), b.ArchiveTimeout.Or(stateward.Duration{}); y.Std() != 0 && (x.Std() == 0 || y.Std() < x.Std()) {
			c.Effect = Better
		}
		c.Message = fmt.Sprintf("what is committed is archived after %s from now on, and was after %s", cmp.Or(s.new, "as long as a segment takes to fill"), cmp.Or(s.old, "as long as a segment takes to fill"))
		d.add(c)
	}
	at := func(p *stateward.PITRPolicy) stateward.Value[string] {
		for _, v := range []stateward.Value[string]{p.Endpoint, p.Server} {
			if v.IsUnknown() {
				return v
			}
		}
		return stateward.MapValue(p.Destination, func(to string) (string, error) {
			return strings.TrimSpace(strings.Join([]string{p.Endpoint.Or(""), to, p.Server.Or("")}, " ")), nil
		})
	}
	s = state(at(a), at(b), sameText)
	if c := about("destination", stateward.SeverityWarning); !d.unsure(s, c, "where it is archived") && s.old != s.new {
		c.Effect, c.Old, c.New = Changed, s.old, s.new
		c.Message = fmt.Sprintf("it is archived to %s from now on, and was to %s: no moment can be come back to there before the first base backup", orNone(s.new), orNone(s.old))
		d.add(c)
	}
}

// window compares for how long any moment can be come back to. Without one nothing is removed.
func (d *differ) window(c Change, a, b stateward.Value[stateward.Duration]) {
	s := state(a, b, stateward.Duration.String)
	x, hadOne := a.Get()
	y, hasOne := b.Get()
	if d.unsure(s, c, "for how long any moment can be come back to") || hadOne == hasOne && x.Std() == y.Std() {
		return
	}
	c.Old, c.New, c.Effect = s.old, s.new, Worse
	if hadOne && (!hasOne || y.Std() > x.Std()) {
		c.Effect = Better
	}
	c.Message = fmt.Sprintf("any moment of %s can be come back to from now on, and of %s until now", cmp.Or(s.new, "all that is archived"), cmp.Or(s.old, "all that is archived"))
	if c.Effect == Worse {
		c.Message += ": older base backups, with their log, are removed"
	}
	d.add(c)
}
