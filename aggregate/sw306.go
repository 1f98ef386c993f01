package aggregate

import (
	"fmt"
	"slices"

	"github.com/stateward/stateward"
)

var sw306 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW306", Title: "repository of a cloud has no file with credentials", Severity: stateward.SeverityInfo, Since: "0.1", Traps: []string{"R11"},
		Doc: doc(`
A restic job stores at a provider whose protocol asks for credentials (` + "`s3`, `b2`, `azure`, `gs`, `swift`" + `), and names no ` + "`environmentFile`" + `. It fails at its first run, or
it gets its credentials in a way that is not read: from the unit itself, from a role of the machine, from a file in the home of root. It is information for that reason.

Mend it by naming the file.

` + "```nix" + `
services.restic.backups.daily = {
  repository = "b2:bucket:forge";
  environmentFile = "/run/secrets/b2";
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, j := range f.theJobs() {
			r, ok := j.of.Repository.Get()
			if !ok || j.of.Engine.Or("") != "restic" || !slices.Contains([]string{"s3", "b2", "azure", "gs", "swift"}, r.Scheme) || !f.raw(&j.of).EnvironmentFile.IsAbsent() {
				continue
			}
			d := finding(j.of.Origin)
			d.Message = fmt.Sprintf("%s stores in %s and names no file with the credentials that %s asks for", j.of.String(), r.Name, r.Scheme)
			d.Hint = "write environmentFile, such as one that sops-nix or agenix gives"
			out = append(out, d)
		}
		return out
	},
}
