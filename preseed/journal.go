package preseed

import (
	"fmt"
	"slices"
	"strings"
)

// Stage is how far a run is that restores beside the dataset.
type Stage string

const (
	// Filling is a staging dataset that is being filled: nobody knows what of it is there.
	Filling Stage = "filling"
	// Filled is one that was validated, and that may take the place of the target.
	Filled Stage = "filled"
	// Promoting is the exchange of both by two renames.
	Promoting Stage = "promoting"
)

// Journal is what a run writes down before it acts: datasets are known by their guid in it, since names are what changes.
type Journal struct {
	// Target is the name that the service's dataset has, TargetGUID the empty one.
	Target     string `json:"target"`
	TargetGUID string `json:"targetGuid"`
	// Staged is the name of the dataset that is filled, StagedGUID its guid; empty until it is made.
	Staged     string `json:"staged"`
	StagedGUID string `json:"stagedGuid,omitempty"`
	// Displaced is the name that the empty one gets. It is kept.
	Displaced string     `json:"displaced"`
	Source    SourceKind `json:"source"`
	Candidate Candidate  `json:"candidate"`
	Stage     Stage      `json:"stage"`
	// Paths are those that the plan chose of restic's; none means all.
	Paths []string `json:"paths,omitempty"`
	// ByHand tells that a person chose the candidate, who saw how old it is.
	ByHand bool `json:"byHand,omitempty"`
	// Mountpoint and Canmount are the properties of the empty one, of which what takes its place gets the same.
	Mountpoint string `json:"mountpoint,omitempty"`
	Canmount   string `json:"canmount,omitempty"`
}

