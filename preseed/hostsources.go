package preseed

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/backup/restic"
)

func (p *hostPlanner) sources(o *Planned, plan *Plan, d *stateward.Preseed) {
	listed, given := known(o, d.Sources)
	if d.Sources.IsUnknown() {
		return
	}
	if given && len(listed) == 0 {
		o.fault(NoSource, d.Sources.Origin(), "name local, replica, restic or pitr, or leave sources out", "the list of sources is empty: nothing would ever be restored")
		return
	}
	if !given {
		listed = []string{string(Local), string(Replica), string(Restic)}
	}
	for _, kind := range listed {
		s := Source{Kind: SourceKind(kind)}
		there := true
		switch s.Kind {
		case Replica:
			there = p.replica(o, plan, d, &s, given)
		case Restic:
			there = p.restic(o, plan, d, &s, given)
		case PITR:
			there = p.pitr(o, plan, d, &s)
		}
		if there {
			plan.Sources = append(plan.Sources, s)
		}
	}
}

// replica finds where the snapshots of the dataset are sent to.
func (p *hostPlanner) replica(o *Planned, plan *Plan, d *stateward.Preseed, s *Source, listed bool) bool {
	key, _ := known(o, d.SSHKey)
	hosts, _ := known(o, d.KnownHosts)
	from, named := known(o, d.From)
	if d.From.IsUnknown() {
		return false
	}
	found := map[string]Source{}
	at := map[string]stateward.Origin{}
	doubt := ""
	for _, r := range p.asked {
		if r.Source.Host == "" && (r.Source.Dataset == plan.Dataset || r.Recursive && within(r.Source.Dataset, plan.Dataset)) {
			to := r.Target
			to.Dataset += strings.TrimPrefix(plan.Dataset, r.Source.Dataset)
			found[to.String()] = Source{From: to.String(), SSHKey: r.SSHKey, KnownHosts: r.KnownHosts}
		}
	}
	for _, r := range p.running {
		sent, sure, why := r.Sends(plan.Dataset)
		source, ok := r.Source.Get()
		if !ok || source.Host != "" || !sent {
			if !sure {
				doubt = why
			}
			continue
		}
		i := slices.IndexFunc(p.host.Replications.Or(nil), func(raw stateward.Replication) bool { return raw.Name == r.Name })
		to, ok := p.host.Replications.Or(nil)[i].Target.Get()
		if !ok {
			doubt = "where " + r.String() + " goes is not known"
			continue
		}
		to += strings.TrimPrefix(plan.Dataset, source.Dataset)
		if _, there := found[to]; !there {
			found[to], at[to] = Source{From: to}, r.Origin
		}
	}
	if named {
		// What its own replication says of the way there holds for it too.
		*s = Source{Kind: Replica, From: from, SSHKey: cmp.Or(key, found[from].SSHKey), KnownHosts: cmp.Or(hosts, found[from].KnownHosts)}
		return true
	}
	var targets []string
	for to := range found {
		targets = append(targets, to)
	}
	slices.Sort(targets)
	switch {
	case len(targets) > 1:
		o.fault(SourceUnclear, d.Origin, `name the one that is asked: from = "`+targets[0]+`"`, "the dataset is sent to %s: which of them is the replica is not said", strings.Join(targets, " and "))
		return false
	case len(targets) == 0 && p.host.Replications.IsUnknown():
		known(o, p.host.Replications)
		return false
	case len(targets) == 0 && doubt != "":
		o.fault(SourceUnclear, d.Origin, `name it: from = "user@host:pool/dataset"`, "whether the dataset has a replica is not known: %s", doubt)
		return false
	case len(targets) == 0 && listed:
		o.fault(SourceMissing, d.Sources.Origin(), `give the dataset a replication, or name the replica: from = "user@host:pool/dataset"`, "replica is listed, and nothing sends snapshots of %s anywhere", plan.Dataset)
		return false
	case len(targets) == 0:
		return false
	}
	*s = found[targets[0]]
	s.Kind, s.SSHKey, s.KnownHosts = Replica, cmp.Or(key, s.SSHKey), cmp.Or(hosts, s.KnownHosts)
	if place, err := s.Place(); err == nil && place.Host != "" && s.SSHKey == "" {
		o.note(SourceMissing, cmp.Or(at[targets[0]], d.Origin), `write sshKey = "/run/secrets/…"`, "no sshKey is named for the replica %s: ssh takes what root has", s.From)
	}
	return true
}

