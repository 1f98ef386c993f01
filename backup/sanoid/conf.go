package sanoid

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/stateward/stateward/dataset"
)

// Render is sanoid.conf: that of [Config.Explicit]. What sanoid would not read as it is meant is refused, see [Config.Validate].
func (c *Config) Render() (string, error) {
	if err := c.Validate(); err != nil {
		return "", err
	}
	var b strings.Builder
	section := func(name string) {
		if b.Len() > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "[%s]\n", name)
	}
	settings := func(s Settings) error {
		for _, k := range keys {
			value, ok := s[k.name]
			if !ok {
				continue
			}
			text, err := k.canonical(value)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, "%s = %s\n", k.name, text)
		}
		return nil
	}
	full := c.Explicit()
	for _, t := range full.Templates {
		section("template_" + t.Name)
		if err := settings(t.Settings); err != nil {
			return "", err
		}
	}
	for _, d := range full.Datasets {
		section(d.Name)
		if len(d.UseTemplate) > 0 {
			fmt.Fprintf(&b, "use_template = %s\n", strings.Join(d.UseTemplate, ","))
		}
		fmt.Fprintf(&b, "recursive = %s\n", d.Recursive)
		if err := settings(d.Settings); err != nil {
			return "", err
		}
	}
	return b.String(), nil
}

// LineError is a line of sanoid.conf that says something else than it seems to, or nothing.
type LineError struct {
	// Line counts from 1.
	Line   int
	Reason string
	Advice string
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Reason) }

// Hint says what to write instead; it may be empty.
func (e *LineError) Hint() string { return e.Advice }

// The patterns of Config::IniFiles 3.0.
var (
	headLine  = regexp.MustCompile(`^\s*\[\s*(\S|\S.*\S)\s*\]\s*$`)
	valueLine = regexp.MustCompile(`^\s*([^=]*?[^=\s])\s*=\s*(.*)$`)
)

