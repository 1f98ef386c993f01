// Package table is a dialect made of a table: where services keep state that no unit and no usual option of a
// configuration names, such as /var/lib/tailscale, which only the unit file inside of the package knows.
//
// Each row names an option that switches the service on and either fixed paths or an option that holds them, and
// says where that is known from. docs/state-table.md describes the format.
package table

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

// Name of the built-in table's dialect.
const Name = "table"

// Row says of one service where it keeps state.
type Row struct {
	// Service is the name in findings. Where Option has a "*", one in Service stands for the same name.
	Service string `json:"service" toml:"service"`
	// Enable is the path of the option that switches the service on: a Boolean, or a set or a list that counts
	// where it is not empty. It may be left out where Option has a "*": what is declared there runs.
	Enable string `json:"enable,omitempty" toml:"enable,omitempty"`
	// Unless is the path of an option of the same kind; where it is on, the row does not apply.
	Unless string `json:"unless,omitempty" toml:"unless,omitempty"`
	// Paths are where the state is, absolute.
	Paths []string `json:"paths,omitempty" toml:"paths,omitempty"`
	// Option is the path of an option that holds the place, or a list of places. "*" as a component is every
	// attribute of a set. Either Paths or Option is given. Of a value such as "maildir:/var/mail/%u:INDEX=/var/index"
	// the path behind the scheme counts, up to the component with a "%" or a "$".
	Option string `json:"option,omitempty" toml:"option,omitempty"`
	// Below is the directory that a relative value of Option lies in.
	Below string `json:"below,omitempty" toml:"below,omitempty"`
	// File tells that the places are files.
	File bool `json:"file,omitempty" toml:"file,omitempty"`
	// User, Group and Mode are whom the place belongs to; empty where that is the default or not known.
	User  string `json:"user,omitempty" toml:"user,omitempty"`
	Group string `json:"group,omitempty" toml:"group,omitempty"`
	Mode  string `json:"mode,omitempty" toml:"mode,omitempty"`
	// Perhaps tells that there may be state, depending on how the service is used by hand.
	Perhaps bool `json:"perhaps,omitempty" toml:"perhaps,omitempty"`
	// Source says where this is known from: the module and its option, the unit file of the package.
	Source string `json:"source" toml:"source"`
	// Note is for readers.
	Note string `json:"note,omitempty" toml:"note,omitempty"`
}

// RowError says what is wrong with one row.
type RowError struct {
	// Row counts from 1.
	Row int
	// Service is as the row has it; it may be empty.
	Service string
	// Field is the name of the field in JSON and TOML; empty where the row as a whole is meant.
	Field  string
	Reason string
	Mend   string
}

func (e *RowError) Error() string {
	s := fmt.Sprintf("row %d", e.Row)
	if e.Service != "" {
		s += fmt.Sprintf(" (%s)", e.Service)
	}
	if e.Field != "" {
		s += ": " + e.Field
	}
	return s + ": " + e.Reason
}

// Hint says what to write instead.
func (e *RowError) Hint() string { return e.Mend }

