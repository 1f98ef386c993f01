// Package nix writes Nix expressions, laid out as the formatter alejandra leaves them. It knows how Nix quotes, and nothing of
// what is written.
package nix

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// String writes a string literal that nix reads back to the same bytes. It
// mirrors the escapes of nix's lexer (src/libexpr/lexer.l): \\, \", \$, \n, \r, \t.
func String(s string) string {
	var b strings.Builder
	b.Grow(len(s) + 2)
	b.WriteByte('"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\\', '"':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '$':
			// Only "${" begins an antiquotation; "$$" before it would shield it.
			b.WriteString(`\$`)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// Attr is one attribute of a [Set].
type Attr struct {
	Name  string
	Value any
}

// Set is an attribute set, written in the order given. One attribute stands on the line of its braces, where its value takes no more.
type Set []Attr

// Block is an attribute set with a line for each attribute. A name is written as it is, and may be a path such as systemd.services.
type Block []Attr

// Text is a text of several lines, which is written between two pairs of single quotes.
type Text string

// List is a list.
type List []any

// Raw is an expression that is written as it is; as an element of a list in parentheses, unless it is one word.
type Raw string

// Head is the pattern of a function that takes the named arguments of a module and lets others be: its body follows.
func Head(args ...string) string {
	if len(args) < 2 {
		return "{" + strings.Join(append(args, "..."), ", ") + "}: "
	}
	return "{\n  " + strings.Join(args, ",\n  ") + ",\n  ...\n}: "
}

// Write returns v as an expression, indented by depth levels of two spaces. It
// takes string, bool, int, [Set], [Block], [Text], [List] and [Raw], and what a [Module] sets; anything else is an error.
// NUL bytes, which no Nix string can hold, are an error too.
func Write(v any, depth int) (string, error) {
	var b strings.Builder
	if err := write(&b, v, depth); err != nil {
		return "", err
	}
	return b.String(), nil
}

func write(b *strings.Builder, v any, depth int) error {
	in := strings.Repeat("  ", depth+1)
	out := strings.Repeat("  ", depth)
	switch v := v.(type) {
	case string:
		if err := checkText(v); err != nil {
			return err
		}
		b.WriteString(String(v))
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int:
		if int64(v) == math.MinInt64 {
			// Nix reads the minus sign apart, and the number behind it is too large.
			b.WriteString("(-9223372036854775807 - 1)")
			return nil
		}
		b.WriteString(strconv.Itoa(v))
	case Raw:
		b.WriteString(string(v))
	case Text:
		if err := checkText(string(v)); err != nil {
			return err
		}
		writeText(b, string(v), in, out)
	case Block:
		if len(v) == 0 {
			b.WriteString("{}")
			return nil
		}
		b.WriteString("{\n")
		for _, a := range v {
			b.WriteString(in + a.Name + " = ")
			if err := writeValue(b, a.Value, depth+1); err != nil {
				return err
			}
			b.WriteString(";\n")
		}
		b.WriteString(out + "}")
	case List:
		if len(v) == 0 {
			b.WriteString("[]")
			return nil
		}
		b.WriteString("[\n")
		for _, e := range v {
			b.WriteString(in)
			if err := writeElement(b, e, depth+1); err != nil {
				return err
			}
			b.WriteByte('\n')
		}
		b.WriteString(out + "]")
	case Set:
		block := make(Block, len(v))
		for i, a := range v {
			if err := checkText(a.Name); err != nil {
				return err
			}
			block[i] = Attr{Name: attrName(a.Name), Value: a.Value}
		}
		if len(v) == 1 {
			var one strings.Builder
			if err := writeValue(&one, v[0].Value, depth); err != nil {
				return err
			}
			if !strings.Contains(one.String(), "\n") {
				b.WriteString("{" + block[0].Name + " = " + one.String() + ";}")
				return nil
			}
		}
		return write(b, block, depth)
	default:
		e, err := expression(v, depth)
		if err != nil {
			return err
		}
		return write(b, e, depth)
	}
	return nil
}

// writeText writes an indented string, as nix's lexer reads it (src/libexpr/lexer.l, state IND_STRING): nix takes the indentation away that all
// lines share. A text that would lose more than that, or a blank at the end of it all, is written on one line.
func writeText(b *strings.Builder, s, in, out string) {
	sound := strings.HasSuffix(s, "\n")
	flush := false // a line without indentation of its own
	for line := range strings.SplitSeq(strings.TrimSuffix(s, "\n"), "\n") {
		sound = sound && (line == "" || strings.Trim(line, " ") != "")
		flush = flush || line != "" && line[0] != ' '
	}
	if !sound || !flush {
		b.WriteString(String(s))
		return
	}
	b.WriteString("''\n")
	for line := range strings.SplitSeq(strings.TrimSuffix(s, "\n"), "\n") {
		if line != "" {
			b.WriteString(in)
		}
		for i := 0; i < len(line); i++ {
			rest := line[i+1:]
			switch c := line[i]; {
			case c == '\'' && (rest == "" || rest[0] == '\'' || rest[0] == '$' || rest[0] == '\t' || rest[0] == '\r' || i > 0 && line[i-1] == '\''):
				// One that stood beside another, or before the escape of what follows, would be a part of it.
				b.WriteString(`''\'`)
			case c == '$' && strings.HasPrefix(rest, "{"):
				b.WriteString("''$")
			case c == '$' && strings.HasPrefix(rest, "$"):
				b.WriteString("''$") // "$$" before "{" would shield it
			case c == '\t':
				b.WriteString(`''\t`)
			case c == '\r':
				b.WriteString(`''\r`)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('\n')
	}
	b.WriteString(out + "''")
}

// writeValue writes the value of an attribute, where nothing needs parentheses.
func writeValue(b *strings.Builder, v any, depth int) error {
	if n, ok := v.(int); ok && int64(n) == math.MinInt64 {
		b.WriteString("-9223372036854775807 - 1")
		return nil
	}
	return write(b, v, depth)
}

// writeElement puts what is more than one word in parentheses: a list would take
// "f x" for two elements, and does not know a sign.
func writeElement(b *strings.Builder, v any, depth int) error {
	switch v.(type) {
	case Config, Package, Default, After:
		e, err := expression(v, depth)
		if err != nil {
			return err
		}
		v = e
	}
	switch v := v.(type) {
	case int:
		if v >= 0 || int64(v) == math.MinInt64 {
			return write(b, v, depth)
		}
	case Raw:
		if isWord(string(v)) {
			return write(b, v, depth)
		}
	default:
		return write(b, v, depth)
	}
	b.WriteByte('(')
	if err := write(b, v, depth); err != nil {
		return err
	}
	b.WriteByte(')')
	return nil
}

// isWord tells whether an expression is an empty list or set, or a name with what is selected of it by plain names.
func isWord(s string) bool {
	if s == "[]" || s == "{}" {
		return true
	}
	for name := range strings.SplitSeq(s, ".") {
		if attrName(name) != name {
			return false
		}
	}
	return true
}

func checkText(s string) error {
	if strings.IndexByte(s, 0) >= 0 {
		return fmt.Errorf("text %q holds a NUL byte, which no nix string can", s)
	}
	return nil
}

func attrName(s string) string {
	for i, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		case i > 0 && (c >= '0' && c <= '9' || c == '-' || c == '\''):
		default:
			return String(s)
		}
	}
	switch s {
	case "", "if", "then", "else", "assert", "with", "let", "in", "rec", "inherit", "or":
		return String(s)
	}
	return s
}
