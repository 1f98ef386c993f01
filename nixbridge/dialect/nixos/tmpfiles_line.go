package nixos

import (
	"errors"
	"fmt"
	"strings"
)

// tmpfilesLine is one line of tmpfiles.d(5), read as systemd reads it.
type tmpfilesLine struct {
	// kind is the letter with its modifiers.
	kind string
	// path has its specifiers resolved; unresolved tells that one is left that only the running machine knows.
	path       string
	unresolved bool
	// mode, user, group and age are empty where they are left out, or "-".
	mode, user, group, age string
	// argument is as meant, for the types that have a path or a text there.
	argument string
	given    bool
}

// parseTmpfilesLine mirrors parse_line of systemd's src/tmpfiles/tmpfiles.c. The error says why systemd ignores
// the line. there is false for an empty line and a comment.
func parseTmpfilesLine(text string) (l tmpfilesLine, there bool, err error) {
	text = strings.Trim(text, blanks)
	if text == "" || text[0] == '#' {
		return l, false, nil
	}
	var fields [6]string
	n := 0
	for ; n < len(fields); n++ {
		word, rest, ok, err := firstWord(text)
		if err != nil {
			return l, true, err
		}
		if !ok {
			break
		}
		fields[n], text = word, rest
	}
	if n < 2 {
		return l, true, errors.New("has no path")
	}
	l = tmpfilesLine{kind: fields[0], path: fields[1], mode: filled(fields[2]), user: filled(fields[3]), group: filled(fields[4]), age: filled(fields[5])}
	if l.kind == "" {
		return l, true, errors.New("has no type")
	}
	if !strings.Contains(tmpfilesTypes, l.kind[:1]) {
		return l, true, fmt.Errorf("has type %q, which systemd does not know", l.kind)
	}
	for i, m := range l.kind[1:] {
		if !strings.ContainsRune(tmpfilesModifiers, m) || strings.ContainsRune(l.kind[1:1+i], m) {
			return l, true, fmt.Errorf("has type %q, and systemd does not know the modifier", l.kind)
		}
	}
	if l.path, l.unresolved, err = tmpfilesSpecifiers(l.path); err != nil {
		return l, true, err
	}
	if !strings.HasPrefix(l.path, "/") {
		return l, true, fmt.Errorf("%q is not absolute", l.path)
	}
	if l.kind[0] == 'L' && strings.Contains(l.kind, "~") {
		return l, true, errors.New("decodes the target of a link, which systemd refuses")
	}
	if l.given = filled(text) != ""; l.given {
		err = l.readArgument(text)
	}
	return l, true, err
}

// readArgument mirrors specifier_expansion_from_arg.
func (l *tmpfilesLine) readArgument(text string) error {
	l.argument = text
	if !strings.Contains("fFwLC", l.kind[:1]) || strings.Contains(l.kind, "~") || strings.Contains(l.kind, "^") {
		return nil
	}
	meant, err := unescape(text)
	if err != nil {
		return err
	}
	argument, unresolved, err := tmpfilesSpecifiers(meant)
	if err != nil {
		return err
	}
	if unresolved {
		l.unresolved = l.unresolved || l.kind[0] == 'L'
		argument = meant
	}
	l.argument = argument
	return nil
}

const (
	tmpfilesTypes     = "fFwdDevqQpLcbCxXrRzZtThHaAm"
	tmpfilesModifiers = "!+-=~^$?"
)

// filled is empty for "-", which stands for nothing.
func filled(s string) string {
	if s == "-" {
		return ""
	}
	return s
}

// firstWord mirrors extract_first_word of systemd's src/basic/extract-word.c with EXTRACT_UNQUOTE and
// EXTRACT_CUNESCAPE. rest begins with the next word.
func firstWord(s string) (word, rest string, ok bool, err error) {
	s = strings.TrimLeft(s, blanks)
	if s == "" {
		return "", "", false, nil
	}
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			meant, n, err := unescapeOne(s[i+1:])
			if err != nil {
				return "", "", false, fmt.Errorf("%q %w", s, err)
			}
			b.WriteString(meant)
			i += n
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			b.WriteByte(c)
		case c == '\'' || c == '"':
			quote = c
		case strings.IndexByte(blanks, c) >= 0:
			return b.String(), strings.TrimLeft(s[i:], blanks), true, nil
		default:
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return "", "", false, fmt.Errorf("%q has an open quote", s)
	}
	return b.String(), "", true, nil
}

// tmpfilesSpecifiers mirrors specifier_printf with the table of tmpfiles.c. Those that only the running machine knows, such
// as its id, stay as they are, and so does what cannot be one.
func tmpfilesSpecifiers(s string) (out string, unresolved bool, err error) {
	if !strings.Contains(s, "%") {
		return s, false, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if meant, ok := tmpfilesKnown[s[i]]; ok {
			b.WriteString(meant)
			continue
		}
		later := strings.IndexByte(tmpfilesLater, s[i]) >= 0
		if c := s[i] | 0x20; !later && (c >= 'a' && c <= 'z' || s[i] >= '0' && s[i] <= '9') {
			return "", false, fmt.Errorf("%q has a specifier that systemd does not know", s)
		}
		unresolved = unresolved || later
		b.WriteString(s[i-1 : i+1])
	}
	return b.String(), unresolved, nil
}

// tmpfilesKnown are the specifiers that mean the same on every machine, for the system's own instance.
var tmpfilesKnown = map[byte]string{
	'%': "%", 'C': "/var/cache", 'L': "/var/log", 'S': "/var/lib", 't': "/run", 'T': "/tmp", 'V': "/var/tmp",
	'h': "/root", 'u': "root", 'U': "0", 'g': "root", 'G': "0",
}

const tmpfilesLater = "aAbBHlmMovwW"
