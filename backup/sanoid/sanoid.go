// Package sanoid writes and reads what sanoid and syncoid (2.2 and 2.3) are told: sanoid.conf, `services.sanoid` and
// `services.syncoid` of NixOS, syncoid's arguments and units, and what an unprivileged user of either must be allowed.
package sanoid

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stateward/stateward/backup"
	"github.com/stateward/stateward/dataset"
)

// Config is what sanoid.conf says.
type Config struct {
	// Templates in order of their names; that called "default" is laid beneath all others.
	Templates []Template
	// Datasets with those above first: sanoid hands the settings of a recursive one to what is below it, and so a section that
	// stands before it would be overridden by it.
	Datasets []Dataset
}

// Template is a section [template_NAME].
type Template struct {
	Name     string
	Settings Settings
}

// Dataset is a section for one dataset.
type Dataset struct {
	// Name is the ZFS name.
	Name string
	// UseTemplate are names of templates; a later one counts.
	UseTemplate []string
	Recursive   Recursion
	Settings    Settings
}

// Recursion tells how datasets below are treated.
type Recursion int

// The ways.
const (
	// RecursiveNo leaves them alone.
	RecursiveNo Recursion = iota
	// RecursiveYes gives each of them the settings, and a snapshot of its own, one after the other.
	RecursiveYes
	// RecursiveZFS takes one snapshot of all at the same moment. Whatever a section below says of autosnap is ignored.
	RecursiveZFS
)

func (r Recursion) String() string {
	switch r {
	case RecursiveNo:
		return "no"
	case RecursiveYes:
		return "yes"
	case RecursiveZFS:
		return "zfs"
	}
	return fmt.Sprintf("Recursion(%d)", int(r))
}

// Settings are values by key, as sanoid spells them; those of [Keys].
type Settings map[string]string

// kind is what a key takes.
type kind int

const (
	number  kind = iota // whole, from 0
	flag                // yes or no
	span                // a whole number with y, w, d, h, m or s, or without
	script              // a command
	bounded             // whole, from least to most
)

type key struct {
	name        string
	kind        kind
	least, most int
	preset      string // of sanoid.defaults.conf
}

// keys are those of sanoid.defaults.conf but for what a Dataset has fields for, in the order in which they are written.
// Their order, kinds and presets mirror sanoid 2.2; those of 2.3 are the same.
var keys = []key{
	{name: "frequently", preset: "0"}, {name: "hourly", preset: "48"}, {name: "daily", preset: "90"}, {name: "weekly", preset: "0"},
	{name: "monthly", preset: "6"}, {name: "yearly", preset: "0"},
	{name: "frequent_period", kind: bounded, least: 1, most: 59, preset: "15"},
	{name: "autosnap", kind: flag, preset: "yes"}, {name: "autoprune", kind: flag, preset: "yes"},
	{name: "prune_defer", kind: bounded, most: 100, preset: "0"},
	{name: "process_children_only", kind: flag}, {name: "skip_children", kind: flag},
	{name: "pre_snapshot_script", kind: script}, {name: "post_snapshot_script", kind: script},
	{name: "pre_pruning_script", kind: script}, {name: "pruning_script", kind: script},
	{name: "script_timeout", preset: "5"}, {name: "no_inconsistent_snapshot", kind: flag}, {name: "force_post_snapshot_script", kind: flag},
	{name: "hourly_min", kind: bounded, most: 59, preset: "0"},
	{name: "daily_hour", kind: bounded, most: 23, preset: "23"}, {name: "daily_min", kind: bounded, most: 59, preset: "59"},
	{name: "weekly_wday", kind: bounded, most: 6, preset: "1"}, {name: "weekly_hour", kind: bounded, most: 23, preset: "23"}, {name: "weekly_min", kind: bounded, most: 59, preset: "30"},
	// A day that a month does not have ends sanoid.
	{name: "monthly_mday", kind: bounded, least: 1, most: 28, preset: "1"}, {name: "monthly_hour", kind: bounded, most: 23, preset: "0"}, {name: "monthly_min", kind: bounded, most: 59, preset: "0"},
	{name: "yearly_mon", kind: bounded, least: 1, most: 12, preset: "1"}, {name: "yearly_mday", kind: bounded, least: 1, most: 28, preset: "1"},
	{name: "yearly_hour", kind: bounded, most: 23, preset: "0"}, {name: "yearly_min", kind: bounded, most: 59, preset: "0"},
	{name: "monitor", kind: flag, preset: "yes"}, {name: "monitor_dont_warn", kind: flag, preset: "no"}, {name: "monitor_dont_crit", kind: flag, preset: "no"},
	{name: "frequently_warn", kind: span, preset: "0"}, {name: "frequently_crit", kind: span, preset: "0"},
	{name: "hourly_warn", kind: span, preset: "90m"}, {name: "hourly_crit", kind: span, preset: "360m"},
	{name: "daily_warn", kind: span, preset: "28h"}, {name: "daily_crit", kind: span, preset: "32h"},
	{name: "weekly_warn", kind: span, preset: "0"}, {name: "weekly_crit", kind: span, preset: "0"},
	{name: "monthly_warn", kind: span, preset: "32d"}, {name: "monthly_crit", kind: span, preset: "40d"},
	{name: "yearly_warn", kind: span, preset: "0"}, {name: "yearly_crit", kind: span, preset: "0"},
	{name: "capacity_warn", kind: bounded, most: 100, preset: "80"}, {name: "capacity_crit", kind: bounded, most: 100, preset: "95"},
}

