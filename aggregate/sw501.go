package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
)

var sw501 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW501", Title: "the write-ahead log is dropped and taken for archived", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"G5"},
		Doc: doc(`
PostgreSQL removes a segment of its log as soon as ` + "`archive_command`" + ` ends with status 0. A command that does nothing, that ends with ` + "`|| true`" + `, ` + "`; exit 0`" + ` or an ` + "`echo`" + `, or that
goes on in the background, ends so whatever became of the segment: the archive has a gap, no recovery gets past it, and nothing tells of it.
` + "`archive-push-queue-max`" + ` of pgBackRest does the same once so much log waits: it is a warning. ` + "`archive-async`" + ` alone does not: pgBackRest 2 succeeds once the segment is in the archive, and what is in its spool
(` + "`spool-path`" + `) is what it knows of segments, or a copy of those that the archive has. Nothing is lost with it.

Mend it by letting the command fail. PostgreSQL then keeps the segment and tries again; watch the free space of pg_wal and pg_stat_archiver.

` + "```nix" + `
services.postgresql.settings.archive_command = "barman-cloud-wal-archive --gzip s3://bucket/pg main %p";
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, p := range f.servers() {
			command := p.Settings["archive_command"]
			for _, fault := range archiveFaults(p, "G5") {
				d := finding(command.Origin())
				d.Service = p.Service
				d.Message = fault
				d.Hint = "let the command fail where it stored nothing: the server keeps the segment and tries again"
				out = append(out, d)
			}
			max := p.QueueMax
			if conf, ok, err := pitr.ReadPgBackRest(p.PgBackRest); max.IsAbsent() && ok && err == nil {
				if stanza, called := pitr.ArchiveStanza(command.Or("")); called {
					max = conf.QueueMax(stanza)
				}
			}
			if size, ok := max.Get(); ok && size != "" {
				d := finding(originOr(max.Origin(), command.Origin()))
				d.Service, d.Severity = p.Service, stateward.SeverityWarning
				d.Message = fmt.Sprintf("pgBackRest drops the write-ahead log and says that it is archived once %s of it wait", size)
				d.Hint = "leave archive-push-queue-max out, and watch the free space of pg_wal"
				out = append(out, d)
			}
		}
		return out
	},
}

// archiveFaults are those of a trap in the command of a server that archives, or would if its mode were on.
func archiveFaults(p stateward.PITR, trap string) (out []string) {
	if p.Settings["archive_library"].Or("") != "" {
		return nil
	}
	a := pitr.ReadArchiving(p)
	if a.State == stateward.SurvivalNo && a.Origin.Option != p.Settings["archive_command"].Origin().Option {
		return nil // of that SW502 speaks
	}
	for _, fault := range pitr.CommandFaults(p.Settings["archive_command"].Or("")) {
		if fault.Trap == trap {
			out = append(out, fault.Reason)
		}
	}
	return out
}
