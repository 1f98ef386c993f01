package restic

import (
	"fmt"
	"path"
	"strings"
)

// Place is where a repository is, as far as its name says.
type Place string

// The places.
const (
	// Local is in a file system of this machine, which may be mounted from elsewhere.
	Local Place = "local"
	// Loopback is a server on this machine.
	Loopback Place = "loopback"
	// Remote is another machine.
	Remote Place = "remote"
	// UnknownPlace is behind rclone, whose configuration says where.
	UnknownPlace Place = "unknown"
)

// Repository is where a repository is, as restic names it.
type Repository struct {
	// Scheme is "local", "sftp", "rest", "s3", "b2", "azure", "gs", "swift" or "rclone".
	Scheme string
	// Path is the folder of a local one; empty for others.
	Path string
	// Host is the machine, without user and port; empty where the scheme stands for one service, or for this machine.
	Host string
	text string
	// user is what stands before the "@".
	user string
}

// RepositoryError says why a text names no repository. It does not hold the text, which may have a password in it.
type RepositoryError struct{ Reason string }

func (e *RepositoryError) Error() string { return e.Reason }

// Hint says what to write instead.
func (e *RepositoryError) Hint() string {
	return "write a folder, or a repository as restic names it, such as sftp:user@host:/folder, rest:https://host/ or s3:https://host/bucket"
}

// ParseRepository reads the name of a repository: a folder, or "scheme:rest". It mirrors restic's internal/backend/location. A relative
// folder is refused, since a service has no working directory of its own.
func ParseRepository(text string) (Repository, error) {
	fail := func(format string, args ...any) (Repository, error) {
		return Repository{}, &RepositoryError{fmt.Sprintf(format, args...)}
	}
	if text == "" || strings.TrimSpace(text) != text || strings.ContainsAny(text, "\x00\n\r") {
		return fail("is empty, or has blanks at its ends or a line break")
	}
	r := Repository{text: text}
	scheme, rest, found := strings.Cut(text, ":")
	if strings.HasPrefix(text, "/") {
		scheme, rest, found = "local", text, true
	}
	if !found {
		return fail("is no absolute path")
	}
	r.Scheme = scheme
	switch scheme {
	case "local":
		if !strings.HasPrefix(rest, "/") {
			return fail("is no absolute path")
		}
		r.Path = path.Clean(rest)
	case "sftp":
		if strings.HasPrefix(rest, "//") {
			u, ok := splitAddress(text)
			if !ok || u.host == "" || strings.Trim(u.path, "/") == "" {
				return fail("is no sftp://user@host/folder")
			}
			r.Host, r.user = u.host, u.user
			break
		}
		host, dir, ok := strings.Cut(rest, ":")
		if i := strings.LastIndex(host, "@"); i >= 0 {
			host = host[i+1:]
		}
		if !ok || host == "" || dir == "" || strings.HasPrefix(host, "[") {
			// restic takes an address of IPv6 in the other form only.
			return fail("is no sftp:user@host:/folder")
		}
		r.Host = host
	case "rest":
		u, ok := splitAddress(rest)
		switch {
		case ok && u.scheme == "http+unix" && u.path != "":
			r.Host = "localhost"
		case !ok || u.host == "" || u.scheme != "http" && u.scheme != "https":
			return fail("is no rest:https://host/")
		default:
			r.Host, r.user = u.host, u.user
		}
	case "s3":
		address := strings.TrimPrefix(rest, "//")
		if !strings.HasPrefix(address, "http://") && !strings.HasPrefix(address, "https://") {
			address = "https://" + address
		}
		u, ok := splitAddress(address)
		if !ok || u.host == "" || strings.Trim(u.path, "/") == "" {
			return fail("is no s3:https://host/bucket")
		}
		r.Host, r.user = u.host, u.user
	case "b2", "azure", "gs", "swift":
		if bucket, _, _ := strings.Cut(rest, ":"); bucket == "" {
			return fail("names no bucket")
		}
	case "rclone":
		if remote, _, ok := strings.Cut(rest, ":"); remote == "" || !ok {
			return fail("is no rclone:remote:folder")
		}
	default:
		return fail("has a scheme that restic does not know")
	}
	return r, nil
}

// address is a URL as far as it matters here; package net is for those who use it.
type address struct{ scheme, user, host, path string }

func splitAddress(text string) (a address, ok bool) {
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || strings.ContainsFunc(rest, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return a, false
	}
	a.scheme = strings.ToLower(scheme)
	host, dir, below := strings.Cut(rest, "/")
	if below {
		a.path = "/" + dir
	}
	if i := strings.LastIndex(host, "@"); i >= 0 {
		a.user, host = host[:i], host[i+1:]
	}
	if inner, isV6 := strings.CutPrefix(host, "["); isV6 {
		inner, _, ok = strings.Cut(inner, "]")
		a.host = inner
		return a, ok
	}
	a.host, _, _ = strings.Cut(host, ":")
	return a, true
}

// HasSecret says whether a password is in the text.
func (r Repository) HasSecret() bool {
	_, password, _ := strings.Cut(r.user, ":")
	return password != ""
}

// Place says where it is.
func (r Repository) Place() Place {
	switch {
	case r.Scheme == "local":
		return Local
	case r.Scheme == "rclone":
		return UnknownPlace
	case r.Host == "":
		return Remote
	case strings.EqualFold(r.Host, "localhost") || strings.HasSuffix(strings.ToLower(r.Host), ".localhost"):
		return Loopback
	}
	if r.Host == "::1" || strings.HasPrefix(r.Host, "127.") && strings.Trim(r.Host, "0123456789.") == "" {
		return Loopback
	}
	return Remote
}

// String is the text, with any password as "***".
func (r Repository) String() string {
	if !r.HasSecret() {
		return r.text
	}
	name, _, _ := strings.Cut(r.user, ":")
	return strings.Replace(r.text, r.user+"@", name+":***@", 1)
}

// Password is the one in the text, as it is written there; mostly empty.
func (r Repository) Password() string {
	_, password, _ := strings.Cut(r.user, ":")
	return password
}
