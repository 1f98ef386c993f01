package aggregate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/pitr"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/preseed"
)

// copies answers the tiers that a copy makes: rollback, disk and site. What it could not see is never a copy.
type copies struct {
	s *storage
	// policies are those of sanoid, sorted, and gaps what they reach, by dataset.
	policies     []backup.SnapshotPolicy
	gaps         map[string]backup.Gap
	replications []*scheduled[backup.Replication]
	// from are the replications of this host, by their source; vague are those of which that is not known.
	from  map[string][]*scheduled[backup.Replication]
	vague []*scheduled[backup.Replication]
	jobs  []*scheduled[backup.Job]
	// stale are the units that were written of something else than a job asks for now, by the name of the job.
	stale map[string]string
	// at are the jobs that name a path.
	at map[stateward.AbsPath][]*scheduled[backup.Job]
	// open are the jobs that may store more than the paths that are known.
	open []*scheduled[backup.Job]
	// preseeds are those that services ask for.
	preseeds []preseed.Running
	clusters []pitr.Running
	// snapshots and backups name a unit that may make such copies, or why it is not known whether one does; empty where none does.
	snapshots, backups string
}

// scheduled is something that runs, with what its schedule reaches.
type scheduled[T any] struct {
	of  T
	gap backup.Gap
}

// since is when schedules are looked at from on: that the same host gives the same matrix on every day.
var since = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func newCopies(s *storage) *copies {
	c := &copies{s: s, gaps: map[string]backup.Gap{}, from: map[string][]*scheduled[backup.Replication]{}, at: map[stateward.AbsPath][]*scheduled[backup.Job]{}}
	gaps := map[string]backup.Gap{}
	c.policies, _ = backup.SnapshotPolicies(s.host)
	for i := range c.policies {
		p := &c.policies[i]
		by := cmp.Or(p.By, p)
		key := fmt.Sprint(p.Schedule, p.Taken(), by.Settings["frequent_period"], by.Settings["hourly_min"], by.Settings["daily_hour"], by.Settings["daily_min"])
		g, ok := gaps[key]
		if !ok {
			g = p.Gap(since, time.UTC)
			gaps[key] = g
		}
		c.gaps[p.Dataset] = g
	}
	gapOf := func(v stateward.Value[backup.Schedule], what string) backup.Gap {
		schedule, ok := v.Get()
		if why, unknown := v.Why(); unknown {
			return backup.Gap{State: backup.GapUnknown, Why: why.String()}
		}
		if !ok {
			return backup.Gap{State: backup.GapUnknown, Why: what + " has no timer that is read, and what starts it is not known"}
		}
		key := fmt.Sprint(schedule.Calendar, schedule.RandomizedDelay, schedule.Unknown)
		g, ok := gaps[key]
		if !ok {
			none, _ := stateward.NewDuration(0)
			schedule.RunTime = &none
			g = schedule.WorstGap(since, time.UTC)
			gaps[key] = g
		}
		return g
	}
	replications, _ := backup.Replications(s.host)
	for _, r := range replications {
		one := &scheduled[backup.Replication]{r, gapOf(r.Schedule, r.String())}
		c.replications = append(c.replications, one)
		if source, known := r.Source.Get(); !known {
			c.vague = append(c.vague, one)
		} else if source.Here() {
			c.from[source.Dataset] = append(c.from[source.Dataset], one)
		}
	}
	jobs, stale := restic.Running(s.host)
	c.stale = stale
	for _, j := range jobs {
		one := &scheduled[backup.Job]{j, gapOf(j.Schedule.Value, j.String())}
		c.jobs = append(c.jobs, one)
		if dynamic, _ := j.DynamicPaths.Get(); dynamic || j.DynamicPaths.IsUnknown() || j.Paths.IsUnknown() {
			c.open = append(c.open, one)
		}
		for _, p := range j.Paths.Or(nil) {
			c.at[p] = append(c.at[p], one)
		}
	}
	c.preseeds, _ = preseed.FindRunning(s.host)
	c.clusters, _ = pitr.FindRunning(s.host)
	c.readUnits()
	return c
}

