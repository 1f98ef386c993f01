package cli

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/aggregate"
	"github.com/stateward/stateward/internal/text"
	"github.com/stateward/stateward/nixbridge"
	"github.com/stateward/stateward/nixbridge/dialect"
	"github.com/stateward/stateward/nixbridge/dialect/own"
	"github.com/stateward/stateward/nixbridge/dialect/table"
)

// configName is the file that is looked for beside a source.
const configName = "stateward.toml"

// configuration is what stateward.toml says. The zero configuration says nothing.
type configuration struct {
	// name is the file as it is printed; empty where there is none.
	name      string
	threshold string
	include   []string
	exclude   []string
	acks      []stateward.Acknowledgement
	// dialect reads what the rows of [[state]] name; nil where there are none.
	dialect *dialect.Dialect
	// files are those of the user's own dialects as the file names them, from its folder; own are they and those of --dialect.
	files []configFileName
	own   []dialect.Dialect
	// templates are folders of the user's own templates, as the file names them.
	templates []configFileName
}

// configFileName is a file that a configuration file names, and where.
type configFileName struct {
	file         string
	line, column int
}

// dialects are all that hosts are read with.
func (c *configuration) dialects() []dialect.Dialect {
	out := nixbridge.BuiltinDialects()
	if c.dialect != nil {
		out = append(out, *c.dialect)
	}
	return append(out, c.own...)
}

// stateDialect is the dialect of the user's own state table.
const stateDialect = "state"

// configFile is the file as it is written; docs/configuration.md describes it.
type configFile struct {
	Check struct {
		Threshold string   `toml:"threshold"`
		Include   []string `toml:"include"`
		Exclude   []string `toml:"exclude"`
	} `toml:"check"`
	Acknowledge []struct {
		Code    string `toml:"code"`
		Host    string `toml:"host"`
		Service string `toml:"service"`
		Subject string `toml:"subject"`
		Path    string `toml:"path"`
		Reason  string `toml:"reason"`
		// Until is a text or a TOML date.
		Until any `toml:"until"`
	} `toml:"acknowledge"`
	State     []table.Row `toml:"state"`
	Dialects  []string    `toml:"dialects"`
	Templates []string    `toml:"templates"`
}

// configKeys are the keys of each table.
var configKeys = map[string][]string{
	"":            {"check", "acknowledge", "state", "dialects", "templates"},
	"check":       {"threshold", "include", "exclude"},
	"acknowledge": {"code", "host", "service", "subject", "path", "reason", "until"},
	"state":       {"service", "enable", "unless", "paths", "option", "below", "file", "user", "group", "mode", "perhaps", "source", "note"},
}

// ConfigError is a fault in a configuration file, and where it stands.
type ConfigError struct {
	File         string
	Line, Column int
	Reason       string
	hint         string
}

func (e *ConfigError) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Reason
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Reason)
}

// Hint says what to write instead.
func (e *ConfigError) Hint() string { return e.hint }

// configErrors are several faults of one file, each with its advice.
type configErrors []*ConfigError

