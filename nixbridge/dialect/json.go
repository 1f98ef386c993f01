package dialect

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stateward/stateward"
)

// SyntaxError says where and why a text is no evaluated value.
type SyntaxError struct {
	// Offset is the byte, from 0, at which the fault was seen.
	Offset int64
	// Path leads to the fault: attribute names and list indices.
	Path   []string
	Reason string
}

func (e *SyntaxError) Error() string {
	if len(e.Path) == 0 {
		return fmt.Sprintf("byte %d: %s", e.Offset, e.Reason)
	}
	return fmt.Sprintf("byte %d, at %s: %s", e.Offset, strings.Join(e.Path, "."), e.Reason)
}

// Parse reads what a projection printed: one JSON value (RFC 8259) with the
// markers of probe.nix. It refuses what encoding/json lets through: bytes that are
// no UTF-8, halves of surrogate pairs, a key that is there twice, unknown markers,
// numbers outside of Nix' own range, and anything after the value. Values nested deeper
// than maxDepth are refused. The texts of the result share s. The error is a *[SyntaxError].
func Parse(s string, maxDepth int) (*Value, error) {
	p := &parser{s: s, maxDepth: maxDepth}
	v, ok := p.value(0)
	if ok {
		if p.blanks(); p.i < len(p.s) {
			ok = p.fail("there is something after the value")
		}
	}
	if !ok {
		slices.Reverse(p.err.Path)
		return nil, p.err
	}
	return &v, nil
}

type parser struct {
	s        string
	i        int
	maxDepth int
	// stack collects members of the sets and lists that are open, so that each gets a slice of its exact size.
	stack []member
	err   *SyntaxError
}

func (p *parser) fail(format string, args ...any) bool { return p.failAt(p.i, format, args...) }

func (p *parser) failAt(offset int, format string, args ...any) bool {
	if p.err == nil {
		p.err = &SyntaxError{Offset: int64(offset), Reason: fmt.Sprintf(format, args...)}
	}
	return false
}

// within notes, on the way out, what a fault lay in.
func (p *parser) within(name string) bool {
	if len(p.err.Path) < 64 {
		p.err.Path = append(p.err.Path, name)
	}
	return false
}

func (p *parser) blanks() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\n', '\r', '\t':
			p.i++
		default:
			return
		}
	}
}

func (p *parser) value(depth int) (v Value, ok bool) {
	p.blanks()
	if p.i >= len(p.s) {
		return v, p.fail("the text ends where a value should begin")
	}
	if depth > p.maxDepth {
		return v, p.fail("values are nested deeper than %d", p.maxDepth)
	}
	switch c := p.s[p.i]; {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.list(depth)
	case c == '"':
		v.kind = String
		v.text, ok = p.text()
		return v, ok
	case c == '-' || c >= '0' && c <= '9':
		return p.number()
	}
	for _, l := range literals {
		if strings.HasPrefix(p.s[p.i:], l.text) {
			p.i += len(l.text)
			return l, true
		}
	}
	return v, p.fail("no value begins with %s", quoteByte(p.s[p.i]))
}

var literals = []Value{{kind: Null, text: "null"}, {kind: Bool, text: "false"}, {kind: Bool, text: "true"}}

var unknownKinds = []stateward.UnknownKind{
	stateward.UnknownThrow, stateward.UnknownAbort, stateward.UnknownFunction, stateward.UnknownDepth,
	stateward.UnknownType, stateward.UnknownForm, stateward.UnknownHidden,
}

func quoteByte(c byte) string {
	if c > ' ' && c < 0x7f {
		return "'" + string(rune(c)) + "'"
	}
	return fmt.Sprintf("byte 0x%02x", c)
}

