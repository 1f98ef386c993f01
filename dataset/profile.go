package dataset

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
)

// profilesJSON is data, so that Nix can read it too.
//
//go:embed profiles.json
var profilesJSON []byte

// Profile says which properties suit one kind of workload, and why.
type Profile struct {
	Name string `json:"name"`
	// For says what lies on such a dataset.
	For string `json:"for"`
	// Extends is the profile whose properties it has as well, where it has none of that name.
	Extends string `json:"extends,omitempty"`
	// Properties are in the order of their names, those of Extends among them.
	Properties []ProfileProperty `json:"properties"`
	// Notes are what no property says.
	Notes []string `json:"notes,omitempty"`
	// Misfit is from where on another recordsize is a fault; nil where any does.
	Misfit *Misfit `json:"misfit,omitempty"`
}

// ProfileProperty is a property of a profile with its reason.
type ProfileProperty struct {
	Property string `json:"property"`
	Value    string `json:"value"`
	Reason   string `json:"reason"`
	// Source is the documentation that the reason is from.
	Source string `json:"source"`
}

// Misfit bounds the recordsize that still does. Both bounds are sizes as zfs writes them; an empty one bounds nothing.
type Misfit struct {
	// Above is the largest that still does.
	Above string `json:"above,omitempty"`
	// Below is the smallest that still does.
	Below string `json:"below,omitempty"`
	// Effect is what happens beyond.
	Effect string `json:"effect"`
}

var profiles = mustProfiles(profilesJSON)

// Profiles are all workload profiles, the general one first.
func Profiles() []Profile {
	out := slices.Clone(profiles)
	for i := range out {
		out[i].Properties = slices.Clone(out[i].Properties)
		out[i].Notes = slices.Clone(out[i].Notes)
	}
	return out
}

// ProfilesJSON is the data that [Profiles] are read from.
func ProfilesJSON() []byte { return bytes.Clone(profilesJSON) }

// LookupProfile finds a profile by its name.
func LookupProfile(name string) (Profile, bool) {
	i := slices.IndexFunc(profiles, func(p Profile) bool { return p.Name == name })
	if i < 0 {
		return Profile{}, false
	}
	return Profiles()[i], true
}

// ProfileNames are the names of all profiles, in their order.
func ProfileNames() []string {
	var names []string
	for _, p := range profiles {
		names = append(names, p.Name)
	}
	return names
}

// Settings are the properties of a profile, in the order of their names.
func (p Profile) Settings() []Setting {
	var out []Setting
	for _, pp := range p.Properties {
		if s, err := ParseSetting(pp.Property, pp.Value, Filesystem); err == nil {
			out = append(out, s)
		}
	}
	return out
}

// Misfits tells whether a recordsize in bytes is one with which the workload does badly, and says what happens then.
func (p Profile) Misfits(recordsize Size) (effect string, misfits bool) {
	if p.Misfit == nil {
		return "", false
	}
	above, _ := ParseSize(p.Misfit.Above)
	below, _ := ParseSize(p.Misfit.Below)
	return p.Misfit.Effect, above > 0 && recordsize > above || below > 0 && recordsize < below
}

// mustProfiles reads what is compiled in, of which tests know that it is sound.
func mustProfiles(data []byte) []Profile {
	var list []Profile
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&list); err != nil {
		panic(fmt.Sprintf("profiles.json: %v", err))
	}
	for i := range list {
		p := &list[i]
		for _, base := range list[:i] {
			if base.Name != p.Extends {
				continue
			}
			for _, pp := range base.Properties {
				if !slices.ContainsFunc(p.Properties, func(own ProfileProperty) bool { return own.Property == pp.Property }) {
					p.Properties = append(p.Properties, pp)
				}
			}
		}
		slices.SortStableFunc(p.Properties, func(a, b ProfileProperty) int {
			switch {
			case a.Property < b.Property:
				return -1
			case a.Property > b.Property:
				return 1
			}
			return 0
		})
	}
	return list
}
