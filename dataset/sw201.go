package dataset

import (
	"fmt"

	"github.com/stateward/stateward"
)

var sw201 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW201", Title: "dataset cannot be made as it is declared", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"D3", "D5"},
		Doc: doc(`
A declared dataset has a name that ZFS refuses, a property that it does not know or that nobody can set, a value that it does not
take (a recordsize that is no power of two), or an owner or mode that is none (` + "`999`" + `). Whoever makes the datasets fails there, often
in the middle: the dataset is missing, or has another property than you think, and the service writes to the root file system.

Names with a blank or with a part that begins with a dash are refused too: ZFS takes them, and scripts, units and sanoid do not.

Mend the line that the finding names:

` + "```nix" + `
modules.storage.datasets.services.sonarr = {
  recordsize = "20K"; # no power of two: 16K or 32K
  mode = "999"; # not octal: "0750"
};
` + "```" + `
`),
	},
	run: func(h *stateward.Host, faults []Fault) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, f := range ofKind(faults, BadName, BadProperty, NotUnderstood) {
			d := diagnostic(h, &f)
			if f.Kind != BadName {
				d.Message = fmt.Sprintf("dataset %s: %s", f.Dataset, f.Message)
			}
			if d.Hint == "" {
				d.Hint = hintOf(f.Property)
			}
			out = append(out, d)
		}
		return out
	},
}

// hintOf says what to write where the fault is in the form.
func hintOf(property string) string {
	switch property {
	case "mode":
		return (&stateward.ModeError{}).Hint()
	case "owner", "group":
		return (&stateward.OwnerError{}).Hint()
	case "":
		return "write it as zfsprops(7) has it, or leave it out"
	default:
		return fmt.Sprintf("write %s as zfsprops(7) has it, or leave it out", property)
	}
}