// explicit are the keys of which none is left to a default (S1): what is kept, and whether anything is taken and pruned at all.
var explicit = []string{"frequently", "hourly", "daily", "weekly", "monthly", "yearly", "autosnap", "autoprune"}

// Keys are the names of all settings, in the order in which they are written.
func Keys() []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = k.name
	}
	return out
}

func keyOf(name string) (key, bool) {
	i := slices.IndexFunc(keys, func(k key) bool { return k.name == name })
	if i < 0 {
		return key{}, false
	}
	return keys[i], true
}

// The words of sanoid, in its spelling: "yEs" is none, and counts as yes all the same.
var (
	yes = []string{"1", "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"}
	no  = []string{"0", "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"}
)

// canonical returns a value as it is written, or why sanoid would not read it as it is meant.
func (k key) canonical(value string) (string, error) {
	if reason := mangled(value); reason != "" {
		return "", errors.New(reason)
	}
	n, err := strconv.ParseUint(value, 10, 24)
	switch k.kind {
	case script:
		return value, nil
	case flag:
		switch {
		case slices.Contains(yes, value):
			return "yes", nil
		case slices.Contains(no, value):
			return "no", nil
		}
		return "", errors.New("is neither yes nor no, and sanoid would take it for yes")
	case span:
		unit := strings.ToLower(strings.TrimLeft(value, "0123456789"))
		if n := strings.TrimRight(value, "ywdhmsYWDHMS"); n == "" || len(unit) > 1 || unit != "" && !strings.Contains("ywdhms", unit) || len(n) > 9 {
			return "", errors.New("is no time span such as 90m, 28h or 32d")
		}
		return strings.ToLower(value), nil
	case number:
		if err != nil {
			return "", errors.New("is no whole number")
		}
	case bounded:
		if err != nil || int(n) < k.least || int(n) > k.most {
			return "", fmt.Errorf("is no whole number from %d to %d", k.least, k.most)
		}
	}
	return strconv.FormatUint(n, 10), nil
}

// mangled says why a value does not come out of sanoid's reader (Config::IniFiles) as it was written.
func mangled(value string) string {
	switch {
	case strings.ContainsFunc(value, func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }):
		return "contains a control character, at which sanoid's reader may end the line"
	case strings.HasPrefix(value, "<<"):
		return "begins with <<, which sanoid's reader takes for a text of several lines"
	case strings.TrimLeft(value, " \t") != value:
		return "begins with a blank, which sanoid's reader drops"
	case strings.TrimRight(value, " \t") != value:
		return "ends with a blank, which sanoid's reader keeps"
	}
	return ""
}

// Set gives a key a value, in its canonical spelling. The error is a *[SettingError].
func (s Settings) Set(name, value string) error {
	k, ok := keyOf(name)
	if !ok {
		return &SettingError{Key: name, Value: value, Reason: "is no key of sanoid", Advice: nearest(name)}
	}
	text, err := k.canonical(value)
	if err != nil {
		return &SettingError{Key: name, Value: value, Reason: err.Error()}
	}
	s[name] = text
	return nil
}

