package aggregate_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/require"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
)

// loses is a host whose service keeps something that its persistence root does not hold.
func loses(more ...part) *stateward.Host {
	return with(wiped, append([]part{fileSystem("/persist", "/dev/p", "ext4"), service("a", "/var/lib/a"), persist("/persist", "/var/lib/own")}, more...)...)
}

func planText(t *testing.T, h *stateward.Host) string {
	t.Helper()
	p, err := aggregate.PlanHost(h, aggregate.DefaultHostPlanOptions())
	require.NoError(t, err)
	text, err := p.Write()
	require.NoError(t, err)
	return string(text)
}

func wires(text string) part { return func(h *stateward.Host) { h.Plan = known(text) } }

func TestAPlanOnlyAdds(t *testing.T) {
	h := loses()
	text := planText(t, h)
	require.Contains(t, text, `"/var/lib/a"`)
	require.NotContains(t, text, `"/var/lib/own"`)
	require.Equal(t, text, planText(t, h))
	// With what it adds in the configuration it is the same; without what asks for it, it is not.
	wired := loses(func(h *stateward.Host) {
		roots := slices.Clone(h.Persistence.Or(nil))
		roots[0].Directories = known(append(slices.Clone(roots[0].Directories.Or(nil)), asEntry("/var/lib/a", stateward.Directory, stateward.Origin{})))
		h.Persistence = known(roots)
	}, wires(text))
	require.Empty(t, cmp.Diff(text, planText(t, wired)))
	require.Empty(t, findings(wired, "SW608"))
	require.Len(t, wired.Persistence.Or(nil)[0].Directories.Or(nil), 3, "the host itself is as it was")
	wired.Services = known([]stateward.Service{})
	require.NotContains(t, planText(t, wired), `"/var/lib/a"`)
}

// A list of which an entry is missing is still set.
func TestAPlanThatLosesAnEntry(t *testing.T) {
	plan := func(paths ...any) *aggregate.HostPlan {
		p, err := aggregate.PlanHost(with(wiped, fileSystem("/persist", "/dev/p", "ext4"), service("a", paths...), persist("/persist", "/var/lib/own")), aggregate.DefaultHostPlanOptions())
		require.NoError(t, err)
		text, err := p.Write()
		require.NoError(t, err)
		p, err = aggregate.ReadHostPlan(text)
		require.NoError(t, err)
		return p
	}
	both, one, none := plan("/var/lib/a", "/var/lib/b"), plan("/var/lib/a"), plan("/var/lib/own")
	require.Empty(t, both.Lost(both))
	require.Empty(t, one.Lost(both))
	require.Equal(t, []string{`environment.persistence."/persist".directories /var/lib/b`}, both.Lost(one))
	require.Equal(t, []string{`environment.persistence."/persist"`}, both.Lost(none))
}

func TestStalePlansAreTold(t *testing.T) {
	found := func(h *stateward.Host) (out []string) {
		for _, d := range aggregate.Lint(aggregate.Input{Host: h}).Findings {
			if d.Code == "SW608" {
				out = append(out, d.Message)
			}
		}
		return out
	}
	text := planText(t, loses())
	named := func(h *stateward.Host) { h.HostName = known("forge") }
	for _, c := range []struct {
		name string
		host *stateward.Host
		want []string
	}{
		{"no plan is wired", loses(), nil},
		{"the plan is what would be written", loses(wires(text)), nil},
		{"SW608: something is asked for since", loses(service("b", "/var/lib/b"), wires(text)), []string{`the plan that is wired is not what would be written now: changed environment.persistence."/persist"`}},
		{"nothing is asked for any more", with(wiped, fileSystem("/persist", "/dev/p", "ext4"), persist("/persist"), wires(text)),
			[]string{`the plan that is wired is not what would be written now: no longer planned environment.persistence."/persist"`}},
		{"it is that of another host", loses(wires(strings.Replace(text, `"with"`, `"hostName": "attic", "with"`, 1)), named), []string{"nothing is wired: the plan is that of attic, and this host is forge"}},
		{"it is that of another host of the same name", loses(service("b", "/var/lib/b"), named, wires(strings.NewReplacer(`"host": "forge"`, `"host": "attic"`, `"with"`, `"hostName": "forge", "with"`).Replace(text))),
			[]string{`the plan that is wired is that of attic, and not that of forge, which has the same networking.hostName: changed environment.persistence."/persist"`}},
		{"it is of another version", loses(wires(`{"protocolVersion": "9"}`)), []string{`nothing is wired: the plan has protocolVersion "9", and this stateward knows "1"`}},
		{"it is none", loses(wires(`{`)), []string{"nothing is wired: the plan cannot be read: unexpected end of JSON input"}},
	} {
		t.Run(c.name, func(t *testing.T) { require.Empty(t, cmp.Diff(c.want, found(c.host))) })
	}
}

// The module wires the options that a plan may set, and no others.
func TestTheModuleWiresWhatAPlanSets(t *testing.T) {
	text, err := os.ReadFile("../nix/module/wired.json")
	require.NoError(t, err)
	var got [][]string
	require.NoError(t, json.Unmarshal(text, &got))
	require.Empty(t, cmp.Diff(aggregate.WiredOptions(), got))
}

func FuzzReadHostPlan(f *testing.F) {
	f.Add(`{"protocolVersion": "1", "settings": {"backup": {"systemd": {"services": {"stateward-x": {"requires": ["a"]}}}}}}`)
	f.Add(`{"protocolVersion": "1", "settings": {"persistence": {"environment": {"persistence": {"/persist": {"directories": {"_type": "after", "value": [1, {}, "/a"]}}}}}}}`)
	f.Fuzz(func(t *testing.T, text string) {
		h := loses(wires(text))
		aggregate.Lint(aggregate.Input{Host: h})
	})
}
