package aggregate

import (
	"slices"
	"strings"
)

// storesAll are the options of `restic backup` and `borg create` that leave nothing out which is state: how fast, how packed, under
// which name. What is tagged as a cache (CACHEDIR.TAG) is none.
var storesAll = map[string][]string{
	"restic": {
		"--cacert", "--cache-dir", "--cleanup-cache", "--compression", "--exclude-caches", "--force", "-f", "--group-by", "-g", "--host", "-H", "--ignore-ctime",
		"--ignore-inode", "--insecure-tls", "--json", "--key-hint", "--limit-download", "--limit-upload", "--no-cache", "--no-scan", "--option", "-o",
		"--pack-size", "--parent", "--quiet", "-q", "--read-concurrency", "--retry-lock", "--skip-if-unchanged", "--tag", "--tls-client-cert", "--verbose", "-v", "-vv",
		"--with-atime",
	},
	"borg": {
		"--checkpoint-interval", "-c", "--chunker-params", "--comment", "--compression", "-C", "--debug", "--exclude-caches", "--files-cache", "--filter", "--info", "--json",
		"--list", "--lock-wait", "--noatime", "--noctime", "--numeric-ids", "--progress", "-p", "--remote-ratelimit", "--show-rc", "--sparse", "--stats", "-s",
		"--upload-ratelimit", "--verbose", "-v",
	},
}

// optionExcludes reads the options that an engine is handed as they are: the patterns of --exclude, and the first option that may leave
// out more in a way that is not read; empty where none may. Options of an engine that is not known may do anything.
func optionExcludes(engine string, options []string) (patterns []string, doubt string) {
	words := strings.Fields(strings.Join(options, " ")) // as the modules hand them to a shell
	for i := 0; i < len(words); i++ {
		name, value, given := strings.Cut(words[i], "=")
		switch {
		case !strings.HasPrefix(name, "-"):
			if i == 0 || !strings.HasPrefix(words[i-1], "-") {
				doubt = words[i] // a path, or what a shell makes of it
			}
		case slices.Contains(storesAll[engine], name):
		case (name == "--exclude" || name == "-e") && (given || i+1 < len(words)):
			if !given {
				i++
				value = words[i]
			}
			if strings.ContainsAny(value, "'\"`$\\") {
				doubt = name // what the shell makes of it is not read
			} else {
				patterns = append(patterns, value)
			}
		default:
			doubt = name
		}
		if doubt != "" {
			return patterns, doubt
		}
	}
	return patterns, ""
}
