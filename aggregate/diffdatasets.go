package aggregate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/dataset"
)

// declared are the datasets that a configuration wants, by name.
func (s *diffSide) declared() map[string]dataset.Wanted {
	out := map[string]dataset.Wanted{}
	desired, _ := dataset.NewDesired(s.Host)
	for _, w := range desired.Datasets {
		if !w.Implicit {
			out[w.Name.String()] = w
		}
	}
	return out
}

// datasets compares those that are declared.
func (d *differ) datasets() {
	oldKnown, newKnown := d.whole(AboutDataset, "the declared datasets", d.old.Host.Datasets.Why, d.new.Host.Datasets.Why)
	// Services have datasets too.
	oldKnown, newKnown = oldKnown && !d.old.Host.Services.IsUnknown(), newKnown && !d.new.Host.Services.IsUnknown()
	old, new := d.old.declared(), d.new.declared()
	names := maps.Clone(old)
	maps.Copy(names, new)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		a, had := old[name]
		b, has := new[name]
		c := Change{Kind: AboutDataset, Effect: Changed, Subject: name}
		switch {
		case !had && !oldKnown, !has && !newKnown:
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
		case property != nil && property.CreateOnly && had:
			c.Severity = stateward.SeverityWarning
			c.Message = fmt.Sprintf("%s of dataset %s is to be %s, and was %s: it can only be given when a dataset is made", key, name, c.New, c.Old)
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

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