// backupTools are how names of units begin that make copies and of which nothing is read (S9).
var backupTools = []string{
	"zrepl", "znapzend", "pyznap", "btrbk", "borgmatic", "duplicati", "duplicity", "kopia", "tarsnap", "rsnapshot", "bacula", "bareos", "urbackup", "rustic",
	"bupstash", "syncthing", "rclone", "rsync", "restic", "borg", "syncoid", "snapborg", "proxmox-backup",
}

// readUnits looks for units that may make copies and are none of the jobs that are read.
func (c *copies) readUnits() {
	if why, unknown := c.s.host.Units.Why(); unknown {
		c.snapshots, c.backups = why.String(), why.String()
		return
	}
	if others, _ := backup.OtherSnapshots(c.s.host); len(others) > 0 {
		c.snapshots = others[0] + " may take snapshots, and of what is not read"
	}
	own := map[string]bool{"restic-rest-server": true, "syncoid": true}
	for _, j := range c.jobs {
		for _, prefix := range []string{"restic-backups-", "restic-backup-", "borgbackup-job-", "zfs-snapshot-", restic.UnitPrefix} {
			own[prefix+j.of.Name] = true
		}
	}
	for _, r := range c.clusters {
		if r.Policy != nil {
			for _, job := range r.Policy.Jobs() {
				own[r.Policy.UnitName(job)] = true
			}
		}
	}
	// They make no copies, whatever the name of their job has in it.
	none := []string{preseed.UnitPrefix, restic.DrillUnitPrefix, backup.NotifyUnitPrefix}
	for _, u := range c.s.host.Units.Or(nil) {
		name := strings.TrimSuffix(u.Name, ".service")
		if on, known := u.Enable.Get(); known && !on || own[name] {
			continue
		}
		lower := strings.ToLower(name)
		has := func(tools []string) bool {
			return slices.ContainsFunc(tools, func(t string) bool { return strings.HasPrefix(lower, t) })
		}
		if strings.HasPrefix(lower, "zfs-import-") || slices.ContainsFunc(none, func(t string) bool { return strings.HasPrefix(name, t) }) {
			continue // of a pool that may be named so
		}
		if strings.HasPrefix(lower, "syncoid-") && len(c.replications) > 0 || strings.HasPrefix(lower, "borgbackup-repo") {
			continue // one of the replications, or where others store
		}
		if c.backups == "" && (has(backupTools) || strings.Contains(lower, "backup") || strings.Contains(lower, "replicat")) {
			c.backups = u.Name + " may make copies, and of what is not read"
		}
	}
}

// lying is what a path lies on.
type lying struct {
	// paths are all names by which the content is reached, that which was asked for first.
	paths []stateward.AbsPath
	mount mount
	// doubt says why the file system is not known; empty when it is.
	doubt string
}

// lies follows a path to the file system that holds it.
func (s *storage) lies(p stateward.AbsPath) lying {
	l := lying{paths: []stateward.AbsPath{p}}
	move := func(to stateward.AbsPath) {
		p = to
		l.paths = append(l.paths, to)
	}
	if why := s.perhapsPrivate(p); why != "" && s.real(p) == p {
		l.doubt = why
		return l
	}
	if real := s.real(p); real != p {
		move(real)
	}
	for range maxBinds {
		moved, ended := s.liesAt(p, &l, move)
		if ended {
			return l
		}
		if !moved {
			l.doubt = fmt.Sprintf("on which file system %s lies is not read", p)
			return l
		}
	}
	l.doubt = fmt.Sprintf("more than %d bind mounts", maxBinds)
	return l
}

