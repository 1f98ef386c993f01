package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// baselineOf is the baseline that a check with these findings writes.
func baselineOf(t require.TestingT, findings ...stateward.Diagnostic) *baseline {
	text, err := json.Marshal(CheckOutput{ProtocolVersion: "1", Hosts: []HostOutput{{Name: "h", Findings: append([]stateward.Diagnostic{}, findings...)}}})
	require.NoError(t, err)
	b, err := parseBaseline("b", text)
	require.NoError(t, err)
	return b
}

// A finding that stands for several places is known when all of them are.
func TestBaselineOfGroups(t *testing.T) {
	group := func(services ...string) stateward.Diagnostic {
		d := stateward.Diagnostic{Code: "SW101", Severity: stateward.SeverityWarning, Subject: services[0] + ".dataDir"}
		for _, s := range services {
			m := stateward.Covered{Service: s, Path: "/srv/" + s, Subject: s + ".dataDir"}
			d.Covers = append(d.Covers, m)
			if len(services) == 1 {
				d.Service, d.Path, d.Covers = m.Service, m.Path, nil
			}
		}
		return d
	}
	accepting := func(d stateward.Diagnostic, services ...string) stateward.Diagnostic {
		d.Covers = slices.Clone(d.Covers)
		for i := range d.Covers {
			if slices.Contains(services, d.Covers[i].Service) {
				d.Covers[i].Acknowledged = "r"
			}
		}
		return d
	}
	says := func(code, subject, message string) stateward.Diagnostic {
		return stateward.Diagnostic{Code: code, Severity: stateward.SeverityError, Subject: subject, Message: message}
	}
	list := func(ds ...stateward.Diagnostic) []stateward.Diagnostic { return ds }
	unread := func(subject, rest string) stateward.Diagnostic { return says("SW603", subject, subject+rest) }
	two := unread("x", " and 1 more could not be evaluated: missing; needed by SW101")
	two.Covers = []stateward.Covered{{Subject: "x"}, {Subject: "y"}}
	for _, tc := range []struct {
		name     string
		old, now []stateward.Diagnostic
		// fresh are the hints of those that count.
		fresh []string
		gone  int
	}{
		{"the same", list(group("b", "c")), list(group("b", "c")), nil, 0},
		{"one joined at the end", list(group("b", "c")), list(group("b", "c", "vault")), []string{"not in the baseline: vault in /srv/vault"}, 0},
		{"one joined at the front", list(group("b", "c")), list(group("a", "b", "c")), []string{"not in the baseline: a in /srv/a"}, 0},
		{"one was mended", list(group("a", "b", "c")), list(group("b", "c")), nil, 1},
		{"all were mended", list(group("a", "b", "c")), nil, nil, 1},
		{"it fell apart", list(group("a", "b")), list(group("a"), group("b")), nil, 0},
		{"they became one", list(group("a"), group("b")), list(group("a", "b")), nil, 0},
		{"one of them was only accepted", list(accepting(group("a", "b"), "b")), list(group("a", "b")), []string{"not in the baseline: b in /srv/b"}, 0},
		{"the new one is accepted", list(group("a", "b")), list(accepting(group("a", "b", "c"), "c")), nil, 0},
		{"another assertion", list(says("SW601", "assertions[0]", "m")), list(says("SW601", "assertions[0]", "n")), []string{""}, 1},
		{"an assertion more", list(says("SW601", "assertions[0]", "m")), list(says("SW601", "assertions[0]", "m"), says("SW601", "assertions[1]", "n")), []string{""}, 0},
		{"another warning", list(says("SW602", "warnings[0]", "m")), list(says("SW602", "warnings[0]", "n")), []string{""}, 1},
		{"another cause", list(unread("x", " is a function")), list(unread("x", " could not be evaluated: missing; needed by SW101")), []string{""}, 1},
		{"other readers", list(unread("x", " is a function; needed by SW101")), list(unread("x", " is a function; needed by SW101, SW102")), nil, 0},
		{"one value more for one cause", list(unread("x", " could not be evaluated: missing; needed by SW101")), list(two), []string{"not in the baseline: y"}, 0},
		{"one value less for one cause", list(two), list(unread("x", " could not be evaluated: missing; needed by SW101")), nil, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := baselineOf(t, tc.old...)
			var fresh []string
			now := map[aggregate.FaultID]int{}
			for _, d := range b.mark("h", tc.now) {
				if d.Counts() {
					fresh = append(fresh, d.Hint)
				}
				for _, id := range aggregate.Identify("h", d) {
					now[id]++
				}
			}
			require.Empty(t, cmp.Diff(tc.fresh, fresh))
			require.Equal(t, tc.gone, b.gone(now, func(aggregate.FaultID) bool { return true }))
		})
	}
}

