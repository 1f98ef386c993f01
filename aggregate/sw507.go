package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
)

var sw507 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW507", Title: "two clusters are archived to one place", Severity: stateward.SeverityError, Since: "0.1", Traps: []string{"G4"},
		Doc: doc(`
Two clusters of PostgreSQL store their write-ahead log below one destination and one server name. Segments of both have the same names: each overwrites those of the other, or is refused, and neither can be recovered. So
ends a configuration that is copied to a second machine.

Compared are the policies of ` + "`stateward.pitr`" + ` of a host, and with those of the hosts that are checked at the same time (` + "`stateward check .`" + `) also each ` + "`archive_command`" + ` of barman-cloud. Of another host it is a warning.
Nothing is said where one of the two follows another server (` + "`primary_conninfo`" + `) and has ` + "`archive_mode = \"on\"`" + `: a standby archives nothing while it is one, and goes on with the archive of its primary in a
timeline of its own. With ` + "`archive_mode = \"always\"`" + ` it archives what its primary does too, to the same names. A standby of which only files in its data directory know is not seen; acknowledge that. Two attributes of one machine, of the same ` + "`networking.hostName`" + `, are not compared.

Mend it by a name for each.

` + "```nix" + `
stateward.pitr.postgresql = {
  destination = "s3://bucket/postgresql";
  server = config.networking.hostName;
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		own := archives(f.host)
		for i, a := range own {
			var same []string
			severity := stateward.SeverityWarning
			for k, b := range own {
				if i != k && a.place == b.place && a.cluster != b.cluster {
					same, severity = append(same, b.cluster), stateward.SeverityError
				}
			}
			for _, h := range f.fleet {
				name, known := f.host.HostName.Get()
				if h == f.host || h.Name == f.host.Name || known && name != "" && name == h.HostName.Or("") {
					continue
				}
				others := archives(h)
				k := slices.IndexFunc(others, func(b archive) bool { return b.place == a.place && !a.follows && !b.follows })
				if k < 0 {
					continue
				}
				who := "host " + h.Name
				if others[k].always || a.always {
					who += " (one of them follows the other, and archives always)"
				}
				same = append(same, who)
			}
			if len(same) == 0 {
				continue
			}
			d := finding(a.origin)
			d.Severity = severity
			d.Message = fmt.Sprintf("%s is archived to %s, as %s is: the logs cannot be told apart", a.cluster, a.place, strings.Join(same, ", "))
			d.Hint = "give each cluster a server name of its own"
			out = append(out, d)
		}
		return out
	},
}

// archive is where a cluster is archived to.
type archive struct {
	cluster string
	place   pitr.ArchivePlace
	origin  stateward.Origin
	// follows tells that it is a standby, which archives nothing while it is one; always that it does all the same.
	follows, always bool
}

// archives are those of a host, as far as they are known: of one cluster once.
func archives(h *stateward.Host) []archive {
	var out []archive
	add := func(cluster string, p pitr.ArchivePlace, at stateward.Origin) {
		if !slices.ContainsFunc(out, func(o archive) bool { return o.cluster == cluster && o.place == p }) {
			a := archive{cluster: cluster, place: p, origin: at}
			for _, s := range serversOf(h) {
				dir := cluster
				for _, asked := range h.PITRPolicies.Or(nil) {
					if own := asked.Cluster.DataDir.Or(""); asked.Name == cluster && own != "" && own == clusterDir(h, s) {
						dir = s.Service
					}
				}
				if dir == s.Service && s.Standby.Or(false) {
					mode := s.Settings["archive_mode"]
					a.always = mode.Or("") == "always"
					a.follows = !a.always && !mode.IsUnknown()
				}
			}
			out = append(out, a)
		}
	}
	for _, p := range h.PITRPolicies.Or(nil) {
		destination, a := p.Destination.Get()
		server, b := p.Server.Get()
		if on, known := p.Enable.Get(); a && b && known && on && !p.Endpoint.IsUnknown() {
			add(p.Name, pitr.NewArchivePlace(p.Endpoint.Or(""), destination, server), originOr(p.Server.Origin(), p.Origin))
		}
	}
	for _, p := range serversOf(h) {
		command := p.Settings["archive_command"]
		if place, ok := pitr.ArchivedTo(command.Or("")); ok && pitr.ReadArchiving(p).State == stateward.SurvivalYes {
			cluster := p.Service
			for _, asked := range h.PITRPolicies.Or(nil) {
				if dir := asked.Cluster.DataDir.Or(""); dir != "" && dir == clusterDir(h, p) {
					cluster = asked.Name // it has another name there
				}
			}
			add(cluster, place, command.Origin())
		}
	}
	return out
}
