package aggregate

import (
	"fmt"
	"slices"

	"github.com/stateward/stateward"
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

Jobs are looked at where a stanza of ` + "`services.pgbackrest`" + ` has no repository on another host, which may make the backups.

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
		for _, p := range f.servers() {
			stanza, called := pitr.ArchiveStanza(p.Settings["archive_command"].Or(""))
			conf, ok, err := pitr.ReadPgBackRest(p.PgBackRest)
			if !called || !ok || err != nil || pitr.ReadArchiving(p).State != stateward.SurvivalYes || !slices.Contains(conf.Stanzas(), stanza) {
				continue
			}
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
	if conf.Remote(stanza) || !p.Text.IsAbsent() {
		return pitr.PgBackRestFault{}, false
	}
	at, jobs := p.Origin, map[string]bool{}
	for _, j := range p.Jobs {
		if j.Stanza != stanza {
			continue
		}
		if j.Type.Or("full") == "full" {
			return pitr.PgBackRestFault{}, false
		}
		at, jobs["pgbackrest-"+j.Stanza+"-"+j.Name+".service"] = j.Origin, true
	}
	// A unit by hand may make them.
	for _, u := range f.host.Units.Or(nil) {
		if !jobs[u.Name] && u.Enable.Or(true) && makesFull(u.Name) {
			return pitr.PgBackRestFault{}, false
		}
	}
	if f.host.Units.IsUnknown() {
		return pitr.PgBackRestFault{}, false
	}
	reason := fmt.Sprintf("the log of stanza %s is archived, and no job makes backups of it: there is nothing that the log could be applied to", stanza)
	if len(jobs) > 0 {
		reason = fmt.Sprintf("no job makes full backups of stanza %s: all that can be recovered hangs on the first one", stanza)
	}
	return pitr.PgBackRestFault{Kind: pitr.NoFull, Reason: reason, Hint: stateward.OptionPath("services", "pgbackrest", "stanzas", stanza, "jobs", "weekly") + ` = { schedule = "Sun 03:00"; type = "full"; };`, Origin: at}, true
}
