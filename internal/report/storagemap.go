package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/dataset"
)

// pool is a pool with what lies on it, or what else holds state.
type pool struct {
	Name string
	// Kind is "pool", "other" (no ZFS) or "unknown".
	Kind     string
	Datasets []*mapped
	// Says is what was seen of it on the host.
	Says []says
}

// mapped is one dataset of the map, or a file system that is none.
type mapped struct {
	Name string
	// Mounts are where it is mounted.
	Mounts []string
	// Says is what is known of it: whether it is there, what takes snapshots of it, where it is sent, which jobs store of it.
	Says   []says
	Places []place

	copied bool
}

// says is a sentence about a dataset, with how it is meant.
type says struct{ Sign, Text, Tone string }

func (m *mapped) good(text string) { m.Says, m.copied = append(m.Says, says{"✓", text, ""}), true }
func (m *mapped) doubt(text string) {
	m.Says, m.copied = append(m.Says, says{"?", text, "doubt"}), true
}
func (m *mapped) maybe(text string) {
	if !slices.Contains(m.Says, says{"?", text, "doubt"}) {
		m.doubt(text)
	}
}
func (m *mapped) no(text string)  { m.Says = append(m.Says, says{"✕", text, "no"}) }
func (m *mapped) bad(text string) { m.Says = append(m.Says, says{"✕", text, "bad"}) }

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
func mapHost(host Host) []*pool {
	h, rows := host.Declared, host.Survival
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
		return datasetOf(poolOf("pool", poolName(name)), name)
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
		if d.Asked && !made && len(m.Says) == 0 {
			m.Says = append(m.Says, says{"?", "declared, and nothing that is read creates it", "doubt"})
		}
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
	layout := backup.NewLayout(h)
	on := func(lies backup.Lying) (m *mapped) {
		switch {
		case lies.Unknown != "":
			return datasetOf(poolOf("unknown", "where it lies is not known"), lies.Unknown)
		case lies.Dataset != "":
			m = zfs(lies.Dataset)
		default:
			// Two disks of one kind are two.
			p, at := poolOf("other", "no ZFS"), lies.Mount.String()
			if i := slices.IndexFunc(p.Datasets, func(d *mapped) bool { return slices.Contains(d.Mounts, at) }); i >= 0 {
				return p.Datasets[i]
			}
			m = &mapped{Name: cmp.Or(lies.Other, "a file system of another kind")}
			p.Datasets = append(p.Datasets, m)
		}
		mount(m, lies.Mount.String())
		return m
	}
	for _, f := range h.FileSystems.Or(nil) {
		if f.Enable.Or(true) && f.MountPoint.Problem == nil && !f.IsBind() && !slices.Contains(holdNothing, f.FSType.Or("")) {
			on(layout.Of(f.MountPoint.Path))
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
		if err != nil {
			m = datasetOf(poolOf("unknown", "where it lies is not known"), row.Origin)
		} else {
			m = on(layout.Of(at))
		}
		m.Places = append(m.Places, p)
	}
	jobs, stale := restic.Running(h)
	for i := range jobs {
		j := &jobs[i]
		for _, path := range j.Paths.Or(nil) {
			m := on(layout.Of(path))
			stored := "not known"
			switch r, known := j.Repository.Get(); {
			case known && (r.Where == backup.WhereProvider || r.Where == backup.WhereRemote):
				stored = "apart"
			case known && r.Where == backup.WhereLocal:
				to := layout.Of(r.Path)
				if stored = together(layout.Of(path), to); to.Unknown == "" && on(to) == m {
					stored = "same"
				}
			}
			jobText(m, j, stale[j.Name], path, stored)
			for _, below := range layout.Below(path) {
				// The same file system, as another name leads to it, is no other.
				if other := on(below); other != m && other.Name != "" {
					other.maybe(fmt.Sprintf("perhaps stored with %s by %s: whether that goes from there into other file systems is not read", path, j))
				}
			}
		}
	}
	for _, p := range pools {
		for _, m := range p.Datasets {
			if p.Kind == "pool" {
				copiesOf(m, policies, replications)
			}
			if p.Kind != "unknown" {
				m.alone(h, host.Root.Wiped == stateward.SurvivalYes)
			}
		}
		if p.Kind == "pool" {
			seen(p, host.Pools)
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

// copiesOf says what takes snapshots of a dataset, and where it is sent.
func copiesOf(m *mapped, policies []backup.SnapshotPolicy, replications []backup.Replication) {
	switch g, doubt := backup.Governing(policies, m.Name); {
	case doubt != "":
		m.doubt("not known whether there are snapshots: " + doubt)
	case g != nil:
		switch gap := g.Gap(then, time.UTC); gap.State {
		case backup.GapBounded:
			m.good("snapshots by the " + g.String())
		case backup.GapUnbounded:
			m.no("no snapshots by the " + g.String() + ": " + gap.Why)
		default:
			m.doubt("perhaps snapshots by the " + g.String() + ": " + gap.Why)
		}
	}
	for i := range replications {
		r := &replications[i]
		sent, known, why := r.Sends(m.Name)
		s, timed := r.Schedule.Get()
		unscheduled, unknown := r.Schedule.Why()
		switch {
		case !known:
			m.doubt("perhaps sent to " + targetText(r) + strings.TrimSuffix(": "+why, ": "))
		case !sent:
		case unknown:
			m.doubt("sent to " + targetText(r) + ", and when is not known: " + unscheduled.String())
		case !timed || len(s.Calendar) == 0:
			m.doubt("sent to " + targetText(r) + ", and no timer is seen that starts it")
		case !r.Target.IsKnown():
			m.doubt("sent to " + targetText(r))
		case onPool(r.Target, m.Name):
			m.bad("sent to " + targetText(r) + ", on the same pool, and lost with it")
			m.copied = true
		default:
			m.good("sent to " + targetText(r))
		}
	}
}

// holdNothing are file systems that are empty at every boot, or hold no state.
var holdNothing = []string{"tmpfs", "ramfs", "devtmpfs", "devpts", "proc", "sysfs", "efivarfs", "vfat", "swap", "none", "autofs", "overlay", "squashfs", "iso9660"}

// alone says that a file system has no service and no copy: what somebody keeps there by hand is on it only. Of the root it says that it is wiped.
func (m *mapped) alone(h *stateward.Host, wiped bool) {
	// /nix is made anew from the configuration.
	made := func(at string) bool {
		return at == "/nix" || strings.HasPrefix(at, "/nix/") || at == "/boot" || strings.HasPrefix(at, "/boot/")
	}
	switch {
	case wiped && slices.Contains(m.Mounts, "/"):
		m.Says = append(m.Says, says{"", "emptied at every boot", ""})
	case m.copied || len(m.Places) > 0 || h.Snapshots.IsUnknown() || h.Replications.IsUnknown() || h.Jobs.IsUnknown() || h.Services.IsUnknown():
	case slices.Contains(holdNothing, m.Name) || slices.ContainsFunc(m.Mounts, made):
	default:
		m.no("no service that is read keeps state on it, and nothing that is read copies it")
	}
}

// ofOthers are file systems that lie on the disks of another host.
var ofOthers = []string{"nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "ceph", "glusterfs", "afs", "davfs", "sshfs"}

// together tells whether two places are on the same disks, "same" or "apart", as far as pools tell. Of others the matrix says that it is not known, too.
func together(a, b backup.Lying) string {
	switch {
	case a.Unknown != "" || b.Unknown != "":
	case slices.Contains(ofOthers, b.Other) && !slices.Contains(ofOthers, a.Other):
		return "apart"
	case a.Dataset == "" || b.Dataset == "":
	case a.Pool() == b.Pool():
		return "same"
	default:
		return "apart"
	}
	return "not known"
}

// jobText says that a job stores a path of a dataset.
// stored is "same" where its repository lies on the disks of what it stores, "apart" where it surely does not.
func jobText(m *mapped, j *backup.Job, stale string, path stateward.AbsPath, stored string) {
	text := path.String() + map[bool]string{true: " to be stored by ", false: " stored by "}[j.Asked] + j.String()
	r, where := j.Repository.Get()
	if where {
		text += " in " + r.Name
	}
	if len(j.Exclude.Or(nil)) > 0 {
		text += ", without what that excludes"
	}
	why, unknown := j.Schedule.Why()
	switch s, timed := j.Schedule.Get(); {
	case stale != "":
		m.doubt(text + "; asked for, and " + stale + " was written of something else")
	case j.Asked:
		m.doubt(text + "; asked for, and nothing that is read runs it")
	case unknown:
		m.doubt(text + "; when is not known: " + why.String())
	case !timed || len(s.Calendar) == 0:
		m.doubt(text + "; no timer is seen that starts it")
	case stored == "same":
		m.bad(text + ", on the same disks, and lost with them")
		m.copied = true
	case !where:
		m.doubt(text + "; where is not known")
	case stored != "apart":
		m.doubt(text + "; whether that lies on other disks is not known")
	default:
		m.good(text)
	}
}

// mostNames is how many names of datasets are listed at most of those that no part of the configuration has.
const mostNames = 30

// seen compares a pool with what was seen of it on the host.
func seen(p *pool, o *dataset.Observed) {
	if o == nil {
		return
	}
	if slices.Contains(o.LeftOut, p.Name) {
		p.Says = append(p.Says, says{"?", "not looked at when the host was: whether its datasets are there is not known", "doubt"})
		return
	}
	i := slices.IndexFunc(o.Pools, func(x dataset.Pool) bool { return x.Name == p.Name })
	switch {
	case i < 0:
		p.Says = append(p.Says, says{"✕", "not imported when the host was looked at", "bad"})
		return
	case o.Pools[i].Unread != "":
		p.Says = append(p.Says, says{"?", "what it has is not known: " + o.Pools[i].Unread, "doubt"})
		return
	case o.Pools[i].Health != "ONLINE":
		p.Says = append(p.Says, says{"✕", "was " + o.Pools[i].Health + " when the host was looked at", "bad"})
	}
	there := map[string]bool{}
	for _, d := range o.Datasets {
		there[d.Name.String()] = true
	}
	at := map[string]string{}
	for _, m := range o.Mounts {
		if !m.Hidden {
			at[m.At] = m.Source
		}
	}
	named := map[string]bool{}
	for _, m := range p.Datasets {
		for name := m.Name; name != ""; {
			named[name] = true
			name = name[:max(strings.LastIndexByte(name, '/'), 0)]
		}
		if !there[m.Name] {
			m.bad("was not there when the host was looked at")
			continue
		}
		for _, place := range m.Mounts {
			switch source := at[place]; {
			case source == "":
				m.bad("was not mounted at " + place + " when the host was looked at")
			case source != m.Name:
				m.bad(source + " was mounted at " + place + " when the host was looked at")
			}
		}
	}
	var others []string
	for _, d := range o.Datasets {
		if name := d.Name.String(); d.Name.Pool() == p.Name && !named[name] {
			others = append(others, name)
		}
	}
	if n := len(others); n > 0 {
		text := strings.Join(others[:min(n, mostNames)], ", ")
		if n > mostNames {
			text += fmt.Sprintf(" and %d more", n-mostNames)
		}
		p.Says = append(p.Says, says{"?", "seen on the host, and not in what is read: " + text, "doubt"})
	}
}

// poolName is the pool of a dataset.
func poolName(name string) string {
	pool, _, _ := strings.Cut(name, "/")
	return pool
}

// onPool tells whether a place is on the pool of a dataset of this host.
func onPool(target stateward.Value[backup.Place], name string) bool {
	p, ok := target.Get()
	return ok && p.Here() && p.Pool() == poolName(name)
}

func targetText(r *backup.Replication) string {
	if p, ok := r.Target.Get(); ok {
		return p.String()
	}
	return "a target that is not known"
}