// liesAt looks at what is nearest above p: it moves on to where that comes from, or ends there.
func (s *storage) liesAt(p stateward.AbsPath, l *lying, move func(stateward.AbsPath)) (moved, ended bool) {
	doubt := func(why string) (bool, bool) {
		l.doubt = why
		return false, true
	}
	for q := range p.Ancestors() {
		for _, e := range s.persisted[q] {
			if e.entry.Kind == stateward.File && q != p {
				continue
			}
			from, ok := e.root.StoredAt(*e.entry).Get()
			rel, _ := q.Rel(p)
			to, joined := from.Join(rel)
			if !ok || !joined || to == p || len(s.persisted[q]) > 1 {
				return doubt(fmt.Sprintf("where %s keeps %s is not known", e.root.by, p))
			}
			move(to)
			return true, false
		}
		if link, ok := s.links[q]; ok {
			if link.doubt != "" {
				return doubt(link.doubt)
			}
			move(link.leads(p))
			return true, false
		}
		ms := s.mounts[q]
		switch {
		case len(ms) == 0:
			continue
		case len(ms) > 1 && slices.ContainsFunc(ms, func(m mount) bool { return m.zfsName() != ms[0].zfsName() || m.zfsName() == "" }):
			return doubt(fmt.Sprintf("%s and %s are mounted at one place", ms[0].by, ms[1].by))
		case ms[0].doubt != "":
			return doubt(ms[0].doubt)
		case ms[0].zfs != nil:
			l.mount = ms[0]
			return false, true
		}
		m := ms[0]
		for _, why := range []func() (stateward.Unknown, bool){m.fs.FSType.Why, m.fs.Device.Why, m.fs.Options.Why} {
			if u, is := why(); is {
				return doubt(u.String())
			}
		}
		if m.fs.IsBind() {
			from, err := stateward.ParsePath(m.fs.Device.Or(""))
			rel, _ := q.Rel(p)
			to, ok := from.Join(rel)
			if err != nil || !ok || to == p {
				return doubt(fmt.Sprintf("%s binds %q", m.by, m.fs.Device.Or("")))
			}
			move(to)
			return true, false
		}
		l.mount = m
		return false, true
	}
	return false, false
}

// zfsName is the dataset that is mounted; empty where none is.
func (m mount) zfsName() string {
	if m.zfs != nil {
		return m.zfs.Name
	}
	if m.fs.FSType.Or("") == "zfs" {
		return m.fs.Device.Or("")
	}
	return ""
}

// verdict gathers what several mechanisms say of one tier.
type verdict struct {
	yes    bool
	age    time.Duration // -1 where it is not known
	by     string
	gap    backup.Gap
	doubts []string
	nos    []string
}

// cell is one of the matrix, with what its RPO is made of.
type cell struct {
	stateward.TierResult
	gap backup.Gap
	// open says why an older age need not be the newest copy's; empty where all that makes copies is read.
	open string
}

func (v *verdict) copied(by string, g backup.Gap) {
	age := time.Duration(-1)
	switch g.State {
	case backup.GapBounded:
		age = g.Age
	case backup.GapUnbounded:
		v.nos = append(v.nos, by+": "+g.Why)
		return
	}
	if !v.yes || age >= 0 && (v.age < 0 || age < v.age) {
		v.yes, v.age, v.by, v.gap = true, age, by, g
	}
}

func (v *verdict) doubt(why string) { v.doubts = append(v.doubts, why) }

func (v *verdict) not(why string) { v.nos = append(v.nos, why) }

// result is the cell; otherwise says what is not read that may make copies, and none what there is not.
func (v *verdict) result(otherwise, none string) cell {
	simply := func(state stateward.TierState, by string) cell {
		return cell{TierResult: stateward.TierResult{State: state, By: by}}
	}
	open := otherwise
	if len(v.doubts) > 0 {
		open = slices.Min(v.doubts)
	}
	switch {
	case v.yes:
		r := simply(stateward.SurvivalYes, v.by)
		if d, err := stateward.NewDuration(v.age); err == nil && v.age >= 0 {
			r.RPO = d.String()
		}
		r.gap, r.open = v.gap, open
		return r
	case open != "":
		return simply(stateward.SurvivalUnknown, open)
	case len(v.nos) > 0:
		return simply(stateward.SurvivalNo, slices.Min(v.nos))
	}
	return simply(stateward.SurvivalNo, none)
}

// tiers answers for a row, given what it answers for a reboot.
func (c *copies) tiers(r *stateRow) map[stateward.Tier]stateward.TierResult {
	out := map[stateward.Tier]stateward.TierResult{}
	for tier, answer := range c.cells(r) {
		out[tier] = answer.TierResult
	}
	return out
}

