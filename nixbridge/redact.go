package nixbridge

import (
	"regexp"
	"strings"
)

var (
	// userInfo is the password in a URL (RFC 3986, 3.2.1), such as that of restic's REST server. A user without one stays.
	userInfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://[^\s/?#@:'"]*):[^\s/?#'"]+@`)
	// option is a secret among options, such as that of a mount (mount.cifs(8)) or of a program. A path to one is none.
	option = regexp.MustCompile(`(?i)((?:^|[^a-z0-9_.-]|--?)(?:pass|[a-z0-9_.-]*(?:password2?|passwd|passphrase|token|secret|api[_-]?key|access[_-]?key|private[_-]?key))=)[^\s,;"'/$%][^\s,;"']*`)
	// assignment is a secret that a message quotes.
	assignment = regexp.MustCompile(`(?i)\b([a-z0-9_.-]*(?:password|passwd|passphrase|token|secret|api[_-]?key|access[_-]?key|private[_-]?key))(\s*=\s*|:\s*["'])(?:"[^"\n]*"|'[^'\n]*'|[^\s"',;]+)`)
)

// withoutPasswords takes out of a value the passwords of URLs and what is assigned to a name that sounds like a secret's.
// Who is addressed stays: it tells one repository from another.
func withoutPasswords(s string) string {
	if strings.Contains(s, "://") && strings.Contains(s, "@") {
		s = userInfo.ReplaceAllString(s, "$1:xxxxx@")
	}
	if strings.Contains(s, "=") {
		s = option.ReplaceAllString(s, "${1}xxxxx")
	}
	return s
}

// withoutSecrets does the same with what nix says, where more blanks and quotes are. A message is the configuration's own text: a
// secret that it holds in any other way is not known for one.
func withoutSecrets(s string) string {
	return assignment.ReplaceAllString(withoutPasswords(s), "${1}${2}xxxxx")
}
