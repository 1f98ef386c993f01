// Package redact takes secrets out of texts before anybody sees them: of units and scripts, of what nix says, of addresses,
// and of the values of a configuration. It goes by the names that values have, and by the forms that only secrets have; a
// secret that is called something else stays. docs/secrets.md says so to who reads the output.
package redact

import (
	"regexp"
	"slices"
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
	last := ws[len(ws)-1]
	for _, of := range []string{"file", "files", "path", "paths", "dir", "directory"} {
		if strings.HasSuffix(last, of) {
			return false
		}
	}
	joined := strings.Join(ws, "")
	for _, part := range []string{"password", "passwd", "passphrase", "secret", "token", "credential", "authorization"} {
		if strings.Contains(joined, part) {
			return true
		}
	}
	switch {
	case joined == "auth":
		return true // of docker's config.json and of .npmrc
	case last == "pwd":
		return len(ws) > 1 // PWD itself is a folder
	case slices.Contains(ws, "public"), last == "id", last == "ids":
		return false
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

var setCredential = regexp.MustCompile(`(?s)^(SetCredential(?:Encrypted)?\s*=\s*[^:]*:)(.*)$`)

var directive = regexp.MustCompile(`^[ \t]*([A-Za-z][A-Za-z0-9-]*)[ \t]*=`)

// Unit takes secrets out of the text of a systemd unit.
func Unit(text string) string {
	lines := strings.SplitAfter(text, "\n")
	var b, some strings.Builder
	flush := func() {
		b.WriteString(Script(some.String()))
		some.Reset()
	}
	for i := 0; i < len(lines); i++ {
		m := directive.FindStringSubmatchIndex(lines[i])
		if m == nil || Secret(lines[i][m[2]:m[3]]) && !openly.MatchString(lines[i]) && !setCredential.MatchString(lines[i]) {
			some.WriteString(lines[i])
			continue
		}
		flush()
		body := lines[i]
		for strings.HasSuffix(strings.TrimRight(body, "\n"), `\`) && i+1 < len(lines) {
			i++
			body += lines[i]
		}
		switch c := setCredential.FindStringSubmatch(body); {
		case openly.MatchString(body):
			b.WriteString(body)
		case c != nil:
			b.WriteString(c[1] + Hidden)
			if strings.HasSuffix(body, "\n") {
				b.WriteString("\n")
			}
		default:
			b.WriteString(body[:m[1]] + arguments(body[m[1]:]))
		}
	}
	flush()
	return b.String()
}

var (
	// named is a word NAME=VALUE, in the quotes that it may have.
	named = regexp.MustCompile(`(?s)^(["']?-{0,2}([A-Za-z_][A-Za-z0-9_.-]*)\+?=)(.*)$`)
	flag  = regexp.MustCompile(`^["']?--?([A-Za-z][A-Za-z0-9_.-]*)["']?$`)
)

// Flag tells whether a word is an option whose value is a secret and stands in the next word.
func Flag(word string) bool {
	f := flag.FindStringSubmatch(word)
	return f != nil && Secret(f[1])
}

// arguments takes secrets out of what follows a directive of a unit, whose words end at blanks only (systemd.syntax(7)).
func arguments(text string) string {
	var b strings.Builder
	before := ""
	for i := 0; i < len(text); {
		n := len(text[i:]) - len(strings.TrimLeft(text[i:], " \t\n"))
		if n == 0 && strings.HasPrefix(text[i:], "\\\n") {
			n = 2
		}
		if n > 0 {
			b.WriteString(text[i : i+n])
			i += n
			continue
		}
		to := unitWord(text, i)
		w := text[i:to]
		i = to
		quote := ""
		if q := w[:1]; (q == `"` || q == "'") && len(w) > 1 && strings.HasSuffix(w, q) {
			quote = q
		}
		m, secret := named.FindStringSubmatch(w), Flag(before)
		switch before = w; {
		case m != nil && Secret(m[2]):
			v := strings.TrimSuffix(m[3], quote)
			if !strings.HasPrefix(m[1], `"`) && !strings.HasPrefix(m[1], "'") {
				v, quote = m[3], ""
				if u := strings.Trim(v, `"'`); harmless(u) {
					v = u
				}
			}
			if harmless(v) {
				b.WriteString(w)
			} else {
				b.WriteString(m[1] + Hidden + quote)
			}
		case secret && !strings.HasPrefix(w, "-") && !harmless(strings.Trim(w, `"'`)):
			b.WriteString(quote + Hidden + quote)
		default:
			b.WriteString(Script(w))
		}
	}
	return b.String()
}

// unitWord is where a word of a unit ends.
func unitWord(text string, at int) int {
	quote := byte(0)
	for i := at; i < len(text); i++ {
		switch c := text[i]; {
		case c == '\\' && i+1 < len(text):
			if text[i+1] == '\n' && quote == 0 {
				return i
			}
			i++
		case c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case quote == 0 && (c == ' ' || c == '\t' || c == '\n'):
			return i
		}
	}
	return len(text)
}

var (
	privateKey = regexp.MustCompile(`(?s)(-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----).*?(-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)`)
	ageKey     = regexp.MustCompile(`AGE-SECRET-KEY-1[0-9A-Z]+`)
	// A name and what stands between it and its value; a flag may be followed by a blank only.
	assigned = regexp.MustCompile(`(-{0,2})\b([A-Za-z_][A-Za-z0-9_.-]*)(\\?["']?[ \t]*(?:\+=|=>|==?|:[-=+?]?|<<<)[ \t]*|[ \t]+)`)
)

// Script takes secrets out of the text of a script, a command line or a configuration file.
func Script(text string) string { return script(text, false) }

// script does so; of what is said, "token: it is not there" is no value.
func script(text string, said bool) string {
	text = privateKey.ReplaceAllString(text, "${1}"+Hidden+"${2}")
	text = ageKey.ReplaceAllString(text, Hidden)
	text = blocks(Address(text))
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
		if harmless(v) || spaced && strings.HasPrefix(v, "-") || said && from == m[7] && strings.TrimSpace(sep) == ":" && !strings.EqualFold(name, "authorization") {
			at = m[7]
			continue
		}
		if said && strings.HasSuffix(v, ",") {
			to--
		}
		b.WriteString(text[done:from])
		b.WriteString(Hidden)
		done, at = to, to
	}
	b.WriteString(text[done:])
	return b.String()
}

var blockKey = regexp.MustCompile(`^([ \t]*(?:- +)*)["']?([A-Za-z_][A-Za-z0-9_.-]*)["']?[ \t]*:[ \t]*(?:[|>][-+0-9]*)?[ \t]*(?:#.*)?$`)

// blocks takes out what is indented below a key of YAML that has a secret's name.
func blocks(text string) string {
	lines := strings.SplitAfter(text, "\n")
	var b strings.Builder
	indent := func(s string) int { return len(s) - len(strings.TrimLeft(s, " \t")) }
	for i := 0; i < len(lines); i++ {
		b.WriteString(lines[i])
		m := blockKey.FindStringSubmatch(strings.TrimRight(lines[i], "\r\n"))
		if m == nil || !Secret(m[2]) {
			continue
		}
		key := len(m[1])
		below := func(n int) bool {
			return n < len(lines) && strings.TrimSpace(lines[n]) != "" && (indent(lines[n]) > key || indent(lines[n]) == key && strings.HasPrefix(lines[n][key:], "- "))
		}
		hidden := false
		for below(i+1) || hidden && i+1 < len(lines) && strings.TrimSpace(lines[i+1]) == "" && below(i+2) {
			i++
			if !hidden {
				next := lines[i]
				b.WriteString(next[:indent(next)] + Hidden)
				if strings.HasSuffix(next, "\n") {
					b.WriteByte('\n')
				}
			}
			hidden = true
		}
	}
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
	// A shell takes no blanks beside "=", other files' values go to the end of the line.
	tight := sep == strings.TrimSpace(sep) || strings.TrimSpace(sep) == "" || strings.Contains(sep, "<<<")
	around := open(text, at)
	for _, quote := range []string{`\"`, `\'`, `"`, `'`} {
		if strings.HasPrefix(text[at:], quote) {
			// "NAME=" is empty, and its second quote opens nothing, unless more follows at once.
			if rest := text[at+len(quote):]; strings.HasSuffix(text[:start], quote) && !strings.ContainsAny(sep, `"'`) {
				if rest == "" || strings.IndexByte(wordEnd, rest[0]) >= 0 {
					return at, at
				}
				if strings.HasPrefix(rest, quote) {
					at += len(quote)
				}
			} else if tight && quote[0] == around {
				return at, at
			}
			from, to := end(at+len(quote), quote)
			// A shell's word goes on behind the quote: 'it'\''s'.
			if next := to + len(quote); tight && !strings.Contains(sep, ":") && next < len(text) && !strings.ContainsRune(wordEnd+",}", rune(text[next])) {
				return at, word(text, next, around, false)
			}
			return from, to
		}
	}
	// The quote may stand before the name: "NAME=value with blanks".
	if start > 0 && !strings.ContainsAny(sep, `"'`) {
		if q := text[start-1]; q == '"' || q == '\'' {
			return end(at, string(q))
		}
	}
	if tight {
		return at, word(text, at, around, strings.Contains(sep, ":"))
	}
	i := at
	for i < len(text) && text[i] != '\n' {
		if strings.HasPrefix(text[i:], "$(") {
			i = substitution(text, i)
			continue
		}
		if text[i] == '\\' {
			i++
		}
		i++
	}
	return at, min(i, len(text))
}

// wordEnd are the characters that end a word of a shell, and what may stand around one elsewhere.
const wordEnd = " \t\n;&|<>)"

// open is the quote that is open at a place of a line; 0 where none is.
func open(text string, at int) (quote byte) {
	for i := strings.LastIndexByte(text[:at], '\n') + 1; i < at; i++ {
		switch c := text[i]; {
		case c == '\\' && quote != '\'':
			i++
		case c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		}
	}
	return quote
}

// word is where a shell's word ends that goes on at a place, within such a quote, or within ${…}.
func word(text string, at int, around byte, braces bool) int {
	for i := at; i < len(text); {
		switch c := text[i]; {
		case strings.HasPrefix(text[i:], "$("):
			i = substitution(text, i)
		case c == around && around != 0, c == '`':
			return i
		case c == '\'' || c == '"':
			if i+1 >= len(text) || text[i+1] == '\n' {
				return i // more likely one that was open before
			}
			for i++; i < len(text) && text[i] != c; i++ {
				if c == '"' && text[i] == '\\' {
					i++
				}
			}
			i++
		case braces && c == '}', strings.IndexByte(wordEnd, c) >= 0:
			return i
		case c == '\\':
			i += 2
		default:
			i++
		}
	}
	return len(text)
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
	reads = regexp.MustCompile(`^\$\(\s*(?:<\s*|(?:\S*/)?cat\s+)[^;&|<>()\n` + "`" + `]*\)$`)
	// place is a path, as far as a text shows it: random texts have capitals early on.
	place   = regexp.MustCompile(`^(?:(?:file:(?://)?|@|~|\.{1,2}|%[a-zA-Z])/[a-z0-9._-]+$|(?:file:(?://)?|@|~|\.{1,2}|%[a-zA-Z])?/[a-z0-9._$%@{}-]+/)`)
	setting = regexp.MustCompile(`(?i)^(?:|[|>][-+0-9]*|true|false|yes|no|null|none|on|off)$`)
)

// harmless tells that a value is no secret: a path, a variable, a file that is read, a switch.
func harmless(v string) bool {
	v = strings.TrimSpace(v)
	return setting.MatchString(v) || v == Hidden || reference.MatchString(v) || reads.MatchString(v) || place.MatchString(v)
}