// cells is tiers, with what the answers are made of.
func (c *copies) cells(r *stateRow) map[stateward.Tier]cell {
	reboot := cell{TierResult: r.reboot}
	all := func(t cell) map[stateward.Tier]cell {
		return map[stateward.Tier]cell{stateward.TierReboot: reboot, stateward.TierRollback: t, stateward.TierDisk: t, stateward.TierSite: t, stateward.TierRebuild: t}
	}
	p, err := stateward.ParsePath(r.path)
	switch {
	case r.reboot.State == stateward.SurvivalNotNeeded:
		return all(reboot)
	case r.unread || r.state.Problem != nil || err != nil:
		return all(cell{TierResult: stateward.TierResult{State: stateward.SurvivalUnknown, By: r.reboot.By}})
	}
	l := c.s.lies(p)
	if l.doubt == "" && r.pattern() && c.s.anythingBelow(p) {
		l.doubt = fmt.Sprintf("%s goes on with a specifier that options do not resolve", r.state.Text)
	}
	rollback := c.rollback(&l)
	if r.reboot.State == stateward.SurvivalNo && rollback.State != stateward.SurvivalNo {
		rollback = cell{TierResult: stateward.TierResult{State: stateward.SurvivalNo, By: "it is lost at every boot"}}
	}
	disk, site := c.elsewhere(&l, rollback)
	out := map[stateward.Tier]cell{stateward.TierReboot: reboot, stateward.TierRollback: rollback, stateward.TierDisk: disk, stateward.TierSite: site}
	out[stateward.TierRebuild] = c.rebuild(r.service.Name, &l, rollback)
	if pointInTime, ok := c.pointInTime(r); ok {
		out[stateward.TierPointInTime] = pointInTime
	}
	return out
}

// rollback answers for snapshots on the same pool.
func (c *copies) rollback(l *lying) cell {
	var v verdict
	if l.doubt != "" {
		v.doubt(l.doubt)
		return v.result("", "")
	}
	name := l.mount.zfsName()
	if name == "" {
		switch fsType := l.mount.fs.FSType.Or(""); {
		case remote(fsType), layered(fsType), fsType == "overlay":
			v.doubt(fmt.Sprintf("it lies on a %s, and what keeps that is not read", fsType))
		case slices.Contains(volatileTypes, fsType):
			return v.result("", "it lies in memory")
		}
		return v.result(c.snapshots, fmt.Sprintf("nothing that is read takes snapshots of %s", describe(l.mount)))
	}
	if why, unknown := c.s.host.Snapshots.Why(); unknown {
		v.doubt(why.String())
	}
	switch p, doubt := backup.Governing(c.policies, name); {
	case doubt != "":
		v.doubt(doubt)
	case p != nil:
		by, gap, taken := cmp.Or(p.By, p), c.gaps[p.Dataset], p.Taken()
		switch above := by.Taken(); {
		case taken.IsUnknown():
			why, _ := taken.Why()
			v.doubt(why.String())
		case len(taken.Or(nil)) == 0 && len(above.Or(nil)) > 0:
			v.not(p.Origin.Option + " keeps none of the snapshots that " + by.Origin.Option + " takes")
		case len(taken.Or(nil)) == 0:
			v.not(by.Origin.Option + " takes no snapshots that are kept")
		case gap.State == backup.GapUnknown && !p.Schedule.IsKnown():
			v.doubt(gap.Why)
		default:
			v.copied(by.Origin.Option, gap)
		}
	}
	return v.result(c.snapshots, "no snapshot policy that is read covers dataset "+name)
}

func parentDataset(name string) string {
	i := strings.LastIndexByte(name, '/')
	if i < 0 {
		return ""
	}
	return name[:i]
}

