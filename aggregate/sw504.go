package aggregate

import "github.com/stateward/stateward"

var sw504 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW504", Title: "archive_command is refused by barman-cloud", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"G7"},
		Doc: doc(`
` + "`barman-cloud-wal-archive`" + ` takes DESTINATION SERVER_NAME WAL_PATH, in this order, and compression by an option for each kind (` + "`--gzip`" + `, ` + "`--bzip2`" + `, ` + "`--snappy`" + `; newer ones ` + "`--xz`" + `, ` + "`--zstd`" + `, ` + "`--lz4`" + `);
there is no ` + "`--compression`" + `. A command that it does not understand fails for every segment: nothing is archived, and pg_wal grows until the disk is full.
Options are compared with what the versions 2.12, 3.4 and 3.17 name themselves. Nothing is said of a command with variables in it.

Mend it by writing the command as ` + "`barman-cloud-wal-archive --help`" + ` of the installed version has it.

` + "```nix" + `
services.postgresql.settings.archive_command = "barman-cloud-wal-archive --gzip s3://bucket/pg main %p";
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, p := range f.servers() {
			for _, fault := range archiveFaults(p, "G7") {
				d := finding(p.Settings["archive_command"].Origin())
				d.Service = p.Service
				d.Message = fault
				d.Hint = "ask barman-cloud-wal-archive --help of the version that is installed"
				out = append(out, d)
			}
		}
		return out
	},
}
