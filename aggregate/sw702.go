package aggregate

import (
	"fmt"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

var sw702 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW702", Title: "password of a backup lies in that backup", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"R14"},
		Doc: doc(`
The password without which a backup cannot be read is a file on the host, and the only place where it is besides is that very backup. After the loss of the
host nobody can open it.

It is information where the file is made from an encrypted secret while the host boots (sops-nix, agenix), and the key that decrypts it lies in the backup: another
key may decrypt it too, which no option shows.

Mend it by keeping the password, or a key that decrypts it, in a second place, such as a password manager; then acknowledge the finding with the place.

` + "```nix" + `
services.restic.backups.daily.passwordFile = "/run/secrets/restic"; # encrypted for your own key too
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, j := range f.theJobs() {
			ref, ok := j.of.Secret.Get()
			if !ok || ref.NixPath || j.of.Asked {
				continue
			}
			p, err := stateward.ParsePath(ref.Text)
			if err != nil {
				continue
			}
			d := finding(j.of.Origin)
			d.Path = p.String()
			if !decrypted.Contains(p) && !agenix.Contains(p) {
				if stateward.MustPath("/nix/store").Contains(p) || runtime.Contains(p) || !f.stores(j, p) {
					continue
				}
				d.Message = fmt.Sprintf("the password of %s lies in %s, and otherwise in that very backup only", j.of.String(), p)
				d.Hint = "keep it in a second place too, and acknowledge the finding with the place"
				out = append(out, d)
				continue
			}
			var within []string
			all := true
			for _, e := range f.host.SecretKeys.Or(nil) {
				if e.Problem == nil && f.stores(j, e.Path) {
					within = append(within, e.Path.String())
				} else {
					all = false
				}
			}
			if len(within) == 0 || !all || f.host.SecretKeys.IsUnknown() {
				continue
			}
			d.Severity = stateward.SeverityInfo
			d.Message = fmt.Sprintf("the password of %s is decrypted with %s, which lies in that very backup; whether another key decrypts it too is not read", j.of.String(), strings.Join(within, ", "))
			d.Hint = "encrypt it for a key that is kept elsewhere too, and acknowledge the finding with the place"
			out = append(out, d)
		}
		return out
	},
}

var decrypted, agenix, runtime = stateward.MustPath("/run/secrets"), stateward.MustPath("/run/agenix"), stateward.MustPath("/run")

// stores tells whether a job surely stores a path.
func (f *facts) stores(j *scheduled[backup.Job], p stateward.AbsPath) bool {
	for _, one := range f.storing(p, true) {
		if one == j {
			return true
		}
	}
	return false
}
