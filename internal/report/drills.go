package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/backup/drill"
	"github.com/stateward/stateward/backup/pitr"
)

// drilled is where one job stands with its drills.
type drilled struct {
	Job  string
	Mark mark
	When, Age, Message, Every,
	Passed, Restored, Took string
	Checks []string
}

var verdicts = map[drill.Verdict]mark{
	drill.Passed: {"✓", "passed", "good"}, drill.Failed: {"✕", "failed", "bad"}, drill.Unknown: {"?", "could not tell", "doubt"},
	drill.Refused: {"!", "refused", "warn"}, drill.Interrupted: {"!", "interrupted", "warn"},
}

func (v *hostView) drilled(p Page) {
	records := map[string][]drill.Record{}
	own, _ := v.Declared.HostName.Get()
	judged := p.Judged
	for _, r := range p.Drills {
		if r.Host == v.Name || own != "" && r.Host == own {
			r.Host = v.Name
			records[r.Job] = append(records[r.Job], r)
		}
		// Where nobody says what day it is, all records count and none is old.
		if p.Judged.IsZero() && r.Ended.After(judged) {
			judged = r.Ended
		}
	}
	every, engines, declared := map[string]string{}, map[string]string{}, map[string]bool{}
	jobs, _ := backup.Jobs(v.Declared)
	for _, j := range jobs {
		declared[j.Name], engines[j.Name] = true, j.Engine.Or("")
		if d := j.Drill(); d != nil && d.Every != "" && (&backup.Drill{Every: d.Every}).Validate(nil) == nil {
			every[j.Name] = d.Every
		}
	}
	// A cluster that is archived has drills of its own, by its name.
	clusters, _ := pitr.FromHost(v.Declared, nil)
	for _, c := range clusters {
		if declared[c.Name] {
			continue
		}
		declared[c.Name] = true
		if c.Policy != nil && c.Policy.Drill != nil && c.Policy.Drill.Every > 0 {
			// As its records say it.
			if text, err := c.Policy.Drill.Every.MarshalText(); err == nil {
				every[c.Name] = string(text)
			}
		}
	}
	for name := range declared {
		if _, there := records[name]; !there {
			records[name] = nil
		}
	}
	for _, job := range slices.Sorted(maps.Keys(records)) {
		if p.Drills == nil && every[job] == "" {
			continue
		}
		s := drill.Overdue(v.Name, job, every[job], records[job], judged)
		out := drilled{Job: job, Every: every[job]}
		switch {
		case p.Drills == nil:
			out.Mark = mark{"?", "no records given", "doubt"}
		case s.Newest == nil && engines[job] == "borg":
			out.Mark = mark{"?", "no drills of borg", "doubt"}
			out.Message = "stateward tries no restore of borg: whether it can be restored is not known"
		case s.Newest == nil:
			out.Mark = mark{"✕", "no record", "bad"}
			if out.Every == "" {
				out.Mark.Tone = "warn"
			}
		default:
			r := s.Newest
			m, ok := verdicts[r.Verdict]
			if !ok {
				m = mark{"?", string(r.Verdict), "doubt"}
			}
			out.Mark, out.When, out.Message = m, r.Ended.UTC().Format("2006-01-02 15:04"), r.Message
			if !p.Made.IsZero() {
				out.Age = spell(p.Made.Sub(r.Ended)) + " ago"
			}
			if s.Overdue && !p.Judged.IsZero() {
				out.Mark.Word += ", overdue"
				if m.Tone == "good" {
					out.Mark.Sign, out.Mark.Tone = "!", "warn"
				}
			}
			if !declared[job] {
				out.Mark.Word += ", of no job that is read"
				if m.Tone == "good" {
					out.Mark.Sign, out.Mark.Tone = "?", "doubt"
				}
			}
			out.Every = cmp.Or(out.Every, r.Every)
			if s.Passed != nil {
				out.Passed = s.Passed.Ended.UTC().Format("2006-01-02")
			} else {
				out.Passed = "never"
			}
			if x := r.Restored; x.Files > 0 {
				out.Restored = fmt.Sprintf("%d %s, %s", x.Files, plural(int(x.Files), "file"), size(x.Bytes))
				out.Took = fmt.Sprintf("%.1f s", x.Seconds)
			}
			for _, c := range r.Checks {
				out.Checks = append(out.Checks, c.Name+": "+string(c.Verdict))
			}
		}
		v.Drilled = append(v.Drilled, out)
	}
}

func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f, i = f/1024, i+1
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[i])
}

// cluster is one cluster of PostgreSQL that is to be archived.
type cluster struct {
	Name, To, When, Window, Fewest, Timeout, Drills string
	Faults, Notes                                   []string
	Mark                                            mark
}

func (v *hostView) clusters() {
	list, faults := pitr.FindRunning(v.Declared)
	for _, f := range faults {
		v.PITRFaults = append(v.PITRFaults, f.Message)
	}
	for _, c := range list {
		out := cluster{Name: c.Name, Mark: mark{"✕", "cannot be planned", "bad"}}
		for _, f := range c.Faults {
			out.Faults = append(out.Faults, f.Message)
		}
		for _, f := range c.Notes {
			out.Notes = append(out.Notes, f.Message)
		}
		if p := c.Policy; p != nil {
			out.Mark = runs(v.Declared, c)
			out.To, out.When = p.Destination+", "+p.Server, strings.Join(p.Schedule, ", ")
			if p.Window > 0 {
				out.Window = spell(p.Window.Std())
			}
			if p.Redundancy > 0 {
				out.Fewest = fmt.Sprint(p.Redundancy)
			}
			if p.ArchiveTimeout > 0 {
				out.Timeout = spell(p.ArchiveTimeout.Std())
			}
			if p.Drill != nil {
				out.Drills = "every " + spell(p.Drill.Every.Std())
			}
		}
		v.Clusters = append(v.Clusters, out)
	}
}

// runs is whether a cluster is archived as it is asked for.
func runs(h *stateward.Host, c pitr.Running) mark {
	switch {
	case c.State == pitr.Runs:
		return mark{"•", "planned, and set up", "mute"}
	case c.State == pitr.Stale:
		return mark{"✕", "set up for something else", "bad"}
	case c.State == pitr.NotArchived:
		return mark{"?", "base backups are set up, archiving is not seen", "doubt"}
	case h.Units.IsUnknown() || h.Timers.IsUnknown():
		return mark{"?", "asked for; whether it is set up is not known", "doubt"}
	}
	return mark{"✕", "asked for, and nothing that is read runs it", "bad"}
}
