// Package homelab is the dialect of a family of configurations that declare ZFS datasets, snapshots, replication and backup
// jobs below `modules`: `modules.storage.datasets`, `modules.storage.protection`, `modules.filesystems.zfs`,
// `modules.backup.sanoid` and `modules.services.backup`. docs/homelab.md describes what is read.
package homelab

import (
	_ "embed"
	"slices"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// Name of the dialect.
const Name = "homelab"

//go:embed projection.nix
var projection string

// Dialect returns the dialect. It applies where a configuration has `modules.storage.datasets`, `modules.backup.sanoid` or
// `modules.services.backup.repositories`.
func Dialect() dialect.Dialect {
	return dialect.Dialect{Name: Name, Projection: projection, Sections: dialect.SectionNames(projection), Decode: decode}
}

func decode(n *dialect.Node, h *stateward.Host) {
	modules := n.At("modules")
	readStorage(n, h)
	zfsModule(modules.At("filesystems", "zfs"), h)
	sanoid(modules.At("backup", "sanoid"), h)
	dialect.Merge(&h.Jobs, jobs(n, h))
}

// off tells whether a module is surely off: then it declares nothing, and nothing of it needs a value.
func off(n *dialect.Node) bool {
	on, known := n.At("enable").Bool().Get()
	if known && !on {
		n.Ignore()
	}
	return known && !on
}

// unread says why a place that should hold a set cannot be read as one; nil where it can, or where there is nothing.
func unread(n *dialect.Node) *stateward.Unknown {
	switch n.Kind() {
	case dialect.Absent, dialect.Null, dialect.Attrs:
		return nil
	}
	why, unknown := n.Why()
	if !unknown {
		why = n.Wrong(stateward.UnknownType, "expected an attribute set, found %s", n.Kind())
	}
	return &why
}

// zfsModule reads the datasets that the ZFS module mounts at /persist and /home. Its entries of `fileSystems` are
// defaults, which others override: what is not mounted in the end is not declared either.
func zfsModule(n *dialect.Node, h *stateward.Host) {
	if off(n) {
		return
	}
	var list []stateward.Dataset
	for _, option := range []string{"persistDataset", "homeDataset"} {
		name, ok := n.At(option).Filled().Get()
		mounted := slices.ContainsFunc(h.FileSystems.Or(nil), func(f stateward.FileSystem) bool { return ok && f.Device.Or("") == name })
		if mounted && !slices.ContainsFunc(h.Datasets.Or(nil), func(d stateward.Dataset) bool { return d.Name == name && !d.Asked }) {
			list = append(list, stateward.Dataset{Name: name, Origin: n.At(option).Origin()})
		}
	}
	if len(list) > 0 {
		dialect.MergeWhole(&h.Datasets, stateward.Known(list, n.Origin()))
	}
}
