package dataset

import (
	"fmt"

	"github.com/stateward/stateward"
)

var sw202 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW202", Title: "dataset is declared twice, and not alike", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"D4"},
		Doc: doc(`
Two options declare one dataset and give it another value of a property, another owner or another mode. Whoever comes last wins, and
sets it back at the next run of the other: the value changes from boot to boot, and data is written in two ways or to two places.

Two declarations that do not contradict one another are one, and no finding.

Mend it by saying it once:

` + "```nix" + `
stateward.services.sonarr.dataset = {
  name = "tank/services/sonarr";
  properties.recordsize = "16K";
};
modules.storage.datasets.utility."tank/services/sonarr".recordsize = "128K"; # not the same
` + "```" + `
`),
	},
	run: func(h *stateward.Host, faults []Fault) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, f := range ofKind(faults, Contradiction) {
			d := diagnostic(h, &f)
			d.Message = fmt.Sprintf("dataset %s: %s", f.Dataset, f.Message)
			if len(f.Others) > 0 {
				d.Message = fmt.Sprintf("dataset %s %s: the other is %s", f.Dataset, f.Message, f.Others[0].Option)
			}
			out = append(out, d)
		}
		return out
	},
}
