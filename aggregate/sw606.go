package aggregate

import "github.com/stateward/stateward"

var sw606 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW606", Title: "an acknowledgement matches nothing", Severity: stateward.SeverityInfo, Since: "0.1", Traps: []string{"R10"},
		Doc: doc(`
An acknowledgement is there for a finding that the host does not have, or has no more: what it accepted was mended, or is
spelt in another way now. It loses nothing today. At the next boot nothing changes by it; but it stays, and the day the fault
comes back it is accepted unseen.

It is judged only on hosts that evaluate in full. One of ` + "`stateward.toml`" + ` is judged over all hosts of a run, and not where
only some of them were loaded.

Mend it by removing the acknowledgement, or by naming the finding as it is printed now:

    [[acknowledge]]
    code = "SW101"
    service = "sonarr"
    reason = "the library is scanned again in an hour"
`),
	},
	about: true,
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for _, a := range f.acks {
			if a.fault == nil && a.matched == 0 && !a.outside && !a.hidden {
				out = append(out, Unmatched(a.Acknowledgement))
			}
		}
		return out
	},
}
