package aggregate

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/restic"
	"github.com/stateward/stateward/preseed"
)

var sw411 = Check{
	CheckInfo: stateward.CheckInfo{
		Code: "SW411", Title: "copies of a preseed are gone before its fault is seen", Severity: stateward.SeverityWarning, Since: "0.1", Traps: []string{"E7"},
		Doc: doc(`
A dataset loses its files, or they are damaged, and nobody sees it for some days. Backups go on meanwhile, each run takes the place of an older one, and after as long as retention reaches back
every copy is of what is broken. The sources of a preseed that are not on the dataset's own pool keep one copy only, so that one run is enough; or they reach back less than half as far as the preseed may
(` + "`preseed.maxAge`" + `): who takes what is a month old, and keeps three days, has nothing to take.

A machine that is off is none of this: retention counts what was backed up, and while nothing runs the newest stays.

It is information where a job refuses to back up what is empty or became half of what it was, as those of stateward do unless ` + "`allowEmpty`" + ` or a floor of 0 says otherwise: then only what was damaged, and is still there, gets that far.
Nothing is said where a source keeps all, or prunes on another host: how long that keeps is not read.

Mend it by keeping a few older ones as well, which take little room.

` + "```nix" + `
stateward.services.paperless = {
  backup.prune = ["--keep-daily 7" "--keep-weekly 5" "--keep-monthly 6"]; # not: "--keep-daily 3"
  preseed.maxAge = "30d";
};
` + "```" + `
`),
	},
	run: func(f *facts) []stateward.Diagnostic {
		var out []stateward.Diagnostic
		for i := range f.copies().preseeds {
			r := &f.copies().preseeds[i]
			p := f.preseedOf(r)
			if r.Plan == nil || p == nil || r.RunBy != "" {
				continue
			}
			may, set := p.MaxAge.Get()
			kept, known := f.keptElsewhere(r, may.Std())
			if !known || !kept.single && (!set || kept.reach >= may.Std()/2) {
				continue
			}
			d := finding(originOr(p.MaxAge.Origin(), r.Origin))
			d.Service = r.Service
			d.Hint = "keep a few older ones as well: " + kept.hint
			if kept.single {
				d.Message = fmt.Sprintf("preseed of %s: %s keeps one copy, and one run after a fault that is the broken one", r.Service, kept.by)
			} else {
				d.Message = fmt.Sprintf("preseed of %s takes what is up to %s old, and %s keeps nothing older than %s: once a fault was there for so long, every copy has it", r.Service, may, kept.by, roughly(kept.reach))
				if kept.guarded {
					d.Severity = stateward.SeverityInfo
				}
			}
			out = append(out, d)
		}
		return out
	},
}

// reached is how far back copies reach while backups go on.
type reached struct {
	by     string
	reach  time.Duration
	single bool
	// guarded tells that what is empty is not backed up.
	guarded bool
	hint    string
}

// keptElsewhere is what the sources of a preseed keep that are not on the dataset's own pool: that which reaches back farthest, up to some age; known is false
// where one keeps all, or how long is not known, or where there is none.
func (f *facts) keptElsewhere(r *preseed.Running, age time.Duration) (best reached, known bool) {
	found := false
	for _, s := range r.Plan.Sources {
		var one reached
		ok := true
		switch s.Kind {
		case preseed.Restic:
			one, ok = f.keptByJob(r, age)
		case preseed.Replica:
			place, err := s.Place()
			if err == nil && place.Here() && place.Pool() == (backup.Place{Dataset: r.Plan.Dataset}).Pool() {
				continue
			}
			one, ok = f.keptByReplica(r, place)
			ok = ok && err == nil
		case preseed.PITR:
			ok = false // what an archive keeps its own retention says
		default:
			continue
		}
		if !ok {
			return reached{}, false
		}
		guarded := best.guarded || one.guarded
		if !found || one.reach > best.reach || best.single && !one.single {
			best = one
		}
		best.guarded = guarded
		found = true
	}
	return best, found
}

// mostSnapshots is how many are looked at to see what a policy leaves of them.
const mostSnapshots = 100_000

