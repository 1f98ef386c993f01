package aggregate

import (
	"fmt"
	"slices"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
)

// pgBackRest compares what pgBackRest keeps of a server: `pgbackrest expire`, which each backup ends with, removes the rest.
func (d *differ) pgBackRest(a, b stateward.PITR) {
	c := Change{Kind: AboutRetention, Service: b.Service, Subject: "pgBackRest", Severity: stateward.SeverityError, Loses: true}
	read := func(p stateward.PITR) (conf *pitr.PgBackRestConfig, why string) {
		_, called := pitr.ArchiveStanza(p.Settings["archive_command"].Or(""))
		conf, ok, err := pitr.ReadPgBackRest(p.PgBackRest)
		switch {
		case err != nil:
			return nil, "its file cannot be read: " + err.Error()
		case ok:
			return conf, ""
		case p.PgBackRest != nil:
			u, _ := p.PgBackRest.Text.Why()
			return nil, u.String()
		case called:
			return nil, "archive_command calls it, and its configuration is not read"
		}
		return nil, ""
	}
	from, oldWhy := read(a)
	to, newWhy := read(b)
	words := func(conf *pitr.PgBackRestConfig) string { return pickText(conf != nil, "read", "") }
	if d.unsure(stated{words(from), words(to), oldWhy, newWhy}, c, "what pgBackRest keeps") || from == nil || to == nil {
		return // where it comes or goes the archiving tells
	}
	for _, stanza := range from.Stanzas() {
		if !slices.Contains(to.Stanzas(), stanza) {
			continue
		}
		had, has := from.Repositories(stanza), to.Repositories(stanza)
		for _, i := range had {
			if slices.Contains(has, i) {
				d.pgBackRestRepository(c, stanza, i, from.Retention(stanza, i), to.Retention(stanza, i))
				continue
			}
			d.add(Change{Effect: Worse, Severity: stateward.SeverityWarning, Kind: AboutPITR, Service: b.Service, Subject: fmt.Sprintf("pgBackRest %s repo%d", stanza, i), Old: "used",
				Message: fmt.Sprintf("pgBackRest has no repository %d of stanza %s any more: what it stored there stays, and nothing adds to it or looks after it", i, stanza)})
		}
		for _, i := range has {
			if !slices.Contains(had, i) {
				d.add(Change{Effect: Better, Kind: AboutPITR, Service: b.Service, Subject: fmt.Sprintf("pgBackRest %s repo%d", stanza, i), New: "used",
					Message: fmt.Sprintf("pgBackRest has a repository %d of stanza %s now", i, stanza)})
			}
		}
	}
}

// pgBackRestRepository compares what is kept of a stanza in one repository.
func (d *differ) pgBackRestRepository(c Change, stanza string, repository int, a, b pitr.PgBackRestRetention) {
	// What one number counts is another thing once its type is another one.
	type kept struct {
		name, all, removes string
		old, new           stateward.Value[int]
		oldOf, newOf       stateward.Value[string]
		count              func(n int, of string) string
	}
	for _, k := range []kept{
		{name: "full", all: "all full backups", old: a.Full, new: b.Full, oldOf: a.FullType, newOf: b.FullType, removes: "older ones are removed, with what is built on them and their log",
			count: func(n int, of string) string {
				return pickText(of == "time", "full backups of "+counted(n, "day"), counted(n, "full backup"))
			}},
		{name: "diff", all: "all differential backups", old: a.Diff, new: b.Diff, removes: "older ones are removed, with what is built on them",
			count: func(n int, _ string) string { return counted(n, "differential backup") }},
		{name: "archive", all: "the log of all backups", old: a.Archive, new: b.Archive, oldOf: a.ArchiveType, newOf: b.ArchiveType, removes: "of older backups only the moment of their end can be restored",
			count: func(n int, of string) string { return "the log of " + counted(n, of+" backup") }},
	} {
		side := func(n stateward.Value[int], of stateward.Value[string]) stateward.Value[string] {
			if _, is := n.Get(); is && of.IsUnknown() {
				return of // of what it is the number
			}
			return stateward.MapValue(n, func(n int) (string, error) { return k.count(n, of.Or("")), nil })
		}
		x := c
		x.Subject = fmt.Sprintf("pgBackRest %s repo%d-retention-%s", stanza, repository, k.name)
		s := state(side(k.old, k.oldOf), side(k.new, k.newOf), sameText)
		if d.unsure(s, x, x.Subject) || s.old == s.new {
			continue
		}
		n, had := k.old.Get()
		m, has := k.new.Get()
		x.Old, x.New = s.old, s.new
		kept, keeps := pickText(had, s.old, k.all), pickText(has, s.new, k.all)
		text := fmt.Sprintf("pgBackRest keeps %s of stanza %s in repository %d from now on, and kept %s", keeps, stanza, repository, kept)
		switch {
		case had && has && k.oldOf.Or("") != k.newOf.Or(""):
			x.Effect, x.Message = Changed, text+": how many go by that is not worked out"
		case !had || has && m < n:
			x.Effect, x.Message = Worse, text+": "+k.removes
		default:
			x.Effect, x.Message = Better, text
		}
		d.add(x)
	}
}
