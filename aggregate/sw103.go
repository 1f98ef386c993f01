package aggregate

import (
	"fmt"

	"github.com/stateward/stateward"
)

var sw103 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW103", Title: "path is persisted twice", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"P2", "N9"},
		Doc: doc(`
One path stands twice in the lists of ` + "`environment.persistence`" + `: as a text and as an attribute set, once by the host
and once by a collector, with doubled or trailing slashes, or in two roots. Impermanence refuses the configuration
("The following directories were specified two or more times"); where the spelling hides it from that assertion,
two mounts fight over one place and one of them hides the other's data. The entries of users count, and so do those
of home-manager, which newer modules of Impermanence mount themselves.

Preservation has no such assertion. In one of its roots the finding is a warning: the directory is mounted once.

Mend it by keeping one of them.

` + "```nix" + `
environment.persistence."/persist".directories = [
  "/var/lib/sonarr"
  {
    directory = "/var/lib/sonarr";
    user = "sonarr";
    group = "sonarr";
    mode = "0750";
  } # keep this one
];
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		first := map[stateward.AbsPath]rootEntry{}
		var out []stateward.Diagnostic
		for _, e := range f.entries {
			if e.Problem != nil {
				continue
			}
			have, ok := first[e.Path]
			if !ok {
				first[e.Path] = e
				continue
			}
			d := finding(e.Origin)
			d.Path = e.Path.String()
			d.Message = fmt.Sprintf("%s is persisted twice, here and by %s: the system is refused, or one mount hides the other at the next boot", e.Path, have.Origin)
			if have.root.path != e.root.path {
				d.Message = fmt.Sprintf("%s is persisted in two roots, %s and %s: at the next boot one hides what is in the other", e.Path, have.root.path, e.root.path)
			}
			d.Hint = "keep one of the two entries"
			if have.root == e.root && e.root.Module == stateward.Preservation && have.Rare().How.String() == e.Rare().How.String() {
				d.Severity = stateward.SeverityWarning
				d.Message = fmt.Sprintf("%s is persisted twice, here and by %s: one of the two does nothing at the next boot", e.Path, have.Origin)
			}
			out = append(out, d)
		}
		return out
	},
}
