package aggregate

import (
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

// theJobs are all backup jobs, with what their schedules reach.
func (f *facts) theJobs() []*scheduled[backup.Job] { return f.copies().jobs }

// raw is what a job was read from.
func (f *facts) raw(j *backup.Job) *stateward.Job {
	if f.rawJobs == nil {
		f.rawJobs = backup.RawJobs(f.host)
	}
	for i := range f.rawJobs {
		r := &f.rawJobs[i]
		if r.Origin == j.Origin && r.Name == j.Name {
			return r
		}
	}
	return &stateward.Job{EnvironmentFile: stateward.NotKnown[stateward.FileRef](stateward.Unknown{Subject: j.Origin.Option})}
}

// unitOf is the systemd unit of a job of NixOS' own modules, or of the homelab's; nil where none is seen.
func (f *facts) unitOf(j *backup.Job) *stateward.Unit {
	list := f.host.Units.Or(nil)
	for i := range list {
		name := strings.TrimSuffix(list[i].Name, ".service")
		for _, prefix := range []string{"restic-backups-", "restic-backup-", "borgbackup-job-"} {
			if name == prefix+j.Name {
				return &list[i]
			}
		}
	}
	return nil
}

// started tells whether something that is read starts a unit: a timer of its name, a target, or another unit.
func (f *facts) started(name string) bool {
	base := strings.TrimSuffix(name, ".service")
	for _, t := range f.host.Timers.Or(nil) {
		if strings.TrimSuffix(t.Name, ".timer") == base && t.Enable.Or(true) {
			return true
		}
	}
	for _, u := range f.host.Units.Or(nil) {
		if u.Name == name {
			if len(u.WantedBy.Or(nil)) > 0 || u.WantedBy.IsUnknown() {
				return true
			}
			continue
		}
		for _, v := range []stateward.Value[[]string]{u.Wants, u.Requires, u.BindsTo} {
			if slices.Contains(v.Or(nil), name) || slices.Contains(v.Or(nil), base) {
				return true
			}
		}
	}
	return false
}

// storing are the jobs that surely store a path, under any of its names; asked tells whether those count that are only asked for.
func (f *facts) storing(p stateward.AbsPath, asked bool) []*scheduled[backup.Job] {
	var out []*scheduled[backup.Job]
	c := f.copies()
	l := c.s.lies(p)
	for _, name := range l.paths {
		for q := range name.Ancestors() {
			for _, j := range c.at[q] {
				if j.of.Asked && !asked || slices.Contains(out, j) {
					continue
				}
				if why, ok := c.stored(j, q, name); ok && why == "" {
					out = append(out, j)
				}
			}
		}
	}
	return out
}

// flags reads options as syncoid takes them for zfs send and receive, without dashes: "pw", "u o canmount=off x mountpoint".
func flags(text string) (letters string, values map[string][]string) {
	values = map[string][]string{}
	words := strings.Fields(text)
	for i := 0; i < len(words); i++ {
		for k, c := range strings.TrimLeft(words[i], "-") {
			letters += string(c)
			if !strings.ContainsRune("oxX", c) {
				continue
			}
			rest := strings.TrimLeft(words[i], "-")[k+1:]
			if rest == "" && i+1 < len(words) {
				i++
				rest = words[i]
			}
			values[string(c)] = append(values[string(c)], rest)
			break
		}
	}
	return letters, values
}

// rawReplication is what a replication was read from.
func (f *facts) rawReplication(r *backup.Replication) *stateward.Replication {
	list := f.host.Replications.Or(nil)
	for i := range list {
		if list[i].Origin == r.Origin && list[i].Name == r.Name {
			return &list[i]
		}
	}
	return &stateward.Replication{}
}

// args are the words of a replication's own arguments.
func args(r *stateward.Replication) []string {
	var out []string
	for _, a := range r.ExtraArgs.Or(nil) {
		out = append(out, strings.Fields(a)...)
	}
	return out
}
