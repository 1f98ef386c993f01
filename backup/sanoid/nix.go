package sanoid

import (
	"strconv"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/internal/syntax/nix"
)

// Nix is the value of `services.sanoid` of NixOS, indented by depth levels, as [Config.NixSettings] has it.
func (c *Config) Nix(interval string, depth int, zones stateward.Zones) (string, error) {
	s, err := c.NixSettings(interval, zones)
	if err != nil {
		return "", err
	}
	return nix.Write(s, depth)
}

// NixSettings is the value of `services.sanoid` of NixOS: that of [Config.Explicit]. interval is the calendar event at which sanoid runs; the most frequent type that is taken should
// be no more frequent. zones knows the time zones that it may name.
func (c *Config) NixSettings(interval string, zones stateward.Zones) (nix.Settings, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if _, err := backup.ParseCalendar(interval, zones); err != nil {
		return nil, err
	}
	full := c.Explicit()
	templates, datasets := nix.Settings{}, nix.Settings{}
	for _, t := range full.Templates {
		set, err := attrs(nil, t.Settings)
		if err != nil {
			return nil, err
		}
		templates = append(templates, nix.Attr{Name: t.Name, Value: set})
	}
	for _, d := range full.Datasets {
		set := nix.Set{}
		if len(d.UseTemplate) > 0 {
			set = append(set, nix.Attr{Name: "use_template", Value: words(d.UseTemplate)})
		}
		switch d.Recursive {
		case RecursiveZFS:
			set = append(set, nix.Attr{Name: "recursive", Value: "zfs"})
		default:
			set = append(set, nix.Attr{Name: "recursive", Value: d.Recursive == RecursiveYes})
		}
		set, err := attrs(set, d.Settings)
		if err != nil {
			return nil, err
		}
		datasets = append(datasets, nix.Attr{Name: d.Name, Value: set})
	}
	out := nix.Settings{{Name: "enable", Value: true}, {Name: "interval", Value: interval}}
	if len(templates) > 0 {
		out = append(out, nix.Attr{Name: "templates", Value: templates})
	}
	return append(out, nix.Attr{Name: "datasets", Value: datasets}), nil
}

func words(list []string) nix.List {
	var out nix.List
	for _, w := range list {
		out = append(out, w)
	}
	return out
}

func attrs(set nix.Set, s Settings) (nix.Set, error) {
	for _, k := range keys {
		value, ok := s[k.name]
		if !ok {
			continue
		}
		text, err := k.canonical(value)
		if err != nil {
			return nil, err
		}
		var v any = text
		switch k.kind {
		case flag:
			v = text == "yes"
		case number, bounded:
			if v, err = strconv.Atoi(text); err != nil {
				return nil, err
			}
		}
		set = append(set, nix.Attr{Name: k.name, Value: v})
	}
	return set, nil
}
