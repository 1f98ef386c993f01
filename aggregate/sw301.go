package aggregate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

var sw301 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW301", Title: "snapshot policy keeps what nobody asked for, or nothing", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"S1"},
		Doc: doc(`
What a policy of sanoid leaves open, sanoid's own defaults fill in: 48 hourly, 90 daily and 6 monthly snapshots. A policy that names its
hourly and daily ones so keeps six monthly ones too, and what was deleted takes up its space for half a year. That is information.

It is a warning where a policy takes snapshots and keeps none: a number of 0 prunes all snapshots of that kind at the next run. So it is
where ` + "`recursive = zfs`" + ` and ` + "`process_children_only`" + ` stand together, with which sanoid takes none. And where it
names a template that is not there, or a key that sanoid does not have: ` + "`frequently`" + ` is the key, and not ` + "`minutely`" + `.

Mend it by writing every kind:

` + "```nix" + `
services.sanoid.templates.services = {
  hourly = 24;
  daily = 7;
  monthly = 0;
  autosnap = true;
  autoprune = true;
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		policies, faults := backup.SnapshotPolicies(f.host)
		for _, x := range faults {
			d := finding(x.Origin)
			d.Message = "the " + x.Error()
			if hint, ok := errors.AsType[interface {
				error
				Hint() string
			}](x.Err); ok {
				d.Hint = hint.Hint()
			}
			out = append(out, d)
		}
		for _, p := range policies {
			if itself, known := p.Itself.Get(); p.Atomic && known && !itself && p.By == nil {
				d := finding(p.Origin)
				d.Message = fmt.Sprintf("sanoid takes no snapshots of %s and of what is below: with process_children_only it passes over the one dataset by which recursive = zfs takes all", p.Dataset)
				d.Hint = "leave process_children_only out, or write recursive = true"
				out = append(out, d)
				continue
			}
			taken, ok := p.Taken().Get()
			if !ok || !p.AutoSnap.Or(false) {
				continue
			}
			d := finding(p.Origin)
			if len(taken) == 0 {
				d.Message = fmt.Sprintf("sanoid takes snapshots of %s and keeps none of any kind", p.Dataset)
				d.Hint = "keep some, such as hourly = 24, or write autosnap = false"
				if p.By != nil {
					d.Message = fmt.Sprintf("the %s takes snapshots of %s too (recursive = zfs), and the %s keeps none of them", p.By.String(), p.Dataset, p.String())
					d.Hint = "keep some, such as hourly = 24: autosnap = false is ignored here, and every kind that is 0 is pruned"
					if len(p.By.Taken().Or(nil)) == 0 {
						continue // said of the upper one
					}
				}
				out = append(out, d)
				continue
			}
			var kept, write []string
			for _, kind := range []string{"hourly", "daily", "monthly"} {
				if s := p.Settings[kind]; s.Default {
					kept = append(kept, s.Or("")+" "+kind)
					write = append(write, kind+" = "+s.Or("")+";")
				}
			}
			if len(kept) > 0 {
				d.Severity = stateward.SeverityInfo
				d.Message = fmt.Sprintf("sanoid keeps %s snapshots of %s by its own defaults, which no setting names", strings.Join(kept, ", "), p.Dataset)
				d.Hint = "write what is meant: " + strings.Join(write, " ")
				out = append(out, d)
			}
		}
		return out
	},
}
