// Package redact takes secrets out of the texts of units and scripts before anybody sees them. It goes by the names that
// values have, and by the forms that only secrets have; a secret that is called something else stays.
package redact

import (
	"regexp"
	"strings"
	"unicode"
)

// Hidden stands in the place of what was taken out.
const Hidden = "‹hidden›"

// Secret tells whether a variable, an option or a key of this name mostly holds a secret itself, and not the name of the
// file that holds it.
func Secret(name string) bool {
	ws := words(name)
	if len(ws) == 0 {
		return false
	}
	switch ws[len(ws)-1] {
	case "file", "files", "path", "paths", "dir", "directory":
		return false
	}
	joined := strings.Join(ws, "")
	for _, part := range []string{"password", "passwd", "passphrase", "secret", "token", "credential", "authorization"} {
		if strings.Contains(joined, part) {
			return true
		}
	}
	for _, w := range ws {
		if w == "pass" || w == "pw" || w == "psk" || strings.HasSuffix(w, "key") || strings.HasSuffix(w, "keys") {
			return true
		}
	}
	return false
}

// words splits FOO_BAR, foo-bar and fooBar.
func words(name string) []string {
	var out []string
	var w []rune
	flush := func() {
		if len(w) > 0 {
			out = append(out, strings.ToLower(string(w)))
			w = nil
		}
	}
	lower := false
	for _, r := range name {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			flush()
			lower = false
			continue
		}
		if unicode.IsUpper(r) && lower {
			flush()
		}
		lower = unicode.IsLower(r) || unicode.IsDigit(r)
		w = append(w, r)
	}
	flush()
	return out
}

// openly are directives of units that are called like secrets and name files or conditions.
var openly = regexp.MustCompile(`^(?:LoadCredential|LoadCredentialEncrypted|ImportCredential|AssertCredential|ConditionCredential)\s*=`)

var setCredential = regexp.MustCompile(`^(SetCredential(?:Encrypted)?\s*=\s*[^:]*:)(.*)$`)

// Unit takes secrets out of the text of a systemd unit.
func Unit(text string) string {
	lines := strings.SplitAfter(text, "\n")
	var b, some strings.Builder
	flush := func() {
		b.WriteString(Script(some.String()))
		some.Reset()
	}
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		body := strings.TrimRight(line, "\n")
		if openly.MatchString(body) {
			flush()
			b.WriteString(line)
			continue
		}
		m := setCredential.FindStringSubmatch(body)
		if m == nil {
			some.WriteString(line)
			continue
		}
		flush()
		for strings.HasSuffix(strings.TrimRight(lines[i], "\n"), `\`) && i+1 < len(lines) {
			i++
		}
		b.WriteString(m[1] + Hidden)
		if strings.HasSuffix(lines[i], "\n") {
			b.WriteString("\n")
		}
	}
	flush()
	return b.String()
}

var (
	privateKey = regexp.MustCompile(`(?s)(-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----).*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`)
	ageKey     = regexp.MustCompile(`AGE-SECRET-KEY-1[0-9A-Z]+`)
	userInfo   = regexp.MustCompile("(://[^/\\s:@\"'`]*:)([^@/\\s\"'`]+)(@)")
	// A name and what stands between it and its value; a flag may be followed by a blank only.
	assigned = regexp.MustCompile(`(-{0,2})\b([A-Za-z_][A-Za-z0-9_.-]*)(\\?["']?[ \t]*(?:\+=|=>|==?|:[-=+?]?)[ \t]*|[ \t]+)`)
)

