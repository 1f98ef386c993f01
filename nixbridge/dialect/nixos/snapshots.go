package nixos

import (
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// sanoid reads `services.sanoid`; where that is off nothing takes snapshots, whatever
// is written below it.
func sanoid(n *dialect.Node, h *stateward.Host) {
	schedule := nonEmpty(n.At("interval").Strings())
	read := func(n *dialect.Node, schedule stateward.Value[[]string]) stateward.Value[[]stateward.SnapshotPolicy] {
		return dialect.AttrsOf(n, func(name string, n *dialect.Node) (stateward.SnapshotPolicy, bool) {
			p := snapshotPolicy(name, n)
			p.Schedule = schedule
			return p, true
		})
	}
	dialect.Merge(&h.Snapshots, whileOn(n, read(n.At("datasets"), schedule)))
	dialect.Merge(&h.SnapshotTemplates, whileOn(n, read(n.At("templates"), stateward.Value[[]string]{})))
}

// whileOn is a list of what runs, which is empty while the module is off.
func whileOn[T any](n *dialect.Node, v stateward.Value[[]T]) stateward.Value[[]T] {
	if on, known := n.At("enable").Bool().Get(); known && !on && v.IsAbsent() {
		return stateward.Known([]T{}, n.At("enable").Origin())
	}
	return v
}

func snapshotPolicy(name string, n *dialect.Node) stateward.SnapshotPolicy {
	p := stateward.SnapshotPolicy{
		Name: name, Templates: n.At("use_template").Strings(), Recursive: recursive(n.At("recursive")), Origin: n.Origin(),
	}
	if list, ok := p.Templates.Get(); p.Templates.IsAbsent() || ok && len(list) == 0 {
		// Another spelling of the same option.
		if other := n.At("useTemplate").Strings(); !other.IsAbsent() {
			p.Templates = other
		}
	}
	for _, a := range n.Attrs() {
		key := a.Name
		switch key {
		case "use_template", "useTemplate", "recursive":
			continue
		case "processChildrenOnly":
			key = "process_children_only"
			if n.At(key).Exists() {
				continue
			}
		}
		if v := setting(a.Node); !v.IsAbsent() {
			if p.Settings == nil {
				p.Settings = map[string]stateward.Value[string]{}
			}
			p.Settings[key] = v
		}
	}
	return p
}

// setting mirrors mkValueString of nixpkgs' nixos/modules/services/backup/sanoid.nix.
func setting(n *dialect.Node) stateward.Value[string] {
	if n.Kind() == dialect.List {
		return stateward.MapValue(n.Strings(), func(list []string) (string, error) { return strings.Join(list, ","), nil })
	}
	return n.Scalar()
}

// recursive reads a Boolean or "zfs".
func recursive(n *dialect.Node) stateward.Value[string] {
	return stateward.MapValue(n.Scalar(), func(s string) (string, error) {
		switch s {
		case "true":
			return "yes", nil
		case "false":
			return "no", nil
		default:
			return s, nil
		}
	})
}

// replications reads `services.syncoid`.
func replications(n *dialect.Node) stateward.Value[[]stateward.Replication] {
	schedule, common := nonEmpty(n.At("interval").Strings()), n.At("commonArgs").Strings()
	return whileOn(n, dialect.AttrsOf(n.At("commands"), func(name string, n *dialect.Node) (stateward.Replication, bool) {
		r := stateward.Replication{
			Name: name, Source: n.At("source").Filled(), Target: n.At("target").Filled(), Recursive: n.At("recursive").Bool(),
			SendOptions: n.At("sendOptions").Filled(), RecvOptions: n.At("recvOptions").Filled(), Schedule: schedule, Origin: n.Origin(),
		}
		if r.Source.IsAbsent() {
			r.Source = stateward.Known(name, n.Origin())
		}
		if use, known := n.At("useCommonArgs").Bool().Get(); use || !known {
			dialect.MergeWhole(&r.ExtraArgs, common)
		}
		dialect.MergeWhole(&r.ExtraArgs, n.At("extraArgs").Strings())
		return r, true
	}))
}