// elsewhere answers for copies on other disks, and in other houses.
func (c *copies) elsewhere(l *lying, rollback cell) (disk, site cell) {
	var d, s verdict
	both := func(why string) {
		d.doubt(why)
		s.doubt(why)
	}
	if why, unknown := c.s.host.Jobs.Why(); unknown {
		both(why.String())
	}
	if why, unknown := c.s.host.Replications.Why(); unknown {
		both(why.String())
	}
	c.ofJobs(l, &d, &s, both)
	c.ofClusters(l, &d, &s)
	for _, r := range c.vague {
		both("what the " + r.of.String() + " sends is not known")
	}
	if l.doubt != "" && len(c.from) > 0 {
		both(l.doubt)
	}
	if l.doubt == "" {
		name := l.mount.zfsName()
		for at := name; at != ""; at = parentDataset(at) {
			for _, r := range c.from[at] {
				c.ofReplication(r, name, rollback, &d, &s)
			}
		}
	}
	none := "no backup job or replication that is read covers it"
	return d.result(c.backups, none), s.result(c.backups, none)
}

// ofJobs says what the jobs make of the tiers that store what lies there.
func (c *copies) ofJobs(l *lying, d, s *verdict, both func(string)) {
	var covering []*scheduled[backup.Job]
	for _, p := range l.paths {
		for q := range p.Ancestors() {
			for _, j := range c.at[q] {
				if slices.Contains(covering, j) {
					continue
				}
				why, ok := c.stored(j, q, p)
				switch {
				case !ok:
				case why != "":
					both(why)
				default:
					covering = append(covering, j)
					c.ofJob(j, l, d, s)
				}
			}
		}
	}
	for _, j := range c.open {
		if slices.Contains(covering, j) {
			continue
		}
		if why, unknown := j.of.Paths.Why(); unknown {
			both(why.String())
		} else {
			both(j.of.String() + " adds paths by a command that is not read")
		}
	}
}

// stored tells whether a job that names top stores p below it under that name.
func (c *copies) stored(j *scheduled[backup.Job], top, p stateward.AbsPath) (doubt string, ok bool) {
	engine := j.of.Engine.Or("")
	patterns, option := optionExcludes(engine, j.of.Options.Or(nil))
	switch is, pattern := excluded(engine, slices.Concat(j.of.Exclude.Or(nil), patterns), p); {
	case j.of.Exclude.IsUnknown():
		why, _ := j.of.Exclude.Why()
		return why.String(), true
	case j.of.Options.IsUnknown():
		why, _ := j.of.Options.Why()
		return why.String(), true
	case option != "" && is != stateward.SurvivalYes:
		return fmt.Sprintf("%s may leave it out by its option %s", j.of.String(), option), true
	case is == stateward.SurvivalYes:
		return "", false
	case is == stateward.SurvivalUnknown:
		return fmt.Sprintf("%s may leave it out by the pattern %q", j.of.String(), pattern), true
	}
	for q := p; q != top; q = q.Parent() {
		if _, linked := c.s.links[q]; linked {
			return "", false // the link is stored, and not what it leads to
		}
		for _, e := range c.s.persisted[q] {
			if e.entry.Kind == stateward.File {
				return "", false // mostly a link
			}
		}
		if len(c.s.mounts[q]) == 0 && len(c.s.persisted[q]) == 0 {
			continue
		}
		if !j.of.Dataset.IsAbsent() {
			return "", false // the snapshot of one dataset has nothing of another
		}
		return fmt.Sprintf("whether %s goes from %s into other file systems is not read", j.of.String(), top), true
	}
	return "", true
}

