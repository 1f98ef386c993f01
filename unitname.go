package stateward

import "strings"

var varLib = MustPath("/var/lib")

// StateDirectoryPath returns the path of one element of a unit's StateDirectory,
// which may carry ":alias" and ":ro" (systemd.exec(5)), and resolves the specifiers
// that a unit's name decides: %n, %N, %p, %P, %i, %I, %j, %J and %%. Where another
// specifier is left, or an escape of the unit file, the path ends before its
// component and partial is true. ok is false when the text is no relative path
// below /var/lib.
func StateDirectoryPath(unit, text string) (p AbsPath, partial, ok bool) {
	name, _, _ := strings.Cut(text, ":")
	var parts []string
	for c := range strings.SplitSeq(name, "/") {
		c, resolved := expandSpecifiers(unit, c)
		if !resolved {
			partial = true
			break
		}
		parts = append(parts, c)
	}
	rel := strings.Join(parts, "/")
	if rel == "" {
		return AbsPath{}, partial, false
	}
	p, ok = varLib.Join(rel)
	if !ok || p == varLib {
		return AbsPath{}, partial, false
	}
	return p, partial, true
}

// expandSpecifiers mirrors the name specifiers of systemd.unit(5). Escapes of
// unit names (\x2d) are undone for the capital letters.
func expandSpecifiers(unit, s string) (string, bool) {
	if strings.Contains(s, `\`) {
		return "", false
	}
	if !strings.Contains(s, "%") {
		return s, true
	}
	full := unit
	bare := unit
	if i := strings.LastIndexByte(bare, '.'); i >= 0 {
		bare = bare[:i]
	}
	prefix, instance, template := strings.Cut(bare, "@")
	last := prefix
	if i := strings.LastIndexByte(prefix, '-'); i >= 0 {
		last = prefix[i+1:]
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i == len(s) {
			return "", false
		}
		switch s[i] {
		case '%':
			b.WriteByte('%')
		case 'n':
			b.WriteString(full)
		case 'N':
			b.WriteString(bare)
		case 'p':
			b.WriteString(prefix)
		case 'P':
			b.WriteString(unescapeUnit(prefix))
		case 'j':
			b.WriteString(last)
		case 'J':
			b.WriteString(unescapeUnit(last))
		case 'i', 'I':
			if template && instance == "" {
				return "", false
			}
			if s[i] == 'I' {
				b.WriteString(unescapeUnit(instance))
			} else {
				b.WriteString(instance)
			}
		default:
			return "", false
		}
	}
	return b.String(), true
}

// unescapeUnit undoes systemd-escape(1): "-" is "/", "\xNN" is a byte.
func unescapeUnit(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '-':
			b.WriteByte('/')
		case s[i] == '\\' && i+3 < len(s) && s[i+1] == 'x' && isHex(s[i+2]) && isHex(s[i+3]):
			b.WriteByte(unhex(s[i+2])<<4 | unhex(s[i+3]))
			i += 3
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	default:
		return c - '0'
	}
}