// resume goes on where a run was cut off. What is there decides, and the journal only says what each dataset is for (E10).
func (d *decider) resume() Decision {
	j, t := d.seen.Journal, d.seen.Target
	if slices.Contains([]string{j.Target, j.Staged, j.Displaced}, "") || j.TargetGUID == "" || !slices.Contains([]Stage{Filling, Filled, Promoting}, j.Stage) {
		return d.end(Refused, "the journal of an earlier run does not say what it did", "look at the datasets of "+MarkerProperty+", and remove the journal, a file NAME.journal.json beside the records")
	}
	target, staged := d.seen.At[j.TargetGUID], ""
	if j.StagedGUID != "" {
		staged = d.seen.At[j.StagedGUID]
	}
	switch {
	case staged == j.Target:
		// Both renames are done. What is missing is to mount it.
		if d.active() {
			return d.waitsFor("an earlier run brought it back, and a unit of the service runs already", "stop it")
		}
		return d.act(Finish, "what was restored has its place, and is not mounted yet")
	case target == j.Displaced:
		switch {
		case staged == "":
			if t != nil && j.StagedGUID != "" && j.Source != Local {
				// Nobody can end that exchange. What was there has nothing that the source does not have, and is kept.
				return d.act(Abandon, fmt.Sprintf("what was to become %s is gone, and another dataset has that name: it begins anew, and the one that was there stays %s", j.Target, j.Displaced))
			}
			switch {
			case t == nil:
			case d.notLooked():
				return d.act(Look, fmt.Sprintf("what was to become %s is gone, and another dataset has that name", j.Target))
			case t.Content == Empty && len(t.Snapshots) == 0 && !d.active():
				// Without it the one that was there gets its name again, with its snapshots.
				return d.act(Displace, fmt.Sprintf("what was to become %s is gone, and that was made anew, and empty", j.Target))
			default:
				return d.end(Refused, fmt.Sprintf("what was to become %s is gone, and another dataset has that name", j.Target),
					"see whether snapshots of "+j.Displaced+", the one that was there, are needed; then move it out of the staging area (zfs rename -u), and remove the journal, a file NAME.journal.json beside the records")
			}
			return d.act(Undo, fmt.Sprintf("what was to become %s is gone: the one that was there gets its name again", j.Target))
		case t == nil:
			return d.act(Place, "an earlier run moved the empty dataset away, and did not come to put the restored one in its place")
		case d.notLooked():
			return d.act(Look, fmt.Sprintf("%s was made anew while an earlier run exchanged the datasets", j.Target))
		case t.Content == Empty && len(t.Snapshots) == 0 && !d.active():
			// Whatever makes datasets at boot found none. It is moved away like the first, and kept like it.
			return d.act(Displace, fmt.Sprintf("%s was made anew, and empty, while an earlier run exchanged the datasets", j.Target))
		case d.active():
			return d.waitsFor("the exchange is not done, and a unit of the service runs", "stop it")
		}
		return d.end(Refused, fmt.Sprintf("%s was made anew while an earlier run exchanged the datasets, and is not empty", j.Target), "look at both: what was restored is "+staged)
	case target == "" && t != nil && t.GUID != j.TargetGUID:
		return d.act(Abandon, fmt.Sprintf("the dataset that an earlier run found empty is gone, and %s was made anew: it begins anew", j.Target))
	case target != j.Target:
		return d.end(Refused, fmt.Sprintf("the dataset that an earlier run found empty is neither %s nor %s", j.Target, j.Displaced), "look where it is (zfs list -o name,guid), and remove the journal, a file NAME.journal.json beside the records")
	case d.policy.ByHand && (!slices.Contains(d.policy.Sources, j.Source) || !d.policy.At.IsZero() && j.Candidate.Time.After(d.policy.At)):
		return d.act(Discard, fmt.Sprintf("an earlier run was cut off while it restored %s of %s from %s, which is not what is asked for now", j.Candidate.Name, stamp(j.Candidate.Time), j.Source))
	case j.Stage == Filling && !slices.Contains(d.policy.Sources, j.Source):
		return d.act(Discard, fmt.Sprintf("an earlier run was cut off while it restored from %s, which is no source any more", j.Source))
	case staged == "" || j.Stage == Filling && !j.Source.Resumes():
		return d.act(Discard, "an earlier run was cut off before all was there")
	case d.notLooked():
		return d.act(Look, "an earlier run was cut off before it exchanged the datasets")
	case t.Content == Populated:
		return d.act(Abandon, "files came into the dataset since an earlier run began, which was cut off: they stay, and what that run restored is "+staged)
	case t.Content != Empty:
		return d.waits("the dataset cannot be looked into: "+t.Unread, "see why")
	case d.active():
		return d.waitsFor("a unit of the service runs", "stop it")
	case t.Beside != "":
		return d.end(Refused, "nothing can take the place of the dataset: "+t.Beside, t.BesideHint)
	case len(t.Below) > 0:
		return d.waitsFor(strings.Join(t.Below, ", ")+" is mounted below it", "unmount it")
	case d.tooOld(*j) && j.Stage == Filling:
		return d.act(Discard, fmt.Sprintf("an earlier run was cut off while it restored %s of %s from %s, which is older than the policy allows by now", j.Candidate.Name, stamp(j.Candidate.Time), j.Source))
	case d.others(*j) && j.Stage == Filling:
		return d.act(Discard, "an earlier run was cut off while it restored other paths than are asked for now")
	case d.others(*j):
		return d.act(Abandon, "an earlier run was cut off once it had restored other paths than are asked for now: it is set aside")
	case d.tooOld(*j):
		// It is whole, and its source may have it no more.
		return d.act(Abandon, fmt.Sprintf("an earlier run was cut off once it had restored %s of %s from %s, which is older than the policy allows by now: it is set aside", j.Candidate.Name, stamp(j.Candidate.Time), j.Source))
	case j.Stage == Filling:
		i := slices.IndexFunc(d.seen.Answers, func(a Answer) bool { return a.Source == j.Source })
		why := fmt.Sprintf("%s of %s from %s was cut off while it was restored", j.Candidate.Name, stamp(j.Candidate.Time), j.Source)
		switch {
		case i < 0:
			return Decision{Action: Ask, Source: j.Source, Why: why}
		case d.seen.Answers[i].Kind == SourceUnreachable:
			return Decision{Action: Wait, Late: Unreachable, Source: j.Source, Why: fmt.Sprintf("%s, and %s cannot be asked: %s", why, j.Source, d.seen.Answers[i].Reason), Hint: "see why it does not answer"}
		}
		return d.act(Fill, why+": it goes on")
	}
	return d.act(Promote, "what was restored is validated, and takes its place")
}

// tooOld tells of what an earlier run restored whether this one would still take it. Time that a run needs to restore makes nothing older: one that takes a day would never come to
// its end. Nor is asked whether the source has anything newer: the dataset was empty ever since, and what was backed up of it meanwhile is of nothing.
func (d *decider) tooOld(j Journal) bool {
	return !d.seen.Own && !j.ByHand && !d.policy.ByHand && d.policy.MaxAge > 0 && d.now.Sub(j.Candidate.Time) > d.policy.MaxAge
}

// others tells whether an earlier run restored other paths than are asked for now: what it began of those would be there in part.
func (d *decider) others(j Journal) bool {
	sorted := func(paths []string) []string {
		paths = slices.Clone(paths)
		slices.Sort(paths)
		return slices.Compact(paths)
	}
	return j.Source == Restic && !slices.Equal(sorted(j.Paths), sorted(d.policy.Paths))
}
