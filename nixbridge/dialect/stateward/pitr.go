package stateward

import (
	"fmt"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// pitr reads how one cluster of PostgreSQL is to be archived.
func pitr(name string, n *dialect.Node) (stateward.PITRPolicy, bool) {
	set(n)
	p := stateward.PITRPolicy{Name: name, Enable: n.At("enable").Bool(), Origin: n.Origin()}
	if why, unknown := n.Why(); unknown {
		p.Enable = stateward.NotKnown[bool](why)
		return p, true
	} else if n.Kind() != dialect.Attrs {
		p.Enable = stateward.NotKnown[bool](n.Wrong(stateward.UnknownType, "expected an attribute set, found %s", n.Kind()))
		return p, true
	}
	if on, known := p.Enable.Get(); known && !on {
		n.Ignore() // what is off needs no value
		return p, true
	}
	if p.Enable.IsAbsent() {
		p.Enable = stateward.Known(true, n.Origin())
	}
	if !isName(name) {
		n.Wrong(stateward.UnknownForm, "its name has other than letters, digits, %q: files and units are named after it", "_-.")
	}
	span := func(n *dialect.Node) stateward.Value[stateward.Duration] {
		return dialect.Understood(n, n.Filled(), stateward.ParseDuration)
	}
	number := func(n *dialect.Node) stateward.Value[int] {
		return dialect.Understood(n, n.Int(), func(many int) (int, error) {
			if many < 0 {
				return 0, fmt.Errorf("%d is less than zero", many)
			}
			return many, nil
		})
	}
	drill, notify, cluster := n.At("drill"), n.At("notify"), n.At("cluster")
	for _, part := range []*dialect.Node{drill, notify, cluster} {
		set(part)
	}
	for value, at := range map[*stateward.Value[string]]*dialect.Node{
		&p.Provider: n.At("provider"), &p.Destination: n.At("destination"), &p.Server: n.At("server"), &p.Cloud: n.At("cloud"), &p.Endpoint: n.At("endpoint"), &p.Profile: n.At("profile"),
		&p.Compression: n.At("compression"), &p.Encryption: n.At("encryption"), &p.MetricsDir: n.At("metricsDir"),
		&p.OnStart: notify.At("onStart"), &p.OnSuccess: notify.At("onSuccess"), &p.OnFailure: notify.At("onFailure"),
		&p.Cluster.DataDir: cluster.At("dataDir"), &p.Cluster.WALDir: cluster.At("walDir"), &p.Cluster.User: cluster.At("user"), &p.Cluster.Socket: cluster.At("socket"),
		&p.Cluster.Unit: cluster.At("unit"), &p.Cluster.BinDir: cluster.At("binDir"),
	} {
		*value = at.Filled()
	}
	p.EnvironmentFile, p.CredentialsFile = n.At("environmentFile").File(), n.At("credentialsFile").File()
	p.Schedule = n.At("schedule").Strings()
	p.Window, p.ArchiveTimeout, p.DrillEvery = span(n.At("window")), span(n.At("archiveTimeout")), span(drill.At("every"))
	p.Redundancy = number(n.At("redundancy"))
	p.Cluster.Version, p.Cluster.Port = number(cluster.At("version")), number(cluster.At("port"))
	return p, true
}
