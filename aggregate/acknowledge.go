package aggregate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
)

// AcknowledgementError says why an acknowledgement can hold for nothing.
type AcknowledgementError struct {
	// Field is the one at fault: "code", "service", "reason" or "until".
	Field  string
	Reason string
	hint   string
}

func (e *AcknowledgementError) Error() string { return e.Reason }

// Hint says what to write instead.
func (e *AcknowledgementError) Hint() string { return e.hint }

// CheckAcknowledgement tells whether an acknowledgement can hold at all: it has the code of a
// check, a service, subject or path, a reason, and as Until nothing or a date. The error is an *[AcknowledgementError].
func CheckAcknowledgement(a stateward.Acknowledgement) error {
	if a.Code == "" {
		return &AcknowledgementError{"code", "names no code", `add the finding's own, such as code = "SW101"`}
	}
	if !isCode(a.Code) {
		hint := "stateward explain lists all codes"
		if isCode(strings.ToUpper(a.Code)) {
			hint = "write " + strings.ToUpper(a.Code)
		}
		return &AcknowledgementError{"code", fmt.Sprintf("names %q, which is the code of no check", a.Code), hint}
	}
	// Else it would accept what nobody has seen yet.
	if a.Service == "" && a.Subject == "" && a.Path == "" {
		return &AcknowledgementError{"service", "names no service, subject or path", "add one as the finding has it; to leave a check out as a whole, exclude it"}
	}
	if strings.TrimSpace(a.Reason) == "" {
		return &AcknowledgementError{"reason", "has no reason", "say why this may stay as it is; the reason is printed with the finding"}
	}
	if a.Until != "" {
		if _, err := time.Parse(time.DateOnly, a.Until); err != nil {
			return &AcknowledgementError{"until", fmt.Sprintf("has the date %q, which cannot be read", a.Until), "write a day as in 2027-01-31, or leave it out"}
		}
	}
	return nil
}

func isCode(code string) bool {
	return slices.ContainsFunc(Catalog(), func(c Check) bool { return c.Code == code })
}

func observes(code string) bool {
	return slices.ContainsFunc(Catalog(), func(c Check) bool { return c.Code == code && c.observes })
}

func readsDrills(code string) bool {
	return slices.ContainsFunc(Catalog(), func(c Check) bool { return c.Code == code && c.drills })
}

// expired tells whether the last day is over, in UTC. Without a clock none is known to last.
func expired(a stateward.Acknowledgement, now time.Time) bool {
	return a.Until != "" && (now.IsZero() || now.UTC().Format(time.DateOnly) > a.Until)
}

// matches tells whether a finding is meant. What the acknowledgement names must be the same; only that
// "/a//b/" and "/a/b" are one path.
func matches(a stateward.Acknowledgement, d stateward.Diagnostic, host string) bool {
	// Who names a group as it is printed means it, and still accepts only its members.
	own := stateward.Covered{Service: d.Service, Path: d.Path, Subject: d.Subject}
	return accepts(a, d.Code, own, host) ||
		slices.ContainsFunc(d.Covers, func(m stateward.Covered) bool { return accepts(a, d.Code, m, host) })
}

// accepts tells whether one member of a finding is meant.
func accepts(a stateward.Acknowledgement, code string, m stateward.Covered, host string) bool {
	return a.Code == code &&
		(a.Host == "" || a.Host == host) &&
		(a.Service == "" || a.Service == m.Service) &&
		(a.Subject == "" || a.Subject == m.Subject) &&
		(a.Path == "" || cleanPath(a.Path) == cleanPath(m.Path))
}

// leavesOpen tells whether a member of a finding is meant that nothing else accepts.
func leavesOpen(a stateward.Acknowledgement, d stateward.Diagnostic, host string) bool {
	return slices.ContainsFunc(d.Members(), func(m stateward.Covered) bool { return m.Acknowledged == "" && accepts(a, d.Code, m, host) })
}

func cleanPath(s string) string {
	if p, err := stateward.ParsePath(s); err == nil {
		return p.String()
	}
	return s
}

// Acknowledge returns the findings of a host, those accepted with the reason for it, and for each
// acknowledgement how many findings it matches, be it in force or not. Their order does not matter: where several
// accept one place, it gets the reason that sorts first. A finding is accepted when all of its members are; else its
// hint names those that are not. The findings given are left as they are.
func Acknowledge(findings []stateward.Diagnostic, acks []stateward.Acknowledgement, host string, now time.Time) ([]stateward.Diagnostic, []int) {
	out := slices.Clone(findings)
	matched := make([]int, len(acks))
	byCode := map[string][]int{}
	for i, a := range acks {
		byCode[a.Code] = append(byCode[a.Code], i)
	}
	holds := make([]bool, len(acks))
	for i, a := range acks {
		holds[i] = CheckAcknowledgement(a) == nil && !expired(a, now)
	}
	for k, d := range out {
		var holding []stateward.Acknowledgement
		for _, i := range byCode[d.Code] {
			if !matches(acks[i], d, host) {
				continue
			}
			matched[i]++
			if holds[i] {
				holding = append(holding, acks[i])
			}
		}
		if len(holding) > 0 {
			acceptMembers(&out[k], holding, host)
		}
	}
	return out, matched
}

