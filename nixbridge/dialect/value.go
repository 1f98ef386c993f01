package dialect

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Kind is the type of an evaluated value.
type Kind uint8

// The kinds of values. Absent is a place that the configuration does not have;
// Unknown is one that could not be evaluated.
const (
	Absent Kind = iota
	Unknown
	Null
	Bool
	Int
	Float
	String
	// PathValue is a value of Nix' own path type; its text is the path, the file is never copied.
	PathValue
	// Derivation is a package; only its name is known.
	Derivation
	List
	Attrs
)

var kindNames = [...]string{
	Absent: "nothing", Unknown: "an unknown value", Null: "null", Bool: "a Boolean", Int: "an integer", Float: "a float",
	String: "a string", PathValue: "a path", Derivation: "a derivation", List: "a list", Attrs: "an attribute set",
}

// String names the kind as messages do: "a list".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("Kind(%d)", k)
}

// markerKey is the one key that a projection's output reserves. A key of the
// configuration that begins like it comes escaped, so that none can be forged.
const (
	markerKey    = "__stateward"
	escapePrefix = "__stateward:"
)

// Value is one evaluated value with everything below it. It is never changed
// once it is shared, except by [Value.Explain], [Value.EachText], [Value.EachString] and [Value.RenameAll].
type Value struct {
	kind Kind
	// text is the string, path, number, Boolean or derivation name, or why the value is unknown.
	text string
	// kids are the elements of a list, the attributes of a set sorted by name, or what else a marker says.
	kids []member
}

type member struct {
	name  string
	value Value
}

var absentValue = &Value{}

// Kind of the value; a nil Value is Absent.
func (v *Value) Kind() Kind {
	if v == nil {
		return Absent
	}
	return v.kind
}

// Text is the text of a scalar, as in JSON; for an unknown value it is its kind.
func (v *Value) Text() string {
	if v == nil {
		return ""
	}
	return v.text
}

// Int is the integer; ok is false where the value is none.
func (v *Value) Int() (n int64, ok bool) {
	if v.Kind() != Int {
		return 0, false
	}
	n, err := strconv.ParseInt(v.text, 10, 64)
	return n, err == nil
}

// Len is the number of elements or attributes.
func (v *Value) Len() int {
	if v == nil || v.kind != List && v.kind != Attrs {
		return 0
	}
	return len(v.kids)
}

// Index returns element or attribute number i, and its name.
func (v *Value) Index(i int) (string, *Value) { return v.kids[i].name, &v.kids[i].value }

// Get returns an attribute; an Absent value where there is none.
func (v *Value) Get(name string) *Value {
	if v == nil || v.kind != Attrs {
		return absentValue
	}
	return v.extra(name)
}

// Has tells whether a set has an attribute, be it one that is marked as absent.
func (v *Value) Has(name string) bool {
	return v.Kind() == Attrs && v.extra(name) != absentValue
}

// extra finds a member of a set, or what a marker says beside its kind.
func (v *Value) extra(name string) *Value {
	if i, ok := slices.BinarySearchFunc(v.kids, name, func(m member, n string) int { return strings.Compare(m.name, n) }); ok {
		return &v.kids[i].value
	}
	return absentValue
}

// at follows attribute names and list indices.
func (v *Value) at(path []string) *Value {
	for _, c := range path {
		if v.Kind() == List {
			i, err := strconv.Atoi(c)
			if err != nil || i < 0 || i >= len(v.kids) {
				return absentValue
			}
			v = &v.kids[i].value
			continue
		}
		v = v.Get(c)
	}
	return v
}

// Explain puts a message and a position to the unknown value at path, a list of
// attribute names and decimal list indices. It tells whether there is one.
// Line 0 means that nix did not tell.
func (v *Value) Explain(path []string, message, file string, line int) bool {
	u := v.at(path)
	if u.Kind() != Unknown || u == absentValue {
		return false
	}
	var kids []member
	if file != "" {
		kids = append(kids, member{"file", StringValue(file)})
	}
	kids = append(kids, member{"kind", StringValue(u.text)})
	if line > 0 {
		kids = append(kids, member{"line", Value{kind: Int, text: strconv.Itoa(line)}})
	}
	if message != "" {
		kids = append(kids, member{"message", StringValue(message)})
	}
	u.kids = kids
	return true
}

// StringValue returns a string. Bytes that are no UTF-8 are replaced.
func StringValue(s string) Value { return Value{kind: String, text: strings.ToValidUTF8(s, "\uFFFD")} }

// EachUnknown calls f for every unknown value, in order, with its path. The
// slice is only valid during the call.
func (v *Value) EachUnknown(f func(path []string, u *Value)) { v.eachUnknown(nil, f) }

func (v *Value) eachUnknown(path []string, f func([]string, *Value)) {
	switch v.Kind() {
	case Unknown:
		f(path, v)
	case Attrs:
		for i := range v.kids {
			v.kids[i].value.eachUnknown(append(path, v.kids[i].name), f)
		}
	case List:
		for i := range v.kids {
			if k := v.kids[i].value.kind; k == Unknown || k == Attrs || k == List {
				v.kids[i].value.eachUnknown(append(path, strconv.Itoa(i)), f)
			}
		}
	}
}

// EachText replaces every string at or below the value, those of markers included.
func (v *Value) EachText(f func(string) string) {
	switch v.Kind() {
	case String:
		v.text = f(v.text)
	case PathValue, Derivation:
		v.text = f(v.text)
		fallthrough
	case List, Attrs, Unknown:
		for i := range v.kids {
			v.kids[i].value.EachText(f)
		}
	}
}

