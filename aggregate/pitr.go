package aggregate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/pitr"
)

// servers are the PostgreSQL servers that are on, or may be.
func (f *facts) servers() []stateward.PITR { return serversOf(f.host) }

func serversOf(h *stateward.Host) []stateward.PITR {
	return slices.DeleteFunc(slices.Clone(h.PITR.Or(nil)), func(p stateward.PITR) bool { return !p.Enable.Or(true) })
}

// baseBackupTools are how names of units begin that make base backups.
var baseBackupTools = []string{"pgbackrest-", "barman-cloud-backup", "barman-backup", "wal-g-backup", "wal-g-base", "pg_basebackup", "pg-basebackup"}

// pointInTime answers for the tier of that name: yes only where the log is archived and a timer starts what makes base backups. What stateward itself wrote must be of
// just what is asked for. ok is false for what is no data of a PostgreSQL server, and where nothing is read of one.
func (c *copies) pointInTime(r *stateRow) (cell, bool) {
	i := slices.IndexFunc(serversOf(c.s.host), func(p stateward.PITR) bool { return p.Service == r.service.Name })
	simply := func(state stateward.TierState, by string) (cell, bool) {
		return cell{TierResult: stateward.TierResult{State: state, By: by}}, true
	}
	if i < 0 || r.implied() {
		why, unknown := c.s.host.PITR.Why()
		if unknown && r.service.Name == "postgresql" {
			return simply(stateward.SurvivalUnknown, why.String())
		}
		return cell{}, false
	}
	a := pitr.ReadArchiving(serversOf(c.s.host)[i])
	if a.State != stateward.SurvivalYes {
		return simply(a.State, a.Why)
	}
	if refused := pgBackRestRefuses(c.s.host, serversOf(c.s.host)[i]); len(refused) > 0 {
		return simply(stateward.SurvivalNo, refused[0].Reason)
	}
	unit, doubt := c.ownBaseBackups()
	if unit == "" && doubt == "" {
		if unit, doubt = c.baseBackups(); unit == "" && doubt == noBaseBackups && c.stock() != nil {
			doubt = c.stock().Origin.Option + " asks for base backups, and nothing that is read makes them"
		}
	}
	if unit == "" {
		return simply(stateward.SurvivalUnknown, doubt)
	}
	out, _ := simply(stateward.SurvivalYes, a.Origin.Option+" and "+unit)
	switch {
	case !a.TimeoutKnown:
		out.gap = backup.Gap{State: backup.GapUnknown, Why: "archive_timeout is not read"}
	case a.Timeout == 0:
		out.gap = backup.Gap{State: backup.GapUnknown, Why: "archive_timeout is not set: what is committed is archived once its segment is full"}
	default:
		out.gap = backup.Gap{State: backup.GapBounded, Age: a.Timeout, Least: a.Timeout, Parts: []backup.GapPart{{What: "of archive_timeout", Span: a.Timeout}}}
		if d, err := stateward.NewDuration(a.Timeout); err == nil {
			out.RPO = d.String()
		}
	}
	return out, true
}

// stock is what stateward.pitr asks for the server of services.postgresql; nil where that is nothing.
func (c *copies) stock() *pitr.Running {
	i := slices.IndexFunc(c.clusters, func(r pitr.Running) bool { return r.Name == pitr.Stock })
	if i < 0 {
		return nil
	}
	return &c.clusters[i]
}

// ownBaseBackups names the unit that stateward wrote, or says why that does not count; both are empty where there is none.
func (c *copies) ownBaseBackups() (unit, doubt string) {
	r := c.stock()
	if r == nil {
		return "", ""
	}
	if why, unknown := c.s.host.Units.Why(); unknown {
		return "", why.String()
	}
	if why, unknown := c.s.host.Timers.Why(); unknown {
		return "", why.String()
	}
	switch r.State {
	case pitr.Runs:
		return r.Unit, ""
	case pitr.Stale:
		if r.Policy == nil && len(r.Faults) > 0 {
			return "", fmt.Sprintf("%s is there, and what %s asks for cannot be planned: %s", r.Unit, r.Origin.Option, r.Faults[0].Message)
		}
		return "", fmt.Sprintf("%s was written of something else than %s asks for now", r.Unit, r.Origin.Option)
	case pitr.NotArchived:
		return "", fmt.Sprintf("%s makes base backups, and the server archives otherwise than %s asks for", r.Unit, r.Origin.Option)
	}
	return "", ""
}