// Parse reads a JSON list of rows. A field that is not known is an error, as is all that [New] refuses. The error
// joins one *[RowError] for each fault, but for text that is no JSON list.
func Parse(text []byte) ([]Row, error) {
	var raw []json.RawMessage
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(&raw); err != nil {
		return nil, fmt.Errorf("expected a JSON list of rows: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("expected a JSON list of rows: there is more behind it")
	}
	rows := make([]Row, len(raw))
	var errs []error
	for i, r := range raw {
		d := json.NewDecoder(bytes.NewReader(r))
		d.DisallowUnknownFields()
		if err := d.Decode(&rows[i]); err != nil {
			errs = append(errs, &RowError{Row: i + 1, Service: rows[i].Service, Reason: strings.TrimPrefix(err.Error(), "json: "),
				Mend: "the fields are service, enable, unless, paths or option, below, file, user, group, mode, perhaps, source, note"})
		}
	}
	if errs == nil {
		errs = check(rows)
	}
	if errs != nil {
		return nil, errors.Join(errs...)
	}
	return rows, nil
}

// New makes a dialect of a table. The name is a Nix identifier, and no other dialect's. The error joins one
// *[RowError] for each fault. The order of rows does not matter.
func New(name string, rows []Row) (dialect.Dialect, error) {
	if !identifier.MatchString(name) {
		return dialect.Dialect{}, fmt.Errorf("name of a table: %q is no identifier", name)
	}
	if errs := check(rows); errs != nil {
		return dialect.Dialect{}, errors.Join(errs...)
	}
	projection := project(rows)
	return dialect.Dialect{Name: name, Projection: projection, Sections: dialect.SectionNames(projection), Decode: decoder(name, rows)}, nil
}

//go:embed table.json
var builtin []byte

var parsed = sync.OnceValue(func() dialect.Dialect {
	rows, err := Parse(builtin)
	if err == nil {
		var d dialect.Dialect
		if d, err = New(Name, rows); err == nil {
			return d
		}
	}
	panic("table.json: " + err.Error())
})

// Builtin is the dialect of the table that is built in.
func Builtin() dialect.Dialect { return parsed() }

// Rows are those of the built-in table.
func Rows() []Row {
	rows, err := Parse(builtin)
	if err != nil {
		panic("table.json: " + err.Error())
	}
	return rows
}

var (
	identifier  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_'-]*$`)
	serviceName = regexp.MustCompile(`^[A-Za-z0-9_@.*+:-]+$`)
)

const (
	optionMend = `write the option's path with dots, such as services.tailscale.enable; "*" alone stands for every name of a set`
	pathMend   = "write an absolute path, such as /var/lib/NAME"
)

// check finds every fault.
func check(rows []Row) []error {
	var errs []error
	seen := map[string]int{}
	parts := map[string]map[string]bool{}
	for i, r := range rows {
		fail := func(field, mend, format string, args ...any) {
			errs = append(errs, &RowError{Row: i + 1, Service: r.Service, Field: field, Reason: fmt.Sprintf(format, args...), Mend: mend})
		}
		option, starsInOption := checkOption(r.Option)
		enable, _ := checkOption(r.Enable)
		unless, _ := checkOption(r.Unless)
		switch {
		case r.Service == "":
			fail("service", "name the service, such as tailscale", "it is missing")
		case !serviceName.MatchString(r.Service) || strings.Count(r.Service, "*") > 1:
			fail("service", "name the service, such as tailscale", "%q is no name", r.Service)
		case strings.Contains(r.Service, "*") && starsInOption != 1:
			fail("service", `leave the "*" out, or write one into option`, `it has a "*", and option has not exactly one`)
		}
		switch {
		case r.Option != "" && len(r.Paths) > 0:
			fail("option", "leave one of the two out, or write two rows", "there are paths too")
		case r.Option == "" && len(r.Paths) == 0:
			fail("paths", `write paths = [ "/var/lib/NAME" ], or option with the option that holds them`, "neither paths nor option is given")
		case r.Option != "" && option != "":
			fail("option", optionMend, "%s", option)
		}
		switch {
		case r.Enable == "" && starsInOption == 0:
			fail("enable", "name the option that switches the service on, such as services.tailscale.enable", "it is missing")
		case r.Enable != "" && enable != "":
			fail("enable", optionMend, "%s", enable)
		case r.Unless != "" && unless != "":
			fail("unless", optionMend, "%s", unless)
		case strings.Contains(r.Unless, "*"):
			fail("unless", "name one option", `it has a "*"`)
		case r.Enable != "" && !sharesStars(r.Enable, r.Option):
			fail("enable", `let both begin alike up to the last "*" of enable, as in services.x.servers.*.enable and services.x.servers.*.dir`, `its "*" is not one of option`)
		}
		for _, o := range []struct{ field, path, fault string }{{"enable", r.Enable, enable}, {"unless", r.Unless, unless}, {"option", r.Option, option}} {
			if o.fault == "" && mixes(parts, o.path) {
				fail(o.field, `name every one, or write "*" in every row`, `option path %q has a "*" where another row has a name`, o.path)
			}
		}
		for _, o := range []struct{ field, path string }{{"enable", r.Enable}, {"unless", r.Unless}} {
			if below := hasNamesBelow(rows, o.path); below != "" {
				fail(o.field, "name the option that switches the service on", "option path %q holds %s of another row", o.path, below)
			}
		}
		for j, p := range r.Paths {
			checkPath(p, func(reason string) { fail(fmt.Sprintf("paths[%d]", j), pathMend, "%s", reason) })
		}
		if r.Below != "" {
			if r.Option == "" {
				fail("below", "leave it out: it is for relative values of option", "there is no option")
			}
			checkPath(r.Below, func(reason string) { fail("below", pathMend, "%s", reason) })
		}
		for _, o := range []struct{ field, text string }{{"user", r.User}, {"group", r.Group}} {
			if o.text == "" {
				continue
			}
			if _, err := stateward.ParseOwner(o.text); err != nil {
				fail(o.field, "write the name of a user or group, or its number", "%s", err)
			}
		}
		if r.Mode != "" {
			if _, err := stateward.ParseMode(r.Mode); err != nil {
				fail("mode", "write four octal digits, such as 0750", "%s", err)
			}
		}
		if strings.TrimSpace(r.Source) == "" {
			fail("source", "say where this is known from, such as the module's path or the address of the unit file", "it is missing")
		}
		key := strings.Join(append([]string{r.Service, r.Enable, r.Unless, r.Option}, r.Paths...), "\x00")
		if first, ok := seen[key]; ok {
			fail("", "drop one of the two", "it repeats row %d", first)
		} else {
			seen[key] = i + 1
		}
	}
	return errs
}

func checkPath(text string, fail func(string)) {
	p, err := stateward.ParsePath(text)
	switch {
	case err != nil:
		fail(err.Error())
	case p.String() != text:
		fail(fmt.Sprintf("path %q is spelt otherwise than %s", text, p))
	case p == stateward.Root:
		fail("path / is no place of one service")
	}
}

// checkOption says what is wrong with an option path, and how many "*" it has.
func checkOption(path string) (fault string, stars int) {
	if path == "" {
		return "", 0
	}
	parts, err := dialect.SplitPath(path)
	if err != nil {
		return err.Error(), 0
	}
	for i, c := range parts {
		switch {
		case c == "*":
			stars++
			if i == 0 {
				fault = fmt.Sprintf(`option path %q begins with "*"`, path)
			}
		case !identifier.MatchString(c):
			fault = fmt.Sprintf("option path %q: %q is no identifier", path, c)
		}
	}
	switch {
	case fault != "":
	case len(parts) < 2:
		fault = fmt.Sprintf("option path %q has one component only", path)
	case parts[len(parts)-1] == "*":
		fault = fmt.Sprintf(`option path %q ends in "*"`, path)
	}
	return fault, stars
}

// sharesStars tells whether every "*" of enable is one of option.
func sharesStars(enable, option string) bool {
	e, _ := dialect.SplitPath(enable)
	o, _ := dialect.SplitPath(option)
	last := -1
	for i, c := range e {
		if c == "*" {
			last = i
		}
	}
	return last < 0 || len(o) > last && slices.Equal(e[:last+1], o[:last+1])
}

// mixes notes the components of an option path, and tells whether one place has both a "*" and a name.
func mixes(seen map[string]map[string]bool, option string) bool {
	above, mixed := "", false
	for _, c := range split(option) {
		if seen[above] == nil {
			seen[above] = map[string]bool{}
		}
		seen[above][c] = true
		mixed = mixed || seen[above]["*"] && len(seen[above]) > 1
		above += "." + c
	}
	return mixed
}

// hasNamesBelow finds an option of the rows that lies below an option that switches something on. Below a "*" any may.
func hasNamesBelow(rows []Row, switches string) string {
	if switches == "" {
		return ""
	}
	for _, r := range rows {
		for _, o := range []string{r.Enable, r.Unless, r.Option} {
			if rest, ok := strings.CutPrefix(o, switches+"."); ok && !strings.HasPrefix(rest, "*") {
				return o
			}
		}
	}
	return ""
}