// pitr finds the policy by which the cluster of PostgreSQL is archived whose data directory lies in the dataset.
func (p *hostPlanner) pitr(o *Planned, plan *Plan, d *stateward.Preseed, s *Source) bool {
	at := cmp.Or(d.Sources.Origin(), d.Origin)
	list, faults := pitr.FromHost(p.host, nil)
	var names, others []string
	for _, one := range list {
		switch {
		case one.Policy == nil:
			others = append(others, "stateward.pitr."+one.Name+" cannot be planned")
		case len(one.Places) == 2 && one.Places[1].Dataset != "":
			// What is recovered would lie below the dataset of the log, which is mounted over it.
			others = append(others, fmt.Sprintf("the log of %s lies on %s, and a preseed fills one dataset: recover it with stateward pitr recover", one.Name, one.Places[1].Dataset))
		case plan.CheckPolicy(*one.Policy) != nil:
			others = append(others, plan.CheckPolicy(*one.Policy).Error())
		default:
			names = append(names, one.Name)
			s.Policy = one.Policy.PlanFile()
		}
	}
	switch {
	case len(names) == 1:
		return true
	case len(names) > 1:
		o.fault(SourceUnclear, at, "give each cluster a dataset of its own", "clusters %s lie in the dataset: a preseed recovers one", strings.Join(names, " and "))
	case len(faults) > 0:
		o.fault(NotKnown, faults[0].Origin, "stateward check says more of it", "%s", faults[0].Message)
	case len(others) > 0:
		o.fault(SourceMissing, at, "stateward pitr plan says more of it", "pitr is listed, and no archive is one of a cluster in %s: %s", plan.Mountpoint, strings.Join(others, "; "))
	default:
		o.fault(SourceMissing, at, "write stateward.pitr.postgresql, or leave pitr out", "pitr is listed, and no cluster in %s is archived", plan.Mountpoint)
	}
	return false
}