const noBaseBackups = "the log is archived, and no unit that is read makes base backups"

// baseBackups names a unit that makes base backups, as what it executes shows, and that a timer starts; else it says why none is known. A name alone
// proves nothing.
func (c *copies) baseBackups() (unit, doubt string) {
	if why, unknown := c.s.host.Units.Why(); unknown {
		return "", why.String()
	}
	timed := map[string]bool{}
	for _, t := range c.s.host.Timers.Or(nil) {
		if t.Enable.Or(true) {
			timed[strings.TrimSuffix(t.Name, ".timer")] = true
		}
	}
	for _, u := range c.s.host.Units.Or(nil) {
		name := strings.TrimSuffix(u.Name, ".service")
		named := slices.ContainsFunc(baseBackupTools, func(t string) bool { return strings.HasPrefix(name, t) })
		why, unknown := u.BaseBackup.Why()
		switch {
		case !u.Enable.Or(true):
		case u.BaseBackup.IsKnown() && timed[name]:
			return u.Name, ""
		case u.BaseBackup.IsKnown():
			doubt = "what starts " + u.Name + " is not read"
		case unknown:
			doubt = cmp.Or(doubt, why.String())
		case named:
			doubt = cmp.Or(doubt, u.Name+" is named after base backups, and what it executes shows none")
		}
	}
	if doubt == "" {
		doubt = noBaseBackups
	}
	return "", doubt
}

// archivedOf tells whether what lies there is of the cluster that a policy has archived; why says what else there is beside it.
func archivedOf(p *pitr.Policy, l *lying) (all bool, why string) {
	for _, text := range []string{p.Cluster.DataDir, p.Cluster.WALDir} {
		dir, err := stateward.ParsePath(text)
		for _, at := range l.paths {
			switch {
			case err != nil:
			case dir.Contains(at):
				return true, ""
			case at.Contains(dir):
				why = "of it " + p.Cluster.DataDir + " is archived, and nothing that lies beside that"
			}
		}
	}
	return false, why
}

// archiveGap is how much of a cluster may be missing in its archive.
func archiveGap(p *pitr.Policy) backup.Gap {
	after := p.ArchiveTimeout.Std()
	if after <= 0 {
		return backup.Gap{State: backup.GapUnknown, Why: "archive_timeout is not set: what is committed is archived once its segment is full"}
	}
	return backup.Gap{State: backup.GapBounded, Age: after, Least: after, Parts: []backup.GapPart{{What: "of archive_timeout", Span: after}}}
}

// ofClusters says what the archives make of the tiers, of clusters whose data lies there.
func (c *copies) ofClusters(l *lying, d, s *verdict) {
	both := func(why string) {
		d.doubt(why)
		s.doubt(why)
	}
	for _, r := range c.clusters {
		if r.Policy == nil {
			continue
		}
		archived, why := archivedOf(r.Policy, l)
		switch {
		case !archived && why == "":
			continue
		case r.State != pitr.Runs:
			both(fmt.Sprintf("%s asks for an archive of the cluster, and nothing that is read makes it", r.Origin.Option))
			continue
		case why != "":
			both(why)
			continue
		}
		store := r.Policy.Store()
		by, gap := fmt.Sprintf("%s to %s", r.Origin.Option, store.Name), archiveGap(r.Policy)
		switch store.Where {
		case backup.WhereProvider:
			d.copied(by, gap)
			s.copied(by, gap)
		case backup.WhereRemote:
			d.copied(by, gap)
			s.doubt(fmt.Sprintf("in which house %s stands is not known", cmp.Or(store.Host, store.Name)))
		case backup.WhereLoopback:
			both(by + " is a server on this host, and where that stores is not read")
		default:
			both("where the archive of " + r.Name + " lies is not known")
		}
	}
}
