package aggregate_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

var noon = time.Date(2027, 1, 31, 12, 0, 0, 0, time.UTC)

// ack accepts what is lost of a service.
func ack(service string, change ...func(*stateward.Acknowledgement)) stateward.Acknowledgement {
	a := stateward.Acknowledgement{
		Code: "SW101", Service: service, Reason: "on purpose",
		Origin: stateward.Origin{Option: "stateward.acknowledge." + service, File: "acks.nix", Line: 3},
	}
	for _, c := range change {
		c(&a)
	}
	return a
}

// Everything that can become of an acknowledgement of the configuration.
func TestAcknowledgements(t *testing.T) {
	lost := with(wiped, service("a", "/var/lib/a"), service("b", "/var/lib/b"))
	for _, tc := range []struct {
		name string
		acks []stateward.Acknowledgement
		now  time.Time
		// lost are the services whose loss counts, said what is said of acknowledgements.
		lost, said []string
	}{
		{"none", nil, noon, []string{"a", "b"}, nil},
		{"accepts its service only", []stateward.Acknowledgement{ack("a")}, noon, []string{"b"}, nil},
		{"by path, however it is spelt", []stateward.Acknowledgement{ack("", func(a *stateward.Acknowledgement) { a.Path = "/var//lib/a/" })}, noon, []string{"b"}, nil},
		{"a path above is another path", []stateward.Acknowledgement{ack("", func(a *stateward.Acknowledgement) { a.Path = "/var/lib" })}, noon, []string{"a", "b"},
			[]string{`info SW606 stateward.acknowledge. the acknowledgement of SW101 at /var/lib matches no finding: "on purpose"`}},
		{"of this host", []stateward.Acknowledgement{ack("a", func(a *stateward.Acknowledgement) { a.Host = lost.Name })}, noon, []string{"b"}, nil},
		{"of another host", []stateward.Acknowledgement{ack("a", func(a *stateward.Acknowledgement) { a.Host = "elsewhere" })}, noon, []string{"a", "b"},
			[]string{`info SW606 stateward.acknowledge.a the acknowledgement of SW101 of a on elsewhere matches no finding: "on purpose"`}},
		{"on its last day", []stateward.Acknowledgement{ack("a", func(a *stateward.Acknowledgement) { a.Until = "2027-01-31" })}, noon, []string{"b"}, nil},
		{"on its last day, which is in UTC", []stateward.Acknowledgement{ack("a", func(a *stateward.Acknowledgement) { a.Until = "2027-01-31" })},
			time.Date(2027, 2, 1, 1, 0, 0, 0, time.FixedZone("", 2*3600)), []string{"b"}, nil},
		{"the day after", []stateward.Acknowledgement{ack("a", func(a *stateward.Acknowledgement) { a.Until = "2027-01-30" })}, noon, []string{"a", "b"},
			[]string{`warning SW607 stateward.acknowledge.a the acknowledgement of SW101 of a expired on 2027-01-30, so its finding counts again; its reason was "on purpose"`}},
		{"expired, and another one holds", []stateward.Acknowledgement{ack("a", func(a *stateward.Acknowledgement) { a.Until = "2027-01-30" }), ack("a")}, noon, []string{"b"}, nil},
		{"expired, and nothing is there", []stateward.Acknowledgement{ack("c", func(a *stateward.Acknowledgement) { a.Until = "2027-01-30" })}, noon, []string{"a", "b"},
			[]string{`info SW606 stateward.acknowledge.c the acknowledgement of SW101 of c matches no finding: "on purpose"`}},
		{"without a clock", []stateward.Acknowledgement{ack("a", func(a *stateward.Acknowledgement) { a.Until = "2999-01-01" })}, time.Time{}, []string{"a", "b"},
			[]string{`warning SW607 stateward.acknowledge.a the acknowledgement of SW101 of a ends on 2999-01-01, and what day it is was not given: its finding counts`}},
		{"without a reason", []stateward.Acknowledgement{ack("a", func(a *stateward.Acknowledgement) { a.Reason = " \n" })}, noon, []string{"a", "b"},
			[]string{`warning SW607 stateward.acknowledge.a the acknowledgement of SW101 of a has no reason: it accepts nothing`}},
		{"no such code", []stateward.Acknowledgement{ack("a", func(a *stateward.Acknowledgement) { a.Code = "SW199" })}, noon, []string{"a", "b"},
			[]string{`warning SW607 stateward.acknowledge.a the acknowledgement of SW199 of a names "SW199", which is the code of no check: it accepts nothing`}},
		{"no code", []stateward.Acknowledgement{ack("a", func(a *stateward.Acknowledgement) { a.Code = "" })}, noon, []string{"a", "b"},
			[]string{`warning SW607 stateward.acknowledge.a the acknowledgement of a finding of a names no code: it accepts nothing`}},
		{"no day", []stateward.Acknowledgement{ack("a", func(a *stateward.Acknowledgement) { a.Until = "2027-02-30" })}, noon, []string{"a", "b"},
			[]string{`warning SW607 stateward.acknowledge.a the acknowledgement of SW101 of a has the date "2027-02-30", which cannot be read: it accepts nothing`}},
		{"a code alone", []stateward.Acknowledgement{ack("")}, noon, []string{"a", "b"},
			[]string{`warning SW607 stateward.acknowledge. the acknowledgement of SW101 names no service, subject or path: it accepts nothing`}},
		{"what is said of one is accepted by another", []stateward.Acknowledgement{
			ack("c"), {Code: "SW606", Subject: "stateward.acknowledge.c", Reason: "it comes back in spring"}}, noon, []string{"a", "b"},
			[]string{`info SW606 stateward.acknowledge.c the acknowledgement of SW101 of c matches no finding: "on purpose" (it comes back in spring)`}},
		{"what is said of that one is not", []stateward.Acknowledgement{{Code: "SW606", Subject: "x", Reason: "y"}, {Code: "SW606", Subject: "acknowledge", Reason: "z"}}, noon, []string{"a", "b"},
			[]string{
				`info SW606 acknowledge the acknowledgement of SW606 for acknowledge matches no finding: "z"`,
				`info SW606 acknowledge the acknowledgement of SW606 for x matches no finding: "y"`,
			}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := *lost
			h.Acknowledgements = known(tc.acks)
			var counts, said []string
			for _, d := range aggregate.Lint(aggregate.Input{Host: &h, Now: tc.now}).Findings {
				switch {
				case d.Code == "SW101" && d.Acknowledged == "":
					counts = append(counts, d.Service)
				case d.Code == "SW606" || d.Code == "SW607":
					line := fmt.Sprintf("%s %s %s %s", d.Severity, d.Code, d.Subject, d.Message)
					if d.Acknowledged != "" {
						line += " (" + d.Acknowledged + ")"
					}
					said = append(said, line)
				}
			}
			require.Empty(t, cmp.Diff(tc.lost, counts))
			require.Empty(t, cmp.Diff(tc.said, said))
		})
	}
}

