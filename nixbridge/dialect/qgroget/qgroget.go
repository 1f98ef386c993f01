// Package qgroget is the dialect of `qgroget.serviceModules`, a contract in which each service names its data,
// of the older `qgroget.services.<name>.persistedData`, and of `qgroget.backups`.
package qgroget

import (
	_ "embed"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// Name of the dialect.
const Name = "qgroget"

//go:embed projection.nix
var projection string

// Dialect returns the dialect. It applies where a configuration has `qgroget`.
func Dialect() dialect.Dialect {
	return dialect.Dialect{Name: Name, Projection: projection, Sections: dialect.SectionNames(projection), Decode: decode}
}

func decode(n *dialect.Node, h *stateward.Host) {
	dialect.Merge(&h.Services, dialect.AttrsOf(n.At("qgroget", "serviceModules"), serviceModule))
	dialect.Merge(&h.Services, dialect.AttrsOf(n.At("qgroget", "services"), service))
	dialect.Merge(&h.Jobs, dialect.AttrsOf(n.At("qgroget", "backups"), job))
}

// job reads one of `qgroget.backups`: what to back up and when others must rest; the engine
// is chosen elsewhere.
func job(name string, n *dialect.Node) (stateward.Job, bool) {
	paths, why := n.At("paths").Paths(stateward.Directory, dialect.RootOwned)
	j := stateward.Job{
		Name: name, Engine: Name, Asked: true, Origin: n.Origin(),
		Exclude:        n.At("exclude").Strings(),
		StopUnits:      n.At("systemdUnits").Strings(),
		Priority:       n.At("priority").Int(),
		RequireNetwork: n.At("requireNetwork").Bool(),
		PreHook:        n.At("preBackup").Given(),
		PostHook:       n.At("postBackup").Given(),
	}
	j.Paths = n.At("paths").Entries(paths, why)
	return j, true
}
