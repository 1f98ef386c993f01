package aggregate

import (
	"cmp"
	"strings"

	"github.com/stateward/stateward"
)

// compareOrigins orders declarations as a reader finds them: by option, with the
// elements of a list in their order, then by file and line.
func compareOrigins(a, b stateward.Origin) int {
	return cmp.Or(compareNatural(a.Option, b.Option), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
}

// compareNatural compares texts with their numbers as numbers: "a[9]" before "a[10]".
func compareNatural(a, b string) int {
	for a != "" && b != "" {
		m, n := leadingDigits(a), leadingDigits(b)
		if m > 0 && n > 0 {
			x, y := strings.TrimLeft(a[:m], "0"), strings.TrimLeft(b[:n], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y), cmp.Compare(m, n)); c != 0 {
				return c
			}
			a, b = a[m:], b[n:]
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func leadingDigits(s string) int {
	return len(s) - len(strings.TrimLeft(s, "0123456789"))
}