// A finding that stands for several places is accepted with all of them, or not at all.
func TestAcknowledgementsOfGroups(t *testing.T) {
	doubt := func(h *stateward.Host) { push(&h.ExtraPools, "tank") }
	four := []part{service("a", "/srv/a"), service("b", "/srv/b"), service("c", "/srv/c"), service("d", "/srv/d"), doubt}
	path := func(p string) stateward.Acknowledgement {
		return stateward.Acknowledgement{Code: "SW101", Path: p, Reason: "on path"}
	}
	for _, tc := range []struct {
		name  string
		parts []part
		acks  []stateward.Acknowledgement
		// want are the findings of SW101: what they are about, why they are accepted, or who is not.
		want []string
	}{
		{"a service at the root accepts nothing of others", []part{service("port", "/"), service("b", "/b")}, []stateward.Acknowledgement{ack("port")},
			[]string{"b in /b: ", "port in /: on purpose"}},
		{"a path accepts nothing of others below it", []part{service("a", "/srv"), service("b", "/srv/b")}, []stateward.Acknowledgement{path("/srv")},
			[]string{"a in /srv: on path", "b in /srv/b: "}},
		{"a service accepts all of its own", []part{service("a", "/srv", "/srv/x")}, []stateward.Acknowledgement{ack("a")},
			[]string{"a in /srv: on purpose"}},
		{"a path accepts nothing of the same service below it", []part{service("a", "/srv", "/srv/x")}, []stateward.Acknowledgement{path("/srv")},
			[]string{"a in /srv: not a in /srv/x"}},
		{"two services in one place, one accepted", []part{service("a", "/srv"), service("b", "/srv")}, []stateward.Acknowledgement{ack("a")},
			[]string{"a in /srv: not b in /srv"}},
		{"two services in one place, both accepted", []part{service("a", "/srv"), service("b", "/srv")}, []stateward.Acknowledgement{ack("a"), ack("b")},
			[]string{"a in /srv: on purpose"}},
		{"many in doubt, one left", four, []stateward.Acknowledgement{ack("a"), path("/srv/b"), ack("c")},
			[]string{"qgroget.serviceModules.a.dataDir: not d in /srv/d"}},
		{"many in doubt by the option of the first", four, []stateward.Acknowledgement{{Code: "SW101", Subject: "qgroget.serviceModules.a.dataDir", Reason: "r"}},
			[]string{"qgroget.serviceModules.a.dataDir: not b in /srv/b, c in /srv/c, d in /srv/d"}},
		{"many in doubt, all accepted", four, []stateward.Acknowledgement{ack("a"), path("/srv/b"), ack("c"), ack("d")},
			[]string{"qgroget.serviceModules.a.dataDir: on path; on purpose"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := with(wiped, tc.parts...)
			h.Acknowledgements = known(tc.acks)
			var got []string
			for _, d := range aggregate.Lint(aggregate.Input{Host: h, Now: noon}).Findings {
				require.NotEqual(t, "SW606", d.Code, d.Message)
				if d.Code != "SW101" {
					continue
				}
				_, open, _ := strings.Cut(d.Hint, "not accepted by an acknowledgement:")
				if open != "" {
					open = "not" + open
				}
				got = append(got, stateward.Covered{Service: d.Service, Path: d.Path, Subject: d.Subject}.String()+": "+d.Acknowledged+open)
			}
			slices.Sort(got)
			require.Empty(t, cmp.Diff(tc.want, got))
		})
	}
}

