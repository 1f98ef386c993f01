package report

import (
	"cmp"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/dataset"
)

// pool is a pool with what lies on it, or what else holds state.
type pool struct {
	Name string
	// Kind is "pool", "other" (no ZFS) or "unknown".
	Kind     string
	Datasets []*mapped
}

// mapped is one dataset of the map, or a file system that is none.
type mapped struct {
	Name string
	// Mounts are where it is mounted.
	Mounts []string
	// Unmade tells that it is declared and nothing that is read creates it.
	Unmade bool
	// Snapshots says by what policy there are snapshots of it, Sent where it is sent.
	Snapshots string
	Sent      []string
	Places    []place
}

// place is a path in which a service keeps state.
type place struct {
	Service, Path string
	// Copies are what the path has in each tier beyond the reboot.
	Copies []copyOf
}

type copyOf struct {
	Tier   string
	Answer answer
}

// mapHost puts the state of a host on what it lies on.
func mapHost(h *stateward.Host, rows []stateward.SurvivalRow) []*pool {
	var pools []*pool
	poolOf := func(kind, name string) *pool {
		for _, p := range pools {
			if p.Kind == kind && p.Name == name {
				return p
			}
		}
		p := &pool{Name: name, Kind: kind}
		pools = append(pools, p)
		return p
	}
	datasetOf := func(p *pool, name string) *mapped {
		for _, d := range p.Datasets {
			if d.Name == name {
				return d
			}
		}
		d := &mapped{Name: name}
		p.Datasets = append(p.Datasets, d)
		return d
	}
	zfs := func(name string) *mapped {
		first, _, _ := strings.Cut(name, "/")
		return datasetOf(poolOf("pool", first), name)
	}
	mount := func(d *mapped, at string) {
		if at != "" && !slices.Contains(d.Mounts, at) {
			d.Mounts = append(d.Mounts, at)
		}
	}
	desired, _ := dataset.NewDesired(h)
	made := dataset.Runs(h)
	for _, d := range h.Datasets.Or(nil) {
		m := zfs(d.Name)
		m.Unmade = m.Unmade || d.Asked && !made
		if n, err := dataset.ParseName(d.Name); err == nil {
			if at, ok := desired.MountPoint(n); ok {
				mount(m, at.String())
			}
		}
	}
	for _, list := range []stateward.Value[[]stateward.FileSystem]{h.FileSystems, h.Mounts} {
		for _, f := range list.Or(nil) {
			if name, ok := f.Device.Get(); ok && f.FSType.Or("") == "zfs" && f.Enable.Or(true) {
				mount(zfs(name), f.MountPoint.Text)
			}
		}
	}
	policies, _ := backup.SnapshotPolicies(h)
	replications, _ := backup.Replications(h)
	for i := range policies {
		zfs(policies[i].Dataset)
	}
	for i := range replications {
		if from, ok := replications[i].Source.Get(); ok && from.Here() {
			zfs(from.Dataset)
		}
	}
	layout := backup.NewLayout(h)
	for _, row := range rows {
		if row.Tiers[stateward.TierReboot].State == stateward.SurvivalNotNeeded {
			continue
		}
		var m *mapped
		p := place{Service: row.Service, Path: row.Path}
		for _, tier := range stateward.Tiers()[1:] {
			if t := row.Tiers[tier]; t.State == stateward.SurvivalYes || t.State == stateward.SurvivalUnknown {
				p.Copies = append(p.Copies, copyOf{heads[tier].Head, newAnswer(tier, t)})
			}
		}
		at, err := stateward.ParsePath(row.Path)
		switch lies := layout.Of(at); {
		case err != nil:
			m = datasetOf(poolOf("unknown", "where it lies is not known"), row.Origin)
		case lies.Unknown != "":
			m = datasetOf(poolOf("unknown", "where it lies is not known"), lies.Unknown)
		case lies.Dataset != "":
			m = zfs(lies.Dataset)
			mount(m, lies.Mount.String())
		default:
			m = datasetOf(poolOf("other", "no ZFS"), cmp.Or(lies.Other, "a file system of another kind"))
			mount(m, lies.Mount.String())
		}
		m.Places = append(m.Places, p)
	}
	for _, p := range pools {
		if p.Kind != "pool" {
			continue
		}
		for _, m := range p.Datasets {
			switch g, doubt := backup.Governing(policies, m.Name); {
			case doubt != "":
				m.Snapshots = "not known whether there are snapshots: " + doubt
			case g != nil:
				m.Snapshots = "snapshots by the " + g.String()
			}
			for i := range replications {
				r := &replications[i]
				switch sent, known, _ := r.Sends(m.Name); {
				case known && sent:
					m.Sent = append(m.Sent, targetText(r))
				case !known:
					m.Sent = append(m.Sent, "perhaps "+targetText(r))
				}
			}
		}
	}
	for _, p := range pools {
		slices.SortStableFunc(p.Datasets, func(a, b *mapped) int { return cmp.Compare(a.Name, b.Name) })
	}
	order := map[string]int{"unknown": 0, "pool": 1, "other": 2}
	slices.SortStableFunc(pools, func(a, b *pool) int {
		return cmp.Or(cmp.Compare(order[a.Kind], order[b.Kind]), cmp.Compare(a.Name, b.Name))
	})
	return pools
}

func targetText(r *backup.Replication) string {
	if p, ok := r.Target.Get(); ok {
		return p.String()
	}
	return "a target that is not known"
}