// Parse reads sanoid.conf as sanoid does, and in addition says what that passes over in silence: a template that is not there, a
// key that is given twice, a flag that is no word of its own, a section that a recursive one further down overrides. The errors are
// *[LineError], joined; the configuration is complete where there is none.
func Parse(text string) (*Config, error) {
	var errs []error
	c := &Config{}
	line, dos := 0, false
	fault := func(advice, format string, args ...any) {
		errs = append(errs, &LineError{line, fmt.Sprintf(format, args...), advice})
	}
	type place struct {
		line int
		name string
	}
	uses := []place{}
	var here *Settings
	var at *Dataset
	var section string
	heads, seen := map[string]int{}, map[string]int{}
	if text != "" && !strings.Contains(text, "\n") {
		line = 1
		fault("", "no line ends, and sanoid's reader finds nothing")
	}
	line = 0
	for raw := range strings.SplitSeq(text, "\n") {
		line++
		raw, crlf := strings.CutSuffix(raw, "\r")
		if line == 1 {
			dos = crlf
		} else if dos && !crlf && !strings.HasSuffix(text, raw) {
			fault("end every line in the same way", "the line ends otherwise than the first, and sanoid's reader joins it with the next")
		}
		if strings.ContainsFunc(raw, func(r rune) bool { return r < 0x20 && r != '\t' || r == 0x7f }) {
			fault("", "a control character, at which sanoid's reader may end the line")
			continue
		}
		trimmed := strings.Trim(raw, " \t")
		if trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';' {
			continue
		}
		if m := headLine.FindStringSubmatch(raw); m != nil {
			section, here, at = m[1], nil, nil
			if first := heads[section]; first > 0 {
				fault("put both into one", "section [%s] is there already, in line %d, and sanoid makes one of both", section, first)
				section = ""
				here = &Settings{} // its lines are still looked at
				continue
			}
			heads[section] = line
			if name, ok := strings.CutPrefix(section, "template_"); ok {
				if !templateName(name) {
					fault("", "the name of template %q has something else than letters, digits, _, - and .", name)
				}
				c.Templates = append(c.Templates, Template{name, Settings{}})
				here = &c.Templates[len(c.Templates)-1].Settings
				continue
			}
			if _, err := dataset.ParseName(section); err != nil {
				hint := ""
				if h, ok := err.(interface{ Hint() string }); ok {
					hint = h.Hint()
				}
				fault(hint, "%v", err)
			} else if strings.HasPrefix(section, "template") {
				fault("a template is [template_NAME]", "sanoid takes no snapshots of a section whose name begins with template")
			}
			c.Datasets = append(c.Datasets, Dataset{Name: section, Settings: Settings{}})
			at = &c.Datasets[len(c.Datasets)-1]
			here = &at.Settings
			continue
		}
		m := valueLine.FindStringSubmatch(raw)
		switch {
		case m == nil:
			fault("", "neither a section nor a key with a value: %q", trimmed)
			continue
		case here == nil:
			fault("begin with [DATASET]", "%s stands before the first section", m[1])
			continue
		}
		name, value := m[1], m[2]
		if first := seen[section+"\x00"+name]; first > 0 {
			fault("", "%s is there already, in line %d, which counts", name, first)
			continue
		}
		seen[section+"\x00"+name] = line
		if reason := mangled(value); reason != "" {
			fault("", "%s is %q, which %s", name, value, reason)
			continue
		}
		inTemplate := at == nil && section != ""
		switch name {
		case "use_template", "recursive":
			switch {
			case inTemplate:
				fault("", "%s is not read from a template", name)
			case at == nil:
			case name == "use_template":
				for one := range strings.SplitSeq(value, ",") {
					one = strings.TrimRight(strings.Trim(one, " "), "\t")
					if one == "" {
						continue
					}
					at.UseTemplate = append(at.UseTemplate, one)
					uses = append(uses, place{line, one})
				}
			case slices.Contains(yes, value):
				at.Recursive = RecursiveYes
			case slices.Contains(no, value), value == "":
			case strings.Contains(strings.ToLower(value), "zfs"):
				at.Recursive = RecursiveZFS
			default:
				fault("", "recursive is %q, which is none of yes, no and zfs, and counts as no", value)
			}
			continue
		case "path":
			if value != section {
				fault("name the section after the dataset", "path %q differs from the section, which is not supported", value)
			}
			continue
		case "skip_children":
			if inTemplate {
				fault("", "%s is not read from a template", name)
				continue
			}
		}
		var e *SettingError
		if err := here.Set(name, value); errors.As(err, &e) {
			advice := e.Advice
			if word, _, found := strings.Cut(value, "#"); found && !strings.Contains(name, "script") && strings.TrimSpace(word) != "" {
				advice = "a comment stands in a line of its own"
			}
			fault(advice, "%v", e)
		}
	}
	line = 0
	names := []string{}
	for _, t := range c.Templates {
		names = append(names, t.Name)
	}
	for _, u := range uses {
		if heads["template_"+u.name] == 0 {
			line = u.line
			fault(nearestTemplate(u.name, names), "no section is called template_%s, and sanoid passes over it", u.name)
		}
	}
	recursive := map[string]bool{}
	for _, d := range c.Datasets {
		recursive[d.Name] = d.Recursive != RecursiveNo
	}
	for _, d := range c.Datasets {
		for above := parent(d.Name); above != ""; above = parent(above) {
			if recursive[above] && heads[above] > heads[d.Name] {
				line = heads[d.Name]
				fault(fmt.Sprintf("put [%s] first", above), "[%s] stands before [%s], whose recursion overrides it", d.Name, above)
			}
		}
	}
	if len(heads) == 0 && len(errs) == 0 {
		line = 1
		fault("", "there is no section, and sanoid refuses such a file")
	}
	slices.SortStableFunc(errs, func(a, b error) int { return a.(*LineError).Line - b.(*LineError).Line })
	if len(errs) > 0 {
		return c, errors.Join(errs...)
	}
	return c, nil
}
