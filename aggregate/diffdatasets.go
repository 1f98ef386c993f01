package aggregate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

// declared are the datasets that a configuration wants, by name, and what is wrong with those that cannot be planned: these are declared all the same.
func (s *diffSide) declared() (wanted map[string]dataset.Wanted, faults map[string]string) {
	wanted, faults = map[string]dataset.Wanted{}, map[string]string{}
	desired, list := dataset.NewDesired(s.Host)
	for _, w := range desired.Datasets {
		if !w.Implicit {
			wanted[w.Name.String()] = w
		}
	}
	for _, f := range list {
		if had, twice := faults[f.Dataset]; !twice || f.Message < had {
			faults[f.Dataset] = f.Message
		}
	}
	return wanted, faults
}

// faultOf says what is wrong with a dataset, or with one that it lies in; empty where nothing is.
func faultOf(faults map[string]string, name string) string {
	for {
		if why, is := faults[name]; is {
			return why
		}
		i := strings.LastIndexByte(name, '/')
		if i < 0 {
			return ""
		}
		name = name[:i]
	}
}

// datasets compares those that are declared.
func (d *differ) datasets() {
	oldKnown, newKnown := d.whole(AboutDataset, "the declared datasets", d.old.Host.Datasets.Why, d.new.Host.Datasets.Why)
	// Services have datasets too.
	oldKnown, newKnown = oldKnown && !d.old.Host.Services.IsUnknown(), newKnown && !d.new.Host.Services.IsUnknown()
	old, oldFaults := d.old.declared()
	new, newFaults := d.new.declared()
	names := maps.Clone(old)
	maps.Copy(names, new)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, had := old[name]
		b, has := new[name]
		c := Change{Kind: AboutDataset, Effect: Changed, Subject: name}
		switch {
		case !had && !oldKnown, !has && !newKnown:
		case !had && faultOf(oldFaults, name) != "":
			c.Effect, c.Old, c.New = NowKnown, "unknown", datasetWords(b)
			c.Message = fmt.Sprintf("what is declared of dataset %s can be planned now (%s)", name, c.New)
			d.add(c)
		case !has && faultOf(newFaults, name) != "":
			c.Effect, c.Severity, c.Old, c.New = NotKnown, stateward.SeverityWarning, datasetWords(a), "unknown"
			c.Message = fmt.Sprintf("what is declared of dataset %s cannot be planned any more: %s", name, faultOf(newFaults, name))
			d.add(c)
		case !had:
			c.New = datasetWords(b)
			c.Message = fmt.Sprintf("dataset %s will be created (%s)", name, c.New)
			if b.Role == dataset.Foreign {
				c.Message = fmt.Sprintf("dataset %s is declared from now on (%s), for somebody else to make", name, c.New)
			}
			d.add(c)
		case !has:
			c.Old = datasetWords(a)
			c.Message = fmt.Sprintf("dataset %s is not declared any more (%s): nothing destroys it, and nothing mounts, sets or looks after it from now on", name, c.Old)
			d.add(c)
		default:
			d.dataset(a, b)
		}
	}
}

func datasetWords(w dataset.Wanted) string {
	var parts []string
	if m, ok := w.Setting("mountpoint"); ok {
		parts = append(parts, "mounted at "+m.Text())
	}
	for _, s := range w.Settings {
		if s.Name() != "mountpoint" && s.Name() != "canmount" {
			parts = append(parts, s.Name()+"="+s.Text())
		}
	}
	if len(parts) == 0 {
		return string(w.Role)
	}
	return strings.Join(parts, ", ")
}

// dataset compares two declarations of one dataset.
func (d *differ) dataset(a, b dataset.Wanted) {
	name := a.Name.String()
	settings := map[string]bool{}
	for _, s := range slices.Concat(a.Settings, b.Settings) {
		settings[s.Name()] = true
	}
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		x, had := a.Setting(key)
		y, has := b.Setting(key)
		if had == has && x.Value() == y.Value() {
			continue
		}
		c := Change{Kind: AboutDataset, Effect: Changed, Subject: name + " " + key, Old: x.Text(), New: y.Text()}
		property, _ := dataset.LookupProperty(key)
		switch {
		case key == "mountpoint" && had && has:
			c.Severity = stateward.SeverityWarning
			c.Message = fmt.Sprintf("dataset %s moves from %s to %s", name, c.Old, c.New)
		case !has:
			c.Message = fmt.Sprintf("%s of dataset %s is not declared any more: it stays %s where it was set", key, name, c.Old)
		case key == "canmount" && c.New != "on" && (!had || c.Old == "on") && b.Role != dataset.Foreign && mounted(a):
			c.Severity, c.Loses = stateward.SeverityError, true
			c.Message = fmt.Sprintf("dataset %s is not mounted any more (canmount=%s): what is in it is not seen where it was", name, c.New)
		case property != nil && property.CreateOnly:
			c.Severity = stateward.SeverityWarning
			c.Message = fmt.Sprintf("%s of dataset %s is to be %s, and was %s: it can only be given when a dataset is made", key, name, c.New, cmp.Or(c.Old, "not declared"))
			c.Hint = "make another dataset with it, and move the data: docs/migrate.md"
		case !had:
			c.Message = fmt.Sprintf("%s of dataset %s is set to %s", key, name, c.New)
		default:
			c.Message = fmt.Sprintf("%s of dataset %s is set to %s, and was %s", key, name, c.New, c.Old)
		}
		d.add(c)
	}
	for _, f := range []struct{ what, old, new string }{
		{"owner", a.Owner.String(), b.Owner.String()}, {"group", a.Group.String(), b.Group.String()}, {"mode", a.Mode.String(), b.Mode.String()},
	} {
		if f.old != f.new {
			d.add(Change{Kind: AboutDataset, Effect: Changed, Subject: name + " " + f.what, Old: f.old, New: f.new,
				Message: fmt.Sprintf("%s of dataset %s is %s from now on, and was %s", f.what, name, orNone(f.new), orNone(f.old))})
		}
	}
}

// mounted tells whether a dataset says where it is mounted.
func mounted(w dataset.Wanted) bool {
	at, ok := w.Setting("mountpoint")
	return ok && strings.HasPrefix(at.Text(), "/")
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
