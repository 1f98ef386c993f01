package dataset

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var sw210 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW210", Title: "value of a dataset is expanded by a shell", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"D6"},
		Doc: doc(`
What ` + "`modules.storage.datasets`" + ` declares is written into a shell script between double quotes, as it is: a mountpoint or a value
that holds ` + "`$`" + `, a backtick, a double quote or a backslash is not that value there. The shell puts something else in its place, or runs
what stands in ` + "`$( )`" + ` – as root.

Datasets that stateward makes are not affected: every value is quoted, in one place.

Mend it by writing a value without these characters:

` + "```nix" + `
modules.storage.datasets.utility."tank/media" = {
  mountpoint = "/srv/$HOSTNAME"; # is "/srv/" there: write "/srv/${config.networking.hostName}"
};
` + "```" + `
`),
	},
	run: func(h *stateward.Host, _ []Fault) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, ds := range h.Datasets.Or(nil) {
			if !strings.HasPrefix(ds.Origin.Option, "modules.storage.datasets.") || ds.Asked {
				continue // written into no script
			}
			values := map[string]stateward.Value[string]{"mountpoint": ds.MountPoint}
			for name, v := range ds.Properties {
				values[name] = v
			}
			for name, v := range values {
				text, ok := v.Get()
				if i := strings.IndexAny(text, "$`\"\\"); ok && i >= 0 {
					o := cmp.Or(v.Origin(), ds.Origin)
					d := diagnostic(h, &Fault{Dataset: ds.Name, Origin: o})
					d.Message = fmt.Sprintf("dataset %s: the value %q of %s holds %q, and a script has it between double quotes: the shell expands it", ds.Name, text, name, text[i:i+1])
					d.Hint = "write a value without $, backticks, double quotes and backslashes"
					out = append(out, d)
				}
			}
		}
		slices.SortFunc(out, stateward.CompareDiagnostics)
		return out
	},
}
