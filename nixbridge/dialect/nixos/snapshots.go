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
	datasets, templates := readPolicies(n)
	for i := range datasets.Or(nil) {
		datasets.Or(nil)[i].Schedule = schedule
	}
	dialect.Merge(&h.Snapshots, whileOn(n, datasets))
	dialect.Merge(&h.SnapshotTemplates, whileOn(n, templates))
}

// readPolicies reads the datasets and the templates. What sanoid is given is `settings` alone: nixpkgs' nixos/modules/services/backup/sanoid.nix merges
// both into it, as the sections DATASET and template_NAME, beside what is written there. A module that has no such option is read by the other two.
func readPolicies(n *dialect.Node) (datasets, templates stateward.Value[[]stateward.SnapshotPolicy]) {
	settings := n.At("settings")
	switch settings.Kind() {
	case dialect.Absent, dialect.Null:
		read := func(name string, n *dialect.Node) (stateward.SnapshotPolicy, bool) {
			return snapshotPolicy(name, n, nil), true
		}
		return dialect.AttrsOf(n.At("datasets"), read), dialect.AttrsOf(n.At("templates"), read)
	}
	sections := func(below string, wanted bool) stateward.Value[[]stateward.SnapshotPolicy] {
		return dialect.AttrsOf(settings, func(name string, section *dialect.Node) (stateward.SnapshotPolicy, bool) {
			name, template := strings.CutPrefix(name, "template_")
			if template != wanted {
				return stateward.SnapshotPolicy{}, false
			}
			return snapshotPolicy(name, n.At(below, name), section), true
		})
	}
	return sections("datasets", false), sections("templates", true)
}

// whileOn is a list of what runs, which is empty while the module is off.
func whileOn[T any](n *dialect.Node, v stateward.Value[[]T]) stateward.Value[[]T] {
	if on, known := n.At("enable").Bool().Get(); known && !on && v.IsAbsent() {
		return stateward.Known([]T{}, n.At("enable").Origin())
	}
	return v
}

// snapshotPolicy reads a policy as it is declared, and the section of `settings` that it ends in; that is nil where there is none, and alone counts where
// it is there. What it says as declared is said by the declaration.
func snapshotPolicy(name string, declared, section *dialect.Node) stateward.SnapshotPolicy {
	n := declared
	switch {
	case section == nil:
	case section.Kind() == dialect.Unknown && declared.Kind() == dialect.Unknown:
		section.Ignore() // it is said once
	default:
		n = section
	}
	at := func(key string) *dialect.Node {
		own, said := n.At(key), declared.At(key)
		if n != section || !said.Exists() || !alike(own, said) {
			return own
		}
		own.Ignore()
		return said
	}
	p := stateward.SnapshotPolicy{Name: name, Templates: templateNames(at("use_template")), Recursive: recursive(at("recursive")), Origin: n.Origin()}
	if declared.Exists() {
		p.Origin = declared.Origin()
	}
	if list, ok := p.Templates.Get(); n == declared && (p.Templates.IsAbsent() || ok && len(list) == 0) {
		// Another spelling of the same option.
		if other := templateNames(n.At("useTemplate")); !other.IsAbsent() {
			p.Templates = other
		}
	}
	for _, a := range n.Attrs() {
		key := a.Name
		switch key {
		case "use_template", "recursive":
			continue
		case "useTemplate", "processChildrenOnly":
			if n == section { // it is not written
				a.Node.Ignore()
				continue
			} else if key == "useTemplate" {
				continue
			}
			key = "process_children_only"
			if n.At(key).Exists() {
				continue
			}
		}
		if v := setting(at(a.Name)); !v.IsAbsent() {
			if p.Settings == nil {
				p.Settings = map[string]stateward.Value[string]{}
			}
			p.Settings[key] = v
		}
	}
	return p
}

// alike tells whether two places say the same.
func alike(a, b *dialect.Node) bool {
	if a.Kind() == dialect.Unknown || b.Kind() == dialect.Unknown {
		return a.Kind() == b.Kind()
	}
	x, known := setting(a).Get()
	y, too := setting(b).Get()
	return known == too && x == y
}

// templateNames reads a list, or a text with commas: in sanoid.conf both are the same.
func templateNames(n *dialect.Node) stateward.Value[[]string] {
	return stateward.MapValue(n.Strings(), func(list []string) ([]string, error) {
		out := []string{}
		for one := range strings.SplitSeq(strings.Join(list, ","), ",") {
			if one = strings.TrimSpace(one); one != "" {
				out = append(out, one)
			}
		}
		return out, nil
	})
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
