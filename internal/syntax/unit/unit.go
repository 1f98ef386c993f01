// Package unit writes unit files of systemd. It knows how systemd quotes, and nothing of what is run.
package unit

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-systemd/v22/unit"
)

// Option is a line of a unit file. Value is what stands behind the "=".
type Option struct{ Section, Name, Value string }

// ValueError says why a value cannot be written.
type ValueError struct {
	Name, Value, Reason string
}

func (e *ValueError) Error() string {
	return fmt.Sprintf("cannot write %q for %s= of a unit: it %s", e.Value, e.Name, e.Reason)
}

// Write writes a unit file, section by section. A value that systemd would not read back as it is,
// such as one with a line break, is a *[ValueError].
func Write(options ...Option) (string, error) {
	list := make([]*unit.UnitOption, len(options))
	for i, o := range options {
		if reason := problem(o.Value); reason != "" {
			return "", &ValueError{o.Name, o.Value, reason}
		}
		list[i] = unit.NewUnitOption(o.Section, o.Name, o.Value)
	}
	text, err := io.ReadAll(unit.Serialize(list))
	return string(text), err
}

func problem(value string) string {
	switch {
	case !utf8.ValidString(value):
		return "is no UTF-8"
	case strings.ContainsFunc(value, unicode.IsControl):
		return "has a control character, such as a line break"
	case strings.HasSuffix(value, `\`):
		return "ends in a backslash, which continues the line"
	case strings.TrimSpace(value) != value:
		return "begins or ends with a blank, which is dropped"
	}
	return ""
}

// Specifiers keeps "%" from beginning a specifier (systemd.unit(5)). Not every option takes specifiers; those that take a path do.
func Specifiers(s string) string { return strings.ReplaceAll(s, "%", "%%") }

const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@+,="

// Exec is the value of an option of the Exec kind, such as ExecStart=, that runs these words (systemd.service(5)). The first must be
// an absolute path, since a prefix such as "-" or "!" before it means something.
func Exec(words ...string) (string, error) {
	if len(words) == 0 || !strings.HasPrefix(words[0], "/") {
		return "", fmt.Errorf("cannot write %q as a command of a unit: it does not begin with an absolute path", words)
	}
	quoted := make([]string, len(words))
	for i, w := range words {
		if i == 0 && strings.ContainsFunc(w, func(r rune) bool { return r == '$' || r == '%' }) {
			return "", fmt.Errorf("cannot write %q as a command of a unit: its path has a $ or %%", w)
		}
		quoted[i] = quote(w, true)
	}
	return strings.Join(quoted, " "), nil
}

// Words is the value of an option that takes words and specifiers and no variables, such as RequiresMountsFor=, and of a line of
// tmpfiles.d(5).
func Words(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = quote(w, false)
	}
	return strings.Join(quoted, " ")
}

// quote writes one word; in a command "$" begins a variable.
func quote(w string, command bool) string {
	if w != "" && strings.Trim(w, plain) == "" {
		return w
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(w) {
		switch c := w[i]; {
		case c == '"' || c == '\\':
			b.WriteString(`\` + string(c))
		case c == '%' || c == '$' && command:
			b.WriteString(string(c) + string(c))
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
