package aggregate

import (
	"errors"
	"fmt"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/pitr"
)

var sw506 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW506", Title: "pgBackRest keeps too much, or too little", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"G3"},
		Doc: doc(`
A moment can be recovered where a full backup lies before it, and all of the log in between. By its configuration pgBackRest breaks that: no job makes full backups, so that all hangs on the very first one; the log of
fewer full backups is kept than there are (` + "`retention-archive`" + `), and the others can be restored to the moment of their end only. Or ` + "`retention-full`" + ` is not set, and nothing expires: the day the
repository is full, the log piles up on the server.

That one full backup is kept is information: each new one takes away all that could be recovered to before it.

Who makes backups is looked at where a stanza has no repository on another host, which may make them. These are the jobs of ` + "`services.pgbackrest`" + `, and units whose name tells of pgBackRest or PostgreSQL and whose script
or ` + "`ExecStart=`" + ` runs ` + "`pgbackrest … backup`" + `. A table of cron, and a unit of any other name, is not read: acknowledge the finding where one of these makes them. A job whose schedule systemd does not read makes none.

Mend it by full backups on a schedule, and by a number for these alone.

` + "```nix" + `
services.pgbackrest = {
  repos.localhost = {
    path = "/backup/pgbackrest";
    retention-full = 4;
  };
  stanzas.default.jobs.weekly = {
    schedule = "Sun 03:00";
    type = "full";
  };
  stanzas.default.jobs.daily = {
    schedule = "Mon..Sat 03:00";
    type = "diff";
  };
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, b := range f.pgBackRests() {
			p, conf, stanza := b.server, b.conf, b.stanza
			faults := conf.Keeping(stanza)
			if x, is := f.noFull(p.PgBackRest, conf, stanza); is {
				faults = append(faults, x)
			}
			for _, x := range faults {
				d := finding(originOr(x.Origin, p.PgBackRest.Origin))
				d.Service, d.Message, d.Hint = p.Service, x.Reason, x.Hint
				if x.Kind == pitr.OneChain {
					d.Severity = stateward.SeverityInfo
				}
				out = append(out, d)
			}
		}
		return out
	},
}

// noFull tells whether the jobs of a stanza make no full backup, where these are all there is.
func (f *facts) noFull(p *stateward.PgBackRest, conf *pitr.PgBackRestConfig, stanza string) (pitr.PgBackRestFault, bool) {
	if conf.Remote(stanza) {
		return pitr.PgBackRestFault{}, false
	}
	at, jobs, never := p.Origin, map[string]bool{}, (*pitr.PgBackRestFault)(nil)
	for _, j := range p.Jobs {
		if j.Stanza != stanza {
			continue
		}
		jobs[jobUnit(j)] = true
		if j.Type.Or("full") != "full" {
			at = j.Origin
			continue
		}
		bad := f.noSchedule(j)
		if bad == nil {
			return pitr.PgBackRestFault{}, false
		}
		never = bad
	}
	// A unit by hand may make them.
	for _, u := range f.host.Units.Or(nil) {
		if !jobs[u.Name] && u.Enable.Or(true) && (makesFull(u.Name) || byPgBackRest(u)) {
			return pitr.PgBackRestFault{}, false
		}
	}
	if f.host.Units.IsUnknown() {
		return pitr.PgBackRestFault{}, false
	}
	if never != nil {
		return *never, true
	}
	if !p.Text.IsAbsent() {
		return pitr.PgBackRestFault{Kind: pitr.NoFull, Reason: fmt.Sprintf("the log of stanza %s is archived, and nothing that is read makes backups of it: without one there is nothing that the log could be applied to", stanza),
			Hint: fmt.Sprintf(`systemd.services.pgbackrest-%s = { script = "pgbackrest --stanza=%s --type=full backup"; startAt = "Sun 03:00"; };, or acknowledge it where something else makes them`, stanza, stanza), Origin: at}, true
	}
	reason := fmt.Sprintf("the log of stanza %s is archived, and no job makes backups of it: there is nothing that the log could be applied to", stanza)
	if len(jobs) > 0 {
		reason = fmt.Sprintf("no job makes full backups of stanza %s: all that can be recovered hangs on the first one", stanza)
	}
	return pitr.PgBackRestFault{Kind: pitr.NoFull, Reason: reason, Hint: stateward.OptionPath("services", "pgbackrest", "stanzas", stanza, "jobs", "weekly") + ` = { schedule = "Sun 03:00"; type = "full"; };`, Origin: at}, true
}

// jobUnit is the unit that the module of NixOS makes of a job.
func jobUnit(j stateward.PgBackRestJob) string {
	return "pgbackrest-" + j.Stanza + "-" + j.Name + ".service"
}

// noSchedule tells of a job that systemd never starts.
func (f *facts) noSchedule(j stateward.PgBackRestJob) *pitr.PgBackRestFault {
	text, known := j.Schedule.Get()
	var bad interface{ Hint() string } // an error that has none says that nothing is known
	if !known {
		return nil
	}
	if _, err := backup.ParseCalendar(text, f.host.Zones); errors.As(err, &bad) {
		return &pitr.PgBackRestFault{Kind: pitr.NoFull, Reason: fmt.Sprintf("systemd does not read the schedule of the job %s of stanza %s: %s. It never makes a full backup", j.Name, j.Stanza, err), Hint: bad.Hint(), Origin: j.Schedule.Origin()}
	}
	return nil
}
