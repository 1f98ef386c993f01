package dataset

import (
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// Size is a number of bytes.
type Size uint64

// SizeError says why a text is no size.
type SizeError struct {
	Text   string
	Reason string
}

func (e *SizeError) Error() string { return fmt.Sprintf("size %q %s", e.Text, e.Reason) }

// Hint says what to write instead.
func (e *SizeError) Hint() string {
	return "write a number of bytes, or one with K, M, G, T, P or E, which are powers of 1024: 128K"
}

const units = "BKMGTPEZ"

// ParseSize reads a size as zfs(8) does (zfs_nicestrtonum in libzfs_util.c): "131072", "128K", "128k", "128KB", "128KiB",
// "1.5G"; units are powers of 1024. Unlike there a leading zero is refused, since C reads such a number as octal, and so is
// one in hexadecimal. The error is a *[SizeError].
func ParseSize(s string) (Size, error) {
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || s[end] == '.') {
		end++
	}
	number, unit := s[:end], s[end:]
	switch {
	case s == "":
		return 0, &SizeError{s, "is empty"}
	case number == "":
		return 0, &SizeError{s, "does not begin with a digit"}
	case len(number) > 1 && number[0] == '0' && number[1] != '.':
		return 0, &SizeError{s, "begins with a zero, which zfs takes for an octal number"}
	}
	shift := 0
	if unit != "" {
		i := strings.IndexByte(units, upper(unit[0]))
		rest := strings.ToUpper(unit[1:])
		if i < 0 || rest != "" && (i == 0 || rest != "B" && rest != "IB") {
			return 0, &SizeError{s, fmt.Sprintf("has a unit %q that zfs does not know", unit)}
		}
		shift = 10 * i
	}
	if strings.Contains(number, ".") {
		f, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return 0, &SizeError{s, "is no number"}
		}
		if f = math.Ldexp(f, shift); f >= math.MaxUint64 {
			return 0, &SizeError{s, "is larger than 16 EiB"}
		}
		return Size(f), nil
	}
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil || shift > 0 && n != 0 && bits.Len64(n)+shift > 64 {
		return 0, &SizeError{s, "is larger than 16 EiB"}
	}
	return Size(n << shift), nil
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// String is the shortest text that [ParseSize] reads back as the same: "128K", "1M", "1000".
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	i := 0
	for i < 6 && s%1024 == 0 {
		s /= 1024
		i++
	}
	if i == 0 {
		return strconv.FormatUint(uint64(s), 10)
	}
	return strconv.FormatUint(uint64(s), 10) + units[i:i+1]
}

func (s Size) powerOfTwo() bool { return s != 0 && s&(s-1) == 0 }