// nearest is advice on a key that there is not.
func nearest(name string) string {
	switch best := near(strings.ToLower(name), append(Keys(), "use_template", "recursive", "path")); {
	case name == "minutely" || name == "frequent":
		return "what comes several times an hour is frequently, and frequent_period says how many minutes lie between two"
	case best != "":
		return "the nearest is " + best
	}
	return ""
}

// SettingError is a setting that sanoid does not have, or would not read as it is written.
type SettingError struct {
	// Section is the dataset's, or "template_NAME".
	Section    string
	Key, Value string
	Reason     string
	Advice     string
}

func (e *SettingError) Error() string {
	at := ""
	if e.Section != "" {
		at = fmt.Sprintf("[%s]: ", e.Section)
	}
	if e.Key == "" {
		return at + e.Reason
	}
	if _, ok := keyOf(e.Key); !ok && e.Key != "use_template" && e.Key != "recursive" {
		return fmt.Sprintf("%s%q %s", at, e.Key, e.Reason)
	}
	return fmt.Sprintf("%s%s is %q, which %s", at, e.Key, e.Value, e.Reason)
}

// Hint says what to write instead; it may be empty.
func (e *SettingError) Hint() string { return e.Advice }

// Production keeps 48 hourly, 30 daily and 3 monthly snapshots.
func Production() Settings { return preset(48, 30, 3) }

// Services keeps 24 hourly and 7 daily snapshots, and no monthly one.
func Services() Settings { return preset(24, 7, 0) }

// Presets are the templates that there are without a definition.
func Presets() map[string]Settings {
	return map[string]Settings{"production": Production(), "services": Services()}
}

func preset(hourly, daily, monthly int) Settings {
	return Settings{"frequently": "0", "hourly": strconv.Itoa(hourly), "daily": strconv.Itoa(daily), "weekly": "0", "monthly": strconv.Itoa(monthly), "yearly": "0",
		"autosnap": "yes", "autoprune": "yes"}
}

// Effective is what holds for one dataset.
type Effective struct {
	Dataset string
	// Settings are all keys that have a value, with where it is from: the dataset of the section, "template_NAME", or empty for a
	// default of sanoid.
	Settings map[string]Effect
}

// Effect is a value and the section that it is from.
type Effect struct{ Value, From string }

// Policy is what is kept.
func (e Effective) Policy() (backup.SanoidPolicy, error) {
	settings := map[string]string{}
	for k, v := range e.Settings {
		settings[k] = v.Value
	}
	p, _, err := backup.ParseSanoidPolicy(settings)
	return p, err
}

// Effective says what sanoid makes of the sections, in the order of the datasets. It mirrors init() of sanoid 2.2: the defaults, or
// what a recursive section above has, then [template_default] unless that was above, then the templates in order, then the section itself.
func (c *Config) Effective() []Effective {
	templates := map[string]Settings{}
	for _, t := range c.Templates {
		templates[t.Name] = t.Settings
	}
	var out []Effective
	datasets := c.sorted()
	places := map[string]int{}
	for i, d := range datasets {
		e := Effective{Dataset: d.Name, Settings: map[string]Effect{}}
		lay := func(s Settings, from string) {
			for k, v := range s {
				e.Settings[k] = Effect{v, from}
			}
		}
		above, whole := -1, -1 // the nearest that hands on its settings, and one that takes the snapshots of all below
		for p := parent(d.Name); p != ""; p = parent(p) {
			j, ok := places[p]
			if !ok || datasets[j].Recursive == RecursiveNo {
				continue
			}
			if above < 0 {
				above = j
			}
			if datasets[j].Recursive == RecursiveZFS {
				whole = j
			}
		}
		places[d.Name] = i
		if above >= 0 {
			maps.Copy(e.Settings, out[above].Settings)
			delete(e.Settings, "process_children_only")
			delete(e.Settings, "skip_children")
		} else {
			for _, k := range keys {
				if k.preset != "" {
					e.Settings[k.name] = Effect{k.preset, ""}
				}
			}
			lay(templates["default"], "template_default")
		}
		for _, name := range d.UseTemplate {
			lay(templates[name], "template_"+name)
		}
		lay(d.Settings, d.Name)
		if whole >= 0 {
			e.Settings["autosnap"] = Effect{"no", datasets[whole].Name}
		}
		out = append(out, e)
	}
	return out
}