func (e configErrors) Error() string {
	var lines []string
	for _, f := range e {
		line := f.Error()
		if f.hint != "" {
			line += "; " + f.hint
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// Hint sends nobody to the usage: what to do is beside each fault.
func (e configErrors) Hint() string { return "docs/configuration.md describes the file" }

// faultsError is the one fault, or all of them in the order in which they stand; nil for none.
func faultsError(faults []*ConfigError) error {
	switch len(faults) {
	case 0:
		return nil
	case 1:
		return faults[0]
	}
	slices.SortStableFunc(faults, func(a, b *ConfigError) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return configErrors(faults)
}

// parseConfiguration reads a configuration file.
func parseConfiguration(name string, data []byte) (*configuration, error) {
	var file configFile
	d := toml.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, tomlFault(name, err)
	}
	at, misspelt := tomlPositions(data)
	var faults []*ConfigError
	for _, m := range misspelt {
		faults = append(faults, &ConfigError{name, m.at.Line, m.at.Column, fmt.Sprintf("unknown key %q", m.key), "write " + strings.ToLower(m.key)})
	}
	if err := faultsError(faults); err != nil {
		return nil, err
	}
	fault := func(place, reason, hint string) {
		p := at(place)
		faults = append(faults, &ConfigError{name, p.Line, p.Column, reason, hint})
	}
	if file.Check.Threshold != "" {
		if _, err := stateward.ParseSeverity(file.Check.Threshold); err != nil {
			fault("check.threshold", err.Error(), "write info, warning or error")
		}
	}
	for key, codes := range map[string][]string{"include": file.Check.Include, "exclude": file.Check.Exclude} {
		for i, c := range codes {
			if _, err := parseCodes([]string{c}); err != nil {
				fault(fmt.Sprintf("check.%s[%d]", key, i), err.Error(), hintOf(err))
			}
		}
	}
	c := &configuration{name: name, threshold: file.Check.Threshold, include: file.Check.Include, exclude: file.Check.Exclude}
	for i, a := range file.Acknowledge {
		place := fmt.Sprintf("acknowledge[%d]", i)
		p := at(place)
		ack := stateward.Acknowledgement{
			Code: a.Code, Host: a.Host, Service: a.Service, Subject: a.Subject, Path: a.Path, Reason: a.Reason,
			Origin: stateward.Origin{Option: place, File: name, Line: p.Line},
		}
		switch until := a.Until.(type) {
		case nil:
		case string:
			ack.Until = until
			if until == "" {
				fault(place+".until", "the day is empty", "write a day as in 2027-01-31, or leave it out")
			}
		case toml.LocalDate:
			ack.Until = until.String()
		default:
			fault(place+".until", "until is no day", "write a day as in 2027-01-31, without a time")
		}
		var bad *aggregate.AcknowledgementError
		if err := aggregate.CheckAcknowledgement(ack); errors.As(err, &bad) && (bad.Field != "until" || ack.Until != "") {
			fault(place+"."+bad.Field, "the acknowledgement "+bad.Reason, bad.Hint())
		}
		c.acks = append(c.acks, ack)
	}
	for i, d := range file.Dialects {
		place := fmt.Sprintf("dialects[%d]", i)
		if d == "" {
			fault(place, "the name of a dialect's file is empty", `write the file, such as dialects = ["nix/my-dialect.nix"]`)
		}
		p := at(place)
		c.files = append(c.files, configFileName{d, p.Line, p.Column})
	}
	for i, d := range file.Templates {
		place := fmt.Sprintf("templates[%d]", i)
		if d == "" {
			fault(place, "the name of a folder of templates is empty", `write the folder, such as templates = ["./templates"]`)
		}
		p := at(place)
		c.templates = append(c.templates, configFileName{d, p.Line, p.Column})
	}
	if len(file.State) > 0 {
		d, err := table.New(stateDialect, file.State)
		c.dialect = &d
		for _, err := range joined(err) {
			place, reason, hint := "state", err.Error(), hintOf(err)
			if row := (*table.RowError)(nil); errors.As(err, &row) {
				place, reason = fmt.Sprintf("state[%d]", row.Row-1), row.Reason
				if row.Field != "" {
					place += "." + row.Field
					reason = row.Field + ": " + reason
				}
			}
			fault(place, reason, hint)
		}
	}
	if err := faultsError(faults); err != nil {
		return nil, err
	}
	return c, nil
}

// joined are the errors of [errors.Join].
func joined(err error) []error {
	var many interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &many):
		return many.Unwrap()
	}
	return []error{err}
}

// tomlFault says what the TOML library said in our words, with its place.
func tomlFault(name string, err error) error {
	var strict *toml.StrictMissingError
	if errors.As(err, &strict) {
		var faults []*ConfigError
		for i := range strict.Errors {
			e := &strict.Errors[i]
			line, column := e.Position()
			key := slices.Clone(e.Key())
			table := ""
			if len(key) > 1 {
				table = key[0]
			}
			known, ok := configKeys[table]
			last := key[len(key)-1]
			if !ok {
				known, last = configKeys[""], key[0]
			}
			hint := "the keys there are " + strings.Join(known, ", ")
			if near := text.Nearest(last, known); near != "" {
				hint = "write " + near
			}
			faults = append(faults, &ConfigError{name, line, column, fmt.Sprintf("unknown key %q", strings.Join(key, ".")), hint})
		}
		return faultsError(faults)
	}
	var de *toml.DecodeError
	if !errors.As(err, &de) {
		return &ConfigError{File: name, Reason: strings.TrimPrefix(err.Error(), "toml: ")}
	}
	line, column := de.Position()
	reason, hint := strings.TrimPrefix(de.Error(), "toml: "), "the file is TOML: docs/configuration.md has an example"
	if key := de.Key(); len(key) > 0 && strings.Contains(reason, "cannot ") {
		reason = strings.Join(key, ".") + " has a value of another type than it should"
		switch key[len(key)-1] {
		case "include", "exclude":
			hint = `write a list of codes, such as ["SW112"]`
		case "paths":
			hint = `write a list of paths, such as ["/var/lib/sonarr"]`
		case "dialects":
			hint = `write a list of files, such as dialects = ["nix/my-dialect.nix"]`
		case "file", "perhaps":
			hint = "write true or false"
		case "check":
			hint = "write the line [check]"
		case "acknowledge", "state":
			hint = "write the line [[" + key[len(key)-1] + "]]"
		default:
			hint = "write a text in quotes"
		}
	}
	return &ConfigError{name, line, column, reason, hint}
}

// misspelt is a key that only the library takes for ours: it does not look at capitals, and of two tables that differ in
// them it would keep one.
type misspelt struct {
	key string
	at  unstable.Position
}

// tomlPositions finds where a place such as "acknowledge[1].until" stands; where that is not written, what holds it.
func tomlPositions(data []byte) (func(string) unstable.Position, []misspelt) {
	found := map[string]unstable.Position{}
	var odd []misspelt
	var p unstable.Parser
	p.Reset(data)
	put := func(place string, n *unstable.Node) {
		if _, ok := found[place]; !ok && n != nil && n.Raw.Length > 0 {
			found[place] = p.Shape(n.Raw).Start
		}
	}
	join := func(prefix string, n *unstable.Node) string {
		key := string(n.Data)
		if key != strings.ToLower(key) {
			odd = append(odd, misspelt{key, p.Shape(n.Raw).Start})
		}
		if prefix == "" {
			return key
		}
		return prefix + "." + key
	}
	var value func(place string, n *unstable.Node)
	pair := func(prefix string, n *unstable.Node) {
		place := prefix
		var first *unstable.Node
		for it := n.Key(); it.Next(); {
			if first == nil {
				first = it.Node()
			}
			place = join(place, it.Node())
			put(place, first)
		}
		value(place, n.Value())
	}
	value = func(place string, n *unstable.Node) {
		switch n.Kind {
		case unstable.Array:
			i := 0
			for it := n.Children(); it.Next(); {
				c := it.Node()
				if c.Kind == unstable.Comment {
					continue
				}
				at := fmt.Sprintf("%s[%d]", place, i)
				i++
				put(at, c)
				value(at, c)
			}
		case unstable.InlineTable:
			for it := n.Children(); it.Next(); {
				if c := it.Node(); c.Kind == unstable.KeyValue {
					pair(place, c)
				}
			}
		}
	}
	table := ""
	counts := map[string]int{}
	for p.NextExpression() {
		n := p.Expression()
		switch n.Kind {
		case unstable.Table, unstable.ArrayTable:
			table = ""
			var first *unstable.Node
			for it := n.Key(); it.Next(); {
				if first == nil {
					first = it.Node()
				}
				table = join(table, it.Node())
			}
			if n.Kind == unstable.ArrayTable {
				i := counts[table]
				counts[table]++
				table = fmt.Sprintf("%s[%d]", table, i)
			}
			put(table, first)
		case unstable.KeyValue:
			pair(table, n)
		}
	}
	return func(place string) unstable.Position {
		for place != "" {
			if at, ok := found[place]; ok {
				return at
			}
			place = place[:max(strings.LastIndexAny(place, ".["), 0)]
		}
		return unstable.Position{Line: 1, Column: 1}
	}, odd
}

// hintOf is the advice of an error, if it has any.
func hintOf(err error) string {
	var h hinter
	if errors.As(err, &h) {
		return h.Hint()
	}
	return ""
}

// configuration reads the configuration file that goes with a source: the one that is named, else
// stateward.toml in the folder of the source; for standard input and for what has to be fetched, in the
// working directory.
func (f *sourceFlags) configuration(env Env, src nixbridge.Source) (*configuration, error) {
	if f.noConfig && f.config != "" {
		return nil, errors.New("--config and --no-config exclude one another")
	}
	if f.noConfig {
		return f.withDialects(&configuration{}, "")
	}
	dir, root, ok := src.Folder()
	if !ok {
		dir = "."
	}
	file := f.config
	if file == "" {
		file = filepath.Join(dir, configName)
	}
	var data []byte
	var err error
	if f.readConfig != nil && f.config == "" {
		data, err = f.readConfig(file)
	} else {
		data, err = readRegular(file, maxConfig)
	}
	switch {
	case f.config == "" && errors.Is(err, fs.ErrNotExist):
		return f.withDialects(&configuration{}, "")
	case err != nil:
		reason := err.Error()
		if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
			reason = pe.Err.Error()
		}
		return nil, &ConfigError{File: file, Reason: "cannot be read: " + reason, hint: "check the spelling, or leave it out with --no-config"}
	}
	name := relativeTo(".", file)
	if !f.quiet {
		fmt.Fprintf(env.Stderr, "stateward: using %s\n", inLine(name))
	}
	c, err := parseConfiguration(name, data)
	if err != nil {
		return nil, err
	}
	// Findings name files from the source's root, and one beside it in the same repository too.
	if root != "" {
		from := relativeTo(root, file)
		if repo := repositoryOf(root); filepath.IsAbs(from) && repo != "" && !filepath.IsAbs(relativeTo(repo, file)) {
			if rel, err := filepath.Rel(realPath(root), realPath(from)); err == nil {
				from = rel
			}
		}
		for i := range c.acks {
			c.acks[i].Origin.File = from
		}
	}
	return f.withDialects(c, filepath.Dir(file))
}

