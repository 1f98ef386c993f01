// Package text prints what came out of a configuration, so that it can neither steer a terminal nor pass
// for a line of ours, and finds the word that a mistyped one was meant to be.
package text

import (
	"fmt"
	"strings"
)

// Printable makes control characters visible and indents what follows a line break.
func Printable(s string) string {
	var b strings.Builder
	for _, r := range strings.TrimRight(s, "\n") {
		switch {
		case r == '\n':
			b.WriteString("\n    ")
		case r == '\t':
			b.WriteByte(' ')
		case r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0 || isBidi(r):
			fmt.Fprintf(&b, "\\x%02x", r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Line is Printable for what must stay on its line: a name with a line break
// must not look like a finding of its own.
func Line(s string) string { return Printable(strings.ReplaceAll(s, "\n", `\n`)) }

// isBidi tells the characters that reorder what a terminal shows.
func isBidi(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f
}
