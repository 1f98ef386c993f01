package aggregate

import (
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
)

var sw502 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW502", Title: "the write-ahead log is archived in name only", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"G3"},
		Doc: doc(`
Some settings of PostgreSQL archive its write-ahead log and others keep it from doing so: an ` + "`archive_command`" + ` while ` + "`archive_mode`" + ` is off, ` + "`archive_mode`" + ` without a command or a library, with
both, or with ` + "`wal_level = minimal`" + `, with which the server does not start. Nothing reaches the archive, and no moment after the last base backup can be recovered.

Mend it by setting all of them, or none.

` + "```nix" + `
services.postgresql.settings = {
  archive_mode = "on";
  archive_command = "barman-cloud-wal-archive --gzip s3://bucket/pg main %p";
  archive_timeout = 300;
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, p := range f.servers() {
			command, library, mode := p.Settings["archive_command"], p.Settings["archive_library"], p.Settings["archive_mode"]
			wanted := strings.TrimSpace(command.Or("")) != "" || library.Or("") != ""
			a := pitr.ReadArchiving(p)
			if a.State != stateward.SurvivalNo || !wanted && mode.Or("off") == "off" {
				continue
			}
			origin := a.Origin
			if a.Why == "archive_mode is off" {
				if !wanted {
					continue
				}
				// The setting that is useless then; mode mostly is not written.
				origin = command.Origin()
				if library.Or("") != "" {
					origin = library.Origin()
				}
			} else if origin.Option == command.Origin().Option {
				continue // the command itself is at fault
			}
			d := finding(origin)
			d.Service = p.Service
			d.Message = "the write-ahead log of " + p.Service + " is not archived: " + a.Why
			d.Hint = "set archive_mode, wal_level and archive_command together, or none of them"
			out = append(out, d)
		}
		return out
	},
}
