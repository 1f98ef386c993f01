package aggregate

import (
	"errors"
	"fmt"

	"github.com/stateward/stateward"
)

var sw607 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW607", Title: "an acknowledgement does not hold", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"R10"},
		Doc: doc(`
An acknowledgement accepts nothing: its last day is over, it gives no reason, no check has its code, its date cannot be read,
or it names a code and nothing else. What it was meant for counts again, and is lost at the next boot where the finding says so.

An acknowledgement names a service, a subject or a path beside its code: by the code alone it would accept tomorrow what nobody has
seen today. To leave a check out as a whole, exclude it; that is counted and printed.

Mend what the message says: decide anew and write a later day, or mend the finding and remove the acknowledgement.

    [[acknowledge]]
    code = "SW101"
    service = "sonarr"
    reason = "the library is scanned again in an hour"
    until = 2027-01-31
`),
	},
	about: true,
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, a := range f.acks {
			d := a.finding()
			var fault *AcknowledgementError
			switch {
			case errors.As(a.fault, &fault):
				d.Message = fmt.Sprintf("the acknowledgement of %s %s: it accepts nothing", what(a.Acknowledgement), fault.Reason)
				d.Hint = fault.hint
			case a.undated && a.open > 0:
				d.Message = fmt.Sprintf("the acknowledgement of %s ends on %s, and what day it is was not given: its finding counts", what(a.Acknowledgement), a.Until)
				d.Hint = "give the time to the check"
			case a.expired && a.open > 0:
				d.Message = fmt.Sprintf("the acknowledgement of %s expired on %s, so its finding counts again; its reason was %q", what(a.Acknowledgement), a.Until, oneLine(a.Reason))
				d.Hint = "mend the finding, or decide anew and write a later day"
			default:
				continue
			}
			out = append(out, d)
		}
		return out
	},
}
