package stateward

import (
	"cmp"
	"fmt"
	"strings"
)

// Origin says where a fact was read: the option path, and where the module
// system tells it, the file and line of the definition.
type Origin struct {
	// Option is the path as Nix prints it, e.g.
	// `environment.persistence."/persist".directories[3]`.
	Option string `json:"option,omitempty"`
	// File is relative to the flake where it lies inside it, else absolute.
	// Empty when nix does not tell (generated attributes).
	File string `json:"file,omitempty"`
	// Line counts from 1; 0 when nix does not tell.
	Line int `json:"line,omitempty"`
}

func (o Origin) String() string {
	switch {
	case o.File == "":
		return o.Option
	case o.Line == 0:
		return o.Option + " (" + o.File + ")"
	default:
		return fmt.Sprintf("%s (%s:%d)", o.Option, o.File, o.Line)
	}
}

// UnknownKind says why a fact is unknown.
type UnknownKind string

const (
	// UnknownThrow is a `throw` or a failed `assert` inside the value.
	UnknownThrow UnknownKind = "throw"
	// UnknownAbort is an error that ends the evaluation: a missing attribute, a
	// type error, `abort`, infinite recursion.
	UnknownAbort UnknownKind = "abort"
	// UnknownFunction is a function where a value was expected.
	UnknownFunction UnknownKind = "function"
	// UnknownDepth is a value nested deeper than is read.
	UnknownDepth UnknownKind = "depth"
	// UnknownType is a value of another type than the option has.
	UnknownType UnknownKind = "type"
	// UnknownForm is a value of the right type that cannot be understood, such
	// as a mode "999".
	UnknownForm UnknownKind = "form"
	// UnknownHidden is a fact that lies outside of what options show, such as
	// the text of a script that only exists once it is built.
	UnknownHidden UnknownKind = "hidden"
)

// Unknown is one fact that could not be had, and why.
type Unknown struct {
	// Subject is the option path.
	Subject string      `json:"subject"`
	Kind    UnknownKind `json:"kind"`
	// Message is nix's own, or what was expected and what was found.
	Message string `json:"message,omitempty"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
}

// String is one line, whatever the message is.
func (u Unknown) String() string {
	if s := u.Summary(); s != "" {
		return fmt.Sprintf("%s: %s", u.Subject, s)
	}
	return fmt.Sprintf("%s: %s", u.Subject, u.Kind)
}

// Summary is the message on one line, without the dump of definitions that the module system appends to some.
func (u Unknown) Summary() string {
	message, _, _ := strings.Cut(u.Message, "Definition values:")
	return strings.Join(strings.Fields(message), " ")
}

// CompareUnknown orders by subject, then by kind and message.
func CompareUnknown(a, b Unknown) int {
	return cmp.Or(cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Message, b.Message))
}

type valueState uint8

const (
	stateAbsent valueState = iota
	stateKnown
	stateUnknown
)

// Value is a fact that is known, absent or unknown, with its origin.
// The zero Value is absent.
type Value[T any] struct {
	value  T
	state  valueState
	why    *Unknown
	origin *Origin
}

// Known returns a known fact.
func Known[T any](v T, o Origin) Value[T] {
	return Value[T]{value: v, state: stateKnown, origin: originOrNil(o)}
}

// Absent returns a fact that the configuration does not state; the origin is
// where it would have stood.
func Absent[T any](o Origin) Value[T] {
	return Value[T]{origin: originOrNil(o)}
}

// NotKnown returns a fact that could not be had.
func NotKnown[T any](why Unknown) Value[T] {
	return Value[T]{state: stateUnknown, why: &why, origin: originOrNil(Origin{Option: why.Subject, File: why.File, Line: why.Line})}
}

func originOrNil(o Origin) *Origin {
	if o == (Origin{}) {
		return nil
	}
	return &o
}

// Get returns the fact; ok is false when it is absent or unknown. A caller for
// whom the two differ asks [Value.Why] first.
func (v Value[T]) Get() (T, bool) { return v.value, v.state == stateKnown }

// Or returns the fact, or def when it is absent or unknown. Use it only where
// unknown has been dealt with.
func (v Value[T]) Or(def T) T {
	if v.state == stateKnown {
		return v.value
	}
	return def
}

// IsKnown tells whether there is a value.
func (v Value[T]) IsKnown() bool { return v.state == stateKnown }

// IsAbsent tells whether the configuration states nothing.
func (v Value[T]) IsAbsent() bool { return v.state == stateAbsent }

// IsUnknown tells whether the fact could not be had.
func (v Value[T]) IsUnknown() bool { return v.state == stateUnknown }

// Why returns the reason when the fact is unknown.
func (v Value[T]) Why() (Unknown, bool) {
	if v.state != stateUnknown || v.why == nil {
		return Unknown{}, false
	}
	return *v.why, true
}

// Origin returns where the fact was read; it is zero when that is not known.
func (v Value[T]) Origin() Origin {
	if v.origin == nil {
		return Origin{}
	}
	return *v.origin
}

// MapValue parses a known fact into another type. An error makes it unknown
// with kind [UnknownForm] and the error's text; absent and unknown stay so.
func MapValue[T, U any](v Value[T], parse func(T) (U, error)) Value[U] {
	out := Value[U]{state: v.state, why: v.why, origin: v.origin}
	if v.state != stateKnown {
		return out
	}
	u, err := parse(v.value)
	if err != nil {
		o := v.Origin()
		out.state = stateUnknown
		out.why = &Unknown{Subject: o.Option, Kind: UnknownForm, Message: err.Error(), File: o.File, Line: o.Line}
		return out
	}
	out.value = u
	return out
}

func (v Value[T]) String() string {
	switch v.state {
	case stateKnown:
		return fmt.Sprint(v.value)
	case stateUnknown:
		return "unknown (" + v.why.String() + ")"
	default:
		return "absent"
	}
}

// OptionPath joins components the way Nix prints them, quoting those that are
// no identifiers: OptionPath("environment", "persistence", "/persist") is
// `environment.persistence."/persist"`.
func OptionPath(components ...string) string {
	var b strings.Builder
	for i, c := range components {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(quoteAttr(c))
	}
	return b.String()
}

var attrEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "${", `\${`)

// quoteAttr mirrors nix's printAttributeName (src/libexpr/print.cc).
func quoteAttr(s string) string {
	if isIdentifier(s) {
		return s
	}
	return `"` + attrEscapes.Replace(s) + `"`
}

func isIdentifier(s string) bool {
	switch s {
	case "", "if", "then", "else", "assert", "with", "let", "in", "rec", "inherit", "or":
		return false
	}
	for i, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		case i > 0 && (c >= '0' && c <= '9' || c == '-' || c == '\''):
		default:
			return false
		}
	}
	return true
}
