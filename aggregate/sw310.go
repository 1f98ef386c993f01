package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

var sw310 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW310", Title: "two policies or tools for snapshots of one dataset", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"S2", "S9"},
		Doc: doc(`
A policy of sanoid with ` + "`recursive = zfs`" + ` takes the snapshots of all datasets below, and sanoid ignores then what a policy of one of these says of ` + "`autosnap`" + `; only its
numbers count, for what is pruned. Where it asks for a kind that the upper one does not take, there will be none. Where it keeps none of what the upper one takes, SW301 says so.

It is a warning too where ` + "`services.zfs.autoSnapshot`" + ` takes snapshots of a dataset (` + "`com.sun:auto-snapshot`" + `) that sanoid has: there are two of each, and two retentions. It is
information where another tool is there, such as zrepl, of which is not read what it takes.

Mend it by one policy for each dataset, and by letting the upper one take every kind.

` + "```nix" + `
services.sanoid.datasets."tank/db" = {
  recursive = "zfs";
  hourly = 24;
  daily = 7;
  weekly = 4;
};
services.sanoid.datasets."tank/db/wal" = {
  hourly = 12;
  daily = 0;
  weekly = 0;
}; # keeps less of what is taken above
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		c := f.copies()
		taking := func(p *backup.SnapshotPolicy) bool { return len(p.Taken().Or(nil)) > 0 }
		policies := c.sorted()
		for _, p := range policies {
			if !taking(p) {
				continue
			}
			if never := f.neverTaken(p); len(never) > 0 {
				d := finding(p.Origin)
				d.Message = fmt.Sprintf("the %s keeps %s snapshots and takes none: sanoid ignores its autosnap below the %s with recursive = zfs, which takes no such ones", p.String(), strings.Join(never, " and "), p.By.String())
				d.Hint = "let the upper policy take them too, and write 0 there where they are not wanted; or write autosnap = false in the lower one"
				out = append(out, d)
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

// neverTaken are the kinds of snapshots that a policy is to take and keep, and the one above it that takes them in its place does not.
func (f *facts) neverTaken(p *backup.SnapshotPolicy) []string {
	policy, known := p.Policy.Get()
	if on := p.Settings["autosnap"].Or("no"); p.By == nil || !known || on == "no" || on == "false" || on == "0" || on == "off" {
		return nil
	}
	var out []string
	for _, t := range policy.Types() {
		if t.Keep > 0 && !slices.Contains(p.By.Taken().Or(nil), t.Name) {
			out = append(out, t.Name)
		}
	}
	return out
}

// sorted are the snapshot policies by where they are written.
func (c *copies) sorted() []*backup.SnapshotPolicy {
	var out []*backup.SnapshotPolicy
	for i := range c.policies {
		out = append(out, &c.policies[i])
	}
	slices.SortStableFunc(out, func(a, b *backup.SnapshotPolicy) int { return compareOrigins(a.Origin, b.Origin) })
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
