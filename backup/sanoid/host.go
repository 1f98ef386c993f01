package sanoid

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/internal/syntax/nix"
)

// UnknownPolicyError is a policy that is neither a preset nor a template of sanoid.
type UnknownPolicyError struct{ Name string }

func (e *UnknownPolicyError) Error() string { return fmt.Sprintf("no policy is named %q", e.Name) }

// Hint says which there are.
func (e *UnknownPolicyError) Hint() string {
	return "production and services are there, and every template of services.sanoid.templates"
}

// FromHost is what a host declares for sanoid, with what its services ask for and nothing does yet, and why some of it cannot be written: a value that is not known, a key that sanoid does
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
	if why, is := h.Datasets.Why(); is { // what is asked for is among them
		unknown("datasets", why)
	}
	for _, d := range h.Datasets.Or(nil) {
		subject := "snapshots of " + d.Name
		name, ok := d.SnapshotPolicy.Get()
		if why, is := d.SnapshotPolicy.Why(); is {
			unknown(subject, why)
		}
		if !ok || slices.ContainsFunc(c.Datasets, func(own Dataset) bool { return own.Name == d.Name }) {
			continue
		}
		if !slices.ContainsFunc(c.Templates, func(t Template) bool { return t.Name == name }) {
			preset, ok := Presets()[name]
			if !ok {
				fault(subject, d.SnapshotPolicy.Origin(), &UnknownPolicyError{name})
				continue
			}
			c.Templates = append(c.Templates, Template{name, preset})
		}
		c.Datasets = append(c.Datasets, Dataset{Name: d.Name, UseTemplate: []string{name}})
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

// WhenSent is when a replication runs, or is asked to.
func WhenSent(h *stateward.Host, r Replication) stateward.Value[[]string] {
	for _, raw := range h.Replications.Or(nil) {
		if raw.Name == r.Name && raw.Target.Or("") == r.Target.String() {
			return raw.Schedule
		}
	}
	for _, d := range h.Datasets.Or(nil) {
		for _, a := range d.Replicate {
			if d.Name == r.Source.Dataset && a.Target.Or("") == r.Target.String() {
				return a.Schedule
			}
		}
	}
	return stateward.Value[[]string]{}
}

// ReplicationsFromHost are what a host declares for syncoid, as we would have it run: never with a rollback, and bookmarked. The faults
// say which of them cannot be written.
func ReplicationsFromHost(h *stateward.Host) ([]Replication, []backup.Fault) {
	declared, _ := backup.Replications(h)
	raws := map[string]*stateward.Replication{}
	for _, r := range h.Replications.Or(nil) {
		raws[r.Name] = &r
	}
	volumes := map[string]bool{}
	for _, d := range h.Datasets.Or(nil) {
		volumes[d.Name] = d.Type.Or("") == "volume"
	}
	var faults []backup.Fault
	for _, x := range []struct {
		subject string
		why     func() (stateward.Unknown, bool)
	}{{"syncoid", h.Replications.Why}, {"datasets", h.Datasets.Why}} { // which are volumes, and what is asked for, is among these
		if why, is := x.why(); is {
			faults = append(faults, backup.Fault{Subject: x.subject, Origin: stateward.Origin{Option: why.Subject, File: why.File, Line: why.Line}, Err: errors.New(why.String())})
		}
	}
	units := map[string]string{} // by the name of the unit, which replication it is of
	var out []Replication
	for _, d := range declared {
		raw := raws[d.Name]
		fault := func(err error) {
			faults = append(faults, backup.Fault{Subject: d.String(), Origin: d.Origin, Err: err})
		}
		r := Replication{Name: d.Name, Recursive: d.Recursive.Or(false), Raw: d.Raw.Or(false)}
		sound := true
		for _, e := range []struct {
			v stateward.Value[string]
			p *End
		}{{raw.Source, &r.Source}, {raw.Target, &r.Target}} {
			why, is := e.v.Why()
			text, ok := e.v.Get()
			var err error
			switch {
			case is:
				err = errors.New(why.String())
			case !ok:
				err = errors.New("it has no " + map[bool]string{true: "source", false: "target"}[e.p == &r.Source])
			default:
				*e.p, err = ParseEnd(text)
			}
			if err != nil {
				sound = false
				fault(err)
			}
		}
		for _, v := range []stateward.Value[bool]{d.Recursive, d.Raw} {
			if why, is := v.Why(); is {
				sound = false
				fault(errors.New(why.String()))
			}
		}
		r.Volume = volumes[r.Source.Dataset]
		for name, is := range volumes {
			if is && r.Recursive && len(name) > len(r.Source.Dataset) && name[:len(r.Source.Dataset)+1] == r.Source.Dataset+"/" {
				sound = false
				fault(&ReplicationError{r.Name, "the source", "has the volume " + name + " below it, which has no canmount that could be set", "send the volume by itself, and leave it out with syncoid:sync=false"})
			}
		}
		if sound {
			if err := r.Validate(); err != nil {
				fault(err)
			} else if other, taken := units[r.UnitName()]; taken {
				fault(&ReplicationError{r.Name, "the name", "gives the unit " + r.UnitName() + ", as " + other + " does", "rename one of the two"})
			} else {
				units[r.UnitName()] = r.Name
				out = append(out, r)
			}
		}
	}
	for _, d := range h.Datasets.Or(nil) {
		for _, asked := range d.Replicate {
			subject := fmt.Sprintf("replication of %s", d.Name)
			fault := func(err error) {
				faults = append(faults, backup.Fault{Subject: subject, Origin: asked.Origin, Err: err})
			}
			r := Replication{Name: d.Name, Source: End{Dataset: d.Name}, Volume: d.IsVolume(), Raw: asked.Raw.Or(false), Recursive: asked.Recursive.Or(false),
				SSHKey: asked.SSHKey.Or(""), HostKeys: asked.HostKeys.Or(nil), Limit: asked.Limit.Or("")}
			sound := true
			for _, why := range []func() (stateward.Unknown, bool){asked.Target.Why, asked.SSHKey.Why, asked.HostKeys.Why, asked.Raw.Why, asked.Recursive.Why, asked.Limit.Why} {
				if why, is := why(); is {
					sound = false
					fault(errors.New(why.String()))
				}
			}
			text, ok := asked.Target.Get()
			if !ok && sound {
				sound = false
				fault(&ReplicationError{r.Name, "target", "is missing", `write target = "user@host:pool/dataset"`})
			}
			if !sound {
				continue
			}
			var err error
			if r.Target, err = ParseEnd(text); err != nil {
				fault(err)
				continue
			}
			if i := slices.IndexFunc(out, func(o Replication) bool { return o.Source == r.Source && o.Target == r.Target }); i >= 0 {
				// It is declared: what was planned before does not say by which keys, and how fast.
				o := out[i]
				o.SSHKey, o.Limit = cmp.Or(o.SSHKey, r.SSHKey), cmp.Or(o.Limit, r.Limit)
				if len(r.HostKeys) > 0 && o.KnownHosts == "" {
					o.HostKeys, o.KnownHosts = r.HostKeys, o.knownHostsFile()
				}
				if err := o.Validate(); err != nil {
					fault(err)
				} else {
					out[i] = o
				}
				continue
			}
			if asked.Raw.IsAbsent() {
				on, why := encrypted(h, r.Source.Dataset, r.Recursive)
				if why != "" {
					fault(&ReplicationError{r.Name, "raw", "is left open, and whether the source is encrypted is not known: " + why, "write raw = true where it is, or raw = false"})
					continue
				}
				r.Raw = on
			}
			for i := 2; units[r.UnitName()] != ""; i++ {
				r.Name = fmt.Sprintf("%s-%d", d.Name, i)
			}
			if len(r.HostKeys) > 0 {
				r.KnownHosts = r.knownHostsFile()
			}
			if err := r.Validate(); err != nil {
				fault(err)
				continue
			}
			units[r.UnitName()] = r.Name
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b Replication) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(faults, backup.CompareFaults)
	return out, faults
}

// knownHostsFile is where the keys of the host are that are given with the replication.
func (r Replication) knownHostsFile() string {
	return "/etc/stateward/" + strings.TrimPrefix(r.UnitName(), "stateward-") + ".known_hosts"
}

// encrypted tells whether what is sent is declared to be encrypted on the disk, or why that is not known (S7). Of what nothing declares it is not.
func encrypted(h *stateward.Host, source string, recursive bool) (on bool, doubt string) {
	list := h.Datasets.Or(nil)
	property := func(name string) (value stateward.Value[string]) {
		for i := range list {
			if v := list[i].Properties["encryption"]; list[i].Name == name && !v.IsAbsent() {
				return v
			}
		}
		return value
	}
	look := func(v stateward.Value[string]) {
		if why, is := v.Why(); is {
			doubt = why.String()
		} else if v.Or("off") != "off" {
			on = true
		}
	}
	for at := source; at != ""; at = parent(at) {
		if v := property(at); !v.IsAbsent() {
			look(v)
			break // what is above is not inherited then
		}
	}
	for i := range list {
		if recursive && strings.HasPrefix(list[i].Name, source+"/") {
			look(list[i].Properties["encryption"])
		}
	}
	if on {
		return true, ""
	}
	return false, doubt
}

// Unencrypted tells whether a replication that is declared sends in the clear what is declared to be encrypted on the disk, or why that is not known (S7).
func Unencrypted(h *stateward.Host, r *backup.Replication) (is bool, doubt string) {
	source, known := r.Source.Get()
	raw, sure := r.Raw.Get()
	if !known || !source.Here() || sure && raw {
		return false, "" // what is not known of the source is said elsewhere, and what another host encrypts is not declared here
	}
	is, doubt = encrypted(h, source.Dataset, r.Recursive.Or(false))
	if why, unknown := r.Recursive.Why(); unknown && !is {
		if below, more := encrypted(h, source.Dataset, true); below || more != "" {
			doubt = why.String()
		}
	}
	if why, unknown := r.Raw.Why(); is && unknown {
		return false, why.String()
	}
	return is, doubt
}

// HostSettings are services.sanoid and services.syncoid of NixOS, and the keys of the hosts; either is left out where it is empty. zones knows the time zones that interval and every may name.
func HostSettings(c *Config, interval string, list []Replication, every string, zones stateward.Zones) (m nix.Module, err error) {
	if len(c.Datasets) > 0 {
		s, err := c.NixSettings(interval, zones)
		if err != nil {
			return m, err
		}
		m.Add(s, "services", "sanoid")
	}
	if len(list) > 0 {
		s, err := NixSettings(list, every, zones)
		if err != nil {
			return m, err
		}
		m.Add(s, "services", "syncoid")
	}
	var etc nix.Settings
	for _, r := range list {
		if text := r.KnownHostsText(); text != "" {
			etc = append(etc, nix.TextFile(r.KnownHosts, text))
		}
	}
	m.Add(etc, "environment", "etc")
	return m, nil
}

// Module is a module of NixOS with the [HostSettings].
func Module(c *Config, interval string, list []Replication, every string, zones stateward.Zones) (string, error) {
	m, err := HostSettings(c, interval, list, every, zones)
	if err != nil {
		return "", err
	}
	return m.Nix()
}
