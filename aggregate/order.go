package aggregate

import (
	"cmp"
	"strings"

	"github.com/stateward/stateward"
)

// compareOrigins orders declarations as a reader finds them: by option, with the
// elements of a list in their order, then by file and line.
func compareOrigins(a, b stateward.Origin) int {
	if c := compareNatural(a.Option, b.Option); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
}

// compareNatural compares texts with their numbers as numbers: "a[9]" before "a[10]".
func compareNatural(a, b string) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	// The numbers in which they differ may have begun before.
	for i > 0 && isDigit(a[i-1]) {
		i--
	}
	a, b = a[i:], b[i:]
	m, n := leadingDigits(a), leadingDigits(b)
	if m == 0 || n == 0 {
		return cmp.Compare(a, b)
	}
	x, y := strings.TrimLeft(a[:m], "0"), strings.TrimLeft(b[:n], "0")
	return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y), cmp.Compare(m, n), cmp.Compare(a, b))
}

func leadingDigits(s string) int {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return n
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
