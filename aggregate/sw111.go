package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
)

var sw111 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW111", Title: "one path is given different owners or modes", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"P10"},
		Doc: doc(`
Two declarations name one path and give it another user, group or mode: two persistence entries, or an entry and the
service's own contract. Which of them is applied depends on their order, and the service may be unable to read its
state after the next boot.

Where the other one is a unit's ` + "`StateDirectory`" + `, the finding is a warning: systemd sets owner and mode at every start.

Mend it by saying it once.

` + "```nix" + `
environment.persistence."/persist".directories = [
  {
    directory = "/var/lib/sonarr";
    user = "root";
    group = "root";
    mode = "0700";
  }
];
qgroget.services.sonarr.persistedData = [
  {
    directory = "/var/lib/sonarr";
    user = "sonarr";
    group = "media";
    mode = "0750";
  } # not the same
];
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		first := map[stateward.AbsPath]stateward.Entry{}
		var out []stateward.Diagnostic
		compare := func(e stateward.Entry, service string, severity stateward.Severity) {
			if e.Problem != nil || !e.HasOwner() {
				return
			}
			have, ok := first[e.Path]
			if !ok {
				first[e.Path] = e
				return
			}
			holds := "their order decides"
			if severity == stateward.SeverityWarning {
				holds = "systemd sets its own"
			}
			for _, c := range ownerFields(&have, &e) {
				if !c.differ {
					continue
				}
				d := finding(e.Origin)
				d.Service, d.Path = service, e.Path.String()
				d.Message = fmt.Sprintf("%s is given %s %s here and %s by %s: %s at the next boot", e.Path, c.name, c.b, c.a, have.Origin, holds)
				d.Hint = "give owner and mode in one place"
				d.Severity = severity
				out = append(out, d)
			}
			if have.User.IsAbsent() {
				have.User = e.User
			}
			if have.Group.IsAbsent() {
				have.Group = e.Group
			}
			if have.Mode.IsAbsent() {
				have.Mode = e.Mode
			}
			first[e.Path] = have
		}
		for _, e := range f.entries {
			compare(*e.Entry, "", stateward.SeverityError)
		}
		for _, r := range f.rows {
			for sp := range r.declarations() {
				// systemd gives a StateDirectory its owner and mode at every start, so the unit wins.
				severity := stateward.SeverityError
				if sp.Source == stateward.SourceStateDirectory {
					severity = stateward.SeverityWarning
				}
				compare(sp.Entry, r.service.Name, severity)
			}
		}
		return out
	},
}