// keptByJob asks the policy of the job what it leaves of a history as long as that.
func (f *facts) keptByJob(r *preseed.Running, age time.Duration) (reached, bool) {
	if r.Job == nil || r.Job.Retention.IsZero() || len(r.Job.Retention.Tags) > 0 {
		return reached{}, false // nothing is forgotten, or by what no schedule tells
	}
	every := time.Duration(0)
	for _, j := range f.theJobs() {
		if j.of.Name == r.Job.Name && j.gap.State == backup.GapBounded {
			every = j.gap.Age
		}
	}
	if every <= 0 || age/every >= mostSnapshots {
		return reached{}, false
	}
	var history []backup.Snapshot
	// In the middle of a week, a month and a year: on its first day the last of the one before is a day old only.
	last := time.Date(since.Year(), 6, 17, 12, 0, 0, 0, time.UTC)
	for i := range max(int(age/every)+1, 32) {
		history = append(history, backup.Snapshot{ID: fmt.Sprint(i), Time: last.Add(-time.Duration(i) * every), Host: r.Job.Host, Paths: r.Job.Paths, Tags: r.Job.Tags})
	}
	left, err := r.Job.Retention.Apply(history, last)
	if err != nil || len(left.Keep) == 0 {
		return reached{}, false
	}
	oldest := slices.MinFunc(left.Keep, func(a, b backup.Kept) int { return a.Time.Compare(b.Time) })
	return reached{
		by: "restic job " + r.Job.Name, reach: last.Sub(oldest.Time), single: len(left.Keep) == 1,
		guarded: (r.Job.Floor == nil || *r.Job.Floor > 0) && !mayBeEmpty(r.Job, r.Plan.Mountpoint), hint: `prune = [ "--keep-daily 7" "--keep-weekly 5" "--keep-monthly 6" ]`,
	}, true
}

// mayBeEmpty tells whether a job takes the folder, or one in it, where there is nothing in it.
func mayBeEmpty(j *restic.Job, at string) bool {
	return slices.ContainsFunc(j.AllowEmpty, func(dir string) bool {
		return dir == at || strings.HasPrefix(dir, at+"/") || strings.HasPrefix(at, strings.TrimSuffix(dir, "/")+"/")
	})
}

// keptByReplica says what a replica keeps: one on this host by its policy, one that mirrors its source by that of the source.
func (f *facts) keptByReplica(r *preseed.Running, place backup.Place) (reached, bool) {
	c := f.copies()
	from, taken := backup.Governing(c.policies, r.Plan.Dataset)
	if taken != "" || from == nil {
		return reached{}, false
	}
	prunes := (*backup.SnapshotPolicy)(nil)
	for at := r.Plan.Dataset; at != ""; at = parentDataset(at) {
		for _, sent := range c.from[at] {
			target, known := sent.of.Target.Get()
			if known && target.Host == place.Host && target.Dataset+strings.TrimPrefix(r.Plan.Dataset, at) == place.Dataset && slices.Contains(sent.of.Args.Or(nil), "--delete-target-snapshots") {
				prunes = from
			}
		}
	}
	if prunes == nil && place.Here() {
		prunes, taken = backup.Governing(c.policies, place.Dataset)
		if taken != "" {
			return reached{}, false
		}
	}
	if prunes == nil {
		return reached{}, false
	}
	policy, known := prunes.Policy.Get()
	types, sure := from.Taken().Get()
	if !known || !sure || len(types) == 0 || !policy.AutoPrune {
		return reached{}, false
	}
	out := reached{by: "the " + prunes.String(), hint: "daily = 7; weekly = 5; monthly = 6;"}
	fewest := 0
	for _, t := range policy.Types() {
		if slices.Contains(types, t.Name) {
			fewest += t.Keep
			out.reach = max(out.reach, time.Duration(t.Keep)*t.Period)
		}
	}
	out.single = fewest == 1
	return out, fewest > 0
}

// roughly is a time span in whole days, or hours where it is short.
func roughly(d time.Duration) string {
	unit := time.Hour
	if d >= 48*time.Hour {
		unit = 24 * time.Hour
	}
	text, err := stateward.NewDuration(d.Truncate(unit))
	if err != nil || d < unit {
		return "an hour"
	}
	return text.String()
}
