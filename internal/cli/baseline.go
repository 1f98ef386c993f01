package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// BaselineError says why a file is no baseline.
type BaselineError struct{ File, Reason, hint string }

func (e *BaselineError) Error() string { return fmt.Sprintf("baseline %s %s", e.File, e.Reason) }

// Hint says what to do about it.
func (e *BaselineError) Hint() string { return e.hint }

// baseline is what an earlier check found: of each fault the severities, the gravest first.
type baseline struct {
	known map[aggregate.FaultID][]stateward.Severity
	// accepted are those that did not count even then.
	accepted map[aggregate.FaultID][]stateward.Severity
	// groups are the members of each finding that counted.
	groups [][]aggregate.FaultID
}

// protocol is what every output of ours begins with.
type protocol struct {
	ProtocolVersion *string `json:"protocolVersion"`
}

// parseBaseline reads what `stateward check -o json` printed. What was accepted then makes nothing known: it
// was counted as accepted, and counts again when nobody accepts it any more.
func parseBaseline(name string, data []byte) (*baseline, error) {
	const hint = "write one with: stateward check -o json > FILE"
	var p protocol
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, &BaselineError{name, "is no JSON object: " + err.Error(), hint}
	}
	switch {
	case p.ProtocolVersion == nil:
		return nil, &BaselineError{name, "has no protocolVersion: it is no output of stateward check", hint}
	case *p.ProtocolVersion != protocolVersion:
		return nil, &BaselineError{name, fmt.Sprintf("has the protocolVersion %q, and this stateward reads %q", *p.ProtocolVersion, protocolVersion), "write it anew with this stateward"}
	}
	var out struct {
		Hosts *[]struct {
			Name     *string                 `json:"name"`
			Findings *[]stateward.Diagnostic `json:"findings"`
		} `json:"hosts"`
		Findings []stateward.Diagnostic `json:"findings"`
	}
	if err := json.Unmarshal(data, &out); err != nil {
		return nil, &BaselineError{name, "cannot be understood: " + err.Error(), hint}
	}
	if out.Hosts == nil {
		return nil, &BaselineError{name, "has no hosts: it is no output of stateward check", hint}
	}
	b := &baseline{known: map[aggregate.FaultID][]stateward.Severity{}, accepted: map[aggregate.FaultID][]stateward.Severity{}}
	seen := map[string]bool{}
	add := func(host string, findings []stateward.Diagnostic) error {
		for _, d := range findings {
			if d.Code == "" || d.Severity == 0 {
				return &BaselineError{name, fmt.Sprintf("has a finding of host %q without code or severity", host), hint}
			}
			members := d.Members()
			var group []aggregate.FaultID
			for i, id := range aggregate.Identify(host, d) {
				if d.Acknowledged == "" && members[i].Acknowledged == "" {
					b.known[id] = append(b.known[id], d.Severity)
					group = append(group, id)
				} else {
					b.accepted[id] = append(b.accepted[id], d.Severity)
				}
			}
			b.groups = append(b.groups, group)
		}
		return nil
	}
	for _, h := range *out.Hosts {
		switch {
		case h.Name == nil || h.Findings == nil:
			return nil, &BaselineError{name, "has a host without name or findings: it is no output of stateward check", hint}
		case seen[*h.Name]:
			return nil, &BaselineError{name, fmt.Sprintf("has the host %q twice", *h.Name), hint}
		}
		seen[*h.Name] = true
		if err := add(*h.Name, *h.Findings); err != nil {
			return nil, err
		}
	}
	if err := add("", out.Findings); err != nil {
		return nil, err
	}
	for _, m := range []map[aggregate.FaultID][]stateward.Severity{b.known, b.accepted} {
		for _, s := range m {
			slices.SortFunc(s, gravestFirst)
		}
	}
	return b, nil
}

func gravestFirst(a, b stateward.Severity) int { return cmp.Compare(b, a) }

// readBaseline reads a baseline file; "" is none.
func readBaseline(name string) (*baseline, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err == nil {
		defer f.Close()
		var data []byte
		if data, err = io.ReadAll(f); err == nil {
			return parseBaseline(name, data)
		}
	}
	reason := err.Error()
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		reason = pe.Err.Error()
	}
	return nil, &BaselineError{name, "cannot be read: " + reason, "write one with: stateward check -o json > FILE"}
}

// mark says of every finding whether the baseline knows it: it has the same fault, as often, and no less grave, for all
// members but those that are accepted. Whoever has only some gets a hint that names the others. What is accepted goes
// first, since what was accepted before is there for it alone.
func (b *baseline) mark(host string, findings []stateward.Diagnostic) []stateward.Diagnostic {
	out := slices.Clone(findings)
	if b == nil {
		return out
	}
	known, accepted := map[aggregate.FaultID][]stateward.Severity{}, map[aggregate.FaultID][]stateward.Severity{}
	var order []int
	for i, d := range findings {
		for _, id := range aggregate.Identify(host, d) {
			known[id], accepted[id] = b.known[id], b.accepted[id]
		}
		order = append(order, i)
	}
	counts := func(i int) int {
		if findings[i].Acknowledged == "" {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return cmp.Or(cmp.Compare(counts(i), counts(j)), gravestFirst(findings[i].Severity, findings[j].Severity))
	})
	take := func(from map[aggregate.FaultID][]stateward.Severity, id aggregate.FaultID, s stateward.Severity) bool {
		if len(from[id]) == 0 || from[id][0] < s {
			return false
		}
		from[id] = from[id][1:]
		return true
	}
	for _, i := range order {
		d := findings[i]
		members := d.Members()
		ids := aggregate.Identify(host, d)
		beforeKnown, beforeAccepted := map[aggregate.FaultID][]stateward.Severity{}, map[aggregate.FaultID][]stateward.Severity{}
		for _, id := range ids {
			beforeKnown[id], beforeAccepted[id] = known[id], accepted[id]
		}
		var missing []string
		for k, id := range ids {
			isAccepted := d.Acknowledged != "" || members[k].Acknowledged != ""
			switch {
			case isAccepted && take(accepted, id, d.Severity) || take(known, id, d.Severity):
			case isAccepted && d.Acknowledged == "":
				// It needs no baseline any more.
			default:
				missing = append(missing, members[k].String())
			}
		}
		if out[i].Baseline = len(missing) == 0; out[i].Baseline {
			continue
		}
		maps.Copy(known, beforeKnown)
		maps.Copy(accepted, beforeAccepted)
		if d.Acknowledged == "" && len(missing) < len(members) {
			if d.Hint != "" {
				out[i].Hint += "; "
			}
			out[i].Hint += "not in the baseline: " + strings.Join(missing, ", ")
		}
	}
	return out
}

// gone counts the findings of the baseline of which something is there no more, of what was looked for.
func (b *baseline) gone(now map[aggregate.FaultID]int, looked func(aggregate.FaultID) bool) int {
	lacking := map[aggregate.FaultID]int{}
	for id, s := range b.known {
		if looked(id) {
			lacking[id] = max(0, min(len(s), len(s)+len(b.accepted[id])-now[id]))
		}
	}
	n := 0
	for _, group := range b.groups {
		any := false
		for _, id := range group {
			if lacking[id] > 0 {
				lacking[id]--
				any = true
			}
		}
		if any {
			n++
		}
	}
	return n
}