// excluded tells whether a pattern leaves out a path: yes, no, or unknown where it may.
func excluded(engine string, patterns []string, p stateward.AbsPath) (stateward.TierState, string) {
	state, by := stateward.SurvivalNo, ""
	spares := slices.ContainsFunc(patterns, func(p string) bool { return strings.HasPrefix(strings.TrimSpace(p), "!") })
	for _, pattern := range patterns {
		text := strings.TrimSpace(pattern)
		exact := true
		if engine != "restic" {
			if style, rest, ok := strings.Cut(text, ":"); ok && len(style) == 2 {
				text = rest
				if style == "re" {
					return stateward.SurvivalUnknown, pattern
				}
			}
		}
		if strings.HasPrefix(text, "!") || strings.ContainsAny(text, "$") {
			state, by = stateward.SurvivalUnknown, pattern
			continue
		}
		if text = strings.TrimSuffix(text, "/"); text == "" {
			continue
		}
		// All that lies in the folder is left out, and the folder alone is stored.
		for _, all := range []string{"/*", "/**"} {
			if folder, ok := strings.CutSuffix(text, all); ok && folder != "" && !spares {
				text = folder
				break
			}
		}
		if strings.ContainsAny(text, `*?[\`) {
			exact = false
		}
		anchored := strings.HasPrefix(text, "/")
		if !anchored && engine != "restic" && !strings.HasPrefix(text, "*") {
			text = "/" + text // borg cuts off what leads
		}
		for q := range p.Ancestors() {
			if q == stateward.Root {
				break
			}
			name := q.String()
			matched := name == text
			switch {
			case matched:
			case anchored || engine != "restic":
				matched = !exact && loose(text, name)
			case exact:
				matched = strings.HasSuffix(name, "/"+text)
			default:
				matched = loose("*/"+text, name)
			}
			if matched && exact {
				return stateward.SurvivalYes, pattern
			}
			if matched {
				state, by = stateward.SurvivalUnknown, pattern
			}
		}
	}
	return state, by
}

// loose matches as much as any engine does: "*" stands for any text, be it with slashes, and so does a set of characters.
func loose(pattern, text string) bool {
	star, mark, i := -1, 0, 0
	for j := 0; j < len(text); {
		switch {
		case i < len(pattern) && strings.IndexByte(`*[\`, pattern[i]) >= 0:
			if pattern[i] == '[' {
				if end := strings.IndexByte(pattern[i:], ']'); end > 0 {
					i += end
				}
			}
			star, mark = i, j
			i++
		case i < len(pattern) && (pattern[i] == '?' || pattern[i] == text[j]):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(pattern) && pattern[i] == '*' {
		i++
	}
	return i == len(pattern)
}

// ofJob says what a job that stores a path makes of the tiers.
func (c *copies) ofJob(j *scheduled[backup.Job], l *lying, d, s *verdict) {
	both := func(why string) {
		d.doubt(why)
		s.doubt(why)
	}
	r, ok := j.of.Repository.Get()
	switch {
	case j.of.Asked && c.stale[j.of.Name] != "":
		both(fmt.Sprintf("%s was written of something else than %s asks for now", c.stale[j.of.Name], j.of.Origin.Option))
		return
	case j.of.Asked:
		both(fmt.Sprintf("%s is asked for, and nothing that is read runs it", j.of.Origin.Option))
		return
	case j.of.Schedule.IsAbsent():
		both(j.gap.Why) // N10
		return
	case !ok:
		why, unknown := j.of.Repository.Why()
		if !unknown {
			why.Message, why.Subject = "no repository is read", j.of.Origin.Option
		}
		both(why.String())
		return
	}
	// A timer without a calendar runs by something else. One with a calendar that is none starts nothing.
	if why, unknown := j.of.Schedule.Why(); unknown && (why.Kind != stateward.UnknownForm || j.of.Events.IsKnown()) {
		both(why.String())
		return
	}
	by := fmt.Sprintf("%s to %s", j.of.Origin.Option, r.Name)
	switch r.Where {
	case backup.WhereProvider:
		d.copied(by, j.gap)
		s.copied(by, j.gap)
	case backup.WhereRemote:
		d.copied(by, j.gap)
		s.doubt(fmt.Sprintf("in which house %s stands is not known", cmp.Or(r.Host, r.Name)))
	case backup.WhereLocal:
		s.not(by + " stays in the house")
		switch state, why := c.apart(l, r.Path); state {
		case stateward.SurvivalYes:
			d.copied(by, j.gap)
		case stateward.SurvivalNo:
			d.not(by + ": " + why)
		default:
			d.doubt(by + ": " + why)
			if strings.HasPrefix(why, anotherHost) {
				s.doubt(by + ": " + why)
			}
		}
	case backup.WhereLoopback:
		both(by + " is a server on this host, and where that stores is not read")
	default:
		both("where the repository of " + j.of.String() + " lies is not known")
	}
}

const anotherHost = "another host"

// apart tells whether a directory lies on other disks than what lies at l, as far as pools tell.
func (c *copies) apart(l *lying, dir stateward.AbsPath) (stateward.TierState, string) {
	to := c.s.lies(dir)
	if why := firstText(l.doubt, to.doubt); why != "" {
		return stateward.SurvivalUnknown, why
	}
	fsType := to.mount.fs.FSType.Or("")
	a, b := l.mount.store(), to.mount.store()
	switch {
	case remote(fsType):
		return stateward.SurvivalYes, ""
	case slices.Contains(volatileTypes, fsType):
		return stateward.SurvivalNo, "the repository lies in memory"
	case a == "" || b == "":
		return stateward.SurvivalUnknown, fmt.Sprintf("whether %s lies on other disks is not known", dir)
	case a == b:
		return stateward.SurvivalNo, fmt.Sprintf("the repository lies on %s as the data does", a)
	case l.mount.zfsName() != "" && to.mount.zfsName() != "":
		return stateward.SurvivalYes, ""
	}
	return stateward.SurvivalUnknown, fmt.Sprintf("whether %s and %s are on one disk is not known", a, b)
}

// ofReplication says what a replication of a dataset, or of one above it, makes of the tiers.
func (c *copies) ofReplication(r *scheduled[backup.Replication], name string, rollback cell, d, s *verdict) {
	both := func(why string) {
		d.doubt(why)
		s.doubt(why)
	}
	source := r.of.Source.Or(backup.Place{})
	neither := func(why string) {
		d.not(why)
		s.not(why)
	}
	switch sent, known, why := r.of.Sends(name); {
	case !known:
		both(why)
		return
	case !sent && why != "":
		neither(why)
		return
	case !sent:
		return
	}
	switch on, by := c.synced(name); on {
	case stateward.SurvivalNo:
		neither(r.of.String() + " leaves it out by " + by)
		return
	case stateward.SurvivalUnknown:
		both(r.of.String() + " may leave it out by " + by)
		return
	}
	target, known := r.of.Target.Get()
	if !known {
		why, _ := r.of.Target.Why()
		both(cmp.Or(why.String(), "where "+r.of.String()+" sends to is not known"))
		return
	}
	if !r.of.Schedule.IsKnown() {
		both(r.gap.Why)
		return
	}
	gap := r.gap
	if silent, known := r.of.NoSyncSnap.Get(); silent || !known {
		// Only what the snapshot policy took is sent.
		age, err := stateward.ParseDuration(rollback.RPO)
		switch {
		case rollback.State == stateward.SurvivalNo:
			both(r.of.String() + " takes no snapshot itself, and nothing that is read takes any")
			return
		case rollback.RPO == "" || err != nil || gap.State != backup.GapBounded:
			gap = backup.Gap{State: backup.GapUnknown}
		default:
			gap.Age += age.Std()
			gap.Least += age.Std()
			gap.Parts = append(slices.Clone(gap.Parts), backup.GapPart{What: "of the newest snapshot that it finds", Span: age.Std()})
		}
	}
	by := fmt.Sprintf("%s to %s", r.of.Origin.Option, target)
	switch {
	case !target.Here():
		d.copied(by, gap)
		s.doubt(fmt.Sprintf("in which house %s stands is not known", target.Host))
	case target.Pool() == source.Pool():
		d.not(by + " stays on the same pool")
		s.not(by + " stays in the house")
	default:
		d.copied(by, gap)
		s.not(by + " stays in the house")
	}
}

// synced tells whether syncoid:sync, a property that datasets below inherit, lets syncoid send a dataset, and what it is where it may not.
func (c *copies) synced(name string) (stateward.TierState, string) {
	list := c.s.host.Datasets.Or(nil)
	for at := name; at != ""; at = parentDataset(at) {
		for i := range list {
			v := list[i].Properties["syncoid:sync"]
			if list[i].Name != at || v.IsAbsent() {
				continue
			}
			switch text, known := v.Get(); {
			case known && (text == "true" || text == "" || text == "-"):
				return stateward.SurvivalYes, ""
			case text == "false":
				return stateward.SurvivalNo, "syncoid:sync=false of " + at
			case known: // hosts that may
				return stateward.SurvivalUnknown, "syncoid:sync=" + text + " of " + at
			}
			return stateward.SurvivalUnknown, "syncoid:sync of " + at
		}
	}
	return stateward.SurvivalYes, ""
}