// A service that comes to a host and loses something is never known from before.
func TestBaselineKnowsNoNewService(t *testing.T) {
	drawPath := rapid.StringMatching(`(/[ab]){1,3}|/`)
	rapid.Check(t, func(t *rapid.T) {
		h := &stateward.Host{Name: "h", Status: stateward.StatusOK, Dialects: []string{"nixos"}}
		entry := func(p string) stateward.Entry {
			return stateward.NewEntry(p, stateward.Directory, stateward.Origin{Option: "mounts"})
		}
		h.FileSystems = stateward.Known([]stateward.FileSystem{{
			MountPoint: entry("/"), Device: stateward.Known("none", stateward.Origin{}), FSType: stateward.Known("tmpfs", stateward.Origin{}),
		}}, stateward.Origin{})
		if rapid.Bool().Draw(t, "in doubt") {
			h.ExtraPools = stateward.Known([]string{"tank"}, stateward.Origin{Option: "boot.zfs.extraPools"})
		}
		var services []stateward.Service
		add := func(name string, paths ...string) {
			s := stateward.Service{Name: name, Enable: stateward.Known(true, stateward.Origin{})}
			var state []stateward.StatePath
			for i, p := range paths {
				o := stateward.Origin{Option: fmt.Sprintf("services.%s.paths[%d]", name, i)}
				state = append(state, stateward.StatePath{Entry: stateward.NewEntry(p, stateward.Directory, o), Source: stateward.SourceDataDir})
			}
			s.State = stateward.Known(state, stateward.Origin{})
			services = append(services, s)
			h.Services = stateward.Known(slices.Clone(services), stateward.Origin{})
		}
		for i := range rapid.IntRange(0, 5).Draw(t, "services") {
			add(fmt.Sprintf("s%d", i), rapid.SliceOfN(drawPath, 1, 3).Draw(t, "paths")...)
		}
		old := aggregate.Lint(aggregate.Input{Host: h}).Findings
		add(rapid.SampledFrom([]string{"a", "z"}).Draw(t, "name"), drawPath.Draw(t, "path"))
		now := aggregate.Lint(aggregate.Input{Host: h}).Findings
		if !slices.ContainsFunc(baselineOf(t, old...).mark("h", now), func(d stateward.Diagnostic) bool { return d.Code == "SW101" && d.Counts() }) {
			t.Fatalf("all is known of %+v", now)
		}
	})
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
		counts := map[aggregate.FaultID]int{}
		for i, d := range marked {
			if d.Baseline && d.Acknowledged == "" && len(b.known[aggregate.Identify("h", d)[0]]) == 0 {
				t.Fatalf("%+v was only ever accepted, and is known", d)
			}
			if d.Baseline {
				counts[aggregate.Identify("h", d)[0]]++
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
			if d.Baseline && d.Acknowledged == "" && len(b.known[aggregate.Identify("h", d)[0]]) == 0 {
				t.Fatalf("%+v was only ever accepted, and is known", d)
			}
			if d.Baseline && !slices.ContainsFunc(slices.Concat(b.known[aggregate.Identify("h", d)[0]], b.accepted[aggregate.Identify("h", d)[0]]), func(s stateward.Severity) bool { return s >= d.Severity }) {
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