func (p *parser) list(depth int) (v Value, ok bool) {
	v.kind = List
	base := len(p.stack)
	p.i++
	for p.blanks(); ; p.blanks() {
		n := len(p.stack) - base
		if p.i < len(p.s) && p.s[p.i] == ']' && n == 0 {
			break
		}
		e, ok := p.value(depth + 1)
		if !ok {
			return v, p.within(fmt.Sprint(n))
		}
		p.stack = append(p.stack, member{value: e})
		p.blanks()
		if p.i >= len(p.s) {
			return v, p.fail("the text ends within a list")
		}
		if p.s[p.i] == ']' {
			break
		}
		if p.s[p.i] != ',' {
			return v, p.fail("expected ',' or ']', found %s", quoteByte(p.s[p.i]))
		}
		p.i++
	}
	p.i++
	v.kids = p.take(base)
	return v, true
}

func (p *parser) take(base int) []member {
	var kids []member
	if len(p.stack) > base {
		kids = slices.Clone(p.stack[base:])
		clear(p.stack[base:])
	}
	p.stack = p.stack[:base]
	return kids
}

func (p *parser) object(depth int) (v Value, ok bool) {
	v.kind = Attrs
	start, base, sorted, marker := p.i, len(p.stack), true, false
	p.i++
	for p.blanks(); ; p.blanks() {
		if p.i < len(p.s) && p.s[p.i] == '}' && len(p.stack) == base {
			break
		}
		if p.i >= len(p.s) {
			return v, p.fail("the text ends within an object")
		}
		if p.s[p.i] != '"' {
			return v, p.fail("expected a key, found %s", quoteByte(p.s[p.i]))
		}
		name, ok := p.text()
		if !ok {
			return v, false
		}
		if p.blanks(); p.i >= len(p.s) || p.s[p.i] != ':' {
			return v, p.fail("expected ':' after a key")
		}
		p.i++
		e, ok := p.value(depth + 1)
		if !ok {
			return v, p.within(name)
		}
		if name == markerKey {
			marker = true
		} else {
			name = strings.TrimPrefix(name, escapePrefix)
		}
		if n := len(p.stack); n > base && p.stack[n-1].name >= name {
			sorted = false
		}
		p.stack = append(p.stack, member{name, e})
		p.blanks()
		if p.i >= len(p.s) {
			return v, p.fail("the text ends within an object")
		}
		if p.s[p.i] == '}' {
			break
		}
		if p.s[p.i] != ',' {
			return v, p.fail("expected ',' or '}', found %s", quoteByte(p.s[p.i]))
		}
		p.i++
	}
	p.i++
	v.kids = p.take(base)
	if !sorted {
		slices.SortFunc(v.kids, func(a, b member) int { return strings.Compare(a.name, b.name) })
		for i := 1; i < len(v.kids); i++ {
			if v.kids[i].name == v.kids[i-1].name {
				return v, p.failAt(start, "key %q is there twice", v.kids[i].name)
			}
		}
	}
	if marker {
		return p.marked(start, v)
	}
	return v, true
}

// marked turns an object with the reserved key into what it stands for.
func (p *parser) marked(start int, raw Value) (Value, bool) {
	v := Value{}
	kind := raw.Get(markerKey)
	for i := range raw.kids {
		if raw.kids[i].name != markerKey {
			v.kids = append(v.kids, raw.kids[i])
		}
	}
	need := func(field string) bool {
		f := raw.Get(field)
		v.text = f.text
		return f.kind == String || p.failAt(start, "marker %q has no text %q", kind.text, field)
	}
	if kind.kind != String {
		return v, p.failAt(start, "%q is no text", markerKey)
	}
	ok := true
	switch kind.text {
	case "absent":
		v.kids = nil
	case "unknown":
		v.kind, ok = Unknown, need("kind")
		if ok && !slices.Contains(unknownKinds, stateward.UnknownKind(v.text)) {
			ok = p.failAt(start, "%q is no kind of unknown value", v.text)
		}
		for i := range v.kids {
			m := &v.kids[i]
			want := String
			if m.name == "line" {
				want = Int
			}
			if m.value.kind != want {
				return v, p.failAt(start, "%q of an unknown value is %s", m.name, m.value.kind)
			}
		}
	case "path":
		v.kind, ok = PathValue, need("path")
	case "derivation":
		v.kind, ok = Derivation, need("name")
	default:
		ok = p.failAt(start, "%q is no marker", kind.text)
	}
	return v, ok
}

