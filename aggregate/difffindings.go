package aggregate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/stateward/stateward"
)

// findings compares what the checks say, and what is accepted of it.
func (d *differ) findings() {
	type member struct {
		severity stateward.Severity
		reason   string
	}
	gather := func(s *diffSide) map[FaultID][]member {
		out := map[FaultID][]member{}
		for _, f := range s.Report.Findings {
			covered := f.Members()
			for i, id := range Identify("", f) {
				out[id] = append(out[id], member{f.Severity, cmp.Or(f.Acknowledged, covered[i].Acknowledged)})
			}
		}
		for _, list := range out {
			slices.SortFunc(list, func(a, b member) int {
				return cmp.Or(cmp.Compare(b.severity, a.severity), cmp.Compare(a.reason, b.reason))
			})
		}
		return out
	}
	old, new := gather(d.old), gather(d.new)
	// onlyHere tells of the findings of one side of which the other one lacks a member.
	onlyHere := func(s *diffSide, here, there map[FaultID][]member, comes bool) {
		for _, f := range s.Report.Findings {
			lacking := slices.ContainsFunc(Identify("", f), func(id FaultID) bool { return len(here[id]) > len(there[id]) })
			if !lacking {
				continue
			}
			c := Change{Kind: AboutFinding, Severity: f.Severity, Service: f.Service, Path: f.Path, Subject: f.Code, Hint: f.Hint, File: f.File, Line: f.Line}
			side := &c.Old
			if comes {
				side = &c.New
			}
			*side = f.Severity.String()
			switch {
			case f.Acknowledged != "":
				c.Effect, c.Severity, c.Message = Changed, stateward.SeverityInfo, fmt.Sprintf("%s%s (accepted: %s)", pickText(comes, "new: ", "gone: "), f.Message, f.Acknowledged)
			case comes:
				c.Effect, c.Message = Worse, f.Message
			default:
				c.Effect, c.Message, c.Hint = Better, "gone: "+f.Message, ""
			}
			d.add(c)
		}
	}
	onlyHere(d.new, new, old, true)
	onlyHere(d.old, old, new, false)
	for id, before := range old {
		after := new[id]
		for i := range min(len(before), len(after)) {
			a, b := before[i], after[i]
			c := Change{Service: id.Service, Path: id.Path, Subject: id.Code}
			if a.severity != b.severity {
				x := c
				x.Kind, x.Old, x.New, x.Severity, x.Effect = AboutFinding, a.severity.String(), b.severity.String(), b.severity, Better
				if b.severity > a.severity {
					x.Effect = Worse
				}
				x.Message = fmt.Sprintf("%s is %s from now on, and was %s", cmp.Or(id.Path, id.Subject, id.Code), x.New, x.Old)
				d.add(x)
			}
			if a.reason == b.reason {
				continue
			}
			c.Kind, c.Effect, c.Old, c.New = AboutAcknowledgement, Changed, a.reason, b.reason
			what := fmt.Sprintf("the finding of %s", cmp.Or(id.Path, id.Subject, "the host"))
			switch {
			case b.reason == "":
				c.Severity, c.Message = min(b.severity, stateward.SeverityWarning), fmt.Sprintf("%s is not accepted any more: %s", what, a.reason)
			case a.reason == "":
				c.Message = fmt.Sprintf("%s is accepted from now on: %s", what, b.reason)
			default:
				c.Message = fmt.Sprintf("%s is accepted for another reason: %s", what, b.reason)
			}
			d.add(c)
		}
	}
}
