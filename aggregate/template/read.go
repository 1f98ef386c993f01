package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/internal/text"
)

// MaxFile is how large the file of a template may be, in bytes.
const MaxFile = 256 << 10

// Fault is one fault of a template.
type Fault struct {
	// File is where it stands; "--set" for a value that is given there.
	File string `json:"file"`
	// Line is the line, from 1 on; 0 where it is not known.
	Line int `json:"line,omitempty"`
	// Field is the path of the value, such as "service.dataset.mode"; empty for the file as a whole.
	Field  string `json:"field,omitempty"`
	Reason string `json:"reason"`
	hint   string
}

func (f *Fault) Error() string {
	text := f.File
	if f.Line > 0 {
		text += fmt.Sprintf(":%d", f.Line)
	}
	if f.Field != "" {
		text = join(text, f.Field)
	}
	return join(text, f.Reason)
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + ": " + b
}

// Hint says how to mend it.
func (f *Fault) Hint() string { return f.hint }

// Faults are all faults of a template, in the order of their fields.
type Faults []*Fault

func (fs Faults) Error() string {
	var lines []string
	for _, f := range fs {
		line := f.Error()
		if f.hint != "" {
			line += "; " + f.hint
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// Hint is where the form is described; what to do is beside each fault.
func (fs Faults) Hint() string { return "docs/templates.md describes the form" }

func (fs Faults) orNil() error {
	switch len(fs) {
	case 0:
		return nil
	case 1:
		return fs[0]
	}
	return fs
}

// object is an object of JSON whose names keep their order.
type object = map[string]any

// source is one file, checked for what it may hold, and not yet for values.
type source struct {
	file, name string
	tree       object
	extends    string
}

// parse reads one file. Its name is that of the file, without suffix.
func parse(file, name string, data []byte) (*source, error) {
	one := func(line int, reason, hint string) error {
		return &Fault{File: file, Line: line, Reason: reason, hint: hint}
	}
	if len(data) > MaxFile {
		return nil, one(0, fmt.Sprintf("is larger than %d KiB", MaxFile>>10), "a template is one service")
	}
	if bytes.HasPrefix(data, []byte("\ufeff")) {
		return nil, one(1, "begins with a byte order mark", "save it as UTF-8 without one")
	}
	// encoding/json would put something else in the place of what is no UTF-8.
	if !utf8.Valid(data) {
		at := 0
		for at < len(data) {
			r, size := utf8.DecodeRune(data[at:])
			if r == utf8.RuneError && size == 1 {
				break
			}
			at += size
		}
		return nil, one(lineAt(data, int64(at)), "is no UTF-8", "save it as UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var faults Faults
	r := reader{d: d, data: data, fault: func(path, reason, hint string) {
		faults = append(faults, &Fault{file, lineAt(data, d.InputOffset()), path, reason, hint})
	}}
	tree, err := r.value("", 0)
	if err == nil {
		if _, err = d.Token(); err == nil {
			return nil, one(lineAt(data, d.InputOffset()), "goes on behind the template", "write one object")
		} else if errors.Is(err, io.EOF) {
			err = nil
		}
	}
	if err != nil {
		var syntax *json.SyntaxError
		at, reason := d.InputOffset(), strings.TrimPrefix(err.Error(), "json: ")
		if errors.As(err, &syntax) {
			at = syntax.Offset
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			reason = "ends too early"
		}
		return nil, one(lineAt(data, at), "is no JSON: "+reason, "JSON has no comments, and no comma behind the last element")
	}
	o, ok := tree.(object)
	if !ok {
		return nil, one(0, "holds "+kindOf(tree)+" and no object", "write { \"name\": …, \"service\": { … } }")
	}
	if len(faults) > 0 {
		return nil, faults.orNil()
	}
	s := &source{file: file, name: name, tree: o}
	s.extends, _ = o["extends"].(string)
	c := checker{null: s.extends != "", fault: func(path, reason, hint string) {
		faults = append(faults, &Fault{File: file, Field: path, Reason: reason, hint: hint})
	}}
	c.check(o, reflect.TypeFor[Template](), "")
	if given, ok := o["name"].(string); ok && given != name || o["name"] == nil {
		c.fault("name", fmt.Sprintf("is %q, and the file is %s.json", given, name), "call both alike")
	}
	if !nameForm.MatchString(name) {
		c.fault("", fmt.Sprintf("is called %q", name), "call it by lower-case letters, digits and single dashes: home-assistant.json")
	}
	if o["extends"] == "" {
		c.fault("extends", "is empty", "name a template, or leave it out")
	}
	if len(faults) > 0 {
		return nil, faults.orNil()
	}
	return s, nil
}

func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(max(offset, 0), int64(len(data)))], []byte("\n"))
}

// reader reads JSON into a tree and finds what encoding/json takes without a word: a name that is there twice.
type reader struct {
	d     *json.Decoder
	data  []byte
	fault func(path, reason, hint string)
}

func (r *reader) value(path string, depth int) (any, error) {
	if depth > 32 {
		return nil, errors.New("nested too deeply")
	}
	t, err := r.d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('{'):
		o := object{}
		for r.d.More() {
			key, err := r.d.Token()
			if err != nil {
				return nil, err
			}
			name := key.(string)
			at := below(path, name)
			if _, twice := o[name]; twice {
				r.fault(at, "is there twice", "leave one of them out")
			}
			if o[name], err = r.value(at, depth+1); err != nil {
				return nil, err
			}
		}
		_, err = r.d.Token()
		return o, err
	case json.Delim('['):
		list := []any{}
		for r.d.More() {
			v, err := r.value(fmt.Sprintf("%s[%d]", path, len(list)), depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err = r.d.Token()
		return list, err
	}
	return t, nil
}

func below(path, name string) string {
	if path == "" {
		return stateward.OptionPath(name)
	}
	return path + "." + stateward.OptionPath(name)
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case bool:
		return "a Boolean"
	case json.Number:
		return "a number"
	case string:
		return "a text"
	case []any:
		return "a list"
	}
	return "an object"
}

// checker compares a tree with the types that it is to become.
type checker struct {
	// null tells that null may stand for what is to be taken away.
	null  bool
	fault func(path, reason, hint string)
}

func (c *checker) check(v any, t reflect.Type, path string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	wrong := func(expected string) {
		c.fault(path, fmt.Sprintf("expected %s, found %s", expected, kindOf(v)), "")
	}
	if v == nil && t.Kind() != reflect.Interface {
		if !c.null {
			c.fault(path, "is null", "leave it out; null takes away what a template has that this one extends")
		}
		return
	}
	if t == reflect.TypeFor[Scalar]() {
		switch n := v.(type) {
		case string:
		case json.Number:
			if strings.ContainsAny(n.String(), ".eE") && !strings.HasSuffix(path, ".cpus") {
				c.fault(path, n.String()+" is no whole number", "write a whole number")
			} else if strings.ContainsAny(n.String(), ".eE") {
				c.fault(path, n.String()+" is a number with a fraction", fmt.Sprintf("write it as a text: %q", n.String()))
			}
		default:
			wrong("a text or a whole number")
		}
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		o, ok := v.(object)
		if !ok {
			wrong("an object")
			return
		}
		fields := fieldsOf(t)
		names := make([]string, 0, len(fields))
		for _, f := range fields {
			names = append(names, f.name)
		}
		for _, name := range sortedKeys(o) {
			i := slices.IndexFunc(fields, func(f field) bool { return f.name == name })
			if i < 0 {
				c.fault(below(path, name), "is no field of a template", unknownHint(name, names))
				continue
			}
			c.check(o[name], fields[i].typ, below(path, name))
		}
	case reflect.Map:
		o, ok := v.(object)
		if !ok {
			wrong("an object")
			return
		}
		for _, name := range sortedKeys(o) {
			c.check(o[name], t.Elem(), below(path, name))
		}
	case reflect.Slice:
		list, ok := v.([]any)
		if !ok {
			wrong("a list")
			return
		}
		for i, e := range list {
			c.check(e, t.Elem(), fmt.Sprintf("%s[%d]", path, i))
		}
	case reflect.String:
		if _, ok := v.(string); !ok {
			wrong("a text")
		}
	case reflect.Bool:
		if _, ok := v.(bool); !ok {
			wrong("true or false")
		}
	case reflect.Interface:
		c.any(v, path)
	}
}

// any checks a value of an option of NixOS.
func (c *checker) any(v any, path string) {
	switch v := v.(type) {
	case object:
		for _, name := range sortedKeys(v) {
			c.any(v[name], below(path, name))
		}
	case []any:
		for i, e := range v {
			c.any(e, fmt.Sprintf("%s[%d]", path, i))
		}
	case json.Number:
		if _, err := v.Int64(); err != nil {
			c.fault(path, v.String()+" is no whole number", "write a whole number, or a text")
		}
	case string:
		if strings.ContainsRune(v, 0) {
			c.fault(path, "has a NUL byte, which no text of Nix can hold", "leave it out")
		}
	case nil:
		if !c.null {
			c.fault(path, "is null", "leave it out")
		}
	}
}

type field struct {
	name string
	typ  reflect.Type
}

func fieldsOf(t reflect.Type) []field {
	var out []field
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		out = append(out, field{name, t.Field(i).Type})
	}
	return out
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// unknownHint names what may have been meant, or what there is.
func unknownHint(name string, known []string) string {
	if n := text.Nearest(name, known); n != "" {
		return fmt.Sprintf("write %q instead?", n)
	}
	if len(known) == 0 {
		return "there is none"
	}
	return "there is " + strings.Join(known, ", ")
}
