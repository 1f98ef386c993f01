package stateward

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity ranks findings.
type Severity uint8

const (
	// SeverityInfo is worth knowing and loses nothing.
	SeverityInfo Severity = iota + 1
	// SeverityWarning may lose data, or could not be told.
	SeverityWarning
	// SeverityError loses data.
	SeverityError
)

// ParseSeverity accepts "info", "warning" and "error".
func ParseSeverity(s string) (Severity, error) {
	for _, v := range []Severity{SeverityInfo, SeverityWarning, SeverityError} {
		if v.String() == s {
			return v, nil
		}
	}
	return 0, fmt.Errorf("severity %q is none of info, warning, error", s)
}

func (s Severity) String() string {
	switch s {
	case SeverityInfo:
		return "info"
	case SeverityWarning:
		return "warning"
	case SeverityError:
		return "error"
	default:
		return fmt.Sprintf("severity(%d)", uint8(s))
	}
}

// MarshalText writes "info", "warning" or "error"; any other value is an error.
func (s Severity) MarshalText() ([]byte, error) {
	if s < SeverityInfo || s > SeverityError {
		return nil, fmt.Errorf("no such severity: %d", uint8(s))
	}
	return []byte(s.String()), nil
}

// UnmarshalText reads what [ParseSeverity] accepts.
func (s *Severity) UnmarshalText(b []byte) error {
	v, err := ParseSeverity(string(b))
	if err != nil {
		return err
	}
	*s = v
	return nil
}

// CheckInfo documents one check.
type CheckInfo struct {
	// Code is "SW" and three digits; it is never used again for another check.
	Code  string
	Title string
	// Doc is Markdown: what is wrong, why it loses data, how to mend it, and a
	// minimal example.
	Doc string
	// Severity is that of the check's ordinary finding.
	Severity Severity
	// Since is the version that brought the check, such as "0.1".
	Since string
	// Traps are the ids of docs/traps.md that the check watches for.
	Traps []string
}

// Diagnostic is one finding of a check. Findings are results, not errors.
type Diagnostic struct {
	Code     string   `json:"code"`
	Severity Severity `json:"severity"`
	// Subject is the option path.
	Subject string `json:"subject"`
	Service string `json:"service,omitempty"`
	Path    string `json:"path,omitempty"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	// Message is the fault, Hint the advice.
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Covers are the places that the finding stands for, in order; empty where it is its own only.
	Covers []Covered `json:"covers,omitempty"`
	// NeededBy are the codes of all the checks that need what SW603 says is unknown, sorted; empty where every check does, and with other codes.
	NeededBy []string `json:"neededBy,omitempty"`
	// Acknowledged is the reason for which the finding is accepted; empty when
	// it is not.
	Acknowledged string `json:"acknowledged,omitempty"`
	// Baseline tells that an earlier check found it as well, which is what the check was compared with.
	Baseline bool `json:"baseline,omitempty"`
}

// Covered is one of the places that a finding stands for.
type Covered struct {
	Service string `json:"service,omitempty"`
	Path    string `json:"path,omitempty"`
	// Subject is the option path that names the place.
	Subject string `json:"subject,omitempty"`
	// Acknowledged is the reason for which the place is accepted, be the others or not.
	Acknowledged string `json:"acknowledged,omitempty"`
}

// String names the place: "sonarr in /var/lib/sonarr".
func (c Covered) String() string {
	switch {
	case c.Path == "" && c.Service == "":
		return c.Subject
	case c.Path == "":
		return c.Service
	case c.Service == "":
		return c.Path
	default:
		return c.Service + " in " + c.Path
	}
}

// CompareCovered orders by path, service and subject.
func CompareCovered(a, b Covered) int {
	return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Subject, b.Subject))
}

// Members are all places that the finding stands for: Covers, or its own one.
func (d Diagnostic) Members() []Covered {
	if len(d.Covers) == 0 {
		return []Covered{{d.Service, d.Path, d.Subject, d.Acknowledged}}
	}
	return d.Covers
}

// Counts tells whether the finding is neither accepted nor known from a baseline.
func (d Diagnostic) Counts() bool { return d.Acknowledged == "" && !d.Baseline }

// CompareDiagnostics orders the gravest first, then by code, subject, path and text.
func CompareDiagnostics(a, b Diagnostic) int {
	return cmp.Or(
		cmp.Compare(b.Severity, a.Severity),
		cmp.Compare(a.Code, b.Code),
		cmp.Compare(a.Subject, b.Subject),
		cmp.Compare(a.Path, b.Path),
		cmp.Compare(a.Service, b.Service),
		cmp.Compare(a.File, b.File),
		cmp.Compare(a.Line, b.Line),
		cmp.Compare(a.Message, b.Message),
		cmp.Compare(a.Hint, b.Hint),
		slices.CompareFunc(a.Covers, b.Covers, CompareCovered),
	)
}