// EachString replaces every string of the configuration at or below the value; f gets the names of the attributes that lead to
// it, which are only valid during the call, and the string before it in a list, as it is by then. Paths, packages and what markers say are no such strings, and names stay.
func (v *Value) EachString(f func(path []string, before, s string) string) { v.eachString(nil, "", f) }

func (v *Value) eachString(path []string, before string, f func([]string, string, string) string) {
	switch v.Kind() {
	case String:
		v.text = f(path, before, v.text)
	case List:
		before := ""
		for i := range v.kids {
			e := &v.kids[i].value
			e.eachString(path, before, f)
			if before = ""; e.kind == String {
				before = e.text
			}
		}
	case Attrs:
		for i := range v.kids {
			v.kids[i].value.eachString(append(path, v.kids[i].name), "", f)
		}
	}
}

// RenameAll replaces the names of a set's attributes. Of those that get one name the first is kept.
func (v *Value) RenameAll(f func(string) string) {
	if v.Kind() != Attrs {
		return
	}
	for i := range v.kids {
		v.kids[i].name = f(v.kids[i].name)
	}
	slices.SortStableFunc(v.kids, func(a, b member) int { return strings.Compare(a.name, b.name) })
	v.kids = slices.CompactFunc(v.kids, func(a, b member) bool { return a.name == b.name })
}

// Texts calls f for every string at or below the value, those of markers included, until it returns false.
func (v *Value) Texts(f func(string) bool) bool {
	if v.Kind() == String {
		return f(v.text)
	}
	if v != nil {
		for i := range v.kids {
			if !v.kids[i].value.Texts(f) {
				return false
			}
		}
	}
	return true
}

// Reason is the message, file and line that a run of nix added to an unknown value.
func (v *Value) Reason() (message, file string, line int) {
	line, _ = strconv.Atoi(v.extra("line").Text())
	return v.extra("message").Text(), v.extra("file").Text(), line
}

// AppendJSON appends the value as JSON in its one form: sorted keys, no blanks.
// [Parse] reads it back equal.
func (v *Value) AppendJSON(b []byte) []byte {
	switch v.Kind() {
	case Absent:
		return append(b, `{"`+markerKey+`":"absent"}`...)
	case Unknown:
		return v.appendMarker(b, "unknown")
	case PathValue:
		return v.appendMarker(b, "path")
	case Derivation:
		return v.appendMarker(b, "derivation")
	case String:
		return AppendString(b, v.text)
	case List:
		b = append(b, '[')
		for i := range v.kids {
			if i > 0 {
				b = append(b, ',')
			}
			b = v.kids[i].value.AppendJSON(b)
		}
		return append(b, ']')
	case Attrs:
		b = append(b, '{')
		for i := range v.kids {
			if i > 0 {
				b = append(b, ',')
			}
			b = AppendString(b, EscapeKey(v.kids[i].name))
			b = append(b, ':')
			b = v.kids[i].value.AppendJSON(b)
		}
		return append(b, '}')
	default:
		return append(b, v.text...)
	}
}

func (v *Value) appendMarker(b []byte, marker string) []byte {
	b = append(b, `{"`+markerKey+`":"`+marker+`"`...)
	for i := range v.kids {
		b = append(b, ',')
		b = AppendString(b, v.kids[i].name)
		b = append(b, ':')
		b = v.kids[i].value.AppendJSON(b)
	}
	return append(b, '}')
}

// EscapeKey is how an attribute name is written in JSON, so that it cannot pass for a marker. It mirrors `escape` in
// probe.nix.
func EscapeKey(name string) string {
	if name == "outPath" || name == "__toString" || strings.HasPrefix(name, markerKey) {
		return escapePrefix + name
	}
	return name
}

// AppendString appends a JSON string. Only what JSON demands is escaped.
func AppendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(append(b, s[from:i]...), '\\', c)
		case c == '\n':
			b = append(append(b, s[from:i]...), '\\', 'n')
		case c == '\t':
			b = append(append(b, s[from:i]...), '\\', 't')
		case c == '\r':
			b = append(append(b, s[from:i]...), '\\', 'r')
		case c < 0x20:
			b = append(append(b, s[from:i]...), '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		case c < utf8.RuneSelf:
			i++
			continue
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || n > 1 {
				i += n
				continue
			}
			b = append(append(b, s[from:i]...), "\uFFFD"...)
		}
		i++
		from = i
	}
	return append(append(b, s[from:]...), '"')
}

// Without returns a copy of a host's tree in which the part of that name is missing from every dialect.
func (v *Value) Without(part string) *Value {
	c := v.Copy()
	for i := range c.kids {
		d := &c.kids[i].value
		if d.kind == Attrs {
			d.kids = slices.DeleteFunc(d.kids, func(m member) bool { return m.name == part })
		}
	}
	return c
}

// Filter returns a list or set with those elements or attributes only that keep says; any other value as it is.
// What is below them is shared.
func (v *Value) Filter(keep func(name string, value *Value) bool) *Value {
	if v.Kind() != List && v.Kind() != Attrs {
		return v
	}
	out := &Value{kind: v.kind}
	for i := range v.kids {
		if keep(v.kids[i].name, &v.kids[i].value) {
			out.kids = append(out.kids, v.kids[i])
		}
	}
	return out
}

// Copy returns a value that shares nothing with v.
func (v *Value) Copy() *Value {
	c := *v
	c.kids = slices.Clone(v.kids)
	for i := range c.kids {
		c.kids[i].value = *c.kids[i].value.Copy()
	}
	return &c
}
