package text

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// JSONError says what is wrong with a file of JSON, in the words of whoever writes one.
type JSONError struct {
	// Line counts from 1; 0 where it is not known.
	Line         int
	Reason, hint string
}

func (e *JSONError) Error() string {
	if e.Line == 0 {
		return e.Reason
	}
	return fmt.Sprintf("line %d: %s", e.Line, e.Reason)
}

// Hint says what to write instead; it may be empty.
func (e *JSONError) Hint() string { return e.hint }

// ReadJSON reads one value of JSON. A field that is not known is an error, as is one in other letters, large or small, one that is there twice, and what comes behind the value. The error is a *[JSONError], or that of a
// type that reads itself; what could be read is in the value even then.
func ReadJSON(data []byte, into any) error {
	line := func(offset int64) int {
		return 1 + bytes.Count(data[:min(max(offset, 0), int64(len(data)))], []byte("\n"))
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		if _, err := d.Token(); !errors.Is(err, io.EOF) {
			return &JSONError{line(d.InputOffset()), "there is more behind its JSON", "write one object, and nothing behind its last brace"}
		}
		// encoding/json takes "Name" for "name", and the last of two.
		w := &walker{d: json.NewDecoder(bytes.NewReader(data))}
		if w.value(reflect.TypeOf(into), ""); w.found {
			return w.fault(line)
		}
		return nil
	case errors.Is(err, io.EOF):
		return &JSONError{0, "is empty", ""}
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &JSONError{line(int64(len(bytes.TrimSpace(data)))), "its JSON ends too early", "close every brace, bracket and quote"}
	case errors.As(err, &syntax):
		return &JSONError{line(syntax.Offset), "is no JSON: " + syntax.Error(), ""}
	case errors.As(err, &kind):
		e := &JSONError{Reason: fmt.Sprintf("is %s where %s is expected", found(kind.Value), expected(kind.Type))}
		if kind.Field != "" {
			e.Line, e.Reason = line(kind.Offset), kind.Field+" "+e.Reason
		}
		return e
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		w := &walker{d: json.NewDecoder(bytes.NewReader(data))}
		if w.value(reflect.TypeOf(into), ""); w.found {
			return w.fault(line)
		}
		return &JSONError{0, strings.TrimPrefix(err.Error(), "json: unknown field ") + " is no field", ""}
	}
	return err
}

// found names a value in words, expected a type.
func found(value string) string {
	kind, rest, _ := strings.Cut(value, " ")
	switch {
	case kind == "number" && rest != "":
		return rest
	case kind == "string":
		return "a text"
	case kind == "bool":
		return "a Boolean"
	case kind == "array":
		return "a list"
	case kind == "object":
		return "an object"
	}
	return "a " + kind
}

func expected(t reflect.Type) string {
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		return "a text"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return expected(t.Elem())
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number"
	}
	return "a whole number"
}

// walker goes through JSON and a type side by side, up to the first field that the type does not have, or that is there twice.
type walker struct {
	d          *json.Decoder
	found      bool
	twice      bool
	path, name string
	known      []string
	offset     int64
}

// fault is what was found.
func (w *walker) fault(line func(int64) int) *JSONError {
	if w.twice {
		return &JSONError{line(w.offset), fmt.Sprintf("%q is there twice", w.path), "leave one of them out"}
	}
	e := &JSONError{line(w.offset), fmt.Sprintf("%q is no field", w.path), ""}
	near := Nearest(w.name, w.known)
	if i := slices.IndexFunc(w.known, func(k string) bool { return strings.EqualFold(k, w.name) }); i >= 0 {
		near = w.known[i]
	}
	if near != "" {
		e.hint = fmt.Sprintf("write %q", near)
	} else if len(w.known) > 0 {
		e.hint = "there is " + strings.Join(w.known, ", ")
	}
	return e
}

var reads = reflect.TypeFor[json.Unmarshaler]()

// value passes one value. A nil type stands for any.
func (w *walker) value(t reflect.Type, path string) {
	token, err := w.d.Token()
	if err != nil {
		return
	}
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t != nil && reflect.PointerTo(t).Implements(reads) {
		t = nil
	}
	inner := func(kinds ...reflect.Kind) reflect.Type {
		for _, k := range kinds {
			if t != nil && t.Kind() == k {
				return t.Elem()
			}
		}
		return nil
	}
	switch token {
	case json.Delim('['):
		elem := inner(reflect.Slice, reflect.Array)
		for !w.found && w.d.More() {
			w.value(elem, path)
		}
	case json.Delim('{'):
		var fields map[string]reflect.Type
		var known []string
		had := map[string]bool{}
		if t != nil && t.Kind() == reflect.Struct {
			fields = map[string]reflect.Type{}
			known = names(t, fields)
		}
		for w.d.More() {
			key, err := w.d.Token()
			name, ok := key.(string)
			if err != nil || !ok {
				return
			}
			at := strings.TrimPrefix(path+"."+name, ".")
			next := inner(reflect.Map)
			if fields != nil {
				if next, ok = fields[name]; !ok {
					w.found, w.path, w.name, w.known, w.offset = true, at, name, known, w.d.InputOffset()
					return
				}
			}
			if had[name] {
				w.found, w.twice, w.path, w.offset = true, true, at, w.d.InputOffset()
				return
			}
			had[name] = true
			if w.value(next, at); w.found {
				return
			}
		}
	default:
		return
	}
	_, _ = w.d.Token() // what closes it
}

// names are the fields of a struct, in order, and their types by name.
func names(t reflect.Type, fields map[string]reflect.Type) (known []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			known = append(known, names(f.Type, fields)...)
		default:
			if name == "" {
				name = f.Name
			}
			known = append(known, name)
			fields[name] = f.Type
		}
	}
	return known
}
