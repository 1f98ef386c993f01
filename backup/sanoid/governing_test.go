package sanoid_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/sanoid"
)

// host declares a configuration.
func host(c *sanoid.Config) *stateward.Host {
	policy := func(name string, s sanoid.Settings) stateward.SnapshotPolicy {
		p := stateward.SnapshotPolicy{Name: name, Settings: map[string]stateward.Value[string]{}}
		for k, v := range s {
			p.Settings[k] = stateward.Known(v, stateward.Origin{})
		}
		return p
	}
	var datasets, templates []stateward.SnapshotPolicy
	for _, t := range c.Templates {
		templates = append(templates, policy(t.Name, t.Settings))
	}
	for _, d := range c.Datasets {
		p := policy(d.Name, d.Settings)
		p.Recursive = stateward.Known(d.Recursive.String(), stateward.Origin{})
		p.Templates = stateward.Known(d.UseTemplate, stateward.Origin{})
		datasets = append(datasets, p)
	}
	return &stateward.Host{Snapshots: stateward.Known(datasets, stateward.Origin{}), SnapshotTemplates: stateward.Known(templates, stateward.Origin{})}
}

// What is said to be taken and kept of each dataset, be there a section of its own or not, is what sanoid takes of it and does not prune.
func TestS2TakenEqualsSanoid(t *testing.T) {
	kinds := []string{"frequently", "hourly", "daily", "weekly", "monthly", "yearly"}
	gen := rapid.Custom(func(t *rapid.T) *sanoid.Config {
		c := &sanoid.Config{Templates: []sanoid.Template{{Name: "x", Settings: sanoid.Settings{"weekly": "2", "daily": "0"}}}}
		for _, name := range names {
			if rapid.Bool().Draw(t, name) {
				continue
			}
			d := sanoid.Dataset{Name: name, Recursive: sanoid.Recursion(rapid.IntRange(0, 2).Draw(t, "recursive")), Settings: sanoid.Settings{}}
			for _, k := range []string{"autosnap", "autoprune", "process_children_only", "skip_children", "hourly", "daily", "weekly"} {
				if rapid.IntRange(0, 2).Draw(t, k) > 0 {
					continue
				}
				text := fmt.Sprint(rapid.IntRange(0, 1).Draw(t, k))
				if err := d.Settings.Set(k, text); err != nil {
					t.Fatal(err)
				}
			}
			if rapid.Bool().Draw(t, "use") {
				d.UseTemplate = []string{"x"}
			}
			c.Datasets = append(c.Datasets, d)
		}
		if len(c.Datasets) == 0 {
			c.Datasets = []sanoid.Dataset{{Name: "tank"}}
		}
		return c
	})
	var configs []*sanoid.Config
	var texts []string
	for i := range 400 {
		c := gen.Example(i)
		text, err := c.Render()
		require.NoError(t, err)
		configs, texts = append(configs, c), append(texts, text)
	}
	for i, got := range real(t, names, texts...) {
		policies, faults := backup.SnapshotPolicies(host(configs[i]))
		require.Empty(t, faults)
		on := func(name, key string) bool { v := got[name][key]; return v != "" && v != "0" }
		takes := func(name, kind string) bool {
			return on(name, "autosnap") && !on(name, "process_children_only") && on(name, kind)
		}
		for _, name := range names {
			want := []string{}
			for _, kind := range kinds {
				taken := takes(name, kind)
				for at := name; strings.Contains(at, "/"); {
					at = at[:strings.LastIndexByte(at, '/')]
					taken = taken || on(at, "zfs_recursion") && takes(at, kind)
				}
				if prunes := on(name, "autoprune") && !on(name, "process_children_only"); taken && (!prunes || on(name, kind)) {
					want = append(want, kind)
				}
			}
			have := []string{}
			p, doubt := backup.Governing(policies, name)
			if doubt != "" {
				require.Contains(t, doubt, "skip_children", texts[i])
				continue
			}
			if p != nil {
				taken := p.Taken()
				require.True(t, taken.IsKnown(), texts[i])
				have = slices.Clone(taken.Or(nil))
			}
			slices.SortFunc(have, func(a, b string) int { return slices.Index(kinds, a) - slices.Index(kinds, b) })
			require.Equal(t, want, have, "of %s\n%s", name, texts[i])
		}
	}
}
