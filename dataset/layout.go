package dataset

import (
	"errors"
	"fmt"
	"slices"

	"github.com/stateward/stateward"
)

// Layout says where the datasets of services lie, and where they are mounted.
type Layout struct {
	// Parent is the dataset that holds them. It is a container only, unless something else makes and mounts it.
	Parent Name
	// ParentMount is the directory below which they are mounted by their own names; unset where each is mounted where its
	// service expects it.
	ParentMount stateward.AbsPath
}

// DefaultLayout is the one for hosts that say nothing: `rpool/safe/persist` where all is on one disk, so that what is backed
// up as a whole holds the services too, and `tank/services` where there are disks for data.
func DefaultLayout(multiDisk bool) Layout {
	if multiDisk {
		return Layout{Parent: MustName("tank/services")}
	}
	return Layout{Parent: MustName("rpool/safe/persist")}
}

// Service is the dataset of a service. It is mounted at the place that is given: a path, "none" or "legacy"; else, where that is
// empty, at ParentMount/NAME, and without a ParentMount at /var/lib/NAME, as the file system hierarchy has it. The error is
// a *[NameError], a *[PropertyError] or a *[stateward.PathError].
func (l Layout) Service(name, at string, settings ...Setting) (Wanted, error) {
	dataset, err := l.Parent.Child(name)
	if err != nil {
		return Wanted{}, err
	}
	if at == "" {
		above := l.ParentMount
		if above.IsZero() {
			above = stateward.MustPath("/var/lib")
		}
		path, ok := above.Join(name)
		if !ok {
			return Wanted{}, &NameError{name, "is no name of a directory"}
		}
		at = path.String()
	}
	w, err := At(dataset, at, settings...)
	if err != nil {
		return Wanted{}, err
	}
	w.Role, w.Services = Service, []string{name}
	return w, nil
}

// At is a dataset by its full name, mounted at a path, "none" or "legacy", with these properties.
func At(name Name, at string, settings ...Setting) (Wanted, error) {
	mount, err := ParseSetting("mountpoint", at, Filesystem)
	if err != nil {
		return Wanted{}, err
	}
	w := Wanted{Name: name, Role: Utility}
	for _, s := range append([]Setting{mount}, settings...) {
		if old, twice := w.Setting(s.name); twice && old != s {
			return Wanted{}, &PropertyError{Property: s.name, Value: s.value, Reason: fmt.Sprintf("contradicts %s", old), hint: "give it once"}
		} else if !twice {
			w.Settings = append(w.Settings, s)
		}
	}
	slices.SortFunc(w.Settings, CompareSetting)
	for _, p := range settingProblems(&w) {
		return Wanted{}, &PropertyError{Property: p.property, Reason: "is refused: " + p.message, hint: p.hint}
	}
	return w, nil
}

// ContainerOf is a dataset that only holds others.
func ContainerOf(name Name) (Wanted, error) {
	if name.IsZero() {
		return Wanted{}, errors.New("a container needs a name")
	}
	return Wanted{Name: name, Role: Container, Settings: []Setting{{"canmount", "off"}, {"mountpoint", "none"}}}, nil
}
