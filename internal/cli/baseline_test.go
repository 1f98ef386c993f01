package cli

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward"
)

func TestWithoutIndexes(t *testing.T) {
	for in, want := range map[string]string{
		`a.b[3].c[12]`:        `a.b.c`,
		`a."b[3]".c[1]`:       `a."b[3]".c`,
		`a."x\"[3]"[1]`:       `a."x\"[3]"`,
		`a[x]`:                `a[x]`,
		`a[`:                  `a[`,
		`environment."/a\\"]`: `environment."/a\\"]`,
	} {
		require.Equal(t, want, withoutIndexes(in), in)
	}
}

// The store path of a flake changes with every revision, and the fault in it does not.
func TestIdentityOutlivesARevision(t *testing.T) {
	at := func(hash string) identity {
		return identify("h", stateward.Diagnostic{Code: "SW604", Subject: "a[1]", Path: "/nix/store/" + hash + "-source/x"})
	}
	require.Equal(t, at("6fcj4w0kksv7cgg4cp1yalr8d7fhcvbh"), at("1fcj4w0kksv7cgg4cp1yalr8d7fhcvbh"))
}

var (
	drawSeverity = rapid.SampledFrom([]stateward.Severity{stateward.SeverityInfo, stateward.SeverityWarning, stateward.SeverityError})
	drawFinding  = rapid.Custom(func(t *rapid.T) stateward.Diagnostic {
		return stateward.Diagnostic{
			Code: rapid.SampledFrom([]string{"SW101", "SW102", "SW606"}).Draw(t, "code"), Severity: drawSeverity.Draw(t, "severity"),
			Subject:      rapid.SampledFrom([]string{"s", "s[1]", "t"}).Draw(t, "subject"),
			Acknowledged: rapid.SampledFrom([]string{"", "", "why"}).Draw(t, "acknowledged"),
		}
	})
)

// A baseline knows all of what it was written from, nothing of what it does not list, and no more of a fault than it lists.
func TestBaselineKnowsWhatItLists(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		old := rapid.SliceOfN(drawFinding, 0, 6).Draw(t, "old")
		now := rapid.SliceOfN(drawFinding, 0, 6).Draw(t, "now")
		text, err := json.Marshal(CheckOutput{ProtocolVersion: "1", Hosts: []HostOutput{{Name: "h", Findings: append([]stateward.Diagnostic{}, old...)}}})
		if err != nil {
			t.Fatal(err)
		}
		b, err := parseBaseline("b", text)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range b.mark("h", old) {
			if d.Counts() {
				t.Fatalf("%+v is new in what it was written from", d)
			}
		}
		for _, d := range b.mark("other", now) {
			if d.Baseline {
				t.Fatalf("%+v of another host is known", d)
			}
		}
		marked := b.mark("h", now)
		counts := map[identity]int{}
		for i, d := range marked {
			if d.Baseline && d.Acknowledged == "" && len(b.known[identify("h", d)]) == 0 {
				t.Fatalf("%+v was only ever accepted, and is known", d)
			}
			if d.Baseline {
				counts[identify("h", d)]++
			}
			d.Baseline = false
			if diff := cmp.Diff(now[i], d); diff != "" {
				t.Fatal(diff)
			}
		}
		for id, n := range counts {
			if n > len(b.known[id])+len(b.accepted[id]) {
				t.Fatalf("%+v is known %d times, and listed %d times", id, n, len(b.known[id]))
			}
		}
		for i, d := range marked {
			if d.Baseline && d.Acknowledged == "" && len(b.known[identify("h", d)]) == 0 {
				t.Fatalf("%+v was only ever accepted, and is known", d)
			}
			if d.Baseline && !slices.ContainsFunc(slices.Concat(b.known[identify("h", d)], b.accepted[identify("h", d)]), func(s stateward.Severity) bool { return s >= d.Severity }) {
				t.Fatalf("%+v is graver than in the baseline (%d)", d, i)
			}
		}
	})
}

// What is shown and what is excluded is all there is.
func TestExcludingAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(drawFinding, 0, 8).Draw(t, "findings")
		codes := rapid.SliceOfN(rapid.SampledFrom([]string{"SW101", "sw102", "SW1xx", "SW6XX"}), 0, 2)
		s, err := newSelection(codes.Draw(t, "include"), codes.Draw(t, "exclude"), &configuration{})
		if err != nil {
			t.Fatal(err)
		}
		kept, out := s.split(in)
		n := len(kept)
		for code, k := range out {
			n += k
			if s.has(code) || s.by == "" {
				t.Fatalf("%s is excluded by nothing", code)
			}
		}
		if n != len(in) {
			t.Fatalf("%d of %d", n, len(in))
		}
		for _, d := range kept {
			if !s.has(d.Code) {
				t.Fatalf("%s is not excluded", d.Code)
			}
		}
	})
}

func FuzzBaseline(f *testing.F) {
	for _, s := range []string{
		`{"protocolVersion": "1", "hosts": [{"name": "h", "findings": [{"code": "SW101", "severity": "error", "subject": "a[1]"}]}]}`,
		`{"protocolVersion": "1", "hosts": [], "findings": [{"code": "SW606", "severity": "info"}]}`,
		`{"protocolVersion": "2", "hosts": []}`, `{"protocolVersion": 1}`, `[]`, ``, `{"protocolVersion": "1", "hosts": [{"name": "h"}, null]}`,
		`{"protocolVersion": "1", "hosts": [{"name": "h", "findings": []}, {"name": "h", "findings": []}]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := parseBaseline("b", data)
		if (b == nil) == (err == nil) {
			t.Fatal("either a baseline or an error")
		}
		if err != nil && hintOf(err) == "" {
			t.Fatalf("no advice beside %v", err)
		}
		if b != nil {
			b.mark("h", []stateward.Diagnostic{{Code: "SW101", Severity: stateward.SeverityError, Subject: "a[2]"}})
		}
	})
}