// restic finds the job that backs the dataset up.
func (p *hostPlanner) restic(o *Planned, plan *Plan, d *stateward.Preseed, s *Source, listed bool) bool {
	to, named := known(o, d.Repository)
	if why, unknown := p.host.Jobs.Why(); unknown && len(p.host.Jobs.Or(nil)) == 0 {
		o.fault(NotKnown, originOf(why), "stateward check says more of it", "which backups there are is unknown: %s", cmp.Or(why.Summary(), string(why.Kind)))
		return false
	}
	type candidate struct {
		restic.Planned
		whole bool
	}
	var list []candidate
	var others []string
	for _, j := range p.jobs {
		paths := []string{}
		for _, at := range j.Of.Paths.Or(nil) {
			paths = append(paths, at.String())
		}
		if j.Job != nil {
			paths = j.Job.Paths
		}
		whole := slices.ContainsFunc(paths, func(dir string) bool { return dir == "/" || within(dir, plan.Mountpoint) })
		part := slices.ContainsFunc(paths, func(dir string) bool { return within(plan.Mountpoint, dir) })
		own := j.Of.Service == plan.Service && j.Of.Paths.IsUnknown()
		if !whole && !part && !own || j.Of.Engine.Or("restic") != "restic" {
			continue
		}
		if j.RunBy != "" || !j.Of.Asked {
			others = append(others, cmp.Or(j.RunBy, j.Of.Origin.Option))
			continue
		}
		repository, _ := j.Of.Repository.Get()
		if named && to != j.Of.Target && to != repository.Name {
			continue
		}
		list = append(list, candidate{j, whole})
	}
	// What is the service's own, and whole, comes first; of several repositories the primary, in which the job has the service's name.
	for _, better := range []func(candidate) bool{
		func(c candidate) bool { return c.Of.Service == plan.Service },
		func(c candidate) bool { return c.whole },
		func(c candidate) bool { return c.Of.Name == plan.Service },
	} {
		if slices.ContainsFunc(list, better) {
			list = slices.DeleteFunc(list, func(c candidate) bool { return !better(c) })
		}
	}
	at := cmp.Or(d.Sources.Origin(), d.Origin)
	switch {
	case len(list) > 1:
		var names []string
		for _, c := range list {
			names = append(names, c.Of.Name)
		}
		o.fault(SourceUnclear, at, "name the repository: repository = …", "jobs %s back the dataset up: which of them is asked is not said", strings.Join(names, " and "))
		return false
	case len(list) == 0 && len(others) > 0:
		message := fmt.Sprintf("what backs the dataset up is run by %s, whose snapshots have no tag that tells them from others", strings.Join(others, " and "))
		if listed {
			o.fault(SourceMissing, at, "let stateward run the backup, or leave restic out", "%s", message)
		} else {
			o.note(SourceMissing, at, "let stateward run the backup", "restic is not asked: %s", message)
		}
		return false
	case len(list) == 0 && named:
		o.fault(SourceMissing, d.Repository.Origin(), "", "no job backs %s up to %s", plan.Mountpoint, to)
		return false
	case len(list) == 0 && listed:
		o.fault(SourceMissing, at, "give the service a backup, or leave restic out", "restic is listed, and no job backs %s up", plan.Mountpoint)
		return false
	case len(list) == 0:
		return false
	case list[0].Job == nil:
		why := "stateward backup plan says why"
		if len(list[0].Problems) > 0 {
			why = list[0].Problems[0].Message
		}
		o.fault(SourceMissing, list[0].Of.Origin, "stateward backup plan says more of it", "backup job %s cannot be rendered: %s", list[0].Of.Name, why)
		return false
	}
	job := list[0].Job
	less, excludes := lessThanAll(job, plan.Mountpoint, list[0].whole)
	if len(less) > 0 && !listed {
		// A service would start on what is not what it had, and nobody wrote that this is meant.
		kinds := []string{}
		for _, one := range plan.Sources {
			kinds = append(kinds, `"`+string(one.Kind)+`"`)
		}
		o.note(SourceMissing, list[0].Of.Origin, "where what comes back is enough, list it: sources = [ "+strings.Join(append(kinds, `"restic"`), " ")+" ]", "restic is not asked, since no sources are listed: job %s", strings.Join(less, "; job "))
		return false
	}
	o.Job, s.Job = job, job.PlanFile()
	for _, why := range append(excludes, less...) {
		o.note(SourceMissing, list[0].Of.Origin, "", "job %s", why)
	}
	return true
}

// lessThanAll are reasons why what comes back of a job is not what the service had, and what the job excludes: who wrote that, such as for caches,
// does without it.
func lessThanAll(job *restic.Job, mountpoint string, whole bool) (less, excludes []string) {
	if !whole {
		less = append(less, fmt.Sprintf("%s backs up only a part of the dataset, %s: from restic no more comes back", job.Name, strings.Join(job.Paths, ", ")))
	}
	var leaves []string
	for _, pattern := range job.Exclude {
		plain := pattern
		if i := strings.IndexAny(pattern, `*?[\`); i >= 0 {
			plain = path.Dir(pattern[:i] + "x")
		}
		// One without a slash in front is looked for at any place.
		if !strings.HasPrefix(pattern, "!") && (!path.IsAbs(pattern) || plain == "/" || within(mountpoint, path.Clean(plain)) || within(path.Clean(plain), mountpoint)) {
			leaves = append(leaves, pattern)
		}
	}
	if len(leaves) > 0 {
		excludes = append(excludes, fmt.Sprintf("%s excludes %s: from restic that does not come back", job.Name, strings.Join(leaves, ", ")))
	}
	if job.Dump != nil {
		less = append(less, fmt.Sprintf("%s has a dump, which nobody loads: from restic come back its files below %s, and what it was made of as it was while it was read", job.Name, job.Dump.Directory))
	}
	return less, excludes
}
