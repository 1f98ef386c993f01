package aggregate

import (
	"fmt"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

var sw509 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW509", Title: "archive of a cluster hangs on one base backup", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"G3"},
		Doc: doc(`
Base backups of a cluster (` + "`stateward.pitr`" + `) are made at longer intervals than its window is long, and none is kept beside: most of the time there is one base backup, and all of the log is applied to that. Where it cannot be restored, for one
damaged file, nothing can be recovered, however complete the log is. A recovery also takes as long as all the log since then does.

Nothing is said where ` + "`redundancy`" + ` is 2 or more, or no window is set: then nothing is removed by age.

The same holds for pgBackRest where ` + "`retention-full-type`" + ` is "time": what is compared with its days are the schedules of the jobs of ` + "`services.pgbackrest`" + ` that make full backups. By number, as many are kept
whenever they are made; of 1 SW506 speaks. Nothing is said where a unit of its own, or another host, may make them too.

Mend it by base backups that are made at least twice in the window, or by a redundancy.

` + "```nix" + `
stateward.pitr.postgresql = {
  schedule = "weekly";
  window = "14d";
  redundancy = 2;
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, p := range f.host.PITRPolicies.Or(nil) {
			on, known := p.Enable.Get()
			window, set := p.Window.Get()
			events, scheduled := p.Schedule.Get()
			if !known || !on || !set || window.Std() <= 0 || !scheduled || p.Redundancy.IsUnknown() || p.Redundancy.Or(0) > 1 {
				continue
			}
			every, known := f.apart(events)
			if !known || every <= window.Std() {
				continue
			}
			d := finding(originOr(p.Window.Origin(), p.Origin))
			d.Service = p.Name
			d.Message = fmt.Sprintf("base backups of %s are made up to %s apart, and its window is %s: for the most part there is one, and all that can be recovered hangs on it", p.Name, roughly(every), window)
			d.Hint = "redundancy = 2, or a schedule that runs twice in the window"
			out = append(out, d)
		}
		for _, b := range f.pgBackRests() {
			events, known := f.fullBackups(b)
			every, bounded := f.apart(events)
			if !known || !bounded {
				continue
			}
			for _, i := range b.conf.Repositories(b.stanza) {
				r := b.conf.Retention(b.stanza, i)
				days, set := r.Full.Get()
				kept := time.Duration(min(days, 36500)) * 24 * time.Hour
				if !set || r.FullType.Or("") != "time" || every <= kept {
					continue
				}
				d := finding(originOr(r.Full.Origin(), b.server.PgBackRest.Origin))
				d.Service = b.server.Service
				d.Message = fmt.Sprintf("full backups of stanza %s are made up to %s apart, and repo%d-retention-full keeps those of %s: for the most part there is one, and all that can be recovered hangs on it", b.stanza, roughly(every), i, counted(days, "day"))
				d.Hint = fmt.Sprintf("repo%d-retention-full-type = \"count\" with 2 at least, or full backups twice in these days", i)
				out = append(out, d)
			}
		}
		return out
	},
}

// apart is how far events of a schedule lie apart at most; bounded is false where that is not known.
func (f *facts) apart(events []string) (every time.Duration, bounded bool) {
	var s backup.Schedule
	for _, text := range events {
		c, err := backup.ParseCalendar(text, f.host.Zones)
		if err != nil {
			return 0, false // its plan says so
		}
		s.Calendar = append(s.Calendar, c)
	}
	none, _ := stateward.NewDuration(0)
	s.RunTime = &none
	if len(s.Calendar) == 0 {
		return 0, false
	}
	gap := s.WorstGap(since, time.UTC)
	return gap.To.Sub(gap.From), gap.State == backup.GapBounded
}

// fullBackups are the events at which jobs make full backups of a stanza; known is false where something else may make them.
func (f *facts) fullBackups(b backRest) (events []string, known bool) {
	if b.conf.Remote(b.stanza) || f.host.Units.IsUnknown() {
		return nil, false
	}
	jobs := map[string]bool{}
	for _, j := range b.server.PgBackRest.Jobs {
		if j.Stanza != b.stanza {
			continue
		}
		jobs[jobUnit(j)] = true
		kind, typed := j.Type.Get()
		event, scheduled := j.Schedule.Get()
		switch {
		case typed && kind != "full":
		case !typed || !scheduled:
			return nil, false
		default:
			events = append(events, event)
		}
	}
	for _, u := range f.host.Units.Or(nil) {
		if !jobs[u.Name] && u.Enable.Or(true) && (makesFull(u.Name) || byPgBackRest(u)) {
			return nil, false
		}
	}
	return events, true
}