// sorted are the datasets, those above first.
func (c *Config) sorted() []Dataset {
	return slices.SortedStableFunc(slices.Values(c.Datasets), func(a, b Dataset) int { return compareNames(a.Name, b.Name) })
}

func parent(name string) string {
	return name[:max(strings.LastIndexByte(name, '/'), 0)]
}

// compareNames puts what is above first.
func compareNames(a, b string) int {
	return slices.Compare(strings.Split(a, "/"), strings.Split(b, "/"))
}

// Explicit is the same configuration with nothing left to a default of sanoid that says what is taken, kept or pruned: what no section
// says is written down where it holds (S1). It is in order.
func (c *Config) Explicit() *Config {
	out := &Config{}
	for _, t := range c.Templates {
		out.Templates = append(out.Templates, Template{t.Name, maps.Clone(t.Settings)})
	}
	slices.SortStableFunc(out.Templates, func(a, b Template) int { return cmp.Compare(a.Name, b.Name) })
	effective := c.Effective()
	for i, d := range c.sorted() {
		d.UseTemplate, d.Settings = slices.Clone(d.UseTemplate), maps.Clone(d.Settings)
		if d.Settings == nil {
			d.Settings = Settings{}
		}
		for _, k := range explicit {
			if e := effective[i].Settings[k]; e.From == "" {
				d.Settings[k] = e.Value
			}
		}
		out.Datasets = append(out.Datasets, d)
	}
	return out
}

// Validate says what sanoid would refuse, mangle or ignore. The errors are *[SettingError], joined.
func (c *Config) Validate() error {
	var errs []error
	check := func(section string, s Settings) {
		for _, k := range slices.Sorted(maps.Keys(s)) {
			var e *SettingError
			if err := (Settings{}).Set(k, s[k]); errors.As(err, &e) {
				e.Section = section
				errs = append(errs, e)
			}
		}
	}
	refuse := func(section, reason string) { errs = append(errs, &SettingError{Section: section, Reason: reason}) }
	templates := map[string]bool{}
	for _, t := range c.Templates {
		section := "template_" + t.Name
		switch {
		case !templateName(t.Name):
			refuse(section, "the name of the template has something else than letters, digits, _, - and .")
		case templates[t.Name]:
			refuse(section, "the template is there twice, and only one can be read")
		}
		templates[t.Name] = true
		check(section, t.Settings)
		if _, ok := t.Settings["skip_children"]; ok {
			refuse(section, "skip_children is not read from a template")
		}
	}
	seen := map[string]bool{}
	for _, d := range c.Datasets {
		if _, err := dataset.ParseName(d.Name); err != nil {
			errs = append(errs, fmt.Errorf("[%s]: %w", d.Name, err))
		} else if strings.HasPrefix(d.Name, "template") {
			refuse(d.Name, "sanoid takes a section whose name begins with template for a template, and no snapshot of that pool")
		}
		if seen[d.Name] {
			refuse(d.Name, "the dataset is there twice, and sanoid would make one of both")
		}
		seen[d.Name] = true
		if d.Recursive < RecursiveNo || d.Recursive > RecursiveZFS {
			refuse(d.Name, d.Recursive.String()+" is no way of recursion")
		}
		for _, name := range d.UseTemplate {
			if !templates[name] {
				errs = append(errs, &SettingError{Section: d.Name, Key: "use_template", Value: name, Reason: "no section defines, and sanoid passes over", Advice: nearestTemplate(name, slices.Sorted(maps.Keys(templates)))})
			}
		}
		check(d.Name, d.Settings)
	}
	if len(c.Templates)+len(c.Datasets) == 0 {
		errs = append(errs, &SettingError{Reason: "there is no section, and sanoid refuses such a file"})
	}
	return errors.Join(errs...)
}

func nearestTemplate(name string, known []string) string {
	if best := near(name, known); best != "" {
		return "the nearest is " + best
	}
	if _, ok := Presets()[name]; ok {
		return "it is a preset of stateward: define it with what that keeps"
	}
	return ""
}

// templateName tells what comes out of a list with commas, and of a section's head, as it went in.
func templateName(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == ""
}
