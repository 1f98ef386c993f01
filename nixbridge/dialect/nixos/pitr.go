package nixos

import (
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
	p.DataDir, p.Version = server.At("dataDir").Filled(), server.At("package").Filled()
	p.Port, p.Sockets = n.At("port").Scalar(), n.At("unix_socket_directories").Filled()
	if on, _ := pgbackrest.At("enable").Bool().Get(); on {
		p.QueueMax = pgbackrest.At("settings", "archive-push-queue-max").Scalar()
	}
	return stateward.Known([]stateward.PITR{p}, server.Origin())
}