func acceptMembers(d *stateward.Diagnostic, acks []stateward.Acknowledgement, host string) {
	members := slices.Clone(d.Members())
	var reasons, open []string
	for i := range members {
		m := &members[i]
		for _, a := range acks {
			if reason := oneLine(a.Reason); accepts(a, d.Code, *m, host) && (m.Acknowledged == "" || reason < m.Acknowledged) {
				m.Acknowledged = reason
			}
		}
		if m.Acknowledged == "" {
			open = append(open, m.String())
		} else {
			reasons = addSorted(reasons, m.Acknowledged)
		}
	}
	if len(d.Covers) > 0 {
		d.Covers = members
	}
	if len(open) == 0 {
		d.Acknowledged = strings.Join(reasons, "; ")
		return
	}
	if d.Hint != "" {
		d.Hint += "; "
	}
	d.Hint += "not accepted by an acknowledgement: " + some(open)
}

// judgedAck is an acknowledgement, and what came of it.
type judgedAck struct {
	stateward.Acknowledgement
	// fault is why it can hold for nothing.
	fault error
	// undated tells that nobody said what day it is.
	expired, undated bool
	// matched counts the findings that are meant, open those of them that nothing else accepts.
	matched, open int
	// outside tells that it is not the host's own, but was given for all hosts.
	outside bool
	// hidden tells that the host may have findings that were not seen.
	hidden bool
}

func (a judgedAck) finding() stateward.Diagnostic {
	d := finding(a.Origin)
	if d.Subject == "" {
		d.Subject = "acknowledge"
	}
	return d
}

// what names the findings that are meant: "SW101 of sonarr at /var/lib/sonarr".
func what(a stateward.Acknowledgement) string {
	s := cmp.Or(a.Code, "a finding")
	if a.Service != "" {
		s += " of " + a.Service
	}
	if a.Path != "" {
		s += " at " + a.Path
	}
	if a.Subject != "" {
		s += " for " + a.Subject
	}
	if a.Host != "" {
		s += " on " + a.Host
	}
	return s
}

// acknowledge gives every finding the reason for which it is accepted, and adds what there is to say of the
// acknowledgements. What is said of those that are about SW606 and SW607 themselves cannot be accepted again.
func acknowledge(f *facts, in Input, ordinary []stateward.Diagnostic) ([]stateward.Diagnostic, []int) {
	own := in.Host.Acknowledgements.Or(nil)
	acks := slices.Concat(own, in.Acknowledgements)
	total := make([]int, len(acks))
	if in.Host.Status == stateward.StatusFailed {
		// Nothing was seen that somebody could have accepted.
		return ordinary, total[len(own):]
	}
	var out []stateward.Diagnostic
	round := ordinary
	for _, about := range []bool{false, true} {
		accepted, matched := Acknowledge(round, acks, in.Host.Name, in.Now)
		out = append(out, accepted...)
		f.acks = nil
		for i, a := range acks {
			total[i] += matched[i]
			if (a.Code == "SW606" || a.Code == "SW607") != about {
				continue
			}
			j := judgedAck{
				Acknowledgement: a, fault: CheckAcknowledgement(a), matched: matched[i], outside: i >= len(own),
				hidden: in.Host.Status != stateward.StatusOK || in.Observed == nil && observes(a.Code) || in.Drills == nil && readsDrills(a.Code),
			}
			j.expired = j.fault == nil && expired(a, in.Now)
			j.undated = j.expired && in.Now.IsZero()
			if j.expired {
				for _, d := range accepted {
					if d.Acknowledged == "" && leavesOpen(a, d, in.Host.Name) {
						j.open++
					}
				}
			}
			f.acks = append(f.acks, j)
		}
		round = nil
		for _, c := range Catalog() {
			if c.about {
				round = append(round, c.findings(f)...)
			}
		}
	}
	return append(out, round...), total[len(own):]
}

// Unmatched is the finding that an acknowledgement matches nothing on any host that could have it. Who
// gives acknowledgements for several hosts judges it over all of them, with the counts of [Report].
func Unmatched(a stateward.Acknowledgement) stateward.Diagnostic {
	d := judgedAck{Acknowledgement: a}.finding()
	d.Code, d.Severity = "SW606", stateward.SeverityInfo
	d.Message = fmt.Sprintf("the acknowledgement of %s matches no finding: %q", what(a), oneLine(a.Reason))
	d.Hint = "remove it, or name the finding as it is printed now"
	return d
}
