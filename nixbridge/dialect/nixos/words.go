package nixos

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/stateward/stateward"
	"github.com/stateward/stateward/nixbridge/dialect"
)

const blanks = " \t\n\r"

// splitWords mirrors extract_first_word of systemd's src/basic/extract-word.c with EXTRACT_UNQUOTE and
// EXTRACT_RETAIN_ESCAPE: single and double quotes group wherever they stand, backslashes stay.
func splitWords(s string) ([]string, error) {
	var words []string
	var b strings.Builder
	in, quote := false, byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			} else {
				b.WriteByte(c)
			}
		case c == '\'' || c == '"':
			in, quote = true, c
		case strings.IndexByte(blanks, c) >= 0:
			if in {
				words = append(words, b.String())
				b.Reset()
			}
			in = false
		default:
			in = true
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("%q has an open quote", s)
	}
	if in {
		words = append(words, b.String())
	}
	return words, nil
}

// unescape mirrors cunescape of systemd's src/basic/escape.c.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		meant, n, err := unescapeOne(s[i+1:])
		if err != nil {
			return "", fmt.Errorf("%q %w", s, err)
		}
		b.WriteString(meant)
		i += n
	}
	return b.String(), nil
}

// unescapeOne mirrors cunescape_one: s begins behind the backslash, and n bytes of it are the escape.
func unescapeOne(s string) (meant string, n int, err error) {
	const letters, bytes = `abfnrtv\"'s`, "\a\b\f\n\r\t\v\\\"' "
	digits := map[byte]struct{ n, base int }{'x': {2, 16}, 'u': {4, 16}, 'U': {8, 16}}
	if s == "" {
		return "", 0, errors.New("ends in a backslash")
	}
	if j := strings.IndexByte(letters, s[0]); j >= 0 {
		return bytes[j : j+1], 1, nil
	}
	d, from := digits[s[0]], 1
	if d.n == 0 {
		d.n, d.base, from = 3, 8, 0
	}
	if from+d.n > len(s) {
		return "", 0, errors.New("has an escape that is cut off")
	}
	r, err := strconv.ParseUint(s[from:from+d.n], d.base, 32)
	// No name holds a NUL, and one byte is at most 255.
	if err != nil || r == 0 || d.n < 4 && r > 0xff || d.n >= 4 && !utf8.ValidRune(rune(r)) {
		return "", 0, errors.New("has an escape that systemd does not know")
	}
	if d.n < 4 {
		return string([]byte{byte(r)}), from + d.n, nil
	}
	return string(rune(r)), from + d.n, nil
}

// word is one element of a setting such as StateDirectory=, with its ":alias".
type word struct {
	text   string
	origin stateward.Origin
}

// wordList is what a setting holds, whatever way it was spelt: one text with blanks between
// elements, or a list of such texts, of which an empty one resets what stood before
// it. What could not be understood is in why, and words holds the rest.
type wordList struct {
	words []word
	there bool
	why   *stateward.Unknown
}

func readWords(n *dialect.Node) wordList {
	texts := n.Texts()
	l := wordList{there: !texts.IsAbsent()}
	if why, unknown := texts.Why(); unknown {
		l.why = &why
	}
	for _, t := range texts.Or(nil) {
		s, ok := t.Get()
		if !ok {
			if why, unknown := t.Why(); unknown {
				l.why = &why
			}
			continue
		}
		words, err := splitWords(s)
		for i := 0; i < len(words) && err == nil; i++ {
			words[i], err = unescape(words[i])
		}
		switch {
		case err != nil:
			why := n.Wrong(stateward.UnknownForm, "%v", err)
			l.why = &why
		case len(words) == 0:
			l.words, l.why = nil, nil
		}
		if err != nil {
			continue
		}
		for _, w := range words {
			l.words = append(l.words, word{text: w, origin: t.Origin()})
		}
	}
	return l
}

func (l wordList) value(o stateward.Origin) stateward.Value[[]string] {
	switch {
	case l.why != nil:
		return stateward.NotKnown[[]string](*l.why)
	case !l.there:
		return stateward.Absent[[]string](o)
	}
	list := make([]string, len(l.words))
	for i, w := range l.words {
		list[i] = w.text
	}
	return stateward.Known(list, o)
}
