package homelab

import (
	"fmt"
	"slices"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// sanoid reads `modules.backup.sanoid`. The module turns it into `services.sanoid` and `services.syncoid`, which are what
// runs: where they say anything, this says nothing.
func sanoid(n *dialect.Node, h *stateward.Host) {
	if off(n) {
		return
	}
	if why := unread(n); why != nil && len(h.Snapshots.Or(nil)) == 0 {
		dialect.Merge(&h.Snapshots, stateward.NotKnown[[]stateward.SnapshotPolicy](*why))
	}
	schedule, every := nonEmpty(n.At("snapshotInterval").Strings()), nonEmpty(n.At("replicationInterval").Strings())
	if len(h.Snapshots.Or(nil)) == 0 {
		dialect.Merge(&h.Snapshots, dialect.AttrsOf(n.At("datasets"), func(name string, n *dialect.Node) (stateward.SnapshotPolicy, bool) {
			p := policy(name, n, n.At("retention"))
			p.Templates, p.Recursive, p.Schedule = n.At("useTemplate").Strings(), yesNo(n.At("recursive")), schedule
			if why := unread(n); why != nil {
				p.Templates = stateward.NotKnown[[]string](*why)
			}
			return p, true
		}))
	}
	if len(h.SnapshotTemplates.Or(nil)) == 0 {
		dialect.Merge(&h.SnapshotTemplates, dialect.AttrsOf(n.At("templates"), func(name string, n *dialect.Node) (stateward.SnapshotPolicy, bool) {
			return policy(name, n, n), true
		}))
	}
	if len(h.Replications.Or(nil)) > 0 {
		return
	}
	dialect.Merge(&h.Replications, dialect.AttrsOf(n.At("datasets"), func(name string, n *dialect.Node) (stateward.Replication, bool) {
		to := n.At("replication")
		if why := unread(to); why != nil {
			return stateward.Replication{Name: name, Source: stateward.Known(name, n.Origin()), Target: stateward.NotKnown[string](*why), Schedule: every, Origin: to.Origin()}, true
		} else if to.Kind() != dialect.Attrs {
			return stateward.Replication{}, false
		}
		return stateward.Replication{
			Name: name, Source: stateward.Known(name, n.Origin()), Target: target(to), Recursive: n.At("recursive").Bool(),
			SendOptions: to.At("sendOptions").Filled(), RecvOptions: to.At("recvOptions").Filled(), Schedule: every, Origin: to.Origin(),
		}, true
	}))
}

// policy reads the settings of a dataset or a template; how many snapshots are kept stands in retention.
func policy(name string, n, retention *dialect.Node) stateward.SnapshotPolicy {
	p := stateward.SnapshotPolicy{Name: name, Settings: map[string]stateward.Value[string]{}, Origin: n.Origin()}
	set := func(name string, n *dialect.Node) {
		if v := n.Scalar(); !v.IsAbsent() {
			p.Settings[name] = v
		}
	}
	for _, a := range retention.Attrs() {
		set(a.Name, a.Node)
	}
	set("autosnap", n.At("autosnap"))
	set("autoprune", n.At("autoprune"))
	return p
}

func yesNo(n *dialect.Node) stateward.Value[string] {
	return stateward.MapValue(n.Bool(), func(on bool) (string, error) {
		if on {
			return "yes", nil
		}
		return "no", nil
	})
}

// target joins user, host and dataset as syncoid takes them.
func target(n *dialect.Node) stateward.Value[string] {
	ds, host, user := n.At("targetDataset").Filled(), n.At("targetHost").Filled(), n.At("targetUser").Filled()
	for _, v := range []stateward.Value[string]{ds, host, user} {
		if v.IsUnknown() {
			return v
		}
	}
	return stateward.MapValue(ds, func(to string) (string, error) {
		if h, ok := host.Get(); ok {
			to = h + ":" + to
			if u, ok := user.Get(); ok {
				to = u + "@" + to
			}
		}
		return to, nil
	})
}

func nonEmpty(v stateward.Value[[]string]) stateward.Value[[]string] {
	if list, ok := v.Get(); ok && len(list) == 0 {
		return stateward.Absent[[]string](v.Origin())
	}
	return v
}

// jobs reads `modules.services.backup`: the jobs that the module gathers from services and from its own list, or that
// list alone where nothing is gathered. Its units are its own: no stock option shows these jobs.
func jobs(root *dialect.Node, h *stateward.Host) stateward.Value[[]stateward.Job] {
	n := root.At("modules", "services", "backup")
	restic := n.At("restic")
	if !n.Exists() || off(n) || off(restic) {
		n.Ignore()
		return stateward.Value[[]stateward.Job]{}
	}
	for _, part := range []*dialect.Node{n, restic} {
		if why := unread(part); why != nil {
			return stateward.NotKnown[[]stateward.Job](*why)
		}
	}
	unread(n.At("repositories"))
	list := n.At("_internal", "allJobs")
	if list.Kind() == dialect.Absent || list.Kind() == dialect.Attrs && len(list.Attrs()) == 0 {
		list = restic.At("jobs")
	}
	return dialect.AttrsOf(list, func(name string, j *dialect.Node) (stateward.Job, bool) {
		if off(j) {
			return stateward.Job{}, false
		}
		if slices.ContainsFunc(h.Jobs.Or(nil), func(o stateward.Job) bool { return o.Name == name && o.Engine == "restic" }) {
			return stateward.Job{}, false // older trees hand it to services.restic.backups
		}
		return job(name, j, n, root, h), true
	})
}

func job(name string, n, module, root *dialect.Node, h *stateward.Host) stateward.Job {
	j := stateward.Job{
		Name: name, Engine: "restic", Origin: n.Origin(),
		Exclude:  n.At("excludePatterns").Strings(),
		PreHook:  n.At("preBackupScript").Given(),
		PostHook: n.At("postBackupScript").Given(),
	}
	j.Dataset, j.Paths = sources(n, h)
	if why := unread(n); why != nil {
		j.Paths = stateward.NotKnown[[]stateward.Entry](*why)
	}

	// What runs is the timer; without one nothing does.
	timer := root.At("systemd", "timers", "restic-backup-"+name)
	if on, known := timer.At("enable").Bool().Get(); on || !known {
		config := timer.At("timerConfig")
		delay := config.At("RandomizedDelaySec")
		j.Schedule = nonEmpty(config.At("OnCalendar").Strings())
		j.RandomizedDelay = dialect.Understood(delay, delay.Filled(), stateward.ParseDuration)
		j.Persistent = config.At("Persistent").BoolLike()
	}

	repository := n.At("repository").Filled()
	to, ok := repository.Get()
	if !ok {
		j.Repository = repository
		return j
	}
	at := module.At("repositories", to)
	if !at.Exists() {
		j.Repository = stateward.NotKnown[string](n.At("repository").Wrong(stateward.UnknownForm, "no repository is named %q", to))
		return j
	}
	j.Repository, j.PasswordFile, j.EnvironmentFile = at.At("url").Filled(), at.At("passwordFile").File(), at.At("environmentFile").File()
	if unit := root.At("systemd", "services", "restic-init-"+to); unit.Kind() == dialect.Attrs {
		j.Initialize = stateward.Known(unit.At("enable").Bool().Or(true), unit.Origin())
	}
	if s, known := at.At("pruneSchedule").Text().Get(); !known || s != "" {
		j.Prune = prune(module.At("globalSettings", "retention"))
	}
	return j
}

// sources are the paths of a job. One that reads a snapshot stores the whole dataset, whatever its paths say.
func sources(n *dialect.Node, h *stateward.Host) (stateward.Value[string], stateward.Value[[]stateward.Entry]) {
	paths := n.At("paths")
	list, why := paths.Paths(stateward.Directory, dialect.Ownership{})
	declared := paths.Entries(list, why)
	use, name := n.At("useSnapshots").Bool(), n.At("zfsDataset").Filled()
	if on, known := use.Get(); known && !on || use.IsAbsent() || name.IsAbsent() {
		return stateward.Value[string]{}, declared
	}
	if why, unknown := use.Why(); unknown {
		return stateward.NotKnown[string](why), stateward.NotKnown[[]stateward.Entry](why)
	}
	ds, ok := name.Get()
	if !ok {
		why, _ := name.Why()
		return name, stateward.NotKnown[[]stateward.Entry](why)
	}
	at, ok := mountedAt(ds, h)
	if !ok {
		why := n.At("zfsDataset").Wrong(stateward.UnknownHidden, "a snapshot of it is stored in place of the paths, and where it is mounted is not declared")
		return name, stateward.NotKnown[[]stateward.Entry](why)
	}
	return name, stateward.Known([]stateward.Entry{stateward.NewEntry(at, stateward.Directory, n.At("zfsDataset").Origin())}, n.At("zfsDataset").Origin())
}

// mountedAt is where a dataset is mounted, by its own property or by `fileSystems`.
func mountedAt(name string, h *stateward.Host) (string, bool) {
	for _, f := range h.FileSystems.Or(nil) {
		if f.Device.Or("") == name && f.MountPoint.Problem == nil {
			return f.MountPoint.Path.String(), true
		}
	}
	for _, d := range h.Datasets.Or(nil) {
		if at, ok := d.MountPoint.Get(); ok && d.Name == name {
			if p, err := stateward.ParsePath(at); err == nil {
				return p.String(), true
			}
		}
	}
	return "", false
}

// prune reads how much is kept, as the options of restic's forget.
func prune(n *dialect.Node) stateward.Value[[]string] {
	if n.Kind() != dialect.Attrs {
		if why, unknown := n.Why(); unknown {
			return stateward.NotKnown[[]string](why)
		}
		return stateward.Absent[[]string](n.Origin())
	}
	list := []string{}
	for _, every := range []string{"hourly", "daily", "weekly", "monthly", "yearly"} {
		v := n.At(every).Scalar()
		if why, unknown := v.Why(); unknown {
			return stateward.NotKnown[[]string](why)
		}
		if keep, ok := v.Get(); ok {
			list = append(list, fmt.Sprintf("--keep-%s %s", every, keep))
		}
	}
	return stateward.Known(list, n.Origin())
}
