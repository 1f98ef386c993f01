package aggregate

import (
	"errors"
	"fmt"

	"github.com/stateward/stateward"
)

// again is the hint where what a plan writes is missing or another; otherwise is for hosts whose plan is not wired as a whole.
func (f *facts) again(otherwise string) string {
	if f.host.Plan.IsAbsent() {
		return otherwise
	}
	return "write the plan of the host again: stateward plan host --write DIR"
}

var sw608 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW608", Title: "the plan that is wired is not what would be written now", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"E9", "R10"},
		Doc: doc(`
` + "`stateward.plan`" + ` is a file that was written of the configuration as it was then. What was changed since is not in it: a service that was added is not backed up and its
dataset is not made, one that was removed keeps its units, a schedule or a retention is the old one. The file does not follow by itself, since nix only reads it.

The plan is made anew of the configuration without what the file itself sets, with the options that it was written with, and the settings of both are compared. The finding names what differs. A plan
of another host, or of another protocolVersion, is refused by the module, and nothing of it is set.

Mend it by writing it again, look at what changed, and commit both together:

    stateward plan host . --write plans
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		text, ok := f.host.Plan.Get()
		if !ok {
			return nil // where it is not known SW603 says so
		}
		d := finding(f.host.Plan.Origin())
		d.Subject = "stateward.plan"
		d.Hint = "write it again: stateward plan host --write DIR"
		wired, err := ReadHostPlan([]byte(text))
		var now *HostPlan
		if err == nil {
			now, err = PlanHost(f.host, wired.With)
		}
		var fault *HostPlanError
		switch {
		case errors.As(err, &fault):
			d.Message = "nothing is wired: the plan " + fault.Reason
			d.Hint = fault.Hint()
		case err != nil:
			d.Message = fmt.Sprintf("whether the plan that is wired still holds is not known: %v", err)
			d.Hint = "stateward plan host says the same"
		case wired.HostName != now.HostName && wired.HostName != "":
			d.Message = fmt.Sprintf("nothing is wired: the plan is that of %s, and this host is %s", wired.HostName, now.HostName)
			d.Hint = "set it to the plan of this host"
		default:
			diff := wired.Compare(now)
			if diff.Empty() {
				return nil
			}
			d.Message = "the plan that is wired is not what would be written now: " + diff.String()
			if wired.Host != now.Host {
				d.Message = fmt.Sprintf("the plan that is wired is that of %s, and not that of %s, which has the same networking.hostName: %s", wired.Host, now.Host, diff.String())
				d.Hint = "set it to the plan of this host, which stateward plan host --write DIR writes"
			}
		}
		return []stateward.Diagnostic{d}
	},
}