// Script takes secrets out of the text of a script, a command line or a configuration file.
func Script(text string) string {
	text = privateKey.ReplaceAllString(text, "${1}"+Hidden+"${2}")
	text = ageKey.ReplaceAllString(text, Hidden)
	text = userInfo.ReplaceAllStringFunc(text, func(s string) string {
		m := userInfo.FindStringSubmatch(s)
		if harmless(m[2]) {
			return s
		}
		return m[1] + Hidden + m[3]
	})
	var b strings.Builder
	done := 0
	for at := 0; at < len(text); {
		m := assigned.FindStringSubmatchIndex(text[at:])
		if m == nil {
			break
		}
		for i := range m {
			m[i] += at
		}
		flag, name, sep := text[m[2]:m[3]], text[m[4]:m[5]], text[m[6]:m[7]]
		spaced := strings.TrimSpace(sep) == ""
		if !Secret(name) || spaced && flag == "" {
			// What follows may be a name itself.
			at = m[5]
			continue
		}
		from, to := value(text, m[2], sep, m[7])
		v := text[from:to]
		if harmless(v) || spaced && strings.HasPrefix(v, "-") {
			at = m[7]
			continue
		}
		b.WriteString(text[done:from])
		b.WriteString(Hidden)
		done, at = to, to
	}
	b.WriteString(text[done:])
	return b.String()
}

// value finds the value that begins at a place, without its quotes. start is where the name or its dashes begin.
func value(text string, start int, sep string, at int) (from, to int) {
	end := func(from int, quote string) (int, int) {
		i := from
		for i < len(text) && !strings.HasPrefix(text[i:], quote) {
			switch {
			case quote == `"` && strings.HasPrefix(text[i:], "$("):
				i = substitution(text, i)
			case text[i] == '\\' && quote != "'":
				i += 2
			default:
				i++
			}
		}
		return from, min(i, len(text))
	}
	for _, quote := range []string{`\"`, `\'`, `"`, `'`} {
		if strings.HasPrefix(text[at:], quote) {
			// "NAME=" is empty, and its second quote opens nothing, unless more follows at once.
			if rest := text[at+len(quote):]; strings.HasSuffix(text[:start], quote) && !strings.ContainsAny(sep, `"'`) {
				if rest == "" || strings.IndexByte(" \t\n;&|)", rest[0]) >= 0 {
					return at, at
				}
				if strings.HasPrefix(rest, quote) {
					at += len(quote)
				}
			}
			return end(at+len(quote), quote)
		}
	}
	// The quote may stand before the name: "NAME=value with blanks".
	if start > 0 && !strings.ContainsAny(sep, `"'`) {
		if q := text[start-1]; q == '"' || q == '\'' {
			return end(at, string(q))
		}
	}
	stop := "\n"
	// A shell takes no blanks beside "=", other files' values go to the end of the line.
	if sep == strings.TrimSpace(sep) || strings.TrimSpace(sep) == "" {
		stop = " \t\n;&|<>)}\"'"
	}
	i := at
	for i < len(text) {
		c := text[i]
		switch {
		case strings.HasPrefix(text[i:], "$("):
			i = substitution(text, i)
		case (c == '"' || c == '\'') && i > at && i+1 < len(text) && strings.IndexByte(stop, text[i+1]) < 0:
			// A word may be quoted in part.
			_, i = end(i+1, string(c))
			i++
		case strings.IndexByte(stop, c) >= 0:
			return at, i
		case c == '\\':
			i += 2
		default:
			i++
		}
	}
	return at, min(i, len(text))
}

// substitution is where $( … ) ends that begins at a place.
func substitution(text string, at int) int {
	depth := 0
	for i := at; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}

var (
	reference = regexp.MustCompile(`^\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[A-Za-z_][A-Za-z0-9_]*\})$`)
	// reads is a command that only reads a file.
	reads = regexp.MustCompile(`^\$\(\s*(?:<|\S*\bcat\b)`)
	// place is a path, as far as a text shows it: random texts have capitals early on.
	place   = regexp.MustCompile(`^(?:file:(?://)?|@|~|\.{1,2}|%[a-zA-Z])?(?:/[a-z0-9._$%@{}-]+/|/[a-z0-9._-]+$)`)
	setting = regexp.MustCompile(`(?i)^(?:|true|false|yes|no|null|none|on|off)$`)
)

// harmless tells that a value is no secret: a path, a variable, a file that is read, a switch.
func harmless(v string) bool {
	v = strings.TrimSpace(v)
	return setting.MatchString(v) || v == Hidden || reference.MatchString(v) || reads.MatchString(v) || place.MatchString(v)
}
