package nixos

import (
	"fmt"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// pitr reads what `services.postgresql` says of the write-ahead log; the projection leaves the settings out where the server is off.
func pitr(server, pgbackrest *dialect.Node) stateward.Value[[]stateward.PITR] {
	n := server.At("settings")
	if why, unknown := n.Why(); unknown {
		return stateward.NotKnown[[]stateward.PITR](why)
	}
	if n.Kind() != dialect.Attrs {
		return stateward.Absent[[]stateward.PITR](n.Origin())
	}
	p := stateward.PITR{Service: "postgresql", Enable: server.At("enable").Bool(), Settings: map[string]stateward.Value[string]{}, Origin: server.Origin()}
	for _, name := range stateward.PITRSettings() {
		p.Settings[name] = n.At(name).Scalar()
	}
	p.Standby = n.At("primary_conninfo").Bool()
	p.DataDir, p.Version = server.At("dataDir").Filled(), server.At("package").Filled()
	p.Port, p.Sockets = n.At("port").Scalar(), n.At("unix_socket_directories").Filled()
	if on, _ := pgbackrest.At("enable").Bool().Get(); on {
		p.PgBackRest = ofPgBackRest(pgbackrest)
		for _, section := range []string{"global:archive-push", "global"} {
			if max := p.PgBackRest.Sections[section]["archive-push-queue-max"]; p.QueueMax.IsAbsent() && !max.IsAbsent() {
				p.QueueMax = max
			}
		}
	} else if conf := server.At("pgbackrestConf"); conf.Exists() {
		conf.Called(stateward.OptionPath("environment", "etc", "pgbackrest/pgbackrest.conf", "text"))
		p.PgBackRest = &stateward.PgBackRest{Text: conf.Text(), Origin: conf.Origin()}
	}
	return stateward.Known([]stateward.PITR{p}, server.Origin())
}

// ofPgBackRest reads `services.pgbackrest`. Its module numbers repositories and instances by the order of their names.
func ofPgBackRest(n *dialect.Node) *stateward.PgBackRest {
	p := &stateward.PgBackRest{Sections: map[string]map[string]stateward.Value[string]{}, Origin: n.Origin()}
	put := func(section, prefix string, options *dialect.Node) {
		if p.Sections[section] == nil {
			p.Sections[section] = map[string]stateward.Value[string]{}
		}
		for _, o := range options.Attrs() {
			if v := o.Node.Scalar(); !v.IsAbsent() {
				p.Sections[section][prefix+o.Name] = v
			}
		}
	}
	numbered := func(section, prefix string, list *dialect.Node) {
		for i, one := range list.Attrs() {
			put(section, fmt.Sprintf("%s%d-", prefix, i+1), one.Node)
		}
	}
	put("global", "", n.At("settings"))
	numbered("global", "repo", n.At("repos"))
	put("global:archive-push", "", n.At("commands", "archive-push"))
	for _, s := range n.At("stanzas").Attrs() {
		put(s.Name, "", s.Node.At("settings"))
		numbered(s.Name, "pg", s.Node.At("instances"))
		for _, j := range s.Node.At("jobs").Attrs() {
			p.Jobs = append(p.Jobs, stateward.PgBackRestJob{Stanza: s.Name, Name: j.Name, Type: j.Node.At("type").Text(), Schedule: j.Node.At("schedule").Text(), Origin: j.Node.Origin()})
		}
	}
	return p
}
