// Package shell writes bash. It knows how bash quotes, and nothing of what is run.
package shell

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"
)

// Quote returns one word that bash reads back to the same bytes, on one line. A word that begins with "-" is an option
// to most programs all the same: put "--" before it. A NUL byte, which no argument can hold, is an error.
func Quote(s string) (string, error) {
	q, err := syntax.Quote(s, syntax.LangBash)
	if err != nil {
		return "", fmt.Errorf("cannot write %q for a shell: %w", s, err)
	}
	if strings.HasPrefix(q, "$'") {
		return escape(s), nil
	}
	return q, nil
}

// escape writes a word whose bytes are the same in every locale: what \u stands for differs in the C locale.
func escape(s string) string {
	var b strings.Builder
	b.WriteString("$'")
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == '\\' || r == '\'':
			b.WriteString(`\` + s[:n])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case (r != utf8.RuneError || n > 1) && unicode.IsPrint(r):
			b.WriteString(s[:n])
		default:
			for i := range n {
				fmt.Fprintf(&b, `\%03o`, s[i])
			}
		}
		s = s[n:]
	}
	b.WriteString("'")
	return b.String()
}

const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:@%+,="

// Command writes one command on one line.
func Command(words ...string) (string, error) {
	quoted := make([]string, len(words))
	for i, w := range words {
		// An option such as --x=y is no assignment once a command stands before it.
		if i > 0 && w != "" && strings.Trim(w, plain) == "" {
			quoted[i] = w
			continue
		}
		q, err := Quote(w)
		if err != nil {
			return "", err
		}
		quoted[i] = q
	}
	return strings.Join(quoted, " "), nil
}

// Comment writes text as comment lines. What would end a line, or steer a terminal, is a blank.
func Comment(lines ...string) string {
	var b strings.Builder
	for _, l := range lines {
		l = strings.Map(func(r rune) rune {
			if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r == 0x2028 || r == 0x2029 {
				return ' '
			}
			return r
		}, l)
		b.WriteString(strings.TrimRight("# "+l, " ") + "\n")
	}
	return b.String()
}
