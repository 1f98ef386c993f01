package redact

import (
	"regexp"
	"slices"
	"strings"
)

var (
	authority = regexp.MustCompile("[A-Za-z][A-Za-z0-9+.-]*://[^\\s\"`<>]+")
	port      = regexp.MustCompile(`^[0-9]*$`)
	// parameter is a part of a query (RFC 3986, 3.4).
	parameter = regexp.MustCompile("([?&])([A-Za-z_][A-Za-z0-9_.-]*)=([^&#\\s\"'`<>;]*)")
	// issued are tokens that their issuers give a form of their own.
	issued = regexp.MustCompile(`\b(?:gh[pousr]_[A-Za-z0-9]{4,}|github_pat_[A-Za-z0-9_]{4,}|gl(?:pat|dt|rt|ptt|soat|cbt)-[A-Za-z0-9_-]{4,}|xox[a-z]-[A-Za-z0-9-]{8,}|npm_[A-Za-z0-9]{16,}|pypi-[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{16,}|dop_v1_[a-f0-9]{16,})`)
	// issuers are what the forms of issued begin with: nearly all texts have none, and a regular expression takes far longer to see it.
	issuers = []string{"ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glrt-", "glptt-", "glsoat-", "glcbt-", "xox", "npm_", "pypi-", "hf_", "dop_v1_"}
	// random is a user of an address who is none: a token without blanks or dashes.
	random = regexp.MustCompile(`^[A-Za-z0-9_]*[0-9][A-Za-z0-9_]*$`)
	bearer = regexp.MustCompile(`(?i)\b(authorization[ \t]*[:=][ \t]*["']?[a-z]+|bearer)([ \t]+)([A-Za-z0-9._~+/=-]*[0-9A-Z._~+/=-][A-Za-z0-9._~+/=-]*)`)
)

// Address takes secrets out of the addresses in a text: the password before a host, a token in a user's place, and parts of a
// query that are called like secrets. Who is addressed and what stays.
func Address(text string) string {
	if strings.Contains(text, "://") && strings.Contains(text, "@") {
		text = authority.ReplaceAllStringFunc(text, withoutUser)
	}
	if strings.ContainsAny(text, "?&") && strings.Contains(text, "=") {
		text = parameter.ReplaceAllStringFunc(text, func(s string) string {
			m := parameter.FindStringSubmatch(s)
			name := strings.ToLower(m[2])
			if !Secret(name) && !strings.HasSuffix(name, "signature") && name != "sig" || harmless(m[3]) {
				return s
			}
			return m[1] + m[2] + "=" + Hidden
		})
	}
	if !mayBeIssued(text) {
		return text
	}
	return issued.ReplaceAllLiteralString(text, Hidden)
}

// mayBeIssued tells whether something in a text begins like one of issuers, in one pass.
func mayBeIssued(text string) bool {
	for i := range len(text) {
		switch text[i] {
		case 'd', 'g', 'h', 'n', 'p', 'x':
			if slices.ContainsFunc(issuers, func(begin string) bool { return strings.HasPrefix(text[i:], begin) }) {
				return true
			}
		}
	}
	return false
}

// withoutUser takes the secret out of an address.
func withoutUser(s string) string {
	scheme, rest, _ := strings.Cut(s, "://")
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	at := strings.LastIndexByte(rest[:end], '@')
	if at < 0 {
		// A password may hold what would end it. Then what looks like a port is none.
		_, after, ok := strings.Cut(rest[:end], ":")
		if !ok || port.MatchString(after) || strings.HasPrefix(rest, "[") {
			return s
		}
		if at = strings.LastIndexByte(rest, '@'); at < 0 {
			return s
		}
	}
	user, password, has := strings.Cut(rest[:at], ":")
	switch {
	case issued.MatchString(user), len(user) >= 20 && random.MatchString(user):
		user = Hidden
	case !has:
		return s
	}
	if has && !harmless(password) && password != "x-oauth-basic" {
		password = Hidden
	}
	if has {
		user += ":" + password
	}
	return scheme + "://" + user + rest[at:]
}

// Message takes secrets out of what a program says.
func Message(text string) string {
	text = defined.ReplaceAllStringFunc(text, func(s string) string {
		m := defined.FindStringSubmatch(s)
		if !Secret(m[1][strings.LastIndexByte(m[1], '.')+1:]) {
			return s
		}
		return inFile.ReplaceAllString(s, "${1}"+Hidden)
	})
	return script(bearer.ReplaceAllStringFunc(text, func(s string) string {
		m := bearer.FindStringSubmatch(s)
		return m[1] + m[2] + Hidden
	}), true)
}

var (
	// defined is how the module system quotes the values of an option that are of a wrong type, or that conflict.
	defined = regexp.MustCompile("(?s)option [`'‘\"]([^`'’\"\\s]+)['’\"].*?[Dd]efinition values:(?:\\s*\n\\s*- In [^\\n]*)+")
	inFile  = regexp.MustCompile("(- In [`'‘\"][^`'’\"\n]*['’\"]: ).*")
)

