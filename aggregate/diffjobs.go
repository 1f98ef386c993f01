package aggregate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

// jobs compares the backup jobs. A job is known by engine and name, by which its snapshots are found again.
func (d *differ) jobs() {
	oldKnown, newKnown := d.whole(AboutJob, "the backup jobs", d.old.Host.Jobs.Why, d.new.Host.Jobs.Why)
	index := func(s *diffSide) map[string]*backup.Job {
		out := map[string]*backup.Job{}
		for _, j := range s.c.jobs {
			key := j.of.String()
			for i := 2; out[key] != nil; i++ {
				key = fmt.Sprintf("%s (%d)", j.of.String(), i)
			}
			out[key] = &j.of
		}
		return out
	}
	old, new := index(d.old), index(d.new)
	if len(old) > 0 && len(new) > 0 {
		s := state(d.old.Host.HostName, d.new.Host.HostName, sameText)
		c := Change{Kind: AboutJob, Effect: Changed, Severity: stateward.SeverityWarning, Subject: "networking.hostName", Old: s.old, New: s.new}
		if !d.unsure(s, c, "under which host name backups are kept") && s.old != s.new && s.old != "" && s.new != "" {
			c.Message = fmt.Sprintf("the host is called %s from now on, and was %s: backups begin a new history under that name, and those under the old one are neither compared with nor forgotten", s.new, s.old)
			d.add(c)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if b := new[key]; b != nil {
			d.job(old[key], b)
			delete(old, key)
			delete(new, key)
		}
	}
	// What a service asks for, and what a unit runs for it, is one job: only the tool's name comes to it by its being run.
	for _, key := range slices.Sorted(maps.Keys(old)) {
		for _, other := range slices.Sorted(maps.Keys(new)) {
			if a, b := old[key], new[other]; a.Asked != b.Asked && a.Name == b.Name && a.Service == b.Service && a.Service != "" {
				d.job(a, b)
				delete(old, key)
				delete(new, other)
				break
			}
		}
	}
	// The same paths to the same place under another name.
	identity := func(j *backup.Job) string {
		if len(j.Paths.Or(nil)) == 0 || !j.Repository.IsKnown() && !j.RepositoryFile.IsKnown() {
			return ""
		}
		return strings.Join([]string{j.Engine.Or(""), jobRepository(j), jobPaths(j)}, "\x00")
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		for _, other := range slices.Sorted(maps.Keys(new)) {
			a, b := old[key], new[other]
			if id := identity(a); id == "" || id != identity(b) {
				continue
			}
			d.add(Change{Kind: AboutJob, Effect: Changed, Severity: stateward.SeverityWarning, Subject: "name", Service: commonText(a.Service, b.Service), Old: a.String(), New: b.String(),
				Message: fmt.Sprintf("%s is called %s from now on: its snapshots get that name, and those of the old name stay and are neither found by it nor forgotten", a, b),
				Hint:    "keep the old name, or look after what is under it by hand"})
			d.job(a, b)
			delete(old, key)
			delete(new, other)
			break
		}
	}
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if j := old[key]; newKnown {
			d.add(Change{Kind: AboutJob, Effect: Worse, Severity: stateward.SeverityWarning, Service: j.Service, Subject: key, Old: jobWords(j),
				Message: fmt.Sprintf("%s is gone (%s): what it stored stays, and nothing adds to it, checks it or forgets of it", j, jobWords(j))})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(new)) {
		if j := new[key]; oldKnown {
			d.add(Change{Kind: AboutJob, Effect: Better, Service: j.Service, Subject: key, New: jobWords(j), Message: fmt.Sprintf("%s is new (%s)", j, jobWords(j))})
		}
	}
}

func commonText(a, b string) string {
	if a == b {
		return a
	}
	return ""
}

// bothText names one thing that may have another name now, the same seen from both sides.
func bothText(a, b string) string {
	if a == b {
		return a
	}
	return min(a, b) + ", " + max(a, b)
}

func jobRepository(j *backup.Job) string {
	if r, ok := j.Repository.Get(); ok {
		return r.Name
	}
	if f, ok := j.RepositoryFile.Get(); ok {
		return f.Text
	}
	return ""
}

func jobPaths(j *backup.Job) string {
	var out []string
	for _, p := range j.Paths.Or(nil) {
		out = append(out, p.String())
	}
	if name, ok := j.Dataset.Get(); ok {
		out = append(out, "dataset "+name)
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), ", ")
}

