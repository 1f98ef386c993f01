package cli

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"

	"github.com/stateward/stateward"
)

// BaselineError says why a file is no baseline.
type BaselineError struct{ File, Reason, hint string }

func (e *BaselineError) Error() string { return fmt.Sprintf("baseline %s %s", e.File, e.Reason) }

// Hint says what to do about it.
func (e *BaselineError) Hint() string { return e.hint }

// identity tells findings apart that are the same fault from those that are not. Where it stands in a list or a file
// does not belong to it: that moves with every edit.
type identity struct{ host, code, service, path, subject string }

var listIndex = regexp.MustCompile(`^\[[0-9]+\]`)

func identify(host string, d stateward.Diagnostic) identity {
	return identity{host, d.Code, d.Service, withoutHashes(d.Path), withoutIndexes(withoutHashes(d.Subject))}
}

var storeHash = regexp.MustCompile(`(/nix/store/)[0-9a-z]{32}-`)

// withoutHashes takes out what another revision of the flake alone changes in the name of a store path.
func withoutHashes(s string) string { return storeHash.ReplaceAllString(s, "${1}-") }

// withoutIndexes takes the indexes of lists out of an option path, but not what is in quotes.
func withoutIndexes(subject string) string {
	var out []byte
	quoted := false
	for i := 0; i < len(subject); i++ {
		switch c := subject[i]; {
		case quoted && c == '\\' && i+1 < len(subject):
			out = append(out, c)
			i++
		case c == '"':
			quoted = !quoted
		case c == '[' && !quoted:
			if m := listIndex.FindString(subject[i:]); m != "" {
				i += len(m) - 1
				continue
			}
		}
		out = append(out, subject[i])
	}
	return string(out)
}

// baseline is what an earlier check found: of each fault the severities, the gravest first.
type baseline struct {
	known map[identity][]stateward.Severity
	// accepted are those that did not count even then.
	accepted map[identity][]stateward.Severity
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
	b := &baseline{known: map[identity][]stateward.Severity{}, accepted: map[identity][]stateward.Severity{}}
	seen := map[string]bool{}
	add := func(host string, findings []stateward.Diagnostic) error {
		for _, d := range findings {
			if d.Code == "" || d.Severity == 0 {
				return &BaselineError{name, fmt.Sprintf("has a finding of host %q without code or severity", host), hint}
			}
			id := identify(host, d)
			if d.Acknowledged == "" {
				b.known[id] = append(b.known[id], d.Severity)
			} else {
				b.accepted[id] = append(b.accepted[id], d.Severity)
			}
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
	for _, m := range []map[identity][]stateward.Severity{b.known, b.accepted} {
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

// mark says of every finding whether the baseline knows it: it has the same fault, as often, and no less grave. What is
// accepted goes first, since what was accepted before is there for it alone.
func (b *baseline) mark(host string, findings []stateward.Diagnostic) []stateward.Diagnostic {
	out := slices.Clone(findings)
	if b == nil {
		return out
	}
	known, accepted := map[identity][]stateward.Severity{}, map[identity][]stateward.Severity{}
	var order []int
	for i, d := range findings {
		id := identify(host, d)
		known[id], accepted[id] = b.known[id], b.accepted[id]
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
	take := func(from map[identity][]stateward.Severity, i int) bool {
		id := identify(host, findings[i])
		s := from[id]
		if len(s) == 0 || s[0] < findings[i].Severity {
			return false
		}
		from[id] = s[1:]
		return true
	}
	for _, i := range order {
		out[i].Baseline = counts(i) == 0 && take(accepted, i) || take(known, i)
	}
	return out
}

// gone counts what the baseline knows and is there no more, of what was looked for.
func (b *baseline) gone(now map[identity]int, looked func(identity) bool) int {
	n := 0
	for id, s := range b.known {
		if looked(id) {
			n += max(0, min(len(s), len(s)+len(b.accepted[id])-now[id]))
		}
	}
	return n
}