// Option takes secrets out of the value of a setting.
func Option(name, value string) string {
	if Secret(name) && !harmless(value) {
		return Hidden
	}
	return Message(value)
}

var (
	mountSecret = regexp.MustCompile(`(?:^|[,;\s]|\b(?:[Oo]ptions|[Oo]|-o)=)((?:--?)?([A-Za-z][A-Za-z0-9_.-]*)=)`)
	mountOption = regexp.MustCompile(`^(?:rw?o?|bind|rbind|(?:no)?(?:auto|exec|suid|dev|fail|user|users|perm|diratime)|defaults|_netdev|sync|async|(?:no|rel|lazy|strict)atime|x-[a-z.-]+(?:=[^=]*)?|(?:uid|gid|file_mode|dir_mode|mode|umask|vers|sec|iocharset)=[a-z0-9.-]+)$`)
)

// Mount takes secrets out of the options of a mount. A password ends with its element, whatever it begins with or holds; only
// options that every mount has and that follow it are told from it.
func Mount(text string) string {
	text = Address(text)
	for _, m := range mountSecret.FindAllStringSubmatchIndex(text, -1) {
		name := text[m[4]:m[5]]
		// Of mount.cifs(8) it is a file.
		if !Secret(name) || name == "credentials" || text[m[3]:] == "" {
			continue
		}
		value := text[m[3]:]
		rest := ""
		for i := strings.LastIndexByte(value, ','); i >= 0 && mountOption.MatchString(value[i+1:]); i = strings.LastIndexByte(value, ',') {
			value, rest = value[:i], value[i:]+rest
		}
		return text[:m[3]] + Hidden + rest
	}
	return text
}

// connection is a remote of rclone with its parameters, which quote what holds ":" or ",".
var (
	connection = regexp.MustCompile(`^(?:rclone:)?:?[A-Za-z0-9_][A-Za-z0-9_.+@ -]*((?:,[A-Za-z0-9_.-]+(?:=(?:"(?:[^"]|"")*"|'(?:[^']|'')*'|[^,:]*))?)+):`)
	rcloneArg  = regexp.MustCompile(`,([A-Za-z0-9_.-]+)=("(?:[^"]|"")*"|'(?:[^']|'')*'|[^,:]*)`)
)

// Repository takes secrets out of where a backup goes. Two repositories stay two.
func Repository(text string) string {
	if strings.HasPrefix(text, "/") {
		return text
	}
	if m := connection.FindStringSubmatchIndex(text); m != nil {
		params := rcloneArg.ReplaceAllStringFunc(text[m[2]:m[3]], func(s string) string {
			p := rcloneArg.FindStringSubmatch(s)
			if !Secret(p[1]) || p[2] == "" {
				return s
			}
			return "," + p[1] + "=" + Hidden
		})
		return text[:m[2]] + params + text[m[3]:]
	}
	return Address(text)
}

// Hook takes secrets out of a script that is run as it was read: what [Command] does, and the credentials of a header. A variable there, or what a
// command prints, stays.
func Hook(text string) string { return bearer.ReplaceAllString(Command(text), "${1}${2}"+Hidden) }

// shellAssigned is a name with a value, as a shell has them, that is no part of a path.
var shellAssigned = regexp.MustCompile(`(?:^|[\s"',;&|(])(?:--?)?([A-Za-z_][A-Za-z0-9_.-]*)(\+?=|[ \t]+)`)

// Command takes secrets out of a script or a command line that is read further: of what runs and what it is given nothing else
// changes. So what a substitution runs stays.
func Command(text string) string {
	text = Address(ageKey.ReplaceAllLiteralString(privateKey.ReplaceAllString(text, "${1}"+Hidden+"${2}"), Hidden))
	var b strings.Builder
	done := 0
	for at := 0; at < len(text); {
		m := shellAssigned.FindStringSubmatchIndex(text[at:])
		if m == nil {
			break
		}
		from := at + m[5]
		name, sep := text[at+m[2]:at+m[3]], text[at+m[4]:at+m[5]]
		spaced := strings.TrimSpace(sep) == ""
		start := at + m[2]
		at += m[3]
		if !Secret(name) || spaced && text[start-min(1, start):start] != "-" {
			continue
		}
		v0, v1 := value(text, start, sep, from)
		if i := strings.IndexByte(text[v0:v1], '\n'); i >= 0 {
			v1 = v0 + i
		}
		v := text[v0:v1]
		if harmless(v) || spaced && strings.HasPrefix(v, "-") || strings.Contains(v, "$(") || strings.Contains(v, "`") {
			continue
		}
		b.WriteString(text[done:v0] + Hidden)
		done, at = v1, v1
	}
	return b.String() + text[done:]
}
