package aggregate

import (
	"fmt"
	"strings"

	"github.com/stateward/stateward"
)

var sw604 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW604", Title: "secret file would be copied into the nix store", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"N1"},
		Doc: doc(`
An option that names a secret file holds a Nix path, or a path inside of the store. A Nix path that is used is copied
into ` + "`/nix/store`" + `, which everybody on the machine can read and which is copied to caches and other hosts; older versions of
nix copy it already when the option is only looked at.

Mend it by writing a text with the path that the file has at run time, such as the one that sops-nix or agenix gives.

` + "```nix" + `
services.restic.backups.daily.passwordFile = ./restic-password; # copied into the store
services.restic.backups.daily.passwordFile = "/run/secrets/restic-password"; # read where it is
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		var files [][]stateward.Value[stateward.FileRef]
		for _, j := range f.host.Jobs.Or(nil) {
			files = append(files, []stateward.Value[stateward.FileRef]{j.PasswordFile, j.EnvironmentFile, j.RepositoryFile})
		}
		for _, r := range f.host.BackupRepositories.Or(nil) {
			files = append(files, []stateward.Value[stateward.FileRef]{r.PasswordFile, r.EnvironmentFile, r.URLFile})
		}
		for _, p := range f.host.PITRPolicies.Or(nil) {
			files = append(files, []stateward.Value[stateward.FileRef]{p.EnvironmentFile, p.CredentialsFile})
		}
		for _, list := range files {
			for _, v := range list {
				ref, ok := v.Get()
				if !ok || !ref.NixPath && !strings.HasPrefix(ref.Text, "/nix/store/") {
					continue
				}
				d := finding(v.Origin())
				d.Path = ref.Text
				if ref.NixPath {
					d.Message = fmt.Sprintf("%s is a Nix path: using it copies the secret into the world-readable store", d.Subject)
				} else {
					d.Message = fmt.Sprintf("%s lies in the world-readable store", d.Subject)
				}
				d.Hint = "write a text with the path that the file has at run time"
				out = append(out, d)
			}
		}
		return out
	},
}
