package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
)

var sw315 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW315", Title: "files of a live database are backed up as they change", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"R9"},
		Doc: doc(`
A backup job reads the files of a database server while the server writes them: the files in the backup are of different moments, and what is restored may not
start, or lack rows that nobody misses at first. Where point-in-time recovery keeps the same database, its files do not belong into the file backup at all.

Nothing is said where the job reads a snapshot, stops units, or has a command before it, which may do either. Of SQLite no option tells.

Mend it by backing up a dump, or a snapshot, and by leaving the live files out.

` + "```nix" + `
services.postgresqlBackup.enable = true;
services.restic.backups.daily = {
  paths = ["/var/lib" "/var/backup/postgresql"];
  exclude = ["/var/lib/postgresql"];
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		type pair struct{ job, service string }
		said := map[pair]bool{}
		var out []stateward.Diagnostic
		for i := range f.rows {
			r := &f.rows[i]
			p, err := stateward.ParsePath(r.path)
			if err != nil || r.unread || r.implied() || !slices.Contains(servers, r.service.Name) || r.service.Dialect != "nixos" && r.state.Source != stateward.SourceDataDir {
				continue
			}
			for _, j := range f.storing(p, false) {
				raw := f.raw(&j.of)
				quiesced := !j.of.Dataset.IsAbsent() || j.of.PreHook.IsUnknown() || j.of.PreHook.Or(false) || raw.StopUnits.IsUnknown() || len(raw.StopUnits.Or(nil)) > 0
				key := pair{j.of.String(), r.service.Name}
				if quiesced || said[key] {
					continue
				}
				said[key] = true
				d := finding(j.of.Origin)
				d.Service, d.Path = r.service.Name, r.path
				d.Message = fmt.Sprintf("%s stores the files of %s in %s while it writes them", j.of.String(), r.service.Name, r.path)
				if by := f.pointInTime(); by != "" && r.service.Name == "postgresql" {
					d.Message += fmt.Sprintf(", and beside %s, which keeps them already", by)
				}
				d.Hint = "back up a dump or a snapshot of it, and leave these files out"
				out = append(out, d)
			}
		}
		return out
	},
}

// servers are database servers that change their files all the time.
var servers = []string{"postgresql", "mysql", "mariadb", "mongodb", "influxdb", "influxdb2", "clickhouse", "couchdb", "cassandra", "elasticsearch", "opensearch", "neo4j", "surrealdb"}

// pointInTime names what archives the write-ahead log of PostgreSQL; empty where nothing is seen.
func (f *facts) pointInTime() string {
	for _, p := range f.servers() {
		if a := pitr.ReadArchiving(p); a.State == stateward.SurvivalYes {
			return a.Origin.Option
		}
	}
	for _, u := range f.host.Units.Or(nil) {
		if u.Enable.Or(true) && slices.ContainsFunc([]string{"pgbackrest", "barman", "wal-g", "pgbarman"}, func(t string) bool { return strings.HasPrefix(u.Name, t) }) {
			return u.Name
		}
	}
	return ""
}
