package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

var sw310 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW310", Title: "snapshots of one dataset are taken twice", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"S2", "S9"},
		Doc: doc(`
A policy of sanoid with ` + "`recursive = zfs`" + ` takes snapshots of all datasets below, and one of these has a policy of its own that takes some too: there are two of
each, and two retentions that hit one another's. It is a warning too where ` + "`services.zfs.autoSnapshot`" + ` takes snapshots of a dataset (` + "`com.sun:auto-snapshot`" + `) that sanoid has.

It is information where another tool is there, such as zrepl, of which is not read what it takes.

Mend it by one policy for each dataset.

` + "```nix" + `
services.sanoid.datasets."tank/db" = { recursive = "zfs"; use_template = [ "production" ]; }; # and none for tank/db/wal
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		c := f.copies()
		taking := func(p *snapshotPolicy) bool { return len(p.Taken().Or(nil)) > 0 }
		policies := c.sorted()
		for _, p := range policies {
			if !taking(p) {
				continue
			}
			for at := parentDataset(p.Dataset); at != ""; at = parentDataset(at) {
				for _, above := range c.policies[at] {
					if covered, known := above.Covers(p.Dataset); !above.Atomic || !taking(above) || !covered || !known {
						continue
					}
					d := finding(p.Origin)
					d.Message = fmt.Sprintf("the %s takes snapshots of %s, and so does the %s with recursive = zfs", p.String(), p.Dataset, above.String())
					d.Hint = "take one of the two policies away, or write autosnap = false in the lower one"
					out = append(out, d)
				}
			}
			if auto := f.autoSnapshot(); auto != "" && f.marked(p.Dataset) {
				d := finding(p.Origin)
				d.Message = fmt.Sprintf("the %s takes snapshots of %s, and so does %s, since com.sun:auto-snapshot is true there", p.String(), p.Dataset, auto)
				d.Hint = "leave the dataset to one of the two"
				out = append(out, d)
			}
		}
		if i := slices.IndexFunc(policies, taking); i >= 0 {
			for _, u := range f.host.Units.Or(nil) {
				name, _, _ := strings.Cut(strings.TrimSuffix(u.Name, ".service"), "-")
				if on, known := u.Enable.Get(); known && !on || !slices.Contains([]string{"zrepl", "znapzend", "pyznap"}, name) {
					continue
				}
				d := finding(u.Origin)
				d.Severity = stateward.SeverityInfo
				d.Message = fmt.Sprintf("%s may take snapshots beside sanoid, and of which datasets is not read", u.Name)
				d.Hint = "look whether one dataset is in both"
				out = append(out, d)
			}
		}
		return out
	},
}

// sorted are the snapshot policies by name.
func (c *copies) sorted() []*snapshotPolicy {
	var out []*snapshotPolicy
	for _, ps := range c.policies {
		out = append(out, ps...)
	}
	slices.SortFunc(out, func(a, b *snapshotPolicy) int { return compareOrigins(a.Origin, b.Origin) })
	return out
}

// autoSnapshot names a unit of services.zfs.autoSnapshot; empty where there is none.
func (f *facts) autoSnapshot() string {
	for _, u := range f.host.Units.Or(nil) {
		every, ok := strings.CutPrefix(strings.TrimSuffix(u.Name, ".service"), "zfs-snapshot-")
		if ok && u.Enable.Or(true) && slices.Contains([]string{"frequent", "hourly", "daily", "weekly", "monthly"}, every) {
			return u.Name
		}
	}
	return ""
}

// marked tells whether a dataset is declared to be one that services.zfs.autoSnapshot takes snapshots of.
func (f *facts) marked(name string) bool {
	for _, d := range f.host.Datasets.Or(nil) {
		if d.Name == name && d.Properties["com.sun:auto-snapshot"].Or("") == "true" {
			return true
		}
	}
	return false
}