func jobWords(j *backup.Job) string {
	return fmt.Sprintf("%s to %s", cmp.Or(jobPaths(j), "paths that are not known"), cmp.Or(jobRepository(j), "a repository that is not known"))
}

// sortedText is a list in order, each once.
func sortedText(list []string) string {
	list = slices.Sorted(slices.Values(list))
	return strings.Join(slices.Compact(list), ", ")
}

// job compares two jobs of one name.
func (d *differ) job(a, b *backup.Job) {
	d.jobRetention(a, b)
	service := commonText(a.Service, b.Service)
	about := func(subject string, severity stateward.Severity) Change {
		return Change{Kind: AboutJob, Effect: Changed, Severity: severity, Service: service, Subject: bothText(a.String(), b.String()) + " " + subject}
	}
	if a.Asked != b.Asked {
		c := about("unit", stateward.SeverityWarning)
		c.Old, c.New = pickText(a.Asked, "only asked for", "runs"), pickText(b.Asked, "only asked for", "runs")
		if c.Effect = Worse; a.Asked {
			c.Effect = Better
		}
		c.Message = fmt.Sprintf("%s %s", b, pickText(a.Asked, "is run by a unit now", "is only asked for from now on: nothing that is read runs it"))
		d.add(c)
	}
	// The address of a repository that a file holds is not seen: the file stands for it.
	place := func(j *backup.Job) stateward.Value[string] {
		if !j.Repository.IsKnown() && j.RepositoryFile.IsKnown() {
			return stateward.Known("the address in "+j.RepositoryFile.Or(stateward.FileRef{}).Text, stateward.Origin{})
		}
		return stateward.MapValue(j.Repository.Value, func(r backup.Repository) (string, error) { return r.Name, nil })
	}
	s := state(place(a), place(b), sameText)
	if c := about("repository", stateward.SeverityWarning); !d.unsure(s, c, "where "+b.String()+" stores") && s.old != s.new {
		c.Old, c.New = s.old, s.new
		c.Message = fmt.Sprintf("%s stores in %s from now on, and stored in %s: it begins anew there, and what is in the old place is looked after no more", b, orNone(s.new), orNone(s.old))
		c.Hint = "keep the old repository until the new one has the history that is wanted"
		d.add(c)
	}
	for _, of := range []struct {
		subject, what string
		old, new      stateward.Value[stateward.FileRef]
	}{{"password", "its password", a.Secret.Value, b.Secret.Value}, {"credentials", "what the repository asks for", a.Environment.Value, b.Environment.Value}} {
		s = state(of.old, of.new, func(f stateward.FileRef) string { return f.Text })
		if c := about(of.subject, stateward.SeverityWarning); !d.unsure(s, c, "where "+b.String()+" has "+of.what+" from") && s.old != s.new {
			c.Old, c.New = s.old, s.new
			c.Message = fmt.Sprintf("%s has %s from %s from now on, and had it from %s: with another one it neither stores nor restores", b, of.what, orNone(s.new), orNone(s.old))
			d.add(c)
		}
	}
	paths := func(j *backup.Job) stateward.Value[string] {
		return stateward.MapValue(j.Paths.Value, func([]stateward.AbsPath) (string, error) { return jobPaths(j), nil })
	}
	s = state(paths(a), paths(b), sameText)
	if c := about("paths", stateward.SeverityWarning); !d.unsure(s, c, "what "+b.String()+" reads") && s.old != s.new {
		c.Old, c.New = s.old, s.new
		c.Message = fmt.Sprintf("%s reads %s from now on, and read %s: snapshots of other paths are a history of their own, from which retention and a restore start anew", b, orNone(s.new), orNone(s.old))
		d.add(c)
	}
	s = state(a.Exclude.Value, b.Exclude.Value, sortedText)
	if c := about("exclude", stateward.SeverityWarning); !d.unsure(s, c, "what "+b.String()+" leaves out") && s.old != s.new {
		c.Old, c.New = s.old, s.new
		left := slices.DeleteFunc(slices.Clone(b.Exclude.Or(nil)), func(p string) bool { return slices.Contains(a.Exclude.Or(nil), p) })
		c.Message = fmt.Sprintf("%s leaves out %s from now on, and left out %s", b, orNone(s.new), orNone(s.old))
		if len(left) == 0 {
			c.Severity = stateward.SeverityInfo
		}
		d.add(c)
	}
	s = state(a.Consistency.Value, b.Consistency.Value, func(c backup.Consistency) string { return string(c) })
	if c := about("consistency", stateward.SeverityInfo); !d.unsure(s, c, "how "+b.String()+" gets data of one moment") && s.old != s.new {
		c.Old, c.New = s.old, s.new
		if s.new == string(backup.Live) {
			c.Severity = stateward.SeverityWarning
		}
		c.Message = fmt.Sprintf("%s reads by %s from now on, and read by %s", b, orNone(s.new), orNone(s.old))
		d.add(c)
	}
	s = state(a.Events.Value, b.Events.Value, sortedText)
	if c := about("schedule", stateward.SeverityInfo); !d.unsure(s, c, "when "+b.String()+" runs") && s.old != s.new {
		c.Old, c.New = s.old, s.new
		c.Message = fmt.Sprintf("%s runs %s from now on, and ran %s", b, orNone(s.new), orNone(s.old))
		switch {
		case s.new == "":
			c.Effect, c.Severity, c.Message = Worse, stateward.SeverityWarning, fmt.Sprintf("%s has no timer any more, which was %s", b, s.old)
		case s.old == "":
			c.Effect, c.Message = Better, fmt.Sprintf("%s has a timer now: %s", b, s.new)
		}
		d.add(c)
	}
}

