package backup

import (
	"slices"
	"strings"

	"github.com/stateward/stateward"
)

// Where says on whose disks a repository lies, as far as its address tells.
type Where string

const (
	// WhereUnknown is an address that does not tell.
	WhereUnknown Where = "unknown"
	// WhereLocal is a directory of this host, on whatever file system is mounted there.
	WhereLocal Where = "local"
	// WhereLoopback is a server on this host; where that stores is not known.
	WhereLoopback Where = "loopback"
	// WhereRemote is another host.
	WhereRemote Where = "remote"
	// WhereProvider is a provider of storage.
	WhereProvider Where = "provider"
)

// Repository is where an engine stores. It mirrors restic's internal/backend/location and borg's locations.
type Repository struct {
	// Name is the address without a password that it may hold.
	Name  string
	Where Where
	// Scheme is "sftp", "s3", "ssh" and so on; empty for a directory.
	Scheme string
	// Host is the host's name or address; empty where the address holds none.
	Host string
	// Path is the directory of a local repository.
	Path stateward.AbsPath
	// Password tells that the address holds a password.
	Password bool
}

var resticSchemes = []string{"local", "sftp", "s3", "swift", "rest", "azure", "gs", "b2", "rclone"}

// ParseRepository reads the address of a repository of "restic" or "borg". What is not understood is of [WhereUnknown].
func ParseRepository(engine, text string) Repository {
	switch engine {
	case "restic":
		scheme, rest, found := strings.Cut(text, ":")
		if !found || !slices.Contains(resticSchemes, scheme) {
			return localRepository(text)
		}
		return resticRepository(text, scheme, rest)
	case "borg":
		return borgRepository(text)
	}
	return Repository{Name: withoutPassword(text), Where: WhereUnknown}
}

func localRepository(text string) Repository {
	p, err := stateward.ParsePath(text)
	if err != nil {
		return Repository{Name: withoutPassword(text), Where: WhereUnknown}
	}
	return Repository{Name: text, Where: WhereLocal, Path: p}
}

func resticRepository(text, scheme, rest string) Repository {
	r := Repository{Name: withoutPassword(text), Scheme: scheme, Where: WhereRemote, Password: withoutPassword(text) != text}
	switch scheme {
	case "local":
		return localRepository(rest)
	case "b2", "azure", "gs":
		r.Where = WhereProvider
		return r
	case "swift":
		return r // which of them says the environment
	case "rclone":
		if remote, _, _ := strings.Cut(rest, ":"); remote == "" || remote == "local" || strings.HasPrefix(rest, ":local") {
			r.Where = WhereUnknown
		}
		return r
	}
	for _, prefix := range []string{"https://", "http://", "//"} {
		rest = strings.TrimPrefix(rest, prefix)
	}
	r.at(hostOf(rest))
	return r
}

func borgRepository(text string) Repository {
	for _, scheme := range []string{"ssh", "sftp", "http", "https", "rest", "s3", "b2", "rclone"} {
		if rest, ok := strings.CutPrefix(text, scheme+":"); ok {
			r := Repository{Name: withoutPassword(text), Scheme: scheme, Where: WhereRemote, Password: withoutPassword(text) != text}
			switch scheme {
			case "b2":
				r.Where = WhereProvider
			case "rclone":
			default:
				r.at(hostOf(strings.TrimPrefix(rest, "//")))
			}
			return r
		}
	}
	if rest, ok := strings.CutPrefix(text, "file://"); ok {
		return localRepository(rest)
	}
	// "user@host:path", as scp has it: a directory has a slash before any colon.
	if host, _, found := strings.Cut(text, ":"); found && !strings.Contains(host, "/") {
		r := Repository{Name: text, Scheme: "ssh", Where: WhereRemote}
		r.at(hostOf(text))
		return r
	}
	return localRepository(text)
}

// at says where a repository is that a host keeps.
func (r *Repository) at(host string) {
	r.Host = host
	switch {
	case host == "" || strings.ContainsAny(host, "$%{} "):
		r.Where = WhereUnknown
	case IsLoopback(host):
		r.Where = WhereLoopback
	case isProvider(host):
		r.Where = WhereProvider
	}
}

// hostOf is the host of "user:password@host:port/path".
func hostOf(s string) string {
	s, _, _ = strings.Cut(s, "/")
	s = s[strings.LastIndexByte(s, '@')+1:]
	if rest, ok := strings.CutPrefix(s, "["); ok {
		s, _, _ = strings.Cut(rest, "]")
		return s
	}
	s, _, _ = strings.Cut(s, ":")
	return strings.ToLower(s)
}

// IsLoopback tells whether a host's name or address is that of the host itself, whatever host that is.
func IsLoopback(host string) bool {
	if strings.HasPrefix(host, "127.") && strings.Trim(host, "0123456789.") == "" {
		return true
	}
	return slices.Contains([]string{"localhost", "::1", "::", "0.0.0.0"}, host) || strings.HasSuffix(host, ".localhost")
}

// providers rent out storage under these names, in data centres of their own.
var providers = []string{
	"amazonaws.com", "backblazeb2.com", "wasabisys.com", "r2.cloudflarestorage.com", "digitaloceanspaces.com", "storage.googleapis.com",
	"scw.cloud", "linodeobjects.com", "your-objectstorage.com", "idrivee2.com", "storjshare.io", "cloud.ovh.net", "your-storagebox.de",
	"your-backup.de", "rsync.net", "repo.borgbase.com", "hidrive.strato.com",
}

func isProvider(host string) bool {
	return slices.ContainsFunc(providers, func(p string) bool { return host == p || strings.HasSuffix(host, "."+p) })
}

// withoutPassword hides the password of "scheme://user:password@host/".
func withoutPassword(text string) string {
	start := 0
	if i := strings.Index(text, "://"); i >= 0 {
		start = i + len("://")
	} else if i := strings.Index(text, "//"); i >= 0 {
		start = i + len("//")
	} else {
		return text
	}
	authority, rest, _ := strings.Cut(text[start:], "/")
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return text
	}
	user, _, found := strings.Cut(authority[:at], ":")
	if !found {
		return text
	}
	if rest != "" || strings.HasSuffix(text[start:], "/") {
		rest = "/" + rest
	}
	return text[:start] + user + ":***" + authority[at:] + rest
}