// withDialects reads the files of the user's own dialects: those that the configuration file names, from its folder, and
// those of --dialect. One that both name is read once.
func (f *sourceFlags) withDialects(c *configuration, dir string) (*configuration, error) {
	read := map[string]bool{}
	add := func(file string) error {
		if real := realPath(relativeTo("", file)); read[real] {
			return nil
		} else {
			read[real] = true
		}
		d, err := readDialect(file)
		if err != nil {
			return err
		}
		for _, other := range c.dialects() {
			switch {
			case other.Name != d.Name:
			case other.Written != nil:
				return &dialectFileError{file, fmt.Sprintf("is called like %s, and one dialect would hide the other", other.Written.File), "rename one of the two files: a dialect is called after its file"}
			default:
				return &dialectFileError{file, fmt.Sprintf("is called %q, as a dialect that is built in", d.Name), "rename the file: a dialect is called after its file"}
			}
		}
		if d.Name == stateDialect {
			return &dialectFileError{file, fmt.Sprintf("is called %q, as the rows of [[state]] are", d.Name), "rename the file: a dialect is called after its file"}
		}
		c.own = append(c.own, d)
		return nil
	}
	for _, n := range c.files {
		if f.dialectsRead {
			break
		}
		file := n.file
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		if err := add(relativeTo(".", file)); err != nil {
			return nil, &ConfigError{c.name, n.line, n.column, err.Error(), hintOf(err)}
		}
	}
	for _, file := range f.dialects {
		if file == "" {
			return nil, errors.New("--dialect names no file")
		}
		if err := add(file); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// dialectFileError says why a file cannot be read as a dialect.
type dialectFileError struct{ file, reason, hint string }

func (e *dialectFileError) Error() string { return fmt.Sprintf("dialect %s %s", e.file, e.reason) }

// Hint says how to mend it.
func (e *dialectFileError) Hint() string { return e.hint }

func readDialect(file string) (dialect.Dialect, error) {
	// What its name says comes first: a flake or a folder may be meant.
	if _, err := own.NameOf(file); err != nil {
		return dialect.Dialect{}, err
	}
	data, err := readRegular(file, own.MaxText)
	if err == nil {
		return own.FromFile(file, data)
	}
	reason, hint := err.Error(), "name a Nix file that you can read; docs/dialects.md says what is in it"
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		reason = pe.Err.Error()
	}
	switch info, statErr := os.Stat(file); {
	case errors.Is(err, fs.ErrNotExist):
		return dialect.Dialect{}, &dialectFileError{file, "is not there", "check the spelling; --dialect is looked for from the current folder, dialects from that of stateward.toml"}
	case statErr == nil && info.IsDir():
		reason, hint = "it is a folder", "name the .nix file in it"
	case statErr == nil && info.Size() > own.MaxText:
		hint = "nix gets it as a part of one argument: leave out what no service needs"
	}
	return dialect.Dialect{}, &dialectFileError{file, "cannot be read: " + reason, hint}
}

// relativeTo is a file as seen from a folder that holds it; from elsewhere it is absolute.
func relativeTo(dir, file string) string {
	abs, err := filepath.Abs(file)
	if err != nil {
		return file
	}
	base, err := filepath.Abs(dir)
	if err != nil {
		return abs
	}
	for _, pair := range [][2]string{{base, abs}, {realPath(base), realPath(abs)}} {
		if rel, err := filepath.Rel(pair[0], pair[1]); err == nil && filepath.IsLocal(rel) {
			return rel
		}
	}
	return abs
}

func realPath(s string) string {
	if real, err := filepath.EvalSymlinks(s); err == nil {
		return real
	}
	return s
}

// codeSet is what --include and --exclude name.
type codeSet map[string]bool

// parseCodes reads codes ("SW101") and families ("SW1xx").
func parseCodes(texts []string) (codeSet, error) {
	if len(texts) == 0 {
		return nil, nil
	}
	set := codeSet{}
	for _, text := range texts {
		found := false
		for _, c := range aggregate.Catalog() {
			family := len(text) == 5 && strings.EqualFold(text[3:], "xx") && strings.EqualFold(text[:3], c.Code[:3])
			if family || strings.EqualFold(text, c.Code) {
				set[c.Code], found = true, true
			}
		}
		if !found {
			return nil, &unknownCodeError{text}
		}
	}
	return set, nil
}

// selection says which findings are shown, and what excludes the others.
type selection struct {
	include, exclude codeSet
	// by is what is printed: "--exclude SW112, SW6xx".
	by string
}

// newSelection takes the flags where there is one, else the file: the two lists belong together.
func newSelection(include, exclude []string, c *configuration) (selection, error) {
	prefix, fromFile := "--", len(include) == 0 && len(exclude) == 0
	if fromFile {
		include, exclude, prefix = c.include, c.exclude, ""
	}
	var s selection
	var err error
	if s.include, err = parseCodes(include); err != nil {
		return s, fmt.Errorf("%sinclude: %w", prefix, err)
	}
	if s.exclude, err = parseCodes(exclude); err != nil {
		return s, fmt.Errorf("%sexclude: %w", prefix, err)
	}
	var by []string
	if len(include) > 0 {
		by = append(by, prefix+"include "+strings.Join(include, ", "))
	}
	if len(exclude) > 0 {
		by = append(by, prefix+"exclude "+strings.Join(exclude, ", "))
	}
	s.by = strings.Join(by, " and ")
	if fromFile && s.by != "" {
		s.by = c.name + " (" + s.by + ")"
	}
	return s, nil
}

func (s selection) has(code string) bool {
	return (len(s.include) == 0 || s.include[code]) && !s.exclude[code]
}

// split takes out what is excluded and counts it by code; nil where nothing is.
func (s selection) split(findings []stateward.Diagnostic) ([]stateward.Diagnostic, map[string]int) {
	kept := []stateward.Diagnostic{}
	var out map[string]int
	for _, d := range findings {
		if s.has(d.Code) {
			kept = append(kept, d)
			continue
		}
		if out == nil {
			out = map[string]int{}
		}
		out[d.Code]++
	}
	return kept, out
}
