package aggregate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/pitr"
)

var sw312 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW312", Title: "data and write-ahead log are in no snapshot of one moment", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"S2"},
		Doc: doc(`
The data of PostgreSQL lie on one dataset and its write-ahead log on another, and sanoid takes their snapshots one after the other: what is rolled back to is a database whose log is of
another moment, and it does not start, or starts with what was never so. ` + "`recursive = yes`" + ` takes one snapshot after the other too.

Mend it by one policy with ` + "`recursive = \"zfs\"`" + ` on a dataset above both.

` + "```nix" + `
services.sanoid.datasets."tank/postgresql" = {
  recursive = "zfs";
  use_template = ["production"];
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		c := f.copies()
		seen := map[string]bool{}
		for i := range f.rows {
			r := &f.rows[i]
			p, err := stateward.ParsePath(r.path)
			if r.service.Name != "postgresql" || r.unread || err != nil {
				continue
			}
			l := c.s.lies(p)
			data := l.mount.zfsName()
			if l.doubt != "" || data == "" {
				continue
			}
			for _, log := range append(c.s.logs(p), f.logsOf(p)...) {
				if log == data || seen[data+"\x00"+log] {
					continue
				}
				seen[data+"\x00"+log] = true
				a, doubtA := c.policyOf(data)
				b, doubtB := c.policyOf(log)
				if doubtA || doubtB || a == nil || b == nil && c.snapshots != "" || b != nil && oneMoment(a, b) {
					continue
				}
				d := finding(a.Origin)
				d.Service, d.Path = r.service.Name, r.path
				d.Message = fmt.Sprintf("the data of PostgreSQL lie on %s and its write-ahead log on %s, and no snapshot holds both of one moment", data, log)
				if b == nil {
					d.Message = fmt.Sprintf("the data of PostgreSQL lie on %s and its write-ahead log on %s, of which nothing takes snapshots", data, log)
				}
				d.Hint = "have one policy with recursive = \"zfs\" on a dataset above both"
				out = append(out, d)
			}
		}
		return out
	},
}

// oneMoment tells whether one policy takes the snapshots of both of what these two are for.
func oneMoment(a, b *backup.SnapshotPolicy) bool {
	byA, byB := cmp.Or(a.By, a), cmp.Or(b.By, b)
	return byA.Dataset == byB.Dataset && byA.Atomic
}

// logs are the datasets on which a write-ahead log of PostgreSQL lies, as their mount points tell.
func (s *storage) logs(data stateward.AbsPath) []string {
	var out []string
	for at, ms := range s.mounts {
		text := strings.ToLower(at.String())
		base := text[strings.LastIndexByte(text, '/')+1:]
		inside := at.Below(data) && (base == "pg_wal" || base == "pg_xlog" || base == "wal")
		beside := strings.Contains(text, "postgres") && (strings.HasSuffix(text, "wal") || strings.HasSuffix(text, "xlog"))
		if name := ms[0].zfsName(); name != "" && (inside || beside) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// logsOf are the datasets on which stateward.pitr says that the log of a cluster lies.
func (f *facts) logsOf(data stateward.AbsPath) (out []string) {
	for _, asked := range f.host.PITRPolicies.Or(nil) {
		dir, set := asked.Cluster.DataDir.Get()
		of, err := stateward.ParsePath(dir)
		if on, is := asked.Enable.Get(); is && !on || !set && asked.Name != pitr.Stock || set && (err != nil || !data.Contains(of) && !of.Contains(data)) {
			continue
		}
		log, err := stateward.ParsePath(asked.Cluster.WALDir.Or(""))
		if err != nil {
			continue
		}
		if l := f.copies().s.lies(log); l.doubt == "" {
			if name := l.mount.zfsName(); name != "" {
				out = append(out, name)
			}
		}
	}
	return out
}
