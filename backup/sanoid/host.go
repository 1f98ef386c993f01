package sanoid

import (
	"errors"
	"maps"
	"slices"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
)

// FromHost is what a host declares for sanoid, and why some of it cannot be written: a value that is not known, a key that sanoid does
// not have. With a fault the configuration lacks that, and must not be taken for the whole.
func FromHost(h *stateward.Host) (*Config, []backup.Fault) {
	var faults []backup.Fault
	fault := func(subject string, o stateward.Origin, err error) {
		faults = append(faults, backup.Fault{Subject: subject, Origin: o, Err: err})
	}
	unknown := func(subject string, why stateward.Unknown) {
		fault(subject, stateward.Origin{Option: why.Subject, File: why.File, Line: why.Line}, errors.New(why.String()))
	}
	settings := func(subject string, raw *stateward.SnapshotPolicy) Settings {
		out := Settings{}
		for _, k := range slices.Sorted(maps.Keys(raw.Settings)) {
			v := raw.Settings[k]
			if why, is := v.Why(); is {
				unknown(subject, why)
			} else if text, ok := v.Get(); ok {
				if err := out.Set(k, text); err != nil {
					fault(subject, v.Origin(), err)
				}
			}
		}
		return out
	}
	c := &Config{}
	for _, v := range []stateward.Value[[]stateward.SnapshotPolicy]{h.SnapshotTemplates, h.Snapshots} {
		if why, is := v.Why(); is {
			unknown("sanoid", why)
		}
	}
	for _, raw := range h.SnapshotTemplates.Or(nil) {
		c.Templates = append(c.Templates, Template{raw.Name, settings("snapshot template "+raw.Name, &raw)})
	}
	for _, raw := range h.Snapshots.Or(nil) {
		subject := "snapshot policy of " + raw.Name
		d := Dataset{Name: raw.Name, UseTemplate: raw.Templates.Or(nil), Settings: settings(subject, &raw)}
		if why, is := raw.Templates.Why(); is {
			unknown(subject, why)
		}
		switch way := raw.Recursive.Or("no"); way {
		case "yes", "true":
			d.Recursive = RecursiveYes
		case "zfs":
			d.Recursive = RecursiveZFS
		case "no", "false":
		default:
			fault(subject, raw.Recursive.Origin(), &SettingError{Key: "recursive", Value: way, Reason: "is none of yes, no and zfs"})
		}
		if why, is := raw.Recursive.Why(); is {
			unknown(subject, why)
		}
		c.Datasets = append(c.Datasets, d)
	}
	slices.SortFunc(c.Templates, func(a, b Template) int { return compareNames(a.Name, b.Name) })
	c.Datasets = c.sorted()
	slices.SortFunc(faults, backup.CompareFaults)
	return c, faults
}

// Interval is when sanoid runs, as `services.sanoid.interval` has it; empty where that is not known, or differs from one dataset to the next.
func Interval(h *stateward.Host) string {
	found := ""
	for _, raw := range h.Snapshots.Or(nil) {
		list, ok := raw.Schedule.Get()
		if !ok || len(list) != 1 || found != "" && found != list[0] {
			return ""
		}
		found = list[0]
	}
	return found
}
