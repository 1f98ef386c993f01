package aggregate

import (
	"fmt"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
)

var sw703 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW703", Title: "password of a backup is written in the configuration", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"R11"},
		Doc: doc(`
The address of a repository holds a password, or borg's passphrase, or a key of pgBackRest's store, is given as a text. It is in the configuration, and with it in the nix store, which everybody on the machine can read and which
is copied to caches and other hosts. Of a file that would be copied there SW604 speaks.

Mend it by a file: of the address, or of the passphrase.

` + "```nix" + `
services.restic.backups.daily.repositoryFile = "/run/secrets/restic-repository"; # rest:https://user:password@nas/
services.borgbackup.jobs.daily.encryption = {
  mode = "repokey";
  passCommand = "cat /run/secrets/borg";
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, j := range f.theJobs() {
			if r, ok := j.of.Repository.Get(); ok && r.Password {
				d := finding(j.of.Repository.Origin())
				d.Message = fmt.Sprintf("the address of %s holds a password, which the world-readable store holds then too", j.of.String())
				d.Hint = "write the address into a file, and name that with repositoryFile"
				out = append(out, d)
			}
			if v := f.raw(&j.of).Passphrase; v.Or(false) {
				d := finding(v.Origin())
				d.Message = fmt.Sprintf("the passphrase of %s is written as a text, which the world-readable store holds then too", j.of.String())
				d.Hint = "write it into a file, and name that with encryption.passCommand"
				out = append(out, d)
			}
		}
		for _, p := range f.servers() {
			conf, ok, err := pitr.ReadPgBackRest(p.PgBackRest)
			if !ok || err != nil {
				continue
			}
			for _, v := range conf.Secrets() {
				d := finding(v.Origin())
				d.Service = p.Service
				d.Message = fmt.Sprintf("%s of pgBackRest is written as a text, which the world-readable store holds then too", v.Or(""))
				d.Hint = "give it by an environment file: PGBACKREST_" + strings.ToUpper(strings.ReplaceAll(v.Or(""), "-", "_")) + "=…"
				out = append(out, d)
			}
		}
		return out
	},
}
