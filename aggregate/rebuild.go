package aggregate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/preseed"
)

// rebuild answers whether what lies there comes back onto an empty disk by itself, before its service starts.
func (c *copies) rebuild(service string, l *lying, rollback cell) cell {
	var v verdict
	name := ""
	if l.doubt == "" {
		name = l.mount.zfsName()
	}
	var r *preseed.Running
	for i := range c.preseeds {
		switch p := &c.preseeds[i]; {
		case p.Plan != nil && p.Plan.Dataset == name && name != "":
			r = p
		case r == nil && p.Service == service && (p.Plan == nil || l.doubt != ""):
			r = p
		}
	}
	why, unread := c.s.host.Units.Why()
	switch {
	case r == nil:
		units := c.s.host.Units.Or(nil)
		for i := range units {
			// By its name, or because it says that it comes before the service.
			named, _ := preseedName(units[i].Name)
			of := serviceUnit(service+".service", named) || slices.Contains(units[i].Before.Or(nil), service+".service")
			if of && units[i].Enable.Or(true) && isPreseed(&units[i]) {
				v.doubt(units[i].Name + " is there, and what it restores is not read")
			}
		}
		return v.result("", "nothing that is read restores it before its service starts")
	case unread:
		v.doubt(why.String())
	case r.State == preseed.RunByOther:
		v.doubt(r.Unit + " is there, and what it restores is not read")
	case l.doubt != "":
		v.doubt(l.doubt)
	case r.State == preseed.NotRun:
		v.doubt(r.Origin.Option + " asks for it, and nothing that is read does it")
	case r.State == preseed.NoJob:
		v.doubt(r.Unit + " asks a backup job that nothing that is read runs")
	case r.State == preseed.NotHeld:
		v.not(fmt.Sprintf("%s %s without waiting for %s", strings.Join(r.Unheld, ", "), pick(len(r.Unheld), "starts", "start"), r.Unit))
	case r.State != preseed.Runs:
		v.doubt(fmt.Sprintf("%s was written of something else than %s asks for now", r.Unit, r.Origin.Option))
	case len(r.Datasets) == 0 && !c.installed(r.Plan.Dataset):
		v.doubt("what makes dataset " + r.Plan.Dataset + " on an empty disk is not read")
	default:
		c.restored(r, l, rollback, &v)
		for _, n := range r.Notes {
			if n.Kind == preseed.NotEmpty {
				v = verdict{}
				v.doubt(n.Message) // it may be there before the preseed looks
				break
			}
		}
	}
	return v.result("", "it is restored of its own snapshots only, which die with the disk")
}

// installed tells whether a dataset is declared where the disks themselves are, as by disko: who builds the machine anew makes it.
func (c *copies) installed(name string) bool {
	return slices.ContainsFunc(c.s.host.Datasets.Or(nil), func(d stateward.Dataset) bool { return d.Name == name && !d.Asked })
}

// restored says what the sources of a preseed that runs make of the tier: what is on the same disk is none.
func (c *copies) restored(r *preseed.Running, l *lying, rollback cell, v *verdict) {
	var from, ignored verdict
	for _, s := range r.Plan.Sources {
		switch s.Kind {
		case preseed.Replica:
			found := false
			for at := r.Plan.Dataset; at != ""; at = parentDataset(at) {
				for _, sent := range c.from[at] {
					target, known := sent.of.Target.Get()
					if place, err := s.Place(); known && err == nil && target.Host == place.Host && target.Dataset+strings.TrimPrefix(r.Plan.Dataset, at) == place.Dataset {
						found = true
						c.ofReplication(sent, r.Plan.Dataset, rollback, &from, &ignored)
					}
				}
			}
			if place, err := s.Place(); !found && err == nil && place.Here() && place.Pool() == (backup.Place{Dataset: r.Plan.Dataset}).Pool() {
				from.not(s.From + " is on the same pool")
			} else if !found {
				from.doubt("what brings snapshots to " + s.From + " is not read")
			}
		case preseed.Restic:
			if !c.chosen(r.Plan, l) {
				from.not(fmt.Sprintf("%s restores other paths from restic only", r.Unit))
				continue
			}
			c.ofJobNamed(r.Job.Name, l, &from, &ignored)
		case preseed.PITR:
			c.ofArchive(s.Policy, l, &from)
		}
	}
	for _, why := range from.doubts {
		v.doubt(why)
	}
	for _, why := range from.nos {
		v.not(why)
	}
	if from.yes {
		v.copied(r.Unit+", from "+from.by, from.gap)
	}
}

// ofArchive says what the archive of a cluster makes of it, that has the policy in a file.
func (c *copies) ofArchive(file string, l *lying, d *verdict) {
	all, _ := pitr.FindRunning(c.s.host)
	i := slices.IndexFunc(all, func(r pitr.Running) bool { return r.Policy != nil && r.Policy.PlanFile() == file })
	switch {
	case i < 0:
		d.doubt("how the cluster is archived is not read")
		return
	case all[i].State != pitr.Runs:
		d.doubt(fmt.Sprintf("%s asks for an archive of the cluster, and nothing that is read makes it", all[i].Origin.Option))
		return
	}
	switch archived, why := archivedOf(all[i].Policy, l); {
	case archived:
		d.copied("the archive of "+all[i].Name, archiveGap(all[i].Policy))
	case why != "":
		d.doubt(why)
	default:
		d.not("of it only " + all[i].Policy.Cluster.DataDir + " is archived")
	}
}

// chosen tells whether what lies there is among the paths that a preseed restores from restic.
func (c *copies) chosen(p *preseed.Plan, l *lying) bool {
	top, err := stateward.ParsePath(p.Mountpoint)
	if err != nil || len(p.Paths) == 0 {
		return err == nil
	}
	return slices.ContainsFunc(l.paths, func(at stateward.AbsPath) bool {
		rel, below := top.Rel(at)
		return below && slices.ContainsFunc(p.Paths, func(chosen string) bool { return rel == chosen || strings.HasPrefix(rel, chosen+"/") })
	})
}

// ofJobNamed says what one job makes of the tiers, where it stores what lies there.
func (c *copies) ofJobNamed(name string, l *lying, d, s *verdict) {
	stores := false
	for _, p := range l.paths {
		for q := range p.Ancestors() {
			for _, j := range c.at[q] {
				if j.of.Name != name || stores {
					continue
				}
				switch why, ok := c.stored(j, q, p); {
				case !ok:
				case why != "":
					d.doubt(why)
				default:
					stores = true
					c.ofJob(j, l, d, s)
				}
			}
		}
	}
	if !stores && len(d.doubts) == 0 {
		d.not("job " + name + " leaves it out")
	}
}
