package stateward

import (
	"fmt"
	"strconv"
	"strings"
)

// Mode is a file mode: the twelve permission bits of chmod(2). The zero Mode is
// unset; mode 0000 is another thing.
type Mode struct {
	bits uint16
	set  bool
}

// ModeError says why a text is no file mode.
type ModeError struct {
	Text   string
	Reason string
}

func (e *ModeError) Error() string { return fmt.Sprintf("mode %q %s", e.Text, e.Reason) }

// Hint says what to write instead.
func (e *ModeError) Hint() string {
	return `write three or four octal digits, such as "0750", or "u=rwx,g=rx,o="`
}

// NewMode returns a mode of the given bits, 0 to 07777.
func NewMode(bits uint16) (Mode, error) {
	if bits > 0o7777 {
		return Mode{}, &ModeError{Text: fmt.Sprintf("%#o", bits), Reason: "has more than twelve bits"}
	}
	return Mode{bits: bits, set: true}, nil
}

// ParseMode accepts three or four octal digits ("750", "0750") and the symbolic
// form of chmod(1) with "=" for all three classes ("u=rwx,g=rx,o=", "a=rx"), as
// the options of Impermanence and tmpfiles.d do. A symbolic mode that leaves a
// class out or uses "+" or "-" depends on what is there already and is refused.
// The error is a *[ModeError].
func ParseMode(s string) (Mode, error) {
	if s == "" {
		return Mode{}, &ModeError{Text: s, Reason: "is empty"}
	}
	if s[0] >= '0' && s[0] <= '9' {
		if len(s) < 3 || len(s) > 4 {
			return Mode{}, &ModeError{Text: s, Reason: "has not three or four digits"}
		}
		n, err := strconv.ParseUint(s, 8, 16)
		if err != nil {
			return Mode{}, &ModeError{Text: s, Reason: "is not octal"}
		}
		return Mode{bits: uint16(n), set: true}, nil
	}
	return parseSymbolic(s)
}

func parseSymbolic(s string) (Mode, error) {
	var bits uint16
	seen := map[rune]bool{}
	for clause := range strings.SplitSeq(s, ",") {
		who, perms, ok := strings.Cut(clause, "=")
		if !ok || who == "" {
			return Mode{}, &ModeError{Text: s, Reason: "is neither octal nor of the form u=rwx,g=rx,o="}
		}
		who = strings.ReplaceAll(who, "a", "ugo")
		for _, w := range who {
			if !strings.ContainsRune("ugo", w) {
				return Mode{}, &ModeError{Text: s, Reason: fmt.Sprintf("names a class %q that is none of u, g, o, a", w)}
			}
			if seen[w] {
				return Mode{}, &ModeError{Text: s, Reason: fmt.Sprintf("gives %q twice", w)}
			}
			seen[w] = true
			for _, p := range perms {
				b, ok := permBit(w, p)
				if !ok {
					return Mode{}, &ModeError{Text: s, Reason: fmt.Sprintf("has a permission %q that is none of r, w, x, s, t", p)}
				}
				bits |= b
			}
		}
	}
	if len(seen) != 3 {
		return Mode{}, &ModeError{Text: s, Reason: "does not give all of u, g and o"}
	}
	return Mode{bits: bits, set: true}, nil
}

func permBit(who, perm rune) (uint16, bool) {
	shift := map[rune]uint{'u': 6, 'g': 3, 'o': 0}[who]
	switch perm {
	case 'r':
		return 4 << shift, true
	case 'w':
		return 2 << shift, true
	case 'x':
		return 1 << shift, true
	case 's':
		// chmod ignores s for "o".
		return map[rune]uint16{'u': 0o4000, 'g': 0o2000}[who], true
	case 't':
		// chmod ignores t for "u" and "g".
		return map[rune]uint16{'o': 0o1000}[who], true
	default:
		return 0, false
	}
}

// Bits returns the permission bits.
func (m Mode) Bits() uint16 { return m.bits }

// IsZero tells whether no mode is set.
func (m Mode) IsZero() bool { return !m.set }

// String returns four octal digits; "" when unset.
func (m Mode) String() string {
	if !m.set {
		return ""
	}
	return fmt.Sprintf("%04o", m.bits)
}

// Owner is the name of a user or group, or a numeric id.
type Owner struct{ s string }

// OwnerError says why a text names no user or group.
type OwnerError struct {
	Text   string
	Reason string
}

func (e *OwnerError) Error() string { return fmt.Sprintf("owner %q %s", e.Text, e.Reason) }

// Hint says what to write instead.
func (e *OwnerError) Hint() string {
	return "write a name that `users.users` or `users.groups` defines, or a number"
}

// ParseOwner accepts what systemd's relaxed rules and NixOS's `users.users`
// accept: letters, digits, "_", "-" and "." with no leading "-" or "." and at
// most 31 bytes, optionally ending in "$"; or a decimal id up to 4294967294.
// The error is an *[OwnerError].
func ParseOwner(s string) (Owner, error) {
	if s == "" {
		return Owner{}, &OwnerError{Text: s, Reason: "is empty"}
	}
	if strings.Trim(s, "0123456789") == "" {
		if n, err := strconv.ParseUint(s, 10, 32); err != nil || n == 1<<32-1 {
			return Owner{}, &OwnerError{Text: s, Reason: "is no valid id"}
		}
		return Owner{s}, nil
	}
	if len(s) > 31 {
		return Owner{}, &OwnerError{Text: s, Reason: "is longer than 31 bytes"}
	}
	if s[0] == '-' || s[0] == '.' {
		return Owner{}, &OwnerError{Text: s, Reason: fmt.Sprintf("begins with %q", s[:1])}
	}
	for i, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.':
		case c == '$' && i == len(s)-1 && i > 0:
		default:
			return Owner{}, &OwnerError{Text: s, Reason: fmt.Sprintf("contains %q", s[i:i+1])}
		}
	}
	return Owner{s}, nil
}

// MustOwner is [ParseOwner] for constants; it panics on a text that is no owner.
func MustOwner(s string) Owner {
	o, err := ParseOwner(s)
	if err != nil {
		panic(err)
	}
	return o
}

// String returns the name or id; "" when unset.
func (o Owner) String() string { return o.s }

// IsZero tells whether no owner is set.
func (o Owner) IsZero() bool { return o.s == "" }