func (p *parser) number() (Value, bool) {
	start, s := p.i, p.s
	i := p.i
	digits := func() bool {
		from := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > from
	}
	if s[i] == '-' {
		i++
	}
	zero := i < len(s) && s[i] == '0'
	intStart := i
	kind := Int
	ok := digits() && !(zero && i-intStart > 1)
	if ok && i < len(s) && s[i] == '.' {
		kind = Float
		i++
		ok = digits()
	}
	if ok && i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		kind = Float
		if i++; i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		ok = digits()
	}
	if !ok {
		return Value{}, p.failAt(start, "malformed number")
	}
	p.i = i
	v := Value{kind: kind, text: s[start:i]}
	if kind == Int {
		if _, ok := v.Int(); !ok {
			return v, p.failAt(start, "integer does not fit into 64 bits")
		}
	}
	return v, true
}

// text reads a string. The common one, without escapes, shares the input.
func (p *parser) text() (string, bool) {
	start := p.i
	p.i++
	for from := p.i; p.i < len(p.s); {
		switch c := p.s[p.i]; {
		case c == '"':
			t := p.s[from:p.i]
			p.i++
			return t, true
		case c == '\\':
			return p.escaped(start, from)
		case c < 0x20:
			return "", p.fail("%s within a text must be escaped", quoteByte(c))
		case c < utf8.RuneSelf:
			p.i++
		default:
			if !p.rune() {
				return "", false
			}
		}
	}
	return "", p.failAt(start, "the text ends within a string")
}

func (p *parser) rune() bool {
	r, n := utf8.DecodeRuneInString(p.s[p.i:])
	if r == utf8.RuneError && n <= 1 {
		return p.fail("byte 0x%02x is no UTF-8", p.s[p.i])
	}
	p.i += n
	return true
}

func (p *parser) escaped(start, from int) (string, bool) {
	b := []byte(p.s[from:p.i])
	for p.i < len(p.s) {
		switch c := p.s[p.i]; {
		case c == '"':
			p.i++
			return string(b), true
		case c == '\\':
			var ok bool
			if b, ok = p.escape(b); !ok {
				return "", false
			}
		case c < 0x20:
			return "", p.fail("%s within a text must be escaped", quoteByte(c))
		case c < utf8.RuneSelf:
			b = append(b, c)
			p.i++
		default:
			at := p.i
			if !p.rune() {
				return "", false
			}
			b = append(b, p.s[at:p.i]...)
		}
	}
	return "", p.failAt(start, "the text ends within a string")
}

func (p *parser) escape(b []byte) ([]byte, bool) {
	if p.i+1 >= len(p.s) {
		return b, p.fail("the text ends within an escape")
	}
	c := p.s[p.i+1]
	if j := strings.IndexByte(`"\/bfnrt`, c); j >= 0 {
		p.i += 2
		return append(b, "\"\\/\b\f\n\r\t"[j]), true
	}
	if c != 'u' {
		return b, p.fail("'\\%s' is no escape", strings.Trim(quoteByte(c), "'"))
	}
	r, ok := p.hex(p.i + 2)
	if !ok {
		return b, p.fail("malformed \\u escape")
	}
	n := 6
	if utf16.IsSurrogate(r) {
		low, ok := rune(0), false
		if strings.HasPrefix(p.s[min(p.i+6, len(p.s)):], `\u`) {
			low, ok = p.hex(p.i + 8)
		}
		if r = utf16.DecodeRune(r, low); !ok || r == utf8.RuneError {
			return b, p.fail("half of a surrogate pair")
		}
		n = 12
	}
	p.i += n
	return utf8.AppendRune(b, r), true
}

func (p *parser) hex(at int) (rune, bool) {
	if at+4 > len(p.s) {
		return 0, false
	}
	var r rune
	for _, c := range []byte(p.s[at : at+4]) {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}
