package aggregate

import (
	"fmt"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
)

var sw510 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW510", Title: "cluster is to be archived, and is not", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"G3"},
		Doc: doc(`
A cluster of PostgreSQL is to be kept recoverable (` + "`stateward.pitr`" + `), and the host does not do it, or not all: nothing makes base backups, or removes old ones, or checks the archive; a unit was written of something else; the server's own
` + "`archive_command`" + ` stores elsewhere than the policy says; or no plan can be made. The declaration looks like a guard, and there is nothing to recover from.

Of two clusters at one place SW507 speaks, of values that could not be had SW603.

Mend it by what ` + "`stateward pitr plan -o nix`" + ` writes, which has to be written again when what is asked for changes.

` + "```sh" + `
stateward pitr plan .#forge -o nix > pitr.nix
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		if f.host.Units.IsUnknown() || f.host.Timers.IsUnknown() {
			return nil
		}
		var out []stateward.Diagnostic
		for _, r := range f.copies().clusters {
			say := func(at stateward.Origin, hint, format string, args ...any) {
				d := finding(originOr(at, r.Origin))
				d.Message, d.Hint = r.Name+" is to be archived, "+fmt.Sprintf(format, args...), hint
				out = append(out, d)
			}
			again := f.again("stateward pitr plan -o nix writes what does it")
			for _, x := range r.Faults {
				if !strings.Contains(x.Message, " is unknown: ") && !strings.HasSuffix(x.Message, "(G4)") {
					say(x.Origin, x.Hint, "and cannot: %s", x.Message)
				}
			}
			switch {
			case len(r.Faults) > 0:
			case r.State == pitr.NotRun:
				say(r.Origin, again, "and nothing that is read makes base backups of it")
			case r.State == pitr.NotArchived:
				say(r.Origin, "write archive_mode, archive_command and archive_timeout as the plan has them", "and its server does not archive as the policy says")
			case len(r.Stale) > 0:
				say(r.Origin, f.again("write them again: stateward pitr plan -o nix"), "and %s %s written of something else", strings.Join(r.Stale, ", "), pick(len(r.Stale), "was", "were"))
			case len(r.Missing) > 0:
				say(r.Origin, again, "and %s %s not there, or no timer starts %s", strings.Join(r.Missing, ", "), pick(len(r.Missing), "is", "are"), pick(len(r.Missing), "it", "them"))
			}
		}
		return out
	},
}