// What was not seen may be what was accepted: no acknowledgement is called needless on a host of which a part is
// unknown, and none is believed on one that failed.
func TestAcknowledgementsOfWhatWasNotSeen(t *testing.T) {
	partial := with(wiped, unknowns(stateward.Unknown{Subject: "systemd.services.a", Kind: stateward.UnknownThrow}))
	partial.Acknowledgements = known([]stateward.Acknowledgement{ack("a")})
	require.Empty(t, findings(partial, "SW606"))

	unseen := with(wiped)
	unseen.Acknowledgements = known([]stateward.Acknowledgement{{Code: "SW122", Path: "/persist/x", Reason: "y"}})
	require.Empty(t, findings(unseen, "SW606"), "nobody looked at the host")

	failed := &stateward.Host{Name: "h", Status: stateward.StatusFailed}
	r := aggregate.Lint(aggregate.Input{Host: failed, Now: noon, Acknowledgements: []stateward.Acknowledgement{{Code: "SW605", Subject: "config", Reason: "y"}}})
	require.Len(t, r.Findings, 1)
	require.Equal(t, "SW605", r.Findings[0].Code)
	require.Empty(t, r.Findings[0].Acknowledged)
	require.Equal(t, []int{0}, r.Matched)
}

// Those from outside are judged by who gave them; what a host can say of them is that they expired.
func TestAcknowledgementsFromOutside(t *testing.T) {
	h := with(wiped, service("a", "/var/lib/a"), service("b", "/var/lib/b"))
	old := ack("b")
	old.Until = "2026-12-31"
	r := aggregate.Lint(aggregate.Input{Host: h, Now: noon, Acknowledgements: []stateward.Acknowledgement{ack("a"), ack("c"), old}})
	require.Equal(t, []int{1, 0, 1}, r.Matched)
	var said []string
	for _, d := range r.Findings {
		if d.Code >= "SW606" {
			said = append(said, d.Code+" "+d.File)
		}
	}
	require.Equal(t, []string{"SW607 acks.nix"}, said)
	d := aggregate.Unmatched(ack("c"))
	require.Equal(t, "SW606", d.Code)
	require.Equal(t, 3, d.Line)
}

