package aggregate

import (
	"regexp"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/storepath"
)

// FaultID tells findings apart that are the same fault from those that are not. Where it stands in a list or a file
// does not belong to it: that moves with every edit.
type FaultID struct {
	Host, Code, Service, Path, Subject string
	// Text is the message of what is told apart by nothing else.
	Text string
}

var listIndex = regexp.MustCompile(`^\[[0-9]+\]`)

// Identify names the members of a finding, in the order of its members.
func Identify(host string, d stateward.Diagnostic) []FaultID {
	var out []FaultID
	for _, m := range d.Members() {
		out = append(out, FaultID{host, d.Code, m.Service, withoutHashes(m.Path), withoutIndexes(withoutHashes(m.Subject)), tellingText(d)})
	}
	return out
}

var moreSubjects = regexp.MustCompile(`^ and [0-9]+ more`)

// tellingText is the message where the subject is a list of unlike things, such as assertions. Of SW603 it is the cause
// alone: how many values it takes away, and who needs them, is no part of it.
func tellingText(d stateward.Diagnostic) string {
	text := d.Message
	switch d.Code {
	default:
		return ""
	case "SW603":
		text = strings.TrimPrefix(text, d.Subject)
		text = text[len(moreSubjects.FindString(text)):]
		if i := strings.LastIndex(text, "; needed by "); i >= 0 {
			text = text[:i]
		}
	case "SW601", "SW602":
	}
	return withoutHashes(text)
}

// withoutHashes takes out what another revision of the flake alone changes in the name of a store path.
func withoutHashes(s string) string { return storepath.ReplaceHashes(s, "") }

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