// replications compares what syncoid sends.
func (d *differ) replications() {
	oldKnown, newKnown := d.whole(AboutJob, "the replications", d.old.Host.Replications.Why, d.new.Host.Replications.Why)
	words := func(r *backup.Replication) string {
		text := func(v stateward.Value[backup.Place]) string {
			if p, ok := v.Get(); ok {
				return p.String()
			}
			return "a place that is not known"
		}
		return text(r.Source) + " to " + text(r.Target)
	}
	index := func(s *diffSide) map[string]*backup.Replication {
		out := map[string]*backup.Replication{}
		for _, r := range s.c.replications {
			out[r.of.String()] = &r.of
		}
		return out
	}
	old, new := index(d.old), index(d.new)
	names := maps.Clone(old)
	maps.Copy(names, new)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, b := old[name], new[name]
		c := Change{Kind: AboutJob, Subject: name}
		switch {
		case a == nil && oldKnown:
			c.Effect, c.New = Better, words(b)
			c.Message = fmt.Sprintf("%s is new (%s)", name, c.New)
			d.add(c)
		case b == nil && newKnown:
			c.Effect, c.Severity, c.Old = Worse, stateward.SeverityWarning, words(a)
			c.Message = fmt.Sprintf("%s is gone (%s): what was sent stays, and falls behind", name, c.Old)
			d.add(c)
		case a != nil && b != nil && words(a) != words(b):
			c.Effect, c.Severity, c.Old, c.New = Changed, stateward.SeverityWarning, words(a), words(b)
			c.Message = fmt.Sprintf("%s sends %s from now on, and sent %s: the first time all of it", name, c.New, c.Old)
			d.add(c)
		}
	}
}