func TestCheckAcknowledgementSaysWhatToWrite(t *testing.T) {
	err := aggregate.CheckAcknowledgement(stateward.Acknowledgement{Code: "sw101", Service: "a", Reason: "b"})
	var fault *aggregate.AcknowledgementError
	require.True(t, errors.As(err, &fault))
	require.Equal(t, "write SW101", fault.Hint())
}

// Acknowledging changes no finding but by its reason, and hides none; in what order does not matter.
func TestAcknowledgingChangesNothingElse(t *testing.T) {
	some := func(t *rapid.T, label string, of ...string) string { return rapid.SampledFrom(of).Draw(t, label) }
	drawAck := rapid.Custom(func(t *rapid.T) stateward.Acknowledgement {
		return stateward.Acknowledgement{
			Code:    some(t, "code", "SW101", "SW102", "SW606", "SW607", "SW999", ""),
			Host:    some(t, "host", "", "", "h", "other"),
			Service: some(t, "service", "", "a", "b"),
			Subject: some(t, "subject", "", "s", "acknowledge"),
			Path:    some(t, "path", "", "/x", "/x/"),
			Reason:  some(t, "reason", "", "r1", "r2"),
			Until:   some(t, "until", "", "", "2020-01-01", "2999-01-01", "soon"),
		}
	})
	drawFinding := rapid.Custom(func(t *rapid.T) stateward.Diagnostic {
		return stateward.Diagnostic{
			Code: some(t, "code", "SW101", "SW102", "SW606"), Severity: stateward.SeverityError, Service: some(t, "service", "", "a", "b"),
			Subject: some(t, "subject", "s", "acknowledge"), Path: some(t, "path", "", "/x"), Message: "m",
		}
	})
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(drawFinding, 0, 6).Draw(t, "findings")
		acks := rapid.SliceOfN(drawAck, 0, 5).Draw(t, "acks")
		out, matched := aggregate.Acknowledge(in, acks, "h", noon)
		bare := slices.Clone(out)
		for i := range bare {
			if bare[i].Acknowledged != "" && bare[i].Acknowledged != "r1" && bare[i].Acknowledged != "r2" {
				t.Fatalf("reason %q is nobody's", bare[i].Acknowledged)
			}
			bare[i].Acknowledged = ""
		}
		if d := cmp.Diff(in, bare); d != "" {
			t.Fatal(d)
		}
		order := rapid.Permutation(acks).Draw(t, "order")
		again, _ := aggregate.Acknowledge(in, order, "h", noon)
		if d := cmp.Diff(out, again); d != "" {
			t.Fatal(d)
		}
		for i, a := range acks {
			if matched[i] > 0 != slices.ContainsFunc(in, func(d stateward.Diagnostic) bool {
				_, n := aggregate.Acknowledge([]stateward.Diagnostic{d}, []stateward.Acknowledgement{a}, "h", noon)
				return n[0] == 1
			}) {
				t.Fatal("what one acknowledgement matches hangs on the others")
			}
		}
		// The same through Lint: without what is said of acknowledgements, the findings are those of before.
		h := with(wiped, service("a", "/var/lib/a"), service("b", "/x"))
		plain := aggregate.Lint(aggregate.Input{Host: h}).Findings
		h.Acknowledgements = known(acks)
		var rest []stateward.Diagnostic
		for _, d := range aggregate.Lint(aggregate.Input{Host: h, Now: noon, Acknowledgements: order}).Findings {
			if d.Code != "SW606" && d.Code != "SW607" {
				d.Acknowledged = ""
				rest = append(rest, d)
			}
		}
		if d := cmp.Diff(plain, rest); d != "" {
			t.Fatal(d)
		}
	})
}
