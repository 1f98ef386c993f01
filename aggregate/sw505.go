package aggregate

import (
	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
)

var sw505 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW505", Title: "pgBackRest refuses the log of this server", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"G3"},
		Doc: doc(`
` + "`archive_command`" + ` hands the write-ahead log to pgBackRest, and by its configuration pgBackRest takes none of it: the stanza that the command names is not there, the stanza is of a cluster in another directory
(as after an upgrade of PostgreSQL, which changes ` + "`dataDir`" + `), or a line of the file cannot be read. Each segment fails, pg_wal grows until the disk is full, and nothing can be recovered to.

Read is ` + "`services.pgbackrest`" + `, or ` + "`environment.etc.\"pgbackrest/pgbackrest.conf\".text`" + `. Of a file that is made at run time, such as by a template of secrets, nothing is said, nor of a stanza that the text lacks: another file may have it.

Mend it by one name and one directory in both.

` + "```nix" + `
services.postgresql.settings.archive_command = "pgbackrest --stanza=main archive-push %p";
services.pgbackrest.stanzas.main.instances.localhost.path = config.services.postgresql.dataDir;
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, p := range f.servers() {
			if pitr.ReadArchiving(p).State != stateward.SurvivalYes {
				continue
			}
			for _, x := range pgBackRestRefuses(f.host, p) {
				d := finding(originOr(x.Origin, p.Settings["archive_command"].Origin()))
				d.Service, d.Message, d.Hint = p.Service, x.Reason, x.Hint
				out = append(out, d)
			}
		}
		return out
	},
}
